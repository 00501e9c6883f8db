//! What became of a deployment: whether it failed, by which links, and when that was mended (DORA.md, sections 2.4, 2.5 and
//! 2.7). Everything is worked out from what was known at a position, so that the same code fills the views and tells the
//! reasons when it is asked for them.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension, params};

use super::super::deployment::{self, HOTFIX, Row, Status};
use super::super::incident::{self, Incident, Reference};
use super::super::{CURRENT, Result};
use super::deployed;
use super::{FAILED_INCIDENT, FAILED_REMEDIED, FAILED_ROLLED_BACK, FAILED_UNFINISHED};
use super::{IN_VAIN, REDEPLOY, REWORK, ROLLBACK, SUCCEEDED, UNLINKED, claim};

/// Why a deployment counts as failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The incidents that name it.
    pub(super) incidents: Vec<Incident>,
    /// The rollouts that say they repair it.
    pub(super) remedies: BTreeSet<i64>,
    /// The rollouts that rolled it back.
    pub(super) rollbacks: BTreeSet<i64>,
    /// It took effect and ended otherwise than healthy.
    pub(super) unfinished: bool,
}

impl Verdict {
    /// The links, as the views have them.
    pub(super) fn failed(&self) -> i64 {
        let bit = |set: bool, bit: i64| if set { bit } else { 0 };
        bit(!self.incidents.is_empty(), FAILED_INCIDENT)
            | bit(!self.remedies.is_empty(), FAILED_REMEDIED)
            | bit(!self.rollbacks.is_empty(), FAILED_ROLLED_BACK)
            | bit(self.unfinished, FAILED_UNFINISHED)
    }
}

/// Why a deployment that took effect failed, as far as was known.
pub(super) fn verdict(connection: &Connection, of: &Row, known: i64) -> Result<Verdict> {
    let mut verdict = Verdict { unfinished: of.status == Status::Failed as i64, ..Verdict::default() };
    let name = deployed::name_of(connection, of.rollout)?;
    let stream = deployed::stream_of(connection, of.target)?;
    for incident in incidents_naming(connection, of.rollout, &name, stream)? {
        let Some(incident) = incident::incident(connection, incident, known)? else { continue };
        let counts = !incident.external && !incident.maintenance;
        if counts && causes(connection, &incident, known)?.contains_key(&of.rollout) {
            verdict.incidents.push(incident);
        }
    }
    for rollout in rollouts_naming(connection, of.rollout, &name, stream)?.into_iter().filter(|it| *it != of.rollout) {
        if repairs(connection, rollout, known)?.is_some_and(|repaired| repaired.contains(&of.rollout)) {
            verdict.remedies.insert(rollout);
        }
    }
    for rollback in deployed::rollbacks_of(connection, of, known)? {
        if rolled_back(connection, &rollback, known)? == Some(of.rollout) {
            verdict.rollbacks.insert(rollback.rollout);
        }
    }
    Ok(verdict)
}

/// The rollouts that an incident is caused by, as far as was known, with the position of the event that says so. What is
/// said to be unrelated later is not among them.
pub(in super::super) fn causes(connection: &Connection, incident: &Incident, known: i64) -> Result<BTreeMap<i64, i64>> {
    let mut causes = BTreeMap::new();
    for (causes_it, reference, position) in incident::links(connection, incident.id, known)? {
        for rollout in deployed::meant(connection, &reference, incident.started_at, known)? {
            if causes_it {
                causes.insert(rollout, position);
            } else {
                causes.remove(&rollout);
            }
        }
    }
    Ok(causes)
}

/// The incidents that name a rollout as their cause, as far as was known, with the position of the event that says so.
pub(in super::super) fn incidents_of(
    connection: &Connection,
    rollout: i64,
    known: i64,
) -> Result<Vec<(Incident, i64)>> {
    let Some(of) = deployment::row(connection, rollout, known)? else { return Ok(Vec::new()) };
    let name = deployed::name_of(connection, rollout)?;
    let stream = deployed::stream_of(connection, of.target)?;
    let mut found = Vec::new();
    for incident in incidents_naming(connection, rollout, &name, stream)? {
        let Some(incident) = incident::incident(connection, incident, known)? else { continue };
        if let Some(position) = causes(connection, &incident, known)?.get(&rollout) {
            found.push((incident, *position));
        }
    }
    Ok(found)
}

