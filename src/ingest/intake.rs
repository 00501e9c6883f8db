//! The way in for what other systems send: from bytes to recorded events, or to a refusal that leaves nothing behind.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Mutex, broadcast};

use super::authentication::Secrets;
use super::document::{self, Body, Incoming, Understood};
use super::registry::TagBook;
use super::upload::About;
use super::{
    Counters, Delivery, Events, Headers, Reason, Recorded, Rejection, SYSTEMS, Settings, System, Targets, cloudevents,
    redact, webhook,
};
use crate::event::{EvidenceRef, MediaType, Source, Timestamp};
use crate::ledger::{self, Ledger, SMALL_BLOB_MAX, SmallBlob};
use crate::report::Kind;

/// A webhook that is served.
#[derive(Debug, Clone)]
pub struct Hook {
    /// The end of its path.
    pub name: String,
    /// The system that reports by it.
    pub system: &'static System,
    /// What the system signs with; nothing is checked where there is none.
    pub secrets: Secrets,
    /// Who its events are from.
    pub source: Source,
}

/// Takes in what other systems send. Cheap to clone.
#[derive(Clone)]
pub struct Intake {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) ledger: Ledger,
    hooks: BTreeMap<String, Hook>,
    targets: Targets,
    body_bytes_max: usize,
    document_bytes_max: u64,
    /// How many documents may be read at once: each may hold what [`super::document`] keeps in memory.
    documents: Arc<tokio::sync::Semaphore>,
    counters: Counters,
    /// Held from a decision about tags until what was decided is recorded.
    pub(super) tags: Mutex<TagBook>,
    /// URLs of repositories in which something is new.
    pub(super) repositories: broadcast::Sender<String>,
}

/// Documents that are read at once. One may take 200 MB of memory; a third waits its turn.
const DOCUMENTS_MAX: usize = 2;

/// The media type of what a form sends.
const FORM: &str = "application/x-www-form-urlencoded";

/// What became of something that was taken.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Accepted {
    /// The events, durable by now.
    pub events: Vec<Recorded>,
    /// What was understood and makes no event.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub passed_over: Vec<String>,
    /// How many secrets were blackened.
    #[serde(skip_serializing_if = "is_zero")]
    pub redactions: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// Why something was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It is at fault itself; sending it again will not help.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The ledger cannot record it.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
}

impl Refusal {
    /// The word for it: a [`Reason`], or the ledger's kind of error.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Rejected(rejection) => rejection.reason.as_str(),
            Self::Ledger(error) => error.kind().as_str(),
        }
    }
}

impl Intake {
    /// A way into a ledger.
    ///
    /// # Errors
    /// In words, for settings that cannot be.
    pub fn new(ledger: Ledger, settings: Settings) -> Result<Self, String> {
        let inner = Inner {
            ledger,
            hooks: settings.hooks()?,
            targets: Targets::new(settings.targets)?,
            body_bytes_max: settings.body_bytes_max,
            document_bytes_max: settings.document_bytes_max,
            documents: Arc::new(tokio::sync::Semaphore::new(DOCUMENTS_MAX)),
            counters: Counters::default(),
            tags: Mutex::default(),
            repositories: broadcast::channel(1_000).0,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Most bytes of a body that are taken, compressed or not.
    #[must_use]
    pub fn body_bytes_max(&self) -> usize {
        self.inner.body_bytes_max
    }

    /// Most bytes of a document that is handed in, decompressed.
    #[must_use]
    pub fn document_bytes_max(&self) -> u64 {
        self.inner.document_bytes_max
    }

    /// The ledger that it leads into.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.inner.ledger
    }

    /// Which target is meant by what sources call it.
    #[must_use]
    pub fn targets(&self) -> &Targets {
        &self.inner.targets
    }

    /// How often what happened.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.inner.counters
    }

    /// Tells URLs of git repositories in which, as a webhook said, something is new. Only a hint: who misses one sees the
    /// news at the next poll.
    #[must_use]
    pub fn repositories(&self) -> broadcast::Receiver<String> {
        self.inner.repositories.subscribe()
    }

