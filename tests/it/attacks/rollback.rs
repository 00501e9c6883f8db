//! Attacks with which a log contradicts what it said before. A log that looks only at itself cannot see most of them:
//! the tests show that, too, and then who can.

use plimsoll::ledger::tree::{Checkpoint, Frontier, Hash, SigningKey, leaf_hash};
use plimsoll::ledger::{Creation, Error};

use super::*;

/// The log's name.
const ORIGIN: &str = "ledger.example/test";

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The key that was stolen.
fn key(scene: &Scene) -> SigningKey {
    SigningKey::parse(std::fs::read_to_string(scene.data().signing_key()).unwrap().trim()).unwrap()
}

/// Cuts the log to `size` events and signs that, as someone with the key can. The index is derived anew.
fn cut_and_sign(scene: &Scene, size: u64) {
    scene.sql(&format!("DELETE FROM event WHERE position >= {size}; DELETE FROM checkpoint WHERE size >= {size}"));
    let ledger = judges::database(&scene.data().ledger());
    let mut tree = Frontier::new();
    let mut statement = ledger.prepare("SELECT leaf FROM event ORDER BY position").unwrap();
    let mut rows = statement.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        tree.push(leaf_hash(&row.get::<_, Vec<u8>>(0).unwrap()));
    }
    let note = Checkpoint::new(ORIGIN.to_owned(), tree.size(), tree.root()).sign(&key(scene)).unwrap().to_string();
    ledger.execute(&format!("INSERT INTO checkpoint VALUES ({size}, ?1)"), [note]).unwrap();
    std::fs::remove_file(scene.data().index()).unwrap();
}

/// A copy of the scene as it was before its last 300 events, and the checkpoint of that.
async fn grow(scene: &Scene) -> (tempfile::TempDir, String, String) {
    let old = tempfile::tempdir().unwrap();
    copy(scene.data().root(), old.path());
    let ledger = scene.open().await;
    let before = ledger.head().checkpoint.to_string();
    ledger.append((10_000..10_300).map(small).collect()).await.unwrap();
    (old, before, ledger.head().checkpoint.to_string())
}

fn put_back(scene: &Scene, old: &Path, with_guard: bool) {
    let guard = std::fs::read(scene.data().guard()).unwrap();
    std::fs::remove_dir_all(scene.data().root()).unwrap();
    copy(old, scene.data().root());
    if !with_guard {
        std::fs::write(scene.data().guard(), guard).unwrap();
    }
}

/// Everything that a start could have written.
fn state(scene: &Scene) -> Vec<Vec<u8>> {
    let ledger = judges::database(&scene.data().ledger());
    let dump = "SELECT (SELECT group_concat(hex(leaf)) FROM event) || (SELECT group_concat(note) FROM checkpoint)";
    let rows: String = ledger.query_row(dump, [], |row| row.get(0)).unwrap();
    let read = |path: std::path::PathBuf| std::fs::read(path).unwrap();
    vec![rows.into(), read(scene.data().guard()), read(scene.data().signing_key()), read(scene.data().verifier_key())]
}

fn scripts_old(scene: &Scene, old: &str) -> (i32, String) {
    let file = scene.house.dir.path().join("remembered");
    std::fs::write(&file, old).unwrap();
    let dir = scene.publish();
    judges::python(&["--vkey", &scene.vkey, "--old", file.to_str().unwrap(), dir.path().to_str().unwrap()])
}

/// The head of a note that foreign code accepts.
fn head(note: &str, vkey: &str) -> (u64, [u8; 32]) {
    judges::checkpoint(note.as_bytes(), vkey).unwrap()
}

