//! Taking in events.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, params};

use super::super::Result;
use super::super::registry::{About, Projection, Step};
use super::leaf;
use crate::event::ledger::SubjectErased;
use crate::event::{Data, SealedId};

/// Names of one kind kept at hand while folding.
const NAMES_KEPT: usize = 100_000;

/// Documents of one event: its position times this is the number of the first.
pub(super) const DOCUMENTS: i64 = 4096;

/// Kinds of names: a name's number times this is the number of its document.
pub(super) const KINDS: i64 = 16;

/// The kind of people.
pub(super) const PERSON: i64 = 15;

/// Most bytes of a text that are indexed.
const TEXT_MAX: usize = 64 << 10;

/// Fields that tell a machine, a group or an address: they stand in nearly every event of their kind, and nobody reads
/// them for what they say.
const NOT_INDEXED: [&str; 8] =
    ["clusters", "destination", "groups", "query", "runner", "server", "source_addresses", "user_agent"];

/// A kind of name; the number in `search_name`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Stream = 0,
    Branch = 1,
    Tag = 2,
    Artifact = 3,
    ImageTag = 4,
    Version = 5,
    Check = 6,
    Tool = 7,
    Pipeline = 8,
    Application = 9,
    Vulnerability = 10,
}

impl Kind {
    const ALL: [Self; 11] = [
        Self::Stream,
        Self::Branch,
        Self::Tag,
        Self::Artifact,
        Self::ImageTag,
        Self::Version,
        Self::Check,
        Self::Tool,
        Self::Pipeline,
        Self::Application,
        Self::Vulnerability,
    ];

    /// The word for the kind of a number.
    pub(super) fn word(number: i64) -> Option<&'static str> {
        let kind = Self::ALL.into_iter().find(|kind| *kind as i64 == number)?;
        Some(match kind {
            Self::Stream => "stream",
            Self::Branch => "branch",
            Self::Tag => "tag",
            Self::Artifact => "artifact",
            Self::ImageTag => "image_tag",
            Self::Version => "version",
            Self::Check => "check",
            Self::Tool => "tool",
            Self::Pipeline => "pipeline",
            Self::Application => "application",
            Self::Vulnerability => "vulnerability",
        })
    }
}

/// The fold.
#[derive(Debug, Default)]
pub struct Searches {
    /// Names that are indexed, by kind.
    names: [HashSet<String>; Kind::ALL.len()],
    /// Pseudonyms that are indexed, or have nobody behind them any more.
    people: HashSet<String>,
}

impl Projection for Searches {
    fn about(&self) -> &'static About {
        &super::ABOUT
    }

    fn fold(&mut self, step: &mut Step<'_>) -> Result<()> {
        if let Data::SubjectErased(it) = &step.event.data {
            self.erase(step, it)?;
        }
        texts(step)?;
        let stream = step.event.stream();
        // An artifact is found by its digest; a notification by what it is about.
        if !stream.starts_with("artifact/") && !stream.starts_with("notification/") {
            self.name(step, Kind::Stream, stream)?;
        }
        for (kind, name) in names(&step.event.data) {
            self.name(step, kind, name)?;
        }
        self.people(step)
    }

    fn reset(&mut self) {
        self.names.iter_mut().for_each(HashSet::clear);
        self.people.clear();
    }
}

/// Whether somebody may look for a text.
fn is_indexed(data: &Data, field: &str) -> bool {
    // What a deployer says of each success is the same again and again.
    let of_course = matches!(data, Data::SyncSucceeded(_)) && field == "message";
    !of_course && !NOT_INDEXED.contains(&field)
}

