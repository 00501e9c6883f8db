//! Keeping a ledger: `init`, `key`, `export`, `backup`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::access::Access;
use super::exit::{Exit, Outcome};
use super::questions::{Known, Questions, instant};
use super::{Settings, print, print_json};
use crate::api::proto::v1 as pb;
use crate::api::proto::v1::metrics_service_client::MetricsServiceClient;
use crate::event::{Draft, Timestamp};
use crate::ledger::{Clock, Creation, DataDir, Ledger, Options, SystemClock, backup as copy};

#[derive(Debug, Args)]
pub(super) struct Init {
    /// The log's name for ever: a URL without scheme, e.g. `ledger.example.com/prod` [default: made up]
    #[arg(long, env = "PLIMSOLL_ORIGIN")]
    origin: Option<String>,
}

pub(super) async fn init(settings: &Settings, args: Init) -> Result<Outcome, Exit> {
    let ledger = Ledger::create(settings.options("plimsoll init"), Creation { origin: args.origin }).await?;
    let key = ledger.key().to_string();
    if settings.json {
        print_json(&serde_json::json!({"data": settings.data.root(), "origin": ledger.key().name(), "key": key}))
    } else {
        print(&format!("a new ledger in {}\n{key}\n", settings.data.root().display()))
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Key {
    /// Print the verifier key, one line
    Show,
}

pub(super) async fn key_show(settings: &Settings) -> Result<Outcome, Exit> {
    let key = match &settings.server {
        Some(_) => Access::reader(settings).await?.key().await?,
        None => {
            let path = settings.data.verifier_key();
            let failed = |error| Exit::no(format!("cannot read {}: {error}", path.display()));
            std::fs::read_to_string(&path).map_err(failed)?
        }
    };
    if settings.json {
        print_json(&serde_json::json!({"key": key.trim()}))
    } else {
        print(&format!("{}\n", key.trim()))
    }
}

#[derive(Debug, Args)]
pub(super) struct Export {
    /// Write checkpoint, hash tiles and entry bundles (C2SP tlog-tiles) into this directory
    #[arg(long, value_name = "DIR", required_unless_present = "openmetrics", conflicts_with = "openmetrics")]
    tiles: Option<PathBuf>,
    /// Print what metrics were at each midnight (UTC), as OpenMetrics, to fill in the past of a time-series database
    #[arg(long)]
    openmetrics: bool,
    /// With --openmetrics, from this instant on: RFC 3339, or a day [default: where anything is to tell]
    #[arg(long, value_name = "TIME", value_parser = instant, conflicts_with = "tiles")]
    from: Option<Timestamp>,
    /// With --openmetrics, to this instant [default: when the last event was recorded]
    #[arg(long, value_name = "TIME", value_parser = instant, conflicts_with = "tiles")]
    to: Option<Timestamp>,
    #[command(flatten)]
    known: Known,
}

pub(super) async fn export(settings: &Settings, args: Export) -> Result<Outcome, Exit> {
    let Some(tiles) = args.tiles else { return openmetrics(settings, args.from, args.to, &args.known).await };
    if args.known.is_given() {
        return Err(Exit::usage("--known-at and --min-position go with --openmetrics"));
    }
    if settings.server.is_some() {
        return Err(Exit::usage("export reads a data directory; a server publishes the same files over HTTP"));
    }
    let data = settings.data.clone();
    let written = tokio::task::spawn_blocking(move || {
        let ledger = Ledger::open_read_only(&data)?;
        copy::export_tiles(&ledger, &tiles)
    });
    let size = written.await.map_err(|error| Exit::no(format!("exporting failed: {error}")))??;
    if settings.json {
        print_json(&serde_json::json!({"events": size}))
    } else {
        print(&format!("{size} events exported\n"))
    }
}

/// Prints the past as it comes.
async fn openmetrics(
    settings: &Settings,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    known: &Known,
) -> Result<Outcome, Exit> {
    if settings.json {
        return Err(Exit::usage("--openmetrics has a form of its own, which is not JSON"));
    }
    let questions = Questions::open(settings, known).await?;
    let request =
        pb::ExportMetricsRequest { asked: Some(questions.asked), from: from.map(Into::into), to: to.map(Into::into) };
    let mut pieces = MetricsServiceClient::new(questions.channel).export_metrics(request).await?.into_inner();
    while let Some(piece) = pieces.message().await? {
        print(&piece.text)?;
    }
    Ok(Outcome::Done)
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Backup {
    /// Copy the ledger into this directory, which must not exist
    #[arg(required = true)]
    destination: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<BackupCommand>,
}

#[derive(Debug, Subcommand)]
pub(super) enum BackupCommand {
    /// Put a backup into the data directory, which must hold no ledger database
    Restore {
        /// The directory that `backup` wrote
        source: PathBuf,
        /// Go on although newer events are known to have been there, for this reason; it is recorded
        #[arg(long, value_name = "REASON")]
        accept_rollback: Option<String>,
    },
}

pub(super) async fn backup(settings: &Settings, args: Backup) -> Result<Outcome, Exit> {
    match (args.command, args.destination) {
        (Some(BackupCommand::Restore { source, accept_rollback }), _) => {
            restore(settings, &source, accept_rollback).await
        }
        (None, Some(destination)) => take(settings, &destination).await,
        (None, None) => Err(Exit::usage("name the directory to copy the ledger into")),
    }
}

async fn take(settings: &Settings, destination: &Path) -> Result<Outcome, Exit> {
    let (data, to) = (settings.data.clone(), destination.to_owned());
    let taken = tokio::task::spawn_blocking(move || copy::backup(&data, &to));
    let taken = taken.await.map_err(|error| Exit::no(format!("the backup failed: {error}")))??;
    let draft = taken.draft(destination, SystemClock.now())?;
    // The copy is good whether or not that succeeds.
    if let Err(exit) = tell_ledger(settings, draft).await {
        tracing::warn!(%exit, "the backup is complete, and is not recorded: --server names the server that has the ledger");
    }
    if settings.json {
        print_json(&serde_json::json!({"events": taken.size, "bytes": taken.bytes}))
    } else {
        print(&format!("{} events, {} bytes, in {}\n", taken.size, taken.bytes, destination.display()))
    }
}

/// Records a backup in the ledger it is of: the one of the data directory, by itself or by its server.
async fn tell_ledger(settings: &Settings, draft: Draft) -> Result<(), Exit> {
    let mut access = Access::writer(settings, "plimsoll backup", false).await?;
    let path = settings.data.verifier_key();
    let key = std::fs::read_to_string(&path).map_err(|error| Exit::no(format!("{}: {error}", path.display())))?;
    if access.key().await? != key.trim() {
        return Err(Exit::no("the server has another ledger"));
    }
    access.append(vec![draft]).await.map(drop)
}

async fn restore(settings: &Settings, source: &Path, accept_rollback: Option<String>) -> Result<Outcome, Exit> {
    let (from, to, guard) = (DataDir::new(source), settings.data.clone(), settings.guard_of(&settings.data));
    let accepted = accept_rollback.is_some();
    let put_back = tokio::task::spawn_blocking(move || copy::restore(&from, &to, &guard, accepted));
    put_back.await.map_err(|error| Exit::no(format!("putting back failed: {error}")))??;
    let options = Options { accept_rollback, ..settings.options("plimsoll backup restore") };
    let ledger = Ledger::open(options).await?;
    let size = ledger.head().size;
    if settings.json {
        print_json(&serde_json::json!({"events": size}))
    } else {
        print(&format!("{size} events are back\n"))
    }
}
