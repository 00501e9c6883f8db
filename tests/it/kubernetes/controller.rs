//! The stand-in controller: it writes what Argo CD was seen to write, in that order.

use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::{Api, DynamicObject, Patch, PatchParams, WatchEvent, WatchParams};
use serde_json::{Value, json};

use super::argocd::{ArgoCd, MANAGER, Outcome, REFRESH, application};
use super::conformance::{PATIENCE, Place, everywhere, revision};

fn value(object: DynamicObject) -> Value {
    serde_json::to_value(object).unwrap()
}

/// The states of an Application after a revision, as a watch tells them, until `done` says that it has seen enough.
async fn states(api: &Api<DynamicObject>, from: u64, done: impl Fn(&Value) -> bool) -> Vec<Value> {
    let parameters = WatchParams::default();
    let mut events = api.watch(&parameters, &from.to_string()).await.unwrap().boxed();
    let mut states = Vec::new();
    while states.last().is_none_or(|last| !done(last)) {
        let event = tokio::time::timeout(PATIENCE, events.try_next()).await.expect("nothing comes").unwrap();
        if let Some(WatchEvent::Modified(object)) = event {
            states.push(value(object));
        }
    }
    states
}

fn state(object: &Value) -> &Value {
    &object["status"]["operationState"]
}

async fn request(place: &Place, operation: Value) -> Value {
    place.merged("web", json!({"operation": operation, "status": {"operationState": null}})).await
}

#[tokio::test]
async fn history_is_written_before_the_operation_is_complete() {
    everywhere("sync", async |place| {
        place.make("web").await;
        let argo = ArgoCd::new(&place.client, &place.namespace);
        let info = json!([{"name": "command", "value": "c-1"}]);
        let asked = request(place, json!({"sync": {"revision": "abc"}, "info": info})).await;
        argo.begin("web").await;
        argo.finish("web", &Outcome::Succeeded).await;
        argo.compare("web", "Synced", "Healthy", "abc").await;
        let states = states(&argo.api, revision(&asked), |object| !object["status"]["reconciledAt"].is_null()).await;
        let told: Vec<_> = states
            .iter()
            .map(|object| {
                let entries = object["status"]["history"].as_array().map_or(0, Vec::len);
                (state(object)["phase"].as_str().unwrap(), entries, object["operation"].is_object())
            })
            .collect();
        let (running, succeeded) = ("Running", "Succeeded");
        let expected =
            [(running, 0, true), (running, 0, true), (running, 1, true), (succeeded, 1, false), (succeeded, 1, false)];
        assert_eq!(told, expected);
        let last = states.last().unwrap();
        let entry = &last["status"]["history"][0];
        assert_eq!((&entry["id"], &entry["revision"]), (&json!(0), &json!("abc")));
        assert_eq!(entry["deployStartedAt"], state(last)["startedAt"]);
        assert_eq!(state(last)["operation"]["info"], info, "what the request said stays");
        let times = [
            &state(last)["startedAt"],
            &entry["deployedAt"],
            &state(last)["finishedAt"],
            &last["status"]["reconciledAt"],
        ];
        assert!(times.is_sorted_by(|a, b| a.as_str() < b.as_str()), "{times:?}");
        let managers = last["metadata"]["managedFields"].as_array().unwrap();
        assert!(managers.iter().any(|entry| entry["manager"] == MANAGER));
        assert_eq!(last["status"]["sync"]["status"], "Synced");
        assert_eq!(last["status"]["health"]["status"], "Healthy");
    })
    .await;
}

