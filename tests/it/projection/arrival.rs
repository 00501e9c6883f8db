//! What the product answers about practice does not depend on the order of arrival, nor on what came in later.

use std::collections::BTreeSet;

use plimsoll::api::local;
use plimsoll::api::proto::v1 as pb;
use plimsoll::api::proto::v1::audit_service_client::AuditServiceClient;
use plimsoll::api::proto::v1::environment_service_client::EnvironmentServiceClient;
use plimsoll::app::Views;
use plimsoll::event::{Draft, Recorded, Timestamp};
use plimsoll::ledger::Ledger;
use plimsoll::projection;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::history::{BEGIN, HOUR, arrivals};
use super::properties::check;
use crate::support::House;

/// Everything that is told of practice from the first `known_at` events, or all.
async fn answers(arriving: &[Draft], batch: usize, known_at: Option<u64>, end: i64) -> Value {
    let house = House::new();
    let ledger = house.open().await;
    for some in arriving.chunks(batch) {
        ledger.append(some.to_vec()).await.unwrap();
    }
    let views = Views::open(&ledger, &house.data(), projection::all).unwrap();
    let channel = local(views.clone()).await.unwrap();
    let asked = Some(pb::Asked { min_position: ledger.head().size, known_at });
    let (mut environments, mut audit) =
        (EnvironmentServiceClient::new(channel.clone()), AuditServiceClient::new(channel));
    let targets = pb::ListTargetsRequest { asked, environment: String::new() };
    let targets = environments.list_targets(targets).await.unwrap().into_inner();
    let mut told = vec![json!(targets)];

    let exceptions = pb::ListExceptionsRequest { asked, page_size: 1000, ..pb::ListExceptionsRequest::default() };
    told.push(json!(audit.list_exceptions(exceptions).await.unwrap().into_inner()));
    let drift = pb::ListDriftRequest { asked, page_size: 1000, ..pb::ListDriftRequest::default() };
    told.push(json!(environments.list_drift(drift).await.unwrap().into_inner()));

    let names: BTreeSet<_> = targets.targets.iter().map(|target| target.environment.clone()).collect();
    for environment in &names {
        for other in &names {
            let at = |micros: i64| Some(Timestamp::from_micros(micros).unwrap().into());
            let request = pb::DiffRequest {
                asked,
                environment: environment.clone(),
                at: at(BEGIN + (end - BEGIN) / 2),
                other_environment: other.clone(),
                other_at: at(end),
                ..pb::DiffRequest::default()
            };
            told.push(json!(environments.diff(request).await.unwrap().into_inner()));
        }
    }
    let told = without_order(&ledger, Value::Array(told));
    views.close().await.unwrap();
    told
}

/// An answer without what depends on the order of arrival: events by their keys instead of positions, people by identity.
fn without_order(ledger: &Ledger, answer: Value) -> Value {
    let key = |position: &Value| {
        let leaf = ledger.leaf(position.as_u64().unwrap()).unwrap();
        json!(Recorded::parse(leaf).unwrap().envelope().dedup.to_string())
    };
    match answer {
        Value::Object(members) => {
            let kept = members.into_iter().filter(|(name, _)| !["basis", "subject"].contains(&name.as_str()));
            let replaced = kept.map(|(name, value)| {
                let value = match name.as_str() {
                    "position" | "closed_by" if value.is_number() => key(&value),
                    "evidence" if value.is_array() => {
                        let mut keys: Vec<_> = value.as_array().unwrap().iter().map(key).collect();
                        keys.sort_by_key(ToString::to_string);
                        Value::Array(keys)
                    }
                    _ => without_order(ledger, value),
                };
                (name, value)
            });
            Value::Object(replaced.collect())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(|one| without_order(ledger, one)).collect()),
        other => other,
    }
}

/// The instant after everything in a history.
fn end(drafts: &[Draft]) -> i64 {
    drafts.iter().map(|draft| draft.occurred_at.micros()).max().unwrap() + HOUR
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
fn exceptions_drift_and_differences_are_the_same_in_whatever_order_events_come() {
    let (runtime, kinds) = (runtime(), std::cell::RefCell::new(BTreeSet::new()));
    check(&arrivals(), 15, |(drafts, arriving)| {
        let one = runtime.block_on(answers(&drafts, 100, None, end(&drafts)));
        let other = runtime.block_on(answers(&arriving, 7, None, end(&drafts)));
        assert_eq!(one, other);
        let found = one[1]["exceptions"].as_array().unwrap().iter();
        kinds.borrow_mut().extend(found.map(|it| it["kind"].as_str().unwrap().to_owned()));
    });
    let kinds = kinds.into_inner();
    assert!(kinds.len() > 6, "histories have too little out of the ordinary: {kinds:?}");
}

#[test]
fn what_was_known_is_what_the_events_until_then_say() {
    let runtime = runtime();
    check(&(arrivals(), any::<prop::sample::Index>()), 15, |((_, arriving), n)| {
        let mut seen = BTreeSet::new();
        let mut first = arriving;
        first.retain(|draft| seen.insert(draft.dedup.to_string()));
        let n = 1 + n.index(first.len());
        // The ledger's own first event is known before any other.
        let known = u64::try_from(n + 1).unwrap();
        let then = runtime.block_on(answers(&first[..n], 100, None, end(&first)));
        let later = runtime.block_on(answers(&first, 7, Some(known), end(&first)));
        assert_eq!(then, later);
    });
}
