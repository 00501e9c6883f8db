//! The leaf: an event's envelope and its exact bytes.
//!
//! Bytes are made here once, when an event is recorded, and from then on only ever read.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Correlation, Data, Dedup, Draft, Error, EventId, EvidenceRef, Field as _, Hex32, Position, PrivateParts, Source,
    StreamName, SubjectId, Timestamp, U64, VERSION, canonical,
};

/// Most bytes a leaf may have. Entry bundles frame with 16 bits; this leaves room below that.
pub const LEAF_MAX: usize = 32 * 1024;

/// Context string of the BLAKE3 key derivation that links a stream's events.
pub const STREAM_CHAIN_CONTEXT: &str = "plimsoll 2026-11 stream chain v1";

/// What the next event of the stream has as `prev`: BLAKE3 `derive_key` of this event's bytes.
#[must_use]
pub fn stream_link(leaf: &[u8]) -> [u8; 32] {
    blake3::derive_key(STREAM_CHAIN_CONTEXT, leaf)
}

/// An event ready to be given its place: everything but position, id, times and chain is rendered.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The leaf from its opening brace up to and with the comma before `id`.
    head: Vec<u8>,
    occurred_at: Timestamp,
    source: Source,
    stream: StreamName,
    dedup: Dedup,
    type_name: &'static str,
    expected: super::Expected,
}

/// What follows `head` in the longest case, besides source, stream and type: fixed keys and values.
const TAIL_MAX: usize = 400;

impl Prepared {
    /// Renders a draft whose private values are sealed and whose subjects are pseudonyms.
    ///
    /// # Errors
    /// [`Error::UnknownType`], [`Error::WrongStream`], [`Error::TooLarge`]; [`Error::NotCanonical`] should a payload
    /// break the rules of [`canonical`].
    pub fn new(draft: &Draft) -> Result<Self, Error> {
        let Some(event_type) = draft.data.event_type() else {
            return Err(Error::UnknownType("(unknown payload)".to_owned()));
        };
        if !event_type.stream_kind().admits(&draft.stream) {
            return Err(Error::WrongStream {
                type_name: event_type.as_str(),
                expected: event_type.stream_kind().form(),
                stream: draft.stream.to_string(),
            });
        }
        let head = Self::render_head(draft)?;
        let prepared = Self {
            head,
            occurred_at: draft.occurred_at,
            source: draft.source.clone(),
            stream: draft.stream.clone(),
            dedup: draft.dedup.clone(),
            type_name: event_type.as_str(),
            expected: draft.expected,
        };
        let size = prepared.size_max();
        if size > LEAF_MAX {
            return Err(Error::TooLarge { size, limit: LEAF_MAX });
        }
        // The one place where bytes are made also holds them to the rules that readers rely on.
        let mut whole = prepared.head.clone();
        whole.pop();
        whole.push(b'}');
        canonical::check(&whole)?;
        Ok(prepared)
    }

    fn render_head(draft: &Draft) -> Result<Vec<u8>, Error> {
        let json = |error: serde_json::Error| Error::Json(error.to_string());
        let mut head = Vec::with_capacity(512);
        head.push(b'{');
        if let Some(actor) = &draft.actor {
            let id = actor.id().ok_or_else(|| Error::field("actor", "an identity where a pseudonym belongs"))?;
            put(&mut head, "actor", id.as_str());
        }
        if let Some(causation) = &draft.causation {
            put(&mut head, "causation", causation.encode(&mut [0; 36]));
        }
        if let Some(correlation) = &draft.correlation {
            put(&mut head, "correlation", correlation.as_str());
        }
        head.extend_from_slice(b"\"data\":");
        draft.data.write(&mut head).map_err(json)?;
        head.extend_from_slice(b",\"dedup\":");
        canonical::write_string(&mut head, draft.dedup.as_str());
        head.push(b',');
        if !draft.evidence.is_empty() {
            head.extend_from_slice(b"\"evidence\":");
            serde_json::to_writer(&mut head, &draft.evidence).map_err(json)?;
            head.push(b',');
        }
        Ok(head)
    }

    /// An upper bound of the leaf's size, in bytes.
    #[must_use]
    pub fn size_max(&self) -> usize {
        self.head.len() + self.source.as_str().len() + self.stream.as_str().len() + self.type_name.len() + TAIL_MAX
    }

    /// The stream it belongs to.
    #[must_use]
    pub fn stream(&self) -> &StreamName {
        &self.stream
    }

    /// Its source.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Its key at the source.
    #[must_use]
    pub fn dedup(&self) -> &Dedup {
        &self.dedup
    }

