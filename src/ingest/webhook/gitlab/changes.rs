//! Merge requests.

use serde::Deserialize;

use super::super::forge::{self, soft};
use super::{Delivery, Events, Place, Project, User, passed_over, person};
use crate::event::change::{ChangeAbandoned, ChangeCreated, ChangeMerged, ChangeReviewed, MergeMethod, ReviewState};
use crate::event::{Data, GitOid, Subject, Timestamp};
use crate::ingest::Rejection;
use crate::report::value;

#[derive(Deserialize)]
struct Body {
    object_attributes: Change,
    #[serde(default, deserialize_with = "soft")]
    user: Option<User>,
    #[serde(default, deserialize_with = "soft")]
    assignees: Option<Vec<User>>,
    #[serde(default, deserialize_with = "soft")]
    reviewers: Option<Vec<User>>,
    #[serde(default, deserialize_with = "soft")]
    project: Option<Project>,
    #[serde(default, deserialize_with = "soft")]
    labels: Option<Vec<Label>>,
}

#[derive(Deserialize)]
struct Change {
    id: u64,
    iid: u64,
    source_branch: String,
    target_branch: String,
    #[serde(default, deserialize_with = "soft")]
    source_project_id: Option<u64>,
    #[serde(default, deserialize_with = "soft")]
    target_project_id: Option<u64>,
    #[serde(default, deserialize_with = "soft")]
    author_id: Option<u64>,
    #[serde(default, deserialize_with = "soft")]
    title: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    description: Option<String>,
    #[serde(default)]
    created_at: Option<String>,
    #[serde(default)]
    updated_at: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    draft: Option<bool>,
    /// What drafts were called before.
    #[serde(default, deserialize_with = "soft")]
    work_in_progress: Option<bool>,
    #[serde(default, deserialize_with = "soft")]
    url: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    source: Option<Source>,
    #[serde(default)]
    last_commit: Option<LastCommit>,
    #[serde(default)]
    merge_commit_sha: Option<String>,
    #[serde(default)]
    squash_commit_sha: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    labels: Option<Vec<Label>>,
}

#[derive(Deserialize)]
struct Source {
    #[serde(default, deserialize_with = "soft")]
    path_with_namespace: Option<String>,
}

#[derive(Deserialize)]
struct LastCommit {
    id: String,
}

#[derive(Deserialize)]
struct Label {
    #[serde(default)]
    title: String,
}

impl Body {
    /// Who wants it. Only a number is told, which is that of somebody named elsewhere in the body, or of nobody.
    fn author(&self) -> Option<Subject> {
        let id = self.object_attributes.author_id?;
        let lists = [self.assignees.as_deref(), self.reviewers.as_deref()];
        let mut people = self.user.iter().chain(lists.into_iter().flatten().flatten());
        let named = people.find(|user| user.id == Some(id)).and_then(|user| person(Some(user)));
        // No name begins with this sign.
        Some(named.unwrap_or_else(|| Subject::identity(format!("gitlab:#{id}"))))
    }

    fn labels(&self) -> Option<Vec<String>> {
        let labels = self.object_attributes.labels.as_ref().or(self.labels.as_ref())?;
        Some(forge::labels(labels.iter().map(|label| label.title.as_str())))
    }

    fn is_from_fork(&self) -> Option<bool> {
        let change = &self.object_attributes;
        change.source_project_id.zip(change.target_project_id).map(|(source, target)| source != target)
    }

    fn head_commit(&self) -> Result<Option<GitOid>, Rejection> {
        let last = self.object_attributes.last_commit.as_ref();
        last.map(|commit| value::git_oid("last_commit.id", &commit.id)).transpose()
    }
}

/// A merge request was opened, reviewed, merged or closed.
///
/// # Errors
/// What is wrong, and where.
pub(super) fn change(delivery: &Delivery<'_>, action: &str) -> Result<Events, Rejection> {
    if !matches!(action, "open" | "reopen" | "close" | "merge" | "approved" | "approval" | "unapproved" | "unapproval")
    {
        return Ok(passed_over("merge_request", action));
    }
    let body: Body = delivery.json()?;
    let place = Place::of(body.project.as_ref(), None)?;
    let actor = person(body.user.as_ref());
    event(delivery, &body, &place, action)
        .map(|mut draft| {
            draft.actor = actor;
            Events::one(draft)
        })
        .map_err(|rejection| rejection.at("object_attributes"))
}

