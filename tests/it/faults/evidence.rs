//! Evidence, when something comes in between: what an event names is there, and what is erased is gone.

use plimsoll::event::ledger::{ErasureGround, EvidenceErased};
use plimsoll::event::{Draft, EvidenceRef, MediaType};
use plimsoll::ledger::{Blob, Error, Evidence, Ledger, SMALL_BLOB_MAX, SmallBlob, backup};
use plimsoll_test_vfs::image::Chance;

use crate::support::process::{PATIENCE, Server, plimsoll};
use crate::support::rig::{scratch, slow, verified};
use crate::support::{House, draft};

const SECRET: &str = "Plimsoll, Samuel, of Bristol";

fn json() -> MediaType {
    "application/json".parse().unwrap()
}

fn small(text: &str) -> SmallBlob {
    SmallBlob::new(json(), text.to_owned().into()).unwrap()
}

fn naming(n: u64, reference: &EvidenceRef) -> Draft {
    Draft { evidence: vec![reference.clone()], ..draft("repo/example.com/app", n) }
}

fn erasing(reference: &EvidenceRef, n: u64) -> Draft {
    let EvidenceRef { blake3, sha256, size, .. } = reference.clone();
    let gone = EvidenceErased { blake3, ground: ErasureGround::Mistake, operator: None, sha256, size };
    Draft { data: gone.into(), dedup: format!("gone:{n}").parse().unwrap(), ..draft("ledger", n) }
}

async fn text(ledger: &Ledger, reference: &EvidenceRef) -> Option<String> {
    match ledger.evidence().get(reference).await.unwrap() {
        Blob::Intact(bytes) => Some(String::from_utf8(bytes.into()).unwrap()),
        Blob::Missing => None,
        Blob::Damaged(what) => panic!("{what}"),
    }
}

fn incoming(house: &House) -> usize {
    std::fs::read_dir(house.data().evidence().join("incoming")).map_or(0, Iterator::count)
}

#[tokio::test]
async fn a_small_blob_is_durable_with_its_event_and_leaves_with_its_erasure() {
    let house = House { dir: scratch(), ..House::new() };
    let ledger = house.open().await;
    // What does not compress stands in the database as it is, where it can be looked for.
    let secret = format!("{SECRET} {}", blake3::hash(SECRET.as_bytes()));
    let blob = small(&secret);
    ledger
        .append_with(vec![naming(1, blob.reference()), draft("repo/example.com/app", 2)], std::slice::from_ref(&blob))
        .await
        .unwrap();
    assert_eq!(text(&ledger, blob.reference()).await.as_deref(), Some(&*secret));
    assert_eq!(std::fs::read_dir(house.data().evidence()).unwrap().count(), 0, "no file is needed");
    let (data, copy) = (house.data(), House { dir: scratch(), ..House::new() });
    backup::backup(&data, copy.data().root()).unwrap();

    // The same in a file: an erasure takes both.
    ledger.evidence().put(json(), secret.as_bytes()).await.unwrap();
    ledger.append(vec![erasing(blob.reference(), 1)]).await.unwrap();
    assert_eq!(text(&ledger, blob.reference()).await, None);
    assert!(!ledger.evidence().has(blob.reference()).await.unwrap());
    for file in ["ledger.db", "ledger.db-wal"] {
        let bytes = std::fs::read(data.root().join(file)).unwrap_or_default();
        assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()), "{file}");
    }
    // Sent again, the event is known, and what was erased does not come back with it.
    let again = ledger.append_with(vec![naming(1, blob.reference())], std::slice::from_ref(&blob)).await.unwrap();
    assert!(again.placed[0].duplicate);
    assert_eq!(text(&ledger, blob.reference()).await, None);
    assert_eq!((verified(&ledger, &data).ok, verified(&ledger, &data).erased), (true, 1));
    // A new event may bring it back.
    ledger.append_with(vec![naming(3, blob.reference())], std::slice::from_ref(&blob)).await.unwrap();
    assert_eq!(text(&ledger, blob.reference()).await.as_deref(), Some(&*secret));
    drop(ledger);

    let copied = copy.open().await;
    assert_eq!(text(&copied, blob.reference()).await.as_deref(), Some(&*secret), "a backup has it");
    assert!(verified(&copied, &copy.data()).ok);
}

