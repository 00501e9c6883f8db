//! `verify`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::exit::{Exit, Outcome};
use super::progress::bar;
use super::{Settings, print, print_json};
use crate::ledger::tree::VerifierKey;
use crate::ledger::verify::{Checks, Report, TileSource, Verification, verify as verify_log, verify_tiles};
use crate::ledger::{Clock, DataDir, Engine, Guard, Index, Receipt, SystemClock};

#[derive(Debug, Args)]
pub(super) struct Verify {
    /// A data directory, a directory of tiles, or a receipt [default: the data directory, and /metrics tells of it]
    path: Option<PathBuf>,
    /// The verifier key, or a file that holds it [default: ledger.vkey of the data directory]
    #[arg(long, value_name = "KEY|FILE")]
    vkey: Option<String>,
    /// A signed checkpoint that you remember: the log must extend it
    #[arg(long, value_name = "FILE")]
    old: Option<PathBuf>,
}

pub(super) async fn verify(settings: &Settings, args: Verify) -> Result<Outcome, Exit> {
    let path = args.path.clone().unwrap_or_else(|| settings.data.root().to_owned());
    let remembered = args.old.as_deref().map(read).transpose()?;
    if path.is_file() {
        if remembered.is_some() {
            return Err(Exit::usage("--old: a receipt proves one event, and not that the log extends an older one"));
        }
        return receipt(settings, &path, &key(&args, settings.data.root())?);
    }
    let is_data = DataDir::new(&path).exists();
    if !is_data && !TileSource::is_one(&path) {
        return Err(Exit::no(format!("{} is no data directory, directory of tiles or receipt", path.display())));
    }
    let key = key(&args, if is_data { &path } else { settings.data.root() })?;
    let data = DataDir::new(&path);
    let guard = settings.guard_of(&data);
    let report = tokio::task::spawn_blocking(move || {
        let bar = bar(false);
        let now = SystemClock.now();
        let mut progress = |done, total| {
            bar.set_length(total);
            bar.set_position(done);
        };
        if !is_data {
            return verify_tiles(&TileSource::new(path), &key, remembered.as_deref(), now, &mut progress);
        }
        match crate::ledger::open_engine_read_only(&data) {
            Ok(engine) => verify_log(&checks(&data, engine, key, guard, remembered)?, &mut progress),
            Err(error) => Ok(Report::unreadable(key.name(), &error)),
        }
    });
    let report = report.await.map_err(|error| Exit::no(format!("verification failed: {error}")))??;
    // Whoever names a directory looks into it and leaves no trace.
    if is_data && args.path.is_none() {
        let verified = Verification::new(&report, SystemClock.now());
        if let Err(error) = verified.save(&settings.data.verified()) {
            tracing::warn!(%error, "the result is not remembered for /metrics");
        }
    }
    tell(settings, &report)
}

/// Everything there is to check in a data directory. Reads only, and needs nothing of it to be intact.
fn checks(
    data: &DataDir,
    engine: Arc<dyn Engine>,
    key: VerifierKey,
    guard: Guard,
    remembered: Option<String>,
) -> crate::ledger::Result<Checks> {
    // As it is stored: one that was opened for use would have been brought into agreement with the log.
    let index = Index::as_stored(&data.index(), key.name()).map(Arc::new);
    let evidence = Some(crate::ledger::Evidence::of(engine.clone(), &data.evidence())?);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Ok(Checks { engine, key, index, evidence, guard: Some(guard), remembered, threads, now: SystemClock.now() })
}

fn read(path: &Path) -> Result<String, Exit> {
    std::fs::read_to_string(path).map_err(|error| Exit::usage(format!("cannot read {}: {error}", path.display())))
}

fn key(args: &Verify, dir: &Path) -> Result<VerifierKey, Exit> {
    let text = match &args.vkey {
        Some(given) => given.parse::<VerifierKey>().map(|_| given.clone()).or_else(|_| read(Path::new(given)))?,
        None => read(&DataDir::new(dir).verifier_key())?,
    };
    text.trim().parse().map_err(|error| Exit::usage(format!("verifier key: {error}")))
}

fn receipt(settings: &Settings, path: &Path, key: &VerifierKey) -> Result<Outcome, Exit> {
    let verified = Receipt::parse(&read(path)?).and_then(|receipt| receipt.verify(key));
    let said = |ok: bool, text: String| {
        told(if settings.json {
            print_json(&serde_json::json!({"ok": ok, "detail": text}))
        } else {
            print(&format!("{}: {text}\n", if ok { "ok" } else { "bad" }))
        })?;
        Ok(if ok { Outcome::Done } else { Outcome::No })
    };
    match verified {
        Ok((checkpoint, event)) => {
            let envelope = event.envelope();
            let (position, size) = (envelope.position, checkpoint.size);
            said(true, format!("event {position} of {size}, {}, signed by {}", envelope.type_name, checkpoint.origin))
        }
        Err(error) => said(false, error.to_string()),
    }
}

/// What was found counts, whether or not somebody still reads it.
fn told(printed: Result<Outcome, Exit>) -> Result<(), Exit> {
    match printed {
        Err(exit) if !exit.is_quiet() => Err(exit),
        _ => Ok(()),
    }
}

fn tell(settings: &Settings, report: &Report) -> Result<Outcome, Exit> {
    if settings.json {
        told(print_json(report))?;
    } else if report.ok {
        told(print(&format!(
            "ok: {} events in {} streams, root {}, {} checkpoints, {} tiles, {} blobs, {} private values ({} erased), signed by {}\n",
            report.events,
            report.streams,
            report.root,
            report.checkpoints,
            report.tiles,
            report.evidence,
            report.private_values,
            report.erased,
            report.origin
        )))?;
    } else {
        let mut text = String::new();
        for finding in &report.findings {
            let damage = serde_json::to_string(&finding.damage).unwrap_or_default();
            let at = finding.position.map_or_else(String::new, |position| format!(" at event {position}"));
            text.push_str(&format!("bad: {}{at}: {}\n", damage.trim_matches('"').replace('_', " "), finding.detail));
        }
        text.push_str(&format!("{} findings in {} events\n", report.findings_total, report.events));
        told(print(&text))?;
    }
    Ok(if report.ok { Outcome::Done } else { Outcome::No })
}
