//! `exceptions`: everything that went past the usual way, the list that an auditor starts from.

use std::collections::BTreeMap;

use clap::Args;

use super::drift::person;
use super::environment::{short, table};
use super::exit::{Exit, Outcome};
use super::questions::{Known, Questions, instant, more};
use super::{Settings, print, print_json, printable};
use crate::api::proto::v1 as pb;
use crate::api::proto::v1::audit_service_client::AuditServiceClient;
use crate::event::Timestamp;
use crate::projection::practice::Kind;

#[derive(Debug, Args)]
pub(super) struct Exceptions {
    /// From this instant on, and what lasted until then: RFC 3339, or a day
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Option<Timestamp>,
    /// Before this instant
    #[arg(long, value_name = "TIME", value_parser = instant)]
    to: Option<Timestamp>,
    /// One environment; what is of no target is left out then
    #[arg(long, default_value = "", hide_default_value = true)]
    environment: String,
    /// One service; what is of no target is left out then
    #[arg(long, default_value = "", hide_default_value = true)]
    service: String,
    /// One kind of exceptions, as `tag_moved`. May be repeated [default: all]
    #[arg(long, value_parser = kind)]
    kind: Vec<Kind>,
    /// At most so many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    limit: u32,
    /// Go on from the answer before
    #[arg(long, value_name = "TOKEN", default_value = "", hide_default_value = true)]
    page_token: String,
    #[command(flatten)]
    known: Known,
}

fn kind(word: &str) -> Result<Kind, String> {
    word.parse()
}

/// Most exceptions that are asked for at once.
const PAGE: u32 = 1000;

pub(super) async fn exceptions(settings: &Settings, args: Exceptions) -> Result<Outcome, Exit> {
    let questions = Questions::open(settings, &args.known).await?;
    let mut client = AuditServiceClient::new(questions.channel);
    let mut request = pb::ListExceptionsRequest {
        asked: Some(questions.asked),
        from: args.from.map(Into::into),
        to: args.to.map(Into::into),
        environment: args.environment,
        service: args.service,
        kinds: args.kind.iter().map(|kind| kind.as_str().to_owned()).collect(),
        page_size: 0,
        page_token: args.page_token,
    };
    // A page may hold few, or none, where much had to be looked at.
    let mut answer: Option<pb::ListExceptionsResponse> = None;
    loop {
        let found = answer.as_ref().map_or(0, |answer| answer.exceptions.len());
        let left = args.limit.max(1).saturating_sub(u32::try_from(found).unwrap_or(u32::MAX));
        if left == 0 || answer.as_ref().is_some_and(|answer| answer.next_page_token.is_empty()) {
            break;
        }
        request.page_size = left.min(PAGE);
        let page = client.list_exceptions(request.clone()).await?.into_inner();
        request.page_token.clone_from(&page.next_page_token);
        answer = Some(answer.map_or_else(|| page.clone(), |answer| joined(answer, page.clone())));
    }
    let answer = answer.unwrap_or_default();
    if settings.json {
        return print_json(&answer);
    }
    print(&printable(&in_words(&answer)))
}

/// Two pages as one.
fn joined(mut one: pb::ListExceptionsResponse, other: pb::ListExceptionsResponse) -> pb::ListExceptionsResponse {
    one.exceptions.extend(other.exceptions);
    one.next_page_token = other.next_page_token;
    for (looked, more) in one.looked_at.iter_mut().zip(other.looked_at) {
        looked.examined += more.examined;
        let all = std::mem::take(&mut looked.not_judged).into_iter().chain(more.not_judged);
        let mut sums = BTreeMap::new();
        for it in all {
            *sums.entry((it.subject, it.reason)).or_insert(0) += it.examined;
        }
        let sum = |((subject, reason), examined)| pb::NotJudged { subject, reason, examined };
        looked.not_judged = sums.into_iter().map(sum).collect();
    }
    one
}

fn in_words(answer: &pb::ListExceptionsResponse) -> String {
    let known = answer.basis.unwrap_or_default().known_at;
    let mut text = format!("{} exceptions, known at {known}\n", answer.exceptions.len());
    for exception in &answer.exceptions {
        text += &one_in_words(exception);
    }
    let mut looked = table(&["LOOKED AT", "EXAMINED", "FOR"]);
    let mut blind = String::new();
    for it in &answer.looked_at {
        looked.add_row([it.kind.clone(), it.examined.to_string(), it.what.clone()]);
        for not in &it.not_judged {
            blind += &format!("not judged: {} of {}, {}: {}\n", not.examined, it.kind, not.subject, not.reason);
        }
    }
    let more = more("--page-token", &answer.next_page_token);
    format!("{text}\n{looked}\n{blind}{more}")
}

/// An exception: when, what kind, where and by whom on the first line, then the sentence.
fn one_in_words(exception: &pb::Exception) -> String {
    let until = match short(exception.until) {
        until if until.is_empty() => String::new(),
        until => format!(" to {until}"),
    };
    let place = [&exception.environment, &exception.service].into_iter().flatten();
    let place: Vec<_> = place.chain(&exception.repository).map(String::as_str).collect();
    let by = match person(exception.who.as_ref()) {
        who if who.is_empty() => String::new(),
        who => format!(", by {who}"),
    };
    let events: Vec<_> = exception.evidence.iter().map(u64::to_string).collect();
    let head = format!("{}{until}  {}  {}{by}", short(exception.at), exception.kind, place.join("/"));
    let missing: String = exception.missing.iter().map(|missing| format!("  not found: {missing}\n")).collect();
    format!("\n{}  (events {})\n  {}\n{missing}", head.trim_end(), events.join(" "), exception.what)
}
