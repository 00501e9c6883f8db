//! What the ledger knows of a repository: a fold of its stream.

use std::collections::{HashMap, HashSet};

use super::name::RepositoryName;
use crate::event::{Data, GitOid, Recorded, Source};

/// The commits, branches and tags of a repository that were recorded by reading it. What a forge's webhooks said of it
/// stands in the same stream, but is not the whole: the reading goes by its own.
#[derive(Debug, Clone)]
pub struct Known {
    source: Source,
    pub(super) commits: HashSet<String>,
    pub(super) branches: HashMap<RefName, RefState>,
    pub(super) tags: HashMap<RefName, RefState>,
    pub(super) releases: HashSet<String>,
}

/// Exact bytes of a branch's or tag's name.
pub(super) type RefName = Vec<u8>;

/// Where a branch or tag points, and how often that was recorded.
#[derive(Debug, Clone, Default)]
pub(super) struct RefState {
    /// None when it is gone.
    pub(super) at: Option<String>,
    /// The tag object on the way there, for annotated tags.
    pub(super) object: Option<String>,
    pub(super) n_events: u64,
}

impl Known {
    /// Nothing yet of that repository.
    #[must_use]
    pub fn nothing(name: &RepositoryName) -> Self {
        Self {
            source: name.source.clone(),
            commits: HashSet::new(),
            branches: HashMap::new(),
            tags: HashMap::new(),
            releases: HashSet::new(),
        }
    }

    /// Takes in an event of the repository's stream.
    ///
    /// # Errors
    /// When the leaf cannot be read.
    pub fn take(&mut self, event: &Recorded) -> Result<(), crate::event::Error> {
        if event.envelope().source != self.source {
            return Ok(());
        }
        match event.data()? {
            Data::CommitRecorded(data) => {
                self.commits.insert(data.commit.to_string());
            }
            Data::BranchUpdated(data) => {
                let name = name(&data.branch, data.branch_hex.as_deref());
                moved(&mut self.branches, name, data.after, None);
            }
            Data::TagCreated(data) => {
                let name = name(&data.tag, data.tag_hex.as_deref());
                moved(&mut self.tags, name, data.target, data.tag_object);
            }
            Data::TagMoved(data) => {
                let name = name(&data.tag, data.tag_hex.as_deref());
                moved(&mut self.tags, name, Some(data.after), data.tag_object);
            }
            Data::TagDeleted(data) => moved(&mut self.tags, name(&data.tag, data.tag_hex.as_deref()), None, None),
            _ => {}
        }
        Ok(())
    }

    /// Takes in an event of the target's stream: releases recorded before.
    pub fn take_release(&mut self, dedup: &str) {
        self.releases.insert(dedup.to_owned());
    }

    /// How many commits are known.
    #[must_use]
    pub fn n_commits(&self) -> usize {
        self.commits.len()
    }
}

fn name(text: &str, hex: Option<&str>) -> RefName {
    hex.and_then(|hex| hex::decode(hex).ok()).unwrap_or_else(|| text.as_bytes().to_vec())
}

fn moved(refs: &mut HashMap<RefName, RefState>, name: RefName, at: Option<GitOid>, object: Option<GitOid>) {
    let state = refs.entry(name).or_default();
    state.at = at.map(|oid| oid.to_string());
    state.object = object.map(|oid| oid.to_string());
    state.n_events += 1;
}
