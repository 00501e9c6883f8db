//! Images that run with nothing behind them.

use std::collections::HashMap;

use rusqlite::params;

use super::super::super::deployment::RunningImage;
use super::super::super::{Result, artifact, deployment};
use super::deployed::told;
use super::{Audit, Case, Kind};

/// What is known of where images come from, kept while a page is made.
#[derive(Default)]
pub(super) struct Builds {
    /// Whether something deployed under a name is known to come from a commit.
    names: HashMap<String, bool>,
    /// Whether something that ever ran in a target, by its number, is.
    targets: HashMap<i64, bool>,
}

pub(super) fn judge(audit: &mut Audit<'_>, builds: &mut Builds, case: &Case) -> Result<()> {
    if !audit.asks(Kind::ImageWithoutBuild) {
        return Ok(());
    }
    let images: Vec<&RunningImage> = case.new_images().collect();
    for image in images {
        audit.looked(Kind::ImageWithoutBuild, case.at());
        if is_linked(audit, image)? {
            continue;
        }
        // An image of which no build was ever told may be somebody else's. But what takes the place of all that was built
        // here is not.
        if !builds.name(audit, &image.name)? && (has_linked(audit, case)? || !builds.target(audit, case)?) {
            let reason = "no image of that name is known to be built from a commit";
            audit.could_not_judge(Kind::ImageWithoutBuild, case.at(), &image.name, reason);
            continue;
        }
        let what = format!("{} runs {} with no build behind it", told(case), shown(image));
        let mut exception = case.exception(Kind::ImageWithoutBuild, what);
        exception.key = super::tie(&exception.key.to_string(), &image.identity());
        exception.missing = match &image.digest {
            Some(digest) => vec![
                format!("a build of {digest}, or of an index it belongs to"),
                format!("an attestation of provenance of {digest} that names a commit"),
                format!("a label of {digest} that names a commit"),
            ],
            None => vec!["a digest: the image is known by its tag alone, which nothing can be told of".to_owned()],
        };
        audit.add(exception);
    }
    Ok(())
}

fn shown(image: &RunningImage) -> String {
    let tag = image.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
    let digest = image.digest.as_ref().map(|digest| format!("@{digest}")).unwrap_or_default();
    format!("{}{tag}{digest}", image.name)
}

/// Whether an image is known to come from a commit.
fn is_linked(audit: &Audit<'_>, image: &RunningImage) -> Result<bool> {
    let digest = image.digest.as_ref().map(|digest| audit.snapshot.id(digest)).transpose()?.flatten();
    match digest {
        Some(digest) => Ok(!artifact::origins(audit.snapshot.connection, digest, audit.known())?.is_empty()),
        None => Ok(false),
    }
}

fn has_linked(audit: &Audit<'_>, case: &Case) -> Result<bool> {
    for image in &case.deployment.images {
        if is_linked(audit, image)? {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Builds {
    fn name(&mut self, audit: &Audit<'_>, name: &str) -> Result<bool> {
        if let Some(known) = self.names.get(name) {
            return Ok(*known);
        }
        let known = match audit.snapshot.id(name)? {
            Some(id) => any_linked(audit, id)?,
            None => false,
        };
        self.names.insert(name.to_owned(), known);
        Ok(known)
    }

    fn target(&mut self, audit: &Audit<'_>, case: &Case) -> Result<bool> {
        let id = case.target.id;
        if let Some(known) = self.targets.get(&id) {
            return Ok(*known);
        }
        let known = ran_linked(audit, id)?;
        self.targets.insert(id, known);
        Ok(known)
    }
}

/// Whether something that ever ran in a target is known to come from a commit.
fn ran_linked(audit: &Audit<'_>, target: i64) -> Result<bool> {
    let mut statement = audit.snapshot.connection.prepare_cached(
        "SELECT DISTINCT images FROM deployment WHERE target = ?1 AND known_from < ?2 AND images NOT NULL",
    )?;
    let mut rows = statement.query(params![target, audit.known()])?;
    while let Some(row) = rows.next()? {
        for image in &deployment::images(audit.snapshot.connection, row.get(0)?)? {
            if is_linked(audit, image)? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Whether something deployed under a name is known to come from a commit.
fn any_linked(audit: &Audit<'_>, name: i64) -> Result<bool> {
    let mut statement = audit.snapshot.connection.prepare_cached(
        "SELECT artifact FROM deployed_artifact WHERE name = ?1 AND position < ?2 ORDER BY artifact DESC",
    )?;
    let mut rows = statement.query(params![name, audit.known()])?;
    while let Some(row) = rows.next()? {
        if !artifact::origins(audit.snapshot.connection, row.get(0)?, audit.known())?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}
