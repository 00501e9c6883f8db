//! Taking in events.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::super::registry::{About, Projection, Step};
use super::super::{CURRENT, Error, Result};
use super::state::{Fact, Kind, State};
use crate::event::incident::LinkKind;
use crate::event::target::DeploymentRef;
use crate::event::{Data, StreamName, Timestamp};

/// The fold.
#[derive(Debug, Default)]
pub struct Incidents;

/// What an event says, before its texts have numbers.
struct Said<'a> {
    kind: Kind,
    instant: Option<Timestamp>,
    started_at: Option<Timestamp>,
    detected_at: Option<Timestamp>,
    external: Option<bool>,
    severity: Option<&'a String>,
    sort: Option<i64>,
    targets: Option<&'a Vec<StreamName>>,
    links: Option<(LinkKind, &'a Vec<DeploymentRef>)>,
    duplicate: bool,
}

fn said(data: &Data) -> Option<Said<'_>> {
    Some(match data {
        Data::IncidentOpened(it) => Said {
            kind: Kind::Opened,
            instant: Some(it.opened_at),
            started_at: it.started_at,
            detected_at: it.detected_at,
            external: it.external,
            severity: it.severity.as_ref(),
            sort: Some(it.kind as i64),
            targets: it.targets.as_ref(),
            links: it.caused_by.as_ref().map(|causes| (LinkKind::CausedBy, causes)),
            duplicate: false,
        },
        Data::IncidentResolved(it) => Said {
            kind: Kind::Resolved,
            instant: Some(it.resolved_at),
            started_at: it.started_at,
            detected_at: it.detected_at,
            external: it.external,
            severity: None,
            sort: None,
            targets: None,
            links: it.remediated_by.as_ref().map(|repairs| (LinkKind::RemediatedBy, repairs)),
            duplicate: false,
        },
        Data::IncidentReopened(it) => Said {
            kind: Kind::Reopened,
            instant: Some(it.reopened_at),
            started_at: None,
            detected_at: None,
            external: None,
            severity: it.severity.as_ref(),
            sort: None,
            targets: None,
            links: None,
            duplicate: false,
        },
        Data::IncidentLinked(it) => Said {
            kind: Kind::Linked,
            instant: None,
            started_at: it.started_at,
            detected_at: it.detected_at,
            external: it.external,
            severity: None,
            sort: None,
            targets: it.targets.as_ref(),
            links: it.deployments.as_ref().map(|deployments| (it.link, deployments)),
            duplicate: it.link == LinkKind::DuplicateOf,
        },
        _ => return None,
    })
}

impl Projection for Incidents {
    fn about(&self) -> &'static About {
        &super::ABOUT
    }

    fn fold(&mut self, step: &mut Step<'_>) -> Result<()> {
        let Some(said) = said(&step.event.data) else { return Ok(()) };
        let incident = step.name(step.event.stream())?;
        keep(step, incident, &said)?;
        if let Some((link, deployments)) = said.links {
            keep_links(step, incident, link, deployments)?;
        }
        let state = State::of(&facts(step.tx, incident)?)
            .ok_or_else(|| Error::Damaged(format!("incident {incident} has no facts")))?;
        write(step.tx, step.event.position, incident, &state)?;
        // What it is linked with may be another, whether or not it is another itself.
        step.changes.incidents.push(incident);
        Ok(())
    }
}

