//! An event as projections take it in.

use crate::event::{Data, Envelope, Recorded, Timestamp};
use crate::ledger::Entry;

use super::{Error, Result};

/// A recorded event, read once for all projections.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its place in the log.
    pub position: i64,
    /// Orders events of one instant, whatever order they came in: see [`tie`].
    pub key: i64,
    /// When it happened, as the source claims, in microseconds since 1970.
    pub at: i64,
    /// Its envelope.
    pub envelope: Envelope,
    /// Its payload.
    pub data: Data,
    /// All of it, byte for byte.
    pub leaf: bytes::Bytes,
}

impl Event {
    /// Reads an event.
    ///
    /// # Errors
    /// `Ledger` with `Corrupt` for a leaf that cannot be read.
    pub fn parse(entry: &Entry) -> Result<Self> {
        let corrupt = |error: crate::event::Error| {
            Error::Ledger(crate::ledger::Error::Corrupt(format!("event {}: {error}", entry.position)))
        };
        let recorded = Recorded::parse(entry.leaf.clone()).map_err(corrupt)?;
        let data = recorded.data().map_err(corrupt)?;
        let envelope = recorded.envelope().clone();
        Ok(Self {
            position: i64::try_from(entry.position).unwrap_or(i64::MAX),
            key: tie(envelope.source.as_str(), envelope.dedup.as_str()),
            at: envelope.occurred_at.micros(),
            envelope,
            data,
            leaf: entry.leaf.clone(),
        })
    }

    /// Name of its stream.
    #[must_use]
    pub fn stream(&self) -> &str {
        self.envelope.stream.as_str()
    }
}

/// Orders what happened at one instant by who said it: the first 8 bytes of BLAKE3 over source and dedup. Positions would
/// make answers depend on the order of arrival.
#[must_use]
pub fn tie(source: &str, dedup: &str) -> i64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(source.as_bytes()).update(&[0]).update(dedup.as_bytes());
    let hash = hasher.finalize();
    let first = hash.as_bytes().first_chunk::<8>().copied().unwrap_or_default();
    i64::from_be_bytes(first)
}

/// The instant of microseconds.
#[must_use]
pub fn instant(micros: i64) -> Timestamp {
    Timestamp::from_micros_clamped(micros)
}
