//! GitLab's code quality report, a list of findings in a form of Code Climate's that many linters write.

use serde::Deserialize;

use super::check::{Counted, add, check, conclusion, each, one};
use super::{Details, Document, Finding, Format, Given, Kind, Rejection, Report, Severity, Shape, Sketch};
use crate::event::artifact::ScanKind;
use crate::event::check::CheckKind;

/// A code quality report.
pub(super) const FORMAT: Format = Format {
    name: "code-quality",
    about: "GitLab code quality report of any linter (ruff check --output-format gitlab)",
    versions: "as of GitLab 11.5",
    kinds: &[Kind::Check],
    media_type: "application/json",
    recognise,
    secret_members: |_| &[],
    read,
};

#[derive(Deserialize)]
struct Item {
    #[serde(default)]
    check_name: Option<String>,
    description: String,
    #[serde(default)]
    severity: Option<String>,
    location: Location,
}

#[derive(Deserialize)]
struct Location {
    path: String,
    #[serde(default)]
    lines: serde_json::Value,
    #[serde(default)]
    positions: serde_json::Value,
}

impl Location {
    /// The line, which stands in one of two places.
    fn line(&self) -> Option<u64> {
        let positions = self.positions.pointer("/begin/line");
        self.lines.get("begin").or(positions).and_then(serde_json::Value::as_u64)
    }
}

fn recognise(sketch: &Sketch) -> bool {
    sketch.shape == Shape::Array
        && ["description", "fingerprint", "location.path"].iter().all(|member| sketch.has(member))
}

fn read(document: &Document<'_>, given: &Given, details: &mut dyn Details) -> Result<Report, Rejection> {
    let mut counted = Counted { findings: Some(0), ..Counted::default() };
    each(document, false, |item: Item| take(&item, &mut counted, details))?;
    let conclusion = conclusion(counted.findings, given.exit_code);
    let mut fact = check(CheckKind::Lint, "code-quality", counted, conclusion);
    // The report does not say which tool it is from.
    fact.tool = None;
    Ok(one("code-quality", fact))
}

fn take(item: &Item, counted: &mut Counted, details: &mut dyn Details) {
    add(&mut counted.findings, 1);
    let severity = match item.severity.as_deref() {
        Some("blocker" | "critical") => Severity::Critical,
        Some("major") => Severity::High,
        Some("minor") => Severity::Low,
        Some("info") => Severity::Info,
        _ => Severity::Unknown,
    };
    match severity {
        Severity::Critical | Severity::High => add(&mut counted.errors, 1),
        Severity::Low => add(&mut counted.warnings, 1),
        _ => {}
    }
    if details.wanted() {
        let path = &item.location.path;
        details.finding(Finding {
            kind: ScanKind::Static,
            id: item.check_name.clone().unwrap_or_else(|| item.description.chars().take(100).collect()),
            aliases: Vec::new(),
            severity,
            component: None,
            fixed_in: None,
            disclosed_at: None,
            place: Some(item.location.line().map_or_else(|| path.clone(), |line| format!("{path}:{line}"))),
            suppressed: false,
        });
    }
}
