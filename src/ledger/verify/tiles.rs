//! Verifying a log in the form in which it is published: a checkpoint, hash tiles and entry bundles.

use std::path::{Path, PathBuf};

use super::super::signer::verify_note;
use super::super::tree::{Checkpoint, Hash, TileKind, TilePath, VerifierKey, decode_entry_bundle};
use super::super::{Error, Result};
use super::chain::{Chain, Heads, check_birth};
use super::hashes::Hashes;
use super::scan::{Reader, Stretch};
use super::{Damage, Report};
use crate::event::Timestamp;

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

    /// A tile and the width it must have: the full tile where the partial one is gone; the caller cuts.
    fn tile(&self, path: TilePath) -> Result<Option<(Vec<u8>, u16)>> {
        match self.read(&path.to_string())? {
            Some(bytes) => Ok(Some((bytes, path.width))),
            None => Ok(self.read(&TilePath { width: 256, ..path }.to_string())?.map(|bytes| (bytes, 256))),
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
    let signed = match Checkpoint::verify(&note, key) {
        Ok(signed) => signed,
        Err(error) => {
            report.find(Damage::BadSignature, None, format!("checkpoint: {error}"));
            return Ok(report.conclude());
        }
    };
    report.checkpoints = 1;
    let old = match remembered.map(|note| verify_note(note, key)).transpose() {
        Ok(old) => old,
        Err(error) => {
            report.find(Damage::BadSignature, None, format!("the remembered {error}"));
            None
        }
    };
    let mut log = Published { source, hashes: Hashes::default(), heads: Heads::default(), old };
    log.walk(&signed, key, now, &mut report, progress)?;
    Ok(report.conclude())
}

/// A published log while it is walked through.
struct Published<'a> {
    source: &'a TileSource,
    hashes: Hashes,
    heads: Heads,
    /// The remembered checkpoint, until its size is reached.
    old: Option<Checkpoint>,
}

impl Published<'_> {
    fn walk(
        &mut self,
        signed: &Checkpoint,
        key: &VerifierKey,
        now: Timestamp,
        report: &mut Report,
        progress: &mut super::Progress<'_>,
    ) -> Result<()> {
        let mut chain = Chain::new(now, true);
        let mut reader = Reader::new();
        self.compare_with_old(&chain, report);
        for index in 0..signed.size.div_ceil(256) {
            let width = u16::try_from((signed.size - index * 256).min(256)).unwrap_or(256);
            let (mut stretch, first) = self.bundle(index, width, &mut reader, report)?;
            if let Some(first) = first {
                check_birth(first.into(), key, report);
            }
            std::mem::take(&mut stretch.remarkable).iter().for_each(|event| self.heads.note(event));
            chain.take(stretch, report, &mut |chain, report| {
                self.heads.reached(chain, report);
                self.compare_with_old(chain, report);
            });
            for (level, number, hashes) in chain.take_tiles() {
                self.compare((level, number), &hashes, report)?;
            }
            progress(chain.size(), signed.size);
        }
        chain.gap(signed.size, report);
        if let Some(old) = &self.old {
            let detail =
                format!("the remembered checkpoint is of {} events, and the log has {}", old.size, signed.size);
            report.find(Damage::RolledBack, Some(signed.size), detail);
        }
        for (level, hashes) in (0_u8..).zip(chain.edge().levels()).filter(|(_, hashes)| !hashes.is_empty()) {
            let number = chain.edge().size().checked_shr(8 * (u32::from(level) + 1)).unwrap_or(0);
            self.compare((level, number), hashes, report)?;
        }
        if chain.root() != signed.root {
            let detail = format!("the entries have root {}, and {} was signed for", chain.root(), signed.root);
            report.find(Damage::BadRoot, None, detail);
        }
        report.root = chain.root().to_string();
        report.streams = chain.n_streams();
        Ok(())
    }

    fn compare_with_old(&mut self, chain: &Chain, report: &mut Report) {
        if let Some(old) = self.old.take_if(|old| old.size == chain.size())
            && old.root != chain.root()
        {
            let detail = format!("the first {} events are not those of the remembered checkpoint", old.size);
            report.find(Damage::RolledBack, None, detail);
        }
    }

    /// Reads a bundle; also returns the log's first entry, if it is in it.
    fn bundle(
        &self,
        index: u64,
        width: u16,
        reader: &mut Reader,
        report: &mut Report,
    ) -> Result<(Stretch, Option<Vec<u8>>)> {
        let path = TilePath::new(TileKind::Entries, index, width);
        let (mut stretch, mut birth) = (Stretch::default(), None);
        let first = index * 256;
        let Some((bytes, served)) = self.source.tile(path)? else {
            report.find(Damage::MissingEvent, Some(first), format!("{path} is missing"));
            return Ok((stretch, birth));
        };
        match decode_entry_bundle(&bytes) {
            Ok(entries) => {
                if entries.len() != usize::from(served) {
                    let at = first + (entries.len() as u64).min(u64::from(served));
                    let detail = format!("{path} holds {} entries where {served} belong", entries.len());
                    report.find(Damage::BadBundle, Some(at), detail);
                }
                birth = (index == 0).then(|| entries.first().map(|entry| entry.to_vec())).flatten();
                for (position, entry) in (first..).zip(entries.into_iter().take(usize::from(width))) {
                    reader.take(&mut stretch, position, entry);
                }
            }
            Err(error) => report.find(Damage::BadBundle, Some(first), format!("{path}: {error}")),
        }
        Ok((stretch, birth))
    }

    fn compare(&mut self, (level, number): (u8, u64), expected: &[Hash], report: &mut Report) -> Result<()> {
        let width = u16::try_from(expected.len()).unwrap_or(256);
        let stored = self.source.tile(TilePath::new(TileKind::Hashes { level }, number, width))?;
        let stored: Option<Vec<Hash>> = stored.map(|(bytes, served)| {
            let (hashes, rest) = bytes.as_chunks::<32>();
            let mut hashes: Vec<Hash> = hashes.iter().map(|hash| Hash::from(*hash)).collect();
            if !rest.is_empty() {
                // Half a hash is one too many.
                hashes.push(Hash::default());
            }
            if hashes.len() == usize::from(served) {
                hashes.truncate(expected.len());
            }
            hashes
        });
        self.hashes.compare((level, number), stored.as_deref(), expected, report);
        Ok(())
    }
}
