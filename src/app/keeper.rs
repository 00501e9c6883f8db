//! Commits to the heads of all streams from time to time.

use std::time::Duration;

use crate::ledger::{Kind, Ledger};

/// When `heads.committed` is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadsInterval {
    /// After so many events.
    pub events: u64,
    /// After so long, if there were any events at all.
    pub time: Duration,
}

impl Default for HeadsInterval {
    /// Every 100,000 events: the list of a large shop's streams is a few megabytes. And every 5 minutes, which bounds
    /// how long the newest event of a stream can go without a commitment to it.
    fn default() -> Self {
        Self { events: 100_000, time: Duration::from_secs(300) }
    }
}

/// Appends `heads.committed` whenever it is due. Ends only when the ledger can no longer be written to.
pub async fn keep_heads(ledger: Ledger, interval: HeadsInterval) {
    let mut head = ledger.watch();
    let mut committed_at = ledger.head().size;
    loop {
        let due = tokio::time::sleep(interval.time);
        let enough = async {
            // An error means that the writer is gone; the timer then finds that out.
            let events = interval.events.max(1);
            let moved = head.wait_for(|head| head.size >= committed_at.saturating_add(events)).await.is_ok();
            if !moved {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = due => {}
            () = enough => {}
        }
        match ledger.commit_heads().await {
            Ok(position) => {
                committed_at = position.map_or(committed_at, |position| position.0 + 1).max(ledger.head().size);
            }
            Err(error) if error.kind() == Kind::Unavailable => {
                tracing::warn!(%error, "cannot commit to the heads of the streams");
                tokio::time::sleep(Duration::from_secs(10)).await;
            }
            Err(error) => {
                tracing::error!(%error, "cannot commit to the heads of the streams");
                return;
            }
        }
    }
}
