//! The whole ledger against a list: any sequence of appends, refusals, restarts, losses of the index, erasures and
//! commitments to heads does to it what it does to a plain `Vec`.

// Tells clippy that the helpers are tests, too.
#![cfg(test)]

use std::collections::HashMap;
use std::sync::Arc;

use plimsoll::event::ledger::{ErasureGround, SubjectErased};
use plimsoll::event::{Data, Draft, Expected, Recorded, SubjectId, stream_link};
use plimsoll::ledger::tree::{Checkpoint, verify_consistency};
use plimsoll::ledger::verify::{Checks, verify};
use plimsoll::ledger::{Creation, Error, Filter, Guard, Index, Kind, Ledger, PageLimit};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::support::{CountingEntropy, House, commit_draft, draft};

const STREAMS: [&str; 3] = ["repo/example.com/a", "repo/example.com/b", "repo/example.com/a/b"];
const PEOPLE: [&str; 2] = ["Jane <j@example.com>", "Joan <j@example.com>"];
const WORDS: [&str; 2] = ["one word", "another"];
/// Where `support::commit_draft` puts commits.
const COMMITS: &str = "repo/example.com/app";

/// One event as somebody might submit it: few keys and contents, so that they meet.
#[derive(Debug, Clone, PartialEq)]
enum Submission {
    Tag { stream: usize, n: u64, other: bool, expected: Expected },
    Commit { n: u64, person: usize, word: usize },
}

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<Submission>),
    Erase(usize),
    CommitHeads,
    Restart { lose_index: bool },
}

fn submission() -> impl Strategy<Value = Submission> {
    let expected = prop_oneof![
        6 => Just(Expected::Any),
        1 => Just(Expected::Empty),
        2 => (0..6_u64).prop_map(Expected::Seq),
    ];
    prop_oneof![
        3 => (0..STREAMS.len(), 0..14_u64, prop::bool::weighted(0.1), expected)
            .prop_map(|(stream, n, other, expected)| Submission::Tag { stream, n, other, expected }),
        2 => (0..8_u64, 0..PEOPLE.len(), 0..WORDS.len())
            .prop_map(|(n, person, word)| Submission::Commit { n, person, word: word.min(usize::from(n % 4 == 0)) }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::collection::vec(submission(), 1..5).prop_map(Step::Append),
        // Enough to fill a tile now and then.
        1 => (100..400_u64).prop_map(|from| Step::Append(
            (from..from + 90).map(|n| Submission::Tag { stream: 0, n, other: false, expected: Expected::Any }).collect()
        )),
        1 => (0..PEOPLE.len()).prop_map(Step::Erase),
        1 => Just(Step::CommitHeads),
        1 => any::<bool>().prop_map(|lose_index| Step::Restart { lose_index }),
    ]
}

impl Submission {
    fn stream(&self) -> &'static str {
        match self {
            Self::Tag { stream, .. } => STREAMS[*stream],
            Self::Commit { .. } => COMMITS,
        }
    }

    fn key(&self) -> String {
        match self {
            Self::Tag { stream, n, .. } => format!("{}#{n}", STREAMS[*stream]),
            Self::Commit { n, .. } => format!("commit:{n}"),
        }
    }

    fn draft(&self) -> Draft {
        match self {
            Self::Tag { stream, n, other, expected } => {
                let mut draft = draft(STREAMS[*stream], *n);
                if let Data::TagDeleted(deleted) = &mut draft.data
                    && *other
                {
                    deleted.tag = "other".to_owned();
                }
                draft.expected = *expected;
                draft
            }
            Self::Commit { n, person, word } => commit_draft(*n, PEOPLE[*person], WORDS[*word]),
        }
    }
}

/// An event of the model.
#[derive(Debug, Clone)]
struct Kept {
    stream: &'static str,
    seq: u64,
    /// None for the ledger's own.
    what: Option<Submission>,
    /// Whether its person was erased after it was recorded.
    erased: bool,
}

#[derive(Default)]
struct Model {
    log: Vec<Kept>,
    keys: HashMap<String, u64>,
    covered: Option<u64>,
}

/// What comes of an append: where each event is, and whether it was there before; or which one is refused.
type Outcome = Result<Vec<(u64, bool)>, usize>;

impl Model {
    fn size(&self) -> u64 {
        self.log.len() as u64
    }

    fn push(&mut self, stream: &'static str, what: Option<Submission>) {
        let seq = self.log.iter().filter(|kept| kept.stream == stream).count() as u64;
        self.log.push(Kept { stream, seq, what, erased: false });
    }

