//! Commits: all of them, once, as git has them; again, later, and after an interruption.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use plimsoll::ledger::{DataDir, open_engine_read_only};

use super::{both, commits, events, import, of_type};
use crate::support::program::{Desk, plimsoll};
use crate::support::repo::{FIRST, Repo, git, run};

/// Compares what was recorded with what git says, commit for commit.
#[track_caller]
fn same_as_git(desk: &Desk, repository: &Path) -> usize {
    let format = "%H%x01%T%x01%P%x01%an <%ae>%x01%at%x01%cn <%ce>%x01%ct%x01%B%x02";
    let log =
        run(git(repository).args(["log", "--branches", "--tags", "--remotes", "HEAD", &format!("--format={format}")]));
    let log = String::from_utf8_lossy(&log).into_owned();
    let recorded = commits(desk);
    let mut n = 0;
    for entry in log.split('\u{2}').map(|entry| entry.trim_start_matches('\n')).filter(|entry| !entry.is_empty()) {
        let fields: Vec<&str> = entry.split('\u{1}').collect();
        let data = recorded.get(fields[0]).unwrap_or_else(|| panic!("{} was not recorded", fields[0]));
        assert_eq!(data["tree"], fields[1]);
        let parents: Vec<&str> = data["parents"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
        assert_eq!(parents.join(" "), fields[2], "the parents of {}", fields[0]);
        assert_eq!((&data["author"], &data["committer"]), (&fields[3].into(), &fields[5].into()));
        for (key, seconds) in [("authored_at", fields[4]), ("committed_at", fields[6])] {
            let at: plimsoll::event::Timestamp = data[key].as_str().unwrap().parse().unwrap();
            assert_eq!(at.micros().to_string(), format!("{seconds}000000"), "{key} of {}", fields[0]);
        }
        let message = data.get("message").map_or("", |text| text.as_str().unwrap());
        assert_eq!(message.trim_end_matches('\n'), fields[7].trim_end_matches('\n'), "the message of {}", fields[0]);
        n += 1;
    }
    assert_eq!(recorded.len(), n, "more was recorded than git knows");
    parents_first(desk);
    n
}

#[track_caller]
fn parents_first(desk: &Desk) {
    let mut seen = BTreeSet::new();
    let all = of_type(desk, "commit.recorded");
    for event in &all {
        for parent in event["data"]["parents"].as_array().unwrap() {
            assert!(seen.contains(parent.as_str().unwrap()), "a child before its parent");
        }
        seen.insert(event["data"]["commit"].as_str().unwrap());
    }
}

/// Merges of two and of four, an empty commit, two roots.
fn tangle() -> Repo {
    let repo = Repo::new();
    repo.commit("the root");
    for name in ["a", "b", "c"] {
        repo.git(["checkout", "-q", "-b", name, "main"]);
        repo.commit(&format!("on {name}\n\nwith a body\n\nand another paragraph"));
    }
    repo.git(["checkout", "-q", "main"]);
    repo.commit("meanwhile");
    repo.git(["merge", "-q", "--no-ff", "-m", "a merge", "a"]);
    repo.git(["merge", "-q", "--no-ff", "-m", "an octopus", "a", "b", "c"]);
    repo.git(["checkout", "-q", "--orphan", "other"]);
    repo.commit("another root");
    repo.git(["checkout", "-q", "main"]);
    repo.git(["merge", "-q", "--no-ff", "--allow-unrelated-histories", "-m", "two roots", "other"]);
    repo.git(["commit", "-q", "--allow-empty", "--allow-empty-message", "-m", ""]);
    repo
}

#[test]
fn every_commit_is_recorded_as_git_has_it_parents_first() {
    let (desk, repo) = (Desk::with_ledger(), tangle());
    let done = import(&desk, &repo.location(), &[]);
    let n = same_as_git(&desk, &repo.path());
    assert_eq!((n, &done["commits"], &done["known_commits"]), (9 + 1, &10.into(), &0.into()));
    assert_eq!(done["repository"], "repo/local/app");
    assert_eq!(done["events"], 10 + 5, "and five branches");
    let octopus = commits(&desk).into_values().filter(|data| data["parents"].as_array().unwrap().len() > 2).count();
    assert_eq!(octopus, 1);
    desk.run(["verify"]).ok();
}

#[test]
fn a_second_import_adds_nothing_and_a_later_one_only_what_is_new() {
    let (desk, repo) = (Desk::with_ledger(), tangle());
    import(&desk, &repo.location(), &[]);
    let before = events(&desk);
    let again = import(&desk, &repo.location(), &[]);
    assert_eq!((&again["events"], &again["commits"], &again["known_commits"]), (&0.into(), &0.into(), &10.into()));
    assert_eq!(events(&desk), before, "not even an event of the ledger about itself");
    repo.commit("new");
    repo.git(["tag", "v1"]);
    let later = import(&desk, &repo.location(), &[]);
    assert_eq!((&later["events"], &later["commits"]), (&3.into(), &1.into()), "commit, branch, tag");
    same_as_git(&desk, &repo.path());
    assert_eq!(import(&desk, &repo.location(), &[])["events"], 0);
}

#[test]
fn this_very_repository_is_recorded_commit_for_commit() {
    let desk = Desk::with_ledger();
    let clone = desk.path().join("clone");
    run(git(desk.path()).args(["clone", "-q", env!("CARGO_MANIFEST_DIR"), "clone"]));
    if run(git(&clone).args(["rev-parse", "--is-shallow-repository"])).starts_with(b"true") {
        let err = desk.run(["import", "git", "clone"]).fails(1);
        assert!(err.contains("shallow"), "{err}");
        return;
    }
    run(git(&clone).args(["tag", "-a", "-m", "as it is now", "now"]));
    let done = import(&desk, clone.to_str().unwrap(), &["--repository-name", "example.com/plimsoll"]);
    assert_eq!(done["repository"], "repo/example.com/plimsoll");
    same_as_git(&desk, &clone);

    let format = "--format=%(refname) %(objectname)";
    let refs = run(git(&clone).args(["for-each-ref", format, "refs/heads", "refs/remotes/origin"]));
    let mut expected = BTreeMap::new();
    for line in String::from_utf8(refs).unwrap().lines() {
        let (name, oid) = line.split_once(' ').unwrap();
        if let Some(name) = name.strip_prefix("refs/remotes/origin/").filter(|name| *name != "HEAD") {
            expected.entry(name.to_owned()).or_insert(oid.to_owned());
        } else if let Some(name) = name.strip_prefix("refs/heads/") {
            expected.insert(name.to_owned(), oid.to_owned());
        }
    }
    let branches: BTreeMap<String, String> = of_type(&desk, "branch.updated")
        .iter()
        .map(|event| &event["data"])
        .map(|data| (data["branch"].as_str().unwrap().to_owned(), data["after"].as_str().unwrap().to_owned()))
        .collect();
    assert_eq!(branches, expected);
    assert!(of_type(&desk, "tag.created").iter().any(|event| event["data"]["tag"] == "now"));
}

#[test]
fn an_interrupted_import_is_gone_on_with() {
    let (desk, repo) = both();
    let n = if crate::support::rig::slow() { 100_000 } else { 5000 };
    repo.many(n);
    repo.git(["tag", "v1", "main"]);
    let data = DataDir::new(desk.data());
    let size = || open_engine_read_only(&data).unwrap().head().unwrap().size;
    let mut survived = 0;
    for wanted in [500, n as u64 / 4] {
        let mut child = plimsoll(desk.path(), ["import", "git", &repo.location()]).spawn().unwrap();
        while size() < wanted {
            assert!(child.try_wait().unwrap().is_none(), "it ended early");
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        survived = size();
        assert!(survived < n as u64, "it was faster than this test");
    }
    let done = import(&desk, &repo.location(), &[]);
    let known = usize::try_from(done["known_commits"].as_u64().unwrap()).unwrap();
    assert_eq!(known as u64 + 1, survived, "commits, and the ledger's first event");
    assert_eq!(done["commits"].as_u64().unwrap() + known as u64, n as u64);
    assert_eq!(commits(&desk).len(), n);
    parents_first(&desk);
    assert_eq!((of_type(&desk, "branch.updated").len(), of_type(&desk, "tag.created").len()), (1, 1));
    desk.run(["verify"]).ok();
}

#[test]
fn a_ledger_that_is_being_imported_into_can_be_followed() {
    let (desk, repo) = both();
    repo.many(3000);
    let follower =
        plimsoll(desk.path(), ["log", "--follow", "--json", "--type", "commit.*", "-n", "3000"]).spawn().unwrap();
    import(&desk, &repo.location(), &[]);
    let out = follower.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(out.stdout).unwrap().lines().count(), 3000);
    assert!(out.status.success());
}

#[test]
fn an_import_through_a_server_is_the_same_as_into_the_data_directory() {
    let (local, repo) = (Desk::with_ledger(), tangle());
    let desk = Desk::with_ledger();
    repo.git(["tag", "-a", "-m", "first", "v1.0.0"]);
    let server = desk.serve(&[]);
    let more = ["--releases", "^v", "--environment", "production"];
    let url = server.url();
    let through = [&more[..], &["--server", &url]].concat();
    let (a, b) = (import(&local, &repo.location(), &more), import(&desk, &repo.location(), &through));
    assert_eq!(a, b);
    assert_eq!(import(&desk, &repo.location(), &through)["events"], 0);
    let facts = |desk: &Desk| {
        let without = |mut event: serde_json::Value| {
            let data = super::open(&event);
            event["data"] = data;
            for key in ["id", "prev", "recorded_at", "private", "actor", "position"] {
                event.as_object_mut().unwrap().remove(key);
            }
            event
        };
        let own = |event: &serde_json::Value| event["stream"] != "ledger";
        events(desk).into_iter().filter(own).map(without).collect::<Vec<_>>()
    };
    assert_eq!(facts(&local), facts(&desk));
}

#[test]
fn serve_records_a_repository_before_it_is_ready() {
    let desk = Desk::new();
    let repo = tangle();
    let server = desk.serve(&["--import-git", &repo.location()]);
    let n = desk.run(["log", "--type", "commit.recorded", "--server", &server.url()]).ok().lines().count();
    assert_eq!(n, 10);
    assert_eq!(server.terminate().0, Some(0));
    let at: plimsoll::event::Timestamp =
        commits(&desk).values().map(|data| data["authored_at"].as_str().unwrap().parse().unwrap()).min().unwrap();
    assert_eq!(at.micros(), (FIRST + 60) * 1_000_000);
}
