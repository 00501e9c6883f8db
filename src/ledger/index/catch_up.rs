//! Bringing the index up to the log.

use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};

use super::super::engine::Engine;
use super::super::tree::{self, Frontier, Hash, leaf_hash};
use super::super::{Error, Result};
use super::memtable::{Addition, Edge, Memtable};
use super::{FLUSH_EVENTS, Index, IndexStore, State, dedup_key};
use crate::event::{Peek, stream_link};

impl Index {
    /// Opens the index at `path`, brings it up to the log and checks it against the signed root. An index that does
    /// not agree is derived anew; if that does not agree either, the log is damaged.
    ///
    /// # Errors
    /// `Corrupt` when the log itself does not have the root that was signed; storage errors.
    pub fn open(path: &Path, origin: &str, engine: &dyn Engine, (size, root): (u64, &Hash)) -> Result<Self> {
        for attempt in 0..2 {
            let (store, edge) = IndexStore::open(path, origin)?;
            let index = Self::over(Some(store), edge);
            match index.agree(engine, size, root) {
                Ok(()) => return Ok(index),
                Err(error) if attempt == 0 => {
                    drop(index);
                    // Where it is the log that is damaged, the file is what tells which event it is.
                    check_log(engine, size, root)?;
                    tracing::warn!(%error, "index.db does not agree with the log: deriving it anew");
                    Self::remove(path)?;
                }
                Err(error) => return Err(error),
            }
        }
        Err(Error::Internal("unreachable: the second attempt returns".to_owned()))
    }

    /// Opens the index for reading only, as of a log of `size` events, which may be growing: what the file lacks is derived
    /// in memory.
    ///
    /// # Errors
    /// `Corrupt`; storage errors.
    pub fn open_read_only(path: &Path, origin: &str, engine: &dyn Engine, (size, root): (u64, &Hash)) -> Result<Self> {
        if let Some((store, edge)) = IndexStore::open_read_only(path, origin) {
            let index = Self::over(Some(store), edge);
            if index.agree(engine, size, root).is_ok() {
                return Ok(index);
            }
        }
        let index = Self::in_memory();
        index.agree(engine, size, root)?;
        Ok(index)
    }

    /// Opens the index as it is stored, whether it agrees with the log or not: for verification. None where there is no
    /// file that can be read.
    #[must_use]
    pub fn as_stored(path: &Path, origin: &str) -> Option<Self> {
        IndexStore::open_read_only(path, origin).map(|(store, edge)| Self::over(Some(store), edge))
    }

