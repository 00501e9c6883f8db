//! Between wire types and ours. Everything that comes in is checked, and errors name the field.

use serde_json::value::RawValue;

use super::proto::v1 as pb;
use crate::app::RawDraft;
use crate::event::{self, Data, Draft, EventType, EvidenceRef, Expected, Recorded};
use crate::ledger::{Entry, Error, Filter, Ledger, Receipt, Result};

/// A draft from the wire.
///
/// # Errors
/// `Draft`, naming the field.
pub(super) fn draft_from_proto(index: usize, draft: pb::Draft) -> Result<Draft> {
    check_draft(draft).map_err(|error| Error::Draft { index, error })
}

fn check_draft(wire: pb::Draft) -> Result<Draft, event::Error> {
    let named = |name: &'static str| {
        move |error: event::Error| match error {
            event::Error::Field { what, .. } => event::Error::field(name, what),
            other => event::Error::field(name, other.to_string()),
        }
    };
    let event_type: EventType = wire.r#type.parse()?;
    let occurred_at = wire.occurred_at.ok_or_else(|| event::Error::field("occurred_at", "is missing"))?;
    let data = if wire.data_json.is_empty() { "{}" } else { &wire.data_json };
    let mut draft = Draft::new(
        Data::parse(event_type, data.as_bytes())?,
        wire.stream.parse().map_err(named("stream"))?,
        wire.source.parse().map_err(named("source"))?,
        wire.dedup.parse().map_err(named("dedup"))?,
        occurred_at.to_event().map_err(named("occurred_at"))?,
    );
    if !wire.actor.is_empty() {
        draft.actor = Some(wire.actor.parse().map_err(named("actor"))?);
    }
    if !wire.correlation.is_empty() {
        draft.correlation = Some(wire.correlation.parse().map_err(named("correlation"))?);
    }
    if !wire.causation.is_empty() {
        draft.causation = Some(wire.causation.parse().map_err(named("causation"))?);
    }
    for (n, reference) in wire.evidence.into_iter().enumerate() {
        draft.evidence.push(evidence_from_proto(reference).map_err(|error| error.within(&format!("evidence[{n}]")))?);
    }
    draft.expected = match wire.expected.and_then(|expected| expected.expected) {
        None | Some(pb::expected_version::Expected::Empty(false)) => Expected::Any,
        Some(pb::expected_version::Expected::Empty(true)) => Expected::Empty,
        Some(pb::expected_version::Expected::Seq(seq)) => Expected::Seq(seq),
    };
    Ok(draft)
}

/// A draft for the wire.
///
/// # Errors
/// `Draft` for a payload of an unknown type.
pub fn draft_to_proto(draft: &Draft) -> Result<pb::Draft> {
    let raw = RawDraft::of(draft).map_err(|error| Error::Draft { index: 0, error })?;
    Ok(pb::Draft {
        r#type: raw.type_name,
        stream: raw.stream,
        source: raw.source,
        dedup: raw.dedup,
        occurred_at: Some(draft.occurred_at.into()),
        actor: raw.actor.unwrap_or_default(),
        correlation: raw.correlation.unwrap_or_default(),
        causation: raw.causation.unwrap_or_default(),
        evidence: draft.evidence.iter().map(evidence_to_proto).collect(),
        data_json: raw.data.as_deref().map(RawValue::get).unwrap_or_default().to_owned(),
        expected: match draft.expected {
            Expected::Any => None,
            Expected::Empty => {
                Some(pb::ExpectedVersion { expected: Some(pb::expected_version::Expected::Empty(true)) })
            }
            Expected::Seq(seq) => {
                Some(pb::ExpectedVersion { expected: Some(pb::expected_version::Expected::Seq(seq)) })
            }
        },
    })
}

/// A filter for the wire.
#[must_use]
pub fn filter_to_proto(filter: &Filter) -> pb::Filter {
    pb::Filter { stream_prefix: filter.stream_prefix.clone(), types: filter.types.clone() }
}

pub(super) fn filter_from_proto(filter: Option<pb::Filter>) -> Filter {
    let filter = filter.unwrap_or_default();
    Filter { stream_prefix: filter.stream_prefix, types: filter.types }
}

fn evidence_from_proto(reference: pb::EvidenceRef) -> Result<EvidenceRef, event::Error> {
    let named = |name: &'static str| move |error: event::Error| event::Error::field(name, error.to_string());
    Ok(EvidenceRef {
        blake3: reference.blake3.parse().map_err(named("blake3"))?,
        media_type: reference.media_type.parse().map_err(named("media_type"))?,
        sha256: reference.sha256.parse().map_err(named("sha256"))?,
        size: event::U64(reference.size),
    })
}

pub(super) fn evidence_to_proto(reference: &EvidenceRef) -> pb::EvidenceRef {
    pb::EvidenceRef {
        media_type: reference.media_type.to_string(),
        size: reference.size.0,
        sha256: reference.sha256.to_string(),
        blake3: reference.blake3.to_string(),
    }
}

