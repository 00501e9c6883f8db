//! The DORA figures as gauges: of the 7, 30 and 90 days before now, for each service in production.
//!
//! Unlike answers of the API these end at the clock's now: a shop that does nothing shows that it does nothing.

use std::collections::BTreeMap;

use chrono_tz::Tz;

use super::metrics::Budget;
use crate::exposition::{Family, Kind, Labels};
use crate::projection::dora::{self, Durations, Figures, Question, Selection};
use crate::projection::{About, Basis, Error, Result, Snapshot};

/// The windows, by what they are called, in days.
const WINDOWS: [(&str, i64); 3] = [("7d", 7), ("30d", 30), ("90d", 90)];

const DAY: i64 = 86_400_000_000;

/// Figures of one window: of a service in an environment, or of all where there are none.
struct Told {
    target: Labels,
    window: &'static str,
    figures: Figures,
}

/// What the figures are made of.
pub(super) const NEEDS: &[&About] = &[&dora::ABOUT, &crate::projection::incident::ABOUT];

/// Every family, of the windows that end at `now` (in microseconds since 1970).
///
/// # Errors
/// `Database`, `Damaged`.
pub(super) fn families(snapshot: &Snapshot<'_>, basis: &Basis, now: i64, services: &Budget) -> Result<Vec<Family>> {
    let targets = match dora::select(snapshot, basis, &Selection::default()) {
        Err(Error::NotFound(_)) => Vec::new(),
        targets => targets?,
    };
    let longest = WINDOWS.iter().map(|(_, days)| now.saturating_sub(days * DAY)).min().unwrap_or(now);
    let question = Question { window: longest..now, ..Question::default() };
    let material = dora::gather(snapshot, basis, targets, &question, true)?;
    let of = |material: &dora::Material, target: &Labels| -> Vec<Told> {
        let told = |(window, days): (&'static str, i64)| {
            let figures = dora::figures(material, &(now.saturating_sub(days * DAY)..now), Tz::UTC);
            Told { target: target.clone(), window, figures }
        };
        WINDOWS.into_iter().map(told).collect()
    };
    let parts = material.split(|target| (services.name(&target.service), target.environment.clone()));
    let each: Vec<Told> = parts
        .iter()
        .flat_map(|((service, environment), part)| {
            of(part, &vec![("service", service.clone()), ("environment", environment.clone())])
        })
        .collect();
    let mut families = ratios(&each);
    families.extend(times(&each));
    families.extend(samples(&of(&material, &Vec::new())));
    Ok(families)
}

fn gauge(name: &'static str, help: &'static str) -> Family {
    Family::new(Kind::Gauge, name, help)
}

fn labels(told: &Told) -> Labels {
    let mut labels = told.target.clone();
    labels.push(("window", told.window.to_owned()));
    labels
}

#[expect(clippy::cast_precision_loss, reason = "numbers of deployments are small")]
fn ratios(each: &[Told]) -> Vec<Family> {
    let mut frequency = gauge(
        "plimsoll_dora_deployments_per_day",
        "Deployments that succeeded with effect, for each day of the window.",
    );
    let mut failures =
        gauge("plimsoll_dora_change_failure_ratio", "Of the deployments with effect, those that failed.");
    let mut rework =
        gauge("plimsoll_dora_rework_ratio", "Of the deployments with effect, those that were unplanned remediation.");
    for told in each {
        let Figures { frequency: often, failure_rate, rework: again, .. } = &told.figures;
        if let Some(n) = often.n {
            frequency.add(labels(told), n as f64 / often.days);
        }
        if failure_rate.n > 0 {
            failures.add(labels(told), failure_rate.failed as f64 / failure_rate.n as f64);
            rework.add(labels(told), again.rework as f64 / again.n as f64);
        }
    }
    vec![frequency, failures, rework]
}

#[expect(clippy::cast_precision_loss, reason = "centuries of seconds fit")]
fn times(each: &[Told]) -> Vec<Family> {
    type Pick = fn(&Figures) -> &Durations;
    let families: [(&'static str, &'static str, Pick); 3] = [
        (
            "plimsoll_dora_change_lead_time_seconds",
            "From the author time of a change to the end of its first deployment.",
            |figures| &figures.lead_time.times,
        ),
        (
            "plimsoll_dora_deployment_recovery_seconds",
            "From the end of a failed deployment to its being mended.",
            |figures| &figures.recovery.times,
        ),
        (
            "plimsoll_dora_incident_restore_seconds",
            "From the beginning of an incident, of any cause, to its end.",
            |figures| &figures.restore.times,
        ),
    ];
    let mut made = Vec::with_capacity(families.len());
    for (name, help, pick) in families {
        let mut family = gauge(name, help);
        for told in each {
            let times = pick(&told.figures);
            let stats = [("p50", times.quantile(50)), ("p90", times.quantile(90)), ("mean", times.mean())];
            for (stat, seconds) in stats.into_iter().filter_map(|(stat, seconds)| Some((stat, seconds?))) {
                let mut labels = labels(told);
                labels.push(("stat", stat.to_owned()));
                family.add(labels, seconds as f64);
            }
        }
        made.push(family);
    }
    made
}

/// How many samples the figures of all services together rest on, and what gave none.
fn samples(all: &[Told]) -> [Family; 2] {
    let mut samples = gauge("plimsoll_dora_samples", "What a figure of all production services rests on.");
    let mut excluded =
        gauge("plimsoll_dora_excluded_samples", "What gave no sample to a figure of all production services, by why.");
    let metric = |told: &Told, metric: &str| -> Labels {
        vec![("metric", metric.to_owned()), ("window", told.window.to_owned())]
    };
    let mut leave_out = |told: &Told, name: &str, reasons: &BTreeMap<&'static str, u64>| {
        for (reason, n) in reasons {
            let mut labels = metric(told, name);
            labels.push(("reason", (*reason).to_owned()));
            excluded.add(labels, *n);
        }
    };
    for told in all {
        let Figures { frequency, lead_time, failure_rate, recovery, rework, restore } = &told.figures;
        let counts = [
            ("deployment_frequency", frequency.n.unwrap_or(0)),
            ("change_lead_time", lead_time.times.n()),
            ("change_failure_rate", failure_rate.n),
            ("failed_deployment_recovery_time", recovery.times.n()),
            ("deployment_rework_rate", rework.n),
            ("mttr", restore.times.n()),
        ];
        counts.into_iter().for_each(|(name, n)| samples.add(metric(told, name), n));
        leave_out(told, "change_lead_time", &lead_time.excluded);
        leave_out(told, "mttr", &restore.excluded);
    }
    [samples, excluded]
}
