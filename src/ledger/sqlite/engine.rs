//! Reading `ledger.db`.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{OptionalExtension, Row, params};

use super::super::engine::{Appender, Engine, Head, LeafVisitor, SealedValue, SubjectRecord};
use super::super::error::{to_i64, to_u64};
use super::super::{Error, Result};
use super::appender::SqliteAppender;
use super::connection::{Access, Readers, Store, schema_version};
use crate::event::{Hex32, SealedId, SubjectId};

/// The schema and its numbered steps; the position in the list is the schema's version.
const STEPS: &[&str] =
    &[include_str!("../../../schema/ledger/sqlite.sql"), include_str!("../../../schema/ledger/sqlite-2.sql")];

/// The schema since which small evidence is kept here.
const WITH_EVIDENCE: usize = 2;

/// How many read connections are kept open. Two cores serve few reads at once; each costs up to 4 MB of cache.
const READERS_KEPT: usize = 4;

/// A ledger's precious data in one SQLite file. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SqliteEngine {
    store: Store,
    readers: Arc<Readers>,
}

impl SqliteEngine {
    /// Opens the database for reading and writing, creating it where there is none.
    ///
    /// # Errors
    /// `Database`, `Internal`, `Refused`: see [`Store::open`] and [`Store::migrate`].
    pub fn open(store: Store) -> Result<Self> {
        let mut connection = store.open(Access::Write)?;
        store.migrate(&mut connection, STEPS)?;
        Ok(Self::over(store))
    }

    /// Opens an existing database for reading only.
    ///
    /// # Errors
    /// `NotFound` when there is no such file; `Database`, `Internal`.
    pub fn open_read_only(store: Store) -> Result<Self> {
        if !store.path().exists() {
            return Err(Error::NotFound(format!("ledger {}", store.path().display())));
        }
        let engine = Self::over(store);
        engine.readers.with(|connection| {
            let version = schema_version(connection)?;
            // An older one has less in it, and can be read all the same; who opens it for writing brings it up.
            if (1..=STEPS.len()).contains(&version) {
                Ok(())
            } else {
                let path = engine.store.path().display();
                Err(Error::Refused(format!("{path} has schema {version}, and this program reads {}", STEPS.len())))
            }
        })?;
        Ok(engine)
    }

    fn over(store: Store) -> Self {
        let readers = Arc::new(Readers::new(store.clone(), READERS_KEPT));
        Self { store, readers }
    }
}

fn sealed_row(row: &Row<'_>) -> Result<SealedValue> {
    let (id, owner): (String, Option<String>) = (row.get(0)?, row.get(1)?);
    Ok(SealedValue {
        id: id.parse().map_err(|error| Error::Corrupt(format!("sealed value {id}: {error}")))?,
        owner: owner
            .map(|owner| owner.parse().map_err(|error| Error::Corrupt(format!("sealed value {id}: owner: {error}"))))
            .transpose()?,
        salt: row.get(2)?,
        value: row.get(3)?,
    })
}

fn subject_row(row: &Row<'_>) -> Result<SubjectRecord> {
    let id: String = row.get(0)?;
    Ok(SubjectRecord {
        id: id.parse().map_err(|error| Error::Corrupt(format!("subject {id}: {error}")))?,
        salt: row.get(1)?,
        identity: row.get(2)?,
    })
}

