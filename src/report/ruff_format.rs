//! `ruff format --check`, also with `--diff`: text for people, the only form there is.

use super::check::{Counted, check, conclusion, lines, number_before, one, silent, uncoloured};
use super::{Details, Document, Format, Given, Kind, Reason, Rejection, Report, Shape, Sketch};
use crate::event::check::{CheckKind, Conclusion};

/// Ruff's formatter.
pub(super) const FORMAT: Format = Format {
    name: "ruff-format",
    about: "ruff format --check, text",
    versions: "0.0.289 and later",
    kinds: &[Kind::Check],
    media_type: "text/plain",
    recognise,
    secret_members: |_| &[],
    read,
};

/// Words of the last line, after the number of files. It is absent where every file is broken.
const WOULD: &[&str] = &["file would be reformatted", "files would be reformatted"];
const DID: &[&str] = &["file reformatted", "files reformatted"];
const ALREADY: &[&str] =
    &["file already formatted", "files already formatted", "file left unchanged", "files left unchanged"];

/// What a line says.
enum Line {
    /// A file is not as it should be.
    Would,
    /// A file could not be read.
    Broken,
    /// The summary: how many files are not as they should be.
    Summary(u32),
}

impl Line {
    fn of(line: &str) -> Option<Self> {
        if line.starts_with("Would reformat: ") || line == "unformatted: File would be reformatted" {
            return Some(Self::Would);
        }
        // `error: Failed to parse a.py:1:2: ...` until 0.12, `invalid-syntax: ...` in annotated form after.
        let broken = ["error: Failed to ", "error: failed to ", "invalid-syntax: "];
        if broken.iter().any(|start| line.starts_with(start)) {
            return Some(Self::Broken);
        }
        let would = number_before(line, WOULD).or_else(|| number_before(line, DID));
        let already = number_before(line, ALREADY);
        let summary = line.starts_with(|first: char| first.is_ascii_digit()) && (would.is_some() || already.is_some());
        summary.then(|| Self::Summary(would.unwrap_or(0)))
    }
}

fn recognise(sketch: &Sketch) -> bool {
    let text = uncoloured(&sketch.text);
    let ours = |line: &str| match Line::of(line) {
        Some(Line::Would) => true,
        // Black's summary has `would be left unchanged` and a full stop.
        Some(Line::Summary(_)) => !line.ends_with('.'),
        Some(Line::Broken) | None => false,
    };
    sketch.shape == Shape::Text && text.lines().any(ours)
}

fn read(document: &Document<'_>, given: &Given, _details: &mut dyn Details) -> Result<Report, Rejection> {
    let (mut seen, mut broken, mut summary, mut said) = (0_u32, 0_u32, None, false);
    lines(document, |line| {
        said |= !line.trim().is_empty();
        match Line::of(line) {
            Some(Line::Would) => seen = seen.saturating_add(1),
            Some(Line::Broken) => broken = broken.saturating_add(1),
            Some(Line::Summary(n)) => summary = Some(n),
            None => {}
        }
        Ok(())
    })?;
    let list = summary.is_some() || seen > 0;
    match given.exit_code {
        None if !said => return Err(silent("ruff format")),
        None if !list && broken == 0 => {
            return Err(Rejection::new(Reason::Malformed, "no line of it is one that ruff format writes"));
        }
        _ => {}
    }
    let findings = if list { Some(summary.unwrap_or(0).max(seen)) } else { (given.exit_code == Some(0)).then_some(0) };
    let counted = Counted { findings, errors: (broken > 0).then_some(broken), warnings: None };
    let came_out = if broken > 0 { Conclusion::Error } else { conclusion(findings, given.exit_code) };
    let mut fact = check(CheckKind::Format, "ruff-format", counted, came_out);
    fact.tool = Some("ruff".to_owned());
    Ok(one("ruff-format", fact))
}
