//! Attacks on the rows of the log and on what is derived from them.

use plimsoll::ledger::tree::{leaf_hash, tile_root};
use rusqlite::params;

use super::*;

/// Replaces the first `from` in a leaf by `to`, of the same length.
fn replace(leaf: &mut [u8], from: &[u8], to: &[u8]) {
    let at = leaf.windows(from.len()).position(|window| window == from).unwrap();
    leaf[at..at + from.len()].copy_from_slice(to);
}

/// Changes a digit inside the payload, so that the event is as well-formed as before.
fn change(leaf: &mut [u8]) {
    replace(leaf, b"\"before\":\"0", b"\"before\":\"1");
}

#[tokio::test]
async fn a_flipped_bit_in_an_event_is_found_and_the_event_named() {
    // 1: in a full tile, in the last tile, and in the very last event of a stream.
    for position in [1, AN_EVENT, 255, 256, LAST] {
        let scene = Scene::new().await;
        judges::change_leaf(&scene.data(), position, |leaf| change(leaf));
        scene.verify().is_damage(&["bad_tile", "bad_root"], Some(position));
        scene.outsiders_refuse(&format!("entry {position}"));
    }
}

#[tokio::test]
async fn a_flipped_bit_in_the_syntax_of_an_event_is_found_and_the_event_named() {
    // 1
    let scene = Scene::new().await;
    judges::change_leaf(&scene.data(), AN_EVENT, |leaf| leaf[0] ^= 1);
    scene.verify().is_damage(&["not_canonical", "bad_tile", "bad_root"], Some(AN_EVENT));
    scene.outsiders_refuse(&format!("entry {AN_EVENT}: not canonical"));
}

#[tokio::test]
async fn a_flipped_bit_is_found_without_an_index_and_narrowed_down_by_the_checkpoints() {
    // 1: nothing derived is left; the checkpoint of 301 events holds, that of 311 does not.
    let scene = Scene::new().await;
    judges::change_leaf(&scene.data(), A_COMMIT, |leaf| {
        replace(leaf, b"\"author_offset_minutes\":60", b"\"author_offset_minutes\":61");
    });
    std::fs::remove_file(scene.data().index()).unwrap();
    // The stream's next event does not have it as `prev`; without hashes of each, the earlier of the two is named.
    scene.verify().is_damage(&["bad_root", "broken_chain"], Some(A_COMMIT));
}

#[tokio::test]
async fn a_changed_event_whose_hashes_were_changed_with_it_is_found() {
    // 2: its hash in the tile, then also that tile's hash in the tile above.
    for levels in [1, 2] {
        let scene = Scene::new().await;
        judges::change_leaf(&scene.data(), AN_EVENT, |leaf| change(leaf));
        let leaf: Vec<u8> = judges::database(&scene.data().ledger())
            .query_row(&format!("SELECT leaf FROM event WHERE position = {AN_EVENT}"), [], |row| row.get(0))
            .unwrap();
        let index = judges::database(&scene.data().index());
        let mut tile: Vec<u8> =
            index.query_row("SELECT hashes FROM tile WHERE level = 0 AND number = 0", [], |row| row.get(0)).unwrap();
        let at = usize::try_from(AN_EVENT).unwrap() * 32;
        tile[at..at + 32].copy_from_slice(leaf_hash(&leaf).as_bytes());
        index.execute("UPDATE tile SET hashes = ?1 WHERE level = 0 AND number = 0", [&tile]).unwrap();
        if levels == 2 {
            let hashes: Vec<_> = tile.as_chunks::<32>().0.iter().map(|hash| (*hash).into()).collect();
            let mut above: Vec<u8> =
                index.query_row("SELECT hashes FROM edge WHERE level = 1", [], |row| row.get(0)).unwrap();
            above[..32].copy_from_slice(tile_root(&hashes).as_bytes());
            index.execute("UPDATE edge SET hashes = ?1 WHERE level = 1", [&above]).unwrap();
        }
        drop(index);
        let verdict = scene.verify();
        // Where a stored hash still tells, it is that of the first 256 events; else the checkpoint of the first 301 and
        // the stream's next event do.
        let first = if levels == 1 { 0 } else { AN_EVENT + 7 };
        verdict.is_damage(&["bad_root", "broken_chain"], Some(first));
        assert_eq!(verdict.kinds().contains("bad_tile"), levels == 1, "{}", verdict.report);
        assert!(
            verdict.report.to_string().contains(&format!("the event before it, at {AN_EVENT}")),
            "{}",
            verdict.report
        );
        let dir = scene.publish();
        judges::whole_log(dir.path(), &scene.vkey).unwrap_err();
        let (code, said) = judges::python_log(dir.path(), &scene.vkey);
        assert!(code == 1 && said.contains("the root over the 614 entries is"), "{said}");
    }
}

