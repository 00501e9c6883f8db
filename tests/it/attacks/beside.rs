//! Attacks on what stands beside the log: blobs, private values, identities.

use plimsoll::event::ledger::{ErasureGround, EvidenceErased, SubjectErased};
use plimsoll::event::{Recorded, Subject};
use plimsoll::ledger::Kind;

use super::*;

fn blob_file(scene: &Scene) -> std::path::PathBuf {
    let hex = blake3::hash(BLOB).to_hex().to_string();
    scene.data().evidence().join(&hex[..2]).join(format!("{}.zst", &hex[2..]))
}

#[tokio::test]
async fn a_replaced_blob_is_found() {
    // 15: another, a longer one, one of the same length, no compressed file at all, and an empty one.
    let scene = Scene::new().await;
    let file = blob_file(&scene);
    let mut same_length = BLOB.to_vec();
    same_length[0] ^= 1;
    let longer = [BLOB, b" "].concat();
    for bytes in [&b"other"[..], &longer, &same_length] {
        std::fs::write(&file, zstd::bulk::compress(bytes, 3).unwrap()).unwrap();
        scene.verify().is_only("bad_evidence", Some(A_BUILD));
    }
    for raw in [BLOB, b""] {
        std::fs::write(&file, raw).unwrap();
        scene.verify().is_only("bad_evidence", Some(A_BUILD));
    }
    std::fs::write(&file, zstd::bulk::compress(BLOB, 19).unwrap()).unwrap();
    assert_eq!(scene.verify().code, 0, "compressed otherwise, it is the same blob");
}

#[tokio::test]
async fn a_deleted_blob_is_missed_unless_an_event_says_that_it_was_erased() {
    // 16
    let scene = Scene::new().await;
    std::fs::remove_file(blob_file(&scene)).unwrap();
    scene.verify().is_only("missing_evidence", Some(A_BUILD));
    let ledger = scene.open().await;
    let reference = Recorded::parse(ledger.leaf(A_BUILD).unwrap()).unwrap().envelope().evidence[0].clone();
    let erased = EvidenceErased {
        blake3: reference.blake3,
        ground: ErasureGround::Mistake,
        operator: None,
        sha256: reference.sha256,
        size: reference.size,
    };
    ledger.say(erased, "erase:blob").await.unwrap();
    drop(ledger);
    let verdict = scene.verify();
    assert_eq!((verdict.code, &verdict.report["erased"]), (0, &1.into()), "{}", verdict.report);
}

#[tokio::test]
async fn a_replaced_blob_with_its_event_edited_to_match_is_found() {
    // 17
    let scene = Scene::new().await;
    let other = b"{\"bomFormat\":\"CycloneDX\",\"components\":[\"wholesome\"]}";
    let ledger = scene.open().await;
    let new = ledger.evidence().put("application/json".parse().unwrap(), other).await.unwrap();
    drop(ledger);
    judges::change_leaf(&scene.data(), A_BUILD, |leaf| {
        let old = blake3::hash(BLOB).to_hex().to_string();
        let text = String::from_utf8(leaf.clone()).unwrap().replace(&old, new.blake3.as_str());
        let at = text.find("\"sha256\":\"").unwrap() + 10;
        let text = format!("{}{}{}", &text[..at], new.sha256.as_str(), &text[at + 64..]);
        *leaf = text.replace(&format!("\"size\":\"{}\"", BLOB.len()), &format!("\"size\":\"{}\"", other.len())).into();
    });
    let verdict = scene.verify();
    verdict.is_damage(&["bad_tile", "bad_root"], Some(A_BUILD));
    assert!(!verdict.kinds().contains("bad_evidence"), "the blob fits the event now: {}", verdict.report);
    scene.outsiders_refuse(&format!("entry {A_BUILD}"));
}

#[tokio::test]
async fn private_values_and_identities_are_held_to_their_commitments() {
    for (script, kind) in [
        ("UPDATE sealed SET value = 'another word' WHERE id = (SELECT min(id) FROM sealed)", "bad_private_value"),
        ("UPDATE sealed SET salt = randomblob(32) WHERE id = (SELECT min(id) FROM sealed)", "bad_private_value"),
        ("UPDATE sealed SET owner = NULL WHERE id = (SELECT min(id) FROM sealed)", "bad_private_value"),
        ("DELETE FROM sealed WHERE id = (SELECT min(id) FROM sealed)", "missing_private_value"),
        ("UPDATE subject SET identity = 'Joan <j@example.com>'", "bad_private_value"),
        ("DELETE FROM subject", "missing_private_value"),
    ] {
        let scene = Scene::new().await;
        scene.sql(script);
        let verdict = scene.verify();
        verdict.is_damage(&[kind], verdict.report["first_bad_position"].as_u64());
        assert_eq!(verdict.kinds().len(), 1, "{script}: {}", verdict.report);
        let first = verdict.report["first_bad_position"].as_u64().unwrap();
        assert!((A_COMMIT..A_BUILD).contains(&first), "{script}: {}", verdict.report);
        // The proofs do not rest on any of it.
        judges::whole_log(scene.publish().path(), &scene.vkey).unwrap();
    }
}

#[tokio::test]
async fn an_erased_person_is_no_damage_and_what_was_proven_stays_proven() {
    let scene = Scene::new().await;
    let ledger = scene.open().await;
    let event = Recorded::parse(ledger.leaf(A_COMMIT).unwrap()).unwrap();
    let subject = event.envelope().actor.clone();
    let receipt = ledger.receipt(A_COMMIT).unwrap();
    let erased = SubjectErased { ground: ErasureGround::Request, operator: None, subject, values: vec![] };
    ledger.say(erased, "erase:jane").await.unwrap();
    receipt.verify(ledger.key()).unwrap();
    ledger.receipt(A_COMMIT).unwrap().verify(ledger.key()).unwrap();
    drop(ledger);
    let verdict = scene.verify();
    assert_eq!((verdict.code, &verdict.report["erased"]), (0, &11.into()), "{}", verdict.report);
    assert_eq!(scene.verify_since(&scene.note).code, 0);
}

