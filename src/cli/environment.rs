//! `env`, `deployments`, `targets`, `rebuild`: what ran where.

use clap::Args;
use comfy_table::{Table, presets};

use super::exit::{Exit, Outcome};
use super::questions::{Known, Questions, instant};
use super::{Settings, print, print_json, printable};
use crate::api::Timestamp as WireTime;
use crate::api::proto::v1 as pb;
use crate::api::proto::v1::environment_service_client::EnvironmentServiceClient;
use crate::app;
use crate::event::Timestamp;
use crate::ledger::{Ledger, Lock};
use crate::projection;

#[derive(Debug, Args)]
pub(super) struct Env {
    /// The environment
    environment: String,
    /// One service [default: all]
    service: Option<String>,
    /// At this instant: RFC 3339, or a day [default: when the last event was recorded]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    as_of: Option<Timestamp>,
    #[command(flatten)]
    known: Known,
}

#[derive(Debug, Args)]
pub(super) struct Deployments {
    /// The environment
    environment: String,
    /// The service
    service: String,
    /// From this instant on
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Option<Timestamp>,
    /// Before this instant
    #[arg(long, value_name = "TIME", value_parser = instant)]
    to: Option<Timestamp>,
    /// At most so many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    limit: u32,
    #[command(flatten)]
    known: Known,
}

#[derive(Debug, Args)]
pub(super) struct Targets {
    /// One environment [default: all]
    #[arg(default_value = "")]
    environment: String,
    #[command(flatten)]
    known: Known,
}

#[derive(Debug, Args)]
pub(super) struct Rebuild {
    /// Build beside what is there and compare, byte for byte; change nothing
    #[arg(long)]
    check: bool,
}

/// A table without lines, for terminals and for `grep`.
pub(super) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    table
}

/// An instant as tables show it: to the second.
pub(super) fn short(at: Option<WireTime>) -> String {
    let text = at.and_then(|at| at.to_event().ok()).map(|at| at.to_string()).unwrap_or_default();
    text.split('.').next().map(|cut| if cut.is_empty() { String::new() } else { format!("{cut}Z") }).unwrap_or_default()
}

/// An image as tables show it.
pub(super) fn image(image: &pb::RunningImage) -> String {
    let name = image.name.rsplit('/').next().unwrap_or(&image.name);
    let tag = image.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
    let digest = image.digest.as_ref().and_then(|digest| digest.split(':').nth(1)).unwrap_or_default();
    let digest = if digest.is_empty() { " (no digest)".to_owned() } else { format!("@{digest:.12}") };
    format!("{name}{tag}{digest}")
}

/// Images as tables show them.
pub(super) fn images(deployment: &pb::Deployment) -> String {
    deployment.images.iter().map(image).collect::<Vec<_>>().join("\n")
}

fn commits(deployment: &pb::Deployment) -> String {
    let commits: Vec<_> = deployment.source_commits.iter().map(|source| format!("{:.12}", source.commit)).collect();
    commits.join("\n")
}

pub(super) fn gap_lines(gaps: &[pb::Gap]) -> String {
    let line = |gap: &pb::Gap| {
        let of = gap.observed.as_deref().unwrap_or("everything");
        format!("blind to {of} from {} to {}: {}\n", short(gap.from), short(gap.to), gap.reason)
    };
    gaps.iter().map(line).collect()
}

pub(super) async fn env(settings: &Settings, args: Env) -> Result<Outcome, Exit> {
    let questions = Questions::open(settings, &args.known).await?;
    let request = pb::GetStateRequest {
        asked: Some(questions.asked),
        environment: args.environment,
        service: args.service.unwrap_or_default(),
        as_of: args.as_of.map(Into::into),
    };
    let answer = EnvironmentServiceClient::new(questions.channel).get_state(request).await?.into_inner();
    if settings.json {
        return print_json(&answer);
    }
    let mut table = table(&["SERVICE", "IMAGE", "COMMIT", "SINCE", "CLASS", "STATUS", "UNCERTAIN"]);
    for target in &answer.targets {
        let Some(running) = &target.deployment else {
            table.add_row([target.service.as_str(), "(nothing)"]);
            continue;
        };
        table.add_row([
            target.service.clone(),
            images(running),
            commits(running),
            short(running.from),
            running.class.clone().unwrap_or_default(),
            running.status.clone(),
            running.uncertain.join("; "),
        ]);
    }
    let known = answer.basis.unwrap_or_default().known_at;
    let title = format!("{} as of {}, known at {known}\n", answer.environment, short(answer.as_of));
    print(&printable(&format!("{title}{table}\n{}", gap_lines(&answer.gaps))))
}

