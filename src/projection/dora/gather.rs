//! Gathering what figures are made of: the rows of some targets in a window.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension};

use super::super::deployment::{self, Target, Tier, tier};
use super::super::{Basis, Error, Result, Snapshot, incident, names};
use super::outcome;
use super::{Reason, deployed};

const SECOND: i64 = 1_000_000;

/// Which targets are asked about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Services; all where empty.
    pub services: Vec<String>,
    /// Environments; where empty, all of the tier.
    pub environments: Vec<String>,
    /// The tier of environments where none is named; production where absent.
    pub tier: Option<Tier>,
}

/// From when on lead time is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LeadFrom {
    /// When the commit was written: DORA.md's figure.
    #[default]
    Author,
    /// When its change was merged; one sample for each change.
    Merge,
    /// When the first commit of its change was written, of those that came with the deployment; one sample for each change.
    FirstCommit,
}

/// What is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Question {
    /// Half-open, in microseconds since 1970.
    pub window: std::ops::Range<i64>,
    /// From when on lead time is counted.
    pub lead_from: LeadFrom,
    /// Pseudonyms of automation: what they wrote is no change.
    pub automation: BTreeSet<String>,
    /// Also infer failures from incidents that began so many microseconds after a deployment.
    pub inferred_within: Option<i64>,
}

/// A deployment, or an attempt at one, that was done in the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// Index in [`Material::targets`].
    pub target: usize,
    /// When it was done.
    pub finished_at: i64,
    pub(super) key: i64,
    pub(super) rollout: i64,
    pub(super) flags: i64,
    pub(super) failed: i64,
    /// Whether an incident that began soon after it suggests that it failed.
    pub inferred: bool,
}

impl Delivery {
    const fn has(&self, flag: i64) -> bool {
        self.flags & flag != 0
    }

    /// Whether it changed what runs.
    #[must_use]
    pub const fn effective(&self) -> bool {
        !self.has(super::REDEPLOY) && !self.has(super::IN_VAIN)
    }

    /// Whether it succeeded with effect.
    #[must_use]
    pub const fn succeeded(&self) -> bool {
        self.has(super::SUCCEEDED)
    }

    /// Whether it put back what ran before.
    #[must_use]
    pub const fn rollback(&self) -> bool {
        self.has(super::ROLLBACK)
    }

    /// Whether it is unplanned remediation.
    #[must_use]
    pub const fn rework(&self) -> bool {
        self.has(super::REWORK)
    }

    /// Whether no source commit of it is known.
    #[must_use]
    pub const fn unlinked(&self) -> bool {
        self.has(super::UNLINKED)
    }

    /// Whether it brought what ran already.
    #[must_use]
    pub const fn redeploy(&self) -> bool {
        self.has(super::REDEPLOY)
    }

    /// Whether it failed, by any link but an inferred one.
    #[must_use]
    pub const fn failed(&self) -> bool {
        self.failed != 0
    }

    /// Whether an incident names it.
    #[must_use]
    pub const fn failed_by_incident(&self) -> bool {
        self.failed & super::FAILED_INCIDENT != 0
    }

    /// Whether a deployment says that it repairs it.
    #[must_use]
    pub const fn failed_by_remediation(&self) -> bool {
        self.failed & super::FAILED_REMEDIED != 0
    }

    /// Whether it was rolled back.
    #[must_use]
    pub const fn failed_by_rollback(&self) -> bool {
        self.failed & super::FAILED_ROLLED_BACK != 0
    }

    /// Whether it took effect and was never healthy.
    #[must_use]
    pub const fn unfinished(&self) -> bool {
        self.failed & super::FAILED_UNFINISHED != 0
    }
}

/// A change, or what gave no sample, that came with a deployment in the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Index in [`Material::targets`].
    pub target: usize,
    /// When the deployment was done.
    pub finished_at: i64,
    pub(super) rollout: i64,
    pub(super) commit: i64,
    /// Its lead time in seconds, or why there is none; none where automation wrote it.
    pub told: Option<std::result::Result<i64, Reason>>,
}

