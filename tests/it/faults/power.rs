//! Power loss at every moment: what was acknowledged is there, in every state the disk may be left in.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use plimsoll::event::{Data, Hex32, SealedId, Subject};
use plimsoll::ledger::{DataDir, Engine, Index, Options, PackedBlob, Request, SqliteEngine, Store};
use plimsoll_test_vfs::image::{Chance, Everything, Fate, Nothing, TornLast, after_power_loss};
use plimsoll_test_vfs::{Change, Logged, Vfs};

use crate::support::rig::{birth, leaves, place, plain, scratch, sealed, sequencer, slow, verified};
use crate::support::{CountingEntropy, FixedClock, draft};

/// What was known to be durable when the log of operations had some length.
struct Known {
    logged: usize,
    size: u64,
    /// Sealed values that must be there, and those that must not, as far as acknowledged.
    sealed: BTreeMap<SealedId, Option<String>>,
    /// Small blobs that must be there.
    evidence: Vec<PackedBlob>,
}

struct Run {
    log: Vec<Logged>,
    known: Vec<Known>,
    leaves: Vec<Vec<u8>>,
}

/// Appends in batches of several sizes, with private values, an erasure, and a write-ahead log that is copied, starts
/// over and is cut.
fn record(store: impl Fn(Store) -> Store, batches: u64) -> Run {
    let dir = scratch();
    let vfs = Vfs::new();
    let store = store(Store::precious(&dir.path().join("ledger.db"), Some(vfs.name().to_owned())));
    let engine: Arc<dyn Engine> = Arc::new(SqliteEngine::open(store.checkpointing_after(200_000)).unwrap());
    let entropy = Arc::new(CountingEntropy::new(3));
    let clock = Arc::new(FixedClock::new());
    let index = Arc::new(Index::in_memory());
    let mut sequencer = sequencer(engine.clone(), index, clock.clone(), entropy.clone());
    let mut known = vec![Known { logged: 0, size: 0, sealed: BTreeMap::new(), evidence: Vec::new() }];
    let mut evidence = Vec::new();
    let mut values: BTreeMap<SealedId, Option<String>> = BTreeMap::new();
    let mut commit = |sequencer: &mut plimsoll::ledger::Sequencer, request: Request, gone: &[SealedId]| {
        let rows: Vec<_> = request.sealed.iter().map(|(_, row)| (row.id.clone(), Some(row.value.clone()))).collect();
        evidence.extend(request.evidence.iter().map(|(_, blob)| blob.clone()));
        let done = sequencer.commit(vec![request]).pop().unwrap().unwrap();
        values.extend(rows);
        values.extend(gone.iter().map(|id| (id.clone(), None)));
        let (sealed, evidence) = (values.clone(), evidence.clone());
        known.push(Known { logged: vfs.logged(), size: done.size, sealed, evidence });
    };
    commit(&mut sequencer, birth(), &[]);
    let mut owned: Vec<SealedId> = Vec::new();
    for n in 0..batches {
        clock.advance(1000);
        let drafts: Vec<_> = (0..1 + n * n % 7).map(|k| draft("repo/example.com/app", 100 * n + k)).collect();
        let mut request = plain(&drafts);
        let (blake3, packed) = (blake3::hash(&n.to_le_bytes()), format!("blob {n} {}", "y".repeat(200)).into());
        request.evidence.push((vec![0], PackedBlob { blake3: Hex32::from_bytes(blake3.into()), packed }));
        commit(&mut sequencer, request, &[]);
        if n % 3 == 0 {
            let author = sequencer.subjects(&[format!("Jane {}", n % 2)]).unwrap().pop().unwrap();
            let request = sealed(10_000 + 10 * n, &author, &format!("message {n} {}", "x".repeat(300)), &*entropy);
            if n % 2 == 0 {
                owned.push(request.sealed[0].1.id.clone());
            }
            commit(&mut sequencer, request, &[]);
        }
        if n == batches / 2 {
            let author = sequencer.subjects(&["Jane 0".to_owned()]).unwrap().pop().unwrap();
            let mut request = plain(&[erasure(Subject::Id(author.clone()))]);
            request.erase.subjects.push(author);
            commit(&mut sequencer, request, &std::mem::take(&mut owned));
        }
    }
    let leaves = leaves(&*engine);
    // Closing copies the write-ahead log once more and deletes it: part of the log of operations, too.
    drop((sequencer, engine));
    Run { log: vfs.log(), known, leaves }
}

