//! What git lets people make.

use std::os::unix::ffi::OsStrExt;

use serde_json::Value;

use super::{both, commits, events, import, of_type, open};
use crate::support::program::Desk;
use crate::support::repo::{Repo, git, run};

#[test]
fn names_and_messages_of_any_bytes_are_recorded() {
    let (desk, repo) = both();
    let root = repo.commit("root");
    let latin1 = repo.raw_commit(
        &[&root],
        b"Andr\xe9 <a@example.com> 1700000100 +0100",
        b"encoding ISO-8859-1\n",
        b"\xe9t\xe9\n",
    );
    let undeclared = repo.raw_commit(&[&latin1], b"Andr\xe9 <a@example.com> 1700000100 +0100", b"", b"\xe9t\xe9\n");
    let controls = repo.raw_commit(&[&undeclared], b" <> 1700000100 +0000", b"", b"a\x1b[31mred\x07\n\x00after NUL\n");
    let long = repo.raw_commit(&[&controls], &[&b"x".repeat(3000)[..], b" <x@y> 1700000100 +0000"].concat(), b"", b"m");
    let emoji = repo.raw_commit(
        &[&long],
        "\u{1f6a2} Ship <s@example.com> 1700000100 +0000".as_bytes(),
        b"",
        "\u{1f6a2}".as_bytes(),
    );
    repo.point(std::ffi::OsStr::from_bytes(b"refs/heads/caf\xe9"), &emoji);
    repo.point("refs/heads/636166e9", &emoji);
    repo.point("refs/heads/hex-caf\u{e9}", &emoji);
    repo.point("refs/heads/c1-\u{85}", &emoji);
    repo.point(std::ffi::OsStr::from_bytes(b"refs/tags/v\xff\xfe"), &emoji);
    let deep = format!("refs/heads/{}", ["d".repeat(200), "e".repeat(200), "f".repeat(200)].join("/"));
    repo.point(&deep, &emoji);
    let done = import(&desk, &repo.location(), &[]);
    assert_eq!(done["commits"], 6);
    let commits = commits(&desk);
    assert_eq!(
        (&commits[&latin1]["author"], &commits[&latin1]["message"]),
        (&"André <a@example.com>".into(), &"été\n".into())
    );
    let text = commits[&undeclared]["message"].as_str().unwrap();
    assert!(text == "été\n" || text == "\u{fffd}t\u{fffd}\n", "{text:?}");
    assert!(commits[&controls]["author"].as_str().unwrap().contains('<'));
    assert!(commits[&long]["author"].as_str().unwrap().len() <= 1024);
    assert_eq!(commits[&emoji]["author"], "\u{1f6a2} Ship <s@example.com>");

    let branches = of_type(&desk, "branch.updated");
    let hex = |name: &[u8]| Value::from(hex::encode(name));
    assert!(branches.iter().any(|event| event["data"]["branch_hex"] == hex(b"caf\xe9")));
    for name in ["main", "636166e9", "hex-caf\u{e9}", "c1-\u{85}", deep.trim_start_matches("refs/heads/")] {
        let found = branches.iter().find(|event| event["data"]["branch"] == name);
        assert!(found.is_some_and(|event| event["data"].get("branch_hex").is_none()), "{name}");
    }
    assert_eq!(branches.len(), 6);
    assert_eq!(of_type(&desk, "tag.created")[0]["data"]["tag_hex"], hex(b"v\xff\xfe"));
    assert_eq!(import(&desk, &repo.location(), &[])["events"], 0, "they are known by their exact names");
    desk.run(["verify"]).ok();
}

