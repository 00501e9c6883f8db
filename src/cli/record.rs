//! `record`: any event, from flags or standard input. Documents are [`report`]'s.

use std::io::Read;

use clap::Args;
use serde_json::value::RawValue;

use super::access::Access;
use super::exit::{Exit, Outcome};
use super::report::{self, Handed};
use super::{Settings, print};
use crate::app::RawDraft;
use crate::event::{Digest, Draft, GitOid};
use crate::ingest::upload::About;
use crate::ledger::{Clock, Entropy, SystemClock, SystemEntropy};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Record {
    #[command(subcommand)]
    document: Option<Handed>,
    /// The type, e.g. `sync.succeeded`; `-` reads whole drafts in JSON from standard input, one after another
    #[arg(required = true)]
    event_type: Option<String>,
    /// The stream, e.g. `target/production/churn-api`
    #[arg(long, default_value = "", hide_default_value = true)]
    stream: String,
    /// Who says so
    #[arg(long, default_value = "cli")]
    source: String,
    /// The source's own id for it: the same source and dedup is the same event [default: made up]
    #[arg(long)]
    dedup: Option<String>,
    /// When it happened, as in RFC 3339 [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Who did it
    #[arg(long)]
    actor: Option<String>,
    /// The undertaking it belongs to
    #[arg(long)]
    correlation: Option<String>,
    /// Id of the event that led to it
    #[arg(long)]
    causation: Option<String>,
    /// The stream's last seq, or `empty`
    #[arg(long, value_name = "SEQ")]
    expected: Option<String>,
    /// The payload in JSON; `-` reads it from standard input
    #[arg(long, value_name = "JSON", conflicts_with = "field")]
    payload: Option<String>,
    /// A field of the payload; the value is JSON, or else text. May be repeated
    #[arg(long, short = 'f', value_name = "NAME=VALUE")]
    field: Vec<String>,
}

/// What only who hands a document in knows.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct AboutFlags {
    /// The artifact that a document is about
    #[arg(long, value_name = "DIGEST")]
    artifact: Option<Digest>,
    /// The commit that a document is about
    #[arg(long, value_name = "SHA")]
    commit: Option<GitOid>,
    /// The repository of the commit
    #[arg(long, value_name = "HOST/PATH")]
    repository: Option<String>,
    /// What the check, suite or artifact is called
    #[arg(long)]
    name: Option<String>,
    /// The tag in the registry that names the artifact
    #[arg(long)]
    tag: Option<String>,
    /// Id of the pipeline run that made it
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// Which attempt of the run
    #[arg(long, value_name = "N")]
    attempt: Option<u32>,
    /// The branch it was made for
    #[arg(long)]
    branch: Option<String>,
    /// Id of the change it was made for
    #[arg(long, value_name = "ID")]
    change: Option<String>,
    /// The environment of the target that was tried
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
    /// The service of the target that was tried
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// The platform it is about, e.g. `linux/amd64`
    #[arg(long)]
    platform: Option<String>,
    /// The tool's exit code
    #[arg(long, value_name = "CODE", allow_hyphen_values = true)]
    exit_code: Option<i32>,
    /// Restrictions that the tool was run with, e.g. `--ignore-unfixed`
    #[arg(long, value_name = "FLAGS", allow_hyphen_values = true)]
    filters: Option<String>,
    /// Where to look at it
    #[arg(long)]
    url: Option<String>,
    /// Record it although it says that it is about something else
    #[arg(long)]
    other_subject: bool,
}

impl AboutFlags {
    pub(super) fn about(&self) -> About {
        About {
            artifact: self.artifact.clone(),
            commit: self.commit.clone(),
            repository: self.repository.clone(),
            name: self.name.clone(),
            tag: self.tag.clone(),
            run: self.run.clone(),
            attempt: self.attempt,
            branch: self.branch.clone(),
            change: self.change.clone(),
            environment: self.environment.clone(),
            service: self.service.clone(),
            platform: self.platform.clone(),
            exit_code: self.exit_code,
            filters: self.filters.clone(),
            url: self.url.clone(),
            other_subject: self.other_subject,
            ..About::default()
        }
    }
}

pub(super) async fn record(settings: &Settings, args: Record) -> Result<Outcome, Exit> {
    if let Some(document) = args.document {
        return report::hand_in(settings, document).await;
    }
    let drafts = if args.event_type.as_deref() == Some("-") { from_input()? } else { vec![from_flags(args)?] };
    if drafts.is_empty() {
        return Err(Exit::usage("standard input holds no draft"));
    }
    let mut access = Access::writer(settings, "plimsoll record", false).await?;
    let mut text = String::new();
    for (position, id, duplicate) in access.append(drafts).await? {
        if settings.json {
            text.push_str(&format!(
                "{}\n",
                serde_json::json!({"position": position, "id": id, "duplicate": duplicate})
            ));
        } else {
            let known = if duplicate { "  (recorded before)" } else { "" };
            text.push_str(&format!("{position}  {id}{known}\n"));
        }
    }
    print(&text)
}

fn input() -> Result<Vec<u8>, Exit> {
    let mut bytes = Vec::new();
    std::io::stdin()
        .lock()
        .read_to_end(&mut bytes)
        .map_err(|error| Exit::busy(format!("cannot read standard input: {error}")))?;
    Ok(bytes)
}

fn from_input() -> Result<Vec<Draft>, Exit> {
    let bytes = input()?;
    let raw = serde_json::Deserializer::from_slice(&bytes).into_iter::<RawDraft>();
    raw.enumerate()
        .map(|(n, raw)| {
            let wrong = |error: String| Exit::usage(format!("draft {n} of standard input: {error}"));
            let raw = raw.map_err(|error| wrong(error.to_string()))?;
            raw.check().map_err(|error| wrong(error.to_string()))
        })
        .collect()
}

fn from_flags(args: Record) -> Result<Draft, Exit> {
    let data = match args.payload.as_deref() {
        Some("-") => String::from_utf8(input()?).map_err(|_why| Exit::usage("standard input is not UTF-8"))?,
        Some(data) => data.to_owned(),
        None => fields(&args.field)?,
    };
    let data = RawValue::from_string(data).map_err(|error| Exit::usage(format!("--payload: {error}")))?;
    let made_up = || {
        let mut random = [0; 16];
        SystemEntropy.fill(&mut random);
        hex::encode(random)
    };
    let raw = RawDraft {
        type_name: args.event_type.unwrap_or_default(),
        stream: args.stream,
        source: args.source,
        dedup: args.dedup.unwrap_or_else(made_up),
        occurred_at: args.at.unwrap_or_else(|| SystemClock.now().to_string()),
        actor: args.actor,
        correlation: args.correlation,
        causation: args.causation,
        evidence: Vec::new(),
        data: Some(data),
        expected: args.expected,
    };
    raw.check().map_err(|error| Exit::usage(error.to_string()))
}

fn fields(fields: &[String]) -> Result<String, Exit> {
    let mut members = serde_json::Map::new();
    for field in fields {
        let (name, value) =
            field.split_once('=').ok_or_else(|| Exit::usage(format!("--field {field}: not NAME=VALUE")))?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| serde_json::Value::String(value.to_owned()));
        if members.insert(name.to_owned(), value).is_some() {
            return Err(Exit::usage(format!("--field {name} is given twice")));
        }
    }
    Ok(serde_json::Value::Object(members).to_string())
}
