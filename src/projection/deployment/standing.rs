//! How targets stand now: what failed and was not put right, what goes on, what runs.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, Statement, params};

use super::super::{CURRENT, Result, Snapshot, instant};
use super::fact::RunningImage;
use super::store;
use super::walk::{Class, Status};
use crate::event::Timestamp;

/// How a target stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The service.
    pub service: String,
    /// The environment.
    pub environment: String,
    /// When the deployment failed after which none succeeded; none where the last one to end succeeded.
    pub failed_at: Option<Timestamp>,
    /// When the newest deployment began, as long as it is not done.
    pub unfinished_since: Option<Timestamp>,
    /// What runs; none where nothing does.
    pub images: Option<Vec<RunningImage>>,
}

/// How every target stands, by service and environment. Targets that were removed since are left out.
///
/// # Errors
/// `Database`, `Damaged`.
pub fn standings(snapshot: &Snapshot<'_>) -> Result<Vec<Standing>> {
    let connection = snapshot.connection;
    // Of each of these the first rows are enough, and they are the newest by an index.
    let mut ended = connection.prepare_cached(
        "SELECT status, finished_at FROM deployment WHERE target = ?1 AND known_to = ?2 AND status IN (2, 3) \
         AND finished_at NOT NULL ORDER BY finished_at DESC LIMIT 1",
    )?;
    let mut newest = connection.prepare_cached(
        "SELECT status, class, coalesce(started_at, at), images, until_at FROM deployment \
         WHERE target = ?1 AND known_to = ?2 ORDER BY at DESC, key DESC",
    )?;
    let mut targets = connection.prepare_cached(
        "SELECT id, service, environment, (SELECT max(at) FROM removal WHERE target = target.id) FROM target \
         ORDER BY service, environment",
    )?;
    let mut lists = BTreeMap::new();
    let mut rows = targets.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (target, removed_at): (i64, Option<i64>) = (row.get(0)?, row.get(3)?);
        let since_removed = |at: &i64| removed_at.is_none_or(|removed| *at > removed);
        let failed_at = failed(&mut ended, target)?.filter(since_removed);
        let (unfinished, live) = latest(&mut newest, target)?;
        let unfinished = unfinished.filter(since_removed);
        let images = live.map(|list| images_of(snapshot, list, &mut lists)).transpose()?;
        if images.is_some() || failed_at.is_some() || unfinished.is_some() {
            found.push(Standing {
                service: row.get(1)?,
                environment: row.get(2)?,
                failed_at: failed_at.map(instant),
                unfinished_since: unfinished.map(instant),
                images,
            });
        }
    }
    Ok(found)
}

/// When the deployment of a target failed that was the last to end.
fn failed(ended: &mut Statement<'_>, target: i64) -> Result<Option<i64>> {
    let row: Option<(i64, i64)> =
        ended.query_row(params![target, CURRENT], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    Ok(row.filter(|(status, _)| Status::of(*status) == Some(Status::Failed)).map(|(_, at)| at))
}

/// Since when the newest deployment of a target is not done, and the list of images that runs: of the newest one with
/// effect, unless nothing runs any more.
fn latest(newest: &mut Statement<'_>, target: i64) -> Result<(Option<i64>, Option<Option<i64>>)> {
    let mut rows = newest.query(params![target, CURRENT])?;
    let (mut unfinished, mut first) = (None, true);
    while let Some(row) = rows.next()? {
        if std::mem::take(&mut first) && Status::of(row.get(0)?).is_some_and(|status| status < Status::Succeeded) {
            unfinished = row.get(2)?;
        }
        let class = row.get::<_, Option<i64>>(1)?.and_then(Class::of);
        if matches!(class, Some(Class::Forward | Class::Rollback)) {
            let until: Option<i64> = row.get(4)?;
            return Ok((unfinished, if until.is_none() { Some(row.get(3)?) } else { None }));
        }
    }
    Ok((unfinished, None))
}

/// The images of a list by its number; each list is read once.
fn images_of(
    snapshot: &Snapshot<'_>,
    list: Option<i64>,
    known: &mut BTreeMap<i64, Vec<RunningImage>>,
) -> Result<Vec<RunningImage>> {
    let Some(list) = list else { return Ok(Vec::new()) };
    if let Some(images) = known.get(&list) {
        return Ok(images.clone());
    }
    let images = store::images(snapshot.connection, list)?;
    known.insert(list, images.clone());
    Ok(images)
}
