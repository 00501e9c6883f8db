//! Taking in events.

use std::collections::HashMap;

use rusqlite::{OptionalExtension, params};

use super::super::Result;
use super::super::registry::{About, Projection, Step};
use crate::event::change::{ChangeAbandoned, ChangeCreated, ChangeMerged, ChangeReviewed};
use crate::event::git::{BranchUpdated, CommitRecorded};
use crate::event::{Data, GitOid, Private, Subject, Timestamp};

/// Commits kept at hand while folding.
const COMMITS_KEPT: usize = 200_000;

/// The fold.
#[derive(Debug, Default)]
pub struct Sources {
    /// Numbers of commits, by those of the id and the repository.
    commits: HashMap<(i64, i64), i64>,
}

/// What a commit is to a change; the number in `change_commit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Role {
    Merged = 0,
    Head = 1,
    Original = 2,
    Reviewed = 3,
    Origin = 4,
}

/// What happened to a change; the number in `change_fact`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Happened {
    Created = 0,
    Reviewed = 1,
    Merged = 2,
    Abandoned = 3,
}

/// What looked at a commit; the number in `commit_check`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Check = 0,
    Suite = 1,
    Run = 2,
    Scan = 3,
    Sbom = 4,
    Attestation = 5,
}

/// The number of a commit, made where it has none. `repository` is the repository's stream, empty where it is not known.
///
/// # Errors
/// `Database`.
pub fn commit_id(step: &mut Step<'_>, repository: &str, oid: &str) -> Result<i64> {
    let (oid, repository) = (step.name(oid)?, step.name(repository)?);
    numbered(step, oid, repository)
}

fn numbered(step: &Step<'_>, oid: i64, repository: i64) -> Result<i64> {
    let mut statement = step.tx.prepare_cached("SELECT id FROM git_commit WHERE oid = ?1 AND repository = ?2")?;
    if let Some(id) = statement.query_row([oid, repository], |row| row.get(0)).optional()? {
        return Ok(id);
    }
    step.tx.prepare_cached("INSERT INTO git_commit (oid, repository) VALUES (?1, ?2)")?.execute([oid, repository])?;
    Ok(step.tx.last_insert_rowid())
}

impl Projection for Sources {
    fn about(&self) -> &'static About {
        &super::ABOUT
    }

    fn fold(&mut self, step: &mut Step<'_>) -> Result<()> {
        if !step.event.stream().starts_with("repo/") {
            return Ok(());
        }
        match &step.event.data {
            Data::CommitRecorded(it) => self.commit_recorded(step, it),
            Data::BranchUpdated(it) => self.branch_updated(step, it),
            Data::TagCreated(it) => self.tag(step, &it.tag, 0, it.target.as_ref()),
            Data::TagMoved(it) => self.tag(step, &it.tag, 1, Some(&it.after)),
            Data::TagDeleted(it) => self.tag(step, &it.tag, 2, None),
            Data::ReleasePublished(it) => release(step, &it.tag),
            Data::ChangeCreated(it) => self.change_created(step, it),
            Data::ChangeReviewed(it) => self.change_reviewed(step, it),
            Data::ChangeMerged(it) => self.change_merged(step, it),
            Data::ChangeAbandoned(it) => self.change_abandoned(step, it),
            Data::CheckFinished(it) => self.looked(step, it.commit.as_ref(), Look::Check),
            Data::TestsuiteFinished(it) => self.looked(step, it.commit.as_ref(), Look::Suite),
            Data::ScanFinished(it) => self.looked(step, it.commit.as_ref(), Look::Scan),
            Data::SbomAttached(it) => self.looked(step, it.commit.as_ref(), Look::Sbom),
            Data::AttestationAttached(it) => self.looked(step, it.commit.as_ref(), Look::Attestation),
            Data::PipelinerunStarted(it) => self.run(step, &it.run, it.commit.as_ref()),
            Data::PipelinerunFinished(it) => {
                self.run(step, &it.run, it.commit.as_ref())?;
                self.looked(step, it.commit.as_ref(), Look::Run)
            }
            _ => Ok(()),
        }
    }

    fn reset(&mut self) {
        self.commits.clear();
    }
}