fn erasure(subject: Subject) -> plimsoll::event::Draft {
    let data = plimsoll::event::ledger::SubjectErased {
        ground: plimsoll::event::ledger::ErasureGround::Request,
        operator: None,
        subject: subject.id().cloned(),
        values: vec![],
    };
    plimsoll::event::Draft { data: Data::from(data), dedup: "erase:1".parse().unwrap(), ..draft("ledger", 1) }
}

/// Opens what a power loss left and says what is wrong with it.
async fn check(run: &Run, prefix: usize, files: &BTreeMap<PathBuf, Vec<u8>>) -> Result<(), String> {
    let acknowledged = run.known.iter().rfind(|known| known.logged <= prefix).unwrap();
    let next = run.known.iter().find(|known| known.logged > prefix).map_or(acknowledged.size, |next| next.size);
    if acknowledged.size == 0 && !files.keys().any(|path| path.ends_with("ledger.db")) {
        return Ok(());
    }
    let temp = scratch();
    let dir = DataDir::new(temp.path());
    place(&dir, files.iter().map(|(path, content)| (path.as_path(), &content[..])));
    let mut options = Options::new(dir.clone(), "power loss");
    options.clock = Arc::new(FixedClock::new());
    let ledger = crate::support::opened(options).await.map_err(|error| format!("it does not open: {error:?}"))?;
    let found = leaves(&**ledger.engine());
    // A ledger that was not born yet is born now.
    let size = if found.len() == 1 && acknowledged.size == 0 { next } else { found.len() as u64 };
    if size != acknowledged.size && size != next {
        return Err(format!("{size} events, and {} were acknowledged, {next} on their way", acknowledged.size));
    }
    if acknowledged.size > 0 && run.leaves[..found.len()] != found[..] {
        return Err("other events than those recorded".to_owned());
    }
    if size == acknowledged.size {
        for (id, value) in &acknowledged.sealed {
            let there = ledger.engine().sealed(id).map_err(|error| error.to_string())?.map(|row| row.value);
            if there != *value {
                return Err(format!("sealed value {id}: {there:?}, and it must be {value:?}"));
            }
        }
    }
    for blob in &acknowledged.evidence {
        let there = ledger.engine().evidence(&blob.blake3).map_err(|error| error.to_string())?;
        if there.as_ref() != Some(&blob.packed) {
            return Err(format!("blob {}: {there:?}", blob.blake3));
        }
    }
    let done = ledger.append(vec![draft("repo/example.com/app", 999_999)]).await.map_err(|error| error.to_string())?;
    if done.placed[0].position.0 != found.len() as u64 {
        return Err(format!("the next event is at {}, after {} events", done.placed[0].position, found.len()));
    }
    let report = verified(&ledger, &dir);
    if report.ok { Ok(()) } else { Err(format!("{:?}", report.findings)) }
}

/// Where power may fail: every operation after which the state of the disk is another one, or a sample of them.
fn moments(run: &Run, sample: usize) -> Vec<usize> {
    let step = (run.log.len() / sample).max(1);
    let chosen = (0..=run.log.len()).step_by(step);
    // The moments around each acknowledgement are where a lie would show.
    let around = run.known.iter().flat_map(|known| known.logged.saturating_sub(1)..=known.logged + 1);
    let all: std::collections::BTreeSet<_> = chosen.chain(around).filter(|at| *at <= run.log.len()).collect();
    all.into_iter().collect()
}

fn fates(prefix: usize) -> Vec<Box<dyn Fate>> {
    let seed = prefix as u64;
    let mut fates: Vec<Box<dyn Fate>> =
        vec![Box::new(Nothing), Box::new(Everything), Box::new(TornLast(0.5)), Box::new(TornLast(0.97))];
    fates.extend((0..4).map(|n| Box::new(Chance(8 * seed + n)) as Box<dyn Fate>));
    if !slow() {
        // One that is different from moment to moment.
        return vec![fates.swap_remove(prefix * 5 % 8)];
    }
    fates
}

