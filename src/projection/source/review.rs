//! Changes with their reviews: whose they are, who approved them, and of which commit.

use std::collections::HashMap;

use rusqlite::params;

use super::super::{Basis, Result, Snapshot, instant};
use super::query::place;
use crate::event::change::MergeMethod;
use crate::event::{Data, Subject, Timestamp};

/// Changes of one commit that are looked at.
const CHANGES: i64 = 20;

/// A change (a pull request, a merge request) that was merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The repository's stream.
    pub repository: String,
    /// Its id at the forge.
    pub change: String,
    /// Its title, unless it was erased.
    pub title: Option<String>,
    /// Pseudonym of whose change it is.
    pub author: Option<String>,
    /// Pseudonym of who merged it.
    pub merged_by: Option<String>,
    /// When it was merged.
    pub merged_at: Timestamp,
    /// The event that says so.
    pub merged: u64,
    /// Approvals, by time: those that were taken back are among them.
    pub approvals: Vec<Approval>,
    /// Where to look at it.
    pub url: Option<String>,
    /// Who told of the merge.
    pub source: String,
    /// Whether the merge itself tells whose approval counted.
    pub tells_approvals: bool,
    /// How many commits of its base it became, at most: one, unless it was or may have been rebased or fast-forwarded.
    pub became: u32,
}

/// Somebody approved a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// Pseudonym of who did.
    pub reviewer: String,
    /// The commit that was reviewed.
    pub commit: Option<String>,
    /// When.
    pub at: Timestamp,
    /// Until when it counted, where it was dismissed or the reviewer said otherwise later.
    pub until: Option<Timestamp>,
    /// Whether the commit is the head that was merged.
    pub of_head: Option<bool>,
    /// Whether the reviewer is the author.
    pub by_author: bool,
    /// The event that says so.
    pub position: u64,
}

impl Change {
    /// Whether somebody other than the author approved it, by an instant and still at that instant.
    #[must_use]
    pub fn was_reviewed(&self, by: Timestamp) -> bool {
        self.approvals.iter().any(|approval| approval.counts(by))
    }
}

impl Approval {
    /// Whether it is by somebody other than the author, was there by an instant, and still counted then.
    #[must_use]
    pub fn counts(&self, by: Timestamp) -> bool {
        !self.by_author && self.at <= by && self.until.is_none_or(|until| until > by)
    }
}

/// The merged change of that id; none where no merge of it is known.
///
/// # Errors
/// `Database`, `Ledger`.
pub(in super::super) fn change(
    snapshot: &Snapshot<'_>,
    basis: &Basis,
    repository: i64,
    change: i64,
) -> Result<Option<Change>> {
    let mut statement = snapshot.connection.prepare_cached(
        "SELECT position FROM change_fact WHERE repository = ?1 AND change = ?2 AND kind = 2 AND position < ?3 \
         ORDER BY at, key LIMIT 1",
    )?;
    let mut rows = statement.query(params![repository, change, basis.known()])?;
    let Some(merged) = rows.next()?.map(|row| row.get::<_, i64>(0)).transpose()? else { return Ok(None) };
    let event = snapshot.event(merged.unsigned_abs())?;
    let Data::ChangeMerged(merge) = &event.data else { return Ok(None) };
    let pseudonym = |subject: &Subject| subject.to_string();
    let author = match merge.author.as_ref().map(pseudonym) {
        Some(author) => Some(author),
        None => author(snapshot, basis, repository, change)?,
    };
    let head = merge.head_commit.as_ref().map(ToString::to_string);
    let mut approvals = approvals(snapshot, basis, (repository, change), author.as_deref(), head.as_deref())?;
    for reviewer in merge.approved_by.iter().flatten().map(pseudonym) {
        if !approvals.iter().any(|approval| approval.reviewer == reviewer) {
            approvals.push(Approval {
                by_author: author.as_ref() == Some(&reviewer),
                reviewer,
                commit: head.clone(),
                at: instant(event.at),
                until: None,
                of_head: head.as_ref().map(|_| true),
                position: merged.unsigned_abs(),
            });
        }
    }
    Ok(Some(Change {
        repository: event.stream().to_owned(),
        change: merge.change.clone(),
        title: snapshot.private(merge.title.as_ref())?,
        author,
        merged_by: merge.merged_by.as_ref().map(pseudonym),
        merged_at: instant(event.at),
        merged: merged.unsigned_abs(),
        approvals,
        url: merge.url.clone(),
        source: event.envelope.source.to_string(),
        tells_approvals: merge.approved_by.is_some(),
        became: match merge.method {
            Some(MergeMethod::Merge | MergeMethod::Squash) => 1,
            _ => merge.original_commits_total.unwrap_or(1).max(1),
        },
    }))
}

