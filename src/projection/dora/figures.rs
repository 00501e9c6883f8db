//! Figures of what was gathered: pure. The definitions are DORA.md's, sections 2.2 to 2.7.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta};
use chrono_tz::Tz;

use super::Reason;
use super::gather::{Change, Delivery, Incident, Material, Mended};

/// Samples of whole seconds. None of no samples, never 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Durations {
    /// In ascending order.
    samples: Vec<i64>,
    sum: i128,
}

impl Durations {
    fn of(mut samples: Vec<i64>) -> Self {
        samples.sort_unstable();
        let sum = samples.iter().copied().map(i128::from).sum();
        Self { samples, sum }
    }

    /// How many.
    #[must_use]
    pub fn n(&self) -> u64 {
        u64::try_from(self.samples.len()).unwrap_or(u64::MAX)
    }

    /// The quantile of so many percent by nearest rank: the smallest sample that so many percent of all do not exceed.
    #[must_use]
    pub fn quantile(&self, percent: usize) -> Option<i64> {
        let rank = (percent * self.samples.len()).div_ceil(100).max(1);
        self.samples.get(rank - 1).copied()
    }

    /// The mean in whole seconds; what lies in the middle goes to the even one.
    #[must_use]
    pub fn mean(&self) -> Option<i64> {
        let n = i128::try_from(self.samples.len()).ok().filter(|n| *n > 0)?;
        let (whole, rest) = (self.sum.div_euclid(n), self.sum.rem_euclid(n));
        let up = match (rest * 2).cmp(&n) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal => whole % 2 != 0,
            std::cmp::Ordering::Greater => true,
        };
        i64::try_from(whole + i128::from(up)).ok()
    }

    /// The samples, in ascending order.
    #[must_use]
    pub fn samples(&self) -> &[i64] {
        &self.samples
    }
}

/// How often.
#[derive(Debug, Clone, PartialEq)]
pub struct Frequency {
    /// Deployments that succeeded; none where no target was there before the window and nothing happened.
    pub n: Option<u64>,
    /// The length of the window in days.
    pub days: f64,
    /// Days with such a deployment.
    pub deployment_days: u64,
    /// Of such days in each ISO week that the window touches, the median.
    pub median_days_per_week: Option<u64>,
    /// Seconds from one such deployment to the next.
    pub gaps: Durations,
    /// Deployments of what ran already.
    pub redeploys: u64,
    /// Attempts without effect.
    pub without_effect: u64,
}

/// How long from a change to its deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeadTime {
    /// The samples.
    pub times: Durations,
    /// Changes that gave none, by why.
    pub excluded: BTreeMap<&'static str, u64>,
}

/// How deployments were found to have failed; one may have several links.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Links {
    /// An incident names it.
    pub incident: u64,
    /// A deployment says that it repairs it.
    pub remediation: u64,
    /// It was rolled back.
    pub rollback: u64,
    /// It took effect and was never healthy.
    pub unfinished: u64,
}

/// Failures inferred from incidents that began soon after.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Inferred {
    /// Deployments without any link, after which an incident began.
    pub failed: u64,
}

/// How many deployments failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailureRate {
    /// Deployments with effect, rollbacks included.
    pub n: u64,
    /// Of those, the ones that failed.
    pub failed: u64,
    /// The same without rollbacks, as Uplevel counts.
    pub without_rollbacks: (u64, u64),
    /// By which links.
    pub links: Links,
    /// What was inferred, where that was asked for.
    pub inferred: Option<Inferred>,
}

/// How long failed deployments took to be mended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// The samples.
    pub times: Durations,
    /// Those that are not mended yet: their ends, in microseconds since 1970.
    pub open: Vec<i64>,
}

/// How many deployments were unplanned remediation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReworkRate {
    /// Deployments with effect.
    pub n: u64,
    /// Of those, unplanned remediation.
    pub rework: u64,
}

/// How long incidents took, of any cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restore {
    /// The samples.
    pub times: Durations,
    /// Those that last: their beginnings, in microseconds since 1970.
    pub open: Vec<i64>,
    /// Incidents that gave no sample, by why.
    pub excluded: BTreeMap<&'static str, u64>,
}

/// The figures of a window.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// DORA.md, section 2.2.
    pub frequency: Frequency,
    /// Section 2.3.
    pub lead_time: LeadTime,
    /// Section 2.4.
    pub failure_rate: FailureRate,
    /// Section 2.5.
    pub recovery: Recovery,
    /// Section 2.7.
    pub rework: ReworkRate,
    /// Section 2.6.
    pub restore: Restore,
}

