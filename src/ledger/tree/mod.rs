//! The Merkle tree over the log and the public text formats around it: RFC 6962 hashes, and C2SP tlog-tiles,
//! signed-note, tlog-checkpoint, tlog-cosignature and tlog-proof. Pure: no storage, no clock.

mod checkpoint;
mod frontier;
mod hash;
mod note;
mod proof;
mod tile;
mod tlog_proof;

pub use checkpoint::Checkpoint;
pub use frontier::Frontier;
pub use hash::{Hash, empty_root, leaf_hash, node_hash, subtree_root};
pub use note::{Cosignature, NOTE_BYTES_MAX, NoteError, SignedNote, SigningKey, VerifierKey};
pub use proof::{
    NodeReader, ProofBuildError, ProofError, consistency_proof, inclusion_proof, root_at, verify_consistency,
    verify_inclusion,
};
pub use tile::{TileError, TileKind, TilePath, decode_entry_bundle, encode_entry_bundle, tile_root};
pub use tlog_proof::{TlogProof, TlogProofError};
