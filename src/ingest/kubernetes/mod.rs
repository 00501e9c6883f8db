//! Argo CD and Kubernetes, by watching their objects.
//!
//! What is asked of an object is always the same: what does this sight of it add to what was known of it? The answer
//! ([`transition()`], [`project::transition`], [`workload::transition`]) is pure. What was known is kept in memory and, at a
//! start, read from the ledger ([`Known`]): the newest event of an object has the object itself as evidence.
//!
//! An idempotency key is made of the object's uid and of what the source itself says of a fact (the instant an operation
//! began, a version, a transition time), never of how it was seen. So a watch, a listing afterwards and a crash between the
//! two record each fact once.

mod application;
mod cluster;
mod first;
mod known;
pub(crate) mod object;
pub mod project;
mod relist;
mod seen;
mod sight;
mod sync;
mod transition;
mod watch;
pub mod workload;

pub use cluster::{Cluster, ClusterSettings, clusters};
pub(super) use first::SYSTEM;
pub use known::Known;
pub use seen::{Drift, Seen};
pub use sight::Sight;
pub use sync::COMMAND;
pub use transition::{removed, transition};
pub use watch::{Watches, start};
