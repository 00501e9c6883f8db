//! The list as a whole.

use serde_json::{Value, json};

use super::super::tale::{REPO, TARGET, Tale, at, oid, without_positions};

/// A little of everything.
fn mixed() -> Tale {
    let mut tale = Tale::new();
    let none = json!({});
    tale.commit("root", &[], 0, &none).commit("one", &["root"], 1, &none).commit("two", &["one"], 2, &none);
    tale.say(
        "branch.updated",
        REPO,
        2,
        &json!({"branch": "main", "before": oid("x"), "after": oid("two"), "forced": true}),
    );
    tale.merged("1", "one", 2, &none).reviewed("1", "Bob", "approved", "one-head", 4).merged("9", "nine", 5, &none);
    tale.build("root", 3).build("two", 3);
    for environment in ["production", "staging"] {
        let target = format!("target/{environment}/shop");
        tale.deploy(&target, "root", 10, &none).deploy(&target, "two", 11, &none).deploy(&target, "rogue", 12, &none);
        tale.say("drift.opened", &target, 13, &json!({"cause": "live_edit", "drift": "d"}));
    }
    tale.say("tag.moved", REPO, 13, &json!({"tag": "v1", "before": oid("one"), "after": oid("two")}));
    tale.say("observation.gap", "ledger", 14, &json!({"from": at(13), "to": at(14), "reason": "the watch was down"}));
    tale
}

/// Everything but late events: when events were recorded is no part of a tale.
fn ask(tale: &mut Tale, more: &[&str]) -> Value {
    let answer = tale.ask(["exceptions"].into_iter().chain(more.iter().copied()));
    let kinds = answer["looked_at"].as_array().unwrap().iter().map(|it| it["kind"].as_str().unwrap().to_owned());
    let kinds: Vec<_> =
        kinds.filter(|kind| kind != "late_event").flat_map(|kind| ["--kind".to_owned(), kind]).collect();
    tale.ask(["exceptions"].into_iter().chain(kinds.iter().map(String::as_str)).chain(more.iter().copied()))
}

#[test]
fn it_is_in_order_of_time_and_kind() {
    let mut tale = mixed();
    let answer = ask(&mut tale, &[]);
    let found = answer["exceptions"].as_array().unwrap();
    let kinds: Vec<_> = found.iter().map(|it| it["kind"].as_str().unwrap()).collect();
    let (two, rogue) = (["deployed_without_change"; 2], ["image_without_build"; 2]);
    assert_eq!(kinds[..4], ["forced_push", "merge_unreviewed", "late_approval", "merge_unreviewed"]);
    assert_eq!(kinds[4..8], [two, rogue].concat());
    assert_eq!(kinds[8..], ["tag_moved", "drift", "drift", "observation_gap"]);
    let words = tale.desk.run(["exceptions", "--kind", "drift", "--kind", "deployed_past_git"]).ok();
    for part in [
        "2 exceptions, known at",
        "drift",
        "staging/shop",
        "not judged: 3 of deployed_past_git, staging/shop: no commit of desired",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
}

#[test]
fn pages_put_together_are_the_whole() {
    let mut tale = mixed();
    let whole = ask(&mut tale, &[]);
    let (mut found, mut token) = (Vec::new(), String::new());
    loop {
        let page = ask(&mut tale, &["-n", "2", "--page-token", &token]);
        assert!(page["exceptions"].as_array().unwrap().len() <= 2);
        found.extend(page["exceptions"].as_array().unwrap().clone());
        page["next_page_token"].as_str().unwrap().clone_into(&mut token);
        if token.is_empty() {
            break;
        }
        // What comes in meanwhile does not show.
        tale.say("tag.moved", REPO, 20, &json!({"tag": "v2", "before": oid("one"), "after": oid("two")}));
    }
    assert_eq!(Value::Array(found), whole["exceptions"]);
    assert!(tale.desk.run(["exceptions", "--page-token", "1.2.3"]).fails(2).contains("page_token"));
}

#[test]
fn the_order_of_arrival_does_not_show() {
    let (mut tale, mut backwards) = (mixed(), mixed());
    backwards.backwards();
    let told = |mut answer: Value| {
        answer["exceptions"].as_array_mut().unwrap().iter_mut().for_each(|it| it["evidence"] = Value::Null);
        without_positions(answer)
    };
    assert_eq!(told(ask(&mut backwards, &[])), told(ask(&mut tale, &[])));
    assert!(backwards.desk.run(["rebuild", "--check"]).ok().contains("events folded"));
}

#[test]
fn what_was_known_then_stays_what_was_known_then() {
    let mut tale = mixed();
    let known = tale.record().to_string();
    let then = ask(&mut tale, &["--known-at", &known]);
    tale.build("rogue", 30).reviewed("9", "Bob", "approved", "nine-head", 4);
    tale.say("drift.closed", TARGET, 40, &json!({"cause": "sync", "drift": "d"}));
    tale.merged("2", "two", 3, &json!({"approved_by": ["Bob"]}));
    assert_eq!(ask(&mut tale, &["--known-at", &known]), then);
    let now = ask(&mut tale, &[]);
    let kinds: Vec<_> = now["exceptions"].as_array().unwrap().iter().map(|it| it["kind"].as_str().unwrap()).collect();
    // The commit that `rogue` turned out to be built of came by no change, and is on no branch.
    let rogue = [["deployed_without_change"; 2], ["deployed_off_branch"; 2]].concat();
    assert_eq!(
        (&kinds[..3], &kinds[3..7]),
        (["forced_push", "merge_unreviewed", "late_approval"].as_slice(), rogue.as_slice())
    );
    assert_eq!(kinds[7..], ["tag_moved", "drift", "drift", "observation_gap"]);
    assert!(!now["exceptions"][8]["until"].is_null() || !now["exceptions"][9]["until"].is_null());
}

#[test]
fn an_empty_list_says_what_was_looked_at() {
    let mut tale = Tale::new();
    let answer = tale.ask(["exceptions", "--from", "2026-02-01", "--to", "2026-02-02"]);
    assert_eq!(
        (answer["exceptions"].as_array().unwrap().len(), answer["looked_at"].as_array().unwrap().len()),
        (0, 26)
    );
    let of_targets = tale.ask(["exceptions", "--environment", "production"]);
    assert_eq!(of_targets["looked_at"].as_array().unwrap().len(), 16);
    let words = tale.desk.run(["exceptions"]).ok();
    assert!(words.starts_with("0 exceptions") && words.contains("tags in Git that were moved"), "{words}");
    assert!(tale.desk.run(["exceptions", "--kind", "nonsense"]).fails(2).contains("none of tag_moved"));
}

#[test]
fn one_environment_and_one_time() {
    let mut tale = mixed();
    let found = |answer: Value| answer["exceptions"].as_array().unwrap().len();
    assert_eq!(found(ask(&mut tale, &["--environment", "staging"])), 3);
    assert_eq!(found(ask(&mut tale, &["--environment", "staging", "--service", "other"])), 0);
    assert_eq!(found(ask(&mut tale, &["--service", "shop"])), 6);
    assert_eq!(found(ask(&mut tale, &["--from", &at(4), "--to", &at(12)])), 4);
}

#[test]
fn a_server_says_the_same() {
    let mut tale = mixed();
    let alone = ask(&mut tale, &[]);
    let server = tale.desk.serve(&[]);
    let url = server.url();
    assert_eq!(ask(&mut tale, &["--server", &url]), alone);
}
