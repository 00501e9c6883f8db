//! Episodes of drift: from when to when live state differed from desired state.

use rusqlite::{OptionalExtension, params};

use super::super::deployment::target_of;
use super::super::{Basis, Result, Snapshot, instant};
use crate::event::target::{DriftCause, DriftEnd};
use crate::event::{Data, Timestamp};

/// How long before drift was found somebody may have caused it, where the source does not tell when it saw agreement
/// last: ten minutes, in microseconds.
const BEFORE: i64 = 600 * 1_000_000;

/// Actions that are looked at to find who caused drift.
const ACTIONS: i64 = 50;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Window {
    /// One environment; all where absent.
    pub environment: Option<String>,
    /// One service; all where absent.
    pub service: Option<String>,
    /// Episodes that lasted to this instant or longer.
    pub from: Option<Timestamp>,
    /// Episodes that began before this instant.
    pub to: Option<Timestamp>,
}

/// From when to when live state of a target differed from desired state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Episode {
    /// The environment.
    pub environment: String,
    /// The service.
    pub service: String,
    /// Its id.
    pub id: String,
    /// When it was found to begin.
    pub opened_at: Timestamp,
    /// When it was found to be over; none while it lasts.
    pub closed_at: Option<Timestamp>,
    /// How it came about.
    pub cause: DriftCause,
    /// How it ended.
    pub end: Option<DriftEnd>,
    /// Pseudonym of who did it: as the source says, else who changed the target's objects last before it was found,
    /// by the cluster's audit log.
    pub suspect: Option<String>,
    /// The event that opened it.
    pub position: u64,
    /// The event that ended it.
    pub closed_by: Option<u64>,
    /// Orders what began at one instant.
    pub(super) key: i64,
}

impl Episode {
    /// Its place in the order in which episodes are listed.
    #[must_use]
    pub fn place(&self) -> (i64, i64) {
        (self.opened_at.micros(), self.key)
    }
}

/// A row that opened an episode.
pub(super) struct Opened {
    stream: i64,
    drift: i64,
    at: i64,
    key: i64,
    position: i64,
    /// When it was over, and by which event: told, or because the target went.
    pub(super) closed: Option<(i64, i64)>,
}

impl Opened {
    pub(super) fn new(
        snapshot: &Snapshot<'_>,
        basis: &Basis,
        (stream, drift): (i64, i64),
        (at, key): (i64, i64),
        position: i64,
    ) -> Result<Self> {
        let opened = Self { stream, drift, at, key, position, closed: None };
        Ok(Self { closed: end(snapshot, basis, &opened)?, ..opened })
    }
}

/// Episodes that touch a time, newest first, at most `limit`, beginning after the place `after`.
///
/// # Errors
/// `Database`, `Ledger`.
pub fn episodes(
    snapshot: &Snapshot<'_>,
    basis: &Basis,
    window: &Window,
    after: Option<(i64, i64)>,
    limit: usize,
) -> Result<Vec<Episode>> {
    let mut statement = snapshot.connection.prepare_cached(
        "SELECT stream, drift, at, key, position FROM drift_fact AS this JOIN name ON name.id = this.stream \
         WHERE kind = 0 AND position < ?1 AND at < ?2 AND (at, key) < (?3, ?4) \
         AND (?5 IS NULL OR substr(name.text, 1, length(?5)) = ?5) \
         AND (?6 IS NULL OR substr(name.text, -length(?6)) = ?6) \
         AND NOT EXISTS (SELECT 1 FROM drift_fact AS other WHERE other.stream = this.stream AND other.drift = this.drift \
           AND other.kind = 0 AND other.position < ?1 AND (other.at, other.key) < (this.at, this.key)) \
         ORDER BY at DESC, key DESC",
    )?;
    let to = window.to.map_or(i64::MAX, Timestamp::micros);
    let from = window.from.map_or(i64::MIN, Timestamp::micros);
    let (after_at, after_key) = after.unwrap_or((i64::MAX, i64::MAX));
    let within = window.environment.as_ref().map(|environment| format!("target/{environment}/"));
    let of = window.service.as_ref().map(|service| format!("/{service}"));
    let mut rows = statement.query(params![basis.known(), to, after_at, after_key, within, of])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (stream, drift, at, key, position) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
        let opened = Opened::new(snapshot, basis, (stream, drift), (at, key), position)?;
        if opened.closed.is_none_or(|(at, _)| at >= from) {
            found.push(episode(snapshot, basis, &opened)?);
        }
        if found.len() == limit {
            break;
        }
    }
    Ok(found)
}

