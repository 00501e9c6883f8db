//! Where and when artifacts ran, and the times that follow for their targets.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use rusqlite::{Connection, params};

use super::super::Result;
use super::told::{Standing, Told, stands};

/// A deployment by which an artifact, or what it is linked with as index or platform, ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) target: i64,
    pub(super) at: i64,
    pub(super) key: i64,
    /// The largest number while it runs.
    pub(super) until: i64,
    /// `deployment.id`
    pub(super) deployment: i64,
    /// name.id of the image that ran.
    pub(super) image: i64,
    /// name.id of the list it stands in.
    pub(super) images: i64,
    /// The artifact that documents speak of.
    pub(super) artifact: i64,
}

/// A time in which a target had what is asked about, by one deployment after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) target: i64,
    pub(super) from: i64,
    key: i64,
    /// The largest number while it lasts.
    pub(super) until: i64,
    pub(super) standing: Standing,
    /// Its runs, oldest first.
    pub(super) runs: Range<usize>,
    /// Whether it goes on, standing otherwise.
    pub(super) goes_on: bool,
}

/// Every deployment by which one of the artifacts ran, by target and time.
///
/// # Errors
/// `Database`.
pub(super) fn runs(connection: &Connection, artifacts: &BTreeMap<i64, Told>, known: i64) -> Result<Vec<Run>> {
    // One statement over the numbers in their order: neighbours lie on the same pages, at every step.
    let numbers: Vec<_> = artifacts.keys().map(ToString::to_string).collect();
    let mut statement = connection.prepare_cached(
        "WITH artifact (id) AS (SELECT value FROM json_each(?1)) \
         SELECT d.target, d.at, d.key, d.until_at, d.id, i.image, i.images, l.id FROM \
         (SELECT id, id AS image FROM artifact \
          UNION ALL SELECT id, whole FROM artifact CROSS JOIN platform_link ON part = id AND position < ?2 \
          UNION ALL SELECT id, part FROM artifact CROSS JOIN platform_link ON whole = id AND position < ?2) AS l \
         CROSS JOIN image_list AS i ON i.image = l.image \
         CROSS JOIN deployment AS d ON d.images = i.images AND d.known_to >= ?2 \
         WHERE d.known_from < ?2 AND d.class < 2",
    )?;
    let mut rows = statement.query(params![format!("[{}]", numbers.join(",")), known])?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next()? {
        runs.push(Run {
            target: row.get(0)?,
            at: row.get(1)?,
            key: row.get(2)?,
            until: row.get::<_, Option<i64>>(3)?.unwrap_or(i64::MAX),
            deployment: row.get(4)?,
            image: row.get(5)?,
            images: row.get(6)?,
            artifact: row.get(7)?,
        });
    }
    runs.sort_unstable_by_key(|run| (run.target, run.at, run.key, run.deployment, run.image, run.artifact));
    Ok(runs)
}

/// Puts runs together that follow one another and stand alike.
pub(super) fn spans(runs: &[Run], artifacts: &BTreeMap<i64, Told>) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut begin = 0;
    for same in runs.chunk_by(|one, other| one.deployment == other.deployment) {
        let range = begin..begin + same.len();
        begin = range.end;
        let Some(run) = same.first() else { continue };
        let standing = standing(same, artifacts);
        match spans.last_mut() {
            Some(last) if last.target == run.target && last.until == run.at => {
                if last.standing == standing {
                    (last.until, last.runs.end) = (run.until, range.end);
                    continue;
                }
                last.goes_on = true;
            }
            _ => {}
        }
        let Run { target, at: from, key, until, .. } = *run;
        spans.push(Span { target, from, key, until, standing, runs: range, goes_on: false });
    }
    spans
}

/// How a deployment stands: as the worst of its images.
fn standing(runs: &[Run], artifacts: &BTreeMap<i64, Told>) -> Standing {
    let of_image = |same: &[Run]| stands(same.iter().filter_map(|run| artifacts.get(&run.artifact)));
    let images = runs.chunk_by(|one, other| one.image == other.image);
    images.map(of_image).max().unwrap_or(Standing::Open)
}

/// Which of the spans are asked for, in the order in which they are listed: what lasts, then what ended last.
pub(super) fn listed(
    mut spans: Vec<Span>,
    (from, to): (i64, i64),
    targets: &HashMap<i64, super::super::deployment::Target>,
) -> Vec<Span> {
    spans.retain(|span| span.from < to && span.until > from && targets.contains_key(&span.target));
    spans.sort_by_key(|span| Reverse((span.until, span.from, span.key)));
    spans
}

#[cfg(test)]
mod tests {
    use super::super::told::Evidence;
    use super::*;

    fn run(target: i64, at: i64, until: i64, artifact: i64) -> Run {
        Run { target, at, key: 0, until, deployment: target * 1000 + at, image: artifact, images: artifact, artifact }
    }

    #[test]
    fn what_follows_one_another_in_a_target_is_one_time() {
        let told = Told { evidence: Evidence::Document, position: 0, packages: Vec::new(), words: Vec::new() };
        let artifacts: BTreeMap<_, _> = [(1, told.clone()), (2, told)].into();
        let runs = [run(1, 0, 5, 1), run(1, 5, 9, 2), run(1, 12, i64::MAX, 1), run(2, 9, 20, 1)];
        let spans = spans(&runs, &artifacts);
        let times: Vec<_> = spans.iter().map(|span| (span.target, span.from, span.until, span.runs.clone())).collect();
        assert_eq!(times, [(1, 0, 9, 0..2), (1, 12, i64::MAX, 2..3), (2, 9, 20, 3..4)]);
    }
}
