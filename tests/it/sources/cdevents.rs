//! CDEvents over CloudEvents: what comes in, in every mode.

use std::collections::BTreeMap;

use plimsoll::ingest::authentication::Secrets;
use plimsoll::ingest::{Headers, Intake, Reason, Refusal, Settings, WebhookSettings};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Try, fixture, hold};
use crate::support::http::{Answer, post};
use crate::support::served::Served;

/// Paths of the fixtures of a folder, with one ending.
fn paths(folder: &str, ending: &str) -> Vec<String> {
    let dir = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(folder);
    let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut paths: Vec<_> =
        names.filter(|name| name.ends_with(ending)).map(|name| format!("{folder}/{name}")).collect();
    paths.sort();
    paths
}

/// The conformance set.
pub(super) fn conformance() -> Vec<(String, Value)> {
    let read = |path: String| (path.clone(), serde_json::from_slice(&fixture(&path)).unwrap());
    let all: Vec<(String, Value)> = paths("cdevents/conformance", ".json").into_iter().map(read).collect();
    assert_eq!(all.len(), 45);
    all
}

/// An event in an envelope.
fn structured(event: &Value) -> Value {
    let context = &event["context"];
    json!({
        "specversion": "1.0", "id": context["id"], "source": context["source"], "type": context["type"],
        "time": context["timestamp"], "subject": event["subject"]["id"], "datacontenttype": "application/json",
        "data": event,
    })
}

/// The same, with attributes in headers.
fn headers(event: &Value) -> Vec<(&'static str, String)> {
    let text = |value: &Value| value.as_str().unwrap().replace('%', "%25");
    let context = &event["context"];
    vec![
        ("ce-specversion", "1.0".to_owned()),
        ("ce-id", text(&context["id"])),
        ("ce-source", text(&context["source"])),
        ("ce-type", text(&context["type"])),
        ("ce-time", text(&context["timestamp"])),
        ("ce-subject", text(&event["subject"]["id"])),
        ("content-type", "application/json".to_owned()),
    ]
}

async fn send(served: &Served, headers: &[(&str, String)], body: &[u8]) -> Answer {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    post(served.addresses.http, "/v1/events", &headers, body).await
}

async fn send_json(served: &Served, content_type: &str, body: &Value) -> Answer {
    send(served, &[("content-type", content_type.to_owned())], body.to_string().as_bytes()).await
}

/// The events of an answer that must be good: type, and whether it was known.
#[track_caller]
fn events(answer: &Answer) -> Vec<(String, bool)> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body: Value = serde_json::from_str(answer.text()).unwrap();
    let of = |event: &Value| (event["type"].as_str().unwrap().to_owned(), event["duplicate"].as_bool().unwrap());
    body["events"].as_array().unwrap().iter().map(of).collect()
}

const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json; charset=utf-8";

#[test]
fn the_conformance_set_has_its_golden_events() {
    for (path, event) in conformance() {
        Try::default().golden(&path);
        let enveloped = structured(&event).to_string();
        // The envelope changes the evidence and nothing else.
        let without_evidence = |text: &str| {
            let mut line: Value = serde_json::from_str(text).unwrap();
            line["evidence"] = Value::Null;
            if line["data"]["document"].is_string() {
                line["data"]["document"] = Value::Null;
            }
            line
        };
        let (bare, enveloped) = (Try::default().lines(&fixture(&path)), Try::default().lines(enveloped.as_bytes()));
        assert_eq!(without_evidence(&bare.unwrap()), without_evidence(&enveloped.unwrap()), "{path}");
    }
}

#[test]
fn other_cloudevents_have_their_golden_events() {
    for path in paths("cloudevents", ".json") {
        if !path.ends_with("cloudevents.schema.json") {
            Try::default().golden(&path);
        }
    }
    for path in paths("cloudevents", ".http") {
        let text = String::from_utf8(fixture(&path)).unwrap();
        let (head, body) = text.trim_start().split_once("\n\n").unwrap();
        let head = Headers::parse(head);
        let tried = Try { headers: &head.iter().collect::<Vec<_>>(), ..Try::default() };
        let lines = tried.lines(body.as_bytes());
        // The specification leaves parts of its examples out: what is left is no JSON.
        hold(&path, &lines.unwrap_or_else(|rejection| format!("refused: {}: {rejection}\n", rejection.reason)));
    }
}

