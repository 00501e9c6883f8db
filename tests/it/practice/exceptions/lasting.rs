//! What lasts, and what is done past Git.

use serde_json::{Value, json};

use super::super::tale::{TARGET, Tale, at};
use super::{contain, of, said, told};

/// What lasts into the time from the 20th to the 30th hour.
fn within(tale: &mut Tale, kind: &str) -> Vec<Value> {
    let answer = tale.ask(["exceptions", "--kind", kind, "--from", &at(20), "--to", &at(30)]);
    answer["exceptions"].as_array().unwrap().clone()
}

#[test]
fn drift_that_lasted_into_the_time_asked_for() {
    let mut tale = Tale::new();
    let opened = |id: &str| json!({"cause": "live_edit", "drift": id});
    for (id, from, to) in
        [("over", 1, Some(2)), ("into", 10, Some(21)), ("lasts", 15, None), ("in", 25, Some(26)), ("later", 31, None)]
    {
        tale.say("drift.opened", TARGET, from, &opened(id));
        if let Some(to) = to {
            tale.say("drift.closed", TARGET, to, &json!({"cause": "self_heal", "drift": id}));
        }
    }
    let found = within(&mut tale, "drift");
    contain(
        &said(&found),
        &["it ended after 660 minutes by self_heal", "it lasts", "it ended after 60 minutes by self_heal"],
    );
    assert_eq!(
        (&found[0]["at"], &found[0]["until"], &found[1]["until"]),
        (&at(10).into(), &at(21).into(), &Value::Null)
    );
    assert_eq!((found[0]["evidence"].as_array().unwrap().len(), told(&mut tale, "drift").len()), (2, 5));
}

#[test]
fn a_guard_that_was_switched_off() {
    let mut tale = Tale::new();
    let change = |guard: &str, before: &str, after: &str| json!({"application": {"name": "shop"}, "guard": guard, "before": before, "after": after, "changed_by": "Eve"});
    tale.say("guard.changed", TARGET, 10, &change("self_heal", "true", "false"));
    tale.say("guard.changed", TARGET, 21, &change("self_heal", "false", "true"));
    tale.say("guard.changed", TARGET, 11, &change("prune", "true", "false"));
    tale.say("guard.changed", TARGET, 12, &change("prune", "false", "true"));
    tale.say("guard.changed", TARGET, 25, &change("automated_sync", "true", "false"));
    tale.say("guard.changed", TARGET, 26, &change("target_revision", "main", "feature"));
    let found = within(&mut tale, "guard_off");
    contain(
        &said(&found),
        &[
            "guard self_heal of production/shop was changed from true to false; it was put back after 660",
            "it still is",
        ],
    );
    assert_eq!((&found[0]["until"], &found[1]["until"]), (&at(21).into(), &Value::Null));
    assert_eq!(found[0]["who"]["identity"], "Eve");
    assert_eq!(told(&mut tale, "guard_off").len(), 3);
}

#[test]
fn a_workload_that_was_scaled_by_hand() {
    let mut tale = Tale::new();
    let scaled = |cause: &str| json!({"after": 9, "before": 3, "cause": cause, "desired": 3, "workload": {"kind": "Deployment", "name": "shop"}});
    tale.say("workload.scaled", TARGET, 1, &scaled("manual")).say("workload.scaled", TARGET, 2, &scaled("autoscaler"));
    let command = super::super::tale::with(scaled("manual"), &json!({"command": "promotion/1"}));
    tale.say("workload.scaled", TARGET, 3, &command);
    let expected = "Deployment shop of production/shop was scaled by hand from 3 to 9 replicas; Git asks for 3";
    contain(&told(&mut tale, "scaled_by_hand"), &[expected]);
}

