//! Taking in events.

use rusqlite::params;

use super::super::deployment::RunningImage;
use super::super::registry::{About, Projection, Step};
use super::super::{Result, source};
use crate::event::artifact::{
    ArtifactPublished, AttestationAttached, BuildFinished, Platform, ScanFinished, TagRepointed,
};
use crate::event::target::{ManifestCommitted, ManifestSource};
use crate::event::{Data, Digest, GitOid, StreamName};

/// The fold.
#[derive(Debug, Default)]
pub struct Artifacts;

impl Projection for Artifacts {
    fn about(&self) -> &'static About {
        &super::ABOUT
    }

    fn fold(&mut self, step: &mut Step<'_>) -> Result<()> {
        match &step.event.data {
            Data::CommitRecorded(it) => return recorded(step, &it.commit),
            Data::ManifestCommitted(it) => return requested(step, it),
            Data::CheckFinished(it) => return checked(step, it.artifact.as_ref()),
            Data::TestsuiteFinished(it) => return checked(step, it.artifact.as_ref()),
            Data::SyncStarted(it) => {
                return mentioned(step, it.repository.as_ref(), it.commit.as_ref(), it.sources.as_ref());
            }
            Data::SyncSucceeded(it) => {
                return mentioned(step, it.repository.as_ref(), it.commit.as_ref(), it.sources.as_ref());
            }
            Data::SyncFailed(it) => {
                return mentioned(step, it.repository.as_ref(), it.commit.as_ref(), it.sources.as_ref());
            }
            _ => {}
        }
        let Some(digest) = step.event.stream().strip_prefix("artifact/") else { return Ok(()) };
        match &step.event.data {
            Data::BuildFinished(it) => built(step, digest, it),
            Data::ArtifactPublished(it) => published(step, digest, it),
            Data::TagRepointed(it) => repointed(step, digest, it),
            Data::ScanFinished(it) => scanned(step, digest, it),
            Data::SbomAttached(_) => listed(step, digest),
            Data::AttestationAttached(it) => attested(step, digest, it),
            _ => Ok(()),
        }
    }
}

/// The number of the commit that an artifact is of.
fn commit(step: &mut Step<'_>, repository: Option<&StreamName>, commit: Option<&GitOid>) -> Result<Option<i64>> {
    let repository = repository.map_or("", |stream| stream.as_str());
    commit.map(|commit| source::commit_id(step, repository, commit.as_str())).transpose()
}

/// Gives numbers to the commits that a deployment is of, so that they are found by the beginning of their ids.
fn mentioned(
    step: &mut Step<'_>,
    repository: Option<&StreamName>,
    of: Option<&GitOid>,
    sources: Option<&Vec<ManifestSource>>,
) -> Result<()> {
    commit(step, repository, of)?;
    for source in sources.into_iter().flatten().filter(|source| source.chart.is_none()) {
        let revision = source.revision.as_ref().and_then(|revision| revision.parse::<GitOid>().ok());
        commit(step, source.repository.as_ref(), revision.as_ref())?;
    }
    Ok(())
}

/// Tells that the source commits of an artifact, and of what it is linked with, may be others now.
fn changed(step: &mut Step<'_>, artifact: i64) -> Result<()> {
    step.changes.artifacts.push(artifact);
    for other in super::query::linked(step.tx, artifact, i64::MAX)? {
        step.changes.artifacts.push(other);
    }
    Ok(())
}

fn link(step: &mut Step<'_>, whole: i64, part: i64) -> Result<()> {
    step.tx
        .prepare_cached("INSERT OR IGNORE INTO platform_link (whole, part, position) VALUES (?1, ?2, ?3)")?
        .execute(params![whole, part, step.event.position])?;
    Ok(())
}

fn link_platforms(step: &mut Step<'_>, whole: i64, platforms: Option<&Vec<Platform>>) -> Result<()> {
    for platform in platforms.into_iter().flatten() {
        let part = step.name(&platform.digest.to_string())?;
        link(step, whole, part)?;
    }
    Ok(())
}

fn built(step: &mut Step<'_>, digest: &str, it: &BuildFinished) -> Result<()> {
    let (tx, artifact) = (step.tx, step.name(digest)?);
    let commit = commit(step, it.repository.as_ref(), it.commit.as_ref())?;
    let run = step.names.optional(tx, it.run.as_deref())?;
    let name = step.names.optional(tx, it.name.as_deref())?;
    let service = step.names.optional(tx, it.service.as_ref().map(|service| service.as_str()))?;
    let version = step.names.optional(tx, it.version.as_deref())?;
    let event = step.event;
    tx.prepare_cached(
        "INSERT OR IGNORE INTO build (artifact, key, position, at, commit_id, conclusion, run, name, service, version) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        artifact,
        event.key,
        event.position,
        event.at,
        commit,
        it.conclusion as i64,
        run,
        name,
        service,
        version,
    ])?;
    link_platforms(step, artifact, it.platforms.as_ref())?;
    changed(step, artifact)
}

