//! What ran where, from when to when.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll::event::target::{Application, DeploymentRef, Health, Image, ManifestSource, Operation, SyncTerminated};
use plimsoll::event::{Data, EventId, StreamName, Timestamp};

use super::{Fact, Model};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    Forward,
    Rollback,
    /// The same ran before: it took effect, and changed nothing.
    Redeploy,
    /// It did not take effect.
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    Running,
    Progressing,
    Succeeded,
    Failed,
    Terminated,
}

/// How the time of what a deployment brought ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    Open,
    Superseded(String),
    Removed,
}

/// One rollout to one target, however many clusters it went to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    pub target: String,
    pub id: String,
    /// What it brought: digests, or what stands for them.
    pub set: Vec<String>,
    pub class: Class,
    pub status: Status,
    /// When the first cluster had it, and the key of the fact that says so.
    pub effect: Option<(i64, i64)>,
    /// When it began, as far as is known.
    pub started_at: Option<i64>,
    pub finished_at: Option<i64>,
    /// Until when it was what runs; of redeploys and what had no effect, none.
    pub until: Option<i64>,
    pub end: End,
    /// Id of the deployment that was live just before.
    pub replaced: Option<String>,
    pub commit: Option<String>,
    /// Whether the commit was named with its repository.
    pub in_repository: bool,
    pub hotfix: bool,
    pub remediates_deployments: Vec<DeploymentRef>,
    pub remediates_incidents: Vec<StreamName>,
    /// The events that tell of it.
    pub events: BTreeSet<EventId>,
}

impl Deployment {
    /// Whether it changed what runs.
    pub fn effective(&self) -> bool {
        matches!(self.class, Class::Forward | Class::Rollback)
    }

    /// Whether it counts as a deployment that succeeded.
    pub fn succeeded(&self) -> bool {
        self.effective() && self.status == Status::Succeeded
    }

    /// Its place among finished deployments.
    pub fn finish(&self) -> Option<(i64, i64)> {
        Some((self.finished_at?, self.effect?.1))
    }

    /// Whether it was what ran at an instant.
    pub fn live_at(&self, at: i64) -> bool {
        self.effective()
            && self.effect.is_some_and(|(since, _)| since <= at)
            && self.until.is_none_or(|until| at < until)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Started,
    Retrying,
    Succeeded,
    Failed,
    Terminated,
}

/// One event of a rollout.
#[derive(Debug, Clone)]
struct Sync {
    at: i64,
    key: i64,
    event: EventId,
    kind: Kind,
    rollout: String,
    cluster: String,
    effective: Option<bool>,
    health: Option<Health>,
    images: Vec<String>,
    commit: Option<String>,
    in_repository: bool,
    version: Option<String>,
    revisions: String,
    started_at: Option<i64>,
    hotfix: bool,
    remediates_deployments: Vec<DeploymentRef>,
    remediates_incidents: Vec<StreamName>,
}

/// Fields that all events of a rollout have.
struct Common<'a> {
    application: &'a Option<Application>,
    commit: Option<String>,
    in_repository: bool,
    deployment: &'a Option<String>,
    git_ref: Option<String>,
    operation: &'a Option<Operation>,
    sources: &'a Option<Vec<ManifestSource>>,
    started_at: Option<Timestamp>,
    /// Of those that end a rollout.
    finished_at: Option<Timestamp>,
}

fn cluster(application: Option<&Application>, fact: &Fact) -> String {
    let named = application.map(|application| application.cluster.clone().unwrap_or(application.name.clone()));
    named.unwrap_or(fact.source.clone())
}

fn micros(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::micros)
}

fn images(images: Option<&Vec<Image>>) -> Vec<String> {
    let set: BTreeSet<String> = images
        .into_iter()
        .flatten()
        .map(|image| match (&image.digest, &image.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => format!("{}:{tag}", image.name),
            (None, None) => image.name.clone(),
        })
        .collect();
    set.into_iter().collect()
}

