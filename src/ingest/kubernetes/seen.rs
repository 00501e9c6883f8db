//! What is remembered of an Application between two sights of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::application::{App, Spec, overrides, place};
use super::object::{self, NAME_MAX};
use super::sight::Sight;
use crate::event::target::{Application, Guard, Health, Phase};
use crate::event::{Hex32, Private, StreamName, Timestamp};
use crate::ingest::{Asked, Rejection};
use crate::report::value;

/// The address by which a cluster calls itself.
const IN_CLUSTER: &str = "https://kubernetes.default.svc";

/// An Application as it was last seen: enough to tell what the next sight of it adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What tells it from every other.
    pub identity: String,
    /// The namespace it is in.
    pub namespace: Option<String>,
    /// As events name it.
    pub application: Application,
    /// The target's stream.
    pub stream: StreamName,
    /// True when its objects go with it.
    pub(super) cascade: bool,
    pub(super) operation: Option<SeenOperation>,
    /// The newest entry of its history that is accounted for.
    pub(super) history_id: Option<u64>,
    pub(super) health: Option<Health>,
    /// Images that ran when live state was last compared after an operation.
    pub(super) images: Option<Hex32>,
    /// `Synced`, `OutOfSync`, `Unknown`.
    pub(super) sync: String,
    pub(super) revisions: Option<Hex32>,
    pub(super) sources: Option<Hex32>,
    pub(super) drift: Option<Drift>,
    pub(super) guards: BTreeMap<Guard, Option<String>>,
}

/// The last operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SeenOperation {
    pub(super) started_at: Option<Timestamp>,
    pub(super) phase: Option<Phase>,
    pub(super) end: End,
    pub(super) blocked: bool,
    /// The failed attempt that it waits after.
    pub(super) waits_after: Option<u32>,
}

impl SeenOperation {
    /// What was told of the same operation stays told, whatever its slot says next.
    pub(super) fn keep(&mut self, before: &Self) {
        self.end = self.end.max(before.end);
        self.blocked |= before.blocked;
        self.waits_after = self.waits_after.max(before.waits_after);
    }
}

/// How much is known of an operation's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    /// It is not over.
    No,
    /// It is said to have succeeded, without when and what.
    Incomplete,
    /// It is over.
    Yes,
}

/// An episode of drift that is not over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// Its id.
    pub id: String,
    /// When the operation began that was over when it was found: one that is over later may have ended it.
    pub operation: Option<Timestamp>,
}

impl Drift {
    /// An episode that was found at that sight.
    #[must_use]
    pub fn after(id: String, seen: &Seen) -> Self {
        let over = seen.operation.as_ref().filter(|operation| operation.end != End::No);
        Self { id, operation: over.and_then(|operation| operation.started_at) }
    }
}

impl Seen {
    /// What an application is, by itself.
    ///
    /// # Errors
    /// When nothing tells which target it is.
    pub(super) fn of(app: &App<'_>, sight: &Sight<'_>) -> Result<Self, Rejection> {
        let namespace = app.meta.namespace.clone();
        let application = application(app);
        let compared = app.compared_after_operation();
        let images = app.images.as_ref().filter(|_| compared).map(|images| images_hash(images));
        Ok(Self {
            identity: app.meta.identity(),
            stream: stream(app, &application, sight)?,
            application,
            namespace,
            cascade: app.cascade(),
            operation: app.operation.as_ref().map(|operation| SeenOperation {
                started_at: operation.started_at,
                phase: operation.phase,
                end: match (operation.done(), super::sync::incomplete(operation)) {
                    (false, _) => End::No,
                    (true, true) => End::Incomplete,
                    (true, false) => End::Yes,
                },
                blocked: operation.blocked(),
                waits_after: super::sync::waits_after(operation),
            }),
            history_id: accounted(app),
            health: app.health.health,
            images,
            sync: app.sync.clone(),
            revisions: app.compared.revisions_hash(),
            sources: app.compared.sources_hash(),
            drift: None,
            guards: guards(&app.spec),
        })
    }
}

