//! What must hold of whatever other systems send.

use plimsoll::app::RawDraft;
use plimsoll::event::Timestamp;
use plimsoll::ingest::redact::{Redactor, redact};
use plimsoll::ingest::upload::About;
use plimsoll::ingest::{Headers, Input, Normalised, SYSTEMS, Targets, normalise};
use plimsoll::report::{Component, Details, FORMATS, Finding, Kind, Sketch};

/// Looks at details, so that they are put together.
struct Looks;

impl Details for Looks {
    fn component(&mut self, component: Component) {
        assert!(serde_json::to_string(&component).is_ok());
    }
    fn finding(&mut self, finding: Finding) {
        assert!(serde_json::to_string(&finding).is_ok());
    }
}

fn tried(source: Option<&str>, data: &[u8]) {
    let about = About {
        artifact: Some(format!("sha256:{}", "ab".repeat(32)).parse().expect("a digest")),
        commit: Some("ab".repeat(20).parse().expect("a commit")),
        repository: Some("example.com/app".to_owned()),
        other_subject: true,
        ..About::default()
    };
    let received_at: Timestamp = "2026-11-30T00:00:00Z".parse().expect("a time");
    let (headers, targets) = (Headers::default(), Targets::default());
    let input =
        Input { source, headers: &headers, body: data.to_vec().into(), about: &about, targets: &targets, received_at };
    if let Ok(normalised) = normalise(&input, &mut Looks) {
        held(&normalised);
    }
}

/// What was made is what a ledger takes: every draft is of a known type, in a stream of its kind, and reads back the same.
fn held(normalised: &Normalised) {
    for draft in &normalised.events.drafts {
        let kind = draft.data.event_type().expect("a known type");
        assert!(kind.stream_kind().admits(&draft.stream), "{kind} in {}", draft.stream);
        let raw = RawDraft::of(draft).expect("it can be written");
        let again = raw.check().unwrap_or_else(|error| panic!("{kind} does not read back: {error}"));
        assert_eq!(&again, draft);
        assert!(!draft.evidence.is_empty(), "{kind} without evidence");
    }
}

/// Any system, by name and as found out.
pub fn webhook(data: &[u8]) {
    tried(None, data);
    SYSTEMS.iter().for_each(|system| tried(Some(system.name), data));
}

fn document(kind: Kind, data: &[u8]) {
    FORMATS.iter().filter(|format| format.kinds.contains(&kind)).for_each(|format| tried(Some(format.name), data));
}

/// Any scanner's report.
pub fn scan(data: &[u8]) {
    document(Kind::Scan, data);
}

/// Any bill of materials.
pub fn sbom(data: &[u8]) {
    document(Kind::Sbom, data);
}

/// Any linter's output.
pub fn check(data: &[u8]) {
    document(Kind::Check, data);
}

/// Any results of tests.
pub fn tests(data: &[u8]) {
    document(Kind::Tests, data);
}

/// Any statement.
pub fn attestation(data: &[u8]) {
    document(Kind::Attestation, data);
}

/// Any measure of what tests reach.
pub fn coverage(data: &[u8]) {
    document(Kind::Coverage, data);
}

/// What is blackened keeps its length and, where it was JSON, stays JSON; blackened again it stays as it is; in pieces it
/// becomes the same. A sketch is made of anything.
pub fn redaction(data: &[u8]) {
    let _sketch = Sketch::of(data);
    let mut whole = data.to_vec();
    let n = redact(&mut whole, &["Secret"]);
    assert_eq!(whole.len(), data.len());
    assert_eq!(n == 0, whole == data);
    if serde_json::from_slice::<serde_json::Value>(data).is_ok() {
        assert!(serde_json::from_slice::<serde_json::Value>(&whole).is_ok(), "it was JSON");
    }
    let (mut redactor, mut out) = (Redactor::new(&["Secret"]), Vec::new());
    data.chunks(data.len() / 3 + 1).for_each(|piece| redactor.push(piece, &mut out));
    assert_eq!((redactor.finish(&mut out), &out), (n, &whole));
}
