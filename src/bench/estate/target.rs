//! What is told of a target: desired state, syncs as Argo CD has them, health, drift, and incidents.

use std::sync::Arc;

use super::super::Result;
use super::shop::{Build, ENVIRONMENTS, MINUTE, SECOND, Service, Shop, Target, draft, one_of, sentence, time};
use crate::event::incident::{IncidentKind, IncidentLinked, IncidentOpened, IncidentResolved, LinkKind};
use crate::event::target::{
    DeploymentRef, DigestOrigin, DriftCause, DriftClosed, DriftEnd, DriftOpened, FileEdit, Health, HealthChanged,
    Image, ImageEdit, ManifestCommitted, ManifestSource, Observation, Operation, Phase, Resource, SyncFailed,
    SyncStarted, SyncSucceeded, SyncedResources,
};
use crate::event::{Draft, GitOid, Private, StreamName, Subject};

/// One sync of a build to an environment.
pub(super) struct Sync<'a> {
    pub(super) environment: usize,
    pub(super) build: &'a Arc<Build>,
    /// The commit of desired state.
    pub(super) manifest: &'a GitOid,
    pub(super) started_at: i64,
    pub(super) finished_at: i64,
    /// Its id in the deployer's history.
    pub(super) history: u64,
}

impl Sync<'_> {
    /// The deployer's id of the rollout.
    pub(super) fn deployment(&self, target: &Target) -> String {
        format!("{}@{}", target.uid, time(self.started_at))
    }

    fn key(&self, target: &Target, what: &str) -> String {
        format!("{} operation {} {what}", target.uid, time(self.started_at))
    }

    fn operation(&self, phase: Phase) -> Operation {
        Operation {
            automated: Some(true),
            partial: Some(false),
            phase: Some(phase),
            prune: Some(true),
            started_at: Some(time(self.started_at)),
            ..Operation::default()
        }
    }
}

fn image(service: &Service, build: &Build, digest_origin: Option<DigestOrigin>) -> Image {
    Image {
        digest: digest_origin.map(|_| build.digest.clone()),
        digest_origin,
        name: service.image.clone(),
        tag: Some(build.tag.clone()),
    }
}

fn path(service: &Service, environment: usize) -> String {
    format!("{}/{}", one_of(&ENVIRONMENTS, environment as u64), service.name)
}

impl Shop {
    /// Desired state asks for the build. `values` is the content of the file before and after.
    pub(super) fn manifest(
        &self,
        service: &Service,
        sync: &Sync<'_>,
        (before, after): (Option<&Build>, &GitOid),
        reverts: Option<&GitOid>,
        at: i64,
    ) -> Result<Draft> {
        let target = service.target(sync.environment)?;
        let bot = Subject::identity("deploy-bot <deploy-bot@acme.example>");
        let data = ManifestCommitted {
            author: Some(bot.clone()),
            branch: Some("main".to_owned()),
            change: None,
            command: None,
            commit: sync.manifest.clone(),
            files: vec![FileEdit {
                after: Some(after.clone()),
                before: target.values.clone(),
                keys: Some(vec!["image.tag".to_owned()]),
                path: format!("{}/values.yaml", path(service, sync.environment)),
            }],
            images: Some(vec![ImageEdit {
                after: Some(image(service, sync.build, None)),
                before: before.map(|before| image(service, before, None)),
            }]),
            reason: Some(Private::plain(format!("{}: {}", service.name, sync.build.tag))),
            repository: self.configuration.clone(),
            reverts: reverts.cloned(),
            url: None,
        };
        let hash = blake3::hash(target.stream.as_str().as_bytes()).to_hex();
        let key = format!("manifest:{}:{}", sync.manifest, hash.get(..16).unwrap_or_default());
        let mut draft = draft(data, &target.stream, &self.configuration_git, &key, at)?;
        draft.actor = Some(bot);
        Ok(draft)
    }

    fn sources(&self, service: &Service, sync: &Sync<'_>) -> Vec<ManifestSource> {
        vec![ManifestSource {
            path: Some(path(service, sync.environment)),
            repository: Some(self.configuration.clone()),
            revision: Some(sync.manifest.to_string()),
            target_revision: Some("main".to_owned()),
            ..ManifestSource::default()
        }]
    }

    pub(super) fn sync_started(&self, service: &Service, sync: &Sync<'_>) -> Result<Draft> {
        let target = service.target(sync.environment)?;
        let data = SyncStarted {
            application: Some(target.application.clone()),
            commit: None,
            deployment: Some(sync.deployment(target)),
            git_ref: None,
            images: None,
            observation: Some(Observation::Watch),
            observed_between: None,
            operation: Some(sync.operation(Phase::Running)),
            repository: None,
            run: None,
            sources: Some(self.sources(service, sync)),
            started_at: time(sync.started_at),
            url: None,
        };
        draft(data, &target.stream, self.deployer(sync.environment)?, &sync.key(target, "started"), sync.started_at)
    }

    pub(super) fn sync_succeeded(&self, service: &Service, sync: &Sync<'_>) -> Result<Draft> {
        let target = service.target(sync.environment)?;
        let data = SyncSucceeded {
            application: Some(target.application.clone()),
            commit: None,
            deployment: Some(sync.deployment(target)),
            effective: None,
            finished_at: time(sync.finished_at),
            git_ref: None,
            health: None,
            history_id: Some(crate::event::U64(sync.history)),
            hotfix: sync.build.hotfix.then_some(true),
            images: Some(vec![image(service, sync.build, Some(DigestOrigin::Live))]),
            incomplete: None,
            message: Some(Private::plain("successfully synced (all tasks run)")),
            observation: Some(Observation::Watch),
            observed_between: None,
            operation: Some(sync.operation(Phase::Succeeded)),
            remediates_deployments: None,
            remediates_incidents: None,
            repository: None,
            resources: Some(SyncedResources { prune_skipped: 0, pruned: 0, sync_failed: 0, synced: 7 }),
            run: None,
            sources: Some(self.sources(service, sync)),
            started_at: Some(time(sync.started_at)),
            url: None,
            version: None,
        };
        draft(data, &target.stream, self.deployer(sync.environment)?, &sync.key(target, "succeeded"), sync.finished_at)
    }

