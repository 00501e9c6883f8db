//! Copies: a backup and its restore, and the log as static files.

use std::path::Path;

use super::engine::Engine;
use super::guard::{Guard, named_new, sync_dir, write_synced};
use super::open::{own_draft, read_verifier_key};
use super::paths::DataDir;
use super::sqlite::{SqliteEngine, Store, remove_database};
use super::tree::{TileKind, TilePath};
use super::{Error, Ledger, Lock, Result};
use crate::event::ledger::BackupCompleted;
use crate::event::{Draft, Position, Private, Timestamp, U64};

/// A backup that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// How many events it holds.
    pub size: u64,
    /// Bytes copied.
    pub bytes: u64,
}

impl Taken {
    /// The event that says so, for a backup completed at `at`.
    ///
    /// # Errors
    /// `Internal` for a destination whose name is too long for an event.
    pub fn draft(&self, destination: &Path, at: Timestamp) -> Result<Draft> {
        let destination = destination.display().to_string();
        let dedup = format!("backup:{}:{at}", self.size);
        let data = BackupCompleted {
            as_of: Position(self.size),
            destination: Private::plain(destination),
            size: U64(self.bytes),
        };
        own_draft(data, &dedup, at)
    }
}

/// Copies log, sealed values, keys and evidence into a new directory, while the ledger may be in use. The rollback guard
/// and everything that can be derived stay behind. The directory then holds the signing key: keep it as safe as the ledger.
///
/// # Errors
/// `Refused` when the destination exists; `NotFound`; storage errors.
pub fn backup(data: &DataDir, to: &Path) -> Result<Taken> {
    if to.exists() {
        return Err(Error::Refused(format!("{} exists already", to.display())));
    }
    let engine = open_engine_read_only(data)?;
    let copy = DataDir::new(to);
    copy.make()?;
    // A blob is there before the event that names it, and until after the one that erases it: what the copied log names
    // was there before it was copied, or came while it was; what is gone since is in a log that says so, or will.
    let mut bytes = copy_tree(&data.evidence(), &copy.evidence())?;
    bytes += engine.backup(&copy.ledger())?;
    bytes += copy_tree(&data.evidence(), &copy.evidence())?;
    bytes += copy_file(&data.signing_key(), &copy.signing_key())?;
    bytes += copy_file(&data.verifier_key(), &copy.verifier_key())?;
    sync_dir(to)?;
    let size = SqliteEngine::open_read_only(Store::precious(&copy.ledger(), None))?.head()?.size;
    Ok(Taken { size, bytes })
}

/// Puts a backup into a data directory that holds no database. One that is older than what the guard remembers is not put
/// there unless that is accepted; whether the ledger may go on from it is decided once more when it is opened.
///
/// # Errors
/// `Refused` when there is a database already; `RolledBack`; `NotFound`; storage errors.
pub fn restore(from: &DataDir, to: &DataDir, guard: &Guard, accept_rollback: bool) -> Result<()> {
    if !from.exists() {
        return Err(Error::NotFound(format!("a backup in {}", from.root().display())));
    }
    let engine = open_engine_read_only(from)?;
    let size = engine.head()?.size;
    let known = guard.load(&read_verifier_key(&from.verifier_key())?)?;
    if let Some((known, _)) = known.filter(|(known, _)| known.size > size && !accept_rollback) {
        return Err(Error::RolledBack { database: size, known: known.size, guard: guard.path().display().to_string() });
    }
    to.make()?;
    let _lock = Lock::take(&to.lock(), "plimsoll backup restore")?;
    // SQLite would take a write-ahead log that was left behind for that of the database that is put back.
    for suffix in ["", "-wal", "-shm"] {
        let file = to.root().join(format!("ledger.db{suffix}"));
        if file.exists() {
            let what = format!("{} exists: move the old database away first, with all its files", file.display());
            return Err(Error::Refused(what));
        }
    }
    for (from, to) in [(from.signing_key(), to.signing_key()), (from.verifier_key(), to.verifier_key())] {
        if !to.exists() {
            copy_file(&from, &to)?;
        }
    }
    copy_tree(&from.evidence(), &to.evidence())?;
    super::index::Index::remove(&to.index())?;
    // Last, and under another name until it is whole: a database that is there is complete.
    let partial = to.root().join("ledger.db.restoring");
    remove_database(&partial)?;
    // Through SQLite: what is given as a backup may be a data directory with a write-ahead log of its own.
    engine.backup(&partial)?;
    std::fs::rename(&partial, to.ledger()).map_err(|error| Error::io("cannot rename", &partial, error))?;
    sync_dir(to.root())
}

