//! Attribution: which deployment of a target was the first to bring a commit (DORA.md, section 2.3).
//!
//! The owner of a commit is the least, by (end, key), of the deployments that are of it and of the owners of its children.
//! A new deployment, or a new edge, hands its owner down until it meets commits that have a lesser one. Where a deployment
//! loses what it had, those commits are connected from its revisions through commits of its own: what is reachable from it
//! by way of a commit with a lesser owner has that one, too.

use std::collections::{BTreeSet, HashSet};

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::super::{Result, source};
use super::claim::Claim;

/// A deployment as an owner; ordered as deployments were done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Own {
    pub(super) finished_at: i64,
    pub(super) key: i64,
    pub(super) rollout: i64,
}

/// Commits of targets whose sample may be another now: target and commit.
pub(super) type Touched = BTreeSet<(i64, i64)>;

fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<Own> {
    Ok(Own { finished_at: row.get(first)?, key: row.get(first + 1)?, rollout: row.get(first + 2)? })
}

/// Who brought a commit to a target.
pub(super) fn owner(tx: &Connection, target: i64, commit: i64) -> Result<Option<Own>> {
    let mut statement =
        tx.prepare_cached("SELECT finished_at, key, rollout FROM owner WHERE commit_id = ?1 AND target = ?2")?;
    Ok(statement.query_row([commit, target], |row| read(row, 0)).optional()?)
}

/// The targets that have a commit.
pub(super) fn targets(tx: &Connection, commit: i64) -> Result<Vec<i64>> {
    let mut statement = tx.prepare_cached("SELECT target FROM owner WHERE commit_id = ?1 ORDER BY target")?;
    let rows = statement.query_map([commit], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Hands an owner down from a commit. What changes hands is told to `touched`, where that is given.
fn hand_down(tx: &Connection, target: i64, from: i64, own: Own, mut touched: Option<&mut Touched>) -> Result<()> {
    let mut waiting = vec![from];
    while let Some(commit) = waiting.pop() {
        if owner(tx, target, commit)?.is_some_and(|known| known <= own) {
            continue;
        }
        tx.prepare_cached(
            "INSERT OR REPLACE INTO owner (commit_id, target, finished_at, key, rollout) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![commit, target, own.finished_at, own.key, own.rollout])?;
        if let Some(touched) = touched.as_deref_mut() {
            touched.insert((target, commit));
        }
        waiting.extend(source::parents(tx, commit, i64::MAX)?);
    }
    Ok(())
}

/// Gives a deployment what it was the first to bring. `alone` says that the target has no other: then nothing that it
/// brings is a change, and no commit is touched.
pub(super) fn give(tx: &Connection, claim: &Claim, alone: bool, touched: &mut Touched) -> Result<()> {
    for revision in &claim.revisions {
        let touched = (!alone).then_some(&mut *touched);
        hand_down(tx, claim.target, *revision, claim.own, touched)?;
    }
    Ok(())
}

/// The commits that a deployment was the first to bring.
pub(super) fn brought(tx: &Connection, claim: &Claim) -> Result<HashSet<i64>> {
    let mut found = HashSet::new();
    let mut waiting = claim.revisions.clone();
    while let Some(commit) = waiting.pop() {
        let its = owner(tx, claim.target, commit)?.is_some_and(|own| own.rollout == claim.own.rollout);
        if its && found.insert(commit) {
            waiting.extend(source::parents(tx, commit, i64::MAX)?);
        }
    }
    Ok(found)
}

/// Takes from a deployment, which is no claim any more, what it was the first to bring, and gives that to whoever is next.
pub(super) fn take(tx: &Connection, claim: &Claim, touched: &mut Touched) -> Result<()> {
    let taken = brought(tx, claim)?;
    for commit in &taken {
        tx.prepare_cached("DELETE FROM owner WHERE commit_id = ?1 AND target = ?2")?
            .execute([*commit, claim.target])?;
        touched.insert((claim.target, *commit));
    }
    let mut heirs: Vec<(Own, i64)> = Vec::new();
    for commit in &taken {
        let direct = direct(tx, claim.target, *commit)?;
        let inherited = of_children(tx, claim.target, *commit)?;
        heirs.extend([direct, inherited].into_iter().flatten().min().map(|own| (own, *commit)));
    }
    // The least first: each commit is handed over once.
    heirs.sort_unstable();
    for (own, commit) in heirs {
        hand_down(tx, claim.target, commit, own, Some(touched))?;
    }
    Ok(())
}

/// The first claim that is of this very commit.
fn direct(tx: &Connection, target: i64, commit: i64) -> Result<Option<Own>> {
    let mut statement = tx.prepare_cached(
        "SELECT finished_at, key, claim.rollout FROM revision CROSS JOIN claim ON claim.rollout = revision.rollout \
         WHERE commit_id = ?1 AND target = ?2 ORDER BY finished_at, key LIMIT 1",
    )?;
    Ok(statement.query_row([commit, target], |row| read(row, 0)).optional()?)
}

/// The least owner of a commit's children.
fn of_children(tx: &Connection, target: i64, commit: i64) -> Result<Option<Own>> {
    let mut statement = tx.prepare_cached(
        "SELECT finished_at, key, rollout FROM commit_parent JOIN owner ON owner.commit_id = child AND target = ?2 \
         WHERE parent = ?1 ORDER BY finished_at, key LIMIT 1",
    )?;
    Ok(statement.query_row([commit, target], |row| read(row, 0)).optional()?)
}

/// Takes in that more is known of a commit: its owners go on to its parents.
pub(super) fn commit_known(tx: &Connection, commit: i64, touched: &mut Touched) -> Result<()> {
    let parents = source::parents(tx, commit, i64::MAX)?;
    for target in targets(tx, commit)? {
        touched.insert((target, commit));
        if let Some(own) = owner(tx, target, commit)? {
            for parent in &parents {
                hand_down(tx, target, *parent, own, Some(touched))?;
            }
        }
    }
    Ok(())
}
