//! Both ports, from the first connection to the last answer.

use std::net::SocketAddr;
use std::time::Duration;

use axum::serve::ListenerExt;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::transport::server::TcpIncoming;

use super::grpc::{EnvironmentApi, FloorBench, LedgerApi, ProvenanceApi};
use super::proto::bench::v1::floor_service_server::FloorServiceServer;
use super::proto::v1::environment_service_server::EnvironmentServiceServer;
use super::proto::v1::ledger_service_server::LedgerServiceServer;
use super::proto::v1::provenance_service_server::ProvenanceServiceServer;
use super::{http, proto};
use crate::app::Views;
use crate::app::metrics::Intakes;
use crate::ledger::{Error, Ledger, Result};

/// Largest message that is taken: 10,000 drafts of usual size, or a page of the largest events.
const MESSAGE_BYTES_MAX: usize = 48 << 20;

/// Streams that one connection may have open. Beyond that a client opens another connection.
const STREAMS_PER_CONNECTION: u32 = 16_384;

/// Time that open requests have to end once the server is told to stop.
const DRAIN: Duration = Duration::from_secs(20);

/// Tells how often what was taken in.
#[derive(Clone)]
pub struct IntakeCounts(pub std::sync::Arc<dyn Fn() -> Intakes + Send + Sync>);

impl std::fmt::Debug for IntakeCounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("counts")
    }
}

/// Where to listen.
#[derive(Debug)]
pub struct ServerOptions {
    /// gRPC; port 0 for any.
    pub grpc: SocketAddr,
    /// HTTP; port 0 for any.
    pub http: SocketAddr,
    /// The ledger's views; without them it is a log and nothing else.
    pub views: Option<Views>,
    /// How often what was taken in by other doors, for `/metrics`.
    pub intakes: Option<IntakeCounts>,
    /// Routes of other doors, served on the HTTP port.
    pub doors: axum::Router,
    /// Also serve what `plimsoll bench` compares with.
    pub floor: Option<FloorBench>,
}

/// Where a server listens: what `plimsoll serve` prints when it is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Addresses {
    /// gRPC.
    pub grpc: SocketAddr,
    /// HTTP.
    pub http: SocketAddr,
}

/// Serves a ledger until `stop` completes; then ends streams, answers what is under way, and returns.
///
/// `ready` is told the addresses once both ports take connections.
///
/// # Errors
/// `Refused` for an address that is not loopback, as long as there is no access control; `Io`.
pub async fn serve(
    ledger: Ledger,
    options: ServerOptions,
    ready: impl FnOnce(Addresses),
    stop: impl Future<Output = ()>,
) -> Result<()> {
    only_loopback(&options)?;
    let grpc = bind(options.grpc).await?;
    let http = bind(options.http).await?;
    let (stopping, stopped) = watch::channel(false);
    let internal = |error: &dyn std::error::Error| Error::Internal(error.to_string());
    let addresses = Addresses {
        grpc: grpc.local_addr().map_err(|error| internal(&error))?,
        http: http.local_addr().map_err(|error| internal(&error))?,
    };

    let (health_reporter, health) = tonic_health::server::health_reporter();
    health_reporter.set_serving::<LedgerServiceServer<LedgerApi>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .with_service_name("plimsoll.v1.LedgerService")
        .with_service_name("plimsoll.v1.EnvironmentService")
        .with_service_name("plimsoll.v1.ProvenanceService")
        .with_service_name("grpc.health.v1.Health")
        .build_v1()
        .map_err(|error| internal(&error))?;
    let api = LedgerServiceServer::new(LedgerApi::new(ledger.clone(), stopped.clone()))
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let scrape = http::Scrape { views: options.views.clone(), intakes: options.intakes };
    let provenance = options.views.clone().map(|views| ProvenanceServiceServer::new(ProvenanceApi::new(views)));
    let environment = options.views.map(|views| EnvironmentServiceServer::new(EnvironmentApi::new(views)));
    let floor = options.floor.map(|floor| FloorServiceServer::new(floor).max_decoding_message_size(MESSAGE_BYTES_MAX));
    let grpc_server = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(20)))
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .add_service(health)
        .add_service(reflection)
        .add_service(api)
        .add_optional_service(environment)
        .add_optional_service(provenance)
        .add_optional_service(floor)
        // Small answers must not wait for the acknowledgement of earlier ones.
        .serve_with_incoming_shutdown(TcpIncoming::from(grpc).with_nodelay(Some(true)), until(stopped.clone()));
    let router = http::router(ledger, scrape, stopped.clone()).merge(options.doors);
    let http = http.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps small answers back");
        }
    });
    let http_server = axum::serve(http, router).with_graceful_shutdown(until(stopped));

    let servers = async {
        let (grpc, http) = tokio::join!(grpc_server, http_server);
        grpc.map_err(|error| internal(&error))?;
        http.map_err(|error| internal(&error))
    };
    tokio::pin!(servers);
    ready(addresses);
    tokio::select! {
        ended = &mut servers => return ended,
        () = stop => {}
    }
    tracing::info!("stopping: no new requests; open ones have {} s", DRAIN.as_secs());
    health_reporter.set_not_serving::<LedgerServiceServer<LedgerApi>>().await;
    stopping.send_replace(true);
    match tokio::time::timeout(DRAIN, servers).await {
        Ok(ended) => ended,
        Err(_elapsed) => {
            tracing::warn!("requests were still open after {} s and were cut", DRAIN.as_secs());
            Ok(())
        }
    }
}

/// Refuses addresses that others can reach.
fn only_loopback(options: &ServerOptions) -> Result<()> {
    match [options.grpc, options.http].into_iter().find(|address| !address.ip().is_loopback()) {
        None => Ok(()),
        Some(address) => Err(Error::Refused(format!(
            "will not listen on {address}: without access control only loopback addresses are served"
        ))),
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|source| Error::Io { what: format!("cannot listen on {address}"), source })
}

async fn until(mut stopping: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is as good a reason to stop.
    let _stop = stopping.wait_for(|stopping| *stopping).await.is_ok();
}