fn event(delivery: &Delivery<'_>, body: &Body, place: &Place, action: &str) -> Result<crate::event::Draft, Rejection> {
    let change = &body.object_attributes;
    let made_at = forge::time(delivery.received_at, "created_at", change.created_at.as_deref())?;
    let changed_at = forge::time(delivery.received_at, "updated_at", change.updated_at.as_deref())?;
    let known = |data: Data, what: &str, at: Timestamp| {
        let key = forge::key(&place.stream, &format!("merge_request:{} {what}", change.id))?;
        delivery.draft_as(data, place.stream.clone(), key, at)
    };
    let changed = changed_at.unwrap_or(delivery.received_at);
    match action {
        "open" => known(created(body)?.into(), "opened", made_at.unwrap_or(changed)),
        // What was abandoned is wanted again.
        "reopen" => known(created(body)?.into(), &format!("reopened@{changed}"), changed),
        "merge" => known(merged(body)?.into(), "merged", changed),
        "close" => {
            let data = ChangeAbandoned {
                change: change.iid.to_string(),
                head_commit: body.head_commit()?,
                reason: None,
                url: forge::link(change.url.as_deref()),
            };
            known(data.into(), &format!("closed@{changed}"), changed)
        }
        // Neither a number nor a time of its own.
        _ => super::draft(delivery, reviewed(body, action)?, place.stream.clone()),
    }
}

fn created(body: &Body) -> Result<ChangeCreated, Rejection> {
    let change = &body.object_attributes;
    let from_fork = body.is_from_fork();
    let source = change.source.as_ref().and_then(|source| forge::private(source.path_with_namespace.as_deref()));
    Ok(ChangeCreated {
        author: body.author().or_else(|| person(body.user.as_ref())).ok_or_else(|| Rejection::missing("author_id"))?,
        base: forge::name(&change.target_branch),
        base_commit: None,
        change: change.iid.to_string(),
        description: forge::private(change.description.as_deref()),
        draft: change.draft.or(change.work_in_progress),
        from_fork,
        head: forge::name(&change.source_branch),
        head_commit: body.head_commit()?.ok_or_else(|| Rejection::missing("last_commit"))?,
        head_repository: source.filter(|_| from_fork == Some(true)),
        hotfix: None,
        labels: body.labels(),
        title: forge::private(change.title.as_deref()),
        url: forge::link(change.url.as_deref()),
    })
}

/// Approvals have no number. `approved` is said of the last one that was needed, `approval` of any other.
fn reviewed(body: &Body, action: &str) -> Result<ChangeReviewed, Rejection> {
    let change = &body.object_attributes;
    Ok(ChangeReviewed {
        author: body.author(),
        change: change.iid.to_string(),
        code_owner: None,
        comment: None,
        commit: body.head_commit()?,
        review: None,
        reviewer: person(body.user.as_ref()).ok_or_else(|| Rejection::missing("user.username"))?,
        reviewer_association: None,
        state: if action.starts_with("un") { ReviewState::Dismissed } else { ReviewState::Approved },
        url: forge::link(change.url.as_deref()),
    })
}

/// Without a merge commit and without a squash the branch was moved forward, to the last commit of the head.
fn merged(body: &Body) -> Result<ChangeMerged, Rejection> {
    let change = &body.object_attributes;
    let told = |field: &str, sha: Option<&str>| forge::filled(sha).map_or(Ok(None), |sha| forge::oid(field, sha));
    let merge = told("merge_commit_sha", change.merge_commit_sha.as_deref())?;
    let squash = told("squash_commit_sha", change.squash_commit_sha.as_deref())?;
    let head_commit = body.head_commit()?;
    let method = match (&merge, &squash) {
        (_, Some(_)) => Some(MergeMethod::Squash),
        // Of a squashed commit, too; that is not told in every version.
        (Some(_), None) => None,
        (None, None) => Some(MergeMethod::FastForward),
    };
    let commit = merge.or(squash).or_else(|| head_commit.clone());
    Ok(ChangeMerged {
        additions: None,
        approved_by: None,
        author: body.author(),
        base: forge::name(&change.target_branch),
        base_commit: None,
        change: change.iid.to_string(),
        cherry_picked_from: None,
        commit: commit.ok_or_else(|| Rejection::missing("merge_commit_sha"))?,
        deletions: None,
        files_changed: None,
        head: Some(forge::name(&change.source_branch)),
        head_commit,
        hotfix: None,
        labels: body.labels(),
        merged_by: person(body.user.as_ref()),
        method,
        original_commits: None,
        original_commits_total: None,
        protection: None,
        reverts_change: forge::reverted_change(change.description.as_deref(), "This reverts merge request !"),
        title: forge::private(change.title.as_deref()),
        url: forge::link(change.url.as_deref()),
    })
}
