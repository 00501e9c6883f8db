//! Prometheus Alertmanager, webhook version 4: groups of alerts, each of which fires or is resolved.
//!
//! Groups are sent again and again while they fire. An alert is known by its fingerprint and the instant it began at, so
//! repeats are the same event.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Authentication, Delivery, Events, Headers, Rejection, System};
use crate::event::incident::{IncidentKind, IncidentOpened, IncidentResolved};
use crate::event::{Private, StreamName};
use crate::ingest::Reason;
use crate::report::{Sketch, value};

/// Alertmanager.
pub(super) const SYSTEM: System = System {
    name: "alertmanager",
    about: "Prometheus Alertmanager",
    events: &["alerts that fire or are resolved (webhook version 4)"],
    authentication: Authentication::Shared,
    secret_members: &[],
    recognise,
    normalise,
};

#[derive(Deserialize)]
struct Group {
    version: String,
    alerts: Vec<Alert>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    status: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    starts_at: String,
    #[serde(default)]
    ends_at: String,
    #[serde(rename = "generatorURL", default)]
    generator_url: String,
    fingerprint: String,
}

fn recognise(_headers: &Headers, sketch: &Sketch) -> bool {
    // Grafana sends the same and more.
    sketch.has("groupKey") && sketch.has("alerts") && sketch.get("version") == "4" && !sketch.has("orgId")
}

fn normalise(delivery: &Delivery<'_>) -> Result<Events, Rejection> {
    let group: Group = delivery.json()?;
    if group.version != "4" {
        let what = format!("{:?}: only version 4 is understood", group.version);
        return Err(Rejection::new(Reason::UnsupportedVersion, what).at("version"));
    }
    let mut events = Events { repeats: true, ..Events::default() };
    for (n, alert) in group.alerts.iter().enumerate() {
        incident(delivery, alert, &mut events).map_err(|rejection| rejection.at(format!("alerts[{n}]")))?;
    }
    Ok(events)
}

fn incident(delivery: &Delivery<'_>, alert: &Alert, events: &mut Events) -> Result<(), Rejection> {
    let started_at = value::time("startsAt", &alert.starts_at)?.ok_or_else(|| Rejection::missing("startsAt"))?;
    let stream = StreamName::of("incident", &[delivery.source.as_str(), &alert.fingerprint])?;
    let key = format!("{}@{started_at}", alert.fingerprint);
    let text = |name: &str| alert.annotations.get(name).filter(|text| !text.is_empty()).map(Private::plain);
    let opened = IncidentOpened {
        alert: Some(alert.labels.get("alertname").unwrap_or(&alert.fingerprint).clone()),
        assigned: None,
        caused_by: None,
        description: text("description"),
        detected_at: None,
        external: None,
        kind: IncidentKind::Alert,
        opened_at: started_at,
        severity: alert.labels.get("severity").cloned(),
        started_at: Some(started_at),
        targets: None,
        title: text("summary"),
        url: (!alert.generator_url.is_empty()).then(|| alert.generator_url.clone()),
        vulnerability: None,
    };
    // Also for one that is resolved: the message that it fired may never have come.
    events.drafts.push(delivery.draft_as(opened, stream.clone(), format!("{key} firing").parse()?, started_at)?);
    if alert.status == "resolved" {
        let ended = value::time("endsAt", &alert.ends_at)?;
        let resolved_at = ended.unwrap_or(delivery.received_at);
        let resolved = IncidentResolved {
            automatic: Some(true),
            detected_at: None,
            external: None,
            remediated_by: None,
            resolution: None,
            resolved_at,
            resolved_by: None,
            started_at: None,
        };
        events.drafts.push(delivery.draft_as(resolved, stream, format!("{key} resolved").parse()?, resolved_at)?);
    }
    Ok(())
}