/// When an episode was over, and by which event: told, or because the target went.
fn end(snapshot: &Snapshot<'_>, basis: &Basis, opened: &Opened) -> Result<Option<(i64, i64)>> {
    let mut told = snapshot.connection.prepare_cached(
        "SELECT at, position FROM drift_fact WHERE stream = ?1 AND drift = ?2 AND kind = 1 AND position < ?3 \
         ORDER BY at, key LIMIT 1",
    )?;
    let parameters = params![opened.stream, opened.drift, basis.known()];
    let told = told.query_row(parameters, |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    if told.is_some() {
        return Ok(told);
    }
    let mut gone = snapshot.connection.prepare_cached(
        "SELECT removal.at, removal.position FROM removal JOIN target ON target.id = removal.target \
         WHERE target.stream = ?1 AND removal.at >= ?2 AND removal.position < ?3 ORDER BY removal.at, removal.key LIMIT 1",
    )?;
    let parameters = params![opened.stream, opened.at, basis.known()];
    Ok(gone.query_row(parameters, |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

/// An episode, in words.
pub(super) fn episode(snapshot: &Snapshot<'_>, basis: &Basis, opened: &Opened) -> Result<Episode> {
    let position = opened.position.unsigned_abs();
    let event = snapshot.event(position)?;
    let stream = event.stream();
    let (environment, service) = target_of(stream).unwrap_or_default();
    let (cause, told, between) = match &event.data {
        Data::DriftOpened(drift) => (drift.cause, drift.suspect.as_ref(), drift.observed_between.as_ref()),
        _ => (DriftCause::Unknown, None, None),
    };
    let suspect = match told {
        Some(subject) => Some(subject.to_string()),
        None => {
            suspect(snapshot, basis, opened, between.map_or(opened.at.saturating_sub(BEFORE), |it| it.from.micros()))?
        }
    };
    let end = match opened.closed {
        Some((_, position)) => Some(match snapshot.event(position.unsigned_abs())?.data {
            Data::DriftClosed(closed) => closed.cause,
            Data::TargetRemoved(_) => DriftEnd::Removed,
            _ => DriftEnd::Unknown,
        }),
        None => None,
    };
    Ok(Episode {
        environment: environment.to_owned(),
        service: service.to_owned(),
        id: snapshot.text(opened.drift)?,
        opened_at: instant(opened.at),
        closed_at: opened.closed.map(|(at, _)| instant(at)),
        cause,
        end,
        suspect,
        position,
        closed_by: opened.closed.map(|(_, position)| position.unsigned_abs()),
        key: opened.key,
    })
}

/// Who changed the target's objects last before drift was found. The cluster's own machinery (`system:...`, service
/// accounts among it) is left out, as far as its identity is not erased.
fn suspect(snapshot: &Snapshot<'_>, basis: &Basis, opened: &Opened, from: i64) -> Result<Option<String>> {
    let mut statement = snapshot.connection.prepare_cached(
        "SELECT user FROM action_fact WHERE stream = ?1 AND at >= ?2 AND at <= ?3 AND position < ?4 \
         ORDER BY at DESC, key DESC LIMIT ?5",
    )?;
    let mut rows = statement.query(params![opened.stream, from, opened.at, basis.known(), ACTIONS])?;
    while let Some(row) = rows.next()? {
        let user = snapshot.text(row.get(0)?)?;
        let machinery = |identity: &String| identity.rsplit_once("system:").is_some();
        if !snapshot.person(&user)?.as_ref().is_some_and(machinery) {
            return Ok(Some(user));
        }
    }
    Ok(None)
}
