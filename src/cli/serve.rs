//! `serve`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::access::Access;
use super::exit::{Exit, Outcome};
use super::{Settings, follow, import, print_json};
use crate::api::{self, IntakeCounts, ServerOptions};
use crate::app::{HeadsInterval, Views, keep_heads};
use crate::ingest::{self, Intake, kubernetes};
use crate::ledger::{Creation, Ledger, Options};
use crate::projection;
use tokio::task::JoinSet;

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Where to listen for gRPC [default: 127.0.0.1:7450]
    #[arg(long, env = "PLIMSOLL_GRPC", value_name = "ADDR")]
    grpc: Option<SocketAddr>,
    /// Where to listen for HTTP [default: 127.0.0.1:7451]
    #[arg(long, env = "PLIMSOLL_HTTP", value_name = "ADDR")]
    http: Option<SocketAddr>,
    /// The storage engine
    #[arg(long, env = "PLIMSOLL_ENGINE", default_value = "sqlite", value_parser = ["sqlite"])]
    engine: String,
    /// Go on although the database was rolled back, for this reason; it is recorded
    #[arg(long, value_name = "REASON")]
    accept_rollback: Option<String>,
    /// The name of a ledger that is made now: a URL without scheme [default: made up]
    #[arg(long, env = "PLIMSOLL_ORIGIN")]
    origin: Option<String>,
    /// Commit to the heads of all streams after so many events [default: 100000]
    #[arg(long, env = "PLIMSOLL_HEADS_EVENTS", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    heads_events: Option<u64>,
    /// Commit to the heads of all streams after so many seconds [default: 300]
    #[arg(long, env = "PLIMSOLL_HEADS_SECONDS", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    heads_seconds: Option<u64>,
    /// First record the history of this git repository; may be repeated
    #[arg(long, value_name = "PATH|URL")]
    import_git: Vec<PathBuf>,
}

pub(super) async fn serve(settings: &Settings, args: Serve) -> Result<Outcome, Exit> {
    let config = &settings.config;
    let options = Options { accept_rollback: args.accept_rollback, ..settings.options("plimsoll serve") };
    let ledger = Ledger::open_or_create(options, Creation { origin: args.origin }).await?;
    for repository in args.import_git {
        let git = import::of(repository);
        import::run(settings, &mut Access::Local(ledger.clone()), git).await?;
    }
    let usual = HeadsInterval::default();
    let heads = HeadsInterval {
        events: args.heads_events.or(config.heads_events).unwrap_or(usual.events),
        time: args.heads_seconds.or(config.heads_seconds).map_or(usual.time, Duration::from_secs),
    };
    let intake = Intake::new(ledger.clone(), config.intake().map_err(Exit::usage)?).map_err(Exit::usage)?;
    let followed = follow::followed(config)?;
    // What goes on beside answering; ended before the ledger is closed.
    let mut beside = JoinSet::new();
    beside.spawn(keep_heads(ledger.clone(), heads));
    beside.spawn(prepare(intake.clone()));
    for repository in followed {
        beside.spawn(follow::follow(settings.clone(), repository, ledger.clone(), intake.repositories()));
    }
    let watches = kubernetes::start(&intake, kubernetes::clusters(&config.kubernetes).await.map_err(Exit::usage)?);
    let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let views = Views::open(&ledger, &settings.data, projection::all)?;
    let counters = intake.counters().clone();
    let options = ServerOptions {
        views: Some(views.clone()),
        intakes: Some(IntakeCounts(Arc::new(move || counters.all()))),
        doors: ingest::http::router(intake),
        grpc: args.grpc.or(config.grpc).unwrap_or_else(|| loopback(7450)),
        http: args.http.or(config.http).unwrap_or_else(|| loopback(7451)),
        floor: None,
    };
    tracing::info!(data = %settings.data.root().display(), events = ledger.head().size, engine = args.engine, "serving");
    tracing::warn!("access control is off: only this machine can connect, and whoever is on it may read and append");
    let ready = |addresses| {
        if let Err(exit) = print_json(&addresses) {
            exit.report();
        }
    };
    // Before anybody is told that the server is ready: who is told may stop it at once.
    let stop = stop().map_err(|error| Exit::busy(format!("cannot listen for signals: {error}")))?;
    let served = api::serve(ledger.clone(), options, ready, stop).await;
    watches.stop().await;
    // They hold the ledger too; only when they are gone does dropping ours close it.
    beside.shutdown().await;
    views.close().await?;
    served?;
    tokio::task::spawn_blocking(move || drop(ledger))
        .await
        .map_err(|error| Exit::no(format!("closing the ledger failed: {error}")))?;
    Ok(Outcome::Done)
}

/// Reads in the background what the first delivery would else have to wait for.
async fn prepare(intake: Intake) {
    if let Err(error) = intake.prepare().await {
        tracing::warn!(%error, "cannot read what is known of tags in registries; the first delivery that names one tries again");
    }
}

/// Listens for being told to end, from now on; the future completes when that happens.
fn stop() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