    fn append(&mut self, request: &[Submission]) -> Outcome {
        let mut after = Self { log: self.log.clone(), keys: self.keys.clone(), covered: self.covered };
        let mut placed = Vec::new();
        for (n, event) in request.iter().enumerate() {
            if let Some(&at) = after.keys.get(&event.key()) {
                let kept = &after.log[usize::try_from(at).unwrap()];
                if !same(kept, event) {
                    return Err(n);
                }
                placed.push((at, true));
                continue;
            }
            let length = after.log.iter().filter(|kept| kept.stream == event.stream()).count() as u64;
            let fine = match event {
                Submission::Tag { expected: Expected::Empty, .. } => length == 0,
                Submission::Tag { expected: Expected::Seq(seq), .. } => length == seq + 1,
                _ => true,
            };
            if !fine {
                return Err(n);
            }
            placed.push((after.size(), false));
            after.keys.insert(event.key(), after.size());
            after.push(event.stream(), Some(event.clone()));
        }
        *self = after;
        Ok(placed)
    }
}

/// What was erased cannot be compared, and counts as equal; what is expected of a stream is no content.
fn same(kept: &Kept, event: &Submission) -> bool {
    match (kept.what.as_ref().unwrap(), event) {
        (Submission::Tag { other, .. }, Submission::Tag { other: new, .. }) => other == new,
        (Submission::Commit { person, word, .. }, Submission::Commit { person: who, word: what, .. }) => {
            kept.erased || (person, word) == (who, what)
        }
        _ => false,
    }
}

struct Run {
    house: House,
    /// One for all restarts: salts and ids never come twice.
    entropy: Arc<CountingEntropy>,
    ledger: Option<Ledger>,
    model: Model,
    /// Every checkpoint that was handed out.
    checkpoints: Vec<Arc<str>>,
    n_erasures: u64,
}

impl Run {
    async fn open(&mut self) {
        let mut options = self.house.options();
        options.entropy = self.entropy.clone();
        let creation = Creation { origin: Some("ledger.example/model".to_owned()) };
        self.ledger = Some(Ledger::open_or_create(options, creation).await.unwrap());
    }

