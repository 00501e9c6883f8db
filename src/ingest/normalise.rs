//! What a payload would become, without a ledger: for trying an integration, and for tests.

use bytes::Bytes;

use super::upload::{self, About};
use super::webhook::{SYSTEMS, system};
use super::{Events, Headers, Hook, Reason, Rejection, Targets, intake, redact};
use crate::event::{EvidenceRef, Timestamp};
use crate::report::{self, Details, Document, FORMATS, Format, Given, Sketch};

/// What a payload is.
#[derive(Debug, Clone, Copy)]
pub enum Payload {
    /// A delivery of a system that reports by webhook.
    Webhook(&'static super::System),
    /// A document.
    Document(&'static Format),
}

/// What a payload becomes.
#[derive(Debug)]
pub struct Normalised {
    /// What it was taken for.
    pub payload: Payload,
    /// The events.
    pub events: Events,
    /// How many secrets were blackened.
    pub redactions: u32,
}

/// What came, and what is known of it.
#[derive(Debug)]
pub struct Input<'a> {
    /// Name of the source or format; found out where there is none.
    pub source: Option<&'a str>,
    /// What came with it.
    pub headers: &'a Headers,
    /// Its bytes.
    pub body: Bytes,
    /// What is known of a document.
    pub about: &'a About,
    /// Which target is meant by what sources call it.
    pub targets: &'a Targets,
    /// When it came.
    pub received_at: Timestamp,
}

/// What a payload would become. Nothing is checked that needs a secret.
///
/// # Errors
/// Why it would be refused.
pub fn normalise(input: &Input<'_>, details: &mut dyn Details) -> Result<Normalised, Rejection> {
    let payload = recognise(input)?;
    match payload {
        Payload::Webhook(system) => {
            let hook = Hook::unchecked(system).map_err(|what| Rejection::new(Reason::UnknownSource, what))?;
            let taken = intake::opened(&hook, input.headers, input.body.clone(), input.body.len().max(32 << 20))?;
            let events = intake::normalised(&hook, input.headers, &taken, input.received_at, input.targets)?;
            Ok(Normalised { payload, events, redactions: taken.redactions })
        }
        Payload::Document(format) => {
            let mut body = input.body.to_vec();
            let members = (format.secret_members)(&Sketch::of(&body));
            let redactions = redact::redact(&mut body, members);
            let evidence = EvidenceRef::of(intake::media_type(format.media_type, redactions)?, &body);
            let exit_code = input.about.exit_code;
            let given = Given { document: evidence.blake3.clone(), exit_code, received_at: input.received_at };
            let report = (format.read)(&Document::bytes(&body), &given, details)?;
            let kind = format.kind(input.about.environment.is_some());
            let events = upload::events(kind, input.about, report, &evidence, input.received_at)?;
            Ok(Normalised { payload, events, redactions })
        }
    }
}

fn recognise(input: &Input<'_>) -> Result<Payload, Rejection> {
    if let Some(name) = input.source {
        let format = || FORMATS.iter().copied().find(|format| format.name == name).map(Payload::Document);
        return system(name).map(Payload::Webhook).or_else(format).ok_or_else(|| {
            let names = SYSTEMS.iter().map(|system| system.name).chain(FORMATS.iter().map(|format| format.name));
            let names: Vec<_> = names.collect();
            Rejection::new(Reason::UnknownSource, format!("{name:?} is none of {}", names.join(", "))).at("source")
        });
    }
    let sketch = Sketch::of(&input.body);
    let by_webhook = SYSTEMS.iter().copied().find(|system| (system.recognise)(input.headers, &sketch));
    match by_webhook {
        Some(system) => Ok(Payload::Webhook(system)),
        None => report::detect(None, &sketch).map(Payload::Document),
    }
}
