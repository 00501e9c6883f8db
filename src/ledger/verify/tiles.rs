//! Verifying a log in the form in which it is published: a checkpoint, hash tiles and entry bundles.

use std::path::{Path, PathBuf};

use super::super::signer::verify_note;
use super::super::tree::{Hash, TileKind, TilePath, VerifierKey, decode_entry_bundle};
use super::super::{Error, Result};
use super::chain::Chain;
use super::scan::{Stretch, take};
use super::{Damage, Report};
use crate::event::{STREAM_CHAIN_CONTEXT, Timestamp};

/// A directory in the layout of C2SP tlog-tiles.
#[derive(Debug, Clone)]
pub struct TileSource {
    root: PathBuf,
}

impl TileSource {
    /// The log published in `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Whether a directory looks like a published log.
    #[must_use]
    pub fn is_one(root: &Path) -> bool {
        root.join("checkpoint").is_file() && root.join("tile").is_dir()
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let file = self.root.join(path);
        match std::fs::read(&file) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("cannot read", &file, error)),
        }
    }

    /// A tile, or the full tile where the partial one is gone; the caller cuts.
    fn tile(&self, path: TilePath) -> Result<Option<Vec<u8>>> {
        match self.read(&path.to_string())? {
            Some(bytes) => Ok(Some(bytes)),
            None => self.read(&TilePath { width: 256, ..path }.to_string()),
        }
    }
}

/// Verifies every entry, chain link and tile of a published log. Private values and evidence are not part of it.
///
/// # Errors
/// `NotFound` without a checkpoint; `Io`. Damage is in the report.
pub fn verify_tiles(
    source: &TileSource,
    key: &VerifierKey,
    remembered: Option<&str>,
    now: Timestamp,
    progress: &mut super::Progress<'_>,
) -> Result<Report> {
    let mut report = Report { origin: key.name().to_owned(), ..Report::default() };
    let note = source.read("checkpoint")?.ok_or_else(|| Error::NotFound("checkpoint".to_owned()))?;
    let note = String::from_utf8(note).map_err(|_why| Error::Corrupt("the checkpoint is not UTF-8".to_owned()))?;
    let signed = match verify_note(&note, key) {
        Ok(signed) => signed,
        Err(error) => {
            report.find(Damage::BadSignature, None, error.to_string());
            return Ok(report.conclude());
        }
    };
    report.checkpoints = 1;
    let mut old = match remembered.map(|note| verify_note(note, key)).transpose() {
        Ok(old) => old,
        Err(error) => {
            report.find(Damage::BadSignature, None, format!("the remembered {error}"));
            None
        }
    };
    let mut chain = Chain::new(now);
    let mut hasher = blake3::Hasher::new_derive_key(STREAM_CHAIN_CONTEXT);
    for index in 0..signed.size.div_ceil(256) {
        let width = u16::try_from((signed.size - index * 256).min(256)).unwrap_or(256);
        let stretch = bundle(source, index, width, &mut hasher, &mut report)?;
        chain.take(stretch, &mut report, &mut |chain, report| {
            if old.as_ref().is_some_and(|old| old.size == chain.size())
                && let Some(old) = old.take()
                && old.root != chain.root()
            {
                let detail = format!("the first {} events are not those of the remembered checkpoint", old.size);
                report.find(Damage::RolledBack, None, detail);
            }
        });
        for (level, number, hashes) in chain.take_tiles() {
            compare(source, TilePath::new(TileKind::Hashes { level }, number, 256), &hashes, &mut report)?;
        }
        progress(chain.size(), signed.size);
    }
    if let Some(old) = old.filter(|old| old.size > 0) {
        let detail = format!("the remembered checkpoint is of {} events, and the log has {}", old.size, signed.size);
        report.find(Damage::RolledBack, Some(signed.size), detail);
    }
    for (level, hashes) in (0_u8..).zip(chain.edge().levels()) {
        if let Ok(width @ 1..) = u16::try_from(hashes.len()) {
            let number = chain.edge().size() >> (8 * (u32::from(level) + 1));
            compare(source, TilePath::new(TileKind::Hashes { level }, number, width), hashes, &mut report)?;
        }
    }
    if chain.root() != signed.root {
        let detail = format!("the entries have root {}, and {} was signed for", chain.root(), signed.root);
        report.find(Damage::BadRoot, None, detail);
    }
    report.root = chain.root().to_string();
    report.streams = chain.n_streams();
    Ok(report.conclude())
}

fn bundle(
    source: &TileSource,
    index: u64,
    width: u16,
    hasher: &mut blake3::Hasher,
    report: &mut Report,
) -> Result<Stretch> {
    let path = TilePath::new(TileKind::Entries, index, width);
    let mut stretch = Stretch::default();
    let first = index * 256;
    let Some(bytes) = source.tile(path)? else {
        report.find(Damage::MissingEvent, Some(first), format!("{path} is missing"));
        return Ok(stretch);
    };
    match decode_entry_bundle(&bytes) {
        Ok(entries) => {
            if entries.len() < usize::from(width) {
                let detail = format!("{path} holds {} entries of {width}", entries.len());
                report.find(Damage::MissingEvent, Some(first + entries.len() as u64), detail);
            }
            for (position, entry) in (first..).zip(entries.into_iter().take(usize::from(width))) {
                take(&mut stretch, hasher, position, entry);
            }
        }
        Err(error) => report.find(Damage::MissingEvent, Some(first), format!("{path}: {error}")),
    }
    Ok(stretch)
}

fn compare(source: &TileSource, path: TilePath, hashes: &[Hash], report: &mut Report) -> Result<()> {
    report.tiles += 1;
    let expected: Vec<u8> = hashes.iter().flat_map(|hash| *hash.as_bytes()).collect();
    let TileKind::Hashes { level } = path.kind else { return Ok(()) };
    let position = Some(path.index.checked_shl(8 * (u32::from(level) + 1)).unwrap_or(0));
    match source.tile(path)? {
        Some(found) if found.get(..expected.len()) == Some(&expected[..]) => {}
        Some(_) => report.find(Damage::BadTile, position, format!("{path} differs from the entries")),
        None => report.find(Damage::BadTile, position, format!("{path} is missing")),
    }
    Ok(())
}
