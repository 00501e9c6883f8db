//! Safety's JSON.
//!
//! What is required without an exact version is not checked, and the report does not say so. Times have no zone. Ids are the
//! vendor's. Severities and fixed versions are told only to those who have an account: where there are none at all, nothing
//! is said of them.

use serde::Deserialize;
use serde::de::MapAccess;

use super::fold::{Members, Object, Objects, Scalar, each, entries, pass};
use super::scan::{self, Found, Score, Tally};
use super::{
    Component, Details, Document, Finding, Format, Given, Kind, Named, Reason, Rejection, Report, Severity, Shape,
    Sketch, value,
};
use crate::event::artifact::{ScanFinished, ScanKind, ScanScope, ScanStatus};

/// Safety's reports.
pub(super) const FORMAT: Format = Format {
    name: "safety",
    about: "Safety: vulnerabilities of Python packages",
    versions: "JSON of `safety check` 2 and 3 (json_version 1) and of `safety scan` 3 (schema 3.0)",
    kinds: &[Kind::Scan],
    media_type: "application/json",
    recognise,
    secret_members: |_| &[],
    read,
};

fn recognise(sketch: &Sketch) -> bool {
    sketch.shape == Shape::Object
        && (sketch.has("report_meta") && (sketch.has("report_meta.safety_version") || sketch.has("scanned_packages"))
            || sketch.has("meta.schema_version") && sketch.has("scan_results"))
}

/// Found something. Every other code but 0 is an error: no network, no account, no database.
const FOUND: i32 = 64;

fn read(document: &Document<'_>, given: &Given, details: &mut dyn Details) -> Result<Report, Rejection> {
    let mut tally = Tally::new(ScanKind::Vulnerability);
    tally.rates = false;
    let mut reading = Reading {
        details,
        tally,
        checked: None,
        scanned: None,
        commits: Vec::new(),
        package: String::new(),
        requirement: Requirement::default(),
    };
    document.json_seed(Object(&mut reading))?;
    let (format, version, timestamp) = match (&reading.checked, &reading.scanned) {
        (Some(meta), _) => match meta.json_version.text() {
            "1" | "1.0" | "1.1" | "" => ("safety/1", meta.safety_version.clone(), &meta.timestamp),
            other => return Err(unsupported(other).at("report_meta.json_version")),
        },
        (None, Some(meta)) => match meta.schema_version.text() {
            version if version.starts_with('3') => {
                let telemetry = meta.telemetry.as_ref();
                ("safety/3", telemetry.and_then(|telemetry| telemetry.safety_version.clone()), &meta.timestamp)
            }
            other => return Err(unsupported(other).at("meta.schema_version")),
        },
        (None, None) => return Err(Rejection::missing("report_meta")),
    };
    let tally = &reading.tally;
    let failed = scan::failed(given, tally.found(), |code| code != FOUND);
    let status = match (failed, tally.listed) {
        (true, _) => ScanStatus::Failed,
        (false, true) => ScanStatus::Completed,
        (false, false) => ScanStatus::NotRun,
    };
    let mut named = Named::default();
    let git = reading.checked.as_ref().and_then(|meta| meta.git.as_ref());
    if let Some(commit) = git.and_then(|git| scan::filled(git.commit.clone())) {
        named.commit = Some(value::git_oid("report_meta.git.commit", &commit)?);
    }
    // Several projects may be of several repositories.
    if let [(n, commit)] = reading.commits.as_slice() {
        named.commit = Some(value::git_oid(&format!("scan_results.projects[{n}].git.commit"), commit)?);
    }
    let generated_at = value::zoned_time(timestamp.text());
    let fact = ScanFinished {
        scope: Some(ScanScope::Filesystem),
        tool_version: scan::version(version.as_deref()),
        ..tally.finished("safety", status)
    };
    Ok(Report { format: format.to_owned(), generated_at, named, facts: vec![fact.into()] })
}

fn unsupported(version: &str) -> Rejection {
    Rejection::new(Reason::UnsupportedVersion, format!("{version:?} is not read: json_version 1 and schema 3.0 are"))
}

/// Of `safety check`.
#[derive(Deserialize)]
struct Checked {
    #[serde(default)]
    json_version: Scalar,
    safety_version: Option<String>,
    #[serde(default)]
    timestamp: Scalar,
    git: Option<Git>,
}

/// Of `safety scan`.
#[derive(Deserialize)]
struct Scanned {
    #[serde(default)]
    schema_version: Scalar,
    #[serde(default)]
    timestamp: Scalar,
    telemetry: Option<Telemetry>,
}

