//! Which artifacts have what is asked about, by which documents, and what these say of it.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::super::Result;
use super::asked::Matched;
use super::names::Package;
use super::store::DocumentKind;

/// How it is known that an artifact has what is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Evidence {
    /// A document about it says so.
    Document,
    /// It has a package of the very version that another artifact was found to have the vulnerability in, and no scan of it
    /// since then says otherwise.
    Package,
}

impl Evidence {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Document => "document",
            Self::Package => "package",
        }
    }
}

/// What a document says of a vulnerability in an artifact; texts by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) position: i64,
    /// 0 where the document does not name it.
    pub(super) package: i64,
    pub(super) severity: i64,
    pub(super) suppressed: bool,
    pub(super) fixed_in: Option<String>,
    pub(super) kind: i64,
    pub(super) tool: i64,
    pub(super) at: i64,
    key: i64,
}

impl Word {
    fn order(&self) -> (i64, i64) {
        (self.at, self.key)
    }

    pub(super) fn is_statement(&self) -> bool {
        self.kind == DocumentKind::Statement as i64
    }
}

/// What is known of an artifact.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) evidence: Evidence,
    /// The first event by which it could be known.
    pub(super) position: i64,
    /// Packages that are meant, or that the vulnerability is in.
    pub(super) packages: Vec<i64>,
    /// What is said of the vulnerability: the newest of each tool and package.
    pub(super) words: Vec<Word>,
}

/// Artifacts by number, and when the vulnerability was made public.
#[derive(Debug, Default)]
pub(super) struct Artifacts {
    pub(super) told: BTreeMap<i64, Told>,
    pub(super) disclosed_at: Option<i64>,
    /// When the first document that tells of the vulnerability was made.
    pub(super) found_at: Option<i64>,
}

pub(super) fn artifacts(connection: &Connection, matched: &Matched, known: i64) -> Result<Artifacts> {
    let mut artifacts = Artifacts::default();
    for (package, _) in &matched.packages {
        listed(connection, *package, known, |artifact, position| {
            let new = || Told { evidence: Evidence::Document, position, packages: Vec::new(), words: Vec::new() };
            let told = artifacts.told.entry(artifact).or_insert_with(new);
            told.position = told.position.min(position);
            told.packages.push(*package);
        })?;
    }
    for (vulnerability, _) in &matched.vulnerabilities {
        words(connection, *vulnerability, known, &mut artifacts)?;
    }
    if !matched.vulnerabilities.is_empty() {
        by_package(connection, known, &mut artifacts)?;
    }
    Ok(artifacts)
}

/// Artifacts that a package is listed in, and the first position at which.
fn listed(connection: &Connection, package: i64, known: i64, mut each: impl FnMut(i64, i64)) -> Result<()> {
    let mut statement = connection
        .prepare_cached("SELECT artifact, position FROM artifact_package WHERE package = ?1 AND position < ?2")?;
    let mut rows = statement.query([package, known])?;
    while let Some(row) = rows.next()? {
        each(row.get(0)?, row.get(1)?);
    }
    Ok(())
}

