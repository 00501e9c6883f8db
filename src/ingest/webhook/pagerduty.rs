//! PagerDuty, webhook version 3: what happens to incidents, one event a delivery.
//!
//! Deliveries are signed, may come in any order, and are tried again with the same body.

use serde::Deserialize;

use super::{Authentication, Delivery, Events, Headers, Rejection, System, URL_MAX};
use crate::event::incident::{
    IncidentKind, IncidentLinked, IncidentOpened, IncidentReopened, IncidentResolved, LinkKind,
};
use crate::event::{Data, StreamName, Subject, Timestamp};
use crate::ingest::Reason;
use crate::report::{Sketch, value};

/// PagerDuty.
pub(super) const SYSTEM: System = System {
    name: "pagerduty",
    about: "PagerDuty",
    events: &["incident.triggered", "incident.reopened", "incident.resolved (webhook version 3)"],
    authentication: Authentication::PagerdutySignature,
    secret_members: &[],
    recognise,
    normalise,
};

#[derive(Deserialize)]
struct Body {
    event: Option<Event>,
    /// What versions 1 and 2 had in its place.
    #[serde(default)]
    messages: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Event {
    id: String,
    event_type: String,
    occurred_at: String,
    #[serde(default)]
    agent: Option<Reference>,
    /// Of other events than incidents' it is something else.
    #[serde(default)]
    data: serde_json::Value,
}

#[derive(Deserialize)]
struct Reference {
    id: String,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    summary: Option<String>,
}

impl Reference {
    fn user(&self) -> Option<Subject> {
        self.kind.starts_with("user").then(|| Subject::identity(format!("pagerduty:{}", self.id)))
    }
}

#[derive(Deserialize)]
struct Incident {
    id: String,
    #[serde(default)]
    html_url: Option<String>,
    #[serde(default)]
    created_at: Option<String>,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    assignees: Option<Vec<Reference>>,
    #[serde(default)]
    priority: Option<Reference>,
    #[serde(default)]
    urgency: Option<String>,
    #[serde(default)]
    resolve_reason: Option<ResolveReason>,
}

#[derive(Deserialize)]
struct ResolveReason {
    /// What it was merged into.
    #[serde(default)]
    incident: Option<Reference>,
}

fn recognise(headers: &Headers, sketch: &Sketch) -> bool {
    let event = ["event.id", "event.event_type", "event.resource_type", "event.occurred_at"];
    headers.get("x-pagerduty-signature").is_some() || event.iter().all(|member| sketch.has(member))
}

fn normalise(delivery: &Delivery<'_>) -> Result<Events, Rejection> {
    let body: Body = delivery.json()?;
    let event = match (body.event, body.messages) {
        (Some(event), _) => event,
        (None, None) => return Err(Rejection::missing("event")),
        (None, Some(_)) => {
            let what = "webhooks of versions 1 and 2 are not understood: make a subscription of version 3";
            return Err(Rejection::new(Reason::UnsupportedVersion, what).at("messages"));
        }
    };
    if !matches!(event.event_type.as_str(), "incident.triggered" | "incident.reopened" | "incident.resolved") {
        return Ok(Events::passed_over(value::cut(&event.event_type, 100)));
    }
    events(delivery, &event).map_err(|rejection| rejection.at("event"))
}

fn events(delivery: &Delivery<'_>, event: &Event) -> Result<Events, Rejection> {
    let incident = serde_json::from_value(event.data.clone());
    let incident: Incident = incident.map_err(|error| Rejection::json(&error).at("data"))?;
    let at = value::time("occurred_at", &event.occurred_at)?.ok_or_else(|| Rejection::missing("occurred_at"))?;
    let stream = super::incident(delivery, "data.id", &incident.id)?;
    let by = event.agent.as_ref().and_then(Reference::user);
    let mut all: Vec<Data> = Vec::new();
    match event.event_type.as_str() {
        "incident.triggered" => all.push(opened(&incident, at, by.is_some())?.into()),
        "incident.reopened" => all.push(
            IncidentReopened { reason: None, reopened_at: at, reopened_by: by.clone(), severity: severity(&incident) }
                .into(),
        ),
        _ => {
            let into = incident.resolve_reason.as_ref().and_then(|reason| reason.incident.as_ref());
            if let Some(other) = into.filter(|other| other.id != incident.id) {
                all.push(
                    duplicate_of(super::incident(delivery, "data.resolve_reason.incident.id", &other.id)?, by.clone())
                        .into(),
                );
            }
            all.push(resolved(at, by.clone()).into());
        }
    }
    let mut events = Events { repeats: true, ..Events::default() };
    for (n, data) in all.into_iter().enumerate() {
        let part = if n == 0 { String::new() } else { format!("#{n}") };
        let dedup = format!("event:{}{part}", event.id).parse().map_err(|error| Rejection::from(error).at("id"))?;
        let mut draft = delivery.draft_as(data, stream.clone(), dedup, at)?;
        draft.actor.clone_from(&by);
        events.drafts.push(draft);
    }
    Ok(events)
}

/// The priority's name, where one was given; else the urgency.
fn severity(incident: &Incident) -> Option<String> {
    let priority = incident.priority.as_ref().and_then(|priority| priority.summary.as_deref());
    priority.or(incident.urgency.as_deref()).map(|word| value::cut(word, 100))
}

fn opened(incident: &Incident, at: Timestamp, by_a_person: bool) -> Result<IncidentOpened, Rejection> {
    let created_at = value::time("data.created_at", incident.created_at.as_deref().unwrap_or_default())?;
    let assigned: Vec<Subject> = incident.assignees.iter().flatten().filter_map(Reference::user).take(100).collect();
    Ok(IncidentOpened {
        alert: None,
        assigned: (!assigned.is_empty()).then_some(assigned),
        caused_by: None,
        description: None,
        detected_at: None,
        external: None,
        // What no person opened was opened by a rule of some integration.
        kind: if by_a_person { IncidentKind::Outage } else { IncidentKind::Alert },
        opened_at: created_at.unwrap_or(at),
        severity: severity(incident),
        started_at: None,
        targets: None,
        title: super::private(incident.title.as_deref()),
        url: incident.html_url.as_deref().map(|url| value::cut(url, URL_MAX)),
        vulnerability: None,
    })
}

fn resolved(at: Timestamp, by: Option<Subject>) -> IncidentResolved {
    IncidentResolved {
        automatic: Some(by.is_none()),
        detected_at: None,
        external: None,
        remediated_by: None,
        resolution: None,
        resolved_at: at,
        resolved_by: by,
        started_at: None,
    }
}

fn duplicate_of(other: StreamName, by: Option<Subject>) -> IncidentLinked {
    IncidentLinked {
        deployments: None,
        detected_at: None,
        external: None,
        incidents: Some(vec![other]),
        link: LinkKind::DuplicateOf,
        linked_by: by,
        note: None,
        started_at: None,
        targets: None,
    }
}
