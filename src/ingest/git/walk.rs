//! Reading a whole repository, oldest first.

use std::collections::HashSet;

use git2::{Oid, Repository, Sort};
use regex::Regex;

use super::commit;
use super::known::Known;
use super::manifest::{self, Manifests};
use super::name::RepositoryName;
use super::tags::{Changes, Refs, Tag, refs};
use super::{Error, Opened};
use crate::event::git::ObjectKind;
use crate::event::{Data, Draft, EventType, Name, StreamName, Timestamp};
use crate::ingest::Targets;

/// Drafts handed over at once.
const BATCH: usize = 500;

/// Bytes of messages handed over at once, roughly: what a ledger takes in one request is bounded.
const BATCH_BYTES: usize = 4 << 20;

/// Tags that stand for deployments.
#[derive(Debug, Clone)]
pub struct Releases {
    /// Which tags.
    pub pattern: Regex,
    /// Where they were deployed.
    pub environment: Name,
    /// What was deployed.
    pub service: Name,
}

impl Releases {
    /// The stream of the target.
    ///
    /// # Errors
    /// When the two names together are too long.
    pub fn stream(&self) -> Result<StreamName, crate::event::Error> {
        StreamName::of("target", &[self.environment.as_str(), self.service.as_str()])
    }
}

/// What to read.
pub struct Request {
    /// As the caller named it, for messages.
    pub location: String,
    /// The repository's stream and source.
    pub name: RepositoryName,
    /// What the ledger knows.
    pub known: Known,
    /// Tags that stand for deployments.
    pub releases: Option<Releases>,
    /// Where it keeps desired state, if it does.
    pub manifests: Option<Manifests>,
    /// Which target is meant by what paths call it.
    pub targets: Targets,
    /// Now.
    pub now: Timestamp,
}

/// How far the reading is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Commits read.
    pub commits: usize,
    /// Commits there are to read.
    pub total: usize,
}

/// What a batch is about. Branches and tags come after all commits, and may be recorded only when those are: a later
/// reading does not look behind a branch's tip that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Commits.
    Commits,
    /// Branches, tags and releases.
    Refs,
}

/// Takes drafts; false stops the reading.
pub(super) type Sink<'a> = dyn FnMut(Part, Vec<Draft>, Progress) -> bool + 'a;

/// Reads what the ledger does not know yet: commits oldest first, then branches, tags and releases. Blocks; run it on a
/// thread of its own.
///
/// # Errors
/// [`Error`]; what was handed over before is complete in itself, and the next reading goes on after it.
pub fn read(opened: &Opened, request: &Request, sink: &mut Sink<'_>) -> Result<(), Error> {
    let repository = &opened.repository;
    if repository.is_shallow() {
        return Err(Error::Shallow { repository: request.location.clone() });
    }
    let walk = |source| Error::Walk { repository: request.location.clone(), source };
    let refs = refs(repository).map_err(walk)?;
    let new = unknown_commits(repository, &refs, request).map_err(|source| match unreadable(repository, &refs) {
        Some((oid, source)) => {
            let (repository, oid) = (request.location.clone(), oid.to_string());
            Error::Object { repository, kind: "object", oid, source }
        }
        None => walk(source),
    })?;
    let progress = commits(repository, request, &new, sink)?;
    let changes = Changes {
        repository,
        location: &request.location,
        name: &request.name,
        known: &request.known,
        now: request.now,
    };
    let mut releases = Vec::new();
    // Before the branch: its tip, once known, hides what came before it.
    let mut drafts = match &request.manifests {
        Some(manifests) => manifest::drafts(repository, request, manifests)?,
        None => Vec::new(),
    };
    drafts.extend(changes.branches(&refs.branches)?);
    drafts.extend(changes.tags(&refs.tags, &mut |name, tag| {
        releases.extend(release(request, name, tag)?);
        Ok(())
    })?);
    // In the order of their times, as deployments are read; the name decides between equal ones.
    releases.sort_by(|a, b| (a.occurred_at, a.dedup.as_str()).cmp(&(b.occurred_at, b.dedup.as_str())));
    drafts.extend(releases);
    while !drafts.is_empty() {
        let rest = drafts.split_off(drafts.len().min(BATCH));
        hand_over(Part::Refs, std::mem::replace(&mut drafts, rest), progress, sink)?;
    }
    Ok(())
}