#[test]
fn broken_events_never_panic() {
    let head = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "s")];
    for (path, event) in conformance() {
        Try::default().never_panics(&path);
        // The same as data of an event in binary mode.
        let kind = event["context"]["type"].as_str().unwrap();
        let head = [&head[..], &[("ce-type", kind)]].concat();
        let bytes = fixture(&path);
        for end in (0..bytes.len()).step_by(97) {
            let taken = Try { headers: &head, ..Try::default() }.lines(&bytes[..end]);
            assert!(taken.is_err(), "{path} cut at {end} is taken");
        }
    }
    for path in paths("cloudevents", ".json") {
        Try::default().never_panics(&path);
    }
}

/// An event of an older version: with `version`, and a type of its subject.
fn older(version: &str, kind: &str, subject_type: &str, content: Value) -> Value {
    json!({
        "context": {"version": version, "id": "e-1", "source": "/ci", "type": kind, "timestamp": "2024-05-01T10:00:00+02:00"},
        "subject": {"id": "app", "source": "/ci", "type": subject_type, "content": content},
    })
}

#[test]
fn every_version_has_its_own_schemas() {
    let purl = format!("pkg:oci/app@sha256%3A{}?repository_url=ghcr.io/acme/app&tag=v1", "ab".repeat(32));
    let deployed = json!({"environment": {"id": "prod"}, "artifactId": purl});
    for (version, kind) in [
        ("0.3.0", "dev.cdevents.service.deployed.0.1.1"),
        ("0.4.0", "dev.cdevents.service.deployed.0.2.0"),
        ("0.4.1", "dev.cdevents.service.deployed.0.2.0"),
    ] {
        let event = older(version, kind, "service", deployed.clone());
        let lines = Try::default().lines(event.to_string().as_bytes()).unwrap();
        let line: Value = serde_json::from_str(&lines).unwrap();
        assert_eq!((&line["type"], &line["stream"]), (&json!("sync.succeeded"), &json!("target/prod/app")), "{lines}");
        assert_eq!(line["data"]["finished_at"], "2024-05-01T08:00:00.000000Z");
        assert_eq!(line["data"]["images"][0]["name"], "ghcr.io/acme/app");
    }
    // What a version does not know is not passed over.
    let refuses =
        |event: &Value, reason, field| Try::default().refuses(event.to_string().as_bytes(), reason, Some(field));
    let mut chained = older("0.3.0", "dev.cdevents.service.deployed.0.1.1", "service", deployed.clone());
    chained["context"]["chainId"] = json!("c");
    refuses(&chained, Reason::Schema, "context.chainId");
    chained["context"]["version"] = json!("0.4.1");
    chained["context"]["type"] = json!("dev.cdevents.service.deployed.0.2.0");
    Try::default().lines(chained.to_string().as_bytes()).unwrap();
    let other = older("0.4.1", "dev.cdevents.service.deployed.0.3.0", "service", deployed.clone());
    refuses(&other, Reason::UnsupportedVersion, "context.type");
    let unknown = older("0.3.0", "dev.cdevents.ticket.created.0.1.0", "ticket", json!({}));
    refuses(&unknown, Reason::UnsupportedVersion, "context.type");
    let newer = older("0.9.0", "dev.cdevents.service.deployed.0.3.0", "service", deployed);
    refuses(&newer, Reason::UnsupportedVersion, "context.version");
    // Outcomes were free text once.
    let outcome = json!({"pipelineName": "ci", "outcome": "mostly fine"});
    let kind = "dev.cdevents.pipelinerun.finished.0.2.0";
    Try::default().lines(older("0.4.1", kind, "pipelineRun", outcome).to_string().as_bytes()).unwrap();
}

#[test]
fn refusals_name_the_field() {
    let whole: Value = serde_json::from_slice(&fixture("cdevents/conformance/service_deployed.json")).unwrap();
    let refuses = |reason: Reason, field: &str, change: &dyn Fn(&mut Value)| {
        let mut event = whole.clone();
        change(&mut event);
        let named = Try { source: Some("cloudevents"), ..Try::default() };
        named.refuses(event.to_string().as_bytes(), reason, Some(field));
        let mut enveloped = structured(&whole);
        enveloped["data"] = event;
        Try::default().refuses(enveloped.to_string().as_bytes(), reason, Some(&format!("data.{field}")));
    };
    refuses(Reason::Schema, "subject.content.artifactId", &|event| {
        event["subject"]["content"]["artifactId"] = json!(7);
    });
    refuses(Reason::Schema, "subject.content.environment", &|event| {
        event["subject"]["content"].as_object_mut().unwrap().remove("environment");
    });
    refuses(Reason::Schema, "subject.type", &|event| event["subject"]["type"] = json!("service"));
    refuses(Reason::Schema, "context.links[1]", &|event| event["context"]["links"][1]["linkType"] = json!("HALF"));
    refuses(Reason::BadTime, "context.timestamp", &|event| {
        event["context"]["timestamp"] = json!("2023-03-20T14:27:05");
    });
    refuses(Reason::FutureTime, "context.timestamp", &|event| {
        event["context"]["timestamp"] = json!("2033-03-20T14:27:05Z");
    });
    refuses(Reason::UnsupportedVersion, "context.specversion", &|event| {
        event["context"]["specversion"] = json!("0.6.0");
    });
    refuses(Reason::MissingField, "context.type", &|event| event["context"]["type"] = Value::Null);
}

