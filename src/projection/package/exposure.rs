//! Exposure: where and when something ran that has a package, or a vulnerability.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use rusqlite::{OptionalExtension, params};

use super::super::deployment::{self, RunningImage, Target};
use super::super::{Basis, Error, Result, Snapshot, instant};
use super::asked::{Matched, Subject, look_up};
use super::names::Package;
use super::run::{Run, Span, listed, runs, spans};
use super::store::DocumentKind;
use super::told::{Artifacts, Evidence, Standing, Told, Word, artifacts, package_of};
use super::unknown::in_doubt;
use crate::event::Timestamp;
use crate::report::Severity;

/// Artifacts that are listed of each time: the ones that ran last.
const ARTIFACTS_LISTED: usize = 20;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What it is about.
    pub subject: Subject,
    /// One environment; all where absent.
    pub environment: Option<String>,
    /// One service; all where absent.
    pub service: Option<String>,
    /// What ended before this instant is left out.
    pub from: Option<Timestamp>,
    /// What began at this instant or later is left out.
    pub to: Option<Timestamp>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposure {
    /// The packages that are meant, by version.
    pub packages: Vec<Package>,
    /// Packages of that name of which it cannot be told whether they are meant.
    pub not_compared: Vec<Package>,
    /// The names of the vulnerability.
    pub vulnerabilities: Vec<String>,
    /// When it was made public, as the first of the documents has it that tell.
    pub disclosed_at: Option<Timestamp>,
    /// The first document that spoke of it.
    pub first_seen: Option<Sighting>,
    /// How many artifacts have it, whether they ran or not.
    pub artifacts: usize,
    /// A page of the times at which it ran.
    pub periods: Vec<Period>,
    /// How many there are in all.
    pub periods_total: usize,
    /// What makes it unknown of other images whether they have it.
    pub doubt: Doubt,
}

/// What makes it unknown whether an image has what is asked about. Of a package: that no bill of materials tells what is in
/// it. Of a vulnerability: that it was not scanned since that was made public.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Doubt {
    /// From when on a scan could find the vulnerability; none where a package is asked about.
    pub(super) since: Option<i64>,
    /// Images that ran and have it.
    pub(super) exposed: HashSet<i64>,
}

/// A document, and when it came to be known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// What it is.
    pub kind: DocumentKind,
    /// What made it; empty where it does not say.
    pub tool: String,
    /// When it was made, as it says.
    pub at: Timestamp,
    /// When the ledger came to know.
    pub recorded_at: Timestamp,
    /// The event that names it.
    pub position: u64,
}

/// A time in which a target had it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    /// The environment.
    pub environment: String,
    /// The service.
    pub service: String,
    /// From when.
    pub from: Timestamp,
    /// Until when; none while it lasts.
    pub to: Option<Timestamp>,
    /// How it ended.
    pub end: Option<End>,
    /// The deployment that ended it.
    pub ended_by: Option<String>,
    /// It was declared harmless or done with.
    pub suppressed: bool,
    /// The first document by which it could have been known.
    pub first_seen: Sighting,
    /// What ran, the last first; of many only some.
    pub artifacts: Vec<Exposed>,
    /// How many artifacts ran.
    pub artifacts_total: usize,
    /// The packages that it was in, all of them.
    pub packages: Vec<Package>,
}

/// How a time ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Something else ran that does not have it.
    Fixed,
    /// Something else ran, and it is not known whether it has it.
    Unknown,
    /// The target was removed.
    Removed,
    /// It goes on, but what is said of it is another thing.
    JudgedOtherwise,
}

impl End {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Unknown => "unknown",
            Self::Removed => "removed",
            Self::JudgedOtherwise => "judged_otherwise",
        }
    }
}

/// An image that ran and has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposed {
    /// The image.
    pub image: RunningImage,
    /// The packages it is in.
    pub packages: Vec<Package>,
    /// How that is known.
    pub evidence: Evidence,
    /// The first document by which.
    pub first_seen: Sighting,
    /// What tools, and people, say of the vulnerability.
    pub statements: Vec<Statement>,
}

/// What a document says of a vulnerability: the newest of each tool and package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The document.
    pub sighting: Sighting,
    /// The package it names.
    pub package: Option<Package>,
    /// How bad it is.
    pub severity: Severity,
    /// Declared harmless or done with.
    pub suppressed: bool,
    /// The version that mends it.
    pub fixed_in: Option<String>,
}

