//! Argo CD's notifications.
//!
//! What a notification says is up to whoever runs Argo CD: its templates are theirs. The one that is meant for Plimsoll is
//! `deploy/argocd/notifications.yaml`; it sends those members of the Application object that are read here, and none that
//! may hold secrets (parameters, inline values). A whole object is taken as well: as the body (`{{toJson .app}}`), or as
//! its member `app`.
//!
//! Whatever the trigger, the object tells what there is to record: the operation it holds, and its health. Argo CD
//! notifies more than once of the same thing and forgets what it sent; an operation is known by the application's uid and
//! the instant it began at, and its health by the instant since when it is so. What was said first stands.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::{Authentication, Delivery, Events, Headers, Rejection, System, URL_MAX};
use crate::event::target::{
    Application, DigestOrigin, Health, HealthChanged, Image, ManifestSource, Observation, Operation, Phase, Resource,
    SyncFailed, SyncStarted, SyncSucceeded, SyncTerminated, SyncedResources,
};
use crate::event::{Data, GitOid, StreamName, Subject, Timestamp, U64};
use crate::ingest::{Asked, Reason};
use crate::report::{Sketch, value};

/// Argo CD.
pub(super) const SYSTEM: System = System {
    name: "argocd",
    about: "Argo CD notifications (deploy/argocd/notifications.yaml)",
    events: &["syncs that run, succeed, fail or are terminated", "health"],
    authentication: Authentication::Shared,
    secret_members: &[],
    recognise,
    normalise,
};

/// Version of the template's form.
const VERSION: &str = "argocd/1";

/// Longest name that Kubernetes has, in bytes, and more than Argo CD's own.
const NAME_MAX: usize = 512;

/// How Argo CD begins the message of an operation that a sync window holds up.
const BLOCKED: &str = "blocked by sync window";

fn recognise(_headers: &Headers, sketch: &Sketch) -> bool {
    let ours = sketch.get("plimsoll").starts_with("argocd/") || sketch.has("app.metadata");
    let kind = sketch.get("kind");
    ours || (sketch.has("spec.destination")
        && sketch.has("metadata.name")
        && (kind.is_empty() || kind == "Application"))
}

/// Null and absent are the same to a Go template.
fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

