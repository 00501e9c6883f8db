//! What the tests share: a ledger in a temporary directory with a clock and chance of its own.

pub mod daemon;
pub mod http;
pub mod memory;
pub mod process;
pub mod program;
pub mod repo;
pub mod rig;
pub mod served;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use plimsoll::event::git::{CommitRecorded, TagDeleted};
use plimsoll::event::{Draft, Private, Subject, Timestamp};
use plimsoll::ledger::{Clock, Creation, DataDir, Entropy, Ledger, Options};

/// A clock that stands still until it is moved.
pub struct FixedClock(AtomicI64);

impl FixedClock {
    pub fn new() -> Self {
        Self(AtomicI64::new(1_772_625_600_000_000))
    }
    pub fn advance(&self, micros: i64) {
        self.0.fetch_add(micros, Ordering::Relaxed);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Relaxed)).unwrap()
    }
}

/// Chance that repeats itself from run to run, and never within one.
pub struct CountingEntropy(AtomicU64);

impl CountingEntropy {
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed << 32))
    }
}

impl Entropy for CountingEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        let n = self.0.fetch_add(1, Ordering::Relaxed);
        blake3::Hasher::new().update(&n.to_le_bytes()).finalize_xof().fill(buffer);
    }
}

/// Opens or makes a ledger.
pub async fn opened(options: Options) -> plimsoll::ledger::Result<Ledger> {
    Ledger::open_or_create(options, Creation { origin: Some("ledger.example/test".to_owned()) }).await
}

/// A ledger in a directory that goes with it.
pub struct House {
    pub dir: tempfile::TempDir,
    pub clock: Arc<FixedClock>,
}

impl House {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), clock: Arc::new(FixedClock::new()) }
    }

    pub fn data(&self) -> DataDir {
        DataDir::new(self.dir.path().join("data"))
    }

    pub fn options(&self) -> Options {
        let mut options = Options::new(self.data(), "test");
        options.clock = self.clock.clone();
        options.entropy = Arc::new(CountingEntropy::new(7));
        options
    }

    pub async fn open(&self) -> Ledger {
        opened(self.options()).await.unwrap()
    }
}

/// A small event: the `n`th of its stream by source and dedup.
pub fn draft(stream: &str, n: u64) -> Draft {
    let data = TagDeleted { before: Some(format!("{n:040x}").parse().unwrap()), tag: format!("v{n}"), tag_hex: None };
    let at = Timestamp::from_micros(1_772_000_000_000_000 + i64::try_from(n).unwrap()).unwrap();
    Draft::new(data, stream.parse().unwrap(), "test".parse().unwrap(), format!("{stream}#{n}").parse().unwrap(), at)
}

/// An event with people and free text in it.
pub fn commit_draft(n: u64, author: &str, message: &str) -> Draft {
    let oid = |n: u64| format!("{n:040x}").parse().unwrap();
    let at = Timestamp::from_micros(1_772_000_000_000_000).unwrap();
    let data = CommitRecorded {
        author: Subject::identity(author),
        author_offset_minutes: Some(60),
        authored_at: Some(at),
        cherry_picked_from: None,
        commit: oid(n),
        committed_at: Some(at),
        committer: Some(Subject::identity(author)),
        committer_offset_minutes: Some(60),
        message: Some(Private::plain(message)),
        parents: Some(vec![oid(n + 1)]),
        reverts: None,
        signature: None,
        times_clamped: None,
        tree: Some(oid(n + 2)),
        url: None,
    };
    let stream = "repo/example.com/app".parse().unwrap();
    let mut draft = Draft::new(data, stream, "git".parse().unwrap(), format!("commit:{n}").parse().unwrap(), at);
    draft.actor = Some(Subject::identity(author));
    draft
}
