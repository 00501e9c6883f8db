//! What events of a target say of a rollout: pure.

use serde::{Deserialize, Serialize};

use super::super::Event;
use crate::event::target::{Application, Health, Image, ManifestSource, Operation, SyncTerminated, Uncertainty};
use crate::event::{Data, GitOid, StreamName, Timestamp};

/// What an event says became of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Started = 0,
    Succeeded = 1,
    Failed = 2,
    Terminated = 3,
}

impl Kind {
    pub(super) fn of(number: i64) -> Option<Self> {
        [Self::Started, Self::Succeeded, Self::Failed, Self::Terminated].into_iter().find(|kind| *kind as i64 == number)
    }
}

/// The deployer began by itself.
pub(super) const AUTOMATED: i64 = 1;
/// It was declared an urgent repair.
pub(in super::super) const HOTFIX: i64 = 2;
/// The deployer tries again: the attempt failed, not the rollout.
pub(super) const RETRIES: i64 = 4;
/// The source told success without a result of its own.
pub(super) const INCOMPLETE: i64 = 8;
/// Only single resources were synced.
pub(super) const PARTIAL: i64 = 16;
/// Somebody asked for it.
pub(super) const BY_HAND: i64 = 32;

/// An image, as answers show it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RunningImage {
    /// Its name with the registry.
    pub name: String,
    /// The tag it was asked for by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Its digest, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

impl From<&Image> for RunningImage {
    fn from(image: &Image) -> Self {
        let digest = image.digest.as_ref().map(ToString::to_string);
        Self { name: image.name.clone(), tag: image.tag.clone(), digest }
    }
}

impl RunningImage {
    /// By which it is told from others: its digest; where that is not known, name and tag.
    #[must_use]
    pub fn identity(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.clone(),
            (None, Some(tag)) => format!("{}:{tag}", self.name),
            (None, None) => self.name.clone(),
        }
    }
}

/// What one event says of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) kind: Kind,
    /// Names the rollout within the target.
    pub(super) rollout: String,
    pub(super) at: i64,
    pub(super) started_at: Option<i64>,
    pub(super) cluster: String,
    pub(super) effective: Option<bool>,
    pub(super) health: Option<Health>,
    /// By which one revision is told from another.
    pub(super) artifact_set: Option<String>,
    /// The images as JSON.
    pub(super) images: Option<String>,
    /// `<repository stream>@<commit>`; the stream is empty where it is not known.
    pub(super) source_commit: Option<String>,
    /// `<repository stream>@<revision>` of desired state.
    pub(super) manifest: Option<String>,
    pub(super) command: Option<String>,
    pub(super) initiated_by: Option<String>,
    pub(super) flags: i64,
    pub(super) observed_from: Option<i64>,
}

/// The parts that all four events have.
struct Parts<'a> {
    kind: Kind,
    at: Timestamp,
    started_at: Option<Timestamp>,
    application: Option<&'a Application>,
    deployment: Option<&'a String>,
    effective: Option<bool>,
    health: Option<Health>,
    images: Option<&'a Vec<Image>>,
    commit: Option<&'a GitOid>,
    repository: Option<&'a StreamName>,
    git_ref: Option<&'a String>,
    version: Option<&'a String>,
    sources: Option<&'a Vec<ManifestSource>>,
    operation: Option<&'a Operation>,
    observed_between: Option<&'a Uncertainty>,
    flags: i64,
}

/// The images that an event of a rollout names, each by its [identity](RunningImage::identity), and the time it tells of
/// them; none for other events, and for a rehearsal.
pub(in super::super) fn named_images(event: &Event) -> Option<(i64, Vec<String>)> {
    let parts = parts(&event.data)?;
    let rehearsal = parts.operation.is_some_and(|operation| operation.dry_run == Some(true));
    let images = parts.images.filter(|_| !rehearsal)?;
    Some((parts.at.micros(), images.iter().map(|image| RunningImage::from(image).identity()).collect()))
}

/// What an event says of a rollout; none for other events, and for a rehearsal.
pub(super) fn said(event: &Event) -> Option<Said> {
    let parts = parts(&event.data)?;
    if parts.operation.is_some_and(|operation| operation.dry_run == Some(true)) {
        return None;
    }
    let operation = parts.operation;
    let flag = |set: bool, flag: i64| if set { flag } else { 0 };
    let automated = operation.and_then(|operation| operation.automated);
    let flags = parts.flags
        | flag(automated == Some(true), AUTOMATED)
        | flag(automated == Some(false), BY_HAND)
        | flag(operation.is_some_and(|operation| operation.partial == Some(true)), PARTIAL);
    let images = parts.images.filter(|images| !images.is_empty()).map(|images| running(images));
    Some(Said {
        kind: parts.kind,
        rollout: rollout(&parts),
        at: parts.at.micros(),
        // The operation's beginning is the rollout's, also where the event does not repeat it.
        started_at: [parts.started_at, operation.and_then(|operation| operation.started_at)]
            .into_iter()
            .flatten()
            .map(Timestamp::micros)
            .min(),
        cluster: cluster(event, parts.application),
        effective: parts.effective,
        health: parts.health,
        artifact_set: artifact_set(&parts, images.as_deref()),
        images: images.and_then(|images| serde_json::to_string(&images).ok()),
        source_commit: parts.commit.map(|commit| format!("{}@{commit}", text(parts.repository))),
        manifest: parts.sources.and_then(|sources| manifest(sources)),
        command: operation.and_then(|operation| operation.command.as_ref()).map(ToString::to_string),
        initiated_by: operation
            .and_then(|operation| operation.initiated_by.as_ref())
            .map(ToString::to_string)
            .or_else(|| event.envelope.actor.as_ref().map(ToString::to_string)),
        flags,
        observed_from: parts.observed_between.map(|between| between.from.micros()),
    })
}

