//! Registries: manifests, and which digest a tag named when.

use plimsoll::ingest::Reason;
use plimsoll::ingest::upload::About;

use super::{Try, fixture};

fn named(name: &str, tag: Option<&str>) -> Try<'static> {
    let about = About { name: Some(name.to_owned()), tag: tag.map(str::to_owned), ..About::default() };
    Try { about, ..Try::default() }
}

#[test]
fn manifests_and_indexes_are_artifacts_by_the_digest_of_their_bytes() {
    for path in ["oci-index", "oci-manifest", "oci-artifact-with-config"] {
        let path = format!("registry/{path}.json");
        named("ghcr.io/acme/churn-api", Some("main")).golden(&path);
        named("ghcr.io/acme/churn-api", None).never_panics(&path);
    }
    Try::default().refused("registry/oci-descriptor-with-urls.json");
}

#[test]
fn a_manifest_needs_a_name_and_must_be_the_one_that_is_meant() {
    let index = fixture("registry/oci-index.json");
    Try::default().refuses(&index, Reason::NoSubject, Some("name"));
    let mut other = named("ghcr.io/acme/churn-api", None);
    other.about.artifact = Some(format!("sha256:{}", "ab".repeat(32)).parse().unwrap());
    other.refuses(&index, Reason::OtherSubject, Some("artifact"));
    let text = String::from_utf8(index).unwrap();
    let cut = text.replace("ad7fc331f", "ad7fc331");
    named("x", None).refuses(cut.as_bytes(), Reason::BadDigest, Some("manifests[0].digest"));
    named("x", None).refuses(text.replace(": 2,", ": 3,").as_bytes(), Reason::UnknownFormat, None);
}