fn keep(step: &mut Step<'_>, incident: i64, said: &Said<'_>) -> Result<()> {
    let targets = said.targets.map(|targets| {
        let mut targets: Vec<&str> = targets.iter().map(StreamName::as_str).collect();
        targets.sort_unstable();
        targets.dedup();
        serde_json::json!(targets).to_string()
    });
    let targets = step.names.optional(step.tx, targets.as_deref())?;
    let severity = step.names.optional(step.tx, said.severity.map(String::as_str))?;
    let event = step.event;
    step.tx
        .prepare_cached(
            "INSERT OR IGNORE INTO incident_fact (incident, at, key, position, kind, instant, started_at, detected_at, \
             external, severity, sort, targets, duplicate) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?
        .execute(params![
            incident,
            event.at,
            event.key,
            event.position,
            said.kind as i64,
            said.instant.map(Timestamp::micros),
            said.started_at.map(Timestamp::micros),
            said.detected_at.map(Timestamp::micros),
            said.external,
            severity,
            said.sort,
            targets,
            said.duplicate,
        ])?;
    Ok(())
}

fn keep_links(step: &mut Step<'_>, incident: i64, link: LinkKind, deployments: &[DeploymentRef]) -> Result<()> {
    for (n, reference) in deployments.iter().enumerate() {
        let target = step.names.optional(step.tx, reference.target.as_ref().map(StreamName::as_str))?;
        let named = reference.event.as_ref().map(|id| i64::try_from(id.position().0).unwrap_or(i64::MAX));
        let event = step.event;
        step.tx
            .prepare_cached(
                "INSERT OR IGNORE INTO incident_link (incident, at, key, n, position, link, deployment, event, target) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                incident,
                event.at,
                event.key,
                i64::try_from(n).unwrap_or(i64::MAX),
                event.position,
                link as i64,
                reference.deployment,
                named,
                target,
            ])?;
    }
    Ok(())
}

fn facts(tx: &Connection, incident: i64) -> Result<Vec<Fact>> {
    let mut statement = tx.prepare_cached(
        "SELECT kind, key, position, instant, started_at, detected_at, external, severity, sort, targets, duplicate \
         FROM incident_fact WHERE incident = ?1 ORDER BY at, key",
    )?;
    let mut rows = statement.query([incident])?;
    let mut facts = Vec::new();
    while let Some(row) = rows.next()? {
        let kind: i64 = row.get(0)?;
        facts.push(Fact {
            kind: Kind::of(kind).ok_or_else(|| Error::Damaged(format!("an incident fact of kind {kind}")))?,
            key: row.get(1)?,
            position: row.get(2)?,
            instant: row.get(3)?,
            started_at: row.get(4)?,
            detected_at: row.get(5)?,
            external: row.get(6)?,
            severity: row.get(7)?,
            sort: row.get(8)?,
            targets: row.get(9)?,
            duplicate: row.get(10)?,
        });
    }
    Ok(facts)
}

fn read(row: &Row<'_>) -> rusqlite::Result<(i64, State)> {
    let state = State {
        started_at: row.get(1)?,
        resolved_at: row.get(2)?,
        reopened: row.get(3)?,
        external: row.get(4)?,
        severity: row.get(5)?,
        sort: row.get(6)?,
        targets: row.get(7)?,
        duplicate: row.get(8)?,
        position: row.get(9)?,
    };
    Ok((row.get(0)?, state))
}

/// Writes what is known of an incident from `position` on, unless it is what was known before.
fn write(tx: &Connection, position: i64, incident: i64, state: &State) -> Result<()> {
    let mut statement = tx.prepare_cached(
        "SELECT id, started_at, resolved_at, reopened, external, severity, sort, targets, duplicate, position \
         FROM incident \
         WHERE incident = ?1 AND known_to = ?2",
    )?;
    match statement.query_row(params![incident, CURRENT], read).optional()? {
        Some((_, current)) if current == *state => return Ok(()),
        Some((id, _)) => {
            tx.prepare_cached("UPDATE incident SET known_to = ?2 WHERE id = ?1")?.execute([id, position])?;
        }
        None => {}
    }
    tx.prepare_cached(
        "INSERT INTO incident (incident, known_from, known_to, started_at, resolved_at, reopened, external, severity, sort, \
         targets, duplicate, position) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?
    .execute(params![
        incident,
        position,
        CURRENT,
        state.started_at,
        state.resolved_at,
        state.reopened,
        state.external,
        state.severity,
        state.sort,
        state.targets,
        state.duplicate,
        state.position,
    ])?;
    Ok(())
}