impl Sources {
    /// The number of a commit of the event's repository.
    fn commit(&mut self, step: &mut Step<'_>, oid: &GitOid) -> Result<i64> {
        let (oid, repository) = (step.name(oid.as_str())?, step.name(step.event.stream())?);
        if let Some(id) = self.commits.get(&(oid, repository)) {
            return Ok(*id);
        }
        let id = numbered(step, oid, repository)?;
        if self.commits.len() >= COMMITS_KEPT {
            self.commits.clear();
        }
        self.commits.insert((oid, repository), id);
        Ok(id)
    }

    fn optional(&mut self, step: &mut Step<'_>, oid: Option<&GitOid>) -> Result<Option<i64>> {
        oid.map(|oid| self.commit(step, oid)).transpose()
    }

    fn commit_recorded(&mut self, step: &mut Step<'_>, it: &CommitRecorded) -> Result<()> {
        let (tx, position) = (step.tx, step.event.position);
        let id = self.commit(step, &it.commit)?;
        let parents = it.parents.as_ref().map(|parents| i64::try_from(parents.len()).unwrap_or(i64::MAX));
        let author = person(step, Some(&it.author))?;
        let cherry_picked_from = self.optional(step, it.cherry_picked_from.as_ref())?;
        let reverts = self.optional(step, it.reverts.as_ref())?;
        let message = match &it.message {
            Some(Private::Sealed(sealed)) => Some(sealed.sealed.as_str()),
            _ => None,
        };
        tx.prepare_cached(
            "INSERT OR IGNORE INTO commit_fact (commit_id, key, position, authored_at, committed_at, author, parents, \
             cherry_picked_from, reverts, message) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            id,
            step.event.key,
            position,
            it.authored_at.map(Timestamp::micros),
            it.committed_at.map(Timestamp::micros),
            author,
            parents,
            cherry_picked_from,
            reverts,
            message,
        ])?;
        for (n, parent) in it.parents.iter().flatten().enumerate() {
            let parent = self.commit(step, parent)?;
            // What the parents are follows from the commit's id: all who tell tell the same.
            tx.prepare_cached(
                "INSERT OR IGNORE INTO commit_parent (child, n, parent, position) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![id, i64::try_from(n).unwrap_or(i64::MAX), parent, position])?;
        }
        step.changes.commits.push(id);
        Ok(())
    }

