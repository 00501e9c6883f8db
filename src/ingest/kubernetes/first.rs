//! Objects handed in, one or a list, in JSON or YAML: what a first sight of each would record.

use std::collections::BTreeMap;

use serde_json::Value;

use super::object::{at, part};
use super::sight::Sight;
use super::{project, transition, workload};
use crate::event::target::Observation;
use crate::ingest::authentication::Authentication;
use crate::ingest::{Delivery, Events, Headers, Reason, Rejection, System};
use crate::report::{Shape, Sketch};

/// Kubernetes objects.
pub(crate) const SYSTEM: System = System {
    name: "kubernetes",
    about: "Argo CD Applications and AppProjects, and their workloads, as `kubectl get -o yaml|json` prints them",
    events: &["Application", "AppProject", "Deployment", "StatefulSet", "lists of them"],
    authentication: Authentication::Shared,
    secret_members: &[],
    recognise,
    normalise,
};

/// Kinds that are understood, and lists of them.
const KINDS: &[&str] = &["Application", "AppProject", "Deployment", "StatefulSet"];

fn recognise(_headers: &Headers, sketch: &Sketch) -> bool {
    let ours = |version: &str, kind: &str| {
        let kind = kind.strip_suffix("List").unwrap_or(kind);
        match kind {
            "Application" | "AppProject" => version.starts_with("argoproj.io/"),
            "Deployment" | "StatefulSet" => version.starts_with("apps/"),
            _ => false,
        }
    };
    match sketch.shape {
        Shape::Object | Shape::Lines | Shape::Array => {
            let (version, kind) = (sketch.get("apiVersion"), sketch.get("kind"));
            let of_argo = sketch.text.contains("argoproj.io/") && sketch.text.contains("\"Application\"");
            // Argo CD's own API leaves version and kind out.
            let bare = kind.is_empty() && sketch.has("spec.destination") && sketch.has("metadata.name");
            ours(version, kind) || (version == "v1" && kind == "List" && of_argo) || bare
        }
        Shape::Text => {
            let value = |key: &str| {
                let line = sketch.text.lines().find_map(|line| line.strip_prefix(key));
                line.map(|rest| rest.trim().trim_matches(['"', '\''])).unwrap_or_default()
            };
            let (version, kind) = (value("apiVersion:"), value("kind:"));
            let listed =
                || ["Application", "AppProject"].iter().any(|kind| sketch.text.contains(&format!("kind: {kind}\n")));
            ours(version, kind)
                || (version == "v1" && kind == "List" && sketch.text.contains("argoproj.io/") && listed())
        }
        _ => false,
    }
}

fn normalise(delivery: &Delivery<'_>) -> Result<Events, Rejection> {
    let mut events = Events { repeats: true, ..Events::default() };
    let mut applications = BTreeMap::new();
    let documents = documents(delivery)?;
    let many = documents.len() > 1;
    // Workloads are told by their applications, which may come later.
    for workloads in [false, true] {
        for (n, document) in documents.iter().enumerate() {
            let items = match at(document, "items") {
                Some(Value::Array(items)) => items.iter().enumerate().map(|(n, item)| (Some(n), item)).collect(),
                _ => vec![(None, document)],
            };
            for (item_n, item) in items {
                let within = |error: Rejection| {
                    let error = item_n.into_iter().fold(error, |error, n| error.at(format!("items[{n}]")));
                    if many { error.at(format!("[{n}]")) } else { error }
                };
                let kind = kind(document, item).map_err(within)?;
                if matches!(kind.as_str(), "Deployment" | "StatefulSet") == workloads {
                    one(delivery, &kind, item, &mut applications, &mut events).map_err(within)?;
                }
            }
        }
    }
    Ok(events)
}

/// Every document: JSON, JSON lines, a JSON array as `argocd app list` prints it, or YAML.
fn documents(delivery: &Delivery<'_>) -> Result<Vec<Value>, Rejection> {
    let body = delivery.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(delivery.body);
    if body.trim_ascii_start().starts_with(b"{") {
        let all = serde_json::Deserializer::from_slice(body).into_iter::<Value>().collect::<Result<_, _>>();
        return all.map_err(|error| Rejection::json(&error));
    }
    if body.trim_ascii_start().starts_with(b"[") {
        return serde_json::from_slice(body).map_err(|error| Rejection::json(&error));
    }
    let malformed = |what: &dyn std::fmt::Display| Rejection::new(Reason::Malformed, format!("no YAML: {what}"));
    let text = std::str::from_utf8(body).map_err(|error| malformed(&error))?;
    let all: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| {
        // The first line: what follows is the document itself.
        malformed(&error.to_string().lines().next().unwrap_or_default())
    })?;
    Ok(all.into_iter().filter(|document| !document.is_null()).collect())
}

/// The kind of an object: its own, or that of the list it is in.
fn kind(document: &Value, item: &Value) -> Result<String, Rejection> {
    let own: Option<String> = part(item, "kind")?;
    let listed: Option<String> = part(document, "kind")?;
    let kind = own.or_else(|| listed.and_then(|kind| kind.strip_suffix("List").map(str::to_owned)));
    let kind = kind.filter(|kind| !kind.is_empty());
    // What Argo CD's API answers says neither version nor kind.
    let bare = kind.is_none() && at(item, "spec.destination").is_some();
    let kind = if bare { "Application".to_owned() } else { kind.ok_or_else(|| Rejection::missing("kind"))? };
    let version: Option<String> = part(item, "apiVersion")?;
    if let (Some(version), true) = (version, KINDS.contains(&kind.as_str())) {
        let known = match kind.as_str() {
            "Application" | "AppProject" => "argoproj.io/v1alpha1",
            _ => "apps/v1",
        };
        if version != known {
            let what = format!("{version:?}: of {kind} only {known} is understood");
            return Err(Rejection::new(Reason::UnsupportedVersion, what).at("apiVersion"));
        }
    }
    Ok(kind)
}

fn one(
    delivery: &Delivery<'_>,
    kind: &str,
    item: &Value,
    applications: &mut BTreeMap<String, super::Seen>,
    events: &mut Events,
) -> Result<(), Rejection> {
    let sight = Sight {
        source: delivery.source,
        targets: delivery.targets,
        cluster: None,
        observation: Observation::Relist,
        at: delivery.received_at,
        since: None,
    };
    let mut drafts = match kind {
        "Application" => {
            let (drafts, seen) = transition::transition(None, item, &sight)?;
            applications.insert(seen.identity.clone(), seen);
            drafts
        }
        "AppProject" => project::transition(None, item, &delivery.evidence.blake3, &sight)?.0,
        "Deployment" | "StatefulSet" => match workload::transition(None, item, applications, &sight)? {
            Some((drafts, _)) => drafts,
            None => {
                events.passed_over.push(format!("{kind} of no application"));
                return Ok(());
            }
        },
        other => {
            events.passed_over.push(other.to_owned());
            return Ok(());
        }
    };
    if drafts.is_empty() {
        events.passed_over.push(format!("{kind} without a status"));
    }
    for draft in &mut drafts {
        draft.evidence = vec![delivery.evidence.clone()];
    }
    events.drafts.append(&mut drafts);
    Ok(())
}
