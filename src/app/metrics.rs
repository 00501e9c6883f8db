//! What `/metrics` shows: the deployment figures from the views, and how the ledger itself is.

pub mod history;
mod standing;

use std::collections::{BTreeMap, HashSet};

use super::{Views, dora};
use crate::event::Timestamp;
use crate::exposition::{Family, Histogram, Kind, Labels, Sample, Value};
use crate::ledger::verify::Verification;
use crate::ledger::{Ledger, Reading};
use crate::projection::deployment::tier;
use crate::projection::meter::{self, Count, Counted, Duration, EventCount, Observed};
use crate::projection::{About, Error, Result, Snapshot, Status, deployment};

/// Services that have series of their own; the others share those of `_other`.
pub const SERVICES_MAX: usize = 500;

/// Sources that have series of their own.
const SOURCES_MAX: usize = 200;

/// What stands for those beyond the budget.
const OTHER: &str = "_other";

/// How often what was taken in, passed over or refused since the start: source, outcome, how often.
pub type Intakes = Vec<(String, &'static str, u64)>;

/// What the views tell, in one state of theirs.
struct Told {
    services: Budget,
    events: Vec<EventCount>,
    counted: Vec<(Count, Vec<Counted>)>,
    observed: Vec<(Duration, Vec<Observed>)>,
    successes: Vec<(String, String, Timestamp)>,
    /// The DORA figures.
    figures: Vec<Family>,
    standing: standing::Now,
}

/// Which names have series of their own.
#[derive(Debug, Default)]
pub(super) struct Budget {
    kept: HashSet<String>,
    dropped: u64,
}

impl Budget {
    /// The first `max` of the names; that of a service that came early never changes by those that come later.
    fn new(names: impl Iterator<Item = String>, max: usize) -> Self {
        let mut budget = Self::default();
        let mut beyond = HashSet::new();
        for name in names {
            if budget.kept.len() < max {
                budget.kept.insert(name);
            } else if !budget.kept.contains(&name) {
                beyond.insert(name);
            }
        }
        budget.dropped = beyond.len() as u64;
        budget
    }

    pub(super) fn name(&self, name: &str) -> String {
        if self.kept.contains(name) { name } else { OTHER }.to_owned()
    }
}

/// Every family of the views, as of now. What cannot be read is left out; how the projections stand is always there.
///
/// # Errors
/// `Database`, `Damaged`: then the figures are not to be had, and [`of_ledger`] alone is.
pub async fn of_views(views: &Views) -> Result<Vec<Family>> {
    let head = views.ledger().head().size;
    let now = views.ledger().clock().now().micros();
    let read = move |snapshot: &Snapshot<'_>| {
        let told =
            readable(snapshot, &[&deployment::ABOUT, &meter::ABOUT])?.then(|| tell(snapshot, now)).transpose()?;
        Ok((snapshot.size(), snapshot.statuses()?, told))
    };
    let (size, statuses, told) = views.query(0, read).await?;
    let mut families = Vec::from(projections(&statuses, head.max(size)));
    families.extend(told.into_iter().flat_map(figures));
    Ok(families)
}

fn figures(mut told: Told) -> Vec<Family> {
    let figures = std::mem::take(&mut told.figures);
    let mut families = vec![deployments(&told), successes(&told)];
    families.extend(incidents(&told));
    families.extend(events(&told));
    families.extend(told.observed.iter().map(|(what, observed)| durations(&told, *what, observed)));
    families.extend(standing::families(&told.standing, &told.services));
    let help = "Services without series of their own: they share _other.";
    let mut dropped = Family::new(Kind::Counter, "plimsoll_services_dropped", help);
    dropped.add(Vec::new(), told.services.dropped);
    families.push(dropped);
    families.extend(figures);
    families
}

