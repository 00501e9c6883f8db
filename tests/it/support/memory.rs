//! An engine in memory: the contract of `ledger::Engine` and nothing else, with faults on demand.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use plimsoll::event::{Hex32, SealedId, SubjectId};
use plimsoll::ledger::{
    AppendError, Appender, Batch, Engine, Error, Head, LeafVisitor, PackedBlob, Result, SealedValue, SqliteEngine,
    Store, SubjectRecord,
};

/// How an append is to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strike {
    /// As on a full disk: nothing is applied, and the engine may be used further.
    Refused,
    /// The outcome is not known, and it was not applied.
    Lost,
    /// The outcome is not known, and it was applied.
    Applied,
}

/// Everything stored. Cloning shares it: that is what outlives a crash.
#[derive(Clone, Default)]
pub struct MemoryEngine {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    leaves: Vec<Bytes>,
    checkpoints: BTreeMap<u64, String>,
    sealed: HashMap<SealedId, SealedValue>,
    evidence: BTreeMap<String, Bytes>,
    subjects: HashMap<SubjectId, SubjectRecord>,
    strike: Option<Strike>,
    struck: bool,
}

impl MemoryEngine {
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Lets the next append fail.
    pub fn strike(&self, strike: Option<Strike>) {
        let mut state = self.state();
        state.strike = strike;
        state.struck = false;
    }

    /// Whether an append has failed since [`Self::strike`].
    pub fn struck(&self) -> bool {
        self.state().struck
    }

    pub fn n_sealed(&self) -> usize {
        self.state().sealed.len()
    }

    pub fn n_subjects(&self) -> usize {
        self.state().subjects.len()
    }
}

impl State {
    fn apply(&mut self, batch: &Batch) -> Result<()> {
        let identity = |new: &SubjectRecord| self.subjects.values().any(|old| old.identity == new.identity);
        if batch.sealed.iter().any(|row| self.sealed.contains_key(&row.id))
            || batch.subjects.iter().any(|row| self.subjects.contains_key(&row.id) || identity(row))
        {
            return Err(Error::Internal("a row is there already".to_owned()));
        }
        self.leaves.extend(batch.leaves.iter().cloned());
        self.checkpoints.extend(batch.checkpoint.iter().map(|note| (self.leaves.len() as u64, note.clone())));
        self.sealed.extend(batch.sealed.iter().map(|row| (row.id.clone(), row.clone())));
        self.subjects.extend(batch.subjects.iter().map(|row| (row.id.clone(), row.clone())));
        for subject in &batch.erase.subjects {
            self.subjects.remove(subject);
            self.sealed.retain(|_, row| row.owner.as_ref() != Some(subject));
        }
        self.evidence.extend(batch.evidence.iter().map(|blob| (blob.blake3.to_string(), blob.packed.clone())));
        for value in &batch.erase.values {
            self.sealed.remove(value);
        }
        for blob in &batch.erase.blobs {
            self.evidence.remove(blob.as_str());
        }
        Ok(())
    }
}

impl Engine for MemoryEngine {
    fn head(&self) -> Result<Head> {
        let state = self.state();
        let (size, signed) = (state.leaves.len() as u64, state.checkpoints.last_key_value());
        if signed.map_or(0, |(of, _)| *of) != size {
            return Err(Error::Corrupt(format!("{size} events, and the newest checkpoint is another one's")));
        }
        Ok(Head { size, checkpoint: signed.map(|(_, note)| note.clone()) })
    }

    fn read(&self, range: Range<u64>, backwards: bool, visit: &mut LeafVisitor<'_>) -> Result<()> {
        // One state for the whole read, and no lock while the visitor, who may read too, is at work.
        let size = self.state().leaves.len() as u64;
        let (start, end) = (range.start.min(size), range.end.min(size));
        let mut positions: Box<dyn Iterator<Item = u64>> =
            if backwards { Box::new((start..end).rev()) } else { Box::new(start..end) };
        positions
            .try_for_each(|position| {
                let leaf = self.leaf(position)?.unwrap();
                // An error is the only way out of this loop.
                if visit(position, &leaf).map_err(Some)? { Ok(()) } else { Err(None) }
            })
            .or_else(|end: Option<Error>| end.map_or(Ok(()), Err))
    }

