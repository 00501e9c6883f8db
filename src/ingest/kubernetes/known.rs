//! What the ledger knows of a cluster's objects: read at a start, so that nothing is recorded again.

use std::collections::BTreeMap;

use serde_json::Value;

use super::application::App;
use super::cluster::Cluster;
use super::project::{self, SeenProject};
use super::seen::{Drift, Seen};
use super::sight::Sight;
use super::transition::OUT_OF_SYNC;
use super::workload::{self, SeenWorkload};
use crate::event::target::{Application, Observation};
use crate::event::{Data, EvidenceRef, Peek, Recorded, Timestamp};
use crate::ingest::Targets;
use crate::ledger::{Blob, Entry, Ledger, Result};

/// Events of a target that are looked at first: enough where they are all of one application.
const NEWEST: u64 = 16;

/// Events of a target that are looked at where those do not tell: an episode of drift may have begun long ago.
const OLDER: u64 = 1_000;

/// Events of the stream `policy` that are looked at.
const POLICY: u64 = 10_000;

/// Streams that are listed at once.
const STREAMS: usize = 1_000;

/// A cluster's objects as they were last seen.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Applications, by uid.
    pub applications: BTreeMap<String, Seen>,
    /// `AppProject`s, by uid.
    pub projects: BTreeMap<String, SeenProject>,
    /// Workloads, by what events name them by.
    pub workloads: BTreeMap<String, SeenWorkload>,
    /// When the newest event about the cluster was recorded: until then it was watched.
    pub until: Option<Timestamp>,
}

/// What events say of one application, newest first.
#[derive(Default)]
struct Trail {
    position: u64,
    removed: bool,
    object: Option<EvidenceRef>,
    /// The newest word on drift: its id and the object as it was when it opened, or that it closed.
    drift: Option<Word>,
}

/// An episode of drift with the object as it was when it opened; none where it closed.
type Word = Option<(String, Option<EvidenceRef>)>;

/// What is read from streams, before evidence is.
#[derive(Default)]
struct Trails {
    applications: BTreeMap<String, Trail>,
    projects: BTreeMap<String, Option<EvidenceRef>>,
    workloads: BTreeMap<String, SeenWorkload>,
    until: Option<Timestamp>,
}

impl Known {
    /// What the ledger knows of a cluster.
    ///
    /// # Errors
    /// `Corrupt`; storage errors.
    pub async fn read(ledger: &Ledger, cluster: &Cluster, targets: &Targets) -> Result<Self> {
        let (reader, of) = (ledger.clone(), cluster.clone());
        let read = tokio::task::spawn_blocking(move || Trails::read(&reader, &of)).await;
        let trails = read.map_err(|error| crate::ledger::Error::Internal(error.to_string()))??;
        let mut known = Self { workloads: trails.workloads, until: trails.until, ..Self::default() };
        let sight = Sight {
            source: &cluster.argocd,
            targets,
            cluster: Some(&cluster.settings.name),
            observation: Observation::Relist,
            at: ledger.clock().now(),
            since: None,
        };
        for (uid, trail) in trails.applications {
            let Some(object) = object(ledger, trail.object.as_ref().filter(|_| !trail.removed)).await? else {
                continue;
            };
            let Some(mut seen) = seen(&object, &sight).filter(|seen| seen.identity == uid) else { continue };
            let mut drift = trail.drift;
            if drift.is_none() && seen.sync == OUT_OF_SYNC {
                let (reader, of, stream) = (ledger.clone(), cluster.clone(), seen.stream.clone());
                let uid = uid.clone();
                let read = tokio::task::spawn_blocking(move || older_drift(&reader, &of, stream.as_str(), &uid)).await;
                drift = read.map_err(|error| crate::ledger::Error::Internal(error.to_string()))??;
            }
            if let Some(Some((id, opened))) = drift {
                let then = self::object(ledger, opened.as_ref()).await?;
                let then = then.as_ref().and_then(|object| self::seen(object, &sight));
                seen.drift =
                    Some(then.map_or(Drift { id: id.clone(), operation: None }, |then| Drift::after(id, &then)));
            }
            known.applications.insert(uid, seen);
        }
        for (uid, document) in trails.projects {
            let Some(object) = object(ledger, document.as_ref()).await? else { continue };
            if let Ok(seen) = project::read(&object) {
                known.projects.insert(uid, seen);
            }
        }
        Ok(known)
    }
}

fn seen(object: &Value, sight: &Sight<'_>) -> Option<Seen> {
    App::read(object).and_then(|app| Seen::of(&app, sight)).ok()
}

/// An object as it was kept. One that was erased is not known any more.
async fn object(ledger: &Ledger, reference: Option<&EvidenceRef>) -> Result<Option<Value>> {
    let Some(reference) = reference else { return Ok(None) };
    Ok(match ledger.evidence().get(reference).await? {
        Blob::Intact(bytes) => serde_json::from_slice(&bytes).ok(),
        Blob::Missing | Blob::Damaged(_) => None,
    })
}

impl Trails {
    fn read(ledger: &Ledger, cluster: &Cluster) -> Result<Self> {
        let mut trails = Self::default();
        let mut after: Option<String> = None;
        loop {
            let streams = ledger.streams("target/", after.as_deref(), STREAMS)?;
            let Some(last) = streams.last() else { break };
            after = Some(last.name.clone());
            for stream in &streams {
                trails.target(ledger, cluster, &stream.name, stream.seq)?;
            }
        }
        if let Some(policy) = ledger.streams("policy", None, 1)?.first().filter(|stream| stream.name == "policy") {
            for entry in newest(ledger, "policy", policy.seq, POLICY)?.iter().rev() {
                trails.project(entry, cluster)?;
            }
        }
        Ok(trails)
    }

