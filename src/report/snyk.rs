//! Snyk's JSON: `snyk test`, `snyk container test` and `snyk iac test`, of one project or of all. `snyk code` writes SARIF.
//!
//! It lists a vulnerability once for each way by which a component came in: what has the same id, component and version
//! counts once. It names neither a digest nor a time.

use serde::Deserialize;
use serde::de::MapAccess;

use super::fold::{Members, Object, Objects, Scalar, each, pass};
use super::scan::{self, Found, Score, Tally};
use super::{
    Component, Details, Document, Finding, Format, Given, Kind, Named, Rejection, Report, Severity, Shape, Sketch,
    value,
};
use crate::event::Data;
use crate::event::artifact::{ScanFinished, ScanKind, ScanScope, ScanStatus};

/// Snyk's reports.
pub(super) const FORMAT: Format = Format {
    name: "snyk",
    about: "Snyk: vulnerabilities, licences and misconfigurations",
    versions: "JSON of `snyk test`, `snyk container test` and `snyk iac test`, also of several projects",
    kinds: &[Kind::Scan],
    media_type: "application/json",
    recognise,
    secret_members: |_| &[],
    read,
};

fn recognise(sketch: &Sketch) -> bool {
    let shape = matches!(sketch.shape, Shape::Object | Shape::Array);
    // A long list hides what comes after it. Others have vulnerabilities, too, but not the way to mend each.
    let project = sketch.has("vulnerabilities")
        && (sketch.has("ok") && sketch.has("dependencyCount") || sketch.text.contains("\"upgradePath\""));
    let failure = sketch.has("ok") && sketch.has("error") && sketch.has("path");
    shape && (project || failure || sketch.has("infrastructureAsCodeIssues"))
}

/// What Snyk's exit codes say: 2 that it failed, 3 that there was nothing to test.
const FAILED: i32 = 2;
const NOTHING_TO_TEST: i32 = 3;

fn read(document: &Document<'_>, given: &Given, details: &mut dyn Details) -> Result<Report, Rejection> {
    let mut reading = Reading {
        details,
        vulnerabilities: Tally::new(ScanKind::Vulnerability),
        licences: Tally::new(ScanKind::Licence),
        misconfigurations: Tally::new(ScanKind::Misconfiguration),
        about: About::default(),
        project: Project::default(),
    };
    reading.vulnerabilities.tells_fixes = true;
    match document.sketch()?.shape {
        Shape::Array => document.json_seed(Objects(&mut reading))?,
        _ => document.json_seed(Object(&mut reading))?,
    };
    let about = reading.about;
    let tallies = [&reading.vulnerabilities, &reading.licences, &reading.misconfigurations];
    let listed = tallies.iter().any(|tally| tally.listed);
    let found = tallies.iter().any(|tally| tally.found());
    let failed = scan::failed(given, found, |code| code == FAILED || !(0..=NOTHING_TO_TEST).contains(&code));
    let status = match given.exit_code {
        Some(NOTHING_TO_TEST) if !listed => ScanStatus::NotRun,
        _ if failed || (about.errors > 0 && !listed) => ScanStatus::Failed,
        _ if about.errors > 0 => ScanStatus::Partial,
        _ if listed => ScanStatus::Completed,
        _ => ScanStatus::NotRun,
    };
    // Several projects have no name in common.
    let one = about.projects == 1;
    let name = about.name.as_deref().filter(|_| one).and_then(scan::subject);
    let scope = match about.image {
        true => ScanScope::Image,
        false => ScanScope::Filesystem,
    };
    let fact = |tally: &Tally| -> Data {
        ScanFinished {
            name: name.clone(),
            platform: about.platform.as_deref().filter(|_| one).map(|text| value::cut(text, scan::NAME_BYTES_MAX)),
            scope: (about.projects > 0).then_some(scope),
            ..tally.finished("snyk", status)
        }
        .into()
    };
    let mut facts: Vec<Data> = tallies.iter().filter(|tally| tally.listed).map(|tally| fact(tally)).collect();
    if facts.is_empty() {
        facts.push(fact(&reading.vulnerabilities));
    }
    let named = Named { name, ..Named::default() };
    Ok(Report { format: "snyk".to_owned(), generated_at: None, named, facts })
}

/// What is known of all projects.
#[derive(Default)]
struct About {
    projects: u64,
    errors: u64,
    image: bool,
    name: Option<String>,
    platform: Option<String>,
}

/// What is known of the project that is being read.
#[derive(Default)]
struct Project {
    name: Option<String>,
    path: Option<String>,
    image: bool,
    failed: bool,
}

struct Reading<'a> {
    details: &'a mut dyn Details,
    vulnerabilities: Tally,
    licences: Tally,
    misconfigurations: Tally,
    about: About,
    project: Project,
}

const IMAGE_PREFIX: &str = "docker-image|";

