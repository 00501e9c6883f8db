//! Attacks on a log as it is published, and on its checkpoints; and logs that were forged with a key of their own.

use bytes::Bytes;
use plimsoll::event::ledger::{HeadsCommitted, LedgerCreated};
use plimsoll::event::{EventId, Position, Prepared, Timestamp, U64, stream_link};
use plimsoll::ledger::tree::{Checkpoint, Frontier, SigningKey, VerifierKey, leaf_hash};
use plimsoll::ledger::verify::{Report, TileSource, verify_tiles};
use plimsoll::ledger::{Clock as _, list_digests};

use super::*;
use crate::support::FixedClock;

fn key() -> SigningKey {
    SigningKey::from_seed("forged.example/log", [3; 32]).unwrap()
}

/// Signs leaves as they are and publishes them.
fn forge(leaves: &[Bytes]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let leaves: Vec<Vec<u8>> = leaves.iter().map(|leaf| leaf.to_vec()).collect();
    let mut tree = Frontier::new();
    leaves.iter().for_each(|leaf| tree.push(leaf_hash(leaf)));
    judges::publish_entries(dir.path(), &leaves);
    judges::publish_hashes(dir.path(), &leaves);
    let key = key();
    let note = Checkpoint::new(key.name().to_owned(), tree.size(), tree.root()).sign(&key).unwrap().to_string();
    judges::put(dir.path(), "checkpoint", note.as_bytes());
    judges::whole_log(dir.path(), &key.verifier_key().to_string()).unwrap();
    dir
}

/// A well-formed log of a first event and `n` others in one stream; `change` may spoil one before the chain goes over it.
fn leaves(n: u64, mut change: impl FnMut(u64, &mut Vec<u8>)) -> Vec<Bytes> {
    let at = FixedClock::new().now();
    let created = LedgerCreated {
        created_with: "0.1.0".to_owned(),
        key: key().verifier_key().to_string(),
        origin: key().name().to_owned(),
    };
    let first =
        Draft::new(created, "ledger".parse().unwrap(), "plimsoll".parse().unwrap(), "created".parse().unwrap(), at);
    let mut leaves = vec![Prepared::new(&first).unwrap().leaf(EventId::new(at, Position(0), 0), at, 0, None)];
    let mut prev: Option<[u8; 32]> = None;
    for n in 0..n {
        let id = EventId::new(at, Position(n + 1), 0);
        let draft = draft("repo/example.com/app", n);
        let mut leaf = Prepared::new(&draft).unwrap().leaf(id, at, n, prev.as_ref()).to_vec();
        change(n + 1, &mut leaf);
        prev = Some(stream_link(&leaf));
        leaves.push(leaf.into());
    }
    leaves
}

fn replaced(leaf: &mut Vec<u8>, from: &str, to: &str) {
    let text = String::from_utf8(std::mem::take(leaf)).unwrap();
    assert!(text.contains(from), "{text}");
    *leaf = text.replacen(from, to, 1).into();
}

fn judge(dir: &Path, vkey: &VerifierKey) -> Report {
    let now = Timestamp::from_micros(FixedClock::new().now().micros() + 1_000_000).unwrap();
    verify_tiles(&TileSource::new(dir), vkey, None, now, &mut |_, _| {}).unwrap()
}

fn kinds(report: &Report) -> Vec<String> {
    let mut kinds: Vec<_> = report.findings.iter().map(|finding| format!("{:?}", finding.damage)).collect();
    kinds.dedup();
    kinds
}

#[test]
fn a_log_forged_well_is_a_log() {
    let dir = forge(&leaves(600, |_, _| {}));
    let report = judge(dir.path(), &key().verifier_key());
    assert!(report.ok, "{:?}", report.findings);
    assert_eq!(judges::python_log(dir.path(), &key().verifier_key().to_string()).0, 0);
}

