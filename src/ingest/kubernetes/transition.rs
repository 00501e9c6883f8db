//! From two sights of an Application to what happened between them. Pure.

use serde_json::Value;

use super::application::{App, ResourceStatus};
use super::object::{self, images};
use super::seen::{Drift, Seen};
use super::sight::Sight;
use super::sync::Operations;
use crate::event::target::{
    DriftCause, DriftClosed, DriftEnd, DriftOpened, Guard, GuardChanged, HealthChanged, Observation, Phase,
    RemovalCause, TargetRemoved,
};
use crate::event::{Draft, Timestamp};
use crate::ingest::Rejection;

/// The words of `status.sync.status` that tell something.
const SYNCED: &str = "Synced";
pub(super) const OUT_OF_SYNC: &str = "OutOfSync";

/// What the sight of an Application adds to what was known of it, and what is known of it now.
///
/// # Errors
/// What is wrong with the object, by path.
pub fn transition(previous: Option<&Seen>, object: &Value, sight: &Sight<'_>) -> Result<(Vec<Draft>, Seen), Rejection> {
    let app = App::read(object)?;
    let mut now = Seen::of(&app, sight)?;
    // Made anew under its old name, it is another.
    let previous = previous.filter(|previous| previous.identity == now.identity);
    if let Some(previous) = previous {
        now.drift.clone_from(&previous.drift);
        now.history_id = now.history_id.max(previous.history_id);
        if now.images.is_none() {
            now.images.clone_from(&previous.images);
        }
        // Whoever asks for the next operation takes the last one's state away.
        match (&mut now.operation, &previous.operation) {
            (slot @ None, before) => slot.clone_from(before),
            (Some(operation), Some(before)) if operation.started_at == before.started_at => operation.keep(before),
            _ => {}
        }
        if now.health.is_none() {
            now.health = previous.health;
        }
    }
    let mut drafts = Vec::new();
    Operations { app: &app, previous, now: &now, sight, drafts: &mut drafts }.all()?;
    let mut changes = Changes { app: &app, previous, now: &mut now, sight, drafts: &mut drafts };
    changes.guards()?;
    changes.health().map_err(|error| error.at("status.health"))?;
    changes.drift()?;
    Ok((drafts, now))
}

/// That an Application is gone.
///
/// # Errors
/// None that a real one has.
pub fn removed(seen: &Seen, sight: &Sight<'_>) -> Result<Vec<Draft>, Rejection> {
    let mut drafts = Vec::new();
    if let Some(drift) = &seen.drift {
        drafts.push(closed(seen, drift, DriftEnd::Removed, sight)?);
    }
    let removed = TargetRemoved {
        application: Some(seen.application.clone()),
        cascade: Some(seen.cascade),
        cause: match sight.observation {
            Observation::Relist => RemovalCause::MissingAtRelist,
            _ => RemovalCause::Deleted,
        },
        observation: Some(sight.observation),
        observed_between: sight.between(),
        reason: None,
        removed_by: None,
    };
    drafts.push(sight.draft(removed, &seen.stream, &format!("{} removed", seen.identity), sight.at)?);
    Ok(drafts)
}

fn closed(seen: &Seen, drift: &Drift, cause: DriftEnd, sight: &Sight<'_>) -> Result<Draft, Rejection> {
    let closed = DriftClosed {
        application: Some(seen.application.clone()),
        cause,
        drift: drift.id.clone(),
        observation: Some(sight.observation),
        observed_between: sight.between(),
    };
    sight.draft(closed, &seen.stream, &format!("{} drift {} closed", seen.identity, drift.id), sight.at)
}

/// What was synced last, as far as the object tells.
struct LastSync {
    finished_at: Timestamp,
    revisions: Option<crate::event::Hex32>,
    sources: Option<crate::event::Hex32>,
}

