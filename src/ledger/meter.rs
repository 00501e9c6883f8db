//! What the append path does, counted since the start of this process.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Error;
use crate::exposition::Histogram;

/// Upper bounds of the seconds from handing a request in to its answer.
const LATENCY_SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Upper bounds of the events in one commit.
const BATCH_EVENTS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 500.0, 1000.0, 5000.0];

/// Sources told apart among repeated events: whoever makes up names must not fill the memory.
const REPEATED_MAX: usize = 1000;

/// Why requests fail: the storage refuses and nothing is recorded; nobody knows; the writer has stopped; what was asked
/// for cannot be.
const FAILURES: [&str; 4] = ["cannot_write", "outcome_unknown", "stopped", "refused"];

/// What was counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Seconds from handing a request in to its answer.
    pub latency: Histogram,
    /// New events in each commit.
    pub batch: Histogram,
    /// Events that had been recorded before, by type and source.
    pub repeated: BTreeMap<(&'static str, String), u64>,
    /// Requests that failed, by the word for why; each of `FAILURES` is there from the start.
    pub failed: BTreeMap<&'static str, u64>,
}

impl Default for Reading {
    fn default() -> Self {
        let (latency, batch) = (Histogram::classic(&LATENCY_SECONDS), Histogram::classic(&BATCH_EVENTS));
        Self { latency, batch, repeated: BTreeMap::new(), failed: FAILURES.into_iter().map(|why| (why, 0)).collect() }
    }
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
                reading.batch.observe(events as f64);
            }
            waited.for_each(|waited| reading.latency.observe(waited.as_secs_f64()));
        });
    }

    /// A request that failed.
    pub(super) fn failed(&self, error: &Error) {
        let [cannot_write, unknown, stopped, refused] = FAILURES;
        let why = match error {
            Error::CannotWrite { .. } => cannot_write,
            Error::OutcomeUnknown { .. } => unknown,
            Error::Stopped(_) => stopped,
            _ => refused,
        };
        self.with(|reading| *reading.failed.entry(why).or_default() += 1);
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
