//! The rows of this projection.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::super::{CURRENT, Error, Result, artifact};
use super::names::{Number, Package};
use super::reading::Listing;

/// Packages and vulnerabilities that are known to have their row; each costs about 30 bytes.
const NUMBERS_KEPT: usize = 500_000;

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentKind {
    /// A bill of materials.
    Sbom = 0,
    /// A scanner's report.
    Scan = 1,
    /// What somebody says of vulnerabilities (VEX), over the heads of scanners.
    Statement = 2,
}

impl DocumentKind {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sbom => "sbom",
            Self::Scan => "scan",
            Self::Statement => "statement",
        }
    }

    pub(super) fn of(number: i64) -> Option<Self> {
        [Self::Sbom, Self::Scan, Self::Statement].into_iter().find(|kind| *kind as i64 == number)
    }
}

/// How far a document could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DocumentStatus {
    Read = 0,
    /// The scan did not look at everything, failed, or did not look for vulnerabilities.
    Partial = 1,
    Missing = 2,
    Erased = 3,
    Unreadable = 4,
}

/// Numbers that have their row already.
#[derive(Debug, Default)]
pub(super) struct Rows {
    known: HashMap<i64, u64>,
}

impl Rows {
    pub(super) fn clear(&mut self) {
        self.known.clear();
    }

    /// Whether the row has to be looked for.
    fn is_new(&mut self, number: Number) -> Result<bool> {
        match self.known.get(&number.id) {
            Some(check) if *check == number.check => return Ok(false),
            Some(_) => return Err(Error::Poison(format!("two names have the number {}", number.id))),
            None => {}
        }
        if self.known.len() >= NUMBERS_KEPT {
            self.known.clear();
        }
        self.known.insert(number.id, number.check);
        Ok(true)
    }

