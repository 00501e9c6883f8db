//! Asking what is known of artifacts.

use rusqlite::{Connection, params};

use super::super::deployment::Origin;
use super::super::{Basis, Result, Snapshot, source};

/// How the source commit of an artifact is known; the first counts where there are several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Evidence {
    /// A build of it, or of the index it belongs to, or of what belongs to it as an index.
    Build,
    /// An attestation of how it was built.
    Provenance,
    /// Its own labels.
    Label,
}

impl Evidence {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Provenance => "provenance",
            Self::Label => "label",
        }
    }
}

/// A source commit of an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// `git_commit.id`
    pub commit_id: i64,
    /// How it is known.
    pub evidence: Evidence,
    /// The event that says so: the earliest of several.
    pub position: i64,
}

/// A source commit of an artifact, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceCommit {
    /// The commit and its repository.
    pub origin: Origin,
    /// How it is known.
    pub evidence: Evidence,
    /// The event that says so.
    pub position: u64,
}

/// The source commits of an artifact by its digest: see [`origins`]. None where the artifact is not known.
///
/// # Errors
/// `Database`.
pub fn source_commits(snapshot: &Snapshot<'_>, basis: &Basis, digest: &str) -> Result<Vec<SourceCommit>> {
    let Some(artifact) = snapshot.id(digest)? else { return Ok(Vec::new()) };
    let found = origins(snapshot.connection, artifact, basis.known())?;
    let in_words = |found: Found| {
        let (revision, repository) = source::place(snapshot.connection, found.commit_id)?;
        let origin = Origin { repository, revision };
        Ok(SourceCommit { origin, evidence: found.evidence, position: found.position.unsigned_abs() })
    };
    found.into_iter().map(in_words).collect()
}

/// What the artifact `?1` is linked with by facts before `?2`: its index, and what is in it as an index.
macro_rules! linked {
    () => {
        "SELECT whole FROM platform_link WHERE part = ?1 AND position < ?2 UNION \
         SELECT part FROM platform_link WHERE whole = ?1 AND position < ?2"
    };
}

/// What says of an artifact which commit it is of: the commit, the position, and whether it counts before others.
type Said = (i64, i64, bool);

/// The distinct source commits of an artifact (`name.id` of its digest), from facts before the position `known`. Builds of
/// the artifact itself count first, those that succeeded before others; then builds of what it is linked with as index or
/// platform; then attestations; then labels. Ordered by the time of what says so.
///
/// # Errors
/// `Database`.
pub fn origins(connection: &Connection, artifact: i64, known: i64) -> Result<Vec<Found>> {
    let mut said = builds(connection, artifact, known)?;
    if said.is_empty() {
        said = linked_builds(connection, artifact, known)?;
    }
    if !said.is_empty() {
        if said.iter().any(|(.., first)| *first) {
            said.retain(|(.., first)| *first);
        }
        return found(connection, &said, Evidence::Build, known);
    }
    let attested = commits(
        connection,
        "SELECT commit_id, position, 1 FROM attestation WHERE artifact = ?1 AND position < ?2 AND commit_id NOT NULL \
         ORDER BY at, key",
        artifact,
        known,
    )?;
    if !attested.is_empty() {
        return found(connection, &attested, Evidence::Provenance, known);
    }
    let labelled = commits(
        connection,
        "SELECT labelled_commit, position, 1 FROM publication WHERE artifact = ?1 AND position < ?2 \
         AND labelled_commit NOT NULL ORDER BY at, key",
        artifact,
        known,
    )?;
    found(connection, &labelled, Evidence::Label, known)
}

fn builds(connection: &Connection, artifact: i64, known: i64) -> Result<Vec<Said>> {
    commits(
        connection,
        "SELECT commit_id, position, conclusion = 0 FROM build WHERE artifact = ?1 AND position < ?2 \
         AND commit_id NOT NULL ORDER BY at, key",
        artifact,
        known,
    )
}

fn linked_builds(connection: &Connection, artifact: i64, known: i64) -> Result<Vec<Said>> {
    commits(
        connection,
        concat!(
            "SELECT commit_id, build.position, conclusion = 0 FROM build WHERE artifact IN (",
            linked!(),
            ") AND build.position < ?2 AND commit_id NOT NULL ORDER BY at, key"
        ),
        artifact,
        known,
    )
}

fn commits(connection: &Connection, sql: &str, artifact: i64, known: i64) -> Result<Vec<Said>> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![artifact, known], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The first that names each commit.
fn found(connection: &Connection, said: &[Said], evidence: Evidence, known: i64) -> Result<Vec<Found>> {
    let mut all: Vec<Found> = Vec::new();
    for (commit, position, _) in said {
        let commit_id = source::of_any_repository(connection, *commit, known)?;
        if !all.iter().any(|found| found.commit_id == commit_id) {
            all.push(Found { commit_id, evidence, position: *position });
        }
    }
    Ok(all)
}

/// What an artifact is linked with: its index, and what is in it as an index.
pub(in super::super) fn linked(connection: &Connection, artifact: i64, known: i64) -> Result<Vec<i64>> {
    let mut statement = connection.prepare_cached(concat!(linked!(), " ORDER BY 1"))?;
    let rows = statement.query_map(params![artifact, known], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Artifacts of a commit that is named without its repository.
pub(super) fn of_commit_without_repository(connection: &Connection, oid: i64, nowhere: i64) -> Result<Vec<i64>> {
    let mut statement = connection.prepare_cached("SELECT id FROM git_commit WHERE oid = ?1 AND repository = ?2")?;
    let mut rows = statement.query(params![oid, nowhere])?;
    let Some(commit) = rows.next()?.map(|row| row.get::<_, i64>(0)).transpose()? else { return Ok(Vec::new()) };
    let mut statement = connection.prepare_cached(
        "SELECT artifact FROM build WHERE commit_id = ?1 UNION SELECT artifact FROM attestation WHERE commit_id = ?1 \
         UNION SELECT artifact FROM publication WHERE labelled_commit = ?1 ORDER BY 1",
    )?;
    let rows = statement.query_map([commit], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
