//! The SQLite engine: `ledger.db`. The only module that opens databases.

mod appender;
mod connection;
mod engine;

pub use connection::Store;
pub(crate) use connection::{Access, Readers, remove_database, replace_database};
pub use engine::SqliteEngine;
