//! Asking where words stand.

use rusqlite::params;

use super::super::provenance::{self, Thing};
use super::super::{Basis, Result, Snapshot, instant};
use super::fold::{DOCUMENTS, KINDS, Kind, PERSON};
use super::leaf;
use super::words::Question;
use crate::event::{SealedId, Timestamp};

/// Most places that are looked at for one page: a page that restricts much may hold little, and says where to go on.
const LOOKED_AT_MAX: usize = 10_000;

/// Most names that an answer has.
const NAMES_MAX: usize = 50;

/// A text of an event in which all the words stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The event.
    pub position: u64,
    /// Its type.
    pub type_name: String,
    /// Its stream.
    pub stream: String,
    /// When it happened.
    pub at: Timestamp,
    /// Pseudonym of who did it.
    pub actor: Option<String>,
    /// The field that holds the text.
    pub field: String,
    /// As much of the text as shows the words.
    pub snippet: String,
}

/// A name in which all the words stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// What it is the name of: `stream`, `branch`, `tag`, `artifact`, `image_tag`, `version`, `check`, `tool`, `pipeline`,
    /// `application`, `vulnerability`, `person`.
    pub kind: &'static str,
    /// The name; of a person, who it is.
    pub name: String,
    /// A person's pseudonym.
    pub subject: Option<String>,
    /// The first event that has it.
    pub position: u64,
}

/// Where words stand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// Things that are called exactly so, on the first page.
    pub things: Vec<Thing>,
    /// Names, those first that came to be known last; on the first page and where nothing restricts it.
    pub names: Vec<Name>,
    /// Texts of events, those first that were recorded last.
    pub hits: Vec<Hit>,
    /// Where the next page begins; none after the last.
    pub next: Option<i64>,
}

/// Looks for words in texts of events that happened from `from` to before `to`, and in names. At most `limit` texts, those
/// before the place at which the page before ended.
///
/// # Errors
/// `Database`, `Ledger`.
pub fn search(
    snapshot: &Snapshot<'_>,
    basis: &Basis,
    question: &Question,
    (from, to): (Option<Timestamp>, Option<Timestamp>),
    before: Option<i64>,
    limit: usize,
) -> Result<Answer> {
    let mut answer = Answer::default();
    let restricted = !question.types.is_empty() || !question.streams.is_empty() || from.is_some() || to.is_some();
    if before.is_none() && !restricted {
        answer.names = names(snapshot, basis, question)?;
        // Where one of the others stopped, this one still answers.
        let standing = snapshot.basis(Some(basis.known_at), provenance::NEEDS).is_ok();
        if let Some(word) = question.only_word().filter(|_| standing) {
            answer.things = provenance::find(snapshot, basis, word)?;
        }
    }
    let mut statement = snapshot.connection.prepare_cached(
        "SELECT rowid FROM search_text_index WHERE search_text_index MATCH ?1 AND rowid < ?2 ORDER BY rowid DESC",
    )?;
    let before = before.unwrap_or(i64::MAX).min(basis.known().saturating_mul(DOCUMENTS));
    let mut rows = statement.query(params![question.expression(), before])?;
    let mut n = 0;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        n += 1;
        if !restricted || is_asked_for(snapshot, question, (from, to), id)? {
            answer.hits.extend(hit(snapshot, question, id)?);
        }
        if answer.hits.len() >= limit || n >= LOOKED_AT_MAX {
            answer.next = rows.next()?.map(|_| id);
            break;
        }
    }
    Ok(answer)
}

/// Whether what restricts a question admits a text.
fn is_asked_for(
    snapshot: &Snapshot<'_>,
    question: &Question,
    (from, to): (Option<Timestamp>, Option<Timestamp>),
    id: i64,
) -> Result<bool> {
    let mut statement = snapshot.connection.prepare_cached(
        "SELECT at, type.text, stream.text FROM search_text JOIN name AS type ON type.id = search_text.type \
         JOIN name AS stream ON stream.id = search_text.stream WHERE search_text.id = ?1",
    )?;
    let mut rows = statement.query([id])?;
    let Some(row) = rows.next()? else { return Ok(false) };
    let at = instant(row.get(0)?);
    let (of, stream) = (row.get_ref(1)?.as_str().unwrap_or_default(), row.get_ref(2)?.as_str().unwrap_or_default());
    Ok(from.is_none_or(|from| at >= from) && to.is_none_or(|to| at < to) && question.admits(of, stream))
}

/// The event of a text, with the text as the ledger has it; none once it was erased.
fn hit(snapshot: &Snapshot<'_>, question: &Question, id: i64) -> Result<Option<Hit>> {
    let mut statement = snapshot.connection.prepare_cached("SELECT sealed FROM search_text WHERE id = ?1")?;
    let sealed: Vec<u8> = statement.query_row([id], |row| row.get(0))?;
    let Some(sealed) = uuid::Uuid::from_slice(&sealed).ok().and_then(|id| id.to_string().parse::<SealedId>().ok())
    else {
        return Ok(None);
    };
    let Some(text) = snapshot.sealed(&sealed)? else { return Ok(None) };
    let position = (id / DOCUMENTS).unsigned_abs();
    let event = snapshot.event(position)?;
    let field = leaf::texts(&event.leaf).into_iter().find(|text| text.id == sealed).map(|text| text.field.to_owned());
    Ok(Some(Hit {
        position,
        stream: event.stream().to_owned(),
        at: instant(event.at),
        actor: event.envelope.actor.as_ref().map(ToString::to_string),
        field: field.unwrap_or_default(),
        snippet: question.snippet(&text),
        type_name: event.envelope.type_name,
    }))
}

fn names(snapshot: &Snapshot<'_>, basis: &Basis, question: &Question) -> Result<Vec<Name>> {
    let mut statement = snapshot.connection.prepare_cached(
        "SELECT rowid FROM search_name_index WHERE search_name_index MATCH ?1 ORDER BY rowid DESC LIMIT ?2",
    )?;
    let limit = i64::try_from(LOOKED_AT_MAX).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![question.expression(), limit])?;
    let mut names = Vec::new();
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        names.extend(name(snapshot, basis, id / KINDS, id % KINDS)?);
        if names.len() >= NAMES_MAX {
            break;
        }
    }
    Ok(names)
}

/// A name that the first events have; none that came later, and nobody who was erased.
fn name(snapshot: &Snapshot<'_>, basis: &Basis, id: i64, kind: i64) -> Result<Option<Name>> {
    let sql = if kind == PERSON {
        "SELECT position FROM search_person WHERE subject = ?1 AND ?2 = ?2 AND position < ?3"
    } else {
        "SELECT position FROM search_name WHERE name = ?1 AND kind = ?2 AND position < ?3"
    };
    let mut statement = snapshot.connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![id, kind, basis.known()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let position = row.get::<_, i64>(0)?.unsigned_abs();
    let text = snapshot.text(id)?;
    if kind == PERSON {
        let identity = snapshot.person(&text)?;
        return Ok(identity.map(|name| Name { kind: "person", name, subject: Some(text), position }));
    }
    Ok(Kind::word(kind).map(|kind| Name { kind, name: text, subject: None, position }))
}
