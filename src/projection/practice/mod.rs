//! The integrity of practice: drift, what guards targets, and everything that went past the usual way.
//!
//! Rows are narrow facts that say where to look; what is said of an event is read from the event itself when somebody
//! asks.

mod drift;
mod exceptions;
mod fact;
mod fold;
mod open;

pub use drift::{Episode, Window, episodes};
pub use exceptions::{Exception, Kind, Looked, NEEDS, NotJudged, Page, Place, Query, exceptions};
pub use fold::Practice;
pub use open::open_drift;

use super::About;

/// What this projection is.
pub const ABOUT: About = About {
    name: "practice",
    version: 2,
    schema: include_str!("../../../schema/views/practice.sql"),
    tables: &[
        "notable",
        "drift_fact",
        "guard_fact",
        "application_fact",
        "deployed_tag",
        "deployed_artifact",
        "change_branch",
        "review_source",
        "freeze_fact",
        "promotion_fact",
        "action_fact",
    ],
    needs: &[],
};
