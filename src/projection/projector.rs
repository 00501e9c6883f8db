//! Folding: the one writer of a views file.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, params};

use super::registry::{Changes, Documents, Projection, Step};
use super::{Error, Event, Names, Result};
use crate::event::Data;
use crate::ledger::{Access, Store, remove_database};

/// Pages that the writer keeps in memory, in KiB: the upper levels of every index of a large shop's views.
const CACHE_KIB: i64 = 96 * 1024;

/// Written pages (of 8 KiB) after which the write-ahead log is copied into the file.
const CHECKPOINT_PAGES: i64 = 4000;

/// Statements kept prepared: every projection's.
const STATEMENTS_KEPT: usize = 400;

/// Where a projection stands that cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// The position of the event that it cannot fold.
    pub position: u64,
    /// That event's id.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// How a views file fits this program and this log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// There is none, or it cannot be read at all.
    Missing,
    /// It is of this log and of these projections: go on with it.
    Current,
    /// It is of this log, and some projections are of another version: it answers until a new one is made.
    Outdated,
    /// It is of another log, or ahead of this one.
    Foreign,
}

struct Part {
    projection: Box<dyn Projection>,
    stopped: Option<Stop>,
}

/// Folds events into a views file.
pub struct Projector {
    connection: Connection,
    path: PathBuf,
    parts: Vec<Part>,
    names: Names,
    changes: Changes,
    size: u64,
    /// Something was erased, and the write-ahead log may still hold it.
    taken_out: bool,
}

/// Why a batch was taken back.
enum Failed {
    /// A projection cannot fold an event.
    Poison { part: usize, stop: Stop },
    /// No event is to blame.
    Medium(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Medium(error)
    }
}

/// Tells how the file at `path` fits. `id_at` gives the id of the event at a position of the log, none beyond its head.
///
/// # Errors
/// What `id_at` returns.
pub fn fit(
    path: &Path,
    origin: &str,
    projections: &[Box<dyn Projection>],
    id_at: impl Fn(u64) -> Result<Option<String>>,
) -> Result<Fit> {
    if !path.exists() {
        return Ok(Fit::Missing);
    }
    let Ok(connection) = Store::derived(path).open(Access::Read) else { return Ok(Fit::Missing) };
    let Ok(state) = state(&connection) else { return Ok(Fit::Missing) };
    let of_this_log = match (state.size.checked_sub(1), &state.last_event) {
        (None, _) => true,
        (Some(last), Some(id)) => id_at(last)?.as_ref() == Some(id),
        (Some(_), None) => false,
    };
    if state.origin != origin || !of_this_log {
        return Ok(Fit::Foreign);
    }
    let Ok(found) = versions(&connection) else { return Ok(Fit::Missing) };
    let mut wanted: Vec<_> = projections
        .iter()
        .map(|projection| projection.about())
        .map(|about| (about.name.to_owned(), about.version, hash(about.schema)))
        .collect();
    wanted.sort();
    Ok(if found == wanted { Fit::Current } else { Fit::Outdated })
}

impl Projector {
    /// Makes a new, empty file, in place of one that may be there.
    ///
    /// # Errors
    /// `Database`; `Ledger` when the old file cannot be removed.
    pub fn create(path: &Path, origin: &str, projections: Vec<Box<dyn Projection>>) -> Result<Self> {
        remove_database(path)?;
        let mut projector = Self::connect(path, projections)?;
        let tx = projector.connection.transaction()?;
        tx.execute_batch(include_str!("../../schema/views/core.sql"))?;
        tx.execute("INSERT INTO state (id, origin, size) VALUES (0, ?1, 0)", [origin])?;
        for part in &projector.parts {
            let about = part.projection.about();
            tx.execute_batch(about.schema)?;
            tx.execute(
                "INSERT INTO projection (name, version, schema) VALUES (?1, ?2, ?3)",
                params![about.name, about.version, hash(about.schema)],
            )?;
        }
        tx.commit()?;
        Ok(projector)
    }

    /// Opens a file that [`fit`]s, to go on with it.
    ///
    /// # Errors
    /// `Database`.
    pub fn open(path: &Path, projections: Vec<Box<dyn Projection>>) -> Result<Self> {
        let mut projector = Self::connect(path, projections)?;
        projector.size = state(&projector.connection)?.size;
        for part in &mut projector.parts {
            part.stopped = stop(&projector.connection, part.projection.about().name)?;
        }
        Ok(projector)
    }

