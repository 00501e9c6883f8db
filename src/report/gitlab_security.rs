//! GitLab's format for security reports, which many scanners write for its pipelines. Its times have no zone.

use serde::Deserialize;
use serde::de::MapAccess;

use super::fold::{Members, Object, Scalar, each, pass};
use super::scan::{self, Found, Tally};
use super::{
    Component, Details, Document, Finding, Format, Given, Kind, Named, Reason, Rejection, Report, Severity, Shape,
    Sketch, value,
};
use crate::event::artifact::{ScanFinished, ScanKind, ScanScope, ScanStatus};

/// GitLab's security reports.
pub(super) const FORMAT: Format = Format {
    name: "gitlab-security",
    about: "GitLab security report of any scanner: vulnerabilities, weaknesses in code, secrets",
    versions: "14 and 15: container_scanning, dependency_scanning, cluster_image_scanning, sast, secret_detection",
    kinds: &[Kind::Scan],
    media_type: "application/json",
    recognise,
    secret_members: |_| &["raw_source_code_extract"],
    read,
};

fn recognise(sketch: &Sketch) -> bool {
    sketch.shape == Shape::Object
        && sketch.has("version")
        && sketch.has("vulnerabilities")
        && (sketch.has("scan.type") || sketch.has("remediations") || sketch.has("dependency_files"))
}

/// What the types of scans look for, and in what.
fn kind_of(scan_type: &str) -> Option<(ScanKind, Option<ScanScope>)> {
    match scan_type {
        "container_scanning" => Some((ScanKind::Vulnerability, Some(ScanScope::Image))),
        "cluster_image_scanning" => Some((ScanKind::Vulnerability, Some(ScanScope::Cluster))),
        "dependency_scanning" => Some((ScanKind::Vulnerability, Some(ScanScope::Repository))),
        "sast" => Some((ScanKind::Static, Some(ScanScope::Repository))),
        "secret_detection" => Some((ScanKind::Secret, Some(ScanScope::Repository))),
        _ => None,
    }
}

fn read(document: &Document<'_>, given: &Given, details: &mut dyn Details) -> Result<Report, Rejection> {
    // What was scanned stands before or behind what was found.
    let mut head = Head::default();
    document.json_seed(Object(&mut head))?;
    let version = head.version.ok_or_else(|| Rejection::missing("version"))?;
    if !version.starts_with("14.") && !version.starts_with("15.") {
        let what = format!("{version:?} is not read: 14 and 15 are");
        return Err(Rejection::new(Reason::UnsupportedVersion, what).at("version"));
    }
    let run = head.scan.ok_or_else(|| Rejection::missing("scan"))?;
    let scan_type = run.r#type.ok_or_else(|| Rejection::missing("scan.type"))?;
    let Some((kind, scope)) = kind_of(&scan_type) else {
        let what = format!("{scan_type:?} is no kind of scan that is known here");
        return Err(Rejection::new(Reason::BadField, what).at("scan.type"));
    };
    let scanner = run.scanner.unwrap_or_default();
    let tool = scan::filled(scanner.id).or_else(|| scan::filled(scanner.name));
    let tool = tool.ok_or_else(|| Rejection::missing("scan.scanner.id"))?;
    let mut reading = Reading { details, tally: Tally::new(kind), image: None };
    document.json_seed(Object(&mut reading))?;
    let Reading { tally, image, .. } = reading;
    let failed = run.status.as_deref() == Some("failure") || scan::failed(given, tally.found(), scan::no_code);
    let status = match (failed, tally.listed) {
        (true, _) => ScanStatus::Failed,
        (false, true) => ScanStatus::Completed,
        (false, false) => ScanStatus::NotRun,
    };
    let named = Named { name: image.as_deref().and_then(scan::subject), ..Named::default() };
    let fact = ScanFinished {
        name: named.name.clone(),
        scope,
        started_at: value::zoned_time(run.start_time.text()),
        tool_version: scan::version(scanner.version.as_deref()),
        ..tally.finished(&tool, status)
    };
    let format = format!("gitlab-security/{}", value::cut(&version, 16));
    Ok(Report { format, generated_at: value::zoned_time(run.end_time.text()), named, facts: vec![fact.into()] })
}

#[derive(Default)]
struct Head {
    version: Option<String>,
    scan: Option<Run>,
}

#[derive(Deserialize)]
struct Run {
    r#type: Option<String>,
    status: Option<String>,
    scanner: Option<Scanner>,
    #[serde(default)]
    start_time: Scalar,
    #[serde(default)]
    end_time: Scalar,
}

#[derive(Default, Deserialize)]
struct Scanner {
    id: Option<String>,
    name: Option<String>,
    version: Option<String>,
}

impl Members for Head {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "version" => self.version = map.next_value()?,
            "scan" => self.scan = map.next_value()?,
            _ => return pass(map),
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Vulnerability {
    id: Option<String>,
    name: Option<String>,
    severity: Option<String>,
    identifiers: Option<Vec<Identifier>>,
    location: Option<Location>,
}

#[derive(Deserialize)]
struct Identifier {
    value: Option<String>,
}

#[derive(Default, Deserialize)]
struct Location {
    image: Option<String>,
    file: Option<String>,
    start_line: Option<u64>,
    end_line: Option<u64>,
    dependency: Option<Dependency>,
    commit: Option<Commit>,
}

#[derive(Deserialize)]
struct Dependency {
    package: Option<Package>,
    version: Option<String>,
}

#[derive(Deserialize)]
struct Package {
    name: Option<String>,
}

#[derive(Deserialize)]
struct Commit {
    sha: Option<String>,
}

struct Reading<'a> {
    details: &'a mut dyn Details,
    tally: Tally,
    image: Option<String>,
}

impl Members for Reading<'_> {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "vulnerabilities" => {
                let listed = map.next_value_seed(each(|one| self.found(one)))?;
                self.tally.listed |= listed;
            }
            _ => return pass(map),
        }
        Ok(())
    }
}

impl Reading<'_> {
    fn found(&mut self, one: Vulnerability) {
        let location = one.location.unwrap_or_default();
        let mut identifiers = one.identifiers.into_iter().flatten().filter_map(|one| scan::filled(one.value));
        let id = identifiers.next().or(one.id).or(one.name).unwrap_or_default();
        let aliases: Vec<String> = identifiers.collect();
        let (package, version) = location.dependency.map_or((None, None), |one| {
            (one.package.and_then(|package| scan::filled(package.name)), scan::filled(one.version))
        });
        let file = location.file.unwrap_or_default();
        let severity = Severity::of(one.severity.as_deref().unwrap_or_default());
        let commit = location.commit.and_then(|commit| commit.sha).unwrap_or_default();
        let lines = format!("{:?}-{:?}", location.start_line, location.end_line);
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let (name, number) = (text(&package), text(&version));
        let key = match self.tally.kind() {
            ScanKind::Vulnerability => vec![id.as_str(), &name, &number],
            _ => vec![id.as_str(), &file, &lines, &commit],
        };
        self.tally.add(Found { key: &key, severity: Some(severity), ..Found::default() });
        self.image = self.image.take().or_else(|| scan::filled(location.image));
        if self.details.wanted() {
            self.details.finding(Finding {
                kind: self.tally.kind(),
                id,
                aliases,
                severity,
                component: package.map(|name| Component { name, version, ..Component::default() }),
                fixed_in: None,
                disclosed_at: None,
                place: scan::place(&file, location.start_line),
                suppressed: false,
            });
        }
    }
}
