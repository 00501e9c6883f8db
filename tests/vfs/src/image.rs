//! What a power loss may leave on the disk.
//!
//! A file system promises this: what was written to a file before its last sync is there, and a name that was made or
//! removed before the last sync of its directory is, or is not, there. Of what came after, anything may be: each write
//! or not, the one under way torn at a sector. Of names, and of the cuts of one file, what came first is lost last.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Change, Logged};

/// What is written at once by a disk that loses power.
pub const SECTOR: usize = 512;

/// Decides the fate of what was not synced.
pub trait Fate {
    /// Whether an unsynced write, cut or deletion reached the disk. `last` is the newest of its file.
    fn survives(&mut self, last: bool) -> bool;
    /// How many of a write's sectors reached the disk, of about `sectors`; `usize::MAX` for all.
    fn sectors(&mut self, last: bool, sectors: usize) -> usize;
}

/// Nothing unsynced reached the disk.
pub struct Nothing;

impl Fate for Nothing {
    fn survives(&mut self, _: bool) -> bool {
        false
    }
    fn sectors(&mut self, _: bool, _: usize) -> usize {
        0
    }
}

/// Everything reached the disk, though it was not synced: a process that was killed, not a machine.
pub struct Everything;

impl Fate for Everything {
    fn survives(&mut self, _: bool) -> bool {
        true
    }
    fn sectors(&mut self, _: bool, _: usize) -> usize {
        usize::MAX
    }
}

/// Everything reached the disk but a part of each file's last write.
pub struct TornLast(pub f64);

impl Fate for TornLast {
    fn survives(&mut self, _: bool) -> bool {
        true
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a share")]
    fn sectors(&mut self, last: bool, sectors: usize) -> usize {
        if last { (sectors as f64 * self.0) as usize } else { usize::MAX }
    }
}

/// Each unsynced write by chance, in whole or in part. Also a source of repeatable chance for other tests.
pub struct Chance(pub u64);

impl Chance {
    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Fate for Chance {
    fn survives(&mut self, _: bool) -> bool {
        !self.next().is_multiple_of(3)
    }
    fn sectors(&mut self, _: bool, sectors: usize) -> usize {
        if self.next().is_multiple_of(3) {
            usize::try_from(self.next() % (sectors as u64 + 1)).unwrap_or(0)
        } else {
            usize::MAX
        }
    }
}

/// One file from its creation to its deletion; another of the same name may follow.
struct Life<'a> {
    created: usize,
    deleted: Option<usize>,
    changes: Vec<&'a Change>,
}

/// The files as a power loss after `log` leaves them. The log must begin with the creation of each file.
#[must_use]
pub fn after_power_loss(log: &[Logged], fate: &mut dyn Fate) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut lives: BTreeMap<&Path, Vec<Life<'_>>> = BTreeMap::new();
    let mut names_synced: BTreeMap<&Path, usize> = BTreeMap::new();
    for (n, entry) in log.iter().enumerate() {
        let of_file = lives.entry(&entry.path).or_default();
        match &entry.change {
            Change::SyncNames => {
                names_synced.insert(entry.path.parent().unwrap_or(Path::new("")), n);
            }
            Change::Create => of_file.push(Life { created: n, deleted: None, changes: Vec::new() }),
            Change::Delete => of_file.last_mut().expect("created").deleted = Some(n),
            change => of_file.last_mut().expect("created").changes.push(change),
        }
    }
    let mut disk = BTreeMap::new();
    for (path, lives) in lives {
        let synced = names_synced.get(path.parent().unwrap_or(Path::new(""))).copied();
        let mut named = None;
        let steps = lives.iter().flat_map(|life| [(Some(life.created), Some(life)), (life.deleted, None)]);
        for (at, life) in steps.filter_map(|(at, life)| Some((at?, life))) {
            if synced.is_none_or(|synced| at > synced) && !fate.survives(false) {
                break;
            }
            named = life;
        }
        if let Some(life) = named {
            disk.insert(path.to_owned(), content(&life.changes, fate));
        }
    }
    disk
}

fn content(changes: &[&Change], fate: &mut dyn Fate) -> Vec<u8> {
    let synced = changes.iter().rposition(|change| **change == Change::Sync).map_or(0, |last| last + 1);
    let mut content = Vec::new();
    for (n, change) in changes.iter().enumerate() {
        let last = n + 1 == changes.len();
        if n < synced {
            apply(&mut content, change, usize::MAX);
        } else if fate.survives(last) {
            let sectors = match change {
                Change::Write { bytes, .. } => fate.sectors(last, bytes.len().div_ceil(SECTOR)),
                _ => usize::MAX,
            };
            apply(&mut content, change, sectors);
        } else if matches!(change, Change::Truncate { .. }) {
            break;
        }
    }
    content
}

fn apply(content: &mut Vec<u8>, change: &Change, sectors: usize) {
    match change {
        Change::Create | Change::Delete | Change::Sync | Change::SyncNames => {}
        Change::Truncate { size } => content.resize(usize::try_from(*size).expect("fits"), 0),
        Change::Write { offset, bytes } => {
            let start = usize::try_from(*offset).expect("fits");
            // Sectors are the disk's, so the first piece of a write that begins within one is shorter.
            let head = SECTOR - start % SECTOR;
            let kept = match sectors {
                0 => return,
                usize::MAX => bytes.len(),
                sectors => bytes.len().min(head.saturating_add((sectors - 1).saturating_mul(SECTOR))),
            };
            if content.len() < start + kept {
                content.resize(start + kept, 0);
            }
            content[start..start + kept].copy_from_slice(&bytes[..kept]);
        }
    }
}
