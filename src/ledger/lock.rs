//! One writer for a data directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use super::{Error, Result};

/// Held as long as this process may write to the data directory. The operating system gives it back when the process
/// ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock and writes down who has it.
    ///
    /// # Errors
    /// `Busy`, naming the holder; `Io`.
    pub fn take(path: &Path, what: &str) -> Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|error| Error::io("cannot open the lock", path, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let read = file.read_to_string(&mut holder);
                let holder = holder.trim();
                return Err(Error::Busy {
                    what: path.parent().unwrap_or(path).display().to_string(),
                    holder: match read {
                        Ok(_) if !holder.is_empty() => holder.to_owned(),
                        _ => "another process".to_owned(),
                    },
                });
            }
            Err(TryLockError::Error(error)) => return Err(Error::io("cannot lock", path, error)),
        }
        let mut lock = Self { file };
        lock.describe(what).map_err(|error| Error::io("cannot write", path, error))?;
        Ok(lock)
    }

    /// Writes down what the holder does, for whoever is refused.
    ///
    /// # Errors
    /// The system's.
    pub fn describe(&mut self, what: &str) -> std::io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        writeln!(self.file, "process {} ({what})", std::process::id())
    }
}

impl Drop for Lock {
    /// Closing the file would do, but for a child process that was just forked by somebody else in this process: until
    /// it runs its own program it has the file open as well, and the directory would seem in use for that moment.
    fn drop(&mut self) {
        let _given_back = self.file.unlock().is_ok();
    }
}
