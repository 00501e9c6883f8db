//! What a repository and its pipelines tell of a change.

use super::super::Result;
use super::shop::{MINUTE, SECOND, Service, Shop, draft, sentence, time};
use crate::event::change::{
    ChangeCreated, ChangeMerged, ChangeReviewed, MergeMethod, Protection, RequiredCheck, ReviewState,
};
use crate::event::check::{CheckFinished, CheckKind, Conclusion};
use crate::event::git::{BranchUpdated, CommitRecorded};
use crate::event::pipeline::{Job, PipelinerunFinished, PipelinerunStarted};
use crate::event::{Draft, GitOid, Private, Subject};

/// The branch that is deployed from.
const MAIN: &str = "main";

/// A change, from its first commit to its merge.
#[derive(Debug)]
pub(super) struct Change {
    /// Which service it is of.
    pub(super) service: usize,
    /// Its number in the repository, from 1.
    pub(super) number: u64,
    pub(super) author: usize,
    pub(super) reviewer: usize,
    /// Its commits, oldest first.
    pub(super) commits: Vec<GitOid>,
    /// What the main branch pointed to when it was begun.
    pub(super) base: GitOid,
    pub(super) hotfix: bool,
    pub(super) squash: bool,
}

impl Change {
    fn id(&self) -> String {
        self.number.to_string()
    }

    fn branch(&self) -> String {
        format!("{}/{}-{}", if self.hotfix { "hotfix" } else { "feature" }, "SHOP", self.number)
    }

    fn labels(&self) -> Option<Vec<String>> {
        self.hotfix.then(|| vec!["hotfix".to_owned()])
    }

    /// Its last commit.
    pub(super) fn head(&self) -> &GitOid {
        self.commits.last().unwrap_or(&self.base)
    }
}

/// A commit that is to be told of.
pub(super) struct Commit<'a> {
    pub(super) id: &'a GitOid,
    pub(super) parents: Vec<GitOid>,
    pub(super) author: usize,
    pub(super) authored_at: i64,
    /// True where the forge made it.
    pub(super) by_forge: bool,
    pub(super) message: String,
}

/// A run of the pipeline.
pub(super) struct Run<'a> {
    pub(super) id: String,
    pub(super) commit: &'a GitOid,
    pub(super) change: Option<&'a Change>,
    pub(super) author: usize,
    pub(super) started_at: i64,
    pub(super) finished_at: i64,
}

/// What a pipeline checks.
const CHECKS: [(&str, CheckKind, &str); 3] = [
    ("ci / lint", CheckKind::Lint, "ruff"),
    ("ci / types", CheckKind::Type, "mypy"),
    ("ci / unit", CheckKind::Unit, "pytest"),
];

impl Shop {
    pub(super) fn commit(&self, service: &Service, commit: Commit<'_>, at: i64) -> Result<Draft> {
        let person = self.person(commit.author)?;
        let (id, hash) = (commit.id, commit.id.as_str());
        let committer =
            if commit.by_forge { Subject::identity("GitHub <noreply@github.com>") } else { person.author() };
        let tree = self.oid(hash, service.index, 1)?;
        let data = CommitRecorded {
            author: person.author(),
            author_offset_minutes: Some(60),
            authored_at: Some(time(commit.authored_at)),
            cherry_picked_from: None,
            commit: id.clone(),
            committed_at: Some(time(at)),
            committer: Some(committer),
            committer_offset_minutes: Some(if commit.by_forge { 0 } else { 60 }),
            message: Some(Private::plain(commit.message)),
            parents: Some(commit.parents),
            reverts: None,
            signature: None,
            times_clamped: None,
            tree: Some(tree),
            url: None,
        };
        let mut draft = draft(data, &service.repository, &service.git, &format!("commit:{hash}"), at)?;
        draft.actor = Some(person.author());
        Ok(draft)
    }

