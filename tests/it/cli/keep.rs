//! `init`, `serve`, `verify`, `export`, `key`, `backup`, `completions`, and the settings file.

use std::path::Path;

use super::{fixed, told};
use crate::support::program::{Desk, command, path};

#[test]
fn a_ledger_is_made_once() {
    let desk = Desk::new();
    insta::assert_snapshot!(fixed(&desk.run(["init", "--origin", "ledger.example/test"]).ok()), @r"
    a new ledger in plimsoll-data
    ledger.example/test+<key>
    ");
    let vkey = std::fs::read_to_string(desk.data().join("ledger.vkey")).unwrap();
    assert_eq!((vkey.lines().count(), desk.run(["key", "show"]).ok()), (1, vkey.clone()));
    assert_eq!(desk.run(["key", "show", "--json"]).json()["key"], vkey.trim());
    let err = desk.run(["init"]).fails(1);
    assert!(err.contains("plimsoll-data"), "{err}");
    assert_eq!(std::fs::read_to_string(desk.data().join("ledger.vkey")).unwrap(), vkey);
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(desk.data().join("ledger.key")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600, "the signing key is for its owner only");
    for origin in ["", "with space", "with+plus", "line\nfeed"] {
        Desk::new().run(["init", "--origin", origin]).fails(2);
    }
    let other = Desk::new();
    let made = other.run(["init", "--json", "--data", "elsewhere"]).json();
    assert!(made["origin"].as_str().unwrap().starts_with("plimsoll.local/"));
    assert_eq!((&made["data"], other.path().join("elsewhere/ledger.db").exists()), (&"elsewhere".into(), true));
}

#[test]
fn what_holds_keys_and_names_is_for_its_owner_only() {
    let desk = told();
    let closed = |path: &Path| {
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions());
        assert_eq!(mode & 0o077, 0, "{}", path.display());
    };
    closed(&desk.data());
    desk.run(["backup", "deep/copy"]).ok();
    closed(&desk.path().join("deep/copy"));
    let other = Desk::new();
    other.run(["backup", "restore", desk.path().join("deep/copy").to_str().unwrap()]).ok();
    closed(&other.data());
    // A directory that somebody made on purpose keeps the rights that it was given.
    std::fs::create_dir(desk.path().join("shared")).unwrap();
    let before = std::fs::metadata(desk.path().join("shared")).unwrap().permissions();
    desk.run(["init", "--data", "shared"]).ok();
    assert_eq!(std::fs::metadata(desk.path().join("shared")).unwrap().permissions(), before);
}

#[test]
fn commands_on_a_ledger_that_is_not_there_say_so() {
    let desk = Desk::new();
    let payload = r#"{"tag":"v","before":"4b825dc642cb6eb9a060e54bf8d69288fbee4904"}"#;
    for args in [
        &["log"][..],
        &["show", "0"],
        &["receipt", "0"],
        &["verify"],
        &["key", "show"],
        &["export", "--tiles", "site"],
        &["backup", "copy"],
        &["record", "tag.deleted", "--stream", "repo/a/b", "--payload", payload],
    ] {
        let err = desk.run(args).fails(1);
        assert!(err.contains("plimsoll-data"), "{args:?}: {err}");
    }
    assert!(!desk.data().exists(), "nothing was made on the way");
}