#[derive(Deserialize)]
struct Telemetry {
    safety_version: Option<String>,
}

#[derive(Deserialize)]
struct Git {
    commit: Option<String>,
}

#[derive(Deserialize)]
struct Package {
    name: Option<String>,
    version: Option<String>,
}

#[derive(Deserialize)]
struct Vulnerability {
    #[serde(default)]
    vulnerability_id: Scalar,
    package_name: Option<String>,
    analyzed_version: Option<String>,
    fixed_versions: Option<Vec<String>>,
    #[serde(rename = "CVE")]
    cve: Option<Cves>,
    severity: Option<Rating>,
}

/// One id, or a list of them, or an object with one.
struct Cves(Vec<String>);

impl<'de> Deserialize<'de> for Cves {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let found = match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(id) => vec![id],
            serde_json::Value::Array(list) => {
                list.into_iter().filter_map(|id| id.as_str().map(str::to_owned)).collect()
            }
            serde_json::Value::Object(map) => {
                map.get("name").and_then(|name| name.as_str()).map(str::to_owned).into_iter().collect()
            }
            _ => Vec::new(),
        };
        Ok(Self(found))
    }
}

#[derive(Deserialize)]
struct Rating {
    cvssv2: Option<Cvss>,
    cvssv3: Option<Cvss>,
}

#[derive(Deserialize)]
struct Cvss {
    #[serde(default, deserialize_with = "Score::lenient")]
    base_score: Option<Score>,
    base_severity: Option<String>,
}

struct Reading<'a> {
    details: &'a mut dyn Details,
    tally: Tally,
    checked: Option<Checked>,
    scanned: Option<Scanned>,
    /// Which project names which commit.
    commits: Vec<(u64, String)>,
    /// The package that is being read.
    package: String,
    requirement: Requirement,
}

/// A requirement as it stands in a file: `django==2.2`.
#[derive(Default)]
struct Requirement {
    raw: String,
    fixed_in: Option<String>,
    found: Vec<Known>,
}

#[derive(Deserialize)]
struct Known {
    #[serde(default)]
    id: Scalar,
    ignored: Option<serde_json::Value>,
    severity: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Remediation {
    #[serde(default)]
    recommended: Scalar,
}

impl Members for Reading<'_> {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "report_meta" => self.checked = map.next_value()?,
            "meta" => self.scanned = map.next_value()?,
            "scanned_packages" => {
                map.next_value_seed(entries(|key, package: Package| self.component(&key, package)))?;
            }
            "vulnerabilities" => {
                let listed = map.next_value_seed(each(|one| self.vulnerability(one, false)))?;
                self.tally.listed |= listed;
            }
            "ignored_vulnerabilities" => drop(map.next_value_seed(each(|one| self.vulnerability(one, true)))?),
            "scan_results" => drop(map.next_value_seed(Object(&mut ScanResults(self)))?),
            _ => return pass(map),
        }
        Ok(())
    }
}

