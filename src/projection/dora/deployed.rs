//! Which deployments belong to others in a target, and which are meant by a reference.

use rusqlite::{Connection, OptionalExtension, params};

use super::super::Result;
use super::super::deployment::{self, Row, columns};
use super::super::incident::Reference;

/// Deployments of a target that took effect and ran at `since` or later, newest first.
pub(super) fn running_since(connection: &Connection, target: i64, since: i64, known: i64) -> Result<Vec<Row>> {
    let mut statement = connection.prepare_cached(concat!(
        "SELECT ",
        columns!(),
        " FROM deployment WHERE target = ?1 AND known_from < ?2 AND known_to >= ?2 AND class IN (0, 1) \
         ORDER BY at DESC, key DESC"
    ))?;
    let mut rows = statement.query([target, known])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let deployed = Row::read(row)?;
        // What ran before this one had ended when it began.
        if deployed.until_at.is_some_and(|until| until < since) {
            break;
        }
        found.push(deployed);
    }
    Ok(found)
}

/// Rollbacks of a target that may have been begun while this deployment ran, or took its place.
pub(super) fn rollbacks_of(connection: &Connection, of: &Row, known: i64) -> Result<Vec<Row>> {
    let mut statement = connection.prepare_cached(concat!(
        "SELECT ",
        columns!(),
        " FROM deployment WHERE target = ?1 AND class = 1 AND at >= ?2 AND known_from < ?3 AND known_to >= ?3 \
         AND (replaces = ?4 OR (started_at >= ?2 AND (?5 IS NULL OR started_at < ?5))) ORDER BY at, key"
    ))?;
    let rows = statement.query_map(params![of.target, of.at, known, of.rollout, of.until_at], Row::read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The first deployment of a target that succeeded after another was done.
pub(super) fn next_success(connection: &Connection, of: &Row, known: i64) -> Result<Option<i64>> {
    let Some((at, key)) = of.finish() else { return Ok(None) };
    let mut statement = connection.prepare_cached(
        "SELECT finished_at FROM deployment WHERE target = ?1 AND finished_at >= ?2 AND (finished_at, key) > (?2, ?3) \
         AND rollout <> ?4 AND status = 2 AND class IN (0, 1) AND known_from < ?5 AND known_to >= ?5 \
         ORDER BY finished_at LIMIT 1",
    )?;
    Ok(statement.query_row([of.target, at, key, of.rollout, known], |row| row.get(0)).optional()?)
}

/// The number of a target by that of its stream, once it is one.
pub(super) fn target_of(connection: &Connection, stream: i64) -> Result<Option<i64>> {
    let mut statement = connection.prepare_cached("SELECT id FROM target WHERE stream = ?1")?;
    Ok(statement.query_row([stream], |row| row.get(0)).optional()?)
}

/// The number of a target's stream.
pub(super) fn stream_of(connection: &Connection, target: i64) -> Result<i64> {
    let mut statement = connection.prepare_cached("SELECT stream FROM target WHERE id = ?1")?;
    Ok(statement.query_row([target], |row| row.get(0))?)
}

/// The source's id of a rollout.
pub(super) fn name_of(connection: &Connection, rollout: i64) -> Result<String> {
    let mut statement = connection.prepare_cached("SELECT name FROM rollout WHERE id = ?1")?;
    Ok(statement.query_row([rollout], |row| row.get(0))?)
}

/// The rollouts that are meant by a reference, which was made of something that began at `at`. A reference that names a
/// target alone means what ran there then.
pub(super) fn meant(connection: &Connection, reference: &Reference, at: Option<i64>, known: i64) -> Result<Vec<i64>> {
    let target = match reference.target {
        Some(stream) => match target_of(connection, stream)? {
            Some(target) => Some(target),
            None => return Ok(Vec::new()),
        },
        None => None,
    };
    if reference.names_target_alone() {
        let Some((target, at)) = target.zip(at) else { return Ok(Vec::new()) };
        return Ok(deployment::live(connection, target, at, known)?.map(|live| live.rollout).into_iter().collect());
    }
    let by_name = match &reference.deployment {
        Some(name) => Some(rollouts(connection, "SELECT id FROM rollout WHERE name = ?1 ORDER BY id", name)?),
        None => None,
    };
    let by_event = match reference.event {
        Some(event) if event < known => {
            Some(rollouts(connection, "SELECT rollout FROM rollout_fact WHERE position = ?1", event)?)
        }
        Some(_) => Some(Vec::new()),
        None => None,
    };
    let mut found = match (by_name, by_event) {
        (Some(named), Some(told)) => named.into_iter().filter(|rollout| told.contains(rollout)).collect(),
        (named, told) => named.or(told).unwrap_or_default(),
    };
    if let Some(target) = target {
        let mut statement = connection.prepare_cached("SELECT 1 FROM rollout WHERE id = ?1 AND target = ?2")?;
        let mut kept = Vec::with_capacity(found.len());
        for rollout in found {
            if statement.exists([rollout, target])? {
                kept.push(rollout);
            }
        }
        found = kept;
    }
    Ok(found)
}

fn rollouts(connection: &Connection, sql: &str, of: impl rusqlite::ToSql) -> Result<Vec<i64>> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([of], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