/// Opens the engine of a data directory for reading, and nothing else: also where the log is damaged.
///
/// # Errors
/// `NotFound`; storage errors.
pub fn open_engine_read_only(data: &DataDir) -> Result<std::sync::Arc<dyn Engine>> {
    Ok(std::sync::Arc::new(SqliteEngine::open_read_only(Store::precious(&data.ledger(), None))?))
}

/// Copies a file, synced, under another name until it is whole.
fn copy_file(from: &Path, to: &Path) -> Result<u64> {
    let new = named_new(to);
    let copied = std::fs::copy(from, &new);
    let bytes = copied.map_err(|error| Error::io("cannot copy", from, error))?;
    std::fs::File::open(&new)
        .and_then(|file| file.sync_all())
        .map_err(|error| Error::io("cannot sync", &new, error))?;
    std::fs::rename(&new, to).map_err(|error| Error::io("cannot rename", &new, error))?;
    Ok(bytes)
}

fn copy_tree(from: &Path, to: &Path) -> Result<u64> {
    std::fs::create_dir_all(to).map_err(|error| Error::io("cannot create", to, error))?;
    let mut bytes = 0;
    let entries = match std::fs::read_dir(from) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(Error::io("cannot read", from, error)),
    };
    for entry in entries {
        let entry = entry.map_err(|error| Error::io("cannot read", from, error))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        // What is under another name is not a blob yet.
        if path.is_dir() && entry.file_name() == super::evidence::INCOMING {
            continue;
        }
        if path.is_dir() {
            bytes += copy_tree(&path, &target)?;
        } else if path.extension().is_some_and(|extension| extension == "zst") && !target.exists() {
            match copy_file(&path, &target) {
                Ok(copied) => bytes += copied,
                // Erased since it was listed.
                Err(_) if !path.exists() => {}
                Err(error) => return Err(error),
            }
        }
    }
    sync_dir(to)?;
    Ok(bytes)
}

/// Writes checkpoint, hash tiles and entry bundles (C2SP tlog-tiles) into a directory: a log that any web server can
/// publish. Returns the tree's size. Running it again adds what is new; the checkpoint comes last.
///
/// # Errors
/// Storage errors; `Io`.
pub fn export_tiles(ledger: &Ledger, to: &Path) -> Result<u64> {
    let head = ledger.head();
    for level in 0_u8..8 {
        let hashes = head.size >> (8 * u32::from(level));
        write_level(ledger, to, TileKind::Hashes { level }, hashes)?;
    }
    write_level(ledger, to, TileKind::Entries, head.size)?;
    write_synced(&to.join("checkpoint"), head.checkpoint.as_bytes())?;
    Ok(head.size)
}

fn write_level(ledger: &Ledger, to: &Path, kind: TileKind, n: u64) -> Result<()> {
    for index in 0..n.div_ceil(256) {
        let width = u16::try_from((n - index * 256).min(256)).unwrap_or(256);
        let path = TilePath::new(kind, index, width);
        let file = to.join(path.to_string());
        if file.exists() {
            continue;
        }
        let dir = file.parent().unwrap_or(to);
        std::fs::create_dir_all(dir).map_err(|error| Error::io("cannot create", dir, error))?;
        // Under another name until it is whole: one that is there is not written again.
        let new = named_new(&file);
        std::fs::write(&new, ledger.tile(&path)?)
            .and_then(|()| std::fs::rename(&new, &file))
            .map_err(|error| Error::io("cannot write", &file, error))?;
    }
    std::fs::create_dir_all(to).map_err(|error| Error::io("cannot create", to, error))
}
