//! Attestations.

use plimsoll::ingest::Reason;
use plimsoll::ingest::upload::About;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Try, fixture};

fn given() -> Try<'static> {
    let artifact = format!("sha256:{}", "a1".repeat(32)).parse().ok();
    Try { about: About { artifact, ..About::default() }, ..Try::default() }
}

/// Every fixture, and whether it names an artifact.
const FIXTURES: &[(&str, bool)] = &[
    ("attestations/dsse/centos-7-cyclonedx.intoto.jsonl", true),
    ("attestations/dsse/spec-vector.json", false),
    ("attestations/dsse/tekton-slsa-0.2.json", true),
    ("attestations/intoto/certify-vuln-0.1.json", false),
    ("attestations/intoto/cosign-vuln-predicate.json", false),
    ("attestations/intoto/cosign-vuln-statement.json", false),
    ("attestations/intoto/kubectl-75-subjects-slsa-0.2.json", true),
    ("attestations/intoto/npm-provenance-statement.json", true),
    ("attestations/openvex/affected.json", false),
    ("attestations/openvex/not-affected.json", true),
    ("attestations/sigstore/happy-path-intoto-in-dsse-v3.json", true),
    ("attestations/sigstore/happy-path-v0.1.json", true),
    ("attestations/sigstore/happy-path-v0.2.json", true),
    ("attestations/sigstore/happy-path-v0.3-new-mediaType.json", true),
    ("attestations/sigstore/happy-path-v0.3.json", true),
    ("attestations/sigstore/managed-key-happy-path.json", true),
    ("attestations/sigstore/npm-provenance-bundle-0.1.json", true),
    ("attestations/sigstore/rekor2-happy-path.json", true),
];

#[test]
fn attestations_become_facts() {
    for (path, says_what_it_is_about) in FIXTURES {
        if *says_what_it_is_about {
            Try::default().golden(path);
        } else {
            Try::default().refuses(&fixture(path), Reason::NoSubject, Some("artifact"));
            given().golden(path);
        }
    }
}

/// What lies beside attestations is none.
#[test]
fn other_files_are_refused() {
    for path in ["dsse/spec-vector.pae.txt", "sigstore/a.txt", "sigstore/managed-key.pub"] {
        Try::default().refused(&format!("attestations/{path}"));
    }
}

#[test]
fn broken_attestations_never_panic() {
    for (path, _) in FIXTURES {
        given().never_panics(path);
    }
    given().never_panics("attestations/intoto/certify-novuln-0.2.json");
}

#[test]
fn a_statement_about_a_commit_belongs_to_its_repository() {
    let path = "attestations/intoto/certify-novuln-0.2.json";
    Try::default().refuses(&fixture(path), Reason::NoSubject, Some("repository"));
    let about = About { repository: Some("github.com/apache/logging-log4j2".to_owned()), ..About::default() };
    Try { about, ..Try::default() }.golden(path);
}

fn statement(with: Value) -> Value {
    let subject = json!([{"name": "a", "digest": {"sha256": "1a".repeat(32)}}]);
    let mut statement = json!({"_type": "https://in-toto.io/Statement/v1", "subject": subject, "predicateType": "https://example.com/p"});
    statement.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
    statement
}

/// As CycloneDX and SPDX 2 are.
#[test]
fn an_spdx_3_predicate_is_a_bill_of_materials() {
    let predicate: Value = serde_json::from_slice(&fixture("sbom/spdx/syft-gomod-3.0.json")).unwrap();
    let of = |predicate: &Value| {
        let with = json!({"predicateType": "https://spdx.dev/Document", "predicate": predicate});
        Try::default().lines(statement(with).to_string().as_bytes()).unwrap()
    };
    for predicate in [&predicate, &json!({"Data": predicate})] {
        let lines = of(predicate);
        assert!(lines.contains("\"type\":\"sbom.attached\"") && lines.contains("\"spec_version\":\"3.0"), "{lines}");
    }
    let other = of(&json!({"@context": "https://example.com/c", "@graph": []}));
    assert!(!other.contains("sbom.attached"), "{other}");
}

