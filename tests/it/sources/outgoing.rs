//! The log as CDEvents: by the command line, in pages, and as it grows.

use std::collections::BTreeMap;

use plimsoll::cdevents::{Told, envelope};
use plimsoll::event::EventType;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::cdevents::conformance;
use super::fixture;
use crate::support::draft;
use crate::support::http::{Answer, post};
use crate::support::program::Desk;
use crate::support::served::{Served, within};

/// The schemas of CDEvents and of CloudEvents, as published.
struct Schemas {
    cdevents: BTreeMap<String, jsonschema::Validator>,
    custom: jsonschema::Validator,
    cloudevents: jsonschema::Validator,
}

impl Schemas {
    fn new() -> Self {
        let parse = |bytes: Vec<u8>| -> Value { serde_json::from_slice(&bytes).unwrap() };
        let links = ["end", "path", "relation", "sarray"]
            .map(|name| (name.to_owned(), parse(fixture(&format!("cdevents/schemas/links/embeddedlink{name}.json")))));
        let links: Value = Value::Object(links.into_iter().collect());
        let mut cdevents = BTreeMap::new();
        for (_, event) in conformance() {
            let kind = event["context"]["type"].as_str().unwrap().to_owned();
            let parts: Vec<_> = kind.split('.').collect();
            let mut schema = parse(fixture(&format!("cdevents/schemas/{}{}.json", parts[2], parts[3])));
            schema["$defs"] = links.clone();
            // Three of them require what they do not allow.
            let required = schema["properties"]["context"]["required"].as_array_mut().unwrap();
            required.iter_mut().filter(|name| *name == "version").for_each(|name| *name = json!("specversion"));
            cdevents.insert(kind, jsonschema::options().should_validate_formats(true).build(&schema).unwrap());
        }
        let mut custom: Value = serde_json::from_str(include_str!("../../../schema/cdevents/0.5/custom.json")).unwrap();
        custom["$defs"] = links;
        let cloudevents = parse(fixture("cloudevents/cloudevents.schema.json"));
        Self {
            cdevents,
            custom: jsonschema::validator_for(&custom).unwrap(),
            cloudevents: jsonschema::options().should_validate_formats(true).build(&cloudevents).unwrap(),
        }
    }

    /// Holds an event in its envelope to both, and returns its type.
    #[track_caller]
    fn check<'a>(&self, event: &'a Value) -> &'a str {
        self.cloudevents.validate(event).unwrap_or_else(|error| panic!("{error}: {event}"));
        let (kind, data) = (event["type"].as_str().unwrap(), &event["data"]);
        let schema = self.cdevents.get(kind).unwrap_or(&self.custom);
        schema.validate(data).unwrap_or_else(|error| panic!("{error} at {}: {event}", error.instance_path()));
        let context = &data["context"];
        for (attribute, member) in [("id", "id"), ("source", "source"), ("type", "type"), ("time", "timestamp")] {
            assert_eq!(event[attribute], context[member], "{event}");
        }
        assert_eq!(event["subject"], data["subject"]["id"]);
        kind
    }
}

#[test]
fn every_type_of_event_goes_out_as_one_that_keeps_to_its_schema() {
    let schemas = Schemas::new();
    let mut text = String::new();
    for event_type in EventType::ALL {
        for full in [true, false] {
            let event = crate::vocabulary::recorded(*event_type, full);
            let told = envelope(&Told { event: &event, origin: "ledger.example/test", private: &[] }).unwrap();
            let kind = schemas.check(&told).to_owned();
            text.push_str(&format!("{event_type} {} {kind}\n", if full { "full" } else { "least" }));
        }
    }
    super::hold("cdevents/outgoing", &text);
}

