//! What ran and of which it is not known what is in it: unknown is not no.

use rusqlite::params;

use super::super::deployment::{self, RunningImage};
use super::super::{Basis, CURRENT, Result, Snapshot, instant};
use super::exposure::{Doubt, Question, targets};
use super::store::DocumentKind;
use crate::event::Timestamp;

/// Places that are listed of each image.
const PLACES_LISTED: usize = 20;

/// An image that ran in the time asked about, and of which it is not known whether it has what is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// The image.
    pub image: RunningImage,
    /// Where and when it ran, the last first; of many only some.
    pub places: Vec<Place>,
    /// What there is all the same, and why it does not tell.
    pub reasons: Vec<String>,
    order: (i64, i64),
}

impl Unknown {
    /// Its place in the order in which images are listed.
    #[must_use]
    pub fn place(&self) -> (i64, i64) {
        self.order
    }
}

/// A time in which an image ran in a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The environment.
    pub environment: String,
    /// The service.
    pub service: String,
    /// From when.
    pub from: Timestamp,
    /// Until when; none while it runs.
    pub to: Option<Timestamp>,
}

/// Targets up to which a question is answered from their deployments instead of from the images there are.
const FEW_TARGETS: usize = 64;

/// What a deployment `d` must be to count: known, in effect, and of the time asked about.
macro_rules! ran {
    () => {
        "d.known_from < ?1 AND d.known_to >= ?1 AND d.class < 2 AND d.at < ?3 \
         AND coalesce(d.until_at, 9223372036854775807) > ?2"
    };
}

/// What makes an image `u` one of which it is not known whether it has what is asked about: see [`Doubt`].
macro_rules! in_doubt {
    () => {
        "CASE WHEN ?4 IS NULL THEN u.listed >= ?1 ELSE u.scanned_at < ?4 OR (?5 AND NOT EXISTS (SELECT 1 FROM \
         package_document AS p WHERE p.kind = 1 AND p.status = 0 AND p.at >= ?4 AND p.position < ?1 AND p.artifact IN \
         (SELECT u.image UNION ALL SELECT whole FROM platform_link WHERE part = u.image AND position < ?1 \
         UNION ALL SELECT part FROM platform_link WHERE whole = u.image AND position < ?1))) END"
    };
}

/// Images of which it is not known whether they have what is asked about and that ran in the time and place asked about, by
/// the time they were first named, newest first, at most `limit`, beginning after the one at `after`.
///
/// # Errors
/// `NotFound` where there is no such target; `Database`, `Damaged`.
pub fn unknown(
    snapshot: &Snapshot<'_>,
    basis: &Basis,
    question: &Question,
    doubt: &Doubt,
    after: Option<(i64, i64)>,
    limit: usize,
) -> Result<Vec<Unknown>> {
    let targets = targets(snapshot, basis, question)?;
    let everywhere = question.environment.is_none() && question.service.is_none();
    let numbers: Vec<_> = targets.keys().map(ToString::to_string).collect();
    let numbers = (!everywhere).then(|| format!("[{}]", numbers.join(",")));
    let mut statement = snapshot.connection.prepare_cached(if !everywhere && targets.len() <= FEW_TARGETS {
        concat!(
            "SELECT DISTINCT u.image, u.first_at, u.key FROM json_each(?8) AS t CROSS JOIN deployment AS d \
             ON d.target = t.value CROSS JOIN image_list AS i ON i.images = d.images \
             CROSS JOIN package_image AS u ON u.image = i.image WHERE ",
            ran!(),
            " AND u.position < ?1 AND (u.first_at, u.key) < (?6, ?7) AND ",
            in_doubt!(),
            " ORDER BY u.first_at DESC, u.key DESC"
        )
    } else {
        concat!(
            "SELECT u.image, u.first_at, u.key FROM package_image AS u WHERE u.position < ?1 \
             AND (u.first_at, u.key) < (?6, ?7) AND ",
            in_doubt!(),
            " AND EXISTS (SELECT 1 FROM image_list AS i CROSS JOIN deployment AS d ON d.images = i.images \
             WHERE i.image = u.image AND (?8 IS NULL OR d.target IN (SELECT value FROM json_each(?8))) AND ",
            ran!(),
            ") ORDER BY u.first_at DESC, u.key DESC"
        )
    })?;
    let (from, to) = window(question);
    let (first_at, key) = after.unwrap_or((CURRENT, CURRENT));
    let historic = basis.known_at != basis.position;
    let mut rows = statement.query(params![basis.known(), from, to, doubt.since, historic, first_at, key, numbers])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        if found.len() == limit {
            break;
        }
        let image = row.get(0)?;
        if !doubt.exposed.contains(&image) {
            found.push(in_words(snapshot, basis, question, doubt, image, (row.get(1)?, row.get(2)?))?);
        }
    }
    Ok(found)
}

/// Whether it is not known of an image if it has what is asked about.
pub(super) fn in_doubt(snapshot: &Snapshot<'_>, basis: &Basis, doubt: &Doubt, image: i64) -> Result<bool> {
    let mut statement = snapshot.connection.prepare_cached(concat!(
        "SELECT NOT EXISTS (SELECT 1 FROM package_image AS u WHERE u.image = ?2 AND u.position < ?1 AND NOT (",
        in_doubt!(),
        "))"
    ))?;
    let historic = basis.known_at != basis.position;
    let parameters = params![basis.known(), image, rusqlite::types::Null, doubt.since, historic];
    Ok(statement.query_row(parameters, |row| row.get(0))?)
}

