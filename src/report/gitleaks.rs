//! Gitleaks' JSON: a list with names in capitals (version 8) or small letters (version 7); `null` or `[]` where nothing was found.
//!
//! The values are the secrets themselves, unless it ran with `--redact`. The commit of a finding is the one that brought it in,
//! not the one that was scanned.

use serde::Deserialize;

use super::fold::each;
use super::scan::{self, Found, Tally};
use super::{
    Details, Document, Finding, Format, Given, Kind, Named, Reason, Rejection, Report, Severity, Shape, Sketch,
};
use crate::event::artifact::{ScanFinished, ScanKind, ScanScope, ScanStatus};

/// Gitleaks' reports.
pub(super) const FORMAT: Format = Format {
    name: "gitleaks",
    about: "Gitleaks: secrets in a repository",
    versions: "JSON of versions 7 and 8; an empty one only where the format is named",
    kinds: &[Kind::Scan],
    media_type: "application/json",
    recognise,
    secret_members: |_| &["Secret", "Match", "Line", "offender", "line"],
    read,
};

fn recognise(sketch: &Sketch) -> bool {
    // `null` and `[]` may be anybody's.
    sketch.shape == Shape::Array && (is_8(sketch) || is_7(sketch))
}

fn is_8(sketch: &Sketch) -> bool {
    sketch.has("RuleID") && (sketch.has("Secret") || sketch.has("Match") || sketch.has("Fingerprint"))
}

fn is_7(sketch: &Sketch) -> bool {
    sketch.has("rule") && (sketch.has("offender") || sketch.has("leakURL"))
}

#[derive(Deserialize)]
struct Leak {
    #[serde(rename = "RuleID")]
    rule_id: Option<String>,
    rule: Option<String>,
    #[serde(rename = "File", alias = "file")]
    file: Option<String>,
    #[serde(rename = "Commit", alias = "commit")]
    commit: Option<String>,
    #[serde(rename = "StartLine", alias = "lineNumber")]
    line: Option<i64>,
    #[serde(rename = "StartColumn")]
    column: Option<i64>,
}

fn read(document: &Document<'_>, given: &Given, details: &mut dyn Details) -> Result<Report, Rejection> {
    let sketch = document.sketch()?;
    if sketch.shape == Shape::Object {
        return Err(Rejection::new(Reason::BadField, "an object, and Gitleaks writes a list"));
    }
    let mut tally = Tally::new(ScanKind::Secret);
    tally.rates = false;
    let (mut n, mut unnamed, mut in_history) = (0_u64, None, false);
    document.json_seed(each(|leak: Leak| {
        let rule = leak.rule_id.or(leak.rule).unwrap_or_default();
        if rule.is_empty() && unnamed.is_none() {
            unnamed = Some(n);
        }
        n += 1;
        let (file, commit) = (leak.file.unwrap_or_default(), leak.commit.unwrap_or_default());
        in_history |= !commit.is_empty();
        let place = format!("{}:{}", leak.line.unwrap_or(0), leak.column.unwrap_or(0));
        tally.add(Found { key: &[&rule, &file, &commit, &place], ..Found::default() });
        if details.wanted() {
            details.finding(Finding {
                kind: ScanKind::Secret,
                id: rule,
                aliases: Vec::new(),
                severity: Severity::Unknown,
                component: None,
                fixed_in: None,
                disclosed_at: None,
                place: scan::place(&file, leak.line.and_then(|line| u64::try_from(line).ok())),
                suppressed: false,
            });
        }
    }))?;
    if let Some(n) = unnamed {
        return Err(Rejection::missing("RuleID").at(format!("[{n}]")));
    }
    // Nothing found is a list without anything in it, or no list.
    tally.listed = true;
    let status = match scan::failed(given, tally.found(), scan::no_code) {
        true => ScanStatus::Failed,
        false => ScanStatus::Completed,
    };
    let fact =
        ScanFinished { scope: in_history.then_some(ScanScope::Repository), ..tally.finished("gitleaks", status) };
    let format = match (is_8(&sketch), is_7(&sketch)) {
        (true, _) => "gitleaks/8",
        (false, true) => "gitleaks/7",
        (false, false) => "gitleaks",
    };
    Ok(Report { format: format.to_owned(), generated_at: None, named: Named::default(), facts: vec![fact.into()] })
}
