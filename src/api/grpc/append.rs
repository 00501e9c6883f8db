//! Appending: one request, or a stream of them.

use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Status, Streaming};

use super::super::convert::{draft_from_proto, receipt_to_proto};
use super::super::proto::v1 as pb;
use super::super::status;
use crate::ledger::{Acknowledged, Error, Ledger, Pending, Result};

/// Drafts of one request. More would hold up everyone else's commit.
const DRAFTS_MAX: usize = 10_000;

/// Requests of one stream that may be on their way at once: enough to keep the writer busy while answers travel.
const IN_FLIGHT_MAX: usize = 8;

async fn submit(ledger: &Ledger, request: pb::AppendRequest) -> Result<Pending> {
    if request.drafts.is_empty() || request.drafts.len() > DRAFTS_MAX {
        return Err(Error::invalid("drafts", format!("a request has 1 to {DRAFTS_MAX} drafts")));
    }
    let drafts: Result<Vec<_>> =
        request.drafts.into_iter().enumerate().map(|(index, draft)| draft_from_proto(index, draft)).collect();
    ledger.submit(drafts?).await
}

async fn answer(ledger: &Ledger, done: Acknowledged, with_receipts: bool) -> Result<pb::AppendResponse> {
    let plain = |done: &Acknowledged| pb::AppendResponse {
        placed: done
            .placed
            .iter()
            .map(|placed| pb::Placed {
                position: placed.position.0,
                id: placed.id.to_string(),
                duplicate: placed.duplicate,
                receipt: None,
            })
            .collect(),
        tree_size: done.size,
    };
    if !with_receipts {
        return Ok(plain(&done));
    }
    let few = done.placed.len() <= RECEIPTS_AT_ONCE;
    let with_receipts = move |ledger: &Ledger| {
        let mut response = plain(&done);
        for placed in &mut response.placed {
            placed.receipt = Some(receipt_to_proto(&ledger.receipt_of(placed.position, &done)?));
        }
        Ok(response)
    };
    // A few are made where we are: what they are made of was written a moment ago.
    if few { with_receipts(ledger) } else { ledger.blocking(with_receipts).await }
}

/// Receipts that are made on the thread that serves the connection.
const RECEIPTS_AT_ONCE: usize = 8;

/// One request.
pub(super) async fn append(ledger: &Ledger, request: pb::AppendRequest) -> Result<pb::AppendResponse, Status> {
    let with_receipts = request.with_receipts;
    let placed = async { answer(ledger, submit(ledger, request).await?.wait().await?, with_receipts).await };
    placed.await.map_err(|error| status::of(&error))
}

/// Request after request. Read only as fast as they can be handed to the writer; answered in order.
pub(super) fn append_stream(
    ledger: Ledger,
    mut stopping: watch::Receiver<bool>,
    mut requests: Streaming<pb::AppendStreamRequest>,
) -> impl Stream<Item = Result<pb::AppendStreamResponse, Status>> {
    let (pending, in_flight) = mpsc::channel::<Result<(u64, Pending, bool), Status>>(IN_FLIGHT_MAX);
    let writer = ledger.clone();
    tokio::spawn(async move {
        for number in 0.. {
            // What was read is still answered; what was not read was not acknowledged.
            let request = tokio::select! {
                request = requests.next() => request,
                _ = stopping.wait_for(|stopping| *stopping) => Some(Err(status::stopping())),
            };
            let submitted = match request {
                None => return,
                Some(Err(status)) => Err(status),
                Some(Ok(request)) => {
                    let request = request.request.unwrap_or_default();
                    let with_receipts = request.with_receipts;
                    let pending = submit(&writer, request).await;
                    let pending = pending.map_err(|error| status::of_request(&error, number));
                    pending.map(|pending| (number, pending, with_receipts))
                }
            };
            let failed = submitted.is_err();
            if pending.send(submitted).await.is_err() || failed {
                return;
            }
        }
    });
    ReceiverStream::new(in_flight).then(move |submitted| {
        let ledger = ledger.clone();
        async move {
            let (number, pending, with_receipts) = submitted?;
            let response = async { answer(&ledger, pending.wait().await?, with_receipts).await };
            let response = response.await.map_err(|error| status::of_request(&error, number))?;
            Ok(pb::AppendStreamResponse { response: Some(response) })
        }
    })
}
