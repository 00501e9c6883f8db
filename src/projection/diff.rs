//! What differs between two states: of one environment at two instants, or of two environments.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, params};

use super::deployment::{self, Deployment, Origin, Row, Target};
use super::{About, Basis, Error, Result, Snapshot, artifact, source};
use crate::event::Timestamp;

/// The projections that are asked.
pub const NEEDS: &[&About] = &[&deployment::ABOUT, &artifact::ABOUT, &source::ABOUT];

/// A state: of an environment at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// The environment.
    pub environment: String,
    /// The instant.
    pub at: Timestamp,
}

/// What differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff {
    /// Services that differ, by name.
    pub services: Vec<ServiceDiff>,
    /// How many run the same artifacts on both sides.
    pub unchanged: u32,
}

/// How a service differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// It ran after and not before.
    Added,
    /// It ran before and not after.
    Removed,
    /// Other artifacts ran.
    Changed,
}

impl Difference {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

/// Of which side a commit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// After has it and before has not.
    Added,
    /// Before has it and after has not.
    Removed,
}

impl Direction {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
        }
    }
}

/// What differs in a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceDiff {
    /// The service.
    pub service: String,
    /// How it differs.
    pub difference: Difference,
    /// What ran before.
    pub before: Option<Deployment>,
    /// What ran after.
    pub after: Option<Deployment>,
    /// The commits between, where it ran on both sides.
    pub between: Between,
    /// Scans of what ran after, up to then: the newest of each tool and kind.
    pub scans: Vec<artifact::Scan>,
}

/// The commits that are behind one side and not behind the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Between {
    /// Commits, the added ones first, newest first; no more than were asked for.
    pub commits: Vec<(Direction, source::Commit)>,
    /// How many were added in all.
    pub added: usize,
    /// How many were removed in all.
    pub removed: usize,
    /// Whether some history between the two is not known, or the commits of one side are not.
    pub incomplete: bool,
    /// Merged changes by which those commits came, by repository and in the order of the commits.
    pub changes: Vec<(Direction, source::Change)>,
}

/// What differs between two sides, of one service or all; of each service at most `limit` commits are shown.
///
/// # Errors
/// `NotFound` for an environment of which nothing is known, and for a service that is in neither; `Database`, `Ledger`.
pub fn diff(
    snapshot: &Snapshot<'_>,
    basis: &Basis,
    (before, after): (&Side, &Side),
    service: Option<&str>,
    limit: usize,
) -> Result<Diff> {
    let mut pairs: BTreeMap<String, (Option<Row>, Option<Row>)> = BTreeMap::new();
    for target in targets(snapshot, basis, &before.environment, service)? {
        let live = deployment::live(snapshot.connection, target.id, before.at.micros(), basis.known())?;
        pairs.entry(target.service).or_default().0 = live;
    }
    for target in targets(snapshot, basis, &after.environment, service)? {
        let live = deployment::live(snapshot.connection, target.id, after.at.micros(), basis.known())?;
        pairs.entry(target.service).or_default().1 = live;
    }
    if let Some(service) = service.filter(|_| pairs.is_empty()) {
        return Err(Error::NotFound(format!("service {service} in environment {}", before.environment)));
    }
    let mut diff = Diff { services: Vec::new(), unchanged: 0 };
    for (service, (one, other)) in pairs {
        let difference = match (&one, &other) {
            (None, None) => continue,
            (Some(one), Some(other)) if one.artifact_set == other.artifact_set => {
                diff.unchanged += 1;
                continue;
            }
            (None, Some(_)) => Difference::Added,
            (Some(_), None) => Difference::Removed,
            (Some(_), Some(_)) => Difference::Changed,
        };
        let in_words = |row: Option<Row>| row.map(|row| deployment::deployment(snapshot, row)).transpose();
        let (one, other) = (in_words(one)?, in_words(other)?);
        let between = match (&one, &other) {
            (Some(one), Some(other)) => between(snapshot, basis, one, other, limit)?,
            _ => Between::default(),
        };
        let scans = other.as_ref().map_or(Ok(Vec::new()), |other| scans(snapshot, basis, other, after.at))?;
        diff.services.push(ServiceDiff { service, difference, before: one, after: other, between, scans });
    }
    Ok(diff)
}

