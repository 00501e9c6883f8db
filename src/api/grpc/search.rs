//! `Search` of `plimsoll.v1.ProvenanceService`.

use tonic::{Response, Status};

use super::super::proto::v1 as pb;
use super::super::{status, views as wire};
use super::trace::thing_to_proto;
use crate::app::Views;
use crate::projection::search::{self, Hit, Name, Question};
use crate::projection::{Result as QueryResult, Snapshot};

/// Where words stand.
pub(super) async fn search(views: &Views, request: pb::SearchRequest) -> Result<Response<pb::SearchResponse>, Status> {
    let question = Question::parse(&request.query).map_err(|error| status::of_query(&error))?;
    let (from, to) = (wire::instant_from_proto("from", request.from)?, wire::instant_from_proto("to", request.to)?);
    let mut asked = request.asked.unwrap_or_default();
    let before = wire::continues(&mut asked, &request.page_token)?.map(|[place]| place);
    let limit = wire::page_size(request.page_size);
    wire::ask(views, asked, &[&search::ABOUT], move |snapshot, basis| {
        let answer = search::search(snapshot, basis, &question, (from, to), before, limit)?;
        let next = answer.next.as_slice();
        Ok(pb::SearchResponse {
            basis: Some(wire::basis_to_proto(basis)),
            things: answer.things.iter().map(thing_to_proto).collect(),
            names: answer.names.into_iter().map(name_to_proto).collect(),
            next_page_token: wire::next_page(basis, next, next.len(), |place| [*place]),
            hits: answer.hits.into_iter().map(|hit| hit_to_proto(snapshot, hit)).collect::<QueryResult<_>>()?,
        })
    })
    .await
}

fn name_to_proto(name: Name) -> pb::SearchName {
    pb::SearchName { kind: name.kind.to_owned(), name: name.name, subject: name.subject, position: name.position }
}

fn hit_to_proto(snapshot: &Snapshot<'_>, hit: Hit) -> QueryResult<pb::SearchHit> {
    Ok(pb::SearchHit {
        position: hit.position,
        r#type: hit.type_name,
        stream: hit.stream,
        at: Some(hit.at.into()),
        actor: wire::person(snapshot, hit.actor)?,
        field: hit.field,
        snippet: hit.snippet,
    })
}
