//! What the last full verification of a data directory found, remembered beside the ledger.
//!
//! For whoever watches: it tells when somebody last looked and what came of it, and proves nothing. Who can write to the
//! directory can write this, too.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Report;
use crate::event::Timestamp;
use crate::ledger::guard::write_synced;
use crate::ledger::{Error, Result};

/// A verification that came to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// When.
    pub at: Timestamp,
    /// True when nothing was wrong.
    pub ok: bool,
    /// How many events were read.
    pub events: u64,
    /// The root over them, in base64.
    pub root: String,
    /// How many findings there were.
    pub findings: u64,
}

impl Verification {
    /// What a report comes to, at the end of the verification.
    #[must_use]
    pub fn new(report: &Report, at: Timestamp) -> Self {
        Self { at, ok: report.ok, events: report.events, root: report.root.clone(), findings: report.findings_total }
    }

    /// The one that is remembered at `path`; none where nobody verified yet.
    ///
    /// # Errors
    /// `Io`; `Corrupt` for what is no such note.
    pub fn load(path: &Path) -> Result<Option<Self>> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("cannot read", path, error)),
        };
        let corrupt = |error| Error::Corrupt(format!("{}: {error}", path.display()));
        serde_json::from_slice(&text).map(Some).map_err(corrupt)
    }

    /// Remembers it at `path`, in place of the one before.
    ///
    /// # Errors
    /// `Io`.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_vec(self).map_err(|error| Error::Internal(error.to_string()))?;
        text.push(b'\n');
        write_synced(path, &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_is_remembered_and_what_is_no_note_is_told_from_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.verified");
        assert_eq!(Verification::load(&path).unwrap(), None);
        let report = Report { ok: false, events: 7, findings_total: 2, ..Report::default() };
        let last = Verification::new(&report, Timestamp::from_micros(1_772_625_600_000_000).unwrap());
        Verification::new(&Report::default(), last.at).save(&path).unwrap();
        last.save(&path).unwrap();
        assert_eq!(Verification::load(&path).unwrap(), Some(last));
        std::fs::write(&path, "half a no").unwrap();
        assert!(matches!(Verification::load(&path), Err(Error::Corrupt(_))));
    }
}
