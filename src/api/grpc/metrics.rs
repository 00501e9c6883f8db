//! `plimsoll.v1.MetricsService`.

use super::super::proto::v1 as pb;
use crate::app::Views;

/// The service over the views of one ledger.
#[derive(Clone)]
pub struct MetricsApi {
    views: Views,
}

impl MetricsApi {
    /// The service over `views`.
    #[must_use]
    pub fn new(views: Views) -> Self {
        Self { views }
    }
}

#[tonic::async_trait]
impl pb::metrics_service_server::MetricsService for MetricsApi {}
