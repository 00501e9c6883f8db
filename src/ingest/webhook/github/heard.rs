//! What was heard: which event it is, of which repository, and by whom.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::value::RawValue;

use super::super::forge::{self, soft};
use super::{Delivery, Events, User, person};
use crate::event::{StreamName, Subject, Timestamp};
use crate::ingest::{Reason, Rejection, delivery};
use crate::report::value;

/// Most bytes of an event's or action's name that are shown: GitHub's are shorter.
const WORD_BYTES_MAX: usize = 64;

/// A delivery, or an entry of the Events API.
pub(super) struct Heard<'a> {
    /// As it came.
    pub(super) delivery: &'a Delivery<'a>,
    /// The event, as the header calls it.
    pub(super) event: String,
    /// What happened to its subject, where there is more than one thing.
    pub(super) action: Option<String>,
    /// True for an entry of the Events API.
    pub(super) wrapped: bool,
    payload: &'a [u8],
    repository: Option<Repository>,
    /// Who did it.
    pub(super) sender: Option<Subject>,
    /// When it happened, as an entry of the Events API says.
    pub(super) created_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Outer {
    #[serde(default, deserialize_with = "soft")]
    action: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    repository: Option<Repository>,
    #[serde(default, deserialize_with = "soft")]
    sender: Option<User>,
}

#[derive(Deserialize)]
struct Repository {
    #[serde(default, deserialize_with = "soft")]
    id: Option<u64>,
    #[serde(default, deserialize_with = "soft")]
    clone_url: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    html_url: Option<String>,
    /// A number of seconds in a push, a text in everything else.
    #[serde(default, deserialize_with = "soft")]
    pushed_at: Option<serde_json::Value>,
}

/// An entry of the Events API.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, deserialize_with = "soft")]
    actor: Option<User>,
    repo: ApiRepository,
    #[serde(borrow)]
    payload: &'a RawValue,
    #[serde(default, deserialize_with = "soft")]
    created_at: Option<String>,
}

#[derive(Deserialize)]
struct ApiRepository {
    #[serde(default, deserialize_with = "soft")]
    id: Option<u64>,
    url: String,
}

/// The repository that something happened in.
pub(super) struct Place {
    /// Its stream.
    pub(super) stream: StreamName,
    /// Its number at GitHub.
    pub(super) id: Option<u64>,
    /// Where people look at it.
    pub(super) html_url: Option<String>,
    /// Where it is cloned from.
    pub(super) clone_url: Option<String>,
    /// When something was last pushed to it.
    pub(super) pushed_at: Option<Timestamp>,
}

impl Place {
    /// `host/path`.
    pub(super) fn name(&self) -> &str {
        self.stream.as_str().strip_prefix("repo/").unwrap_or_default()
    }
}

impl<'a> Heard<'a> {
    /// Finds out what was heard: by the header, else by the members of the body.
    ///
    /// # Errors
    /// [`Reason::MissingHeader`] where neither tells, and what is wrong with a body that cannot be read.
    pub(super) fn of(delivery: &'a Delivery<'a>) -> Result<Self, Rejection> {
        let body = delivery.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(delivery.body);
        if body.starts_with(b"payload=") {
            let what = "a form: set the webhook's content type to application/json";
            return Err(Rejection::new(Reason::UnsupportedEncoding, what).at("content-type"));
        }
        let event = match delivery.headers.get("x-github-event") {
            Some(event) => value::cut(event.trim(), WORD_BYTES_MAX),
            None => {
                let members: BTreeMap<String, IgnoredAny> = delivery::json(body)?;
                let has = |member: &str| members.contains_key(member);
                match kind(has) {
                    _ if is_envelope(has) => return Self::unwrapped(delivery, body),
                    Some(kind) => kind.to_owned(),
                    None => delivery.headers.need("x-github-event")?.to_owned(),
                }
            }
        };
        let outer: Outer = delivery::json(body)?;
        Ok(Self {
            delivery,
            event,
            action: outer.action,
            wrapped: false,
            payload: body,
            repository: outer.repository,
            sender: person(outer.sender.as_ref()),
            created_at: None,
        })
    }

    /// An entry of the Events API, out of its envelope.
    fn unwrapped(delivery: &'a Delivery<'a>, body: &'a [u8]) -> Result<Self, Rejection> {
        let envelope: Envelope<'a> = delivery::json(body)?;
        let payload = envelope.payload.get().as_bytes();
        let outer: Outer = delivery::json(payload).map_err(|rejection| rejection.at("payload"))?;
        let (id, html_url) = (envelope.repo.id, web_url(&envelope.repo.url));
        let clone_url = html_url.as_ref().map(|url| format!("{url}.git"));
        Ok(Self {
            delivery,
            event: event_of(&envelope.kind),
            action: outer.action,
            wrapped: true,
            payload,
            repository: Some(Repository { id, clone_url, html_url, pushed_at: None }),
            sender: person(envelope.actor.as_ref()),
            created_at: forge::time(delivery.received_at, "created_at", envelope.created_at.as_deref())?,
        })
    }

    /// When it came.
    pub(super) fn now(&self) -> Timestamp {
        self.delivery.received_at
    }

