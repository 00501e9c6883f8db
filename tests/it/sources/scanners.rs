//! What scanners' reports hold beyond the fixtures, and how each is refused.

use plimsoll::ingest::{Reason, redact};
use plimsoll::report::{Sketch, format_of};
use serde_json::{Value, json};

use super::scans::{alone, fact, facts, named, of_commit, refused, with_exit_code};

fn counts(fact: &Value) -> (Value, Value, Value) {
    (fact["findings"].clone(), fact["suppressed"].clone(), fact["status"].clone())
}

fn counted(findings: u32, suppressed: Option<u32>, status: &str) -> (Value, Value, Value) {
    (json!(findings), json!(suppressed), json!(status))
}

#[test]
fn secrets_that_were_found_are_blackened_before_anything_is_kept() {
    for (format, document) in [
        ("gitleaks", json!([{"RuleID": "r", "Secret": "hunter2", "Match": "<hunter2>", "File": "a"}])),
        ("gitleaks", json!([{"rule": "r", "offender": "hunter2", "line": "  pw hunter2", "leakURL": ""}])),
        (
            "trivy",
            json!({"Results": [{"Secrets": [{"Match": "*** hunter2", "Code": {"Lines": [
            {"Content": "$hunter2", "Highlighted": "\u{1b}[38mhunter2"}]}}]}]}),
        ),
        (
            "bandit",
            json!({"results": [{"code": "pw = hunter2", "issue_text": "Possible hardcoded password: 'hunter2'"}]}),
        ),
        (
            "sarif",
            json!({"runs": [{"tool": {"driver": {"name": "gitleaks", "rules": []}}, "results": [{"locations": [
            {"physicalLocation": {"region": {"snippet": {"text": "hunter2"}}}}]}]}]}),
        ),
        ("gitlab-security", json!({"vulnerabilities": [{"raw_source_code_extract": "hunter2"}]})),
        ("trivy-operator", json!({"report": {"secrets": [{"match": "hunter2"}]}})),
    ] {
        for text in [document.to_string(), serde_json::to_string_pretty(&document).unwrap()] {
            let mut bytes = text.into_bytes();
            let members = (format_of(format).unwrap().secret_members)(&Sketch::of(&bytes));
            assert!(redact::redact(&mut bytes, members) > 0, "{format}");
            let text = String::from_utf8(bytes).unwrap();
            assert!(!text.contains("hunter2"), "{format}: {text}");
            serde_json::from_str::<Value>(&text).unwrap();
        }
    }
    let other = br#"{"runs":[{"tool":{"driver":{"name":"CodeQL"}},"results":[{"message":{"text":"fine"}}]}]}"#;
    assert!((format_of("sarif").unwrap().secret_members)(&Sketch::of(other)).is_empty());
    // What is not seen may be a secret scanner's, behind its rules or its results; behind another tool it is refused.
    let scanner = json!({"driver": {"rules": [{"name": "a"}], "name": "gitleaks"}});
    let long = json!([{"locations": [{"physicalLocation": {"region": {"snippet": {"text": "hunter2"}}}}], "id": "a".repeat(70_000)}]);
    let scanned = format!(r#"{{"results":{long},"tool":{scanner}}}"#);
    let behind = format!(r#"{{"version":"2.1.0","runs":[{{"tool":{{"driver":{{"name":"CodeQL"}}}}}},{scanned}]}}"#);
    let by_name = super::Try { source: Some("sarif"), ..super::Try::default() };
    by_name.refuses(behind.as_bytes(), Reason::BadField, Some("runs[1].tool.driver.name"));
    for text in [format!(r#"{{"runs":[{scanned}]}}"#), json!({"runs": [{"tool": scanner}]}).to_string()] {
        assert_eq!((format_of("sarif").unwrap().secret_members)(&Sketch::of(text.as_bytes())), ["text", "markdown"]);
    }
    // A value in single quotes ends with the text that it is part of, at the latest.
    let mut quoted = br#"{"snippet":"print('Password:', n)","n":1}"#.to_vec();
    redact::redact(&mut quoted, &[]);
    serde_json::from_slice::<Value>(&quoted).unwrap();
}

fn grype(more: Value) -> Value {
    let mut report = json!({
        "matches": [{"vulnerability": {"id": "CVE-1", "severity": "High", "fix": {"state": "fixed", "versions": ["2"]}},
            "matchDetails": [], "artifact": {"name": "zlib", "version": "1", "type": "deb"}}],
        "source": {"type": "image", "target": {"userInput": "acme/churn:main", "repoDigests": []}},
        "descriptor": {"name": "grype", "version": "0.94.0"},
    });
    for (name, value) in more.as_object().unwrap() {
        report[name] = value.clone();
    }
    report
}

#[test]
fn grype_is_read_in_its_variations() {
    let one = |id: &str| {
        grype(json!({}))["matches"][0]["vulnerability"]
            .as_object()
            .unwrap()
            .clone()
            .into_iter()
            .map(|(name, value)| if name == "id" { (name, json!(id)) } else { (name, value) })
            .collect::<Value>()
    };
    let found = |id: &str| json!({"vulnerability": one(id), "artifact": {"name": "zlib", "version": "1"}});
    let report = grype(json!({"matches": [found("CVE-1"), found("CVE-1")], "ignoredMatches": [found("CVE-2")]}));
    assert_eq!(counts(&fact(&of_commit(), &report)), counted(1, Some(1), "completed"));
    let filtered =
        grype(json!({"descriptor": {"name": "grype", "configuration": {"only-fixed": true, "only-notfixed": null}}}));
    assert_eq!(fact(&of_commit(), &filtered)["filters"], json!(["--only-fixed"]));
    // `null` is no list.
    assert_eq!(fact(&of_commit(), &grype(json!({"matches": null})))["status"], "not_run");
    let target = |digests: Value| json!({"source": {"type": "image", "target": {"repoDigests": digests}}});
    let good = format!("acme/churn@sha256:{}", "AB".repeat(32));
    let line = alone().lines(grype(target(json!(["", good]))).to_string().as_bytes()).unwrap();
    assert!(line.contains(&format!("artifact/sha256:{}", "ab".repeat(32))));
    refused(&grype(target(json!([good, "acme/churn@sha256:test"]))), Reason::BadDigest, "source.target.repoDigests[1]");
    refused(&grype(json!({"matches": {}, "matchDetails": 1})), Reason::BadField, "matches");
    refused(
        &grype(json!({"matches": [{"vulnerability": {}, "artifact": {"name": "zlib"}}]})),
        Reason::MissingField,
        "matches[0].vulnerability.id",
    );
    refused(&grype(json!({"source": {"target": 7}})), Reason::BadField, "source.target");
    named("grype").refuses(b"{\"matches\":[{\"vuln", Reason::Malformed, None);
}

#[test]
fn snyk_is_read_in_its_variations() {
    let issue = |id: &str, more: Value| {
        let mut issue =
            json!({"id": id, "severity": "high", "name": "lodash", "version": "4", "upgradePath": [false, "lodash@5"]});
        more.as_object().unwrap().iter().for_each(|(name, value)| issue[name] = value.clone());
        issue
    };
    let project = |more: Value| {
        let mut project = json!({"ok": false, "dependencyCount": 1, "projectName": "churn", "vulnerabilities": []});
        more.as_object().unwrap().iter().for_each(|(name, value)| project[name] = value.clone());
        project
    };
    let report = project(json!({
        "vulnerabilities": [issue("SNYK-1", json!({})), issue("SNYK-1", json!({"severityWithCritical": "critical", "isUpgradable": true})),
            issue("snyk:lic:npm:x:GPL-3.0", json!({"type": "license", "severity": "medium"}))],
        "filtered": {"ignore": [issue("SNYK-2", json!({}))], "patch": []},
    }));
    let both = facts(&of_commit(), report.to_string().as_bytes());
    assert_eq!(counts(&both[0]), counted(1, Some(1), "completed"));
    assert_eq!((&both[0]["severities"]["critical"], &both[0]["fixable"]["critical"]), (&json!(1), &json!(1)));
    assert_eq!((&both[1]["kind"], &both[1]["severities"]["medium"]), (&json!("licence"), &json!(1)));
    let image = project(json!({"applications": [{"vulnerabilities": [issue("SNYK-3", json!({}))]}]}));
    assert_eq!(counts(&fact(&of_commit(), &image)), counted(1, None, "completed"));
    let broken = json!({"ok": false, "error": "no lock file", "path": "/home/bob/churn"});
    assert_eq!(fact(&of_commit(), &broken)["status"], "failed");
    assert_eq!(fact(&of_commit(), &json!([project(json!({})), broken]))["status"], "partial");
    assert_eq!(fact(&with_exit_code(3), &broken)["status"], "not_run");
    let iac = json!({"infrastructureAsCodeIssues": [
        {"id": "SNYK-CC-K8S-1", "severity": "medium", "path": ["spec", "containers[0]"], "lineNumber": 3},
        {"id": "SNYK-CC-K8S-1", "severity": "medium", "path": ["spec", "containers[1]"], "lineNumber": -1},
    ]});
    let iac = fact(&of_commit(), &iac);
    assert_eq!((&iac["kind"], &iac["findings"]), (&json!("misconfiguration"), &json!(2)));
    refused(&project(json!({"vulnerabilities": "none"})), Reason::BadField, "vulnerabilities");
    refused(
        &json!([project(json!({"vulnerabilities": [{"upgradePath": []}]}))]),
        Reason::MissingField,
        "[0].vulnerabilities[0].id",
    );
}

#[test]
fn safety_is_read_in_both_versions() {
    let rated = json!({"report_meta": {"safety_version": "2.3.5", "json_version": 1, "timestamp": "2026-11-22 20:30:12",
            "git": {"commit": "89".repeat(20)}},
        "vulnerabilities": [{"vulnerability_id": "1", "package_name": "a", "analyzed_version": "1", "fixed_versions": ["2"],
            "CVE": {"name": "CVE-1"}, "severity": {"cvssv3": {"base_score": 7.5, "base_severity": "HIGH"}}}],
        "ignored_vulnerabilities": [{"vulnerability_id": "2", "package_name": "a", "analyzed_version": "1", "severity": null}]});
    let mut tried = of_commit();
    tried.about.commit = None;
    let two = fact(&tried, &rated);
    assert_eq!(counts(&two), counted(1, Some(1), "completed"));
    assert_eq!(
        (&two["severities"]["high"], &two["fixable"]["high"], &two["cvss_max"]),
        (&json!(1), &json!(1), &json!("7.5"))
    );
    assert_eq!(two["commit"], json!("89".repeat(20)));
    let known = |id: u32, ignored: Value| json!({"id": id, "ignored": ignored, "vulnerable_spec": "<2"});
    let specification = |known: Value| {
        json!({"raw": "django==1.0", "vulnerabilities": {"known_vulnerabilities": known,
        "remediation": {"recommended": "2.0"}}})
    };
    let scan = |version: &str, known: Value| {
        json!({
        "meta": {"schema_version": version, "timestamp": "2026-01-29T15:26:00", "telemetry": {"safety_version": "3.0.1"}},
        "scan_results": {"projects": [{"git": null, "files": [{"location": "requirements.txt", "results": {"dependencies": [
            {"name": "Django", "specifications": [specification(known)]}]}}]}]}})
    };
    let three = fact(&of_commit(), &scan("3.0", json!([known(1, json!(null)), known(2, json!({"code": "manual"}))])));
    assert_eq!(counts(&three), counted(1, Some(1), "completed"));
    assert_eq!((&three["tool_version"], &three["report_format"]), (&json!("3.0.1"), &json!("safety/3")));
    assert!(three["fixable"].is_object());
    refused(&scan("4.0", json!([])), Reason::UnsupportedVersion, "meta.schema_version");
    refused(
        &json!({"report_meta": {"safety_version": "9", "json_version": 2}}),
        Reason::UnsupportedVersion,
        "report_meta.json_version",
    );
    refused(
        &scan("3.0", json!([{"id": 1}, 7])),
        Reason::BadField,
        "scan_results.projects[0].files[0].results.dependencies[0].specifications[0].vulnerabilities.known_vulnerabilities[1]",
    );
    let mut wrong = rated;
    wrong["report_meta"]["git"]["commit"] = json!("abc");
    refused(&wrong, Reason::BadDigest, "report_meta.git.commit");
}

#[test]
fn tools_for_code_are_read_in_their_variations() {
    let bandit = |more: Value| {
        let mut report = json!({"errors": [], "generated_at": "2026-11-22T20:27:09Z", "metrics": {"_totals": {"nosec": 2, "skipped_tests": 1}},
            "results": [{"test_id": "B101", "filename": "a.py", "line_number": 3, "issue_severity": "UNDEFINED"}]});
        more.as_object().unwrap().iter().for_each(|(name, value)| report[name] = value.clone());
        report
    };
    assert_eq!(counts(&fact(&of_commit(), &bandit(json!({})))), counted(1, Some(3), "completed"));
    let partial = bandit(json!({"errors": [{"filename": "b.py", "reason": "syntax error"}]}));
    assert_eq!(fact(&of_commit(), &partial)["status"], "partial");
    refused(&bandit(json!({"generated_at": "2026-11-22 20:27:09"})), Reason::BadTime, "generated_at");
    refused(&bandit(json!({"results": [{"test_id": "B1"}]})), Reason::MissingField, "results[0].filename");
    refused(&bandit(json!({"metrics": {"_totals": {"nosec": u64::MAX}}})), Reason::BadNumber, "metrics._totals.nosec");

    let semgrep = |more: Value| {
        let mut report = json!({"version": "1.99.0", "errors": [], "paths": {"scanned": ["a.py"]}, "results": []});
        more.as_object().unwrap().iter().for_each(|(name, value)| report[name] = value.clone());
        report
    };
    let found = |id: &str, extra: Value| json!({"check_id": id, "path": "a.py", "start": {"line": 1}, "extra": extra});
    let supply = json!({"severity": "CRITICAL", "sca_info": {"dependency_match": {"found_dependency": {"package": "lodash", "version": "4"}}}});
    let both = semgrep(json!({"results": [found("a", json!({"severity": "ERROR"})),
        found("b", json!({"severity": "INFO", "is_ignored": true})), found("ssc-1", supply)]}));
    let both = facts(&of_commit(), both.to_string().as_bytes());
    assert_eq!(counts(&both[0]), counted(1, Some(1), "completed"));
    assert_eq!((&both[1]["kind"], &both[1]["severities"]["critical"]), (&json!("vulnerability"), &json!(1)));
    let warned = semgrep(json!({"errors": [{"level": "warn"}]}));
    assert_eq!(counts(&fact(&of_commit(), &warned)), counted(0, None, "partial"));
    let broken = semgrep(json!({"errors": [{"level": "error"}], "paths": {"scanned": []}}));
    assert_eq!(fact(&of_commit(), &broken)["status"], "failed");
    refused(&semgrep(json!({"results": [{"path": "a"}]})), Reason::MissingField, "results[0].check_id");
}

#[test]
fn tools_for_secrets_are_read_in_their_variations() {
    let leak = |line: i64| json!({"RuleID": "aws", "Secret": "x", "File": "a", "StartLine": line, "Commit": ""});
    let leaks = fact(&of_commit(), &json!([leak(1), leak(1), leak(2)]));
    assert_eq!((&leaks["findings"], &leaks["scope"], &leaks["severities"]), (&json!(2), &Value::Null, &Value::Null));
    refused(&json!([leak(1), {"Secret": "x"}]), Reason::MissingField, "[1].RuleID");
    refused(&json!([leak(1), {"RuleID": ["x"]}]), Reason::BadField, "[1].RuleID");
    named("gitleaks").refuses(b"{}", Reason::BadField, None);
    named("gitleaks").refuses(b"[{\"RuleID\":\"a\"}", Reason::Malformed, None);
    for empty in [&b"[]"[..], b"null\n", b"\xef\xbb\xbf[]"] {
        assert_eq!(counts(&facts(&named("gitleaks"), empty)[0]), counted(0, None, "completed"));
    }
    let entry = |line: u64, is_secret: Value| json!({"type": "Secret Keyword", "hashed_secret": "da39a3ee", "line_number": line, "is_secret": is_secret});
    let mut baseline = json!({"version": "1.5.0", "plugins_used": [], "generated_at": "2026-11-22T20:28:57Z",
        "results": {"a": [entry(1, json!(null)), entry(2, json!(false))], "b": [entry(1, json!(true))]}});
    assert_eq!(counts(&fact(&of_commit(), &baseline)), counted(2, Some(1), "completed"));
    baseline["generated_at"] = json!("soon");
    refused(&baseline, Reason::BadTime, "generated_at");
    baseline["results"] = json!({"a": [{}]});
    refused(&baseline, Reason::MissingField, "results.a[0].type");
}

#[test]
fn clamav_splits_at_the_last_colon_and_sees_errors() {
    let of = |text: &str| facts(&named("clamav"), text.as_bytes()).remove(0);
    let text = "a: b FOUND: OK\nc: d: Win.Test FOUND\n\u{fffd}: Win.Test FOUND\n";
    assert_eq!(of(text)["findings"], 2);
    assert_eq!(of("a: OK\nb: Can't open file or directory ERROR\n")["status"], "partial");
    let daemon =
        "b: Access denied. ERROR\n\n----------- SCAN SUMMARY -----------\nInfected files: 0\nTotal errors: 1\n";
    assert_eq!(of(daemon)["status"], "failed");
    let quiet = "----------- SCAN SUMMARY -----------\nKnown viruses: 9\nScanned files: 5\nInfected files: 2\n";
    assert_eq!(counts(&of(quiet)), counted(2, None, "completed"));
    // A file may be called like the line above the summary, or like one of it.
    let called = "a - SCAN SUMMARY - b.txt: OK\nInfected files: x.exe: Win.Test FOUND\n\n----------- SCAN SUMMARY -----------\n\
                  Scanned files: 3\nc.exe: Win.Other FOUND\nInfected files: 2\n";
    assert_eq!(counts(&of(called)), counted(2, None, "completed"));
    let hidden = "a - SCAN SUMMARY - b.txt: OK\nc.exe: Win.Test FOUND\n";
    assert_eq!(counts(&of(hidden)), counted(1, None, "completed"));
    // A path may be in any encoding.
    let latin = b"n\xe4me: OK\nn\xe4me2: Win.Test FOUND\n";
    assert_eq!(facts(&named("clamav"), latin)[0]["findings"], 1);
}

fn log(run: Value) -> Value {
    json!({"version": "2.1.0", "runs": [run]})
}

#[test]
fn sarif_rates_by_result_then_rule_then_kind() {
    let rules = json!([
        {"id": "R0", "defaultConfiguration": {"level": "note"}},
        {"id": "R1", "defaultConfiguration": {"level": "error"}, "properties": {"security-severity": "9.8", "tags": ["security"]}},
        {"id": "R2", "properties": {"security-severity": 9.8, "tags": ["HIGH"]}},
    ]);
    let results = json!([
        {"ruleId": "R0/part", "message": {"text": "low"}},
        {"ruleIndex": 1, "message": {"text": "critical"}},
        {"ruleId": "R2", "level": "error", "message": {"text": "high"}},
        {"ruleId": "R9", "message": {"id": "medium"}},
        {"ruleId": "R0", "kind": "review", "message": {"text": "info"}},
        {"ruleId": "R1", "kind": "pass"}, {"ruleId": "R1", "kind": "notApplicable"}, {"ruleId": "R1", "kind": "informational"},
        {"rule": {"id": "E0", "index": 0, "toolComponent": {"index": 0}}, "message": {"text": "high, by the extension"}},
    ]);
    let driver = json!({"name": "Any", "version": "1", "semanticVersion": "1.0.0", "rules": rules});
    let extensions = json!([{"name": "E", "rules": [{"id": "E0", "defaultConfiguration": {"level": "error"}}]}]);
    // Results before and behind the rules.
    let before = format!(
        r#"{{"runs":[{{"results":{results},"tool":{{"driver":{driver},"extensions":{extensions}}}}}],"version":"2.1.0"}}"#
    );
    let behind = log(json!({"tool": {"driver": driver, "extensions": extensions}, "results": results})).to_string();
    for text in [before, behind] {
        let fact = facts(&of_commit(), text.as_bytes()).remove(0);
        let wanted = json!({"critical": 1, "high": 2, "medium": 1, "low": 1, "info": 1, "unknown": 0});
        assert_eq!((&fact["severities"], &fact["tool_version"]), (&wanted, &json!("1.0.0")), "{text}");
    }
}

#[test]
fn sarif_results_without_an_id_have_their_rules() {
    let at = |rule: Value| json!({"rule": rule, "message": {"text": "x"}});
    let results = json!([
        {"ruleIndex": 1, "message": {"text": "x"}},
        at(json!({"index": 0})),
        at(json!({"index": 0, "toolComponent": {"index": 0}})),
        {"ruleIndex": 0, "rule": {"toolComponent": {"index": 0}}, "message": {"text": "x"}},
        at(json!({"index": 7})),
    ]);
    let tool = json!({"driver": {"name": "Any", "rules": [{"id": "D0"}, {"id": "D1"}]}, "extensions": [{"name": "E", "rules": [{"id": "E0"}]}]});
    let body = log(json!({"tool": tool, "results": results})).to_string();
    let lines = of_commit().lines(body.as_bytes()).unwrap();
    let ids: Vec<_> =
        lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()?.get("finding").cloned()).collect();
    let ids: Vec<_> = ids.iter().map(|finding| finding["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["D1", "D0", "E0", "E0", ""]);
    assert!(lines.contains("\"findings\":4,"), "{lines}");
}

#[test]
fn sarif_runs_of_one_tool_are_one_scan() {
    let run = |name: &str, results: Value| json!({"tool": {"driver": {"name": name}}, "results": results});
    let one = json!({"ruleId": "A", "message": {"text": "x"}});
    let runs = json!({"version": "2.1.0", "runs": [
        run("Any", json!([one])), run("Other", json!(null)), run("Any", json!([one, {"ruleId": "B"}])), run("Third", json!([])),
    ]});
    let all = facts(&of_commit(), runs.to_string().as_bytes());
    let told: Vec<_> = all.iter().map(|fact| (fact["tool"].as_str().unwrap(), counts(fact))).collect();
    let not_run = (Value::Null, Value::Null, json!("not_run"));
    assert_eq!(
        told,
        [("Any", counted(2, None, "completed")), ("Other", not_run), ("Third", counted(0, None, "completed"))]
    );
    let trivy = |tags: Value| {
        json!({"tool": {"driver": {"name": "Trivy", "rules": [{"id": "A", "properties": {"tags": tags}}]}},
        "results": [{"ruleId": "A", "ruleIndex": 0}]})
    };
    assert_eq!(fact(&of_commit(), &log(trivy(json!(["secret", "CRITICAL"]))))["kind"], "secret");
    let invoked = |more: Value, results: Value| {
        let mut run = run("Any", results);
        run["invocations"] = json!([more]);
        fact(&of_commit(), &log(run))
    };
    assert_eq!(invoked(json!({"executionSuccessful": false}), json!([one]))["status"], "partial");
    let told = json!({"executionSuccessful": true, "exitCode": 3, "startTimeUtc": "2026-03-04T12:00:00Z", "endTimeUtc": "2026-03-04T12:01:00",
        "toolExecutionNotifications": [{"level": "error", "message": {"text": "x"}}]});
    let told = invoked(told, json!([]));
    assert_eq!((&told["status"], &told["exit_code"]), (&json!("partial"), &json!(3)));
    assert_eq!(told["started_at"], "2026-03-04T12:00:00.000000Z");
    let many: Vec<_> = (0..51).map(|n| run(&format!("T{n}"), json!([]))).collect();
    refused(&json!({"version": "2.1.0", "runs": many}), Reason::TooLarge, "runs");
}

#[test]
fn sarif_is_refused_at_the_field_that_is_wrong() {
    let driver = json!({"driver": {"name": "Any"}});
    for (document, reason, field) in [
        (json!({"version": "2.0.0", "runs": []}), Reason::UnsupportedVersion, "version"),
        (json!({"$schema": "sarif", "runs": [{"tool": driver}]}), Reason::MissingField, "version"),
        (json!({"version": "2.1.0", "runs": []}), Reason::Empty, "runs"),
        (json!({"version": "2.1.0", "runs": 3}), Reason::BadField, "runs"),
        (log(json!({"tool": driver, "results": [{"level": 3}]})), Reason::BadField, "runs[0].results[0].level"),
        (log(json!({"tool": driver, "results": {}})), Reason::BadField, "runs[0].results"),
        (log(json!({"tool": {"driver": {"name": null}}})), Reason::BadField, "runs[0].tool.driver.name"),
        (
            log(json!({"tool": driver, "results": [{"ruleIndex": 1e30}]})),
            Reason::BadField,
            "runs[0].results[0].ruleIndex",
        ),
        (log(json!({"results": []})), Reason::MissingField, "runs[0].tool.driver.name"),
    ] {
        refused(&document, reason, field);
    }
}

#[test]
fn gitlab_reports_are_read_by_type() {
    let report = |scan: Value, found: Value| json!({"version": "15.0.7", "scan": scan, "vulnerabilities": found});
    let scan = |kind: &str| json!({"type": kind, "status": "success", "scanner": {"id": "gitleaks", "version": "8"}, "start_time": "2026-01-01T00:00:00"});
    let at = |line: u64| json!({"id": "x", "severity": "Critical", "identifiers": [{"value": "AWS"}], "location": {"file": "a", "start_line": line}});
    let secrets = fact(&of_commit(), &report(scan("secret_detection"), json!([at(1), at(1), at(2)])));
    assert_eq!((&secrets["kind"], &secrets["severities"]["critical"]), (&json!("secret"), &json!(2)));
    let mut failed = scan("sast");
    failed["status"] = json!("failure");
    assert_eq!(fact(&of_commit(), &report(failed, json!([])))["status"], "failed");
    refused(&report(scan("dast"), json!([])), Reason::BadField, "scan.type");
    refused(&report(json!({"type": "sast", "scanner": {}}), json!([])), Reason::MissingField, "scan.scanner.id");
    let old = json!({"version": "2.3", "remediations": [], "vulnerabilities": []});
    refused(&old, Reason::UnsupportedVersion, "version");
}