#[test]
fn refusals_of_the_envelope_name_the_field() {
    let whole: Value = serde_json::from_slice(&fixture("cdevents/conformance/service_deployed.json")).unwrap();
    let refuses = |reason: Reason, field: Option<&str>, body: &str| {
        Try { source: Some("cloudevents"), ..Try::default() }.refuses(body.as_bytes(), reason, field);
    };
    let enveloped = |change: &dyn Fn(&mut Value)| {
        let mut event = structured(&whole);
        change(&mut event);
        event.to_string()
    };
    refuses(Reason::MissingField, Some("source"), &enveloped(&|event| event["source"] = Value::Null));
    refuses(Reason::BadField, Some("id"), &enveloped(&|event| event["id"] = json!("")));
    refuses(Reason::BadField, Some("id"), &enveloped(&|event| event["id"] = json!(7)));
    refuses(Reason::BadTime, Some("time"), &enveloped(&|event| event["time"] = json!("now")));
    refuses(Reason::UnsupportedVersion, Some("specversion"), &enveloped(&|event| event["specversion"] = json!("0.3")));
    refuses(Reason::MissingField, Some("data"), &enveloped(&|event| event["data"] = Value::Null));
    refuses(Reason::BadField, Some("data_base64"), &enveloped(&|event| event["data_base64"] = json!("e30=")));
    refuses(
        Reason::BadField,
        Some("type"),
        &enveloped(&|event| {
            event["type"] = json!("dev.cdevents.service.upgraded.0.3.0");
        }),
    );
    refuses(
        Reason::BadField,
        Some("data_base64"),
        &enveloped(&|event| {
            event.as_object_mut().unwrap().remove("data");
            event["data_base64"] = json!("no base64");
        }),
    );
    refuses(Reason::Malformed, None, &enveloped(&|_| {})[..400]);
    refuses(Reason::UnknownFormat, None, "{}");
    // What it is may stand behind more than is looked at first.
    let long = format!("{{\"data\":\"{}\",\"specversion\":\"1.1\"}}", "x".repeat(100_000));
    refuses(Reason::UnsupportedVersion, Some("specversion"), &long);
    refuses(Reason::Empty, None, "{\"specversion\":\"1.0\"}".get(..0).unwrap());
    refuses(
        Reason::BadField,
        Some("[1].id"),
        &format!("[{},{}]", enveloped(&|_| {}), enveloped(&|event| event["id"] = json!(""))),
    );
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let plain = |data: &str| {
        format!("{{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\",\"data\":{data}}}")
    };
    refuses(Reason::TooDeep, None, &plain(&deep));
    refuses(Reason::BadNumber, None, &plain("1e999"));
    let headers = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/s")];
    Try { headers: &headers, ..Try::default() }.refuses(b"x", Reason::MissingHeader, Some("ce-type"));
}

#[test]
fn what_the_vocabulary_has_no_word_for_is_kept_and_custom_events_need_no_schema() {
    let custom = json!({
        "context": {"specversion": "0.5.0", "id": "q-1", "source": "//registry.example", "chainId": "chain-1",
                    "type": "dev.cdeventsx.myregistry-quota.exceeded.0.1.0", "timestamp": "2026-03-01T00:00:00Z"},
        "subject": {"id": "quota/7", "content": {"anything": [1, 2]}},
    });
    let line: Value = serde_json::from_str(&Try::default().lines(custom.to_string().as_bytes()).unwrap()).unwrap();
    assert_eq!((&line["type"], &line["stream"]), (&json!("foreign.received"), &json!("foreign/cloudevents")));
    assert_eq!(line["data"]["kind"], "dev.cdeventsx.myregistry-quota.exceeded.0.1.0");
    assert_eq!((&line["data"]["subject"], &line["correlation"]), (&json!("quota/7"), &json!("chain-1")));
    assert_eq!(line["data"]["document"], line["evidence"][0]["blake3"]);
    assert_eq!(line["dedup"], "//registry.example q-1 dev.cdeventsx.myregistry-quota.exceeded.0.1.0");
}

