//! The ledger: append, read, prove, follow, verify. The only precious thing; it never reads what a payload means, except
//! of its own stream.

pub mod backup;
mod engine;
mod error;
mod evidence;
mod follow;
mod guard;
mod heads;
mod index;
mod lock;
mod meter;
mod open;
mod paths;
mod ports;
mod receipt;
mod seal;
mod sequencer;
mod signer;
mod sqlite;
pub mod tree;
pub mod verify;
mod writer;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use tokio::sync::watch;

pub use backup::open_engine_read_only;
pub use engine::{
    AppendError, Appender, Batch, Engine, Erasure, Head, LeafVisitor, PackedBlob, SealedValue, SubjectRecord,
};
pub use error::{Error, Kind, Result};
pub use evidence::{Blob, BlobReader, BlobWriter, Evidence, SMALL_BLOB_MAX, SealedBlob, SmallBlob};
pub use follow::{Entry, Filter, Page, PageLimit, entries, page};
pub use guard::Guard;
pub use heads::{HEADS_MEDIA_TYPE, heads_line, list_digests};
pub use index::{Index, StreamInfo};
pub use lock::Lock;
pub use meter::{Meter, Reading};
pub use open::{Creation, Options};
pub use paths::DataDir;
pub use ports::{Clock, Entropy, SystemClock, SystemEntropy};
pub use receipt::Receipt;
pub use sequencer::{Acknowledged, Placed, Request, Sequencer};
pub use signer::{Signed, Signer, verify_note};
pub(crate) use sqlite::{Access, Readers, remove_database, replace_database};
pub use sqlite::{SqliteEngine, Store};
pub use writer::SignedHead;

use crate::event::{self, Data, Dedup, Draft, EventId, Position, Prepared, Recorded, Source, SubjectId};
use tree::{Hash, TileKind, TilePath, VerifierKey};
use writer::Writer;

/// Identities whose pseudonyms are kept at hand. A shop has thousands of people and bots; each costs about 150 bytes.
const PSEUDONYMS_KEPT: usize = 50_000;

/// Reads that run at once away from the threads that serve connections.
const READS_MAX: usize = 16;

/// An open ledger. Cheap to clone; the last clone to be dropped closes it, with everything queued written.
#[derive(Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

struct Inner {
    dir: DataDir,
    engine: Arc<dyn Engine>,
    index: Arc<Index>,
    evidence: Evidence,
    key: VerifierKey,
    head: watch::Receiver<SignedHead>,
    /// For a ledger opened for reading only: where its head is told.
    refreshed: Option<watch::Sender<SignedHead>>,
    writer: Option<Writer>,
    pseudonyms: RwLock<HashMap<String, SubjectId>>,
    /// Held for reading while drafts are sealed and queued, and for writing from the sealing of an erasure to its commit:
    /// what was sealed for a person is queued before the erasure that takes it, or is sealed after it.
    erasing: Arc<tokio::sync::RwLock<()>>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// How many reads may run at once: each holds a thread and a connection.
    reads: tokio::sync::Semaphore,
    /// What the last `heads.committed` covers, plus one; 0 before the first.
    heads_covered: AtomicU64,
    meter: Arc<Meter>,
    // Last, so that it is given back when all else is closed.
    _lock: Option<Lock>,
}

/// Events that are on their way into the log.
#[must_use = "nothing is known to be recorded before `wait` returns"]
pub struct Pending {
    reply: tokio::sync::oneshot::Receiver<Result<Acknowledged>>,
}

impl Pending {
    /// Waits until the events are durable.
    ///
    /// # Errors
    /// As for [`Ledger::append`].
    pub async fn wait(self) -> Result<Acknowledged> {
        self.reply.await.map_err(|_gone| writer::gone())?
    }
}

