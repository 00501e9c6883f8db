//! Kubernetes audit log, webhook backend, `audit.k8s.io/v1`: who did what to the objects that matter here, as the API
//! server authenticated them. The one actor that nobody can claim to be.
//!
//! The same request is sent at each of its stages, and again after a failure: it is known by its audit id, and only its
//! end is recorded.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::{Authentication, Delivery, Events, Headers, Rejection, System};
use crate::event::target::{ActionAudited, Application, Image, Resource};
use crate::event::{Correlation, Private, StreamName, Subject};
use crate::ingest::kubernetes::COMMAND;
use crate::ingest::kubernetes::object::{NAME_MAX, at, bounded, images, nullable, part};
use crate::ingest::{Asked, Reason};
use crate::report::{Sketch, value};

/// The audit log.
pub(super) const SYSTEM: System = System {
    name: "kubernetes-audit",
    about: "Kubernetes audit log by its webhook backend",
    events: &["EventList (audit.k8s.io/v1): writes to applications, appprojects, rollouts, deployments, statefulsets"],
    authentication: Authentication::Shared,
    secret_members: &[],
    recognise,
    normalise,
};

/// The API group and the resources in it whose changes are recorded.
const RESOURCES: &[(&str, &[&str])] =
    &[("argoproj.io", &["applications", "appprojects", "rollouts"]), ("apps", &["deployments", "statefulsets"])];

/// What changes something.
const VERBS: &[&str] = &["create", "update", "patch", "delete", "deletecollection"];