    fn ledger(&self) -> &Ledger {
        self.ledger.as_ref().unwrap()
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Append(request) => self.append(request).await,
            Step::Erase(person) => self.erase(*person).await,
            Step::CommitHeads => {
                let size = self.model.size();
                let due = self.model.covered.is_none_or(|covered| size > covered + 1);
                let position = self.ledger().commit_heads().await.unwrap();
                assert_eq!(position.map(|position| position.0), due.then_some(size));
                if due {
                    self.model.covered = Some(size);
                    self.model.push("ledger", None);
                }
            }
            Step::Restart { lose_index } => {
                self.ledger = None;
                if *lose_index {
                    std::fs::remove_file(self.house.data().index()).unwrap();
                }
                self.open().await;
            }
        }
        let head = self.ledger().head();
        assert_eq!(head.size, self.model.size());
        self.checkpoints.push(head.checkpoint);
    }

    async fn append(&mut self, request: &[Submission]) {
        let expected = self.model.append(request);
        let done = self.ledger().append(request.iter().map(Submission::draft).collect()).await;
        match (expected, done) {
            (Ok(places), Ok(done)) => {
                let placed: Vec<_> = done.placed.iter().map(|at| (at.position.0, at.duplicate)).collect();
                assert_eq!(placed, places, "{request:?}");
                assert_eq!(done.size, self.model.size());
                for at in &done.placed {
                    let receipt = self.ledger().receipt_of(at.position.0, &done).unwrap();
                    assert_eq!(receipt.verify(self.ledger().key()).unwrap().1.envelope().id, at.id);
                    assert_eq!(self.ledger().leaf_by_id(&at.id).unwrap().0, at.position.0);
                }
            }
            (Err(n), Err(error)) => {
                assert_eq!(error.kind(), Kind::Conflict, "{error}");
                let (Error::WrongVersion { index, .. } | Error::DedupConflict { index, .. }) = error else {
                    panic!("{error}")
                };
                assert_eq!(index, n, "{request:?}");
            }
            (expected, done) => panic!("{request:?}: expected {expected:?}, got {done:?}"),
        }
    }

    /// Erases a person who is named by some event, if there is one.
    async fn erase(&mut self, person: usize) {
        let named = |kept: &Kept| matches!(kept.what, Some(Submission::Commit { person: who, .. }) if who == person);
        let Some(at) = self.model.log.iter().position(|kept| named(kept) && !kept.erased) else { return };
        let subject = self.actor(at as u64).unwrap();
        let erased = SubjectErased {
            ground: ErasureGround::Request,
            operator: None,
            subject: Some(subject.clone()),
            values: vec![],
        };
        self.n_erasures += 1;
        let position = self.ledger().say(erased, &format!("erase:{}", self.n_erasures)).await.unwrap();
        assert_eq!(position.0, self.model.size());
        self.model.log.iter_mut().filter(|kept| named(kept)).for_each(|kept| kept.erased = true);
        self.model.push("ledger", None);
        assert!(self.ledger().subject(&subject).unwrap().is_none());
    }

    fn event(&self, position: u64) -> Recorded {
        Recorded::parse(self.ledger().leaf(position).unwrap()).unwrap()
    }

    fn actor(&self, position: u64) -> Option<SubjectId> {
        self.event(position).envelope().actor.clone()
    }

    /// Compares everything that can be read.
    fn compare(&self) {
        let (ledger, log) = (self.ledger(), &self.model.log);
        let limit = PageLimit { events_max: 100_000, bytes_max: usize::MAX, scanned_max: u64::MAX };
        let page = ledger.page(0, u64::MAX, false, &Filter::default(), limit).unwrap();
        assert_eq!(page.entries.len(), log.len());
        let mut links: HashMap<&str, [u8; 32]> = HashMap::new();
        for ((entry, kept), position) in page.entries.iter().zip(log).zip(0..) {
            assert_eq!(entry.position, position);
            let event = Recorded::parse(entry.leaf.clone()).unwrap();
            let envelope = event.envelope();
            assert_eq!(
                (envelope.position.0, envelope.seq.0, envelope.stream.as_str()),
                (position, kept.seq, kept.stream)
            );
            let prev = links.insert(kept.stream, stream_link(&entry.leaf)).map(hex::encode);
            assert_eq!(envelope.prev.as_ref().map(ToString::to_string), prev, "at {position}");
            if let Some(what) = &kept.what {
                assert_eq!(envelope.dedup.as_str(), what.key());
                let private = ledger.private_values(&event).unwrap();
                let words: Vec<&str> = private.iter().map(|row| row.value.as_str()).collect();
                let people = ledger.subjects_of(&event).unwrap();
                let people: Vec<&str> = people.iter().map(|row| row.identity.as_str()).collect();
                match what {
                    Submission::Commit { person, word, .. } if !kept.erased => {
                        assert_eq!((words, people), (vec![WORDS[*word]], vec![PEOPLE[*person]]), "at {position}");
                    }
                    _ => assert!(words.is_empty() && people.is_empty(), "at {position}"),
                }
            }
        }
        let mut streams: Vec<&str> = links.keys().copied().collect();
        streams.sort_unstable();
        let listed = ledger.streams("", None, 100).unwrap();
        assert_eq!(listed.iter().map(|info| info.name.as_str()).collect::<Vec<_>>(), streams);
        for info in listed {
            assert_eq!(info.hash, links[&*info.name]);
            let of = |kept: &&Kept| kept.stream == info.name;
            let seqs: Vec<u64> = log.iter().filter(of).map(|kept| kept.seq).collect();
            let events = ledger.stream(&info.name, 0, 100_000).unwrap();
            let read = events.iter().map(|entry| log[usize::try_from(entry.position).unwrap()].seq);
            assert_eq!(read.collect::<Vec<_>>(), seqs, "{}", info.name);
            assert_eq!(info.seq + 1, seqs.len() as u64);
        }
    }

    /// Every tree that was signed is a prefix of the last one.
    fn consistent(&self) {
        let ledger = self.ledger();
        let open = |note: &str| Checkpoint::verify(note.as_bytes(), ledger.key()).unwrap();
        let now = open(&ledger.head().checkpoint);
        for note in &self.checkpoints {
            let old = open(note);
            let proof = ledger.consistency_proof(old.size, now.size).unwrap();
            verify_consistency(old.size, now.size, &old.root, &now.root, &proof).unwrap();
        }
    }

    /// Verifies what is on the disk.
    fn verify(&mut self) {
        let key = self.ledger().key().clone();
        let now = self.ledger().clock().now();
        self.ledger = None;
        let data = self.house.data();
        let engine = plimsoll::ledger::open_engine_read_only(&data).unwrap();
        let checks = Checks {
            engine: engine.clone(),
            index: Index::as_stored(&data.index(), key.name()).map(Arc::new),
            evidence: Some(plimsoll::ledger::Evidence::of(engine.clone(), &data.evidence()).unwrap()),
            guard: Some(Guard::new(data.guard())),
            remembered: self.checkpoints.first().map(ToString::to_string),
            threads: 2,
            key,
            now,
        };
        assert!(checks.index.is_some());
        let report = verify(&checks, &mut |_, _| {}).unwrap();
        assert!(report.ok, "{:?}", report.findings);
        assert_eq!(report.events, self.model.size());
    }
}

fn play(steps: &[Step]) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut run = Run {
            house: House::new(),
            entropy: Arc::new(CountingEntropy::new(1)),
            ledger: None,
            model: Model::default(),
            checkpoints: vec![],
            n_erasures: 0,
        };
        run.open().await;
        run.model.push("ledger", None);
        for step in steps {
            run.step(step).await;
        }
        run.compare();
        run.consistent();
        run.verify();
    });
}

#[test]
fn a_ledger_does_what_a_list_does() {
    let cases = if std::env::var_os("PLIMSOLL_SLOW").is_some() { 1_000 } else { 24 };
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 300, ..Config::default() };
    let chance = TestRng::from_seed(RngAlgorithm::ChaCha, &[17; 32]);
    let steps = prop::collection::vec(step(), 1..40);
    let result = TestRunner::new_with_rng(config, chance).run(&steps, |steps| {
        play(&steps);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}
