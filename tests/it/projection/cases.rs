//! Cases whose answer can be seen by eye: deployments and attribution. Each is put to the model and to the product.

use serde_json::json;

use super::history::{HOUR, MINUTE};
use super::model::{Change, Class, Deployment, End, Outcome, Status};
use super::product::agrees;
use super::story::{REPO, Story, TARGET, at, digest, oid};

/// Id, class, status and hours since the beginning of every deployment.
fn told(story: &Story) -> Vec<(String, Class, Status, Option<i64>)> {
    let hours = |deployment: &Deployment| deployment.finished_at.map(|finished_at| (finished_at - at(0)) / HOUR);
    agrees(&story.0);
    let all = story.model().deployments(TARGET);
    all.into_iter()
        .map(|deployment| (deployment.id.clone(), deployment.class, deployment.status, hours(&deployment)))
        .collect()
}

fn told_of(id: &str, class: Class, status: Status, hours: i64) -> (String, Class, Status, Option<i64>) {
    (id.to_owned(), class, status, Some(hours))
}

fn change(story: &Story, name: &str) -> Option<Change> {
    agrees(&story.0);
    story.model().changes(TARGET).into_iter().find(|change| change.commit == oid(name))
}

fn outcome(story: &Story, name: &str) -> Option<(String, Outcome)> {
    change(story, name).map(|change| (change.deployment, change.outcome))
}

fn sample(deployment: &str, hours: i64) -> Option<(String, Outcome)> {
    Some((deployment.to_owned(), Outcome::Sample(hours * 3600)))
}

fn excluded(deployment: &str, reason: &'static str) -> Option<(String, Outcome)> {
    Some((deployment.to_owned(), Outcome::Excluded(reason)))
}

#[test]
fn the_worked_example_has_two_samples() {
    // A deployment before the two, so that the first of them is not the baseline.
    let mut story = Story::default();
    story.commit("root", &[], 0).deploy("D0", "root", 1);
    story.commit("A", &["root"], 7).deploy("D1", "A", 10);
    story.commit("B", &["root"], 16).commit("M", &["A", "B"], 18).deploy("D2", "M", 20);
    assert_eq!(outcome(&story, "A"), sample("D1", 3));
    assert_eq!(outcome(&story, "B"), sample("D2", 4));
    assert_eq!(outcome(&story, "M"), excluded("D2", "merge"));
    assert_eq!(outcome(&story, "root"), excluded("D0", "baseline"));
    assert_eq!(story.model().changes(TARGET).len(), 4);
}

#[test]
fn what_ran_before_is_a_rollback_and_forward_again_is_forward() {
    let mut story = Story::default();
    for (n, id) in (1..).zip(["a", "b", "a2", "b2", "b3", "c"]) {
        story.deploy(id, &id[..1], n);
    }
    let expected = [
        told_of("a", Class::Forward, Status::Succeeded, 1),
        told_of("b", Class::Forward, Status::Succeeded, 2),
        told_of("a2", Class::Rollback, Status::Succeeded, 3),
        told_of("b2", Class::Forward, Status::Succeeded, 4),
        told_of("b3", Class::Redeploy, Status::Succeeded, 5),
        told_of("c", Class::Forward, Status::Succeeded, 6),
    ];
    assert_eq!(told(&story), expected);
    let model = story.model();
    let live = |hours| model.live(TARGET, at(hours)).map(|deployment| deployment.id);
    assert_eq!(
        [0, 1, 2, 3, 4, 5, 6].map(live),
        [None, Some("a"), Some("b"), Some("a2"), Some("b2"), Some("b2"), Some("c")].map(|id| id.map(str::to_owned))
    );
    let b2 = model.live(TARGET, at(5)).unwrap();
    assert_eq!(
        (b2.until, b2.end, b2.set),
        (Some(at(6)), End::Superseded("c".to_owned()), vec![format!("commit:{}", oid("b"))])
    );
}

#[test]
fn a_late_deployment_changes_the_classes_of_later_ones() {
    let mut story = Story::default();
    story.deploy("a", "a", 1).deploy("b", "b", 3);
    story.deploy("early", "b", 0);
    assert_eq!(told(&story).last(), Some(&told_of("b", Class::Rollback, Status::Succeeded, 3)));
    assert_eq!(story.model().known_at(2).deployments(TARGET)[1].class, Class::Forward);
}

