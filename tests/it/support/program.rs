//! The real program, run as a user would.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A command to start.
#[expect(clippy::disallowed_methods, reason = "the product starts no programs; its tests do")]
pub fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    Command::new(program)
}

/// The program with arguments, and nothing of ours in its environment but a home directory without settings.
pub fn plimsoll<S: AsRef<std::ffi::OsStr>>(dir: &Path, args: impl IntoIterator<Item = S>) -> Command {
    let mut run = command(env!("CARGO_BIN_EXE_plimsoll"));
    run.args(args).current_dir(dir).env_clear().env("HOME", dir).env("PATH", path());
    run.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    run
}

/// The search path of the tests themselves: git and its helpers are found by it.
#[expect(clippy::disallowed_methods, reason = "no setting of the product")]
pub fn path() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap())
}

/// What a finished command left.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ran {
    /// Standard output of a command that must have ended with 0.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    /// Standard error of a command that must have ended with `code`, and said nothing on standard output.
    #[track_caller]
    pub fn fails(self, code: i32) -> String {
        assert_eq!((self.code, self.out.as_str()), (code, ""), "{self:?}");
        assert!(!self.err.is_empty(), "it says nothing");
        self.err
    }

    /// Standard output as one JSON value.
    #[track_caller]
    pub fn json(self) -> serde_json::Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}

/// A directory to run the program in.
pub struct Desk {
    pub dir: tempfile::TempDir,
}

impl Desk {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// With a new ledger in the usual place.
    pub fn with_ledger() -> Self {
        let desk = Self::new();
        desk.run(["init", "--origin", "ledger.example/test"]).ok();
        desk
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The usual data directory.
    pub fn data(&self) -> PathBuf {
        self.path().join("plimsoll-data")
    }

    /// Runs the program to its end.
    pub fn run<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ran {
        plimsoll(self.path(), args).output().unwrap().into()
    }

    /// Runs the program with something on its standard input.
    pub fn feed<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>, input: &[u8]) -> Ran {
        let mut child = plimsoll(self.path(), args).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        // A program that ends without reading all of it breaks the pipe, which is its right.
        let feeder = std::thread::Builder::new().spawn(move || stdin.write_all(&input).is_ok()).unwrap();
        let output = child.wait_with_output().unwrap();
        let _broken_pipe = feeder.join().unwrap();
        output.into()
    }

    /// Records a tag's deletion, the smallest event there is.
    pub fn record(&self, n: u64) -> Ran {
        let (tag, before, dedup) = (format!("tag=v{n}"), format!("before=\"{n:040x}\""), format!("d{n}"));
        let stream = format!("repo/example.com/{}", n % 3);
        self.run(["record", "tag.deleted", "--stream", &stream, "--dedup", &dedup, "-f", &tag, "-f", &before])
    }

    /// Serves the ledger until the server is dropped or stopped.
    pub fn serve(&self, args: &[&str]) -> Server {
        let mut run = plimsoll(self.path(), ["serve", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
        run.args(args);
        let mut child = run.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let mut server = Server { child, grpc: ([0, 0, 0, 0], 0).into(), http: ([0, 0, 0, 0], 0).into() };
        let Ok(ready) = serde_json::from_str::<serde_json::Value>(&line) else {
            let mut err = String::new();
            server.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
            panic!("the server did not get ready: {line:?} {err}");
        };
        server.grpc = ready["grpc"].as_str().unwrap().parse().unwrap();
        server.http = ready["http"].as_str().unwrap().parse().unwrap();
        server
    }
}

/// `plimsoll serve`, ready. Killed when dropped.
pub struct Server {
    pub child: Child,
    pub grpc: SocketAddr,
    pub http: SocketAddr,
}

impl Server {
    /// The URL for `--server`.
    pub fn url(&self) -> String {
        format!("http://{}", self.grpc)
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Asks it to end, waits, and returns its exit code and standard error.
    pub fn terminate(mut self) -> (Option<i32>, String) {
        self.signal("TERM");
        self.wait()
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> (Option<i32>, String) {
        let mut err = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        (self.child.wait().unwrap().code(), err)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended_already = self.child.kill().is_err() || self.child.wait().is_err();
    }
}

/// Sends a signal by name. The shell has this built in; there may be no program for it.
pub fn signal(child: &Child, name: &str) {
    let sent = command("sh").args(["-c", &format!("kill -{name} {}", child.id())]).status().unwrap();
    assert!(sent.success());
}
