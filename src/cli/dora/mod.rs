//! `dora`, `explain`: how well software is delivered, and what stands behind each figure.

mod show;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};

use super::exit::{Exit, Outcome};
use super::questions::{Known, Questions, instant};
use super::{Settings, print, print_json, printable};
use crate::api::proto::v1 as pb;
use crate::api::proto::v1::metrics_service_client::MetricsServiceClient;
use crate::event::Timestamp;
use crate::projection::dora::Figure;

/// What figures are asked of.
#[derive(Debug, Clone, Args)]
struct Question {
    /// Of this service; may be given several times, and the services are pooled [default: all]
    #[arg(long = "service", value_name = "SERVICE")]
    services: Vec<String>,
    /// In this environment; may be given several times [default: all of the tier]
    #[arg(long = "environment", value_name = "ENVIRONMENT")]
    environments: Vec<String>,
    /// The tier of environments, by their names [default: production]
    #[arg(long, value_name = "TIER", default_value = "", hide_default_value = true)]
    tier: String,
    /// From this instant on: RFC 3339, or a day
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Option<Timestamp>,
    /// Before this instant [default: just after the last event was recorded]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    to: Option<Timestamp>,
    /// So long before the end: 12h, 30d, 13w [default: 90d]
    #[arg(long, value_name = "SPAN", value_parser = seconds, conflicts_with = "from")]
    last: Option<u64>,
    /// Cut days, weeks and months by this IANA time zone [default: UTC]
    #[arg(long, value_name = "ZONE", default_value = "", hide_default_value = true)]
    zone: String,
    /// Count lead time from when a commit was written, its change was merged, or the change's first commit was written
    #[arg(long, value_enum, default_value_t = LeadFrom::Author)]
    lead_time_from: LeadFrom,
    /// What this author wrote is no change: automation; may be given several times
    #[arg(long = "automation", value_name = "AUTHOR")]
    automation: Vec<String>,
    /// Also count, apart, deployments after which an incident began within this time [default: 24h]
    #[arg(long, value_name = "SPAN", value_parser = seconds, num_args = 0..=1, default_missing_value = "24h")]
    inferred: Option<u64>,
    #[command(flatten)]
    known: Known,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LeadFrom {
    Author,
    Merge,
    FirstCommit,
}

impl LeadFrom {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Author => "author",
            Self::Merge => "merge",
            Self::FirstCommit => "first_commit",
        }
    }
}

impl Question {
    fn to_proto(&self) -> pb::DoraQuestion {
        pb::DoraQuestion {
            services: self.services.clone(),
            environments: self.environments.clone(),
            tier: self.tier.clone(),
            from: self.from.map(Into::into),
            to: self.to.map(Into::into),
            zone: self.zone.clone(),
            lead_time_from: self.lead_time_from.as_str().to_owned(),
            automation: self.automation.clone(),
            inferred_within_seconds: self.inferred,
            last_seconds: self.last,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    Day,
    Week,
    Month,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Group {
    Service,
    Environment,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
    Csv,
}

/// Reads a figure by its name in answers.
fn figure() -> impl TypedValueParser<Value = Figure> {
    let words = PossibleValuesParser::new(Figure::ALL.map(Figure::as_str));
    words.try_map(|word| Figure::ALL.into_iter().find(|figure| figure.as_str() == word).ok_or("no such figure"))
}

#[derive(Debug, Args)]
pub(super) struct Dora {
    #[command(flatten)]
    question: Question,
    /// Also by day, ISO week or month
    #[arg(long, value_enum)]
    by: Option<By>,
    /// Also by service, environment, or both
    #[arg(long, value_enum, value_name = "WHAT")]
    group_by: Vec<Group>,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Draw a figure over time [default: how often, by week]
    #[arg(long, value_parser = figure(), num_args = 0..=1, default_missing_value = "deployment_frequency", value_name = "FIGURE")]
    plot: Option<Figure>,
}

#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The figure
    #[arg(value_parser = figure())]
    figure: Figure,
    #[command(flatten)]
    question: Question,
    /// Also what does not count: the rest of the denominator, what is excluded, what is open
    #[arg(long)]
    all: bool,
    /// At most so many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    limit: u32,
    /// Go on where a page before ended
    #[arg(long, value_name = "TOKEN", default_value = "", hide_default_value = true)]
    page_token: String,
}

/// A length of time: a number of seconds, minutes, hours, days or weeks.
fn seconds(text: &str) -> Result<u64, String> {
    let (number, unit) = text.split_at(text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).len());
    let unit: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return Err("give a number with s, m, h, d or w: 90d".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_not_a_number| format!("{number:?} is no number"))?;
    number.checked_mul(unit).filter(|span| *span > 0).ok_or_else(|| "must be more than nothing".to_owned())
}

pub(super) async fn dora(settings: &Settings, args: Dora) -> Result<Outcome, Exit> {
    let questions = Questions::open(settings, &args.question.known).await?;
    let by = match (args.by, args.plot) {
        (Some(By::Day), _) => "day",
        (Some(By::Week), _) | (None, Some(_)) => "week",
        (Some(By::Month), _) => "month",
        (None, None) => "",
    };
    let group = |group: &Group| match group {
        Group::Service => "service".to_owned(),
        Group::Environment => "environment".to_owned(),
    };
    let request = pb::GetDoraRequest {
        asked: Some(questions.asked),
        question: Some(args.question.to_proto()),
        group_by: args.group_by.iter().map(group).collect(),
        by: by.to_owned(),
    };
    let answer = MetricsServiceClient::new(questions.channel).get_dora(request).await?.into_inner();
    match (args.format, args.plot) {
        _ if settings.json => print_json(&answer),
        (Format::Json, _) => print_json(&answer),
        (Format::Csv, _) => print(&show::csv(&answer)?),
        (Format::Table, Some(figure)) => print(&printable(&show::plot(&answer, figure))),
        (Format::Table, None) => print(&printable(&show::report(&answer))),
    }
}

pub(super) async fn explain(settings: &Settings, args: Explain) -> Result<Outcome, Exit> {
    let questions = Questions::open(settings, &args.question.known).await?;
    let request = pb::ExplainDoraRequest {
        asked: Some(questions.asked),
        question: Some(args.question.to_proto()),
        figure: args.figure.as_str().to_owned(),
        all: args.all,
        page_size: args.limit,
        page_token: args.page_token,
    };
    let answer = MetricsServiceClient::new(questions.channel).explain_dora(request).await?.into_inner();
    if settings.json {
        return print_json(&answer);
    }
    print(&printable(&show::items(&answer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_a_unit() {
        assert_eq!([seconds("90d"), seconds("2w"), seconds("30s")], [Ok(7_776_000), Ok(1_209_600), Ok(30)]);
        for wrong in ["", "90", "d", "0d", "-1d", "1y", "99999999999999999999w", "18446744073709551615w"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
