//! A year of a shop that deploys by GitOps, invented from a seed: what the projections are measured with.
//!
//! It is played through in the order of time: people write changes, pipelines build them, and the builds go from one
//! environment to the next, some only so far, some back again. So what is told fits together as it does in a real shop.
//! The same seed gives the same events.

mod artifact;
mod chance;
mod code;
mod fill;
mod shop;
mod target;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Result;
use crate::event::change::ReviewState;
use crate::event::target::Health;
use crate::event::{Draft, Timestamp};
use chance::Chance;
use code::{Change, Commit, Run};
use shop::{Build, DAY, HOUR, MINUTE, PRODUCTION, SECOND, Shop, sentence};
use target::Sync;

pub use fill::Filled;
pub(super) use fill::filled;

/// When the year ends: 2026-11-02T00:00:00Z, a Monday. Microseconds since 1970.
pub(super) const END: i64 = 1_793_577_600 * SECOND;

/// How long it is.
pub(super) const YEAR: i64 = 364 * DAY;

/// How long a change takes to get to production, and what follows from that, at most. The last ones begin that much before the end.
const TAIL: i64 = 4 * DAY;

/// Events that a change brings with it, on average, in tenths; rather too few, so that none comes after the end.
const TENTHS_PER_CHANGE: u64 = 372;

/// Of so many events, one is of a build that has a bill of materials.
const EVENTS_PER_DOCUMENT: u64 = 500;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Params {
    /// How many events there are in all.
    pub(super) events: u64,
    /// How many services.
    pub(super) services: u64,
    /// What chance begins with.
    pub(super) seed: u64,
}

/// An event, and the document that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    /// When the ledger comes to know. Of late events much later than when they happened.
    pub(super) at: Timestamp,
    pub(super) draft: Draft,
    pub(super) document: Option<Bytes>,
}

/// What happens next, and is decided only when it does.
enum Step {
    Open,
    Review(Box<Change>),
    Merge(Box<Change>),
    Deploy(Arc<Build>, usize),
    /// Production of a service goes back to what ran before, if the build is still what runs.
    RollBack(Arc<Build>),
}

enum What {
    Step(Step),
    Told(Box<Told>),
}

struct Planned {
    at: i64,
    /// Breaks ties in the order of planning.
    order: u64,
    what: What,
}