    /// Takes in what came by the webhook of that name. What it becomes is durable on return.
    ///
    /// # Errors
    /// [`Refusal`]; nothing was recorded.
    pub async fn deliver(&self, name: &str, headers: &Headers, body: Bytes) -> Result<Accepted, Refusal> {
        let taken = self.take(name, headers, body).await;
        match &taken {
            Ok(accepted) if accepted.events.is_empty() => {
                self.inner.counters.count(name, "passed_over");
            }
            Ok(accepted) => {
                let new = accepted.events.iter().any(|event| !event.duplicate);
                self.inner.counters.count(name, if new { "recorded" } else { "known" });
            }
            Err(refusal) => self.refused(name, refusal),
        }
        taken
    }

    /// Counts and logs something that was not taken.
    pub fn refused(&self, source: &str, refusal: &Refusal) {
        // What nobody configured is somebody's guess, and guesses must not fill the counters.
        let unknown = matches!(refusal, Refusal::Rejected(rejection) if rejection.reason == Reason::UnknownSource);
        let source = if unknown { "unknown" } else { source };
        let reason = refusal.word();
        let n = self.inner.counters.count(source, reason);
        tracing::warn!(source, reason, n, "not taken: {refusal}");
    }

    /// Takes in a document that is handed in, read from `reader`. What it becomes is durable on return.
    ///
    /// # Errors
    /// [`Refusal`]; nothing was recorded, and nothing of the document is left.
    pub async fn hand_in(
        &self,
        kind: Option<Kind>,
        about: About,
        reader: impl std::io::Read + Send + 'static,
    ) -> Result<Accepted, Refusal> {
        let taken = self.take_document(kind, about, reader).await;
        match &taken {
            Ok((format, accepted)) => {
                let new = accepted.events.iter().any(|event| !event.duplicate);
                self.inner.counters.count(format, if new { "recorded" } else { "known" });
            }
            Err((format, refusal)) => self.refused(format, refusal),
        }
        taken.map(|(_, accepted)| accepted).map_err(|(_, refusal)| refusal)
    }

    /// Returns the format's name with what came of it; `document` where it was not found out.
    async fn take_document(
        &self,
        kind: Option<Kind>,
        about: About,
        reader: impl std::io::Read + Send + 'static,
    ) -> Result<(&'static str, Accepted), (&'static str, Refusal)> {
        let unread = |refusal| ("document", refusal);
        let ledger = &self.inner.ledger;
        let closed = |_| unread(ledger::Error::Internal("no documents are read any more".to_owned()).into());
        let permit = self.inner.documents.clone().acquire_owned().await.map_err(closed)?;
        let evidence = ledger.evidence().clone();
        let received_at = ledger.clock().now();
        let bytes_max = self.inner.document_bytes_max;
        let span = tracing::Span::current();
        let reading = tokio::task::spawn_blocking(move || {
            // Also when the sender has gone away and nobody waits any more.
            let _permit = permit;
            let memory_bytes_max = document::MEMORY_BYTES_MAX;
            let incoming = Incoming { kind, about: &about, received_at, bytes_max, memory_bytes_max };
            span.in_scope(|| document::read(reader, &incoming, &evidence, &mut ()))
        });
        let read = reading.await.map_err(|error| {
            unread(ledger::Error::Internal(format!("the reading of a document failed: {error}")).into())
        })?;
        let read = read.map_err(|(format, refusal)| (format.map_or("document", |format| format.name), refusal))?;
        let (name, redactions) = (read.format.name, read.redactions);
        match self.record_document(read).await {
            Ok(events) => Ok((name, Accepted { events, redactions, ..Accepted::default() })),
            Err(refusal) => Err((name, refusal)),
        }
    }

    /// Records a document that was understood, with what its tags mean.
    ///
    /// # Errors
    /// As [`Ledger::append_with`].
    pub async fn record_document(&self, read: Understood) -> Result<Vec<Recorded>, Refusal> {
        let reference = read.body.reference().clone();
        let small = match read.body {
            Body::Small(blob) => vec![blob],
            Body::Large(blob) => self.inner.ledger.evidence().keep(blob).await.map(|_| Vec::new())?,
        };
        self.record(read.events, &read.source, &reference, &small).await
    }