/// Targets of an environment that must be known.
fn targets(snapshot: &Snapshot<'_>, basis: &Basis, environment: &str, service: Option<&str>) -> Result<Vec<Target>> {
    let found = deployment::targets(snapshot, basis, Some(environment), service)?;
    let known = !found.is_empty() || !deployment::targets(snapshot, basis, Some(environment), None)?.is_empty();
    if known { Ok(found) } else { Err(Error::NotFound(format!("environment {environment}"))) }
}

fn between(
    snapshot: &Snapshot<'_>,
    basis: &Basis,
    before: &Deployment,
    after: &Deployment,
    limit: usize,
) -> Result<Between> {
    let (one, other) = (revisions(snapshot, basis, before)?, revisions(snapshot, basis, after)?);
    let unlinked = has_unlinked(snapshot, basis, before, after)? || has_unlinked(snapshot, basis, after, before)?;
    if one.is_empty() || other.is_empty() {
        return Ok(Between { incomplete: true, ..Between::default() });
    }
    let found = source::difference(snapshot.connection, basis.known(), &one, &other)?;
    let added = found.added.iter().map(|commit| (Direction::Added, *commit));
    let removed = found.removed.iter().map(|commit| (Direction::Removed, *commit));
    let (mut commits, mut seen, mut changes) = (Vec::new(), Vec::new(), Vec::new());
    for (direction, commit) in added.chain(removed).take(limit) {
        commits.push((direction, source::in_words(snapshot, basis, commit)?));
        for (repository, change) in source::changes_of(snapshot, basis, commit)? {
            if seen.contains(&(repository, change)) {
                continue;
            }
            seen.push((repository, change));
            let change = source::change(snapshot, basis, repository, change)?;
            changes.extend(change.map(|change| (direction, change)));
        }
    }
    let (added, removed) = (found.added.len(), found.removed.len());
    Ok(Between { commits, added, removed, incomplete: found.incomplete || unlinked, changes })
}

fn scans(snapshot: &Snapshot<'_>, basis: &Basis, of: &Deployment, until: Timestamp) -> Result<Vec<artifact::Scan>> {
    let mut all = Vec::new();
    for digest in of.images.iter().filter_map(|image| image.digest.as_ref()) {
        all.extend(artifact::scans(snapshot, basis, digest, until)?);
    }
    Ok(all)
}

/// The source commits of a deployment (`git_commit.id`): what the deployer named, else what its images were built from.
///
/// # Errors
/// `Database`.
pub(super) fn revisions(snapshot: &Snapshot<'_>, basis: &Basis, of: &Deployment) -> Result<Vec<i64>> {
    if let Some(origin) = &of.source_commit {
        return Ok(numbered(snapshot, basis, origin)?.into_iter().collect());
    }
    let mut commits = Vec::new();
    for digest in of.images.iter().filter_map(|image| image.digest.as_ref()) {
        let Some(artifact) = snapshot.id(digest)? else { continue };
        for found in artifact::origins(snapshot.connection, artifact, basis.known())? {
            if !commits.contains(&found.commit_id) {
                commits.push(found.commit_id);
            }
        }
    }
    Ok(commits)
}

/// Whether an image of one deployment, that the other has not, is of commits that are not known.
fn has_unlinked(snapshot: &Snapshot<'_>, basis: &Basis, of: &Deployment, other: &Deployment) -> Result<bool> {
    if of.source_commit.is_some() {
        return Ok(false);
    }
    for image in of.images.iter().filter(|image| !other.images.contains(image)) {
        let artifact = image.digest.as_ref().map(|digest| snapshot.id(digest)).transpose()?.flatten();
        let Some(artifact) = artifact else { return Ok(true) };
        if artifact::origins(snapshot.connection, artifact, basis.known())?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The number of a commit; without its repository, that of any commit of the id, those first of which something was told.
fn numbered(snapshot: &Snapshot<'_>, basis: &Basis, origin: &Origin) -> Result<Option<i64>> {
    let mut statement = snapshot.connection.prepare_cached(
        "SELECT git_commit.id FROM git_commit JOIN name AS place ON place.id = git_commit.repository \
         WHERE git_commit.oid = ?1 AND (?2 = '' OR place.text = ?2) \
         ORDER BY NOT EXISTS (SELECT 1 FROM commit_fact WHERE commit_id = git_commit.id AND position < ?3), place.text \
         LIMIT 1",
    )?;
    let Some(oid) = snapshot.id(&origin.revision)? else { return Ok(None) };
    let parameters = params![oid, origin.repository, basis.known()];
    Ok(statement.query_row(parameters, |row| row.get(0)).optional()?)
}
