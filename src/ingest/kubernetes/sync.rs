//! Events of an Application's operations, and of those that only its history still tells of.

use super::application::{App, Deployed, Entry, InitiatedBy, OperationState, private};
use super::object::{self, images};
use super::seen::{End, Seen, SeenOperation};
use super::sight::Sight;
use crate::event::ledger::ObservationGap;
use crate::event::target::{
    Health, Image, ManifestSource, Observation, Operation, Phase, SyncFailed, SyncStarted, SyncSucceeded,
    SyncTerminated, SyncedResources, Uncertainty,
};
use crate::event::{Correlation, Draft, GitOid, StreamName, Subject, Timestamp, U64};
use crate::ingest::Rejection;

/// Name of the entry of an operation's `info` that holds the ledger's command.
pub const COMMAND: &str = "plimsoll-command";

/// Whether an operation is said to have succeeded without when or what.
pub(super) fn incomplete(operation: &OperationState<'_>) -> bool {
    operation.phase == Some(Phase::Succeeded) && (operation.finished_at.is_none() || operation.deployed.is_none())
}

/// The attempt that an operation waits after: running, and ended all the same.
pub(super) fn waits_after(operation: &OperationState<'_>) -> Option<u32> {
    let waits = operation.phase == Some(Phase::Running) && operation.finished_at.is_some();
    waits.then(|| operation.retry_count.unwrap_or_default())
}

/// One application's operations, seen once.
pub(super) struct Operations<'a, 'b> {
    pub(super) app: &'a App<'b>,
    pub(super) previous: Option<&'a Seen>,
    pub(super) now: &'a Seen,
    pub(super) sight: &'a Sight<'a>,
    pub(super) drafts: &'a mut Vec<Draft>,
}

impl Operations<'_, '_> {
    /// Everything that the operation slot and the history add.
    pub(super) fn all(&mut self) -> Result<(), Rejection> {
        self.history()?;
        if let Some(operation) = &self.app.operation {
            self.lost(operation)?;
            self.slot(operation).map_err(|error| error.at("status.operationState"))?;
        }
        Ok(())
    }

    fn before(&self) -> Option<&SeenOperation> {
        self.previous.and_then(|previous| previous.operation.as_ref())
    }

    /// An operation is known by the application and the instant it began at: in the slot, in the history, seen live or
    /// found later, it has the same keys.
    fn key(&self, started_at: Option<Timestamp>, what: &str) -> String {
        let version = self.app.meta.resource_version.as_deref().unwrap_or_default();
        let at = started_at.map_or_else(|| format!("unknown {version}"), |at| at.to_string());
        format!("{} operation {at} {what}", self.now.identity)
    }

    fn deployment(&self, started_at: Option<Timestamp>) -> Option<String> {
        started_at.map(|at| format!("{}@{at}", self.now.identity))
    }

    fn push(&mut self, data: impl Into<crate::event::Data>, key: &str, at: Timestamp) -> Result<(), Rejection> {
        self.drafts.push(self.sight.draft(data, &self.now.stream, key, at)?);
        Ok(())
    }

