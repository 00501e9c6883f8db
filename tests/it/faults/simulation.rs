//! Thousands of histories of the writer's core over an engine in memory, each from one seed, against a plain model.
//!
//! A history that fails prints its seed and what it did; `PLIMSOLL_SEED=<n>` replays just that one.

mod model;

use std::sync::Arc;

use plimsoll::event::{EventId, Expected, Recorded, SubjectId, stream_link};
use plimsoll::ledger::tree::{Frontier, VerifierKey, empty_root, leaf_hash};
use plimsoll::ledger::verify::{Checks, verify};
use plimsoll::ledger::{Clock, Engine, Error, Filter, Index, PageLimit, Request, Sequencer, page, verify_note};
use plimsoll_test_vfs::image::Chance;

use self::model::{Answer, Content, Event, Model};
use crate::support::memory::{MemoryEngine, Strike};
use crate::support::rig::{ORIGIN, birth, key, plain, scratch, sealed, sequencer, slow};
use crate::support::{CountingEntropy, FixedClock, draft};

/// People whose names are sealed.
const PEOPLE: [&str; 3] = ["Jane <j@example.com>", "Joan <o@example.com>", "ci-bot"];

/// A reader with a cursor, who remembers what it was shown.
#[derive(Default)]
struct Reader {
    next: u64,
    seen: Vec<Vec<u8>>,
}

struct World {
    seed: u64,
    trace: Vec<String>,
    chance: Chance,
    engine: MemoryEngine,
    /// Where the index has a file.
    file: Option<tempfile::TempDir>,
    index: Arc<Index>,
    sequencer: Sequencer,
    clock: Arc<FixedClock>,
    entropy: Arc<CountingEntropy>,
    model: Model,
    /// What was sent and whose outcome is not known.
    unknown: Vec<Vec<Event>>,
    readers: Vec<Reader>,
    /// The tree over the leaves that were checked.
    frontier: Frontier,
    /// The checkpoint that was checked last.
    checkpoint: Option<String>,
    key: VerifierKey,
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("history {}:\n{}\nreplay it with PLIMSOLL_SEED={}", self.seed, self.trace.join("\n"), self.seed);
        }
    }
}

fn open_index(engine: &MemoryEngine, file: Option<&tempfile::TempDir>) -> Arc<Index> {
    let Some(dir) = file else { return Arc::new(Index::in_memory()) };
    let head = engine.head().unwrap();
    let root = head.checkpoint.map_or_else(empty_root, |note| verify_note(&note, &key().verifier_key()).unwrap().root);
    Arc::new(Index::open(&dir.path().join("index.db"), ORIGIN, engine, (head.size, &root)).unwrap())
}

impl World {
    fn new(seed: u64) -> Self {
        let engine = MemoryEngine::new();
        // Most histories keep the index in memory: files are slow, and what they add is being stale or broken.
        let file = seed.is_multiple_of(16).then(scratch);
        let index = open_index(&engine, file.as_ref());
        let (clock, entropy) = (Arc::new(FixedClock::new()), Arc::new(CountingEntropy::new(seed)));
        let sequencer = sequencer(Arc::new(engine.clone()), index.clone(), clock.clone(), entropy.clone());
        let mut world = Self {
            seed,
            trace: Vec::new(),
            chance: Chance(seed.wrapping_mul(0x2545_f491_4f6c_dd1d)),
            engine,
            file,
            index,
            sequencer,
            clock,
            entropy,
            model: Model::default(),
            unknown: Vec::new(),
            readers: (0..3).map(|_| Reader::default()).collect(),
            frontier: Frontier::new(),
            checkpoint: None,
            key: key().verifier_key(),
        };
        world.sequencer.commit(vec![birth()]).pop().unwrap().unwrap();
        world.model.birth();
        world.check();
        world
    }

    fn log(&mut self, what: String) {
        self.trace.push(what);
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.chance.below(n) == 0
    }

    fn step(&mut self) {
        match self.chance.below(20) {
            0 => self.restart("crash", false),
            1 => self.restart("restart", true),
            2 => self.erase(),
            3 => {
                let micros = i64::try_from(self.chance.below(4_000_000)).unwrap() - 1_500_000;
                self.log(format!("clock moves by {micros}"));
                self.clock.advance(micros);
            }
            4 if self.file.is_some() => {
                self.log("flush".to_owned());
                self.index.flush().unwrap();
            }
            5..8 => self.read(),
            8..11 if !self.unknown.is_empty() => {
                let n = usize::try_from(self.chance.below(self.unknown.len() as u64)).unwrap();
                let again = self.unknown.swap_remove(n);
                self.log("the next is sent again".to_owned());
                self.send(vec![again]);
            }
            _ => {
                let requests = (0..1 + self.chance.below(3)).map(|_| self.invent()).collect();
                self.send(requests);
            }
        }
        self.check();
    }

