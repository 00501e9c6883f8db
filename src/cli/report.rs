//! `record scan`, `record sbom` and so on: a document is handed in.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use tonic::transport::Channel;

use super::access::Access;
use super::exit::{Exit, Outcome};
use super::record::AboutFlags;
use super::{Settings, evidence, print};
use crate::api::draft_to_proto;
use crate::api::proto::v1 as pb;
use crate::api::proto::v1::ledger_service_client::LedgerServiceClient;
use crate::event::{Correlation, Draft, Source, Subject, Timestamp};
use crate::ingest::document::{self, Body, Incoming, Understood};
use crate::ingest::upload::About;
use crate::ingest::{self, Intake, Refusal};
use crate::ledger::{Clock, Entropy, Evidence, Ledger, SystemClock, SystemEntropy};
use crate::report::Kind;

/// A document by what it is handed in as.
#[derive(Debug, Subcommand)]
pub(super) enum Handed {
    /// Record a scanner's report
    Scan(Report),
    /// Record a bill of materials
    Sbom(Report),
    /// Record the findings of a linter, formatter or type checker
    Check(Report),
    /// Record the results of tests
    Tests(Report),
    /// Record a signed or unsigned statement
    Attestation(Report),
    /// Record what tests reached
    Coverage(Report),
    /// Record what trying a target gave
    Validation(Report),
    /// Record an artifact by the manifest or index that a registry has of it
    Artifact(Report),
}

#[derive(Debug, Args)]
pub(super) struct Report {
    /// The document; `-` reads it from standard input
    file: PathBuf,
    /// Its format, as `plimsoll sources` names it [default: found out]
    #[arg(long, value_name = "NAME")]
    format: Option<String>,
    /// Who says so [default: report]
    #[arg(long)]
    source: Option<Source>,
    /// When it was made, where it does not say so itself, as in RFC 3339 [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Who made it
    #[arg(long)]
    actor: Option<Subject>,
    /// The undertaking it belongs to
    #[arg(long)]
    correlation: Option<Correlation>,
    #[command(flatten)]
    about: AboutFlags,
}

/// An event that was recorded, as it is told.
struct Told {
    position: u64,
    id: String,
    event_type: String,
    stream: String,
    duplicate: bool,
}

pub(super) async fn hand_in(settings: &Settings, handed: Handed) -> Result<Outcome, Exit> {
    let (kind, args) = match handed {
        Handed::Scan(args) => (Kind::Scan, args),
        Handed::Sbom(args) => (Kind::Sbom, args),
        Handed::Check(args) => (Kind::Check, args),
        Handed::Tests(args) => (Kind::Tests, args),
        Handed::Attestation(args) => (Kind::Attestation, args),
        Handed::Coverage(args) => (Kind::Coverage, args),
        Handed::Validation(args) => (Kind::Validation, args),
        Handed::Artifact(args) => (Kind::Artifact, args),
    };
    let about = About {
        format: args.format,
        at: args.at,
        source: args.source,
        actor: args.actor,
        correlation: args.correlation,
        ..args.about.about()
    };
    let reader = open(&args.file)?;
    let mut limits = ingest::Settings { targets: settings.config.targets.clone(), ..ingest::Settings::default() };
    limits.document_bytes_max = settings.config.document_bytes_max.unwrap_or(limits.document_bytes_max);
    let bytes_max = limits.document_bytes_max;
    let told = match Access::writer(settings, "plimsoll record", false).await? {
        Access::Local(ledger) => {
            let evidence = ledger.evidence().clone();
            let read =
                read(reader, kind, about, bytes_max, evidence).await.map_err(|failed| failed.exit(&args.file))?;
            local(ledger, limits, read).await.map_err(|refusal| Failed::Refused(refusal).exit(&args.file))?
        }
        Access::Remote(client) => {
            // What is too large to be kept in memory is read twice: to understand it, and then to send it.
            let spool = Spool::new()?;
            let evidence = Evidence::local(&spool.0)?;
            let read =
                read(reader, kind, about, bytes_max, evidence).await.map_err(|failed| failed.exit(&args.file))?;
            remote(client, read).await?
        }
    };
    tell(settings, &told)
}

fn open(path: &Path) -> Result<Box<dyn Read + Send>, Exit> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(std::io::stdin()));
    }
    let cannot = |error: std::io::Error| Exit::usage(format!("cannot read {}: {error}", path.display()));
    let file = std::fs::File::open(path).map_err(cannot)?;
    if file.metadata().map_err(cannot)?.is_dir() {
        return Err(Exit::usage(format!("cannot read {}: it is a directory", path.display())));
    }
    Ok(Box::new(file))
}

/// Why a document was not read.
enum Failed {
    Refused(Refusal),
    Gone(tokio::task::JoinError),
}

impl Failed {
    /// A rejection with its reason; errors of the ledger as for every other command.
    fn exit(self, file: &Path) -> Exit {
        match self {
            Self::Refused(Refusal::Rejected(rejection)) => {
                Exit::no(format!("{}: {}: {rejection}", file.display(), rejection.reason))
            }
            Self::Refused(Refusal::Ledger(error)) => error.into(),
            Self::Gone(error) => Exit::no(format!("the reading failed: {error}")),
        }
    }
}

