//! Environment state: what ran where, from when to when, and what every rollout was.
//!
//! The facts of a rollout are put together whatever order they came in (`rollout`); rollouts in the order in which they
//! took effect give classes and intervals (`walk`). A fact that comes late makes its target be walked again from there.

mod daily;
mod fact;
mod fold;
mod look_up;
mod query;
mod rollout;
mod standing;
mod store;
mod tier;
mod walk;

pub use daily::{Daily, daily};
pub(super) use fact::HOTFIX;
pub use fact::RunningImage;
pub(super) use fact::named_images;
pub use fold::Deployments;
pub(super) use fold::target_of;
pub(super) use look_up::{By, Place, named, of_rollout, places, rollout_of};
pub use query::{Deployment, Gap, Origin, Target, deployments, gaps, services, state, target, targets};
pub(super) use query::{deployment, effects, is_usually_automatic};
pub use standing::{Standing, standings};
pub(super) use store::{Row, columns, images, live, row, row_before};
pub use tier::{Tier, tier};
pub use walk::{Class, Ended, Status};

use super::About;

/// What this projection is.
pub const ABOUT: About = About {
    name: "deployment",
    version: 2,
    schema: include_str!("../../../schema/views/deployment.sql"),
    tables: &[
        "target",
        "target_sight",
        "rollout",
        "rollout_fact",
        "health_fact",
        "removal",
        "deployment",
        "gap",
        "manifest_commit",
        "image_list",
    ],
    needs: &[],
};
