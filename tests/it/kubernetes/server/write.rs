//! Creating, changing and deleting objects.

use std::sync::Arc;

use serde_json::{Value, json};

use super::failure::{Cause, Failure};
use super::fields;
use super::kinds::{Generation, Kind};
use super::patch;
use super::request::Request;
use super::schema;
use super::store::Store;

/// In bytes: of all annotations of an object, names and values.
const ANNOTATIONS_MAX: usize = 262_144;
/// In bytes, of a request to etcd: its default `--max-request-bytes`.
const OBJECT_MAX: usize = 1_572_864;

/// What came of a write.
pub struct Written {
    pub status: u16,
    pub body: Arc<Value>,
    /// Texts of `warning` headers.
    pub warnings: Vec<String>,
}

/// What a request to write carries.
pub struct Write<'a> {
    pub request: &'a Request,
    pub body: &'a Value,
    /// Numbers for uids and generated names.
    pub serial: &'a mut u64,
}

impl Write<'_> {
    fn kind(&self) -> &'static Kind {
        self.request.kind
    }

    fn name(&self) -> &str {
        self.request.name.as_deref().unwrap_or_default()
    }

    fn next(&mut self) -> u64 {
        *self.serial += 1;
        *self.serial
    }

    fn warn(&self, unknown: &[String], strict_code: u16) -> Result<Vec<String>, Failure> {
        let each: Vec<String> = unknown.iter().map(|path| format!("unknown field \"{path}\"")).collect();
        match self.request.parameter("fieldValidation").unwrap_or("Warn") {
            "Ignore" => Ok(Vec::new()),
            "Strict" if !each.is_empty() => {
                let message = format!("strict decoding error: {}", each.join(", "));
                Err(match strict_code {
                    422 => {
                        Failure::new(422, "Invalid", format!(" \"\" is invalid: patch: Invalid value: \"\": {message}"))
                    }
                    _ => Failure::bad_request(message),
                })
            }
            _ => Ok(each),
        }
    }

    /// `POST` of an object.
    pub fn create(mut self, store: &mut Store) -> Result<Written, Failure> {
        let kind = self.kind();
        let mut object = self.body.clone();
        if Kind::of(&object).is_none_or(|found| !std::ptr::eq(found, kind)) {
            let wanted = format!("{}, Kind={}", kind.api_version(), kind.kind);
            return Err(Failure::bad_request(format!("the object provided is unrecognized (must be {wanted})")));
        }
        self.place(store, &mut object)?;
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        if object["metadata"]["resourceVersion"].as_str().is_some_and(|version| !version.is_empty()) {
            return Err(Failure::internal("resourceVersion should not be set on objects to be created"));
        }
        if store.get(&kind.key(self.request.scope(), &name)).is_some() {
            return Err(Failure::exists(kind, &name));
        }
        let warnings = self.checked(&mut object, &name, 400)?;
        self.born(&mut object);
        let blank = json!({});
        fields::update(kind, &self.request.writer(), &blank, &mut object);
        let body = if self.request.dry_run()? { Arc::new(object) } else { commit(store, kind, object)? };
        Ok(Written { status: 201, body, warnings })
    }

    /// The namespace must be there, and agree; the name must be one.
    fn place(&mut self, store: &Store, object: &mut Value) -> Result<(), Failure> {
        let kind = self.kind();
        if !object["metadata"].is_object() {
            return Err(Failure::bad_request("metadata is no object"));
        }
        if let (Some(prefix), None) = (object["metadata"]["generateName"].as_str(), object["metadata"]["name"].as_str())
        {
            let name = format!("{prefix}{:05x}", self.next());
            object["metadata"]["name"] = json!(name);
        }
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
        let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        if name.len() > 253 || !name.chars().all(fine) || !ends(name.chars().next()) || !ends(name.chars().last()) {
            let (reason, message) = if name.is_empty() {
                ("FieldValueRequired", "Required value: name or generateName is required".to_owned())
            } else {
                (
                    "FieldValueInvalid",
                    format!(
                        "Invalid value: \"{name}\": a lowercase RFC 1123 subdomain must consist of lower case \
                         alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character"
                    ),
                )
            };
            return Err(Failure::invalid(kind, &name, &[Cause { reason, field: "metadata.name".to_owned(), message }]));
        }
        let Some(namespace) = self.request.scope() else { return Ok(()) };
        if object["metadata"]["namespace"].as_str().is_some_and(|other| other != namespace) {
            return Err(Failure::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        object["metadata"]["namespace"] = json!(namespace);
        let namespaces = Kind::find("", "v1", "namespaces").unwrap();
        match store.get(&namespaces.key(None, namespace)) {
            None => Err(Failure::not_found(namespaces, namespace)),
            Some(_) => Ok(()),
        }
    }

    /// What the server itself puts into a new object.
    fn born(&mut self, object: &mut Value) {
        let kind = self.kind();
        let uid = format!("00000000-0000-4000-8000-{:012x}", self.next());
        if kind.status {
            object.as_object_mut().unwrap().remove("status");
            if object["spec"]["replicas"].is_null() {
                object["spec"]["replicas"] = json!(1);
            }
            object["status"] = json!({});
        }
        if !kind.namespaced {
            object["metadata"]["labels"]["kubernetes.io/metadata.name"] = object["metadata"]["name"].clone();
            object["spec"] = json!({"finalizers": ["kubernetes"]});
            object["status"] = json!({"phase": "Active"});
        }
        let metadata = object["metadata"].as_object_mut().unwrap();
        for name in ["deletionTimestamp", "deletionGracePeriodSeconds", "generation", "managedFields", "selfLink"] {
            metadata.remove(name);
        }
        metadata.insert("uid".to_owned(), json!(uid));
        metadata.insert("creationTimestamp".to_owned(), json!(super::now()));
        if kind.generation != Generation::Absent {
            metadata.insert("generation".to_owned(), json!(1));
        }
    }

    /// Prunes and validates. Gives the warnings.
    fn checked(&self, object: &mut Value, name: &str, strict_code: u16) -> Result<Vec<String>, Failure> {
        let kind = self.kind();
        for field in ["annotations", "labels"] {
            let map = &object["metadata"][field];
            if !map.is_null() && map.as_object().is_none_or(|map| !map.values().all(Value::is_string)) {
                let message = format!(
                    "{} in version \"{}\" cannot be handled as a {}: json: cannot unmarshal into field \
                     ObjectMeta.metadata.{field} of type string",
                    kind.kind, kind.version, kind.kind
                );
                return Err(Failure::bad_request(message));
            }
        }
        let annotations = object["metadata"]["annotations"].as_object();
        let size: usize = annotations
            .into_iter()
            .flatten()
            .map(|(name, value)| name.len() + value.as_str().map_or(0, str::len))
            .sum();
        let mut causes = Vec::new();
        if size > ANNOTATIONS_MAX {
            let message = format!("Too long: may not be more than {ANNOTATIONS_MAX} bytes");
            causes.push(Cause { reason: "FieldValueTooLong", field: "metadata.annotations".to_owned(), message });
        }
        let mut warnings = Vec::new();
        if let Some(schema) = schema::of(kind) {
            warnings = self.warn(&schema::prune(schema, object), strict_code)?;
            causes.extend(schema::validate(schema, object));
        }
        if causes.is_empty() { Ok(warnings) } else { Err(Failure::invalid(kind, name, &causes)) }
    }

    /// `PUT` of a whole object.
    pub fn replace(self, store: &mut Store) -> Result<Written, Failure> {
        let (kind, name) = (self.kind(), self.name());
        let sent = self.body;
        if sent["metadata"]["name"].as_str().is_some_and(|other| other != name) {
            let other = sent["metadata"]["name"].as_str().unwrap_or_default();
            return Err(Failure::bad_request(format!(
                "the name of the object ({other}) does not match the name on the URL ({name})"
            )));
        }
        let old =
            store.get(&kind.key(self.request.scope(), name)).cloned().ok_or_else(|| Failure::not_found(kind, name))?;
        let optional = kind.status || !kind.custom;
        if sent["metadata"]["resourceVersion"].as_str().unwrap_or_default().is_empty() && !optional {
            let message = "Invalid value: 0: must be specified for an update".to_owned();
            let cause = Cause { reason: "FieldValueInvalid", field: "metadata.resourceVersion".to_owned(), message };
            return Err(Failure::invalid(kind, name, &[cause]));
        }
        if self.request.subresource == Some("finalize") {
            let gone = store.remove(kind, None, name);
            return Ok(Written { status: 200, body: gone.unwrap_or(old), warnings: Vec::new() });
        }
        let new = if self.request.subresource == Some("scale") { scaled(&old, sent) } else { sent.clone() };
        self.change(store, &old, new, None, 400)
    }

    /// `PATCH`, of whatever type.
    pub fn patch(self, store: &mut Store) -> Result<Written, Failure> {
        let (kind, name) = (self.kind(), self.name().to_owned());
        let key = kind.key(self.request.scope(), &name);
        let old = store.get(&key).cloned();
        if self.request.content_type == "application/apply-patch+yaml" {
            return self.apply(store, old);
        }
        let old = old.ok_or_else(|| Failure::not_found(kind, &name))?;
        let is_scale = self.request.subresource == Some("scale");
        let mut target = if is_scale { scale(&old) } else { Value::clone(&old) };
        match self.request.content_type.as_str() {
            "application/merge-patch+json" => patch::merge(&mut target, self.body),
            "application/json-patch+json" => target = patch::json_patch(&target, self.body)?,
            "application/strategic-merge-patch+json" if !kind.custom => patch::strategic(&mut target, self.body),
            _ => {
                let strategic = if kind.custom { "" } else { ", application/strategic-merge-patch+json" };
                let message = format!(
                    "the body of the request was in an unknown format - accepted media types include: \
                     application/json-patch+json, application/merge-patch+json{strategic}, application/apply-patch+yaml"
                );
                return Err(Failure::new(415, "UnsupportedMediaType", message));
            }
        }
        let new = if is_scale { scaled(&old, &target) } else { target };
        self.change(store, &old, new, None, 422)
    }

    fn apply(self, store: &mut Store, old: Option<Arc<Value>>) -> Result<Written, Failure> {
        let (kind, name) = (self.kind(), self.name().to_owned());
        let invalid = |field: &str, message: &str| {
            Failure::new(422, "Invalid", format!("PatchOptions.meta.k8s.io \"\" is invalid: {field}: {message}"))
        };
        if self.request.parameter("fieldManager").is_none() {
            return Err(invalid("fieldManager", "Required value: is required for apply patch"));
        }
        if !self.body["metadata"]["managedFields"].is_null() {
            return Err(Failure::bad_request("metadata.managedFields must be nil"));
        }
        if Kind::of(self.body).is_none_or(|found| !std::ptr::eq(found, kind)) {
            return Err(Failure::bad_request("apiVersion and kind must be those of the resource"));
        }
        let (writer, force) = (self.request.writer(), self.request.flag("force"));
        let Some(old) = old else {
            let mut object = self.body.clone();
            object["metadata"]["name"] = json!(name);
            let mut creation = self;
            creation.place(store, &mut object)?;
            let warnings = creation.checked(&mut object, &name, 422)?;
            let applied = fields::apply(kind, &writer, &Value::Null, &object, force)?;
            creation.born(&mut object);
            object["metadata"]["managedFields"] = applied["metadata"]["managedFields"].clone();
            let body = if creation.request.dry_run()? { Arc::new(object) } else { commit(store, kind, object)? };
            return Ok(Written { status: 201, body, warnings });
        };
        let new = fields::apply(kind, &writer, &old, self.body, force)?;
        let managed = new["metadata"]["managedFields"].clone();
        let mut new = new;
        new["metadata"]["resourceVersion"] = self.body["metadata"]["resourceVersion"].clone();
        self.change(store, &old, new, Some(managed), 422)
    }

    /// From an old state to a new one. `managed` is what apply has worked out.
    fn change(
        self,
        store: &mut Store,
        old: &Arc<Value>,
        mut new: Value,
        managed: Option<Value>,
        strict_code: u16,
    ) -> Result<Written, Failure> {
        let (kind, name) = (self.kind(), self.name());
        let version = new["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        if !version.is_empty() && old["metadata"]["resourceVersion"] != version {
            return Err(Failure::stale(kind, name));
        }
        let uid = &new["metadata"]["uid"];
        if !uid.is_null() && *uid != old["metadata"]["uid"] {
            let why = format!(
                "Precondition failed: UID in precondition: {}, UID in object meta: {}",
                uid.as_str().unwrap_or_default(),
                old["metadata"]["uid"].as_str().unwrap_or_default()
            );
            return Err(Failure::conflict(kind, name, &why));
        }
        if self.request.subresource == Some("status") {
            let status = new["status"].clone();
            new = Value::clone(old);
            new["status"] = status;
        } else if kind.status {
            new["status"] = old["status"].clone();
        }
        if !new["metadata"].is_object() {
            return Err(Failure::bad_request("metadata is no object"));
        }
        keep(&mut new, old);
        let warnings = self.checked(&mut new, name, strict_code)?;
        if let Some(managed) = &managed {
            new["metadata"]["managedFields"] = managed.clone();
        }
        if new == **old {
            return Ok(Written { status: 200, body: self.shown(old), warnings });
        }
        if managed.is_none() {
            fields::update(kind, &self.request.writer(), old, &mut new);
        }
        raise(kind, old, &mut new);
        let dry = self.request.dry_run()?;
        let finalizers = new["metadata"]["finalizers"].as_array().map_or(0, Vec::len);
        if !old["metadata"]["deletionTimestamp"].is_null() && finalizers == 0 && !dry {
            store.remove(kind, self.request.scope(), name);
            return Ok(Written { status: 200, body: Arc::new(new), warnings });
        }
        let body = if dry { Arc::new(new) } else { commit(store, kind, new)? };
        Ok(Written { status: 200, body: self.shown(&body), warnings })
    }

    /// As the subresource shows it.
    fn shown(&self, object: &Arc<Value>) -> Arc<Value> {
        if self.request.subresource == Some("scale") { Arc::new(scale(object)) } else { object.clone() }
    }

    /// `DELETE` of one object.
    pub fn delete(self, store: &mut Store) -> Result<Written, Failure> {
        let (kind, name) = (self.kind(), self.name());
        let old =
            store.get(&kind.key(self.request.scope(), name)).cloned().ok_or_else(|| Failure::not_found(kind, name))?;
        let precondition = |field: &str| {
            let wanted = &self.body["preconditions"][field];
            wanted.is_null() || *wanted == old["metadata"][field]
        };
        if !precondition("uid") || !precondition("resourceVersion") {
            return Err(Failure::conflict(
                kind,
                name,
                "Precondition failed: the object is another one, or has changed",
            ));
        }
        let dry = self.request.dry_run()? || self.body["dryRun"][0] == "All";
        if old["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty()) {
            if !old["metadata"]["deletionTimestamp"].is_null() {
                return Ok(Written { status: 200, body: old, warnings: Vec::new() });
            }
            let mut new = Value::clone(&old);
            new["metadata"]["deletionTimestamp"] = json!(super::now());
            new["metadata"]["deletionGracePeriodSeconds"] = json!(0);
            if let Some(generation) = new["metadata"]["generation"].as_u64() {
                new["metadata"]["generation"] = json!(generation + 1);
            }
            let body = if dry { Arc::new(new) } else { store.put(kind, new) };
            return Ok(Written { status: 200, body, warnings: Vec::new() });
        }
        if !dry {
            if !kind.namespaced {
                empty(store, name);
            }
            store.remove(kind, self.request.scope(), name);
        }
        let details = json!({"name": name, "group": kind.group, "kind": kind.plural, "uid": old["metadata"]["uid"]});
        let status =
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details});
        Ok(Written { status: 200, body: Arc::new(status), warnings: Vec::new() })
    }
}

