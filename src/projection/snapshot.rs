//! Reading views: one consistent state for each question.

use std::path::Path;

use rusqlite::Connection;

use super::projector::{hash, state, stop};
use super::{About, Error, Projection, Result, Stop};
use crate::event::{Private, Timestamp};
use crate::ledger::{Ledger, Readers, Store};

/// How many read connections are kept open.
const READERS_KEPT: usize = 8;

/// A views file, for reading. Any number of threads may.
pub struct Views {
    readers: Readers,
}

impl Views {
    /// The file at `path`, which must be there when it is first read.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { readers: Readers::new(Store::derived(path), READERS_KEPT) }
    }

    /// Runs a query on one state of the views.
    ///
    /// # Errors
    /// The query's; `Database`.
    pub fn read<T>(&self, ledger: &Ledger, query: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> Result<T> {
        self.readers.with(|connection| {
            let tx = connection.unchecked_transaction()?;
            let size = state(&tx)?.size;
            let answer = query(&Snapshot { connection: &tx, ledger, size });
            tx.commit()?;
            answer
        })
    }
}

/// One state of the views, and the log they are of.
pub struct Snapshot<'a> {
    pub(super) connection: &'a Connection,
    pub(super) ledger: &'a Ledger,
    size: u64,
}

/// What an answer rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Basis {
    /// How many events the views held.
    pub position: u64,
    /// Of how many events, from the beginning, the answer makes use.
    pub known_at: u64,
    /// When the last of those was recorded; none where there are none.
    pub recorded_at: Option<Timestamp>,
}

impl Basis {
    /// `known_at` for SQL: facts with `position < ?` and derived rows with `known_from < ? AND known_to >= ?`.
    #[must_use]
    pub fn known(&self) -> i64 {
        i64::try_from(self.known_at).unwrap_or(i64::MAX)
    }
}

/// How a projection stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Its name.
    pub name: &'static str,
    /// Events folded into it.
    pub position: u64,
    /// Why it does not go on, where it does not.
    pub stopped: Option<Stop>,
}

impl Snapshot<'_> {
    /// How many events are folded.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The log.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        self.ledger
    }

    /// What an answer rests on that makes use of the first `known_at` events (of all where absent) and of the tables of
    /// the projections named.
    ///
    /// # Errors
    /// `Invalid` for more events than there are; `Stopped` where one of the projections did not get so far; `Rebuilding`
    /// where its tables are of another version.
    pub fn basis(&self, known_at: Option<u64>, projections: &[&About]) -> Result<Basis> {
        let known_at = known_at.unwrap_or(self.size);
        if known_at > self.size {
            let what = format!("the views hold {} events, not {known_at}", self.size);
            return Err(Error::invalid("known_at", what));
        }
        for about in projections {
            let name = about.name;
            let schema: String = self
                .connection
                .prepare_cached("SELECT schema FROM projection WHERE name = ?1")?
                .query_row([name], |row| row.get(0))
                .unwrap_or_default();
            if schema != hash(about.schema) {
                let total = self.ledger.head().size;
                return Err(Error::Rebuilding { projection: name.to_owned(), done: 0, total });
            }
            if let Some(stop) = stop(self.connection, name)?.filter(|stop| stop.position < known_at) {
                let Stop { position, reason, .. } = stop;
                return Err(Error::Stopped { projection: name.to_owned(), position, reason });
            }
        }
        let recorded_at = known_at.checked_sub(1).map(|last| self.ledger.recorded_at(last)).transpose()?;
        Ok(Basis { position: self.size, known_at, recorded_at })
    }

    /// How each projection stands.
    ///
    /// # Errors
    /// `Database`.
    pub fn statuses(&self) -> Result<Vec<Status>> {
        let status = |projection: Box<dyn Projection>| {
            let name = projection.about().name;
            let stopped = stop(self.connection, name)?;
            let position = stopped.as_ref().map_or(self.size, |stop| stop.position);
            Ok(Status { name, position, stopped })
        };
        super::all().into_iter().map(status).collect()
    }

    /// An event of the log.
    ///
    /// # Errors
    /// `Ledger`.
    pub fn event(&self, position: u64) -> Result<super::Event> {
        let leaf = self.ledger.leaf(position)?;
        super::Event::parse(&crate::ledger::Entry { position, leaf })
    }

    /// The text of a number in `name`.
    ///
    /// # Errors
    /// `Database`.
    pub(super) fn text(&self, id: i64) -> Result<String> {
        super::names::text(self.connection, id)
    }

    /// The number of a text, where the views have it.
    ///
    /// # Errors
    /// `Database`.
    pub(super) fn id(&self, text: &str) -> Result<Option<i64>> {
        super::names::find(self.connection, text)
    }

    /// The pseudonym of somebody; none where there is none.
    ///
    /// # Errors
    /// `Ledger`.
    pub fn pseudonym(&self, identity: &str) -> Result<Option<String>> {
        Ok(self.ledger.engine().subject_of(identity)?.map(|row| row.id.to_string()))
    }

    /// Who is behind a pseudonym; none once it was erased.
    ///
    /// # Errors
    /// `Ledger`.
    pub fn person(&self, pseudonym: &str) -> Result<Option<String>> {
        let Ok(id) = pseudonym.parse() else { return Ok(None) };
        Ok(self.ledger.subject(&id)?.map(|row| row.identity))
    }

    /// A private text; none where there is none, and once it was erased.
    ///
    /// # Errors
    /// `Ledger`.
    pub fn private(&self, text: Option<&Private>) -> Result<Option<String>> {
        match text {
            None => Ok(None),
            Some(Private::Plain(text)) => Ok(Some(text.clone())),
            Some(Private::Sealed(sealed)) => self.sealed(&sealed.sealed),
        }
    }

    /// The private text of an id; none once it was erased.
    ///
    /// # Errors
    /// `Ledger`.
    pub fn sealed(&self, id: &crate::event::SealedId) -> Result<Option<String>> {
        Ok(self.ledger.engine().sealed(id)?.map(|row| row.value))
    }
}