#[tokio::test]
async fn a_deleted_event_is_missed() {
    // 3
    let scene = Scene::new().await;
    scene.sql(&format!("DELETE FROM event WHERE position = {AN_EVENT}"));
    scene.verify().is_damage(&["missing_event", "broken_chain", "bad_tile"], Some(AN_EVENT));
    scene.outsiders_refuse(&format!("entry {AN_EVENT}: position is '{}'", AN_EVENT + 1));
    // The first and the last are missed as well.
    for position in [0, SIZE - 1] {
        let scene = Scene::new().await;
        scene.sql(&format!("DELETE FROM event WHERE position = {position}"));
        let kind = if position == 0 { "missing_event" } else { "bad_size" };
        scene.verify().is_damage(&[kind], Some(position));
    }
}

#[tokio::test]
async fn two_swapped_events_are_named() {
    // 4
    let scene = Scene::new().await;
    let other = AN_EVENT + 10;
    scene.sql(&format!(
        "UPDATE event SET position = -1 WHERE position = {AN_EVENT};
         UPDATE event SET position = {AN_EVENT} WHERE position = {other};
         UPDATE event SET position = {other} WHERE position = -1;"
    ));
    let verdict = scene.verify();
    verdict.is_damage(&["bad_envelope", "bad_tile", "bad_root"], Some(AN_EVENT));
    assert!(verdict.report["findings"].as_array().unwrap().iter().any(|finding| finding["position"] == other));
    scene.outsiders_refuse(&format!("entry {AN_EVENT}: position is '{other}'"));
}

#[tokio::test]
async fn an_inserted_event_is_found_however_well_it_fits() {
    // 5: a copy of the next event, made to say that it belongs there; everything behind it moves up by one.
    let scene = Scene::new().await;
    scene.sql(&format!(
        "UPDATE event SET position = -(position + 1) WHERE position >= {AN_EVENT};
         UPDATE event SET position = -position WHERE position < 0;
         INSERT INTO event
         SELECT {AN_EVENT}, CAST(replace(CAST(leaf AS TEXT), '\"{next}\"', '\"{AN_EVENT}\"') AS BLOB)
         FROM event WHERE position = {next} + 1;",
        next = AN_EVENT + 1
    ));
    scene.verify().is_damage(&["bad_envelope", "bad_size", "bad_root", "bad_tile"], Some(AN_EVENT));
    scene.outsiders_refuse(&format!("entry {}: position is '{AN_EVENT}'", AN_EVENT + 1));
}

#[tokio::test]
async fn an_event_put_far_beyond_the_end_is_found_in_finite_time() {
    // 5: a row that would make a verifier count to 2^62, with a checkpoint to match.
    for checkpoint in [false, true] {
        let scene = Scene::new().await;
        let ledger = judges::database(&scene.data().ledger());
        let far = 1_i64 << 62;
        ledger.execute("INSERT INTO event SELECT ?1, leaf FROM event WHERE position = 1", [far]).unwrap();
        if checkpoint {
            ledger.execute("INSERT INTO checkpoint VALUES (?1, ?2)", params![far + 1, scene.note]).unwrap();
        }
        drop(ledger);
        scene.verify().is_damage(&["missing_event", "bad_size", "bad_envelope"], Some(SIZE));
    }
}

