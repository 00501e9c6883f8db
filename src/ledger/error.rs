//! What can go wrong between a caller and the log.

use crate::event::{self, Position};

/// Result of a ledger operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller can do about an error; exit codes and gRPC statuses are made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The input is wrong: mend it.
    Invalid,
    /// It is not there.
    NotFound,
    /// Something else stands in its place.
    Conflict,
    /// Understood and denied.
    Refused,
    /// Not now, or not reachable: try again.
    Unavailable,
    /// What is stored is damaged: nothing is written any more.
    Corrupt,
    /// A defect of ours.
    Internal,
}

impl Kind {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::Corrupt => "corrupt",
            Self::Internal => "internal",
        }
    }
}

/// Why the ledger did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A draft is not an event.
    #[error("event {index} of the request: {error}")]
    Draft {
        /// Which of the request's events, from 0.
        index: usize,
        /// What is wrong with it.
        error: event::Error,
    },
    /// The stream is not where the writer thought.
    #[error("event {index} of the request: stream {stream} is at {actual}, not at {expected}")]
    WrongVersion {
        /// Which of the request's events, from 0.
        index: usize,
        /// The stream.
        stream: String,
        /// What was expected, in words.
        expected: String,
        /// What is so, in words.
        actual: String,
    },
    /// The idempotency key is taken by an event with other content.
    #[error(
        "event {index} of the request: {source_name} already recorded {dedup:?} with other content, at position {position} (id {id}); {differs}"
    )]
    DedupConflict {
        /// Which of the request's events, from 0.
        index: usize,
        /// First half of the key.
        source_name: String,
        /// Second half of the key.
        dedup: String,
        /// Where the recorded event is.
        position: Position,
        /// Its id.
        id: String,
        /// Which field differs first.
        differs: String,
    },
    /// A position, id, stream or blob that is not there.
    #[error("{0} not found")]
    NotFound(String),
    /// A request that cannot be served as asked.
    #[error("{field}: {what}")]
    Invalid {
        /// The field or flag.
        field: String,
        /// What is wrong with it.
        what: String,
    },
    /// Nothing can be written for now; nothing was written.
    #[error("cannot write: {what}")]
    CannotWrite {
        /// What stands in the way.
        what: String,
        /// What the system said.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// Whether the write happened is not known. The same request, sent again, tells.
    #[error("the outcome is not known: {what}; send the same request again after a restart")]
    OutcomeUnknown {
        /// What happened.
        what: String,
    },
    /// The writer has stopped and will not start again in this process.
    #[error("the writer has stopped: {0}")]
    Stopped(String),
    /// The queue is full.
    #[error("too much is waiting to be written")]
    Overloaded,
    /// Another process has the data directory.
    #[error("{what} is in use by {holder}")]
    Busy {
        /// What is in use.
        what: String,
        /// Who has it.
        holder: String,
    },
    /// The database is older than a checkpoint known outside it.
    #[error(
        "the database was rolled back: it holds {database} events, and a checkpoint of {known} events was signed before \
         (kept in {guard}). Nothing is written. Restore the newer database, or go on from here with --accept-rollback REASON, which is recorded"
    )]
    RolledBack {
        /// Events in the database.
        database: u64,
        /// Events known to have been there.
        known: u64,
        /// Where that is known from.
        guard: String,
    },
    /// The command makes no sense in this state.
    #[error("{0}")]
    Refused(String),
    /// What is stored is not what was written.
    #[error("damaged: {0}")]
    Corrupt(String),
    /// The database said no, where that should not happen.
    #[error("the database failed: {0}")]
    Database(#[from] rusqlite::Error),
    /// Reading or writing a file failed.
    #[error("{what}")]
    Io {
        /// What was being done, and to which file.
        what: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The evidence store failed.
    #[error("evidence store: {what}")]
    Evidence {
        /// What was being done.
        what: String,
        /// What the store said.
        #[source]
        source: object_store::Error,
    },
    /// A defect of ours.
    #[error("internal: {0}")]
    Internal(String),
}

impl Error {
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Draft { .. } | Self::Invalid { .. } => Kind::Invalid,
            Self::NotFound(_) => Kind::NotFound,
            Self::WrongVersion { .. } | Self::DedupConflict { .. } => Kind::Conflict,
            Self::Refused(_) | Self::RolledBack { .. } => Kind::Refused,
            Self::CannotWrite { .. }
            | Self::OutcomeUnknown { .. }
            | Self::Stopped(_)
            | Self::Overloaded
            | Self::Busy { .. }
            | Self::Io { .. }
            | Self::Evidence { .. } => Kind::Unavailable,
            Self::Corrupt(_) => Kind::Corrupt,
            Self::Database(error) => database_kind(error),
            Self::Internal(_) => Kind::Internal,
        }
    }

    /// An [`Error::Invalid`] from its two parts.
    pub fn invalid(field: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), what: what.into() }
    }

    /// An [`Error::Io`] about a file.
    pub fn io(doing: &str, path: &std::path::Path, source: std::io::Error) -> Self {
        Self::Io { what: format!("{doing} {}", path.display()), source }
    }
}

/// Tells what the medium did from what we did wrong.
fn database_kind(error: &rusqlite::Error) -> Kind {
    use rusqlite::ErrorCode;
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Kind::Corrupt,
        Some(
            ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::DiskFull
            | ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::FileLockingProtocolFailed,
        ) => Kind::Unavailable,
        Some(_) => Kind::Internal,
        // The database gave an answer, of a kind that was never written there.
        None => match error {
            rusqlite::Error::Utf8Error(..)
            | rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..) => Kind::Corrupt,
            _ => Kind::Internal,
        },
    }
}

/// A `u64` as SQLite's signed integer. Positions stay far below 2^63.
pub(super) fn to_i64(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// SQLite's signed integer as a `u64`.
pub(super) fn to_u64(value: i64) -> Result<u64> {
    u64::try_from(value).map_err(|_why| Error::Corrupt(format!("a negative number ({value}) where a position belongs")))
}