fn base64(bytes: &[u8]) -> String {
    data_encoding::BASE64.encode(bytes)
}

fn envelope(payload: &str) -> Value {
    json!({"payloadType": "application/vnd.in-toto+json", "payload": payload, "signatures": [{"sig": "AA=="}]})
}

fn sealed(statement: &Value) -> Value {
    envelope(&base64(statement.to_string().as_bytes()))
}

#[test]
fn statements_and_envelopes_name_what_is_wrong() {
    let bad = |body: &Value, reason, field| Try::default().refuses(body.to_string().as_bytes(), reason, Some(field));
    bad(&statement(json!({"_type": "https://in-toto.io/Statement/v2"})), Reason::UnsupportedVersion, "_type");
    bad(&statement(json!({"predicateType": null})), Reason::MissingField, "predicateType");
    bad(&statement(json!({"subject": null})), Reason::MissingField, "subject");
    bad(&statement(json!({"subject": "a"})), Reason::BadField, "subject");
    bad(&statement(json!({"subject": [[]]})), Reason::BadField, "subject");
    let digest = |digits: Value| statement(json!({"subject": [{}, {"digest": {"sha256": digits}}]}));
    for digits in
        [Value::Null, json!(""), json!(["a"]), json!("a".repeat(51)), json!(format!("sha256:{}", "a".repeat(64)))]
    {
        bad(&digest(digits), Reason::BadDigest, "subject[1].digest.sha256");
    }
    let slsa = json!({"predicateType": "https://slsa.dev/provenance/v1", "predicate": []});
    bad(&statement(slsa), Reason::BadField, "predicate");
    let bom = json!({"predicateType": "https://cyclonedx.org/bom", "predicate": {"bomFormat": "CycloneDX", "specVersion": "9"}});
    bad(&statement(bom.clone()), Reason::UnsupportedVersion, "predicate.specVersion");
    bad(&sealed(&statement(bom)), Reason::UnsupportedVersion, "payload.predicate.specVersion");
    bad(&envelope("no base64!"), Reason::BadField, "payload");
    bad(&envelope(""), Reason::MissingField, "payload");
    bad(&envelope(&base64(b"{\"_type\":")), Reason::Malformed, "payload");
    bad(&envelope(&base64(b"\xff")), Reason::NotUtf8, "payload");
    bad(&json!({"payloadType": "a", "payload": "AA=="}), Reason::MissingField, "signatures");
    bad(&json!({"payloadType": "a", "payload": "AA==", "signatures": {}}), Reason::BadField, "signatures");
    let text = sealed(&statement(json!({}))).to_string();
    let dsse = Try { source: Some("dsse"), ..Try::default() };
    dsse.refuses(&text.as_bytes()[..text.len() / 2], Reason::Malformed, None);
    dsse.refuses(b" ", Reason::Empty, None);
}

#[test]
fn several_envelopes_are_several_facts_about_one_artifact() {
    let (one, two) =
        (sealed(&statement(json!({}))), sealed(&statement(json!({"predicateType": "https://example.com/q"}))));
    let lines = Try::default().lines(format!("{one}\n{two}\n").as_bytes()).unwrap();
    assert_eq!(lines.lines().count(), 2);
    assert!(lines.contains("https://example.com/p") && lines.contains("https://example.com/q"), "{lines}");
    let other = statement(json!({"subject": [{"digest": {"sha256": "2b".repeat(32)}}]}));
    let both = format!("{one}\n{}", sealed(&other));
    Try::default().refuses(both.as_bytes(), Reason::OtherSubject, Some("[1].subject"));
    let broken = format!("{one}\n{}", envelope("!"));
    Try::default().refuses(broken.as_bytes(), Reason::BadField, Some("[1].payload"));
}