#[tokio::test]
async fn a_cut_tail_is_missed_by_its_checkpoint() {
    // 6
    let scene = Scene::new().await;
    scene.sql("DELETE FROM event WHERE position >= 600");
    scene.verify().is_damage(&["bad_size", "rolled_back"], Some(600));
    let dir = scene.publish();
    judges::whole_log(dir.path(), &scene.vkey).unwrap_err();
    let (code, said) = judges::python_log(dir.path(), &scene.vkey);
    assert!(code == 1 && said.contains("tile/entries/002.p/102: missing"), "{said}");
    let error = crate::support::opened(scene.house.options()).await.err().unwrap();
    assert!(error.to_string().contains("600"), "{error}");
}

#[tokio::test]
async fn an_altered_index_is_told_from_a_damaged_log() {
    // 27: what is derived can be altered without a trace in the log. A wrong head would break the chain of what comes.
    for script in [
        "UPDATE stream SET seq = seq + 1 WHERE name = 'repo/example.com/s3'",
        "UPDATE stream SET hash = zeroblob(32) WHERE name = 'repo/example.com/s3'",
        "DELETE FROM stream WHERE name = 'repo/example.com/s3'",
        "INSERT INTO stream (name, seq, hash) VALUES ('repo/example.com/s9', 0, zeroblob(32))",
        "UPDATE edge SET hashes = zeroblob(length(hashes)) WHERE level = 0",
        "DELETE FROM dedup WHERE position = 77",
        "DELETE FROM stream_event WHERE position = 77",
    ] {
        let scene = Scene::new().await;
        judges::database(&scene.data().index()).execute_batch(script).unwrap();
        let verdict = scene.verify();
        assert_eq!(verdict.code, 1, "{script}: {}", verdict.report);
        assert!(
            verdict.kinds().iter().all(|kind| matches!(*kind, "bad_index" | "bad_tile")),
            "{script}: {}",
            verdict.report
        );
        std::fs::remove_file(scene.data().index()).unwrap();
        assert_eq!(scene.verify().code, 0, "{script}");
    }
}

/// Everything that SQL can see of the log and what stands beside it; but the ids of the latter, which are read from their
/// indexes.
fn dump(path: &Path) -> Option<String> {
    let database = judges::database(path);
    let sql = "SELECT (SELECT group_concat(position || hex(leaf)) FROM event)
                   || (SELECT group_concat(size || note) FROM checkpoint)
                   || (SELECT group_concat(owner || hex(salt) || value) FROM sealed)
                   || (SELECT group_concat(hex(salt) || identity) FROM subject)";
    database.query_row(sql, [], |row| row.get(0)).ok()
}

#[tokio::test]
async fn a_byte_changed_anywhere_in_the_file_is_found_or_was_nobodys() {
    // 1, below SQL: also in what SQLite itself needs to read the rows.
    let scene = Scene::new().await;
    scene.sql("PRAGMA wal_checkpoint(TRUNCATE)");
    let file = scene.data().ledger();
    let (whole, expected) = (std::fs::read(&file).unwrap(), dump(&file).unwrap());
    let slow = std::env::var_os("PLIMSOLL_SLOW").is_some();
    let step = whole.len() / if slow { 2_000 } else { 40 };
    // The header, the roots of the tables, and everywhere.
    let places = [0, 18, 28, 50, 60, 100, 103, 107].into_iter().chain((0..whole.len()).step_by(step).skip(1));
    let mut found = 0;
    for at in places {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x11;
        for suffix in ["-wal", "-shm"] {
            let _none = std::fs::remove_file(scene.data().root().join(format!("ledger.db{suffix}"))).is_err();
        }
        std::fs::write(&file, &bytes).unwrap();
        let verdict = scene.verify();
        match verdict.code {
            0 => assert_eq!(dump(&file).as_ref(), Some(&expected), "byte {at}: nothing was found"),
            1 => {
                assert!(!verdict.kinds().is_empty(), "byte {at}: {}", verdict.report);
                found += 1;
            }
            code => panic!("byte {at}: exit code {code}"),
        }
    }
    assert!(found > 20, "only {found}");
}
