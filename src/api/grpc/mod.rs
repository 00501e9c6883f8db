//! The services of `plimsoll.v1`.

mod append;
mod audit;
mod diff;
mod drift;
mod environment;
mod evidence;
mod export;
mod exposure;
mod floor;
mod metrics;
mod provenance;
mod read;
mod search;
mod trace;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio_stream::Stream;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

pub use audit::AuditApi;
pub use environment::EnvironmentApi;
pub use floor::FloorBench;
pub use metrics::MetricsApi;
pub use provenance::ProvenanceApi;

use super::convert::{event_to_proto, key_of, receipt_to_proto};
use super::proto::v1 as pb;
use super::status;
use crate::app::Views;
use crate::ledger::{Ledger, Result as LedgerResult};

/// Names of the services that answer about views.
pub(super) const QUESTIONS: [&str; 4] = [
    "plimsoll.v1.EnvironmentService",
    "plimsoll.v1.ProvenanceService",
    "plimsoll.v1.MetricsService",
    "plimsoll.v1.AuditService",
];

/// The services that answer about views.
pub(super) fn questions(views: Views) -> Routes {
    Routes::new(pb::environment_service_server::EnvironmentServiceServer::new(EnvironmentApi::new(views.clone())))
        .add_service(pb::provenance_service_server::ProvenanceServiceServer::new(ProvenanceApi::new(views.clone())))
        .add_service(pb::metrics_service_server::MetricsServiceServer::new(MetricsApi::new(views.clone())))
        .add_service(pb::audit_service_server::AuditServiceServer::new(AuditApi::new(views)))
}

/// How long a subscriber may leave what is sent to it unread before it is let go.
pub(super) const SUBSCRIBER_STALL: Duration = Duration::from_secs(30);

/// The service over one ledger.
#[derive(Clone)]
pub struct LedgerApi {
    ledger: Ledger,
    /// Turns true when the server is about to stop: open streams then end by themselves.
    stopping: watch::Receiver<bool>,
    stall: Duration,
    /// Room for blobs that are written or read.
    blobs: Arc<Semaphore>,
}

impl LedgerApi {
    /// The service over `ledger`, until `stopping` turns true.
    #[must_use]
    pub fn new(ledger: Ledger, stopping: watch::Receiver<bool>) -> Self {
        Self { ledger, stopping, stall: SUBSCRIBER_STALL, blobs: evidence::places() }
    }

    /// The same, with another patience for slow subscribers.
    #[must_use]
    pub fn with_stall(mut self, stall: Duration) -> Self {
        self.stall = stall;
        self
    }

    /// Runs a read away from the threads that serve connections.
    async fn read<T: Send + 'static>(
        &self,
        run: impl FnOnce(&Ledger) -> LedgerResult<T> + Send + 'static,
    ) -> Result<T, Status> {
        self.ledger.blocking(run).await.map_err(|error| status::of(&error))
    }
}

