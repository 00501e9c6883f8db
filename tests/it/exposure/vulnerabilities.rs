//! Vulnerabilities: what scanners find, what people say of it, and what follows from packages.

use serde_json::{Value, json};

use super::{Shop, day, digest, periods};
use crate::sources::fixture;

pub const CVE: &str = "CVE-2020-8203";

const PUBLISHED: &str = "2020-07-15T17:15:00Z";

/// A report of Trivy's, made on a day, about what was made public at some time.
pub fn report(at: u32, published: &str, found: &[(&str, &str)]) -> Value {
    let vulnerability = |(package, version): &(&str, &str)| {
        json!({
            "VulnerabilityID": CVE, "VendorIDs": ["GHSA-p6mc-m468-83gw"], "PkgName": package, "InstalledVersion": version,
            "PkgIdentifier": {"PURL": format!("pkg:npm/{package}@{version}")}, "FixedVersion": "4.17.19",
            "Severity": "HIGH", "PublishedDate": published,
        })
    };
    let found: Vec<_> = found.iter().map(vulnerability).collect();
    json!({
        "SchemaVersion": 2, "CreatedAt": day(at), "ArtifactName": "api", "ArtifactType": "container_image",
        "Results": [{"Target": "Node.js", "Class": "lang-pkgs", "Type": "node-pkg", "Vulnerabilities": found}],
    })
}

/// An OpenVEX document about images.
fn statement(at: u32, status: &str, images: &[&str]) -> Value {
    let product = |image: &&str| {
        let digest = digest(image).replace(':', "%3A");
        json!({"@id": format!("pkg:oci/api@{digest}?repository_url=example.com/api")})
    };
    let products: Vec<_> = images.iter().map(product).collect();
    json!({
        "@context": "https://openvex.dev/ns/v0.2.0", "@id": format!("https://example.com/vex/{at}"), "author": "Acme",
        "timestamp": day(at), "version": 1,
        "statements": [{"vulnerability": {"name": CVE}, "products": products, "status": status}],
    })
}

#[test]
fn a_real_report_tells_where_a_vulnerability_ran_and_when_it_was_made_public() {
    let shop = Shop::new();
    let document: Value = serde_json::from_slice(&fixture("trivy/alpine-310.json")).unwrap();
    let recorded = shop.hand_in("scan", "a", &document);
    shop.deploy(&[("production/api", 2, "a")]);
    let answer = shop.ask(&["--cve", "cve-2019-1549"]);
    assert_eq!(answer["vulnerabilities"], json!(["CVE-2019-1549"]));
    assert_eq!(answer["disclosed_at"], "2019-09-10T17:15:00.000000Z");
    assert_eq!(answer["first_seen"]["position"], recorded["position"]);
    assert_eq!(periods(&answer), ["production/api 02-"]);
    let image = &answer["periods"][0]["images"][0];
    assert_eq!(image["evidence"], "document");
    assert_eq!(image["statements"].as_array().unwrap().len(), 2, "one for each package");
    assert_eq!(image["statements"][0]["fixed_in"], "1.1.1d-r0");
    assert!(shop.run(&["--cve", "CVE-1999-0001"]).fails(1).contains("vulnerability CVE-1999-0001 not found"));
    assert_eq!(shop.periods(&["--package", "pkg:apk/alpine/libcrypto1.1@<1.1.1d-r0"]), ["production/api 02-"]);
    let text = shop.0.run(["exposure", "--cve", "CVE-2019-1549"]).ok();
    assert!(text.starts_with("CVE-2019-1549, made public 2019-09-10T17:15:00Z\n"), "{text}");
    shop.is_rebuilt_the_same();
}