    pub(super) fn sync_failed(&self, service: &Service, sync: &Sync<'_>) -> Result<Draft> {
        let target = service.target(sync.environment)?;
        let message = "one or more objects failed to apply, reason: admission webhook denied the request";
        let data = SyncFailed {
            application: Some(target.application.clone()),
            commit: None,
            deployment: Some(sync.deployment(target)),
            effective: None,
            finished_at: time(sync.finished_at),
            health: None,
            images: None,
            message: Some(Private::plain(message)),
            observation: Some(Observation::Watch),
            observed_between: None,
            operation: Some(sync.operation(Phase::Failed)),
            repository: None,
            resources: Some(SyncedResources { prune_skipped: 0, pruned: 0, sync_failed: 1, synced: 6 }),
            run: None,
            sources: Some(self.sources(service, sync)),
            started_at: Some(time(sync.started_at)),
            url: None,
            will_retry: None,
        };
        draft(data, &target.stream, self.deployer(sync.environment)?, &sync.key(target, "failed"), sync.finished_at)
    }

    pub(super) fn health(
        &self,
        service: &Service,
        environment: usize,
        build: &Build,
        (before, after): (Health, Health),
        at: i64,
    ) -> Result<Draft> {
        let target = service.target(environment)?;
        let data = HealthChanged {
            after,
            application: Some(target.application.clone()),
            before: Some(before),
            images: Some(vec![image(service, build, Some(DigestOrigin::Live))]),
            message: None,
            observation: Some(Observation::Watch),
            observed_between: None,
            reconciled_at: Some(time(at)),
            resource: None,
            since: Some(time(at)),
        };
        let key = format!("{} health {after} {}", target.uid, time(at));
        draft(data, &target.stream, self.deployer(environment)?, &key, at)
    }

    /// An episode of drift: how it began and how it ended.
    pub(super) fn drift(&self, service: &Service, environment: usize, (from, to): (i64, i64)) -> Result<[Draft; 2]> {
        let target = service.target(environment)?;
        let episode = format!("{}@{}", target.uid, time(from));
        let resource = Resource {
            group: Some("apps".to_owned()),
            kind: "Deployment".to_owned(),
            name: service.name.to_string(),
            namespace: Some(service.name.to_string()),
        };
        let opened = DriftOpened {
            application: Some(target.application.clone()),
            cause: DriftCause::LiveEdit,
            difference: None,
            drift: episode.clone(),
            images: None,
            message: None,
            observation: Some(Observation::Watch),
            observed_between: None,
            resources: Some(vec![resource]),
            resources_total: Some(1),
            sources: None,
            suspect: None,
        };
        let closed = DriftClosed {
            application: Some(target.application.clone()),
            cause: DriftEnd::Undone,
            drift: episode.clone(),
            observation: Some(Observation::Watch),
            observed_between: None,
        };
        let source = self.deployer(environment)?;
        Ok([
            draft(opened, &target.stream, source, &format!("{} drift {episode} opened", target.uid), from)?,
            draft(closed, &target.stream, source, &format!("{} drift {episode} closed", target.uid), to)?,
        ])
    }

    /// An incident that a deployment caused: opened, linked to its cause, resolved.
    pub(super) fn incident(
        &self,
        service: &Service,
        sync: &Sync<'_>,
        nth: u64,
        (from, to): (i64, i64),
    ) -> Result<[Draft; 3]> {
        let target = service.target(sync.environment)?;
        let id = format!("INC-{nth}");
        let stream = StreamName::of("incident", &[&id])?;
        let responder = Subject::identity("pagerduty:on-call");
        let opened = IncidentOpened {
            alert: None,
            assigned: Some(vec![responder.clone()]),
            caused_by: None,
            description: None,
            detected_at: Some(time(from + MINUTE)),
            external: None,
            kind: IncidentKind::Outage,
            opened_at: time(from + 2 * MINUTE),
            severity: Some(one_of(&["P1", "P2", "P3"], nth).to_owned()),
            started_at: Some(time(from)),
            targets: Some(vec![target.stream.clone()]),
            title: Some(Private::plain(format!("{} does not answer: {}", service.name, sentence(nth)))),
            url: None,
            vulnerability: None,
        };
        let cause = DeploymentRef {
            deployment: Some(sync.deployment(target)),
            event: None,
            target: Some(target.stream.clone()),
        };
        let linked = IncidentLinked {
            deployments: Some(vec![cause]),
            detected_at: None,
            external: None,
            incidents: None,
            link: LinkKind::CausedBy,
            linked_by: Some(responder.clone()),
            note: None,
            started_at: None,
            targets: None,
        };
        let resolved = IncidentResolved {
            automatic: Some(false),
            detected_at: None,
            external: None,
            remediated_by: None,
            resolution: Some(Private::plain("Put back what ran before.")),
            resolved_at: time(to),
            resolved_by: Some(responder),
            started_at: None,
        };
        let tell =
            |data: crate::event::Data, what: &str, at| draft(data, &stream, &self.pager, &format!("{id} {what}"), at);
        Ok([
            tell(opened.into(), "opened", from + 2 * MINUTE)?,
            tell(linked.into(), "linked", (from + to) / 2)?,
            tell(resolved.into(), "resolved", to + SECOND)?,
        ])
    }
}