impl Sync {
    /// None for what is no part of a rollout.
    fn of(fact: &Fact) -> Option<Self> {
        let mut sync = match &fact.data {
            Data::SyncStarted(data) => {
                let common = Common {
                    application: &data.application,
                    commit: data.commit.as_ref().map(ToString::to_string),
                    in_repository: data.repository.is_some(),
                    deployment: &data.deployment,
                    git_ref: data.git_ref.clone(),
                    operation: &data.operation,
                    sources: &data.sources,
                    started_at: Some(data.started_at),
                    finished_at: None,
                };
                Self { images: images(data.images.as_ref()), ..Self::common(fact, Kind::Started, common)? }
            }
            Data::SyncSucceeded(data) => {
                let common = Common {
                    application: &data.application,
                    commit: data.commit.as_ref().map(ToString::to_string),
                    in_repository: data.repository.is_some(),
                    deployment: &data.deployment,
                    git_ref: data.git_ref.clone(),
                    operation: &data.operation,
                    sources: &data.sources,
                    started_at: data.started_at,
                    finished_at: Some(data.finished_at),
                };
                Self {
                    effective: data.effective,
                    health: data.health,
                    hotfix: data.hotfix == Some(true),
                    images: images(data.images.as_ref()),
                    remediates_deployments: data.remediates_deployments.clone().unwrap_or_default(),
                    remediates_incidents: data.remediates_incidents.clone().unwrap_or_default(),
                    version: data.version.clone(),
                    ..Self::common(fact, Kind::Succeeded, common)?
                }
            }
            Data::SyncFailed(data) => {
                let common = Common {
                    application: &data.application,
                    commit: data.commit.as_ref().map(ToString::to_string),
                    in_repository: data.repository.is_some(),
                    deployment: &data.deployment,
                    git_ref: None,
                    operation: &data.operation,
                    sources: &data.sources,
                    started_at: data.started_at,
                    finished_at: Some(data.finished_at),
                };
                let kind = if data.will_retry == Some(true) { Kind::Retrying } else { Kind::Failed };
                Self {
                    effective: data.effective,
                    health: data.health,
                    images: images(data.images.as_ref()),
                    ..Self::common(fact, kind, common)?
                }
            }
            Data::SyncTerminated(data) => Self::terminated(fact, data)?,
            _ => return None,
        };
        if sync.kind == Kind::Retrying {
            (sync.effective, sync.health) = (None, None);
        }
        Some(sync)
    }

    fn terminated(fact: &Fact, data: &SyncTerminated) -> Option<Self> {
        let common = Common {
            application: &data.application,
            commit: None,
            in_repository: false,
            deployment: &data.deployment,
            git_ref: None,
            operation: &data.operation,
            sources: &data.sources,
            started_at: data.started_at,
            finished_at: Some(data.finished_at),
        };
        Some(Self { effective: data.effective, ..Self::common(fact, Kind::Terminated, common)? })
    }

    fn common(fact: &Fact, kind: Kind, from: Common<'_>) -> Option<Self> {
        let operation = from.operation.as_ref();
        if operation.is_some_and(|operation| operation.dry_run == Some(true)) {
            return None;
        }
        let sources = from.sources.as_deref().unwrap_or_default();
        let revisions: Vec<_> = sources.iter().filter_map(|source| source.revision.clone()).collect();
        let at = from.finished_at.or(from.started_at)?.micros();
        let application = from.application.as_ref();
        let rollout = if let Some(id) = from.deployment {
            id.clone()
        } else if let Some(began) = operation.and_then(|operation| operation.started_at) {
            let application = application.map(|application| application.uid.as_ref().unwrap_or(&application.name));
            format!("{}@{}", application.map_or("", String::as_str), began.micros())
        } else {
            let first = sources.first().and_then(|source| source.revision.clone());
            let revision = from.commit.clone().or(from.git_ref).or(first).unwrap_or_default();
            format!("{revision}@{}", micros(from.started_at).unwrap_or(at))
        };
        let began = operation.and_then(|operation| operation.started_at);
        Some(Self {
            at,
            key: fact.key,
            event: fact.id,
            kind,
            rollout,
            cluster: cluster(application, fact),
            effective: None,
            health: None,
            images: Vec::new(),
            commit: from.commit,
            in_repository: from.in_repository,
            version: None,
            revisions: revisions.join(","),
            started_at: [micros(from.started_at), micros(began)].into_iter().flatten().min(),
            hotfix: false,
            remediates_deployments: Vec::new(),
            remediates_incidents: Vec::new(),
        })
    }

    fn ends(&self) -> bool {
        matches!(self.kind, Kind::Succeeded | Kind::Failed | Kind::Terminated)
    }
}

/// All that is said of one rollout, in order.
struct Rollout(Vec<Sync>);

impl Rollout {
    /// What ended it in each cluster, in order; nothing yet for a cluster where it runs.
    fn clusters(&self) -> BTreeMap<&str, Vec<&Sync>> {
        let mut clusters: BTreeMap<&str, Vec<&Sync>> = BTreeMap::new();
        for sync in &self.0 {
            let ends = clusters.entry(&sync.cluster).or_default();
            ends.extend(sync.ends().then_some(sync));
        }
        clusters
    }

    /// The first fact by which a cluster had it.
    fn effect_in(ends: &[&Sync]) -> Option<(i64, i64)> {
        let last = ends.last().filter(|last| last.kind == Kind::Succeeded && last.effective != Some(false));
        let said = ends.iter().filter(|sync| sync.effective == Some(true));
        said.chain(last).map(|sync| (sync.at, sync.key)).min()
    }

