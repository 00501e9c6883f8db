//! What an event of the ledger is called in CDEvents.

use serde_json::{Map, Value, json};

use super::schemas::{self, Schema, Spec};
use super::{CUSTOM_PREFIX, PREFIX, SPEC_VERSION, purl};
use crate::event::artifact::{ArtifactPublished, BuildFinished};
use crate::event::check::Conclusion;
use crate::event::incident::{IncidentKind, IncidentOpened};
use crate::event::pipeline::{PipelinerunFinished, TaskrunFinished};
use crate::event::target::SyncSucceeded;
use crate::event::{Data, Digest, Envelope, Error, Private, Recorded};

/// An event, and what else is to be told of it.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// The event.
    pub event: &'a Recorded,
    /// Name of the ledger: a URL without scheme.
    pub origin: &'a str,
    /// Ids of sealed values and pseudonyms, and what they stand for: empty where private values are not to be told.
    pub private: &'a [(String, String)],
}

/// What an event is in CDEvents.
struct Word {
    /// Subject and predicate: `branch.created`.
    word: &'static str,
    /// Id of what it is about.
    subject: String,
    content: Value,
}

/// The event as a CDEvent in an envelope of CloudEvents 1.0, in structured form.
///
/// Where CDEvents has a word for it and it tells what the word requires, it has that word, and `customData.plimsoll` the
/// payload; else it has a type of its own, `dev.cdeventsx.plimsoll-<subject>.<predicate>.<version>`, and the payload is the
/// content. What came in as a CDEvent and keeps its type keeps id and source, too, where they stand in its key; else it has
/// the ledger's own, as several that share an id and differ in type might else seem to be one.
///
/// # Errors
/// [`Error`], for an event that cannot be read.
pub fn envelope(told: &Told<'_>) -> Result<Value, Error> {
    let envelope = told.event.envelope();
    let data = told.event.data()?;
    let payload: Value = serde_json::from_str(told.event.payload()?).map_err(|error| Error::Json(error.to_string()))?;
    let came = Came::of(envelope);
    let ours = json!({
        "id": envelope.id, "type": envelope.type_name, "stream": envelope.stream, "position": envelope.position,
        "source": envelope.source, "dedup": envelope.dedup, "recorded_at": envelope.recorded_at,
    });
    let ours = ours.as_object().cloned().unwrap_or_default();
    for word in words(told, &data, came.as_ref()) {
        let Some(schema) = word.schema() else { continue };
        let kept = came.as_ref().filter(|came| came.word() == Some(word.word));
        let frame = Frame { told, came: kept, ours: &ours };
        let event = frame.event(&schema.kind, &word.subject, word.content, Some(&payload));
        if schema.check(&event).is_ok() {
            return Ok(frame.enveloped(&schema.kind, &word.subject, event));
        }
    }
    let frame = Frame { told, came: None, ours: &ours };
    let kind = custom(&envelope.type_name, envelope.v);
    let event = frame.event(&kind, envelope.stream.as_str(), payload, None);
    Ok(frame.enveloped(&kind, envelope.stream.as_str(), event))
}

/// The type of events for which CDEvents has no word. Its parts are letters only.
fn custom(type_name: &str, version: u32) -> String {
    let (subject, predicate) = type_name.split_once('.').unwrap_or((type_name, ""));
    let letters = |text: &str, other: &str| {
        let letters: String = text.chars().filter(char::is_ascii_alphabetic).collect();
        if letters.is_empty() { other.to_owned() } else { letters }
    };
    format!("{CUSTOM_PREFIX}plimsoll-{}.{}.{version}.0.0", letters(subject, "event"), letters(predicate, "recorded"))
}

/// What an event was when it came in as a CDEvent: its key says so, unless it is hashed.
struct Came<'a> {
    source: &'a str,
    id: &'a str,
    kind: &'a str,
}

