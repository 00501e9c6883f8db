//! `exposure`: where and when something ran that has a package or a vulnerability.

use clap::Args;

use super::environment::{gap_lines, short, table};
use super::exit::{Exit, Outcome};
use super::questions::{Known, Questions, instant, more};
use super::{Settings, print, print_json, printable};
use crate::api::proto::v1 as pb;
use crate::api::proto::v1::provenance_service_client::ProvenanceServiceClient;
use crate::event::Timestamp;

#[derive(Debug, Args)]
pub(super) struct Exposure {
    /// A package URL or a name, with a version or a range behind an `@`: `log4j-core@<2.15`, `openssl@>=3.0,<3.0.12`
    #[arg(long, value_name = "PACKAGE", required_unless_present = "cve", conflicts_with = "cve")]
    package: Option<String>,
    /// A vulnerability by any of its names: CVE, GHSA, ...
    #[arg(long, value_name = "ID")]
    cve: Option<String>,
    /// One environment [default: all]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    environment: String,
    /// One service [default: all]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    service: String,
    /// Leave out what ended before this instant
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Option<Timestamp>,
    /// Leave out what began at this instant or later
    #[arg(long, value_name = "TIME", value_parser = instant)]
    to: Option<Timestamp>,
    /// At most so many times, and so many images of which nothing is known
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    limit: u32,
    /// Go on with the times of the answer before
    #[arg(long, value_name = "TOKEN", default_value = "", hide_default_value = true)]
    page_token: String,
    /// Go on with the unknown images of the answer before
    #[arg(long, value_name = "TOKEN", default_value = "", hide_default_value = true)]
    unknown_page_token: String,
    #[command(flatten)]
    known: Known,
}

pub(super) async fn exposure(settings: &Settings, args: Exposure) -> Result<Outcome, Exit> {
    let questions = Questions::open(settings, &args.known).await?;
    let request = pb::FindExposureRequest {
        asked: Some(questions.asked),
        package: args.package.unwrap_or_default(),
        vulnerability: args.cve.unwrap_or_default(),
        environment: args.environment,
        service: args.service,
        from: args.from.map(Into::into),
        to: args.to.map(Into::into),
        page_size: args.limit,
        page_token: args.page_token,
        unknown_page_token: args.unknown_page_token,
    };
    let answer = ProvenanceServiceClient::new(questions.channel).find_exposure(request).await?.into_inner();
    if settings.json {
        return print_json(&answer);
    }
    print(&printable(&shown(&answer)))
}

fn shown(answer: &pb::FindExposureResponse) -> String {
    let mut text = about(answer);
    if !answer.periods.is_empty() {
        text += &periods(&answer.periods);
    }
    text += &more("--page-token", &answer.next_page_token);
    if !answer.unknown.is_empty() {
        text += "\nnot known, so they may have it:\n";
        text += &unknown(&answer.unknown);
    }
    text += &more("--unknown-page-token", &answer.next_unknown_page_token);
    if !answer.without_images.is_empty() {
        let targets = answer.without_images.iter().map(|it| format!("{}/{}", it.environment, it.service));
        text += &format!("\nnot even the images are known of: {}\n", targets.collect::<Vec<_>>().join(", "));
    }
    text + &gap_lines(&answer.gaps)
}

/// What it is about, and how much was found.
fn about(answer: &pb::FindExposureResponse) -> String {
    let known = answer.basis.unwrap_or_default().known_at;
    let (artifacts, periods) = (answer.artifacts, answer.periods_total);
    let mut text = format!("in {artifacts} artifacts, which ran {periods} times, known at {known}\n");
    if !answer.vulnerabilities.is_empty() {
        let disclosed = match answer.disclosed_at {
            Some(at) => format!(", made public {}", short(Some(at))),
            None => String::new(),
        };
        text = format!("{}{disclosed}\n{text}", answer.vulnerabilities.join(", "));
    }
    text += &line("versions", &answer.packages);
    text += &line("could not be compared", &answer.not_compared);
    if let Some(first) = &answer.first_seen {
        text += &format!("first seen {}\n", sighting(first));
    }
    text
}

fn line(what: &str, list: &[String]) -> String {
    if list.is_empty() { String::new() } else { format!("{what}: {}\n", list.join(", ")) }
}

fn sighting(sighting: &pb::Sighting) -> String {
    let by = if sighting.tool.is_empty() { String::new() } else { format!(" by {}", sighting.tool) };
    format!("{} ({}{by}, event {})", short(sighting.recorded_at), sighting.kind, sighting.position)
}

fn periods(periods: &[pb::ExposurePeriod]) -> String {
    let mut table = table(&["FROM", "TO", "TARGET", "PACKAGE", "IMAGE", "KNOWN SINCE", "END"]);
    for period in periods {
        let end = match (period.end.as_deref(), &period.ended_by) {
            (None, _) => "(lasts)".to_owned(),
            (Some(end), None) => end.to_owned(),
            (Some(end), Some(by)) => format!("{end} by {by}"),
        };
        let suppressed = if period.suppressed { " (suppressed)" } else { "" };
        let mut images: Vec<_> = period.images.iter().take(3).map(|it| image(it.image.as_ref())).collect();
        if period.images_total > images.len() as u64 {
            images.push(format!("and {} more", period.images_total - images.len() as u64));
        }
        table.add_row([
            short(period.from),
            short(period.to),
            format!("{}/{}", period.environment, period.service),
            format!("{}{suppressed}", period.packages.join("\n")),
            images.join("\n"),
            period.first_seen.as_ref().map(|first| short(first.recorded_at)).unwrap_or_default(),
            end,
        ]);
    }
    format!("{table}\n")
}

fn unknown(images: &[pb::UnknownImage]) -> String {
    let mut table = table(&["IMAGE", "RAN IN", "FROM", "TO", "WHY"]);
    for unknown in images {
        let places =
            |each: &dyn Fn(&pb::UnknownPlace) -> String| unknown.places.iter().map(each).collect::<Vec<_>>().join("\n");
        table.add_row([
            image(unknown.image.as_ref()),
            places(&|place| format!("{}/{}", place.environment, place.service)),
            places(&|place| short(place.from)),
            places(&|place| short(place.to)),
            unknown.reasons.join("; "),
        ]);
    }
    format!("{table}\n")
}

fn image(image: Option<&pb::RunningImage>) -> String {
    image.map(super::environment::image).unwrap_or_default()
}
