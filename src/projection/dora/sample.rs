//! What a commit is for lead time in a target: DORA.md, section 2.3.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, params};

use super::super::registry::Step;
use super::super::{CURRENT, Result, source};
use super::claim;
use super::owner::{self, Own, Touched};

/// Why a commit gives no sample; the number in the views.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// It joins what others wrote.
    Merge = 1,
    /// It changes desired state, and is no change of its own.
    Manifest = 2,
    /// What it was picked from was there already.
    CherryPick = 3,
    /// Nobody told when it was written.
    NoAuthorTime = 4,
    /// It was written more than five minutes after it was deployed, by its own clock.
    Skew = 5,
    /// The commits that it was squashed of count in its place.
    Replaced = 6,
}

impl Reason {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Merge => "merge",
            Self::Manifest => "manifest",
            Self::CherryPick => "cherry_pick",
            Self::NoAuthorTime => "no_author_time",
            Self::Skew => "skew",
            Self::Replaced => "replaced",
        }
    }

    pub(super) fn of(number: i64) -> Option<Self> {
        [Self::Merge, Self::Manifest, Self::CherryPick, Self::NoAuthorTime, Self::Skew, Self::Replaced]
            .into_iter()
            .find(|reason| *reason as i64 == number)
    }
}

/// Clocks may differ by so much, in microseconds.
const SKEW_MICROS: i64 = 300_000_000;

const SECOND_MICROS: i64 = 1_000_000;

/// Seconds from author time to the end of a deployment, or why there are none.
pub(super) fn lead_time(authored_at: Option<i64>, finished_at: i64) -> Result<i64, Reason> {
    let Some(authored_at) = authored_at else { return Err(Reason::NoAuthorTime) };
    match finished_at.saturating_sub(authored_at) {
        micros if micros < -SKEW_MICROS => Err(Reason::Skew),
        micros => Ok(micros.max(0) / SECOND_MICROS),
    }
}

/// A row without its key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sample {
    finished_at: i64,
    rollout: i64,
    seconds: Option<i64>,
    reason: Option<i64>,
    author: Option<i64>,
}

/// Works out anew what the touched commits are, and those that depend on them; writes what is another than before.
pub(super) fn renew(step: &mut Step<'_>, touched: Touched) -> Result<()> {
    let mut all = touched;
    for (target, commit) in all.clone() {
        all.extend(originals(step.tx, commit)?.into_iter().map(|original| (target, original)));
    }
    for (target, commit) in all.clone() {
        all.extend(picks(step.tx, commit)?.into_iter().map(|pick| (target, pick)));
    }
    let mut firsts: std::collections::BTreeMap<i64, Option<i64>> = std::collections::BTreeMap::new();
    for (target, commit) in all {
        let first = match firsts.get(&target) {
            Some(first) => *first,
            None => *firsts.entry(target).or_insert(claim::first(step.tx, target)?),
        };
        let wanted = of(step.tx, target, commit, first)?;
        write(step, target, commit, wanted)?;
    }
    Ok(())
}

/// What a commit is for a target whose first deployment is `first`.
fn of(tx: &Connection, target: i64, commit: i64, first: Option<i64>) -> Result<Option<Sample>> {
    let Some(own) = first_bringer(tx, target, commit)?.filter(|own| Some(own.rollout) != first) else {
        return Ok(None);
    };
    let Some(fact) = source::commit(tx, commit, i64::MAX)? else { return Ok(None) };
    let told = told(tx, target, commit, &fact, own)?;
    Ok(Some(Sample {
        finished_at: own.finished_at,
        rollout: own.rollout,
        seconds: told.ok(),
        reason: told.err().map(|reason| reason as i64),
        author: fact.author,
    }))
}

fn told(tx: &Connection, target: i64, commit: i64, fact: &source::CommitFact, own: Own) -> Result<Result<i64, Reason>> {
    if is_replaced(tx, commit)? {
        return Ok(Err(Reason::Replaced));
    }
    if fact.parents.is_some_and(|parents| parents > 1) {
        return Ok(Err(Reason::Merge));
    }
    if tx.prepare_cached("SELECT 1 FROM manifest WHERE commit_id = ?1")?.exists([commit])? {
        return Ok(Err(Reason::Manifest));
    }
    if let Some(origin) = fact.cherry_picked_from
        && first_bringer(tx, target, origin)?.is_some_and(|of_origin| of_origin <= own)
    {
        return Ok(Err(Reason::CherryPick));
    }
    Ok(lead_time(fact.written_at(), own.finished_at))
}

