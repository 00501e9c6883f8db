//! Branches, tags and the commits that come with them.

use serde::Deserialize;

use super::super::forge::{self, Push, PushedCommit, Reference, soft};
use super::Events;
use super::heard::{Heard, Place};
use crate::event::git::{BranchUpdated, ObjectKind, TagCreated, TagDeleted, TagMoved};
use crate::event::{Data, Draft, GitOid, Timestamp};
use crate::ingest::Rejection;
use crate::ingest::kubernetes::object::nullable;
use crate::report::value;

#[derive(Deserialize)]
struct PushBody {
    #[serde(rename = "ref")]
    reference: String,
    before: String,
    after: String,
    #[serde(default, deserialize_with = "soft")]
    forced: Option<bool>,
    #[serde(default, deserialize_with = "nullable")]
    commits: Vec<PushedCommit>,
    #[serde(default)]
    head_commit: Option<PushedCommit>,
}

/// A push as the Events API tells it: without times of commits, and never of a new or deleted reference.
#[derive(Deserialize)]
struct ToldPush {
    #[serde(rename = "ref")]
    reference: String,
    before: String,
    head: String,
}

/// A branch or tag that came to be or went, by its short name and without what it points to.
#[derive(Deserialize)]
struct Named {
    #[serde(rename = "ref", default)]
    reference: Option<String>,
    ref_type: String,
}

/// What a reference pointed to, and what it points to now.
struct Move {
    before: Option<GitOid>,
    after: Option<GitOid>,
    forced: Option<bool>,
    /// The commit that a tag leads to.
    commit: Option<GitOid>,
}

/// A push: its commits in their order, then the branch or tag.
///
/// # Errors
/// What is wrong, and where.
pub(super) fn push(heard: &Heard<'_>) -> Result<Events, Rejection> {
    let mut body: PushBody = heard.read()?;
    let place = heard.place()?;
    let (before, after) = (forge::oid("before", &body.before)?, forge::oid("after", &body.after)?);
    let pushed_at = heard.moment(&place);
    let push = Push { delivery: heard.delivery, stream: &place.stream, repository_id: place.id, pushed_at };
    let mut events = push.commits("commits", &body.commits)?;
    let mut commit = None;
    if let Some(head) = body.head_commit.take() {
        // Of a tag, or a branch made at a commit that is there already, the list is empty.
        let (id, draft) = push.commit(&head).map_err(|rejection| rejection.at("head_commit"))?;
        commit = Some(id);
        let new = |draft: &Draft| events.drafts.iter().all(|known| known.dedup != draft.dedup);
        events.drafts.extend(draft.filter(new));
    }
    let moved = Move { before, after, forced: body.forced, commit };
    let Some(data) = moved_reference(&Reference::of(&body.reference), moved) else {
        return Ok(Events::passed_over("push.neither_branch_nor_tag"));
    };
    events.drafts.push(reference(heard, &place, data, pushed_at)?);
    Ok(Events { repositories: place.clone_url.into_iter().collect(), ..events })
}

/// A push in the Events API.
///
/// # Errors
/// What is wrong, and where.
pub(super) fn told_push(heard: &Heard<'_>) -> Result<Events, Rejection> {
    let body: ToldPush = heard.read()?;
    let place = heard.place()?;
    let (before, after) = (forge::oid("before", &body.before)?, forge::oid("head", &body.head)?);
    let moved = Move { before, after, forced: None, commit: None };
    let Some(data) = moved_reference(&Reference::of(&body.reference), moved) else {
        return Ok(Events::passed_over("push.neither_branch_nor_tag"));
    };
    let draft = reference(heard, &place, data, heard.moment(&place))?;
    Ok(Events { repositories: place.clone_url.into_iter().collect(), ..Events::one(draft) })
}