    async fn take(&self, name: &str, headers: &Headers, body: Bytes) -> Result<Accepted, Refusal> {
        let hook = self.inner.hooks.get(name).ok_or_else(|| {
            Rejection::new(Reason::UnknownSource, format!("there is no webhook {name:?}: see `plimsoll sources`"))
        })?;
        if !hook.secrets.is_empty() {
            hook.system.authentication.check(&hook.secrets, headers, &body)?;
        }
        let received_at = self.inner.ledger.clock().now();
        let (taken, events) = if body.len() > INLINE_BYTES_MAX {
            let (inner, hook, headers) = (self.inner.clone(), hook.clone(), headers.clone());
            let reading = tokio::task::spawn_blocking(move || understood(&inner, &hook, &headers, body, received_at));
            let failed = |error| ledger::Error::Internal(format!("the reading of a delivery failed: {error}"));
            reading.await.map_err(failed)??
        } else {
            understood(&self.inner, hook, headers, body, received_at)?
        };
        let (redactions, reference) = (taken.redactions, taken.evidence.clone());
        let mut small = Vec::new();
        if !events.drafts.is_empty() || !events.tags.is_empty() {
            if events.evidence.is_empty() {
                small.extend(self.kept(&reference, taken.body.into()).await?);
            }
            for (part, bytes) in &events.evidence {
                small.extend(self.kept(part, bytes.clone()).await?);
            }
        }
        let passed_over = events.passed_over.clone();
        let events = self.record(events, &hook.source, &reference, &small).await?;
        Ok(Accepted { events, passed_over, redactions })
    }

    /// Stores a body in a file, or returns it where it is small enough to be committed with its events.
    async fn kept(&self, reference: &EvidenceRef, bytes: Bytes) -> Result<Option<SmallBlob>, ledger::Error> {
        if bytes.len() <= SMALL_BLOB_MAX {
            return SmallBlob::hashed(reference.clone(), bytes).map(Some);
        }
        self.inner.ledger.evidence().put(reference.media_type.clone(), &bytes).await?;
        Ok(None)
    }
}

/// Largest body that is read on the thread that serves its connection: that takes less than to hand it over.
const INLINE_BYTES_MAX: usize = 64 << 10;

/// Most events of one delivery. The largest push has some 2,000 commits.
const EVENTS_MAX: usize = 10_000;

/// Opens a body and makes events of it.
fn understood(
    inner: &Inner,
    hook: &Hook,
    headers: &Headers,
    body: Bytes,
    received_at: Timestamp,
) -> Result<(Taken, Events), Rejection> {
    let taken = opened(hook, headers, body, inner.body_bytes_max)?;
    let events = normalised(hook, headers, &taken, received_at, &inner.targets)?;
    if events.drafts.len() > EVENTS_MAX {
        let what = format!("{} events at once, and at most {EVENTS_MAX} are taken", events.drafts.len());
        return Err(Rejection::new(Reason::TooLarge, what));
    }
    Ok((taken, events))
}

/// A body as it is kept.
#[derive(Debug)]
pub(super) struct Taken {
    /// Its bytes, decompressed, secrets blackened.
    pub(super) body: Vec<u8>,
    /// It as evidence.
    pub(super) evidence: EvidenceRef,
    /// How many secrets were blackened.
    pub(super) redactions: u32,
}

/// Decompresses a body, checks what holds for every one, and blackens its secrets.
///
/// # Errors
/// What is wrong with it, before anybody asks what it says.
pub(super) fn opened(hook: &Hook, headers: &Headers, body: Bytes, bytes_max: usize) -> Result<Taken, Rejection> {
    let mut body = decoded(headers, body, bytes_max)?;
    if hook.system.name == "github" {
        body = unwrapped(headers, body);
    }
    // A CloudEvent in binary mode may bear any bytes, or none.
    let any_bytes = hook.system.name == cloudevents::NAME;
    if !any_bytes && body.trim_ascii().is_empty() {
        return Err(Rejection::new(Reason::Empty, "the body is empty"));
    }
    if let (false, Err(error)) = (any_bytes, std::str::from_utf8(&body)) {
        return Err(Rejection::new(Reason::NotUtf8, format!("byte {} is not UTF-8", error.valid_up_to())));
    }
    let redactions = webhook::blacken(hook.system, &mut body) + redact::redact(&mut body, hook.system.secret_members);
    let evidence = EvidenceRef::of(media_type("application/json", redactions)?, &body);
    Ok(Taken { body, evidence, redactions })
}

