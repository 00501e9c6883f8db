//! The query services without a network: the command line asks a data directory just as it asks a server.

use hyper_util::rt::TokioIo;
use tonic::transport::server::Server;
use tonic::transport::{Channel, Endpoint};

use super::grpc::{EnvironmentApi, ProvenanceApi};
use super::proto::v1::environment_service_server::EnvironmentServiceServer;
use super::proto::v1::provenance_service_server::ProvenanceServiceServer;
use crate::app::Views;

/// Bytes that may be on their way in each direction.
const PIPE_BYTES: usize = 1 << 20;

/// Serves the query services in this process and connects to them.
///
/// # Errors
/// tonic's, should the pipe break.
pub async fn local(views: Views) -> Result<Channel, tonic::transport::Error> {
    let (client, server) = tokio::io::duplex(PIPE_BYTES);
    let services = Server::builder()
        .add_service(EnvironmentServiceServer::new(EnvironmentApi::new(views.clone())))
        .add_service(ProvenanceServiceServer::new(ProvenanceApi::new(views)));
    tokio::spawn(async move {
        let incoming = tokio_stream::once(Ok::<_, std::io::Error>(server));
        if let Err(error) = services.serve_with_incoming(incoming).await {
            tracing::debug!(%error, "the pipe to ourselves broke");
        }
    });
    let mut pipe = Some(client);
    let connector = tower::service_fn(move |_| {
        let pipe = pipe.take().map(TokioIo::new);
        async move { pipe.ok_or_else(|| std::io::Error::other("the pipe to ourselves is closed")) }
    });
    Endpoint::from_static("http://localhost").connect_with_connector(connector).await
}
