//! C2SP tlog-tiles: paths of tiles, and bundles of entries.

use std::fmt;
use std::str::FromStr;

use super::hash::{Hash, subtree_root};

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TileKind {
    /// Hashes of one level: at level 0 those of leaves, at level L those of complete subtrees of 256^L leaves.
    Hashes {
        /// The level, 0 to 63.
        level: u8,
    },
    /// The leaves themselves.
    Entries,
}

/// Where a tile is: `tile/<level>/<index>[.p/<width>]` or `tile/entries/<index>[.p/<width>]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TilePath {
    /// What it holds.
    pub kind: TileKind,
    /// Its number in its level.
    pub index: u64,
    /// How many hashes or entries it has: 256 when it is full.
    pub width: u16,
}

/// Why a path or bundle is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TileError {
    /// Not a tile's path; the text says what is wrong.
    #[error("{0:?} is not a tile: {1}")]
    Path(String, &'static str),
    /// An entry too long for the framing of 16 bits.
    #[error("an entry of {0} bytes does not fit into a bundle")]
    EntrySize(usize),
    /// A bundle that ends within an entry.
    #[error("the bundle ends within entry {0}")]
    Truncated(usize),
}

impl TilePath {
    /// The hash tile or bundle with that number and width (1 to 256).
    #[must_use]
    pub fn new(kind: TileKind, index: u64, width: u16) -> Self {
        Self { kind, index, width }
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Hashes { level } => write!(f, "tile/{level}/")?,
            TileKind::Entries => f.write_str("tile/entries/")?,
        }
        let digits = self.index.to_string();
        let padded = format!("{digits:0>width$}", width = digits.len().div_ceil(3) * 3);
        let n_groups = padded.len() / 3;
        for n in 0..n_groups {
            let group = padded.get(n * 3..n * 3 + 3).unwrap_or_default();
            if n + 1 < n_groups {
                write!(f, "x{group}/")?;
            } else {
                f.write_str(group)?;
            }
        }
        if self.width < 256 { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

impl FromStr for TilePath {
    type Err = TileError;

    fn from_str(text: &str) -> Result<Self, TileError> {
        let shown = || text.chars().take(100).collect::<String>();
        let fail = |what| TileError::Path(shown(), what);
        let rest = text.strip_prefix("tile/").ok_or_else(|| fail("it does not begin with tile/"))?;
        let (level, rest) = rest.split_once('/').ok_or_else(|| fail("no index"))?;
        let kind = if level == "entries" {
            TileKind::Entries
        } else {
            let level = decimal(level).filter(|level| *level < 64).ok_or_else(|| fail("the level is not 0 to 63"))?;
            TileKind::Hashes { level: u8::try_from(level).unwrap_or(0) }
        };
        let (index, width) = match rest.split_once(".p/") {
            Some((index, width)) => {
                let width = decimal(width).filter(|width| (1..256).contains(width));
                (index, width.ok_or_else(|| fail("the width of a partial tile is 1 to 255"))?)
            }
            None => (rest, 256),
        };
        let mut digits = String::new();
        let mut groups = index.split('/').peekable();
        while let Some(group) = groups.next() {
            let last = groups.peek().is_none();
            let group = if last { Some(group) } else { group.strip_prefix('x') };
            let three = group.filter(|group| group.len() == 3 && group.bytes().all(|byte| byte.is_ascii_digit()));
            digits.push_str(three.ok_or_else(|| fail("the index is not in groups of three digits"))?);
        }
        if digits.len() > 3 && digits.starts_with("000") {
            return Err(fail("the index has an empty leading group"));
        }
        let index = digits.parse().map_err(|_why| fail("the index is too large"))?;
        Ok(Self { kind, index, width: u16::try_from(width).unwrap_or(256) })
    }
}

/// A decimal number without leading zeros or sign.
fn decimal(text: &str) -> Option<u64> {
    let plain =
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

/// The root over the 256 hashes of a full tile: one hash of the next level.
#[must_use]
pub fn tile_root(hashes: &[Hash]) -> Hash {
    subtree_root(hashes)
}

/// Frames entries as a bundle: each with its length in 16 bits, big-endian.
///
/// # Errors
/// [`TileError::EntrySize`] for an entry over 65,535 bytes.
pub fn encode_entry_bundle<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, TileError> {
    let mut bundle = Vec::new();
    for entry in entries {
        let length = u16::try_from(entry.len()).map_err(|_why| TileError::EntrySize(entry.len()))?;
        bundle.extend_from_slice(&length.to_be_bytes());
        bundle.extend_from_slice(entry);
    }
    Ok(bundle)
}

/// Takes a bundle apart.
///
/// # Errors
/// [`TileError::Truncated`].
pub fn decode_entry_bundle(bundle: &[u8]) -> Result<Vec<&[u8]>, TileError> {
    let mut entries = Vec::new();
    let mut rest = bundle;
    while !rest.is_empty() {
        let truncated = TileError::Truncated(entries.len());
        let (length, after) = rest.split_first_chunk::<2>().ok_or_else(|| truncated.clone())?;
        let (entry, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or(truncated)?;
        entries.push(entry);
        rest = after;
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn index_is_written_in_groups_of_three_digits() {
        for (path, text) in [
            (TilePath::new(TileKind::Hashes { level: 0 }, 1_234_067, 256), "tile/0/x001/x234/067"),
            (TilePath::new(TileKind::Hashes { level: 1 }, 0, 17), "tile/1/000.p/17"),
            (TilePath::new(TileKind::Entries, 273, 112), "tile/entries/273.p/112"),
            (TilePath::new(TileKind::Entries, 1000, 256), "tile/entries/x001/000"),
        ] {
            assert_eq!(path.to_string(), text);
            assert_eq!(text.parse(), Ok(path));
        }
    }

    #[test]
    fn refuses_every_other_spelling() {
        for text in [
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000.p/",
            "tile/8/0/000",
            "tile/00/000",
            "tile/64/000",
            "tile/0/0",
            "tile/0/0000",
            "tile/0/x000/001",
            "tile/0/001/234",
            "tile/0/x001",
            "tile/0/",
            "tile/0",
            "/tile/0/000",
            "tile/data/000",
            "tile/0/-01",
            "tile/+1/000",
            "tile/0/x018/x446/x744/x073/x709/x551/616",
            "",
            "tile/entries/000.p/1/x",
        ] {
            assert!(text.parse::<TilePath>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn paths_read_back(level in 0_u8..64, entries: bool, index: u64, width in 1_u16..=256) {
            let kind = if entries { TileKind::Entries } else { TileKind::Hashes { level } };
            let path = TilePath::new(kind, index, width);
            prop_assert_eq!(path.to_string().parse(), Ok(path));
        }

        #[test]
        fn bundles_read_back_and_notice_truncation(entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20), cut in any::<prop::sample::Index>()) {
            let bundle = encode_entry_bundle(entries.iter().map(Vec::as_slice)).unwrap();
            prop_assert_eq!(decode_entry_bundle(&bundle).unwrap(), entries.iter().map(Vec::as_slice).collect::<Vec<_>>());
            if !bundle.is_empty() {
                let shorter = decode_entry_bundle(&bundle[..cut.index(bundle.len())]);
                prop_assert!(shorter.is_err() || shorter.unwrap().len() < entries.len());
            }
        }
    }
}
