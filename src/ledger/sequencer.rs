//! The writer's core: decides the order, gives every event its place, and commits. No threads, no clocks of its own.
//!
//! A commit goes through these steps, in this order; a crash after any of them leaves what the next start can read:
//!
//! 1. *decide*: idempotency keys and expected versions, request by request; nothing is changed.
//! 2. *place*: positions, ids, times and chain links; leaves are rendered and hashed.
//! 3. *sign*: the checkpoint of the tree with these leaves.
//! 4. *append*: leaves, checkpoint, sealed values and small evidence in one durable step of the engine. This is the commit.
//! 5. *adopt*: signer and index take in what is now so.
//!
//! A crash before 4 ends leaves nothing; after it, step 5 is derived from the log at the next start.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::engine::{AppendError, Appender, Batch, Engine, Erasure, PackedBlob, SealedValue, SubjectRecord};
use super::index::{Addition, DedupKey, Index, StreamHead, dedup_key};
use super::meter::Meter;
use super::ports::{Clock, Entropy};
use super::seal;
use super::signer::Signer;
use super::tree::leaf_hash;
use super::{Error, Result};
use crate::event::canonical::Value;
use crate::event::{
    EventId, EventType, Expected, Peek, Position, Prepared, Recorded, SubjectId, Timestamp, stream_link,
};

/// Events to append together: all of them or none.
#[derive(Clone, Default)]
pub struct Request {
    /// The events, in order.
    pub events: Vec<Prepared>,
    /// Values sealed in them, each with the index of its event in `events`.
    pub sealed: Vec<(usize, SealedValue)>,
    /// Small evidence that comes with them, each with the indexes of the events that name it.
    pub evidence: Vec<(Vec<usize>, PackedBlob)>,
    /// What these events erase.
    pub erase: Erasure,
}

impl Request {
    /// About how many bytes it holds in memory.
    #[must_use]
    pub fn size(&self) -> usize {
        let sealed: usize = self.sealed.iter().map(|(_, row)| row.value.len() + 128).sum();
        let evidence: usize = self.evidence.iter().map(|(_, blob)| blob.packed.len() + 128).sum();
        self.events.iter().map(Prepared::size_max).sum::<usize>() + sealed + evidence
    }
}

/// Where an event of a request is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Its position.
    pub position: Position,
    /// Its id.
    pub id: EventId,
    /// True when it had been recorded before, by an earlier submission of the same event.
    pub duplicate: bool,
}

/// What came of a request that was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// One for each event, in order.
    pub placed: Vec<Placed>,
    /// The signed checkpoint of a tree that holds them all.
    pub checkpoint: Arc<str>,
    /// That tree's size.
    pub size: u64,
}

/// The writer's core.
pub struct Sequencer {
    // Let go of before the appender: what closes last clears up.
    engine: Arc<dyn Engine>,
    appender: Box<dyn Appender>,
    index: Arc<Index>,
    signer: Signer,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    last_recorded_at: Timestamp,
    checkpoint: Arc<str>,
    meter: Arc<Meter>,
    stopped: Option<String>,
}

/// What a commit has decided so far, on top of the index.
#[derive(Default)]
struct Stage {
    first: u64,
    leaves: Vec<Bytes>,
    additions: Vec<Addition>,
    heads: HashMap<Arc<str>, StreamHead>,
    keys: HashMap<DedupKey, u64>,
    ids: Vec<EventId>,
    sealed: Vec<SealedValue>,
    evidence: Vec<PackedBlob>,
    erase: Erasure,
}

/// What deciding found for one event of a request.
enum Decision {
    New {
        key: DedupKey,
    },
    Known {
        position: u64,
    },
    /// The same event twice in one request.
    Twin {
        of: usize,
    },
}

/// What stands under a key that is taken.
struct Known<'a> {
    content: Option<Value>,
    id: &'a str,
    position: u64,
}

impl Sequencer {
    /// A core that continues the log of `engine`; `index` must be caught up with it and `signer` resumed from it.
    ///
    /// # Errors
    /// Storage errors.
    pub fn new(
        engine: Arc<dyn Engine>,
        index: Arc<Index>,
        signer: Signer,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self> {
        let head = engine.head()?;
        let last_recorded_at = match head.size.checked_sub(1).map(|last| engine.leaf(last)).transpose()?.flatten() {
            Some(leaf) => {
                Recorded::parse(leaf)
                    .map_err(|error| Error::Corrupt(format!("the last event: {error}")))?
                    .envelope()
                    .recorded_at
            }
            None => Timestamp::from_micros_clamped(i64::MIN),
        };
        let appender = engine.appender()?;
        let checkpoint = head.checkpoint.unwrap_or_default().into();
        let meter = Arc::default();
        let stopped = None;
        Ok(Self { appender, engine, index, signer, clock, entropy, last_recorded_at, checkpoint, meter, stopped })
    }

    /// How many events the log has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.signer.size()
    }

