//! The vocabulary of the ledger and its canonical bytes. Knows nothing else of Plimsoll.
//!
//! An event is a [`Draft`] until the ledger has given it a place; then it is [`Recorded`], and its bytes never change.

pub mod artifact;
pub mod canonical;
pub mod change;
pub mod check;
mod error;
mod evidence;
pub mod foreign;
pub mod git;
mod ids;
pub mod incident;
mod leaf;
pub mod ledger;
pub mod notification;
mod payload;
pub mod pipeline;
pub mod policy;
mod private;
pub mod promotion;
pub mod restore;
pub mod target;
mod vocabulary;

pub use error::Error;
pub use evidence::{EvidenceRef, MediaType};
pub use ids::{Correlation, Dedup, Digest, EventId, GitOid, Hex32, Name, Position, Source, StreamName, Timestamp, U64};
pub use leaf::{Envelope, LEAF_MAX, Peek, Prepared, Recorded, STREAM_CHAIN_CONTEXT, stream_link};
pub use private::{
    Field, PRIVATE_MAX, Private, PrivateParts, Salt, SealedId, SealedRef, Subject, SubjectId, Visitor, commitment,
};
pub use vocabulary::{Data, EventType, StreamKind, VERSION};

/// What a writer expects of the stream it appends to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expected {
    /// Anything.
    #[default]
    Any,
    /// No event yet.
    Empty,
    /// That the last event has this `seq`.
    Seq(u64),
}

/// An event that the ledger has not recorded yet: no position, no hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The payload; its type is the event's.
    pub data: Data,
    /// The stream it belongs to.
    pub stream: StreamName,
    /// Who says so.
    pub source: Source,
    /// The source's own id for it: the same source and dedup is the same event.
    pub dedup: Dedup,
    /// When it happened, as the source claims.
    pub occurred_at: Timestamp,
    /// Who did it. Private values of the event are this subject's, for erasure.
    pub actor: Option<Subject>,
    /// The undertaking it belongs to.
    pub correlation: Option<Correlation>,
    /// The event that led to it.
    pub causation: Option<EventId>,
    /// What backs it up.
    pub evidence: Vec<EvidenceRef>,
    /// What must be true of the stream for it to be appended.
    pub expected: Expected,
}

impl Draft {
    /// A draft with what every event has; the other fields are public.
    pub fn new(
        data: impl Into<Data>,
        stream: StreamName,
        source: Source,
        dedup: Dedup,
        occurred_at: Timestamp,
    ) -> Self {
        Self {
            data: data.into(),
            stream,
            source,
            dedup,
            occurred_at,
            actor: None,
            correlation: None,
            causation: None,
            evidence: Vec::new(),
            expected: Expected::Any,
        }
    }
}

impl Field for Draft {
    fn visit(&mut self, visitor: &mut dyn Visitor) -> Result<(), Error> {
        self.actor.visit(visitor).map_err(|error| error.within("actor"))?;
        self.data.visit(visitor)
    }
}