impl Members for Reading<'_> {
    fn begin(&mut self) {
        self.project = Project::default();
    }

    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "vulnerabilities" => {
                let listed = map.next_value_seed(each(|issue| self.issue(issue, false)))?;
                self.vulnerabilities.listed |= listed;
            }
            "infrastructureAsCodeIssues" => {
                let listed = map.next_value_seed(each(|issue| self.misconfiguration(issue)))?;
                self.misconfigurations.listed |= listed;
            }
            // What is in an image beside the packages of its system.
            "applications" => drop(map.next_value_seed(Objects(&mut Application(self)))?),
            "filtered" => drop(map.next_value_seed(Object(&mut Filtered(self)))?),
            "projectName" => self.project.name = map.next_value::<Scalar>()?.0,
            "path" => self.project.path = map.next_value::<Scalar>()?.0,
            "platform" => self.about.platform = scan::filled(map.next_value::<Scalar>()?.0),
            "error" => self.project.failed = scan::filled(map.next_value::<Scalar>()?.0).is_some(),
            "docker" => self.project.image = map.next_value::<Option<serde::de::IgnoredAny>>()?.is_some(),
            _ => return pass(map),
        }
        Ok(())
    }

    fn end(&mut self) {
        let project = std::mem::take(&mut self.project);
        if project.failed {
            self.about.errors += 1;
            return;
        }
        self.about.projects += 1;
        let image = project.name.as_deref().and_then(|name| name.strip_prefix(IMAGE_PREFIX));
        self.about.image |= project.image || image.is_some();
        let name = image.or(project.name.as_deref()).or(project.path.as_deref());
        self.about.name = name.map(str::to_owned);
    }
}

/// An application in an image.
struct Application<'a, 'd>(&'a mut Reading<'d>);

impl Members for Application<'_, '_> {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "vulnerabilities" => drop(map.next_value_seed(each(|issue| self.0.issue(issue, false)))?),
            "filtered" => drop(map.next_value_seed(Object(&mut Filtered(self.0)))?),
            _ => return pass(map),
        }
        Ok(())
    }
}

/// What a policy left out.
struct Filtered<'a, 'd>(&'a mut Reading<'d>);

impl Members for Filtered<'_, '_> {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "ignore" | "patch" => drop(map.next_value_seed(each(|issue| self.0.issue(issue, true)))?),
            _ => return pass(map),
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Issue {
    id: String,
    severity: Option<String>,
    /// Where `severity` is in the words of before there were critical ones.
    severity_with_critical: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    package_name: Option<String>,
    name: Option<String>,
    version: Option<String>,
    #[serde(default, deserialize_with = "Score::lenient")]
    cvss_score: Option<Score>,
    identifiers: Option<Identifiers>,
    is_upgradable: Option<bool>,
    is_patchable: Option<bool>,
    fixed_in: Option<Vec<String>>,
    nearest_fixed_in_version: Option<String>,
    is_ignored: Option<bool>,
    disclosure_time: Option<String>,
    publication_time: Option<String>,
    // Of what is not in a component.
    line_number: Option<i64>,
    title: Option<String>,
    path: Option<Vec<Scalar>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
struct Identifiers {
    cve: Option<Vec<String>>,
    ghsa: Option<Vec<String>>,
}

impl Issue {
    fn severity(&self) -> Severity {
        let word = self.severity_with_critical.as_deref().or(self.severity.as_deref());
        Severity::of(word.unwrap_or_default())
    }
}

impl Reading<'_> {
    fn issue(&mut self, issue: Issue, suppressed: bool) {
        let severity = issue.severity();
        let suppressed = suppressed || issue.is_ignored == Some(true);
        let name = issue.name.or(issue.package_name).unwrap_or_default();
        let version = issue.version.unwrap_or_default();
        let fixed_in = scan::filled(issue.nearest_fixed_in_version)
            .or_else(|| issue.fixed_in.filter(|list| !list.is_empty()).map(|list| list.join(", ")));
        let licence = issue.kind.as_deref() == Some("license");
        let (kind, tally) = match licence {
            true => (ScanKind::Licence, &mut self.licences),
            false => (ScanKind::Vulnerability, &mut self.vulnerabilities),
        };
        tally.add(Found {
            key: &[&issue.id, &name, &version],
            severity: Some(severity),
            fixable: fixed_in.is_some() || issue.is_upgradable == Some(true) || issue.is_patchable == Some(true),
            suppressed,
            cvss: issue.cvss_score,
            ..Found::default()
        });
        if self.details.wanted() {
            let aliases =
                issue.identifiers.into_iter().flat_map(|all| [all.cve, all.ghsa]).flatten().flatten().collect();
            let version = scan::filled(Some(version));
            let disclosed_at = issue.disclosure_time.or(issue.publication_time);
            self.details.finding(Finding {
                kind,
                id: issue.id,
                aliases,
                severity,
                component: scan::filled(Some(name)).map(|name| Component { name, version, ..Component::default() }),
                fixed_in,
                disclosed_at: disclosed_at.as_deref().and_then(value::zoned_time),
                place: None,
                suppressed,
            });
        }
    }

    fn misconfiguration(&mut self, issue: Issue) {
        let severity = issue.severity();
        let suppressed = issue.is_ignored == Some(true);
        let line = issue.line_number.and_then(|line| u64::try_from(line).ok());
        let path: Vec<_> = issue.path.iter().flatten().map(Scalar::text).collect();
        self.misconfigurations.add(Found {
            key: &[
                &issue.id,
                &self.about.projects.to_string(),
                &path.join("."),
                &line.unwrap_or(0).to_string(),
                issue.title.as_deref().unwrap_or_default(),
            ],
            severity: Some(severity),
            suppressed,
            ..Found::default()
        });
        if self.details.wanted() {
            self.details.finding(Finding {
                kind: ScanKind::Misconfiguration,
                id: issue.id,
                aliases: Vec::new(),
                severity,
                component: None,
                fixed_in: None,
                disclosed_at: None,
                place: scan::place(&path.join("."), line),
                suppressed,
            });
        }
    }
}
