//! What is said outside of answers: help, completions, colours, logs.

use super::told;
use crate::support::program::Desk;

const COMMANDS: [&str; 12] =
    ["init", "serve", "import", "record", "log", "show", "receipt", "verify", "export", "key", "backup", "completions"];

#[test]
fn help_names_every_command_and_goes_to_standard_output() {
    let desk = Desk::new();
    let help = desk.run(["--help"]).ok();
    for name in COMMANDS {
        assert!(help.lines().any(|line| line.trim_start().starts_with(&format!("{name} "))), "{name}: {help}");
        assert!(!desk.run([name, "--help"]).ok().is_empty());
    }
    assert!(desk.run(["--version"]).ok().starts_with("plimsoll "));
    let err = desk.run::<&str>([]).fails(2);
    assert!(err.contains("Usage"), "{err}");
}

#[test]
fn completions_are_made_for_every_shell_and_know_the_commands() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = desk.run(["completions", shell]).ok();
        for name in COMMANDS {
            assert!(script.contains(name), "{shell} does not know {name}");
        }
    }
    desk.run(["completions", "abacus"]).fails(2);
    // bash takes its script without complaint.
    std::fs::write(desk.path().join("script"), desk.run(["completions", "bash"]).ok()).unwrap();
    let run = crate::support::program::command("bash").arg("-n").arg(desk.path().join("script")).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}

#[test]
fn nothing_is_coloured_where_nobody_looks() {
    let desk = told();
    for args in
        [&["log"][..], &["show", "1"], &["verify"], &["--help"], &["nonsense"], &["show", "99"], &["log", "--nonsense"]]
    {
        let ran = desk.run(args);
        assert!(!ran.out.contains('\u{1b}') && !ran.err.contains('\u{1b}'), "{args:?}: {ran:?}");
    }
    let server = desk.serve(&[]);
    let (code, err) = server.terminate();
    assert_eq!(code, Some(0));
    assert!(!err.contains('\u{1b}') && err.contains("access control is off"), "{err}");
}

#[test]
fn commands_that_succeed_say_nothing_on_standard_error() {
    let desk = told();
    for args in [
        &["log"][..],
        &["show", "1"],
        &["receipt", "1"],
        &["verify"],
        &["key", "show"],
        &["export", "--tiles", "site"],
        &["verify", "site"],
        &["backup", "copy"],
    ] {
        let ran = desk.run(args);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}");
    }
}

#[test]
fn every_reading_command_speaks_json() {
    let desk = told();
    desk.run(["receipt", "1", "-o", "r"]).ok();
    for args in [
        &["show", "1"][..],
        &["receipt", "1"],
        &["verify"],
        &["verify", "r"],
        &["key", "show"],
        &["export", "--tiles", "site"],
        &["backup", "copy"],
    ] {
        let out = desk.run(args.iter().chain(&["--json"])).ok();
        assert_eq!(out.lines().count(), 1, "{args:?}: {out}");
        serde_json::from_str::<serde_json::Value>(&out).unwrap();
    }
}
