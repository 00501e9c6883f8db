//! The views of a ledger: kept up with the log by a thread of their own, and asked through here.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::event::{Hex32, SealedId, SubjectId};
use crate::ledger::{self, BlobReader, DataDir, Ledger, Lock, PageLimit, remove_database, replace_database};
use crate::projection::{self, Documents, Error, Event, Fit, Projection, Projector, Result, Snapshot, fit};

/// Most events of one transaction while catching up: enough that a commit costs nothing, few enough that a stop is heard.
const BATCH: usize = 4096;

/// How long a query waits for the position it asks for.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// How long to wait before trying again what the disk or the log refused.
const PAUSE: Duration = Duration::from_secs(1);

/// Which projections there are; tests add their own.
pub type Registry = fn() -> Vec<Box<dyn Projection>>;

/// The views of a ledger. Cheap to clone; the thread ends when the last clone is dropped.
#[derive(Clone)]
pub struct Views {
    inner: Arc<Inner>,
}

struct Inner {
    ledger: Ledger,
    shared: Arc<Shared>,
    /// None when another process folds.
    folder: Mutex<Option<std::thread::JoinHandle<()>>>,
    folds: bool,
}

/// What the thread and those who ask share.
struct Shared {
    path: PathBuf,
    registry: Registry,
    /// The file that answers: another one after a rebuild.
    file: RwLock<Arc<projection::Views>>,
    /// How many events are folded.
    folded: watch::Sender<u64>,
    /// How many events a rebuild has folded; 0 when there is none.
    rebuilt: AtomicU64,
    rebuilding: AtomicBool,
    stopping: watch::Sender<bool>,
}

impl Shared {
    fn new(path: PathBuf, registry: Registry, file: projection::Views, folded: u64) -> Self {
        let (folded, stopping) = (watch::Sender::new(folded), watch::Sender::new(false));
        Self {
            path,
            registry,
            file: RwLock::new(Arc::new(file)),
            folded,
            rebuilt: AtomicU64::new(0),
            rebuilding: AtomicBool::new(false),
            stopping,
        }
    }

    fn stops(&self) -> bool {
        *self.stopping.borrow()
    }
}

impl Views {
    /// Opens the views of a ledger, making them anew where there are none that fit, and keeps them up with the log. While
    /// they are made anew, the old ones answer as far as their tables are the same.
    ///
    /// # Errors
    /// `Ledger` with `Busy` when another process keeps them; `Database`.
    pub fn open(ledger: &Ledger, dir: &DataDir, registry: Registry) -> Result<Self> {
        let lock = Lock::take(&dir.views_lock(), "plimsoll")?;
        let path = dir.views();
        let projector = projector(ledger, &path, registry)?;
        let rebuilds = projector.path() != path;
        let file = projection::Views::new(&path);
        let folded = if rebuilds { file.read(ledger, |snapshot| Ok(snapshot.size()))? } else { projector.size() };
        let shared = Arc::new(Shared::new(path, registry, file, folded));
        shared.rebuilding.store(rebuilds, Ordering::Relaxed);
        let folder = Folder { ledger: ledger.clone(), shared: shared.clone(), runtime: Handle::current(), lock };
        let folder = std::thread::Builder::new()
            .name("projector".to_owned())
            .spawn(move || folder.run(projector))
            .map_err(|source| ledger::Error::Io { what: "cannot start the projector".to_owned(), source })?;
        Ok(Self {
            inner: Arc::new(Inner { ledger: ledger.clone(), shared, folder: Mutex::new(Some(folder)), folds: true }),
        })
    }

    /// The views that another process keeps, or kept: as far as they are folded when asked.
    ///
    /// # Errors
    /// `Database` when there are none, or they are not of this ledger.
    pub fn open_read_only(ledger: &Ledger, dir: &DataDir, registry: Registry) -> Result<Self> {
        let path = dir.views();
        let file = projection::Views::new(&path);
        let folded = file.read(ledger, |snapshot| Ok(snapshot.size()))?;
        let shared = Arc::new(Shared::new(path, registry, file, folded));
        Ok(Self { inner: Arc::new(Inner { ledger: ledger.clone(), shared, folder: Mutex::new(None), folds: false }) })
    }