    fn package(&mut self, tx: &Connection, number: Number, package: &Package) -> Result<()> {
        if !self.is_new(number)? {
            return Ok(());
        }
        let Package { kind, namespace, name, version } = package;
        let mut statement = tx.prepare_cached("SELECT type, namespace, name, version FROM package WHERE id = ?1")?;
        let found: Option<(String, String, String, String)> = statement
            .query_row([number.id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
            .optional()?;
        match found {
            Some(found) if found == (kind.clone(), namespace.clone(), name.clone(), version.clone()) => Ok(()),
            Some(_) => Err(Error::Poison(format!("two packages have the number {}", number.id))),
            None => {
                tx.prepare_cached(
                    "INSERT INTO package (id, type, namespace, name, version) VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![number.id, kind, namespace, name, version])?;
                Ok(())
            }
        }
    }

    fn vulnerability(&mut self, tx: &Connection, number: Number, name: &str) -> Result<()> {
        if !self.is_new(number)? {
            return Ok(());
        }
        let mut statement = tx.prepare_cached("SELECT name FROM vulnerability WHERE id = ?1")?;
        let found: Option<String> = statement.query_row([number.id], |row| row.get(0)).optional()?;
        match found {
            Some(found) if found.eq_ignore_ascii_case(name) => Ok(()),
            Some(_) => Err(Error::Poison(format!("two vulnerabilities have the number {}", number.id))),
            None => {
                // However it is written: a name must not depend on which document came first, which may be gone.
                tx.prepare_cached("INSERT INTO vulnerability (id, name) VALUES (?1, ?2)")?
                    .execute(params![number.id, name.to_ascii_uppercase()])?;
                Ok(())
            }
        }
    }

    /// Writes what a document lists.
    pub(super) fn keep(&mut self, tx: &Connection, artifact: i64, position: i64, listing: &Listing) -> Result<()> {
        for (number, package) in &listing.packages {
            self.package(tx, *number, package)?;
        }
        let mut insert = tx.prepare_cached(
            "INSERT OR IGNORE INTO artifact_package (package, artifact, position) VALUES (?1, ?2, ?3)",
        )?;
        for number in listing.packages.keys() {
            insert.execute(params![number.id, artifact, position])?;
        }
        for (number, name) in &listing.vulnerabilities {
            self.vulnerability(tx, *number, name)?;
        }
        let mut insert = tx.prepare_cached(
            "INSERT OR IGNORE INTO artifact_vulnerability (vulnerability, artifact, position, package, severity, suppressed, \
             fixed_in, disclosed_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        for ((vulnerability, package), finding) in &listing.findings {
            let (severity, suppressed) = (finding.severity as i64, finding.suppressed);
            let (fixed_in, disclosed_at) = (&finding.fixed_in, finding.disclosed_at);
            let row = params![vulnerability, artifact, position, package, severity, suppressed, fixed_in, disclosed_at];
            insert.execute(row)?;
        }
        let mut insert = tx.prepare_cached(
            "INSERT OR IGNORE INTO vulnerability_alias (vulnerability, position, other) VALUES (?1, ?2, ?3)",
        )?;
        for (vulnerability, other) in &listing.aliases {
            insert.execute(params![vulnerability, position, other])?;
        }
        Ok(())
    }

    /// Takes away what a document listed, with the packages and vulnerabilities that nothing else speaks of. Its own row no
    /// longer has the lists.
    pub(super) fn forget(&mut self, tx: &Connection, gone: &Gone) -> Result<()> {
        self.known.clear();
        let others = listings(tx, gone.artifact)?;
        for package in unpacked(&gone.packages) {
            let lists = |(_, packed): &&(i64, Vec<u8>)| holds(packed, package);
            match others.iter().find(lists) {
                // What one document listed first, another lists, too.
                Some((position, _)) => tx
                    .prepare_cached(
                        "UPDATE artifact_package SET position = max(position, ?3) WHERE package = ?1 AND artifact = ?2",
                    )?
                    .execute(params![package, gone.artifact, position])?,
                None => tx
                    .prepare_cached("DELETE FROM artifact_package WHERE package = ?1 AND artifact = ?2")?
                    .execute([package, gone.artifact])?,
            };
            tx.prepare_cached(
                "DELETE FROM package WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM artifact_package WHERE package = ?1)",
            )?
            .execute([package])?;
        }
        for vulnerability in unpacked(&gone.vulnerabilities) {
            tx.prepare_cached(
                "DELETE FROM artifact_vulnerability WHERE vulnerability = ?1 AND artifact = ?2 AND position = ?3",
            )?
            .execute(params![vulnerability, gone.artifact, gone.position])?;
            tx.prepare_cached("DELETE FROM vulnerability_alias WHERE vulnerability = ?1 AND position = ?2")?
                .execute(params![vulnerability, gone.position])?;
            tx.prepare_cached(
                "DELETE FROM vulnerability WHERE id = ?1 \
                 AND NOT EXISTS (SELECT 1 FROM artifact_vulnerability WHERE vulnerability = ?1) \
                 AND NOT EXISTS (SELECT 1 FROM vulnerability_alias WHERE vulnerability = ?1)",
            )?
            .execute([vulnerability])?;
        }
        Ok(())
    }
}

/// A document that was erased, and what was read in it.
#[derive(Debug)]
pub(super) struct Gone {
    pub(super) position: i64,
    pub(super) artifact: i64,
    packages: Vec<u8>,
    vulnerabilities: Vec<u8>,
}

/// Documents that are of this blob.
pub(super) fn of_blob(tx: &Connection, document: i64) -> Result<Vec<Gone>> {
    let mut statement = tx.prepare_cached(
        "SELECT position, artifact, packages, vulnerabilities FROM package_document WHERE document = ?1 ORDER BY position",
    )?;
    let rows = statement.query_map([document], |row| {
        let (packages, vulnerabilities): (Option<Vec<u8>>, Option<Vec<u8>>) = (row.get(2)?, row.get(3)?);
        Ok(Gone {
            position: row.get(0)?,
            artifact: row.get(1)?,
            packages: packages.unwrap_or_default(),
            vulnerabilities: vulnerabilities.unwrap_or_default(),
        })
    })?;
    Ok(rows.collect::<std::result::Result<_, _>>()?)
}

/// What documents about an artifact list, the first of them first.
fn listings(tx: &Connection, artifact: i64) -> Result<Vec<(i64, Vec<u8>)>> {
    let mut statement = tx.prepare_cached(
        "SELECT position, packages FROM package_document WHERE artifact = ?1 AND packages NOT NULL ORDER BY position",
    )?;
    let rows = statement.query_map([artifact], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<std::result::Result<_, _>>()?)
}

/// Numbers as a blob, 8 bytes each.
pub(super) fn packed<'a>(numbers: impl Iterator<Item = &'a Number>) -> Vec<u8> {
    numbers.flat_map(|number| number.id.to_be_bytes()).collect()
}

fn unpacked(bytes: &[u8]) -> impl Iterator<Item = i64> + '_ {
    bytes.chunks_exact(8).filter_map(|chunk| chunk.first_chunk::<8>().copied()).map(i64::from_be_bytes)
}

/// Whether a number is among packed ones, which ascend.
fn holds(packed: &[u8], number: i64) -> bool {
    let (chunks, _) = packed.as_chunks::<8>();
    chunks.binary_search(&number.to_be_bytes()).is_ok()
}

/// Works out since when it is known what is in an image, and when it was last scanned, by documents about itself or about
/// what it is linked with as index or platform.
pub(super) fn refresh(tx: &Connection, image: i64) -> Result<()> {
    let before: Option<(i64, i64)> = tx
        .prepare_cached("SELECT listed, scanned_at FROM package_image WHERE image = ?1")?
        .query_row([image], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some(before) = before else { return Ok(()) };
    let (listed, scanned_at): (Option<i64>, Option<i64>) = tx
        .prepare_cached(
            "SELECT min(CASE WHEN d.inventory = 1 THEN max(d.position, l.position) END), \
             max(CASE WHEN d.kind = 1 THEN d.at END) FROM (SELECT ?1 AS artifact, 0 AS position \
             UNION ALL SELECT whole, position FROM platform_link WHERE part = ?1 \
             UNION ALL SELECT part, position FROM platform_link WHERE whole = ?1) AS l \
             CROSS JOIN package_document AS d ON d.artifact = l.artifact WHERE d.status = 0",
        )?
        .query_row([image], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (listed, scanned_at) = (listed.unwrap_or(CURRENT), scanned_at.unwrap_or(i64::MIN));
    if (listed, scanned_at) != before {
        tx.prepare_cached("UPDATE package_image SET listed = ?2, scanned_at = ?3 WHERE image = ?1")?
            .execute(params![image, listed, scanned_at])?;
    }
    Ok(())
}

/// The same for an artifact and all that it is linked with.
pub(super) fn refresh_around(tx: &Connection, artifact: i64) -> Result<()> {
    refresh(tx, artifact)?;
    artifact::linked(tx, artifact, CURRENT)?.into_iter().try_for_each(|other| refresh(tx, other))
}