    fn effect(&self) -> Option<(i64, i64)> {
        self.clusters().values().filter_map(|ends| Self::effect_in(ends)).min()
    }

    fn last(&self) -> Option<&Sync> {
        self.0.iter().rfind(|sync| sync.ends())
    }

    /// The first answer, asking what ended it before all else, and the last before the others.
    fn tell<T>(&self, ask: impl Fn(&Sync) -> Option<T>) -> Option<T> {
        let ends = self.0.iter().rev().filter(|sync| sync.ends());
        ends.chain(self.0.iter().rev().filter(|sync| !sync.ends())).find_map(ask)
    }

    fn set(&self) -> Vec<String> {
        let images = self.tell(|sync| (!sync.images.is_empty()).then(|| sync.images.clone()));
        images.unwrap_or_else(|| {
            let commit = self.tell(|sync| sync.commit.as_ref().map(|commit| format!("commit:{commit}")));
            let version = || self.tell(|sync| sync.version.as_ref().map(|version| format!("version:{version}")));
            let revisions =
                || self.tell(|sync| (!sync.revisions.is_empty()).then(|| format!("revision:{}", sync.revisions)));
            vec![commit.or_else(version).or_else(revisions).unwrap_or_else(|| format!("rollout:{}", self.0[0].rollout))]
        })
    }
}

/// Health of a whole cluster: instant, key, cluster, health.
type HealthFact = (i64, i64, String, Health);

fn health(fact: &Fact, sync: Option<&Sync>) -> Option<HealthFact> {
    if let Data::HealthChanged(data) = &fact.data {
        let cluster = cluster(data.application.as_ref(), fact);
        return data.resource.is_none().then_some((fact.at, fact.key, cluster, data.after));
    }
    sync.and_then(|sync| Some((sync.at, sync.key, sync.cluster.clone(), sync.health?)))
}

/// When a cluster that had something new at `at` was healthy with it, which it had until `until`.
fn healthy(facts: &[HealthFact], cluster: &str, at: i64, until: Option<i64>) -> Option<i64> {
    let before = |instant: i64| until.is_none_or(|until| instant < until);
    let of_cluster: Vec<_> = facts.iter().filter(|fact| fact.2 == cluster).collect();
    let last = of_cluster.iter().rfind(|fact| fact.0 <= at);
    if !of_cluster.iter().any(|fact| before(fact.0)) || last.is_some_and(|fact| fact.3 == Health::Healthy) {
        return Some(at);
    }
    of_cluster.iter().find(|fact| at < fact.0 && before(fact.0) && fact.3 == Health::Healthy).map(|fact| fact.0)
}

/// Status and end of a rollout that took effect.
fn outcome(rollout: &Rollout, facts: &[HealthFact], until: Option<i64>) -> (Status, Option<i64>) {
    let clusters = rollout.clusters();
    let ended = rollout.last().map(|sync| sync.at);
    let lasts: Vec<_> = clusters.iter().map(|(cluster, ends)| (*cluster, ends.last().copied(), ends)).collect();
    if lasts.iter().any(|(_, last, _)| last.is_some_and(|last| last.kind != Kind::Succeeded)) {
        return (Status::Failed, ended);
    }
    let instants: Option<Vec<i64>> = lasts
        .iter()
        .map(|(cluster, last, ends)| {
            let last = (*last)?;
            // Where it succeeded and changed nothing, its health is not waited for.
            let Some((at, _)) = Rollout::effect_in(ends) else { return Some(last.at) };
            Some(healthy(facts, cluster, at, until)?.max(last.at))
        })
        .collect();
    match instants {
        Some(instants) => (Status::Succeeded, instants.into_iter().max()),
        None if until.is_some() => (Status::Failed, ended),
        None => (Status::Progressing, None),
    }
}

/// Status and end of a rollout without effect.
fn in_vain(rollout: &Rollout) -> (Status, Option<i64>) {
    let running = rollout.clusters().values().any(Vec::is_empty);
    match rollout.last() {
        Some(last) if !running => match last.kind {
            Kind::Terminated => (Status::Terminated, Some(last.at)),
            Kind::Succeeded => (Status::Succeeded, Some(last.at)),
            _ => (Status::Failed, Some(last.at)),
        },
        _ => (Status::Running, None),
    }
}

/// Something that changes what is live.
enum Step<'a> {
    Rollout(&'a str),
    Removed,
}

