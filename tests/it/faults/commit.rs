//! A fault at each step: of a commit, of copying the write-ahead log, of opening, of creating.

use std::collections::BTreeSet;
use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use plimsoll::event::ledger::{ErasureGround, SubjectErased};
use plimsoll::event::{Draft, EventId, Recorded};
use plimsoll::ledger::{
    Acknowledged, Creation, Engine, Entropy, Error, Filter, Index, Kind, Ledger, Options, PageLimit, SmallBlob,
    SqliteEngine, Store,
};
use plimsoll_test_vfs::{Effect, Fault, Operation, Vfs, ffi};

use crate::support::rig::{keys, leaves, plain, scratch, sequencer, slow, verified};
use crate::support::{CountingEntropy, FixedClock, House, commit_draft, draft};

const STREAM: &str = "repo/example.com/app";

/// A ledger whose database goes through a VFS of its own.
struct Rig {
    house: House,
    vfs: Vfs,
}

impl Rig {
    fn new() -> Self {
        Self { house: House { dir: scratch(), ..House::new() }, vfs: Vfs::new() }
    }

    fn options(&self) -> Options {
        Options { vfs: Some(self.vfs.name().to_owned()), ..self.house.options() }
    }

    async fn open(&self) -> Result<Ledger, Error> {
        crate::support::opened(self.options()).await
    }
}

/// A request and what came of it.
struct Told {
    drafts: Vec<Draft>,
    evidence: Vec<SmallBlob>,
    answer: Result<Acknowledged, Error>,
}

fn drafts(from: u64, to: u64) -> Vec<Draft> {
    (from..to).map(|n| draft(STREAM, n)).collect()
}

/// The drafts with a small blob that they all name.
fn with_evidence(mut drafts: Vec<Draft>) -> (Vec<Draft>, Vec<SmallBlob>) {
    let body = format!("{{\"what\":\"{}\"}}", drafts[0].dedup);
    let blob = SmallBlob::new("application/json".parse().unwrap(), body.into()).unwrap();
    drafts.iter_mut().for_each(|draft| draft.evidence.push(blob.reference().clone()));
    (drafts, vec![blob])
}

/// Appends of several shapes: plain, with a person and a text to seal, an erasure, which also cuts the write-ahead log.
async fn scenario(ledger: &Ledger, reads_work: bool) -> Vec<Told> {
    let mut told: Vec<Told> = Vec::new();
    let mut stopped = false;
    for step in 0..6 {
        let drafts = match step {
            1 => vec![commit_draft(1, "Jane <j@example.com>", "the secret")],
            3 => match told[1].answer.as_ref().ok().and_then(|done| ledger.leaf(done.placed[0].position.0).ok()) {
                Some(leaf) => vec![erasure(&Recorded::parse(leaf).unwrap())],
                None => drafts(30, 31),
            },
            step => drafts(10 * step, 10 * step + 1 + step),
        };
        let (drafts, evidence) = if step % 2 == 0 { with_evidence(drafts) } else { (drafts, Vec::new()) };
        let before = ledger.head();
        let answer = ledger.append_with(drafts.clone(), &evidence).await;
        match &answer {
            Ok(_) => assert!(!stopped, "nothing is acknowledged by a writer that has stopped"),
            Err(Error::CannotWrite { .. }) => {
                assert_eq!(ledger.head(), before, "what was refused is not there");
                assert!(!stopped && ledger.writable().is_ok(), "and the writer goes on");
            }
            Err(Error::OutcomeUnknown { .. }) => {
                assert_eq!(ledger.head(), before, "what may be lost is not shown");
                assert!(ledger.writable().is_err(), "and the writer says that it has stopped");
                stopped = true;
            }
            Err(Error::Stopped(_)) => {
                assert!(ledger.writable().is_err());
                stopped = true;
            }
            // A read that the decision needed: nothing was tried.
            Err(error) => {
                assert_eq!((error.kind(), ledger.head()), (Kind::Unavailable, before), "{error:?}");
            }
        }
        if reads_work {
            read_all(ledger);
        }
        told.push(Told { drafts, evidence, answer });
    }
    told
}