#[test]
fn verify_says_what_it_read_and_finds_a_flipped_bit() {
    let desk = told();
    insta::assert_snapshot!(fixed(&desk.run(["verify"]).ok()), @"ok: 5 events in 3 streams, root <root>, 3 checkpoints, 1 tiles, 0 blobs, 3 private values (0 erased), signed by ledger.example/test");
    let report = desk.run(["verify", "--json"]).json();
    assert_eq!((&report["ok"], &report["events"]), (&true.into(), &5.into()));

    // In the leaf of event 2, as it stands in the file. A copy has everything in one.
    desk.run(["backup", "copy"]).ok();
    desk.run(["verify", "copy"]).ok();
    let database = desk.path().join("copy/ledger.db");
    let mut bytes = std::fs::read(&database).unwrap();
    let at = bytes.windows(15).position(|window| window == b"\"branch\":\"main\"").unwrap();
    bytes[at + 10] ^= 1;
    std::fs::write(&database, bytes).unwrap();
    let ran = desk.run(["verify", "copy"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains("event 2") && ran.out.starts_with("bad: "), "{}", ran.out);
    let ran = desk.run(["verify", "copy", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, &report["ok"], &report["first_bad_position"]), (1, &false.into(), &2.into()));
}

#[test]
fn a_receipt_is_verified_alone_and_a_changed_one_is_not() {
    let desk = told();
    desk.run(["receipt", "3", "-o", "three.tlog-proof"]).ok();
    let file = desk.path().join("three.tlog-proof");
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text, desk.run(["receipt", "3"]).ok());
    let out = desk.run(["verify", "three.tlog-proof"]).ok();
    assert_eq!(out, "ok: event 3 of 5, tag.created, signed by ledger.example/test\n");

    // Somewhere else, with nothing but the receipt and the key, given as text or as a file.
    let other = Desk::new();
    std::fs::copy(&file, other.path().join("r")).unwrap();
    std::fs::copy(desk.data().join("ledger.vkey"), other.path().join("k")).unwrap();
    let key = desk.run(["key", "show"]).ok();
    other.run(["verify", "r", "--vkey", "k"]).ok();
    other.run(["verify", "r", "--vkey", key.trim()]).ok();
    assert_eq!(other.run(["verify", "r", "--vkey", "k", "--json"]).json()["ok"], true);
    other.run(["verify", "r"]).fails(2);
    other.run(["verify", "r", "--vkey", "nonsense"]).fails(2);
    let stranger = Desk::with_ledger().run(["key", "show"]).ok();
    let ran = other.run(["verify", "r", "--vkey", stranger.trim()]);
    assert_eq!((ran.code, ran.out.starts_with("bad: ")), (1, true), "{ran:?}");

    let foreign = command("python3")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/verify_log.py"))
        .args(["--vkey", "k", "--receipt", "r"])
        .current_dir(other.path())
        .env("PATH", path())
        .output()
        .unwrap();
    assert!(foreign.status.success(), "{}", String::from_utf8_lossy(&foreign.stderr));

    for (n, line) in text.lines().enumerate().filter(|(_, line)| line.len() > 20) {
        let middle = line.len() / 2;
        let other_letter = if line.as_bytes()[middle] == b'A' { "B" } else { "A" };
        let changed = format!("{}{other_letter}{}", &line[..middle], &line[middle + 1..]);
        std::fs::write(other.path().join("bad"), text.replacen(line, &changed, 1)).unwrap();
        let ran = other.run(["verify", "bad", "--vkey", "k"]);
        assert_eq!((ran.code, ran.out.starts_with("bad: ")), (1, true), "line {n}: {ran:?}");
    }
    std::fs::write(other.path().join("bad"), b"\xff\xfe\0").unwrap();
    assert_ne!(other.run(["verify", "bad", "--vkey", "k"]).code, 0);
}

#[test]
fn an_exported_log_is_verified_without_the_ledger() {
    let desk = told();
    let old = desk.path().join("old");
    desk.run(["export", "--tiles", "site"]).ok();
    std::fs::copy(desk.path().join("site/checkpoint"), &old).unwrap();
    desk.feed(["record", "-"], super::many(300).as_bytes()).ok();
    assert_eq!(desk.run(["export", "--tiles", "site"]).ok(), "305 events exported\n");
    let out = desk.run(["verify", "site", "--old", "old"]).ok();
    assert!(out.starts_with("ok: 305 events"), "{out}");
    let key = desk.data().join("ledger.vkey");
    let foreign = command("python3")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/verify_log.py"))
        .args(["--vkey", key.to_str().unwrap(), "site"])
        .current_dir(desk.path())
        .env("PATH", path())
        .output()
        .unwrap();
    assert!(foreign.status.success(), "{}", String::from_utf8_lossy(&foreign.stderr));

    for file in ["tile/0/000", "tile/entries/001.p/49", "tile/1/000.p/1", "checkpoint"] {
        let path = desk.path().join("site").join(file);
        let good = std::fs::read(&path).unwrap();
        let mut bad = good.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        std::fs::write(&path, bad).unwrap();
        let ran = desk.run(["verify", "site"]);
        assert_ne!(ran.code, 0, "{file}: {ran:?}");
        std::fs::write(&path, good).unwrap();
    }
    desk.run(["verify", "site"]).ok();
}

