//! How often what was taken in, passed over or refused.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts since the start, by source and outcome. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Counters(Arc<Mutex<BTreeMap<(String, &'static str), u64>>>);

/// Sources that are told apart: whoever makes up names must not fill the memory.
const SOURCES_MAX: usize = 1_000;

impl Counters {
    /// Counts one more, and returns how many that makes. `outcome` is `recorded`, `known`, `passed_over`, or the word of
    /// a [`Reason`](super::Reason).
    pub fn count(&self, source: &str, outcome: &'static str) -> u64 {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let full = counts.len() >= SOURCES_MAX && !counts.contains_key(&(source.to_owned(), outcome));
        let source = if full { "other" } else { source };
        let n = counts.entry((source.to_owned(), outcome)).or_default();
        *n += 1;
        *n
    }

    /// Every count: source, outcome, how often.
    #[must_use]
    pub fn all(&self) -> Vec<(String, &'static str, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|((source, outcome), n)| (source.clone(), *outcome, *n)).collect()
    }
}
