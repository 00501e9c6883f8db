//! Branches, tags and the commits that come with them.

use serde::Deserialize;

use super::super::forge::{self, Push, PushedCommit, Reference, soft};
use super::{Delivery, Events, Place, Project, named};
use crate::event::git::{BranchUpdated, ObjectKind, TagCreated, TagDeleted, TagMoved};
use crate::event::{Data, GitOid};
use crate::ingest::Rejection;
use crate::ingest::kubernetes::object::nullable;

#[derive(Deserialize)]
struct Body {
    #[serde(rename = "ref")]
    reference: String,
    before: String,
    after: String,
    /// The commit that the reference leads to; null when it was deleted.
    #[serde(default)]
    checkout_sha: Option<String>,
    /// The annotation of a tag.
    #[serde(default, deserialize_with = "soft")]
    message: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    user_username: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    project: Option<Project>,
    #[serde(default, deserialize_with = "soft")]
    repository: Option<Project>,
    #[serde(default, deserialize_with = "soft")]
    project_id: Option<u64>,
    /// At most the newest twenty.
    #[serde(default, deserialize_with = "nullable")]
    commits: Vec<PushedCommit>,
}

/// A push: its commits in their order, then the branch or tag.
///
/// # Errors
/// What is wrong, and where.
pub(super) fn push(delivery: &Delivery<'_>) -> Result<Events, Rejection> {
    let body: Body = delivery.json()?;
    let place = Place::of(body.project.as_ref(), body.repository.as_ref())?;
    let (before, after) = (forge::oid("before", &body.before)?, forge::oid("after", &body.after)?);
    let commit = body.checkout_sha.as_deref().map_or(Ok(None), |sha| forge::oid("checkout_sha", sha))?;
    let repository_id = place.id.or(body.project_id);
    let push = Push { delivery, stream: &place.stream, repository_id, pushed_at: delivery.received_at };
    let mut events = push.commits("commits", &body.commits)?;
    let data = match Reference::of(&body.reference) {
        Reference::Other => return Ok(Events::passed_over("push.neither_branch_nor_tag")),
        Reference::Branch(branch) => branch_updated(branch, before, after),
        Reference::Tag(tag) => tag_event(tag, before, after, commit, &body),
    };
    let mut draft = super::draft(delivery, data, place.stream.clone())?;
    draft.actor = named(body.user_username.as_deref());
    events.drafts.push(draft);
    Ok(Events { repositories: place.clone_url.into_iter().collect(), ..events })
}

/// Whether history was rewritten is not told.
fn branch_updated(branch: String, before: Option<GitOid>, after: Option<GitOid>) -> Data {
    let (created, deleted) = (before.is_none().then_some(true), after.is_none().then_some(true));
    BranchUpdated { after, before, branch, branch_hex: None, created, deleted, forced: None }.into()
}

/// Of an annotated tag, `after` is the tag object.
fn tag_event(tag: String, before: Option<GitOid>, after: Option<GitOid>, commit: Option<GitOid>, body: &Body) -> Data {
    let annotated = commit.as_ref().map(|commit| after.as_ref() != Some(commit));
    let tag_object = after.clone().filter(|_| annotated == Some(true));
    let tagger = named(body.user_username.as_deref()).filter(|_| annotated == Some(true));
    match (before, after) {
        (before, None) => TagDeleted { before, tag, tag_hex: None }.into(),
        (Some(before), Some(after)) => {
            TagMoved { after: commit.unwrap_or(after), before, tag, tag_hex: None, tag_object, tagged_at: None, tagger }
                .into()
        }
        (None, Some(_)) => TagCreated {
            annotated,
            message: forge::private(body.message.as_deref()),
            signature: None,
            tag,
            tag_hex: None,
            tag_object,
            tagged_at: None,
            tagger,
            target_kind: commit.is_some().then_some(ObjectKind::Commit),
            target: commit,
        }
        .into(),
    }
}
