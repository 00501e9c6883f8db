//! Runs of workflows, attempt by attempt, and their jobs.
//!
//! Go by the action: it and the status may disagree, and a body of `requested` may say that the run is done.

use serde::Deserialize;

use super::super::forge::{self, soft};
use super::heard::{Heard, Place};
use super::{ChangeLink, Events, RepositoryId, User, conclusion, only_change, person};
use crate::event::check::Conclusion;
use crate::event::pipeline::{PipelinerunFinished, PipelinerunStarted, TaskrunFinished, TaskrunStarted};
use crate::event::{Data, Subject, Timestamp};
use crate::ingest::Rejection;
use crate::report::value;

#[derive(Deserialize)]
struct RunBody {
    workflow_run: WorkflowRun,
    #[serde(default, deserialize_with = "soft")]
    workflow: Option<Workflow>,
}

#[derive(Deserialize)]
struct Workflow {
    #[serde(default, deserialize_with = "soft")]
    name: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    path: Option<String>,
}

#[derive(Deserialize)]
struct WorkflowRun {
    id: u64,
    /// Older bodies do not have it.
    #[serde(default)]
    run_attempt: Option<u32>,
    head_sha: String,
    #[serde(default, deserialize_with = "soft")]
    head_branch: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    head_repository: Option<RepositoryId>,
    #[serde(default, deserialize_with = "soft")]
    event: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    path: Option<String>,
    #[serde(default)]
    workflow_id: Option<u64>,
    #[serde(default)]
    conclusion: Option<String>,
    #[serde(default)]
    created_at: Option<String>,
    #[serde(default)]
    updated_at: Option<String>,
    #[serde(default)]
    run_started_at: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    html_url: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    actor: Option<User>,
    #[serde(default, deserialize_with = "soft")]
    triggering_actor: Option<User>,
    #[serde(default, deserialize_with = "soft")]
    pull_requests: Option<Vec<ChangeLink>>,
}

impl WorkflowRun {
    fn attempt(&self) -> u32 {
        self.run_attempt.unwrap_or(1).max(1)
    }

    /// When the attempt began. A run keeps the `created_at` of its first attempt.
    fn started_at(&self, now: Timestamp) -> Result<Option<Timestamp>, Rejection> {
        let told = forge::time(now, "run_started_at", self.run_started_at.as_deref())?;
        let made = forge::time(now, "created_at", self.created_at.as_deref())?;
        Ok(told.or_else(|| made.filter(|_| self.attempt() == 1)))
    }

    /// Who began this attempt: somebody else than who began the run, where it is a re-run.
    fn initiated_by(&self) -> Option<Subject> {
        person(self.triggering_actor.as_ref()).or_else(|| person(self.actor.as_ref()).filter(|_| self.attempt() == 1))
    }

    /// The branch or tag in full, where the event decides which it is. A push may be one of either, and a pull request
    /// of a fork has a branch that is not of this repository.
    fn git_ref(&self, place: &Place) -> Option<String> {
        let name = forge::plain(self.head_branch.as_deref())?;
        let here = self.head_repository.as_ref().and_then(|repository| repository.id);
        if here.is_none() || here != place.id {
            return None;
        }
        match self.event.as_deref()? {
            "release" => Some(format!("refs/tags/{name}")),
            "pull_request"
            | "pull_request_target"
            | "pull_request_review"
            | "pull_request_review_comment"
            | "merge_group"
            | "schedule"
            | "repository_dispatch"
            | "workflow_run"
            | "issues"
            | "issue_comment" => Some(format!("refs/heads/{name}")),
            _ => None,
        }
    }
}

/// What the workflow is called. Not the run's own name: that may be made of a commit message or a login.
fn pipeline(body: &RunBody) -> String {
    let workflow = body.workflow.as_ref();
    let name = workflow.and_then(|workflow| forge::plain(workflow.name.as_deref()));
    let path = || {
        let path = workflow.and_then(|workflow| workflow.path.as_deref()).or(body.workflow_run.path.as_deref());
        // Some bodies have the reference after it: `.github/workflows/build.yml@main`.
        forge::plain(path.and_then(|path| path.split('@').next()))
    };
    let id = || body.workflow_run.workflow_id.map(|id| id.to_string());
    name.or_else(path).or_else(id).unwrap_or_else(|| "unnamed".to_owned())
}

/// An attempt of a run began. `requested` and `in_progress` both say so; the first that comes stands.
///
/// # Errors
/// What is wrong, and where.
pub(super) fn started(heard: &Heard<'_>) -> Result<Events, Rejection> {
    let body: RunBody = heard.read()?;
    let place = heard.place()?;
    let run = &body.workflow_run;
    let event = || {
        let at = run.started_at(heard.now())?;
        let at = at.map_or_else(|| forge::need_time(heard.now(), "updated_at", run.updated_at.as_deref()), Ok)?;
        let data = PipelinerunStarted {
            attempt: run.attempt(),
            change: only_change(run.pull_requests.as_deref(), place.id),
            commit: Some(value::git_oid("head_sha", &run.head_sha)?),
            environment: None,
            git_ref: run.git_ref(&place),
            identity: None,
            initiated_by: run.initiated_by(),
            parent_run: None,
            pipeline: pipeline(&body),
            pipeline_commit: None,
            run: run.id.to_string(),
            trigger: forge::plain(run.event.as_deref()),
            url: forge::link(run.html_url.as_deref()),
        };
        draft(heard, &place, data, &format!("workflow_run:{}.{} started", run.id, run.attempt()), at)
    };
    event().map_err(|rejection| rejection.at("workflow_run"))
}

