//! The steps of a walk: along changes, builds, platforms, tags and desired state.

use std::collections::{BTreeMap, BTreeSet};

use super::super::deployment::{self, By, Origin, Place, RunningImage};
use super::super::{Error, Result, artifact};
use super::How;
use super::thing::{Thing, commit_rows, repository, stream};
use super::walk::{LIMIT, Walk};
use crate::event::Data;
use crate::event::target::ManifestCommitted;

/// Most commits that are looked at for one that contains another and was built.
const DESCENDANTS_MAX: usize = 1000;

impl Walk<'_, '_> {
    /// The artifact of an image that ran or was asked for at an instant, and how it is known.
    pub(super) fn artifact_of(&self, image: &RunningImage, at: i64) -> Result<Option<(i64, How)>> {
        if let Some(digest) = &image.digest {
            return Ok(self.snapshot.id(digest)?.map(|artifact| (artifact, How::Image)));
        }
        let Some(tag) = &image.tag else { return Ok(None) };
        let (Some(name), Some(tag)) = (self.snapshot.id(&image.name)?, self.snapshot.id(tag)?) else { return Ok(None) };
        Ok(self.named_at(name, tag, at)?.map(|artifact| (artifact, How::RegistryTag)))
    }

    /// What a tag in a registry named at an instant: by the last observation before it, else by the first after it.
    pub(super) fn named_at(&self, name: i64, tag: i64, at: i64) -> Result<Option<i64>> {
        let before = "SELECT artifact FROM artifact_tag WHERE tag = ?1 AND name = ?2 AND at <= ?3 AND position < ?4 \
                      ORDER BY at DESC, key DESC LIMIT 1";
        let after = "SELECT artifact FROM artifact_tag WHERE tag = ?1 AND name = ?2 AND at > ?3 AND position < ?4 \
                     ORDER BY at, key LIMIT 1";
        for sql in [before, after] {
            let found: Vec<i64> = self.rows(sql, [tag, name, at, self.known], |row| row.get(0))?;
            if let [artifact, ..] = found.as_slice() {
                return Ok(Some(*artifact));
            }
        }
        Ok(None)
    }

    /// The changes that a commit is part of: repository and id.
    pub(super) fn changes_of(&mut self, oid: &str) -> Result<Vec<(String, String)>> {
        let mut changes = Vec::new();
        for (id, _) in commit_rows(self.snapshot, oid)? {
            let found: Vec<(String, String, i64, i64)> = self.rows(
                "SELECT place.text, name.text, role, position FROM change_commit \
                 JOIN name AS place ON place.id = change_commit.repository JOIN name ON name.id = change_commit.change \
                 WHERE commit_id = ?1 AND position < ?2 ORDER BY 1, 2, 3 LIMIT ?3",
                [id, self.known, LIMIT],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
            )?;
            for (stream, change, role, position) in found {
                let place = repository(&stream);
                self.link_change(oid, &place, &change, (role, position))?;
                changes.push((place, change));
            }
        }
        changes.sort();
        changes.dedup();
        Ok(changes)
    }

    pub(super) fn link_change(
        &mut self,
        oid: &str,
        place: &str,
        change: &str,
        (role, position): (i64, i64),
    ) -> Result<()> {
        let how = How::of_role(role).ok_or_else(|| Error::Damaged(format!("a commit of a change as {role}")))?;
        let (commit, change) = (Thing::Commit(oid.to_owned()), Thing::Change(place.to_owned(), change.to_owned()));
        let (from, to) = if how == How::Merged { (change, commit) } else { (commit, change) };
        self.link(from, to, how, position);
        Ok(())
    }

