//! Reading the counts.

use rusqlite::{Row, params};

use super::super::{CURRENT, Error, Result, Snapshot, instant};
use super::fold::{Spread, seconds};
use super::{Count, Duration};
use crate::event::Timestamp;
use crate::exposition::Histogram;

/// Events of one type from one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventCount {
    /// The type.
    pub type_name: String,
    /// The source.
    pub source: String,
    /// How many were recorded.
    pub recorded: u64,
    /// How many of those more than an hour after they happened.
    pub late: u64,
}

/// A count of one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The service.
    pub service: String,
    /// The environment.
    pub environment: String,
    /// Class and outcome of deployments, with a space between; the severity of incidents.
    pub detail: String,
    /// How many.
    pub n: u64,
}

/// A distribution of one target.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// The service.
    pub service: String,
    /// The environment.
    pub environment: String,
    /// The distribution, in seconds.
    pub histogram: Histogram,
    /// Id of the event of the newest observation, and that in seconds.
    pub newest: Option<(String, f64)>,
}

fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.unsigned_abs())
}

/// Events by type and source, in that order.
///
/// # Errors
/// `Database`.
pub fn event_counts(snapshot: &Snapshot<'_>) -> Result<Vec<EventCount>> {
    let mut statement = snapshot
        .connection
        .prepare_cached("SELECT type, source, recorded, late FROM event_count ORDER BY type, source")?;
    let rows = statement.query_map([], |row| {
        Ok(EventCount { type_name: row.get(0)?, source: row.get(1)?, recorded: count(row, 2)?, late: count(row, 3)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Counts of one kind, by service, environment and detail.
///
/// # Errors
/// `Database`.
pub fn counted(snapshot: &Snapshot<'_>, what: Count) -> Result<Vec<Counted>> {
    let mut statement = snapshot.connection.prepare_cached(
        "SELECT service, environment, detail, n FROM counted WHERE what = ?1 ORDER BY service, environment, detail",
    )?;
    let rows = statement.query_map([what as i64], |row| {
        Ok(Counted { service: row.get(0)?, environment: row.get(1)?, detail: row.get(2)?, n: count(row, 3)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Distributions of one kind, by service and environment.
///
/// # Errors
/// `Database`; `Damaged`.
pub fn observed(snapshot: &Snapshot<'_>, what: Duration) -> Result<Vec<Observed>> {
    let mut statement = snapshot.connection.prepare_cached(
        "SELECT service, environment, spread FROM observed WHERE what = ?1 ORDER BY service, environment",
    )?;
    let mut rows = statement.query([what as i64])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let json: String = row.get(2)?;
        let spread: Spread =
            serde_json::from_str(&json).map_err(|error| Error::Damaged(format!("a distribution: {error}")))?;
        let newest = spread.newest.clone().map(|(event, micros)| (event, seconds(micros)));
        let histogram = spread.histogram();
        found.push(Observed { service: row.get(0)?, environment: row.get(1)?, histogram, newest });
    }
    Ok(found)
}

/// When each target last had a succeeded deployment with effect, by service and environment.
///
/// # Errors
/// `Database`.
pub fn last_successes(snapshot: &Snapshot<'_>) -> Result<Vec<(String, String, Timestamp)>> {
    let mut statement = snapshot.connection.prepare_cached(
        "SELECT service, environment, (SELECT finished_at FROM deployment WHERE target = target.id AND known_to = ?1 \
         AND status = 2 AND class IN (0, 1) ORDER BY finished_at DESC LIMIT 1) AS last FROM target \
         WHERE last NOT NULL ORDER BY service, environment",
    )?;
    let rows = statement.query_map(params![CURRENT], |row| Ok((row.get(0)?, row.get(1)?, instant(row.get(2)?))))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
