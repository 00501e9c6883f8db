//! Argo CD's objects as files, and the audit log of Kubernetes.

use std::collections::BTreeMap;

use plimsoll::event::target::Observation;
use plimsoll::event::{Draft, Recorded, Source, Timestamp};
use plimsoll::ingest::kubernetes::{Seen, Sight, transition};
use plimsoll::ingest::{Reason, Targets};
use plimsoll::ledger::Blob;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Try, fixture};
use crate::support::http::post;
use crate::support::served::Served;

const APPLICATIONS: &[&str] = &["guestbook.json", "helloworld-failed.json", "velero-live.yaml"];

#[test]
fn applications_and_projects_become_what_a_first_sight_records() {
    for name in APPLICATIONS {
        let path = format!("argocd/applications/{name}");
        Try::default().golden(&path);
        Try::default().never_panics(&path);
    }
    for path in ["argocd/appproject-full.yaml", "argocd/appproject-sync-windows.yaml"] {
        Try::default().golden(path);
        Try::default().never_panics(path);
    }
    Try::default().golden("argocd/application-spec-full.yaml");
}

fn guestbook(change: impl Fn(&mut Value)) -> Vec<u8> {
    let mut object: Value = serde_json::from_slice(&fixture("argocd/applications/guestbook.json")).unwrap();
    change(&mut object);
    serde_json::to_vec(&object).unwrap()
}

