//! Opsgenie's webhook: an action on an alert, one a delivery.

use serde::Deserialize;
use serde_json::Value;

use super::{Authentication, Delivery, Events, Headers, Rejection, System};
use crate::event::incident::{IncidentKind, IncidentOpened, IncidentResolved};
use crate::event::{Private, Subject, Timestamp};
use crate::ingest::Reason;
use crate::report::{Sketch, value};

/// Opsgenie.
pub(super) const SYSTEM: System = System {
    name: "opsgenie",
    about: "Opsgenie",
    events: &["Create", "Close", "Delete"],
    authentication: Authentication::Shared,
    secret_members: &[],
    recognise,
    normalise,
};

#[derive(Deserialize)]
struct Body {
    action: String,
    #[serde(default)]
    alert: Option<Alert>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    alert_id: String,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    description: Option<String>,
    /// In milliseconds.
    #[serde(default)]
    created_at: Value,
    /// In nanoseconds, or in milliseconds, by version.
    #[serde(default)]
    updated_at: Value,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    user_id: Option<String>,
    /// A number from 1, or `P1`.
    #[serde(default)]
    priority: Value,
}

fn recognise(_headers: &Headers, sketch: &Sketch) -> bool {
    sketch.has("action") && sketch.has("alert.alertId")
}

fn normalise(delivery: &Delivery<'_>) -> Result<Events, Rejection> {
    let body: Body = delivery.json()?;
    let alert = match (body.action.as_str(), body.alert) {
        ("Create" | "Close" | "Delete", Some(alert)) => alert,
        ("Create" | "Close" | "Delete", None) => return Err(Rejection::missing("alert")),
        (other, _) => return Ok(Events::passed_over(value::cut(other, 100))),
    };
    event(delivery, &body.action, &alert).map_err(|rejection| rejection.at("alert"))
}

fn event(delivery: &Delivery<'_>, action: &str, alert: &Alert) -> Result<Events, Rejection> {
    let stream = super::incident(delivery, "alertId", &alert.alert_id)?;
    let dedup = format!("{} {}", alert.alert_id, action.to_ascii_lowercase()).parse()?;
    let updated_at = instant("updatedAt", &alert.updated_at)?;
    let mut events = Events { repeats: true, ..Events::default() };
    if action == "Create" {
        let opened_at = instant("createdAt", &alert.created_at)?.ok_or_else(|| Rejection::missing("createdAt"))?;
        events.drafts.push(delivery.draft_as(opened(alert, opened_at), stream, dedup, opened_at)?);
        return Ok(events);
    }
    // Some versions do not say when; it was told at once.
    let resolved_at = updated_at.unwrap_or(delivery.received_at);
    let by = [&alert.user_id, &alert.username].into_iter().flatten().find(|name| !name.is_empty());
    let resolved = IncidentResolved {
        automatic: None,
        detected_at: None,
        external: None,
        remediated_by: None,
        resolution: (action == "Delete").then(|| Private::plain("the alert was deleted")),
        resolved_at,
        resolved_by: by.map(|name| Subject::identity(format!("opsgenie:{name}"))),
        started_at: None,
    };
    events.drafts.push(delivery.draft_as(resolved, stream, dedup, resolved_at)?);
    Ok(events)
}

fn opened(alert: &Alert, opened_at: Timestamp) -> IncidentOpened {
    let priority = match &alert.priority {
        Value::Number(number) => Some(format!("P{number}")),
        Value::String(word) if !word.is_empty() => Some(value::cut(word, 100)),
        _ => None,
    };
    IncidentOpened {
        alert: None,
        assigned: None,
        caused_by: None,
        description: super::private(alert.description.as_deref()),
        detected_at: None,
        external: None,
        kind: IncidentKind::Alert,
        opened_at,
        severity: priority,
        started_at: None,
        targets: None,
        title: super::private(alert.message.as_deref()),
        url: None,
        vulnerability: None,
    }
}

/// A time since 1970 in milliseconds, microseconds or nanoseconds, which the number of digits tells: the ranges from 1973
/// to 5138 do not overlap.
fn instant(field: &str, value: &Value) -> Result<Option<Timestamp>, Rejection> {
    const MILLIS: i64 = 100_000_000_000;
    const MICROS: i64 = MILLIS * 1_000;
    const NANOS: i64 = MICROS * 1_000;
    let bad =
        || Rejection::new(Reason::BadTime, format!("{value} is no number of milliseconds or nanoseconds")).at(field);
    if value.is_null() {
        return Ok(None);
    }
    // Through a double, nanoseconds would lose their end.
    let number = value.as_i64().ok_or_else(bad)?;
    let micros = match number {
        NANOS.. => Some(number / 1_000),
        MICROS..NANOS => Some(number),
        MILLIS..MICROS => number.checked_mul(1_000),
        _ => None,
    };
    micros.and_then(|micros| Timestamp::from_micros(micros).ok()).ok_or_else(bad).map(Some)
}
