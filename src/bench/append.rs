//! Appending: in batches over a stream, one by one, and up to the receipt.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::sync::{mpsc, watch};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

use super::floor::{RawRow, Synced};
use super::report::{Receipts, Spread, Unary};
use super::rig::Rig;
use super::{Result, material};
use crate::api::proto::v1 as pb;
use crate::ledger::{Filter, Ledger, PageLimit};

/// Events of one request of the streamed appends.
pub(super) const BATCH: u64 = 1000;

/// Events of one round: enough for the queue to fill, few enough for several rounds and little memory.
const ROUND_MIN: u64 = 3_000;
const ROUND_MAX: u64 = 50_000;

/// Rounds of the streamed appends that count.
const RECENT_ROUNDS: usize = 5;

/// Appends until the log has `size` events, in rounds that alternate with the floor's.
pub(super) async fn stream(rig: &mut Rig, size: u64) -> Result<Spread> {
    let mut seen = subscribe(rig).await?;
    let (requests, receiver) = mpsc::channel::<pb::AppendStreamRequest>(2);
    let mut answers = rig.client()?.append_stream(ReceiverStream::new(receiver)).await?.into_inner();
    let mut rounds = Vec::new();
    // What was measured at a smaller size may have grown the log beyond this one: a round is made all the same.
    while rig.ledger.head().size < size || rounds.is_empty() {
        let first = rig.ledger.head().size;
        let left = if first < size { size - first } else { size };
        let n = (left / 8).clamp(ROUND_MIN, ROUND_MAX).min(left);
        let batches = material::requests(rig.site.next, n, BATCH);
        let n_batches = batches.len();
        rig.site.next += n;
        let began = Instant::now();
        let sender = requests.clone();
        let sending = tokio::spawn(async move {
            for request in batches {
                if sender.send(pb::AppendStreamRequest { request: Some(request) }).await.is_err() {
                    return;
                }
            }
        });
        for _ in 0..n_batches {
            answers.next().await.context("the stream of appends ended")??;
        }
        seen.wait_for(|seen| *seen >= first + n).await.context("the subscriber ended")?;
        let ours = began.elapsed();
        sending.await?;
        let rows = rows(&rig.ledger, first, n)?;
        let raw = &mut rig.site.raw;
        let floor = tokio::task::block_in_place(|| raw.insert(&rows, usize::try_from(BATCH)?))?;
        rounds.push((rate(n, ours), rate(n, floor)));
    }
    // The last ones are those at about the size that is asked about.
    let recent = rounds.len().saturating_sub(RECENT_ROUNDS);
    Ok(Spread::of(rounds.get(recent..).unwrap_or_default()))
}

/// Follows the log from its head on, and tells how far it has come.
async fn subscribe(rig: &Rig) -> Result<watch::Receiver<u64>> {
    let from_position = rig.ledger.head().size;
    let request = pb::SubscribeRequest { from_position, ..pb::SubscribeRequest::default() };
    let mut pages = rig.clients.last().context("there is no client")?.clone().subscribe(request).await?.into_inner();
    let (tell, seen) = watch::channel(from_position);
    tokio::spawn(async move {
        let mut next = from_position;
        while let Some(Ok(page)) = pages.next().await {
            next += page.events.len() as u64;
            if next != page.next_position || tell.send(next).is_err() {
                return;
            }
        }
    });
    Ok(seen)
}

/// What was recorded, as rows for the floor.
fn rows(ledger: &Ledger, first: u64, n: u64) -> Result<Vec<RawRow>> {
    let mut rows = Vec::new();
    let mut next = first;
    while next < first + n {
        let limit = PageLimit { events_max: 10_000, bytes_max: 64 << 20, scanned_max: 10_000 };
        let page = ledger.page(next, first + n, false, &Filter::default(), limit)?;
        next = page.covered.end;
        for entry in page.entries {
            rows.push(RawRow::of(entry.leaf)?);
        }
    }
    Ok(rows)
}

