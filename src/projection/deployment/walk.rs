//! What follows from rollouts in their order: classes, intervals, ends. Pure; DORA.md section 2.1 is the definition.

use std::collections::HashMap;

use super::super::Result;
use super::fact::Kind;
use super::rollout::{Order, Rollout};

/// What a rollout was for its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Something that had not run there before, or not before what it replaced.
    Forward = 0,
    /// Something that had run there before what it replaced.
    Rollback = 1,
    /// What ran already.
    Redeploy = 2,
}

impl Class {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Rollback => "rollback",
            Self::Redeploy => "redeploy",
        }
    }

    pub(in super::super) fn of(number: i64) -> Option<Self> {
        [Self::Forward, Self::Rollback, Self::Redeploy].into_iter().find(|class| *class as i64 == number)
    }
}

/// What became of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// At work, without effect yet.
    Running = 0,
    /// In effect, and not yet healthy everywhere.
    Progressing = 1,
    /// In effect and healthy everywhere.
    Succeeded = 2,
    /// Ended otherwise.
    Failed = 3,
    /// Stopped on purpose, without effect.
    Terminated = 4,
}

impl Status {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Progressing => "progressing",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Terminated => "terminated",
        }
    }

    pub(in super::super) fn of(number: i64) -> Option<Self> {
        [Self::Running, Self::Progressing, Self::Succeeded, Self::Failed, Self::Terminated]
            .into_iter()
            .find(|status| *status as i64 == number)
    }
}

/// How an interval ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Something else ran.
    Superseded = 0,
    /// The target was removed.
    Removed = 1,
}

impl Ended {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Superseded => "superseded",
            Self::Removed => "removed",
        }
    }

    pub(in super::super) fn of(number: i64) -> Option<Self> {
        [Self::Superseded, Self::Removed].into_iter().find(|ended| *ended as i64 == number)
    }
}

/// What is asked of the past while walking.
pub(super) trait Past {
    /// When the artifact set first went live in this target, before `before`, as far as that lies before the walk.
    fn first_live(&mut self, artifact_set: i64, before: Order) -> Result<Option<Order>>;

    /// Since when a cluster that a rollout took effect in at `from` is healthy, looking no further than `until`.
    fn healthy_at(&mut self, cluster: i64, from: i64, until: Option<i64>) -> Result<Option<i64>>;
}

/// What was live just before the walk begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Live {
    pub(super) rollout: i64,
    pub(super) artifact_set: i64,
}

/// What happens to a target in time.
#[derive(Debug, Clone, Copy)]
pub(super) enum Happening<'a> {
    /// A rollout took effect, with this artifact set.
    Effect(&'a Rollout, i64),
    /// The target went.
    Removal(Order),
}

impl Happening<'_> {
    pub(super) fn order(&self) -> Order {
        match self {
            Self::Effect(rollout, _) => rollout.effect.unwrap_or(rollout.last),
            Self::Removal(order) => *order,
        }
    }
}

/// What follows for one rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) rollout: i64,
    pub(super) status: Status,
    pub(super) class: Option<Class>,
    pub(super) until: Option<(i64, Ended, Option<i64>)>,
    pub(super) replaces: Option<i64>,
    pub(super) finished_at: Option<i64>,
}

/// Walks through what happened, in order, and tells what follows for every rollout that took effect. `first` is the class
/// that is known already of the first rollout: it took effect before the walk begins.
pub(super) fn walk(
    happenings: &[Happening<'_>],
    first: Option<(Class, Option<i64>)>,
    mut live: Option<Live>,
    past: &mut dyn Past,
) -> Result<Vec<Outcome>> {
    // Sets that first went live within the walk.
    let mut new: HashMap<i64, Order> = HashMap::new();
    let mut outcomes = Vec::with_capacity(happenings.len());
    for (n, happening) in happenings.iter().enumerate() {
        let Happening::Effect(rollout, set) = *happening else {
            live = None;
            continue;
        };
        let order = happening.order();
        let mut first_live = |set: i64| -> Result<Option<Order>> {
            let found = [past.first_live(set, order)?, new.get(&set).copied()];
            Ok(found.into_iter().flatten().min())
        };
        let (class, replaces) = match (n, first, live) {
            (0, Some(known), _) => known,
            (_, _, Some(before)) if before.artifact_set == set => (Class::Redeploy, Some(before.rollout)),
            (_, _, Some(before)) => {
                let (this, that) = (first_live(set)?, first_live(before.artifact_set)?);
                let class = if this.is_some() && this < that { Class::Rollback } else { Class::Forward };
                (class, Some(before.rollout))
            }
            (_, _, None) => (Class::Forward, None),
        };
        if class != Class::Redeploy {
            new.entry(set).or_insert(order);
            live = Some(Live { rollout: rollout.id, artifact_set: set });
        }
        let rest = happenings.get(n + 1..).unwrap_or_default();
        let until = end(rest, set);
        let (status, finished_at) = status(rollout, until.map(|(at, ..)| at), past)?;
        // A redeploy changes nothing, so nothing of its own ends.
        let until = until.filter(|_| class != Class::Redeploy);
        outcomes.push(Outcome { rollout: rollout.id, status, class: Some(class), until, replaces, finished_at });
    }
    Ok(outcomes)
}

/// How and when a set that is live is no longer.
fn end(rest: &[Happening<'_>], set: i64) -> Option<(i64, Ended, Option<i64>)> {
    rest.iter().find_map(|happening| match happening {
        Happening::Effect(_, other) if *other == set => None,
        Happening::Effect(rollout, _) => Some((happening.order().0, Ended::Superseded, Some(rollout.id))),
        Happening::Removal(order) => Some((order.0, Ended::Removed, None)),
    })
}

/// What became of a rollout that took effect, and when.
fn status(rollout: &Rollout, until: Option<i64>, past: &mut dyn Past) -> Result<(Status, Option<i64>)> {
    let ended = rollout.ended().map(|(at, _)| at);
    if rollout.clusters.iter().any(|cluster| matches!(cluster.ended, Some((Kind::Failed | Kind::Terminated, _)))) {
        return Ok((Status::Failed, ended));
    }
    let mut finished = Some(i64::MIN);
    for cluster in &rollout.clusters {
        let healthy = match (cluster.ended, cluster.effect) {
            (Some((_, (at, _))), Some((from, _))) => {
                past.healthy_at(cluster.cluster, from, until)?.map(|healthy| healthy.max(at))
            }
            // It succeeded there and changed nothing.
            (Some((_, (at, _))), None) => Some(at),
            (None, _) => None,
        };
        finished = finished.zip(healthy).map(|(one, other)| one.max(other));
    }
    Ok(match (finished, until) {
        (Some(at), _) => (Status::Succeeded, Some(at)),
        (None, Some(_)) => (Status::Failed, ended),
        (None, None) => (Status::Progressing, None),
    })
}

/// What became of a rollout without effect.
pub(super) fn without_effect(rollout: &Rollout) -> Outcome {
    let last = rollout.clusters.iter().filter_map(|cluster| cluster.ended).max_by_key(|(_, at)| *at);
    let (status, finished_at) = match last {
        _ if rollout.runs() => (Status::Running, None),
        Some((Kind::Terminated, (at, _))) => (Status::Terminated, Some(at)),
        Some((Kind::Failed, (at, _))) => (Status::Failed, Some(at)),
        // It succeeded and says that nothing changed.
        Some((_, (at, _))) => (Status::Succeeded, Some(at)),
        None => (Status::Running, None),
    };
    Outcome { rollout: rollout.id, status, class: None, until: None, replaces: None, finished_at }
}
