//! JUnit's XML, which everybody writes and nobody specified: test runners, but linters and scanners as well.
//!
//! Cases are counted, and so are errors and failures outside of any. Totals that stand in a suite's attributes count where they
//! are greater than what is in it: a suite that was given up lists less than it tells of. What linters write in this form are
//! checks and no tests: mypy puts all errors into one case, Ruff and others make a case of each finding.

use super::check::{Counted, NAME_MAX, check, one};
use super::mypy::Output;
use super::xml::{Element, Part, walk};
use super::{Details, Document, Format, Given, Kind, Reason, Rejection, Report, Shape, Sketch, value};
use crate::event::check::{CheckKind, Conclusion, SuiteKind, TestsuiteFinished};
use crate::event::{Data, Timestamp, U64};

/// JUnit's XML.
pub(super) const FORMAT: Format = Format {
    name: "junit",
    about: "JUnit XML of any producer",
    versions: "any",
    kinds: &[Kind::Tests, Kind::Check, Kind::Validation],
    media_type: "application/xml",
    recognise,
    // Gitleaks puts its JSON into the text of failures.
    secret_members: |_| &["Match", "Secret"],
    read,
};

fn recognise(sketch: &Sketch) -> bool {
    sketch.shape == Shape::Xml && matches!(sketch.root.as_str(), "testsuites" | "testsuite")
}

/// What became of cases.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Cases.
    pub(super) tests: Option<u32>,
    /// Those that failed.
    pub(super) failures: Option<u32>,
    /// Those that could not be run.
    pub(super) errors: Option<u32>,
    /// Those that were left out.
    pub(super) skipped: Option<u32>,
    /// Those that passed when tried again.
    pub(super) flaky: Option<u32>,
}

/// How tests came out. `pytest` says by codes from 2 that it could not do its work; of others only 0 is understood, as some
/// give the number of failures.
pub(super) fn conclusion(counts: &Counts, exit_code: Option<i32>, pytest: bool) -> Conclusion {
    let failed = counts.failures.unwrap_or(0) > 0 || counts.errors.unwrap_or(0) > 0;
    match exit_code {
        Some(1) if pytest => Conclusion::Failure,
        Some(code) if code != 0 && (pytest || !failed) => Conclusion::Error,
        _ if failed => Conclusion::Failure,
        _ => match (counts.tests, counts.skipped) {
            // Nothing was tried, so nothing speaks for the commit.
            (Some(0), _) => Conclusion::Neutral,
            (Some(tests), Some(skipped)) if tests == skipped => Conclusion::Skipped,
            _ => Conclusion::Success,
        },
    }
}

/// A suite that is done.
pub(super) fn testsuite(
    suite: &str,
    tool: Option<&str>,
    counts: &Counts,
    conclusion: Conclusion,
    millis: Option<u64>,
) -> TestsuiteFinished {
    TestsuiteFinished {
        artifact: None,
        attempt: None,
        branch: None,
        change: None,
        commit: None,
        conclusion,
        coverage: None,
        duration_ms: millis.map(U64),
        errors: counts.errors,
        exit_code: None,
        failures: counts.failures,
        flaky: counts.flaky,
        // Which sort of tests they are does not stand in a report.
        kind: SuiteKind::Other,
        report: None,
        run: None,
        skipped: counts.skipped,
        started_at: None,
        suite: value::cut(suite, NAME_MAX),
        tests: counts.tests,
        tool: tool.map(str::to_owned),
        tool_version: None,
        url: None,
    }
}

/// Milliseconds of seconds as they are written: `0.889`, `4e-05`, `1,234.5`. None for `1,234`, which is a thousand to some
/// and one to others.
pub(super) fn millis(seconds: &str) -> Option<u64> {
    let plain = match (seconds.rfind(','), seconds.find('.')) {
        (Some(comma), Some(point)) if comma < point => seconds.replace(',', ""),
        (Some(_), _) => return None,
        (None, _) => seconds.to_owned(),
    };
    let duration = std::time::Duration::try_from_secs_f64(plain.parse().ok()?).ok()?;
    u64::try_from(duration.as_micros().saturating_add(500) / 1000).ok()
}

/// Sums of cases.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    tests: u64,
    failures: u64,
    errors: u64,
    skipped: u64,
}

impl Sums {
    fn add(&mut self, more: Self) {
        self.tests = self.tests.saturating_add(more.tests);
        self.failures = self.failures.saturating_add(more.failures);
        self.errors = self.errors.saturating_add(more.errors);
        self.skipped = self.skipped.saturating_add(more.skipped);
    }

