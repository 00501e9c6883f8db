//! Checks, tests and coverage.

use std::collections::BTreeSet;

use plimsoll::ingest::Reason;
use plimsoll::ingest::upload::About;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::{Try, fixture};

/// What whoever hands a report in says of it.
fn about() -> About {
    About {
        commit: Some("53e28ff20cc530b9ada2173fbbd64d48338583ba".parse().unwrap()),
        repository: Some("github.com/acme/churn".to_owned()),
        run: Some("1234".to_owned()),
        ..About::default()
    }
}

fn found_out() -> Try<'static> {
    Try { about: about(), ..Try::default() }
}

fn named(source: &'static str, exit_code: Option<i32>) -> Try<'static> {
    Try { source: Some(source), about: About { exit_code, ..about() }, ..Try::default() }
}

/// The one event that bytes become, as JSON.
#[track_caller]
fn data(source: &'static str, exit_code: Option<i32>, body: &str) -> serde_json::Value {
    let text =
        named(source, exit_code).lines(body.as_bytes()).unwrap_or_else(|rejection| panic!("{rejection}: {body}"));
    assert_eq!(text.lines().count(), 1, "{text}");
    let draft: serde_json::Value = serde_json::from_str(&text).unwrap();
    draft["data"].clone()
}

/// Conclusion, findings and errors of a check.
#[track_caller]
fn holds(source: &'static str, exit_code: Option<i32>, body: &str, expected: (&str, Option<u64>, Option<u64>)) {
    let data = data(source, exit_code, body);
    let found = (data["conclusion"].as_str().unwrap(), data["findings"].as_u64(), data["errors"].as_u64());
    assert_eq!(found, expected, "{source} {exit_code:?} {body}");
}

const FIXTURES: &[&str] = &[
    "bandit/werkzeug.xml",
    "black/check.txt",
    "black/diff.txt",
    "coverage/itsdangerous.json",
    "coverage/itsdangerous.xml",
    "coverage/mixed.json",
    "coverage/mixed.lcov",
    "coverage/mixed.xml",
    "gitleaks/v8-simple.junit.xml",
    "mypy/werkzeug.jsonl",
    "mypy/werkzeug.junit.xml",
    "mypy/werkzeug.txt",
    "pytest/itsdangerous.junit.xml",
    "pytest/mixed.junit.xml",
    "pytest/mixed.txt",
    "ruff/format-check.txt",
    "ruff/werkzeug.github.txt",
    "ruff/werkzeug.gitlab.json",
    "ruff/werkzeug.json",
    "ruff/werkzeug.jsonl",
    "ruff/werkzeug.junit.xml",
    "trivy/alpine-310.junit.xml",
];

#[test]
fn every_report_is_recognised_and_becomes_a_check_or_a_suite() {
    for path in FIXTURES {
        found_out().golden(path);
    }
}

#[test]
fn no_report_makes_it_panic() {
    for path in FIXTURES {
        found_out().never_panics(path);
    }
}

#[test]
fn findings_are_part_of_the_details() {
    for path in ["ruff/werkzeug.jsonl", "mypy/werkzeug.jsonl", "ruff/werkzeug.gitlab.json", "ruff/werkzeug.github.txt"]
    {
        let text = Try { details: true, ..found_out() }.lines(&fixture(path)).unwrap();
        let finding = text.lines().find(|line| line.starts_with("{\"finding\"")).unwrap_or_else(|| panic!("{path}"));
        let finding: serde_json::Value = serde_json::from_str(finding).unwrap();
        assert!(finding["finding"]["place"].as_str().unwrap().contains(".py:"), "{path}: {finding}");
    }
}

#[test]
fn ruff_says_by_its_exit_code_what_its_list_does_not() {
    let one = r#"[{"code":null,"filename":"/a.py","location":{"row":1,"column":1},"message":"SyntaxError: x"}]"#;
    holds("ruff", Some(1), one, ("failure", Some(1), None));
    holds("ruff", Some(0), one, ("failure", Some(1), None));
    holds("ruff", None, "[]", ("success", Some(0), None));
    holds("ruff", Some(2), "[]", ("error", Some(0), None));
    holds("ruff", Some(0), "", ("success", Some(0), None));
    holds("ruff", Some(2), "\n", ("error", None, None));
    named("ruff", None).refuses(b"", Reason::Empty, None);
    named("ruff", None).refuses(b"[{\"message\":\"x\"}]", Reason::MissingField, Some("[0].filename"));
    named("ruff", None).refuses(br#"[{"filename":1,"message":"x"}]"#, Reason::BadField, Some("[0].filename"));
    named("ruff", None).refuses(&one.as_bytes()[..60], Reason::Malformed, None);
    let (first, second) = (r#"{"filename":"a.py","message":"x"}"#, r#"{"message":"y"}"#);
    named("ruff", None).refuses(format!("{first}\n{second}\n").as_bytes(), Reason::MissingField, Some("[1].filename"));
    holds("ruff", None, &format!("{first}\r\n{first}"), ("failure", Some(2), None));
    holds("code-quality", None, "[]", ("success", Some(0), None));
    holds("annotations", Some(0), "all is well\n", ("success", Some(0), None));
    let old = "::warning title=Ruff (F401),file=/a.py,line=1,col=8,endLine=1,endColumn=10::a.py:1:8: F401 unused\n";
    holds("annotations", Some(0), old, ("failure", Some(1), None));
}

#[test]
fn formatters_are_understood_in_all_their_words() {
    let ruff = |exit_code, text: &str, expected| holds("ruff-format", exit_code, text, expected);
    ruff(
        None,
        "Would reformat: a.py\nWould reformat: b/c.py\n2 files would be reformatted\n",
        ("failure", Some(2), None),
    );
    ruff(None, "3 files already formatted\n", ("success", Some(0), None));
    ruff(Some(0), "1 file left unchanged\n", ("success", Some(0), None));
    ruff(Some(0), "", ("success", Some(0), None));
    ruff(Some(1), "", ("failure", None, None));
    ruff(Some(2), "error: Failed to parse a.py:1:6: Expected an expression\n", ("error", None, Some(1)));
    ruff(
        None,
        "\u{1b}[1mWould reformat: a.py\u{1b}[0m\n1 file would be reformatted, 1 file already formatted\n",
        ("failure", Some(1), None),
    );
    named("ruff-format", None).refuses(b"hello\n", Reason::Malformed, None);
    named("ruff-format", None).refuses(b"", Reason::Empty, None);

    let black = |exit_code, text: &str, expected| holds("black", exit_code, text, expected);
    black(
        Some(0),
        "All done! \u{2728} \u{1f370} \u{2728}\n77 files would be left unchanged.\n",
        ("success", Some(0), None),
    );
    black(
        Some(1),
        "would reformat a.py\n\nOh no! \u{1f4a5} \u{1f494} \u{1f4a5}\n1 file would be reformatted.\n",
        ("failure", Some(1), None),
    );
    let failed = "error: cannot format a.py: Cannot parse: 1:6: x = (\nwould reformat b.py\n\nOh no! \u{1f4a5} \u{1f494} \u{1f4a5}\n\
                  1 file would be reformatted, 1 file would fail to reformat.\n";
    black(Some(123), failed, ("error", Some(1), Some(1)));
    black(None, failed, ("error", Some(1), Some(1)));
    black(Some(123), "", ("error", None, None));
    black(Some(0), "", ("success", Some(0), None));
    black(None, "No Python files are present to be formatted. Nothing to do \u{1f634}\n", ("success", Some(0), None));
    black(
        None,
        "reformatted a.py\n\nAll done! \u{2728} \u{1f370} \u{2728}\n1 file reformatted.\n",
        ("failure", Some(1), None),
    );
    named("black", None).refuses(b"\n", Reason::Empty, None);
    found_out().refuses(b"hello\n", Reason::UnknownFormat, None);
}

#[test]
fn mypy_counts_errors_and_tells_them_from_having_failed() {
    let mypy = |exit_code, text: &str, expected| holds("mypy", exit_code, text, expected);
    mypy(None, "Success: no issues found in 1 source file\n", ("success", Some(0), Some(0)));
    mypy(Some(0), "", ("success", Some(0), Some(0)));
    mypy(
        Some(1),
        "a.py:1: error: Bad  [misc]\na.py:1: note: See\nFound 1 error in 1 file (checked 1 source file)\n",
        ("failure", Some(1), Some(1)),
    );
    mypy(None, "a.py:3: note: Revealed type is \"int\"\n", ("success", Some(0), Some(0)));
    let gave_up =
        "a.py:1: error: invalid syntax  [syntax]\nFound 1 error in 1 file (errors prevented further checking)\n";
    mypy(None, gave_up, ("error", Some(1), Some(1)));
    mypy(Some(2), "mypy: can't read file 'nope.py': No such file or directory\n", ("error", None, None));
    let json = "setup.cfg: [mypy]: python_version: too old\n\
                {\"file\": \"a.py\", \"line\": 1, \"column\": 0, \"message\": \"m\", \"hint\": null, \"code\": \"misc\", \"severity\": \"error\"}\n\
                {\"file\": \"a.py\", \"line\": 2, \"column\": 0, \"message\": \"m\", \"hint\": null, \"code\": null, \"severity\": \"note\"}\n";
    mypy(Some(1), json, ("failure", Some(1), Some(1)));
    let text = found_out().lines(json.as_bytes()).unwrap();
    assert!(text.contains("\"tool\":\"mypy\""), "{text}");
    let cut = &json.as_bytes()[..json.len() - 40];
    named("mypy", None).refuses(cut, Reason::Malformed, Some("[2]"));
    named("mypy", None).refuses(b"nothing here\n", Reason::Malformed, None);
    // A compiler's messages look nearly the same.
    found_out().refuses(b"a.c:1:2: error: expected ';' before '}' token [-Werror]\n", Reason::UnknownFormat, None);
}

#[test]
fn junit_is_read_from_whoever_wrote_it() {
    let counts = |exit_code, xml: &str| {
        let data = data("junit", exit_code, xml);
        let n = |name: &str| data[name].as_u64().unwrap_or(999);
        let conclusion = data["conclusion"].as_str().unwrap().to_owned();
        (conclusion, n("tests"), n("failures"), n("errors"), n("skipped"))
    };
    let conclusion = |text: &str, tests, failures, errors, skipped| (text.to_owned(), tests, failures, errors, skipped);
    // Suites in suites, whose totals count the same cases again.
    let nested = "<testsuites><testsuite name='a' tests='3' failures='1'><testsuite name='b' tests='3' failures='1'>\
                  <testcase name='x'/><testcase name='y'><failure>no</failure><failure>still no</failure></testcase>\
                  <testcase name='z'><skipped/></testcase></testsuite></testsuite></testsuites>";
    assert_eq!(counts(Some(101), nested), conclusion("failure", 3, 1, 0, 1));
    // Totals only.
    let totals = "<testsuite name='m' tests='1,204' failures='0' errors='0' skipped='4' time='1,234.5'/>";
    assert_eq!(counts(None, totals), conclusion("success", 1204, 0, 0, 4));
    assert_eq!(data("junit", None, totals)["duration_ms"], "1234500");
    assert_eq!(counts(None, "<testsuites/>"), conclusion("neutral", 0, 0, 0, 0));
    let pytest = "<testsuites name='pytest tests'><testsuite name='pytest' tests='0'/></testsuites>";
    assert_eq!(counts(Some(5), pytest), conclusion("error", 0, 0, 0, 0));
    // pytest tells of a test that failed, and could not be torn down either, twice.
    let twice = "<testsuites name='pytest tests'><testsuite name='pytest' tests='1'><testcase classname='t' name='x'>\
                 <failure/></testcase><testcase classname='t' name='x'><error/></testcase></testsuite></testsuites>";
    assert_eq!(counts(Some(1), twice), conclusion("failure", 1, 1, 1, 0));
    assert_eq!(counts(Some(1), "<testsuite><testcase name='x'/></testsuite>"), conclusion("error", 1, 0, 0, 0));
    let maven = "<testsuite name='m'><testcase name='x'><flakyFailure/></testcase><testcase name='g' status='notrun'/></testsuite>";
    assert_eq!(data("junit", None, maven)["flaky"], 1);
    assert_eq!(counts(None, maven), conclusion("success", 2, 0, 0, 1));
    // Linters and scanners are known by what they call themselves, and Trivy of old by how it names cases.
    for (xml, tool) in [
        (
            "<testsuites><testsuite package='org.eslint' name='a.js'><testcase><failure/></testcase></testsuite></testsuites>",
            "eslint",
        ),
        (
            "<testsuites><testsuite name='x'><testcase name='[LOW] CVE-2019-1549'><failure/></testcase></testsuite></testsuites>",
            "trivy",
        ),
    ] {
        let data = data("junit", None, xml);
        assert_eq!((&data["tool"], &data["findings"]), (&serde_json::json!(tool), &serde_json::json!(1)));
    }
    let left_out = "<testsuite name='m'><testcase name='x'><skipped/></testcase></testsuite>";
    assert_eq!(counts(None, left_out), conclusion("skipped", 1, 0, 0, 1));
}

#[test]
fn junit_tells_more_than_its_cases() {
    let counts = |xml: &str| {
        let data = data("junit", None, xml);
        (
            data["conclusion"].as_str().unwrap().to_owned(),
            ["tests", "failures", "errors"].map(|n| data[n].as_u64().unwrap()),
        )
    };
    let told = |text: &str, counts: [u64; 3]| (text.to_owned(), counts);
    let outside = "<testsuites><testsuite name='m'><testcase name='x'/><error>no module</error></testsuite>\
                   <testsuite name='n'><failure/></testsuite></testsuites>";
    assert_eq!(counts(outside), told("failure", [1, 1, 1]));
    let given_up = "<testsuites tests='5'><testsuite name='m' tests='3' failures='2'><testcase name='x'/></testsuite></testsuites>";
    assert_eq!(counts(given_up), told("failure", [5, 2, 0]));
    let loose = "<testsuite name='m' tests='many' errors='1'><testcase name='x'/></testsuite>";
    assert_eq!(counts(loose), told("failure", [1, 0, 1]));
    // pytest's totals count a test twice that passed and could not be torn down.
    let torn = "<testsuites><testsuite name='pytest' tests='2' errors='1'><testcase name='x'><error/></testcase></testsuite></testsuites>";
    assert_eq!(counts(torn), told("failure", [1, 0, 1]));
    // ESLint's totals call errors what its cases call failures.
    let eslint = "<testsuites><testsuite package='org.eslint' name='a' tests='1' errors='1'><testcase><failure/></testcase></testsuite></testsuites>";
    assert_eq!(data("junit", None, eslint)["findings"], 1);
}

#[test]
fn junit_may_be_in_any_encoding_and_its_times_are_not_guessed() {
    let latin = b"<?xml version=\"1.0\" encoding='ISO-8859-15' standalone=\"yes\" ?>\n\n<testsuite name=\"Pr\xfcfung \xa4\" timestamp=\"2026-03-04T12:00:00\"><testcase name=\"a\" time=\"1\"/></testsuite>";
    let text = found_out().lines(latin).unwrap();
    assert!(text.contains("Pr\u{fc}fung \u{20ac}") && text.contains("\"duration_ms\":\"1000\""), "{text}");
    assert!(!text.contains("started_at"), "{text}");
    let utf16: Vec<u8> = "\u{feff}<?xml version=\"1.0\" encoding=\"UTF-16\"?><testsuite name=\"\u{e9}\" tests=\"1\"/>"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let text = named("junit", None).lines(&utf16).unwrap();
    assert!(text.contains("\"suite\":\"\u{e9}\""), "{text}");
    let zoned = r#"<testsuites><testsuite timestamp="2026-03-04T12:00:00+01:00" time="2.5"><testcase name="a"/></testsuite>
                   <testsuite timestamp="2026-03-04T11:00:01Z" time="0.5"><testcase name="b"/></testsuite></testsuites>"#;
    let draft: serde_json::Value =
        serde_json::from_str(&named("junit", None).lines(zoned.as_bytes()).unwrap()).unwrap();
    assert_eq!(draft["occurred_at"], "2026-03-04T11:00:02.500000Z");
    assert_eq!(draft["data"]["started_at"], "2026-03-04T11:00:00.000000Z");
    named("junit", None).refuses(zoned.replace("2026", "2027").as_bytes(), Reason::FutureTime, Some("generated_at"));
}

#[test]
fn xml_that_means_ill_is_refused() {
    let junit = |bytes: &[u8], reason, field: Option<&str>| named("junit", None).refuses(bytes, reason, field);
    let entities = b"<!DOCTYPE t [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><testsuite name=\"&b;\" tests=\"1\"/>";
    junit(entities, Reason::Entities, None);
    let deep = format!("<testsuite>{}{}</testsuite>", "<a>".repeat(500), "</a>".repeat(500));
    junit(deep.as_bytes(), Reason::TooDeep, None);
    junit(b"<testsuite><testcase>", Reason::Malformed, None);
    junit(b"<testsuite><testcase></testsuite>", Reason::Malformed, None);
    junit(b"<testsuite/><testsuite/>", Reason::Malformed, None);
    junit(b"", Reason::Malformed, None);
    junit(b"<html/>", Reason::Schema, None);
    junit(b"<?xml version='1.0' encoding='klingon'?><testsuite/>", Reason::UnsupportedEncoding, None);
    junit(b"<testsuite tests='\xff'/>", Reason::NotUtf8, None);
    junit(b"<testsuites><testsuite tests='many'/></testsuites>", Reason::BadNumber, Some("testsuite[0].tests"));
    junit(b"<testsuites tests='99999999999'/>", Reason::BadNumber, Some("tests"));
    // A document type without entities does no harm.
    let declared = "<!DOCTYPE coverage SYSTEM \"http://cobertura.sourceforge.net/xml/coverage-04.dtd\">\
                    <coverage lines-valid=\"2\" lines-covered=\"1\" line-rate=\"0.5\" timestamp=\"1700000000\"/>";
    let text = found_out().lines(declared.as_bytes()).unwrap();
    assert!(text.contains("2023-11-14T22:13:20"), "{text}");
}

#[test]
fn coverage_is_counted_and_never_taken_from_a_ratio() {
    let coverage = |source, exit_code, text: &str| data(source, exit_code, text)["coverage"].clone();
    // The oldest form has no totals: lines are counted, those of methods once.
    let old = "<coverage line-rate='0.33'><packages><package><classes><class><methods><method><lines><line number='1' hits='1'/>\
               </lines></method></methods><lines><line number='1' hits='1'/><line number='2' hits='0' branch='true' \
               condition-coverage='50% (1/2)'/><line number='3' hits='00'/></lines></class></classes></package></packages></coverage>";
    let expected =
        serde_json::json!({"branches_covered": 1, "branches_valid": 2, "lines_covered": 1, "lines_valid": 3});
    assert_eq!(coverage("cobertura", None, old), expected);
    let none = serde_json::json!({"lines_covered": 7, "lines_valid": 8});
    let xml = "<coverage lines-valid='8' lines-covered='7' line-rate='1' branches-valid='0' branches-covered='0'/>";
    assert_eq!(coverage("cobertura", Some(2), xml), none);
    assert_eq!(data("cobertura", Some(2), xml)["conclusion"], "failure");
    assert_eq!(data("cobertura", None, xml)["conclusion"], "neutral");
    let json = r#"{"meta":{"version":"5.5","timestamp":"2026-11-22T20:29:00","branch_coverage":false},"files":{},"totals":{"covered_lines":7,"num_statements":8}}"#;
    assert_eq!(coverage("coverage-py", Some(0), json), none);
    // Two tests of one file: a line is there once.
    let lcov = "TN:one\nSF:a.c\nDA:1,1\nDA:2,0\nBRDA:1,0,0,-\nBRDA:1,0,1,2\nend_of_record\nTN:two\nSF:a.c\nDA:1,0\nDA:2,3,abc\n\
                end_of_record\nSF:b.c\nLF:4\nLH:1\nend_of_record\n";
    let expected =
        serde_json::json!({"branches_covered": 1, "branches_valid": 2, "lines_covered": 3, "lines_valid": 6});
    assert_eq!(coverage("lcov", None, lcov), expected);

    let refuses =
        |source, text: &str, reason, field: &str| named(source, None).refuses(text.as_bytes(), reason, Some(field));
    refuses("cobertura", "<coverage line-rate='0.5'/>", Reason::MissingField, "coverage.lines-valid");
    refuses("cobertura", "<coverage lines-valid='x' lines-covered='1'/>", Reason::BadNumber, "coverage.lines-valid");
    refuses("cobertura", "<coverage lines-valid='1' lines-covered='2'/>", Reason::BadNumber, "coverage");
    refuses(
        "coverage-py",
        &json.replace("\"version\"", "\"format\":4,\"version\""),
        Reason::UnsupportedVersion,
        "meta.format",
    );
    refuses("coverage-py", &json.replace("num_statements", "n"), Reason::MissingField, "totals.num_statements");
    refuses("lcov", "SF:a\nDA:1\nend_of_record\n", Reason::BadNumber, "line 2.DA");
    refuses("lcov", "TN:\n", Reason::MissingField, "SF");
    named("lcov", None).refuses(b"SF:a\nDA:1,1\n", Reason::Malformed, None);
}

#[test]
fn what_pytest_prints_has_its_counts_in_the_last_line() {
    let counts = |exit_code, text: &str| {
        let data = data("pytest", exit_code, text);
        let n = |name: &str| data[name].as_u64();
        (data["conclusion"].as_str().unwrap().to_owned(), n("tests"), n("failures"), n("errors"), n("skipped"))
    };
    let head = "===== test session starts =====\nplatform linux -- Python 3.11.7, pytest-9.2.0, pluggy-1.6.0\n";
    let good = format!("{head}===== 5 passed, 2 xfailed, 1 warning in 61.05s (0:01:01) =====\n");
    assert_eq!(counts(None, &good), ("success".to_owned(), Some(7), Some(0), Some(0), Some(2)));
    assert_eq!(data("pytest", None, &good)["tool_version"], "9.2.0");
    let none = counts(Some(5), "no tests ran in 0.01s\n");
    assert_eq!(none, ("error".to_owned(), Some(0), Some(0), Some(0), Some(0)));
    let stopped = "!!!! Interrupted: 1 error during collection !!!!\n==== 1 error in 0.12s ====\n";
    assert_eq!(counts(None, stopped), ("error".to_owned(), None, Some(0), Some(1), Some(0)));
    assert_eq!(counts(Some(4), "ERROR: usage\n"), ("error".to_owned(), None, None, None, None));
    named("pytest", None).refuses(head.as_bytes(), Reason::Malformed, None);
}

/// A case: what is in it, and what it counts as (failed, error, skipped).
fn case() -> impl Strategy<Value = (String, [u64; 3])> {
    prop_oneof![
        Just(("", [0, 0, 0])),
        Just(("<failure/>", [1, 0, 0])),
        Just(("<error/>", [0, 1, 0])),
        Just(("<skipped/>", [0, 0, 1])),
        Just(("<failure/><error/>", [1, 0, 0])),
        Just(("<system-out><![CDATA[<failure/>]]></system-out>", [0, 0, 0])),
    ]
    .prop_map(|(inside, counts)| (format!("<testcase name='c'>{inside}</testcase>"), counts))
}

/// A suite with totals of its own, and what it counts as.
fn with_totals(parts: &str, sum: [u64; 4], [tests, failures, errors]: [u64; 3]) -> (String, [u64; 4]) {
    let text =
        format!("<testsuite name='s' tests='{tests}' failures='{failures}' errors='{errors}'>{parts}</testsuite>");
    let [failed, error] = if failures + errors > sum[1] + sum[2] { [failures, errors] } else { [sum[1], sum[2]] };
    (text, [sum[0].max(tests), failed, error, sum[3]])
}

/// Suites in suites, with totals that are wrong, and what they count as (all, failed, error, skipped).
fn suite() -> impl Strategy<Value = (String, [u64; 4])> {
    let totals = || proptest::array::uniform3(0_u64..8);
    let leaf = (proptest::collection::vec(case(), 1..5), totals()).prop_map(|(cases, totals)| {
        let (mut sum, mut text) = ([0; 4], String::new());
        for (case, [failed, error, skipped]) in cases {
            text.push_str(&case);
            sum = [sum[0] + 1, sum[1] + failed, sum[2] + error, sum[3] + skipped];
        }
        with_totals(&text, sum, totals)
    });
    leaf.prop_recursive(4, 32, 4, move |inner| {
        (proptest::collection::vec(inner, 1..4), totals()).prop_map(|(suites, totals)| {
            let (mut sum, mut text) = ([0; 4], String::new());
            for (suite, counts) in suites {
                text.push_str(&suite);
                sum.iter_mut().zip(counts).for_each(|(sum, n)| *sum += n);
            }
            with_totals(&text, sum, totals)
        })
    })
}

/// The same cases in every run; more of them with `PLIMSOLL_SLOW`.
fn always<S: Strategy>(strategy: &S, holds: impl Fn(S::Value)) {
    let cases = if crate::support::rig::slow() { 5000 } else { 50 };
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let chance = TestRng::from_seed(RngAlgorithm::ChaCha, &[29; 32]);
    let result = TestRunner::new_with_rng(config, chance).run(strategy, |value| {
        holds(value);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn cases_are_counted_once_however_suites_nest() {
    always(&suite(), |(xml, [tests, failures, errors, skipped])| {
        let data = data("junit", None, &format!("<testsuites>{xml}</testsuites>"));
        let counts = ["tests", "failures", "errors", "skipped"].map(|name| data[name].as_u64().unwrap());
        assert_eq!(counts, [tests, failures, errors, skipped], "{xml}");
    });
}

#[test]
fn lines_that_several_tests_tell_of_are_one() {
    always(&proptest::collection::vec((0_u8..6, 0_u8..3), 1..40), |hits| {
        let record = |(line, hits): &(u8, u8)| format!("TN:t\nSF:a.c\nDA:{line},{hits}\nend_of_record\n");
        let coverage = data("lcov", None, &hits.iter().map(record).collect::<String>())["coverage"].clone();
        let lines: BTreeSet<u8> = hits.iter().map(|(line, _)| *line).collect();
        let ran: BTreeSet<u8> = hits.iter().filter(|(_, n)| *n > 0).map(|(line, _)| *line).collect();
        assert_eq!(coverage["lines_valid"].as_u64(), Some(lines.len() as u64));
        assert_eq!(coverage["lines_covered"].as_u64(), Some(ran.len() as u64));
    });
}

#[test]
fn text_of_any_kind_makes_nothing_panic() {
    let words = "(\\PC|[\n\t:,+=\\[{<>\"'\u{1b}]|error|Found |1 file|passed| in |SF:|DA:|::error ){0,60}";
    always(&words, |text: String| {
        for format in plimsoll::report::FORMATS {
            for exit_code in [None, Some(0), Some(1)] {
                let _taken = named(format.name, exit_code).lines(text.as_bytes()).is_ok();
            }
        }
    });
}
