//! Asking what is known of incidents.

use rusqlite::{Connection, Row};

use super::super::deployment::target_of;
use super::super::{Basis, Result, Snapshot, instant, names};
use super::state::Sort;
use crate::event::Timestamp;

/// An incident, as it was known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// Number of its stream.
    pub id: i64,
    /// When its effects began, in microseconds since 1970; none where nobody told of its beginning.
    pub started_at: Option<i64>,
    /// When it ended for the last time; none while it lasts.
    pub resolved_at: Option<i64>,
    /// How often it was opened again.
    pub reopened: i64,
    /// The cause was not ours.
    pub external: bool,
    /// Number of the source's word for how bad it is.
    pub severity: Option<i64>,
    /// It was foreseen, and is no trouble.
    pub maintenance: bool,
    /// It is the same trouble as another incident.
    pub duplicate: bool,
    /// Streams of the targets it is about, sorted.
    pub targets: Vec<String>,
    /// The last event that was said of it.
    pub position: i64,
}

/// The columns that make an [`Incident`].
macro_rules! columns {
    () => {
        "incident, started_at, resolved_at, reopened, external, severity, sort, duplicate, position, targets"
    };
}

fn read(connection: &Connection, row: &Row<'_>) -> Result<Incident> {
    let targets = match row.get::<_, Option<i64>>(9)? {
        Some(targets) => serde_json::from_str(&names::text(connection, targets)?).unwrap_or_default(),
        None => Vec::new(),
    };
    Ok(Incident {
        id: row.get(0)?,
        started_at: row.get(1)?,
        resolved_at: row.get(2)?,
        reopened: row.get(3)?,
        external: row.get(4)?,
        severity: row.get(5)?,
        maintenance: row.get::<_, Option<i64>>(6)? == Some(Sort::Maintenance as i64),
        duplicate: row.get(7)?,
        targets,
        position: row.get(8)?,
    })
}

/// An incident (`name.id` of its stream) from facts before the position `known`; none where it was only mentioned.
///
/// # Errors
/// `Database`.
pub fn incident(connection: &Connection, incident: i64, known: i64) -> Result<Option<Incident>> {
    let mut statement = connection.prepare_cached(concat!(
        "SELECT ",
        columns!(),
        " FROM incident WHERE incident = ?1 AND known_from < ?2 AND known_to >= ?2"
    ))?;
    let mut rows = statement.query([incident, known])?;
    rows.next()?.map(|row| read(connection, row)).transpose()
}

/// What was known of an incident until the event at this position.
///
/// # Errors
/// `Database`.
pub(in super::super) fn before(connection: &Connection, incident: i64, position: i64) -> Result<Option<Incident>> {
    let mut statement = connection.prepare_cached(concat!(
        "SELECT ",
        columns!(),
        " FROM incident WHERE incident = ?1 AND known_to = ?2"
    ))?;
    let mut rows = statement.query([incident, position])?;
    rows.next()?.map(|row| read(connection, row)).transpose()
}

/// Whether the event at this position is the first that was known of an incident, and the first by which it was over.
///
/// # Errors
/// `Database`.
pub(in super::super) fn is_first(connection: &Connection, incident: i64, position: i64) -> Result<(bool, bool)> {
    let mut statement = connection
        .prepare_cached("SELECT count(*), count(resolved_at) FROM incident WHERE incident = ?1 AND known_from < ?2")?;
    let (known, over): (i64, i64) = statement.query_row([incident, position], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((known == 0, over == 0))
}

/// Incidents that ended in the time from `from` to before `to`, by their end.
///
/// # Errors
/// `Database`.
pub fn resolved(connection: &Connection, from: i64, to: i64, known: i64) -> Result<Vec<Incident>> {
    let mut statement = connection.prepare_cached(concat!(
        "SELECT ",
        columns!(),
        " FROM incident WHERE resolved_at >= ?1 AND resolved_at < ?2 AND known_from < ?3 AND known_to >= ?3 \
         ORDER BY resolved_at, incident"
    ))?;
    let mut rows = statement.query([from, to, known])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(connection, row)?);
    }
    Ok(found)
}

/// Every incident, in the order in which the ledger heard of them.
fn all(connection: &Connection, known: i64) -> Result<Vec<Incident>> {
    let mut statement = connection.prepare_cached(concat!(
        "SELECT ",
        columns!(),
        " FROM incident WHERE known_from < ?1 AND known_to >= ?1 ORDER BY incident"
    ))?;
    let mut rows = statement.query([known])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(connection, row)?);
    }
    Ok(found)
}

impl Incident {
    /// Whether it is trouble of its own: not foreseen, and not the same as another.
    #[must_use]
    pub fn is_trouble(&self) -> bool {
        !self.maintenance && !self.duplicate
    }

    /// Service and environment of each target that it is about; one of empty names where it is about none.
    #[must_use]
    pub fn places(&self) -> Vec<(String, String)> {
        let targets = self.targets.iter().filter_map(|stream| target_of(stream));
        let places: Vec<_> =
            targets.map(|(environment, service)| (service.to_owned(), environment.to_owned())).collect();
        if places.is_empty() { vec![(String::new(), String::new())] } else { places }
    }
}

/// Trouble in a target, from when to when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The service; empty where no target is known.
    pub service: String,
    /// The environment.
    pub environment: String,
    /// The source's word for how bad it is; empty where there is none.
    pub severity: String,
    /// When it began; none where nobody told.
    pub started_at: Option<Timestamp>,
    /// When it was over; none while it lasts.
    pub resolved_at: Option<Timestamp>,
}

/// All trouble, once for each target that it is about.
///
/// # Errors
/// `Database`.
pub fn troubles(snapshot: &Snapshot<'_>, basis: &Basis) -> Result<Vec<Trouble>> {
    let mut found = Vec::new();
    for incident in all(snapshot.connection, basis.known())?.into_iter().filter(Incident::is_trouble) {
        let severity = incident.severity.map(|severity| snapshot.text(severity)).transpose()?.unwrap_or_default();
        for (service, environment) in incident.places() {
            let (started_at, resolved_at) = (incident.started_at.map(instant), incident.resolved_at.map(instant));
            found.push(Trouble { service, environment, severity: severity.clone(), started_at, resolved_at });
        }
    }
    Ok(found)
}

/// By what a deployment is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The source's id of the rollout.
    pub deployment: Option<String>,
    /// Position of an event of it.
    pub event: Option<i64>,
    /// Number of the target's stream.
    pub target: Option<i64>,
}

impl Reference {
    /// Whether nothing but a target is named.
    #[must_use]
    pub fn names_target_alone(&self) -> bool {
        self.deployment.is_none() && self.event.is_none()
    }
}

/// What was said of the cause of an incident, in the order in which it was said: whether the deployment named is it, or is
/// not; and the position of the event that says so.
///
/// # Errors
/// `Database`.
pub fn links(connection: &Connection, incident: i64, known: i64) -> Result<Vec<(bool, Reference, i64)>> {
    let mut statement = connection.prepare_cached(
        "SELECT link = 0, deployment, event, target, position FROM incident_link WHERE incident = ?1 AND link IN (0, 3) \
         AND position < ?2 ORDER BY at, key, n",
    )?;
    let rows = statement.query_map([incident, known], |row| {
        let reference = Reference { deployment: row.get(1)?, event: row.get(2)?, target: row.get(3)? };
        Ok((row.get(0)?, reference, row.get(4)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
