//! What can be wrong with an event, before it is anywhere near the log.

/// Why bytes or a draft are not an event. Every variant is the caller's to mend: its kind is `invalid`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes are not JSON, or not the restricted JSON a leaf may hold.
    #[error("not canonical JSON at byte {offset}: {what}")]
    NotCanonical {
        /// Where in the bytes, from 0.
        offset: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// The bytes are not acceptable JSON; the message names line and column.
    #[error("not acceptable JSON: {0}")]
    Json(String),
    /// A field has a value that its type does not allow.
    #[error("{field}: {what}")]
    Field {
        /// The field's path, as in `evidence[0].size`.
        field: String,
        /// What is wrong with it.
        what: String,
    },
    /// The type is not in this binary's vocabulary, so it cannot be appended by it.
    #[error("unknown event type {0:?}")]
    UnknownType(String),
    /// The type belongs to streams of another kind.
    #[error("stream: {type_name} belongs to a stream {expected}, not {stream}")]
    WrongStream {
        /// The event's type.
        type_name: &'static str,
        /// The form such a stream has.
        expected: &'static str,
        /// The stream that was named.
        stream: String,
    },
    /// The event's canonical bytes would be larger than a leaf may be.
    #[error("the event would be {size} bytes, and a leaf holds at most {limit}: put large content into evidence")]
    TooLarge {
        /// Size it would have, in bytes.
        size: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// Bytes read back are not a recorded event's envelope.
    #[error("not a recorded event: {0}")]
    NotRecorded(String),
}

impl Error {
    /// A [`Error::Field`] from its two parts.
    pub fn field(field: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Field { field: field.into(), what: what.into() }
    }

    /// The same error, seen from one level further out: a field's path gets `prefix.` before it.
    #[must_use]
    pub fn within(self, prefix: &str) -> Self {
        match self {
            Self::Field { field, what } => Self::Field { field: format!("{prefix}.{field}"), what },
            Self::Json(what) => Self::Field { field: prefix.to_owned(), what },
            other => other,
        }
    }
}