#[test]
fn absurd_times_are_drawn_to_what_can_be_written_and_said_to_be() {
    let (desk, repo) = both();
    let mut head = repo.commit("root");
    let mut made = Vec::new();
    for (time, zone) in [
        ("0", "+0000"),
        ("-1", "-0001"),
        ("-62167219200", "+0000"),
        ("-62167219201", "+0000"),
        ("253402300799", "+1400"),
        ("253402300800", "+0000"),
        ("9223372036854775807", "+9999"),
        ("-9223372036854775808", "-9999"),
        ("4294967296", "-1200"),
        ("1700000000", "+51800"),
        ("1700000000", "+0060"),
    ] {
        head = repo.raw_commit(&[&head], format!("Jane <j@e> {time} {zone}").as_bytes(), b"", time.as_bytes());
        made.push((time, zone, head.clone()));
    }
    repo.point("refs/heads/main", &head);
    import(&desk, &repo.location(), &[]);
    let commits = commits(&desk);
    for (time, zone, oid) in &made {
        let data = &commits[oid];
        let at: plimsoll::event::Timestamp = data["committed_at"].as_str().unwrap().parse().unwrap();
        let seconds: i64 = time.parse().unwrap();
        // What libgit2 makes of a time is what counts, where it can read it at all.
        let clamped = data.get("times_clamped") == Some(&true.into());
        if (0..=253_402_300_799).contains(&seconds) {
            assert_eq!((at.micros(), clamped), (seconds * 1_000_000, false), "{time} {zone}");
        }
        if seconds > 253_402_300_799 {
            assert!(clamped && at.to_string().starts_with("9999-12-31"), "{time} {zone}: {at}");
        }
    }
    for (time, zone, oid) in &made {
        if *time == "253402300799" {
            assert_eq!((*zone, &commits[oid]["author_offset_minutes"]), ("+1400", &840.into()));
        }
    }
    desk.run(["verify"]).ok();
}

#[test]
fn signatures_are_noticed_by_their_form() {
    let (desk, repo) = both();
    let root = repo.commit("root");
    let who = b"Jane <j@example.com> 1700000100 +0000";
    let signed = |form: &str| {
        let text = format!("gpgsig -----BEGIN {form}-----\n \n iQEz\n -----END {form}-----\n");
        repo.raw_commit(&[&root], who, text.as_bytes(), form.as_bytes())
    };
    let forms = ["PGP SIGNATURE", "SSH SIGNATURE", "SIGNED MESSAGE", "OTHER THING"];
    let oids: Vec<String> = forms.iter().map(|form| signed(form)).collect();
    for (n, oid) in oids.iter().enumerate() {
        repo.point(format!("refs/heads/s{n}"), oid);
        let text = format!(
            "object {oid}\ntype commit\ntag t{n}\ntagger Jane <j@example.com> 1700000200 +0000\n\nrelease\n-----BEGIN {0}-----\n\niQEz\n-----END {0}-----\n",
            forms[n]
        );
        let tag = repo.object("tag", text.as_bytes());
        repo.point(format!("refs/tags/t{n}"), &tag);
    }
    import(&desk, &repo.location(), &[]);
    let commits = commits(&desk);
    let words = ["openpgp", "ssh", "x509", "other"];
    for (oid, word) in oids.iter().zip(words) {
        assert_eq!(commits[oid]["signature"], word);
    }
    assert!(commits[&root].get("signature").is_none());
    for (n, event) in of_type(&desk, "tag.created").iter().enumerate() {
        let data = open(event);
        assert_eq!((&data["tag"], &data["signature"]), (&format!("t{n}").into(), &words[n].into()));
        assert!(data["message"].as_str().unwrap().starts_with("release\n"));
        assert_eq!((&data["tagger"], &data["annotated"]), (&"Jane <j@example.com>".into(), &true.into()));
    }
}

#[test]
fn reverts_and_cherry_picks_are_noticed() {
    let (desk, repo) = both();
    let root = repo.commit("root");
    std::fs::write(repo.path().join("file"), "content").unwrap();
    repo.git(["add", "file"]);
    repo.git(["commit", "-q", "-m", "a change"]);
    let change = repo.git(["rev-parse", "HEAD"]);
    repo.git(["revert", "--no-edit", "HEAD"]);
    let revert = repo.git(["rev-parse", "HEAD"]);
    repo.git(["checkout", "-q", "-b", "picked", &root]);
    repo.git(["cherry-pick", "-x", &change]);
    let pick = repo.git(["rev-parse", "HEAD"]);
    import(&desk, &repo.location(), &[]);
    let commits = commits(&desk);
    assert_eq!(commits[&revert]["reverts"], change.as_str());
    assert_eq!(commits[&pick]["cherry_picked_from"], change.as_str());
    assert!(commits[&change].get("reverts").is_none());
}

