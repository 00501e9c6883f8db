//! Every attack on a ledger that is thought of, by number, and who notices.
//!
//! "verify" is ours, through the real binary: exit code 1, the kind of damage, the first bad position. "tiles" are
//! `tlog_tiles` with `ct-merkle`, and `tools/verify_log.py`, on what a server with that data directory would publish. "notes" are
//! `signed_note` and `doubleentry`; "proofs" are `tlog_tiles` and `ct-merkle`; "witness" is `doubleentry`'s.
//!
//! | # | attack | test | judges |
//! |---|---|---|---|
//! | | (none) | `an_untouched_ledger_satisfies_every_judge` | verify, tiles, notes |
//! | 1 | bit flip in an event | `rows::a_flipped_bit_*` | verify, tiles |
//! | 2 | flip with its stored hashes updated | `rows::a_changed_event_whose_hashes_*` | verify, tiles |
//! | 3 | event deleted in the middle | `rows::a_deleted_event_is_missed` | verify, tiles |
//! | 4 | two events swapped | `rows::two_swapped_events_are_named` | verify, tiles |
//! | 5 | event inserted | `rows::an_inserted_event_*` | verify, tiles |
//! | 6 | tail cut, checkpoint kept | `rows::a_cut_tail_is_missed_by_its_checkpoint` | verify, tiles |
//! | 7 | tail cut, smaller checkpoint signed with the real key | `rollback::a_tail_cut_and_signed_again_*` | guard, `--old`, witness (409, 400) |
//! | 8 | old copy of the database | `rollback::an_old_copy_of_the_database_*` | guard (start refused, nothing written), verify |
//! | 9 | old copy of database and guard | `rollback::an_old_copy_of_database_and_guard_*` | not local: `--old`, script's `--old`, witness (409) |
//! | 10 | fork: rolled back, then grown | `rollback::a_fork_*` | not local: `--old`, proofs, witness (422) |
//! | 11 | fork shown to two auditors | `rollback::two_auditors_*` | not local: both notes by notes, witness (422) |
//! | 12 | same size, other root | `rollback::another_root_of_the_same_size_*` | not local: `--old`, witness (422) |
//! | 13 | history rewritten from the first event with the key | `rollback::a_history_rewritten_*` | not local: `--old`, proofs, witness (422) |
//! | 14 | events appended properly with the stolen key | `rollback::events_appended_with_a_stolen_key_*` | nobody; the test shows that, and what the event says of its source |
//! | 15 | blob replaced | `beside::a_replaced_blob_*` | verify |
//! | 16 | blob deleted | `beside::a_deleted_blob_*` | verify; after `evidence.erased` it is no damage |
//! | 17 | blob and the event's digests replaced | `beside::a_replaced_blob_with_its_event_*` | verify, tiles |
//! | 18 | event withheld from an export | `exports::an_event_withheld_*` | anyone, by `seq` and `prev` |
//! | 19 | newest events withheld | `exports::the_newest_events_withheld_*` | anyone, by `heads.committed` |
//! | 20 | whole stream hidden | `exports::a_hidden_stream_*` | anyone, by `heads.committed` |
//! | 21 | clock set back | `published::an_event_dated_back_*`; order by index, not clock | verify, script |
//! | 22 | clock far ahead | `published::a_clock_far_ahead_*` | verify |
//! | 23 | tile edited or missing, events intact | `published::an_edited_tile_*`, `published::a_missing_tile_*` | verify, tiles |
//! | 24 | checkpoint edited | `published::an_edited_checkpoint_*` | verify, script, notes |
//! | 25 | checkpoint of another log | `published::the_log_of_another_*` | verify, script, notes, `doubleentry`'s policy |
//! | 26 | old proof shown as the present state | `exports::an_old_receipt_*` | the receipt says of which size it is; the witness knows a larger one |
//! | 27 | derived data altered | `rows::an_altered_index_is_told_from_a_damaged_log` | verify; deleting `index.db` mends it |
//! | 28 | JSON on which parsers disagree | `published::json_that_parsers_disagree_on_*` | refused at the door; verify, script |
//! | 29 | deployment outside the ledger | not in a log's reach: `reconcile.completed` is where it shows | |
//! | 30 | witness outage | there is no witness timer yet; `exports::an_old_receipt_*` shows how freshness is judged | |

// Tells clippy that the helpers are tests, too.
#![cfg(test)]

mod beside;
mod exports;
mod published;
mod rollback;
mod rows;

use std::collections::BTreeSet;
use std::path::Path;

use plimsoll::event::Draft;
use plimsoll::ledger::{DataDir, Ledger};
use serde_json::Value;

use crate::judges;
use crate::support::{House, commit_draft, draft};

/// An event whose stream goes on after it, in a full tile.
const AN_EVENT: u64 = 200;
/// An event that names people and a private text.
const A_COMMIT: u64 = 301;
/// An event that names a blob.
const A_BUILD: u64 = 311;
/// The first commitment to heads.
const HEADS: u64 = 312;
/// The last event but one, and the last of its stream.
const LAST: u64 = 612;
/// How many events there are; the last is the second commitment to heads.
const SIZE: u64 = 614;
const BLOB: &[u8] = b"{\"bomFormat\":\"CycloneDX\",\"components\":[\"requests\"]}";

/// A closed ledger, ready to be tampered with.
struct Scene {
    house: House,
    vkey: String,
    /// The newest checkpoint.
    note: String,
    /// The checkpoint of the first 301 events.
    earlier: String,
}

/// The `n`th small event.
fn small(n: u64) -> Draft {
    draft(&format!("repo/example.com/s{}", n % 7), n)
}

