//! Writing a blob piece by piece: hashed, compressed and written as it comes, and given its name when it is whole.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::super::guard::sync_dir;
use super::super::{Error, Result};
use super::{BLOB_BYTES_MAX, INCOMING, ZSTD_LEVEL, parts, too_large};
use crate::event::{EvidenceRef, Hex32, MediaType, U64};

/// Pieces that may wait to be compressed. They are as large as the caller makes them, a few hundred kilobytes.
const PIECES_AHEAD: usize = 8;

/// Distinguishes the files of blobs that are being written at once.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A file that goes away with this, unless it was given another name.
struct Incoming(PathBuf);

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, file = %self.0.display(), "cannot remove; the next start does");
        }
    }
}

/// A blob that is being written. Dropped before it is sealed, nothing of it is left.
///
/// Compression, SHA-256 and the disk are a thread's of its own, so whoever writes may go on with other work on the same
/// bytes. BLAKE3 is taken on the way in: it is known before the rest is done.
pub struct BlobWriter {
    root: PathBuf,
    blake3: blake3::Hasher,
    size: u64,
    pieces: Option<SyncSender<Bytes>>,
    thread: Option<JoinHandle<Result<[u8; 32]>>>,
    // After the thread, which writes to it.
    file: Incoming,
}

impl BlobWriter {
    pub(super) fn begin(root: &Path) -> Result<Self> {
        use std::os::unix::fs::OpenOptionsExt;
        let incoming = root.join(INCOMING);
        std::fs::create_dir_all(&incoming).map_err(|error| Error::io("cannot create", &incoming, error))?;
        let path = incoming.join(format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        let mut options = File::options();
        options.write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(&path).map_err(|error| Error::io("cannot create", &path, error))?;
        let (pieces, waiting) = sync_channel(PIECES_AHEAD);
        let incoming = Incoming(path.clone());
        let thread = std::thread::Builder::new()
            .name("plimsoll-blob".to_owned())
            .spawn(move || pack(file, &path, &waiting))
            .map_err(|source| Error::Io { what: "cannot start a thread".to_owned(), source })?;
        Ok(Self {
            root: root.to_owned(),
            blake3: blake3::Hasher::new(),
            size: 0,
            pieces: Some(pieces),
            thread: Some(thread),
            file: incoming,
        })
    }

    /// Adds a piece. Waits where compression cannot follow.
    ///
    /// # Errors
    /// `Invalid` beyond 1 GiB; `Io`.
    pub fn write(&mut self, piece: impl Into<Bytes>) -> Result<()> {
        let piece = piece.into();
        self.size += piece.len() as u64;
        if self.size > BLOB_BYTES_MAX as u64 {
            return Err(too_large(self.size));
        }
        self.blake3.update(&piece);
        let sent = self.pieces.as_ref().is_some_and(|pieces| pieces.send(piece).is_ok());
        if sent { Ok(()) } else { Err(self.join().err().unwrap_or_else(ended)) }
    }

    /// BLAKE3 of what was written so far.
    #[must_use]
    pub fn blake3(&self) -> Hex32 {
        Hex32::from_bytes(*self.blake3.finalize().as_bytes())
    }

    /// How many bytes were written so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Ends the blob. On return it is synced, under a name that nobody looks for yet: see [`super::Evidence::keep`].
    ///
    /// # Errors
    /// `Io`.
    pub fn seal(mut self, media_type: MediaType) -> Result<SealedBlob> {
        let sha256 = self.join()?;
        let (blake3, size) = (self.blake3(), U64(self.size));
        let reference = EvidenceRef { blake3, media_type, sha256: Hex32::from_bytes(sha256), size };
        // What is left of the writer has nothing to drop: the thread is joined, and the file is handed on.
        let file = std::mem::replace(&mut self.file, Incoming(PathBuf::new()));
        Ok(SealedBlob { reference, file, root: self.root.clone() })
    }

    fn join(&mut self) -> Result<[u8; 32]> {
        self.pieces = None;
        let done = self.thread.take().map(JoinHandle::join);
        done.and_then(Result::ok).unwrap_or_else(|| Err(ended()))
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        if self.thread.is_some() {
            // Whatever it says: nobody wants the blob any more.
            let _failed = self.join().is_err();
        }
    }
}

fn ended() -> Error {
    Error::Internal("the thread that writes a blob ended early".to_owned())
}

/// Takes pieces until there are no more. Returns their SHA-256; the file is synced by then.
fn pack(file: File, path: &Path, pieces: &Receiver<Bytes>) -> Result<[u8; 32]> {
    let failed = |error| Error::io("cannot write", path, error);
    let mut sha256 = Sha256::new();
    let mut packed = zstd::stream::write::Encoder::new(file, ZSTD_LEVEL).map_err(failed)?;
    while let Ok(piece) = pieces.recv() {
        sha256.update(&piece);
        packed.write_all(&piece).map_err(failed)?;
    }
    packed.finish().and_then(|file| file.sync_all()).map_err(failed)?;
    Ok(sha256.finalize().into())
}

/// A blob that is whole and has no place yet. Dropped, nothing of it is left.
pub struct SealedBlob {
    reference: EvidenceRef,
    file: Incoming,
    root: PathBuf,
}

impl SealedBlob {
    /// What events name it by.
    #[must_use]
    pub fn reference(&self) -> &EvidenceRef {
        &self.reference
    }

    /// Reads it from its beginning.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn open(&self) -> std::io::Result<Box<dyn Read + Send>> {
        let file = BufReader::new(File::open(&self.file.0)?);
        Ok(Box::new(zstd::stream::read::Decoder::with_buffer(file)?))
    }

    /// Gives it its name, durably.
    pub(super) fn place(self) -> Result<()> {
        let (dir, at) = self.address();
        std::fs::create_dir_all(&dir).map_err(|error| Error::io("cannot create", &dir, error))?;
        std::fs::rename(&self.file.0, &at).map_err(|error| Error::io("cannot rename to", &at, error))?;
        sync_dir(&dir)?;
        sync_dir(&self.root)
    }

    /// Makes durable what has its name already, and lets go of this one.
    pub(super) fn already_kept(self) -> Result<()> {
        let (dir, at) = self.address();
        File::open(&at).and_then(|file| file.sync_all()).map_err(|error| Error::io("cannot sync", &at, error))?;
        sync_dir(&dir)?;
        sync_dir(&self.root)
    }

    fn address(&self) -> (PathBuf, PathBuf) {
        let (dir, file) = parts(&self.reference.blake3);
        let dir = self.root.join(dir);
        let at = dir.join(file);
        (dir, at)
    }
}
