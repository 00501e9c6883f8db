//! The figures of a window.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::Model;
use super::commits::Outcome;
use super::deployments::{Class, Deployment};
use super::failures::{Everything, Failure, Name};

/// Samples in seconds, and what gave none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figure {
    /// In ascending order.
    pub samples: Vec<i64>,
    pub excluded: BTreeMap<&'static str, u64>,
    /// What began before the window's end and has not ended.
    pub open: u64,
}

impl Figure {
    pub fn n(&self) -> usize {
        self.samples.len()
    }

    /// The smallest sample that so many percent of all do not exceed.
    pub fn quantile(&self, percent: usize) -> Option<i64> {
        let rank = (percent * self.samples.len()).div_ceil(100);
        self.samples.get(rank.max(1) - 1).copied()
    }

    /// The mean as a fraction.
    pub fn mean(&self) -> Option<(i64, usize)> {
        (!self.samples.is_empty()).then(|| (self.samples.iter().sum(), self.samples.len()))
    }

    fn of(mut samples: Vec<i64>) -> Self {
        samples.sort_unstable();
        Self { samples, ..Self::default() }
    }
}

/// The figures of some targets in a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dora {
    /// Deployments that succeeded; none where none of the targets was there before the window and nothing happened.
    pub deployments: Option<u64>,
    /// Days with such a deployment.
    pub deployment_days: usize,
    /// Seconds between them.
    pub gaps: Figure,
    pub lead_time: Figure,
    /// Deployments that took effect: what the two ratios are of.
    pub effective: u64,
    pub failed: u64,
    pub rework: u64,
    pub recovery: Figure,
    pub mttr: Figure,
}

const DAY: i64 = 86_400_000_000;

impl Model {
    /// The figures of these targets in the window of microseconds.
    pub fn dora(&self, targets: &BTreeSet<String>, window: &Range<i64>) -> Dora {
        let everything = self.everything();
        let all: Vec<(&Name, &Deployment)> =
            everything.iter().filter(|((target, _), _)| targets.contains(target)).collect();
        let within = |deployment: &Deployment| deployment.finished_at.is_some_and(|at| window.contains(&at));
        let effective: Vec<_> =
            all.iter().copied().filter(|(_, deployment)| deployment.effective() && within(deployment)).collect();
        let mut finishes: Vec<i64> = all
            .iter()
            .filter(|(_, deployment)| deployment.succeeded() && within(deployment))
            .filter_map(|(_, deployment)| deployment.finished_at)
            .collect();
        finishes.sort_unstable();
        let days: BTreeSet<i64> = finishes.iter().map(|at| at.div_euclid(DAY)).collect();
        let gaps = finishes.windows(2).map(|pair| (pair[1] - pair[0]) / 1_000_000).collect();
        let existed = all.iter().any(|(_, deployment)| deployment.effect.is_some_and(|(at, _)| at < window.start));
        let n = u64::try_from(finishes.len()).unwrap();
        let failures = self.failures(&everything);
        let failed = effective.iter().filter(|(name, _)| failures.contains_key(*name)).count();
        let rework = effective.iter().filter(|(_, deployment)| unplanned(deployment)).count();
        Dora {
            deployments: (n > 0 || existed).then_some(n),
            deployment_days: days.len(),
            gaps: Figure::of(gaps),
            lead_time: self.lead_time(targets, window),
            effective: u64::try_from(effective.len()).unwrap(),
            failed: u64::try_from(failed).unwrap(),
            rework: u64::try_from(rework).unwrap(),
            recovery: self.recovery(&everything, &failures, targets, window),
            mttr: self.mttr(&everything, targets, window),
        }
    }

    fn lead_time(&self, targets: &BTreeSet<String>, window: &Range<i64>) -> Figure {
        let (mut samples, mut excluded) = (Vec::new(), BTreeMap::new());
        for target in targets {
            for change in self.changes(target).into_iter().filter(|change| window.contains(&change.finished_at)) {
                match change.outcome {
                    Outcome::Sample(seconds) => samples.push(seconds),
                    // Neither is a change: merges, and what was there from the beginning.
                    Outcome::Excluded("merge" | "baseline") => {}
                    Outcome::Excluded(reason) => *excluded.entry(reason).or_default() += 1,
                }
            }
            for deployment in self.succeeded(target) {
                let within = deployment.finished_at.is_some_and(|at| window.contains(&at));
                if within && self.revisions(&deployment).is_empty() {
                    *excluded.entry("unlinked").or_default() += 1;
                }
            }
        }
        Figure { excluded, ..Figure::of(samples) }
    }

    fn recovery(
        &self,
        everything: &Everything,
        failures: &BTreeMap<Name, Failure>,
        targets: &BTreeSet<String>,
        window: &Range<i64>,
    ) -> Figure {
        let incidents = self.incidents(everything);
        let (mut samples, mut open) = (Vec::new(), 0);
        for (name, failure) in failures.iter().filter(|((target, _), _)| targets.contains(target)) {
            let Some(finish) = everything.get(name).finish() else { continue };
            let mut repairs: Vec<&Deployment> = if failure.unfinished {
                let others = everything.iter().filter(|((target, _), _)| *target == name.0);
                others.map(|(_, deployment)| deployment).collect()
            } else {
                failure.repairs.iter().map(|repair| everything.get(repair)).collect()
            };
            repairs.retain(|repair| repair.succeeded() && repair.finish() > Some(finish));
            let end = if failure.incidents.is_empty() {
                repairs.iter().filter_map(|repair| repair.finished_at).min()
            } else {
                let ends: Option<Vec<i64>> =
                    failure.incidents.iter().map(|stream| incidents[stream].resolved).collect();
                ends.and_then(|ends| ends.into_iter().max())
            };
            match end {
                None => open += u64::from(finish.0 < window.end),
                Some(end) if window.contains(&end) => samples.push((end - finish.0).max(0) / 1_000_000),
                Some(_) => {}
            }
        }
        Figure { open, ..Figure::of(samples) }
    }

    fn mttr(&self, everything: &Everything, targets: &BTreeSet<String>, window: &Range<i64>) -> Figure {
        let (mut samples, mut excluded, mut open) = (Vec::new(), BTreeMap::new(), 0);
        for incident in self.incidents(everything).into_values() {
            let ours = incident.causes.iter().any(|(target, _)| targets.contains(target))
                || !incident.targets.is_disjoint(targets);
            // What is about no target at all is told of where all of them are asked about.
            let nowhere = incident.causes.is_empty() && incident.targets.is_empty();
            if !(ours || (nowhere && *targets == self.production())) {
                continue;
            }
            let end = incident.resolved.filter(|end| window.contains(end));
            let reason = match incident.start {
                _ if incident.duplicate => Some("duplicate"),
                _ if nowhere => Some("no_target"),
                None => Some("no_start"),
                Some(_) => None,
            };
            match (reason, incident.start, end) {
                (Some(reason), _, Some(_)) => *excluded.entry(reason).or_default() += 1,
                (None, Some(start), Some(end)) => samples.push((end - start).max(0) / 1_000_000),
                (None, Some(start), None) if incident.resolved.is_none() && start < window.end => open += 1,
                _ => {}
            }
        }
        Figure { excluded, open, ..Figure::of(samples) }
    }
}

/// Whether a deployment repairs what was not meant to break.
fn unplanned(deployment: &Deployment) -> bool {
    deployment.class == Class::Rollback
        || deployment.hotfix
        || !deployment.remediates_deployments.is_empty()
        || !deployment.remediates_incidents.is_empty()
}
