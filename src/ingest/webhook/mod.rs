//! Systems that report by webhook: one file and one line in [`SYSTEMS`] each.

mod alertmanager;
mod argocd;
mod deployed;
mod flux;
mod forge;
mod github;
mod gitlab;
mod grafana;
mod kubernetes_audit;
mod opsgenie;
mod pagerduty;
mod statuspage;

use super::authentication::Authentication;
use super::{Delivery, Events, Headers, Rejection, git};
use crate::event::{PRIVATE_MAX, Private, StreamName};
use crate::report::{Sketch, value};

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
pub const SYSTEMS: &[&System] = &[
    &alertmanager::SYSTEM,
    // Before Argo CD's notifications, which may hold a whole Application, too: an object by itself was not notified of.
    &super::kubernetes::SYSTEM,
    &argocd::SYSTEM,
    &flux::SYSTEM,
    &github::SYSTEM,
    &gitlab::SYSTEM,
    &grafana::SYSTEM,
    &kubernetes_audit::SYSTEM,
    &opsgenie::SYSTEM,
    &pagerduty::SYSTEM,
    &statuspage::SYSTEM,
    &super::cloudevents::SYSTEM,
];

/// Longest URL, in bytes, that is taken from a payload.
const URL_MAX: usize = 2048;

/// A text for people, as long as one may be; none where it is empty.
fn private(text: Option<&str>) -> Option<Private> {
    text.filter(|text| !text.is_empty()).map(|text| Private::plain(value::cut(text, PRIVATE_MAX)))
}

/// The stream of an incident, by its id at the source.
///
/// # Errors
/// [`Reason::BadField`](super::Reason::BadField) at `field`.
fn incident(delivery: &Delivery<'_>, field: &str, id: &str) -> Result<StreamName, Rejection> {
    StreamName::of("incident", &[delivery.source.as_str(), id])
        .map_err(|_why| Rejection::new(super::Reason::BadField, format!("{id:?} is no id")).at(field))
}

/// The stream of a repository, by a URL with a host. Only that is looked at: no file and no network.
fn repository(url: &str) -> Option<StreamName> {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    let remote = scheme.map_or_else(|| url.contains('@') && url.contains(':'), |scheme| scheme != "file");
    if remote { git::name_of(url, None).ok().map(|name| name.stream) } else { None }
}

/// The system of that name.
#[must_use]
pub fn system(name: &str) -> Option<&'static System> {
    SYSTEMS.iter().copied().find(|system| system.name == name)
}

/// Blackens what is secret in a body by what it is and not by the name of its member, and returns how many there were.
pub(super) fn blacken(system: &System, body: &mut Vec<u8>) -> u32 {
    if system.name == kubernetes_audit::SYSTEM.name { kubernetes_audit::blacken(body) } else { 0 }
}
