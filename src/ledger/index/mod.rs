//! What the append path derives from the log: stream heads, stream positions, idempotency keys, hash tiles.
//!
//! Recent additions are in memory; every [`FLUSH_EVENTS`] events they are written to `index.db` in one sorted pass, so
//! that keys in random order cost a fraction of a page each. Nothing here is synced: after a crash the file is at worst
//! behind, and what is missing is derived again from the log.

mod catch_up;
mod filter;
mod memtable;
mod store;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use filter::Filter;
use memtable::Memtable;
pub(super) use memtable::{Addition, Edge, StreamHead};
use store::IndexStore;

use super::Result;
use super::sqlite::remove_database;
use super::tree::Hash;

/// Events kept in memory before they are written to `index.db`. Bounds both the memory (about 3 MB) and what a start
/// has to read again (well under 100 ms).
pub(super) const FLUSH_EVENTS: u64 = 16_384;

/// First 16 bytes of BLAKE3 over source, NUL and dedup.
pub(super) type DedupKey = [u8; 16];

/// The idempotency key of a source's id. A source holds no NUL, so the two halves cannot be shifted.
#[must_use]
pub(super) fn dedup_key(source: &str, dedup: &str) -> DedupKey {
    let mut hasher = blake3::Hasher::new();
    hasher.update(source.as_bytes()).update(&[0]).update(dedup.as_bytes());
    let mut key = [0; 16];
    hasher.finalize_xof().fill(&mut key);
    key
}

/// What stands for a stream's name among the keys. No source is empty, so no event has this key.
fn stream_key(name: &str) -> DedupKey {
    dedup_key("", name)
}

/// A stream as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamInfo {
    /// Its name.
    pub name: String,
    /// `seq` of its last event.
    pub seq: u64,
    /// Link of its last event.
    pub hash: [u8; 32],
}

/// How much the file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    /// The events before this position are in it.
    pub(super) position: u64,
    /// Idempotency keys.
    pub(super) dedup: u64,
    /// Events of streams.
    pub(super) stream_events: u64,
}

/// The index of one ledger, shared by its writer and its readers.
pub struct Index {
    store: Option<IndexStore>,
    state: RwLock<State>,
    /// What is in the file, once that was read: keys, and names of streams.
    filter: RwLock<Option<Filter>>,
    /// Held by whoever writes the file, or reads all of it.
    flushing: Mutex<()>,
}

