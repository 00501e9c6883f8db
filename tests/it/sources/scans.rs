//! Scanners' reports.

use plimsoll::ingest::Reason;
use plimsoll::ingest::upload::About;
use plimsoll::report::{Document, Given, Kind, Sketch, detect};
use serde_json::{Value, json};

use super::{Try, fixture, received_at};

/// About a commit, for what does not say what it is about.
pub(super) fn of_commit() -> Try<'static> {
    let about = About {
        commit: Some("0123456789abcdef0123456789abcdef01234567".parse().unwrap()),
        repository: Some("github.com/acme/churn".to_owned()),
        run: Some("7".to_owned()),
        ..About::default()
    };
    Try { about, details: true, ..Try::default() }
}

/// Without anything known from outside.
pub(super) fn alone() -> Try<'static> {
    Try { details: true, ..Try::default() }
}

pub(super) fn with_exit_code(code: i32) -> Try<'static> {
    let mut tried = of_commit();
    tried.about.exit_code = Some(code);
    tried
}

pub(super) fn named(source: &'static str) -> Try<'static> {
    Try { source: Some(source), ..of_commit() }
}

/// The payloads of what bytes become.
pub(super) fn facts(tried: &Try<'_>, body: &[u8]) -> Vec<Value> {
    let text = tried.lines(body).unwrap_or_else(|rejection| panic!("{rejection}: {}", String::from_utf8_lossy(body)));
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line.get("data").is_some()).map(|mut line| line["data"].take()).collect()
}

/// The only payload of what a document becomes.
pub(super) fn fact(tried: &Try<'_>, document: &Value) -> Value {
    let facts = facts(tried, document.to_string().as_bytes());
    assert_eq!(facts.len(), 1, "{facts:?}");
    facts.into_iter().next().unwrap()
}

pub(super) fn refused(document: &Value, reason: Reason, field: &str) {
    of_commit().refuses(document.to_string().as_bytes(), reason, Some(field));
}

const WITH_DIGEST: &[&str] = &[
    "grype/dd-many_vulns_with_epss_values.json",
    "trivy/alpine-latest.repodigest.json",
    "trivy/cosign-vuln-predicate.json",
    "trivy/dd-license_scheme.json",
];

const OF_COMMIT: &[&str] = &[
    "bandit/itsdangerous.json",
    "bandit/werkzeug.json",
    "bandit/werkzeug.sarif",
    "clamav/clamscan-clean.txt",
    "clamav/clamscan-error.txt",
    "clamav/clamscan-found.txt",
    "clamav/clamscan-infected-only.txt",
    "clamav/clamscan-missing.txt",
    "clamav/dd-clamav_allmatch.txt",
    "clamav/dd-clamav_no_vuln.txt",
    "detect-secrets/baseline.json",
    "gitleaks/dd-redacted_data_many.json",
    "gitleaks/v8-simple.json",
    "gitleaks/v8-simple.sarif",
    "grype/dd-check_all_fields.json",
    "grype/dd-many_vulns4.json",
    "grype/dd-no_vuln.json",
    "grype/dd-same_cve_different_paths.json",
    "grype/image.golden.json",
    "grype/image.golden.sarif",
    "ruff/werkzeug.sarif",
    "safety/clean.json",
    "safety/vuln.json",
    "sarif/Baseline.sarif",
    "sarif/Catastrophic-execution-error.sarif",
    "sarif/DefaultRuleConfiguration.sarif",
    "sarif/Notifications.sarif",
    "sarif/One-run-empty-results.sarif",
    "sarif/One-run-no-results.sarif",
    "sarif/RuleMetadata.sarif",
    "sarif/Suppressions.sarif",
    "sarif/Taxonomies.sarif",
    "sarif/dd-codeql.sarif",
    "sarif/dd-dockle.sarif",
    "sarif/simple-example.sarif",
    "semgrep/werkzeug.json",
    "semgrep/werkzeug.sarif",
    "snyk/container-empty.sarif",
    "snyk/container-fixable.json",
    "snyk/container.sarif",
    "snyk/dd-all-projects_many_vulns.json",
    "snyk/dd-single_project_None_cvss.json",
    "snyk/dd-single_project_no_vulns.json",
    "snyk/dd-single_project_one_vuln.json",
    "trivy/alpine-310.gitlab.json",
    "trivy/alpine-310.json",
    "trivy/alpine-310.sarif",
    "trivy/alpine-39-high-critical.json",
    "trivy/alpine-39-skip.json",
    "trivy/cargo.lock.json",
    "trivy/dd-all_statuses.json",
    "trivy/dd-cvssv4_severity_source.json",
    "trivy/dd-kubernetes_fabricated_internal_duplicates_subset.json",
    "trivy/dd-legacy_trivy_mix.json",
    "trivy/dd-operator-vulnerabilityreport.json",
    "trivy/dd-scheme_2_no_vuln.json",
    "trivy/dockerfile.json",
    "trivy/helm_testchart.json",
    "trivy/license-cyclonedx.json",
    "trivy/npm.json",
    "trivy/pip.json",
    "trivy/spring4shell-jre8.json",
    "trivy/ubi-7.json",
    "trivy/ubuntu-gp2-x86-vm.json",
];

