//! What is said of a commit, a change, an artifact.

use super::super::artifact::{Scan, all_scans};
use super::super::{Result, incident, instant, source};
use super::thing::{commit_rows, repository, stream};
use super::walk::{LIMIT, Walk};
use crate::event::change::{ChangeCreated, ChangeMerged, ReviewState};
use crate::event::check::Conclusion;
use crate::event::{Data, Subject, Timestamp};

/// Most checks of one commit or artifact that are shown; the newest count.
const CHECKS_MAX: i64 = 100;

/// Somebody's pseudonym.
type Pseudonym = String;

/// A commit and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its id.
    pub commit: String,
    /// The repositories that have it, as `host/path`.
    pub repositories: Vec<String>,
    /// It is desired state: what it asks for was built of other commits.
    pub desired_state: bool,
    /// Who wrote it.
    pub author: Option<Pseudonym>,
    /// When.
    pub authored_at: Option<Timestamp>,
    /// When it was made.
    pub committed_at: Option<Timestamp>,
    /// Its message, unless it was erased.
    pub message: Option<String>,
    /// It has more than one parent.
    pub merge: bool,
    /// The tags in Git that named it: repository and tag.
    pub tags: Vec<(String, String)>,
    /// What looked at it, newest first.
    pub checks: Vec<Check>,
    /// How often it was looked at.
    pub checks_total: u64,
    /// The event that recorded it; none where it was only mentioned.
    pub position: Option<u64>,
}

/// Something looked at a commit or an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// `check`, `testsuite`, `run`, `scan`, `sbom`, `attestation`.
    pub kind: &'static str,
    /// Its name; a pipeline, a tool, a form.
    pub name: String,
    /// What came of it, where that can be said in a word.
    pub conclusion: Option<String>,
    /// When it was done.
    pub at: Timestamp,
    /// The event.
    pub position: u64,
}

/// What somebody said of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// Who.
    pub reviewer: Option<Pseudonym>,
    /// What.
    pub state: ReviewState,
    /// The commit that was reviewed.
    pub commit: Option<String>,
    /// It is the reviewer's own change: an approval that is none.
    pub own: bool,
    /// When.
    pub at: Timestamp,
    /// The event.
    pub position: u64,
}

/// A change and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The repository, as `host/path`.
    pub repository: String,
    /// Its id at the forge.
    pub change: String,
    /// `open`, `merged`, `abandoned`.
    pub state: &'static str,
    /// Its title, unless it was erased.
    pub title: Option<String>,
    /// Whose it is.
    pub author: Option<Pseudonym>,
    /// The branch it is for.
    pub base: Option<String>,
    /// When it was opened.
    pub created_at: Option<Timestamp>,
    /// When it was merged.
    pub merged_at: Option<Timestamp>,
    /// Who merged it.
    pub merged_by: Option<Pseudonym>,
    /// How: `squash`.
    pub method: Option<String>,
    /// It was declared an urgent repair.
    pub hotfix: bool,
    /// Where to look at it.
    pub url: Option<String>,
    /// Reviews, oldest first.
    pub reviews: Vec<Review>,
    /// The event that merged it, or else the last that told of it.
    pub position: u64,
}

impl Change {
    /// Whether somebody else approved it, and did not take that back.
    #[must_use]
    pub fn approved(&self) -> bool {
        let last = |review: &&Review| {
            let later = self
                .reviews
                .iter()
                .rev()
                .find(|other| other.reviewer == review.reviewer && other.state != ReviewState::Commented);
            later.is_some_and(|last| last == *review)
        };
        let approvals = self.reviews.iter().filter(|review| review.state == ReviewState::Approved && !review.own);
        approvals.filter(last).count() > 0
    }
}

/// A build of an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// What came of it.
    pub conclusion: Conclusion,
    /// The commit it was built of.
    pub commit: Option<String>,
    /// The pipeline's run.
    pub run: Option<String>,
    /// The service it is of.
    pub service: Option<String>,
    /// The version it was given.
    pub version: Option<String>,
    /// When it was done.
    pub at: Timestamp,
    /// The event.
    pub position: u64,
}

