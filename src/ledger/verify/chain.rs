//! What must hold from event to event: no gaps, chains, times, the tree.

use std::collections::{HashMap, VecDeque};

use super::super::index::Edge;
use super::super::list_digests;
use super::super::tree::{Frontier, Hash, VerifierKey};
use super::scan::{Seen, SeenEnvelope, Stretch};
use super::{Damage, Report};
use crate::event::ledger::HeadsCommitted;
use crate::event::{Data, EventType, Recorded, Timestamp};

/// Folds the log in order.
pub(super) struct Chain {
    next: u64,
    frontier: Frontier,
    edge: Edge,
    /// Streams by name, as an index into `links`.
    streams: HashMap<Box<str>, usize>,
    links: Vec<Option<Link>>,
    /// What each of the last events replaced in `links`, newest last: to go back to the heads of a moment ago.
    replaced: VecDeque<(usize, Option<Link>)>,
    last_recorded_at: [u8; 27],
    /// Nothing can have been recorded later than this.
    latest: [u8; 27],
    /// Tiles that were filled since they were last taken.
    tiles: Vec<(u8, u64, std::sync::Arc<[Hash]>)>,
    /// Whether the hash of each event is stored, so that of two events that do not fit the wrong one is known.
    hashes_stored: bool,
}

#[derive(Clone, Copy)]
struct Link {
    seq: u64,
    hash: [u8; 32],
    position: u64,
}

/// How many events back the heads of the streams can be told. A commitment to heads is appended this close to what it is
/// about: between the two lie only the events that came in while it was being made.
const REPLACED_MAX: usize = 1 << 18;

/// The same, for those who make such commitments.
pub(in super::super) const HEADS_REACH: u64 = REPLACED_MAX as u64;

/// How far the clocks of the ledger and of whoever verifies may be apart.
const SKEW_MICROS: i64 = 300_000_000;

