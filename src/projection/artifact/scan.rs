//! What scans said of an artifact.

use rusqlite::{Row, params};

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

/// The columns that make a [`Scan`].
macro_rules! columns {
    () => {
        "artifact, tool, kind, status, at, critical, high, medium, low, findings, position"
    };
}

fn read(snapshot: &Snapshot<'_>, row: &Row<'_>) -> Result<Scan> {
    let (kind, status): (u16, u16) = (row.get(2)?, row.get(3)?);
    let damaged = || Error::Damaged(format!("a scan of kind {kind} and status {status}"));
    Ok(Scan {
        digest: snapshot.text(row.get(0)?)?,
        tool: snapshot.text(row.get(1)?)?,
        kind: ScanKind::ALL.get(usize::from(kind)).copied().ok_or_else(damaged)?,
        status: ScanStatus::ALL.get(usize::from(status)).copied().ok_or_else(damaged)?,
        at: instant(row.get(4)?),
        critical: row.get(5)?,
        high: row.get(6)?,
        medium: row.get(7)?,
        low: row.get(8)?,
        findings: row.get(9)?,
        position: row.get::<_, i64>(10)?.unsigned_abs(),
    })
}

/// Scans of this very artifact, newest first, at most `limit`.
///
/// # Errors
/// `Database`, `Damaged`.
pub(in super::super) fn all_scans(snapshot: &Snapshot<'_>, artifact: i64, known: i64, limit: i64) -> Result<Vec<Scan>> {
    let mut statement = snapshot.connection.prepare_cached(concat!(
        "SELECT ",
        columns!(),
        " FROM scan WHERE artifact = ?1 AND position < ?2 ORDER BY at DESC, key LIMIT ?3"
    ))?;
    let mut rows = statement.query([artifact, known, limit])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(read(snapshot, row)?);
    }
    Ok(all)
}

fn newest(snapshot: &Snapshot<'_>, basis: &Basis, artifact: i64, until: Timestamp) -> Result<Vec<Scan>> {
    let mut statement = snapshot.connection.prepare_cached(concat!(
        "SELECT ",
        columns!(),
        " FROM scan WHERE artifact = ?1 AND position < ?2 AND at <= ?3 ORDER BY at DESC, key DESC"
    ))?;
    let mut rows = statement.query(params![artifact, basis.known(), until.micros()])?;
    let (mut all, mut seen) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let (tool, kind): (i64, u16) = (row.get(1)?, row.get(2)?);
        if !seen.contains(&(tool, kind)) {
            seen.push((tool, kind));
            all.push(read(snapshot, row)?);
        }
    }
    Ok(all)
}
