//! `diff`: what differs between two states.

use std::fmt::Write as _;

use clap::Args;

use super::drift::person;
use super::environment::{gap_lines, images, short, table};
use super::exit::{Exit, Outcome};
use super::questions::{Known, Questions, instant};
use super::{Settings, print, print_json, printable};
use crate::api::proto::v1 as pb;
use crate::api::proto::v1::environment_service_client::EnvironmentServiceClient;
use crate::event::Timestamp;

#[derive(Debug, Args)]
pub(super) struct Diff {
    /// The environment before
    environment: String,
    /// The environment after [default: the same]
    #[arg(default_value = "", hide_default_value = true, conflicts_with_all = ["from", "to"])]
    other: String,
    /// The instant before: RFC 3339, or a day
    #[arg(long, value_name = "TIME", value_parser = instant, required_unless_present = "other")]
    from: Option<Timestamp>,
    /// The instant after [default: when the last event was recorded]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    to: Option<Timestamp>,
    /// Both environments at this instant [default: when the last event was recorded]
    #[arg(long, value_name = "TIME", value_parser = instant, conflicts_with_all = ["from", "to"], requires = "other")]
    at: Option<Timestamp>,
    /// One service [default: all]
    #[arg(long, default_value = "", hide_default_value = true)]
    service: String,
    /// Of each service at most so many commits
    #[arg(short = 'n', long = "commits", value_name = "N", default_value_t = 20)]
    commits: u32,
    #[command(flatten)]
    known: Known,
}

pub(super) async fn diff(settings: &Settings, args: Diff) -> Result<Outcome, Exit> {
    let questions = Questions::open(settings, &args.known).await?;
    let request = pb::DiffRequest {
        asked: Some(questions.asked),
        environment: args.environment,
        at: args.from.or(args.at).map(Into::into),
        other_environment: args.other,
        other_at: args.to.or(args.at).map(Into::into),
        service: args.service,
        commits: args.commits,
    };
    let answer = EnvironmentServiceClient::new(questions.channel).diff(request).await?.into_inner();
    if settings.json {
        return print_json(&answer);
    }
    print(&printable(&in_words(&answer)))
}

/// The answer for people: a section for each service that differs.
fn in_words(answer: &pb::DiffResponse) -> String {
    let known = answer.basis.unwrap_or_default().known_at;
    let mut text = format!(
        "{} at {} against {} at {}, known at {known}: {} differ, {} the same\n",
        answer.environment,
        short(answer.at),
        answer.other_environment,
        short(answer.other_at),
        answer.services.len(),
        answer.unchanged
    );
    for service in &answer.services {
        // Writing to a string cannot fail.
        let _infallible = write!(text, "\n{}", service_in_words(service)).is_ok();
    }
    text + &gap_lines(&answer.gaps)
}

fn service_in_words(service: &pb::ServiceDiff) -> String {
    let mut text = format!("{}: {}\n", service.service, service.change);
    for (side, deployment) in [("-", &service.before), ("+", &service.after)] {
        let Some(deployment) = deployment else { continue };
        let class = deployment.class.as_deref().unwrap_or_default();
        let by = match person(deployment.initiated_by.as_ref()).as_str() {
            "" => String::new(),
            who => format!(", by {who}"),
        };
        for line in images(deployment).lines().chain((deployment.images.is_empty()).then_some("(images not told)")) {
            text += &format!("  {side} {line}  since {}, {class}{by}\n", short(deployment.from));
        }
    }
    if service.change == "changed" {
        text += &commits_in_words(service);
    }
    if !service.changes.is_empty() {
        let mut changes = table(&["", "CHANGE", "MERGED", "AUTHOR", "APPROVED BY", "TITLE"]);
        for change in &service.changes {
            changes.add_row([
                sign(&change.direction).to_owned(),
                change.change.clone(),
                short(change.merged_at),
                person(change.author.as_ref()),
                approved_by(change),
                change.title.clone().unwrap_or_default(),
            ]);
        }
        text += &format!("{changes}\n");
    }
    if !service.scans.is_empty() {
        let mut scans = table(&["SCAN", "KIND", "STATUS", "AT", "CRITICAL", "HIGH", "MEDIUM", "LOW", "ALL"]);
        let number = |n: Option<u32>| n.map_or_else(String::new, |n| n.to_string());
        for scan in &service.scans {
            scans.add_row([
                scan.tool.clone(),
                scan.kind.clone(),
                scan.status.clone(),
                short(scan.at),
                number(scan.critical),
                number(scan.high),
                number(scan.medium),
                number(scan.low),
                number(scan.findings),
            ]);
        }
        text += &format!("{scans}\n");
    }
    text
}

fn commits_in_words(service: &pb::ServiceDiff) -> String {
    let not_all = if service.commits_incomplete { ", as far as history is known" } else { "" };
    let (added, removed) = (service.commits_added, service.commits_removed);
    let mut text = format!("  {added} commits added, {removed} removed{not_all}\n");
    if service.commits.is_empty() {
        return text;
    }
    let mut commits = table(&["", "COMMIT", "WRITTEN", "AUTHOR", "TITLE"]);
    for commit in &service.commits {
        commits.add_row([
            sign(&commit.direction).to_owned(),
            format!("{:.12}", commit.commit),
            short(commit.authored_at),
            person(commit.author.as_ref()),
            commit.title.clone().unwrap_or_default(),
        ]);
    }
    text += &format!("{commits}\n");
    text
}

fn sign(direction: &str) -> &'static str {
    if direction == "added" { "+" } else { "-" }
}

/// Who approved a change, and what is wrong with an approval.
fn approved_by(change: &pb::ChangeDiff) -> String {
    let approval = |approval: &pb::ChangeApproval| {
        let but = [
            (approval.by_author, "the author"),
            (approval.after_merge, "after the merge"),
            (approval.until.is_some(), "taken back"),
            (approval.of_head == Some(false), "of an earlier commit"),
        ];
        let but: Vec<_> = but.into_iter().filter_map(|(so, what)| so.then_some(what)).collect();
        let but = if but.is_empty() { String::new() } else { format!(" ({})", but.join(", ")) };
        format!("{}{but}", person(approval.reviewer.as_ref()))
    };
    match change.approvals.as_slice() {
        [] => "(nobody)".to_owned(),
        approvals => approvals.iter().map(approval).collect::<Vec<_>>().join("\n"),
    }
}
