//! `ListDrift` of `plimsoll.v1.EnvironmentService`.

use tonic::{Response, Status};

use super::super::proto::v1 as pb;
use super::super::views as wire;
use crate::app::Views;
use crate::event::Timestamp;
use crate::projection::practice::{self, Episode, Window};
use crate::projection::{Error, Result as QueryResult, Snapshot, deployment};

/// Episodes of drift, newest first.
pub(super) async fn list(
    views: &Views,
    request: pb::ListDriftRequest,
) -> Result<Response<pb::ListDriftResponse>, Status> {
    let window = Window {
        environment: wire::filter(&request.environment),
        service: wire::filter(&request.service),
        from: wire::instant_from_proto("from", request.from)?,
        to: wire::instant_from_proto("to", request.to)?,
    };
    let mut asked = request.asked.unwrap_or_default();
    let after = wire::continues(&mut asked, &request.page_token)?.map(<(i64, i64)>::from);
    let limit = wire::page_size(request.page_size);
    wire::ask(views, asked, &[&deployment::ABOUT, &practice::ABOUT], move |snapshot, basis| {
        let (environment, service) = (window.environment.as_deref(), window.service.as_deref());
        let targets = deployment::targets(snapshot, basis, environment, service)?;
        if targets.is_empty() && (environment.is_some() || service.is_some()) {
            let name = [environment, service].into_iter().flatten().collect::<Vec<_>>().join("/");
            return Err(Error::NotFound(format!("target {name}")));
        }
        let found = practice::episodes(snapshot, basis, &window, after, limit)?;
        let next_page_token = wire::next_page(basis, &found, limit, |it| it.place().into());
        let now = wire::at_or_newest(basis, window.to);
        let since = targets.iter().map(|target| target.since).min();
        let episodes: QueryResult<_> =
            found.into_iter().map(|episode| episode_to_proto(snapshot, episode, now)).collect();
        Ok(pb::ListDriftResponse {
            basis: Some(wire::basis_to_proto(basis)),
            episodes: episodes?,
            next_page_token,
            gaps: wire::gaps(snapshot, basis, window.from.or(since).unwrap_or(now), now)?,
        })
    })
    .await
}

fn episode_to_proto(snapshot: &Snapshot<'_>, episode: Episode, now: Timestamp) -> QueryResult<pb::DriftEpisode> {
    let until = episode.closed_at.unwrap_or(now).micros();
    let micros = until.saturating_sub(episode.opened_at.micros());
    Ok(pb::DriftEpisode {
        environment: episode.environment,
        service: episode.service,
        id: episode.id,
        opened_at: Some(episode.opened_at.into()),
        closed_at: episode.closed_at.map(Into::into),
        cause: episode.cause.to_string(),
        end: episode.end.map(|end| end.to_string()),
        seconds: u64::try_from(micros / 1_000_000).unwrap_or(0),
        suspect: wire::person(snapshot, episode.suspect)?,
        position: episode.position,
        closed_by: episode.closed_by,
    })
}