#[test]
fn an_event_dated_back_is_found_by_the_order_of_events() {
    // 21: an approval that was recorded after the deployment cannot be made to look earlier.
    let dir = forge(&leaves(600, |n, leaf| {
        if n == 400 {
            let at = leaf.windows(13).position(|window| window == b"recorded_at\":").unwrap();
            let year = at + 14;
            assert_eq!(&leaf[year..year + 4], b"2026");
            leaf[year + 3] = b'5';
        }
    }));
    let report = judge(dir.path(), &key().verifier_key());
    assert_eq!((kinds(&report), report.first_bad_position), (vec!["BadTime".to_owned()], Some(400)), "{report:?}");
    let (code, said) = judges::python_log(dir.path(), &key().verifier_key().to_string());
    assert!(code == 1 && said.contains("entry 400: recorded_at 2025"), "{said}");
}

#[test]
fn a_time_in_another_spelling_is_no_time_of_the_ledger() {
    // 21: compared as text, as the verifiers do, it would hide what it means.
    for other in ["2026-03-04T12:00:00.0+01:00", "2026-03-04t12:00:00.000000Z", "2026-03-04T12:00:00.00000Z"] {
        let dir = forge(&leaves(6, |n, leaf| {
            if n == 4 {
                replaced(leaf, "\"recorded_at\":\"2026-03-04T12:00:00.000000Z", &format!("\"recorded_at\":\"{other}"));
            }
        }));
        let report = judge(dir.path(), &key().verifier_key());
        assert_eq!(report.first_bad_position, Some(4), "{other}: {report:?}");
        assert!(kinds(&report).contains(&"BadEnvelope".to_owned()), "{other}: {report:?}");
        let (code, said) = judges::python_log(dir.path(), &key().verifier_key().to_string());
        assert!(code == 1 && said.contains("entry 4: recorded_at"), "{said}");
    }
}

#[tokio::test]
async fn a_clock_far_ahead_is_found_by_whoever_has_the_right_time() {
    // 22
    let house = House::new();
    let ledger = house.open().await;
    ledger.append((0..10).map(small).collect()).await.unwrap();
    // A thousand years.
    house.clock.advance(31_556_952_000_000_000);
    ledger.append((10..20).map(small).collect()).await.unwrap();
    drop(ledger);
    verify(house.data().root(), &[]).is_only("bad_time", Some(11));
}

#[tokio::test]
async fn an_edited_tile_is_found_and_its_events_are_not_blamed_for_more_than_they_cover() {
    // 23: level 0 full, level 0 at the edge, level 1.
    for (table, at, hash, first) in [
        ("tile SET hashes = ?1 WHERE level = 0 AND number = 1", "tile WHERE level = 0 AND number = 1", 44, 300),
        ("edge SET hashes = ?1 WHERE level = 0", "edge WHERE level = 0", 100, 612),
        ("edge SET hashes = ?1 WHERE level = 1", "edge WHERE level = 1", 1, 256),
    ] {
        let scene = Scene::new().await;
        let index = judges::database(&scene.data().index());
        let mut hashes: Vec<u8> = index.query_row(&format!("SELECT hashes FROM {at}"), [], |row| row.get(0)).unwrap();
        hashes[hash * 32 + 9] ^= 1;
        index.execute(&format!("UPDATE {table}"), [hashes]).unwrap();
        drop(index);
        scene.verify().is_only("bad_tile", Some(first));
        scene.outsiders_refuse(&format!("hash {hash} is not that of"));
        let dir = scene.publish();
        let verdict = verify(dir.path(), &["--vkey", &scene.vkey]);
        verdict.is_only("bad_tile", Some(first));
    }
}

#[tokio::test]
async fn a_missing_tile_is_found() {
    // 23
    let scene = Scene::new().await;
    judges::database(&scene.data().index()).execute_batch("DELETE FROM tile WHERE level = 0 AND number = 1").unwrap();
    scene.verify().is_damage(&["bad_tile"], Some(256));
    scene.outsiders_refuse("tile/0/001: missing");
    verify(scene.publish().path(), &["--vkey", &scene.vkey]).is_only("bad_tile", Some(256));
}

