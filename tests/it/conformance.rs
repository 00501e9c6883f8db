//! The contract of `src/ledger/engine.rs`, clause by clause, for every engine. A further engine is one more line at the
//! end of this file, and an implementation of [`Database`].

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use plimsoll::event::{Hex32, SealedId, SubjectId};
use plimsoll::ledger::{
    AppendError, Appender, Batch, Engine, Erasure, Head, PackedBlob, SealedValue, SqliteEngine, Store, SubjectRecord,
};

/// One database of the engine under test, and nothing in it at first.
pub trait Database: Send + Sync {
    /// A new one.
    fn new() -> Self;
    /// Opens it; dropping what was opened before and opening again is a restart.
    fn open(&self) -> Arc<dyn Engine>;
    /// Opens what [`Engine::backup`] wrote.
    fn open_copy(&self, path: &Path) -> Arc<dyn Engine>;
}

struct Sqlite(tempfile::TempDir);

impl Database for Sqlite {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
    fn open(&self) -> Arc<dyn Engine> {
        Arc::new(SqliteEngine::open(Store::precious(&self.0.path().join("ledger.db"), None)).unwrap())
    }
    fn open_copy(&self, path: &Path) -> Arc<dyn Engine> {
        Arc::new(SqliteEngine::open_read_only(Store::precious(path, None)).unwrap())
    }
}

/// The leaf at a position; some are empty, some hold what is no text, some are as large as a leaf may be.
fn leaf(position: u64) -> Bytes {
    match position % 50 {
        7 => Bytes::new(),
        8 => Bytes::from_static(&[0, 0xff, b'\'', b'"', 0]),
        9 => vec![b'x'; 32 * 1024].into(),
        _ => format!("{{\"leaf\":\"{position}\"}}").into(),
    }
}

fn note(size: u64) -> String {
    format!("origin\n{size}\nroot\n\n\u{2014} a note of {size}\n")
}

/// The batch of the leaves from `first` on.
fn batch(first: u64, n: u64) -> Batch {
    Batch {
        first,
        leaves: (first..first + n).map(leaf).collect(),
        checkpoint: (n > 0).then(|| note(first + n)),
        ..Batch::default()
    }
}

fn sealed(n: u8, owner: Option<&SubjectRecord>) -> SealedValue {
    let id: SealedId = format!("019cb8dd-2c00-7000-8000-0000000000{n:02x}").parse().unwrap();
    SealedValue { id, owner: owner.map(|owner| owner.id.clone()), salt: [n; 32], value: format!("värde '{n}'\0") }
}

fn subject(n: u8) -> SubjectRecord {
    let identity = format!("Jané <{n}@example.com>");
    SubjectRecord { id: SubjectId::commit(&[n; 32], &identity), salt: [n; 32], identity }
}

fn blob(n: u8) -> PackedBlob {
    PackedBlob { blake3: Hex32::from_bytes([n; 32]), packed: vec![n; 100].into() }
}

fn all(engine: &dyn Engine) -> Vec<(u64, Bytes)> {
    read(engine, 0..u64::MAX, false)
}

fn read(engine: &dyn Engine, range: std::ops::Range<u64>, backwards: bool) -> Vec<(u64, Bytes)> {
    let mut seen = Vec::new();
    let visit = &mut |position, leaf: &[u8]| {
        seen.push((position, Bytes::copy_from_slice(leaf)));
        Ok(true)
    };
    engine.read(range, backwards, visit).unwrap();
    seen
}

fn checkpoints(engine: &dyn Engine, range: std::ops::Range<u64>) -> Vec<(u64, String)> {
    let mut seen = Vec::new();
    let visit = &mut |size, note: &str| {
        seen.push((size, note.to_owned()));
        Ok(true)
    };
    engine.checkpoints(range, visit).unwrap();
    seen
}

/// Holds the engine to hold exactly the first `size` leaves, by every way to read it.
fn holds(engine: &dyn Engine, size: u64) {
    let checkpoint = (size > 0).then(|| note(size));
    assert_eq!(engine.head().unwrap(), Head { size, checkpoint });
    assert_eq!(all(engine), (0..size).map(|position| (position, leaf(position))).collect::<Vec<_>>());
    assert_eq!(engine.leaf(size).unwrap(), None);
}