/// Most fields that an event names.
const FIELDS_MAX: usize = 50;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct List {
    kind: String,
    api_version: String,
    #[serde(default, deserialize_with = "nullable")]
    items: Vec<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Request {
    #[serde(rename = "auditID")]
    audit_id: String,
    stage: String,
    verb: String,
    user: User,
    impersonated_user: Option<User>,
    #[serde(rename = "sourceIPs", deserialize_with = "nullable")]
    source_ips: Vec<String>,
    user_agent: Option<String>,
    object_ref: Option<ObjectRef>,
    response_status: Option<Status>,
    request_received_timestamp: Option<String>,
    stage_timestamp: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct User {
    username: String,
    #[serde(deserialize_with = "nullable")]
    groups: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ObjectRef {
    resource: String,
    namespace: Option<String>,
    name: Option<String>,
    api_group: Option<String>,
    subresource: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    code: Option<u32>,
}

fn recognise(_headers: &Headers, sketch: &Sketch) -> bool {
    sketch.get("apiVersion").starts_with("audit.k8s.io/") && sketch.get("kind") == "EventList"
}

/// Sorts of requests that are told to have been passed over.
const PASSED_OVER_MAX: usize = 50;

impl Request {
    /// What tells requests apart. Not the audit id alone: a client may choose it, and must not hide a request behind the
    /// id of another.
    fn key(&self) -> String {
        let object = self.object_ref.as_ref();
        let part = |part: Option<&String>| part.cloned().unwrap_or_default();
        let parts = [
            self.user.username.clone(),
            self.verb.clone(),
            object.map(|object| object.resource.clone()).unwrap_or_default(),
            part(object.and_then(|object| object.namespace.as_ref())),
            part(object.and_then(|object| object.name.as_ref())),
            part(object.and_then(|object| object.subresource.as_ref())),
            part(self.request_received_timestamp.as_ref()),
        ];
        let hash = blake3::hash(parts.join("\n").as_bytes()).to_hex();
        format!("{} {}", value::cut(&self.audit_id, 128), hash.get(..16).unwrap_or_default())
    }
}

fn normalise(delivery: &Delivery<'_>) -> Result<Events, Rejection> {
    let list: List = delivery.json()?;
    if list.api_version != "audit.k8s.io/v1" {
        let what = format!("{:?}: only audit.k8s.io/v1 is understood", list.api_version);
        return Err(Rejection::new(Reason::UnsupportedVersion, what).at("apiVersion"));
    }
    if list.kind != "EventList" {
        let what = format!("{:?}: only EventList is understood", list.kind);
        return Err(Rejection::new(Reason::BadField, what).at("kind"));
    }
    let mut events = Events { repeats: true, ..Events::default() };
    let (mut known, mut passed_over) = (BTreeSet::new(), BTreeSet::new());
    for (n, item) in list.items.iter().enumerate() {
        let within = |error: Rejection| error.at(format!("items[{n}]"));
        let request =
            Request::deserialize(item).map_err(|error| within(Rejection::new(Reason::BadField, error.to_string())))?;
        let resource = request.object_ref.as_ref().map(|object| object.resource.clone()).unwrap_or_default();
        // A batch may hold a request again.
        let wanted = matters(&request) && known.insert(request.key());
        match wanted {
            true => audited(delivery, item, &request, &mut events).map_err(within)?,
            false => {
                let what = value::cut(&format!("{} {resource} at {}", request.verb, request.stage), NAME_MAX);
                if passed_over.len() < PASSED_OVER_MAX {
                    passed_over.insert(what);
                }
            }
        }
    }
    events.passed_over = passed_over.into_iter().collect();
    Ok(events)
}

/// Whether a request is one that is recorded.
fn matters(request: &Request) -> bool {
    let Some(object) = &request.object_ref else { return false };
    let group = object.api_group.as_deref().unwrap_or_default();
    request.stage == "ResponseComplete"
        && VERBS.contains(&request.verb.as_str())
        && RESOURCES.iter().any(|(known, all)| *known == group && all.contains(&object.resource.as_str()))
}

fn audited(delivery: &Delivery<'_>, item: &Value, request: &Request, events: &mut Events) -> Result<(), Rejection> {
    let Some(object) = &request.object_ref else { return Ok(()) };
    if request.audit_id.is_empty() {
        return Err(Rejection::missing("auditID"));
    }
    let user = subject(&request.user).ok_or_else(|| Rejection::missing("user.username"))?;
    let time = |field: &str, text: &Option<String>| match text {
        Some(text) => value::time(field, text),
        None => Ok(None),
    };
    let occurred_at = match time("requestReceivedTimestamp", &request.request_received_timestamp)? {
        Some(at) => at,
        None => {
            time("stageTimestamp", &request.stage_timestamp)?.ok_or_else(|| Rejection::missing("stageTimestamp"))?
        }
    };
    let sent = at(item, "requestObject").unwrap_or(&Value::Null);
    let answered = at(item, "responseObject").unwrap_or(&Value::Null);
    let application = application(object, sent, answered);
    let stream = stream(delivery, object, application.as_ref())?;
    let name = name(object, sent);
    let audited = ActionAudited {
        application,
        audit: value::cut(&request.audit_id, NAME_MAX),
        cluster: delivery.source.as_str().split_once('/').map(|(_, name)| name.to_owned()),
        command: command(sent).or_else(|| command(answered)),
        fields: fields(&request.verb, sent),
        groups: (!request.user.groups.is_empty())
            .then(|| bounded(request.user.groups.iter().map(|group| Private::plain(value::cut(group, NAME_MAX))), 20)),
        images: asked_images(sent),
        impersonated: request.impersonated_user.as_ref().and_then(subject),
        replicas: replicas(sent, object),
        resource: Resource {
            group: object.api_group.clone().filter(|group| !group.is_empty()),
            kind: kind(&object.resource).to_owned(),
            name: value::cut(&name, NAME_MAX),
            namespace: object.namespace.clone().filter(|name| !name.is_empty()),
        },
        response_code: request.response_status.as_ref().and_then(|status| status.code),
        source_addresses: (!request.source_ips.is_empty()).then(|| {
            let addresses = request.source_ips.iter().take(20);
            addresses.map(|address| Private::plain(value::cut(address, NAME_MAX))).collect()
        }),
        subresource: object.subresource.clone().filter(|part| !part.is_empty()),
        user: user.clone(),
        user_agent: request.user_agent.as_deref().map(|agent| Private::plain(value::cut(agent, NAME_MAX))),
        verb: request.verb.clone(),
    };
    let key = crate::ingest::kubernetes::object::dedup(&request.key())?;
    let mut draft =
        delivery.draft_as(audited, stream, key, occurred_at).map_err(|error| error.at("requestReceivedTimestamp"))?;
    draft.actor = Some(user);
    events.drafts.push(draft);
    Ok(())
}

fn subject(user: &User) -> Option<Subject> {
    (!user.username.is_empty()).then(|| format!("kubernetes:{}", user.username).parse().ok()).flatten()
}

/// The kind of a resource that is recorded.
fn kind(resource: &str) -> &'static str {
    match resource {
        "applications" => "Application",
        "appprojects" => "AppProject",
        "rollouts" => "Rollout",
        "statefulsets" => "StatefulSet",
        _ => "Deployment",
    }
}

/// The object's name: one that is made may be named only by itself; of many at once there is none.
fn name(object: &ObjectRef, sent: &Value) -> String {
    let own = || at(sent, "metadata.name").and_then(Value::as_str).map(str::to_owned);
    object.name.clone().filter(|name| !name.is_empty()).or_else(own).unwrap_or_else(|| "*".to_owned())
}

/// The application that the object is or belongs to, as far as request and answer tell.
fn application(object: &ObjectRef, sent: &Value, answered: &Value) -> Option<Application> {
    let text = |path: &str| {
        let found = [answered, sent].into_iter().find_map(|whole| at(whole, path).and_then(Value::as_str));
        found.filter(|text| !text.is_empty()).map(|text| value::cut(text, NAME_MAX))
    };
    let named =
        |name: String| Application { cluster: None, name, namespace: None, project: None, server: None, uid: None };
    match object.resource.as_str() {
        "applications" => {
            let own = name(object, sent);
            let name = match object.namespace.as_deref() {
                None | Some("" | "argocd") => own,
                Some(namespace) => format!("{namespace}/{own}"),
            };
            Some(Application {
                cluster: text("spec.destination.name"),
                namespace: text("spec.destination.namespace"),
                project: text("spec.project"),
                server: text("spec.destination.server").map(Private::plain),
                uid: text("metadata.uid"),
                ..named(value::cut(&name, NAME_MAX))
            })
        }
        "appprojects" => None,
        _ => [answered, sent].into_iter().find_map(|whole| {
            let meta = part(whole, "metadata").ok()?;
            crate::ingest::kubernetes::workload::application(&meta).map(|name| named(value::cut(&name, NAME_MAX)))
        }),
    }
}

fn stream(
    delivery: &Delivery<'_>,
    object: &ObjectRef,
    application: Option<&Application>,
) -> Result<StreamName, Rejection> {
    let own = object.name.as_deref().filter(|name| !name.is_empty());
    let asked = match application {
        Some(application) => Asked {
            application: application.name.rsplit('/').next(),
            project: application.project.as_deref(),
            // Below the level Request nothing tells where an application deploys to: then it stands where it is itself.
            namespace: application.namespace.as_deref().or(object.namespace.as_deref()),
            cluster: application.cluster.as_deref(),
            ..Asked::default()
        },
        None => Asked {
            project: own.filter(|_| object.resource == "appprojects"),
            application: own.or(Some(&object.resource)),
            namespace: object.namespace.as_deref(),
            ..Asked::default()
        },
    };
    delivery.targets.stream(&asked).map_err(|error| error.at("objectRef"))
}

/// The ledger's command in an operation's `info`.
fn command(object: &Value) -> Option<Correlation> {
    let info = at(object, "operation.info")?.as_array()?;
    let entry = info.iter().find(|entry| at(entry, "name").and_then(Value::as_str) == Some(COMMAND))?;
    at(entry, "value")?.as_str()?.parse().ok()
}

/// The fields that a patch sets. A whole object sets all it has, which tells nothing.
fn fields(verb: &str, sent: &Value) -> Option<Vec<String>> {
    if verb != "patch" {
        return None;
    }
    let mut names = BTreeSet::new();
    match sent {
        // JSON patch (RFC 6902): pointers, in which ~1 is a slash.
        Value::Array(operations) => {
            for operation in operations {
                let pointers = [at(operation, "path"), at(operation, "from")].into_iter().flatten();
                for pointer in pointers.filter_map(Value::as_str) {
                    let path = pointer.trim_start_matches('/').replace('/', ".").replace("~1", "/").replace("~0", "~");
                    names.insert(value::cut(&path, NAME_MAX));
                }
            }
        }
        Value::Object(_) => set(sent, "", &mut names),
        _ => return None,
    }
    Some(bounded(names, FIELDS_MAX))
}

/// Names of what a merge patch sets, down to where an event's reader can use them.
fn set(value: &Value, prefix: &str, names: &mut BTreeSet<String>) {
    let Value::Object(members) = value else { return };
    for (member, value) in members {
        let path = if prefix.is_empty() { member.clone() } else { format!("{prefix}.{member}") };
        let deeper = matches!(
            path.as_str(),
            "metadata" | "metadata.annotations" | "metadata.labels" | "spec" | "status" | "operation"
        );
        let whole = value.as_object().is_none_or(serde_json::Map::is_empty);
        if deeper && !whole {
            set(value, &path, names);
        } else if !matches!(path.as_str(), "apiVersion" | "kind" | "metadata.resourceVersion") {
            names.insert(value::cut(&path, NAME_MAX));
        }
    }
}

/// Replicas that were asked for: of the object or of its `scale`, in whichever form a patch has.
fn replicas(sent: &Value, object: &ObjectRef) -> Option<u32> {
    if object.resource == "applications" || object.resource == "appprojects" {
        return None;
    }
    let plain = at(sent, "spec.replicas");
    let patched = || {
        let operations = sent.as_array()?;
        let sets = |operation: &&Value| at(operation, "path").and_then(Value::as_str) == Some("/spec/replicas");
        at(operations.iter().rev().find(sets)?, "value")
    };
    plain.or_else(patched).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok())
}

/// Images that were asked for.
fn asked_images(sent: &Value) -> Option<Vec<Image>> {
    let containers = ["containers", "initContainers"].into_iter();
    let lists = containers.filter_map(|list| at(sent, &format!("spec.template.spec.{list}")).and_then(Value::as_array));
    let asked = lists.flatten().filter_map(|container| at(container, "image").and_then(Value::as_str));
    let kustomized = at(sent, "spec.source.kustomize.images").and_then(Value::as_array).into_iter().flatten();
    let all = images(asked.chain(kustomized.filter_map(Value::as_str)));
    (!all.is_empty()).then_some(all)
}

/// What a blackened text becomes.
const BLACK: &str = "*";

/// Blackens what is secret in a batch by its kind and not by the names of its members: the values of Secrets, wherever
/// they stand, and tokens that were asked for. Returns how many there were.
pub(super) fn blacken(body: &mut Vec<u8>) -> u32 {
    let plain = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let Ok(mut list) = serde_json::from_slice::<Value>(plain) else { return 0 };
    let mut n = 0;
    if let Some(items) = list.get_mut("items").and_then(Value::as_array_mut) {
        for item in items {
            let secret = at(item, "objectRef.resource").and_then(Value::as_str) == Some("secrets");
            for member in ["requestObject", "responseObject"] {
                let Some(object) = item.get_mut(member) else { continue };
                // A patch does not say of what kind it is.
                if secret {
                    blacken_secret(object, &mut n);
                }
                blacken_kinds(object, &mut n);
            }
        }
    }
    if n > 0
        && let Ok(bytes) = serde_json::to_vec(&list)
    {
        *body = bytes;
    }
    n
}

/// Goes through everything and blackens objects that are secrets by their kind.
fn blacken_kinds(value: &mut Value, n: &mut u32) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| blacken_kinds(item, n)),
        Value::Object(members) => {
            let kind = members.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
            let holder = match kind.as_str() {
                "TokenRequest" => "status",
                "TokenReview" => "spec",
                _ => "",
            };
            if let Some(token) = members.get_mut(holder).and_then(|part| part.get_mut("token")) {
                blacken_all(token, n);
            }
            if kind == "SecretList"
                && let Some(Value::Array(items)) = members.get_mut("items")
            {
                items.iter_mut().for_each(|item| blacken_secret(item, n));
            }
            members.values_mut().for_each(|value| blacken_kinds(value, n));
            if kind == "Secret" {
                blacken_secret(value, n);
            }
        }
        _ => {}
    }
}