#[tokio::test]
async fn a_bundle_or_tile_with_more_in_it_than_the_tree_has_is_not_what_was_published() {
    // 23: what is beyond the tree is in no proof, and some reader will take it for part of the log.
    let scene = Scene::new().await;
    for (file, first) in
        [("tile/entries/000", 256), ("tile/entries/002.p/102", 614), ("tile/0/001", 512), ("tile/0/002.p/102", 614)]
    {
        let dir = scene.publish();
        let path = dir.path().join(file);
        let mut bytes = std::fs::read(&path).unwrap();
        let more = if file.contains("entries") { vec![0, 2, b'{', b'}'] } else { vec![0; 32] };
        bytes.extend(more);
        std::fs::write(&path, bytes).unwrap();
        let verdict = verify(dir.path(), &["--vkey", &scene.vkey]);
        assert_eq!(verdict.code, 1, "{file}: {}", verdict.report);
        assert_eq!(verdict.report["first_bad_position"].as_u64(), Some(first), "{file}: {}", verdict.report);
        assert_eq!(judges::python_log(dir.path(), &scene.vkey).0, 1, "{file}");
        judges::whole_log(dir.path(), &scene.vkey).unwrap_err();
    }
}

#[tokio::test]
async fn an_edited_checkpoint_is_not_signed() {
    // 24
    let scene = Scene::new().await;
    let root = scene.note.lines().nth(2).unwrap().to_owned();
    for (what, note) in [
        ("size", scene.note.replace("\n614\n", "\n613\n")),
        (
            "root",
            scene.note.replace(&root, &root.replacen(&root[..1], if root.starts_with('A') { "B" } else { "A" }, 1)),
        ),
        ("origin", scene.note.replacen("ledger.example/test", "ledger.example/prod", 1)),
        ("signer", scene.note.replace("\u{2014} ledger.example/test", "\u{2014} ledger.example/prod")),
    ] {
        judges::checkpoint(note.as_bytes(), &scene.vkey).unwrap_err();
        let dir = scene.publish();
        judges::put(dir.path(), "checkpoint", note.as_bytes());
        let verdict = verify(dir.path(), &["--vkey", &scene.vkey]);
        assert!(verdict.kinds().contains("bad_signature"), "{what}: {}", verdict.report);
        assert_eq!((verdict.code, judges::python_log(dir.path(), &scene.vkey).0), (1, 1), "{what}");
        for size in [SIZE, A_COMMIT] {
            let scene = Scene::new().await;
            judges::database(&scene.data().ledger())
                .execute(&format!("UPDATE checkpoint SET note = ?1 WHERE size = {size}"), [&note])
                .unwrap();
            let verdict = scene.verify();
            assert!(verdict.code == 1 && verdict.kinds().contains("bad_signature"), "{what}: {}", verdict.report);
        }
    }
    // A proper checkpoint of another size in its place says so.
    judges::database(&scene.data().ledger())
        .execute(&format!("UPDATE checkpoint SET note = ?1 WHERE size = {SIZE}"), [&scene.earlier])
        .unwrap();
    scene.verify().is_damage(&["bad_size"], None);
}

#[tokio::test]
async fn the_log_of_another_is_not_taken_for_this_one() {
    // 25: other name, and the same name with another key.
    let scene = Scene::new().await;
    let dir = scene.publish();
    for other in [
        SigningKey::from_seed("ledger.example/prod", [1; 32]).unwrap(),
        SigningKey::from_seed("ledger.example/test", [1; 32]).unwrap(),
    ] {
        let other = other.verifier_key().to_string();
        judges::checkpoint(scene.note.as_bytes(), &other).unwrap_err();
        verify(dir.path(), &["--vkey", &other]).is_only("bad_signature", None);
        assert_eq!(judges::python_log(dir.path(), &other).0, 1);
        let verdict = verify(scene.data().root(), &["--vkey", &other]);
        verdict.is_damage(&["bad_signature", "bad_birth"], Some(0));
        let policy = doubleentry::transparency::Policy::log_only(other.parse().unwrap());
        let signed = doubleentry::transparency::SignedCheckpoint::parse(scene.note.as_bytes()).unwrap();
        policy.verify(&signed).unwrap_err();
        doubleentry::transparency::Policy::log_only(scene.vkey.parse().unwrap()).verify(&signed).unwrap();
    }
}

