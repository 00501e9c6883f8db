//! What must hold of all values of a kind; and hostile values picked by hand.

// Tells clippy that the helpers are tests, too.
#![cfg(test)]

use doubleentry::transparency::TileId;
use plimsoll::event::{
    Data, EventId, EventType, Field as _, Position, Prepared, Private, Recorded, SealedRef, Subject, SubjectId,
    Visitor, canonical,
};
use plimsoll::ledger::tree::{Checkpoint, SignedNote, SigningKey, TilePath, VerifierKey};
use plimsoll::ledger::{Clock as _, Ledger, Receipt};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::Value;

use crate::judges;
use crate::support::{FixedClock, House, draft};

/// The same cases in every run; more of them with `PLIMSOLL_SLOW`.
fn check<S: Strategy>(strategy: &S, cases: u32, holds: impl Fn(S::Value)) {
    let cases = if std::env::var_os("PLIMSOLL_SLOW").is_some() { cases * 100 } else { cases };
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let chance = TestRng::from_seed(RngAlgorithm::ChaCha, &[23; 32]);
    let result = TestRunner::new_with_rng(config, chance).run(strategy, |value| {
        holds(value);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn json_is_refused_or_read_as_others_read_it() {
    for (text, taken) in [
        // Keys.
        (r#"{"a":1,"a":1}"#, false),
        (r#"{"a":1,"\u0061":2}"#, false),
        (r#"{"":1}"#, true),
        (r#"{"a":{"b":1,"c":{"b":1,"b":2}}}"#, false),
        (r#"{"B":1,"a":2,"A":3}"#, true),
        ("{\"\u{fb33}\":1,\"\u{1f600}\":2}", false),
        (r#"{"\u0080":1}"#, false),
        // Numbers.
        ("-0", false),
        ("-0.0", false),
        ("0.0", false),
        ("1E2", false),
        ("1e-400", false),
        ("1E400", false),
        ("NaN", false),
        ("-Infinity", false),
        ("01", false),
        ("+1", false),
        ("0x10", false),
        (".5", false),
        ("9007199254740991", true),
        ("-9007199254740991", true),
        ("9007199254740992", false),
        ("9007199254740993", false),
        ("18446744073709551615", false),
        ("-9223372036854775808", false),
        // Strings.
        ("\"\u{2028}\u{2029}\u{7f}\u{feff}\"", true),
        (r#""\ud83d\ude00""#, true),
        (r#""\ud83d""#, false),
        (r#""\ude00\ud83d""#, false),
        (r#""\u00e9\/""#, true),
        ("\"e\u{301}\"", true),
        ("\"\u{1}\"", false),
        (r#""\x41""#, false),
        ("'a'", false),
        ("\"a", false),
        // The rest.
        ("null", false),
        ("[1,]", false),
        ("[1]]", false),
        ("{}{}", false),
        ("\u{feff}{}", false),
        ("/* */{}", false),
        ("", false),
        (" \t\r\n[ ]\n", true),
        ("undefined", false),
    ] {
        let read = canonical::parse(text.as_bytes());
        assert_eq!(read.is_ok(), taken, "{text}: {read:?}");
        if let Ok(value) = read {
            let ours = canonical::to_bytes(&value);
            let theirs: Value = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json_canonicalizer::to_vec(&theirs).unwrap(), ours, "{text}");
            canonical::check(&ours).unwrap();
            assert_eq!(canonical::check(text.as_bytes()).is_ok(), ours == text.as_bytes(), "{text}");
        }
    }
    for bytes in
        [&b"\"\xff\""[..], b"\"\xed\xa0\x80\"", b"\"\xc0\xaf\"", b"\"\xf4\x90\x80\x80\"", b"{\"a\":1}\0", b"\0"]
    {
        assert!(canonical::parse(bytes).is_err() && canonical::check(bytes).is_err(), "{bytes:?}");
    }
    for open in ["[", "{\"a\":"] {
        let deep = open.repeat(200_000);
        assert!(canonical::parse(deep.as_bytes()).is_err() && canonical::check(deep.as_bytes()).is_err());
    }
}

/// JSON in any layout, with whatever escapes: what people and programs send.
fn json() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        "([ -!#-\\[\\]-~]|\\\\u00[0-7][0-9a-fA-F]|\\\\[nrtbf/\"\\\\]|\\\\ud83d\\\\ude0[0-9]|\\\\u20[2-3][89A-F]){0,8}"
            .prop_map(|text| format!("\"{text}\"")),
    ];
    let leaf = prop_oneof![
        text,
        any::<i64>().prop_map(|n| n.to_string()),
        (-1_000_000..1_000_000_i64).prop_map(|n| n.to_string()),
        Just("true".to_owned()),
        Just("false".to_owned()),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        let space = "[ \t\r\n]{0,2}";
        prop_oneof![
            (prop::collection::vec(inner.clone(), 0..5), space)
                .prop_map(|(items, space)| format!("[{space}{}]", items.join(&format!("{space},")))),
            (prop::collection::vec(("[a-dA-D!-#]{0,2}", inner), 0..5), space).prop_map(|(members, space)| {
                let members: Vec<_> = members
                    .iter()
                    .map(|(key, value)| format!("{}{space}:{value}", serde_json::to_string(key).unwrap()))
                    .collect();
                format!("{{{}{space}}}", members.join(&format!(",{space}")))
            }),
        ]
    })
}

#[test]
fn whatever_is_taken_has_the_canonical_bytes_that_others_give_it() {
    check(&json(), 3_000, |text| {
        let Ok(value) = canonical::parse(text.as_bytes()) else { return };
        let ours = canonical::to_bytes(&value);
        let theirs: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json_canonicalizer::to_vec(&theirs).unwrap(), ours, "{text}");
        canonical::check(&ours).unwrap();
        assert_eq!(canonical::parse(&ours).unwrap(), value, "{text}");
    });
}

/// Seals with one salt; good enough to look at leaves.
struct Sealer;

impl Visitor for Sealer {
    fn private(&mut self, value: &mut Private) -> Result<(), plimsoll::event::Error> {
        if let Private::Plain(text) = value {
            let commitment = plimsoll::event::Hex32::from_bytes(plimsoll::event::commitment(&[1; 32], text));
            let sealed = "019cb8dd-2c00-7000-8000-000000000001".parse()?;
            *value = Private::Sealed(SealedRef { commitment, sealed });
        }
        Ok(())
    }
    fn subject(&mut self, value: &mut Subject) -> Result<(), plimsoll::event::Error> {
        if let Subject::Identity(text) = value {
            *value = Subject::Id(SubjectId::commit(&[1; 32], text));
        }
        Ok(())
    }
}

/// The payload of an event's golden file, with some of its values replaced.
fn varied(value: &Value, texts: &[String], n: &mut usize) -> Value {
    *n += 1;
    let text = &texts[*n % texts.len()];
    match value {
        Value::String(_) if text.len().is_multiple_of(3) => Value::String(text.clone()),
        Value::Number(number) if text.len().is_multiple_of(2) => {
            Value::from(number.as_i64().unwrap().wrapping_add(i64::try_from(text.len()).unwrap() - 3))
        }
        Value::Bool(_) => Value::Bool(text.len().is_multiple_of(2)),
        Value::Array(items) if text.len() % 5 == 4 => {
            Value::Array(items.iter().chain(items).map(|item| varied(item, texts, n)).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(|item| varied(item, texts, n)).collect()),
        Value::Object(members) if members.contains_key("sealed") => Value::String(text.clone()),
        Value::Object(members) => {
            Value::Object(members.iter().map(|(key, member)| (key.clone(), varied(member, texts, n))).collect())
        }
        other => other.clone(),
    }
}

#[test]
fn every_payload_that_is_taken_is_read_back_as_it_was() {
    let golden: Vec<(EventType, Value)> = EventType::ALL
        .iter()
        .map(|event_type| {
            let path = format!("{}/tests/golden/events/{event_type}.json", env!("CARGO_MANIFEST_DIR"));
            (*event_type, serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
        })
        .collect();
    let taken = std::cell::RefCell::new(std::collections::BTreeSet::new());
    let texts = prop::collection::vec(prop_oneof![any::<String>(), "[a-z0-9/.:_-]{0,12}"], 1..6);
    check(&(0..golden.len(), texts, any::<usize>()), 1_500, |(which, texts, start)| {
        let (event_type, whole) = &golden[which];
        let payload = varied(&whole["data"], &texts, &mut (start % 1000));
        let Ok(data) = Data::parse(*event_type, payload.to_string().as_bytes()) else { return };
        let stream = whole["stream"].as_str().unwrap().parse().unwrap();
        let at = FixedClock::new().now();
        let dedup = "x".parse().unwrap();
        let mut draft = plimsoll::event::Draft::new(data, stream, "test".parse().unwrap(), dedup, at);
        draft.visit(&mut Sealer).unwrap();
        // A leaf may be too large, or a key of a map not plain; then it is refused, never written otherwise.
        let Ok(prepared) = Prepared::new(&draft) else { return };
        let leaf = prepared.leaf(EventId::new(at, Position(7), 1), at, 3, Some(&[9; 32]));
        canonical::check(&leaf).unwrap();
        let recorded = Recorded::parse(leaf).unwrap();
        assert_eq!(recorded.data().unwrap(), draft.data);
        taken.borrow_mut().insert(*event_type);
    });
    let taken = taken.into_inner().len();
    assert!(taken > golden.len() / 3, "only {taken} types were ever taken: the test tests nothing");
}

#[test]
fn tile_paths_are_read_exactly_as_others_read_them() {
    let part = || prop_oneof!["[0-9]{1,3}", "x[0-9]{3}", "[0-9]{3}", "entries|data|8|63|64|00|x|.p", "[0-9x/.p]{0,5}"];
    let text = (prop::collection::vec(part(), 0..9), "|\\.p/[0-9]{1,3}", prop::bool::weighted(0.9))
        .prop_map(|(parts, partial, tile)| format!("{}{}{partial}", if tile { "tile/" } else { "" }, parts.join("/")));
    check(&text, 4_000, |text| {
        let (ours, theirs) = (text.parse::<TilePath>(), TileId::parse(&text));
        assert_eq!(ours.is_ok(), theirs.is_ok(), "{text}: {ours:?}, {theirs:?}");
        if let Ok(path) = ours {
            assert_eq!(path.to_string(), text);
        }
    });
    let any = (0_u8..64, any::<u64>(), 1_u16..=256, any::<bool>());
    check(&any, 1_000, |(level, index, width, entries)| {
        let theirs = if entries { TileId::entries(index, width) } else { TileId::hashes(level, index, width) }.unwrap();
        let ours: TilePath = theirs.path().parse().unwrap();
        assert_eq!((ours.to_string(), ours.index, ours.width), (theirs.path(), index, width));
        // Go's form has the height in it.
        if !entries {
            let go = tlog_tiles::Tile::new(8, level, index, u32::from(width), false).path();
            assert_eq!(go.replacen("tile/8/", "tile/", 1), ours.to_string());
        }
    });
}

/// A text with one byte changed, left out or put in, at every place, and cut at every length.
fn mutations(bytes: &[u8], mut see: impl FnMut(&[u8])) {
    for at in 0..bytes.len() {
        let mut changed = bytes.to_vec();
        for other in [bytes[at] ^ 1, bytes[at] ^ 0x20, bytes[at] ^ 0x80, b'\n', b' ', b'0', b'=', b'A'] {
            if other != bytes[at] {
                changed[at] = other;
                see(&changed);
            }
        }
        changed.remove(at);
        see(&changed);
        for more in [b'\n', b' ', b'0', bytes[at]] {
            let mut longer = bytes.to_vec();
            longer.insert(at, more);
            see(&longer);
        }
        see(&bytes[..at]);
    }
}

async fn a_ledger(house: &House) -> Ledger {
    let ledger = house.open().await;
    ledger.append((0..40).map(|n| draft("repo/example.com/app", n)).collect()).await.unwrap();
    ledger
}

#[tokio::test]
async fn a_receipt_with_one_byte_changed_proves_nothing_else() {
    let house = House::new();
    let ledger = a_ledger(&house).await;
    let receipt = ledger.receipt(17).unwrap();
    let text = receipt.to_string();
    assert_eq!(Receipt::parse(&text).unwrap(), receipt);
    // A witness's line, which nobody here has the key of, may be changed: that is still the same receipt.
    let mut witness = judges::Witness::new(&ledger.key().to_string());
    let cosigned = format!("{text}{}", witness.add(0, &[], &receipt.proof.checkpoint).1);
    let mut seen = 0;
    mutations(cosigned.as_bytes(), |bytes| {
        let Ok(changed) = std::str::from_utf8(bytes) else { return };
        let Ok(parsed) = Receipt::parse(changed) else { return };
        assert_eq!(parsed.to_string(), changed, "there is one way to write a receipt");
        if let Ok((checkpoint, event)) = parsed.verify(ledger.key()) {
            seen += 1;
            assert_eq!((event.bytes(), checkpoint.size, parsed.proof.index), (&receipt.leaf, 41, 17), "{changed}");
            assert_eq!(parsed.proof.hashes, receipt.proof.hashes);
            assert!(bytes.len() >= text.len(), "only the witness's line was touched");
        }
    });
    assert!(seen > 0, "a changed line of a stranger is no reason to refuse");
}

#[tokio::test]
async fn a_note_with_one_byte_changed_is_refused_or_is_the_same_for_everyone() {
    let house = House::new();
    let ledger = a_ledger(&house).await;
    let (vkey, note) = (ledger.key().to_string(), ledger.head().checkpoint.to_string());
    let signed = Checkpoint::verify(note.as_bytes(), ledger.key()).unwrap();
    let mut witness = judges::Witness::new(&vkey);
    let cosigned = format!("{note}{}", witness.add(0, &[], &note).1);
    let witness_key: VerifierKey = witness.vkey().parse().unwrap();
    mutations(cosigned.as_bytes(), |bytes| {
        if let Ok(parsed) = SignedNote::parse(bytes) {
            assert_eq!(parsed.to_string().as_bytes(), bytes, "there is one way to write a note");
            if parsed.verify_cosignature(&witness_key).is_ok() {
                assert_eq!(parsed.text(), signed.to_text());
            }
        }
        let ours = Checkpoint::verify(bytes, ledger.key());
        let theirs = judges::checkpoint(bytes, &vkey);
        if let Ok(checkpoint) = &ours {
            assert_eq!(*checkpoint, signed);
            assert_eq!(theirs.as_ref().map(|head| head.0), Ok(signed.size), "{}", String::from_utf8_lossy(bytes));
        }
    });
    // Keys, too, are one thing or none.
    mutations(vkey.as_bytes(), |bytes| {
        let key = std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<VerifierKey>().ok());
        assert!(key.is_none(), "{}", String::from_utf8_lossy(bytes));
    });
    let secret = SigningKey::from_seed("log.example/x", [6; 32]).unwrap().to_secret_string();
    mutations(secret.as_bytes(), |bytes| {
        let key = std::str::from_utf8(bytes).ok().and_then(|text| SigningKey::parse(text).ok());
        assert!(key.is_none(), "{}", String::from_utf8_lossy(bytes));
    });
}
