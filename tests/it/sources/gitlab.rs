//! GitLab.

use plimsoll::ingest::Reason;
use serde_json::{Value, json};

use super::{Try, fixture};

const FIXTURES: &[&str] = &[
    "build.json",
    "deployment.json",
    "job.json",
    "merge_request.json",
    "pipeline.json",
    "push.json",
    "release.json",
    "tag_push.json",
];

#[test]
fn every_fixture_has_its_events() {
    assert_eq!(std::fs::read_dir("tests/fixtures/gitlab").unwrap().count(), FIXTURES.len());
    FIXTURES.iter().for_each(|name| Try::default().golden(&format!("gitlab/{name}")));
}

#[test]
fn nothing_that_is_cut_off_or_garbled_panics() {
    FIXTURES.iter().for_each(|name| Try::default().never_panics(&format!("gitlab/{name}")));
}