/// The newest entry of the history but that of an operation that is not over: its end comes by itself.
fn accounted(app: &App<'_>) -> Option<u64> {
    let running = app.operation.as_ref().filter(|operation| !operation.done());
    let open = |started_at: Option<Timestamp>| running.is_some_and(|running| running.started_at == started_at);
    app.history.iter().rev().find(|entry| entry.started_at.is_none() || !open(entry.started_at)).map(|entry| entry.id)
}

/// What tells a set of images from another.
pub(super) fn images_hash(images: &[String]) -> Hex32 {
    let sorted: std::collections::BTreeSet<&String> = images.iter().collect();
    object::sha256(&json!(sorted))
}

/// An application as events name it.
fn application(app: &App<'_>) -> Application {
    let text =
        |text: &Option<String>| text.as_deref().filter(|text| !text.is_empty()).map(|text| value::cut(text, NAME_MAX));
    let destination = &app.spec.destination;
    let server = destination.server.as_deref().filter(|server| !server.is_empty());
    let local = server == Some(IN_CLUSTER);
    Application {
        cluster: text(&destination.name).or_else(|| local.then(|| "in-cluster".to_owned())),
        // Versions that do not say where Argo CD is are taken to be where its manifests put it.
        name: match app.meta.namespace.as_deref().unwrap_or_default() {
            "" => app.meta.name.clone(),
            own if own == app.controller_namespace.as_deref().unwrap_or("argocd") => app.meta.name.clone(),
            other => format!("{other}/{}", app.meta.name),
        },
        namespace: text(&destination.namespace),
        project: text(&app.spec.project),
        server: server.filter(|_| !local).map(Private::plain),
        uid: text(&app.meta.uid),
    }
}

fn stream(app: &App<'_>, application: &Application, sight: &Sight<'_>) -> Result<StreamName, Rejection> {
    let asked = Asked {
        application: Some(&app.meta.name),
        project: application.project.as_deref(),
        namespace: application.namespace.as_deref(),
        cluster: application.cluster.as_deref().or(sight.cluster),
        ..Asked::default()
    };
    sight.targets.stream(&asked).map_err(|error| error.at("spec.destination"))
}

/// What keeps an application as it should be, each with its value.
fn guards(spec: &Spec<'_>) -> BTreeMap<Guard, Option<String>> {
    let automated = spec.automated.as_ref().filter(|automated| automated.enabled != Some(false));
    let flag = |on: Option<bool>| Some(on.unwrap_or_default().to_string());
    let given = |pick: fn(&super::application::Automated) -> Option<bool>| flag(spec.automated.as_ref().and_then(pick));
    let hash = |value: Value| Some(object::sha256(&value).to_string());
    let all: Vec<Value> = spec.sources.iter().filter_map(|source| overrides(source)).collect();
    let places: Vec<Value> = spec.sources.iter().map(|source| place(source)).collect();
    let targets: Vec<&str> = spec.sources.iter().map(|source| followed(source)).collect();
    let destination = &spec.destination;
    BTreeMap::from([
        (Guard::AutomatedSync, flag(Some(automated.is_some()))),
        (Guard::SelfHeal, given(|automated| automated.self_heal)),
        (Guard::Prune, given(|automated| automated.prune)),
        (Guard::AllowEmpty, given(|automated| automated.allow_empty)),
        (Guard::SkipReconcile, flag(Some(spec.skip_reconcile))),
        (Guard::IgnoreDifferences, spec.ignore_differences.and_then(|value| hash(value.clone()))),
        (Guard::TargetRevision, Some(value::cut(&targets.join(","), NAME_MAX))),
        (Guard::Source, hash(json!([places, spec.hydrator]))),
        (Guard::Parameters, if all.is_empty() { None } else { hash(json!(all)) }),
        (Guard::Project, spec.project.clone().map(|name| value::cut(&name, NAME_MAX))),
        (Guard::Destination, hash(json!([destination.server, destination.name, destination.namespace]))),
    ])
}

/// The revision that a source follows: where none is named, the default branch.
fn followed(source: &Value) -> &str {
    object::at(source, "targetRevision").and_then(Value::as_str).filter(|text| !text.is_empty()).unwrap_or("HEAD")
}