fn erasure(of: &Recorded) -> Draft {
    let subject = of.envelope().actor.clone();
    let data = SubjectErased { ground: ErasureGround::Request, operator: None, subject, values: vec![] };
    Draft::new(
        data,
        "ledger".parse().unwrap(),
        "test".parse().unwrap(),
        "erase".parse().unwrap(),
        draft(STREAM, 0).occurred_at,
    )
}

fn read_all(ledger: &Ledger) {
    let size = ledger.head().size;
    let page = ledger.page(0, size, false, &Filter::default(), PageLimit::default()).unwrap();
    assert_eq!(page.entries.len() as u64, size);
}

fn acknowledged(told: &[Told]) -> BTreeSet<(String, EventId)> {
    let of = |told: &Told| {
        let placed = told.answer.as_ref().ok().map(|done| done.placed.clone()).unwrap_or_default();
        told.drafts
            .iter()
            .map(|draft| draft.dedup.to_string())
            .zip(placed.into_iter().map(|at| at.id))
            .collect::<Vec<_>>()
    };
    told.iter().flat_map(of).collect()
}

/// Sends everything again and sees each event there once, with what was acknowledged where it was.
async fn settle(ledger: &Ledger, rig: &Rig, told: &[Told]) {
    for (dedup, id) in acknowledged(told) {
        let (_, leaf) =
            ledger.leaf_by_id(&id).unwrap_or_else(|error| panic!("acknowledged and lost: {dedup}: {error}"));
        assert_eq!(Recorded::parse(leaf).unwrap().envelope().dedup.as_str(), dedup);
    }
    for request in told {
        ledger.append_with(request.drafts.clone(), &request.evidence).await.unwrap();
    }
    let recorded = keys(&leaves(&**ledger.engine()));
    let distinct: BTreeSet<_> = recorded.iter().cloned().collect();
    assert_eq!(distinct.len(), recorded.len(), "each once: {recorded:?}");
    let mut wanted: BTreeSet<_> =
        told.iter().flat_map(|told| &told.drafts).map(|draft| draft.dedup.to_string()).collect();
    wanted.insert("created".to_owned());
    assert_eq!(distinct, wanted);
    let report = verified(ledger, &rig.house.data());
    assert!(report.ok, "{:?}", report.findings);
}

/// Lets the `nth` operation fail, and returns whether there was one.
async fn run(fault: Fault) -> bool {
    let rig = Rig::new();
    let ledger = rig.open().await.unwrap();
    rig.vfs.inject(fault);
    let reads_work = !matches!(fault.operation, Operation::Read | Operation::Open | Operation::Map);
    let told = scenario(&ledger, reads_work).await;
    let fired = rig.vfs.fired() > 0;
    rig.vfs.heal();
    read_all(&ledger);
    let full = matches!(fault.code, ffi::SQLITE_FULL | ffi::SQLITE_READONLY);
    if full {
        // There is room again: no restart is needed.
        settle(&ledger, &rig, &told).await;
    } else if fired && fault.operation == Operation::Sync {
        let after = ledger.append(drafts(90, 91)).await.unwrap_err();
        assert!(matches!(after, Error::Stopped(_) | Error::OutcomeUnknown { .. }), "{after:?}");
        let after = ledger.append(drafts(90, 91)).await.unwrap_err();
        assert!(matches!(after, Error::Stopped(_)), "after a failed sync nothing is written any more: {after:?}");
        assert!(matches!(ledger.writable(), Err(Error::Stopped(_))));
    }
    let before = ledger.head();
    drop(ledger);
    let ledger = rig.open().await.unwrap();
    assert!(ledger.head().size >= before.size);
    settle(&ledger, &rig, &told).await;
    fired
}