    /// What was counted, or the totals where they are greater. `ESLint` totals call errors what its cases call failures, so these two
    /// are taken from the same.
    fn or_greater(self, totals: Self) -> Self {
        let bad = |sums: Self| sums.failures.saturating_add(sums.errors);
        let worse = if bad(totals) > bad(self) { totals } else { self };
        Self {
            tests: self.tests.max(totals.tests),
            failures: worse.failures,
            errors: worse.errors,
            skipped: self.skipped.max(totals.skipped),
        }
    }
}

/// A suite whose end has not come, or the element around suites.
struct Suite {
    element: Element,
    /// Which one it is, from 0.
    n: u32,
    /// Whether it has cases or suites in it.
    parts: bool,
    /// What was counted in it.
    sums: Sums,
    /// Sum of the times of what is in it; none once one of them is not known.
    inner: Option<u64>,
}

impl Suite {
    /// What its attributes say. A total that is no number does no harm where there is something to count.
    fn totals(&self) -> Result<Sums, Rejection> {
        let field = |name: &str| match self.element.name.as_str() {
            "testsuite" => format!("testsuite[{}].{name}", self.n),
            _ => format!("testsuites.{name}"),
        };
        let total = |names: &[&str]| -> Result<u64, Rejection> {
            let found = names.iter().find_map(|name| Some((*name, self.element.get(name)?)));
            let Some((name, text)) = found else { return Ok(0) };
            match text.replace(',', "").parse() {
                Ok(n) => Ok(n),
                Err(_why) if self.parts => Ok(0),
                Err(_why) => {
                    let what = format!("{text:?} is no number of cases");
                    Err(Rejection::new(Reason::BadNumber, what).at(field(name)))
                }
            }
        };
        Ok(Sums {
            tests: total(&["tests"])?,
            failures: total(&["failures"])?,
            errors: total(&["errors"])?,
            skipped: total(&["skipped", "skips", "disabled"])?,
        })
    }
}

/// A case whose end has not come.
#[derive(Default)]
struct Case {
    /// Hash of its class and name.
    key: u128,
    failed: bool,
    error: bool,
    skipped: bool,
    flaky: bool,
}

#[derive(Default)]
struct Reader {
    suites: Vec<Suite>,
    case: Option<Case>,
    /// The case before, where it failed: pytest reports a test that failed, and could not be torn down either, twice in
    /// a row.
    failed: Option<u128>,
    /// Of the suites that are over.
    sums: Sums,
    flaky: u64,
    n_suites: u32,
    /// Names of the outermost element and of the first suite.
    outer: Option<String>,
    first: Option<String>,
    package: Option<String>,
    /// Whether cases are named by a severity: `[HIGH] CVE-2026-0001`.
    rated: bool,
    outer_millis: Option<u64>,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    /// Whether a suite says a time without a zone, or does not say how long it took.
    unclear: bool,
    /// What mypy says in a failure: its lines, and the one whose end has not come.
    mypy: Output,
    line: String,
    in_failure: bool,
}

/// How Trivy's template begins the names of cases.
const SEVERITIES: &[&str] = &["[CRITICAL] ", "[HIGH] ", "[MEDIUM] ", "[LOW] ", "[UNKNOWN] "];

/// Longest line within a failure that is put together.
const LINE_BYTES_MAX: usize = 16 << 10;

impl Reader {
    fn take(&mut self, part: Part<'_>) -> Result<(), Rejection> {
        match part {
            Part::Open(element) => self.open(element),
            Part::Close(name) => self.close(name),
            Part::Text(text) => {
                if self.in_failure && self.is_mypys() {
                    self.text(text);
                }
                Ok(())
            }
        }
    }

    fn is_mypys(&self) -> bool {
        self.first.as_deref() == Some("mypy")
    }

    fn open(&mut self, element: &Element) -> Result<(), Rejection> {
        if self.suites.is_empty() && !matches!(element.name.as_str(), "testsuites" | "testsuite") {
            let what = format!("the outermost element is {:?}, not testsuites or testsuite", element.name);
            return Err(Rejection::new(Reason::Schema, what));
        }
        match element.name.as_str() {
            "testsuites" | "testsuite" => self.open_suite(element),
            "testcase" => self.open_case(element),
            name => {
                if let Some(case) = &mut self.case {
                    match name {
                        "failure" => case.failed = true,
                        "error" => case.error = true,
                        "skipped" => case.skipped = true,
                        // Maven's: failed at first, passed when tried again.
                        "flakyFailure" | "flakyError" => case.flaky = true,
                        _ => {}
                    }
                    self.in_failure |= matches!(name, "failure" | "error");
                } else if let Some(suite) = self.suites.last_mut() {
                    // What befell the suite itself: its module could not be loaded.
                    suite.sums.failures += u64::from(name == "failure");
                    suite.sums.errors += u64::from(name == "error");
                }
            }
        }
        Ok(())
    }

