//! Verifying a ledger in its data directory.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use super::super::engine::Engine;
use super::super::guard::Guard;
use super::super::index::Index;
use super::super::signer::verify_note;
use super::super::tree::VerifierKey;
use super::super::{Evidence, Result, list_digests};
use super::beside::Beside;
use super::chain::Chain;
use super::scan::{Stretch, scan};
use super::{Damage, Report};
use crate::event::ledger::HeadsCommitted;
use crate::event::{Data, Timestamp};

/// Events of one stretch: whole tiles, and little enough that a few stretches in memory are no burden.
const STRETCH: u64 = 256 * 16;

/// What to verify, and against what.
pub struct Checks {
    /// The log.
    pub engine: Arc<dyn Engine>,
    /// The key that must have signed it.
    pub key: VerifierKey,
    /// The derived index, whose tiles are served to others; none to leave it out.
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
    let size = match checks.engine.head() {
        Ok(head) => head.size,
        Err(error) => {
            report.find(Damage::BadSize, None, error.to_string());
            last_position(&*checks.engine)?.map_or(0, |last| last + 1)
        }
    };
    let mut notes = Notes::load(checks, size, &mut report);
    let mut chain = Chain::new(checks.now);
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
            if let Ok(Data::HeadsCommitted(heads)) = event.data() {
                notes.heads.push_back((event.envelope().position.0, heads));
            }
            beside.note(event, &mut report);
        }
        chain.take(stretch, &mut report, &mut |chain, report| notes.reached(chain, report));
        tiles(checks, &mut chain, &mut report);
        progress(chain.size(), size);
    });
    chain.gap(size, &mut report);
    notes.finish(&chain, &mut report);
    edge(checks, &chain, &mut report);
    birth(checks, &mut report);
    beside.finish(&mut report);
    report.root = chain.root().to_string();
    report.streams = chain.n_streams();
    Ok(report.conclude())
}

fn last_position(engine: &dyn Engine) -> Result<Option<u64>> {
    let mut last = None;
    engine.read(0..u64::MAX, true, &mut |position, _| {
        last = Some(position);
        Ok(false)
    })?;
    Ok(last)
}

/// Reads all stretches on several threads, and shows them in order on this one.
fn stretches(checks: &Checks, size: u64, mut show: impl FnMut(Result<Stretch>)) {
    let n_stretches = size.div_ceil(STRETCH);
    let threads = checks.threads.max(1);
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        // One lane per thread, each bounded, so that no reader runs far ahead of what is shown.
        let lanes: Vec<_> = (0..threads)
            .map(|_| {
                let (sender, lane) = mpsc::sync_channel::<(u64, Result<Stretch>)>(2);
                let next = &next;
                scope.spawn(move || {
                    loop {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        if n >= n_stretches {
                            return;
                        }
                        let range = n * STRETCH..((n + 1) * STRETCH).min(size);
                        if sender.send((n, scan(&*checks.engine, range))).is_err() {
                            return;
                        }
                    }
                });
                lane
            })
            .collect();
        let mut waiting: std::collections::BTreeMap<u64, Result<Stretch>> = std::collections::BTreeMap::new();
        for n in 0..n_stretches {
            let mut lane = 0;
            while !waiting.contains_key(&n) {
                // Each lane ascends, so some lane's next one is n or leads to it.
                let received = lanes.get(lane % threads).and_then(|lane| lane.recv().ok());
                waiting.extend(received);
                lane += 1;
            }
            if let Some(stretch) = waiting.remove(&n) {
                show(stretch);
            }
        }
    });
}

/// Signed notes and commitments to heads, by the size of the tree they are about.
struct Notes {
    /// Checkpoints by size, descending, so that the next one is last.
    checkpoints: Vec<(u64, String, &'static str)>,
    /// Commitments to heads that were read and not reached yet, by position.
    heads: VecDeque<(u64, HeadsCommitted)>,
    key: VerifierKey,
}

impl Notes {
    fn load(checks: &Checks, size: u64, report: &mut Report) -> Self {
        let mut checkpoints = Vec::new();
        let mut last = None;
        let read = checks.engine.checkpoints(0..u64::MAX, &mut |at, note| {
            if at > size {
                report.find(Damage::BadSize, None, format!("a checkpoint of {at} events, and there are {size}"));
            }
            last = Some(at);
            checkpoints.push((at, note.to_owned(), "checkpoint"));
            Ok(true)
        });
        if let Err(error) = read {
            report.find(Damage::Unreadable, None, format!("checkpoints: {error}"));
        }
        if last.unwrap_or(0) < size {
            let detail = format!("the newest checkpoint is of {} events, and there are {size}", last.unwrap_or(0));
            report.find(Damage::BadSize, last, detail);
        }
        if let Some(guard) = &checks.guard {
            match guard.load(&checks.key) {
                Ok(Some((known, note))) => checkpoints.push((known.size, note, "rollback guard")),
                Ok(None) => report.notes.push("the rollback guard remembers nothing".to_owned()),
                Err(error) => report.find(Damage::BadSignature, None, error.to_string()),
            }
        }
        if let Some(note) = &checks.remembered {
            match verify_note(note, &checks.key) {
                Ok(known) => checkpoints.push((known.size, note.clone(), "remembered checkpoint")),
                Err(error) => report.find(Damage::BadSignature, None, format!("the remembered {error}")),
            }
        }
        checkpoints.sort_by_key(|(size, _, _)| std::cmp::Reverse(*size));
        let mut notes = Self { checkpoints, heads: VecDeque::new(), key: checks.key.clone() };
        notes.at_size(&Chain::new(checks.now), report);
        notes
    }

