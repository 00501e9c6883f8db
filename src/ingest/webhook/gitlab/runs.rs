//! Pipelines and their jobs. A pipeline that is run again keeps its number, and attempts are not counted.

use serde::Deserialize;

use super::super::forge::{self, soft};
use super::{Delivery, Events, Place, Project, User, ended, passed_over, person};
use crate::event::check::Conclusion;
use crate::event::pipeline::{Job, PipelinerunFinished, PipelinerunStarted, TaskrunFinished, TaskrunStarted};
use crate::event::{Data, Timestamp};
use crate::ingest::Rejection;
use crate::report::value;

/// Most jobs of a pipeline that its event names.
const JOBS_MAX: usize = 100;

/// Most bytes of a job's name in a pipeline's event, so that a hundred fit.
const JOB_NAME_BYTES_MAX: usize = 100;

/// Where a pipeline is defined unless the project says otherwise.
const DEFINITION: &str = ".gitlab-ci.yml";

#[derive(Deserialize)]
struct PipelineBody {
    object_attributes: Pipeline,
    #[serde(default, deserialize_with = "soft")]
    merge_request: Option<Change>,
    #[serde(default, deserialize_with = "soft")]
    user: Option<User>,
    #[serde(default, deserialize_with = "soft")]
    project: Option<Project>,
    #[serde(default, deserialize_with = "soft")]
    source_pipeline: Option<SourcePipeline>,
    #[serde(default, deserialize_with = "soft")]
    builds: Option<Vec<Build>>,
}

#[derive(Deserialize)]
struct Pipeline {
    id: u64,
    sha: String,
    status: String,
    #[serde(rename = "ref", default, deserialize_with = "soft")]
    reference: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    tag: Option<bool>,
    #[serde(default, deserialize_with = "soft")]
    source: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    url: Option<String>,
    #[serde(default)]
    created_at: Option<String>,
    #[serde(default)]
    finished_at: Option<String>,
}

#[derive(Deserialize)]
struct Change {
    iid: u64,
    #[serde(default, deserialize_with = "soft")]
    source_branch: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    source_project_id: Option<u64>,
    #[serde(default, deserialize_with = "soft")]
    target_project_id: Option<u64>,
}

#[derive(Deserialize)]
struct SourcePipeline {
    pipeline_id: u64,
}

#[derive(Deserialize)]
struct Build {
    #[serde(default, deserialize_with = "soft")]
    id: Option<u64>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    status: String,
    #[serde(default, deserialize_with = "soft")]
    failure_reason: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    started_at: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    finished_at: Option<String>,
}

impl Build {
    fn started_at(&self) -> Option<Timestamp> {
        self.started_at.as_deref().and_then(value::zoned_time)
    }

    fn finished_at(&self) -> Option<Timestamp> {
        self.finished_at.as_deref().and_then(value::zoned_time)
    }

    /// As a part of its pipeline's event; none for one that has not ended.
    fn job(&self) -> Option<Job> {
        Some(Job {
            conclusion: ended(&self.status, self.failure_reason.as_deref())?,
            finished_at: self.finished_at(),
            job: self.id.map(|id| id.to_string()),
            name: value::cut(&self.name, JOB_NAME_BYTES_MAX),
            started_at: self.started_at(),
        })
    }
}

/// The branch or tag in full. Of a merge request it is the branch that it comes from, unless that is a fork's.
fn git_ref(reference: Option<&str>, tag: Option<bool>, change: Option<&Change>) -> Option<String> {
    let name = forge::plain(reference)?;
    if name.starts_with("refs/") {
        return Some(name);
    }
    let elsewhere = |change: &Change| {
        let projects = change.source_project_id.zip(change.target_project_id);
        projects.is_none_or(|(source, target)| source != target) || change.source_branch.as_deref() != Some(&name)
    };
    match tag? {
        true => Some(format!("refs/tags/{name}")),
        false if change.is_some_and(elsewhere) => None,
        false => Some(format!("refs/heads/{name}")),
    }
}

