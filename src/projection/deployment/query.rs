//! Asking what ran.

use rusqlite::{Row as SqlRow, params};

use super::super::{Basis, Error, Result, Snapshot, instant};
use super::fact::{AUTOMATED, BY_HAND, HOTFIX, INCOMPLETE, PARTIAL, RunningImage};
use super::store::{self, Row, columns};
use super::walk::{Class, Ended, Status};
use crate::event::Timestamp;

/// Where a service runs, or ran.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// Number in the views.
    pub(in super::super) id: i64,
    /// The environment.
    pub environment: String,
    /// The service.
    pub service: String,
    /// Since when it is heard of, by the time of its events.
    pub since: Timestamp,
}

/// A revision at a place: a commit of a repository, as far as that is known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The repository's stream; empty where it is not known.
    pub repository: String,
    /// The commit, or whatever the revision is called.
    pub revision: String,
}

impl Origin {
    /// Reads `<repository>@<revision>`.
    pub(in super::super) fn parse(text: &str) -> Self {
        let (repository, revision) = text.rsplit_once('@').unwrap_or(("", text));
        Self { repository: repository.to_owned(), revision: revision.to_owned() }
    }
}

/// A rollout and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// Number of the rollout in the views.
    pub(in super::super) rollout: i64,
    /// Number of the rollout whose artifacts ran just before.
    pub(in super::super) replaced: Option<i64>,
    /// Orders what is of one instant.
    pub(in super::super) key: i64,
    /// The source's id of it, or what stands for it; unique within the target.
    pub id: String,
    /// What became of it.
    pub status: Status,
    /// What it was for its target; none where it had no effect.
    pub class: Option<Class>,
    /// When it took effect; when it was last heard of, for one that did not.
    pub at: Timestamp,
    /// Not before: where the effect was found later.
    pub not_before: Option<Timestamp>,
    /// Until when its artifacts ran; none while they do.
    pub until: Option<Timestamp>,
    /// How that ended.
    pub ended: Option<Ended>,
    /// The id of the rollout that superseded it.
    pub ended_by: Option<String>,
    /// The id of the rollout whose artifacts ran just before.
    pub replaces: Option<String>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it was done: in effect and healthy everywhere, or ended otherwise.
    pub finished_at: Option<Timestamp>,
    /// What runs, sorted by name.
    pub images: Vec<RunningImage>,
    /// By which one revision is told from another: a digest, or what comes nearest to it.
    pub artifact_set: String,
    /// The application source, where the deployer itself named it.
    pub source_commit: Option<Origin>,
    /// The commit of desired state.
    pub manifest: Option<Origin>,
    /// The ledger's command behind it.
    pub command: Option<String>,
    /// Pseudonym of who asked for it, as far as is known.
    pub initiated_by: Option<String>,
    /// Whether the deployer began by itself; none where it does not say.
    pub automated: Option<bool>,
    /// It was declared an urgent repair.
    pub hotfix: bool,
    /// Only single resources were synced.
    pub partial: bool,
    /// The source told success without a result of its own.
    pub incomplete: bool,
    /// How many clusters it reached.
    pub clusters: u32,
    /// The event that ended it, or else the last that told of it.
    pub position: u64,
}

pub(super) fn read_target(row: &SqlRow<'_>) -> rusqlite::Result<Target> {
    let since = instant(row.get(3)?);
    Ok(Target { id: row.get(0)?, environment: row.get(1)?, service: row.get(2)?, since })
}

