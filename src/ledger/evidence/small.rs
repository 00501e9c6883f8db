//! Small blobs, which are committed together with the event that brings them.

use std::cell::RefCell;

use bytes::Bytes;
use zstd::bulk::Compressor;

use super::super::engine::PackedBlob;
use super::super::{Error, Result};
use crate::event::{EvidenceRef, MediaType};

/// Most bytes of a blob that joins a commit. Nearly every webhook is smaller; larger ones are rare enough for the syncs
/// of a file, and would swell the database and hold up everyone else's commit.
pub const SMALL_BLOB_MAX: usize = 64 << 10;

/// Level of compression of small blobs. A higher one makes a webhook smaller by a tenth and takes twice as long.
const SMALL_ZSTD_LEVEL: i32 = 1;

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
        let reference = EvidenceRef::of(media_type, &bytes);
        Self::hashed(reference, bytes)
    }

    /// These bytes, whose digests are known to be those of the reference: hashing takes a good part of the time that a
    /// webhook takes, and need not be done twice. Under a wrong reference they would be found damaged for ever.
    ///
    /// # Errors
    /// As [`SmallBlob::new`].
    pub fn hashed(reference: EvidenceRef, bytes: Bytes) -> Result<Self> {
        if bytes.len() > SMALL_BLOB_MAX {
            let what = format!("{} bytes, and at most {SMALL_BLOB_MAX} join a commit", bytes.len());
            return Err(Error::invalid("evidence", what));
        }
        Ok(Self { reference, bytes })
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
        let packed = compress(&self.bytes)
            .map_err(|source| Error::Io { what: "cannot compress evidence".to_owned(), source })?;
        Ok(PackedBlob { blake3: self.reference.blake3.clone(), packed: packed.into() })
    }
}

thread_local! {
    /// What compression needs is larger than what it is given: each thread makes it once.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
}

fn compress(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|kept| {
        let compressor = match kept {
            Some(compressor) => compressor,
            None => kept.insert(Compressor::new(SMALL_ZSTD_LEVEL)?),
        };
        compressor.compress(bytes)
    })
}
