//! Other people's servers, run by tests on a port that nobody else has.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use super::http::get;
use super::program::{command, path};
use super::served::within;

/// A server of the Prometheus family. Ended with the test.
pub struct Daemon {
    child: Child,
    log: PathBuf,
    pub address: SocketAddr,
}

impl Daemon {
    /// Starts one in a directory of its own, and waits until it is ready. It chooses its port itself and says in its log
    /// which it is: a port that a test looked for might be somebody else's by the time it is used.
    pub async fn start(dir: &Path, program: &str, arguments: &[String]) -> Self {
        let log = dir.join(format!("{program}.log"));
        let mut run = command(program);
        run.args(arguments).arg("--web.listen-address=127.0.0.1:0");
        run.current_dir(dir).env_clear().env("HOME", dir).env("PATH", path());
        run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(std::fs::File::create(&log).unwrap());
        let child = run.spawn().unwrap_or_else(|error| panic!("{program}: {error}: run tools/test, which installs it"));
        let mut daemon = Self { child, log, address: ([127, 0, 0, 1], 0).into() };
        daemon.address = within(program, daemon.listening()).await;
        let ready = async {
            while get(daemon.address, "/-/ready").await.status != 200 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        within(program, ready).await;
        daemon
    }

    async fn listening(&mut self) -> SocketAddr {
        loop {
            let log = self.log();
            let told = log
                .lines()
                .filter(|line| line.contains("msg=\"Listening on\""))
                .find_map(|line| line.split(' ').find_map(|word| word.strip_prefix("address="))?.parse().ok());
            if let Some(address) = told {
                return address;
            }
            assert!(self.child.try_wait().unwrap().is_none(), "it ended: {log}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What it said so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _gone = self.child.kill().is_err() || self.child.wait().is_err();
    }
}
