//! Holding stored hash tiles to those of the events.

use std::collections::HashSet;

use super::super::tree::{Hash, TileKind, TilePath};
use super::{Damage, Report};

/// Remembers which tiles were wrong, so that what follows from one wrong hash is not told again on every level.
#[derive(Default)]
pub(super) struct Hashes {
    wrong: HashSet<(u8, u64)>,
}

impl Hashes {
    /// Compares a tile as it is stored with the one that follows from the events; lower levels come first. A difference
    /// is told by the first event that it is about.
    pub(super) fn compare(
        &mut self,
        (level, number): (u8, u64),
        stored: Option<&[Hash]>,
        expected: &[Hash],
        report: &mut Report,
    ) {
        report.tiles += 1;
        let width = u16::try_from(expected.len()).unwrap_or(256);
        let path = TilePath::new(TileKind::Hashes { level }, number, width);
        let event_of = |n: usize| {
            let nth = number.saturating_mul(256).saturating_add(n as u64);
            nth.checked_shl(8 * u32::from(level)).unwrap_or(u64::MAX)
        };
        let Some(stored) = stored else {
            report.find(Damage::BadTile, Some(event_of(0)), format!("{path} is missing"));
            return;
        };
        let below = |n: usize| level.checked_sub(1).map(|below| (below, number.saturating_mul(256) + n as u64));
        let differs = |(n, hash): &(usize, &Hash)| {
            stored.get(*n) != Some(hash) && below(*n).is_none_or(|tile| !self.wrong.contains(&tile))
        };
        let first = expected.iter().enumerate().find(differs).map(|(n, _)| n);
        if stored != expected {
            self.wrong.insert((level, number));
        }
        if let Some(n) = first {
            let of = if level == 0 { "the event".to_owned() } else { format!("the {} events", 1_u128 << (8 * level)) };
            let (n, at) = (event_of(n), n);
            report.find(Damage::BadTile, Some(n), format!("{path}: hash {at} is not that of {of} from {n} on"));
        } else if stored.len() > expected.len() {
            let at = event_of(expected.len());
            report.find(Damage::BadTile, Some(at), format!("{path} holds {} hashes", stored.len()));
        }
    }
}
