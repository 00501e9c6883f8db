//! Asking what is known of source.

use rusqlite::{Connection, params};

use super::super::deployment::Origin;
use super::super::{Basis, Result, Snapshot, instant};
use crate::event::Timestamp;

/// What is known of a commit, from the source that tells most: one that tells its parents, else one that tells when it was
/// written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitFact {
    /// When the change was written, in microseconds since 1970.
    pub authored_at: Option<i64>,
    /// When the commit was made.
    pub committed_at: Option<i64>,
    /// Number of the author's pseudonym.
    pub author: Option<i64>,
    /// How many parents it has; none where nobody told.
    pub parents: Option<i64>,
    /// The commit it was cherry-picked from.
    pub cherry_picked_from: Option<i64>,
    /// The commit it reverts.
    pub reverts: Option<i64>,
    /// The event.
    pub position: i64,
}

impl CommitFact {
    /// When the change was written; else when the commit was made. In microseconds since 1970.
    #[must_use]
    pub fn written_at(&self) -> Option<i64> {
        self.authored_at.or(self.committed_at)
    }
}

/// What is known of a commit from facts before the position `known`; none where it was only mentioned.
///
/// # Errors
/// `Database`.
pub fn commit(connection: &Connection, id: i64, known: i64) -> Result<Option<CommitFact>> {
    let mut statement = connection.prepare_cached(
        "SELECT authored_at, committed_at, author, parents, cherry_picked_from, reverts, position FROM commit_fact \
         WHERE commit_id = ?1 AND position < ?2 ORDER BY parents IS NULL, authored_at IS NULL, key LIMIT 1",
    )?;
    let mut rows = statement.query(params![id, known])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some(CommitFact {
        authored_at: row.get(0)?,
        committed_at: row.get(1)?,
        author: row.get(2)?,
        parents: row.get(3)?,
        cherry_picked_from: row.get(4)?,
        reverts: row.get(5)?,
        position: row.get(6)?,
    }))
}

/// The parents of a commit, in their order, from facts before the position `known`.
///
/// # Errors
/// `Database`.
pub(in super::super) fn parents(connection: &Connection, commit: i64, known: i64) -> Result<Vec<i64>> {
    let mut statement =
        connection.prepare_cached("SELECT parent FROM commit_parent WHERE child = ?1 AND position < ?2 ORDER BY n")?;
    let rows = statement.query_map([commit, known], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A commit without repository is any of that id: the first by repository of those that something was recorded of before
/// `known`. Where there is none, and for other commits, it is itself.
///
/// # Errors
/// `Database`.
pub(in super::super) fn of_any_repository(connection: &Connection, id: i64, known: i64) -> Result<i64> {
    let mut statement = connection.prepare_cached(
        "SELECT other.id FROM git_commit AS this JOIN name AS nowhere ON nowhere.id = this.repository AND nowhere.text = '' \
         JOIN git_commit AS other ON other.oid = this.oid AND other.id <> this.id \
         JOIN name AS place ON place.id = other.repository \
         WHERE this.id = ?1 AND EXISTS (SELECT 1 FROM commit_fact WHERE commit_id = other.id AND position < ?2) \
         ORDER BY place.text LIMIT 1",
    )?;
    let mut rows = statement.query(params![id, known])?;
    Ok(rows.next()?.map(|row| row.get(0)).transpose()?.unwrap_or(id))
}

/// The id of a commit in hexadecimal, and the stream of its repository; that is empty where it is not known.
///
/// # Errors
/// `Database`.
pub(in super::super) fn place(connection: &Connection, id: i64) -> Result<(String, String)> {
    let mut statement = connection.prepare_cached(
        "SELECT name.text, place.text FROM git_commit JOIN name ON name.id = git_commit.oid \
         JOIN name AS place ON place.id = git_commit.repository WHERE git_commit.id = ?1",
    )?;
    Ok(statement.query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

/// A commit as answers show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its id and its repository.
    pub origin: Origin,
    /// When the change was written.
    pub authored_at: Option<Timestamp>,
    /// Pseudonym of its author.
    pub author: Option<String>,
    /// The first line of its message, unless it was erased.
    pub title: Option<String>,
    /// The event that tells of it; none where it was only mentioned.
    pub position: Option<u64>,
}

/// What is known of a commit, in words.
///
/// # Errors
/// `Database`, `Ledger`.
pub(in super::super) fn in_words(snapshot: &Snapshot<'_>, basis: &Basis, id: i64) -> Result<Commit> {
    let (revision, repository) = place(snapshot.connection, id)?;
    let origin = Origin { repository, revision };
    let Some(fact) = commit(snapshot.connection, id, basis.known())? else {
        return Ok(Commit { origin, authored_at: None, author: None, title: None, position: None });
    };
    let mut statement = snapshot.connection.prepare_cached(
        "SELECT message FROM commit_fact WHERE commit_id = ?1 AND position < ?2 AND message NOT NULL ORDER BY key LIMIT 1",
    )?;
    let mut rows = statement.query(params![id, basis.known()])?;
    let sealed = rows.next()?.map(|row| row.get::<_, String>(0)).transpose()?;
    let message = match sealed.and_then(|sealed| sealed.parse().ok()) {
        Some(sealed) => snapshot.sealed(&sealed)?,
        None => None,
    };
    Ok(Commit {
        origin,
        authored_at: fact.authored_at.map(instant),
        author: fact.author.map(|author| snapshot.text(author)).transpose()?,
        title: message.and_then(|message| message.lines().next().map(str::to_owned)),
        position: Some(fact.position.unsigned_abs()),
    })
}
