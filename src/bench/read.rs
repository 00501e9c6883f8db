//! Reading over gRPC, against a scan of the plain table.

use std::time::{Duration, Instant};

use tokio_stream::StreamExt as _;

use super::append::rate;
use super::report::{Reads, Spread};
use super::rig::Rig;
use super::{Result, material};
use crate::api::proto::v1 as pb;

/// Events of one round at most.
const EVENTS_MAX: u64 = 200_000;

pub(super) async fn measure(rig: &Rig, size: u64) -> Result<Reads> {
    let n = rig.site.raw.n_rows().min(EVENTS_MAX);
    let (mut stream, mut page, mut one_stream) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..super::rounds(size) {
        let floor = rate(n, tokio::task::block_in_place(|| rig.site.raw.scan(n))?);
        stream.push((rate(n, whole(rig, n).await?), floor));
        page.push((rate(n, pages(rig, n).await?), floor));
        let (events, took) = one(rig).await?;
        one_stream.push((rate(events, took), floor));
    }
    Ok(Reads { stream: Spread::of(&stream), page: Spread::of(&page), one_stream: Spread::of(&one_stream) })
}

async fn whole(rig: &Rig, n: u64) -> Result<Duration> {
    let began = Instant::now();
    let request = pb::ReadAllRequest { max_events: n, ..pb::ReadAllRequest::default() };
    let mut pages = rig.client()?.read_all(request).await?.into_inner();
    let mut events = 0;
    while let Some(page) = pages.next().await.transpose()? {
        events += page.events.len() as u64;
    }
    let took = began.elapsed();
    anyhow::ensure!(events == n, "{events} of {n} events came");
    Ok(took)
}

async fn pages(rig: &Rig, n: u64) -> Result<Duration> {
    let mut client = rig.client()?;
    let began = Instant::now();
    let mut next = 0;
    while next < n {
        let max_events = (n - next).min(1000);
        let request = pb::ReadAllRequest { from_position: next, max_events, ..pb::ReadAllRequest::default() };
        let mut pages = client.read_all(request).await?.into_inner();
        let before = next;
        while let Some(page) = pages.next().await.transpose()? {
            next += page.events.len() as u64;
        }
        anyhow::ensure!(next > before, "no events came");
    }
    Ok(began.elapsed())
}

async fn one(rig: &Rig) -> Result<(u64, Duration)> {
    let began = Instant::now();
    let stream = material::BUSY_STREAM.to_owned();
    let request = pb::ReadStreamRequest { stream, max_events: EVENTS_MAX, ..pb::ReadStreamRequest::default() };
    let mut pages = rig.client()?.read_stream(request).await?.into_inner();
    let mut events = 0;
    while let Some(page) = pages.next().await.transpose()? {
        events += page.events.len() as u64;
    }
    Ok((events, began.elapsed()))
}