/// Incidents that may name a rollout: by its name at the source, by an event of it, or by its target alone.
pub(super) fn incidents_naming(connection: &Connection, rollout: i64, name: &str, stream: i64) -> Result<Vec<i64>> {
    numbers(
        connection,
        "SELECT incident FROM incident_link WHERE deployment = ?1 \
         UNION SELECT incident FROM incident_link WHERE target = ?2 AND deployment IS NULL AND event IS NULL \
         UNION SELECT incident FROM rollout_fact CROSS JOIN incident_link ON event = rollout_fact.position \
         WHERE rollout_fact.rollout = ?3 AND event NOT NULL ORDER BY 1",
        (name, stream, rollout),
    )
}

/// Rollouts that may say that they repair this one.
fn rollouts_naming(connection: &Connection, rollout: i64, name: &str, stream: i64) -> Result<Vec<i64>> {
    numbers(
        connection,
        "SELECT rollout FROM remedy WHERE deployment = ?1 \
         UNION SELECT rollout FROM remedy WHERE target = ?2 AND target NOT NULL AND deployment IS NULL AND event IS NULL \
         UNION SELECT remedy.rollout FROM rollout_fact CROSS JOIN remedy ON event = rollout_fact.position \
         WHERE rollout_fact.rollout = ?3 AND event NOT NULL ORDER BY 1",
        (name, stream, rollout),
    )
}

