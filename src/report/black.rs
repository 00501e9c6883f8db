//! Black: text for people on its standard error (`--check`), or a difference on its standard output (`--diff`). It exits
//! with 1 when files would change and with 123 when it failed.

use super::check::{Counted, check, conclusion, lines, number_before, one, silent, uncoloured};
use super::{Details, Document, Format, Given, Kind, Reason, Rejection, Report, Shape, Sketch};
use crate::event::check::{CheckKind, Conclusion};

/// Black.
pub(super) const FORMAT: Format = Format {
    name: "black",
    about: "Black, text of --check or --diff",
    versions: "18 and later",
    kinds: &[Kind::Check],
    media_type: "text/plain",
    recognise,
    secret_members: |_| &[],
    read,
};

const WOULD: &[&str] = &["file would be reformatted", "files would be reformatted"];
const DID: &[&str] = &["file reformatted", "files reformatted"];
const UNCHANGED: &[&str] =
    &["file would be left unchanged", "files would be left unchanged", "file left unchanged", "files left unchanged"];
const FAILED: &[&str] = &[
    "file would fail to reformat",
    "files would fail to reformat",
    "file failed to reformat",
    "files failed to reformat",
];

/// What Black says of everything, in one line.
#[derive(Clone, Copy)]
struct Summary {
    changed: u32,
    failed: u32,
}

impl Summary {
    /// `1 file would be reformatted, 2 files would be left unchanged, 1 file would fail to reformat.`
    fn of(line: &str) -> Option<Self> {
        let said = line.strip_suffix('.')?;
        let changed = number_before(said, WOULD).or_else(|| number_before(said, DID));
        let failed = number_before(said, FAILED);
        let any = changed.or(failed).or_else(|| number_before(said, UNCHANGED));
        any.map(|_| Self { changed: changed.unwrap_or(0), failed: failed.unwrap_or(0) })
    }
}

/// The heading of a Python file's difference, which has a time after a tab: `+++ a.py<TAB>2026-11-22 20:28:30.838757+00:00`.
fn is_difference(line: &str) -> bool {
    let Some((name, time)) = line.strip_prefix("+++ ").and_then(|rest| rest.split_once('\t')) else { return false };
    let python = [".py", ".pyi", ".ipynb", "STDOUT"].iter().any(|end| name.ends_with(end));
    python && (time.ends_with("+00:00") || time.ends_with("+0000"))
}

/// That a file could not be read; newer versions say `parse`.
fn is_failure(line: &str) -> bool {
    line.starts_with("error: cannot format ") || line.starts_with("error: cannot parse: ")
}

/// The line before last, which no other tool writes.
fn is_banner(line: &str) -> bool {
    line.starts_with("All done! \u{2728}") || line.starts_with("Oh no! \u{1f4a5}")
}

const NOTHING: &str = "No Python files are present to be formatted. Nothing to do";

fn recognise(sketch: &Sketch) -> bool {
    let text = uncoloured(&sketch.text);
    let ours = |line: &str| {
        line.starts_with("would reformat ")
            || is_failure(line)
            || line.starts_with(NOTHING)
            || is_banner(line)
            || is_difference(line)
            || Summary::of(line).is_some()
    };
    sketch.shape == Shape::Text && text.lines().any(ours)
}

fn read(document: &Document<'_>, given: &Given, _details: &mut dyn Details) -> Result<Report, Rejection> {
    let (mut would, mut differences, mut failed) = (0_u32, 0_u32, 0_u32);
    let (mut summary, mut said, mut ended) = (None, false, false);
    lines(document, |line| {
        said |= !line.trim().is_empty();
        ended |= is_banner(line) || line.starts_with(NOTHING);
        would += u32::from(line.starts_with("would reformat ") || line.starts_with("reformatted "));
        failed += u32::from(is_failure(line));
        differences += u32::from(is_difference(line));
        summary = Summary::of(line).or(summary);
        Ok(())
    })?;
    let seen = would.max(differences);
    let list = summary.is_some() || ended || seen > 0;
    match given.exit_code {
        // `--quiet` says it by the exit code alone.
        None if !said => return Err(silent("Black")),
        None if !list && failed == 0 => {
            return Err(Rejection::new(Reason::Malformed, "no line of it is one that Black writes"));
        }
        _ => {}
    }
    let changed = summary.map_or(seen, |summary| summary.changed);
    let failed = summary.map_or(failed, |summary: Summary| summary.failed.max(failed));
    let findings = if list { Some(changed) } else { (given.exit_code == Some(0)).then_some(0) };
    let counted = Counted { findings, errors: (failed > 0).then_some(failed), warnings: None };
    let came_out = if failed > 0 { Conclusion::Error } else { conclusion(findings, given.exit_code) };
    Ok(one("black", check(CheckKind::Format, "black", counted, came_out)))
}
