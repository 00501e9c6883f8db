//! Going from one thing to all that belong to it: up to where it comes from, and down to where it went. Never back, so that
//! what merely shares a deployment or a change with something is not taken for part of its history.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::params;

use super::super::deployment::{self, By, Deployment, Place, Target};
use super::super::{Basis, Result, Snapshot, dora, incident, source};
use super::thing::{Thing, repository, stream};
use super::{How, Link};
use crate::event::GitOid;

/// Most things of one kind that an answer shows.
pub(super) const SHOWN_MAX: usize = 200;

/// The same for queries.
pub(super) const LIMIT: i64 = 200;

/// What was found so far.
pub(super) struct Walk<'a, 's> {
    pub(super) snapshot: &'a Snapshot<'s>,
    pub(super) basis: &'a Basis,
    pub(super) known: i64,
    /// Everything but deployments.
    pub(super) things: BTreeSet<Thing>,
    /// Commits that are desired state.
    pub(super) desired: BTreeSet<String>,
    /// The first event that told of each of those.
    pub(super) asked: BTreeMap<String, i64>,
    /// Artifacts that are there only because they are platforms or indexes of others.
    pub(super) beside: BTreeSet<Thing>,
    /// Commits of which no build or deployment was found, nor of any that contains them.
    pub(super) unused: Vec<String>,
    links: BTreeMap<(Thing, Thing, How), i64>,
    places: BTreeMap<i64, Place>,
    /// Links to deployments, by rollout.
    to_rollouts: BTreeMap<i64, BTreeSet<(Thing, How)>>,
    /// Artifacts that were followed down.
    pub(super) followed: BTreeSet<i64>,
}

impl<'a, 's> Walk<'a, 's> {
    pub(super) fn new(snapshot: &'a Snapshot<'s>, basis: &'a Basis) -> Self {
        Self {
            snapshot,
            basis,
            known: basis.known(),
            things: BTreeSet::new(),
            desired: BTreeSet::new(),
            asked: BTreeMap::new(),
            beside: BTreeSet::new(),
            unused: Vec::new(),
            links: BTreeMap::new(),
            places: BTreeMap::new(),
            to_rollouts: BTreeMap::new(),
            followed: BTreeSet::new(),
        }
    }

    /// Follows a thing both ways.
    pub(super) fn start(&mut self, from: &Thing) -> Result<()> {
        match from {
            Thing::Commit(oid) => self.follow_commit(oid),
            Thing::Change(place, change) => self.follow_change(place, change),
            Thing::Run(place, run) => self.follow_run(from, place, run),
            Thing::Tag(place, tag) => self.follow_tag(from, place, tag),
            Thing::Version(version) => {
                let sql = "SELECT artifact, position FROM build WHERE version = ?1 AND position < ?2 \
                           ORDER BY at DESC, key DESC LIMIT 200";
                self.follow_artifacts(from, How::Version, sql, version)
            }
            Thing::Artifact(digest) => self.follow_artifact(digest),
            Thing::ImageTag(name, tag) => self.follow_image_tag(from, name, tag),
            Thing::Deployment(environment, service, id) => self.follow_deployment((environment, service, id)),
            Thing::Incident(id) => self.follow_incident(id),
        }?;
        if !matches!(from, Thing::Deployment(..)) {
            self.things.insert(from.clone());
            self.beside.remove(from);
        }
        Ok(())
    }

    pub(super) fn link(&mut self, from: Thing, to: Thing, how: How, position: i64) {
        for end in [&from, &to] {
            if !self.things.contains(end) {
                self.things.insert(end.clone());
            }
        }
        let first = self.links.entry((from, to, how)).or_insert(position);
        *first = position.min(*first);
    }

