//! GitHub: every kind of event by its members alone, by its header, and by what is broken.

use plimsoll::ingest::Reason;
use serde_json::{Value, json};

use super::{Try, fixture};

const FIXTURES: &[&str] = &[
    "check_run.completed.json",
    "check_suite.completed.json",
    "create.tag.json",
    "delete.tag.json",
    "deployment.json",
    "deployment_review.requested.json",
    "deployment_status.json",
    "events-api.PullRequestEvent.merged.json",
    "package.published.docker.json",
    "ping.json",
    "pull_request.closed.json",
    "pull_request.closed.merged.DERIVED.json",
    "pull_request.opened.json",
    "pull_request.synchronize.json",
    "pull_request_review.submitted.json",
    "push.branch-created.json",
    "push.commits.json",
    "push.tag-deleted.json",
    "registry_package.published.docker.json",
    "release.published.json",
    "status.json",
    "workflow_job.completed.failure.json",
    "workflow_job.in_progress.json",
    "workflow_job.queued.json",
    "workflow_run.completed.json",
    "workflow_run.completed.pull_request.json",
    "workflow_run.requested.json",
];

/// The event that a fixture's name says; none for an entry of the Events API.
fn event(name: &str) -> Option<&str> {
    name.split('.').next().filter(|event| *event != "events-api")
}

fn body(name: &str) -> Value {
    serde_json::from_slice(&fixture(&format!("github/{name}"))).unwrap()
}

/// A fixture with some values put in place of others; null takes a member away.
fn changed(name: &str, changes: &[(&str, Value)]) -> Vec<u8> {
    let mut body = body(name);
    for (path, value) in changes {
        let (parent, member) = path.rsplit_once('/').unwrap();
        let parent = body.pointer_mut(parent).unwrap_or_else(|| panic!("{name} has no {path}"));
        match (parent, value) {
            (Value::Object(members), Value::Null) => drop(members.remove(member)),
            (parent, value) => parent[member] = value.clone(),
        }
    }
    serde_json::to_vec(&body).unwrap()
}

/// The events that a body becomes, and what was passed over.
fn events(body: &[u8]) -> (Vec<Value>, String) {
    let lines = Try::default().lines(body).unwrap_or_else(|rejection| panic!("{rejection}"));
    let (events, rest): (Vec<_>, Vec<_>) = lines.lines().partition(|line| line.starts_with('{'));
    (events.into_iter().map(|line| serde_json::from_str(line).unwrap()).collect(), rest.join("\n"))
}

fn only(body: &[u8]) -> Value {
    let (mut events, _) = events(body);
    assert_eq!(events.len(), 1, "{events:?}");
    events.remove(0)
}

#[test]
fn every_fixture_is_told_by_its_members_and_by_its_header_alike() {
    assert_eq!(std::fs::read_dir("tests/fixtures/github").unwrap().count(), FIXTURES.len() + 1);
    for name in FIXTURES {
        let path = format!("github/{name}");
        Try::default().golden(&path);
        if let Some(event) = event(name) {
            Try { headers: &[("X-GitHub-Event", event)], ..Try::default() }.golden(&path);
        }
    }
}

#[test]
fn nothing_that_is_cut_off_or_garbled_panics() {
    FIXTURES.iter().for_each(|name| Try::default().never_panics(&format!("github/{name}")));
}
