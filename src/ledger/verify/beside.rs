//! What stands beside the log: evidence, private values, identities. Absence is damage unless an event accounts for it.

use std::collections::{HashMap, HashSet};

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
        let own = event.envelope().stream.as_str() == "ledger";
        match own.then(|| event.data()) {
            Some(Ok(Data::SubjectErased(erased))) => {
                self.erased_subjects.extend(erased.subject);
                self.erased_values.extend(erased.values);
            }
            Some(Ok(Data::EvidenceErased(erased))) => {
                self.erased_blobs.insert(erased.blake3);
            }
            _ => {}
        }
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

    fn value(&mut self, reference: &SealedRef, event: &Recorded, report: &mut Report) {
        let position = Some(event.envelope().position.0);
        let id = &reference.sealed;
        match self.engine.sealed(id) {
            Ok(Some(row)) => {
                report.private_values += 1;
                if commitment(&row.salt, &row.value) != reference.commitment.to_bytes() {
                    report.find(Damage::BadPrivateValue, position, format!("value {id} does not open its commitment"));
                }
                // Else the erasure of its actor would pass it by.
                if row.owner != event.envelope().actor {
                    report.find(
                        Damage::BadPrivateValue,
                        position,
                        format!("value {id} is not the actor's of its event"),
                    );
                }
            }
            Ok(None) => self.missing.push((id.clone(), event.envelope().position.0, event.envelope().actor.clone())),
            Err(error) => report.find(Damage::Unreadable, position, format!("value {id}: {error}")),
        }
    }

    /// Judges absences, and reads every blob.
    pub(super) fn finish(self, report: &mut Report) {
        for (id, position, actor) in &self.missing {
            let with_actor = actor.as_ref().is_some_and(|actor| self.erased_subjects.contains(actor));
            if with_actor || self.erased_values.contains(id) {
                report.erased += 1;
            } else {
                report.find(Damage::MissingPrivateValue, Some(*position), format!("value {id} is not there"));
            }
        }
        for (id, position) in &self.subjects {
            match self.engine.subject(id) {
                Ok(Some(row)) if SubjectId::commit(&row.salt, &row.identity) == *id => report.private_values += 1,
                Ok(Some(_)) => {
                    report.find(
                        Damage::BadPrivateValue,
                        Some(*position),
                        format!("{id} is not the pseudonym of who is behind it"),
                    );
                }
                Ok(None) if self.erased_subjects.contains(id) => report.erased += 1,
                Ok(None) => {
                    report.find(Damage::MissingPrivateValue, Some(*position), format!("nobody is behind {id}"));
                }
                Err(error) => report.find(Damage::Unreadable, Some(*position), format!("{id}: {error}")),
            }
        }
        self.read_blobs(report);
    }

    fn read_blobs(&self, report: &mut Report) {
        let Some(evidence) = self.evidence else { return };
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
                Ok(Blob::Missing) if self.erased_blobs.contains(blake3) => report.erased += 1,
                Ok(Blob::Missing) => report.find(Damage::MissingEvidence, at, format!("blob {blake3} is not there")),
                Ok(Blob::Damaged(what)) => report.find(Damage::BadEvidence, at, format!("blob {blake3}: {what}")),
                Err(error) => report.find(Damage::Unreadable, at, format!("blob {blake3}: {error}")),
            }
        }
    }
}