    /// Events to send together: new ones and old ones, right and wrong.
    fn invent(&mut self) -> Vec<Event> {
        (0..1 + self.chance.below(4))
            .map(|_| {
                let n = self.chance.below(24);
                let other = self.one_in(12);
                if self.one_in(3) {
                    let person = PEOPLE[usize::try_from((n + u64::from(self.one_in(12))) % 3).unwrap()];
                    let message = if other { "other" } else { "hello" }.to_owned();
                    let content = Content::Commit { person: person.to_owned(), message };
                    return Event::new("repo/example.com/app", format!("commit:{n}"), n, content);
                }
                let stream = format!("repo/example.com/{}", n % 3);
                let mut event = Event::new(&stream, format!("{stream}#{n}"), n, Content::Tag { other });
                event.expected = match self.chance.below(10) {
                    0 => Expected::Empty,
                    1 => Expected::Seq(self.chance.below(4)),
                    2..5 => self.model.head(&stream).map_or(Expected::Empty, Expected::Seq),
                    _ => Expected::Any,
                };
                event
            })
            .collect()
    }

    /// What is handed to the core. None when a pseudonym could not be had.
    fn prepare(&mut self, events: &[Event]) -> Option<Request> {
        let mut request = Request::default();
        for event in events {
            let one = match &event.content {
                Content::Commit { person, message } => {
                    let author = self.pseudonym(person)?;
                    sealed(event.n, &author, message, &*self.entropy)
                }
                Content::Tag { other } => {
                    let mut draft = draft(&event.stream, event.n);
                    if *other {
                        draft.occurred_at = draft.occurred_at.min(draft_of_another_time());
                    }
                    draft.expected = event.expected;
                    plain(&[draft])
                }
                Content::Erasure { of } => {
                    let mut request = plain(&[model::erasure(of, &event.dedup)]);
                    request.erase.subjects.push(of.clone());
                    request
                }
                Content::Birth => unreachable!("only once"),
            };
            let at = request.events.len();
            request.events.extend(one.events);
            request.sealed.extend(one.sealed.into_iter().map(|(n, row)| (at + n, row)));
            request.erase.subjects.extend(one.erase.subjects);
        }
        Some(request)
    }

    fn arm(&mut self) -> Option<Strike> {
        let strike = match self.chance.below(24) {
            0 | 1 => Some(Strike::Refused),
            2 => Some(Strike::Lost),
            3 => Some(Strike::Applied),
            _ => None,
        };
        self.engine.strike(strike);
        strike
    }

    fn pseudonym(&mut self, person: &str) -> Option<SubjectId> {
        let strike = self.arm();
        let answer = self.sequencer.subjects(&[person.to_owned()]);
        let struck = strike.filter(|_| self.engine.struck());
        self.engine.strike(None);
        let stopped = self.model.stopped;
        if let Some(strike) = struck {
            self.log(format!("pseudonym of {person}: {strike:?}"));
            self.model.stopped = strike != Strike::Refused;
            if strike == Strike::Applied {
                self.model.people.insert(person.to_owned(), self.engine.subject_of(person).unwrap().unwrap().id);
            }
        }
        match (answer, struck) {
            (Ok(ids), None) => {
                assert!(!stopped, "a writer that has stopped gives no pseudonyms");
                let known = self.model.people.entry(person.to_owned()).or_insert_with(|| ids[0].clone());
                assert_eq!(*known, ids[0], "one person has one pseudonym");
                Some(ids[0].clone())
            }
            (Err(Error::CannotWrite { .. }), Some(Strike::Refused))
            | (Err(Error::OutcomeUnknown { .. }), Some(Strike::Lost | Strike::Applied)) => None,
            (Err(Error::Stopped(_)), None) if stopped => None,
            (answer, struck) => panic!("{answer:?} after {struck:?}"),
        }
    }

