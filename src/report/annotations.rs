//! Annotations for GitHub Actions: `::error file=...,line=1::text`, as `ruff check --output-format github` and others
//! write them, among whatever else a job writes.

use super::check::{Counted, add, check, conclusion, lines, one, silent, uncoloured};
use super::{Details, Document, Finding, Format, Given, Kind, Rejection, Report, Severity, Shape, Sketch};
use crate::event::artifact::ScanKind;
use crate::event::check::CheckKind;

/// Annotations.
pub(super) const FORMAT: Format = Format {
    name: "annotations",
    about: "annotations for GitHub Actions (ruff check --output-format github)",
    versions: "workflow commands of 2019 and later",
    kinds: &[Kind::Check],
    media_type: "text/plain",
    recognise,
    secret_members: |_| &[],
    read,
};

/// An annotation: how bad, and its properties and text.
struct Annotation<'a> {
    severity: Severity,
    properties: &'a str,
}

impl<'a> Annotation<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let (command, rest) = line.trim_start().strip_prefix("::")?.split_once(' ')?;
        let severity = match command {
            "error" => Severity::High,
            "warning" => Severity::Medium,
            "notice" => Severity::Info,
            _ => return None,
        };
        // Properties have their colons escaped.
        let (properties, _text) = rest.split_once("::")?;
        properties.contains("file=").then_some(Self { severity, properties })
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        let mut pairs = self.properties.split(',').filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// The rule, where the title is `tool (rule)`.
    fn rule(&self) -> Option<(&'a str, &'a str)> {
        let (tool, rule) = self.get("title")?.split_once(" (")?;
        Some((tool, rule.strip_suffix(')')?))
    }
}

fn recognise(sketch: &Sketch) -> bool {
    sketch.shape == Shape::Text && uncoloured(&sketch.text).lines().any(|line| Annotation::of(line).is_some())
}

fn read(document: &Document<'_>, given: &Given, details: &mut dyn Details) -> Result<Report, Rejection> {
    let mut counted = Counted::default();
    let mut of_ruff = 0_u32;
    lines(document, |line| {
        if let Some(annotation) = Annotation::of(line) {
            add(&mut counted.findings, 1);
            match annotation.severity {
                Severity::High => add(&mut counted.errors, 1),
                Severity::Medium => add(&mut counted.warnings, 1),
                _ => {}
            }
            of_ruff += u32::from(annotation.rule().is_some_and(|(tool, _)| tool.eq_ignore_ascii_case("ruff")));
            if details.wanted() {
                details.finding(finding(&annotation));
            }
        }
        Ok(())
    })?;
    if counted.findings.is_none() {
        match given.exit_code {
            None => return Err(silent("a linter")),
            Some(code) => counted.findings = (code == 0).then_some(0),
        }
    }
    let conclusion = conclusion(counted.findings, given.exit_code);
    let by_ruff = of_ruff > 0 && Some(of_ruff) == counted.findings;
    let kind = if by_ruff { CheckKind::Lint } else { CheckKind::Other };
    let mut fact = check(kind, if by_ruff { "ruff" } else { "annotations" }, counted, conclusion);
    fact.tool = by_ruff.then(|| "ruff".to_owned());
    Ok(one("annotations", fact))
}

fn finding(annotation: &Annotation<'_>) -> Finding {
    let file = annotation.get("file").unwrap_or_default();
    let id = annotation.rule().map(|(_, rule)| rule).or(annotation.get("title")).unwrap_or("annotation");
    Finding {
        kind: ScanKind::Static,
        id: id.chars().take(100).collect(),
        aliases: Vec::new(),
        severity: annotation.severity,
        component: None,
        fixed_in: None,
        disclosed_at: None,
        place: Some(annotation.get("line").map_or_else(|| file.to_owned(), |line| format!("{file}:{line}"))),
        suppressed: false,
    }
}
