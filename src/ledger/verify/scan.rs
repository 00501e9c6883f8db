//! Reading a stretch of events and everything that can be said of each by itself.

use std::ops::Range;

use memchr::memmem::Finder;

use super::super::engine::Engine;
use super::super::tree::{Hash, leaf_hash};
use super::super::{Error, Result};
use super::Damage;
use crate::event::{Peek, Recorded, STREAM_CHAIN_CONTEXT, canonical};

/// What the sequential part needs of an event.
pub(super) struct Seen {
    pub(super) position: u64,
    pub(super) leaf_hash: Hash,
    pub(super) link: [u8; 32],
    /// None when the envelope cannot be read.
    pub(super) envelope: Option<SeenEnvelope>,
}

pub(super) struct SeenEnvelope {
    pub(super) stream: Box<str>,
    pub(super) seq: u64,
    pub(super) prev: Option<[u8; 32]>,
    /// Canonical times compare as text.
    pub(super) recorded_at: [u8; 27],
}

/// What a stretch of the log holds.
#[derive(Default)]
pub(super) struct Stretch {
    pub(super) seen: Vec<Seen>,
    pub(super) bytes: u64,
    pub(super) findings: Vec<(Damage, u64, String)>,
    /// Events that name evidence or private values, or are the ledger's own: looked at more closely later.
    pub(super) remarkable: Vec<Recorded>,
}

/// Reads the events of a range.
pub(super) fn scan(engine: &dyn Engine, range: Range<u64>) -> Result<Stretch> {
    let mut stretch = Stretch {
        seen: Vec::with_capacity(usize::try_from(range.end - range.start).unwrap_or(0)),
        ..Stretch::default()
    };
    let mut reader = Reader::new();
    engine.read(range, false, &mut |position, leaf| {
        reader.take(&mut stretch, position, leaf);
        Ok(true)
    })?;
    Ok(stretch)
}

/// Reads leaves by themselves. What can be made once for all of them is made once.
pub(super) struct Reader {
    chain: blake3::Hasher,
    /// What a leaf holds that may name evidence, private values or people.
    mentions: [Finder<'static>; 3],
}

impl Reader {
    pub(super) fn new() -> Self {
        Self {
            chain: blake3::Hasher::new_derive_key(STREAM_CHAIN_CONTEXT),
            mentions: ["\"sbj_", "\"sealed\":", "\"evidence\":"].map(Finder::new),
        }
    }

    /// Takes in one leaf, whatever its bytes are.
    pub(super) fn take(&mut self, stretch: &mut Stretch, position: u64, leaf: &[u8]) {
        stretch.bytes += leaf.len() as u64;
        if let Err(error) = canonical::check(leaf) {
            stretch.findings.push((Damage::NotCanonical, position, error.to_string()));
        }
        self.chain.reset();
        let link = *self.chain.update(leaf).finalize().as_bytes();
        let envelope = match envelope(position, leaf) {
            Ok(envelope) => Some(envelope),
            Err(error) => {
                stretch.findings.push((Damage::BadEnvelope, position, error.to_string()));
                None
            }
        };
        let own = envelope.as_ref().is_some_and(|envelope| &*envelope.stream == "ledger");
        if own || self.mentions.iter().any(|mention| mention.find(leaf).is_some()) {
            match Recorded::parse(bytes::Bytes::copy_from_slice(leaf)) {
                Ok(event) => stretch.remarkable.push(event),
                Err(error) => stretch.findings.push((Damage::BadEnvelope, position, error.to_string())),
            }
        }
        stretch.seen.push(Seen { position, leaf_hash: leaf_hash(leaf), link, envelope });
    }
}

fn envelope(position: u64, leaf: &[u8]) -> Result<SeenEnvelope> {
    let corrupt = |what: String| Error::Corrupt(what);
    let peek = Peek::new(leaf).map_err(|error| corrupt(error.to_string()))?;
    if peek.position.parse() != Ok(position) {
        return Err(corrupt(format!("it says that it is at {}", peek.position)));
    }
    let mut prev = None;
    if let Some(text) = peek.prev {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_why| corrupt(format!("prev is {text:?}")))?;
        prev = Some(bytes);
    }
    Ok(SeenEnvelope {
        stream: peek.stream.into(),
        seq: peek.seq.parse().map_err(|_why| corrupt(format!("seq is {:?}", peek.seq)))?,
        prev,
        recorded_at: peek
            .recorded_at
            .as_bytes()
            .try_into()
            .ok()
            .filter(is_time)
            .ok_or_else(|| corrupt(format!("recorded_at is {:?}", peek.recorded_at)))?,
    })
}

/// Whether a text is a time as the ledger writes it; only those compare as text.
fn is_time(text: &[u8; 27]) -> bool {
    let form = b"0000-00-00T00:00:00.000000Z";
    text.iter().zip(form).all(|(byte, form)| if *form == b'0' { byte.is_ascii_digit() } else { byte == form })
}