    fn leaf(&self, position: u64) -> Result<Option<Bytes>> {
        Ok(self.state().leaves.get(usize::try_from(position).unwrap()).cloned())
    }

    fn checkpoints(&self, range: Range<u64>, visit: &mut dyn FnMut(u64, &str) -> Result<bool>) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let found: Vec<_> = self.state().checkpoints.range(range).map(|(size, note)| (*size, note.clone())).collect();
        for (size, note) in found {
            if !visit(size, &note)? {
                break;
            }
        }
        Ok(())
    }

    fn sealed(&self, id: &SealedId) -> Result<Option<SealedValue>> {
        Ok(self.state().sealed.get(id).cloned())
    }

    fn evidence(&self, blake3: &Hex32) -> Result<Option<Bytes>> {
        Ok(self.state().evidence.get(blake3.as_str()).cloned())
    }

    fn subject(&self, id: &SubjectId) -> Result<Option<SubjectRecord>> {
        Ok(self.state().subjects.get(id).cloned())
    }

    fn subject_of(&self, identity: &str) -> Result<Option<SubjectRecord>> {
        Ok(self.state().subjects.values().find(|row| row.identity == identity).cloned())
    }

    fn appender(&self) -> Result<Box<dyn Appender>> {
        Ok(Box::new(MemoryAppender { engine: self.clone(), dead: false }))
    }

    /// A backup is a database of the SQLite engine, as nothing else can read a file.
    fn backup(&self, to: &Path) -> Result<u64> {
        let state = self.state();
        let mut copy = SqliteEngine::open(Store::precious(to, None))?.appender()?;
        let beside = Batch {
            sealed: state.sealed.values().cloned().collect(),
            subjects: state.subjects.values().cloned().collect(),
            evidence: state.evidence.iter().map(|(blake3, packed)| packed_blob(blake3, packed)).collect(),
            ..Batch::default()
        };
        let mut batches = vec![beside];
        let mut first = 0;
        for (size, note) in &state.checkpoints {
            let range = usize::try_from(first).unwrap()..usize::try_from(*size).unwrap();
            let (leaves, checkpoint) = (state.leaves[range].to_vec(), Some(note.clone()));
            batches.push(Batch { first, leaves, checkpoint, ..Batch::default() });
            first = *size;
        }
        for batch in batches {
            copy.append(&batch).map_err(|error| Error::Internal(format!("{error:?}")))?;
        }
        drop(copy);
        Ok(std::fs::metadata(to).map_err(|error| Error::io("cannot read the size of", to, error))?.len())
    }
}

fn packed_blob(blake3: &str, packed: &Bytes) -> PackedBlob {
    PackedBlob { blake3: blake3.parse().unwrap(), packed: packed.clone() }
}

struct MemoryAppender {
    engine: MemoryEngine,
    dead: bool,
}

impl Appender for MemoryAppender {
    fn append(&mut self, batch: &Batch) -> Result<(), AppendError> {
        assert!(!self.dead, "written to after a fatal error");
        let mut state = self.engine.state();
        let size = state.leaves.len() as u64;
        if batch.first != size {
            return Err(AppendError::Moved { size });
        }
        if batch.leaves.is_empty() != batch.checkpoint.is_none() {
            return Err(AppendError::Refused(Error::Internal("a checkpoint goes with leaves".to_owned())));
        }
        let strike = state.strike.take();
        state.struck = strike.is_some();
        match strike {
            Some(Strike::Refused) => {
                return Err(AppendError::Refused(Error::CannotWrite { what: "simulated".to_owned(), source: None }));
            }
            Some(Strike::Lost) => {}
            Some(Strike::Applied) | None => state.apply(batch).map_err(AppendError::Refused)?,
        }
        self.dead = strike.is_some();
        if self.dead { Err(AppendError::Fatal(Error::Internal("simulated".to_owned()))) } else { Ok(()) }
    }
}
