//! What `/metrics` is for: scraped, queried, alerted on, drawn and back-filled by the real programs.

mod backfill;
mod dashboard;
mod prometheus;
mod rules;
mod scrape;
mod shop;

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::http::get;
use crate::support::program::Desk;

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
