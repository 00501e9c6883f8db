//! Days, weeks and months of a window, in a zone.

use std::ops::Range;

use chrono::{Datelike, Days, Months, NaiveDate, TimeZone};
use chrono_tz::Tz;

use super::figures::{day, monday};

/// What a window is cut into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bucket {
    /// From midnight to midnight.
    Day,
    /// ISO weeks, from Monday on.
    Week,
    /// Calendar months.
    Month,
}

/// A window is cut into no more parts than this; the last takes the rest. Who answers refuses so many.
pub const BUCKETS_MAX: usize = 20_001;

/// A window, cut at the beginnings of days, weeks or months of a zone; the first and the last may be shorter. All in
/// microseconds since 1970.
#[must_use]
pub fn buckets(window: &Range<i64>, bucket: Bucket, zone: Tz) -> Vec<Range<i64>> {
    let mut cuts = Vec::new();
    let mut from = window.start;
    let mut date = day(window.start, zone).map(|day| begin(day, bucket));
    while let Some(next) = date.and_then(|date| following(date, bucket)) {
        date = Some(next);
        // Zones have left out whole days.
        let Some(at) = midnight(next, zone) else { continue };
        if at >= window.end || cuts.len() >= BUCKETS_MAX {
            break;
        }
        if at > from {
            cuts.push(from..at);
            from = at;
        }
    }
    if from < window.end {
        cuts.push(from..window.end);
    }
    cuts
}

fn begin(day: NaiveDate, bucket: Bucket) -> NaiveDate {
    match bucket {
        Bucket::Day => day,
        Bucket::Week => monday(day),
        Bucket::Month => day.with_day(1).unwrap_or(day),
    }
}

fn following(day: NaiveDate, bucket: Bucket) -> Option<NaiveDate> {
    match bucket {
        Bucket::Day => day.checked_add_days(Days::new(1)),
        Bucket::Week => day.checked_add_days(Days::new(7)),
        Bucket::Month => day.checked_add_months(Months::new(1)),
    }
}

/// When a day begins: at midnight, or when the clocks are put forward over it, then.
fn midnight(day: NaiveDate, zone: Tz) -> Option<i64> {
    let begin = day.and_hms_opt(0, 0, 0)?;
    (0..24).find_map(|quarters| {
        let local = begin.checked_add_signed(chrono::TimeDelta::minutes(15 * quarters))?;
        Some(zone.from_local_datetime(&local).earliest()?.timestamp_micros())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros()
    }

    #[test]
    fn windows_are_cut_where_days_weeks_and_months_begin() {
        let window = at("2026-01-30T12:00:00Z")..at("2026-03-02T00:00:00Z");
        let months = buckets(&window, Bucket::Month, Tz::UTC);
        let first = at("2026-02-01T00:00:00Z");
        let second = at("2026-03-01T00:00:00Z");
        assert_eq!(months, [window.start..first, first..second, second..window.end]);
        let weeks = buckets(&window, Bucket::Week, Tz::UTC);
        assert_eq!((weeks.len(), weeks[0].end, weeks[4].end), (5, at("2026-02-02T00:00:00Z"), window.end));
        assert_eq!(buckets(&window, Bucket::Day, Tz::UTC).len(), 31);
        assert!(buckets(&(5..5), Bucket::Day, Tz::UTC).is_empty());
    }

    #[test]
    fn a_day_is_as_long_as_the_zone_says() {
        let window = at("2026-03-28T23:00:00Z")..at("2026-03-30T22:00:00Z");
        let days = buckets(&window, Bucket::Day, Tz::Europe__Berlin);
        assert_eq!(days.iter().map(|day| (day.end - day.start) / 3_600_000_000).collect::<Vec<_>>(), [23, 24]);
        // A whole day was left out.
        let window = at("2011-12-28T10:00:00Z")..at("2012-01-01T10:00:00Z");
        assert_eq!(buckets(&window, Bucket::Day, Tz::Pacific__Apia).len(), 4);
        // Midnight is left out there.
        let window = at("2026-03-28T12:00:00Z")..at("2026-03-29T12:00:00Z");
        let days = buckets(&window, Bucket::Day, Tz::Asia__Beirut);
        assert_eq!(days[0].end, at("2026-03-28T22:00:00Z"));
    }
}
