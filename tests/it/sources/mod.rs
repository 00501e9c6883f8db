//! Sources: every fixture has its golden events, and what is broken is refused.
//!
//! `UPDATE_GOLDEN=1` writes `tests/golden/sources`; what it writes is then reviewed by eye against the fixture.

// Tells clippy that the helpers are tests, too.
#![cfg(test)]

mod alerts;
mod argocd;
mod attestations;
mod cdevents;
mod checks;
mod door;
mod forges;
mod github;
mod gitlab;
mod notifications;
mod outgoing;
mod readme;
mod real_tools;
mod registry;
mod sboms;
mod scanners;
mod scans;
mod upload;
mod validations;

use std::path::PathBuf;

use plimsoll::app::RawDraft;
use plimsoll::event::Timestamp;
use plimsoll::ingest::upload::About;
use plimsoll::ingest::{Headers, Input, Rejection, Targets, normalise};
use plimsoll::report::{Component, Details, Finding};

/// A payload that is tried, and what is known of it.
#[derive(Default)]
pub struct Try<'a> {
    pub source: Option<&'a str>,
    pub headers: &'a [(&'a str, &'a str)],
    pub about: About,
    pub targets: Targets,
    /// Whether the components and findings are part of the golden file.
    pub details: bool,
}

/// When everything is received.
pub fn received_at() -> Timestamp {
    "2026-11-30T00:00:00Z".parse().unwrap()
}

/// A fixture's bytes.
pub fn fixture(path: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

struct Lines(String);

impl Details for Lines {
    fn component(&mut self, component: Component) {
        self.0.push_str(&format!("{}\n", serde_json::json!({"component": component})));
    }
    fn finding(&mut self, finding: Finding) {
        self.0.push_str(&format!("{}\n", serde_json::json!({"finding": finding})));
    }
}

impl Try<'_> {
    /// What bytes become: one JSON line an event, then tags, details, and what was passed over.
    pub fn lines(&self, body: &[u8]) -> Result<String, Rejection> {
        let mut headers = Headers::default();
        self.headers.iter().for_each(|(name, value)| headers.add(name, value));
        let input = Input {
            source: self.source,
            headers: &headers,
            body: body.to_vec().into(),
            about: &self.about,
            targets: &self.targets,
            received_at: received_at(),
        };
        let mut details = Lines(String::new());
        let normalised = match self.details {
            true => normalise(&input, &mut details),
            false => normalise(&input, &mut ()),
        }?;
        let mut text = String::new();
        for draft in &normalised.events.drafts {
            text.push_str(&format!("{}\n", serde_json::to_string(&RawDraft::of(draft).unwrap()).unwrap()));
        }
        for tag in &normalised.events.tags {
            text.push_str(&format!("{tag:?}\n"));
        }
        text.push_str(&details.0);
        for what in &normalised.events.passed_over {
            text.push_str(&format!("passed over: {what}\n"));
        }
        if normalised.redactions > 0 {
            text.push_str(&format!("redactions: {}\n", normalised.redactions));
        }
        Ok(text)
    }

    /// Holds a fixture to its golden file.
    #[track_caller]
    pub fn golden(&self, path: &str) {
        let text = self.lines(&fixture(path)).unwrap_or_else(|rejection| panic!("{path}: {rejection}"));
        hold(path, &text);
    }

    /// That a fixture is refused, and why: the golden file holds the reason.
    #[track_caller]
    pub fn refused(&self, path: &str) {
        let rejection = self.lines(&fixture(path)).expect_err(path);
        hold(path, &format!("refused: {}: {rejection}\n", rejection.reason));
    }

    /// That bytes are refused for that reason and field.
    #[track_caller]
    pub fn refuses(&self, body: &[u8], reason: plimsoll::ingest::Reason, field: Option<&str>) {
        let rejection = self.lines(body).expect_err("it is taken");
        assert_eq!((rejection.reason, rejection.field.as_deref()), (reason, field), "{rejection}");
    }

    /// That a fixture cut off at any byte, or with any byte changed, never panics; whether it is taken is another matter.
    pub fn never_panics(&self, path: &str) {
        let bytes = fixture(path);
        let step = if crate::support::rig::slow() { 1 } else { (bytes.len() / 150).max(1) };
        for end in (0..bytes.len()).step_by(step) {
            let _taken = self.lines(&bytes[..end]).is_ok();
            let mut changed = bytes.clone();
            changed[end] ^= 0x15;
            let _taken = self.lines(&changed).is_ok();
        }
    }
}

#[track_caller]
fn hold(path: &str, text: &str) {
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/sources").join(format!("{path}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(golden.parent().unwrap()).unwrap();
        std::fs::write(&golden, text).unwrap();
    }
    let wanted = std::fs::read_to_string(&golden).unwrap_or_default();
    assert!(wanted == text, "{path} is not as in {}:\n{text}", golden.display());
}