    /// What it counts.
    #[must_use]
    pub fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// Why nothing is written any more, if so.
    #[must_use]
    pub fn stopped(&self) -> Option<&str> {
        self.stopped.as_deref()
    }

    /// The newest signed checkpoint; empty for an empty log.
    #[must_use]
    pub fn checkpoint(&self) -> Arc<str> {
        self.checkpoint.clone()
    }

    /// Commits requests together and answers each. One request's refusal does not touch the others.
    ///
    /// After a fatal error of the engine every request, now and later, is refused.
    pub fn commit(&mut self, requests: Vec<Request>) -> Vec<Result<Acknowledged>> {
        if let Some(why) = &self.stopped {
            return requests.iter().map(|_| Err(Error::Stopped(why.clone()))).collect();
        }
        let mut stage = Stage { first: self.size(), ..Stage::default() };
        let recorded_at = self.clock.now().max(self.last_recorded_at);
        let mut answers: Vec<Result<Vec<Placed>>> = Vec::with_capacity(requests.len());
        let mut staged = Ok(());
        for request in requests {
            answers.push(match (self.decide(&stage, &request), &staged) {
                (Ok(decisions), Ok(())) => {
                    self.place(&mut stage, request, &decisions, recorded_at).inspect_err(|error| {
                        // Half a request may be on the stage: nothing of it may be written.
                        staged = Err(Failure::Refused(describe(error)));
                    })
                }
                (Ok(_), Err(failure)) => Err(failure.to_error()),
                (Err(error), _) => Err(error),
            });
        }
        match staged.and_then(|()| self.append(stage, recorded_at)) {
            Ok(()) => {
                let (checkpoint, size) = (self.checkpoint.clone(), self.size());
                answers
                    .into_iter()
                    .map(|answer| answer.map(|placed| Acknowledged { placed, checkpoint: checkpoint.clone(), size }))
                    .collect()
            }
            Err(failure) => answers
                .into_iter()
                .map(|answer| match answer {
                    // Also an answer made of duplicates alone: they may rest on an event of this very commit.
                    Ok(_) => Err(failure.to_error()),
                    Err(error) => Err(error),
                })
                .collect(),
        }
    }

    /// Checks a request against the log and what this commit holds already.
    fn decide(&self, stage: &Stage, request: &Request) -> Result<Vec<Decision>> {
        let mut decisions = Vec::with_capacity(request.events.len());
        // Streams and keys that this request itself moves; most requests have few, and one event needs none.
        let mut own_heads: HashMap<&str, u64> = HashMap::new();
        let mut own_keys: HashMap<DedupKey, usize> = HashMap::new();
        let several = request.events.len() > 1;
        for (n, event) in request.events.iter().enumerate() {
            let key = dedup_key(event.source().as_str(), event.dedup().as_str());
            if let Some(&of) = own_keys.get(&key) {
                let twin = request.events.get(of).and_then(|first| first.content().ok());
                let known = Known { content: twin, id: "in this request", position: stage.first };
                self.same(stage, request, n, event, known)?;
                decisions.push(Decision::Twin { of });
                continue;
            }
            let known = match stage.keys.get(&key) {
                Some(position) => Some(*position),
                None => self.index.dedup(&key)?,
            };
            if let Some(position) = known {
                let leaf = self.leaf(stage, position)?;
                let recorded = Recorded::parse(leaf)
                    .and_then(|recorded| Ok((recorded.content()?, recorded.envelope().id.to_string())))
                    .map_err(|error| Error::Corrupt(format!("event {position}: {error}")))?;
                let known = Known { content: Some(recorded.0), id: &recorded.1, position };
                self.same(stage, request, n, event, known)?;
                decisions.push(Decision::Known { position });
                continue;
            }
            let stream = event.stream().as_str();
            if several || event.expected() != Expected::Any {
                let head = match own_heads.get(stream) {
                    Some(seq) => Some(*seq),
                    None => self.head(stage, stream)?.map(|head| head.seq),
                };
                expect(n, event, head)?;
                own_heads.insert(stream, head.map_or(0, |seq| seq + 1));
                own_keys.insert(key, n);
            }
            decisions.push(Decision::New { key });
        }
        Ok(decisions)
    }

