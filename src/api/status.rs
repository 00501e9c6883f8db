//! The one map from our errors to gRPC's canonical codes, with `google.rpc` details.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::event;
use crate::ledger::{Error, Kind};
use crate::projection;

const DOMAIN: &str = "plimsoll";

/// The status of an error. `google.rpc.ErrorInfo.reason` is stable, for scripts.
pub(super) fn of(error: &Error) -> Status {
    describe(error, None)
}

/// The status that ends a stream of requests: the error of the one with this number, from 0.
pub(super) fn of_request(error: &Error, request: u64) -> Status {
    describe(error, Some(request))
}

/// The status of a question that has no answer.
pub(super) fn of_query(error: &projection::Error) -> Status {
    use projection::Error as Query;
    let mut details = ErrorDetails::new();
    let (code, reason) = match error {
        Query::Ledger(error) => return of(error),
        Query::Invalid { field, what } => {
            details.add_bad_request_violation(field, what);
            (Code::InvalidArgument, "INVALID_ARGUMENT")
        }
        Query::Ambiguous { name, .. } => {
            details.add_bad_request_violation(name, error.to_string());
            (Code::InvalidArgument, "AMBIGUOUS")
        }
        Query::NotFound(_) => (Code::NotFound, "NOT_FOUND"),
        Query::Stopped { projection, reason, .. } => {
            details.add_precondition_failure_violation("PROJECTION_STOPPED", projection, reason);
            (Code::FailedPrecondition, "PROJECTION_STOPPED")
        }
        Query::Rebuilding { .. } => (Code::Unavailable, "REBUILDING"),
        Query::Behind { .. } => (Code::Unavailable, "BEHIND"),
        Query::Damaged(_) => (Code::DataLoss, "DAMAGED"),
        Query::Database(_) | Query::Poison(_) => (Code::Internal, "INTERNAL"),
    };
    let metadata = match error {
        Query::Stopped { position, .. } => HashMap::from([("position".to_owned(), position.to_string())]),
        Query::Ambiguous { candidates, .. } => {
            HashMap::from([("candidates".to_owned(), serde_json::to_string(candidates).unwrap_or_default())])
        }
        _ => HashMap::new(),
    };
    finish(error, (code, reason), error.to_string(), details, metadata)
}

fn describe(error: &Error, request: Option<u64>) -> Status {
    let mut details = ErrorDetails::new();
    let (code, reason) = match error {
        Error::Draft { index, error } => {
            let (field, what) = draft_field(*index, error);
            details.add_bad_request_violation(field, what);
            (Code::InvalidArgument, "INVALID_DRAFT")
        }
        Error::Invalid { field, what } => {
            details.add_bad_request_violation(field, what);
            (Code::InvalidArgument, "INVALID_ARGUMENT")
        }
        Error::WrongVersion { stream, .. } => {
            details.add_precondition_failure_violation("WRONG_VERSION", stream, error.to_string());
            (Code::Aborted, "WRONG_VERSION")
        }
        Error::DedupConflict { .. } => (Code::AlreadyExists, "DEDUP_CONFLICT"),
        Error::NotFound(_) => (Code::NotFound, "NOT_FOUND"),
        Error::CannotWrite { .. } => (Code::ResourceExhausted, "CANNOT_WRITE"),
        Error::OutcomeUnknown { .. } => (Code::Unavailable, "OUTCOME_UNKNOWN"),
        Error::Stopped(_) => (Code::Unavailable, "WRITER_STOPPED"),
        other => match other.kind() {
            Kind::Invalid => (Code::InvalidArgument, "INVALID_ARGUMENT"),
            Kind::NotFound => (Code::NotFound, "NOT_FOUND"),
            Kind::Conflict => (Code::Aborted, "CONFLICT"),
            Kind::Refused => (Code::FailedPrecondition, "REFUSED"),
            Kind::Unavailable => (Code::Unavailable, "UNAVAILABLE"),
            Kind::Corrupt => (Code::DataLoss, "DAMAGED"),
            Kind::Internal => (Code::Internal, "INTERNAL"),
        },
    };
    let mut metadata = match error {
        Error::DedupConflict { position, id, .. } => {
            HashMap::from([("position".to_owned(), position.to_string()), ("id".to_owned(), id.clone())])
        }
        _ => HashMap::new(),
    };
    let mut message = error.to_string();
    if let Some(request) = request {
        metadata.insert("request".to_owned(), request.to_string());
        message = format!("request {request} of the stream: {message}");
    }
    finish(error, (code, reason), message, details, metadata)
}

/// What every status has: the reason, when to try again, and a line in the log for what is ours to mend.
fn finish(
    error: &dyn std::error::Error,
    (code, reason): (Code, &str),
    message: String,
    mut details: ErrorDetails,
    metadata: HashMap<String, String>,
) -> Status {
    if code == Code::Unavailable {
        details.set_retry_info(Some(Duration::from_secs(1)));
    }
    details.set_error_info(reason, DOMAIN, metadata);
    if matches!(code, Code::Internal | Code::DataLoss) {
        let cause = error.source().map(ToString::to_string);
        tracing::error!(%error, cause, "a request failed");
    }
    Status::with_error_details(code, message, details)
}

/// A wrong field of a request.
pub(super) fn invalid(field: &str, what: &str) -> Status {
    of(&Error::invalid(field, what))
}

/// The end of a stream of requests because the server stops: those that were answered are recorded.
pub(super) fn stopping() -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info("STOPPING", DOMAIN, HashMap::new());
    details.set_retry_info(Some(Duration::from_secs(1)));
    Status::with_error_details(Code::Unavailable, "the server is stopping", details)
}

/// The end of an answer that nobody reads.
pub(super) fn too_slow() -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info("READER_TOO_SLOW", DOMAIN, HashMap::new());
    Status::with_error_details(Code::ResourceExhausted, "the reader does not read what is sent", details)
}

/// The end of a subscription, with where to resume.
pub(super) fn ended(code: Code, reason: &str, message: &str, resume_position: u64) -> Status {
    let mut details = ErrorDetails::new();
    let metadata = HashMap::from([("resume_position".to_owned(), resume_position.to_string())]);
    details.set_error_info(reason, DOMAIN, metadata);
    Status::with_error_details(code, format!("{message}; resume from position {resume_position}"), details)
}

fn draft_field(index: usize, error: &event::Error) -> (String, String) {
    match error {
        event::Error::Field { field, what } => (format!("drafts[{index}].{field}"), what.clone()),
        event::Error::UnknownType(_) => (format!("drafts[{index}].type"), error.to_string()),
        event::Error::WrongStream { .. } => (format!("drafts[{index}].stream"), error.to_string()),
        _ => (format!("drafts[{index}]"), error.to_string()),
    }
}