const SECOND: i64 = 1_000_000;
const DAY_SECONDS: f64 = 86_400.0;

/// The figures of the material in a window that lies within what was gathered. Days and weeks are those of `zone`.
#[must_use]
pub fn figures(material: &Material, window: &Range<i64>, zone: Tz) -> Figures {
    let within = |at: i64| window.contains(&at);
    let deliveries: Vec<&Delivery> = material.deliveries.iter().filter(|it| within(it.finished_at)).collect();
    let changes = material.changes.iter().filter(|it| within(it.finished_at));
    let existed = material.first_effect.iter().flatten().any(|first| *first < window.start);
    Figures {
        frequency: frequency(&deliveries, window, zone, existed),
        lead_time: lead_time(changes, &deliveries),
        failure_rate: failure_rate(&deliveries, material.inferred),
        recovery: recovery(&material.mended, window),
        rework: rework(&deliveries),
        restore: restore(&material.incidents, window),
    }
}

fn count<T>(of: impl IntoIterator<Item = T>) -> u64 {
    of.into_iter().fold(0, |n, _| n + 1)
}

#[expect(clippy::cast_precision_loss, reason = "a window of centuries is exact to the second")]
fn frequency(deliveries: &[&Delivery], window: &Range<i64>, zone: Tz, existed: bool) -> Frequency {
    let mut ends: Vec<i64> = deliveries.iter().filter(|it| it.succeeded()).map(|it| it.finished_at).collect();
    ends.sort_unstable();
    let n = count(&ends);
    let days: BTreeSet<NaiveDate> = ends.iter().filter_map(|at| day(*at, zone)).collect();
    let gaps = ends.iter().zip(ends.iter().skip(1)).map(|(one, next)| (next - one) / SECOND).collect();
    Frequency {
        n: (n > 0 || existed).then_some(n),
        days: window.end.saturating_sub(window.start) as f64 / SECOND as f64 / DAY_SECONDS,
        deployment_days: count(&days),
        median_days_per_week: median_per_week(&days, window, zone).filter(|_| n > 0 || existed),
        gaps: Durations::of(gaps),
        redeploys: count(deliveries.iter().filter(|it| it.redeploy())),
        without_effect: count(deliveries.iter().filter(|it| !it.redeploy() && !it.effective())),
    }
}

/// The day of an instant in a zone.
pub(super) fn day(at: i64, zone: Tz) -> Option<NaiveDate> {
    DateTime::from_timestamp_micros(at).map(|at| at.with_timezone(&zone).date_naive())
}

/// The Monday of a day's ISO week.
pub(super) fn monday(day: NaiveDate) -> NaiveDate {
    let since = TimeDelta::days(i64::from(day.weekday().num_days_from_monday()));
    day.checked_sub_signed(since).unwrap_or(day)
}

/// The lower median of the number of those days in each week that the window touches.
fn median_per_week(days: &BTreeSet<NaiveDate>, window: &Range<i64>, zone: Tz) -> Option<u64> {
    let (first, last) = (monday(day(window.start, zone)?), monday(day(window.end.checked_sub(1)?, zone)?));
    let weeks = usize::try_from((last - first).num_days() / 7 + 1).ok()?;
    let mut of_week: BTreeMap<NaiveDate, u64> = BTreeMap::new();
    days.iter().for_each(|day| *of_week.entry(monday(*day)).or_default() += 1);
    let mut counts: Vec<u64> = of_week.into_values().collect();
    counts.sort_unstable();
    // Weeks without one are not in the map and come first.
    let (median, empty) = ((weeks - 1) / 2, weeks.saturating_sub(counts.len()));
    Some(median.checked_sub(empty).map_or(0, |n| counts.get(n).copied().unwrap_or(0)))
}

fn lead_time<'a>(changes: impl Iterator<Item = &'a Change>, deliveries: &[&Delivery]) -> LeadTime {
    let (mut samples, mut excluded) = (Vec::new(), BTreeMap::new());
    for change in changes {
        match change.told {
            Some(Ok(seconds)) => samples.push(seconds),
            // Neither is a change.
            Some(Err(Reason::Merge | Reason::Replaced)) => {}
            Some(Err(reason)) => *excluded.entry(reason.as_str()).or_default() += 1,
            None => *excluded.entry("automation").or_default() += 1,
        }
    }
    match count(deliveries.iter().filter(|it| it.unlinked())) {
        0 => {}
        unlinked => {
            excluded.insert("unlinked", unlinked);
        }
    }
    LeadTime { times: Durations::of(samples), excluded }
}

