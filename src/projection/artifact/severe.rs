//! What scanners found in an artifact last, as counts.

use std::collections::BTreeMap;

use rusqlite::params;

use super::super::{Result, Snapshot};

/// How many vulnerabilities were found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Severe {
    /// Critical ones.
    pub critical: u64,
    /// High ones.
    pub high: u64,
}

/// The vulnerabilities that were found in an artifact (by its digest), or in what it is linked with as index or platform.
/// Of each tool the newest scan counts, and of several tools the one that found most of a severity. None where no scan
/// tells: unknown is not zero.
///
/// # Errors
/// `Database`.
pub fn severe(snapshot: &Snapshot<'_>, digest: &str) -> Result<Option<Severe>> {
    let Some(artifact) = snapshot.id(digest)? else { return Ok(None) };
    let mut statement = snapshot.connection.prepare_cached(
        "SELECT tool, coalesce(critical, 0), coalesce(high, 0) FROM scan WHERE artifact IN \
         (SELECT ?1 UNION SELECT whole FROM platform_link WHERE part = ?1 UNION SELECT part FROM platform_link WHERE whole = ?1) \
         AND kind = 0 AND status IN (0, 1) AND (critical NOT NULL OR high NOT NULL OR findings = 0) ORDER BY at, key",
    )?;
    let mut rows = statement.query(params![artifact])?;
    let mut newest: BTreeMap<i64, Severe> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let count = |column| row.get::<_, i64>(column).map(i64::unsigned_abs);
        newest.insert(row.get(0)?, Severe { critical: count(1)?, high: count(2)? });
    }
    Ok(newest
        .into_values()
        .reduce(|one, other| Severe { critical: one.critical.max(other.critical), high: one.high.max(other.high) }))
}