impl Engine for SqliteEngine {
    fn head(&self) -> Result<Head> {
        self.readers.with(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT (SELECT max(position) FROM event), (SELECT max(size) FROM checkpoint), \
                 (SELECT note FROM checkpoint ORDER BY size DESC LIMIT 1)",
            )?;
            let (last, size, checkpoint): (Option<i64>, Option<i64>, Option<String>) =
                statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            let events = to_u64(last.map_or(0, |last| last.saturating_add(1)))?;
            let signed = to_u64(size.unwrap_or(0))?;
            if events != signed {
                return Err(Error::Corrupt(format!(
                    "the log ends after {events} events, and its newest checkpoint is for {signed}"
                )));
            }
            Ok(Head { size: events, checkpoint })
        })
    }

    fn read(&self, range: Range<u64>, backwards: bool, visit: &mut LeafVisitor<'_>) -> Result<()> {
        self.readers.with(|connection| {
            let mut statement = connection.prepare_cached(if backwards {
                "SELECT position, leaf FROM event WHERE position >= ?1 AND position < ?2 ORDER BY position DESC"
            } else {
                "SELECT position, leaf FROM event WHERE position >= ?1 AND position < ?2 ORDER BY position"
            })?;
            let mut rows = statement.query(params![to_i64(range.start), to_i64(range.end)])?;
            while let Some(row) = rows.next()? {
                let leaf = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
                if !visit(to_u64(row.get(0)?)?, leaf)? {
                    break;
                }
            }
            Ok(())
        })
    }

    fn leaf(&self, position: u64) -> Result<Option<Bytes>> {
        self.readers.with(|connection| {
            let mut statement = connection.prepare_cached("SELECT leaf FROM event WHERE position = ?1")?;
            let leaf: Option<Vec<u8>> = statement.query_row([to_i64(position)], |row| row.get(0)).optional()?;
            Ok(leaf.map(Bytes::from))
        })
    }

    fn checkpoints(&self, range: Range<u64>, visit: &mut dyn FnMut(u64, &str) -> Result<bool>) -> Result<()> {
        self.readers.with(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT size, note FROM checkpoint WHERE size >= ?1 AND size < ?2 ORDER BY size")?;
            let mut rows = statement.query(params![to_i64(range.start), to_i64(range.end)])?;
            while let Some(row) = rows.next()? {
                if !visit(to_u64(row.get(0)?)?, row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)? {
                    break;
                }
            }
            Ok(())
        })
    }

    fn sealed(&self, id: &SealedId) -> Result<Option<SealedValue>> {
        self.readers.with(|connection| {
            let mut statement = connection.prepare_cached("SELECT id, owner, salt, value FROM sealed WHERE id = ?1")?;
            statement.query([id.as_str()])?.next()?.map(sealed_row).transpose()
        })
    }

    fn evidence(&self, blake3: &Hex32) -> Result<Option<Bytes>> {
        self.readers.with(|connection| {
            if schema_version(connection)? < WITH_EVIDENCE {
                return Ok(None);
            }
            let mut statement = connection.prepare_cached("SELECT packed FROM evidence WHERE blake3 = ?1")?;
            let packed: Option<Vec<u8>> = statement.query_row([blake3.to_bytes()], |row| row.get(0)).optional()?;
            Ok(packed.map(Bytes::from))
        })
    }

    fn subject(&self, id: &SubjectId) -> Result<Option<SubjectRecord>> {
        self.readers.with(|connection| {
            let mut statement = connection.prepare_cached("SELECT id, salt, identity FROM subject WHERE id = ?1")?;
            statement.query([id.as_str()])?.next()?.map(subject_row).transpose()
        })
    }

    fn subject_of(&self, identity: &str) -> Result<Option<SubjectRecord>> {
        self.readers.with(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT id, salt, identity FROM subject WHERE identity = ?1")?;
            statement.query([identity])?.next()?.map(subject_row).transpose()
        })
    }

    fn appender(&self) -> Result<Box<dyn Appender>> {
        Ok(Box::new(SqliteAppender::open(&self.store)?))
    }

    fn backup(&self, to: &Path) -> Result<u64> {
        let source = self.store.open(Access::Read)?;
        // One state from the first page to the last: without a transaction every commit in between would begin it anew.
        source.execute_batch("BEGIN")?;
        source.query_row("SELECT count(*) FROM (SELECT 1 FROM event LIMIT 1)", [], |_| Ok(()))?;
        // VACUUM INTO would rewrite the pages; the backup interface copies them as they are, a few at a time.
        let mut copy = Store::precious(to, None).open(Access::Write)?;
        let backup = rusqlite::backup::Backup::new(&source, &mut copy)?;
        backup.run_to_completion(1024, std::time::Duration::ZERO, None)?;
        drop(backup);
        copy.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))?;
        copy.close().map_err(|(_, error)| error)?;
        let file = std::fs::File::open(to).map_err(|error| Error::io("cannot open the backup", to, error))?;
        file.sync_all().map_err(|error| Error::io("cannot sync the backup", to, error))?;
        Ok(file.metadata().map_err(|error| Error::io("cannot read the size of", to, error))?.len())
    }
}
