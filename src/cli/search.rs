//! `search`: where words stand.

use std::fmt::Write as _;

use clap::Args;

use super::drift::person;
use super::environment::{short, table};
use super::exit::{Exit, Outcome};
use super::questions::{Known, Questions, instant, more};
use super::{Settings, print, print_json, printable};
use crate::api::proto::v1 as pb;
use crate::api::proto::v1::provenance_service_client::ProvenanceServiceClient;
use crate::event::Timestamp;

#[derive(Debug, Args)]
pub(super) struct Search {
    /// Words, `"phrases"`, `begin*`, `type:change.*`, `stream:repo/example.com`
    #[arg(required = true)]
    query: Vec<String>,
    /// What happened at this instant or later
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Option<Timestamp>,
    /// What happened before this instant
    #[arg(long, value_name = "TIME", value_parser = instant)]
    to: Option<Timestamp>,
    /// At most so many texts
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    limit: u32,
    /// Go on from the answer before
    #[arg(long, value_name = "TOKEN", default_value = "")]
    page_token: String,
    #[command(flatten)]
    known: Known,
}

pub(super) async fn search(settings: &Settings, args: Search) -> Result<Outcome, Exit> {
    let questions = Questions::open(settings, &args.known).await?;
    let mut client = ProvenanceServiceClient::new(questions.channel).max_decoding_message_size(64 << 20);
    let mut request = pb::SearchRequest {
        asked: Some(questions.asked),
        query: args.query.join(" "),
        from: args.from.map(Into::into),
        to: args.to.map(Into::into),
        page_size: args.limit.max(1),
        page_token: args.page_token,
    };
    let mut answer = client.search(request.clone()).await?.into_inner();
    // A page may hold less than was asked for and not be the last.
    loop {
        let left = args.limit.saturating_sub(u32::try_from(answer.hits.len()).unwrap_or(u32::MAX));
        if left == 0 || answer.next_page_token.is_empty() {
            break;
        }
        request.page_token.clone_from(&answer.next_page_token);
        request.page_size = left;
        let more = client.search(request.clone()).await?.into_inner();
        answer.hits.extend(more.hits);
        answer.next_page_token = more.next_page_token;
    }
    let empty = answer.hits.is_empty() && answer.names.is_empty() && answer.things.is_empty();
    if settings.json {
        print_json(&answer)?
    } else {
        print(&printable(&text(&answer)))?
    };
    Ok(if empty { Outcome::No } else { Outcome::Done })
}

fn text(answer: &pb::SearchResponse) -> String {
    let mut text = String::new();
    let mut line = |line: &str| {
        let _full = writeln!(text, "{line}").is_err();
    };
    for thing in &answer.things {
        line(&format!("{} {}", thing.kind, thing.id));
    }
    if !answer.names.is_empty() {
        let mut table = table(&["NAME", "OF", "FIRST EVENT"]);
        for name in &answer.names {
            table.add_row([name.name.clone(), name.kind.replace('_', " "), name.position.to_string()]);
        }
        line(&table.to_string());
    }
    if !answer.hits.is_empty() {
        let mut table = table(&["AT", "EVENT", "TYPE", "STREAM", "BY", "TEXT"]);
        for hit in &answer.hits {
            table.add_row([
                short(hit.at),
                hit.position.to_string(),
                hit.r#type.clone(),
                hit.stream.clone(),
                person(hit.actor.as_ref()),
                format!("{}: {}", hit.field, hit.snippet),
            ]);
        }
        line(&table.to_string());
    }
    text + &more("--page-token", &answer.next_page_token)
}
