//! The ledger as its callers see it.

use plimsoll::event::{Expected, Peek, Recorded};
use plimsoll::ledger::{Error, Filter, Kind, Ledger, PageLimit};

use crate::support::{House, commit_draft, draft, opened};

const STREAM: &str = "repo/example.com/app";

#[tokio::test]
async fn an_acknowledged_event_has_a_receipt_that_verifies_offline() {
    let house = House::new();
    let ledger = house.open().await;
    for n in 0..600 {
        let done = ledger.append(vec![draft(STREAM, n)]).await.unwrap();
        let position = done.placed[0].position.0;
        assert_eq!(position, n + 1, "position 0 is ledger.created");
        let receipt = ledger.receipt_of(position, &done).unwrap();
        let (checkpoint, event) = receipt.verify(ledger.key()).unwrap();
        assert_eq!((checkpoint.size, event.envelope().seq.0), (n + 2, n));
    }
    for position in [0, 1, 255, 256, 257, 511, 512, 600] {
        let receipt = ledger.receipt(position).unwrap();
        assert_eq!(receipt.verify(ledger.key()).unwrap().0.size, 601);
    }
}

#[tokio::test]
async fn everything_is_there_after_closing_and_after_losing_the_index() {
    let house = House::new();
    let before = {
        let ledger = house.open().await;
        for chunk in 0..50 {
            let drafts = (0..700).map(|n| draft(&format!("repo/example.com/{}", n % 13), chunk * 700 + n)).collect();
            ledger.append(drafts).await.unwrap();
        }
        ledger.head()
    };
    assert_eq!(before.size, 35_001);
    for lose_index in [false, true] {
        if lose_index {
            std::fs::remove_file(house.data().index()).unwrap();
        }
        let ledger = house.open().await;
        assert_eq!(ledger.head(), before);
        let done = ledger.append(vec![draft("repo/example.com/5", 5)]).await.unwrap();
        assert!(done.placed[0].duplicate);
        assert_eq!(ledger.stream("repo/example.com/5", 2000, 10_000).unwrap().len(), 700);
        ledger.receipt(17).unwrap().verify(ledger.key()).unwrap();
    }
    let reader = Ledger::open_read_only(&house.data()).unwrap();
    assert_eq!(reader.head(), before);
    reader.receipt(34_000).unwrap().verify(reader.key()).unwrap();
}

#[tokio::test]
async fn the_same_event_twice_is_recorded_once_and_other_content_under_its_key_is_refused() {
    let house = House::new();
    let ledger = house.open().await;
    let first = ledger.append(vec![commit_draft(1, "Jane <j@example.com>", "hello")]).await.unwrap();
    let again = ledger.append(vec![commit_draft(1, "Jane <j@example.com>", "hello")]).await.unwrap();
    assert_eq!(first.placed[0].id, again.placed[0].id);
    assert!(again.placed[0].duplicate && !first.placed[0].duplicate);
    for other in [commit_draft(1, "Jane <j@example.com>", "other"), commit_draft(1, "Joan <j@example.com>", "hello")] {
        let error = ledger.append(vec![draft(STREAM, 9), other]).await.unwrap_err();
        assert!(matches!(error, Error::DedupConflict { index: 1, .. }), "{error}");
    }
    let twins = ledger.append(vec![draft(STREAM, 1), draft(STREAM, 1)]).await.unwrap();
    assert_eq!(twins.placed[0].position, twins.placed[1].position);
    assert_eq!(ledger.head().size, 3, "created, the commit, the twin; nothing of the refused requests");
}