#[test]
fn a_log_whose_first_event_names_another_key_is_found() {
    // 25: the key of a log is in its first event for ever.
    let mut forged = leaves(3, |_, _| {});
    let other = SigningKey::from_seed("forged.example/log", [4; 32]).unwrap().verifier_key().to_string();
    let mut first = forged[0].to_vec();
    replaced(&mut first, &key().verifier_key().to_string(), &other);
    forged[0] = first.into();
    let report = judge(forge(&forged).path(), &key().verifier_key());
    assert_eq!((kinds(&report), report.first_bad_position), (vec!["BadBirth".to_owned()], Some(0)));
}

#[test]
fn an_event_that_says_that_it_is_elsewhere_is_found_though_it_is_signed_for() {
    let forged = leaves(6, |n, leaf| {
        if n == 4 {
            replaced(leaf, "\"position\":\"4\"", "\"position\":\"3\"");
        }
    });
    let dir = forge(&forged);
    let vkey = key().verifier_key();
    let report = judge(dir.path(), &vkey);
    assert!(kinds(&report).contains(&"BadEnvelope".to_owned()), "{report:?}");
    assert_eq!(report.first_bad_position, Some(4));
    // So is its receipt.
    let hashes: Vec<_> = forged.iter().map(|leaf| leaf_hash(leaf)).collect();
    let node = |from: usize, to: usize| plimsoll::ledger::tree::subtree_root(&hashes[from..to]);
    let note = std::fs::read_to_string(dir.path().join("checkpoint")).unwrap();
    for (index, path) in [(4, vec![hashes[5], hashes[6], node(0, 4)]), (5, vec![hashes[4], hashes[6], node(0, 4)])] {
        let lines: String = path.iter().map(|hash| format!("{hash}\n")).collect();
        let leaf = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &forged[index]);
        let text = format!("c2sp.org/tlog-proof@v1\nextra {leaf}\nindex {index}\n{lines}\n{note}");
        let file = dir.path().join("event.tlog-proof");
        std::fs::write(&file, &text).unwrap();
        let (code, said) = judges::python(&["--vkey", &vkey.to_string(), "--receipt", file.to_str().unwrap()]);
        assert_eq!(code, i32::from(index == 4), "{said}");
        let ours = plimsoll::ledger::Receipt::parse(&text).unwrap().verify(&vkey);
        assert_eq!(ours.is_err(), index == 4, "{ours:?}");
    }
}

#[test]
fn a_commitment_to_heads_that_does_not_hold_is_found_in_a_published_log() {
    // 20: the verifier of tiles holds heads and chain to the same tree.
    for lie in [false, true] {
        let mut forged = leaves(5, |_, _| {});
        let at = FixedClock::new().now();
        let mut list = String::new();
        for (stream, seq, position) in [("ledger", 0, 0), ("repo/example.com/app", 4, 5)] {
            list.push_str(&plimsoll::ledger::heads_line(stream, seq, &stream_link(&forged[position])));
        }
        if lie {
            list = list.replace(" 4 ", " 3 ");
        }
        let (blake3, sha256) = list_digests(list.as_bytes());
        let heads = HeadsCommitted { as_of: Position(6), blake3, sha256, streams: U64(2) };
        let draft =
            Draft::new(heads, "ledger".parse().unwrap(), "plimsoll".parse().unwrap(), "heads:6".parse().unwrap(), at);
        let prev = stream_link(&forged[0]);
        forged.push(Prepared::new(&draft).unwrap().leaf(EventId::new(at, Position(6), 0), at, 1, Some(&prev)));
        let report = judge(forge(&forged).path(), &key().verifier_key());
        let expected = if lie { (vec!["BadHeads".to_owned()], Some(6)) } else { (vec![], None) };
        assert_eq!((kinds(&report), report.first_bad_position), expected, "{report:?}");
    }
}

