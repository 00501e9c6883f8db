//! Whether two views files hold the same rows.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::{Value, ValueRef};

use super::{Projection, Result};
use crate::ledger::{Access, Store};

/// The first row that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The table.
    pub table: String,
    /// Which row, counted from 0 in the order of the table's key.
    pub row: u64,
    /// The row in the first file; none where it has no more.
    pub left: Option<String>,
    /// The row in the second file; none where it has no more.
    pub right: Option<String>,
}

/// Compares the tables of all projections, row for row and byte for byte, and returns the first difference.
///
/// # Errors
/// `Database`.
pub fn compare(left: &Path, right: &Path, projections: &[Box<dyn Projection>]) -> Result<Option<Difference>> {
    let left = Store::derived(left).open(Access::Read)?;
    let right = Store::derived(right).open(Access::Read)?;
    let own = projections.iter().flat_map(|projection| projection.about().tables.iter().copied());
    for table in ["state", "projection", "name"].into_iter().chain(own) {
        if let Some(difference) = compare_table(&left, &right, table)? {
            return Ok(Some(difference));
        }
    }
    Ok(None)
}

fn compare_table(left: &Connection, right: &Connection, table: &str) -> Result<Option<Difference>> {
    // The natural order of a table is that of its rowid or primary key.
    let sql = format!("SELECT * FROM {table}");
    let (mut left, mut right) = (left.prepare(&sql)?, right.prepare(&sql)?);
    let columns = (left.column_count(), right.column_count());
    let (mut left, mut right) = (left.query([])?, right.query([])?);
    let mut n = 0;
    loop {
        let (one, other) = (left.next()?, right.next()?);
        let same = match (one, other) {
            (None, None) => return Ok(None),
            (Some(one), Some(other)) if columns.0 == columns.1 => {
                let mut same = true;
                for column in 0..columns.0 {
                    same &= one.get_ref(column)? == other.get_ref(column)?;
                }
                same
            }
            _ => false,
        };
        if !same {
            let left = one.map(|row| shown(row, columns.0)).transpose()?;
            let right = other.map(|row| shown(row, columns.1)).transpose()?;
            return Ok(Some(Difference { table: table.to_owned(), row: n, left, right }));
        }
        n += 1;
    }
}

fn shown(row: &rusqlite::Row<'_>, columns: usize) -> Result<String> {
    let mut cells = Vec::with_capacity(columns);
    for column in 0..columns {
        cells.push(match row.get_ref(column)? {
            ValueRef::Blob(bytes) => hex::encode(bytes),
            other => {
                match Value::try_from(other).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))? {
                    Value::Null => "null".to_owned(),
                    Value::Integer(number) => number.to_string(),
                    Value::Real(number) => number.to_string(),
                    Value::Text(text) => text,
                    Value::Blob(bytes) => hex::encode(bytes),
                }
            }
        });
    }
    Ok(cells.join(" | "))
}