    /// Syncs that were never seen: those in the history beyond the newest entry that is accounted for.
    fn history(&mut self) -> Result<(), Rejection> {
        let slot = self.app.operation.as_ref().map(|operation| (operation.started_at, operation.done()));
        let known = self.previous.and_then(|previous| previous.history_id);
        let began = self.before().and_then(|before| before.started_at);
        let (mut last_id, mut last_at) = (known, self.sight.since.or(began));
        let mut told = Vec::new();
        for (n, entry) in self.app.history.iter().enumerate() {
            if known.is_some_and(|known| entry.id <= known) {
                last_at = Some(entry.finished_at);
                continue;
            }
            let missing = last_id.is_some_and(|last| entry.id > last.saturating_add(1));
            if missing {
                let to = entry.started_at.unwrap_or(entry.finished_at);
                let ids =
                    format!("{} to {}", last_id.unwrap_or_default().saturating_add(1), entry.id.saturating_sub(1));
                self.gap(last_at, to, &format!("history of {} lacks the ids {ids}", self.now.application.name))?;
            }
            (last_id, last_at) = (Some(entry.id), Some(entry.finished_at));
            // What the slot holds tells more; while it runs, its entry comes first.
            let same =
                |(started_at, _): (Option<Timestamp>, bool)| started_at.is_some() && started_at == entry.started_at;
            // A controller that died between its two writes adds a second entry of the same sync.
            let again = entry.started_at.is_some() && told.contains(&entry.started_at);
            told.push(entry.started_at);
            if !slot.is_some_and(same) && !again {
                self.entry(entry).map_err(|error| error.at(format!("status.history[{n}]")))?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, entry: &Entry<'_>) -> Result<(), Rejection> {
        let (started_at, finished_at) = (entry.started_at, entry.finished_at);
        let operation = Operation {
            partial: Some(false),
            phase: Some(Phase::Succeeded),
            started_at,
            ..initiated(&entry.initiated_by)
        };
        let succeeded = SyncSucceeded {
            deployment: self.deployment(started_at),
            history_id: Some(U64(entry.id)),
            observation: Some(Observation::History),
            operation: Some(operation),
            sources: entry.deployed.manifest_sources(),
            started_at,
            ..self.succeeded(finished_at)
        };
        let key = match started_at {
            Some(_) => self.key(started_at, "succeeded"),
            None => format!("{} history {}", self.now.identity, entry.id),
        };
        self.push(succeeded, &key, finished_at)
    }

    /// The end of the operation before, where the slot was overwritten unseen and the history does not tell of it.
    fn lost(&mut self, operation: &OperationState<'_>) -> Result<(), Rejection> {
        let Some(before) = self.before().filter(|before| before.end == End::No) else { return Ok(()) };
        let (Some(began), Some(next)) = (before.started_at, operation.started_at) else { return Ok(()) };
        let told = self.app.history.iter().any(|entry| entry.started_at == Some(began));
        if began == next || told {
            return Ok(());
        }
        let reason =
            format!("the end of the operation that {} began at {began} was not seen", self.now.application.name);
        self.gap(Some(began), next, &reason)
    }

    /// That something was not seen.
    fn gap(&mut self, from: Option<Timestamp>, to: Timestamp, reason: &str) -> Result<(), Rejection> {
        let from = from.unwrap_or(to).min(to);
        let gap = ObservationGap { from, observed: Some(self.sight.source.clone()), reason: reason.to_owned(), to };
        let key = format!("{} gap {from} {to}", self.now.identity);
        let stream: StreamName = "ledger".parse()?;
        self.drafts.push(self.sight.draft(gap, &stream, &key, to)?);
        Ok(())
    }

    /// What the slot shows that was not known.
    fn slot(&mut self, operation: &OperationState<'_>) -> Result<(), Rejection> {
        let same = self.before().filter(|before| before.started_at == operation.started_at).cloned();
        let started_at = operation.started_at;
        if let Some(at) = started_at {
            let blocked = operation.blocked();
            if same.is_none() {
                self.push(self.started(operation, at), &self.key(started_at, "started"), at)?;
            } else if blocked && !same.as_ref().is_some_and(|before| before.blocked) {
                let occurred_at = self.sight.at;
                self.push(self.started(operation, at), &self.key(started_at, "blocked"), occurred_at)?;
            }
        }
        if let Some(attempt) = waits_after(operation)
            && same.as_ref().and_then(|before| before.waits_after) < Some(attempt)
        {
            let failed = SyncFailed { will_retry: Some(true), ..self.failed(operation) };
            let at = failed.finished_at;
            self.push(failed, &self.key(started_at, &format!("attempt {attempt} failed")), at)?;
        }
        let known = same.as_ref().map_or(End::No, |before| before.end);
        if !operation.done() || known == End::Yes || (known == End::Incomplete && incomplete(operation)) {
            return Ok(());
        }
        match operation.phase {
            Some(Phase::Succeeded) => {
                let what = if incomplete(operation) { "succeeded incomplete" } else { "succeeded" };
                let succeeded = self.slot_succeeded(operation);
                let at = succeeded.finished_at;
                self.push(succeeded, &self.key(started_at, what), at)
            }
            _ if terminated(operation, same.as_ref()) => {
                let terminated = self.terminated(operation);
                let at = terminated.finished_at;
                self.push(terminated, &self.key(started_at, "terminated"), at)
            }
            _ => {
                let failed = self.failed(operation);
                let at = failed.finished_at;
                self.push(failed, &self.key(started_at, "failed"), at)
            }
        }
    }

    fn started(&self, operation: &OperationState<'_>, at: Timestamp) -> SyncStarted {
        SyncStarted {
            application: Some(self.now.application.clone()),
            commit: None,
            deployment: self.deployment(Some(at)),
            git_ref: None,
            images: None,
            observation: Some(self.sight.observation),
            observed_between: self.sight.between(),
            operation: Some(asked(operation)),
            repository: None,
            run: None,
            sources: self.asked_sources(operation),
            started_at: at,
            url: None,
        }
    }

    fn asked_sources(&self, operation: &OperationState<'_>) -> Option<Vec<ManifestSource>> {
        let mut asked = self.app.spec.asked(operation.sync.as_ref());
        // What is asked for may be a branch; only a commit is what it resolves to, too.
        asked.revisions.iter_mut().filter(|text| text.parse::<GitOid>().is_err()).for_each(String::clear);
        operation
            .deployed
            .as_ref()
            .filter(|deployed| !deployed.revisions.is_empty())
            .unwrap_or(&asked)
            .manifest_sources()
    }

    /// What every success has; the rest is empty.
    fn succeeded(&self, finished_at: Timestamp) -> SyncSucceeded {
        SyncSucceeded {
            application: Some(self.now.application.clone()),
            commit: None,
            deployment: None,
            effective: None,
            finished_at,
            git_ref: None,
            health: None,
            history_id: None,
            hotfix: None,
            images: None,
            incomplete: None,
            message: None,
            observation: None,
            observed_between: None,
            operation: None,
            remediates_deployments: None,
            remediates_incidents: None,
            repository: None,
            resources: None,
            run: None,
            sources: None,
            started_at: None,
            url: None,
            version: None,
        }
    }

    fn slot_succeeded(&self, operation: &OperationState<'_>) -> SyncSucceeded {
        let started_at = operation.started_at;
        let entry =
            self.app.history.iter().rev().find(|entry| entry.started_at.is_some() && entry.started_at == started_at);
        let (finished_at, observed_between) = self.end(operation);
        SyncSucceeded {
            deployment: self.deployment(started_at),
            health: self.trusted_health(operation),
            history_id: entry.map(|entry| U64(entry.id)),
            images: self.images(operation),
            incomplete: incomplete(operation).then_some(true),
            message: private(&operation.message),
            observation: Some(self.sight.observation),
            observed_between,
            operation: Some(asked(operation)),
            resources: counts(operation),
            sources: self.deployed_sources(operation),
            started_at,
            ..self.succeeded(finished_at)
        }
    }

    fn deployed_sources(&self, operation: &OperationState<'_>) -> Option<Vec<ManifestSource>> {
        let deployed = operation.deployed.as_ref()?;
        let sources = if deployed.sources.is_empty() { &self.app.spec.sources } else { &deployed.sources };
        Deployed { revisions: deployed.revisions.clone(), sources: sources.clone() }.manifest_sources()
    }

    /// When an operation ended: where it does not say, it is known only that it is over by now.
    fn end(&self, operation: &OperationState<'_>) -> (Timestamp, Option<Uncertainty>) {
        if let Some(finished_at) = operation.finished_at {
            return (finished_at, self.sight.between());
        }
        let made = self.app.meta.creation_timestamp.as_deref().and_then(crate::report::value::zoned_time);
        let from = self.sight.since.max(operation.started_at).or(made);
        (self.sight.at, from.map(|from| Uncertainty { from: from.min(self.sight.at), to: self.sight.at }))
    }

    fn trusted_health(&self, operation: &OperationState<'_>) -> Option<Health> {
        let after = self.app.reconciled_at.zip(operation.finished_at).is_some_and(|(compared, end)| compared >= end);
        self.app.health.health.filter(|_| after)
    }

    /// What runs: images of the live objects where they were looked at after the end, else those that the sync applied.
    fn images(&self, operation: &OperationState<'_>) -> Option<Vec<Image>> {
        if self.app.compared_after_operation() {
            return self.app.images.as_ref().map(|texts| images(texts.iter().map(String::as_str)));
        }
        if operation.partial() {
            return None;
        }
        let applied =
            operation.resources.iter().flatten().flat_map(|resource| resource.images.iter().map(String::as_str));
        Some(images(applied)).filter(|images| !images.is_empty())
    }

    fn failed(&self, operation: &OperationState<'_>) -> SyncFailed {
        let (finished_at, observed_between) = self.end(operation);
        SyncFailed {
            application: Some(self.now.application.clone()),
            commit: None,
            deployment: self.deployment(operation.started_at),
            effective: None,
            finished_at,
            health: self.trusted_health(operation),
            images: None,
            message: private(&operation.message),
            observation: Some(self.sight.observation),
            observed_between,
            operation: Some(asked(operation)),
            repository: None,
            resources: counts(operation),
            run: None,
            sources: self.asked_sources(operation),
            started_at: operation.started_at,
            url: None,
            will_retry: None,
        }
    }

    fn terminated(&self, operation: &OperationState<'_>) -> SyncTerminated {
        let (finished_at, observed_between) = self.end(operation);
        SyncTerminated {
            application: Some(self.now.application.clone()),
            deployment: self.deployment(operation.started_at),
            effective: None,
            finished_at,
            message: private(&operation.message),
            observation: Some(self.sight.observation),
            observed_between,
            operation: Some(asked(operation)),
            resources: counts(operation),
            sources: self.asked_sources(operation),
            started_at: operation.started_at,
            // The slot does not tell; the audit log does.
            terminated_by: None,
        }
    }
}

/// Whether an operation was stopped: seen while it was being, or as Argo CD words it.
fn terminated(operation: &OperationState<'_>, before: Option<&SeenOperation>) -> bool {
    let message = operation.message.to_ascii_lowercase();
    before.is_some_and(|before| before.phase == Some(Phase::Terminating))
        || message.starts_with("operation terminated")
        || message.starts_with("operation termination had errors")
}

/// Who began something, as it claims.
fn initiated(by: &InitiatedBy) -> Operation {
    let name = by.username.as_deref().filter(|name| !name.is_empty());
    Operation {
        automated: by.automated.or_else(|| name.map(|_| false)),
        initiated_by: name.and_then(|name| format!("argocd:{name}").parse::<Subject>().ok()),
        ..Operation::default()
    }
}

/// What an operation was asked to do.
fn asked(operation: &OperationState<'_>) -> Operation {
    let sync = operation.sync.as_ref();
    let names = sync.map(|sync| sync.resources.as_slice()).unwrap_or_default();
    let command = operation.info.iter().find(|info| info.name == COMMAND);
    Operation {
        blocked_by_window: operation.blocked().then_some(true),
        command: command.and_then(|info| info.value.parse::<Correlation>().ok()),
        dry_run: sync.and_then(|sync| sync.dry_run).filter(|dry| *dry),
        force: sync.map(super::application::SyncRequest::force).filter(|force| *force),
        partial: sync.map(|_| operation.partial()),
        phase: operation.phase,
        prune: sync.map(|sync| sync.prune.unwrap_or_default()),
        resources: operation
            .partial()
            .then(|| object::bounded(names.iter().map(super::application::ResourceName::resource), 100)),
        resources_total: operation.partial().then(|| u32::try_from(names.len()).unwrap_or(u32::MAX)),
        retry_count: operation.retry_count,
        self_heal_attempts: sync.and_then(|sync| sync.auto_heal_attempts_count),
        started_at: operation.started_at,
        ..initiated(&operation.initiated_by)
    }
}

/// How many objects are in which state, where that is told.
fn counts(operation: &OperationState<'_>) -> Option<SyncedResources> {
    let resources = operation.resources.as_ref()?;
    let count = |word: &str| {
        u32::try_from(resources.iter().filter(|resource| resource.status == word).count()).unwrap_or(u32::MAX)
    };
    Some(SyncedResources {
        prune_skipped: count("PruneSkipped"),
        pruned: count("Pruned"),
        sync_failed: count("SyncFailed"),
        synced: count("Synced"),
    })
}