#[test]
fn a_backup_is_put_back_and_a_rolled_back_ledger_only_when_told_to() {
    let desk = told();
    let out = desk.run(["backup", "copy"]).ok();
    assert!(out.starts_with("5 events, ") && out.ends_with(" in copy\n"), "{out}");
    assert_eq!(desk.run(["log", "--type", "backup.completed"]).ok().lines().count(), 1);
    desk.run(["backup", "copy"]).fails(1);
    desk.record(1).ok();
    let before = desk.run(["log", "--json"]).ok();

    // The disk is lost, the guard is not.
    let lose = || {
        for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm", "index.db", "index.db-wal", "index.db-shm"] {
            let file = desk.data().join(name);
            if file.exists() {
                std::fs::remove_file(file).unwrap();
            }
        }
    };
    desk.run(["backup", "restore", "copy"]).fails(1);
    lose();
    let err = desk.run(["backup", "restore", "copy"]).fails(1);
    assert!(err.contains("rolled back") && err.contains("--accept-rollback"), "{err}");
    assert!(!desk.data().join("ledger.db").exists(), "nothing is put back that cannot be gone on with");
    let out = desk.run(["backup", "restore", "copy", "--accept-rollback", "the disk broke"]).ok();
    assert_eq!(out, "6 events are back\n");
    let said = desk.run(["log", "--type", "ledger.restored", "--json"]).ok();
    assert!(said.contains("the disk broke") && said.contains("\"size_before\":\"7\""), "{said}");
    desk.run(["verify"]).ok();
    desk.record(2).ok();
    assert_ne!(desk.run(["log", "--json"]).ok(), before);

    // On another machine, which knows nothing newer.
    let other = Desk::new();
    let copy = desk.path().join("copy");
    let from = copy.to_str().unwrap();
    assert_eq!(other.run(["backup", "restore", from]).ok(), "5 events are back\n");
    other.run(["verify"]).ok();
    assert_eq!(other.run(["key", "show"]).ok(), desk.run(["key", "show"]).ok());
    let err = other.run(["backup", "restore", from]).fails(1);
    assert!(err.contains("ledger.db exists"), "{err}");
    let err = Desk::new().run(["backup", "restore", "nowhere"]).fails(1);
    assert!(err.contains("nowhere"), "{err}");
}

