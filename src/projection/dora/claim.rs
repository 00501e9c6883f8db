//! Which deployments bring commits, and of which source commits they are.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, params};

use super::super::deployment::{self, Origin, Row};
use super::super::registry::Step;
use super::super::{Result, artifact, names, source};
use super::owner::Own;

/// A deployment that succeeded with effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) target: i64,
    pub(super) own: Own,
    /// The source commits it is of, in ascending order; none where they are not known.
    pub(super) revisions: Vec<i64>,
}

/// What is written down of a rollout.
pub(super) fn current(tx: &Connection, rollout: i64) -> Result<Option<Claim>> {
    let mut statement = tx.prepare_cached("SELECT target, finished_at, key FROM claim WHERE rollout = ?1")?;
    let found = statement
        .query_row([rollout], |row| Ok((row.get(0)?, Own { finished_at: row.get(1)?, key: row.get(2)?, rollout })))
        .optional()?;
    let Some((target, own)) = found else { return Ok(None) };
    let mut statement = tx.prepare_cached("SELECT commit_id FROM revision WHERE rollout = ?1 ORDER BY commit_id")?;
    let revisions = statement.query_map([rollout], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(Some(Claim { target, own, revisions }))
}

/// What follows from a deployment; and by which names its commits were found.
pub(super) fn of(step: &mut Step<'_>, deployed: Option<&Row>) -> Result<(Option<Claim>, BTreeSet<i64>)> {
    let Some(deployed) = deployed.filter(|deployed| deployed.succeeded()) else { return Ok((None, BTreeSet::new())) };
    let Some((finished_at, key)) = deployed.finish() else { return Ok((None, BTreeSet::new())) };
    let (mut revisions, mut leaning) = (BTreeSet::new(), BTreeSet::new());
    if let Some(named) = deployed.details.source_commit {
        let origin = Origin::parse(&names::text(step.tx, named)?);
        if origin.repository.is_empty() {
            leaning.insert(step.name(&origin.revision)?);
        }
        let commit = source::commit_id(step, &origin.repository, &origin.revision)?;
        revisions.insert(source::of_any_repository(step.tx, commit, i64::MAX)?);
    } else if let Some(images) = deployed.details.images {
        let images = deployment::images(step.tx, images)?;
        for digest in images.into_iter().filter_map(|image| image.digest) {
            let digest = step.name(&digest)?;
            leaning.insert(digest);
            revisions.extend(artifact::origins(step.tx, digest, i64::MAX)?.iter().map(|found| found.commit_id));
        }
    }
    let own = Own { finished_at, key, rollout: deployed.rollout };
    Ok((Some(Claim { target: deployed.target, own, revisions: revisions.into_iter().collect() }), leaning))
}

/// Takes back what is written down of a rollout.
pub(super) fn remove(tx: &Connection, rollout: i64) -> Result<()> {
    tx.prepare_cached("DELETE FROM claim WHERE rollout = ?1")?.execute([rollout])?;
    tx.prepare_cached("DELETE FROM revision WHERE rollout = ?1")?.execute([rollout])?;
    Ok(())
}

/// Writes a claim down.
pub(super) fn write(tx: &Connection, claim: &Claim) -> Result<()> {
    let Own { finished_at, key, rollout } = claim.own;
    tx.prepare_cached("INSERT INTO claim (rollout, target, finished_at, key) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![rollout, claim.target, finished_at, key])?;
    for commit in &claim.revisions {
        tx.prepare_cached("INSERT INTO revision (rollout, commit_id) VALUES (?1, ?2)")?.execute([rollout, *commit])?;
    }
    Ok(())
}

/// Remembers by which names the commits of a rollout are found.
pub(super) fn lean(tx: &Connection, rollout: i64, names: &BTreeSet<i64>) -> Result<()> {
    for name in names {
        tx.prepare_cached("INSERT OR IGNORE INTO leaning (name, rollout) VALUES (?1, ?2)")?
            .execute([*name, rollout])?;
    }
    Ok(())
}

/// Rollouts whose commits were, at one time, found by a name.
pub(super) fn leaning_on(tx: &Connection, name: i64) -> Result<Vec<i64>> {
    let mut statement = tx.prepare_cached("SELECT rollout FROM leaning WHERE name = ?1 ORDER BY rollout")?;
    let rows = statement.query_map([name], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The first claim of a target: what it brought was there from the beginning.
pub(super) fn first(tx: &Connection, target: i64) -> Result<Option<i64>> {
    let mut statement =
        tx.prepare_cached("SELECT rollout FROM claim WHERE target = ?1 ORDER BY finished_at, key LIMIT 1")?;
    Ok(statement.query_row([target], |row| row.get(0)).optional()?)
}

/// Whether commits of a rollout are known.
pub(super) fn is_linked(tx: &Connection, rollout: i64) -> Result<bool> {
    Ok(tx.prepare_cached("SELECT 1 FROM revision WHERE rollout = ?1 LIMIT 1")?.exists([rollout])?)
}
