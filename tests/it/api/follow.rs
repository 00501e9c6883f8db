//! Subscribe.

use std::time::Duration;

use plimsoll::api::LedgerApi;
use plimsoll::api::proto::v1 as pb;
use plimsoll::api::proto::v1::ledger_service_server::LedgerServiceServer;
use plimsoll::ledger::Ledger;
use tokio::sync::watch;
use tokio_stream::StreamExt;
use tonic::transport::Endpoint;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Streaming};

use crate::support::served::{Client, Served, reason, request, within};
use crate::support::{House, commit_draft, draft};

async fn subscribe(
    client: &mut Client,
    from_position: u64,
    filter: Option<pb::Filter>,
) -> Streaming<pb::SubscribeResponse> {
    let request = pb::SubscribeRequest { from_position, filter, view: None };
    within("the subscription", client.subscribe(request)).await.unwrap().into_inner()
}

async fn next(pages: &mut Streaming<pb::SubscribeResponse>) -> Result<pb::SubscribeResponse, tonic::Status> {
    within("a page", pages.next()).await.unwrap()
}

/// Reads until everything before `until` was sent, and checks that nothing is missing or twice.
async fn follow(pages: &mut Streaming<pb::SubscribeResponse>, mut from: u64, until: u64) {
    while from < until {
        let page = next(pages).await.unwrap();
        for event in page.events {
            assert_eq!(event.position, from, "a gap or a duplicate");
            from += 1;
        }
        assert_eq!(page.next_position, from);
        assert!(page.head >= from);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_go_from_history_to_live_without_gap_or_duplicate() {
    let served = Served::with_events(3000).await;
    let total = 3001 + 4 * 60 * 5;
    let mut tasks = Vec::new();
    for from in [0, 1, 2999, 3001] {
        let mut client = served.client().await;
        tasks.push(tokio::spawn(async move {
            let mut pages = subscribe(&mut client, from, None).await;
            follow(&mut pages, from, total).await;
        }));
    }
    for writer in 0..4 {
        let mut client = served.client().await;
        tasks.push(tokio::spawn(async move {
            for n in 0..60 {
                client.append(request(&format!("repo/writer/{writer}"), n * 5..n * 5 + 5)).await.unwrap();
            }
        }));
    }
    // Some join in the middle of it, again and again, and go on from wherever they are.
    let mut client = served.client().await;
    tasks.push(tokio::spawn(async move {
        let mut from = 0;
        while from < total {
            let mut pages = subscribe(&mut client, from, None).await;
            for _ in 0..3 {
                let page = next(&mut pages).await.unwrap();
                assert!((from..).zip(&page.events).all(|(at, event)| event.position == at));
                assert_eq!(from + page.events.len() as u64, page.next_position);
                from = page.next_position;
                if from == total {
                    return;
                }
            }
        }
    }));
    for task in tasks {
        within("everyone", task).await.unwrap();
    }
    served.finish().await;
}

#[tokio::test]
async fn a_follower_whose_filter_nothing_passes_is_told_how_far_it_is() {
    let served = Served::with_events(120_000).await;
    let mut client = served.client().await;
    let filter = pb::Filter { stream_prefix: "repo/other/".to_owned(), types: vec!["tag.*".to_owned()] };
    let mut pages = subscribe(&mut client, 0, Some(filter)).await;
    let mut steps = Vec::new();
    while steps.last() != Some(&120_001) {
        let page = next(&mut pages).await.unwrap();
        assert!(page.events.is_empty() && page.head == 120_001);
        steps.push(page.next_position);
    }
    assert!(steps.len() > 1, "progress is told on the way, not only at the end: {steps:?}");
    served.ledger.append(vec![draft("repo/example.com/1", 200_000)]).await.unwrap();
    assert_eq!(next(&mut pages).await.unwrap().next_position, 120_002, "told live too");
    served.ledger.append(vec![commit_draft(1, "J <j@e>", "m"), draft("repo/other/1", 1)]).await.unwrap();
    let page = next(&mut pages).await.unwrap();
    assert_eq!(page.events.iter().map(|event| event.position).collect::<Vec<_>>(), [120_003]);
    assert_eq!(page.next_position, 120_004);
    served.finish().await;
}

#[tokio::test]
async fn a_follower_gets_as_much_of_each_event_as_it_asked_for() {
    let served = Served::new().await;
    served.ledger.append(vec![commit_draft(1, "Jane <j@example.com>", "a message")]).await.unwrap();
    let mut client = served.client().await;
    for (envelope, private_values) in [(false, false), (true, false), (false, true), (true, true)] {
        let view = Some(pb::EventView { envelope, private_values });
        let request = pb::SubscribeRequest { from_position: 1, filter: None, view };
        let mut pages = client.subscribe(request).await.unwrap().into_inner();
        let event = next(&mut pages).await.unwrap().events.remove(0);
        assert_eq!(event.leaf, served.ledger.leaf(1).unwrap());
        assert_eq!(event.envelope.map(|envelope| envelope.r#type), envelope.then(|| "commit.recorded".to_owned()));
        let mut values: Vec<_> = event.private_values.into_iter().map(|value| value.value).collect();
        values.sort();
        assert_eq!(values, if private_values { vec!["Jane <j@example.com>", "a message"] } else { vec![] });
    }
    served.finish().await;
}

#[tokio::test]
async fn a_follower_at_the_head_is_told_so_at_once() {
    let served = Served::with_events(10).await;
    let mut client = served.client().await;
    let mut pages = subscribe(&mut client, 11, None).await;
    let page = next(&mut pages).await.unwrap();
    assert_eq!((page.events.len(), page.next_position, page.head), (0, 11, 11));
    served.finish().await;
}

/// A server with so much patience with subscribers, and a client whose window is small.
async fn patient(ledger: &Ledger, stall: Duration) -> (Client, watch::Sender<bool>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stopping, stopped) = watch::channel(false);
    let api = LedgerApi::new(ledger.clone(), stopped).with_stall(stall);
    let server = tonic::transport::Server::builder()
        .add_service(LedgerServiceServer::new(api))
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
    tokio::spawn(server);
    let endpoint = Endpoint::from_shared(url).unwrap().initial_stream_window_size(65_535);
    let mut client = Client::new(endpoint.connect().await.unwrap()).max_decoding_message_size(64 << 20);
    client.get_checkpoint(pb::GetCheckpointRequest::default()).await.unwrap();
    (client, stopping)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_does_not_read_never_slows_writers_and_is_ended_with_where_to_resume() {
    let house = House::new();
    let ledger = house.open().await;
    let (mut client, stopping) = patient(&ledger, Duration::from_millis(200)).await;
    // Whatever the server does for a follower holds a receiver: when there are as few as before, it has given up.
    let before = stopping.receiver_count();
    let mut pages = subscribe(&mut client, 0, None).await;
    // Far more than any window holds; the writer waits for nobody.
    for first in (0..20_000).step_by(1000) {
        let drafts = (first..first + 1000).map(|n| draft("repo/example.com/app", n)).collect();
        within("the writer", ledger.append(drafts)).await.unwrap();
    }
    within("the server to give up", async {
        while stopping.receiver_count() > before {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    // Nothing was read so far. What comes now is what was sent, and then the end.
    let mut from = 0;
    let status = loop {
        match next(&mut pages).await {
            Ok(page) => {
                assert!((from..).zip(&page.events).all(|(at, event)| event.position == at));
                from = page.next_position;
            }
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    let (reason, metadata) = reason(&status);
    assert_eq!(
        (reason.as_str(), metadata["resume_position"].as_str()),
        ("SUBSCRIBER_TOO_SLOW", from.to_string().as_str())
    );
    assert!(from < 20_001, "it had not been sent everything");
    let (mut client, _stopping) = patient(&ledger, Duration::from_secs(600)).await;
    let mut pages = subscribe(&mut client, from, None).await;
    follow(&mut pages, from, 20_001).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_followers_are_all_told_of_the_next_event() {
    const FOLLOWERS: usize = 10_000;
    let served = Served::with_events(100).await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(served.client().await);
    }
    let mut followers = Vec::with_capacity(FOLLOWERS);
    for n in 0..FOLLOWERS {
        let mut pages = subscribe(&mut clients[n % 4], 101, None).await;
        // Told that it is at the head: from here on it waits.
        if n % 100 == 0 {
            assert_eq!(next(&mut pages).await.unwrap().next_position, 101);
        }
        followers.push((pages, n % 100 == 0));
    }
    // Everyone else is served as ever.
    let mut other = served.client().await;
    let by_position = Some(pb::get_event_request::Key::Position(50));
    let event = other.get_event(pb::GetEventRequest { key: by_position, view: None });
    within("a look-up among all of them", event).await.unwrap();
    let placed = within("an append", other.append(request("repo/example.com/new", 0..1))).await.unwrap();
    assert_eq!(placed.into_inner().placed[0].position, 101);
    for (mut pages, announced) in followers {
        if !announced {
            let first = next(&mut pages).await.unwrap();
            // It may have been told of the event right away.
            if first.next_position == 102 {
                assert_eq!(first.events.len(), 1);
                continue;
            }
        }
        let page = next(&mut pages).await.unwrap();
        assert_eq!((page.events.len(), page.events[0].position, page.next_position), (1, 101, 102));
    }
    served.finish().await;
}
