//! Writing `ledger.db`: one connection, one transaction per batch.

use std::sync::{Arc, OnceLock, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, ffi, params};

use super::super::engine::{AppendError, Appender, Batch};
use super::super::error::{to_i64, to_u64};
use super::super::{Error, Result};
use super::connection::{Access, BUSY_TIMEOUT, Store, WalLimits};

/// The one writer of a SQLite ledger.
pub(super) struct SqliteAppender {
    connection: Connection,
    since_checkpoint: usize,
    since_restart: usize,
    limits: WalLimits,
    distrust: Distrust,
    /// Something was erased whose bytes may still be in the write-ahead log.
    scrub_due: bool,
    checkpointer: Checkpointer,
}

/// Why the medium cannot be trusted any more, once a sync failed while the write-ahead log was copied.
///
/// What was not synced may be gone although it can still be read, and a second sync would say that all is well. So the
/// copying, which may fail otherwise as often as it likes, also ends the writing then.
#[derive(Clone, Default)]
struct Distrust(Arc<OnceLock<String>>);

impl Distrust {
    fn note(&self, error: &rusqlite::Error) {
        let code = error.sqlite_error().map(|error| error.extended_code);
        if matches!(code, Some(ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC)) {
            self.0.get_or_init(|| format!("a sync failed while the write-ahead log was copied: {error}"));
        }
    }
}

impl SqliteAppender {
    pub(super) fn open(store: &Store) -> Result<Self> {
        let connection = store.open(Access::Write)?;
        let distrust = Distrust::default();
        Ok(Self {
            connection,
            since_checkpoint: 0,
            since_restart: 0,
            limits: store.wal(),
            checkpointer: Checkpointer::start(store, distrust.clone())?,
            distrust,
            scrub_due: false,
        })
    }

    /// Applies a batch, unless the log has another size than it expects: then it returns that size.
    fn apply(&mut self, batch: &Batch) -> Result<Option<i64>, rusqlite::Error> {
        let transaction = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let last: Option<i64> =
            transaction.prepare_cached("SELECT max(position) FROM event")?.query_row([], |row| row.get(0))?;
        let size = last.map_or(0, |last| last.saturating_add(1));
        if size != to_i64(batch.first) {
            return Ok(Some(size));
        }
        {
            let mut insert = transaction.prepare_cached("INSERT INTO event (position, leaf) VALUES (?1, ?2)")?;
            for (position, leaf) in (batch.first..).zip(&batch.leaves) {
                insert.execute(params![to_i64(position), &leaf[..]])?;
            }
            if let Some(note) = &batch.checkpoint {
                let size = batch.first + batch.leaves.len() as u64;
                transaction
                    .prepare_cached("INSERT INTO checkpoint (size, note) VALUES (?1, ?2)")?
                    .execute(params![to_i64(size), note])?;
            }
            if !batch.sealed.is_empty() {
                let mut insert = transaction
                    .prepare_cached("INSERT INTO sealed (id, owner, salt, value) VALUES (?1, ?2, ?3, ?4)")?;
                for row in &batch.sealed {
                    let owner = row.owner.as_ref().map(|owner| owner.as_str());
                    insert.execute(params![row.id.as_str(), owner, row.salt, row.value])?;
                }
            }
            if !batch.evidence.is_empty() {
                let mut insert = transaction.prepare_cached(
                    "INSERT INTO evidence (blake3, packed) VALUES (?1, ?2) \
                     ON CONFLICT (blake3) DO UPDATE SET packed = excluded.packed",
                )?;
                for blob in &batch.evidence {
                    insert.execute(params![blob.blake3.to_bytes(), &blob.packed[..]])?;
                }
            }
            for row in &batch.subjects {
                transaction
                    .prepare_cached("INSERT INTO subject (id, salt, identity) VALUES (?1, ?2, ?3)")?
                    .execute(params![row.id.as_str(), row.salt, row.identity])?;
            }
            for subject in &batch.erase.subjects {
                transaction.execute("DELETE FROM subject WHERE id = ?1", [subject.as_str()])?;
                transaction.execute("DELETE FROM sealed WHERE owner = ?1", [subject.as_str()])?;
            }
            for value in &batch.erase.values {
                transaction.execute("DELETE FROM sealed WHERE id = ?1", [value.as_str()])?;
            }
            for blob in &batch.erase.blobs {
                transaction.execute("DELETE FROM evidence WHERE blake3 = ?1", [blob.to_bytes()])?;
            }
        }
        transaction.commit()?;
        Ok(None)
    }
}