struct State {
    /// Events since the last flush began.
    active: Memtable,
    /// What is being written to the file just now.
    frozen: Option<Arc<Memtable>>,
    edge: Edge,
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Index {
    /// Deletes an index's file: it is derived anew when the ledger is opened.
    ///
    /// # Errors
    /// `Io`.
    pub fn remove(path: &std::path::Path) -> Result<()> {
        remove_database(path)
    }

    /// How many events are indexed.
    #[must_use]
    pub fn position(&self) -> u64 {
        read(&self.state).active.to()
    }

    /// How many events are not in the file yet.
    #[must_use]
    pub fn unflushed(&self) -> u64 {
        let state = read(&self.state);
        state.active.to() - state.frozen.as_ref().map_or(state.active.from(), |frozen| frozen.from())
    }

    /// The hashes at the tree's right edge.
    #[must_use]
    pub fn edge(&self) -> Edge {
        read(&self.state).edge.clone()
    }

    /// The last event of a stream, by `seq` and link.
    ///
    /// # Errors
    /// Storage errors.
    pub fn head(&self, stream: &str) -> Result<Option<StreamHead>> {
        let state = read(&self.state);
        let recent = state.active.head(stream).or_else(|| state.frozen.as_ref().and_then(|frozen| frozen.head(stream)));
        drop(state);
        match (recent, &self.store) {
            (Some(head), _) => Ok(Some(head)),
            (None, Some(store)) if self.may_have(stream_key(stream)) => store.head(stream),
            (None, _) => Ok(None),
        }
    }

    /// Where the event with that idempotency key is.
    ///
    /// # Errors
    /// Storage errors.
    pub fn dedup(&self, key: &DedupKey) -> Result<Option<u64>> {
        let state = read(&self.state);
        let recent = state.active.dedup(key).or_else(|| state.frozen.as_ref().and_then(|frozen| frozen.dedup(key)));
        drop(state);
        match (recent, &self.store) {
            (Some(position), _) => Ok(Some(position)),
            (None, Some(store)) if self.may_have(*key) => store.dedup(key),
            (None, _) => Ok(None),
        }
    }

    /// Positions of a stream's events with `seq` from `from_seq` on, at most `limit`, ascending.
    ///
    /// # Errors
    /// Storage errors.
    pub fn stream_positions(&self, stream: &str, from_seq: u64, limit: usize) -> Result<Vec<u64>> {
        // The memory is read before the file: what moves between them meanwhile is then seen twice, not never.
        let state = read(&self.state);
        let mut recent: BTreeMap<u64, u64> = BTreeMap::new();
        if let Some(frozen) = &state.frozen {
            recent.extend(frozen.positions(stream, from_seq, limit));
        }
        recent.extend(state.active.positions(stream, from_seq, limit));
        drop(state);
        let mut all = match &self.store {
            Some(store) => store.stream_positions(stream, from_seq, limit)?,
            None => BTreeMap::new(),
        };
        all.extend(recent);
        Ok(all.into_values().take(limit).collect())
    }

    /// Streams whose names begin with `prefix` and come after `after`, in byte order, at most `limit`.
    ///
    /// # Errors
    /// Storage errors.
    pub fn streams(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<StreamInfo>> {
        let state = read(&self.state);
        let mut recent: BTreeMap<String, StreamHead> = BTreeMap::new();
        let wanted = |name: &str| name.starts_with(prefix) && after.is_none_or(|after| name > after);
        if let Some(frozen) = &state.frozen {
            recent.extend(frozen.heads().filter(|(name, _)| wanted(name)).map(|(name, head)| (name.to_owned(), head)));
        }
        recent
            .extend(state.active.heads().filter(|(name, _)| wanted(name)).map(|(name, head)| (name.to_owned(), head)));
        drop(state);
        let mut all = match &self.store {
            Some(store) => store.streams(prefix, after, limit)?,
            None => BTreeMap::new(),
        };
        all.extend(recent);
        let info = |(name, head): (String, StreamHead)| StreamInfo { name, seq: head.seq, hash: head.hash };
        Ok(all.into_iter().take(limit).map(info).collect())
    }

    /// The hashes of a tile, as many as the tree has: none where it has none.
    ///
    /// # Errors
    /// Storage errors.
    pub fn tile(&self, level: u8, number: u64) -> Result<Option<Vec<Hash>>> {
        let state = read(&self.state);
        if let Some(partial) = state.edge.partial(level, number) {
            return Ok(Some(partial));
        }
        let recent = state
            .active
            .tile(level, number)
            .or_else(|| state.frozen.as_ref().and_then(|frozen| frozen.tile(level, number)));
        drop(state);
        match (recent, &self.store) {
            (Some(tile), _) => Ok(Some(tile.to_vec())),
            (None, Some(store)) => store.tile(level, number),
            (None, None) => Ok(None),
        }
    }

    /// Takes in the events of a commit. Cannot fail: the log has them already.
    pub fn apply(&self, additions: impl IntoIterator<Item = Addition>) {
        let mut state = write(&self.state);
        let State { active, edge, .. } = &mut *state;
        for addition in additions {
            for tile in edge.push(addition.leaf_hash) {
                active.add_tile(tile);
            }
            active.add(addition);
        }
    }

    /// Writes what is in memory to the file. Does nothing for an index without a file.
    ///
    /// # Errors
    /// Storage errors; then the memory still has everything, and a later flush tries again.
    pub fn flush(&self) -> Result<()> {
        let Some(store) = &self.store else { return Ok(()) };
        let _flushing = self.flushing.lock().unwrap_or_else(PoisonError::into_inner);
        let (frozen, edge) = {
            let mut state = write(&self.state);
            if state.frozen.is_none() {
                if state.active.is_empty() {
                    return Ok(());
                }
                let next = Memtable::new(state.active.to());
                state.frozen = Some(Arc::new(std::mem::replace(&mut state.active, next)));
            }
            let Some(frozen) = state.frozen.clone() else { return Ok(()) };
            (frozen, state.edge.clone())
        };
        // The edge may be ahead of the frozen events; cut it back to where they end.
        let edge = edge.cut(frozen.to(), |level, number| self.tile(level, number))?;
        store.write(&frozen, &edge)?;
        // What is no longer in memory must be in the filter.
        if let Some(filter) = write(&self.filter).as_mut() {
            frozen.dedup.keys().for_each(|key| filter.insert(*key));
            frozen.streams.keys().for_each(|name| filter.insert(stream_key(name)));
        }
        write(&self.state).frozen = None;
        Ok(())
    }

    /// Reads which keys and streams the file has, so that those it has not need no look at it from now on.
    ///
    /// # Errors
    /// Storage errors; then every key is looked for in the file, as before.
    pub(super) fn read_keys(&self) -> Result<()> {
        let Some(store) = &self.store else { return Ok(()) };
        let _flushing = self.flushing.lock().unwrap_or_else(PoisonError::into_inner);
        let n_keys = usize::try_from(store.position()?).unwrap_or(usize::MAX);
        let mut filter = Filter::new(n_keys.saturating_mul(2));
        store.keys(&mut |key| filter.insert(key))?;
        store.heads(&mut |stream| {
            filter.insert(stream_key(&stream.name));
            Ok(())
        })?;
        *write(&self.filter) = Some(filter);
        Ok(())
    }

    fn may_have(&self, key: DedupKey) -> bool {
        read(&self.filter).as_ref().is_none_or(|filter| filter.may_have(key))
    }

    /// How many events the file covers; none for an index without a file.
    ///
    /// # Errors
    /// Storage errors.
    pub(super) fn file_position(&self) -> Result<Option<u64>> {
        self.store.as_ref().map(IndexStore::position).transpose()
    }

    /// How much the file holds.
    ///
    /// # Errors
    /// Storage errors; `Internal` for an index without a file.
    pub(super) fn file_counts(&self) -> Result<Counts> {
        match &self.store {
            Some(store) => store.counts(),
            None => Err(super::Error::Internal("this index keeps no file".to_owned())),
        }
    }

    /// Every stream head as of one position: what the file holds, consistently. Shows them in byte order of the names.
    ///
    /// # Errors
    /// Storage errors and the visitor's; `Internal` for an index without a file.
    pub fn flushed_heads(&self, visit: &mut dyn FnMut(&StreamInfo) -> Result<()>) -> Result<u64> {
        match &self.store {
            Some(store) => store.heads(visit),
            None => Err(super::Error::Internal("this index keeps no file".to_owned())),
        }
    }
}
