//! What is in artifacts, what was found in them, and for how long it ran.
//!
//! Packages and findings are read from the evidence that events name, with the readers that took the documents in
//! ([`crate::report`]). What cannot be read makes its artifact one of which nothing is known, never one without findings.
//! Documents about source code are left aside: what a tree lists is not what was built from it.

mod asked;
mod exposure;
mod fold;
mod maven;
mod names;
mod range;
mod reading;
mod run;
mod store;
mod told;
mod unknown;
mod version;

pub use asked::{Pattern, Subject};
pub use exposure::{Doubt, End, Exposed, Exposure, Period, Question, Sighting, Statement, exposure};
pub use fold::Packages;
pub use names::Package;
pub use store::DocumentKind;
pub use told::Evidence;
pub use unknown::{Place, Unknown, unknown, without_images};

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
        "package_image",
    ],
    needs: &["deployment", "artifact"],
};
