//! How a real API server answers, row by row: the contract that the stand-in is held to.
//!
//! Each row runs against the stand-in, and against the server that `KUBECONFIG` names as well, in a namespace of its
//! own that it takes away again. What needs power over the server (a restart, an old etcd) runs against the stand-in
//! alone, and says so.

mod lists;
mod requests;
mod watcher;
mod watches;
mod writes;

use std::io::Write as _;
use std::sync::Once;
use std::time::Duration;

use futures::FutureExt as _;
use http::{HeaderMap, Request, Version};
use http_body_util::BodyExt as _;
use kube::api::{Api, DynamicObject, PostParams};
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::argocd::{application, applications};
use super::server::{ApiServer, Options};

/// Long enough for anything here to happen on a busy machine; nothing waits for it in the good case.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// A server second of the stand-in, so that what takes a server seconds takes a test none.
const SECOND: Duration = Duration::from_millis(25);

/// Says something that the test harness does not swallow.
fn aloud(text: &str) {
    writeln!(std::io::stderr(), "{text}").unwrap();
}

/// A server, and a namespace of it that is the test's own.
pub struct Place {
    pub config: kube::Config,
    /// Does not try again by itself.
    pub client: kube::Client,
    pub namespace: String,
    pub stand_in: Option<ApiServer>,
}

/// An answer, whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

/// What a watch does next.
#[derive(Debug, PartialEq)]
pub enum Told {
    Event(Value),
    /// It ended as it should.
    End,
    /// It broke off.
    Broken,
}

/// An open watch.
pub struct Open {
    pub version: Version,
    pub headers: HeaderMap,
    body: Body,
    read: Vec<u8>,
}

impl Open {
    pub async fn next(&mut self) -> Told {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return Told::Event(serde_json::from_slice(&line).expect("one JSON object a line"));
            }
            match tokio::time::timeout(PATIENCE, self.body.frame()).await.expect("the watch says nothing") {
                None => {
                    assert!(self.read.is_empty(), "a line without an end");
                    return Told::End;
                }
                Some(Err(_)) => return Told::Broken,
                Some(Ok(frame)) => self.read.extend(frame.into_data().unwrap_or_default()),
            }
        }
    }

    /// The next event.
    pub async fn event(&mut self) -> Value {
        match self.next().await {
            Told::Event(event) => event,
            other => panic!("no event, but {other:?}"),
        }
    }

    /// The next event that is no bookmark: its type and object.
    pub async fn change(&mut self) -> (String, Value) {
        loop {
            let event = self.event().await;
            if event["type"] != "BOOKMARK" {
                return (event["type"].as_str().unwrap().to_owned(), event["object"].clone());
            }
        }
    }
}

impl Place {
    /// Applications of the namespace.
    pub fn applications(&self) -> Api<DynamicObject> {
        applications(&self.client, &self.namespace)
    }

    /// The path of the namespace's Applications, or of one.
    pub fn path(&self, name: &str) -> String {
        let all = format!("/apis/argoproj.io/v1alpha1/namespaces/{}/applications", self.namespace);
        if name.is_empty() { all } else { format!("{all}/{name}") }
    }

    /// An Application as it may be created here.
    pub fn application(&self, name: &str) -> Value {
        application(&self.namespace, name)
    }

    /// Makes an Application.
    pub async fn make(&self, name: &str) -> Value {
        let object = serde_json::from_value(self.application(name)).unwrap();
        let made = self.applications().create(&PostParams::default(), &object).await.unwrap();
        serde_json::to_value(made).unwrap()
    }

    pub async fn get(&self, name: &str) -> Value {
        let answer = self.send("GET", &self.path(name), "", &Value::Null).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    /// One request, no second try.
    pub async fn send(&self, method: &str, path: &str, content_type: &str, body: &Value) -> Answer {
        let body = if body.is_null() { Vec::new() } else { serde_json::to_vec(body).unwrap() };
        self.send_bytes(method, path, content_type, body).await
    }

    pub async fn send_bytes(&self, method: &str, path: &str, content_type: &str, body: Vec<u8>) -> Answer {
        let request = Request::builder().method(method).uri(path).header("user-agent", "plimsoll-suite/1.0 (test)");
        let request = if content_type.is_empty() { request } else { request.header("content-type", content_type) };
        let response = self.client.send(request.body(Body::from(body)).unwrap()).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes)));
        Answer { status, headers, body }
    }

    /// A merge patch of an Application.
    pub async fn merge(&self, name: &str, patch: Value) -> Answer {
        self.send("PATCH", &self.path(name), "application/merge-patch+json", &patch).await
    }

    /// A merge patch that must be taken. Gives the object.
    pub async fn merged(&self, name: &str, patch: Value) -> Value {
        let answer = self.merge(name, patch).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    /// Opens a watch of the namespace's Applications; the query is what comes after `watch=true`.
    pub async fn watch(&self, query: &str) -> Result<Open, Answer> {
        watch(&self.client, &format!("{}?watch=true&{query}", self.path(""))).await
    }

    async fn clean(&self) {
        let list = self.send("GET", &self.path(""), "", &Value::Null).await;
        for item in list.body["items"].as_array().into_iter().flatten() {
            let name = item["metadata"]["name"].as_str().unwrap();
            self.merge(name, json!({"metadata": {"finalizers": null}})).await;
        }
        let namespace = format!("/api/v1/namespaces/{}", self.namespace);
        for kind in [
            "apis/apps/v1 deployments",
            "apis/argoproj.io/v1alpha1 applications",
            "apis/argoproj.io/v1alpha1 appprojects",
            "api/v1 configmaps",
        ] {
            let (version, plural) = kind.split_once(' ').unwrap();
            let path = format!("/{version}/namespaces/{}/{plural}", self.namespace);
            self.send("DELETE", &path, "", &Value::Null).await;
        }
        self.send("DELETE", &namespace, "", &Value::Null).await;
        // A server without controllers does not finish by itself.
        let mut left = self.send("GET", &namespace, "", &Value::Null).await;
        if left.status == 200 {
            left.body["spec"]["finalizers"] = json!([]);
            self.send("PUT", &format!("{namespace}/finalize"), "application/json", &left.body).await;
        }
    }
}

