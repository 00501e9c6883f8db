//! GitHub: every kind of event by its members alone and by its header; what is broken; and what a receiver must not be
//! taken in by.

use plimsoll::ingest::Reason;
use serde_json::{Value, json};

use super::forges::{self, changed, events, only};
use super::{Try, fixture};

const FIXTURES: &[&str] = &[
    "github/check_run.completed.json",
    "github/check_suite.completed.json",
    "github/create.tag.json",
    "github/delete.tag.json",
    "github/deployment.json",
    "github/deployment_review.requested.json",
    "github/deployment_status.json",
    "github/events-api.PullRequestEvent.merged.json",
    "github/package.published.docker.json",
    "github/ping.json",
    "github/pull_request.closed.json",
    "github/pull_request.closed.merged.DERIVED.json",
    "github/pull_request.opened.json",
    "github/pull_request.synchronize.json",
    "github/pull_request_review.submitted.json",
    "github/push.branch-created.json",
    "github/push.commits.json",
    "github/push.tag-deleted.json",
    "github/registry_package.published.docker.json",
    "github/release.published.json",
    "github/status.json",
    "github/workflow_job.completed.failure.json",
    "github/workflow_job.in_progress.json",
    "github/workflow_job.queued.json",
    "github/workflow_run.completed.json",
    "github/workflow_run.completed.pull_request.json",
    "github/workflow_run.requested.json",
];

/// The event that a fixture's name says; none for an entry of the Events API.
pub fn event(path: &str) -> Option<&str> {
    path.trim_start_matches("github/").split('.').next().filter(|event| *event != "events-api")
}

#[track_caller]
fn refuses(path: &str, changes: &[(&str, Value)], reason: Reason, field: &str) {
    Try::default().refuses(&changed(path, changes), reason, Some(field));
}

#[test]
fn every_fixture_is_told_by_its_members_and_by_its_header_alike() {
    assert_eq!(std::fs::read_dir("tests/fixtures/github").unwrap().count(), FIXTURES.len() + 1);
    for path in FIXTURES {
        Try::default().golden(path);
        if let Some(url) = forges::body(path)["repository"]["clone_url"].as_str() {
            let read = plimsoll::ingest::git::name_of(url, None).unwrap().stream.to_string();
            for event in events(&fixture(path)).0 {
                let stream = event["stream"].as_str().unwrap();
                assert!(!stream.starts_with("repo/") || stream == read, "{path}: {stream} is not {read}");
            }
        }
        if let Some(event) = event(path) {
            Try { headers: &[("X-GitHub-Event", event)], ..Try::default() }.golden(path);
        }
    }
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
    let keys = ["login", "email", "username", "title", "body", "message", "description", "summary", "runner_name"];
    forges::hold_private(FIXTURES, &keys);
}

#[test]
fn what_is_wrong_is_named_by_its_path() {
    let (push, opened) = ("github/push.commits.json", "github/pull_request.opened.json");
    let short = json!("0d1a26e6");
    refuses(push, &[("/after", short.clone())], Reason::BadDigest, "after");
    refuses(push, &[("/commits/0/id", short.clone())], Reason::BadDigest, "commits[0].id");
    refuses(push, &[("/commits/0/id", json!(7))], Reason::BadField, "commits[0].id");
    refuses(push, &[("/repository", Value::Null)], Reason::MissingField, "repository");
    refuses(push, &[("/repository/clone_url", json!("/etc/passwd"))], Reason::BadField, "repository.clone_url");
    refuses(opened, &[("/pull_request/head/sha", json!("HEAD"))], Reason::BadDigest, "pull_request.head.sha");
    refuses(opened, &[("/pull_request/head/ref", Value::Null)], Reason::MissingField, "pull_request.head.ref");
    refuses(opened, &[("/pull_request/id", json!(1e30))], Reason::BadNumber, "pull_request.id");
    refuses(
        opened,
        &[("/pull_request/created_at", json!("2019-05-15T15:20:33"))],
        Reason::BadTime,
        "pull_request.created_at",
    );
    refuses(
        "github/pull_request.closed.json",
        &[("/pull_request/merged", Value::Null)],
        Reason::MissingField,
        "pull_request.merged",
    );
    let merged = "github/pull_request.closed.merged.DERIVED.json";
    refuses(
        merged,
        &[("/pull_request/merge_commit_sha", Value::Null)],
        Reason::MissingField,
        "pull_request.merge_commit_sha",
    );
    let wrapped = "github/events-api.PullRequestEvent.merged.json";
    refuses(
        wrapped,
        &[("/payload/pull_request/head/sha", json!("x"))],
        Reason::BadDigest,
        "payload.pull_request.head.sha",
    );
    refuses(wrapped, &[("/payload/pull_request/number", json!("1"))], Reason::BadField, "payload.pull_request.number");
    let github = Try { source: Some("github"), ..Try::default() };
    github.refuses(b"{\"zen\":1}", Reason::MissingHeader, Some("x-github-event"));
    github.refuses(b"payload=%7B%7D", Reason::UnsupportedEncoding, Some("content-type"));
    let deep = format!("{{\"action\":{}1{}}}", "[".repeat(300), "]".repeat(300));
    Try { headers: &[("x-github-event", "push")], ..Try::default() }.refuses(deep.as_bytes(), Reason::TooDeep, None);
    Try { headers: &[("x-github-event", "push")], ..Try::default() }.refuses(b"{\"ref\":", Reason::Malformed, None);
}