#[tokio::test]
async fn private_text_is_beside_the_log_and_can_be_erased() {
    let house = House::new();
    let ledger = house.open().await;
    ledger.append(vec![commit_draft(1, "Jane <j@example.com>", "the secret message")]).await.unwrap();
    let leaf = ledger.leaf(1).unwrap();
    let text = std::str::from_utf8(&leaf).unwrap();
    assert!(!text.contains("Jane") && !text.contains("secret"), "{text}");
    let event = Recorded::parse(leaf).unwrap();
    let values = ledger.private_values(&event).unwrap();
    assert_eq!(values[0].value, "the secret message");
    let subject = event.envelope().actor.clone().unwrap();
    assert_eq!(ledger.subject(&subject).unwrap().unwrap().identity, "Jane <j@example.com>");

    let erased = plimsoll::event::ledger::SubjectErased {
        ground: plimsoll::event::ledger::ErasureGround::Request,
        operator: None,
        subject: Some(subject.clone()),
        values: vec![],
    };
    ledger.say(erased, "erase:1").await.unwrap();
    assert!(ledger.subject(&subject).unwrap().is_none() && ledger.private_values(&event).unwrap().is_empty());
    let again = ledger.append(vec![commit_draft(1, "Jane <j@example.com>", "the secret message")]).await.unwrap();
    assert!(again.placed[0].duplicate, "what was erased cannot be compared, and is not recorded twice");
    drop(ledger);
    for file in std::fs::read_dir(house.data().root()).unwrap() {
        let path = file.unwrap().path();
        let bytes = if path.is_file() { std::fs::read(&path).unwrap() } else { continue };
        assert!(!bytes.windows(18).any(|window| window == b"the secret message"), "{}", path.display());
    }
}

#[tokio::test]
async fn a_stream_is_appended_to_only_where_the_writer_expects_it() {
    let house = House::new();
    let ledger = house.open().await;
    let with = |n, expected| {
        let mut draft = draft(STREAM, n);
        draft.expected = expected;
        draft
    };
    ledger.append(vec![with(0, Expected::Empty), with(1, Expected::Seq(0))]).await.unwrap();
    for wrong in [Expected::Empty, Expected::Seq(0), Expected::Seq(2)] {
        let error = ledger.append(vec![with(2, wrong)]).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Conflict, "{error}");
    }
    assert!(ledger.append(vec![with(3, Expected::Seq(1)), with(4, Expected::Seq(1))]).await.is_err());
    ledger.append(vec![with(3, Expected::Seq(1)), with(4, Expected::Seq(2))]).await.unwrap();
    assert_eq!(ledger.stream(STREAM, 0, 100).unwrap().len(), 4);
}

#[tokio::test]
async fn a_filtered_page_tells_how_far_it_looked() {
    let house = House::new();
    let ledger = house.open().await;
    let drafts = (0..1000).map(|n| draft(if n % 100 == 7 { "repo/a/b" } else { STREAM }, n)).collect();
    ledger.append(drafts).await.unwrap();
    let filter = Filter { stream_prefix: "repo/a".to_owned(), types: vec!["tag.*".to_owned()] };
    let limit = PageLimit { scanned_max: 300, ..PageLimit::default() };
    let (mut from, mut seen) = (0, Vec::new());
    while from < ledger.head().size {
        let page = ledger.page(from, u64::MAX, false, &filter, limit).unwrap();
        seen.extend(page.entries.iter().map(|entry| entry.position));
        from = page.covered.end;
    }
    assert_eq!(seen, (0..10).map(|n| n * 100 + 8).collect::<Vec<_>>());
    let last = ledger.page(0, u64::MAX, true, &Filter::default(), PageLimit { events_max: 2, ..limit }).unwrap();
    assert_eq!(last.entries.iter().map(|entry| entry.position).collect::<Vec<_>>(), [1000, 999]);
    assert_eq!(Peek::new(&last.entries[0].leaf).unwrap().position, "1000");
}

#[tokio::test]
async fn heads_are_committed_once_for_what_is_new() {
    let house = House::new();
    let ledger = house.open().await;
    ledger.append((0..20).map(|n| draft(&format!("repo/a/{}", n % 3), n)).collect()).await.unwrap();
    let position = ledger.commit_heads().await.unwrap().unwrap();
    assert_eq!(ledger.commit_heads().await.unwrap(), None);
    drop(ledger);
    let ledger = house.open().await;
    assert_eq!(ledger.commit_heads().await.unwrap(), None);
    ledger.append(vec![draft("repo/a/0", 99)]).await.unwrap();
    assert!(ledger.commit_heads().await.unwrap().unwrap() > position);
}

#[tokio::test]
async fn a_second_writer_is_refused_and_told_who_has_the_ledger() {
    let house = House::new();
    let _ledger = house.open().await;
    let error = Ledger::open(house.options()).await.err().unwrap();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.to_string().contains(&format!("process {} (test)", std::process::id())), "{error}");
}

