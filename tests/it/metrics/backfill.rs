//! The past, filled into a time-series database by Prometheus' own tool, and compared with what the ledger answers.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::prometheus::Prometheus;
use super::shop::{DAY, DAYS, SERVICES, Shop, stamp};
use crate::support::program::{Desk, command};

/// Half an hour into Monday, 2026-03-02.
const BEGIN: i64 = 1_772_409_600_000_000 + 1_800_000_000;

/// The midnight before everything began.
const MIDNIGHT: i64 = BEGIN - BEGIN.rem_euclid(DAY);

fn recorded() -> (Shop, Desk) {
    let shop = Shop::from(BEGIN);
    let desk = shop.recorded();
    (shop, desk)
}

const EXPORT: [&str; 2] = ["export", "--openmetrics"];

fn exported(desk: &Desk, more: &[&str]) -> String {
    desk.run(EXPORT.iter().chain(more)).ok()
}

/// How many rollouts had ended before an instant, by service, environment and outcome, as they were told.
fn ended(shop: &Shop, before: i64) -> BTreeMap<(String, String, String), u64> {
    let mut counts = BTreeMap::new();
    for draft in &shop.drafts {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let kind = text(&draft["type"]);
        let Some(outcome) = kind.strip_prefix("sync.").filter(|outcome| *outcome != "started") else { continue };
        let at: plimsoll::event::Timestamp = text(&draft["data"]["finished_at"]).parse().unwrap();
        let stream = text(&draft["stream"]);
        let mut target = stream.split('/').skip(1).map(str::to_owned);
        let (environment, service) = (target.next().unwrap(), target.next().unwrap());
        if at.micros() < before {
            *counts.entry((service, environment, outcome.to_owned())).or_default() += 1;
        }
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_made_of_an_export_answer_as_the_ledger_does() {
    let (shop, desk) = recorded();
    std::fs::write(desk.path().join("past.txt"), exported(&desk, &[])).unwrap();
    let blocks = desk.path().join("past/data");
    std::fs::create_dir_all(&blocks).unwrap();
    let mut promtool = command("promtool");
    promtool.args(["tsdb", "create-blocks-from", "openmetrics", "past.txt"]).arg(&blocks).current_dir(desk.path());
    let made = promtool.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let prometheus = Prometheus::start(desk.path(), "past", "", &["--storage.tsdb.retention.time=100y"]).await;
    for day in 0..=DAYS + 1 {
        let midnight = MIDNIGHT + day * DAY;
        let counted = "sum by (service, environment, outcome) (plimsoll_deployments_total)";
        let counted = prometheus.query_at(counted, midnight / 1_000_000).await;
        let counted: BTreeMap<_, u64> = counted
            .into_iter()
            .map(|(labels, n)| {
                let label = |name: &str| labels[name].clone();
                ((label("service"), label("environment"), label("outcome")), n.as_str().unwrap().parse().unwrap())
            })
            .filter(|(_, n)| *n > 0)
            .collect();
        assert_eq!(counted, ended(&shop, midnight), "day {day}");
    }
    for (day, service) in [3, 7, 10].into_iter().flat_map(|day| SERVICES.map(|service| (day, service))) {
        let midnight = MIDNIGHT + day * DAY;
        let to = stamp(midnight);
        let asked = ["dora", "--last", "7d", "--to", &to, "--service", service, "--json"];
        let figures = desk.run(asked).json();
        for (series, figure) in [
            ("plimsoll_dora_deployments_per_day{", &figures["deployment_frequency"]["per_day"]),
            ("plimsoll_dora_change_lead_time_seconds{stat=\"p50\",", &figures["change_lead_time"]["p50_seconds"]),
            ("plimsoll_dora_change_failure_ratio{", &figures["change_failure_rate"]["ratio"]),
            ("plimsoll_dora_incident_restore_seconds{stat=\"mean\",", &figures["mttr"]["mean_seconds"]),
        ] {
            let expression = format!("{series}window=\"7d\",service=\"{service}\"}}");
            let found = prometheus.query_at(&expression, midnight / 1_000_000).await;
            let found = found.first().map(|(_, value)| value.as_str().unwrap().parse::<f64>().unwrap());
            assert_eq!(found, figure.as_f64(), "day {day}: {expression}");
        }
    }
    let resolved = prometheus.query_at("plimsoll_incidents_resolved_total", (MIDNIGHT + 6 * DAY) / 1_000_000).await;
    assert_eq!((resolved.len(), &resolved[0].1, &resolved[0].0["severity"]), (1, &"1".into(), &"critical".to_owned()));
}

/// The instants of the samples in an export, in seconds since 1970.
fn instants(text: &str) -> BTreeSet<i64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit(' ').next().unwrap().strip_suffix(".000000").unwrap().parse().unwrap()).collect()
}

#[test]
fn an_export_is_the_same_from_a_directory_and_from_a_server_and_of_what_was_known() {
    let (shop, desk) = recorded();
    let all = exported(&desk, &[]);
    assert!(all.ends_with("\n# EOF\n"));
    assert_eq!(exported(&desk, &[]), all);
    let server = desk.serve(&[]);
    let url = server.url();
    assert_eq!(exported(&desk, &["--server", &url]), all);
    let position = shop.events().to_string();
    shop.put_right(&desk, &url);
    assert_eq!(exported(&desk, &["--server", &url, "--known-at", &position, "--to", &last(&all)]), all);
    assert_ne!(exported(&desk, &["--server", &url, "--to", &last(&all)]), all);
}

fn last(text: &str) -> String {
    stamp(instants(text).last().unwrap() * 1_000_000)
}

#[test]
fn an_export_has_the_midnights_that_were_asked_for() {
    let (_, desk) = recorded();
    let day = |n: i64| (MIDNIGHT + n * DAY) / 1_000_000;
    let of = |from: i64, to: i64| {
        let (from, to) = (stamp(from), stamp(to));
        exported(&desk, &["--from", &from, "--to", &to])
    };
    assert_eq!(instants(&of(MIDNIGHT + 2 * DAY, MIDNIGHT + 4 * DAY)), [day(2), day(3), day(4)].into());
    assert_eq!(instants(&of(MIDNIGHT + 2 * DAY + 1, MIDNIGHT + 4 * DAY - 1)), [day(3)].into());
    assert_eq!(of(MIDNIGHT - 9 * DAY, MIDNIGHT - DAY), "# EOF\n", "before anything happened");
    assert_eq!(of(MIDNIGHT + 4 * DAY, MIDNIGHT + 2 * DAY), "# EOF\n");
    assert_eq!(Desk::with_ledger().run(EXPORT).ok(), "# EOF\n");
    for wrong in [&["--json"][..], &["--tiles", "site"], &["--from", "yesterday"]] {
        desk.run(EXPORT.iter().chain(wrong)).fails(2);
    }
    desk.run(["export", "--tiles", "site", "--known-at", "3"]).fails(2);
    desk.run(["export"]).fails(2);
}
