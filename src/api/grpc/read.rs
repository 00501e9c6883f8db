//! Reading in pages, and following.

use tokio::sync::{mpsc, oneshot};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Response, Status};

use super::super::convert::{View, events_to_proto, filter_from_proto};
use super::super::proto::v1 as pb;
use super::super::status;
use super::{Answers, LedgerApi};
use crate::ledger::{Filter, PageLimit};

/// Pages that may wait to be sent, besides what HTTP/2 holds: one being sent, one being read.
const PAGES_AHEAD: usize = 1;

/// How much a page holds. Large enough that the cost of a page is spread thin, small enough to be sent in one breath.
const PAGE: PageLimit = PageLimit { events_max: 1000, bytes_max: 1 << 20, scanned_max: 50_000 };

/// The limit that remains of `max_events`, of which 0 means none.
fn remaining(max_events: u64) -> u64 {
    if max_events == 0 { u64::MAX } else { max_events }
}

fn page_limit(left: u64) -> PageLimit {
    PageLimit { events_max: usize::try_from(left).unwrap_or(usize::MAX).min(PAGE.events_max), ..PAGE }
}

pub(super) async fn read_stream(
    api: &LedgerApi,
    request: pb::ReadStreamRequest,
) -> Result<Response<Answers<pb::ReadStreamResponse>>, Status> {
    let view: View = request.view.into();
    let (name, mut from_seq, mut left) = (request.stream, request.from_seq, remaining(request.max_events));
    // The first page is read before the answer begins, so that an unknown stream is an error and not an empty stream.
    let first = {
        let (name, limit) = (name.clone(), page_limit(left).events_max);
        api.read(move |ledger| ledger.stream(&name, from_seq, limit)).await?
    };
    let (pages, answers) = mpsc::channel(PAGES_AHEAD);
    let api = api.clone();
    tokio::spawn(async move {
        let mut entries = first;
        while !entries.is_empty() {
            let n = entries.len() as u64;
            let page = api.read(move |ledger| events_to_proto(ledger, entries, view)).await;
            let failed = page.is_err();
            if pages.send(page.map(|events| pb::ReadStreamResponse { events })).await.is_err() || failed {
                return;
            }
            from_seq += n;
            left -= n.min(left);
            let (name, limit) = (name.clone(), page_limit(left).events_max);
            if limit == 0 {
                return;
            }
            entries = match api.read(move |ledger| ledger.stream(&name, from_seq, limit)).await {
                Ok(entries) => entries,
                Err(status) => {
                    let _receiver_gone = pages.send(Err(status)).await.is_err();
                    return;
                }
            };
        }
    });
    Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
}

pub(super) fn read_all(api: &LedgerApi, request: pb::ReadAllRequest) -> Response<Answers<pb::ReadAllResponse>> {
    let (pages, answers) = mpsc::channel(PAGES_AHEAD);
    let api = api.clone();
    tokio::spawn(async move {
        let view: View = request.view.into();
        let filter = filter_from_proto(request.filter);
        let backwards = request.backwards;
        let mut left = remaining(request.max_events);
        // What is appended meanwhile is not part of this answer: it would never end under a steady load.
        let head = api.ledger.head().size;
        let (mut from, mut to) =
            if backwards { (0, request.from_position.min(head)) } else { (request.from_position, head) };
        while from < to && left > 0 {
            let (filter, limit) = (filter.clone(), page_limit(left));
            let page = api.read(move |ledger| {
                let page = ledger.page(from, to, backwards, &filter, limit)?;
                Ok((events_to_proto(ledger, page.entries, view)?, page.covered))
            });
            let answer = page.await.map(|(events, covered)| {
                left -= (events.len() as u64).min(left);
                if backwards {
                    to = covered.start;
                } else {
                    from = covered.end;
                }
                pb::ReadAllResponse { events, next_position: if backwards { covered.start } else { covered.end } }
            });
            let failed = answer.is_err();
            if pages.send(answer).await.is_err() || failed {
                return;
            }
        }
    });
    Response::new(Box::pin(ReceiverStream::new(answers)))
}

pub(super) fn subscribe(
    api: &LedgerApi,
    request: pb::SubscribeRequest,
) -> Result<Response<Answers<pb::SubscribeResponse>>, Status> {
    let head = api.ledger.head().size;
    if request.from_position > head {
        return Err(status::invalid("from_position", &format!("{} is beyond the head, {head}", request.from_position)));
    }
    let (pages, answers) = mpsc::channel(PAGES_AHEAD);
    // Sent apart from the pages: it must arrive also when there is no room for another page.
    let (last, ended) = oneshot::channel();
    let api = api.clone();
    tokio::spawn(async move {
        let status = follow(&api, request, &pages).await;
        drop(pages);
        let _receiver_gone = last.send(status).is_err();
    });
    let end = futures::stream::once(ended).filter_map(|status| status.ok().flatten().map(Err));
    Ok(Response::new(Box::pin(ReceiverStream::new(answers).map(Ok).chain(end))))
}

/// Sends pages until the subscriber is gone (none), or must be let go.
async fn follow(
    api: &LedgerApi,
    request: pb::SubscribeRequest,
    pages: &mpsc::Sender<pb::SubscribeResponse>,
) -> Option<Status> {
    let view: View = request.view.into();
    let filter: Filter = filter_from_proto(request.filter);
    let mut next = request.from_position;
    let mut head = api.ledger.watch();
    let mut stopping = api.stopping.clone();
    let mut announced = false;
    loop {
        let size = head.borrow_and_update().size;
        while next < size || !announced {
            let page_filter = filter.clone();
            let page = api.read(move |ledger| {
                let page = ledger.page(next, size, false, &page_filter, PAGE)?;
                Ok((events_to_proto(ledger, page.entries, view)?, page.covered.end))
            });
            let (events, until) = match page.await {
                Ok(page) => page,
                Err(status) => return Some(status),
            };
            let answer = pb::SubscribeResponse { events, next_position: until, head: size };
            match pages.send_timeout(answer, api.stall).await {
                Ok(()) => {}
                Err(mpsc::error::SendTimeoutError::Closed(_)) => return None,
                Err(mpsc::error::SendTimeoutError::Timeout(_)) => {
                    let what = "the subscriber does not read what is sent";
                    return Some(status::ended(Code::ResourceExhausted, "SUBSCRIBER_TOO_SLOW", what, next));
                }
            }
            next = until;
            announced = true;
            if *stopping.borrow() {
                break;
            }
        }
        tokio::select! {
            moved = head.changed() => if moved.is_err() {
                return Some(status::ended(Code::Unavailable, "CLOSED", "the ledger was closed", next));
            },
            _ = stopping.wait_for(|stopping| *stopping) => {
                return Some(status::ended(Code::Unavailable, "STOPPING", "the server is stopping", next));
            }
            () = pages.closed() => return None,
        }
    }
}
