//! The views through the real binary: what ran where, rebuilt and scraped.

use std::io::Write as _;
use std::process::Stdio;

use crate::support::program::{Desk, command};
use crate::support::repo::Repo;

/// A repository with three releases, each a day apart, deployed to production.
fn deployed() -> (Desk, Vec<String>) {
    let (desk, repo) = (Desk::new(), Repo::new());
    let commits: Vec<_> = ["one", "two", "three"].iter().map(|message| repo.commit(message)).collect();
    for (n, commit) in commits.iter().enumerate() {
        repo.git(["tag", &format!("v{n}"), commit]);
    }
    let location = repo.location();
    let name = ["--repository-name", "example.com/acme/shop", "--releases", "^v", "--environment", "production"];
    desk.run(["import", "git", &location].into_iter().chain(name)).ok();
    (desk, commits)
}

#[test]
fn the_last_release_runs_and_the_others_ran_before_it() {
    let (desk, commits) = deployed();
    let state = desk.run(["env", "production", "--json"]).json();
    let running = &state["targets"][0]["deployment"];
    assert_eq!((&state["targets"][0]["service"], &running["class"]), (&"shop".into(), &"forward".into()));
    assert!(commits.iter().any(|commit| running["source_commits"][0]["commit"] == *commit), "{running:#}");
    let listed = desk.run(["deployments", "production", "shop", "--json"]).json();
    assert_eq!(listed["deployments"].as_array().unwrap().len(), 3);
    assert!(listed["deployments"][0]["to"].is_null() && !listed["deployments"][1]["to"].is_null(), "{listed:#}");
    assert!(desk.run(["env", "nowhere"]).fails(1).contains("environment nowhere not found"));
}

#[test]
fn nothing_was_known_before_it_was_recorded() {
    let (desk, _) = deployed();
    assert!(desk.run(["env", "production", "--known-at", "1"]).fails(1).contains("not found"));
    assert!(desk.run(["env", "production", "--known-at", "1000"]).fails(2).contains("the log holds"));
}

#[test]
fn views_that_were_deleted_come_again_and_a_rebuild_finds_the_same() {
    let (desk, _) = deployed();
    let before = desk.run(["deployments", "production", "shop", "--json"]).json();
    assert!(desk.run(["rebuild", "--check"]).ok().contains("events folded"));
    for suffix in ["", "-wal", "-shm"] {
        let file = desk.data().join(format!("views.db{suffix}"));
        assert!(!file.exists() || std::fs::remove_file(file).is_ok());
    }
    assert_eq!(desk.run(["deployments", "production", "shop", "--json"]).json(), before);
    desk.run(["rebuild"]).ok();
    assert_eq!(desk.run(["deployments", "production", "shop", "--json"]).json(), before);
}

#[expect(clippy::disallowed_methods, reason = "it plays another version of the program")]
#[test]
fn views_of_another_version_are_made_anew_and_what_is_asked_waits_for_them() {
    let (desk, _) = deployed();
    let asked = ["deployments", "production", "shop", "--json"];
    let before = desk.run(asked).json();
    for another in ["version = 0", "schema = 'another'"] {
        let views = rusqlite::Connection::open(desk.data().join("views.db")).unwrap();
        views.execute_batch(&format!("UPDATE projection SET {another} WHERE name = 'deployment'")).unwrap();
        drop(views);
        assert_eq!(desk.run(asked).json(), before, "{another}");
        assert!(desk.run(["rebuild", "--check"]).ok().contains("events folded"), "{another}");
        assert!(!desk.data().join("views.next.db").exists(), "{another}");
    }
}

#[test]
fn a_server_gives_the_same_answer_as_the_data_directory_also_while_it_runs() {
    let (desk, _) = deployed();
    let alone = desk.run(["deployments", "production", "shop", "--json"]).json();
    let server = desk.serve(&[]);
    let (url, asked) = (server.url(), ["deployments", "production", "shop", "--json"]);
    assert_eq!(desk.run(["--server", &url].into_iter().chain(asked)).json(), alone);
    assert_eq!(desk.run(asked).json(), alone, "beside the server");
    assert!(desk.run(["rebuild"]).fails(3).contains("in use"), "the server keeps the views");
}

#[tokio::test]
async fn what_is_scraped_is_what_prometheus_takes() {
    let (desk, _) = deployed();
    let server = desk.serve(&[]);
    // The views follow the log by themselves: wait until they have.
    desk.run(["--server", &server.url(), "env", "production", "--min-position", "10"]).ok();
    let page = crate::support::http::get(server.http, "/metrics").await;
    let ended = "plimsoll_deployments_total{service=\"shop\",environment=\"production\",tier=\"production\",\
                 class=\"forward\",outcome=\"succeeded\"} 3";
    assert!(page.text().contains(ended), "{}", page.text());
    let mut promtool = command("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = promtool.spawn().unwrap();
    child.stdin.take().unwrap().write_all(page.text().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
