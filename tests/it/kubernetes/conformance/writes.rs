//! Creating, changing and deleting.

use serde_json::{Value, json};

use super::{Answer, Place, everywhere, refused, revision};

fn generation(object: &Value) -> u64 {
    object["metadata"]["generation"].as_u64().unwrap()
}

fn deployment(place: &Place) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": place.namespace},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "registry.example.com/web:1"}]},
            },
        },
    })
}

#[tokio::test]
async fn an_application_has_no_status_subresource_and_every_change_raises_its_generation() {
    everywhere("generation", async |place| {
        let made = place.make("web").await;
        assert_eq!(generation(&made), 1);
        let status = json!({"status": {"reconciledAt": "2026-11-25T10:00:00Z"}});
        let path = place.path("web") + "/status";
        assert_eq!(place.send("PATCH", &path, "application/merge-patch+json", &status).await.status, 404);
        let requested = place.merged("web", json!({"operation": {"sync": {"revision": "a"}}})).await;
        assert_eq!(generation(&requested), 2);
        assert_eq!(generation(&place.merged("web", status).await), 3, "on the main resource status can be written");
        assert_eq!(generation(&place.merged("web", json!({"spec": {"project": "other"}})).await), 4);
        let metadata = json!({"metadata": {
            "labels": {"a": "b"}, "annotations": {"a": "b"}, "finalizers": ["example.com/hold"],
        }});
        let changed = place.merged("web", metadata).await;
        assert_eq!(generation(&changed), 4, "metadata does not count");
        assert!(revision(&changed) > revision(&requested));
        assert_eq!(place.send("DELETE", &place.path("web"), "", &Value::Null).await.status, 200);
        assert_eq!(generation(&place.get("web").await), 5, "but the deletion does");
    })
    .await;
}

/// The entry of a manager that holds `f:operation`, if it has one.
fn managed<'a>(object: &'a Value, manager: &str) -> Option<&'a Value> {
    let mut entries = object["metadata"]["managedFields"].as_array().unwrap().iter();
    let entry = entries.find(|entry| entry["manager"] == manager)?;
    entry["fieldsV1"].get("f:operation")
}

#[tokio::test]
async fn a_merge_patch_of_an_operation_is_one_event_and_leaves_its_managers_name() {
    everywhere("merge", async |place| {
        let made = place.make("web").await;
        let mut events = place.watch(&format!("resourceVersion={}", revision(&made))).await.unwrap();
        let patch = json!({"operation": {"sync": {"revision": "a"}}});
        let query = place.path("web") + "?fieldManager=first";
        let first = place.send("PATCH", &query, "application/merge-patch+json", &patch).await;
        assert_eq!(first.status, 200);
        assert!(revision(&first.body) > revision(&made));
        assert_eq!(managed(&first.body, "first").unwrap()["f:sync"]["f:revision"], json!({}));

        let same = place.send("PATCH", &query, "application/merge-patch+json", &patch).await;
        assert_eq!(same.status, 200);
        assert_eq!(revision(&same.body), revision(&first.body), "a patch that changes nothing");

        let second = place.merged("web", json!({"operation": {"sync": {"prune": true}}})).await;
        assert_eq!(
            second["operation"]["sync"],
            json!({"revision": "a", "prune": true}),
            "the last writer merges into it"
        );
        assert!(managed(&second, "first").unwrap()["f:sync"]["f:revision"].is_object());
        let theirs = managed(&second, "plimsoll-suite").expect("the first word of the user agent");
        assert_eq!(theirs["f:sync"]["f:prune"], json!({}));

        let overwritten = place.merged("web", json!({"operation": {"sync": {"revision": "b"}}})).await;
        assert_eq!(overwritten["operation"]["sync"]["revision"], "b", "or overwrites it, in silence");
        assert!(managed(&overwritten, "first").is_none_or(|fields| fields["f:sync"]["f:revision"].is_null()));

        let cleared = place.merged("web", json!({"operation": null})).await;
        assert!(managed(&cleared, "first").is_none() && managed(&cleared, "plimsoll-suite").is_none());
        let mut seen = Vec::new();
        for _ in 0..4 {
            let (word, object) = events.change().await;
            seen.push((word, revision(&object)));
        }
        let expected =
            [&first.body, &second, &overwritten, &cleared].map(|object| ("MODIFIED".to_owned(), revision(object)));
        assert_eq!(seen, expected, "one event a change, and none for what changes nothing");
    })
    .await;
}

