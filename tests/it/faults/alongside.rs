//! Reading and verifying while another process writes, is killed, and comes back.

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use plimsoll::api::draft_to_proto;
use plimsoll::api::proto::v1 as pb;
use plimsoll::event::ledger::{ErasureGround, SubjectErased};
use plimsoll::event::{Draft, Hex32, SealedId, SubjectId};
use plimsoll::ledger::verify::{Checks, verify};
use plimsoll::ledger::{
    Appender, Clock, DataDir, Engine, Filter, Guard, Head, Index, LeafVisitor, Ledger, PageLimit, Result, SealedValue,
    Sequencer, SubjectRecord,
};

use crate::support::memory::MemoryEngine;
use crate::support::process::{Server, plimsoll};
use crate::support::rig::{birth, key, plain, scratch, sealed, sequencer};
use crate::support::{CountingEntropy, FixedClock, draft};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_and_verification_beside_a_server_that_is_killed_and_comes_back_find_no_damage() {
    let dir = scratch();
    let data = dir.path().join("data");
    let mut reader: Option<Ledger> = None;
    let mut seen = 0;
    let mut n = 0;
    for round in 0..6 {
        let mut server = Server::spawn(&data).ready();
        let reader = reader.get_or_insert_with(|| Ledger::open_read_only(&DataDir::new(&data)).unwrap());
        let (mut client, first) = (server.client().await, n);
        let load = tokio::spawn(async move {
            for n in first.. {
                let drafts = (10 * n..10 * n + 10).map(|n| draft_to_proto(&draft("repo/example.com/app", n)).unwrap());
                let request = pb::AppendRequest { drafts: drafts.collect(), with_receipts: false };
                if client.append(request).await.is_err() {
                    return n;
                }
            }
            unreachable!("it ends when the server does")
        });
        for _ in 0..3 {
            let verified = plimsoll(&data, &["verify", "--json"]);
            assert!(verified.status.success(), "beside the server: {verified:?}");
            seen = read(reader, seen);
        }
        server.kill();
        n = load.await.unwrap();
        if round % 2 == 0 {
            let verified = plimsoll(&data, &["verify", "--json"]);
            assert!(verified.status.success(), "after the kill: {verified:?}");
        }
        seen = read(reader, seen);
    }
    assert!(seen > 100, "there was a load: {seen} events");
}

/// Reads on to the head, and a receipt there.
fn read(reader: &Ledger, from: u64) -> u64 {
    let head = reader.refresh().unwrap();
    let mut next = from;
    while next < head.size {
        let page = reader.page(next, head.size, false, &Filter::default(), PageLimit::default()).unwrap();
        assert_eq!(page.entries[0].position, next);
        next = page.covered.end;
    }
    reader.receipt(head.size - 1).unwrap().verify(reader.key()).unwrap();
    next
}

type Then = Box<dyn FnOnce() + Send>;

/// An engine to which something happens the moment after somebody asked for its head.
struct Meanwhile {
    engine: MemoryEngine,
    then: Mutex<Option<Then>>,
}

impl Engine for Meanwhile {
    fn head(&self) -> Result<Head> {
        let head = self.engine.head();
        if let Some(then) = self.then.lock().unwrap().take() {
            then();
        }
        head
    }
    fn read(&self, range: Range<u64>, backwards: bool, visit: &mut LeafVisitor<'_>) -> Result<()> {
        self.engine.read(range, backwards, visit)
    }
    fn leaf(&self, position: u64) -> Result<Option<Bytes>> {
        self.engine.leaf(position)
    }
    fn checkpoints(&self, range: Range<u64>, visit: &mut dyn FnMut(u64, &str) -> Result<bool>) -> Result<()> {
        self.engine.checkpoints(range, visit)
    }
    fn sealed(&self, id: &SealedId) -> Result<Option<SealedValue>> {
        self.engine.sealed(id)
    }
    fn evidence(&self, blake3: &Hex32) -> Result<Option<Bytes>> {
        self.engine.evidence(blake3)
    }
    fn subject(&self, id: &SubjectId) -> Result<Option<SubjectRecord>> {
        self.engine.subject(id)
    }
    fn subject_of(&self, identity: &str) -> Result<Option<SubjectRecord>> {
        self.engine.subject_of(identity)
    }
    fn appender(&self) -> Result<Box<dyn Appender>> {
        self.engine.appender()
    }
    fn backup(&self, to: &Path) -> Result<u64> {
        self.engine.backup(to)
    }
}

fn erasure(subject: &SubjectId) -> plimsoll::ledger::Request {
    let data = SubjectErased {
        ground: ErasureGround::Request,
        operator: None,
        subject: Some(subject.clone()),
        values: vec![],
    };
    let mut request = plain(&[Draft { data: data.into(), dedup: "erase".parse().unwrap(), ..draft("ledger", 1) }]);
    request.erase.subjects.push(subject.clone());
    request
}

/// Verifies a log to which `meanwhile` happens when verification has begun.
fn verified_while(with_index: bool, meanwhile: impl FnOnce(&mut Sequencer, &SubjectId, &Guard) + Send + 'static) {
    let dir = scratch();
    let guard = Guard::new(dir.path().join("guard"));
    let engine = MemoryEngine::new();
    let (clock, entropy) = (Arc::new(FixedClock::new()), Arc::new(CountingEntropy::new(1)));
    let index = Arc::new(Index::in_memory());
    let mut sequencer = sequencer(Arc::new(engine.clone()), index.clone(), clock.clone(), entropy.clone());
    sequencer.commit(vec![birth()]).pop().unwrap().unwrap();
    let jane = sequencer.subjects(&["Jane".to_owned()]).unwrap().pop().unwrap();
    for n in 0..5 {
        sequencer.commit(vec![sealed(n, &jane, "hello", &*entropy)]).pop().unwrap().unwrap();
    }
    let now = clock.now();
    clock.advance(5_000_000);
    let kept = guard.clone();
    let then: Then = Box::new(move || meanwhile(&mut sequencer, &jane, &kept));
    let checks = Checks {
        engine: Arc::new(Meanwhile { engine, then: Mutex::new(Some(then)) }),
        key: key().verifier_key(),
        index: with_index.then_some(index),
        evidence: None,
        guard: Some(guard),
        remembered: None,
        threads: 1,
        now,
    };
    let report = verify(&checks, &mut |_, _| ()).unwrap();
    assert!(report.ok, "with the index: {with_index}: {:?}", report.findings);
    assert_eq!(report.events, 6, "what was there when it began");
}

#[test]
fn what_is_appended_during_verification_is_no_damage() {
    for with_index in [false, true] {
        verified_while(with_index, |sequencer, _, _| {
            let drafts: Vec<_> = (0..300).map(|n| draft("repo/example.com/other", n)).collect();
            sequencer.commit(vec![plain(&drafts)]).pop().unwrap().unwrap();
        });
    }
}

#[test]
fn what_is_erased_during_verification_is_no_damage() {
    for with_index in [false, true] {
        verified_while(with_index, |sequencer, jane, _| {
            sequencer.commit(vec![erasure(jane)]).pop().unwrap().unwrap();
        });
    }
}

#[test]
fn a_guard_that_is_moved_during_verification_is_no_damage() {
    verified_while(false, |sequencer, _, guard| {
        sequencer.commit(vec![plain(&[draft("repo/example.com/other", 1)])]).pop().unwrap().unwrap();
        guard.advance(&key().verifier_key(), None, &sequencer.checkpoint()).unwrap();
    });
}