#[test]
fn what_is_wrong_with_what_machines_did_is_named_by_its_path() {
    let (run, job) = ("github/workflow_run.completed.json", "github/workflow_job.completed.failure.json");
    let (check, status) = ("github/check_run.completed.json", "github/status.json");
    let (deployment, package) = ("github/deployment.json", "github/package.published.docker.json");
    let review = "github/pull_request_review.submitted.json";
    refuses(review, &[("/review/state", json!("loved"))], Reason::BadField, "review.state");
    refuses(check, &[("/check_run/conclusion", json!("fine"))], Reason::BadField, "check_run.conclusion");
    refuses(check, &[("/check_run/conclusion", Value::Null)], Reason::MissingField, "check_run.conclusion");
    refuses(check, &[("/check_run/completed_at", json!("yesterday"))], Reason::BadTime, "check_run.completed_at");
    refuses(status, &[("/state", json!("maybe"))], Reason::BadField, "state");
    refuses(run, &[("/workflow_run/head_sha", json!(null))], Reason::MissingField, "workflow_run.head_sha");
    refuses(
        run,
        &[("/workflow_run/updated_at", json!("0001-01-01T00:00:00Z"))],
        Reason::MissingField,
        "workflow_run.updated_at",
    );
    refuses(run, &[("/workflow_run/run_attempt", json!(-1))], Reason::BadNumber, "workflow_run.run_attempt");
    refuses(job, &[("/workflow_job/completed_at", Value::Null)], Reason::MissingField, "workflow_job.completed_at");
    refuses(
        job,
        &[("/workflow_job/completed_at", json!("2031-01-01T00:00:00Z"))],
        Reason::FutureTime,
        "workflow_job.completed_at",
    );
    refuses(deployment, &[("/deployment/sha", json!("master"))], Reason::BadDigest, "deployment.sha");
    refuses(deployment, &[("/deployment/environment", json!(""))], Reason::MissingField, "deployment.environment");
    let version = "/package/package_version/version";
    for text in ["sha256:6c62fb45fe66bfb1ea9a66abc38f6a0cc974292b", "sha256:", "sha256:zz"] {
        refuses(package, &[(version, json!(text))], Reason::BadDigest, "package.package_version.version");
    }
    refuses(package, &[(version, Value::Null)], Reason::MissingField, "package.package_version.version");
}

#[test]
fn a_push_tells_the_commit_that_a_tag_leads_to_and_its_object() {
    let (path, object, commit) =
        ("github/push.branch-created.json", "a".repeat(40), "6113728f27ae82c7b1a177c8d03f9e96e0adf246");
    let tag = ("/ref", json!("refs/tags/v1.4.0"));
    let made = |after: &str, before: &str| {
        let (told, _) = events(&changed(
            path,
            &[tag.clone(), ("/after", json!(after)), ("/before", json!(before)), ("/commits", json!([]))],
        ));
        assert_eq!(told[0]["type"], "commit.recorded", "the commit beside it is told, too");
        (told[1]["type"].clone(), told[1]["data"].clone())
    };
    let zeros = "0".repeat(40);
    let light = json!({"annotated": false, "tag": "v1.4.0", "target": commit, "target_kind": "commit"});
    assert_eq!(made(commit, &zeros), (json!("tag.created"), light));
    let annotated =
        json!({"annotated": true, "tag": "v1.4.0", "tag_object": object, "target": commit, "target_kind": "commit"});
    assert_eq!(made(&object, &zeros), (json!("tag.created"), annotated));
    let moved = json!({"after": commit, "before": "b".repeat(40), "tag": "v1.4.0", "tag_object": object});
    assert_eq!(made(&object, &"b".repeat(40)), (json!("tag.moved"), moved));
}