impl Chain {
    pub(super) fn new(now: Timestamp, hashes_stored: bool) -> Self {
        Self {
            next: 0,
            frontier: Frontier::new(),
            edge: Edge::default(),
            streams: HashMap::new(),
            links: Vec::new(),
            replaced: VecDeque::new(),
            last_recorded_at: [b'0'; 27],
            latest: Timestamp::from_micros_clamped(now.micros().saturating_add(SKEW_MICROS)).encode(),
            tiles: Vec::new(),
            hashes_stored,
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.frontier.size()
    }

    pub(super) fn root(&self) -> Hash {
        self.frontier.root()
    }

    pub(super) fn edge(&self) -> &Edge {
        &self.edge
    }

    pub(super) fn n_streams(&self) -> u64 {
        self.streams.len() as u64
    }

    /// `seq` and link of the last event of a stream.
    pub(super) fn head(&self, stream: &str) -> Option<(u64, [u8; 32])> {
        let link = (*self.links.get(*self.streams.get(stream)?)?)?;
        Some((link.seq, link.hash))
    }

    /// The list of heads as `heads.committed` has it, and its number of lines, as of a size not long ago; none for one
    /// that is too long ago, or in the future.
    pub(super) fn heads(&self, as_of: u64) -> Option<(String, u64)> {
        let back = usize::try_from(self.size().checked_sub(as_of)?).ok()?;
        if back > self.replaced.len() {
            return None;
        }
        let mut links = self.links.clone();
        for (stream, link) in self.replaced.iter().rev().take(back) {
            if let Some(slot) = links.get_mut(*stream) {
                *slot = *link;
            }
        }
        let link = |stream: usize| links.get(stream).copied().flatten();
        let mut heads: Vec<_> = self.streams.iter().filter_map(|(name, at)| Some((name, link(*at)?))).collect();
        heads.sort_unstable_by_key(|(name, _)| *name);
        let text = heads.iter().map(|(name, link)| super::super::heads_line(name, link.seq, &link.hash)).collect();
        Some((text, heads.len() as u64))
    }

    pub(super) fn take_tiles(&mut self) -> Vec<(u8, u64, std::sync::Arc<[Hash]>)> {
        std::mem::take(&mut self.tiles)
    }

    /// Takes in a stretch; `at` is called with the chain whenever it has reached a size of interest.
    pub(super) fn take(&mut self, stretch: Stretch, report: &mut Report, sizes: &mut dyn FnMut(&Self, &mut Report)) {
        report.bytes += stretch.bytes;
        for (damage, position, detail) in stretch.findings {
            report.find(damage, Some(position), detail);
        }
        for seen in stretch.seen {
            self.gap(seen.position, report);
            self.event(&seen, report);
            report.events += 1;
            sizes(self, report);
        }
    }

    /// Tells of positions that are not there up to `position`.
    pub(super) fn gap(&mut self, position: u64, report: &mut Report) {
        if self.next < position {
            let until = position - 1;
            let words = if self.next == until { "it is missing".to_owned() } else { format!("missing, up to {until}") };
            report.find(Damage::MissingEvent, Some(self.next), words);
        }
        self.next = position.saturating_add(1);
    }

    fn event(&mut self, seen: &Seen, report: &mut Report) {
        self.frontier.push(seen.leaf_hash);
        for tile in self.edge.push(seen.leaf_hash) {
            self.tiles.push((tile.level, tile.number, tile.hashes));
        }
        let Some(envelope) = &seen.envelope else { return };
        let at = Some(seen.position);
        if envelope.recorded_at < self.last_recorded_at {
            report.find(Damage::BadTime, at, "it was recorded before the event in front of it");
        } else if envelope.recorded_at > self.latest {
            report.find(Damage::BadTime, at, "it says that it was recorded in the future");
        }
        self.last_recorded_at = envelope.recorded_at;
        self.link(seen, envelope, report);
    }

    fn link(&mut self, seen: &Seen, envelope: &SeenEnvelope, report: &mut Report) {
        let link = Link { seq: envelope.seq, hash: seen.link, position: seen.position };
        let stream = match self.streams.get(&envelope.stream) {
            Some(stream) => *stream,
            None => {
                let stream = self.links.len();
                self.links.push(None);
                self.streams.insert(envelope.stream.clone(), stream);
                stream
            }
        };
        let previous = self.links.get_mut(stream).and_then(|slot| slot.replace(link));
        if self.replaced.len() == REPLACED_MAX {
            self.replaced.pop_front();
        }
        self.replaced.push_back((stream, previous));
        let (seq, prev) = (previous.map_or(0, |link| link.seq.saturating_add(1)), previous.map(|link| link.hash));
        if envelope.seq != seq {
            let detail = format!("stream {}: seq {} where {seq} follows", envelope.stream, envelope.seq);
            report.find(Damage::BrokenChain, Some(seen.position), detail);
        } else if envelope.prev != prev {
            let before = previous.map_or(seen.position, |link| link.position);
            let (stream, position) = (&envelope.stream, seen.position);
            let detail = format!("stream {stream}: prev of {position} is not the event before it, at {before}");
            // Either of the two may be the wrong one; where hashes are stored, they tell of the earlier.
            let at = if self.hashes_stored { position } else { before };
            report.find(Damage::BrokenChain, Some(at), detail);
        }
    }
}

/// Commitments to heads that were read and not reached yet.
#[derive(Default)]
pub(super) struct Heads(VecDeque<(u64, HeadsCommitted)>);

impl Heads {
    /// Takes in an event, if it is a commitment to heads.
    pub(super) fn note(&mut self, event: &Recorded) {
        if event.envelope().type_name == EventType::HeadsCommitted.as_str()
            && let Ok(Data::HeadsCommitted(heads)) = event.data()
        {
            self.0.push_back((event.envelope().position.0, heads));
        }
    }

    /// Checks those that the chain has reached.
    pub(super) fn reached(&mut self, chain: &Chain, report: &mut Report) {
        while self.0.front().is_some_and(|(position, _)| *position < chain.size()) {
            let Some((position, heads)) = self.0.pop_front() else { break };
            let as_of = heads.as_of.0;
            let Some((list, streams)) = chain.heads(as_of) else {
                let detail = format!("it is about {as_of} events, which is not near it");
                report.find(Damage::BadHeads, Some(position), detail);
                continue;
            };
            let (blake3, sha256) = list_digests(list.as_bytes());
            if (&blake3, &sha256, streams) != (&heads.blake3, &heads.sha256, heads.streams.0) {
                let detail = format!("the heads of the streams as of {as_of} are others than it commits to");
                report.find(Damage::BadHeads, Some(position), detail);
            }
        }
    }
}

/// Holds the first event to the key that verifies.
pub(super) fn check_birth(leaf: bytes::Bytes, key: &VerifierKey, report: &mut Report) {
    match Recorded::parse(leaf).and_then(|event| event.data()) {
        Ok(Data::LedgerCreated(created)) if created.key == key.to_string() => {}
        Ok(Data::LedgerCreated(created)) => {
            report.find(Damage::BadBirth, Some(0), format!("the log was created with the key {}", created.key));
        }
        Ok(_) => report.find(Damage::BadBirth, Some(0), "the first event is not ledger.created"),
        Err(error) => report.find(Damage::BadBirth, Some(0), error.to_string()),
    }
}