/// A failed deployment that recovered in the window, or has not yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mended {
    /// Index in [`Material::targets`].
    pub target: usize,
    pub(super) rollout: i64,
    /// When the deployment was done.
    pub finished_at: i64,
    /// When that was mended; none while it is not.
    pub recovered_at: Option<i64>,
}

impl Mended {
    /// How long it took.
    #[must_use]
    pub fn seconds(&self) -> Option<i64> {
        self.recovered_at.map(|at| (at - self.finished_at).max(0) / SECOND)
    }
}

/// An incident that was over in the window, or lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// Indices in [`Material::targets`] of those it is about; none where it is about no target at all.
    pub targets: BTreeSet<usize>,
    pub(super) incident: i64,
    /// When its effects began.
    pub started_at: Option<i64>,
    /// When it was over; none while it lasts.
    pub resolved_at: Option<i64>,
    /// It is the same as another.
    pub duplicate: bool,
    /// The cause was not ours.
    pub external: bool,
    /// The last event that was said of it.
    pub position: u64,
}

impl Incident {
    /// How long it took.
    #[must_use]
    pub fn seconds(&self) -> Option<i64> {
        self.started_at.zip(self.resolved_at).map(|(from, to)| (to - from).max(0) / SECOND)
    }

    /// Why it gives no sample, though it is over.
    #[must_use]
    pub fn reason(&self) -> Option<&'static str> {
        match self.started_at {
            _ if self.duplicate => Some("duplicate"),
            _ if self.targets.is_empty() => Some("no_target"),
            None => Some("no_start"),
            Some(_) => None,
        }
    }
}

/// What figures are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Material {
    /// The targets, by environment and service.
    pub targets: Vec<Target>,
    /// The window that was gathered.
    pub window: std::ops::Range<i64>,
    /// When each first had something running.
    pub first_effect: Vec<Option<i64>>,
    /// By target and end.
    pub deliveries: Vec<Delivery>,
    /// By target and end of the deployment.
    pub changes: Vec<Change>,
    /// By target.
    pub mended: Vec<Mended>,
    /// Incidents of these targets.
    pub incidents: Vec<Incident>,
    /// Whether failures were inferred, too.
    pub inferred: bool,
}

impl Material {
    fn empty(window: std::ops::Range<i64>, inferred: bool) -> Self {
        Self {
            targets: Vec::new(),
            window,
            first_effect: Vec::new(),
            deliveries: Vec::new(),
            changes: Vec::new(),
            mended: Vec::new(),
            incidents: Vec::new(),
            inferred,
        }
    }

    /// The same in parts: of the targets of each key. Incidents of several targets are in the part of each.
    #[must_use]
    pub fn split<K: Ord + Clone>(&self, key: impl Fn(&Target) -> K) -> BTreeMap<K, Self> {
        let mut parts: BTreeMap<K, Self> = BTreeMap::new();
        // The key of each target, and its index there.
        let mut places: Vec<(K, usize)> = Vec::with_capacity(self.targets.len());
        for (n, target) in self.targets.iter().enumerate() {
            let key = key(target);
            let empty = || Self::empty(self.window.clone(), self.inferred);
            let part = parts.entry(key.clone()).or_insert_with(empty);
            places.push((key, part.targets.len()));
            part.targets.push(target.clone());
            part.first_effect.push(self.first_effect.get(n).copied().flatten());
        }
        let mut place = |n: usize, put: &mut dyn FnMut(&mut Self, usize)| {
            if let Some((part, target)) = places.get(n).and_then(|(key, n)| Some((parts.get_mut(key)?, *n))) {
                put(part, target);
            }
        };
        for it in &self.deliveries {
            place(it.target, &mut |part, target| part.deliveries.push(Delivery { target, ..*it }));
        }
        for it in &self.changes {
            place(it.target, &mut |part, target| part.changes.push(Change { target, ..*it }));
        }
        for it in &self.mended {
            place(it.target, &mut |part, target| part.mended.push(Mended { target, ..*it }));
        }
        for it in &self.incidents {
            for n in &it.targets {
                place(*n, &mut |part, target| match part.incidents.last_mut() {
                    Some(last) if last.incident == it.incident => {
                        last.targets.insert(target);
                    }
                    _ => part.incidents.push(Incident { targets: BTreeSet::from([target]), ..it.clone() }),
                });
            }
        }
        parts
    }
}