#[tokio::test]
async fn writers_who_are_late_are_refused_where_they_ask_for_it() {
    everywhere("conflict", async |place| {
        let made = place.make("web").await;
        place.merged("web", json!({"operation": {"sync": {"revision": "a"}}})).await;
        let version = &made["metadata"]["resourceVersion"];
        let late = place.merge("web", json!({"metadata": {"resourceVersion": version}, "operation": null})).await;
        let message = refused(&late, 409, "Conflict");
        let expected = "the object has been modified; please apply your changes to the latest version and try again";
        assert!(message.ends_with(expected), "{message}");
        assert_eq!(place.get("web").await["operation"]["sync"]["revision"], "a");

        let test = json!([
            {"op": "test", "path": "/operation/sync/revision", "value": "b"},
            {"op": "replace", "path": "/operation/sync/revision", "value": "c"},
        ]);
        let failed = place.send("PATCH", &place.path("web"), "application/json-patch+json", &test).await;
        let message = refused(&failed, 422, "Invalid");
        assert_eq!(message, "the server rejected our request due to an error in our request");
        let test = json!([
            {"op": "test", "path": "/operation/sync/revision", "value": "a"},
            {"op": "add", "path": "/operation/info", "value": [{"name": "command", "value": "1"}]},
            {"op": "remove", "path": "/operation/sync/revision"},
        ]);
        let passed = place.send("PATCH", &place.path("web"), "application/json-patch+json", &test).await;
        assert_eq!((passed.status, &passed.body["operation"]["info"][0]["value"]), (200, &json!("1")));
        assert!(passed.body["operation"]["sync"]["revision"].is_null());
    })
    .await;
}

