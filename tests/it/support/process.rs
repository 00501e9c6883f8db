//! The program itself, as a child process.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use plimsoll::api::proto::v1::ledger_service_client::LedgerServiceClient;
use tonic::transport::{Channel, Endpoint};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_plimsoll");

/// How long anything may take before a test gives up on it. Nothing waits for so long unless it is broken.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A command that sees none of the settings of whoever runs the tests.
#[expect(clippy::disallowed_methods, reason = "the product starts no programs; tests start the product")]
pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    for name in ["PLIMSOLL_DATA", "PLIMSOLL_CONFIG", "PLIMSOLL_SERVER", "PLIMSOLL_GUARD", "PLIMSOLL_ORIGIN", "RUST_LOG"]
    {
        command.env_remove(name);
    }
    command
}

/// Runs the program to its end.
pub fn plimsoll(data: &Path, arguments: &[&str]) -> Output {
    command(PROGRAM).arg("--data").arg(data).args(arguments).output().unwrap()
}

/// A running `plimsoll serve`, killed when it goes out of scope.
pub struct Server {
    child: Child,
    /// `http://127.0.0.1:PORT` of gRPC; none before it is ready.
    pub url: Option<String>,
    /// Where HTTP is; none before it is ready.
    pub http: Option<std::net::SocketAddr>,
}

impl Server {
    /// Starts it, without waiting.
    pub fn spawn(data: &Path) -> Self {
        let mut command = command(PROGRAM);
        command.arg("--data").arg(data);
        Self::spawn_with(command)
    }

    /// Starts what `command` has so far with the arguments of a server on free ports.
    pub fn spawn_with(mut command: Command) -> Self {
        command.args(["serve", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Self { child, url: None, http: None }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it says where it listens.
    pub fn ready(mut self) -> Self {
        let mut out = BufReader::new(self.child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let ended = if line.is_empty() { self.complaint() } else { String::new() };
        assert!(!line.is_empty(), "it ended: {ended}");
        let addresses: serde_json::Value = serde_json::from_str(&line).unwrap();
        self.url = Some(format!("http://{}", addresses["grpc"].as_str().unwrap()));
        self.http = Some(addresses["http"].as_str().unwrap().parse().unwrap());
        // Drained for as long as it runs: a full pipe would stop it.
        let mut complaints = self.child.stderr.take().unwrap();
        std::thread::Builder::new()
            .spawn(move || std::io::copy(&mut complaints, &mut std::io::sink()))
            .map(drop)
            .unwrap();
        self
    }

    /// What it wrote to standard error before it ended.
    pub fn complaint(&mut self) -> String {
        let mut text = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }

    pub async fn client(&self) -> LedgerServiceClient<Channel> {
        let endpoint = Endpoint::from_shared(self.url.clone().unwrap()).unwrap().tcp_nodelay(true);
        LedgerServiceClient::new(endpoint.connect().await.unwrap())
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Tells it to end, and waits.
    pub fn terminate(&mut self) -> ExitStatus {
        let told = command("sh").args(["-c", "kill $0"]).arg(self.pid().to_string()).status().unwrap();
        assert!(told.success());
        self.ended()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _gone = self.child.kill().is_err();
        let _reaped = self.child.wait().is_ok();
    }
}
