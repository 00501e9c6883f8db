//! `record`: flags, standard input, and what is refused.

use serde_json::{Value, json};

use crate::support::program::Desk;

const OID: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

fn draft() -> Value {
    json!({
        "type": "tag.deleted", "stream": "repo/example.com/app", "source": "script", "dedup": "1",
        "occurred_at": "2026-03-04T12:00:00Z", "data": {"before": OID, "tag": "v1"},
    })
}

#[track_caller]
fn size(desk: &Desk) -> usize {
    desk.run(["log"]).ok().lines().count()
}

#[test]
fn an_event_is_recorded_from_flags_or_from_a_payload() {
    let desk = Desk::with_ledger();
    let flags = ["record", "tag.deleted", "--stream", "repo/example.com/app", "--source", "ci/1", "--dedup", "run 7"];
    let more = ["--at", "2026-03-04T13:00:00+01:00", "--actor", "github:octocat", "--correlation", "p-1"];
    let before = format!("before={OID}");
    let done = desk.run(flags.iter().chain(&more).chain(&["-f", "tag=v1", "-f", &before, "--json"])).json();
    assert_eq!((&done["position"], &done["duplicate"]), (&1.into(), &false.into()));
    let event = desk.run(["show", "1", "--json"]).json();
    for (key, value) in [
        ("type", "tag.deleted"),
        ("stream", "repo/example.com/app"),
        ("source", "ci/1"),
        ("dedup", "run 7"),
        ("occurred_at", "2026-03-04T12:00:00.000000Z"),
        ("correlation", "p-1"),
        ("id", done["id"].as_str().unwrap()),
    ] {
        assert_eq!(event[key], value, "{key}");
    }
    assert_eq!(event["data"], json!({"before": OID, "tag": "v1"}));
    assert_eq!(event["private"][event["actor"].as_str().unwrap()], "github:octocat");

    // The same event again is known; a payload in one piece, from the flag or from standard input, is the same.
    let payload = json!({"tag": "v1", "before": OID}).to_string();
    let again = flags.iter().chain(&more).copied();
    let out = desk.run(again.clone().chain(["--payload", &payload])).ok();
    assert!(out.starts_with("1  ") && out.ends_with("  (recorded before)\n"), "{out:?}");
    let out = desk.feed(again.chain(["--payload", "-", "--json"]), payload.as_bytes()).json();
    assert_eq!(out["duplicate"], true);
    assert_eq!(size(&desk), 2);

    // Values of flags are JSON where they are that, else text.
    let run = ["record", "branch.updated", "--stream", "repo/example.com/app"];
    let after = format!("after={OID}");
    desk.run(run.iter().chain(&["-f", "branch=main", "-f", "forced=true", "-f", &after])).ok();
    assert_eq!(desk.run(["show", "2", "--json"]).json()["data"]["forced"], true);
}

#[test]
fn drafts_on_standard_input_are_recorded_together_or_not_at_all() {
    let desk = Desk::with_ledger();
    let nth = |n: usize| {
        let mut draft = draft();
        draft["dedup"] = n.to_string().into();
        draft
    };
    let many: String = (0..500).map(|n| format!("{}\n", nth(n))).collect();
    let out = desk.feed(["record", "-", "--json"], many.as_bytes()).ok();
    let positions: Vec<u64> =
        out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["position"].as_u64().unwrap()).collect();
    assert_eq!(positions, (1..=500).collect::<Vec<_>>());
    // Also without anything between them, and over several lines.
    let pretty = format!("{:#}{}", nth(501), nth(502));
    assert_eq!(desk.feed(["record", "-"], pretty.as_bytes()).ok().lines().count(), 2);

    let mut bad = nth(504);
    bad["data"]["tag"] = 7.into();
    let err = desk.feed(["record", "-"], format!("{}{bad}{}", nth(503), nth(505)).as_bytes()).fails(2);
    assert!(err.contains("draft 1 ") && err.contains("data"), "{err}");
    assert_eq!(size(&desk), 503);

    // A stream's expected version: refused when it does not hold, and nothing of it recorded.
    let mut late = nth(506);
    late["expected"] = "3".into();
    let err = desk.feed(["record", "-"], format!("{}{late}", nth(507)).as_bytes()).fails(1);
    assert!(err.contains("repo/example.com/app") && err.contains("502"), "{err}");
    assert_eq!(size(&desk), 503);
    late["expected"] = "501".into();
    desk.feed(["record", "-"], late.to_string().as_bytes()).ok();
}

