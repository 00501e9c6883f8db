//! What trying a target gave.

use plimsoll::ingest::Reason;
use plimsoll::ingest::upload::About;

use super::Try;

/// As k6 writes it with `--summary-export`, cut to what is looked at.
const EXPORTED: &str = r#"{"root_group":{"name":"","groups":{"a":{"name":"a","checks":{"ok":{"name":"ok","passes":3,"fails":1}}}},
    "checks":{}},"metrics":{"http_reqs":{"count":1200,"rate":40.1},"vus_max":{"value":50,"min":50,"max":50},
    "http_req_failed":{"passes":7,"fails":1193,"value":0.0058,"thresholds":{"rate<0.01":false}},
    "http_req_duration":{"avg":12.1,"min":1.02,"med":10.5,"max":901.25,"p(90)":40,"p(95)":88.001,
    "thresholds":{"p(95)<80":true}}}}"#;

/// As `handleSummary` is given it.
const HANDLED: &str = r#"{"root_group":{"checks":[{"name":"ok","passes":4,"fails":0}],"groups":[]},
    "state":{"testRunDurationMs":30123.4},"metrics":{"http_reqs":{"type":"counter","values":{"count":10,"rate":1}},
    "http_req_duration":{"type":"trend","values":{"med":1,"p(95)":2,"p(99)":3,"max":4},"thresholds":{"p(95)<80":{"ok":true}}}}}"#;

fn tried(exit_code: Option<i32>) -> Try<'static> {
    let (environment, service) = (Some("staging".to_owned()), Some("api".to_owned()));
    Try { about: About { environment, service, exit_code, ..About::default() }, ..Try::default() }
}

fn data(exit_code: Option<i32>, body: &str) -> serde_json::Value {
    let line = tried(exit_code).lines(body.as_bytes()).unwrap();
    let event: serde_json::Value = serde_json::from_str(line.trim()).unwrap();
    assert_eq!((&event["type"], &event["stream"]), (&"validation.finished".into(), &"target/staging/api".into()));
    event["data"].clone()
}

#[test]
fn k6_tells_what_a_load_test_measured() {
    let exported = data(None, EXPORTED);
    assert_eq!((&exported["conclusion"], &exported["checks_failed"]), (&"failure".into(), &2.into()));
    assert_eq!(exported["checks_total"], 3);
    let load = serde_json::json!({"failed_requests": "7", "latency_max_us": "901250", "latency_p50_us": "10500",
        "latency_p95_us": "88001", "requests": "1200", "virtual_users_max": 50});
    assert_eq!(exported["load"], load);
    let handled = data(None, HANDLED);
    assert_eq!((&handled["conclusion"], &handled["load"]["duration_ms"]), (&"success".into(), &"30123".into()));
    assert_eq!(data(Some(99), HANDLED)["conclusion"], "failure");
    assert_eq!(data(Some(107), HANDLED)["conclusion"], "error");
}

#[test]
fn a_validation_needs_its_target_and_something_measured() {
    let body = |text: &str| text.as_bytes().to_vec();
    Try::default().refuses(&body(HANDLED), Reason::NoSubject, Some("environment"));
    tried(None).refuses(br#"{"root_group":{},"metrics":{}}"#, Reason::MissingField, Some("metrics.http_reqs.count"));
    tried(None).refuses(&body(&HANDLED.replace("\"metrics\":{", "\"metrics\":[")), Reason::BadField, Some("metrics"));
}

#[test]
fn tests_of_what_runs_are_a_validation() {
    let line = tried(None).lines(&super::fixture("pytest/itsdangerous.junit.xml")).unwrap();
    let event: serde_json::Value = serde_json::from_str(line.trim()).unwrap();
    assert_eq!((&event["type"], &event["stream"]), (&"validation.finished".into(), &"target/staging/api".into()));
    let data = &event["data"];
    assert_eq!(
        (&data["kind"], &data["checks_failed"], &data["conclusion"]),
        (&"smoke".into(), &0.into(), &"success".into())
    );
    assert!(data["checks_total"].as_u64().unwrap() > 0 && data["report"].is_string());
}
