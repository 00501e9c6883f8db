//! What answers about views have in common on the wire.

use tonic::{Response, Status};

use super::proto::v1 as pb;
use super::{Timestamp, status};
use crate::app::Views;
use crate::event;
use crate::projection::deployment::{self, Deployment, Origin, RunningImage};
use crate::projection::{About, Basis, Error, Result, Snapshot, artifact};

/// Asks the views, once they hold what is asked of.
pub(super) async fn ask<T: Send + 'static>(
    views: &Views,
    asked: pb::Asked,
    needs: &'static [&'static About],
    query: impl FnOnce(&Snapshot<'_>, &Basis) -> Result<T> + Send + 'static,
) -> Result<Response<T>, Status> {
    let run = move |snapshot: &Snapshot<'_>| {
        let basis = snapshot.basis(asked.known_at, needs)?;
        query(snapshot, &basis)
    };
    let min_position = asked.min_position.max(asked.known_at.unwrap_or(0));
    if min_position > views.ledger().head().size {
        let what = format!("the log holds {} events, not {min_position}", views.ledger().head().size);
        return Err(status::of_query(&Error::invalid("min_position", what)));
    }
    views.query(min_position, run).await.map(Response::new).map_err(|error| status::of_query(&error))
}

/// An optional instant of a request.
pub(super) fn instant_from_proto(field: &str, at: Option<Timestamp>) -> Result<Option<event::Timestamp>, Status> {
    let parsed = at.map(Timestamp::to_event).transpose();
    parsed.map_err(|error| status::of_query(&Error::invalid(field, error.to_string())))
}

/// The instant asked for, else the one at which the last event was recorded: an answer must not depend on the clock of
/// whoever gives it.
pub(super) fn at_or_newest(basis: &Basis, at: Option<event::Timestamp>) -> event::Timestamp {
    at.or(basis.recorded_at).unwrap_or_else(|| event::Timestamp::from_micros_clamped(0))
}

/// Most of what one page of an answer holds, and how much it holds where nothing is said.
const PAGE_MAX: usize = 1000;
const PAGE: usize = 100;

/// How much a page is to hold.
pub(super) fn page_size(asked: u32) -> usize {
    match usize::try_from(asked).unwrap_or(PAGE_MAX) {
        0 => PAGE,
        size => size.min(PAGE_MAX),
    }
}

/// Names a place in an answer, and the events that the first page made use of, so that all pages are of one state.
pub(super) fn page_token<const N: usize>(basis: &Basis, place: [i64; N]) -> String {
    let mut token = basis.known_at.to_string();
    place.iter().for_each(|number| token += &format!(".{number}"));
    token
}

/// Where the page after a full one begins; empty after the last.
pub(super) fn next_page<T, const N: usize>(
    basis: &Basis,
    found: &[T],
    limit: usize,
    place: impl Fn(&T) -> [i64; N],
) -> String {
    let last = found.last().filter(|_| found.len() == limit).map(place);
    last.map_or_else(String::new, |place| page_token(basis, place))
}

/// Where the page after a full one begins that skipped so many; empty after the last.
pub(super) fn next_offset<T>(basis: &Basis, found: &[T], limit: usize, skipped: usize) -> String {
    let next = i64::try_from(skipped.saturating_add(limit)).unwrap_or(i64::MAX);
    next_page(basis, found, limit, |_| [next])
}

/// Where a page goes on; it asks of the same events as the page before.
pub(super) fn continues<const N: usize>(asked: &mut pb::Asked, token: &str) -> Result<Option<[i64; N]>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let place = || {
        let (known_at, place) = token.split_once('.')?;
        let known_at: u64 = known_at.parse().ok()?;
        let place: Vec<i64> = place.split('.').map(|number| number.parse().ok()).collect::<Option<_>>()?;
        Some((known_at, <[i64; N]>::try_from(place).ok()?))
    };
    match place() {
        Some((known_at, place)) if asked.known_at.is_none_or(|asked| asked == known_at) => {
            asked.known_at = Some(known_at);
            Ok(Some(place))
        }
        _ => Err(not_the_one()),
    }
}

/// How many a page leaves out, where pages go on by number.
pub(super) fn offset(asked: &mut pb::Asked, token: &str) -> Result<usize, Status> {
    let skipped = continues(asked, token)?.map(|[skipped]: [i64; 1]| usize::try_from(skipped));
    skipped.transpose().map(Option::unwrap_or_default).map_err(|_negative| not_the_one())
}

