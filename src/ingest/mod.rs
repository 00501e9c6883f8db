//! What other systems say becomes events here: one folder or file per system.
//!
//! A source is two things. A *transport* (webhook, upload, poll, watch) takes bytes in, checks who sent them and how large
//! they are, and keeps them as evidence. A *normaliser* is a pure function from headers and bytes to [`Events`] or a
//! [`Rejection`]; [`SYSTEMS`] lists those of webhooks, [`report::FORMATS`](crate::report::FORMATS) those of documents.

pub mod authentication;
mod bounded;
mod cloudevents;
mod counters;
mod delivery;
pub mod document;
mod document_http;
pub mod git;
pub mod http;
pub mod images;
mod intake;
pub mod kubernetes;
mod normalise;
mod recording;
pub mod redact;
mod registry;
mod settings;
mod target;
pub mod upload;
mod validation;
pub mod webhook;

pub use crate::report::{Kind, Reason, Rejection};
pub use counters::Counters;
pub use delivery::{Delivery, Events, Headers, TagSeen};
pub use intake::{Accepted, Hook, Intake, Refusal};
pub use normalise::{Input, Normalised, Payload, normalise};
pub use recording::Recorded;
pub use settings::{Settings, WebhookSettings};
pub use target::{Asked, TargetRule, Targets};
pub use webhook::{SYSTEMS, System};