impl Ledger {
    /// Appends events together: all of them or none. On return they are durable, and in the tree of the checkpoint
    /// that comes back. An event whose source and dedup are known already is not recorded again; its place is returned.
    ///
    /// # Errors
    /// `Draft`, `Refused`, `WrongVersion`, `DedupConflict`: nothing was recorded. `CannotWrite`, `Stopped`: nothing was recorded.
    /// `OutcomeUnknown`: send the same events again, later.
    pub async fn append(&self, drafts: Vec<Draft>) -> Result<Acknowledged> {
        self.submit(drafts).await?.wait().await
    }

    /// As [`Ledger::append`], with small evidence that the events name: it is committed together with them, and not at
    /// all where they were recorded before.
    ///
    /// # Errors
    /// As for [`Ledger::append`]; `Invalid` for a blob that no event names.
    pub async fn append_with(&self, drafts: Vec<Draft>, evidence: &[SmallBlob]) -> Result<Acknowledged> {
        not_ours(&drafts)?;
        self.submit_own(drafts, evidence).await?.wait().await
    }

    /// Hands events to the writer, in the order of the calls, without waiting for their commit.
    ///
    /// # Errors
    /// `Draft`, for events that cannot be recorded; `Refused` for what only the ledger can say of itself; `Stopped`.
    pub async fn submit(&self, drafts: Vec<Draft>) -> Result<Pending> {
        not_ours(&drafts)?;
        self.submit_own(drafts, &[]).await
    }

    /// Submits events, the ledger's own among them.
    async fn submit_own(&self, drafts: Vec<Draft>, evidence: &[SmallBlob]) -> Result<Pending> {
        let writer = self.writer()?;
        if drafts.iter().any(|draft| matches!(draft.data, Data::SubjectErased(_) | Data::EvidenceErased(_))) {
            return self.submit_erasure(drafts, evidence).await;
        }
        let _sealing = self.inner.erasing.read().await;
        let request = self.prepare(drafts, evidence).await?;
        Ok(Pending { reply: writer.submit(request).await? })
    }

    /// What an erasure takes beyond its commit is taken on a task of its own, so that a caller who goes away does not
    /// leave it half done.
    async fn submit_erasure(&self, drafts: Vec<Draft>, evidence: &[SmallBlob]) -> Result<Pending> {
        let erasing = self.inner.erasing.clone().write_owned().await;
        let request = self.prepare(drafts, evidence).await?;
        let (forgotten, blobs) = (request.erase.subjects.clone(), request.erase.blobs.clone());
        let committed = self.writer()?.submit(request).await?;
        let (tell, reply) = tokio::sync::oneshot::channel();
        let ledger = self.clone();
        tokio::spawn(async move {
            let done = ledger.finish_erasure(committed, &forgotten, &blobs).await;
            drop(erasing);
            let _caller_gone = tell.send(done).is_err();
        });
        Ok(Pending { reply })
    }

    async fn finish_erasure(
        &self,
        committed: tokio::sync::oneshot::Receiver<Result<Acknowledged>>,
        forgotten: &[SubjectId],
        blobs: &[event::Hex32],
    ) -> Result<Acknowledged> {
        let done = committed.await.map_err(|_gone| writer::gone())??;
        write(&self.inner.pseudonyms).retain(|_, id| !forgotten.contains(id));
        for blob in blobs {
            self.inner.evidence.erase(blob).await?;
        }
        Ok(done)
    }

