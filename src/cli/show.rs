//! `log`, `show`, `receipt`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::access::{Access, Key, Shown};
use super::exit::{Exit, Outcome};
use super::{Settings, print, printable};
use crate::cdevents::{self, Told};
use crate::ledger::Filter;

/// How often a data directory that another process writes is looked at.
const POLL: Duration = Duration::from_millis(50);

#[derive(Debug, Args)]
pub(super) struct Log {
    /// Only streams whose names begin so
    #[arg(long, value_name = "PREFIX", default_value = "")]
    stream: String,
    /// Only this type, or all that begin so if it ends in `*`; may be repeated. With --cdevents also types of CDEvents
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// From this position on; backwards, before it
    #[arg(long, value_name = "POSITION")]
    from: Option<u64>,
    /// At most so many events
    #[arg(long, short = 'n', value_name = "N")]
    limit: Option<u64>,
    /// Newest first
    #[arg(long, short = 'r', conflicts_with = "follow")]
    reverse: bool,
    /// Go on as the log grows
    #[arg(long, short = 'f')]
    follow: bool,
    /// Print CloudEvents with CDEvents in them, one JSON object a line
    #[arg(long)]
    cdevents: bool,
    /// With --cdevents: tell private values and people, too
    #[arg(long, requires = "cdevents")]
    private: bool,
}

pub(super) async fn log(settings: &Settings, args: Log) -> Result<Outcome, Exit> {
    if !args.follow {
        return list(settings, args).await;
    }
    // One listener for all the time: a signal between two of them would be lost.
    let interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt());
    let mut interrupt = interrupt.map_err(|error| Exit::busy(format!("cannot listen for signals: {error}")))?;
    tokio::select! {
        listed = list(settings, args) => listed,
        _ = interrupt.recv() => Ok(Outcome::Done),
    }
}

async fn list(settings: &Settings, args: Log) -> Result<Outcome, Exit> {
    let mut access = Access::reader(settings).await?;
    let mut filter = Filter { stream_prefix: args.stream, types: args.types };
    // What an event is called in CDEvents is known only when it is told.
    let mut told = Filter::default();
    if args.cdevents && filter.types.iter().any(|name| name.starts_with("dev.")) {
        told.types = std::mem::take(&mut filter.types);
    }
    let origin = if args.cdevents { access.origin().await? } else { String::new() };
    let mut left = args.limit.unwrap_or(u64::MAX);
    let mut size = access.size().await?;
    let mut next = args.from.unwrap_or(if args.reverse { size } else { 0 });
    loop {
        let done = if args.reverse { next == 0 } else { next >= size };
        if left == 0 || (done && !args.follow) {
            return Ok(Outcome::Done);
        }
        if done {
            tokio::time::sleep(POLL).await;
            size = access.size().await?;
            continue;
        }
        let events_max = usize::try_from(left).unwrap_or(usize::MAX).min(1000);
        let (events, until) = access.page(next, args.reverse, &filter, events_max).await?;
        let mut text = String::new();
        for event in &events {
            let line = match (args.cdevents, settings.json) {
                (true, _) => cdevent(event, &origin, args.private, &told)?,
                (false, true) => Some(json_line(event)?),
                (false, false) => Some(line(event)),
            };
            if let Some(line) = line {
                text.push_str(&line);
                left = left.saturating_sub(1);
            }
        }
        print(&text)?;
        if until == next {
            size = access.size().await?.min(if args.follow { u64::MAX } else { next });
        }
        next = until;
    }
}

/// Fields of payloads that tell at a glance what an event is about.
const TELLING: [&str; 4] = ["branch", "tag", "version", "name"];

/// One line for people.
fn line(shown: &Shown) -> String {
    let envelope = shown.event.envelope();
    let at = envelope.occurred_at.to_string().replacen('T', " ", 1);
    let at = at.get(..19).unwrap_or_default();
    let payload = shown.event.payload().ok().and_then(|json| serde_json::from_str::<serde_json::Value>(json).ok());
    let telling = TELLING.iter().find_map(|name| payload.as_ref()?.get(name)?.as_str().map(str::to_owned));
    let free = shown.private.iter().find(|(id, _)| !id.starts_with("sbj_")).and_then(|(_, text)| text.lines().next());
    let words: Vec<&str> = telling.as_deref().into_iter().chain(free).collect();
    let summary: String = words.join("  ").chars().take(60).collect();
    let line = format!("{:>8}  {at}  {:<22} {:<44} {summary}", envelope.position, envelope.type_name, envelope.stream);
    // One event, one line: no text of it may look like another.
    format!("{}\n", printable(&line.trim_end().replace(['\n', '\t'], " ")))
}