pub(super) fn rate(n: u64, took: Duration) -> f64 {
    n as f64 / took.as_secs_f64()
}

/// Appends one by one, with 64 and with 512 in flight.
pub(super) async fn unary(rig: &mut Rig, size: u64) -> Result<Unary> {
    // A small log is not to be swamped by what is measured on it.
    let n = |callers: u64, most: u64| (size / 4).clamp(callers, most);
    Ok(Unary {
        in_flight_64: in_flight(rig, size, 64, n(64, 2_048)).await?,
        in_flight_512: in_flight(rig, size, 512, n(512, 4_096)).await?,
    })
}

async fn in_flight(rig: &mut Rig, size: u64, callers: u64, n: u64) -> Result<Spread> {
    let mut rounds = Vec::new();
    for _ in 0..super::rounds(size) {
        let requests = material::requests(rig.site.next, n, 1);
        rig.site.next += n;
        let floor_requests = requests.clone();
        let clients = rig.clients.clone();
        let ours = spread_over(callers, requests, move |caller, request| {
            let mut client = pick(&clients, caller);
            async move { client.append(request).await.map(drop) }
        });
        let ours = ours.await?;
        let floors = rig.floors.clone();
        let floor = spread_over(callers, floor_requests, move |caller, request| {
            let mut client = pick(&floors, caller);
            async move { client.no_op(request).await.map(drop) }
        });
        rounds.push((rate(n, ours), rate(n, floor.await?)));
    }
    Ok(Spread::of(&rounds))
}

#[expect(clippy::indexing_slicing, reason = "the remainder is within")]
pub(super) fn pick<C: Clone>(clients: &[C], caller: usize) -> C {
    clients[caller % clients.len()].clone()
}

/// Has `callers` tasks make calls, one after the other each, and returns how long all took together.
pub(super) async fn spread_over<R, F>(
    callers: u64,
    requests: Vec<R>,
    call: impl Fn(usize, R) -> F + Clone + Send + 'static,
) -> Result<Duration>
where
    R: Send + 'static,
    F: Future<Output = Result<(), tonic::Status>> + Send,
{
    let per_caller = requests.len().div_ceil(usize::try_from(callers)?);
    let mut requests = requests.into_iter();
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for caller in 0..usize::try_from(callers)? {
        let own: Vec<R> = requests.by_ref().take(per_caller).collect();
        let call = call.clone();
        tasks.spawn(async move {
            for request in own {
                call(caller, request).await?;
            }
            Ok::<(), tonic::Status>(())
        });
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    Ok(began.elapsed())
}

/// One client that waits for each receipt, taking turns with a bare write and sync.
pub(super) async fn receipts(rig: &Rig, size: u64) -> Result<Receipts> {
    let n_receipts = (size / 8).clamp(20, 500);
    let mut synced = Synced::create(&rig.dir().join("synced"))?;
    let mut client = rig.client()?;
    let (mut p50, mut p99) = (Vec::new(), Vec::new());
    for round in 0..super::rounds(size) {
        let (mut ours, mut floor) = (Vec::new(), Vec::new());
        for n in 0..n_receipts {
            let mut draft = material::draft(n);
            draft.dedup = format!("receipt:{}:{round}:{n}", rig.ledger.head().size);
            let request = pb::AppendRequest { drafts: vec![draft], with_receipts: true };
            let began = Instant::now();
            let response = client.append(request).await?.into_inner();
            ours.push(began.elapsed().as_secs_f64() * 1e3);
            anyhow::ensure!(response.placed.iter().all(|placed| placed.receipt.is_some()), "no receipt came");
            floor.push(tokio::task::block_in_place(|| synced.write())?.as_secs_f64() * 1e3);
        }
        p50.push((percentile(&mut ours, 50), percentile(&mut floor, 50)));
        p99.push((percentile(&mut ours, 99), percentile(&mut floor, 99)));
    }
    Ok(Receipts { p50: Spread::of(&p50), p99: Spread::of(&p99) })
}

fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get((values.len() * percent / 100).min(values.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}
