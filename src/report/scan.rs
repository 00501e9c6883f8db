//! What scanners' reports have in common: findings are counted once each, and names lose what is private.

use std::collections::HashMap;

use serde::{Deserialize, Deserializer};

use super::fold::Scalar;
use super::{Given, Severity, value};
use crate::event::artifact::{ScanFinished, ScanKind, ScanStatus, Severities};

/// A CVSS base score as the report writes it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Score {
    text: String,
    value: f64,
}

impl Score {
    /// Of a text; none where it is no number from 0 to 10.
    pub(super) fn of(text: &str) -> Option<Self> {
        let text = text.trim();
        let value: f64 = text.parse().ok()?;
        // The longest that anybody writes is "10.0"; more digits are not a base score.
        ((0.0..=10.0).contains(&value) && text.len() <= 8).then(|| Self { text: text.to_owned(), value })
    }

    /// Whether it is critical in the words of CVSS 3 and 4.
    pub(super) fn is_critical(&self) -> bool {
        self.value >= 9.0
    }

    /// The higher of two.
    pub(super) fn max(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => Some(if other.value > one.value { other } else { one }),
            (one, other) => one.or(other),
        }
    }

    /// Reads one that may be a number, a string or nothing of use.
    pub(super) fn lenient<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        Ok(Self::of(Scalar::deserialize(deserializer)?.text()))
    }
}

/// Something that was found, to be counted.
#[derive(Debug, Default)]
pub(super) struct Found<'a> {
    /// What tells it from others: identifier and component, or rule and place.
    pub(super) key: &'a [&'a str],
    /// How bad it is.
    pub(super) severity: Option<Severity>,
    /// Whether a newer version mends it.
    pub(super) fixable: bool,
    /// Whether it was declared harmless.
    pub(super) suppressed: bool,
    /// Whether it is known to be exploited.
    pub(super) exploited: bool,
    /// Its CVSS base score.
    pub(super) cvss: Option<Score>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    severity: Severity,
    fixable: bool,
    suppressed: bool,
    exploited: bool,
}

/// Findings of one kind. Each counts once, however often it is listed: it is open if one of its occurrences is, and then as
/// bad as the worst of these.
#[derive(Debug)]
pub(super) struct Tally {
    kind: ScanKind,
    seen: HashMap<[u8; 16], Seen>,
    cvss_max: Option<Score>,
    /// Whether the report has a list of them, empty or not.
    pub(super) listed: bool,
    /// Whether the tool rates findings.
    pub(super) rates: bool,
    /// Whether the tool tells what a newer version mends.
    pub(super) tells_fixes: bool,
    /// Whether the tool tells what is known to be exploited.
    pub(super) tells_exploited: bool,
}

impl Tally {
    /// Nothing found yet, and no list of it seen. The tool rates.
    pub(super) fn new(kind: ScanKind) -> Self {
        Self {
            kind,
            seen: HashMap::new(),
            cvss_max: None,
            listed: false,
            rates: true,
            tells_fixes: false,
            tells_exploited: false,
        }
    }

    /// What is looked for.
    pub(super) fn kind(&self) -> ScanKind {
        self.kind
    }