/// Indexes an event's private texts.
fn texts(step: &mut Step<'_>) -> Result<()> {
    let event = step.event;
    let found = leaf::texts(&event.leaf);
    let texts = found.iter().filter(|text| is_indexed(&event.data, text.field)).enumerate();
    for (n, text) in texts {
        let Some(n) = i64::try_from(n).ok().filter(|n| *n < DOCUMENTS) else { break };
        // Numbered first: what is erased by now must not make other names have other numbers.
        let owner = event.envelope.actor.as_ref().map(|actor| actor.as_str());
        let owner = step.names.optional(step.tx, owner)?;
        let (of, stream) = (step.name(&event.envelope.type_name)?, step.name(event.stream())?);
        let Some(value) = step.documents.sealed(&text.id)? else { continue };
        let value = cut(&value);
        let id = event.position * DOCUMENTS + n;
        step.tx
            .prepare_cached(
                "INSERT INTO search_text (id, sealed, owner, type, stream, at, text) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![id, bytes(&text.id), owner, of, stream, event.at, value])?;
        step.tx
            .prepare_cached("INSERT INTO search_text_index (rowid, text) VALUES (?1, ?2)")?
            .execute(params![id, value])?;
    }
    Ok(())
}

/// As much of a text as is indexed.
fn cut(text: &str) -> &str {
    let end = (0..=TEXT_MAX.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

/// An id in 16 bytes.
fn bytes(id: &SealedId) -> Vec<u8> {
    let digits: String = id.as_str().chars().filter(|c| *c != '-').collect();
    hex::decode(digits).unwrap_or_default()
}

/// The names in an event, apart from its stream's.
fn names(data: &Data) -> Vec<(Kind, &str)> {
    let mut names: Vec<(Kind, &str)> = Vec::new();
    match data {
        Data::BranchUpdated(it) => names.push((Kind::Branch, &it.branch)),
        Data::ChangeCreated(it) => names.extend([(Kind::Branch, it.base.as_str()), (Kind::Branch, it.head.as_str())]),
        Data::TagCreated(it) => names.push((Kind::Tag, &it.tag)),
        Data::TagMoved(it) => names.push((Kind::Tag, &it.tag)),
        Data::TagDeleted(it) => names.push((Kind::Tag, &it.tag)),
        Data::ReleasePublished(it) => names.push((Kind::Tag, &it.tag)),
        Data::BuildFinished(it) => {
            names.extend(it.name.as_deref().map(|name| (Kind::Artifact, name)));
            names.extend(it.version.as_deref().map(|version| (Kind::Version, version)));
            names.extend(it.pipeline.as_deref().map(|pipeline| (Kind::Pipeline, pipeline)));
        }
        Data::ArtifactPublished(it) => {
            names.push((Kind::Artifact, &it.name));
            names.extend(it.tags.iter().map(|tag| (Kind::ImageTag, tag.as_str())));
        }
        Data::TagRepointed(it) => names.extend([(Kind::Artifact, it.name.as_str()), (Kind::ImageTag, it.tag.as_str())]),
        Data::CheckFinished(it) => {
            names.push((Kind::Check, &it.name));
            names.extend(it.tool.as_deref().map(|tool| (Kind::Tool, tool)));
        }
        Data::TestsuiteFinished(it) => {
            names.push((Kind::Check, &it.suite));
            names.extend(it.tool.as_deref().map(|tool| (Kind::Tool, tool)));
        }
        Data::ValidationFinished(it) => {
            names.push((Kind::Check, &it.name));
            names.extend(it.tool.as_deref().map(|tool| (Kind::Tool, tool)));
        }
        Data::ScanFinished(it) => names.push((Kind::Tool, &it.tool)),
        Data::SbomAttached(it) => names.extend(it.tool.as_deref().map(|tool| (Kind::Tool, tool))),
        Data::PipelinerunStarted(it) => names.push((Kind::Pipeline, &it.pipeline)),
        Data::PipelinerunFinished(it) => names.push((Kind::Pipeline, &it.pipeline)),
        Data::SyncSucceeded(it) => {
            names.extend(it.application.as_ref().map(|of| (Kind::Application, of.name.as_str())));
            names.extend(it.version.as_deref().map(|version| (Kind::Version, version)));
        }
        Data::IncidentOpened(it) => {
            names.extend(it.vulnerability.as_deref().map(|vulnerability| (Kind::Vulnerability, vulnerability)));
        }
        _ => {}
    }
    names
}

impl Searches {
    /// Indexes a name, unless it is known.
    fn name(&mut self, step: &mut Step<'_>, kind: Kind, name: &str) -> Result<()> {
        let Some(known) = usize::try_from(kind as i64).ok().and_then(|kind| self.names.get_mut(kind)) else {
            return Ok(());
        };
        if known.contains(name) {
            return Ok(());
        }
        let id = step.name(name)?;
        let new = step
            .tx
            .prepare_cached("INSERT OR IGNORE INTO search_name (name, kind, position) VALUES (?1, ?2, ?3)")?
            .execute(params![id, kind as i64, step.event.position])?;
        if new == 1 {
            insert_name(step.tx, id * KINDS + kind as i64, name)?;
        }
        if known.len() >= NAMES_KEPT {
            known.clear();
        }
        known.insert(name.to_owned());
        Ok(())
    }

    /// Indexes the people that an event names.
    fn people(&mut self, step: &mut Step<'_>) -> Result<()> {
        let event = step.event;
        for pseudonym in leaf::subjects(&event.leaf) {
            if self.people.contains(pseudonym) {
                continue;
            }
            let subject = step.name(pseudonym)?;
            let mut statement = step.tx.prepare_cached("SELECT 1 FROM search_person WHERE subject = ?1")?;
            if !statement.exists([subject])?
                && let Ok(id) = pseudonym.parse()
                && let Some(identity) = step.documents.subject(&id)?
            {
                step.tx
                    .prepare_cached("INSERT INTO search_person (subject, position, text) VALUES (?1, ?2, ?3)")?
                    .execute(params![subject, event.position, identity])?;
                insert_name(step.tx, subject * KINDS + PERSON, &identity)?;
            }
            if self.people.len() >= NAMES_KEPT {
                self.people.clear();
            }
            self.people.insert(pseudonym.to_owned());
        }
        Ok(())
    }

    /// Takes out what is erased: the person, all texts of events where they are the actor, and single texts.
    fn erase(&mut self, step: &mut Step<'_>, it: &SubjectErased) -> Result<()> {
        let tx = step.tx;
        let mut documents: Vec<(i64, String)> = Vec::new();
        let mut find = |sql: &str, parameter: &dyn rusqlite::ToSql| -> Result<()> {
            let mut statement = tx.prepare_cached(sql)?;
            let rows = statement.query_map([parameter], |row| Ok((row.get(0)?, row.get(1)?)))?;
            for row in rows {
                documents.push(row?);
            }
            Ok(())
        };
        for value in &it.values {
            find("SELECT id, text FROM search_text WHERE sealed = ?1", &bytes(value))?;
        }
        if let Some(subject) = &it.subject {
            let owner = step.names.id(tx, subject.as_str())?;
            find("SELECT id, text FROM search_text WHERE owner = ?1", &owner)?;
            let mut statement = tx.prepare_cached("DELETE FROM search_person WHERE subject = ?1 RETURNING text")?;
            let identity: Option<String> = statement.query_row([owner], |row| row.get(0)).optional()?;
            if let Some(identity) = identity {
                tx.prepare_cached(
                    "INSERT INTO search_name_index (search_name_index, rowid, text) VALUES ('delete', ?1, ?2)",
                )?
                .execute(params![owner * KINDS + PERSON, identity])?;
            }
        }
        documents.sort();
        documents.dedup();
        for (id, text) in documents {
            tx.prepare_cached(
                "INSERT INTO search_text_index (search_text_index, rowid, text) VALUES ('delete', ?1, ?2)",
            )?
            .execute(params![id, text])?;
            tx.prepare_cached("DELETE FROM search_text WHERE id = ?1")?.execute([id])?;
        }
        Ok(())
    }
}

fn insert_name(tx: &Connection, id: i64, text: &str) -> Result<()> {
    tx.prepare_cached("INSERT INTO search_name_index (rowid, text) VALUES (?1, ?2)")?.execute(params![id, text])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_two_characters() {
        assert_eq!(cut("short"), "short");
        let long = format!("a{}", "ü".repeat(TEXT_MAX));
        assert_eq!(cut(&long).len(), TEXT_MAX - 1);
    }

    #[test]
    fn kinds_of_names_fit_beside_people() {
        for (n, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(usize::try_from(kind as i64), Ok(n));
            assert!((kind as i64) < PERSON && PERSON < KINDS && Kind::word(kind as i64).is_some());
        }
    }
}
