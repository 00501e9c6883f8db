//! A real Prometheus, and how it is asked.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::support::daemon::Daemon;
use crate::support::http::get;
use crate::support::served::within;

/// Labels, the name among them.
pub type Labels = BTreeMap<String, String>;

/// A Prometheus that runs.
pub struct Prometheus(Daemon);

impl Prometheus {
    /// Starts one with its configuration and further arguments, in a directory of its own under `dir`.
    pub async fn start(dir: &Path, name: &str, configuration: &str, arguments: &[&str]) -> Self {
        let dir = dir.join(name);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("prometheus.yaml"), configuration).unwrap();
        let usual = ["--config.file=prometheus.yaml", "--storage.tsdb.path=data"];
        let arguments: Vec<String> = usual.iter().chain(arguments).map(|&argument| argument.to_owned()).collect();
        Self(Daemon::start(&dir, "prometheus", &arguments).await)
    }

    /// One that scrapes a server every second.
    pub async fn scraping(dir: &Path, name: &str, target: std::net::SocketAddr, arguments: &[&str]) -> Self {
        let configuration = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             scrape_configs: [{{job_name: plimsoll, static_configs: [{{targets: ['{target}']}}]}}]\n"
        );
        Self::start(dir, name, &configuration, arguments).await
    }

    /// What the API answers.
    pub async fn api(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let parameters: Vec<_> = parameters.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let answer = get(self.0.address, &format!("{path}?{}", parameters.join("&"))).await;
        let value: Value = serde_json::from_slice(&unchunked(&answer)).unwrap();
        assert_eq!(value["status"], "success", "{parameters:?}: {value}");
        value["data"].clone()
    }

    /// The series that an expression gives now; a native histogram as its JSON.
    pub async fn query(&self, expression: &str) -> Vec<(Labels, Value)> {
        self.query_with(&[("query", expression)]).await
    }

    /// The same at an instant, in seconds since 1970.
    pub async fn query_at(&self, expression: &str, at: i64) -> Vec<(Labels, Value)> {
        self.query_with(&[("query", expression), ("time", &at.to_string())]).await
    }

    async fn query_with(&self, parameters: &[(&str, &str)]) -> Vec<(Labels, Value)> {
        let data = self.api("/api/v1/query", parameters).await;
        if data["resultType"] == "scalar" {
            return vec![(Labels::new(), data["result"][1].clone())];
        }
        let series = |one: &Value| {
            let mut labels: Labels = serde_json::from_value(one["metric"].clone()).unwrap();
            labels.retain(|name, _| name != "job" && name != "instance");
            let value = if one["value"].is_null() { &one["histogram"][1] } else { &one["value"][1] };
            (labels, value.clone())
        };
        data["result"].as_array().unwrap().iter().map(series).collect()
    }

    /// The value of an expression that gives one series.
    pub async fn value(&self, expression: &str) -> f64 {
        let series = self.query(expression).await;
        assert_eq!(series.len(), 1, "{expression}: {series:?}");
        series[0].1.as_str().unwrap().parse().unwrap()
    }

    /// Waits until an expression gives something.
    pub async fn until(&self, expression: &str) {
        let something = async {
            while self.query(expression).await.is_empty() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        within(expression, something).await;
    }

    /// Waits until everything of a log of so many events was scraped.
    pub async fn until_scraped(&self, events: u64) {
        let folded = format!("min(plimsoll_projection_position) == {events} and max(plimsoll_log_events) == {events}");
        self.until(&folded).await;
    }
}

/// A body without the frames of `transfer-encoding: chunked`.
fn unchunked(answer: &crate::support::http::Answer) -> Vec<u8> {
    if answer.headers.get("transfer-encoding").is_none_or(|encoding| encoding != "chunked") {
        return answer.body.clone();
    }
    let (mut rest, mut body) = (&answer.body[..], Vec::new());
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 2 + size + 2..];
    }
}

/// A parameter of a URL.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}
