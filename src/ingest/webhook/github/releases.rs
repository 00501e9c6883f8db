//! Releases.

use serde::Deserialize;

use super::super::forge::{self, soft};
use super::heard::Heard;
use super::{Events, User, person};
use crate::event::git::ReleasePublished;
use crate::ingest::Rejection;

#[derive(Deserialize)]
struct Body {
    release: Release,
}

#[derive(Deserialize)]
struct Release {
    id: u64,
    tag_name: String,
    /// Mostly a branch, and often not that which the tag is on.
    #[serde(default, deserialize_with = "soft")]
    target_commitish: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    name: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    body: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    prerelease: Option<bool>,
    #[serde(default, deserialize_with = "soft")]
    author: Option<User>,
    #[serde(default)]
    published_at: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    html_url: Option<String>,
}

/// A release was published. Several actions say so at once; it is told anew only when what was not for production is
/// from now on.
///
/// # Errors
/// What is wrong, and where.
pub(super) fn published(heard: &Heard<'_>) -> Result<Events, Rejection> {
    let body: Body = heard.read()?;
    let place = heard.place()?;
    let release = &body.release;
    let event = || {
        let at = forge::need_time(heard.now(), "published_at", release.published_at.as_deref())?;
        let tag = forge::plain(Some(&release.tag_name)).ok_or_else(|| Rejection::missing("tag_name"))?;
        let data = ReleasePublished {
            author: person(release.author.as_ref()),
            commitish: forge::plain(release.target_commitish.as_deref()),
            name: forge::private(release.name.as_deref()),
            notes: forge::private(release.body.as_deref()),
            prerelease: release.prerelease,
            published_at: at,
            release: Some(release.id.to_string()),
            tag,
            url: forge::link(release.html_url.as_deref()),
        };
        let kind = if release.prerelease == Some(true) { "prereleased" } else { "released" };
        let key = forge::key(&place.stream, &format!("release:{} {kind}", release.id))?;
        let mut draft = heard.delivery.draft_as(data, place.stream.clone(), key, at)?;
        draft.actor.clone_from(&heard.sender);
        Ok(Events::one(draft))
    };
    event().map_err(|rejection: Rejection| rejection.at("release"))
}