#[tokio::test]
async fn a_tail_cut_and_signed_again_is_known_to_the_guard_and_to_everyone_who_remembers() {
    // 7
    let scene = Scene::new().await;
    let mut witness = judges::Witness::new(&scene.vkey);
    assert_eq!(witness.add(0, &[], &scene.note).0, 200);
    cut_and_sign(&scene, 600);
    scene.verify().is_only("rolled_back", Some(600));
    let before = state(&scene);
    let error = crate::support::opened(scene.house.options()).await.err().unwrap();
    assert!(matches!(error, Error::RolledBack { database: 600, known: SIZE, .. }), "{error}");
    assert_eq!(state(&scene), before, "nothing is written before somebody says so");
    // Without the guard the log agrees with itself: only memory helps.
    std::fs::remove_file(scene.data().guard()).unwrap();
    drop(scene.open().await);
    scene.looks_fine();
    scene.verify_since(&scene.note).is_only("rolled_back", Some(600));
    let (code, said) = scripts_old(&scene, &scene.note);
    assert!(code == 1 && said.contains("the log was rolled back: it has 600 entries, and had 614"), "{said}");
    let note = scene.open().await.head().checkpoint.to_string();
    assert_eq!(witness.add(600, &[], &note), (409, format!("{SIZE}\n")), "it has seen a larger tree");
    assert_eq!(witness.add(SIZE, &[], &note).0, 400, "nor can it be told that it is at the larger one");
}

#[tokio::test]
async fn an_old_copy_of_the_database_is_refused_before_anything_is_written() {
    // 8
    let scene = Scene::new().await;
    let (old, _, after) = grow(&scene).await;
    put_back(&scene, old.path(), false);
    let before = state(&scene);
    let error = crate::support::opened(scene.house.options()).await.err().unwrap();
    assert!(matches!(error, Error::RolledBack { database: SIZE, .. }), "{error}");
    assert_eq!(state(&scene), before);
    scene.verify().is_only("rolled_back", Some(SIZE));
    scene.verify_since(&after).is_damage(&["rolled_back"], Some(SIZE));
}

#[tokio::test]
async fn an_old_copy_of_database_and_guard_is_known_only_to_those_who_remember() {
    // 9
    let scene = Scene::new().await;
    let (old, before, after) = grow(&scene).await;
    let mut witness = judges::Witness::new(&scene.vkey);
    assert_eq!(witness.add(0, &[], &after).0, 200);
    put_back(&scene, old.path(), true);
    drop(scene.open().await);
    scene.looks_fine();
    scene.verify_since(&after).is_only("rolled_back", Some(SIZE));
    let (code, said) = scripts_old(&scene, &after);
    assert!(code == 1 && said.contains("the log was rolled back"), "{said}");
    assert_eq!(witness.add(SIZE, &[], &before), (409, "914\n".to_owned()));
}

#[tokio::test]
async fn a_fork_that_grows_past_the_old_size_does_not_extend_what_was_signed() {
    // 10
    let scene = Scene::new().await;
    let (old, _, after) = grow(&scene).await;
    let mut witness = judges::Witness::new(&scene.vkey);
    assert_eq!(witness.add(0, &[], &after).0, 200);
    put_back(&scene, old.path(), true);
    let ledger = scene.open().await;
    ledger.append((20_000..20_900).map(small).collect()).await.unwrap();
    let forked = ledger.head();
    let proof = ledger.consistency_proof(914, forked.size).unwrap();
    drop(ledger);
    scene.looks_fine();
    let verdict = scene.verify_since(&after);
    verdict.is_damage(&["rolled_back"], verdict.report["first_bad_position"].as_u64());
    let (code, said) = scripts_old(&scene, &after);
    assert!(code == 1 && said.contains("history was rewritten: entries 0 to 913"), "{said}");
    let (was, is) = (head(&after, &scene.vkey), head(&forked.checkpoint, &scene.vkey));
    assert!(!judges::consistent(was, is, &proof));
    assert_eq!(witness.add(914, &proof, &forked.checkpoint).0, 422);
    assert_eq!(witness.size(ORIGIN), 914);
}

