//! Refusals, as the `Status` objects that clients read.

use serde_json::{Value, json};

use super::kinds::Kind;

/// A refusal: what becomes of the HTTP answer, or of an `ERROR` in a watch.
#[derive(Clone, Debug)]
pub struct Failure {
    pub code: u16,
    pub reason: &'static str,
    pub message: String,
    pub details: Value,
    /// In seconds, as the header `retry-after`.
    pub retry_after: Option<u32>,
    /// What is in `metadata`: a list's new `continue` token, else nothing.
    pub metadata: Value,
}

/// One thing that is wrong with an object: `reason`, `field`, `message`.
pub struct Cause {
    pub reason: &'static str,
    pub field: String,
    pub message: String,
}

impl Failure {
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Value::Null, retry_after: None, metadata: json!({}) }
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "InternalError", message)
    }

    pub fn not_found(kind: &Kind, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} \"{name}\" not found", kind.resource())).about(kind.plural, kind, name)
    }

    /// For a path that leads to nothing.
    pub fn no_such_resource() -> Self {
        let mut failure = Self::new(404, "NotFound", "the server could not find the requested resource");
        failure.details = json!({});
        failure
    }

    pub fn exists(kind: &Kind, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{} \"{name}\" already exists", kind.resource())).about(
            kind.plural,
            kind,
            name,
        )
    }

    pub fn conflict(kind: &Kind, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", kind.resource());
        Self::new(409, "Conflict", message).about(kind.plural, kind, name)
    }

    /// Somebody else wrote first.
    pub fn stale(kind: &Kind, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(kind, name, why)
    }

    pub fn invalid(kind: &Kind, name: &str, causes: &[Cause]) -> Self {
        let each: Vec<String> = causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
        let what = if each.len() == 1 { each.concat() } else { format!("[{}]", each.join(", ")) };
        let kind_name =
            if kind.group.is_empty() { kind.kind.to_owned() } else { format!("{}.{}", kind.kind, kind.group) };
        let mut failure = Self::new(422, "Invalid", format!("{kind_name} \"{name}\" is invalid: {what}"));
        let causes: Vec<Value> = causes
            .iter()
            .map(|cause| json!({"reason": cause.reason, "message": cause.message, "field": cause.field}))
            .collect();
        failure.details = json!({"name": name, "group": kind.group, "kind": kind.kind, "causes": causes});
        failure
    }

    /// A watch, or a page of a list, that is older than what is kept.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// With `details` that name the object.
    pub fn about(mut self, kind_in_details: &str, kind: &Kind, name: &str) -> Self {
        self.details = json!({"name": name, "group": kind.group, "kind": kind_in_details});
        self
    }

    /// The `Status` object.
    pub fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": self.metadata, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        });
        let mut details = self.details.clone();
        if let Some(after) = self.retry_after {
            if details.is_null() {
                details = json!({});
            }
            details["retryAfterSeconds"] = json!(after);
        }
        if !details.is_null() {
            status["details"] = details;
        }
        status
    }
}