fn window(question: &Question) -> (i64, i64) {
    (question.from.map_or(i64::MIN, Timestamp::micros), question.to.map_or(i64::MAX, Timestamp::micros))
}

fn in_words(
    snapshot: &Snapshot<'_>,
    basis: &Basis,
    question: &Question,
    doubt: &Doubt,
    image: i64,
    order: (i64, i64),
) -> Result<Unknown> {
    let mut statement = snapshot.connection.prepare_cached(
        "SELECT t.environment, t.service, d.at, d.until_at, i.images FROM image_list AS i CROSS JOIN deployment AS d \
         ON d.images = i.images AND d.known_to >= ?2 CROSS JOIN target AS t ON t.id = d.target \
         WHERE i.image = ?1 AND d.known_from < ?2 AND d.class < 2 AND d.at < ?4 \
         AND coalesce(d.until_at, 9223372036854775807) > ?3 AND (?5 IS NULL OR t.environment = ?5) \
         AND (?6 IS NULL OR t.service = ?6) ORDER BY d.at DESC, d.key DESC LIMIT ?7",
    )?;
    let (from, to) = window(question);
    let limit = i64::try_from(PLACES_LISTED).unwrap_or(i64::MAX);
    let parameters = params![image, basis.known(), from, to, question.environment, question.service, limit];
    let mut rows = statement.query(parameters)?;
    let (mut places, mut list) = (Vec::new(), None);
    while let Some(row) = rows.next()? {
        list = list.or(row.get(4)?);
        places.push(Place {
            environment: row.get(0)?,
            service: row.get(1)?,
            from: instant(row.get(2)?),
            to: row.get::<_, Option<i64>>(3)?.map(instant),
        });
    }
    let identity = snapshot.text(image)?;
    let listed = list.map(|list| deployment::images(snapshot.connection, list)).transpose()?.unwrap_or_default();
    let found = listed.into_iter().find(|image| image.identity() == identity);
    let nameless = RunningImage { name: String::new(), tag: None, digest: Some(identity) };
    let image_named = found.unwrap_or(nameless);
    let mut reasons = reasons(snapshot, basis, doubt, image)?;
    if image_named.digest.is_none() {
        reasons.push("it is known by its tag alone".to_owned());
    }
    Ok(Unknown { image: image_named, places, reasons, order })
}

/// Why what there is about an image does not tell whether it has what is asked about.
fn reasons(snapshot: &Snapshot<'_>, basis: &Basis, doubt: &Doubt, image: i64) -> Result<Vec<String>> {
    let mut statement = snapshot.connection.prepare_cached(
        "SELECT status, kind, reason FROM package_document WHERE artifact = ?1 AND position < ?2 AND kind < 2 \
         ORDER BY position",
    )?;
    let mut rows = statement.query(params![image, basis.known()])?;
    let mut reasons: Vec<String> = Vec::new();
    while let Some(row) = rows.next()? {
        let (status, kind, reason): (i64, i64, Option<String>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let what = match (status, doubt.since) {
            (0, None) => "a scan lists only what it found".to_owned(),
            (0, Some(_)) if kind == DocumentKind::Scan as i64 => {
                "it was not scanned since that was made public".to_owned()
            }
            (0, Some(_)) => "a bill of materials does not tell what is wrong with it".to_owned(),
            (1, _) => reason.unwrap_or_default(),
            (2, _) => "a document is not there".to_owned(),
            (3, _) => "a document was erased".to_owned(),
            _ => format!("a document cannot be read: {}", reason.unwrap_or_default()),
        };
        if !reasons.contains(&what) {
            reasons.push(what);
        }
    }
    // A scan of which only counts are told.
    let mut statement = snapshot.connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM scan WHERE artifact = ?1 AND position < ?2 AND kind = 0 \
         AND position NOT IN (SELECT position FROM package_document WHERE artifact = ?1))",
    )?;
    if statement.query_row(params![image, basis.known()], |row| row.get(0))? {
        reasons.push("there was a scan whose report is not here".to_owned());
    }
    Ok(reasons)
}

/// Targets in which something ran in the time asked about of which not even the images are known, by environment and
/// service.
///
/// # Errors
/// `NotFound` where there is no such target; `Database`.
pub fn without_images(snapshot: &Snapshot<'_>, basis: &Basis, question: &Question) -> Result<Vec<(String, String)>> {
    let mut statement = snapshot.connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM deployment WHERE target = ?1 AND images IS NULL AND class < 2 AND at < ?3 \
         AND coalesce(until_at, 9223372036854775807) > ?2 AND known_from < ?4 AND known_to >= ?4)",
    )?;
    let (from, to) = window(question);
    let mut found = Vec::new();
    for target in targets(snapshot, basis, question)?.into_values() {
        if statement.query_row(params![target.id, from, to, basis.known()], |row| row.get(0))? {
            found.push((target.environment, target.service));
        }
    }
    found.sort();
    Ok(found)
}
