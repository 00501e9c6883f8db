//! Taking in events.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, params};

use super::super::registry::{About, Projection, Step};
use super::super::{CURRENT, Result, deployment, incident, source};
use super::deployed;
use super::owner::{self, Touched};
use super::{claim, outcome, sample};
use crate::event::change::{ChangeMerged, MergeMethod};
use crate::event::target::SyncSucceeded;
use crate::event::{Data, StreamName};

/// The fold.
#[derive(Debug, Default)]
pub struct Dora;

impl Projection for Dora {
    fn about(&self) -> &'static About {
        &super::ABOUT
    }

    fn fold(&mut self, step: &mut Step<'_>) -> Result<()> {
        let mut touched = Touched::new();
        let mut judged = Judged::default();
        match &step.event.data {
            Data::ChangeMerged(it) => squashed(step, it, &mut touched)?,
            Data::ManifestCommitted(it) => {
                let commit = source::commit_id(step, it.repository.as_str(), it.commit.as_str())?;
                step.tx.prepare_cached("INSERT OR IGNORE INTO manifest (commit_id) VALUES (?1)")?.execute([commit])?;
                touch(step.tx, commit, &mut touched)?;
            }
            Data::SyncSucceeded(it) => repairing(step, it, &mut judged)?,
            _ => {}
        }
        let mut claims: BTreeSet<i64> = step.changes.deployments.iter().map(|(_, rollout)| *rollout).collect();
        for commit in step.changes.commits.clone() {
            owner::commit_known(step.tx, commit, &mut touched)?;
            for squash in sample::squashes(step.tx, commit)? {
                touch(step.tx, squash, &mut touched)?;
            }
            claims.extend(claim::leaning_on(step.tx, oid(step.tx, commit)?)?);
        }
        for artifact in step.changes.artifacts.clone() {
            claims.extend(claim::leaning_on(step.tx, artifact)?);
        }
        for rollout in claims {
            if renew_claim(step, rollout, &mut touched)? {
                judged.rollouts.insert(rollout);
            }
        }
        sample::renew(step, touched)?;
        judged.deployments_changed(step)?;
        judged.incidents_changed(step)?;
        judged.renew(step)
    }
}

/// The number of a commit's id.
fn oid(tx: &Connection, commit: i64) -> Result<i64> {
    Ok(tx.prepare_cached("SELECT oid FROM git_commit WHERE id = ?1")?.query_row([commit], |row| row.get(0))?)
}

/// A commit may be something else now, in every target that has it, be it within one that it was squashed into.
fn touch(tx: &Connection, commit: i64, touched: &mut Touched) -> Result<()> {
    let mut holders = sample::squashes(tx, commit)?;
    holders.insert(commit);
    for holder in holders {
        touched.extend(owner::targets(tx, holder)?.into_iter().map(|target| (target, commit)));
    }
    Ok(())
}

fn squashed(step: &mut Step<'_>, it: &ChangeMerged, touched: &mut Touched) -> Result<()> {
    let originals = it.original_commits.as_ref().filter(|_| it.method == Some(MergeMethod::Squash));
    let Some(originals) = originals.filter(|originals| !originals.is_empty()) else { return Ok(()) };
    let repository = step.event.stream().to_owned();
    let commit = source::commit_id(step, &repository, it.commit.as_str())?;
    for original in originals {
        let original = source::commit_id(step, &repository, original.as_str())?;
        step.tx
            .prepare_cached("INSERT OR IGNORE INTO squash (commit_id, original) VALUES (?1, ?2)")?
            .execute([commit, original])?;
        touch(step.tx, original, touched)?;
    }
    touch(step.tx, commit, touched)
}

