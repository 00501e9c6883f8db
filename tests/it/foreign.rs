//! The log as it is published, judged by code that others wrote: `tlog_tiles`, `signed_note`, `doubleentry`,
//! `ct-merkle`, and the Python script of an outsider.

use std::collections::BTreeSet;
use std::path::Path;

use doubleentry::transparency::{Policy, ProofBundle, SignedCheckpoint, TileId};
use plimsoll::event::Draft;
use plimsoll::ledger::Ledger;
use plimsoll::ledger::backup::export_tiles;
use plimsoll::ledger::tree::{
    Checkpoint, Cosignature, Hash, SignedNote, SigningKey, TilePath, VerifierKey, empty_root,
};

use crate::judges::{self, Witness};
use crate::support::{House, draft};

const ORIGIN: &str = "ledger.example/test";

async fn grow(ledger: &Ledger, size: u64) {
    while ledger.head().size < size {
        let from = ledger.head().size;
        let of = |n: u64| -> Draft { draft(&format!("repo/example.com/{}", n % 5), n) };
        ledger.append((from..size.min(from + 4096)).map(of).collect()).await.unwrap();
    }
}

/// Every file below a directory but the checkpoint.
fn files(root: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                found.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.remove("checkpoint");
    found
}

/// The tiles that a tree of these sizes, one after the other, has published.
fn expected(sizes: &[u64]) -> BTreeSet<String> {
    let hashes = sizes.iter().flat_map(|size| TileId::changed(0, *size)).map(|tile| tile.path());
    hashes.flat_map(|path| [path.replacen("tile/0/", "tile/entries/", 1), path]).collect()
}

/// Holds receipts of sampled events, and the proofs in them, against foreign code.
fn judge_receipts(ledger: &Ledger, positions: &[u64]) {
    let vkey = ledger.key().to_string();
    for &position in positions {
        let receipt = ledger.receipt(position).unwrap();
        let text = receipt.to_string();
        let (size, root) = judges::checkpoint(receipt.proof.checkpoint.as_bytes(), &vkey).unwrap();
        assert_eq!(size, ledger.head().size);
        assert!(judges::included(&receipt.leaf, position, size, &receipt.proof.hashes, root), "{position} of {size}");
        assert!(!judges::included(b"other", position, size, &receipt.proof.hashes, root));
        let theirs = ProofBundle::parse(text.as_bytes()).unwrap();
        assert_eq!((theirs.index(), theirs.extra()), (position, Some(&receipt.leaf[..])));
        assert_eq!(theirs.to_bytes(), text.as_bytes());
        assert_eq!(
            theirs.path().iter().map(|hash| Hash::from(*hash.as_bytes())).collect::<Vec<_>>(),
            receipt.proof.hashes
        );
    }
}

#[tokio::test]
async fn small_logs_of_every_shape_satisfy_every_judge() {
    for size in [1, 2, 255, 256, 257] {
        let house = House::new();
        let ledger = house.open().await;
        grow(&ledger, size).await;
        let (vkey, dir) = (ledger.key().to_string(), tempfile::tempdir().unwrap());
        assert_eq!(export_tiles(&ledger, dir.path()).unwrap(), size);
        let entries = judges::whole_log(dir.path(), &vkey).unwrap();
        assert_eq!(entries.len() as u64, size);
        for (position, entry) in (0..).zip(&entries) {
            assert_eq!(ledger.leaf(position).unwrap(), entry[..], "verbatim");
        }
        assert_eq!(files(dir.path()), expected(&[size]), "{size}");
        let (code, said) = judges::python_log(dir.path(), &vkey);
        assert!(code == 0 && said.contains(&format!("ok: {size} entries")), "{said}");
        judge_receipts(&ledger, &(0..size).step_by(50).chain([size - 1]).collect::<Vec<_>>());
    }
}

