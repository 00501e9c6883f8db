//! Packages and their versions.

use serde_json::{Value, json};

use super::{Shop, day, digest, periods, synced, unknown};

/// One version in staging and, for a while, in production; then a newer one.
fn shop() -> Shop {
    let shop = Shop::new();
    shop.sbom("old", &["pkg:npm/lodash@4.17.20", "pkg:pypi/requests@2.31.0"]);
    shop.sbom("new", &["pkg:npm/lodash@4.17.21", "pkg:pypi/requests@2.31.0"]);
    shop.deploy(&[
        ("staging/api", 2, "old"),
        ("production/api", 3, "old"),
        ("production/api", 5, "new"),
        ("production/web", 6, "old"),
    ]);
    shop.say(&[("target.removed", "target/production/web", 8, json!({"cause": "declared"}))]);
    shop
}

#[test]
fn a_package_ran_from_deployment_to_deployment() {
    let shop = shop();
    let old = ["staging/api 02-", "production/web 06-08 removed", "production/api 03-05 fixed"];
    for asked in ["lodash@<4.17.21", "lodash@4.17.20", "LODASH@~4.17.1,!=4.17.21", "pkg:npm/lodash@4.17.20"] {
        assert_eq!(shop.periods(&["--package", asked]), old, "{asked}");
    }
    let all = ["production/api 03-", "staging/api 02-", "production/web 06-08 removed"];
    for asked in ["lodash", "pkg:npm/lodash", "lodash@4.17.x", "requests@2.31", "pkg:pypi/Requests"] {
        assert_eq!(shop.periods(&["--package", asked]), all, "{asked}");
    }
    assert!(shop.periods(&["--package", "lodash@<4"]).is_empty(), "it is known, and not in these versions");
    assert!(shop.run(&["--package", "left-pad"]).fails(1).contains("package left-pad not found"));
    assert!(shop.run(&["--package", "pkg:pypi/lodash"]).fails(1).contains("not found"));
    assert!(shop.run(&["--package", "lodash", "--environment", "moon"]).fails(1).contains("target moon not found"));
    for wrong in [&["--package", "lodash@<"][..], &["--package", "pkg:"], &[], &["--package", "a", "--cve", "b"]] {
        shop.run(wrong).fails(2);
    }
}

