//! Taking in events.

use std::collections::HashMap;

use rusqlite::params;

use super::super::deployment;
use super::super::registry::{About, Projection, Step};
use super::super::{CURRENT, Result, names, tie};
use super::reading::{Outcome, read};
use super::store::{DocumentKind, DocumentStatus, Rows, of_blob, packed, refresh, refresh_around};
use crate::event::artifact::{Platform, ScanKind, ScanStatus};
use crate::event::{Data, Digest, Hex32};

/// Images that are known to be taken in.
const IMAGES_KEPT: usize = 200_000;

/// The fold.
#[derive(Debug, Default)]
pub struct Packages {
    rows: Rows,
    /// Images that have their row, and since when they are named.
    images: HashMap<i64, i64>,
}

/// A document that an event names.
struct Named<'a> {
    kind: DocumentKind,
    tool: &'a str,
    blake3: &'a Hex32,
    format: Option<&'a str>,
    /// Why it does not cover everything.
    partial: Option<&'static str>,
}

impl Projection for Packages {
    fn about(&self) -> &'static About {
        &super::ABOUT
    }

    fn fold(&mut self, step: &mut Step<'_>) -> Result<()> {
        match &step.event.data {
            Data::EvidenceErased(erased) => return self.erase(step, &erased.blake3),
            Data::BuildFinished(build) => return linked(step, build.platforms.as_deref(), None),
            Data::ArtifactPublished(it) => return linked(step, it.platforms.as_deref(), it.index.as_ref()),
            _ => {}
        }
        match named(&step.event.data) {
            Some(named) => self.take(step, &named),
            None => self.deployed(step),
        }
    }

    fn reset(&mut self) {
        self.rows.clear();
        self.images.clear();
    }
}

/// The digest that an artifact's stream names.
fn artifact_of(stream: &str) -> Option<&str> {
    stream.strip_prefix("artifact/")
}

fn named(data: &Data) -> Option<Named<'_>> {
    Some(match data {
        Data::SbomAttached(sbom) => Named {
            kind: DocumentKind::Sbom,
            tool: sbom.tool.as_deref().unwrap_or_default(),
            blake3: &sbom.document,
            format: None,
            partial: None,
        },
        Data::ScanFinished(scan) if scan.kind == ScanKind::Vulnerability => Named {
            kind: DocumentKind::Scan,
            tool: &scan.tool,
            blake3: scan.report.as_ref()?,
            format: scan.report_format.as_deref(),
            partial: match scan.status {
                ScanStatus::Completed => None,
                ScanStatus::Partial => Some("the scan did not cover everything"),
                ScanStatus::Failed => Some("the scan failed"),
                ScanStatus::NotRun => Some("the scan did not look for vulnerabilities"),
            },
        },
        // A bill of materials in an attestation has an event of its own, and so has what a scanner found.
        Data::AttestationAttached(it) if it.predicate_type.contains("openvex.dev/") => {
            Named { kind: DocumentKind::Statement, tool: "openvex", blake3: &it.document, format: None, partial: None }
        }
        _ => return None,
    })
}

impl Packages {
    /// Takes in what a document lists.
    fn take(&mut self, step: &mut Step<'_>, named: &Named<'_>) -> Result<()> {
        // What is said of source code is not said of what was built from it.
        let Some(digest) = artifact_of(step.event.stream()) else { return Ok(()) };
        // Numbers are given before anything is read: they must not depend on whether it can be.
        let artifact = step.name(digest)?;
        let (tool, document) = (step.name(named.tool)?, step.name(named.blake3.as_str())?);
        let (tx, event) = (step.tx, step.event);
        let (status, reason, listing) = match read(step.documents, event, named.blake3, named.kind, named.format)? {
            Outcome::Missing => (DocumentStatus::Missing, None, None),
            Outcome::Unreadable(why) => (DocumentStatus::Unreadable, Some(why), None),
            Outcome::Listed(listing) => match named.partial {
                None => (DocumentStatus::Read, None, Some(listing)),
                Some(why) => (DocumentStatus::Partial, Some(why.to_owned()), Some(listing)),
            },
        };
        let packages = listing.as_ref().map(|listing| packed(listing.packages.keys()));
        let vulnerabilities = listing.as_ref().map(|listing| packed(listing.vulnerabilities.keys()));
        tx.prepare_cached(
            "INSERT INTO package_document (position, artifact, kind, at, key, tool, document, status, inventory, reason, \
             packages, vulnerabilities) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(params![
            event.position,
            artifact,
            named.kind as i64,
            event.at,
            event.key,
            tool,
            document,
            status as i64,
            listing.as_ref().is_some_and(|listing| listing.inventory),
            reason,
            packages,
            vulnerabilities,
        ])?;
        if let Some(listing) = &listing {
            self.rows.keep(tx, artifact, event.position, listing)?;
        }
        refresh_around(tx, artifact)
    }

    /// Takes away what came from a blob that is gone. What names it later may have brought it back.
    fn erase(&mut self, step: &mut Step<'_>, blake3: &Hex32) -> Result<()> {
        let tx = step.tx;
        let Some(document) = names::find(tx, blake3.as_str())? else { return Ok(()) };
        for gone in of_blob(tx, document)? {
            tx.prepare_cached(
                "UPDATE package_document SET status = ?2, inventory = 0, reason = NULL, packages = NULL, \
                 vulnerabilities = NULL WHERE position = ?1",
            )?
            .execute(params![gone.position, DocumentStatus::Erased as i64])?;
            self.rows.forget(tx, &gone)?;
            refresh_around(tx, gone.artifact)?;
        }
        Ok(())
    }

    /// Notes which images rollouts name.
    fn deployed(&mut self, step: &mut Step<'_>) -> Result<()> {
        let event = step.event;
        let Some((at, images)) = deployment::named_images(event) else { return Ok(()) };
        for identity in images {
            let image = step.name(&identity)?;
            if self.images.get(&image).is_some_and(|first| *first <= at) {
                continue;
            }
            if self.images.len() >= IMAGES_KEPT {
                self.images.clear();
            }
            let tx = step.tx;
            let new = tx
                .prepare_cached(
                    "INSERT OR IGNORE INTO package_image (image, key, first_at, position, listed, scanned_at) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?
                .execute(params![image, tie("image", &identity), at, event.position, CURRENT, i64::MIN])?;
            if new > 0 {
                refresh(tx, image)?;
            } else {
                tx.prepare_cached("UPDATE package_image SET first_at = ?2 WHERE image = ?1 AND first_at > ?2")?
                    .execute([image, at])?;
            }
            let first_at = tx
                .prepare_cached("SELECT first_at FROM package_image WHERE image = ?1")?
                .query_row([image], |row| row.get(0))?;
            self.images.insert(image, first_at);
        }
        Ok(())
    }
}

/// What an index holds, or which index holds an artifact, is known by another: so is what is in it.
fn linked(step: &mut Step<'_>, platforms: Option<&[Platform]>, index: Option<&Digest>) -> Result<()> {
    let others = platforms.unwrap_or_default().iter().map(|platform| &platform.digest).chain(index);
    let others: Vec<_> = others.map(Digest::as_str).collect();
    let Some(digest) = artifact_of(step.event.stream()).filter(|_| !others.is_empty()) else { return Ok(()) };
    for linked in others.into_iter().chain([digest]) {
        let linked = step.name(linked)?;
        refresh(step.tx, linked)?;
    }
    Ok(())
}
