//! Figures for people, and as comma-separated values.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::api::proto::v1 as pb;
use crate::cli::drift::{person, span};
use crate::cli::environment::{gap_lines, short, table};
use crate::cli::exit::Exit;
use crate::cli::questions::more;
use crate::projection::dora::Figure;

fn lasted(seconds: Option<i64>) -> String {
    seconds.map_or_else(|| "-".to_owned(), |seconds| span(seconds.unsigned_abs()))
}

fn percent(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{:.1}%", ratio * 100.0))
}

fn number(n: Option<u64>) -> String {
    n.map_or_else(|| "-".to_owned(), |n| n.to_string())
}

fn per_day(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}/day"))
}

fn excluded(by_reason: &BTreeMap<String, u64>) -> Option<String> {
    let words: Vec<_> = by_reason.iter().map(|(reason, n)| format!("{n} {}", reason.replace('_', " "))).collect();
    (!words.is_empty()).then(|| format!("left out: {}", words.join(", ")))
}

fn open(n: u64, oldest: Option<i64>) -> Option<String> {
    (n > 0).then(|| format!("{n} open, the oldest for {}", lasted(oldest)))
}

fn some(n: u64, what: &str) -> Option<String> {
    (n > 0).then(|| format!("{n} {what}"))
}

fn notes(notes: impl IntoIterator<Item = Option<String>>) -> String {
    notes.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn targets(n: u32) -> String {
    if n == 1 { "1 target".to_owned() } else { format!("{n} targets") }
}

/// The whole window as a slice of itself.
fn whole(answer: &pb::GetDoraResponse) -> pb::DoraSlice {
    pb::DoraSlice {
        service: None,
        environment: None,
        from: answer.from,
        to: answer.to,
        deployment_frequency: answer.deployment_frequency,
        change_lead_time: answer.change_lead_time.clone(),
        change_failure_rate: answer.change_failure_rate,
        failed_deployment_recovery_time: answer.failed_deployment_recovery_time,
        deployment_rework_rate: answer.deployment_rework_rate,
        mttr: answer.mttr.clone(),
    }
}

/// Everything for people.
pub(super) fn report(answer: &pb::GetDoraResponse) -> String {
    let known = answer.basis.unwrap_or_default().known_at;
    let settled = if answer.settled { "settled" } else { "not settled yet: late facts may move it" };
    let mut text = format!(
        "{}, from {} to {} ({}), known at {known}, {settled}\n",
        targets(answer.targets),
        short(answer.from),
        short(answer.to),
        answer.zone,
    );
    let figures = figures(&whole(answer));
    let _infallible = writeln!(text, "{figures}");
    if !answer.slices.is_empty() {
        let _infallible = writeln!(text, "\n{}", slices(&answer.slices));
    }
    text + &gap_lines(&answer.gaps)
}

/// A row of a figure that has no times.
fn plain(name: &str, n: String, value: String, note: String) -> [String; 7] {
    let none = || "-".to_owned();
    [name.to_owned(), n, value, none(), none(), none(), note]
}

/// A row of a figure of times.
fn timed(name: &str, n: u64, value: Option<i64>, times: [Option<i64>; 3], note: String) -> [String; 7] {
    let [p50, p90, mean] = times.map(lasted);
    [name.to_owned(), n.to_string(), lasted(value), p50, p90, mean, note]
}

fn figures(slice: &pb::DoraSlice) -> comfy_table::Table {
    let mut table = table(&["FIGURE", "N", "VALUE", "P50", "P90", "MEAN", "NOTE"]);
    let often = slice.deployment_frequency.unwrap_or_default();
    let lead = slice.change_lead_time.clone().unwrap_or_default();
    let rate = slice.change_failure_rate.unwrap_or_default();
    let recovery = slice.failed_deployment_recovery_time.unwrap_or_default();
    let rework = slice.deployment_rework_rate.unwrap_or_default();
    let mttr = slice.mttr.clone().unwrap_or_default();
    let note = notes([
        often.median_gap_seconds.map(|gap| format!("every {}", lasted(Some(gap)))),
        often.median_days_per_week.map(|days| format!("on {days} days a week")),
        some(often.redeploys, "more of what ran already"),
        some(often.without_effect, "without effect"),
    ]);
    table.add_row(plain("deployment frequency", number(often.n), per_day(often.per_day), note));
    let times = [lead.p50_seconds, lead.p90_seconds, lead.mean_seconds];
    let note = notes([excluded(&lead.excluded)]);
    table.add_row(timed("change lead time", lead.n, lead.p50_seconds, times, note));
    let note = notes([
        some(rate.failed, "failed"),
        some(rate.by_incident, "by incident"),
        some(rate.by_remediation, "by remediation"),
        some(rate.by_rollback, "rolled back"),
        some(rate.not_healthy, "never healthy"),
        rate.inferred_failed.map(|n| format!("{n} more inferred ({})", percent(rate.inferred_ratio))),
    ]);
    table.add_row(plain("change failure rate", rate.n.to_string(), percent(rate.ratio), note));
    let times = [recovery.p50_seconds, recovery.p90_seconds, recovery.mean_seconds];
    let note = notes([open(recovery.open, recovery.oldest_open_seconds)]);
    table.add_row(timed("failed deployment recovery time", recovery.n, recovery.p50_seconds, times, note));
    let note = notes([some(rework.rework, "unplanned")]);
    table.add_row(plain("deployment rework rate", rework.n.to_string(), percent(rework.ratio), note));
    let times = [mttr.p50_seconds, mttr.p90_seconds, mttr.mean_seconds];
    let note = notes([open(mttr.open, mttr.oldest_open_seconds), excluded(&mttr.excluded)]);
    table.add_row(timed("MTTR", mttr.n, mttr.mean_seconds, times, note));
    table
}

fn slices(slices: &[pb::DoraSlice]) -> comfy_table::Table {
    let mut table = table(&[
        "SERVICE",
        "ENVIRONMENT",
        "FROM",
        "DEPLOYMENTS",
        "PER DAY",
        "LEAD TIME P50",
        "FAILED",
        "RECOVERY P50",
        "REWORK",
        "MTTR",
    ]);
    for slice in slices {
        table.add_row([
            slice.service.clone().unwrap_or_default(),
            slice.environment.clone().unwrap_or_default(),
            short(slice.from),
            number(slice.deployment_frequency.and_then(|it| it.n)),
            per_day(slice.deployment_frequency.and_then(|it| it.per_day)),
            lasted(slice.change_lead_time.as_ref().and_then(|it| it.p50_seconds)),
            percent(slice.change_failure_rate.and_then(|it| it.ratio)),
            lasted(slice.failed_deployment_recovery_time.and_then(|it| it.p50_seconds)),
            percent(slice.deployment_rework_rate.and_then(|it| it.ratio)),
            lasted(slice.mttr.as_ref().and_then(|it| it.mean_seconds)),
        ]);
    }
    table
}

/// A figure of a slice in words, and how long its bar is, in whatever unit.
fn value(slice: &pb::DoraSlice, figure: Figure) -> Option<(f64, String)> {
    let seconds = |seconds: Option<i64>| {
        let seconds = u32::try_from(seconds?.max(0)).unwrap_or(u32::MAX);
        Some((f64::from(seconds), span(u64::from(seconds))))
    };
    let ratio = |ratio: Option<f64>| Some((ratio?, percent(ratio)));
    match figure {
        Figure::DeploymentFrequency => {
            let n = slice.deployment_frequency?.n?;
            Some((f64::from(u32::try_from(n).unwrap_or(u32::MAX)), n.to_string()))
        }
        Figure::ChangeLeadTime => seconds(slice.change_lead_time.as_ref()?.p50_seconds),
        Figure::ChangeFailureRate => ratio(slice.change_failure_rate?.ratio),
        Figure::FailedDeploymentRecoveryTime => seconds(slice.failed_deployment_recovery_time?.p50_seconds),
        Figure::DeploymentReworkRate => ratio(slice.deployment_rework_rate?.ratio),
        Figure::Mttr => seconds(slice.mttr.as_ref()?.mean_seconds),
    }
}

/// Width of the longest bar, in characters.
const BAR: u16 = 48;

/// A figure over time, as bars. A part of the window of which nothing is known has none, and a dash.
pub(super) fn plot(answer: &pb::GetDoraResponse, figure: Figure) -> String {
    let of = targets(answer.targets);
    let mut text = format!("{}, {of} ({})\n", figure.as_str().replace('_', " "), answer.zone);
    let values: Vec<_> = answer.slices.iter().map(|slice| (slice, value(slice, figure))).collect();
    let longest = values.iter().filter_map(|(_, value)| value.as_ref()).map(|(length, _)| *length).fold(0.0, f64::max);
    for (slice, value) in values {
        let group: Vec<_> = [&slice.environment, &slice.service].into_iter().flatten().cloned().collect();
        let group = if group.is_empty() { String::new() } else { format!("{}  ", group.join("/")) };
        let (bar, words) = match value {
            Some((length, words)) => (bar(length, longest), words),
            None => (String::new(), "-".to_owned()),
        };
        let from = short(slice.from);
        let day = from.split('T').next().unwrap_or_default();
        let _infallible = writeln!(text, "{group}{day}  {bar:<48}  {words}");
    }
    text
}

/// A bar, to an eighth of a character.
fn bar(length: f64, longest: f64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    if longest <= 0.0 {
        return String::new();
    }
    let wanted = (length / longest * f64::from(BAR) * 8.0).round();
    let eighths = (0..=BAR * 8).rev().find(|eighths| f64::from(*eighths) <= wanted).unwrap_or(0);
    let rest = EIGHTHS.get(usize::from(eighths % 8)).copied().unwrap_or_default();
    "█".repeat(usize::from(eighths / 8)) + rest
}

/// What stands behind a figure.
pub(super) fn items(answer: &pb::ExplainDoraResponse) -> String {
    let mut table = table(&["AT", "TARGET", "WHAT", "BEGAN", "TOOK", "COUNTS", "BY", "WHY"]);
    for item in &answer.items {
        let commit = item.commit.as_ref().map(|commit| format!("{:.12} in ", commit.revision)).unwrap_or_default();
        let what = item.deployment.clone().or_else(|| item.incident.clone()).unwrap_or_default();
        let why = |why: &pb::DoraReason| {
            let of = if why.of == what || why.link == "commit" { String::new() } else { format!(" {}", why.of) };
            format!("{}{of} (event {})", why.link.replace('_', " "), why.position)
        };
        let counts =
            if item.counts { "yes".to_owned() } else { item.excluded.clone().unwrap_or_else(|| "no".to_owned()) };
        table.add_row([
            item.at.map_or_else(|| "(lasts)".to_owned(), |at| short(Some(at))),
            item.targets.join("\n"),
            format!("{commit}{what}"),
            short(item.began_at),
            item.seconds.map(|seconds| lasted(Some(seconds))).unwrap_or_default(),
            counts,
            person(item.author.as_ref()),
            item.why.iter().map(why).collect::<Vec<_>>().join("\n"),
        ]);
    }
    let more = more("--page-token", &answer.next_page_token);
    let known = answer.basis.unwrap_or_default().known_at;
    let (from, to) = (short(answer.from), short(answer.to));
    format!("{} from {from} to {to}, known at {known}\n{table}\n{more}", answer.figure.replace('_', " "))
}

/// A row for each slice, or one for the whole window; what is not known is empty.
pub(super) fn csv(answer: &pb::GetDoraResponse) -> Result<String, Exit> {
    let failed = |error: &dyn std::error::Error| Exit::no(format!("cannot write CSV: {error}"));
    let slices = if answer.slices.is_empty() { vec![whole(answer)] } else { answer.slices.clone() };
    let mut writer = csv::Writer::from_writer(Vec::new());
    for (n, slice) in slices.iter().enumerate() {
        let fields = fields(slice);
        if n == 0 {
            writer.write_record(fields.iter().map(|(name, _)| *name)).map_err(|error| failed(&error))?;
        }
        writer.write_record(fields.iter().map(|(_, value)| value)).map_err(|error| failed(&error))?;
    }
    let bytes = writer.into_inner().map_err(|error| failed(&error))?;
    String::from_utf8(bytes).map_err(|error| failed(&error))
}

fn fields(slice: &pb::DoraSlice) -> Vec<(&'static str, String)> {
    fn text<T: ToString>(value: Option<T>) -> String {
        value.map(|value| value.to_string()).unwrap_or_default()
    }
    let at = |at: Option<crate::api::Timestamp>| text(at.and_then(|at| at.to_event().ok()));
    let frequency = slice.deployment_frequency.unwrap_or_default();
    let lead = slice.change_lead_time.clone().unwrap_or_default();
    let rate = slice.change_failure_rate.unwrap_or_default();
    let recovery = slice.failed_deployment_recovery_time.unwrap_or_default();
    let rework = slice.deployment_rework_rate.unwrap_or_default();
    let mttr = slice.mttr.clone().unwrap_or_default();
    vec![
        ("service", text(slice.service.clone())),
        ("environment", text(slice.environment.clone())),
        ("from", at(slice.from)),
        ("to", at(slice.to)),
        ("deployments", text(frequency.n)),
        ("deployments_per_day", text(frequency.per_day)),
        ("deployment_days", text(frequency.deployment_days)),
        ("change_lead_time_n", lead.n.to_string()),
        ("change_lead_time_p50_seconds", text(lead.p50_seconds)),
        ("change_lead_time_p75_seconds", text(lead.p75_seconds)),
        ("change_lead_time_p90_seconds", text(lead.p90_seconds)),
        ("change_lead_time_p95_seconds", text(lead.p95_seconds)),
        ("change_lead_time_mean_seconds", text(lead.mean_seconds)),
        ("change_lead_time_excluded", lead.excluded.values().sum::<u64>().to_string()),
        ("effective_deployments", rate.n.to_string()),
        ("failed_deployments", rate.failed.to_string()),
        ("change_failure_ratio", text(rate.ratio)),
        ("recovery_n", recovery.n.to_string()),
        ("recovery_p50_seconds", text(recovery.p50_seconds)),
        ("recovery_p90_seconds", text(recovery.p90_seconds)),
        ("recovery_mean_seconds", text(recovery.mean_seconds)),
        ("recovery_open", recovery.open.to_string()),
        ("rework_deployments", rework.rework.to_string()),
        ("rework_ratio", text(rework.ratio)),
        ("mttr_n", mttr.n.to_string()),
        ("mttr_mean_seconds", text(mttr.mean_seconds)),
        ("mttr_p50_seconds", text(mttr.p50_seconds)),
        ("mttr_p90_seconds", text(mttr.p90_seconds)),
        ("mttr_open", mttr.open.to_string()),
    ]
}
