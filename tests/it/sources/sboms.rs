//! Bills of materials.

use plimsoll::ingest::Reason;
use plimsoll::ingest::upload::About;

use super::{Try, fixture};

/// Handed in for an artifact, as of documents that do not say what they are about.
fn given() -> Try<'static> {
    let artifact = format!("sha256:{}", "a1".repeat(32)).parse().ok();
    Try { about: About { artifact, ..About::default() }, details: true, ..Try::default() }
}

fn named() -> Try<'static> {
    Try { details: true, ..Try::default() }
}

/// Every fixture, and whether it names what it is about.
const FIXTURES: &[(&str, bool)] = &[
    ("sbom/cyclonedx/alpine-image.json", true),
    ("sbom/cyclonedx/centos-7-image-1.5.json", false),
    ("sbom/cyclonedx/cisa-1-vex-affected.json", false),
    ("sbom/cyclonedx/cisa-1-vex-fixed.json", false),
    ("sbom/cyclonedx/cisa-1-vex-not_affected.json", false),
    ("sbom/cyclonedx/cisa-1-vex-under_investigation.json", false),
    ("sbom/cyclonedx/components-flat.json", true),
    ("sbom/cyclonedx/laravel-1.4.json", false),
    ("sbom/cyclonedx/minikube-kbom-1.5.json", false),
    ("sbom/cyclonedx/py-environment-1.6.json", false),
    ("sbom/cyclonedx/py-req-1.4.json", false),
    ("sbom/cyclonedx/py-req-1.5.json", false),
    ("sbom/cyclonedx/py-req-1.6.json", false),
    ("sbom/cyclonedx/small-legal.json", false),
    ("sbom/cyclonedx/syft-gomod-1.2.json", false),
    ("sbom/cyclonedx/syft-gomod-1.3.json", false),
    ("sbom/cyclonedx/syft-gomod-1.4.json", false),
    ("sbom/cyclonedx/syft-gomod-1.5.json", false),
    ("sbom/cyclonedx/syft-gomod-1.6.json", false),
    ("sbom/cyclonedx/syft-gomod-1.7.json", false),
    ("sbom/cyclonedx/trivy-with-vulnerabilities-1.7.json", false),
    ("sbom/cyclonedx/vex-affected.json", false),
    ("sbom/spdx/alpine-3.10.syft-2.2.json", false),
    ("sbom/spdx/alpine-image-2.2.json", false),
    ("sbom/spdx/example10-2.3.json", false),
    ("sbom/spdx/example10-3.0.json", false),
    ("sbom/spdx/example14-maven-2.3.json", false),
    ("sbom/spdx/ko-image-amd64-2.2.json", true),
    ("sbom/spdx/ko-index-2.2.json", true),
    ("sbom/spdx/syft-gomod-2.2.json", false),
    ("sbom/spdx/syft-gomod-2.3.json", false),
    ("sbom/spdx/syft-gomod-3.0.json", false),
    ("sbom/syft/alpine-schema-13.json", true),
    ("sbom/syft/alpine-schema-6.json", true),
    ("sbom/syft/gomod-schema-11.json", false),
];

#[test]
fn bills_of_materials_become_facts() {
    for (path, says_what_it_is_about) in FIXTURES {
        if *says_what_it_is_about {
            named().golden(path);
        } else {
            named().refuses(&fixture(path), Reason::NoSubject, Some("artifact"));
            given().golden(path);
        }
    }
}

#[test]
fn broken_bills_of_materials_never_panic() {
    for (path, _) in FIXTURES {
        given().never_panics(path);
    }
}
