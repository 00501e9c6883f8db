//! Flux's events, as its notification controller sends them to a `generic` or `generic-hmac` provider.
//!
//! The controllers limit and deduplicate what they send, so it is not complete: a reconciliation that is not told of may
//! have happened all the same. A reconciliation is told of when it is over, and not when it began.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Authentication, Delivery, Events, Headers, Rejection, System};
use crate::event::target::{
    Application, Health, HealthChanged, ManifestSource, Observation, SyncFailed, SyncSucceeded,
};
use crate::event::{Private, Timestamp};
use crate::ingest::Asked;
use crate::report::{Sketch, value};

/// Flux.
pub(super) const SYSTEM: System = System {
    name: "flux",
    about: "Flux notification controller (providers generic and generic-hmac)",
    events: &["reconciliations of Kustomizations and HelmReleases that succeed or fail"],
    authentication: Authentication::Shared,
    secret_members: &[],
    recognise,
    normalise,
};

/// Longest name, in bytes, that is taken.
const NAME_MAX: usize = 512;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    involved_object: Object,
    severity: String,
    reason: String,
    #[serde(default)]
    message: Option<String>,
    timestamp: String,
    /// Revisions, and whatever whoever set the alert up added. Keys of Flux's own may have the group before a slash.
    #[serde(default)]
    metadata: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Object {
    kind: String,
    name: String,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    uid: Option<String>,
}

/// What a reason says.
enum Said {
    Succeeded,
    Failed,
    /// It was applied, and does not do its work.
    Unhealthy,
    Nothing,
}

impl Said {
    /// Reasons of the kustomize and helm controllers. What is an error is one whatever its reason.
    fn of(event: &Event) -> Self {
        if !matches!(event.involved_object.kind.as_str(), "Kustomization" | "HelmRelease") {
            return Self::Nothing;
        }
        match (event.reason.as_str(), event.severity.as_str()) {
            ("HealthCheckFailed", _) => Self::Unhealthy,
            (
                "ReconciliationSucceeded" | "InstallSucceeded" | "UpgradeSucceeded" | "RollbackSucceeded",
                "info" | "trace",
            ) => Self::Succeeded,
            // Something else is not there yet; it will be tried again soon.
            ("DependencyNotReady", _) => Self::Nothing,
            (_, "error") => Self::Failed,
            _ => Self::Nothing,
        }
    }
}

impl Event {
    /// The metadata of that name, with or without a group before it.
    fn meta(&self, name: &str) -> Option<&str> {
        let all = self.metadata.as_ref()?;
        let grouped = all.iter().find(|(key, _)| key.rsplit('/').next() == Some(name) && key.contains(".fluxcd.io/"));
        all.get(name).or(grouped.map(|(_, text)| text)).map(String::as_str).filter(|text| !text.is_empty())
    }

    fn sources(&self) -> Option<Vec<ManifestSource>> {
        let (target_revision, revision) = revision(self.meta("revision")?);
        let short = |text: &str| value::cut(text, NAME_MAX);
        Some(vec![ManifestSource {
            revision: Some(short(revision)),
            target_revision: target_revision.map(short),
            ..ManifestSource::default()
        }])
    }
}

/// What was followed, and what it was resolved to: of `main@sha1:<id>` and, until Flux 0.41, `main/<id>`, the branch and the
/// commit; of `latest@sha256:<hex>` the tag and the digest; a chart's version is its own.
fn revision(text: &str) -> (Option<&str>, &str) {
    if let Some((followed, id)) = text.rsplit_once('@').filter(|(_, id)| id.contains(':')) {
        let id = id.strip_prefix("sha1:").unwrap_or(id);
        return (Some(followed).filter(|followed| !followed.is_empty()), id);
    }
    let hexadecimal = |id: &str| matches!(id.len(), 40 | 64) && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    match text.rsplit_once('/') {
        Some((branch, id)) if hexadecimal(id) => (Some(branch), id),
        // A commit that no branch was followed to.
        _ => (None, text.strip_prefix("sha1:").unwrap_or(text)),
    }
}

fn recognise(headers: &Headers, sketch: &Sketch) -> bool {
    let event = ["involvedObject.kind", "severity", "reason", "reportingController"];
    headers.get("gotk-component").is_some() || event.iter().all(|member| sketch.has(member))
}

