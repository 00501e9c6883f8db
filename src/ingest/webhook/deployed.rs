//! What forges tell of deployments: less than a deployer knows, and the same from each of them.

use crate::event::target::{ManifestSource, Operation, SyncFailed, SyncStarted, SyncSucceeded, SyncTerminated};
use crate::event::{GitOid, Private, StreamName, Subject, Timestamp};

/// A deployment, whatever became of it.
pub(super) struct Deployed {
    /// The commit, where it is told in full.
    pub(super) commit: Option<GitOid>,
    /// Its number at the forge.
    pub(super) deployment: String,
    /// What was asked for: a branch, a tag or a commit, without saying which.
    pub(super) asked_for: Option<String>,
    /// Who asked for it.
    pub(super) creator: Option<Subject>,
    /// What was said of it.
    pub(super) message: Option<Private>,
    /// The repository's stream.
    pub(super) repository: StreamName,
    /// The pipeline run that deploys.
    pub(super) run: Option<String>,
    /// When it began.
    pub(super) started_at: Option<Timestamp>,
    /// Where to look at it.
    pub(super) url: Option<String>,
}

impl Deployed {
    fn sources(&self) -> Option<Vec<ManifestSource>> {
        Some(vec![ManifestSource {
            repository: Some(self.repository.clone()),
            revision: self.commit.as_ref().map(ToString::to_string),
            target_revision: self.asked_for.clone(),
            ..ManifestSource::default()
        }])
    }

    fn operation(&self) -> Option<Operation> {
        let operation = |creator: &Subject| Operation { initiated_by: Some(creator.clone()), ..Operation::default() };
        self.creator.as_ref().map(operation)
    }

    /// What was asked for, if it says in full what it is.
    fn git_ref(&self) -> Option<String> {
        self.asked_for.clone().filter(|name| name.starts_with("refs/"))
    }

    /// It began.
    pub(super) fn started(self, at: Timestamp) -> SyncStarted {
        SyncStarted {
            application: None,
            sources: self.sources(),
            operation: self.operation(),
            git_ref: self.git_ref(),
            commit: self.commit,
            deployment: Some(self.deployment),
            images: None,
            observation: None,
            observed_between: None,
            repository: Some(self.repository),
            run: self.run,
            started_at: at,
            url: self.url,
        }
    }

    /// It did what it was to do.
    pub(super) fn succeeded(self, at: Timestamp) -> SyncSucceeded {
        SyncSucceeded {
            application: None,
            sources: self.sources(),
            operation: self.operation(),
            git_ref: self.git_ref(),
            commit: self.commit,
            deployment: Some(self.deployment),
            effective: None,
            finished_at: at,
            health: None,
            history_id: None,
            hotfix: None,
            images: None,
            incomplete: None,
            message: self.message,
            observation: None,
            observed_between: None,
            remediates_deployments: None,
            remediates_incidents: None,
            repository: Some(self.repository),
            resources: None,
            run: self.run,
            started_at: self.started_at,
            url: self.url,
            version: None,
        }
    }

    /// It failed.
    pub(super) fn failed(self, at: Timestamp) -> SyncFailed {
        SyncFailed {
            application: None,
            sources: self.sources(),
            operation: self.operation(),
            commit: self.commit,
            deployment: Some(self.deployment),
            effective: None,
            finished_at: at,
            health: None,
            images: None,
            message: self.message,
            observation: None,
            observed_between: None,
            repository: Some(self.repository),
            resources: None,
            run: self.run,
            started_at: self.started_at,
            url: self.url,
            will_retry: None,
        }
    }

    /// Somebody stopped it.
    pub(super) fn terminated(self, at: Timestamp) -> SyncTerminated {
        SyncTerminated {
            application: None,
            sources: self.sources(),
            operation: self.operation(),
            deployment: Some(self.deployment),
            effective: None,
            finished_at: at,
            message: self.message,
            observation: None,
            observed_between: None,
            resources: None,
            started_at: self.started_at,
            terminated_by: None,
        }
    }
}