#[test]
fn a_time_tells_what_ran_what_ended_it_and_when_it_could_be_known() {
    let shop = shop();
    let answer = shop.ask(&["--package", "lodash@<4.17.21", "--environment", "production", "--service", "api"]);
    let period = &answer["periods"][0];
    assert_eq!(period["ended_by"], "production/api/5");
    assert_eq!(period["packages"], json!(["pkg:npm/lodash@4.17.20"]));
    assert_eq!(period["images"][0]["image"], json!({"name": "example.com/api", "tag": "old", "digest": digest("old")}));
    assert_eq!((&period["first_seen"]["kind"], &period["first_seen"]["at"]), (&json!("sbom"), &json!(day(1))));
    assert_eq!((&answer["artifacts"], &answer["periods_total"]), (&json!(1), &json!(1)));
    // Versions that follow one another are one time.
    let both = shop.ask(&["--package", "requests", "--environment", "production", "--service", "api"]);
    assert_eq!(
        (periods(&both), &both["periods"][0]["images_total"]),
        (vec!["production/api 03-".to_owned()], &json!(2))
    );
    let text = shop.0.run(["exposure", "--package", "lodash"]).ok();
    for part in
        ["in 2 artifacts, which ran 3 times", "versions: pkg:npm/lodash@4.17.20, pkg:npm/lodash@4.17.21", "(lasts)"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    shop.is_rebuilt_the_same();
}

#[test]
fn windows_and_pages_are_parts_of_the_whole() {
    let shop = shop();
    let window = |from: &str, to: &str| shop.periods(&["--package", "lodash@<4.17.21", "--from", from, "--to", to]);
    assert_eq!(window("2026-03-01", "2026-03-03"), ["staging/api 02-"]);
    assert_eq!(window("2026-03-05", "2026-03-07"), ["staging/api 02-", "production/web 06-08 removed"]);
    assert_eq!(window("2026-03-04", "2026-03-05"), ["staging/api 02-", "production/api 03-05 fixed"]);
    let whole = shop.periods(&["--package", "lodash"]);
    let (mut pages, mut token) = (Vec::new(), String::new());
    loop {
        let answer = shop.ask(&["--package", "lodash", "-n", "1", "--page-token", &token]);
        assert_eq!(answer["periods_total"], 3);
        pages.extend(periods(&answer));
        // What comes between two pages is not in the second.
        if token.is_empty() {
            shop.deploy(&[("production/api", 9, "old")]);
        }
        token = answer["next_page_token"].as_str().unwrap().to_owned();
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(pages, whole);
}

#[test]
fn a_server_and_the_data_directory_answer_alike_and_known_at_is_what_was_known_then() {
    let shop = shop();
    let asked = ["--package", "lodash@<4.17.21"];
    let before = shop.ask(&asked);
    let known = before["basis"]["known_at"].to_string();
    shop.deploy(&[("staging/api", 4, "new")]);
    assert_eq!(shop.periods(&asked)[0], "production/web 06-08 removed");
    assert_eq!(shop.ask(&[&asked[..], &["--known-at", &known]].concat()), before);
    let server = shop.0.serve(&[]);
    let url = server.url();
    assert_eq!(shop.ask(&[&asked[..], &["--server", &url, "--known-at", &known]].concat()), before);
}

#[test]
fn the_order_in_which_things_become_known_does_not_matter() {
    let shop = shop();
    let turned = Shop::new();
    turned.say(&[("target.removed", "target/production/web", 8, json!({"cause": "declared"}))]);
    for (target, at, image) in [
        ("production/web", 6, "old"),
        ("production/api", 5, "new"),
        ("production/api", 3, "old"),
        ("staging/api", 2, "old"),
    ] {
        let stream = format!("target/{target}");
        turned.say(&[("sync.succeeded", &stream, at, synced(target, at, image))]);
    }
    turned.run(&["--package", "lodash"]).fails(1);
    turned.sbom("new", &["pkg:pypi/requests@2.31.0", "pkg:npm/lodash@4.17.21"]);
    turned.sbom("old", &["pkg:pypi/requests@2.31.0", "pkg:npm/lodash@4.17.20"]);
    for asked in ["lodash", "lodash@<4.17.21", "requests"] {
        assert_eq!(turned.periods(&["--package", asked]), shop.periods(&["--package", asked]), "{asked}");
    }
    turned.is_rebuilt_the_same();
}

#[test]
fn versions_that_cannot_be_compared_are_told() {
    let shop = Shop::new();
    shop.sbom("a", &["pkg:npm/left@latest", "pkg:npm/left@1.0.0"]);
    shop.deploy(&[("production/api", 2, "a")]);
    let answer = shop.ask(&["--package", "left@<1"]);
    assert_eq!(answer["not_compared"], json!(["pkg:npm/left@latest"]));
    assert_eq!((&answer["packages"], periods(&answer).len()), (&json!([]), 0));
    assert_eq!(shop.periods(&["--package", "left@latest"]), ["production/api 02-"]);
    assert!(
        shop.0.run(["exposure", "--package", "left@<1"]).ok().contains("could not be compared: pkg:npm/left@latest")
    );
}

#[test]
fn what_is_in_the_image_of_a_platform_is_in_the_index_that_runs() {
    let shop = Shop::new();
    let platform =
        |architecture: &str, name: &str| json!({"digest": digest(name), "platform": format!("linux/{architecture}")});
    shop.sbom("arm", &["pkg:npm/lodash@4.17.20"]);
    shop.deploy(&[("production/api", 2, "index")]);
    let published: Value = json!({"name": "example.com/api", "tags": [], "platforms": [platform("amd64", "amd"), platform("arm64", "arm")]});
    assert_eq!(unknown(&shop.ask(&["--package", "lodash"])), ["index"]);
    shop.say(&[("artifact.published", &format!("artifact/{}", digest("index")), 1, published)]);
    let answer = shop.ask(&["--package", "lodash"]);
    assert_eq!((periods(&answer), unknown(&answer)), (vec!["production/api 02-".to_owned()], Vec::new()));
    shop.is_rebuilt_the_same();
}
