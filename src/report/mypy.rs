//! mypy: `--output json` (one object a line, among plain text about its configuration), or text for people. It exits with
//! 1 on errors in types, and with 2 when it could not do its work.

use serde::Deserialize;

use super::check::{Counted, add, check, conclusion, lines, one, silent, uncoloured};
use super::{Details, Document, Finding, Format, Given, Kind, Reason, Rejection, Report, Severity, Shape, Sketch};
use crate::event::artifact::ScanKind;
use crate::event::check::{CheckFinished, CheckKind, Conclusion};

/// mypy.
pub(super) const FORMAT: Format = Format {
    name: "mypy",
    about: "mypy, JSON lines or text",
    versions: "text of any, JSON of 1.11 and later",
    kinds: &[Kind::Check],
    media_type: "text/plain",
    recognise,
    secret_members: |_| &[],
    read,
};

#[derive(Deserialize)]
struct Message {
    file: String,
    #[serde(default)]
    line: i64,
    #[serde(default)]
    code: Option<String>,
    severity: String,
}

/// What mypy says, line by line.
#[derive(Debug, Default)]
pub(super) struct Output {
    errors: u32,
    warnings: u32,
    notes: u32,
    /// Errors as the last line has them.
    total: Option<u32>,
    /// Whether it gave up: what was not looked at may be wrong as well.
    gave_up: bool,
    json: bool,
    said: bool,
}

impl Output {
    /// Takes a line.
    pub(super) fn line(&mut self, line: &str) {
        self.said |= !line.trim().is_empty();
        self.gave_up |= line.contains("INTERNAL ERROR") || line.starts_with("Traceback (most recent call last)");
        self.gave_up |= line.contains("(errors prevented further checking)") || line.ends_with("[syntax]");
        if line.starts_with("Success: no issues found in ") {
            self.total = Some(0);
        } else if let Some(rest) = line.strip_prefix("Found ") {
            let number = rest.split_once(" error").and_then(|(number, _)| number.parse().ok());
            self.total = number.or(self.total);
        } else {
            match severity_of(line) {
                Some("error") => self.errors = self.errors.saturating_add(1),
                Some("warning") => self.warnings = self.warnings.saturating_add(1),
                Some("note") => self.notes = self.notes.saturating_add(1),
                _ => {}
            }
        }
    }

    fn message(&mut self, message: &Message) {
        self.json = true;
        self.said = true;
        // What cannot be parsed ends the run, and other files are not looked at.
        self.gave_up |= message.code.as_deref() == Some("syntax");
        match message.severity.as_str() {
            "note" => self.notes = self.notes.saturating_add(1),
            "warning" => self.warnings = self.warnings.saturating_add(1),
            _ => self.errors = self.errors.saturating_add(1),
        }
    }

    fn is_mypys(&self) -> bool {
        self.json || self.total.is_some() || self.errors + self.warnings + self.notes > 0
    }

    /// The check that it makes. Notes explain and are no findings.
    pub(super) fn check(&self, exit_code: Option<i32>) -> CheckFinished {
        // A message whose place was wrapped shows only in the total.
        let errors = self.total.unwrap_or(0).max(self.errors);
        let list = self.is_mypys() || exit_code == Some(0);
        let mut counted = Counted::default();
        if list {
            add(&mut counted.findings, errors.saturating_add(self.warnings));
            add(&mut counted.errors, errors);
        }
        if self.warnings > 0 {
            add(&mut counted.warnings, self.warnings);
        }
        let came_out = if self.gave_up { Conclusion::Error } else { conclusion(counted.findings, exit_code) };
        check(CheckKind::Type, "mypy", counted, came_out)
    }
}

/// The severity in `path.py:12: error: text`, `path.py:12:3: note: text` or `path.py: error: text`.
fn severity_of(line: &str) -> Option<&str> {
    if line.starts_with([' ', '\t']) {
        return None;
    }
    let at = ["error", "warning", "note"].iter().filter_map(|word| line.find(&format!(": {word}: "))).min()?;
    let (place, rest) = line.split_at_checked(at)?;
    let path = place.trim_end_matches(|c: char| c.is_ascii_digit() || c == ':');
    let named = [".py", ".pyi", ".ipynb", ".toml", ".cfg", ".ini", "<string>", "mypy"];
    let known = named.iter().any(|end| path.ends_with(end));
    // Files without an extension are known by their line.
    let numbered = path.len() < place.len();
    (known || numbered).then(|| rest.trim_start_matches(": ").split(':').next())?
}

fn recognise(sketch: &Sketch) -> bool {
    let members = ["file", "line", "column", "message", "severity"];
    if matches!(sketch.shape, Shape::Object | Shape::Lines) {
        return members.iter().all(|member| sketch.has(member)) && (sketch.has("code") || sketch.has("hint"));
    }
    if sketch.shape != Shape::Text {
        return false;
    }
    let text = uncoloured(&sketch.text);
    let (mut placed, mut coded) = (false, false);
    text.lines().any(|line| {
        placed |= severity_of(line).is_some();
        coded |= ends_with_code(line);
        let found = line.starts_with("Found ") && (line.contains(" source file") || line.contains("(errors prevented"));
        found
            || line.starts_with("Success: no issues found in ")
            || (line.starts_with("{\"file\": ") && line.contains("\"severity\": "))
            || (placed && coded)
    })
}

/// Whether a line ends with an error code: `[no-untyped-def]`. Compilers' begin with a dash.
fn ends_with_code(line: &str) -> bool {
    let code = line.trim_end().strip_suffix(']').and_then(|rest| rest.rsplit_once('[')).map(|(_, code)| code);
    code.is_some_and(|code| {
        code.starts_with(|c: char| c.is_ascii_lowercase())
            && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
    })
}

fn read(document: &Document<'_>, given: &Given, details: &mut dyn Details) -> Result<Report, Rejection> {
    let mut output = Output::default();
    let mut n = 0_u64;
    lines(document, |line| {
        n += 1;
        if !line.starts_with("{\"") {
            output.line(line);
            return Ok(());
        }
        let parsed = serde_json::from_str(line);
        let message: Message = parsed.map_err(|error| Rejection::json(&error).at(format!("[{}]", n - 1)))?;
        output.message(&message);
        if details.wanted() && message.severity != "note" {
            details.finding(finding(message));
        }
        Ok(())
    })?;
    match given.exit_code {
        None if !output.said => return Err(silent("mypy")),
        None if !output.is_mypys() && !output.gave_up => {
            return Err(Rejection::new(Reason::Malformed, "no line of it is one that mypy writes"));
        }
        _ => {}
    }
    Ok(one(if output.json { "mypy-json" } else { "mypy" }, output.check(given.exit_code)))
}

fn finding(message: Message) -> Finding {
    Finding {
        kind: ScanKind::Static,
        id: message.code.unwrap_or_else(|| "mypy".to_owned()),
        aliases: Vec::new(),
        severity: Severity::of(&message.severity),
        component: None,
        fixed_in: None,
        disclosed_at: None,
        place: Some(if message.line > 0 { format!("{}:{}", message.file, message.line) } else { message.file }),
        suppressed: false,
    }
}