#[tokio::test]
async fn two_auditors_with_two_forks_hold_the_evidence_in_their_hands() {
    // 11: same size, both signed by the log. The two notes are all that is needed to prove it to a third.
    let scene = Scene::new().await;
    let (old, _, one) = grow(&scene).await;
    put_back(&scene, old.path(), true);
    let ledger = scene.open().await;
    ledger.append((20_000..20_300).map(small).collect()).await.unwrap();
    let other = ledger.head().checkpoint.to_string();
    let (a, b) = (head(&one, &scene.vkey), head(&other, &scene.vkey));
    assert_eq!(a.0, b.0);
    assert_ne!(a.1, b.1, "the log signed two roots for one size");
    let mut witness = judges::Witness::new(&scene.vkey);
    assert_eq!(witness.add(0, &[], &one).0, 200);
    assert_eq!(witness.add(a.0, &[], &other).0, 422);
}

#[tokio::test]
async fn another_root_of_the_same_size_under_a_valid_signature_is_known_to_who_remembers() {
    // 12
    let scene = Scene::new().await;
    let mut witness = judges::Witness::new(&scene.vkey);
    assert_eq!(witness.add(0, &[], &scene.note).0, 200);
    let lie = Checkpoint::new(ORIGIN.to_owned(), SIZE, Hash::from([7; 32])).sign(&key(&scene)).unwrap().to_string();
    assert_eq!(witness.add(SIZE, &[], &lie).0, 422);
    scene.verify_since(&lie).is_only("rolled_back", None);
    // In the log itself it is found at once: the events have the other root.
    judges::database(&scene.data().ledger())
        .execute(&format!("UPDATE checkpoint SET note = ?1 WHERE size = {SIZE}"), [lie])
        .unwrap();
    scene.verify().is_damage(&["bad_root"], Some(LAST + 1));
    scene.outsiders_refuse("and the checkpoint has");
    assert!(crate::support::opened(scene.house.options()).await.is_err());
}

#[tokio::test]
async fn a_history_rewritten_from_its_first_event_with_the_stolen_key_is_known_to_who_remembers() {
    // 13
    let scene = Scene::new().await;
    let mut witness = judges::Witness::new(&scene.vkey);
    assert_eq!(witness.add(0, &[], &scene.note).0, 200);
    for file in [scene.data().ledger(), scene.data().index(), scene.data().guard()] {
        std::fs::remove_file(file).unwrap();
    }
    let ledger = Ledger::create(scene.house.options(), Creation::default()).await.unwrap();
    assert_eq!(ledger.key().to_string(), scene.vkey, "the key is the old one");
    ledger.append((30_000..30_700).map(small).collect()).await.unwrap();
    let forged = ledger.head();
    let proof = ledger.consistency_proof(SIZE, forged.size).unwrap();
    drop(ledger);
    scene.looks_fine();
    assert_eq!(scene.verify_since(&scene.note).code, 1);
    let (code, said) = scripts_old(&scene, &scene.earlier);
    assert!(code == 1 && said.contains("history was rewritten: entries 0 to 300"), "{said}");
    assert!(!judges::consistent(head(&scene.note, &scene.vkey), head(&forged.checkpoint, &scene.vkey), &proof));
    assert_eq!(witness.add(SIZE, &proof, &forged.checkpoint).0, 422);
}

#[tokio::test]
async fn events_appended_with_a_stolen_key_are_an_extension_like_any_other() {
    // 14: not a matter of trees. What helps is what the event says of its source, and whether reality agrees.
    let scene = Scene::new().await;
    let mut witness = judges::Witness::new(&scene.vkey);
    assert_eq!(witness.add(0, &[], &scene.note).0, 200);
    let ledger = scene.open().await;
    ledger.append(vec![small(40_000)]).await.unwrap();
    let head = ledger.head();
    let proof = ledger.consistency_proof(SIZE, head.size).unwrap();
    assert_eq!(witness.add(SIZE, &proof, &head.checkpoint).0, 200);
    let event = plimsoll::event::Recorded::parse(ledger.leaf(SIZE).unwrap()).unwrap();
    assert_eq!(event.envelope().source.as_str(), "test", "whoever submitted it stands in the event");
    drop(ledger);
    scene.looks_fine();
    assert_eq!(scene.verify_since(&scene.note).code, 0);
}