    fn connect(path: &Path, projections: Vec<Box<dyn Projection>>) -> Result<Self> {
        let connection = Store::derived(path).open(Access::Write)?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        let parts = projections.into_iter().map(|projection| Part { projection, stopped: None }).collect();
        let (names, changes) = (Names::default(), Changes::default());
        // Whoever wrote to the file before may not have come to it.
        Ok(Self { connection, path: path.to_owned(), parts, names, changes, size: 0, taken_out: true })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many events are folded: the position of the next one.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The projections that cannot go on.
    pub fn stopped(&self) -> impl Iterator<Item = (&'static str, &Stop)> {
        self.parts.iter().filter_map(|part| Some((part.projection.about().name, part.stopped.as_ref()?)))
    }

    /// Folds events, which begin at [`Projector::size`] and have no gaps, and commits rows and position together.
    ///
    /// A projection that cannot fold one of them stops before it, and with it those that read its tables; the others go on.
    ///
    /// # Errors
    /// `Database`, `Ledger`: nothing was folded, and no event is to blame.
    pub fn fold(&mut self, events: &[Event], documents: &dyn Documents) -> Result<()> {
        loop {
            match self.try_fold(events, documents) {
                Ok(()) => return Ok(()),
                Err(Failed::Poison { part, stop }) => self.stop(part, &stop),
                Err(Failed::Medium(error)) => {
                    self.forget();
                    return Err(error);
                }
            }
        }
    }

    fn try_fold(&mut self, events: &[Event], documents: &dyn Documents) -> Result<(), Failed> {
        let Some(last) = events.last() else { return Ok(()) };
        let tx = self.connection.transaction().map_err(Error::from)?;
        for event in events {
            let position = u64::try_from(event.position).unwrap_or(0);
            self.changes.clear();
            for (n, part) in self.parts.iter_mut().enumerate() {
                if part.stopped.as_ref().is_some_and(|stop| position >= stop.position) {
                    continue;
                }
                let (names, changes) = (&mut self.names, &mut self.changes);
                let mut step = Step { tx: &tx, event, names, changes, documents };
                let folded = catch_unwind(AssertUnwindSafe(|| part.projection.fold(&mut step)));
                let folded = folded.unwrap_or_else(|_| Err(Error::Poison("the fold broke off".to_owned())));
                match folded {
                    Ok(()) => {}
                    Err(error) if error.is_of_the_medium() => return Err(Failed::Medium(error)),
                    Err(error) => {
                        let reason = match std::error::Error::source(&error) {
                            Some(source) => format!("{error}: {source}"),
                            None => error.to_string(),
                        };
                        let stop = Stop { position, by: event.envelope.id.to_string(), reason };
                        return Err(Failed::Poison { part: n, stop });
                    }
                }
            }
        }
        for part in &mut self.parts {
            part.projection.flush(&tx)?;
        }
        let size = u64::try_from(last.position).unwrap_or(0) + 1;
        save(&tx, size, &last.envelope.id.to_string(), &self.parts)?;
        tx.commit().map_err(Error::from)?;
        self.size = size;
        let erases = |event: &Event| matches!(event.data, Data::SubjectErased(_) | Data::EvidenceErased(_));
        self.taken_out |= events.iter().any(erases);
        self.empty_log()
    }

    /// Empties the write-ahead log where it may hold what was erased. Readers may be in the way: then it is done with a
    /// later batch, or when the file is opened again.
    fn empty_log(&mut self) -> Result<(), Failed> {
        if self.taken_out {
            let busy = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
            let busy = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], busy).map_err(Error::from)?;
            self.taken_out = busy != 0;
        }
        Ok(())
    }

    /// Notes that a projection cannot go on, nor what needs it.
    fn stop(&mut self, part: usize, stop: &Stop) {
        self.forget();
        let mut stopped = Vec::new();
        for (n, other) in self.parts.iter_mut().enumerate() {
            let needed = other.projection.about().needs.iter().find(|name| stopped.contains(*name));
            let reason = match needed {
                _ if n == part => stop.reason.clone(),
                Some(name) => format!("it needs {name}, which stopped: {}", stop.reason),
                None => continue,
            };
            stopped.push(other.projection.about().name);
            // One that stopped earlier still stands where it stood.
            if other.stopped.as_ref().is_none_or(|before| before.position > stop.position) {
                let name = other.projection.about().name;
                tracing::error!(
                    projection = name,
                    position = stop.position,
                    event = stop.by,
                    reason,
                    "cannot be folded"
                );
                other.stopped = Some(Stop { reason, ..stop.clone() });
            }
        }
    }

    fn forget(&mut self) {
        self.names.reset();
        self.parts.iter_mut().for_each(|part| part.projection.reset());
    }

    /// Copies the write-ahead log into the file and closes it, so that the file stands for itself.
    ///
    /// # Errors
    /// `Database`.
    pub fn close(self) -> Result<()> {
        let busy = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
        let _readers_in_the_way = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], busy)?;
        self.connection.close().map_err(|(_, error)| error.into())
    }
}

fn save(tx: &Connection, size: u64, last: &str, parts: &[Part]) -> Result<()> {
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    tx.prepare_cached("UPDATE state SET size = ?1, last_event = ?2")?.execute(params![size, last])?;
    for part in parts {
        let Some(stop) = &part.stopped else { continue };
        let position = i64::try_from(stop.position).unwrap_or(i64::MAX);
        tx.prepare_cached("UPDATE projection SET stopped_at = ?2, stopped_by = ?3, reason = ?4 WHERE name = ?1")?
            .execute(params![part.projection.about().name, position, stop.by, stop.reason])?;
    }
    Ok(())
}

/// What a file says of itself.
pub(super) struct State {
    pub(super) origin: String,
    pub(super) size: u64,
    pub(super) last_event: Option<String>,
}

pub(super) fn state(connection: &Connection) -> Result<State> {
    let mut statement = connection.prepare_cached("SELECT origin, size, last_event FROM state")?;
    let (origin, size, last_event) =
        statement.query_row([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?, row.get(2)?)))?;
    let size = u64::try_from(size).map_err(|_why| Error::Damaged(format!("a size of {size}")))?;
    Ok(State { origin, size, last_event })
}

fn versions(connection: &Connection) -> Result<Vec<(String, u32, String)>> {
    let mut statement = connection.prepare("SELECT name, version, schema FROM projection ORDER BY name")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Where a projection stopped, if it did.
pub(super) fn stop(connection: &Connection, projection: &str) -> Result<Option<Stop>> {
    let mut statement = connection.prepare_cached(
        "SELECT stopped_at, stopped_by, reason FROM projection WHERE name = ?1 AND stopped_at NOT NULL",
    )?;
    let found: Option<(i64, String, String)> =
        statement.query_row([projection], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?;
    Ok(found.map(|(position, by, reason)| Stop { position: u64::try_from(position).unwrap_or(0), by, reason }))
}

/// By which a schema is told from another.
pub(super) fn hash(schema: &str) -> String {
    blake3::hash(schema.as_bytes()).to_hex().to_string()
}