    pub(super) fn rows<T>(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let mut statement = self.snapshot.connection.prepare_cached(sql)?;
        let rows = statement.query_map(parameters, read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(super) fn digest(&self, artifact: i64) -> Result<Thing> {
        Ok(Thing::Artifact(self.snapshot.text(artifact)?))
    }

    pub(super) fn oid(&self, commit: i64) -> Result<String> {
        Ok(source::place(self.snapshot.connection, commit)?.0)
    }

    fn follow_commit(&mut self, oid: &str) -> Result<()> {
        let mut commits = vec![oid.to_owned()];
        for (place, change) in self.changes_of(oid)? {
            commits.extend(self.commits_of_change(&place, &change)?);
        }
        let desired = self.desired_state(oid)?;
        if !self.down_from_commits(commits)? && !desired {
            self.containing(oid)?;
        }
        Ok(())
    }

    fn follow_change(&mut self, place: &str, change: &str) -> Result<()> {
        let commits = self.commits_of_change(place, change)?;
        let mut desired = false;
        for oid in &commits {
            desired |= self.desired_state(oid)?;
        }
        if !self.down_from_commits(commits.clone())? && !desired {
            // The last commit of its branch is in what it was merged as, and in what was built later.
            commits.first().map_or(Ok(()), |oid| self.containing(oid))?;
        }
        Ok(())
    }

    fn follow_tag(&mut self, from: &Thing, place: &str, tag: &str) -> Result<()> {
        let (Some(repository), Some(tag)) = (self.snapshot.id(&stream(place))?, self.snapshot.id(tag)?) else {
            return Ok(());
        };
        let named: Vec<(i64, i64)> = self.rows(
            "SELECT commit_id, position FROM tag_fact WHERE tag = ?1 AND repository = ?2 AND position < ?3 \
             AND commit_id NOT NULL ORDER BY at DESC, key DESC LIMIT ?4",
            params![tag, repository, self.known, LIMIT],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        for (commit, position) in named {
            let oid = self.oid(commit)?;
            self.link(from.clone(), Thing::Commit(oid.clone()), How::Tag, position);
            self.follow_commit(&oid)?;
        }
        Ok(())
    }

    fn follow_run(&mut self, from: &Thing, place: &str, run: &str) -> Result<()> {
        let Some(id) = self.snapshot.id(run)? else { return Ok(()) };
        let ran: Vec<(i64, i64, String)> = self.rows(
            "SELECT commit_id, position, name.text FROM pipeline_run JOIN name ON name.id = pipeline_run.repository \
             WHERE run = ?1 AND position < ?2 AND commit_id <> 0 ORDER BY commit_id LIMIT ?3",
            params![id, self.known, LIMIT],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        for (commit, position, at) in ran {
            if repository(&at) == place {
                let oid = self.oid(commit)?;
                self.link(Thing::Commit(oid.clone()), from.clone(), How::Run, position);
                self.changes_of(&oid)?;
            }
        }
        // Of a run of that name in another repository it is not.
        let built: Vec<(i64, i64, Option<String>)> = self.rows(
            "SELECT artifact, build.position, name.text FROM build LEFT JOIN git_commit ON git_commit.id = build.commit_id \
             LEFT JOIN name ON name.id = git_commit.repository WHERE run = ?1 AND build.position < ?2 \
             ORDER BY at DESC, key DESC LIMIT ?3",
            params![id, self.known, LIMIT],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        for (artifact, position, at) in built {
            if at.is_none_or(|at| at.is_empty() || place.is_empty() || repository(&at) == place) {
                let digest = self.digest(artifact)?;
                self.link(from.clone(), digest, How::Run, position);
                self.up_from_artifact(artifact)?;
                self.down_from_artifact(artifact)?;
            }
        }
        Ok(())
    }

    /// Follows the artifacts that a query names by a text.
    fn follow_artifacts(&mut self, from: &Thing, how: How, sql: &str, text: &str) -> Result<()> {
        let Some(id) = self.snapshot.id(text)? else { return Ok(()) };
        let found: Vec<(i64, i64)> = self.rows(sql, [id, self.known], |row| Ok((row.get(0)?, row.get(1)?)))?;
        for (artifact, position) in found {
            let digest = self.digest(artifact)?;
            self.link(from.clone(), digest, how, position);
            self.up_from_artifact(artifact)?;
            self.down_from_artifact(artifact)?;
        }
        Ok(())
    }

    fn follow_artifact(&mut self, digest: &str) -> Result<()> {
        let Some(artifact) = self.snapshot.id(digest)? else { return Ok(()) };
        self.up_from_artifact(artifact)?;
        self.down_from_artifact(artifact)
    }

    fn follow_image_tag(&mut self, from: &Thing, name: &str, tag: &str) -> Result<()> {
        if let (Some(name), Some(tag)) = (self.snapshot.id(name)?, self.snapshot.id(tag)?) {
            let named: Vec<(i64, i64)> = self.rows(
                "SELECT artifact, position FROM artifact_tag WHERE tag = ?1 AND name = ?2 AND position < ?3 \
                 ORDER BY at DESC, key DESC LIMIT ?4",
                params![tag, name, self.known, LIMIT],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            for (artifact, position) in named {
                let digest = self.digest(artifact)?;
                self.link(from.clone(), digest, How::RegistryTag, position);
                self.up_from_artifact(artifact)?;
                self.down_from_artifact(artifact)?;
            }
        }
        let Some(image) = self.snapshot.id(&format!("{name}:{tag}"))? else { return Ok(()) };
        self.requests(from, image, None)?;
        for place in deployment::places(self.snapshot, self.known, By::Image, image)? {
            self.reach(from, How::Image, place);
        }
        Ok(())
    }

    fn follow_incident(&mut self, id: &str) -> Result<()> {
        let connection = self.snapshot.connection;
        let Some(stream) = self.snapshot.id(&format!("incident/{id}"))? else { return Ok(()) };
        let Some(found) = incident::incident(connection, stream, self.known)? else { return Ok(()) };
        let causes = dora::causes(connection, &found, self.known)?;
        causes.into_keys().try_for_each(|rollout| self.follow_rollout(rollout))
    }

    fn follow_deployment(&mut self, name: (&str, &str, &str)) -> Result<()> {
        deployment::rollout_of(self.snapshot, name)?.map_or(Ok(()), |rollout| self.follow_rollout(rollout))
    }

    fn follow_rollout(&mut self, rollout: i64) -> Result<()> {
        let Some((_, found)) = deployment::of_rollout(self.snapshot, self.basis, rollout)? else { return Ok(()) };
        let position = i64::try_from(found.position).unwrap_or(i64::MAX);
        let (at, key) = found.place();
        self.places.insert(rollout, Place { at, key, rollout, position });
        if let Some(origin) = &found.source_commit {
            self.lead_to(rollout, Thing::Commit(origin.revision.clone()), How::Deployer);
            self.changes_of(&origin.revision)?;
        }
        for image in &found.images {
            let Some((artifact, how)) = self.artifact_of(image, at)? else { continue };
            let digest = self.digest(artifact)?;
            self.lead_to(rollout, digest, how);
            self.up_from_artifact(artifact)?;
        }
        Ok(())
    }

    pub(super) fn reach(&mut self, from: &Thing, how: How, place: Place) {
        self.places.insert(place.rollout, place);
        self.lead_to(place.rollout, from.clone(), how);
    }

    fn lead_to(&mut self, rollout: i64, from: Thing, how: How) {
        self.things.insert(from.clone());
        self.to_rollouts.entry(rollout).or_default().insert((from, how));
    }

    /// The deployments that were reached, newest first and at most [`SHOWN_MAX`] of them, with their desired state; and how
    /// many there are.
    pub(super) fn deployments(&mut self) -> Result<(Vec<(Target, Deployment)>, usize)> {
        let total = self.places.len();
        let mut newest: Vec<Place> = self.places.values().copied().collect();
        newest.sort_by(|one, other| other.cmp(one));
        newest.truncate(SHOWN_MAX);
        let mut found = Vec::with_capacity(newest.len());
        for place in newest {
            let Some((target, deployment)) = deployment::of_rollout(self.snapshot, self.basis, place.rollout)? else {
                continue;
            };
            let thing = Thing::Deployment(target.environment.clone(), target.service.clone(), deployment.id.clone());
            if let Some(origin) = deployment.manifest.as_ref().filter(|it| is_commit(&it.revision)) {
                self.desired.insert(origin.revision.clone());
                self.lead_to(place.rollout, Thing::Commit(origin.revision.clone()), How::DesiredState);
                self.told_of(origin)?;
                self.changes_of(&origin.revision)?;
            }
            for (from, how) in self.to_rollouts.remove(&place.rollout).unwrap_or_default() {
                self.link(from, thing.clone(), how, place.position);
            }
            for (incident, position) in dora::incidents_of(self.snapshot.connection, place.rollout, self.known)? {
                let stream = self.snapshot.text(incident.id)?;
                let id = stream.strip_prefix("incident/").unwrap_or(&stream);
                self.link(thing.clone(), Thing::Incident(id.to_owned()), How::Cause, position);
            }
            found.push((target, deployment));
        }
        // They are told apart from the other things.
        self.things.retain(|thing| !matches!(thing, Thing::Deployment(..)));
        Ok((found, total))
    }

    /// All links, by what they come from.
    pub(super) fn links(&self) -> Vec<Link> {
        let link = |((from, to, how), position): (&(Thing, Thing, How), &i64)| Link {
            from: from.clone(),
            to: to.clone(),
            how: *how,
            position: position.unsigned_abs(),
        };
        self.links.iter().map(link).collect()
    }
}

fn is_commit(revision: &str) -> bool {
    revision.parse::<GitOid>().is_ok()
}