/// A statement about an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attestation {
    /// What it is a statement of, by URI; of a bill of materials the empty text.
    pub predicate: String,
    /// When it came.
    pub at: Timestamp,
    /// The event.
    pub position: u64,
}

/// An artifact and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Its digest.
    pub digest: String,
    /// Its names with the registry.
    pub names: Vec<String>,
    /// The tags that named it, as `name:tag`, with the first event that says so.
    pub tags: Vec<(String, Timestamp, u64)>,
    /// Builds, oldest first.
    pub builds: Vec<Build>,
    /// Scans, newest first.
    pub scans: Vec<Scan>,
    /// Bills of materials, newest first.
    pub sboms: Vec<Attestation>,
    /// Attestations, newest first.
    pub attestations: Vec<Attestation>,
    /// Checks and tests of it, newest first.
    pub checks: Vec<Check>,
    /// It is shown as the index, or as a part, of another one.
    pub beside: bool,
}

/// An incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// Its id.
    pub id: String,
    /// Its title, unless it was erased.
    pub title: Option<String>,
    /// How bad it is, in the source's word.
    pub severity: Option<String>,
    /// When its effects began.
    pub started_at: Option<Timestamp>,
    /// When it ended for the last time; none while it lasts.
    pub resolved_at: Option<Timestamp>,
    /// The cause was not ours.
    pub external: bool,
    /// The last event that was said of it.
    pub position: u64,
}

fn pseudonym(subject: Option<&Subject>) -> Option<Pseudonym> {
    subject.and_then(Subject::id).map(ToString::to_string)
}

/// The word of a vocabulary at a place of it.
fn word<T: Copy>(all: &[T], n: i64, what: &str) -> Result<T> {
    let found = usize::try_from(n).ok().and_then(|n| all.get(n)).copied();
    found.ok_or_else(|| super::super::Error::Damaged(format!("{what} {n}")))
}

pub(super) fn commit(walk: &Walk<'_, '_>, oid: &str) -> Result<Commit> {
    let rows = commit_rows(walk.snapshot, oid)?;
    let mut best = None;
    let (mut tags, mut positions, mut checks_total) = (Vec::new(), Vec::new(), 0);
    for (id, _) in &rows {
        let fact = source::commit(walk.snapshot.connection, *id, walk.known)?;
        // Who tells most is believed, as within one repository.
        let rank = |fact: &source::CommitFact| (fact.parents.is_none(), fact.authored_at.is_none());
        best = [best, fact].into_iter().flatten().min_by_key(rank);
        tags.extend(walk.rows(
            "SELECT DISTINCT place.text, name.text FROM tag_fact JOIN name AS place ON place.id = tag_fact.repository \
             JOIN name ON name.id = tag_fact.tag WHERE commit_id = ?1 AND position < ?2 ORDER BY 1, 2 LIMIT ?3",
            [*id, walk.known, LIMIT],
            |row| Ok((repository(&row.get::<_, String>(0)?), row.get(1)?)),
        )?);
        positions.extend(walk.rows(
            "SELECT position FROM commit_check WHERE commit_id = ?1 AND position < ?2 ORDER BY position DESC LIMIT ?3",
            [*id, walk.known, CHECKS_MAX],
            |row| row.get::<_, i64>(0),
        )?);
        let count = "SELECT count(*) FROM commit_check WHERE commit_id = ?1 AND position < ?2";
        checks_total += walk.rows(count, [*id, walk.known], |row| row.get::<_, i64>(0))?.into_iter().sum::<i64>();
    }
    let mut commit = Commit {
        commit: oid.to_owned(),
        repositories: rows.iter().filter(|(_, at)| !at.is_empty()).map(|(_, at)| repository(at)).collect(),
        desired_state: walk.desired.contains(oid),
        author: None,
        authored_at: None,
        committed_at: None,
        message: None,
        merge: best.is_some_and(|fact| fact.parents.is_some_and(|parents| parents > 1)),
        tags,
        checks: checks(walk, positions)?,
        checks_total: checks_total.unsigned_abs(),
        position: best.map(|fact| fact.position.unsigned_abs()),
    };
    // Of desired state there is often nothing but what it asked for.
    commit.position = commit.position.or_else(|| walk.asked.get(oid).map(|position| position.unsigned_abs()));
    let Some(position) = commit.position else { return Ok(commit) };
    let event = walk.snapshot.event(position)?;
    match &event.data {
        Data::CommitRecorded(it) => {
            commit.author = pseudonym(Some(&it.author));
            commit.authored_at = it.authored_at;
            commit.committed_at = it.committed_at;
            commit.message = walk.snapshot.private(it.message.as_ref())?;
        }
        Data::ManifestCommitted(it) => {
            commit.author = pseudonym(it.author.as_ref());
            commit.committed_at = Some(instant(event.at));
            commit.message = walk.snapshot.private(it.reason.as_ref())?;
        }
        _ => {}
    }
    Ok(commit)
}

