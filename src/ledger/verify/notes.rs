//! Signed notes and commitments to heads, held to the tree as it was when they were made.

use std::ops::Range;

use super::super::Result as LedgerResult;
use super::super::signer::verify_note;
use super::super::tree::{Checkpoint, Hash, VerifierKey};
use super::chain::{Chain, Heads};
use super::ledger::Checks;
use super::{Damage, Report};

/// Notes whose signatures are checked at once, by all threads.
const NOTES_AT_ONCE: usize = 16_384;

/// What the rollback guard remembers.
pub(super) type Guarded = LedgerResult<Option<(Checkpoint, String)>>;

/// A note whose signature was checked.
struct Note {
    /// The size under which it is kept.
    size: u64,
    /// The size and root that were signed for, or why the signature does not hold.
    signed: Result<(u64, Hash), String>,
    /// Where it was found.
    what: &'static str,
}

/// What is kept in the database, as findings call it.
const CHECKPOINT: &str = "checkpoint";

/// Everything that was signed, and commitments to heads, by the size of the tree they are about.
pub(super) struct Notes {
    /// By size, descending, so that the next one is last.
    notes: Vec<Note>,
    pub(super) heads: Heads,
    /// The newest checkpoint in the database that holds.
    holds: u64,
    /// How many events there should be.
    size: u64,
}

impl Notes {
    /// Reads the checkpoints with sizes in `range`, and takes in what the rollback guard was found to remember.
    pub(super) fn load(
        checks: &Checks,
        size: u64,
        range: Range<u64>,
        guarded: Option<Guarded>,
        report: &mut Report,
    ) -> Self {
        let mut notes = Vec::new();
        let mut rows = Vec::new();
        let mut last = None;
        let read = checks.engine.checkpoints(range, &mut |at, note| {
            if at > size {
                report.find(Damage::BadSize, Some(size), format!("a checkpoint of {at} events, and there are {size}"));
            }
            last = Some(at);
            rows.push((at, note.to_owned()));
            if rows.len() == NOTES_AT_ONCE {
                notes.extend(verified(&rows, &checks.key, checks.threads));
                rows.clear();
            }
            Ok(true)
        });
        notes.extend(verified(&rows, &checks.key, checks.threads));
        if let Err(error) = read {
            report.find(Damage::Unreadable, None, format!("checkpoints: {error}"));
        }
        if last.unwrap_or(0) < size {
            let detail = format!("the newest checkpoint is of {} events, and there are {size}", last.unwrap_or(0));
            report.find(Damage::BadSize, last, detail);
        }
        notes.extend(elsewhere(checks, guarded, report));
        notes.sort_by_key(|note| std::cmp::Reverse(note.size));
        let mut notes = Self { notes, heads: Heads::default(), holds: 0, size };
        notes.at_size(&Chain::new(checks.now, false), report);
        notes
    }

    /// Checks what is about the tree as the chain has it now.
    pub(super) fn reached(&mut self, chain: &Chain, report: &mut Report) {
        self.heads.reached(chain, report);
        self.at_size(chain, report);
    }

    fn at_size(&mut self, chain: &Chain, report: &mut Report) {
        while self.notes.last().is_some_and(|note| note.size == chain.size()) {
            let Some(Note { size, signed, what }) = self.notes.pop() else { return };
            report.checkpoints += 1;
            match signed {
                Err(why) => report.find(Damage::BadSignature, None, format!("{what} of {size} events: {why}")),
                Ok((signed, _)) if signed != size => {
                    let detail = format!("{what} of {size} events says that it is of {signed}");
                    report.find(Damage::BadSize, None, detail);
                }
                Ok((_, of)) if of != chain.root() => {
                    let damage = if what == CHECKPOINT { Damage::BadRoot } else { Damage::RolledBack };
                    let root = chain.root();
                    let detail =
                        format!("{what}: the first {size} events have root {root}, and it was signed for {of}");
                    report.find(damage, None, detail);
                    if what == CHECKPOINT {
                        report.unsigned_from.get_or_insert(self.holds);
                    }
                }
                Ok(_) if what == CHECKPOINT => self.holds = size,
                Ok(_) => {}
            }
        }
    }

    /// Tells of notes about trees larger than the log.
    pub(super) fn finish(self, chain: &Chain, report: &mut Report) {
        for Note { size, signed, what } in &self.notes {
            if let Err(why) = signed {
                report.find(Damage::BadSignature, None, format!("{what} of {size} events: {why}"));
            } else if *what != CHECKPOINT {
                let detail = format!("{what}: {size} events were signed for, and the log has {}", chain.size());
                report.find(Damage::RolledBack, Some(chain.size()), detail);
            } else if *size <= self.size {
                let detail = format!("a checkpoint of {size} events, and {} were read", chain.size());
                report.find(Damage::BadSize, Some(chain.size()), detail);
            }
        }
    }
}

/// Checks the signatures of rows on several threads: each takes as long as reading a hundred events.
fn verified(rows: &[(u64, String)], key: &VerifierKey, threads: usize) -> Vec<Note> {
    let check = |(size, note): &(u64, String)| {
        let signed = verify_note(note, key).map(|signed| (signed.size, signed.root));
        Note { size: *size, signed: signed.map_err(|error| error.to_string()), what: CHECKPOINT }
    };
    std::thread::scope(|scope| {
        let part = rows.len().div_ceil(threads.max(1)).max(1);
        let parts: Vec<_> =
            rows.chunks(part).map(|rows| scope.spawn(move || rows.iter().map(check).collect::<Vec<_>>())).collect();
        let joined = |part: std::thread::ScopedJoinHandle<'_, _>| {
            part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        parts.into_iter().flat_map(joined).collect::<Vec<Note>>()
    })
}

/// What is remembered outside the database.
fn elsewhere(checks: &Checks, guarded: Option<Guarded>, report: &mut Report) -> Vec<Note> {
    let mut notes = Vec::new();
    if let Some(guarded) = guarded {
        match guarded {
            Ok(Some((known, _))) => {
                notes.push(Note { size: known.size, signed: Ok((known.size, known.root)), what: "rollback guard" });
            }
            Ok(None) => report.notes.push("the rollback guard remembers nothing".to_owned()),
            Err(error) => report.find(Damage::BadSignature, None, error.to_string()),
        }
    }
    if let Some(note) = &checks.remembered {
        match verify_note(note, &checks.key) {
            Ok(known) => {
                let signed = Ok((known.size, known.root));
                notes.push(Note { size: known.size, signed, what: "remembered checkpoint" });
            }
            Err(error) => report.find(Damage::BadSignature, None, format!("the remembered {error}")),
        }
    }
    notes
}
