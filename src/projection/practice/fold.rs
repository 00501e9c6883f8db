//! Taking in events.

use std::collections::{HashMap, HashSet};

use rusqlite::{OptionalExtension, params};

use super::super::registry::{About, Projection, Step};
use super::super::{Event, Result};
use super::fact::{application, changed_something, images, is_by_tag, notables, off};
use crate::event::Data;

/// Entries kept at hand, of applications and of tags.
const KEPT: usize = 50_000;

/// Roles in `change_branch`: changes go into it; a change came from it.
pub(super) const INTO: i64 = 0;
pub(super) const FROM: i64 = 1;

/// The fold.
#[derive(Debug, Default)]
pub struct Practice {
    /// When an application of a uid was first seen, by target, application and uid.
    applications: HashMap<(String, String), (i64, i64)>,
    /// Images by tag that are known to be deployed to a target; and artifacts, by the name of the image.
    deployed: HashSet<(String, String)>,
    /// Branches by repository and role.
    branches: HashSet<(String, String, i64)>,
    /// Since when a source tells of reviews.
    reviewing: HashMap<String, (i64, i64)>,
}

impl Projection for Practice {
    fn about(&self) -> &'static About {
        &super::ABOUT
    }

    fn fold(&mut self, step: &mut Step<'_>) -> Result<()> {
        let event = step.event;
        for notable in notables(event) {
            let stream = step.name(event.stream())?;
            step.tx
                .prepare_cached("INSERT INTO notable (kind, at, key, position, stream) VALUES (?1, ?2, ?3, ?4, ?5)")?
                .execute(params![notable as i64, event.at, event.key, event.position, stream])?;
        }
        match &event.data {
            Data::DriftOpened(opened) => keep_drift(step, &opened.drift, 0)?,
            Data::DriftClosed(closed) => keep_drift(step, &closed.drift, 1)?,
            Data::FreezeStarted(freeze) => keep_freeze(step, freeze.freeze.as_str(), 0)?,
            Data::FreezeEnded(freeze) => keep_freeze(step, freeze.freeze.as_str(), 1)?,
            Data::PromotionRequested(_) => keep_promotion(step, 0)?,
            Data::PromotionApproved(_) => keep_promotion(step, 1)?,
            Data::PromotionStarted(_) => keep_promotion(step, 2)?,
            Data::PromotionCompleted(_) => keep_promotion(step, 3)?,
            Data::ChangeCreated(change) => {
                self.branch(step, &change.base, INTO)?;
                // A branch of a fork has nothing to do with one of that name here.
                if change.from_fork != Some(true) {
                    self.branch(step, &change.head, FROM)?;
                }
            }
            Data::ChangeMerged(change) => {
                self.branch(step, &change.base, INTO)?;
                if let Some(head) = &change.head {
                    self.branch(step, head, FROM)?;
                }
            }
            Data::ChangeReviewed(_) => self.reviews(step)?,
            Data::GuardChanged(change) => {
                if let Some(off) = off(change) {
                    let of = change.application.as_ref().map_or("", |application| application.name.as_str());
                    let (stream, guard) = (step.name(event.stream())?, step.name(&format!("{} {of}", change.guard))?);
                    step.tx
                        .prepare_cached(
                            "INSERT INTO guard_fact (stream, guard, at, key, position, off) \
                             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                        )?
                        .execute(params![stream, guard, event.at, event.key, event.position, off])?;
                }
            }
            Data::ActionAudited(action) if changed_something(action) => {
                let (stream, user) = (step.name(event.stream())?, step.name(&action.user.to_string())?);
                step.tx
                    .prepare_cached(
                        "INSERT INTO action_fact (stream, at, key, position, user) VALUES (?1, ?2, ?3, ?4, ?5)",
                    )?
                    .execute(params![stream, event.at, event.key, event.position, user])?;
            }
            _ => {}
        }
        self.application(step)?;
        self.images(step)
    }

    fn reset(&mut self) {
        self.applications.clear();
        self.deployed.clear();
        self.branches.clear();
        self.reviewing.clear();
    }
}

