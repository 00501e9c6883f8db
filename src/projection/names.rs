//! Texts that stand in many rows, by small numbers.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};

use super::Result;

/// Names kept at hand while folding; each costs about 150 bytes.
const NAMES_KEPT: usize = 200_000;

/// Gives texts their numbers while folding: in the order of first mention, so that folding the same log again gives the
/// same ones.
#[derive(Debug, Default)]
pub struct Names {
    cache: HashMap<String, i64>,
}

impl Names {
    /// The number of a text, made where it has none.
    ///
    /// # Errors
    /// `Database`.
    pub fn id(&mut self, tx: &Connection, text: &str) -> Result<i64> {
        if let Some(id) = self.cache.get(text) {
            return Ok(*id);
        }
        let id = match find(tx, text)? {
            Some(id) => id,
            None => {
                tx.prepare_cached("INSERT INTO name (text) VALUES (?1)")?.execute([text])?;
                tx.last_insert_rowid()
            }
        };
        if self.cache.len() >= NAMES_KEPT {
            self.cache.clear();
        }
        self.cache.insert(text.to_owned(), id);
        Ok(id)
    }

    /// The number of a text that may be absent.
    ///
    /// # Errors
    /// `Database`.
    pub fn optional(&mut self, tx: &Connection, text: Option<&str>) -> Result<Option<i64>> {
        text.map(|text| self.id(tx, text)).transpose()
    }

    /// Forgets what is kept at hand: a transaction was taken back.
    pub(super) fn reset(&mut self) {
        self.cache.clear();
    }
}

/// The number of a text, where it has one.
///
/// # Errors
/// `Database`.
pub(super) fn find(connection: &Connection, text: &str) -> Result<Option<i64>> {
    let mut statement = connection.prepare_cached("SELECT id FROM name WHERE text = ?1")?;
    Ok(statement.query_row([text], |row| row.get(0)).optional()?)
}

/// The text of a number.
///
/// # Errors
/// `Database`; a number without a text is damage.
pub(super) fn text(connection: &Connection, id: i64) -> Result<String> {
    let mut statement = connection.prepare_cached("SELECT text FROM name WHERE id = ?1")?;
    Ok(statement.query_row([id], |row| row.get(0))?)
}