    fn open_suite(&mut self, element: &Element) {
        if let Some(outer) = self.suites.last_mut() {
            outer.parts = true;
        }
        let name = element.get("name").map(|name| value::cut(name, NAME_MAX));
        if self.suites.is_empty() {
            self.outer.clone_from(&name);
        }
        if element.name == "testsuite" {
            self.first = self.first.take().or(name);
            self.package =
                self.package.take().or_else(|| element.get("package").map(|name| value::cut(name, NAME_MAX)));
            self.n_suites = self.n_suites.saturating_add(1);
        }
        self.times(element);
        let n = self.n_suites.saturating_sub(1);
        self.suites.push(Suite { element: element.clone(), n, parts: false, sums: Sums::default(), inner: Some(0) });
    }

    /// Notes when a suite began and ended.
    fn times(&mut self, element: &Element) {
        let Some(text) = element.get("timestamp") else { return };
        let took = element.get("time").and_then(millis);
        let Some(at) = value::zoned_time(text) else {
            self.unclear = true;
            return;
        };
        let took_micros = took.and_then(|took| i64::try_from(took.checked_mul(1000)?).ok());
        let end = took_micros.and_then(|took| Timestamp::from_micros(at.micros().checked_add(took)?).ok());
        self.started_at = Some(self.started_at.map_or(at, |before| before.min(at)));
        match end {
            Some(end) => self.ended_at = Some(self.ended_at.map_or(end, |before| before.max(end))),
            None => self.unclear = true,
        }
    }

    fn open_case(&mut self, element: &Element) {
        let suite = self.suites.last_mut();
        if let Some(suite) = suite {
            suite.parts = true;
            let took = element.get("time").and_then(millis);
            suite.inner = suite.inner.zip(took).and_then(|(sum, took)| sum.checked_add(took));
        }
        let name = element.get("name").unwrap_or_default();
        self.rated |= SEVERITIES.iter().any(|severity| name.starts_with(severity));
        let named = format!("{}\n{}", element.get("classname").unwrap_or(""), element.get("name").unwrap_or(""));
        let hash = blake3::hash(named.as_bytes());
        let key = hash.as_bytes().first_chunk().map_or(0, |bytes| u128::from_be_bytes(*bytes));
        // GoogleTest and CTest tell by an attribute what was not run.
        let status = [element.get("status"), element.get("result")];
        let left_out = ["notrun", "disabled", "skipped", "suppressed", "ignored"];
        let skipped = status.iter().flatten().any(|status| left_out.contains(&status.to_ascii_lowercase().as_str()));
        self.case = Some(Case { key, skipped, ..Case::default() });
    }

    fn close(&mut self, name: &str) -> Result<(), Rejection> {
        match name {
            "testcase" => self.close_case(),
            "testsuite" | "testsuites" => self.close_suite()?,
            "failure" | "error" if self.in_failure => {
                self.in_failure = false;
                self.end_line();
            }
            _ => {}
        }
        Ok(())
    }

    fn close_case(&mut self) {
        let Some(case) = self.case.take() else { return };
        let bad = case.failed || case.error;
        let again = bad && self.failed == Some(case.key) && self.is_pytests();
        self.failed = bad.then_some(case.key);
        self.count(Sums {
            tests: u64::from(!again),
            failures: u64::from(case.failed),
            errors: u64::from(case.error && !case.failed),
            skipped: u64::from(case.skipped && !bad),
        });
        self.flaky += u64::from(case.flaky && !bad);
    }

    /// Counts for the innermost suite, or for the whole once all are over.
    fn count(&mut self, sums: Sums) {
        self.suites.last_mut().map_or(&mut self.sums, |suite| &mut suite.sums).add(sums);
    }

    fn close_suite(&mut self) -> Result<(), Rejection> {
        let Some(suite) = self.suites.pop() else { return Ok(()) };
        let mut totals = suite.totals()?;
        if suite.parts && self.is_pytests() {
            // It counts a test that passed and could not be torn down twice, and lists it once.
            totals.tests = 0;
        }
        self.count(suite.sums.or_greater(totals));
        let took = suite.element.get("time").and_then(millis).or(suite.inner.filter(|_| suite.parts));
        match self.suites.last_mut() {
            Some(outer) => outer.inner = outer.inner.zip(took).and_then(|(sum, took)| sum.checked_add(took)),
            None => self.outer_millis = took,
        }
        Ok(())
    }

