//! Incidents, and which deployment failed.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll::event::incident::{IncidentKind, LinkKind};
use plimsoll::event::target::DeploymentRef;
use plimsoll::event::{Data, Timestamp};

use super::deployments::{Class, Deployment, Status};
use super::{Fact, Model};

/// A deployment: its target and id.
pub type Name = (String, String);

/// Trouble, as far as it is known.
#[derive(Debug, Clone, Default)]
pub struct Incident {
    /// When its effects began; else when it was noticed; else when it was opened.
    pub start: Option<i64>,
    /// When it ended for the last time, if it is over.
    pub resolved: Option<i64>,
    /// True when the cause was not ours.
    pub external: bool,
    /// True when it was foreseen: it is no trouble then.
    pub maintenance: bool,
    /// True when it is the same trouble as another one.
    pub duplicate: bool,
    /// The targets it is about.
    pub targets: BTreeSet<String>,
    /// The deployments that caused it.
    pub causes: BTreeSet<Name>,
}

/// Why a deployment counts as failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failure {
    /// The incidents that name it.
    pub incidents: BTreeSet<String>,
    /// The deployments that repair it or roll it back.
    pub repairs: BTreeSet<Name>,
    /// True when it took effect and never came to be healthy.
    pub unfinished: bool,
}

/// Every deployment of every target.
pub struct Everything(BTreeMap<Name, Deployment>);

impl Everything {
    pub fn get(&self, name: &Name) -> &Deployment {
        &self.0[name]
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Name, &Deployment)> {
        self.0.iter()
    }

    /// What is meant by a reference that was made of something that began at `at`.
    fn named(&self, model: &Model, reference: &DeploymentRef, at: Option<i64>) -> BTreeSet<Name> {
        let target = reference.target.as_ref().map(ToString::to_string);
        if reference.deployment.is_none() && reference.event.is_none() {
            let live = target.zip(at).and_then(|(target, at)| model.live(&target, at));
            return live.map(|deployment| (deployment.target, deployment.id)).into_iter().collect();
        }
        let meant = self.0.iter().filter(|((of, id), deployment)| {
            reference.deployment.as_ref().is_none_or(|named| named == id)
                && reference.event.as_ref().is_none_or(|event| deployment.events.contains(event))
                && target.as_ref().is_none_or(|target| target == of)
        });
        meant.map(|(name, _)| name.clone()).collect()
    }
}

fn later(known: &mut Option<i64>, said: Option<Timestamp>) {
    *known = said.map(Timestamp::micros).or(*known);
}

fn streams(names: Option<&Vec<plimsoll::event::StreamName>>) -> BTreeSet<String> {
    names.into_iter().flatten().map(ToString::to_string).collect()
}

/// What an incident's events say of deployments: whether those caused it, or did not.
type Said<'a> = Vec<(bool, &'a DeploymentRef)>;

/// What the events of one incident say, in order.
fn read<'a>(facts: &[&'a Fact]) -> (Incident, Said<'a>) {
    let (mut incident, mut said) = (Incident::default(), Vec::new());
    let (mut started, mut detected, mut opened) = (None, None, None);
    // Instants of being over (true) and being open again.
    let mut ends: Vec<(i64, i64, bool)> = Vec::new();
    for fact in facts {
        match &fact.data {
            Data::IncidentOpened(data) => {
                later(&mut started, data.started_at);
                later(&mut detected, data.detected_at);
                later(&mut opened, Some(data.opened_at));
                incident.external = data.external.unwrap_or(incident.external);
                incident.maintenance = data.kind == IncidentKind::Maintenance;
                if data.targets.is_some() {
                    incident.targets = streams(data.targets.as_ref());
                }
                said.extend(data.caused_by.iter().flatten().map(|reference| (true, reference)));
            }
            Data::IncidentResolved(data) => {
                later(&mut started, data.started_at);
                later(&mut detected, data.detected_at);
                incident.external = data.external.unwrap_or(incident.external);
                ends.push((data.resolved_at.micros(), fact.key, true));
            }
            Data::IncidentReopened(data) => ends.push((data.reopened_at.micros(), fact.key, false)),
            Data::IncidentLinked(data) => {
                later(&mut started, data.started_at);
                later(&mut detected, data.detected_at);
                incident.external = data.external.unwrap_or(incident.external);
                incident.duplicate |= data.link == LinkKind::DuplicateOf;
                if data.targets.is_some() {
                    incident.targets = streams(data.targets.as_ref());
                }
                if matches!(data.link, LinkKind::CausedBy | LinkKind::Unrelated) {
                    let causes = data.link == LinkKind::CausedBy;
                    said.extend(data.deployments.iter().flatten().map(|reference| (causes, reference)));
                }
            }
            _ => {}
        }
    }
    ends.sort_unstable();
    incident.start = started.or(detected).or(opened);
    incident.resolved = ends.last().filter(|(_, _, over)| *over).map(|(at, _, _)| *at);
    (incident, said)
}

impl Model {
    pub fn everything(&self) -> Everything {
        let all = self.targets().into_iter().flat_map(|target| self.deployments(&target));
        Everything(all.map(|deployment| ((deployment.target.clone(), deployment.id.clone()), deployment)).collect())
    }

    /// Every incident, by its stream; what was foreseen is none.
    pub fn incidents(&self, everything: &Everything) -> BTreeMap<String, Incident> {
        let mut of_stream: BTreeMap<&str, Vec<&Fact>> = BTreeMap::new();
        for fact in self.facts.iter().filter(|fact| fact.stream.starts_with("incident/")) {
            of_stream.entry(&fact.stream).or_default().push(fact);
        }
        let mut incidents = BTreeMap::new();
        for (stream, facts) in of_stream {
            let (mut incident, said) = read(&facts);
            for (causes, reference) in said {
                for name in everything.named(self, reference, incident.start) {
                    if causes {
                        incident.causes.insert(name);
                    } else {
                        incident.causes.remove(&name);
                    }
                }
            }
            if !incident.maintenance {
                incidents.insert(stream.to_owned(), incident);
            }
        }
        incidents
    }

    /// The deployments that took effect and failed, with why.
    pub fn failures(&self, everything: &Everything) -> BTreeMap<Name, Failure> {
        let mut failures: BTreeMap<Name, Failure> = BTreeMap::new();
        for (stream, incident) in self.incidents(everything) {
            for name in incident.causes.into_iter().filter(|_| !incident.external) {
                failures.entry(name).or_default().incidents.insert(stream.clone());
            }
        }
        for (name, deployment) in everything.iter() {
            let named = &deployment.remediates_deployments;
            let meant = named.iter().flat_map(|reference| everything.named(self, reference, deployment.started_at));
            let mut failed: BTreeSet<Name> = meant.collect();
            // One that names another, known or not, does not blame what it took the place of.
            if named.is_empty() && deployment.class == Class::Rollback {
                failed.extend(self.rolled_back(deployment));
            }
            failed.remove(name);
            for other in failed {
                failures.entry(other).or_default().repairs.insert(name.clone());
            }
            if deployment.effective() && deployment.status == Status::Failed {
                failures.entry(name.clone()).or_default().unfinished = true;
            }
        }
        failures.retain(|name, _| everything.get(name).effective());
        failures
    }

    /// What a rollback rolled back: what was live when it began, else what it took the place of.
    fn rolled_back(&self, rollback: &Deployment) -> Option<Name> {
        let live = rollback.started_at.and_then(|at| self.live(&rollback.target, at));
        let live = live.filter(|live| live.set != rollback.set).map(|live| live.id);
        Some((rollback.target.clone(), live.or(rollback.replaced.clone())?))
    }
}
