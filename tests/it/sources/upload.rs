//! Documents that are handed in over HTTP, and the way they go: in one pass, whatever their size.

use std::io::{Read, Write};

use plimsoll::event::{EvidenceRef, Recorded};
use plimsoll::ingest::document::{self, Body, Incoming};
use plimsoll::ingest::upload::About;
use plimsoll::ingest::{Intake, Kind, Reason, Refusal, Settings};
use plimsoll::ledger::{Blob, Evidence};
use serde_json::Value;

use super::{fixture, received_at};
use crate::support::House;
use crate::support::http::{Answer, post};
use crate::support::served::Served;

const BOM: &str = "sbom/cyclonedx/py-req-1.6.json";
const ARTIFACT: &str = "sha256:a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1";

fn json(answer: &Answer) -> Value {
    serde_json::from_str(answer.text()).unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// A bill of materials too large to join a commit.
fn large_bom() -> Vec<u8> {
    let component = |n: u64| {
        serde_json::json!({"type": "library", "name": format!("p{n}"), "version": "1",
        "purl": format!("pkg:npm/p{n}@1"), "hashes": [{"alg": "SHA-256", "content": blake3::hash(&n.to_le_bytes()).to_hex().to_string()}]})
    };
    let components: Vec<_> = (0..2_000).map(component).collect();
    serde_json::json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": components,
        "metadata": {"timestamp": "2026-03-04T12:00:00Z"}})
    .to_string()
    .into_bytes()
}

/// Every file of the evidence store.
fn files(house: &House) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![house.data().evidence()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { open.push(path) } else { found.push(path) }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_recorded_with_what_is_said_of_it_and_once_only() {
    let served = Served::new().await;
    let commit = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
    let path = format!(
        "/v1/evidence?kind=sbom&artifact={}&commit={commit}&repository=github.com%2Facme%2Fapp&run=77&attempt=2&actor=github:jane",
        ARTIFACT.replace(':', "%3A")
    );
    for (body, n_files) in [(fixture(BOM), 0), (large_bom(), 1)] {
        let answer = post(served.addresses.http, &path, &[], &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let told = json(&answer)["events"][0].clone();
        assert_eq!((&told["type"], &told["duplicate"]), (&"sbom.attached".into(), &false.into()), "{told}");
        assert_eq!(told["stream"], format!("artifact/{ARTIFACT}"));
        let leaf = served.ledger.leaf(told["position"].as_str().unwrap().parse().unwrap()).unwrap();
        let event: Value = serde_json::from_slice(&leaf).unwrap();
        assert_eq!((&event["data"]["commit"], &event["data"]["run"]), (&commit.into(), &"77".into()), "{event}");
        assert_eq!(event["data"]["repository"], "repo/github.com/acme/app");
        let event = Recorded::parse(leaf).unwrap();
        let reference = &event.envelope().evidence[0];
        assert_eq!(reference, &EvidenceRef::of(reference.media_type.clone(), &body));
        assert_eq!(served.ledger.evidence().get(reference).await.unwrap(), Blob::Intact(body.clone().into()));
        assert_eq!(files(&served.house).len(), n_files, "what is small joins the commit");
        // The same document of the same run, in whatever clothes.
        for (encoding, again) in [
            ("identity", body.clone()),
            ("gzip", gzip(&body)),
            ("X-GZIP", [gzip(&body[..99]), gzip(&body[99..])].concat()),
        ] {
            let answer = post(served.addresses.http, &path, &[("content-encoding", encoding)], &again).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(
                (&json(&answer)["events"][0]["id"], &json(&answer)["events"][0]["duplicate"]),
                (&told["id"], &true.into())
            );
        }
    }
    assert_eq!(served.ledger.head().size, 3);
    served.finish().await;
}

/// Query, encoding and body; status, reason and field.
type Case<'a> = (&'a str, &'a str, &'a [u8], u16, &'a str, Option<&'a str>);

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_named_and_leaves_nothing() {
    let served = Served::new().await;
    let good = format!("kind=sbom&artifact={ARTIFACT}");
    let (bom, large) = (fixture(BOM), large_bom());
    let cut = &large[..large.len() - 2];
    let mut not_text = large.clone();
    not_text[100_000] = 0xff;
    let cases: &[Case<'_>] = &[
        ("kind=sbom&artifcat=x", "identity", &bom, 400, "bad_parameter", Some("artifcat")),
        ("kind=sbom&artifact=sha256:12", "identity", &bom, 400, "bad_parameter", Some("artifact")),
        ("kind=sbom&attempt=two", "identity", &bom, 400, "bad_parameter", Some("attempt")),
        ("kind=bom", "identity", &bom, 400, "bad_parameter", Some("kind")),
        ("kind=sbom&kind=scan", "identity", &bom, 400, "bad_parameter", Some("kind")),
        ("kind=sbom&run=1&run=2", "identity", &bom, 400, "bad_parameter", None),
        ("kind=sbom&at=yesterday", "identity", &bom, 400, "bad_parameter", Some("at")),
        (&good, "br", &bom, 415, "unsupported_encoding", Some("content-encoding")),
        (&good, "gzip", &bom, 400, "malformed", None),
        (&good, "gzip", &gzip(&large)[..9_000], 400, "malformed", None),
        (&good, "identity", b" \n", 400, "empty", None),
        (&good, "identity", b"PK\x03\x04rest", 415, "archive", None),
        (&good, "identity", b"{\"what\":\"is this\"}", 415, "unknown_format", None),
        (&good, "identity", &not_text, 400, "not_utf8", None),
        (&good, "identity", &bom[..bom.len() - 9], 400, "malformed", None),
        (&good, "identity", cut, 400, "malformed", None),
        ("kind=sbom&format=nonsense", "identity", &bom, 415, "unknown_format", Some("format")),
        ("kind=tests&format=cyclonedx", "identity", &bom, 415, "unknown_format", Some("format")),
        ("kind=tests", "identity", &bom, 415, "unknown_format", None),
        ("kind=sbom", "identity", &large, 422, "no_subject", Some("artifact")),
    ];
    for (query, encoding, body, status, reason, field) in cases {
        let headers = [("content-encoding", *encoding)];
        let answer = post(served.addresses.http, &format!("/v1/evidence?{query}"), &headers, body).await;
        assert_eq!(answer.status, *status, "{query}: {}", answer.text());
        let error = json(&answer)["error"].clone();
        assert_eq!((error["reason"].as_str(), error["field"].as_str()), (Some(*reason), *field), "{query}: {error}");
    }
    assert_eq!(served.ledger.head().size, 1);
    assert!(files(&served.house).is_empty(), "{:?}", files(&served.house));
    served.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bound_is_on_what_a_document_unfolds_to_and_outcomes_are_counted() {
    let house = House::new();
    let ledger = house.open().await;
    let intake = Intake::new(ledger.clone(), Settings { document_bytes_max: 400_000, ..Settings::default() }).unwrap();
    let about = || About { artifact: ARTIFACT.parse().ok(), ..About::default() };
    let zeros = b"{\"bomFormat\":\"CycloneDX\",\"specVersion\":\"1.6\",\"x\":\"".chain(std::io::repeat(b'0'));
    let refusal = intake.hand_in(Some(Kind::Sbom), about(), zeros).await.unwrap_err();
    let Refusal::Rejected(rejection) = refusal else { panic!("{refusal}") };
    assert_eq!(rejection.reason, Reason::TooLarge);
    assert!(files(&house).is_empty());
    for _ in 0..2 {
        intake.hand_in(Some(Kind::Sbom), about(), std::io::Cursor::new(fixture(BOM))).await.unwrap();
    }
    intake.hand_in(None, about(), std::io::Cursor::new(b"?".to_vec())).await.unwrap_err();
    let mut counts = intake.counters().all();
    counts.retain(|(_, outcome, _)| *outcome != "known");
    let outcomes: Vec<_> = counts.iter().map(|(_, outcome, _)| *outcome).collect();
    assert!(
        outcomes.contains(&"recorded") && outcomes.contains(&"too_large") && outcomes.contains(&"unknown_format"),
        "{counts:?}"
    );
    assert!(counts.iter().any(|(source, _, _)| source == "document"), "{counts:?}");
}

/// Gives a few bytes at a time.
struct Drops<'a>(&'a [u8], usize);

impl Read for Drops<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.1.min(self.0.len()).min(buffer.len());
        buffer[..n].copy_from_slice(&self.0[..n]);
        self.0 = &self.0[n..];
        Ok(n)
    }
}