impl Reading<'_> {
    fn component(&mut self, key: &str, package: Package) {
        if self.details.wanted() {
            let name = package.name.unwrap_or_else(|| key.to_owned());
            let purl = Some(scan::pypi(&name, package.version.as_deref()));
            self.details.component(Component { purl, name, version: package.version, licences: Vec::new() });
        }
    }

    fn vulnerability(&mut self, one: Vulnerability, suppressed: bool) {
        let fixed_in = one.fixed_versions.filter(|list| !list.is_empty()).map(|list| list.join(", "));
        let rating = one.severity.and_then(|rating| rating.cvssv3.or(rating.cvssv2));
        let word = rating.as_ref().and_then(|cvss| cvss.base_severity.as_deref());
        let finding = Finding {
            kind: ScanKind::Vulnerability,
            id: one.vulnerability_id.0.unwrap_or_default(),
            aliases: one.cve.map_or_else(Vec::new, |cves| cves.0),
            severity: Severity::of(word.unwrap_or_default()),
            component: one.package_name.map(|name| component(name, one.analyzed_version)),
            fixed_in,
            disclosed_at: None,
            place: None,
            suppressed,
        };
        self.found(finding, rating.and_then(|cvss| cvss.base_score));
    }

    fn found(&mut self, finding: Finding, cvss: Option<Score>) {
        self.tally.rates |= finding.severity != Severity::Unknown;
        self.tally.tells_fixes |= finding.fixed_in.is_some();
        let component = finding.component.as_ref();
        self.tally.add(Found {
            key: &[
                &finding.id,
                component.map_or("", |component| &component.name),
                component.and_then(|component| component.version.as_deref()).unwrap_or_default(),
            ],
            severity: Some(finding.severity),
            fixable: finding.fixed_in.is_some(),
            suppressed: finding.suppressed,
            cvss,
            ..Found::default()
        });
        if self.details.wanted() {
            self.details.finding(finding);
        }
    }

    /// A requirement was read to its end.
    fn required(&mut self) {
        let requirement = std::mem::take(&mut self.requirement);
        let version = requirement.raw.split_once("==").map(|(_, version)| version.trim().to_owned());
        let name = self.package.clone();
        if self.details.wanted() {
            self.details.component(component(name.clone(), version.clone()));
        }
        for known in requirement.found {
            let word = known.severity.as_ref().and_then(|severity| {
                severity.as_str().or_else(|| severity.get("cvssv3")?.get("base_severity")?.as_str())
            });
            let finding = Finding {
                kind: ScanKind::Vulnerability,
                id: known.id.0.unwrap_or_default(),
                aliases: Vec::new(),
                severity: Severity::of(word.unwrap_or_default()),
                component: Some(component(name.clone(), version.clone())),
                fixed_in: requirement.fixed_in.clone(),
                disclosed_at: None,
                place: None,
                suppressed: known
                    .ignored
                    .as_ref()
                    .and_then(serde_json::Value::as_object)
                    .is_some_and(|why| !why.is_empty()),
            };
            self.found(finding, None);
        }
    }
}

fn component(name: String, version: Option<String>) -> Component {
    let purl = Some(scan::pypi(&name, version.as_deref()));
    Component { purl, name, version, licences: Vec::new() }
}

/// Declares a reader of one level of `safety scan`: the names it goes into, and what it does with each.
macro_rules! level {
    ($name:ident, |$reading:ident, $map:ident| { $($member:literal => $body:expr),* $(,)? } $(, end $end:expr)?) => {
        struct $name<'a, 'd>(&'a mut Reading<'d>);

        impl Members for $name<'_, '_> {
            fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, $map: &mut A) -> Result<(), A::Error> {
                let $reading = &mut *self.0;
                match name {
                    $($member => { $body; })*
                    _ => return pass($map),
                }
                Ok(())
            }
            $(fn end(&mut self) {
                let end: fn(&mut Reading<'_>) = $end;
                end(self.0);
            })?
        }
    };
}

level!(ScanResults, |reading, map| {
    "projects" => {
        let listed = map.next_value_seed(Objects(&mut Project { reading, number: 0 }))?;
        reading.tally.listed |= listed;
    },
    "files" => map.next_value_seed(Objects(&mut File(reading)))?,
});

struct Project<'a, 'd> {
    reading: &'a mut Reading<'d>,
    number: u64,
}

impl Members for Project<'_, '_> {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "git" => {
                let commit = map.next_value::<Option<Git>>()?.and_then(|git| scan::filled(git.commit));
                if let Some(commit) = commit.filter(|_| self.reading.commits.len() < 2) {
                    self.reading.commits.push((self.number, commit));
                }
            }
            "files" => drop(map.next_value_seed(Objects(&mut File(self.reading)))?),
            _ => return pass(map),
        }
        Ok(())
    }

    fn end(&mut self) {
        self.number += 1;
    }
}

level!(File, |reading, map| { "results" => map.next_value_seed(Object(&mut FileResults(reading)))? });
level!(FileResults, |reading, map| {
    "dependencies" => map.next_value_seed(Objects(&mut Dependency(reading)))?,
});
level!(Dependency, |reading, map| {
    "name" => reading.package = map.next_value::<Option<String>>()?.unwrap_or_default(),
    "specifications" => map.next_value_seed(Objects(&mut Specification(reading)))?,
});
level!(Specification, |reading, map| {
    "raw" => reading.requirement.raw = map.next_value::<Option<String>>()?.unwrap_or_default(),
    "vulnerabilities" => map.next_value_seed(Object(&mut Vulnerabilities(reading)))?,
}, end |reading| reading.required());
level!(Vulnerabilities, |reading, map| {
    "known_vulnerabilities" => map.next_value_seed(each(|known| reading.requirement.found.push(known)))?,
    "remediation" => {
        let remediation = map.next_value::<Option<Remediation>>()?;
        reading.requirement.fixed_in = remediation.and_then(|one| scan::filled(one.recommended.0));
    },
});
