//! Appending: one request, or a stream of them.

use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Status, Streaming};

use super::super::convert::{draft_from_proto, receipt_to_proto};
use super::super::proto::v1 as pb;
use super::super::status;
use crate::ledger::{Acknowledged, Ledger, Pending, Result};

/// Drafts of one request. More would hold up everyone else's commit.
const DRAFTS_MAX: usize = 10_000;

/// Requests of one stream that may be on their way at once: enough to keep the writer busy while answers travel.
const IN_FLIGHT_MAX: usize = 8;

async fn submit(ledger: &Ledger, request: pb::AppendRequest) -> Result<Pending, Status> {
    if request.drafts.is_empty() || request.drafts.len() > DRAFTS_MAX {
        return Err(status::invalid("drafts", &format!("a request has 1 to {DRAFTS_MAX} drafts")));
    }
    let drafts: Result<Vec<_>> =
        request.drafts.into_iter().enumerate().map(|(index, draft)| draft_from_proto(index, draft)).collect();
    let pending = match drafts {
        Ok(drafts) => ledger.submit(drafts).await,
        Err(error) => Err(error),
    };
    pending.map_err(|error| status::of(&error))
}

async fn answer(ledger: &Ledger, done: Acknowledged, with_receipts: bool) -> Result<pb::AppendResponse, Status> {
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
    let with_receipts = ledger.blocking(move |ledger| {
        let mut response = plain(&done);
        for placed in &mut response.placed {
            placed.receipt = Some(receipt_to_proto(&ledger.receipt_of(placed.position, &done)?));
        }
        Ok(response)
    });
    with_receipts.await.map_err(|error| status::of(&error))
}

/// One request.
pub(super) async fn append(ledger: &Ledger, request: pb::AppendRequest) -> Result<pb::AppendResponse, Status> {
    let with_receipts = request.with_receipts;
    let done = submit(ledger, request).await?.wait().await.map_err(|error| status::of(&error))?;
    answer(ledger, done, with_receipts).await
}

/// Request after request. Read only as fast as they can be handed to the writer; answered in order.
pub(super) fn append_stream(
    ledger: Ledger,
    mut stopping: watch::Receiver<bool>,
    mut requests: Streaming<pb::AppendStreamRequest>,
) -> impl Stream<Item = Result<pb::AppendStreamResponse, Status>> {
    let (pending, in_flight) = mpsc::channel::<Result<(Pending, bool), Status>>(IN_FLIGHT_MAX);
    let writer = ledger.clone();
    tokio::spawn(async move {
        loop {
            // What was read is still answered; what was not read was not acknowledged.
            let request = tokio::select! {
                request = requests.next() => request,
                _ = stopping.wait_for(|stopping| *stopping) => Some(Err(Status::unavailable("the server is stopping"))),
            };
            let submitted = match request {
                None => return,
                Some(Err(status)) => Err(status),
                Some(Ok(request)) => {
                    let request = request.request.unwrap_or_default();
                    let with_receipts = request.with_receipts;
                    submit(&writer, request).await.map(|pending| (pending, with_receipts))
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
            let (pending, with_receipts) = submitted?;
            let done = pending.wait().await.map_err(|error| status::of(&error))?;
            let response = answer(&ledger, done, with_receipts).await?;
            Ok(pb::AppendStreamResponse { response: Some(response) })
        }
    })
}