#[test]
fn an_application_that_was_made_anew() {
    let mut tale = Tale::new();
    let health = |name: &str, uid: &str| json!({"after": "healthy", "application": {"name": name, "uid": uid}});
    tale.say("health.changed", TARGET, 1, &health("shop", "one")).say(
        "health.changed",
        TARGET,
        2,
        &health("shop", "one"),
    );
    tale.say("health.changed", "target/staging/shop", 3, &health("shop", "two"));
    tale.say("health.changed", TARGET, 4, &health("shop-2", "three")).say_as(
        "other",
        "health.changed",
        TARGET,
        4,
        &health("shop", "x"),
    );
    let (found, looked) = of(&mut tale, "application_recreated");
    assert_eq!((found.len(), &looked["examined"]), (0, &4.into()));
    tale.say("health.changed", TARGET, 6, &health("shop", "four")).say(
        "health.changed",
        TARGET,
        5,
        &health("shop", "four"),
    );
    let (found, _) = of(&mut tale, "application_recreated");
    contain(&said(&found), &["application shop of production/shop was made anew: its uid is four now"]);
    assert_eq!((&found[0]["at"], found[0]["evidence"].as_array().unwrap().len()), (&at(5).into(), 2));
}

#[test]
fn times_in_which_the_ledger_was_blind() {
    let mut tale = Tale::new();
    for (from, to) in [(1, 2), (15, 22), (25, 26), (31, 32)] {
        let data = json!({"from": at(from), "to": at(to), "observed": "argocd/main", "reason": "the watch was down"});
        tale.say("observation.gap", "ledger", to, &data);
    }
    let found = within(&mut tale, "observation_gap");
    contain(&said(&found), &["blind to argocd/main: the watch was down"; 2]);
    assert_eq!((&found[0]["at"], &found[0]["until"]), (&at(15).into(), &at(22).into()));
}

#[test]
fn events_that_were_recorded_long_after_they_happened() {
    let mut tale = Tale::new();
    tale.deploy(TARGET, "one", 1, &json!({}));
    // What is read from a repository's history is old for that reason alone, and so is everything of some types.
    tale.say_as("git/example.com/shop", "sync.succeeded", TARGET, 2, &json!({"finished_at": at(2), "version": "2"}));
    tale.commit("one", &[], 3, &json!({}));
    tale.record();
    let now = ["record", "sync.succeeded", "--stream", TARGET, "-f", "finished_at=2026-02-03T00:00:00Z"];
    tale.desk.run(now).ok();
    contain(&told(&mut tale, "late_event"), &["sync.succeeded of target/production/shop was recorded "]);
}

#[test]
fn syncs_of_single_resources() {
    let mut tale = Tale::new();
    let operation = |more: Value| {
        let data =
            json!({"initiated_by": "Eve", "resources": [{"kind": "Secret", "name": "key"}], "resources_total": 3});
        json!({"operation": super::super::tale::with(data, &more)})
    };
    tale.deploy(TARGET, "one", 1, &operation(json!({"partial": true})));
    tale.deploy(TARGET, "two", 2, &operation(json!({"partial": true, "dry_run": true})));
    tale.deploy(TARGET, "three", 3, &operation(json!({"partial": false}))).deploy(TARGET, "four", 4, &json!({}));
    let (found, _) = of(&mut tale, "partial_sync");
    contain(
        &said(&found),
        &["a sync of production/shop named 3 resources and left the rest as it was: Secret key, and more"],
    );
    assert_eq!(found[0]["who"]["identity"], "Eve");
}

#[expect(clippy::disallowed_methods, reason = "it plays a view that met an event it could not fold")]
#[test]
fn views_that_stand_still() {
    let mut tale = Tale::new();
    tale.deploy(TARGET, "one", 1, &json!({}));
    let (found, looked) = of(&mut tale, "projection_stopped");
    assert!(found.is_empty() && looked["examined"].as_u64() > Some(3), "{looked}");
    let views = rusqlite::Connection::open(tale.desk.data().join("views.db")).unwrap();
    let stop = "UPDATE projection SET stopped_at = 1, stopped_by = 'x', reason = 'it choked' WHERE name = 'meter'";
    views.execute_batch(stop).unwrap();
    drop(views);
    let (found, again) = of(&mut tale, "projection_stopped");
    contain(&said(&found), &["the view meter stands still before event 1: it choked"]);
    assert_eq!(again["examined"], looked["examined"]);
    let then = tale.ask(["exceptions", "--kind", "projection_stopped", "--known-at", "1"]);
    assert_eq!(then["exceptions"].as_array().unwrap().len(), 0);
}
