//! Flipped bits in the database and its write-ahead log: found, or without effect. Never a panic, never a lie.

use std::sync::Arc;

use plimsoll::ledger::verify::{Checks, Report, verify};
use plimsoll::ledger::{
    Creation, DataDir, Engine, Error, Filter, Guard, Head, Index, Kind, Ledger, Options, PageLimit, SealedValue,
    SqliteEngine, Store, open_engine_read_only,
};
use plimsoll_test_vfs::image::Chance;

use crate::support::rig::{birth, key, leaves, plain, scratch, sealed, sequencer, slow, write_keys};
use crate::support::{CountingEntropy, FixedClock, draft};

/// A ledger as files, and what it says when nothing is wrong.
struct Sound {
    database: Vec<u8>,
    /// How many events it has, and the newest checkpoint, which the guard remembers.
    head: Head,
    wal: Vec<u8>,
    wal_head: Head,
    leaves: Vec<Vec<u8>>,
    private: Vec<SealedValue>,
}

/// A database without a write-ahead log, and a write-ahead log whose database has nothing yet.
fn sound() -> Sound {
    let dir = scratch();
    let path = dir.path().join("ledger.db");
    let engine: Arc<dyn Engine> = Arc::new(SqliteEngine::open(Store::precious(&path, None)).unwrap());
    let entropy = Arc::new(CountingEntropy::new(3));
    let clock = Arc::new(FixedClock::new());
    let mut sequencer = sequencer(engine.clone(), Arc::new(Index::in_memory()), clock, entropy.clone());
    sequencer.commit(vec![birth()]).pop().unwrap().unwrap();
    let author = sequencer.subjects(&["Jane <j@example.com>".to_owned()]).unwrap().pop().unwrap();
    let mut private = Vec::new();
    let mut fill = |from: u64| {
        for n in from..from + 8 {
            let drafts: Vec<_> = (0..6).map(|k| draft("repo/example.com/app", 10 * n + k)).collect();
            let message = sealed(1000 + n, &author, &format!("message {n}"), &*entropy);
            private.extend(message.sealed.iter().map(|(_, row)| row.clone()));
            sequencer.commit(vec![plain(&drafts), message]).into_iter().for_each(|answer| drop(answer.unwrap()));
        }
    };
    fill(0);
    let half = dir.path().join("half.db");
    engine.backup(&half).unwrap();
    let head = engine.head().unwrap();
    fill(8);
    let leaves = leaves(&*engine);
    // The database is a copy of the first half; the write-ahead log has all of it, over a database as it was created.
    let (database, wal) = (std::fs::read(&half).unwrap(), std::fs::read(path.with_extension("db-wal")).unwrap());
    Sound { database, head, wal, wal_head: engine.head().unwrap(), leaves, private }
}

fn place(dir: &DataDir, database: &[u8], wal: &[u8], head: &Head) {
    write_keys(dir);
    if let Some(note) = &head.checkpoint {
        std::fs::write(dir.guard(), note).unwrap();
    }
    std::fs::write(dir.ledger(), database).unwrap();
    if !wal.is_empty() {
        std::fs::write(dir.root().join("ledger.db-wal"), wal).unwrap();
    }
}

/// As `plimsoll verify` does, also where the ledger cannot be opened as usual.
fn examine(dir: &DataDir) -> Result<Report, Error> {
    let engine = open_engine_read_only(dir)?;
    let checks = Checks {
        engine,
        key: key().verifier_key(),
        index: None,
        evidence: None,
        guard: Some(Guard::new(dir.guard())),
        remembered: None,
        threads: 1,
        now: plimsoll::ledger::Clock::now(&plimsoll::ledger::SystemClock),
    };
    verify(&checks, &mut |_, _| ())
}

/// What the flip did.
#[derive(Debug, Default)]
struct Tally {
    n_found: usize,
    n_refused: usize,
    n_harmless: usize,
}

