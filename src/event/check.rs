//! Checks and tests of a commit, streams `repo/<host>/<path>`, and validations of what runs, streams
//! `target/<environment>/<service>`.
//!
//! What is finished, finished at the event's `occurred_at`. A report is evidence; `report` tells which.

use super::payload::{payload, words};
use super::private::{Private, Subject};
use super::{Digest, GitOid, Hex32, Timestamp, U64};

words! {
    /// How something that ran came out.
    pub enum Conclusion {
        /// It ran and found nothing against it.
        Success = "success",
        /// It ran and found something.
        Failure = "failure",
        /// It could not do its work: no statement about its subject.
        Error = "error",
        /// It was stopped by somebody.
        Cancelled = "cancelled",
        /// It was left out on purpose.
        Skipped = "skipped",
        /// It ran and takes no side.
        Neutral = "neutral",
        /// It took too long.
        TimedOut = "timed_out",
        /// It waits for a person.
        ActionRequired = "action_required",
        /// It was given up because nothing was heard of it.
        Stale = "stale",
        /// It could not be started.
        StartupFailure = "startup_failure",
    }

    /// What a check looks at.
    pub enum CheckKind {
        /// Style and likely mistakes (Ruff).
        Lint = "lint",
        /// Layout (Black).
        Format = "format",
        /// Types (mypy).
        Type = "type",
        /// Unit tests as one check.
        Unit = "unit",
        /// Whether it builds at all.
        Build = "build",
        /// How much the tests cover.
        Coverage = "coverage",
        /// Whether manifests or configuration are well formed.
        Manifest = "manifest",
        /// Anything else.
        Other = "other",
    }

    /// What a test suite tests.
    pub enum SuiteKind {
        /// Parts by themselves.
        Unit = "unit",
        /// Parts together.
        Integration = "integration",
        /// The whole, from outside.
        EndToEnd = "end_to_end",
        /// That parties keep to an interface.
        Contract = "contract",
        /// Anything else.
        Other = "other",
    }

    /// What a validation does.
    pub enum ValidationKind {
        /// Tries whether it works at all.
        Smoke = "smoke",
        /// Tries how much it bears.
        Load = "load",
        /// A person looks.
        Manual = "manual",
        /// Compares measurements with what they should be (canary analysis).
        Analysis = "analysis",
    }
}

