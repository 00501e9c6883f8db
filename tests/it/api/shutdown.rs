//! Ending: the real program under load, told to stop.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use plimsoll::api::proto::v1 as pb;
use plimsoll::event::Recorded;
use plimsoll::ledger::{DataDir, Ledger};
use tokio_stream::StreamExt;
use tonic::Code;

use crate::support::program::Desk;
use crate::support::served::{Client, Served, reason, request, within};

/// Ids of what was acknowledged, and how it ended.
type Written = (Vec<String>, Option<tonic::Status>);

/// Counts answers, so that nobody is stopped before everyone is at work.
type Answered = Arc<[AtomicUsize; 6]>;

/// Appends over one stream until it ends.
async fn write_stream(mut client: Client, who: usize, answered: Answered) -> Written {
    let name = format!("repo/writer/{who}");
    let streamed = |request| pb::AppendStreamRequest { request: Some(request) };
    let requests = (0..u64::MAX).map(move |n| streamed(request(&name, n * 3..n * 3 + 3)));
    let mut answers = client.append_stream(tokio_stream::iter(requests)).await.unwrap().into_inner();
    let mut ids = Vec::new();
    loop {
        match answers.next().await {
            Some(Ok(answer)) => {
                ids.extend(answer.response.unwrap().placed.into_iter().map(|at| at.id));
                answered[who].fetch_add(1, Ordering::Relaxed);
            }
            end => return (ids, end.map(|status| status.unwrap_err())),
        }
    }
}

/// Appends one event after another until that fails.
async fn write(mut client: Client, who: usize, answered: Answered) -> Written {
    let mut ids = Vec::new();
    for n in 0.. {
        match client.append(request(&format!("repo/writer/{who}"), n..n + 1)).await {
            Ok(answer) => {
                ids.extend(answer.into_inner().placed.into_iter().map(|at| at.id));
                answered[who].fetch_add(1, Ordering::Relaxed);
            }
            Err(status) => return (ids, Some(status)),
        }
    }
    unreachable!()
}

/// Follows until the end, and says how far it came.
async fn follow(mut client: Client, from_position: u64) -> (u64, tonic::Status) {
    let request = pb::SubscribeRequest { from_position, ..pb::SubscribeRequest::default() };
    let mut pages = client.subscribe(request).await.unwrap().into_inner();
    let mut next = from_position;
    loop {
        match pages.next().await {
            Some(Ok(page)) => {
                assert!((next..).zip(&page.events).all(|(at, event)| event.position == at));
                next = page.next_position;
            }
            end => return (next, end.unwrap().unwrap_err()),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_told_to_stop_under_load_keeps_all_it_acknowledged_and_says_where_to_go_on() {
    let desk = Desk::with_ledger();
    let server = desk.serve(&[]);
    let url = server.url();
    let connect = || async { Client::connect(url.clone()).await.unwrap() };
    let answered = Arc::new([const { AtomicUsize::new(0) }; 6]);
    let mut writers = Vec::new();
    for who in 0..6 {
        let (client, answered) = (connect().await, answered.clone());
        writers.push(tokio::spawn(async move {
            if who < 2 { write_stream(client, who, answered).await } else { write(client, who, answered).await }
        }));
    }
    let followers = [tokio::spawn(follow(connect().await, 0)), tokio::spawn(follow(connect().await, 1))];
    within("some load by everyone", async {
        while answered.iter().any(|n| n.load(Ordering::Relaxed) < 20) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let (code, err) =
        within("the server's end", tokio::task::spawn_blocking(move || server.terminate())).await.unwrap();
    assert_eq!(code, Some(0), "{err}");

    let ledger = Ledger::open_read_only(&DataDir::new(desk.data())).unwrap();
    let recorded: BTreeSet<String> = (0..ledger.head().size)
        .map(|at| Recorded::parse(ledger.leaf(at).unwrap()).unwrap().envelope().id.to_string())
        .collect();
    for (who, writer) in writers.into_iter().enumerate() {
        let (ids, status) = within("a writer", writer).await.unwrap();
        assert!(ids.len() >= 20 && ids.iter().all(|id| recorded.contains(id)), "{who} was promised what is not there");
        // The streams get a last word from the server; one request at a time may also find the door closed.
        if who < 2 {
            let status = status.expect("a stream that was cut ends with a status");
            assert_eq!((status.code(), reason(&status).0.as_str()), (Code::Unavailable, "STOPPING"), "{status}");
        }
    }
    for follower in followers {
        let (next, status) = within("a follower", follower).await.unwrap();
        let (reason, metadata) = reason(&status);
        assert_eq!((status.code(), reason.as_str()), (Code::Unavailable, "STOPPING"));
        assert_eq!(metadata["resume_position"], next.to_string());
    }
    drop(ledger);
    desk.run(["verify"]).ok();

    // A new server, and whoever was cut off goes on.
    let server = desk.serve(&[]);
    let mut client = Client::connect(server.url()).await.unwrap();
    let again = client.append(request("repo/writer/0", 0..3)).await.unwrap().into_inner();
    assert!(again.placed.iter().all(|at| at.duplicate));
}

#[tokio::test]
async fn a_reader_that_reads_nothing_does_not_keep_the_server_from_stopping() {
    let served = Served::with_events(20_000).await;
    let endpoint = served.endpoint().initial_stream_window_size(65_535);
    let mut client = Client::new(endpoint.connect().await.unwrap());
    let subscription = client.subscribe(pb::SubscribeRequest::default()).await.unwrap();
    let reading = client.read_all(pb::ReadAllRequest::default()).await.unwrap();
    let (_house, ledger) = served.stop().await;
    assert_eq!(ledger.head().size, 20_001);
    drop((subscription, reading));
}

#[tokio::test]
async fn an_interrupt_ends_a_server_as_well_as_a_termination() {
    let desk = Desk::with_ledger();
    let mut server = desk.serve(&[]);
    server.signal("INT");
    let (code, err) = tokio::task::spawn_blocking(move || server.wait()).await.unwrap();
    assert_eq!(code, Some(0), "{err}");
}