/// Lets every operation of one kind fail in turn, until a run has none to fail.
async fn each(operation: Operation, file: &'static str, effects: &[Effect], code: c_int, for_ever: bool, step: usize) {
    let mut n_fired = 0;
    for effect in effects {
        for nth in (1..).step_by(if slow() { 1 } else { step }) {
            let fault = Fault { operation, file, nth, for_ever, effect: *effect, code };
            let outcome = tokio::spawn(run(fault)).await;
            match outcome {
                Ok(true) => n_fired += 1,
                Ok(false) => break,
                Err(panic) => panic!("with {fault:?}: {panic}"),
            }
        }
    }
    assert!(n_fired > 0, "no {operation:?} on {file:?} happens at all");
}

#[tokio::test]
async fn a_write_that_fails_at_any_step_loses_nothing_acknowledged() {
    each(Operation::Write, "-wal", &[Effect::Lost, Effect::Torn, Effect::Applied], ffi::SQLITE_IOERR_WRITE, false, 5)
        .await;
    each(Operation::Write, "ledger.db", &[Effect::Lost, Effect::Torn], ffi::SQLITE_IOERR_WRITE, false, 1).await;
}

#[tokio::test]
async fn a_full_disk_refuses_and_writing_goes_on_without_a_restart_when_there_is_room() {
    each(Operation::Write, "-wal", &[Effect::Lost, Effect::Torn, Effect::Applied], ffi::SQLITE_FULL, false, 5).await;
    each(Operation::Write, "", &[Effect::Lost, Effect::Torn], ffi::SQLITE_FULL, true, 7).await;
}

#[tokio::test]
async fn a_file_that_became_read_only_refuses_and_reads_go_on() {
    each(Operation::Write, "", &[Effect::Lost], ffi::SQLITE_READONLY, true, 9).await;
}

#[tokio::test]
async fn a_sync_that_fails_stops_the_writer_for_good() {
    each(Operation::Sync, "-wal", &[Effect::Lost, Effect::Applied], ffi::SQLITE_IOERR_FSYNC, false, 1).await;
    each(Operation::Sync, "ledger.db", &[Effect::Lost, Effect::Applied], ffi::SQLITE_IOERR_FSYNC, false, 1).await;
}

#[test]
fn a_sync_that_fails_while_the_log_is_copied_in_the_background_stops_the_writer_too() {
    let dir = scratch();
    let vfs = Vfs::new();
    let store = Store::precious(&dir.path().join("ledger.db"), Some(vfs.name().to_owned()));
    let engine: Arc<dyn Engine> = Arc::new(SqliteEngine::open(store.checkpointing_after(100_000)).unwrap());
    let entropy = Arc::new(CountingEntropy::new(1));
    let mut sequencer = sequencer(engine, Arc::new(Index::in_memory()), Arc::new(FixedClock::new()), entropy);
    let mut append = |n| sequencer.commit(vec![plain(&drafts(n, n + 1))]).pop().unwrap();
    append(0).unwrap();
    let (operation, effect, code) = (Operation::Sync, Effect::Lost, ffi::SQLITE_IOERR_FSYNC);
    vfs.inject(Fault { operation, file: "ledger.db", nth: 1, for_ever: false, effect, code });
    // Each commit counts as at least 32 KiB: the fourth one in all wakes the other thread.
    for n in 1..4 {
        append(n).unwrap();
    }
    let started = std::time::Instant::now();
    while vfs.fired() == 0 {
        assert!(started.elapsed() < Duration::from_secs(60), "the log is never copied");
        std::thread::yield_now();
    }
    // The operation has failed; SQLite has still to say so to that thread.
    let mut refused = None;
    for n in 4.. {
        assert!(started.elapsed() < Duration::from_secs(60), "the writer goes on");
        refused = append(n).err();
        if refused.is_some() {
            break;
        }
    }
    assert!(matches!(refused, Some(Error::OutcomeUnknown { .. })), "{refused:?}");
    assert!(matches!(append(1_000_000), Err(Error::Stopped(_))));
}

#[tokio::test]
async fn other_operations_that_fail_at_any_step_lose_nothing_acknowledged() {
    each(Operation::Read, "", &[Effect::Lost], ffi::SQLITE_IOERR_READ, false, 2).await;
    each(Operation::Truncate, "-wal", &[Effect::Lost, Effect::Applied], ffi::SQLITE_IOERR_TRUNCATE, false, 1).await;
}