/// The JSON in a body. What GitHub sends unless told otherwise is a form with the JSON as its only field.
fn unwrapped(headers: &Headers, body: Vec<u8>) -> Vec<u8> {
    let content_type = headers.get("content-type").unwrap_or_default().trim_start();
    let form = content_type.get(..FORM.len()).is_some_and(|start| start.eq_ignore_ascii_case(FORM));
    let mut fields = body.split(|byte| *byte == b'&');
    match fields.find_map(|field| field.strip_prefix(b"payload=")) {
        Some(field) if form => {
            let spaced: Vec<u8> = field.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
            percent_encoding::percent_decode(&spaced).collect()
        }
        _ => body,
    }
}

/// A media type that says whether something was blackened.
///
/// # Errors
/// When `essence` is no media type.
pub(super) fn media_type(essence: &str, redactions: u32) -> Result<MediaType, Rejection> {
    let text = if redactions == 0 { essence.to_owned() } else { format!("{essence}; redactions={redactions}") };
    Ok(text.parse()?)
}

/// What a body says. Pure.
///
/// # Errors
/// Why it is refused.
pub(super) fn normalised(
    hook: &Hook,
    headers: &Headers,
    taken: &Taken,
    received_at: Timestamp,
    targets: &Targets,
) -> Result<Events, Rejection> {
    let (source, body, evidence) = (&hook.source, &taken.body[..], &taken.evidence);
    (hook.system.normalise)(&Delivery { headers, body, source, received_at, targets, evidence })
}

/// The body without `Content-Encoding`, at most so large.
fn decoded(headers: &Headers, body: Bytes, bytes_max: usize) -> Result<Vec<u8>, Rejection> {
    let too_large = || {
        Rejection::new(
            Reason::TooLarge,
            format!("the body has more than {bytes_max} bytes, which is the most that is taken"),
        )
    };
    let encoding = headers.get("content-encoding").unwrap_or("identity").trim().to_ascii_lowercase();
    match encoding.as_str() {
        "identity" | "" if body.len() > bytes_max => Err(too_large()),
        "identity" | "" => Ok(body.into()),
        "gzip" | "x-gzip" => {
            let mut plain = Vec::new();
            // One byte more than fits is enough to tell that it does not fit: a bomb is never blown up.
            let read = flate2::read::MultiGzDecoder::new(&body[..]).take(bytes_max as u64 + 1).read_to_end(&mut plain);
            read.map_err(|error| Rejection::new(Reason::Malformed, format!("not gzip, or cut off: {error}")))?;
            if plain.len() > bytes_max { Err(too_large()) } else { Ok(plain) }
        }
        other => Err(Rejection::new(Reason::UnsupportedEncoding, format!("{other:?}: only gzip is taken"))
            .at("content-encoding")),
    }
}

impl Settings {
    /// The webhooks that are served: those configured, or where none is, every system under its own name and unchecked.
    fn hooks(&self) -> Result<BTreeMap<String, Hook>, String> {
        let mut hooks = BTreeMap::new();
        for system in SYSTEMS.iter().filter(|_| self.webhooks.is_empty()) {
            hooks.insert(system.name.to_owned(), Hook::unchecked(system)?);
        }
        for (name, webhook) in &self.webhooks {
            hooks.insert(name.clone(), webhook.hook(name)?);
        }
        Ok(hooks)
    }
}

impl Hook {
    /// A system under its own name, believed without a check.
    ///
    /// # Errors
    /// When its name is no source.
    pub fn unchecked(system: &'static System) -> Result<Self, String> {
        let source = system.name.parse().map_err(|error: crate::event::Error| error.to_string())?;
        Ok(Self { name: system.name.to_owned(), system, secrets: Secrets::default(), source })
    }
}
