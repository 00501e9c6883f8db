//! The baseline of detect-secrets: what is known by now, by the SHA-1 of each secret. An entry is declared harmless where an
//! audit said `is_secret: false`.

use serde::Deserialize;
use serde::de::MapAccess;

use super::fold::{Members, Object, Scalar, entries, pass};
use super::scan::{self, Found, Tally};
use super::{
    Details, Document, Finding, Format, Given, Kind, Named, Rejection, Report, Severity, Shape, Sketch, value,
};
use crate::event::artifact::{ScanFinished, ScanKind, ScanScope, ScanStatus};

/// Baselines of detect-secrets.
pub(super) const FORMAT: Format = Format {
    name: "detect-secrets",
    about: "detect-secrets: secrets in files",
    versions: "the baseline of versions 0.12 to 1.5",
    kinds: &[Kind::Scan],
    media_type: "application/json",
    recognise,
    secret_members: |_| &["secret", "secret_value"],
    read,
};

fn recognise(sketch: &Sketch) -> bool {
    sketch.shape == Shape::Object && sketch.has("plugins_used") && (sketch.has("results") || sketch.has("version"))
}

fn read(document: &Document<'_>, given: &Given, details: &mut dyn Details) -> Result<Report, Rejection> {
    let mut tally = Tally::new(ScanKind::Secret);
    tally.rates = false;
    let mut reading = Reading { details, tally, version: Scalar::default(), generated_at: Scalar::default() };
    document.json_seed(Object(&mut reading))?;
    let Reading { tally, version, generated_at, .. } = reading;
    let status = match (scan::failed(given, tally.found(), scan::no_code), tally.listed) {
        (true, _) => ScanStatus::Failed,
        (false, true) => ScanStatus::Completed,
        (false, false) => ScanStatus::NotRun,
    };
    let fact = ScanFinished {
        scope: Some(ScanScope::Filesystem),
        tool_version: scan::version(version.0.as_deref()),
        ..tally.finished("detect-secrets", status)
    };
    let generated_at = value::time("generated_at", generated_at.text())?;
    Ok(Report { format: "detect-secrets".to_owned(), generated_at, named: Named::default(), facts: vec![fact.into()] })
}

struct Reading<'a> {
    details: &'a mut dyn Details,
    tally: Tally,
    version: Scalar,
    generated_at: Scalar,
}

#[derive(Deserialize)]
struct Entry {
    r#type: String,
    hashed_secret: Option<String>,
    line_number: Option<u64>,
    is_secret: Option<bool>,
}

impl Members for Reading<'_> {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "version" => self.version = map.next_value()?,
            "generated_at" => self.generated_at = map.next_value()?,
            "results" => {
                let listed = map.next_value_seed(entries(|file: String, list: Vec<Entry>| {
                    list.into_iter().for_each(|entry| self.entry(&file, entry));
                }))?;
                self.tally.listed |= listed;
            }
            _ => return pass(map),
        }
        Ok(())
    }
}

impl Reading<'_> {
    fn entry(&mut self, file: &str, entry: Entry) {
        let suppressed = entry.is_secret == Some(false);
        let line = entry.line_number;
        // The hash is black where it could be guessed back to the secret: then the line tells them apart.
        let (hash, number) = (entry.hashed_secret.unwrap_or_default(), line.unwrap_or(0).to_string());
        self.tally.add(Found { key: &[&entry.r#type, file, &hash, &number], suppressed, ..Found::default() });
        if self.details.wanted() {
            self.details.finding(Finding {
                kind: ScanKind::Secret,
                id: entry.r#type,
                aliases: Vec::new(),
                severity: Severity::Unknown,
                component: None,
                fixed_in: None,
                disclosed_at: None,
                place: scan::place(file, line),
                suppressed,
            });
        }
    }
}