fn types(body: &[u8]) -> Vec<String> {
    let lines = Try::default().lines(body).unwrap();
    let drafts = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    drafts.map(|draft| draft["type"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_is_wrong_with_an_application_is_named_by_its_path() {
    let kubernetes = Try { source: Some("kubernetes"), ..Try::default() };
    let bytes = fixture("argocd/applications/guestbook.json");
    kubernetes.refuses(&bytes[..bytes.len() / 2], Reason::Malformed, None);
    kubernetes.refuses(b"a: [b", Reason::Malformed, None);
    kubernetes.refuses(b"{\"a\":1}", Reason::MissingField, Some("kind"));
    for (change, reason, field) in [
        (
            json!({"status": {"operationState": {"startedAt": "2021-08-11 11:38"}}}),
            Reason::BadTime,
            "status.operationState.startedAt",
        ),
        (
            json!({"status": {"operationState": {"retryCount": -1}}}),
            Reason::BadField,
            "status.operationState.retryCount",
        ),
        (
            json!({"status": {"operationState": {"finishedAt": "2031-01-01T00:00:00Z"}}}),
            Reason::FutureTime,
            "status.operationState.occurred_at",
        ),
        (
            json!({"status": {"history": [{"id": 1, "deployedAt": "0001-01-01T00:00:00Z"}]}}),
            Reason::MissingField,
            "status.history[0].deployedAt",
        ),
        (
            json!({"status": {"history": [{"id": 1, "deployedAt": "yesterday"}]}}),
            Reason::BadTime,
            "status.history[0].deployedAt",
        ),
        (json!({"status": {"history": [{"id": "1"}]}}), Reason::BadField, "status.history[0].id"),
        (json!({"status": {"summary": {"images": "nginx"}}}), Reason::BadField, "status.summary.images"),
        (json!({"spec": null, "kind": "Application"}), Reason::MissingField, "spec"),
        (json!({"metadata": {"name": ""}}), Reason::MissingField, "metadata.name"),
        (
            json!({"spec": {"destination": {"namespace": "", "server": "https://10.0.0.1"}}}),
            Reason::MissingField,
            "spec.destination.environment",
        ),
        (json!({"apiVersion": "argoproj.io/v2", "kind": "Application"}), Reason::UnsupportedVersion, "apiVersion"),
    ] {
        let body = guestbook(|object| merge(object, &change));
        kubernetes.refuses(&body, reason, Some(field));
    }
}

/// A merge patch (RFC 7396).
fn merge(into: &mut Value, patch: &Value) {
    match patch {
        Value::Object(members) if into.is_object() => {
            for (key, value) in members {
                merge(&mut into[key.as_str()], value);
            }
        }
        other => *into = other.clone(),
    }
}

#[test]
fn odd_states_of_an_operation_are_told_as_they_are() {
    let of = |change: Value| {
        types(&guestbook(|object| merge(object, &json!({"status": {"history": [], "operationState": change}}))))
            .join(" ")
    };
    assert_eq!(of(json!({"phase": "Running", "finishedAt": null})), "sync.started health.changed");
    assert_eq!(of(json!({"phase": "Running", "retryCount": 2})), "sync.started sync.failed health.changed");
    assert_eq!(of(json!({"phase": "Terminating", "finishedAt": null})), "sync.started health.changed");
    assert_eq!(
        of(json!({"phase": "Failed", "message": "Operation terminated"})),
        "sync.started sync.terminated health.changed"
    );
    assert_eq!(of(json!({"phase": "Error"})), "sync.started sync.failed health.changed");
    assert_eq!(of(json!({"phase": "Sideways"})), "sync.started health.changed");
    let incomplete = guestbook(|object| {
        merge(object, &json!({"status": {"history": [], "operationState": {"finishedAt": null, "syncResult": null}}}));
    });
    let lines = Try::default().lines(&incomplete).unwrap();
    assert!(
        lines.contains("\"incomplete\":true") && lines.contains("\"observed_between\":{\"from\":\"2021-08-11T11:38:52"),
        "{lines}"
    );
    let hole = guestbook(|object| object["status"]["history"][1]["id"] = 3.into());
    assert_eq!(types(&hole).join(" "), "sync.succeeded observation.gap sync.started sync.succeeded health.changed");
    // A controller that died between two writes adds a second entry of the same sync.
    let twice = guestbook(|object| {
        let mut entry = object["status"]["history"][0].clone();
        entry["id"] = 1.into();
        object["status"]["history"] = json!([object["status"]["history"][0], entry]);
    });
    assert_eq!(types(&twice).join(" "), "sync.succeeded sync.started sync.succeeded health.changed");
    let several = guestbook(|object| {
        let sources = json!([{"repoURL": "https://charts.example.com/stable", "chart": "redis", "targetRevision": "17.x",
            "helm": {"valuesObject": {"a": 1}}}, {"repoURL": "git@github.com:acme/values.git", "ref": "values"}]);
        let revisions = json!(["17.0.1", "53e28ff20cc530b9ada2173fbbd64d48338583ba"]);
        object["status"]["history"] =
            json!([{"id": 0, "deployedAt": "2021-08-11T11:38:52Z", "revisions": revisions, "sources": sources}]);
    });
    let line = Try::default().lines(&several).unwrap();
    let told: Value = serde_json::from_str(line.lines().next().unwrap()).unwrap();
    let sources = &told["data"]["sources"];
    assert_eq!((sources[0]["chart"].as_str(), sources[0]["revision"].as_str()), (Some("redis"), Some("17.0.1")));
    assert!(sources[0]["overrides"].is_string() && told["data"]["operation"].get("started_at").is_none());
    assert_eq!(sources[1]["repository"].as_str(), Some("repo/github.com/acme/values"));
    let array = format!("[{0},{0}]", String::from_utf8(guestbook(|_| ())).unwrap());
    assert_eq!(types(array.as_bytes()).len(), 8);
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "web", "uid": "u"},
            "spec": {"destination": {"namespace": "shop"}}, "status": {"health": {"status": "Healthy"}}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 3},
            "metadata": {"name": "api", "namespace": "shop", "annotations": {"argocd.argoproj.io/tracking-id": "web:apps/Deployment:shop/api"}}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "nobodys", "namespace": "kube-system"}}]});
    let text = Try::default().lines(list.to_string().as_bytes()).unwrap();
    assert!(text.contains("target/shop/web") && text.contains("\"type\":\"workload.scaled\""), "{text}");
    assert!(text.ends_with("passed over: ConfigMap\npassed over: Deployment of no application\n"), "{text}");
}

fn audit(item: &Value) -> Vec<u8> {
    json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": [item]})
        .to_string()
        .into_bytes()
}

