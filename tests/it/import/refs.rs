//! Branches, tags and releases, and what becomes of them between two imports.

use serde_json::{Value, json};

use super::{both, commits, events, import, of_type, open};
use crate::support::repo::FIRST;

/// The payloads of a type since a position, with private values in place.
fn since(desk: &crate::support::program::Desk, position: usize, kind: &str) -> Vec<Value> {
    events(desk)[position..].iter().filter(|event| event["type"] == kind).map(open).collect()
}

#[test]
fn a_branch_that_was_pushed_by_force_is_recorded_as_such() {
    let (desk, repo) = both();
    let base = repo.commit("base");
    let old = repo.commit("old");
    import(&desk, &repo.location(), &[]);
    let seen = events(&desk).len();
    repo.git(["reset", "-q", "--hard", &base]);
    let new = repo.commit("new");
    assert_eq!(import(&desk, &repo.location(), &[])["events"], 2);
    let moved = since(&desk, seen, "branch.updated");
    assert_eq!(moved, [json!({"after": new, "before": old, "branch": "main", "forced": true})]);

    let next = repo.commit("next");
    import(&desk, &repo.location(), &[]);
    let last = of_type(&desk, "branch.updated").pop().unwrap();
    assert_eq!(last["data"], json!({"after": next, "before": new, "branch": "main", "forced": false}));

    // Back to what it was, with the commits that were lost gone for good.
    repo.git(["reset", "-q", "--hard", &base]);
    repo.git(["reflog", "expire", "--expire=now", "--all"]);
    repo.git(["gc", "-q", "--prune=now"]);
    import(&desk, &repo.location(), &[]);
    let last = of_type(&desk, "branch.updated").pop().unwrap();
    assert_eq!(last["data"], json!({"after": base, "before": next, "branch": "main", "forced": true}));
    assert_eq!(commits(&desk).len(), 4, "what was recorded stays");
    assert_eq!(import(&desk, &repo.location(), &[])["events"], 0);
}

#[test]
fn a_branch_that_goes_and_comes_back_is_recorded_each_time() {
    let (desk, repo) = both();
    let base = repo.commit("base");
    repo.git(["branch", "feature"]);
    import(&desk, &repo.location(), &[]);
    for _ in 0..2 {
        repo.git(["branch", "-q", "-D", "feature"]);
        assert_eq!(import(&desk, &repo.location(), &[])["events"], 1);
        let last = of_type(&desk, "branch.updated").pop().unwrap();
        assert_eq!(last["data"], json!({"before": base, "branch": "feature", "deleted": true, "forced": false}));
        assert_eq!(import(&desk, &repo.location(), &[])["events"], 0);
        repo.git(["branch", "feature"]);
        assert_eq!(import(&desk, &repo.location(), &[])["events"], 1);
        let last = of_type(&desk, "branch.updated").pop().unwrap();
        assert_eq!(last["data"], json!({"after": base, "branch": "feature", "created": true, "forced": false}));
    }
    // A new commit that only a branch has which is deleted before anyone looked was never seen.
    repo.git(["checkout", "-q", "feature"]);
    repo.commit("never seen");
    repo.git(["checkout", "-q", "main"]);
    repo.git(["branch", "-q", "-D", "feature"]);
    assert_eq!(import(&desk, &repo.location(), &[])["commits"], 0);
}

