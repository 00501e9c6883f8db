//! Native histograms: exponential buckets, as many as are used.

use std::collections::BTreeMap;

/// Resolution: bounds are powers of `2^(2^-SCHEMA)`, so each bucket is 19 % wider than the one before.
pub(super) const SCHEMA: i32 = 2;

/// Up to here observations count as nothing: Prometheus' own default, 2^-128.
pub(super) const ZERO_THRESHOLD: f64 = 2.938_735_877_055_719e-39;

/// Counts in exponential buckets of schema 2. Durations are not negative, so there are no negative buckets.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Native {
    /// Observations of nothing.
    pub zero: u64,
    /// How many observations lie in bucket n: above `2^((n-1)/4)` and up to `2^(n/4)`.
    pub buckets: BTreeMap<i32, u64>,
}

impl Native {
    /// Takes an observation in.
    pub fn observe(&mut self, value: f64) {
        if value <= ZERO_THRESHOLD {
            self.zero += 1;
        } else {
            *self.buckets.entry(bucket(value)).or_default() += 1;
        }
    }
}

impl Native {
    /// Takes in what others counted.
    pub(super) fn merge(&mut self, other: &Self) {
        self.zero += other.zero;
        for (n, count) in &other.buckets {
            *self.buckets.entry(*n).or_default() += count;
        }
    }
}

/// The bucket of an observation above nothing.
#[expect(clippy::cast_possible_truncation, reason = "a logarithm of a finite number is small")]
fn bucket(value: f64) -> i32 {
    let width = 2f64.powi(SCHEMA);
    let guess = (value.log2() * width).ceil() as i32;
    // A logarithm of a bound may come out on either side of it.
    let upper = |n: i32| 2f64.powf(f64::from(n) / width);
    if value > upper(guess) {
        guess + 1
    } else if value <= upper(guess - 1) {
        guess - 1
    } else {
        guess
    }
}

/// Spans and differences, as the wire has them: runs of buckets (distance to the run before, length), and of each
/// bucket's count the difference to the one before.
pub(super) fn spans(native: &Native) -> (Vec<(i32, u32)>, Vec<i64>) {
    let (mut spans, mut deltas) = (Vec::<(i32, u32)>::new(), Vec::new());
    let (mut next, mut before) = (0, 0);
    for (n, count) in &native.buckets {
        let count = i64::try_from(*count).unwrap_or(i64::MAX);
        match spans.last_mut() {
            Some((_, length)) if *n == next => *length += 1,
            _ => spans.push((n - next, 1)),
        }
        deltas.push(count - before);
        (next, before) = (n + 1, count);
    }
    (spans, deltas)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_lies_in_the_bucket_whose_bounds_hold_it() {
        for n in -40..80 {
            let upper = 2f64.powf(f64::from(n) / 4.0);
            assert_eq!(bucket(upper), n, "the bound belongs to its bucket");
            assert_eq!(bucket(upper * 1.0001), n + 1);
        }
    }

    #[test]
    fn buckets_are_told_as_runs_and_differences() {
        let mut native = Native::default();
        [1.0, 1.0, 1.1, 16.0].into_iter().for_each(|value| native.observe(value));
        assert_eq!(spans(&native), (vec![(0, 2), (14, 1)], vec![2, -1, 0]));
    }
}
