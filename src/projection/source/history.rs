//! Walking the history of commits, as far as it is known.

use std::collections::{BinaryHeap, HashMap, HashSet};

use rusqlite::{Connection, params};

use super::super::Result;
use super::query::{commit, parents, place};

/// Most commits that one walk looks at.
const WALK_MAX: usize = 20_000;

/// Commits that are looked at after all that is left is of both sides and older than everything of one: clocks may have
/// run backwards.
const SLOP: usize = 16;

/// Descendants that are looked at to find a branch.
const DESCENDANTS_MAX: usize = 10_000;

/// Commits that are in the history of one side and not of the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Difference {
    /// In the second and not in the first (`git_commit.id`), newest first.
    pub(in super::super) added: Vec<i64>,
    /// In the first and not in the second.
    pub(in super::super) removed: Vec<i64>,
    /// Whether some history between the two is not known.
    pub(in super::super) incomplete: bool,
}

const BEFORE: u8 = 1;
const AFTER: u8 = 2;
const BOTH: u8 = BEFORE | AFTER;

#[derive(Debug, Clone, Copy)]
struct Seen {
    sides: u8,
    date: i64,
    /// Its parents are not known.
    edge: bool,
    /// How often it is in the queue.
    queued: usize,
}

/// A walk from two sides at once, newest first, as far as the two do not meet.
struct Walk<'a> {
    connection: &'a Connection,
    known: i64,
    seen: HashMap<i64, Seen>,
    /// Date and commit; a commit is put in again where it turns out to be of the other side, too.
    queue: BinaryHeap<(i64, i64)>,
    /// How many in the queue are of one side alone.
    single: usize,
    /// Date of the oldest commit that was ever of one side alone.
    oldest: i64,
}

/// Commits that are in the history of `after` and not in that of `before`, and the other way round.
///
/// # Errors
/// `Database`.
pub(in super::super) fn difference(
    connection: &Connection,
    known: i64,
    before: &[i64],
    after: &[i64],
) -> Result<Difference> {
    let mut walk =
        Walk { connection, known, seen: HashMap::new(), queue: BinaryHeap::new(), single: 0, oldest: i64::MAX };
    for (commits, side) in [(before, BEFORE), (after, AFTER)] {
        for commit in commits {
            walk.reach(*commit, side, i64::MAX)?;
        }
    }
    let (mut steps, mut slop) = (0, 0);
    while slop <= SLOP && steps <= WALK_MAX {
        slop = if walk.is_past() { slop + 1 } else { 0 };
        steps += 1;
        if !walk.step()? {
            break;
        }
    }
    walk.told(steps > WALK_MAX)
}

impl Walk<'_> {
    /// A side reaches a commit, from one of a date.
    fn reach(&mut self, id: i64, side: u8, from: i64) -> Result<()> {
        if let Some(seen) = self.seen.get_mut(&id) {
            if seen.sides | side != seen.sides {
                // What was of one side alone is of both.
                seen.sides |= side;
                self.single = self.single.saturating_sub(seen.queued);
                self.put(id);
            }
            return Ok(());
        }
        let fact = commit(self.connection, id, self.known)?;
        let date = fact.and_then(|fact| fact.committed_at.or(fact.authored_at)).unwrap_or(from.saturating_sub(1));
        let edge = fact.is_none_or(|fact| fact.parents.is_none());
        self.seen.insert(id, Seen { sides: side, date, edge, queued: 0 });
        self.oldest = self.oldest.min(date);
        self.put(id);
        Ok(())
    }

    fn put(&mut self, id: i64) {
        let Some(seen) = self.seen.get_mut(&id) else { return };
        seen.queued += 1;
        self.single += usize::from(seen.sides != BOTH);
        self.queue.push((seen.date, id));
    }

    /// Whether nothing that is left can, by its date, be behind what is of one side.
    fn is_past(&self) -> bool {
        self.single == 0 && self.queue.peek().is_none_or(|(date, _)| *date < self.oldest)
    }

    /// Goes on from the newest commit that is left; false where none is.
    fn step(&mut self) -> Result<bool> {
        let Some((_, id)) = self.queue.pop() else { return Ok(false) };
        let Some(seen) = self.seen.get_mut(&id) else { return Ok(true) };
        seen.queued = seen.queued.saturating_sub(1);
        self.single = self.single.saturating_sub(usize::from(seen.sides != BOTH));
        let seen = *seen;
        for parent in parents(self.connection, id, self.known)? {
            self.reach(parent, seen.sides, seen.date)?;
        }
        Ok(true)
    }

    /// What came of it. A commit whose parents are not known may be behind everything older than itself.
    fn told(self, cut: bool) -> Result<Difference> {
        let mut single = Vec::new();
        for (id, seen) in self.seen.iter().filter(|(_, seen)| seen.sides != BOTH) {
            single.push((seen.date, place(self.connection, *id)?.0, *id, seen.sides));
        }
        single.sort_by(|one, other| other.0.cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
        let last = single.last().map_or(i64::MAX, |(date, ..)| *date);
        let edge = self.seen.values().any(|seen| seen.edge && (seen.sides != BOTH || seen.date > last));
        let of = |side: u8| single.iter().filter(|(.., sides)| *sides == side).map(|(.., id, _)| *id).collect();
        Ok(Difference { added: of(AFTER), removed: of(BEFORE), incomplete: edge || cut })
    }
}

