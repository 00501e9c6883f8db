//! `diff`.

use serde_json::{Value, json};

use super::tale::{TARGET, Tale, at, digest, image, oid, without_positions};

/// A service that went from `one` to `four`, by way of two changes, and another one that stayed.
fn grown() -> Tale {
    let mut tale = Tale::new();
    tale.commit("root", &[], 0, &json!({})).commit("one", &["root"], 1, &json!({}));
    tale.commit("two", &["one"], 2, &json!({})).commit("three", &["two"], 3, &json!({}));
    tale.commit("four", &["three"], 4, &json!({"author": "Bob <bob@example.com>"}));
    tale.reviewed("7", "Bob", "approved", "three-head", 2).merged("7", "three", 3, &json!({}));
    tale.reviewed("8", "Ada", "approved", "early", 4).merged("8", "four", 5, &json!({}));
    tale.reviewed("8", "Bob", "approved", "four-head", 6);
    tale.build("one", 6).build("four", 7);
    tale.deploy(TARGET, "one", 10, &json!({})).deploy("target/production/other", "steady", 10, &json!({}));
    tale.deploy(TARGET, "four", 20, &json!({"operation": {"initiated_by": "Dora <dora@example.com>"}}));
    tale
}

fn names(list: &Value, member: &str) -> Vec<String> {
    list.as_array().unwrap().iter().map(|one| one[member].as_str().unwrap().to_owned()).collect()
}

#[test]
fn two_instants_differ_by_the_commits_and_changes_between() {
    let mut tale = grown();
    let answer = tale.ask(["diff", "production", "--from", &at(15), "--to", &at(25)]);
    assert_eq!(
        (names(&answer["services"], "service"), answer["unchanged"].as_u64()),
        (vec!["shop".to_owned()], Some(1))
    );
    let shop = &answer["services"][0];
    assert_eq!((&shop["change"], &shop["commits_incomplete"]), (&"changed".into(), &false.into()));
    assert_eq!(shop["before"]["images"][0]["digest"], digest("one").as_str());
    assert_eq!(shop["after"]["images"][0]["digest"], digest("four").as_str());
    assert_eq!(shop["after"]["initiated_by"]["identity"], "Dora <dora@example.com>");
    assert_eq!(names(&shop["commits"], "title"), ["four", "three", "two"]);
    assert_eq!(names(&shop["commits"], "direction"), ["added"; 3]);
    assert_eq!(shop["commits"][0]["author"]["identity"], "Bob <bob@example.com>");
    assert_eq!((&shop["commits_added"], &shop["commits_removed"]), (&3.into(), &0.into()));
    let changes = &shop["changes"];
    assert_eq!(names(changes, "change"), ["8", "7"]);
    assert_eq!((&changes[0]["reviewed"], &changes[1]["reviewed"]), (&false.into(), &true.into()));
    let (own, late) = (&changes[0]["approvals"][0], &changes[0]["approvals"][1]);
    assert_eq!((&own["by_author"], &own["of_head"], &own["after_merge"]), (&true.into(), &false.into(), &false.into()));
    assert_eq!(
        (&late["by_author"], &late["of_head"], &late["after_merge"]),
        (&false.into(), &true.into(), &true.into())
    );
    let words = tale.desk.run(["diff", "production", "--from", &at(15)]).ok();
    for part in
        ["shop: changed", "3 commits added, 0 removed\n", "Ada <ada@example.com> (the author, of an earlier commit)"]
    {
        assert!(words.contains(part), "{part}: {words}");
    }
}

#[test]
fn a_step_back_removes_commits() {
    let mut tale = grown();
    let answer = tale.ask(["diff", "production", "--from", &at(25), "--to", &at(15), "--service", "shop", "-n", "2"]);
    let shop = &answer["services"][0];
    assert_eq!(names(&shop["commits"], "direction"), ["removed"; 2]);
    assert_eq!((&shop["commits_added"], &shop["commits_removed"]), (&0.into(), &3.into()));
    assert_eq!(names(&shop["changes"], "direction"), ["removed"; 2]);
}

#[test]
fn two_environments_differ_by_what_runs_in_one_of_them() {
    let mut tale = grown();
    tale.deploy("target/staging/shop", "one", 21, &json!({})).deploy("target/staging/extra", "extra", 21, &json!({}));
    let answer = tale.ask(["diff", "staging", "production", "--at", &at(30)]);
    assert_eq!(names(&answer["services"], "service"), ["extra", "other", "shop"]);
    assert_eq!(names(&answer["services"], "change"), ["removed", "added", "changed"]);
    assert_eq!(names(&answer["services"][2]["commits"], "title"), ["four", "three", "two"]);
    assert!(answer["services"][0]["after"].is_null() && answer["services"][1]["before"].is_null());
    let earlier = tale.ask(["diff", "staging", "production", "--at", &at(15)]);
    assert_eq!(names(&earlier["services"], "change"), ["added", "added"]);
}

