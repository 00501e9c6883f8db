//! `drift`: when what ran differed from what should have run.

use clap::Args;

use super::environment::{gap_lines, short, table};
use super::exit::{Exit, Outcome};
use super::questions::{Known, Questions, instant, more};
use super::{Settings, print, print_json, printable};
use crate::api::proto::v1 as pb;
use crate::api::proto::v1::environment_service_client::EnvironmentServiceClient;
use crate::event::Timestamp;

#[derive(Debug, Args)]
pub(super) struct Drift {
    /// One environment [default: all]
    #[arg(default_value = "")]
    environment: String,
    /// One service [default: all]
    #[arg(default_value = "")]
    service: String,
    /// What lasted until this instant or longer
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Option<Timestamp>,
    /// What began before this instant
    #[arg(long, value_name = "TIME", value_parser = instant)]
    to: Option<Timestamp>,
    /// At most so many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    limit: u32,
    /// Go on from the answer before
    #[arg(long, value_name = "TOKEN", default_value = "")]
    page_token: String,
    #[command(flatten)]
    known: Known,
}

/// Somebody, as tables show them.
pub(super) fn person(person: Option<&pb::Person>) -> String {
    person.map_or_else(String::new, |person| person.identity.clone().unwrap_or_else(|| person.subject.clone()))
}

/// A length of time for people: the two largest units.
pub(super) fn span(seconds: u64) -> String {
    let (days, hours, minutes, rest) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest}s"),
        (0, 0, _) => format!("{minutes}m {rest}s"),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

pub(super) async fn drift(settings: &Settings, args: Drift) -> Result<Outcome, Exit> {
    let questions = Questions::open(settings, &args.known).await?;
    let request = pb::ListDriftRequest {
        asked: Some(questions.asked),
        environment: args.environment,
        service: args.service,
        from: args.from.map(Into::into),
        to: args.to.map(Into::into),
        page_size: args.limit,
        page_token: args.page_token,
    };
    let answer = EnvironmentServiceClient::new(questions.channel).list_drift(request).await?.into_inner();
    if settings.json {
        return print_json(&answer);
    }
    let mut table = table(&["FROM", "TO", "LASTED", "TARGET", "CAUSE", "END", "SUSPECT"]);
    for episode in &answer.episodes {
        table.add_row([
            short(episode.opened_at),
            short(episode.closed_at),
            span(episode.seconds),
            format!("{}/{}", episode.environment, episode.service),
            episode.cause.clone(),
            episode.end.clone().unwrap_or_else(|| "(lasts)".to_owned()),
            person(episode.suspect.as_ref()),
        ]);
    }
    let more = more("--page-token", &answer.next_page_token);
    let known = answer.basis.unwrap_or_default().known_at;
    let head = format!("{} episodes of drift, known at {known}\n", answer.episodes.len());
    print(&printable(&format!("{head}{table}\n{}{more}", gap_lines(&answer.gaps))))
}
