//! A start of the real program, and its memory while it serves.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Deserialize;
use tokio_stream::StreamExt as _;

use super::Result;
use super::report::Started;
use super::rig::{Site, channel};
use crate::api::proto::v1 as pb;
use crate::api::proto::v1::environment_service_client::EnvironmentServiceClient;
use crate::api::proto::v1::ledger_service_client::LedgerServiceClient;
use crate::api::proto::v1::metrics_service_client::MetricsServiceClient;

/// Look-ups before memory is measured.
const GETS: u64 = 1_000;

/// What the program prints when it is ready.
#[derive(Deserialize)]
struct Ready {
    grpc: std::net::SocketAddr,
    http: std::net::SocketAddr,
}

/// A process that is killed when this is dropped.
struct Running(Child);

impl Running {
    /// A figure of its memory as the system keeps it. MB.
    fn memory_mb(&self, key: &str) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kilobytes.map(|kilobytes| kilobytes * 1024.0 / 1e6).with_context(|| format!("no {key}"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = self.0.kill().and_then(|()| self.0.wait().map(drop)) {
            tracing::warn!(%error, "cannot end the server");
        }
    }
}

/// This very program.
#[expect(clippy::disallowed_methods, reason = "a start is measured on a process of its own")]
pub(super) fn program() -> Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
    // What is measured is invented, and goes nowhere else than where the bench says.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PLIMSOLL_") {
            command.env_remove(name);
        }
    }
    Ok(command)
}

fn start(data: &Path) -> Result<(Running, Ready, f64)> {
    let began = Instant::now();
    let mut command = program()?;
    command.args(["serve", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data"]).arg(data);
    let mut running = Running(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?);
    let stdout = running.0.stdout.take().context("the server has no output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let ready_ms = began.elapsed().as_secs_f64() * 1e3;
    let ready: Ready = serde_json::from_str(&line).context("the server did not start")?;
    Ok((running, ready, ready_ms))
}

pub(super) async fn measure(site: &Site) -> Result<Started> {
    let mut times = Vec::new();
    for _ in 0..4 {
        times.push(start(site.data.root())?.2);
    }
    let (running, ready, ready_ms) = start(site.data.root())?;
    times.push(ready_ms);
    times.sort_by(f64::total_cmp);
    read(ready.grpc).await?;
    let ready_ms = times.get(times.len() / 2).copied().unwrap_or(f64::NAN);
    let (resident_mb, peak_mb) = (running.memory_mb("VmRSS:")?, running.memory_mb("VmHWM:")?);
    Ok(Started { ready_ms, resident_mb, peak_mb })
}

/// Has a server of its own take in a document. Returns the most memory that it ever had. MB.
pub(super) async fn hand_in(data: &Path, file: &Path, path: &str) -> Result<f64> {
    let (running, ready, _) = start(data)?;
    let request = super::http::post(path, &[], &std::fs::read(file)?);
    let (status, body) = super::http::Connection::open(ready.http).await?.call(&request).await?;
    anyhow::ensure!(status == 200, "the answer is {status}: {}", String::from_utf8_lossy(&body));
    running.memory_mb("VmHWM:")
}

/// Reads the whole log once, and then some events.
async fn read(address: std::net::SocketAddr) -> Result<()> {
    let mut client = LedgerServiceClient::new(channel(address).await?).max_decoding_message_size(64 << 20);
    let mut pages = client.read_all(pb::ReadAllRequest::default()).await?.into_inner();
    let mut size = 0;
    while let Some(page) = pages.next().await.transpose()? {
        size = page.next_position;
    }
    for n in 0..GETS {
        let key = Some(pb::get_event_request::Key::Position(n.wrapping_mul(2_654_435_761) % size.max(1)));
        client.get_event(pb::GetEventRequest { key, view: None }).await?;
    }
    Ok(())
}

/// Runs this program to its end. Returns how long that took, and the most memory that it had. MB.
pub(super) fn run_to_end(args: &[&str], data: &Path) -> Result<(Duration, f64)> {
    let began = Instant::now();
    let mut command = program()?;
    command.args(args).arg(data).stdout(Stdio::null()).stderr(Stdio::null());
    let mut running = Running(command.spawn()?);
    let mut peak_mb = 0.0;
    loop {
        if let Some(status) = running.0.try_wait()? {
            anyhow::ensure!(status.success(), "{args:?} ended with {status}");
            return Ok((began.elapsed(), peak_mb));
        }
        // What it had is not to be read any more once it has ended.
        peak_mb = running.memory_mb("VmHWM:").map_or(peak_mb, |now: f64| now.max(peak_mb));
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Memory of a server that has answered some questions. MB.
pub(super) async fn serving(data: &Path) -> Result<f64> {
    let (running, ready, _) = start(data)?;
    let mut environments =
        EnvironmentServiceClient::new(channel(ready.grpc).await?).max_decoding_message_size(64 << 20);
    let request = pb::GetStateRequest { environment: "production".to_owned(), ..pb::GetStateRequest::default() };
    let mut metrics = MetricsServiceClient::new(channel(ready.grpc).await?).max_decoding_message_size(64 << 20);
    for _ in 0..20 {
        environments.get_state(request.clone()).await?;
        metrics.get_dora(pb::GetDoraRequest::default()).await?;
        super::http::Connection::open(ready.http).await?.call(b"GET /metrics HTTP/1.1\r\nhost: bench\r\n\r\n").await?;
    }
    running.memory_mb("VmHWM:")
}
