//! The projections on a year of a shop: how fast they are folded, how quickly they answer, and how soon what is appended is
//! seen. Questions go through the services themselves, in this process, encoded and decoded as for any client.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;
use tonic::transport::Channel;

use super::estate::{END, Filled, YEAR};
use super::process;
use super::report::{Spread, alone, row};
use super::{Result, rounds};
use crate::api::local;
use crate::api::proto::v1 as pb;
use crate::api::proto::v1::environment_service_client::EnvironmentServiceClient as Environments;
use crate::api::proto::v1::metrics_service_client::MetricsServiceClient as Metrics;
use crate::api::proto::v1::provenance_service_client::ProvenanceServiceClient as Provenance;
use crate::app::{Views, metrics};
use crate::event::{Data, Draft, EventType, Timestamp};
use crate::exposition::Format;
use crate::ledger::{DataDir, Filter, Ledger, Options, PageLimit};
use crate::projection;

/// How long a question takes, in milliseconds, and what the machine does meanwhile: the floor is the smallest question of
/// all over the same pipe, one page of the views.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Answers {
    /// The middle one, against the middle one of the floor.
    pub p50: Spread,
    /// The one that 99 of 100 are faster than, likewise.
    pub p99: Spread,
}

/// What was measured on one log.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Viewed {
    /// The log.
    #[serde(flatten)]
    pub filled: Filled,
    /// Events folded per second by a rebuild from nothing, against reading and parsing them and nothing else.
    pub folded: Spread,
    /// The most memory that the rebuild had, in a process of its own. MB.
    pub rebuild_peak_mb: f64,
    /// Size of `views.db`. MB.
    pub views_mb: f64,
    /// Resident memory of a server that has answered everything below. MB.
    pub serving_mb: f64,
    /// The questions, by what is asked.
    pub answers: Vec<(&'static str, Answers)>,
    /// From the acknowledgement of an event to its being in the views, under appends by 64 callers at once. Milliseconds:
    /// the middle one, and the one that 99 of 100 are faster than.
    pub visible_ms: (f64, f64),
    /// From the acknowledgement of an event of a year-old day to its being in the views, with nothing else to do.
    /// Milliseconds, the middle one.
    pub late_ms: f64,
}

impl Viewed {
    /// Its rows of the table for people.
    pub(super) fn rows(&self) -> Vec<[String; 5]> {
        let size = || self.filled.events.to_string();
        let mut rows = Vec::new();
        rows.extend(self.filled.appended.map(|rate| alone("fill with a year of a shop, events/s", size(), rate)));
        rows.push(alone("log of that, MB", size(), self.filled.log_mb));
        rows.push(row("fold, events/s : read and parse", size(), &self.folded));
        rows.push(alone("peak memory of a rebuild, MB", size(), self.rebuild_peak_mb));
        rows.push(alone("views, MB", size(), self.views_mb));
        rows.push(alone("peak memory of a server that answers, MB", size(), self.serving_mb));
        for (what, answers) in &self.answers {
            rows.push(row(&format!("{what}, p50, ms : smallest question"), size(), &answers.p50));
            rows.push(row(&format!("{what}, p99, ms : smallest question"), size(), &answers.p99));
        }
        rows.push(alone("append to visible, p50, ms", size(), self.visible_ms.0));
        rows.push(alone("append to visible, p99, ms", size(), self.visible_ms.1));
        rows.push(alone("a late event to visible, ms", size(), self.late_ms));
        rows
    }
}

/// Times a question over and over, and the floor in turn with it.
async fn ask<T, F: Future<Output = Result<T>>>(
    floor: &mut Environments<Channel>,
    times: usize,
    mut question: impl FnMut(usize) -> F,
) -> Result<Answers> {
    let (mut middles, mut tails) = (Vec::new(), Vec::new());
    for round in 0..rounds(10_000) {
        let (mut ours, mut floors) = (Vec::new(), Vec::new());
        for n in 0..times {
            let began = Instant::now();
            question(round * times + n).await?;
            ours.push(began.elapsed());
            let began = Instant::now();
            floor.get_projections(pb::GetProjectionsRequest {}).await?;
            floors.push(began.elapsed());
        }
        let mut at = |percent| (quantile(&mut ours, percent), quantile(&mut floors, percent));
        middles.push(at(50));
        tails.push(at(99));
    }
    Ok(Answers { p50: Spread::of(&middles), p99: Spread::of(&tails) })
}

