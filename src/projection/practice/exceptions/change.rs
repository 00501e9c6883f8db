//! Deployments of commits that came by no change, by a change that nobody reviewed, or that are on no branch.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use rusqlite::{Connection, OptionalExtension, params};

use super::super::super::deployment::Origin;
use super::super::super::source::Change;
use super::super::super::{Result, diff, source};
use super::deployed::told;
use super::review::{no_approval, without_source};
use super::{Audit, Case, Kind, counted, short};

/// Commits of a main line that are looked at for one deployment.
const LINE_MAX: usize = 500;

/// Commits that an exception names.
const NAMED: usize = 5;

/// What is known of repositories, kept while a page is made.
#[derive(Default)]
pub(super) struct Repositories {
    /// Since when something is told of a repository's changes.
    changes: HashMap<String, Option<i64>>,
    branches: HashMap<String, Rc<Branches>>,
}

/// The branches of a repository.
struct Branches {
    /// What they ever pointed to.
    tips: HashSet<i64>,
    /// Since when they are told of.
    since: i64,
    /// Whether the parents of some tip were not told: then a commit may be behind it.
    open: bool,
}

/// What a deployment brought, of one repository.
struct Brought {
    repository: String,
    /// The commit that was deployed.
    commit: String,
    /// Merged changes.
    changes: Vec<Change>,
    /// Commits that came by none.
    direct: Vec<String>,
}

pub(super) fn judge(audit: &mut Audit<'_>, repositories: &mut Repositories, case: &Case) -> Result<()> {
    let (snapshot, basis) = (audit.snapshot, audit.basis);
    let wants = [Kind::DeployedWithoutChange, Kind::DeployedWithoutReview, Kind::DeployedOffBranch];
    // What was live before came by whatever it came by then.
    let forward = case.deployment.class == Some(super::deployment::Class::Forward);
    if !forward || !wants.iter().any(|kind| audit.asks(*kind)) {
        return Ok(());
    }
    let commits = diff::revisions(snapshot, basis, &case.deployment)?;
    if commits.is_empty() {
        return unknown(audit, repositories, case);
    }
    let before = case.before.as_ref().map_or(Ok(Vec::new()), |before| diff::revisions(snapshot, basis, before))?;
    for commit in commits {
        if audit.asks(Kind::DeployedOffBranch) {
            let (revision, repository) = source::place(snapshot.connection, commit)?;
            off_branch(audit, repositories, case, (Some(commit), &Origin { repository, revision }))?;
        }
        if audit.asks(Kind::DeployedWithoutChange) || audit.asks(Kind::DeployedWithoutReview) {
            let brought = brought(audit, repositories, case, (commit, &before))?;
            without_change(audit, case, &brought);
            without_review(audit, case, &brought)?;
        }
    }
    Ok(())
}

/// A deployment of a commit that was never recorded, or of nobody knows which.
fn unknown(audit: &mut Audit<'_>, repositories: &mut Repositories, case: &Case) -> Result<()> {
    let Some(origin) = &case.deployment.source_commit else {
        for kind in [Kind::DeployedWithoutChange, Kind::DeployedWithoutReview, Kind::DeployedOffBranch] {
            audit.looked(kind, case.at());
            let reason = "it is not known which commits what was deployed is of";
            audit.could_not_judge(kind, case.at(), short(&case.stream), reason);
        }
        return Ok(());
    };
    if audit.asks(Kind::DeployedOffBranch) {
        off_branch(audit, repositories, case, (None, origin))?;
    }
    audit.looked(Kind::DeployedWithoutChange, case.at());
    match repositories.changes_since(audit, &origin.repository)? {
        None => no_changes(audit, case, origin),
        Some(since) if since > case.at() => {
            audit.could_not_judge(Kind::DeployedWithoutChange, case.at(), short(&origin.repository), NOT_YET);
        }
        Some(_) => {
            let direct = vec![origin.revision.clone()];
            without_change(
                audit,
                case,
                &Brought {
                    repository: origin.repository.clone(),
                    commit: origin.revision.clone(),
                    changes: Vec::new(),
                    direct,
                },
            );
        }
    }
    Ok(())
}

/// Why the changes of a repository cannot be judged of at some time.
const NOT_YET: &str = "changes of this repository were not recorded yet";

