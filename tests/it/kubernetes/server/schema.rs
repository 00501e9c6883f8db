//! Structural schemas: what is not named is pruned, what has the wrong type is refused.
//!
//! The schema of an Application's `operation` is whole, from Argo CD's documented fields. Of `spec` and `status` it
//! knows what is required and the types of what Argo CD documents, and keeps the rest.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::failure::Cause;
use super::kinds::Kind;

fn text() -> Value {
    json!({"type": "string"})
}
fn boolean() -> Value {
    json!({"type": "boolean"})
}
fn integer() -> Value {
    json!({"type": "integer"})
}
fn time() -> Value {
    json!({"type": "string", "format": "date-time"})
}
fn list(items: Value) -> Value {
    json!({"type": "array", "items": items})
}
fn texts() -> Value {
    list(text())
}
fn map() -> Value {
    json!({"type": "object", "additionalProperties": text()})
}
fn object(properties: Value) -> Value {
    json!({"type": "object", "properties": properties})
}
/// An object of which only some members are known here.
fn open(properties: Value) -> Value {
    json!({"type": "object", "properties": properties, "x-kubernetes-preserve-unknown-fields": true})
}
fn required(mut schema: Value, names: &[&str]) -> Value {
    schema["required"] = json!(names);
    schema
}

fn source() -> Value {
    let parameter = object(json!({"name": text(), "value": text(), "forceString": boolean()}));
    let helm = object(json!({
        "apiVersions": texts(), "fileParameters": list(object(json!({"name": text(), "path": text()}))),
        "ignoreMissingValueFiles": boolean(), "kubeVersion": text(), "namespace": text(),
        "parameters": list(parameter), "passCredentials": boolean(), "releaseName": text(), "skipCrds": boolean(),
        "skipSchemaValidation": boolean(), "skipTests": boolean(), "valueFiles": texts(), "values": text(),
        "valuesObject": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}, "version": text(),
    }));
    let target = object(json!({
        "annotationSelector": text(), "group": text(), "kind": text(), "labelSelector": text(), "name": text(),
        "namespace": text(), "version": text(),
    }));
    let options = json!({"type": "object", "additionalProperties": boolean()});
    let patch = object(json!({"options": options, "patch": text(), "path": text(), "target": target}));
    let count = json!({"x-kubernetes-int-or-string": true});
    let replicas = required(object(json!({"count": count, "name": text()})), &["count", "name"]);
    let kustomize = object(json!({
        "apiVersions": texts(), "commonAnnotations": map(), "commonAnnotationsEnvsubst": boolean(),
        "commonLabels": map(), "components": texts(), "forceCommonAnnotations": boolean(),
        "forceCommonLabels": boolean(), "ignoreMissingComponents": boolean(), "images": texts(), "kubeVersion": text(),
        "labelIncludeTemplates": boolean(), "labelWithoutSelector": boolean(), "namePrefix": text(),
        "nameSuffix": text(), "namespace": text(), "patches": list(patch), "replicas": list(replicas),
        "version": text(),
    }));
    let variable = required(object(json!({"code": boolean(), "name": text(), "value": text()})), &["name", "value"]);
    let jsonnet = object(json!({"extVars": list(variable.clone()), "libs": texts(), "tlas": list(variable)}));
    let directory = object(json!({
        "disableExtensionFilter": boolean(), "exclude": text(), "include": text(), "jsonnet": jsonnet,
        "recurse": boolean(),
    }));
    let environment = required(object(json!({"name": text(), "value": text()})), &["name", "value"]);
    let plugin_parameter = object(json!({"array": texts(), "map": map(), "name": text(), "string": text()}));
    let plugin = object(json!({"env": list(environment), "name": text(), "parameters": list(plugin_parameter)}));
    let source = object(json!({
        "chart": text(), "directory": directory, "helm": helm, "kustomize": kustomize, "name": text(), "path": text(),
        "plugin": plugin, "ref": text(), "repoURL": text(), "tagPrefix": text(), "targetRevision": text(),
    }));
    required(source, &["repoURL"])
}

fn operation() -> Value {
    let backoff = object(json!({"duration": text(), "factor": integer(), "maxDuration": text()}));
    let resource = required(
        object(json!({"group": text(), "kind": text(), "name": text(), "namespace": text()})),
        &["kind", "name"],
    );
    let strategy = object(json!({
        "apply": object(json!({"force": boolean()})), "hook": object(json!({"force": boolean()})),
    }));
    let sync = object(json!({
        "autoHealAttemptsCount": integer(), "dryRun": boolean(), "manifests": texts(), "prune": boolean(),
        "resources": list(resource), "revision": text(), "revisions": texts(), "source": source(),
        "sources": list(source()), "syncOptions": texts(), "syncStrategy": strategy,
    }));
    let info = required(object(json!({"name": text(), "value": text()})), &["name", "value"]);
    object(json!({
        "info": list(info), "initiatedBy": object(json!({"automated": boolean(), "username": text()})),
        "retry": object(json!({"backoff": backoff, "limit": integer(), "refresh": boolean()})), "sync": sync,
    }))
}

