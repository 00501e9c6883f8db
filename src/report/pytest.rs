//! What pytest prints: its last line has the counts. It exits with 1 when tests failed, with 2 when it was interrupted, 3
//! and 4 when it failed itself, and 5 when there was no test.

use super::check::{lines, one, silent, uncoloured};
use super::junit::{Counts, conclusion, testsuite};
use super::{Details, Document, Format, Given, Kind, Reason, Rejection, Report, Shape, Sketch};
use crate::event::check::Conclusion;

/// pytest's terminal text.
pub(super) const FORMAT: Format = Format {
    name: "pytest",
    about: "pytest, what it prints (junit is better)",
    versions: "3 and later",
    kinds: &[Kind::Tests],
    media_type: "text/plain",
    recognise,
    secret_members: |_| &[],
    read,
};

/// The last line.
#[derive(Debug, Default, PartialEq, Eq)]
struct Summary {
    passed: u32,
    failed: u32,
    skipped: u32,
    errors: u32,
    millis: Option<u64>,
}

impl Summary {
    /// `== 1 failed, 5 passed, 3 errors in 0.71s ==`, or without the rules beside it; `no tests ran in 0.01s`.
    fn of(line: &str) -> Option<Self> {
        let line = line.trim().trim_matches('=').trim();
        let (counts, took) = line.rsplit_once(" in ")?;
        let took = took.split(' ').next()?;
        // Before pytest 6 it was `0.12 seconds`.
        let seconds = took.strip_suffix('s').unwrap_or(took);
        let mut summary = Self { millis: super::junit::millis(seconds), ..Self::default() };
        summary.millis?;
        if counts == "no tests ran" {
            return Some(summary);
        }
        for part in counts.split(", ") {
            let (number, word) = part.split_once(' ')?;
            let number: u32 = number.parse().ok()?;
            let slot = match word {
                "passed" | "xpassed" => &mut summary.passed,
                "failed" => &mut summary.failed,
                "skipped" | "xfailed" => &mut summary.skipped,
                "error" | "errors" => &mut summary.errors,
                "deselected" | "warning" | "warnings" | "rerun" => continue,
                _ => return None,
            };
            *slot = slot.saturating_add(number);
        }
        Some(summary)
    }
}

/// `platform linux -- Python 3.11.7, pytest-9.2.0, pluggy-1.6.0`
fn version(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("platform ")?;
    rest.split(", ").find_map(|part| part.strip_prefix("pytest-")).filter(|version| version.len() <= 100)
}

fn recognise(sketch: &Sketch) -> bool {
    let text = uncoloured(&sketch.text);
    let begins = |line: &str| line.trim_matches('=').trim() == "test session starts" && line.starts_with('=');
    sketch.shape == Shape::Text && text.lines().any(|line| begins(line) || Summary::of(line).is_some())
}

fn read(document: &Document<'_>, given: &Given, _details: &mut dyn Details) -> Result<Report, Rejection> {
    let (mut summary, mut tool_version, mut interrupted, mut said) = (None, None, false, false);
    lines(document, |line| {
        said |= !line.trim().is_empty();
        interrupted |= line.trim_matches(['!', ' ']).starts_with("Interrupted: ");
        tool_version = tool_version.take().or_else(|| version(line).map(str::to_owned));
        summary = Summary::of(line).or(summary.take());
        Ok(())
    })?;
    let mut counts = Counts::default();
    let mut millis = None;
    match (&summary, given.exit_code) {
        (Some(summary), _) => {
            // A test that passed and could not be torn down shows as both, so with errors the sum is not known.
            let sum = summary.passed.saturating_add(summary.failed).saturating_add(summary.skipped);
            counts = Counts {
                tests: (summary.errors == 0).then_some(sum),
                failures: Some(summary.failed),
                errors: Some(summary.errors),
                skipped: Some(summary.skipped),
                flaky: None,
            };
            millis = summary.millis;
        }
        (None, Some(_)) => {}
        (None, None) if !said => return Err(silent("pytest")),
        (None, None) => return Err(Rejection::new(Reason::Malformed, "the last line, with the counts, is missing")),
    }
    let came_out = if interrupted { Conclusion::Error } else { conclusion(&counts, given.exit_code, true) };
    let mut fact = testsuite("pytest", Some("pytest"), &counts, came_out, millis);
    fact.tool_version = tool_version;
    Ok(one("pytest", fact))
}
