//! Alerts and incidents.

use plimsoll::ingest::authentication::Secrets;
use plimsoll::ingest::{Reason, Settings, WebhookSettings};
use serde_json::{Value, json};

use super::{Try, fixture};
use crate::support::http::post;
use crate::support::served::Served;

fn of(source: &'static str) -> Try<'static> {
    Try { source: Some(source), ..Try::default() }
}

/// A fixture with one member set, or taken away by null.
fn changed(path: &str, pointer: &str, value: Value) -> Vec<u8> {
    let mut body: Value = serde_json::from_slice(&fixture(path)).unwrap();
    let (outer, member) = pointer.rsplit_once('/').unwrap();
    let outer = body.pointer_mut(outer).unwrap_or_else(|| panic!("{pointer}"));
    match outer {
        Value::Array(items) => items[member.parse::<usize>().unwrap()] = value,
        outer => outer[member] = value,
    }
    serde_json::to_vec(&body).unwrap()
}

/// Type, key, instant and payload of what bytes become.
#[track_caller]
fn events(source: &'static str, body: &[u8]) -> Vec<(String, String, Value)> {
    let text = of(source).lines(body).unwrap_or_else(|rejection| panic!("{rejection}"));
    let drafts = text.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap());
    let text = |draft: &Value, name: &str| draft[name].as_str().unwrap().to_owned();
    drafts.map(|draft: Value| (text(&draft, "type"), text(&draft, "dedup"), draft["data"].clone())).collect()
}

const FIXTURES: &[(&str, &str)] = &[
    ("alertmanager", "alerts/alertmanager/alert.json"),
    ("grafana", "alerts/grafana/alert_new.json"),
    ("opsgenie", "alerts/opsgenie/create.json"),
    ("pagerduty", "alerts/pagerduty/resolved_v3.json"),
    ("pagerduty", "alerts/pagerduty/triggered_v3.json"),
    ("statuspage", "alerts/statuspage/component_status_update.json"),
    ("statuspage", "alerts/statuspage/incident_created.json"),
];

#[test]
fn every_alert_is_recognised_and_becomes_an_incident() {
    for (source, path) in FIXTURES {
        Try::default().golden(path);
        Try { source: Some(source), ..Try::default() }.golden(path);
        Try { source: Some(source), ..Try::default() }.never_panics(path);
    }
}

#[test]
fn alertmanager_names_what_is_wrong() {
    const PATH: &str = "alerts/alertmanager/alert.json";
    let refuses = |pointer: &str, value: Value, reason, field: &str| {
        of("alertmanager").refuses(&changed(PATH, pointer, value), reason, Some(field));
    };
    refuses("/version", json!("5"), Reason::UnsupportedVersion, "version");
    refuses("/alerts/0/startsAt", json!("2020-02-06T00:17:58"), Reason::BadTime, "alerts[0].startsAt");
    refuses("/alerts/1/startsAt", json!("0001-01-01T00:00:00Z"), Reason::MissingField, "alerts[1].startsAt");
    refuses("/alerts/1/startsAt", json!("2027-01-01T00:00:00Z"), Reason::FutureTime, "alerts[1].occurred_at");
    refuses("/alerts/1/status", json!("pending"), Reason::BadField, "alerts[1].status");
    of("alertmanager").refuses(b"{\"version\":\"4\"}", Reason::MissingField, Some("alerts"));
    of("alertmanager").refuses(b"{\"version\":\"4\",\"alerts\":{}}", Reason::BadField, Some("alerts"));
    // Before 0.19 there was no fingerprint: it is worked out as Prometheus does.
    let (old, new) =
        (changed(PATH, "/alerts/0/fingerprint", Value::Null), changed(PATH, "/alerts/0/fingerprint", json!("")));
    let stream = |body: &[u8]| events("alertmanager", body)[0].1.clone();
    assert_eq!(stream(&old), stream(&new));
    assert_eq!(stream(&old), stream(&fixture(PATH)));
    for member in ["/alerts/0/labels", "/alerts/0/annotations"] {
        assert_eq!(events("alertmanager", &changed(PATH, member, Value::Null)).len(), 2, "{member}");
    }
    let resolved = events("alertmanager", &changed(PATH, "/alerts/0/status", json!("resolved")));
    assert_eq!(resolved.len(), 3);
    assert_eq!(resolved[1].2["resolved_at"], "2026-11-30T00:00:00.000000Z");
}