fn application() -> Value {
    let entry = required(
        open(json!({
            "deployStartedAt": time(), "deployedAt": time(), "id": integer(), "initiatedBy": open(json!({})),
            "revision": text(), "revisions": texts(), "source": source(), "sources": list(source()),
        })),
        &["deployedAt", "id"],
    );
    let resources = list(required(
        open(json!({"group": text(), "kind": text(), "name": text(), "namespace": text(), "status": text()})),
        &["group", "kind", "name", "namespace", "version"],
    ));
    let result =
        required(open(json!({"resources": resources, "revision": text(), "revisions": texts()})), &["revision"]);
    let state = required(
        open(json!({
            "finishedAt": time(), "message": text(), "operation": operation(), "phase": text(),
            "retryCount": integer(), "startedAt": time(), "syncResult": result,
        })),
        &["operation", "phase", "startedAt"],
    );
    let status = open(json!({
        "health": open(json!({"lastTransitionTime": time(), "status": text()})), "history": list(entry),
        "operationState": state, "reconciledAt": time(), "resources": list(open(json!({}))),
        "sync": required(
            open(json!({
                "comparedTo": required(open(json!({})), &["destination"]), "revision": text(), "revisions": texts(),
                "status": text(),
            })),
            &["status"],
        ),
    }));
    let automated =
        open(json!({"allowEmpty": boolean(), "enabled": boolean(), "prune": boolean(), "selfHeal": boolean()}));
    let spec = required(
        open(json!({
            "destination": open(json!({"name": text(), "namespace": text(), "server": text()})), "project": text(),
            "revisionHistoryLimit": integer(), "source": source(), "sources": list(source()),
            "syncPolicy": open(json!({"automated": automated, "syncOptions": texts()})),
        })),
        &["destination", "project"],
    );
    required(object(json!({"operation": operation(), "spec": spec, "status": status})), &["spec"])
}

fn project() -> Value {
    let window = open(json!({
        "applications": texts(), "clusters": texts(), "duration": text(), "kind": text(), "manualSync": boolean(),
        "namespaces": texts(), "schedule": text(), "timeZone": text(),
    }));
    let spec = open(json!({"description": text(), "sourceRepos": texts(), "syncWindows": list(window)}));
    required(object(json!({"spec": spec, "status": open(json!({}))})), &["spec"])
}

fn workload() -> Value {
    let spec = required(open(json!({"replicas": integer(), "selector": open(json!({}))})), &["selector", "template"]);
    required(open(json!({"spec": spec})), &["spec"])
}

static APPLICATION: LazyLock<Value> = LazyLock::new(application);
static PROJECT: LazyLock<Value> = LazyLock::new(project);
static WORKLOAD: LazyLock<Value> = LazyLock::new(workload);

/// Of a kind that has one.
pub fn of(kind: &Kind) -> Option<&'static Value> {
    match kind.kind {
        "Application" => Some(&APPLICATION),
        "AppProject" => Some(&PROJECT),
        "Deployment" | "StatefulSet" => Some(&WORKLOAD),
        _ => None,
    }
}

/// Takes out what the schema does not name, and tells its paths.
pub fn prune(schema: &Value, object: &mut Value) -> Vec<String> {
    let mut unknown = Vec::new();
    // These are every object's own, and no part of a schema.
    let own = ["apiVersion", "kind", "metadata"];
    if let Some(members) = object.as_object_mut() {
        prune_members(schema, members, "", &own, &mut unknown);
    }
    unknown
}

fn prune_members(schema: &Value, members: &mut Map<String, Value>, at: &str, own: &[&str], unknown: &mut Vec<String>) {
    let keeps = schema["x-kubernetes-preserve-unknown-fields"] == true;
    members.retain(|name, value| {
        let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
        if own.contains(&name.as_str()) {
            return true;
        }
        match schema["properties"].get(name).or_else(|| schema.get("additionalProperties")) {
            Some(schema) => prune_value(schema, value, &path, unknown),
            None if keeps => {}
            None => {
                unknown.push(path);
                return false;
            }
        }
        true
    });
}

fn prune_value(schema: &Value, value: &mut Value, at: &str, unknown: &mut Vec<String>) {
    match value {
        Value::Object(members) => prune_members(schema, members, at, &[], unknown),
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                prune_value(&schema["items"], item, &format!("{at}[{index}]"), unknown);
            }
        }
        _ => {}
    }
}

/// What is wrong with an object.
pub fn validate(schema: &Value, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    validate_value(schema, object, "", &mut causes);
    causes
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn validate_value(schema: &Value, value: &Value, at: &str, causes: &mut Vec<Cause>) {
    let found = type_of(value);
    if let Some(wanted) = schema["type"].as_str()
        && wanted != found
    {
        let message = format!("Invalid value: \"{found}\": {at} in body must be of type {wanted}: \"{found}\"");
        causes.push(Cause { reason: "FieldValueTypeInvalid", field: at.to_owned(), message });
        return;
    }
    if schema["x-kubernetes-int-or-string"] == true && !matches!(found, "integer" | "string") {
        let message =
            format!("Invalid value: \"{found}\": {at} in body must be of type integer or string: \"{found}\"");
        causes.push(Cause { reason: "FieldValueTypeInvalid", field: at.to_owned(), message });
    }
    match value {
        Value::String(text)
            if schema["format"] == "date-time" && chrono::DateTime::parse_from_rfc3339(text).is_err() =>
        {
            let message = format!("Invalid value: \"{text}\": {at} in body must be of type datetime: \"{text}\"");
            causes.push(Cause { reason: "FieldValueInvalid", field: at.to_owned(), message });
        }
        Value::Object(members) => {
            let path = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
            for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                if !members.contains_key(name) {
                    let message = "Required value".to_owned();
                    causes.push(Cause { reason: "FieldValueRequired", field: path(name), message });
                }
            }
            for (name, value) in members {
                if let Some(schema) = schema["properties"].get(name).or_else(|| schema.get("additionalProperties")) {
                    validate_value(schema, value, &path(name), causes);
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                validate_value(&schema["items"], item, &format!("{at}[{index}]"), causes);
            }
        }
        _ => {}
    }
}