#[test]
fn tags_of_anything_are_recorded_with_what_they_finally_name() {
    let (desk, repo) = both();
    let root = repo.commit("root");
    let blob = repo.object("blob", b"content");
    let tree = repo.git(["rev-parse", "HEAD^{tree}"]);
    repo.git(["tag", "light"]);
    repo.git(["tag", "-a", "-m", "about a tree", "tree", &tree]);
    repo.git(["tag", "blob", &blob]);
    repo.git(["tag", "-a", "-m", "inner", "inner"]);
    repo.git(["tag", "-a", "-m", "outer", "outer", "inner"]);
    let done = import(&desk, &repo.location(), &["--releases", ".*", "--environment", "production"]);
    assert_eq!(done["events"], 1 + 1 + 5 + 3, "a commit, a branch, the tags, and a release for each of a commit");
    let tags: std::collections::BTreeMap<String, Value> = of_type(&desk, "tag.created")
        .iter()
        .map(|event| (event["data"]["tag"].as_str().unwrap().to_owned(), open(event)))
        .collect();
    let of = |name: &str| (tags[name]["target"].as_str().unwrap(), tags[name]["target_kind"].as_str().unwrap());
    assert_eq!(of("light"), (root.as_str(), "commit"));
    assert_eq!(of("tree"), (tree.as_str(), "tree"));
    assert_eq!(of("blob"), (blob.as_str(), "blob"));
    assert_eq!((of("inner"), of("outer")), ((root.as_str(), "commit"), (root.as_str(), "commit")));
    assert_eq!(tags["outer"]["message"], "outer\n");
    assert_eq!(tags["outer"]["tag_object"], repo.git(["rev-parse", "outer"]).as_str());
    assert_eq!((&tags["light"]["annotated"], tags["light"].get("tag_object")), (&false.into(), None));
}

#[test]
fn a_repository_with_nothing_in_it_is_no_error() {
    let (desk, repo) = both();
    let done = import(&desk, &repo.location(), &[]);
    assert_eq!((&done["events"], &done["commits"]), (&0.into(), &0.into()));
    assert!(events(&desk).iter().all(|event| event["stream"] == "ledger"));
}

#[test]
fn every_kind_of_repository_can_be_read() {
    let desk = Desk::with_ledger();
    let repo = Repo::new();
    repo.commit("one");
    let two = repo.commit("two");
    repo.git(["tag", "-a", "-m", "m", "v1"]);
    let dir = repo.dir.path();
    run(git(dir).args(["clone", "-q", "--bare", "app", "bare.git"]));
    repo.git(["worktree", "add", "-q", "../tree", "-b", "side"]);
    repo.git(["pack-refs", "--all"]);
    repo.git(["gc", "-q"]);
    run(git(dir).args(["clone", "-q", "--mirror", "app", "mirror.git"]));
    let location = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    for (n, (name, branches)) in
        [("app", 2), ("app/.git", 2), ("bare.git", 1), ("tree", 2), ("mirror.git", 2)].into_iter().enumerate()
    {
        let named = format!("example.com/r{n}");
        let done = import(&desk, &location(name), &["--repository-name", &named]);
        assert_eq!((&done["commits"], &done["events"]), (&2.into(), &(2 + branches + 1).into()), "{name}");
    }
    // A detached HEAD reaches commits that nothing else does.
    repo.git(["checkout", "-q", "--detach", &two]);
    let three = repo.commit("three");
    let done = import(&desk, &repo.location(), &["--repository-name", "example.com/r0"]);
    assert_eq!((&done["commits"], &done["events"]), (&1.into(), &1.into()));
    assert!(of_type(&desk, "commit.recorded").iter().any(|event| event["data"]["commit"] == three.as_str()));
    assert_eq!(import(&desk, &repo.location(), &["--repository-name", "example.com/r0"])["events"], 0);
}