#[test]
fn nothing_is_live_after_a_removal_and_what_was_seen_stays_seen() {
    let mut story = Story::default();
    story.deploy("a", "a", 1).deploy("b", "b", 2);
    story.say("target.removed", TARGET, 3, &json!({"cause": "deleted"}));
    story.deploy("a2", "a", 5).deploy("b2", "b", 6).deploy("a3", "a", 7);
    let model = story.model();
    assert!(model.live(TARGET, at(3)).is_none() && model.live(TARGET, at(4)).is_none());
    let all = model.deployments(TARGET);
    assert_eq!((&all[1].end, all[1].until), (&End::Removed, Some(at(3))));
    let classes: Vec<_> = all.iter().map(|deployment| deployment.class).collect();
    assert_eq!(classes, [Class::Forward, Class::Forward, Class::Forward, Class::Forward, Class::Rollback]);
}

#[test]
fn the_last_cluster_ends_a_rollout_and_the_first_one_starts_its_time() {
    let mut story = Story::default();
    story.cluster("succeeded", "x", "c0", "one", 1).cluster("succeeded", "x", "c1", "one", 3);
    assert_eq!(told(&story), [told_of("x", Class::Forward, Status::Succeeded, 3)]);
    assert_eq!(story.model().live(TARGET, at(1)).unwrap().set, [digest("one")]);
    // Of one cluster it is known that it failed.
    story.cluster("succeeded", "y", "c0", "two", 4).cluster("failed", "y", "c1", "two", 5);
    assert_eq!(told(&story)[1], told_of("y", Class::Forward, Status::Failed, 5));
    // A failure that was tried again and then went well is no failure.
    story.cluster("failed", "z", "c0", "three", 6).cluster("succeeded", "z", "c0", "three", 7);
    assert_eq!(told(&story)[2], told_of("z", Class::Forward, Status::Succeeded, 7));
}

#[test]
fn a_rollout_without_effect_changes_nothing() {
    let mut story = Story::default();
    story.deploy("a", "a", 1);
    story.sync("failed", "b", 2, &json!({"commit": oid("b")}));
    story.sync("terminated", "c", 3, &json!({}));
    story.sync("failed", "d", 4, &json!({"commit": oid("d"), "will_retry": true}));
    story.sync("succeeded", "e", 5, &json!({"commit": oid("e"), "effective": false}));
    let rest = [
        told_of("b", Class::None, Status::Failed, 2),
        told_of("c", Class::None, Status::Terminated, 3),
        ("d".to_owned(), Class::None, Status::Running, None),
        told_of("e", Class::None, Status::Succeeded, 5),
    ];
    assert_eq!(told(&story)[1..], rest);
    assert_eq!(story.model().live(TARGET, at(9)).unwrap().id, "a");
    // One that says it had effect all the same did fail, and is what runs.
    story.sync("failed", "f", 6, &json!({"commit": oid("f"), "effective": true}));
    assert_eq!(told(&story)[1], told_of("f", Class::Forward, Status::Failed, 6));
    assert_eq!(story.model().live(TARGET, at(9)).unwrap().id, "f");
}

#[test]
fn a_deployment_is_done_when_it_is_healthy() {
    let mut story = Story::default();
    story.cluster("succeeded", "x", "c0", "one", 1).health("c0", "progressing", 2);
    assert_eq!(told(&story), [("x".to_owned(), Class::Forward, Status::Progressing, None)]);
    story.health("c0", "healthy", 4).health("c0", "degraded", 5);
    assert_eq!(told(&story), [told_of("x", Class::Forward, Status::Succeeded, 4)]);
    // It is degraded while the next one comes, and never healthy with that.
    story
        .cluster("succeeded", "y", "c0", "two", 6)
        .cluster("succeeded", "z", "c0", "three", 8)
        .health("c0", "healthy", 9);
    assert_eq!(told(&story)[1], told_of("y", Class::Forward, Status::Failed, 6));
    assert_eq!(told(&story)[2], told_of("z", Class::Forward, Status::Succeeded, 9));
}

