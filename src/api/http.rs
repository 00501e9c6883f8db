//! The HTTP port: the log as C2SP tlog-tiles and as CloudEvents, and health.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::watch;

use super::server::IntakeCounts;
use crate::app::{self, Views};
use crate::exposition::Format;
use crate::ledger::tree::TilePath;
use crate::ledger::{Kind, Ledger};

#[derive(Clone)]
pub(super) struct Shared {
    pub(super) ledger: Ledger,
    pub(super) stopping: watch::Receiver<bool>,
    scrape: Scrape,
}

/// What `/metrics` is made of besides the ledger.
#[derive(Clone)]
pub(super) struct Scrape {
    pub(super) views: Option<Views>,
    pub(super) intakes: Option<IntakeCounts>,
}

/// The routes over one ledger.
pub(super) fn router(ledger: Ledger, scrape: Scrape, stopping: watch::Receiver<bool>) -> Router {
    Router::new()
        .route("/checkpoint", get(checkpoint))
        .route("/tile/{*path}", get(tile))
        .route("/v1/events", get(super::events::events))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(Shared { ledger, stopping, scrape })
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

async fn metrics(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let format = Format::negotiate(accept);
    let intakes = shared.scrape.intakes.map(|counts| counts.0()).unwrap_or_default();
    let mut families = app::metrics::of_ledger(&shared.ledger, &intakes);
    if let Some(views) = &shared.scrape.views {
        match app::metrics::of_views(views).await {
            Ok(figures) => families.extend(figures),
            // What the ledger itself tells is there all the same: a scrape that fails would hide it.
            Err(error) => tracing::warn!(%error, "no figures for this scrape"),
        }
    }
    ([(header::CONTENT_TYPE, format.content_type())], format.write(&families)).into_response()
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
