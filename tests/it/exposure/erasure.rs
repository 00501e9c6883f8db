//! What was read in a document goes with it.

use serde_json::{Value, json};

use super::vulnerabilities::{CVE, report};
use super::{Shop, bom, digest, periods, unknown};

impl Shop {
    /// Erases the blob that an event names.
    fn erase(&self, recorded: &Value) {
        let event = self.0.run(["show", &recorded["position"].to_string(), "--json"]).json();
        let blob = &event["evidence"][0];
        let data =
            json!({"blake3": blob["blake3"], "sha256": blob["sha256"], "size": blob["size"], "ground": "mistake"});
        self.say(&[("evidence.erased", "ledger", 20, data)]);
    }
}

#[test]
fn nothing_of_an_erased_document_is_left_and_a_rebuild_finds_the_same() {
    let shop = Shop::new();
    let first = shop.sbom("a", &["pkg:npm/lodash@4.17.20", "pkg:npm/left-pad@1.3.0"]);
    let second = shop.sbom("a", &["pkg:npm/lodash@4.17.20"]);
    shop.deploy(&[("production/api", 2, "a")]);
    let seen = |answer: &Value| answer["periods"][0]["first_seen"]["position"].clone();
    assert_eq!(seen(&shop.ask(&["--package", "lodash"])), first["position"]);
    shop.erase(&first);
    let left = shop.ask(&["--package", "lodash"]);
    assert_eq!((periods(&left), seen(&left)), (vec!["production/api 02-".to_owned()], second["position"].clone()));
    shop.run(&["--package", "left-pad"]).fails(1);
    shop.is_rebuilt_the_same();
    shop.erase(&second);
    shop.run(&["--package", "lodash"]).fails(1);
    shop.is_rebuilt_the_same();
    // Something else is known of something else: of this it is not known any more.
    shop.sbom("b", &["pkg:npm/lodash@4.17.20"]);
    let answer = shop.ask(&["--package", "lodash"]);
    assert_eq!((unknown(&answer), periods(&answer)), (vec!["a"], vec![]));
    assert_eq!(answer["unknown"][0]["reasons"], json!(["a document was erased"]));
    shop.is_rebuilt_the_same();
}

#[test]
fn a_document_that_is_handed_in_again_counts_again() {
    let shop = Shop::new();
    let document = bom(&["pkg:npm/lodash@4.17.20"]);
    let recorded = shop.hand_in("sbom", "a", &document);
    shop.deploy(&[("production/api", 2, "a"), ("production/web", 2, "b")]);
    shop.erase(&recorded);
    shop.run(&["--package", "lodash"]).fails(1);
    shop.hand_in("sbom", "b", &document);
    let answer = shop.ask(&["--package", "lodash"]);
    assert_eq!((periods(&answer), unknown(&answer)), (vec!["production/web 02-".to_owned()], vec!["a"]));
    assert_eq!(answer["periods"][0]["images"][0]["image"]["digest"], digest("b"));
    shop.is_rebuilt_the_same();
}

#[test]
fn what_an_erased_scan_found_and_called_by_other_names_is_gone() {
    let shop = Shop::new();
    let found = |at: u32| report(at, "2026-03-03T00:00:00Z", &[("lodash", "4.17.15")]);
    let first = shop.hand_in("scan", "a", &found(4));
    let second = shop.hand_in("scan", "a", &found(5));
    shop.deploy(&[("production/api", 2, "a")]);
    for (erased, left) in [(&first, true), (&second, false)] {
        shop.erase(erased);
        for asked in [["--cve", CVE], ["--cve", "GHSA-p6mc-m468-83gw"], ["--package", "lodash"]] {
            if left {
                let answer = shop.ask(&asked);
                assert_eq!(periods(&answer), ["production/api 02-"], "{asked:?}");
                assert_eq!(answer["first_seen"]["position"], second["position"], "{asked:?}");
            } else {
                shop.run(&asked).fails(1);
            }
        }
        shop.is_rebuilt_the_same();
    }
}
