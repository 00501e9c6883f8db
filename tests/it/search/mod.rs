//! Where words stand, and that what is erased stands nowhere.

mod erased;
mod found;
mod program;

use std::sync::atomic::{AtomicU64, Ordering};

use plimsoll::api::proto::v1 as pb;
use plimsoll::api::proto::v1::provenance_service_client::ProvenanceServiceClient;
use plimsoll::event::{Draft, Subject};
use serde_json::{Value, json};

use crate::projection::history::event;
use crate::projection::story::{REPO, at, oid};
use crate::provenance::asked;
use crate::support::served::Served;

/// An event of somebody's.
pub fn by(who: &str, type_name: &str, stream: &str, hours: i64, data: &Value) -> Draft {
    static N: AtomicU64 = AtomicU64::new(0);
    let dedup = format!("by {}", N.fetch_add(1, Ordering::Relaxed));
    let mut draft = event(type_name, stream, "test", &dedup, at(hours), data);
    draft.actor = Some(Subject::identity(who));
    draft
}

/// A commit by somebody with a message.
pub fn commit(who: &str, name: &str, message: &str, hours: i64) -> Draft {
    let data = json!({"author": who, "commit": oid(name), "message": message, "parents": []});
    by(who, "commit.recorded", REPO, hours, &data)
}

/// An incident with a title.
pub fn incident(who: &str, id: &str, title: &str, hours: i64) -> Draft {
    let opened = plimsoll::event::Timestamp::from_micros(at(hours)).unwrap();
    let data = json!({"description": "It was seen by a customer", "kind": "outage", "opened_at": opened, "title": title, "vulnerability": "CVE-2026-4711"});
    by(who, "incident.opened", &format!("incident/{id}"), hours, &data)
}

/// A served ledger with those events.
pub async fn told(drafts: Vec<Draft>) -> Served {
    let served = Served::new().await;
    served.ledger.append(drafts).await.unwrap();
    served
}

pub fn question(served: &Served, query: &str) -> pb::SearchRequest {
    pb::SearchRequest { asked: asked(served, None), query: query.to_owned(), ..pb::SearchRequest::default() }
}

pub async fn ask(served: &Served, request: pb::SearchRequest) -> Result<pb::SearchResponse, tonic::Status> {
    let mut client = ProvenanceServiceClient::new(served.channel().await);
    client.search(request).await.map(tonic::Response::into_inner)
}

pub async fn search(served: &Served, query: &str) -> pb::SearchResponse {
    let asked = question(served, query);
    ask(served, asked).await.unwrap_or_else(|status| panic!("{query}: {status}"))
}

/// The texts of an answer, shortened as they are.
pub fn texts(answer: &pb::SearchResponse) -> Vec<&str> {
    answer.hits.iter().map(|hit| hit.snippet.as_str()).collect()
}

/// Names as `kind name`.
pub fn names(answer: &pb::SearchResponse) -> Vec<String> {
    answer.names.iter().map(|name| format!("{} {}", name.kind, name.name)).collect()
}
