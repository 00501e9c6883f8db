//! The part of the index that is in memory, and the tree's right edge.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::Result;
use super::super::tree::{Hash, tile_root};
use super::DedupKey;

/// What the index learns from one event.
#[derive(Debug, Clone)]
pub struct Addition {
    /// The event's stream.
    pub stream: Arc<str>,
    /// Its place in the stream.
    pub seq: u64,
    /// What the next event of the stream has as `prev`.
    pub link: [u8; 32],
    /// Its idempotency key.
    pub dedup: DedupKey,
    /// Its leaf hash.
    pub leaf_hash: Hash,
}

/// A stream's last event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamHead {
    /// Its place in the stream.
    pub seq: u64,
    /// What the next event has as `prev`.
    pub hash: [u8; 32],
}

/// A full tile.
#[derive(Debug, Clone)]
pub struct FullTile {
    pub level: u8,
    pub number: u64,
    pub hashes: Arc<[Hash]>,
}

#[derive(Debug)]
pub(super) struct RecentStream {
    pub(super) first_seq: u64,
    pub(super) positions: Vec<u64>,
    pub(super) hash: [u8; 32],
}

impl RecentStream {
    pub(super) fn head(&self) -> StreamHead {
        let n = self.positions.len() as u64;
        StreamHead { seq: self.first_seq + n.saturating_sub(1), hash: self.hash }
    }
}

/// Index entries of a range of positions.
#[derive(Debug)]
pub(super) struct Memtable {
    from: u64,
    to: u64,
    pub(super) streams: HashMap<Arc<str>, RecentStream>,
    pub(super) dedup: HashMap<DedupKey, u64>,
    pub(super) tiles: HashMap<(u8, u64), Arc<[Hash]>>,
}

impl Memtable {
    pub(super) fn new(from: u64) -> Self {
        Self { from, to: from, streams: HashMap::new(), dedup: HashMap::new(), tiles: HashMap::new() }
    }

    pub(super) fn from(&self) -> u64 {
        self.from
    }

    pub(super) fn to(&self) -> u64 {
        self.to
    }

    pub(super) fn is_empty(&self) -> bool {
        self.from == self.to
    }

    pub(super) fn add(&mut self, addition: Addition) {
        let position = self.to;
        self.to += 1;
        self.dedup.insert(addition.dedup, position);
        let stream = self.streams.entry(addition.stream).or_insert_with(|| RecentStream {
            first_seq: addition.seq,
            positions: Vec::with_capacity(1),
            hash: addition.link,
        });
        stream.positions.push(position);
        stream.hash = addition.link;
    }

    pub(super) fn add_tile(&mut self, tile: FullTile) {
        self.tiles.insert((tile.level, tile.number), tile.hashes);
    }

    pub(super) fn head(&self, stream: &str) -> Option<StreamHead> {
        self.streams.get(stream).map(RecentStream::head)
    }

    pub(super) fn heads(&self) -> impl Iterator<Item = (&str, StreamHead)> {
        self.streams.iter().map(|(name, stream)| (&**name, stream.head()))
    }

    pub(super) fn dedup(&self, key: &DedupKey) -> Option<u64> {
        self.dedup.get(key).copied()
    }

    pub(super) fn positions(&self, stream: &str, from_seq: u64, limit: usize) -> Vec<(u64, u64)> {
        self.streams.get(stream).map_or_else(Vec::new, |stream| {
            (stream.first_seq..)
                .zip(stream.positions.iter().copied())
                .filter(|(seq, _)| *seq >= from_seq)
                .take(limit)
                .collect()
        })
    }

    pub(super) fn tile(&self, level: u8, number: u64) -> Option<Arc<[Hash]>> {
        self.tiles.get(&(level, number)).cloned()
    }
}

/// The tiles at the right edge of the tree: at each level those hashes that do not fill a tile yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    levels: Vec<Vec<Hash>>,
}

impl Edge {
    /// An edge from its parts, as stored; the number of hashes must be what the size asks for.
    #[must_use]
    pub fn from_parts(size: u64, levels: Vec<Vec<Hash>>) -> Option<Self> {
        let fits = (0..).zip(&levels).all(|(level, hashes)| hashes.len() as u64 == width(size, level));
        let complete = u8::try_from(levels.len()).is_ok_and(|above| above > 7 || size >> (8 * u32::from(above)) == 0);
        (fits && complete).then_some(Self { size, levels })
    }

    /// How many leaves the tree has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The unfinished tiles, level by level.
    #[must_use]
    pub fn levels(&self) -> &[Vec<Hash>] {
        &self.levels
    }

    /// Adds a leaf and returns the tiles it filled, lowest first.
    pub fn push(&mut self, leaf: Hash) -> Vec<FullTile> {
        let mut filled = Vec::new();
        let mut carry = Some(leaf);
        let mut level: u8 = 0;
        self.size += 1;
        while let Some(hash) = carry.take() {
            if self.levels.len() <= usize::from(level) {
                self.levels.push(Vec::new());
            }
            let Some(hashes) = self.levels.get_mut(usize::from(level)) else { break };
            hashes.push(hash);
            if hashes.len() == 256 {
                let hashes: Arc<[Hash]> = std::mem::take(hashes).into();
                carry = Some(tile_root(&hashes));
                filled.push(FullTile { level, number: (self.size >> (8 * (u32::from(level) + 1))) - 1, hashes });
                level += 1;
            }
        }
        filled
    }

    /// The hashes of an unfinished tile; none when that tile is full or beyond the tree.
    #[must_use]
    pub fn partial(&self, level: u8, number: u64) -> Option<Vec<Hash>> {
        let hashes = self.levels.get(usize::from(level))?;
        (!hashes.is_empty() && number == self.size >> (8 * (u32::from(level) + 1))).then(|| hashes.clone())
    }

    /// The edge of the same tree when it had `size` leaves; `tile` gives the tiles that were filled since.
    pub(super) fn cut(self, size: u64, tile: impl Fn(u8, u64) -> Result<Option<Vec<Hash>>>) -> Result<Self> {
        if size == self.size {
            return Ok(self);
        }
        let mut levels = Vec::new();
        let mut level: u8 = 0;
        while level < 8 && size >> (8 * u32::from(level)) > 0 {
            let number = if level == 7 { 0 } else { size >> (8 * (u32::from(level) + 1)) };
            let n = usize::try_from(width(size, level)).unwrap_or(0);
            let mut hashes = if n == 0 { Vec::new() } else { tile(level, number)?.unwrap_or_default() };
            hashes.truncate(n);
            levels.push(hashes);
            level += 1;
        }
        Self::from_parts(size, levels)
            .ok_or_else(|| super::super::Error::Internal(format!("the tree's edge cannot be cut back to {size}")))
    }
}

/// How many hashes the unfinished tile of a level has in a tree of `size` leaves.
fn width(size: u64, level: u8) -> u64 {
    if level > 7 { 0 } else { (size >> (8 * u32::from(level))) % 256 }
}
