//! Look-ups by id, against a no-op RPC that returns as much.

use super::Result;
use super::append::{pick, rate, spread_over};
use super::report::Spread;
use super::rig::Rig;
use crate::api::proto::v1 as pb;
use crate::event::Peek;

/// Look-ups of one round at most.
const N_MAX: u64 = 8_192;

/// Callers at once.
const CALLERS: u64 = 64;

pub(super) async fn measure(rig: &Rig, size: u64) -> Result<Spread> {
    let n_gets = size.min(N_MAX);
    let mut requests = Vec::new();
    for n in 0..n_gets {
        // All over the log, in no order.
        let position = n.wrapping_mul(2_654_435_761) % size;
        let leaf = rig.ledger.leaf(position)?;
        let id = Peek::new(&leaf)?.id.to_owned();
        requests.push(pb::GetEventRequest { key: Some(pb::get_event_request::Key::Id(id)), view: None });
    }
    let mut rounds = Vec::new();
    for _ in 0..super::rounds(size) {
        let clients = rig.clients.clone();
        let ours = spread_over(CALLERS, requests.clone(), move |caller, request| {
            let mut client = pick(&clients, caller);
            async move { client.get_event(request).await.map(drop) }
        });
        let ours = ours.await?;
        let floors = rig.floors.clone();
        let floor = spread_over(CALLERS, requests.clone(), move |caller, request| {
            let mut client = pick(&floors, caller);
            async move { client.no_op_get(request).await.map(drop) }
        });
        rounds.push((rate(n_gets, ours), rate(n_gets, floor.await?)));
    }
    Ok(Spread::of(&rounds))
}
