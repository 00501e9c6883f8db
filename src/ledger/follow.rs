//! Reading the log by cursor. There is no live queue: a follower reads pages up to the head and then waits for the head
//! to move, so there is no handover at which an event could be missed or seen twice.

use std::ops::Range;

use bytes::Bytes;

use super::engine::Engine;
use super::{Error, Result};
use crate::event::Peek;

/// Which events a reader wants. Empty means all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only streams whose names begin with this.
    pub stream_prefix: String,
    /// Only these types; one that ends in `*` stands for all that begin so.
    pub types: Vec<String>,
}

impl Filter {
    /// Whether every event passes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stream_prefix.is_empty() && self.types.is_empty()
    }

    /// Whether an event of that stream and type passes.
    #[must_use]
    pub fn admits(&self, stream: &str, type_name: &str) -> bool {
        let wanted = |pattern: &String| match pattern.strip_suffix('*') {
            Some(prefix) => type_name.starts_with(prefix),
            None => type_name == pattern,
        };
        stream.starts_with(&self.stream_prefix) && (self.types.is_empty() || self.types.iter().any(wanted))
    }
}

/// How much a page may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageLimit {
    /// Events returned.
    pub events_max: usize,
    /// Bytes returned, roughly; at least one event always is.
    pub bytes_max: usize,
    /// Events looked at, so that a filter that nothing passes still lets go of the database now and then.
    pub scanned_max: u64,
}

impl Default for PageLimit {
    fn default() -> Self {
        Self { events_max: 1000, bytes_max: 1 << 20, scanned_max: 50_000 }
    }
}

/// A leaf and its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub position: u64,
    /// Its exact bytes.
    pub leaf: Bytes,
}

/// A stretch of the log, filtered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The events that pass the filter.
    pub entries: Vec<Entry>,
    /// What was looked at. Reading forwards, go on at its end; backwards, below its start.
    pub covered: Range<u64>,
}

/// Reads a page of `range`, forwards from its start or backwards from its end.
///
/// # Errors
/// `Corrupt` when a position is missing; storage errors.
pub fn page(
    engine: &dyn Engine,
    range: Range<u64>,
    backwards: bool,
    filter: &Filter,
    limit: PageLimit,
) -> Result<Page> {
    let scanned = limit.scanned_max.min(range.end.saturating_sub(range.start));
    let range = if backwards { range.end - scanned..range.end } else { range.start..range.start + scanned };
    // The leaves of a page lie one behind the other in one buffer: an allocation for each would cost more than the copy.
    let mut bytes: Vec<u8> = Vec::new();
    let mut ends: Vec<(u64, usize)> = Vec::new();
    let mut n_scanned = 0;
    engine.read(range.clone(), backwards, &mut |position, leaf| {
        let expected = if backwards { range.end - 1 - n_scanned } else { range.start + n_scanned };
        if position != expected {
            return Err(Error::Corrupt(format!("event {expected} is missing")));
        }
        n_scanned += 1;
        let wanted = filter.is_empty() || {
            let peek = Peek::new(leaf).map_err(|error| Error::Corrupt(format!("event {position}: {error}")))?;
            filter.admits(peek.stream, peek.type_name)
        };
        if wanted {
            bytes.extend_from_slice(leaf);
            ends.push((position, bytes.len()));
        }
        Ok(ends.len() < limit.events_max && bytes.len() < limit.bytes_max)
    })?;
    let full = ends.len() >= limit.events_max || bytes.len() >= limit.bytes_max;
    if !full && n_scanned < scanned {
        let missing = if backwards { range.end - 1 - n_scanned } else { range.start + n_scanned };
        return Err(Error::Corrupt(format!("event {missing} is missing")));
    }
    let covered = if backwards { range.end - n_scanned..range.end } else { range.start..range.start + n_scanned };
    let mut rest = Bytes::from(bytes);
    let mut start = 0;
    let cut = |(position, end): (u64, usize)| {
        let leaf = rest.split_to(end - start);
        start = end;
        Entry { position, leaf }
    };
    let entries = ends.into_iter().map(cut).collect();
    Ok(Page { entries, covered })
}

/// Reads events of one stream by the positions that the index has for them.
///
/// # Errors
/// `Corrupt` when the index names a position that is not there; storage errors.
pub fn entries(engine: &dyn Engine, positions: &[u64]) -> Result<Vec<Entry>> {
    positions
        .iter()
        .map(|&position| {
            let leaf = engine.leaf(position)?;
            let leaf = leaf.ok_or_else(|| Error::Corrupt(format!("event {position} is missing")))?;
            Ok(Entry { position, leaf })
        })
        .collect()
}
