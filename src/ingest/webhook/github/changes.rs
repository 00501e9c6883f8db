//! Pull requests and their reviews.

use serde::Deserialize;

use super::super::forge::{self, soft};
use super::heard::{Heard, Place};
use super::{Events, RepositoryId, User, person, somebody};
use crate::event::change::{ChangeAbandoned, ChangeCreated, ChangeMerged, ChangeReviewed, ReviewState};
use crate::event::{Data, Draft, Timestamp};
use crate::ingest::{Reason, Rejection};
use crate::report::value;

#[derive(Deserialize)]
struct ChangeBody {
    pull_request: PullRequest,
}

#[derive(Deserialize)]
struct PullRequest {
    id: u64,
    number: u64,
    #[serde(default, deserialize_with = "soft")]
    html_url: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    title: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    body: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    user: Option<User>,
    #[serde(default, deserialize_with = "soft")]
    draft: Option<bool>,
    #[serde(default)]
    merged: Option<bool>,
    #[serde(default)]
    merge_commit_sha: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    merged_by: Option<User>,
    #[serde(default)]
    created_at: Option<String>,
    #[serde(default)]
    updated_at: Option<String>,
    #[serde(default)]
    closed_at: Option<String>,
    #[serde(default)]
    merged_at: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    labels: Option<Vec<Label>>,
    #[serde(default, deserialize_with = "soft")]
    additions: Option<u32>,
    #[serde(default, deserialize_with = "soft")]
    deletions: Option<u32>,
    #[serde(default, deserialize_with = "soft")]
    changed_files: Option<u32>,
    #[serde(default, deserialize_with = "soft")]
    commits: Option<u32>,
    head: End,
    base: End,
}

#[derive(Deserialize)]
struct Label {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct End {
    #[serde(rename = "ref")]
    branch: String,
    sha: String,
    /// Null when the repository was deleted.
    #[serde(default, deserialize_with = "soft")]
    repo: Option<RepositoryId>,
}

impl PullRequest {
    fn labels(&self) -> Option<Vec<String>> {
        self.labels.as_ref().map(|labels| forge::labels(labels.iter().map(|label| label.name.as_str())))
    }

