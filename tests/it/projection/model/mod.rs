//! The naive model: what the queries must answer, worked out from nothing by plain sets, straight from the definitions.
//!
//! It is slow on purpose, keeps no state and knows nothing of the product but the vocabulary. Whoever changes it should
//! have the definitions at hand, never the product's code.

mod commits;
mod deployments;
mod dora;
mod failures;

use std::collections::{BTreeMap, BTreeSet};

use plimsoll::event::{Data, Draft, EventId, Position, Recorded};

pub use commits::{Change, Outcome};
pub use deployments::{Class, Deployment, End, Status};
pub use dora::{Dora, Figure};

/// An event as the model sees it.
#[derive(Debug, Clone)]
pub struct Fact {
    pub position: u64,
    pub id: EventId,
    /// When it happened, in microseconds.
    pub at: i64,
    /// Decides between facts of the same instant.
    pub key: i64,
    pub source: String,
    pub dedup: String,
    pub stream: String,
    pub data: Data,
}

impl Fact {
    /// From what the ledger recorded.
    pub fn recorded(event: &Recorded) -> Self {
        let envelope = event.envelope();
        let (source, dedup) = (envelope.source.to_string(), envelope.dedup.to_string());
        Self {
            position: envelope.position.0,
            id: envelope.id,
            at: envelope.occurred_at.micros(),
            key: tie(&source, &dedup),
            source,
            dedup,
            stream: envelope.stream.to_string(),
            data: event.data().unwrap(),
        }
    }

    /// From a draft, as if it were recorded at `position`.
    pub fn drafted(position: u64, draft: &Draft) -> Self {
        let (source, dedup) = (draft.source.to_string(), draft.dedup.to_string());
        Self {
            position,
            id: EventId::new(draft.occurred_at, Position(position), 0),
            at: draft.occurred_at.micros(),
            key: tie(&source, &dedup),
            source,
            dedup,
            stream: draft.stream.to_string(),
            data: draft.data.clone(),
        }
    }
}

/// What decides between two facts of the same instant: the same everywhere, whatever came first.
pub fn tie(source: &str, dedup: &str) -> i64 {
    let hash = blake3::Hasher::new().update(source.as_bytes()).update(&[0]).update(dedup.as_bytes()).finalize();
    i64::from_be_bytes(hash.as_bytes()[..8].try_into().unwrap())
}

/// What is known: a set of facts.
#[derive(Debug, Clone)]
pub struct Model {
    /// Each once, in the order of their instants.
    facts: Vec<Fact>,
}

impl Model {
    /// Knows these facts; of a fact that comes twice the first counts.
    pub fn of(facts: impl IntoIterator<Item = Fact>) -> Self {
        let mut known: BTreeMap<(String, String), Fact> = BTreeMap::new();
        for fact in facts {
            let name = (fact.source.clone(), fact.dedup.clone());
            if known.get(&name).is_none_or(|other| other.position > fact.position) {
                known.insert(name, fact);
            }
        }
        let mut facts: Vec<_> = known.into_values().collect();
        facts.sort_by_key(|fact| (fact.at, fact.key));
        Self { facts }
    }

    /// Knows these drafts, recorded in this order.
    pub fn of_drafts(drafts: &[Draft]) -> Self {
        Self::of((0..).zip(drafts).map(|(position, draft)| Fact::drafted(position, draft)))
    }

    /// What was known when the ledger had its first `n` events.
    pub fn known_at(&self, n: u64) -> Self {
        Self { facts: self.facts.iter().filter(|fact| fact.position < n).cloned().collect() }
    }

    /// The streams of all targets of which anything is known.
    pub fn targets(&self) -> BTreeSet<String> {
        let streams = self.facts.iter().map(|fact| &fact.stream);
        streams.filter(|stream| stream.starts_with("target/")).cloned().collect()
    }

    /// The targets whose environment is of the tier `production`, by its name.
    pub fn production(&self) -> BTreeSet<String> {
        let pattern = regex::Regex::new("(?i)(^|[^a-z0-9])(production|prod|prd|live)([^a-z0-9]|$)").unwrap();
        self.targets().into_iter().filter(|target| pattern.is_match(target.split('/').nth(1).unwrap())).collect()
    }

    fn stream<'a>(&'a self, stream: &'a str) -> impl Iterator<Item = &'a Fact> {
        self.facts.iter().filter(move |fact| fact.stream == stream)
    }
}