fn parts(data: &Data) -> Option<Parts<'_>> {
    let flag = |set: Option<bool>, flag: i64| if set == Some(true) { flag } else { 0 };
    Some(match data {
        Data::SyncStarted(it) => Parts {
            kind: Kind::Started,
            at: it.started_at,
            started_at: Some(it.started_at),
            application: it.application.as_ref(),
            deployment: it.deployment.as_ref(),
            effective: None,
            health: None,
            images: it.images.as_ref(),
            commit: it.commit.as_ref(),
            repository: it.repository.as_ref(),
            git_ref: it.git_ref.as_ref(),
            version: None,
            sources: it.sources.as_ref(),
            operation: it.operation.as_ref(),
            observed_between: it.observed_between.as_ref(),
            flags: 0,
        },
        Data::SyncSucceeded(it) => Parts {
            kind: Kind::Succeeded,
            at: it.finished_at,
            started_at: it.started_at,
            application: it.application.as_ref(),
            deployment: it.deployment.as_ref(),
            effective: it.effective,
            health: it.health,
            images: it.images.as_ref(),
            commit: it.commit.as_ref(),
            repository: it.repository.as_ref(),
            git_ref: it.git_ref.as_ref(),
            version: it.version.as_ref(),
            sources: it.sources.as_ref(),
            operation: it.operation.as_ref(),
            observed_between: it.observed_between.as_ref(),
            flags: flag(it.hotfix, HOTFIX) | flag(it.incomplete, INCOMPLETE),
        },
        Data::SyncFailed(it) => Parts {
            kind: Kind::Failed,
            at: it.finished_at,
            started_at: it.started_at,
            application: it.application.as_ref(),
            deployment: it.deployment.as_ref(),
            effective: it.effective,
            health: it.health,
            images: it.images.as_ref(),
            commit: it.commit.as_ref(),
            repository: it.repository.as_ref(),
            git_ref: None,
            version: None,
            sources: it.sources.as_ref(),
            operation: it.operation.as_ref(),
            observed_between: it.observed_between.as_ref(),
            flags: flag(it.will_retry, RETRIES),
        },
        Data::SyncTerminated(it) => terminated(it),
        _ => return None,
    })
}

fn terminated(it: &SyncTerminated) -> Parts<'_> {
    Parts {
        kind: Kind::Terminated,
        at: it.finished_at,
        started_at: it.started_at,
        application: it.application.as_ref(),
        deployment: it.deployment.as_ref(),
        effective: it.effective,
        health: None,
        images: None,
        commit: None,
        repository: None,
        git_ref: None,
        version: None,
        sources: it.sources.as_ref(),
        operation: it.operation.as_ref(),
        observed_between: it.observed_between.as_ref(),
        flags: 0,
    }
}

/// The deployer's own id of a rollout; else its operation; else what was deployed and when it began.
fn rollout(parts: &Parts<'_>) -> String {
    if let Some(deployment) = parts.deployment {
        return deployment.clone();
    }
    if let Some(started_at) = parts.operation.and_then(|operation| operation.started_at) {
        let of = parts.application.map_or("", |application| application.uid.as_ref().unwrap_or(&application.name));
        return format!("{of}@{}", started_at.micros());
    }
    let revision = parts
        .commit
        .map(ToString::to_string)
        .or_else(|| parts.git_ref.cloned())
        .or_else(|| parts.sources?.first()?.revision.clone())
        .unwrap_or_default();
    format!("{revision}@{}", parts.started_at.unwrap_or(parts.at).micros())
}

/// Where it happened: a deployer that runs several clusters reports each by itself.
pub(super) fn cluster(event: &Event, application: Option<&Application>) -> String {
    application
        .map(|application| application.cluster.as_ref().unwrap_or(&application.name).clone())
        .unwrap_or_else(|| event.envelope.source.to_string())
}

fn text(stream: Option<&StreamName>) -> &str {
    stream.map_or("", |stream| stream.as_str())
}

fn running(images: &[Image]) -> Vec<RunningImage> {
    let mut images: Vec<_> = images.iter().map(RunningImage::from).collect();
    images.sort();
    images.dedup();
    images
}

/// The digests are the revision; where they are not known, what comes nearest to them.
fn artifact_set(parts: &Parts<'_>, images: Option<&[RunningImage]>) -> Option<String> {
    if let Some(images) = images {
        let mut members: Vec<String> = images.iter().map(RunningImage::identity).collect();
        members.sort();
        members.dedup();
        return Some(match members.as_slice() {
            [one] => one.clone(),
            many => format!("set:{}", blake3::hash(many.join("\n").as_bytes())),
        });
    }
    let revisions = || {
        let revisions: Vec<_> = parts.sources?.iter().filter_map(|source| source.revision.as_deref()).collect();
        (!revisions.is_empty()).then(|| format!("revision:{}", revisions.join(",")))
    };
    let commit = parts.commit.map(|commit| format!("commit:{commit}"));
    commit.or_else(|| parts.version.map(|version| format!("version:{version}"))).or_else(revisions)
}

/// Desired state: the first source that is a repository.
fn manifest(sources: &[ManifestSource]) -> Option<String> {
    let source = sources.iter().find(|source| source.chart.is_none() && source.revision.is_some());
    let source = source.or_else(|| sources.iter().find(|source| source.revision.is_some()))?;
    Some(format!("{}@{}", text(source.repository.as_ref()), source.revision.as_deref()?))
}