    /// The payload.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Rejection> {
        delivery::json(self.payload)
    }

    /// The repository.
    ///
    /// # Errors
    /// [`Reason::MissingField`], [`Reason::BadField`].
    pub(super) fn place(&self) -> Result<Place, Rejection> {
        let repository = self.repository.as_ref().ok_or_else(|| Rejection::missing("repository"))?;
        let clone_url = forge::filled(repository.clone_url.as_deref());
        let html_url = forge::filled(repository.html_url.as_deref());
        let (field, url) = match (clone_url, html_url) {
            (Some(url), _) => ("clone_url", url),
            (None, Some(url)) => ("html_url", url),
            (None, None) => return Err(Rejection::missing("repository.clone_url")),
        };
        let name = forge::repository(field, url).map_err(|rejection| rejection.at("repository"))?;
        let pushed_at = match &repository.pushed_at {
            Some(serde_json::Value::String(text)) => value::zoned_time(text),
            Some(number) => number.as_i64().and_then(|seconds| value::unix_seconds("pushed_at", seconds).ok()),
            None => None,
        };
        Ok(Place {
            stream: name.stream,
            id: repository.id,
            html_url: html_url.map(str::to_owned),
            clone_url: clone_url.map(str::to_owned),
            // A clock that is ahead must not keep out what it stamped in passing.
            pushed_at: pushed_at.filter(|at| value::not_ahead("pushed_at", *at, self.delivery.received_at).is_ok()),
        })
    }

    /// When it happened, where the payload has no time of its own: as the envelope says, else at the last push, else when
    /// it came.
    pub(super) fn moment(&self, place: &Place) -> Timestamp {
        self.created_at.or(place.pushed_at).unwrap_or(self.delivery.received_at)
    }

    /// That it was understood and makes no event.
    pub(super) fn passed_over(&self) -> Events {
        match forge::filled(self.action.as_deref()) {
            Some(action) => Events::passed_over(format!("{}.{}", self.event, value::cut(action, WORD_BYTES_MAX))),
            None => Events::passed_over(self.event.clone()),
        }
    }
}

/// Whether these members are those of an entry of the Events API.
pub(super) fn is_envelope(has: impl Fn(&str) -> bool) -> bool {
    ["type", "payload", "actor", "repo"].into_iter().all(has)
}

/// The event that has these members. Those that carry others' members come first.
pub(super) fn kind(has: impl Fn(&str) -> bool) -> Option<&'static str> {
    let all = |members: &[&str]| members.iter().all(|member| has(member));
    let known: &[(&[&str], &str)] = &[
        (&["zen", "hook_id"], "ping"),
        (&["ref_type", "ref", "master_branch"], "create"),
        (&["ref_type", "ref"], "delete"),
        (&["ref", "before", "after"], "push"),
        (&["sha", "context", "state"], "status"),
        (&["deployment_status"], "deployment_status"),
        (&["deployment_callback_url"], "deployment_protection_rule"),
        (&["workflow_run", "since"], "deployment_review"),
        (&["workflow_run", "reviewers"], "deployment_review"),
        (&["workflow_job"], "workflow_job"),
        (&["check_run"], "check_run"),
        (&["check_suite"], "check_suite"),
        (&["deployment"], "deployment"),
        (&["workflow_run"], "workflow_run"),
        (&["review", "pull_request"], "pull_request_review"),
        (&["comment", "pull_request"], "pull_request_review_comment"),
        (&["thread", "pull_request"], "pull_request_review_thread"),
        (&["pull_request", "number"], "pull_request"),
        (&["registry_package"], "registry_package"),
        (&["package"], "package"),
        (&["release"], "release"),
        (&["comment", "issue"], "issue_comment"),
        (&["issue"], "issues"),
    ];
    known.iter().find(|(members, _)| all(members)).map(|(_, kind)| *kind)
}

/// The event that the Events API calls `PullRequestEvent`. Those not known here keep that name.
fn event_of(kind: &str) -> String {
    let event = match kind {
        "PushEvent" => "push",
        "CreateEvent" => "create",
        "DeleteEvent" => "delete",
        "PullRequestEvent" => "pull_request",
        "PullRequestReviewEvent" => "pull_request_review",
        "ReleaseEvent" => "release",
        other => other,
    };
    value::cut(event, WORD_BYTES_MAX)
}

/// Where people look at the repository that the API has at `url`: `https://api.github.com/repos/o/n`, or
/// `https://HOST/api/v3/repos/o/n` on a server of one's own.
fn web_url(url: &str) -> Option<String> {
    let (base, path) = url.split_once("/repos/")?;
    let base = match base.strip_suffix("/api/v3") {
        Some(base) => base.to_owned(),
        None => base.replacen("://api.", "://", 1),
    };
    Some(format!("{base}/{path}"))
}

#[cfg(test)]
mod tests {
    use super::web_url;

    #[test]
    fn the_api_says_where_people_look() {
        let at = |url| web_url(url).unwrap_or_default();
        assert_eq!(at("https://api.github.com/repos/o/n"), "https://github.com/o/n");
        assert_eq!(at("https://ghe.example.com/api/v3/repos/o/n"), "https://ghe.example.com/o/n");
        assert_eq!(at("https://api.acme.ghe.com/repos/o/n"), "https://acme.ghe.com/o/n");
        assert_eq!(web_url("https://api.github.com/users/o"), None);
    }
}
