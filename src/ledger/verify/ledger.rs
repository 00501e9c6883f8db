//! Verifying a ledger in its data directory.

use std::ops::Range;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};

use super::super::engine::Engine;
use super::super::guard::Guard;
use super::super::index::{Edge, Index};
use super::super::tree::VerifierKey;
use super::super::{Evidence, Result};
use super::beside::Beside;
use super::chain::{Chain, check_birth};
use super::hashes::Hashes;
use super::notes::Notes;
use super::scan::{Stretch, scan};
use super::{Damage, Report};
use crate::event::Timestamp;

/// Events of one stretch: little enough that a few stretches in memory are no burden.
const STRETCH: u64 = 256 * 16;

/// Stretches whose beginning cannot be found before the rest is given up.
const FAILURES_MAX: u32 = 1_000;

/// What to verify, and against what.
pub struct Checks {
    /// The log.
    pub engine: Arc<dyn Engine>,
    /// The key that must have signed it.
    pub key: VerifierKey,
    /// The derived index, whose tiles are served to others, as it is stored; none to leave it out.
    pub index: Option<Arc<Index>>,
    /// The evidence store; none to leave it out.
    pub evidence: Option<Evidence>,
    /// The rollback guard; none to leave it out.
    pub guard: Option<Guard>,
    /// A checkpoint that somebody remembered: the log must extend it.
    pub remembered: Option<String>,
    /// Threads that read and hash.
    pub threads: usize,
    /// Now, by the clock of whoever verifies.
    pub now: Timestamp,
}

/// Told how many events were read, of how many.
pub type Progress<'a> = dyn FnMut(u64, u64) + Send + 'a;

/// Verifies everything. Blocks.
///
/// # Errors
/// Only when nothing can be said at all; damage is in the report.
pub fn verify(checks: &Checks, progress: &mut Progress<'_>) -> Result<Report> {
    let mut report = Report { origin: checks.key.name().to_owned(), ..Report::default() };
    // The log may grow meanwhile: what follows it is looked at before it is, so that none of it can be ahead.
    let guarded = checks.guard.as_ref().map(|guard| guard.load(&checks.key));
    let mut derived = Derived::load(checks);
    let (size, signed) = match checks.engine.head() {
        Ok(head) => (head.size, 0..head.size.saturating_add(1)),
        Err(error) => {
            report.find(Damage::BadSize, None, error.to_string());
            let last = last_position(&*checks.engine, &mut report);
            (last.map_or(0, |last| last.saturating_add(1)), 0..u64::MAX)
        }
    };
    let mut notes = Notes::load(checks, size, signed, guarded, &mut report);
    let mut chain = Chain::new(checks.now, checks.index.is_some());
    let mut beside = Beside::new(checks);
    stretches(checks, size, |stretch| {
        let mut stretch = match stretch {
            Ok(stretch) => stretch,
            Err(error) => {
                report.find(Damage::Unreadable, None, error.to_string());
                return;
            }
        };
        for event in std::mem::take(&mut stretch.remarkable) {
            notes.heads.note(&event);
            beside.note(&event, &mut report);
        }
        chain.take(stretch, &mut report, &mut |chain, report| {
            notes.reached(chain, report);
            derived.reached(chain, report);
        });
        derived.tiles(&mut chain, &mut report);
        progress(chain.size(), size);
    });
    chain.gap(size, &mut report);
    notes.finish(&chain, &mut report);
    derived.finish(&chain, &mut report);
    birth(checks, &mut report);
    beside.finish(size, &mut report);
    report.root = chain.root().to_string();
    report.streams = chain.n_streams();
    Ok(report.conclude())
}

fn last_position(engine: &dyn Engine, report: &mut Report) -> Option<u64> {
    let mut last = None;
    let read = engine.read(0..u64::MAX, true, &mut |position, _| {
        last = Some(position);
        Ok(false)
    });
    if let Err(error) = read {
        report.find(Damage::Unreadable, None, error.to_string());
    }
    last
}

/// Hands out stretches in order. Positions that do not exist are passed over, so that a stray row far beyond the end does
/// not make anybody count up to it.
struct Cursor {
    n: u64,
    from: u64,
    size: u64,
    failures: u32,
}

impl Cursor {
    fn next(&mut self, engine: &dyn Engine) -> Option<(u64, Range<u64>)> {
        let mut first = None;
        let found = engine.read(self.from..self.size, false, &mut |position, _| {
            first = Some(position);
            Ok(false)
        });
        if found.is_err() {
            // What cannot be read is told where the stretch is read; what cannot be read on and on ends somewhere.
            self.failures += 1;
            first = (self.from < self.size && self.failures <= FAILURES_MAX).then_some(self.from);
        }
        let range = first?..first?.saturating_add(STRETCH).min(self.size);
        let n = self.n;
        (self.n, self.from) = (n + 1, range.end);
        Some((n, range))
    }
}