#[test]
fn what_other_tools_found_is_found_too() {
    for (kind, path, asked, statement) in [
        ("scan", "snyk/container-fixable.json", ["--cve", "CVE-2018-20843"], Some(("snyk", "high", Some("2.2.7-r0")))),
        (
            "scan",
            "grype/image.golden.json",
            ["--cve", "CVE-1999-0001"],
            Some(("grype", "low", Some("1.2.1, 2.1.3, 3.4.0"))),
        ),
        (
            "scan",
            "trivy/dd-operator-vulnerabilityreport.json",
            ["--cve", "CVE-2023-23914"],
            Some(("trivy", "critical", Some("7.87.0-r2"))),
        ),
        ("sbom", "sbom/cyclonedx/trivy-with-vulnerabilities-1.7.json", ["--cve", "CVE-2019-18224"], None),
        ("sbom", "sbom/spdx/example14-maven-2.3.json", ["--package", "junit@3.8.1"], None),
        ("sbom", "sbom/syft/alpine-schema-13.json", ["--package", "musl@<2"], None),
        (
            "attestation",
            "attestations/dsse/centos-7-cyclonedx.intoto.jsonl",
            ["--package", "pkg:rpm/centos/openssl-libs@<=1.0.2k-16.el7?epoch=1"],
            None,
        ),
    ] {
        let shop = Shop::new();
        shop.hand_in_bytes(kind, "a", &fixture(path));
        shop.deploy(&[("production/api", 2, "a")]);
        let answer = shop.ask(&asked);
        assert_eq!(periods(&answer), ["production/api 02-"], "{path}");
        if let Some((tool, severity, fixed_in)) = statement {
            let told = &answer["periods"][0]["images"][0]["statements"][0];
            assert_eq!((&told["sighting"]["tool"], &told["severity"]), (&json!(tool), &json!(severity)), "{path}");
            assert_eq!(told["fixed_in"], json!(fixed_in), "{path}");
        }
        shop.is_rebuilt_the_same();
    }
}

#[test]
fn a_vulnerability_is_found_by_any_of_its_names() {
    let shop = Shop::new();
    shop.hand_in("scan", "a", &report(1, PUBLISHED, &[("lodash", "4.17.15")]));
    shop.deploy(&[("production/api", 2, "a")]);
    for name in [CVE, "ghsa-p6mc-m468-83gw"] {
        let answer = shop.ask(&["--cve", name]);
        assert_eq!(answer["vulnerabilities"], json!([CVE, "GHSA-P6MC-M468-83GW"]));
        assert_eq!(periods(&answer), ["production/api 02-"]);
    }
}

#[test]
fn the_same_version_of_a_package_elsewhere_is_vulnerable_too_until_a_scan_says_otherwise() {
    let shop = Shop::new();
    shop.sbom("listed", &["pkg:npm/lodash@4.17.15"]);
    shop.sbom("newer", &["pkg:npm/lodash@4.17.21"]);
    shop.hand_in("scan", "scanned", &report(3, PUBLISHED, &[("lodash", "4.17.15")]));
    // It was looked at before anybody knew, and found well: that says nothing.
    shop.hand_in("scan", "listed", &report(2, PUBLISHED, &[]));
    shop.deploy(&[("production/api", 2, "scanned"), ("production/web", 3, "listed"), ("production/job", 4, "newer")]);
    let answer = shop.ask(&["--cve", CVE]);
    assert_eq!(periods(&answer), ["production/web 03-", "production/api 02-"]);
    let evidence = |n: usize| answer["periods"][n]["images"][0]["evidence"].clone();
    assert_eq!((evidence(0), evidence(1)), (json!("package"), json!("document")));
    shop.hand_in("scan", "listed", &report(4, PUBLISHED, &[]));
    assert_eq!(shop.periods(&["--cve", CVE]), ["production/api 02-"]);
    shop.is_rebuilt_the_same();
}

#[test]
fn what_was_declared_harmless_is_shown_as_such() {
    let shop = Shop::new();
    for image in ["a", "b"] {
        shop.hand_in("scan", image, &report(1, PUBLISHED, &[("lodash", "4.17.15")]));
    }
    shop.deploy(&[("production/api", 2, "a"), ("production/api", 5, "b")]);
    assert_eq!(shop.periods(&["--cve", CVE]), ["production/api 02-"]);
    // About both images: each only of itself. The other one's document says nothing of it.
    shop.hand_in("attestation", "b", &statement(3, "not_affected", &["b", "c"]));
    shop.hand_in("attestation", "a", &statement(4, "not_affected", &["c"]));
    let answer = shop.ask(&["--cve", CVE]);
    assert_eq!(periods(&answer), ["production/api 05- suppressed", "production/api 02-05 judged_otherwise"]);
    let statements = answer["periods"][0]["images"][0]["statements"].as_array().unwrap();
    let kinds: Vec<_> =
        statements.iter().map(|it| (it["sighting"]["kind"].as_str().unwrap(), it["suppressed"] == true)).collect();
    assert_eq!(kinds, [("statement", true), ("scan", false)]);
    // The last word counts, whichever came first.
    shop.hand_in("attestation", "b", &statement(2, "affected", &["b"]));
    assert_eq!(shop.periods(&["--cve", CVE]).len(), 2);
    shop.hand_in("attestation", "b", &statement(6, "affected", &["b"]));
    assert_eq!(shop.periods(&["--cve", CVE]), ["production/api 02-"]);
    shop.is_rebuilt_the_same();
}
