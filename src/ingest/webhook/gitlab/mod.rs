//! GitLab: gitlab.com or an instance of one's own. The body says by `object_kind` what it is.
//!
//! What has a number at GitLab (a pipeline, a job, a deployment) is known by it; the rest by the body and the number of
//! the delivery. Pushes and approvals have no time of their own: they happened when they were told.

mod changes;
mod deployments;
mod refs;
mod releases;
mod runs;

use serde::Deserialize;

use super::forge::{self, soft};
use super::{Authentication, Delivery, Events, Headers, Rejection, System};
use crate::event::check::Conclusion;
use crate::event::{Data, Draft, StreamName, Subject};
use crate::ingest::git::RepositoryName;
use crate::report::{Sketch, value};

/// GitLab.
pub(super) const SYSTEM: System = System {
    name: "gitlab",
    about: "GitLab, gitlab.com or an instance of one's own",
    events: &[
        "push, tag_push",
        "merge_request (open, reopen, approved, approval, unapproved, unapproval, merge, close)",
        "pipeline (running, success, failed, canceled, skipped)",
        "build, which is a job (running, success, failed, canceled, skipped)",
        "deployment (running, success, failed, canceled)",
        "release (create)",
    ],
    authentication: Authentication::GitlabToken,
    // Variables that somebody gave a pipeline by hand: `{"key": ..., "value": ...}`.
    secret_members: &["value"],
    recognise,
    normalise,
};

/// Most bytes of a word that is shown as passed over.
const WORD_BYTES_MAX: usize = 64;

fn recognise(headers: &Headers, sketch: &Sketch) -> bool {
    headers.get("x-gitlab-event").is_some() || !sketch.get("object_kind").is_empty()
}

#[derive(Deserialize)]
struct Outer {
    #[serde(default, deserialize_with = "soft")]
    object_kind: Option<String>,
    /// What system hooks have in its place.
    #[serde(default, deserialize_with = "soft")]
    event_name: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    action: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    object_attributes: Option<OuterAttributes>,
}

#[derive(Deserialize)]
struct OuterAttributes {
    #[serde(default, deserialize_with = "soft")]
    action: Option<String>,
}

fn normalise(delivery: &Delivery<'_>) -> Result<Events, Rejection> {
    let outer: Outer = delivery.json()?;
    let kind = forge::filled(outer.object_kind.as_deref()).or(forge::filled(outer.event_name.as_deref()));
    let kind = kind.ok_or_else(|| Rejection::missing("object_kind"))?;
    let action = outer.object_attributes.as_ref().and_then(|attributes| attributes.action.as_deref());
    let action = forge::filled(action).or(forge::filled(outer.action.as_deref()));
    let events = match kind {
        "push" | "tag_push" => refs::push(delivery)?,
        "merge_request" => changes::change(delivery, action.unwrap_or_default())?,
        "pipeline" => runs::pipeline(delivery)?,
        "build" => runs::job(delivery)?,
        "deployment" => deployments::deployment(delivery)?,
        "release" if action == Some("create") => releases::release(delivery)?,
        _ => passed_over(kind, action.unwrap_or_default()),
    };
    // A hook that got no answer in time is called again, and a pipeline that runs says so with every job.
    Ok(Events { repeats: true, ..events })
}

/// That it was understood and makes no event.
fn passed_over(kind: &str, what: &str) -> Events {
    let kind = value::cut(kind, WORD_BYTES_MAX);
    match what {
        "" => Events::passed_over(kind),
        what => Events::passed_over(format!("{kind}.{}", value::cut(what, WORD_BYTES_MAX))),
    }
}

/// A draft of what has neither a number nor a time at GitLab, told by `delivery` and known by it. The body alone is not
/// enough: a branch that is pushed forth, back and forth again says the same twice. A delivery that is tried again keeps
/// its number, which is worth as much as the body: the token signs neither.
///
/// # Errors
/// As [`Delivery::draft`].
fn draft(delivery: &Delivery<'_>, data: impl Into<Data>, stream: StreamName) -> Result<Draft, Rejection> {
    let numbers = ["idempotency-key", "x-gitlab-event-uuid"];
    let number = numbers.into_iter().find_map(|name| forge::filled(delivery.headers.get(name)));
    delivery.draft(data, stream, number.unwrap_or_default(), delivery.received_at)
}

/// Somebody with an account.
#[derive(Deserialize)]
struct User {
    #[serde(default, deserialize_with = "soft")]
    id: Option<u64>,
    #[serde(default, deserialize_with = "soft")]
    username: Option<String>,
}

/// Who has that name.
fn named(username: Option<&str>) -> Option<Subject> {
    forge::filled(username).map(|name| Subject::identity(format!("gitlab:{}", forge::name(name))))
}

/// Who that is.
fn person(user: Option<&User>) -> Option<Subject> {
    named(user?.username.as_deref())
}

/// A project, or the older and smaller `repository`.
#[derive(Deserialize)]
struct Project {
    #[serde(default, deserialize_with = "soft")]
    id: Option<u64>,
    #[serde(default, deserialize_with = "soft")]
    git_http_url: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    web_url: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    homepage: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    git_ssh_url: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    ci_config_path: Option<String>,
}

/// The repository that something happened in.
struct Place {
    stream: StreamName,
    /// The project's number.
    id: Option<u64>,
    clone_url: Option<String>,
}

impl Place {
    /// Of the project, else of the repository.
    fn of(project: Option<&Project>, repository: Option<&Project>) -> Result<Self, Rejection> {
        let id = project.and_then(|project| project.id);
        for (member, project) in [("project", project), ("repository", repository)] {
            let Some(project) = project else { continue };
            for (field, url) in [
                ("git_http_url", &project.git_http_url),
                ("web_url", &project.web_url),
                ("homepage", &project.homepage),
                ("git_ssh_url", &project.git_ssh_url),
            ] {
                if let Some(url) = forge::filled(url.as_deref()) {
                    let name = forge::repository(field, url).map_err(|rejection| rejection.at(member))?;
                    let RepositoryName { stream, .. } = name;
                    return Ok(Self { stream, id, clone_url: forge::link(project.git_http_url.as_deref()) });
                }
            }
        }
        Err(Rejection::missing("project.git_http_url"))
    }

    /// `host/path`.
    fn name(&self) -> &str {
        self.stream.as_str().strip_prefix("repo/").unwrap_or_default()
    }
}

/// How something that ended came out, by its status and, where it failed, why. The reason stands there also where
/// nothing failed.
fn ended(status: &str, failure_reason: Option<&str>) -> Option<Conclusion> {
    Some(match (status, failure_reason.unwrap_or_default()) {
        ("success", _) => Conclusion::Success,
        ("canceled", _) => Conclusion::Cancelled,
        ("skipped", _) => Conclusion::Skipped,
        ("failed", "stuck_or_timeout_failure" | "job_execution_timeout") => Conclusion::TimedOut,
        // The job could not do its work, which says nothing about its subject.
        (
            "failed",
            "runner_system_failure"
            | "api_failure"
            | "scheduler_failure"
            | "data_integrity_failure"
            | "runner_unsupported",
        ) => Conclusion::Error,
        ("failed", _) => Conclusion::Failure,
        _ => return None,
    })
}
