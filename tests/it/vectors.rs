//! Test vectors that others made, against our tree, notes, keys, proofs and tiles. Where they are from stands with them.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use plimsoll::ledger::tree::{
    Checkpoint, Cosignature, Frontier, Hash, SignedNote, SigningKey, TlogProof, VerifierKey, leaf_hash,
    verify_consistency, verify_inclusion,
};
use sha2::{Digest as _, Sha256};

use crate::judges;

const C2SP: &str = include_str!("../vectors/c2sp.txt");

/// The lines that begin with a word, without it.
fn lines(kind: &str) -> Vec<Vec<&'static str>> {
    let words = C2SP.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(' ').collect::<Vec<_>>());
    let found: Vec<_> = words.filter(|words| words[0] == kind).map(|words| words[1..].to_vec()).collect();
    assert!(!found.is_empty(), "no {kind}");
    found
}

fn decode(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap()
}

fn hash(text: &str) -> Hash {
    Hash::from_base64(text).unwrap()
}

fn leaf(n: u64) -> Vec<u8> {
    format!("leaf-{n}").into_bytes()
}

/// Roots by size, as the reference code has them.
fn roots() -> HashMap<u64, Hash> {
    lines("root").into_iter().map(|words| (words[0].parse().unwrap(), hash(words[1]))).collect()
}

#[test]
fn roots_are_those_of_the_reference_code() {
    let roots = roots();
    let mut tree = Frontier::new();
    let mut seen = 0;
    for n in 0..=70_000 {
        if let Some(root) = roots.get(&n) {
            assert_eq!(tree.root(), *root, "{n}");
            seen += 1;
        }
        tree.push(leaf_hash(&leaf(n)));
    }
    assert_eq!(seen, roots.len());
}

#[test]
fn proofs_of_the_reference_code_hold_and_no_other_way() {
    let roots = roots();
    for words in lines("inclusion") {
        let (index, size): (u64, u64) = (words[0].parse().unwrap(), words[1].parse().unwrap());
        let proof: Vec<Hash> = words[2..].iter().map(|text| hash(text)).collect();
        let holds = |leaf: &[u8], index, size: u64| {
            verify_inclusion(&leaf_hash(leaf), index, size, &proof, &roots[&size]).is_ok()
        };
        assert!(holds(&leaf(index), index, size), "{index} in {size}");
        assert!(!holds(&leaf(index + 1), index, size) && !holds(&leaf(index), index + 1, size), "{index} in {size}");
        assert!(judges::included(&leaf(index), index, size, &proof, *roots[&size].as_bytes()));
    }
    for words in lines("consistency") {
        let (old, size): (u64, u64) = (words[0].parse().unwrap(), words[1].parse().unwrap());
        let proof: Vec<Hash> = words[2..].iter().map(|text| hash(text)).collect();
        let Some(old_root) = roots.get(&old) else { continue };
        let holds = |old_root: &Hash| verify_consistency(old, size, old_root, &roots[&size], &proof).is_ok();
        assert!(holds(old_root), "{old} to {size}");
        assert!(!holds(&leaf_hash(b"x")), "{old} to {size}");
    }
}

#[test]
fn keys_are_taken_and_refused_as_by_the_strictest_reader() {
    for words in lines("key") {
        let key = words[1].parse::<VerifierKey>();
        assert_eq!(key.is_ok(), words[2] == "yes", "{}: {key:?}", words[0]);
        if let Ok(key) = key {
            assert_eq!(key.to_string(), words[1]);
        }
    }
}

#[test]
fn checkpoints_are_signed_to_the_byte_as_the_reference_code_signs() {
    let key = SigningKey::from_seed("example.com/ledgers/acme", [7; 32]).unwrap();
    assert_eq!(key.verifier_key().to_string(), lines("log")[0][0]);
    for words in lines("checkpoint") {
        let checkpoint = Checkpoint::new(key.name().to_owned(), words[0].parse().unwrap(), hash(words[1]));
        let note = String::from_utf8(decode(words[2])).unwrap();
        assert_eq!(checkpoint.sign(&key).unwrap().to_string(), note);
        assert_eq!(Checkpoint::verify(note.as_bytes(), &key.verifier_key()), Ok(checkpoint));
    }
}

#[test]
fn notes_are_taken_and_refused_as_by_the_reference_code_or_stricter() {
    let key: VerifierKey = lines("log")[0][0].parse().unwrap();
    for words in lines("note") {
        let note = decode(words[1]);
        let read = Checkpoint::verify(&note, &key);
        assert_eq!(read.is_ok(), words[2] == "yes", "{}: {read:?}", words[0]);
        if words[2] == "yes" {
            assert_eq!(SignedNote::parse(&note).unwrap().to_string().as_bytes(), note, "{}", words[0]);
        }
    }
    let extended = lines("note").into_iter().find(|words| words[0] == "two-extension-lines").unwrap();
    assert_eq!(Checkpoint::verify(&decode(extended[1]), &key).unwrap().extensions, ["ext one", "ext two"]);
}