/// Where `kubectl apply` keeps the whole object once more.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

fn blacken_secret(value: &mut Value, n: &mut u32) {
    match value {
        // A JSON patch: whatever it sets may be a value, or hold one.
        Value::Array(operations) => {
            for operation in operations {
                if let Some(set) = operation.get_mut("value") {
                    blacken_all(set, n);
                }
            }
        }
        Value::Object(members) => {
            for member in ["data", "stringData"] {
                if let Some(data) = members.get_mut(member) {
                    blacken_all(data, n);
                }
            }
            let annotations = members.get_mut("metadata").and_then(|meta| meta.get_mut("annotations"));
            if let Some(text) = annotations.and_then(|all| all.get_mut(LAST_APPLIED)) {
                blacken_all(text, n);
            }
            if let Some(Value::Array(items)) = members.get_mut("items") {
                items.iter_mut().for_each(|item| blacken_secret(item, n));
            }
        }
        _ => {}
    }
}

fn blacken_all(value: &mut Value, n: &mut u32) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| blacken_all(item, n)),
        Value::Object(members) => members.values_mut().for_each(|item| blacken_all(item, n)),
        Value::String(text) if text != BLACK => {
            BLACK.clone_into(text);
            *n += 1;
        }
        Value::String(_) | Value::Null => {}
        number => {
            *number = BLACK.into();
            *n += 1;
        }
    }
}
