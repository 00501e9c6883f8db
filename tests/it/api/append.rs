//! Appending: one request, or a stream of them.

use plimsoll::api::proto::v1 as pb;
use plimsoll::ledger::Receipt;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use crate::support::served::{Served, field, reason, request, wire, within};
use crate::support::{commit_draft, draft};

const STREAM: &str = "repo/example.com/app";

fn streamed(request: pb::AppendRequest) -> pb::AppendStreamRequest {
    pb::AppendStreamRequest { request: Some(request) }
}

#[tokio::test]
async fn an_answer_has_receipts_that_verify_offline() {
    let served = Served::new().await;
    let mut client = served.client().await;
    let key = client.get_checkpoint(pb::GetCheckpointRequest::default()).await.unwrap().into_inner().verifier_key;
    let key = key.parse().unwrap();
    for first in (0..60).step_by(20) {
        let mut request = request(STREAM, first..first + 20);
        request.drafts.push(wire(&commit_draft(first, "Jane <j@example.com>", "a message")));
        request.with_receipts = true;
        let answer = client.append(request).await.unwrap().into_inner();
        assert_eq!((answer.placed.len(), answer.tree_size), (21, (first / 20 + 1) * 21 + 1));
        for (placed, n) in answer.placed.iter().zip(first..) {
            let receipt = placed.receipt.as_ref().unwrap();
            let parsed = Receipt::parse(&receipt.tlog_proof).unwrap();
            let (checkpoint, event) = parsed.verify(&key).unwrap();
            assert_eq!(checkpoint.size, answer.tree_size);
            assert_eq!(event.envelope().id.to_string(), placed.id);
            assert_eq!((event.envelope().position.0, receipt.index), (placed.position, placed.position));
            assert_eq!((&receipt.leaf, &receipt.checkpoint), (&parsed.leaf, &parsed.proof.checkpoint));
            assert_eq!(receipt.hashes.len(), parsed.proof.hashes.len());
            if n < first + 20 {
                assert_eq!(event.envelope().dedup.as_str(), format!("{STREAM}#{n}"), "in the order of the drafts");
            }
        }
    }
    served.finish().await;
}

#[tokio::test]
async fn the_same_request_again_is_acknowledged_and_not_recorded_again() {
    let served = Served::new().await;
    let mut client = served.client().await;
    let first = client.append(request(STREAM, 0..5)).await.unwrap().into_inner();
    let again = client.append(request(STREAM, 0..7)).await.unwrap().into_inner();
    let known: Vec<bool> = again.placed.iter().map(|placed| placed.duplicate).collect();
    assert_eq!(known, [true, true, true, true, true, false, false]);
    for (old, new) in first.placed.iter().zip(&again.placed) {
        assert_eq!((old.position, &old.id), (new.position, &new.id));
    }
    assert_eq!(served.finish().await.events, 8);
}

#[tokio::test]
async fn a_stream_of_requests_is_answered_in_order() {
    let served = Served::new().await;
    let mut clients = Vec::new();
    for who in 0..3 {
        let mut client = served.client().await;
        clients.push(tokio::spawn(async move {
            let stream = format!("repo/example.com/{who}");
            let name = stream.clone();
            let requests = (0..200).map(move |n| streamed(request(&name, n * 5..n * 5 + 5)));
            let answers = client.append_stream(tokio_stream::iter(requests)).await.unwrap().into_inner();
            let answers: Vec<_> = answers.map(|answer| answer.unwrap().response.unwrap()).collect().await;
            assert_eq!(answers.len(), 200);
            let positions: Vec<u64> = answers.iter().flat_map(|answer| &answer.placed).map(|at| at.position).collect();
            assert!(positions.is_sorted_by(|a, b| a < b), "{positions:?}");
            assert!(answers.iter().all(|answer| answer.placed.iter().all(|at| at.position < answer.tree_size)));
            (stream, positions)
        }));
    }
    for client in clients {
        let (stream, positions) = within("a client", client).await.unwrap();
        let recorded = served.ledger.stream(&stream, 0, 2000).unwrap();
        assert_eq!(recorded.iter().map(|entry| entry.position).collect::<Vec<_>>(), positions);
    }
    assert_eq!(served.finish().await.events, 3001);
}