fn keep_drift(step: &mut Step<'_>, drift: &str, kind: i64) -> Result<()> {
    let Event { at, key, position, .. } = *step.event;
    let (stream, drift) = (step.name(step.event.stream())?, step.name(drift)?);
    step.tx
        .prepare_cached(
            "INSERT INTO drift_fact (stream, drift, kind, at, key, position) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![stream, drift, kind, at, key, position])?;
    Ok(())
}

fn keep_freeze(step: &mut Step<'_>, freeze: &str, kind: i64) -> Result<()> {
    let Event { at, key, position, .. } = *step.event;
    let freeze = step.name(freeze)?;
    step.tx
        .prepare_cached("INSERT INTO freeze_fact (freeze, kind, at, key, position) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![freeze, kind, at, key, position])?;
    Ok(())
}

fn keep_promotion(step: &mut Step<'_>, kind: i64) -> Result<()> {
    let Event { at, key, position, .. } = *step.event;
    let promotion = step.name(step.event.stream())?;
    step.tx
        .prepare_cached("INSERT INTO promotion_fact (promotion, kind, at, key, position) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![promotion, kind, at, key, position])?;
    Ok(())
}

impl Practice {
    /// Keeps since when an application of a uid is seen. What is not earlier than what is known says nothing new.
    fn application(&mut self, step: &mut Step<'_>) -> Result<()> {
        let event = step.event;
        let Some(application) = application(&event.data) else { return Ok(()) };
        let Some(uid) = &application.uid else { return Ok(()) };
        let name = format!("{} {}", event.envelope.source, application.name);
        let (order, cached) = ((event.at, event.key), (event.stream().to_owned(), format!("{name} {uid}")));
        if self.applications.get(&cached).is_some_and(|known| *known <= order) {
            return Ok(());
        }
        let (stream, name, uid) = (step.name(event.stream())?, step.name(&name)?, step.name(uid)?);
        let mut first = step.tx.prepare_cached(
            "SELECT at, key FROM application_fact WHERE stream = ?1 AND application = ?2 AND uid = ?3 ORDER BY at, key LIMIT 1",
        )?;
        let known: Option<(i64, i64)> =
            first.query_row(params![stream, name, uid], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        if known.is_none_or(|known| order < known) {
            step.tx
                .prepare_cached(
                    "INSERT INTO application_fact (stream, application, uid, at, key, position) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?
                .execute(params![stream, name, uid, event.at, event.key, event.position])?;
        }
        if self.applications.len() >= KEPT {
            self.applications.clear();
        }
        self.applications.insert(cached, known.map_or(order, |known| known.min(order)));
        Ok(())
    }

    /// Keeps which images are deployed by a tag, and which artifacts under which name.
    fn images(&mut self, step: &mut Step<'_>) -> Result<()> {
        let event = step.event;
        for image in images(&event.data) {
            if let Some(tag) = image.tag.as_ref().filter(|_| is_by_tag(image)) {
                self.once(step, event.stream(), &format!("{}:{tag}", image.name), |step, stream, image| {
                    let sql = "INSERT OR IGNORE INTO deployed_tag (image, stream, position) VALUES (?1, ?2, ?3)";
                    step.tx.prepare_cached(sql)?.execute(params![image, stream, step.event.position])
                })?;
            }
            if let Some(digest) = &image.digest {
                self.once(step, &image.name, &digest.to_string(), |step, name, artifact| {
                    let sql = "INSERT OR IGNORE INTO deployed_artifact (name, artifact, position) VALUES (?1, ?2, ?3)";
                    step.tx.prepare_cached(sql)?.execute(params![name, artifact, step.event.position])
                })?;
            }
        }
        Ok(())
    }

    /// Keeps a pair of names unless it is known.
    fn once(
        &mut self,
        step: &mut Step<'_>,
        one: &str,
        other: &str,
        keep: impl FnOnce(&Step<'_>, i64, i64) -> rusqlite::Result<usize>,
    ) -> Result<()> {
        let cached = (one.to_owned(), other.to_owned());
        if self.deployed.contains(&cached) {
            return Ok(());
        }
        let (one, other) = (step.name(one)?, step.name(other)?);
        keep(step, one, other)?;
        if self.deployed.len() >= KEPT {
            self.deployed.clear();
        }
        self.deployed.insert(cached);
        Ok(())
    }

    /// Keeps what a branch is to changes.
    fn branch(&mut self, step: &mut Step<'_>, branch: &str, role: i64) -> Result<()> {
        let cached = (step.event.stream().to_owned(), branch.to_owned(), role);
        if self.branches.contains(&cached) {
            return Ok(());
        }
        let (repository, branch) = (step.name(&cached.0)?, step.name(branch)?);
        step.tx
            .prepare_cached(
                "INSERT OR IGNORE INTO change_branch (repository, branch, role, position) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![repository, branch, role, step.event.position])?;
        if self.branches.len() >= KEPT {
            self.branches.clear();
        }
        self.branches.insert(cached);
        Ok(())
    }

    /// Keeps since when a source tells of reviews. What is not earlier than what is known says nothing new.
    fn reviews(&mut self, step: &mut Step<'_>) -> Result<()> {
        let event = step.event;
        let (source, order) = (event.envelope.source.as_str(), (event.at, event.key));
        if self.reviewing.get(source).is_some_and(|known| *known <= order) {
            return Ok(());
        }
        let id = step.name(source)?;
        let mut first =
            step.tx.prepare_cached("SELECT at, key FROM review_source WHERE source = ?1 ORDER BY at, key LIMIT 1")?;
        let known: Option<(i64, i64)> = first.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        if known.is_none_or(|known| order < known) {
            step.tx
                .prepare_cached("INSERT INTO review_source (source, at, key, position) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![id, event.at, event.key, event.position])?;
        }
        self.reviewing.insert(source.to_owned(), known.map_or(order, |known| known.min(order)));
        Ok(())
    }
}
