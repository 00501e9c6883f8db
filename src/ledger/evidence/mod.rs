//! Evidence: blobs by the BLAKE3 of their content, compressed at rest, in one of two places.
//!
//! - Small ones that come with an event ([`SmallBlob`]) are rows of `ledger.db`, committed together with it: one sync
//!   makes both durable.
//! - All others are files of the store, at `<first 2 hex digits>/<other 62>.zst`; `zstd -dc FILE | b3sum` prints the
//!   address. A file is written under another name, synced and renamed before any event names it, so a crash leaves at
//!   worst a blob that nobody names.
//!
//! A blob may be in both places. Whoever reads looks in both, and an erasure takes it from both.

mod reader;
mod small;
mod writer;

use std::collections::HashSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::{GetResultPayload, ObjectStore, ObjectStoreExt, path::Path as ObjectPath};
use sha2::{Digest as _, Sha256};

pub use reader::BlobReader;
pub use small::{SMALL_BLOB_MAX, SmallBlob};
pub use writer::{BlobWriter, SealedBlob};

use super::engine::Engine;
use super::{Error, Result};
use crate::event::{EvidenceRef, Hex32, MediaType};

/// Level of compression: the fastest that is worth it for JSON.
const ZSTD_LEVEL: i32 = 3;

/// Most bytes a blob may have: a bound against decompression bombs.
pub(super) const BLOB_BYTES_MAX: usize = 1 << 30;

/// Where blobs lie in the store until they are whole.
pub(super) const INCOMING: &str = "incoming";

/// The evidence of a ledger. Cheap to clone.
#[derive(Clone)]
pub struct Evidence {
    /// Where small blobs are; none for a store without a ledger.
    engine: Option<Arc<dyn Engine>>,
    store: Arc<dyn ObjectStore>,
    /// The store as a directory: blobs in it must be synced.
    root: PathBuf,
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
    /// The store in a local directory, created where there is none, and no ledger beside it.
    ///
    /// # Errors
    /// `Io`, `Evidence`.
    pub fn local(root: &Path) -> Result<Self> {
        std::fs::create_dir_all(root).map_err(|error| Error::io("cannot create", root, error))?;
        let store = LocalFileSystem::new_with_prefix(root)
            .map_err(|source| Error::Evidence { what: format!("opening {}", root.display()), source })?;
        Ok(Self { engine: None, store: Arc::new(store), root: root.to_owned(), intact: Arc::default() })
    }

    /// All evidence of the ledger in `engine`: its small blobs, and the store in a local directory.
    ///
    /// # Errors
    /// As [`Evidence::local`].
    pub fn of(engine: Arc<dyn Engine>, root: &Path) -> Result<Self> {
        Ok(Self { engine: Some(engine), ..Self::local(root)? })
    }

