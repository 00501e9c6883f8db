//! Repositories that `serve` follows.

use std::time::{Duration, Instant};

use super::remote::{aside, web};
use crate::support::program::{Desk, Server};
use crate::support::repo::Repo;
use crate::support::served::PATIENCE;

/// Waits until the server's log has so many events of a type, and returns them.
#[track_caller]
pub fn wait_for(desk: &Desk, server: &Server, name: &str, n: usize) -> Vec<serde_json::Value> {
    let until = Instant::now() + PATIENCE;
    loop {
        let out = desk.run(["log", "--json", "--type", name, "--server", &server.url()]).ok();
        let events: Vec<_> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        if events.len() >= n {
            return events;
        }
        assert!(Instant::now() < until, "{} events of {name}, not {n}", events.len());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_followed_repository_is_read_at_start_and_from_time_to_time_with_the_password_of_a_file() {
    let repo = Repo::new();
    repo.commit("one");
    // `jane:opensesame`
    let address = web(repo.dir.path(), Some("amFuZTpvcGVuc2VzYW1l")).await;
    aside(move || {
        let desk = Desk::with_ledger();
        std::fs::write(desk.path().join("password"), "opensesame\n").unwrap();
        let config = format!(
            "[[git]]\nurl = \"http://{address}/app/.git\"\nname = \"example.com/app\"\ninterval_seconds = 1\n\
             user = \"jane\"\npassword_file = \"password\"\nreleases = '^v\\d+$'\nenvironment = \"production\"\n"
        );
        std::fs::write(desk.path().join("plimsoll.toml"), config).unwrap();
        let server = desk.serve(&["--config", "plimsoll.toml"]);
        wait_for(&desk, &server, "commit.recorded", 1);
        repo.commit("two");
        repo.git(["tag", "v1"]);
        wait_for(&desk, &server, "commit.recorded", 2);
        let released = wait_for(&desk, &server, "sync.succeeded", 1);
        assert_eq!(released[0]["stream"], "target/production/app");

        // A repository that goes away and comes back was not seen for a while.
        let (there, away) = (repo.dir.path().join("app"), repo.dir.path().join("away"));
        std::fs::rename(&there, &away).unwrap();
        std::thread::sleep(Duration::from_millis(2500));
        std::fs::rename(&away, &there).unwrap();
        let gap = wait_for(&desk, &server, "observation.gap", 1);
        assert_eq!(gap[0]["data"]["observed"], "git/example.com/app");
        let (code, err) = server.terminate();
        assert_eq!(code, Some(0), "{err}");
        assert!(!err.contains("opensesame") && err.contains("cannot be followed"), "{err}");
    })
    .await;
}

#[test]
fn settings_that_cannot_be_are_refused_by_name() {
    let desk = Desk::with_ledger();
    for (config, told) in [
        ("[[git]]\nurl = \"x\"\ninterval_seconds = 0\n", "interval_seconds"),
        ("[[git]]\nurl = \"x\"\npassword_file = \"nowhere\"\n", "nowhere"),
        ("[[git]]\nurl = \"x\"\n[[git]]\nurl = \"x\"\n", "twice"),
        ("[[git]]\nurl = \"x\"\nreleases = \"v\"\n", "environment"),
        ("[webhooks.github]\nsecret_env = \"NOT_THERE\"\n", "NOT_THERE"),
        ("[webhooks.alertmanager]\n", "webhooks.alertmanager"),
        ("[webhooks.x]\nunsigned = true\n", "webhooks.x"),
        ("[[targets]]\napplication = \"a[\"\n", "a["),
    ] {
        std::fs::write(desk.path().join("plimsoll.toml"), config).unwrap();
        let err =
            desk.run(["serve", "--config", "plimsoll.toml", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"]).fails(2);
        assert!(err.contains(told), "{config}: {err}");
    }
}