#[tokio::test]
async fn a_client_that_does_not_read_answers_is_not_read_from() {
    const TOTAL: u64 = 3000;
    let served = Served::new().await;
    // A small window, so that few answers fit between the two.
    let endpoint = served.endpoint().initial_stream_window_size(65_535).initial_connection_window_size(65_535);
    let mut client = pb::ledger_service_client::LedgerServiceClient::new(endpoint.connect().await.unwrap());
    let requests = (0..TOTAL).map(|n| {
        let mut request = request(STREAM, n..n + 1);
        request.with_receipts = true;
        streamed(request)
    });
    let mut answers = client.append_stream(tokio_stream::iter(requests)).await.unwrap().into_inner();
    // Others are served meanwhile. They also give the server all the time it needs to run ahead if it wanted to.
    let mut other = served.client().await;
    for n in 0..100 {
        within("someone else's append", other.append(request("repo/example.com/other", n..n + 1))).await.unwrap();
    }
    let ahead = served.ledger.stream(STREAM, 0, 4000).unwrap().len();
    assert!((8..1500).contains(&ahead), "{ahead} requests were taken in while no answer was read");
    let mut n_answers = 0;
    while let Some(answer) = within("an answer", answers.next()).await {
        assert_eq!(answer.unwrap().response.unwrap().placed.len(), 1);
        n_answers += 1;
    }
    assert_eq!(n_answers, TOTAL);
    served.finish().await;
}

#[tokio::test]
async fn a_bad_request_ends_the_stream_and_is_named() {
    let served = Served::new().await;
    let mut client = served.client().await;
    let mut bad = request(STREAM, 3..5);
    bad.drafts[1].stream = "target/production/app".to_owned();
    let requests = [request(STREAM, 0..2), request(STREAM, 2..3), bad, request(STREAM, 5..6)].map(streamed);
    let mut answers = client.append_stream(tokio_stream::iter(requests)).await.unwrap().into_inner();
    for n in [2, 1] {
        let answer = within("an answer", answers.next()).await.unwrap().unwrap();
        assert_eq!(answer.response.unwrap().placed.len(), n);
    }
    let status = within("the error", answers.next()).await.unwrap().unwrap_err();
    assert_eq!((status.code(), field(&status).as_str()), (Code::InvalidArgument, "drafts[1].stream"));
    let (reason, metadata) = reason(&status);
    assert_eq!((reason.as_str(), metadata["request"].as_str()), ("INVALID_DRAFT", "2"));
    assert!(status.message().contains("request 2"), "{status}");
    assert!(answers.next().await.is_none());
    assert_eq!(served.ledger.head().size, 4, "nothing of the bad request, nothing after it");

    // An error that only the commit can find.
    let mut late = request(STREAM, 7..8);
    late.drafts[0].expected = Some(pb::ExpectedVersion { expected: Some(pb::expected_version::Expected::Seq(77)) });
    let requests = [request(STREAM, 0..1), late].map(streamed);
    let answers = client.append_stream(tokio_stream::iter(requests)).await.unwrap().into_inner();
    let answers: Vec<_> = within("the answers", answers.collect::<Vec<_>>()).await;
    assert!(answers[0].as_ref().unwrap().response.as_ref().unwrap().placed[0].duplicate);
    let status = answers[1].as_ref().unwrap_err();
    assert_eq!((status.code(), super::append::reason(status).1["request"].as_str()), (Code::Aborted, "1"));
    assert_eq!(answers.len(), 2);
    served.finish().await;
}

#[tokio::test]
async fn a_stream_that_is_dropped_leaves_what_was_answered() {
    let served = Served::new().await;
    let mut client = served.client().await;
    let mut n_known = 0;
    for round in 0..20_u64 {
        let (requests, received) = mpsc::channel(4);
        let mut answers = client.append_stream(ReceiverStream::new(received)).await.unwrap().into_inner();
        let mut acknowledged = 0;
        for n in 0..=round {
            requests.send(streamed(request(STREAM, round * 100 + n..round * 100 + n + 1))).await.unwrap();
            if n % 2 == 0 {
                within("an answer", answers.next()).await.unwrap().unwrap();
                acknowledged += 1;
            }
        }
        // Both halves are dropped with requests under way.
        drop(answers);
        drop(requests);
        n_known += acknowledged;
        let recorded = served.ledger.stream(STREAM, 0, 5000).unwrap().len();
        assert!(recorded >= n_known, "{recorded} recorded, {n_known} acknowledged");
    }
    let done = client.append(pb::AppendRequest { drafts: vec![wire(&draft(STREAM, 0))], with_receipts: false });
    assert!(done.await.unwrap().into_inner().placed[0].duplicate);
    served.finish().await;
}
