//! Attacks on what is handed out: one stream's history, one receipt. Everything that is needed to notice them is in what
//! the ledger records; the checks here are an outsider's, from the bytes alone.

use std::collections::BTreeMap;

use plimsoll::event::ledger::HeadsCommitted;
use plimsoll::event::{Data, Recorded, stream_link};
use plimsoll::ledger::tree::VerifierKey;
use plimsoll::ledger::{Blob, Entry, Receipt, list_digests};

use super::*;

const STREAM: &str = "repo/example.com/s3";

/// What an auditor is given: the events of one stream, the receipt of the newest commitment to heads with its list,
/// and everything that was appended after what that list covers.
struct Export {
    events: Vec<Entry>,
    heads: Receipt,
    list: String,
    tail: Vec<Entry>,
}

async fn export(ledger: &Ledger) -> Export {
    let heads = ledger.receipt(SIZE - 1).unwrap();
    let event = Recorded::parse(heads.leaf.clone()).unwrap();
    let Blob::Intact(list) = ledger.evidence().get(&event.envelope().evidence[0]).await.unwrap() else { panic!() };
    let tail =
        ledger.page(SIZE - 1, u64::MAX, false, &plimsoll::ledger::Filter::default(), Default::default()).unwrap();
    Export {
        events: ledger.stream(STREAM, 0, 10_000).unwrap(),
        heads,
        list: String::from_utf8(list.to_vec()).unwrap(),
        tail: tail.entries,
    }
}

/// Judges an export of a stream. The receipts of its events are left out here: they are tested elsewhere.
fn judge(export: &Export, key: &VerifierKey) -> Result<(), String> {
    let (checkpoint, event) = export.heads.verify(key).map_err(|error| error.to_string())?;
    let Ok(Data::HeadsCommitted(HeadsCommitted { as_of, blake3, sha256, streams })) = event.data() else {
        return Err("no commitment to heads".to_owned());
    };
    if list_digests(export.list.as_bytes()) != (blake3, sha256) || export.list.lines().count() as u64 != streams.0 {
        return Err("the list is not the one committed to".to_owned());
    }
    // What came after the list must be shown in full up to the checkpoint.
    let positions: Vec<u64> = export.tail.iter().map(|entry| entry.position).collect();
    if positions != (as_of.0..checkpoint.size).collect::<Vec<_>>() {
        return Err("the tail is not complete".to_owned());
    }
    let mut heads: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
    for line in export.list.lines() {
        let mut words = line.split(' ');
        let (stream, seq, hash) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
        heads.insert(stream, (seq.parse().unwrap(), hash));
    }
    let mut last = None;
    for entry in &export.events {
        let event = Recorded::parse(entry.leaf.clone()).map_err(|error| error.to_string())?;
        let envelope = event.envelope();
        let (seq, prev) = last.map_or((0, None), |(seq, link): (u64, [u8; 32])| (seq + 1, Some(hex::encode(link))));
        if envelope.seq.0 != seq || envelope.prev.as_ref().map(ToString::to_string) != prev {
            return Err(format!("a gap before position {}", entry.position));
        }
        last = Some((seq, stream_link(&entry.leaf)));
    }
    let shown = last.map(|(seq, link)| (seq, hex::encode(link)));
    if shown.as_ref().map(|(seq, hash)| (*seq, hash.as_str())) != heads.get(STREAM).copied() {
        return Err(format!("the stream's last event is not shown: {shown:?}"));
    }
    Ok(())
}

#[tokio::test]
async fn an_event_withheld_from_the_middle_of_a_stream_leaves_a_gap() {
    // 18
    let scene = Scene::new().await;
    let ledger = scene.open().await;
    let whole = export(&ledger).await;
    judge(&whole, ledger.key()).unwrap();
    for n in 0..whole.events.len() - 1 {
        let mut less = export(&ledger).await;
        let gone = less.events.remove(n);
        let said = judge(&less, ledger.key()).unwrap_err();
        assert!(said.starts_with("a gap before position"), "{}: {said}", gone.position);
    }
}