payload! {
    /// What tests reached, in counts: ratios are for readers.
    pub struct Coverage {
        /// Branches that were taken; absent without branch measurement.
        branches_covered: Option<u32>,
        /// Branches there are.
        branches_valid: Option<u32>,
        /// Lines that ran.
        lines_covered: u32,
        /// Lines that could run.
        lines_valid: u32,
        /// The least ratio of lines that the tool was told to accept, in hundredths of a per cent.
        threshold_basis_points: Option<u32>,
    }

    /// A check is done.
    pub struct CheckFinished {
        /// The app that reported it. A check of the right name from another app is another check.
        app: Option<String>,
        /// The artifact it was about, where it was about one.
        artifact: Option<Digest>,
        /// Which attempt of the run it was part of, from 1.
        attempt: Option<u32>,
        /// The branch it ran for, without `refs/heads/`.
        branch: Option<String>,
        /// Id of the change it ran for.
        change: Option<String>,
        /// Its id at the source.
        check: Option<String>,
        /// The commit it was about.
        commit: Option<GitOid>,
        /// How it came out.
        conclusion: Conclusion,
        /// What the tests reached.
        coverage: Option<Coverage>,
        /// How many findings are errors.
        errors: Option<u32>,
        /// The tool's exit code.
        exit_code: Option<i32>,
        /// How many findings there are; absent when the tool gave no list, which is not the same as an empty one.
        findings: Option<u32>,
        /// What it looked at.
        kind: CheckKind,
        /// Its name, as a rule requires it: `ci / lint`.
        name: String,
        /// BLAKE3 of the evidence that is the tool's report.
        report: Option<Hex32>,
        /// Id of the pipeline run it was part of.
        run: Option<String>,
        /// When it began.
        started_at: Option<Timestamp>,
        /// What it says of itself.
        summary: Option<Private>,
        /// The tool.
        tool: Option<String>,
        /// The tool's version.
        tool_version: Option<String>,
        /// Where to look at it.
        url: Option<String>,
        /// How many findings are warnings.
        warnings: Option<u32>,
    }

    /// A suite of tests is done. Single cases are in the report.
    pub struct TestsuiteFinished {
        /// The artifact that was tested, where it was one.
        artifact: Option<Digest>,
        /// Which attempt of the run it was part of, from 1.
        attempt: Option<u32>,
        /// The branch it ran for, without `refs/heads/`.
        branch: Option<String>,
        /// Id of the change it ran for.
        change: Option<String>,
        /// The commit that was tested.
        commit: Option<GitOid>,
        /// How it came out.
        conclusion: Conclusion,
        /// What the tests reached.
        coverage: Option<Coverage>,
        /// How long it took, in milliseconds.
        duration_ms: Option<U64>,
        /// Cases that could not be run to a result, collection and set-up included.
        errors: Option<u32>,
        /// The runner's exit code.
        exit_code: Option<i32>,
        /// Cases that failed.
        failures: Option<u32>,
        /// Cases that passed only when tried again.
        flaky: Option<u32>,
        /// What it tests.
        kind: SuiteKind,
        /// BLAKE3 of the evidence that is the report.
        report: Option<Hex32>,
        /// Id of the pipeline run it was part of.
        run: Option<String>,
        /// Cases that were left out, expected failures included.
        skipped: Option<u32>,
        /// When it began.
        started_at: Option<Timestamp>,
        /// Its name.
        suite: String,
        /// How many cases there were; absent when the runner died before it wrote a report.
        tests: Option<u32>,
        /// The runner.
        tool: Option<String>,
        /// The runner's version.
        tool_version: Option<String>,
        /// Where to look at it.
        url: Option<String>,
    }

    /// What a load test measured.
    pub struct LoadResult {
        /// How long it ran, in milliseconds.
        duration_ms: Option<U64>,
        /// Requests that failed.
        failed_requests: Option<U64>,
        /// The longest answer, in microseconds.
        latency_max_us: Option<U64>,
        /// Half the answers took no longer, in microseconds.
        latency_p50_us: Option<U64>,
        /// 95 in 100 answers took no longer, in microseconds.
        latency_p95_us: Option<U64>,
        /// 99 in 100 answers took no longer, in microseconds.
        latency_p99_us: Option<U64>,
        /// Requests made.
        requests: U64,
        /// Most virtual users at once.
        virtual_users_max: Option<u32>,
    }

    /// What runs in the target was tried.
    pub struct ValidationFinished {
        /// What was running when it was tried; at most 100.
        artifacts: Option<Vec<Digest>>,
        /// BLAKE3 of the evidence that is the validator's signed statement.
        attestation: Option<Hex32>,
        /// Checks or thresholds that did not hold.
        checks_failed: Option<u32>,
        /// Checks or thresholds there were.
        checks_total: Option<u32>,
        /// The source commit that was running, where it is known.
        commit: Option<GitOid>,
        /// How it came out.
        conclusion: Conclusion,
        /// The source's id of the rollout that was tried.
        deployment: Option<String>,
        /// Until when it counts, where it is limited.
        expires_at: Option<Timestamp>,
        /// What it does.
        kind: ValidationKind,
        /// What the load test measured.
        load: Option<LoadResult>,
        /// Its name.
        name: String,
        /// BLAKE3 of the evidence that is the report.
        report: Option<Hex32>,
        /// Id of the pipeline run it was part of.
        run: Option<String>,
        /// When it began.
        started_at: Option<Timestamp>,
        /// What the validator says.
        statement: Option<Private>,
        /// The tool.
        tool: Option<String>,
        /// The tool's version.
        tool_version: Option<String>,
        /// Where to look at it.
        url: Option<String>,
        /// Who looked, for a manual one.
        validator: Option<Subject>,
    }
}
