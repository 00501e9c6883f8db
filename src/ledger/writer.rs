//! The writer thread: owns the sequencer, drains the queue into one commit, answers.

use std::sync::mpsc::{RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use super::guard::Guard;
use super::index::{FLUSH_EVENTS, Index};
use super::sequencer::{Acknowledged, Request, Sequencer};
use super::tree::VerifierKey;
use super::{Error, Result};
use crate::event::SubjectId;

/// Bytes that may wait to be written. Callers beyond that wait for room, which is the backpressure that gRPC passes on.
const QUEUE_BYTES_MAX: usize = 64 << 20;

/// Events in one commit, roughly: keeps a commit's pages within SQLite's cache, and the slowest caller's wait short.
const COMMIT_EVENTS_MAX: usize = 4096;

/// Events that the index may hold in memory, about 200 bytes each, where its file cannot be written.
const UNFLUSHED_MAX: u64 = 64 * FLUSH_EVENTS;

/// How often the guard file follows the log.
const GUARD_INTERVAL: Duration = Duration::from_secs(1);

/// The head of the log as the world sees it: durable, signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHead {
    /// How many events there are.
    pub size: u64,
    /// The signed checkpoint of that tree: a C2SP note. Empty for an empty log.
    pub checkpoint: Arc<str>,
}

enum Command {
    Append {
        request: Request,
        reply: oneshot::Sender<Result<Acknowledged>>,
        permit: OwnedSemaphorePermit,
        since: Instant,
    },
    Subjects {
        identities: Vec<String>,
        reply: oneshot::Sender<Result<Vec<SubjectId>>>,
    },
}

/// The queue's sending end, and the threads behind it.
pub(super) struct Writer {
    queue: Option<mpsc::UnboundedSender<Command>>,
    room: Arc<Semaphore>,
    thread: Option<JoinHandle<()>>,
    keeper: Option<JoinHandle<()>>,
    /// Why the sequencer has stopped, once it has.
    stopped: Arc<OnceLock<String>>,
}

impl Writer {
    /// Starts the threads. `head` is told after every commit, before its callers are answered.
    pub(super) fn start(
        sequencer: Sequencer,
        index: Arc<Index>,
        guard: Option<(Guard, VerifierKey)>,
        head: watch::Sender<SignedHead>,
    ) -> Result<Self> {
        let no_thread = |error| Error::Io { what: "cannot start a thread".to_owned(), source: error };
        let (queue, commands) = mpsc::unbounded_channel();
        let (poke, poked) = sync_channel::<()>(1);
        let keeper = Keeper { index: index.clone(), guard, head: head.subscribe(), guarded: None };
        let keeper = std::thread::Builder::new()
            .name("plimsoll-keeper".to_owned())
            .spawn(move || keeper.run(&poked))
            .map_err(no_thread)?;
        let stopped = Arc::new(OnceLock::new());
        let told = stopped.clone();
        let thread = std::thread::Builder::new()
            .name("plimsoll-writer".to_owned())
            .spawn(move || run(sequencer, &index, commands, &head, &poke, &told))
            .map_err(no_thread)?;
        Ok(Self {
            queue: Some(queue),
            room: Arc::new(Semaphore::new(QUEUE_BYTES_MAX)),
            thread: Some(thread),
            keeper: Some(keeper),
            stopped,
        })
    }

    /// Whether the sequencer still works.
    pub(super) fn healthy(&self) -> Result<()> {
        self.stopped.get().map_or(Ok(()), |why| Err(Error::Stopped(why.clone())))
    }

    /// Queues a request, waiting for room. The answer comes after the commit.
    pub(super) async fn submit(&self, request: Request) -> Result<oneshot::Receiver<Result<Acknowledged>>> {
        let size = request.size().max(1);
        let permits = u32::try_from(size).ok().filter(|_| size <= QUEUE_BYTES_MAX).ok_or_else(|| {
            Error::invalid("request", format!("{size} bytes at once, and at most {QUEUE_BYTES_MAX} can wait: split it"))
        })?;
        let permit = self.room.clone().acquire_many_owned(permits).await.map_err(|_closed| closing())?;
        let (reply, answer) = oneshot::channel();
        self.send(Command::Append { request, reply, permit, since: Instant::now() })?;
        Ok(answer)
    }

    /// The pseudonyms of identities.
    pub(super) async fn subjects(&self, identities: Vec<String>) -> Result<Vec<SubjectId>> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Subjects { identities, reply })?;
        answer.await.map_err(|_gone| gone())?
    }

    fn send(&self, command: Command) -> Result<()> {
        self.healthy()?;
        let queue = self.queue.as_ref().ok_or_else(closing)?;
        queue.send(command).map_err(|_closed| gone())
    }
}

fn closing() -> Error {
    Error::Stopped("the ledger is being closed".to_owned())
}

pub(super) fn gone() -> Error {
    Error::OutcomeUnknown { what: "the writer ended before it answered".to_owned() }
}

impl Drop for Writer {
    /// Writes what is queued, then ends the threads: index and guard are up to date afterwards.
    fn drop(&mut self) {
        self.queue = None;
        for thread in [self.thread.take(), self.keeper.take()].into_iter().flatten() {
            if thread.join().is_err() {
                tracing::error!("a thread of the ledger panicked");
            }
        }
    }
}

