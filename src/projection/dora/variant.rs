//! Lead time from other beginnings: one sample for each change (a pull request, a merge request) that a deployment brought.
//!
//! GitLab counts from when it was merged, `DevLake` from when its first commit was written. Of that, only commits count that
//! came with the deployment.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use rusqlite::{Connection, OptionalExtension};

use super::super::Result;
use super::super::source::{self, Happened, Role};
use super::gather::{Change, LeadFrom};
use super::sample::lead_time;

/// A change that was merged.
struct Merged {
    at: i64,
    author: Option<i64>,
    head: Option<i64>,
    base: Option<i64>,
    originals: Vec<i64>,
}

/// The samples of changes, from the commits of one target that came within the window.
pub(super) fn of_changes(
    connection: &Connection,
    known: i64,
    from: LeadFrom,
    automation: &BTreeSet<i64>,
    commits: &[Change],
    found: &mut Vec<Change>,
) -> Result<()> {
    let mut brought: BTreeMap<i64, HashSet<i64>> = BTreeMap::new();
    for commit in commits {
        brought.entry(commit.rollout).or_default().insert(commit.commit);
    }
    for commit in commits {
        for change in merged(connection, commit.commit, known)? {
            if change.author.is_some_and(|author| automation.contains(&author)) {
                continue;
            }
            let with = brought.get(&commit.rollout);
            let began = match (from, with) {
                (LeadFrom::FirstCommit, Some(with)) => first_commit(connection, commit.commit, &change, with, known)?,
                _ => Some(change.at),
            };
            found.push(Change { told: Some(lead_time(began, commit.finished_at)), ..*commit });
        }
    }
    Ok(())
}

/// The changes that became this commit.
fn merged(connection: &Connection, commit: i64, known: i64) -> Result<Vec<Merged>> {
    let mut statement = connection.prepare_cached(
        "SELECT repository, change FROM change_commit WHERE commit_id = ?1 AND role = ?2 AND position < ?3 \
         ORDER BY repository, change",
    )?;
    let changes: Vec<(i64, i64)> = statement
        .query_map([commit, Role::Merged as i64, known], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let mut found = Vec::new();
    for (repository, change) in changes {
        let mut statement = connection.prepare_cached(
            "SELECT at, person, head, base FROM change_fact WHERE repository = ?1 AND change = ?2 AND kind = ?3 \
             AND commit_id = ?4 AND position < ?5 ORDER BY at, key LIMIT 1",
        )?;
        let merged = statement
            .query_row([repository, change, Happened::Merged as i64, commit, known], |row| {
                let originals = Vec::new();
                Ok(Merged { at: row.get(0)?, author: row.get(1)?, head: row.get(2)?, base: row.get(3)?, originals })
            })
            .optional()?;
        let Some(mut merged) = merged else { continue };
        let mut statement = connection.prepare_cached(
            "SELECT commit_id FROM change_commit WHERE repository = ?1 AND change = ?2 AND role = ?3 AND position < ?4",
        )?;
        let originals = statement.query_map([repository, change, Role::Original as i64, known], |row| row.get(0))?;
        merged.originals = originals.collect::<Result<_, _>>()?;
        found.push(merged);
    }
    Ok(found)
}

/// When the first commit of a change was written: of its originals where those are known; else of what its head has and
/// its base has not, among the commits that came with the same deployment.
fn first_commit(
    connection: &Connection,
    merged_as: i64,
    change: &Merged,
    brought: &HashSet<i64>,
    known: i64,
) -> Result<Option<i64>> {
    let mut commits: HashSet<i64> = change.originals.iter().copied().collect();
    let mut first = earliest(connection, &commits, known)?;
    if first.is_none() {
        let head = change.head.filter(|head| brought.contains(head)).unwrap_or(merged_as);
        let joined = source::parents(connection, merged_as, known)?;
        let mut before: Vec<i64> = change.base.into_iter().collect();
        before.extend(joined.first().filter(|_| joined.len() > 1));
        let before = within(connection, before, brought, known)?;
        commits = within(connection, vec![head], brought, known)?;
        commits.retain(|commit| !before.contains(commit));
        first = earliest(connection, &commits, known)?;
    }
    Ok(first)
}

/// When the first of some commits was written.
fn earliest(connection: &Connection, commits: &HashSet<i64>, known: i64) -> Result<Option<i64>> {
    let mut first = None;
    for commit in commits {
        let fact = source::commit(connection, *commit, known)?;
        let written = fact.and_then(|fact| fact.written_at());
        first = [first, written].into_iter().flatten().min();
    }
    Ok(first)
}

/// What is reachable by way of some commits alone.
fn within(connection: &Connection, from: Vec<i64>, commits: &HashSet<i64>, known: i64) -> Result<HashSet<i64>> {
    let mut found = HashSet::new();
    let mut waiting = from;
    while let Some(commit) = waiting.pop() {
        if commits.contains(&commit) && found.insert(commit) {
            waiting.extend(source::parents(connection, commit, known)?);
        }
    }
    Ok(found)
}
