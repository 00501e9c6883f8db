//! What must hold of any bytes whatever. Each function panics if it does not.

pub mod sources;

use bytes::Bytes;
use plimsoll::event::{Peek, Recorded, canonical};
use plimsoll::ledger::Receipt;
use plimsoll::ledger::tree::{
    Checkpoint, SignedNote, TilePath, TlogProof, VerifierKey, decode_entry_bundle, encode_entry_bundle,
};

/// The key under which exactly one receipt and one checkpoint were ever signed, as far as these functions know.
const KEY: &str = include_str!("../corpus/log.vkey");
const GENUINE: &str = include_str!("../corpus/receipt/genuine");

fn key() -> VerifierKey {
    KEY.trim().parse().expect("the corpus has a key")
}

fn genuine() -> Receipt {
    Receipt::parse(GENUINE).expect("the corpus has a receipt")
}

/// Parser, writer and scanner agree on what is canonical, and another parser reads the same.
pub fn canonical(data: &[u8]) {
    let parsed = canonical::parse(data);
    let written = parsed.as_ref().ok().map(canonical::to_bytes);
    let canonical = canonical::check(data).is_ok();
    assert_eq!(canonical, written.as_deref() == Some(data), "the scanner and the parser disagree");
    if let (Ok(value), Some(written)) = (&parsed, &written) {
        canonical::check(written).expect("what is written is canonical");
        assert_eq!(canonical::parse(written).as_ref(), Ok(value), "it reads back");
        let theirs: serde_json::Value = serde_json::from_slice(data).expect("it is JSON for others");
        let again: serde_json::Value = serde_json::from_slice(written).expect("it is JSON for others");
        assert_eq!(theirs, again, "others read the same");
    }
}

/// A path is read only in the form in which it is written.
pub fn tile_path(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(path) = text.parse::<TilePath>() {
        assert_eq!(path.to_string(), text);
        assert!((1..=256).contains(&path.width));
    }
}

/// A note is written as it was read, and verifies only if it is the one that was signed.
pub fn note(data: &[u8]) {
    let Ok(note) = SignedNote::parse(data) else { return };
    assert_eq!(note.to_string().as_bytes(), data);
    if let Ok(checkpoint) = Checkpoint::parse(note.text()) {
        assert_eq!(checkpoint.to_text(), note.text());
    }
    if let Ok(checkpoint) = Checkpoint::verify(data, &key()) {
        assert_eq!(Some(checkpoint.to_text().as_str()), genuine().proof.checkpoint.split("\n\u{2014}").next());
    }
}

/// A proof is written as it was read, and verifies only for the event it was made for.
pub fn receipt(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(proof) = TlogProof::parse(text) else { return };
    assert_eq!(proof.to_string(), text);
    let Ok(receipt) = Receipt::parse(text) else { return };
    if let Ok((checkpoint, event)) = receipt.verify(&key()) {
        let genuine = genuine();
        assert_eq!(event.bytes(), &genuine.leaf);
        assert_eq!((proof.index, proof.hashes), (genuine.proof.index, genuine.proof.hashes));
        assert!(genuine.proof.checkpoint.starts_with(&checkpoint.to_text()));
    }
}

/// A bundle is written as it was read.
pub fn entry_bundle(data: &[u8]) {
    if let Ok(entries) = decode_entry_bundle(data) {
        assert_eq!(encode_entry_bundle(entries).as_deref(), Ok(data));
    }
}

/// The quick reading of a leaf from its end and the full one find the same.
pub fn leaf(data: &[u8]) {
    let (peek, recorded) = (Peek::new(data), Recorded::parse(Bytes::copy_from_slice(data)));
    if canonical::check(data).is_err() {
        return;
    }
    let (Ok(peek), Ok(recorded)) = (peek, recorded) else { return };
    let envelope = recorded.envelope();
    // These three are read in other spellings as well.
    assert_eq!(peek.id.parse(), Ok(envelope.id));
    assert_eq!(peek.occurred_at.parse(), Ok(envelope.occurred_at));
    assert_eq!(peek.recorded_at.parse(), Ok(envelope.recorded_at));
    assert_eq!(peek.position, envelope.position.to_string());
    assert_eq!(peek.prev, envelope.prev.as_ref().map(|prev| prev.as_str()));
    assert_eq!(peek.seq, envelope.seq.to_string());
    assert_eq!(peek.source, envelope.source.as_str());
    assert_eq!(peek.stream, envelope.stream.as_str());
    assert_eq!(peek.type_name, envelope.type_name);
    assert_eq!(Peek::dedup(data).as_deref(), Ok(envelope.dedup.as_str()));
}
