//! The contract of a storage engine: the precious part of a ledger, and nothing that can be derived from it.
//!
//! An engine stores leaves by position, signed checkpoints by tree size, and what can be erased beside them: private values
//! and small evidence.
//! Deduplication, stream versions, chain links and the tree are derived by [`super::index`] on every node, so an engine
//! stays small. `tests/it/conformance.rs` holds every engine to this page.

use std::ops::Range;
use std::path::Path;

use bytes::Bytes;

use super::{Error, Result};
use crate::event::{Hex32, Salt, SealedId, SubjectId};

/// A private value and what opens its commitment.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedValue {
    /// Its id in the leaf.
    pub id: SealedId,
    /// The actor of the event it belongs to: erased with them.
    pub owner: Option<SubjectId>,
    /// Random bytes of the commitment.
    pub salt: Salt,
    /// The value.
    pub value: String,
}

/// Who is behind a pseudonym.
#[derive(Clone, PartialEq, Eq)]
pub struct SubjectRecord {
    /// The pseudonym.
    pub id: SubjectId,
    /// Random bytes of the commitment.
    pub salt: Salt,
    /// The identity as its source names it. Unique.
    pub identity: String,
}

/// A small blob of evidence, compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedBlob {
    /// BLAKE3 of its content.
    pub blake3: Hex32,
    /// Its content, compressed with zstd.
    pub packed: Bytes,
}

/// What to erase together with the event that says so.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Erasure {
    /// Subjects whose identity and owned values go.
    pub subjects: Vec<SubjectId>,
    /// Single values that go.
    pub values: Vec<SealedId>,
    /// Blobs of evidence that go.
    pub blobs: Vec<Hex32>,
}

/// One atomic step of the log.
#[derive(Clone, Default)]
pub struct Batch {
    /// The size the log must have for this batch to be applied: the position of the first leaf.
    pub first: u64,
    /// Leaves, in order.
    pub leaves: Vec<Bytes>,
    /// The signed checkpoint of the tree after the last leaf; present exactly when there are leaves.
    pub checkpoint: Option<String>,
    /// Values sealed in these leaves.
    pub sealed: Vec<SealedValue>,
    /// Small evidence that these leaves bring. One that is there already is written over.
    pub evidence: Vec<PackedBlob>,
    /// New pseudonyms.
    pub subjects: Vec<SubjectRecord>,
    /// What these leaves erase.
    pub erase: Erasure,
}

/// Why a batch was not applied. The difference between the two is the difference between going on and stopping.
#[derive(Debug)]
pub enum AppendError {
    /// Another writer moved the head: nothing was applied.
    Moved {
        /// The log's size now.
        size: u64,
    },
    /// Nothing was applied, for certain, and the engine may be used further: disk full, read-only file.
    Refused(Error),
    /// Whether the batch was applied is not known, or the medium can no longer be trusted (a failed fsync).
    /// The engine must not be written to again in this process.
    Fatal(Error),
}

/// The head of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// How many events there are.
    pub size: u64,
    /// The signed checkpoint of exactly that size, a C2SP note; none only for an empty log.
    pub checkpoint: Option<String>,
}

/// Sees leaves one by one; returns false to stop.
pub type LeafVisitor<'a> = dyn FnMut(u64, &[u8]) -> Result<bool> + 'a;

/// Reading a log. May be called from any thread at any time, concurrently with one [`Appender`].
///
/// Every read sees a prefix of the log that ended with a whole batch. What a read has returned never changes.
pub trait Engine: Send + Sync {
    /// The head. Durable: what it tells survives any crash.
    ///
    /// # Errors
    /// Storage errors; `Corrupt` when leaves and checkpoint disagree on the size.
    fn head(&self) -> Result<Head>;

    /// Shows the leaves with positions in `range`, ascending, or descending when `backwards`, until the visitor stops.
    /// Positions that do not exist are passed over in silence; a caller that must not miss any counts.
    ///
    /// # Errors
    /// Storage errors and the visitor's.
    fn read(&self, range: Range<u64>, backwards: bool, visit: &mut LeafVisitor<'_>) -> Result<()>;

    /// The leaf at `position`.
    ///
    /// # Errors
    /// Storage errors.
    fn leaf(&self, position: u64) -> Result<Option<Bytes>>;

    /// Shows the signed checkpoints with sizes in `range`, ascending, until the visitor returns false.
    ///
    /// # Errors
    /// Storage errors and the visitor's.
    fn checkpoints(&self, range: Range<u64>, visit: &mut dyn FnMut(u64, &str) -> Result<bool>) -> Result<()>;

    /// The sealed value with that id, unless it was erased.
    ///
    /// # Errors
    /// Storage errors.
    fn sealed(&self, id: &SealedId) -> Result<Option<SealedValue>>;

    /// The small blob with that BLAKE3, compressed, unless it was erased or lies elsewhere.
    ///
    /// # Errors
    /// Storage errors.
    fn evidence(&self, blake3: &Hex32) -> Result<Option<Bytes>>;

    /// The subject with that pseudonym, unless it was erased.
    ///
    /// # Errors
    /// Storage errors.
    fn subject(&self, id: &SubjectId) -> Result<Option<SubjectRecord>>;

    /// The subject with that identity.
    ///
    /// # Errors
    /// Storage errors.
    fn subject_of(&self, identity: &str) -> Result<Option<SubjectRecord>>;

    /// A writer. At most one exists for a database at a time, in this process or any other.
    ///
    /// # Errors
    /// Storage errors.
    fn appender(&self) -> Result<Box<dyn Appender>>;

    /// Copies a consistent state of the whole store into a new file at `to`, synced, while writing goes on.
    /// Returns the copy's size in bytes.
    ///
    /// # Errors
    /// Storage errors.
    fn backup(&self, to: &Path) -> Result<u64>;
}

/// Writing a log: owned by one thread.
pub trait Appender: Send {
    /// Applies the whole batch or nothing. On return it is durable and visible to every reader.
    ///
    /// # Errors
    /// See [`AppendError`]; which variant is returned is part of the contract.
    fn append(&mut self, batch: &Batch) -> Result<(), AppendError>;

    /// Gives the engine a moment to put itself in order; called between batches.
    fn maintain(&mut self) {}
}
