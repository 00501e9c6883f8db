//! Folds of the log into views, and typed queries over them.
//!
//! Views are disposable: `views.db` is derived from the log, folded in order with its position in the same transaction.
//! There are two kinds of rows. Facts never change and carry the position of their event. Derived rows are what follows
//! from the facts, whatever order they came in; each carries from which position to which it was what the ledger knew
//! (`known_from`, `known_to`), so a question can also be asked as of what was known.

pub mod artifact;
mod compare;
pub mod deployment;
pub mod diff;
pub mod dora;
mod error;
mod event;
pub mod incident;
pub mod meter;
mod names;
pub mod package;
pub mod practice;
mod projector;
pub mod provenance;
mod registry;
pub mod search;
mod snapshot;
pub mod source;

pub use compare::{Difference, compare};
pub use error::{Error, Result};
pub use event::{Event, instant, tie};
pub use names::Names;
pub use projector::{Fit, Projector, Stop, fit};
pub use registry::{About, Changes, Documents, Projection, Step, all};
pub use snapshot::{Basis, Snapshot, Status, Views};

/// `known_to` of a row that is current.
pub const CURRENT: i64 = i64::MAX;
