//! `GET /v1/events`: the log as CloudEvents with CDEvents in them, in pages or as it grows. Read by cursor like every other
//! reader: nothing is queued for anybody, and who comes back names the position to go on from.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::http::Shared;
use crate::cdevents::{self, Told};
use crate::event::Recorded;
use crate::ledger::{Error, Filter, Kind, Ledger, Page, PageLimit, Result, SignedHead};

/// How much a page holds, as for every reader.
const PAGE: PageLimit = PageLimit { events_max: 1000, bytes_max: 1 << 20, scanned_max: 50_000 };

/// How long a page is waited for that has nothing in it yet: below what proxies cut idle connections after.
const WAIT: Duration = Duration::from_secs(25);

/// How often a stream without news shows that it is alive.
const ALIVE: Duration = Duration::from_secs(15);

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Asked {
    from: u64,
    follow: bool,
    limit: Option<usize>,
    private: bool,
    filter: Filter,
    /// Which types pass, some of them in the words of CDEvents: what an event is called there is known only when it is told.
    told: Filter,
}

impl Asked {
    /// Of a query.
    ///
    /// # Errors
    /// What is wrong with it, in words, with the name of the parameter.
    fn of(query: &str) -> std::result::Result<Self, (String, String)> {
        let mut asked = Self::default();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, text) = part.split_once('=').unwrap_or((part, ""));
            let plain = text.replace('+', " ");
            let plain = percent_encoding::percent_decode_str(&plain).decode_utf8_lossy().into_owned();
            let wrong = |what: &str| (name.to_owned(), format!("{plain:?} is {what}"));
            let flag = || match plain.as_str() {
                "true" | "" => Ok(true),
                "false" => Ok(false),
                _ => Err(wrong("neither true nor false")),
            };
            match name {
                "from" => asked.from = plain.parse().map_err(|_why| wrong("no position"))?,
                "limit" => match plain.parse() {
                    Ok(0) | Err(_) => return Err(wrong("no number of events from 1")),
                    Ok(limit) => asked.limit = Some(limit),
                },
                "follow" => asked.follow = flag()?,
                "private" => asked.private = flag()?,
                "stream" => asked.filter.stream_prefix = plain,
                "type" => asked.filter.types.push(plain),
                _ => return Err((name.to_owned(), "there is no such parameter".to_owned())),
            }
        }
        if asked.filter.types.iter().any(|name| name.starts_with("dev.")) {
            asked.told.types = std::mem::take(&mut asked.filter.types);
        }
        Ok(asked)
    }
}

pub(super) async fn events(State(shared): State<Shared>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let mut asked = match Asked::of(query.as_deref().unwrap_or_default()) {
        Ok(asked) => asked,
        Err((field, what)) => return wrong(&field, &what),
    };
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let streamed = text(header::ACCEPT).to_ascii_lowercase().contains("text/event-stream");
    if streamed {
        // A client that was cut off says what it saw last, and keeps the URL that it began with.
        let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
        match last.map(|last| last.trim().parse::<u64>()) {
            Some(Ok(last)) => asked.from = last.saturating_add(1),
            Some(Err(_)) => return wrong("last-event-id", "is no position"),
            None => {}
        }
    }
    let size = shared.ledger.head().size;
    if asked.from > size {
        return wrong("from", &format!("{} is beyond the head, {size}", asked.from));
    }
    if streamed { feed(shared, asked) } else { page(shared, asked).await }
}

fn wrong(field: &str, what: &str) -> Response {
    let body = json!({"error": {"reason": "bad_field", "field": field, "message": format!("{field}: {what}")}});
    (StatusCode::BAD_REQUEST, axum::Json(body)).into_response()
}

