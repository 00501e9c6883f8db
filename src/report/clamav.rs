//! What ClamAV prints: `clamscan` and `clamdscan`, with or without the summary.
//!
//! An error prints `Infected files: 0` like a clean run does: what tells them apart are the exit code, and what the lines and
//! the summary say of errors. Times have no zone.

use std::io::BufRead;

use super::scan::{self, Found, Tally};
use super::{
    Details, Document, Finding, Format, Given, Kind, Named, Reason, Rejection, Report, Severity, Shape, Sketch,
};
use crate::event::artifact::{ScanFinished, ScanKind, ScanStatus};

/// ClamAV's output.
pub(super) const FORMAT: Format = Format {
    name: "clamav",
    about: "ClamAV: malware",
    versions: "text of clamscan and clamdscan",
    kinds: &[Kind::Scan],
    media_type: "text/plain",
    recognise,
    secret_members: |_| &[],
    read,
};

const SUMMARY: &str = "- SCAN SUMMARY -";

fn recognise(sketch: &Sketch) -> bool {
    if sketch.shape != Shape::Text {
        return false;
    }
    // The last line may be cut off.
    let lines = || sketch.text.lines().filter(|line| !line.trim().is_empty());
    let verdicts = || lines().filter(|line| matches!(verdict(line), Some(Verdict::Found(..) | Verdict::Clean)));
    let others = lines().count() - verdicts().count();
    lines().any(is_summary) || (verdicts().count() > 0 && others <= 1)
}

/// Whether the summary begins with that line: between dashes, with no file before it.
fn is_summary(line: &str) -> bool {
    line.starts_with('-') && line.trim_end().ends_with('-') && line.contains(SUMMARY)
}

/// What a line says of a file.
enum Verdict<'a> {
    /// Infected: the path, and what with.
    Found(&'a str, &'a str),
    Clean,
    /// It, or a part of it, was not scanned.
    Unread,
    /// It was passed over, as it was asked to.
    Left,
}

/// Most bytes of a line. Paths end at 4 KiB on every system, and a name of malware is short.
const LINE_BYTES_MAX: u64 = 64 << 10;

fn verdict(line: &str) -> Option<Verdict<'_>> {
    if let Some((path, rest)) = line.rsplit_once(": ") {
        if let Some(name) = rest.strip_suffix(" FOUND") {
            return Some(Verdict::Found(path, name));
        }
        return match rest.trim_end() {
            "OK" => Some(Verdict::Clean),
            "Empty file" | "Excluded" | "Symbolic link" | "Removed." => Some(Verdict::Left),
            "Access denied" | "Can't access file" | "No such file or directory" => Some(Verdict::Unread),
            rest if rest.ends_with(" ERROR")
                || rest.starts_with("Can't ")
                || rest.starts_with("File path check failure") =>
            {
                Some(Verdict::Unread)
            }
            _ if is_error(line) => Some(Verdict::Unread),
            _ => None,
        };
    }
    is_error(line).then_some(Verdict::Unread)
}

fn is_error(line: &str) -> bool {
    line.starts_with("ERROR: ") || line.starts_with("LibClamAV Error: ")
}

/// What is known once all lines are read.
struct Run {
    tally: Tally,
    summary: bool,
    /// Whether a line says of a file that it was scanned.
    scanned: bool,
    errors: bool,
    version: Option<String>,
    signatures: Option<u64>,
    files: Option<u64>,
    infected: u64,
}

/// Found something, and a code for errors: some files may have been scanned before.
const FOUND: i32 = 1;

fn read(document: &Document<'_>, given: &Given, details: &mut dyn Details) -> Result<Report, Rejection> {
    let mut tally = Tally::new(ScanKind::Malware);
    tally.rates = false;
    let mut run = Run {
        tally,
        summary: false,
        scanned: false,
        errors: false,
        version: None,
        signatures: None,
        files: None,
        infected: 0,
    };
    let mut reader = document.reader()?;
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = std::io::Read::take(&mut reader, LINE_BYTES_MAX).read_until(b'\n', &mut line);
        match read {
            Ok(0) => break,
            // A path may have bytes of any encoding.
            Ok(_) => run.line(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']), details),
            Err(error) => return Err(Rejection::new(Reason::Malformed, format!("cannot be read: {error}"))),
        }
    }
    let silent = !run.summary && !run.scanned && !run.errors;
    if silent && given.exit_code.is_none() {
        // With `--infected --no-summary` that is what a clean run prints, and also what a run prints that never was.
        let what = "no file and no summary: without the exit code nobody can tell whether it ran";
        return Err(Rejection::new(Reason::Empty, what));
    }
    let status = run.status(given);
    run.tally.listed = true;
    let mut fact =
        ScanFinished { tool_version: scan::version(run.version.as_deref()), ..run.tally.finished("clamav", status) };
    // With `--quiet` the infected files are only counted.
    let infected = u32::try_from(run.infected).unwrap_or(u32::MAX);
    fact.findings = fact.findings.map(|n| n.max(infected));
    let named = Named::default();
    Ok(Report { format: "clamav".to_owned(), generated_at: None, named, facts: vec![fact.into()] })
}

impl Run {
    fn line(&mut self, line: &str, details: &mut dyn Details) {
        if is_summary(line) {
            self.summary = true;
            return;
        }
        // A file may be called like the line above or like one of the summary, so what is infected counts behind them, too.
        match verdict(line) {
            Some(Verdict::Found(path, name)) => {
                self.scanned = true;
                self.tally.add(Found { key: &[name, path], ..Found::default() });
                if details.wanted() {
                    details.finding(Finding {
                        kind: ScanKind::Malware,
                        id: name.to_owned(),
                        aliases: Vec::new(),
                        severity: Severity::Unknown,
                        component: None,
                        fixed_in: None,
                        disclosed_at: None,
                        place: scan::place(path, None),
                        suppressed: false,
                    });
                }
            }
            Some(Verdict::Clean) => self.scanned = true,
            Some(Verdict::Unread) => self.errors = true,
            Some(Verdict::Left) => {}
            None if self.summary => self.summary_line(line),
            None => {}
        }
    }

    fn summary_line(&mut self, line: &str) {
        let Some((name, rest)) = line.split_once(':') else { return };
        let number = || rest.trim().parse::<u64>().ok();
        match name {
            "Known viruses" => self.signatures = number(),
            "Engine version" => self.version = Some(rest.trim().to_owned()),
            "Scanned files" => self.files = number(),
            "Infected files" => self.infected = number().unwrap_or(0),
            "Total errors" => self.errors |= number().is_some_and(|n| n > 0),
            _ => {}
        }
    }

    fn status(&self, given: &Given) -> ScanStatus {
        let found = self.tally.found() || self.infected > 0;
        let scanned = self.scanned || found || self.files.is_some_and(|n| n > 0);
        let failed = scan::failed(given, found, |code| code != FOUND);
        // Without signatures nothing can be found.
        match failed || self.errors || self.signatures == Some(0) {
            true if scanned && self.signatures != Some(0) => ScanStatus::Partial,
            true => ScanStatus::Failed,
            false => ScanStatus::Completed,
        }
    }
}
