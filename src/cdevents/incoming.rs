//! What a CDEvent says in the ledger's vocabulary.

use serde_json::Value;

use super::purl::Artifact;
use super::schemas::{self, Spec};
use super::{CUSTOM_PREFIX, Error, PREFIX};
use crate::event::artifact::{ArtifactPublished, BuildFinished};
use crate::event::change::ChangeAbandoned;
use crate::event::check::Conclusion;
use crate::event::git::BranchUpdated;
use crate::event::incident::{IncidentKind, IncidentOpened, IncidentResolved};
use crate::event::target::{RemovalCause, SyncSucceeded, TargetRemoved};
use crate::event::{Data, Digest, PRIVATE_MAX, Private, Timestamp};

/// Longest id that goes into an event. One is never cut: what is left would name something else.
const ID_BYTES_MAX: usize = 512;

/// A CDEvent that keeps to its schema.
#[derive(Debug, Clone, PartialEq)]
pub struct CdEvent {
    /// The version of the specification that it names.
    pub spec_version: String,
    /// Its type, with the type's own version.
    pub kind: String,
    /// Its id at its source.
    pub id: String,
    /// Where it is from.
    pub source: String,
    /// When it happened.
    pub time: Timestamp,
    /// The chain of events that it belongs to.
    pub chain: Option<String>,
    /// Id of what it is about. Only custom events may be without.
    pub subject: Option<String>,
    /// Where what it is about is from; where nothing is said, it is [`source`](Self::source).
    subject_source: Option<String>,
    content: Value,
}

/// Where an event belongs, in the source's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place<'a> {
    /// To an artifact.
    Artifact(Digest),
    /// To a repository.
    Repository {
        /// Where it is from.
        source: Option<&'a str>,
        /// Its id there.
        id: &'a str,
    },
    /// To a service in an environment.
    Target(Target<'a>),
    /// To an incident.
    Incident {
        /// Where it is from.
        source: &'a str,
        /// Its id there.
        id: &'a str,
        /// What it is about, where that is said.
        target: Option<Target<'a>>,
    },
}

/// A service in an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// The environment.
    pub environment: &'a str,
    /// The service.
    pub service: &'a str,
}

/// What an event says, and where that belongs.
#[derive(Debug, Clone, PartialEq)]
pub struct Said<'a> {
    /// Where it belongs.
    pub place: Place<'a>,
    /// What it says.
    pub data: Data,
}

impl CdEvent {
    /// Reads one, and holds it to the schema of its type. Custom events have none.
    ///
    /// # Errors
    /// [`Error`].
    pub fn read(event: &Value) -> Result<Self, Error> {
        let missing = |field: &str| Error::Missing { field: field.to_owned() };
        let context = event.get("context").filter(|context| context.is_object()).ok_or_else(|| missing("context"))?;
        let text = |name: &str| {
            let text = context.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
            text.map(str::to_owned).ok_or_else(|| missing(&format!("context.{name}")))
        };
        let member = if context.get("specversion").is_some() { "specversion" } else { "version" };
        let spec_version = text(member)?;
        let kind = text("type")?;
        let spec = Spec::of(&spec_version).ok_or_else(|| Error::Unsupported {
            field: format!("context.{member}"),
            what: format!("version {spec_version:?} of CDEvents is not known here: 0.3, 0.4 and 0.5 are"),
        })?;
        if kind.starts_with(PREFIX) {
            known(spec, &kind)?.check(event)?;
        } else if !kind.starts_with(CUSTOM_PREFIX) {
            let what = format!("{kind:?} is no type of CDEvents");
            return Err(Error::Unsupported { field: "context.type".to_owned(), what });
        }
        let stamp = text("timestamp")?;
        let time = stamp.parse().map_err(|_why| Error::Time {
            field: "context.timestamp".to_owned(),
            what: format!("{stamp:?} is not a time with a zone as in RFC 3339"),
        })?;
        let subject = event.get("subject");
        let of_subject = |name: &str| subject?.get(name)?.as_str().map(str::to_owned);
        Ok(Self {
            spec_version,
            kind,
            id: text("id")?,
            source: text("source")?,
            time,
            chain: context.get("chainId").and_then(Value::as_str).map(str::to_owned),
            subject: of_subject("id"),
            subject_source: of_subject("source"),
            content: subject.and_then(|subject| subject.get("content")).cloned().unwrap_or_default(),
        })
    }

