//! The only code that signs checkpoints.

use super::tree::{Checkpoint, Frontier, Hash, SigningKey, VerifierKey};
use super::{Error, Result};

/// Signs checkpoints of one growing tree.
///
/// It keeps the right edge of what it signed last and takes nothing but further leaves, so whatever it signs is an
/// extension of what it signed before: the leaves themselves are the consistency proof. No code path can sign a fork.
pub struct Signer {
    key: SigningKey,
    frontier: Frontier,
}

/// A signed checkpoint that is not part of the log yet.
#[must_use = "sign only what is then committed, and confirm it"]
pub struct Signed {
    note: String,
    frontier: Frontier,
}

impl Signed {
    /// The note.
    #[must_use]
    pub fn note(&self) -> &str {
        &self.note
    }
}

impl Signer {
    /// A signer that continues from `previous`, the newest checkpoint of the log, whose right edge is `frontier`.
    /// None starts an empty log.
    ///
    /// # Errors
    /// `Refused` when the checkpoint is not signed by this key or the edge is not that of the signed tree.
    pub fn resume(key: SigningKey, previous: Option<&str>, frontier: Frontier) -> Result<Self> {
        let (size, root) = match previous {
            Some(note) => {
                let checkpoint = verify_note(note, &key.verifier_key())?;
                (checkpoint.size, checkpoint.root)
            }
            None => (0, super::tree::empty_root()),
        };
        if frontier.size() != size || frontier.root() != root {
            return Err(Error::Refused(format!(
                "will not sign: the tree of {} events with root {} is not the one signed last ({size} events, root {root})",
                frontier.size(),
                frontier.root()
            )));
        }
        Ok(Self { key, frontier })
    }

    /// The log's origin.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.key.name()
    }

    /// How many leaves the confirmed tree has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Signs the tree that results from appending `leaves` to what was confirmed last.
    ///
    /// # Errors
    /// `Internal` when the note cannot be made.
    pub fn sign(&self, leaves: impl IntoIterator<Item = Hash>) -> Result<Signed> {
        let mut frontier = self.frontier.clone();
        for leaf in leaves {
            frontier.push(leaf);
        }
        let checkpoint = Checkpoint::new(self.key.name().to_owned(), frontier.size(), frontier.root());
        let note = checkpoint.sign(&self.key).map_err(|error| Error::Internal(format!("cannot sign: {error}")))?;
        Ok(Signed { note: note.to_string(), frontier })
    }

    /// Adopts a signed tree: it is in the log now.
    pub fn confirm(&mut self, signed: Signed) {
        self.frontier = signed.frontier;
    }
}

/// Reads a checkpoint and checks its signature and origin.
///
/// # Errors
/// `Corrupt`, saying what is wrong.
pub fn verify_note(note: &str, key: &VerifierKey) -> Result<Checkpoint> {
    Checkpoint::verify(note.as_bytes(), key).map_err(|error| Error::Corrupt(format!("checkpoint: {error}")))
}