/// Opens a watch through a client.
pub async fn watch(client: &kube::Client, path: &str) -> Result<Open, Answer> {
    let response = client.send(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    let (version, headers) = (response.version(), response.headers().clone());
    let status = response.status().as_u16();
    let body = response.into_body();
    if status == 200 {
        return Ok(Open { version, headers, body, read: Vec::new() });
    }
    let bytes = body.collect().await.unwrap().to_bytes();
    Err(Answer { status, headers, body: serde_json::from_slice(&bytes).unwrap() })
}

/// The server that `KUBECONFIG` names.
#[expect(clippy::disallowed_methods, reason = "tests are configured by the environment")]
async fn named() -> Option<kube::Config> {
    let path = std::env::var("KUBECONFIG").ok().filter(|path| !path.is_empty())?;
    let kubeconfig = Kubeconfig::read_from(&path).unwrap_or_else(|error| panic!("KUBECONFIG={path}: {error}"));
    Some(kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap())
}

async fn place(mut config: kube::Config, stand_in: Option<ApiServer>, row: &str) -> Place {
    config.default_retry = false;
    let client = kube::Client::try_from(config.clone()).unwrap();
    let mut chance = [0; 4];
    getrandom::fill(&mut chance).unwrap();
    let namespace = format!("plimsoll-{row}-{}", hex::encode(chance));
    let place = Place { config, client, namespace, stand_in };
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place.namespace}});
    let answer = place.send("POST", "/api/v1/namespaces", "application/json", &object).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    place
}

async fn stand_in(options: Options, row: &str) -> Place {
    let api = ApiServer::start_with(options).await;
    let config = kube::Config::from_custom_kubeconfig(api.kubeconfig(), &KubeConfigOptions::default()).await.unwrap();
    place(config, Some(api), row).await
}

fn options() -> Options {
    Options { second: SECOND, ..Options::default() }
}

async fn tried(place: Place, row: impl AsyncFn(&Place)) {
    let outcome = std::panic::AssertUnwindSafe(row(&place)).catch_unwind().await;
    place.clean().await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

/// Holds a row to the stand-in, and to the server that `KUBECONFIG` names.
pub async fn everywhere(name: &str, row: impl AsyncFn(&Place)) {
    static SAID: Once = Once::new();
    tried(stand_in(options(), name).await, &row).await;
    match named().await {
        None => SAID.call_once(|| {
            aloud("kubernetes conformance: only the stand-in was tried; KUBECONFIG names no server");
        }),
        Some(config) => {
            let client = kube::Client::try_from(config.clone()).unwrap();
            let version = client.apiserver_version().await.expect("the server that KUBECONFIG names answers");
            SAID.call_once(|| aloud(&format!("kubernetes conformance: the stand-in and {}", version.git_version)));
            definitions(&client).await;
            tried(place(config, None, name).await, &row).await;
        }
    }
}

/// Holds a row to the stand-in alone.
pub async fn stand_in_only(name: &str, why: &str, options: Options, row: impl AsyncFn(&Place)) {
    if named().await.is_some() {
        aloud(&format!("kubernetes conformance: {name} was tried on the stand-in only: {why}"));
    }
    tried(stand_in(options, name).await, row).await;
}

/// Sees to it that a real server knows Applications: from the definitions in the directory `PLIMSOLL_CRDS`, if it does
/// not.
#[expect(clippy::disallowed_methods, reason = "tests are configured by the environment")]
async fn definitions(client: &kube::Client) {
    static MADE: OnceCell<()> = OnceCell::const_new();
    let there = async || {
        let answer =
            client.send(Request::get("/apis/argoproj.io/v1alpha1").body(Body::empty()).unwrap()).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8_lossy(&body).contains("\"applications\"")
    };
    MADE.get_or_init(async || {
        if there().await {
            return;
        }
        let directory = std::env::var("PLIMSOLL_CRDS").expect(
            "the server knows no Applications: install Argo CD's definitions, or name their directory in PLIMSOLL_CRDS",
        );
        for entry in std::fs::read_dir(directory).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            let definition: Value = serde_saphyr::from_str(&text).unwrap();
            let request = Request::post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
                .header("content-type", "application/json")
                .body(Body::from(serde_json::to_vec(&definition).unwrap()));
            let response = client.send(request.unwrap()).await.unwrap();
            assert!(response.status().is_success(), "{} {definition}", response.status());
        }
        tokio::time::timeout(PATIENCE, async {
            while !there().await {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
        .await
        .expect("the definitions are served");
    })
    .await;
}

/// An object's revision.
pub fn revision(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

/// That an answer is a refusal with this status and reason. Gives its message.
pub fn refused(answer: &Answer, status: u16, reason: &str) -> String {
    assert_eq!((answer.status, answer.body["reason"].as_str()), (status, Some(reason)), "{answer:?}");
    assert_eq!((&answer.body["kind"], &answer.body["status"]), (&json!("Status"), &json!("Failure")));
    assert_eq!(answer.body["code"], status);
    answer.body["message"].as_str().unwrap().to_owned()
}
