//! The words of CDEvents (<https://cdevents.dev>), both ways: what an event of theirs says in the ledger's vocabulary, and
//! what an event of the ledger is called there. Pure.
//!
//! An event that comes in is held to the schema of its type in the version of the specification that it names; the
//! schemas are in `schema/cdevents`. What goes out keeps to version [`SPEC_VERSION`], in an envelope of CloudEvents 1.0.

mod incoming;
mod outgoing;
mod purl;
mod schemas;

pub use incoming::{CdEvent, Place, Said, Target};
pub use outgoing::{Told, envelope};

/// The version of the specification that what goes out keeps to.
pub const SPEC_VERSION: &str = "0.5.0";

/// What the types of the specification begin with.
pub const PREFIX: &str = "dev.cdevents.";

/// What the types begin with that anybody may make up.
pub const CUSTOM_PREFIX: &str = "dev.cdeventsx.";

/// Why something is no CDEvent that is understood. Fields are paths within the event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A field that must be there is not.
    #[error("is missing")]
    Missing {
        /// The field.
        field: String,
    },
    /// A version or type that is not known here.
    #[error("{what}")]
    Unsupported {
        /// The field.
        field: String,
        /// What is wrong.
        what: String,
    },
    /// A time that is none, or has no zone.
    #[error("{what}")]
    Time {
        /// The field.
        field: String,
        /// What is wrong.
        what: String,
    },
    /// It does not keep to its schema.
    #[error("{what}")]
    Schema {
        /// The field; empty for the whole.
        field: String,
        /// What is wrong.
        what: String,
    },
}
