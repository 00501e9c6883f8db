//! GitLab.

use plimsoll::ingest::Reason;
use serde_json::{Value, json};

use super::forges::{self, changed, events, only};
use super::{Try, fixture};

const FIXTURES: &[&str] = &[
    "gitlab/build.json",
    "gitlab/deployment.json",
    "gitlab/job.json",
    "gitlab/merge_request.json",
    "gitlab/pipeline.json",
    "gitlab/push.json",
    "gitlab/release.json",
    "gitlab/tag_push.json",
];

#[track_caller]
fn refuses(path: &str, changes: &[(&str, Value)], reason: Reason, field: &str) {
    Try::default().refuses(&changed(path, changes), reason, Some(field));
}

#[test]
fn every_fixture_has_its_events() {
    assert_eq!(std::fs::read_dir("tests/fixtures/gitlab").unwrap().count(), FIXTURES.len());
    FIXTURES.iter().for_each(|path| Try::default().golden(path));
}

#[test]
fn nothing_that_is_cut_off_or_garbled_panics() {
    FIXTURES.iter().for_each(|path| Try::default().never_panics(path));
}

#[test]
fn whatever_stands_in_a_body_it_is_refused_by_field_or_becomes_events_that_can_be() {
    forges::hold_under_changes(FIXTURES);
}

#[test]
fn names_and_texts_stand_only_where_they_can_be_erased() {
    let keys = [
        "username",
        "user_username",
        "user_name",
        "email",
        "user_email",
        "title",
        "message",
        "description",
        "commit_title",
    ];
    forges::hold_private(FIXTURES, &keys);
}

#[test]
fn what_is_wrong_is_named_by_its_path() {
    let (push, deployment, pipeline) = ("gitlab/push.json", "gitlab/deployment.json", "gitlab/pipeline.json");
    let (change, job, release) = ("gitlab/merge_request.json", "gitlab/job.json", "gitlab/release.json");
    refuses(push, &[("/after", json!("da156088"))], Reason::BadDigest, "after");
    refuses(push, &[("/commits/1/id", Value::Null)], Reason::MissingField, "commits[1].id");
    refuses(push, &[("/project/git_http_url", json!("file:///etc"))], Reason::BadField, "project.git_http_url");
    refuses(
        push,
        &[("/project", Value::Null), ("/repository", Value::Null)],
        Reason::MissingField,
        "project.git_http_url",
    );
    refuses(deployment, &[("/status_changed_at", json!("2021-04-28 21:50:00"))], Reason::BadTime, "status_changed_at");
    refuses(deployment, &[("/short_sha", json!("abcdef01"))], Reason::OtherSubject, "commit_url");
    refuses(deployment, &[("/environment", json!(""))], Reason::MissingField, "environment");
    refuses(pipeline, &[("/object_attributes/sha", json!("HEAD"))], Reason::BadDigest, "object_attributes.sha");
    refuses(pipeline, &[("/object_attributes/id", json!(1e20))], Reason::BadNumber, "object_attributes.id");
    refuses(
        pipeline,
        &[("/object_attributes/finished_at", json!("noon"))],
        Reason::BadTime,
        "object_attributes.finished_at",
    );
    refuses(change, &[("/object_attributes/iid", Value::Null)], Reason::MissingField, "object_attributes.iid");
    refuses(
        change,
        &[("/object_attributes/last_commit/id", json!(""))],
        Reason::BadDigest,
        "object_attributes.last_commit.id",
    );
    refuses(job, &[("/build_finished_at", json!("2031-01-10 13:50:54 UTC"))], Reason::FutureTime, "build_finished_at");
    refuses(job, &[("/build_finished_at", json!("later"))], Reason::BadTime, "build_finished_at");
    refuses(
        release,
        &[("/released_at", Value::Null), ("/created_at", Value::Null)],
        Reason::MissingField,
        "released_at",
    );
    let gitlab = Try { source: Some("gitlab"), ..Try::default() };
    gitlab.refuses(b"{}", Reason::MissingField, Some("object_kind"));
    gitlab.refuses(b"{\"object_kind\":", Reason::Malformed, None);
}

#[test]
fn references_are_made_moved_and_deleted() {
    let (path, zeros, object) = ("gitlab/tag_push.json", "0".repeat(40), "a".repeat(40));
    let last = |changes: &[(&str, Value)]| events(&changed(path, changes)).0.pop().unwrap();
    let commit = forges::body(path)["checkout_sha"].clone();
    let annotated = last(&[("/after", json!(object)), ("/message", json!("Release 1"))]);
    let wanted = json!({"annotated": true, "message": "Release 1", "tag": "v1.0.0", "tag_object": object,
        "tagger": "gitlab:jsmith", "target": commit, "target_kind": "commit"});
    assert_eq!((&annotated["type"], &annotated["data"]), (&json!("tag.created"), &wanted));
    let moved = last(&[("/before", json!("b".repeat(40)))]);
    assert_eq!(
        (&moved["type"], &moved["data"]),
        (&json!("tag.moved"), &json!({"after": commit, "before": "b".repeat(40), "tag": "v1.0.0"}))
    );
    let gone =
        [("/before", json!(object)), ("/after", json!(zeros)), ("/checkout_sha", Value::Null), ("/commits", json!([]))];
    let deleted = only(&changed(path, &gone));
    assert_eq!(
        (&deleted["type"], &deleted["data"]),
        (&json!("tag.deleted"), &json!({"before": object, "tag": "v1.0.0"}))
    );
    let branch = only(&changed("gitlab/push.json", &gone));
    assert_eq!(branch["data"], json!({"before": object, "branch": "master", "deleted": true}));
}