#[test]
fn a_document_says_the_same_in_memory_and_from_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let evidence = Evidence::local(dir.path()).unwrap();
    let about = About { artifact: ARTIFACT.parse().ok(), other_subject: true, ..About::default() };
    for body in [fixture(BOM), fixture("sbom/cyclonedx/centos-7-image-1.5.json"), large_bom()] {
        let read = |memory_bytes_max, drop| {
            let incoming = Incoming {
                kind: Some(Kind::Sbom),
                about: &about,
                received_at: received_at(),
                bytes_max: u64::MAX,
                memory_bytes_max,
            };
            document::read(Drops(&body, drop), &incoming, &evidence, &mut ()).map_err(|(_, refusal)| refusal).unwrap()
        };
        let in_memory = read(usize::MAX, usize::MAX);
        assert_eq!(in_memory.events.drafts.len(), 1);
        for (memory_bytes_max, drop) in [(0, usize::MAX), (100_000, 70_001), (0, 1_013)] {
            let other = read(memory_bytes_max, drop);
            assert_eq!(other.events, in_memory.events);
            assert_eq!(other.body.reference(), in_memory.body.reference());
            assert_eq!(matches!(other.body, Body::Small(_)), body.len() <= 64 << 10);
        }
    }
    assert_eq!(std::fs::read_dir(dir.path().join("incoming")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clean_output_of_two_tools_is_two_facts_and_what_is_said_of_them_is_blackened() {
    let served = Served::new().await;
    let sent = async |query: &str| {
        let path = format!("/v1/evidence?repository=example.com/app&run=1&{query}");
        json(&post(served.addresses.http, &path, &[], b"[]").await)
    };
    let (a, b) = ("a".repeat(40), "b".repeat(40));
    for query in [
        format!("kind=check&format=ruff&commit={a}&name=backend"),
        format!("kind=check&format=ruff&commit={a}&name=frontend"),
        format!("kind=check&format=ruff&commit={b}&name=backend"),
        format!("kind=scan&format=gitleaks&commit={a}"),
    ] {
        let first = sent(&query).await;
        assert_eq!(first["events"][0]["duplicate"], false, "{query}: {first}");
        assert_eq!(sent(&query).await["events"][0]["duplicate"], true, "{query}");
    }
    let said =
        format!("kind=scan&format=gitleaks&commit={b}&url=https://u:hunter2@ci/1&filters=--password%20hunter2hunter2");
    assert_eq!(sent(&said).await["events"][0]["duplicate"], false);
    let leaf = served.ledger.leaf(served.ledger.head().size - 1).unwrap();
    assert!(!String::from_utf8_lossy(&leaf).contains("hunter2"), "{}", String::from_utf8_lossy(&leaf));
    served.stop().await;
}
