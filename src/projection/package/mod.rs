//! What is in artifacts, what was found in them, and for how long it ran.
//!
//! Packages and findings are read from the evidence that events name, with the readers that took the documents in
//! ([`crate::report`]). What cannot be read makes its artifact one of which nothing is known, never one without findings.
//! Documents about source code are left aside: what a tree lists is not what was built from it.

mod fold;
mod names;
mod range;
mod reading;
mod store;
mod version;

pub use fold::Packages;

use super::About;

/// What this projection is.
pub const ABOUT: About = About {
    name: "package",
    version: 1,
    schema: include_str!("../../../schema/views/package.sql"),
    tables: &[
        "package",
        "vulnerability",
        "package_document",
        "artifact_package",
        "artifact_vulnerability",
        "vulnerability_alias",
        "deployed_image",
    ],
    needs: &["deployment", "artifact"],
};