#[tokio::test]
async fn a_rolled_back_database_is_refused_unless_told_and_then_says_so() {
    let house = House::new();
    let old = house.dir.path().join("old.db");
    {
        let ledger = house.open().await;
        ledger.append((0..10).map(|n| draft(STREAM, n)).collect()).await.unwrap();
        ledger.engine().backup(&old).unwrap();
        ledger.append((10..20).map(|n| draft(STREAM, n)).collect()).await.unwrap();
    }
    for suffix in ["-wal", "-shm"] {
        let file = house.data().root().join(format!("ledger.db{suffix}"));
        if file.exists() {
            std::fs::remove_file(file).unwrap();
        }
    }
    std::fs::copy(&old, house.data().ledger()).unwrap();
    let error = opened(house.options()).await.err().unwrap();
    assert!(matches!(error, Error::RolledBack { database: 11, known: 21, .. }), "{error}");

    let mut options = house.options();
    options.accept_rollback = Some("the disk broke".to_owned());
    let ledger = opened(options).await.unwrap();
    let event = Recorded::parse(ledger.leaf(11).unwrap()).unwrap();
    assert_eq!(event.envelope().type_name, "ledger.restored");
    drop(ledger);
    opened(house.options()).await.unwrap();
}

#[tokio::test]
async fn time_of_recording_never_decreases_though_the_clock_does() {
    let house = House::new();
    let ledger = house.open().await;
    for (n, step) in (0..).zip([5_000_000, -9_000_000, 1, -1, 20_000_000]) {
        house.clock.advance(step);
        ledger.append(vec![draft(STREAM, n)]).await.unwrap();
    }
    let times: Vec<_> = (0..ledger.head().size)
        .map(|position| Recorded::parse(ledger.leaf(position).unwrap()).unwrap().envelope().recorded_at)
        .collect();
    assert!(times.is_sorted(), "{times:?}");
}

fn erasure(subject: &plimsoll::event::SubjectId) -> plimsoll::event::ledger::SubjectErased {
    plimsoll::event::ledger::SubjectErased {
        ground: plimsoll::event::ledger::ErasureGround::Request,
        operator: None,
        subject: Some(subject.clone()),
        values: vec![],
    }
}

fn report(house: &House, ledger: &Ledger) -> plimsoll::ledger::verify::Report {
    let checks = plimsoll::ledger::verify::Checks {
        engine: ledger.engine().clone(),
        key: ledger.key().clone(),
        index: Some(ledger.index().clone()),
        evidence: Some(ledger.evidence().clone()),
        guard: Some(plimsoll::ledger::Guard::new(house.data().guard())),
        remembered: None,
        threads: 2,
        now: ledger.clock().now(),
    };
    plimsoll::ledger::verify::verify(&checks, &mut |_, _| {}).unwrap()
}