fn an_empty_log_has_no_head<D: Database>() {
    let database = D::new();
    let engine = database.open();
    holds(&*engine, 0);
    assert!(checkpoints(&*engine, 0..u64::MAX).is_empty());
    assert_eq!(engine.leaf(0).unwrap(), None);
    assert!(engine.subject_of("").unwrap().is_none());
}

fn leaves_are_gapless_and_verbatim<D: Database>() {
    let database = D::new();
    let engine = database.open();
    let mut appender = engine.appender().unwrap();
    let mut size = 0;
    for n in [1, 1, 2, 97, 300] {
        appender.append(&batch(size, n)).unwrap();
        size += n;
        // Visible to every reader on return.
        holds(&*engine, size);
        appender.maintain();
        holds(&*engine, size);
    }
    for position in 0..size {
        assert_eq!(engine.leaf(position).unwrap(), Some(leaf(position)));
    }
}

fn what_was_acknowledged_is_there_after_a_restart<D: Database>() {
    let database = D::new();
    let (jane, joan) = (subject(1), subject(2));
    for round in 0..3 {
        let engine = database.open();
        let mut appender = engine.appender().unwrap();
        let first = engine.head().unwrap().size;
        assert_eq!(first, round * 10);
        let mut next = batch(first, 10);
        if round == 0 {
            next.subjects = vec![jane.clone(), joan.clone()];
            next.sealed = vec![sealed(1, Some(&jane)), sealed(2, None)];
        }
        appender.append(&next).unwrap();
        drop((appender, engine));
        let engine = database.open();
        holds(&*engine, first + 10);
        assert!(engine.subject(&jane.id).unwrap() == Some(jane.clone()));
        assert!(engine.subject_of(&joan.identity).unwrap() == Some(joan.clone()));
        assert!(engine.sealed(&sealed(1, None).id).unwrap() == Some(sealed(1, Some(&jane))));
        assert!(engine.sealed(&sealed(2, None).id).unwrap() == Some(sealed(2, None)));
    }
}

fn reads_go_both_ways_and_stop_where_they_are_told<D: Database>() {
    let database = D::new();
    let engine = database.open();
    let mut appender = engine.appender().unwrap();
    appender.append(&batch(0, 40)).unwrap();
    appender.append(&batch(40, 60)).unwrap();
    let expected = |range: std::ops::Range<u64>| range.map(|position| (position, leaf(position))).collect::<Vec<_>>();
    for range in [0..100, 0..1, 99..100, 17..63, 39..41, 50..50, 90..200, 100..200, 0..u64::MAX, u64::MAX - 1..u64::MAX]
    {
        let within = range.start.min(100)..range.end.min(100);
        let mut wanted = expected(within);
        assert_eq!(read(&*engine, range.clone(), false), wanted, "{range:?}");
        wanted.reverse();
        assert_eq!(read(&*engine, range.clone(), true), wanted, "{range:?} backwards");
    }
    for (backwards, first) in [(false, 10), (true, 89)] {
        let mut seen = Vec::new();
        engine
            .read(10..90, backwards, &mut |position, _| {
                seen.push(position);
                Ok(seen.len() < 3)
            })
            .unwrap();
        assert_eq!((seen.len(), seen[0]), (3, first));
    }
    let error = engine.read(0..100, false, &mut |position, _| match position {
        5 => Err(plimsoll::ledger::Error::NotFound("here".to_owned())),
        _ => Ok(true),
    });
    assert!(matches!(error, Err(plimsoll::ledger::Error::NotFound(what)) if what == "here"), "the visitor's own error");
    holds(&*engine, 100);
}

fn checkpoints_are_kept_for_every_commit<D: Database>() {
    let database = D::new();
    let engine = database.open();
    let mut appender = engine.appender().unwrap();
    let mut expected = Vec::new();
    for size in 1..=20_u64 {
        appender.append(&batch(size * size - size, 2 * size)).unwrap();
        let after = size * size + size;
        expected.push((after, note(after)));
    }
    assert_eq!(checkpoints(&*engine, 0..u64::MAX), expected);
    assert_eq!(checkpoints(&*engine, 2..7), expected[..2].to_vec());
    assert_eq!(checkpoints(&*engine, 7..12), Vec::new());
    let mut seen = 0;
    engine
        .checkpoints(0..u64::MAX, &mut |_, _| {
            seen += 1;
            Ok(seen < 3)
        })
        .unwrap();
    assert_eq!(seen, 3);
}

