//! What holds for every forge.

use plimsoll::event::{Draft, Error, Field as _, Private, Subject, Visitor};
use plimsoll::ingest::upload::About;
use plimsoll::ingest::{Headers, Input, Reason, Rejection, Targets, normalise};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use super::{Try, fixture, received_at};

/// A fixture as JSON.
pub fn body(path: &str) -> Value {
    serde_json::from_slice(&fixture(path)).unwrap()
}

/// A fixture with some values put in place of others; null takes a member away.
pub fn changed(path: &str, changes: &[(&str, Value)]) -> Vec<u8> {
    let mut body = body(path);
    for (at, value) in changes {
        let (parent, member) = at.rsplit_once('/').unwrap();
        match (body.pointer_mut(parent).unwrap_or_else(|| panic!("{path} has no {at}")), value) {
            (Value::Object(members), Value::Null) => drop(members.remove(member)),
            (Value::Array(items), value) => items[member.parse::<usize>().unwrap()] = value.clone(),
            (parent, value) => parent[member] = value.clone(),
        }
    }
    serde_json::to_vec(&body).unwrap()
}

/// The events that a body becomes, and the lines after them: tags that were seen, what was passed over.
pub fn events(body: &[u8]) -> (Vec<Value>, String) {
    let lines = Try::default().lines(body).unwrap_or_else(|rejection| panic!("{rejection}"));
    let (events, rest): (Vec<_>, Vec<_>) = lines.lines().partition(|line| line.starts_with('{'));
    (events.into_iter().map(|line| serde_json::from_str(line).unwrap()).collect(), rest.join("\n"))
}

/// The one event that a body becomes.
#[track_caller]
pub fn only(body: &[u8]) -> Value {
    let (mut events, over) = events(body);
    assert_eq!(events.len(), 1, "{events:?} {over}");
    events.remove(0)
}

fn drafts(body: Vec<u8>) -> Result<Vec<Draft>, Rejection> {
    let (headers, about, targets) = (Headers::default(), About::default(), Targets::default());
    let (body, received_at) = (body.into(), received_at());
    let input = Input { source: None, headers: &headers, body, about: &about, targets: &targets, received_at };
    normalise(&input, &mut ()).map(|normalised| normalised.events.drafts)
}

/// Where every value of a document is.
fn pointers(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| pointers(value, &format!("{at}/{key}"), all)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, value)| pointers(value, &format!("{at}/{n}"), all));
        }
        _ => {}
    }
}

/// With any value of a fixture in place of any other: it is refused for a field, or its events fit their streams.
pub fn hold_under_changes(fixtures: &[&str]) {
    let bodies: Vec<(Value, Vec<String>)> = fixtures
        .iter()
        .map(|path| {
            let (body, mut all) = (body(path), Vec::new());
            pointers(&body, "", &mut all);
            // What nobody reads fills the most of it.
            all.retain(|at| !at.is_empty() && (!at.contains("_url") || at.ends_with("clone_url")));
            (body, all)
        })
        .collect();
    let values = [
        json!(null),
        json!(true),
        json!(-1),
        json!(u64::MAX),
        json!(1e300),
        json!(""),
        json!("x\u{0}\u{7f}/..é"),
        json!("0".repeat(40)),
        json!("2026-02-30T25:00:00Z"),
        json!("x".repeat(70_000)),
        json!([]),
        json!([{}, 1]),
        json!({}),
    ];
    let cases = if crate::support::rig::slow() { 30_000 } else { 3_000 };
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let chance = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let picked = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<prop::sample::Index>());
    let result = TestRunner::new_with_rng(config, chance).run(&picked, |(which, place, value)| {
        let (mut body, at) = {
            let (body, all) = which.get(&bodies);
            (body.clone(), place.get(all))
        };
        *body.pointer_mut(at).unwrap() = value.get(&values).clone();
        match drafts(serde_json::to_vec(&body).unwrap()) {
            Ok(drafts) => {
                for draft in drafts {
                    let kind = draft.data.event_type().unwrap();
                    prop_assert!(kind.stream_kind().admits(&draft.stream), "{} in {}", kind, draft.stream);
                    let json = draft.data.to_json().unwrap();
                    let plain = kind == plimsoll::event::EventType::CommitRecorded || json.len() < 150_000;
                    prop_assert!(plain, "{} bytes for {at}", json.len());
                }
            }
            Err(rejection) if matches!(rejection.reason, Reason::UnknownFormat | Reason::Malformed) => {}
            Err(rejection) => prop_assert!(rejection.field.is_some(), "{at}: {rejection}"),
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

struct Blacken;

impl Visitor for Blacken {
    fn private(&mut self, value: &mut Private) -> Result<(), Error> {
        *value = Private::plain("");
        Ok(())
    }

    fn subject(&mut self, value: &mut Subject) -> Result<(), Error> {
        *value = Subject::identity("somebody");
        Ok(())
    }
}

/// Puts a mark into everything of those names, except in labels, whose texts are public words.
fn mark(value: &mut Value, keys: &[&str]) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                match value {
                    Value::String(text) if keys.contains(&key.as_str()) => *text = "Kilroy".to_owned(),
                    value if key != "labels" => mark(value, keys),
                    _ => {}
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| mark(item, keys)),
        _ => {}
    }
}

/// That of what stands under these keys nothing is left once private values are taken away.
pub fn hold_private(fixtures: &[&str], keys: &[&str]) {
    let mut n_marked = 0;
    for path in fixtures {
        let mut body = body(path);
        mark(&mut body, keys);
        for mut draft in drafts(serde_json::to_vec(&body).unwrap()).unwrap() {
            let text = |draft: &Draft| format!("{draft:?} {} {}", draft.dedup, draft.data.to_json().unwrap());
            n_marked += usize::from(text(&draft).contains("Kilroy"));
            draft.visit(&mut Blacken).unwrap();
            assert!(!text(&draft).contains("Kilroy"), "{path}: {}", text(&draft));
        }
    }
    assert!(n_marked > 0, "nothing was marked");
}
