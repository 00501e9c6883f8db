//! Opening databases, their settings, and a small pool of readers.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags};

use super::super::{Error, Result};

/// Oldest SQLite whose write-ahead log may be checkpointed by one connection while another writes (3.51.3).
const SQLITE_MIN: i32 = 3_051_003;

/// Statements kept prepared by each connection: a trace alone makes use of some sixty.
const STATEMENTS_KEPT: usize = 128;

/// How long a connection waits for another one that is in its way.
pub(super) const BUSY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// A database file and how its connections are set up.
#[derive(Debug, Clone)]
pub struct Store {
    path: PathBuf,
    /// The SQLite VFS to go through; none for the default. Tests put fault injection here.
    vfs: Option<String>,
    page_size: u32,
    /// `FULL` for what is precious, `NORMAL` for what can be derived.
    synchronous: Synchronous,
    wal: WalLimits,
}

/// When the write-ahead log is copied into the database, by bytes written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WalLimits {
    /// Written bytes after which it is copied in the background.
    pub(super) checkpoint: usize,
    /// Written bytes since it was last empty after which the writer finishes the copying itself, so that it starts over
    /// from its beginning: under a steady load the background never catches up with the end.
    pub(super) restart: usize,
}

impl Default for WalLimits {
    fn default() -> Self {
        Self { checkpoint: 32 << 20, restart: 96 << 20 }
    }
}

/// When SQLite syncs in WAL mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Synchronous {
    /// At every commit.
    Full,
    /// At checkpoints only: after a power loss the database is intact, at worst behind.
    Normal,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The one writer; creates the file.
    Write,
    /// Copies the write-ahead log into the database; writes nothing else.
    Checkpoint,
    /// Reads only, and says so to SQLite.
    Read,
}

impl Store {
    /// The precious database at `path`: every commit is synced.
    #[must_use]
    pub fn precious(path: &Path, vfs: Option<String>) -> Self {
        Self {
            path: path.to_owned(),
            vfs,
            page_size: 16_384,
            synchronous: Synchronous::Full,
            wal: WalLimits::default(),
        }
    }