fn not_the_one() -> Status {
    status::of_query(&Error::invalid("page_token", "is not the one of the answer before"))
}

/// A text that restricts, unless it is empty.
pub(super) fn filter(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

pub(super) fn basis_to_proto(basis: &Basis) -> pb::Basis {
    pb::Basis { known_at: basis.known_at, recorded_at: basis.recorded_at.map(Into::into) }
}

/// Gaps that touch the time from `from` to `to`.
pub(super) fn gaps(
    snapshot: &Snapshot<'_>,
    basis: &Basis,
    from: event::Timestamp,
    to: event::Timestamp,
) -> Result<Vec<pb::Gap>> {
    let gaps = deployment::gaps(snapshot, basis, from, to)?;
    let gap = |gap: deployment::Gap| pb::Gap {
        from: Some(gap.from.into()),
        to: Some(gap.to.into()),
        observed: gap.observed,
        reason: gap.reason,
        position: gap.position,
    };
    Ok(gaps.into_iter().map(gap).collect())
}

/// Somebody, with the identity unless it was erased.
pub(super) fn person(snapshot: &Snapshot<'_>, subject: Option<String>) -> Result<Option<pb::Person>> {
    subject.map(|subject| Ok(pb::Person { identity: snapshot.person(&subject)?, subject })).transpose()
}

pub(super) fn repository(stream: &str) -> Option<String> {
    let path = stream.strip_prefix("repo/").unwrap_or(stream);
    filter(path)
}

pub(super) fn revision(origin: Origin) -> pb::Revision {
    pb::Revision { repository: repository(&origin.repository), revision: origin.revision }
}

/// An image.
pub(super) fn image(image: RunningImage) -> pb::RunningImage {
    pb::RunningImage { name: image.name, tag: image.tag, digest: image.digest }
}

/// A deployment with everything that belongs to it.
pub(super) fn deployment_to_proto(
    snapshot: &Snapshot<'_>,
    basis: &Basis,
    deployment: Deployment,
) -> Result<pb::Deployment> {
    let uncertain = deployment.uncertainties().into_iter().map(str::to_owned).collect();
    let source_commits = source_commits(snapshot, basis, &deployment)?;
    Ok(pb::Deployment {
        id: deployment.id,
        status: deployment.status.as_str().to_owned(),
        class: deployment.class.map(|class| class.as_str().to_owned()),
        from: Some(deployment.at.into()),
        not_before: deployment.not_before.map(Into::into),
        to: deployment.until.map(Into::into),
        ended: deployment.ended.map(|ended| ended.as_str().to_owned()),
        ended_by: deployment.ended_by,
        replaces: deployment.replaces,
        started_at: deployment.started_at.map(Into::into),
        finished_at: deployment.finished_at.map(Into::into),
        images: deployment.images.into_iter().map(image).collect(),
        source_commits,
        manifest: deployment.manifest.map(revision),
        command: deployment.command,
        initiated_by: person(snapshot, deployment.initiated_by)?,
        automated: deployment.automated,
        hotfix: deployment.hotfix,
        partial: deployment.partial,
        clusters: deployment.clusters,
        uncertain,
        position: deployment.position,
    })
}

/// The commits that a deployment's artifacts are of: what the deployer named, else what each was built from.
fn source_commits(snapshot: &Snapshot<'_>, basis: &Basis, deployment: &Deployment) -> Result<Vec<pb::SourceCommit>> {
    if let Some(origin) = &deployment.source_commit {
        return Ok(vec![pb::SourceCommit {
            repository: repository(&origin.repository),
            commit: origin.revision.clone(),
            evidence: "deployment".to_owned(),
            digest: None,
            position: deployment.position,
        }]);
    }
    let mut commits = Vec::new();
    for digest in deployment.images.iter().filter_map(|image| image.digest.as_ref()) {
        let found = artifact::source_commits(snapshot, basis, digest)?;
        commits.extend(found.into_iter().map(|found| pb::SourceCommit {
            repository: repository(&found.origin.repository),
            commit: found.origin.revision,
            evidence: found.evidence.as_str().to_owned(),
            digest: Some(digest.clone()),
            position: found.position,
        }));
    }
    Ok(commits)
}
