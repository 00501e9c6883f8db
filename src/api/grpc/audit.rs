//! `plimsoll.v1.AuditService`.

use tonic::{Request, Response, Status};

use super::super::proto::v1 as pb;
use super::super::{status, views as wire};
use crate::app::Views;
use crate::projection::practice::{self, Exception, Kind, Looked, NotJudged, Place, Query};
use crate::projection::{Error, Result as QueryResult, Snapshot};

/// The service over the views of one ledger.
#[derive(Clone)]
pub struct AuditApi {
    views: Views,
}

impl AuditApi {
    /// The service over `views`.
    #[must_use]
    pub fn new(views: Views) -> Self {
        Self { views }
    }
}

#[tonic::async_trait]
impl pb::audit_service_server::AuditService for AuditApi {
    async fn list_exceptions(
        &self,
        request: Request<pb::ListExceptionsRequest>,
    ) -> Result<Response<pb::ListExceptionsResponse>, Status> {
        let request = request.into_inner();
        let kinds: Result<Vec<Kind>, String> = request.kinds.iter().map(|kind| kind.parse()).collect();
        let query = Query {
            from: wire::instant_from_proto("from", request.from)?,
            to: wire::instant_from_proto("to", request.to)?,
            environment: wire::filter(&request.environment),
            service: wire::filter(&request.service),
            kinds: kinds.map_err(|what| status::of_query(&Error::invalid("kinds", what)))?,
        };
        let mut asked = request.asked.unwrap_or_default();
        let after = wire::continues(&mut asked, &request.page_token)?.map(Place::from);
        let limit = wire::page_size(request.page_size);
        wire::ask(&self.views, asked, practice::NEEDS, move |snapshot, basis| {
            let page = practice::exceptions(snapshot, basis, &query, after, limit)?;
            let exceptions: QueryResult<_> =
                page.exceptions.into_iter().map(|exception| exception_to_proto(snapshot, exception)).collect();
            Ok(pb::ListExceptionsResponse {
                basis: Some(wire::basis_to_proto(basis)),
                exceptions: exceptions?,
                looked_at: page.looked_at.into_iter().map(looked_to_proto).collect(),
                next_page_token: page.next.map_or_else(String::new, |next| wire::page_token(basis, next.into())),
            })
        })
        .await
    }
}

fn exception_to_proto(snapshot: &Snapshot<'_>, exception: Exception) -> QueryResult<pb::Exception> {
    Ok(pb::Exception {
        kind: exception.kind.as_str().to_owned(),
        at: Some(exception.at.into()),
        until: exception.until.map(Into::into),
        environment: exception.environment,
        service: exception.service,
        repository: exception.repository.and_then(|stream| wire::repository(&stream)),
        what: exception.what,
        missing: exception.missing,
        who: wire::person(snapshot, exception.who)?,
        evidence: exception.evidence,
    })
}

fn looked_to_proto(looked: Looked) -> pb::LookedAt {
    let not_judged = |it: NotJudged| pb::NotJudged { subject: it.subject, reason: it.reason, examined: it.n };
    pb::LookedAt {
        kind: looked.kind.as_str().to_owned(),
        what: looked.kind.what().to_owned(),
        examined: looked.examined,
        not_judged: looked.not_judged.into_iter().map(not_judged).collect(),
    }
}
