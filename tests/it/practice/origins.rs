//! From which commits artifacts come, and what is told of commits: as answers about deployments show it.

use serde_json::{Value, json};

use super::tale::{REPO, TARGET, Tale, at, digest, oid, without_positions};

fn stream(name: &str) -> String {
    format!("artifact/{}", digest(name))
}

fn build(tale: &mut Tale, artifact: &str, commit: &str, hours: i64, more: &Value) {
    let data = json!({"conclusion": "success", "commit": oid(commit), "repository": REPO});
    tale.say("build.finished", &stream(artifact), hours, &super::tale::with(data, more));
}

fn attested(tale: &mut Tale, artifact: &str, commit: &str, hours: i64) {
    let data = json!({
        "commit": oid(commit), "document": "0".repeat(64), "format": "dsse", "repository": REPO,
        "predicate_type": "https://slsa.dev/provenance/v1", "signatures": 1,
    });
    tale.say("attestation.attached", &stream(artifact), hours, &data);
}

fn published(tale: &mut Tale, artifact: &str, hours: i64, more: &Value) {
    let data = json!({"name": "example.com/shop", "tags": []});
    tale.say("artifact.published", &stream(artifact), hours, &super::tale::with(data, more));
}

/// Commit and evidence of what runs in the end.
fn of(tale: &mut Tale, more: &[&str]) -> Vec<(String, String)> {
    let answer = tale.ask(["env", "production", "shop"].into_iter().chain(more.iter().copied()));
    let commits = answer["targets"][0]["deployment"]["source_commits"].as_array().unwrap().clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    commits.iter().map(|commit| (text(&commit["commit"]), text(&commit["evidence"]))).collect()
}

fn expected(commits: &[(&str, &str)]) -> Vec<(String, String)> {
    commits.iter().map(|(commit, evidence)| (oid(commit), (*evidence).to_owned())).collect()
}

#[test]
fn a_build_counts_before_provenance_and_that_before_a_label() {
    let mut tale = Tale::new();
    tale.deploy(TARGET, "image", 1, &json!({}));
    assert_eq!(of(&mut tale, &[]), []);
    published(&mut tale, "image", 1, &json!({"labelled_commit": oid("label")}));
    assert_eq!(of(&mut tale, &[]), expected(&[("label", "label")]));
    attested(&mut tale, "image", "attested", 2);
    assert_eq!(of(&mut tale, &[]), expected(&[("attested", "provenance")]));
    let known = tale.record().to_string();
    build(&mut tale, "image", "failed", 3, &json!({"conclusion": "failure"}));
    assert_eq!(of(&mut tale, &[]), expected(&[("failed", "build")]));
    build(&mut tale, "image", "built", 4, &json!({}));
    assert_eq!(of(&mut tale, &[]), expected(&[("built", "build")]), "what succeeded counts before what did not");
    assert_eq!(of(&mut tale, &["--known-at", &known]), expected(&[("attested", "provenance")]));
}

#[test]
fn what_was_built_twice_of_two_commits_is_of_both() {
    let mut tale = Tale::new();
    tale.deploy(TARGET, "image", 1, &json!({}));
    build(&mut tale, "image", "two", 3, &json!({}));
    build(&mut tale, "image", "one", 2, &json!({}));
    build(&mut tale, "image", "two", 4, &json!({}));
    assert_eq!(of(&mut tale, &[]), expected(&[("one", "build"), ("two", "build")]));
}

#[test]
fn an_image_of_one_platform_is_of_the_commit_of_its_index() {
    for (links, runs) in [("index", "part"), ("part", "index")] {
        let mut tale = Tale::new();
        let (whole, part) = (digest("index"), digest("part"));
        match links {
            "index" => published(&mut tale, "part", 1, &json!({"index": whole})),
            _ => published(&mut tale, "index", 1, &json!({"platforms": [{"digest": part, "platform": "linux/amd64"}]})),
        }
        build(&mut tale, if runs == "part" { "index" } else { "part" }, "one", 2, &json!({}));
        tale.deploy(TARGET, runs, 3, &json!({}));
        assert_eq!(of(&mut tale, &[]), expected(&[("one", "build")]), "{runs} runs");
        build(&mut tale, runs, "own", 4, &json!({}));
        assert_eq!(of(&mut tale, &[]), expected(&[("own", "build")]), "its own build counts first");
    }
}

#[test]
fn a_commit_without_repository_is_the_one_that_was_recorded() {
    let mut tale = Tale::new();
    let data = json!({"conclusion": "success", "commit": oid("one")});
    tale.say("build.finished", &stream("image"), 1, &data).deploy(TARGET, "image", 2, &json!({}));
    let repository = |tale: &mut Tale| {
        let answer = tale.ask(["env", "production", "shop"]);
        answer["targets"][0]["deployment"]["source_commits"][0]["repository"].clone()
    };
    assert_eq!(repository(&mut tale), Value::Null);
    tale.commit("one", &[], 0, &json!({}));
    assert_eq!(repository(&mut tale), "example.com/shop");
}

#[test]
fn of_a_commit_the_source_that_tells_most_counts() {
    let tell = |backwards: bool| {
        let mut tale = Tale::new();
        tale.build("one", 1).build("two", 1).deploy(TARGET, "one", 2, &json!({})).deploy(TARGET, "two", 3, &json!({}));
        // A webhook knows neither parents nor when it was written.
        let hook = json!({"author": "hook", "commit": oid("two"), "committed_at": at(9)});
        tale.say_as("forge", "commit.recorded", REPO, 9, &hook);
        tale.commit("one", &[], 0, &json!({})).commit("two", &["one"], 1, &json!({}));
        if backwards {
            tale.backwards();
        }
        let answer = tale.ask(["diff", "production", "--from", &at(2), "--to", &at(4)]);
        without_positions(answer["services"][0].clone())
    };
    let told = tell(false);
    assert_eq!(told, tell(true));
    let commits = told["commits"].as_array().unwrap();
    assert_eq!(
        (commits.len(), &commits[0]["authored_at"], &told["commits_incomplete"]),
        (1, &at(1).into(), &false.into())
    );
    assert_eq!(commits[0]["author"]["identity"], "Ada <ada@example.com>");
}

#[test]
fn what_was_erased_is_not_told() {
    let mut tale = Tale::new();
    tale.commit("one", &[], 0, &json!({})).commit("two", &["one"], 1, &json!({"author": "Bob <bob@example.com>"}));
    tale.build("one", 2).build("two", 2).deploy(TARGET, "one", 3, &json!({})).deploy(TARGET, "two", 4, &json!({}));
    let ask = |tale: &mut Tale| {
        tale.ask(["diff", "production", "--from", &at(3), "--to", &at(5)])["services"][0]["commits"][0].clone()
    };
    let before = ask(&mut tale);
    assert_eq!((&before["author"]["identity"], &before["title"]), (&"Bob <bob@example.com>".into(), &"two".into()));
    let erased = json!({"ground": "request", "subject": before["author"]["subject"], "values": []});
    tale.say("subject.erased", "ledger", 6, &erased);
    let after = ask(&mut tale);
    assert_eq!(
        (&after["author"]["subject"], &after["author"]["identity"]),
        (&before["author"]["subject"], &Value::Null)
    );
    assert_eq!(after["commit"], before["commit"]);
}
