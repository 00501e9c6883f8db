//! `POST /v1/evidence`: a document is handed in. The query says what only who hands it in knows.

use std::io::{self, Read};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, Uri, header};
use axum::response::Response;
use bytes::Bytes;
use futures::StreamExt as _;
use tokio::sync::mpsc;

use super::http::answer;
use super::upload::About;
use super::{Intake, Reason, Refusal, Rejection};
use crate::report::Kind;

/// Pieces of a body that may wait to be read; each is what a connection gives at once, some ten kilobytes.
const PIECES_AHEAD: usize = 16;

/// How long a sender may send nothing before the rest is given up: documents that are read at once are few.
const STALL: Duration = Duration::from_secs(30);

pub(super) async fn hand_in(State(intake): State<Intake>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let asked = asked(&parts.uri).and_then(|asked| Ok((asked, encoding(&parts.headers)?)));
    let ((kind, about), gzip) = match asked {
        Ok(asked) => asked,
        Err(rejection) => {
            let refusal = Refusal::from(rejection);
            intake.refused("document", &refusal);
            return answer(Err(refusal));
        }
    };
    let (pieces, waiting) = mpsc::channel(PIECES_AHEAD);
    let reader = Pieces { waiting, piece: Bytes::new() };
    let sending = tokio::spawn(pump(body, pieces));
    let taken = if gzip {
        intake.hand_in(kind, about, Gzip::Packed(Some(reader))).await
    } else {
        intake.hand_in(kind, about, reader).await
    };
    sending.abort();
    answer(taken)
}

/// What the query says.
///
/// # Errors
/// [`Reason::BadParameter`], naming it.
fn asked(uri: &Uri) -> Result<(Option<Kind>, About), Rejection> {
    let query = uri.query().unwrap_or_default();
    let wrong = |pair: &str, what: String| {
        let name = pair.split('=').next().unwrap_or_default();
        let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy().into_owned();
        Rejection::new(Reason::BadParameter, what).at(name)
    };
    let mut kind = None;
    let mut rest = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.strip_prefix("kind=") {
            Some(word) if kind.is_none() => {
                kind = Some(word.parse::<Kind>().map_err(|what| wrong(pair, what))?);
            }
            Some(_) => return Err(wrong(pair, "it is given twice".to_owned())),
            // One by one first: only so is it known which of them is at fault.
            None => drop(about(pair).map_err(|what| wrong(pair, what))?),
        }
        if !pair.starts_with("kind=") {
            rest.push(pair);
        }
    }
    let about = about(&rest.join("&")).map_err(|what| Rejection::new(Reason::BadParameter, what))?;
    Ok((kind, about))
}

fn about(query: &str) -> Result<About, String> {
    let uri: Uri = format!("/?{query}").parse().map_err(|error: axum::http::uri::InvalidUri| error.to_string())?;
    let about = Query::<About>::try_from_uri(&uri);
    about.map(|about| about.0).map_err(|error| {
        let text = error.body_text();
        text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text).to_owned()
    })
}

/// Whether the body is compressed with gzip.
///
/// # Errors
/// [`Reason::UnsupportedEncoding`].
fn encoding(headers: &HeaderMap) -> Result<bool, Rejection> {
    let encoding = headers.get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?"));
    match encoding.unwrap_or("identity").trim().to_ascii_lowercase().as_str() {
        "identity" | "" => Ok(false),
        "gzip" | "x-gzip" => Ok(true),
        other => Err(Rejection::new(Reason::UnsupportedEncoding, format!("{other:?}: only gzip is taken"))
            .at("content-encoding")),
    }
}

/// Hands over a body piece by piece, as fast as they are taken; then how it ended.
async fn pump(body: Body, pieces: mpsc::Sender<Result<Bytes, String>>) {
    let mut body = body.into_data_stream();
    loop {
        let piece = match tokio::time::timeout(STALL, body.next()).await {
            Ok(None) => return,
            Ok(Some(Ok(piece))) => Ok(piece),
            Ok(Some(Err(error))) => Err(error.to_string()),
            Err(_elapsed) => Err(format!("nothing came for {} s", STALL.as_secs())),
        };
        let last = piece.is_err();
        if pieces.send(piece).await.is_err() || last {
            return;
        }
    }
}

/// A body, to be read away from the threads that serve connections.
struct Pieces {
    waiting: mpsc::Receiver<Result<Bytes, String>>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.waiting.blocking_recv() {
                None => return Ok(0),
                Some(Ok(piece)) => self.piece = piece,
                Some(Err(what)) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what)),
            }
        }
        let n = self.piece.len().min(buffer.len());
        let piece = self.piece.split_to(n);
        if let Some(room) = buffer.get_mut(..n) {
            room.copy_from_slice(&piece);
        }
        Ok(n)
    }
}

/// Decompresses, and says of what is not gzip that it is not.
enum Gzip<R: Read> {
    /// Nothing was read yet. A decoder reads as soon as it is made, which must not be where connections are served.
    Packed(Option<R>),
    Plain(flate2::read::MultiGzDecoder<R>),
}

impl<R: Read> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Self::Packed(packed) = self
            && let Some(packed) = packed.take()
        {
            *self = Self::Plain(flate2::read::MultiGzDecoder::new(packed));
        }
        let Self::Plain(plain) = self else { return Ok(0) };
        plain.read(buffer).map_err(|error| {
            io::Error::other(Rejection::new(Reason::Malformed, format!("not gzip, or cut off: {error}")))
        })
    }
}