impl Planned {
    fn key(&self) -> (i64, u64) {
        (self.at, self.order)
    }
}

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Planned {}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Planned {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// The year, event by event, in the order in which the ledger comes to know.
pub(super) struct Estate {
    params: Params,
    chance: Chance,
    shop: Shop,
    planned: BinaryHeap<Reverse<Planned>>,
    order: u64,
    /// How many changes were begun.
    opened: u64,
    told: u64,
    builds: u64,
    incidents: u64,
    manifests: u64,
}

impl Estate {
    pub(super) fn new(params: Params) -> Result<Self> {
        let shop = Shop::new(params.seed, params.services.max(1))?;
        let chance = Chance::new(params.seed);
        let planned = BinaryHeap::new();
        let mut estate =
            Self { params, chance, shop, planned, order: 0, opened: 0, told: 0, builds: 0, incidents: 0, manifests: 0 };
        estate.plan(estate.opening(), What::Step(Step::Open));
        Ok(estate)
    }

    /// When the next change begins: spread evenly over the working hours of the year.
    fn opening(&self) -> i64 {
        let span = i128::from(YEAR - TAIL);
        let part = i128::from(self.opened) * i128::from(TENTHS_PER_CHANGE) * span;
        let even = part / i128::from(self.params.events.max(1) * 10);
        // Five days of ten hours stand for a week, from its first midnight on.
        let (week, of_week) = (even / i128::from(7 * DAY), even % i128::from(7 * DAY));
        let worked = of_week * 50 / (7 * 24);
        let (day, of_day) = (worked / i128::from(10 * HOUR), worked % i128::from(10 * HOUR));
        let at = week * i128::from(7 * DAY) + day * i128::from(DAY) + of_day + i128::from(8 * HOUR);
        END - YEAR + i64::try_from(at).unwrap_or(YEAR)
    }

    fn plan(&mut self, at: i64, what: What) {
        self.order += 1;
        self.planned.push(Reverse(Planned { at, order: self.order, what }));
    }

    fn step(&mut self, at: i64, step: Step) {
        self.plan(at, What::Step(step));
    }

    fn tell(&mut self, draft: Draft) {
        self.tell_with(draft, None);
    }

    fn tell_with(&mut self, draft: Draft, document: Option<Bytes>) {
        let mut at = draft.occurred_at.micros();
        // One in a thousand comes late.
        if self.chance.per_mille(1) && at + HOUR < END {
            at = self.chance.between(at + HOUR, END);
        }
        let told = Told { at: Timestamp::from_micros_clamped(at), draft, document };
        self.plan(at, What::Told(Box::new(told)));
    }

    fn take(&mut self, at: i64, step: Step) -> Result<()> {
        match step {
            Step::Open => {
                self.opened += 1;
                self.step(self.opening().max(at), Step::Open);
                self.open(at)
            }
            Step::Review(change) => self.review(at, change),
            Step::Merge(change) => self.merge(at, &change),
            Step::Deploy(build, environment) => self.deploy(at, build, environment, None),
            Step::RollBack(build) => self.roll_back(at, &build),
        }
    }

    /// Somebody writes a change, pushes it commit by commit, and asks for it to be merged.
    fn open(&mut self, at: i64) -> Result<()> {
        let n_services = self.shop.services.len();
        // Each service has its first change before any has its second; after that some are worked on more than others.
        let first = usize::try_from(self.opened - 1).ok().filter(|nth| *nth < n_services);
        let skewed = self.chance.skewed(n_services as u64);
        let index = first.unwrap_or(usize::try_from(skewed)?);
        let service = self.shop.service_mut(index)?;
        service.changes += 1;
        let (number, base, service_index) = (service.changes, service.tip.clone(), service.index);
        let author = self.shop.somebody(service_index, &mut self.chance);
        let reviewer = self.shop.reviewer(author, service_index, &mut self.chance);
        let n_commits = 1 + self.chance.below(3);
        let commits = (0..n_commits).map(|n| self.shop.oid(&format!("commit {n}"), service_index, number));
        let change = Change {
            service: index,
            number,
            author,
            reviewer,
            commits: commits.collect::<Result<_>>()?,
            base,
            hotfix: self.chance.per_mille(20),
            squash: self.chance.per_mille(250),
        };
        let mut now = at;
        let mut before = None;
        for (n, id) in (0..).zip(change.commits.clone()) {
            now += self.chance.between(5 * MINUTE, if change.hotfix { 20 * MINUTE } else { 5 * HOUR });
            let parents = vec![before.clone().unwrap_or_else(|| change.base.clone())];
            let message = sentence(self.shop.number("message", service_index, number * 4 + n));
            let authored_at = now - self.chance.between(0, 20 * MINUTE);
            let service = self.shop.service(index)?;
            let commit = Commit { id: &id, parents, author, authored_at, by_forge: false, message };
            let told = self.shop.commit(service, commit, now)?;
            let pushed = self.shop.branch(service, Some(&change), (before.as_ref(), &id), author, now + 30 * SECOND)?;
            self.tell(told);
            self.tell(pushed);
            before = Some(id);
        }
        now += 2 * MINUTE;
        let service = self.shop.service(index)?;
        let created = self.shop.created(service, &change, now)?;
        self.tell(created);
        let id = format!("{}", 9_000_000_000 + self.opened * 2);
        let (started_at, finished_at) = (now + 10 * SECOND, now + self.chance.between(3 * MINUTE, 12 * MINUTE));
        let run = Run { id, commit: change.head(), change: Some(&change), author, started_at, finished_at };
        self.run(index, &run)?;
        let waits = if change.hotfix { HOUR } else { 20 * HOUR };
        let reviewed_at = finished_at + self.chance.between(10 * MINUTE, waits);
        self.step(reviewed_at, Step::Review(Box::new(change)));
        Ok(())
    }

    fn run(&mut self, index: usize, run: &Run<'_>) -> Result<()> {
        let service = self.shop.service(index)?;
        let started = self.shop.run_started(service, run)?;
        let checks = self.shop.checks(service, run)?;
        let finished = self.shop.run_finished(service, run)?;
        self.tell(started);
        checks.into_iter().for_each(|check| self.tell(check));
        self.tell(finished);
        Ok(())
    }

    fn review(&mut self, at: i64, change: Box<Change>) -> Result<()> {
        let mut at = at;
        if self.chance.per_mille(300) {
            let commented =
                self.shop.reviewed(self.shop.service(change.service)?, &change, ReviewState::Commented, at)?;
            self.tell(commented);
            at += self.chance.between(10 * MINUTE, 3 * HOUR);
        }
        let approved = self.shop.reviewed(self.shop.service(change.service)?, &change, ReviewState::Approved, at)?;
        self.tell(approved);
        let merged_at = at + self.chance.between(MINUTE, 2 * HOUR);
        self.step(merged_at, Step::Merge(change));
        Ok(())
    }

    /// The change comes into the main branch; what the pipeline makes of that goes to the first environment.
    fn merge(&mut self, at: i64, change: &Change) -> Result<()> {
        let index = change.service;
        let service = self.shop.service(index)?;
        let (before, merge) = (service.tip.clone(), self.shop.oid("merge", service.index, change.number)?);
        let title = sentence(self.shop.number("title", service.index, change.number));
        let (parents, message) = if change.squash {
            (vec![before.clone()], format!("{title} (#{})", change.number))
        } else {
            (vec![before.clone(), change.head().clone()], format!("Merge pull request #{}\n\n{title}", change.number))
        };
        let commit = Commit { id: &merge, parents, author: change.author, authored_at: at, by_forge: true, message };
        let commit = self.shop.commit(service, commit, at)?;
        let moved = self.shop.branch(service, None, (Some(&before), &merge), change.author, at + SECOND)?;
        let merged = self.shop.merged(service, change, (&before, &merge), at + 2 * SECOND)?;
        let (started_at, finished_at) = (at + 10 * SECOND, at + self.chance.between(8 * MINUTE, 20 * MINUTE));
        let number = self.builds;
        let build = Arc::new(Build {
            service: index,
            number: change.number,
            nth: number,
            commit: merge.clone(),
            digest: self.shop.digest("image", service.index, change.number)?,
            tag: format!("main-{}", merge.as_str().get(..12).unwrap_or_default()),
            run: format!("{}", 9_000_000_001 + number * 2),
            hotfix: change.hotfix,
            merged_at: at,
        });
        self.builds += 1;
        self.shop.service_mut(index)?.tip = merge.clone();
        for told in [commit, moved, merged] {
            self.tell(told);
        }
        let id = build.run.clone();
        self.run(index, &Run { id, commit: &merge, change: None, author: change.author, started_at, finished_at })?;
        self.built(&build, finished_at - 2 * MINUTE)?;
        let deployed_at = finished_at + self.chance.between(MINUTE, 5 * MINUTE);
        self.step(deployed_at, Step::Deploy(build, 0));
        Ok(())
    }

    fn built(&mut self, build: &Arc<Build>, at: i64) -> Result<()> {
        let service = self.shop.service(build.service)?;
        let before = service.target(0)?.live.clone();
        let drafts = self.shop.artifact(service, build, before.as_deref(), at)?;
        let sbom = if build.nth < self.params.events / EVENTS_PER_DOCUMENT {
            Some(self.shop.sbom(service, build, at + 20 * SECOND)?)
        } else {
            None
        };
        drafts.into_iter().for_each(|draft| self.tell(draft));
        if let Some((draft, document)) = sbom {
            self.tell_with(draft, Some(document));
        }
        Ok(())
    }

    /// The build goes to an environment, unless a newer one is there already.
    fn deploy(
        &mut self,
        at: i64,
        build: Arc<Build>,
        environment: usize,
        reverts: Option<crate::event::GitOid>,
    ) -> Result<()> {
        let target = self.shop.service(build.service)?.target(environment)?;
        let back = reverts.is_some();
        if !back && target.live.as_ref().is_some_and(|live| live.merged_at > build.merged_at) {
            return Ok(());
        }
        if at < target.busy_until {
            self.step(target.busy_until, Step::Deploy(build, environment));
            return Ok(());
        }
        let (before, history) = (target.live.clone(), target.history);
        self.manifests += 1;
        let (manifest, values) =
            (self.shop.oid("manifest", self.manifests, 0)?, self.shop.oid("values", self.manifests, 0)?);
        let started_at = at + self.chance.between(20 * SECOND, 3 * MINUTE);
        let finished_at = started_at + self.chance.between(5 * SECOND, 40 * SECOND);
        let mut sync = Sync { environment, build: &build, manifest: &manifest, started_at, finished_at, history };
        let service = self.shop.service(build.service)?;
        let committed = self.shop.manifest(service, &sync, (before.as_deref(), &values), reverts.as_ref(), at)?;
        self.tell(committed);
        if self.chance.per_mille(20) {
            self.fail(&sync)?;
            sync.started_at = finished_at + 5 * MINUTE;
            sync.finished_at = sync.started_at + 30 * SECOND;
        }
        let healthy_at = sync.finished_at + self.chance.between(20 * SECOND, 3 * MINUTE);
        self.synced(&sync, healthy_at)?;
        self.follow(&sync, healthy_at, back)?;
        let target = self.shop.target_mut(build.service, environment)?;
        target.busy_until = healthy_at + SECOND;
        target.history += 1;
        target.manifest = Some(manifest);
        target.values = Some(values);
        if before.as_ref().is_none_or(|before| before.digest != build.digest) {
            target.before = before;
        }
        target.live = Some(build.clone());
        // A tenth stays in the first environment, and a tenth of the rest in the second.
        if !back && environment < PRODUCTION && (build.hotfix || !self.chance.per_mille(100)) {
            let soak = if build.hotfix { HOUR / 2 } else { 8 * HOUR };
            let next_at = healthy_at + self.chance.between(10 * MINUTE, soak);
            self.step(next_at, Step::Deploy(build.clone(), environment + 1));
        }
        Ok(())
    }

    fn fail(&mut self, sync: &Sync<'_>) -> Result<()> {
        let service = self.shop.service(sync.build.service)?;
        let started = self.shop.sync_started(service, sync)?;
        let failed = self.shop.sync_failed(service, sync)?;
        self.tell(started);
        self.tell(failed);
        Ok(())
    }

    fn synced(&mut self, sync: &Sync<'_>, healthy_at: i64) -> Result<()> {
        let (service, environment) = (self.shop.service(sync.build.service)?, sync.environment);
        let started = self.shop.sync_started(service, sync)?;
        let succeeded = self.shop.sync_succeeded(service, sync)?;
        let health = |change, at| self.shop.health(service, environment, sync.build, change, at);
        let progressing = health((Health::Healthy, Health::Progressing), sync.finished_at + SECOND)?;
        let healthy = health((Health::Progressing, Health::Healthy), healthy_at)?;
        for told in [started, succeeded, progressing, healthy] {
            self.tell(told);
        }
        Ok(())
    }

    /// What may follow a deployment: drift, an incident, the way back.
    fn follow(&mut self, sync: &Sync<'_>, healthy_at: i64, back: bool) -> Result<()> {
        if self.chance.per_mille(5) {
            let from = healthy_at + self.chance.between(HOUR, 12 * HOUR);
            let to = from + self.chance.between(10 * MINUTE, 12 * HOUR);
            let episode = self.shop.drift(self.shop.service(sync.build.service)?, sync.environment, (from, to))?;
            episode.into_iter().for_each(|draft| self.tell(draft));
        }
        if sync.environment != PRODUCTION || back {
            return Ok(());
        }
        if self.chance.per_mille(10) {
            self.incidents += 1;
            let from = healthy_at + self.chance.between(2 * MINUTE, HOUR);
            let to = from + self.chance.between(10 * MINUTE, 6 * HOUR);
            let service = self.shop.service(sync.build.service)?;
            let told = self.shop.incident(service, sync, self.incidents, (from, to))?;
            let health = |change, at| self.shop.health(service, PRODUCTION, sync.build, change, at);
            let degraded = health((Health::Healthy, Health::Degraded), from)?;
            let healthy = health((Health::Degraded, Health::Healthy), to - MINUTE)?;
            told.into_iter().chain([degraded, healthy]).for_each(|draft| self.tell(draft));
        }
        if self.chance.per_mille(30) {
            let at = healthy_at + self.chance.between(10 * MINUTE, 3 * HOUR);
            self.step(at, Step::RollBack(sync.build.clone()));
        }
        Ok(())
    }

    fn roll_back(&mut self, at: i64, build: &Arc<Build>) -> Result<()> {
        let target = self.shop.service(build.service)?.target(PRODUCTION)?;
        let runs = target.live.as_ref().is_some_and(|live| live.digest == build.digest);
        match target.before.clone().filter(|_| runs && at >= target.busy_until) {
            Some(before) => {
                let reverts = target.manifest.clone();
                self.deploy(at, before, PRODUCTION, reverts)
            }
            None => Ok(()),
        }
    }

    fn next_told(&mut self) -> Result<Option<Told>> {
        while self.told < self.params.events {
            let Some(Reverse(planned)) = self.planned.pop() else { return Ok(None) };
            match planned.what {
                What::Step(step) => self.take(planned.at, step)?,
                What::Told(told) => {
                    self.told += 1;
                    return Ok(Some(*told));
                }
            }
        }
        Ok(None)
    }
}

impl Iterator for Estate {
    type Item = Result<Told>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_told().transpose()
    }
}
