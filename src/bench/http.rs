//! A client that does nothing else than HTTP/1.1 over connections that it keeps, so that what is measured is the server.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Result;

/// Largest head of an answer.
const HEAD_MAX: usize = 8 << 10;

/// A request as it goes over the wire.
pub(super) fn post(path: &str, headers: &[(&str, &str)], body: &[u8]) -> Bytes {
    let mut request = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    let mut request = request.into_bytes();
    request.extend_from_slice(body);
    request.into()
}

/// A connection.
pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.context("cannot connect")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 64 << 10] })
    }

    /// Sends a request and waits for the whole answer. Returns its status and body.
    pub(super) async fn call(&mut self, request: &[u8]) -> Result<(u16, Vec<u8>)> {
        self.stream.write_all(request).await?;
        let mut got = Vec::new();
        let (status, length, head) = loop {
            if let Some(end) = got.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(got.get(..end).unwrap_or_default()).to_ascii_lowercase();
                let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).context("no status")?;
                let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).unwrap_or("0");
                break (status, length.trim().parse::<usize>()?, end + 4);
            }
            anyhow::ensure!(got.len() < HEAD_MAX, "the head of the answer has no end");
            self.more(&mut got).await?;
        };
        while got.len() < head + length {
            self.more(&mut got).await?;
        }
        Ok((status, got.split_off(head)))
    }

    async fn more(&mut self, got: &mut Vec<u8>) -> Result<()> {
        let n = self.stream.read(&mut self.buffer).await?;
        anyhow::ensure!(n > 0, "the connection was closed");
        got.extend_from_slice(self.buffer.get(..n).unwrap_or_default());
        Ok(())
    }
}

/// Sends requests over as many connections as are given, one after the other over each; all must be answered with 200.
/// Returns how long that took, and the connections.
pub(super) async fn spread(connections: Vec<Connection>, requests: &[Bytes]) -> Result<(Duration, Vec<Connection>)> {
    let each = requests.len().div_ceil(connections.len().max(1)).max(1);
    let mut parts = requests.chunks(each).map(<[Bytes]>::to_vec);
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for mut connection in connections {
        let own = parts.next().unwrap_or_default();
        tasks.spawn(async move {
            for request in own {
                let (status, body) = connection.call(&request).await?;
                anyhow::ensure!(status == 200, "the answer is {status}: {}", String::from_utf8_lossy(&body));
            }
            Ok(connection)
        });
    }
    let mut back = Vec::new();
    while let Some(done) = tasks.join_next().await {
        back.push(done??);
    }
    Ok((began.elapsed(), back))
}
