//! coverage.py's JSON report.

use serde::Deserialize;

use super::coverage::{Reached, report};
use super::{Details, Document, Format, Given, Kind, Reason, Rejection, Report, Shape, Sketch, value};
use crate::event::Data;

/// coverage.py's JSON.
pub(super) const FORMAT: Format = Format {
    name: "coverage-py",
    about: "coverage.py, JSON report",
    versions: "5.0 and later (formats 1 to 3)",
    kinds: &[Kind::Coverage, Kind::Check],
    media_type: "application/json",
    recognise,
    secret_members: |_| &[],
    read,
};

/// The newest form that is known.
const FORMAT_MAX: u64 = 3;

/// The files, of which there may be many, are passed over: the totals are counts.
#[derive(Deserialize)]
struct Whole {
    meta: Meta,
    totals: Totals,
}

/// `timestamp` has no zone and so is no instant.
#[derive(Deserialize)]
struct Meta {
    #[serde(default)]
    format: Option<u64>,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    branch_coverage: bool,
}

#[derive(Deserialize)]
struct Totals {
    covered_lines: u64,
    num_statements: u64,
    #[serde(default)]
    covered_branches: Option<u64>,
    #[serde(default)]
    num_branches: Option<u64>,
}

fn recognise(sketch: &Sketch) -> bool {
    // Totals stand at the end, beyond what is looked at.
    sketch.shape == Shape::Object && sketch.has("meta.branch_coverage") && sketch.has("meta.version")
}

fn read(document: &Document<'_>, given: &Given, _details: &mut dyn Details) -> Result<Report, Rejection> {
    let whole: Whole = document.json()?;
    if let Some(format) = whole.meta.format.filter(|format| *format > FORMAT_MAX) {
        let what = format!("{format}: known are formats up to {FORMAT_MAX}");
        return Err(Rejection::new(Reason::UnsupportedVersion, what).at("meta.format"));
    }
    let totals = &whole.totals;
    let branches = totals.covered_branches.zip(totals.num_branches).filter(|_| whole.meta.branch_coverage);
    let reached = Reached { lines: (totals.covered_lines, totals.num_statements), branches };
    let format = whole.meta.format.map_or_else(|| "coverage-py".to_owned(), |format| format!("coverage-py/{format}"));
    let mut report = report(format, Some("coverage.py"), reached, "totals", given)?;
    if let Some(Data::CheckFinished(fact)) = report.facts.first_mut() {
        fact.tool_version = whole.meta.version.as_deref().map(|version| value::cut(version, 100));
    }
    Ok(report)
}
