//! What the append path does, counted since the start of this process.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds of the seconds from handing a request in to its answer.
pub const LATENCY_SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Upper bounds of the events in one commit.
pub const BATCH_EVENTS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 500.0, 1000.0, 5000.0];

/// Sources told apart among repeated events: whoever makes up names must not fill the memory.
const REPEATED_MAX: usize = 1000;

/// Counts by size: how many observations lie within each bound and above the one before; the last is beyond all.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Spread {
    /// Observations in each bucket.
    pub counts: Vec<u64>,
    /// Their sum.
    pub sum: f64,
}

impl Spread {
    fn observe(&mut self, bounds: &[f64], value: f64) {
        self.counts.resize(bounds.len() + 1, 0);
        if let Some(count) = self.counts.get_mut(bounds.partition_point(|bound| *bound < value)) {
            *count += 1;
        }
        self.sum += value;
    }
}

/// What was counted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reading {
    /// Seconds from handing a request in to its answer, by [`LATENCY_SECONDS`].
    pub latency: Spread,
    /// New events in each commit, by [`BATCH_EVENTS`].
    pub batch: Spread,
    /// Events that had been recorded before, by type and source.
    pub repeated: BTreeMap<(&'static str, String), u64>,
}

/// Counts what the append path does.
#[derive(Debug, Default)]
pub struct Meter(Mutex<Reading>);

impl Meter {
    /// What was counted so far.
    #[must_use]
    pub fn read(&self) -> Reading {
        self.with(|reading| reading.clone())
    }

    /// A commit with so many new events, and how long each of its requests waited for it.
    pub(super) fn committed(&self, events: u64, waited: impl Iterator<Item = Duration>) {
        self.with(|reading| {
            if events > 0 {
                #[expect(clippy::cast_precision_loss, reason = "a commit has thousands of events at most")]
                reading.batch.observe(&BATCH_EVENTS, events as f64);
            }
            waited.for_each(|waited| reading.latency.observe(&LATENCY_SECONDS, waited.as_secs_f64()));
        });
    }

    /// An event that had been recorded before.
    pub(super) fn repeated(&self, type_name: &'static str, source: &str) {
        self.with(|reading| {
            let full = reading.repeated.len() >= REPEATED_MAX;
            let key = (type_name, source.to_owned());
            let key = if full && !reading.repeated.contains_key(&key) { (type_name, "_other".to_owned()) } else { key };
            *reading.repeated.entry(key).or_default() += 1;
        });
    }

    fn with<T>(&self, run: impl FnOnce(&mut Reading) -> T) -> T {
        run(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
