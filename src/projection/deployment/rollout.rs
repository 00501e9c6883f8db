//! One rollout, from everything that was said of it: pure.

use std::collections::BTreeMap;

use super::fact::{Kind, RETRIES};

/// What is said of a rollout besides its course; texts by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Details {
    pub(in super::super) images: Option<i64>,
    pub(in super::super) source_commit: Option<i64>,
    pub(in super::super) manifest: Option<i64>,
    pub(in super::super) command: Option<i64>,
    pub(in super::super) initiated_by: Option<i64>,
    pub(in super::super) flags: i64,
    pub(in super::super) observed_from: Option<i64>,
}

/// A fact as it is stored; texts by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fact {
    pub(super) at: i64,
    pub(super) key: i64,
    pub(super) position: i64,
    pub(super) kind: Kind,
    pub(super) started_at: Option<i64>,
    pub(super) cluster: i64,
    pub(super) effective: Option<bool>,
    pub(super) artifact_set: Option<i64>,
    pub(super) details: Details,
}

/// An instant, and what orders events of one instant.
pub(in super::super) type Order = (i64, i64);

/// What became of a rollout in one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InCluster {
    pub(super) cluster: i64,
    /// What was said last, the attempts that were tried again left out; none while it runs.
    pub(super) ended: Option<(Kind, Order)>,
    /// Since when it is in effect there.
    pub(super) effect: Option<Order>,
}

/// A rollout, from its facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rollout {
    pub(super) id: i64,
    pub(super) started_at: Option<i64>,
    pub(super) clusters: Vec<InCluster>,
    /// When it first took effect anywhere.
    pub(super) effect: Option<Order>,
    /// The last fact.
    pub(super) last: Order,
    /// Position of the fact that ended it, or else of the last one.
    pub(super) position: i64,
    pub(super) artifact_set: Option<i64>,
    pub(super) details: Details,
}

/// The last of the values that are there; what was said at the end counts before what was said at the start.
fn last<T: Copy>(facts: &[Fact], pick: impl Fn(&Fact) -> Option<T>) -> Option<T> {
    let ended = facts.iter().rev().filter(|fact| fact.kind != Kind::Started).find_map(&pick);
    ended.or_else(|| facts.iter().rev().find_map(&pick))
}

impl Rollout {
    /// Puts facts together; they come in the order of (at, key), and there is at least one.
    pub(super) fn of(id: i64, facts: &[Fact]) -> Option<Self> {
        let newest = facts.last()?;
        let mut clusters: BTreeMap<i64, InCluster> = BTreeMap::new();
        for fact in facts {
            let entry = clusters.entry(fact.cluster);
            let cluster = entry.or_insert(InCluster { cluster: fact.cluster, ended: None, effect: None });
            if fact.kind == Kind::Started || fact.details.flags & RETRIES != 0 {
                continue;
            }
            cluster.ended = Some((fact.kind, (fact.at, fact.key)));
        }
        for cluster in clusters.values_mut() {
            cluster.effect = effect(cluster, facts);
        }
        let effect = clusters.values().filter_map(|cluster| cluster.effect).min();
        let ending = facts.iter().rev().find(|fact| fact.kind != Kind::Started && fact.details.flags & RETRIES == 0);
        Some(Self {
            id,
            started_at: facts.iter().filter_map(|fact| fact.started_at).min(),
            clusters: clusters.into_values().collect(),
            effect,
            last: (newest.at, newest.key),
            position: ending.unwrap_or(newest).position,
            artifact_set: last(facts, |fact| fact.artifact_set.filter(|_| fact.details.images.is_some()))
                .or_else(|| last(facts, |fact| fact.artifact_set)),
            details: Details {
                images: last(facts, |fact| fact.details.images),
                source_commit: last(facts, |fact| fact.details.source_commit),
                manifest: last(facts, |fact| fact.details.manifest),
                command: last(facts, |fact| fact.details.command),
                initiated_by: last(facts, |fact| fact.details.initiated_by),
                flags: facts.iter().fold(0, |flags, fact| flags | fact.details.flags) & !RETRIES,
                observed_from: last(facts, |fact| fact.details.observed_from),
            },
        })
    }

    /// The latest end in any cluster.
    pub(super) fn ended(&self) -> Option<Order> {
        self.clusters.iter().filter_map(|cluster| cluster.ended).map(|(_, at)| at).max()
    }

    /// Whether it is still at work somewhere.
    pub(super) fn runs(&self) -> bool {
        self.clusters.iter().any(|cluster| cluster.ended.is_none())
    }
}

/// Since when the rollout is in effect in a cluster: the first of the facts by which it took effect there.
fn effect(cluster: &InCluster, facts: &[Fact]) -> Option<Order> {
    let here = facts.iter().filter(|fact| fact.cluster == cluster.cluster && fact.kind != Kind::Started);
    let last = here.clone().rfind(|fact| fact.details.flags & RETRIES == 0);
    let succeeded = |fact: &Fact| fact.kind == Kind::Succeeded && fact.effective != Some(false);
    let in_the_end = last.is_some_and(succeeded);
    let took = |fact: &&Fact| fact.effective == Some(true) || (in_the_end && succeeded(fact));
    here.filter(took).map(|fact| (fact.at, fact.key)).min()
}
