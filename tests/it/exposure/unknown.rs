//! Unknown is not no.

use serde_json::{Value, json};

use super::vulnerabilities::{CVE, report};
use super::{Shop, day, digest, periods, unknown};

#[test]
fn what_ran_without_a_document_is_listed_until_one_comes() {
    let shop = Shop::new();
    shop.sbom("a", &["pkg:npm/lodash@4.17.20"]);
    shop.deploy(&[("production/api", 2, "a"), ("production/api", 4, "b"), ("production/web", 5, "c")]);
    let asked = ["--package", "lodash"];
    let before = shop.ask(&asked);
    assert_eq!(periods(&before), ["production/api 02-04 unknown"]);
    assert_eq!(unknown(&before), ["c", "b"], "the last that was deployed comes first");
    let place = json!({"environment": "production", "service": "api", "from": day(4), "to": null});
    assert_eq!(before["unknown"][1]["places"], json!([place]));
    let text = shop.0.run(["exposure", "--package", "lodash"]).ok();
    assert!(text.contains("they may have it") && text.contains("unknown by production/api/4"), "{text}");
    // A late document: it ran all the time, and could be known from now on.
    shop.sbom("b", &["pkg:npm/lodash@4.17.20"]);
    shop.sbom("c", &["pkg:npm/left-pad@1.3.0"]);
    let after = shop.ask(&asked);
    assert_eq!((periods(&after), unknown(&after)), (vec!["production/api 02-".to_owned()], vec![]));
    let known = before["basis"]["known_at"].to_string();
    let then = shop.ask(&["--package", "lodash", "--known-at", &known]);
    assert_eq!(then, before);
    shop.is_rebuilt_the_same();
}

#[test]
fn unknown_images_are_of_the_time_and_place_asked_about_and_come_in_pages() {
    let shop = Shop::new();
    shop.sbom("known", &["pkg:npm/lodash@4.17.20"]);
    shop.deploy(&[
        ("production/api", 2, "a"),
        ("production/api", 4, "b"),
        ("staging/web", 5, "c"),
        ("staging/web", 7, "d"),
    ]);
    let of = |args: &[&str]| {
        let answer = shop.ask(&[&["--package", "lodash"], args].concat());
        unknown(&answer).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(of(&[]), ["d", "c", "b", "a"]);
    assert_eq!(of(&["--environment", "staging"]), ["d", "c"]);
    assert_eq!(of(&["--from", "2026-03-04", "--to", "2026-03-06"]), ["c", "b"]);
    let first = shop.ask(&["--package", "lodash", "-n", "3"]);
    assert_eq!(unknown(&first), ["d", "c", "b"]);
    let token = first["next_unknown_page_token"].as_str().unwrap();
    assert_eq!(of(&["-n", "3", "--unknown-page-token", token]), ["a"]);
    assert!(shop.run(&["--package", "lodash", "--unknown-page-token", "1.2"]).fails(2).contains("page_token"));
}

#[test]
fn what_does_not_tell_is_no_document() {
    let shop = Shop::new();
    shop.sbom("known", &["pkg:npm/lodash@4.17.20"]);
    shop.deploy(&[("production/api", 2, "counted"), ("production/web", 3, "failed")]);
    // A scan of which only counts are told, and one that did not come to its end.
    let counted = json!({"kind": "vulnerability", "status": "completed", "tool": "trivy", "findings": 0});
    shop.say(&[("scan.finished", &format!("artifact/{}", digest("counted")), 1, counted)]);
    let report = json!({"SchemaVersion": 2, "ArtifactName": "api", "ArtifactType": "container_image", "Results": []});
    let args = [
        "record",
        "scan",
        "-",
        "--format",
        "trivy",
        "--exit-code",
        "1",
        "--at",
        &day(1),
        "--artifact",
        &digest("failed"),
    ];
    shop.0.feed(args, report.to_string().as_bytes()).ok();
    let answer = shop.ask(&["--package", "lodash"]);
    assert_eq!(unknown(&answer), ["failed", "counted"]);
    assert_eq!(answer["unknown"][1]["reasons"], json!(["there was a scan whose report is not here"]));
    assert_eq!(answer["unknown"][0]["reasons"], json!(["the scan failed"]));
}

#[test]
fn a_scan_lists_only_what_it_found_and_what_it_could_not_know_it_did_not_find() {
    let shop = Shop::new();
    shop.sbom("listed", &["pkg:npm/lodash@4.17.21"]);
    for (image, at, found) in [("scanned", 5, &[][..]), ("early", 1, &[]), ("found", 5, &[("lodash", "4.17.15")])] {
        shop.hand_in("scan", image, &report(at, "2026-03-03T00:00:00Z", found));
    }
    shop.deploy(&[
        ("production/a", 2, "listed"),
        ("production/b", 3, "scanned"),
        ("production/c", 4, "early"),
        ("production/d", 5, "found"),
        ("production/d", 6, "early"),
        ("staging/d", 5, "found"),
        ("staging/d", 6, "scanned"),
    ]);
    let reason = |answer: &Value, n: usize| answer["unknown"][n]["reasons"][0].as_str().unwrap().to_owned();
    let package = shop.ask(&["--package", "lodash@<4.17.21"]);
    assert_eq!(unknown(&package), ["early", "scanned"]);
    assert_eq!(reason(&package, 1), "a scan lists only what it found");
    let mut ends = periods(&package);
    ends.sort();
    assert_eq!(ends, ["production/d 05-06 unknown", "staging/d 05-06 unknown"]);
    let vulnerability = shop.ask(&["--cve", CVE]);
    assert_eq!(unknown(&vulnerability), ["early", "listed"]);
    assert_eq!(reason(&vulnerability, 0), "it was not scanned since that was made public");
    assert_eq!(reason(&vulnerability, 1), "a bill of materials does not tell what is wrong with it");
    let mut ends = periods(&vulnerability);
    ends.sort();
    assert_eq!(ends, ["production/d 05-06 unknown", "staging/d 05-06 fixed"]);
    // A scan that comes later says what was not known before.
    let known = vulnerability["basis"]["known_at"].to_string();
    shop.hand_in("scan", "early", &report(8, "2026-03-03T00:00:00Z", &[]));
    assert_eq!(unknown(&shop.ask(&["--cve", CVE])), ["listed"]);
    assert_eq!(shop.ask(&["--cve", CVE, "--known-at", &known]), vulnerability);
    shop.is_rebuilt_the_same();
}

#[test]
fn what_ran_without_a_digest_or_without_images_is_told() {
    let shop = Shop::new();
    shop.sbom("known", &["pkg:npm/lodash@4.17.20"]);
    let tagged =
        json!({"deployment": "1", "finished_at": day(2), "images": [{"name": "example.com/api", "tag": "main"}]});
    let bare = json!({"deployment": "1", "finished_at": day(2), "commit": "0123456789012345678901234567890123456789"});
    shop.say(&[
        ("sync.succeeded", "target/production/api", 2, tagged),
        ("sync.succeeded", "target/production/web", 2, bare.clone()),
        ("sync.failed", "target/production/job", 2, bare),
    ]);
    let answer = shop.ask(&["--package", "lodash"]);
    assert_eq!(answer["unknown"][0]["reasons"], json!(["it is known by its tag alone"]));
    assert_eq!(answer["without_images"], json!([{"environment": "production", "service": "web"}]));
    assert!(
        shop.0
            .run(["exposure", "--package", "lodash"])
            .ok()
            .contains("not even the images are known of: production/web")
    );
    assert!(shop.ask(&["--package", "lodash", "--to", "2026-03-02"])["without_images"].as_array().unwrap().is_empty());
}
