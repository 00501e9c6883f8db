//! Full verification: reads every byte again and believes nothing that is stored about it.
//!
//! One function binds leaves, chains, tree, checkpoints and heads at the same size, so that no two of them can tell
//! different histories. What is wrong becomes a [`Finding`]; verification goes on, to name every kind of damage.

mod beside;
mod chain;
mod hashes;
mod last;
mod ledger;
mod notes;
mod scan;
mod tiles;

use serde::Serialize;

pub(super) use chain::HEADS_REACH;
pub use last::Verification;
pub use ledger::{Checks, Progress, verify};
pub use tiles::{TileSource, verify_tiles};

/// Findings of one kind that are named; further ones are only counted.
const NAMED_MAX: usize = 20;

/// What kind of damage was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Damage {
    /// A position without an event.
    MissingEvent,
    /// An event whose bytes are not canonical JSON.
    NotCanonical,
    /// An event that says that it is elsewhere, or is no event.
    BadEnvelope,
    /// A stream's `seq` or `prev` that does not follow from the event before.
    BrokenChain,
    /// An event recorded before the one in front of it, or in the future.
    BadTime,
    /// A stored hash tile that is not that of the events.
    BadTile,
    /// A published bundle of events that is not one, or holds more or fewer than the tree has there.
    BadBundle,
    /// A checkpoint whose root is not that of the events.
    BadRoot,
    /// A checkpoint that is not signed by the log's key, or not one.
    BadSignature,
    /// Events without a checkpoint over them, or a checkpoint over more events than there are.
    BadSize,
    /// A commitment to the heads of the streams that does not hold.
    BadHeads,
    /// A blob that is named and not there, without having been erased.
    MissingEvidence,
    /// A blob that is not what is named.
    BadEvidence,
    /// A private value that is named and not there, without having been erased.
    MissingPrivateValue,
    /// A private value that does not open its commitment.
    BadPrivateValue,
    /// The database is older than a checkpoint known outside it, or has another history.
    RolledBack,
    /// The derived index does not agree with the log. Deleting `index.db` mends it.
    BadIndex,
    /// The first event does not name this log's key and origin.
    BadBirth,
    /// Something could not be read at all.
    Unreadable,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of damage.
    pub damage: Damage,
    /// The event it is about, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// What is wrong, in words.
    pub detail: String,
}

/// What was checked, and what was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// True when nothing is wrong.
    pub ok: bool,
    /// The log's origin.
    pub origin: String,
    /// How many events were read.
    pub events: u64,
    /// Bytes of those events.
    pub bytes: u64,
    /// The root over them, in base64.
    pub root: String,
    /// Streams seen.
    pub streams: u64,
    /// Checkpoints checked.
    pub checkpoints: u64,
    /// Hash tiles compared.
    pub tiles: u64,
    /// Blobs read.
    pub evidence: u64,
    /// Private values and identities opened.
    pub private_values: u64,
    /// Private values whose absence is accounted for by an erasure.
    pub erased: u64,
    /// The lowest position that something is wrong with. Where no event can be named, the first that the newest
    /// checkpoint that holds does not cover.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_bad_position: Option<u64>,
    /// What is wrong; at most 20 of each kind.
    pub findings: Vec<Finding>,
    /// How many findings there are in all.
    pub findings_total: u64,
    /// Things worth knowing that are no damage.
    pub notes: Vec<String>,
    /// From which position on events are not those that were signed for, as the checkpoints tell.
    #[serde(skip)]
    pub(super) unsigned_from: Option<u64>,
}

impl Report {
    /// The report on a log of which nothing can be read.
    #[must_use]
    pub fn unreadable(origin: &str, why: &super::Error) -> Self {
        let mut report = Self { origin: origin.to_owned(), ..Self::default() };
        report.find(Damage::Unreadable, None, why.to_string());
        report.conclude()
    }

    /// Adds a finding.
    pub(super) fn find(&mut self, damage: Damage, position: Option<u64>, detail: impl Into<String>) {
        self.findings_total += 1;
        if let Some(position) = position {
            self.first_bad_position = Some(self.first_bad_position.map_or(position, |first| first.min(position)));
        }
        if self.findings.iter().filter(|finding| finding.damage == damage).count() < NAMED_MAX {
            self.findings.push(Finding { damage, position, detail: detail.into() });
        }
    }

    pub(super) fn conclude(mut self) -> Self {
        self.ok = self.findings_total == 0;
        self.first_bad_position = self.first_bad_position.or(self.unsigned_from);
        self.findings.sort_by_key(|finding| (finding.position.unwrap_or(u64::MAX), finding.damage));
        self
    }
}
