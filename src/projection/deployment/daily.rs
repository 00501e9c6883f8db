//! How many deployments ended on each day.

use rusqlite::params;

use super::super::{Basis, Error, Result, Snapshot};
use super::walk::{Class, Status};

/// Microseconds of a day.
pub(super) const DAY: i64 = 86_400_000_000;

/// Deployments of one target, class and outcome that ended on one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Daily {
    /// The service.
    pub service: String,
    /// The environment.
    pub environment: String,
    /// What they were; none where they had no effect.
    pub class: Option<Class>,
    /// What became of them.
    pub status: Status,
    /// The day in UTC, counted from 1970-01-01.
    pub day: i64,
    /// How many.
    pub n: u64,
}

/// Every deployment and attempt that ended, by target, class, outcome and the day on which it ended, in that order.
///
/// # Errors
/// `Database`, `Damaged`.
pub fn daily(snapshot: &Snapshot<'_>, basis: &Basis) -> Result<Vec<Daily>> {
    // Rounded down, also before 1970.
    let mut statement = snapshot.connection.prepare_cached(
        "SELECT target.service, target.environment, class, status, \
         (finished_at - ((finished_at % ?2) + ?2) % ?2) / ?2 AS day, count(*) \
         FROM deployment JOIN target ON target.id = deployment.target \
         WHERE known_from < ?1 AND known_to >= ?1 AND status >= 2 AND finished_at NOT NULL \
         GROUP BY target.service, target.environment, class, status, day \
         ORDER BY target.service, target.environment, class, status, day",
    )?;
    let mut rows = statement.query(params![basis.known(), DAY])?;
    let damaged = |what: &str, number: i64| Error::Damaged(format!("a deployment with {what} {number}"));
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (class, status): (Option<i64>, i64) = (row.get(2)?, row.get(3)?);
        found.push(Daily {
            service: row.get(0)?,
            environment: row.get(1)?,
            class: class.map(|class| Class::of(class).ok_or_else(|| damaged("class", class))).transpose()?,
            status: Status::of(status).ok_or_else(|| damaged("status", status))?,
            day: row.get(4)?,
            n: row.get::<_, i64>(5)?.unsigned_abs(),
        });
    }
    Ok(found)
}
