//! What the ledger says of itself. Stream `ledger`.

use super::payload::{payload, words};
use super::private::{Private, SealedId, Subject, SubjectId};
use super::{Hex32, Position, Source, Timestamp, U64};

words! {
    /// Why something was erased.
    pub enum ErasureGround {
        /// The person asked for it (GDPR article 17(1)(b) or (c)).
        Request = "request",
        /// The retention period is over.
        Retention = "retention",
        /// It should not have been recorded: a secret, or somebody else's data.
        Mistake = "mistake",
        /// A court or authority ordered it.
        Order = "order",
    }
}

payload! {
    /// The ledger begins. Always the event at position 0; binds the log to its key and origin for ever.
    pub struct LedgerCreated {
        /// Version of the program that made it.
        created_with: String,
        /// The verifier key, as in `ledger.vkey` (C2SP signed-note).
        key: String,
        /// The log's origin (C2SP tlog-checkpoint).
        origin: String,
    }

    /// From the next checkpoint on, another key signs. Signed, like every event, under the old one.
    pub struct KeyRotated {
        /// The verifier key from now on.
        key_after: String,
        /// The verifier key until now.
        key_before: String,
        /// Why.
        reason: Option<String>,
    }

    /// Commits to the last event of every stream, so that a filtered history cannot hide its newest events.
    ///
    /// The list is evidence: one line `<stream> <seq> <hash>` each, sorted by stream in byte order, where hash is
    /// what the next event of that stream has as `prev`.
    pub struct HeadsCommitted {
        /// The list covers the events before this position.
        as_of: Position,
        /// BLAKE3 of the list.
        blake3: Hex32,
        /// SHA-256 of the list.
        sha256: Hex32,
        /// How many streams there are.
        streams: U64,
    }

    /// The ledger could not see something for a while.
    pub struct ObservationGap {
        /// From when it was blind.
        from: Timestamp,
        /// What it was blind to: a source, where it is one.
        observed: Option<Source>,
        /// Why.
        reason: String,
        /// Until when.
        to: Timestamp,
    }

    /// Somebody took a copy out.
    pub struct ExportCreated {
        /// How many events it holds.
        events: U64,
        /// What was asked for, as the caller wrote it.
        query: Option<Private>,
        /// Size of the tree it is verified against.
        tree_size: Position,
        /// Who asked.
        who: Option<Subject>,
    }

    /// A backup is complete and synced.
    pub struct BackupCompleted {
        /// The backup holds the events before this position.
        as_of: Position,
        /// Where it was written; may tell a host or person, hence private.
        destination: Private,
        /// Size of the copied files in bytes.
        size: U64,
    }

    /// The ledger continues from an older copy of itself although a newer state was known to exist.
    pub struct LedgerRestored {
        /// The newest checkpoint known outside the database, verbatim.
        known_checkpoint: String,
        /// Who decided to go on.
        operator: Option<Subject>,
        /// Why.
        reason: Private,
        /// Size of the tree that is continued; events known to have been from here on are lost.
        size_after: Position,
        /// Size of the tree that was known.
        size_before: Position,
    }

    /// A restore was rehearsed.
    pub struct DrillCompleted {
        /// What was rehearsed.
        kind: String,
        /// What came of it, in words.
        notes: Option<Private>,
        /// Whether it worked.
        passed: bool,
    }

    /// What runs was compared with what the ledger says should run.
    pub struct ReconcileCompleted {
        /// How many things were compared.
        compared: U64,
        /// How many agree.
        matched: U64,
        /// What was compared with: a cluster, a registry, a repository.
        observed: Source,
        /// How many do not.
        unmatched: U64,
    }

    /// Private values were erased. Their commitments stay, and their absence verifies as erasure.
    pub struct SubjectErased {
        /// On what ground.
        ground: ErasureGround,
        /// Who decided it.
        operator: Option<Subject>,
        /// The person whose identity, and every private value of events where they are the actor, is gone.
        subject: Option<SubjectId>,
        /// Single values that are gone.
        values: Vec<SealedId>,
    }

    /// A blob was erased from the evidence store.
    pub struct EvidenceErased {
        /// BLAKE3 of the blob: its address.
        blake3: Hex32,
        /// On what ground.
        ground: ErasureGround,
        /// Who decided it.
        operator: Option<Subject>,
        /// SHA-256 of the blob.
        sha256: Hex32,
        /// Its length in bytes.
        size: U64,
    }
}
