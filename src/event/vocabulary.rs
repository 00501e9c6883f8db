//! The registry of event types: one line each. A type's struct, name, version and stream kind are tied together here only.

use super::canonical::Value;
use super::private::{Field, Visitor};
use super::{Error, StreamName};

/// Declares [`EventType`] and [`Data`] from the list of types.
macro_rules! vocabulary {
    ($( $kind:ident { $( $text:literal => $variant:ident ( $payload:ty ) ),* $(,)? } )*) => {
        /// A type of event that this binary knows.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EventType { $($(
            #[doc = concat!("`", $text, "`")]
            $variant,
        )*)* }

        impl EventType {
            /// Every type, in the order of the registry.
            pub const ALL: &'static [Self] = &[$($( Self::$variant, )*)*];

            /// The type's name, `subject.predicate`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $($( Self::$variant => $text, )*)* }
            }

            /// The kind of stream its events belong to.
            #[must_use]
            pub const fn stream_kind(self) -> StreamKind {
                match self { $($( Self::$variant => StreamKind::$kind, )*)* }
            }

            /// The type of that name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($( $text => Some(Self::$variant), )*)* _ => None }
            }

            /// The JSON Schema of the payload as recorded, without its envelope.
            #[must_use]
            pub fn payload_schema(self, generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                match self { $($( Self::$variant => generator.root_schema_for::<$payload>(), )*)* }
            }
        }

        /// The payload of an event, typed.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Data {
            $($(
                #[doc = concat!("Of `", $text, "`.")]
                $variant($payload),
            )*)*
            /// Of a type, or a version of one, that this binary does not know: readable and hashable all the same.
            Unknown(Value),
        }

        impl Data {
            /// The type, where it is known.
            #[must_use]
            pub fn event_type(&self) -> Option<EventType> {
                match self {
                    $($( Self::$variant(_) => Some(EventType::$variant), )*)*
                    Self::Unknown(_) => None,
                }
            }

            fn decode<'de, D: serde::Deserializer<'de>>(event_type: EventType, deserializer: D) -> Result<Self, D::Error> {
                match event_type {
                    $($( EventType::$variant => <$payload as serde::Deserialize>::deserialize(deserializer).map(Self::$variant), )*)*
                }
            }

            /// Appends the payload's JSON to `out`: canonical once its private values are sealed.
            pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
                match self {
                    $($( Self::$variant(payload) => serde_json::to_writer(out, payload), )*)*
                    Self::Unknown(value) => {
                        out.extend_from_slice(&super::canonical::to_bytes(value));
                        Ok(())
                    }
                }
            }
        }

        impl Field for Data {
            fn visit(&mut self, visitor: &mut dyn Visitor) -> Result<(), Error> {
                match self {
                    $($( Self::$variant(payload) => payload.visit(visitor), )*)*
                    Self::Unknown(_) => Ok(()),
                }
                .map_err(|error| error.within("data"))
            }
        }

        $($(
            impl From<$payload> for Data {
                fn from(payload: $payload) -> Self {
                    Self::$variant(payload)
                }
            }
        )*)*
    };
}

