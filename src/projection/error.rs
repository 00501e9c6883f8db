//! What can go wrong between a question and its answer.

use crate::ledger::{self, Kind};

/// Result of a query or a fold.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log could not be read.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// The views could not be read or written.
    #[error("views.db")]
    Database(#[from] rusqlite::Error),
    /// A projection met an event that it cannot fold and stands before it.
    #[error(
        "projection {projection} stopped at position {position}: {reason}; ask with known_at up to {position}, or rebuild"
    )]
    Stopped {
        /// The projection.
        projection: String,
        /// Events folded: the position of the one it stands before.
        position: u64,
        /// Why.
        reason: String,
    },
    /// A projection's tables are of another version of the program, and new ones are being made.
    #[error("projection {projection} is being rebuilt: {done} of {total} events")]
    Rebuilding {
        /// The projection.
        projection: String,
        /// Events folded into the new file.
        done: u64,
        /// Events there are.
        total: u64,
    },
    /// The views are not as far as was asked for.
    #[error("the views hold {folded} events, and {wanted} were asked for")]
    Behind {
        /// Events folded.
        folded: u64,
        /// Events asked for.
        wanted: u64,
    },
    /// Nothing is known of what was asked about.
    #[error("{0} not found")]
    NotFound(String),
    /// A name that several things have.
    #[error("{name} may be any of {}", candidates.join(", "))]
    Ambiguous {
        /// The name.
        name: String,
        /// What has it, by names that only one thing has.
        candidates: Vec<String>,
    },
    /// A request that cannot be answered as asked.
    #[error("{field}: {what}")]
    Invalid {
        /// The field or flag.
        field: String,
        /// What is wrong with it.
        what: String,
    },
    /// A row that cannot be: the views are damaged. Deleting the file mends it.
    #[error("views.db is damaged: {0}")]
    Damaged(String),
    /// An event that a fold cannot take.
    #[error("{0}")]
    Poison(String),
}

impl Error {
    /// A request that cannot be answered as asked.
    pub fn invalid(field: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), what: what.into() }
    }

    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Ledger(error) => error.kind(),
            Self::Stopped { .. } => Kind::Refused,
            Self::Rebuilding { .. } | Self::Behind { .. } => Kind::Unavailable,
            Self::NotFound(_) => Kind::NotFound,
            Self::Invalid { .. } | Self::Ambiguous { .. } => Kind::Invalid,
            Self::Damaged(_) => Kind::Corrupt,
            Self::Database(_) | Self::Poison(_) => Kind::Internal,
        }
    }

    /// Whether no event is to blame: the disk is full, the file is damaged, the log cannot be read.
    pub(super) fn is_of_the_medium(&self) -> bool {
        use rusqlite::ErrorCode as Code;
        match self {
            Self::Database(rusqlite::Error::SqliteFailure(failure, _)) => matches!(
                failure.code,
                Code::DiskFull
                    | Code::SystemIoFailure
                    | Code::DatabaseCorrupt
                    | Code::NotADatabase
                    | Code::DatabaseBusy
                    | Code::DatabaseLocked
                    | Code::ReadOnly
                    | Code::OutOfMemory
                    | Code::CannotOpen
            ),
            Self::Ledger(_) | Self::Damaged(_) => true,
            _ => false,
        }
    }
}