#[test]
fn a_rollout_is_named_by_its_id_its_operation_or_what_it_deploys() {
    let mut story = Story::default();
    let began = |hours| super::history::stamp(at(hours));
    let of = |began: String| json!({"finished_at": began, "operation": {"started_at": began}, "application": {"name": "app", "uid": "u"}});
    story.say("sync.started", TARGET, 1, &json!({"started_at": began(1), "operation": {"started_at": began(1)}, "application": {"name": "app", "uid": "u"}}));
    story.say("sync.succeeded", TARGET, 1, &of(began(1)));
    story.say("sync.succeeded", TARGET, 2, &of(began(2)));
    story.say("sync.succeeded", TARGET, 3, &json!({"commit": oid("a"), "finished_at": began(3)}));
    story.say(
        "sync.succeeded",
        TARGET,
        4,
        &json!({"finished_at": began(4), "git_ref": "refs/tags/v1", "started_at": began(3)}),
    );
    story.say("sync.succeeded", TARGET, 5, &json!({"finished_at": began(5), "operation": {"dry_run": true}}));
    let ids: Vec<_> = told(&story).into_iter().map(|(id, ..)| id).collect();
    let expected = [
        format!("u@{}", at(1)),
        format!("u@{}", at(2)),
        format!("{}@{}", oid("a"), at(3)),
        format!("refs/tags/v1@{}", at(3)),
    ];
    assert_eq!(ids, expected);
}

#[test]
fn a_commit_is_found_by_build_index_attestation_and_label() {
    let mut story = Story::default();
    let stream = |name: &str| format!("artifact/{}", digest(name));
    story.build("built", 1);
    story.say("build.finished", &stream("index"), 1, &json!({"conclusion": "success", "commit": oid("of index")}));
    story.say(
        "artifact.published",
        &stream("part"),
        1,
        &json!({"name": "app", "tags": [], "index": digest("index"), "labelled_commit": oid("label")}),
    );
    story.say("build.finished", &stream("built"), 0, &json!({"conclusion": "failure", "commit": oid("wrong")}));
    let attested = json!({"commit": oid("attested"), "document": "a".repeat(64), "format": "dsse", "predicate_type": "p", "signatures": 1});
    story.say("attestation.attached", &stream("signed"), 1, &attested);
    story.say(
        "artifact.published",
        &stream("signed"),
        1,
        &json!({"name": "app", "tags": [], "labelled_commit": oid("label")}),
    );
    story.say(
        "artifact.published",
        &stream("labelled"),
        1,
        &json!({"name": "app", "tags": [], "labelled_commit": oid("label")}),
    );
    let model = story.model();
    let of = |name: &str| Vec::from_iter(model.origins(&digest(name)));
    assert_eq!(of("built"), [oid("built")]);
    assert_eq!(of("part"), [oid("of index")]);
    assert_eq!(of("signed"), [oid("attested")]);
    assert_eq!(of("labelled"), [oid("label")]);
    assert_eq!(of("nowhere"), [""; 0]);
}

#[test]
fn a_commit_counts_for_the_first_deployment_that_has_it() {
    let mut story = Story::default();
    story.commit("root", &[], 0).deploy("d0", "root", 1);
    story.commit("a", &["root"], 2).deploy("d1", "a", 3);
    story.commit("b", &["a"], 4).deploy("d2", "b", 5).deploy("back", "a", 6).deploy("again", "b", 7);
    assert_eq!((outcome(&story, "a"), outcome(&story, "b")), (sample("d1", 1), sample("d2", 1)));
    // A deployment that comes to be known late takes over what it had first.
    story.deploy("late", "b", 4);
    assert_eq!((outcome(&story, "a"), outcome(&story, "b")), (sample("d1", 1), sample("late", 0)));
}

#[test]
fn squashed_commits_count_for_what_they_were_made_of() {
    let mut story = Story::default();
    story.commit("root", &[], 0).deploy("d0", "root", 1);
    story.commit("x", &["root"], 2).commit("y", &["x"], 3).commit("s", &["root"], 4);
    let merged = json!({"base": "main", "change": "1", "commit": oid("s"), "method": "squash", "original_commits": [oid("x"), oid("y"), oid("z")]});
    story.say("change.merged", REPO, 4, &merged).deploy("d1", "s", 10);
    assert_eq!(
        (outcome(&story, "x"), outcome(&story, "y"), outcome(&story, "s")),
        (sample("d1", 8), sample("d1", 7), None)
    );
    // Nothing is known of these; so the squashed commit itself counts.
    story.commit("t", &["s"], 11);
    let merged =
        json!({"base": "main", "change": "2", "commit": oid("t"), "method": "squash", "original_commits": [oid("u")]});
    story.say("change.merged", REPO, 11, &merged).deploy("d2", "t", 12);
    assert_eq!(outcome(&story, "t"), sample("d2", 1));
}

