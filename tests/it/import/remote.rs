//! Repositories that are elsewhere: over HTTP and over SSH, with real servers on this machine.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use super::{commits, events, import, of_type};
use crate::support::program::{Desk, Ran, command, path, plimsoll};
use crate::support::repo::{Repo, git, run};

/// What the little web server serves, and to whom.
#[derive(Clone)]
struct Web {
    root: PathBuf,
    /// `user:password` in base64, where one is needed.
    password: Option<&'static str>,
}

/// git's own CGI program behind a web server, as the git handbook sets it up.
async fn backend(State(web): State<Web>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let header =
        move |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    if web.password.is_some_and(|password| header("authorization") != format!("Basic {password}")) {
        return (StatusCode::UNAUTHORIZED, [("www-authenticate", "Basic realm=\"git\"")], "").into_response();
    }
    if uri.path().starts_with("/busy") {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let answer = tokio::task::spawn_blocking(move || {
        let mut cgi = git(&web.root);
        cgi.arg("http-backend").env("GIT_PROJECT_ROOT", &web.root).env("GIT_HTTP_EXPORT_ALL", "1");
        cgi.env("REQUEST_METHOD", method.as_str()).env("PATH_INFO", uri.path());
        cgi.env("QUERY_STRING", uri.query().unwrap_or_default()).env("REMOTE_ADDR", "127.0.0.1");
        cgi.env("CONTENT_TYPE", header("content-type")).env("CONTENT_LENGTH", body.len().to_string());
        cgi.env("HTTP_CONTENT_ENCODING", header("content-encoding"));
        let mut child = cgi.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), &body).unwrap();
        child.wait_with_output().unwrap().stdout
    });
    let answer = answer.await.unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let mut response = Response::builder();
    for line in std::str::from_utf8(&answer[..end]).unwrap().lines() {
        let (name, value) = line.split_once(": ").unwrap();
        if name == "Status" {
            response = response.status(&value[..3]);
        } else {
            response = response.header(name, value);
        }
    }
    response.body(Body::from(answer[end + 4..].to_vec())).unwrap()
}

