//! Semgrep's JSON: rules over code, and what its supply chain product finds in components.

use serde::Deserialize;
use serde::de::MapAccess;

use super::fold::{Members, Object, Scalar, each, pass};
use super::scan::{self, Found, Tally};
use super::{
    Component, Details, Document, Finding, Format, Given, Kind, Named, Rejection, Report, Severity, Shape, Sketch,
};
use crate::event::Data;
use crate::event::artifact::{ScanFinished, ScanKind, ScanScope, ScanStatus};

/// Semgrep's reports.
pub(super) const FORMAT: Format = Format {
    name: "semgrep",
    about: "Semgrep: weaknesses in code",
    versions: "JSON of `semgrep scan` and `semgrep ci`, from 0.50",
    kinds: &[Kind::Scan],
    media_type: "application/json",
    recognise,
    secret_members: |_| &[],
    read,
};

fn recognise(sketch: &Sketch) -> bool {
    // A long list hides what comes after it.
    sketch.shape == Shape::Object
        && sketch.has("results")
        && (sketch.has("errors") && sketch.has("paths") || sketch.text.contains("\"check_id\""))
}

fn read(document: &Document<'_>, given: &Given, details: &mut dyn Details) -> Result<Report, Rejection> {
    let mut reading = Reading {
        details,
        code: Tally::new(ScanKind::Static),
        components: Tally::new(ScanKind::Vulnerability),
        version: Scalar::default(),
        errors: 0,
        fatal: 0,
        scanned: false,
    };
    document.json_seed(Object(&mut reading))?;
    let found = reading.code.found() || reading.components.found();
    let failed = scan::failed(given, found, |code| code != 1);
    let status = match (failed, reading.code.listed) {
        (true, _) => ScanStatus::Failed,
        (false, false) => ScanStatus::NotRun,
        (false, true) if reading.fatal > 0 && !found && !reading.scanned => ScanStatus::Failed,
        (false, true) if reading.errors > 0 => ScanStatus::Partial,
        (false, true) => ScanStatus::Completed,
    };
    // The list is for both; what is in components shows only where there is something.
    let both = [&reading.code, &reading.components];
    let facts = both.into_iter().filter(|tally| tally.kind() == ScanKind::Static || tally.listed).map(|tally| {
        Data::from(ScanFinished {
            scope: Some(ScanScope::Filesystem),
            tool_version: scan::version(reading.version.0.as_deref()),
            ..tally.finished("semgrep", status)
        })
    });
    let facts = facts.collect();
    Ok(Report { format: "semgrep".to_owned(), generated_at: None, named: Named::default(), facts })
}

struct Reading<'a> {
    details: &'a mut dyn Details,
    code: Tally,
    components: Tally,
    version: Scalar,
    /// What kept it from looking at everything.
    errors: u64,
    fatal: u64,
    scanned: bool,
}

#[derive(Deserialize)]
struct Error {
    level: Option<String>,
}

#[derive(Deserialize)]
struct Match {
    check_id: String,
    path: String,
    start: Option<Position>,
    end: Option<Position>,
    extra: Option<Extra>,
}

#[derive(Default, Deserialize)]
struct Position {
    line: Option<u64>,
    col: Option<u64>,
}

#[derive(Default, Deserialize)]
struct Extra {
    severity: Option<String>,
    is_ignored: Option<bool>,
    sca_info: Option<Supply>,
}

#[derive(Deserialize)]
struct Supply {
    dependency_match: Option<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    found_dependency: Option<Package>,
}

#[derive(Deserialize)]
struct Package {
    package: Option<String>,
    version: Option<String>,
}

impl Members for Reading<'_> {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "version" => self.version = map.next_value()?,
            "results" => {
                let listed = map.next_value_seed(each(|found| self.found(found)))?;
                self.code.listed |= listed;
            }
            "errors" => {
                let error = each(|error: Error| match error.level.as_deref() {
                    Some("info") => {}
                    Some("warn" | "warning") => self.errors += 1,
                    _ => {
                        self.errors += 1;
                        self.fatal += 1;
                    }
                });
                map.next_value_seed(error)?;
            }
            "paths" => drop(map.next_value_seed(Object(&mut Paths(self)))?),
            _ => return pass(map),
        }
        Ok(())
    }
}

struct Paths<'a, 'd>(&'a mut Reading<'d>);

impl Members for Paths<'_, '_> {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "scanned" => drop(map.next_value_seed(each(|_: serde::de::IgnoredAny| self.0.scanned = true))?),
            _ => return pass(map),
        }
        Ok(())
    }
}

impl Reading<'_> {
    fn found(&mut self, found: Match) {
        let extra = found.extra.unwrap_or_default();
        let severity = Severity::of(extra.severity.as_deref().unwrap_or_default());
        let suppressed = extra.is_ignored == Some(true);
        let (start, end) = (found.start.unwrap_or_default(), found.end.unwrap_or_default());
        let n = |n: Option<u64>| n.unwrap_or(0);
        let place = format!("{}:{}-{}:{}", n(start.line), n(start.col), n(end.line), n(end.col));
        let supply = extra.sca_info.is_some();
        let package = extra.sca_info.and_then(|info| info.dependency_match?.found_dependency);
        let component = package.and_then(|package| {
            let name = scan::filled(package.package)?;
            Some(Component { name, version: package.version, ..Component::default() })
        });
        let kind = if supply { ScanKind::Vulnerability } else { ScanKind::Static };
        match (supply, &component) {
            (true, Some(component)) => {
                let version = component.version.as_deref().unwrap_or_default();
                let key: &[&str] = &[&found.check_id, &component.name, version];
                self.components.add(Found { key, severity: Some(severity), suppressed, ..Found::default() });
            }
            (supply, _) => {
                let tally = if supply { &mut self.components } else { &mut self.code };
                let key: &[&str] = &[&found.check_id, &found.path, &place];
                tally.add(Found { key, severity: Some(severity), suppressed, ..Found::default() });
            }
        }
        if self.details.wanted() {
            self.details.finding(Finding {
                kind,
                id: found.check_id,
                aliases: Vec::new(),
                severity,
                component,
                fixed_in: None,
                disclosed_at: None,
                place: scan::place(&found.path, start.line),
                suppressed,
            });
        }
    }
}