impl Sound {
    /// Flips one bit and looks at what comes of it. `in_leaf` says that the bit is one of an event.
    async fn flip(&self, tally: &mut Tally, database: &[u8], wal: &[u8], what: &str, in_leaf: bool) {
        let head = if wal.is_empty() { &self.head } else { &self.wal_head };
        let temp = scratch();
        let dir = DataDir::new(temp.path());
        place(&dir, database, wal, head);
        let report = examine(&dir);
        let found = match &report {
            Ok(report) => !report.ok,
            Err(error) => {
                assert!(matches!(error.kind(), Kind::Corrupt | Kind::Unavailable | Kind::Refused), "{what}: {error:?}");
                true
            }
        };
        assert!(found || !in_leaf, "{what}: a changed event is not found");
        // A fresh copy: SQLite may have changed the first one.
        let temp = scratch();
        let dir = DataDir::new(temp.path());
        place(&dir, database, wal, head);
        match Ledger::open(Options::new(dir.clone(), "flipped")).await {
            Err(error) => {
                assert!(!matches!(error.kind(), Kind::Internal | Kind::Invalid), "{what}: {error:?}");
                tally.n_refused += 1;
            }
            Ok(ledger) => {
                // What it shows must be all that was recorded, or else `verify` finds what it is that is wrong.
                let size = ledger.head().size;
                let shown = ledger.page(0, size, false, &Filter::default(), PageLimit::default());
                let same = shown.is_ok_and(|page| {
                    size == head.size
                        && page.entries.iter().zip(&self.leaves).all(|(entry, leaf)| entry.leaf[..] == leaf[..])
                });
                let private = self.private.iter().take(if wal.is_empty() { 8 } else { 16 }).all(|row| {
                    ledger.engine().sealed(&row.id).is_ok_and(|found| found.is_some_and(|found| found == *row))
                });
                assert!(found || private, "{what}: private values changed, and verification finds nothing");
                assert!(found || same, "{what}: shows other events or fewer, and verification finds nothing");
                assert!(!in_leaf, "{what}: the index is derived anew from a changed event, and the ledger opens");
                if found {
                    tally.n_found += 1;
                } else {
                    tally.n_harmless += 1;
                }
            }
        }
    }
}

fn flipped(bytes: &[u8], at: usize, bit: u64) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1 << bit;
    bytes
}

#[tokio::test]
async fn every_flipped_bit_of_an_event_is_found_and_the_ledger_does_not_open() {
    let sound = sound();
    let mut chance = Chance(11);
    let mut tally = Tally::default();
    let n_first_half = sound.leaves.len() / 2;
    for (position, leaf) in sound.leaves.iter().enumerate().take(n_first_half) {
        for _ in 0..if slow() { 40 } else { 2 } {
            let start = find(&sound.database, leaf).unwrap();
            let at = start + usize::try_from(chance.below(leaf.len() as u64)).unwrap();
            let bytes = flipped(&sound.database, at, chance.below(8));
            sound.flip(&mut tally, &bytes, &[], &format!("event {position}, byte {}", at - start), true).await;
        }
    }
    assert!(tally.n_refused >= n_first_half && tally.n_found + tally.n_harmless == 0, "{tally:?}");
}

fn find(within: &[u8], what: &[u8]) -> Option<usize> {
    within.windows(what.len()).position(|window| window == what)
}

#[tokio::test]
async fn a_flipped_bit_anywhere_in_the_database_is_found_or_has_no_effect() {
    let sound = sound();
    let mut chance = Chance(12);
    let mut tally = Tally::default();
    // Most of a page is free space; what is not zero is where something is.
    let used: Vec<_> = (0..sound.database.len()).filter(|at| sound.database[*at] != 0).collect();
    for _ in 0..if slow() { 10_000 } else { 400 } {
        let at = used[usize::try_from(chance.below(used.len() as u64)).unwrap()];
        let bytes = flipped(&sound.database, at, chance.below(8));
        sound.flip(&mut tally, &bytes, &[], &format!("byte {at} of the database"), false).await;
    }
    assert!(tally.n_refused > 0 && tally.n_harmless > 0, "the sweep is wide enough: {tally:?}");
}

#[tokio::test]
async fn a_flipped_bit_of_the_write_ahead_log_is_noticed_by_the_guard_or_has_no_effect() {
    let sound = sound();
    let mut chance = Chance(13);
    let mut tally = Tally::default();
    let empty = empty_database();
    for _ in 0..if slow() { 10_000 } else { 300 } {
        let at = usize::try_from(chance.below(sound.wal.len() as u64)).unwrap();
        let bytes = flipped(&sound.wal, at, chance.below(8));
        sound.flip(&mut tally, &empty, &bytes, &format!("byte {at} of the write-ahead log"), false).await;
    }
    assert!(tally.n_refused > 0 && tally.n_found == 0, "{tally:?}");
}

/// The database file before anything was copied into it: a header that says that there is a write-ahead log.
fn empty_database() -> Vec<u8> {
    let dir = scratch();
    let path = dir.path().join("ledger.db");
    let engine = SqliteEngine::open(Store::precious(&path, None)).unwrap();
    let appender = engine.appender().unwrap();
    let bytes = std::fs::read(&path).unwrap();
    drop(appender);
    bytes
}

#[tokio::test]
async fn what_is_no_database_is_refused_with_its_name() {
    for content in [&b"not a database, but a text that somebody put there"[..], &[0xff; 40_000]] {
        let temp = scratch();
        let dir = DataDir::new(temp.path());
        place(&dir, content, &[], &Head { size: 0, checkpoint: None });
        let error = Ledger::open_or_create(Options::new(dir.clone(), "test"), Creation::default()).await.err().unwrap();
        assert_eq!(error.kind(), Kind::Corrupt, "{error:?}");
        assert_eq!(std::fs::read(dir.ledger()).unwrap(), content, "it is left as it was");
        let error = Ledger::open_read_only(&dir).err().unwrap();
        assert_eq!(error.kind(), Kind::Corrupt, "{error:?}");
    }
}
