//! Incidents: when they began and ended, how bad they were, and which deployments were named.
//!
//! What was said is kept; what follows from it is worked out anew from all of it (`state`), so the order in which it came
//! does not matter.

mod fold;
mod query;
mod state;

pub use fold::Incidents;
pub use query::{Incident, Reference, Trouble, incident, links, resolved, troubles};
pub(super) use query::{before, is_first};
pub use state::Sort;

use super::About;

/// What this projection is.
pub const ABOUT: About = About {
    name: "incident",
    version: 1,
    schema: include_str!("../../../schema/views/incident.sql"),
    tables: &["incident_fact", "incident_link", "incident"],
    needs: &[],
};