#[test]
fn a_log_without_events_satisfies_every_judge() {
    // Ours begin with the event of their creation; the format knows empty ones.
    let key = SigningKey::from_seed(ORIGIN, [5; 32]).unwrap();
    let note = Checkpoint::new(ORIGIN.to_owned(), 0, empty_root()).sign(&key).unwrap().to_string();
    let (vkey, dir) = (key.verifier_key().to_string(), tempfile::tempdir().unwrap());
    judges::put(dir.path(), "checkpoint", note.as_bytes());
    assert!(judges::whole_log(dir.path(), &vkey).unwrap().is_empty());
    assert_eq!(judges::python_log(dir.path(), &vkey).0, 0);
    assert!(expected(&[0]).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_of_70_000_events_satisfies_every_judge_as_it_grows() {
    let house = House::new();
    let ledger = house.open().await;
    let (vkey, dir) = (ledger.key().to_string(), tempfile::tempdir().unwrap());
    let mut witness = Witness::new(&vkey);
    let mut before: Vec<(u64, [u8; 32])> = Vec::new();
    for size in [257, 65_536, 70_000] {
        grow(&ledger, size).await;
        let note = ledger.head().checkpoint.to_string();
        let head = judges::checkpoint(note.as_bytes(), &vkey).unwrap();
        assert_eq!(head.0, size);
        // From each earlier size, and from sizes that nobody was shown.
        for old in &before {
            let proof = ledger.consistency_proof(old.0, size).unwrap();
            assert!(judges::consistent(*old, head, &proof), "{} to {size}", old.0);
            assert!(!judges::consistent((old.0, [0; 32]), head, &proof));
        }
        let last = before.last().map_or(0, |old| old.0);
        let proof = ledger.consistency_proof(last, size).unwrap();
        assert_eq!(witness.add(last, &proof, &note).0, 200);
        before.push(head);
        if size > 257 {
            export_tiles(&ledger, dir.path()).unwrap();
            judge_receipts(&ledger, &[0, 1, 255, 256, 257, 32_767, 65_279, 65_535, size - 1]);
        }
    }
    assert_eq!(files(dir.path()), expected(&[65_536, 70_000]));
    assert_eq!(judges::whole_log(dir.path(), &vkey).unwrap().len(), 70_000);
    let (code, said) = judges::python_log(dir.path(), &vkey);
    assert!(code == 0 && said.contains("ok: 70000 entries"), "{said}");
    for file in files(dir.path()) {
        let path: TilePath = file.parse().unwrap();
        assert_eq!(ledger.tile(&path).unwrap(), std::fs::read(dir.path().join(&file)).unwrap(), "{file}");
    }
    for beyond in
        ["tile/0/273.p/113", "tile/0/274", "tile/1/002.p/1", "tile/2/000.p/2", "tile/3/000.p/1", "tile/entries/273"]
    {
        assert!(ledger.tile(&beyond.parse().unwrap()).is_err(), "{beyond}");
    }
    let receipt = house.dir.path().join("event.tlog-proof");
    for position in [0, 65_536, 69_999] {
        std::fs::write(&receipt, ledger.receipt(position).unwrap().to_string()).unwrap();
        let (code, said) = judges::python(&["--vkey", &vkey, "--receipt", receipt.to_str().unwrap()]);
        assert!(code == 0 && said.contains(&format!("ok: entry {position} of 70000")), "{said}");
    }
}

#[tokio::test]
async fn a_witness_of_others_cosigns_and_a_policy_of_others_counts_it() {
    let house = House::new();
    let ledger = house.open().await;
    grow(&ledger, 300).await;
    let (vkey, note) = (ledger.key().to_string(), ledger.head().checkpoint.to_string());
    let mut witness = Witness::new(&vkey);
    let policy = format!("log {vkey}\nwitness w1 {}\nquorum w1\n", witness.vkey());
    let policy = Policy::parse(&policy).unwrap();
    let parse = |note: &str| SignedCheckpoint::parse(note.as_bytes()).unwrap();
    policy.verify(&parse(&note)).unwrap_err();
    let (status, line) = witness.add(0, &[], &note);
    assert_eq!(status, 200);
    let cosigned = format!("{note}{line}");
    assert_eq!(policy.verify(&parse(&cosigned)).unwrap().log.as_str(), ORIGIN);
    // We read it as well, and it stays the same note.
    let ours = SignedNote::parse(cosigned.as_bytes()).unwrap();
    let key: VerifierKey = witness.vkey().parse().unwrap();
    assert_eq!(ours.verify_cosignature(&key), Ok(Cosignature { time: 1 }));
    ours.verify(ledger.key()).unwrap();
    assert_eq!(ours.to_string(), cosigned);
    // A cosignature of ours counts there, too.
    let mine = SigningKey::from_seed("witness.example/mine", [4; 32]).unwrap();
    let mut twice = ours.clone();
    mine.cosign(&mut twice, 1_771_605_822);
    let policy = format!(
        "log {vkey}\nwitness w1 {}\nwitness w2 {}\ngroup both all w1 w2\nquorum both\n",
        witness.vkey(),
        mine.cosigner_key()
    );
    let policy = Policy::parse(&policy).unwrap();
    policy.verify(&parse(&cosigned)).unwrap_err();
    assert_eq!(policy.verify(&parse(&twice.to_string())).unwrap().witnesses.len(), 2);
}