#[test]
fn who_may_be_a_person_stands_only_where_it_can_be_erased() {
    let mut event: Value = serde_json::from_slice(&fixture("cdevents/conformance/incident_resolved.json")).unwrap();
    event["context"]["source"] = json!("mailto:alice@example.com");
    event["subject"]["source"] = json!("mailto:alice@example.com");
    let incident = Try::default().lines(event.to_string().as_bytes()).unwrap();
    assert!(incident.contains("incident.resolved") && !incident.contains("alice"), "{incident}");
    let event = json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "subject": "alice@example.com"});
    let foreign: Value = serde_json::from_str(&Try::default().lines(event.to_string().as_bytes()).unwrap()).unwrap();
    assert_eq!((&foreign["dedup"], &foreign["data"]["subject"]), (&json!("/s 1 t"), &json!("alice@example.com")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_conformance_set_is_taken_in_every_mode_and_known_in_every_other() {
    let served = Served::new().await;
    let all = conformance();
    let mut kinds = BTreeMap::<String, u32>::new();
    for (path, event) in &all {
        let taken = events(&send_json(&served, STRUCTURED, &structured(event)).await);
        assert_eq!((taken.len(), taken[0].1), (1, false), "{path}");
        *kinds.entry(taken[0].0.clone()).or_default() += 1;
    }
    assert_eq!(kinds["sync.succeeded"], 3);
    assert_eq!((kinds["incident.opened"], kinds["incident.resolved"], kinds["build.finished"]), (2, 1, 1));
    assert_eq!(served.ledger.head().size, 46);
    for (path, event) in &all {
        // As it is in the file, with its white space.
        let taken = events(&send(&served, &headers(event), &fixture(path)).await);
        assert!(taken.len() == 1 && taken[0].1, "{path}");
    }
    let batch = Value::Array(all.iter().map(|(_, event)| structured(event)).collect());
    let taken = events(&send_json(&served, BATCH, &batch).await);
    assert!(taken.len() == 45 && taken.iter().all(|(_, known)| *known));
    assert_eq!(served.ledger.head().size, 46);
    served.finish().await;
    // And each of the other two by itself.
    let served = Served::new().await;
    for (path, event) in &all {
        assert_eq!(events(&send(&served, &headers(event), &fixture(path)).await).len(), 1, "{path}");
    }
    served.finish().await;
    let served = Served::new().await;
    let taken = events(&send_json(&served, BATCH, &batch).await);
    assert!(taken.len() == 45 && taken.iter().all(|(_, known)| !*known));
    // A bare CDEvent, by the webhook of the same name.
    let bare = post(served.addresses.http, "/webhooks/cloudevents", &[], &fixture(&all[0].0)).await;
    assert_eq!(events(&bare), [("foreign.received".to_owned(), true)]);
    served.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_its_source_id_and_type_and_a_batch_is_all_or_nothing() {
    let served = Served::new().await;
    let event =
        |id: &str, data: Value| json!({"specversion": "1.0", "id": id, "source": "/s", "type": "t", "data": data});
    assert_eq!(events(&send_json(&served, STRUCTURED, &event("1", json!({"a": 1, "b": 2}))).await).len(), 1);
    // It has no time of its own: that it came later does not make it another.
    served.house.clock.advance(60_000_000);
    let again = events(&send_json(&served, STRUCTURED, &event("1", json!({"b": 2, "a": 1}))).await);
    assert_eq!(again, [("foreign.received".to_owned(), true)]);
    let other = send_json(&served, STRUCTURED, &event("1", json!({"a": 2}))).await;
    assert_eq!(other.status, 409, "{}", other.text());
    assert!(other.text().contains("\"conflict\""), "{}", other.text());
    // One that is broken, or contradicts what is known, takes the others with it.
    for bad in [event("", json!(1)), event("1", json!({"a": 3}))] {
        let answer = send_json(&served, BATCH, &json!([event("2", json!(1)), bad])).await;
        assert!(matches!(answer.status, 409 | 422), "{}", answer.text());
    }
    let twice = send_json(&served, BATCH, &json!([event("3", json!(1)), event("3", json!(2))])).await;
    assert_eq!(twice.status, 409, "{}", twice.text());
    assert_eq!(served.ledger.head().size, 2);
    let twice = events(&send_json(&served, BATCH, &json!([event("3", json!(1)), event("3", json!(1))])).await);
    assert_eq!(twice.iter().map(|(_, known)| *known).collect::<Vec<_>>(), [false, true]);
    assert_eq!(send_json(&served, BATCH, &json!([])).await.status, 200);
    let xml = send(&served, &[("content-type", "application/cloudevents+xml".to_owned())], b"<event/>").await;
    assert_eq!(xml.status, 415, "{}", xml.text());
    // Data in binary mode may be any bytes, or none.
    let binary = |id: &str| {
        vec![
            ("ce-specversion", "1.0".to_owned()),
            ("ce-id", id.to_owned()),
            ("ce-source", "/s%C3%A9".to_owned()),
            ("ce-type", "t".to_owned()),
            ("ce-subject", "a%20b".to_owned()),
        ]
    };
    assert_eq!(events(&send(&served, &binary("4"), b"\xff\x00\xfe").await).len(), 1);
    assert_eq!(events(&send(&served, &binary("5"), b"").await).len(), 1);
    let leaf = served.ledger.leaf(served.ledger.head().size - 1).unwrap();
    let leaf: Value = serde_json::from_slice(&leaf).unwrap();
    assert!(leaf["dedup"].as_str().unwrap().starts_with("blake3:") && leaf["data"]["subject"]["sealed"].is_string());
    served.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_webhooks_are_configured_events_need_the_secret_of_theirs() {
    let served = Served::new().await;
    let body = fixture("cdevents/conformance/service_deployed.json");
    let hook = |name: &str| {
        let webhook = WebhookSettings {
            system: Some("cloudevents".to_owned()),
            secrets: Secrets::new(["s3cret".to_owned()]),
            unsigned: false,
        };
        let webhooks = BTreeMap::from([(name.to_owned(), webhook)]);
        Intake::new(served.ledger.clone(), Settings { webhooks, ..Settings::default() }).unwrap()
    };
    let deliver = async |intake: &Intake, token: &str| {
        let mut headers = Headers::default();
        headers.add("authorization", token);
        intake.deliver("cloudevents", &headers, body.clone().into()).await
    };
    let intake = hook("cloudevents");
    let Err(Refusal::Rejected(refused)) = deliver(&intake, "Bearer other").await else { panic!("it is taken") };
    assert_eq!(refused.reason, Reason::BadSignature);
    assert_eq!(deliver(&intake, "Bearer s3cret").await.unwrap().events.len(), 1);
    // One of another name is served under that name only.
    let Err(Refusal::Rejected(refused)) = deliver(&hook("ci"), "Bearer s3cret").await else { panic!("it is taken") };
    assert_eq!(refused.reason, Reason::UnknownSource);
    served.finish().await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the attributes are, an event says the same in every mode.
    #[test]
    fn an_event_says_the_same_in_every_mode(
        id in "\\PC{1,20}", source in "\\PC{1,20}", kind in "\\PC{1,20}", subject in "\\PC{1,20}", data in "\\PC{0,20}",
    ) {
        let event = json!({
            "specversion": "1.0", "id": id, "source": source, "type": kind, "subject": subject,
            "time": "2026-01-01T00:00:00Z", "data": data,
        });
        let without = |text: String| {
            let mut line: Value = serde_json::from_str(&text).unwrap();
            line["evidence"] = Value::Null;
            line["data"]["document"] = Value::Null;
            line
        };
        let tried = Try::default();
        let structured = without(tried.lines(event.to_string().as_bytes()).unwrap());
        let batch = without(tried.lines(format!("[{event}]").as_bytes()).unwrap());
        let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        let (id, source, kind, subject) = (encode(&id), encode(&source), encode(&kind), encode(&subject));
        let head = [
            ("ce-specversion", "1.0"), ("ce-id", &id), ("ce-source", &source), ("ce-type", &kind),
            ("ce-subject", &subject), ("ce-time", "2026-01-01T00:00:00Z"),
        ];
        let binary = without(Try { headers: &head, ..Try::default() }.lines(data.as_bytes()).unwrap());
        prop_assert_eq!(&structured, &batch);
        prop_assert_eq!(&structured, &binary);
    }
}
