//! From events that were made to events that are recorded: what is known already, and what tags mean.

use std::collections::HashSet;

use bytes::Bytes;
use tokio::sync::MutexGuard;

use super::registry::TagBook;
use super::{Events, Intake, Reason, Refusal, Rejection, cloudevents};
use crate::event::{self, Draft, EventId, EvidenceRef, Position, Source};
use crate::ledger::{self, Blob, SmallBlob};

/// An event that a delivery became.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Recorded {
    /// Its position.
    pub position: String,
    /// Its id.
    pub id: EventId,
    /// Its type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// Its stream.
    pub stream: String,
    /// True when it was recorded before.
    pub duplicate: bool,
}

impl Recorded {
    fn of(draft: &Draft, position: Position, id: EventId, duplicate: bool) -> Self {
        let event_type = draft.data.event_type().map(|kind| kind.as_str()).unwrap_or_default().to_owned();
        Self { position: position.to_string(), id, event_type, stream: draft.stream.to_string(), duplicate }
    }
}

/// What is done about drafts whose key is known with other content.
#[derive(Debug, Clone, Copy)]
enum Again<'a> {
    /// They are in conflict.
    Conflict,
    /// What was said first stands, in whatever words it is said again.
    FirstStands,
    /// What was said first stands where it says the same in another form. The evidence of each draft, in their order.
    SameContent(&'a [(EvidenceRef, Bytes)]),
}

impl Intake {
    /// Records what a payload became, with what its tags mean. The evidence must be stored by now, or come with it.
    ///
    /// # Errors
    /// As [`ledger::Ledger::append_with`]; [`Reason::Conflict`].
    pub async fn record(
        &self,
        events: Events,
        source: &Source,
        evidence: &EvidenceRef,
        small: &[SmallBlob],
    ) -> Result<Vec<Recorded>, Refusal> {
        let again = match (events.by_content, events.repeats) {
            (true, _) => Again::SameContent(&events.evidence),
            (false, true) => Again::FirstStands,
            (false, false) => Again::Conflict,
        };
        let mut drafts = events.drafts;
        // Held until what is decided by it is recorded, together with all else.
        let book = if events.tags.is_empty() { None } else { Some(self.tags().await?) };
        if let Some(book) = &book {
            let tags = book.drafts(events.tags, source, evidence);
            drafts.extend(tags.map_err(|error| Refusal::Rejected(error.into()))?);
        }
        let recorded = if drafts.is_empty() { Vec::new() } else { self.append(drafts, small, again).await? };
        drop(book);
        for url in events.repositories {
            // An error means that nobody polls.
            let _nobody = self.inner.repositories.send(url).is_err();
        }
        Ok(recorded)
    }

    /// Appends drafts whose evidence is stored. What is known under its key stands as it was said first.
    ///
    /// # Errors
    /// As [`ledger::Ledger::append`].
    pub async fn append_new(&self, drafts: Vec<Draft>) -> Result<Vec<Recorded>, ledger::Error> {
        self.append(drafts, &[], Again::FirstStands).await.map_err(|refusal| match refusal {
            Refusal::Ledger(error) => error,
            Refusal::Rejected(rejection) => ledger::Error::invalid("dedup", rejection.to_string()),
        })
    }

    /// Reads what the ledger knows of tags, so that the first delivery that names one need not wait for it.
    ///
    /// # Errors
    /// `Corrupt`; storage errors.
    pub async fn prepare(&self) -> Result<(), ledger::Error> {
        self.tags().await.map(drop)
    }

