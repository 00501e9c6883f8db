//! Bandit's JSON.

use serde::Deserialize;
use serde::de::MapAccess;

use super::fold::{Members, Object, Scalar, each, pass};
use super::scan::{self, Found, Tally};
use super::{
    Details, Document, Finding, Format, Given, Kind, Named, Rejection, Report, Severity, Shape, Sketch, value,
};
use crate::event::artifact::{ScanFinished, ScanKind, ScanScope, ScanStatus};

/// Bandit's reports.
pub(super) const FORMAT: Format = Format {
    name: "bandit",
    about: "Bandit: weaknesses in Python code",
    versions: "JSON of every version from 1.0",
    kinds: &[Kind::Scan],
    media_type: "application/json",
    recognise,
    // Passwords in the code stand in both: B105 to B107 quote what they found.
    secret_members: |_| &["code", "issue_text"],
    read,
};

fn recognise(sketch: &Sketch) -> bool {
    // The metrics of a large project hide the results behind them.
    sketch.shape == Shape::Object
        && sketch.has("generated_at")
        && sketch.has("metrics")
        && (sketch.has("metrics._totals") || sketch.text.contains("\"CONFIDENCE.") || sketch.has("results"))
}

fn read(document: &Document<'_>, given: &Given, details: &mut dyn Details) -> Result<Report, Rejection> {
    let mut reading = Reading {
        details,
        tally: Tally::new(ScanKind::Static),
        generated_at: Scalar::default(),
        skipped: 0,
        errors: 0,
    };
    document.json_seed(Object(&mut reading))?;
    let Reading { tally, generated_at, skipped, errors, .. } = reading;
    let failed = scan::failed(given, tally.found(), |code| code != 1);
    let status = match (failed, tally.listed) {
        (true, _) => ScanStatus::Failed,
        (false, false) => ScanStatus::NotRun,
        (false, true) if errors > 0 => ScanStatus::Partial,
        (false, true) => ScanStatus::Completed,
    };
    let fact = ScanFinished {
        scope: Some(ScanScope::Filesystem),
        suppressed: (skipped > 0).then(|| value::count("metrics._totals.nosec", skipped)).transpose()?,
        ..tally.finished("bandit", status)
    };
    let generated_at = value::time("generated_at", generated_at.text())?;
    Ok(Report { format: "bandit".to_owned(), generated_at, named: Named::default(), facts: vec![fact.into()] })
}

struct Reading<'a> {
    details: &'a mut dyn Details,
    tally: Tally,
    generated_at: Scalar,
    /// How many findings comments in the code declare harmless.
    skipped: u64,
    /// How many files could not be read.
    errors: u64,
}

#[derive(Deserialize)]
struct Weakness {
    test_id: String,
    filename: String,
    issue_severity: Option<String>,
    line_number: Option<u64>,
    col_offset: Option<i64>,
}

impl Members for Reading<'_> {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "errors" => {
                let mut n = 0_u64;
                map.next_value_seed(each(|_: serde::de::IgnoredAny| n += 1))?;
                self.errors += n;
            }
            "generated_at" => self.generated_at = map.next_value()?,
            "metrics" => drop(map.next_value_seed(Object(&mut Metrics(self)))?),
            "results" => {
                let listed = map.next_value_seed(each(|found| self.found(found)))?;
                self.tally.listed |= listed;
            }
            _ => return pass(map),
        }
        Ok(())
    }
}

impl Reading<'_> {
    fn found(&mut self, found: Weakness) {
        let severity = Severity::of(found.issue_severity.as_deref().unwrap_or_default());
        let place = format!("{}:{}", found.line_number.unwrap_or(0), found.col_offset.unwrap_or(0));
        self.tally.add(Found {
            key: &[&found.test_id, &found.filename, &place],
            severity: Some(severity),
            ..Found::default()
        });
        if self.details.wanted() {
            self.details.finding(Finding {
                kind: ScanKind::Static,
                id: found.test_id,
                aliases: Vec::new(),
                severity,
                component: None,
                fixed_in: None,
                disclosed_at: None,
                place: scan::place(&found.filename, found.line_number),
                suppressed: false,
            });
        }
    }
}

/// Of all the metrics, those of the whole.
struct Metrics<'a, 'd>(&'a mut Reading<'d>);

#[derive(Deserialize)]
struct Totals {
    nosec: Option<u64>,
    skipped_tests: Option<u64>,
}

impl Members for Metrics<'_, '_> {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        if name != "_totals" {
            return pass(map);
        }
        if let Some(totals) = map.next_value::<Option<Totals>>()? {
            self.0.skipped = totals.nosec.unwrap_or(0).saturating_add(totals.skipped_tests.unwrap_or(0));
        }
        Ok(())
    }
}