fn a_batch_for_another_size_is_told_that_the_log_moved_and_changes_nothing<D: Database>() {
    let database = D::new();
    let engine = database.open();
    let mut appender = engine.appender().unwrap();
    appender.append(&batch(0, 10)).unwrap();
    for first in [0, 9, 11, 1_000_000] {
        let mut wrong = batch(first, 5);
        wrong.subjects.push(subject(9));
        let refused = appender.append(&wrong);
        assert!(matches!(refused, Err(AppendError::Moved { size: 10 })), "{refused:?}");
        holds(&*engine, 10);
        assert!(engine.subject(&subject(9).id).unwrap().is_none());
    }
    let people = Batch { first: 9, subjects: vec![subject(9)], ..Batch::default() };
    assert!(matches!(appender.append(&people), Err(AppendError::Moved { size: 10 })), "also without leaves");
    appender.append(&batch(10, 5)).unwrap();
    holds(&*engine, 15);
}

fn two_writers_never_write_over_each_other<D: Database>() {
    let database = D::new();
    let (one, other) = (database.open(), database.open());
    let mut first = one.appender().unwrap();
    // Either there is no second writer, or it is told that it has lost its place.
    if let Ok(mut second) = other.appender() {
        first.append(&batch(0, 10)).unwrap();
        let mut theirs = batch(0, 3);
        theirs.leaves = vec![Bytes::from_static(b"theirs"); 3];
        let refused = second.append(&theirs);
        assert!(matches!(refused, Err(AppendError::Moved { size: 10 })), "{refused:?}");
    } else {
        first.append(&batch(0, 10)).unwrap();
    }
    holds(&*one, 10);
    holds(&*other, 10);
}

fn a_batch_that_cannot_be_applied_leaves_no_trace<D: Database>() {
    let database = D::new();
    let engine = database.open();
    let mut appender = engine.appender().unwrap();
    let mut first = batch(0, 4);
    first.subjects = vec![subject(1)];
    first.sealed = vec![sealed(1, None)];
    appender.append(&first).unwrap();
    let fresh = || Batch { sealed: vec![sealed(7, None)], subjects: vec![subject(7)], ..batch(4, 3) };
    let mut same_value = fresh();
    same_value.sealed.push(sealed(1, None));
    let mut same_subject = fresh();
    same_subject.subjects.push(subject(1));
    let mut same_identity = fresh();
    same_identity.subjects.push(SubjectRecord { id: subject(8).id, salt: [8; 32], identity: subject(1).identity });
    let mut unsigned = fresh();
    unsigned.checkpoint = None;
    let nothing_signed = Batch { checkpoint: Some(note(4)), ..batch(4, 0) };
    for (what, wrong) in [
        ("a value's id twice", same_value),
        ("a pseudonym twice", same_subject),
        ("an identity twice", same_identity),
        ("leaves without a checkpoint", unsigned),
        ("a checkpoint without leaves", nothing_signed),
    ] {
        let refused = appender.append(&wrong);
        assert!(matches!(refused, Err(AppendError::Refused(_))), "{what}: {refused:?}");
        holds(&*engine, 4);
        assert!(engine.sealed(&sealed(7, None).id).unwrap().is_none(), "{what}");
        assert!(engine.subject(&subject(7).id).unwrap().is_none(), "{what}");
        assert!(engine.sealed(&sealed(1, None).id).unwrap() == Some(sealed(1, None)), "{what}");
    }
    appender.append(&fresh()).unwrap();
    holds(&*engine, 7);
}

fn people_come_without_events_and_do_not_move_the_head<D: Database>() {
    let database = D::new();
    let engine = database.open();
    let mut appender = engine.appender().unwrap();
    appender.append(&Batch { subjects: vec![subject(1)], ..Batch::default() }).unwrap();
    holds(&*engine, 0);
    appender.append(&batch(0, 2)).unwrap();
    appender.append(&Batch { first: 2, subjects: vec![subject(2)], ..Batch::default() }).unwrap();
    holds(&*engine, 2);
    for n in [1, 2] {
        assert!(engine.subject(&subject(n).id).unwrap() == Some(subject(n)));
        assert!(engine.subject_of(&subject(n).identity).unwrap() == Some(subject(n)));
    }
    assert!(engine.subject_of("jané <1@example.com>").unwrap().is_none(), "identities are exact");
}