#[tokio::test]
async fn text_that_looks_like_a_pseudonym_is_no_reference_to_anybody() {
    // Whoever may push a tag would else make every later verification fail.
    let scene = Scene::new().await;
    let ledger = scene.open().await;
    let odd = format!("sbj_{}", "a".repeat(32));
    let mut event = small(9001);
    if let plimsoll::event::Data::TagDeleted(deleted) = &mut event.data {
        deleted.tag = odd.clone();
    }
    event.dedup = odd.parse().unwrap();
    event.correlation = Some(odd.parse().unwrap());
    ledger.append(vec![event]).await.unwrap();
    drop(ledger);
    let verdict = scene.verify();
    assert_eq!(verdict.code, 0, "{}", verdict.report);
}

#[tokio::test]
async fn a_pseudonym_that_nobody_has_is_refused_at_the_door() {
    // Accepted, it would look like a deleted identity for ever.
    let scene = Scene::new().await;
    let ledger = scene.open().await;
    let size = ledger.head().size;
    let mut event = small(9002);
    event.actor = Some(Subject::Id(format!("sbj_{}", "a".repeat(32)).parse().unwrap()));
    let error = ledger.append(vec![small(9003), event.clone()]).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid, "{error}");
    assert!(error.to_string().contains("event 1") && error.to_string().contains("actor"), "{error}");
    assert_eq!(ledger.head().size, size);
    // One that somebody has is taken.
    let known = Recorded::parse(ledger.leaf(A_COMMIT).unwrap()).unwrap().envelope().actor.clone().unwrap();
    event.actor = Some(Subject::Id(known));
    ledger.append(vec![event]).await.unwrap();
    drop(ledger);
    assert_eq!(scene.verify().code, 0);
}

#[tokio::test]
async fn what_only_the_ledger_can_say_is_refused_from_anybody_else() {
    // A commitment to heads that does not hold would make every later verification fail.
    let scene = Scene::new().await;
    let ledger = scene.open().await;
    let heads = plimsoll::event::ledger::HeadsCommitted {
        as_of: plimsoll::event::Position(3),
        blake3: "00".repeat(32).parse().unwrap(),
        sha256: "00".repeat(32).parse().unwrap(),
        streams: plimsoll::event::U64(1),
    };
    let created = plimsoll::event::ledger::LedgerCreated {
        created_with: "0".to_owned(),
        key: scene.vkey.clone(),
        origin: "other.example".to_owned(),
    };
    let at = ledger.clock().now();
    let of = |data: plimsoll::event::Data| {
        Draft::new(data, "ledger".parse().unwrap(), "cli".parse().unwrap(), "mine".parse().unwrap(), at)
    };
    for data in [heads.into(), created.into()] {
        let error = ledger.append(vec![of(data)]).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Refused, "{error}");
    }
    assert!(ledger.commit_heads().await.is_ok());
    drop(ledger);
    assert_eq!(scene.verify().code, 0);
}

#[tokio::test]
async fn a_commitment_to_heads_that_does_not_hold_is_found() {
    // By a ledger that went wrong itself: of too few streams, of other heads, of a size long past or yet to come.
    for (as_of, streams) in [(SIZE, 8), (SIZE, 9), (SIZE - 1, 9), (SIZE + 1, 9), (u64::MAX, 9)] {
        let scene = Scene::new().await;
        let ledger = scene.open().await;
        let heads = plimsoll::event::ledger::HeadsCommitted {
            as_of: plimsoll::event::Position(as_of),
            blake3: "00".repeat(32).parse().unwrap(),
            sha256: "00".repeat(32).parse().unwrap(),
            streams: plimsoll::event::U64(streams),
        };
        ledger.say(heads, "heads:wrong").await.unwrap();
        drop(ledger);
        scene.verify().is_only("bad_heads", Some(SIZE));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_is_being_written_to_is_not_taken_for_a_damaged_one() {
    let scene = Scene::new().await;
    let ledger = scene.open().await;
    let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (writer, stop) = (ledger.clone(), done.clone());
    let writing = tokio::spawn(async move {
        let mut n = 100_000;
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            // People come, commit, and are erased; heads are committed to.
            let who = format!("Nobody <{n}@example.com>");
            let placed = writer.append(vec![commit_draft(n, &who, "soon gone")]).await.unwrap().placed[0].position;
            writer.append((n..n + 40).map(small).collect()).await.unwrap();
            let actor = Recorded::parse(writer.leaf(placed.0).unwrap()).unwrap().envelope().actor.clone();
            let gone = SubjectErased { ground: ErasureGround::Request, operator: None, subject: actor, values: vec![] };
            writer.say(gone, &format!("erase:{n}")).await.unwrap();
            writer.commit_heads().await.unwrap();
            n += 40;
        }
        n
    });
    let (mut rounds, mut last) = (0, 0);
    while rounds < 8 || last < SIZE + 2_000 {
        let (root, events) = (scene.data().root().to_owned(), ledger.head().size);
        let verdict = tokio::task::spawn_blocking(move || verify(&root, &[])).await.unwrap();
        assert_eq!(verdict.code, 0, "{}", verdict.report);
        last = verdict.report["events"].as_u64().unwrap();
        assert!(last >= events);
        rounds += 1;
    }
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(writing.await.unwrap() > 100_000);
}
