//! `Diff` of `plimsoll.v1.EnvironmentService`.

use tonic::{Response, Status};

use super::super::proto::v1 as pb;
use super::super::views as wire;
use crate::app::Views;
use crate::projection::artifact::Scan;
use crate::projection::diff::{self, Direction, ServiceDiff, Side};
use crate::projection::source::{Approval, Change, Commit};
use crate::projection::{Basis, Result as QueryResult, Snapshot};

/// What differs between two states.
pub(super) async fn diff(views: &Views, request: pb::DiffRequest) -> Result<Response<pb::DiffResponse>, Status> {
    let at = wire::instant_from_proto("at", request.at)?;
    let other_at = wire::instant_from_proto("other_at", request.other_at)?;
    let service = wire::filter(&request.service);
    let limit = wire::page_size(request.commits);
    wire::ask(views, request.asked.unwrap_or_default(), diff::NEEDS, move |snapshot, basis| {
        let other = wire::filter(&request.other_environment).unwrap_or_else(|| request.environment.clone());
        let within_one = other == request.environment;
        let before = Side { at: wire::at_or_newest(basis, at), environment: request.environment };
        let after_at = other_at.or(at.filter(|_| !within_one));
        let after = Side { at: wire::at_or_newest(basis, after_at), environment: other };
        let found = diff::diff(snapshot, basis, (&before, &after), service.as_deref(), limit)?;
        let (first, last) = (before.at.min(after.at), before.at.max(after.at));
        let gaps = if within_one {
            wire::gaps(snapshot, basis, first, last)?
        } else {
            // What was missed between the instants is no part of either state.
            let mut gaps = wire::gaps(snapshot, basis, first, first)?;
            let mut later = wire::gaps(snapshot, basis, last, last)?;
            later.retain(|gap| gaps.iter().all(|other| other.position != gap.position));
            gaps.append(&mut later);
            gaps
        };
        let services: QueryResult<_> =
            found.services.into_iter().map(|service| service_to_proto(snapshot, basis, service)).collect();
        Ok(pb::DiffResponse {
            basis: Some(wire::basis_to_proto(basis)),
            environment: before.environment,
            at: Some(before.at.into()),
            other_environment: after.environment,
            other_at: Some(after.at.into()),
            services: services?,
            unchanged: found.unchanged,
            gaps,
        })
    })
    .await
}

fn service_to_proto(snapshot: &Snapshot<'_>, basis: &Basis, found: ServiceDiff) -> QueryResult<pb::ServiceDiff> {
    let deployment = |deployment| wire::deployment_to_proto(snapshot, basis, deployment);
    let between = found.between;
    let total = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let commits: QueryResult<_> =
        between.commits.into_iter().map(|(direction, commit)| commit_to_proto(snapshot, direction, commit)).collect();
    let changes: QueryResult<_> =
        between.changes.into_iter().map(|(direction, change)| change_to_proto(snapshot, direction, change)).collect();
    Ok(pb::ServiceDiff {
        service: found.service,
        change: found.difference.as_str().to_owned(),
        before: found.before.map(deployment).transpose()?,
        after: found.after.map(deployment).transpose()?,
        commits: commits?,
        commits_added: total(between.added),
        commits_removed: total(between.removed),
        commits_incomplete: between.incomplete,
        changes: changes?,
        scans: found.scans.into_iter().map(scan_to_proto).collect(),
    })
}

fn commit_to_proto(snapshot: &Snapshot<'_>, direction: Direction, commit: Commit) -> QueryResult<pb::CommitDiff> {
    Ok(pb::CommitDiff {
        repository: wire::repository(&commit.origin.repository),
        commit: commit.origin.revision,
        direction: direction.as_str().to_owned(),
        authored_at: commit.authored_at.map(Into::into),
        author: wire::person(snapshot, commit.author)?,
        title: commit.title,
        position: commit.position,
    })
}

fn change_to_proto(snapshot: &Snapshot<'_>, direction: Direction, change: Change) -> QueryResult<pb::ChangeDiff> {
    let reviewed = change.was_reviewed(change.merged_at);
    let merged_at = change.merged_at;
    let approval = |approval: Approval| {
        Ok(pb::ChangeApproval {
            reviewer: wire::person(snapshot, Some(approval.reviewer))?,
            commit: approval.commit,
            at: Some(approval.at.into()),
            until: approval.until.map(Into::into),
            of_head: approval.of_head,
            by_author: approval.by_author,
            after_merge: approval.at > merged_at,
            position: approval.position,
        })
    };
    let approvals: QueryResult<_> = change.approvals.into_iter().map(approval).collect();
    Ok(pb::ChangeDiff {
        repository: wire::repository(&change.repository).unwrap_or_default(),
        change: change.change,
        direction: direction.as_str().to_owned(),
        title: change.title,
        author: wire::person(snapshot, change.author)?,
        merged_by: wire::person(snapshot, change.merged_by)?,
        merged_at: Some(merged_at.into()),
        approvals: approvals?,
        reviewed,
        url: change.url,
        position: change.merged,
    })
}

fn scan_to_proto(scan: Scan) -> pb::ScanSummary {
    pb::ScanSummary {
        digest: scan.digest,
        tool: scan.tool,
        kind: scan.kind.to_string(),
        status: scan.status.to_string(),
        at: Some(scan.at.into()),
        critical: scan.critical,
        high: scan.high,
        medium: scan.medium,
        low: scan.low,
        findings: scan.findings,
        position: scan.position,
    }
}
