//! `log`, `show`, `receipt`: from the data directory and through a server.

use std::io::{BufRead, BufReader};

use serde_json::Value;

use super::{fixed, told};
use crate::support::program::{Desk, plimsoll, signal};

#[test]
fn the_log_is_a_table_for_people() {
    let desk = told();
    insta::assert_snapshot!(fixed(&desk.run(["log"]).ok()), @r"
           0  <now>  ledger.created         ledger
           1  2026-03-04 12:00:00  commit.recorded        repo/example.com/app                         Rename the flag
           2  2026-03-04 12:00:01  branch.updated         repo/example.com/app                         main
           3  2026-03-04 12:30:00  tag.created            repo/example.com/app                         v1.0.0  first release
           4  2026-03-04 12:45:00  sync.succeeded         target/production/app                        v1.0.0
    ");
}

#[test]
fn an_event_is_shown_with_what_belongs_to_it() {
    let desk = told();
    insta::assert_snapshot!(fixed(&desk.run(["show", "1"]).ok()), @r#"
    commit.recorded at 1
      id           <uuid>
      stream       repo/example.com/app
      seq          0
      occurred_at  2026-03-04T12:00:00.000000Z
      recorded_at  <now>
      actor        <pseudonym>  (Jane Doe <jane@example.com>)
      source       git/example.com/app
      dedup        commit:1
    {
      "author": "<pseudonym>",
      "author_offset_minutes": 60,
      "authored_at": "2026-03-04T11:59:00.000000Z",
      "commit": "1111111111111111111111111111111111111111",
      "committed_at": "2026-03-04T12:00:00.000000Z",
      "committer": "<pseudonym>",
      "committer_offset_minutes": 60,
      "message": {
        "commitment": "<hash>",
        "sealed": "<uuid>"
      },
      "parents": [],
      "tree": "2222222222222222222222222222222222222222"
    }
    <uuid> = Rename the flag
        
        Nobody could remember the old name.
    <pseudonym> = Jane Doe <jane@example.com>
    "#);
}

#[test]
fn a_data_directory_and_a_server_give_the_same_answers() {
    let desk = told();
    let server = desk.serve(&[]);
    let id = desk.run(["show", "2", "--json"]).json()["id"].as_str().unwrap().to_owned();
    let url = server.url();
    for args in [
        &["log"][..],
        &["log", "--json"],
        &["log", "-r", "-n", "2"],
        &["log", "--from", "3"],
        &["log", "--from", "99"],
        &["log", "-r", "--from", "2"],
        &["log", "-r", "--from", "99"],
        &["log", "--stream", "target/"],
        &["log", "--type", "tag.*", "--type", "ledger.created"],
        &["log", "--type", "nothing.at.all"],
        &["log", "-n", "0"],
        &["show", "1"],
        &["show", "1", "--json"],
        &["show", &id],
        &["show", "3", "--raw"],
        &["receipt", "2"],
        &["receipt", &id, "--json"],
        &["key", "show"],
        &["key", "show", "--json"],
    ] {
        let (local, remote) = (desk.run(args).ok(), desk.run(args.iter().chain(&["--server", &url])).ok());
        assert_eq!(local, remote, "{args:?}");
        assert_eq!(local, desk.run(args.iter().chain(&["--server", url.trim_start_matches("http://")])).ok());
    }
    let stranger = id.replacen(&id[24..28], "ffff", 1);
    for args in [["show", "99"], ["show", &stranger], ["receipt", "99"], ["receipt", &stranger]] {
        let local = desk.run(args).fails(1);
        assert!(local.contains(args[1]) && local.contains("not found"), "{local}");
        assert_eq!(local, desk.run(args.iter().chain(&["--server", &url])).fails(1), "{args:?}");
    }
    // A key of another ledger that happens to be here must not be taken for the server's.
    let other = Desk::new();
    other.run(["init", "--origin", "other.example/x"]).ok();
    assert_eq!(other.run(["key", "show", "--server", &url]).ok(), desk.run(["key", "show"]).ok());
    other.run(["export", "--tiles", "site", "--server", &url]).fails(2);
    drop(server);
    for args in [&["log"][..], &["show", "1"], &["receipt", "1"], &["key", "show"], &["log", "--follow"]] {
        let err = desk.run(args.iter().chain(&["--server", &url])).fails(3);
        assert!(err.contains("cannot reach") && err.contains(&url), "{err}");
    }
    let err = desk
        .run([
            "record",
            "tag.deleted",
            "--stream",
            "repo/a/b",
            "--payload",
            "{\"tag\":\"v\",\"before\":\"4b825dc642cb6eb9a060e54bf8d69288fbee4904\"}",
            "--server",
            &url,
        ])
        .fails(3);
    assert!(err.contains(&url));
}

#[test]
fn filters_and_limits_select_events() {
    let desk = told();
    let positions = |args: &[&str]| -> Vec<String> {
        let out = desk.run(["log", "--json"].iter().chain(args)).ok();
        let position =
            |line: &str| serde_json::from_str::<Value>(line).unwrap()["position"].as_str().unwrap().to_owned();
        out.lines().map(position).collect()
    };
    assert_eq!(positions(&[]), ["0", "1", "2", "3", "4"]);
    assert_eq!(positions(&["-r"]), ["4", "3", "2", "1", "0"]);
    assert_eq!(positions(&["--stream", "repo/", "-n", "2"]), ["1", "2"]);
    assert_eq!(positions(&["--stream", "repo/", "-n", "2", "-r"]), ["3", "2"]);
    assert_eq!(positions(&["--type", "tag.*", "--type", "branch.updated"]), ["2", "3"]);
    assert_eq!(positions(&["--from", "3"]), ["3", "4"]);
    assert_eq!(positions(&["--from", "3", "-r"]), ["2", "1", "0"]);
    assert!(positions(&["--type", "tag"]).is_empty());
}

#[test]
fn a_long_log_is_listed_whole_both_ways() {
    let desk = Desk::with_ledger();
    desk.feed(["record", "-"], super::many(2500).as_bytes()).ok();
    let server = desk.serve(&[]);
    for more in [&[][..], &["--server", &server.url()]] {
        let list = |args: &[&str]| {
            let out = desk.run(["log"].iter().chain(args).chain(more)).ok();
            out.lines().map(|line| line.trim_start().split(' ').next().unwrap().parse().unwrap()).collect::<Vec<u64>>()
        };
        assert_eq!(list(&[]), (0..2501).collect::<Vec<_>>());
        assert_eq!(list(&["-r"]), (0..2501).rev().collect::<Vec<_>>());
        assert_eq!(list(&["-n", "1500", "--from", "7"]), (7..1507).collect::<Vec<_>>());
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_program_quietly() {
    let desk = Desk::with_ledger();
    desk.feed(["record", "-"], super::many(3000).as_bytes()).ok();
    for args in [&["log"][..], &["log", "--follow"], &["log", "--json", "--follow"]] {
        let mut child = plimsoll(desk.path(), args).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("ledger.created"), "{line}");
        // The pipe is closed now. A follower notices when it has something to say.
        desk.record(u64::from(std::process::id()) + args.len() as u64);
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), ""));
    }
}

