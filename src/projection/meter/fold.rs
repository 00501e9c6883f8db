//! Taking in events. Counts are kept at hand and written once for each transaction.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::super::deployment::{Class, Status};
use super::super::registry::{About, Projection, Step};
use super::super::{CURRENT, Error, Result, incident, names};
use super::{Count, Duration, LATE_MICROS, SECONDS};
use crate::exposition::{Histogram, Native, count};

/// What names an observation: its kind, service and environment.
type Place = (i64, String, String);

/// A distribution in whole numbers: it is written and read again with every transaction, and must stay what it is.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Spread {
    /// Observations in each bucket of [`SECONDS`], and beyond.
    pub(super) counts: Vec<u64>,
    pub(super) native: Native,
    pub(super) sum_micros: i64,
    /// Id of the newest event, and its observation in microseconds.
    pub(super) newest: Option<(String, i64)>,
}

impl Spread {
    fn observe(&mut self, micros: i64) {
        let seconds = seconds(micros);
        count(&mut self.counts, &SECONDS, seconds);
        self.native.observe(seconds);
        self.sum_micros = self.sum_micros.saturating_add(micros);
    }

    /// The distribution in seconds.
    pub(super) fn histogram(self) -> Histogram {
        let Self { counts, native, sum_micros, .. } = self;
        Histogram { bounds: SECONDS.to_vec(), counts, sum: seconds(sum_micros), native: Some(native) }
    }
}

/// Microseconds as seconds.
#[expect(clippy::cast_precision_loss, reason = "centuries of microseconds fit")]
pub(super) fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

/// The fold. It keeps what the events of one transaction add.
#[derive(Debug, Default)]
pub struct Meters {
    events: HashMap<(String, String), (i64, i64)>,
    counted: HashMap<(i64, String, String, String), i64>,
    observed: HashMap<Place, Spread>,
}

impl Projection for Meters {
    fn about(&self) -> &'static About {
        &super::ABOUT
    }

    fn fold(&mut self, step: &mut Step<'_>) -> Result<()> {
        let envelope = &step.event.envelope;
        let late = envelope.recorded_at.micros() - step.event.at > LATE_MICROS;
        let key = (envelope.type_name.clone(), envelope.source.to_string());
        let counts = self.events.entry(key).or_default();
        *counts = (counts.0 + 1, counts.1 + i64::from(late));
        let changed: Vec<_> = step.changes.deployments.clone();
        for (target, rollout) in changed {
            self.ended(step, target, rollout)?;
        }
        for (target, seconds) in step.changes.lead_times.clone() {
            let (service, environment) = place(step.tx, target)?;
            self.observe(step, Duration::ChangeLeadTime, (&service, &environment), seconds * 1_000_000)?;
        }
        for (target, micros) in step.changes.recoveries.clone() {
            let (service, environment) = place(step.tx, target)?;
            self.observe(step, Duration::DeploymentRecovery, (&service, &environment), micros)?;
        }
        for incident in step.changes.incidents.clone() {
            self.trouble(step, incident)?;
        }
        Ok(())
    }

    fn flush(&mut self, tx: &Connection) -> Result<()> {
        for ((type_name, source), (recorded, late)) in self.events.drain() {
            tx.prepare_cached(
                "INSERT INTO event_count (type, source, recorded, late) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (type, source) \
                 DO UPDATE SET recorded = recorded + excluded.recorded, late = late + excluded.late",
            )?
            .execute(params![type_name, source, recorded, late])?;
        }
        for ((what, service, environment, detail), n) in self.counted.drain() {
            tx.prepare_cached(
                "INSERT INTO counted (what, service, environment, detail, n) VALUES (?1, ?2, ?3, ?4, ?5) \
                 ON CONFLICT (what, service, environment, detail) DO UPDATE SET n = n + excluded.n",
            )?
            .execute(params![what, service, environment, detail, n])?;
        }
        for ((what, service, environment), spread) in self.observed.drain() {
            let json = serde_json::to_string(&spread).map_err(|error| Error::Poison(error.to_string()))?;
            tx.prepare_cached(
                "INSERT INTO observed (what, service, environment, spread) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT (what, service, environment) DO UPDATE SET spread = excluded.spread",
            )?
            .execute(params![what, service, environment, json])?;
        }
        Ok(())
    }

    fn reset(&mut self) {
        *self = Self::default();
    }
}

