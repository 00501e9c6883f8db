//! `normalise` and `sources`: trying an integration.

use std::io::Read;
use std::path::PathBuf;

use clap::Args;

use super::exit::{Exit, Outcome};
use super::{Settings, print};
use crate::app::RawDraft;
use crate::event::Timestamp;
use crate::ingest::{self, Headers, Input, SYSTEMS, Targets};
use crate::ledger::{Clock, SystemClock};
use crate::report::{Component, Details, FORMATS, Finding};

#[derive(Debug, Args)]
pub(super) struct Normalise {
    /// The source or format [default: found out]
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// What arrived with it: lines of `Name: value`
    #[arg(long, value_name = "FILE")]
    headers: Option<PathBuf>,
    /// When it arrived, as in RFC 3339 [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Also print the components and findings that a document lists
    #[arg(long)]
    details: bool,
    #[command(flatten)]
    about: super::record::AboutFlags,
    /// The payload; `-` reads it from standard input
    file: PathBuf,
}

pub(super) fn normalise(settings: &Settings, args: &Normalise) -> Result<Outcome, Exit> {
    let about = args.about.about();
    let body = read(&args.file)?;
    let headers = match &args.headers {
        Some(path) => Headers::parse(&String::from_utf8_lossy(&read(path)?)),
        None => Headers::default(),
    };
    let targets = Targets::new(settings.config.targets.clone()).map_err(Exit::usage)?;
    let received_at = args.at.unwrap_or_else(|| SystemClock.now());
    let source = args.source.as_deref();
    let input = Input { source, headers: &headers, body: body.into(), about: &about, targets: &targets, received_at };
    let mut lines = Lines { text: String::new(), wanted: args.details };
    let normalised = ingest::normalise(&input, &mut lines)
        .map_err(|rejection| Exit::no(format!("{}: {}: {rejection}", args.file.display(), rejection.reason)))?;
    let mut text = String::new();
    for draft in &normalised.events.drafts {
        let raw = RawDraft::of(draft).map_err(|error| Exit::no(error.to_string()))?;
        text.push_str(&serde_json::to_string(&raw).map_err(|error| Exit::no(error.to_string()))?);
        text.push('\n');
    }
    for tag in &normalised.events.tags {
        let line = serde_json::json!({"tag": {"name": tag.name, "tag": tag.tag, "digest": tag.digest, "at": tag.at}});
        text.push_str(&format!("{line}\n"));
    }
    text.push_str(&lines.text);
    for what in &normalised.events.passed_over {
        tracing::info!("{what} makes no event");
    }
    if normalised.redactions > 0 {
        tracing::info!("{} secrets were blackened", normalised.redactions);
    }
    print(&text)
}

/// Details as JSON lines.
struct Lines {
    text: String,
    wanted: bool,
}

impl Lines {
    fn line(&mut self, value: &serde_json::Value) {
        if self.wanted {
            self.text.push_str(&format!("{value}\n"));
        }
    }
}

impl Details for Lines {
    fn component(&mut self, component: Component) {
        self.line(&serde_json::json!({"component": component}));
    }
    fn finding(&mut self, finding: Finding) {
        self.line(&serde_json::json!({"finding": finding}));
    }
    fn wanted(&self) -> bool {
        self.wanted
    }
}

/// A file, or standard input.
pub(super) fn read(path: &std::path::Path) -> Result<Vec<u8>, Exit> {
    let mut bytes = Vec::new();
    let done = if path.as_os_str() == "-" {
        std::io::stdin().lock().read_to_end(&mut bytes).map(drop)
    } else {
        std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).map(drop)
    };
    done.map_err(|error| Exit::usage(format!("cannot read {}: {error}", path.display())))?;
    Ok(bytes)
}

/// Every source.
pub(super) fn sources(settings: &Settings) -> Result<Outcome, Exit> {
    if settings.json {
        let webhooks = SYSTEMS.iter().map(|system| {
            serde_json::json!({"transport": "webhook", "name": system.name, "about": system.about,
                "path": format!("/webhooks/{}", system.name), "events": system.events})
        });
        let documents = FORMATS.iter().map(|format| {
            let kinds: Vec<_> = format.kinds.iter().map(|kind| kind.as_str()).collect();
            serde_json::json!({"transport": "document", "name": format.name, "about": format.about,
                "kinds": kinds, "versions": format.versions})
        });
        return super::print_json(&webhooks.chain(documents).collect::<Vec<_>>());
    }
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(["SOURCE", "BY", "UNDERSTANDS", "ABOUT"]);
    for system in SYSTEMS {
        table.add_row([system.name, "webhook", &system.events.join(", "), system.about]);
    }
    for format in FORMATS {
        let kinds: Vec<_> = format.kinds.iter().map(|kind| kind.as_str()).collect();
        table.add_row([format.name, &format!("record {}", kinds.join("|")), format.versions, format.about]);
    }
    print(&format!("{table}\n"))
}
