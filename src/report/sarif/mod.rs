//! SARIF 2.1.0 of any tool.
//!
//! Rules may stand behind the results that need them, so a log is gone through twice: for the runs' tools and rules, and for
//! their results. Runs of the same tool are one scan. A run without `results` did not look; one with an empty list found nothing.

mod results;
mod survey;

use super::fold::Object;
use super::scan::{self, Tally};
use super::statement::cut_off;
use super::{Details, Document, Format, Given, Kind, Named, Reason, Rejection, Report, Shape, Sketch};
use crate::event::artifact::{ScanFinished, ScanKind, ScanStatus};
use crate::event::{Data, GitOid, Timestamp};
use results::Results;
use survey::{Run, Survey};

/// Logs of any tool.
pub(super) const FORMAT: Format = Format {
    name: "sarif",
    about: "SARIF: what any tool found",
    versions: "2.1.0",
    kinds: &[Kind::Scan],
    media_type: "application/sarif+json",
    recognise,
    secret_members,
    read,
};

fn recognise(sketch: &Sketch) -> bool {
    sketch.shape == Shape::Object
        && sketch.has("runs")
        && (sketch.get("$schema").contains("sarif")
            || sketch.get("version").starts_with("2.")
            || sketch.text.contains("\"driver\""))
}

/// Tools that quote the secrets that they find, by a part of their names in small letters.
const SECRET_SCANNERS: &[&str] = &[
    "gitleaks",
    "trufflehog",
    "detect-secrets",
    "detect_secrets",
    "ggshield",
    "gitguardian",
    "secretlint",
    "talisman",
];

/// Excerpts of secret scanners hold the secrets, and messages may. Bandit quotes passwords, too. There is one name for all
/// text in a log, so all of it goes. Where the beginning of a log shows another tool, its text stays as it came; should a
/// secret scanner follow, [`read`] refuses the log.
fn secret_members(sketch: &Sketch) -> &'static [&'static str] {
    let unseen = cut_off(sketch) && names(&sketch.text).next().is_none();
    if unseen || names(&sketch.text).any(quotes) { &["text", "markdown"] } else { &[] }
}

/// Whether a tool quotes secrets.
fn quotes(tool: &str) -> bool {
    let tool = tool.to_ascii_lowercase();
    tool == "bandit" || SECRET_SCANNERS.iter().any(|part| tool.contains(part))
}

/// Names of the tools in a log, and of what else has a name behind the first tool: a tool's may stand behind its rules.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let (_, tools) = text.split_once("\"driver\"").unwrap_or_default();
    tools.split("\"name\"").skip(1).filter_map(|after| {
        let after = after.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
        after.split('"').next()
    })
}

/// Most tools with events of their own in one log: a merged log of a whole organisation's tools has less.
const TOOLS_MAX: usize = 50;

fn read(document: &Document<'_>, given: &Given, details: &mut dyn Details) -> Result<Report, Rejection> {
    let sketch = document.sketch()?;
    if sketch.has("version") {
        check_version(sketch.get("version"))?;
    }
    let mut survey = Survey::default();
    document.json_seed(Object(&mut survey))?;
    check_version(survey.version.as_deref().unwrap_or_default())?;
    if survey.runs.is_empty() {
        return Err(Rejection::new(Reason::Empty, "there is no run: nothing was scanned").at("runs"));
    }
    let mut scans: Vec<Scan> = Vec::new();
    let mut places = Vec::new();
    for (n, run) in survey.runs.iter().enumerate() {
        if run.tool.is_empty() {
            return Err(Rejection::missing(format!("runs[{n}].tool.driver.name")));
        }
        if quotes(&run.tool) && secret_members(&sketch).is_empty() {
            let what = format!("{} quotes secrets, and stands behind another tool: hand it in by itself", run.tool);
            return Err(Rejection::new(Reason::BadField, what).at(format!("runs[{n}].tool.driver.name")));
        }
        let place = match scans.iter().position(|scan| scan.tool == run.tool && scan.version == run.version) {
            Some(place) => place,
            None if scans.len() == TOOLS_MAX => {
                let what = format!("runs of more than {TOOLS_MAX} tools: hand them in one by one");
                return Err(Rejection::new(Reason::TooLarge, what).at("runs"));
            }
            None => {
                scans.push(Scan::new(run));
                scans.len() - 1
            }
        };
        places.push(place);
    }
    let mut results = Results::new(details, &survey.runs, &places, &mut scans);
    document.json_seed(Object(&mut results))?;
    let found = results.finish();
    for ((run, place), found) in survey.runs.iter().zip(&places).zip(found) {
        if let Some(scan) = scans.get_mut(*place) {
            scan.ran(run, found);
        }
    }
    let any = scans.iter().any(|scan| scan.tallies.iter().any(Tally::found));
    let failed = scan::failed(given, any, scan::no_code);
    let commit = one_commit(&survey.runs);
    let facts = scans.iter().flat_map(|scan| scan.facts(failed)).collect();
    let generated_at = survey.runs.iter().filter_map(|run| run.ended_at).max();
    let named = Named { commit, ..Named::default() };
    Ok(Report { format: "sarif/2.1.0".to_owned(), generated_at, named, facts })
}