    fn is_pytests(&self) -> bool {
        self.outer.as_deref() == Some("pytest tests") || self.first.as_deref() == Some("pytest")
    }

    fn text(&mut self, text: &str) {
        for piece in text.split_inclusive('\n') {
            if self.line.len() < LINE_BYTES_MAX {
                self.line.push_str(piece);
            }
            if piece.ends_with('\n') {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        self.mypy.line(line.trim_end_matches(['\n', '\r']));
    }

    /// The linter or scanner it is from.
    fn checker(&self) -> Option<(CheckKind, &'static str)> {
        match (self.outer.as_deref(), self.first.as_deref(), self.package.as_deref()) {
            (_, Some("mypy"), _) => Some((CheckKind::Type, "mypy")),
            (Some("ruff"), ..) | (_, _, Some("org.ruff")) => Some((CheckKind::Lint, "ruff")),
            (_, _, Some("org.eslint")) => Some((CheckKind::Lint, "eslint")),
            (Some("trivy"), ..) => Some((CheckKind::Other, "trivy")),
            // Before 0.45 its template did not name it.
            (None, ..) if self.rated => Some((CheckKind::Other, "trivy")),
            (_, Some("gitleaks"), _) => Some((CheckKind::Other, "gitleaks")),
            (_, Some("bandit"), _) => Some((CheckKind::Other, "bandit")),
            (Some("semgrep results"), ..) => Some((CheckKind::Other, "semgrep")),
            _ => None,
        }
    }

    /// The test runner it is from.
    fn runner(&self) -> Option<&'static str> {
        match self.outer.as_deref() {
            _ if self.is_pytests() => Some("pytest"),
            Some("nextest-run") => Some("cargo-nextest"),
            Some("jest tests") => Some("jest"),
            Some("vitest tests") => Some("vitest"),
            Some("Mocha Tests") => Some("mocha"),
            _ => None,
        }
    }

    fn name(&self) -> &str {
        // Versions call the whole differently.
        if self.is_pytests() {
            return "pytest";
        }
        let only = self.first.as_deref().filter(|_| self.n_suites == 1);
        self.outer.as_deref().or(only).unwrap_or("tests")
    }
}

fn read(document: &Document<'_>, given: &Given, _details: &mut dyn Details) -> Result<Report, Rejection> {
    let mut reader = Reader::default();
    walk(document, &mut |part| reader.take(part))?;
    let count = |field: &str, n: u64| value::count(field, n);
    let counts = Counts {
        tests: Some(count("tests", reader.sums.tests)?),
        failures: Some(count("failures", reader.sums.failures)?),
        errors: Some(count("errors", reader.sums.errors)?),
        skipped: Some(count("skipped", reader.sums.skipped)?),
        flaky: Some(count("flaky", reader.flaky)?).filter(|n| *n > 0),
    };
    let fact: Data = match reader.checker() {
        Some((CheckKind::Type, _)) => {
            // `mypy produced errors` is its word for having failed itself; where it has no word at all, all is well.
            let said = i32::from(reader.sums.failures > 0) + 2 * i32::from(reader.sums.errors > 0);
            reader.mypy.check(Some(said.max(given.exit_code.unwrap_or(0)))).into()
        }
        Some((kind, tool)) => {
            let findings = counts.failures.map(|n| n.saturating_add(counts.errors.unwrap_or(0)));
            let counted = Counted { findings, ..Counted::default() };
            check(kind, tool, counted, super::check::conclusion(findings, given.exit_code)).into()
        }
        None => {
            let came_out = conclusion(&counts, given.exit_code, reader.is_pytests());
            let mut fact = testsuite(reader.name(), reader.runner(), &counts, came_out, reader.outer_millis);
            fact.started_at = reader.started_at.filter(|_| !reader.unclear);
            fact.into()
        }
    };
    let mut report = one("junit", fact);
    report.generated_at = reader.ended_at.filter(|_| !reader.unclear);
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written_and_not_guessed() {
        for (text, expected) in [
            ("0.889", Some(889)),
            ("1,234.5", Some(1_234_500)),
            ("1,234,567.891", Some(1_234_567_891)),
            ("4e-05", Some(0)),
            ("0.0005", Some(1)),
            ("12", Some(12_000)),
            ("1,234", None),
            ("1.234,5", None),
            ("-1", None),
            ("NaN", None),
            ("1e300", None),
            ("", None),
        ] {
            assert_eq!(millis(text), expected, "{text}");
        }
    }
}
