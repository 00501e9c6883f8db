//! Attestations.

use plimsoll::ingest::Reason;
use plimsoll::ingest::upload::About;

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
    ("trivy/cosign-vuln-predicate.json", false),
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