/// Reads all stretches on several threads, and shows them in order on this one.
fn stretches(checks: &Checks, size: u64, mut show: impl FnMut(Result<Stretch>)) {
    let threads = checks.threads.max(1);
    let cursor = Mutex::new(Cursor { n: 0, from: 0, size, failures: 0 });
    std::thread::scope(|scope| {
        // One lane per thread, each bounded, so that no reader runs far ahead of what is shown.
        let lanes: Vec<_> = (0..threads)
            .map(|_| {
                let (sender, lane) = mpsc::sync_channel::<(u64, Result<Stretch>)>(2);
                let cursor = &cursor;
                scope.spawn(move || {
                    let engine = &*checks.engine;
                    let next = || cursor.lock().unwrap_or_else(PoisonError::into_inner).next(engine);
                    while let Some((n, range)) = next() {
                        if sender.send((n, scan(engine, range))).is_err() {
                            return;
                        }
                    }
                });
                lane
            })
            .collect();
        let mut waiting = std::collections::BTreeMap::new();
        for n in 0.. {
            // Each lane ascends, so some lane's next one is n or leads to it; when all have ended, so has the log.
            let (mut lane, mut ended) = (0, 0);
            while !waiting.contains_key(&n) && ended < threads {
                match lanes.get(lane % threads).map(mpsc::Receiver::recv) {
                    Some(Ok((n, stretch))) => {
                        waiting.insert(n, stretch);
                        ended = 0;
                    }
                    _ => ended += 1,
                }
                lane += 1;
            }
            match waiting.remove(&n) {
                Some(stretch) => show(stretch),
                None => return,
            }
        }
    });
}

/// What is derived from the log and kept, held to the log.
struct Derived<'a> {
    index: Option<&'a Index>,
    hashes: Hashes,
    /// The size that the kept streams are as of; none where they are not kept or were looked at.
    streams_at: Option<u64>,
    /// The edge of the tree as it was kept when verification began.
    kept: Edge,
    /// The log's edge at that size. Compared last: what is wrong below comes first.
    edge: Option<Edge>,
}

impl<'a> Derived<'a> {
    fn load(checks: &'a Checks) -> Self {
        let index = checks.index.as_deref();
        let streams_at = index.and_then(|index| index.file_position().ok().flatten());
        let kept = index.map(Index::edge).unwrap_or_default();
        Self { index, hashes: Hashes::default(), streams_at, kept, edge: None }
    }

    /// Compares the tiles that were filled with those that are kept.
    fn tiles(&mut self, chain: &mut Chain, report: &mut Report) {
        let filled = chain.take_tiles();
        let Some(index) = self.index else { return };
        for (level, number, hashes) in filled {
            if (number + 1).checked_shl(8 * (u32::from(level) + 1)).is_none_or(|end| end > self.kept.size()) {
                continue;
            }
            match index.tile(level, number) {
                Ok(stored) => self.hashes.compare((level, number), stored.as_deref(), &hashes, report),
                Err(error) => report.find(Damage::BadIndex, None, error.to_string()),
            }
        }
    }

    /// Compares what is kept as of the size that the chain has now.
    fn reached(&mut self, chain: &Chain, report: &mut Report) {
        let Some(index) = self.index else { return };
        if self.streams_at == Some(chain.size()) {
            self.streams_at = None;
            if let Err(error) = streams(index, chain, report) {
                report.find(Damage::BadIndex, None, error.to_string());
            }
        }
        if self.kept.size() == chain.size() {
            self.edge = Some(chain.edge().clone());
        }
    }

    fn finish(mut self, chain: &Chain, report: &mut Report) {
        let Some(edge) = self.edge.take() else {
            if self.kept.size() > 0 {
                let detail = format!("it covers {} events, and the log has {}", self.kept.size(), chain.size());
                report.find(Damage::BadIndex, None, detail);
            }
            return;
        };
        for (level, hashes) in (0_u8..).zip(edge.levels()).filter(|(_, hashes)| !hashes.is_empty()) {
            let number = edge.size().checked_shr(8 * (u32::from(level) + 1)).unwrap_or(0);
            let stored = self.kept.levels().get(usize::from(level)).map(Vec::as_slice);
            self.hashes.compare((level, number), stored, hashes, report);
        }
    }
}

/// Compares the streams that are kept with the chain's, when both are of the same size.
fn streams(index: &Index, chain: &Chain, report: &mut Report) -> Result<()> {
    let (mut n_streams, mut wrong) = (0, Vec::new());
    let position = index.flushed_heads(&mut |stream| {
        n_streams += 1;
        if chain.head(&stream.name) != Some((stream.seq, stream.hash)) {
            wrong.push(format!("stream {} ends otherwise in the log", stream.name));
        }
        Ok(())
    })?;
    let counts = index.file_counts()?;
    if (position, counts.position) != (chain.size(), chain.size()) {
        report.notes.push("the index was written to while it was being verified; its streams were not".to_owned());
        return Ok(());
    }
    if n_streams != chain.n_streams() {
        wrong.push(format!("it has {n_streams} streams, and the log has {}", chain.n_streams()));
    }
    for (what, n) in [("idempotency keys", counts.dedup), ("events of streams", counts.stream_events)] {
        if n != position {
            wrong.push(format!("it has {n} {what}, and the log has {position} events"));
        }
    }
    for what in wrong {
        report.find(Damage::BadIndex, None, what);
    }
    Ok(())
}

fn birth(checks: &Checks, report: &mut Report) {
    let leaf = match checks.engine.leaf(0) {
        Ok(Some(leaf)) => leaf,
        Ok(None) => return,
        Err(error) => return report.find(Damage::Unreadable, Some(0), error.to_string()),
    };
    check_birth(leaf, &checks.key, report);
}