    /// The commits of a change, what it became first.
    pub(super) fn commits_of_change(&mut self, place: &str, change: &str) -> Result<Vec<String>> {
        let (Some(repository), Some(id)) = (self.snapshot.id(&stream(place))?, self.snapshot.id(change)?) else {
            return Ok(Vec::new());
        };
        let found: Vec<(String, i64, i64)> = self.rows(
            "SELECT name.text, role, position FROM change_commit JOIN git_commit ON git_commit.id = change_commit.commit_id \
             JOIN name ON name.id = git_commit.oid WHERE change_commit.repository = ?1 AND change = ?2 AND position < ?3 \
             ORDER BY role, name.text LIMIT ?4",
            [repository, id, self.known, LIMIT],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        let mut commits: Vec<String> = Vec::new();
        for (oid, role, position) in found {
            self.link_change(&oid, place, change, (role, position))?;
            // What it was brought over from went its own way.
            if How::of_role(role) != Some(How::CherryPick) && !commits.contains(&oid) {
                commits.push(oid);
            }
        }
        Ok(commits)
    }

    /// Follows commits to what was built of them and to deployments that name them. Returns whether there is anything.
    pub(super) fn down_from_commits(&mut self, mut commits: Vec<String>) -> Result<bool> {
        commits.sort();
        commits.dedup();
        let mut any = false;
        for oid in commits {
            let artifacts = self.artifacts_of(&oid)?;
            any |= !artifacts.is_empty();
            for artifact in artifacts {
                self.down_from_artifact(artifact)?;
            }
            for place in self.deployed(&oid)? {
                any = true;
                self.reach(&Thing::Commit(oid.clone()), How::Deployer, place);
            }
        }
        Ok(any)
    }

    /// Artifacts whose source commit is this one, as what is known best has it; linked to it.
    pub(super) fn artifacts_of(&mut self, oid: &str) -> Result<Vec<i64>> {
        let mut candidates = BTreeSet::new();
        for (id, _) in commit_rows(self.snapshot, oid)? {
            candidates.extend(self.rows(
                "SELECT artifact FROM build WHERE commit_id = ?1 AND position < ?2 \
                 UNION SELECT artifact FROM attestation WHERE commit_id = ?1 AND position < ?2 \
                 UNION SELECT artifact FROM publication WHERE labelled_commit = ?1 AND position < ?2",
                [id, self.known],
                |row| row.get::<_, i64>(0),
            )?);
        }
        let mut artifacts = Vec::new();
        for artifact in candidates {
            let found = artifact::origins(self.snapshot.connection, artifact, self.known)?;
            for origin in found {
                if self.oid(origin.commit_id)? == oid {
                    let digest = self.digest(artifact)?;
                    self.link(Thing::Commit(oid.to_owned()), digest, origin.evidence.into(), origin.position);
                    artifacts.push(artifact);
                }
            }
        }
        Ok(artifacts)
    }

    /// Deployments that name a commit themselves.
    pub(super) fn deployed(&self, oid: &str) -> Result<Vec<Place>> {
        let mut streams: Vec<String> = commit_rows(self.snapshot, oid)?.into_iter().map(|(_, stream)| stream).collect();
        if !streams.iter().any(String::is_empty) {
            streams.push(String::new());
        }
        let mut places = Vec::new();
        for stream in streams {
            if let Some(of) = self.snapshot.id(&format!("{stream}@{oid}"))? {
                places.extend(deployment::places(self.snapshot, self.known, By::SourceCommit, of)?);
            }
        }
        Ok(places)
    }

    /// The nearest commits that contain one and were built or deployed, generation by generation; and the first change that
    /// took it in.
    pub(super) fn containing(&mut self, oid: &str) -> Result<()> {
        let mut generation = vec![oid.to_owned()];
        let mut seen: BTreeSet<String> = BTreeSet::from([oid.to_owned()]);
        let mut merged = !self.changes_of(oid)?.is_empty();
        while !generation.is_empty() && seen.len() < DESCENDANTS_MAX {
            let mut children: BTreeMap<String, i64> = BTreeMap::new();
            for parent in &generation {
                for (id, _) in commit_rows(self.snapshot, parent)? {
                    let found: Vec<(String, i64)> = self.rows(
                        "SELECT name.text, position FROM commit_parent JOIN git_commit ON git_commit.id = child \
                         JOIN name ON name.id = git_commit.oid WHERE parent = ?1 AND position < ?2",
                        [id, self.known],
                        |row| Ok((row.get(0)?, row.get(1)?)),
                    )?;
                    children.extend(found.into_iter().filter(|(child, _)| !seen.contains(child)));
                }
            }
            let mut used = false;
            for (child, position) in &children {
                let changes = if merged { Vec::new() } else { self.changes_of(child)? };
                let any = self.down_from_commits(vec![child.clone()])?;
                if any || !changes.is_empty() {
                    let (from, to) = (Thing::Commit(oid.to_owned()), Thing::Commit(child.clone()));
                    self.link(from, to, How::Contained, *position);
                }
                used |= any;
                for (place, change) in changes {
                    merged = true;
                    self.commits_of_change(&place, &change)?;
                }
            }
            if used {
                return Ok(());
            }
            seen.extend(children.keys().cloned());
            generation = children.into_keys().collect();
        }
        self.unused.push(oid.to_owned());
        Ok(())
    }

    /// Follows a commit as desired state: what it asked for, where that came from, and where it was synced. Returns whether
    /// it is desired state at all.
    pub(super) fn desired_state(&mut self, oid: &str) -> Result<bool> {
        let commit = Thing::Commit(oid.to_owned());
        let mut any = false;
        for (_, stream) in commit_rows(self.snapshot, oid)? {
            let Some(of) = self.snapshot.id(&format!("{stream}@{oid}"))? else { continue };
            let positions: Vec<i64> = self.rows(
                "SELECT position FROM manifest_commit WHERE manifest = ?1 AND position < ?2 ORDER BY position DESC LIMIT ?3",
                [of, self.known, LIMIT],
                |row| row.get(0),
            )?;
            for position in positions {
                any = true;
                self.asked_images(&commit, position)?;
            }
            for place in deployment::places(self.snapshot, self.known, By::Manifest, of)? {
                any = true;
                self.reach(&commit, How::DesiredState, place);
            }
        }
        if any {
            self.desired.insert(oid.to_owned());
        }
        Ok(any)
    }

    /// The artifacts that a commit of desired state asks for, as an event says, and where they come from.
    pub(super) fn asked_images(&mut self, commit: &Thing, position: i64) -> Result<()> {
        let event = self.snapshot.event(position.unsigned_abs())?;
        let Data::ManifestCommitted(it) = &event.data else { return Ok(()) };
        self.asks(it, position);
        for image in it.images.iter().flatten().filter_map(|edit| edit.after.as_ref()) {
            if let Some((artifact, _)) = self.artifact_of(&RunningImage::from(image), event.at)? {
                let digest = self.digest(artifact)?;
                self.link(digest, commit.clone(), How::AskedFor, position);
                self.up_from_artifact(artifact)?;
            }
        }
        Ok(())
    }

    /// Follows an artifact to the commits it is of, and to the changes those are part of.
    pub(super) fn up_from_artifact(&mut self, artifact: i64) -> Result<()> {
        let digest = self.digest(artifact)?;
        self.things.insert(digest.clone());
        self.linked(artifact)?;
        for origin in artifact::origins(self.snapshot.connection, artifact, self.known)? {
            let oid = self.oid(origin.commit_id)?;
            self.link(Thing::Commit(oid.clone()), digest.clone(), origin.evidence.into(), origin.position);
            self.changes_of(&oid)?;
        }
        Ok(())
    }

    /// The index that an artifact belongs to, and what is in it as an index.
    pub(super) fn linked(&mut self, artifact: i64) -> Result<Vec<i64>> {
        let found: Vec<(i64, i64, i64)> = self.rows(
            "SELECT whole, part, position FROM platform_link WHERE part = ?1 AND position < ?2 UNION ALL \
             SELECT whole, part, position FROM platform_link WHERE whole = ?1 AND position < ?2 LIMIT ?3",
            [artifact, self.known, LIMIT],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        let mut others = Vec::new();
        for (whole, part, position) in found {
            let other = if whole == artifact { part } else { whole };
            let (from, to) = (self.digest(whole)?, self.digest(part)?);
            let beside = if whole == artifact { to.clone() } else { from.clone() };
            if !self.things.contains(&beside) {
                self.beside.insert(beside);
            }
            self.link(from, to, How::Platform, position);
            others.push(other);
        }
        Ok(others)
    }

    /// Follows an artifact to desired state that asked for it, and to where it ran; also as what it is linked with.
    pub(super) fn down_from_artifact(&mut self, artifact: i64) -> Result<()> {
        if !self.followed.insert(artifact) {
            return Ok(());
        }
        let digest = self.digest(artifact)?;
        self.things.insert(digest.clone());
        self.beside.remove(&digest);
        let mut all = self.linked(artifact)?;
        all.push(artifact);
        for one in all {
            let digest = self.digest(one)?;
            self.requests(&digest, one, None)?;
            for place in deployment::places(self.snapshot, self.known, By::Image, one)? {
                self.reach(&digest, How::Image, place);
            }
            self.by_tag(&digest, one)?;
        }
        Ok(())
    }

    /// Where an artifact ran, or was asked for, by a tag that named it then.
    pub(super) fn by_tag(&mut self, digest: &Thing, artifact: i64) -> Result<()> {
        let tags: Vec<(i64, i64)> = self.rows(
            "SELECT DISTINCT tag, name FROM artifact_tag WHERE artifact = ?1 AND position < ?2 ORDER BY 1, 2 LIMIT ?3",
            [artifact, self.known, LIMIT],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        for (tag, name) in tags {
            let image = format!("{}:{}", self.snapshot.text(name)?, self.snapshot.text(tag)?);
            let Some(image) = self.snapshot.id(&image)? else { continue };
            let mut places = deployment::places(self.snapshot, self.known, By::Image, image)?;
            places.truncate(1000);
            for place in places {
                if self.named_at(name, tag, place.at)? == Some(artifact) {
                    self.reach(digest, How::RegistryTag, place);
                }
            }
            self.requests(digest, image, Some((name, tag, artifact)))?;
        }
        Ok(())
    }

    /// Commits of desired state that asked for an image; where that is a tag, while it named the artifact.
    pub(super) fn requests(&mut self, from: &Thing, image: i64, named: Option<(i64, i64, i64)>) -> Result<()> {
        let positions: Vec<i64> = self.rows(
            "SELECT position FROM image_request WHERE image = ?1 AND position < ?2 ORDER BY position DESC LIMIT ?3",
            [image, self.known, LIMIT],
            |row| row.get(0),
        )?;
        for position in positions {
            let event = self.snapshot.event(position.unsigned_abs())?;
            let Data::ManifestCommitted(it) = &event.data else { continue };
            if let Some((name, tag, artifact)) = named
                && self.named_at(name, tag, event.at)? != Some(artifact)
            {
                continue;
            }
            self.asks(it, position);
            self.link(from.clone(), Thing::Commit(it.commit.to_string()), How::AskedFor, position);
        }
        Ok(())
    }

    /// Looks for the event that told of a commit of desired state.
    pub(super) fn told_of(&mut self, origin: &Origin) -> Result<()> {
        let Some(of) = self.snapshot.id(&format!("{}@{}", origin.repository, origin.revision))? else { return Ok(()) };
        let first: Vec<i64> = self.rows(
            "SELECT position FROM manifest_commit WHERE manifest = ?1 AND position < ?2 ORDER BY position LIMIT 1",
            [of, self.known],
            |row| row.get(0),
        )?;
        for position in first {
            if let Data::ManifestCommitted(it) = &self.snapshot.event(position.unsigned_abs())?.data {
                self.asks(it, position);
            }
        }
        Ok(())
    }

    /// Keeps what an event says of a commit of desired state.
    fn asks(&mut self, it: &ManifestCommitted, position: i64) {
        let oid = it.commit.to_string();
        self.desired.insert(oid.clone());
        let first = self.asked.entry(oid.clone()).or_insert(position);
        *first = position.min(*first);
        if let Some(change) = &it.change {
            let change = Thing::Change(repository(it.repository.as_str()), change.clone());
            self.link(change, Thing::Commit(oid), How::Merged, position);
        }
    }
}