    /// Commits requests together, and compares every answer with what the model says.
    fn send(&mut self, requests: Vec<Vec<Event>>) {
        let mut sent = Vec::new();
        let mut prepared = Vec::new();
        for events in requests {
            match self.prepare(&events) {
                Some(request) => {
                    prepared.push(request);
                    sent.push(events);
                }
                // Nothing was sent: whether it is recorded is known.
                None => self.unknown.push(events),
            }
        }
        let (answers, staged) = self.model.decide(&sent);
        let strike = self.arm();
        let (stopped, before) = (self.model.stopped, self.model.size());
        let told = self.sequencer.commit(prepared);
        let struck = strike.filter(|_| self.engine.struck());
        self.engine.strike(None);
        self.log(format!("commit {sent:?}: {struck:?}"));
        assert!(struck.is_none() || !staged.is_empty(), "nothing is written for duplicates");
        let applied = !stopped && matches!(struck, None | Some(Strike::Applied));
        if applied {
            self.model.adopt(staged);
        }
        if matches!(struck, Some(Strike::Lost | Strike::Applied)) {
            self.model.stopped = true;
        }
        for ((events, answer), told) in sent.into_iter().zip(answers).zip(told) {
            self.log(format!("  {told:?}"));
            match (answer, told) {
                (_, Err(Error::Stopped(_))) if stopped => self.unknown.push(events),
                (Answer::WrongVersion(at), Err(Error::WrongVersion { index, .. }))
                | (Answer::Conflict(at), Err(Error::DedupConflict { index, .. })) => assert_eq!(at, index),
                (Answer::Placed(_), Err(Error::CannotWrite { .. })) if struck == Some(Strike::Refused) => {}
                (Answer::Placed(_), Err(Error::OutcomeUnknown { .. }))
                    if matches!(struck, Some(Strike::Lost | Strike::Applied)) =>
                {
                    self.unknown.push(events);
                }
                (Answer::Placed(places), Ok(done)) if struck.is_none() && !stopped => {
                    let got: Vec<_> = done.placed.iter().map(|at| (at.position.0, at.duplicate)).collect();
                    assert_eq!(got, places);
                    assert_eq!(done.size, self.model.size());
                    for at in &done.placed {
                        assert_eq!(self.id_at(at.position.0), at.id);
                        assert_eq!(at.id.position(), at.position);
                    }
                    // Which is verified by the check after the step.
                    assert_eq!(*done.checkpoint, *self.engine.head().unwrap().checkpoint.unwrap());
                }
                (answer, told) => panic!("{told:?}, and the model says {answer:?} (size {before}, {struck:?})"),
            }
        }
    }

    fn id_at(&self, position: u64) -> EventId {
        Recorded::parse(self.engine.leaf(position).unwrap().unwrap()).unwrap().envelope().id
    }

    fn erase(&mut self) {
        let person = PEOPLE[usize::try_from(self.chance.below(3)).unwrap()];
        let Some(of) = self.model.people.get(person).cloned() else { return };
        let event = Event::new("ledger", format!("erase:{of}"), 0, Content::Erasure { of });
        self.send(vec![vec![event]]);
    }

    /// The core and the index are gone; what the engine has stays.
    fn restart(&mut self, how: &str, flush: bool) {
        if let (Some(dir), true) = (&self.file, self.chance.below(6) == 0) {
            self.trace.push("index.db is overwritten".to_owned());
            Index::remove(&dir.path().join("index.db")).unwrap();
            std::fs::write(dir.path().join("index.db"), "this is no database, and never was one").unwrap();
        } else if flush && self.file.is_some() {
            self.index.flush().unwrap();
        }
        self.log(how.to_owned());
        self.index = open_index(&self.engine, self.file.as_ref());
        let engine = Arc::new(self.engine.clone());
        self.sequencer = sequencer(engine, self.index.clone(), self.clock.clone(), self.entropy.clone());
        self.model.stopped = false;
    }

    fn read(&mut self) {
        let n = usize::try_from(self.chance.below(3)).unwrap();
        let limit =
            PageLimit { events_max: 1 + usize::try_from(self.chance.below(5)).unwrap(), ..PageLimit::default() };
        let reader = &mut self.readers[n];
        let found = page(&self.engine, reader.next..self.model.size(), false, &Filter::default(), limit).unwrap();
        reader.seen.extend(found.entries.into_iter().map(|entry| entry.leaf.to_vec()));
        reader.next = found.covered.end;
        assert_eq!(reader.next, reader.seen.len() as u64);
    }

