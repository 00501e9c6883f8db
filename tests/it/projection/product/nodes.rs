//! Answers over gRPC: the same bytes from every node that has the same events, and the same but for positions whatever the
//! order in which those came.

use std::collections::BTreeSet;

use plimsoll::api::local;
use plimsoll::api::proto::v1 as pb;
use plimsoll::api::proto::v1::environment_service_client::EnvironmentServiceClient;
use plimsoll::app::Views;
use plimsoll::event::Draft;
use plimsoll::ledger::DataDir;
use plimsoll::projection::{all, compare};
use serde::Serialize;
use serde_json::Value;
use tonic::transport::Channel;

use super::super::history::arrivals;
use super::super::properties::check;
use super::Product;

type Client = EnvironmentServiceClient<Channel>;

/// A place for views of the product's ledger.
fn place(product: &Product, name: &str) -> DataDir {
    let dir = DataDir::new(product.dir.path().join(name));
    std::fs::create_dir_all(dir.root()).unwrap();
    dir
}

/// Answers as they go over the wire and into JSON, in the order of the questions.
#[derive(Default)]
struct Said(Vec<Value>);

impl Said {
    fn add<T: Serialize>(&mut self, answer: Result<tonic::Response<T>, tonic::Status>) -> T {
        let answer = answer.unwrap().into_inner();
        self.0.push(serde_json::to_value(&answer).unwrap());
        answer
    }

    fn bytes(&self) -> String {
        serde_json::to_string(&self.0).unwrap()
    }

    /// Without what tells where an event stands in the log.
    fn without_positions(&self) -> String {
        fn walk(value: &mut Value) {
            match value {
                Value::Object(members) => {
                    for name in ["position", "closed_by", "known_at", "next_page_token", "subject"] {
                        members.remove(name);
                    }
                    members.values_mut().for_each(walk);
                }
                Value::Array(items) => items.iter_mut().for_each(walk),
                _ => {}
            }
        }
        let mut all = self.0.clone();
        all.iter_mut().for_each(walk);
        serde_json::to_string_pretty(&all).unwrap()
    }
}

/// Everything that can be asked, of the first `known_at` events.
async fn everything(client: &mut Client, drafts: &[Draft], known_at: u64) -> Said {
    let mut said = Said::default();
    let asked = Some(pb::Asked { min_position: known_at, known_at: Some(known_at) });
    let request = pb::ListTargetsRequest { asked, environment: String::new() };
    let targets = said.add(client.list_targets(request).await).targets;
    for target in &targets {
        let mut page_token = String::new();
        loop {
            let request = pb::ListDeploymentsRequest {
                asked,
                environment: target.environment.clone(),
                service: target.service.clone(),
                page_size: 3,
                page_token,
                ..Default::default()
            };
            page_token = said.add(client.list_deployments(request).await).next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
    }
    let environments: BTreeSet<&String> = targets.iter().map(|target| &target.environment).collect();
    let instants: Vec<_> = drafts.iter().step_by(5).map(|draft| draft.occurred_at.into()).collect();
    for environment in environments {
        for as_of in instants.iter().copied().map(Some).chain([None]) {
            let environment = environment.clone();
            let request = pb::GetStateRequest { asked, environment, service: String::new(), as_of };
            said.add(client.get_state(request).await);
        }
    }
    said.add(client.list_drift(pb::ListDriftRequest { asked, ..Default::default() }).await);
    said
}

/// What is answered of views of the product's ledger that begin now, or go on.
fn answers(product: &Product, dir: &DataDir, drafts: &[Draft], known_at: &[u64]) -> Vec<Said> {
    product.runtime.block_on(async {
        let views = Views::open(&product.ledger, dir, all).unwrap();
        views.wait_for(product.ledger.head().size).await.unwrap();
        let mut client = Client::new(local(views.clone()).await.unwrap());
        let mut said = Vec::new();
        for known_at in known_at {
            said.push(everything(&mut client, drafts, *known_at).await);
        }
        let mut projections = Said::default();
        projections.add(client.get_projections(pb::GetProjectionsRequest {}).await);
        said.push(projections);
        views.close().await.unwrap();
        said
    })
}

#[test]
fn two_nodes_with_the_same_events_give_the_same_bytes() {
    check(&arrivals(), 8, |(drafts, arriving)| {
        let product = Product::new();
        let (one, other) = (place(&product, "one"), place(&product, "other"));
        // One follows the log as it grows; the other comes when all is there.
        for some in arriving.chunks(9) {
            product.append(some);
            answers(&product, &one, &drafts, &[]);
        }
        let size = product.ledger.head().size;
        let known_at = [1, size / 3, size / 2, size];
        let (first, second) =
            (answers(&product, &one, &drafts, &known_at), answers(&product, &other, &drafts, &known_at));
        for (one, two) in first.iter().zip(&second) {
            assert_eq!(one.bytes(), two.bytes());
        }
        assert_eq!(compare(&one.views(), &other.views(), &all()).unwrap(), None);
    });
}

#[test]
fn the_order_of_arrival_shows_in_positions_alone() {
    check(&arrivals(), 12, |(drafts, arriving)| {
        let said = [&drafts, &arriving].map(|some| {
            let product = Product::new();
            some.chunks(9).for_each(|some| product.append(some));
            let size = product.ledger.head().size;
            answers(&product, &place(&product, "views"), &drafts, &[size])[0].without_positions()
        });
        assert_eq!(said[0], said[1]);
    });
}