fn failed(error: &Error) -> Response {
    tracing::error!(%error, "a request failed");
    let status = match error.kind() {
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let body = json!({"error": {"reason": error.kind().as_str(), "field": null, "message": error.to_string()}});
    (status, axum::Json(body)).into_response()
}

/// A stretch of the log: its events with their positions, and where to go on.
struct Stretch {
    events: Vec<(u64, Value)>,
    next: u64,
}

/// Reads as much as a page holds, of the log up to `size`.
async fn read(ledger: &Ledger, asked: &Asked, from: u64, size: u64) -> Result<Stretch> {
    let (asked, events_max) = (asked.clone(), asked.limit.unwrap_or(PAGE.events_max).min(PAGE.events_max));
    let read = move |ledger: &Ledger| {
        let page = ledger.page(from, size, false, &asked.filter, PageLimit { events_max, ..PAGE })?;
        told(ledger, page, &asked)
    };
    ledger.blocking(read).await
}

/// A page in the words of CDEvents, cut where it grows beyond what a page holds.
fn told(ledger: &Ledger, page: Page, asked: &Asked) -> Result<Stretch> {
    let origin = ledger.key().name();
    let mut stretch = Stretch { events: Vec::new(), next: page.covered.end };
    let mut n_bytes = 0;
    let mut entries = page.entries.into_iter().peekable();
    while let Some(entry) = entries.next() {
        let corrupt = |error: crate::event::Error| Error::Corrupt(format!("event {}: {error}", entry.position));
        n_bytes += entry.leaf.len();
        let event = Recorded::parse(entry.leaf.clone()).map_err(corrupt)?;
        let mut values = Vec::new();
        if asked.private {
            values.extend(ledger.private_values(&event)?.into_iter().map(|row| (row.id.to_string(), row.value)));
            values.extend(ledger.subjects_of(&event)?.into_iter().map(|row| (row.id.to_string(), row.identity)));
            n_bytes += values.iter().map(|(_, text)| text.len()).sum::<usize>();
        }
        let told = cdevents::envelope(&Told { event: &event, origin, private: &values }).map_err(corrupt)?;
        let kind = told.get("type").and_then(Value::as_str).unwrap_or_default();
        if asked.told.admits("", kind) || asked.told.admits("", &event.envelope().type_name) {
            stretch.events.push((entry.position, told));
        }
        if n_bytes >= PAGE.bytes_max
            && let Some(next) = entries.peek()
        {
            stretch.next = next.position;
            break;
        }
    }
    Ok(stretch)
}

/// One page. One that follows waits a while for the first event.
async fn page(shared: Shared, asked: Asked) -> Response {
    let mut head = shared.ledger.watch();
    let mut stopping = shared.stopping.clone();
    let deadline = tokio::time::Instant::now() + WAIT;
    let mut from = asked.from;
    loop {
        let size = head.borrow_and_update().size;
        let stretch = match read(&shared.ledger, &asked, from, size).await {
            Ok(stretch) => stretch,
            Err(error) => return failed(&error),
        };
        from = stretch.next;
        if !asked.follow || !stretch.events.is_empty() {
            return batch(stretch, size);
        }
        if from < size {
            continue;
        }
        let over = tokio::select! {
            moved = head.changed() => moved.is_err(),
            () = tokio::time::sleep_until(deadline) => true,
            _ = stopping.wait_for(|stopping| *stopping) => true,
        };
        if over {
            return batch(stretch, size);
        }
    }
}

/// A page as CloudEvents in batch mode. Headers say where to go on, and how far the log went.
fn batch(stretch: Stretch, size: u64) -> Response {
    let events: Vec<Value> = stretch.events.into_iter().map(|(_, event)| event).collect();
    let mut response = Value::Array(events).to_string().into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/cloudevents-batch+json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("plimsoll-next-position", HeaderValue::from(stretch.next));
    headers.insert("plimsoll-head", HeaderValue::from(size));
    response
}

/// How far a feed is.
struct Feed {
    shared: Shared,
    asked: Asked,
    head: watch::Receiver<SignedHead>,
    next: u64,
    left: Option<usize>,
    ended: bool,
}

/// Server-sent events whose ids are positions, up to the head or, following, for as long as the reader stays. Each piece
/// is read when the reader has taken the one before.
fn feed(shared: Shared, asked: Asked) -> Response {
    let head = shared.ledger.watch();
    let feed = Feed { head, next: asked.from, left: asked.limit, ended: false, shared, asked };
    let pieces = stream::unfold(feed, |mut feed| async move {
        let piece = feed.piece().await?;
        Some((Ok::<_, Infallible>(Bytes::from(piece)), feed))
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    (headers, Body::from_stream(pieces)).into_response()
}

impl Feed {
    /// What is sent next; none at the end.
    async fn piece(&mut self) -> Option<String> {
        loop {
            if self.ended || self.left == Some(0) || *self.shared.stopping.borrow() {
                return None;
            }
            let size = self.head.borrow_and_update().size;
            if self.next < size {
                return Some(self.news(size).await);
            }
            if !self.asked.follow {
                return None;
            }
            let mut stopping = self.shared.stopping.clone();
            tokio::select! {
                moved = self.head.changed() => if moved.is_err() { return None },
                () = tokio::time::sleep(ALIVE) => return Some(":\n\n".to_owned()),
                _ = stopping.wait_for(|stopping| *stopping) => return None,
            }
        }
    }

    /// The next stretch. One in which nothing passes the filter is told, too: by its last id, so that who comes back does
    /// not go through it again.
    async fn news(&mut self, size: u64) -> String {
        let asked = Asked { limit: self.left, ..self.asked.clone() };
        let stretch = match read(&self.shared.ledger, &asked, self.next, size).await {
            Ok(stretch) => stretch,
            Err(error) => {
                tracing::error!(%error, "a feed failed");
                self.ended = true;
                let body = json!({"reason": error.kind().as_str(), "message": error.to_string()});
                return format!("event: error\ndata: {body}\n\n");
            }
        };
        self.next = stretch.next;
        self.left = self.left.map(|left| left.saturating_sub(stretch.events.len()));
        let mut text = String::new();
        let mut last = None;
        for (position, event) in stretch.events {
            text.push_str(&format!("id: {position}\ndata: {event}\n\n"));
            last = Some(position);
        }
        let seen = self.next.checked_sub(1);
        if let Some(seen) = seen.filter(|_| seen != last) {
            text.push_str(&format!("id: {seen}\n\n"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_name_what_is_wrong_with_them() {
        let asked =
            Asked::of("from=7&follow=true&type=branch.*&type=sync.succeeded&stream=repo%2Fx&limit=5&private").unwrap();
        assert_eq!((asked.from, asked.follow, asked.limit, asked.private), (7, true, Some(5), true));
        assert_eq!(asked.filter.types, ["branch.*", "sync.succeeded"]);
        assert_eq!(asked.filter.stream_prefix, "repo/x");
        for (query, field) in
            [("from=-1", "from"), ("limit=0", "limit"), ("follow=maybe", "follow"), ("form=1", "form")]
        {
            assert_eq!(Asked::of(query).unwrap_err().0, field);
        }
    }
}
