//! Finding deployments by what ran in them, by what they were made of, and by their names.

use rusqlite::{OptionalExtension, params};

use super::super::{Basis, Result, Snapshot};
use super::query::{Deployment, deployment, read_target};
use super::store;
use super::{Target, target_of};

/// A deployment by its numbers, and its place in the order in which deployments are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) struct Place {
    /// When it took effect, or was last heard of.
    pub(in super::super) at: i64,
    /// Orders what is of one instant.
    pub(in super::super) key: i64,
    /// The rollout.
    pub(in super::super) rollout: i64,
    /// The event that ended it, or the last that told of it.
    pub(in super::super) position: i64,
}

/// What deployments are looked for by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum By {
    /// An image that ran: its digest, or `name:tag` where that is not known.
    Image,
    /// The commit that the deployer named: `<repository stream>@<commit>`.
    SourceCommit,
    /// The commit of desired state, in the same form.
    Manifest,
}

/// Most deployments that are looked at by one name of an image; the newest count.
const PLACES_MAX: i64 = 10_000;

/// Deployments with something in them (`name.id`), newest first.
///
/// # Errors
/// `Database`.
pub(in super::super) fn places(snapshot: &Snapshot<'_>, known: i64, by: By, of: i64) -> Result<Vec<Place>> {
    let sql = match by {
        By::Image => {
            "SELECT at, key, rollout, position FROM image_list CROSS JOIN deployment ON deployment.images = image_list.images \
             WHERE image_list.image = ?1 AND known_from < ?2 AND known_to >= ?2 ORDER BY at DESC, key DESC LIMIT ?3"
        }
        By::SourceCommit => {
            "SELECT at, key, rollout, position FROM deployment WHERE source_commit = ?1 AND known_from < ?2 \
             AND known_to >= ?2 ORDER BY at DESC, key DESC LIMIT ?3"
        }
        By::Manifest => {
            "SELECT at, key, rollout, position FROM deployment WHERE manifest = ?1 AND known_from < ?2 \
             AND known_to >= ?2 ORDER BY at DESC, key DESC LIMIT ?3"
        }
    };
    let mut statement = snapshot.connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![of, known, PLACES_MAX], |row| {
        Ok(Place { at: row.get(0)?, key: row.get(1)?, rollout: row.get(2)?, position: row.get(3)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A rollout as it was known, with its target; none where it was not.
///
/// # Errors
/// `Database`, `Damaged`.
pub(in super::super) fn of_rollout(
    snapshot: &Snapshot<'_>,
    basis: &Basis,
    rollout: i64,
) -> Result<Option<(Target, Deployment)>> {
    let Some(row) = store::row(snapshot.connection, rollout, basis.known())? else { return Ok(None) };
    let mut statement = snapshot.connection.prepare_cached(
        "SELECT id, environment, service, \
           (SELECT min(at) FROM target_sight WHERE target_sight.target = target.id AND target_sight.position < ?2) \
         FROM target WHERE id = ?1",
    )?;
    let target = statement.query_row([row.target, basis.known()], read_target)?;
    Ok(Some((target, deployment(snapshot, row)?)))
}

/// The number of a rollout by environment, service and id.
///
/// # Errors
/// `Database`.
pub(in super::super) fn rollout_of(
    snapshot: &Snapshot<'_>,
    (environment, service, id): (&str, &str, &str),
) -> Result<Option<i64>> {
    let mut statement = snapshot.connection.prepare_cached(
        "SELECT rollout.id FROM target CROSS JOIN rollout ON rollout.target = target.id AND rollout.name = ?3 \
         WHERE target.environment = ?1 AND target.service = ?2",
    )?;
    Ok(statement.query_row([environment, service, id], |row| row.get(0)).optional()?)
}

/// Deployments of a name, as environment, service and id, sorted: the id alone, or `environment/service/id`.
///
/// # Errors
/// `Database`.
pub(in super::super) fn named(
    snapshot: &Snapshot<'_>,
    known: i64,
    name: &str,
) -> Result<Vec<(String, String, String)>> {
    // One look in each target: an index of names would cost more than there are targets.
    let mut statement = snapshot.connection.prepare_cached(
        "SELECT environment, service, name FROM target CROSS JOIN rollout ON rollout.target = target.id AND rollout.name = ?1 \
         WHERE EXISTS (SELECT 1 FROM deployment WHERE deployment.rollout = rollout.id AND known_from < ?2 AND known_to >= ?2) \
         AND (?3 IS NULL OR environment = ?3) AND (?4 IS NULL OR service = ?4) ORDER BY environment, service",
    )?;
    let mut found = Vec::new();
    let whole = format!("target/{name}");
    let parts = target_of(&whole).and_then(|(environment, rest)| Some((environment, rest.split_once('/')?)));
    let in_target = parts.map(|(environment, (service, id))| (id, Some(environment), Some(service)));
    for (id, environment, service) in [Some((name, None, None)), in_target].into_iter().flatten() {
        let rows = statement
            .query_map(params![id, known, environment, service], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        for row in rows {
            found.push(row?);
        }
    }
    found.sort();
    Ok(found)
}
