//! Creating and opening a ledger: everything is checked against what was signed before anything is served.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, RwLock};

use tokio::sync::watch;

use super::engine::Engine;
use super::guard::{Guard, named_new, sync_dir, write_synced};
use super::index::Index;
use super::signer::{Signer, verify_note};
use super::sqlite::{SqliteEngine, Store};
use super::tree::{Frontier, Hash, NodeReader, SigningKey, VerifierKey};
use super::writer::{SignedHead, Writer};
use super::{
    Clock, DataDir, Entropy, Error, Evidence, Inner, Ledger, Lock, READS_MAX, Result, Sequencer, SystemClock,
    SystemEntropy,
};
use crate::event::ledger::{LedgerCreated, LedgerRestored};
use crate::event::{Data, Dedup, Draft, Position, Private, Recorded, Source, StreamName, Timestamp};

/// How to open a ledger for writing.
#[derive(Clone)]
pub struct Options {
    /// Where it is.
    pub dir: DataDir,
    /// What this process does, for others that find the directory locked.
    pub purpose: String,
    /// Where the rollback guard is; none for its place in the data directory.
    pub guard: Option<PathBuf>,
    /// Goes on although the database was rolled back, for this reason; it is recorded.
    pub accept_rollback: Option<String>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of salts and ids.
    pub entropy: Arc<dyn Entropy>,
    /// The SQLite VFS of `ledger.db`; none for the default. Fault injection in tests.
    pub vfs: Option<String>,
}

impl Options {
    /// The usual way to open the ledger in `dir`.
    pub fn new(dir: DataDir, purpose: impl Into<String>) -> Self {
        Self {
            dir,
            purpose: purpose.into(),
            guard: None,
            accept_rollback: None,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            vfs: None,
        }
    }

    fn guard(&self) -> Guard {
        Guard::new(self.guard.clone().unwrap_or_else(|| self.dir.guard()))
    }

    fn store(&self) -> Store {
        Store::precious(&self.dir.ledger(), self.vfs.clone())
    }
}

/// What a new ledger is called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Creation {
    /// The log's origin, a URL without scheme that names it for ever; none for one made up at random.
    pub origin: Option<String>,
}

impl Ledger {
    /// Makes a new ledger, with a key of its own, and opens it.
    ///
    /// # Errors
    /// `Refused` when there is one already; `Invalid` for an origin that a checkpoint cannot carry; storage errors.
    pub async fn create(options: Options, creation: Creation) -> Result<Self> {
        if options.dir.exists() {
            return Err(Error::Refused(format!("there is a ledger in {} already", options.dir.root().display())));
        }
        options.dir.make()?;
        let lock = Lock::take(&options.dir.lock(), &options.purpose)?;
        // A key without a database is what a creation that was interrupted left behind.
        if !options.dir.signing_key().exists() {
            let key = new_key(&creation, &*options.entropy)?;
            write_private(&options.dir.signing_key(), &format!("{}\n", key.to_secret_string()))?;
        }
        Self::open_locked(options, lock).await
    }

    /// Opens a ledger for writing.
    ///
    /// # Errors
    /// `NotFound` when there is none; `Busy` when another process has it; `RolledBack`; `Corrupt`; `Refused` for a key
    /// that is not the ledger's; storage errors.
    pub async fn open(options: Options) -> Result<Self> {
        if !options.dir.exists() {
            return Err(Error::NotFound(format!("a ledger in {}", options.dir.root().display())));
        }
        let lock = Lock::take(&options.dir.lock(), &options.purpose)?;
        Self::open_locked(options, lock).await
    }

    /// Opens a ledger for writing, making it where there is none.
    ///
    /// # Errors
    /// As for [`Ledger::open`] and [`Ledger::create`].
    pub async fn open_or_create(options: Options, creation: Creation) -> Result<Self> {
        if options.dir.exists() { Self::open(options).await } else { Self::create(options, creation).await }
    }

    /// Opens a ledger for reading only. Needs no lock: another process may be writing it.
    ///
    /// # Errors
    /// `NotFound`; `Corrupt`; storage errors.
    pub fn open_read_only(dir: &DataDir) -> Result<Self> {
        let engine: Arc<dyn Engine> = Arc::new(SqliteEngine::open_read_only(Store::precious(&dir.ledger(), None))?);
        let key = read_verifier_key(&dir.verifier_key())?;
        let head = engine.head()?;
        let (note, root) = signed_root(head.checkpoint.as_deref(), &key)?;
        let index = Arc::new(Index::open_read_only(&dir.index(), key.name(), &*engine, (head.size, &root))?);
        let (refreshed, head) = watch::channel(SignedHead { size: head.size, checkpoint: note.into() });
        Ok(Self {
            inner: Arc::new(Inner {
                dir: dir.clone(),
                evidence: Evidence::of(engine.clone(), &dir.evidence())?,
                engine,
                index,
                key,
                head,
                refreshed: Some(refreshed),
                writer: None,
                pseudonyms: RwLock::default(),
                erasing: Arc::default(),
                clock: Arc::new(SystemClock),
                entropy: Arc::new(SystemEntropy),
                reads: tokio::sync::Semaphore::new(READS_MAX),
                heads_covered: AtomicU64::new(0),
                meter: Arc::default(),
                _lock: None,
            }),
        })
    }

