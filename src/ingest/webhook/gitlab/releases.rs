//! Releases.

use serde::Deserialize;

use super::super::forge::{self, soft};
use super::{Delivery, Events, Place, Project};
use crate::event::git::ReleasePublished;
use crate::ingest::Rejection;
use crate::report::value;

#[derive(Deserialize)]
struct Body {
    id: u64,
    tag: String,
    #[serde(default, deserialize_with = "soft")]
    name: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    description: Option<String>,
    #[serde(default)]
    created_at: Option<String>,
    #[serde(default)]
    released_at: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    url: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    commit: Option<Commit>,
    #[serde(default, deserialize_with = "soft")]
    project: Option<Project>,
}

#[derive(Deserialize)]
struct Commit {
    id: String,
}

/// A release was made. One that is announced for a later day is none yet.
///
/// # Errors
/// What is wrong, and where.
pub(super) fn release(delivery: &Delivery<'_>) -> Result<Events, Rejection> {
    let body: Body = delivery.json()?;
    let place = Place::of(body.project.as_ref(), None)?;
    let made_at = forge::time(delivery.received_at, "created_at", body.created_at.as_deref())?;
    let released_at =
        body.released_at.as_deref().map_or(Ok(None), |text| value::time("released_at", text))?.or(made_at);
    let released_at = released_at.ok_or_else(|| Rejection::missing("released_at"))?;
    if released_at > delivery.received_at && Some(released_at) != made_at {
        return Ok(Events::passed_over("release.upcoming"));
    }
    let data = ReleasePublished {
        author: None,
        commitish: body.commit.as_ref().and_then(|commit| forge::plain(Some(&commit.id))),
        name: forge::private(body.name.as_deref()),
        notes: forge::private(body.description.as_deref()),
        prerelease: None,
        published_at: released_at,
        release: Some(body.id.to_string()),
        tag: forge::plain(Some(&body.tag)).ok_or_else(|| Rejection::missing("tag"))?,
        url: forge::link(body.url.as_deref()),
    };
    let key = forge::key(&place.stream, &format!("release:{} created", body.id))?;
    // It may be dated back.
    let at = made_at.unwrap_or(released_at);
    Ok(Events::one(delivery.draft_as(data, place.stream, key, at)?))
}
