//! `trace`: where a thing comes from, and where it went.

use std::fmt::Write as _;

use clap::Args;

use super::drift::person;
use super::environment::short;
use super::exit::{Exit, Outcome};
use super::questions::{Known, Questions};
use super::{Settings, print, print_json, printable};
use crate::api::proto::v1 as pb;
use crate::api::proto::v1::provenance_service_client::ProvenanceServiceClient;

#[derive(Debug, Args)]
pub(super) struct Trace {
    /// A commit, a change (`host/path#42`), a run, a digest, a tag, `name:tag`, a version, a deployment, an incident
    ///
    /// Ids of commits and digests may be cut off after 7 characters. A kind and a colon before it say what is meant where
    /// several things have the name: `tag:v1.4.0`, `version:v1.4.0`.
    thing: String,
    #[command(flatten)]
    known: Known,
}

pub(super) async fn trace(settings: &Settings, args: Trace) -> Result<Outcome, Exit> {
    let questions = Questions::open(settings, &args.known).await?;
    let request = pb::TraceRequest { asked: Some(questions.asked), thing: args.thing };
    let mut client = ProvenanceServiceClient::new(questions.channel).max_decoding_message_size(64 << 20);
    let answer = client.trace(request).await?.into_inner();
    if settings.json {
        return print_json(&answer);
    }
    let mut tree = Tree { answer: &answer, text: String::new() };
    tree.draw();
    print(&printable(&tree.text))
}

/// The answer as text: what comes first stands first, and under each thing what leads to it.
struct Tree<'a> {
    answer: &'a pb::TraceResponse,
    text: String,
}

/// A thing as people are shown it.
fn name(thing: &pb::Thing) -> String {
    match thing.kind.as_str() {
        "commit" => format!("commit {:.12}", thing.id),
        "artifact" => format!("artifact {}", cut(&thing.id)),
        kind => format!("{kind} {}", thing.id),
    }
}

/// A digest, cut to what tells it from others.
fn cut(digest: &str) -> String {
    let (algorithm, hex) = digest.split_once(':').unwrap_or(("", digest));
    format!("{algorithm}:{hex:.12}")
}

/// The first line of a text of somebody's.
fn first_line(text: Option<&String>) -> String {
    text.and_then(|text| text.lines().next()).map(|line| format!("  \"{line:.72}\"")).unwrap_or_default()
}

fn joined(parts: impl IntoIterator<Item = String>) -> String {
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  ")
}

