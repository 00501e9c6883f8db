//! Watches.

use std::time::Duration;

use http::Version;
use hyper_util::rt::{TokioExecutor, TokioIo};
use kube::client::{Body, ClientBuilder, ConfigExt as _};
use serde_json::{Value, json};
use tower::ServiceBuilder;

use super::{Place, Told, everywhere, options, refused, revision, stand_in_only, watch};
use crate::kubernetes::server::Options;

/// A client that speaks HTTP/2 over a connection of its own.
async fn http2(config: &kube::Config) -> kube::Client {
    let mut tls = config.rustls_client_config().unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let authority = config.cluster_url.authority().unwrap();
    let address = format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(443));
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let name = config.tls_server_name.clone().unwrap_or_else(|| authority.host().to_owned());
    let name = rustls::pki_types::ServerName::try_from(name).unwrap();
    let stream = tokio_rustls::TlsConnector::from(std::sync::Arc::new(tls)).connect(name, stream).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(async move {
        let _ended = connection.await.is_ok();
    });
    let send = tower::service_fn(move |request: http::Request<Body>| {
        let mut sender = sender.clone();
        async move { sender.send_request(request).await }
    });
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer().unwrap())
        .map_err(tower::BoxError::from)
        .service(send);
    ClientBuilder::new(service, "default").build()
}

#[tokio::test]
async fn a_watch_is_lines_of_json_that_end_cleanly_in_time() {
    everywhere("watch", async |place| {
        let made = place.make("web").await;
        let query = format!("resourceVersion={}&timeoutSeconds=3", revision(&made));
        let client = http2(&place.config).await;
        let patched = place.merged("web", json!({"operation": {"sync": {"revision": "a"}}})).await;
        let mut over_http2 = watch(&client, &format!("{}?watch=true&{query}", place.path(""))).await.unwrap();
        assert_eq!(over_http2.version, Version::HTTP_2);
        let mut over_http1 = place.watch(&query).await.unwrap();
        assert_eq!(over_http1.version, Version::HTTP_11);
        for events in [&mut over_http1, &mut over_http2] {
            assert_eq!(events.headers["content-type"], "application/json");
            let (word, object) = events.change().await;
            assert_eq!((word.as_str(), revision(&object)), ("MODIFIED", revision(&patched)));
            assert_eq!(events.next().await, Told::End);
        }
    })
    .await;
}

fn only_revision(bookmark: &Value) {
    let object = bookmark["object"].as_object().unwrap();
    let members: Vec<&str> = object.keys().map(String::as_str).collect();
    assert_eq!(members, ["apiVersion", "kind", "metadata"]);
    assert_eq!((&object["apiVersion"], &object["kind"]), (&json!("argoproj.io/v1alpha1"), &json!("Application")));
    revision(&bookmark["object"]);
}

#[tokio::test]
async fn a_watch_from_nothing_begins_with_what_there_is() {
    everywhere("initial", async |place| {
        place.make("a").await;
        place.make("b").await;
        let end = "k8s.io/initial-events-end";
        for query in [
            "resourceVersion=0&allowWatchBookmarks=true",
            "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true",
        ] {
            let mut events = place.watch(query).await.unwrap();
            let mut names = Vec::new();
            let bookmark = loop {
                let event = events.event().await;
                if event["type"] == "BOOKMARK" {
                    break event;
                }
                assert_eq!(event["type"], "ADDED");
                names.push(event["object"]["metadata"]["name"].as_str().unwrap().to_owned());
            };
            names.sort();
            assert_eq!(names, ["a", "b"], "{query}");
            assert_eq!(bookmark["object"]["metadata"]["annotations"][end], "true", "{query}");
            let marked = place.merged("a", json!({"operation": {"sync": {"revision": query.len().to_string()}}})).await;
            let (word, object) = events.change().await;
            assert_eq!((word.as_str(), revision(&object)), ("MODIFIED", revision(&marked)), "then what happens");
        }
        let refusal = place.watch("sendInitialEvents=true").await.err().unwrap();
        refused(&refusal, 422, "Invalid");
    })
    .await;
}

#[tokio::test]
async fn a_quiet_watch_has_bookmarks() {
    everywhere("bookmark", async |place| {
        let made = place.make("web").await;
        let query = format!("resourceVersion={}&allowWatchBookmarks=true&timeoutSeconds=6", revision(&made));
        let mut events = place.watch(&query).await.unwrap();
        let bookmark = events.event().await;
        assert_eq!(bookmark["type"], "BOOKMARK");
        only_revision(&bookmark);
        assert!(revision(&bookmark["object"]) >= revision(&made));
        loop {
            match events.next().await {
                Told::Event(event) => assert_eq!(event["type"], "BOOKMARK"),
                other => break assert_eq!(other, Told::End),
            }
        }
    })
    .await;
    stand_in_only("bookmark", "it needs to say when", options(), async |place| {
        let made = place.make("web").await;
        let query = format!("resourceVersion={}&allowWatchBookmarks=true", revision(&made));
        let mut events = place.watch(&query).await.unwrap();
        let api = place.stand_in.as_ref().unwrap();
        let map =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": place.namespace}});
        api.seed(vec![map]);
        api.bookmark_now();
        let bookmark = events.event().await;
        only_revision(&bookmark);
        assert_eq!(revision(&bookmark["object"]), api.revision(), "the store's, whatever changed");
    })
    .await;
}