/// Where and when what is asked about ran: times in targets, those that last first, at most `limit` after the first
/// `offset`.
///
/// # Errors
/// `NotFound` where no document speaks of it, or where there is no such target; `Database`, `Damaged`, `Ledger`.
pub fn exposure(
    snapshot: &Snapshot<'_>,
    basis: &Basis,
    question: &Question,
    offset: usize,
    limit: usize,
) -> Result<Exposure> {
    let matched = look_up(snapshot, basis, &question.subject)?;
    let targets = targets(snapshot, basis, question)?;
    let found = artifacts(snapshot.connection, &matched, basis.known())?;
    let runs = runs(snapshot.connection, &found.told, basis.known())?;
    let window = (question.from.map_or(i64::MIN, Timestamp::micros), question.to.map_or(i64::MAX, Timestamp::micros));
    let spans = listed(spans(&runs, &found.told), window, &targets);
    let since = found.disclosed_at.or(found.found_at);
    let doubt = Doubt { since, exposed: runs.iter().map(|run| run.image).collect() };
    let packages = numbered(&matched);
    let mut answers = Answers { snapshot, basis, found: &found, packages, runs: &runs, doubt: &doubt };
    let mut periods = Vec::new();
    for span in spans.iter().skip(offset).take(limit) {
        if let Some(target) = targets.get(&span.target) {
            periods.push(answers.period(span, target)?);
        }
    }
    let first = found.told.values().filter(|told| told.evidence == Evidence::Document).map(|told| told.position).min();
    Ok(Exposure {
        first_seen: first.map(|position| answers.sighting(position)).transpose()?,
        packages: matched.packages.into_iter().map(|(_, package)| package).collect(),
        not_compared: matched.not_compared,
        vulnerabilities: matched.vulnerabilities.into_iter().map(|(_, name)| name).collect(),
        disclosed_at: found.disclosed_at.map(instant),
        artifacts: found.told.len(),
        periods,
        periods_total: spans.len(),
        doubt,
    })
}

/// The targets that are asked about.
pub(super) fn targets(snapshot: &Snapshot<'_>, basis: &Basis, question: &Question) -> Result<HashMap<i64, Target>> {
    let (environment, service) = (question.environment.as_deref(), question.service.as_deref());
    let targets = deployment::targets(snapshot, basis, environment, service)?;
    if targets.is_empty() && (environment.is_some() || service.is_some()) {
        let name = [environment, service].into_iter().flatten().collect::<Vec<_>>().join("/");
        return Err(Error::NotFound(format!("target {name}")));
    }
    Ok(targets.into_iter().map(|target| (target.id, target)).collect())
}

fn numbered(matched: &Matched) -> BTreeMap<i64, Package> {
    matched.packages.iter().cloned().collect()
}

/// Puts rows into words.
struct Answers<'a> {
    snapshot: &'a Snapshot<'a>,
    basis: &'a Basis,
    found: &'a Artifacts,
    /// Those that were looked up.
    packages: BTreeMap<i64, Package>,
    runs: &'a [Run],
    doubt: &'a Doubt,
}

