//! `kill -9` under load, again and again. It does not test syncing, which outlives a process anyway; it tests everything else.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use plimsoll::api::draft_to_proto;
use plimsoll::api::proto::v1 as pb;
use plimsoll::api::proto::v1::ledger_service_client::LedgerServiceClient;
use plimsoll::event::Recorded;
use plimsoll::ledger::{DataDir, Ledger};
use plimsoll_test_vfs::image::Chance;
use tokio_stream::StreamExt;
use tonic::transport::Channel;

use crate::support::process::{PATIENCE, Server, plimsoll};
use crate::support::rig::{keys, leaves, scratch, slow, verified};
use crate::support::{House, draft};

type Client = LedgerServiceClient<Channel>;

/// What one caller was told, and what it does not know.
#[derive(Default)]
struct Caller {
    name: String,
    next: u64,
    /// A request that was sent and not answered: it must be sent again before anything else.
    unanswered: Option<pb::AppendRequest>,
    acknowledged: BTreeMap<String, (u64, String)>,
}

impl Caller {
    fn new(name: &str) -> Self {
        Self { name: format!("repo/example.com/{name}"), ..Self::default() }
    }

    fn request(&mut self, size: u64) -> pb::AppendRequest {
        let drafts = (self.next..self.next + size).map(|n| draft_to_proto(&draft(&self.name, n)));
        let drafts = drafts.map(Result::unwrap).collect();
        self.next += size;
        pb::AppendRequest { drafts, with_receipts: false }
    }

    fn answered(&mut self, request: &pb::AppendRequest, response: &pb::AppendResponse) {
        assert_eq!(request.drafts.len(), response.placed.len());
        for (draft, placed) in request.drafts.iter().zip(&response.placed) {
            let known = self.acknowledged.insert(draft.dedup.clone(), (placed.position, placed.id.clone()));
            assert!(known.is_none_or(|known| known == (placed.position, placed.id.clone())), "it has moved");
        }
    }
}