fn published(step: &mut Step<'_>, digest: &str, it: &ArtifactPublished) -> Result<()> {
    let (artifact, name) = (step.name(digest)?, step.name(&it.name)?);
    let labelled_commit = commit(step, None, it.labelled_commit.as_ref())?;
    let event = step.event;
    step.tx
        .prepare_cached(
            "INSERT OR IGNORE INTO publication (artifact, key, position, at, name, labelled_commit) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![artifact, event.key, event.position, event.at, name, labelled_commit])?;
    for tag in &it.tags {
        tagged(step, artifact, name, tag)?;
    }
    if let Some(index) = &it.index {
        let whole = step.name(&index.to_string())?;
        link(step, whole, artifact)?;
    }
    link_platforms(step, artifact, it.platforms.as_ref())?;
    changed(step, artifact)
}

fn repointed(step: &mut Step<'_>, digest: &str, it: &TagRepointed) -> Result<()> {
    let (artifact, name) = (step.name(digest)?, step.name(&it.name)?);
    tagged(step, artifact, name, &it.tag)
}

fn tagged(step: &mut Step<'_>, artifact: i64, name: i64, tag: &str) -> Result<()> {
    let tag = step.name(tag)?;
    let event = step.event;
    step.tx
        .prepare_cached(
            "INSERT OR IGNORE INTO artifact_tag (tag, name, at, key, position, artifact) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![tag, name, event.at, event.key, event.position, artifact])?;
    Ok(())
}

fn scanned(step: &mut Step<'_>, digest: &str, it: &ScanFinished) -> Result<()> {
    let (artifact, tool) = (step.name(digest)?, step.name(&it.tool)?);
    let severities = it.severities.as_ref();
    let event = step.event;
    step.tx
        .prepare_cached(
            "INSERT OR IGNORE INTO scan (artifact, key, position, at, kind, status, tool, critical, high, medium, low, \
             findings) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(params![
            artifact,
            event.key,
            event.position,
            event.at,
            it.kind as i64,
            it.status as i64,
            tool,
            severities.map(|it| it.critical),
            severities.map(|it| it.high),
            severities.map(|it| it.medium),
            severities.map(|it| it.low),
            it.findings,
        ])?;
    Ok(())
}

fn listed(step: &mut Step<'_>, digest: &str) -> Result<()> {
    let artifact = step.name(digest)?;
    let event = step.event;
    step.tx
        .prepare_cached("INSERT OR IGNORE INTO sbom (artifact, key, position, at) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![artifact, event.key, event.position, event.at])?;
    Ok(())
}

fn attested(step: &mut Step<'_>, digest: &str, it: &AttestationAttached) -> Result<()> {
    let (artifact, predicate) = (step.name(digest)?, step.name(&it.predicate_type)?);
    let commit = commit(step, it.repository.as_ref(), it.commit.as_ref())?;
    let event = step.event;
    step.tx
        .prepare_cached(
            "INSERT OR IGNORE INTO attestation (artifact, key, position, at, commit_id, predicate) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![artifact, event.key, event.position, event.at, commit, predicate])?;
    if commit.is_some() {
        step.changes.artifacts.push(artifact);
    }
    Ok(())
}

fn checked(step: &mut Step<'_>, artifact: Option<&Digest>) -> Result<()> {
    let Some(artifact) = artifact else { return Ok(()) };
    let artifact = step.name(&artifact.to_string())?;
    step.tx
        .prepare_cached("INSERT INTO artifact_check (artifact, position) VALUES (?1, ?2)")?
        .execute(params![artifact, step.event.position])?;
    Ok(())
}

fn requested(step: &mut Step<'_>, it: &ManifestCommitted) -> Result<()> {
    commit(step, Some(&it.repository), Some(&it.commit))?;
    for image in it.images.iter().flatten().filter_map(|edit| edit.after.as_ref()) {
        let image = step.name(&RunningImage::from(image).identity())?;
        step.tx
            .prepare_cached("INSERT OR IGNORE INTO image_request (image, position) VALUES (?1, ?2)")?
            .execute(params![image, step.event.position])?;
    }
    Ok(())
}

/// A commit became known in a repository: artifacts of that commit, whose repository nobody told, are of this one now.
fn recorded(step: &mut Step<'_>, commit: &GitOid) -> Result<()> {
    let (oid, nowhere) = (step.name(commit.as_str())?, step.name("")?);
    let artifacts = super::query::of_commit_without_repository(step.tx, oid, nowhere)?;
    for artifact in artifacts {
        changed(step, artifact)?;
    }
    Ok(())
}
