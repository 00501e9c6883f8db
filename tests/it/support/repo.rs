//! Git repositories, made by git itself.

use std::cell::Cell;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::program::{command, path};

/// When the first commit is made; each further one a minute later.
pub const FIRST: i64 = 1_700_000_000;

/// A repository and the directory that it goes with.
pub struct Repo {
    pub dir: tempfile::TempDir,
    at: Cell<i64>,
}

/// git, reading no settings but those given here.
pub fn git(dir: &Path) -> Command {
    let mut git = command("git");
    git.current_dir(dir).env_clear().env("PATH", path()).env("HOME", dir).env("GIT_CONFIG_NOSYSTEM", "1");
    git.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", "safe.directory").env("GIT_CONFIG_VALUE_0", "*");
    git.env("GIT_AUTHOR_NAME", "Jane Doe").env("GIT_AUTHOR_EMAIL", "jane@example.com");
    git.env("GIT_COMMITTER_NAME", "John Roe").env("GIT_COMMITTER_EMAIL", "john@example.com");
    git.stdin(Stdio::null());
    git
}

/// Standard output of a git command that must succeed.
#[track_caller]
pub fn run(git: &mut Command) -> Vec<u8> {
    let output = git.output().unwrap();
    assert!(output.status.success(), "{git:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

impl Repo {
    /// An empty repository with the unborn branch `main`.
    pub fn new() -> Self {
        let repo = Self { dir: tempfile::tempdir().unwrap(), at: Cell::new(FIRST) };
        run(git(repo.dir.path()).args(["init", "-q", "-b", "main", "app"]));
        repo
    }

    /// Where the repository is.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("app")
    }

    /// The same for the program's arguments.
    pub fn location(&self) -> String {
        self.path().to_str().unwrap().to_owned()
    }

    /// Runs git at the next minute and returns what it said, without the last line feed.
    #[track_caller]
    pub fn git<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> String {
        self.at.set(self.at.get() + 60);
        let date = format!("{} +0130", self.at.get());
        let mut git = git(&self.path());
        let out = run(git.args(args).env("GIT_AUTHOR_DATE", &date).env("GIT_COMMITTER_DATE", &date));
        String::from_utf8_lossy(&out).trim_end_matches('\n').to_owned()
    }

    /// An empty commit on the branch that is checked out.
    pub fn commit(&self, message: &str) -> String {
        self.git(["commit", "-q", "--allow-empty", "-m", message]);
        self.git(["rev-parse", "HEAD"])
    }

    /// Writes an object of any content, well-formed or not.
    #[track_caller]
    pub fn object(&self, kind: &str, content: &[u8]) -> String {
        let args = ["hash-object", "-t", kind, "-w", "--stdin", "--literally"];
        let mut child = git(&self.path()).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(content).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A commit object of exactly these author and committer lines, headers and message.
    pub fn raw_commit(&self, parents: &[&str], who: &[u8], headers: &[u8], message: &[u8]) -> String {
        let mut content = b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n".to_vec();
        self.object("tree", b"");
        for parent in parents {
            content.extend(format!("parent {parent}\n").bytes());
        }
        for role in [&b"author "[..], b"committer "] {
            content.extend(role.iter().chain(who).chain(b"\n"));
        }
        content.extend(headers.iter().chain(b"\n").chain(message));
        self.object("commit", &content)
    }

    /// Points a reference at an object.
    pub fn point(&self, reference: impl AsRef<std::ffi::OsStr>, oid: &str) {
        let mut git = git(&self.path());
        run(git.arg("update-ref").arg(reference).arg(oid));
    }

    /// Adds a line of `n` empty commits to `main`, quickly.
    pub fn many(&self, n: usize) {
        let mut stream = String::new();
        for i in 0..n {
            let at = FIRST + i64::try_from(i).unwrap();
            let message = format!("change {i}");
            write!(stream, "commit refs/heads/main\ncommitter Jane Doe <jane@example.com> {at} +0000\n").unwrap();
            write!(stream, "data {}\n{message}\n\n", message.len()).unwrap();
        }
        let mut git = git(&self.path());
        let mut child = git.args(["fast-import", "--quiet"]).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(stream.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }
}
