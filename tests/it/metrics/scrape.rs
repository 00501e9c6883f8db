//! A real Prometheus scrapes a real server, and its answers are compared with the events of the log.

#![expect(clippy::float_cmp, reason = "whole numbers are told exactly")]

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::prometheus::{Labels, Prometheus};
use super::shop::{ENVIRONMENTS, SERVICES, Shop};
use crate::support::http::{get, post};
use crate::support::program::{Desk, Server};

/// Served, with all of the shop in its views, and with a delivery that it refused.
async fn served(shop: &Shop) -> (Desk, Server) {
    let desk = shop.recorded();
    desk.run(["verify"]).ok();
    let server = desk.serve(&[]);
    let position = shop.events().to_string();
    desk.run(["--server", &server.url(), "targets", "--min-position", &position]).ok();
    let refused = post(server.http, "/webhooks/alertmanager", &[("content-type", "application/json")], b"{}").await;
    assert!((400..500).contains(&refused.status), "{}", refused.text());
    (desk, server)
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The samples of a page of OpenMetrics: every series with its value.
fn samples(page: &str) -> BTreeMap<Labels, f64> {
    let sample = |line: &str| {
        let line = line.split(" # ").next().unwrap();
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, rest) = series.split_once('{').unwrap_or((series, ""));
        let mut labels = labels(&[("__name__", name)]);
        for pair in rest.trim_end_matches('}').split("\",").filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once("=\"").unwrap();
            labels.insert(name.to_owned(), value.trim_end_matches('"').to_owned());
        }
        (labels, value.parse().unwrap())
    };
    page.lines().filter(|line| !line.starts_with('#')).map(sample).collect()
}

/// Sizes of files change by themselves.
fn is_steady(labels: &Labels) -> bool {
    labels["__name__"].starts_with("plimsoll_") && labels["__name__"] != "plimsoll_storage_bytes"
}

fn number(value: &Value) -> f64 {
    value.as_str().unwrap().parse().unwrap()
}