    fn branch_updated(&mut self, step: &mut Step<'_>, it: &BranchUpdated) -> Result<()> {
        let (repository, branch) = (step.name(step.event.stream())?, step.name(&it.branch)?);
        let before = self.optional(step, it.before.as_ref())?;
        let after = self.optional(step, it.after.as_ref())?;
        let flag = |set: Option<bool>, flag: i64| if set == Some(true) { flag } else { 0 };
        let flags = flag(it.forced, 1) | flag(it.created, 2) | flag(it.deleted, 4);
        step.tx
            .prepare_cached(
                "INSERT OR IGNORE INTO branch_fact (repository, branch, at, key, position, before, after, flags) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                repository,
                branch,
                step.event.at,
                step.event.key,
                step.event.position,
                before,
                after,
                flags
            ])?;
        Ok(())
    }

    fn tag(&mut self, step: &mut Step<'_>, tag: &str, kind: i64, target: Option<&GitOid>) -> Result<()> {
        let (tag, repository) = (step.name(tag)?, step.name(step.event.stream())?);
        let commit = self.optional(step, target)?;
        let event = step.event;
        step.tx
            .prepare_cached(
                "INSERT OR IGNORE INTO tag_fact (tag, repository, at, key, position, kind, commit_id) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![tag, repository, event.at, event.key, event.position, kind, commit])?;
        Ok(())
    }

    fn change_created(&mut self, step: &mut Step<'_>, it: &ChangeCreated) -> Result<()> {
        let head = self.commit(step, &it.head_commit)?;
        let base = self.optional(step, it.base_commit.as_ref())?;
        let person = person(step, Some(&it.author))?;
        let change = Change { person, head: Some(head), base, ..Change::new(&it.change, Happened::Created) };
        change.write(step)
    }

    fn change_reviewed(&mut self, step: &mut Step<'_>, it: &ChangeReviewed) -> Result<()> {
        let commit = self.optional(step, it.commit.as_ref())?;
        let person = person(step, Some(&it.reviewer))?;
        let state = Some(it.state as i64);
        Change { person, commit, state, ..Change::new(&it.change, Happened::Reviewed) }.write(step)
    }

    fn change_merged(&mut self, step: &mut Step<'_>, it: &ChangeMerged) -> Result<()> {
        let merged_as = self.commit(step, &it.commit)?;
        let head = self.optional(step, it.head_commit.as_ref())?;
        let base = self.optional(step, it.base_commit.as_ref())?;
        let author = person(step, it.author.as_ref())?;
        let merged_by = person(step, it.merged_by.as_ref())?;
        let state = it.method.map(|method| method as i64);
        let merged = Change {
            person: author,
            merged_by,
            commit: Some(merged_as),
            head,
            base,
            state,
            ..Change::new(&it.change, Happened::Merged)
        };
        merged.write(step)?;
        for (commits, role) in [(&it.original_commits, Role::Original), (&it.cherry_picked_from, Role::Origin)] {
            for commit in commits.iter().flatten() {
                let commit = self.commit(step, commit)?;
                of_change(step, &it.change, role, commit)?;
            }
        }
        Ok(())
    }

    fn change_abandoned(&mut self, step: &mut Step<'_>, it: &ChangeAbandoned) -> Result<()> {
        let head = self.optional(step, it.head_commit.as_ref())?;
        Change { head, ..Change::new(&it.change, Happened::Abandoned) }.write(step)
    }

    fn looked(&mut self, step: &mut Step<'_>, commit: Option<&GitOid>, look: Look) -> Result<()> {
        let Some(commit) = self.optional(step, commit)? else { return Ok(()) };
        step.tx
            .prepare_cached("INSERT INTO commit_check (commit_id, position, kind) VALUES (?1, ?2, ?3)")?
            .execute(params![commit, step.event.position, look as i64])?;
        Ok(())
    }

    fn run(&mut self, step: &mut Step<'_>, run: &str, commit: Option<&GitOid>) -> Result<()> {
        let commit = self.optional(step, commit)?.unwrap_or(0);
        let (run, repository) = (step.name(run)?, step.name(step.event.stream())?);
        step.tx
            .prepare_cached(
                "INSERT OR IGNORE INTO pipeline_run (run, repository, commit_id, position) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![run, repository, commit, step.event.position])?;
        Ok(())
    }
}

/// The number of a pseudonym.
fn person(step: &mut Step<'_>, subject: Option<&Subject>) -> Result<Option<i64>> {
    let id = subject.and_then(Subject::id).map(|id| id.as_str());
    step.names.optional(step.tx, id)
}

fn release(step: &mut Step<'_>, tag: &str) -> Result<()> {
    let (tag, repository) = (step.name(tag)?, step.name(step.event.stream())?);
    let event = step.event;
    step.tx
        .prepare_cached(
            "INSERT OR IGNORE INTO release (tag, repository, key, position, at) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![tag, repository, event.key, event.position, event.at])?;
    Ok(())
}

/// A row of `change_fact`.
struct Change<'a> {
    change: &'a str,
    happened: Happened,
    person: Option<i64>,
    merged_by: Option<i64>,
    commit: Option<i64>,
    head: Option<i64>,
    base: Option<i64>,
    state: Option<i64>,
}

impl<'a> Change<'a> {
    fn new(change: &'a str, happened: Happened) -> Self {
        Self { change, happened, person: None, merged_by: None, commit: None, head: None, base: None, state: None }
    }

    fn write(self, step: &mut Step<'_>) -> Result<()> {
        let (change, repository) = (step.name(self.change)?, step.name(step.event.stream())?);
        let event = step.event;
        step.tx
            .prepare_cached(
                "INSERT OR IGNORE INTO change_fact (repository, change, kind, key, position, at, person, merged_by, \
                 commit_id, head, base, state) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            )?
            .execute(params![
                repository,
                change,
                self.happened as i64,
                event.key,
                event.position,
                event.at,
                self.person,
                self.merged_by,
                self.commit,
                self.head,
                self.base,
                self.state,
            ])?;
        let role = if self.happened == Happened::Reviewed { Role::Reviewed } else { Role::Merged };
        for (commit, role) in [(self.commit, role), (self.head, Role::Head)] {
            if let Some(commit) = commit {
                of_change(step, self.change, role, commit)?;
            }
        }
        Ok(())
    }
}

fn of_change(step: &mut Step<'_>, change: &str, role: Role, commit: i64) -> Result<()> {
    let (change, repository) = (step.name(change)?, step.name(step.event.stream())?);
    step.tx
        .prepare_cached(
            "INSERT OR IGNORE INTO change_commit (repository, change, role, commit_id, position) \
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![repository, change, role as i64, commit, step.event.position])?;
    Ok(())
}
