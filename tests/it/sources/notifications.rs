//! What Argo CD and Flux tell by notification.

use hmac::{Hmac, KeyInit, Mac};
use plimsoll::ingest::authentication::Secrets;
use plimsoll::ingest::{Reason, Settings, TargetRule, Targets, WebhookSettings};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{Try, fixture};
use crate::support::http::post;
use crate::support::served::Served;

fn of(source: &'static str) -> Try<'static> {
    Try { source: Some(source), ..Try::default() }
}

#[track_caller]
fn drafts(tried: &Try<'_>, body: &[u8]) -> Vec<Value> {
    let text = tried.lines(body).unwrap_or_else(|rejection| panic!("{rejection}"));
    text.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

fn guestbook() -> Value {
    serde_json::from_slice(&fixture("argocd/applications/guestbook.json")).unwrap()
}

#[test]
fn a_whole_application_is_taken_as_it_is() {
    for body in [guestbook(), json!({"app": guestbook()})] {
        // By itself, an Application is what a first sight of it records; this is what is told of one.
        let named = Try { source: Some("argocd"), ..Try::default() };
        let drafts = drafts(&named, &bytes(&body));
        let told: Vec<_> =
            drafts.iter().map(|draft| (draft["type"].as_str().unwrap(), draft["dedup"].as_str().unwrap())).collect();
        let uid = "059f1d64-f5cb-4887-a142-0aeea61d5817";
        let succeeded = format!("{uid} operation 2021-08-11T11:38:52.000000Z succeeded");
        let health = format!("{uid} health after 2021-08-11T11:38:52.000000Z healthy");
        assert_eq!(told, [("sync.succeeded", succeeded.as_str()), ("health.changed", health.as_str())]);
        assert_eq!(drafts[0]["stream"], "target/default/test-app");
        let data = &drafts[0]["data"];
        assert_eq!(data["history_id"], "1");
        assert_eq!(data["finished_at"], "2021-08-11T11:38:52.000000Z");
        assert_eq!(data["health"], "healthy");
        assert_eq!(data["images"], json!([{"name": "gcr.io/heptio-images/ks-guestbook-demo", "tag": "0.2"}]));
        assert_eq!(data["resources"], json!({"prune_skipped": 0, "pruned": 0, "sync_failed": 0, "synced": 2}));
        assert_eq!(
            data["sources"],
            json!([{
                "path": "guestbook",
                "repository": "repo/github.com/argoproj/argocd-example-apps",
                "revision": "53e28ff20cc530b9ada2173fbbd64d48338583ba",
                "target_revision": "HEAD"
            }])
        );
        assert_eq!(data["operation"]["initiated_by"], "argocd:iain");
        assert_eq!((&data["operation"]["automated"], &data["operation"]["partial"]), (&json!(false), &json!(false)));
    }
}

/// As much of Go's templates as ours uses: `toJson` of a path, a path alone, `if`, `else` and `range`.
fn rendered(template: &str, scope: &mut Vec<(String, Value)>) -> String {
    let found = |path: &str, scope: &[(String, Value)]| -> Value {
        let path = path.trim_start_matches('$').trim_start_matches('.');
        let (name, rest) = path.split_once('.').unwrap_or((path, ""));
        let value = scope.iter().rev().find(|(known, _)| known == name).map_or(Value::Null, |(_, value)| value.clone());
        rest.split('.')
            .filter(|part| !part.is_empty())
            .fold(value, |value, part| value.get(part).cloned().unwrap_or_default())
    };
    /// The text up to the `else` and the `end` that belong to a block, and what follows.
    fn block(text: &str) -> (&str, &str, &str) {
        let (mut depth, mut at, mut other) = (0, 0, None);
        loop {
            let open = at + text[at..].find("{{").unwrap();
            let close = open + text[open..].find("}}").unwrap();
            let word = text[open + 2..close].split(' ').next().unwrap();
            match word {
                "if" | "range" => depth += 1,
                "else" if depth == 0 => other = Some((open, close + 2)),
                "end" if depth == 0 => {
                    let (first_end, second) = other.unwrap_or((open, open));
                    return (&text[..first_end], &text[second..open], &text[close + 2..]);
                }
                "end" => depth -= 1,
                _ => {}
            }
            at = close + 2;
        }
    }
    let Some((before, rest)) = template.split_once("{{") else { return template.to_owned() };
    let (command, rest) = rest.split_once("}}").unwrap();
    let mut text = before.to_owned();
    let truth = |value: &Value| !matches!(value, Value::Null) && *value != json!(0) && *value != json!({});
    let after = match command.split_once(' ') {
        Some(("toJson", path)) => {
            text.push_str(&found(path, scope).to_string());
            rest
        }
        Some(("if", path)) => {
            let (yes, no, after) = block(rest);
            let chosen = if truth(&found(path, scope)) { yes } else { no };
            text.push_str(&rendered(chosen, scope));
            after
        }
        Some(("range", header)) => {
            let (names, path) = header.split_once(" := ").unwrap();
            let (n_name, name) = names.split_once(", ").unwrap();
            let (body, _, after) = block(rest);
            for (n, item) in found(path, scope).as_array().into_iter().flatten().enumerate() {
                scope.push((n_name.trim_start_matches('$').to_owned(), json!(n)));
                scope.push((name.trim_start_matches('$').to_owned(), item.clone()));
                text.push_str(&rendered(body, scope));
                scope.truncate(scope.len() - 2);
            }
            after
        }
        _ => {
            text.push_str(found(command, scope).as_str().unwrap_or("<no value>"));
            rest
        }
    };
    text + &rendered(after, scope)
}

/// The body that our template makes of an application.
fn notified(app: &Value) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/argocd/notifications.yaml");
    let map: Value = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for part in ["service.webhook.plimsoll", "trigger.plimsoll-sync", "trigger.plimsoll-health", "subscriptions"] {
        let _yaml: Value = serde_saphyr::from_str(map["data"][part].as_str().unwrap()).unwrap();
    }
    let template: Value = serde_saphyr::from_str(map["data"]["template.plimsoll"].as_str().unwrap()).unwrap();
    let body = template["webhook"]["plimsoll"]["body"].as_str().unwrap();
    let context = json!({"argocdUrl": "https://cd.example.com"});
    rendered(body, &mut vec![("app".to_owned(), app.clone()), ("context".to_owned(), context)])
}

#[test]
fn the_template_that_is_shipped_says_the_same_and_no_secret() {
    let mut app = guestbook();
    app["spec"]["source"]["helm"] = json!({"parameters": [{"name": "password", "value": "hunter2"}]});
    app["status"]["operationState"]["syncResult"]["source"]["helm"] = app["spec"]["source"]["helm"].clone();
    app["status"]["operationState"]["operation"]["sync"]["source"] = app["spec"]["source"].clone();
    let body = notified(&app);
    assert!(!body.contains("hunter2"), "{body}");
    let (by_template, whole) = (drafts(&Try::default(), body.as_bytes()), drafts(&of("argocd"), &bytes(&app)));
    let plain = |drafts: &[Value]| -> Vec<Value> {
        let mut drafts = drafts.to_vec();
        for draft in &mut drafts {
            // The history is not sent, and the address of the application not part of it.
            let data = draft["data"].as_object_mut().unwrap();
            data.remove("history_id");
            data.remove("url");
            draft.as_object_mut().unwrap().remove("evidence");
        }
        drafts
    };
    assert_eq!(plain(&by_template), plain(&whole));
    assert_eq!(by_template[0]["data"]["url"], "https://cd.example.com/applications/argocd/test-app");
    // Without an operation, and with several sources.
    app["status"].as_object_mut().unwrap().remove("operationState");
    assert_eq!(drafts(&Try::default(), notified(&app).as_bytes()).len(), 1);
    let mut app = guestbook();
    let result = &mut app["status"]["operationState"]["syncResult"];
    let source = result["source"].clone();
    *result = json!({"revisions": ["1.2.3", "53e28ff20cc530b9ada2173fbbd64d48338583ba"],
        "sources": [{"repoURL": "https://charts.example.com/x", "chart": "x", "targetRevision": "1.x"}, source]});
    let sources = drafts(&Try::default(), notified(&app).as_bytes())[0]["data"]["sources"].clone();
    assert_eq!(
        (&sources[0]["chart"], &sources[0]["revision"], &sources[1]["path"]),
        (&json!("x"), &json!("1.2.3"), &json!("guestbook"))
    );
}

#[test]
fn every_phase_of_an_operation_has_its_event() {
    let told = |phase: &str, message: &str, finished: bool| {
        let mut app = guestbook();
        app["status"]["health"] = json!({});
        let state = &mut app["status"]["operationState"];
        state["phase"] = json!(phase);
        state["message"] = json!(message);
        if !finished {
            state["finishedAt"] = Value::Null;
            state["syncResult"] = Value::Null;
        }
        let text = of("argocd").lines(&bytes(&app)).unwrap();
        let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap_or_default();
        (first["type"].as_str().unwrap_or("none").to_owned(), first["data"].clone())
    };
    let (kind, data) = told("Running", "operation is blocked by sync window", false);
    assert_eq!((kind.as_str(), &data["operation"]["blocked_by_window"]), ("sync.started", &json!(true)));
    let (kind, data) = told("Running", "one or more objects failed. Retrying attempt #1", true);
    assert_eq!((kind.as_str(), &data["will_retry"]), ("sync.failed", &json!(true)));
    let (kind, data) = told("Succeeded", "ok", false);
    assert_eq!((kind.as_str(), &data["incomplete"]), ("sync.succeeded", &json!(true)));
    assert_eq!(told("Failed", "x", true).0, "sync.failed");
    assert_eq!(told("Error", "x", true).0, "sync.failed");
    assert_eq!(told("Error", "x", false).1["finished_at"], super::received_at().to_string());
    assert_eq!(told("Failed", "Operation terminated", false).0, "sync.terminated");
    assert_eq!(told("Failed", "Operation terminated", true).0, "sync.terminated");
    assert_eq!(told("Terminating", "x", false).0, "none");
}

#[test]
fn argocd_names_what_is_wrong_and_maps_targets_by_rules() {
    let refuses = |pointer: &str, value: Value, reason, field: &str| {
        let mut app = guestbook();
        *app.pointer_mut(pointer).unwrap() = value;
        of("argocd").refuses(&bytes(&app), reason, Some(field));
        of("argocd").refuses(
            &bytes(&json!({"plimsoll": "argocd/1", "app": app})),
            reason,
            Some(&format!("app.{field}")),
        );
    };
    refuses("/metadata/uid", Value::Null, Reason::MissingField, "metadata.uid");
    refuses("/metadata/name", json!(""), Reason::MissingField, "metadata.name");
    refuses(
        "/status/operationState/startedAt",
        json!("2021-08-11 11:38"),
        Reason::BadTime,
        "status.operationState.startedAt",
    );
    refuses("/status/operationState/startedAt", Value::Null, Reason::MissingField, "status.operationState.startedAt");
    refuses("/status/operationState/phase", json!("Done"), Reason::BadField, "status.operationState.phase");
    refuses("/status/health/status", json!("Fine"), Reason::BadField, "status.health.status");
    let body = json!({"plimsoll": "argocd/2", "app": guestbook()});
    of("argocd").refuses(&bytes(&body), Reason::UnsupportedVersion, Some("plimsoll"));
    of("argocd").refuses(b"{\"plimsoll\":\"argocd/1\"}", Reason::MissingField, Some("app"));
    of("argocd").refuses(b"{\"kind\":\"AppProject\",\"metadata\":{}}", Reason::BadField, Some("kind"));
    // It says neither when nor of which application: without a uid nobody can tell one from its successor.
    let failed = fixture("argocd/applications/helloworld-failed.json");
    of("argocd").refuses(&failed, Reason::MissingField, Some("metadata.uid"));
    let rule = TargetRule {
        application: Some("test-*".to_owned()),
        environment: Some("staging".to_owned()),
        service: Some("guestbook".to_owned()),
        ..TargetRule::default()
    };
    let ruled = Try { targets: Targets::new(vec![rule]).unwrap(), ..of("argocd") };
    assert_eq!(drafts(&ruled, &bytes(&guestbook()))[0]["stream"], "target/staging/guestbook");
    for n in (0..serde_json::to_string(&guestbook()).unwrap().len()).step_by(37) {
        let _taken = of("argocd").lines(&bytes(&guestbook())[..n]).is_ok();
    }
}

#[test]
fn flux_events_are_recognised() {
    for path in ["flux/event-error.json", "flux/event-generic-webhook.json"] {
        Try::default().golden(path);
        of("flux").never_panics(path);
    }
}

#[test]
fn flux_reasons_become_what_they_mean() {
    let told = |kind: &str, reason: &str, severity: &str, metadata: Value| {
        let mut body: Value = serde_json::from_slice(&fixture("flux/event-error.json")).unwrap();
        body["involvedObject"]["kind"] = json!(kind);
        body["reason"] = json!(reason);
        body["severity"] = json!(severity);
        body["metadata"] = metadata;
        drafts(&of("flux"), &bytes(&body))
    };
    let id = "731f7eaddfb6af01cb2173e18f0f75b0ba780ef1";
    let new = json!({"revision": format!("main@sha1:{id}"), "env": "production", "cluster": "eu-1"});
    let good = told("Kustomization", "ReconciliationSucceeded", "info", new);
    assert_eq!(
        (good[0]["type"].as_str(), good[0]["stream"].as_str()),
        (Some("sync.succeeded"), Some("target/production/webapp"))
    );
    assert_eq!(good[0]["data"]["sources"], json!([{"revision": id, "target_revision": "main"}]));
    assert_eq!(good[0]["data"]["application"]["cluster"], "eu-1");
    let back = told(
        "HelmRelease",
        "RollbackSucceeded",
        "info",
        json!({"helm.toolkit.fluxcd.io/revision": "6.5.1", "app-version": "2.0"}),
    );
    assert_eq!((back[0]["type"].as_str(), &back[0]["data"]["effective"]), (Some("sync.succeeded"), &json!(true)));
    assert_eq!(
        (&back[0]["data"]["sources"][0]["revision"], &back[0]["data"]["version"]),
        (&json!("6.5.1"), &json!("2.0"))
    );
    let unhealthy = told("Kustomization", "HealthCheckFailed", "error", Value::Null);
    let kinds: Vec<_> = unhealthy.iter().map(|draft| draft["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["sync.failed", "health.changed"]);
    assert_eq!(told("HelmRelease", "UpgradeFailed", "error", Value::Null)[0]["type"], "sync.failed");
    for (kind, reason, severity) in [
        ("Kustomization", "Progressing", "info"),
        ("Kustomization", "DependencyNotReady", "error"),
        ("HelmRelease", "UninstallSucceeded", "info"),
        ("GitRepository", "NewArtifact", "info"),
        ("GitRepository", "GitOperationFailed", "error"),
    ] {
        assert!(told(kind, reason, severity, Value::Null).is_empty(), "{kind} {reason}");
    }
    let refuses = |pointer: &str, value: Value, reason, field: &str| {
        let mut body: Value = serde_json::from_slice(&fixture("flux/event-error.json")).unwrap();
        *body.pointer_mut(pointer).unwrap() = value;
        of("flux").refuses(&bytes(&body), reason, Some(field));
    };
    refuses("/timestamp", json!("2022-10-28T07:26:19"), Reason::BadTime, "timestamp");
    refuses("/involvedObject/name", json!(""), Reason::MissingField, "involvedObject.service");
}

#[tokio::test(flavor = "multi_thread")]
async fn flux_signs_the_body_and_argocd_sends_the_secret() {
    const SECRET: &str = "not-a-real-secret";
    let mut settings = Settings::default();
    for name in ["flux", "argocd"] {
        let secrets = Secrets::new([SECRET.to_owned()]);
        settings.webhooks.insert(name.to_owned(), WebhookSettings { system: None, secrets, unsigned: false });
    }
    let served = Served::with_settings(settings).await;
    let body = fixture("flux/event-generic-webhook.json");
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap().chain_update(&body);
    let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
    let send = async |name: &str, header: &str, value: &str, body: &[u8]| {
        post(served.addresses.http, &format!("/webhooks/{name}"), &[(header, value)], body).await.status
    };
    assert_eq!(send("flux", "x-signature", &signature, &body).await, 200);
    assert_eq!(send("flux", "x-signature", &signature.to_uppercase().replace("SHA", "sha"), &body).await, 200);
    assert_eq!(send("flux", "x-signature", &signature, &body[1..]).await, 401);
    assert_eq!(send("flux", "x-signature", &signature[7..], &body).await, 401);
    assert_eq!(served.ledger.head().size, 2);
    let body = notified(&guestbook()).into_bytes();
    assert_eq!(send("argocd", "authorization", &format!("Bearer {SECRET}"), &body).await, 200);
    assert_eq!(send("argocd", "authorization", "Bearer guessed", &body).await, 401);
    // A notification that says the same and something else besides adds only what is new.
    let mut app = guestbook();
    app["status"]["health"] = json!({"status": "Degraded", "lastTransitionTime": "2021-08-11T14:00:00Z"});
    assert_eq!(send("argocd", "authorization", &format!("Bearer {SECRET}"), &bytes(&app)).await, 200);
    assert_eq!(served.ledger.head().size, 5);
    served.finish().await;
}
