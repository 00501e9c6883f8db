//! Deployments outside the process.

use serde_json::{Value, json};

use super::super::tale::{REPO, TARGET, Tale, at, digest, image, oid};
use super::{contain, not_judged, of, said, told};

/// A deployment of a commit that the deployer names.
fn ship(tale: &mut Tale, commit: &str, hours: i64, more: &Value) {
    let data = json!({"commit": oid(commit), "repository": REPO, "images": null});
    let data = super::super::tale::with(data, more);
    let data: Value = data
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    let deployment = json!({"deployment": format!("{commit}@{hours}"), "finished_at": at(hours)});
    tale.say("sync.succeeded", TARGET, hours, &super::super::tale::with(deployment, &data));
}

/// A line of commits, each an hour after the one before.
fn line(tale: &mut Tale, names: &[&str], hours: i64) {
    for (pair, hours) in names.windows(2).zip(hours..) {
        tale.commit(pair[1], &pair[..1], hours, &json!({}));
    }
}

#[test]
fn commits_that_came_by_no_change() {
    let mut tale = Tale::new();
    let none = json!({});
    tale.commit("root", &[], 0, &none).merged("0", "root", 1, &none);
    line(&mut tale, &["root", "direct", "squashed"], 2);
    tale.merged("1", "squashed", 4, &json!({"method": "squash", "original_commits_total": 3}));
    // A merge covers what is behind its second parent, and no more.
    tale.commit("side", &["squashed"], 5, &none)
        .commit("merge", &["squashed", "side"], 6, &none)
        .merged("2", "merge", 6, &none);
    // A rebase became two commits.
    line(&mut tale, &["merge", "copy1", "copy2"], 7);
    tale.merged("3", "copy2", 9, &json!({"method": "rebase", "original_commits_total": 2}));
    // Its head is deployed before it is merged as something else.
    tale.commit("work", &["copy2"], 10, &none).commit("four-head", &["work"], 10, &none);
    tale.merged("4", "four", 12, &json!({"original_commits": [oid("work")]}));
    ship(&mut tale, "root", 20, &none);
    for (commit, hours) in [("squashed", 21), ("merge", 22), ("copy2", 23), ("four-head", 24)] {
        ship(&mut tale, commit, hours, &none);
    }
    // What ran before is no deployment of anything new.
    ship(&mut tale, "merge", 25, &none);
    let (found, looked) = of(&mut tale, "deployed_without_change");
    contain(
        &said(&found),
        &["squashed@21 of production/shop brought 1 commit of example.com/shop that came by no merged change"]
            .map(|text| text.trim_start_matches("squashed@21 of ")),
    );
    assert_eq!(found[0]["at"], at(21));
    assert_eq!(
        found[0]["missing"][0],
        format!("a merged change that commit {} of example.com/shop came by", oid("direct"))
    );
    assert_eq!(not_judged(&looked), []);
}

#[test]
fn nothing_is_said_of_changes_where_none_were_told_of() {
    let mut tale = Tale::new();
    let none = json!({});
    tale.commit("old", &[], 0, &none).commit("older", &["old"], 1, &none).commit("new", &["older"], 9, &none);
    ship(&mut tale, "old", 2, &none);
    ship(&mut tale, "older", 3, &none);
    let (found, looked) = of(&mut tale, "deployed_without_change");
    let reason = "no change of this repository was ever recorded";
    assert_eq!((found.len(), not_judged(&looked)), (0, vec![("example.com/shop".to_owned(), reason.to_owned())]));
    // Changes are told of since the 8th hour.
    tale.merged("1", "elsewhere", 8, &none);
    ship(&mut tale, "new", 10, &none);
    let (found, looked) = of(&mut tale, "deployed_without_change");
    assert_eq!((found.len(), &found[0]["at"], &found[0]["missing"].as_array().unwrap().len()), (1, &at(10).into(), &1));
    assert_eq!(not_judged(&looked)[0].1, "changes of this repository were not recorded yet");
}