fn erasure_goes_with_the_event_that_says_so<D: Database>() {
    let database = D::new();
    {
        let engine = database.open();
        let mut appender = engine.appender().unwrap();
        let (jane, joan) = (subject(1), subject(2));
        let mut first = batch(0, 4);
        first.subjects = vec![jane.clone(), joan.clone()];
        first.sealed = vec![sealed(1, Some(&jane)), sealed(2, Some(&joan)), sealed(3, None), sealed(4, Some(&joan))];
        first.evidence = vec![blob(1), blob(2)];
        appender.append(&first).unwrap();
        let erase = Erasure {
            subjects: vec![jane.id.clone()],
            values: vec![sealed(3, None).id, sealed(4, None).id],
            blobs: vec![blob(1).blake3],
        };
        // Refused, it erases nothing.
        let moved = Batch { erase: erase.clone(), ..batch(3, 1) };
        assert!(matches!(appender.append(&moved), Err(AppendError::Moved { .. })));
        assert!(engine.subject(&jane.id).unwrap().is_some() && engine.sealed(&sealed(3, None).id).unwrap().is_some());
        appender.append(&Batch { erase: erase.clone(), ..batch(4, 1) }).unwrap();
        holds(&*engine, 5);
        // Again, and of what never was: nothing to do.
        let again = Erasure {
            subjects: vec![jane.id, subject(9).id],
            values: vec![sealed(9, None).id],
            blobs: vec![blob(1).blake3, blob(9).blake3],
        };
        appender.append(&Batch { erase: again, ..batch(5, 1) }).unwrap();
    }
    let engine = database.open();
    holds(&*engine, 6);
    let there = |n| engine.sealed(&sealed(n, None).id).unwrap().is_some();
    assert_eq!([1, 2, 3, 4].map(there), [false, true, false, false]);
    assert!(
        engine.subject(&subject(1).id).unwrap().is_none() && engine.subject_of(&subject(1).identity).unwrap().is_none()
    );
    assert!(engine.subject(&subject(2).id).unwrap().is_some());
    assert!(engine.evidence(&blob(1).blake3).unwrap().is_none());
    assert_eq!(engine.evidence(&blob(2).blake3).unwrap(), Some(blob(2).packed));
    // The identity may come back, under another pseudonym.
    let back = SubjectRecord { id: SubjectId::commit(&[8; 32], &subject(1).identity), salt: [8; 32], ..subject(1) };
    engine.appender().unwrap().append(&Batch { first: 6, subjects: vec![back.clone()], ..Batch::default() }).unwrap();
    assert!(engine.subject_of(&subject(1).identity).unwrap() == Some(back));
}

fn evidence_comes_with_its_event_and_is_written_over<D: Database>() {
    let database = D::new();
    let engine = database.open();
    let mut appender = engine.appender().unwrap();
    // Refused, it leaves nothing.
    let moved = Batch { evidence: vec![blob(1)], ..batch(3, 1) };
    assert!(matches!(appender.append(&moved), Err(AppendError::Moved { .. })));
    assert!(engine.evidence(&blob(1).blake3).unwrap().is_none());
    appender.append(&Batch { evidence: vec![blob(1), blob(2), blob(1)], ..batch(0, 2) }).unwrap();
    let mended = PackedBlob { packed: b"mended".as_slice().into(), ..blob(1) };
    appender.append(&Batch { evidence: vec![mended.clone()], ..batch(2, 1) }).unwrap();
    drop((appender, engine));
    let engine = database.open();
    holds(&*engine, 3);
    for blob in [mended, blob(2)] {
        assert_eq!(engine.evidence(&blob.blake3).unwrap(), Some(blob.packed));
    }
}

/// Sizes at which a batch of [`write`] ends.
fn ends_a_batch(size: u64) -> bool {
    size.is_multiple_of(7)
}

fn write(appender: &mut dyn Appender, from: u64, batches: u64) {
    for n in 0..batches {
        appender.append(&batch(from + n * 7, 7)).unwrap();
        appender.maintain();
    }
}

