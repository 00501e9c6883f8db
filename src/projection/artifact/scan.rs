//! What scans said of an artifact.

use rusqlite::params;

use super::super::{Basis, Error, Result, Snapshot, instant};
use super::query::linked;
use crate::event::Timestamp;
use crate::event::artifact::{ScanKind, ScanStatus};

/// A scan of an artifact, or of what belongs to it as an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// What was scanned.
    pub digest: String,
    /// The scanner.
    pub tool: String,
    /// What it looks for.
    pub kind: ScanKind,
    /// Whether it came to its end.
    pub status: ScanStatus,
    /// When it was done.
    pub at: Timestamp,
    /// Critical findings; none where the scanner does not weigh them.
    pub critical: Option<u32>,
    /// Those of high severity.
    pub high: Option<u32>,
    /// Those of medium severity.
    pub medium: Option<u32>,
    /// Those of low severity.
    pub low: Option<u32>,
    /// All findings.
    pub findings: Option<u32>,
    /// The event.
    pub position: u64,
}

/// The newest scan of each tool and kind, of an artifact and of what it is linked with as index or platform, up to an
/// instant; by digest, tool and kind.
///
/// # Errors
/// `Database`, `Damaged`.
pub fn scans(snapshot: &Snapshot<'_>, basis: &Basis, digest: &str, until: Timestamp) -> Result<Vec<Scan>> {
    let Some(artifact) = snapshot.id(digest)? else { return Ok(Vec::new()) };
    let mut all: Vec<Scan> = Vec::new();
    for artifact in [artifact].into_iter().chain(linked(snapshot.connection, artifact, basis.known())?) {
        all.extend(newest(snapshot, basis, artifact, until)?);
    }
    all.sort_by(|one, other| (&one.digest, &one.tool, one.kind).cmp(&(&other.digest, &other.tool, other.kind)));
    Ok(all)
}

fn newest(snapshot: &Snapshot<'_>, basis: &Basis, artifact: i64, until: Timestamp) -> Result<Vec<Scan>> {
    let mut statement = snapshot.connection.prepare_cached(
        "SELECT tool, kind, status, at, critical, high, medium, low, findings, position FROM scan \
         WHERE artifact = ?1 AND position < ?2 AND at <= ?3 ORDER BY at DESC, key DESC",
    )?;
    let mut rows = statement.query(params![artifact, basis.known(), until.micros()])?;
    let (mut all, mut seen) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let (tool, kind, status): (i64, u16, u16) = (row.get(0)?, row.get(1)?, row.get(2)?);
        if seen.contains(&(tool, kind)) {
            continue;
        }
        seen.push((tool, kind));
        let damaged = || Error::Damaged(format!("a scan of kind {kind} and status {status}"));
        all.push(Scan {
            digest: snapshot.text(artifact)?,
            tool: snapshot.text(tool)?,
            kind: ScanKind::ALL.get(usize::from(kind)).copied().ok_or_else(damaged)?,
            status: ScanStatus::ALL.get(usize::from(status)).copied().ok_or_else(damaged)?,
            at: instant(row.get(3)?),
            critical: row.get(4)?,
            high: row.get(5)?,
            medium: row.get(6)?,
            low: row.get(7)?,
            findings: row.get(8)?,
            position: row.get::<_, i64>(9)?.unsigned_abs(),
        });
    }
    Ok(all)
}