impl Tree<'_> {
    fn line(&mut self, depth: usize, line: &str) {
        let _full = writeln!(self.text, "{:depth$}{line}", "", depth = depth * 2).is_err();
    }

    fn draw(&mut self) {
        let answer = self.answer;
        let things: Vec<_> = answer.things.iter().map(|thing| format!("{} {}", thing.kind, thing.id)).collect();
        let known = answer.basis.unwrap_or_default().known_at;
        self.line(0, &format!("{}, known at {known}", things.join(" and ")));
        self.section("changes", answer.changes.is_empty());
        answer.changes.iter().for_each(|change| self.change(change));
        let (desired, sources): (Vec<_>, Vec<_>) = answer.commits.iter().partition(|commit| commit.desired_state);
        self.section("commits", sources.is_empty());
        sources.into_iter().for_each(|commit| self.commit(commit));
        self.section("artifacts", answer.artifacts.is_empty());
        answer.artifacts.iter().for_each(|artifact| self.artifact(artifact));
        self.section("desired state", desired.is_empty());
        desired.into_iter().for_each(|commit| self.commit(commit));
        self.section("deployments", answer.deployments.is_empty());
        answer.deployments.iter().for_each(|deployment| self.deployment(deployment));
        self.section("incidents", answer.incidents.is_empty());
        answer.incidents.iter().for_each(|incident| self.incident(incident));
        self.section("not known", answer.missing.is_empty());
        answer.missing.iter().for_each(|missing| self.line(1, &missing.text));
        for total in &answer.totals {
            self.line(0, &format!("200 of {} things of the kind {} are shown", total.total, total.kind));
        }
    }

    fn section(&mut self, title: &str, empty: bool) {
        if !empty {
            self.line(0, title);
        }
    }

    /// What leads to a thing.
    fn comes_from(&mut self, kind: &str, id: &str) {
        let answer = self.answer;
        let leads_to = |link: &&pb::TraceLink| link.to.as_ref().is_some_and(|to| to.kind == kind && to.id == id);
        for link in answer.links.iter().filter(leads_to) {
            let from = link.from.as_ref().map(name).unwrap_or_default();
            self.line(2, &format!("<- {from} ({}, event {})", link.evidence.replace('_', " "), link.position));
        }
    }

    fn checks(&mut self, checks: &[pb::TracedCheck]) {
        for check in checks {
            let conclusion = check.conclusion.clone().unwrap_or_default();
            let line = joined([check.kind.clone(), check.name.clone(), conclusion, short(check.at)]);
            self.line(2, &line);
        }
    }

    fn change(&mut self, change: &pb::TracedChange) {
        let id = format!("{}#{}", change.repository, change.change);
        let by = |who: String| if who.is_empty() { who } else { format!("by {who}") };
        let merged = match change.state.as_str() {
            "merged" => joined(["merged".to_owned(), short(change.merged_at), by(person(change.merged_by.as_ref()))]),
            state => state.to_owned(),
        };
        let author = person(change.author.as_ref());
        self.line(1, &format!("{}{}", joined([id.clone(), author, merged]), first_line(change.title.as_ref())));
        for review in &change.reviews {
            let own = if review.own { "(own change)" } else { "" };
            let line = [review.state.replace('_', " "), by(person(review.reviewer.as_ref())), own.to_owned()];
            self.line(2, &format!("review  {}  {}", joined(line), short(review.at)));
        }
        self.comes_from("change", &id);
    }

    fn commit(&mut self, commit: &pb::TracedCommit) {
        let at = short(commit.authored_at.or(commit.committed_at));
        let head = [
            format!("{:.12}", commit.commit),
            commit.repositories.join(", "),
            person(commit.author.as_ref()),
            at,
            commit.tags.join(", "),
        ];
        self.line(1, &format!("{}{}", joined(head), first_line(commit.message.as_ref())));
        self.checks(&commit.checks);
        self.comes_from("commit", &commit.commit);
    }

    fn artifact(&mut self, artifact: &pb::TracedArtifact) {
        let tags: Vec<_> = artifact.tags.iter().map(|tag| tag.image.clone()).collect();
        let names = if tags.is_empty() { &artifact.names } else { &tags };
        self.line(1, &joined([cut(&artifact.digest), names.join(", ")]));
        for build in &artifact.builds {
            let run = build.run.as_ref().map(|run| format!("run {run}")).unwrap_or_default();
            let version = build.version.clone().unwrap_or_default();
            self.line(2, &joined(["build".to_owned(), build.conclusion.clone(), version, run, short(build.at)]));
        }
        for scan in &artifact.scans {
            let of = |n: Option<u32>, word: &str| n.map(|n| format!("{n} {word}")).unwrap_or_default();
            let found = joined([of(scan.critical, "critical"), of(scan.high, "high"), of(scan.findings, "findings")]);
            self.line(
                2,
                &joined([
                    "scan".to_owned(),
                    scan.kind.clone(),
                    scan.tool.clone(),
                    scan.status.clone(),
                    found,
                    short(scan.at),
                ]),
            );
        }
        for sbom in &artifact.sboms {
            self.line(2, &joined(["bill of materials".to_owned(), short(sbom.at)]));
        }
        for attestation in &artifact.attestations {
            let predicate = attestation.predicate.clone().unwrap_or_default();
            self.line(2, &joined(["attestation".to_owned(), predicate, short(attestation.at)]));
        }
        self.checks(&artifact.checks);
        self.comes_from("artifact", &artifact.digest);
    }

    fn incident(&mut self, incident: &pb::TracedIncident) {
        let ended = if incident.resolved_at.is_some() {
            format!("to {}", short(incident.resolved_at))
        } else {
            "lasts".to_owned()
        };
        let external = if incident.external { "not ours" } else { "" };
        let severity = incident.severity.clone().unwrap_or_default();
        let head = [incident.id.clone(), severity, external.to_owned(), short(incident.started_at), ended];
        self.line(1, &format!("{}{}", joined(head), first_line(incident.title.as_ref())));
        self.comes_from("incident", &incident.id);
    }

    fn deployment(&mut self, traced: &pb::TracedDeployment) {
        let Some(deployment) = &traced.deployment else { return };
        let id = format!("{}/{}/{}", traced.environment, traced.service, deployment.id);
        let until = if deployment.class.is_none() {
            "no effect".to_owned()
        } else if deployment.to.is_some() {
            format!("to {}", short(deployment.to))
        } else {
            "runs".to_owned()
        };
        let class = deployment.class.clone().unwrap_or_default();
        self.line(1, &joined([id.clone(), class, deployment.status.clone(), short(deployment.from), until]));
        for uncertain in &deployment.uncertain {
            self.line(2, &format!("uncertain: {uncertain}"));
        }
        self.comes_from("deployment", &id);
    }
}