#[test]
fn a_push_is_taken_whatever_clocks_say_and_its_commits_are_known_again() {
    let path = "github/push.commits.json";
    let forced = changed(
        path,
        &[
            ("/forced", json!(true)),
            ("/repository/pushed_at", json!(99_999_999_999_i64)),
            ("/commits/0/timestamp", json!("2099-01-01T00:00:00+14:00")),
            ("/head_commit/timestamp", json!("2099-01-01T00:00:00+14:00")),
        ],
    );
    let (told, _) = events(&forced);
    assert_eq!(told[0]["occurred_at"], "2026-11-30T00:00:00.000000Z");
    assert_eq!(told[0]["data"]["committed_at"], "2098-12-31T10:00:00.000000Z");
    assert_eq!(
        (&told[1]["data"]["forced"], &told[1]["occurred_at"]),
        (&json!(true), &json!("2026-11-30T00:00:00.000000Z"))
    );
    let (again, _) = events(&changed(path, &[("/ref", json!("refs/heads/other"))]));
    assert_eq!(told[0]["dedup"], again[0]["dedup"]);
    assert_ne!(told[1]["dedup"], again[1]["dedup"]);
    // The fork has the commit, too, and that is another fact.
    let (fork, _) = events(&changed(path, &[("/repository/id", json!(1))]));
    assert_ne!(told[0]["dedup"], fork[0]["dedup"]);
    assert_eq!(events(&changed(path, &[("/ref", json!("refs/notes/commits"))])).0.len(), 0);
    let reverts = json!(format!("Revert x\n\nThis reverts commit {}.", "c".repeat(40)));
    let (told, _) = events(&changed(path, &[("/commits/0/message", reverts)]));
    assert_eq!(told[0]["data"]["reverts"], "c".repeat(40));
}

#[test]
fn a_push_without_commits_or_with_one_of_nobody_tells_the_rest() {
    let mut push = forges::body("github/push.commits.json");
    let kinds = |push: &Value| {
        let (told, over) = events(&serde_json::to_vec(push).unwrap());
        (told.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect::<Vec<_>>(), over)
    };
    let id = push["commits"][0]["id"].as_str().unwrap().to_owned();
    push["commits"][0]["author"] = Value::Null;
    push["head_commit"]["author"] = Value::Null;
    assert_eq!(
        kinds(&push),
        (vec!["branch.updated".to_owned()], format!("passed over: commit {id} without an author"))
    );
    push["commits"] = Value::Null;
    assert_eq!(kinds(&push), (vec!["branch.updated".to_owned()], String::new()));
}

