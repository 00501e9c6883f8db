//! Deployments of jobs to environments.

use serde::Deserialize;

use super::super::deployed::Deployed;
use super::super::forge::{self, soft};
use super::{Delivery, Events, Place, Project, User, passed_over, person};
use crate::event::{Data, GitOid};
use crate::ingest::{Asked, Reason, Rejection};

#[derive(Deserialize)]
struct Body {
    deployment_id: u64,
    status: String,
    #[serde(default)]
    status_changed_at: Option<String>,
    environment: String,
    #[serde(default, deserialize_with = "soft")]
    short_sha: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    commit_url: Option<String>,
    #[serde(rename = "ref", default, deserialize_with = "soft")]
    reference: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    deployable_url: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    user: Option<User>,
    #[serde(default, deserialize_with = "soft")]
    project: Option<Project>,
}

impl Body {
    /// The commit that is deployed. In full it stands only at the end of a link.
    fn commit(&self) -> Result<Option<GitOid>, Rejection> {
        let tail = self.commit_url.as_deref().and_then(|url| url.trim_end_matches('/').rsplit('/').next());
        let Some(commit) = tail.and_then(|tail| tail.parse::<GitOid>().ok()) else { return Ok(None) };
        match forge::filled(self.short_sha.as_deref()) {
            Some(short) if !commit.as_str().starts_with(&short.to_ascii_lowercase()) => {
                let what = format!("leads to {commit}, which is not the commit of short_sha");
                Err(Rejection::new(Reason::OtherSubject, what).at("commit_url"))
            }
            _ => Ok(Some(commit)),
        }
    }
}

/// A deployment began or ended.
///
/// # Errors
/// What is wrong, and where.
pub(super) fn deployment(delivery: &Delivery<'_>) -> Result<Events, Rejection> {
    let body: Body = delivery.json()?;
    if !matches!(body.status.as_str(), "running" | "success" | "failed" | "canceled") {
        return Ok(passed_over("deployment", &body.status));
    }
    let place = Place::of(body.project.as_ref(), None)?;
    let asked = Asked { environment: Some(&body.environment), repository: Some(place.name()), ..Asked::default() };
    let target = delivery.targets.stream(&asked)?;
    let at = forge::time(delivery.received_at, "status_changed_at", body.status_changed_at.as_deref())?
        .unwrap_or(delivery.received_at);
    let key = forge::key(&place.stream, &format!("deployment:{} {}", body.deployment_id, body.status))?;
    let known = Deployed {
        commit: body.commit()?,
        deployment: body.deployment_id.to_string(),
        asked_for: forge::plain(body.reference.as_deref()),
        creator: person(body.user.as_ref()),
        message: None,
        repository: place.stream,
        run: None,
        started_at: None,
        url: forge::link(body.deployable_url.as_deref()),
    };
    let data: Data = match body.status.as_str() {
        "running" => known.started(at).into(),
        "success" => known.succeeded(at).into(),
        "canceled" => known.terminated(at).into(),
        _ => known.failed(at).into(),
    };
    let mut draft = delivery.draft_as(data, target, key, at)?;
    draft.actor = person(body.user.as_ref());
    Ok(Events::one(draft))
}