    /// Checks what is about the tree as the chain has it now.
    fn reached(&mut self, chain: &Chain, report: &mut Report) {
        while self.heads.front().is_some_and(|(position, _)| *position < chain.size()) {
            let Some((position, heads)) = self.heads.pop_front() else { break };
            check_heads(chain, position, &heads, report);
        }
        self.at_size(chain, report);
    }

    fn at_size(&mut self, chain: &Chain, report: &mut Report) {
        while self.checkpoints.last().is_some_and(|(size, _, _)| *size == chain.size()) {
            let Some((size, note, what)) = self.checkpoints.pop() else { return };
            report.checkpoints += 1;
            match verify_note(&note, &self.key) {
                Err(error) => report.find(Damage::BadSignature, None, format!("{what} of {size} events: {error}")),
                Ok(signed) if signed.size != size => {
                    let detail = format!("{what} of {size} events says that it is of {}", signed.size);
                    report.find(Damage::BadSize, None, detail);
                }
                Ok(signed) if signed.root != chain.root() => {
                    let damage = if what == "checkpoint" { Damage::BadRoot } else { Damage::RolledBack };
                    let (root, of) = (chain.root(), signed.root);
                    let detail =
                        format!("{what}: the first {size} events have root {root}, and it was signed for {of}");
                    report.find(damage, None, detail);
                }
                Ok(_) => {}
            }
        }
    }

    /// Tells of notes about trees larger than the log.
    fn finish(self, chain: &Chain, report: &mut Report) {
        for (size, note, what) in &self.checkpoints {
            if let Err(error) = verify_note(note, &self.key) {
                report.find(Damage::BadSignature, None, format!("{what} of {size} events: {error}"));
            } else if *what != "checkpoint" {
                let detail = format!("{what}: {size} events were signed for, and the log has {}", chain.size());
                report.find(Damage::RolledBack, Some(chain.size()), detail);
            }
        }
    }
}

fn check_heads(chain: &Chain, position: u64, heads: &HeadsCommitted, report: &mut Report) {
    let as_of = heads.as_of.0;
    let Some((list, streams)) = chain.heads(as_of) else {
        report.find(Damage::BadHeads, Some(position), format!("it is about {as_of} events, which is not near it"));
        return;
    };
    let (blake3, sha256) = list_digests(list.as_bytes());
    if (&blake3, &sha256, streams) != (&heads.blake3, &heads.sha256, heads.streams.0) {
        let detail = format!("the heads of the streams as of {as_of} are others than it commits to");
        report.find(Damage::BadHeads, Some(position), detail);
    }
}

/// Compares the tiles that were filled with those that are stored.
fn tiles(checks: &Checks, chain: &mut Chain, report: &mut Report) {
    let filled = chain.take_tiles();
    let Some(index) = &checks.index else { return };
    for (level, number, hashes) in filled {
        report.tiles += 1;
        match index.tile(level, number) {
            Ok(Some(stored)) if stored[..] == hashes[..] => {}
            Ok(found) => {
                let words = if found.is_some() { "differs from the events" } else { "is missing" };
                let position = number << (8 * (u32::from(level) + 1));
                report.find(Damage::BadTile, Some(position), format!("tile {level}/{number} {words}"));
            }
            Err(error) => report.find(Damage::BadIndex, None, error.to_string()),
        }
    }
}

fn edge(checks: &Checks, chain: &Chain, report: &mut Report) {
    let Some(index) = &checks.index else { return };
    if index.edge() != *chain.edge() {
        let (size, of) = (chain.size(), index.position());
        report.find(
            Damage::BadIndex,
            None,
            format!("the right edge of the tree over {size} events, kept for {of}, differs"),
        );
    }
}

fn birth(checks: &Checks, report: &mut Report) {
    let leaf = match checks.engine.leaf(0) {
        Ok(Some(leaf)) => leaf,
        Ok(None) => return,
        Err(error) => return report.find(Damage::Unreadable, Some(0), error.to_string()),
    };
    match crate::event::Recorded::parse(leaf).and_then(|event| event.data()) {
        Ok(Data::LedgerCreated(created)) if created.key == checks.key.to_string() => {}
        Ok(Data::LedgerCreated(created)) => {
            report.find(Damage::BadBirth, Some(0), format!("the log was created with the key {}", created.key));
        }
        Ok(_) => report.find(Damage::BadBirth, Some(0), "the first event is not ledger.created"),
        Err(error) => report.find(Damage::BadBirth, Some(0), error.to_string()),
    }
}