macro_rules! object {
    ($( $(#[$meta:meta])* struct $name:ident { $( $field:ident : $type:ty ),* $(,)? } )*) => { $(
        $(#[$meta])*
        #[derive(Debug, Default, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        struct $name { $( #[serde(deserialize_with = "nullable")] $field: $type, )* }
    )* };
}

object! {
    struct Body { plimsoll: Option<String>, url: Option<String>, app: Option<App>, }
    struct App { kind: Option<String>, metadata: Metadata, spec: Spec, status: Status, }
    struct Metadata { name: String, namespace: String, uid: String, }
    struct Spec { project: Option<String>, destination: Destination, source: Option<Source>, sources: Vec<Source>, }
    struct Destination { name: String, namespace: String, server: String, }
    struct Status {
        health: HealthStatus, operation_state: Option<OperationState>, reconciled_at: Option<String>,
        summary: Summary, history: Vec<Entry>,
    }
    struct HealthStatus { status: Option<String>, message: Option<String>, last_transition_time: Option<String>, }
    struct Summary { images: Option<Vec<String>>, }
    struct Entry { id: Option<u64>, deploy_started_at: Option<String>, }
    struct OperationState {
        phase: String, message: String, started_at: Option<String>, finished_at: Option<String>,
        retry_count: Option<u32>, operation: Requested, sync_result: Option<SyncResult>,
    }
    struct Requested { initiated_by: InitiatedBy, sync: Option<SyncRequest>, info: Vec<Info>, }
    struct InitiatedBy { username: Option<String>, automated: Option<bool>, }
    struct Info { name: String, value: String, }
    struct SyncRequest {
        prune: Option<bool>, dry_run: Option<bool>, resources: Vec<ResourceName>,
        revision: Option<String>, revisions: Vec<String>,
    }
    struct ResourceName { group: String, kind: String, name: String, namespace: String, }
    struct SyncResult {
        resources: Option<Vec<ResourceResult>>, revision: Option<String>, revisions: Vec<String>,
        source: Option<Source>, sources: Vec<Source>,
    }
    struct ResourceResult { status: String, }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Source {
    chart: Option<String>,
    path: Option<String>,
    #[serde(rename = "repoURL")]
    repository: Option<String>,
    target_revision: Option<String>,
}

fn normalise(delivery: &Delivery<'_>) -> Result<Events, Rejection> {
    let body: Body = delivery.json()?;
    if let Some(version) = body.plimsoll.as_deref().filter(|version| *version != VERSION) {
        let what = format!("{version:?}: the template is of version {VERSION:?}");
        return Err(Rejection::new(Reason::UnsupportedVersion, what).at("plimsoll"));
    }
    let url = body.url.as_deref().filter(|url| !url.is_empty()).map(|url| value::cut(url, URL_MAX));
    match body.app {
        Some(app) => Sight::of(delivery, &app, url).and_then(|sight| sight.events()).map_err(|why| why.at("app")),
        None if body.plimsoll.is_some() => Err(Rejection::missing("app")),
        None => {
            let app: App = delivery.json()?;
            Sight::of(delivery, &app, url)?.events()
        }
    }
}

/// An application, seen once.
struct Sight<'a> {
    delivery: &'a Delivery<'a>,
    app: &'a App,
    application: Application,
    stream: StreamName,
    url: Option<String>,
}

fn filled(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

impl<'a> Sight<'a> {
    fn of(delivery: &'a Delivery<'a>, app: &'a App, url: Option<String>) -> Result<Self, Rejection> {
        if let Some(kind) = app.kind.as_deref().filter(|kind| *kind != "Application") {
            return Err(Rejection::new(Reason::BadField, format!("{kind:?} is no Application")).at("kind"));
        }
        let (meta, to) = (&app.metadata, &app.spec.destination);
        let name = filled(&meta.name).ok_or_else(|| Rejection::missing("metadata.name"))?;
        let uid = filled(&meta.uid).ok_or_else(|| Rejection::missing("metadata.uid"))?;
        // Argo CD names applications outside its own namespace with theirs.
        let name = match meta.namespace.as_str() {
            "" | "argocd" => name.to_owned(),
            namespace => format!("{namespace}/{name}"),
        };
        let local = (to.server == "https://kubernetes.default.svc").then_some("in-cluster");
        let cluster = filled(&to.name).or(local);
        let project = app.spec.project.as_deref().and_then(filled);
        let asked =
            Asked { application: Some(&name), project, namespace: filled(&to.namespace), cluster, ..Asked::default() };
        let stream = delivery.targets.stream(&asked).map_err(|why| why.at("spec.destination"))?;
        let short = |text: &str| value::cut(text, NAME_MAX);
        let application = Application {
            cluster: cluster.map(short),
            name: short(&name),
            namespace: filled(&to.namespace).map(short),
            project: project.map(short),
            server: super::private(Some(&to.server)),
            uid: Some(short(uid)),
        };
        Ok(Self { delivery, app, application, stream, url })
    }

    fn events(&self) -> Result<Events, Rejection> {
        let mut events = Events { repeats: true, ..Events::default() };
        if let Some(state) = &self.app.status.operation_state {
            self.operation(state, &mut events).map_err(|why| why.at("status.operationState"))?;
        }
        self.health(&mut events).map_err(|why| why.at("status.health"))?;
        if events.drafts.is_empty() && events.passed_over.is_empty() {
            events.passed_over.push("an application without operation and health".to_owned());
        }
        Ok(events)
    }

    fn push(&self, events: &mut Events, data: impl Into<Data>, key: &str, at: Timestamp) -> Result<(), Rejection> {
        let dedup =
            format!("{} {key}", self.app.metadata.uid).parse().map_err(|error| Rejection::from(error).at("uid"))?;
        events.drafts.push(self.delivery.draft_as(data, self.stream.clone(), dedup, at)?);
        Ok(())
    }

    fn operation(&self, state: &OperationState, events: &mut Events) -> Result<(), Rejection> {
        let started_at = value::time("startedAt", state.started_at.as_deref().unwrap_or_default())?;
        let started_at = started_at.ok_or_else(|| Rejection::missing("startedAt"))?;
        let finished_at = value::time("finishedAt", state.finished_at.as_deref().unwrap_or_default())?;
        let key = |what: &str| format!("operation {started_at} {what}");
        // Argo CD may lose the end when its controller is started anew.
        let end = finished_at.unwrap_or(self.delivery.received_at);
        let ended = |what: &str| if finished_at.is_some() { key(what) } else { key(&format!("{what} incomplete")) };
        match state.phase.as_str() {
            // Ended and running all the same: it waits for its next attempt.
            "Running" if finished_at.is_some() => {
                let failed = self.failed(state, started_at, end, Some(true));
                let attempt = format!("attempt {} failed", state.retry_count.unwrap_or(0));
                self.push(events, failed, &key(&attempt), end)
            }
            "Running" => self.push(events, self.started(state, started_at), &key("started"), started_at),
            "Succeeded" => {
                let whole = finished_at.is_some() && state.sync_result.is_some();
                let what = if whole { "succeeded" } else { "succeeded incomplete" };
                self.push(events, self.succeeded(state, started_at, end, whole), &key(what), end)
            }
            "Failed" | "Error" if state.message.to_ascii_lowercase().starts_with("operation terminated") => {
                self.push(events, self.terminated(state, started_at, end), &ended("terminated"), end)
            }
            "Failed" | "Error" => self.push(events, self.failed(state, started_at, end, None), &ended("failed"), end),
            // It will be told how that ended.
            "Terminating" => {
                events.passed_over.push("an operation that is being terminated".to_owned());
                Ok(())
            }
            other => Err(Rejection::new(Reason::BadField, format!("{other:?} is no phase that is known")).at("phase")),
        }
    }

    fn deployment(&self, started_at: Timestamp) -> Option<String> {
        Some(format!("{}@{started_at}", value::cut(&self.app.metadata.uid, NAME_MAX)))
    }

    fn started(&self, state: &OperationState, started_at: Timestamp) -> SyncStarted {
        SyncStarted {
            application: Some(self.application.clone()),
            commit: None,
            deployment: self.deployment(started_at),
            git_ref: None,
            images: None,
            observation: Some(Observation::Watch),
            observed_between: None,
            operation: Some(asked(state, started_at)),
            repository: None,
            run: None,
            sources: self.sources(state),
            started_at,
            url: self.url.clone(),
        }
    }

    fn succeeded(&self, state: &OperationState, started_at: Timestamp, end: Timestamp, whole: bool) -> SyncSucceeded {
        let told = |entry: &&Entry| entry.deploy_started_at.as_deref().and_then(value::zoned_time) == Some(started_at);
        let compared_after = self.reconciled_at().is_some_and(|compared| compared >= end);
        SyncSucceeded {
            application: Some(self.application.clone()),
            commit: None,
            deployment: self.deployment(started_at),
            effective: None,
            finished_at: end,
            git_ref: None,
            health: self.app.status.health.status.as_deref().and_then(health).filter(|_| compared_after),
            history_id: self.app.status.history.iter().rev().find(told).and_then(|entry| entry.id).map(U64),
            hotfix: None,
            images: self.images().filter(|_| compared_after),
            incomplete: (!whole).then_some(true),
            message: super::private(Some(&state.message)),
            observation: Some(Observation::Watch),
            observed_between: None,
            operation: Some(asked(state, started_at)),
            remediates_deployments: None,
            remediates_incidents: None,
            repository: None,
            resources: resources(state),
            run: None,
            sources: self.sources(state),
            started_at: Some(started_at),
            url: self.url.clone(),
            version: None,
        }
    }

    fn failed(
        &self,
        state: &OperationState,
        started_at: Timestamp,
        end: Timestamp,
        will_retry: Option<bool>,
    ) -> SyncFailed {
        SyncFailed {
            application: Some(self.application.clone()),
            commit: None,
            deployment: self.deployment(started_at),
            effective: None,
            finished_at: end,
            health: None,
            images: None,
            message: super::private(Some(&state.message)),
            observation: Some(Observation::Watch),
            observed_between: None,
            operation: Some(asked(state, started_at)),
            repository: None,
            resources: resources(state),
            run: None,
            sources: self.sources(state),
            started_at: Some(started_at),
            url: self.url.clone(),
            will_retry,
        }
    }

    fn terminated(&self, state: &OperationState, started_at: Timestamp, end: Timestamp) -> SyncTerminated {
        SyncTerminated {
            application: Some(self.application.clone()),
            deployment: self.deployment(started_at),
            effective: None,
            finished_at: end,
            message: super::private(Some(&state.message)),
            observation: Some(Observation::Watch),
            observed_between: None,
            operation: Some(asked(state, started_at)),
            resources: resources(state),
            sources: self.sources(state),
            started_at: Some(started_at),
            terminated_by: None,
        }
    }

    /// Health, where it says something of its own. Right after a sync it may still be that from before; so it is an event
    /// of its own, at the instant since when it is so.
    fn health(&self, events: &mut Events) -> Result<(), Rejection> {
        let status = &self.app.status.health;
        let Some(word) = status.status.as_deref().and_then(filled) else { return Ok(()) };
        let after = health(word).ok_or_else(|| {
            Rejection::new(Reason::BadField, format!("{word:?} is no health that is known")).at("status")
        })?;
        let since = value::time("lastTransitionTime", status.last_transition_time.as_deref().unwrap_or_default())?;
        let reconciled_at = self.reconciled_at();
        // Versions before 2.13 do not say since when: then it is told once for each operation.
        let Some(at) = since.or(reconciled_at) else {
            events.passed_over.push(format!("health {after} since nobody knows when"));
            return Ok(());
        };
        let operation = self.app.status.operation_state.as_ref().and_then(|state| state.started_at.as_deref());
        let key = match since {
            Some(since) => format!("health {since} {after}"),
            None => format!("health after {} {after}", operation.and_then(value::zoned_time).unwrap_or(at)),
        };
        let changed = HealthChanged {
            after,
            application: Some(self.application.clone()),
            before: None,
            images: self.images(),
            message: super::private(status.message.as_deref()),
            observation: Some(Observation::Watch),
            observed_between: None,
            reconciled_at,
            resource: None,
            since,
        };
        self.push(events, changed, &key, at)
    }

    fn reconciled_at(&self) -> Option<Timestamp> {
        self.app.status.reconciled_at.as_deref().and_then(value::zoned_time)
    }

    /// Images of the live objects, sorted, each once.
    fn images(&self) -> Option<Vec<Image>> {
        let texts = self.app.status.summary.images.as_ref()?;
        let sorted: std::collections::BTreeSet<&str> = texts.iter().filter_map(|text| filled(text)).collect();
        Some(sorted.into_iter().take(100).map(image).collect())
    }

    /// What was deployed, or is to be: by the result, else by what was asked for and the application itself.
    fn sources(&self, state: &OperationState) -> Option<Vec<ManifestSource>> {
        let spec = all(&self.app.spec.sources, self.app.spec.source.as_ref());
        let (revisions, sources) = match (&state.sync_result, &state.operation.sync) {
            (Some(result), _) => {
                let own = all(&result.sources, result.source.as_ref());
                let sources = if own.is_empty() { spec } else { own };
                (all(&result.revisions, result.revision.as_ref()), sources)
            }
            // What was asked for may be a branch; only a commit is what it resolves to, too.
            (None, Some(sync)) => {
                let asked = all(&sync.revisions, sync.revision.as_ref()).into_iter();
                (asked.map(|text| if text.parse::<GitOid>().is_ok() { text } else { String::new() }).collect(), spec)
            }
            (None, None) => (Vec::new(), spec),
        };
        let n = sources.len().max(revisions.len()).min(20);
        let one = |n: usize| manifest_source(sources.get(n).cloned().unwrap_or_default(), revisions.get(n));
        (n > 0).then(|| (0..n).map(one).collect())
    }
}

/// A list, or the one that stands in its place.
fn all<T: Clone>(many: &[T], one: Option<&T>) -> Vec<T> {
    if many.is_empty() { one.cloned().into_iter().collect() } else { many.to_vec() }
}

fn manifest_source(source: Source, revision: Option<&String>) -> ManifestSource {
    let short = |text: Option<&str>| text.and_then(filled).map(|text| value::cut(text, NAME_MAX));
    ManifestSource {
        chart: short(source.chart.as_deref()),
        overrides: None,
        path: short(source.path.as_deref()),
        repository: source.repository.as_deref().and_then(super::repository),
        revision: short(revision.map(String::as_str)),
        target_revision: short(source.target_revision.as_deref()),
    }
}

fn health(word: &str) -> Option<Health> {
    word.to_ascii_lowercase().parse().ok()
}

/// An image as manifests write it: `name:tag@digest`. A digest that is none is left out.
fn image(text: &str) -> Image {
    let (rest, digest) = text.split_once('@').map_or((text, None), |(rest, digest)| (rest, Some(digest)));
    let digest = digest.and_then(|digest| value::digest("image", digest).ok());
    // A colon before the last slash is that of a port.
    let tag = rest.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'));
    let (name, tag) = tag.map_or((rest, None), |(name, tag)| (name, Some(tag)));
    Image {
        digest_origin: digest.is_some().then_some(DigestOrigin::Manifest),
        digest,
        name: value::cut(name, NAME_MAX),
        tag: tag.and_then(filled).map(|tag| value::cut(tag, NAME_MAX)),
    }
}

fn resources(state: &OperationState) -> Option<SyncedResources> {
    let results = state.sync_result.as_ref()?.resources.as_ref()?;
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for result in results {
        *counts.entry(result.status.as_str()).or_default() += 1;
    }
    let of = |status: &str| counts.get(status).copied().unwrap_or(0);
    Some(SyncedResources {
        prune_skipped: of("PruneSkipped"),
        pruned: of("Pruned"),
        sync_failed: of("SyncFailed"),
        synced: of("Synced"),
    })
}

fn asked(state: &OperationState, started_at: Timestamp) -> Operation {
    let by = &state.operation.initiated_by;
    let sync = state.operation.sync.as_ref();
    let command = state.operation.info.iter().find(|info| info.name == "plimsoll-command");
    let named = sync.map(|sync| &sync.resources).filter(|resources| !resources.is_empty());
    let short = |text: &str| value::cut(text, NAME_MAX);
    let resource = |name: &ResourceName| Resource {
        group: filled(&name.group).map(short),
        kind: short(&name.kind),
        name: short(&name.name),
        namespace: filled(&name.namespace).map(short),
    };
    Operation {
        automated: Some(by.automated.unwrap_or(false)),
        blocked_by_window: state.message.to_ascii_lowercase().contains(BLOCKED).then_some(true),
        command: command.and_then(|info| info.value.parse().ok()),
        dry_run: sync.and_then(|sync| sync.dry_run),
        initiated_by: by.username.as_deref().and_then(filled).map(|name| Subject::identity(format!("argocd:{name}"))),
        partial: sync.map(|_| named.is_some()),
        phase: state.phase.to_ascii_lowercase().parse::<Phase>().ok(),
        prune: sync.and_then(|sync| sync.prune),
        resources: named.map(|names| names.iter().take(100).map(resource).collect()),
        resources_total: named.and_then(|names| u32::try_from(names.len()).ok()),
        retry_count: state.retry_count,
        started_at: Some(started_at),
        ..Operation::default()
    }
}