fn request(verb: &str, resource: &str, group: &str, name: &str) -> Value {
    json!({"level": "RequestResponse", "auditID": "6f3c", "stage": "ResponseComplete", "verb": verb,
        "requestURI": "/x", "user": {"username": "jane@example.com", "groups": ["system:authenticated"]},
        "impersonatedUser": {"username": "root"}, "sourceIPs": ["10.0.0.9"], "userAgent": "kubectl/v1.31",
        "objectRef": {"resource": resource, "namespace": "argocd", "name": name, "apiGroup": group, "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 200},
        "requestReceivedTimestamp": "2026-11-29T10:00:00.123456Z", "stageTimestamp": "2026-11-29T10:00:00.2Z"})
}

#[test]
fn the_audit_log_tells_who_wrote_to_what_matters() {
    let draft = |item: &Value| -> Value {
        let lines = Try::default().lines(&audit(item)).unwrap();
        serde_json::from_str(lines.lines().next().unwrap()).unwrap()
    };
    let mut sync = request("patch", "applications", "argoproj.io", "web");
    sync["requestObject"] = json!({"operation": {"sync": {"prune": true}, "info": [{"name": "plimsoll-command", "value": "p-1"}]},
        "metadata": {"resourceVersion": "7", "annotations": {"argocd.argoproj.io/refresh": "hard"}}});
    sync["responseObject"] =
        json!({"metadata": {"uid": "u-1"}, "spec": {"project": "shop", "destination": {"namespace": "production"}}});
    let event = draft(&sync);
    assert_eq!(
        (event["type"].as_str(), event["stream"].as_str()),
        (Some("action.audited"), Some("target/production/web"))
    );
    let data = &event["data"];
    assert_eq!(
        data["fields"],
        json!(["metadata.annotations.argocd.argoproj.io/refresh", "operation.info", "operation.sync"])
    );
    assert_eq!((data["command"].as_str(), data["user"].as_str()), (Some("p-1"), Some("kubernetes:jane@example.com")));
    assert_eq!(
        (data["impersonated"].as_str(), data["application"]["uid"].as_str()),
        (Some("kubernetes:root"), Some("u-1"))
    );
    let mut scale = request("patch", "deployments", "apps", "api");
    scale["objectRef"]["subresource"] = "scale".into();
    scale["requestObject"] = json!([{"op": "replace", "path": "/spec/replicas", "value": 0}]);
    let data = &draft(&scale)["data"];
    assert_eq!(
        (&data["fields"], &data["replicas"], &data["subresource"]),
        (&json!(["spec.replicas"]), &json!(0), &json!("scale"))
    );
    let mut made = request("create", "deployments", "apps", "");
    made["requestObject"] = json!({"metadata": {"name": "api", "labels": {"app.kubernetes.io/instance": "web"}},
        "spec": {"replicas": 2, "template": {"spec": {"containers": [{"image": "ghcr.io/acme/api:v1"}]}}}});
    let data = &draft(&made)["data"];
    assert_eq!((data["resource"]["name"].as_str(), data["images"][0]["tag"].as_str()), (Some("api"), Some("v1")));
    assert_eq!((data["application"]["name"].as_str(), data.get("fields")), (Some("web"), None));
    let bare = request("delete", "applications", "argoproj.io", "web");
    assert_eq!(draft(&bare)["stream"], "target/argocd/web");
    for (verb, resource, group, stage) in [
        ("get", "applications", "argoproj.io", "ResponseComplete"),
        ("patch", "applications", "argoproj.io", "RequestReceived"),
        ("patch", "pods", "", "ResponseComplete"),
    ] {
        let mut item = request(verb, resource, group, "x");
        item["stage"] = stage.into();
        let lines = Try::default().lines(&audit(&item)).unwrap();
        assert_eq!(lines, format!("passed over: {verb} {resource} at {stage}\n"));
    }
}

#[test]
fn the_audit_log_names_what_is_wrong_and_keeps_no_secret() {
    let audited = Try { source: Some("kubernetes-audit"), ..Try::default() };
    let good = request("patch", "applications", "argoproj.io", "web");
    for (change, reason, field) in [
        (json!({"auditID": ""}), Reason::MissingField, "items[0].auditID"),
        (json!({"user": {"username": ""}}), Reason::MissingField, "items[0].user.username"),
        (json!({"requestReceivedTimestamp": "now"}), Reason::BadTime, "items[0].requestReceivedTimestamp"),
        (json!({"verb": 1}), Reason::BadField, "items[0]"),
        (
            json!({"requestReceivedTimestamp": "2031-01-01T00:00:00Z"}),
            Reason::FutureTime,
            "items[0].requestReceivedTimestamp.occurred_at",
        ),
    ] {
        let mut item = good.clone();
        merge(&mut item, &change);
        audited.refuses(&audit(&item), reason, Some(field));
    }
    let old = json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1beta1", "items": []}).to_string();
    audited.refuses(old.as_bytes(), Reason::UnsupportedVersion, Some("apiVersion"));
    audited.refuses(&audit(&good)[..90], Reason::Malformed, None);

    let secret = json!({"kind": "Secret", "data": {"password": "aHVudGVyMg=="}, "stringData": {"x": "hunter2"},
        "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "hunter2", "a": "kept"}}});
    let mut items = vec![request("create", "secrets", "", "s"), request("patch", "secrets", "", "s")];
    items[0]["requestObject"] = secret.clone();
    items[0]["responseObject"] = json!({"kind": "SecretList", "items": [secret.clone()]});
    items[1]["requestObject"] = json!([{"op": "add", "path": "/data/password", "value": "hunter2"}]);
    items[1]["responseObject"] = json!({"kind": "List", "items": [secret]});
    items.push(request("create", "serviceaccounts", "", "s"));
    items[2]["responseObject"] = json!({"kind": "TokenRequest", "status": {"token": "hunter2"}});
    let list = json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": items}).to_string();
    let lines = Try::default().lines(list.as_bytes()).unwrap();
    assert!(lines.ends_with("redactions: 11\n"), "{lines}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_the_audit_log_is_kept_without_its_secrets_and_recorded_once() {
    let served = Served::new().await;
    let mut items = vec![request("patch", "applications", "argoproj.io", "web"), request("update", "secrets", "", "s")];
    items[1]["requestObject"] = json!({"kind": "Secret", "data": {"password": "aHVudGVyMg=="}});
    for item in &mut items {
        item["requestReceivedTimestamp"] = "2026-03-04T11:00:00.5Z".into();
    }
    let body = json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": items}).to_string();
    for _ in 0..2 {
        let answer = post(served.addresses.http, "/webhooks/kubernetes-audit", &[], body.as_bytes()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(served.ledger.head().size, 2);
    let event = Recorded::parse(served.ledger.leaf(1).unwrap()).unwrap();
    assert_eq!(event.envelope().evidence[0].media_type.as_str(), "application/json; redactions=1");
    let Blob::Intact(kept) = served.ledger.evidence().get(&event.envelope().evidence[0]).await.unwrap() else {
        panic!()
    };
    let kept = String::from_utf8(kept.to_vec()).unwrap();
    assert!(kept.contains("\"password\":\"*\"") && !kept.contains("aHVudGVyMg"), "{kept}");
    served.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_with_more_than_an_event_holds_is_cut_and_not_lost() {
    let served = Served::new().await;
    let long = |n: usize, what: &str| format!("{}/{what}-{n}", "x".repeat(200));
    let body = guestbook(|object| {
        let images: Vec<_> = (0..500).map(|n| long(n, "image")).collect();
        let resources: Vec<_> = (0..500)
            .map(|n| json!({"group": long(n, "g"), "kind": long(n, "k"), "name": long(n, "n"), "namespace": long(n, "ns"), "status": "OutOfSync"}))
            .collect();
        let sources: Vec<_> =
            (0..50).map(|n| json!({"repoURL": format!("https://{}", long(n, "r")), "path": long(n, "p")})).collect();
        let patch = json!({"spec": {"sources": sources}, "status": {"summary": {"images": images}, "resources": resources,
            "sync": {"status": "OutOfSync"}, "operationState": {"message": "m".repeat(3 << 20), "operation": {"sync": {"resources": resources}}}}});
        merge(object, &patch);
    });
    let answer = post(served.addresses.http, "/webhooks/kubernetes", &[], &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(served.ledger.head().size, 6);
    served.finish().await;
}

/// What may be written to an Application, each a merge patch; `{n}` is a number that only goes up.
const WRITES: &[&str] = &[
    r#"{"status": {"operationState": {"phase": "Running", "startedAt": "2026-03-04T12:00:{n}Z", "finishedAt": null, "syncResult": null, "retryCount": null, "message": ""}}}"#,
    r#"{"status": {"operationState": {"phase": "Running", "finishedAt": "2026-03-04T12:00:{n}Z", "retryCount": 1}}}"#,
    r#"{"status": {"operationState": {"phase": "Running", "message": "Sync operation blocked by sync window"}}}"#,
    r#"{"status": {"operationState": {"phase": "Succeeded", "finishedAt": "2026-03-04T12:00:{n}Z", "syncResult": {"revision": "r1"}}}}"#,
    r#"{"status": {"operationState": {"phase": "Succeeded", "finishedAt": null, "syncResult": null}}}"#,
    r#"{"status": {"operationState": {"phase": "Failed", "finishedAt": "2026-03-04T12:00:{n}Z"}}}"#,
    r#"{"status": {"operationState": {"phase": "Terminating"}}}"#,
    r#"{"status": {"operationState": null}}"#,
    r#"{"status": {"sync": {"status": "OutOfSync"}}}"#,
    r#"{"status": {"sync": {"status": "Synced"}, "reconciledAt": "2026-03-04T12:00:{n}Z"}}"#,
    r#"{"status": {"sync": {"revision": "r{n}"}}}"#,
    r#"{"status": {"health": {"status": "Degraded"}}}"#,
    r#"{"status": {"health": {"status": "Healthy"}, "summary": {"images": ["a:{n}"]}}}"#,
    r#"{"status": {"history": [{"id": {n}, "deployStartedAt": "2026-03-04T12:00:{n}Z", "deployedAt": "2026-03-04T12:00:{n}Z"}]}}"#,
    r#"{"spec": {"syncPolicy": {"automated": {"prune": true}}}}"#,
    r#"{"spec": {"syncPolicy": null, "source": {"targetRevision": "v{n}"}}}"#,
];

/// One sight after another, each with what it adds.
fn sights(objects: &[Value], from: Option<Seen>, observation: Observation) -> (Vec<Draft>, Option<Seen>) {
    let (source, targets): (Source, _) = ("argocd/c".parse().unwrap(), Targets::default());
    let at: Timestamp = "2026-03-04T13:00:00Z".parse().unwrap();
    let sight = Sight { source: &source, targets: &targets, cluster: None, observation, at, since: None };
    let mut all = Vec::new();
    let mut seen = from;
    for object in objects {
        let (drafts, now) = transition(seen.as_ref(), object, &sight).unwrap();
        let (again, same) = transition(Some(&now), object, &sight).unwrap();
        assert_eq!((again.len(), &same), (0, &now), "the same sight again adds nothing");
        all.extend(drafts);
        seen = Some(now);
    }
    (all, seen)
}

proptest! {
    /// Whatever is written, no key is used twice, and a listing at the end tells of nothing that the watch told otherwise.
    #[test]
    fn a_watch_and_a_listing_afterwards_give_each_fact_once(writes in prop::collection::vec(0..WRITES.len(), 1..40), cut in 0_usize..40) {
        let mut object: Value = serde_json::from_slice(&fixture("argocd/applications/guestbook.json")).unwrap();
        let mut objects = vec![object.clone()];
        for (n, write) in writes.iter().enumerate() {
            let patch = WRITES[*write].replace("{n}", &format!("{}", n + 10));
            merge(&mut object, &serde_json::from_str(&patch).unwrap());
            object["metadata"]["resourceVersion"] = format!("{}", n + 1).into();
            objects.push(object.clone());
        }
        let (watched, _) = sights(&objects, None, Observation::Watch);
        let mut keys = BTreeMap::new();
        for draft in &watched {
            prop_assert!(keys.insert(draft.dedup.to_string(), draft.data.event_type()).is_none(), "{}", draft.dedup);
        }
        // Interrupted, and listed at the end: every fact that both tell has one key and one type.
        let cut = cut.min(objects.len() - 1);
        let (_, seen) = sights(&objects[..=cut], None, Observation::Watch);
        let (listed, _) = sights(&objects[objects.len() - 1..], seen, Observation::Relist);
        for draft in listed {
            if let Some(told) = keys.get(&draft.dedup.to_string()) {
                prop_assert_eq!(*told, draft.data.event_type());
            }
        }
    }
}

#[test]
fn nobody_hides_a_request_behind_the_audit_id_of_another() {
    let (mut alice, mut mallory) =
        (request("patch", "deployments", "apps", "one"), request("patch", "deployments", "apps", "two"));
    (alice["user"]["username"], mallory["user"]["username"]) = (json!("alice"), json!("mallory"));
    let batch = json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {},
        "items": [alice.clone(), mallory, alice]});
    let named = Try { source: Some("kubernetes-audit"), ..Try::default() };
    let lines = named.lines(batch.to_string().as_bytes()).unwrap();
    let events: Vec<_> = lines.lines().filter(|line| line.starts_with('{')).collect();
    assert_eq!(events.len(), 2, "{lines}");
    assert!(events[1].contains("kubernetes:mallory"));
}