impl LedgerApi {
    /// Looks something up on the thread that serves the connection: a few pages that the system has at hand nearly
    /// always. To wake another thread for that would take longer than the look-up.
    fn look_up<T>(&self, run: impl FnOnce(&Ledger) -> LedgerResult<T>) -> Result<T, Status> {
        run(&self.ledger).map_err(|error| status::of(&error))
    }
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl pb::ledger_service_server::LedgerService for LedgerApi {
    type AppendStreamStream = Answers<pb::AppendStreamResponse>;
    type ReadStreamStream = Answers<pb::ReadStreamResponse>;
    type ReadAllStream = Answers<pb::ReadAllResponse>;
    type SubscribeStream = Answers<pb::SubscribeResponse>;
    type GetEvidenceStream = Answers<pb::GetEvidenceResponse>;

    async fn append(&self, request: Request<pb::AppendRequest>) -> Result<Response<pb::AppendResponse>, Status> {
        append::append(&self.ledger, request.into_inner()).await.map(Response::new)
    }

    async fn append_stream(
        &self,
        request: Request<Streaming<pb::AppendStreamRequest>>,
    ) -> Result<Response<Self::AppendStreamStream>, Status> {
        let answers = append::append_stream(self.ledger.clone(), self.stopping.clone(), request.into_inner());
        Ok(Response::new(Box::pin(answers)))
    }

    async fn get_event(&self, request: Request<pb::GetEventRequest>) -> Result<Response<pb::GetEventResponse>, Status> {
        use pb::get_event_request::Key;
        let request = request.into_inner();
        let (position, id) = match request.key {
            Some(Key::Position(position)) => (Some(position), None),
            Some(Key::Id(id)) => (None, Some(id)),
            None => (None, None),
        };
        let key = key_of(position, id.as_deref()).map_err(|error| status::of(&error))?;
        let view = request.view.into();
        let event = self.look_up(|ledger| event_to_proto(ledger, key.find(ledger)?, view))?;
        Ok(Response::new(pb::GetEventResponse { event: Some(event) }))
    }

    async fn read_stream(
        &self,
        request: Request<pb::ReadStreamRequest>,
    ) -> Result<Response<Self::ReadStreamStream>, Status> {
        read::read_stream(self, request.into_inner()).await
    }

    async fn read_all(&self, request: Request<pb::ReadAllRequest>) -> Result<Response<Self::ReadAllStream>, Status> {
        Ok(read::read_all(self, request.into_inner()))
    }

    async fn subscribe(
        &self,
        request: Request<pb::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        read::subscribe(self, request.into_inner())
    }

    async fn get_receipt(
        &self,
        request: Request<pb::GetReceiptRequest>,
    ) -> Result<Response<pb::GetReceiptResponse>, Status> {
        use pb::get_receipt_request::Key;
        let (position, id) = match request.into_inner().key {
            Some(Key::Position(position)) => (Some(position), None),
            Some(Key::Id(id)) => (None, Some(id)),
            None => (None, None),
        };
        let key = key_of(position, id.as_deref()).map_err(|error| status::of(&error))?;
        let receipt = self.look_up(|ledger| ledger.receipt(key.find(ledger)?.position))?;
        Ok(Response::new(pb::GetReceiptResponse { receipt: Some(receipt_to_proto(&receipt)) }))
    }

    async fn get_checkpoint(
        &self,
        request: Request<pb::GetCheckpointRequest>,
    ) -> Result<Response<pb::GetCheckpointResponse>, Status> {
        let old_size = request.into_inner().old_size;
        let head = self.ledger.head();
        let size = head.size;
        let consistency = match old_size {
            0 => Vec::new(),
            old => self.read(move |ledger| ledger.consistency_proof(old, size)).await?,
        };
        Ok(Response::new(pb::GetCheckpointResponse {
            checkpoint: head.checkpoint.to_string(),
            size,
            consistency: consistency.iter().map(|hash| hash.as_bytes().to_vec().into()).collect(),
            verifier_key: self.ledger.key().to_string(),
        }))
    }

    async fn put_evidence(
        &self,
        request: Request<Streaming<pb::PutEvidenceRequest>>,
    ) -> Result<Response<pb::PutEvidenceResponse>, Status> {
        evidence::put(self, request.into_inner()).await.map(Response::new)
    }

    async fn get_evidence(
        &self,
        request: Request<pb::GetEvidenceRequest>,
    ) -> Result<Response<Self::GetEvidenceStream>, Status> {
        evidence::get(self, request.into_inner()).await
    }

    async fn list_streams(
        &self,
        request: Request<pb::ListStreamsRequest>,
    ) -> Result<Response<pb::ListStreamsResponse>, Status> {
        let request = request.into_inner();
        let limit = super::views::page_size(request.page_size);
        let streams = self
            .read(move |ledger| {
                let after = (!request.page_token.is_empty()).then_some(request.page_token.as_str());
                ledger.streams(&request.prefix, after, limit)
            })
            .await?;
        let next_page_token = match streams.last() {
            Some(last) if streams.len() == limit => last.name.clone(),
            _ => String::new(),
        };
        let streams = streams.into_iter().map(|stream| pb::Stream { name: stream.name, seq: stream.seq }).collect();
        Ok(Response::new(pb::ListStreamsResponse { streams, next_page_token }))
    }
}
