//! Evidence by either way: `evidence get`, and what `record` sends to a server.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Subcommand;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use super::Settings;
use super::access::Access;
use super::exit::{Exit, Outcome};
use crate::api::proto::v1 as pb;
use crate::api::proto::v1::ledger_service_client::LedgerServiceClient;
use crate::event::{EvidenceRef, Hex32};

/// Bytes of a piece on its way to a server, or from a file.
const PIECE: usize = 256 << 10;

/// Pieces that may wait.
const PIECES_AHEAD: usize = 4;

#[derive(Debug, Subcommand)]
pub(super) enum Evidence {
    /// Write a blob as it came in, and check that it is what its address says
    Get {
        /// Its BLAKE3, as `show` prints it
        blake3: Hex32,
        /// Write it to this file instead of standard output
        #[arg(long, short = 'o', value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

pub(super) async fn evidence(settings: &Settings, args: Evidence) -> Result<Outcome, Exit> {
    let Evidence::Get { blake3, out } = args;
    let mut pieces = open(Access::reader(settings).await?, &blake3).await?;
    let Some(out) = out else {
        let mut stdout = std::io::stdout().lock();
        let written = copy(&mut pieces, &blake3, &mut |piece| stdout.write_all(piece)).await?;
        let written = written.and_then(|()| stdout.flush());
        return match written {
            Ok(()) => Ok(Outcome::Done),
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(Exit::quiet()),
            Err(error) => Err(Exit::busy(format!("cannot write to standard output: {error}"))),
        };
    };
    let cannot = |error: std::io::Error| Exit::busy(format!("cannot write {}: {error}", out.display()));
    // Under another name until it is whole and was checked.
    let partial = Partial::beside(&out);
    let mut file = std::fs::File::create(&partial.0).map_err(cannot)?;
    copy(&mut pieces, &blake3, &mut |piece| file.write_all(piece)).await?.map_err(cannot)?;
    std::fs::rename(&partial.0, &out).map_err(cannot)?;
    Ok(Outcome::Done)
}

/// A file that is removed, unless it was given another name.
struct Partial(PathBuf);

impl Partial {
    fn beside(path: &Path) -> Self {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        Self(path.with_file_name(name))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        let _renamed = std::fs::remove_file(&self.0).is_err();
    }
}

/// Where a blob comes from.
enum Pieces {
    Local(Option<Box<crate::ledger::BlobReader>>),
    Remote(Box<tonic::Streaming<pb::GetEvidenceResponse>>),
}

async fn open(access: Access, blake3: &Hex32) -> Result<Pieces, Exit> {
    match access {
        Access::Local(ledger) => Ok(Pieces::Local(Some(Box::new(ledger.evidence().open(blake3).await?)))),
        Access::Remote(mut client) => {
            let request = pb::GetEvidenceRequest { blake3: blake3.to_string() };
            Ok(Pieces::Remote(Box::new(client.get_evidence(request).await?.into_inner())))
        }
    }
}

impl Pieces {
    /// The next piece; empty at the end.
    async fn next(&mut self) -> Result<Bytes, Exit> {
        match self {
            Self::Local(reader) => {
                let mut lent = reader.take().ok_or_else(|| Exit::no("the blob was read to its end"))?;
                let read = tokio::task::spawn_blocking(move || {
                    let mut piece = Vec::with_capacity(PIECE);
                    (&mut lent).take(PIECE as u64).read_to_end(&mut piece).map(|_| (lent, piece))
                });
                let read = read.await.map_err(|error| Exit::no(format!("the reading failed: {error}")))?;
                let (lent, piece) = read.map_err(|error| Exit::no(error.to_string()))?;
                *reader = Some(lent);
                Ok(piece.into())
            }
            Self::Remote(pieces) => Ok(pieces.next().await.transpose()?.unwrap_or_default().data),
        }
    }
}

/// Copies a blob to its end and holds it to its address: what a server says is not to be believed. The inner result is
/// that of writing.
async fn copy(
    pieces: &mut Pieces,
    blake3: &Hex32,
    write: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
) -> Result<std::io::Result<()>, Exit> {
    let mut hasher = blake3::Hasher::new();
    loop {
        let piece = pieces.next().await?;
        if piece.is_empty() {
            break;
        }
        hasher.update(&piece);
        if let Err(error) = write(&piece) {
            return Ok(Err(error));
        }
    }
    if hasher.finalize().as_bytes() == &blake3.to_bytes() {
        Ok(Ok(()))
    } else {
        Err(Exit::no(format!("blob {blake3} is damaged: its BLAKE3 is another")))
    }
}

/// Sends a blob to a server, and holds what the server has to its reference.
pub(super) async fn put(
    client: &mut LedgerServiceClient<Channel>,
    reference: &EvidenceRef,
    mut reader: impl Read + Send + 'static,
) -> Result<(), Exit> {
    let (pieces, requests) = mpsc::channel(PIECES_AHEAD);
    let mut media_type = reference.media_type.to_string();
    let reading = tokio::task::spawn_blocking(move || {
        loop {
            let mut data = Vec::with_capacity(PIECE);
            let n = (&mut reader).take(PIECE as u64).read_to_end(&mut data)?;
            let first = !media_type.is_empty();
            if n == 0 && !first {
                return Ok(());
            }
            let request = pb::PutEvidenceRequest { media_type: std::mem::take(&mut media_type), data: data.into() };
            if pieces.blocking_send(request).is_err() {
                // The server has given up, and says why.
                return Ok(());
            }
        }
    });
    let answer = client.put_evidence(ReceiverStream::new(requests)).await;
    let read: std::io::Result<()> = reading.await.map_err(|error| Exit::no(format!("the reading failed: {error}")))?;
    read.map_err(|error| Exit::busy(format!("cannot read the document again: {error}")))?;
    let stored = answer?.into_inner().evidence.unwrap_or_default();
    if (stored.blake3.as_str(), stored.size) == (reference.blake3.as_str(), reference.size.0) {
        Ok(())
    } else {
        Err(Exit::busy("the document did not arrive whole; nothing was recorded"))
    }
}
