//! The evidence store: blobs by the BLAKE3 of their content, compressed at rest.
//!
//! A blob lies at `<first 2 hex digits>/<other 62>.zst`; `zstd -dc FILE | b3sum` prints its address. It is written and
//! synced before any event names it, so a crash leaves at worst a blob that nobody names.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, path::Path as ObjectPath};
use sha2::{Digest as _, Sha256};

use super::guard::sync_dir;
use super::{Error, Result};
use crate::event::{EvidenceRef, Hex32, MediaType};

/// Level of compression: the fastest that is worth it for JSON.
const ZSTD_LEVEL: i32 = 3;

/// Most bytes a blob may have in memory at once, compressed or not: a bound against decompression bombs.
pub(super) const BLOB_BYTES_MAX: usize = 1 << 30;

/// The evidence store of a ledger. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Evidence {
    store: Arc<dyn ObjectStore>,
    /// Where the store is a local directory: blobs there must be synced.
    local: Option<PathBuf>,
    /// References that were held to their blobs.
    intact: Arc<Mutex<HashSet<EvidenceRef>>>,
}

/// How many of those are remembered; each is about 200 bytes.
const INTACT_MAX: usize = 10_000;

/// What reading a blob found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blob {
    /// Its bytes, which have the digests of the reference.
    Intact(Bytes),
    /// There is none.
    Missing,
    /// What is there is not what the reference names; the text says how.
    Damaged(String),
}

impl Evidence {
    /// The store in a local directory, created where there is none.
    ///
    /// # Errors
    /// `Io`, `Evidence`.
    pub fn local(root: &Path) -> Result<Self> {
        std::fs::create_dir_all(root).map_err(|error| Error::io("cannot create", root, error))?;
        let store = LocalFileSystem::new_with_prefix(root)
            .map_err(|source| Error::Evidence { what: format!("opening {}", root.display()), source })?
            // Before the blob gets its name: one that is there is whole.
            .with_fsync(true);
        Ok(Self { store: Arc::new(store), local: Some(root.to_owned()), intact: Arc::default() })
    }

    /// Stores a blob durably and returns its reference. Storing it again costs a look-up.
    ///
    /// # Errors
    /// `Evidence`, `Io`; `Invalid` for a blob over 1 GiB.
    pub async fn put(&self, media_type: MediaType, bytes: &[u8]) -> Result<EvidenceRef> {
        if bytes.len() > BLOB_BYTES_MAX {
            return Err(Error::invalid("evidence", format!("{} bytes, and at most {BLOB_BYTES_MAX} fit", bytes.len())));
        }
        let reference = EvidenceRef::of(media_type, bytes);
        let at = address(&reference.blake3);
        let failed = |source| Error::Evidence { what: format!("writing {at}"), source };
        // What is there and damaged is mended.
        if !self.has(&reference).await? {
            let packed = zstd::bulk::compress(bytes, ZSTD_LEVEL)
                .map_err(|source| Error::Io { what: "cannot compress evidence".to_owned(), source })?;
            self.store.put(&at, PutPayload::from(packed)).await.map_err(failed)?;
            self.remember(&reference);
        }
        // Also when it was there already: whoever put it may have crashed before it was synced.
        self.sync(&at)?;
        Ok(reference)
    }

    /// Whether there is a blob that is what the reference says, in size and both digests. It is read once for each
    /// reference; after that, only whether it is there is looked at.
    ///
    /// # Errors
    /// `Evidence`.
    pub async fn has(&self, reference: &EvidenceRef) -> Result<bool> {
        let at = address(&reference.blake3);
        match self.store.head(&at).await {
            Ok(_) if self.intact.lock().unwrap_or_else(PoisonError::into_inner).contains(reference) => Ok(true),
            Ok(_) => {
                let intact = matches!(self.get(reference).await?, Blob::Intact(_));
                if intact {
                    self.remember(reference);
                }
                Ok(intact)
            }
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(source) => Err(Error::Evidence { what: format!("looking for {at}"), source }),
        }
    }

    fn remember(&self, reference: &EvidenceRef) {
        let mut intact = self.intact.lock().unwrap_or_else(PoisonError::into_inner);
        if intact.len() >= INTACT_MAX {
            intact.clear();
        }
        intact.insert(reference.clone());
    }

    /// Reads a blob and holds it to its reference.
    ///
    /// # Errors
    /// `Evidence` when the store cannot be read; a missing or damaged blob is an answer.
    pub async fn get(&self, reference: &EvidenceRef) -> Result<Blob> {
        let at = address(&reference.blake3);
        let failed = |source| Error::Evidence { what: format!("reading {at}"), source };
        let packed = match self.store.get(&at).await {
            Ok(found) => found.bytes().await.map_err(failed)?,
            Err(object_store::Error::NotFound { .. }) => return Ok(Blob::Missing),
            Err(source) => return Err(failed(source)),
        };
        Ok(match unpack(&packed, reference) {
            Ok(bytes) => Blob::Intact(bytes),
            Err(what) => Blob::Damaged(what),
        })
    }

    /// Deletes a blob. The event that says so is the caller's, and comes first.
    ///
    /// # Errors
    /// `Evidence`.
    pub async fn erase(&self, blake3: &Hex32) -> Result<()> {
        let at = address(blake3);
        match self.store.delete(&at).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(Error::Evidence { what: format!("erasing {at}"), source }),
        }
    }

    fn sync(&self, at: &ObjectPath) -> Result<()> {
        let Some(root) = &self.local else { return Ok(()) };
        let file = root.join(at.as_ref());
        std::fs::File::open(&file)
            .and_then(|file| file.sync_all())
            .map_err(|error| Error::io("cannot sync", &file, error))?;
        sync_dir(file.parent().unwrap_or(root))?;
        sync_dir(root)
    }
}

fn address(blake3: &Hex32) -> ObjectPath {
    let (first, rest) = blake3.as_str().split_at(2);
    ObjectPath::from(format!("{first}/{rest}.zst"))
}

fn unpack(packed: &[u8], reference: &EvidenceRef) -> Result<Bytes, String> {
    let size = usize::try_from(reference.size.0).ok().filter(|size| *size <= BLOB_BYTES_MAX);
    let size = size.ok_or_else(|| format!("its size, {}, is beyond what a blob may have", reference.size))?;
    // One byte more than expected is enough to tell that there is too much.
    let bytes = zstd::bulk::decompress(packed, size + 1).map_err(|error| format!("it does not decompress: {error}"))?;
    if bytes.len() != size {
        return Err(format!("it has {} bytes where {size} are named", bytes.len()));
    }
    if blake3::hash(&bytes).as_bytes() != &reference.blake3.to_bytes() {
        return Err("its BLAKE3 is another".to_owned());
    }
    if Sha256::digest(&bytes)[..] != reference.sha256.to_bytes() {
        return Err("its SHA-256 is another".to_owned());
    }
    Ok(Bytes::from(bytes))
}