/// The event of a reference that moved. Of an annotated tag, `before` and `after` are tag objects, and only the commit
/// beside them tells what it leads to.
fn moved_reference(reference: &Reference, moved: Move) -> Option<Data> {
    let Move { before, after, forced, commit } = moved;
    let data: Data = match reference {
        Reference::Other => return None,
        Reference::Branch(branch) => BranchUpdated {
            created: before.is_none().then_some(true),
            deleted: after.is_none().then_some(true),
            branch: branch.clone(),
            branch_hex: None,
            before,
            after,
            forced,
        }
        .into(),
        Reference::Tag(tag) => {
            let annotated = commit.as_ref().map(|commit| after.as_ref() != Some(commit));
            let tag_object = after.clone().filter(|_| annotated == Some(true));
            match (before, after) {
                (before, None) => TagDeleted { before, tag: tag.clone(), tag_hex: None }.into(),
                (Some(before), Some(after)) => TagMoved {
                    after: commit.unwrap_or(after),
                    before,
                    tag: tag.clone(),
                    tag_hex: None,
                    tag_object,
                    tagged_at: None,
                    tagger: None,
                }
                .into(),
                (None, Some(_)) => TagCreated { annotated, tag_object, ..tag_created(tag.clone(), commit) }.into(),
            }
        }
    };
    Some(data)
}

fn tag_created(tag: String, target: Option<GitOid>) -> TagCreated {
    TagCreated {
        annotated: None,
        message: None,
        signature: None,
        tag,
        tag_hex: None,
        tag_object: None,
        tagged_at: None,
        tagger: None,
        target_kind: target.is_some().then_some(ObjectKind::Commit),
        target,
    }
}

/// A branch or tag was made: `create`. The push that made it tells more, but not everybody subscribes to it.
///
/// # Errors
/// What is wrong, and where.
pub(super) fn created(heard: &Heard<'_>) -> Result<Events, Rejection> {
    named(heard, |kind, name| match kind {
        "branch" => Some(BranchUpdated { created: Some(true), ..branch(name) }.into()),
        "tag" => Some(tag_created(name, None).into()),
        _ => None,
    })
}

/// A branch or tag was deleted: `delete`.
///
/// # Errors
/// What is wrong, and where.
pub(super) fn deleted(heard: &Heard<'_>) -> Result<Events, Rejection> {
    named(heard, |kind, name| match kind {
        "branch" => Some(BranchUpdated { deleted: Some(true), ..branch(name) }.into()),
        "tag" => Some(TagDeleted { before: None, tag: name, tag_hex: None }.into()),
        _ => None,
    })
}

fn branch(branch: String) -> BranchUpdated {
    BranchUpdated { after: None, before: None, branch, branch_hex: None, created: None, deleted: None, forced: None }
}

fn named(heard: &Heard<'_>, data: impl Fn(&str, String) -> Option<Data>) -> Result<Events, Rejection> {
    let body: Named = heard.read()?;
    let place = heard.place()?;
    // Of a repository that was made, the Events API says so here, without a name.
    let name = match forge::plain(body.reference.as_deref()) {
        Some(name) => name,
        None if matches!(body.ref_type.as_str(), "branch" | "tag") => return Err(Rejection::missing("ref")),
        None => String::new(),
    };
    let Some(data) = data(&body.ref_type, name) else {
        return Ok(Events::passed_over(format!("{}.{}", heard.event, value::cut(&body.ref_type, 64))));
    };
    let draft = reference(heard, &place, data, heard.moment(&place))?;
    Ok(Events { repositories: place.clone_url.into_iter().collect(), ..Events::one(draft) })
}

/// A reference has no number at GitHub, so its event is known by the body.
fn reference(heard: &Heard<'_>, place: &Place, data: Data, at: Timestamp) -> Result<Draft, Rejection> {
    let mut draft = heard.delivery.draft(data, place.stream.clone(), "", at)?;
    draft.actor.clone_from(&heard.sender);
    Ok(draft)
}