impl Appender for SqliteAppender {
    fn append(&mut self, batch: &Batch) -> Result<(), AppendError> {
        if let Some(why) = self.distrust.0.get() {
            return Err(AppendError::Fatal(Error::CannotWrite { what: why.clone(), source: None }));
        }
        if batch.leaves.is_empty() != batch.checkpoint.is_none() {
            return Err(AppendError::Refused(Error::Internal("a checkpoint goes with leaves".to_owned())));
        }
        if let Some(size) = self.apply(batch).map_err(|error| self.judge(error))? {
            return Err(AppendError::Moved { size: to_u64(size).map_err(AppendError::Fatal)? });
        }
        // A blob's row goes to the right edge, its key to any page of the unique index.
        let evidence: usize = batch.evidence.iter().map(|blob| blob.packed.len() + 16_384).sum();
        let bytes: usize = batch.leaves.iter().map(|leaf| leaf.len() + 40).sum::<usize>() + evidence + 32_768;
        self.since_checkpoint += bytes;
        self.since_restart += bytes;
        if batch.erase != super::super::engine::Erasure::default() {
            // The erased bytes must also leave the write-ahead log.
            self.scrub_due = !self.restart_wal("TRUNCATE");
        }
        Ok(())
    }

    fn maintain(&mut self) {
        if self.scrub_due {
            self.scrub_due = !self.restart_wal("TRUNCATE");
        } else if self.since_restart >= self.limits.restart {
            self.restart_wal("PASSIVE");
        } else if self.since_checkpoint >= self.limits.checkpoint {
            self.since_checkpoint = 0;
            self.checkpointer.poke();
        }
    }
}

impl SqliteAppender {
    /// Copies the whole write-ahead log into the database, so that it starts over. Returns whether that was done.
    fn restart_wal(&mut self, mode: &str) -> bool {
        // Readers are not waited for: every append would wait with us, and there will be another moment.
        let patience = |time| self.connection.busy_timeout(time);
        let done: Result<(i64, i64, i64), _> = patience(Duration::ZERO).and_then(|()| {
            self.connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
        });
        let done = patience(BUSY_TIMEOUT).and(done);
        match done {
            // (busy, pages in the log, pages copied)
            Ok((0, log, copied)) if log == copied => {
                self.since_checkpoint = 0;
                self.since_restart = 0;
                return true;
            }
            // A reader is still using old pages; again after some more batches.
            Ok(_) => self.since_restart = self.limits.restart / 2,
            Err(error) => {
                self.distrust.note(&error);
                tracing::warn!(%error, "cannot copy the write-ahead log into the database; it grows until that works again");
                self.since_restart = self.limits.restart / 2;
            }
        }
        false
    }

    /// Tells errors after which nothing was applied for certain from those that leave it open.
    fn judge(&mut self, error: rusqlite::Error) -> AppendError {
        let refused = |what: &str, error: rusqlite::Error| {
            AppendError::Refused(Error::CannotWrite { what: what.to_owned(), source: Some(Box::new(error)) })
        };
        // Dropping the transaction rolled it back, unless that failed too.
        if !self.connection.is_autocommit() {
            return AppendError::Fatal(Error::Database(error));
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => refused("the disk is full", error),
            Some(ErrorCode::ReadOnly) => refused("the database file is read-only", error),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                refused("another process holds the database", error)
            }
            Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig) => {
                AppendError::Refused(Error::Internal(format!("the database refuses a batch: {error}")))
            }
            _ => AppendError::Fatal(Error::Database(error)),
        }
    }
}

/// A thread that copies the write-ahead log into the database when told, on a connection of its own.
struct Checkpointer {
    poke: Option<mpsc::SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    fn start(store: &Store, distrust: Distrust) -> Result<Self> {
        let connection = store.open(Access::Checkpoint)?;
        let (poke, poked) = mpsc::sync_channel::<()>(1);
        let thread = std::thread::Builder::new()
            .name("plimsoll-wal".to_owned())
            .spawn(move || {
                while poked.recv().is_ok() {
                    if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
                        distrust.note(&error);
                        tracing::warn!(%error, "cannot copy the write-ahead log into the database in the background");
                    }
                }
            })
            .map_err(|error| Error::Io { what: "cannot start a thread".to_owned(), source: error })?;
        Ok(Self { poke: Some(poke), thread: Some(thread) })
    }

    fn poke(&self) {
        if let Some(poke) = &self.poke {
            // Full means that it is about to run anyway; gone means that we are ending.
            let _already = poke.try_send(()).is_err();
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.poke = None;
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join().is_err();
        }
    }
}
