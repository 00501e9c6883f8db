//! LCOV's tracefiles.

use std::collections::HashMap;

use super::check::lines;
use super::coverage::{Reached, report};
use super::{Details, Document, Format, Given, Kind, Reason, Rejection, Report, Shape, Sketch};

/// LCOV.
pub(super) const FORMAT: Format = Format {
    name: "lcov",
    about: "LCOV tracefile of any producer",
    versions: "1 and 2",
    kinds: &[Kind::Coverage, Kind::Check],
    media_type: "text/plain",
    recognise,
    secret_members: |_| &[],
    read,
};

fn recognise(sketch: &Sketch) -> bool {
    let known = |line: &str| line.starts_with("TN:") || line.starts_with("SF:");
    let first = sketch.text.lines().find(|line| !line.trim().is_empty() && !line.starts_with('#'));
    sketch.shape == Shape::Text && first.is_some_and(known) && sketch.text.contains("SF:")
}

/// What was seen of a record, which is one file in one test. Several tests may tell of the same file.
#[derive(Default)]
struct Record {
    file: String,
    /// Lines and branches are listed, not only counted.
    lists_lines: bool,
    lists_branches: bool,
    lines: (u64, u64),
    branches: (u64, u64),
}

#[derive(Default)]
struct Reader {
    record: Option<Record>,
    /// Lines and branches by the hash of where they are, and whether they were reached by any test.
    lines: HashMap<u128, bool>,
    branches: HashMap<u128, bool>,
    /// Of records that only count.
    counted: (u64, u64),
    counted_branches: (u64, u64),
    records: u64,
    measured_branches: bool,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), Rejection> {
        let (tag, rest) = line.split_once(':').unwrap_or((line.trim(), ""));
        match (tag, &mut self.record) {
            ("SF", record) => *record = Some(Record { file: rest.to_owned(), ..Record::default() }),
            ("end_of_record", _) => self.end(),
            ("DA", Some(record)) => {
                let mut parts = rest.split(',');
                let (number, hits) = (parts.next().unwrap_or_default(), parts.next());
                let hits = hits.and_then(|hits| hits.trim().parse::<i64>().ok()).ok_or_else(|| bad("DA", rest))?;
                record.lists_lines = true;
                let slot = self.lines.entry(key(&record.file, number)).or_default();
                *slot |= hits > 0;
            }
            ("BRDA", Some(record)) => {
                // What a branch is called may have commas in it.
                let (place, taken) = rest.rsplit_once(',').ok_or_else(|| bad("BRDA", rest))?;
                let taken = match taken.trim() {
                    "-" => false,
                    number => number.parse::<i64>().map_err(|_why| bad("BRDA", rest))? > 0,
                };
                record.lists_branches = true;
                *self.branches.entry(key(&record.file, place)).or_default() |= taken;
            }
            ("LH", Some(record)) => record.lines.0 = number("LH", rest)?,
            ("LF", Some(record)) => record.lines.1 = number("LF", rest)?,
            ("BRH", Some(record)) => record.branches.0 = number("BRH", rest)?,
            ("BRF", Some(record)) => {
                self.measured_branches = true;
                record.branches.1 = number("BRF", rest)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self) {
        let Some(record) = self.record.take() else { return };
        self.records += 1;
        let add = |sum: &mut (u64, u64), counted: (u64, u64)| {
            *sum = (sum.0.saturating_add(counted.0), sum.1.saturating_add(counted.1));
        };
        if !record.lists_lines {
            add(&mut self.counted, record.lines);
        }
        if !record.lists_branches {
            add(&mut self.counted_branches, record.branches);
        }
    }
}

fn key(file: &str, place: &str) -> u128 {
    let hash = blake3::hash(format!("{file}\n{place}").as_bytes());
    hash.as_bytes().first_chunk().map_or(0, |bytes| u128::from_be_bytes(*bytes))
}

fn bad(tag: &str, rest: &str) -> Rejection {
    Rejection::new(Reason::BadNumber, format!("{:?} has no count", rest.chars().take(80).collect::<String>())).at(tag)
}

fn number(tag: &str, rest: &str) -> Result<u64, Rejection> {
    rest.trim().parse().map_err(|_why| bad(tag, rest))
}

fn reached(known: &HashMap<u128, bool>, counted: (u64, u64)) -> (u64, u64) {
    let part = known.values().filter(|reached| **reached).count() as u64;
    (part.saturating_add(counted.0), (known.len() as u64).saturating_add(counted.1))
}

fn read(document: &Document<'_>, given: &Given, _details: &mut dyn Details) -> Result<Report, Rejection> {
    let mut reader = Reader::default();
    let mut n = 0_u64;
    lines(document, |line| {
        n += 1;
        reader.line(line).map_err(|rejection| rejection.at(format!("line {n}")))
    })?;
    if reader.record.is_some() {
        return Err(Rejection::new(Reason::Malformed, "the last record has no end: the file is cut off"));
    }
    if reader.records == 0 {
        return Err(Rejection::missing("SF"));
    }
    let measured = reader.measured_branches || !reader.branches.is_empty();
    let branches = reached(&reader.branches, reader.counted_branches);
    let reached = Reached { lines: reached(&reader.lines, reader.counted), branches: measured.then_some(branches) };
    report("lcov".to_owned(), None, reached, "lines", given)
}