/// What is on standard input, and words that the complaint must have.
type Case = (&'static str, Vec<u8>, &'static [&'static str]);

/// A draft with one field changed.
fn with(key: &str, value: Value) -> Vec<u8> {
    let mut draft = draft();
    draft[key] = value;
    draft.to_string().into_bytes()
}

fn wrong_drafts() -> Vec<Case> {
    let data = |json: &str| {
        let text = draft().to_string();
        let whole = draft()["data"].to_string();
        text.replace(&whole, json).into_bytes()
    };
    let mut invalid_utf8 = draft().to_string().into_bytes();
    let at = invalid_utf8.windows(2).position(|window| window == b"v1").unwrap();
    invalid_utf8[at] = 0xff;
    let deep = "[".repeat(100_000);
    let deep_object =
        format!("{{\"before\":\"{OID}\",\"tag\":\"v\",\"a\":{}1{}}}", "{\"a\":".repeat(9999), "}".repeat(9999));
    let twice = draft().to_string().replacen("{\"data\"", "{\"dedup\":\"2\",\"data\"", 1);
    assert_ne!(twice, draft().to_string());
    vec![
        ("nothing", b"".to_vec(), &["no draft"]),
        ("only space", b" \n ".to_vec(), &["no draft"]),
        ("no JSON", b"hello".to_vec(), &["draft 0"]),
        ("half of it", b"{\"type\":".to_vec(), &["draft 0"]),
        ("an array", b"[]".to_vec(), &["draft 0"]),
        ("a missing field", b"{\"type\":\"tag.deleted\"}".to_vec(), &["draft 0", "stream"]),
        ("an unknown field", with("nonsense", 1.into()), &["draft 0", "nonsense"]),
        ("a field twice", twice.into_bytes(), &["draft 0", "dedup"]),
        ("an unknown type", with("type", "tag.eaten".into()), &["tag.eaten"]),
        ("another type's stream", with("stream", "target/a/b".into()), &["stream", "repo/<host>/<path>"]),
        ("a bad stream", with("stream", "repo/../x".into()), &["stream", "repo/../x"]),
        ("an empty dedup", with("dedup", "".into()), &["dedup"]),
        ("a time without offset", with("occurred_at", "2026-03-04T12:00:00".into()), &["occurred_at", "offset"]),
        ("no time", with("occurred_at", "yesterday".into()), &["occurred_at", "yesterday"]),
        ("a bad expectation", with("expected", "some".into()), &["expected", "some"]),
        ("invalid UTF-8", invalid_utf8, &["draft 0"]),
        ("deep nesting", data(&deep), &["draft 0"]),
        ("deep nesting that ends", data(&deep_object), &["data.a"]),
        ("NaN", data(&format!("{{\"before\":\"{OID}\",\"tag\":NaN}}")), &["draft 0"]),
        ("a float", data(&format!("{{\"before\":\"{OID}\",\"tag\":1.5}}")), &["data", "1.5"]),
        ("a huge number", data(&format!("{{\"before\":\"{OID}\",\"tag\":{}}}", "9".repeat(500))), &["data"]),
        (
            "a payload's key twice",
            data(&format!("{{\"before\":\"{OID}\",\"tag\":\"a\",\"tag\":\"b\"}}")),
            &["data", "tag"],
        ),
        ("a payload's unknown key", data(&format!("{{\"before\":\"{OID}\",\"tag\":\"a\",\"x\":1}}")), &["data.x"]),
        ("a payload's missing key", data(&format!("{{\"before\":\"{OID}\"}}")), &["data", "tag"]),
        ("too large", data(&format!("{{\"before\":\"{OID}\",\"tag\":\"{}\"}}", "x".repeat(40_000))), &["32768"]),
        (
            "evidence nobody has",
            with(
                "evidence",
                json!([{"media_type": "text/plain", "size": "1",
            "sha256": "0".repeat(64), "blake3": "0".repeat(64)}]),
            ),
            &["evidence[0]"],
        ),
    ]
}

#[test]
fn what_is_wrong_is_named_and_nothing_of_it_is_recorded() {
    let desk = Desk::with_ledger();
    let cases = wrong_drafts();
    for (what, input, words) in &cases {
        let err = desk.feed(["record", "-"], input).fails(2);
        for word in *words {
            assert!(err.contains(word), "{what}: {word:?} is not in {err}");
        }
        assert!(err.lines().count() == 1 && err.len() < 600, "{what}: {err}");
    }
    assert_eq!(size(&desk), 1);

    // The same through a server.
    let server = desk.serve(&[]);
    for (what, input, _) in &cases {
        let ran = desk.feed(["record", "-", "--server", &server.url()], input);
        assert_eq!(ran.code, 2, "{what}: {ran:?}");
    }
    let ran = desk.feed(["record", "-", "--server", &server.url()], draft().to_string().as_bytes());
    assert!(ran.ok().starts_with("1  "));
    let other = with("data", json!({"before": OID, "tag": "v2"}));
    let err = desk.feed(["record", "-", "--server", &server.url()], &other).fails(1);
    assert!(err.contains("script") && err.contains("position 1") && err.contains("data.tag"), "{err}");
}

#[test]
fn wrong_flags_are_wrong_use() {
    let desk = Desk::with_ledger();
    for (args, word) in [
        (&["record"][..], "EVENT_TYPE"),
        (&["record", "tag.deleted", "-f", "tag=v", "-f", "before=4b825dc642cb6eb9a060e54bf8d69288fbee4904"], "stream"),
        (&["record", "tag.deleted", "--stream", "repo/a/b"], "data"),
        (&["record", "tag.deleted", "--stream", "repo/a/b", "-f", "tag"], "NAME=VALUE"),
        (&["record", "tag.deleted", "--stream", "repo/a/b", "-f", "tag=1", "-f", "tag=2"], "twice"),
        (&["record", "tag.deleted", "--stream", "repo/a/b", "--payload", "{"], "--payload"),
        (&["record", "tag.deleted", "--stream", "repo/a/b", "--payload", "{}", "-f", "a=b"], "cannot be used with"),
        (&["record", "tag.deleted", "--stream", "repo/a/b", "-f", "x=1", "--at", "noon"], ""),
        (&["record", "nonsense", "--stream", "repo/a/b"], "nonsense"),
        (&["nonsense"], "nonsense"),
        (&["log", "--limit", "many"], "many"),
        (&["show", "neither"], "neither"),
        (&["serve", "--grpc", "everywhere"], "everywhere"),
        (&["serve", "--engine", "abacus"], "abacus"),
        (&["export"], "--tiles"),
        (&["backup"], ""),
        (&["--config", "nowhere.toml", "log"], "nowhere.toml"),
        (&["log", "--server", "not a url"], "not a url"),
    ] {
        let err = desk.run(args).fails(2);
        assert!(err.contains(word), "{args:?}: {err}");
    }
    assert_eq!(size(&desk), 1);
}
