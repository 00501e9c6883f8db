//! Prometheus Alertmanager, webhook version 4: groups of alerts, each of which fires or is resolved.
//!
//! Groups are sent again and again while they fire. An alert is known by its fingerprint and the instant it began at, so
//! repeats are the same event.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Authentication, Delivery, Events, Headers, Rejection, System};
use crate::event::StreamName;
use crate::event::incident::{IncidentKind, IncidentOpened, IncidentResolved};
use crate::ingest::Reason;
use crate::ingest::kubernetes::object::nullable;
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

/// A group, of Alertmanager's or Grafana's.
#[derive(Deserialize)]
pub(super) struct Group {
    /// Version of its form.
    pub(super) version: String,
    alerts: Vec<Alert>,
    /// How many alerts were left out, as there are too many.
    #[serde(rename = "truncatedAlerts", default)]
    truncated: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    status: String,
    #[serde(default, deserialize_with = "nullable")]
    labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "nullable")]
    annotations: BTreeMap<String, String>,
    starts_at: String,
    #[serde(default)]
    ends_at: Option<String>,
    #[serde(rename = "generatorURL", default)]
    generator_url: Option<String>,
    #[serde(rename = "dashboardURL", default)]
    dashboard_url: Option<String>,
    /// Absent before Alertmanager 0.19.
    #[serde(default)]
    fingerprint: Option<String>,
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
    group.events(delivery, &[])
}

impl Group {
    /// The incidents. `scope` is what fingerprints are unique within, besides the source.
    ///
    /// # Errors
    /// Naming the alert.
    pub(super) fn events(&self, delivery: &Delivery<'_>, scope: &[&str]) -> Result<Events, Rejection> {
        let mut events = Events { repeats: true, ..Events::default() };
        for (n, alert) in self.alerts.iter().enumerate() {
            alert.incident(delivery, scope, &mut events).map_err(|rejection| rejection.at(format!("alerts[{n}]")))?;
        }
        if self.truncated > 0 {
            let what = format!("truncatedAlerts: {} alerts were left out by the sender", self.truncated);
            tracing::warn!(source = delivery.source.as_str(), "{what}");
            events.passed_over.push(what);
        }
        Ok(events)
    }
}

impl Alert {
    fn incident(&self, delivery: &Delivery<'_>, scope: &[&str], events: &mut Events) -> Result<(), Rejection> {
        let started_at = value::time("startsAt", &self.starts_at)?.ok_or_else(|| Rejection::missing("startsAt"))?;
        let resolved = match self.status.as_str() {
            "firing" => false,
            "resolved" => true,
            other => {
                let what = format!("{other:?} is neither firing nor resolved");
                return Err(Rejection::new(Reason::BadField, what).at("status"));
            }
        };
        let given = self.fingerprint.as_deref().filter(|text| !text.is_empty());
        let fingerprint = given.map_or_else(|| fingerprint(&self.labels), str::to_owned);
        let mut segments = vec![delivery.source.as_str()];
        segments.extend_from_slice(scope);
        segments.push(&fingerprint);
        let stream = StreamName::of("incident", &segments)?;
        let key = format!("{}@{started_at}", segments.get(1..).unwrap_or_default().join("/"));
        // Also for one that is resolved: the message that it fired may never have come.
        let opened = self.opened(&fingerprint, started_at);
        events.drafts.push(delivery.draft_as(opened, stream.clone(), format!("{key} firing").parse()?, started_at)?);
        if resolved {
            let ended = value::time("endsAt", self.ends_at.as_deref().unwrap_or_default())?;
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

    fn opened(&self, fingerprint: &str, started_at: crate::event::Timestamp) -> IncidentOpened {
        let text = |name: &str| super::private(self.annotations.get(name).map(String::as_str));
        let label =
            |name: &str| self.labels.get(name).filter(|text| !text.is_empty()).map(|text| value::cut(text, 512));
        let urls = [&self.generator_url, &self.dashboard_url];
        IncidentOpened {
            alert: Some(label("alertname").unwrap_or_else(|| fingerprint.to_owned())),
            assigned: None,
            caused_by: None,
            description: text("description"),
            detected_at: None,
            external: None,
            kind: IncidentKind::Alert,
            opened_at: started_at,
            severity: label("severity"),
            started_at: Some(started_at),
            targets: None,
            title: text("summary"),
            url: urls.into_iter().flatten().find(|url| !url.is_empty()).map(|url| value::cut(url, super::URL_MAX)),
            vulnerability: None,
        }
    }
}

/// Prometheus' own fingerprint of labels: FNV-1a over names and values, each ended by a byte that is in no text.
fn fingerprint(labels: &BTreeMap<String, String>) -> String {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let bytes = labels.iter().flat_map(|(name, value)| name.bytes().chain([0xff]).chain(value.bytes()).chain([0xff]));
    let hash = bytes.fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_those_that_prometheus_makes() {
        let labels = [("alertname", "TestAlert"), ("instance", "Grafana")];
        let labels = labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        assert_eq!(fingerprint(&labels), "57c6d9296de2ad39");
    }
}
