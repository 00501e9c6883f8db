//! A SQLite VFS for tests, thin over the default one: it logs every write, sync, truncation, creation and deletion in
//! one order over all files, and makes operations fail on demand.
//!
//! A database opened through a [`Vfs`] works as usual. The log is what a power loss is simulated from: see [`image`].
//! Nothing is really synced, as no test can pull the plug; shared memory goes straight to the default VFS.

pub mod image;
mod shim;

use std::ffi::{CString, c_int};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use rusqlite::ffi;

/// What a database does to a file. Readers of a file are not logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The file was opened for writing and was not there before.
    Create,
    /// Bytes were written.
    Write {
        /// Where.
        offset: u64,
        /// What.
        bytes: Vec<u8>,
    },
    /// The file was cut, or filled up with zeroes.
    Truncate {
        /// To this size.
        size: u64,
    },
    /// Everything written to this file before is durable now.
    Sync,
    /// Names made and removed in this file's directory before are durable now.
    SyncNames,
    /// The file's name is gone.
    Delete,
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// The file.
    pub path: PathBuf,
    /// What was done to it.
    pub change: Change,
}

/// Operations that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Opening a file.
    Open,
    /// Reading from it.
    Read,
    /// Writing to it.
    Write,
    /// Syncing it.
    Sync,
    /// Cutting it.
    Truncate,
    /// Deleting it.
    Delete,
    /// Mapping more of the shared memory of a write-ahead log, which needs room on the disk.
    Map,
}

/// What a failing operation does all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Nothing.
    Lost,
    /// Half of it: a write stops in the middle. Other operations are lost.
    Torn,
    /// All of it; only the report is false.
    Applied,
}

/// An operation that is to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Which operation.
    pub operation: Operation,
    /// On files whose name ends with this: `ledger.db`, `ledger.db-wal`, or the empty string for any.
    pub file: &'static str,
    /// The how manieth from now on, counted from 1.
    pub nth: u64,
    /// Whether all later ones fail too, until healed.
    pub for_ever: bool,
    /// What it does all the same.
    pub effect: Effect,
    /// What SQLite is told, e.g. `SQLITE_IOERR_FSYNC`.
    pub code: c_int,
}

#[derive(Default)]
pub(crate) struct State {
    log: Vec<Logged>,
    /// Armed faults, each with how many operations it has seen.
    faults: Vec<(Fault, u64)>,
    fired: u64,
    seen: Vec<(Operation, PathBuf)>,
    note_seen: bool,
}

impl State {
    fn log(&mut self, path: &Path, change: Change) {
        self.log.push(Logged { path: path.to_owned(), change });
    }

    /// What is to become of an operation: none for success.
    fn strike(&mut self, operation: Operation, path: &Path) -> Option<(Effect, c_int)> {
        if self.note_seen {
            self.seen.push((operation, path.to_owned()));
        }
        let mut struck = None;
        for (fault, seen) in &mut self.faults {
            if fault.operation == operation && path.as_os_str().to_string_lossy().ends_with(fault.file) {
                *seen += 1;
                if *seen == fault.nth || (fault.for_ever && *seen > fault.nth) {
                    struck = struck.or(Some((fault.effect, fault.code)));
                }
            }
        }
        self.fired += u64::from(struck.is_some());
        struck
    }
}

pub(crate) struct Shared {
    pub(crate) real: *mut ffi::sqlite3_vfs,
    state: Mutex<State>,
}

// SAFETY: the default VFS is registered for the life of the process and may be used from any thread.
unsafe impl Send for Shared {}
// SAFETY: as above; all else is behind a mutex.
unsafe impl Sync for Shared {}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A registered VFS with a name of its own. Unregistered when dropped; databases that are open through it go on.
pub struct Vfs {
    name: String,
    registered: *mut ffi::sqlite3_vfs,
    shared: &'static Shared,
}

// SAFETY: `registered` is only used to unregister, which SQLite does under its own mutex.
unsafe impl Send for Vfs {}
// SAFETY: as above.
unsafe impl Sync for Vfs {}

impl Vfs {
    /// Registers a new one.
    ///
    /// # Panics
    /// When SQLite has no default VFS, or refuses.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "registering is an effect; a default would hide it")]
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("plimsoll-test-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        // SAFETY: no arguments; initialising twice does nothing.
        assert_eq!(unsafe { ffi::sqlite3_initialize() }, ffi::SQLITE_OK);
        // SAFETY: a null name asks for the default VFS.
        let real = unsafe { ffi::sqlite3_vfs_find(std::ptr::null()) };
        assert!(!real.is_null(), "SQLite has no default VFS");
        // Both are given up for good: a connection may outlive this value, and tests are few.
        let shared: &'static Shared = Box::leak(Box::new(Shared { real, state: Mutex::default() }));
        let c_name: &'static CString = Box::leak(Box::new(CString::new(name.clone()).expect("no NUL in it")));
        let registered = Box::into_raw(Box::new(shim::vfs(shared, c_name)));
        // SAFETY: the structure and its name live for ever.
        assert_eq!(unsafe { ffi::sqlite3_vfs_register(registered, 0) }, ffi::SQLITE_OK);
        Self { name, registered, shared }
    }

    /// Its name, by which databases are opened.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes operations fail from now on.
    pub fn inject(&self, fault: Fault) {
        self.shared.state().faults.push((fault, 0));
    }

    /// Makes nothing fail any more.
    pub fn heal(&self) {
        self.shared.state().faults.clear();
    }

    /// How many operations were made to fail.
    #[must_use]
    pub fn fired(&self) -> u64 {
        self.shared.state().fired
    }

    /// How many entries the log has.
    #[must_use]
    pub fn logged(&self) -> usize {
        self.shared.state().log.len()
    }

    /// The log until now.
    #[must_use]
    pub fn log(&self) -> Vec<Logged> {
        self.shared.state().log.clone()
    }

    /// Starts to note operations that can fail; see [`Self::seen`].
    pub fn note_seen(&self) {
        self.shared.state().note_seen = true;
    }

    /// The operations noted, in order.
    #[must_use]
    pub fn seen(&self) -> Vec<(Operation, PathBuf)> {
        self.shared.state().seen.clone()
    }
}

impl Drop for Vfs {
    fn drop(&mut self) {
        // SAFETY: it was registered, and is unregistered once.
        let _code = unsafe { ffi::sqlite3_vfs_unregister(self.registered) };
        *self.shared.state() = State::default();
    }
}