/// The event, with what is private in it under `private`.
fn json(shown: &Shown) -> Result<serde_json::Value, Exit> {
    let mut value: serde_json::Value = serde_json::from_slice(shown.event.bytes())
        .map_err(|error| Exit::no(format!("event {}: {error}", shown.event.envelope().position)))?;
    if let Some(members) = value.as_object_mut()
        && !shown.private.is_empty()
    {
        let private = shown.private.iter().map(|(id, text)| (id.clone(), text.clone().into())).collect();
        members.insert("private".to_owned(), serde_json::Value::Object(private));
    }
    Ok(value)
}

/// The event in the words of CDEvents, if its type passes.
fn cdevent(shown: &Shown, origin: &str, private: bool, filter: &Filter) -> Result<Option<String>, Exit> {
    let private = if private { &shown.private[..] } else { &[] };
    let envelope = shown.event.envelope();
    let told = cdevents::envelope(&Told { event: &shown.event, origin, private })
        .map_err(|error| Exit::no(format!("event {}: {error}", envelope.position)))?;
    let kind = told.get("type").and_then(serde_json::Value::as_str).unwrap_or_default();
    let passes = filter.admits("", kind) || filter.admits("", &envelope.type_name);
    Ok(passes.then(|| format!("{told}\n")))
}

fn json_line(shown: &Shown) -> Result<String, Exit> {
    Ok(format!("{}\n", json(shown)?))
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// Position or id
    event: Key,
    /// Print exactly the bytes that are hashed, and nothing else
    #[arg(long)]
    raw: bool,
}

pub(super) async fn show(settings: &Settings, args: Show) -> Result<Outcome, Exit> {
    let shown = Access::reader(settings).await?.get(&args.event).await?;
    if args.raw {
        return print(&String::from_utf8_lossy(shown.event.bytes()));
    }
    if settings.json {
        return print(&json_line(&shown)?);
    }
    let value = json(&shown)?;
    let mut text = String::new();
    let envelope = shown.event.envelope();
    text.push_str(&format!("{} at {}\n", envelope.type_name, envelope.position));
    for key in [
        "id",
        "stream",
        "seq",
        "occurred_at",
        "recorded_at",
        "actor",
        "source",
        "dedup",
        "correlation",
        "causation",
        "prev",
    ] {
        if let Some(field) = value.get(key).and_then(serde_json::Value::as_str) {
            let known = shown.private.iter().find(|(id, _)| id == field).map(|(_, who)| format!("  ({who})"));
            text.push_str(&format!("  {key:<12} {field}{}\n", known.unwrap_or_default()));
        }
    }
    for evidence in &envelope.evidence {
        text.push_str(&format!(
            "  evidence     {} ({}, {} bytes)\n",
            evidence.blake3, evidence.media_type, evidence.size
        ));
    }
    let data = value.get("data").map(serde_json::to_string_pretty).transpose();
    let data = data.map_err(|error| Exit::no(error.to_string()))?.unwrap_or_default();
    text.push_str(&format!("{data}\n"));
    for (id, value) in &shown.private {
        let value = value.trim_end().replace('\n', "\n    ");
        text.push_str(&format!("{id} = {value}\n"));
    }
    print(&printable(&text))
}

#[derive(Debug, Args)]
pub(super) struct ReceiptArgs {
    /// Position or id
    event: Key,
    /// Write it to this file instead of standard output
    #[arg(long, short = 'o', value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) async fn receipt(settings: &Settings, args: ReceiptArgs) -> Result<Outcome, Exit> {
    let receipt = Access::reader(settings).await?.receipt(&args.event).await?;
    let text = if settings.json {
        let hashes: Vec<String> = receipt.proof.hashes.iter().map(ToString::to_string).collect();
        let leaf = String::from_utf8_lossy(&receipt.leaf).into_owned();
        let value = serde_json::json!({
            "index": receipt.proof.index, "leaf": leaf, "hashes": hashes,
            "checkpoint": receipt.proof.checkpoint, "tlog_proof": receipt.to_string(),
        });
        format!("{value}\n")
    } else {
        receipt.to_string()
    };
    match args.out {
        None => print(&text),
        Some(path) => {
            std::fs::write(&path, text)
                .map_err(|error| Exit::busy(format!("cannot write {}: {error}", path.display())))?;
            Ok(Outcome::Done)
        }
    }
}