/// Requests one by one, until the server is gone. The batch sizes differ, so that commits do.
async fn unary(mut client: Client, mut caller: Caller, acknowledged: Arc<AtomicU64>) -> Caller {
    loop {
        let request = caller.unanswered.take().unwrap_or_else(|| {
            let size = 1 + caller.next % 5;
            caller.request(size)
        });
        match client.append(request.clone()).await {
            Ok(response) => {
                caller.answered(&request, response.get_ref());
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Err(status) => {
                assert!(!matches!(status.code(), tonic::Code::Internal | tonic::Code::DataLoss), "{status:?}");
                caller.unanswered = Some(request);
                return caller;
            }
        }
    }
}

/// A stream of batches; of those on their way when the server dies, all are sent again, first.
async fn streaming(
    mut client: Client,
    mut caller: Caller,
    mut again: Vec<pb::AppendRequest>,
    acknowledged: Arc<AtomicU64>,
) -> (Caller, Vec<pb::AppendRequest>) {
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    let requests = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut on_the_way = std::collections::VecDeque::new();
    let answers = async {
        let mut answers = client.append_stream(requests).await?.into_inner();
        again.reverse();
        loop {
            while on_the_way.len() < 4 {
                let request = again.pop().unwrap_or_else(|| caller.request(20));
                on_the_way.push_back(request.clone());
                if sender.send(pb::AppendStreamRequest { request: Some(request) }).await.is_err() {
                    break;
                }
            }
            let Some(answer) = answers.next().await.transpose()? else { break };
            caller.answered(&on_the_way.pop_front().unwrap(), &answer.response.unwrap());
            acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        Ok::<(), tonic::Status>(())
    };
    if let Err(status) = answers.await {
        assert!(!matches!(status.code(), tonic::Code::Internal | tonic::Code::DataLoss), "{status:?}");
    }
    again.reverse();
    let unanswered = on_the_way.into_iter().chain(again).collect();
    (caller, unanswered)
}

/// What a follower has seen over all restarts.
#[derive(Default)]
struct Follower {
    next: u64,
    seen: Vec<Vec<u8>>,
}

async fn follow(mut client: Client, follower: Arc<Mutex<Follower>>) {
    let from_position = follower.lock().unwrap().next;
    let request = pb::SubscribeRequest { from_position, ..pb::SubscribeRequest::default() };
    // A follower is only ever ahead of a server that has lost what it showed.
    let mut pages = match client.subscribe(request).await {
        Ok(pages) => pages.into_inner(),
        Err(status) => {
            assert_ne!(status.code(), tonic::Code::InvalidArgument, "{status:?}");
            return;
        }
    };
    while let Some(Ok(page)) = pages.next().await {
        let mut follower = follower.lock().unwrap();
        for event in page.events {
            assert_eq!(event.position, follower.seen.len() as u64, "each event once, in order");
            follower.seen.push(event.leaf.to_vec());
        }
        follower.next = page.next_position;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_instant_it_keeps_what_it_acknowledged_and_followers_miss_nothing() {
    let dir = scratch();
    let data = dir.path().join("data");
    let mut chance = Chance(0x5eed);
    let mut callers: Vec<Caller> = ["a", "b", "c"].map(Caller::new).into();
    let mut streamer = (Caller::new("stream"), Vec::new());
    let follower = Arc::new(Mutex::new(Follower::default()));
    for round in 0..if slow() { 200 } else { 20 } {
        let mut server = Server::spawn(&data);
        if round % 5 == 4 {
            // While it starts.
            std::thread::sleep(Duration::from_micros(chance.below(60_000)));
            server.kill();
            continue;
        }
        server = server.ready();
        let acknowledged = Arc::new(AtomicU64::new(0));
        let mut tasks = tokio::task::JoinSet::new();
        for caller in callers.drain(..) {
            tasks.spawn(unary(server.client().await, caller, acknowledged.clone()));
        }
        let (caller, again) = std::mem::take(&mut streamer);
        let stream = streaming(server.client().await, caller, again, acknowledged.clone());
        let stream = tokio::spawn(stream);
        let follow = tokio::spawn(follow(server.client().await, follower.clone()));
        // Not at a time but after some work, so that a slow machine tests as much; then at some instant within the next.
        let (wanted, started) = (chance.below(60), Instant::now());
        while acknowledged.load(Ordering::Relaxed) < wanted {
            assert!(started.elapsed() < PATIENCE, "nothing is acknowledged any more");
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        tokio::time::sleep(Duration::from_micros(chance.below(5_000))).await;
        if round % 5 == 3 {
            // The polite way must lose nothing either, and end although everybody goes on asking.
            assert!(server.terminate().success());
        } else {
            server.kill();
        }
        while let Some(caller) = tasks.join_next().await {
            callers.push(caller.unwrap());
        }
        streamer = stream.await.unwrap();
        follow.await.unwrap();
    }
    settle(&data, callers, streamer, &follower).await;
}

/// Answers what is open, ends the server as it should be ended, and looks at everything.
async fn settle(
    data: &std::path::Path,
    mut callers: Vec<Caller>,
    (mut stream, unanswered): (Caller, Vec<pb::AppendRequest>),
    follower: &Arc<Mutex<Follower>>,
) {
    let mut server = Server::spawn(data).ready();
    let mut client = server.client().await;
    for request in unanswered {
        stream.answered(&request, client.append(request.clone()).await.unwrap().get_ref());
    }
    for caller in &mut callers {
        if let Some(request) = caller.unanswered.take() {
            caller.answered(&request, client.append(request.clone()).await.unwrap().get_ref());
        }
    }
    callers.push(stream);
    let following = tokio::spawn(follow(client.clone(), follower.clone()));
    let size = client.get_checkpoint(pb::GetCheckpointRequest::default()).await.unwrap().into_inner().size;
    let started = Instant::now();
    while follower.lock().unwrap().next < size {
        assert!(started.elapsed() < PATIENCE && !following.is_finished(), "the follower does not get there");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(server.terminate().success());
    following.await.unwrap();

    let ledger = Ledger::open_read_only(&DataDir::new(data)).unwrap();
    let leaves = leaves(&**ledger.engine());
    let seen = std::mem::take(&mut follower.lock().unwrap().seen);
    assert!(seen == leaves, "the follower saw {} events, and the log has {}", seen.len(), leaves.len());
    let wanted: usize = callers.iter().map(|caller| usize::try_from(caller.next).unwrap()).sum();
    let mut recorded = keys(&leaves);
    for caller in &callers {
        for (dedup, (position, id)) in &caller.acknowledged {
            let event = Recorded::parse(ledger.leaf(*position).unwrap()).unwrap();
            assert_eq!(
                (event.envelope().dedup.as_str(), event.envelope().id.to_string()),
                (dedup.as_str(), id.clone())
            );
        }
    }
    recorded.retain(|dedup| dedup.contains('#'));
    let n_recorded = recorded.len();
    recorded.sort();
    recorded.dedup();
    assert_eq!((recorded.len(), n_recorded), (wanted, wanted), "each event that was ever sent is there once");
    let verified = plimsoll(data, &["verify", "--json"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}

#[test]
fn killed_while_it_makes_a_ledger_it_makes_it_the_next_time() {
    let mut chance = Chance(0xb1);
    for _ in 0..if slow() { 300 } else { 20 } {
        let dir = scratch();
        let data = dir.path().join("data");
        let mut server = Server::spawn(&data);
        std::thread::sleep(Duration::from_micros(chance.below(40_000)));
        server.kill();
        assert!(Server::spawn(&data).ready().terminate().success());
        let verified = plimsoll(&data, &["verify"]);
        assert!(verified.status.success(), "{verified:?}");
    }
}

/// Every state that making a ledger goes through, as far as files are concerned, is one that it can be made from.
#[tokio::test]
async fn a_ledger_is_made_from_whatever_an_interrupted_start_left() {
    let whole = House { dir: scratch(), ..House::new() };
    drop(whole.open().await);
    let read = |name: &str| std::fs::read(whole.data().root().join(name)).unwrap();
    let (key, verifier) = (read("ledger.key"), read("ledger.vkey"));
    let states: [&[(&str, &[u8])]; 7] = [
        &[],
        &[("lock", b"")],
        &[("ledger.key.new", b""), ("lock", b"")],
        &[("ledger.key.new", &key[..20])],
        &[("ledger.key", &key)],
        &[("ledger.key", &key), ("ledger.vkey.new", &verifier[..9])],
        &[("ledger.key", &key), ("ledger.db", b"")],
    ];
    for state in states {
        let house = House { dir: scratch(), ..House::new() };
        std::fs::create_dir(house.data().root()).unwrap();
        for (name, content) in state {
            std::fs::write(house.data().root().join(name), content).unwrap();
        }
        let ledger = house.open().await;
        assert!(verified(&ledger, &house.data()).ok);
        let reader = Ledger::open_read_only(&house.data()).unwrap();
        assert_eq!(reader.key(), ledger.key());
        if !state.iter().any(|(name, _)| *name == "ledger.key") {
            let made = std::fs::metadata(house.data().signing_key()).unwrap();
            assert_eq!(made.permissions().mode() & 0o777, 0o600, "nobody else may read the key");
        }
    }
}
