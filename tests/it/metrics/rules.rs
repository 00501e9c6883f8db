//! The alert rules: what they are about is there, each fires when it should, and the real ones end when all is well.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;

use super::prometheus::Prometheus;
use super::shop::Shop;
use super::{exposed, root};
use crate::support::program::command;

fn dir() -> PathBuf {
    root().join("deploy/prometheus")
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&std::fs::read_to_string(dir().join(path)).unwrap()).unwrap()
}

fn tests() -> Vec<String> {
    let names = std::fs::read_dir(dir().join("tests")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| format!("tests/{}", name.to_str().unwrap())).collect();
    names.sort();
    names
}

/// Every rule.
fn rules() -> Vec<Value> {
    let groups = yaml("rules.yaml")["groups"].as_array().unwrap().clone();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

fn alerts() -> BTreeSet<String> {
    rules().iter().filter_map(|rule| rule["alert"].as_str().map(str::to_owned)).collect()
}

fn promtool(arguments: &[&str]) {
    let output = command("promtool").args(arguments).current_dir(dir()).output();
    let output = output.unwrap_or_else(|error| panic!("promtool: {error}: run tools/test, which installs it"));
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
}

#[test]
fn promtool_takes_the_rules_and_every_case_of_them_holds() {
    promtool(&["check", "config", "prometheus.yaml"]);
    promtool(&["check", "rules", "rules.yaml"]);
    let tests = tests();
    let arguments: Vec<_> = ["test", "rules"].into_iter().chain(tests.iter().map(String::as_str)).collect();
    promtool(&arguments);
}

#[test]
fn each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() {
    let mut cases: BTreeMap<bool, BTreeSet<String>> = BTreeMap::new();
    for file in tests() {
        for case in yaml(&file)["tests"].as_array().unwrap() {
            for alert in case["alert_rule_test"].as_array().unwrap() {
                let fires = !alert["exp_alerts"].as_array().unwrap().is_empty();
                cases.entry(fires).or_default().insert(alert["alertname"].as_str().unwrap().to_owned());
            }
        }
    }
    assert_eq!(cases[&true], alerts(), "cases that fire");
    assert_eq!(cases[&false], alerts(), "cases that do not");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rules_are_about_series_that_are_there() {
    let shop = Shop::until_now();
    let desk = shop.recorded();
    desk.run(["verify"]).ok();
    let known = exposed(&desk, shop.events()).await;
    let text = std::fs::read_to_string(dir().join("rules.yaml")).unwrap();
    let said: BTreeSet<_> =
        text.lines().filter(|line| line.starts_with('#')).flat_map(|line| line.split([' ', ','])).collect();
    let family = regex::Regex::new("\\b(plimsoll|argocd|nginx|probe|container|kubelet|kube|node)_[a-z0-9_]+").unwrap();
    for rule in rules() {
        let expression = rule["expr"].as_str().unwrap();
        for name in family.find_iter(expression).map(|found| found.as_str()) {
            if name.starts_with("plimsoll_") {
                assert!(known.contains(name), "nobody exposes {name}");
            } else {
                assert!(said.contains(name), "the head of the file does not say whose {name} is");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_fires_them_until_all_is_well() {
    let shop = Shop::until_now();
    let desk = shop.recorded();
    let server = desk.serve(&[]);
    let configuration = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{}']\n\
         scrape_configs: [{{job_name: plimsoll, static_configs: [{{targets: ['{}']}}]}}]\n",
        dir().join("rules.yaml").display(),
        server.http
    );
    let prometheus = Prometheus::start(desk.path(), "alerts", &configuration, &[]).await;
    let firing = async || {
        let alerts = prometheus.query("ALERTS{alertstate=\"firing\"}").await;
        let target = |name: &str, labels: &BTreeMap<String, String>| labels.get(name).cloned().unwrap_or_default();
        let alerts = alerts.iter().map(|(labels, _)| {
            format!("{} {} {}", target("alertname", labels), target("environment", labels), target("service", labels))
        });
        alerts.collect::<BTreeSet<_>>()
    };
    let wait = async |n: usize| prometheus.until(&format!("count(ALERTS{{alertstate=\"firing\"}}) == {n}")).await;
    prometheus.until_scraped(shop.events()).await;
    wait(5).await;
    let expected = [
        "CriticalVulnerabilityRuns production churn-api",
        "CriticalVulnerabilityRuns staging churn-api",
        "DeploymentFailed production churn-ml",
        "DeploymentStuck staging churn-api",
        "DriftOpen production churn-api",
    ];
    assert_eq!(firing().await, expected.map(str::to_owned).into());
    let events = shop.put_right(&desk, &server.url());
    prometheus.until_scraped(events).await;
    wait(2).await;
    assert!(firing().await.iter().all(|alert| alert.starts_with("CriticalVulnerabilityRuns ")));
}