impl<'a> Came<'a> {
    /// Of the key that the way in for CloudEvents makes: `<source> <id> <type>`.
    fn of(envelope: &'a Envelope) -> Option<Self> {
        let system = envelope.source.as_str().split('/').next();
        let (source, rest) = envelope.dedup.as_str().split_once(' ').filter(|_| system == Some("cloudevents"))?;
        let (id, kind) = rest.rsplit_once(' ')?;
        let fits =
            !source.is_empty() && !id.is_empty() && (kind.starts_with(PREFIX) || kind.starts_with(CUSTOM_PREFIX));
        fits.then_some(Self { source, id, kind })
    }

    /// Subject and predicate of its type.
    fn word(&self) -> Option<&'a str> {
        let word = self.kind.strip_prefix(PREFIX)?;
        word.match_indices('.').nth(1).and_then(|(at, _)| word.get(..at))
    }
}

/// What all that is made of one event has in common.
struct Frame<'a> {
    told: &'a Told<'a>,
    /// What it was when it came, where that is kept.
    came: Option<&'a Came<'a>>,
    /// What else the ledger has of it.
    ours: &'a Map<String, Value>,
}

impl Frame<'_> {
    fn id(&self) -> String {
        self.came.map_or_else(|| self.told.event.envelope().id.to_string(), |came| came.id.to_owned())
    }

    fn source(&self) -> String {
        self.came.map_or_else(|| source(self.told.origin), |came| came.source.to_owned())
    }

    fn event(&self, kind: &str, subject: &str, content: Value, payload: Option<&Value>) -> Value {
        let envelope = self.told.event.envelope();
        let mut context = json!({
            "specversion": SPEC_VERSION, "id": self.id(), "source": self.source(), "type": kind,
            "timestamp": envelope.occurred_at,
        });
        if let (Some(context), Some(chain)) = (context.as_object_mut(), &envelope.correlation) {
            context.insert("chainId".to_owned(), json!(chain));
        }
        let mut ours = self.ours.clone();
        if let Some(payload) = payload {
            ours.insert("data".to_owned(), payload.clone());
        }
        if !self.told.private.is_empty() {
            let private: Map<_, _> = self.told.private.iter().map(|(id, text)| (id.clone(), json!(text))).collect();
            ours.insert("private".to_owned(), Value::Object(private));
        }
        json!({
            "context": context,
            "subject": {"id": subject, "source": source(self.told.origin), "content": content},
            "customData": {"plimsoll": ours},
            "customDataContentType": "application/json",
        })
    }

    fn enveloped(&self, kind: &str, subject: &str, event: Value) -> Value {
        json!({
            "specversion": "1.0", "id": self.id(), "source": self.source(), "type": kind, "subject": subject,
            "time": self.told.event.envelope().occurred_at, "datacontenttype": "application/json", "data": event,
            "plimsollposition": self.told.event.envelope().position,
        })
    }
}

/// A ledger as the source of an event: a URI reference.
fn source(origin: &str) -> String {
    let mut source = "//".to_owned();
    for byte in origin.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte) {
            source.push(char::from(byte));
        } else {
            source.push_str(&format!("%{byte:02X}"));
        }
    }
    source
}

impl Word {
    fn new(word: &'static str, subject: impl Into<String>, content: Value) -> Self {
        Self { word, subject: subject.into(), content }
    }

    fn schema(&self) -> Option<&'static Schema> {
        schemas::schema(Spec::V0_5, &self.word.replacen('.', "", 1))
    }
}

