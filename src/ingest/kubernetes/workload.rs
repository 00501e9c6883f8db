//! Deployments and `StatefulSets` of Applications: how many replicas they are to have, and who set it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::object::{ManagedFields, Meta, NAME_MAX, at, part};
use super::seen::Seen;
use super::sight::Sight;
use crate::event::target::{Resource, ScaleCause, WorkloadScaled};
use crate::event::{Draft, StreamName};
use crate::ingest::{Asked, Reason, Rejection};
use crate::report::value;

/// Where Argo CD writes which application an object belongs to: `<application>:<group>/<kind>:<namespace>/<name>`.
const TRACKING_ID: &str = "argocd.argoproj.io/tracking-id";

/// Labels that name the application, newest way of tracking first.
const INSTANCE: &[&str] = &["argocd.argoproj.io/instance", "app.kubernetes.io/instance"];

/// A workload as it was last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenWorkload {
    /// As events name it.
    pub workload: Resource,
    /// The target's stream.
    pub stream: StreamName,
    /// Replicas that it is to have.
    pub replicas: u32,
}

/// The application that an object says it belongs to: its name, in another namespace than Argo CD's with that before it.
pub(crate) fn application(meta: &Meta) -> Option<String> {
    let tracked = meta.annotations.get(TRACKING_ID).and_then(|id| id.split(':').next());
    let labelled = INSTANCE.iter().find_map(|label| meta.labels.get(*label)).map(String::as_str);
    // In any namespace the two are joined by an underscore, which no namespace has in it.
    tracked.or(labelled).filter(|name| !name.is_empty()).map(|name| name.replacen('_', "/", 1))
}

/// What the sight of a workload adds. `applications` are those that are known, by name; a workload of none is nobody's.
///
/// # Errors
/// What is wrong with it, by path.
pub fn transition(
    previous: Option<&SeenWorkload>,
    object: &Value,
    applications: &BTreeMap<String, Seen>,
    sight: &Sight<'_>,
) -> Result<Option<(Vec<Draft>, SeenWorkload)>, Rejection> {
    let meta = Meta::read(object)?;
    let Some(name) = application(&meta) else { return Ok(None) };
    let known = applications.values().find(|seen| seen.application.name == name);
    let stream = match known {
        Some(seen) => seen.stream.clone(),
        None => sight.targets.stream(&Asked {
            application: name.rsplit('/').next(),
            namespace: meta.namespace.as_deref(),
            cluster: sight.cluster,
            ..Asked::default()
        })?,
    };
    let workload = resource(&meta, object)?;
    // Kubernetes itself fills in 1 where nothing is said.
    let after: u32 = part::<Option<u32>>(object, "spec.replicas")?.unwrap_or(1);
    let now = SeenWorkload { workload: workload.clone(), stream: stream.clone(), replicas: after };
    let before = previous.map(|previous| previous.replicas);
    if before == Some(after) {
        return Ok(Some((Vec::new(), now)));
    }
    let scaled = WorkloadScaled {
        after,
        before,
        cause: if before.is_none() { ScaleCause::Unknown } else { cause(&meta) },
        command: None,
        desired: None,
        observation: Some(sight.observation),
        observed_between: sight.between(),
        reason: None,
        requested_by: None,
        workload,
    };
    let version = meta.generation.map_or_else(|| meta.resource_version.clone().unwrap_or_default(), |n| n.to_string());
    let key = format!("{} replicas {after} {version}", meta.identity());
    Ok(Some((vec![sight.draft(scaled, &stream, &key, sight.at)?], now)))
}

fn resource(meta: &Meta, object: &Value) -> Result<Resource, Rejection> {
    let kind: Option<String> = part(object, "kind")?;
    let version: String = part::<Option<String>>(object, "apiVersion")?.unwrap_or_default();
    let kind = kind.ok_or_else(|| Rejection::new(Reason::MissingField, "is missing").at("kind"))?;
    Ok(Resource {
        group: version.split_once('/').map(|(group, _)| value::cut(group, NAME_MAX)),
        kind: value::cut(&kind, NAME_MAX),
        name: value::cut(&meta.name, NAME_MAX),
        namespace: meta.namespace.clone(),
    })
}

/// Who wrote the number of replicas last: a hint, as any client may name itself as it likes.
fn cause(meta: &Meta) -> ScaleCause {
    let writes =
        |entry: &&ManagedFields| at(&entry.fields_v1, "f:spec").is_some_and(|spec| spec.get("f:replicas").is_some());
    let time = |entry: &&ManagedFields| entry.time.as_deref().and_then(value::zoned_time);
    let Some(last) = meta.managed_fields.iter().filter(writes).max_by_key(time) else { return ScaleCause::Unknown };
    let manager = last.manager.to_ascii_lowercase();
    let controller = manager == "kube-controller-manager" || manager.contains("autoscaler") || manager.contains("keda");
    if controller && last.subresource.as_deref().is_none_or(|part| part == "scale") {
        ScaleCause::Autoscaler
    } else if manager.starts_with("argocd") || manager.contains("application-controller") {
        ScaleCause::SelfHeal
    } else {
        ScaleCause::Manual
    }
}

/// What tells a workload from every other, as an event names it.
#[must_use]
pub fn key(workload: &Resource) -> String {
    let part = |text: &Option<String>| text.clone().unwrap_or_default();
    format!("{}/{} {}/{}", part(&workload.group), workload.kind, part(&workload.namespace), workload.name)
}