/// Pseudonym of who opened a change.
pub(in super::super) fn author(
    snapshot: &Snapshot<'_>,
    basis: &Basis,
    repository: i64,
    change: i64,
) -> Result<Option<String>> {
    let mut statement = snapshot.connection.prepare_cached(
        "SELECT person FROM change_fact WHERE repository = ?1 AND change = ?2 AND kind IN (0, 2) AND position < ?3 \
         AND person NOT NULL ORDER BY kind, at, key LIMIT 1",
    )?;
    let mut rows = statement.query(params![repository, change, basis.known()])?;
    rows.next()?.map(|row| snapshot.text(row.get(0)?)).transpose()
}

/// Approvals by review, with how long each counted.
fn approvals(
    snapshot: &Snapshot<'_>,
    basis: &Basis,
    (repository, change): (i64, i64),
    author: Option<&str>,
    head: Option<&str>,
) -> Result<Vec<Approval>> {
    /// What a review says, as `change_fact` numbers it.
    const APPROVED: i64 = 0;
    const COMMENTED: i64 = 2;
    let mut statement = snapshot.connection.prepare_cached(
        "SELECT at, person, state, commit_id, position FROM change_fact WHERE repository = ?1 AND change = ?2 AND kind = 1 \
         AND position < ?3 AND person NOT NULL ORDER BY at, key",
    )?;
    let mut rows = statement.query(params![repository, change, basis.known()])?;
    let mut approvals: Vec<Approval> = Vec::new();
    // The last approval of each reviewer that still counts.
    let mut counts: HashMap<String, usize> = HashMap::new();
    while let Some(row) = rows.next()? {
        let (at, state): (i64, Option<i64>) = (row.get(0)?, row.get(2)?);
        if state == Some(COMMENTED) {
            continue;
        }
        let reviewer = snapshot.text(row.get(1)?)?;
        let before = counts.remove(&reviewer);
        if state != Some(APPROVED) {
            if let Some(approval) = before.and_then(|n| approvals.get_mut(n)) {
                approval.until = Some(instant(at));
            }
            continue;
        }
        let commit: Option<i64> = row.get(3)?;
        let commit = commit.map(|id| place(snapshot.connection, id)).transpose()?.map(|(oid, _)| oid);
        counts.insert(reviewer.clone(), approvals.len());
        approvals.push(Approval {
            by_author: author == Some(reviewer.as_str()),
            reviewer,
            at: instant(at),
            until: None,
            of_head: commit.as_deref().zip(head).map(|(commit, head)| commit == head),
            commit,
            position: row.get::<_, i64>(4)?.unsigned_abs(),
        });
    }
    Ok(approvals)
}

/// The merged change that became a commit of its base, the last of those it became.
///
/// # Errors
/// `Database`, `Ledger`.
pub(in super::super) fn merged_as(snapshot: &Snapshot<'_>, basis: &Basis, commit: i64) -> Result<Option<Change>> {
    let mut statement = snapshot.connection.prepare_cached(
        "SELECT part.repository, part.change FROM change_commit AS part \
         JOIN change_fact AS merge ON merge.repository = part.repository AND merge.change = part.change \
         AND merge.kind = 2 AND merge.commit_id = ?1 AND merge.position < ?2 \
         JOIN name ON name.id = part.change \
         WHERE part.commit_id = ?1 AND part.role = 0 AND part.position < ?2 ORDER BY name.text LIMIT 1",
    )?;
    let mut rows = statement.query(params![commit, basis.known()])?;
    match rows.next()? {
        Some(row) => change(snapshot, basis, row.get(0)?, row.get(1)?),
        None => Ok(None),
    }
}

/// Merged changes that a commit came by: as what they became in their base, as one of the commits they were made of, or as
/// the head that was merged. By repository and change.
///
/// # Errors
/// `Database`.
pub(in super::super) fn changes_of(snapshot: &Snapshot<'_>, basis: &Basis, commit: i64) -> Result<Vec<(i64, i64)>> {
    let mut statement = snapshot.connection.prepare_cached(
        "SELECT DISTINCT part.repository, part.change FROM change_commit AS part \
         JOIN change_fact AS merge ON merge.repository = part.repository AND merge.change = part.change \
         AND merge.kind = 2 AND merge.position < ?2 \
         JOIN name ON name.id = part.change JOIN name AS place ON place.id = part.repository \
         WHERE part.commit_id = ?1 AND part.position < ?2 \
         AND (part.role IN (0, 2) OR (part.role = 1 AND merge.head = ?1)) \
         ORDER BY place.text, name.text LIMIT ?3",
    )?;
    let rows = statement.query_map(params![commit, basis.known(), CHANGES], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