    /// The ledger.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.inner.ledger
    }

    /// How many events are folded.
    #[must_use]
    pub fn folded(&self) -> u64 {
        *self.inner.shared.folded.borrow()
    }

    /// Whether a file is being made that takes the place of one of another version.
    #[must_use]
    pub fn rebuilding(&self) -> bool {
        self.inner.shared.rebuilding.load(Ordering::Relaxed)
    }

    /// Waits until so many events are folded.
    ///
    /// # Errors
    /// `Behind` when that takes longer than 10 s.
    pub async fn wait_for(&self, position: u64) -> Result<()> {
        let shared = &self.inner.shared;
        let mut folded = shared.folded.subscribe();
        let looking = async {
            if !self.inner.folds {
                // Nobody tells: another process folds.
                loop {
                    let size = self.file().read(&self.inner.ledger, |snapshot| Ok(snapshot.size())).unwrap_or(0);
                    shared.folded.send_replace(size);
                    if size >= position {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            let _gone = folded.wait_for(|folded| *folded >= position).await.is_err();
        };
        match tokio::time::timeout(WAIT_MAX, looking).await {
            Ok(()) => Ok(()),
            Err(_elapsed) => Err(Error::Behind { folded: self.folded(), wanted: position }),
        }
    }

    /// Asks, once the views hold `min_position` events.
    ///
    /// # Errors
    /// The query's; `Behind`.
    pub async fn query<T: Send + 'static>(
        &self,
        min_position: u64,
        query: impl FnOnce(&Snapshot<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if min_position > 0 {
            self.wait_for(min_position).await?;
        }
        let file = self.file();
        let answer = self.inner.ledger.blocking(move |ledger| Ok(file.read(ledger, query))).await?;
        answer.map_err(|error| match error {
            Error::Rebuilding { projection, total, .. } => {
                let done = self.inner.shared.rebuilt.load(Ordering::Relaxed);
                Error::Rebuilding { projection, done, total }
            }
            other => other,
        })
    }

    /// Stops folding and waits until the thread has let go of the ledger.
    ///
    /// # Errors
    /// `Ledger` with `Internal` should the thread have broken off.
    pub async fn close(self) -> Result<()> {
        self.inner.shared.stopping.send_replace(true);
        let folder = self.inner.folder.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(folder) = folder else { return Ok(()) };
        let joined = tokio::task::spawn_blocking(move || folder.join()).await;
        match joined {
            Ok(Ok(())) => Ok(()),
            _ => Err(ledger::Error::Internal("the projector broke off".to_owned()).into()),
        }
    }

    fn file(&self) -> Arc<projection::Views> {
        self.inner.shared.file.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl std::fmt::Debug for Views {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "views in {}", self.inner.shared.path.display())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The thread ends by itself; whoever drops this may be a thread of the runtime, which must not wait for it.
        self.shared.stopping.send_replace(true);
    }
}

/// Where a file is made that takes the place of the one that answers.
fn next(path: &Path) -> PathBuf {
    path.with_extension("next.db")
}

fn id_at(ledger: &Ledger, position: u64) -> Result<Option<String>> {
    match ledger.leaf(position) {
        Ok(leaf) => {
            let peek = crate::event::Peek::new(&leaf).map_err(|error| ledger::Error::Corrupt(error.to_string()))?;
            Ok(Some(peek.id.to_owned()))
        }
        Err(error) if error.kind() == ledger::Kind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Opens the views file at `path` for folding; makes a new one in its place where it is not of this ledger, and beside it
/// where it is of another version and can answer meanwhile.
fn projector(ledger: &Ledger, path: &Path, registry: Registry) -> Result<Projector> {
    remove_database(&next(path))?;
    let (projections, origin) = (registry(), ledger.key().name());
    match fit(path, origin, &projections, |position| id_at(ledger, position))? {
        Fit::Current => Projector::open(path, projections),
        Fit::Missing | Fit::Foreign => Projector::create(path, origin, projections),
        Fit::Outdated => Projector::create(&next(path), origin, projections),
    }
}

/// The thread that folds.
struct Folder {
    ledger: Ledger,
    shared: Arc<Shared>,
    runtime: Handle,
    // Given back when the thread ends.
    #[expect(dead_code, reason = "held, not used")]
    lock: Lock,
}

impl Folder {
    fn run(self, projector: Projector) {
        let mut head = self.ledger.watch();
        let mut held = Some(projector);
        while !self.shared.stops() {
            if let Err(error) = self.keep_up(&mut held) {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(%error, cause, "the views do not keep up; trying again");
                self.pause();
                continue;
            }
            let mut stopping = self.shared.stopping.subscribe();
            let goes_on = self.runtime.block_on(async {
                tokio::select! {
                    changed = head.changed() => changed.is_ok(),
                    _ = stopping.wait_for(|stops| *stops) => false,
                }
            });
            if !goes_on {
                break;
            }
        }
        if let Some(Err(error)) = held.map(Projector::close) {
            tracing::warn!(%error, "closing the views");
        }
    }

    /// Folds up to the head, and then puts a file that was made anew in the place of the one that answers. Where that
    /// failed halfway, `held` is empty, and the next call begins with what there is.
    fn keep_up(&self, held: &mut Option<Projector>) -> Result<()> {
        let mut folding = match held.take() {
            Some(projector) => projector,
            None => projector(&self.ledger, &self.shared.path, self.shared.registry)?,
        };
        let caught_up = self.catch_up(&mut folding);
        let done = caught_up.is_ok() && self.rebuilds(&folding) && !self.shared.stops();
        *held = Some(if done { self.swap(folding)? } else { folding });
        caught_up
    }

    fn pause(&self) {
        // Not made before the runtime is entered: a timer belongs to one.
        let mut stopping = self.shared.stopping.subscribe();
        self.runtime.block_on(async {
            let _stops = tokio::time::timeout(PAUSE, stopping.wait_for(|stops| *stops)).await.is_ok();
        });
    }

    /// Whether what is folded is yet to take the place of the file that answers.
    fn rebuilds(&self, projector: &Projector) -> bool {
        projector.path() != self.shared.path
    }

    /// Folds up to the head.
    fn catch_up(&self, projector: &mut Projector) -> Result<()> {
        loop {
            let head = self.ledger.head().size;
            if projector.size() >= head || self.shared.stops() {
                return Ok(());
            }
            fold_page(projector, &self.ledger, head, &self.runtime)?;
            if self.rebuilds(projector) {
                self.shared.rebuilt.store(projector.size(), Ordering::Relaxed);
            } else {
                self.shared.folded.send_replace(projector.size());
            }
        }
    }

    fn swap(&self, made: Projector) -> Result<Projector> {
        let (from, size) = (made.path().to_owned(), made.size());
        // Closed before the file moves: its connections would take the files beside it for those of the other.
        made.close()?;
        replace_database(&from, &self.shared.path)?;
        let file = Arc::new(projection::Views::new(&self.shared.path));
        *self.shared.file.write().unwrap_or_else(PoisonError::into_inner) = file;
        self.shared.rebuilt.store(0, Ordering::Relaxed);
        self.shared.rebuilding.store(false, Ordering::Relaxed);
        self.shared.folded.send_replace(size);
        tracing::info!(events = size, "the views were made anew");
        Projector::open(&self.shared.path, (self.shared.registry)())
    }
}

/// Folds one page of the log.
fn fold_page(projector: &mut Projector, ledger: &Ledger, head: u64, runtime: &Handle) -> Result<()> {
    let limit = PageLimit { events_max: BATCH, bytes_max: 8 << 20, scanned_max: BATCH as u64 };
    let page = ledger.page(projector.size(), head, false, &ledger::Filter::default(), limit)?;
    let events = page.entries.iter().map(Event::parse).collect::<Result<Vec<_>>>()?;
    projector.fold(&events, &OfLedger { ledger, runtime })
}

/// Folds the whole log into a new file at `path`, without a thread: what `rebuild` does. `say` is told how far it is.
///
/// # Errors
/// `Database`, `Ledger`.
pub fn build(ledger: &Ledger, path: &Path, registry: Registry, say: &dyn Fn(u64, u64)) -> Result<()> {
    let origin = ledger.key().name().to_owned();
    let mut projector = Projector::create(path, &origin, registry())?;
    let (head, runtime) = (ledger.head().size, Handle::current());
    while projector.size() < head {
        fold_page(&mut projector, ledger, head, &runtime)?;
        say(projector.size(), head);
    }
    projector.close()
}

/// Evidence and private values of a ledger.
struct OfLedger<'a> {
    ledger: &'a Ledger,
    runtime: &'a Handle,
}

impl Documents for OfLedger<'_> {
    fn evidence(&self, blake3: &Hex32) -> Result<Option<BlobReader>> {
        match self.runtime.block_on(self.ledger.evidence().open(blake3)) {
            Ok(reader) => Ok(Some(reader)),
            Err(error) if error.kind() == ledger::Kind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn sealed(&self, id: &SealedId) -> Result<Option<String>> {
        Ok(self.ledger.engine().sealed(id)?.map(|row| row.value))
    }

    fn subject(&self, id: &SubjectId) -> Result<Option<String>> {
        Ok(self.ledger.subject(id)?.map(|row| row.identity))
    }
}
