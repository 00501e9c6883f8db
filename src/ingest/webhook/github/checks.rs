//! Checks of a commit: check runs, suites of them, and the older statuses.

use serde::Deserialize;

use super::super::forge::{self, soft};
use super::heard::{Heard, Place};
use super::{ChangeLink, Events, conclusion, only_change, proven_branch};
use crate::event::Timestamp;
use crate::event::check::{CheckFinished, CheckKind, Conclusion};
use crate::ingest::{Reason, Rejection};
use crate::report::value;

#[derive(Deserialize)]
struct App {
    #[serde(default, deserialize_with = "soft")]
    slug: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    name: Option<String>,
}

impl App {
    /// What a rule names it by; older bodies have only the name.
    fn name(&self) -> Option<String> {
        forge::plain(self.slug.as_deref()).or_else(|| forge::plain(self.name.as_deref()))
    }
}

#[derive(Deserialize)]
struct RunBody {
    check_run: CheckRun,
}

#[derive(Deserialize)]
struct CheckRun {
    id: u64,
    head_sha: String,
    name: String,
    #[serde(default)]
    conclusion: Option<String>,
    #[serde(default)]
    started_at: Option<String>,
    #[serde(default)]
    completed_at: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    html_url: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    details_url: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    output: Option<Output>,
    #[serde(default, deserialize_with = "soft")]
    check_suite: Option<SuiteOfRun>,
    #[serde(default, deserialize_with = "soft")]
    app: Option<App>,
    #[serde(default, deserialize_with = "soft")]
    pull_requests: Option<Vec<ChangeLink>>,
}

#[derive(Deserialize)]
struct Output {
    #[serde(default, deserialize_with = "soft")]
    title: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    summary: Option<String>,
}

#[derive(Deserialize)]
struct SuiteOfRun {
    #[serde(default, deserialize_with = "soft")]
    head_branch: Option<String>,
}

#[derive(Deserialize)]
struct SuiteBody {
    check_suite: CheckSuite,
}

#[derive(Deserialize)]
struct CheckSuite {
    id: u64,
    head_sha: String,
    #[serde(default, deserialize_with = "soft")]
    head_branch: Option<String>,
    #[serde(default)]
    conclusion: Option<String>,
    #[serde(default)]
    updated_at: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    app: Option<App>,
    #[serde(default, deserialize_with = "soft")]
    pull_requests: Option<Vec<ChangeLink>>,
}

#[derive(Deserialize)]
struct Status {
    id: u64,
    sha: String,
    state: String,
    context: String,
    #[serde(default, deserialize_with = "soft")]
    target_url: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    description: Option<String>,
    #[serde(default)]
    created_at: Option<String>,
    #[serde(default)]
    updated_at: Option<String>,
}

/// A check run is done. Its number stays the same over all its states, and its app may take a conclusion back: so the
/// key has when and how it ended, too.
///
/// # Errors
/// What is wrong, and where.
pub(super) fn run(heard: &Heard<'_>) -> Result<Events, Rejection> {
    let body: RunBody = heard.read()?;
    let place = heard.place()?;
    let run = &body.check_run;
    let finished = || {
        let ended_at = forge::need_time(heard.now(), "completed_at", run.completed_at.as_deref())?;
        let links = run.pull_requests.as_deref();
        let branch = run.check_suite.as_ref().and_then(|suite| suite.head_branch.as_deref());
        let output = run.output.as_ref();
        let data = CheckFinished {
            app: run.app.as_ref().and_then(App::name),
            branch: proven_branch(branch, &run.head_sha, links, place.id),
            change: only_change(links, place.id),
            check: Some(run.id.to_string()),
            commit: Some(value::git_oid("head_sha", &run.head_sha)?),
            run: run_of(run.details_url.as_deref(), &place),
            started_at: forge::time(heard.now(), "started_at", run.started_at.as_deref())?,
            summary: output.and_then(|output| forge::private(output.summary.as_deref().or(output.title.as_deref()))),
            url: forge::link(run.html_url.as_deref().or(run.details_url.as_deref())),
            ..check(conclusion("conclusion", run.conclusion.as_deref())?, &run.name)
        };
        event(heard, &place, data, "check_run", run.id, ended_at)
    };
    finished().map_err(|rejection| rejection.at("check_run"))
}

