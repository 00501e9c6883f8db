//! Full verification, against SHA-256 of the same events.

use std::sync::Arc;
use std::time::Instant;

use super::report::Spread;
use super::rig::Rig;
use super::{Result, floor};
use crate::ledger::verify::{Checks, verify};
use crate::ledger::{Filter, Guard, Ledger, PageLimit};

pub(super) async fn measure(rig: &Rig, size: u64) -> Result<Spread> {
    let ledger = rig.ledger.clone();
    let guard = Guard::new(rig.site.data.guard());
    tokio::task::spawn_blocking(move || rounds(&ledger, &guard, super::rounds(size))).await?
}

fn rounds(ledger: &Ledger, guard: &Guard, n_rounds: usize) -> Result<Spread> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut leaves = Vec::new();
    let size = ledger.head().size;
    while (leaves.len() as u64) < size {
        let limit = PageLimit { events_max: 10_000, bytes_max: 64 << 20, scanned_max: 10_000 };
        let page = ledger.page(leaves.len() as u64, size, false, &Filter::default(), limit)?;
        leaves.extend(page.entries.into_iter().map(|entry| entry.leaf));
    }
    let megabytes = leaves.iter().map(bytes::Bytes::len).sum::<usize>() as f64 / 1e6;
    let mut rounds = Vec::new();
    for _ in 0..n_rounds {
        let checks = Checks {
            engine: Arc::clone(ledger.engine()),
            key: ledger.key().clone(),
            index: Some(Arc::clone(ledger.index())),
            evidence: Some(ledger.evidence().clone()),
            guard: Some(guard.clone()),
            remembered: None,
            threads,
            now: ledger.clock().now(),
        };
        let began = Instant::now();
        let report = verify(&checks, &mut |_, _| {})?;
        let ours = megabytes / began.elapsed().as_secs_f64();
        anyhow::ensure!(report.ok && report.events == size, "verification found: {:?}", report.findings);
        rounds.push((ours, megabytes / floor::sha256(&leaves, threads).as_secs_f64()));
    }
    Ok(Spread::of(&rounds))
}