/// The targets of a selection.
///
/// # Errors
/// `NotFound` where there are none, or where a service or environment that is named has none; `Database`.
pub fn select(snapshot: &Snapshot<'_>, basis: &Basis, selection: &Selection) -> Result<Vec<Target>> {
    let wanted = selection.tier.unwrap_or(Tier::Production);
    let mut all = of_services(snapshot, basis, &selection.services)?;
    for environment in &selection.environments {
        let here = all.iter().any(|target| target.environment == *environment);
        if !here && deployment::targets(snapshot, basis, Some(environment), None)?.is_empty() {
            return Err(Error::NotFound(format!("environment {environment}")));
        }
    }
    all.retain(|target| match selection.environments.is_empty() {
        true => tier(&target.environment) == wanted,
        false => selection.environments.contains(&target.environment),
    });
    if all.is_empty() {
        let named = if selection.environments.is_empty() {
            format!("an environment of the tier {}", wanted.as_str())
        } else {
            selection.environments.join(" or ")
        };
        let everywhere = deployment::targets(snapshot, basis, None, None)?;
        let there: BTreeSet<&str> = everywhere.iter().map(|target| target.environment.as_str()).collect();
        let there: Vec<_> = there.into_iter().collect();
        let there = if there.is_empty() {
            "there is none at all".to_owned()
        } else {
            format!("there are {}", there.join(", "))
        };
        return Err(Error::NotFound(format!("a target in {named} ({there})")));
    }
    Ok(all)
}

/// The targets of some services, of all where none is named; by environment and service. What else there is need not be
/// read.
fn of_services(snapshot: &Snapshot<'_>, basis: &Basis, services: &[String]) -> Result<Vec<Target>> {
    if services.is_empty() {
        return deployment::targets(snapshot, basis, None, None);
    }
    let mut all: Vec<Target> = Vec::new();
    for service in services {
        if all.iter().any(|target| target.service == *service) {
            continue;
        }
        let found = deployment::targets(snapshot, basis, None, Some(service))?;
        if found.is_empty() {
            return Err(Error::NotFound(format!("service {service}")));
        }
        all.extend(found);
    }
    all.sort_by(|one, other| (&one.environment, &one.service).cmp(&(&other.environment, &other.service)));
    Ok(all)
}

/// Gathers what is asked for of these targets. `everything` says that they are all there are of their tier, so that
/// incidents of no target belong here, too.
///
/// # Errors
/// `Database`, `Damaged`.
pub fn gather(
    snapshot: &Snapshot<'_>,
    basis: &Basis,
    targets: Vec<Target>,
    question: &Question,
    everything: bool,
) -> Result<Material> {
    let gathering = Gathering { connection: snapshot.connection, known: basis.known(), question };
    let mut material = Material::empty(question.window.clone(), question.inferred_within.is_some());
    material.targets = targets;
    let automation = question.automation.iter().map(|person| names::find(snapshot.connection, person));
    let automation: BTreeSet<i64> = automation.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
    for (n, target) in material.targets.iter().enumerate() {
        material.first_effect.push(gathering.first_effect(target.id)?);
        gathering.deliveries(n, target.id, &mut material.deliveries)?;
        gathering.changes(n, target.id, &automation, &mut material.changes)?;
        gathering.mended(n, target.id, &mut material.mended)?;
    }
    material.incidents = gathering.incidents(&material.targets, everything)?;
    if let Some(within) = question.inferred_within {
        gathering.infer(&mut material, within)?;
    }
    Ok(material)
}

/// Reads rows of one question.
struct Gathering<'a> {
    connection: &'a Connection,
    known: i64,
    question: &'a Question,
}

