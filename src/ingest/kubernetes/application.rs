//! What is read of an Argo CD Application (`argoproj.io/v1alpha1`).
//!
//! The object has no status subresource: whoever may write it may write its status. What stands here is a claim.

use serde::Deserialize;
use serde_json::{Value, json};

use super::object::{self, Meta, NAME_MAX, at, nullable, part, parts};
use crate::event::target::{self, Health, ManifestSource, Phase};
use crate::event::{Hex32, PRIVATE_MAX, Private, Timestamp};
use crate::ingest::{Reason, Rejection};
use crate::report::value;

/// The finalizer by which an application's objects go with it begins so.
const CASCADE: &str = "resources-finalizer.argocd.argoproj.io";

/// The annotation that makes Argo CD ignore an application.
const SKIP_RECONCILE: &str = "argocd.argoproj.io/skip-reconcile";

/// An Application, as far as it is read.
#[derive(Debug)]
pub(super) struct App<'a> {
    pub(super) meta: Meta,
    pub(super) spec: Spec<'a>,
    pub(super) operation: Option<OperationState<'a>>,
    /// Oldest first.
    pub(super) history: Vec<Entry<'a>>,
    /// `Synced`, `OutOfSync` or `Unknown`.
    pub(super) sync: String,
    /// What live state was compared with.
    pub(super) compared: Deployed<'a>,
    pub(super) health: HealthStatus,
    /// When live state was last compared.
    pub(super) reconciled_at: Option<Timestamp>,
    /// Images of the live objects.
    pub(super) images: Option<Vec<String>>,
    pub(super) resources: Vec<ResourceStatus>,
    /// The namespace that Argo CD itself is in, where it says so.
    pub(super) controller_namespace: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Spec<'a> {
    pub(super) project: Option<String>,
    pub(super) destination: Destination,
    /// None where nothing is synced without being asked.
    pub(super) automated: Option<Automated>,
    pub(super) ignore_differences: Option<&'a Value>,
    pub(super) sources: Vec<&'a Value>,
    /// Where manifests are rendered to before they are deployed.
    pub(super) hydrator: Option<&'a Value>,
    pub(super) skip_reconcile: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Destination {
    pub(super) server: Option<String>,
    pub(super) name: Option<String>,
    pub(super) namespace: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Automated {
    pub(super) prune: Option<bool>,
    pub(super) self_heal: Option<bool>,
    pub(super) allow_empty: Option<bool>,
    /// False switches it off and keeps the rest.
    pub(super) enabled: Option<bool>,
}

/// The one slot for the last operation.
#[derive(Debug)]
pub(super) struct OperationState<'a> {
    /// The word for it, where it is a known one.
    pub(super) phase: Option<Phase>,
    pub(super) message: String,
    /// None where it is missing; else it is the operation's identity.
    pub(super) started_at: Option<Timestamp>,
    pub(super) finished_at: Option<Timestamp>,
    pub(super) retry_count: Option<u32>,
    /// What was asked for; none where the operation is no sync.
    pub(super) sync: Option<SyncRequest>,
    pub(super) initiated_by: InitiatedBy,
    pub(super) info: Vec<Info>,
    /// What it was resolved to; none before there is a result.
    pub(super) deployed: Option<Deployed<'a>>,
    /// What became of the objects.
    pub(super) resources: Option<Vec<ResourceResult>>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(super) struct InitiatedBy {
    pub(super) username: Option<String>,
    pub(super) automated: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Info {
    pub(super) name: String,
    pub(super) value: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct SyncRequest {
    pub(super) revision: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub(super) revisions: Vec<String>,
    pub(super) prune: Option<bool>,
    pub(super) dry_run: Option<bool>,
    #[serde(deserialize_with = "nullable")]
    pub(super) resources: Vec<ResourceName>,
    #[serde(deserialize_with = "nullable")]
    sync_strategy: Strategy,
    pub(super) auto_heal_attempts_count: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Strategy {
    apply: Option<Force>,
    hook: Option<Force>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Force {
    force: bool,
}

impl SyncRequest {
    /// True when objects are replaced by force.
    pub(super) fn force(&self) -> bool {
        let strategy = &self.sync_strategy;
        [&strategy.apply, &strategy.hook].into_iter().flatten().any(|strategy| strategy.force)
    }
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(super) struct ResourceName {
    group: Option<String>,
    kind: String,
    name: String,
    namespace: Option<String>,
}

impl ResourceName {
    pub(super) fn resource(&self) -> target::Resource {
        let text = |text: &Option<String>| {
            text.as_deref().filter(|text| !text.is_empty()).map(|text| value::cut(text, NAME_MAX))
        };
        target::Resource {
            group: text(&self.group),
            kind: value::cut(&self.kind, NAME_MAX),
            name: value::cut(&self.name, NAME_MAX),
            namespace: text(&self.namespace),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ResourceResult {
    /// `Synced`, `SyncFailed`, `Pruned` or `PruneSkipped`.
    pub(super) status: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) images: Vec<String>,
}

/// Sources and the revisions they were resolved to, by index.
#[derive(Debug, Default, Clone)]
pub(super) struct Deployed<'a> {
    pub(super) revisions: Vec<String>,
    pub(super) sources: Vec<&'a Value>,
}

impl<'a> Deployed<'a> {
    /// From what has `revision` or `revisions`, and `source` or `sources` at `sources_at`.
    fn read(object: &'a Value, sources_at: &'a Value) -> Result<Self, Rejection> {
        let mut revisions: Vec<String> = parts(object, "revisions")?;
        if revisions.is_empty() {
            revisions.extend(part::<Option<String>>(object, "revision")?.filter(|text| !text.is_empty()));
        }
        Ok(Self { revisions, sources: sources(sources_at) })
    }

    /// What tells these revisions from others; none where there are none.
    pub(super) fn revisions_hash(&self) -> Option<Hex32> {
        (!self.revisions.is_empty()).then(|| object::sha256(&json!(self.revisions)))
    }

    /// What tells these sources from others; none where there are none.
    pub(super) fn sources_hash(&self) -> Option<Hex32> {
        (!self.sources.is_empty()).then(|| object::sha256(&json!(self.sources)))
    }

    /// As events have them.
    pub(super) fn manifest_sources(&self) -> Option<Vec<ManifestSource>> {
        let revision = |n: usize| self.revisions.get(n).map(String::as_str);
        let sources = self.sources.iter().enumerate().map(|(n, source)| manifest_source(source, revision(n)));
        let all = match self.sources.is_empty() {
            // Some versions say the revision alone.
            true => object::bounded(self.revisions.iter().map(|text| manifest_source(&Value::Null, Some(text))), 20),
            false => object::bounded(sources, 20),
        };
        (!all.is_empty()).then_some(all)
    }
}

/// The values of `sources`, else that of `source`.
fn sources(object: &Value) -> Vec<&Value> {
    match at(object, "sources") {
        Some(Value::Array(all)) if !all.is_empty() => all.iter().collect(),
        _ => at(object, "source")
            .into_iter()
            .filter(|source| source.as_object().is_some_and(|all| !all.is_empty()))
            .collect(),
    }
}

/// Members of a source that give values past Git, each with those of its own that do; all of them where none is named.
const OVERRIDES: &[(&str, &[&str])] = &[
    ("helm", &["parameters", "fileParameters", "values", "valuesObject"]),
    ("kustomize", &[]),
    ("plugin", &["env", "parameters"]),
    ("directory", &["jsonnet"]),
    ("ksonnet", &["parameters"]),
];

/// The values that a source gives past Git.
pub(super) fn overrides(source: &Value) -> Option<Value> {
    let mut all = serde_json::Map::new();
    for (member, own) in OVERRIDES {
        let Some(Value::Object(tool)) = at(source, member) else { continue };
        let wanted = |key: &String| (own.is_empty() && key != "version") || own.contains(&key.as_str());
        let empty = |value: &Value| match value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(members) => members.is_empty(),
            _ => false,
        };
        let given = tool.iter().filter(|(key, value)| wanted(key) && !empty(value));
        let given: serde_json::Map<_, _> = given.map(|(key, value)| (key.clone(), value.clone())).collect();
        if !given.is_empty() {
            all.insert((*member).to_owned(), given.into());
        }
    }
    (!all.is_empty()).then_some(all.into())
}

/// A source without its overrides and the revision it follows: where desired state is, and how it is rendered.
pub(super) fn place(source: &Value) -> Value {
    let mut place = source.clone();
    let Some(members) = place.as_object_mut() else { return place };
    members.remove("targetRevision");
    for (member, own) in OVERRIDES {
        let Some(Value::Object(tool)) = members.get_mut(*member) else { continue };
        tool.retain(|key, _| if own.is_empty() { key == "version" } else { !own.contains(&key.as_str()) });
        if tool.is_empty() {
            members.remove(*member);
        }
    }
    place
}

fn manifest_source(source: &Value, revision: Option<&str>) -> ManifestSource {
    let text = |member: &str| {
        let text = at(source, member).and_then(Value::as_str).filter(|text| !text.is_empty());
        text.map(|text| value::cut(text, NAME_MAX))
    };
    ManifestSource {
        chart: text("chart"),
        overrides: overrides(source).map(|all| object::sha256(&all)),
        path: text("path"),
        repository: at(source, "repoURL").and_then(Value::as_str).and_then(object::repository),
        revision: revision.filter(|text| !text.is_empty()).map(|text| value::cut(text, NAME_MAX)),
        target_revision: text("targetRevision"),
    }
}

/// One entry of the history.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) id: u64,
    pub(super) started_at: Option<Timestamp>,
    pub(super) finished_at: Timestamp,
    pub(super) initiated_by: InitiatedBy,
    pub(super) deployed: Deployed<'a>,
}

impl<'a> Entry<'a> {
    fn read(entry: &'a Value) -> Result<Self, Rejection> {
        Ok(Self {
            id: part::<Option<u64>>(entry, "id")?.unwrap_or_default(),
            started_at: time(entry, "deployStartedAt")?,
            finished_at: time(entry, "deployedAt")?.ok_or_else(|| Rejection::missing("deployedAt"))?,
            initiated_by: part(entry, "initiatedBy")?,
            deployed: Deployed::read(entry, entry)?,
        })
    }
}

#[derive(Debug, Default)]
pub(super) struct HealthStatus {
    /// None where there is none, or no known word for it.
    pub(super) health: Option<Health>,
    pub(super) message: Option<Private>,
    pub(super) since: Option<Timestamp>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ResourceStatus {
    group: Option<String>,
    kind: String,
    name: String,
    namespace: Option<String>,
    pub(super) status: Option<String>,
    pub(super) requires_pruning: Option<bool>,
}

impl ResourceStatus {
    pub(super) fn resource(&self) -> target::Resource {
        let (group, namespace) = (self.group.clone(), self.namespace.clone());
        ResourceName { group, kind: self.kind.clone(), name: self.name.clone(), namespace }.resource()
    }
}

/// A time at a path.
fn time(object: &Value, path: &str) -> Result<Option<Timestamp>, Rejection> {
    match part::<Option<String>>(object, path)? {
        Some(text) => value::time(path, &text),
        None => Ok(None),
    }
}

/// A text that may tell anything.
pub(super) fn private(text: &str) -> Option<Private> {
    (!text.is_empty()).then(|| Private::plain(value::cut(text, PRIVATE_MAX)))
}

impl<'a> App<'a> {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it, by path.
    pub(super) fn read(object: &'a Value) -> Result<Self, Rejection> {
        let meta = Meta::read(object)?;
        if at(object, "spec").is_none() {
            return Err(Rejection::missing("spec"));
        }
        let status = at(object, "status").unwrap_or(&Value::Null);
        let (operation, history) = OperationState::read(status)
            .and_then(|operation| Ok((operation, history(status)?)))
            .map_err(|error| error.at("status"))?;
        let sync = at(status, "sync").unwrap_or(&Value::Null);
        let compared = at(sync, "comparedTo").unwrap_or(&Value::Null);
        let within = |error: Rejection| error.at("status");
        Ok(Self {
            spec: Spec::read(object, &meta)?,
            operation,
            history,
            sync: part::<Option<String>>(sync, "status").map_err(|error| error.at("status.sync"))?.unwrap_or_default(),
            compared: Deployed::read(sync, compared).map_err(|error| error.at("status.sync"))?,
            health: HealthStatus::read(status).map_err(within)?,
            reconciled_at: time(status, "reconciledAt").map_err(within)?,
            images: part(status, "summary.images").map_err(within)?,
            resources: parts(status, "resources").map_err(within)?,
            controller_namespace: part(status, "controllerNamespace").map_err(within)?,
            meta,
        })
    }

    /// True when its objects go with it.
    pub(super) fn cascade(&self) -> bool {
        self.meta.finalizers.iter().any(|name| name.starts_with(CASCADE))
    }

    /// True when live state was compared after the last operation ended: only then do health and images speak of it.
    pub(super) fn compared_after_operation(&self) -> bool {
        let Some(operation) = &self.operation else { return true };
        match (operation.finished_at, self.reconciled_at) {
            (Some(finished_at), Some(reconciled_at)) => reconciled_at >= finished_at && operation.done(),
            _ => false,
        }
    }
}

impl<'a> Spec<'a> {
    fn read(object: &'a Value, meta: &Meta) -> Result<Self, Rejection> {
        let spec = at(object, "spec").unwrap_or(&Value::Null);
        let hydrator = at(spec, "sourceHydrator");
        let mut sources = sources(spec);
        if sources.is_empty() {
            sources.extend(hydrator.and_then(|hydrator| at(hydrator, "drySource")));
        }
        Ok(Self {
            project: part(object, "spec.project")?,
            destination: part(object, "spec.destination")?,
            automated: part(object, "spec.syncPolicy.automated")?,
            ignore_differences: at(spec, "ignoreDifferences"),
            sources,
            hydrator,
            skip_reconcile: meta.annotations.get(SKIP_RECONCILE).is_some_and(|text| text == "true"),
        })
    }

    /// What an operation that names revisions would deploy.
    pub(super) fn asked(&self, sync: Option<&SyncRequest>) -> Deployed<'a> {
        let mut revisions = sync.map(|sync| sync.revisions.clone()).unwrap_or_default();
        if revisions.is_empty() {
            revisions.extend(sync.and_then(|sync| sync.revision.clone()).filter(|text| !text.is_empty()));
        }
        Deployed { revisions, sources: self.sources.clone() }
    }
}

impl HealthStatus {
    fn read(status: &Value) -> Result<Self, Rejection> {
        let word: Option<String> = part(status, "health.status")?;
        Ok(Self {
            health: word.and_then(|word| word.to_ascii_lowercase().parse().ok()),
            message: part::<Option<String>>(status, "health.message")?.and_then(|text| private(&text)),
            since: time(status, "health.lastTransitionTime")?,
        })
    }
}

fn history(status: &Value) -> Result<Vec<Entry<'_>>, Rejection> {
    let entries: &[Value] = match at(status, "history") {
        None => &[],
        Some(Value::Array(entries)) => entries,
        Some(_) => return Err(Rejection::new(Reason::BadField, "is not a list").at("history")),
    };
    let read = |(n, entry)| Entry::read(entry).map_err(|error: Rejection| error.at(format!("history[{n}]")));
    let mut entries: Vec<_> = entries.iter().enumerate().map(read).collect::<Result<_, _>>()?;
    entries.sort_by_key(|entry| entry.id);
    Ok(entries)
}

impl<'a> OperationState<'a> {
    fn read(status: &'a Value) -> Result<Option<Self>, Rejection> {
        let Some(state) = at(status, "operationState") else { return Ok(None) };
        Self::of(state).map(Some).map_err(|error| error.at("operationState"))
    }

    fn of(state: &'a Value) -> Result<Self, Rejection> {
        let result = at(state, "syncResult");
        let resources = match result.and_then(|result| at(result, "resources")) {
            None => None,
            Some(_) => Some(parts(state, "syncResult.resources")?),
        };
        let deployed = result.map(|result| Deployed::read(result, result)).transpose();
        let word: Option<String> = part(state, "phase")?;
        Ok(Self {
            phase: word.and_then(|word| word.to_ascii_lowercase().parse().ok()),
            message: part::<Option<String>>(state, "message")?.unwrap_or_default(),
            started_at: time(state, "startedAt")?,
            finished_at: time(state, "finishedAt")?,
            retry_count: part(state, "retryCount")?,
            sync: part(state, "operation.sync")?,
            initiated_by: part(state, "operation.initiatedBy")?,
            info: parts(state, "operation.info")?,
            deployed: deployed.map_err(|error| error.at("syncResult"))?,
            resources,
        })
    }

    /// Whether it is over.
    pub(super) fn done(&self) -> bool {
        matches!(self.phase, Some(Phase::Succeeded | Phase::Failed | Phase::Error))
    }

    /// Whether a sync window holds it up: it is told only by its message.
    pub(super) fn blocked(&self) -> bool {
        self.phase == Some(Phase::Running) && self.message.to_ascii_lowercase().contains("blocked by sync window")
    }

    /// Whether it names single resources.
    pub(super) fn partial(&self) -> bool {
        self.sync.as_ref().is_some_and(|sync| !sync.resources.is_empty())
    }

    /// Whether the deployer began it to put live edits right. Versions before the count of attempts name resources only.
    pub(super) fn self_heal(&self) -> bool {
        let attempts = self.sync.as_ref().and_then(|sync| sync.auto_heal_attempts_count).unwrap_or_default();
        self.partial() && (attempts > 0 || self.initiated_by.automated == Some(true))
    }

    /// Whether it changed nothing on purpose.
    pub(super) fn dry_run(&self) -> bool {
        self.sync.as_ref().is_some_and(|sync| sync.dry_run == Some(true))
    }
}