#[test]
fn long_attestations_are_recognised_by_their_beginning() {
    let long = statement(json!({"predicate": {"note": "a".repeat(100_000)}})).to_string();
    let predicate_first = format!(
        "{{\"predicateType\":\"https://example.com/p\",\"predicate\":{:?},{}",
        "a".repeat(100_000),
        &statement(json!({})).to_string()[1..].replace("predicateType", "x")
    );
    let payload_first = format!(
        "{{\"payload\":\"{}\",\"payloadType\":\"application/vnd.in-toto+json\",\"signatures\":[]}}",
        base64(long.as_bytes())
    );
    for document in [long, predicate_first, payload_first] {
        let lines = Try::default().lines(document.as_bytes()).unwrap();
        assert!(lines.contains("https://example.com/p"), "{lines}");
    }
}

#[test]
fn bundles_name_what_is_wrong() {
    let path = "attestations/sigstore/happy-path-v0.3.json";
    let bundle: Value = serde_json::from_slice(&fixture(path)).unwrap();
    let bad = |pointer: &str, value: Value, reason, field| {
        let mut bundle = bundle.clone();
        *bundle.pointer_mut(pointer).unwrap() = value;
        Try::default().refuses(bundle.to_string().as_bytes(), reason, Some(field));
    };
    bad("/mediaType", json!("application/vnd.dev.sigstore.bundle.v0.4+json"), Reason::UnsupportedVersion, "mediaType");
    bad("/mediaType", Value::Null, Reason::MissingField, "mediaType");
    let digest = "messageSignature.messageDigest.digest";
    bad("/messageSignature/messageDigest/digest", Value::Null, Reason::MissingField, digest);
    for wrong in ["!", "AAAA"] {
        bad("/messageSignature/messageDigest/digest", json!(wrong), Reason::BadDigest, digest);
    }
    bad("/messageSignature", Value::Null, Reason::MissingField, "dsseEnvelope");
    bad("/verificationMaterial", Value::Null, Reason::MissingField, "verificationMaterial");
    let certificate = "verificationMaterial.certificate.rawBytes";
    bad("/verificationMaterial/certificate/rawBytes", json!("AAAA"), Reason::BadField, certificate);
    let entry = "/verificationMaterial/tlogEntries/0";
    let index = "verificationMaterial.tlogEntries[0].logIndex";
    bad(&format!("{entry}/logIndex"), json!("18446744073709551616"), Reason::BadNumber, index);
    let time = "verificationMaterial.tlogEntries[0].integratedTime";
    for wrong in ["yesterday", "9223372036854775807", "99999999999999"] {
        bad(&format!("{entry}/integratedTime"), json!(wrong), Reason::BadTime, time);
    }
    let vex = |with: Value| {
        json!({"@context": "https://openvex.dev/ns/v0.2.0", "@id": "a", "author": "b"})
            .as_object()
            .unwrap()
            .clone()
            .into_iter()
            .chain(with.as_object().unwrap().clone())
            .collect::<Value>()
    };
    let vex_bad = |body: Value, reason, field| given().refuses(body.to_string().as_bytes(), reason, Some(field));
    vex_bad(vex(json!({})), Reason::MissingField, "statements");
    vex_bad(
        vex(json!({"@context": "https://openvex.dev/ns/v1.0.0", "statements": []})),
        Reason::UnsupportedVersion,
        "@context",
    );
    let product = json!([{"products": [{"@id": "pkg:oci/a@sha256:abcd"}]}]);
    vex_bad(vex(json!({"statements": product})), Reason::BadDigest, "statements[0].products[0].@id");
}