#[test]
fn commits_that_were_never_recorded() {
    let mut tale = Tale::new();
    let none = json!({});
    tale.commit("root", &[], 0, &none).merged("0", "root", 1, &none);
    tale.say("branch.updated", REPO, 1, &json!({"branch": "main", "after": oid("root")}));
    ship(&mut tale, "root", 2, &none);
    ship(&mut tale, "lost", 3, &none);
    tale.say("sync.succeeded", TARGET, 4, &json!({"commit": oid("nowhere"), "finished_at": at(4)}));
    tale.deploy(TARGET, "unbuilt", 5, &none);
    for kind in ["deployed_without_change", "deployed_off_branch"] {
        let (found, looked) = of(&mut tale, kind);
        contain(&said(&found), &["deployment lost@3 of production/shop"]);
        let mut reasons: Vec<_> = not_judged(&looked);
        reasons.sort();
        let expected = [
            (oid("nowhere"), "the repository of this commit is not known"),
            ("production/shop".to_owned(), "it is not known which commits what was deployed is of"),
        ];
        let mut expected = expected.map(|(subject, reason)| (subject, reason.to_owned()));
        expected.sort();
        assert_eq!(reasons, expected, "{kind}");
    }
}

#[test]
fn changes_that_nobody_reviewed_before_they_were_deployed() {
    let mut tale = Tale::new();
    let none = json!({});
    tale.commit("root", &[], 0, &none);
    line(&mut tale, &["root", "one", "two", "three"], 1);
    tale.reviewed("1", "Bob", "approved", "one-head", 1).merged("1", "one", 1, &none).merged("2", "two", 2, &none);
    tale.merged("3", "three", 3, &none).reviewed("3", "Bob", "approved", "three-head", 9);
    tale.merged("0", "root", 0, &json!({"approved_by": ["Bob"]}));
    ship(&mut tale, "root", 5, &none);
    ship(&mut tale, "one", 6, &none);
    ship(&mut tale, "three", 10, &none);
    let (found, _) = of(&mut tale, "deployed_without_review");
    contain(&said(&found), &["brought 1 change of example.com/shop without a review"]);
    assert!(found[0]["missing"][0].as_str().unwrap().starts_with("an approval of change 2 of example.com/shop"));
    assert_eq!(found[0]["evidence"].as_array().unwrap().len(), 2);
}

#[test]
fn images_that_desired_state_did_not_ask_for() {
    let mut tale = Tale::new();
    let none = json!({});
    let asks = |commit: &str, name: &str, digest_too: bool| {
        let mut after = image(name);
        if !digest_too {
            after.as_object_mut().unwrap().remove("digest");
        }
        json!({"commit": oid(commit), "files": [], "images": [{"after": after}], "repository": "repo/example.com/deploy"})
    };
    tale.say("manifest.committed", TARGET, 10, &asks("m1", "one", true)).deploy(TARGET, "one", 11, &none);
    // By tag alone, and seen later than what the deployer brings.
    tale.say("manifest.committed", TARGET, 20, &asks("m2", "two", false)).deploy(TARGET, "two", 21, &none);
    tale.say("manifest.committed", TARGET, 30, &asks("m3", "three", true)).say(
        "manifest.committed",
        TARGET,
        31,
        &asks("m4", "four", true),
    );
    tale.deploy(TARGET, "three", 31, &none).deploy(TARGET, "four", 32, &none);
    // Nobody asked for it; and a rollback past Git.
    tale.deploy(TARGET, "rogue", 40, &none).deploy(TARGET, "four", 41, &none).deploy(TARGET, "one", 50, &none);
    // Of this one nothing is asked in Git.
    tale.deploy("target/staging/shop", "one", 41, &none);
    let (found, looked) = of(&mut tale, "deployed_past_git");
    let parts = [
        format!("deployment rogue@40 of production/shop runs {}", digest("rogue")),
        format!("rollback one@50 of production/shop runs {}", digest("one")),
    ];
    contain(&said(&found), &[&parts[0], &parts[1]]);
    assert!(said(&found)[0].ends_with(&format!("commit {} asked for {}", oid("m4"), digest("four"))), "{found:#?}");
    let reason = "no commit of desired state that names its images was recorded by then";
    assert_eq!(not_judged(&looked), [("staging/shop".to_owned(), reason.to_owned())]);
}

