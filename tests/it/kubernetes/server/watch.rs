//! Watches: what happened after a revision, one JSON object a line, for as long as the client wants.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::failure::Failure;
use super::list::shown;
use super::request::Request;
use super::selector::Selector;
use super::store::{Change, Did};
use super::{Shared, State};

/// In server seconds: how often a quiet watch hears of the store's revision.
const BOOKMARK_EVERY: u32 = 60;
/// In server seconds: the last bookmark of a watch comes so long before its end.
const BOOKMARK_BEFORE_END: u32 = 2;
/// In server seconds: how long a watch lasts that does not say. Real servers take a random time from this on.
const TIMEOUT: u32 = 1800;
/// How many lines go out as one frame.
const LINES: usize = 64;

/// What a client gets of a line when its stream is torn.
const TORN: &str = "{\"type\":\"MODIFIED\",\"object\":{\"apiVersion\":\"argoproj.io/v1al";

/// The part of a response that a stream yields.
pub type Piece = Result<Frame<Bytes>, std::io::Error>;

/// One watch.
pub struct Watch {
    request: Request,
    prefix: String,
    selector: Selector,
    /// The last revision that was told of.
    cursor: u64,
    bookmarks: bool,
    second: Duration,
    deadline: Instant,
    next_bookmark: Instant,
    initial: Vec<String>,
    /// What ends it as soon as it is sent.
    failed: bool,
    breaks: u64,
    ends: u64,
    marked: u64,
}

enum Step {
    Send(Vec<String>),
    Wait(Option<Instant>),
    End,
    /// With what is sent of a line before.
    Break(&'static str),
}

fn line(word: &str, object: &Value) -> String {
    format!("{}\n", json!({"type": word, "object": object}))
}

impl Watch {
    /// Begins a watch, or refuses it before the first byte.
    pub fn begin(request: Request, state: &mut State, second: Duration) -> Result<Self, Failure> {
        if state.faults.cold.remove(request.kind.plural) {
            let mut failure = Failure::new(429, "TooManyRequests", "storage is (re)initializing");
            failure.retry_after = Some(1);
            return Err(failure);
        }
        let version = request.parameter("resourceVersion").unwrap_or("0");
        let revision: u64 = version
            .parse()
            .ok()
            .ok_or_else(|| Failure::internal(format!("strconv.ParseUint: parsing \"{version}\": invalid syntax")))?;
        let initial = match request.parameter("sendInitialEvents") {
            Some("true") => true,
            Some(_) => false,
            None => revision == 0,
        };
        let not_older = request.parameter("resourceVersionMatch") == Some("NotOlderThan");
        if request.parameter("sendInitialEvents").is_some() && !not_older {
            let message = "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: \
                sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
            return Err(Failure::new(422, "Invalid", message));
        }
        let selector = request.selector()?;
        let seconds = request.parameter("timeoutSeconds").and_then(|text| text.parse().ok()).filter(|text| *text > 0);
        let now = Instant::now();
        let mut watch = Self {
            prefix: request.kind.prefix(request.scope()),
            selector,
            cursor: revision,
            bookmarks: request.flag("allowWatchBookmarks"),
            second,
            deadline: now + second * seconds.unwrap_or(TIMEOUT),
            next_bookmark: now,
            initial: Vec::new(),
            failed: false,
            breaks: state.faults.breaks,
            ends: state.faults.ends,
            marked: state.faults.bookmarks,
            request,
        };
        watch.plan_bookmark(now);
        watch.prepare(state, initial);
        Ok(watch)
    }

