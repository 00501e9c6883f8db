//! The tools themselves: what they write today is read, and what they send is taken.
//!
//! `tools/test` installs them; a tool that is missing fails the test, as one that is left out proves nothing.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use plimsoll::event::Timestamp;
use plimsoll::ingest::authentication::Secrets;
use plimsoll::ingest::upload::About;
use plimsoll::ingest::{Settings, WebhookSettings};
use plimsoll::ledger::{Clock, Filter, PageLimit};
use serde_json::{Value, json};

use super::Try;
use crate::support::daemon::Daemon;
use crate::support::http::post;
use crate::support::program::{command, path};
use crate::support::served::{Served, within};

/// Where `tools/test` puts Python's tools.
#[expect(clippy::disallowed_methods, reason = "no setting of the product")]
fn tools() -> PathBuf {
    let default = || concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools").to_owned();
    std::env::var("PLIMSOLL_TOOLS").unwrap_or_else(|_| default()).into()
}

/// A small project: a file with something against it, and one without.
struct Project(tempfile::TempDir);

const BAD: &str = "import os\n\n\ndef double(a):\n    return a+a\n\n\nassert double(1) == 2\n";
const CLEAN: &str =
    "\"\"\"Clean.\"\"\"\n\n\ndef double(a: int) -> int:\n    \"\"\"Double a number.\"\"\"\n    return a + a\n";
const TESTS: &str = "import pytest\nfrom clean import double\n\n\ndef test_good():\n    assert double(1) == 2\n\n\n\
                     def test_bad():\n    assert double(1) == 3\n\n\n@pytest.mark.xfail(reason=\"known\")\ndef test_known():\n    assert False\n\n\n\
                     @pytest.mark.skip(reason=\"no\")\ndef test_skipped():\n    pass\n";

