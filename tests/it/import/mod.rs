//! `import git`, through the real program, of repositories that git itself made.

mod follow;
mod history;
mod library;
mod manifests;
mod odd;
mod refs;
mod remote;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::program::Desk;
use crate::support::repo::Repo;

/// Imports and returns what the program says of it.
#[track_caller]
fn import(desk: &Desk, location: &str, more: &[&str]) -> Value {
    let args = ["import", "git", location, "--json"].into_iter().chain(more.iter().copied());
    desk.run(args).json()
}

/// Every event, with its private values.
#[track_caller]
fn events(desk: &Desk) -> Vec<Value> {
    let out = desk.run(["log", "--json"]).ok();
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The events of one type.
#[track_caller]
fn of_type(desk: &Desk, name: &str) -> Vec<Value> {
    events(desk).into_iter().filter(|event| event["type"] == name).collect()
}

/// The commits, by id, each with its private values put in place.
#[track_caller]
fn commits(desk: &Desk) -> BTreeMap<String, Value> {
    let mut commits = BTreeMap::new();
    for event in of_type(desk, "commit.recorded") {
        let opened = open(&event);
        let twice = commits.insert(opened["commit"].as_str().unwrap().to_owned(), opened);
        assert!(twice.is_none(), "recorded twice: {twice:?}");
    }
    commits
}

/// An event's payload with its private values in place of their commitments.
fn open(event: &Value) -> Value {
    fn walk(value: &mut Value, private: &Value) {
        let id = value["sealed"].as_str().or_else(|| value.as_str()).unwrap_or_default();
        if let Some(text) = private.get(id) {
            *value = text.clone();
            return;
        }
        match value {
            Value::Object(members) => members.values_mut().for_each(|member| walk(member, private)),
            Value::Array(items) => items.iter_mut().for_each(|item| walk(item, private)),
            _ => {}
        }
    }
    let mut data = event["data"].clone();
    walk(&mut data, &event["private"]);
    data
}

/// A desk with a ledger, and a repository.
fn both() -> (Desk, Repo) {
    (Desk::with_ledger(), Repo::new())
}