    /// An empty index that keeps everything in memory.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::over(None, Edge::default())
    }

    fn over(store: Option<IndexStore>, edge: Edge) -> Self {
        Self {
            store,
            state: RwLock::new(State { active: Memtable::new(edge.size()), frozen: None, edge }),
            filter: RwLock::new(None),
            flushing: Mutex::new(()),
        }
    }

    /// Takes in what the log has beyond the index, up to `size`.
    ///
    /// # Errors
    /// `Corrupt` when a leaf is missing or is not an event; storage errors.
    pub fn catch_up(&self, engine: &dyn Engine, size: u64) -> Result<()> {
        let mut next = self.position();
        if next > size {
            return Err(Error::Corrupt(format!("the index covers {next} events, and the log has {size}")));
        }
        let writable = self.store.as_ref().is_some_and(IndexStore::is_writable);
        while next < size {
            let until = size.min(next + FLUSH_EVENTS);
            let mut additions = Vec::new();
            engine.read(next..until, false, &mut |position, leaf| {
                if position != next {
                    return Err(Error::Corrupt(format!("event {next} is missing")));
                }
                additions.push(addition(position, leaf)?);
                next += 1;
                Ok(true)
            })?;
            if next < until {
                return Err(Error::Corrupt(format!("event {next} is missing")));
            }
            self.apply(additions);
            if writable && self.unflushed() >= FLUSH_EVENTS {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn agree(&self, engine: &dyn Engine, size: u64, root: &Hash) -> Result<()> {
        self.check_last_leaves(engine)?;
        self.catch_up(engine, size)?;
        same_root(size, &self.root()?, root)
    }

    /// Compares the leaves of the last unfinished tile with the log, so that a start notices damage at the right edge.
    fn check_last_leaves(&self, engine: &dyn Engine) -> Result<()> {
        let edge = self.edge();
        let hashes = edge.levels().first().map_or(&[][..], Vec::as_slice);
        let from = edge.size() - hashes.len() as u64;
        let mut expected = hashes.iter();
        engine.read(from..edge.size(), false, &mut |position, leaf| match expected.next() {
            Some(hash) if *hash == leaf_hash(leaf) => Ok(true),
            _ => Err(Error::Corrupt(format!("event {position} is not the one whose hash is in the tree"))),
        })
    }

    /// The root of the tree over everything indexed.
    ///
    /// # Errors
    /// `Corrupt` when a tile is missing; storage errors.
    pub fn root(&self) -> Result<Hash> {
        let size = self.position();
        tree::root_at(&mut self.nodes(), size)
    }

    /// Reads nodes of the tree, for proofs.
    #[must_use]
    pub fn nodes(&self) -> Nodes<'_> {
        Nodes { index: self, last: None }
    }
}

fn same_root(size: u64, derived: &Hash, signed: &Hash) -> Result<()> {
    if derived == signed {
        return Ok(());
    }
    let what =
        format!("the tree over the {size} events has root {derived}, and the checkpoint was signed for {signed}");
    Err(Error::Corrupt(what))
}

/// Holds the log itself to the signed root.
fn check_log(engine: &dyn Engine, size: u64, root: &Hash) -> Result<()> {
    let mut frontier = Frontier::new();
    engine.read(0..size, false, &mut |_, leaf| {
        frontier.push(leaf_hash(leaf));
        Ok(true)
    })?;
    same_root(size, &frontier.root(), root)
}

/// The index's nodes, with the last tile at hand: a proof asks for several nodes of one tile in a row.
pub struct Nodes<'a> {
    index: &'a Index,
    last: Option<((u8, u64), Vec<Hash>)>,
}

impl tree::NodeReader for Nodes<'_> {
    type Error = Error;

    fn node(&mut self, level: u8, index: u64) -> Result<Hash> {
        let tile_level = level / 8;
        let within = level % 8;
        // The node covers 2^within hashes of its tile.
        let first = index << within;
        let (number, offset) = (first / 256, first % 256);
        if self.last.as_ref().is_none_or(|(id, _)| *id != (tile_level, number)) {
            let hashes = self
                .index
                .tile(tile_level, number)?
                .ok_or_else(|| Error::Corrupt(format!("tile {tile_level}/{number} of the tree is missing")))?;
            self.last = Some(((tile_level, number), hashes));
        }
        let hashes = self.last.as_ref().map_or(&[][..], |(_, hashes)| hashes.as_slice());
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let covered = from.checked_add(1 << within).and_then(|to| hashes.get(from..to));
        covered
            .map(tree::subtree_root)
            .ok_or_else(|| Error::Corrupt(format!("tile {tile_level}/{number} of the tree is too short")))
    }
}

fn addition(position: u64, leaf: &[u8]) -> Result<Addition> {
    let corrupt = |error: crate::event::Error| Error::Corrupt(format!("event {position}: {error}"));
    let peek = Peek::new(leaf).map_err(corrupt)?;
    let seq = peek.seq.parse().map_err(|_why| Error::Corrupt(format!("event {position}: seq {:?}", peek.seq)))?;
    if peek.position != position.to_string() {
        return Err(Error::Corrupt(format!("event {position} says that it is at {}", peek.position)));
    }
    let dedup = Peek::dedup(leaf).map_err(corrupt)?;
    Ok(Addition {
        stream: Arc::from(peek.stream),
        seq,
        link: stream_link(leaf),
        dedup: dedup_key(peek.source, &dedup),
        leaf_hash: leaf_hash(leaf),
    })
}