/// Sends the conformance set, and returns what each file became.
async fn conform(served: &Served) -> Vec<Value> {
    for (path, event) in conformance() {
        let answer = post(served.addresses.http, "/v1/events", &[], event.to_string().as_bytes()).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
    conformance().into_iter().map(|(_, event)| event).collect()
}

fn page(answer: &Answer) -> (Vec<Value>, u64) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.headers["content-type"], "application/cloudevents-batch+json");
    let next = answer.headers["plimsoll-next-position"].parse().unwrap();
    (serde_json::from_str(answer.text()).unwrap(), next)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_in_goes_out_with_its_ids_and_where_it_can_with_its_type() {
    let (schemas, served) = (Schemas::new(), Served::new().await);
    let sent = conform(&served).await;
    let public = served.get("/v1/events?from=1").await;
    assert!(!public.text().contains("Response time above"), "a private text");
    let (told, next) = page(&served.get("/v1/events?from=1&private=true").await);
    assert_eq!((told.len(), next), (45, 46));
    let mut kept = 0;
    for (sent, told) in sent.iter().zip(&told) {
        let kind = schemas.check(told);
        if kind == sent["context"]["type"] {
            kept += 1;
            assert_eq!((&told["id"], &told["source"]), (&sent["context"]["id"], &sent["context"]["source"]));
            let (sent, told) = (&sent["subject"], &told["data"]["subject"]);
            let artifact = |subject: &Value| subject["content"]["artifactId"].clone();
            if !kind.contains(".incident.") && !artifact(told).is_null() {
                assert_eq!(artifact(told), artifact(sent));
            }
            assert!(told["id"] == sent["id"] || kind.contains(".build."), "{sent} {told}");
        } else {
            assert!(kind.starts_with("dev.cdeventsx.plimsoll-") || kind.contains("build.finished"), "{kind}");
        }
    }
    // The rest require what the ledger keeps as evidence only.
    assert!(kept >= 28, "{kept}");
    // What went out comes in again, elsewhere.
    let elsewhere = Served::new().await;
    let batch = Value::Array(told).to_string();
    let content = [("content-type", "application/cloudevents-batch+json")];
    let answer = post(elsewhere.addresses.http, "/v1/events", &content, batch.as_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(elsewhere.ledger.head().size, 46);
    elsewhere.finish().await;
    served.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_go_on_where_they_say_and_private_values_are_told_only_when_asked() {
    let served = Served::with_events(25).await;
    let (mut told, mut next) = page(&served.get("/v1/events?limit=7").await);
    while next < 26 {
        let (more, then) = page(&served.get(&format!("/v1/events?limit=7&from={next}")).await);
        assert!(more.len() <= 7);
        told.extend(more);
        next = then;
    }
    let positions: Vec<_> = told.iter().map(|event| event["plimsollposition"].as_str().unwrap().to_owned()).collect();
    assert_eq!(positions, (0..26).map(|n| n.to_string()).collect::<Vec<_>>());
    let (some, _) = page(&served.get("/v1/events?type=ledger.*&type=nothing").await);
    assert_eq!(some.len(), 1);
    assert_eq!(some[0]["type"], "dev.cdeventsx.plimsoll-ledger.created.1.0.0");
    let (none, next) = page(&served.get("/v1/events?from=26").await);
    assert!(none.is_empty() && next == 26);
    for (query, field) in [("from=27", "from"), ("from=x", "from"), ("limit=0", "limit"), ("fro=1", "fro")] {
        let answer = served.get(&format!("/v1/events?{query}")).await;
        assert_eq!(answer.status, 400);
        let body: Value = serde_json::from_str(answer.text()).unwrap();
        assert_eq!(body["error"]["field"], field);
    }
    let incident = fixture("cdevents/conformance/incident_detected.json");
    assert_eq!(post(served.addresses.http, "/v1/events", &[], &incident).await.status, 200);
    let (kept, asked) = (served.get("/v1/events?from=26").await, served.get("/v1/events?from=26&private=true").await);
    assert!(!kept.text().contains("Response time") && asked.text().contains("Response time"));
    let (told, _) = page(&asked);
    let schemas = Schemas::new();
    assert_eq!(schemas.check(&told[0]), "dev.cdevents.incident.detected.0.3.0");
    assert_eq!(told[0]["data"]["subject"]["content"]["description"], "Response time above threshold of 100ms");
    let (told, _) = page(&served.get("/v1/events?type=dev.cdevents.incident.*&type=ledger.created").await);
    assert_eq!(told.len(), 2);
    served.finish().await;
}

/// A feed, read as it comes.
struct Feed {
    stream: tokio::net::TcpStream,
    text: String,
}

impl Feed {
    async fn open(served: &Served, query: &str, more: &str) -> Self {
        let mut stream = tokio::net::TcpStream::connect(served.addresses.http).await.unwrap();
        let head = format!("GET /v1/events?{query} HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n{more}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        Self { stream, text: String::new() }
    }

    /// Reads until something was said so many times.
    async fn until(&mut self, what: &str, times: usize) {
        while self.text.matches(what).count() < times {
            let mut bytes = vec![0; 1 << 16];
            let n = within(what, self.stream.read(&mut bytes)).await.unwrap();
            assert!(n > 0, "it ended: {}", self.text);
            self.text.push_str(std::str::from_utf8(&bytes[..n]).unwrap());
        }
    }

    /// Positions, as far as they came.
    fn ids(&self) -> Vec<u64> {
        self.text.lines().filter_map(|line| line.strip_prefix("id: ")?.parse().ok()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_follows_the_log_and_goes_on_after_a_cut() {
    let served = Served::with_events(3).await;
    let append = async |n: u64| drop(served.ledger.append(vec![draft("repo/example.com/app", n)]).await.unwrap());
    let mut feed = Feed::open(&served, "from=1&follow=true", "").await;
    feed.until("data: ", 3).await;
    append(100).await;
    feed.until("data: ", 4).await;
    assert_eq!(feed.ids(), [1, 2, 3, 4]);
    assert!(feed.text.contains("content-type: text/event-stream"));
    drop(feed);
    append(101).await;
    let mut again = Feed::open(&served, "from=1&follow=true", "last-event-id: 4\r\n").await;
    again.until("data: ", 1).await;
    append(102).await;
    again.until("data: ", 2).await;
    assert_eq!(again.ids(), [5, 6]);
    // What does not pass is told by its position only.
    let mut other = Feed::open(&served, "follow=true&type=sync.*", "").await;
    other.until("id: 6\n\n", 1).await;
    assert!(!other.text.contains("data: "));
    // One that does not follow ends at the head.
    let mut whole = Feed::open(&served, "from=0", "connection: close\r\n").await;
    within("the end", whole.stream.read_to_string(&mut whole.text)).await.unwrap();
    assert_eq!(whole.ids(), (0..=6).collect::<Vec<_>>());
    // A page that follows waits for what comes.
    let waiting = crate::support::http::get(served.addresses.http, "/v1/events?from=7&follow=true");
    let (answer, ()) = tokio::join!(waiting, append(103));
    assert_eq!(page(&answer).0.len(), 1);
    // Feeds do not hold up a server that stops.
    served.stop().await;
    within("the end of the feed", again.stream.read_to_string(&mut again.text)).await.unwrap();
}

#[test]
fn the_command_line_prints_the_same_with_and_without_a_server() {
    let desk = Desk::with_ledger();
    let drafts = json!({
        "type": "change.created", "stream": "repo/example.com/acme/app", "source": "github", "dedup": "1",
        "occurred_at": "2026-03-04T12:00:00Z", "actor": "github:jane",
        "data": {"author": "github:jane", "base": "main", "change": "7", "description": "Mend it", "head": "mend",
                 "head_commit": "1111111111111111111111111111111111111111"},
    });
    desk.feed(["record", "-"], drafts.to_string().as_bytes()).ok();
    let local = desk.run(["log", "--cdevents"]).ok();
    let schemas = Schemas::new();
    let lines: Vec<Value> = local.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        lines.iter().map(|line| schemas.check(line)).collect::<Vec<_>>(),
        ["dev.cdeventsx.plimsoll-ledger.created.1.0.0", "dev.cdevents.change.created.0.4.0",]
    );
    assert_eq!(lines[1]["source"], "//ledger.example/test");
    let repository = json!({"id": "acme/app", "source": "//example.com"});
    assert_eq!(lines[1]["data"]["subject"]["content"], json!({"repository": repository}));
    assert!(!local.contains("Mend it") && !local.contains("jane"));
    let private = desk.run(["log", "--cdevents", "--private", "--type", "change.*"]).ok();
    let told: Value = serde_json::from_str(&private).unwrap();
    assert_eq!(schemas.check(&told), "dev.cdevents.change.created.0.4.0");
    assert_eq!(told["data"]["subject"]["content"]["description"], "Mend it");
    assert!(private.contains("github:jane"));
    assert_eq!(desk.run(["log", "--cdevents", "--type", "dev.cdevents.change.created.0.4.0"]).ok().lines().count(), 1);
    assert_eq!(desk.run(["log", "--cdevents", "--type", "dev.cdevents.service.*"]).ok(), "");
    let server = desk.serve(&[]);
    let url = format!("http://{}", server.grpc);
    assert_eq!(desk.run(["log", "--cdevents", "--server", &url]).ok(), local);
}