/// All check runs of one app for a commit are done. A rule cannot require a suite, so its name is none that a check run
/// could have been given by chance.
///
/// # Errors
/// What is wrong, and where.
pub(super) fn suite(heard: &Heard<'_>) -> Result<Events, Rejection> {
    let body: SuiteBody = heard.read()?;
    let place = heard.place()?;
    let suite = &body.check_suite;
    // All that there was to run may have been skipped.
    if suite.conclusion.is_none() {
        return Ok(heard.passed_over());
    }
    let finished = || {
        let ended_at = forge::need_time(heard.now(), "updated_at", suite.updated_at.as_deref())?;
        let links = suite.pull_requests.as_deref();
        let data = CheckFinished {
            app: suite.app.as_ref().and_then(App::name),
            branch: proven_branch(suite.head_branch.as_deref(), &suite.head_sha, links, place.id),
            change: only_change(links, place.id),
            check: Some(suite.id.to_string()),
            commit: Some(value::git_oid("head_sha", &suite.head_sha)?),
            ..check(conclusion("conclusion", suite.conclusion.as_deref())?, "(check suite)")
        };
        event(heard, &place, data, "check_suite", suite.id, ended_at)
    };
    finished().map_err(|rejection| rejection.at("check_suite"))
}

/// A status was set on a commit. The branches beside it are those that contain the commit, not those it was set for.
///
/// # Errors
/// What is wrong, and where.
pub(super) fn status(heard: &Heard<'_>) -> Result<Events, Rejection> {
    let status: Status = heard.read()?;
    let place = heard.place()?;
    let outcome = match status.state.as_str() {
        "success" => Conclusion::Success,
        "failure" => Conclusion::Failure,
        "error" => Conclusion::Error,
        "pending" => return Ok(Events::passed_over("status.pending")),
        other => {
            let what = format!("{:?} is none of error, failure, pending, success", value::cut(other, 64));
            return Err(Rejection::new(Reason::BadField, what).at("state"));
        }
    };
    let set_at = forge::time(heard.now(), "updated_at", status.updated_at.as_deref())?;
    let set_at =
        set_at.map_or_else(|| forge::need_time(heard.now(), "created_at", status.created_at.as_deref()), Ok)?;
    let data = CheckFinished {
        check: Some(status.id.to_string()),
        commit: Some(value::git_oid("sha", &status.sha)?),
        run: run_of(status.target_url.as_deref(), &place),
        summary: forge::private(status.description.as_deref()),
        url: forge::link(status.target_url.as_deref()),
        ..check(outcome, &status.context)
    };
    event(heard, &place, data, "status", status.id, set_at)
}

/// What every check has. What it looks at, its name would only let guess.
fn check(conclusion: Conclusion, name: &str) -> CheckFinished {
    CheckFinished {
        app: None,
        artifact: None,
        attempt: None,
        branch: None,
        change: None,
        check: None,
        commit: None,
        conclusion,
        coverage: None,
        errors: None,
        exit_code: None,
        findings: None,
        kind: CheckKind::Other,
        name: forge::name(name),
        report: None,
        run: None,
        started_at: None,
        summary: None,
        tool: None,
        tool_version: None,
        url: None,
        warnings: None,
    }
}

fn event(
    heard: &Heard<'_>,
    place: &Place,
    data: CheckFinished,
    what: &str,
    id: u64,
    at: Timestamp,
) -> Result<Events, Rejection> {
    let key = forge::key(&place.stream, &format!("{what}:{id}@{at} {}", data.conclusion))?;
    let mut draft = heard.delivery.draft_as(data, place.stream.clone(), key, at)?;
    draft.actor.clone_from(&heard.sender);
    Ok(Events::one(draft))
}

/// The run of GitHub Actions that a link of this repository leads to: `.../actions/runs/123/job/456`.
fn run_of(url: Option<&str>, place: &Place) -> Option<String> {
    let rest = url?.strip_prefix(place.html_url.as_deref()?)?.strip_prefix("/actions/runs/")?;
    let run = rest.split(['/', '?', '#']).next()?;
    (!run.is_empty() && run.len() <= 20 && run.bytes().all(|byte| byte.is_ascii_digit())).then(|| run.to_owned())
}