#[test]
fn an_unmerged_change_is_never_merged_and_what_undoes_one_says_so() {
    let merged = "github/pull_request.closed.merged.DERIVED.json";
    let body = json!("Reverts Codertocat/Hello-World#1\n\nIt broke.");
    let told = only(&changed(merged, &[("/pull_request/body", body), ("/pull_request/merged_by", Value::Null)]));
    assert_eq!((&told["data"]["reverts_change"], &told["data"]["merged_by"]), (&json!("1"), &Value::Null));
    let other = only(&changed(merged, &[("/pull_request/body", json!("Reverts other/repository#1"))]));
    assert_eq!(other["data"]["reverts_change"], Value::Null);
    let gone = [("/pull_request/head/repo", Value::Null), ("/pull_request/user", Value::Null)];
    let told = only(&changed("github/pull_request.opened.json", &gone));
    assert_eq!((&told["data"]["from_fork"], &told["data"]["author"]), (&json!(true), &json!("github:Codertocat")));
    let again = [&gone[..], &[("/action", json!("reopened"))]].concat();
    let told = only(&changed("github/pull_request.opened.json", &again));
    assert_eq!(told["data"]["author"], "github:ghost", "who opens it again need not be who wants it");
    let fork =
        [("/pull_request/head/repo/id", json!(7)), ("/pull_request/head/repo/full_name", json!("jane/Hello-World"))];
    let told = only(&changed("github/pull_request.opened.json", &fork));
    assert_eq!(
        (&told["data"]["from_fork"], &told["data"]["head_repository"]),
        (&json!(true), &json!("jane/Hello-World"))
    );
    let again = only(&changed("github/pull_request.closed.json", &[("/action", json!("reopened"))]));
    assert_eq!(
        (&again["type"], &again["occurred_at"]),
        (&json!("change.created"), &json!("2019-05-15T15:21:18.000000Z"))
    );
    let review = "github/pull_request_review.submitted.json";
    let dismissed = only(&changed(
        review,
        &[("/action", json!("dismissed")), ("/review/state", json!("dismissed")), ("/sender/login", json!("boss"))],
    ));
    let data = &dismissed["data"];
    assert_eq!(
        (&data["state"], &data["reviewer"], &dismissed["actor"]),
        (&json!("dismissed"), &json!("github:Codertocat"), &json!("github:boss"))
    );
    let loud = only(&changed(review, &[("/review/state", json!("CHANGES_REQUESTED"))]));
    assert_eq!(loud["data"]["state"], "changes_requested");
}

#[test]
fn a_run_has_a_reference_only_where_its_event_decides_which() {
    let path = "github/workflow_run.completed.json";
    let git_ref = |event: &str, head: Value| {
        let changes = [("/workflow_run/event", json!(event)), ("/workflow_run/head_repository/id", head)];
        only(&changed(path, &changes))["data"]["git_ref"].clone()
    };
    let here = || forges::body(path)["repository"]["id"].clone();
    assert_eq!(git_ref("release", here()), "refs/tags/master");
    assert_eq!(git_ref("schedule", here()), "refs/heads/master");
    assert_eq!(git_ref("pull_request", here()), "refs/heads/master");
    assert_eq!(git_ref("pull_request", json!(7)), Value::Null, "the branch of a fork is none of ours");
    assert_eq!(git_ref("push", here()), Value::Null, "a tag may be called like a branch");
    let started = only(&fixture("github/workflow_run.requested.json"));
    let running = only(&changed("github/workflow_run.requested.json", &[("/action", json!("in_progress"))]));
    assert_eq!(started["dedup"], running["dedup"], "an attempt begins once");
    let attempt = [("/workflow_run/run_attempt", json!(2)), ("/workflow_run/triggering_actor/login", json!("jane"))];
    let second = only(&changed("github/workflow_run.requested.json", &attempt));
    assert_eq!((&second["data"]["attempt"], &second["data"]["initiated_by"]), (&json!(2), &json!("github:jane")));
    assert_ne!(started["dedup"], second["dedup"]);
    let named = only(&changed(
        path,
        &[
            ("/workflow_run/name", json!("Build for @jane")),
            ("/workflow/name", json!("")),
            ("/workflow/path", json!(".github/workflows/b.yml@refs/heads/x")),
        ],
    ));
    assert_eq!(named["data"]["pipeline"], ".github/workflows/b.yml");
}

#[test]
fn other_actions_and_states_are_passed_over_by_name() {
    let over = |path: &str, changes: &[(&str, Value)]| {
        let (told, over) = events(&changed(path, changes));
        assert!(told.is_empty(), "{told:?}");
        over
    };
    let status = "github/deployment_status.json";
    assert_eq!(
        over(status, &[("/deployment_status/state", json!("inactive"))]),
        "passed over: deployment_status.inactive"
    );
    let suite = [("/check_suite/conclusion", Value::Null)];
    assert_eq!(over("github/check_suite.completed.json", &suite), "passed over: check_suite.completed");
    assert_eq!(over("github/status.json", &[("/state", json!("pending"))]), "passed over: status.pending");
    assert_eq!(
        over("github/pull_request.opened.json", &[("/action", json!("labeled"))]),
        "passed over: pull_request.labeled"
    );
    assert_eq!(over("github/release.published.json", &[("/action", json!("deleted"))]), "passed over: release.deleted");
    let npm = [("/package/package_version/version", json!("1.0.0"))];
    assert_eq!(over("github/package.published.docker.json", &npm), "passed over: package.published");
    let star = Try { headers: &[("X-GitHub-Event", "star")], ..Try::default() };
    assert_eq!(star.lines(b"{\"action\":\"created\",\"starred_at\":null}").unwrap(), "passed over: star.created\n");
    let failed = only(&changed(
        status,
        &[("/deployment_status/state", json!("error")), ("/deployment_status/environment", json!("review/42"))],
    ));
    assert_eq!((&failed["type"], &failed["stream"]), (&json!("sync.failed"), &json!("target/review:42/Hello-World")));
}

