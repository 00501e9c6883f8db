//! What is counted when it is recorded and never taken back: the counters and histograms of `/metrics`.
//!
//! A counter must not go back, and late facts move history; so these count what the ledger was told, in the order in
//! which it was told. What is true is in the other projections.

mod fold;
mod query;

pub use fold::Meters;
pub use query::{Counted, EventCount, Observed, counted, event_counts, last_successes, observed};

use super::About;

/// What this projection is.
pub const ABOUT: About = About {
    name: "meter",
    version: 2,
    schema: include_str!("../../../schema/views/meter.sql"),
    tables: &["event_count", "counted", "observed"],
    needs: &["deployment", "incident", "dora"],
};

/// Upper bounds of durations, in seconds (DORA.md, "Exposition").
pub const SECONDS: [f64; 12] = [
    300.0,
    900.0,
    3_600.0,
    14_400.0,
    43_200.0,
    86_400.0,
    259_200.0,
    604_800.0,
    1_209_600.0,
    2_592_000.0,
    7_776_000.0,
    15_552_000.0,
];

/// Microseconds after which an event counts as recorded late.
pub const LATE_MICROS: i64 = 3_600_000_000;

/// What is counted one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Count {
    /// Rollouts that ended, by class and outcome.
    Deployments = 0,
    /// Incidents opened, by severity.
    IncidentsOpened = 1,
    /// Incidents resolved, by severity.
    IncidentsResolved = 2,
}

/// What is counted by size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Duration {
    /// From author time to the first deployment.
    ChangeLeadTime = 0,
    /// From the beginning of a deployment to its end.
    Deployment = 1,
    /// From a failed deployment to its recovery.
    DeploymentRecovery = 2,
    /// From the beginning of an incident to its end.
    IncidentRestore = 3,
}
