//! Reviews and approvals.

use serde_json::{Value, json};

use super::super::tale::{REPO, Tale, digest, oid};
use super::{contain, not_judged, of, said, told};

#[test]
fn a_change_that_nobody_but_its_author_approved_before_the_merge() {
    let mut tale = Tale::new();
    let (none, by_bob) = (json!({}), json!({"approved_by": ["Bob <bob@example.com>"]}));
    tale.reviewed("1", "Bob", "approved", "one-head", 1).merged("1", "one", 2, &none);
    tale.merged("2", "two", 2, &by_bob);
    tale.reviewed("10", "Bob", "commented", "a-head", 1).merged("10", "a", 3, &none);
    tale.reviewed("11", "Ada", "approved", "b-head", 1).merged("11", "b", 4, &none);
    tale.reviewed("12", "Bob", "approved", "c-head", 6).merged("12", "c", 5, &none);
    tale.reviewed("13", "Bob", "approved", "d-head", 1).reviewed("13", "Bob", "dismissed", "d-head", 2);
    tale.merged("13", "d", 6, &none).merged("13", "d", 7, &none);
    let (found, looked) = of(&mut tale, "merge_unreviewed");
    contain(&said(&found), &["change 10 ", "change 11 ", "change 12 ", "change 13 "]);
    assert_eq!(found[0]["who"]["identity"], "Cleo <cleo@example.com>");
    let missing = |n: usize| found[n]["missing"][0].as_str().unwrap().to_owned();
    assert!(missing(1).ends_with("its author approved it") && missing(3).ends_with("one was taken back"), "{found:#?}");
    assert_eq!((&looked["examined"], not_judged(&looked)), (&6.into(), Vec::new()));
}

#[test]
fn whoever_never_tells_of_reviews_cannot_be_taken_for_a_witness_that_there_were_none() {
    let mut tale = Tale::new();
    let merge = |change: &str| json!({"base": "main", "change": change, "commit": oid(change), "author": "Ada"});
    tale.say_as("mute", "change.merged", REPO, 1, &merge("1"));
    tale.reviewed("9", "Bob", "approved", "x", 3).say("change.merged", REPO, 2, &merge("2"));
    tale.say("change.merged", REPO, 4, &merge("3"));
    let (found, looked) = of(&mut tale, "merge_unreviewed");
    contain(&said(&found), &["change 3 "]);
    let expected =
        [("mute", "this source never told of a review"), ("test", "this source did not tell of reviews yet")];
    assert_eq!(not_judged(&looked), expected.map(|(subject, reason)| (subject.to_owned(), reason.to_owned())));
}

#[test]
fn a_change_that_went_on_after_it_was_approved() {
    let mut tale = Tale::new();
    let none = json!({});
    tale.reviewed("1", "Bob", "approved", "early", 1).merged("1", "one", 5, &none);
    tale.reviewed("2", "Bob", "approved", "early", 1).reviewed("2", "Dan", "approved", "two-head", 2);
    tale.merged("2", "two", 6, &none).merged("3", "three", 7, &json!({"approved_by": ["Bob"]}));
    tale.reviewed("4", "Bob", "approved", "early", 1).reviewed("4", "Bob", "approved", "four-head", 2);
    tale.merged("4", "four", 8, &none).merged("5", "five", 9, &none);
    let (found, looked) = of(&mut tale, "stale_review");
    contain(&said(&found), &["change 1 of example.com/shop was merged with commits that came after its approval"]);
    assert_eq!((found[0]["evidence"].as_array().unwrap().len(), &looked["examined"]), (2, &4.into()));
}

#[test]
fn a_merge_past_a_rule() {
    let mut tale = Tale::new();
    tale.merged("1", "one", 1, &json!({"protection": {"bypassed": true}}));
    tale.merged("2", "two", 2, &json!({"protection": {"bypassed": false}})).merged("3", "three", 3, &json!({}));
    contain(&told(&mut tale, "merge_bypassed"), &["change 1 of example.com/shop was merged into main past a rule"]);
}

/// A promotion to production that Ada asked for.
fn promotion(tale: &mut Tale, id: &str, hours: i64, more: &Value) -> String {
    let stream = format!("promotion/{id}");
    let items = json!([{"digest": digest("one"), "target": "target/production/shop"}]);
    let data = json!({"environment": "production", "items": items, "trigger": "command", "requested_by": "Ada"});
    tale.say("promotion.requested", &stream, hours, &super::super::tale::with(data, more));
    stream
}

