//! A very small HTTP client: one request, one connection, everything the server said.

use std::collections::HashMap;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// `GET path`. The path is sent as it is, however odd.
pub async fn get(address: SocketAddr, path: &str) -> Answer {
    request(address, "GET", path).await
}

/// `POST path` with headers and a body.
pub async fn post(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut head =
        format!("POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{head}\r\n").as_bytes()).await.unwrap();
    // The server may answer, and close, before it has read everything.
    let _cut = stream.write_all(body).await.is_err();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    parse(&answer)
}

/// `POST path` to a server that may die: the body of its answer, if it was a whole one of status 200.
pub async fn try_post(address: SocketAddr, path: &str, body: &[u8]) -> Option<Vec<u8>> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(body).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8(answer[..end].to_vec()).ok()?.to_ascii_lowercase();
    let length: usize = head.split("content-length:").nth(1)?.lines().next()?.trim().parse().ok()?;
    let body = answer.split_off(end + 4);
    (head.starts_with("http/1.1 200") && body.len() == length).then_some(body)
}

/// A request without a body.
pub async fn request(address: SocketAddr, method: &str, path: &str) -> Answer {
    request_with(address, method, path, &[]).await
}

/// A request without a body, with headers.
pub async fn request_with(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: 0\r\n");
    headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
    head.push_str("\r\n");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    parse(&answer)
}

/// Sends bytes, ends the sending half, and waits until the server ends the connection.
pub async fn throw(address: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may cut the connection at any moment, which is all that it owes.
    let _cut = stream.write_all(bytes).await.is_err() || stream.shutdown().await.is_err();
    let _cut = stream.read_to_end(&mut Vec::new()).await.is_err();
}

fn parse(answer: &[u8]) -> Answer {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = std::str::from_utf8(&answer[..end]).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let header = |line: &str| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_ascii_lowercase(), value.trim().to_owned())
    };
    let headers: HashMap<_, _> = lines.map(header).collect();
    let body = answer[end + 4..].to_vec();
    if let Some(length) = headers.get("content-length") {
        assert_eq!(length.parse(), Ok(body.len()), "an answer that was cut: {head}");
    }
    Answer { status, headers, body }
}