/// A quantile by nearest rank, in milliseconds.
fn quantile(times: &mut [Duration], percent: usize) -> f64 {
    times.sort_unstable();
    let rank = (percent * times.len()).div_ceil(100).max(1);
    times.get(rank - 1).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

/// Spreads numbers over a range, the same in every run.
fn scattered(n: usize, range: u64) -> u64 {
    (n as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) % range.max(1)
}

/// An instant of the year.
fn instant(n: usize) -> Timestamp {
    let into = scattered(n, YEAR.unsigned_abs());
    Timestamp::from_micros_clamped(END - YEAR + i64::try_from(into).unwrap_or(0))
}

const DAY: i64 = 86_400_000_000;

/// Measures everything on one log.
pub(super) async fn measure(data: &DataDir, filled: Filled) -> Result<Viewed> {
    let (folded, rebuild_peak_mb) = rebuild(data, filled.events)?;
    let views_mb = std::fs::metadata(data.views())?.len() as f64 / 1e6;
    let ledger = Ledger::open(Options::new(data.clone(), "plimsoll bench")).await?;
    let views = Views::open(&ledger, data, projection::all)?;
    views.wait_for(ledger.head().size).await?;
    let answers = questions(&views).await?;
    let visible_ms = visible(&ledger, &views).await?;
    let late_ms = late(&ledger, &views).await?;
    views.close().await?;
    tokio::task::spawn_blocking(move || drop(ledger)).await?;
    let serving_mb = process::serving(data.root()).await?;
    Ok(Viewed { filled, folded, rebuild_peak_mb, views_mb, serving_mb, answers, visible_ms, late_ms })
}

/// A rebuild by a process of its own, and reading the same log; events per second, and the most memory in MB.
fn rebuild(data: &DataDir, events: u64) -> Result<(Spread, f64)> {
    crate::ledger::remove_database(&data.views())?;
    let (took, peak_mb) = process::run_to_end(&["rebuild", "--data"], data.root())?;
    let ledger = Ledger::open_read_only(data)?;
    let began = Instant::now();
    let mut at = 0;
    while at < ledger.head().size {
        let page = ledger.page(at, u64::MAX, false, &Filter::default(), PageLimit::default())?;
        for entry in &page.entries {
            std::hint::black_box(projection::Event::parse(entry)?);
        }
        at = page.covered.end;
    }
    let rate = |took: Duration| events as f64 / took.as_secs_f64();
    Ok((Spread::of(&[(rate(took), rate(began.elapsed()))]), peak_mb))
}

/// The services, the digests and the commits of what runs in production at the end.
struct Known {
    services: Vec<String>,
    digests: Vec<String>,
}

async fn known(environments: &mut Environments<Channel>) -> Result<Known> {
    let request = pb::GetStateRequest { environment: "production".to_owned(), ..pb::GetStateRequest::default() };
    let state = environments.clone().max_decoding_message_size(64 << 20).get_state(request).await?.into_inner();
    let deployments = state.targets.iter().filter_map(|target| target.deployment.as_ref());
    let digests = deployments.flat_map(|it| it.images.iter().filter_map(|image| image.digest.clone())).collect();
    Ok(Known { services: state.targets.into_iter().map(|target| target.service).collect(), digests })
}

fn pick(of: &[String], n: usize) -> String {
    let at = usize::try_from(scattered(n, of.len() as u64)).unwrap_or(0);
    of.get(at).cloned().unwrap_or_default()
}

#[expect(clippy::too_many_lines, reason = "a list of questions, one after the other")]
async fn questions(views: &Views) -> Result<Vec<(&'static str, Answers)>> {
    let channel = local(views.clone()).await?;
    let environments = Environments::new(channel.clone()).max_decoding_message_size(64 << 20);
    let metrics_service = Metrics::new(channel.clone()).max_decoding_message_size(64 << 20);
    let provenance = Provenance::new(channel.clone()).max_decoding_message_size(64 << 20);
    let floor = &mut Environments::new(channel);
    let known = known(floor).await?;
    anyhow::ensure!(!known.digests.is_empty(), "nothing runs in production");
    let production = || "production".to_owned();
    let mut found = Vec::new();
    let target = |n| {
        let mut client = environments.clone();
        let request = pb::GetStateRequest {
            environment: production(),
            service: pick(&known.services, n),
            as_of: Some(instant(n).into()),
            ..pb::GetStateRequest::default()
        };
        async move { Ok(client.get_state(request).await?) }
    };
    found.push(("one target as of any instant", ask(floor, 200, target).await?));
    let environment = |n| {
        let mut client = environments.clone();
        let as_of = Some(instant(n).into());
        let request = pb::GetStateRequest { environment: production(), as_of, ..pb::GetStateRequest::default() };
        async move { Ok(client.get_state(request).await?) }
    };
    found.push(("a whole environment as of any instant", ask(floor, 20, environment).await?));
    let diff = |n| {
        let mut client = environments.clone();
        let at = instant(n).micros().min(END - 7 * DAY);
        let request = pb::DiffRequest {
            environment: production(),
            at: Some(Timestamp::from_micros_clamped(at).into()),
            other_at: Some(Timestamp::from_micros_clamped(at + 7 * DAY).into()),
            ..pb::DiffRequest::default()
        };
        async move { Ok(client.diff(request).await?) }
    };
    found.push(("an environment compared with a week later", ask(floor, 5, diff).await?));
    let dora = |services: Vec<String>, from: i64, to: i64| {
        let mut client = metrics_service.clone();
        let question = pb::DoraQuestion {
            services,
            from: Some(Timestamp::from_micros_clamped(from).into()),
            to: Some(Timestamp::from_micros_clamped(to).into()),
            ..pb::DoraQuestion::default()
        };
        let request = pb::GetDoraRequest { question: Some(question), ..pb::GetDoraRequest::default() };
        async move { Ok(client.get_dora(request).await?) }
    };
    let one = |n: usize| {
        let (one, other) = (instant(2 * n).micros(), instant(2 * n + 1).micros());
        dora(vec![pick(&known.services, n)], one.min(other), one.max(other) + 1)
    };
    found.push(("DORA of one target, any window", ask(floor, 100, one).await?));
    let all = |n: usize| {
        let to = instant(n).micros().max(END - YEAR + 90 * DAY);
        dora(Vec::new(), to - 90 * DAY, to)
    };
    found.push(("DORA of all services, 90 days", ask(floor, 5, all).await?));
    let scrape = |_| async move {
        let families = metrics::of_views(views).await?;
        Ok(std::hint::black_box(Format::negotiate("application/openmetrics-text").write(&families)))
    };
    found.push(("a scrape", ask(floor, 3, scrape).await?));
    let exposure = |package: String| {
        let mut client = provenance.clone();
        let request = pb::FindExposureRequest { package, ..pb::FindExposureRequest::default() };
        async move {
            match client.find_exposure(request).await {
                // A small shop has few packages: that there is none is an answer, too.
                Err(status) if status.code() == tonic::Code::NotFound => Ok(()),
                answer => Ok(answer.map(drop)?),
            }
        }
    };
    // Those below a hundred are in every image, the others in some.
    let common = |_| exposure("part-1@<2.9".to_owned());
    found.push(("exposure to a package that all have, a range of it", ask(floor, 3, common).await?));
    let rare = |n: usize| exposure(format!("part-{}", 103 + 3 * scattered(n, 300)));
    found.push(("exposure to a package that some have", ask(floor, 5, rare).await?));
    let trace = |n| {
        let mut client = provenance.clone();
        let request = pb::TraceRequest { thing: pick(&known.digests, n), ..pb::TraceRequest::default() };
        async move { Ok(client.trace(request).await?) }
    };
    found.push(("trace of one artifact", ask(floor, 50, trace).await?));
    let words = ["mend", "cart type:commit.recorded", "\"the checkout\"", "search"];
    let search = |n: usize| {
        let mut client = provenance.clone();
        let query = words.get(n % words.len()).copied().unwrap_or_default().to_owned();
        let request = pb::SearchRequest { query, ..pb::SearchRequest::default() };
        async move { Ok(client.search(request).await?) }
    };
    found.push(("search", ask(floor, 8, search).await?));
    Ok(found)
}

/// A deployment of nothing that was there before, at an instant.
fn deployment(service: &str, id: &str, at: Timestamp) -> Result<Draft> {
    let data = json!({ "deployment": id, "finished_at": at.to_string(), "version": id });
    let data = Data::parse(EventType::SyncSucceeded, data.to_string().as_bytes())?;
    let stream = format!("target/production/{service}").parse()?;
    Ok(Draft::new(data, stream, "bench".parse()?, id.parse()?, at))
}

/// Callers at once.
const CALLERS: usize = 64;

/// How long they append.
const APPENDING: Duration = Duration::from_secs(4);

async fn visible(ledger: &Ledger, views: &Views) -> Result<(f64, f64)> {
    let until = Instant::now() + APPENDING;
    let mut callers = tokio::task::JoinSet::new();
    let began = ledger.head().size;
    for caller in 0..CALLERS {
        let (ledger, views) = (ledger.clone(), views.clone());
        callers.spawn(async move {
            let mut times = Vec::new();
            for n in 0u64.. {
                if Instant::now() >= until {
                    break;
                }
                let id = format!("bench-{began}-{caller}-{n}");
                let draft = deployment(&format!("bench-{caller}"), &id, ledger.clock().now())?;
                let size = ledger.submit(vec![draft]).await?.wait().await?.size;
                let acknowledged = Instant::now();
                views.wait_for(size).await?;
                times.push(acknowledged.elapsed());
            }
            Ok::<_, anyhow::Error>(times)
        });
    }
    let mut times = Vec::new();
    while let Some(ended) = callers.join_next().await {
        times.extend(ended??);
    }
    Ok((quantile(&mut times, 50), quantile(&mut times, 99)))
}

async fn late(ledger: &Ledger, views: &Views) -> Result<f64> {
    let mut environments = Environments::new(local(views.clone()).await?);
    let known = known(&mut environments).await?;
    let mut times = Vec::new();
    for n in 0..50 {
        let at = Timestamp::from_micros_clamped(END - YEAR + 20 * DAY + i64::try_from(n).unwrap_or(0));
        let id = format!("late-{}-{n}", ledger.head().size);
        let draft = deployment(&pick(&known.services, n), &id, at)?;
        let size = ledger.submit(vec![draft]).await?.wait().await?.size;
        let acknowledged = Instant::now();
        views.wait_for(size).await?;
        times.push(acknowledged.elapsed());
    }
    Ok(quantile(&mut times, 50))
}