#[test]
fn deployments_by_hand_where_that_is_not_usual() {
    let mut tale = Tale::new();
    let by = |automated: bool| json!({"operation": {"automated": automated, "initiated_by": "Eve"}});
    tale.deploy(TARGET, "one", 1, &by(true)).deploy(TARGET, "two", 2, &by(false));
    tale.deploy(TARGET, "three", 3, &json!({"operation": {"automated": false}, "run": "7"}));
    tale.deploy(TARGET, "four", 4, &json!({"operation": {"automated": false, "command": "promotion/1"}}));
    tale.deploy(TARGET, "five", 5, &json!({})).deploy(TARGET, "five", 6, &by(false));
    tale.deploy("target/staging/shop", "one", 1, &by(false));
    let (found, looked) = of(&mut tale, "deployed_by_hand");
    contain(&said(&found), &["deployment two@2 of production/shop was begun by hand"]);
    assert_eq!((&found[0]["who"]["identity"], &looked["examined"]), (&"Eve".into(), &5.into()));
    assert_eq!(not_judged(&looked)[0].0, "staging/shop");
}

#[test]
fn commits_that_are_on_no_branch() {
    let mut tale = Tale::new();
    let none = json!({});
    tale.commit("root", &[], 0, &none).commit("main", &["root"], 1, &none).commit("lost", &["root"], 1, &none);
    let push = |branch: &str, after: &str| json!({"branch": branch, "after": oid(after)});
    tale.say("branch.updated", REPO, 2, &push("main", "main"));
    ship(&mut tale, "main", 3, &none);
    ship(&mut tale, "lost", 4, &none);
    ship(&mut tale, "root", 5, &none);
    let (found, looked) = of(&mut tale, "deployed_off_branch");
    contain(&said(&found), &[&format!("is of commit {} of example.com/shop, which is on no branch", oid("lost"))]);
    assert_eq!((&looked["examined"], not_judged(&looked)), (&3.into(), Vec::new()));
    // A branch of which only the tip is known may have it.
    tale.say("branch.updated", REPO, 6, &push("dark", "dark"));
    let (found, looked) = of(&mut tale, "deployed_off_branch");
    assert_eq!(found.len(), 0);
    assert_eq!(not_judged(&looked)[0].1, "the history behind some branches of this repository was not recorded");
}

#[test]
fn nothing_is_said_of_branches_where_none_were_told_of() {
    let mut tale = Tale::new();
    tale.commit("root", &[], 0, &json!({}));
    ship(&mut tale, "root", 5, &json!({}));
    let (found, looked) = of(&mut tale, "deployed_off_branch");
    let reason = "no branch of this repository was recorded by then";
    assert_eq!((found.len(), not_judged(&looked)), (0, vec![("example.com/shop".to_owned(), reason.to_owned())]));
}

#[test]
fn deployments_during_a_freeze() {
    let mut tale = Tale::new();
    let freeze = |name: &str, from: i64, more: &Value| {
        super::super::tale::with(json!({"freeze": name, "starts_at": at(from)}), more)
    };
    tale.say(
        "freeze.started",
        "policy",
        1,
        &freeze("holidays", 10, &json!({"environments": ["production"], "ends_at": at(30)})),
    );
    tale.say("freeze.ended", "policy", 20, &json!({"freeze": "holidays", "ended_at": at(20)}));
    tale.say(
        "freeze.started",
        "policy",
        40,
        &freeze("audit", 40, &json!({"services": ["shop"], "ends_at": at(50), "except_roles": ["oncall"]})),
    );
    for (name, hours) in [("a", 9), ("b", 10), ("b", 15), ("c", 20), ("d", 45), ("e", 50)] {
        tale.deploy(TARGET, name, hours, &json!({}));
    }
    tale.deploy("target/staging/shop", "a", 12, &json!({})).deploy("target/production/other", "a", 45, &json!({}));
    let (found, _) = of(&mut tale, "deployed_in_freeze");
    let parts = [
        "b@10 of production/shop took effect in freeze holidays",
        "b@15 of",
        "d@45 of production/shop took effect in freeze audit; the freeze excepts some roles",
    ];
    contain(&said(&found), &parts);
}

#[test]
fn a_hotfix_is_told_of_the_deployment_that_was_declared_one() {
    let mut tale = Tale::new();
    tale.deploy(TARGET, "one", 1, &json!({"hotfix": true})).deploy(TARGET, "two", 2, &json!({}));
    contain(&told(&mut tale, "hotfix"), &["a deployment of production/shop was declared an urgent repair"]);
}