    /// Whether the head lies elsewhere. One that is gone did; where the base is not told, nobody knows.
    fn is_from_fork(&self) -> Option<bool> {
        let base = self.base.repo.as_ref()?;
        let Some(head) = &self.head.repo else { return Some(true) };
        head.id.zip(base.id).map(|(head, base)| head != base)
    }
}

/// A pull request was opened, opened again, or closed.
///
/// Opened again it is `change.created` once more: what was abandoned is wanted again.
///
/// # Errors
/// What is wrong, and where.
pub(super) fn change(heard: &Heard<'_>, action: &str) -> Result<Events, Rejection> {
    let body: ChangeBody = heard.read()?;
    let place = heard.place()?;
    let change = &body.pull_request;
    let event = match action {
        "opened" => created(heard, &place, change, "created_at", change.created_at.as_deref()),
        "reopened" => created(heard, &place, change, "updated_at", change.updated_at.as_deref()),
        "merged" => merged(heard, &place, change),
        // `merge_commit_sha` says nothing: it is set on what was not merged, too. Shortened entries of the Events API
        // lack `merged`.
        _ => match change.merged.or_else(|| change.merged_at.as_ref().map(|_| true)) {
            Some(true) => merged(heard, &place, change),
            Some(false) => abandoned(heard, &place, change),
            None => Err(Rejection::missing("merged")),
        },
    };
    event.map(Events::one).map_err(|rejection| rejection.at("pull_request"))
}

fn draft(
    heard: &Heard<'_>,
    place: &Place,
    change: &PullRequest,
    data: impl Into<Data>,
    what: &str,
    at: Timestamp,
) -> Result<Draft, Rejection> {
    let key = forge::key(&place.stream, &format!("pull_request:{} {what}", change.id))?;
    let mut draft = heard.delivery.draft_as(data, place.stream.clone(), key, at)?;
    draft.actor.clone_from(&heard.sender);
    Ok(draft)
}

fn created(
    heard: &Heard<'_>,
    place: &Place,
    change: &PullRequest,
    field: &str,
    at: Option<&str>,
) -> Result<Draft, Rejection> {
    let reopened = field == "updated_at";
    let at = forge::time(heard.now(), field, at)?.or(heard.created_at).ok_or_else(|| Rejection::missing(field))?;
    // Shortened entries of the Events API do not name the author, who is whoever opened it.
    let author = person(change.user.as_ref()).or_else(|| heard.sender.clone().filter(|_| !reopened));
    let from_fork = change.is_from_fork();
    let head_repository = change.head.repo.as_ref().and_then(|repo| forge::private(repo.full_name.as_deref()));
    let data = ChangeCreated {
        author: author.unwrap_or_else(|| somebody(None)),
        base: forge::name(&change.base.branch),
        base_commit: Some(value::git_oid("base.sha", &change.base.sha)?),
        change: change.number.to_string(),
        description: forge::private(change.body.as_deref()),
        draft: change.draft,
        from_fork,
        head: forge::name(&change.head.branch),
        head_commit: value::git_oid("head.sha", &change.head.sha)?,
        head_repository: head_repository.filter(|_| from_fork == Some(true)),
        hotfix: None,
        labels: change.labels(),
        title: forge::private(change.title.as_deref()),
        url: forge::link(change.html_url.as_deref()),
    };
    let what = if reopened { format!("reopened@{at}") } else { "opened".to_owned() };
    draft(heard, place, change, data, &what, at)
}

fn merged(heard: &Heard<'_>, place: &Place, change: &PullRequest) -> Result<Draft, Rejection> {
    let at = forge::need_time(heard.now(), "merged_at", change.merged_at.as_deref().or(change.closed_at.as_deref()))?;
    let commit = change.merge_commit_sha.as_deref().ok_or_else(|| Rejection::missing("merge_commit_sha"))?;
    let full_name = place.name().split_once('/').map_or("", |(_, path)| path);
    let data = ChangeMerged {
        additions: change.additions,
        approved_by: None,
        author: person(change.user.as_ref()),
        base: forge::name(&change.base.branch),
        base_commit: Some(value::git_oid("base.sha", &change.base.sha)?),
        change: change.number.to_string(),
        cherry_picked_from: None,
        commit: value::git_oid("merge_commit_sha", commit)?,
        deletions: change.deletions,
        files_changed: change.changed_files,
        head: Some(forge::name(&change.head.branch)),
        head_commit: Some(value::git_oid("head.sha", &change.head.sha)?),
        hotfix: None,
        labels: change.labels(),
        merged_by: person(change.merged_by.as_ref()),
        method: None,
        original_commits: None,
        original_commits_total: change.commits,
        protection: None,
        reverts_change: forge::reverted_change(change.body.as_deref(), &format!("Reverts {full_name}#")),
        title: forge::private(change.title.as_deref()),
        url: forge::link(change.html_url.as_deref()),
    };
    draft(heard, place, change, data, "merged", at)
}

fn abandoned(heard: &Heard<'_>, place: &Place, change: &PullRequest) -> Result<Draft, Rejection> {
    let at = forge::need_time(heard.now(), "closed_at", change.closed_at.as_deref())?;
    let data = ChangeAbandoned {
        change: change.number.to_string(),
        head_commit: Some(value::git_oid("head.sha", &change.head.sha)?),
        reason: None,
        url: forge::link(change.html_url.as_deref()),
    };
    draft(heard, place, change, data, &format!("closed@{at}"), at)
}

#[derive(Deserialize)]
struct ReviewBody {
    review: Review,
    pull_request: Reviewed,
}

#[derive(Deserialize)]
struct Review {
    id: u64,
    #[serde(default, deserialize_with = "soft")]
    user: Option<User>,
    #[serde(default, deserialize_with = "soft")]
    body: Option<String>,
    #[serde(default)]
    commit_id: Option<String>,
    #[serde(default)]
    submitted_at: Option<String>,
    #[serde(default)]
    updated_at: Option<String>,
    #[serde(default)]
    state: String,
    #[serde(default, deserialize_with = "soft")]
    html_url: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    author_association: Option<String>,
}

/// The change that was reviewed. Less of it is sent than with its own events.
#[derive(Deserialize)]
struct Reviewed {
    number: u64,
    #[serde(default, deserialize_with = "soft")]
    user: Option<User>,
    #[serde(default)]
    updated_at: Option<String>,
}

/// A pull request was reviewed, or a review of it was dismissed.
///
/// # Errors
/// What is wrong, and where.
pub(super) fn review(heard: &Heard<'_>, dismissed: bool) -> Result<Events, Rejection> {
    let body: ReviewBody = heard.read()?;
    let place = heard.place()?;
    let within = |rejection: Rejection| rejection.at("review");
    let (review, change) = (&body.review, &body.pull_request);
    // A webhook says `approved`, the API `APPROVED`.
    let state = match review.state.to_ascii_lowercase().as_str() {
        _ if dismissed => ReviewState::Dismissed,
        "approved" => ReviewState::Approved,
        "changes_requested" => ReviewState::ChangesRequested,
        "commented" => ReviewState::Commented,
        // Dismissed since: the message of the review itself came late.
        "dismissed" => ReviewState::Dismissed,
        "pending" => return Ok(heard.passed_over()),
        "" => return Err(within(Rejection::missing("state"))),
        other => {
            let what = format!("{:?} is no state of a review", value::cut(other, 64));
            return Err(within(Rejection::new(Reason::BadField, what).at("state")));
        }
    };
    let submitted_at = forge::time(heard.now(), "submitted_at", review.submitted_at.as_deref()).map_err(within)?;
    let at = if dismissed {
        // `submitted_at` stays that of the review.
        let told = forge::time(heard.now(), "updated_at", review.updated_at.as_deref()).map_err(within)?;
        told.max(forge::time(heard.now(), "pull_request.updated_at", change.updated_at.as_deref())?)
    } else {
        submitted_at
    };
    let at = at.or(heard.created_at).ok_or_else(|| within(Rejection::missing("submitted_at")))?;
    let commit = review.commit_id.as_deref().map(|id| value::git_oid("commit_id", id)).transpose().map_err(within)?;
    let data = ChangeReviewed {
        author: person(change.user.as_ref()),
        change: change.number.to_string(),
        code_owner: None,
        comment: forge::private(review.body.as_deref()),
        commit,
        review: Some(review.id.to_string()),
        reviewer: somebody(review.user.as_ref()),
        reviewer_association: forge::plain(review.author_association.as_deref()),
        state,
        url: forge::link(review.html_url.as_deref()),
    };
    let key = forge::key(
        &place.stream,
        &format!("review:{} {}", review.id, if dismissed { "dismissed" } else { "submitted" }),
    )?;
    let mut draft = heard.delivery.draft_as(data, place.stream, key, at).map_err(within)?;
    draft.actor.clone_from(&heard.sender);
    Ok(Events::one(draft))
}
