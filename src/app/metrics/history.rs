//! The past for a time-series database: what `/metrics` would have shown at the end of each day, had everything been
//! known in time.
//!
//! A scrape counts when something is recorded; here everything stands where it happened. So this is the one place for
//! filling in what was before the first scrape.

use std::collections::BTreeMap;

use super::super::dora;
use super::{Budget, SERVICES_MAX};
use crate::event::Timestamp;
use crate::exposition::{Family, Kind, Labels, Sample, Value, open_metrics};
use crate::projection::deployment::{self, daily, tier};
use crate::projection::incident::{self, troubles};
use crate::projection::{self, About, Basis, Result, Snapshot};

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// The projections that it reads.
pub const NEEDS: &[&About] = &[&deployment::ABOUT, &incident::ABOUT, &projection::dora::ABOUT];

/// From when to when: the midnights, in UTC, that are not before `from` nor after `to`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Window {
    /// From the first thing that happened, where absent.
    pub from: Option<Timestamp>,
    /// To when the last event was recorded, where absent.
    pub to: Option<Timestamp>,
}

/// What was counted on which day, counted from 1970-01-01.
type Course = BTreeMap<i64, u64>;

/// Writes OpenMetrics, piece by piece, with a sample of each series at each midnight. A counter has what happened before;
/// it begins with 0 on the midnight before it first counted. A gauge is that of its windows up to then. Ends early, and
/// without its end, when `write` says false.
///
/// # Errors
/// `Database`, `Damaged`.
pub fn write(
    snapshot: &Snapshot<'_>,
    basis: &Basis,
    window: Window,
    write: &mut dyn FnMut(String) -> bool,
) -> Result<()> {
    // The first midnight that is not before the one, and the last that is not after the other.
    let first = window.from.map_or(i64::MIN, |from| -(-from.micros()).div_euclid(DAY));
    let last = window.to.or(basis.recorded_at).map_or(i64::MIN, |to| to.micros().div_euclid(DAY));
    let first = first.max(last.saturating_sub(MIDNIGHTS_MAX));
    let services = Budget::new(deployment::services(snapshot)?.into_iter(), SERVICES_MAX);
    let mut families = vec![deployments(snapshot, basis, &services)?];
    families.extend(incidents(snapshot, basis, &services)?);
    let begin =
        families.iter().flat_map(|(_, courses)| courses.values().filter_map(|course| course.keys().next())).min();
    for (family, courses) in &families {
        let series = courses.iter().map(|(labels, course)| counter(labels, course, first, last));
        if !family_of(family, series, write) {
            return Ok(());
        }
    }
    let midnights = begin.map(|begin| first.max(*begin)..=last);
    for (family, series) in gauges(snapshot, basis, &services, midnights.into_iter().flatten())? {
        let series = series.into_iter().map(|(labels, values)| {
            let sample = |(day, value)| sample(&labels, day, Value::Number(value));
            values.into_iter().map(sample).collect()
        });
        if !family_of(&family, series, write) {
            return Ok(());
        }
    }
    write(open_metrics::END.to_owned());
    Ok(())
}

/// Samples that are written at once: some hundred kilobytes.
const PIECE_SAMPLES: usize = 1000;

/// Midnights that are written of at most, the last ones: ten years.
const MIDNIGHTS_MAX: i64 = 3660;

/// Writes a family that has samples, one series after the other. False when that is to end.
fn family_of(
    family: &Family,
    series: impl Iterator<Item = Vec<Sample>>,
    write: &mut dyn FnMut(String) -> bool,
) -> bool {
    let mut series = series.filter(|samples| !samples.is_empty()).peekable();
    if series.peek().is_none() {
        return true;
    }
    if !write(open_metrics::head(family)) {
        return false;
    }
    let mut pieces =
        |samples: Vec<Sample>| samples.chunks(PIECE_SAMPLES).all(|piece| write(open_metrics::samples(family, piece)));
    series.all(&mut pieces)
}

fn sample(labels: &Labels, day: i64, value: Value) -> Sample {
    Sample { labels: labels.clone(), value, at_micros: Some(day.saturating_mul(DAY)), exemplar: None }
}

/// The values of a series by day.
type Values = Vec<(i64, f64)>;