/// An attempt of a run is done.
///
/// # Errors
/// What is wrong, and where.
pub(super) fn finished(heard: &Heard<'_>) -> Result<Events, Rejection> {
    let body: RunBody = heard.read()?;
    let place = heard.place()?;
    let run = &body.workflow_run;
    let event = || {
        let at = forge::need_time(heard.now(), "updated_at", run.updated_at.as_deref())?;
        let data = PipelinerunFinished {
            attempt: run.attempt(),
            change: only_change(run.pull_requests.as_deref(), place.id),
            commit: Some(value::git_oid("head_sha", &run.head_sha)?),
            conclusion: conclusion("conclusion", run.conclusion.as_deref())?,
            environment: None,
            git_ref: run.git_ref(&place),
            identity: None,
            initiated_by: run.initiated_by(),
            jobs: None,
            jobs_total: None,
            parent_run: None,
            pipeline: pipeline(&body),
            pipeline_commit: None,
            run: run.id.to_string(),
            started_at: run.started_at(heard.now())?,
            trigger: forge::plain(run.event.as_deref()),
            url: forge::link(run.html_url.as_deref()),
        };
        // Where attempts have no numbers, only the time tells them apart.
        let attempt = run.run_attempt.map_or_else(|| format!("@{at}"), |attempt| format!(".{attempt}"));
        draft(heard, &place, data, &format!("workflow_run:{}{attempt} finished", run.id), at)
    };
    event().map_err(|rejection| rejection.at("workflow_run"))
}

#[derive(Deserialize)]
struct JobBody {
    workflow_job: WorkflowJob,
}

/// A job. Its number is its own in every attempt. Whether `head_branch` is a branch of this repository, of a fork, or a
/// tag, it does not say; its run does.
#[derive(Deserialize)]
struct WorkflowJob {
    id: u64,
    run_id: u64,
    #[serde(default)]
    run_attempt: Option<u32>,
    head_sha: String,
    name: String,
    #[serde(default, deserialize_with = "soft")]
    workflow_name: Option<String>,
    #[serde(default)]
    conclusion: Option<String>,
    #[serde(default)]
    started_at: Option<String>,
    #[serde(default)]
    completed_at: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    runner_name: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    html_url: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    steps: Option<Vec<Step>>,
}

#[derive(Deserialize)]
struct Step {
    #[serde(default)]
    name: String,
    #[serde(default)]
    conclusion: Option<String>,
}

/// A job began.
///
/// # Errors
/// What is wrong, and where.
pub(super) fn job_started(heard: &Heard<'_>) -> Result<Events, Rejection> {
    let body: JobBody = heard.read()?;
    let place = heard.place()?;
    let job = &body.workflow_job;
    let event = || {
        let at = forge::need_time(heard.now(), "started_at", job.started_at.as_deref())?;
        let data = TaskrunStarted {
            attempt: job.run_attempt,
            branch: None,
            commit: Some(value::git_oid("head_sha", &job.head_sha)?),
            pipeline: forge::plain(job.workflow_name.as_deref()),
            run: Some(job.run_id.to_string()),
            runner: forge::private(job.runner_name.as_deref()),
            started_at: Some(at),
            task: forge::name(&job.name),
            taskrun: job.id.to_string(),
            url: forge::link(job.html_url.as_deref()),
        };
        draft(heard, &place, data, &job_key(job, "started"), at)
    };
    event().map_err(|rejection| rejection.at("workflow_job"))
}

/// A job is done.
///
/// # Errors
/// What is wrong, and where.
pub(super) fn job_finished(heard: &Heard<'_>) -> Result<Events, Rejection> {
    let body: JobBody = heard.read()?;
    let place = heard.place()?;
    let job = &body.workflow_job;
    let event = || {
        let at = forge::need_time(heard.now(), "completed_at", job.completed_at.as_deref())?;
        let failed = |step: &&Step| {
            let conclusion = step.conclusion.as_deref().and_then(|word| word.parse().ok());
            matches!(conclusion, Some(Conclusion::Failure | Conclusion::TimedOut | Conclusion::Error))
        };
        let data = TaskrunFinished {
            attempt: job.run_attempt,
            branch: None,
            commit: Some(value::git_oid("head_sha", &job.head_sha)?),
            conclusion: conclusion("conclusion", job.conclusion.as_deref())?,
            failed_step: job.steps.as_ref().and_then(|steps| steps.iter().find(failed)).map(|it| forge::name(&it.name)),
            pipeline: forge::plain(job.workflow_name.as_deref()),
            run: Some(job.run_id.to_string()),
            runner: forge::private(job.runner_name.as_deref()),
            started_at: forge::time(heard.now(), "started_at", job.started_at.as_deref())?,
            task: forge::name(&job.name),
            taskrun: job.id.to_string(),
            url: forge::link(job.html_url.as_deref()),
        };
        draft(heard, &place, data, &job_key(job, "finished"), at)
    };
    event().map_err(|rejection| rejection.at("workflow_job"))
}

fn job_key(job: &WorkflowJob, what: &str) -> String {
    format!("workflow_job:{}.{} {what}", job.id, job.run_attempt.unwrap_or(1))
}

fn draft(
    heard: &Heard<'_>,
    place: &Place,
    data: impl Into<Data>,
    key: &str,
    at: Timestamp,
) -> Result<Events, Rejection> {
    let mut draft = heard.delivery.draft_as(data, place.stream.clone(), forge::key(&place.stream, key)?, at)?;
    draft.actor.clone_from(&heard.sender);
    Ok(Events::one(draft))
}
