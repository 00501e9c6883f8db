//! Where things are in a data directory.

use std::path::{Path, PathBuf};

use super::guard::sync_dir;
use super::{Error, Result};

/// The layout of a data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDir {
    root: PathBuf,
}

impl DataDir {
    /// The data directory at `root`, which need not exist.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Makes the directory and what is missing above it, durably: what is synced in it would be lost with it. It holds a
    /// signing key, names and messages, so it is its owner's alone.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn make(&self) -> Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        let is_missing = |dir: &&Path| !dir.as_os_str().is_empty() && !dir.exists();
        let missing: Vec<&Path> = self.root.ancestors().take_while(is_missing).collect();
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.root);
        made.map_err(|error| Error::io("cannot create", &self.root, error))?;
        missing.iter().filter_map(|dir| dir.parent()).try_for_each(sync_dir)
    }

    /// The directory itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The log, its checkpoints and sealed values: the precious file.
    #[must_use]
    pub fn ledger(&self) -> PathBuf {
        self.root.join("ledger.db")
    }

    /// What the append path derives from the log.
    #[must_use]
    pub fn index(&self) -> PathBuf {
        self.root.join("index.db")
    }

    /// What projections derive from the log.
    #[must_use]
    pub fn views(&self) -> PathBuf {
        self.root.join("views.db")
    }

    /// Held by the process that folds the views.
    #[must_use]
    pub fn views_lock(&self) -> PathBuf {
        self.root.join("views.lock")
    }

    /// The signing key: one line in the form of C2SP signed-note's Go implementation, readable by its owner only.
    #[must_use]
    pub fn signing_key(&self) -> PathBuf {
        self.root.join("ledger.key")
    }

    /// The verifier key, one line.
    #[must_use]
    pub fn verifier_key(&self) -> PathBuf {
        self.root.join("ledger.vkey")
    }

    /// The newest checkpoint known to have been signed, unless it is kept elsewhere. Not part of a backup.
    #[must_use]
    pub fn guard(&self) -> PathBuf {
        self.root.join("ledger.guard")
    }

    /// What the last full verification of this directory found. Not part of a backup.
    #[must_use]
    pub fn verified(&self) -> PathBuf {
        self.root.join("ledger.verified")
    }

    /// Evidence, unless it is kept elsewhere.
    #[must_use]
    pub fn evidence(&self) -> PathBuf {
        self.root.join("evidence")
    }

    /// Held by the process that writes.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// Whether there is a ledger here.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.ledger().exists()
    }
}