    /// What it says in the ledger's vocabulary. None where that has no word for it, and where the event does not tell what
    /// the word requires: then it is kept as it came.
    #[must_use]
    pub fn said(&self) -> Option<Said<'_>> {
        let subject = self.subject.as_deref().filter(|id| id.len() <= ID_BYTES_MAX)?;
        let word = self.kind.strip_prefix(PREFIX)?;
        let (word, _version) = word.match_indices('.').nth(1).map(|(at, _)| word.split_at(at))?;
        let said = |place, data: Data| Some(Said { place, data });
        match word {
            "branch.created" | "branch.deleted" => said(self.repository()?, self.branch(subject).into()),
            "change.abandoned" => said(self.repository()?, abandoned(subject).into()),
            "build.finished" => {
                // It says that something was built and not how that came out.
                let artifact = self.artifact()?;
                said(Place::Artifact(artifact.digest.clone()?), built(artifact, Conclusion::Neutral).into())
            }
            "artifact.packaged" => {
                let artifact = Artifact::of(subject)?;
                said(Place::Artifact(artifact.digest.clone()?), built(artifact, Conclusion::Success).into())
            }
            "artifact.published" => {
                let artifact = Artifact::of(subject)?;
                said(Place::Artifact(artifact.digest.clone()?), published(artifact).into())
            }
            "incident.detected" => said(self.incident(subject), self.opened(IncidentKind::Alert).into()),
            "incident.reported" => said(self.incident(subject), self.opened(IncidentKind::Outage).into()),
            "incident.resolved" => said(self.incident(subject), self.resolved().into()),
            "service.deployed" | "service.upgraded" | "service.rolledback" => {
                said(Place::Target(self.target(subject)?), self.deployed().into())
            }
            "service.removed" => said(Place::Target(self.target(subject)?), removed().into()),
            _ => None,
        }
    }

    /// A text in the content.
    fn text(&self, pointer: &str) -> Option<&str> {
        self.content.pointer(pointer)?.as_str().filter(|text| !text.is_empty() && text.len() <= ID_BYTES_MAX)
    }

    fn private(&self, pointer: &str) -> Option<Private> {
        let text = self.content.pointer(pointer)?.as_str().filter(|text| !text.is_empty())?;
        Some(Private::plain(text.get(..text.floor_char_boundary(PRIVATE_MAX))?))
    }

    fn repository(&self) -> Option<Place<'_>> {
        Some(Place::Repository { source: self.text("/repository/source"), id: self.text("/repository/id")? })
    }

    fn target<'a>(&'a self, service: &'a str) -> Option<Target<'a>> {
        Some(Target { environment: self.text("/environment/id")?, service })
    }

    fn incident<'a>(&'a self, id: &'a str) -> Place<'a> {
        let target = self.text("/service/id").and_then(|service| self.target(service));
        Place::Incident { source: self.subject_source.as_deref().unwrap_or(&self.source), id, target }
    }

    fn artifact(&self) -> Option<Artifact> {
        Artifact::of(self.content.get("artifactId")?.as_str()?)
    }

    fn branch(&self, id: &str) -> BranchUpdated {
        let created = self.kind.contains(".branch.created.");
        BranchUpdated {
            after: None,
            before: None,
            branch: id.strip_prefix("refs/heads/").unwrap_or(id).to_owned(),
            branch_hex: None,
            created: created.then_some(true),
            deleted: (!created).then_some(true),
            forced: None,
        }
    }

    fn opened(&self, kind: IncidentKind) -> IncidentOpened {
        IncidentOpened {
            alert: None,
            assigned: None,
            caused_by: None,
            description: self.private("/description"),
            detected_at: (kind == IncidentKind::Alert).then_some(self.time),
            external: None,
            kind,
            opened_at: self.time,
            severity: None,
            started_at: None,
            targets: None,
            title: None,
            url: self.text("/ticketURI").map(str::to_owned),
            vulnerability: None,
        }
    }

    fn resolved(&self) -> IncidentResolved {
        IncidentResolved {
            automatic: None,
            detected_at: None,
            external: None,
            remediated_by: None,
            resolution: self.private("/description"),
            resolved_at: self.time,
            resolved_by: None,
            started_at: None,
        }
    }

    fn deployed(&self) -> SyncSucceeded {
        let artifact = self.artifact();
        SyncSucceeded {
            application: None,
            commit: None,
            deployment: None,
            effective: None,
            finished_at: self.time,
            git_ref: None,
            health: None,
            history_id: None,
            hotfix: None,
            images: artifact.as_ref().and_then(Artifact::image).map(|image| vec![image]),
            incomplete: None,
            message: None,
            observation: None,
            observed_between: None,
            operation: None,
            remediates_deployments: None,
            remediates_incidents: None,
            repository: None,
            resources: None,
            run: None,
            sources: None,
            started_at: None,
            url: None,
            version: artifact.and_then(|artifact| artifact.version.or(artifact.tag)),
        }
    }
}

/// The schema of a type in a version of the specification.
fn known(spec: Spec, kind: &str) -> Result<&'static schemas::Schema, Error> {
    let unsupported = |what: String| Error::Unsupported { field: "context.type".to_owned(), what };
    let mut parts = kind.get(PREFIX.len()..).unwrap_or_default().splitn(3, '.');
    let name = format!("{}{}", parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let schema = schemas::schema(spec, &name)
        .ok_or_else(|| unsupported(format!("CDEvents {} has no type {kind:?}", spec.as_str())))?;
    if schema.kind != kind {
        return Err(unsupported(format!("CDEvents {} has {} and not {kind:?}", spec.as_str(), schema.kind)));
    }
    Ok(schema)
}

fn abandoned(change: &str) -> ChangeAbandoned {
    ChangeAbandoned { change: change.to_owned(), head_commit: None, reason: None, url: None }
}

fn removed() -> TargetRemoved {
    TargetRemoved {
        application: None,
        cascade: None,
        cause: RemovalCause::Declared,
        observation: None,
        observed_between: None,
        reason: None,
        removed_by: None,
    }
}

fn built(artifact: Artifact, conclusion: Conclusion) -> BuildFinished {
    BuildFinished {
        attempt: None,
        base_images: None,
        build_type: None,
        builder: None,
        commit: None,
        conclusion,
        config_digest: None,
        dirty: None,
        git_ref: None,
        materials_total: None,
        media_type: None,
        name: Some(artifact.name),
        pipeline: None,
        platform: None,
        platforms: None,
        provenance: None,
        purl: Some(artifact.purl),
        recipe: None,
        repository: None,
        run: None,
        service: None,
        size: None,
        started_at: None,
        url: None,
        version: artifact.version,
    }
}

fn published(artifact: Artifact) -> ArtifactPublished {
    ArtifactPublished {
        config_digest: None,
        index: None,
        labelled_commit: None,
        media_type: None,
        name: artifact.name,
        platform: None,
        platforms: None,
        purl: Some(artifact.purl),
        run: None,
        size: None,
        tags: artifact.tag.into_iter().collect(),
        url: None,
    }
}