#[test]
fn what_gives_no_sample_has_a_reason() {
    let mut story = Story::default();
    story.commit("root", &[], 0).deploy("d0", "root", 1);
    story.commit("fix", &["root"], 2).deploy("d1", "fix", 3);
    story.commit_with("picked", &["fix"], 4, &json!({"cherry_picked_from": oid("fix")}));
    story.commit_with("early", &["picked"], 4, &json!({"cherry_picked_from": oid("elsewhere")}));
    story.commit("config", &["early"], 4);
    story.say("manifest.committed", TARGET, 4, &json!({"commit": oid("config"), "files": [], "repository": REPO}));
    story.commit_with("ahead", &["config"], 4, &json!({"authored_at": super::history::stamp(at(5) + 5 * MINUTE)}));
    story.commit_with("far", &["ahead"], 4, &json!({"authored_at": super::history::stamp(at(5) + 5 * MINUTE + 1)}));
    story.say(
        "commit.recorded",
        REPO,
        4,
        &json!({"author": "Jane", "commit": oid("undated"), "parents": [oid("far")]}),
    );
    story.deploy("d2", "undated", 5);
    assert_eq!(outcome(&story, "picked"), excluded("d2", "cherry_pick"));
    assert_eq!(outcome(&story, "early"), sample("d2", 1));
    assert_eq!(outcome(&story, "config"), excluded("d2", "manifest"));
    assert_eq!(outcome(&story, "ahead"), sample("d2", 0));
    assert_eq!(outcome(&story, "far"), excluded("d2", "skew"));
    assert_eq!(outcome(&story, "undated"), excluded("d2", "no_author_time"));
}

#[test]
fn of_two_that_tell_of_a_commit_the_one_who_knows_more_is_believed() {
    let mut story = Story::default();
    story.commit("root", &[], 0).deploy("d0", "root", 1);
    let heard = json!({"author": "Jane", "commit": oid("a"), "committed_at": super::history::stamp(at(4))});
    story.say("commit.recorded", REPO, 2, &heard).deploy("d1", "a", 5);
    assert_eq!(outcome(&story, "a"), sample("d1", 1));
    story.commit("a", &["root"], 2);
    assert_eq!(outcome(&story, "a"), sample("d1", 3));
}

#[test]
fn an_original_of_a_squash_that_changes_desired_state_is_no_change_whenever_that_is_told() {
    let mut story = Story::default();
    story.commit("root", &[], 0).deploy("d0", "root", 1).commit("x", &["root"], 2).commit("s", &["root"], 4);
    let merged =
        json!({"base": "main", "change": "1", "commit": oid("s"), "method": "squash", "original_commits": [oid("x")]});
    story.say("change.merged", REPO, 4, &merged).deploy("d1", "s", 10);
    assert_eq!(outcome(&story, "x"), sample("d1", 8));
    story.say("manifest.committed", TARGET, 4, &json!({"commit": oid("x"), "files": [], "repository": REPO}));
    assert_eq!(outcome(&story, "x"), excluded("d1", "manifest"));
}

#[test]
fn a_commit_picked_from_an_original_of_a_squash_came_with_that() {
    let mut story = Story::default();
    story.commit("root", &[], 0).deploy("d0", "root", 1);
    story.commit("s", &["root"], 4).deploy("d1", "s", 5);
    story.commit_with("p", &["s"], 6, &json!({"cherry_picked_from": oid("x")})).deploy("d2", "p", 8);
    assert_eq!(outcome(&story, "p"), sample("d2", 2));
    let merged =
        json!({"base": "main", "change": "1", "commit": oid("s"), "method": "squash", "original_commits": [oid("x")]});
    story.say("change.merged", REPO, 4, &merged);
    assert_eq!(outcome(&story, "p"), sample("d2", 2), "nothing is known of the original");
    story.commit("x", &["root"], 2);
    assert_eq!(outcome(&story, "p"), excluded("d2", "cherry_pick"));
}

#[test]
fn a_commit_named_without_its_repository_is_known_once_it_is_recorded_there() {
    let mut story = Story::default();
    story.deploy("d0", "root", 1);
    story.commit_with("p", &["elsewhere"], 4, &json!({"cherry_picked_from": oid("root")})).deploy("d1", "p", 5);
    assert_eq!(outcome(&story, "p"), sample("d1", 1));
    story.commit("root", &[], 0);
    assert_eq!(outcome(&story, "p"), excluded("d1", "cherry_pick"));
}