/// Takes in what documents say of a vulnerability by one of its names.
fn words(connection: &Connection, vulnerability: i64, known: i64, artifacts: &mut Artifacts) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT v.artifact, v.position, v.package, v.severity, v.suppressed, v.fixed_in, v.disclosed_at, d.kind, d.tool, \
         d.at, d.key FROM artifact_vulnerability AS v CROSS JOIN package_document AS d ON d.position = v.position \
         WHERE v.vulnerability = ?1 AND v.position < ?2",
    )?;
    let mut rows = statement.query([vulnerability, known])?;
    while let Some(row) = rows.next()? {
        let word = Word {
            position: row.get(1)?,
            package: row.get(2)?,
            severity: row.get(3)?,
            suppressed: row.get(4)?,
            fixed_in: row.get(5)?,
            kind: row.get(7)?,
            tool: row.get(8)?,
            at: row.get(9)?,
            key: row.get(10)?,
        };
        let disclosed_at: Option<i64> = row.get(6)?;
        artifacts.disclosed_at = [artifacts.disclosed_at, disclosed_at].into_iter().flatten().min();
        artifacts.found_at = Some(artifacts.found_at.map_or(word.at, |at| at.min(word.at)));
        let new =
            || Told { evidence: Evidence::Document, position: word.position, packages: Vec::new(), words: Vec::new() };
        let told = artifacts.told.entry(row.get(0)?).or_insert_with(new);
        told.position = told.position.min(word.position);
        if word.package != 0 && !told.packages.contains(&word.package) {
            told.packages.push(word.package);
        }
        match told.words.iter_mut().find(|other| (other.tool, other.package) == (word.tool, word.package)) {
            // The same tool by two names at once: what is open counts.
            Some(other) if other.order() == word.order() => other.suppressed &= word.suppressed,
            Some(other) if other.order() < word.order() => *other = word,
            Some(_) => {}
            None => told.words.push(word),
        }
    }
    Ok(())
}

/// Adds artifacts that list a package in which the vulnerability was found elsewhere.
fn by_package(connection: &Connection, known: i64, artifacts: &mut Artifacts) -> Result<()> {
    let open = artifacts.told.values().filter(|told| stands(std::iter::once(*told)) == Standing::Open);
    let mut found: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    for word in open.flat_map(|told| &told.words).filter(|word| word.package != 0 && !word.suppressed) {
        let first = found.entry(word.package).or_insert((i64::MAX, i64::MAX));
        *first = (first.0.min(word.at), first.1.min(word.position));
    }
    for (package, (at, told_at)) in found {
        if package_of(connection, package)?.version.is_empty() {
            continue;
        }
        let mut others = Vec::new();
        listed(connection, package, known, |artifact, position| {
            if artifacts.told.get(&artifact).is_none_or(|told| told.evidence == Evidence::Package) {
                others.push((artifact, position));
            }
        })?;
        for (artifact, position) in others {
            if scanned_since(connection, artifact, at, known)? {
                continue;
            }
            // Both must be known for it to follow.
            let position = position.max(told_at);
            let new = || Told { evidence: Evidence::Package, position, packages: Vec::new(), words: Vec::new() };
            let told = artifacts.told.entry(artifact).or_insert_with(new);
            told.position = told.position.min(position);
            told.packages.push(package);
        }
    }
    Ok(())
}

/// Whether a scan of the artifact from an instant on was read.
fn scanned_since(connection: &Connection, artifact: i64, at: i64, known: i64) -> Result<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM package_document WHERE artifact = ?1 AND position < ?2 AND kind = 1 AND status = 0 \
         AND at >= ?3)",
    )?;
    Ok(statement.query_row([artifact, known, at], |row| row.get(0))?)
}

/// A package by its number.
pub(super) fn package_of(connection: &Connection, package: i64) -> Result<Package> {
    let mut statement =
        connection.prepare_cached("SELECT type, namespace, name, version FROM package WHERE id = ?1")?;
    Ok(statement.query_row(params![package], |row| super::asked::read_package(row, 0))?)
}

/// Whether what is asked about is to be minded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// It was declared harmless or done with.
    Suppressed,
    Open,
}

/// How an image stands by what is known of it and of what it is linked with: what somebody states last goes over what
/// scanners find; else it is open as long as one of them, by its newest word, says so.
pub(super) fn stands<'a>(told: impl Iterator<Item = &'a Told> + Clone) -> Standing {
    let statements = told.clone().flat_map(|told| &told.words).filter(|word| word.is_statement());
    let newest = statements.clone().map(Word::order).max();
    if newest.is_some() {
        let mut last = statements.filter(|word| Some(word.order()) == newest);
        return if last.all(|word| word.suppressed) { Standing::Suppressed } else { Standing::Open };
    }
    let suppressed = |told: &Told| !told.words.is_empty() && told.words.iter().all(|word| word.suppressed);
    if told.into_iter().all(suppressed) { Standing::Suppressed } else { Standing::Open }
}