    /// A database that can be derived again: commits are not synced.
    #[must_use]
    pub fn derived(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            vfs: None,
            page_size: 8_192,
            synchronous: Synchronous::Normal,
            wal: WalLimits::default(),
        }
    }

    /// The same with less durability: the positive control of the power-loss tests, which must fail with it.
    #[must_use]
    pub fn without_sync(mut self) -> Self {
        self.synchronous = Synchronous::Normal;
        self
    }

    /// The same, copying the write-ahead log into the database after this many written bytes, and starting it over
    /// after three times as many: tests that are about this get there with little data.
    #[must_use]
    pub fn checkpointing_after(mut self, bytes: usize) -> Self {
        self.wal = WalLimits { checkpoint: bytes, restart: bytes.saturating_mul(3) };
        self
    }

    pub(super) fn wal(&self) -> WalLimits {
        self.wal
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// `Database` when the file cannot be opened; `Internal` when SQLite is too old or does not take a setting that
    /// durability rests on.
    #[expect(clippy::disallowed_methods, reason = "this is the one function that opens databases")]
    pub fn open(&self, access: Access) -> Result<Connection> {
        if rusqlite::version_number() < SQLITE_MIN {
            return Err(Error::Internal(format!("SQLite {} is too old: 3.51.3 is needed", rusqlite::version())));
        }
        let flags = match access {
            Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
            Access::Checkpoint => OpenFlags::SQLITE_OPEN_READ_WRITE,
            Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
        } | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = match &self.vfs {
            Some(vfs) => Connection::open_with_flags_and_vfs(&self.path, flags, vfs.as_str())?,
            None if access == Access::Read && self.stands_still() => {
                Connection::open_with_flags(self.immutable(), flags | OpenFlags::SQLITE_OPEN_URI)?
            }
            None => Connection::open_with_flags(&self.path, flags)?,
        };
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        match access {
            Access::Write => self.set_up_writer(&connection)?,
            Access::Checkpoint => {}
            Access::Read => {
                connection.pragma_update(None, "query_only", true)?;
                connection.pragma_update(None, "cache_size", -4096)?;
            }
        }
        Ok(connection)
    }

    /// Whether nobody can write here: a closed database on a read-only medium. SQLite cannot make the files beside it that
    /// reading takes otherwise.
    fn stands_still(&self) -> bool {
        let mut wal = self.path.as_os_str().to_owned();
        wal.push("-wal");
        let read_only = |error: &std::io::Error| error.kind() == std::io::ErrorKind::ReadOnlyFilesystem;
        let opened = std::fs::OpenOptions::new().write(true).open(&self.path);
        !Path::new(&wal).exists() && opened.is_err_and(|error| read_only(&error))
    }

    /// The file as a URI that says that it does not change.
    fn immutable(&self) -> String {
        let path = self.path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
        format!("file:{path}?immutable=1")
    }

    fn set_up_writer(&self, connection: &Connection) -> Result<()> {
        connection.pragma_update(None, "page_size", self.page_size)?;
        // Only matters while the file is empty; a later change would rewrite the whole file.
        let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
        if !mode.eq_ignore_ascii_case("wal") {
            return Err(Error::Internal(format!("journal_mode is {mode} where WAL was asked for")));
        }
        let (name, number) = match self.synchronous {
            Synchronous::Full => ("FULL", 2),
            Synchronous::Normal => ("NORMAL", 1),
        };
        connection.pragma_update(None, "synchronous", name)?;
        let got: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0))?;
        if got != number {
            return Err(Error::Internal(format!("synchronous is {got} where {name} was asked for")));
        }
        // Checkpoints run when we say so, mostly on a connection of their own.
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        connection.pragma_update(None, "cache_size", -8192)?;
        // What is erased must not linger in free pages.
        connection.pragma_update(None, "secure_delete", true)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "cell_size_check", true)?;
        Ok(())
    }

    /// Creates the schema in an empty database, or brings an older one up by the numbered steps after it.
    ///
    /// # Errors
    /// `Database`; `Refused` when the file was written by a newer version of the program.
    pub fn migrate(&self, connection: &mut Connection, steps: &[&str]) -> Result<()> {
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive)?;
        let have = schema_version(&transaction)?;
        if have > steps.len() {
            let path = self.path.display();
            return Err(Error::Refused(format!("{path} has schema {have}, and this program knows {}", steps.len())));
        }
        for step in steps.iter().skip(have) {
            transaction.execute_batch(step)?;
        }
        if have < steps.len() {
            transaction.pragma_update(None, "user_version", i64::try_from(steps.len()).unwrap_or(i64::MAX))?;
        }
        transaction.commit()?;
        Ok(())
    }
}

/// Deletes a database with the files that SQLite keeps beside it, as far as they are there.
///
/// # Errors
/// `Io`.
pub(crate) fn remove_database(path: &Path) -> Result<()> {
    remove(path, &["", "-wal", "-shm"])
}

/// Puts a closed database in the place of another, whose files beside it go. Connections to the other one go on reading
/// what they have open.
///
/// # Errors
/// `Io`.
pub(crate) fn replace_database(from: &Path, to: &Path) -> Result<()> {
    remove(to, &["-wal", "-shm"])?;
    std::fs::rename(from, to).map_err(|error| Error::io("cannot rename", from, error))
}

fn remove(path: &Path, suffixes: &[&str]) -> Result<()> {
    for suffix in suffixes {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let file = Path::new(&name);
        match std::fs::remove_file(file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("cannot remove", file, error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The number of schema steps a database has had.
pub(super) fn schema_version(connection: &Connection) -> Result<usize> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    usize::try_from(version).map_err(|_why| Error::Corrupt(format!("schema version {version}")))
}

/// A few read connections, lent one at a time. More are opened while all are out, and closed when they come back.
#[derive(Debug)]
pub(crate) struct Readers {
    store: Store,
    idle: Mutex<Vec<Connection>>,
    keep_max: usize,
}

impl Readers {
    pub(crate) fn new(store: Store, keep_max: usize) -> Self {
        Self { store, idle: Mutex::new(Vec::new()), keep_max }
    }

    /// Runs `read` on a connection.
    pub(crate) fn with<T, E: From<Error>>(&self, read: impl FnOnce(&Connection) -> Result<T, E>) -> Result<T, E> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.store.open(Access::Read)?,
        };
        let result = read(&connection);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.keep_max {
            idle.push(connection);
        }
        result
    }
}