#[test]
fn a_follower_prints_what_others_append_as_it_comes() {
    let desk = Desk::with_ledger();
    let local = plimsoll(desk.path(), ["log", "--follow", "--json", "--stream", "repo/"]).spawn().unwrap();
    for n in 0..5 {
        desk.record(n).ok();
    }
    let server = desk.serve(&[]);
    let url = server.url();
    let remote =
        plimsoll(desk.path(), ["log", "--follow", "--json", "--stream", "repo/", "--server", &url]).spawn().unwrap();
    for n in 5..10 {
        let (tag, before, dedup) = (format!("tag=v{n}"), format!("before=\"{n:040x}\""), format!("d{n}"));
        let flags = ["record", "tag.deleted", "--stream", "repo/example.com/0", "--dedup", &dedup];
        desk.run(flags.iter().chain(&["-f", &tag, "-f", &before, "--server", &url])).ok();
    }
    for mut child in [local, remote] {
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let tags: Vec<Value> = (0..10)
            .map(|_| serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap()["data"]["tag"].clone())
            .collect();
        assert_eq!(tags, (0..10).map(|n| Value::from(format!("v{n}"))).collect::<Vec<_>>());
        // Interrupted by its user, it has done what it was asked to.
        signal(&child, "INT");
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn a_follower_of_a_server_that_ends_says_so() {
    let desk = told();
    let server = desk.serve(&[]);
    let mut child = plimsoll(desk.path(), ["log", "--follow", "--server", &server.url()]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!((&mut lines).take(5).count(), 5);
    assert_eq!(server.terminate().0, Some(0));
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(!output.stderr.is_empty());
}

#[test]
fn the_exact_bytes_are_printed_raw_and_hash_to_the_tree() {
    let desk = told();
    let raw = desk.run(["show", "3", "--raw"]).ok();
    let receipt = desk.run(["receipt", "3", "--json"]).json();
    assert_eq!(receipt["leaf"], raw.as_str());
    assert!(!raw.ends_with('\n') && raw.starts_with("{\"correlation\":\"release-7\","));
}

#[test]
fn what_others_wrote_cannot_command_the_terminal() {
    let desk = Desk::with_ledger();
    let draft = serde_json::json!({
        "type": "tag.created", "stream": "repo/a/b", "source": "s", "dedup": "1", "occurred_at": "2026-03-04T12:00:00Z",
        "actor": "J\u{1b}]0;title\u{7} <j@e>",
        "data": {"annotated": true, "message": "\u{1b}[2J\u{9b}31mred\r\u{8}", "tag": "v\u{1b}[1m",
                 "target": "4b825dc642cb6eb9a060e54bf8d69288fbee4904", "target_kind": "commit"},
    });
    desk.feed(["record", "-"], draft.to_string().as_bytes()).ok();
    for args in [&["log"][..], &["show", "1"]] {
        let out = desk.run(args).ok();
        let bad: Vec<char> = out.chars().filter(|c| c.is_control() && *c != '\n').collect();
        assert!(bad.is_empty() && out.contains("red"), "{args:?}: {out:?}");
    }
    let err = desk.run(["show", "\u{1b}[2J"]).fails(2);
    assert!(!err.contains("\u{1b}[2J"), "{err:?}");
}

#[test]
fn a_page_with_long_private_texts_is_cut_and_read_on() {
    let desk = Desk::with_ledger();
    let text = "x".repeat(900_000);
    let mut drafts = String::new();
    for n in 0..60 {
        let oid = format!("{n:040x}");
        let (at, who) = ("2026-03-04T12:00:00Z", "Jane <j@example.com>");
        let data = serde_json::json!({"author": who, "author_offset_minutes": 0, "authored_at": at, "commit": oid,
            "committed_at": at, "committer": who, "committer_offset_minutes": 0, "message": format!("{n} {text}"),
            "parents": [], "tree": oid});
        let draft = serde_json::json!({"type": "commit.recorded", "stream": "repo/example.com/app", "source": "git",
            "dedup": oid, "occurred_at": at, "data": data});
        drafts.push_str(&format!("{draft}\n"));
    }
    desk.feed(["record", "-"], drafts.as_bytes()).ok();
    let server = desk.serve(&[]);
    for remote in [true, false] {
        let mut args = vec!["log".to_owned(), "--stream".to_owned(), "repo/".to_owned()];
        args.extend(remote.then(|| ["--server".to_owned(), server.url()]).into_iter().flatten());
        let text = desk.run(args).ok();
        let shown: Vec<&str> = text.lines().filter_map(|line| line.split("commit.recorded").nth(1)).collect();
        assert_eq!(shown.len(), 60, "{remote}");
        assert!((0..).zip(shown).all(|(n, line)| line.contains(&format!(" {n} xxx"))), "{remote}");
    }
    let long = serde_json::json!({"tag": "v1", "target": "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
        "target_kind": "commit", "annotated": true, "message": "x".repeat(1_100_000)});
    let draft = serde_json::json!({"type": "tag.created", "stream": "repo/example.com/app", "source": "git",
        "dedup": "long", "occurred_at": "2026-03-04T12:00:00Z", "data": long});
    let err = desk.feed(["record", "-", "--server", &server.url()], draft.to_string().as_bytes()).fails(2);
    assert!(err.contains("message") && err.contains("1048576"), "{err}");
}

#[test]
fn no_text_of_an_event_looks_like_another_event() {
    let desk = Desk::with_ledger();
    let tag = "tag=\"v1\\n     999  2026-01-01 00:00:00  sync.succeeded  target/production/forged\"";
    let before = "before=4b825dc642cb6eb9a060e54bf8d69288fbee4904";
    desk.run(["record", "tag.deleted", "--stream", "repo/example.com/app", "-f", tag, "-f", before]).ok();
    let log = desk.run(["log"]).ok();
    assert_eq!(log.lines().count(), 2, "{log}");
}