#[test]
fn a_tag_that_is_moved_deleted_or_made_anew_is_recorded_as_such() {
    let (desk, repo) = both();
    let one = repo.commit("one");
    repo.git(["tag", "light"]);
    repo.git(["tag", "-a", "-m", "first", "v1"]);
    let two = repo.commit("two");
    import(&desk, &repo.location(), &[]);
    let seen = events(&desk).len();

    repo.git(["tag", "-f", "light"]);
    repo.git(["tag", "-f", "-a", "-m", "moved", "v1"]);
    let object = repo.git(["rev-parse", "v1"]);
    assert_eq!(import(&desk, &repo.location(), &[])["events"], 2);
    let moved = since(&desk, seen, "tag.moved");
    assert_eq!(moved[0], json!({"after": two, "before": one, "tag": "light"}));
    assert_eq!((&moved[1]["tag"], &moved[1]["tag_object"]), (&"v1".into(), &object.into()));
    assert_eq!((&moved[1]["before"], &moved[1]["after"]), (&one.clone().into(), &two.clone().into()));
    assert_eq!(moved[1]["tagger"], "John Roe <john@example.com>");

    // Tagged anew at the same commit: another tag object, perhaps of another tagger.
    repo.git(["tag", "-f", "-a", "-m", "signed off by somebody else", "v1", "v1^{}"]);
    let object = repo.git(["rev-parse", "v1"]);
    assert_eq!(import(&desk, &repo.location(), &[])["events"], 1);
    let last = of_type(&desk, "tag.moved").pop().unwrap();
    assert_eq!((&last["data"]["before"], &last["data"]["after"]), (&two.clone().into(), &two.clone().into()));
    assert_eq!(last["data"]["tag_object"], object.as_str());
    assert_eq!(import(&desk, &repo.location(), &[])["events"], 0);

    repo.git(["tag", "-d", "light", "v1"]);
    assert_eq!(import(&desk, &repo.location(), &[])["events"], 2);
    let gone = since(&desk, seen, "tag.deleted");
    assert_eq!(gone, [json!({"before": two, "tag": "light"}), json!({"before": two, "tag": "v1"})]);
    assert_eq!(import(&desk, &repo.location(), &[])["events"], 0);

    repo.git(["tag", "v1", &one]);
    assert_eq!(import(&desk, &repo.location(), &[])["events"], 1);
    let last = of_type(&desk, "tag.created").pop().unwrap();
    assert_eq!((&last["data"]["tag"], &last["data"]["target"]), (&"v1".into(), &one.into()));
    assert_eq!(last["data"]["annotated"], false);
}

#[test]
fn tags_that_match_stand_for_deployments_at_their_times() {
    let (desk, repo) = both();
    let one = repo.commit("one");
    repo.git(["tag", "v1.0.0"]);
    repo.commit("two");
    repo.git(["tag", "-a", "-m", "later", "v1.1.0"]);
    repo.git(["tag", "v2.0.0-rc.1"]);
    repo.git(["tag", "docs-1"]);
    let flags = ["--releases", r"^v\d+\.\d+\.\d+$", "--environment", "production", "--service", "churn-api"];
    assert_eq!(import(&desk, &repo.location(), &flags)["events"], 2 + 1 + 4 + 2);
    let syncs = of_type(&desk, "sync.succeeded");
    let facts: Vec<_> = syncs
        .iter()
        .map(|event| (event["stream"].as_str().unwrap(), event["data"]["version"].as_str().unwrap()))
        .collect();
    assert_eq!(facts, [("target/production/churn-api", "v1.0.0"), ("target/production/churn-api", "v1.1.0")]);
    assert_eq!((&syncs[0]["data"]["commit"], &syncs[0]["data"]["git_ref"]), (&one.into(), &"refs/tags/v1.0.0".into()));
    assert_eq!(syncs[0]["data"]["repository"], "repo/local/app");
    let at = |n: usize| syncs[n]["occurred_at"].as_str().unwrap().parse::<plimsoll::event::Timestamp>().unwrap();
    // A mere name has the time of its commit; a tag object its own. Each git command takes a minute here.
    assert_eq!(at(0).micros(), (FIRST + 60) * 1_000_000);
    assert_eq!(at(1).micros(), (FIRST + 60 * 6) * 1_000_000);
    assert_eq!(syncs[1]["private"][syncs[1]["actor"].as_str().unwrap()], "John Roe <john@example.com>");

    assert_eq!(import(&desk, &repo.location(), &flags)["events"], 0);
    // The same history told of another environment.
    let staging = ["--releases", "^v", "--environment", "staging"];
    assert_eq!(import(&desk, &repo.location(), &staging)["events"], 3);
    assert!(of_type(&desk, "sync.succeeded").iter().any(|event| event["stream"] == "target/staging/app"));
    // A tag that is moved stands for another deployment.
    repo.commit("three");
    repo.git(["tag", "-f", "v1.1.0"]);
    assert_eq!(import(&desk, &repo.location(), &flags)["events"], 1 + 1 + 1 + 1, "commit, branch, tag, sync");
}
