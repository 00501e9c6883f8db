//! Erasing, when something comes in between: what was erased must be gone, and nothing new may be kept as theirs.

use plimsoll::event::ledger::{ErasureGround, EvidenceErased, SubjectErased};
use plimsoll::event::{Draft, Recorded, Subject, SubjectId};
use plimsoll::ledger::{Creation, Error, Ledger, Options};
use plimsoll_test_vfs::{Effect, Fault, Operation, Vfs, ffi};

use crate::support::process::PATIENCE;
use crate::support::rig::{scratch, verified};
use crate::support::{House, commit_draft, draft};

const JANE: &str = "Jane <j@example.com>";
const SECRET: &str = "the secret message";

fn erasure(subject: &SubjectId) -> Draft {
    let data = SubjectErased {
        ground: ErasureGround::Request,
        operator: None,
        subject: Some(subject.clone()),
        values: vec![],
    };
    Draft { data: data.into(), dedup: format!("erase:{subject}").parse().unwrap(), ..draft("ledger", 1) }
}

fn actor(ledger: &Ledger, position: u64) -> SubjectId {
    Recorded::parse(ledger.leaf(position).unwrap()).unwrap().envelope().actor.clone().unwrap()
}

async fn record(ledger: &Ledger, n: u64) -> SubjectId {
    let done = ledger.append(vec![commit_draft(n, JANE, SECRET)]).await.unwrap();
    actor(ledger, done.placed[0].position.0)
}

fn holds_secret(house: &House, file: &str) -> bool {
    let bytes = std::fs::read(house.data().root().join(file)).unwrap_or_default();
    bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes())
}

#[tokio::test]
async fn what_could_not_be_cut_from_the_write_ahead_log_at_once_is_cut_later() {
    let house = House { dir: scratch(), ..House::new() };
    let vfs = Vfs::new();
    let options = || Options { vfs: Some(vfs.name().to_owned()), ..house.options() };
    let ledger = Ledger::create(options(), Creation::default()).await.unwrap();
    let jane = record(&ledger, 1).await;
    assert!(holds_secret(&house, "ledger.db-wal"));
    let (operation, effect, code) = (Operation::Truncate, Effect::Lost, ffi::SQLITE_IOERR_TRUNCATE);
    vfs.inject(Fault { operation, file: "-wal", nth: 1, for_ever: true, effect, code });
    ledger.append(vec![erasure(&jane)]).await.unwrap();
    assert!(vfs.fired() > 0 && holds_secret(&house, "ledger.db-wal"), "it could not be cut");
    vfs.heal();
    ledger.append(vec![draft("repo/example.com/app", 1)]).await.unwrap();
    for file in ["ledger.db", "ledger.db-wal"] {
        assert!(!holds_secret(&house, file), "{file}");
    }
}

#[tokio::test]
async fn what_a_crash_left_in_the_write_ahead_log_is_cut_at_the_next_start() {
    let house = House { dir: scratch(), ..House::new() };
    let vfs = Vfs::new();
    let options = || Options { vfs: Some(vfs.name().to_owned()), ..house.options() };
    let ledger = Ledger::create(options(), Creation::default()).await.unwrap();
    let jane = record(&ledger, 1).await;
    let (operation, effect, code) = (Operation::Truncate, Effect::Lost, ffi::SQLITE_IOERR_TRUNCATE);
    vfs.inject(Fault { operation, file: "-wal", nth: 1, for_ever: true, effect, code });
    ledger.append(vec![erasure(&jane)]).await.unwrap();
    // The files as they are now are what a crash leaves.
    let crashed = House { dir: scratch(), ..House::new() };
    std::fs::create_dir(crashed.data().root()).unwrap();
    for name in ["ledger.db", "ledger.db-wal", "ledger.key", "ledger.vkey"] {
        std::fs::copy(house.data().root().join(name), crashed.data().root().join(name)).unwrap();
    }
    assert!(holds_secret(&crashed, "ledger.db-wal"));
    let ledger = Ledger::open(crashed.options()).await.unwrap();
    for file in ["ledger.db", "ledger.db-wal"] {
        assert!(!holds_secret(&crashed, file), "{file}");
    }
    assert!(verified(&ledger, &crashed.data()).ok);
}