/// Everything about a Prometheus that says the same in whatever form it scraped.
async fn agrees_with_the_log(prometheus: &Prometheus, shop: &Shop, desk: &Desk) {
    let log = desk.run(["log", "--json", "-n", "1000"]).ok();
    let events: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len() as u64, shop.events());
    let mut counts: BTreeMap<(String, String), f64> = BTreeMap::new();
    for event in &events {
        let text = |field: &str| event[field].as_str().unwrap().to_owned();
        *counts.entry((text("type"), text("source"))).or_default() += 1.0;
    }
    let recorded = prometheus.query("plimsoll_events_recorded_total").await;
    let recorded: BTreeMap<_, _> = recorded
        .into_iter()
        .map(|(labels, value)| ((labels["type"].clone(), labels["source"].clone()), number(&value)))
        .collect();
    assert_eq!(recorded, counts);
    let of_type = |wanted: &str| events.iter().filter(|event| event["type"] == wanted).count() as f64;
    assert_eq!(
        prometheus.value("sum(plimsoll_deployments_total{outcome=\"succeeded\"})").await,
        of_type("sync.succeeded")
    );
    assert_eq!(prometheus.value("sum(plimsoll_deployments_total{outcome=\"failed\"})").await, of_type("sync.failed"));
    assert_eq!(prometheus.value("plimsoll_deployments_total{class=\"rollback\"}").await, 1.0);
    assert_eq!(prometheus.value("plimsoll_observation_gaps_total").await, of_type("observation.gap"));
    // Five minutes each.
    let (count, sum) =
        ("sum(histogram_count(plimsoll_deployment_duration_seconds))", "plimsoll_deployment_duration_seconds");
    let native = prometheus.query(count).await;
    let (count, sum) = if native.is_empty() {
        (format!("sum({sum}_count)"), format!("sum({sum}_sum)"))
    } else {
        (count.to_owned(), format!("sum(histogram_sum({sum}))"))
    };
    assert_eq!(prometheus.value(&count).await, of_type("sync.succeeded"));
    assert_eq!(prometheus.value(&sum).await, of_type("sync.succeeded") * 300.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_has_every_series_of_the_page_with_the_same_value() {
    let shop = Shop::until_now();
    let (desk, server) = served(&shop).await;
    let prometheus = Prometheus::scraping(desk.path(), "text", server.http, &[]).await;
    prometheus.until_scraped(shop.events()).await;
    prometheus.until("plimsoll_source_deliveries_total{source=\"alertmanager\"}").await;
    let accept = [("accept", "application/openmetrics-text; version=1.0.0")];
    let page = crate::support::http::request_with(server.http, "GET", "/metrics", &accept).await;
    let (page, text) = (samples(page.text()), page.text().to_owned());
    assert!(text.ends_with("# EOF\n"));
    let told = prometheus.query("{__name__=~\"plimsoll_.*\"}").await;
    let told: BTreeMap<_, _> = told.into_iter().map(|(labels, value)| (labels, number(&value))).collect();
    let steady = |series: &BTreeMap<Labels, f64>| -> BTreeMap<Labels, f64> {
        series.iter().filter(|(labels, _)| is_steady(labels)).map(|(labels, value)| (labels.clone(), *value)).collect()
    };
    assert_eq!(steady(&told), steady(&page));
    assert_eq!(told.len(), page.len());
    agrees_with_the_log(&prometheus, &shop, &desk).await;
    // An exemplar is the event, by id.
    let ids = desk.run(["log", "--json", "-n", "1000"]).ok();
    let exemplar = text.lines().find(|line| line.contains("_bucket") && line.contains(" # {event=\"")).unwrap();
    let id = exemplar.split("event=\"").nth(1).unwrap().split('"').next().unwrap();
    assert!(ids.contains(id), "{exemplar}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_that_takes_native_histograms_has_them() {
    let shop = Shop::until_now();
    let (desk, server) = served(&shop).await;
    let feature = ["--enable-feature=native-histograms,exemplar-storage"];
    let prometheus = Prometheus::scraping(desk.path(), "native", server.http, &feature).await;
    prometheus.until_scraped(shop.events()).await;
    agrees_with_the_log(&prometheus, &shop, &desk).await;
    let durations = prometheus.query("plimsoll_deployment_duration_seconds").await;
    // One for each target, as all of them had a success.
    assert_eq!(durations.len(), SERVICES.len() * ENVIRONMENTS.len());
    for (labels, histogram) in &durations {
        let buckets = histogram["buckets"].as_array().unwrap_or_else(|| panic!("no native histogram: {labels:?}"));
        let bucket = |n: usize| number(&buckets[0][n]);
        // All of 300 s, in the one bucket that is 19 % wide.
        assert_eq!(buckets.len(), 1, "{histogram}");
        assert!(bucket(1) < 300.0 && 300.0 <= bucket(2) && bucket(2) / bucket(1) < 1.2, "{histogram}");
        assert_eq!(histogram["count"], histogram["buckets"][0][3]);
    }
    let quantile = prometheus.value("histogram_quantile(0.5, sum(plimsoll_deployment_duration_seconds))").await;
    assert!((250.0..=350.0).contains(&quantile), "{quantile}");
    // What is kept in classic buckets alone comes as such.
    assert!(prometheus.value("plimsoll_append_duration_seconds_bucket{le=\"+Inf\"}").await >= 0.0);
    let exemplars = prometheus.api(
        "/api/v1/query_exemplars",
        &[("query", "plimsoll_deployment_duration_seconds"), ("start", "0"), ("end", "9999999999")],
    );
    let exemplars = exemplars.await;
    assert!(exemplars[0]["exemplars"][0]["labels"]["event"].is_string(), "{exemplars}");
}

#[tokio::test(flavor = "multi_thread")]
async fn how_targets_stand_is_told_until_it_is_put_right() {
    let shop = Shop::until_now();
    let (desk, server) = served(&shop).await;
    let page = async || samples(get(server.http, "/metrics").await.text());
    let of = |page: &BTreeMap<Labels, f64>, name: &str| -> Vec<(String, String)> {
        let series = page.keys().filter(|labels| labels["__name__"] == name);
        series.map(|labels| (labels["environment"].clone(), labels["service"].clone())).collect()
    };
    let target = |environment: &str, service: &str| (environment.to_owned(), service.to_owned());
    let before = page().await;
    let failed = "plimsoll_failed_deployment_timestamp_seconds";
    assert_eq!(of(&before, failed), [target("production", "churn-ml")]);
    let unfinished = "plimsoll_unfinished_deployment_timestamp_seconds";
    assert_eq!(of(&before, unfinished), [target("staging", "churn-api")]);
    assert_eq!(of(&before, "plimsoll_open_drift_timestamp_seconds"), [target("production", "churn-api")]);
    let series = |name: &str, environment: &str, service: &str, severity: Option<&str>| {
        let mut wanted = labels(&[("__name__", name), ("environment", environment), ("service", service)]);
        wanted.extend(severity.map(|severity| ("severity".to_owned(), severity.to_owned())));
        wanted
    };
    let found = "plimsoll_running_vulnerabilities";
    assert_eq!(before[&series(found, "production", "churn-api", Some("critical"))], 2.0);
    assert_eq!(before[&series(found, "production", "churn-api", Some("high"))], 5.0);
    assert!(!before.contains_key(&series(found, "production", "churn-ml", Some("critical"))), "unknown is not zero");
    let unscanned = "plimsoll_running_images_unscanned";
    assert_eq!(before[&series(unscanned, "production", "churn-ml", None)], 1.0);
    assert_eq!(before[&series(unscanned, "production", "churn-api", None)], 0.0);
    let events = shop.put_right(&desk, &server.url());
    desk.run(["--server", &server.url(), "targets", "--min-position", &events.to_string()]).ok();
    let after = page().await;
    for name in [failed, unfinished, "plimsoll_open_drift_timestamp_seconds"] {
        assert_eq!(of(&after, name), [], "{name}");
    }
    assert_eq!(after[&series(found, "production", "churn-ml", Some("critical"))], 0.0);
    assert_eq!(after[&series(unscanned, "production", "churn-ml", None)], 0.0);
}

#[expect(clippy::disallowed_methods, reason = "damage is done from outside")]
fn damage(database: &std::path::Path) {
    let connection = rusqlite::Connection::open(database).unwrap();
    connection.execute("UPDATE event SET leaf = CAST('{}' AS BLOB) WHERE position = 2", []).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_verification_is_told_and_looking_into_a_directory_leaves_no_trace() {
    let desk = Desk::with_ledger();
    for n in 0..3 {
        desk.record(n).ok();
    }
    let data = desk.data();
    desk.run(["verify", data.to_str().unwrap()]).ok();
    assert!(!data.join("ledger.verified").exists(), "whoever names a directory leaves no trace");
    let server = desk.serve(&[]);
    let page = async |name: &str| {
        let page = samples(get(server.http, "/metrics").await.text());
        page.get(&labels(&[("__name__", name)])).copied()
    };
    let last = "plimsoll_last_verification_timestamp_seconds";
    assert_eq!(page(last).await, None, "nobody verified yet");
    // Beside the server that has the ledger.
    desk.run(["verify"]).ok();
    let at = page(last).await.unwrap();
    assert_eq!(page("plimsoll_last_verification_success").await, Some(1.0));
    assert_eq!(page("plimsoll_last_verification_events").await, Some(4.0));
    damage(&data.join("ledger.db"));
    assert_eq!(desk.run(["verify"]).code, 1);
    assert_eq!(page("plimsoll_last_verification_success").await, Some(0.0));
    assert!(page(last).await.unwrap() >= at);
}

#[expect(clippy::disallowed_methods, reason = "an event that no fold can take is not to be had")]
fn stopped(views: &std::path::Path) {
    let connection = rusqlite::Connection::open(views).unwrap();
    let stop =
        "UPDATE projection SET stopped_at = 5, stopped_by = 'x', reason = 'no' WHERE name IN ('deployment', 'meter')";
    assert_eq!(connection.execute(stop, []).unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projection_that_stopped_says_so_and_hides_nothing_else() {
    let shop = Shop::until_now();
    let desk = shop.recorded();
    desk.run(["targets"]).ok();
    stopped(&desk.data().join("views.db"));
    let server = desk.serve(&[]);
    let page = samples(get(server.http, "/metrics").await.text());
    let of = |name: &str, projection: &str| page[&labels(&[("__name__", name), ("projection", projection)])];
    assert_eq!(of("plimsoll_projection_stopped", "deployment"), 1.0);
    assert_eq!(of("plimsoll_projection_lag_events", "deployment"), shop.events() as f64 - 5.0);
    assert_eq!(of("plimsoll_projection_stopped", "artifact"), 0.0);
    assert!(page.keys().any(|labels| labels["__name__"] == "plimsoll_deployments_total"));
}

#[tokio::test(flavor = "multi_thread")]
async fn services_and_sources_beyond_the_budget_share_series() {
    const SERVICES: usize = 503;
    const SOURCES: usize = 205;
    let desk = Desk::with_ledger();
    let at = "2026-03-04T12:00:00Z";
    let deployed = |n: usize| {
        serde_json::json!({
            "type": "sync.succeeded", "stream": format!("target/production/s{n:03}"), "source": format!("s{}", n % SOURCES),
            "dedup": n.to_string(), "occurred_at": at, "data": {"deployment": "one", "finished_at": at, "version": "v1"},
        })
    };
    let drafts: Vec<_> = (0..SERVICES).map(|n| deployed(n).to_string()).collect();
    desk.feed(["record", "-"], drafts.join("\n").as_bytes()).ok();
    desk.run(["targets"]).ok();
    let server = desk.serve(&[]);
    let page = get(server.http, "/metrics").await;
    let past = desk.run(["export", "--openmetrics", "--to", "2026-03-05"]).ok();
    // Of the last midnight.
    let past = past.lines().filter_map(|line| line.strip_suffix(" 1772668800.000000"));
    let past: String = past.map(|line| format!("{line}\n")).collect();
    for (whence, page) in [("now", page.text()), ("past", &past)] {
        let page = samples(page);
        let named = |label: &str| page.keys().filter_map(|labels| labels.get(label)).collect::<BTreeSet<_>>();
        let services = named("service");
        assert_eq!(services.len(), 501, "{whence}");
        assert!(
            services.contains(&"s499".to_owned()) && !services.contains(&"s500".to_owned()),
            "who was first is kept"
        );
        let deployments = page.iter().filter(|(labels, _)| labels["__name__"] == "plimsoll_deployments_total");
        let deployments: Vec<_> = deployments.map(|(labels, n)| (labels["service"].as_str(), *n)).collect();
        assert_eq!(deployments.iter().map(|(_, n)| n).sum::<f64>(), SERVICES as f64, "{whence}");
        assert!(deployments.contains(&("_other", 3.0)), "{whence}");
        if whence == "now" {
            assert_eq!(page[&labels(&[("__name__", "plimsoll_services_dropped_total")])], 3.0);
            assert!(named("source").len() <= 201, "{:?}", named("source").len());
        }
    }
}
