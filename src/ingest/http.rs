//! The routes that other systems send to.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use serde_json::json;

use super::{Accepted, Headers, Intake, Reason, Refusal, Rejection, document_http};
use crate::ledger::Kind;

/// The routes into a ledger.
pub fn router(intake: Intake) -> Router {
    Router::new()
        .route("/webhooks/{source}", post(webhook))
        .route("/v1/evidence", post(document_http::hand_in))
        .route("/v1/events", post(cloudevents))
        .with_state(intake)
}

async fn cloudevents(State(intake): State<Intake>, request: Request) -> Response {
    deliver(&intake, super::cloudevents::NAME, request).await
}

async fn webhook(State(intake): State<Intake>, Path(source): Path<String>, request: Request) -> Response {
    deliver(&intake, &source, request).await
}

async fn deliver(intake: &Intake, source: &str, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let headers = headers(&parts.headers);
    let body = match whole(body, intake.body_bytes_max()).await {
        Ok(body) => body,
        Err(rejection) => {
            let refusal = Refusal::from(rejection);
            intake.refused(source, &refusal);
            return answer(Err(refusal));
        }
    };
    answer(intake.deliver(source, &headers, body).await)
}

/// The headers of a request. Values that are not text are nobody's here.
fn headers(map: &HeaderMap) -> Headers {
    let mut headers = Headers::default();
    for (name, value) in map {
        if let Ok(value) = value.to_str() {
            headers.add(name.as_str(), value);
        }
    }
    headers
}

/// A whole body of at most so many bytes.
async fn whole(body: Body, bytes_max: usize) -> Result<Bytes, Rejection> {
    use http_body_util::BodyExt;
    let limited = http_body_util::Limited::new(body, bytes_max);
    match limited.collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            let what = format!("the body has more than {bytes_max} bytes, which is the most that is taken");
            Err(Rejection::new(Reason::TooLarge, what))
        }
        Err(error) => Err(Rejection::new(Reason::Malformed, format!("the body ended early: {error}"))),
    }
}

/// What the sender is told.
pub(super) fn answer(taken: Result<Accepted, Refusal>) -> Response {
    let refusal = match taken {
        Ok(accepted) => return (StatusCode::OK, axum::Json(accepted)).into_response(),
        Err(refusal) => refusal,
    };
    let (status, field) = match &refusal {
        Refusal::Rejected(rejection) => (rejection.reason.http_status(), rejection.field.as_deref()),
        Refusal::Ledger(error) => (ledger_status(error.kind()), None),
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = json!({"error": {"reason": refusal.word(), "field": field, "message": refusal.to_string()}});
    let mut response = (status, axum::Json(body)).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("10"));
    }
    response
}

/// The status for what the ledger says: senders try again after 5xx, and only then.
fn ledger_status(kind: Kind) -> u16 {
    match kind {
        Kind::Invalid => 422,
        Kind::NotFound => 404,
        Kind::Conflict => 409,
        Kind::Refused | Kind::Unavailable => 503,
        Kind::Corrupt | Kind::Internal => 500,
    }
}