/// Whether the tables of projections can be read. Those of one that stopped can: they tell what was so until then, and
/// that it stopped is told beside.
fn readable(snapshot: &Snapshot<'_>, projections: &[&About]) -> Result<bool> {
    for about in projections {
        match snapshot.basis(None, &[about]) {
            Ok(_) | Err(Error::Stopped { .. }) => {}
            Err(Error::Rebuilding { .. }) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

fn tell(snapshot: &Snapshot<'_>, now: i64) -> Result<Told> {
    let kinds = [Count::Deployments, Count::IncidentsOpened, Count::IncidentsResolved];
    let durations =
        [Duration::ChangeLeadTime, Duration::Deployment, Duration::DeploymentRecovery, Duration::IncidentRestore];
    let services = Budget::new(deployment::services(snapshot)?.into_iter(), SERVICES_MAX);
    Ok(Told {
        figures: match snapshot
            .basis(None, dora::NEEDS)
            .and_then(|basis| dora::families(snapshot, &basis, now, &services))
        {
            // The rest goes on without them; `plimsoll_projection_stopped` tells.
            Err(Error::Stopped { .. } | Error::Rebuilding { .. }) => Vec::new(),
            figures => figures?,
        },
        services,
        events: meter::event_counts(snapshot)?,
        counted: kinds.into_iter().map(|kind| Ok((kind, meter::counted(snapshot, kind)?))).collect::<Result<_>>()?,
        observed: durations
            .into_iter()
            .map(|what| Ok((what, meter::observed(snapshot, what)?)))
            .collect::<Result<_>>()?,
        successes: meter::last_successes(snapshot)?,
        standing: standing::tell(snapshot)?,
    })
}

fn target(told: &Told, service: &str, environment: &str) -> Labels {
    vec![("service", told.services.name(service)), ("environment", environment.to_owned())]
}

fn counts(told: &Told, wanted: Count) -> impl Iterator<Item = &Counted> {
    told.counted.iter().filter(move |(kind, _)| *kind == wanted).flat_map(|(_, counted)| counted)
}

/// Adds what falls on the same labels together.
fn summed(family: &mut Family, samples: impl Iterator<Item = (Labels, u64)>) {
    let mut sums: BTreeMap<Labels, u64> = BTreeMap::new();
    for (labels, n) in samples {
        *sums.entry(labels).or_default() += n;
    }
    sums.into_iter().for_each(|(labels, n)| family.add(labels, n));
}

fn deployments(told: &Told) -> Family {
    let help = "Rollouts that ended, counted when recorded and never taken back; the API has the truth.";
    let mut family = Family::new(Kind::Counter, "plimsoll_deployments", help);
    let sample = |counted: &Counted| {
        let (class, outcome) = counted.detail.split_once(' ').unwrap_or(("none", &counted.detail));
        let mut labels = target(told, &counted.service, &counted.environment);
        labels.push(("tier", tier(&counted.environment).as_str().to_owned()));
        labels.push(("class", class.to_owned()));
        labels.push(("outcome", outcome.to_owned()));
        (labels, counted.n)
    };
    summed(&mut family, counts(told, Count::Deployments).map(sample));
    family
}

fn incidents(told: &Told) -> [Family; 2] {
    let family = |kind, name, help| {
        let mut family = Family::new(Kind::Counter, name, help);
        let sample = |counted: &Counted| {
            let mut labels = target(told, &counted.service, &counted.environment);
            labels.push(("severity", counted.detail.clone()));
            (labels, counted.n)
        };
        summed(&mut family, counts(told, kind).map(sample));
        family
    };
    [
        family(
            Count::IncidentsOpened,
            "plimsoll_incidents_opened",
            "Incidents opened, counted when recorded and never taken back; the API has the truth.",
        ),
        family(
            Count::IncidentsResolved,
            "plimsoll_incidents_resolved",
            "Incidents resolved, counted when recorded and never taken back; the API has the truth.",
        ),
    ]
}

fn events(told: &Told) -> [Family; 3] {
    let sources = Budget::new(told.events.iter().map(|count| count.source.clone()), SOURCES_MAX);
    let family = |name, help, pick: fn(&EventCount) -> u64| {
        let mut family = Family::new(Kind::Counter, name, help);
        let labels =
            |count: &EventCount| vec![("type", count.type_name.clone()), ("source", sources.name(&count.source))];
        summed(&mut family, told.events.iter().map(|count| (labels(count), pick(count))));
        family
    };
    let mut gaps =
        Family::new(Kind::Counter, "plimsoll_observation_gaps", "Times for which the ledger was blind to a source.");
    let blind = told.events.iter().filter(|count| count.type_name == "observation.gap");
    gaps.add(Vec::new(), blind.map(|count| count.recorded).sum::<u64>());
    [
        family("plimsoll_events_recorded", "Events recorded.", |count| count.recorded),
        family("plimsoll_events_late", "Events recorded more than an hour after they happened.", |count| count.late),
        gaps,
    ]
}

fn durations(told: &Told, what: Duration, observed: &[Observed]) -> Family {
    let (name, help) = match what {
        Duration::ChangeLeadTime => (
            "plimsoll_change_lead_time_seconds",
            "From the author time of a change to its first deployment, when first recorded; plimsoll_dora_* has the truth.",
        ),
        Duration::Deployment => (
            "plimsoll_deployment_duration_seconds",
            "From the beginning of a rollout to its success, when first recorded; the API has the truth.",
        ),
        Duration::DeploymentRecovery => (
            "plimsoll_deployment_recovery_seconds",
            "From a failed deployment to its recovery, when first recorded; plimsoll_dora_* has the truth.",
        ),
        Duration::IncidentRestore => (
            "plimsoll_incident_restore_seconds",
            "From the beginning of an incident to its end, when first recorded; plimsoll_dora_* has the truth.",
        ),
    };
    let mut family = Family::new(Kind::Histogram, name, help);
    let mut pooled: BTreeMap<Labels, (Histogram, Option<(String, f64)>)> = BTreeMap::new();
    for one in observed {
        let entry = pooled.entry(target(told, &one.service, &one.environment));
        let (histogram, newest) = entry.or_insert_with(|| (Histogram::new(&one.histogram.bounds), None));
        histogram.merge(&one.histogram);
        newest.clone_from(&one.newest);
    }
    for (labels, (histogram, exemplar)) in pooled {
        family.samples.push(Sample { labels, value: Value::Histogram(histogram), at_micros: None, exemplar });
    }
    family
}

fn successes(told: &Told) -> Family {
    let mut family = Family::new(
        Kind::Gauge,
        "plimsoll_last_successful_deployment_timestamp_seconds",
        "When a deployment last succeeded, in seconds since 1970.",
    );
    let mut newest: BTreeMap<Labels, Timestamp> = BTreeMap::new();
    for (service, environment, at) in &told.successes {
        let known = newest.entry(target(told, service, environment)).or_insert(*at);
        *known = (*known).max(*at);
    }
    newest.into_iter().for_each(|(labels, at)| family.add(labels, seconds(at)));
    family
}

fn projections(statuses: &[Status], head: u64) -> [Family; 3] {
    let mut position = Family::new(Kind::Gauge, "plimsoll_projection_position", "Events folded into a projection.");
    let mut lag =
        Family::new(Kind::Gauge, "plimsoll_projection_lag_events", "Events that a projection does not have yet.");
    let mut stopped = Family::new(
        Kind::Gauge,
        "plimsoll_projection_stopped",
        "1 where a projection cannot fold the event at its position.",
    );
    for status in statuses {
        let labels = || vec![("projection", status.name.to_owned())];
        position.add(labels(), status.position);
        lag.add(labels(), head.saturating_sub(status.position));
        stopped.add(labels(), u64::from(status.stopped.is_some()));
    }
    [position, lag, stopped]
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of thousands of years fit")]
fn seconds(at: Timestamp) -> f64 {
    at.micros() as f64 / 1e6
}

/// How the ledger itself is, without a look at the views.
#[must_use]
pub fn of_ledger(ledger: &Ledger, intakes: &Intakes) -> Vec<Family> {
    let reading = ledger.meter().read();
    let size = ledger.head().size;
    let mut log = Family::new(Kind::Gauge, "plimsoll_log_events", "Events in the log.");
    log.add(Vec::new(), size);
    let mut writable = Family::new(Kind::Gauge, "plimsoll_ledger_writable", "1 as long as events can be appended.");
    writable.add(Vec::new(), u64::from(ledger.writable().is_ok()));
    let mut info = Family::new(Kind::Gauge, "plimsoll_build_info", "The program that answers.");
    info.add(vec![("version", env!("CARGO_PKG_VERSION").to_owned())], 1u64);
    let mut families = vec![info, log, writable, checkpoint(ledger, size), repeated(&reading), rejections(intakes)];
    families.extend(verification(ledger));
    families.extend([storage(ledger), failures(&reading)]);
    let mut latency = Family::new(
        Kind::Histogram,
        "plimsoll_append_duration_seconds",
        "From handing events in to their being durable, since the start of this process.",
    );
    latency.add(Vec::new(), reading.latency);
    let mut batch = Family::new(
        Kind::Histogram,
        "plimsoll_commit_events",
        "New events in each commit, since the start of this process.",
    );
    batch.add(Vec::new(), reading.batch);
    families.extend([latency, batch]);
    families
}

/// A checkpoint is signed with every commit, so the newest is as old as the last event.
fn checkpoint(ledger: &Ledger, size: u64) -> Family {
    let mut family = Family::new(
        Kind::Gauge,
        "plimsoll_last_checkpoint_timestamp_seconds",
        "When the newest checkpoint was signed, in seconds since 1970.",
    );
    let at = size.checked_sub(1).and_then(|last| ledger.recorded_at(last).ok());
    if let Some(at) = at {
        family.add(Vec::new(), seconds(at));
    }
    family
}

/// What `plimsoll verify` found last. A note that cannot be read is no verification: whoever watches sees none.
fn verification(ledger: &Ledger) -> [Family; 3] {
    let gauge = |name, help| Family::new(Kind::Gauge, name, help);
    let mut families = [
        gauge(
            "plimsoll_last_verification_timestamp_seconds",
            "When the data directory was last verified in full, in seconds since 1970.",
        ),
        gauge("plimsoll_last_verification_success", "1 where the last full verification found nothing wrong."),
        gauge("plimsoll_last_verification_events", "Events that the last full verification read."),
    ];
    let path = ledger.dir().verified();
    match Verification::load(&path) {
        Ok(Some(last)) => {
            let values = [Value::from(seconds(last.at)), u64::from(last.ok).into(), last.events.into()];
            families.iter_mut().zip(values).for_each(|(family, value)| family.add(Vec::new(), value));
        }
        Ok(None) => {}
        Err(error) => tracing::warn!(%error, "no last verification for this scrape"),
    }
    families
}

/// How large the databases are, each with the log that SQLite keeps beside it.
fn storage(ledger: &Ledger) -> Family {
    let mut family = Family::new(Kind::Gauge, "plimsoll_storage_bytes", "Size of a database on disk.");
    let dir = ledger.dir();
    for path in [dir.ledger(), dir.index(), dir.views()] {
        let wal = path.with_extension("db-wal");
        let sizes = [&path, &wal].map(|path| path.metadata().ok().map(|file| file.len()));
        if let (Some(name), Some(size)) = (path.file_name(), sizes.into_iter().flatten().reduce(|a, b| a + b)) {
            family.add(vec![("file", name.to_string_lossy().into_owned())], size);
        }
    }
    family
}

fn failures(reading: &Reading) -> Family {
    let help = "Requests to append that failed, by why, since the start of this process.";
    let mut family = Family::new(Kind::Counter, "plimsoll_append_failures", help);
    reading.failed.iter().for_each(|(why, n)| family.add(vec![("reason", (*why).to_owned())], *n));
    family
}

fn repeated(reading: &Reading) -> Family {
    let help = "Events handed in again that had been recorded before, since the start of this process.";
    let mut family = Family::new(Kind::Counter, "plimsoll_events_duplicate", help);
    let sources = Budget::new(reading.repeated.keys().map(|(_, source)| source.clone()), SOURCES_MAX);
    let labels = |type_name: &str, source: &str| vec![("type", type_name.to_owned()), ("source", sources.name(source))];
    summed(&mut family, reading.repeated.iter().map(|((type_name, source), n)| (labels(type_name, source), *n)));
    family
}

fn rejections(intakes: &Intakes) -> Family {
    let help = "What sources sent, by what became of it, since the start of this process.";
    let mut family = Family::new(Kind::Counter, "plimsoll_source_deliveries", help);
    let sources = Budget::new(intakes.iter().map(|(source, ..)| source.clone()), SOURCES_MAX);
    let labels = |source: &str, outcome: &str| vec![("source", sources.name(source)), ("outcome", outcome.to_owned())];
    summed(&mut family, intakes.iter().map(|(source, outcome, n)| (labels(source, outcome), *n)));
    family
}
