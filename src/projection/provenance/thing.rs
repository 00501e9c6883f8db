//! Finding what somebody names: a commit, a change, a run, an artifact, a tag, a version, a deployment.

use rusqlite::{OptionalExtension, Params, params};

use super::super::{Basis, Error, Result, Snapshot, incident};
use crate::event::Digest;

/// Fewest characters of a commit's id or a digest that are looked for.
const PREFIX_MIN: usize = 7;

/// Most things of one kind that are told when a name is not of one alone.
const CANDIDATES_MAX: i64 = 20;

/// Something that can be traced.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Thing {
    /// A commit, by its full id.
    Commit(String),
    /// A change: the repository as `host/path`, and its id at the forge.
    Change(String, String),
    /// A run of a pipeline: the repository, empty where it is not known, and its id.
    Run(String, String),
    /// A tag in Git: the repository, and its name.
    Tag(String, String),
    /// A version that builds were given.
    Version(String),
    /// An artifact, by its digest.
    Artifact(String),
    /// A tag in a registry: the artifact's name with the registry, and the tag.
    ImageTag(String, String),
    /// A deployment: environment, service, and its id.
    Deployment(String, String, String),
    /// An incident, by its id.
    Incident(String),
}

/// The words for the kinds; a name may begin with one and a colon, to say which is meant.
const KINDS: [&str; 9] = ["commit", "change", "run", "tag", "version", "artifact", "image", "incident", "deployment"];

impl Thing {
    /// The word for what it is.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Commit(_) => "commit",
            Self::Change(..) => "change",
            Self::Run(..) => "run",
            Self::Tag(..) => "tag",
            Self::Version(_) => "version",
            Self::Artifact(_) => "artifact",
            Self::ImageTag(..) => "image",
            Self::Deployment(..) => "deployment",
            Self::Incident(_) => "incident",
        }
    }

    /// Its name among things of its kind, as [`find`] takes it.
    #[must_use]
    pub fn id(&self) -> String {
        match self {
            Self::Commit(id) | Self::Version(id) | Self::Artifact(id) | Self::Incident(id) => id.clone(),
            Self::Change(repository, change) => format!("{repository}#{change}"),
            Self::Run(repository, run) if repository.is_empty() => run.clone(),
            Self::Run(repository, run) => format!("{repository}/runs/{run}"),
            Self::Tag(repository, tag) => format!("{repository}@{tag}"),
            Self::ImageTag(name, tag) => format!("{name}:{tag}"),
            Self::Deployment(environment, service, id) => format!("{environment}/{service}/{id}"),
        }
    }
}

impl std::fmt::Display for Thing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.kind(), self.id())
    }
}

/// The stream of a repository; empty where the repository is not known.
pub(super) fn stream(repository: &str) -> String {
    if repository.is_empty() { String::new() } else { format!("repo/{repository}") }
}

/// The repository of a stream, as `host/path`.
pub(super) fn repository(stream: &str) -> String {
    stream.strip_prefix("repo/").unwrap_or(stream).to_owned()
}

/// Everything that a name is the name of, sorted: ids of commits and digests in full or from 7 characters on,
/// `host/path#42`, `host/path!42`, ids of runs, `name:tag` of a registry, tags in Git, versions, ids of incidents and deployments. A name
/// may say which it means: `tag:v1`. Deployments are looked for last, where nothing else has the name.
///
/// # Errors
/// `Database`.
pub fn find(snapshot: &Snapshot<'_>, basis: &Basis, name: &str) -> Result<Vec<Thing>> {
    let name = name.trim();
    let said = name.split_once(':').filter(|(kind, _)| KINDS.contains(kind));
    let (kind, name) = said.map_or((None, name), |(kind, name)| (Some(kind), name));
    let mut finder = Finder { snapshot, known: basis.known(), found: Vec::new() };
    for of in KINDS {
        // Deployments have whatever names their sources gave them.
        let last = of == "deployment" && !finder.found.is_empty();
        if name.is_empty() || kind.is_some_and(|kind| kind != of) || last {
            continue;
        }
        match of {
            "commit" => finder.commits(name),
            "change" => finder.changes(name),
            "run" => finder.runs(name),
            "tag" => finder.tags(name),
            "version" => finder.versions(name),
            "artifact" => finder.artifacts(name),
            "image" => finder.image_tags(name),
            "incident" => finder.incidents(name),
            _ => finder.deployments(name),
        }?;
    }
    finder.found.sort();
    finder.found.dedup();
    Ok(finder.found)
}

