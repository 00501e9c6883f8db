//! Ruff's list of findings: `ruff check --output-format json` (a list) or `json-lines`.

use serde::Deserialize;

use super::check::{Counted, add, check, conclusion, each, one, silent};
use super::{Details, Document, Finding, Format, Given, Kind, Rejection, Report, Severity, Shape, Sketch};
use crate::event::artifact::ScanKind;
use crate::event::check::CheckKind;

/// Ruff.
pub(super) const FORMAT: Format = Format {
    name: "ruff",
    about: "Ruff, findings as JSON or JSON lines",
    versions: "0.0.200 and later",
    kinds: &[Kind::Check],
    media_type: "application/json",
    recognise,
    secret_members: |_| &[],
    read,
};

/// A finding. `code` is null for syntax errors in some versions; `severity` is absent in older ones.
#[derive(Deserialize)]
struct Item {
    #[serde(default)]
    code: Option<String>,
    filename: String,
    message: String,
    #[serde(default)]
    severity: Option<String>,
    #[serde(default)]
    location: serde_json::Value,
}

fn recognise(sketch: &Sketch) -> bool {
    matches!(sketch.shape, Shape::Array | Shape::Object | Shape::Lines)
        && ["filename", "message", "code", "location", "end_location"].iter().all(|member| sketch.has(member))
}

fn read(document: &Document<'_>, given: &Given, details: &mut dyn Details) -> Result<Report, Rejection> {
    let shape = document.sketch()?.shape;
    let mut counted = Counted { findings: Some(0), ..Counted::default() };
    match shape {
        // Lines without a finding are no lines.
        Shape::Empty if given.exit_code == Some(0) => {}
        Shape::Empty if given.exit_code.is_some() => counted.findings = None,
        Shape::Empty => return Err(silent("Ruff")),
        shape => each(document, shape != Shape::Array, |item: Item| take(&item, &mut counted, details))?,
    }
    let conclusion = conclusion(counted.findings, given.exit_code);
    Ok(one("ruff", check(CheckKind::Lint, "ruff", counted, conclusion)))
}

fn take(item: &Item, counted: &mut Counted, details: &mut dyn Details) {
    add(&mut counted.findings, 1);
    match item.severity.as_deref() {
        Some("error" | "fatal") => add(&mut counted.errors, 1),
        Some("warning") => add(&mut counted.warnings, 1),
        _ => {}
    }
    if details.wanted() {
        let row = item.location.get("row").and_then(serde_json::Value::as_u64);
        details.finding(Finding {
            kind: ScanKind::Static,
            id: item.code.clone().unwrap_or_else(|| item.message.chars().take(100).collect()),
            aliases: Vec::new(),
            severity: item.severity.as_deref().map_or(Severity::Unknown, Severity::of),
            component: None,
            fixed_in: None,
            disclosed_at: None,
            place: Some(row.map_or_else(|| item.filename.clone(), |row| format!("{}:{row}", item.filename))),
            suppressed: false,
        });
    }
}