#[test]
fn a_tag_names_the_digest_that_it_was_seen_with() {
    let path = "github/package.published.docker.json";
    let digest = "sha256:3da1996a8115d7616457760d9920b815241d0a03b34cf5f04e9a0e9d8de37498";
    let tag =
        |value: &str| ("/package/package_version/container_metadata/tag", json!({"name": "v1.4.0", "digest": value}));
    let (told, seen) = events(&changed(path, &[tag(digest)]));
    assert_eq!(told[0]["data"]["tags"], json!(["v1.4.0"]));
    assert!(seen.contains("ghcr.io/codertocat/hello-world") && seen.contains(digest), "{seen}");
    let other = format!("sha256:{}", "e".repeat(64));
    let (told, seen) = events(&changed(path, &[tag(&other), ("/package/package_type", json!("CONTAINER"))]));
    assert_eq!(told[0]["data"]["tags"], json!([]));
    assert!(seen.contains(&other) && !seen.contains(digest), "{seen}");
    let elsewhere = ("/package/package_version/container_metadata/manifest/digest", json!(other));
    assert_eq!(only(&changed(path, &[elsewhere]))["data"]["config_digest"], Value::Null);
}

#[test]
fn a_body_is_told_also_where_a_long_text_hides_its_end() {
    let path = "github/pull_request.opened.json";
    let long = [("/pull_request/body", json!("long ".repeat(20_000)))];
    assert_eq!(only(&changed(path, &long))["type"], "change.created");
}

#[test]
fn the_events_api_tells_pushes_and_references_too() {
    let envelope = |kind: &str, payload: Value| {
        let repo = json!({"id": 7, "name": "o/n", "url": "https://api.github.com/repos/o/n"});
        let at = "2026-03-04T12:00:00Z";
        let body = json!({"id": "1", "type": kind, "actor": {"login": "jane"}, "repo": repo, "payload": payload, "created_at": at});
        events(&serde_json::to_vec(&body).unwrap())
    };
    let (old, new) = ("a".repeat(40), "b".repeat(40));
    let (told, _) =
        envelope("PushEvent", json!({"ref": "refs/heads/main", "before": old, "head": new, "commits": [{"sha": "x"}]}));
    assert_eq!(told[0]["stream"], "repo/github.com/o/n");
    assert_eq!(told[0]["data"], json!({"after": new, "before": old, "branch": "main"}));
    assert_eq!(
        (&told[0]["actor"], &told[0]["occurred_at"]),
        (&json!("github:jane"), &json!("2026-03-04T12:00:00.000000Z"))
    );
    // What GitHub sends since it shortened them.
    let repo = json!({"id": 7, "url": "https://api.github.com/repos/o/n", "name": "n"});
    let end = |branch: &str| json!({"ref": branch, "sha": old, "repo": repo});
    let short = json!({"id": 5, "number": 3, "head": end("f"), "base": end("main")});
    let (told, _) = envelope("PullRequestEvent", json!({"action": "opened", "number": 3, "pull_request": short}));
    assert_eq!(
        (&told[0]["data"]["author"], &told[0]["occurred_at"]),
        (&json!("github:jane"), &json!("2026-03-04T12:00:00.000000Z"))
    );
    let (told, _) = envelope("CreateEvent", json!({"ref": "v1", "ref_type": "tag"}));
    assert_eq!(told[0]["data"], json!({"tag": "v1"}));
    let made = json!({"ref": null, "ref_type": "repository"});
    assert_eq!(envelope("CreateEvent", made).1, "passed over: create.repository");
    assert_eq!(envelope("WatchEvent", json!({"action": "started"})).1, "passed over: WatchEvent.started");
}