#[test]
fn a_merge_brings_what_is_behind_it_and_not_what_was_there() {
    let mut tale = Tale::new();
    let none = json!({});
    tale.commit("root", &[], 0, &none).commit("old", &["root"], 1, &none).commit("side", &["root"], 2, &none);
    tale.commit("fix", &["old"], 3, &none).commit("merge", &["fix", "side"], 4, &none).commit(
        "hot",
        &["old"],
        5,
        &none,
    );
    tale.build("hot", 6).build("merge", 6).deploy(TARGET, "hot", 10, &none).deploy(TARGET, "merge", 20, &none);
    let shop = &tale.ask(["diff", "production", "--from", &at(15)])["services"][0];
    let told: Vec<_> = names(&shop["commits"], "direction").into_iter().zip(names(&shop["commits"], "title")).collect();
    let told: Vec<_> = told.iter().map(|(direction, title)| (direction.as_str(), title.as_str())).collect();
    assert_eq!(told, [("added", "merge"), ("added", "fix"), ("added", "side"), ("removed", "hot")]);
    assert_eq!(shop["commits_incomplete"], false);
}

#[test]
fn unknown_history_and_unknown_sources_are_said_to_be_so() {
    let mut tale = Tale::new();
    let none = json!({});
    // Nobody told the parents of `two`.
    tale.commit("one", &[], 0, &none);
    let data = json!({"author": "Ada", "commit": oid("two"), "committed_at": at(1)});
    tale.say("commit.recorded", super::tale::REPO, 1, &data);
    tale.build("one", 2).build("two", 2).deploy(TARGET, "one", 10, &none).deploy(TARGET, "two", 20, &none);
    tale.deploy(TARGET, "unbuilt", 30, &none);
    let shop = &tale.ask(["diff", "production", "--from", &at(15), "--to", &at(25)])["services"][0];
    assert_eq!(shop["commits_incomplete"], true);
    let shop = &tale.ask(["diff", "production", "--from", &at(25)])["services"][0];
    assert_eq!((&shop["commits_incomplete"], &shop["commits_added"]), (&true.into(), &0.into()));
    // An image of somebody else that stays the same is no reason for doubt.
    let two = |name: &str| json!({"images": [image(name), {"name": "example.com/cache", "digest": digest("cache")}]});
    tale.commit("five", &["one"], 31, &none).build("five", 31);
    tale.deploy(TARGET, "one", 40, &two("one")).deploy(TARGET, "five", 50, &two("five"));
    let shop = &tale.ask(["diff", "production", "--from", &at(45)])["services"][0];
    assert_eq!(
        (names(&shop["commits"], "title"), &shop["commits_incomplete"]),
        (vec!["five".to_owned()], &false.into())
    );
}

#[test]
fn the_newest_scan_of_each_tool_up_to_then_is_told() {
    let mut tale = grown();
    let stream = format!("artifact/{}", digest("four"));
    let scan = |critical: u32| {
        let severities = json!({"critical": critical, "high": 1, "medium": 0, "low": 0, "info": 0, "unknown": 0});
        json!({"kind": "vulnerability", "status": "completed", "tool": "trivy", "severities": severities})
    };
    tale.say("scan.finished", &stream, 8, &scan(5)).say("scan.finished", &stream, 9, &scan(2));
    tale.say("scan.finished", &stream, 40, &scan(9));
    tale.say("scan.finished", &format!("artifact/{}", digest("one")), 9, &scan(7));
    let shop = &tale.ask(["diff", "production", "--from", &at(15), "--to", &at(25)])["services"][0];
    assert_eq!(shop["scans"].as_array().unwrap().len(), 1);
    assert_eq!((&shop["scans"][0]["critical"], &shop["scans"][0]["tool"]), (&2.into(), &"trivy".into()));
}

#[test]
fn what_was_not_known_then_is_not_told() {
    let mut tale = grown();
    let known = tale.record().to_string();
    let asked = ["diff", "production", "--from", &at(15), "--to", &at(25), "--known-at", &known];
    let before = tale.ask(asked);
    tale.reviewed("8", "Eve", "approved", "four-head", 4).deploy(TARGET, "late", 22, &json!({}));
    tale.commit("zero", &["root"], 1, &json!({}));
    assert_eq!(tale.ask(asked), before);
    assert_ne!(tale.ask(["diff", "production", "--from", &at(15), "--to", &at(25)])["services"], before["services"]);
    assert!(tale.desk.run(["rebuild", "--check"]).ok().contains("events folded"));
}

#[test]
fn the_order_of_arrival_does_not_show() {
    let (mut tale, mut backwards) = (grown(), grown());
    backwards.backwards();
    let asked = ["diff", "production", "--from", &at(15), "--to", &at(25)];
    assert_eq!(without_positions(backwards.ask(asked)), without_positions(tale.ask(asked)));
}

#[test]
fn a_server_says_the_same_and_unknown_names_are_not_found() {
    let mut tale = grown();
    let alone = tale.ask(["diff", "production", "--from", &at(15)]);
    let server = tale.desk.serve(&[]);
    let asked = ["diff", "production", "--from", &at(15), "--json"];
    assert_eq!(tale.desk.run(["--server", &server.url()].into_iter().chain(asked)).json(), alone);
    assert!(tale.desk.run(["diff", "nowhere", "--from", &at(15)]).fails(1).contains("environment nowhere not found"));
    assert!(tale.desk.run(["diff", "production", "nowhere"]).fails(1).contains("environment nowhere not found"));
    let asked = ["diff", "production", "--from", &at(15), "--service", "none"];
    assert!(tale.desk.run(asked).fails(1).contains("service none"));
    assert_eq!(tale.desk.run(["diff", "production"]).code, 2, "two states are needed");
}