    /// Seals and renders drafts, and packs the evidence that comes with them.
    async fn prepare(&self, mut drafts: Vec<Draft>, given: &[SmallBlob]) -> Result<Request> {
        let mut identities = seal::Identities::default();
        for (index, draft) in drafts.iter_mut().enumerate() {
            event::Field::visit(draft, &mut identities).map_err(|error| Error::Draft { index, error })?;
        }
        let strangers = self.strangers(identities.known).await?;
        let pseudonyms = self.pseudonyms(identities.plain).await?;
        let mut request = Request { evidence: packed(&drafts, given)?, ..Request::default() };
        for (index, mut draft) in drafts.into_iter().enumerate() {
            for (n, reference) in draft.evidence.iter().enumerate() {
                if given.iter().any(|blob| blob.reference() == reference) {
                    continue;
                }
                // What is recorded already may name a blob that was erased since.
                if !self.inner.evidence.has(reference).await? && !self.is_known(&draft).await? {
                    let what = format!("{} is not in the evidence store, or not as named", reference.blake3);
                    return Err(Error::Draft { index, error: event::Error::field(format!("evidence[{n}]"), what) });
                }
            }
            let inner = &self.inner;
            // What is recorded already may name somebody who was erased since.
            let again = !strangers.is_empty() && self.is_known(&draft).await?;
            let strangers = if again { &[][..] } else { &strangers };
            let people = seal::People { pseudonyms: &pseudonyms, strangers };
            let sealed = seal::seal(&mut draft, people, &*inner.clock, &*inner.entropy)
                .map_err(|error| Error::Draft { index, error })?;
            request.sealed.extend(sealed.into_iter().map(|row| (index, row)));
            if let Data::SubjectErased(erased) = &draft.data {
                request.erase.subjects.extend(erased.subject.clone());
                request.erase.values.extend(erased.values.iter().cloned());
            }
            if let Data::EvidenceErased(erased) = &draft.data {
                request.erase.blobs.push(erased.blake3.clone());
            }
            request.events.push(Prepared::new(&draft).map_err(|error| Error::Draft { index, error })?);
        }
        Ok(request)
    }

    async fn is_known(&self, draft: &Draft) -> Result<bool> {
        let key = index::dedup_key(draft.source.as_str(), draft.dedup.as_str());
        self.blocking(move |ledger| Ok(ledger.inner.index.dedup(&key)?.is_some())).await
    }

    /// Position and id of the event that was recorded under an idempotency key.
    ///
    /// # Errors
    /// `Corrupt`; storage errors.
    pub async fn find(&self, source: &Source, dedup: &Dedup) -> Result<Option<(Position, EventId)>> {
        let key = index::dedup_key(source.as_str(), dedup.as_str());
        self.blocking(move |ledger| {
            let Some(position) = ledger.inner.index.dedup(&key)?.filter(|position| *position < ledger.head().size)
            else {
                return Ok(None);
            };
            let corrupt = |error: &dyn std::fmt::Display| Error::Corrupt(format!("event {position}: {error}"));
            let leaf = ledger.leaf(position)?;
            let peek = event::Peek::new(&leaf).map_err(|error| corrupt(&error))?;
            let id = peek.id.parse().map_err(|error| corrupt(&error))?;
            Ok(Some((Position(position), id)))
        })
        .await
    }

    /// Those of the pseudonyms that nobody is behind: never given, or erased.
    async fn strangers(&self, pseudonyms: Vec<SubjectId>) -> Result<Vec<SubjectId>> {
        if pseudonyms.is_empty() {
            return Ok(pseudonyms);
        }
        self.blocking(|ledger| {
            let mut strangers = Vec::new();
            for id in pseudonyms {
                if ledger.inner.engine.subject(&id)?.is_none() {
                    strangers.push(id);
                }
            }
            Ok(strangers)
        })
        .await
    }

    async fn pseudonyms(&self, identities: Vec<String>) -> Result<HashMap<String, SubjectId>> {
        let mut known = HashMap::with_capacity(identities.len());
        let mut unknown = Vec::new();
        if identities.is_empty() {
            return Ok(known);
        }
        {
            let cache = read(&self.inner.pseudonyms);
            for identity in identities {
                match cache.get(&identity) {
                    Some(id) => drop(known.insert(identity, id.clone())),
                    None => unknown.push(identity),
                }
            }
        }
        if !unknown.is_empty() {
            let ids = self.writer()?.subjects(unknown.clone()).await?;
            let mut cache = write(&self.inner.pseudonyms);
            if cache.len() + ids.len() > PSEUDONYMS_KEPT {
                cache.clear();
            }
            for (identity, id) in unknown.into_iter().zip(ids) {
                cache.insert(identity.clone(), id.clone());
                known.insert(identity, id);
            }
        }
        Ok(known)
    }

