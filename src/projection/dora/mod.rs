//! The five figures of delivery, and MTTR, as DORA.md defines them.
//!
//! The fold attributes commits to the deployments that were the first to bring them (`owner`, `sample`) and works out what
//! became of deployments (`outcome`); both are derived rows. A question gathers the rows of its targets and its window
//! (`gather`), and pure code makes figures of them (`figures`).

mod calendar;
mod claim;
mod deployed;
mod explain;
mod figures;
mod fold;
mod gather;
mod named;
mod outcome;
mod owner;
mod sample;
mod variant;

pub use calendar::{BUCKETS_MAX, Bucket, buckets};
pub use explain::{About as ItemAbout, Figure, Item, Why, explain};
pub use figures::{
    Durations, FailureRate, Figures, Frequency, Inferred, LeadTime, Links, Recovery, Restore, ReworkRate, figures,
};
pub use fold::Dora;
pub use gather::{Change, Delivery, Incident, LeadFrom, Material, Mended, Question, Selection, gather, select};
pub use named::{commit_of, deployment_of};
pub(super) use outcome::{causes, incidents_of};
pub use sample::Reason;

use super::About;

/// What this projection is.
pub const ABOUT: About = About {
    name: "dora",
    version: 1,
    schema: include_str!("../../../schema/views/dora.sql"),
    tables: &["claim", "revision", "leaning", "owner", "squash", "manifest", "sample", "outcome", "remedy", "concern"],
    needs: &["source", "artifact", "deployment", "incident"],
};

/// In `outcome.flags`.
const SUCCEEDED: i64 = 1;
const ROLLBACK: i64 = 2;
const REWORK: i64 = 4;
const UNLINKED: i64 = 8;
const REDEPLOY: i64 = 16;
const IN_VAIN: i64 = 32;

/// In `outcome.failed`.
const FAILED_INCIDENT: i64 = 1;
const FAILED_REMEDIED: i64 = 2;
const FAILED_ROLLED_BACK: i64 = 4;
const FAILED_UNFINISHED: i64 = 8;
