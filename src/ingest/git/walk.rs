//! Reading a whole repository, oldest first.

use git2::{Oid, Repository, Sort};
use regex::Regex;

use super::commit;
use super::known::Known;
use super::name::RepositoryName;
use super::tags::{Changes, Tag, refs};
use super::{Error, Opened};
use crate::event::git::ObjectKind;
use crate::event::{Data, Draft, EventType, Name, StreamName, Timestamp};

/// Drafts handed over at once.
const BATCH: usize = 500;

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

/// Takes drafts; false stops the reading.
pub(super) type Sink<'a> = dyn FnMut(Vec<Draft>, Progress) -> bool + 'a;

/// Reads what the ledger does not know yet: commits oldest first, then branches, tags and releases. Blocks; run it on a
/// thread of its own.
///
/// # Errors
/// [`Error`]; what was handed over before is complete in itself, and the next reading goes on after it.
pub fn read(opened: &Opened, request: &Request, sink: &mut Sink<'_>) -> Result<(), Error> {
    let repository = &opened.repository;
    let walk = |source| Error::Walk { repository: request.location.clone(), source };
    let (branches, tags) = refs(repository).map_err(walk)?;
    let new = unknown_commits(repository, request).map_err(walk)?;
    let mut progress = Progress { commits: 0, total: new.len() };
    for oids in new.chunks(BATCH) {
        let mut drafts = Vec::with_capacity(oids.len());
        for oid in oids {
            let missing = |source| Error::Object {
                repository: request.location.clone(),
                kind: "commit",
                oid: oid.to_string(),
                source,
            };
            drafts.push(commit::draft(&request.name, &repository.find_commit(*oid).map_err(missing)?)?);
        }
        progress.commits += drafts.len();
        hand_over(drafts, progress, sink)?;
    }
    let changes = Changes {
        repository,
        location: &request.location,
        name: &request.name,
        known: &request.known,
        now: request.now,
    };
    let mut releases = Vec::new();
    let mut drafts = changes.branches(&branches)?;
    drafts.extend(changes.tags(&tags, &mut |name, tag| {
        releases.extend(release(request, name, tag)?);
        Ok(())
    })?);
    // In the order of their times, as deployments are read; the name decides between equal ones.
    releases.sort_by(|a, b| (a.occurred_at, a.dedup.as_str()).cmp(&(b.occurred_at, b.dedup.as_str())));
    drafts.extend(releases);
    while !drafts.is_empty() {
        let rest = drafts.split_off(drafts.len().min(BATCH));
        hand_over(std::mem::replace(&mut drafts, rest), progress, sink)?;
    }
    Ok(())
}

fn hand_over(drafts: Vec<Draft>, progress: Progress, sink: &mut Sink<'_>) -> Result<(), Error> {
    if drafts.is_empty() || sink(drafts, progress) { Ok(()) } else { Err(Error::Stopped) }
}

/// Every commit that a branch or tag reaches and the ledger does not know, parents before children.
fn unknown_commits(repository: &Repository, request: &Request) -> Result<Vec<Oid>, git2::Error> {
    let (branches, tags) = refs(repository)?;
    let mut walk = repository.revwalk()?;
    walk.set_sorting(Sort::TOPOLOGICAL | Sort::REVERSE)?;
    for reference in branches.iter().chain(&tags) {
        // A tag may name a tree or a blob, which have no history.
        let object = repository.find_object(reference.oid, None)?;
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
    let key = format!("release:{text}@{}", tag.data.target);
    let wanted = tag.data.target_kind == ObjectKind::Commit && releases.pattern.is_match(text);
    if !wanted || request.known.releases.contains(&key) {
        return Ok(None);
    }
    let unfit = |source| Error::Event { what: format!("release {text}"), source };
    let payload = serde_json::json!({
        "commit": tag.data.target,
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
