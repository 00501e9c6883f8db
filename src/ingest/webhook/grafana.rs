//! Grafana's alerting webhook, version 1: Alertmanager's groups with more in them.
//!
//! Of each alert, its own `status` tells whether it fires. `state` of the group is left over from the alerting before
//! Grafana 8, and `title` is for people; both may say something else.

use serde::Deserialize;

use super::alertmanager::Group;
use super::{Authentication, Delivery, Events, Headers, Rejection, System};
use crate::ingest::Reason;
use crate::report::Sketch;

/// Grafana.
pub(super) const SYSTEM: System = System {
    name: "grafana",
    about: "Grafana Alerting",
    events: &["alerts that fire or are resolved (webhook contact point, version 1)"],
    authentication: Authentication::Shared,
    secret_members: &[],
    recognise,
    normalise,
};

/// What Grafana adds.
#[derive(Deserialize)]
struct More {
    /// The organisation, within which fingerprints are unique.
    #[serde(rename = "orgId", default)]
    organisation: Option<u64>,
    /// The rule of the alerting before Grafana 8.
    #[serde(rename = "ruleId", default)]
    rule: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    version: Option<String>,
}

fn recognise(_headers: &Headers, sketch: &Sketch) -> bool {
    let legacy = sketch.has("ruleId") && sketch.has("evalMatches");
    legacy || (sketch.has("groupKey") && sketch.has("alerts") && sketch.has("orgId"))
}

fn normalise(delivery: &Delivery<'_>) -> Result<Events, Rejection> {
    let more: More = delivery.json()?;
    if more.rule.is_some() && more.version.is_none() {
        let what = "the alerting before Grafana 8 says no times: an alert cannot be told from its repetition";
        return Err(Rejection::new(Reason::UnsupportedVersion, what).at("version"));
    }
    let group: Group = delivery.json()?;
    if group.version != "1" {
        let what = format!("{:?}: only version 1 is understood", group.version);
        return Err(Rejection::new(Reason::UnsupportedVersion, what).at("version"));
    }
    let organisation = more.organisation.map(|number| number.to_string());
    let scope: Vec<&str> = organisation.iter().map(String::as_str).collect();
    group.events(delivery, &scope)
}