fn numbers(connection: &Connection, sql: &str, of: (&str, i64, i64)) -> Result<Vec<i64>> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![of.0, of.1, of.2], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What a rollout says of deployments that it repairs.
pub(super) fn remedies(connection: &Connection, rollout: i64, known: i64) -> Result<Vec<Reference>> {
    let mut statement = connection.prepare_cached(
        "SELECT deployment, event, target FROM remedy WHERE rollout = ?1 AND position < ?2 AND incident IS NULL \
         ORDER BY position, n",
    )?;
    let rows = statement.query_map([rollout, known], |row| {
        Ok(Reference { deployment: row.get(0)?, event: row.get(1)?, target: row.get(2)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The rollouts that a rollout says it repairs; none where it names nothing at all.
fn repairs(connection: &Connection, rollout: i64, known: i64) -> Result<Option<BTreeSet<i64>>> {
    let named = remedies(connection, rollout, known)?;
    if named.is_empty() {
        return Ok(None);
    }
    let started_at = deployment::row(connection, rollout, known)?.and_then(|deployed| deployed.started_at);
    let mut repaired = BTreeSet::new();
    for reference in named {
        repaired.extend(deployed::meant(connection, &reference, started_at, known)?);
    }
    Ok(Some(repaired))
}

/// What a rollback took back: what ran when it was begun, else what ran just before; nothing where it names another itself.
fn rolled_back(connection: &Connection, rollback: &Row, known: i64) -> Result<Option<i64>> {
    if !remedies(connection, rollback.rollout, known)?.is_empty() {
        return Ok(None);
    }
    let live = match rollback.started_at {
        Some(at) => deployment::live(connection, rollback.target, at, known)?,
        None => None,
    };
    let live = live.filter(|live| live.artifact_set != rollback.artifact_set).map(|live| live.rollout);
    Ok(live.or(rollback.replaces))
}

/// When a failed deployment was mended, as far as was known: when the last of its incidents was over; else when the first
/// that repairs it or rolls it back was done; else, of one that was never healthy, when the next was.
pub(super) fn recovered_at(connection: &Connection, of: &Row, verdict: &Verdict, known: i64) -> Result<Option<i64>> {
    if !verdict.incidents.is_empty() {
        let ends: Option<Vec<i64>> = verdict.incidents.iter().map(|incident| incident.resolved_at).collect();
        return Ok(ends.and_then(|ends| ends.into_iter().max()));
    }
    if verdict.unfinished {
        return deployed::next_success(connection, of, known);
    }
    let mut ends = Vec::new();
    for rollout in verdict.remedies.union(&verdict.rollbacks) {
        let repair = deployment::row(connection, *rollout, known)?;
        ends.extend(repair.filter(|it| it.succeeded() && it.finish() > of.finish()).and_then(|it| it.finished_at));
    }
    Ok(ends.into_iter().min())
}

/// Whether it is unplanned remediation.
fn is_rework(connection: &Connection, of: &Row, known: i64) -> Result<bool> {
    if of.rolled_back() || of.details.flags & HOTFIX != 0 {
        return Ok(true);
    }
    let mut statement =
        connection.prepare_cached("SELECT 1 FROM remedy WHERE rollout = ?1 AND position < ?2 LIMIT 1")?;
    Ok(statement.exists([of.rollout, known])?)
}

/// A row without the positions it was known between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Outcome {
    target: i64,
    finished_at: i64,
    key: i64,
    flags: i64,
    failed: i64,
    recovered_at: Option<i64>,
}

fn outcome(tx: &Connection, deployed: Option<&Row>, known: i64) -> Result<Option<Outcome>> {
    let Some(of) = deployed else { return Ok(None) };
    let Some((finished_at, key)) = of.finish() else { return Ok(None) };
    if !of.effective() {
        let flags = if of.class.is_some() { REDEPLOY } else { IN_VAIN };
        return Ok(Some(Outcome { target: of.target, finished_at, key, flags, failed: 0, recovered_at: None }));
    }
    let verdict = verdict(tx, of, known)?;
    let failed = verdict.failed();
    let recovered_at = if failed == 0 { None } else { recovered_at(tx, of, &verdict, known)? };
    let bit = |set: bool, bit: i64| if set { bit } else { 0 };
    let unlinked = of.succeeded() && !claim::is_linked(tx, of.rollout)?;
    let flags = bit(of.succeeded(), SUCCEEDED)
        | bit(of.rolled_back(), ROLLBACK)
        | bit(is_rework(tx, of, known)?, REWORK)
        | bit(unlinked, UNLINKED);
    Ok(Some(Outcome { target: of.target, finished_at, key, flags, failed, recovered_at }))
}

/// Works out anew what became of a rollout, and writes it down from `position` on, unless it is what was known before.
/// Returns how long its recovery took, in microseconds, when it is the first time that it is known to have recovered.
pub(super) fn renew(tx: &Connection, rollout: i64, position: i64) -> Result<Option<(i64, i64)>> {
    let known = position + 1;
    let wanted = outcome(tx, deployment::row(tx, rollout, known)?.as_ref(), known)?;
    let mut statement = tx.prepare_cached(
        "SELECT target, finished_at, key, flags, failed, recovered_at, known_from FROM outcome \
         WHERE rollout = ?1 AND known_to = ?2",
    )?;
    let current = statement
        .query_row([rollout, CURRENT], |row| {
            let outcome = Outcome {
                target: row.get(0)?,
                finished_at: row.get(1)?,
                key: row.get(2)?,
                flags: row.get(3)?,
                failed: row.get(4)?,
                recovered_at: row.get(5)?,
            };
            Ok((outcome, row.get::<_, i64>(6)?))
        })
        .optional()?;
    let (current, known_from) = current.unzip();
    if current == wanted {
        return Ok(None);
    }
    if let Some((current, known_from)) = current.zip(known_from) {
        tx.prepare_cached(
            "UPDATE outcome SET known_to = ?6 WHERE target = ?1 AND finished_at = ?2 AND key = ?3 AND rollout = ?4 \
             AND known_from = ?5",
        )?
        .execute([current.target, current.finished_at, current.key, rollout, known_from, position])?;
    }
    let Some(wanted) = wanted else { return Ok(None) };
    let recovered = match wanted.recovered_at {
        Some(at) if !has_recovered(tx, rollout)? => Some((wanted.target, (at - wanted.finished_at).max(0))),
        _ => None,
    };
    tx.prepare_cached(
        "INSERT INTO outcome (target, finished_at, key, rollout, known_from, known_to, flags, failed, recovered_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        wanted.target,
        wanted.finished_at,
        wanted.key,
        rollout,
        position,
        CURRENT,
        wanted.flags,
        wanted.failed,
        wanted.recovered_at,
    ])?;
    Ok(recovered)
}

/// Whether a rollout was ever known to have recovered.
fn has_recovered(tx: &Connection, rollout: i64) -> Result<bool> {
    let mut statement =
        tx.prepare_cached("SELECT 1 FROM outcome WHERE rollout = ?1 AND recovered_at NOT NULL LIMIT 1")?;
    Ok(statement.exists([rollout])?)
}
