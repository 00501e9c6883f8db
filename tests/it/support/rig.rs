//! The writer's core without the threads around it, over any engine.

use std::path::Path;
use std::sync::Arc;

use plimsoll::event::git::CommitRecorded;
use plimsoll::event::ledger::LedgerCreated;
use plimsoll::event::{
    Draft, Hex32, Prepared, Private, Recorded, SealedId, SealedRef, Subject, SubjectId, Timestamp, commitment,
};
use plimsoll::ledger::tree::{Frontier, SigningKey, leaf_hash};
use plimsoll::ledger::verify::{Checks, Report, verify};
use plimsoll::ledger::{
    Clock, DataDir, Engine, Entropy, Evidence, Guard, Index, Ledger, Request, SealedValue, Sequencer, Signer,
};

use super::commit_draft;

pub const ORIGIN: &str = "ledger.example/test";

pub fn key() -> SigningKey {
    SigningKey::from_seed(ORIGIN, [7; 32]).unwrap()
}

/// Makes a directory one that the ledger with [`key`] can be opened in, once a database is there.
pub fn write_keys(dir: &DataDir) {
    std::fs::create_dir_all(dir.root()).unwrap();
    std::fs::write(dir.signing_key(), format!("{}\n", key().to_secret_string())).unwrap();
    std::fs::write(dir.verifier_key(), format!("{}\n", key().verifier_key())).unwrap();
}

/// Every leaf, by position.
pub fn leaves(engine: &dyn Engine) -> Vec<Vec<u8>> {
    let mut leaves = Vec::new();
    engine
        .read(0..u64::MAX, false, &mut |position, leaf| {
            assert_eq!(position, leaves.len() as u64, "positions have no gap");
            leaves.push(leaf.to_vec());
            Ok(true)
        })
        .unwrap();
    leaves
}

/// A core that continues the log in `engine`. `index` is brought up to it.
pub fn sequencer(
    engine: Arc<dyn Engine>,
    index: Arc<Index>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Sequencer {
    let head = engine.head().unwrap();
    index.catch_up(&*engine, head.size).unwrap();
    // Not taken from the index: the signer compares it with what was signed.
    let mut frontier = Frontier::new();
    leaves(&*engine).iter().for_each(|leaf| frontier.push(leaf_hash(leaf)));
    let signer = Signer::resume(key(), head.checkpoint.as_deref(), frontier).unwrap();
    Sequencer::new(engine, index, signer, clock, entropy).unwrap()
}

/// Events without private values.
pub fn plain(drafts: &[Draft]) -> Request {
    Request { events: drafts.iter().map(|draft| Prepared::new(draft).unwrap()).collect(), ..Request::default() }
}

/// What the first event of a ledger says.
pub fn birth() -> Request {
    let verifier = key().verifier_key();
    let data = LedgerCreated { created_with: "test".to_owned(), key: verifier.to_string(), origin: ORIGIN.to_owned() };
    let at = Timestamp::from_micros(1_772_000_000_000_000).unwrap();
    let source = "plimsoll".parse().unwrap();
    plain(&[Draft::new(data, "ledger".parse().unwrap(), source, "created".parse().unwrap(), at)])
}

/// A commit with its author's pseudonym and its message sealed, as the ledger prepares it.
pub fn sealed(n: u64, author: &SubjectId, message: &str, entropy: &dyn Entropy) -> Request {
    let mut draft = commit_draft(n, "", "");
    let mut random = [0; 48];
    entropy.fill(&mut random);
    let salt: [u8; 32] = random[..32].try_into().unwrap();
    let id = uuid::Builder::from_unix_timestamp_millis(1_772_000_000_000, &random[32..42].try_into().unwrap());
    let id: SealedId = id.into_uuid().to_string().parse().unwrap();
    let reference = SealedRef { commitment: Hex32::from_bytes(commitment(&salt, message)), sealed: id.clone() };
    let plimsoll::event::Data::CommitRecorded(ref mut commit) = draft.data else { unreachable!() };
    let CommitRecorded { author: by, committer, message: said, .. } = commit;
    (*by, *committer) = (Subject::Id(author.clone()), Some(Subject::Id(author.clone())));
    *said = Some(Private::Sealed(reference));
    draft.actor = Some(Subject::Id(author.clone()));
    let row = SealedValue { id, owner: Some(author.clone()), salt, value: message.to_owned() };
    Request { sealed: vec![(0, row)], ..plain(&[draft]) }
}

/// Verifies everything that there is to an open ledger.
pub fn verified(ledger: &Ledger, dir: &DataDir) -> Report {
    let checks = Checks {
        engine: ledger.engine().clone(),
        key: ledger.key().clone(),
        index: Some(ledger.index().clone()),
        evidence: Some(Evidence::of(ledger.engine().clone(), &dir.evidence()).unwrap()),
        guard: Some(Guard::new(dir.guard())),
        remembered: None,
        threads: 1,
        now: ledger.clock().now(),
    };
    verify(&checks, &mut |_, _| ()).unwrap()
}

/// Idempotency keys by position: what was recorded, in which order.
pub fn keys(leaves: &[Vec<u8>]) -> Vec<String> {
    let parse = |leaf: &Vec<u8>| Recorded::parse(leaf.clone().into()).unwrap();
    leaves.iter().map(parse).map(|event| event.envelope().dedup.to_string()).collect()
}

/// Puts files where a ledger is to be opened.
pub fn place<'a>(dir: &DataDir, files: impl IntoIterator<Item = (&'a Path, &'a [u8])>) {
    write_keys(dir);
    for (path, content) in files {
        std::fs::write(dir.root().join(path.file_name().unwrap()), content).unwrap();
    }
}

/// A directory for what need not outlive the machine: in memory where there is room, as syncing is not what is tested.
pub fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// Whether to run the long variants.
#[expect(clippy::disallowed_methods, reason = "tests are configured by the environment")]
pub fn slow() -> bool {
    std::env::var("PLIMSOLL_SLOW").is_ok_and(|value| value == "1")
}
