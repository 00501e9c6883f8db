//! The rollback guard: the newest signed checkpoint, remembered outside the database.
//!
//! A log that checks only itself cannot see that its whole file was replaced by an older copy. So the last checkpoint is
//! also kept in a file that backups leave out. It may lag behind the database by a second; it must never be ahead.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::signer::verify_note;
use super::tree::{Checkpoint, VerifierKey};
use super::{Error, Result};

/// The guard file.
#[derive(Debug, Clone)]
pub struct Guard {
    path: PathBuf,
}

impl Guard {
    /// The guard kept at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The remembered checkpoint and its note; none where nothing was remembered yet.
    ///
    /// # Errors
    /// `Corrupt` when what is remembered is not signed by `key`; `Io`.
    pub fn load(&self, key: &VerifierKey) -> Result<Option<(Checkpoint, String)>> {
        let note = match std::fs::read_to_string(&self.path) {
            Ok(note) => note,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("cannot read the guard", &self.path, error)),
        };
        let checkpoint = verify_note(&note, key)
            .map_err(|error| Error::Corrupt(format!("guard {}: {error}", self.path.display())))?;
        Ok(Some((checkpoint, note)))
    }

    /// Remembers `note` in place of what is remembered now, which must be the tree of `expected` leaves (none: nothing).
    ///
    /// # Errors
    /// `Refused` when something else is remembered: another process writes to the same ledger; `Io`.
    pub fn advance(&self, key: &VerifierKey, expected: Option<u64>, note: &str) -> Result<()> {
        let found = self.load(key)?.map(|(checkpoint, _)| checkpoint.size);
        if found != expected {
            let words = |size: Option<u64>| size.map_or_else(|| "nothing".to_owned(), |size| format!("{size} events"));
            return Err(Error::Refused(format!(
                "the guard {} remembers {}, not {}: does another process write to this ledger?",
                self.path.display(),
                words(found),
                words(expected)
            )));
        }
        write_synced(&self.path, note.as_bytes())
    }
}

/// Replaces a file's content at once and durably: new file, sync, rename, sync of the directory.
///
/// # Errors
/// `Io`.
pub(super) fn write_synced(path: &Path, content: &[u8]) -> Result<()> {
    let new = named_new(path);
    let failed = |error| Error::io("cannot write", path, error);
    let mut file = std::fs::File::create(&new).map_err(failed)?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&new, path).map_err(failed)?;
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// The name of a file until it is whole.
pub(super) fn named_new(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}

/// Makes a directory's entries durable.
pub(super) fn sync_dir(dir: &Path) -> Result<()> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    std::fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| Error::io("cannot sync", dir, error))
}
