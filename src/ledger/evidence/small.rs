//! Small blobs, which are committed together with the event that brings them.

use bytes::Bytes;

use super::super::engine::PackedBlob;
use super::super::{Error, Result};
use super::ZSTD_LEVEL;
use crate::event::{EvidenceRef, MediaType};

/// Most bytes of a blob that joins a commit. Nearly every webhook is smaller; larger ones are rare enough for the syncs
/// of a file, and would swell the database and hold up everyone else's commit.
pub const SMALL_BLOB_MAX: usize = 64 << 10;

/// A small blob that comes with events that name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmallBlob {
    reference: EvidenceRef,
    bytes: Bytes,
}

impl SmallBlob {
    /// These bytes.
    ///
    /// # Errors
    /// `Invalid` for more than [`SMALL_BLOB_MAX`].
    pub fn new(media_type: MediaType, bytes: Bytes) -> Result<Self> {
        if bytes.len() > SMALL_BLOB_MAX {
            let what = format!("{} bytes, and at most {SMALL_BLOB_MAX} join a commit", bytes.len());
            return Err(Error::invalid("evidence", what));
        }
        Ok(Self { reference: EvidenceRef::of(media_type, &bytes), bytes })
    }

    /// What events name it by.
    #[must_use]
    pub fn reference(&self) -> &EvidenceRef {
        &self.reference
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub(in super::super) fn pack(&self) -> Result<PackedBlob> {
        let packed = zstd::bulk::compress(&self.bytes, ZSTD_LEVEL)
            .map_err(|source| Error::Io { what: "cannot compress evidence".to_owned(), source })?;
        Ok(PackedBlob { blake3: self.reference.blake3.clone(), packed: packed.into() })
    }
}