impl Meters {
    /// Counts a rollout when it is first known to have ended.
    fn ended(&mut self, step: &Step<'_>, target: i64, rollout: i64) -> Result<()> {
        let mut statement = step.tx.prepare_cached(
            "SELECT status, class, started_at, finished_at, target.service, target.environment, EXISTS (SELECT 1 FROM \
             deployment earlier WHERE earlier.rollout = ?1 AND earlier.known_to < ?3 AND earlier.status >= 2) \
             FROM deployment JOIN target ON target.id = ?2 WHERE rollout = ?1 AND known_to = ?3",
        )?;
        type Found = (i64, Option<i64>, Option<i64>, Option<i64>, String, String, bool);
        let found: Option<Found> = statement
            .query_row(params![rollout, target, CURRENT], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?))
            })
            .optional()?;
        let Some((status, class, started_at, finished_at, service, environment, false)) = found else { return Ok(()) };
        let Some(status) = Status::of(status).filter(|status| *status >= Status::Succeeded) else { return Ok(()) };
        let class = class.and_then(Class::of).map_or("none", Class::as_str);
        let detail = format!("{class} {}", status.as_str());
        if let Some((from, to)) = started_at.zip(finished_at).filter(|_| status == Status::Succeeded) {
            self.observe(step, Duration::Deployment, (&service, &environment), to - from)?;
        }
        *self.counted.entry((Count::Deployments as i64, service, environment, detail)).or_default() += 1;
        Ok(())
    }

    /// Counts an incident when it is first known, and when it is first known to be over; in each target that it is said to
    /// be about then.
    fn trouble(&mut self, step: &Step<'_>, number: i64) -> Result<()> {
        let position = step.event.position;
        let Some(now) = incident::incident(step.tx, number, position + 1)? else { return Ok(()) };
        if !now.is_trouble() {
            return Ok(());
        }
        let severity = now.severity.map(|severity| names::text(step.tx, severity)).transpose()?.unwrap_or_default();
        let (opened, resolved) = incident::is_first(step.tx, number, position)?;
        for (service, environment) in now.places() {
            let key = |what: Count| (what as i64, service.clone(), environment.clone(), severity.clone());
            if opened {
                *self.counted.entry(key(Count::IncidentsOpened)).or_default() += 1;
            }
            let Some(over) = now.resolved_at.filter(|_| resolved) else { continue };
            *self.counted.entry(key(Count::IncidentsResolved)).or_default() += 1;
            if let Some(from) = now.started_at {
                self.observe(step, Duration::IncidentRestore, (&service, &environment), over - from)?;
            }
        }
        Ok(())
    }

    /// Takes an observation in, of so many microseconds.
    fn observe(
        &mut self,
        step: &Step<'_>,
        what: Duration,
        (service, environment): (&str, &str),
        micros: i64,
    ) -> Result<()> {
        let place = (what as i64, service.to_owned(), environment.to_owned());
        if !self.observed.contains_key(&place) {
            let stored: Option<String> = step
                .tx
                .prepare_cached("SELECT spread FROM observed WHERE what = ?1 AND service = ?2 AND environment = ?3")?
                .query_row(params![place.0, service, environment], |row| row.get(0))
                .optional()?;
            let spread = match stored {
                Some(json) => serde_json::from_str(&json).map_err(|error| Error::Damaged(error.to_string()))?,
                None => Spread::default(),
            };
            self.observed.insert(place.clone(), spread);
        }
        if let Some(spread) = self.observed.get_mut(&place) {
            let micros = micros.max(0);
            spread.observe(micros);
            spread.newest = Some((step.event.envelope.id.to_string(), micros));
        }
        Ok(())
    }
}

/// Service and environment of a target.
fn place(tx: &Connection, target: i64) -> Result<(String, String)> {
    let mut statement = tx.prepare_cached("SELECT service, environment FROM target WHERE id = ?1")?;
    Ok(statement.query_row([target], |row| Ok((row.get(0)?, row.get(1)?)))?)
}
