//! What an exposure is asked about, and what of it the views know.

use std::collections::BTreeSet;
use std::str::FromStr;

use packageurl::PackageUrl;
use rusqlite::{Connection, OptionalExtension, params};

use super::super::{Basis, Error, Result, Snapshot};
use super::names::{Package, system, vulnerability};
use super::range::Range;

/// What an exposure is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A package, in some of its versions or in all.
    Package(Pattern),
    /// A vulnerability, by any of its names.
    Vulnerability(String),
}

/// Which packages are meant: a package URL or a name, with a range of versions behind an `@` where not all are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// Type of the package URL; none where only a name was given.
    kind: Option<String>,
    /// Namespace of the package URL; none for any.
    namespace: Option<String>,
    name: String,
    range: Option<Range>,
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        // Behind the version stand an architecture and the like, which say nothing of what it is.
        let (text, qualifiers) = match text.split_once(['?', '#']) {
            Some((text, qualifiers)) if text.starts_with("pkg:") => (text, qualifiers),
            _ => (text, ""),
        };
        // A scope of npm begins with an `@` of its own.
        let at = text.rfind('@').filter(|at| *at > 0 && !text.get(..*at).is_some_and(|before| before.ends_with('/')));
        let (base, range) = match at.map(|at| text.split_at(at)) {
            Some((base, range)) => (base, Some(range.trim_start_matches('@'))),
            None => (text, None),
        };
        let range = range.map(|range| percent_encoding::percent_decode_str(range).decode_utf8_lossy().into_owned());
        let epoch = qualifiers.split('&').find_map(|qualifier| qualifier.strip_prefix("epoch="));
        let range = match (range, epoch) {
            (Some(range), Some(epoch)) if !range.contains(':') => Some(with_epoch(&range, epoch)),
            (range, _) => range,
        };
        let range = range.map(|range| range.parse()).transpose()?;
        if base.starts_with("pkg:") {
            let purl = PackageUrl::from_str(base).map_err(|error| format!("{base:?} is no package URL: {error}"))?;
            let (kind, namespace) = system(purl.ty(), purl.namespace().unwrap_or_default());
            let namespace = Some(namespace).filter(|namespace| !namespace.is_empty()).map(str::to_owned);
            return Ok(Self { kind: Some(kind.to_owned()), namespace, name: purl.name().to_owned(), range });
        }
        if base.trim_matches('@').is_empty() {
            return Err("a package is named by its package URL or its name".to_owned());
        }
        Ok(Self { kind: None, namespace: None, name: base.to_owned(), range })
    }
}

/// Puts an epoch before every version of a range.
fn with_epoch(range: &str, epoch: &str) -> String {
    let mut text = String::with_capacity(range.len() + 8);
    let mut within = false;
    for c in range.chars() {
        let sign = matches!(c, '<' | '>' | '=' | '!' | '^' | ',' | '|' | ' ') || (c == '~' && !within);
        if !sign && !within {
            text.push_str(&format!("{epoch}:"));
        }
        within = !sign;
        text.push(c);
    }
    text
}

impl Pattern {
    /// Namespaces and names that a package which is meant may have.
    fn candidates(&self) -> Vec<(Option<&str>, String)> {
        if self.kind.is_some() {
            return vec![(self.namespace.as_deref(), self.name.clone())];
        }
        let mut all = vec![(None, self.name.clone())];
        // `org.example:name`, `@scope/name`, `github.com/owner/name`.
        if let Some((namespace, name)) = self.name.rsplit_once([':', '/']).filter(|(_, name)| !name.is_empty()) {
            all.push((Some(namespace), name.to_owned()));
        }
        // Python does not tell these apart, and package URLs have the hyphen.
        if self.name.contains('_') {
            all.push((None, self.name.replace('_', "-")));
        }
        all
    }
}

/// What of the subject is known.
#[derive(Debug, Default)]
pub(super) struct Matched {
    /// Packages that are meant, by number.
    pub(super) packages: Vec<(i64, Package)>,
    /// Packages of that name whose version cannot be compared with what was asked.
    pub(super) not_compared: Vec<Package>,
    /// Names of the vulnerability, by number.
    pub(super) vulnerabilities: Vec<(i64, String)>,
}

/// Looks the subject up.
///
/// # Errors
/// `NotFound` where no document speaks of it; `Database`.
pub(super) fn look_up(snapshot: &Snapshot<'_>, basis: &Basis, subject: &Subject) -> Result<Matched> {
    match subject {
        Subject::Package(pattern) => packages(snapshot, basis, pattern),
        Subject::Vulnerability(name) => {
            let vulnerabilities = vulnerabilities(snapshot.connection, basis.known(), name)?;
            Ok(Matched { vulnerabilities, ..Matched::default() })
        }
    }
}