    /// What must be so after every step.
    fn check(&mut self) {
        let head = self.engine.head().unwrap();
        assert_eq!(head.size, self.model.size(), "the log has what the model has");
        for position in self.frontier.size()..head.size {
            let leaf = self.engine.leaf(position).unwrap().unwrap();
            self.frontier.push(leaf_hash(&leaf));
            self.model.check(position, &Recorded::parse(leaf.clone()).unwrap(), stream_link(&leaf));
        }
        if self.checkpoint != head.checkpoint {
            let signed = verify_note(head.checkpoint.as_deref().unwrap(), &self.key).unwrap();
            assert_eq!((signed.size, signed.root), (head.size, self.frontier.root()));
            self.checkpoint = head.checkpoint;
        }
        if !self.model.stopped {
            assert_eq!((self.sequencer.size(), self.index.position()), (head.size, head.size));
        }
        assert_eq!(self.sequencer.stopped().is_some(), self.model.stopped);
        assert_eq!(self.engine.n_sealed(), self.model.n_private(), "no private value is lost, or kept in vain");
        assert_eq!(self.engine.n_subjects(), self.model.people.len());
    }

    /// Everything unknown is sent again, readers get to the end, and all of it verifies.
    fn finish(mut self) {
        self.log("the end".to_owned());
        self.restart("restart", true);
        while let Some(events) = self.unknown.pop() {
            self.send(vec![events]);
            if self.model.stopped {
                self.restart("restart", false);
            }
            self.check();
        }
        let leaves = crate::support::rig::leaves(&self.engine);
        for n in 0..3 {
            while self.readers[n].next < self.model.size() {
                self.read();
            }
            assert!(self.readers[n].seen == leaves, "each event once, in order");
        }
        let streams = self.index.streams("", None, 100).unwrap();
        let streams: Vec<_> = streams.into_iter().map(|stream| (stream.name, stream.seq)).collect();
        assert_eq!(streams, self.model.heads());
        let checks = Checks {
            engine: Arc::new(self.engine.clone()),
            key: key().verifier_key(),
            index: Some(self.index.clone()),
            evidence: None,
            guard: None,
            remembered: None,
            threads: 1,
            now: self
                .clock
                .now()
                .max(Recorded::parse(leaves.last().unwrap().clone().into()).unwrap().envelope().recorded_at),
        };
        let report = verify(&checks, &mut |_, _| ()).unwrap();
        assert!(report.ok, "{:?}", report.findings);
    }
}

#[test]
fn requests_of_one_commit_with_one_key_and_different_private_text_are_a_conflict() {
    let mut world = World::new(1);
    let author = world.sequencer.subjects(&["Jane".to_owned()]).unwrap().pop().unwrap();
    let requests = ["hello", "hello", "other"].map(|text| sealed(1, &author, text, &*world.entropy)).into();
    let answers = world.sequencer.commit(requests);
    assert!(!answers[0].as_ref().unwrap().placed[0].duplicate);
    assert!(answers[1].as_ref().unwrap().placed[0].duplicate);
    let conflict = answers[2].as_ref().unwrap_err();
    assert!(matches!(conflict, Error::DedupConflict { differs, .. } if differs.contains("message")), "{conflict}");
    assert_eq!(world.engine.n_sealed(), 1);
}

#[test]
fn a_writer_whose_log_was_moved_by_another_stops() {
    let mut world = World::new(1);
    let index = open_index(&world.engine, None);
    let engine = Arc::new(world.engine.clone());
    let mut other = sequencer(engine, index, world.clock.clone(), world.entropy.clone());
    other.commit(vec![plain(&[draft("repo/example.com/0", 1)])]).pop().unwrap().unwrap();
    for n in 2..4 {
        let answer = world.sequencer.commit(vec![plain(&[draft("repo/example.com/0", n)])]).pop().unwrap();
        assert!(matches!(answer, Err(Error::Stopped(_))), "{answer:?}");
    }
    assert_eq!(world.engine.head().unwrap().size, 2);
}

fn draft_of_another_time() -> plimsoll::event::Timestamp {
    plimsoll::event::Timestamp::from_micros(1_700_000_000_000_000).unwrap()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "tests are configured by the environment")]
fn histories_go_as_a_plain_model_says() {
    let seeds = match std::env::var("PLIMSOLL_SEED") {
        Ok(seed) => {
            let seed = seed.parse().unwrap();
            seed..seed + 1
        }
        Err(_) => 0..if slow() { 20_000 } else { 1_000 },
    };
    let (n_seeds, mut events) = (seeds.end - seeds.start, 0);
    for seed in seeds {
        let mut world = World::new(seed);
        for _ in 0..10 + seed % 40 {
            world.step();
        }
        events += world.model.size();
        world.finish();
    }
    assert!(events > 5 * n_seeds || n_seeds == 1, "little happened: {events} events in {n_seeds} histories");
}