/// Lets each operation of opening fail in turn. `before` makes what is opened.
async fn opening(existing: bool, operation: Operation, effect: Effect, code: c_int) {
    for nth in 1.. {
        let rig = Rig::new();
        let mut told = Vec::new();
        if existing {
            let ledger = rig.open().await.unwrap();
            told = scenario(&ledger, true).await;
            // As a crash leaves it: with a write-ahead log that was not copied.
            let crashed: Vec<_> = ["ledger.db", "ledger.db-wal"]
                .map(|name| (name, std::fs::read(rig.house.data().root().join(name)).unwrap()))
                .into();
            drop(ledger);
            for (name, content) in crashed {
                std::fs::write(rig.house.data().root().join(name), content).unwrap();
            }
        }
        rig.vfs.inject(Fault { operation, file: "", nth, for_ever: false, effect, code });
        let opened = rig.open().await;
        let fired = rig.vfs.fired() > 0;
        rig.vfs.heal();
        if let Err(error) = &opened {
            assert!(fired, "{error:?}");
            assert_eq!(error.kind(), Kind::Unavailable, "{operation:?} {nth}: {error:?}");
        }
        drop(opened);
        let ledger = rig.open().await.unwrap_or_else(|error| panic!("{operation:?} {nth}: {error:?}"));
        settle(&ledger, &rig, &told).await;
        if !fired {
            assert!(nth > 1, "no {operation:?} happens at all");
            return;
        }
    }
}

#[tokio::test]
async fn opening_that_fails_at_any_step_says_why_and_can_be_done_again() {
    for existing in [false, true] {
        opening(existing, Operation::Open, Effect::Lost, ffi::SQLITE_CANTOPEN).await;
        opening(existing, Operation::Read, Effect::Lost, ffi::SQLITE_IOERR_READ).await;
        opening(existing, Operation::Write, Effect::Torn, ffi::SQLITE_FULL).await;
        opening(existing, Operation::Write, Effect::Applied, ffi::SQLITE_IOERR_WRITE).await;
        opening(existing, Operation::Sync, Effect::Lost, ffi::SQLITE_IOERR_FSYNC).await;
        opening(existing, Operation::Map, Effect::Lost, ffi::SQLITE_IOERR_SHMSIZE).await;
    }
}

/// Chance that gives out.
struct Exhausted(AtomicBool, CountingEntropy);

impl Entropy for Exhausted {
    fn fill(&self, buffer: &mut [u8]) {
        assert!(!self.0.load(Ordering::Relaxed), "no more chance (part of the test)");
        self.1.fill(buffer);
    }
}

#[tokio::test]
async fn a_writer_that_panics_is_known_to_have_ended_and_reads_go_on() {
    let rig = Rig::new();
    let entropy = Arc::new(Exhausted(AtomicBool::new(false), CountingEntropy::new(1)));
    let options = Options { entropy: entropy.clone(), ..rig.options() };
    let ledger = Ledger::create(options, Creation::default()).await.unwrap();
    let before = ledger.append(drafts(0, 3)).await.unwrap();
    entropy.0.store(true, Ordering::Relaxed);
    let unknown = ledger.append(drafts(3, 4)).await.unwrap_err();
    assert!(matches!(unknown, Error::OutcomeUnknown { .. }), "{unknown:?}");
    assert!(matches!(ledger.writable(), Err(Error::Stopped(_))), "{:?}", ledger.writable());
    let refused = ledger.append(drafts(3, 4)).await.unwrap_err();
    assert!(matches!(refused, Error::Stopped(_)), "nothing was sent, so nothing is unknown: {refused:?}");
    read_all(&ledger);
    assert_eq!(ledger.head().size, before.size);
    drop(ledger);
    let ledger = rig.open().await.unwrap();
    settle(&ledger, &rig, &[Told { drafts: drafts(0, 3), evidence: Vec::new(), answer: Ok(before) }]).await;
}