#[test]
fn the_same_push_once_more_is_known_by_its_delivery() {
    let key = |headers: &[(&str, &str)]| {
        let lines = Try { headers, ..Try::default() }.lines(&fixture("gitlab/push.json")).unwrap();
        let branch: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
        branch["dedup"].as_str().unwrap().to_owned()
    };
    let (uuid, tried) = (("X-Gitlab-Event-UUID", "13792a34"), ("Idempotency-Key", "f5e57d1e"));
    assert_eq!(key(&[uuid]), format!("{}#13792a34", key(&[])));
    assert_eq!(key(&[uuid, tried]), format!("{}#f5e57d1e", key(&[])));
    assert_eq!(key(&[("Idempotency-Key", " ")]), key(&[]));
}

#[test]
fn a_merge_request_is_reviewed_and_merged_by_whom_its_body_names() {
    let path = "gitlab/merge_request.json";
    let action = |action: &str, more: &[(&str, Value)]| {
        let changes = [&[("/object_attributes/action", json!(action))], more].concat();
        events(&changed(path, &changes))
    };
    let told = |action_: &str, more: &[(&str, Value)]| action(action_, more).0.remove(0);
    assert_eq!(action("update", &[]).1, "passed over: merge_request.update");
    let author = ("/object_attributes/author_id", json!(1));
    for (word, state) in
        [("approved", "approved"), ("approval", "approved"), ("unapproved", "dismissed"), ("unapproval", "dismissed")]
    {
        let review = told(word, std::slice::from_ref(&author));
        let data = &review["data"];
        assert_eq!((&review["type"], &data["state"]), (&json!("change.reviewed"), &json!(state)), "{word}");
        assert_eq!(data["author"], data["reviewer"], "an approval of one's own is seen to be one");
    }
    assert_eq!(told("close", &[])["type"], "change.abandoned");
    assert_eq!(told("reopen", &[])["type"], "change.created");
    let head = forges::body(path)["object_attributes"]["last_commit"]["id"].clone();
    let forward = told("merge", &[]);
    assert_eq!((&forward["data"]["commit"], &forward["data"]["method"]), (&head, &json!("fast_forward")));
    let merge = told("merge", &[("/object_attributes/merge_commit_sha", json!("c".repeat(40)))]);
    assert_eq!((&merge["data"]["commit"], &merge["data"]["method"]), (&json!("c".repeat(40)), &Value::Null));
    let squash = told("merge", &[("/object_attributes/squash_commit_sha", json!("d".repeat(40)))]);
    assert_eq!((&squash["data"]["commit"], &squash["data"]["method"]), (&json!("d".repeat(40)), &json!("squash")));
    let fork = told("open", &[("/object_attributes/source_project_id", json!(7))]);
    assert_eq!(
        (&fork["data"]["from_fork"], &fork["data"]["head_repository"]),
        (&json!(true), &json!("awesome_space/awesome_project"))
    );
}

#[test]
fn states_decide_what_a_pipeline_a_job_and_a_deployment_become() {
    let kind = |path: &str, at: &str, word: &str| {
        let (told, over) = events(&changed(path, &[(at, json!(word))]));
        // Values of variables are blackened, whatever the state.
        let over = over.trim_end_matches("\nredactions: 1").to_owned();
        told.first().map_or(over, |event| format!("{} {}", event["type"], event["data"]["conclusion"]).replace('"', ""))
    };
    let (pipeline, job, deployment) = ("gitlab/pipeline.json", "gitlab/job.json", "gitlab/deployment.json");
    for (path, at, word, wanted) in [
        (pipeline, "/object_attributes/status", "running", "pipelinerun.started null"),
        (pipeline, "/object_attributes/status", "failed", "pipelinerun.finished failure"),
        (pipeline, "/object_attributes/status", "canceled", "pipelinerun.finished cancelled"),
        (pipeline, "/object_attributes/status", "manual", "passed over: pipeline.manual"),
        (pipeline, "/object_attributes/status", "waiting_for_resource", "passed over: pipeline.waiting_for_resource"),
        (job, "/build_status", "running", "taskrun.started null"),
        (job, "/build_status", "failed", "taskrun.finished failure"),
        (job, "/build_status", "skipped", "taskrun.finished skipped"),
        (job, "/build_status", "pending", "passed over: build.pending"),
        (deployment, "/status", "running", "sync.started null"),
        (deployment, "/status", "failed", "sync.failed null"),
        (deployment, "/status", "canceled", "sync.terminated null"),
        (deployment, "/status", "blocked", "passed over: deployment.blocked"),
    ] {
        assert_eq!(kind(path, at, word), wanted, "{path} {word}");
    }
    let timed_out = [("/build_status", json!("failed")), ("/build_failure_reason", json!("job_execution_timeout"))];
    assert_eq!(only(&changed(job, &timed_out))["data"]["conclusion"], "timed_out");
    let tag = only(&changed(job, &[("/tag", json!(true))]));
    assert_eq!(tag["data"]["branch"], Value::Null);
    let plain = only(&changed(pipeline, &[("/merge_request", Value::Null)]));
    assert_eq!(plain["data"]["git_ref"], "refs/heads/master");
    let again = only(&changed(pipeline, &[("/object_attributes/finished_at", json!("2016-08-12 16:00:00 UTC"))]));
    assert_ne!(again["dedup"], only(&fixture(pipeline))["dedup"], "run again, it ends again");
    let upcoming = changed("gitlab/release.json", &[("/released_at", json!("2027-06-01 00:00:00 UTC"))]);
    assert_eq!(events(&upcoming).1, "passed over: release.upcoming");
}
