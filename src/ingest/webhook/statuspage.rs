//! Statuspage's webhook: a whole incident with all its updates, every time one is added.
//!
//! The updates are gone through from the oldest: each that opens, ends or reopens the incident is an event of its own,
//! known by the update's id. So it does not matter which deliveries came, or in which order.

use serde::Deserialize;

use super::{Authentication, Delivery, Events, Headers, Rejection, System, URL_MAX};
use crate::event::incident::{IncidentKind, IncidentOpened, IncidentReopened, IncidentResolved};
use crate::event::{Data, Timestamp};
use crate::ingest::kubernetes::object::nullable;
use crate::report::{Sketch, value};

/// Statuspage.
pub(super) const SYSTEM: System = System {
    name: "statuspage",
    about: "Atlassian Statuspage",
    events: &["incidents and scheduled maintenances"],
    authentication: Authentication::Shared,
    secret_members: &[],
    recognise,
    normalise,
};

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    incident: Option<Incident>,
    #[serde(default)]
    component_update: Option<ComponentUpdate>,
}

#[derive(Deserialize)]
struct ComponentUpdate {
    #[serde(default)]
    old_status: Option<String>,
    #[serde(default)]
    new_status: Option<String>,
}

#[derive(Deserialize)]
struct Incident {
    id: String,
    name: String,
    status: String,
    created_at: String,
    #[serde(default)]
    resolved_at: Option<String>,
    #[serde(default)]
    impact: Option<String>,
    #[serde(default)]
    shortlink: Option<String>,
    #[serde(default)]
    scheduled_for: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    incident_updates: Vec<Update>,
}

#[derive(Deserialize)]
struct Update {
    id: String,
    status: String,
    #[serde(default)]
    body: Option<String>,
    created_at: String,
}

/// What a status says of an incident.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// It has not begun: a maintenance that is planned.
    Planned,
    /// It goes on.
    Open,
    /// It is over.
    Over,
    /// It was over before, or it is not known here.
    Unchanged,
}

impl State {
    fn of(status: &str) -> Self {
        match status {
            "scheduled" => Self::Planned,
            "investigating" | "identified" | "monitoring" | "in_progress" | "verifying" => Self::Open,
            "resolved" | "completed" => Self::Over,
            _ => Self::Unchanged,
        }
    }
}

fn recognise(_headers: &Headers, sketch: &Sketch) -> bool {
    sketch.has("page.status_indicator") && (sketch.has("incident") || sketch.has("component_update"))
}

fn normalise(delivery: &Delivery<'_>) -> Result<Events, Rejection> {
    let body: Body = delivery.json()?;
    match (&body.incident, &body.component_update) {
        (Some(incident), _) => events(delivery, incident).map_err(|rejection| rejection.at("incident")),
        (None, Some(update)) => {
            let word = |word: &Option<String>| value::cut(word.as_deref().unwrap_or("unknown"), 50);
            let what = format!("component_update: {} to {}", word(&update.old_status), word(&update.new_status));
            Ok(Events::passed_over(what))
        }
        (None, None) => Err(Rejection::missing("incident")),
    }
}

fn events(delivery: &Delivery<'_>, incident: &Incident) -> Result<Events, Rejection> {
    let stream = super::incident(delivery, "id", &incident.id)?;
    let created_at = time("created_at", &incident.created_at)?;
    let mut events = Events { repeats: true, ..Events::default() };
    let mut push = |data: Data, update: &str, at: Timestamp| -> Result<(), Rejection> {
        let dedup = format!("{} {update}", incident.id).parse()?;
        events.drafts.push(delivery.draft_as(data, stream.clone(), dedup, at)?);
        Ok(())
    };
    let mut before = State::Planned;
    let updates = updates(incident)?;
    let first = updates.first().and_then(|(_, update)| update.body.as_deref());
    for &(at, update) in &updates {
        let now = State::of(&update.status);
        match (before, now) {
            // Whatever it begins with: one that is written up afterwards may begin with its end.
            (State::Planned, State::Open | State::Over) => {
                let opened = opened(incident, &update.status, created_at, at, first);
                let opened_at = opened.opened_at;
                push(opened.into(), "opened", opened_at)?;
                if now == State::Over {
                    push(resolved(at, update.body.as_ref()).into(), &update.id, at)?;
                }
            }
            (State::Open, State::Over) => push(resolved(at, update.body.as_ref()).into(), &update.id, at)?,
            (State::Over, State::Open) => push(reopened(incident, at, update.body.as_ref()).into(), &update.id, at)?,
            _ => continue,
        }
        before = now;
    }
    if updates.is_empty() {
        let now = State::of(&incident.status);
        if matches!(now, State::Open | State::Over) {
            push(opened(incident, &incident.status, created_at, created_at, None).into(), "opened", created_at)?;
        }
        if let (State::Over, Some(text)) = (now, &incident.resolved_at) {
            let at = time("resolved_at", text)?;
            push(resolved(at, None).into(), "resolved", at)?;
        }
    }
    if events.drafts.is_empty() {
        events.passed_over.push(format!("incident.{}", value::cut(&incident.status, 50)));
    }
    Ok(events)
}

/// The updates with their times, from the oldest. They come newest first, which nobody promises: only where two have the
/// same time does their place tell which is older.
fn updates(incident: &Incident) -> Result<Vec<(Timestamp, &Update)>, Rejection> {
    let mut updates = Vec::with_capacity(incident.incident_updates.len());
    for (n, update) in incident.incident_updates.iter().enumerate().rev() {
        let at = time("created_at", &update.created_at).map_err(|why| why.at(format!("incident_updates[{n}]")))?;
        updates.push((at, update));
    }
    updates.sort_by_key(|(at, _)| *at);
    Ok(updates)
}

fn time(field: &str, text: &str) -> Result<Timestamp, Rejection> {
    value::time(field, text)?.ok_or_else(|| Rejection::missing(field))
}

fn is_maintenance(incident: &Incident, status: &str) -> bool {
    let planned = incident.scheduled_for.is_some() || incident.impact.as_deref() == Some("maintenance");
    planned || matches!(status, "in_progress" | "verifying" | "completed")
}

fn opened(
    incident: &Incident,
    status: &str,
    created_at: Timestamp,
    at: Timestamp,
    first: Option<&str>,
) -> IncidentOpened {
    let maintenance = is_maintenance(incident, status);
    IncidentOpened {
        alert: None,
        assigned: None,
        caused_by: None,
        description: super::private(first),
        detected_at: None,
        external: None,
        kind: if maintenance { IncidentKind::Maintenance } else { IncidentKind::Outage },
        // A maintenance is put on the page long before it begins.
        opened_at: if maintenance { at } else { created_at },
        severity: incident.impact.as_deref().map(|word| value::cut(word, 100)),
        started_at: None,
        targets: None,
        title: super::private(Some(&incident.name)),
        url: incident.shortlink.as_deref().map(|url| value::cut(url, URL_MAX)),
        vulnerability: None,
    }
}

fn resolved(at: Timestamp, body: Option<&String>) -> IncidentResolved {
    IncidentResolved {
        automatic: None,
        detected_at: None,
        external: None,
        remediated_by: None,
        resolution: super::private(body.map(String::as_str)),
        resolved_at: at,
        resolved_by: None,
        started_at: None,
    }
}

fn reopened(incident: &Incident, at: Timestamp, body: Option<&String>) -> IncidentReopened {
    IncidentReopened {
        reason: super::private(body.map(String::as_str)),
        reopened_at: at,
        reopened_by: None,
        severity: incident.impact.as_deref().map(|word| value::cut(word, 100)),
    }
}