impl Answers<'_> {
    fn period(&mut self, span: &Span, target: &Target) -> Result<Period> {
        let all = self.runs;
        let runs = all.get(span.runs.clone()).unwrap_or_default();
        let told = || runs.iter().filter_map(|run| self.found.told.get(&run.artifact));
        let first = told().map(|told| told.position).min().unwrap_or_default();
        let packages: BTreeSet<i64> = told().flat_map(|told| told.packages.iter().copied()).collect();
        let images: BTreeSet<i64> = runs.iter().map(|run| run.image).collect();
        let (end, ended_by) = runs.last().map_or(Ok((None, None)), |last| self.end(span, last))?;
        let mut artifacts = Vec::new();
        let mut shown = BTreeSet::new();
        for run in runs.iter().rev() {
            if artifacts.len() < ARTIFACTS_LISTED && shown.insert(run.image) {
                artifacts.push(self.exposed(runs, run)?);
            }
        }
        Ok(Period {
            environment: target.environment.clone(),
            service: target.service.clone(),
            from: instant(span.from),
            to: Some(span.until).filter(|until| *until != i64::MAX).map(instant),
            end,
            ended_by,
            suppressed: span.standing == Standing::Suppressed,
            first_seen: self.sighting(first)?,
            artifacts,
            artifacts_total: images.len(),
            packages: self.packages(packages)?,
        })
    }

    /// How a time ended, and by which deployment.
    fn end(&self, span: &Span, last: &Run) -> Result<(Option<End>, Option<String>)> {
        if span.until == i64::MAX {
            return Ok((None, None));
        }
        let connection = self.snapshot.connection;
        let ended_by: Option<i64> = connection
            .prepare_cached("SELECT ended_by FROM deployment WHERE id = ?1")?
            .query_row([last.deployment], |row| row.get(0))?;
        let Some(rollout) = ended_by else { return Ok((Some(End::Removed), None)) };
        let name: String = connection
            .prepare_cached("SELECT name FROM rollout WHERE id = ?1")?
            .query_row([rollout], |row| row.get(0))?;
        let images: Option<Option<i64>> = connection
            .prepare_cached(
                "SELECT images FROM deployment WHERE rollout = ?1 AND known_to >= ?2 AND known_from < ?2 LIMIT 1",
            )?
            .query_row(params![rollout, self.basis.known()], |row| row.get(0))
            .optional()?;
        let images = images.flatten().map(|list| self.images(list)).transpose()?.unwrap_or_default();
        let end = match span.goes_on {
            true => End::JudgedOtherwise,
            false if self.none_in_doubt(&images)? => End::Fixed,
            false => End::Unknown,
        };
        Ok((Some(end), Some(name)))
    }

    /// Whether it is known of all images that they do not have it.
    fn none_in_doubt(&self, images: &[RunningImage]) -> Result<bool> {
        for image in images {
            let Some(number) = self.snapshot.id(&image.identity())? else { return Ok(false) };
            if in_doubt(self.snapshot, self.basis, self.doubt, number)? {
                return Ok(false);
            }
        }
        Ok(!images.is_empty())
    }

    fn images(&self, list: i64) -> Result<Vec<RunningImage>> {
        deployment::images(self.snapshot.connection, list)
    }

    /// An image that ran, by what is known of it and of what it is linked with.
    fn exposed(&mut self, runs: &[Run], run: &Run) -> Result<Exposed> {
        let artifacts: BTreeSet<i64> =
            runs.iter().filter(|other| other.image == run.image).map(|other| other.artifact).collect();
        let told: Vec<&Told> = artifacts.iter().filter_map(|artifact| self.found.told.get(artifact)).collect();
        let packages: BTreeSet<i64> = told.iter().flat_map(|told| told.packages.iter().copied()).collect();
        let identity = self.snapshot.text(run.image)?;
        let image = self.images(run.images)?.into_iter().find(|image| image.identity() == identity);
        let first = told.iter().map(|told| told.position).min().unwrap_or_default();
        let mut words: Vec<&Word> = told.iter().flat_map(|told| &told.words).collect();
        words.sort_by_key(|word| (std::cmp::Reverse(word.at), word.position, word.package));
        Ok(Exposed {
            image: image.ok_or_else(|| Error::Damaged(format!("image {} is not in its list", run.image)))?,
            packages: self.packages(packages)?,
            evidence: told.iter().map(|told| told.evidence).min().unwrap_or(Evidence::Document),
            first_seen: self.sighting(first)?,
            statements: words.into_iter().map(|word| self.statement(word)).collect::<Result<_>>()?,
        })
    }

    fn statement(&mut self, word: &Word) -> Result<Statement> {
        let package = match word.package {
            0 => None,
            package => self.packages(BTreeSet::from([package]))?.pop(),
        };
        Ok(Statement {
            sighting: self.sighting(word.position)?,
            package,
            severity: severity(word.severity),
            suppressed: word.suppressed,
            fixed_in: word.fixed_in.clone(),
        })
    }

    fn packages(&mut self, numbers: BTreeSet<i64>) -> Result<Vec<Package>> {
        let mut packages = Vec::with_capacity(numbers.len());
        for number in numbers {
            let package = match self.packages.get(&number) {
                Some(package) => package.clone(),
                None => {
                    let package = package_of(self.snapshot.connection, number)?;
                    self.packages.insert(number, package.clone());
                    package
                }
            };
            packages.push(package);
        }
        packages.sort();
        Ok(packages)
    }

    /// The document that an event names.
    fn sighting(&self, position: i64) -> Result<Sighting> {
        let mut statement = self
            .snapshot
            .connection
            .prepare_cached("SELECT kind, tool, at FROM package_document WHERE position = ?1")?;
        let (kind, tool, at): (i64, i64, i64) =
            statement.query_row([position], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let position = position.unsigned_abs();
        Ok(Sighting {
            kind: DocumentKind::of(kind).ok_or_else(|| Error::Damaged(format!("a document of kind {kind}")))?,
            tool: self.snapshot.text(tool)?,
            at: instant(at),
            recorded_at: self.snapshot.ledger.recorded_at(position)?,
            position,
        })
    }
}

fn severity(number: i64) -> Severity {
    let all = [Severity::Info, Severity::Low, Severity::Medium, Severity::High, Severity::Critical];
    all.into_iter().find(|severity| *severity as i64 == number).unwrap_or(Severity::Unknown)
}