    /// Counts something, and notes that there is a list.
    pub(super) fn add(&mut self, found: Found<'_>) {
        self.listed = true;
        let mut hasher = blake3::Hasher::new();
        for part in found.key {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
        let mut key = [0; 16];
        hasher.finalize_xof().fill(&mut key);
        let new = Seen {
            severity: found.severity.unwrap_or(Severity::Unknown),
            fixable: found.fixable,
            suppressed: found.suppressed,
            exploited: found.exploited,
        };
        if !new.suppressed {
            self.cvss_max = Score::max(self.cvss_max.take(), found.cvss);
        }
        let seen = self.seen.entry(key).or_insert(new);
        if seen.suppressed && !new.suppressed {
            *seen = new;
        } else if seen.suppressed == new.suppressed {
            seen.severity = seen.severity.max(new.severity);
            seen.fixable |= new.fixable;
            seen.exploited |= new.exploited;
        }
    }

    /// Whether anything is listed, be it declared harmless.
    pub(super) fn found(&self) -> bool {
        !self.seen.is_empty()
    }

    /// How many are open.
    pub(super) fn open(&self) -> u32 {
        clamped(self.seen.values().filter(|seen| !seen.suppressed).count())
    }

    /// The event that says so.
    pub(super) fn finished(&self, tool: &str, status: ScanStatus) -> ScanFinished {
        let none = Severities { critical: 0, high: 0, info: 0, low: 0, medium: 0, unknown: 0 };
        let (mut severities, mut fixable, mut exploited) = (none.clone(), none, 0_usize);
        for seen in self.seen.values().filter(|seen| !seen.suppressed) {
            seen.severity.count(&mut severities);
            if seen.fixable {
                seen.severity.count(&mut fixable);
            }
            exploited += usize::from(seen.exploited);
        }
        let suppressed = self.seen.values().filter(|seen| seen.suppressed).count();
        ScanFinished {
            cvss_max: self.cvss_max.as_ref().map(|score| score.text.clone()),
            findings: self.listed.then(|| self.open()),
            fixable: (self.listed && self.tells_fixes).then_some(fixable),
            known_exploited: (self.listed && self.tells_exploited).then(|| clamped(exploited)),
            severities: (self.listed && self.rates).then_some(severities),
            suppressed: (suppressed > 0).then(|| clamped(suppressed)),
            ..finished(self.kind, tool, status)
        }
    }
}

/// An event that says no more than what was looked for, by what, and what came of it.
pub(super) fn finished(kind: ScanKind, tool: &str, status: ScanStatus) -> ScanFinished {
    ScanFinished {
        attempt: None,
        commit: None,
        cvss_max: None,
        database_updated_at: None,
        database_version: None,
        exit_code: None,
        filters: None,
        findings: None,
        fixable: None,
        kind,
        known_exploited: None,
        name: None,
        platform: None,
        redactions: None,
        report: None,
        report_format: None,
        repository: None,
        run: None,
        scope: None,
        severities: None,
        started_at: None,
        status,
        suppressed: None,
        tool: value::cut(tool, NAME_BYTES_MAX),
        tool_version: None,
        url: None,
    }
}

/// Whether the exit code says that the tool failed: it is one of its codes for errors, or it is not zero although nothing was
/// found that would explain it.
pub(super) fn failed(given: &Given, found: bool, is_error: fn(i32) -> bool) -> bool {
    given.exit_code.is_some_and(|code| code != 0 && (!found || is_error(code)))
}

/// No exit code of the tool means an error whatever was found.
pub(super) fn no_code(_: i32) -> bool {
    false
}

/// Most bytes of a name: more than any registry takes, and a small part of an event.
pub(super) const NAME_BYTES_MAX: usize = 512;

/// What was scanned, by the name the scanner was given, without what is private: user information of a URL, and the way
/// to a local directory, which often leads through somebody's name.
pub(super) fn subject(text: &str) -> Option<String> {
    let mut text = text.trim();
    let rest;
    if let Some((scheme, after)) = text.split_once("://") {
        let after = after.split(['?', '#']).next().unwrap_or_default();
        let (host, path) = after.split_once('/').map_or((after, ""), |(host, path)| (host, path));
        let host = host.rsplit('@').next().unwrap_or(host);
        if scheme.eq_ignore_ascii_case("file") {
            rest = last(path).to_owned();
        } else {
            rest = format!("{scheme}://{host}{}{path}", if path.is_empty() { "" } else { "/" });
        }
        text = &rest;
    } else if is_local(text) {
        text = last(text);
    }
    let useless = text.is_empty() || text == "." || text == "..";
    (!useless).then(|| value::cut(text, NAME_BYTES_MAX))
}

/// Whether it is a path from the root of a machine or from somebody's home, or leads out of the working directory.
fn is_local(text: &str) -> bool {
    let drive = text.as_bytes().get(1) == Some(&b':') && text.starts_with(|c: char| c.is_ascii_alphabetic());
    drive || text.starts_with(['/', '\\', '~']) || text.starts_with("../") || text.starts_with("..\\")
}

fn last(path: &str) -> &str {
    let path = path.trim_end_matches(['/', '\\']);
    let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
    // Nothing but a drive.
    if name.ends_with(':') { "" } else { name }
}

/// A package URL of a Python package, whose names do not tell cases and underscores apart.
pub(super) fn pypi(name: &str, version: Option<&str>) -> String {
    let name = name.trim().to_ascii_lowercase().replace('_', "-");
    match version {
        Some(version) => format!("pkg:pypi/{name}@{}", version.replace('+', "%2B")),
        None => format!("pkg:pypi/{name}"),
    }
}

/// `path:line`, or the path alone.
pub(super) fn place(path: &str, line: Option<u64>) -> Option<String> {
    match line.filter(|line| *line > 0) {
        _ if path.is_empty() => None,
        Some(line) => Some(format!("{path}:{line}")),
        None => Some(path.to_owned()),
    }
}

/// A text that says something.
pub(super) fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty())
}