fn packages(snapshot: &Snapshot<'_>, basis: &Basis, pattern: &Pattern) -> Result<Matched> {
    let mut matched = Matched::default();
    let mut seen = BTreeSet::new();
    for (namespace, name) in pattern.candidates() {
        let mut statement = snapshot.connection.prepare_cached(
            "SELECT id, type, namespace, name, version FROM package WHERE name = ?1 COLLATE NOCASE \
             AND (?2 IS NULL OR type = ?2) AND (?3 IS NULL OR namespace = ?3 COLLATE NOCASE) \
             AND EXISTS (SELECT 1 FROM artifact_package WHERE package = id AND position < ?4)",
        )?;
        let mut rows = statement.query(params![name, pattern.kind, namespace, basis.known()])?;
        while let Some(row) = rows.next()? {
            let (id, package) = (row.get(0)?, read_package(row, 1)?);
            if !seen.insert(id) {
                continue;
            }
            match pattern.range.as_ref().map_or(Some(true), |range| range.contains(&package.kind, &package.version)) {
                Some(true) => matched.packages.push((id, package)),
                Some(false) => {}
                None => matched.not_compared.push(package),
            }
        }
    }
    if seen.is_empty() {
        return Err(Error::NotFound(format!("package {}", pattern.name)));
    }
    matched.packages.sort_by(|one, other| one.1.cmp(&other.1));
    matched.not_compared.sort();
    Ok(matched)
}

/// Reads a package whose columns begin at `first`.
pub(super) fn read_package(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<Package> {
    Ok(Package {
        kind: row.get(first)?,
        namespace: row.get(first + 1)?,
        name: row.get(first + 2)?,
        version: row.get(first + 3)?,
    })
}

/// All names of a vulnerability, as far as documents tell them, by number.
fn vulnerabilities(connection: &Connection, known: i64, name: &str) -> Result<Vec<(i64, String)>> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut next = vec![vulnerability(name.trim()).id];
    while let Some(id) = next.pop() {
        if !seen.insert(id) {
            continue;
        }
        let mut aliases = connection.prepare_cached(
            "SELECT other FROM vulnerability_alias WHERE vulnerability = ?1 AND position < ?2 ORDER BY other",
        )?;
        let others = aliases.query_map([id, known], |row| row.get(0))?.collect::<rusqlite::Result<Vec<i64>>>()?;
        let spoken_of: Option<String> = connection
            .prepare_cached(
                "SELECT name FROM vulnerability WHERE id = ?1 AND (?3 OR EXISTS \
                 (SELECT 1 FROM artifact_vulnerability WHERE vulnerability = id AND position < ?2))",
            )?
            .query_row(params![id, known, !others.is_empty()], |row| row.get(0))
            .optional()?;
        if let Some(name) = spoken_of {
            found.push((id, name));
        }
        next.extend(others);
    }
    if found.is_empty() {
        return Err(Error::NotFound(format!("vulnerability {name}")));
    }
    found.sort_by(|one, other| one.1.cmp(&other.1));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (Option<String>, Option<String>, String, bool) {
        let pattern: Pattern = text.parse().unwrap();
        (pattern.kind, pattern.namespace, pattern.name, pattern.range.is_some())
    }

    #[test]
    fn a_package_is_named_by_its_url_or_its_name_and_versions_stand_behind_an_at() {
        let own = |text: &str| Some(text.to_owned());
        for (text, kind, namespace, name, range) in [
            ("requests", None, None, "requests", false),
            ("requests@<2.31.1", None, None, "requests", true),
            ("@angular/core", None, None, "@angular/core", false),
            ("@angular/core@^15", None, None, "@angular/core", true),
            ("pkg:npm/@angular/core", own("npm"), own("@angular"), "core", false),
            ("pkg:npm/%40angular/core@15.x", own("npm"), own("@angular"), "core", true),
            ("pkg:pypi/Flask_Login@>=1,<2", own("pypi"), None, "flask-login", true),
            ("pkg:deb/debian/openssl@3.0.11-1~deb12u2?arch=amd64", own("deb"), own("debian"), "openssl", true),
            ("org.apache.logging.log4j:log4j-core@<2.15", None, None, "org.apache.logging.log4j:log4j-core", true),
        ] {
            assert_eq!(parts(text), (kind, namespace, name.to_owned(), range), "{text}");
        }
        let epoch: Pattern = "pkg:rpm/rhel/bind@9.8-1?epoch=32&arch=x86_64".parse().unwrap();
        assert_eq!(epoch.range.unwrap().contains("rpm", "32:9.8-1"), Some(true));
        let range: Pattern = "pkg:rpm/rhel/bind@>=9.8,<9.8.1~rc1?epoch=32".parse().unwrap();
        let contains = |version: &str| range.range.as_ref().unwrap().contains("rpm", version);
        assert_eq!(["32:9.8", "9.8", "33:9.8", "32:9.8.1"].map(contains), [true, false, false, false].map(Some));
        for text in ["", "@", "pkg:", "requests@", "requests@<"] {
            assert!(text.parse::<Pattern>().is_err(), "{text:?}");
        }
    }
}