    /// Removes what a crash left of blobs that were not whole. Only for whoever holds the ledger's lock.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn clear_incoming(&self) -> Result<()> {
        let incoming = self.root.join(INCOMING);
        match std::fs::remove_dir_all(&incoming) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io("cannot remove", &incoming, error))
            }
            _ => Ok(()),
        }
    }

    /// Begins a blob of any size, which is written piece by piece in bounded memory.
    ///
    /// # Errors
    /// `Io`.
    pub fn begin(&self) -> Result<BlobWriter> {
        BlobWriter::begin(&self.root)
    }

    /// Gives a blob that is whole its place in the store, durably.
    ///
    /// # Errors
    /// `Evidence`, `Io`.
    pub async fn keep(&self, blob: SealedBlob) -> Result<EvidenceRef> {
        let reference = blob.reference().clone();
        // What is there and damaged is mended.
        if self.has_file(&reference).await? {
            // Whoever put it there may have crashed before it was synced.
            return blocking(move || blob.already_kept().map(|()| reference)).await;
        }
        blocking(move || blob.place()).await?;
        self.remember(&reference);
        Ok(reference)
    }

    /// Stores a blob durably, as a file, and returns its reference.
    ///
    /// # Errors
    /// `Evidence`, `Io`; `Invalid` for a blob over 1 GiB.
    pub async fn put(&self, media_type: MediaType, bytes: &[u8]) -> Result<EvidenceRef> {
        if bytes.len() > BLOB_BYTES_MAX {
            return Err(too_large(bytes.len() as u64));
        }
        let bytes = Bytes::copy_from_slice(bytes);
        let mut writer = self.begin()?;
        let sealed = blocking(move || {
            writer.write(bytes)?;
            writer.seal(media_type)
        });
        self.keep(sealed.await?).await
    }

    /// Whether there is a blob that is what the reference says, in size and both digests. It is read once for each
    /// reference; after that, only whether it is there is looked at.
    ///
    /// # Errors
    /// `Evidence`; storage errors.
    pub async fn has(&self, reference: &EvidenceRef) -> Result<bool> {
        if let Some(packed) = self.small(&reference.blake3)? {
            if self.is_remembered(reference) {
                return Ok(true);
            }
            if unpack(&packed, reference).is_ok() {
                self.remember(reference);
                return Ok(true);
            }
        }
        self.has_file(reference).await
    }

    async fn has_file(&self, reference: &EvidenceRef) -> Result<bool> {
        let at = address(&reference.blake3);
        match self.store.head(&at).await {
            Ok(_) if self.is_remembered(reference) => Ok(true),
            Ok(_) => {
                let intact = matches!(self.file(reference).await?, Blob::Intact(_));
                if intact {
                    self.remember(reference);
                }
                Ok(intact)
            }
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(source) => Err(Error::Evidence { what: format!("looking for {at}"), source }),
        }
    }

    fn is_remembered(&self, reference: &EvidenceRef) -> bool {
        self.intact.lock().unwrap_or_else(PoisonError::into_inner).contains(reference)
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
    /// `Evidence` when the store cannot be read, storage errors; a missing or damaged blob is an answer.
    pub async fn get(&self, reference: &EvidenceRef) -> Result<Blob> {
        let Some(packed) = self.small(&reference.blake3)? else { return self.file(reference).await };
        match unpack(&packed, reference) {
            Ok(bytes) => Ok(Blob::Intact(bytes)),
            Err(what) => Ok(match self.file(reference).await? {
                Blob::Missing => Blob::Damaged(what),
                found => found,
            }),
        }
    }

    /// Opens a blob to read it piece by piece, in bounded memory. Its BLAKE3 is held to the address at the end.
    ///
    /// # Errors
    /// `NotFound`; `Evidence`, storage errors.
    pub async fn open(&self, blake3: &Hex32) -> Result<BlobReader> {
        if let Some(packed) = self.small(blake3)? {
            return BlobReader::new(std::io::Cursor::new(packed), blake3.clone());
        }
        let at = address(blake3);
        let failed = |source| Error::Evidence { what: format!("reading {at}"), source };
        let found = match self.store.get(&at).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Err(Error::NotFound(format!("blob {blake3}"))),
            Err(source) => return Err(failed(source)),
        };
        if let GetResultPayload::File(file, _) = found.payload {
            return BlobReader::new(std::io::BufReader::new(file), blake3.clone());
        }
        BlobReader::new(std::io::Cursor::new(found.bytes().await.map_err(failed)?), blake3.clone())
    }

    fn small(&self, blake3: &Hex32) -> Result<Option<Bytes>> {
        self.engine.as_ref().map_or(Ok(None), |engine| engine.evidence(blake3))
    }

    /// Reads a blob from the store and holds it to its reference.
    async fn file(&self, reference: &EvidenceRef) -> Result<Blob> {
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

    /// Deletes the file of a blob. The event that says so is the caller's, and comes first; its commit takes the row.
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
}

impl std::fmt::Debug for Evidence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "evidence in {}", self.root.display())
    }
}

/// Runs what waits for the disk away from the threads that serve connections, where there are any.
async fn blocking<T: Send + 'static>(run: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    if tokio::runtime::Handle::try_current().is_err() {
        return run();
    }
    let done = tokio::task::spawn_blocking(run).await;
    done.map_err(|error| Error::Internal(format!("writing evidence failed: {error}")))?
}

fn too_large(size: u64) -> Error {
    Error::invalid("evidence", format!("{size} bytes, and at most {BLOB_BYTES_MAX} fit"))
}

/// The directory and the file of a blob in the store.
fn parts(blake3: &Hex32) -> (&str, String) {
    let (first, rest) = blake3.as_str().split_at(2);
    (first, format!("{rest}.zst"))
}

fn address(blake3: &Hex32) -> ObjectPath {
    let (first, file) = parts(blake3);
    ObjectPath::from(format!("{first}/{file}"))
}

fn unpack(packed: &[u8], reference: &EvidenceRef) -> Result<Bytes, String> {
    let size = usize::try_from(reference.size.0).ok().filter(|size| *size <= BLOB_BYTES_MAX);
    let size = size.ok_or_else(|| format!("its size, {}, is beyond what a blob may have", reference.size))?;
    // Grows as it is read: what a reference says of the size is not to be believed before. One byte more than expected
    // is enough to tell that there is too much.
    let mut bytes = Vec::new();
    zstd::stream::read::Decoder::with_buffer(packed)
        .and_then(|decoder| decoder.take(size as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("it does not decompress: {error}"))?;
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