fn failure_rate(deliveries: &[&Delivery], inferred: bool) -> FailureRate {
    let effective: Vec<&&Delivery> = deliveries.iter().filter(|it| it.effective()).collect();
    let of = |pick: fn(&Delivery) -> bool| count(effective.iter().filter(|it| pick(it)));
    FailureRate {
        n: count(&effective),
        failed: of(Delivery::failed),
        without_rollbacks: (of(|it| !it.rollback()), of(|it| !it.rollback() && it.failed())),
        links: Links {
            incident: of(Delivery::failed_by_incident),
            remediation: of(Delivery::failed_by_remediation),
            rollback: of(Delivery::failed_by_rollback),
            unfinished: of(Delivery::unfinished),
        },
        inferred: inferred.then(|| Inferred { failed: of(|it| it.inferred && !it.failed()) }),
    }
}

fn rework(deliveries: &[&Delivery]) -> ReworkRate {
    let effective = || deliveries.iter().filter(|it| it.effective());
    ReworkRate { n: count(effective()), rework: count(effective().filter(|it| it.rework())) }
}

fn recovery(mended: &[Mended], window: &Range<i64>) -> Recovery {
    let (mut samples, mut open) = (Vec::new(), Vec::new());
    for one in mended {
        match one.recovered_at {
            Some(at) if window.contains(&at) => samples.extend(one.seconds()),
            None if one.finished_at < window.end => open.push(one.finished_at),
            _ => {}
        }
    }
    open.sort_unstable();
    Recovery { times: Durations::of(samples), open }
}

fn restore(incidents: &[Incident], window: &Range<i64>) -> Restore {
    let (mut samples, mut open, mut excluded) = (Vec::new(), Vec::new(), BTreeMap::new());
    for incident in incidents {
        let over = incident.resolved_at.is_some_and(|at| window.contains(&at));
        match (incident.reason(), incident.started_at) {
            (Some(reason), _) if over => *excluded.entry(reason).or_default() += 1,
            (None, Some(_)) if over => samples.extend(incident.seconds()),
            (None, Some(from)) if incident.resolved_at.is_none() && from < window.end => open.push(from),
            _ => {}
        }
    }
    open.sort_unstable();
    Restore { times: Durations::of(samples), open, excluded }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_by_nearest_rank_and_the_mean_goes_to_the_even_second() {
        let of = |samples: &[i64]| Durations::of(samples.to_vec());
        let twenty = of(&(1..=20).collect::<Vec<_>>());
        assert_eq!([50, 75, 90, 95].map(|percent| twenty.quantile(percent)), [10, 15, 18, 19].map(Some));
        assert_eq!((of(&[]).quantile(50), of(&[]).mean(), of(&[7]).quantile(95)), (None, None, Some(7)));
        assert_eq!([of(&[1, 2]).mean(), of(&[2, 3]).mean(), of(&[1, 1, 2]).mean()], [2, 2, 1].map(Some));
        assert_eq!(of(&[1, 2, 2]).mean(), Some(2));
    }

    #[test]
    fn weeks_without_deployments_count_for_the_median() {
        let date = |day| NaiveDate::from_ymd_opt(2026, 6, day).unwrap();
        let at = |day: i64| 1_780_272_000_000_000 + (day - 1) * 86_400 * SECOND;
        assert_eq!(day(at(1), Tz::UTC), Some(date(1)));
        // Four weeks from Monday the 1st.
        let window = at(1)..at(29);
        let of = |days: &[u32]| median_per_week(&days.iter().map(|day| date(*day)).collect(), &window, Tz::UTC);
        assert_eq!(of(&[1, 2, 3]), Some(0));
        assert_eq!(of(&[1, 2, 8, 15]), Some(1));
        assert_eq!(of(&[1, 2, 8, 9, 10, 15, 22, 23]), Some(2));
    }

    #[test]
    fn days_are_those_of_the_zone() {
        let midnight = 1_780_272_000_000_000;
        let before = NaiveDate::from_ymd_opt(2026, 5, 31);
        assert_eq!(day(midnight, Tz::America__New_York), before);
    }
}
