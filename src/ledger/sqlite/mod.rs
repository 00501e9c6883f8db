//! The SQLite engine: `ledger.db`. The only module that opens databases.

mod appender;
mod connection;
mod engine;

pub(crate) use connection::Access;
pub(crate) use connection::Readers;
pub use connection::Store;
pub use engine::SqliteEngine;