#[tokio::test]
async fn nobody_can_be_named_by_a_pseudonym_that_was_never_given() {
    let house = House::new();
    let ledger = house.open().await;
    ledger.append(vec![commit_draft(1, "Jane <j@example.com>", "hello")]).await.unwrap();
    let known = Recorded::parse(ledger.leaf(1).unwrap()).unwrap().envelope().actor.clone().unwrap();
    let stranger: plimsoll::event::SubjectId = format!("sbj_{}", "a".repeat(32)).parse().unwrap();
    let by = |n, actor| {
        let mut draft = draft(STREAM, n);
        draft.actor = Some(plimsoll::event::Subject::Id(actor));
        draft
    };
    ledger.append(vec![by(1, known.clone())]).await.unwrap();
    let error = ledger.append(vec![by(2, known), by(3, stranger.clone())]).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(
        error.to_string().contains("event 1 of the request: actor.subject: nobody has the pseudonym sbj_aaa"),
        "{error}"
    );

    // A name that looks like a pseudonym is none.
    let mut namesake = draft(STREAM, 4);
    let plimsoll::event::Data::TagDeleted(data) = &mut namesake.data else { panic!("a tag") };
    data.tag = stranger.to_string();
    ledger.append(vec![namesake]).await.unwrap();
    let report = report(&house, &ledger);
    assert!(report.ok, "{:?}", report.findings);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_sealed_for_a_person_outlives_an_erasure_that_runs_beside_it() {
    let house = House::new();
    let ledger = house.open().await;
    for round in 0..20 {
        ledger.append(vec![commit_draft(round * 100, "Jane <j@example.com>", "first")]).await.unwrap();
        let head = ledger.head().size;
        let subject = Recorded::parse(ledger.leaf(head - 1).unwrap()).unwrap().envelope().actor.clone().unwrap();
        let writers: Vec<_> = (1..8)
            .map(|n| {
                let ledger = ledger.clone();
                tokio::spawn(async move {
                    ledger.append(vec![commit_draft(round * 100 + n, "Jane <j@example.com>", "beside")]).await.unwrap();
                })
            })
            .collect();
        // Whoever asked may be gone before it is done.
        let pending = ledger.submit(vec![{
            let mut draft = draft("ledger", round);
            draft.data = erasure(&subject).into();
            draft
        }]);
        drop(pending.await.unwrap());
        for writer in writers {
            writer.await.unwrap();
        }
        // What comes after an erasure is recorded after it.
        ledger.append(vec![draft(STREAM, 1000 + round)]).await.unwrap();
        assert!(ledger.subject(&subject).unwrap().is_none());
        for position in head..ledger.head().size {
            let event = Recorded::parse(ledger.leaf(position).unwrap()).unwrap();
            if event.envelope().actor.as_ref() == Some(&subject) {
                assert!(ledger.private_values(&event).unwrap().is_empty(), "event {position} is still readable");
            }
        }
    }
    let report = report(&house, &ledger);
    assert!(report.ok && report.erased > 0, "{:?}", report.findings);
}

#[tokio::test]
async fn a_closed_ledger_leaves_no_write_ahead_log_behind() {
    let house = House::new();
    let ledger = house.open().await;
    ledger.append((0..100).map(|n| draft(STREAM, n)).collect()).await.unwrap();
    // Both files are read as well as written.
    ledger.page(0, 10, false, &Filter::default(), PageLimit::default()).unwrap();
    ledger.index().flush().unwrap();
    assert!(ledger.append(vec![draft(STREAM, 5)]).await.unwrap().placed[0].duplicate);
    drop(ledger);
    for name in ["ledger.db-wal", "index.db-wal"] {
        assert!(!house.data().root().join(name).exists(), "{name}");
    }
}

#[tokio::test]
async fn a_start_that_is_refused_leaves_what_tells_which_event_is_damaged() {
    let house = House::new();
    let ledger = house.open().await;
    ledger.append((0..100).map(|n| draft(STREAM, n)).collect()).await.unwrap();
    drop(ledger);
    #[expect(clippy::disallowed_methods, reason = "an attacker has no engine")]
    let database = rusqlite::Connection::open(house.data().ledger()).unwrap();
    let change =
        "UPDATE event SET leaf = CAST(replace(CAST(leaf AS TEXT), '\"v40\"', '\"v41\"') AS BLOB) WHERE position = 41";
    assert_eq!(database.execute(change, []).unwrap(), 1);
    drop(database);
    for _ in 0..2 {
        let error = opened(house.options()).await.err().unwrap();
        assert_eq!(error.kind(), Kind::Corrupt, "{error}");
    }
    let key = std::fs::read_to_string(house.data().verifier_key()).unwrap().trim().parse().unwrap();
    let index = plimsoll::ledger::Index::as_stored(&house.data().index(), "ledger.example/test");
    let checks = plimsoll::ledger::verify::Checks {
        engine: plimsoll::ledger::open_engine_read_only(&house.data()).unwrap(),
        key,
        index: index.map(std::sync::Arc::new),
        evidence: None,
        guard: None,
        remembered: None,
        threads: 1,
        now: plimsoll::ledger::Clock::now(&*house.clock),
    };
    let report = plimsoll::ledger::verify::verify(&checks, &mut |_, _| {}).unwrap();
    assert_eq!(report.first_bad_position, Some(41), "{:?}", report.findings);
    assert!(report.findings.iter().any(|finding| finding.detail.contains("hash 41")), "{:?}", report.findings);
}
