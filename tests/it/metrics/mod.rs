//! What `/metrics` is for: scraped, queried, alerted on, drawn and back-filled by the real programs.

mod dashboard;
mod prometheus;
mod rules;
mod scrape;
mod shop;

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::http::get;
use crate::support::program::Desk;

/// Families that DORA.md has and `/metrics` has not yet.
pub const WAITING: &[&str] = &[
    "plimsoll_dora_deployments_per_day",
    "plimsoll_dora_change_failure_ratio",
    "plimsoll_dora_rework_ratio",
    "plimsoll_dora_change_lead_time_seconds",
    "plimsoll_dora_deployment_recovery_seconds",
    "plimsoll_dora_incident_restore_seconds",
    "plimsoll_dora_samples",
    "plimsoll_dora_excluded_samples",
    "plimsoll_change_lead_time_seconds",
    "plimsoll_deployment_recovery_seconds",
    "plimsoll_incident_restore_seconds",
    "plimsoll_incidents_opened",
    "plimsoll_incidents_resolved",
];

/// Whether an expression is about something that is waited for.
fn is_waiting(expression: &str) -> bool {
    WAITING.iter().any(|name| expression.contains(name))
}

/// The repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The names of all samples that a server of a ledger with so many events exposes, once it has them in its views.
async fn exposed(desk: &Desk, events: u64) -> BTreeSet<String> {
    let server = desk.serve(&[]);
    // A delivery that is refused, so that there is one.
    let headers = [("content-type", "application/json")];
    let refused = crate::support::http::post(server.http, "/webhooks/alertmanager", &headers, b"{}").await;
    assert!((400..500).contains(&refused.status), "{}", refused.text());
    desk.run(["--server", &server.url(), "targets", "--min-position", &events.to_string()]).ok();
    let page = get(server.http, "/metrics").await;
    let name = |line: &str| line.split(['{', ' ']).next().unwrap().to_owned();
    page.text().lines().filter(|line| !line.starts_with('#')).map(name).collect()
}
