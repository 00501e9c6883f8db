//! Systems that report by webhook: one file and one line in [`SYSTEMS`] each.

mod alertmanager;
mod deployed;
mod forge;
mod github;
mod gitlab;

use super::authentication::Authentication;
use super::{Delivery, Events, Headers, Rejection};
use crate::report::Sketch;

/// A system that reports by webhook.
pub struct System {
    /// Its name, and the end of its path: `github`.
    pub name: &'static str,
    /// What it is, for people.
    pub about: &'static str,
    /// The events that are understood, for people.
    pub events: &'static [&'static str],
    /// How it shows that it knows the secret.
    pub authentication: Authentication,
    /// Members whose text is a secret, to be blackened before anything is kept.
    pub secret_members: &'static [&'static str],
    /// Whether a payload looks like one of its, by headers and beginning. For `plimsoll normalise`; a webhook's path says it.
    pub recognise: fn(&Headers, &Sketch) -> bool,
    /// Makes events of a delivery.
    pub normalise: fn(&Delivery<'_>) -> Result<Events, Rejection>,
}

impl std::fmt::Debug for System {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Every system, each with its own file.
pub const SYSTEMS: &[&System] = &[&alertmanager::SYSTEM, &github::SYSTEM, &gitlab::SYSTEM];

/// The system of that name.
#[must_use]
pub fn system(name: &str) -> Option<&'static System> {
    SYSTEMS.iter().copied().find(|system| system.name == name)
}
