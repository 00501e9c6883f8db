//! What one would expect to be known and is not: pure.

use std::collections::BTreeSet;

use super::walk::Walk;
use super::{Artifact, How, Thing, Trace};
use crate::event::artifact::{ScanKind, ScanStatus};

/// Something that is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Of what.
    pub of: Thing,
    /// What, in a stable word: `build`, `source_commit`, `scan`, `sbom`, `attestation`, `deployment`, `change`, `record`,
    /// `approval`, `images`, `digest`.
    pub what: &'static str,
    /// In words.
    pub text: String,
}

/// Everything that is missing of a trace, by things.
pub(super) fn missing(walk: &Walk<'_, '_>, trace: &Trace) -> Vec<Missing> {
    let mut all = Vec::new();
    commits(walk, trace, &mut all);
    for change in &trace.changes {
        let thing = Thing::Change(change.repository.clone(), change.change.clone());
        if change.state == "merged" && !change.approved() {
            let text = format!("nobody but its author is known to have approved change {}", thing.id());
            all.push(Missing { of: thing, what: "approval", text });
        }
    }
    artifacts(trace, &mut all);
    deployments(trace, &mut all);
    all
}

fn commits(walk: &Walk<'_, '_>, trace: &Trace, all: &mut Vec<Missing>) {
    for commit in &trace.commits {
        let thing = Thing::Commit(commit.commit.clone());
        let mut say = |what, text: String| all.push(Missing { of: thing.clone(), what, text });
        if commit.position.is_none() {
            say("record", format!("commit {} is mentioned, and nothing recorded it", commit.commit));
        }
        let changed = trace.links.iter().any(|link| link.from == thing && matches!(link.to, Thing::Change(..)))
            || trace.links.iter().any(|link| link.to == thing && matches!(link.from, Thing::Change(..)));
        let is_source = trace.links.iter().any(|link| {
            link.from == thing && matches!(link.how, How::Build | How::Provenance | How::Label | How::Deployer)
        });
        if !changed && is_source {
            say("change", format!("no change is known that brought commit {}", commit.commit));
        }
        if walk.unused.contains(&commit.commit) {
            say(
                "build",
                format!(
                    "no build or deployment is known of commit {}, nor of one near it that contains it",
                    commit.commit
                ),
            );
        }
    }
}

/// An artifact with its index and its parts: what is said of one is said of the others.
fn group<'a>(trace: &'a Trace, artifact: &'a Artifact) -> Vec<&'a Artifact> {
    let this = Thing::Artifact(artifact.digest.clone());
    let mut digests = BTreeSet::from([artifact.digest.clone()]);
    for link in trace.links.iter().filter(|link| link.how == How::Platform) {
        for (one, other) in [(&link.from, &link.to), (&link.to, &link.from)] {
            if *one == this {
                digests.insert(other.id());
            }
        }
    }
    trace.artifacts.iter().filter(|artifact| digests.contains(&artifact.digest)).collect()
}

fn artifacts(trace: &Trace, all: &mut Vec<Missing>) {
    for artifact in trace.artifacts.iter().filter(|artifact| !artifact.beside) {
        let thing = Thing::Artifact(artifact.digest.clone());
        let (group, digest) = (group(trace, artifact), &artifact.digest);
        let mut say = |so: bool, what, text: &str| {
            if so {
                all.push(Missing { of: thing.clone(), what, text: format!("{text} {digest}") });
            }
        };
        let of_group = |thing: &Thing| group.iter().any(|artifact| *thing == Thing::Artifact(artifact.digest.clone()));
        let built = group.iter().any(|artifact| !artifact.builds.is_empty());
        let sourced = trace
            .links
            .iter()
            .any(|link| of_group(&link.to) && matches!(link.how, How::Build | How::Provenance | How::Label));
        let done = |status| matches!(status, ScanStatus::Completed | ScanStatus::Partial);
        let scanned = |artifact: &&Artifact| {
            artifact.scans.iter().any(|scan| scan.kind == ScanKind::Vulnerability && done(scan.status))
        };
        let deployed = trace.links.iter().any(|link| of_group(&link.from) && matches!(link.to, Thing::Deployment(..)));
        say(!built, "build", "no build is known of");
        say(!sourced, "source_commit", "no source commit is known of");
        say(!group.iter().any(scanned), "scan", "no scan for vulnerabilities is known of");
        say(group.iter().all(|artifact| artifact.sboms.is_empty()), "sbom", "no bill of materials is known of");
        say(group.iter().all(|artifact| artifact.attestations.is_empty()), "attestation", "no attestation is known of");
        say(!deployed, "deployment", "no deployment is known of");
    }
}

fn deployments(trace: &Trace, all: &mut Vec<Missing>) {
    for (target, deployment) in &trace.deployments {
        let thing = Thing::Deployment(target.environment.clone(), target.service.clone(), deployment.id.clone());
        let id = thing.id();
        let mut say = |what, text: String| all.push(Missing { of: thing.clone(), what, text });
        let mut into = trace.links.iter().filter(|link| link.to == thing);
        if deployment.images.is_empty() && deployment.source_commit.is_none() {
            say("images", format!("the deployer did not say what deployment {id} brought"));
        }
        for image in deployment.images.iter().filter(|image| image.digest.is_none()) {
            if !into.any(|link| link.how == How::RegistryTag) {
                let what = "is not known by digest, and no registry was seen to have that tag";
                say("digest", format!("{} of deployment {id} {what}", image.identity()));
            }
        }
    }
}