/// The events at some positions as checks, newest first.
fn checks(walk: &Walk<'_, '_>, mut positions: Vec<i64>) -> Result<Vec<Check>> {
    positions.sort_unstable();
    positions.reverse();
    positions.truncate(usize::try_from(CHECKS_MAX).unwrap_or(usize::MAX));
    let mut found = Vec::with_capacity(positions.len());
    for position in positions {
        let event = walk.snapshot.event(position.unsigned_abs())?;
        let (kind, name, conclusion) = match &event.data {
            Data::CheckFinished(it) => ("check", it.name.clone(), Some(it.conclusion.to_string())),
            Data::TestsuiteFinished(it) => ("testsuite", it.suite.clone(), Some(it.conclusion.to_string())),
            Data::PipelinerunFinished(it) => ("run", it.pipeline.clone(), Some(it.conclusion.to_string())),
            Data::ScanFinished(it) => ("scan", format!("{} {}", it.tool, it.kind), Some(it.status.to_string())),
            Data::SbomAttached(it) => ("sbom", it.format.to_string(), None),
            Data::AttestationAttached(it) => ("attestation", it.predicate_type.clone(), None),
            _ => continue,
        };
        let at = instant(event.at);
        found.push(Check { kind, name, conclusion, at, position: position.unsigned_abs() });
    }
    found.sort_by(|one, other| (other.at, &one.name, one.position).cmp(&(one.at, &other.name, other.position)));
    Ok(found)
}

pub(super) fn change(walk: &Walk<'_, '_>, place: &str, change: &str) -> Result<Change> {
    let mut found = Change {
        repository: place.to_owned(),
        change: change.to_owned(),
        state: "open",
        title: None,
        author: None,
        base: None,
        created_at: None,
        merged_at: None,
        merged_by: None,
        method: None,
        hotfix: false,
        url: None,
        reviews: Vec::new(),
        position: 0,
    };
    let ids = (walk.snapshot.id(&stream(place))?, walk.snapshot.id(change)?);
    let (Some(repository), Some(id)) = ids else { return Ok(found) };
    let positions: Vec<i64> = walk.rows(
        "SELECT position FROM change_fact WHERE repository = ?1 AND change = ?2 AND position < ?3 ORDER BY at, key LIMIT ?4",
        [repository, id, walk.known, LIMIT],
        |row| row.get(0),
    )?;
    let mut merged = None;
    for position in positions {
        let event = walk.snapshot.event(position.unsigned_abs())?;
        let at = instant(event.at);
        found.position = position.unsigned_abs();
        match &event.data {
            Data::ChangeCreated(it) => take_created(walk, &mut found, it, at)?,
            Data::ChangeMerged(it) => {
                take_merged(walk, &mut found, it, at)?;
                merged = Some(position.unsigned_abs());
            }
            Data::ChangeAbandoned(_) if merged.is_none() => found.state = "abandoned",
            Data::ChangeReviewed(it) => found.reviews.push(Review {
                reviewer: pseudonym(Some(&it.reviewer)),
                state: it.state,
                commit: it.commit.as_ref().map(ToString::to_string),
                own: it.author.as_ref().is_some_and(|author| *author == it.reviewer),
                at,
                position: position.unsigned_abs(),
            }),
            _ => {}
        }
    }
    for review in &mut found.reviews {
        review.own |= found.author.is_some() && review.reviewer == found.author;
    }
    found.position = merged.unwrap_or(found.position);
    Ok(found)
}

