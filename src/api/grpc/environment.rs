//! `plimsoll.v1.EnvironmentService`.

use tonic::{Request, Response, Status};

use super::super::proto::v1 as pb;
use super::super::{status, views as wire};
use crate::app::Views;
use crate::projection::{self, Error, artifact, deployment, source};

/// The service over the views of one ledger.
#[derive(Clone)]
pub struct EnvironmentApi {
    views: Views,
}

/// Deployments are shown with the commits their artifacts are of.
const DEPLOYMENTS: &[&projection::About] = &[&deployment::ABOUT, &artifact::ABOUT, &source::ABOUT];

impl EnvironmentApi {
    /// The service over `views`.
    #[must_use]
    pub fn new(views: Views) -> Self {
        Self { views }
    }
}

#[tonic::async_trait]
impl pb::environment_service_server::EnvironmentService for EnvironmentApi {
    async fn get_state(&self, request: Request<pb::GetStateRequest>) -> Result<Response<pb::GetStateResponse>, Status> {
        let request = request.into_inner();
        let as_of = wire::instant_from_proto("as_of", request.as_of)?;
        let service = wire::filter(&request.service);
        wire::ask(&self.views, request.asked.unwrap_or_default(), DEPLOYMENTS, move |snapshot, basis| {
            let environment = request.environment;
            let at = wire::at_or_newest(basis, as_of);
            let targets = deployment::targets(snapshot, basis, Some(&environment), service.as_deref())?;
            if targets.is_empty() {
                let of = service.map_or(String::new(), |service| format!("service {service} in "));
                return Err(Error::NotFound(format!("{of}environment {environment}")));
            }
            let mut answer = pb::GetStateResponse {
                basis: Some(wire::basis_to_proto(basis)),
                environment,
                as_of: Some(at.into()),
                targets: Vec::with_capacity(targets.len()),
                gaps: wire::gaps(snapshot, basis, at, at)?,
            };
            for target in targets {
                let state = deployment::state(snapshot, basis, &target, at)?;
                answer.targets.push(pb::TargetState {
                    deployment: state.map(|state| wire::deployment_to_proto(snapshot, basis, state)).transpose()?,
                    environment: target.environment,
                    service: target.service,
                });
            }
            Ok(answer)
        })
        .await
    }

    async fn list_deployments(
        &self,
        request: Request<pb::ListDeploymentsRequest>,
    ) -> Result<Response<pb::ListDeploymentsResponse>, Status> {
        let request = request.into_inner();
        let (from, to) = (wire::instant_from_proto("from", request.from)?, wire::instant_from_proto("to", request.to)?);
        let mut asked = request.asked.unwrap_or_default();
        let after = wire::continues(&mut asked, &request.page_token)?.map(<(i64, i64)>::from);
        let limit = wire::page_size(request.page_size);
        wire::ask(&self.views, asked, DEPLOYMENTS, move |snapshot, basis| {
            let target = deployment::target(snapshot, basis, &request.environment, &request.service)?;
            let found = deployment::deployments(snapshot, basis, &target, (from, to), after, limit)?;
            let next_page_token = wire::next_page(basis, &found, limit, |it| it.place().into());
            let (first, last) = (from.unwrap_or(target.since), wire::at_or_newest(basis, to));
            let deployments: projection::Result<_> =
                found.into_iter().map(|found| wire::deployment_to_proto(snapshot, basis, found)).collect();
            Ok(pb::ListDeploymentsResponse {
                basis: Some(wire::basis_to_proto(basis)),
                deployments: deployments?,
                gaps: wire::gaps(snapshot, basis, first, last)?,
                next_page_token,
            })
        })
        .await
    }

    async fn diff(&self, request: Request<pb::DiffRequest>) -> Result<Response<pb::DiffResponse>, Status> {
        super::diff::diff(&self.views, request.into_inner()).await
    }

    async fn list_drift(
        &self,
        request: Request<pb::ListDriftRequest>,
    ) -> Result<Response<pb::ListDriftResponse>, Status> {
        super::drift::list(&self.views, request.into_inner()).await
    }

    async fn list_targets(
        &self,
        request: Request<pb::ListTargetsRequest>,
    ) -> Result<Response<pb::ListTargetsResponse>, Status> {
        let request = request.into_inner();
        let environment = wire::filter(&request.environment);
        wire::ask(&self.views, request.asked.unwrap_or_default(), &[&deployment::ABOUT], move |snapshot, basis| {
            let targets = deployment::targets(snapshot, basis, environment.as_deref(), None)?;
            let targets = targets.into_iter().map(|target| pb::Target {
                tier: deployment::tier(&target.environment).as_str().to_owned(),
                since: Some(target.since.into()),
                environment: target.environment,
                service: target.service,
            });
            Ok(pb::ListTargetsResponse { basis: Some(wire::basis_to_proto(basis)), targets: targets.collect() })
        })
        .await
    }

    async fn get_projections(
        &self,
        _: Request<pb::GetProjectionsRequest>,
    ) -> Result<Response<pb::GetProjectionsResponse>, Status> {
        let head = self.views.ledger().head().size;
        let statuses =
            self.views.query(0, |snapshot| snapshot.statuses()).await.map_err(|error| status::of_query(&error))?;
        let projections = statuses.into_iter().map(|status| {
            let (stopped_by, reason) = status.stopped.map(|stop| (stop.by, stop.reason)).unzip();
            pb::ProjectionStatus { name: status.name.to_owned(), position: status.position, stopped_by, reason }
        });
        Ok(Response::new(pb::GetProjectionsResponse { head, projections: projections.collect() }))
    }
}
