//! From events that were made to events that are recorded: what is known already, and what tags mean.

use tokio::sync::MutexGuard;

use super::registry::TagBook;
use super::{Events, Intake, Reason, Refusal, Rejection};
use crate::event::{self, Draft, EventId, EvidenceRef, Source};
use crate::ledger::{self, SmallBlob};

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
    /// What a draft becomes once its place is known.
    fn named(draft: &Draft) -> impl FnOnce(String, EventId, bool) -> Self + use<> {
        let event_type = draft.data.event_type().map(|kind| kind.as_str()).unwrap_or_default().to_owned();
        let stream = draft.stream.to_string();
        move |position, id, duplicate| Self { position, id, event_type, stream, duplicate }
    }
}

/// What is done about drafts whose key is known with other content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    /// They are in conflict.
    Conflict,
    /// What was said first stands, in whatever words it is said again.
    FirstStands,
    /// What was said first stands where the evidence is the same: only the time of receipt differs.
    SameEvidence,
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
        let again = match (events.untimed, events.repeats) {
            (true, _) => Again::SameEvidence,
            (false, true) => Again::FirstStands,
            (false, false) => Again::Conflict,
        };
        let mut recorded = Vec::new();
        if !events.drafts.is_empty() {
            recorded = self.append(events.drafts, small, again).await?;
        }
        if !events.tags.is_empty() {
            let mut book = self.tags().await?;
            let draft = |error| ledger::Error::Draft { index: 0, error };
            let drafts = book.drafts(events.tags, source, evidence).map_err(draft)?;
            if !drafts.is_empty() {
                recorded.extend(self.append(drafts, small, Again::FirstStands).await?);
            }
        }
        for url in events.repositories {
            // An error means that nobody polls.
            let _nobody = self.inner.repositories.send(url).is_err();
        }
        Ok(recorded)
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
    async fn append(&self, drafts: Vec<Draft>, small: &[SmallBlob], again: Again) -> Result<Vec<Recorded>, Refusal> {
        let mut n_known = None;
        let (mut known, mut rest) = (Vec::new(), drafts.clone());
        loop {
            let said: Vec<_> = rest.iter().map(Recorded::named).collect();
            match self.inner.ledger.append_with(rest, small).await {
                Ok(acknowledged) => {
                    let placed = said.into_iter().zip(acknowledged.placed);
                    known.extend(placed.map(|(named, at)| named(at.position.to_string(), at.id, at.duplicate)));
                    return Ok(known);
                }
                // Where nothing more is known since the last try, the drafts contradict each other.
                Err(ledger::Error::DedupConflict { .. }) if again != Again::Conflict && n_known != Some(known.len()) => {
                    n_known = Some(known.len());
                }
                Err(error) => return Err(error.into()),
            }
            (known, rest) = self.unknown(&drafts, again).await?;
            if rest.is_empty() {
                return Ok(known);
            }
        }
    }

    /// Parts drafts into what is known under its key, and what is not.
    async fn unknown(&self, drafts: &[Draft], again: Again) -> Result<(Vec<Recorded>, Vec<Draft>), Refusal> {
        let ledger = &self.inner.ledger;
        let (mut known, mut new) = (Vec::new(), Vec::<Draft>::new());
        for draft in drafts {
            let twin = |earlier: &Draft| earlier.source == draft.source && earlier.dedup == draft.dedup;
            let Some((position, id)) = ledger.find(&draft.source, &draft.dedup).await? else {
                if again == Again::SameEvidence || !new.iter().any(twin) {
                    new.push(draft.clone());
                }
                continue;
            };
            if again == Again::SameEvidence {
                let leaf = ledger.blocking(move |ledger| ledger.leaf(position.0)).await?;
                let first = event::Recorded::parse(leaf).map_err(|error| ledger::Error::Corrupt(error.to_string()))?;
                if first.envelope().evidence != draft.evidence {
                    let what = format!("the same id was recorded with other content, as event {position} ({id})");
                    return Err(Rejection::new(Reason::Conflict, what).into());
                }
            }
            known.push(Recorded::named(draft)(position.to_string(), id, true));
        }
        Ok((known, new))
    }
}