/// Whether a commit is one of some commits, or behind one. None where there is too much history to tell.
///
/// # Errors
/// `Database`.
pub(in super::super) fn is_behind(
    connection: &Connection,
    known: i64,
    commit: i64,
    tips: &HashSet<i64>,
) -> Result<Option<bool>> {
    let mut statement =
        connection.prepare_cached("SELECT child FROM commit_parent WHERE parent = ?1 AND position < ?2")?;
    let (mut seen, mut open) = (HashSet::from([commit]), vec![commit]);
    while let Some(commit) = open.pop() {
        if tips.contains(&commit) {
            return Ok(Some(true));
        }
        if seen.len() > DESCENDANTS_MAX {
            return Ok(None);
        }
        let mut rows = statement.query(params![commit, known])?;
        while let Some(row) = rows.next()? {
            let child = row.get(0)?;
            if seen.insert(child) {
                open.push(child);
            }
        }
    }
    Ok(Some(false))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;
    use rusqlite::{Connection, params};

    use super::difference;

    /// Commits by number, each with its parents, all of a smaller number and written earlier.
    fn stored(parents: &[Vec<usize>]) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("../../../schema/views/core.sql")).unwrap();
        connection.execute_batch(include_str!("../../../schema/views/source.sql")).unwrap();
        connection.execute("INSERT INTO name (id, text) VALUES (1, 'repo/example.com/app')", []).unwrap();
        for (id, parents) in (0..).zip(parents) {
            let id: u32 = id;
            let name = params![id + 2, format!("{id:040x}")];
            connection.execute("INSERT INTO name (id, text) VALUES (?1, ?2)", name).unwrap();
            let commit = "INSERT INTO git_commit (id, oid, repository) VALUES (?1, ?2, 1)";
            connection.execute(commit, params![id, id + 2]).unwrap();
            let fact =
                "INSERT INTO commit_fact (commit_id, key, position, committed_at, parents) VALUES (?1, 0, ?1, ?1, ?2)";
            connection.execute(fact, params![id, u32::try_from(parents.len()).unwrap()]).unwrap();
            for (n, parent) in (0_u32..).zip(parents) {
                let parent = u32::try_from(*parent).unwrap();
                let row = "INSERT INTO commit_parent (child, n, parent, position) VALUES (?1, ?2, ?3, ?1)";
                connection.execute(row, params![id, n, parent]).unwrap();
            }
        }
        connection
    }

    fn behind(parents: &[Vec<usize>], tips: &[usize]) -> HashSet<usize> {
        let (mut seen, mut open) = (HashSet::new(), tips.to_vec());
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                open.extend(&parents[id]);
            }
        }
        seen
    }

    fn history() -> impl Strategy<Value = Vec<Vec<usize>>> {
        let dice = prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..4), 1..60);
        dice.prop_map(|dice| {
            let parents = dice.into_iter().enumerate().map(|(id, (one, other, merge))| match (id, merge) {
                (0, _) => Vec::new(),
                (_, 0) if one.index(id) != other.index(id) => vec![one.index(id), other.index(id)],
                // Mostly a line, as histories are.
                (_, 1) => vec![one.index(id)],
                _ => vec![id - 1],
            });
            parents.collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn it_is_the_difference_of_what_each_side_reaches(
            parents in history(),
            picks in prop::collection::vec(any::<prop::sample::Index>(), 3),
        ) {
            let pick = |n: usize| picks[n].index(parents.len());
            let (before, after) = (vec![pick(0)], vec![pick(1), pick(2)]);
            let numbers = |commits: &[usize]| commits.iter().map(|id| i64::try_from(*id).unwrap()).collect::<Vec<_>>();
            let connection = stored(&parents);
            let found = difference(&connection, i64::MAX, &numbers(&before), &numbers(&after)).unwrap();
            let (one, other) = (behind(&parents, &before), behind(&parents, &after));
            let newest_first = |set: &HashSet<usize>, but: &HashSet<usize>| {
                let mut left: Vec<_> = set.difference(but).copied().collect();
                left.sort_by(|a, b| b.cmp(a));
                numbers(&left)
            };
            prop_assert_eq!(found.added, newest_first(&other, &one));
            prop_assert_eq!(found.removed, newest_first(&one, &other));
            prop_assert!(!found.incomplete);
        }
    }
}