#[tokio::test]
async fn of_writers_who_saw_the_same_one_wins_and_the_others_are_told_to_look_again() {
    everywhere("race", async |place| {
        place.make("web").await;
        for round in 1..=5_u32 {
            let seen = place.get("web").await;
            let writer = async |name: &str| {
                let metadata = json!({
                    "resourceVersion": seen["metadata"]["resourceVersion"],
                    "annotations": {"writer": format!("{name} {round}")},
                });
                place.merge("web", json!({"metadata": metadata})).await
            };
            let answers: [Answer; 4] = tokio::join!(writer("a"), writer("b"), writer("c"), writer("d")).into();
            let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
            assert_eq!((won.len(), lost.len()), (1, 3));
            lost.iter().for_each(|answer| drop(refused(answer, 409, "Conflict")));
            let kept = place.get("web").await;
            assert_eq!(kept["metadata"]["annotations"], won[0].body["metadata"]["annotations"]);
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_put_names_its_revision_and_what_is_posted_is_new() {
    everywhere("put", async |place| {
        let mut web = place.make("web").await;
        let current = web["metadata"]["resourceVersion"].take();
        web["metadata"].as_object_mut().unwrap().remove("resourceVersion");
        web["spec"]["project"] = json!("other");
        let put = place.send("PUT", &place.path("web"), "application/json", &web).await;
        assert!(refused(&put, 422, "Invalid").contains("must be specified for an update"));
        web["metadata"]["resourceVersion"] = current;
        assert_eq!(place.send("PUT", &place.path("web"), "application/json", &web).await.status, 200);
        let again = place.send("PUT", &place.path("web"), "application/json", &web).await;
        refused(&again, 409, "Conflict");
        let away = "/apis/argoproj.io/v1alpha1/namespaces/plimsoll-is-not-here/applications";
        let mut lost = place.application("lost");
        lost["metadata"]["namespace"] = json!("plimsoll-is-not-here");
        let lost = place.send("POST", away, "application/json", &lost).await;
        assert_eq!(refused(&lost, 404, "NotFound"), "namespaces \"plimsoll-is-not-here\" not found");
        let posted = place.send("POST", &place.path(""), "application/json", &place.application("web")).await;
        assert!(refused(&posted, 409, "AlreadyExists").contains("\"web\" already exists"));
    })
    .await;
}

#[tokio::test]
async fn an_apply_over_another_managers_field_is_refused_with_the_field() {
    everywhere("apply", async |place| {
        place.make("web").await;
        let apply = async |manager: &str, revision: &str, force: bool| {
            let path = format!("{}?fieldManager={manager}&force={force}", place.path("web"));
            let body = json!({
                "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "web"},
                "operation": {"sync": {"revision": revision}},
            });
            place.send("PATCH", &path, "application/apply-patch+yaml", &body).await
        };
        let first = apply("first", "a", false).await;
        assert_eq!((first.status, &first.body["operation"]["sync"]["revision"]), (200, &json!("a")));
        let second = apply("second", "b", false).await;
        let message = refused(&second, 409, "Conflict");
        assert!(message.contains("conflict with \"first\": .operation.sync.revision"), "{message}");
        let cause = &second.body["details"]["causes"][0];
        assert_eq!(cause["reason"], "FieldManagerConflict");
        assert_eq!(cause["field"], ".operation.sync.revision");
        assert_eq!(apply("second", "a", false).await.status, 200, "what is alike can be shared");
        let forced = apply("third", "b", true).await;
        assert_eq!((forced.status, &forced.body["operation"]["sync"]["revision"]), (200, &json!("b")));
        assert!(managed(&forced.body, "first").is_none() && managed(&forced.body, "third").is_some());

        let version = revision(&forced.body);
        assert_eq!(revision(&apply("third", "b", false).await.body), version, "the same again changes nothing");
        let less = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "web"}});
        let path = place.path("web") + "?fieldManager=third";
        let dropped = place.send("PATCH", &path, "application/apply-patch+yaml", &less).await;
        assert_eq!(dropped.status, 200);
        assert!(dropped.body["operation"]["sync"]["revision"].is_null(), "what it no longer says goes");

        let unnamed = place.send("PATCH", &place.path("web"), "application/apply-patch+yaml", &less).await;
        refused(&unnamed, 422, "Invalid");
        let path = place.path("new") + "?fieldManager=first";
        let mut new = place.application("new");
        new["metadata"].as_object_mut().unwrap().remove("namespace");
        assert_eq!(place.send("PATCH", &path, "application/apply-patch+yaml", &new).await.status, 201);
    })
    .await;
}

#[tokio::test]
async fn fields_that_no_schema_knows_are_pruned_and_types_are_held_to() {
    everywhere("schema", async |place| {
        place.make("web").await;
        let bogus = json!({"operation": {"sync": {"revision": "a", "bogus": 1}}});
        let strict = place.path("web") + "?fieldValidation=Strict";
        let strict = place.send("PATCH", &strict, "application/merge-patch+json", &bogus).await;
        assert_eq!(strict.status, 422, "{strict:?}");
        assert!(place.get("web").await["operation"].is_null());
        let pruned = place.merge("web", bogus).await;
        assert_eq!((pruned.status, &pruned.body["operation"]["sync"]), (200, &json!({"revision": "a"})));
        let warning = pruned.headers["warning"].to_str().unwrap();
        assert_eq!(warning, "299 - \"unknown field \\\"operation.sync.bogus\\\"\"");
        let wrong = place.merge("web", json!({"operation": {"sync": {"prune": "yes"}}})).await;
        let message = refused(&wrong, 422, "Invalid");
        assert!(message.contains("operation.sync.prune"), "{message}");
        let strategic = place.path("web");
        let patch = json!({"operation": {"sync": {"revision": "b"}}});
        let refusal = place.send("PATCH", &strategic, "application/strategic-merge-patch+json", &patch).await;
        let message = refused(&refusal, 415, "UnsupportedMediaType");
        for accepted in ["json-patch+json", "merge-patch+json", "apply-patch+yaml"] {
            assert!(message.contains(accepted), "{message}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_dry_run_shows_what_would_be_and_stores_nothing() {
    everywhere("dry-run", async |place| {
        let made = place.make("web").await;
        let patch = json!({"operation": {"sync": {"revision": "a"}}});
        let path = place.path("web") + "?dryRun=All";
        let shown = place.send("PATCH", &path, "application/merge-patch+json", &patch).await;
        assert_eq!((shown.status, &shown.body["operation"]["sync"]["revision"]), (200, &json!("a")));
        let kept = place.get("web").await;
        assert!(kept["operation"].is_null());
        assert_eq!(revision(&kept), revision(&made));
        let created =
            place.send("POST", &(place.path("") + "?dryRun=All"), "application/json", &place.application("no")).await;
        assert_eq!(created.status, 201);
        assert_eq!(place.send("GET", &place.path("no"), "", &Value::Null).await.status, 404);
    })
    .await;
}

#[tokio::test]
async fn objects_have_a_greatest_size() {
    everywhere("size", async |place| {
        place.make("web").await;
        let fits = json!({"metadata": {"annotations": {"a": "x".repeat(262_143)}}});
        place.merged("web", fits).await;
        let long = json!({"metadata": {"annotations": {"a": "x".repeat(262_144)}}});
        let refusal = place.merge("web", long).await;
        assert!(refused(&refusal, 422, "Invalid").contains("metadata.annotations"));
        place.merged("web", json!({"metadata": {"annotations": null}})).await;
        let values = |bytes: usize| json!({"spec": {"source": {"helm": {"values": "x".repeat(bytes)}}}});
        let refusal = place.merge("web", values(2_000_000)).await;
        assert_eq!(refusal.status, 500);
        let message = refusal.body["message"].as_str().unwrap();
        assert!(message.contains("etcdserver: request is too large"), "{message}");
        let refusal = place.merge("web", values(3_145_728)).await;
        refused(&refusal, 413, "RequestEntityTooLarge");
    })
    .await;
}

#[tokio::test]
async fn a_finalizer_holds_a_deletion_and_a_new_object_has_a_new_uid() {
    everywhere("deletion", async |place| {
        place.make("web").await;
        let held = place.merged("web", json!({"metadata": {"finalizers": ["example.com/hold"]}})).await;
        let mut events = place.watch(&format!("resourceVersion={}", revision(&held))).await.unwrap();
        let deletion = place.send("DELETE", &place.path("web"), "", &Value::Null).await;
        assert_eq!((deletion.status, &deletion.body["kind"]), (200, &json!("Application")));
        let (word, object) = events.change().await;
        assert_eq!(word, "MODIFIED");
        assert!(object["metadata"]["deletionTimestamp"].is_string());
        place.merged("web", json!({"metadata": {"finalizers": null}})).await;
        let (word, last) = events.change().await;
        assert_eq!(word, "DELETED");
        assert!(revision(&last) > revision(&object), "a deletion has a revision of its own");
        assert_eq!(last["spec"], object["spec"], "and carries the last state");
        assert_eq!(place.send("GET", &place.path("web"), "", &Value::Null).await.status, 404);
        let again = place.make("web").await;
        assert_ne!(again["metadata"]["uid"], held["metadata"]["uid"]);
        assert_eq!(generation(&again), 1);
        assert_eq!(events.change().await.0, "ADDED");
        place.send("DELETE", &place.path("web"), "", &Value::Null).await;
        let (word, last) = events.change().await;
        assert_eq!((word.as_str(), &last["metadata"]["uid"]), ("DELETED", &again["metadata"]["uid"]));
        assert!(revision(&last) > revision(&again));
    })
    .await;
}

#[tokio::test]
async fn a_deployments_status_is_apart_from_its_spec() {
    everywhere("deployment", async |place| {
        let all = format!("/apis/apps/v1/namespaces/{}/deployments", place.namespace);
        let made = place.send("POST", &all, "application/json", &deployment(place)).await;
        assert_eq!((made.status, generation(&made.body)), (201, 1));
        assert_eq!(made.body["spec"]["replicas"], 1);
        let (path, merge) = (format!("{all}/web"), "application/merge-patch+json");
        let status = json!({"status": {"observedGeneration": 1, "replicas": 1}});
        let written = place.send("PATCH", &format!("{path}/status"), merge, &status).await.body;
        assert_eq!((generation(&written), &written["status"]["observedGeneration"]), (1, &json!(1)));
        assert!(revision(&written) > revision(&made.body));
        let status = json!({"status": {"observedGeneration": 7}, "metadata": {"labels": {"a": "b"}}});
        let ignored = place.send("PATCH", &path, merge, &status).await.body;
        assert_eq!((generation(&ignored), &ignored["status"]["observedGeneration"]), (1, &json!(1)));
        let scale = format!("{path}/scale?fieldManager=scaler");
        let scaled = place.send("PATCH", &scale, merge, &json!({"spec": {"replicas": 3}})).await;
        assert_eq!(
            (scaled.status, &scaled.body["kind"], &scaled.body["spec"]["replicas"]),
            (200, &json!("Scale"), &json!(3))
        );
        let images = json!({"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "web:2"}]}}}});
        let deploy = format!("{path}?fieldManager=deployer");
        let strategic = place.send("PATCH", &deploy, "application/strategic-merge-patch+json", &images).await.body;
        assert_eq!((generation(&strategic), &strategic["spec"]["replicas"]), (3, &json!(3)));
        assert_eq!(strategic["status"]["observedGeneration"], 1, "stays until it is written");
        let entry = |manager: &str| {
            let entries = strategic["metadata"]["managedFields"].as_array().unwrap();
            entries.iter().find(|entry| entry["manager"] == manager).unwrap()
        };
        assert_eq!(entry("scaler")["subresource"], "scale", "who scales leaves a name, and the way it came");
        assert_eq!(entry("scaler")["fieldsV1"]["f:spec"]["f:replicas"], json!({}));
        let containers = &entry("deployer")["fieldsV1"]["f:spec"]["f:template"]["f:spec"]["f:containers"];
        assert_eq!(containers["k:{\"name\":\"web\"}"]["f:image"], json!({}));
        let list = place.send("GET", &all, "", &Value::Null).await.body;
        assert_eq!(list["kind"], "DeploymentList");
        assert!(list["items"][0]["kind"].is_null(), "items of typed lists do not repeat their kind");
    })
    .await;
}

#[tokio::test]
async fn a_project_is_held_to_the_same_rules() {
    everywhere("project", async |place| {
        let all = format!("/apis/argoproj.io/v1alpha1/namespaces/{}/appprojects", place.namespace);
        let window = json!({"kind": "deny", "schedule": "0 22 * * *", "duration": "1h", "applications": ["*"]});
        let project = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject",
            "metadata": {"name": "shop", "namespace": place.namespace},
            "spec": {"sourceRepos": ["*"], "syncWindows": [window]},
        });
        let made = place.send("POST", &all, "application/json", &project).await;
        assert_eq!((made.status, generation(&made.body)), (201, 1));
        let (path, merge) = (format!("{all}/shop"), "application/merge-patch+json");
        let changed = place.send("PATCH", &path, merge, &json!({"spec": {"description": "the shop"}})).await.body;
        assert_eq!((generation(&changed), &changed["spec"]["syncWindows"][0]["kind"]), (2, &json!("deny")));
        let status = place.send("PATCH", &format!("{path}/status"), merge, &json!({"status": {}})).await;
        assert_eq!(status.status, 404);
        let wrong = place.send("PATCH", &path, merge, &json!({"spec": {"sourceRepos": "*"}})).await;
        assert!(refused(&wrong, 422, "Invalid").contains("spec.sourceRepos"));
    })
    .await;
}