#[test]
fn commits_that_only_a_remote_branch_behind_a_local_one_has_are_recorded() {
    let desk = Desk::with_ledger();
    let repo = Repo::new();
    repo.commit("one");
    let clone = desk.path().join("clone");
    run(git(desk.path()).args(["clone", "-q", &repo.location(), "clone"]));
    repo.git(["branch", "feature"]);
    let two = repo.commit("two");
    run(git(&clone).args(["fetch", "-q"]));
    let done = import(&desk, clone.to_str().unwrap(), &[]);
    assert_eq!(done["commits"], 2);
    assert!(commits(&desk).contains_key(&two));
    let mut branches: Vec<_> =
        of_type(&desk, "branch.updated").iter().map(|event| event["data"]["branch"].clone()).collect();
    branches.sort_by_key(Value::to_string);
    assert_eq!(branches, ["feature", "main"]);
}

#[test]
fn a_shallow_clone_is_refused_before_it_says_something_untrue() {
    let desk = Desk::with_ledger();
    let repo = Repo::new();
    for n in 0..5 {
        repo.commit(&n.to_string());
    }
    let url = format!("file://{}", repo.location());
    run(git(desk.path()).args(["clone", "-q", "--depth", "2", &url, "clone"]));
    let err = desk.run(["import", "git", "clone"]).fails(1);
    assert!(err.contains("shallow") && err.contains("--unshallow"), "{err}");
    assert_eq!(events(&desk).len(), 1, "nothing was recorded");
    run(git(&desk.path().join("clone")).args(["fetch", "-q", "--unshallow"]));
    assert_eq!(import(&desk, "clone", &[])["commits"], 5);
}

#[test]
fn a_missing_object_is_named() {
    let (desk, repo) = both();
    let mut oids: Vec<String> = (0..4).map(|n| repo.commit(&n.to_string())).collect();
    let remove = |oid: &str| {
        let path = repo.path().join(".git/objects").join(&oid[..2]).join(&oid[2..]);
        let mut permissions = std::fs::metadata(&path).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o644);
        std::fs::set_permissions(&path, permissions).unwrap();
        path
    };
    let lost = oids.remove(1);
    let path = remove(&lost);
    let content = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let err = desk.run(["import", "git", &repo.location()]).fails(1);
    assert!(err.contains(&lost), "{err}");
    // Damaged instead of missing.
    std::fs::write(&path, b"garbage").unwrap();
    let err = desk.run(["import", "git", &repo.location()]).fails(1);
    assert!(err.contains(&lost), "{err}");
    std::fs::write(&path, content).unwrap();

    // A tag whose object is gone.
    let blob = repo.object("blob", b"soon gone");
    repo.git(["tag", "broken", &blob]);
    std::fs::remove_file(remove(&blob)).unwrap();
    let err = desk.run(["import", "git", &repo.location()]).fails(1);
    assert!(err.contains(&blob), "{err}");
    repo.git(["update-ref", "--no-deref", "-d", "refs/tags/broken"]);
    assert_eq!(import(&desk, &repo.location(), &[])["known_commits"], 0, "nothing was recorded on the way");
}

#[test]
fn what_is_no_repository_is_said_to_be_none() {
    let desk = Desk::with_ledger();
    let err = desk.run(["import", "git", "nowhere"]).fails(1);
    assert!(err.contains("nowhere"), "{err}");
    std::fs::create_dir(desk.path().join("plain")).unwrap();
    let err = desk.run(["import", "git", "plain"]).fails(1);
    assert!(err.contains("plain"), "{err}");
    let repo = Repo::new();
    let err = desk.run(["import", "git", &repo.location(), "--repository-name", "nohost"]).fails(2);
    assert!(err.contains("nohost") && err.contains("--repository-name"), "{err}");
    for wrong in [
        &["--releases", "(", "--environment", "p"][..],
        &["--releases", "v"],
        &["--environment", "p"],
        &["--service", "s"],
        &["--releases", "v", "--environment", "a b"],
    ] {
        desk.run(["import", "git", &repo.location()].iter().map(AsRef::as_ref).chain(wrong.iter().copied())).fails(2);
    }
}
