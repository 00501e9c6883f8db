//! Ledgers that hold a year of the shop. They can be kept, and are found again by the next run.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use anyhow::Context as _;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::super::Result;
use super::super::append::rate;
use super::{END, Estate, Params, YEAR};
use crate::event::{Draft, MediaType, Timestamp};
use crate::ledger::{Clock, Creation, DataDir, Ledger, Options};

/// Raised with every change to what is invented, so that nothing old is taken for it.
const VERSION: u32 = 1;

/// Events of a request.
const BATCH: usize = 4096;

/// Requests on their way at once.
const IN_FLIGHT: usize = 6;

/// A ledger as it was filled, or found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Filled {
    /// How many events were invented.
    pub events: u64,
    /// How many services they are of.
    pub services: u64,
    /// Appended per second, inventing, sealing and documents included; absent where the ledger was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub appended: Option<f64>,
    /// Size of the log and the private values. MB.
    pub log_mb: f64,
}

/// What stands beside a ledger and tells what it holds.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Marker {
    version: u32,
    params: Params,
    /// False until everything is in it.
    whole: bool,
}

/// The ledger that holds what is asked for, below `parent`: the one that is there, or a new one.
pub(in super::super) async fn filled(parent: &Path, params: Params) -> Result<(DataDir, Filled)> {
    let place = parent.join(format!("plimsoll-estate-{}-{}-{}", params.events, params.services, params.seed));
    let (marker, data) = (place.join("estate.json"), DataDir::new(place.join("data")));
    let wanted = Marker { version: VERSION, params, whole: true };
    let appended = if place.exists() && read(&marker)? == wanted {
        None
    } else {
        // Only what has a marker gets here: nothing else is removed.
        if place.exists() {
            std::fs::remove_dir_all(&place).with_context(|| format!("cannot remove {}", place.display()))?;
        }
        std::fs::create_dir_all(&place).with_context(|| format!("cannot create {}", place.display()))?;
        write(&marker, &Marker { version: VERSION, params, whole: false })?;
        let appended = fill(&data, params).await?;
        write(&marker, &wanted)?;
        Some(appended)
    };
    let log_mb = std::fs::metadata(data.ledger())?.len() as f64 / 1e6;
    Ok((data, Filled { events: params.events, services: params.services, appended, log_mb }))
}

fn read(marker: &Path) -> Result<Marker> {
    let what = || format!("{} is not what a bench left behind", marker.display());
    serde_json::from_slice(&std::fs::read(marker).with_context(what)?).with_context(what)
}

fn write(path: &Path, marker: &Marker) -> Result<()> {
    std::fs::write(path, serde_json::to_vec_pretty(marker)?).with_context(|| format!("cannot write {}", path.display()))
}

/// The clock of the year that is played through: what happened is recorded when it is told.
#[derive(Debug)]
struct Told(AtomicI64);

impl Clock for Told {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros_clamped(self.0.load(Ordering::Relaxed))
    }
}

/// Events that are recorded together.
#[derive(Default)]
struct Batch {
    drafts: Vec<Draft>,
    documents: Vec<(MediaType, Bytes)>,
    /// When the last of them is told.
    at: Option<Timestamp>,
}

/// Appends everything, and returns how many events a second that was.
async fn fill(data: &DataDir, params: Params) -> Result<f64> {
    let clock = Arc::new(Told(AtomicI64::new(END - YEAR)));
    let options = Options { clock: clock.clone(), ..Options::new(data.clone(), "plimsoll bench") };
    let ledger = Ledger::create(options, Creation::default()).await?;
    let began = Instant::now();
    let (sender, mut batches) = mpsc::channel(2);
    let inventing = tokio::task::spawn_blocking(move || invent(params, &sender));
    let mut pending = VecDeque::new();
    while let Some(batch) = batches.recv().await {
        keep(&ledger, batch.documents).await?;
        if let Some(at) = batch.at {
            clock.0.store(at.micros(), Ordering::Relaxed);
        }
        pending.push_back(ledger.submit(batch.drafts).await?);
        if pending.len() > IN_FLIGHT
            && let Some(first) = pending.pop_front()
        {
            first.wait().await?;
        }
    }
    inventing.await??;
    for last in pending {
        last.wait().await?;
    }
    let took = began.elapsed();
    // The ledger's own first event stands before them.
    let size = ledger.head().size;
    anyhow::ensure!(size == params.events + 1, "{} events were told, and the ledger has {size}", params.events);
    tokio::task::spawn_blocking(move || drop(ledger)).await?;
    Ok(rate(params.events, took))
}

fn invent(params: Params, sender: &mpsc::Sender<Batch>) -> Result<()> {
    let mut batch = Batch::default();
    for told in Estate::new(params)? {
        let told = told?;
        if let (Some(bytes), Some(reference)) = (told.document, told.draft.evidence.first()) {
            batch.documents.push((reference.media_type.clone(), bytes));
        }
        batch.at = Some(told.at);
        batch.drafts.push(told.draft);
        if batch.drafts.len() == BATCH && sender.blocking_send(std::mem::take(&mut batch)).is_err() {
            // Whoever appends has failed, and says why.
            return Ok(());
        }
    }
    if !batch.drafts.is_empty() {
        let _whoever_appends_failed = sender.blocking_send(batch).is_err();
    }
    Ok(())
}

/// Stores documents, durably, before the events that name them.
async fn keep(ledger: &Ledger, documents: Vec<(MediaType, Bytes)>) -> Result<()> {
    let mut storing = JoinSet::new();
    for (media_type, bytes) in documents {
        let ledger = ledger.clone();
        storing.spawn(async move { ledger.evidence().put(media_type, &bytes).await.map(drop) });
    }
    while let Some(stored) = storing.join_next().await {
        stored??;
    }
    Ok(())
}
