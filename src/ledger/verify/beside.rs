//! What stands beside the log: evidence, private values, identities. Absence is damage unless an event accounts for it.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::super::Evidence;
use super::super::engine::Engine;
use super::super::evidence::Blob;
use super::ledger::Checks;
use super::{Damage, Report};
use crate::event::{Data, EvidenceRef, Hex32, Recorded, SealedId, SealedRef, SubjectId, commitment};

/// Collects what events name, and checks it at the end, when every erasure is known.
pub(super) struct Beside<'a> {
    engine: &'a dyn Engine,
    evidence: Option<&'a Evidence>,
    blobs: HashMap<EvidenceRef, u64>,
    subjects: HashMap<SubjectId, u64>,
    missing: Vec<(SealedId, u64, Option<SubjectId>)>,
    erased_blobs: HashSet<Hex32>,
    erased_subjects: HashSet<SubjectId>,
    erased_values: HashSet<SealedId>,
}

impl<'a> Beside<'a> {
    pub(super) fn new(checks: &'a Checks) -> Self {
        Self {
            engine: &*checks.engine,
            evidence: checks.evidence.as_ref(),
            blobs: HashMap::new(),
            subjects: HashMap::new(),
            missing: Vec::new(),
            erased_blobs: HashSet::new(),
            erased_subjects: HashSet::new(),
            erased_values: HashSet::new(),
        }
    }

    /// Takes in an event that names something. Of a type that this program does not know, it cannot be told what its
    /// payload names.
    pub(super) fn note(&mut self, event: &Recorded, report: &mut Report) {
        let position = event.envelope().position.0;
        self.note_erasure(event);
        for reference in &event.envelope().evidence {
            self.blobs.entry(reference.clone()).or_insert(position);
        }
        // A leaf that cannot be read was found already.
        let Ok(parts) = event.private_parts() else { return };
        for subject in parts.subjects {
            self.subjects.entry(subject).or_insert(position);
        }
        for reference in &parts.sealed {
            self.value(reference, event, report);
        }
    }

    fn note_erasure(&mut self, event: &Recorded) {
        if event.envelope().stream.as_str() != "ledger" {
            return;
        }
        match event.data() {
            Ok(Data::SubjectErased(erased)) => {
                self.erased_subjects.extend(erased.subject);
                self.erased_values.extend(erased.values);
            }
            Ok(Data::EvidenceErased(erased)) => {
                self.erased_blobs.insert(erased.blake3);
            }
            _ => {}
        }
    }

    fn value(&mut self, reference: &SealedRef, event: &Recorded, report: &mut Report) {
        let position = Some(event.envelope().position.0);
        let id = &reference.sealed;
        match self.engine.sealed(id) {
            Ok(Some(row)) => {
                report.private_values += 1;
                if commitment(&row.salt, &row.value) != reference.commitment.to_bytes() {
                    report.find(Damage::BadPrivateValue, position, format!("value {id} does not open its commitment"));
                }
                // Else it would stay when that person is erased, or go with another.
                if row.owner != event.envelope().actor {
                    report.find(Damage::BadPrivateValue, position, format!("value {id} is not kept as the actor's"));
                }
            }
            Ok(None) => self.missing.push((id.clone(), event.envelope().position.0, event.envelope().actor.clone())),
            Err(error) => report.find(Damage::Unreadable, position, format!("value {id}: {error}")),
        }
    }

    /// Reads every blob and identity, and judges absences. What is missing may have been erased since the log was
    /// `size` long: every erasure is in the log before anything is gone.
    pub(super) fn finish(mut self, size: u64, report: &mut Report) {
        let nobody = self.read_subjects(report);
        let no_blob = self.read_blobs(report);
        let later = self.engine.read(size..u64::MAX, false, &mut |_, leaf| {
            if let Ok(event) = Recorded::parse(Bytes::copy_from_slice(leaf)) {
                self.note_erasure(&event);
            }
            Ok(true)
        });
        if let Err(error) = later {
            report.find(Damage::Unreadable, Some(size), error.to_string());
        }
        for (id, position, actor) in &self.missing {
            let with_actor = actor.as_ref().is_some_and(|actor| self.erased_subjects.contains(actor));
            if with_actor || self.erased_values.contains(id) {
                report.erased += 1;
            } else {
                report.find(Damage::MissingPrivateValue, Some(*position), format!("value {id} is not there"));
            }
        }
        for (id, position) in nobody {
            if self.erased_subjects.contains(&id) {
                report.erased += 1;
            } else {
                report.find(Damage::MissingPrivateValue, Some(position), format!("nobody is behind {id}"));
            }
        }
        for (blake3, position) in no_blob {
            if self.erased_blobs.contains(&blake3) {
                report.erased += 1;
            } else {
                report.find(Damage::MissingEvidence, Some(position), format!("blob {blake3} is not there"));
            }
        }
    }

    /// Checks who is behind each pseudonym, and returns those behind which nobody is.
    fn read_subjects(&self, report: &mut Report) -> Vec<(SubjectId, u64)> {
        let mut nobody = Vec::new();
        for (id, position) in &self.subjects {
            match self.engine.subject(id) {
                Ok(Some(row)) if SubjectId::commit(&row.salt, &row.identity) == *id => report.private_values += 1,
                Ok(Some(_)) => {
                    let what = format!("{id} is not the pseudonym of who is behind it");
                    report.find(Damage::BadPrivateValue, Some(*position), what);
                }
                Ok(None) => nobody.push((id.clone(), *position)),
                Err(error) => report.find(Damage::Unreadable, Some(*position), format!("{id}: {error}")),
            }
        }
        nobody
    }

    /// Reads the blobs, and returns those that are not there.
    fn read_blobs(&self, report: &mut Report) -> Vec<(Hex32, u64)> {
        let mut missing = Vec::new();
        let Some(evidence) = self.evidence else { return missing };
        let mut blobs: Vec<_> = self.blobs.iter().collect();
        blobs.sort_by_key(|(_, position)| **position);
        for (reference, position) in blobs {
            let (at, blake3) = (Some(*position), &reference.blake3);
            match futures::executor::block_on(evidence.get(reference)) {
                Ok(Blob::Intact(_)) => {
                    report.evidence += 1;
                    if self.erased_blobs.contains(blake3) {
                        report.notes.push(format!("blob {blake3} was erased, and is still there"));
                    }
                }
                Ok(Blob::Missing) => missing.push((blake3.clone(), *position)),
                Ok(Blob::Damaged(what)) => report.find(Damage::BadEvidence, at, format!("blob {blake3}: {what}")),
                Err(error) => report.find(Damage::Unreadable, at, format!("blob {blake3}: {error}")),
            }
        }
        missing
    }
}