#[test]
fn reports_of_scanners_become_facts() {
    for path in WITH_DIGEST {
        alone().golden(path);
    }
    for path in OF_COMMIT {
        of_commit().golden(path);
    }
    // It names the commit itself.
    let mut tried = of_commit();
    tried.about.commit = None;
    tried.golden("sarif/dd-taint-python.sarif");
    // Nobody can tell whose `null` it is.
    named("gitleaks").golden("gitleaks/dd-no_findings.json");
}

#[test]
fn what_is_no_report_is_refused_by_name() {
    for path in ["sarif/No-runs.sarif", "trivy/alpine-310.asff.json", "bandit/werkzeug.csv", "gitleaks/v8-simple.csv"] {
        of_commit().refused(path);
    }
    for body in [&b"null"[..], b"[]"] {
        of_commit().refuses(body, Reason::UnknownFormat, None);
    }
}

#[test]
fn a_report_in_a_file_says_the_same_as_in_memory() {
    for path in OF_COMMIT.iter().chain(WITH_DIGEST) {
        let bytes = fixture(path);
        let format = detect(Some(Kind::Scan), &Sketch::of(&bytes)).unwrap();
        let given = Given { document: "ab".repeat(32).parse().unwrap(), exit_code: None, received_at: received_at() };
        let open = || -> std::io::Result<Box<dyn std::io::Read + '_>> { Ok(Box::new(bytes.as_slice())) };
        let streamed = (format.read)(&Document::stream(bytes.len() as u64, &open), &given, &mut ());
        assert_eq!(streamed, (format.read)(&Document::bytes(&bytes), &given, &mut ()), "{path}");
    }
}

/// One of each form; the others take a while.
const ONE_OF_EACH: &[&str] = &[
    "bandit/itsdangerous.json",
    "clamav/clamscan-missing.txt",
    "detect-secrets/baseline.json",
    "gitleaks/v8-simple.json",
    "grype/image.golden.json",
    "safety/clean.json",
    "sarif/DefaultRuleConfiguration.sarif",
    "semgrep/werkzeug.json",
    "snyk/dd-single_project_one_vuln.json",
    "trivy/alpine-310.gitlab.json",
    "trivy/dd-legacy_trivy_mix.json",
    "trivy/dd-operator-vulnerabilityreport.json",
    "trivy/dockerfile.json",
    "trivy/ubuntu-gp2-x86-vm.json",
];

#[test]
fn no_report_makes_the_program_panic() {
    let all = || OF_COMMIT.iter().chain(WITH_DIGEST);
    for path in if crate::support::rig::slow() { all().collect::<Vec<_>>() } else { ONE_OF_EACH.iter().collect() } {
        of_commit().never_panics(path);
    }
}

fn trivy(more: Value) -> Value {
    let mut report = json!({
        "SchemaVersion": 2, "ArtifactName": "ghcr.io/acme/churn-api:main", "ArtifactType": "container_image",
        "Results": [{"Target": "churn", "Class": "os-pkgs", "Type": "debian", "Vulnerabilities": [
            {"VulnerabilityID": "CVE-1", "PkgName": "zlib", "InstalledVersion": "1", "Severity": "HIGH"},
        ]}],
    });
    for (name, value) in more.as_object().unwrap() {
        report[name] = value.clone();
    }
    report
}