/// A pipeline began or ended.
///
/// # Errors
/// What is wrong, and where.
pub(super) fn pipeline(delivery: &Delivery<'_>) -> Result<Events, Rejection> {
    let body: PipelineBody = delivery.json()?;
    let pipeline = &body.object_attributes;
    let place = Place::of(body.project.as_ref(), None)?;
    let conclusion = ended(&pipeline.status, None);
    if conclusion.is_none() && pipeline.status != "running" {
        return Ok(passed_over("pipeline", &pipeline.status));
    }
    let event = || match conclusion {
        Some(conclusion) => pipeline_finished(delivery, &body, &place, conclusion),
        None => pipeline_started(delivery, &body, &place),
    };
    event().map_err(|rejection| rejection.at("object_attributes"))
}

fn definition(project: Option<&Project>) -> String {
    let path = project.and_then(|project| forge::plain(project.ci_config_path.as_deref()));
    path.unwrap_or_else(|| DEFINITION.to_owned())
}

/// When the first job began; GitLab tells no other beginning.
fn began(body: &PipelineBody) -> Option<Timestamp> {
    body.builds.as_ref()?.iter().filter_map(Build::started_at).min()
}

fn pipeline_started(delivery: &Delivery<'_>, body: &PipelineBody, place: &Place) -> Result<Events, Rejection> {
    let pipeline = &body.object_attributes;
    let made_at = forge::time(delivery.received_at, "created_at", pipeline.created_at.as_deref())?;
    let at = began(body).or(made_at).unwrap_or(delivery.received_at);
    let data = PipelinerunStarted {
        attempt: 1,
        change: body.merge_request.as_ref().map(|change| change.iid.to_string()),
        commit: Some(value::git_oid("sha", &pipeline.sha)?),
        environment: None,
        git_ref: git_ref(pipeline.reference.as_deref(), pipeline.tag, body.merge_request.as_ref()),
        identity: None,
        initiated_by: person(body.user.as_ref()),
        parent_run: body.source_pipeline.as_ref().map(|source| source.pipeline_id.to_string()),
        pipeline: definition(body.project.as_ref()),
        pipeline_commit: None,
        run: pipeline.id.to_string(),
        trigger: forge::plain(pipeline.source.as_deref()),
        url: forge::link(pipeline.url.as_deref()),
    };
    draft(delivery, place, data, &format!("pipeline:{} started", pipeline.id), at, body.user.as_ref())
}

fn pipeline_finished(
    delivery: &Delivery<'_>,
    body: &PipelineBody,
    place: &Place,
    conclusion: Conclusion,
) -> Result<Events, Rejection> {
    let pipeline = &body.object_attributes;
    let told = forge::time(delivery.received_at, "finished_at", pipeline.finished_at.as_deref())?;
    let at = told.unwrap_or(delivery.received_at);
    let jobs = body.builds.as_ref().map(|builds| {
        let mut jobs: Vec<Job> = builds.iter().filter_map(Build::job).collect();
        let harmless =
            |job: &Job| matches!(job.conclusion, Conclusion::Success | Conclusion::Skipped | Conclusion::Neutral);
        jobs.sort_by_key(harmless);
        jobs.truncate(JOBS_MAX);
        jobs
    });
    let data = PipelinerunFinished {
        attempt: 1,
        change: body.merge_request.as_ref().map(|change| change.iid.to_string()),
        commit: Some(value::git_oid("sha", &pipeline.sha)?),
        conclusion,
        environment: None,
        git_ref: git_ref(pipeline.reference.as_deref(), pipeline.tag, body.merge_request.as_ref()),
        identity: None,
        initiated_by: person(body.user.as_ref()),
        jobs,
        jobs_total: body.builds.as_ref().and_then(|builds| u32::try_from(builds.len()).ok()),
        parent_run: body.source_pipeline.as_ref().map(|source| source.pipeline_id.to_string()),
        pipeline: definition(body.project.as_ref()),
        pipeline_commit: None,
        run: pipeline.id.to_string(),
        started_at: began(body),
        trigger: forge::plain(pipeline.source.as_deref()),
        url: forge::link(pipeline.url.as_deref()),
    };
    // Run again, it ends again.
    let when = told.map(|at| at.to_string()).unwrap_or_default();
    let key = format!("pipeline:{} {}@{when}", pipeline.id, pipeline.status);
    draft(delivery, place, data, &key, at, body.user.as_ref())
}