impl Gathering<'_> {
    fn first_effect(&self, target: i64) -> Result<Option<i64>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT at FROM deployment WHERE target = ?1 AND class IN (0, 1) AND known_from < ?2 AND known_to >= ?2 \
             ORDER BY at LIMIT 1",
        )?;
        Ok(statement.query_row([target, self.known], |row| row.get(0)).optional()?)
    }

    fn deliveries(&self, n: usize, target: i64, found: &mut Vec<Delivery>) -> Result<()> {
        let mut statement = self.connection.prepare_cached(
            "SELECT finished_at, key, rollout, flags, failed FROM outcome WHERE target = ?1 AND finished_at >= ?2 \
             AND finished_at < ?3 AND known_from < ?4 AND known_to >= ?4 ORDER BY finished_at, key",
        )?;
        let window = &self.question.window;
        let mut rows = statement.query([target, window.start, window.end, self.known])?;
        while let Some(row) = rows.next()? {
            found.push(Delivery {
                target: n,
                finished_at: row.get(0)?,
                key: row.get(1)?,
                rollout: row.get(2)?,
                flags: row.get(3)?,
                failed: row.get(4)?,
                inferred: false,
            });
        }
        Ok(())
    }

    fn changes(&self, n: usize, target: i64, automation: &BTreeSet<i64>, found: &mut Vec<Change>) -> Result<()> {
        let mut statement = self.connection.prepare_cached(
            "SELECT finished_at, rollout, commit_id, seconds, reason, author FROM sample WHERE target = ?1 \
             AND finished_at >= ?2 AND finished_at < ?3 AND known_from < ?4 AND known_to >= ?4",
        )?;
        let window = &self.question.window;
        let mut rows = statement.query([target, window.start, window.end, self.known])?;
        let of_commits = found.len();
        while let Some(row) = rows.next()? {
            let told = match row.get::<_, Option<i64>>(3)? {
                Some(seconds) => Ok(seconds),
                None => Err(reason(row.get(4)?)?),
            };
            // What is no change anyway is not left out because of its author.
            let is_change = !matches!(told, Err(Reason::Merge | Reason::Replaced));
            let by_automation = is_change
                && !automation.is_empty()
                && row.get::<_, Option<i64>>(5)?.is_some_and(|author| automation.contains(&author));
            found.push(Change {
                target: n,
                finished_at: row.get(0)?,
                rollout: row.get(1)?,
                commit: row.get(2)?,
                told: (!by_automation).then_some(told),
            });
        }
        if self.question.lead_from != LeadFrom::Author {
            let commits = found.split_off(of_commits);
            super::variant::of_changes(
                self.connection,
                self.known,
                self.question.lead_from,
                automation,
                &commits,
                found,
            )?;
        }
        Ok(())
    }

    fn mended(&self, n: usize, target: i64, found: &mut Vec<Mended>) -> Result<()> {
        let mut statement = self.connection.prepare_cached(
            "SELECT rollout, finished_at, recovered_at FROM outcome INDEXED BY outcome_recovered WHERE target = ?1 AND failed > 0 \
             AND recovered_at >= ?2 AND recovered_at < ?3 AND known_from < ?4 AND known_to >= ?4 \
             UNION ALL SELECT rollout, finished_at, NULL FROM outcome INDEXED BY outcome_recovered WHERE target = ?1 AND failed > 0 \
             AND recovered_at IS NULL AND finished_at < ?3 AND known_from < ?4 AND known_to >= ?4",
        )?;
        let window = &self.question.window;
        let mut rows = statement.query([target, window.start, window.end, self.known])?;
        let first = found.len();
        while let Some(row) = rows.next()? {
            let (rollout, finished_at, recovered_at) = (row.get(0)?, row.get(1)?, row.get(2)?);
            found.push(Mended { target: n, rollout, finished_at, recovered_at });
        }
        if let Some(of_target) = found.get_mut(first..) {
            of_target.sort_by_key(|mended| (mended.finished_at, mended.rollout));
        }
        Ok(())
    }

    fn incidents(&self, targets: &[Target], everything: bool) -> Result<Vec<Incident>> {
        let mut of_stream: BTreeMap<i64, usize> = BTreeMap::new();
        let mut candidates: BTreeSet<i64> = BTreeSet::new();
        for (n, target) in targets.iter().enumerate() {
            let stream = deployed::stream_of(self.connection, target.id)?;
            of_stream.insert(stream, n);
            let mut statement = self.connection.prepare_cached("SELECT incident FROM concern WHERE stream = ?1")?;
            let rows = statement.query_map([stream], |row| row.get(0))?;
            candidates.extend(rows.collect::<Result<Vec<i64>, _>>()?);
        }
        if everything {
            let window = &self.question.window;
            let over = incident::resolved(self.connection, window.start, window.end, self.known)?;
            candidates.extend(over.into_iter().map(|incident| incident.id));
        }
        let mut found = Vec::new();
        for candidate in candidates {
            let Some(incident) = incident::incident(self.connection, candidate, self.known)? else { continue };
            if incident.maintenance || !self.matters(&incident) {
                continue;
            }
            let (ours, any) = self.about(&incident, &of_stream)?;
            if ours.is_empty() && (any || !everything) {
                continue;
            }
            found.push(Incident {
                targets: ours,
                incident: incident.id,
                started_at: incident.started_at,
                resolved_at: incident.resolved_at,
                duplicate: incident.duplicate,
                external: incident.external,
                position: incident.position.unsigned_abs(),
            });
        }
        found.sort_by_key(|incident| (incident.resolved_at, incident.started_at, incident.incident));
        Ok(found)
    }

    /// Whether an incident was over in the window, lasts, or may be what a failure is inferred from.
    fn matters(&self, incident: &incident::Incident) -> bool {
        let window = &self.question.window;
        let over = incident.resolved_at.is_none_or(|at| window.contains(&at));
        let may_follow = self.question.inferred_within.is_some_and(|within| {
            let until = window.end.saturating_add(within);
            incident.started_at.is_some_and(|at| at >= window.start && at < until)
        });
        over || may_follow
    }

    /// The targets asked about that an incident is about, and whether it is about any at all.
    fn about(
        &self,
        incident: &incident::Incident,
        of_stream: &BTreeMap<i64, usize>,
    ) -> Result<(BTreeSet<usize>, bool)> {
        let mut ours = BTreeSet::new();
        let mut any = false;
        for target in &incident.targets {
            any = true;
            let stream = names::find(self.connection, target)?;
            ours.extend(stream.and_then(|stream| of_stream.get(&stream)).copied());
        }
        for rollout in outcome::causes(self.connection, incident, self.known)?.into_keys() {
            if let Some(deployed) = deployment::row(self.connection, rollout, self.known)? {
                any = true;
                let stream = deployed::stream_of(self.connection, deployed.target)?;
                ours.extend(of_stream.get(&stream).copied());
            }
        }
        Ok((ours, any))
    }

    /// Marks deployments after which, within so many microseconds and with no other between, an incident of their target
    /// began.
    fn infer(&self, material: &mut Material, within: i64) -> Result<()> {
        for incident in material.incidents.iter().filter(|incident| !incident.external) {
            let Some(started_at) = incident.started_at else { continue };
            for n in &incident.targets {
                let Some(target) = material.targets.get(*n) else { continue };
                let mut statement = self.connection.prepare_cached(
                    "SELECT rollout, finished_at FROM outcome WHERE target = ?1 AND finished_at <= ?2 AND flags & 48 = 0 \
                     AND known_from < ?3 AND known_to >= ?3 ORDER BY finished_at DESC, key DESC LIMIT 1",
                )?;
                let last: Option<(i64, i64)> = statement
                    .query_row([target.id, started_at, self.known], |row| Ok((row.get(0)?, row.get(1)?)))
                    .optional()?;
                let Some((rollout, _)) = last.filter(|(_, at)| started_at - at <= within) else { continue };
                let marked = material.deliveries.iter_mut().find(|it| it.target == *n && it.rollout == rollout);
                marked.into_iter().for_each(|delivery| delivery.inferred = true);
            }
        }
        Ok(())
    }
}

fn reason(number: i64) -> Result<Reason> {
    Reason::of(number).ok_or_else(|| Error::Damaged(format!("a sample without seconds, of reason {number}")))
}