/// A version as a tool tells it, at most as long as a name.
pub(super) fn version(text: Option<&str>) -> Option<String> {
    text.map(str::trim).filter(|text| !text.is_empty()).map(|text| value::cut(text, NAME_BYTES_MAX))
}

/// The platform, where both of its parts are told: `linux/amd64`, `linux/arm/v7`.
pub(super) fn platform(os: &str, architecture: &str, variant: &str) -> Option<String> {
    let whole = !os.is_empty() && !architecture.is_empty();
    let variant = if variant.is_empty() { String::new() } else { format!("/{variant}") };
    whole.then(|| value::cut(&format!("{os}/{architecture}{variant}"), NAME_BYTES_MAX))
}

/// A count of what is in memory, which never nears the limit.
fn clamped(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_what_is_private() {
        for (text, name) in [
            ("ghcr.io/acme/churn-api:main", Some("ghcr.io/acme/churn-api:main")),
            ("https://bob:secret@git.example/acme/churn.git?x#y", Some("https://git.example/acme/churn.git")),
            ("/home/bob/src/churn/", Some("churn")),
            ("C:\\Users\\bob\\churn", Some("churn")),
            ("file:///home/bob/churn", Some("churn")),
            ("images/alpine.tar", Some("images/alpine.tar")),
            ("C:\\", None),
            ("/", None),
            (".", None),
            ("", None),
        ] {
            assert_eq!(subject(text).as_deref(), name, "{text}");
        }
    }

    #[test]
    fn scores_are_numbers_from_0_to_10_and_keep_their_form() {
        let max = |texts: &[&str]| texts.iter().fold(None, |max, text| Score::max(max, Score::of(text)));
        assert_eq!(max(&["9.0", "10", "7.5", "11", "NaN", "high", ""]).map(|score| score.text), Some("10".to_owned()));
        assert_eq!(Score::of("-1"), None);
    }

    proptest::proptest! {
        /// What is counted is a function of the set of what is listed, not of its order or of repetitions.
        #[test]
        fn findings_count_once_in_any_order(list in proptest::collection::vec((0_u8..6, 0_u8..6, proptest::bool::ANY), 0..40)) {
            let counted = |list: &[(u8, u8, bool)]| {
                let mut tally = Tally::new(ScanKind::Vulnerability);
                tally.listed = true;
                tally.tells_fixes = true;
                for (id, severity, suppressed) in list {
                    let severity = [Severity::Unknown, Severity::Info, Severity::Low, Severity::Medium, Severity::High, Severity::Critical][usize::from(*severity)];
                    let cvss = Score::of(&id.to_string());
                    tally.add(Found { key: &["CVE", &id.to_string()], severity: Some(severity), fixable: id % 2 == 0, suppressed: *suppressed, cvss, ..Found::default() });
                }
                tally.finished("tool", ScanStatus::Completed)
            };
            let once = counted(&list);
            let mut other: Vec<_> = list.iter().rev().copied().collect();
            other.extend(&list);
            proptest::prop_assert_eq!(&once, &counted(&other));
            let s = once.severities.clone().unwrap();
            proptest::prop_assert_eq!(once.findings.unwrap(), s.critical + s.high + s.medium + s.low + s.info + s.unknown);
        }
    }
}