#[tokio::test]
async fn the_newest_events_withheld_from_a_stream_are_missed_by_the_commitment_to_its_head() {
    // 19
    let scene = Scene::new().await;
    let ledger = scene.open().await;
    let mut less = export(&ledger).await;
    less.events.pop();
    assert!(judge(&less, ledger.key()).unwrap_err().contains("last event is not shown"));
    // An edited list is not the one committed to, an older commitment has a longer tail, and a short tail shows.
    let mut edited = export(&ledger).await;
    let line = edited.list.lines().find(|line| line.starts_with(STREAM)).unwrap().to_owned();
    edited.list = edited.list.replace(&line, &line.replacen(STREAM, "repo/example.com/s2", 1));
    assert!(judge(&edited, ledger.key()).unwrap_err().contains("not the one committed to"));
    let mut cut = export(&ledger).await;
    cut.tail.pop();
    assert!(judge(&cut, ledger.key()).unwrap_err().contains("tail is not complete"));
}

#[tokio::test]
async fn a_hidden_stream_is_named_by_the_commitment_to_all_heads() {
    // 20
    let scene = Scene::new().await;
    let ledger = scene.open().await;
    let mut nothing = export(&ledger).await;
    nothing.events.clear();
    assert!(judge(&nothing, ledger.key()).unwrap_err().contains("last event is not shown"));
    nothing.list =
        nothing.list.lines().filter(|line| !line.starts_with(STREAM)).map(|line| format!("{line}\n")).collect();
    assert!(judge(&nothing, ledger.key()).unwrap_err().contains("not the one committed to"));
}

#[tokio::test]
async fn an_old_receipt_says_of_which_log_it_is_and_a_witness_knows_a_larger_one() {
    // 26, and 30: freshness is judged by whoever has seen a newer checkpoint, or by a witness's time.
    let scene = Scene::new().await;
    let ledger = scene.open().await;
    let old = ledger.receipt(5).unwrap();
    let mut witness = judges::Witness::new(&scene.vkey);
    assert_eq!(witness.add(0, &[], &scene.note).0, 200);
    ledger.append(vec![small(50_000)]).await.unwrap();
    let now = ledger.head();
    let proof = ledger.consistency_proof(SIZE, now.size).unwrap();
    assert_eq!(witness.add(SIZE, &proof, &now.checkpoint).0, 200);
    let (checkpoint, event) = old.verify(ledger.key()).unwrap();
    assert_eq!((checkpoint.size, event.envelope().position.0), (SIZE, 5), "valid for ever, and it says as of when");
    assert!(checkpoint.size < witness.size("ledger.example/test"));
    let file = scene.house.dir.path().join("event.tlog-proof");
    std::fs::write(&file, old.to_string()).unwrap();
    drop(ledger);
    let verdict = verify(&file, &["--vkey", &scene.vkey]);
    assert_eq!(verdict.code, 0);
    assert!(verdict.report["detail"].as_str().unwrap().contains("event 5 of 614"), "{}", verdict.report);
    let (code, said) = judges::python(&["--vkey", &scene.vkey, "--receipt", file.to_str().unwrap()]);
    assert!(code == 0 && said.contains("ok: entry 5 of 614"), "{said}");
}

#[tokio::test]
async fn a_receipt_with_anything_changed_is_refused_by_every_judge() {
    let scene = Scene::new().await;
    let ledger = scene.open().await;
    let receipt = ledger.receipt(AN_EVENT).unwrap();
    let other = ledger.receipt(AN_EVENT + 1).unwrap();
    let text = receipt.to_string();
    let lines: Vec<&str> = text.lines().collect();
    let others = other.to_string();
    let others: Vec<&str> = others.lines().collect();
    let file = scene.house.dir.path().join("event.tlog-proof");
    for (what, changed) in [
        ("event", text.replace(lines[1], others[1])),
        ("index", text.replace("\nindex 200\n", "\nindex 201\n")),
        ("hash", text.replace(lines[3], others[4])),
        ("size", text.replace("\n614\n", "\n613\n")),
        ("origin", text.replace("ledger.example/test\n614", "ledger.example/prod\n614")),
        ("event and index", text.replace(lines[1], others[1]).replace("\nindex 200\n", "\nindex 201\n")),
    ] {
        assert_ne!(changed, text, "{what}");
        std::fs::write(&file, &changed).unwrap();
        let verdict = verify(&file, &["--vkey", &scene.vkey]);
        assert_eq!(verdict.code, 1, "{what}: {}", verdict.report);
        let (code, said) = judges::python(&["--vkey", &scene.vkey, "--receipt", file.to_str().unwrap()]);
        assert_eq!(code, 1, "{what}: {said}");
    }
}