    /// The newest signed head.
    #[must_use]
    pub fn head(&self) -> SignedHead {
        self.inner.head.borrow().clone()
    }

    /// A watch on the head: it carries only the newest, so a slow follower misses no event, only intermediate heads.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<SignedHead> {
        self.inner.head.clone()
    }

    /// Whether events can be appended, as far as is known without trying.
    ///
    /// # Errors
    /// `Stopped` after a fatal failure of the storage; `Refused` when the ledger was opened for reading only.
    pub fn writable(&self) -> Result<()> {
        self.writer()?.healthy()
    }

    /// Looks at the database again: for a ledger opened for reading while another process writes it.
    ///
    /// # Errors
    /// `Corrupt`; storage errors.
    pub fn refresh(&self) -> Result<SignedHead> {
        if let Some(refreshed) = &self.inner.refreshed {
            let head = self.inner.engine.head()?;
            if head.size > self.head().size {
                let note = head.checkpoint.unwrap_or_default();
                verify_note(&note, &self.inner.key)?;
                self.inner.index.catch_up(&*self.inner.engine, head.size)?;
                refreshed.send_replace(SignedHead { size: head.size, checkpoint: note.into() });
            }
        }
        Ok(self.head())
    }

    /// Reads a page of the log; see [`page`].
    ///
    /// # Errors
    /// `Corrupt`; storage errors.
    pub fn page(&self, from: u64, to: u64, backwards: bool, filter: &Filter, limit: PageLimit) -> Result<Page> {
        let to = to.min(self.head().size);
        page(&*self.inner.engine, from.min(to)..to, backwards, filter, limit)
    }

    /// Reads a stream's events with `seq` from `from_seq` on, ascending, at most `limit`.
    ///
    /// # Errors
    /// `NotFound` when there is no such stream; `Corrupt`; storage errors.
    pub fn stream(&self, stream: &str, from_seq: u64, limit: usize) -> Result<Vec<Entry>> {
        if self.inner.index.head(stream)?.is_none() {
            return Err(Error::NotFound(format!("stream {stream}")));
        }
        let size = self.head().size;
        let mut positions = self.inner.index.stream_positions(stream, from_seq, limit)?;
        positions.retain(|position| *position < size);
        entries(&*self.inner.engine, &positions)
    }

    /// The leaf at a position.
    ///
    /// # Errors
    /// `NotFound`; storage errors.
    pub fn leaf(&self, position: u64) -> Result<Bytes> {
        let found = if position < self.head().size { self.inner.engine.leaf(position)? } else { None };
        found.ok_or_else(|| Error::NotFound(format!("event {position}")))
    }

    /// When the event at a position was recorded.
    ///
    /// # Errors
    /// `NotFound`, `Corrupt`; storage errors.
    pub fn recorded_at(&self, position: u64) -> Result<event::Timestamp> {
        let leaf = self.leaf(position)?;
        let recorded_at = event::Peek::new(&leaf).and_then(|peek| peek.recorded_at.parse());
        recorded_at.map_err(|error| Error::Corrupt(format!("event {position}: {error}")))
    }

    /// The leaf with an id, with its position: the id itself says where it must be.
    ///
    /// # Errors
    /// `NotFound`; storage errors.
    pub fn leaf_by_id(&self, id: &EventId) -> Result<(u64, Bytes)> {
        let position = id.position().0;
        let not_found = || Error::NotFound(format!("event {id}"));
        let leaf =
            self.leaf(position).map_err(|error| if error.kind() == Kind::NotFound { not_found() } else { error })?;
        let peek = event::Peek::new(&leaf).map_err(|error| Error::Corrupt(format!("event {position}: {error}")))?;
        if peek.id == id.encode(&mut [0; 36]) { Ok((position, leaf)) } else { Err(not_found()) }
    }

    /// The receipt of an event, against the newest checkpoint.
    ///
    /// # Errors
    /// `NotFound`; `Corrupt`; storage errors.
    pub fn receipt(&self, position: u64) -> Result<Receipt> {
        let head = self.head();
        Receipt::new(&self.inner.index, self.leaf(position)?, position, head.size, &head.checkpoint)
    }

    /// The receipt of an event that was just acknowledged, against the checkpoint that came back.
    ///
    /// # Errors
    /// As [`Ledger::receipt`].
    pub fn receipt_of(&self, position: u64, acknowledged: &Acknowledged) -> Result<Receipt> {
        let leaf = self.leaf(position)?;
        Receipt::new(&self.inner.index, leaf, position, acknowledged.size, &acknowledged.checkpoint)
    }

    /// Proof that the tree of `size` leaves is an extension of the tree of `old` leaves.
    ///
    /// # Errors
    /// `Invalid` for sizes that were never; `Corrupt`; storage errors.
    pub fn consistency_proof(&self, old: u64, size: u64) -> Result<Vec<Hash>> {
        if old > size || size > self.head().size {
            return Err(Error::invalid("old_size", format!("there is no tree of {old} leaves within one of {size}")));
        }
        tree::consistency_proof(&mut self.inner.index.nodes(), old, size).map_err(|error| match error {
            tree::ProofBuildError::Read(error) => error,
            other => Error::Internal(other.to_string()),
        })
    }

    /// A hash tile or entry bundle (C2SP tlog-tiles).
    ///
    /// # Errors
    /// `NotFound` for one that the tree does not have, in that width; storage errors.
    pub fn tile(&self, path: &TilePath) -> Result<Bytes> {
        let width = usize::from(path.width);
        let not_found = || Error::NotFound(path.to_string());
        match path.kind {
            TileKind::Hashes { level } => {
                let hashes = self.inner.index.tile(level, path.index)?.ok_or_else(not_found)?;
                let hashes = hashes.get(..width).ok_or_else(not_found)?;
                Ok(hashes.iter().flat_map(|hash| *hash.as_bytes()).collect::<Vec<u8>>().into())
            }
            TileKind::Entries => {
                let first = path.index.checked_mul(256).ok_or_else(not_found)?;
                let until = first.checked_add(u64::from(path.width)).ok_or_else(not_found)?;
                if until > self.head().size {
                    return Err(not_found());
                }
                let mut leaves = Vec::with_capacity(width);
                self.inner.engine.read(first..until, false, &mut |_, leaf| {
                    leaves.push(Bytes::copy_from_slice(leaf));
                    Ok(true)
                })?;
                if leaves.len() != width {
                    return Err(Error::Corrupt(format!("events between {first} and {until} are missing")));
                }
                let bundle = tree::encode_entry_bundle(leaves.iter().map(|leaf| &leaf[..]));
                Ok(bundle.map_err(|error| Error::Corrupt(error.to_string()))?.into())
            }
        }
    }

    /// Streams by name; see [`Index::streams`].
    ///
    /// # Errors
    /// Storage errors.
    pub fn streams(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<StreamInfo>> {
        self.inner.index.streams(prefix, after, limit)
    }

    /// The private values of an event that were not erased, each with the salt that opens its commitment.
    ///
    /// # Errors
    /// `Corrupt` for a broken leaf; storage errors.
    pub fn private_values(&self, event: &Recorded) -> Result<Vec<SealedValue>> {
        let corrupt = |error| Error::Corrupt(format!("event {}: {error}", event.envelope().position));
        let parts = event.private_parts().map_err(corrupt)?;
        let mut values = Vec::with_capacity(parts.sealed.len());
        for reference in parts.sealed {
            values.extend(self.inner.engine.sealed(&reference.sealed)?);
        }
        Ok(values)
    }

    /// Everyone whose pseudonym stands in an event, as actor or in the payload, unless erased.
    ///
    /// # Errors
    /// `Corrupt` for a broken leaf; storage errors.
    pub fn subjects_of(&self, event: &Recorded) -> Result<Vec<SubjectRecord>> {
        let corrupt = |error| Error::Corrupt(format!("event {}: {error}", event.envelope().position));
        let parts = event.private_parts().map_err(corrupt)?;
        let mut subjects = Vec::with_capacity(parts.subjects.len());
        for id in parts.subjects {
            subjects.extend(self.inner.engine.subject(&id)?);
        }
        Ok(subjects)
    }

    /// Who is behind a pseudonym, unless erased.
    ///
    /// # Errors
    /// Storage errors.
    pub fn subject(&self, id: &SubjectId) -> Result<Option<SubjectRecord>> {
        self.inner.engine.subject(id)
    }

    /// The evidence store.
    #[must_use]
    pub fn evidence(&self) -> &Evidence {
        &self.inner.evidence
    }

    /// What the append path counted since the start of this process.
    #[must_use]
    pub fn meter(&self) -> &Meter {
        &self.inner.meter
    }

    /// Where the ledger is.
    #[must_use]
    pub fn dir(&self) -> &DataDir {
        &self.inner.dir
    }

    /// The verifier key of the log.
    #[must_use]
    pub fn key(&self) -> &VerifierKey {
        &self.inner.key
    }

    /// The engine, for verification and backup.
    #[must_use]
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.inner.engine
    }

    /// The index, for verification.
    #[must_use]
    pub fn index(&self) -> &Arc<Index> {
        &self.inner.index
    }

    /// The ledger's clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    /// Runs something that reads the ledger away from the threads that serve connections.
    ///
    /// # Errors
    /// What it returns; `Internal` should it panic.
    pub async fn blocking<T: Send + 'static>(
        &self,
        run: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let closed = |_| Error::Internal("the readers are closed".to_owned());
        let _permit = self.inner.reads.acquire().await.map_err(closed)?;
        let ledger = self.clone();
        let span = tracing::Span::current();
        tokio::task::spawn_blocking(move || span.in_scope(|| run(&ledger)))
            .await
            .map_err(|error| Error::Internal(format!("a reader failed: {error}")))?
    }

    fn writer(&self) -> Result<&Writer> {
        self.inner.writer.as_ref().ok_or_else(|| Error::Refused("this ledger was opened for reading only".to_owned()))
    }

    fn heads_covered(&self) -> Option<u64> {
        self.inner.heads_covered.load(Ordering::Relaxed).checked_sub(1)
    }

    fn set_heads_covered(&self, position: u64) {
        self.inner.heads_covered.store(position + 1, Ordering::Relaxed);
    }
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// What verification rests on, and nobody else can know.
fn only_the_ledger_says(data: &Data) -> bool {
    matches!(data, Data::LedgerCreated(_) | Data::LedgerRestored(_) | Data::HeadsCommitted(_) | Data::KeyRotated(_))
}

/// Refuses drafts that are the ledger's own to say.
fn not_ours(drafts: &[Draft]) -> Result<()> {
    match drafts.iter().position(|draft| only_the_ledger_says(&draft.data)) {
        None => Ok(()),
        Some(index) => Err(Error::Refused(format!("event {index} of the request: only the ledger itself says so"))),
    }
}

/// Small evidence, with the events that name it.
fn packed(drafts: &[Draft], given: &[SmallBlob]) -> Result<Vec<(Vec<usize>, PackedBlob)>> {
    let mut naming: HashMap<&event::EvidenceRef, Vec<usize>> = HashMap::new();
    for (n, draft) in drafts.iter().enumerate() {
        draft.evidence.iter().for_each(|reference| naming.entry(reference).or_default().push(n));
    }
    let pack = |blob: &SmallBlob| match naming.get(blob.reference()) {
        Some(named) => Ok((named.clone(), blob.pack()?)),
        None => {
            let what = format!("no event of the request names {}", blob.reference().blake3);
            Err(Error::invalid("evidence", what))
        }
    };
    given.iter().map(pack).collect()
}