    /// Gives the new events of a request their places. Renders the leaves; changes nothing but the stage.
    fn place(
        &self,
        stage: &mut Stage,
        request: Request,
        decisions: &[Decision],
        recorded_at: Timestamp,
    ) -> Result<Vec<Placed>> {
        let mut placed: Vec<Placed> = Vec::with_capacity(decisions.len());
        let mut any_new = false;
        for (event, decision) in request.events.iter().zip(decisions) {
            if !matches!(decision, Decision::New { .. }) {
                self.meter.repeated(event.type_name(), event.source().as_str());
            }
            placed.push(match decision {
                Decision::New { key } => {
                    any_new = true;
                    self.place_one(stage, event, *key, recorded_at)?
                }
                Decision::Known { position } => {
                    Placed { position: Position(*position), id: self.id_at(stage, *position)?, duplicate: true }
                }
                Decision::Twin { of } => match placed.get(*of) {
                    Some(first) => Placed { duplicate: true, ..*first },
                    None => return Err(Error::Internal("a twin before its first".to_owned())),
                },
            });
        }
        if any_new {
            // Values of duplicates among them were drawn in vain; only what a leaf names is kept.
            let new = |of: &usize| matches!(decisions.get(*of), Some(Decision::New { .. }));
            stage.sealed.extend(request.sealed.into_iter().filter(|(of, _)| new(of)).map(|(_, row)| row));
            // What was recorded before may have been erased since: its blob must not come back with it.
            let named = |of: &Vec<usize>| of.iter().any(new);
            stage.evidence.extend(request.evidence.into_iter().filter(|(of, _)| named(of)).map(|(_, blob)| blob));
            stage.erase.subjects.extend(request.erase.subjects);
            stage.erase.values.extend(request.erase.values);
            stage.erase.blobs.extend(request.erase.blobs);
        }
        Ok(placed)
    }

    fn place_one(&self, stage: &mut Stage, event: &Prepared, key: DedupKey, at: Timestamp) -> Result<Placed> {
        let position = stage.first + stage.leaves.len() as u64;
        if position >= EventId::POSITION_LIMIT {
            return Err(Error::Refused(format!("a ledger holds at most {} events", EventId::POSITION_LIMIT)));
        }
        let mut random = [0; 4];
        self.entropy.fill(&mut random);
        let id = EventId::new(at, Position(position), u32::from_le_bytes(random));
        let name = event.stream().as_str();
        let (stream, head) = match stage.heads.get_key_value(name) {
            Some((stream, head)) => (stream.clone(), Some(*head)),
            None => (Arc::from(name), self.index.head(name)?),
        };
        let seq = head.map_or(0, |head| head.seq + 1);
        let leaf = event.leaf(id, at, seq, head.as_ref().map(|head| &head.hash));
        let link = stream_link(&leaf);
        stage.heads.insert(stream.clone(), StreamHead { seq, hash: link });
        stage.keys.insert(key, position);
        stage.additions.push(Addition { stream, seq, link, dedup: key, leaf_hash: leaf_hash(&leaf) });
        stage.leaves.push(leaf);
        stage.ids.push(id);
        Ok(Placed { position: Position(position), id, duplicate: false })
    }

    fn append(&mut self, stage: Stage, recorded_at: Timestamp) -> Result<(), Failure> {
        if stage.leaves.is_empty() {
            return Ok(());
        }
        let hashes = stage.additions.iter().map(|addition| addition.leaf_hash);
        let signed = self.signer.sign(hashes).map_err(|error| Failure::Refused(error.to_string()))?;
        let batch = Batch {
            first: stage.first,
            leaves: stage.leaves,
            checkpoint: Some(signed.note().to_owned()),
            sealed: stage.sealed,
            evidence: stage.evidence,
            subjects: Vec::new(),
            erase: stage.erase,
        };
        self.apply(&batch)?;
        self.checkpoint = signed.note().into();
        self.signer.confirm(signed);
        self.index.apply(stage.additions);
        self.last_recorded_at = recorded_at;
        Ok(())
    }

    fn apply(&mut self, batch: &Batch) -> Result<(), Failure> {
        match self.appender.append(batch) {
            Ok(()) => {
                self.appender.maintain();
                Ok(())
            }
            Err(AppendError::Refused(error)) => {
                tracing::error!(%error, "nothing was written");
                Err(Failure::Refused(describe(&error)))
            }
            Err(AppendError::Moved { size }) => {
                let why = format!("another writer moved the log from {} to {size} events", batch.first);
                self.stopped = Some(why.clone());
                Err(Failure::Stopped(why))
            }
            Err(AppendError::Fatal(error)) => {
                let why = describe(&error);
                tracing::error!(error = %why, "the writer stops: whether the last commit is durable is not known");
                self.stopped = Some(why.clone());
                Err(Failure::Unknown(why))
            }
        }
    }

