//! The floors: what the same machine does with the same bytes when it does nothing else.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rusqlite::Connection;
use sha2::{Digest as _, Sha256};

use super::Result;
use crate::event::Peek;

/// One plain table with two unique indexes, as a program would have it that keeps events in SQLite and proves nothing.
pub(super) struct RawTable {
    connection: Connection,
    n_rows: u64,
}

/// A row of it.
pub(super) struct RawRow {
    stream: String,
    seq: i64,
    source_key: String,
    body: Bytes,
}

impl RawRow {
    /// The row of a recorded event.
    pub(super) fn of(leaf: Bytes) -> Result<Self> {
        let peek = Peek::new(&leaf)?;
        let source_key = format!("{}\u{0}{}", peek.source, Peek::dedup(&leaf)?);
        Ok(Self { stream: peek.stream.to_owned(), seq: peek.seq.parse()?, source_key, body: leaf })
    }
}

impl RawTable {
    #[expect(clippy::disallowed_methods, reason = "the floor is SQLite without our engine")]
    pub(super) fn create(path: &Path) -> Result<Self> {
        let connection = Connection::open(path)?;
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch(
            "CREATE TABLE event (stream TEXT NOT NULL, seq INTEGER NOT NULL, source_key TEXT NOT NULL UNIQUE, \
             body BLOB NOT NULL, UNIQUE (stream, seq))",
        )?;
        Ok(Self { connection, n_rows: 0 })
    }

    /// How many rows there are.
    pub(super) fn n_rows(&self) -> u64 {
        self.n_rows
    }

    /// Reads the first `n` rows in order, each whole and into memory of its own. Returns how long that took.
    pub(super) fn scan(&self, n: u64) -> Result<Duration> {
        let began = Instant::now();
        let mut statement = self
            .connection
            .prepare_cached("SELECT stream, seq, source_key, body FROM event WHERE rowid <= ?1 ORDER BY rowid")?;
        let mut rows = statement.query([i64::try_from(n)?])?;
        let mut n_rows = 0;
        while let Some(row) = rows.next()? {
            let (stream, seq, key): (String, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let body: Vec<u8> = row.get(3)?;
            std::hint::black_box((stream, seq, key, body));
            n_rows += 1;
        }
        let took = began.elapsed();
        anyhow::ensure!(n_rows == n, "the scan saw {n_rows} of {n} rows");
        Ok(took)
    }

    /// Inserts rows, `batch` in each transaction, and returns how long that took.
    pub(super) fn insert(&mut self, rows: &[RawRow], batch: usize) -> Result<Duration> {
        let began = Instant::now();
        for rows in rows.chunks(batch) {
            let transaction = self.connection.transaction()?;
            {
                let mut insert = transaction.prepare_cached("INSERT INTO event VALUES (?1, ?2, ?3, ?4)")?;
                for row in rows {
                    insert.execute((&row.stream, row.seq, &row.source_key, &row.body[..]))?;
                }
            }
            transaction.commit()?;
            self.n_rows += rows.len() as u64;
        }
        Ok(began.elapsed())
    }
}

/// A file that is written at its end and synced, 4 KiB at a time.
pub(super) struct Synced(File);

impl Synced {
    pub(super) fn create(path: &Path) -> Result<Self> {
        Ok(Self(File::create(path)?))
    }

    pub(super) fn write(&mut self) -> Result<Duration> {
        let began = Instant::now();
        self.0.write_all(&[7; 4096])?;
        self.0.sync_data()?;
        Ok(began.elapsed())
    }
}

/// SHA-256 of every leaf by itself, on `threads` threads. Returns how long that took.
pub(super) fn sha256(leaves: &[Bytes], threads: usize) -> Duration {
    let began = Instant::now();
    std::thread::scope(|scope| {
        for part in leaves.chunks(leaves.len().div_ceil(threads).max(1)) {
            scope.spawn(move || {
                for leaf in part {
                    std::hint::black_box(Sha256::digest(leaf));
                }
            });
        }
    });
    began.elapsed()
}

/// Reads every commit that a repository's branches reach. Returns how long that took, and how many there are.
pub(super) fn walk(path: &Path) -> Result<(Duration, usize)> {
    let began = Instant::now();
    let repository = git2::Repository::open(path)?;
    let mut walk = repository.revwalk()?;
    walk.set_sorting(git2::Sort::TOPOLOGICAL | git2::Sort::REVERSE)?;
    walk.push_glob("refs/heads/*")?;
    let mut n = 0;
    for oid in walk {
        let commit = repository.find_commit(oid?)?;
        let (author, committer) = (commit.author(), commit.committer());
        let read = (author.name_bytes().len(), committer.when().seconds(), commit.message_raw_bytes().len());
        std::hint::black_box((read, commit.parent_ids().count()));
        n += 1;
    }
    Ok((began.elapsed(), n))
}
