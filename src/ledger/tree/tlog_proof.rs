//! C2SP tlog-proof: an offline proof of inclusion in one text file.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::checkpoint::Checkpoint;
use super::hash::{Hash, leaf_hash};
use super::note::{NoteError, VerifierKey};
use super::proof::{ProofError, verify_inclusion};

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// Most siblings of a proof: a tree of 2^63 leaves asks for as many.
const HASHES_MAX: usize = 63;

/// A proof that an entry is in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// Bytes the log adds. Never trusted for themselves.
    pub extra: Option<Vec<u8>>,
    /// Index of the entry.
    pub index: u64,
    /// Siblings from the leaf to the root.
    pub hashes: Vec<Hash>,
    /// The signed checkpoint, verbatim.
    pub checkpoint: String,
}

/// Why a proof is not one, or does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlogProofError {
    /// The text is malformed; which line, and how.
    #[error("line {0}: {1}")]
    Malformed(usize, &'static str),
    /// The checkpoint does not verify.
    #[error("checkpoint: {0}")]
    Checkpoint(NoteError),
    /// The entry is not in the tree.
    #[error("{0}")]
    Proof(ProofError),
}

impl TlogProof {
    /// Reads a proof. Nothing is verified yet.
    ///
    /// # Errors
    /// [`TlogProofError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, TlogProofError> {
        let (head, checkpoint) = text.split_once("\n\n").ok_or(TlogProofError::Malformed(1, "no blank line"))?;
        let mut lines = (1..).zip(head.split('\n')).peekable();
        if lines.next().map(|(_, line)| line) != Some(FIRST_LINE) {
            return Err(TlogProofError::Malformed(1, "not c2sp.org/tlog-proof@v1"));
        }
        let mut extra = None;
        if let Some((n, line)) = lines.peek()
            && let Some(encoded) = line.strip_prefix("extra ")
        {
            let decoded =
                STANDARD.decode(encoded).map_err(|_why| TlogProofError::Malformed(*n, "extra is not base64"))?;
            extra = Some(decoded);
            lines.next();
        }
        let (n, line) = lines.next().ok_or(TlogProofError::Malformed(2, "no index"))?;
        let digits = line.strip_prefix("index ").ok_or(TlogProofError::Malformed(n, "no index"))?;
        let plain = digits == "0" || (!digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit()));
        let index = digits.parse().ok().filter(|_| plain);
        let index = index.ok_or(TlogProofError::Malformed(n, "the index is not a decimal number"))?;
        let mut hashes = Vec::new();
        for (n, line) in lines {
            if hashes.len() == HASHES_MAX {
                return Err(TlogProofError::Malformed(n, "too many hashes"));
            }
            hashes.push(Hash::from_base64(line).ok_or(TlogProofError::Malformed(n, "not a hash in base64"))?);
        }
        Ok(Self { extra, index, hashes, checkpoint: checkpoint.to_owned() })
    }

    /// Checks the checkpoint's signature and that `leaf` is in its tree at the proof's index.
    ///
    /// # Errors
    /// [`TlogProofError`].
    pub fn verify(&self, leaf: &[u8], key: &VerifierKey) -> Result<Checkpoint, TlogProofError> {
        let checkpoint = Checkpoint::verify(self.checkpoint.as_bytes(), key).map_err(TlogProofError::Checkpoint)?;
        verify_inclusion(&leaf_hash(leaf), self.index, checkpoint.size, &self.hashes, &checkpoint.root)
            .map_err(TlogProofError::Proof)?;
        Ok(checkpoint)
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        for hash in &self.hashes {
            writeln!(f, "{hash}")?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::super::note::SigningKey;
    use super::*;
    use crate::ledger::tree::node_hash;

    #[test]
    fn reads_back_and_verifies() {
        let key = SigningKey::from_seed("log.example", [1; 32]).unwrap();
        let (a, b) = (leaf_hash(b"a"), leaf_hash(b"b"));
        let checkpoint =
            Checkpoint::new("log.example".to_owned(), 2, node_hash(&a, &b)).sign(&key).unwrap().to_string();
        let proof = TlogProof { extra: Some(b"b".to_vec()), index: 1, hashes: vec![a], checkpoint };
        let again = TlogProof::parse(&proof.to_string()).unwrap();
        assert_eq!(again, proof);
        assert_eq!(again.verify(b"b", &key.verifier_key()).unwrap().size, 2);
        assert!(matches!(again.verify(b"c", &key.verifier_key()), Err(TlogProofError::Proof(_))));
        for (from, to) in [
            ("proof@v1", "proof@v2"),
            ("index 1", "index 01"),
            ("index 1", "index"),
            ("\n\n", "\n"),
            ("extra ", "extra !"),
        ] {
            assert!(TlogProof::parse(&proof.to_string().replacen(from, to, 1)).is_err(), "{from}");
        }
    }
}