pub(super) async fn web(root: &Path, password: Option<&'static str>) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let state = Web { root: root.to_owned(), password };
    let router = axum::Router::new().fallback(backend).with_state(state);
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// Runs something that waits away from the threads that serve.
pub(super) async fn aside<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_is_fetched_over_http_and_only_what_is_new_the_next_time() {
    let repo = Repo::new();
    for n in 0..50 {
        repo.commit(&format!("change {n}"));
    }
    repo.git(["tag", "-a", "-m", "m", "v1"]);
    repo.git(["branch", "feature"]);
    let address = web(repo.dir.path(), None).await;
    aside(move || {
        let desk = Desk::with_ledger();
        let url = format!("http://{address}/app/.git");
        let done = import(&desk, &url, &["--repository-name", "example.com/app"]);
        assert_eq!((&done["commits"], &done["events"]), (&50.into(), &53.into()));
        assert_eq!(import(&desk, &url, &["--repository-name", "example.com/app"])["events"], 0);
        let old = repo.git(["rev-parse", "HEAD"]);
        repo.git(["reset", "-q", "--hard", "HEAD~3"]);
        let new = repo.commit("forced");
        repo.git(["branch", "-D", "feature"]);
        repo.git(["tag", "-d", "v1"]);
        let done = import(&desk, &url, &["--repository-name", "example.com/app"]);
        assert_eq!((&done["commits"], &done["events"]), (&1.into(), &4.into()), "commit, main, feature gone, tag gone");
        let moved = of_type(&desk, "branch.updated");
        let moved = moved.iter().find(|event| event["data"]["after"] == new.as_str()).unwrap();
        assert_eq!((&moved["data"]["forced"], &moved["data"]["before"]), (&true.into(), &old.into()));
        assert_eq!(of_type(&desk, "tag.deleted").len(), 1);

        // A cache that was left half made is made whole, and its loss is no loss.
        let cache = std::fs::read_dir(desk.data().join("git")).unwrap().next().unwrap().unwrap().path();
        std::fs::remove_file(cache.join("HEAD")).unwrap();
        assert_eq!(import(&desk, &url, &["--repository-name", "example.com/app"])["events"], 0);
        std::fs::remove_dir_all(cache).unwrap();
        assert_eq!(import(&desk, &url, &["--repository-name", "example.com/app"])["events"], 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_opens_a_repository_and_is_told_to_nobody() {
    let repo = Repo::new();
    repo.commit("secret");
    // `jane:opensesame`
    let address = web(repo.dir.path(), Some("amFuZTpvcGVuc2VzYW1l")).await;
    aside(move || {
        let desk = Desk::with_ledger();
        let err = desk.run(["import", "git", &format!("http://{address}/app/.git")]).fails(1);
        assert!(err.contains(&address.to_string()), "{err}");
        let err = desk.run(["import", "git", &format!("http://jane:wrongword@{address}/app/.git")]).fails(1);
        assert!(!err.contains("wrongword"), "{err}");
        assert_eq!(events(&desk).len(), 1);

        let url = format!("http://jane:opensesame@{address}/app/.git");
        let done = import(&desk, &url, &[]);
        assert_eq!(done["commits"], 1);
        assert!(!events(&desk).iter().any(|event| event.to_string().contains("opensesame")));
        for file in walk(&desk.data()) {
            let content = std::fs::read(&file).unwrap();
            assert!(!content.windows(10).any(|window| window == b"opensesame"), "{}", file.display());
        }

        // Or git's own helper has it, as for git itself.
        let other = Desk::with_ledger();
        let helper = "[credential]\n\thelper = \"!f() { echo username=jane; echo password=opensesame; }; f\"\n";
        std::fs::write(other.path().join(".gitconfig"), helper).unwrap();
        assert_eq!(import(&other, &format!("http://{address}/app/.git"), &[])["commits"], 1);
    })
    .await;
}

fn walk(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(walk(&path)) } else { files.push(path) }
    }
    files
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_remote_that_cannot_be_reached_is_told_apart_from_one_that_says_no() {
    let repo = Repo::new();
    let address = web(repo.dir.path(), None).await;
    aside(move || {
        let desk = Desk::with_ledger();
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        for url in [
            format!("http://{nobody}/app.git"),
            format!("ssh://git@{nobody}/app.git"),
            format!("git://{nobody}/app.git"),
            "https://no.such.host.invalid/app.git".to_owned(),
            format!("http://{address}/busy.git"),
        ] {
            let err = desk.run(["import", "git", &url]).fails(3);
            assert!(err.contains("cannot fetch") && !err.contains("panicked"), "{url}: {err}");
        }
        let err = desk.run(["import", "git", &format!("http://{address}/nothing.git")]).fails(1);
        assert!(err.contains("nothing.git"), "{err}");
        let server = desk.serve(&[]);
        let url = server.url();
        drop(server);
        desk.run(["import", "git", &repo.location(), "--server", &url]).fails(3);
    })
    .await;
}

/// An SSH server for one user with one key, and the files that belong to it.
struct Ssh {
    dir: tempfile::TempDir,
    address: SocketAddr,
    host_key: String,
}

impl Ssh {
    /// Every connection gets an `sshd` of its own, as from inetd: so the port is whichever is free.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let file = |name: &str| dir.path().join(name);
        for name in ["host", "client", "stranger"] {
            run(command("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(file(name)));
        }
        std::fs::copy(file("client.pub"), file("authorized")).unwrap();
        let config = format!(
            "HostKey {0}/host\nAuthorizedKeysFile {0}/authorized\nPidFile none\nStrictModes no\nUsePAM no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nPermitUserRC no\n\
             SetEnv GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0=*\n",
            dir.path().display()
        );
        std::fs::write(file("config"), config).unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let found =
            run(command("sh").env("PATH", path()).args(["-c", "command -v sshd && mkdir -p /run/sshd || true"]));
        let program = String::from_utf8(found).unwrap().trim().to_owned();
        assert!(!program.is_empty(), "sshd is missing: Debian package openssh-server");
        let config = file("config");
        std::thread::Builder::new()
            .spawn(move || {
                for connection in listener.incoming() {
                    let Ok(input) = connection else { return };
                    let output = input.try_clone().unwrap();
                    let mut sshd = command(&program);
                    sshd.arg("-i").arg("-e").arg("-f").arg(&config);
                    sshd.stdin(OwnedFd::from(input)).stdout(OwnedFd::from(output)).stderr(Stdio::null());
                    let mut child = sshd.spawn().unwrap();
                    drop(sshd);
                    std::thread::Builder::new().spawn(move || child.wait().is_ok()).unwrap();
                }
            })
            .unwrap();
        let host_key = std::fs::read_to_string(file("host.pub")).unwrap();
        Self { dir, address, host_key }
    }

    fn key(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    /// Makes the host known to a desk, by the key given.
    fn known_to(&self, desk: &Desk, key: &str) {
        let key: Vec<&str> = key.split(' ').take(2).collect();
        let line = format!("[127.0.0.1]:{} {}\n", self.address.port(), key.join(" "));
        std::fs::create_dir_all(desk.path().join(".ssh")).unwrap();
        std::fs::write(desk.path().join(".ssh/known_hosts"), line).unwrap();
    }
}

#[test]
fn a_repository_is_fetched_over_ssh_only_from_a_host_that_is_known() {
    let ssh = Ssh::new();
    let repo = Repo::new();
    repo.commit("one");
    repo.commit("two");
    repo.git(["tag", "v1"]);
    let user = String::from_utf8(run(command("id").arg("-un"))).unwrap();
    let url = format!("ssh://{}@{}{}", user.trim(), ssh.address, repo.location());
    let desk = Desk::with_ledger();
    let with_key = |name: &str| desk.run(["import", "git", &url, "--json", "--ssh-key", &ssh.key(name)]);

    // Nobody vouched for this host; then somebody vouched for another one.
    let refused = |ran: Ran| {
        let err = ran.fails(1);
        assert!(err.contains("host key") && err.contains("known_hosts"), "{err}");
    };
    refused(with_key("client"));
    ssh.known_to(&desk, &std::fs::read_to_string(ssh.key("stranger.pub")).unwrap());
    refused(with_key("client"));
    assert_eq!(events(&desk).len(), 1);

    ssh.known_to(&desk, &ssh.host_key);
    let err = with_key("stranger").fails(1);
    assert!(err.contains("cannot fetch"), "{err}");
    let err = desk.run(["import", "git", &url]).fails(1);
    assert!(err.contains("cannot fetch"), "{err}");
    with_key("no-such-file").fails(1);

    let done = with_key("client").json();
    assert_eq!((&done["commits"], &done["events"]), (&2.into(), &4.into()));
    assert_eq!(commits(&desk).len(), 2);
    assert_eq!(with_key("client").json()["events"], 0);

    // The same with an agent, which needs no flag.
    let agent = Agent::new(&ssh.dir.path().join("agent"), &ssh.key("client"));
    let other = Desk::with_ledger();
    ssh.known_to(&other, &ssh.host_key);
    let mut import = plimsoll(other.path(), ["import", "git", &url, "--json"]);
    let done = Ran::from(import.env("SSH_AUTH_SOCK", &agent.socket).output().unwrap()).json();
    assert_eq!(done["commits"], 2);
}

/// An agent with one key.
struct Agent {
    child: std::process::Child,
    socket: PathBuf,
}

impl Agent {
    fn new(socket: &Path, key: &str) -> Self {
        let mut agent: Command = command("ssh-agent");
        let child = agent.arg("-D").arg("-a").arg(socket).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let agent = Self { child, socket: socket.to_owned() };
        let started = std::time::Instant::now();
        while !agent.socket.exists() {
            assert!(started.elapsed().as_secs() < 30, "the agent does not start");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        run(command("ssh-add").arg("-q").arg(key).env("SSH_AUTH_SOCK", &agent.socket));
        agent
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ended_already = self.child.kill().is_err() || self.child.wait().is_err();
    }
}