#[test]
fn one_process_has_a_ledger_and_the_others_are_told_which() {
    let desk = told();
    let server = desk.serve(&[]);
    let payload = r#"{"tag":"v","before":"4b825dc642cb6eb9a060e54bf8d69288fbee4904"}"#;
    let repo = crate::support::repo::Repo::new();
    for args in [
        &["serve", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"][..],
        &["record", "tag.deleted", "--stream", "repo/a/b", "--payload", payload],
        &["import", "git", &repo.location()],
    ] {
        let err = desk.run(args).fails(3);
        assert!(err.contains(&format!("process {} (plimsoll serve)", server.child.id())), "{err}");
    }
    let err = desk.run(["record", "tag.deleted", "--stream", "repo/a/b", "--payload", payload]).fails(3);
    assert!(err.contains("--server"), "{err}");
    // Reading, verifying and copying go on.
    desk.run(["log"]).ok();
    desk.run(["verify"]).ok();
    desk.run(["backup", "copy"]).ok();
    desk.run(["export", "--tiles", "site"]).ok();
    let taken = format!("127.0.0.1:{}", server.http.port());
    let other = Desk::with_ledger();
    let err = other.run(["serve", "--grpc", &taken, "--http", "127.0.0.1:0"]).fails(3);
    assert!(err.contains(&taken), "{err}");
    let err = other.run(["serve", "--grpc", "0.0.0.0:0", "--http", "127.0.0.1:0"]).fails(1);
    assert!(err.contains("loopback"), "{err}");
}

#[test]
fn settings_come_from_flags_then_the_environment_then_the_file() {
    let desk = Desk::new();
    for name in ["flag", "env", "file"] {
        desk.run(["init", "--data", name, "--origin", &format!("x.example/{name}")]).ok();
    }
    std::fs::write(desk.path().join("c.toml"), "data = \"file\"\n").unwrap();
    let key = |args: &[&str], env: &[(&str, &str)]| {
        let mut run = crate::support::program::plimsoll(desk.path(), ["key", "show"].iter().chain(args));
        run.envs(env.iter().copied());
        let out = crate::support::program::Ran::from(run.output().unwrap()).ok();
        out.split('+').next().unwrap().to_owned()
    };
    let config = ("PLIMSOLL_CONFIG", "c.toml");
    assert_eq!(key(&["--config", "c.toml"], &[]), "x.example/file");
    assert_eq!(key(&[], &[config]), "x.example/file");
    assert_eq!(key(&[], &[config, ("PLIMSOLL_DATA", "env")]), "x.example/env");
    assert_eq!(key(&["--data", "flag"], &[config, ("PLIMSOLL_DATA", "env")]), "x.example/flag");
    std::fs::write(desk.path().join("bad.toml"), "dtaa = \"x\"\n").unwrap();
    let err = desk.run(["--config", "bad.toml", "log"]).fails(2);
    assert!(err.contains("dtaa") && err.contains("bad.toml"), "{err}");
}

#[test]
fn a_negative_answer_stays_one_when_nobody_reads_it() {
    let desk = told();
    let receipt = desk.run(["receipt", "1"]).ok();
    let forged = receipt.replace("index 1\n", "index 0\n");
    std::fs::write(desk.path().join("forged.tlog-proof"), &forged).unwrap();
    std::fs::write(desk.path().join("good.tlog-proof"), &receipt).unwrap();
    for (file, code) in [("forged.tlog-proof", 1), ("good.tlog-proof", 0)] {
        let mut verify = crate::support::program::plimsoll(desk.path(), ["verify", file]);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        assert_eq!(verify.stdout(writer).status().unwrap().code(), Some(code), "{file}");
    }
    std::fs::write(desk.path().join("old"), "garbage").unwrap();
    assert!(desk.run(["verify", "good.tlog-proof", "--old", "old"]).fails(2).contains("--old"));
    desk.run(["serve", "--heads-events", "0"]).fails(2);
}

#[test]
fn a_write_ahead_log_that_was_left_behind_is_not_taken_for_that_of_a_restored_database() {
    let desk = told();
    desk.run(["backup", "copy"]).ok();
    std::fs::remove_file(desk.data().join("ledger.db")).unwrap();
    std::fs::write(desk.data().join("ledger.db-wal"), "what a crash left").unwrap();
    // `backup` itself was recorded after the copy was made.
    let restore = ["backup", "restore", "copy", "--accept-rollback", "a test"];
    let err = desk.run(restore).fails(1);
    assert!(err.contains("ledger.db-wal"), "{err}");
    std::fs::remove_file(desk.data().join("ledger.db-wal")).unwrap();
    // What a restore that was interrupted left.
    let unfinished = ["ledger.db.restoring", "ledger.db.restoring-wal"].map(|name| desk.data().join(name));
    unfinished.iter().for_each(|file| std::fs::write(file, "the beginning").unwrap());
    desk.run(restore).ok();
    assert!(unfinished.iter().all(|file| !file.exists()));
    desk.run(["verify"]).ok();
}
