//! `plimsoll.v1.ProvenanceService`.

use tonic::{Request, Response, Status};

use super::super::proto::v1 as pb;
use crate::app::Views;

/// The service over the views of one ledger.
#[derive(Clone)]
pub struct ProvenanceApi {
    views: Views,
}

impl ProvenanceApi {
    /// The service over `views`.
    #[must_use]
    pub fn new(views: Views) -> Self {
        Self { views }
    }
}

#[tonic::async_trait]
impl pb::provenance_service_server::ProvenanceService for ProvenanceApi {
    async fn trace(&self, request: Request<pb::TraceRequest>) -> Result<Response<pb::TraceResponse>, Status> {
        super::trace::trace(&self.views, request.into_inner()).await
    }

    async fn search(&self, request: Request<pb::SearchRequest>) -> Result<Response<pb::SearchResponse>, Status> {
        super::search::search(&self.views, request.into_inner()).await
    }

    async fn find_exposure(
        &self,
        request: Request<pb::FindExposureRequest>,
    ) -> Result<Response<pb::FindExposureResponse>, Status> {
        super::exposure::find(&self.views, request.into_inner()).await
    }
}