fn readers_see_whole_batches_only_while_somebody_writes<D: Database>() {
    let database = D::new();
    let engine = database.open();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for backwards in [false, true] {
            let (engine, done) = (&engine, &done);
            scope.spawn(move || {
                let (mut last, mut rounds) = (0, 0);
                while !done.load(Ordering::Acquire) || rounds < 3 {
                    rounds += 1;
                    let head = engine.head().unwrap();
                    assert!(ends_a_batch(head.size) && head.size >= last, "{} after {last}", head.size);
                    assert_eq!(head.checkpoint, (head.size > 0).then(|| note(head.size)));
                    let mut seen = read(&**engine, 0..u64::MAX, backwards);
                    if backwards {
                        seen.reverse();
                    }
                    let size = seen.len() as u64;
                    assert!(ends_a_batch(size) && size >= head.size, "{size} leaves after a head of {}", head.size);
                    assert!(
                        seen.iter().zip(0..).all(|((at, bytes), position)| *at == position && *bytes == leaf(position))
                    );
                    assert_eq!(checkpoints(&**engine, head.size..head.size + 1).len(), usize::from(head.size > 0));
                    last = size;
                }
            });
        }
        let mut appender = engine.appender().unwrap();
        write(&mut *appender, 0, 60);
        done.store(true, Ordering::Release);
    });
    holds(&*engine, 420);
}

fn a_reader_in_the_middle_of_a_read_does_not_hold_up_the_writer<D: Database>() {
    let database = D::new();
    let engine = database.open();
    let mut appender = engine.appender().unwrap();
    write(&mut *appender, 0, 10);
    let mut seen = 0;
    engine
        .read(0..u64::MAX, false, &mut |position, bytes| {
            assert_eq!((position, bytes), (seen, &leaf(seen)[..]));
            seen += 1;
            if position == 3 {
                write(&mut *appender, 70, 10);
            }
            Ok(true)
        })
        .unwrap();
    assert!(ends_a_batch(seen) && (70..=140).contains(&seen), "{seen}");
    holds(&*engine, 140);
}

fn a_backup_is_a_whole_state_though_writing_goes_on<D: Database>() {
    let database = D::new();
    let engine = database.open();
    let mut first = batch(0, 7);
    first.subjects = vec![subject(1)];
    first.sealed = vec![sealed(1, Some(&subject(1)))];
    first.evidence = vec![blob(1)];
    let mut appender = engine.appender().unwrap();
    appender.append(&first).unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        let appender = &mut appender;
        let writing = scope.spawn(move || write(&mut **appender, 7, 60));
        for n in 0..5 {
            let to = dir.path().join(format!("copy-{n}"));
            let before = engine.head().unwrap().size;
            let bytes = engine.backup(&to).unwrap();
            let after = engine.head().unwrap().size;
            assert_eq!(std::fs::metadata(&to).unwrap().len(), bytes);
            let copy = database.open_copy(&to);
            let size = copy.head().unwrap().size;
            assert!(ends_a_batch(size) && (before..=after).contains(&size), "{size} of {before} to {after}");
            holds(&*copy, size);
            assert!(copy.subject(&subject(1).id).unwrap() == Some(subject(1)));
            assert_eq!(copy.evidence(&blob(1).blake3).unwrap(), Some(blob(1).packed));
            assert!(copy.sealed(&sealed(1, None).id).unwrap() == Some(sealed(1, Some(&subject(1)))));
        }
        writing.join().unwrap();
    });
    holds(&*engine, 427);
}

/// Runs every clause for an engine.
macro_rules! conforms {
    ($engine:ident, $database:ty: $($clause:ident),* $(,)?) => {
        mod $engine {
            $(
                #[test]
                fn $clause() {
                    super::$clause::<$database>();
                }
            )*
        }
    };
    ($engine:ident, $database:ty) => {
        conforms! {
            $engine, $database:
            an_empty_log_has_no_head,
            leaves_are_gapless_and_verbatim,
            what_was_acknowledged_is_there_after_a_restart,
            reads_go_both_ways_and_stop_where_they_are_told,
            checkpoints_are_kept_for_every_commit,
            a_batch_for_another_size_is_told_that_the_log_moved_and_changes_nothing,
            two_writers_never_write_over_each_other,
            a_batch_that_cannot_be_applied_leaves_no_trace,
            people_come_without_events_and_do_not_move_the_head,
            erasure_goes_with_the_event_that_says_so,
            evidence_comes_with_its_event_and_is_written_over,
            readers_see_whole_batches_only_while_somebody_writes,
            a_reader_in_the_middle_of_a_read_does_not_hold_up_the_writer,
            a_backup_is_a_whole_state_though_writing_goes_on,
        }
    };
}

conforms!(sqlite, super::Sqlite);
