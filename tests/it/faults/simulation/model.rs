//! What a ledger is, without any of the reasons why it is hard: a list, and maps into it.

use std::collections::{BTreeMap, HashMap};

use plimsoll::event::ledger::{ErasureGround, SubjectErased};
use plimsoll::event::{Draft, Expected, Recorded, SubjectId, Timestamp};

use crate::support::draft;

/// What an event says, as far as it can differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    Birth,
    /// The same tag at another time is another content.
    Tag {
        other: bool,
    },
    Commit {
        person: String,
        message: String,
    },
    Erasure {
        of: SubjectId,
    },
}

/// An event to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) stream: String,
    pub(super) dedup: String,
    pub(super) n: u64,
    pub(super) content: Content,
    pub(super) expected: Expected,
}

impl Event {
    pub(super) fn new(stream: &str, dedup: String, n: u64, content: Content) -> Self {
        Self { stream: stream.to_owned(), dedup, n, content, expected: Expected::Any }
    }
}

/// What a request must be answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Position of each event, and whether it was there before.
    Placed(Vec<(u64, bool)>),
    /// The event at this index expected another version of its stream.
    WrongVersion(usize),
    /// The event at this index has the key of another one.
    Conflict(usize),
}

/// A recorded event.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    event: Event,
    seq: u64,
    /// The author, of a commit.
    author: Option<SubjectId>,
    erased: bool,
}

#[derive(Default)]
pub(super) struct Model {
    log: Vec<Entry>,
    /// Pseudonyms.
    pub(super) people: BTreeMap<String, SubjectId>,
    /// Whether the writer refuses everything until it is started again.
    pub(super) stopped: bool,
    links: HashMap<String, [u8; 32]>,
    last_recorded_at: Option<Timestamp>,
}

impl Model {
    pub(super) fn birth(&mut self) {
        let event = Event::new("ledger", "created".to_owned(), 0, Content::Birth);
        self.log.push(Entry { event, seq: 0, author: None, erased: false });
    }

    pub(super) fn size(&self) -> u64 {
        self.log.len() as u64
    }

    /// Sequence number of a stream's last event.
    pub(super) fn head(&self, stream: &str) -> Option<u64> {
        self.log.iter().rfind(|entry| entry.event.stream == stream).map(|entry| entry.seq)
    }

    pub(super) fn heads(&self) -> Vec<(String, u64)> {
        let heads: BTreeMap<_, _> = self.log.iter().map(|entry| (entry.event.stream.clone(), entry.seq)).collect();
        heads.into_iter().collect()
    }

    /// Private values that must be beside the log.
    pub(super) fn n_private(&self) -> usize {
        self.log.iter().filter(|entry| entry.author.is_some() && !entry.erased).count()
    }

    /// What requests committed together must be answered, and what that would add to the log.
    pub(super) fn decide(&self, requests: &[Vec<Event>]) -> (Vec<Answer>, Vec<Entry>) {
        let mut log = self.log.clone();
        let answers = requests
            .iter()
            .map(|request| {
                let before = log.len();
                let answer = self.decide_one(&mut log, request);
                if !matches!(answer, Answer::Placed(_)) {
                    log.truncate(before);
                }
                answer
            })
            .collect();
        (answers, log.split_off(self.log.len()))
    }

    fn decide_one(&self, log: &mut Vec<Entry>, request: &[Event]) -> Answer {
        let mut places = Vec::new();
        for (n, event) in request.iter().enumerate() {
            if let Some(at) = log.iter().position(|entry| entry.event.dedup == event.dedup) {
                // What was erased cannot be compared, and counts as the same.
                if !log[at].erased && log[at].event.content != event.content {
                    return Answer::Conflict(n);
                }
                places.push((at as u64, true));
                continue;
            }
            let head = log.iter().rfind(|entry| entry.event.stream == event.stream).map(|entry| entry.seq);
            let fine = match event.expected {
                Expected::Any => true,
                Expected::Empty => head.is_none(),
                Expected::Seq(seq) => head == Some(seq),
            };
            if !fine {
                return Answer::WrongVersion(n);
            }
            let author = match &event.content {
                Content::Commit { person, .. } => self.people.get(person).cloned(),
                _ => None,
            };
            places.push((log.len() as u64, false));
            log.push(Entry { event: event.clone(), seq: head.map_or(0, |seq| seq + 1), author, erased: false });
        }
        Answer::Placed(places)
    }

    /// Takes in what was committed.
    pub(super) fn adopt(&mut self, staged: Vec<Entry>) {
        for entry in staged {
            if let Content::Erasure { of } = &entry.event.content {
                self.people.retain(|_, id| id != of);
                self.log
                    .iter_mut()
                    .filter(|entry| entry.author.as_ref() == Some(of))
                    .for_each(|entry| entry.erased = true);
            }
            self.log.push(entry);
        }
    }

    /// Holds a leaf to what must stand in it.
    pub(super) fn check(&mut self, position: u64, recorded: &Recorded, link: [u8; 32]) {
        let entry = &self.log[usize::try_from(position).unwrap()];
        let envelope = recorded.envelope();
        assert_eq!(
            (envelope.position.0, envelope.stream.as_str(), envelope.seq.0, envelope.dedup.as_str()),
            (position, entry.event.stream.as_str(), entry.seq, entry.event.dedup.as_str())
        );
        let before = self.links.insert(entry.event.stream.clone(), link);
        assert_eq!(envelope.prev.as_ref().map(plimsoll::event::Hex32::to_bytes), before, "the chain of its stream");
        assert!(self.last_recorded_at.is_none_or(|last| last <= envelope.recorded_at), "time never goes back");
        self.last_recorded_at = Some(envelope.recorded_at);
        assert_eq!(envelope.actor, entry.author);
    }
}

/// The event that erases somebody.
pub(super) fn erasure(of: &SubjectId, dedup: &str) -> Draft {
    let data =
        SubjectErased { ground: ErasureGround::Request, operator: None, subject: Some(of.clone()), values: vec![] };
    Draft { data: data.into(), dedup: dedup.parse().unwrap(), ..draft("ledger", 1) }
}
