//! Deployments that somebody told GitHub of, and what came of them. They come in any order.

use serde::Deserialize;

use super::super::deployed::Deployed;
use super::super::forge::{self, soft};
use super::heard::{Heard, Place};
use super::{Events, User, person};
use crate::event::{Data, StreamName, Timestamp};
use crate::ingest::{Asked, Rejection};
use crate::report::value;

#[derive(Deserialize)]
struct Body {
    deployment: Deployment,
    #[serde(default, deserialize_with = "soft")]
    workflow_run: Option<RunId>,
}

#[derive(Deserialize)]
struct StatusBody {
    deployment_status: Status,
}

#[derive(Deserialize)]
struct RunId {
    id: u64,
}

#[derive(Deserialize)]
struct Deployment {
    id: u64,
    sha: String,
    /// A branch, a tag or a commit: as it was asked for, so it does not say which.
    #[serde(rename = "ref", default, deserialize_with = "soft")]
    reference: Option<String>,
    #[serde(default)]
    environment: String,
    #[serde(default, deserialize_with = "soft")]
    creator: Option<User>,
    #[serde(default)]
    created_at: Option<String>,
}

#[derive(Deserialize)]
struct Status {
    id: u64,
    state: String,
    #[serde(default, deserialize_with = "soft")]
    environment: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    description: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    target_url: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    log_url: Option<String>,
    #[serde(default)]
    created_at: Option<String>,
}

/// What is known of a deployment, and the target that it is of.
fn known(
    heard: &Heard<'_>,
    body: &Body,
    place: &Place,
    environment: &str,
) -> Result<(StreamName, Deployed), Rejection> {
    let deployment = &body.deployment;
    let asked = Asked { environment: Some(environment), repository: Some(place.name()), ..Asked::default() };
    let known = Deployed {
        commit: Some(value::git_oid("sha", &deployment.sha)?),
        deployment: deployment.id.to_string(),
        asked_for: forge::plain(deployment.reference.as_deref()),
        creator: person(deployment.creator.as_ref()),
        message: None,
        repository: place.stream.clone(),
        run: body.workflow_run.as_ref().map(|run| run.id.to_string()),
        started_at: forge::time(heard.now(), "created_at", deployment.created_at.as_deref())?,
        url: None,
    };
    Ok((heard.delivery.targets.stream(&asked)?, known))
}

/// A deployment was made.
///
/// # Errors
/// What is wrong, and where.
pub(super) fn started(heard: &Heard<'_>) -> Result<Events, Rejection> {
    let body: Body = heard.read()?;
    let place = heard.place()?;
    let started = || {
        let (target, known) = known(heard, &body, &place, &body.deployment.environment)?;
        let at = known.started_at.ok_or_else(|| Rejection::missing("created_at"))?;
        event(heard, &place, target, known.started(at), &format!("deployment:{} started", body.deployment.id), at)
    };
    started().map_err(|rejection| rejection.at("deployment"))
}

/// A deployment came to an end. `inactive` is said of one that another has taken the place of, which is not news of it.
///
/// # Errors
/// What is wrong, and where.
pub(super) fn finished(heard: &Heard<'_>) -> Result<Events, Rejection> {
    let status = heard.read::<StatusBody>()?.deployment_status;
    if !matches!(status.state.as_str(), "success" | "failure" | "error") {
        return Ok(Events::passed_over(format!("deployment_status.{}", value::cut(&status.state, 64))));
    }
    let body: Body = heard.read()?;
    let place = heard.place()?;
    // A status may move the deployment to another environment.
    let environment = forge::filled(status.environment.as_deref()).unwrap_or(&body.deployment.environment);
    let (target, mut known) =
        known(heard, &body, &place, environment).map_err(|rejection| rejection.at("deployment"))?;
    known.message = forge::private(status.description.as_deref());
    known.url = forge::link(status.log_url.as_deref()).or_else(|| forge::link(status.target_url.as_deref()));
    let finished = || {
        let at = forge::need_time(heard.now(), "created_at", status.created_at.as_deref())?;
        let data: Data = match status.state.as_str() {
            "success" => known.succeeded(at).into(),
            _ => known.failed(at).into(),
        };
        event(heard, &place, target, data, &format!("deployment_status:{}", status.id), at)
    };
    finished().map_err(|rejection| rejection.at("deployment_status"))
}

fn event(
    heard: &Heard<'_>,
    place: &Place,
    target: StreamName,
    data: impl Into<Data>,
    key: &str,
    at: Timestamp,
) -> Result<Events, Rejection> {
    let mut draft = heard.delivery.draft_as(data, target, forge::key(&place.stream, key)?, at)?;
    draft.actor.clone_from(&heard.sender);
    Ok(Events::one(draft))
}