    /// What is known of tags by now. Nobody else can decide by it while it is held.
    async fn tags(&self) -> Result<MutexGuard<'_, TagBook>, ledger::Error> {
        let mut book = self.inner.tags.lock().await;
        let mut caught_up = std::mem::take(&mut *book);
        *book = self.inner.ledger.blocking(move |ledger| caught_up.catch_up(ledger).map(|()| caught_up)).await?;
        Ok(book)
    }

    /// Appends drafts, all or none. Nearly always all are new, or known with the same content, which the ledger sees by
    /// itself; only where it finds a conflict is each looked for.
    async fn append(
        &self,
        drafts: Vec<Draft>,
        small: &[SmallBlob],
        again: Again<'_>,
    ) -> Result<Vec<Recorded>, Refusal> {
        let mut recorded: Vec<Option<Recorded>> = vec![None; drafts.len()];
        let mut rest: Vec<usize> = (0..drafts.len()).collect();
        loop {
            let sent: Vec<Draft> = rest.iter().filter_map(|n| drafts.get(*n)).cloned().collect();
            let named: HashSet<&EvidenceRef> = sent.iter().flat_map(|draft| &draft.evidence).collect();
            let named = |blob: &&SmallBlob| named.contains(blob.reference());
            let small: Vec<SmallBlob> = small.iter().filter(named).cloned().collect();
            match self.inner.ledger.append_with(sent, &small).await {
                Ok(acknowledged) => {
                    for (n, at) in rest.into_iter().zip(acknowledged.placed) {
                        if let (Some(slot), Some(draft)) = (recorded.get_mut(n), drafts.get(n)) {
                            *slot = Some(Recorded::of(draft, at.position, at.id, at.duplicate));
                        }
                    }
                    break;
                }
                Err(error @ ledger::Error::DedupConflict { .. }) => {
                    let left = self.unknown(&drafts, &mut recorded, again).await?;
                    // Where nothing more is known than at the last try, the drafts contradict each other.
                    if matches!(again, Again::Conflict) || left == rest {
                        return Err(error.into());
                    }
                    rest = left;
                    if rest.is_empty() {
                        break;
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(recorded.into_iter().flatten().collect())
    }

    /// Notes what is known under the keys of drafts, and returns which are not known.
    async fn unknown(
        &self,
        drafts: &[Draft],
        recorded: &mut [Option<Recorded>],
        again: Again<'_>,
    ) -> Result<Vec<usize>, Refusal> {
        let mut new: Vec<usize> = Vec::new();
        for (n, (draft, slot)) in drafts.iter().zip(recorded).enumerate() {
            let Some((position, id)) = self.inner.ledger.find(&draft.source, &draft.dedup).await? else {
                let twin = |earlier: &Draft| earlier.source == draft.source && earlier.dedup == draft.dedup;
                let said = new.iter().filter_map(|n| drafts.get(*n)).any(twin);
                if !(said && matches!(again, Again::FirstStands)) {
                    new.push(n);
                }
                continue;
            };
            self.same_fact(draft, position).await?;
            if let Again::SameContent(evidence) = again
                && let Some((_, bytes)) = evidence.get(n)
            {
                self.same_content(position, bytes).await?;
            }
            *slot = Some(Recorded::of(draft, position, id, true));
        }
        Ok(new)
    }

    /// That what is known under a draft's key is of its type and in its stream: in other words it may be, but not something
    /// else.
    async fn same_fact(&self, draft: &Draft, position: Position) -> Result<(), Refusal> {
        let leaf = self.inner.ledger.blocking(move |ledger| ledger.leaf(position.0)).await?;
        let corrupt = |error: event::Error| ledger::Error::Corrupt(format!("event {position}: {error}"));
        let known = event::Recorded::parse(leaf).map_err(corrupt)?;
        let event_type = draft.data.event_type().map(|kind| kind.as_str()).unwrap_or_default();
        if known.envelope().type_name != event_type || known.envelope().stream != draft.stream {
            let what = format!("the same key was recorded for something else, as event {position}");
            return Err(Rejection::new(Reason::Conflict, what).into());
        }
        Ok(())
    }

    /// That the evidence of an event says the same as these bytes. Evidence that was erased says nothing any more.
    async fn same_content(&self, position: Position, bytes: &[u8]) -> Result<(), Refusal> {
        let ledger = &self.inner.ledger;
        let leaf = ledger.blocking(move |ledger| ledger.leaf(position.0)).await?;
        let known = event::Recorded::parse(leaf).map_err(|error| ledger::Error::Corrupt(error.to_string()))?;
        for reference in &known.envelope().evidence {
            if let Blob::Intact(before) = ledger.evidence().get(reference).await?
                && !cloudevents::same(&before, bytes)
            {
                let what = format!("the same source, id and type were recorded with other content at {position}");
                return Err(Rejection::new(Reason::Conflict, what).into());
            }
        }
        Ok(())
    }
}