    /// The change's branch, or the main one where there is none, points to `after`.
    pub(super) fn branch(
        &self,
        service: &Service,
        change: Option<&Change>,
        (before, after): (Option<&GitOid>, &GitOid),
        by: usize,
        at: i64,
    ) -> Result<Draft> {
        let branch = change.map_or_else(|| MAIN.to_owned(), Change::branch);
        let key = format!("push:refs/heads/{branch}:{after} ~{}", service.index);
        let data = BranchUpdated {
            after: Some(after.clone()),
            before: before.cloned(),
            branch,
            branch_hex: None,
            created: before.is_none().then_some(true),
            deleted: None,
            forced: before.is_some().then_some(false),
        };
        let mut draft = draft(data, &service.repository, &self.forge, &key, at)?;
        draft.actor = Some(self.person(by)?.user());
        Ok(draft)
    }

    fn of_change(
        &self,
        service: &Service,
        change: &Change,
        data: impl Into<crate::event::Data>,
        what: &str,
        by: usize,
        at: i64,
    ) -> Result<Draft> {
        let key = format!("pull_request:{} {what} ~{}", change.number, service.index);
        let mut draft = draft(data, &service.repository, &self.forge, &key, at)?;
        draft.actor = Some(self.person(by)?.user());
        Ok(draft)
    }

    pub(super) fn created(&self, service: &Service, change: &Change, at: i64) -> Result<Draft> {
        let data = ChangeCreated {
            author: self.person(change.author)?.user(),
            base: MAIN.to_owned(),
            base_commit: Some(change.base.clone()),
            change: change.id(),
            description: None,
            draft: Some(false),
            from_fork: Some(false),
            head: change.branch(),
            head_commit: change.head().clone(),
            head_repository: None,
            hotfix: change.hotfix.then_some(true),
            labels: change.labels(),
            title: Some(Private::plain(sentence(self.number("title", service.index, change.number)))),
            url: Some(format!("https://github.com/acme/{}/pull/{}", service.name, change.number)),
        };
        self.of_change(service, change, data, "opened", change.author, at)
    }

    pub(super) fn reviewed(&self, service: &Service, change: &Change, state: ReviewState, at: i64) -> Result<Draft> {
        let data = ChangeReviewed {
            author: Some(self.person(change.author)?.user()),
            change: change.id(),
            code_owner: None,
            comment: (state == ReviewState::Commented).then(|| Private::plain("Is there a test for this?")),
            commit: Some(change.head().clone()),
            review: Some(format!("{}", self.number("review", service.index, change.number) >> 34)),
            reviewer: self.person(change.reviewer)?.user(),
            reviewer_association: Some("MEMBER".to_owned()),
            state,
            url: None,
        };
        self.of_change(service, change, data, &format!("review {state}"), change.reviewer, at)
    }

    pub(super) fn merged(
        &self,
        service: &Service,
        change: &Change,
        (before, merge): (&GitOid, &GitOid),
        at: i64,
    ) -> Result<Draft> {
        let checks = CHECKS.iter().map(|(name, _, _)| RequiredCheck {
            app: Some("github-actions".to_owned()),
            conclusion: Some(Conclusion::Success),
            name: (*name).to_owned(),
        });
        let protection = Protection {
            required_approvals: Some(1),
            required_checks: Some(checks.collect()),
            ..Protection::default()
        };
        let lines = self.number("lines", service.index, change.number);
        let data = ChangeMerged {
            additions: u32::try_from(lines % 300).ok(),
            approved_by: Some(vec![self.person(change.reviewer)?.user()]),
            author: Some(self.person(change.author)?.user()),
            base: MAIN.to_owned(),
            base_commit: Some(before.clone()),
            change: change.id(),
            cherry_picked_from: None,
            commit: merge.clone(),
            deletions: u32::try_from(lines % 90).ok(),
            files_changed: u32::try_from(1 + lines % 12).ok(),
            head: Some(change.branch()),
            head_commit: Some(change.head().clone()),
            hotfix: change.hotfix.then_some(true),
            labels: change.labels(),
            merged_by: Some(self.person(change.author)?.user()),
            method: Some(if change.squash { MergeMethod::Squash } else { MergeMethod::Merge }),
            original_commits: Some(change.commits.clone()),
            original_commits_total: u32::try_from(change.commits.len()).ok(),
            protection: Some(protection),
            reverts_change: None,
            title: Some(Private::plain(sentence(self.number("title", service.index, change.number)))),
            url: Some(format!("https://github.com/acme/{}/pull/{}", service.name, change.number)),
        };
        self.of_change(service, change, data, "closed", change.author, at)
    }