    /// Reads a target's newest events, and older ones where those say nothing of the cluster.
    fn target(&mut self, ledger: &Ledger, cluster: &Cluster, stream: &str, seq: u64) -> Result<()> {
        for window in [NEWEST, OLDER] {
            let mut found = false;
            let mut here = Self::default();
            for entry in newest(ledger, stream, seq, window)?.iter().rev() {
                found |= here.entry(entry, cluster)?;
            }
            let whole = here.applications.values().all(|trail| trail.removed || trail.object.is_some());
            if window == OLDER || seq < NEWEST || (found && whole) {
                self.add(here);
                break;
            }
        }
        Ok(())
    }

    fn add(&mut self, other: Self) {
        self.until = self.until.max(other.until);
        self.workloads.extend(other.workloads);
        for (uid, trail) in other.applications {
            // An application that moved to another target left its trail behind.
            let known = self.applications.entry(uid).or_default();
            if known.object.is_none() || known.position < trail.position {
                *known = trail;
            }
        }
    }

    /// Notes an event; true for one of the cluster's.
    fn entry(&mut self, entry: &Entry, cluster: &Cluster) -> Result<bool> {
        let corrupt =
            |error: crate::event::Error| crate::ledger::Error::Corrupt(format!("event {}: {error}", entry.position));
        let peek = Peek::new(&entry.leaf).map_err(corrupt)?;
        let (argocd, kubernetes) = (peek.source == cluster.argocd.as_str(), peek.source == cluster.kubernetes.as_str());
        if !argocd && !kubernetes {
            return Ok(false);
        }
        let event = Recorded::parse(entry.leaf.clone()).map_err(corrupt)?;
        self.until = self.until.max(Some(event.envelope().recorded_at));
        let evidence = event.envelope().evidence.first().cloned();
        let data = event.data().map_err(corrupt)?;
        if let Data::WorkloadScaled(scaled) = &data {
            let stream = event.envelope().stream.clone();
            let seen = SeenWorkload { workload: scaled.workload.clone(), stream, replicas: scaled.after };
            self.workloads.entry(workload::key(&scaled.workload)).or_insert(seen);
        }
        let Some(uid) = application(&data).and_then(|application| application.uid.clone()) else { return Ok(true) };
        // A webhook of Argo CD's may report under the same source; its body is not the object.
        if event.envelope().dedup.as_str().strip_prefix(uid.as_str()).is_none_or(|rest| !rest.starts_with(' ')) {
            return Ok(true);
        }
        let trail = self.applications.entry(uid).or_default();
        trail.position = trail.position.max(entry.position);
        match &data {
            Data::TargetRemoved(_) => trail.removed = true,
            Data::DriftOpened(opened) if trail.drift.is_none() => {
                trail.drift = Some(Some((opened.drift.clone(), evidence.clone())));
            }
            Data::DriftClosed(_) if trail.drift.is_none() => trail.drift = Some(None),
            _ => {}
        }
        trail.object = trail.object.take().or(evidence);
        Ok(true)
    }

    fn project(&mut self, entry: &Entry, cluster: &Cluster) -> Result<()> {
        let corrupt =
            |error: crate::event::Error| crate::ledger::Error::Corrupt(format!("event {}: {error}", entry.position));
        if Peek::new(&entry.leaf).map_err(corrupt)?.source != cluster.argocd.as_str() {
            return Ok(());
        }
        let event = Recorded::parse(entry.leaf.clone()).map_err(corrupt)?;
        self.until = self.until.max(Some(event.envelope().recorded_at));
        if let Data::ProjectChanged(changed) = event.data().map_err(corrupt)?
            && let Some(uid) = changed.uid
        {
            let document = event.envelope().evidence.first().filter(|_| changed.after.is_some()).cloned();
            self.projects.entry(uid).or_insert(document);
        }
        Ok(())
    }
}

/// The newest word on an application's drift, where it lies further back.
fn older_drift(ledger: &Ledger, cluster: &Cluster, stream: &str, uid: &str) -> Result<Option<Word>> {
    let Some(info) = ledger.streams(stream, None, 1)?.into_iter().find(|info| info.name == stream) else {
        return Ok(None);
    };
    let mut trails = Trails::default();
    for entry in newest(ledger, stream, info.seq, OLDER)?.iter().rev() {
        trails.entry(entry, cluster)?;
        if let Some(word) = trails.applications.get(uid).and_then(|trail| trail.drift.clone()) {
            return Ok(Some(word));
        }
    }
    Ok(None)
}

/// The newest events of a stream, oldest first.
fn newest(ledger: &Ledger, stream: &str, seq: u64, limit: u64) -> Result<Vec<Entry>> {
    let from = seq.saturating_add(1).saturating_sub(limit);
    ledger.stream(stream, from, usize::try_from(limit).unwrap_or(usize::MAX))
}

/// The application that an event of a watch is about.
fn application(data: &Data) -> Option<&Application> {
    match data {
        Data::SyncStarted(fact) => fact.application.as_ref(),
        Data::SyncSucceeded(fact) => fact.application.as_ref(),
        Data::SyncFailed(fact) => fact.application.as_ref(),
        Data::SyncTerminated(fact) => fact.application.as_ref(),
        Data::HealthChanged(fact) => fact.application.as_ref(),
        Data::DriftOpened(fact) => fact.application.as_ref(),
        Data::DriftClosed(fact) => fact.application.as_ref(),
        Data::GuardChanged(fact) => fact.application.as_ref(),
        Data::TargetRemoved(fact) => fact.application.as_ref(),
        _ => None,
    }
}