#[tokio::test]
async fn an_erasure_is_carried_out_though_nobody_waits_for_it() {
    let house = House { dir: scratch(), ..House::new() };
    let ledger = house.open().await;
    let before = record(&ledger, 1).await;
    let blob = ledger.evidence().put("text/plain".parse().unwrap(), SECRET.as_bytes()).await.unwrap();
    let with_blob = Draft { evidence: vec![blob.clone()], ..draft("repo/example.com/app", 1) };
    ledger.append(vec![with_blob]).await.unwrap();
    let gone = EvidenceErased {
        blake3: blob.blake3.clone(),
        ground: ErasureGround::Mistake,
        operator: None,
        sha256: blob.sha256.clone(),
        size: blob.size,
    };
    let gone = Draft { data: gone.into(), dedup: "gone".parse().unwrap(), ..draft("ledger", 2) };
    drop(ledger.submit(vec![erasure(&before), gone]).await.unwrap());
    let after = record(&ledger, 2).await;
    assert_ne!(before, after, "somebody erased comes back under a new pseudonym");
    assert!(ledger.subject(&after).unwrap().is_some());
    let started = std::time::Instant::now();
    while ledger.evidence().has(&blob).await.unwrap() {
        assert!(started.elapsed() < PATIENCE, "the blob is still there");
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    assert!(verified(&ledger, &house.data()).ok);
}

#[tokio::test]
async fn private_values_are_not_recorded_as_somebodys_who_was_erased_meanwhile() {
    let house = House { dir: scratch(), ..House::new() };
    let ledger = house.open().await;
    let jane = record(&ledger, 1).await;
    // All three are on their way before the first is committed, or after; what matters is their order.
    let (erased, late, other) = tokio::join!(
        async { ledger.submit(vec![erasure(&jane)]).await.unwrap().wait().await },
        async { ledger.submit(vec![commit_draft(2, JANE, SECRET)]).await.unwrap().wait().await },
        async { ledger.submit(vec![draft("repo/example.com/app", 7)]).await.unwrap().wait().await },
    );
    erased.unwrap();
    other.unwrap();
    let late = late.unwrap().placed[0].position.0;
    let event = Recorded::parse(ledger.leaf(late).unwrap()).unwrap();
    if actor(&ledger, late) == jane {
        assert!(ledger.private_values(&event).unwrap().is_empty(), "sealed before the erasure, and left by it");
    } else {
        assert_eq!(ledger.private_values(&event).unwrap().len(), 1);
    }
    let again = record(&ledger, 3).await;
    let event = Recorded::parse(ledger.leaf(ledger.head().size - 1).unwrap()).unwrap();
    assert_eq!(ledger.private_values(&event).unwrap()[0].owner.as_ref(), Some(&again));
    assert!(verified(&ledger, &house.data()).ok);
}

#[tokio::test]
async fn an_event_names_only_people_who_are_known_or_it_could_never_be_verified() {
    let house = House { dir: scratch(), ..House::new() };
    let ledger = house.open().await;
    let jane = record(&ledger, 1).await;
    let by = |n, subject: &SubjectId| Draft {
        actor: Some(Subject::Id(subject.clone())),
        ..draft("repo/example.com/app", n)
    };
    let nobody = SubjectId::commit(&[9; 32], "nobody");
    let error = ledger.append(vec![draft("repo/example.com/app", 0), by(1, &nobody)]).await.unwrap_err();
    assert!(matches!(error, Error::Draft { index: 1, .. }) && error.to_string().contains(nobody.as_str()), "{error}");
    ledger.append(vec![by(2, &jane)]).await.unwrap();
    ledger.append(vec![erasure(&jane)]).await.unwrap();
    assert!(ledger.append(vec![by(3, &jane)]).await.is_err());
    assert!(ledger.append(vec![by(2, &jane)]).await.unwrap().placed[0].duplicate, "what is recorded is known");
    assert!(verified(&ledger, &house.data()).ok);
}