#[tokio::test]
async fn a_small_blob_that_fails_with_its_request_leaves_nothing() {
    let house = House { dir: scratch(), ..House::new() };
    let ledger = house.open().await;
    let blob = small("{}");
    let error =
        ledger.append_with(vec![draft("repo/example.com/app", 1)], std::slice::from_ref(&blob)).await.unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }), "nobody names it: {error}");
    let expected = plimsoll::event::Expected::Seq(7);
    let wrong = Draft { expected, ..naming(1, blob.reference()) };
    let error = ledger.append_with(vec![wrong], std::slice::from_ref(&blob)).await.unwrap_err();
    assert!(matches!(error, Error::WrongVersion { .. }), "{error}");
    assert_eq!(text(&ledger, blob.reference()).await, None);
    assert!(ledger.append(vec![naming(1, blob.reference())]).await.is_err(), "the event alone is refused");
    assert!(SmallBlob::new(json(), vec![0; SMALL_BLOB_MAX + 1].into()).is_err());
}

#[tokio::test]
async fn a_small_blob_is_written_over_where_it_was_damaged_and_missed_where_it_is_gone() {
    let house = House { dir: scratch(), ..House::new() };
    let ledger = house.open().await;
    let blob = small("{\"a\":1}");
    ledger.append_with(vec![naming(1, blob.reference())], std::slice::from_ref(&blob)).await.unwrap();
    drop(ledger);
    let sql = |sql: &str| {
        crate::judges::database(&house.data().ledger()).execute_batch(sql).unwrap();
    };
    sql("UPDATE evidence SET packed = x'00'");
    let ledger = house.open().await;
    let report = verified(&ledger, &house.data());
    assert!(format!("{:?}", report.findings).contains("BadEvidence"), "{:?}", report.findings);
    assert!(!ledger.evidence().has(blob.reference()).await.unwrap());
    ledger.append_with(vec![naming(2, blob.reference())], std::slice::from_ref(&blob)).await.unwrap();
    assert!(verified(&ledger, &house.data()).ok, "it is mended");
    drop(ledger);
    sql("DELETE FROM evidence");
    let ledger = house.open().await;
    let report = verified(&ledger, &house.data());
    assert!(format!("{:?}", report.findings).contains("MissingEvidence"), "{:?}", report.findings);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_blob_is_written_piece_by_piece_and_there_only_when_it_is_whole() {
    let house = House { dir: scratch(), ..House::new() };
    let ledger = house.open().await;
    let evidence = ledger.evidence();
    let piece = |n: u64| -> Vec<u8> { blake3::hash(&n.to_le_bytes()).as_bytes().repeat(2_000) };
    let whole: Vec<u8> = (0..40).flat_map(piece).collect();
    let write = || {
        let mut writer = evidence.begin().unwrap();
        (0..40).for_each(|n| writer.write(piece(n)).unwrap());
        assert_eq!(
            (writer.blake3().to_string(), writer.size()),
            (blake3::hash(&whole).to_string(), whole.len() as u64)
        );
        writer
    };
    drop(write());
    assert_eq!(incoming(&house), 0, "dropped, it leaves nothing");
    let sealed = write().seal(json()).unwrap();
    assert_eq!(sealed.reference(), &EvidenceRef::of(json(), &whole));
    let mut read = Vec::new();
    std::io::Read::read_to_end(&mut sealed.open().unwrap(), &mut read).unwrap();
    assert!(read == whole);
    assert!(!evidence.has(sealed.reference()).await.unwrap());
    drop(sealed);
    assert_eq!(incoming(&house), 0);
    let reference = evidence.keep(write().seal(json()).unwrap()).await.unwrap();
    // Twice is once.
    assert_eq!(evidence.keep(write().seal(json()).unwrap()).await.unwrap(), reference);
    assert_eq!((evidence.has(&reference).await.unwrap(), incoming(&house)), (true, 0));
    read.clear();
    std::io::Read::read_to_end(&mut evidence.open(&reference.blake3).await.unwrap(), &mut read).unwrap();
    assert!(read == whole);

    // Damaged, it is found out while it is read, and mended by whoever brings it again.
    let hex = reference.blake3.to_string();
    let file = house.data().evidence().join(&hex[..2]).join(format!("{}.zst", &hex[2..]));
    let packed = std::fs::read(&file).unwrap();
    let other = zstd::bulk::compress(&[&whole[..], b"!"].concat(), 1).unwrap();
    for damaged in [&packed[..packed.len() / 2], b"", b"plain", &other] {
        std::fs::write(&file, damaged).unwrap();
        let mut reader = evidence.open(&reference.blake3).await.unwrap();
        let error = std::io::Read::read_to_end(&mut reader, &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("damaged"), "{error}");
    }
    std::fs::remove_file(&file).unwrap();
    assert!(matches!(evidence.open(&reference.blake3).await, Err(Error::NotFound(_))));
    evidence.keep(write().seal(json()).unwrap()).await.unwrap();
    assert!(evidence.has(&reference).await.unwrap());

    // What a crash leaves is cleared away by the next start, and is no part of a backup.
    let left = write();
    assert_eq!(incoming(&house), 1);
    let copy = scratch();
    backup::backup(&house.data(), &copy.path().join("copy")).unwrap();
    assert!(!copy.path().join("copy/evidence/incoming").exists());
    std::mem::forget(left);
    drop(ledger);
    let ledger = house.open().await;
    assert_eq!(incoming(&house), 0);
    assert!(verified(&ledger, &house.data()).ok);
}

#[tokio::test]
async fn a_store_without_a_ledger_holds_files_only() {
    let dir = scratch();
    let evidence = Evidence::local(dir.path()).unwrap();
    let reference = evidence.put(json(), b"{}").await.unwrap();
    assert!(evidence.has(&reference).await.unwrap());
    assert!(evidence.put(json(), &vec![0; (1 << 30) + 1]).await.is_err(), "beyond 1 GiB");
}

/// Webhooks and documents under `kill -9`: whatever was acknowledged has its evidence, and what was cut leaves nothing
/// that is taken for damage.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_instant_every_event_has_its_evidence() {
    let dir = scratch();
    let data = dir.path().join("data");
    let mut chance = Chance(0xe71d);
    let mut n = 0;
    let mut acknowledged = Vec::new();
    for _ in 0..if slow() { 60 } else { 8 } {
        let mut server = Server::spawn(&data).ready();
        let http = server.http.unwrap();
        let until = std::time::Instant::now() + std::time::Duration::from_micros(20_000 + chance.below(150_000));
        let mut tasks = tokio::task::JoinSet::new();
        for worker in 0..4 {
            n += 1;
            tasks.spawn(deliver(http, n, worker == 3));
        }
        let mut killed = false;
        while let Some(done) = tasks.join_next().await {
            acknowledged.extend(done.unwrap());
            if !killed && std::time::Instant::now() >= until {
                server.kill();
                killed = true;
            }
            if !killed {
                n += 1;
                tasks.spawn(deliver(http, n, n % 4 == 0));
            }
        }
    }
    let mut server = Server::spawn(&data).ready();
    assert!(server.terminate().success());
    assert!(!acknowledged.is_empty());
    let ledger = Ledger::open_read_only(&plimsoll::ledger::DataDir::new(&data)).unwrap();
    for position in acknowledged {
        let event = plimsoll::event::Recorded::parse(ledger.leaf(position).unwrap()).unwrap();
        let evidence = &event.envelope().evidence;
        assert_eq!(evidence.len(), 1);
        assert!(text(&ledger, &evidence[0]).await.is_some_and(|text| text.contains("fingerprint")), "{position}");
    }
    let verified = plimsoll(&data, &["verify", "--json"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    assert!(!data.join("evidence/incoming").exists(), "a start clears away what was cut");
}

/// Sends one alert, small or too large to join a commit. Returns the position of its event when it was acknowledged.
async fn deliver(http: std::net::SocketAddr, n: u64, large: bool) -> Option<u64> {
    let pieces = if large { 4_000 } else { 0 };
    let note: String = (0..pieces).map(|k| blake3::hash(format!("{k} {n}").as_bytes()).to_string()).collect();
    let body = serde_json::json!({
        "version": "4", "groupKey": "k", "note": note,
        "alerts": [{"status": "firing", "startsAt": "2026-03-04T12:00:00Z", "fingerprint": format!("{n:016x}")}],
    });
    let body = body.to_string();
    let sent =
        tokio::time::timeout(PATIENCE, crate::support::http::try_post(http, "/webhooks/alertmanager", body.as_bytes()));
    let answer: serde_json::Value = serde_json::from_slice(&sent.await.unwrap()?).unwrap();
    Some(answer["events"][0]["position"].as_str().unwrap().parse().unwrap())
}
