//! `Trace` of `plimsoll.v1.ProvenanceService`.

use tonic::{Response, Status};

use super::super::proto::v1 as pb;
use super::super::views as wire;
use crate::app::Views;
use crate::projection::artifact::Scan;
use crate::projection::provenance::{self, Artifact, Attestation, Change, Check, Commit, Link, Review, Thing, Trace};
use crate::projection::{Basis, Result as QueryResult, Snapshot};

/// Everything that belongs to a thing.
pub(super) async fn trace(views: &Views, request: pb::TraceRequest) -> Result<Response<pb::TraceResponse>, Status> {
    wire::ask(views, request.asked.unwrap_or_default(), provenance::NEEDS, move |snapshot, basis| {
        let trace = provenance::trace(snapshot, basis, &request.thing)?;
        trace_to_proto(snapshot, basis, trace)
    })
    .await
}

pub(super) fn thing_to_proto(thing: &Thing) -> pb::Thing {
    pb::Thing { kind: thing.kind().to_owned(), id: thing.id() }
}

fn trace_to_proto(snapshot: &Snapshot<'_>, basis: &Basis, trace: Trace) -> QueryResult<pb::TraceResponse> {
    let mut answer = pb::TraceResponse {
        basis: Some(wire::basis_to_proto(basis)),
        things: trace.things.iter().map(thing_to_proto).collect(),
        links: trace.links.iter().map(link_to_proto).collect(),
        artifacts: trace.artifacts.into_iter().map(artifact_to_proto).collect(),
        ..pb::TraceResponse::default()
    };
    for commit in trace.commits {
        answer.commits.push(commit_to_proto(snapshot, commit)?);
    }
    for change in trace.changes {
        answer.changes.push(change_to_proto(snapshot, change)?);
    }
    for (target, deployment) in trace.deployments {
        answer.deployments.push(pb::TracedDeployment {
            environment: target.environment,
            service: target.service,
            deployment: Some(wire::deployment_to_proto(snapshot, basis, deployment)?),
        });
    }
    let incident = |it: provenance::Incident| pb::TracedIncident {
        id: it.id,
        title: it.title,
        severity: it.severity,
        started_at: it.started_at.map(Into::into),
        resolved_at: it.resolved_at.map(Into::into),
        external: it.external,
        position: it.position,
    };
    answer.incidents = trace.incidents.into_iter().map(incident).collect();
    let missing = |it: provenance::Missing| pb::TraceMissing {
        of: Some(thing_to_proto(&it.of)),
        what: it.what.to_owned(),
        text: it.text,
    };
    answer.missing = trace.missing.into_iter().map(missing).collect();
    let total = |(kind, total): (&str, u64)| pb::TraceTotal { kind: kind.to_owned(), total };
    answer.totals = trace.totals.into_iter().map(total).collect();
    Ok(answer)
}

fn link_to_proto(link: &Link) -> pb::TraceLink {
    pb::TraceLink {
        from: Some(thing_to_proto(&link.from)),
        to: Some(thing_to_proto(&link.to)),
        evidence: link.how.as_str().to_owned(),
        position: link.position,
    }
}

fn check_to_proto(check: Check) -> pb::TracedCheck {
    pb::TracedCheck {
        kind: check.kind.to_owned(),
        name: check.name,
        conclusion: check.conclusion,
        at: Some(check.at.into()),
        position: check.position,
    }
}

fn commit_to_proto(snapshot: &Snapshot<'_>, commit: Commit) -> QueryResult<pb::TracedCommit> {
    Ok(pb::TracedCommit {
        commit: commit.commit,
        repositories: commit.repositories,
        desired_state: commit.desired_state,
        author: wire::person(snapshot, commit.author)?,
        authored_at: commit.authored_at.map(Into::into),
        committed_at: commit.committed_at.map(Into::into),
        message: commit.message,
        merge: commit.merge,
        tags: commit.tags.into_iter().map(|(repository, tag)| format!("{repository}@{tag}")).collect(),
        checks: commit.checks.into_iter().map(check_to_proto).collect(),
        checks_total: commit.checks_total,
        position: commit.position,
    })
}

fn change_to_proto(snapshot: &Snapshot<'_>, change: Change) -> QueryResult<pb::TracedChange> {
    let approved = change.approved();
    let review = |review: Review| {
        Ok(pb::TracedReview {
            reviewer: wire::person(snapshot, review.reviewer)?,
            state: review.state.to_string(),
            commit: review.commit,
            own: review.own,
            at: Some(review.at.into()),
            position: review.position,
        })
    };
    Ok(pb::TracedChange {
        repository: change.repository,
        change: change.change,
        state: change.state.to_owned(),
        title: change.title,
        author: wire::person(snapshot, change.author)?,
        base: change.base,
        created_at: change.created_at.map(Into::into),
        merged_at: change.merged_at.map(Into::into),
        merged_by: wire::person(snapshot, change.merged_by)?,
        method: change.method,
        hotfix: change.hotfix,
        url: change.url,
        approved,
        reviews: change.reviews.into_iter().map(review).collect::<QueryResult<_>>()?,
        position: change.position,
    })
}

fn statement_to_proto(statement: Attestation) -> pb::TracedStatement {
    pb::TracedStatement {
        predicate: wire::filter(&statement.predicate),
        at: Some(statement.at.into()),
        position: statement.position,
    }
}

fn artifact_to_proto(artifact: Artifact) -> pb::TracedArtifact {
    let tag = |(image, at, position): (String, crate::event::Timestamp, u64)| pb::TracedTag {
        image,
        at: Some(at.into()),
        position,
    };
    let build = |build: provenance::Build| pb::TracedBuild {
        conclusion: build.conclusion.to_string(),
        commit: build.commit,
        run: build.run,
        service: build.service,
        version: build.version,
        at: Some(build.at.into()),
        position: build.position,
    };
    let scan = |scan: Scan| pb::TracedScan {
        kind: scan.kind.to_string(),
        status: scan.status.to_string(),
        tool: scan.tool,
        findings: scan.findings,
        critical: scan.critical,
        high: scan.high,
        medium: scan.medium,
        low: scan.low,
        at: Some(scan.at.into()),
        position: scan.position,
    };
    pb::TracedArtifact {
        digest: artifact.digest,
        names: artifact.names,
        tags: artifact.tags.into_iter().map(tag).collect(),
        builds: artifact.builds.into_iter().map(build).collect(),
        scans: artifact.scans.into_iter().map(scan).collect(),
        sboms: artifact.sboms.into_iter().map(statement_to_proto).collect(),
        attestations: artifact.attestations.into_iter().map(statement_to_proto).collect(),
        checks: artifact.checks.into_iter().map(check_to_proto).collect(),
        beside: artifact.beside,
    }
}