    fn prepare(&mut self, state: &State, initial: bool) {
        let store = &state.store;
        if self.bookmarks && !state.options.request_progress {
            self.fail(&Failure::internal("required storage feature RequestWatchProgress is disabled"));
        } else if initial {
            let objects = store.range(&self.prefix).filter(|(_, object)| self.selector.matches(object));
            self.initial = objects.map(|(_, object)| line("ADDED", &shown(&self.request, object))).collect();
            self.cursor = store.revision();
            if self.bookmarks {
                let mut bookmark = self.bookmark();
                bookmark["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
                self.initial.push(line("BOOKMARK", &bookmark));
            }
        } else if self.cursor == 0 {
            self.cursor = store.revision();
        } else if self.cursor < store.cached_from {
            let message = format!("too old resource version: {} ({})", self.cursor, store.cached_from);
            self.fail(&Failure::expired(message));
        }
    }

    fn fail(&mut self, failure: &Failure) {
        self.initial = vec![line("ERROR", &failure.status())];
        self.failed = true;
    }

    fn plan_bookmark(&mut self, now: Instant) {
        let regular = now + self.second * BOOKMARK_EVERY;
        let last = self.deadline.checked_sub(self.second * BOOKMARK_BEFORE_END).filter(|last| *last > now);
        self.next_bookmark = last.map_or(regular, |last| last.min(regular));
    }

    fn bookmark(&self) -> Value {
        let (kind, api_version) = if self.request.partial {
            ("PartialObjectMetadata", "meta.k8s.io/v1".to_owned())
        } else {
            (self.request.kind.kind, self.request.kind.api_version())
        };
        json!({"kind": kind, "apiVersion": api_version, "metadata": {"resourceVersion": self.cursor.to_string()}})
    }

    fn told(&self, change: &Change) -> Option<String> {
        if !change.key.starts_with(&self.prefix) {
            return None;
        }
        let was = change.before.as_ref().is_some_and(|before| self.selector.matches(before));
        let is = change.did != Did::Delete && self.selector.matches(&change.object);
        let word = match (was, is) {
            (false, false) => return None,
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
        };
        let mut object = shown(&self.request, &change.object);
        if let (true, false, Some(before)) = (was, is, &change.before) {
            object = shown(&self.request, before);
            object["metadata"]["resourceVersion"] = json!(change.revision.to_string());
        }
        Some(line(word, &object))
    }

    fn step(&mut self, state: &State) -> Step {
        if state.faults.breaks != self.breaks {
            return Step::Break(if state.faults.torn { TORN } else { "" });
        }
        if state.faults.ends != self.ends {
            return Step::End;
        }
        if state.faults.stalled {
            return Step::Wait(None);
        }
        let mut lines = std::mem::take(&mut self.initial);
        if self.failed {
            return if lines.is_empty() { Step::End } else { Step::Send(lines) };
        }
        for change in state.store.since(self.cursor).iter().take(LINES) {
            self.cursor = change.revision;
            lines.extend(self.told(change));
        }
        let now = Instant::now();
        let pending = !state.store.since(self.cursor).is_empty();
        let caught_up = !pending && self.cursor <= state.store.revision();
        let due = self.bookmarks && caught_up && (now >= self.next_bookmark || state.faults.bookmarks != self.marked);
        if due {
            self.marked = state.faults.bookmarks;
            self.plan_bookmark(now);
            self.cursor = state.store.revision();
            lines.push(line("BOOKMARK", &self.bookmark()));
        }
        if pending || !lines.is_empty() {
            return Step::Send(lines);
        }
        if now >= self.deadline {
            return Step::End;
        }
        let bookmark = (self.bookmarks && caught_up).then_some(self.next_bookmark).filter(|next| *next > now);
        Step::Wait(Some(bookmark.unwrap_or(self.deadline).min(self.deadline)))
    }

    /// Tells what happens until the client, the time or a fault ends it.
    pub async fn run(mut self, shared: Arc<Shared>, to: mpsc::Sender<Piece>) {
        let mut signal = shared.signal.subscribe();
        loop {
            signal.mark_unchanged();
            let step = self.step(&shared.state());
            match step {
                Step::Send(lines) => {
                    for lines in lines.chunks(LINES) {
                        if to.send(Ok(Frame::data(Bytes::from(lines.concat())))).await.is_err() {
                            return;
                        }
                    }
                }
                Step::Wait(until) => {
                    let time = async {
                        match until {
                            Some(until) => tokio::time::sleep_until(until).await,
                            None => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        () = time => {}
                        changed = signal.changed() => if changed.is_err() { return },
                        () = to.closed() => return,
                    }
                }
                Step::End => return,
                Step::Break(torn) => {
                    if to.send(Ok(Frame::data(Bytes::from_static(torn.as_bytes())))).await.is_err() {
                        return;
                    }
                    // What was sent before goes out before the connection does.
                    tokio::task::yield_now().await;
                    let cut = std::io::Error::new(std::io::ErrorKind::ConnectionAborted, "the stream was dropped");
                    let _closed = to.send(Err(cut)).await.is_err();
                    return;
                }
            }
        }
    }
}