fn approved(tale: &mut Tale, stream: &str, by: &str, hours: i64, more: &Value) {
    let hash = "0".repeat(64);
    let data = json!({"approver": by, "artifacts": [digest("one")], "method": "command", "plan": hash, "policy": hash});
    tale.say("promotion.approved", stream, hours, &super::super::tale::with(data, more));
}

fn started(tale: &mut Tale, stream: &str, hours: i64) {
    let (hash, id) = ("0".repeat(64), "019c1c00-0000-7000-8000-000000000000");
    let data =
        json!({"actuators": ["git"], "approvals": [id], "attempt": 1, "evaluation": id, "plan": hash, "policy": hash});
    tale.say("promotion.started", stream, hours, &data);
}

#[test]
fn an_approval_of_ones_own() {
    let mut tale = Tale::new();
    tale.merged("1", "one", 5, &json!({})).reviewed("1", "Ada", "approved", "one-head", 1);
    tale.reviewed("1", "Ada", "commented", "one-head", 2).reviewed("1", "Bob", "approved", "one-head", 3);
    tale.reviewed("2", "Bob", "approved", "two-head", 4);
    let (own, other) = (promotion(&mut tale, "own", 1, &json!({})), promotion(&mut tale, "other", 1, &json!({})));
    approved(&mut tale, &own, "Ada", 6, &json!({}));
    approved(&mut tale, &other, "Bob", 6, &json!({}));
    let (found, looked) = of(&mut tale, "self_approval");
    contain(
        &said(&found),
        &["change 1 of example.com/shop was approved by its author", "promotion/own was approved by who"],
    );
    assert_eq!((&found[1]["environment"], &found[1]["who"]["identity"]), (&"production".into(), &"Ada".into()));
    assert_eq!(
        (&looked["examined"], not_judged(&looked)[0].1.as_str()),
        (&5.into(), "whose change it is was not told")
    );
}

#[test]
fn an_approval_after_the_fact() {
    let mut tale = Tale::new();
    tale.merged("1", "one", 5, &json!({})).reviewed("1", "Bob", "approved", "one-head", 6);
    tale.merged("2", "two", 5, &json!({})).reviewed("2", "Bob", "approved", "two-head", 4);
    tale.reviewed("2", "Cleo", "approved", "two-head", 7).reviewed("3", "Bob", "approved", "open", 8);
    for id in ["late", "early", "said"] {
        let stream = promotion(&mut tale, id, 1, &json!({}));
        if id != "said" {
            started(&mut tale, &stream, 10);
        }
    }
    approved(&mut tale, "promotion/late", "Bob", 11, &json!({}));
    approved(&mut tale, "promotion/early", "Bob", 9, &json!({}));
    approved(&mut tale, "promotion/said", "Bob", 12, &json!({"after_the_fact": true}));
    let (found, _) = of(&mut tale, "late_approval");
    let parts =
        ["change 1 of example.com/shop was approved after it was merged", "somebody else had approved it before"];
    contain(
        &said(&found),
        &[parts[0], parts[1], "promotion/late was approved after", "promotion/said was approved after"],
    );
    assert_eq!(found[0]["evidence"].as_array().unwrap().len(), 2);
}

#[test]
fn urgent_repairs_and_emergencies() {
    let mut tale = Tale::new();
    tale.merged("1", "one", 1, &json!({"hotfix": true})).merged("2", "two", 1, &json!({"hotfix": false}));
    promotion(&mut tale, "fix", 2, &json!({"hotfix": true}));
    promotion(&mut tale, "glass", 3, &json!({"break_glass": true, "reason": "it burns"}));
    promotion(&mut tale, "plain", 3, &json!({}));
    tale.deploy("target/staging/shop", "one", 4, &json!({"hotfix": true})).deploy(
        "target/staging/shop",
        "two",
        5,
        &json!({}),
    );
    let parts = ["change 1 ", "promotion/fix to production", "a deployment of staging/shop"];
    contain(&told(&mut tale, "hotfix"), &parts);
    contain(&told(&mut tale, "break_glass"), &["promotion/glass to production was to pass over its gates"]);
    let answer = tale.ask(["exceptions", "--kind", "hotfix", "--kind", "break_glass", "--environment", "production"]);
    contain(&said(answer["exceptions"].as_array().unwrap()), &["promotion/fix", "promotion/glass"]);
}