/// The DORA figures at each of these midnights. They are kept as numbers until all are known, as the samples of a family
/// stand together.
fn gauges(
    snapshot: &Snapshot<'_>,
    basis: &Basis,
    services: &Budget,
    midnights: impl Iterator<Item = i64>,
) -> Result<Vec<(Family, BTreeMap<Labels, Values>)>> {
    let mut found: Vec<(Family, BTreeMap<Labels, Values>)> = Vec::new();
    for day in midnights {
        let told = dora::families(snapshot, basis, day.saturating_mul(DAY), services)?;
        for (n, mut family) in told.into_iter().enumerate() {
            let samples = std::mem::take(&mut family.samples);
            if found.len() <= n {
                found.push((family, BTreeMap::new()));
            }
            let Some((_, series)) = found.get_mut(n) else { continue };
            for Sample { labels, value, .. } in samples {
                #[expect(clippy::cast_precision_loss, reason = "numbers of samples are small")]
                let value = match value {
                    Value::Number(value) => value,
                    Value::Whole(value) => value as f64,
                    Value::Histogram(_) => continue,
                };
                series.entry(labels).or_default().push((day, value));
            }
        }
    }
    Ok(found)
}

fn incidents(
    snapshot: &Snapshot<'_>,
    basis: &Basis,
    services: &Budget,
) -> Result<[(Family, BTreeMap<Labels, Course>); 2]> {
    let family = |name, help| (Family::new(Kind::Counter, name, help), BTreeMap::<Labels, Course>::new());
    let mut opened = family("plimsoll_incidents_opened", "Incidents, by when they began.");
    let mut resolved = family("plimsoll_incidents_resolved", "Incidents that were resolved, by when they were.");
    for trouble in troubles(snapshot, basis)? {
        for (at, (_, courses)) in [(trouble.started_at, &mut opened), (trouble.resolved_at, &mut resolved)] {
            let Some(at) = at else { continue };
            let labels = vec![
                ("service", services.name(&trouble.service)),
                ("environment", trouble.environment.clone()),
                ("severity", trouble.severity.clone()),
            ];
            *courses.entry(labels).or_default().entry(at.micros().div_euclid(DAY)).or_default() += 1;
        }
    }
    Ok([opened, resolved])
}

fn deployments(
    snapshot: &Snapshot<'_>,
    basis: &Basis,
    services: &Budget,
) -> Result<(Family, BTreeMap<Labels, Course>)> {
    let mut courses: BTreeMap<Labels, Course> = BTreeMap::new();
    for one in daily(snapshot, basis)? {
        let class = one.class.map_or("none", |class| class.as_str());
        let labels = vec![
            ("service", services.name(&one.service)),
            ("environment", one.environment.clone()),
            ("tier", tier(&one.environment).as_str().to_owned()),
            ("class", class.to_owned()),
            ("outcome", one.status.as_str().to_owned()),
        ];
        *courses.entry(labels).or_default().entry(one.day).or_default() += one.n;
    }
    Ok((Family::new(Kind::Counter, "plimsoll_deployments", "Rollouts that ended, by when they did."), courses))
}

/// The samples of a counter at the midnights from the day `first` to the day `last`.
fn counter(labels: &Labels, course: &Course, first: i64, last: i64) -> Vec<Sample> {
    let Some(begin) = course.keys().next().map(|day| first.max(*day)) else { return Vec::new() };
    let mut total = course.range(..begin).map(|(_, n)| n).sum();
    let mut samples = Vec::new();
    for day in begin..=last {
        samples.push(sample(labels, day, Value::Whole(total)));
        total += course.get(&day).copied().unwrap_or_default();
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_begins_with_nothing_and_has_at_each_midnight_what_was_before() {
        let course = Course::from([(10, 2), (12, 1), (20, 5)]);
        let values = |first, last| -> Vec<(i64, u64)> {
            let value = |sample: &Sample| match sample.value {
                Value::Whole(value) => (sample.at_micros.unwrap() / DAY, value),
                _ => unreachable!(),
            };
            counter(&Vec::new(), &course, first, last).iter().map(value).collect()
        };
        assert_eq!(values(i64::MIN, 13), [(10, 0), (11, 2), (12, 2), (13, 3)]);
        assert_eq!(values(12, 13), [(12, 2), (13, 3)], "what happened before counts");
        assert_eq!(values(0, 9), [], "not begun yet");
        assert_eq!(values(0, 10), [(10, 0)]);
        assert_eq!(values(15, 14), []);
        assert_eq!(counter(&Vec::new(), &Course::new(), 0, 9), []);
    }
}