impl Scene {
    async fn new() -> Self {
        let house = House::new();
        let ledger = house.open().await;
        ledger.append((1..A_COMMIT).map(small).collect()).await.unwrap();
        let earlier = ledger.head().checkpoint.to_string();
        ledger
            .append((0..10).map(|n| commit_draft(n, "Jane <j@example.com>", "a private word")).collect())
            .await
            .unwrap();
        let mut build = small(A_BUILD);
        build.evidence.push(ledger.evidence().put("application/json".parse().unwrap(), BLOB).await.unwrap());
        assert_eq!(ledger.append(vec![build]).await.unwrap().placed[0].position.0, A_BUILD);
        assert_eq!(ledger.commit_heads().await.unwrap().unwrap().0, HEADS);
        ledger.append((HEADS + 1..=LAST).map(small).collect()).await.unwrap();
        ledger.commit_heads().await.unwrap().unwrap();
        let (vkey, head) = (ledger.key().to_string(), ledger.head());
        assert_eq!(head.size, SIZE);
        Self { house, vkey, note: head.checkpoint.to_string(), earlier }
    }

    fn data(&self) -> DataDir {
        self.house.data()
    }

    async fn open(&self) -> Ledger {
        self.house.open().await
    }

    /// Runs SQL on the log.
    fn sql(&self, script: &str) {
        judges::database(&self.data().ledger()).execute_batch(script).unwrap();
    }

    fn verify(&self) -> Verdict {
        verify(self.data().root(), &[])
    }

    fn verify_since(&self, old: &str) -> Verdict {
        let file = self.house.dir.path().join("old-checkpoint");
        std::fs::write(&file, old).unwrap();
        verify(self.data().root(), &["--old", file.to_str().unwrap()])
    }

    /// What this data directory would publish.
    fn publish(&self) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        judges::publish(&self.data(), dir.path());
        dir
    }

    /// Holds that both foreign judges of a whole log refuse it, the script with these words.
    fn outsiders_refuse(&self, words: &str) {
        let dir = self.publish();
        judges::whole_log(dir.path(), &self.vkey).unwrap_err();
        let (code, said) = judges::python_log(dir.path(), &self.vkey);
        assert!(code == 1 && said.contains(words), "{code}: {said}");
    }

    /// Holds that nobody who looks at this log alone can see anything wrong with it.
    fn looks_fine(&self) {
        let verdict = self.verify();
        assert_eq!(verdict.code, 0, "{}", verdict.report);
        let dir = self.publish();
        judges::whole_log(dir.path(), &self.vkey).unwrap();
        let (code, said) = judges::python_log(dir.path(), &self.vkey);
        assert_eq!(code, 0, "{said}");
    }
}

/// What `plimsoll verify --json` says.
struct Verdict {
    code: i32,
    report: Value,
}

impl Verdict {
    fn kinds(&self) -> BTreeSet<&str> {
        let findings = self.report["findings"].as_array().unwrap();
        findings.iter().map(|finding| finding["damage"].as_str().unwrap()).collect()
    }

    /// Holds the verdict to be damage, with at least these kinds, from this position on.
    fn is_damage(&self, kinds: &[&str], first: Option<u64>) {
        assert_eq!((self.code, &self.report["ok"]), (1, &Value::Bool(false)), "{}", self.report);
        let found = self.kinds();
        for kind in kinds {
            assert!(found.contains(kind), "no {kind}: {}", self.report);
        }
        assert_eq!(self.report["first_bad_position"].as_u64(), first, "{}", self.report);
    }

    /// Holds that nothing else is wrong.
    fn is_only(&self, kind: &str, first: Option<u64>) {
        self.is_damage(&[kind], first);
        assert_eq!(self.kinds().len(), 1, "{}", self.report);
    }
}

/// Runs the real binary.
fn verify(path: &Path, more: &[&str]) -> Verdict {
    let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.args(["verify", "--json"]).arg(path).args(more).timeout(std::time::Duration::from_secs(60));
    let done = command.output().unwrap();
    let report = serde_json::from_slice(&done.stdout).unwrap_or_else(|error| panic!("{error}: {done:?}"));
    Verdict { code: done.status.code().unwrap(), report }
}

#[tokio::test]
async fn an_untouched_ledger_satisfies_every_judge() {
    let scene = Scene::new().await;
    scene.looks_fine();
    let report = scene.verify().report;
    for (what, n) in
        [("events", SIZE), ("streams", 9), ("evidence", 3), ("private_values", 11), ("tiles", 4), ("erased", 0)]
    {
        assert_eq!(report[what].as_u64(), Some(n), "{what}: {report}");
    }
    let (size, root) = judges::checkpoint(scene.note.as_bytes(), &scene.vkey).unwrap();
    assert_eq!(size, SIZE);
    assert_eq!(report["root"], plimsoll::ledger::tree::Hash::from(root).to_string());
    assert_eq!(scene.verify_since(&scene.earlier).code, 0);
    // What is published by the program is what its data directory holds.
    let exported = tempfile::tempdir().unwrap();
    plimsoll::ledger::backup::export_tiles(&scene.open().await, exported.path()).unwrap();
    let dir = scene.publish();
    let entries = judges::whole_log(dir.path(), &scene.vkey).unwrap();
    assert_eq!(judges::whole_log(exported.path(), &scene.vkey).unwrap(), entries);
    assert_eq!(entries.len() as u64, SIZE);
    let key = scene.house.dir.path().join("key");
    std::fs::write(&key, &scene.vkey).unwrap();
    assert_eq!(verify(exported.path(), &["--vkey", key.to_str().unwrap()]).code, 0);
}