#[test]
fn proof_files_of_the_reference_code_read_back_and_verify_with_their_cosignature() {
    let key: VerifierKey = lines("log")[0][0].parse().unwrap();
    let witness: VerifierKey = lines("witness")[0][0].parse().unwrap();
    for words in lines("bundle") {
        let text = String::from_utf8(decode(words[1])).unwrap();
        let proof = TlogProof::parse(&text).unwrap();
        assert_eq!(proof.to_string(), text);
        assert_eq!(proof.extra.as_deref(), (words[0] == "index-5-extra").then_some(&b"leaf-5"[..]));
        assert_eq!(proof.verify(b"leaf-5", &key).unwrap().size, 13);
        assert!(proof.verify(b"leaf-4", &key).is_err());
        let note = SignedNote::parse(proof.checkpoint.as_bytes()).unwrap();
        assert_eq!(note.verify_cosignature(&witness), Ok(Cosignature { time: 1_792_108_800 }));
    }
}

#[test]
fn tiles_are_to_the_byte_those_of_the_reference_code() {
    for size in [257, 70_000] {
        let dir = tempfile::tempdir().unwrap();
        let leaves: Vec<Vec<u8>> = (0..size).map(leaf).collect();
        judges::publish_entries(dir.path(), &leaves);
        judges::publish_hashes(dir.path(), &leaves);
        for words in lines("tile").iter().filter(|words| words[0] == size.to_string()) {
            let bytes =
                std::fs::read(dir.path().join(words[1])).unwrap_or_else(|error| panic!("{}: {error}", words[1]));
            assert_eq!(hex::encode(Sha256::digest(bytes)), words[2], "{} of {size}", words[1]);
        }
    }
}

/// The example of C2SP signed-note.
#[test]
fn the_example_of_the_specification_verifies() {
    let note = "This is an example message.\n\n\u{2014} example.com/foo \
                Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
    let key: VerifierKey = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k".parse().unwrap();
    SignedNote::parse(note.as_bytes()).unwrap().verify(&key).unwrap();
    SignedNote::parse(note.replace("This", "That").as_bytes()).unwrap().verify(&key).unwrap_err();
}

/// A log that the reference implementation of tlog-tiles keeps for its tests: 15 entries, the words for 1 to 15.
#[test]
fn the_golden_log_of_the_reference_implementation_has_our_roots() {
    assert_eq!(leaf_hash(b"one"), hash("0Nc2CrefWKseHj/mStd+LqC8B+NrX0btIiPt2SmN+ek="));
    let mut tree = Frontier::new();
    for word in ["one", "two", "three"] {
        tree.push(leaf_hash(word.as_bytes()));
    }
    assert_eq!(tree.root(), hash("Wqx3HImawpLnS/Gv4ubjAvi1WIOy0b8Ze0amvqbavKk="));
    let root = hash("rKbDipCvhuX1GZ7g5BBe8sA6BbJ7ja/1nk427v383cs=");
    let proof = [
        "yiM+eia4w1wsk/Ukx7kF56IQVkDW3MWUaUz/VtJu+yU=",
        "nk9gCR+floFqznAPtqjjcnnV64dge2jQB95D5t164Hg=",
        "zY1lN35vrXYAPixXSd59LsU29xUJtuW4o2dNNg5Y2Co=",
        "5jLpqTgjsBDSEX6SgZiRnbTMdTuRd8bQ5tSsAOxe0Ks=",
    ]
    .map(hash);
    verify_inclusion(&leaf_hash(b"five"), 4, 15, &proof, &root).unwrap();
    assert!(judges::included(b"five", 4, 15, &proof, *root.as_bytes()));
    let key: VerifierKey =
        "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx".parse().unwrap();
    assert_eq!(key.name(), "example.com/log/testdata");
}

/// 70,000 entries `{"i":k}`, made and signed by other code.
#[test]
fn the_big_log_has_the_root_the_tiles_and_the_signature_that_others_found() {
    let leaves: Vec<Vec<u8>> = (0..70_000).map(|k| format!("{{\"i\":{k}}}").into_bytes()).collect();
    let mut tree = Frontier::new();
    leaves.iter().for_each(|leaf| tree.push(leaf_hash(leaf)));
    assert_eq!(tree.root(), hash("RM3ADqGDUEte6WCBjcKYz9F9UPdjy6RHA3G5tU4PYeE="));
    let key = SigningKey::from_seed("ledger.example/prod", [0; 32]).unwrap();
    let vkey = key.verifier_key().to_string();
    assert_eq!(vkey, "ledger.example/prod+e4b26f64+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop");
    let note = Checkpoint::new(key.name().to_owned(), tree.size(), tree.root()).sign(&key).unwrap().to_string();
    assert!(note.ends_with(
        "\u{2014} ledger.example/prod 5LJvZLeOdx5TB0fTHqC3h3gPIpT5ZUNZWRz0N9RLBjKfw1LKGtnzO74vw86DGsFTKFquWQAKdOmDWonRhMiOoM1sSQ0=\n"
    ));
    let dir = tempfile::tempdir().unwrap();
    judges::publish_entries(dir.path(), &leaves);
    judges::publish_hashes(dir.path(), &leaves);
    judges::put(dir.path(), "checkpoint", note.as_bytes());
    assert_eq!(judges::whole_log(dir.path(), &vkey).unwrap(), leaves);
}

#[test]
fn blake3_is_what_b3sum_prints() {
    assert_eq!(
        blake3::hash(b"one").to_hex().as_str(),
        "d33fb48ab5adff269ae172b29a6913ff04f6f266207a7a8e976f2ecd571d4492"
    );
    let empty = blake3::hash(b"").to_hex();
    assert!(empty.starts_with("af1349b9") && empty.ends_with("1f3262"));
}