    async fn open_locked(options: Options, lock: Lock) -> Result<Self> {
        let opened = tokio::task::spawn_blocking(move || Opened::open(options, lock))
            .await
            .map_err(|error| Error::Internal(format!("opening failed: {error}")))??;
        opened.finish().await
    }
}

/// A ledger whose threads run, before it has said what it must say of itself.
struct Opened {
    ledger: Ledger,
    rolled_back: Option<(u64, String)>,
    reason: Option<String>,
    guard: Guard,
}

impl Opened {
    fn open(options: Options, lock: Lock) -> Result<Self> {
        let key = read_signing_key(&options.dir.signing_key())?;
        let verifier = key.verifier_key();
        let engine: Arc<dyn Engine> = Arc::new(SqliteEngine::open(options.store())?);
        let head = engine.head()?;
        check_birth(&*engine, &verifier)?;
        let published = options.dir.verifier_key();
        if !published.exists() {
            write_synced(&published, format!("{verifier}\n").as_bytes())?;
        }
        let (note, root) = signed_root(head.checkpoint.as_deref(), &verifier)?;
        let index = Arc::new(Index::open(&options.dir.index(), verifier.name(), &*engine, (head.size, &root))?);
        let guard = options.guard();
        let rolled_back = check_guard(&guard, &verifier, &index, head.size)?;
        if let Some((known, _)) = &rolled_back {
            if options.accept_rollback.is_none() {
                let guard = guard.path().display().to_string();
                return Err(Error::RolledBack { database: head.size, known: *known, guard });
            }
            tracing::warn!(database = head.size, known, "going on from a database that was rolled back");
        }
        let signer = Signer::resume(key, head.checkpoint.as_deref(), frontier(&index, head.size)?)?;
        let (clock, entropy) = (options.clock.clone(), options.entropy.clone());
        let sequencer = Sequencer::new(engine.clone(), index.clone(), signer, clock.clone(), entropy.clone())?;
        let (sender, head) = watch::channel(SignedHead { size: head.size, checkpoint: note.into() });
        let heads_covered = AtomicU64::new(last_heads(&*engine, &index)?.map_or(0, |as_of| as_of + 1));
        let evidence = Evidence::of(engine.clone(), &options.dir.evidence())?;
        evidence.clear_incoming()?;
        let meter = sequencer.meter().clone();
        let writer = Writer::start(sequencer, index.clone(), Some((guard.clone(), verifier.clone())), sender)?;
        let inner = Inner {
            dir: options.dir,
            engine,
            index,
            evidence,
            key: verifier,
            head,
            refreshed: None,
            writer: Some(writer),
            pseudonyms: RwLock::default(),
            erasing: Arc::default(),
            clock,
            entropy,
            reads: tokio::sync::Semaphore::new(READS_MAX),
            heads_covered,
            meter,
            _lock: Some(lock),
        };
        Ok(Self { ledger: Ledger { inner: Arc::new(inner) }, rolled_back, reason: options.accept_rollback, guard })
    }

    async fn finish(self) -> Result<Ledger> {
        let ledger = self.ledger;
        let size = ledger.head().size;
        if size == 0 {
            let key = ledger.key().to_string();
            let origin = ledger.key().name().to_owned();
            let created = LedgerCreated { created_with: env!("CARGO_PKG_VERSION").to_owned(), key, origin };
            ledger.say(created, "created").await?;
        }
        if let Some((known, note)) = self.rolled_back {
            let restored = LedgerRestored {
                known_checkpoint: note.clone(),
                operator: None,
                reason: Private::plain(self.reason.unwrap_or_default()),
                size_after: Position(size),
                size_before: Position(known),
            };
            ledger.say(restored, &format!("restored:{known}:{size}")).await?;
            // Not before: until the log says it, the next start must find it again.
            set_aside(&self.guard, &note)?;
        }
        Ok(ledger)
    }
}

impl Ledger {
    /// Appends an event of the ledger about itself.
    ///
    /// # Errors
    /// As for appending.
    pub async fn say(&self, data: impl Into<Data>, dedup: &str) -> Result<Position> {
        let done = self.submit_own(vec![self.own_draft(data, dedup)?], &[]).await?.wait().await?;
        done.placed.first().map(|placed| placed.position).ok_or_else(|| Error::Internal("no place".to_owned()))
    }

    /// A draft in the stream `ledger`.
    pub(super) fn own_draft(&self, data: impl Into<Data>, dedup: &str) -> Result<Draft> {
        own_draft(data, dedup, self.clock().now())
    }
}

/// A draft in the stream `ledger`, of something that happened at `at`.
pub(super) fn own_draft(data: impl Into<Data>, dedup: &str, at: Timestamp) -> Result<Draft> {
    let defect = |error: crate::event::Error| Error::Internal(error.to_string());
    let stream: StreamName = "ledger".parse().map_err(defect)?;
    let source: Source = "plimsoll".parse().map_err(defect)?;
    let dedup: Dedup = dedup.parse().map_err(defect)?;
    Ok(Draft::new(data, stream, source, dedup, at))
}

