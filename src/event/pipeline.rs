//! Runs of CI pipelines. Streams `repo/<host>/<path>`.

use super::check::Conclusion;
use super::payload::payload;
use super::private::{Private, Subject};
use super::{GitOid, Name, Timestamp};

payload! {
    /// Who a machine is by an OIDC token, or a certificate made from one.
    pub struct Identity {
        /// Who vouches for it: `https://token.actions.githubusercontent.com`.
        issuer: String,
        /// Who it is: an e-mail address, a service account, a workflow.
        subject: Subject,
        /// The workflow, by URI, where the subject is one: a public thing that a policy can name.
        workflow: Option<String>,
    }

    /// A run began: a new one, or another attempt of one.
    pub struct PipelinerunStarted {
        /// Which attempt, from 1. A re-run is another attempt of the same run, not another change.
        attempt: u32,
        /// Id of the change it runs for.
        change: Option<String>,
        /// The commit it runs on.
        commit: Option<GitOid>,
        /// The environment it wants to reach, where it says so.
        environment: Option<Name>,
        /// The branch or tag it runs for, in full: `refs/tags/v1.4.0`.
        git_ref: Option<String>,
        /// What it proved to be.
        identity: Option<Identity>,
        /// Who started this attempt.
        initiated_by: Option<Subject>,
        /// Id of the run that started this one.
        parent_run: Option<String>,
        /// The pipeline's name or file.
        pipeline: String,
        /// The commit that the pipeline's definition is from, where it is another.
        pipeline_commit: Option<GitOid>,
        /// The run's id at the source.
        run: String,
        /// What set it off, in the source's word: `push`, `workflow_dispatch`, `schedule`.
        trigger: Option<String>,
        /// Where to look at it.
        url: Option<String>,
    }

    /// One job of a run began.
    pub struct TaskrunStarted {
        /// Which attempt of the run it is part of, from 1.
        attempt: Option<u32>,
        /// The branch it runs for, without `refs/heads/`.
        branch: Option<String>,
        /// The commit it runs on.
        commit: Option<GitOid>,
        /// The pipeline's name or file.
        pipeline: Option<String>,
        /// Id of the run it is part of.
        run: Option<String>,
        /// The machine it runs on.
        runner: Option<Private>,
        /// When it began.
        started_at: Option<Timestamp>,
        /// The job's name.
        task: String,
        /// Its id at the source.
        taskrun: String,
        /// Where to look at it.
        url: Option<String>,
    }

    /// One job of a run is done.
    pub struct TaskrunFinished {
        /// Which attempt of the run it was part of, from 1.
        attempt: Option<u32>,
        /// The branch it ran for, without `refs/heads/`.
        branch: Option<String>,
        /// The commit it ran on.
        commit: Option<GitOid>,
        /// How it came out.
        conclusion: Conclusion,
        /// The step that failed first, where one did.
        failed_step: Option<String>,
        /// The pipeline's name or file.
        pipeline: Option<String>,
        /// Id of the run it was part of.
        run: Option<String>,
        /// The machine it ran on.
        runner: Option<Private>,
        /// When it began.
        started_at: Option<Timestamp>,
        /// The job's name.
        task: String,
        /// Its id at the source.
        taskrun: String,
        /// Where to look at it.
        url: Option<String>,
    }

    /// One job of a run.
    pub struct Job {
        /// How it came out.
        conclusion: Conclusion,
        /// When it ended.
        finished_at: Option<Timestamp>,
        /// Its id at the source.
        job: Option<String>,
        /// Its name.
        name: String,
        /// When it began.
        started_at: Option<Timestamp>,
    }

    /// An attempt of a run is done.
    pub struct PipelinerunFinished {
        /// Which attempt, from 1.
        attempt: u32,
        /// Id of the change it ran for.
        change: Option<String>,
        /// The commit it ran on.
        commit: Option<GitOid>,
        /// How it came out.
        conclusion: Conclusion,
        /// The environment it wanted to reach, where it says so.
        environment: Option<Name>,
        /// The branch or tag it ran for, in full.
        git_ref: Option<String>,
        /// What it proved to be.
        identity: Option<Identity>,
        /// Who started this attempt.
        initiated_by: Option<Subject>,
        /// Its jobs, those that failed first; at most 100.
        jobs: Option<Vec<Job>>,
        /// How many jobs it had.
        jobs_total: Option<u32>,
        /// Id of the run that started this one.
        parent_run: Option<String>,
        /// The pipeline's name or file.
        pipeline: String,
        /// The commit that the pipeline's definition is from, where it is another.
        pipeline_commit: Option<GitOid>,
        /// The run's id at the source.
        run: String,
        /// When the attempt began.
        started_at: Option<Timestamp>,
        /// What set it off, in the source's word.
        trigger: Option<String>,
        /// Where to look at it.
        url: Option<String>,
    }
}
