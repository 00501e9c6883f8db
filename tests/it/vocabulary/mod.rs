//! Every type of event: its schema, its golden bytes, and what is refused.
//!
//! `UPDATE_SCHEMAS=1` writes `schema/events`, `UPDATE_GOLDEN=1` writes `tests/golden/events`. A golden file that changes
//! is a leaf that an older reader may not understand: raise the version and keep the old file.

// Tells clippy that the helpers are tests, too.
#![cfg(test)]

mod sample;
mod schema;
mod words;

use std::path::PathBuf;

use plimsoll::event::{
    Data, Draft, Error, EventId, EventType, EvidenceRef, Expected, Field as _, Hex32, Position, Prepared, Private,
    Recorded, Salt, SealedRef, StreamKind, Subject, SubjectId, Timestamp, VERSION, Visitor, canonical, commitment,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use sample::{Sample, hex};

const FULL: Sample = Sample { full: true, marker: "" };
const LEAST: Sample = Sample { full: false, marker: "" };
const MARKED: Sample = Sample { full: true, marker: " 7e57ab1e" };

/// Seals with salts and ids that count up from 1.
#[derive(Default)]
struct Sealer(u64);

impl Sealer {
    fn salt(&mut self) -> Salt {
        self.0 += 1;
        Sha256::digest(self.0.to_be_bytes()).into()
    }
}

impl Visitor for Sealer {
    fn private(&mut self, value: &mut Private) -> Result<(), Error> {
        if let Private::Plain(text) = value {
            let commitment = Hex32::from_bytes(commitment(&self.salt(), text));
            let sealed = format!("019cb8dd-2c00-7000-8000-{:012x}", self.0).parse()?;
            *value = Private::Sealed(SealedRef { commitment, sealed });
        }
        Ok(())
    }
    fn subject(&mut self, value: &mut Subject) -> Result<(), Error> {
        if let Subject::Identity(text) = value {
            // One person, one pseudonym: the salt is the person's.
            *value = Subject::Id(SubjectId::commit(&Sha256::digest(text.as_bytes()).into(), text));
        }
        Ok(())
    }
}

fn stream(event_type: EventType) -> String {
    match event_type.stream_kind() {
        StreamKind::Repo => "repo/github.com/acme/churn".to_owned(),
        StreamKind::Artifact => format!("artifact/sha256:{}", hex("churn-api")),
        StreamKind::ArtifactOrRepo => format!("artifact/sha256:{}", hex("churn-api")),
        StreamKind::Target => "target/production/churn-api".to_owned(),
        StreamKind::Promotion => "promotion/01JNGS6Y3QK2".to_owned(),
        StreamKind::Restore => "restore/01JNGT0000AA".to_owned(),
        StreamKind::Incident => "incident/pagerduty/Q1ABCDEF".to_owned(),
        StreamKind::Policy => "policy".to_owned(),
        StreamKind::Ledger => "ledger".to_owned(),
        StreamKind::Foreign => "foreign/tekton/ci".to_owned(),
        StreamKind::Notification => "notification/01JNGV1111BB".to_owned(),
    }
}

/// A draft of that payload with every field of the envelope.
fn draft(event_type: EventType, payload: &Value) -> Draft {
    let data = Data::parse(event_type, payload.to_string().as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    let at: Timestamp = "2026-03-04T12:00:00.000000Z".parse().unwrap();
    Draft {
        data,
        stream: stream(event_type).parse().unwrap(),
        source: "github/acme".parse().unwrap(),
        dedup: "72d3162e-cc78-11e3-81ab-4c9367dc0958".parse().unwrap(),
        occurred_at: at,
        actor: Some(Subject::identity("github:octocat")),
        correlation: Some("01JNGS6Y3QK2".parse().unwrap()),
        causation: Some(EventId::new(at, Position(1040), 7)),
        evidence: vec![EvidenceRef {
            blake3: hex("body").parse().unwrap(),
            media_type: "application/json".parse().unwrap(),
            sha256: hex("body, too").parse().unwrap(),
            size: "8123".parse().unwrap(),
        }],
        expected: Expected::Any,
    }
}

/// The draft, sealed, and its leaf at position 1042.
fn record(mut draft: Draft) -> (Draft, Recorded) {
    draft.visit(&mut Sealer::default()).unwrap();
    let at: Timestamp = "2026-03-04T12:00:01.200000Z".parse().unwrap();
    let id = EventId::new(at, Position(1042), 0xdead_beef);
    let leaf = Prepared::new(&draft).unwrap().leaf(id, at, 57, Some(&Sha256::digest(b"prev").into()));
    (draft, Recorded::parse(leaf).unwrap())
}

/// A recorded event of that type: with every optional field, or with none.
pub fn recorded(event_type: EventType, full: bool) -> Recorded {
    let sample = if full { &FULL } else { &LEAST };
    record(draft(event_type, &sample.payload(event_type))).1
}

fn golden(event_type: EventType) -> (Draft, Recorded) {
    record(draft(event_type, &FULL.payload(event_type)))
}

/// The payload as it stands in the golden leaf.
fn golden_payload(event_type: EventType) -> Value {
    serde_json::from_str(golden(event_type).1.payload().unwrap()).unwrap()
}

fn refused(event_type: EventType, payload: &Value) -> Error {
    match Data::parse(event_type, payload.to_string().as_bytes()) {
        Err(error) => error,
        Ok(_) => panic!("{event_type} takes {payload}"),
    }
}

/// Compares with the committed file, or writes it where `variable` is set.
fn hold_to_file(variable: &str, path: &str, content: &[u8]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os(variable).is_some() {
        std::fs::write(&path, content).unwrap();
    }
    let committed = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(committed == content, "{} is not what the types give; see {variable}=1", path.display());
}

fn files_in(folder: &str) -> Vec<String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut names: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn schemas_are_those_of_the_types() {
    for &event_type in EventType::ALL {
        let text = format!("{:#}\n", schema::of(event_type));
        hold_to_file("UPDATE_SCHEMAS", &format!("schema/events/{event_type}.json"), text.as_bytes());
    }
}

#[test]
fn golden_leaves_and_their_hashes_stay_as_they_are() {
    let mut hashes = String::new();
    for &event_type in EventType::ALL {
        let (_, recorded) = golden(event_type);
        hold_to_file("UPDATE_GOLDEN", &format!("tests/golden/events/{event_type}.json"), recorded.bytes());
        let hash = Sha256::new().chain_update([0]).chain_update(recorded.bytes()).finalize();
        hashes.push_str(&format!("{event_type} {}\n", Hex32::from_bytes(hash.into())));
    }
    hold_to_file("UPDATE_GOLDEN", "tests/golden/events/hashes.txt", hashes.as_bytes());
}

#[test]
fn no_file_is_left_of_a_type_that_is_gone() {
    let mut expected: Vec<_> = EventType::ALL.iter().map(|event_type| format!("{event_type}.json")).collect();
    expected.push("hashes.txt".to_owned());
    expected.sort();
    assert_eq!(files_in("tests/golden/events"), expected);
    expected.retain(|name| name != "hashes.txt");
    expected.push("README.md".to_owned());
    expected.sort();
    assert_eq!(files_in("schema/events"), expected);
}

#[test]
fn leaves_are_canonical_valid_and_read_back_as_the_value_they_were_made_of() {
    for &event_type in EventType::ALL {
        let validator = jsonschema::validator_for(&schema::of(event_type)).unwrap();
        for sample in [FULL, LEAST] {
            let (draft, recorded) = record(draft(event_type, &sample.payload(event_type)));
            canonical::check(recorded.bytes()).unwrap();
            assert_eq!(recorded.data().unwrap(), draft.data, "{event_type}");
            let json: Value = serde_json::from_slice(recorded.bytes()).unwrap();
            let errors: Vec<_> = validator.iter_errors(&json).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{event_type}: {errors:?}");
            for (path, value) in [("/data", json!({})), ("", json!({}))] {
                let mut more = json.clone();
                more.pointer_mut(path).unwrap()["extra"] = value;
                assert!(!validator.is_valid(&more), "{event_type}: the schema takes a field more at {path:?}");
            }
        }
    }
}

/// Calls `change` with a copy of `value` and each place in it that holds an object, sealed values excepted.
fn with_each_object(value: &Value, mut change: impl FnMut(&mut Value, &str)) {
    fn paths(value: &Value, at: &str, out: &mut Vec<String>) {
        match value {
            Value::Object(members) if !members.contains_key("sealed") => {
                out.push(at.to_owned());
                members.iter().for_each(|(key, member)| paths(member, &format!("{at}/{key}"), out));
            }
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(n, item)| paths(item, &format!("{at}/{n}"), out));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    paths(value, "", &mut found);
    for path in found {
        change(&mut value.clone(), &path);
    }
}

#[test]
fn an_unknown_field_is_refused_at_append_and_passed_over_on_reading() {
    for &event_type in EventType::ALL {
        let typed = golden(event_type).0.data;
        with_each_object(&golden_payload(event_type), |payload, path| {
            payload.pointer_mut(path).unwrap()["zz_unknown"] = json!("x");
            let error = refused(event_type, payload).to_string();
            assert!(error.contains("zz_unknown"), "{error}");
            let read = Data::read(event_type.as_str(), VERSION, payload.to_string().as_bytes()).unwrap();
            assert_eq!(read, typed, "{event_type} at {path:?}");
        });
    }
}

#[test]
fn a_missing_field_is_refused_exactly_where_it_is_required() {
    for &event_type in EventType::ALL {
        let least = LEAST.payload(event_type);
        assert!(!least.as_object().unwrap().is_empty(), "{event_type} requires nothing");
        let payload = golden_payload(event_type);
        for field in payload.as_object().unwrap().keys() {
            let mut less = payload.clone();
            less.as_object_mut().unwrap().remove(field);
            let taken = Data::parse(event_type, less.to_string().as_bytes()).is_ok();
            assert_eq!(taken, least.get(field).is_none(), "{event_type} without {field}");
        }
    }
}

#[test]
fn a_duplicate_key_and_a_float_are_refused() {
    for &event_type in EventType::ALL {
        let payload = golden_payload(event_type);
        for (field, value) in payload.as_object().unwrap() {
            let mut twice = payload.to_string();
            twice.insert_str(1, &format!("\"{field}\":{value},"));
            assert!(Data::parse(event_type, twice.as_bytes()).is_err(), "{event_type} takes {field} twice");
            let mut float = payload.clone();
            float[field] = json!(1.5);
            refused(event_type, &float);
        }
    }
}

#[test]
fn an_unknown_type_or_version_reads_as_unknown() {
    let payload = br#"{"answer":42}"#;
    assert!(matches!(Data::read("weather.changed", VERSION, payload), Ok(Data::Unknown(_))));
    for &event_type in EventType::ALL {
        let (_, recorded) = golden(event_type);
        let later = Data::read(event_type.as_str(), VERSION + 1, recorded.payload().unwrap().as_bytes()).unwrap();
        assert!(matches!(later, Data::Unknown(_)), "{event_type}");
    }
}

#[test]
fn no_private_text_stays_in_a_leaf() {
    for &event_type in EventType::ALL {
        let plain = MARKED.payload(event_type);
        let (_, recorded) = record(draft(event_type, &plain));
        let sealed = recorded.payload().unwrap();
        assert!(!sealed.contains(MARKED.marker.trim()), "{event_type}: {sealed}");
        // Each was replaced, none was dropped.
        let count = |text: &str, what: &str| text.matches(what).count();
        let replaced = count(sealed, "\"sealed\":") + count(sealed, "\"sbj_");
        let plain = plain.to_string();
        assert_eq!(replaced, count(&plain, MARKED.marker) + count(&plain, "\"sbj_"), "{event_type}");
    }
}
