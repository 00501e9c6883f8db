//! Chance that is the same for the same seed.

/// `SplitMix64`: fast, and good enough for material.
#[derive(Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `n`, without `n`; 0 for an `n` of 0.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.next().checked_rem(n).unwrap_or(0)
    }

    /// A number from `least` on, and less than `limit`.
    pub(super) fn between(&mut self, least: i64, limit: i64) -> i64 {
        let width = u64::try_from(limit.saturating_sub(least)).unwrap_or(0);
        least.saturating_add(i64::try_from(self.below(width)).unwrap_or(0))
    }

    /// True in `n` of 1,000 cases.
    pub(super) fn per_mille(&mut self, n: u64) -> bool {
        self.below(1000) < n
    }

    /// One of `n` things of which the first are wanted more often than the last: one in ten is the first hundredth.
    pub(super) fn skewed(&mut self, n: u64) -> u64 {
        let one = u128::from(self.below(1 << 32));
        u64::try_from((one * one * u128::from(n)) >> 64).unwrap_or(0)
    }
}
