//! How an object came to be seen, and drafts of what follows from it.

use crate::event::target::{Observation, Uncertainty};
use crate::event::{Data, Draft, Source, StreamName, Timestamp};
use crate::ingest::{Rejection, Targets};
use crate::report::value;

use super::object;

/// How, when and by whom something was seen.
#[derive(Debug, Clone, Copy)]
pub struct Sight<'a> {
    /// Who says so.
    pub source: &'a Source,
    /// Which target is meant by what the cluster calls it.
    pub targets: &'a Targets,
    /// What the cluster is called in the settings.
    pub cluster: Option<&'a str>,
    /// How it was seen.
    pub observation: Observation,
    /// When it was seen.
    pub at: Timestamp,
    /// Until when nothing was missed, where something may have been missed since.
    pub since: Option<Timestamp>,
}

impl Sight<'_> {
    /// Between which instants something must have happened, where it was found later.
    pub(super) fn between(&self) -> Option<Uncertainty> {
        self.since.map(|from| Uncertainty { from, to: self.at.max(from) })
    }

    /// A draft.
    ///
    /// # Errors
    /// [`Reason::FutureTime`](crate::ingest::Reason::FutureTime).
    pub(super) fn draft(
        &self,
        data: impl Into<Data>,
        stream: &StreamName,
        key: &str,
        occurred_at: Timestamp,
    ) -> Result<Draft, Rejection> {
        value::not_ahead("occurred_at", occurred_at, self.at)?;
        Ok(Draft::new(data, stream.clone(), self.source.clone(), object::dedup(key)?, occurred_at))
    }
}
