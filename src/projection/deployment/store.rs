//! The rows of this projection.

use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};

use super::super::{CURRENT, Error, Result, names};
use super::fact::{Kind, RunningImage};
use super::rollout::{Details, Fact, Order, Rollout};
use super::walk::{Class, Outcome, Status};

/// The columns that make a [`Row`], as [`Row::read`] takes them: a literal, for statements that are put together of it.
macro_rules! columns {
    () => {
        "target, rollout, status, class, at, key, until_at, ended, ended_by, replaces, started_at, finished_at, \
         artifact_set, images, source_commit, manifest, command, initiated_by, flags, observed_from, clusters, position"
    };
}
pub(in super::super) use columns;

/// A derived row, without its id and the positions it was known between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Row {
    pub(in super::super) target: i64,
    pub(in super::super) rollout: i64,
    pub(in super::super) status: i64,
    pub(in super::super) class: Option<i64>,
    pub(in super::super) at: i64,
    pub(in super::super) key: i64,
    pub(in super::super) until_at: Option<i64>,
    pub(in super::super) ended: Option<i64>,
    pub(in super::super) ended_by: Option<i64>,
    pub(in super::super) replaces: Option<i64>,
    pub(in super::super) started_at: Option<i64>,
    pub(in super::super) finished_at: Option<i64>,
    pub(in super::super) artifact_set: i64,
    pub(in super::super) details: Details,
    pub(in super::super) clusters: i64,
    pub(in super::super) position: i64,
}

impl Row {
    pub(super) fn new(target: i64, rollout: &Rollout, artifact_set: i64, outcome: &Outcome) -> Self {
        let (at, key) = rollout.effect.unwrap_or(rollout.last);
        let (until_at, ended, ended_by) = match outcome.until {
            Some((at, ended, by)) => (Some(at), Some(ended as i64), by),
            None => (None, None, None),
        };
        Self {
            target,
            rollout: rollout.id,
            status: outcome.status as i64,
            class: outcome.class.map(|class| class as i64),
            at,
            key,
            until_at,
            ended,
            ended_by,
            replaces: outcome.replaces,
            started_at: rollout.started_at,
            finished_at: outcome.finished_at,
            artifact_set,
            details: rollout.details,
            clusters: i64::try_from(rollout.clusters.len()).unwrap_or(i64::MAX),
            position: rollout.position,
        }
    }

    /// Reads a row that begins with [`columns`].
    pub(in super::super) fn read(row: &SqlRow<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            target: row.get(0)?,
            rollout: row.get(1)?,
            status: row.get(2)?,
            class: row.get(3)?,
            at: row.get(4)?,
            key: row.get(5)?,
            until_at: row.get(6)?,
            ended: row.get(7)?,
            ended_by: row.get(8)?,
            replaces: row.get(9)?,
            started_at: row.get(10)?,
            finished_at: row.get(11)?,
            artifact_set: row.get(12)?,
            details: details(row, 13)?,
            clusters: row.get(20)?,
            position: row.get(21)?,
        })
    }

    /// Whether it changed what runs.
    pub(in super::super) fn effective(&self) -> bool {
        self.class == Some(Class::Forward as i64) || self.rolled_back()
    }

    /// Whether it put back what ran before.
    pub(in super::super) fn rolled_back(&self) -> bool {
        self.class == Some(Class::Rollback as i64)
    }

    /// Whether it counts as one that succeeded.
    pub(in super::super) fn succeeded(&self) -> bool {
        self.effective() && self.status == Status::Succeeded as i64
    }

    /// Its place among those that are done: instant and key.
    pub(in super::super) fn finish(&self) -> Option<Order> {
        self.finished_at.map(|at| (at, self.key))
    }
}

/// The images of a list, by the number of its text.
pub(in super::super) fn images(connection: &Connection, list: i64) -> Result<Vec<RunningImage>> {
    let json = names::text(connection, list)?;
    serde_json::from_str(&json).map_err(|error| Error::Damaged(format!("images: {error}")))
}

/// A rollout as it was known; none where nothing was.
pub(in super::super) fn row(connection: &Connection, rollout: i64, known: i64) -> Result<Option<Row>> {
    let mut statement = connection.prepare_cached(concat!(
        "SELECT ",
        columns!(),
        " FROM deployment WHERE rollout = ?1 AND known_from < ?2 AND known_to >= ?2"
    ))?;
    Ok(statement.query_row([rollout, known], Row::read).optional()?)
}