#[test]
fn json_that_parsers_disagree_on_is_refused_at_the_door_and_found_in_a_log() {
    // 28: in the log of somebody who signs whatever he is given.
    for (from, to) in [
        ("\"v\":1", "\"v\":1,\"v\":1"),
        ("\"tag\":\"v1\"", "\"tag\":\"v1\",\"tag\":\"v2\""),
        ("\"tag\":\"v1\"", "\"tag\":\"\\u0076\\u0031\""),
        ("\"v\":1", "\"v\":1.0"),
        ("\"v\":1", "\"v\":1e0"),
        ("\"v\":1", "\"v\": 1"),
        ("\"tag\":\"v1\"", "\"tag\":\"v1\",\"n\":9007199254740993"),
        ("\"tag\":\"v1\"", "\"tag\":\"v1\",\"u\":null"),
    ] {
        let dir = forge(&leaves(3, |n, leaf| {
            if n == 2 {
                replaced(leaf, from, to);
            }
        }));
        let report = judge(dir.path(), &key().verifier_key());
        assert!(kinds(&report).contains(&"NotCanonical".to_owned()), "{to}: {report:?}");
        assert_eq!(report.first_bad_position, Some(2), "{to}");
        let (code, said) = judges::python_log(dir.path(), &key().verifier_key().to_string());
        assert!(code == 1 && said.contains("entry 2: "), "{to}: {said}");
    }
    for data in
        [r#"{"before":"0","tag":"a","tag":"b"}"#, r#"{"before":"0","tag":1.0}"#, r#"{"before":null,"tag":null}"#]
    {
        let raw = format!(
            r#"{{"type":"tag.deleted","stream":"repo/a/b","source":"s","dedup":"d","occurred_at":"2026-01-01T00:00:00Z","data":{data}}}"#
        );
        let checked = plimsoll::app::RawDraft::from_json(raw.as_bytes()).and_then(|raw| raw.check());
        assert!(checked.is_err(), "{data}");
    }
}

#[tokio::test]
async fn a_byte_changed_in_any_published_file_is_found() {
    // 1, 23, 24: nothing that is published is without meaning.
    let scene = Scene::new().await;
    let dir = scene.publish();
    let key: VerifierKey = scene.vkey.parse().unwrap();
    assert!(judge(dir.path(), &key).ok);
    let mut dirs = vec![dir.path().to_owned()];
    let mut n_files = 0;
    while let Some(at) = dirs.pop() {
        for entry in std::fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            n_files += 1;
            let whole = std::fs::read(&path).unwrap();
            for at in (0..whole.len()).step_by(whole.len() / 12 + 1).chain([1, whole.len() - 1]) {
                for bytes in [
                    whole.iter().enumerate().map(|(n, byte)| byte ^ u8::from(n == at)).collect::<Vec<u8>>(),
                    whole[..at].to_vec(),
                    [&whole[..at], &[0], &whole[at..]].concat(),
                ] {
                    std::fs::write(&path, bytes).unwrap();
                    assert!(!judge(dir.path(), &key).ok, "{}, byte {at}", path.display());
                }
            }
            assert_eq!(judges::python_log(dir.path(), &scene.vkey).0, 1, "{}", path.display());
            judges::whole_log(dir.path(), &scene.vkey).unwrap_err();
            std::fs::write(&path, whole).unwrap();
        }
    }
    assert_eq!(n_files, 8, "checkpoint, 3 bundles, 3 + 1 tiles");
    assert!(judge(dir.path(), &key).ok);
}