/// Hands over commits in batches.
fn commits(repository: &Repository, request: &Request, new: &[Oid], sink: &mut Sink<'_>) -> Result<Progress, Error> {
    let mut progress = Progress { commits: 0, total: new.len() };
    let (mut drafts, mut n_bytes) = (Vec::new(), 0);
    for oid in new {
        let missing = |source| Error::Object {
            repository: request.location.clone(),
            kind: "commit",
            oid: oid.to_string(),
            source,
        };
        let commit = repository.find_commit(*oid).map_err(missing)?;
        n_bytes += commit.message_raw_bytes().len();
        drafts.push(commit::draft(&request.name, &commit)?);
        progress.commits += 1;
        if drafts.len() >= BATCH || n_bytes >= BATCH_BYTES {
            hand_over(Part::Commits, std::mem::take(&mut drafts), progress, sink)?;
            n_bytes = 0;
        }
    }
    hand_over(Part::Commits, drafts, progress, sink)?;
    Ok(progress)
}

fn hand_over(part: Part, drafts: Vec<Draft>, progress: Progress, sink: &mut Sink<'_>) -> Result<(), Error> {
    if drafts.is_empty() || sink(part, drafts, progress) { Ok(()) } else { Err(Error::Stopped) }
}

/// The first object of the history that cannot be read, looked for when a walk fails: its error may not name it.
fn unreadable(repository: &Repository, refs: &Refs) -> Option<(Oid, git2::Error)> {
    let mut waiting = refs.others.clone();
    for reference in refs.branches.iter().chain(&refs.tags) {
        match repository.find_object(reference.oid, None) {
            Ok(object) => waiting.extend(object.peel_to_commit().map(|commit| commit.id())),
            Err(error) => return Some((reference.oid, error)),
        }
    }
    let mut seen = HashSet::new();
    while let Some(oid) = waiting.pop() {
        if seen.insert(oid) {
            match repository.find_commit(oid) {
                Ok(commit) => waiting.extend(commit.parent_ids()),
                Err(error) => return Some((oid, error)),
            }
        }
    }
    None
}

/// Every commit that a branch or tag reaches and the ledger does not know, parents before children.
fn unknown_commits(repository: &Repository, refs: &Refs, request: &Request) -> Result<Vec<Oid>, git2::Error> {
    let mut walk = repository.revwalk()?;
    walk.set_sorting(Sort::TOPOLOGICAL | Sort::REVERSE)?;
    let named = refs.branches.iter().chain(&refs.tags).map(|reference| reference.oid);
    for oid in named.chain(refs.others.iter().copied()) {
        // A tag may name a tree or a blob, which have no history.
        let object = repository.find_object(oid, None)?;
        if let Ok(commit) = object.peel_to_commit() {
            walk.push(commit.id())?;
        }
    }
    // Only what was recorded to its end may hide its history: tips of branches are recorded after their commits.
    for tip in request.known.branches.values().filter_map(|state| state.at.as_deref()) {
        if let Ok(oid) = Oid::from_str(tip)
            && repository.find_commit(oid).is_ok()
        {
            walk.hide(oid)?;
        }
    }
    let known = &request.known.commits;
    walk.filter(|oid| oid.as_ref().map_or(true, |oid| !known.contains(&oid.to_string()))).collect()
}

/// The deployment that a tag stands for, if it does.
fn release(request: &Request, name: &[u8], tag: &Tag) -> Result<Option<Draft>, Error> {
    let Some(releases) = &request.releases else { return Ok(None) };
    let Ok(text) = std::str::from_utf8(name) else { return Ok(None) };
    let Some(target) = &tag.data.target else { return Ok(None) };
    // One tag may stand for deployments of several services, or into several environments.
    let key = format!("release:{text}@{target}:{}/{}", releases.environment, releases.service);
    let key = if key.len() > 500 { format!("release:blake3:{}", blake3::hash(key.as_bytes())) } else { key };
    let wanted = tag.data.target_kind == Some(ObjectKind::Commit) && releases.pattern.is_match(text);
    if !wanted || request.known.releases.contains(&key) {
        return Ok(None);
    }
    let unfit = |source| Error::Event { what: format!("release {text}"), source };
    let payload = serde_json::json!({
        "commit": target,
        "finished_at": tag.at,
        "git_ref": format!("refs/tags/{text}"),
        "repository": request.name.stream,
        "version": text,
    });
    let data = Data::parse(EventType::SyncSucceeded, payload.to_string().as_bytes()).map_err(unfit)?;
    let stream = releases.stream().map_err(unfit)?;
    let mut draft = Draft::new(data, stream, request.name.source.clone(), key.parse().map_err(unfit)?, tag.at);
    draft.actor.clone_from(&tag.data.tagger);
    Ok(Some(draft))
}