fn check_version(version: &str) -> Result<(), Rejection> {
    match version {
        // Drafts of 2.1.0 wrote what they were drafts of behind it.
        version if version == "2.1.0" || version.starts_with("2.1.0-") => Ok(()),
        "" => Err(Rejection::missing("version")),
        other => {
            let what = format!("{other:?} is not read: 2.1.0 is");
            Err(Rejection::new(Reason::UnsupportedVersion, what).at("version"))
        }
    }
}

/// The commit that all runs that name one name.
fn one_commit(runs: &[Run]) -> Option<GitOid> {
    let mut commits = runs.iter().flat_map(|run| &run.revisions);
    let first = commits.next()?;
    let oid = first.to_ascii_lowercase().parse().ok()?;
    commits.all(|commit| commit.eq_ignore_ascii_case(first)).then_some(oid)
}

/// What a tool is known to look for, by a part of its name in small letters.
fn kind_of(tool: &str) -> ScanKind {
    const KNOWN: &[(ScanKind, &[&str])] = &[
        (ScanKind::Secret, SECRET_SCANNERS),
        (
            ScanKind::Misconfiguration,
            &[
                "dockle",
                "checkov",
                "tfsec",
                "terrascan",
                "kics",
                "snyk iac",
                "hadolint",
                "kube-linter",
                "kubesec",
                "kube-score",
                "kubescape",
                "polaris",
                "cfn-lint",
                "prowler",
            ],
        ),
        (
            ScanKind::Vulnerability,
            &[
                "trivy",
                "grype",
                "snyk container",
                "snyk open source",
                "osv-scanner",
                "osv-scalibr",
                "dependency-check",
                "safety",
                "pip-audit",
                "cargo-audit",
                "cargo audit",
                "npm audit",
                "govulncheck",
                "clair",
                "anchore",
                "docker scout",
                "bundler-audit",
                "vexctl",
            ],
        ),
        (ScanKind::Malware, &["clamav", "yara"]),
    ];
    let tool = tool.to_ascii_lowercase();
    let known = KNOWN.iter().find(|(_, parts)| parts.iter().any(|part| tool.contains(part)));
    known.map_or(ScanKind::Static, |(kind, _)| *kind)
}

/// The scanner by the name that its own reports give it, whatever form they have: a policy that asks for one means both.
fn scanner(tool: &str) -> String {
    let name = tool.to_ascii_lowercase();
    match name.as_str() {
        "bandit" | "detect-secrets" | "gitleaks" | "grype" | "safety" | "semgrep" | "trivy" => name,
        _ if name.starts_with("semgrep ") => "semgrep".to_owned(),
        _ if name.starts_with("snyk") => "snyk".to_owned(),
        _ => tool.to_owned(),
    }
}

/// All runs of one tool.
struct Scan {
    /// As the log calls it.
    tool: String,
    version: Option<String>,
    kind: ScanKind,
    tallies: Vec<Tally>,
    statuses: Vec<ScanStatus>,
    listed: bool,
    started_at: Option<Timestamp>,
    exit_code: Option<i32>,
}

impl Scan {
    fn new(run: &Run) -> Self {
        let kind = kind_of(&run.tool);
        Self {
            tool: run.tool.clone(),
            version: run.version.clone(),
            kind,
            tallies: Vec::new(),
            statuses: Vec::new(),
            listed: false,
            started_at: None,
            exit_code: None,
        }
    }

    /// The count of a kind.
    fn tally(&mut self, kind: ScanKind) -> Option<&mut Tally> {
        if !self.tallies.iter().any(|tally| tally.kind() == kind) {
            self.tallies.push(Tally::new(kind));
        }
        self.tallies.iter_mut().find(|tally| tally.kind() == kind)
    }

    /// One of its runs is over, with so many results listed.
    fn ran(&mut self, run: &Run, listed: u64) {
        self.listed |= run.results;
        self.started_at = [self.started_at, run.started_at].into_iter().flatten().min();
        self.exit_code = self.exit_code.filter(|code| *code != 0).or(run.exit_code);
        self.statuses.push(match (run.results, run.failed) {
            (false, false) => ScanStatus::NotRun,
            (false, true) => ScanStatus::Failed,
            (true, true) if listed == 0 => ScanStatus::Failed,
            (true, true) => ScanStatus::Partial,
            (true, false) if run.disturbed => ScanStatus::Partial,
            (true, false) => ScanStatus::Completed,
        });
    }

    fn status(&self) -> ScanStatus {
        let all = |status| self.statuses.iter().all(|one| *one == status);
        if all(ScanStatus::Completed) {
            ScanStatus::Completed
        } else if all(ScanStatus::NotRun) {
            ScanStatus::NotRun
        } else if self.statuses.iter().any(|one| matches!(one, ScanStatus::Completed | ScanStatus::Partial)) {
            ScanStatus::Partial
        } else {
            ScanStatus::Failed
        }
    }

    fn facts(&self, failed: bool) -> Vec<Data> {
        let status = if failed { ScanStatus::Failed } else { self.status() };
        let nothing = {
            let mut tally = Tally::new(self.kind);
            tally.listed = self.listed;
            tally
        };
        let tallies = if self.tallies.is_empty() { std::slice::from_ref(&nothing) } else { &self.tallies };
        tallies
            .iter()
            .map(|tally| {
                ScanFinished {
                    exit_code: self.exit_code,
                    started_at: self.started_at,
                    tool_version: scan::version(self.version.as_deref()),
                    ..tally.finished(&scanner(&self.tool), status)
                }
                .into()
            })
            .collect()
    }
}