/// What to return with each event.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct View {
    envelope: bool,
    private_values: bool,
}

impl From<Option<pb::EventView>> for View {
    fn from(view: Option<pb::EventView>) -> Self {
        let view = view.unwrap_or_default();
        Self { envelope: view.envelope, private_values: view.private_values }
    }
}

/// An event for the wire. Without a view its bytes are handed on as they are.
pub(super) fn event_to_proto(ledger: &Ledger, entry: Entry, view: View) -> Result<pb::Event> {
    let mut wire = pb::Event { position: entry.position, leaf: entry.leaf.clone(), ..pb::Event::default() };
    if view.envelope || view.private_values {
        let corrupt = |error: event::Error| Error::Corrupt(format!("event {}: {error}", entry.position));
        let event = Recorded::parse(entry.leaf).map_err(corrupt)?;
        if view.private_values {
            wire.private_values = private_values(ledger, &event)?;
        }
        if view.envelope {
            wire.envelope = Some(Box::new(envelope_to_proto(&event).map_err(corrupt)?));
        }
    }
    Ok(wire)
}

/// As many of the events, from the first on, as make a message of about `bytes_max`; at least one, where there is one.
/// What a view adds counts too: private values may be much larger than the leaf that commits to them.
pub(super) fn events_to_proto(
    ledger: &Ledger,
    entries: Vec<Entry>,
    view: View,
    bytes_max: usize,
) -> Result<Vec<pb::Event>> {
    let mut events = Vec::with_capacity(entries.len());
    let mut n_bytes = 0;
    for entry in entries {
        let event = event_to_proto(ledger, entry, view)?;
        let payload = event.envelope.as_ref().map_or(0, |envelope| envelope.data_json.len());
        let private: usize = event.private_values.iter().map(|private| private.value.len()).sum();
        n_bytes += event.leaf.len() + payload + private;
        events.push(event);
        if n_bytes >= bytes_max {
            break;
        }
    }
    Ok(events)
}

fn envelope_to_proto(event: &Recorded) -> Result<pb::Envelope, event::Error> {
    let envelope = event.envelope();
    let text = |value: Option<String>| value.unwrap_or_default();
    Ok(pb::Envelope {
        id: envelope.id.to_string(),
        r#type: envelope.type_name.clone(),
        stream: envelope.stream.to_string(),
        seq: envelope.seq.0,
        prev: text(envelope.prev.as_ref().map(ToString::to_string)),
        occurred_at: Some(envelope.occurred_at.into()),
        recorded_at: Some(envelope.recorded_at.into()),
        actor: text(envelope.actor.as_ref().map(ToString::to_string)),
        source: envelope.source.to_string(),
        dedup: envelope.dedup.to_string(),
        correlation: text(envelope.correlation.as_ref().map(ToString::to_string)),
        causation: text(envelope.causation.as_ref().map(ToString::to_string)),
        evidence: envelope.evidence.iter().map(evidence_to_proto).collect(),
        data_json: event.payload()?.to_owned(),
    })
}

fn private_values(ledger: &Ledger, event: &Recorded) -> Result<Vec<pb::PrivateValue>> {
    let sealed = ledger.private_values(event)?.into_iter().map(|row| pb::PrivateValue {
        id: row.id.to_string(),
        salt: row.salt.to_vec().into(),
        value: row.value,
    });
    let subjects = ledger.subjects_of(event)?.into_iter().map(|row| pb::PrivateValue {
        id: row.id.to_string(),
        salt: row.salt.to_vec().into(),
        value: row.identity,
    });
    Ok(sealed.chain(subjects).collect())
}

pub(super) fn receipt_to_proto(receipt: &Receipt) -> pb::Receipt {
    pb::Receipt {
        leaf: receipt.leaf.clone(),
        index: receipt.proof.index,
        hashes: receipt.proof.hashes.iter().map(|hash| hash.as_bytes().to_vec().into()).collect(),
        checkpoint: receipt.proof.checkpoint.clone(),
        tlog_proof: receipt.to_string(),
    }
}

/// How an event is asked for, from the two halves of a `oneof`.
pub(super) fn key_of(position: Option<u64>, id: Option<&str>) -> Result<Key> {
    match (position, id) {
        (Some(position), None) => Ok(Key::Position(position)),
        (None, Some(id)) => {
            let id = id.parse().map_err(|error: event::Error| Error::invalid("id", error.to_string()))?;
            Ok(Key::Id(id))
        }
        _ => Err(Error::invalid("key", "give a position or an id")),
    }
}

/// How an event is asked for.
pub(super) enum Key {
    Position(u64),
    Id(event::EventId),
}

impl Key {
    /// Finds the event.
    pub(super) fn find(&self, ledger: &Ledger) -> Result<Entry> {
        match self {
            Self::Position(position) => Ok(Entry { position: *position, leaf: ledger.leaf(*position)? }),
            Self::Id(id) => {
                let (position, leaf) = ledger.leaf_by_id(id)?;
                Ok(Entry { position, leaf })
            }
        }
    }
}