/// What was known of a rollout until the event at this position.
pub(in super::super) fn row_before(connection: &Connection, rollout: i64, position: i64) -> Result<Option<Row>> {
    let mut statement = connection.prepare_cached(concat!(
        "SELECT ",
        columns!(),
        " FROM deployment WHERE rollout = ?1 AND known_to = ?2 AND known_from < ?2"
    ))?;
    Ok(statement.query_row([rollout, position], Row::read).optional()?)
}

/// What ran in a target at an instant.
pub(in super::super) fn live(connection: &Connection, target: i64, at: i64, known: i64) -> Result<Option<Row>> {
    let mut statement = connection.prepare_cached(concat!(
        "SELECT ",
        columns!(),
        " FROM deployment WHERE target = ?1 AND at <= ?2 AND known_from < ?3 AND known_to >= ?3 AND class IN (0, 1) \
         ORDER BY at DESC, key DESC LIMIT 1"
    ))?;
    let found = statement.query_row([target, at, known], Row::read).optional()?;
    Ok(found.filter(|row| row.until_at.is_none_or(|until| at < until)))
}

/// Reads details, whose columns begin at `first`.
fn details(row: &SqlRow<'_>, first: usize) -> rusqlite::Result<Details> {
    Ok(Details {
        images: row.get(first)?,
        source_commit: row.get(first + 1)?,
        manifest: row.get(first + 2)?,
        command: row.get(first + 3)?,
        initiated_by: row.get(first + 4)?,
        flags: row.get(first + 5)?,
        observed_from: row.get(first + 6)?,
    })
}

/// Writes what is known of a rollout from `position` on, unless it is what was known before. Returns whether it was not.
pub(super) fn write(tx: &Connection, position: i64, row: &Row) -> Result<bool> {
    let mut statement =
        tx.prepare_cached(concat!("SELECT ", columns!(), ", id FROM deployment WHERE rollout = ?1 AND known_to = ?2"))?;
    let current: Option<(Row, i64)> = statement
        .query_row(params![row.rollout, CURRENT], |found| Ok((Row::read(found)?, found.get(22)?)))
        .optional()?;
    match current {
        Some((current, _)) if current == *row => return Ok(false),
        Some((_, id)) => {
            tx.prepare_cached("UPDATE deployment SET known_to = ?2 WHERE id = ?1")?.execute(params![id, position])?;
        }
        None => {}
    }
    tx.prepare_cached(concat!(
        "INSERT INTO deployment (",
        columns!(),
        ", known_from, known_to) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, \
         ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24)"
    ))?
    .execute(params![
        row.target,
        row.rollout,
        row.status,
        row.class,
        row.at,
        row.key,
        row.until_at,
        row.ended,
        row.ended_by,
        row.replaces,
        row.started_at,
        row.finished_at,
        row.artifact_set,
        row.details.images,
        row.details.source_commit,
        row.details.manifest,
        row.details.command,
        row.details.initiated_by,
        row.details.flags,
        row.details.observed_from,
        row.clusters,
        row.position,
        position,
        CURRENT,
    ])?;
    Ok(true)
}

/// What was said of a rollout, in order.
pub(super) fn facts(tx: &Connection, rollout: i64) -> Result<Vec<Fact>> {
    let mut statement = tx.prepare_cached(
        "SELECT at, key, position, kind, started_at, cluster, effective, artifact_set, images, source_commit, manifest, \
         command, initiated_by, flags, observed_from FROM rollout_fact WHERE rollout = ?1 ORDER BY at, key",
    )?;
    let mut rows = statement.query([rollout])?;
    let mut facts = Vec::new();
    while let Some(row) = rows.next()? {
        let kind: i64 = row.get(3)?;
        facts.push(Fact {
            at: row.get(0)?,
            key: row.get(1)?,
            position: row.get(2)?,
            kind: Kind::of(kind).ok_or_else(|| Error::Damaged(format!("a rollout fact of kind {kind}")))?,
            started_at: row.get(4)?,
            cluster: row.get(5)?,
            effective: row.get(6)?,
            artifact_set: row.get(7)?,
            details: details(row, 8)?,
        });
    }
    Ok(facts)
}

