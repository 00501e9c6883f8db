//! What `plimsoll bench` compares with: the same messages over the same transport, and nothing done with them.

use bytes::Bytes;
use tonic::{Request, Response, Status};

use super::super::proto::bench::v1::floor_service_server::FloorService;
use super::super::proto::v1 as pb;

/// Answers at once.
#[derive(Debug, Clone, Default)]
pub struct FloorBench {
    /// What every look-up returns.
    pub leaf: Bytes,
}

#[tonic::async_trait]
impl FloorService for FloorBench {
    async fn no_op(&self, request: Request<pb::AppendRequest>) -> Result<Response<pb::AppendResponse>, Status> {
        let placed = request.into_inner().drafts.into_iter().map(|_| pb::Placed {
            position: 1,
            id: "019cb7a5-5a00-7000-8000-000000000000".to_owned(),
            duplicate: false,
            receipt: None,
        });
        Ok(Response::new(pb::AppendResponse { placed: placed.collect(), tree_size: 1 }))
    }

    async fn no_op_get(&self, _: Request<pb::GetEventRequest>) -> Result<Response<pb::GetEventResponse>, Status> {
        let event = pb::Event { position: 1, leaf: self.leaf.clone(), ..pb::Event::default() };
        Ok(Response::new(pb::GetEventResponse { event: Some(event) }))
    }
}