impl Model {
    /// Every deployment of a target: those that took effect in the order in which they did, then the others.
    pub fn deployments(&self, target: &str) -> Vec<Deployment> {
        let mut rollouts: BTreeMap<String, Rollout> = BTreeMap::new();
        let mut healths: Vec<HealthFact> = Vec::new();
        for fact in self.stream(target) {
            let sync = Sync::of(fact);
            healths.extend(health(fact, sync.as_ref()));
            if let Some(sync) = sync {
                rollouts.entry(sync.rollout.clone()).or_insert_with(|| Rollout(Vec::new())).0.push(sync);
            }
        }
        healths.sort_by_key(|fact| (fact.0, fact.1));
        rollouts.values_mut().for_each(|rollout| rollout.0.sort_by_key(|sync| (sync.at, sync.key)));
        let removals = self.stream(target).filter(|fact| matches!(fact.data, Data::TargetRemoved(_)));
        let mut steps: Vec<((i64, i64), Step<'_>)> =
            removals.map(|fact| ((fact.at, fact.key), Step::Removed)).collect();
        steps.extend(rollouts.iter().filter_map(|(id, rollout)| Some((rollout.effect()?, Step::Rollout(id)))));
        steps.sort_by_key(|(at, _)| *at);
        let mut deployments = classify(target, &rollouts, &steps);
        for deployment in &mut deployments {
            let rollout = &rollouts[&deployment.id];
            (deployment.status, deployment.finished_at) = outcome(rollout, &healths, deployment.until);
            if deployment.class == Class::Redeploy {
                (deployment.until, deployment.end) = (None, End::Open);
            }
        }
        deployments.extend(rollouts.iter().filter(|(_, rollout)| rollout.effect().is_none()).map(|(id, rollout)| {
            let (status, finished_at) = in_vain(rollout);
            Deployment { status, finished_at, ..blank(target, id, rollout) }
        }));
        deployments
    }

    /// What was live in a target at an instant.
    pub fn live(&self, target: &str, at: i64) -> Option<Deployment> {
        self.deployments(target).into_iter().find(|deployment| deployment.live_at(at))
    }
}

fn blank(target: &str, id: &str, rollout: &Rollout) -> Deployment {
    Deployment {
        target: target.to_owned(),
        id: id.to_owned(),
        set: rollout.set(),
        class: Class::None,
        status: Status::Running,
        effect: rollout.effect(),
        started_at: rollout.0.iter().filter_map(|sync| sync.started_at).min(),
        finished_at: None,
        until: None,
        end: End::Open,
        replaced: None,
        commit: rollout.tell(|sync| sync.commit.clone()),
        in_repository: rollout.tell(|sync| sync.commit.as_ref().map(|_| sync.in_repository)).unwrap_or(false),
        hotfix: rollout.0.iter().any(|sync| sync.hotfix),
        remediates_deployments: rollout.0.iter().flat_map(|sync| sync.remediates_deployments.clone()).collect(),
        remediates_incidents: rollout.0.iter().flat_map(|sync| sync.remediates_incidents.clone()).collect(),
        events: rollout.0.iter().map(|sync| sync.event).collect(),
    }
}

/// Goes through what changed the live state, in order. A redeploy gets the end of what it is a redeploy of.
fn classify(target: &str, rollouts: &BTreeMap<String, Rollout>, steps: &[((i64, i64), Step<'_>)]) -> Vec<Deployment> {
    let mut first_live: BTreeMap<Vec<String>, usize> = BTreeMap::new();
    let mut live: Option<(String, Vec<String>)> = None;
    let mut deployments: Vec<Deployment> = Vec::new();
    // Those that run, or were deployed again while they did, and have no end yet.
    let mut open: Vec<usize> = Vec::new();
    for (n, ((at, _), step)) in steps.iter().enumerate() {
        let Step::Rollout(id) = step else {
            for deployment in open.drain(..) {
                (deployments[deployment].until, deployments[deployment].end) = (Some(*at), End::Removed);
            }
            live = None;
            continue;
        };
        let mut deployment = blank(target, id, &rollouts[*id]);
        deployment.replaced = live.as_ref().map(|(id, _)| id.clone());
        deployment.class = match &live {
            Some((_, set)) if *set == deployment.set => Class::Redeploy,
            Some((_, set)) if first_live.get(&deployment.set).is_some_and(|first| *first < first_live[set]) => {
                Class::Rollback
            }
            _ => Class::Forward,
        };
        if deployment.class != Class::Redeploy {
            for earlier in open.drain(..) {
                deployments[earlier].until = Some(*at);
                deployments[earlier].end = End::Superseded((*id).to_owned());
            }
            first_live.entry(deployment.set.clone()).or_insert(n);
            live = Some(((*id).to_owned(), deployment.set.clone()));
        }
        open.push(deployments.len());
        deployments.push(deployment);
    }
    deployments
}