#[derive(Deserialize)]
struct JobBody {
    build_id: u64,
    build_name: String,
    build_status: String,
    #[serde(default)]
    build_started_at: Option<String>,
    #[serde(default)]
    build_finished_at: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    build_failure_reason: Option<String>,
    #[serde(rename = "ref", default, deserialize_with = "soft")]
    reference: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    tag: Option<bool>,
    sha: String,
    #[serde(default, deserialize_with = "soft")]
    pipeline_id: Option<u64>,
    #[serde(default, deserialize_with = "soft")]
    user: Option<User>,
    #[serde(default, deserialize_with = "soft")]
    runner: Option<Runner>,
    /// Older bodies have only the repository.
    #[serde(default, deserialize_with = "soft")]
    project: Option<Project>,
    #[serde(default, deserialize_with = "soft")]
    repository: Option<Project>,
}

#[derive(Deserialize)]
struct Runner {
    #[serde(default, deserialize_with = "soft")]
    description: Option<String>,
}

/// A job began or ended. Tried again it is another job.
///
/// # Errors
/// What is wrong, and where.
pub(super) fn job(delivery: &Delivery<'_>) -> Result<Events, Rejection> {
    let job: JobBody = delivery.json()?;
    let place = Place::of(job.project.as_ref(), job.repository.as_ref())?;
    let commit = Some(value::git_oid("sha", &job.sha)?);
    let git_ref = git_ref(job.reference.as_deref(), job.tag, None);
    let branch = git_ref.and_then(|name| name.strip_prefix("refs/heads/").map(str::to_owned));
    let run = job.pipeline_id.map(|id| id.to_string());
    let runner = job.runner.as_ref().and_then(|runner| forge::private(runner.description.as_deref()));
    let started_at = forge::time(delivery.received_at, "build_started_at", job.build_started_at.as_deref())?;
    let (task, taskrun) = (forge::name(&job.build_name), job.build_id.to_string());
    let (data, what, at): (Data, &str, Timestamp) = if job.build_status == "running" {
        let at = started_at.unwrap_or(delivery.received_at);
        let data = TaskrunStarted {
            attempt: None,
            branch,
            commit,
            pipeline: None,
            run,
            runner,
            started_at,
            task,
            taskrun,
            url: None,
        };
        (data.into(), "started", at)
    } else if let Some(conclusion) = ended(&job.build_status, job.build_failure_reason.as_deref()) {
        let finished_at = forge::time(delivery.received_at, "build_finished_at", job.build_finished_at.as_deref())?;
        let data = TaskrunFinished {
            attempt: None,
            branch,
            commit,
            conclusion,
            failed_step: None,
            pipeline: None,
            run,
            runner,
            started_at,
            task,
            taskrun,
            url: None,
        };
        (data.into(), "finished", finished_at.unwrap_or(delivery.received_at))
    } else {
        return Ok(passed_over("build", &job.build_status));
    };
    draft(delivery, &place, data, &format!("build:{} {what}", job.build_id), at, job.user.as_ref())
}

fn draft(
    delivery: &Delivery<'_>,
    place: &Place,
    data: impl Into<Data>,
    key: &str,
    at: Timestamp,
    user: Option<&User>,
) -> Result<Events, Rejection> {
    let mut draft = delivery.draft_as(data, place.stream.clone(), forge::key(&place.stream, key)?, at)?;
    draft.actor = person(user);
    Ok(Events::one(draft))
}