impl Project {
    fn new() -> Self {
        let project = Self(tempfile::tempdir().unwrap());
        project.write("bad.py", BAD);
        project.write("clean.py", CLEAN);
        project
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    /// Runs a tool of one of the environments.
    fn run(&self, environment: &str, tool: &str, arguments: &[&str]) -> Output {
        let program = tools().join(environment).join("bin").join(tool);
        assert!(program.exists(), "{} is missing: run tools/test, which installs it", program.display());
        let mut run = command(program);
        run.args(arguments).current_dir(self.path()).env_clear().env("HOME", self.path()).env("PATH", path());
        // Nothing of a terminal's width or colours.
        run.env("LC_ALL", "C.UTF-8").output().unwrap()
    }

    /// What a tool writes to its output becomes this.
    #[track_caller]
    fn event(&self, source: Option<&'static str>, run: &Output, document: &[u8]) -> Value {
        let about = About {
            commit: Some("53e28ff20cc530b9ada2173fbbd64d48338583ba".parse().unwrap()),
            repository: Some("github.com/acme/churn".to_owned()),
            run: Some("1".to_owned()),
            exit_code: run.status.code(),
            ..About::default()
        };
        let text = Try { source, about, ..Try::default() }.lines(document);
        let text = text.unwrap_or_else(|why| panic!("{why}: {}", String::from_utf8_lossy(document)));
        let draft: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(draft["data"]["exit_code"], json!(run.status.code()));
        draft["data"].clone()
    }

    /// Conclusion, findings and errors of what a tool prints.
    #[track_caller]
    fn check(
        &self,
        source: Option<&'static str>,
        tool: &str,
        arguments: &[&str],
    ) -> (String, Option<u64>, Option<u64>) {
        let run = self.run("venv", tool, arguments);
        // Black says everything on its standard error.
        let document = if tool == "black" { &run.stderr } else { &run.stdout };
        let data = self.event(source, &run, document);
        (data["conclusion"].as_str().unwrap().to_owned(), data["findings"].as_u64(), data["errors"].as_u64())
    }
}

fn told(conclusion: &str, findings: u64, errors: Option<u64>) -> (String, Option<u64>, Option<u64>) {
    (conclusion.to_owned(), Some(findings), errors)
}

#[test]
fn ruff_as_it_is_today() {
    let project = Project::new();
    let lint = ["check", "--no-cache", "--isolated", "--select", "F,S", "--output-format"];
    for (form, source) in
        [("json", "ruff"), ("json-lines", "ruff"), ("github", "annotations"), ("gitlab", "code-quality")]
    {
        let arguments: Vec<&str> = lint.iter().copied().chain([form]).collect();
        let found: Vec<&str> = arguments.iter().copied().chain(["bad.py"]).collect();
        // F401 and S101.
        assert_eq!(project.check(None, "ruff", &found), told("failure", 2, Some(2)), "{form}");
        let clean: Vec<&str> = arguments.iter().copied().chain(["clean.py"]).collect();
        let clean = project.check(Some(source), "ruff", &clean);
        assert_eq!((clean.0.as_str(), clean.1), ("success", Some(0)), "{form}");
    }
    let junit: Vec<&str> = lint.iter().copied().chain(["junit", "bad.py"]).collect();
    assert_eq!(project.check(None, "ruff", &junit), told("failure", 2, None));
    let junit: Vec<&str> = lint.iter().copied().chain(["junit", "clean.py"]).collect();
    assert_eq!(project.check(None, "ruff", &junit), told("success", 0, None));
    let usage: Vec<&str> = lint.iter().copied().chain(["json", "--no-such-option"]).collect();
    assert_eq!(project.check(Some("ruff"), "ruff", &usage), ("error".to_owned(), None, None));

    let format = ["format", "--no-cache", "--isolated", "--check"];
    let with = |file: &'static str| -> Vec<&str> { format.iter().copied().chain([file]).collect() };
    assert_eq!(project.check(None, "ruff", &with("bad.py")), told("failure", 1, None));
    assert_eq!(project.check(None, "ruff", &with("clean.py")), told("success", 0, None));
    project.write("broken.py", "x = (\n");
    let broken = project.check(Some("ruff-format"), "ruff", &with("broken.py"));
    assert_eq!(broken.0, "error");
}

#[test]
fn black_as_it_is_today() {
    let project = Project::new();
    assert_eq!(project.check(None, "black", &["--check", "bad.py"]), told("failure", 1, None));
    assert_eq!(project.check(None, "black", &["--check", "clean.py"]), told("success", 0, None));
    assert_eq!(project.check(Some("black"), "black", &["--check", "-q", "bad.py"]), ("failure".to_owned(), None, None));
    let run = project.run("venv", "black", &["--diff", "-q", "bad.py"]);
    let data = project.event(None, &run, &run.stdout);
    assert_eq!((&data["conclusion"], &data["findings"]), (&json!("failure"), &json!(1)));
    project.write("broken.py", "x = (\n");
    assert_eq!(project.check(None, "black", &["--check", "."]), told("error", 1, Some(1)));
}

#[test]
fn mypy_as_it_is_today() {
    let project = Project::new();
    for form in [&["--strict", "--output", "json"][..], &["--strict"], &["--strict", "--pretty"]] {
        let with = |file: &'static str| -> Vec<&str> { form.iter().copied().chain([file]).collect() };
        assert_eq!(project.check(None, "mypy", &with("bad.py")), told("failure", 2, Some(2)), "{form:?}");
        assert_eq!(project.check(Some("mypy"), "mypy", &with("clean.py")), told("success", 0, Some(0)), "{form:?}");
        project.write("broken.py", "x = (\n");
        // What ends the run stands on its output in some forms, and on its standard error in others.
        assert_eq!(project.check(Some("mypy"), "mypy", &with("broken.py")).0, "error", "{form:?}");
    }
    for (file, expected) in [("bad.py", told("failure", 2, Some(2))), ("clean.py", told("success", 0, Some(0)))] {
        let run = project.run("venv", "mypy", &["--strict", "--junit-xml", "mypy.xml", file]);
        let data = project.event(None, &run, &std::fs::read(project.path().join("mypy.xml")).unwrap());
        let found =
            (data["conclusion"].as_str().unwrap().to_owned(), data["findings"].as_u64(), data["errors"].as_u64());
        assert_eq!((found, &data["tool"]), (expected, &json!("mypy")), "{file}");
    }
}

#[test]
fn pytest_and_coverage_as_they_are_today() {
    let project = Project::new();
    project.write("test_clean.py", TESTS);
    let reports = ["--cov=clean", "--cov-branch", "--cov-report=xml", "--cov-report=json", "--cov-report=lcov"];
    let arguments = [&["-p", "no:cacheprovider", "--junit-xml=tests.xml"][..], &reports].concat();
    let run = project.run("venv", "pytest", &arguments);
    let read = |name: &str| std::fs::read(project.path().join(name)).unwrap();
    for document in [read("tests.xml"), run.stdout.clone()] {
        let data = project.event(None, &run, &document);
        let counts = ["tests", "failures", "errors", "skipped"].map(|name| data[name].as_u64().unwrap());
        assert_eq!((counts, &data["conclusion"], &data["tool"]), ([4, 1, 0, 2], &json!("failure"), &json!("pytest")));
    }
    for name in ["coverage.xml", "coverage.json", "coverage.lcov"] {
        let coverage = &project.event(None, &run, &read(name))["coverage"];
        assert_eq!(
            (&coverage["lines_covered"], &coverage["lines_valid"]),
            (&json!(2), &json!(2)),
            "{name}: {coverage}"
        );
    }
    // No test, and one that cannot be collected.
    let none = project.run("venv", "pytest", &["-p", "no:cacheprovider", "--junit-xml=none.xml", "-k", "nothing"]);
    assert_eq!(
        (none.status.code(), project.event(None, &none, &read("none.xml"))["conclusion"].as_str()),
        (Some(5), Some("error"))
    );
    project.write("test_broken.py", "import does_not_exist\n");
    let broken = project.run("venv", "pytest", &["-p", "no:cacheprovider", "--junit-xml=broken.xml"]);
    let data = project.event(None, &broken, &read("broken.xml"));
    assert_eq!((broken.status.code(), &data["conclusion"], &data["errors"]), (Some(2), &json!("error"), &json!(1)));
}

#[test]
fn bandit_and_safety_as_they_are_today() {
    let project = Project::new();
    for (file, findings) in [("bad.py", 1), ("clean.py", 0)] {
        let run = project.run("venv", "bandit", &["-q", "-f", "json", file]);
        let data = project.event(None, &run, &run.stdout);
        assert_eq!(
            (&data["status"], &data["findings"], &data["kind"]),
            (&json!("completed"), &json!(findings), &json!("static"))
        );
    }
    // Safety's own advisories are not free: these are made up.
    let meta =
        r#""$meta": {"timestamp": 1, "base_domain": "https://example.com", "last_updated": "2026-11-01 00:00:00"}"#;
    project.write("insecure.json", &format!(r#"{{{meta}, "insecure-package": ["<0.2.0"]}}"#));
    let advisory = r#"{"advisory": "Made up.", "cve": "CVE-2026-0001", "id": "pyup.io-99999", "more_info_path": "/v", "specs": ["<0.2.0"], "v": "<0.2.0"}"#;
    project.write("insecure_full.json", &format!(r#"{{{meta}, "insecure-package": [{advisory}]}}"#));
    for (version, findings) in [("0.1.0", 1), ("0.2.0", 0)] {
        project.write("requirements.txt", &format!("insecure-package=={version}\n"));
        let run =
            project.run("safety", "safety", &["check", "--db", ".", "-r", "requirements.txt", "--output", "json"]);
        let data = project.event(None, &run, &run.stdout);
        assert_eq!((&data["findings"], &data["kind"]), (&json!(findings), &json!("vulnerability")), "{version}");
    }
}

const SECRET: &str = "not-a-real-secret";

/// A real Alertmanager that reports to a ledger.
async fn alertmanager(served: &Served) -> Daemon {
    let dir = served.house.dir.path();
    let configuration = format!(
        "route: {{receiver: plimsoll, group_by: ['...'], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}\n\
         receivers:\n  - name: plimsoll\n    webhook_configs:\n      - url: http://{}/webhooks/alertmanager\n        \
         send_resolved: true\n        http_config: {{authorization: {{credentials: {SECRET}}}}}\n",
        served.addresses.http
    );
    std::fs::write(dir.join("alertmanager.yml"), configuration).unwrap();
    let arguments = [
        "--config.file=alertmanager.yml".to_owned(),
        "--storage.path=alertmanager".to_owned(),
        "--cluster.listen-address=".to_owned(),
    ];
    Daemon::start(dir, "prometheus-alertmanager", &arguments).await
}

/// A ledger whose door to Alertmanager asks for the secret.
async fn guarded() -> Served {
    let mut settings = Settings::default();
    let webhook = WebhookSettings { system: None, secrets: Secrets::new([SECRET.to_owned()]), unsigned: false };
    settings.webhooks.insert("alertmanager".to_owned(), webhook);
    Served::with_settings(settings).await
}

/// Waits until there are so many events after the first, and returns them.
async fn recorded(served: &Served, what: &str, n: u64) -> Vec<Value> {
    let enough = async {
        while served.ledger.head().size <= n {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    within(what, enough).await;
    let page = served.ledger.page(1, u64::MAX, false, &Filter::default(), PageLimit::default()).unwrap();
    page.entries.iter().map(|entry| serde_json::from_slice(&entry.leaf).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_alertmanager_tells_of_an_alert_and_of_its_end() {
    let served = guarded().await;
    let running = alertmanager(&served).await;
    let address = running.address;
    let alert = |ends: Option<&str>| {
        let labels = json!({"alertname": "HighErrorRate", "severity": "critical", "service": "churn-api"});
        let mut alert = json!({"labels": labels, "annotations": {"summary": "too many errors"},
            "startsAt": "2026-03-04T11:00:00Z", "generatorURL": "http://prometheus.example/graph"});
        if let Some(ends) = ends {
            alert["endsAt"] = json!(ends);
        }
        serde_json::to_vec(&json!([alert])).unwrap()
    };
    let json = [("content-type", "application/json")];
    let sent = post(address, "/api/v2/alerts", &json, &alert(None)).await;
    assert_eq!(sent.status, 200, "{}", sent.text());
    let opened = recorded(&served, "the alert", 1).await;
    assert_eq!(opened[0]["type"], "incident.opened", "{}", opened[0]);
    let data = &opened[0]["data"];
    assert_eq!((&data["alert"], &data["severity"]), (&json!("HighErrorRate"), &json!("critical")));
    assert_eq!(data["opened_at"], "2026-03-04T11:00:00.000000Z");
    let sent = post(address, "/api/v2/alerts", &json, &alert(Some("2026-03-04T11:30:00Z"))).await;
    assert_eq!(sent.status, 200, "{}", sent.text());
    let all = recorded(&served, "the end of the alert", 2).await;
    // The message that it is resolved repeats that it fired, which is known.
    assert_eq!((all.len(), &all[1]["type"], &all[1]["stream"]), (2, &json!("incident.resolved"), &opened[0]["stream"]));
    assert_eq!(all[1]["data"]["resolved_at"], "2026-03-04T11:30:00.000000Z");
    served.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_of_a_real_prometheus_becomes_an_incident() {
    let served = guarded().await;
    // Prometheus goes by the machine's clock, which a file's time tells.
    let mark = served.house.dir.path().join("mark");
    std::fs::write(&mark, "").unwrap();
    let modified = std::fs::metadata(&mark).unwrap().modified().unwrap();
    let now = i64::try_from(modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_micros()).unwrap();
    served.house.clock.advance(now - served.house.clock.now().micros());
    let alertmanager = alertmanager(&served).await;
    let (dir, target) = (served.house.dir.path(), alertmanager.address);
    let rule = |number: u8| {
        let rule = format!(
            "{{alert: QueueFull, expr: vector({number}) > 0, labels: {{severity: page}}, annotations: {{summary: full}}}}"
        );
        std::fs::write(dir.join("rules.yml"), format!("groups: [{{name: one, interval: 1s, rules: [{rule}]}}]\n"))
            .unwrap();
    };
    rule(1);
    let configuration = format!(
        "global: {{evaluation_interval: 1s}}\nrule_files: [rules.yml]\n\
         alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{target}']}}]}}]}}\n"
    );
    std::fs::write(dir.join("prometheus.yml"), configuration).unwrap();
    let arguments = [
        "--config.file=prometheus.yml".to_owned(),
        "--storage.tsdb.path=prometheus".to_owned(),
        "--web.enable-lifecycle".to_owned(),
        // It knows Alertmanagers only some seconds after it began, and sends again after a minute unless told otherwise.
        "--rules.alert.resend-delay=1s".to_owned(),
    ];
    let prometheus = Daemon::start(dir, "prometheus", &arguments).await;
    let opened = recorded(&served, "the alert", 1).await;
    assert_eq!((&opened[0]["type"], &opened[0]["data"]["alert"]), (&json!("incident.opened"), &json!("QueueFull")));
    let opened_at: Timestamp = opened[0]["data"]["opened_at"].as_str().unwrap().parse().unwrap();
    rule(0);
    assert_eq!(post(prometheus.address, "/-/reload", &[], b"").await.status, 200);
    let all = recorded(&served, "the end of the alert", 2).await;
    assert_eq!(all[1]["type"], "incident.resolved", "{}", all[1]);
    let resolved_at: Timestamp = all[1]["data"]["resolved_at"].as_str().unwrap().parse().unwrap();
    assert!(opened_at < resolved_at, "{opened_at} {resolved_at}");
    served.finish().await;
}
