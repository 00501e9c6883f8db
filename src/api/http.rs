//! The HTTP port: the log as C2SP tlog-tiles and as CloudEvents, and health.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::watch;

use crate::ledger::tree::TilePath;
use crate::ledger::{Kind, Ledger};

#[derive(Clone)]
pub(super) struct Shared {
    pub(super) ledger: Ledger,
    pub(super) stopping: watch::Receiver<bool>,
}

/// The routes over one ledger.
pub(super) fn router(ledger: Ledger, stopping: watch::Receiver<bool>) -> Router {
    Router::new()
        .route("/checkpoint", get(checkpoint))
        .route("/tile/{*path}", get(tile))
        .route("/v1/events", get(super::events::events))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(Shared { ledger, stopping })
}

async fn checkpoint(State(shared): State<Shared>) -> Response {
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "max-age=1")];
    (headers, shared.ledger.head().checkpoint.to_string()).into_response()
}

async fn tile(State(shared): State<Shared>, Path(path): Path<String>) -> Response {
    let Ok(path) = format!("tile/{path}").parse::<TilePath>() else {
        return (StatusCode::NOT_FOUND, "no such tile: see C2SP tlog-tiles for the paths\n").into_response();
    };
    match shared.ledger.blocking(move |ledger| ledger.tile(&path)).await {
        Ok(bytes) => {
            // A tile never changes: one that is not full is another path once it has grown.
            let immutable = HeaderValue::from_static("public, max-age=31536000, immutable");
            let octets = HeaderValue::from_static("application/octet-stream");
            ([(header::CONTENT_TYPE, octets), (header::CACHE_CONTROL, immutable)], bytes).into_response()
        }
        Err(error) => {
            let status = match error.kind() {
                Kind::NotFound => StatusCode::NOT_FOUND,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            };
            (status, format!("{error}\n")).into_response()
        }
    }
}

async fn ready(State(shared): State<Shared>) -> Response {
    if *shared.stopping.borrow() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response();
    }
    match shared.ledger.writable() {
        Ok(()) => "ready\n".into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}
