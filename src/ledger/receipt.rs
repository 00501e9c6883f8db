//! Receipts: an event, its place in the tree, and the signed checkpoint. Verifiable offline, with foreign tools.

use bytes::Bytes;

use super::index::Index;
use super::tree::{self, Checkpoint, TlogProof, VerifierKey};
use super::{Error, Result};
use crate::event::Recorded;

/// Proof that an event is in the log at its position.
///
/// Its text form is a C2SP `.tlog-proof` whose `extra` line carries the event's exact bytes, so that one file is all
/// there is to keep. What `extra` says is believed only because the proof is over its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The event's exact bytes.
    pub leaf: Bytes,
    /// The proof and the checkpoint.
    pub proof: TlogProof,
}

impl Receipt {
    /// The receipt of the event at `position` in the tree that `checkpoint`, of `size` leaves, was signed for.
    ///
    /// # Errors
    /// `NotFound` for a position beyond the tree; `Corrupt`; storage errors.
    pub fn new(index: &Index, leaf: Bytes, position: u64, size: u64, checkpoint: &str) -> Result<Self> {
        if position >= size {
            return Err(Error::NotFound(format!("event {position} in a tree of {size}")));
        }
        let hashes = tree::inclusion_proof(&mut index.nodes(), position, size).map_err(|error| match error {
            tree::ProofBuildError::Read(error) => error,
            other => Error::Internal(other.to_string()),
        })?;
        let proof =
            TlogProof { extra: Some(leaf.to_vec()), index: position, hashes, checkpoint: checkpoint.to_owned() };
        Ok(Self { leaf, proof })
    }

    /// Reads a receipt from its text form. Nothing is verified yet.
    ///
    /// # Errors
    /// `Invalid` when the text is not a proof, or carries no event.
    pub fn parse(text: &str) -> Result<Self> {
        let proof = TlogProof::parse(text).map_err(|error| Error::invalid("receipt", error.to_string()))?;
        let leaf =
            proof.extra.clone().ok_or_else(|| Error::invalid("receipt", "it carries no event (`extra` line)"))?;
        Ok(Self { leaf: leaf.into(), proof })
    }

    /// Verifies signature and inclusion, and that the event says it is where the proof puts it.
    ///
    /// # Errors
    /// `Corrupt`, saying what does not fit.
    pub fn verify(&self, key: &VerifierKey) -> Result<(Checkpoint, Recorded)> {
        let corrupt = |what: String| Error::Corrupt(format!("receipt: {what}"));
        let checkpoint = self.proof.verify(&self.leaf, key).map_err(|error| corrupt(error.to_string()))?;
        let event = Recorded::parse(self.leaf.clone()).map_err(|error| corrupt(error.to_string()))?;
        if event.envelope().position.0 != self.proof.index {
            let (says, is) = (event.envelope().position, self.proof.index);
            return Err(corrupt(format!("the event says that it is at {says}, and the proof puts it at {is}")));
        }
        Ok((checkpoint, event))
    }
}

impl std::fmt::Display for Receipt {
    /// The text form, to be kept in a file that ends in `.tlog-proof`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.proof.fmt(f)
    }
}