#[test]
fn grafana_believes_each_alert_and_says_what_was_left_out() {
    const PATH: &str = "alerts/grafana/alert_new.json";
    let firing = changed(PATH, "/alerts/0/status", json!("firing"));
    assert_eq!(events("grafana", &firing).len(), 1);
    let text = of("grafana").lines(&fixture(PATH)).unwrap();
    assert!(text.contains("passed over: truncatedAlerts: 1"), "{text}");
    // The same labels in another organisation are another alert.
    let other = changed(PATH, "/orgId", json!(2));
    assert_ne!(events("grafana", &other)[0].1, events("grafana", &fixture(PATH))[0].1);
    of("grafana").refuses(&changed(PATH, "/version", json!("2")), Reason::UnsupportedVersion, Some("version"));
    let legacy = br#"{"dashboardId":1,"evalMatches":[],"orgId":1,"ruleId":1,"ruleName":"x","state":"alerting"}"#;
    Try::default().refuses(legacy, Reason::UnsupportedVersion, Some("version"));
    let bad = changed(PATH, "/alerts/0/endsAt", json!("soon"));
    of("grafana").refuses(&bad, Reason::BadTime, Some("alerts[0].endsAt"));
}

#[test]
fn pagerduty_tells_people_from_rules_and_passes_over_the_rest() {
    const TRIGGERED: &str = "alerts/pagerduty/triggered_v3.json";
    const RESOLVED: &str = "alerts/pagerduty/resolved_v3.json";
    for other in ["incident.acknowledged", "incident.priority_updated", "service.updated", "pagey.ping"] {
        let text = of("pagerduty").lines(&changed(TRIGGERED, "/event/event_type", json!(other))).unwrap();
        assert_eq!(text, format!("passed over: {other}\n"));
    }
    let by_rule = events("pagerduty", &changed(TRIGGERED, "/event/agent", Value::Null));
    assert_eq!(by_rule[0].2["kind"], "alert");
    let rated =
        changed(TRIGGERED, "/event/data/priority", json!({"id": "P1", "type": "priority_reference", "summary": "P1"}));
    assert_eq!(events("pagerduty", &rated)[0].2["severity"], "P1");
    let reopened = events("pagerduty", &changed(RESOLVED, "/event/event_type", json!("incident.reopened")));
    assert_eq!((reopened[0].0.as_str(), &reopened[0].2["severity"]), ("incident.reopened", &json!("high")));
    let merged = json!({"type": "merge_resolve_reason", "incident": {"id": "PFQZPSY", "type": "incident_reference"}});
    let merged = events("pagerduty", &changed(RESOLVED, "/event/data/resolve_reason", merged));
    assert_eq!(merged[0].2["incidents"], json!(["incident/pagerduty/PFQZPSY"]));
    assert_eq!(merged[1].0, "incident.resolved");
    let refuses = |pointer: &str, value: Value, reason, field: &str| {
        of("pagerduty").refuses(&changed(TRIGGERED, pointer, value), reason, Some(field));
    };
    refuses("/event/occurred_at", json!("2021-06-04 13:16"), Reason::BadTime, "event.occurred_at");
    of("pagerduty").refuses(b"{\"messages\":[]}", Reason::UnsupportedVersion, Some("messages"));
    refuses("/event", Value::Null, Reason::MissingField, "event");
    refuses("/event/data", json!({}), Reason::MissingField, "event.data.id");
    refuses("/event/data/id", json!(""), Reason::BadField, "event.data.id");
}

#[test]
fn opsgenie_times_are_read_in_any_unit_and_not_through_a_double() {
    const PATH: &str = "alerts/opsgenie/create.json";
    let closed = |value: Value| {
        let mut body: Value = serde_json::from_slice(&fixture(PATH)).unwrap();
        body["action"] = json!("Close");
        body["alert"]["updatedAt"] = value;
        serde_json::to_vec(&body).unwrap()
    };
    let at = |value: Value| events("opsgenie", &closed(value))[0].2["resolved_at"].clone();
    assert_eq!(at(json!(1_502_709_956_288_000_110_i64)), "2017-08-14T11:25:56.288000Z");
    assert_eq!(at(json!(1_502_709_956_288_i64)), "2017-08-14T11:25:56.288000Z");
    assert_eq!(at(Value::Null), "2026-11-30T00:00:00.000000Z");
    for bad in [json!(1.5e18), json!("2017"), json!(7), json!(u64::MAX)] {
        of("opsgenie").refuses(&closed(bad), Reason::BadTime, Some("alert.updatedAt"));
    }
    let create = |pointer: &str, value: Value| changed(PATH, pointer, value);
    assert_eq!(events("opsgenie", &create("/alert/priority", json!("P1")))[0].2["severity"], "P1");
    of("opsgenie").refuses(&create("/alert/createdAt", Value::Null), Reason::MissingField, Some("alert.createdAt"));
    of("opsgenie").refuses(&create("/alert", Value::Null), Reason::MissingField, Some("alert"));
    let text = of("opsgenie").lines(&create("/action", json!("AddNote"))).unwrap();
    assert_eq!(text, "passed over: AddNote\n");
}