    /// Its type's name.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        self.type_name
    }

    /// What it expects of its stream.
    #[must_use]
    pub fn expected(&self) -> super::Expected {
        self.expected
    }

    /// The leaf of this event at its place. `prev` is the [`stream_link`] of the stream's last event, none for the first.
    #[must_use]
    pub fn leaf(&self, id: EventId, recorded_at: Timestamp, seq: u64, prev: Option<&[u8; 32]>) -> Bytes {
        let mut leaf = Vec::with_capacity(self.size_max());
        leaf.extend_from_slice(&self.head);
        put(&mut leaf, "id", id.encode(&mut [0; 36]));
        put_ascii(&mut leaf, "occurred_at", &self.occurred_at.encode());
        put_number(&mut leaf, "position", id.position().0);
        if let Some(prev) = prev {
            let mut text = [0; 64];
            hex::encode_to_slice(prev, &mut text).unwrap_or_default();
            put_ascii(&mut leaf, "prev", &text);
        }
        put_ascii(&mut leaf, "recorded_at", &recorded_at.encode());
        put_number(&mut leaf, "seq", seq);
        put(&mut leaf, "source", self.source.as_str());
        put(&mut leaf, "stream", self.stream.as_str());
        put(&mut leaf, "type", self.type_name);
        leaf.extend_from_slice(b"\"v\":");
        leaf.extend_from_slice(VERSION.to_string().as_bytes());
        leaf.push(b'}');
        Bytes::from(leaf)
    }

    /// The content by which two submissions under one key are compared: the event without what the ledger adds.
    ///
    /// # Errors
    /// [`Error::Json`] only should the rendering above be broken.
    pub fn content(&self) -> Result<canonical::Value, Error> {
        content(self.leaf(EventId::new(self.occurred_at, Position(0), 0), self.occurred_at, 0, None).as_ref())
    }
}

/// The content of a leaf without what the ledger added to it: position, id, chain, time of recording, version.
///
/// # Errors
/// [`Error::Json`] when the bytes are not a leaf's JSON.
pub(super) fn content(leaf: &[u8]) -> Result<canonical::Value, Error> {
    let mut value = canonical::parse(leaf)?;
    if let canonical::Value::Object(members) = &mut value {
        members.retain(|key, _| !matches!(key.as_str(), "id" | "position" | "prev" | "recorded_at" | "seq" | "v"));
    }
    Ok(value)
}

fn put(out: &mut Vec<u8>, key: &str, value: &str) {
    put_ascii(out, key, value.as_bytes());
}

/// Writes `"key":"value",`; the value must not need escapes, which the checked types see to.
fn put_ascii(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    out.push(b'"');
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":\"");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\",");
}

fn put_number(out: &mut Vec<u8>, key: &str, value: u64) {
    put(out, key, &value.to_string());
}

/// An event with its place in the ledger. Only bytes that the ledger recorded become one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    bytes: Bytes,
    envelope: Envelope,
}

/// What every event has around its payload.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Envelope {
    /// Who did it.
    pub actor: Option<SubjectId>,
    /// The event that led to it.
    pub causation: Option<EventId>,
    /// The undertaking it belongs to.
    pub correlation: Option<Correlation>,
    /// The source's own id of it.
    pub dedup: Dedup,
    /// What backs it up.
    #[serde(default)]
    pub evidence: Vec<EvidenceRef>,
    /// Its identity.
    pub id: EventId,
    /// When it happened, as the source claims.
    pub occurred_at: Timestamp,
    /// Its place in the log.
    pub position: Position,
    /// [`stream_link`] of the stream's event before it; none for the first.
    pub prev: Option<Hex32>,
    /// When the ledger recorded it.
    pub recorded_at: Timestamp,
    /// Its place in its stream, from 0.
    pub seq: U64,
    /// Who said so.
    pub source: Source,
    /// The stream it belongs to.
    pub stream: StreamName,
    /// The name of its type, known here or not.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Version of its payload.
    pub v: u32,
}

#[derive(Deserialize)]
struct PayloadOnly<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
}

impl Recorded {
    /// Reads an event's envelope from its exact bytes, which are kept.
    ///
    /// # Errors
    /// [`Error::NotRecorded`] when the bytes are no event's.
    pub fn parse(bytes: Bytes) -> Result<Self, Error> {
        let envelope = serde_json::from_slice(&bytes).map_err(|error| Error::NotRecorded(error.to_string()))?;
        Ok(Self { bytes, envelope })
    }

    /// The exact bytes: what is hashed, signed for, stored and exported.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The envelope.
    #[must_use]
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// The payload's JSON, as it stands in the leaf.
    ///
    /// # Errors
    /// [`Error::NotRecorded`] when there is none.
    pub fn payload(&self) -> Result<&str, Error> {
        let only: PayloadOnly<'_> =
            serde_json::from_slice(&self.bytes).map_err(|error| Error::NotRecorded(error.to_string()))?;
        Ok(only.data.get())
    }

