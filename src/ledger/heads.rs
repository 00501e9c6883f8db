//! `heads.committed`: closes the open tail of every stream's chain.
//!
//! `prev` proves that nothing is missing between events that are shown; it cannot show that newer ones were withheld. So
//! now and then the ledger appends a commitment to the last event of every stream. An export of one stream with that
//! list, and what was appended after it, is complete for anyone to see.

use super::index::Index;
use super::{Error, Ledger, Result};
use crate::event::ledger::HeadsCommitted;
use crate::event::{Hex32, MediaType, Position, U64};

/// Media type of the list of heads.
pub const HEADS_MEDIA_TYPE: &str = "text/vnd.plimsoll.heads";

/// How many events may come in between the list and the commitment to it. Whoever verifies goes back from the commitment
/// to the heads it is about, and remembers twice as many; the queue holds fewer than the other half.
const LAG_MAX: u64 = super::verify::HEADS_REACH / 2;

/// One line of the list.
#[must_use]
pub fn heads_line(stream: &str, seq: u64, hash: &[u8; 32]) -> String {
    format!("{stream} {seq} {}\n", hex::encode(hash))
}

fn list(index: &Index) -> Result<(u64, u64, String)> {
    let mut text = String::new();
    let mut n_streams = 0;
    let position = index.flushed_heads(&mut |stream| {
        n_streams += 1;
        text.push_str(&heads_line(&stream.name, stream.seq, &stream.hash));
        Ok(())
    })?;
    Ok((position, n_streams, text))
}

impl Ledger {
    /// Appends `heads.committed` over everything recorded until now. Does nothing, and returns none, when nothing was
    /// recorded since the last one but that one.
    ///
    /// # Errors
    /// As for appending; `Overloaded` when the log grows faster than its heads can be listed; storage errors.
    pub async fn commit_heads(&self) -> Result<Option<Position>> {
        let size = self.head().size;
        let covered = self.heads_covered();
        // The last commitment itself is one event that it does not cover.
        if size <= covered.map_or(0, |covered| covered + 1) {
            return Ok(None);
        }
        let (as_of, n_streams, text) = self
            .blocking(|ledger| {
                ledger.index().flush()?;
                list(ledger.index())
            })
            .await?;
        let media_type: MediaType =
            HEADS_MEDIA_TYPE.parse().map_err(|error: crate::event::Error| Error::Internal(error.to_string()))?;
        let evidence = self.evidence().put(media_type, text.as_bytes()).await?;
        if self.head().size.saturating_sub(as_of) > LAG_MAX {
            return Err(Error::Overloaded);
        }
        let data = HeadsCommitted {
            as_of: Position(as_of),
            blake3: evidence.blake3.clone(),
            sha256: evidence.sha256.clone(),
            streams: U64(n_streams),
        };
        let mut draft = self.own_draft(data, &format!("heads:{as_of}"))?;
        draft.evidence.push(evidence);
        let done = self.submit_own(vec![draft], &[]).await?.wait().await?;
        self.set_heads_covered(as_of);
        Ok(done.placed.first().map(|placed| placed.position))
    }
}

/// The digest pair of a list, to compare with what an event says.
#[must_use]
pub fn list_digests(text: &[u8]) -> (Hex32, Hex32) {
    use sha2::Digest as _;
    (Hex32::from_bytes(*blake3::hash(text).as_bytes()), Hex32::from_bytes(sha2::Sha256::digest(text).into()))
}
