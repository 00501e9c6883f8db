//! Makes a payload of any type, the same one every time: with every optional field, or with none.
//!
//! The payload's schema says which fields there are, so none can be forgotten, and a new type only needs words for its
//! free text (`words.rs`).

use plimsoll::event::{EventType, Hex32};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::schema;
use super::words::{FALSE, NUMBERS, STREAMS, TEXTS, TIMES, VARIANTS};

/// How to make a payload.
pub(super) struct Sample {
    /// Whether optional fields are there.
    pub(super) full: bool,
    /// Stands in every private text, so that it can be found again.
    pub(super) marker: &'static str,
}

/// Hexadecimal digits that look random and depend on `name` only.
pub(super) fn hex(name: &str) -> String {
    Hex32::from_bytes(Sha256::digest(name.as_bytes()).into()).to_string()
}

/// What the table has for a field: by structure and field, else by field alone.
fn look<T: Copy>(table: &[(&str, T)], place: &str) -> Option<T> {
    let field = place.rsplit('.').next().unwrap();
    let by = |key: &str| table.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
    by(place).or_else(|| by(field))
}

impl Sample {
    /// The payload of a draft of that type.
    pub(super) fn payload(&self, event_type: EventType) -> Value {
        let schema = schema::of(event_type);
        self.object(&schema["$defs"], &schema["properties"]["data"], event_type.as_str())
    }

    fn object(&self, defs: &Value, schema: &Value, structure: &str) -> Value {
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let mut members = Map::new();
        for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
            if self.full || required.contains(&json!(field)) {
                members.insert(field.clone(), self.value(defs, schema, &format!("{structure}.{field}")));
            }
        }
        Value::Object(members)
    }

    fn value(&self, defs: &Value, schema: &Value, place: &str) -> Value {
        if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
            return self.named(defs, name, place);
        }
        match schema["type"].as_str() {
            Some("string") => look(TEXTS, place).unwrap_or_else(|| panic!("no words for {place}")).into(),
            Some("boolean") => (!FALSE.iter().any(|field| place.ends_with(field))).into(),
            Some("integer") => look(NUMBERS, place).unwrap_or(3).into(),
            Some("array") if self.full => json!([self.value(defs, &schema["items"], place)]),
            Some("array") => json!([]),
            _ => panic!("{place}: {schema}"),
        }
    }

    fn named(&self, defs: &Value, name: &str, place: &str) -> Value {
        let def = &defs[name];
        match name {
            "Private" | "Subject" => {
                let text = look(TEXTS, &format!("{name}:{place}")).or_else(|| look(TEXTS, place));
                let who = if name == "Subject" { "Jane Doe <jane@example.com>" } else { "as agreed with Jane" };
                format!("{}{}", text.unwrap_or(who), self.marker).into()
            }
            "GitOid" => hex(place)[..40].into(),
            "Digest" => format!("sha256:{}", hex(place)).into(),
            "Hex32" => hex(place).into(),
            "Timestamp" => format!("2026-03-04T{}Z", look(TIMES, place).unwrap_or("12:00:00.000000")).into(),
            "U64" | "Position" => look(NUMBERS, place).unwrap_or(3).to_string().into(),
            "EventId" => "019cb8dd-2c00-7000-8000-0412deadbeef".into(),
            "SealedId" => "019cb8dd-2c00-7000-8000-000000000007".into(),
            "SubjectId" => "sbj_pmrgk3tu7q2wzyxabcdefghijklmnopq".into(),
            "StreamName" => look(STREAMS, place).unwrap_or_else(|| panic!("no stream for {place}")).into(),
            _ if def["properties"].is_object() => self.object(defs, def, name),
            _ if def["oneOf"].is_array() || def["enum"].is_array() => {
                look(VARIANTS, place).unwrap_or_else(|| first_word(def)).into()
            }
            _ => look(TEXTS, place).unwrap_or_else(|| panic!("no words for {place}, a {name}")).into(),
        }
    }
}

/// The first of an enumeration's words.
fn first_word(def: &Value) -> &str {
    def["oneOf"][0]["const"].as_str().or_else(|| def["enum"][0].as_str()).unwrap()
}