async fn failures(run: &Run, sample: usize) -> Vec<String> {
    let mut failures = Vec::new();
    for prefix in moments(run, sample) {
        for (n, mut fate) in fates(prefix).into_iter().enumerate() {
            let files = after_power_loss(&run.log[..prefix], &mut *fate);
            if let Err(what) = check(run, prefix, &files).await {
                let last = prefix.checked_sub(1).map(|last| summary(&run.log[last]));
                failures.push(format!("after {prefix} operations (last {last:?}), fate {n}: {what}"));
            }
        }
    }
    failures
}

fn summary(entry: &Logged) -> String {
    let name = entry.path.file_name().unwrap().to_string_lossy().into_owned();
    match &entry.change {
        Change::Write { offset, bytes } => format!("{name}: {} bytes at {offset}", bytes.len()),
        other => format!("{name}: {other:?}"),
    }
}

#[tokio::test]
async fn whatever_a_power_loss_leaves_holds_everything_acknowledged() {
    let run = record(|store| store, if slow() { 60 } else { 24 });
    let of = |name: &str, wanted: fn(&Change) -> bool| {
        run.log.iter().filter(|entry| entry.path.to_string_lossy().ends_with(name) && wanted(&entry.change)).count()
    };
    // Without these the test would be about less than it says.
    assert!(of("ledger.db", |change| *change == Change::Sync) >= 4, "the database itself was written and synced");
    assert!(of("-wal", |change| matches!(change, Change::Write { offset: 0, .. })) >= 3, "the log started over");
    assert!(of("-wal", |change| matches!(change, Change::Truncate { size: 0 })) >= 1, "the erasure cut it");
    assert!(of("-wal", |change| *change == Change::Delete) >= 1, "closing deleted it");
    let failures = failures(&run, if slow() { usize::MAX } else { 250 }).await;
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[tokio::test]
async fn the_power_loss_test_finds_loss_where_commits_are_not_synced() {
    let run = record(Store::without_sync, 12);
    let failures = failures(&run, 60).await;
    assert!(failures.iter().any(|what| what.contains("were acknowledged")), "{failures:?}");
}

/// The test above is worth as much as its idea of a disk.
#[test]
fn the_disk_of_these_tests_keeps_what_was_synced_and_may_lose_the_rest() {
    let logged = |path: &str, change| Logged { path: PathBuf::from(path), change };
    let write = |offset, byte: u8, n| Change::Write { offset, bytes: vec![byte; n] };
    let log = [
        logged("/d/a", Change::Create),
        logged("/d/a", write(0, 1, 1024)),
        logged("/d/a", Change::Sync),
        logged("/d/a", Change::SyncNames),
        logged("/d/b", Change::Create),
        logged("/d/b", write(0, 2, 10)),
        logged("/d/b", Change::Sync),
        logged("/d/a", Change::Truncate { size: 600 }),
        logged("/d/a", write(400, 3, 1000)),
        logged("/d/b", Change::Delete),
    ];
    let disk = |fate: &mut dyn Fate| after_power_loss(&log, fate);
    let sizes = |disk: BTreeMap<PathBuf, Vec<u8>>| -> Vec<_> {
        disk.into_iter().map(|(path, content)| (path.display().to_string(), content)).collect()
    };
    // The name of `b` was never synced, though its content was.
    assert_eq!(sizes(disk(&mut Nothing)), [("/d/a".to_owned(), vec![1; 1024])]);
    let all = [vec![1; 400], vec![3; 1000]].concat();
    assert_eq!(sizes(disk(&mut Everything)), [("/d/a".to_owned(), all)]);
    // Of the write at 400, the first of its two sectors ends at 512.
    let torn = [vec![1; 400], vec![3; 112], vec![1; 88]].concat();
    assert_eq!(sizes(disk(&mut TornLast(0.5))), [("/d/a".to_owned(), torn)]);
}