struct Changes<'a, 'b> {
    app: &'a App<'b>,
    previous: Option<&'a Seen>,
    now: &'a mut Seen,
    sight: &'a Sight<'a>,
    drafts: &'a mut Vec<Draft>,
}

impl Changes<'_, '_> {
    fn push(&mut self, data: impl Into<crate::event::Data>, key: &str, at: Timestamp) -> Result<(), Rejection> {
        let key = format!("{} {key}", self.now.identity);
        self.drafts.push(self.sight.draft(data, &self.now.stream, &key, at)?);
        Ok(())
    }

    /// The object's version: whoever sees the same version sees the same change.
    fn version(&self) -> String {
        self.app.meta.resource_version.clone().unwrap_or_else(|| self.sight.at.to_string())
    }

    fn guards(&mut self) -> Result<(), Rejection> {
        let Some(previous) = self.previous else { return Ok(()) };
        let guards: Vec<Guard> = Guard::ALL.to_vec();
        for guard in guards {
            let (before, after) = (previous.guards.get(&guard), self.now.guards.get(&guard));
            if before == after {
                continue;
            }
            let changed = GuardChanged {
                after: after.cloned().flatten(),
                application: Some(self.now.application.clone()),
                before: before.cloned().flatten(),
                changed_by: None,
                command: None,
                guard,
                observation: Some(self.sight.observation),
                observed_between: self.sight.between(),
                reason: None,
            };
            self.push(changed, &format!("guard {guard} {}", self.version()), self.sight.at)?;
        }
        Ok(())
    }

    /// Health has another word, or other images run than those that are known.
    fn health(&mut self) -> Result<(), Rejection> {
        let Some(after) = self.app.health.health else { return Ok(()) };
        let before = self.previous.and_then(|previous| previous.health);
        let compared = self.app.compared_after_operation();
        let other_images = self.previous.is_some_and(|previous| previous.images != self.now.images);
        if before == Some(after) && !other_images {
            return Ok(());
        }
        let changed = before != Some(after);
        let since = self.app.health.since;
        let healthy = HealthChanged {
            after,
            application: Some(self.now.application.clone()),
            before,
            images: self.app.images.as_ref().filter(|_| compared).map(|texts| images(texts.iter().map(String::as_str))),
            message: self.app.health.message.clone(),
            observation: Some(self.sight.observation),
            observed_between: self.sight.between(),
            reconciled_at: self.app.reconciled_at,
            resource: None,
            since,
        };
        let version = since.filter(|_| changed).map_or_else(|| self.version(), |since| since.to_string());
        let (key, at) = match (self.previous.is_none(), changed) {
            (true, _) => ("first".to_owned(), since.unwrap_or(self.sight.at)),
            (_, true) => (format!("health {after} {version}"), since.unwrap_or(self.sight.at)),
            (_, false) => (format!("images {version}"), self.sight.at),
        };
        self.push(healthy, &key, at)
    }

    /// Live state differs from desired state, or agrees with it again.
    fn drift(&mut self) -> Result<(), Rejection> {
        if let Some(drift) = self.now.drift.clone()
            && let Some(cause) = self.drift_end(&drift)
        {
            self.drafts.push(closed(self.now, &drift, cause, self.sight)?);
            self.now.drift = None;
        }
        if self.now.drift.is_some() || self.app.sync != OUT_OF_SYNC {
            return Ok(());
        }
        let Some(cause) = self.drift_cause() else { return Ok(()) };
        let id = format!("{} {}", self.now.identity, self.version());
        let id = blake3::hash(id.as_bytes()).to_hex().chars().take(24).collect::<String>();
        let differ: Vec<&ResourceStatus> = self.differing();
        let opened = DriftOpened {
            application: Some(self.now.application.clone()),
            cause,
            difference: None,
            drift: id.clone(),
            images: self.app.images.as_ref().map(|texts| images(texts.iter().map(String::as_str))),
            message: None,
            observation: Some(self.sight.observation),
            observed_between: self.sight.between(),
            resources: Some(object::bounded(differ.iter().map(|one| one.resource()), 100)),
            resources_total: Some(u32::try_from(differ.len()).unwrap_or(u32::MAX)),
            sources: self.app.compared.manifest_sources(),
            suspect: None,
        };
        self.push(opened, &format!("drift {id} opened"), self.sight.at)?;
        self.now.drift = Some(Drift::after(id, self.now));
        Ok(())
    }