/// The error that a watch begins and ends with.
async fn error(place: &Place, query: &str) -> Value {
    let mut events = place.watch(query).await.expect("the answer itself is 200");
    let event = events.event().await;
    assert_eq!(event["type"], "ERROR");
    assert_eq!(events.next().await, Told::End);
    event["object"].clone()
}

#[tokio::test]
async fn a_watch_from_too_long_ago_has_one_error_in_its_stream() {
    let expired = |status: &Value| {
        assert_eq!(
            (&status["kind"], &status["reason"], &status["code"]),
            (&json!("Status"), &json!("Expired"), &json!(410))
        );
        status["message"].as_str().unwrap().to_owned()
    };
    everywhere("too-old", async |place| {
        let message = expired(&error(place, "resourceVersion=1").await);
        assert!(message.starts_with("too old resource version: 1 ("), "{message}");
    })
    .await;
    stand_in_only("too-old", "it needs a compaction", options(), async |place| {
        let made = place.make("web").await;
        place.merged("web", json!({"operation": {"sync": {"revision": "a"}}})).await;
        place.stand_in.as_ref().unwrap().compact_now();
        expired(&error(place, &format!("resourceVersion={}&allowWatchBookmarks=true", revision(&made))).await);
    })
    .await;
}

#[tokio::test]
async fn a_watch_from_the_future_is_silent_and_one_from_no_number_fails() {
    everywhere("future", async |place| {
        let future = revision(&place.make("web").await) + 1_000_000;
        let mut events = place.watch(&format!("resourceVersion={future}&timeoutSeconds=2")).await.unwrap();
        place.merged("web", json!({"operation": {"sync": {"revision": "a"}}})).await;
        assert_eq!(events.next().await, Told::End);
        let refusal = place.watch("resourceVersion=abc").await.err().unwrap();
        assert_eq!(refusal.status, 500);
        assert!(refusal.body["message"].as_str().unwrap().contains("strconv.ParseUint"), "{refusal:?}");
    })
    .await;
}

#[tokio::test]
async fn labels_that_change_bring_objects_into_a_watch_and_out_of_it() {
    everywhere("selected", async |place| {
        let made = place.make("web").await;
        let query = format!("resourceVersion={}&labelSelector=tier%3Dweb", revision(&made));
        let mut events = place.watch(&query).await.unwrap();
        for (label, expected) in [(json!("web"), "ADDED"), (json!("db"), "DELETED"), (json!("web"), "ADDED")] {
            let changed = place.merged("web", json!({"metadata": {"labels": {"tier": label}}})).await;
            let (word, object) = events.change().await;
            assert_eq!((word.as_str(), revision(&object)), (expected, revision(&changed)));
        }
    })
    .await;
}

#[tokio::test]
async fn a_server_that_was_just_started_or_killed_shows_it() {
    stand_in_only("restart", "it needs to kill the server", options(), async |place| {
        let made = place.make("web").await;
        let api = place.stand_in.as_ref().unwrap();
        let mut events = place.watch(&format!("resourceVersion={}", revision(&made))).await.unwrap();
        api.kill().await;
        assert_eq!(events.next().await, Told::Broken, "no frame says that it is over");
        api.restart();
        let refusal = place.watch("resourceVersion=0").await.err().unwrap();
        assert_eq!(refused(&refusal, 429, "TooManyRequests"), "storage is (re)initializing");
        assert_eq!(refusal.headers["retry-after"], "1");
        let mut events = place.watch("resourceVersion=0").await.unwrap();
        assert_eq!(events.change().await.0, "ADDED");
    })
    .await;
}

#[tokio::test]
async fn an_old_etcd_cannot_serve_watches_with_bookmarks() {
    let old = Options { request_progress: false, ..options() };
    stand_in_only("old-etcd", "it needs an etcd before 3.5.13", old, async |place| {
        let made = place.make("web").await;
        let from = format!("resourceVersion={}", revision(&made));
        let status = error(place, &format!("{from}&allowWatchBookmarks=true")).await;
        assert_eq!(status["code"], 500);
        assert!(status["message"].as_str().unwrap().contains("RequestWatchProgress is disabled"));
        let mut plain = place.watch(&from).await.unwrap();
        place.merged("web", json!({"operation": {"sync": {"revision": "a"}}})).await;
        assert_eq!(plain.change().await.0, "MODIFIED");
        let list = place.send("GET", &place.path(""), "", &Value::Null).await;
        assert_eq!(list.status, 200);
    })
    .await;
}

#[tokio::test]
async fn a_watch_of_metadata_alone_has_only_metadata() {
    everywhere("metadata", async |place| {
        let made = place.make("web").await;
        let request = |path: &str| {
            http::Request::get(path)
                .header("accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json")
                .body(Vec::new())
                .unwrap()
        };
        let path = format!("{}?watch=true&resourceVersion=0&timeoutSeconds=2", place.path(""));
        let text = tokio::time::timeout(Duration::from_secs(30), place.client.request_text(request(&path))).await;
        let text = text.unwrap().unwrap();
        let event: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(event["object"]["kind"], "PartialObjectMetadata");
        assert_eq!(event["object"]["metadata"]["uid"], made["metadata"]["uid"]);
        assert!(event["object"].get("spec").is_none());
        let list: Value = place.client.request(request(&place.path(""))).await.unwrap();
        assert_eq!(list["kind"], "PartialObjectMetadataList");
        assert!(list["items"][0].get("spec").is_none());
    })
    .await;
}