#[test]
fn trivy_is_refused_at_the_field_that_is_wrong() {
    let digest = format!("ghcr.io/acme/churn-api@sha256:{}", "ab".repeat(31));
    for (more, reason, field) in [
        (json!({"SchemaVersion": 3}), Reason::UnsupportedVersion, "SchemaVersion"),
        (json!({"SchemaVersion": 3, "Results": {}}), Reason::UnsupportedVersion, "SchemaVersion"),
        (json!({"CreatedAt": "yesterday"}), Reason::BadTime, "CreatedAt"),
        (json!({"CreatedAt": "2026-03-04T12:00:00"}), Reason::BadTime, "CreatedAt"),
        (json!({"CreatedAt": 9_000_000_000_000_000_000_u64}), Reason::BadTime, "CreatedAt"),
        (json!({"CreatedAt": "2036-03-04T12:00:00Z"}), Reason::FutureTime, "generated_at"),
        (json!({"Metadata": {"RepoDigests": ["", digest]}}), Reason::BadDigest, "Metadata.RepoDigests[1]"),
        (json!({"Metadata": {"Commit": "abc123"}}), Reason::BadDigest, "Metadata.Commit"),
        (json!({"Results": "none"}), Reason::BadField, "Results"),
        (json!({"Results": [{}, {"Vulnerabilities": {}}]}), Reason::BadField, "Results[1].Vulnerabilities"),
        (
            json!({"Results": [{"Vulnerabilities": [{"VulnerabilityID": 7}]}]}),
            Reason::BadField,
            "Results[0].Vulnerabilities[0].VulnerabilityID",
        ),
        (
            json!({"Results": [{"Class": "secret", "Secrets": [{"StartLine": -1}]}]}),
            Reason::BadField,
            "Results[0].Secrets[0].StartLine",
        ),
    ] {
        refused(&trivy(more), reason, field);
    }
    let null_digest =
        trivy(json!({"Metadata": {"RepoDigests": null, "ImageID": format!("sha256:{}", "ab".repeat(32))}}));
    alone().refuses(null_digest.to_string().as_bytes(), Reason::NoSubject, Some("artifact"));
    named("trivy").refuses(br#"{"ArtifactName":"x"}"#, Reason::MissingField, Some("SchemaVersion"));
    let huge = trivy(json!({})).to_string().replace("\"SchemaVersion\":2", "\"SchemaVersion\":2e999");
    of_commit().refuses(huge.as_bytes(), Reason::UnsupportedVersion, Some("SchemaVersion"));
    let whole = trivy(json!({})).to_string();
    named("trivy").refuses(&whole.as_bytes()[..whole.len() - 5], Reason::Malformed, None);
    let deep = format!("{{\"SchemaVersion\":2,\"ArtifactName\":{}", "[".repeat(500));
    assert!(of_commit().lines(deep.as_bytes()).is_err());
}

#[test]
fn trivy_says_of_each_kind_what_it_looked_for() {
    let tried = of_commit();
    let status = |more: Value| -> Vec<(String, String, Value)> {
        let facts = facts(&tried, trivy(more).to_string().as_bytes());
        let words = |fact: &Value, name: &str| fact[name].as_str().unwrap().to_owned();
        facts.iter().map(|fact| (words(fact, "kind"), words(fact, "status"), fact["findings"].clone())).collect()
    };
    let of = |kind: &str, status: &str, n: Value| (kind.to_owned(), status.to_owned(), n);
    let packages = json!({"Class": "os-pkgs", "Packages": [{"Name": "zlib", "Version": "1"}]});
    let licences =
        json!({"Class": "license", "Licenses": [{"Name": "GPL-3.0", "PkgName": "bash", "Severity": "HIGH"}]});
    let secret = json!({"Target": "a", "Class": "secret", "Secrets": [
        {"RuleID": "aws", "Severity": "CRITICAL", "StartLine": 3, "EndLine": 3, "Match": "key=***"},
        {"RuleID": "aws", "Severity": "CRITICAL", "StartLine": 3, "EndLine": 3, "Match": "key=***"},
    ]});
    let config = json!({"Target": "b", "Class": "config", "MisconfSummary": {"Successes": 3, "Failures": 0}});
    assert_eq!(status(json!({"Results": [packages]})), [of("vulnerability", "completed", json!(0))]);
    // Whether vulnerabilities were looked for cannot be told.
    assert_eq!(status(json!({"Results": [packages, licences]})), [of("licence", "completed", json!(1))]);
    assert_eq!(
        status(json!({"Results": [{"Class": "lang-pkgs"}, config, secret, licences]})),
        [
            of("vulnerability", "completed", json!(0)),
            of("misconfiguration", "completed", json!(0)),
            of("secret", "completed", json!(1)),
            of("licence", "completed", json!(1)),
        ]
    );
    for results in [json!(null), json!([])] {
        assert_eq!(status(json!({"Results": results})), [of("vulnerability", "not_run", Value::Null)]);
    }
    // Names in any order.
    let sorted = br#"{"ArtifactName":"a","Results":[{"Class":"config","Misconfigurations":[{"ID":"D1","Severity":"LOW","Status":"FAIL"},{"ID":"D2","Status":"PASS"}],"Target":"x"},{"Class":"config","Misconfigurations":[{"ID":"D1","Severity":"LOW","Status":"FAIL"},{"ID":"D1","Severity":"LOW","Status":"EXCEPTION"}],"Target":"y"}],"SchemaVersion":2}"#;
    let fact = &facts(&tried, sorted)[0];
    assert_eq!((&fact["findings"], &fact["severities"]["low"]), (&json!(2), &json!(2)));
}

#[test]
fn trivy_counts_what_was_declared_harmless_apart() {
    let modified = |id: &str| {
        json!({"Type": "vulnerability", "Status": "ignored", "Source": ".trivyignore", "Finding": {
        "VulnerabilityID": id, "PkgName": "zlib", "InstalledVersion": "1", "Severity": "CRITICAL"}})
    };
    let report = trivy(json!({"Results": [{"Class": "os-pkgs", "Target": "churn", "Vulnerabilities": [
        {"VulnerabilityID": "CVE-1", "PkgName": "zlib", "InstalledVersion": "1", "Severity": "LOW", "FixedVersion": "2",
         "CVSS": {"nvd": {"V2Score": 10.0, "V3Score": 7.5}, "ghsa": {"V40Score": 8}}},
        {"VulnerabilityID": "CVE-2", "PkgName": "zlib", "InstalledVersion": "1", "Severity": "HIGH", "Status": "not_affected"},
    ], "ExperimentalModifiedFindings": [modified("CVE-1"), modified("CVE-3")]}]}));
    let fact = fact(&of_commit(), &report);
    assert_eq!((&fact["findings"], &fact["suppressed"], &fact["cvss_max"]), (&json!(1), &json!(2), &json!("8")));
    assert_eq!((&fact["severities"]["low"], &fact["fixable"]["low"]), (&json!(1), &json!(1)));
}

#[test]
fn trivy_reads_clusters_in_both_forms() {
    let result = json!({"Target": "redis (debian)", "Class": "os-pkgs", "Vulnerabilities": [
        {"VulnerabilityID": "CVE-1", "PkgName": "zlib", "InstalledVersion": "1", "Severity": "HIGH"}]});
    let resource = json!({"Namespace": "a", "Kind": "Deployment", "Name": "redis", "Results": [result]});
    for list in ["Resources", "Findings", "Vulnerabilities"] {
        let fact = fact(&of_commit(), &json!({"ClusterName": "prod", list: [resource, resource]}));
        assert_eq!((&fact["findings"], &fact["scope"]), (&json!(1), &json!("cluster")), "{list}");
        assert_eq!((&fact["report_format"], &fact["status"]), (&json!("trivy-k8s"), &json!("completed")));
    }
    let broken = json!({"Kind": "Pod", "Name": "x", "Error": "image pull failed"});
    let partial =
        fact(&of_commit(), &json!({"SchemaVersion": 0, "ClusterName": "prod", "Resources": [resource, broken]}));
    assert_eq!(partial["status"], "partial");
    let failed = fact(&of_commit(), &json!({"ClusterName": "prod", "Resources": [broken]}));
    assert_eq!(failed["status"], "failed");
    refused(&json!({"SchemaVersion": 3, "ClusterName": "prod"}), Reason::UnsupportedVersion, "SchemaVersion");
}

#[test]
fn the_operator_has_reports_of_three_forms() {
    let report = |kind: &str, report: Value| json!({"apiVersion": "aquasecurity.github.io/v1alpha1", "kind": kind, "report": report});
    let digest = format!("sha256:{}", "ab".repeat(32));
    let artifact = json!({"repository": "acme/churn", "tag": "main", "digest": digest});
    let tried = alone();
    let secrets = json!({"artifact": artifact, "registry": {"server": "ghcr.io"}, "secrets": [
        {"ruleID": "aws", "severity": "CRITICAL", "target": "/app/.env", "match": "KEY=****"}]});
    let line = tried.lines(report("ExposedSecretReport", secrets).to_string().as_bytes()).unwrap();
    assert!(line.contains(&format!("artifact/{digest}")) && line.contains("ghcr.io/acme/churn:main"), "{line}");
    let checks = json!({"checks": [
        {"checkID": "KSV001", "severity": "MEDIUM", "success": false, "messages": ["a"]},
        {"checkID": "KSV001", "severity": "MEDIUM", "success": false, "messages": ["b"]},
        {"checkID": "KSV002", "severity": "HIGH", "success": true},
    ]});
    let audit = fact(&of_commit(), &report("ConfigAuditReport", checks));
    assert_eq!((&audit["findings"], &audit["severities"]["medium"]), (&json!(2), &json!(2)));
    refused(
        &report("VulnerabilityReport", json!({"artifact": {"digest": "sha256:ab"}})),
        Reason::BadDigest,
        "report.artifact.digest",
    );
    refused(&report("SbomReport", json!({})), Reason::UnknownFormat, "kind");
    refused(&report("VulnerabilityReport", json!(null)), Reason::MissingField, "report");
    refused(
        &json!({"apiVersion": "aquasecurity.github.io/v2", "kind": "VulnerabilityReport"}),
        Reason::UnsupportedVersion,
        "apiVersion",
    );
}

#[test]
fn exit_codes_say_what_lists_do_not() {
    let clean = fixture("clamav/clamscan-clean.txt");
    let found = fixture("clamav/clamscan-found.txt");
    let status = |code: i32, body: &[u8]| facts(&with_exit_code(code), body)[0]["status"].as_str().unwrap().to_owned();
    assert_eq!((status(0, &clean), status(2, &clean)), ("completed".to_owned(), "partial".to_owned()));
    assert_eq!((status(1, &found), status(2, &found)), ("completed".to_owned(), "partial".to_owned()));
    for (path, codes) in [
        ("safety/clean.json", &[(0, "completed"), (64, "failed"), (66, "failed")][..]),
        ("safety/vuln.json", &[(64, "completed"), (68, "failed")]),
        ("bandit/itsdangerous.json", &[(1, "completed"), (2, "failed")]),
        ("semgrep/werkzeug.json", &[(0, "completed"), (1, "completed"), (2, "failed")]),
        ("snyk/dd-single_project_no_vulns.json", &[(0, "completed"), (2, "failed")]),
        ("snyk/dd-single_project_one_vuln.json", &[(1, "completed"), (2, "failed")]),
        ("trivy/dd-scheme_2_no_vuln.json", &[(0, "completed"), (1, "failed")]),
        ("trivy/alpine-310.json", &[(1, "completed"), (5, "completed")]),
        ("grype/dd-no_vuln.json", &[(1, "failed")]),
        ("sarif/One-run-empty-results.sarif", &[(0, "completed"), (1, "failed")]),
    ] {
        for (code, wanted) in codes {
            assert_eq!(status(*code, &fixture(path)), *wanted, "{path} with exit code {code}");
        }
    }
    let mut quiet = named("clamav");
    quiet.refuses(b"", Reason::Empty, None);
    quiet.about.exit_code = Some(0);
    assert_eq!(facts(&quiet, b"")[0]["findings"], 0);
    quiet.about.exit_code = Some(1);
    assert_eq!(facts(&quiet, b"\n")[0]["status"], "failed");
}
