//! Why something that came in is refused.

use std::fmt;

/// Declares the reasons: a stable word for scripts and counters, and the HTTP status that says the same.
macro_rules! reasons {
    ($( $(#[$meta:meta])* $variant:ident = $text:literal, $status:literal; )*) => {
        /// Why something is refused: stable words, for scripts, counters and metrics.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $( $(#[$meta])* $variant, )* }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word for it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// The HTTP status that says so.
            #[must_use]
            pub const fn http_status(self) -> u16 {
                match self { $(Self::$variant => $status),* }
            }
        }
    };
}

reasons! {
    /// There is no such source.
    UnknownSource = "unknown_source", 404;
    /// It is not signed, or bears no secret.
    MissingSignature = "missing_signature", 401;
    /// The signature or secret is wrong.
    BadSignature = "bad_signature", 401;
    /// It is larger than is taken.
    TooLarge = "too_large", 413;
    /// It is compressed or encoded in a way that is not taken.
    UnsupportedEncoding = "unsupported_encoding", 415;
    /// There is nothing in it.
    Empty = "empty", 400;
    /// It is not UTF-8.
    NotUtf8 = "not_utf8", 400;
    /// It is not well formed: cut off, or not JSON or XML at all.
    Malformed = "malformed", 400;
    /// It is nested too deeply.
    TooDeep = "too_deep", 400;
    /// It declares entities, which nobody needs who means well.
    Entities = "entities", 400;
    /// It is a container of documents and not a document.
    Archive = "archive", 415;
    /// Nobody knows what it is.
    UnknownFormat = "unknown_format", 415;
    /// Its form is known, but not in that version.
    UnsupportedVersion = "unsupported_version", 422;
    /// A header that must be there is not.
    MissingHeader = "missing_header", 400;
    /// A parameter of the request is unknown, or has a value that it cannot have.
    BadParameter = "bad_parameter", 400;
    /// A field that must be there is not.
    MissingField = "missing_field", 422;
    /// A field has a value that it cannot have.
    BadField = "bad_field", 422;
    /// A digest is none.
    BadDigest = "bad_digest", 422;
    /// A time is none, or says no zone where it must.
    BadTime = "bad_time", 422;
    /// A time lies in the future.
    FutureTime = "future_time", 422;
    /// A number is beyond what can be counted.
    BadNumber = "bad_number", 422;
    /// It does not say what it is about, and nobody else did.
    NoSubject = "no_subject", 422;
    /// It says that it is about something else than who hands it in says.
    OtherSubject = "other_subject", 422;
    /// It does not keep to its own schema.
    Schema = "schema", 422;
    /// The same thing was recorded with other content.
    Conflict = "conflict", 409;
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Something that came in is refused. Nothing of it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Why, in a word.
    pub reason: Reason,
    /// The field it is about, as a path: `repository.full_name`.
    pub field: Option<String>,
    /// What is wrong, for people.
    pub what: String,
}

impl Rejection {
    /// A rejection that is about no field.
    pub fn new(reason: Reason, what: impl Into<String>) -> Self {
        Self { reason, field: None, what: what.into() }
    }

    /// The same, about a field. One that names a field already is then about a field within this one.
    #[must_use]
    pub fn at(mut self, field: impl Into<String>) -> Self {
        let field = field.into();
        self.field = Some(match self.field {
            Some(inner) if inner.starts_with('[') => format!("{field}{inner}"),
            Some(inner) => format!("{field}.{inner}"),
            None => field,
        });
        self
    }

    /// What a JSON reader has against a value, with the place of it, as `serde_path_to_error` writes it. What is cut off or
    /// is not JSON is about no field.
    #[must_use]
    pub(super) fn within(self, place: &str) -> Self {
        match self.reason {
            Reason::MissingField | Reason::BadField | Reason::BadNumber if place != "." => self.at(place),
            _ => self,
        }
    }

    /// That a field is missing.
    pub fn missing(field: impl Into<String>) -> Self {
        Self { reason: Reason::MissingField, field: Some(field.into()), what: "is missing".to_owned() }
    }

    /// What a JSON reader has against a document: the message has line and column.
    #[must_use]
    pub fn json(error: &serde_json::Error) -> Self {
        let what = error.to_string();
        let reason = match error.classify() {
            serde_json::error::Category::Data if what.starts_with("missing field") => Reason::MissingField,
            serde_json::error::Category::Data => Reason::BadField,
            serde_json::error::Category::Syntax if what.starts_with("recursion limit") => Reason::TooDeep,
            serde_json::error::Category::Syntax if what.starts_with("number out of range") => Reason::BadNumber,
            _ => Reason::Malformed,
        };
        let field = what.split_once("field `").and_then(|(_, rest)| rest.split('`').next()).map(str::to_owned);
        Self { reason, field: field.filter(|_| reason == Reason::MissingField), what }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            Some(field) => write!(f, "{field}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

impl std::error::Error for Rejection {}

impl From<crate::event::Error> for Rejection {
    /// What does not fit into an event.
    fn from(error: crate::event::Error) -> Self {
        match error {
            crate::event::Error::Field { field, what } => Self::new(Reason::BadField, what).at(field),
            other => Self::new(Reason::BadField, other.to_string()),
        }
    }
}