    pub(super) fn run_started(&self, service: &Service, run: &Run<'_>) -> Result<Draft> {
        let data = PipelinerunStarted {
            attempt: 1,
            change: run.change.map(Change::id),
            commit: Some(run.commit.clone()),
            environment: None,
            git_ref: Some(git_ref(run)),
            identity: None,
            initiated_by: Some(self.person(run.author)?.user()),
            parent_run: None,
            pipeline: ".github/workflows/ci.yml".to_owned(),
            pipeline_commit: None,
            run: run.id.clone(),
            trigger: Some(if run.change.is_some() { "pull_request" } else { "push" }.to_owned()),
            url: Some(format!("https://github.com/acme/{}/actions/runs/{}", service.name, run.id)),
        };
        let key = format!("workflow_run:{}.1 started", run.id);
        draft(data, &service.repository, &self.forge, &key, run.started_at)
    }

    pub(super) fn run_finished(&self, service: &Service, run: &Run<'_>) -> Result<Draft> {
        let job = |name: &str| Job {
            conclusion: Conclusion::Success,
            finished_at: Some(time(run.finished_at - SECOND)),
            job: None,
            name: name.to_owned(),
            started_at: Some(time(run.started_at + SECOND)),
        };
        let jobs: Vec<Job> = ["test", "build"].into_iter().map(job).collect();
        let data = PipelinerunFinished {
            attempt: 1,
            change: run.change.map(Change::id),
            commit: Some(run.commit.clone()),
            conclusion: Conclusion::Success,
            environment: None,
            git_ref: Some(git_ref(run)),
            identity: None,
            initiated_by: Some(self.person(run.author)?.user()),
            jobs_total: u32::try_from(jobs.len()).ok(),
            jobs: Some(jobs),
            parent_run: None,
            pipeline: ".github/workflows/ci.yml".to_owned(),
            pipeline_commit: None,
            run: run.id.clone(),
            started_at: Some(time(run.started_at)),
            trigger: Some(if run.change.is_some() { "pull_request" } else { "push" }.to_owned()),
            url: Some(format!("https://github.com/acme/{}/actions/runs/{}", service.name, run.id)),
        };
        draft(data, &service.repository, &self.forge, &format!("workflow_run:{}.1 finished", run.id), run.finished_at)
    }

    /// The checks of a run, each with its conclusion at its time.
    pub(super) fn checks(&self, service: &Service, run: &Run<'_>) -> Result<Vec<Draft>> {
        let mut drafts = Vec::new();
        for ((name, kind, tool), nth) in CHECKS.into_iter().zip(1_i64..) {
            let at = run.started_at + nth * MINUTE / 2;
            let data = CheckFinished {
                app: Some("github-actions".to_owned()),
                artifact: None,
                attempt: Some(1),
                branch: run.change.map_or_else(|| Some(MAIN.to_owned()), |change| Some(change.branch())),
                change: run.change.map(Change::id),
                check: None,
                commit: Some(run.commit.clone()),
                conclusion: Conclusion::Success,
                coverage: None,
                errors: None,
                exit_code: None,
                findings: Some(0),
                kind,
                name: name.to_owned(),
                report: None,
                run: Some(run.id.clone()),
                started_at: Some(time(run.started_at)),
                summary: None,
                tool: Some(tool.to_owned()),
                tool_version: None,
                url: None,
                warnings: None,
            };
            drafts.push(draft(data, &service.repository, &self.forge, &format!("check_run:{}.{nth}", run.id), at)?);
        }
        Ok(drafts)
    }
}

fn git_ref(run: &Run<'_>) -> String {
    format!("refs/heads/{}", run.change.map_or_else(|| MAIN.to_owned(), Change::branch))
}
