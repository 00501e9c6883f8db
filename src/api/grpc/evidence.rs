//! Evidence, piece by piece in both directions.

use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::StreamExt;
use tonic::{Response, Status, Streaming};

use super::super::convert::evidence_to_proto;
use super::super::proto::v1 as pb;
use super::super::status;
use super::read::{answers, hand_over};
use super::{Answers, LedgerApi};
use crate::event::{Hex32, MediaType};
use crate::ledger::{BlobReader, BlobWriter, Error, SealedBlob};

/// Pieces that may wait for the disk.
const PIECES_AHEAD: usize = 4;

/// Bytes of a piece that is sent: many pieces cost time, large ones memory.
const PIECE: usize = 256 << 10;

/// Most bytes of a piece that is taken: what waits is bounded by it.
const PIECE_MAX: usize = 1 << 20;

/// Blobs that are written or read at once. Each holds a thread while its client is slow.
const AT_ONCE: usize = 16;

/// Counts them.
pub(super) fn places() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(AT_ONCE))
}

fn failed(error: &tokio::task::JoinError) -> Status {
    Status::internal(format!("the blob was given up: {error}"))
}

pub(super) async fn put(
    api: &LedgerApi,
    mut requests: Streaming<pb::PutEvidenceRequest>,
) -> Result<pb::PutEvidenceResponse, Status> {
    let _place = api.blobs.acquire().await.map_err(|_closed| status::stopping())?;
    let mut stopping = api.stopping.clone();
    let first = next(api, &mut requests, &mut stopping).await?;
    let first = first.ok_or_else(|| status::invalid("media_type", "the stream is empty"))?;
    let media_type: MediaType = first.media_type.parse().map_err(|error: crate::event::Error| {
        let text = error.to_string();
        status::invalid("media_type", &text)
    })?;
    let writer = api.ledger.evidence().begin().map_err(|error| status::of(&error))?;
    let (pieces, waiting) = mpsc::channel(PIECES_AHEAD);
    let writing = tokio::task::spawn_blocking(move || write(writer, media_type, waiting));
    let mut piece = Some(first);
    while let Some(request) = piece {
        if request.data.len() > PIECE_MAX {
            return Err(status::invalid("data", &format!("a piece has at most {PIECE_MAX} bytes")));
        }
        // A writer that has given up says why below.
        if pieces.send(Some(request.data)).await.is_err() {
            break;
        }
        piece = next(api, &mut requests, &mut stopping).await?;
    }
    let _given_up = pieces.send(None).await.is_err();
    let sealed = writing.await.map_err(|error| failed(&error))?.map_err(|error| status::of(&error))?;
    let sealed = sealed.ok_or_else(|| Status::cancelled("the stream was cut"))?;
    let evidence = api.ledger.evidence().keep(sealed).await.map_err(|error| status::of(&error))?;
    Ok(pb::PutEvidenceResponse { evidence: Some(evidence_to_proto(&evidence)) })
}

/// The next message; an error where there comes none for too long.
async fn next(
    api: &LedgerApi,
    requests: &mut Streaming<pb::PutEvidenceRequest>,
    stopping: &mut tokio::sync::watch::Receiver<bool>,
) -> Result<Option<pb::PutEvidenceRequest>, Status> {
    tokio::select! {
        request = tokio::time::timeout(api.stall, requests.next()) => match request {
            Ok(request) => request.transpose(),
            Err(_elapsed) => Err(status::too_slow()),
        },
        _ = stopping.wait_for(|stopping| *stopping) => Err(status::stopping()),
    }
}

/// Writes pieces until there is a none, which is the end. Where none comes, the stream was cut, and nothing is left.
fn write(
    mut writer: BlobWriter,
    media_type: MediaType,
    mut pieces: mpsc::Receiver<Option<Bytes>>,
) -> Result<Option<SealedBlob>, Error> {
    loop {
        match pieces.blocking_recv() {
            Some(Some(piece)) => writer.write(piece)?,
            Some(None) => return writer.seal(media_type).map(Some),
            None => return Ok(None),
        }
    }
}

pub(super) async fn get(
    api: &LedgerApi,
    request: pb::GetEvidenceRequest,
) -> Result<Response<Answers<pb::GetEvidenceResponse>>, Status> {
    let blake3: Hex32 =
        request.blake3.parse().map_err(|error: crate::event::Error| status::invalid("blake3", &error.to_string()))?;
    let place = api.blobs.clone().acquire_owned().await.map_err(|_closed| status::stopping())?;
    let mut reader = api.ledger.evidence().open(&blake3).await.map_err(|error| status::of(&error))?;
    let api = api.clone();
    Ok(answers(|pieces| async move {
        let _place = place;
        loop {
            let read = tokio::task::spawn_blocking(move || piece(reader)).await;
            let data = match read {
                Ok(Ok((_, data))) if data.is_empty() => return None,
                Ok(Ok((again, data))) => {
                    reader = again;
                    data
                }
                Ok(Err(error)) => return Some(status::of(&Error::Corrupt(error.to_string()))),
                Err(error) => return Some(failed(&error)),
            };
            if let Err(end) = hand_over(&api, &pieces, pb::GetEvidenceResponse { data }).await {
                return end;
            }
        }
    }))
}

fn piece(mut reader: BlobReader) -> std::io::Result<(BlobReader, Bytes)> {
    let mut piece = Vec::with_capacity(PIECE);
    (&mut reader).take(PIECE as u64).read_to_end(&mut piece)?;
    Ok((reader, piece.into()))
}
