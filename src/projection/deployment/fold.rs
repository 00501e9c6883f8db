//! Taking in events.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::super::registry::{About, Projection, Step};
use super::super::{Error, Result};
use super::fact::{RunningImage, Said, cluster, said};
use super::rollout::{Details, Fact, Order, Rollout};
use super::store::{self, Row};
use super::walk::{self, Happening, Past};
use crate::event::Data;
use crate::event::target::Health;

/// Targets kept at hand.
const TARGETS_KEPT: usize = 100_000;

/// The fold.
#[derive(Debug, Default)]
pub struct Deployments {
    /// Number and first instant of targets, by stream.
    targets: HashMap<String, (i64, i64)>,
}

impl Projection for Deployments {
    fn about(&self) -> &'static About {
        &super::ABOUT
    }

    fn fold(&mut self, step: &mut Step<'_>) -> Result<()> {
        if let Data::ObservationGap(gap) = &step.event.data {
            let observed = gap.observed.as_ref().map(ToString::to_string);
            let (from, to) = (gap.from.micros(), gap.to.micros());
            step.tx
                .prepare_cached(
                    "INSERT INTO gap (position, from_at, to_at, observed, reason) VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![step.event.position, from, to, observed, gap.reason])?;
            return Ok(());
        }
        let Some((environment, service)) = target_of(step.event.stream()) else { return Ok(()) };
        let target = self.target(step, environment, service)?;
        if let Some(said) = said(step.event) {
            return take_said(step, target, &said);
        }
        match &step.event.data {
            Data::HealthChanged(change) if change.resource.is_none() => {
                let cluster = cluster(step.event, change.application.as_ref());
                let cluster = step.name(&cluster)?;
                take_health(step, target, cluster, step.event.at, change.after)?;
                walk_from(step, target, (step.event.at, i64::MAX))
            }
            Data::TargetRemoved(_) => {
                let (at, key) = (step.event.at, step.event.key);
                step.tx
                    .prepare_cached("INSERT INTO removal (target, at, key, position) VALUES (?1, ?2, ?3, ?4)")?
                    .execute(params![target, at, key, step.event.position])?;
                walk_from(step, target, (at, key))
            }
            Data::ManifestCommitted(commit) => {
                let manifest = step.name(&format!("{}@{}", commit.repository, commit.commit))?;
                let command = commit.command.as_ref().map(ToString::to_string);
                let command = step.names.optional(step.tx, command.as_deref())?;
                let (at, key, position) = (step.event.at, step.event.key, step.event.position);
                step.tx
                    .prepare_cached(
                        "INSERT INTO manifest_commit (target, at, key, position, manifest, command) \
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    )?
                    .execute(params![target, at, key, position, manifest, command])?;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn reset(&mut self) {
        self.targets.clear();
    }
}

/// Environment and service of a target's stream.
pub(in super::super) fn target_of(stream: &str) -> Option<(&str, &str)> {
    stream.strip_prefix("target/")?.split_once('/')
}

impl Deployments {
    /// The target of an event, made known where it is new.
    fn target(&mut self, step: &mut Step<'_>, environment: &str, service: &str) -> Result<i64> {
        let (tx, at) = (step.tx, step.event.at);
        let known = self.targets.get(step.event.stream()).copied();
        if let Some((id, _)) = known.filter(|(_, since)| *since <= at) {
            return Ok(id);
        }
        let mut statement = tx.prepare_cached(
            "SELECT id, (SELECT min(at) FROM target_sight WHERE target_sight.target = target.id) FROM target \
             WHERE environment = ?1 AND service = ?2",
        )?;
        let found: Option<(i64, i64)> =
            statement.query_row([environment, service], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let (id, known) = match found {
            Some((id, since)) => (id, Some(since)),
            None => {
                let stream = step.names.id(tx, step.event.stream())?;
                tx.prepare_cached(
                    "INSERT INTO target (stream, environment, service, position) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![stream, environment, service, step.event.position])?;
                (tx.last_insert_rowid(), None)
            }
        };
        let since = match known {
            Some(since) if since <= at => since,
            _ => {
                tx.prepare_cached("INSERT INTO target_sight (target, position, at) VALUES (?1, ?2, ?3)")?
                    .execute(params![id, step.event.position, at])?;
                at
            }
        };
        if self.targets.len() >= TARGETS_KEPT {
            self.targets.clear();
        }
        self.targets.insert(step.event.stream().to_owned(), (id, since));
        Ok(id)
    }
}

/// Takes in what an event says of a rollout.
fn take_said(step: &mut Step<'_>, target: i64, said: &Said) -> Result<()> {
    let tx = step.tx;
    let fact = Fact {
        at: said.at,
        key: step.event.key,
        position: step.event.position,
        kind: said.kind,
        started_at: said.started_at,
        cluster: step.name(&said.cluster)?,
        effective: said.effective,
        artifact_set: step.names.optional(tx, said.artifact_set.as_deref())?,
        details: Details {
            images: step.names.optional(tx, said.images.as_deref())?,
            source_commit: step.names.optional(tx, said.source_commit.as_deref())?,
            manifest: step.names.optional(tx, said.manifest.as_deref())?,
            command: step.names.optional(tx, said.command.as_deref())?,
            initiated_by: step.names.optional(tx, said.initiated_by.as_deref())?,
            flags: said.flags,
            observed_from: said.observed_from,
        },
    };
    keep_images(step, said, fact.details.images)?;
    let (id, before) = rollout(tx, target, &said.rollout)?;
    store::keep(tx, id, &fact)?;
    if let Some(health) = said.health {
        take_health(step, target, fact.cluster, said.at, health)?;
    }
    let rollout = put_together(tx, id)?;
    if rollout.effect != before {
        let (at, key) = rollout.effect.unzip();
        tx.prepare_cached("UPDATE rollout SET effect_at = ?2, effect_key = ?3 WHERE id = ?1")?
            .execute(params![id, at, key])?;
    }
    if rollout.effect.is_none() {
        let set = artifact_set(step, target, &rollout)?;
        let row = Row::new(target, &rollout, set, &walk::without_effect(&rollout));
        if store::write(tx, step.event.position, &row)? {
            step.changes.deployments.push((target, id));
        }
    }
    let health = said.health.map(|_| (said.at, i64::MAX));
    match [before, rollout.effect, health].into_iter().flatten().min() {
        Some(from) => walk_from(step, target, from),
        None => Ok(()),
    }
}

/// Keeps in which list its images stand.
fn keep_images(step: &mut Step<'_>, said: &Said, images: Option<i64>) -> Result<()> {
    let Some((json, images)) = said.images.as_deref().zip(images) else { return Ok(()) };
    let list: Vec<RunningImage> =
        serde_json::from_str(json).map_err(|error| Error::Poison(format!("images: {error}")))?;
    for image in list {
        let image = step.name(&image.identity())?;
        step.tx
            .prepare_cached("INSERT OR IGNORE INTO image_list (image, images) VALUES (?1, ?2)")?
            .execute([image, images])?;
    }
    Ok(())
}

/// The number of a rollout, and when it took effect as far as was known.
fn rollout(tx: &Connection, target: i64, name: &str) -> Result<(i64, Option<Order>)> {
    let mut statement =
        tx.prepare_cached("SELECT id, effect_at, effect_key FROM rollout WHERE target = ?1 AND name = ?2")?;
    let found: Option<(i64, Option<i64>, Option<i64>)> =
        statement.query_row(params![target, name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?;
    if let Some((id, at, key)) = found {
        return Ok((id, at.zip(key)));
    }
    tx.prepare_cached("INSERT INTO rollout (target, name) VALUES (?1, ?2)")?.execute(params![target, name])?;
    Ok((tx.last_insert_rowid(), None))
}

fn put_together(tx: &Connection, id: i64) -> Result<Rollout> {
    let facts = store::facts(tx, id)?;
    Rollout::of(id, &facts).ok_or_else(|| Error::Damaged(format!("rollout {id} has no facts")))
}

/// What is told apart as one revision; of a rollout of which nothing is known, only itself is the same.
fn artifact_set(step: &mut Step<'_>, target: i64, rollout: &Rollout) -> Result<i64> {
    match rollout.artifact_set {
        Some(set) => Ok(set),
        None => step.name(&format!("rollout:{target}/{}", rollout.id)),
    }
}

fn take_health(step: &Step<'_>, target: i64, cluster: i64, at: i64, health: Health) -> Result<()> {
    let number = Health::ALL.iter().position(|word| *word == health).and_then(|n| i64::try_from(n).ok());
    // Two events of one instant and key would be one event; a later version of the program may find them all the same.
    step.tx
        .prepare_cached(
            "INSERT OR IGNORE INTO health_fact (target, cluster, at, key, position, health) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![target, cluster, at, step.event.key, step.event.position, number])?;
    Ok(())
}

/// The past, as the rows have it.
struct Rows<'a> {
    tx: &'a Connection,
    target: i64,
    start: Order,
}

impl Past for Rows<'_> {
    fn first_live(&mut self, artifact_set: i64, before: Order) -> Result<Option<Order>> {
        store::first_live(self.tx, self.target, artifact_set, before.min(self.start))
    }

    fn healthy_at(&mut self, cluster: i64, from: i64, until: Option<i64>) -> Result<Option<i64>> {
        store::healthy_at(self.tx, self.target, cluster, from, until)
    }
}

/// Works out anew what follows for a target from an instant on, and writes what is another than before.
fn walk_from(step: &mut Step<'_>, target: i64, from: Order) -> Result<()> {
    let tx = step.tx;
    let before = store::last_effect(tx, target, from)?;
    let start = before.map_or((i64::MIN, i64::MIN), |(order, ..)| order);
    let rollouts = store::effects(tx, target, start)?;
    let rollouts = rollouts.into_iter().map(|id| put_together(tx, id)).collect::<Result<Vec<_>>>()?;
    let mut happenings = Vec::with_capacity(rollouts.len());
    for rollout in &rollouts {
        happenings.push(Happening::Effect(rollout, artifact_set(step, target, rollout)?));
    }
    happenings.extend(store::removals(tx, target, start)?.into_iter().map(Happening::Removal));
    happenings.sort_by_key(Happening::order);
    let known = before.map(|(_, class, replaces)| (class, replaces));
    let outcomes = walk::walk(&happenings, known, None, &mut Rows { tx, target, start })?;
    let mut outcomes = outcomes.iter();
    for happening in &happenings {
        let (Happening::Effect(rollout, set), Some(outcome)) = (happening, effect_of(happening, &mut outcomes)) else {
            continue;
        };
        let row = Row::new(target, rollout, *set, outcome);
        if store::write(tx, step.event.position, &row)? {
            step.changes.deployments.push((target, rollout.id));
        }
    }
    Ok(())
}

/// The outcome of an effect: they come in the same order.
fn effect_of<'a>(
    happening: &Happening<'_>,
    outcomes: &mut impl Iterator<Item = &'a walk::Outcome>,
) -> Option<&'a walk::Outcome> {
    match happening {
        Happening::Effect(..) => outcomes.next(),
        Happening::Removal(_) => None,
    }
}