/// The words for an event, the best first.
fn words(told: &Told<'_>, data: &Data, came: Option<&Came<'_>>) -> Vec<Word> {
    let envelope = told.event.envelope();
    let stream = envelope.stream.as_str();
    let in_repository = |word, subject: &str, content: Value| {
        let content = with(content, "repository", repository(stream));
        vec![Word::new(word, subject, content)]
    };
    match data {
        Data::BranchUpdated(branch) if branch.created == Some(true) => {
            in_repository("branch.created", &branch.branch, json!({}))
        }
        Data::BranchUpdated(branch) if branch.deleted == Some(true) => {
            in_repository("branch.deleted", &branch.branch, json!({}))
        }
        Data::ChangeCreated(change) => {
            let description = change.description.as_ref().or(change.title.as_ref());
            let content = with(json!({}), "description", text(told, description));
            in_repository("change.created", &change.change, content)
        }
        Data::ChangeReviewed(review) => in_repository("change.reviewed", &review.change, json!({})),
        Data::ChangeMerged(change) => in_repository("change.merged", &change.change, json!({})),
        Data::ChangeAbandoned(change) => in_repository("change.abandoned", &change.change, json!({})),
        Data::BuildFinished(build) => built(envelope, build),
        Data::ArtifactPublished(artifact) => published(envelope, artifact),
        Data::PipelinerunStarted(run) => {
            let content = with(json!({"pipelineName": run.pipeline}), "uri", run.url.as_ref().map(|url| json!(url)));
            vec![Word::new("pipelinerun.started", &run.run, content)]
        }
        Data::PipelinerunFinished(run) => vec![pipeline_finished(run)],
        Data::TaskrunStarted(run) => {
            let content = task(&run.task, run.url.as_deref(), run.run.as_deref());
            vec![Word::new("taskrun.started", &run.taskrun, content)]
        }
        Data::TaskrunFinished(run) => vec![task_finished(run)],
        Data::SyncSucceeded(sync) => deployed(envelope, sync, came),
        Data::TargetRemoved(_) => {
            let removed = target(stream).map(|(environment, service)| {
                Word::new("service.removed", service, json!({"environment": {"id": environment}}))
            });
            removed.into_iter().collect()
        }
        Data::IncidentOpened(incident) => opened(told, incident).into_iter().collect(),
        Data::ForeignReceived(foreign) => {
            // What it said beyond its type is in the evidence; many types require no more.
            let word = came.and_then(Came::word).and_then(known);
            let subject = text(told, foreign.subject.as_ref());
            let subject = subject.as_ref().and_then(Value::as_str);
            word.zip(subject).map(|(word, subject)| Word::new(word, subject, json!({}))).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// The type of that subject and predicate, without its version.
fn known(word: &str) -> Option<&'static str> {
    schemas::all().filter(|(spec, _)| *spec == Spec::V0_5).find_map(|(_, schema)| {
        let known = schema.kind.strip_prefix(PREFIX)?;
        let known = known.match_indices('.').nth(1).and_then(|(at, _)| known.get(..at))?;
        (known == word).then_some(known)
    })
}

/// An object with one member more, where there is a value for it.
fn with(mut object: Value, name: &str, value: Option<Value>) -> Value {
    if let (Some(members), Some(value)) = (object.as_object_mut(), value) {
        members.insert(name.to_owned(), value);
    }
    object
}

/// A private text, where it is to be told.
fn text(told: &Told<'_>, private: Option<&Private>) -> Option<Value> {
    let Private::Sealed(sealed) = private? else { return None };
    let (_, text) = told.private.iter().find(|(id, _)| id == sealed.sealed.as_str())?;
    Some(json!(text))
}

/// The repository that a stream is of.
fn repository(stream: &str) -> Option<Value> {
    let (host, path) = stream.strip_prefix("repo/")?.split_once('/')?;
    Some(json!({"id": path, "source": format!("//{host}")}))
}

/// Environment and service of a target's stream.
fn target(stream: &str) -> Option<(&str, &str)> {
    stream.strip_prefix("target/")?.split_once('/')
}

/// The package URL of an artifact: the one it has, or one made of its name and digest.
fn artifact(
    purl: Option<&String>,
    name: Option<&String>,
    digest: Option<&Digest>,
    tag: Option<&str>,
) -> Option<String> {
    purl.cloned().or_else(|| purl::of_image(name?, digest?, tag))
}

fn built(envelope: &Envelope, build: &BuildFinished) -> Vec<Word> {
    let digest = purl::of_stream(&envelope.stream);
    let artifact = artifact(build.purl.as_ref(), build.name.as_ref(), digest.as_ref(), None);
    let subject = build.run.clone().unwrap_or_else(|| envelope.stream.to_string());
    vec![Word::new("build.finished", subject, with(json!({}), "artifactId", artifact.map(|purl| json!(purl))))]
}

fn published(envelope: &Envelope, published: &ArtifactPublished) -> Vec<Word> {
    let digest = purl::of_stream(&envelope.stream);
    let tag = published.tags.first().map(String::as_str);
    let purl = artifact(published.purl.as_ref(), Some(&published.name), digest.as_ref(), tag);
    purl.map(|purl| Word::new("artifact.published", purl, json!({}))).into_iter().collect()
}

/// How something came out, where CDEvents has a word for it.
fn outcome(conclusion: Conclusion) -> Option<Value> {
    let word = match conclusion {
        Conclusion::Success => "success",
        Conclusion::Failure => "failure",
        Conclusion::Cancelled => "cancel",
        Conclusion::Error | Conclusion::TimedOut | Conclusion::Stale | Conclusion::StartupFailure => "error",
        Conclusion::Skipped | Conclusion::Neutral | Conclusion::ActionRequired => return None,
    };
    Some(json!(word))
}

fn pipeline_finished(run: &PipelinerunFinished) -> Word {
    let content = with(json!({"pipelineName": run.pipeline}), "uri", run.url.as_ref().map(|url| json!(url)));
    Word::new("pipelinerun.finished", &run.run, with(content, "outcome", outcome(run.conclusion)))
}

fn task(name: &str, url: Option<&str>, run: Option<&str>) -> Value {
    let content = with(json!({"taskName": name}), "uri", url.map(|url| json!(url)));
    with(content, "pipelineRun", run.map(|run| json!({"id": run})))
}

fn task_finished(run: &TaskrunFinished) -> Word {
    let content = task(&run.task, run.url.as_deref(), run.run.as_deref());
    Word::new("taskrun.finished", &run.taskrun, with(content, "outcome", outcome(run.conclusion)))
}

fn deployed(envelope: &Envelope, sync: &SyncSucceeded, came: Option<&Came<'_>>) -> Vec<Word> {
    let images = sync.images.iter().flatten();
    let purl =
        images.clone().find_map(|image| purl::of_image(&image.name, image.digest.as_ref()?, image.tag.as_deref()));
    let (Some((environment, service)), Some(purl)) = (target(envelope.stream.as_str()), purl) else {
        return Vec::new();
    };
    let word = match came.and_then(Came::word) {
        Some("service.upgraded") => "service.upgraded",
        Some("service.rolledback") => "service.rolledback",
        _ => "service.deployed",
    };
    vec![Word::new(word, service, json!({"environment": {"id": environment}, "artifactId": purl}))]
}

fn opened(told: &Told<'_>, incident: &IncidentOpened) -> Option<Word> {
    let targets = incident.targets.iter().flatten().filter_map(|stream| target(stream.as_str()));
    let (environment, service) = targets.clone().next()?;
    // One environment must be named; where it is about several, none of them would be the right one.
    if targets.clone().any(|(other, _)| other != environment) {
        return None;
    }
    let content =
        with(json!({"environment": {"id": environment}}), "description", text(told, incident.description.as_ref()));
    let one = targets.count() == 1;
    let content = with(content, "service", one.then(|| json!({"id": service})));
    let stream = told.event.envelope().stream.as_str();
    let id = stream.rsplit('/').next().unwrap_or(stream);
    Some(match (&incident.url, incident.kind) {
        (Some(url), kind) if kind != IncidentKind::Alert => {
            Word::new("incident.reported", id, with(content, "ticketURI", Some(json!(url))))
        }
        _ => Word::new("incident.detected", id, content),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_without_a_word_have_parts_of_letters() {
        assert_eq!(custom("scan.finished", 1), "dev.cdeventsx.plimsoll-scan.finished.1.0.0");
        assert_eq!(custom("x-2.y_3.z", 2), "dev.cdeventsx.plimsoll-x.yz.2.0.0");
        assert_eq!(custom("7", 1), "dev.cdeventsx.plimsoll-event.recorded.1.0.0");
        assert_eq!(source("plimsoll.example/a b"), "//plimsoll.example/a%20b");
    }
}
