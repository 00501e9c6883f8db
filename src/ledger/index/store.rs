//! `index.db`: the part of the index that outlives the process.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, params};

use super::super::error::{to_i64, to_u64};
use super::super::sqlite::{Access, Store, remove_database};
use super::super::tree::Hash;
use super::super::{Error, Result};
use super::memtable::{Edge, Memtable, StreamHead};
use super::{Counts, DedupKey, StreamInfo};
use crate::ledger::sqlite::Readers;

const STEPS: &[&str] = &[include_str!("../../../schema/index/index.sql")];

/// How many read connections are kept open.
const READERS_KEPT: usize = 3;

/// The file and its connections.
pub(super) struct IndexStore {
    // Closed first: only the last connection to close can clear the write-ahead log away, and readers may not.
    readers: Readers,
    /// None when the ledger was opened for reading only.
    writer: Option<Mutex<Connection>>,
}

fn hashes_from(bytes: &[u8]) -> Vec<Hash> {
    bytes.as_chunks::<32>().0.iter().map(|hash| Hash::from(*hash)).collect()
}

fn hashes_to(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

impl IndexStore {
    /// Opens the file for `origin`, creating it where there is none; one that belongs to another log, or is damaged,
    /// is replaced by an empty one. Returns also the position and the edge it is at.
    ///
    /// # Errors
    /// Storage errors.
    pub(super) fn open(path: &Path, origin: &str) -> Result<(Self, Edge)> {
        match Self::try_open(path, origin) {
            Ok(Some(opened)) => return Ok(opened),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "index.db cannot be used: deriving it anew from the log"),
        }
        remove_database(path)?;
        Self::try_open(path, origin)?.ok_or_else(|| Error::Internal("a new index.db is not empty".to_owned()))
    }

    /// Opens an existing file for reading; none where there is no usable one for `origin`.
    #[must_use]
    pub(super) fn open_read_only(path: &Path, origin: &str) -> Option<(Self, Edge)> {
        let readers = Readers::new(Store::derived(path), READERS_KEPT);
        let edge = path.exists().then(|| readers.with(|connection| load_edge(connection, origin)))?.ok()??;
        Some((Self { writer: None, readers }, edge))
    }

    fn try_open(path: &Path, origin: &str) -> Result<Option<(Self, Edge)>> {
        let store = Store::derived(path);
        let mut writer = store.open(Access::Write)?;
        store.migrate(&mut writer, STEPS)?;
        writer.pragma_update(None, "wal_autocheckpoint", 2000)?;
        writer.execute("INSERT OR IGNORE INTO state (id, position, origin) VALUES (0, 0, ?1)", [origin])?;
        let Some(edge) = load_edge(&writer, origin)? else { return Ok(None) };
        let readers = Readers::new(store, READERS_KEPT);
        Ok(Some((Self { writer: Some(Mutex::new(writer)), readers }, edge)))
    }

    pub(super) fn is_writable(&self) -> bool {
        self.writer.is_some()
    }

    pub(super) fn head(&self, stream: &str) -> Result<Option<StreamHead>> {
        self.readers.with(|connection| {
            let mut statement = connection.prepare_cached("SELECT seq, hash FROM stream WHERE name = ?1")?;
            let row: Option<(i64, [u8; 32])> =
                statement.query_row([stream], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            row.map(|(seq, hash)| Ok(StreamHead { seq: to_u64(seq)?, hash })).transpose()
        })
    }

    pub(super) fn dedup(&self, key: &DedupKey) -> Result<Option<u64>> {
        self.readers.with(|connection| {
            let mut statement = connection.prepare_cached("SELECT position FROM dedup WHERE key = ?1")?;
            let position: Option<i64> = statement.query_row([&key[..]], |row| row.get(0)).optional()?;
            position.map(to_u64).transpose()
        })
    }

    /// How many events the file covers.
    pub(super) fn position(&self) -> Result<u64> {
        self.readers
            .with(|connection| to_u64(connection.query_row("SELECT position FROM state", [], |row| row.get(0))?))
    }

    /// Shows every idempotency key.
    pub(super) fn keys(&self, visit: &mut dyn FnMut(DedupKey)) -> Result<()> {
        self.readers.with(|connection| {
            let mut statement = connection.prepare("SELECT key FROM dedup")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                visit(row.get(0)?);
            }
            Ok(())
        })
    }

    pub(super) fn stream_positions(&self, stream: &str, from_seq: u64, limit: usize) -> Result<BTreeMap<u64, u64>> {
        self.readers.with(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT seq, position FROM stream_event WHERE stream = (SELECT id FROM stream WHERE name = ?1) \
                 AND seq >= ?2 ORDER BY seq LIMIT ?3",
            )?;
            let mut rows = statement.query(params![stream, to_i64(from_seq), to_i64(limit as u64)])?;
            let mut positions = BTreeMap::new();
            while let Some(row) = rows.next()? {
                positions.insert(to_u64(row.get(0)?)?, to_u64(row.get(1)?)?);
            }
            Ok(positions)
        })
    }

    pub(super) fn streams(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<BTreeMap<String, StreamHead>> {
        self.readers.with(|connection| {
            // Names are ASCII, so everything with the prefix sorts before the prefix followed by DEL.
            let mut statement = connection.prepare_cached(
                "SELECT name, seq, hash FROM stream WHERE name >= ?1 AND name < ?1 || char(127) AND name > ?2 \
                 ORDER BY name LIMIT ?3",
            )?;
            let mut rows = statement.query(params![prefix, after.unwrap_or(""), to_i64(limit as u64)])?;
            let mut streams = BTreeMap::new();
            while let Some(row) = rows.next()? {
                streams.insert(row.get(0)?, StreamHead { seq: to_u64(row.get(1)?)?, hash: row.get(2)? });
            }
            Ok(streams)
        })
    }

    pub(super) fn tile(&self, level: u8, number: u64) -> Result<Option<Vec<Hash>>> {
        self.readers.with(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT hashes FROM tile WHERE level = ?1 AND number = ?2")?;
            let mut rows = statement.query(params![level, to_i64(number)])?;
            let Some(row) = rows.next()? else { return Ok(None) };
            Ok(Some(hashes_from(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)))
        })
    }

    pub(super) fn heads(&self, visit: &mut dyn FnMut(&StreamInfo) -> Result<()>) -> Result<u64> {
        self.readers.with(|connection| {
            let transaction = connection.unchecked_transaction()?;
            let position: i64 = transaction.query_row("SELECT position FROM state", [], |row| row.get(0))?;
            let mut statement = transaction.prepare_cached("SELECT name, seq, hash FROM stream ORDER BY name")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                visit(&StreamInfo { name: row.get(0)?, seq: to_u64(row.get(1)?)?, hash: row.get(2)? })?;
            }
            to_u64(position)
        })
    }

    /// Position and number of rows, as of one moment.
    pub(super) fn counts(&self) -> Result<Counts> {
        self.readers.with(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT (SELECT position FROM state), (SELECT count(*) FROM dedup), (SELECT count(*) FROM stream_event)",
            )?;
            let (position, dedup, stream_events): (i64, i64, i64) =
                statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            let (position, dedup, stream_events) = (to_u64(position)?, to_u64(dedup)?, to_u64(stream_events)?);
            Ok(Counts { position, dedup, stream_events })
        })
    }

    /// Writes a range of events and moves the position, in one transaction.
    pub(super) fn write(&self, memtable: &Memtable, edge: &Edge) -> Result<()> {
        let Some(writer) = &self.writer else {
            return Err(Error::Internal("the index was opened for reading only".to_owned()));
        };
        let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = writer.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let at: i64 = transaction.query_row("SELECT position FROM state", [], |row| row.get(0))?;
        if to_u64(at)? != memtable.from() {
            return Err(Error::Internal(format!("index.db is at {at}, and the flush begins at {}", memtable.from())));
        }
        {
            let mut upsert = transaction.prepare_cached(
                "INSERT INTO stream (name, seq, hash) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (name) DO UPDATE SET seq = excluded.seq, hash = excluded.hash RETURNING id",
            )?;
            let mut streams: Vec<_> = memtable.streams.iter().collect();
            streams.sort_unstable_by_key(|(name, _)| *name);
            let mut by_id = Vec::with_capacity(streams.len());
            for (name, stream) in streams {
                let head = stream.head();
                let id: i64 = upsert.query_row(params![name, to_i64(head.seq), head.hash], |row| row.get(0))?;
                by_id.push((id, stream));
            }
            by_id.sort_unstable_by_key(|(id, _)| *id);
            let mut insert =
                transaction.prepare_cached("INSERT INTO stream_event (stream, seq, position) VALUES (?1, ?2, ?3)")?;
            for (id, stream) in by_id {
                for (seq, position) in (stream.first_seq..).zip(&stream.positions) {
                    insert.execute(params![id, to_i64(seq), to_i64(*position)])?;
                }
            }
            let mut keys: Vec<_> = memtable.dedup.iter().collect();
            keys.sort_unstable();
            let mut insert =
                transaction.prepare_cached("INSERT OR IGNORE INTO dedup (key, position) VALUES (?1, ?2)")?;
            for (key, position) in keys {
                insert.execute(params![&key[..], to_i64(*position)])?;
            }
            let mut insert =
                transaction.prepare_cached("INSERT INTO tile (level, number, hashes) VALUES (?1, ?2, ?3)")?;
            let mut tiles: Vec<_> = memtable.tiles.iter().collect();
            tiles.sort_unstable_by_key(|(id, _)| **id);
            for ((level, number), hashes) in tiles {
                insert.execute(params![level, to_i64(*number), hashes_to(hashes)])?;
            }
            transaction.execute("DELETE FROM edge", [])?;
            for (level, hashes) in (0_u8..).zip(edge.levels()) {
                transaction
                    .execute("INSERT INTO edge (level, hashes) VALUES (?1, ?2)", params![level, hashes_to(hashes)])?;
            }
            transaction.execute("UPDATE state SET position = ?1", [to_i64(memtable.to())])?;
        }
        transaction.commit()?;
        Ok(())
    }
}

/// The edge as of the file's position; none when the file is another log's or its parts do not fit together.
fn load_edge(connection: &Connection, origin: &str) -> Result<Option<Edge>> {
    let transaction = connection.unchecked_transaction()?;
    let (position, of): (i64, String) =
        transaction.query_row("SELECT position, origin FROM state", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut levels = Vec::new();
    let mut statement = transaction.prepare("SELECT hashes FROM edge ORDER BY level")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        levels.push(hashes_from(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?));
    }
    Ok(if of == origin { Edge::from_parts(to_u64(position)?, levels) } else { None })
}