/// Takes away what is in a namespace, finalizers or not: no controllers run here that would do it in order.
fn empty(store: &mut Store, namespace: &str) {
    for kind in super::kinds::KINDS.iter().filter(|kind| kind.namespaced) {
        let prefix = kind.prefix(Some(namespace));
        let names: Vec<String> = store.range(&prefix).map(|(key, _)| key[prefix.len()..].to_owned()).collect();
        for name in names {
            store.remove(kind, Some(namespace), &name);
        }
    }
}

/// What no client changes.
fn keep(new: &mut Value, old: &Value) {
    new["apiVersion"] = old["apiVersion"].clone();
    new["kind"] = old["kind"].clone();
    for field in [
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "generation",
        "managedFields",
        "name",
        "namespace",
        "resourceVersion",
        "uid",
    ] {
        match &old["metadata"][field] {
            Value::Null => drop(new["metadata"].as_object_mut().and_then(|metadata| metadata.remove(field))),
            value => new["metadata"][field] = value.clone(),
        }
    }
}

fn raise(kind: &Kind, old: &Value, new: &mut Value) {
    let without_metadata = |object: &Value| {
        let mut object = object.clone();
        object.as_object_mut().unwrap().remove("metadata");
        object
    };
    let raised = match kind.generation {
        Generation::Absent => false,
        Generation::Spec => old["spec"] != new["spec"],
        Generation::All => without_metadata(old) != without_metadata(new),
    };
    if raised {
        new["metadata"]["generation"] = json!(old["metadata"]["generation"].as_u64().unwrap_or(0) + 1);
    }
}

fn commit(store: &mut Store, kind: &Kind, object: Value) -> Result<Arc<Value>, Failure> {
    if serde_json::to_vec(&object).unwrap().len() > OBJECT_MAX {
        return Err(Failure::internal("etcdserver: request is too large"));
    }
    Ok(store.put(kind, object))
}

/// A workload's `scale`.
pub fn scale(object: &Value) -> Value {
    let metadata = &object["metadata"];
    let labels = object["spec"]["selector"]["matchLabels"].as_object().into_iter().flatten();
    let selector: Vec<String> =
        labels.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default())).collect();
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"], "creationTimestamp": metadata["creationTimestamp"],
        },
        "spec": {"replicas": object["spec"]["replicas"]},
        "status": {"replicas": object["status"]["replicas"].as_u64().unwrap_or(0), "selector": selector.join(",")},
    })
}

/// The workload with the replicas of a `scale`.
fn scaled(object: &Value, scale: &Value) -> Value {
    let mut scaled = object.clone();
    scaled["spec"]["replicas"] = scale["spec"]["replicas"].as_u64().unwrap_or(0).into();
    scaled["metadata"]["resourceVersion"] = scale["metadata"]["resourceVersion"].clone();
    scaled
}