#[test]
fn statuspage_is_told_by_its_updates_in_whatever_order_they_come() {
    const PATH: &str = "alerts/statuspage/incident_created.json";
    let update = |id: &str, status: &str, minute: u32| json!({"id": id, "status": status, "body": "text", "created_at": format!("2017-12-26T08:{minute:02}:00.000Z")});
    let mut body: Value = serde_json::from_slice(&fixture(PATH)).unwrap();
    body["incident"]["status"] = json!("postmortem");
    body["incident"]["incident_updates"] = json!([
        update("u5", "postmortem", 50),
        update("u4", "resolved", 40),
        update("u3", "investigating", 30),
        update("u2", "resolved", 20),
        update("u1", "identified", 10),
    ]);
    let all = events("statuspage", &serde_json::to_vec(&body).unwrap());
    let told: Vec<_> = all.iter().map(|(kind, key, _)| format!("{kind} {key}")).collect();
    assert_eq!(
        told,
        [
            "incident.opened z3lct0r596n4 opened",
            "incident.resolved z3lct0r596n4 u2",
            "incident.reopened z3lct0r596n4 u3",
            "incident.resolved z3lct0r596n4 u4"
        ]
    );
    assert_eq!(all[0].2["opened_at"], "2017-12-26T07:32:00.507000Z");
    for (one, other) in [(0, 4), (1, 2)] {
        body["incident"]["incident_updates"].as_array_mut().unwrap().swap(one, other);
    }
    assert_eq!(events("statuspage", &serde_json::to_vec(&body).unwrap()), all, "oldest first, or mixed");
    body["incident"]["incident_updates"] = Value::Null;
    body["incident"]["status"] = json!("investigating");
    assert_eq!(events("statuspage", &serde_json::to_vec(&body).unwrap())[0].1, "z3lct0r596n4 opened");
    body["incident"]["incident_updates"] =
        json!([update("m3", "completed", 30), update("m2", "in_progress", 20), update("m1", "scheduled", 10),]);
    let maintenance = events("statuspage", &serde_json::to_vec(&body).unwrap());
    assert_eq!(maintenance[0].2["kind"], "maintenance");
    assert_eq!(maintenance[0].2["opened_at"], "2017-12-26T08:20:00.000000Z");
    assert_eq!(maintenance[1].2["resolved_at"], "2017-12-26T08:30:00.000000Z");
    body["incident"]["incident_updates"] = json!([update("m1", "scheduled", 10)]);
    body["incident"]["status"] = json!("scheduled");
    let text = of("statuspage").lines(&serde_json::to_vec(&body).unwrap()).unwrap();
    assert_eq!(text, "passed over: incident.scheduled\n");
    let naive = changed(PATH, "/incident/created_at", json!("2017-12-26T07:32:00"));
    of("statuspage").refuses(&naive, Reason::BadTime, Some("incident.created_at"));
    let naive = changed(PATH, "/incident/incident_updates/0/created_at", json!("yesterday"));
    of("statuspage").refuses(&naive, Reason::BadTime, Some("incident.incident_updates[0].created_at"));
}

#[tokio::test(flavor = "multi_thread")]
async fn pagerduty_signatures_are_checked_at_the_door() {
    let vectors: Value = serde_json::from_slice(&fixture("alerts/pagerduty/signature-vectors.json")).unwrap();
    let body = fixture(&format!("alerts/pagerduty/{}", vectors["file"].as_str().unwrap()));
    let webhook = |secrets: &[&str]| WebhookSettings {
        system: Some("pagerduty".to_owned()),
        secrets: Secrets::new(secrets.iter().map(|secret| (*secret).to_owned())),
        unsigned: false,
    };
    let secret = vectors["secret"].as_str().unwrap();
    let mut settings = Settings::default();
    settings.webhooks.insert("one".to_owned(), webhook(&[secret]));
    settings.webhooks.insert("two".to_owned(), webhook(&["another", secret]));
    settings.webhooks.insert("other".to_owned(), webhook(&["another"]));
    let served = Served::with_settings(settings).await;
    let send = async |hook: &str, signature: &str| {
        let headers = [("x-pagerduty-signature", signature), ("content-type", "application/json")];
        post(served.addresses.http, &format!("/webhooks/{hook}"), &headers, &body).await.status
    };
    for accepted in vectors["accept"].as_array().unwrap() {
        assert_eq!(send("one", accepted.as_str().unwrap()).await, 200, "{accepted}");
        assert_eq!(send("two", accepted.as_str().unwrap()).await, 200, "{accepted}");
        assert_eq!(send("other", accepted.as_str().unwrap()).await, 401, "{accepted}");
    }
    let recorded = served.ledger.head().size;
    for refused in vectors["refuse"].as_array().unwrap() {
        assert_eq!(send("one", refused.as_str().unwrap()).await, 401, "{refused}");
    }
    assert_eq!(post(served.addresses.http, "/webhooks/one", &[], &body).await.status, 401);
    // Two webhooks are two sources; each recorded it once.
    assert_eq!((recorded, served.ledger.head().size), (3, 3));
    served.stop().await;
}