    /// How drift ended, if it did.
    fn drift_end(&self, drift: &Drift) -> Option<DriftEnd> {
        let operation = self.app.operation.as_ref().filter(|operation| {
            operation.phase == Some(Phase::Succeeded)
                && !operation.dry_run()
                && (operation.started_at.is_none() || operation.started_at != drift.operation)
        });
        // Self-heal names what it put right, and is believed; the comparison that follows tells when it was in vain.
        if let Some(healed) = operation.filter(|operation| operation.self_heal()) {
            let new = self
                .previous
                .and_then(|previous| previous.operation.as_ref())
                .is_none_or(|before| before.started_at != healed.started_at || before.phase != Some(Phase::Succeeded));
            if new || self.app.sync == SYNCED {
                return Some(DriftEnd::SelfHeal);
            }
        }
        if self.app.sync != SYNCED {
            return None;
        }
        let other_revision = self.previous.is_some_and(|previous| previous.revisions != self.now.revisions);
        Some(match operation {
            Some(_) => DriftEnd::Sync,
            None if other_revision => DriftEnd::Accepted,
            None => DriftEnd::Undone,
        })
    }

    /// Why live state differs, where desired state did not just change: a new revision waits to be synced and is no drift.
    fn drift_cause(&self) -> Option<DriftCause> {
        let previous = self.previous.filter(|previous| previous.sync == SYNCED);
        let (same_revision, same_sources) = match (previous, self.last_sync()) {
            (Some(previous), _) => (previous.revisions == self.now.revisions, previous.sources == self.now.sources),
            // Out of sync before, or not known: then it is drift from what was synced last, once that was compared.
            (None, Some(last)) => {
                let compared = self.app.reconciled_at.is_some_and(|at| at >= last.finished_at);
                let sources = self.now.sources.is_none() || last.sources.is_none() || last.sources == self.now.sources;
                (compared && last.revisions.is_some() && last.revisions == self.now.revisions, sources)
            }
            (None, None) => (false, false),
        };
        if !same_revision {
            return None;
        }
        if !same_sources {
            return Some(DriftCause::DeployerEdit);
        }
        let differ = self.differing();
        let only_prune = !differ.is_empty() && differ.iter().all(|one| one.requires_pruning == Some(true));
        Some(match (differ.is_empty(), only_prune) {
            (true, _) => DriftCause::Unknown,
            (_, true) => DriftCause::PruneOff,
            (_, false) => DriftCause::LiveEdit,
        })
    }

    fn differing(&self) -> Vec<&ResourceStatus> {
        self.app.resources.iter().filter(|one| one.status.as_deref() == Some(OUT_OF_SYNC)).collect()
    }

    fn last_sync(&self) -> Option<LastSync> {
        let operation = self.app.operation.as_ref().filter(|operation| !operation.dry_run());
        if let Some(operation) = operation {
            if let (Some(Phase::Succeeded), Some(deployed), Some(finished_at)) =
                (operation.phase, &operation.deployed, operation.finished_at)
            {
                let (revisions, sources) = (deployed.revisions_hash(), deployed.sources_hash());
                return Some(LastSync { finished_at, revisions, sources });
            }
            // One that runs, or failed, may have left anything: what differs then is its doing.
            return None;
        }
        let entry = self.app.history.last()?;
        let (revisions, sources) = (entry.deployed.revisions_hash(), entry.deployed.sources_hash());
        Some(LastSync { finished_at: entry.finished_at, revisions, sources })
    }
}