/// Nothing is known of changes where a commit is of.
fn no_changes(audit: &mut Audit<'_>, case: &Case, origin: &Origin) {
    let (subject, reason) = match origin.repository.as_str() {
        "" => (origin.revision.as_str(), "the repository of this commit is not known"),
        name => (short(name), "no change of this repository was ever recorded"),
    };
    audit.could_not_judge(Kind::DeployedWithoutChange, case.at(), subject, reason);
}

fn without_change(audit: &mut Audit<'_>, case: &Case, brought: &Brought) {
    if brought.direct.is_empty() || !audit.asks(Kind::DeployedWithoutChange) {
        return;
    }
    let (n, of) = (brought.direct.len(), short(&brought.repository));
    let what = format!("{} brought {} of {of} that came by no merged change", told(case), counted(n, "commit"));
    let mut exception = case.exception(Kind::DeployedWithoutChange, what);
    exception.key = super::tie(&exception.key.to_string(), &format!("{}@{}", brought.repository, brought.commit));
    let named = brought.direct.iter().take(NAMED);
    exception.missing = named.map(|commit| format!("a merged change that commit {commit} of {of} came by")).collect();
    audit.add(exception);
}

fn without_review(audit: &mut Audit<'_>, case: &Case, brought: &Brought) -> Result<()> {
    if !audit.asks(Kind::DeployedWithoutReview) {
        return Ok(());
    }
    let mut missing = Vec::new();
    for change in &brought.changes {
        audit.looked(Kind::DeployedWithoutReview, case.at());
        if change.was_reviewed(case.deployment.at) {
            continue;
        }
        match without_source(audit, change)? {
            Some((subject, reason)) => {
                audit.could_not_judge(Kind::DeployedWithoutReview, case.at(), &subject, reason);
            }
            None => missing.push(change),
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let of = short(&brought.repository);
    let what = format!("{} brought {} of {of} without a review", told(case), counted(missing.len(), "change"));
    let mut exception = case.exception(Kind::DeployedWithoutReview, what);
    exception.key = super::tie(&exception.key.to_string(), &format!("{}@{}", brought.repository, brought.commit));
    for change in missing.into_iter().take(NAMED) {
        exception.missing.push(no_approval(change, "before the deployment"));
        exception = exception.backed_by(change.merged);
    }
    audit.add(exception);
    Ok(())
}

/// What came by the main line since what ran before. Without that, only the commit itself is looked at.
fn brought(
    audit: &mut Audit<'_>,
    repositories: &mut Repositories,
    case: &Case,
    (commit, before): (i64, &[i64]),
) -> Result<Brought> {
    let (snapshot, basis, kind) = (audit.snapshot, audit.basis, Kind::DeployedWithoutChange);
    let (connection, known) = (snapshot.connection, audit.known());
    let (revision, repository) = source::place(connection, commit)?;
    let mut brought =
        Brought { repository: repository.clone(), commit: revision.clone(), changes: Vec::new(), direct: Vec::new() };
    let since = repositories.changes_since(audit, &repository)?;
    let Some(since) = since else {
        audit.looked(kind, case.at());
        no_changes(audit, case, &Origin { repository, revision });
        return Ok(brought);
    };
    let mut copies = 0;
    for id in line(connection, known, commit, before)? {
        if let Some(change) = source::merged_as(snapshot, basis, id)? {
            audit.looked(kind, case.at());
            let merges = source::commit(connection, id, known)?.is_some_and(|fact| fact.parents > Some(1));
            // A rebased change became as many commits as it had.
            copies = if merges { 0 } else { change.became.saturating_sub(1) };
            brought.changes.push(change);
            continue;
        }
        if copies > 0 {
            copies -= 1;
            continue;
        }
        audit.looked(kind, case.at());
        if let Some((repository, change)) = source::changes_of(snapshot, basis, id)?.first() {
            brought.changes.extend(source::change(snapshot, basis, *repository, *change)?);
            continue;
        }
        let date = source::commit(connection, id, known)?.and_then(|fact| fact.committed_at.or(fact.authored_at));
        if date.unwrap_or(case.at()) < since {
            audit.could_not_judge(kind, case.at(), short(&repository), NOT_YET);
            break;
        }
        brought.direct.push(source::place(connection, id)?.0);
    }
    Ok(brought)
}

/// The main line from a commit back to what ran before: first parents. Only the commit itself where what ran before is not
/// known.
fn line(connection: &Connection, known: i64, commit: i64, before: &[i64]) -> Result<Vec<i64>> {
    let mut parent =
        connection.prepare_cached("SELECT parent FROM commit_parent WHERE child = ?1 AND n = 0 AND position < ?2")?;
    let (mut line, mut next) = (Vec::new(), Some(commit));
    while let Some(id) = next.filter(|id| !before.contains(id)) {
        if line.len() == LINE_MAX {
            next = None;
            break;
        }
        line.push(id);
        next = parent.query_row(params![id, known], |row| row.get(0)).optional()?;
    }
    if next.is_none() {
        // What ran before is not on this line.
        let repository = |id: &i64| source::place(connection, *id).map(|(_, repository)| repository);
        let here = repository(&commit)?;
        let mut same = Vec::new();
        for id in before {
            if repository(id)? == here {
                same.push(*id);
            }
        }
        if same.is_empty() {
            line.truncate(1);
        } else {
            let added: HashSet<i64> =
                source::difference(connection, known, &same, &[commit])?.added.into_iter().collect();
            line.retain(|id| added.contains(id));
        }
    }
    Ok(line)
}

fn off_branch(
    audit: &mut Audit<'_>,
    repositories: &mut Repositories,
    case: &Case,
    (commit, Origin { repository, revision: oid }): (Option<i64>, &Origin),
) -> Result<()> {
    let kind = Kind::DeployedOffBranch;
    audit.looked(kind, case.at());
    let branches = repositories.branches(audit, repository)?;
    let behind = match commit {
        Some(commit) => source::is_behind(audit.snapshot.connection, audit.known(), commit, &branches.tips)?,
        None => Some(false),
    };
    let reason = match behind {
        Some(true) => return Ok(()),
        _ if repository.is_empty() => Some((oid.as_str(), "the repository of this commit is not known")),
        None => Some((short(repository), "too much history to look through")),
        Some(false) if branches.since > case.at() => {
            Some((short(repository), "no branch of this repository was recorded by then"))
        }
        Some(false) if branches.open => {
            Some((short(repository), "the history behind some branches of this repository was not recorded"))
        }
        Some(false) => None,
    };
    if let Some((subject, reason)) = reason {
        audit.could_not_judge(kind, case.at(), subject, reason);
        return Ok(());
    }
    let of = short(repository);
    let what = format!("{} is of commit {oid} of {of}, which is on no branch", told(case));
    let mut exception = case.exception(kind, what);
    exception.key = super::tie(&exception.key.to_string(), oid);
    exception.missing.push(format!("a branch of {of} that ever pointed to commit {oid}, or to one that it is behind"));
    audit.add(exception);
    Ok(())
}

impl Repositories {
    /// Since when something is told of a repository's changes; none where nothing is.
    fn changes_since(&mut self, audit: &Audit<'_>, repository: &str) -> Result<Option<i64>> {
        if let Some(since) = self.changes.get(repository) {
            return Ok(*since);
        }
        let since = match audit.snapshot.id(repository)? {
            Some(id) => audit
                .snapshot
                .connection
                .prepare_cached("SELECT min(at) FROM change_fact WHERE repository = ?1 AND position < ?2")?
                .query_row(params![id, audit.known()], |row| row.get(0))?,
            None => None,
        };
        self.changes.insert(repository.to_owned(), since);
        Ok(since)
    }

    fn branches(&mut self, audit: &Audit<'_>, repository: &str) -> Result<Rc<Branches>> {
        if let Some(branches) = self.branches.get(repository) {
            return Ok(branches.clone());
        }
        let mut branches = Branches { tips: HashSet::new(), since: i64::MAX, open: false };
        if let Some(id) = audit.snapshot.id(repository)? {
            let mut statement = audit.snapshot.connection.prepare_cached(
                "SELECT after, at, EXISTS (SELECT 1 FROM commit_fact WHERE commit_id = after AND parents NOT NULL \
                   AND position < ?2) FROM branch_fact WHERE repository = ?1 AND position < ?2 AND after NOT NULL",
            )?;
            let mut rows = statement.query(params![id, audit.known()])?;
            while let Some(row) = rows.next()? {
                branches.tips.insert(row.get(0)?);
                branches.since = branches.since.min(row.get(1)?);
                branches.open |= !row.get::<_, bool>(2)?;
            }
        }
        let branches = Rc::new(branches);
        self.branches.insert(repository.to_owned(), branches.clone());
        Ok(branches)
    }
}
