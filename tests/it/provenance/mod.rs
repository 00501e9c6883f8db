//! Where things come from and where they went, through the services and the program.

mod names;
mod program;
mod trace;

use std::collections::BTreeSet;

use plimsoll::api::proto::v1 as pb;
use plimsoll::api::proto::v1::provenance_service_client::ProvenanceServiceClient;
use serde_json::json;

use crate::projection::story::{REPO, Story, TARGET, at, digest, oid};
use crate::support::served::Served;

/// The repository of desired state.
pub const GITOPS: &str = "repo/example.com/gitops";

/// A change of a feature's commit that was merged, built, published, asked for and deployed; with whatever belongs to it.
pub fn shipped() -> Story {
    let mut story = Story::default();
    story.commit("root", &[], 0);
    story.commit_with("feature", &["root"], 1, &json!({"message": "Mend the cart"}));
    let change = json!({"author": "Jane", "base": "main", "change": "42", "head": "cart", "head_commit": oid("feature"), "title": "The cart holds what was put into it"});
    story.say("change.created", REPO, 2, &change);
    let check = json!({"commit": oid("feature"), "conclusion": "success", "kind": "lint", "name": "ci / lint"});
    story.say("check.finished", REPO, 2, &check);
    let review =
        json!({"author": "Jane", "change": "42", "commit": oid("feature"), "reviewer": "Bob", "state": "approved"});
    story.say("change.reviewed", REPO, 3, &review);
    story.commit("merge", &["root", "feature"], 4);
    let merged = json!({"base": "main", "change": "42", "commit": oid("merge"), "head_commit": oid("feature"), "merged_by": "Bob", "method": "merge"});
    story.say("change.merged", REPO, 4, &merged);
    built(&mut story, "app", "merge", "1.4.0", 5);
    deployed(&mut story, "d1", "app", "wanted", 8);
    story
}

/// An artifact of a commit, published and looked at.
pub fn built(story: &mut Story, name: &str, commit: &str, version: &str, hours: i64) {
    let stream = format!("artifact/{}", digest(name));
    let run = format!("7{}", version.replace('.', ""));
    let ran = json!({"attempt": 1, "commit": oid(commit), "conclusion": "success", "pipeline": "build", "run": run});
    story.say("pipelinerun.finished", REPO, hours, &ran);
    let build = json!({"commit": oid(commit), "conclusion": "success", "name": "example.com/app", "repository": REPO, "run": run, "service": "app", "version": version});
    story.say("build.finished", &stream, hours, &build);
    story.say("artifact.published", &stream, hours, &json!({"name": "example.com/app", "tags": [version]}));
    let scan = json!({"findings": 3, "kind": "vulnerability", "severities": {"critical": 1, "high": 2, "info": 0, "low": 0, "medium": 0, "unknown": 0}, "status": "completed", "tool": "trivy"});
    story.say("scan.finished", &stream, hours, &scan);
    let sbom = json!({"components": 12, "document": "a".repeat(64), "format": "cyclonedx", "spec_version": "1.6"});
    story.say("sbom.attached", &stream, hours, &sbom);
    let attested = json!({"document": "b".repeat(64), "format": "dsse", "predicate_type": "https://slsa.dev/provenance/v1", "signatures": 1});
    story.say("attestation.attached", &stream, hours, &attested);
}

/// An artifact asked for by a commit of desired state, and synced.
pub fn deployed(story: &mut Story, id: &str, name: &str, wanted: &str, hours: i64) {
    let image = json!({"digest": digest(name), "name": "example.com/app"});
    let commit = json!({"commit": oid(wanted), "files": [], "images": [{"after": image}], "repository": GITOPS});
    story.say("manifest.committed", TARGET, hours, &commit);
    let sources = json!([{"repository": GITOPS, "revision": oid(wanted)}]);
    story.sync("succeeded", id, hours + 1, &json!({"images": [image], "sources": sources}));
}

/// A served ledger that holds a story.
pub async fn told(story: &Story) -> Served {
    let served = Served::new().await;
    served.ledger.append(story.0.clone()).await.unwrap();
    served
}

/// What is asked of everything that is recorded.
pub fn asked(served: &Served, known_at: Option<u64>) -> Option<pb::Asked> {
    Some(pb::Asked { min_position: served.ledger.head().size, known_at })
}

pub async fn try_trace(
    served: &Served,
    thing: &str,
    known_at: Option<u64>,
) -> Result<pb::TraceResponse, tonic::Status> {
    let mut client = ProvenanceServiceClient::new(served.channel().await);
    let request = pb::TraceRequest { asked: asked(served, known_at), thing: thing.to_owned() };
    client.trace(request).await.map(tonic::Response::into_inner)
}

#[track_caller]
pub fn name(thing: Option<&pb::Thing>) -> String {
    let thing = thing.unwrap();
    format!("{}:{}", thing.kind, thing.id)
}

pub async fn trace(served: &Served, thing: &str) -> pb::TraceResponse {
    try_trace(served, thing, None).await.unwrap_or_else(|status| panic!("{thing}: {status}"))
}

/// Everything that an answer shows, apart from what was asked about.
pub fn shown(answer: &pb::TraceResponse) -> BTreeSet<String> {
    let commits = answer.commits.iter().map(|commit| format!("commit:{}", commit.commit));
    let changes = answer.changes.iter().map(|change| format!("change:{}#{}", change.repository, change.change));
    let artifacts = answer.artifacts.iter().map(|artifact| format!("artifact:{}", artifact.digest));
    let deployments = answer.deployments.iter().map(|traced| {
        format!("deployment:{}/{}/{}", traced.environment, traced.service, traced.deployment.as_ref().unwrap().id)
    });
    commits.chain(changes).chain(artifacts).chain(deployments).collect()
}

/// Links as `from -how-> to`.
pub fn links(answer: &pb::TraceResponse) -> BTreeSet<String> {
    let link =
        |link: &pb::TraceLink| format!("{} -{}-> {}", name(link.from.as_ref()), link.evidence, name(link.to.as_ref()));
    answer.links.iter().map(link).collect()
}

/// What is missing, as `what of`.
pub fn missing(answer: &pb::TraceResponse) -> BTreeSet<String> {
    answer.missing.iter().map(|missing| format!("{} {}", missing.what, name(missing.of.as_ref()))).collect()
}

/// The instant of a story as the wire has it.
pub fn instant(hours: i64) -> Option<plimsoll::api::Timestamp> {
    Some(plimsoll::event::Timestamp::from_micros(at(hours)).unwrap().into())
}
