//! Artifacts: how they were built, what they are called, what was found in them, and from which commits they come.

mod fold;
mod query;
mod scan;
mod severe;

pub use fold::Artifacts;
pub(super) use query::linked;
pub use query::{Evidence, Found, SourceCommit, origins, source_commits};
pub(super) use scan::all_scans;
pub use scan::{Scan, scans};
pub use severe::{Severe, severe};

use super::About;

/// What this projection is.
pub const ABOUT: About = About {
    name: "artifact",
    version: 2,
    schema: include_str!("../../../schema/views/artifact.sql"),
    tables: &[
        "build",
        "publication",
        "platform_link",
        "artifact_tag",
        "scan",
        "sbom",
        "attestation",
        "artifact_check",
        "image_request",
    ],
    needs: &["source"],
};