fn take_created(walk: &Walk<'_, '_>, found: &mut Change, it: &ChangeCreated, at: Timestamp) -> Result<()> {
    // Opened again, it is as it was.
    if found.state == "abandoned" {
        found.state = "open";
    }
    found.title = walk.snapshot.private(it.title.as_ref())?.or(found.title.take());
    found.author = pseudonym(Some(&it.author));
    found.base = Some(it.base.clone());
    found.created_at = found.created_at.or(Some(at));
    found.hotfix |= it.hotfix == Some(true);
    found.url = it.url.clone().or(found.url.take());
    Ok(())
}

fn take_merged(walk: &Walk<'_, '_>, found: &mut Change, it: &ChangeMerged, at: Timestamp) -> Result<()> {
    found.state = "merged";
    found.title = walk.snapshot.private(it.title.as_ref())?.or(found.title.take());
    found.author = pseudonym(it.author.as_ref()).or(found.author.take());
    found.base = Some(it.base.clone());
    found.merged_at = Some(at);
    found.merged_by = pseudonym(it.merged_by.as_ref());
    found.method = it.method.map(|method| method.to_string());
    found.hotfix |= it.hotfix == Some(true);
    found.url = it.url.clone().or(found.url.take());
    Ok(())
}

pub(super) fn artifact(walk: &Walk<'_, '_>, digest: &str) -> Result<Artifact> {
    let beside = walk.beside.contains(&super::Thing::Artifact(digest.to_owned()));
    let mut found = Artifact {
        digest: digest.to_owned(),
        names: Vec::new(),
        tags: Vec::new(),
        builds: Vec::new(),
        scans: Vec::new(),
        sboms: Vec::new(),
        attestations: Vec::new(),
        checks: Vec::new(),
        beside,
    };
    let Some(id) = walk.snapshot.id(digest)? else { return Ok(found) };
    found.names = walk.rows(
        "SELECT text FROM name WHERE id IN (SELECT name FROM publication WHERE artifact = ?1 AND position < ?2 \
         UNION SELECT name FROM build WHERE artifact = ?1 AND position < ?2 AND name NOT NULL \
         UNION SELECT name FROM artifact_tag WHERE artifact = ?1 AND position < ?2) ORDER BY text LIMIT ?3",
        [id, walk.known, LIMIT],
        |row| row.get(0),
    )?;
    found.tags = walk.rows(
        "SELECT name.text || ':' || tag.text, min(at), min(position) FROM artifact_tag \
         JOIN name ON name.id = artifact_tag.name JOIN name AS tag ON tag.id = artifact_tag.tag \
         WHERE artifact = ?1 AND position < ?2 GROUP BY 1 ORDER BY 2, 1 LIMIT ?3",
        [id, walk.known, LIMIT],
        |row| Ok((row.get(0)?, instant(row.get(1)?), row.get::<_, i64>(2)?.unsigned_abs())),
    )?;
    found.builds = builds(walk, id)?;
    found.scans = all_scans(walk.snapshot, id, walk.known, LIMIT)?;
    found.sboms = statements(
        walk,
        "SELECT '', at, position FROM sbom WHERE artifact = ?1 AND position < ?2 ORDER BY at DESC, key LIMIT ?3",
        id,
    )?;
    found.attestations = statements(
        walk,
        "SELECT name.text, at, position FROM attestation JOIN name ON name.id = attestation.predicate \
         WHERE artifact = ?1 AND position < ?2 ORDER BY at DESC, key LIMIT ?3",
        id,
    )?;
    let positions = walk.rows(
        "SELECT position FROM artifact_check WHERE artifact = ?1 AND position < ?2 ORDER BY position DESC LIMIT ?3",
        [id, walk.known, CHECKS_MAX],
        |row| row.get(0),
    )?;
    found.checks = checks(walk, positions)?;
    Ok(found)
}