pub(super) async fn deployments(settings: &Settings, args: Deployments) -> Result<Outcome, Exit> {
    let questions = Questions::open(settings, &args.known).await?;
    let request = pb::ListDeploymentsRequest {
        asked: Some(questions.asked),
        environment: args.environment,
        service: args.service,
        from: args.from.map(Into::into),
        to: args.to.map(Into::into),
        page_size: args.limit,
        page_token: String::new(),
    };
    let answer = EnvironmentServiceClient::new(questions.channel).list_deployments(request).await?.into_inner();
    if settings.json {
        return print_json(&answer);
    }
    let mut table = table(&["FROM", "TO", "CLASS", "STATUS", "IMAGE", "COMMIT", "FINISHED", "ID"]);
    for deployment in &answer.deployments {
        table.add_row([
            short(deployment.from),
            short(deployment.to),
            deployment.class.clone().unwrap_or_else(|| "(no effect)".to_owned()),
            deployment.status.clone(),
            images(deployment),
            commits(deployment),
            short(deployment.finished_at),
            deployment.id.clone(),
        ]);
    }
    print(&printable(&format!("{table}\n{}", gap_lines(&answer.gaps))))
}

pub(super) async fn targets(settings: &Settings, args: Targets) -> Result<Outcome, Exit> {
    let questions = Questions::open(settings, &args.known).await?;
    let request = pb::ListTargetsRequest { asked: Some(questions.asked), environment: args.environment };
    let answer = EnvironmentServiceClient::new(questions.channel).list_targets(request).await?.into_inner();
    if settings.json {
        return print_json(&answer);
    }
    let mut table = table(&["ENVIRONMENT", "TIER", "SERVICE", "SINCE"]);
    for target in answer.targets {
        table.add_row([target.environment, target.tier, target.service, short(target.since)]);
    }
    print(&printable(&format!("{table}\n")))
}

pub(super) async fn rebuild(settings: &Settings, args: Rebuild) -> Result<Outcome, Exit> {
    if settings.server.is_some() {
        return Err(Exit::usage("rebuild works on a data directory that no server is running on"));
    }
    let (data, json) = (settings.data.clone(), settings.json);
    tokio::task::spawn_blocking(move || {
        let ledger = Ledger::open_read_only(&data)?;
        let _lock = Lock::take(&data.views_lock(), "plimsoll rebuild")?;
        let (views, beside) = (data.views(), data.views().with_extension("next.db"));
        let bar = super::progress::bar(false);
        bar.set_length(ledger.head().size);
        app::build(&ledger, &beside, projection::all, &|done, _| bar.set_position(done))?;
        bar.finish_and_clear();
        let events = ledger.head().size;
        if !args.check {
            crate::ledger::replace_database(&beside, &views)?;
            return told(json, events, None);
        }
        let difference = projection::compare(&views, &beside, &projection::all());
        crate::ledger::remove_database(&beside)?;
        told(json, events, difference?.as_ref())
    })
    .await
    .map_err(|error| Exit::no(error.to_string()))?
}

fn told(json: bool, events: u64, difference: Option<&projection::Difference>) -> Result<Outcome, Exit> {
    let outcome = if difference.is_some() { Outcome::No } else { Outcome::Done };
    if json {
        let difference = difference
            .map(|it| serde_json::json!({ "table": it.table, "row": it.row, "views": it.left, "rebuilt": it.right }));
        print_json(&serde_json::json!({ "events": events, "difference": difference }))?;
        return Ok(outcome);
    }
    match difference {
        None => print(&format!("{events} events folded\n"))?,
        Some(it) => print(&format!(
            "the views differ from a rebuild: table {}, row {}\n  views:   {}\n  rebuilt: {}\n",
            it.table,
            it.row,
            it.left.as_deref().unwrap_or("(no more rows)"),
            it.right.as_deref().unwrap_or("(no more rows)"),
        ))?,
    };
    Ok(outcome)
}
