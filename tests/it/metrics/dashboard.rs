//! The Grafana dashboard: every query of it is asked of a real Prometheus that scraped a real server.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use super::prometheus::Prometheus;
use super::root;
use super::shop::Shop;
use crate::support::http::post;
use crate::support::served::within;

fn dashboard() -> Value {
    let text = std::fs::read_to_string(root().join("deploy/grafana/plimsoll.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Every object within a value.
fn objects<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(members) => {
            found.push(value);
            members.values().for_each(|member| objects(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| objects(item, found)),
        _ => {}
    }
}

/// Every expression, of panels and of annotations, with the variables filled in.
fn expressions(dashboard: &Value) -> BTreeSet<String> {
    let mut all = Vec::new();
    objects(dashboard, &mut all);
    let mut found = BTreeSet::new();
    for expression in all.iter().filter_map(|object| object["expr"].as_str()) {
        for window in ["7d", "30d", "90d"] {
            let mut filled = expression.to_owned();
            let variables = [
                ("$service", ".*"),
                ("$environment", ".+"),
                ("$window", window),
                ("$__rate_interval", "10s"),
                ("$__range", "1m"),
            ];
            for (name, value) in variables {
                filled = filled.replace(name, value);
            }
            assert!(!filled.contains('$'), "a variable that nobody fills in: {filled}");
            found.insert(filled);
        }
    }
    assert!(found.len() > 40, "they are found");
    found
}

/// Whether a range has a number in it anywhere.
fn has_data(answer: &Value) -> bool {
    let numbers = |series: &Value| {
        let values = series["values"].as_array().cloned().unwrap_or_default();
        values.iter().any(|value| value[1].as_str().is_some_and(|text| text != "NaN"))
    };
    answer["result"].as_array().unwrap().iter().any(numbers)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_of_the_dashboard_is_answered_with_data() {
    let shop = Shop::until_now();
    let desk = shop.recorded();
    desk.run(["verify"]).ok();
    let server = desk.serve(&[]);
    let json = [("content-type", "application/json")];
    post(server.http, "/webhooks/alertmanager", &json, b"{}").await;
    let prometheus = Prometheus::scraping(desk.path(), "dashboard", server.http, &[]).await;
    prometheus.until_scraped(shop.events()).await;
    // Work goes on, and something is handed in again.
    let first = shop.drafts[0].to_string();
    desk.feed(["--server", &server.url(), "record", "-"], first.as_bytes()).ok();
    let events = shop.put_right(&desk, &server.url());
    prometheus.until_scraped(events).await;
    let range = async |expression: &str| {
        let end = prometheus.value("time()").await;
        let (start, end) = ((end - 120.0).to_string(), end.to_string());
        let parameters = [("query", expression), ("start", &start), ("end", &end), ("step", "1")];
        prometheus.api("/api/v1/query_range", &parameters).await
    };
    let dashboard = dashboard();
    for expression in expressions(&dashboard) {
        prometheus.query(&expression).await;
        let answered = async {
            while !has_data(&range(&expression).await) {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        within(&expression, answered).await;
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        let Some(query) = variable["query"]["query"].as_str() else { continue };
        let inner = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')).unwrap();
        let (metric, label) = inner.split_once(", ").unwrap();
        let values = prometheus.api(&format!("/api/v1/label/{label}/values"), &[("match[]", metric)]).await;
        assert_eq!(values.as_array().unwrap().len(), 2, "{query}: {values}");
    }
}

#[test]
fn the_dashboard_fits_together() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its id is another's");
        let place = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(place("x") + place("w") <= 24, "{title}: beyond the edge");
        for (x, y) in (place("x")..place("x") + place("w"))
            .flat_map(|x| (place("y")..place("y") + place("h")).map(move |y| (x, y)))
        {
            assert!(cells.insert((x, y)), "{title}: over another panel");
        }
        if panel["type"] == "row" {
            continue;
        }
        assert!(!panel["description"].as_str().unwrap().is_empty(), "{title}: says nothing of itself");
        let targets = panel["targets"].as_array().unwrap();
        let references: BTreeSet<_> = targets.iter().map(|target| target["refId"].as_str().unwrap()).collect();
        assert_eq!(references.len(), targets.len(), "{title}");
        for source in targets.iter().map(|target| &target["datasource"]).chain([&panel["datasource"]]) {
            assert_eq!((&source["type"], &source["uid"]), (&"prometheus".into(), &"${datasource}".into()), "{title}");
        }
    }
    let variables: Vec<_> = dashboard["templating"]["list"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(variables, ["datasource", "service", "environment", "window"]);
}