fn builds(walk: &Walk<'_, '_>, artifact: i64) -> Result<Vec<Build>> {
    let rows = walk.rows(
        "SELECT conclusion, oid.text, run.text, service.text, version.text, at, position FROM build \
         LEFT JOIN git_commit ON git_commit.id = build.commit_id LEFT JOIN name AS oid ON oid.id = git_commit.oid \
         LEFT JOIN name AS run ON run.id = build.run LEFT JOIN name AS service ON service.id = build.service \
         LEFT JOIN name AS version ON version.id = build.version \
         WHERE artifact = ?1 AND position < ?2 ORDER BY at, key LIMIT ?3",
        [artifact, walk.known, LIMIT],
        |row| {
            let build = Build {
                conclusion: Conclusion::Success,
                commit: row.get(1)?,
                run: row.get(2)?,
                service: row.get(3)?,
                version: row.get(4)?,
                at: instant(row.get(5)?),
                position: row.get::<_, i64>(6)?.unsigned_abs(),
            };
            Ok((row.get::<_, i64>(0)?, build))
        },
    )?;
    let with_word = |(n, build): (i64, Build)| {
        Ok(Build { conclusion: word(Conclusion::ALL, n, "a build with conclusion")?, ..build })
    };
    rows.into_iter().map(with_word).collect()
}

pub(super) fn incident(walk: &Walk<'_, '_>, id: &str) -> Result<Option<Incident>> {
    let Some(stream) = walk.snapshot.id(&format!("incident/{id}"))? else { return Ok(None) };
    let Some(known) = incident::incident(walk.snapshot.connection, stream, walk.known)? else { return Ok(None) };
    let opened = walk.rows(
        "SELECT position FROM incident_fact WHERE incident = ?1 AND kind = 0 AND position < ?2 ORDER BY at, key",
        [stream, walk.known],
        |row| row.get::<_, i64>(0),
    )?;
    let mut title = None;
    for position in opened {
        if let Data::IncidentOpened(it) = &walk.snapshot.event(position.unsigned_abs())?.data {
            title = walk.snapshot.private(it.title.as_ref())?.or(title);
        }
    }
    Ok(Some(Incident {
        id: id.to_owned(),
        title,
        severity: known.severity.map(|severity| walk.snapshot.text(severity)).transpose()?,
        started_at: known.started_at.map(instant),
        resolved_at: known.resolved_at.map(instant),
        external: known.external,
        position: known.position.unsigned_abs(),
    }))
}

fn statements(walk: &Walk<'_, '_>, sql: &str, artifact: i64) -> Result<Vec<Attestation>> {
    walk.rows(sql, [artifact, walk.known, LIMIT], |row| {
        let position = row.get::<_, i64>(2)?.unsigned_abs();
        Ok(Attestation { predicate: row.get(0)?, at: instant(row.get(1)?), position })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn review(reviewer: &str, state: ReviewState) -> Review {
        Review {
            reviewer: Some(reviewer.to_owned()),
            state,
            commit: None,
            own: reviewer == "author",
            at: Timestamp::from_micros_clamped(0),
            position: 0,
        }
    }

    fn approved(reviews: &[(&str, ReviewState)]) -> bool {
        let change = Change {
            repository: String::new(),
            change: String::new(),
            state: "merged",
            title: None,
            author: None,
            base: None,
            created_at: None,
            merged_at: None,
            merged_by: None,
            method: None,
            hotfix: false,
            url: None,
            reviews: reviews.iter().map(|(reviewer, state)| review(reviewer, *state)).collect(),
            position: 0,
        };
        change.approved()
    }

    #[test]
    fn the_last_word_of_somebody_else_is_an_approval_or_is_none() {
        use ReviewState::{Approved, ChangesRequested, Commented, Dismissed};
        assert!(!approved(&[]) && !approved(&[("author", Approved)]) && !approved(&[("a", Commented)]));
        assert!(approved(&[("a", Approved)]) && approved(&[("a", Approved), ("a", Commented)]));
        assert!(approved(&[("a", ChangesRequested), ("a", Approved)]));
        assert!(
            !approved(&[("a", Approved), ("a", ChangesRequested)]) && !approved(&[("a", Approved), ("a", Dismissed)])
        );
        assert!(approved(&[("a", Approved), ("a", Dismissed), ("b", Approved)]));
    }
}