async fn read(
    reader: Box<dyn Read + Send>,
    kind: Kind,
    about: About,
    bytes_max: u64,
    evidence: Evidence,
) -> Result<Understood, Failed> {
    let reading = tokio::task::spawn_blocking(move || {
        let incoming = Incoming {
            kind: Some(kind),
            about: &about,
            received_at: SystemClock.now(),
            bytes_max,
            memory_bytes_max: document::MEMORY_BYTES_MAX,
        };
        document::read(reader, &incoming, &evidence, &mut ()).map_err(|(_, refusal)| refusal)
    });
    let read = reading.await.map_err(Failed::Gone)?.map_err(Failed::Refused)?;
    if read.redactions > 0 {
        tracing::info!("{} secrets were blackened", read.redactions);
    }
    Ok(read)
}

async fn local(ledger: Ledger, settings: ingest::Settings, read: Understood) -> Result<Vec<Told>, Refusal> {
    let intake = Intake::new(ledger, settings).map_err(crate::ledger::Error::Refused)?;
    let told = |event: ingest::Recorded| Told {
        position: event.position.parse().unwrap_or_default(),
        id: event.id.to_string(),
        event_type: event.event_type,
        stream: event.stream,
        duplicate: event.duplicate,
    };
    Ok(intake.record_document(read).await?.into_iter().map(told).collect())
}

async fn remote(mut client: LedgerServiceClient<Channel>, read: Understood) -> Result<Vec<Told>, Exit> {
    let Understood { events, body, .. } = read;
    for tag in &events.tags {
        let (name, tag) = (&tag.name, &tag.tag);
        tracing::warn!("what {name}:{tag} names is recorded only by the server's own POST /v1/evidence");
    }
    let reference = body.reference().clone();
    match body {
        Body::Small(blob) => {
            evidence::put(&mut client, &reference, std::io::Cursor::new(blob.bytes().clone())).await?;
        }
        Body::Large(blob) => {
            let reader = blob.open().map_err(|error| Exit::busy(format!("cannot read the document again: {error}")))?;
            evidence::put(&mut client, &reference, reader).await?;
        }
    }
    let said = events.drafts.clone();
    let placed = if events.repeats {
        append_new(&mut client, events.drafts).await?
    } else {
        Access::Remote(client).append(events.drafts).await?
    };
    let told = said.iter().zip(placed).map(|(draft, (position, id, duplicate))| Told {
        position,
        id,
        event_type: draft.data.event_type().map(|kind| kind.as_str()).unwrap_or_default().to_owned(),
        stream: draft.stream.to_string(),
        duplicate,
    });
    Ok(told.collect())
}

/// Appends drafts of which what is known under its key stands as it is, in whatever words it is said again.
async fn append_new(
    client: &mut LedgerServiceClient<Channel>,
    drafts: Vec<Draft>,
) -> Result<Vec<(u64, String, bool)>, Exit> {
    let mut placed = Vec::new();
    for draft in drafts {
        let draft = draft_to_proto(&draft)?;
        match client.append(pb::AppendRequest { drafts: vec![draft], with_receipts: false }).await {
            Ok(done) => {
                placed.extend(done.into_inner().placed.into_iter().map(|at| (at.position, at.id, at.duplicate)));
            }
            Err(status) if status.code() == tonic::Code::AlreadyExists => placed.push(known(status)?),
            Err(status) => return Err(status.into()),
        }
    }
    Ok(placed)
}

/// Where the event is that stands under the same key.
fn known(status: tonic::Status) -> Result<(u64, String, bool), Exit> {
    use tonic_types::StatusExt as _;
    let told = status.get_details_error_info().and_then(|info| {
        let position = info.metadata.get("position")?.parse().ok()?;
        Some((position, info.metadata.get("id")?.clone(), true))
    });
    told.ok_or_else(|| status.into())
}

/// A directory of this command alone, removed at its end.
struct Spool(PathBuf);

impl Spool {
    fn new() -> Result<Self, Exit> {
        use std::os::unix::fs::DirBuilderExt;
        let mut random = [0; 8];
        SystemEntropy.fill(&mut random);
        let path = std::env::temp_dir().join(format!("plimsoll-{}", hex::encode(random)));
        let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| Exit::busy(format!("cannot create {}: {error}", path.display())))?;
        Ok(Self(path))
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, dir = %self.0.display(), "cannot remove");
        }
    }
}

fn tell(settings: &Settings, told: &[Told]) -> Result<Outcome, Exit> {
    let mut text = String::new();
    for Told { position, id, event_type, stream, duplicate } in told {
        if settings.json {
            let line = serde_json::json!({"position": position, "id": id, "type": event_type, "stream": stream,
                "duplicate": duplicate});
            text.push_str(&format!("{line}\n"));
        } else {
            let known = if *duplicate { "  (recorded before)" } else { "" };
            text.push_str(&format!("{position}  {id}  {event_type}  {stream}{known}\n"));
        }
    }
    print(&text)
}