#[tokio::test]
async fn partial_and_failed_syncs_leave_no_history_and_the_kept_entries_are_few() {
    everywhere("partial", async |place| {
        place.make("web").await;
        place.merged("web", json!({"spec": {"revisionHistoryLimit": 2}})).await;
        let argo = ArgoCd::new(&place.client, &place.namespace);
        for revision in ["a", "b", "c"] {
            argo.request("web", json!({"sync": {"revision": revision}})).await;
            argo.begin("web").await;
            argo.finish("web", &Outcome::Succeeded).await;
        }
        argo.compare("web", "OutOfSync", "Healthy", "c").await;
        let healed = argo.self_heal("web", json!([{"group": "apps", "kind": "Deployment", "name": "web"}])).await;
        assert_eq!(state(&healed)["operation"]["initiatedBy"]["automated"], true);
        assert_eq!(state(&healed)["syncResult"]["resources"].as_array().unwrap().len(), 1);
        argo.request("web", json!({"sync": {"revision": "d"}})).await;
        argo.begin("web").await;
        argo.hold("web").await;
        let failed = argo.finish("web", &Outcome::Failed("a hook failed".to_owned())).await;
        assert_eq!((&state(&failed)["phase"], &failed["operation"]), (&json!("Failed"), &Value::Null));
        let history = failed["status"]["history"].as_array().unwrap();
        let ids: Vec<_> =
            history.iter().map(|entry| (entry["id"].as_u64().unwrap(), entry["revision"].as_str().unwrap())).collect();
        assert_eq!(ids, [(1, "b"), (2, "c")]);
    })
    .await;
}

#[tokio::test]
async fn a_state_that_was_not_nulled_leaks_into_the_next_operation() {
    everywhere("leak", async |place| {
        place.make("web").await;
        let argo = ArgoCd::new(&place.client, &place.namespace);
        argo.request(
            "web",
            json!({"sync": {"revision": "a", "prune": true, "resources": [{"kind": "ConfigMap", "name": "x"}]}}),
        )
        .await;
        argo.begin("web").await;
        argo.finish("web", &Outcome::Succeeded).await;
        place.merged("web", json!({"operation": {"sync": {"revision": "b"}}})).await;
        let begun = argo.begin("web").await;
        let leaked = &state(&begun)["operation"]["sync"];
        assert_eq!((&leaked["revision"], &leaked["prune"]), (&json!("b"), &json!(true)), "merged over what there was");
        assert!(leaked["resources"].is_array() && state(&begun)["finishedAt"].is_null());
    })
    .await;
}

#[tokio::test]
async fn it_works_by_itself_with_retries_terminations_and_refreshes() {
    everywhere("controller", async |place| {
        let made = place.make("web").await;
        let argo = Arc::new(ArgoCd::new(&place.client, &place.namespace));
        argo.plan("web", &[Outcome::Error("no route".to_owned()), Outcome::Failed("not yet".to_owned())]);
        let _working = argo.run();
        request(place, json!({"sync": {"revision": "a"}, "retry": {"limit": 3}})).await;
        let seen = states(&argo.api, revision(&made), |object| !object["status"]["reconciledAt"].is_null()).await;
        let attempts =
            seen.iter().filter(|object| state(object)["phase"] == "Running" && !state(object)["finishedAt"].is_null());
        assert_eq!(attempts.map(|object| state(object)["retryCount"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2]);
        let last = seen.last().unwrap();
        assert_eq!((&state(last)["phase"], &state(last)["retryCount"]), (&json!("Succeeded"), &json!(2)));

        let refresh = json!({"metadata": {"annotations": {REFRESH: "normal"}}});
        let asked = place.merged("web", refresh).await;
        let gone = |object: &Value| object["metadata"]["annotations"][REFRESH].is_null();
        let seen = states(&argo.api, revision(&asked), gone).await;
        assert!(seen.last().unwrap()["status"]["reconciledAt"].as_str() > last["status"]["reconciledAt"].as_str());
    })
    .await;
}

#[tokio::test]
async fn an_operation_that_was_asked_to_end_fails() {
    everywhere("terminate", async |place| {
        place.make("web").await;
        let argo = Arc::new(ArgoCd::new(&place.client, &place.namespace));
        argo.request("web", json!({"sync": {"revision": "a"}})).await;
        argo.begin("web").await;
        let asked = argo.terminate("web").await;
        let _working = argo.run();
        let seen = states(&argo.api, revision(&asked), |object| object["operation"].is_null()).await;
        assert_eq!(state(seen.last().unwrap())["phase"], "Failed");
        let patch = Patch::Merge(json!({"spec": {"project": "other"}}));
        argo.api.patch("web", &PatchParams::default(), &patch).await.unwrap();
        assert_eq!(application(&place.namespace, "web")["spec"]["project"], "default");
    })
    .await;
}
