//! Reading in pages, and following.

use std::ops::Range;

use tokio::sync::{mpsc, oneshot};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Response, Status};

use super::super::convert::{View, events_to_proto, filter_from_proto};
use super::super::proto::v1 as pb;
use super::super::status;
use super::{Answers, LedgerApi, LedgerResult};
use crate::ledger::{Entry, Filter, Ledger, Page, PageLimit};

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

/// Where answers go that are sent while a task makes more of them. What the task returns is the end of the stream, and
/// arrives also when there is no room for another page: without it a stream that was cut would look complete.
pub(super) fn answers<T, F>(run: impl FnOnce(mpsc::Sender<T>) -> F) -> Response<Answers<T>>
where
    T: Send + 'static,
    F: Future<Output = Option<Status>> + Send + 'static,
{
    let (pages, answers) = mpsc::channel(PAGES_AHEAD);
    let (last, ended) = oneshot::channel();
    let task = run(pages);
    tokio::spawn(async move {
        let status = task.await;
        let _receiver_gone = last.send(status).is_err();
    });
    let failed = |_gone| Some(Status::internal("the reading failed"));
    let end = futures::stream::once(ended).filter_map(move |status| status.unwrap_or_else(failed).map(Err));
    Response::new(Box::pin(ReceiverStream::new(answers).map(Ok).chain(end)))
}

/// Hands a page to the connection, or says how the stream ends: by nothing more where the reader is gone.
pub(super) async fn hand_over<T>(api: &LedgerApi, pages: &mpsc::Sender<T>, page: T) -> Result<(), Option<Status>> {
    let mut stopping = api.stopping.clone();
    tokio::select! {
        sent = pages.send_timeout(page, api.stall) => match sent {
            Ok(()) => Ok(()),
            Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(None),
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => Err(Some(status::too_slow())),
        },
        _ = stopping.wait_for(|stopping| *stopping) => Err(Some(status::stopping())),
    }
}

pub(super) async fn read_stream(
    api: &LedgerApi,
    request: pb::ReadStreamRequest,
) -> Result<Response<Answers<pb::ReadStreamResponse>>, Status> {
    let left = remaining(request.max_events);
    // The first page is read before the answer begins, so that an unknown stream is an error and not an empty stream.
    let first = {
        let (name, from_seq, limit) = (request.stream.clone(), request.from_seq, page_limit(left).events_max);
        api.read(move |ledger| ledger.stream(&name, from_seq, limit)).await?
    };
    let api = api.clone();
    Ok(answers(|pages| async move { one_stream(&api, request, left, first, &pages).await.err().flatten() }))
}

async fn one_stream(
    api: &LedgerApi,
    request: pb::ReadStreamRequest,
    mut left: u64,
    first: Vec<Entry>,
    pages: &mpsc::Sender<pb::ReadStreamResponse>,
) -> Result<(), Option<Status>> {
    let view: View = request.view.into();
    let (name, mut from_seq, mut entries) = (request.stream, request.from_seq, first);
    while !entries.is_empty() {
        let events =
            api.read(move |ledger| events_to_proto(ledger, entries, view, PAGE.bytes_max)).await.map_err(Some)?;
        let n = events.len() as u64;
        hand_over(api, pages, pb::ReadStreamResponse { events }).await?;
        from_seq += n;
        left -= n.min(left);
        let (name, limit) = (name.clone(), page_limit(left).events_max);
        if limit == 0 {
            return Ok(());
        }
        entries = api.read(move |ledger| ledger.stream(&name, from_seq, limit)).await.map_err(Some)?;
    }
    Ok(())
}

pub(super) fn read_all(api: &LedgerApi, request: pb::ReadAllRequest) -> Response<Answers<pb::ReadAllResponse>> {
    let api = api.clone();
    answers(|pages| async move { whole_log(&api, request, &pages).await.err().flatten() })
}

async fn whole_log(
    api: &LedgerApi,
    request: pb::ReadAllRequest,
    pages: &mpsc::Sender<pb::ReadAllResponse>,
) -> Result<(), Option<Status>> {
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
            shown(ledger, page, backwards, view)
        });
        let (events, covered) = page.await.map_err(Some)?;
        left -= (events.len() as u64).min(left);
        let next_position = if backwards { covered.start } else { covered.end };
        if backwards {
            to = covered.start;
        } else {
            from = covered.end;
        }
        hand_over(api, pages, pb::ReadAllResponse { events, next_position }).await?;
    }
    Ok(())
}

/// A page for the wire, cut to what a message should hold, and what it then covers.
fn shown(ledger: &Ledger, page: Page, backwards: bool, view: View) -> LedgerResult<(Vec<pb::Event>, Range<u64>)> {
    let (n_entries, Range { start, end }) = (page.entries.len(), page.covered);
    let events = events_to_proto(ledger, page.entries, view, PAGE.bytes_max)?;
    let covered = match events.last() {
        Some(last) if events.len() < n_entries && backwards => last.position..end,
        Some(last) if events.len() < n_entries => start..last.position + 1,
        _ => start..end,
    };
    Ok((events, covered))
}

pub(super) fn subscribe(
    api: &LedgerApi,
    request: pb::SubscribeRequest,
) -> Result<Response<Answers<pb::SubscribeResponse>>, Status> {
    let head = api.ledger.head().size;
    if request.from_position > head {
        return Err(status::invalid("from_position", &format!("{} is beyond the head, {head}", request.from_position)));
    }
    let api = api.clone();
    Ok(answers(|pages| async move { follow(&api, request, &pages).await }))
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
                shown(ledger, page, false, view)
            });
            let (events, until) = match page.await {
                Ok((events, covered)) => (events, covered.end),
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
