//! Argo CD's `AppProject`s: who may deploy what, where and when. Each specification is a version of the policy in force.

use serde::Deserialize;
use serde_json::Value;

use super::application::private;
use super::object::{self, Meta, NAME_MAX, at, nullable, parts};
use super::sight::Sight;
use crate::event::policy::{ProjectChanged, SyncWindow, WindowKind};
use crate::event::{Draft, Hex32, Private, StreamName, U64};
use crate::ingest::{Reason, Rejection};
use crate::report::value;

/// Most sync windows that an event holds.
const WINDOWS_MAX: usize = 50;

/// An `AppProject` as it was last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenProject {
    /// What tells it from every other.
    pub identity: String,
    /// Its name.
    pub name: String,
    /// The namespace it is in.
    pub namespace: Option<String>,
    pub(super) uid: Option<String>,
    /// SHA-256 of its specification.
    pub(super) hash: Hex32,
    /// SHA-256 of each member of its specification, to tell which changed.
    pub(super) members: Vec<(String, Hex32)>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Window {
    kind: String,
    schedule: String,
    duration: String,
    #[serde(deserialize_with = "nullable")]
    applications: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    namespaces: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    clusters: Vec<String>,
    manual_sync: Option<bool>,
    sync_overrun: Option<bool>,
    and_operator: Option<bool>,
    time_zone: Option<String>,
    description: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Role {
    name: String,
}

/// What the sight of an `AppProject` adds. `document` is the evidence that it is kept as.
///
/// # Errors
/// What is wrong with it, by path.
pub fn transition(
    previous: Option<&SeenProject>,
    project: &Value,
    document: &Hex32,
    sight: &Sight<'_>,
) -> Result<(Vec<Draft>, SeenProject), Rejection> {
    let meta = Meta::read(project)?;
    let spec = at(project, "spec").ok_or_else(|| Rejection::missing("spec"))?;
    let now = seen(&meta, spec)?;
    let previous = previous.filter(|previous| previous.identity == now.identity);
    if previous.is_some_and(|previous| previous.hash == now.hash) {
        return Ok((Vec::new(), now));
    }
    let windows: Vec<Window> = parts(project, "spec.syncWindows")?;
    let read = |(n, window)| read_window(window).map_err(|error: Rejection| error.at(format!("spec.syncWindows[{n}]")));
    let windows: Vec<SyncWindow> = windows.into_iter().enumerate().map(read).collect::<Result<_, _>>()?;
    let roles: Vec<Role> = parts(project, "spec.roles")?;
    let roles: Vec<String> = object::bounded(roles.iter().map(|role| value::cut(&role.name, NAME_MAX)), 100);
    let changed = ProjectChanged {
        after: Some(now.hash.clone()),
        before: previous.map(|previous| previous.hash.clone()),
        changed_by: None,
        document: Some(document.clone()),
        fields: previous.map(|previous| fields(&previous.members, &now.members)),
        generation: meta.generation.map(U64),
        observation: Some(sight.observation),
        observed_between: sight.between(),
        project: value::cut(&now.name, NAME_MAX),
        roles: (!roles.is_empty()).then_some(roles),
        sync_windows: at(spec, "syncWindows").map(|_| object::bounded(windows, WINDOWS_MAX)),
        uid: now.uid.clone(),
    };
    let key = format!("{} project {} {}", now.identity, now.hash, meta.resource_version.as_deref().unwrap_or_default());
    Ok((vec![sight.draft(changed, &policy()?, &key, sight.at)?], now))
}

/// That an `AppProject` is gone.
///
/// # Errors
/// None that a real one has.
pub fn removed(seen: &SeenProject, sight: &Sight<'_>) -> Result<Vec<Draft>, Rejection> {
    let removed = ProjectChanged {
        after: None,
        before: Some(seen.hash.clone()),
        changed_by: None,
        document: None,
        fields: None,
        generation: None,
        observation: Some(sight.observation),
        observed_between: sight.between(),
        project: value::cut(&seen.name, NAME_MAX),
        roles: None,
        sync_windows: None,
        uid: seen.uid.clone(),
    };
    Ok(vec![sight.draft(removed, &policy()?, &format!("{} project removed", seen.identity), sight.at)?])
}

/// What an `AppProject` is, without what changed.
///
/// # Errors
/// What is wrong with it, by path.
pub(super) fn read(project: &Value) -> Result<SeenProject, Rejection> {
    let spec = at(project, "spec").ok_or_else(|| Rejection::missing("spec"))?;
    seen(&Meta::read(project)?, spec)
}

fn seen(meta: &Meta, spec: &Value) -> Result<SeenProject, Rejection> {
    let Value::Object(members) = spec else {
        return Err(Rejection::new(Reason::BadField, "is not an object").at("spec"));
    };
    Ok(SeenProject {
        identity: meta.identity(),
        name: meta.name.clone(),
        namespace: meta.namespace.clone(),
        uid: meta.uid.clone(),
        hash: object::sha256(spec),
        members: members.iter().map(|(name, value)| (name.clone(), object::sha256(value))).collect(),
    })
}

/// Names of the members that differ.
fn fields(before: &[(String, Hex32)], after: &[(String, Hex32)]) -> Vec<String> {
    let differ = after.iter().filter(|member| !before.contains(member));
    let gone = before.iter().filter(|(name, _)| !after.iter().any(|(other, _)| other == name));
    let names: std::collections::BTreeSet<&String> = differ.chain(gone).map(|(name, _)| name).collect();
    object::bounded(names.into_iter().map(|name| value::cut(name, NAME_MAX)), 100)
}

fn policy() -> Result<StreamName, Rejection> {
    Ok("policy".parse()?)
}

fn read_window(window: Window) -> Result<SyncWindow, Rejection> {
    let kind: WindowKind = window
        .kind
        .parse()
        .map_err(|error: crate::event::Error| Rejection::new(Reason::BadField, error.to_string()).at("kind"))?;
    for (name, text) in [("schedule", &window.schedule), ("duration", &window.duration)] {
        if text.is_empty() {
            return Err(Rejection::missing(name));
        }
    }
    let names = |all: Vec<String>| {
        (!all.is_empty()).then(|| object::bounded(all.into_iter().map(|name| value::cut(&name, NAME_MAX)), 50))
    };
    let clusters = object::bounded(window.clusters.iter().map(|name| Private::plain(value::cut(name, NAME_MAX))), 50);
    Ok(SyncWindow {
        and_operator: window.and_operator,
        applications: names(window.applications),
        clusters: (!clusters.is_empty()).then_some(clusters),
        description: window.description.as_deref().and_then(private),
        duration: value::cut(&window.duration, NAME_MAX),
        kind,
        manual_sync: window.manual_sync,
        namespaces: names(window.namespaces),
        schedule: value::cut(&window.schedule, NAME_MAX),
        sync_overrun: window.sync_overrun,
        time_zone: window.time_zone.filter(|zone| !zone.is_empty()).map(|zone| value::cut(&zone, NAME_MAX)),
    })
}
