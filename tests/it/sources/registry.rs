//! Registries: manifests, and which digest a tag named when.

use plimsoll::ingest::Reason;
use plimsoll::ingest::upload::About;

use super::{Try, fixture};
use crate::support::http::post;
use crate::support::served::Served;

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

/// Hands a manifest in, by that name and tag, and returns the status and the types of what was recorded anew.
async fn handed_in(served: &Served, manifest: &str, tag: &str) -> (u16, Vec<String>) {
    let path = format!("/v1/evidence?kind=artifact&name=ghcr.io/acme/api&tag={tag}");
    let answer = post(served.addresses.http, &path, &[], &fixture(&format!("registry/{manifest}.json"))).await;
    let told: serde_json::Value = serde_json::from_str(answer.text()).unwrap();
    let new = told["events"].as_array().into_iter().flatten().filter(|event| event["duplicate"] == false);
    (answer.status, new.map(|event| event["type"].as_str().unwrap().to_owned()).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_may_go_back_and_what_is_refused_leaves_nothing() {
    let served = Served::new().await;
    let both = vec!["artifact.published".to_owned(), "tag.repointed".to_owned()];
    let moved = vec!["tag.repointed".to_owned()];
    assert_eq!(handed_in(&served, "oci-index", "main").await, (200, both.clone()));
    assert_eq!(handed_in(&served, "oci-index", "main").await.1, Vec::<String>::new());
    served.house.clock.advance(1_000_000);
    assert_eq!(handed_in(&served, "oci-manifest", "main").await, (200, both.clone()));
    served.house.clock.advance(1_000_000);
    let (status, new) = handed_in(&served, "oci-index", "main").await;
    assert!(status == 200 && new.ends_with(&moved), "{new:?}");
    let size = served.ledger.head().size;
    assert_eq!(handed_in(&served, "oci-artifact-with-config", &"x".repeat(2_000)).await, (422, Vec::new()));
    assert_eq!(served.ledger.head().size, size);
    served.stop().await;
}
