//! GitHub: webhooks, and the entries of its Events API, which wrap the same payloads.
//!
//! The kind of event is only in the header `X-GitHub-Event`; without it (a body from a file) the body's members tell.
//! GitHub signs the body and not the headers, so keys are made of what the body says. What has a number at GitHub (a
//! review, an attempt of a run, a deployment) is known by it, so that a hook of the repository, one of the organisation
//! and the Events API tell one event; what has none is known by the body.

mod changes;
mod checks;
mod deployments;
mod heard;
mod packages;
mod refs;
mod releases;
mod runs;

use heard::Heard;
use serde::Deserialize;

use super::forge::{self, soft};
use super::{Authentication, Delivery, Events, Headers, Rejection, System};
use crate::event::Subject;
use crate::event::check::Conclusion;
use crate::ingest::Reason;
use crate::report::Sketch;

/// GitHub.
pub(super) const SYSTEM: System = System {
    name: "github",
    about: "GitHub, github.com or an Enterprise Server: webhooks with content type application/json",
    events: &[
        "push",
        "create, delete",
        "pull_request (opened, reopened, closed)",
        "pull_request_review (submitted, dismissed)",
        "check_run, check_suite (completed)",
        "status (success, failure, error)",
        "workflow_run (requested, in_progress, completed)",
        "workflow_job (in_progress, completed)",
        "release (published, released, prereleased)",
        "package, registry_package (published, updated) of container images",
        "deployment (created)",
        "deployment_status (success, failure, error)",
    ],
    authentication: Authentication::HubSignature,
    secret_members: &[],
    recognise,
    normalise,
};

fn recognise(headers: &Headers, sketch: &Sketch) -> bool {
    // A long text may hide who sent it and of which repository, which come last.
    let of_github = || {
        ["sender.login", "repository.full_name", "compare"].into_iter().any(|member| sketch.has(member))
            || sketch.members.keys().any(|member| member.ends_with(".node_id"))
    };
    headers.get("x-github-event").is_some()
        || (heard::is_envelope(|member| sketch.has(member)) && sketch.get("type").ends_with("Event"))
        || (!sketch.has("object_kind") && heard::kind(|member| sketch.has(member)).is_some() && of_github())
}

fn normalise(delivery: &Delivery<'_>) -> Result<Events, Rejection> {
    let heard = Heard::of(delivery)?;
    let events = events(&heard).map_err(|rejection| if heard.wrapped { rejection.at("payload") } else { rejection })?;
    // The same is told by several hooks, and again for every branch that a commit comes to.
    Ok(Events { repeats: true, ..events })
}

fn events(heard: &Heard<'_>) -> Result<Events, Rejection> {
    match (heard.event.as_str(), heard.action.as_deref().unwrap_or_default()) {
        ("push", _) if heard.wrapped => refs::told_push(heard),
        ("push", _) => refs::push(heard),
        ("create", _) => refs::created(heard),
        ("delete", _) => refs::deleted(heard),
        ("pull_request", action @ ("opened" | "reopened" | "closed" | "merged")) => changes::change(heard, action),
        // The Events API says `created` where a webhook says `submitted`.
        ("pull_request_review", "submitted" | "created") => changes::review(heard, false),
        ("pull_request_review", "dismissed") => changes::review(heard, true),
        ("check_run", "completed") => checks::run(heard),
        ("check_suite", "completed") => checks::suite(heard),
        ("status", _) => checks::status(heard),
        ("workflow_run", "requested" | "in_progress") => runs::started(heard),
        ("workflow_run", "completed") => runs::finished(heard),
        ("workflow_job", "in_progress") => runs::job_started(heard),
        ("workflow_job", "completed") => runs::job_finished(heard),
        ("release", "published" | "released" | "prereleased") => releases::published(heard),
        (event @ ("package" | "registry_package"), "published" | "updated") => packages::published(heard, event),
        ("deployment", "created" | "") => deployments::started(heard),
        ("deployment_status", "created" | "") => deployments::finished(heard),
        _ => Ok(heard.passed_over()),
    }
}

/// Somebody with an account.
#[derive(Deserialize)]
struct User {
    #[serde(default, deserialize_with = "soft")]
    login: Option<String>,
}

/// Who that is. GitHub shows accounts that were deleted as `ghost`.
fn person(user: Option<&User>) -> Option<Subject> {
    forge::filled(user?.login.as_deref()).map(|login| Subject::identity(format!("github:{}", forge::name(login))))
}

/// The same where there must be somebody.
fn somebody(user: Option<&User>) -> Subject {
    person(user).unwrap_or_else(|| Subject::identity("github:ghost"))
}

/// A repository, as far as it must be told apart from others.
#[derive(Deserialize)]
struct RepositoryId {
    #[serde(default, deserialize_with = "soft")]
    id: Option<u64>,
    #[serde(default, deserialize_with = "soft")]
    full_name: Option<String>,
}

/// A pull request that something else belongs to.
#[derive(Deserialize)]
struct ChangeLink {
    number: u64,
    head: LinkEnd,
    base: LinkEnd,
}

#[derive(Deserialize)]
struct LinkEnd {
    #[serde(rename = "ref", default)]
    branch: String,
    #[serde(default)]
    sha: String,
    #[serde(default, deserialize_with = "soft")]
    repo: Option<RepositoryId>,
}

impl LinkEnd {
    fn is_in(&self, repository_id: Option<u64>) -> bool {
        repository_id.is_some() && self.repo.as_ref().and_then(|repo| repo.id) == repository_id
    }
}

/// The one change in this repository among those that have the commit as their head. GitHub lists those of other
/// repositories, too; where there are several, none is meant before the others.
fn only_change(links: Option<&[ChangeLink]>, repository_id: Option<u64>) -> Option<String> {
    let mut here = links?.iter().filter(|link| link.base.is_in(repository_id));
    let first = here.next()?;
    here.next().is_none().then(|| first.number.to_string())
}

/// The branch of that name, if a change proves that it is one of this repository: a bare `head_branch` may as well be a
/// tag, or the branch of a fork that is called like one here.
fn proven_branch(
    name: Option<&str>,
    commit: &str,
    links: Option<&[ChangeLink]>,
    repository_id: Option<u64>,
) -> Option<String> {
    let proves = |link: &ChangeLink| {
        link.head.is_in(repository_id) && Some(link.head.branch.as_str()) == name && link.head.sha == commit
    };
    links?.iter().any(proves).then(|| forge::plain(name)).flatten()
}

/// How it came out.
fn conclusion(field: &str, word: Option<&str>) -> Result<Conclusion, Rejection> {
    let word = word.ok_or_else(|| Rejection::missing(field))?;
    word.parse().map_err(|error: crate::event::Error| Rejection::new(Reason::BadField, error.to_string()).at(field))
}