/// Who was the first to bring a commit: as itself, or within one that it was squashed into.
fn first_bringer(tx: &Connection, target: i64, commit: i64) -> Result<Option<Own>> {
    let squashes = squashes(tx, commit)?;
    let mut first = owner::owner(tx, target, commit)?;
    if !squashes.is_empty() && is_recorded(tx, commit)? {
        for squash in squashes {
            first = [first, owner::owner(tx, target, squash)?].into_iter().flatten().min();
        }
    }
    Ok(first)
}

fn is_recorded(tx: &Connection, commit: i64) -> Result<bool> {
    Ok(tx.prepare_cached("SELECT 1 FROM commit_fact WHERE commit_id = ?1 LIMIT 1")?.exists([commit])?)
}

/// Whether something is known of a commit that this one was squashed of.
fn is_replaced(tx: &Connection, commit: i64) -> Result<bool> {
    let mut statement = tx.prepare_cached(
        "SELECT 1 FROM squash JOIN commit_fact ON commit_fact.commit_id = original WHERE squash.commit_id = ?1 LIMIT 1",
    )?;
    Ok(statement.exists([commit])?)
}

fn originals(tx: &Connection, commit: i64) -> Result<Vec<i64>> {
    let mut statement = tx.prepare_cached("SELECT original FROM squash WHERE commit_id = ?1")?;
    let rows = statement.query_map([commit], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn picks(tx: &Connection, commit: i64) -> Result<Vec<i64>> {
    let mut statement =
        tx.prepare_cached("SELECT DISTINCT commit_id FROM commit_fact WHERE cherry_picked_from = ?1")?;
    let rows = statement.query_map([commit], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Commits that a commit was squashed into.
pub(super) fn squashes(tx: &Connection, commit: i64) -> Result<BTreeSet<i64>> {
    let mut statement = tx.prepare_cached("SELECT commit_id FROM squash WHERE original = ?1")?;
    let rows = statement.query_map([commit], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Writes what is known from the event on, unless it is what was known before.
fn write(step: &mut Step<'_>, target: i64, commit: i64, wanted: Option<Sample>) -> Result<()> {
    let (tx, position) = (step.tx, step.event.position);
    let mut statement = tx.prepare_cached(
        "SELECT finished_at, rollout, seconds, reason, author, known_from FROM sample INDEXED BY sample_commit \
         WHERE commit_id = ?1 AND target = ?2 AND known_to = ?3",
    )?;
    let current = statement
        .query_row([commit, target, CURRENT], |row| {
            let sample = Sample {
                finished_at: row.get(0)?,
                rollout: row.get(1)?,
                seconds: row.get(2)?,
                reason: row.get(3)?,
                author: row.get(4)?,
            };
            Ok((sample, row.get::<_, i64>(5)?))
        })
        .optional()?;
    let (current, known_from) = current.unzip();
    if current == wanted {
        return Ok(());
    }
    if let Some((current, known_from)) = current.as_ref().zip(known_from) {
        tx.prepare_cached(
            "UPDATE sample SET known_to = ?5 WHERE target = ?1 AND finished_at = ?2 AND commit_id = ?3 AND known_from = ?4",
        )?
        .execute([target, current.finished_at, commit, known_from, position])?;
    }
    let Some(wanted) = wanted else { return Ok(()) };
    if let Some(seconds) = wanted.seconds
        && !was_sampled(tx, target, commit)?
    {
        step.changes.lead_times.push((target, seconds));
    }
    tx.prepare_cached(
        "INSERT INTO sample (target, finished_at, commit_id, known_from, known_to, rollout, seconds, reason, author) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        target,
        wanted.finished_at,
        commit,
        position,
        CURRENT,
        wanted.rollout,
        wanted.seconds,
        wanted.reason,
        wanted.author,
    ])?;
    Ok(())
}

/// Whether a commit ever gave a sample.
fn was_sampled(tx: &Connection, target: i64, commit: i64) -> Result<bool> {
    let mut statement =
        tx.prepare_cached("SELECT 1 FROM sample INDEXED BY sample_commit WHERE commit_id = ?1 AND target = ?2 AND seconds NOT NULL LIMIT 1")?;
    Ok(statement.exists([commit, target])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_may_differ_by_five_minutes() {
        let minutes = |minutes: i64| minutes * 60 * SECOND_MICROS;
        assert_eq!(lead_time(Some(minutes(1)), minutes(3)), Ok(120));
        assert_eq!(lead_time(Some(minutes(3)), minutes(1)), Ok(0));
        assert_eq!(lead_time(Some(minutes(6)), minutes(1)), Ok(0));
        assert_eq!(lead_time(Some(minutes(6) + 1), minutes(1)), Err(Reason::Skew));
        assert_eq!(lead_time(None, minutes(1)), Err(Reason::NoAuthorTime));
    }
}