/// Keeps what a rollout says it repairs.
fn repairing(step: &mut Step<'_>, it: &SyncSucceeded, judged: &mut Judged) -> Result<()> {
    if it.remediates_deployments.is_none() && it.remediates_incidents.is_none() {
        return Ok(());
    }
    let mut statement = step.tx.prepare_cached("SELECT rollout FROM rollout_fact WHERE position = ?1")?;
    let mut rows = statement.query([step.event.position])?;
    let Some(rollout) = rows.next()?.map(|row| row.get::<_, i64>(0)).transpose()? else { return Ok(()) };
    let mut n = 0;
    let mut keep = |deployment: Option<&String>, event: Option<i64>, target: Option<i64>, incident: Option<i64>| {
        n += 1;
        step.tx
            .prepare_cached(
                "INSERT INTO remedy (rollout, position, n, deployment, event, target, incident) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![rollout, step.event.position, n, deployment, event, target, incident])
    };
    for reference in it.remediates_deployments.iter().flatten() {
        let event = reference.event.as_ref().map(|id| i64::try_from(id.position().0).unwrap_or(i64::MAX));
        let target = step.names.optional(step.tx, reference.target.as_ref().map(StreamName::as_str))?;
        keep(reference.deployment.as_ref(), event, target, None)?;
    }
    for incident in it.remediates_incidents.iter().flatten() {
        let incident = step.names.id(step.tx, incident.as_str())?;
        keep(None, None, None, Some(incident))?;
    }
    judged.rollouts.insert(rollout);
    judged.remediators.insert(rollout);
    Ok(())
}

/// Works out anew what a rollout brings; returns whether that is another than before.
fn renew_claim(step: &mut Step<'_>, rollout: i64, touched: &mut Touched) -> Result<bool> {
    let tx = step.tx;
    let before = claim::current(tx, rollout)?;
    let deployed = deployment::row(tx, rollout, step.event.position + 1)?;
    let (after, leaning) = claim::of(step, deployed.as_ref())?;
    // Also where nothing follows from them yet: what they lead to may become known later.
    claim::lean(tx, rollout, &leaning)?;
    if after == before {
        return Ok(false);
    }
    let Some(target) = before.as_ref().or(after.as_ref()).map(|claim| claim.target) else { return Ok(false) };
    let first = claim::first(tx, target)?;
    claim::remove(tx, rollout)?;
    if let Some(before) = &before {
        owner::take(tx, before, touched)?;
    }
    let alone = claim::first(tx, target)?.is_none() && before.is_none();
    if let Some(after) = &after {
        claim::write(tx, after)?;
        owner::give(tx, after, alone, touched)?;
    }
    let now_first = claim::first(tx, target)?;
    if now_first != first && !alone {
        // What was there from the beginning is something else now.
        for other in [first, now_first].into_iter().flatten() {
            if let Some(claim) = claim::current(tx, other)? {
                touched.extend(owner::brought(tx, &claim)?.into_iter().map(|commit| (target, commit)));
            }
        }
    }
    Ok(true)
}

/// The rollouts of which something else may have become.
#[derive(Debug, Default)]
struct Judged {
    rollouts: BTreeSet<i64>,
    /// Rollouts that say something new of what they repair.
    remediators: BTreeSet<i64>,
    /// Since when something else ran in a target.
    since: BTreeMap<i64, i64>,
}

impl Judged {
    /// Adds those that depend on the deployments that the event changed.
    fn deployments_changed(&mut self, step: &Step<'_>) -> Result<()> {
        let (tx, position) = (step.tx, step.event.position);
        for (target, rollout) in &step.changes.deployments {
            let before = deployment::row_before(tx, *rollout, position)?;
            let after = deployment::row(tx, *rollout, position + 1)?;
            if before.is_none() {
                concern_of_rollout(tx, *target, *rollout)?;
            }
            self.repaired_by(tx, *rollout, [before.as_ref(), after.as_ref()], position)?;
            self.rollouts.insert(*rollout);
            for one in [before, after].into_iter().flatten().filter(deployment::Row::effective) {
                let begun = one.started_at.filter(|_| one.rolled_back()).unwrap_or(one.at);
                let since = self.since.entry(*target).or_insert(i64::MAX);
                *since = (*since).min(one.at).min(begun);
            }
        }
        for rollout in std::mem::take(&mut self.remediators) {
            let after = deployment::row(tx, rollout, position + 1)?;
            self.repaired_by(tx, rollout, [None, after.as_ref()], position)?;
            // A rollback that names another does not take back what ran before it.
            if let Some(rollback) = after.filter(deployment::Row::rolled_back) {
                let since = self.since.entry(rollback.target).or_insert(i64::MAX);
                *since = (*since).min(rollback.started_at.unwrap_or(rollback.at)).min(rollback.at);
            }
        }
        Ok(())
    }

    /// Adds what a rollout says it repairs.
    fn repaired_by(
        &mut self,
        tx: &Connection,
        rollout: i64,
        versions: [Option<&deployment::Row>; 2],
        position: i64,
    ) -> Result<()> {
        let known = position + 1;
        for reference in outcome::remedies(tx, rollout, known)? {
            for version in versions.into_iter().flatten() {
                self.rollouts.extend(deployed::meant(tx, &reference, version.started_at, known)?);
            }
        }
        Ok(())
    }

    /// Adds those that depend on the incidents that the event changed.
    fn incidents_changed(&mut self, step: &mut Step<'_>) -> Result<()> {
        let (tx, position) = (step.tx, step.event.position);
        for number in step.changes.incidents.clone() {
            let before = incident::before(tx, number, position)?;
            let Some(after) = incident::incident(tx, number, position + 1)? else { continue };
            let mut streams: BTreeSet<i64> = BTreeSet::new();
            // Of a target that is named here, nothing else may have been heard yet.
            for target in &after.targets {
                streams.insert(step.name(target)?);
            }
            let started = [Some(after.started_at), before.map(|before| before.started_at)];
            for (_, reference, _) in incident::links(tx, number, position + 1)? {
                streams.extend(reference.target);
                for at in started.into_iter().flatten() {
                    for rollout in deployed::meant(tx, &reference, at, position + 1)? {
                        self.rollouts.insert(rollout);
                        if let Some(deployed) = deployment::row(tx, rollout, position + 1)? {
                            streams.insert(deployed::stream_of(tx, deployed.target)?);
                        }
                    }
                }
            }
            for stream in streams {
                concern(tx, stream, number)?;
            }
        }
        Ok(())
    }

    /// Works out what became of all of them.
    fn renew(mut self, step: &mut Step<'_>) -> Result<()> {
        let (tx, position) = (step.tx, step.event.position);
        for (target, since) in &self.since {
            let running = deployed::running_since(tx, *target, *since, position + 1)?;
            self.rollouts.extend(running.into_iter().map(|deployed| deployed.rollout));
            let mut statement = tx.prepare_cached(
                "SELECT rollout FROM outcome INDEXED BY outcome_recovered WHERE target = ?1 AND failed > 0 AND recovered_at IS NULL AND known_to = ?3 \
                 UNION ALL SELECT rollout FROM outcome INDEXED BY outcome_recovered WHERE target = ?1 AND failed > 0 AND recovered_at >= ?2 \
                 AND known_to = ?3",
            )?;
            let open = statement.query_map([*target, *since, CURRENT], |row| row.get(0))?;
            self.rollouts.extend(open.collect::<Result<Vec<i64>, _>>()?);
        }
        for rollout in self.rollouts {
            if let Some(recovered) = outcome::renew(tx, rollout, position)? {
                step.changes.recoveries.push(recovered);
            }
        }
        Ok(())
    }
}

/// Remembers incidents that name a rollout which was not known when they did.
fn concern_of_rollout(tx: &Connection, target: i64, rollout: i64) -> Result<()> {
    let (name, stream) = (deployed::name_of(tx, rollout)?, deployed::stream_of(tx, target)?);
    for incident in outcome::incidents_naming(tx, rollout, &name, stream)? {
        concern(tx, stream, incident)?;
    }
    Ok(())
}

fn concern(tx: &Connection, stream: i64, incident: i64) -> Result<()> {
    tx.prepare_cached("INSERT OR IGNORE INTO concern (stream, incident) VALUES (?1, ?2)")?
        .execute([stream, incident])?;
    Ok(())
}