/// A predicate that stands alone is told by its members, and is about what it is handed in for.
#[test]
fn bare_predicates_are_told_by_their_members() {
    let npm: Value = serde_json::from_slice(&fixture("attestations/intoto/npm-provenance-statement.json")).unwrap();
    let v1 = json!({"buildDefinition": {"buildType": "https://example.com/b"}, "runDetails": {"builder": {"id": "c"}}});
    let old = json!({"recipe": {"type": "https://example.com/b"}, "builder": {"id": "c"}});
    for (predicate, version) in [(&npm["predicate"], "v0.2"), (&v1, "v1"), (&old, "v0.1")] {
        for body in [predicate.clone(), json!({"SLSA": predicate})] {
            let event: Value = serde_json::from_str(&given().lines(body.to_string().as_bytes()).unwrap()).unwrap();
            assert_eq!(event["data"]["predicate_type"], format!("https://slsa.dev/provenance/{version}"));
            assert!(event["data"]["build_type"].is_string() && event["data"]["builder"].is_string(), "{event}");
        }
    }
    let by_name = Try { source: Some("predicate"), ..given() };
    by_name.refuses(b"{\"scanner\":[]}", Reason::BadField, Some("scanner"));
    by_name.refuses(b"{}", Reason::UnknownFormat, None);
}

/// A certificate with that name in it, and with Fulcio's issuer where one is given.
fn certificate(name: rcgen::SanType, issuer: Option<&str>) -> String {
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.subject_alt_names = vec![name];
    let text = |text: &str| [&[0x0c, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let extension = |text_of| rcgen::CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 57264, 1, 8], text(text_of));
    params.custom_extensions = issuer.map(extension).into_iter().collect();
    let key = rcgen::KeyPair::generate().unwrap();
    base64(params.self_signed(&key).unwrap().der())
}

#[test]
fn people_and_workflows_sign_and_others_are_nobody() {
    let issuer = Some("https://accounts.example.com");
    let bundle: Value = serde_json::from_slice(&fixture("attestations/sigstore/happy-path-v0.3.json")).unwrap();
    let signer = |name: rcgen::SanType, issuer| {
        let mut bundle = bundle.clone();
        bundle["verificationMaterial"]["certificate"]["rawBytes"] = json!(certificate(name, issuer));
        let event = Try::default().lines(bundle.to_string().as_bytes()).unwrap();
        serde_json::from_str::<Value>(&event).unwrap()["data"]["signer"].clone()
    };
    let mail = || rcgen::SanType::Rfc822Name("jane@example.com".try_into().unwrap());
    let uri = |uri: &str| rcgen::SanType::URI(uri.try_into().unwrap());
    assert_eq!(signer(mail(), issuer), json!({"issuer": issuer, "subject": "jane@example.com"}));
    assert_eq!(signer(mail(), None), Value::Null);
    let other = rcgen::SanType::OtherName((vec![1, 3, 6, 1, 4, 1, 57264, 1, 7], "jane".into()));
    assert_eq!(signer(other, issuer)["subject"], "jane");
    let account = "https://kubernetes.io/namespaces/a/serviceaccounts/b";
    assert_eq!(signer(uri(account), issuer), json!({"issuer": issuer, "subject": account}));
    let workflow = "https://github.com/o/r/.github/workflows/w.yml@refs/heads/main";
    assert_eq!(signer(uri(workflow), issuer), json!({"issuer": issuer, "subject": workflow, "workflow": workflow}));
}

proptest! {
    /// Base64 is read in both alphabets, padded or not.
    #[test]
    fn payloads_are_read_in_every_base64(text in "[ -~äöü?>]{0,40}") {
        let statement = statement(json!({"predicate": {"note": text}})).to_string();
        let bytes = statement.as_bytes();
        let data = |payload: String| {
            let lines = Try::default().lines(envelope(&payload).to_string().as_bytes()).unwrap();
            let mut data = serde_json::from_str::<Value>(&lines).unwrap()["data"].clone();
            data["document"] = Value::Null;
            data
        };
        let wanted = data(base64(bytes));
        for encoding in [data_encoding::BASE64_NOPAD, data_encoding::BASE64URL, data_encoding::BASE64URL_NOPAD] {
            prop_assert_eq!(&data(encoding.encode(bytes)), &wanted);
        }
    }
}