/// What a question about `name` is about: one thing, or a tag in Git and the version of the same name.
///
/// # Errors
/// `NotFound`; `Ambiguous` with the candidates; `Database`.
pub(super) fn resolve(snapshot: &Snapshot<'_>, basis: &Basis, name: &str) -> Result<Vec<Thing>> {
    let found = find(snapshot, basis, name)?;
    match found.as_slice() {
        [] => Err(Error::NotFound(name.trim().to_owned())),
        [_] | [Thing::Tag(..), Thing::Version(_)] => Ok(found),
        many => {
            let candidates = many.iter().map(ToString::to_string).collect();
            Err(Error::Ambiguous { name: name.trim().to_owned(), candidates })
        }
    }
}

struct Finder<'a, 's> {
    snapshot: &'a Snapshot<'s>,
    known: i64,
    found: Vec<Thing>,
}

/// Whether a text may be the beginning of an id in hexadecimal.
fn is_hex(text: &str) -> bool {
    (PREFIX_MIN..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl Finder<'_, '_> {
    fn texts(&self, sql: &str, parameters: impl Params) -> Result<Vec<String>> {
        texts(self.snapshot, sql, parameters)
    }

    fn id(&self, text: &str) -> Result<Option<i64>> {
        self.snapshot.id(text)
    }

    fn commits(&mut self, name: &str) -> Result<()> {
        let prefix = name.to_ascii_lowercase();
        if !is_hex(&prefix) {
            return Ok(());
        }
        // What begins with the prefix lies before the prefix with the first character after the digits.
        let found = self.texts(
            "SELECT DISTINCT name.text FROM name CROSS JOIN git_commit ON git_commit.oid = name.id \
             WHERE name.text >= ?1 AND name.text < ?1 || 'g' ORDER BY name.text LIMIT 100",
            [&prefix],
        )?;
        let whole = found.contains(&prefix);
        let mut n = 0;
        for oid in found.into_iter().filter(|oid| !whole || *oid == prefix) {
            if n < CANDIDATES_MAX && is_known_commit(self.snapshot, &oid, self.known)? {
                self.found.push(Thing::Commit(oid));
                n += 1;
            }
        }
        Ok(())
    }

    fn changes(&mut self, name: &str) -> Result<()> {
        let Some((place, change)) = name.rsplit_once(['#', '!']) else { return Ok(()) };
        let place = repository(place);
        let (Some(stream), Some(id)) = (self.id(&stream(&place))?, self.id(change)?) else { return Ok(()) };
        let exists = exists(
            self.snapshot,
            "SELECT 1 FROM change_fact WHERE repository = ?1 AND change = ?2 AND position < ?3",
            params![stream, id, self.known],
        )?;
        if exists {
            self.found.push(Thing::Change(place, change.to_owned()));
        }
        Ok(())
    }

    fn runs(&mut self, name: &str) -> Result<()> {
        let (place, run) = name.rsplit_once("/runs/").unwrap_or(("", name));
        let Some(id) = self.id(run)? else { return Ok(()) };
        let mut streams = self.texts(
            "SELECT DISTINCT name.text FROM pipeline_run JOIN name ON name.id = pipeline_run.repository \
             WHERE run = ?1 AND position < ?2 ORDER BY 1 LIMIT ?3",
            params![id, self.known, CANDIDATES_MAX],
        )?;
        if streams.is_empty() {
            // Only what it built is known of it.
            streams = self.texts(
                "SELECT DISTINCT ifnull(name.text, '') FROM build LEFT JOIN git_commit ON git_commit.id = build.commit_id \
                 LEFT JOIN name ON name.id = git_commit.repository WHERE run = ?1 AND position < ?2 ORDER BY 1 LIMIT ?3",
                params![id, self.known, CANDIDATES_MAX],
            )?;
        }
        let streams = streams.iter().map(|stream| repository(stream));
        let found = streams.filter(|found| place.is_empty() || found == place);
        self.found.extend(found.map(|place| Thing::Run(place, run.to_owned())));
        Ok(())
    }

    fn tags(&mut self, name: &str) -> Result<()> {
        for (place, tag) in [Some(("", name)), name.split_once('@')].into_iter().flatten() {
            let Some(id) = self.id(tag)? else { continue };
            let streams = self.texts(
                "SELECT text FROM name WHERE id IN (SELECT repository FROM tag_fact WHERE tag = ?1 AND position < ?2 \
                 UNION SELECT repository FROM release WHERE tag = ?1 AND position < ?2) ORDER BY text LIMIT ?3",
                params![id, self.known, CANDIDATES_MAX],
            )?;
            let places = streams.iter().map(|stream| repository(stream));
            let found = places.filter(|found| place.is_empty() || found == place);
            self.found.extend(found.map(|place| Thing::Tag(place, tag.to_owned())));
        }
        Ok(())
    }

    fn versions(&mut self, name: &str) -> Result<()> {
        let Some(id) = self.id(name)? else { return Ok(()) };
        let sql = "SELECT 1 FROM build WHERE version = ?1 AND position < ?2";
        if exists(self.snapshot, sql, params![id, self.known])? {
            self.found.push(Thing::Version(name.to_owned()));
        }
        Ok(())
    }

    fn artifacts(&mut self, name: &str) -> Result<()> {
        // An image by name and digest.
        let digest = name.rsplit_once('@').map_or(name, |(_, digest)| digest).to_ascii_lowercase();
        if digest.parse::<Digest>().is_ok() {
            return self.artifact(digest);
        }
        let (algorithms, prefix): (&[&str], &str) = match digest.split_once(':') {
            Some((algorithm, prefix)) => (&[algorithm], prefix),
            None => (&["blake3", "sha256", "sha384", "sha512"], &digest),
        };
        if !is_hex(prefix) {
            return Ok(());
        }
        for algorithm in algorithms {
            let found = self.texts(
                "SELECT text FROM name WHERE text >= ?1 AND text < ?1 || 'g' ORDER BY text LIMIT 100",
                [format!("{algorithm}:{prefix}")],
            )?;
            found.into_iter().try_for_each(|digest| self.artifact(digest))?;
        }
        Ok(())
    }

    fn artifact(&mut self, digest: String) -> Result<()> {
        if digest.parse::<Digest>().is_ok() && is_known_artifact(self.snapshot, &digest, self.known)? {
            self.found.push(Thing::Artifact(digest));
        }
        Ok(())
    }

    fn image_tags(&mut self, name: &str) -> Result<()> {
        // Digests are written in the same form.
        let Some((image, tag)) = name.rsplit_once(':').filter(|_| name.parse::<Digest>().is_err()) else {
            return Ok(());
        };
        if self.is_deployed_tag(name)? {
            self.found.push(Thing::ImageTag(image.to_owned(), tag.to_owned()));
        }
        let Some(tag_id) = self.id(tag)? else { return Ok(()) };
        // From one name that has the tag to the next: `latest` is observed again and again.
        let mut last: Option<i64> = None;
        let (suffix, mut names) = (format!("/{image}"), Vec::new());
        while names.len() < 1000 {
            let mut statement = self.snapshot.connection.prepare_cached(
                "SELECT name FROM artifact_tag WHERE tag = ?1 AND name > ?2 AND position < ?3 ORDER BY name LIMIT 1",
            )?;
            let next = statement.query_row(params![tag_id, last.unwrap_or(i64::MIN), self.known], |row| row.get(0));
            let Some(next) = next.optional()? else { break };
            last = Some(next);
            names.push(self.snapshot.text(next)?);
        }
        let whole = names.iter().any(|name| name == image);
        let fits = |name: &String| name == image || (!whole && name.ends_with(&suffix));
        self.found.extend(names.into_iter().filter(fits).map(|name| Thing::ImageTag(name, tag.to_owned())));
        Ok(())
    }

    /// Whether an image was asked for, or ran, by this name and tag.
    fn is_deployed_tag(&self, image: &str) -> Result<bool> {
        let Some(id) = self.id(image)? else { return Ok(false) };
        runs_or_was_asked_for(self.snapshot, id, self.known)
    }

    fn incidents(&mut self, name: &str) -> Result<()> {
        let id = name.strip_prefix("incident/").unwrap_or(name);
        let Some(stream) = self.id(&format!("incident/{id}"))? else { return Ok(()) };
        if incident::incident(self.snapshot.connection, stream, self.known)?.is_some() {
            self.found.push(Thing::Incident(id.to_owned()));
        }
        Ok(())
    }

    fn deployments(&mut self, name: &str) -> Result<()> {
        let found = super::super::deployment::named(self.snapshot, self.known, name)?;
        let things = found.into_iter().take(usize::try_from(CANDIDATES_MAX).unwrap_or(usize::MAX));
        self.found.extend(things.map(|(environment, service, id)| Thing::Deployment(environment, service, id)));
        Ok(())
    }
}

pub(super) fn exists(snapshot: &Snapshot<'_>, sql: &str, parameters: impl Params) -> Result<bool> {
    Ok(snapshot.connection.prepare_cached(sql)?.exists(parameters)?)
}

pub(super) fn texts(snapshot: &Snapshot<'_>, sql: &str, parameters: impl Params) -> Result<Vec<String>> {
    let mut statement = snapshot.connection.prepare_cached(sql)?;
    let rows = statement.query_map(parameters, |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn runs_or_was_asked_for(snapshot: &Snapshot<'_>, image: i64, known: i64) -> Result<bool> {
    let asked = "SELECT 1 FROM image_request WHERE image = ?1 AND position < ?2";
    let ran = "SELECT 1 FROM image_list JOIN deployment ON deployment.images = image_list.images \
               WHERE image_list.image = ?1 AND known_from < ?2 AND known_to >= ?2";
    Ok(exists(snapshot, asked, [image, known])? || exists(snapshot, ran, [image, known])?)
}

/// The rows of a commit: one for each repository that has it, and one where it was named without.
pub(super) fn commit_rows(snapshot: &Snapshot<'_>, oid: &str) -> Result<Vec<(i64, String)>> {
    let Some(id) = snapshot.id(oid)? else { return Ok(Vec::new()) };
    let mut statement = snapshot.connection.prepare_cached(
        "SELECT git_commit.id, name.text FROM git_commit JOIN name ON name.id = git_commit.repository \
         WHERE git_commit.oid = ?1 ORDER BY name.text",
    )?;
    let rows = statement.query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whether events before `known` name a commit; rows of commits are also made by later ones.
fn is_known_commit(snapshot: &Snapshot<'_>, oid: &str, known: i64) -> Result<bool> {
    for (id, stream) in commit_rows(snapshot, oid)? {
        let told = exists(
            snapshot,
            "SELECT 1 FROM commit_fact WHERE commit_id = ?1 AND position < ?2 \
             UNION ALL SELECT 1 FROM commit_parent WHERE parent = ?1 AND position < ?2 \
             UNION ALL SELECT 1 FROM tag_fact WHERE commit_id = ?1 AND position < ?2 \
             UNION ALL SELECT 1 FROM change_commit WHERE commit_id = ?1 AND position < ?2 \
             UNION ALL SELECT 1 FROM commit_check WHERE commit_id = ?1 AND position < ?2 \
             UNION ALL SELECT 1 FROM build WHERE commit_id = ?1 AND position < ?2 \
             UNION ALL SELECT 1 FROM attestation WHERE commit_id = ?1 AND position < ?2 \
             UNION ALL SELECT 1 FROM publication WHERE labelled_commit = ?1 AND position < ?2",
            [id, known],
        )?;
        if told || is_of_target(snapshot, &stream, oid, known)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a commit is what was deployed, or the desired state of a target.
fn is_of_target(snapshot: &Snapshot<'_>, stream: &str, oid: &str, known: i64) -> Result<bool> {
    let Some(place) = snapshot.id(&format!("{stream}@{oid}"))? else { return Ok(false) };
    exists(
        snapshot,
        "SELECT 1 FROM manifest_commit WHERE manifest = ?1 AND position < ?2 \
         UNION ALL SELECT 1 FROM deployment WHERE source_commit = ?1 AND known_from < ?2 AND known_to >= ?2 \
         UNION ALL SELECT 1 FROM deployment WHERE manifest = ?1 AND known_from < ?2 AND known_to >= ?2",
        [place, known],
    )
}

fn is_known_artifact(snapshot: &Snapshot<'_>, digest: &str, known: i64) -> Result<bool> {
    let Some(id) = snapshot.id(digest)? else { return Ok(false) };
    let told = exists(
        snapshot,
        "SELECT 1 FROM build WHERE artifact = ?1 AND position < ?2 \
         UNION ALL SELECT 1 FROM publication WHERE artifact = ?1 AND position < ?2 \
         UNION ALL SELECT 1 FROM platform_link WHERE whole = ?1 AND position < ?2 \
         UNION ALL SELECT 1 FROM platform_link WHERE part = ?1 AND position < ?2 \
         UNION ALL SELECT 1 FROM artifact_tag WHERE artifact = ?1 AND position < ?2 \
         UNION ALL SELECT 1 FROM scan WHERE artifact = ?1 AND position < ?2 \
         UNION ALL SELECT 1 FROM sbom WHERE artifact = ?1 AND position < ?2 \
         UNION ALL SELECT 1 FROM attestation WHERE artifact = ?1 AND position < ?2 \
         UNION ALL SELECT 1 FROM artifact_check WHERE artifact = ?1 AND position < ?2",
        [id, known],
    )?;
    Ok(told || runs_or_was_asked_for(snapshot, id, known)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_named_by_kind_and_id() {
        let own = str::to_owned;
        let named = [
            (Thing::Commit(own("abc")), "commit:abc"),
            (Thing::Change(own("h/p"), own("42")), "change:h/p#42"),
            (Thing::Run(own("h/p"), own("7")), "run:h/p/runs/7"),
            (Thing::Run(own(""), own("7")), "run:7"),
            (Thing::Tag(own("h/p"), own("v1")), "tag:h/p@v1"),
            (Thing::Version(own("1.0")), "version:1.0"),
            (Thing::Artifact(own("sha256:00")), "artifact:sha256:00"),
            (Thing::ImageTag(own("h/p"), own("v1")), "image:h/p:v1"),
            (Thing::Deployment(own("production"), own("app"), own("d1")), "deployment:production/app/d1"),
            (Thing::Incident(own("7")), "incident:7"),
        ];
        for (thing, name) in named {
            assert_eq!(thing.to_string(), name);
            assert!(KINDS.contains(&thing.kind()));
        }
        assert_eq!((stream("h/p").as_str(), stream("").as_str()), ("repo/h/p", ""));
        assert_eq!((repository("repo/h/p").as_str(), repository("h/p").as_str()), ("h/p", "h/p"));
    }

    #[test]
    fn ids_in_hexadecimal_are_looked_for_from_seven_digits_on() {
        assert!(is_hex("0123abc") && !is_hex("012345") && !is_hex("0123abg") && !is_hex(&"0".repeat(129)));
    }
}