fn run(
    mut sequencer: Sequencer,
    index: &Index,
    mut commands: mpsc::UnboundedReceiver<Command>,
    head: &watch::Sender<SignedHead>,
    poke: &SyncSender<()>,
    stopped: &OnceLock<String>,
) {
    // Told before the caller whose request it was: whoever is refused and then asks finds the ledger not writable.
    let tell_stopped = |sequencer: &Sequencer| {
        if let Some(why) = sequencer.stopped() {
            stopped.get_or_init(|| why.to_owned());
        }
    };
    while let Some(first) = commands.blocking_recv() {
        let mut requests = Vec::new();
        let mut replies = Vec::new();
        let mut n_events = 0;
        let mut next = Some(first);
        while let Some(command) = next {
            match command {
                Command::Append { request, reply, permit, since } => {
                    n_events += request.events.len();
                    requests.push(request);
                    replies.push((reply, permit, since));
                }
                // Not after what waits before it: a subject is committed apart, and no event needs it yet.
                Command::Subjects { identities, reply } => {
                    let Some(answer) = unless_it_panics(stopped, || sequencer.subjects(&identities)) else { return };
                    tell_stopped(&sequencer);
                    let _caller_gone = reply.send(answer).is_err();
                }
            }
            next = if n_events < COMMIT_EVENTS_MAX { commands.try_recv().ok() } else { None };
        }
        let answers = if requests.is_empty() {
            Some(Vec::new())
        } else if index.unflushed() > UNFLUSHED_MAX {
            let what = "index.db cannot be written, and what it lacks fills the memory".to_owned();
            Some(requests.iter().map(|_| Err(Error::CannotWrite { what: what.clone(), source: None })).collect())
        } else {
            unless_it_panics(stopped, || sequencer.commit(requests))
        };
        // Without answers the callers are told that the outcome is not known.
        let Some(answers) = answers else { return };
        tell_stopped(&sequencer);
        let (size, checkpoint) = (sequencer.size(), sequencer.checkpoint());
        let new = size - head.borrow().size.min(size);
        sequencer.meter().committed(new, replies.iter().map(|(.., since)| since.elapsed()));
        answers.iter().filter_map(|answer| answer.as_ref().err()).for_each(|error| sequencer.meter().failed(error));
        head.send_if_modified(|head| {
            let moved = head.size != size;
            *head = SignedHead { size, checkpoint };
            moved
        });
        for ((reply, permit, _), answer) in replies.into_iter().zip(answers) {
            let _caller_gone = reply.send(answer).is_err();
            drop(permit);
        }
        let behind = index.unflushed();
        if behind >= 4 * FLUSH_EVENTS {
            // The keeper cannot follow; better to write slower than to hold ever more in memory.
            if let Err(error) = index.flush() {
                tracing::warn!(%error, "cannot write index.db; it is derived anew at the next start");
            }
        } else if behind >= FLUSH_EVENTS
            && let Err(TrySendError::Disconnected(())) = poke.try_send(())
        {
            tracing::error!("the keeper thread is gone");
        }
    }
}

/// Runs the sequencer. Should it panic, that is known before its callers are told: nobody can be refused and then find
/// the ledger writable.
fn unless_it_panics<T>(stopped: &OnceLock<String>, run: impl FnOnce() -> T) -> Option<T> {
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).ok();
    if done.is_none() {
        stopped.get_or_init(|| "it failed by a defect of ours; standard error has the place".to_owned());
    }
    done
}

/// Does what may lag behind the commits: writes the index to its file, and moves the guard.
struct Keeper {
    index: Arc<Index>,
    guard: Option<(Guard, VerifierKey)>,
    head: watch::Receiver<SignedHead>,
    /// The size the guard file has; none where it has nothing.
    guarded: Option<u64>,
}

impl Keeper {
    fn run(mut self, poked: &std::sync::mpsc::Receiver<()>) {
        if let Some((guard, key)) = &self.guard {
            self.guarded = guard.load(key).ok().flatten().map(|(checkpoint, _)| checkpoint.size);
        }
        let mut guarded_at = Instant::now();
        // A large file is not read at once: most commands are done within a second, and would have to wait for it.
        let mut keys_read = self.index.position() <= 4 * FLUSH_EVENTS;
        if keys_read {
            self.read_keys();
        }
        loop {
            let wait = poked.recv_timeout(GUARD_INTERVAL.saturating_sub(guarded_at.elapsed()));
            let ending = matches!(wait, Err(RecvTimeoutError::Disconnected));
            if !ending && !keys_read {
                keys_read = true;
                self.read_keys();
            }
            if (ending || self.index.unflushed() >= FLUSH_EVENTS)
                && let Err(error) = self.index.flush()
            {
                tracing::warn!(%error, "cannot write index.db; it is derived anew at the next start");
            }
            if ending || guarded_at.elapsed() >= GUARD_INTERVAL {
                self.move_guard();
                guarded_at = Instant::now();
            }
            if ending {
                return;
            }
        }
    }

    fn read_keys(&self) {
        if let Err(error) = self.index.read_keys() {
            tracing::warn!(%error, "cannot read index.db whole; every key is looked for in it");
        }
    }

    fn move_guard(&mut self) {
        let Some((guard, key)) = &self.guard else { return };
        let head = self.head.borrow().clone();
        if head.checkpoint.is_empty() || self.guarded == Some(head.size) {
            return;
        }
        // Ahead of the log is what is to be given up, and it is set aside only once the log says so.
        if self.guarded.is_some_and(|known| known > head.size) {
            if guard.path().exists() {
                return;
            }
            self.guarded = None;
        }
        match guard.advance(key, self.guarded, &head.checkpoint) {
            Ok(()) => self.guarded = Some(head.size),
            Err(error) => tracing::error!(%error, "cannot move the rollback guard"),
        }
    }
}
