//! What holds whatever is done to the server.

use std::collections::BTreeMap;
use std::time::Duration;

use http_body_util::BodyExt as _;
use kube::client::Body;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{ApiServer, Options, patch};

const PATH: &str = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications";

#[derive(Clone, Debug)]
enum Step {
    Create,
    Request(u8),
    Label(u8),
    Hold,
    Release,
    Delete,
}

fn step() -> impl Strategy<Value = (u8, Step)> {
    let step = prop_oneof![
        3 => Just(Step::Create),
        3 => (0..3_u8).prop_map(Step::Request),
        2 => (0..3_u8).prop_map(Step::Label),
        1 => Just(Step::Hold),
        1 => Just(Step::Release),
        2 => Just(Step::Delete),
    ];
    (0..3_u8, step)
}

fn steps() -> impl Strategy<Value = Vec<(u8, Step)>> {
    prop::collection::vec(step(), 0..12)
}

async fn send(client: &kube::Client, method: &str, path: &str, body: &Value) -> (u16, Vec<u8>) {
    let request = http::Request::builder().method(method).uri(path).header(
        "content-type",
        match method {
            "PATCH" => "application/merge-patch+json",
            _ => "application/json",
        },
    );
    let body = if body.is_null() { Vec::new() } else { serde_json::to_vec(body).unwrap() };
    let response = client.send(request.body(Body::from(body)).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    (status, response.into_body().collect().await.unwrap().to_bytes().to_vec())
}

async fn list(client: &kube::Client, query: &str) -> Value {
    let (status, body) = send(client, "GET", &format!("{PATH}?{query}"), &Value::Null).await;
    assert_eq!(status, 200);
    serde_json::from_slice(&body).unwrap()
}

fn by_name(items: &[Value]) -> BTreeMap<String, Value> {
    items.iter().map(|item| (item["metadata"]["name"].as_str().unwrap().to_owned(), item.clone())).collect()
}

async fn take(client: &kube::Client, name: u8, step: &Step) {
    let one = format!("{PATH}/app-{name}");
    let object = || crate::kubernetes::argocd::application("argocd", &format!("app-{name}"));
    let merge = |patch: Value| ("PATCH", one.clone(), patch);
    let (method, path, body) = match step {
        Step::Create => ("POST", PATH.to_owned(), object()),
        Step::Delete => ("DELETE", one, Value::Null),
        Step::Request(n) => merge(json!({"operation": {"sync": {"revision": n.to_string()}}})),
        Step::Label(n) => merge(json!({"metadata": {"labels": {"n": n.to_string()}}})),
        Step::Hold => merge(json!({"metadata": {"finalizers": ["example.com/hold"]}})),
        Step::Release => merge(json!({"metadata": {"finalizers": null}})),
    };
    let (status, body) = send(client, method, &path, &body).await;
    assert!(matches!(status, 200 | 201 | 404 | 409), "{status} {}", String::from_utf8_lossy(&body));
}

/// What a list becomes by the events that came after it.
fn replayed(listed: &Value, events: &[u8]) -> BTreeMap<String, Value> {
    let mut objects = by_name(listed["items"].as_array().unwrap());
    let mut last: u64 = listed["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
    for line in events.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let event: Value = serde_json::from_slice(line).unwrap();
        let object = event["object"].clone();
        let revision = object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
        assert!(revision > last, "revisions go up: {revision} after {last}");
        last = revision;
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let known = objects.get(&name);
        match event["type"].as_str().unwrap() {
            "ADDED" => assert!(known.is_none()),
            _ => assert_eq!(known.unwrap()["metadata"]["uid"], object["metadata"]["uid"]),
        }
        if event["type"] == "DELETED" {
            objects.remove(&name)
        } else {
            objects.insert(name, object)
        };
    }
    objects
}

async fn holds(steps: Vec<(u8, Step)>, limit: usize) {
    let api = ApiServer::start_with(Options { second: Duration::from_millis(1), ..Options::default() }).await;
    let client = api.client().await;
    let mut listed = vec![list(&client, "").await];
    for (name, step) in &steps {
        take(&client, *name, step).await;
        listed.push(list(&client, "").await);
    }
    let now = by_name(listed.last().unwrap()["items"].as_array().unwrap());
    for earlier in &listed {
        let revision = earlier["metadata"]["resourceVersion"].as_str().unwrap();
        let path = format!("{PATH}?watch=true&timeoutSeconds=1&resourceVersion={revision}");
        let (status, events) = send(&client, "GET", &path, &Value::Null).await;
        assert_eq!(status, 200);
        assert_eq!(replayed(earlier, &events), now, "a list and what came after it");
        let then = list(&client, &format!("resourceVersionMatch=Exact&resourceVersion={revision}")).await;
        assert_eq!(then, *earlier, "the past does not change");
    }
    let mut paged = Vec::new();
    let mut token = String::new();
    loop {
        let page = list(&client, &format!("limit={limit}&continue={token}")).await;
        paged.extend(page["items"].as_array().unwrap().clone());
        token = page["metadata"]["continue"].as_str().unwrap().to_owned();
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(by_name(&paged), now, "pages are the list");
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), (0..3_u8).prop_map(Value::from)];
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[abc]", inner, 0..3).prop_map(|members| json!(members)),
        ]
    })
}

fn members() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[abc~/]", value(), 0..3).prop_map(|members| json!(members))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_list_and_the_events_after_it_are_the_later_list(steps in steps(), limit in 1..4_usize) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(holds(steps, limit));
    }
}

proptest! {
    #[test]
    fn a_merge_patch_that_was_merged_changes_nothing(target in value(), patch in value()) {
        let mut once = target;
        patch::merge(&mut once, &patch);
        let mut twice = once.clone();
        patch::merge(&mut twice, &patch);
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn what_a_json_patch_adds_it_can_test_and_remove(target in members(), added in value()) {
        let path = "/new~1~0";
        let steps = json!([
            {"op": "add", "path": path, "value": added}, {"op": "test", "path": path, "value": added},
            {"op": "move", "from": path, "path": "/moved"}, {"op": "copy", "from": "/moved", "path": "/copied"},
            {"op": "remove", "path": "/moved"}, {"op": "remove", "path": "/copied"},
        ]);
        prop_assert_eq!(patch::json_patch(&target, &steps).unwrap(), target);
    }
}