/// Targets by environment and service, sorted; all where neither is given.
///
/// # Errors
/// `Database`.
pub fn targets(
    snapshot: &Snapshot<'_>,
    basis: &Basis,
    environment: Option<&str>,
    service: Option<&str>,
) -> Result<Vec<Target>> {
    let mut statement = snapshot.connection.prepare_cached(
        "SELECT id, environment, service, \
           (SELECT min(at) FROM target_sight WHERE target_sight.target = target.id AND target_sight.position < ?1) \
         FROM target WHERE position < ?1 AND (?2 IS NULL OR environment = ?2) \
         AND (?3 IS NULL OR service = ?3) ORDER BY environment, service",
    )?;
    let rows = statement.query_map(params![basis.known(), environment, service], read_target)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Every service, in the order in which the ledger first heard of it.
///
/// # Errors
/// `Database`.
pub fn services(snapshot: &Snapshot<'_>) -> Result<Vec<String>> {
    let mut statement =
        snapshot.connection.prepare_cached("SELECT service FROM target GROUP BY service ORDER BY min(id)")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// One target.
///
/// # Errors
/// `NotFound`; `Database`.
pub fn target(snapshot: &Snapshot<'_>, basis: &Basis, environment: &str, service: &str) -> Result<Target> {
    let found = targets(snapshot, basis, Some(environment), Some(service))?;
    found.into_iter().next().ok_or_else(|| Error::NotFound(format!("target {environment}/{service}")))
}

/// What ran in a target at an instant; none where nothing did.
///
/// # Errors
/// `Database`, `Damaged`.
pub fn state(snapshot: &Snapshot<'_>, basis: &Basis, target: &Target, at: Timestamp) -> Result<Option<Deployment>> {
    let live = store::live(snapshot.connection, target.id, at.micros(), basis.known())?;
    live.map(|row| deployment(snapshot, row)).transpose()
}

/// What took effect in a target, newly or again, from `from` to before `to`: instant, key, and number of the rollout.
///
/// # Errors
/// `Database`.
pub(in super::super) fn effects(
    snapshot: &Snapshot<'_>,
    basis: &Basis,
    target: &Target,
    (from, to): (i64, i64),
) -> Result<Vec<(i64, i64, i64)>> {
    let mut statement = snapshot.connection.prepare_cached(
        "SELECT at, key, rollout FROM deployment WHERE target = ?1 AND at >= ?2 AND at < ?3 AND known_from < ?4 \
         AND known_to >= ?4 AND class NOT NULL ORDER BY at, key",
    )?;
    let parameters = params![target.id, from, to, basis.known()];
    let rows = statement.query_map(parameters, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whether some deployment of a target began by itself or by a command.
///
/// # Errors
/// `Database`.
pub(in super::super) fn is_usually_automatic(snapshot: &Snapshot<'_>, basis: &Basis, target: &Target) -> Result<bool> {
    let mut statement = snapshot.connection.prepare_cached(
        "SELECT 1 FROM deployment WHERE target = ?1 AND known_from < ?2 AND known_to >= ?2 \
         AND (flags & ?3 OR command NOT NULL) LIMIT 1",
    )?;
    Ok(statement.exists(params![target.id, basis.known(), AUTOMATED])?)
}

/// Deployments and attempts of a target that are of the time from `from` to before `to`, newest first, at most `limit`,
/// beginning after the one at `after` (instant and rollout number).
///
/// # Errors
/// `Database`, `Damaged`.
pub fn deployments(
    snapshot: &Snapshot<'_>,
    basis: &Basis,
    target: &Target,
    (from, to): (Option<Timestamp>, Option<Timestamp>),
    after: Option<(i64, i64)>,
    limit: usize,
) -> Result<Vec<Deployment>> {
    let mut statement = snapshot.connection.prepare_cached(concat!(
        "SELECT ",
        columns!(),
        " FROM deployment WHERE target = ?1 AND at >= ?2 AND at < ?3 AND known_from < ?4 AND known_to >= ?4 \
         AND (at, key) < (?5, ?6) ORDER BY at DESC, key DESC LIMIT ?7"
    ))?;
    let from = from.map_or(i64::MIN, Timestamp::micros);
    let to = to.map_or(i64::MAX, Timestamp::micros);
    let (after_at, after_key) = after.unwrap_or((i64::MAX, i64::MAX));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let parameters = params![target.id, from, to, basis.known(), after_at, after_key, limit];
    let mut rows = statement.query(parameters)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(deployment(snapshot, Row::read(row)?)?);
    }
    Ok(found)
}

fn damaged(what: &str, number: i64) -> Error {
    Error::Damaged(format!("a deployment with {what} {number}"))
}

/// A row with its texts.
pub(in super::super) fn deployment(snapshot: &Snapshot<'_>, row: Row) -> Result<Deployment> {
    let text = |id: Option<i64>| id.map(|id| snapshot.text(id)).transpose();
    let images =
        row.details.images.map(|list| store::images(snapshot.connection, list)).transpose()?.unwrap_or_default();
    let name = |rollout: Option<i64>| rollout.map(|id| rollout_name(snapshot, id)).transpose();
    let automated = match row.details.flags & (AUTOMATED | BY_HAND) {
        AUTOMATED => Some(true),
        BY_HAND => Some(false),
        _ => None,
    };
    Ok(Deployment {
        rollout: row.rollout,
        replaced: row.replaces,
        key: row.key,
        id: rollout_name(snapshot, row.rollout)?,
        status: Status::of(row.status).ok_or_else(|| damaged("status", row.status))?,
        class: row.class.map(|class| Class::of(class).ok_or_else(|| damaged("class", class))).transpose()?,
        at: instant(row.at),
        not_before: row.details.observed_from.map(instant),
        until: row.until_at.map(instant),
        ended: row.ended.map(|ended| Ended::of(ended).ok_or_else(|| damaged("end", ended))).transpose()?,
        ended_by: name(row.ended_by)?,
        replaces: name(row.replaces)?,
        started_at: row.started_at.map(instant),
        finished_at: row.finished_at.map(instant),
        images,
        artifact_set: snapshot.text(row.artifact_set)?,
        source_commit: text(row.details.source_commit)?.map(|text| Origin::parse(&text)),
        manifest: text(row.details.manifest)?.map(|text| Origin::parse(&text)),
        command: text(row.details.command)?,
        initiated_by: text(row.details.initiated_by)?,
        automated,
        hotfix: row.details.flags & HOTFIX != 0,
        partial: row.details.flags & PARTIAL != 0,
        incomplete: row.details.flags & INCOMPLETE != 0,
        clusters: u32::try_from(row.clusters).unwrap_or(u32::MAX),
        position: u64::try_from(row.position).map_err(|_why| damaged("position", row.position))?,
    })
}

fn rollout_name(snapshot: &Snapshot<'_>, id: i64) -> Result<String> {
    let mut statement = snapshot.connection.prepare_cached("SELECT name FROM rollout WHERE id = ?1")?;
    Ok(statement.query_row([id], |row| row.get(0))?)
}

impl Deployment {
    /// Its place in the order in which deployments are listed.
    #[must_use]
    pub fn place(&self) -> (i64, i64) {
        (self.at.micros(), self.key)
    }

    /// What makes it uncertain what ran from when on, in words.
    #[must_use]
    pub fn uncertainties(&self) -> Vec<&'static str> {
        let without_digest = self.images.iter().any(|image| image.digest.is_none());
        let reasons = [
            (self.not_before.is_some(), "it was found later than it came about"),
            (without_digest, "an image is known by its tag alone, which may have moved"),
            (self.images.is_empty(), "the deployer did not say which images run"),
            (self.incomplete, "the deployer told success without a result of its own"),
            (self.partial, "only single resources were synced"),
        ];
        reasons.into_iter().filter_map(|(so, reason)| so.then_some(reason)).collect()
    }
}

/// A time for which the ledger was blind to something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
    /// What it was blind to: a source; everything where absent.
    pub observed: Option<String>,
    /// Why.
    pub reason: String,
    /// The event that says so.
    pub position: u64,
}

/// Gaps that touch the time from `from` to `to`, both included, by their beginning.
///
/// # Errors
/// `Database`.
pub fn gaps(snapshot: &Snapshot<'_>, basis: &Basis, from: Timestamp, to: Timestamp) -> Result<Vec<Gap>> {
    let mut statement = snapshot.connection.prepare_cached(
        "SELECT from_at, to_at, observed, reason, position FROM gap WHERE from_at <= ?2 AND to_at >= ?1 AND position < ?3 \
         ORDER BY from_at, to_at, observed, reason, position",
    )?;
    let rows = statement.query_map(params![from.micros(), to.micros(), basis.known()], |row| {
        Ok(Gap {
            from: instant(row.get(0)?),
            to: instant(row.get(1)?),
            observed: row.get(2)?,
            reason: row.get(3)?,
            position: row.get::<_, i64>(4)?.unsigned_abs(),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