vocabulary! {
    Repo {
        "commit.recorded" => CommitRecorded(super::git::CommitRecorded),
        "branch.updated" => BranchUpdated(super::git::BranchUpdated),
        "tag.created" => TagCreated(super::git::TagCreated),
        "tag.moved" => TagMoved(super::git::TagMoved),
        "tag.deleted" => TagDeleted(super::git::TagDeleted),
        "change.created" => ChangeCreated(super::change::ChangeCreated),
        "change.reviewed" => ChangeReviewed(super::change::ChangeReviewed),
        "change.merged" => ChangeMerged(super::change::ChangeMerged),
        "change.abandoned" => ChangeAbandoned(super::change::ChangeAbandoned),
        "release.published" => ReleasePublished(super::git::ReleasePublished),
        "check.finished" => CheckFinished(super::check::CheckFinished),
        "testsuite.finished" => TestsuiteFinished(super::check::TestsuiteFinished),
        "pipelinerun.started" => PipelinerunStarted(super::pipeline::PipelinerunStarted),
        "pipelinerun.finished" => PipelinerunFinished(super::pipeline::PipelinerunFinished),
        "taskrun.started" => TaskrunStarted(super::pipeline::TaskrunStarted),
        "taskrun.finished" => TaskrunFinished(super::pipeline::TaskrunFinished),
    }
    Artifact {
        "build.finished" => BuildFinished(super::artifact::BuildFinished),
        "artifact.published" => ArtifactPublished(super::artifact::ArtifactPublished),
        "tag.repointed" => TagRepointed(super::artifact::TagRepointed),
    }
    ArtifactOrRepo {
        "scan.finished" => ScanFinished(super::artifact::ScanFinished),
        "sbom.attached" => SbomAttached(super::artifact::SbomAttached),
        "attestation.attached" => AttestationAttached(super::artifact::AttestationAttached),
    }
    Target {
        "manifest.committed" => ManifestCommitted(super::target::ManifestCommitted),
        "sync.started" => SyncStarted(super::target::SyncStarted),
        "sync.succeeded" => SyncSucceeded(super::target::SyncSucceeded),
        "sync.failed" => SyncFailed(super::target::SyncFailed),
        "sync.terminated" => SyncTerminated(super::target::SyncTerminated),
        "health.changed" => HealthChanged(super::target::HealthChanged),
        "workload.scaled" => WorkloadScaled(super::target::WorkloadScaled),
        "drift.opened" => DriftOpened(super::target::DriftOpened),
        "drift.closed" => DriftClosed(super::target::DriftClosed),
        "guard.changed" => GuardChanged(super::target::GuardChanged),
        "action.audited" => ActionAudited(super::target::ActionAudited),
        "target.removed" => TargetRemoved(super::target::TargetRemoved),
        "validation.finished" => ValidationFinished(super::check::ValidationFinished),
    }
    Promotion {
        "promotion.requested" => PromotionRequested(super::promotion::PromotionRequested),
        "promotion.evaluated" => PromotionEvaluated(super::promotion::PromotionEvaluated),
        "promotion.approved" => PromotionApproved(super::promotion::PromotionApproved),
        "promotion.rejected" => PromotionRejected(super::promotion::PromotionRejected),
        "promotion.voided" => PromotionVoided(super::promotion::PromotionVoided),
        "promotion.started" => PromotionStarted(super::promotion::PromotionStarted),
        "promotion.completed" => PromotionCompleted(super::promotion::PromotionCompleted),
        "promotion.failed" => PromotionFailed(super::promotion::PromotionFailed),
        "promotion.cancelled" => PromotionCancelled(super::promotion::PromotionCancelled),
        "promotion.expired" => PromotionExpired(super::promotion::PromotionExpired),
    }
    Restore {
        "restore.planned" => RestorePlanned(super::restore::RestorePlanned),
        "restore.approved" => RestoreApproved(super::restore::RestoreApproved),
        "restore.started" => RestoreStarted(super::restore::RestoreStarted),
        "restore.completed" => RestoreCompleted(super::restore::RestoreCompleted),
        "restore.failed" => RestoreFailed(super::restore::RestoreFailed),
    }
    Incident {
        "incident.opened" => IncidentOpened(super::incident::IncidentOpened),
        "incident.resolved" => IncidentResolved(super::incident::IncidentResolved),
        "incident.reopened" => IncidentReopened(super::incident::IncidentReopened),
        "incident.linked" => IncidentLinked(super::incident::IncidentLinked),
    }
    Policy {
        "policy.changed" => PolicyChanged(super::policy::PolicyChanged),
        "freeze.started" => FreezeStarted(super::policy::FreezeStarted),
        "freeze.ended" => FreezeEnded(super::policy::FreezeEnded),
        "project.changed" => ProjectChanged(super::policy::ProjectChanged),
    }
    Ledger {
        "ledger.created" => LedgerCreated(super::ledger::LedgerCreated),
        "key.rotated" => KeyRotated(super::ledger::KeyRotated),
        "heads.committed" => HeadsCommitted(super::ledger::HeadsCommitted),
        "observation.gap" => ObservationGap(super::ledger::ObservationGap),
        "export.created" => ExportCreated(super::ledger::ExportCreated),
        "backup.completed" => BackupCompleted(super::ledger::BackupCompleted),
        "ledger.restored" => LedgerRestored(super::ledger::LedgerRestored),
        "drill.completed" => DrillCompleted(super::ledger::DrillCompleted),
        "reconcile.completed" => ReconcileCompleted(super::ledger::ReconcileCompleted),
        "subject.erased" => SubjectErased(super::ledger::SubjectErased),
        "evidence.erased" => EvidenceErased(super::ledger::EvidenceErased),
    }
    Foreign {
        "foreign.received" => ForeignReceived(super::foreign::ForeignReceived),
    }
    Notification {
        "notification.sent" => NotificationSent(super::notification::NotificationSent),
        "notification.failed" => NotificationFailed(super::notification::NotificationFailed),
    }
}