fn new_key(creation: &Creation, entropy: &dyn Entropy) -> Result<SigningKey> {
    let origin = creation.origin.clone().unwrap_or_else(|| {
        let mut random = [0; 4];
        entropy.fill(&mut random);
        format!("plimsoll.local/{}", hex::encode(random))
    });
    let mut seed = [0; 32];
    entropy.fill(&mut seed);
    SigningKey::from_seed(&origin, seed).map_err(|error| Error::invalid("origin", error.to_string()))
}

/// Writes a file that only its owner may read: all of it or none, as a key of which a half is there is worse than none.
fn write_private(path: &Path, content: &str) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let failed = |error| Error::io("cannot write", path, error);
    let new = named_new(path);
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).map_err(failed)?;
    file.write_all(content.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&new, path).map_err(failed)?;
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

fn read_line(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path).map_err(|error| Error::io("cannot read", path, error))?;
    Ok(text.trim().to_owned())
}

/// Reads a signing key from its file.
fn read_signing_key(path: &Path) -> Result<SigningKey> {
    SigningKey::parse(&read_line(path)?).map_err(|error| Error::Refused(format!("{}: {error}", path.display())))
}

/// Reads a verifier key from a file of one line.
///
/// # Errors
/// `Io`; `Refused` when it is not a key.
pub(super) fn read_verifier_key(path: &Path) -> Result<VerifierKey> {
    VerifierKey::parse(&read_line(path)?).map_err(|error| Error::Refused(format!("{}: {error}", path.display())))
}

fn signed_root(note: Option<&str>, key: &VerifierKey) -> Result<(String, Hash)> {
    match note {
        Some(note) => Ok((note.to_owned(), verify_note(note, key)?.root)),
        None => Ok((String::new(), super::tree::empty_root())),
    }
}

/// The key and origin in the first event are the ledger's for ever.
fn check_birth(engine: &dyn Engine, key: &VerifierKey) -> Result<()> {
    let Some(leaf) = engine.leaf(0)? else { return Ok(()) };
    let corrupt = |error: crate::event::Error| Error::Corrupt(format!("event 0: {error}"));
    match Recorded::parse(leaf).and_then(|event| event.data()).map_err(corrupt)? {
        Data::LedgerCreated(created) if created.key == key.to_string() => Ok(()),
        Data::LedgerCreated(created) => {
            Err(Error::Refused(format!("this ledger belongs to the key {}, and the key here is {key}", created.key)))
        }
        _ => Err(Error::Corrupt("event 0 is not ledger.created".to_owned())),
    }
}

/// Compares the database with the remembered checkpoint. Returns that checkpoint when it is ahead of the database.
fn check_guard(guard: &Guard, key: &VerifierKey, index: &Index, size: u64) -> Result<Option<(u64, String)>> {
    let Some((known, note)) = guard.load(key)? else { return Ok(None) };
    if known.size > size {
        return Ok(Some((known.size, note)));
    }
    let root = super::tree::root_at(&mut index.nodes(), known.size)?;
    if root == known.root {
        return Ok(None);
    }
    Err(Error::Corrupt(format!(
        "the first {} events have root {root}, and {} was signed for them before (kept in {}): this is another history",
        known.size,
        known.root,
        guard.path().display()
    )))
}

/// Keeps the checkpoint that is being given up under another name, and forgets it as the guard.
fn set_aside(guard: &Guard, note: &str) -> Result<()> {
    let mut name = guard.path().as_os_str().to_owned();
    name.push(".given-up");
    write_synced(Path::new(&name), note.as_bytes())?;
    std::fs::remove_file(guard.path()).map_err(|error| Error::io("cannot remove", guard.path(), error))
}

/// The right edge of the tree, from the index.
fn frontier(index: &Index, size: u64) -> Result<Frontier> {
    let mut nodes = index.nodes();
    let mut roots = Vec::new();
    let mut covered = 0_u64;
    for level in (0..64_u8).rev().filter(|level| size & (1 << level) != 0) {
        roots.push(nodes.node(level, covered >> level)?);
        covered += 1 << level;
    }
    Frontier::from_parts(size, roots).map_err(|error| Error::Internal(error.to_string()))
}

/// What the newest `heads.committed` covers, as far back as a start looks.
fn last_heads(engine: &dyn Engine, index: &Index) -> Result<Option<u64>> {
    let Some(head) = index.head("ledger")? else { return Ok(None) };
    let positions = index.stream_positions("ledger", head.seq.saturating_sub(32), 64)?;
    for entry in super::entries(engine, &positions)?.into_iter().rev() {
        let data = Recorded::parse(entry.leaf).and_then(|event| event.data());
        let data = data.map_err(|error| Error::Corrupt(format!("event {}: {error}", entry.position)))?;
        if let Data::HeadsCommitted(heads) = data {
            return Ok(Some(heads.as_of.0));
        }
    }
    Ok(None)
}
