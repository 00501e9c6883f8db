//! A draft as doors receive it: text, not yet checked.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::event::{Data, Draft, Error, EventType, EvidenceRef, Expected, Timestamp};

/// A draft in JSON or from flags. Every field is checked when it becomes a [`Draft`], and errors name the field.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawDraft {
    /// Type of the event.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Its stream.
    pub stream: String,
    /// Who says so.
    pub source: String,
    /// The source's own id for it.
    pub dedup: String,
    /// When it happened, as in RFC 3339.
    pub occurred_at: String,
    /// Who did it: an identity or a pseudonym.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The undertaking it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<String>,
    /// Id of the event that led to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation: Option<String>,
    /// What backs it up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<EvidenceRef>,
    /// The payload, as JSON text.
    #[serde(default)]
    pub data: Option<Box<RawValue>>,
    /// `empty`, or the `seq` of the stream's last event in decimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
}

impl RawDraft {
    /// Reads a draft from JSON.
    ///
    /// # Errors
    /// [`Error::Json`] with line and column; duplicate and unknown fields are refused.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(json).map_err(|error| Error::Json(error.to_string()))
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::Field`], [`Error::Json`] or [`Error::UnknownType`], naming the field.
    pub fn check(&self) -> Result<Draft, Error> {
        let event_type: EventType = self.type_name.parse()?;
        let data = self.data.as_ref().map_or("{}", |data| data.get());
        let mut draft = Draft::new(
            Data::parse(event_type, data.as_bytes())?,
            field("stream", &self.stream)?,
            field("source", &self.source)?,
            field("dedup", &self.dedup)?,
            field::<Timestamp>("occurred_at", &self.occurred_at)?,
        );
        draft.actor = optional("actor", self.actor.as_deref())?;
        draft.correlation = optional("correlation", self.correlation.as_deref())?;
        draft.causation = optional("causation", self.causation.as_deref())?;
        draft.evidence.clone_from(&self.evidence);
        draft.expected = match self.expected.as_deref() {
            None => Expected::Any,
            Some("empty") => Expected::Empty,
            Some(seq) => Expected::Seq(
                seq.parse()
                    .map_err(|_why| Error::field("expected", format!("{seq:?} is neither `empty` nor a seq")))?,
            ),
        };
        Ok(draft)
    }

    /// The draft in this form, for sending it elsewhere. Its private values are in it, in plain.
    ///
    /// # Errors
    /// [`Error::Json`] for a payload that is not of a known type.
    pub fn of(draft: &Draft) -> Result<Self, Error> {
        let event_type = draft.data.event_type().ok_or_else(|| Error::UnknownType("(unknown payload)".to_owned()))?;
        let data = draft.data.to_json()?;
        let data = RawValue::from_string(data).map_err(|error| Error::Json(error.to_string()))?;
        Ok(Self {
            type_name: event_type.as_str().to_owned(),
            stream: draft.stream.to_string(),
            source: draft.source.to_string(),
            dedup: draft.dedup.to_string(),
            occurred_at: draft.occurred_at.to_string(),
            actor: draft.actor.as_ref().map(ToString::to_string),
            correlation: draft.correlation.as_ref().map(ToString::to_string),
            causation: draft.causation.as_ref().map(ToString::to_string),
            evidence: draft.evidence.clone(),
            data: Some(data),
            expected: match draft.expected {
                Expected::Any => None,
                Expected::Empty => Some("empty".to_owned()),
                Expected::Seq(seq) => Some(seq.to_string()),
            },
        })
    }
}

/// Parses one field, naming it in the error.
///
/// # Errors
/// [`Error::Field`].
fn field<T: FromStr<Err = Error>>(name: &str, text: &str) -> Result<T, Error> {
    text.parse().map_err(|error| match error {
        Error::Field { what, .. } => Error::field(name, what),
        other => Error::field(name, other.to_string()),
    })
}

fn optional<T: FromStr<Err = Error>>(name: &str, text: Option<&str>) -> Result<Option<T>, Error> {
    text.filter(|text| !text.is_empty()).map(|text| field(name, text)).transpose()
}