fn normalise(delivery: &Delivery<'_>) -> Result<Events, Rejection> {
    let event: Event = delivery.json()?;
    let object = &event.involved_object;
    let said = Said::of(&event);
    if matches!(said, Said::Nothing) {
        return Ok(Events::passed_over(value::cut(&format!("{}.{}", object.kind, event.reason), 200)));
    }
    let at = value::time("timestamp", &event.timestamp)?.ok_or_else(|| Rejection::missing("timestamp"))?;
    let name =
        object.namespace.as_ref().map_or_else(|| object.name.clone(), |space| format!("{space}/{}", object.name));
    // What an alert adds (`spec.eventMetadata`) says more of where it is than the object's namespace does.
    let cluster = event.meta("cluster");
    let asked = Asked {
        application: Some(&name),
        namespace: object.namespace.as_deref(),
        cluster,
        environment: event.meta("environment").or(event.meta("env")),
        ..Asked::default()
    };
    let stream = delivery.targets.stream(&asked).map_err(|why| why.at("involvedObject"))?;
    let application = Application {
        cluster: cluster.map(|cluster| value::cut(cluster, NAME_MAX)),
        name: value::cut(&name, NAME_MAX),
        namespace: object.namespace.as_deref().map(|space| value::cut(space, NAME_MAX)),
        project: None,
        server: None,
        uid: object.uid.as_deref().map(|uid| value::cut(uid, NAME_MAX)),
    };
    let message = super::private(event.message.as_deref());
    let sight = Sight { event: &event, application, message, at };
    let mut events = Events::default();
    match said {
        Said::Succeeded => events.drafts.push(delivery.draft(sight.succeeded(), stream, "", at)?),
        _ => {
            let unhealthy = matches!(said, Said::Unhealthy);
            events.drafts.push(delivery.draft(sight.failed(unhealthy), stream.clone(), "", at)?);
            if unhealthy {
                events.drafts.push(delivery.draft(sight.degraded(), stream, "health", at)?);
            }
        }
    }
    Ok(events)
}

/// A reconciliation, told of.
struct Sight<'a> {
    event: &'a Event,
    application: Application,
    message: Option<Private>,
    at: Timestamp,
}

impl Sight<'_> {
    fn succeeded(&self) -> SyncSucceeded {
        SyncSucceeded {
            application: Some(self.application.clone()),
            commit: None,
            deployment: None,
            // Helm's controller tells only of releases that it made.
            effective: (self.event.involved_object.kind == "HelmRelease"
                && self.event.reason != "ReconciliationSucceeded")
                .then_some(true),
            finished_at: self.at,
            git_ref: None,
            health: None,
            history_id: None,
            hotfix: None,
            images: None,
            incomplete: None,
            message: self.message.clone(),
            observation: Some(Observation::Watch),
            observed_between: None,
            operation: None,
            remediates_deployments: None,
            remediates_incidents: None,
            repository: None,
            resources: None,
            run: None,
            sources: self.event.sources(),
            started_at: None,
            url: None,
            version: self.event.meta("app-version").map(|version| value::cut(version, NAME_MAX)),
        }
    }

    fn failed(&self, unhealthy: bool) -> SyncFailed {
        SyncFailed {
            application: Some(self.application.clone()),
            commit: None,
            deployment: None,
            // Health is looked at once everything is applied.
            effective: unhealthy.then_some(true),
            finished_at: self.at,
            health: unhealthy.then_some(Health::Degraded),
            images: None,
            message: self.message.clone(),
            observation: Some(Observation::Watch),
            observed_between: None,
            operation: None,
            repository: None,
            resources: None,
            run: None,
            sources: self.event.sources(),
            started_at: None,
            url: None,
            will_retry: None,
        }
    }

    fn degraded(&self) -> HealthChanged {
        HealthChanged {
            after: Health::Degraded,
            application: Some(self.application.clone()),
            before: None,
            images: None,
            message: self.message.clone(),
            observation: Some(Observation::Watch),
            observed_between: None,
            reconciled_at: Some(self.at),
            resource: None,
            since: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_old_and_new_name_what_was_followed_and_what_it_was() {
        let id = "731f7eaddfb6af01cb2173e18f0f75b0ba780ef1";
        let digest = format!("sha256:{}", "ab".repeat(32));
        for (text, expected) in [
            (format!("main@sha1:{id}"), (Some("main"), id)),
            (format!("refs/heads/a@b@sha1:{id}"), (Some("refs/heads/a@b"), id)),
            (format!("feature/x/{id}"), (Some("feature/x"), id)),
            (format!("sha1:{id}"), (None, id)),
            (format!("latest@{digest}"), (Some("latest"), digest.as_str())),
            ("6.5.1+3".to_owned(), (None, "6.5.1+3")),
            ("a/b".to_owned(), (None, "a/b")),
        ] {
            assert_eq!(revision(&text), expected, "{text}");
        }
    }
}