    /// The pseudonyms of identities: those that exist, and new ones for the others, durable on return.
    ///
    /// # Errors
    /// As for a commit.
    pub fn subjects(&mut self, identities: &[String]) -> Result<Vec<SubjectId>> {
        if let Some(why) = &self.stopped {
            return Err(Error::Stopped(why.clone()));
        }
        let mut ids = Vec::with_capacity(identities.len());
        let mut fresh: Vec<SubjectRecord> = Vec::new();
        for identity in identities {
            if let Some(known) = fresh.iter().find(|record| record.identity == *identity) {
                ids.push(known.id.clone());
            } else if let Some(known) = self.engine.subject_of(identity)? {
                ids.push(known.id);
            } else {
                let mut salt = [0; 32];
                self.entropy.fill(&mut salt);
                let id = SubjectId::commit(&salt, identity);
                ids.push(id.clone());
                fresh.push(SubjectRecord { id, salt, identity: identity.clone() });
            }
        }
        if !fresh.is_empty() {
            let batch = Batch { first: self.size(), subjects: fresh, ..Batch::default() };
            self.apply(&batch).map_err(|failure| failure.to_error())?;
        }
        Ok(ids)
    }

    fn head(&self, stage: &Stage, stream: &str) -> Result<Option<StreamHead>> {
        match stage.heads.get(stream) {
            Some(head) => Ok(Some(*head)),
            None => self.index.head(stream),
        }
    }

    fn leaf(&self, stage: &Stage, position: u64) -> Result<Bytes> {
        let staged = position.checked_sub(stage.first).and_then(|n| stage.leaves.get(usize::try_from(n).ok()?));
        match staged {
            Some(leaf) => Ok(leaf.clone()),
            None => self.engine.leaf(position)?.ok_or_else(|| Error::Corrupt(format!("event {position} is missing"))),
        }
    }

    fn id_at(&self, stage: &Stage, position: u64) -> Result<EventId> {
        let leaf = self.leaf(stage, position)?;
        let corrupt = |error: crate::event::Error| Error::Corrupt(format!("event {position}: {error}"));
        Peek::new(&leaf).and_then(|peek| peek.id.parse()).map_err(corrupt)
    }

    /// Holds a submission under a known key to the content that was recorded under it.
    fn same(&self, stage: &Stage, request: &Request, index: usize, event: &Prepared, known: Known<'_>) -> Result<()> {
        let position = known.position;
        let submitted = event.content().map_err(|error| Error::Draft { index, error })?;
        let recorded = known.content.ok_or_else(|| Error::Corrupt(format!("event {position} cannot be read")))?;
        let compare = seal::Comparison {
            engine: &*self.engine,
            fresh: &request.sealed,
            staged: &stage.sealed,
            erasures: event.type_name() == EventType::SubjectErased.as_str(),
        };
        match compare.difference(&submitted, &recorded)? {
            None => Ok(()),
            Some(field) => Err(Error::DedupConflict {
                index,
                source_name: event.source().to_string(),
                dedup: event.dedup().to_string(),
                position: Position(position),
                id: known.id.to_owned(),
                differs: format!("{field} differs"),
            }),
        }
    }
}

/// Holds a stream's head to what the writer expects of it.
fn expect(index: usize, event: &Prepared, head: Option<u64>) -> Result<()> {
    let fine = match event.expected() {
        Expected::Any => true,
        Expected::Empty => head.is_none(),
        Expected::Seq(seq) => head == Some(seq),
    };
    if fine {
        return Ok(());
    }
    let words = |head: Option<u64>| head.map_or_else(|| "no event".to_owned(), |seq| format!("seq {seq}"));
    Err(Error::WrongVersion {
        index,
        stream: event.stream().to_string(),
        expected: words(match event.expected() {
            Expected::Seq(seq) => Some(seq),
            Expected::Empty | Expected::Any => None,
        }),
        actual: words(head),
    })
}

/// An error with the causes behind it, in one line.
fn describe(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// Why a commit failed, in a form that can be told to every request of it.
enum Failure {
    Refused(String),
    Unknown(String),
    Stopped(String),
}

impl Failure {
    fn to_error(&self) -> Error {
        match self {
            Self::Refused(what) => Error::CannotWrite { what: what.clone(), source: None },
            Self::Unknown(what) => Error::OutcomeUnknown { what: what.clone() },
            Self::Stopped(what) => Error::Stopped(what.clone()),
        }
    }
}