/// Keeps a fact.
pub(super) fn keep(tx: &Connection, rollout: i64, fact: &Fact) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO rollout_fact (rollout, at, key, position, kind, started_at, cluster, effective, artifact_set, images, \
         source_commit, manifest, command, initiated_by, flags, observed_from) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, \
         ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
    )?
    .execute(params![
        rollout,
        fact.at,
        fact.key,
        fact.position,
        fact.kind as i64,
        fact.started_at,
        fact.cluster,
        fact.effective,
        fact.artifact_set,
        fact.details.images,
        fact.details.source_commit,
        fact.details.manifest,
        fact.details.command,
        fact.details.initiated_by,
        fact.details.flags,
        fact.details.observed_from,
    ])?;
    Ok(())
}

/// The last rollout that brought something new, before an instant.
pub(super) fn last_effect(tx: &Connection, target: i64, before: Order) -> Result<Option<(Order, Class, Option<i64>)>> {
    let mut statement = tx.prepare_cached(
        "SELECT at, key, class, replaces FROM deployment WHERE target = ?1 AND (at, key) < (?2, ?3) AND known_to = ?4 \
         AND class IN (0, 1) ORDER BY at DESC, key DESC LIMIT 1",
    )?;
    let found: Option<(i64, i64, i64, Option<i64>)> = statement
        .query_row(params![target, before.0, before.1, CURRENT], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .optional()?;
    found
        .map(|(at, key, class, replaces)| {
            let class = Class::of(class).ok_or_else(|| Error::Damaged(format!("a deployment of class {class}")))?;
            Ok(((at, key), class, replaces))
        })
        .transpose()
}

/// When an artifact set first went live, of what went live before an instant.
pub(super) fn first_live(tx: &Connection, target: i64, artifact_set: i64, before: Order) -> Result<Option<Order>> {
    let mut statement = tx.prepare_cached(
        "SELECT at, key FROM deployment INDEXED BY deployment_set WHERE target = ?1 AND artifact_set = ?2 \
         AND (at, key) < (?3, ?4) AND known_to = ?5 AND class IN (0, 1) ORDER BY at, key LIMIT 1",
    )?;
    let parameters = params![target, artifact_set, before.0, before.1, CURRENT];
    Ok(statement.query_row(parameters, |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

/// Rollouts that took effect from an instant on, in order.
pub(super) fn effects(tx: &Connection, target: i64, from: Order) -> Result<Vec<i64>> {
    let mut statement = tx.prepare_cached(
        "SELECT id FROM rollout WHERE target = ?1 AND effect_at NOT NULL AND (effect_at, effect_key) >= (?2, ?3) \
         ORDER BY effect_at, effect_key",
    )?;
    let rows = statement.query_map(params![target, from.0, from.1], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// When the target went, from an instant on.
pub(super) fn removals(tx: &Connection, target: i64, from: Order) -> Result<Vec<Order>> {
    let mut statement =
        tx.prepare_cached("SELECT at, key FROM removal WHERE target = ?1 AND (at, key) >= (?2, ?3) ORDER BY at, key")?;
    let rows = statement.query_map(params![target, from.0, from.1], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Since when a cluster is healthy that a rollout took effect in at `from`, looking no further than `until`. Where
/// nothing was ever said of health, success is all there is to go by.
pub(super) fn healthy_at(
    tx: &Connection,
    target: i64,
    cluster: i64,
    from: i64,
    until: Option<i64>,
) -> Result<Option<i64>> {
    let mut before = tx.prepare_cached(
        "SELECT health FROM health_fact WHERE target = ?1 AND cluster = ?2 AND at <= ?3 ORDER BY at DESC, key DESC LIMIT 1",
    )?;
    let before: Option<i64> = before.query_row(params![target, cluster, from], |row| row.get(0)).optional()?;
    if before == Some(HEALTHY) {
        return Ok(Some(from));
    }
    let until = until.unwrap_or(i64::MAX);
    let mut after = tx.prepare_cached(
        "SELECT at FROM health_fact WHERE target = ?1 AND cluster = ?2 AND at > ?3 AND at < ?4 AND (health = 0 OR ?5) \
         ORDER BY at LIMIT 1",
    )?;
    let mut first = |any: bool| -> Result<Option<i64>> {
        Ok(after.query_row(params![target, cluster, from, until, any], |row| row.get(0)).optional()?)
    };
    Ok(match first(false)? {
        Some(at) => Some(at),
        None if before.is_none() && first(true)?.is_none() => Some(from),
        None => None,
    })
}

/// Number of the word in `health_fact`.
pub(super) const HEALTHY: i64 = 0;