/// The kinds of stream: what the first segment of a stream's name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// `repo/<host>/<path>`
    Repo,
    /// `artifact/<digest>`
    Artifact,
    /// `artifact/<digest>`, or for what is said of source code `repo/<host>/<path>`
    ArtifactOrRepo,
    /// `target/<environment>/<service>`
    Target,
    /// `promotion/<id>`
    Promotion,
    /// `restore/<id>`
    Restore,
    /// `incident/<id>`
    Incident,
    /// `policy`
    Policy,
    /// `ledger`
    Ledger,
    /// `foreign/<source>`
    Foreign,
    /// `notification/<id>`
    Notification,
}

impl StreamKind {
    /// The form of such a stream's name, for people.
    #[must_use]
    pub const fn form(self) -> &'static str {
        match self {
            Self::Repo => "repo/<host>/<path>",
            Self::Artifact => "artifact/<digest>",
            Self::ArtifactOrRepo => "artifact/<digest> or repo/<host>/<path>",
            Self::Target => "target/<environment>/<service>",
            Self::Promotion => "promotion/<id>",
            Self::Restore => "restore/<id>",
            Self::Incident => "incident/<id>",
            Self::Policy => "policy",
            Self::Ledger => "ledger",
            Self::Foreign => "foreign/<source>",
            Self::Notification => "notification/<id>",
        }
    }

    /// Whether a name has this kind's form.
    #[must_use]
    pub fn admits(self, stream: &StreamName) -> bool {
        let (kind, rest) =
            stream.as_str().split_once('/').map_or((stream.as_str(), None), |(kind, rest)| (kind, Some(rest)));
        let segments = rest.map_or(0, |rest| rest.split('/').count());
        match self {
            Self::Repo => kind == "repo" && segments >= 2,
            Self::Artifact => kind == "artifact" && rest.is_some_and(|rest| rest.parse::<super::Digest>().is_ok()),
            Self::ArtifactOrRepo => Self::Artifact.admits(stream) || Self::Repo.admits(stream),
            Self::Target => kind == "target" && segments == 2,
            Self::Promotion => kind == "promotion" && segments == 1,
            Self::Restore => kind == "restore" && segments == 1,
            Self::Incident => kind == "incident" && segments >= 1,
            Self::Policy => kind == "policy" && segments == 0,
            Self::Ledger => kind == "ledger" && segments == 0,
            Self::Foreign => kind == "foreign" && segments >= 1,
            Self::Notification => kind == "notification" && segments == 1,
        }
    }
}

impl std::fmt::Display for EventType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for EventType {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        Self::from_name(text).ok_or_else(|| Error::UnknownType(text.to_owned()))
    }
}

/// Version of the payloads this binary writes: the `v` of an event. A change that old readers cannot read raises it,
/// and `Data::read` upcasts what was written before.
pub const VERSION: u32 = 1;

impl Data {
    /// Reads a payload to be appended: strictly. Any layout of JSON will do.
    ///
    /// # Errors
    /// [`Error::Field`] or [`Error::Json`] naming an unknown, missing, duplicate or wrongly typed field.
    pub fn parse(event_type: EventType, json: &[u8]) -> Result<Self, Error> {
        let mut unknown: Option<String> = None;
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let data = Self::decode(
            event_type,
            serde_ignored::Deserializer::new(&mut deserializer, &mut |path: serde_ignored::Path<'_>| {
                unknown.get_or_insert_with(|| path.to_string());
            }),
        )
        .map_err(|error| Error::Json(error.to_string()).within("data"))?;
        deserializer.end().map_err(|error| Error::Json(error.to_string()).within("data"))?;
        match unknown {
            Some(path) => Err(Error::field(format!("data.{path}"), format!("{event_type} has no such field"))),
            None => Ok(data),
        }
    }

    /// The payload's JSON. Of a draft, with its private values in plain.
    ///
    /// # Errors
    /// [`Error::Json`] should a payload not be writable.
    pub fn to_json(&self) -> Result<String, Error> {
        let mut json = Vec::new();
        self.write(&mut json).map_err(|error| Error::Json(error.to_string()))?;
        String::from_utf8(json).map_err(|error| Error::Json(error.to_string()))
    }

    /// Reads a recorded payload: fields that a newer writer added are passed over, and what this binary cannot
    /// read at all is [`Data::Unknown`].
    ///
    /// # Errors
    /// [`Error::Json`] when it is not even JSON that a leaf may hold.
    pub fn read(type_name: &str, version: u32, json: &[u8]) -> Result<Self, Error> {
        let known = EventType::from_name(type_name).filter(|_| version <= VERSION);
        let typed =
            known.and_then(|event_type| Self::decode(event_type, &mut serde_json::Deserializer::from_slice(json)).ok());
        typed.map_or_else(|| super::canonical::parse(json).map(Self::Unknown), Ok)
    }
}