    /// The payload, typed; [`Data::Unknown`] where this binary does not know the type.
    ///
    /// # Errors
    /// [`Error::NotRecorded`] or [`Error::Json`] when the leaf is broken.
    pub fn data(&self) -> Result<Data, Error> {
        Data::read(&self.envelope.type_name, self.envelope.v, self.payload()?.as_bytes())
    }

    /// Every pseudonym and sealed value that the event names. Of a payload whose type is not known here, what has the
    /// form of a sealed value: no other text is taken for one.
    ///
    /// # Errors
    /// [`Error::NotRecorded`] or [`Error::Json`] when the leaf is broken.
    pub fn private_parts(&self) -> Result<PrivateParts, Error> {
        let mut parts = PrivateParts::default();
        if let Some(actor) = &self.envelope.actor {
            parts.add_subject(actor);
        }
        match self.data()? {
            Data::Unknown(value) => parts.add_sealed(&value),
            mut known => known.visit(&mut parts)?,
        }
        Ok(parts)
    }

    /// The event's content without what the ledger added, for comparing submissions.
    ///
    /// # Errors
    /// [`Error::Json`] when the leaf is broken.
    pub fn content(&self) -> Result<canonical::Value, Error> {
        content(&self.bytes)
    }
}

/// The envelope's last fields, read from the end of a leaf without parsing the rest.
///
/// Canonical JSON fixes the order of the keys, and the values after `evidence` hold no quotes or escapes, so a leaf can
/// be read backwards. Good enough to filter and index by; [`Recorded::parse`] is the full reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peek<'a> {
    /// Event id.
    pub id: &'a str,
    /// Time claimed by the source.
    pub occurred_at: &'a str,
    /// Position, in decimal.
    pub position: &'a str,
    /// Link to the previous event of the stream, in hexadecimal.
    pub prev: Option<&'a str>,
    /// Time of recording.
    pub recorded_at: &'a str,
    /// Place in the stream, in decimal.
    pub seq: &'a str,
    /// Source.
    pub source: &'a str,
    /// Stream.
    pub stream: &'a str,
    /// Type.
    pub type_name: &'a str,
    /// Length of what comes before the `id` key: actor to evidence.
    pub head_len: usize,
}

impl<'a> Peek<'a> {
    /// Reads the tail of a leaf.
    ///
    /// # Errors
    /// [`Error::NotRecorded`] when the bytes do not end as a leaf does.
    pub fn new(leaf: &'a [u8]) -> Result<Self, Error> {
        Self::read(leaf).ok_or_else(|| Error::NotRecorded("its last fields are not an envelope's".to_owned()))
    }

    fn read(leaf: &'a [u8]) -> Option<Self> {
        let mut rest = leaf.strip_suffix(b"}")?;
        let digits = rest.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        rest = rest.get(..rest.len() - digits)?.strip_suffix(b",\"v\":")?;
        let type_name = take_last(&mut rest, b"\"type\":\"")?;
        let stream = take_last(&mut rest, b",\"stream\":\"")?;
        let source = take_last(&mut rest, b",\"source\":\"")?;
        let seq = take_last(&mut rest, b",\"seq\":\"")?;
        let recorded_at = take_last(&mut rest, b",\"recorded_at\":\"")?;
        let prev = take_last(&mut rest, b",\"prev\":\"");
        let position = take_last(&mut rest, b",\"position\":\"")?;
        let occurred_at = take_last(&mut rest, b",\"occurred_at\":\"")?;
        let id = take_last(&mut rest, b",\"id\":\"")?;
        Some(Self {
            id,
            occurred_at,
            position,
            prev,
            recorded_at,
            seq,
            source,
            stream,
            type_name,
            head_len: rest.len(),
        })
    }

    /// The `dedup` of the leaf, unescaped. Slower than the rest: it parses the envelope.
    ///
    /// # Errors
    /// [`Error::NotRecorded`] when the leaf is broken.
    pub fn dedup(leaf: &[u8]) -> Result<String, Error> {
        #[derive(Deserialize)]
        struct Only {
            dedup: String,
        }
        let only: Only = serde_json::from_slice(leaf).map_err(|error| Error::NotRecorded(error.to_string()))?;
        Ok(only.dedup)
    }
}

/// Cuts `<key><value>"` off the end and returns the value, which holds no quote.
fn take_last<'a>(rest: &mut &'a [u8], key: &[u8]) -> Option<&'a str> {
    // The comma before `type` was already behind it in the caller's first cut.
    let body = rest.strip_suffix(b"\"")?;
    let start = memchr::memrchr(b'"', body)? + 1;
    let (before, value) = (body.get(..start)?, body.get(start..)?);
    // With an escape in it, it would not be what the full reading finds.
    if value.contains(&b'\\') {
        return None;
    }
    let shortened = before.strip_suffix(key)?;
    *rest = if key.starts_with(b",") { shortened } else { shortened.strip_suffix(b",")? };
    std::str::from_utf8(value).ok()
}
