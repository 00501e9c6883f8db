//! The way in for documents, from the first byte to drafts: in one pass and bounded memory, whatever the size.
//!
//! The beginning tells the format. Every piece is then blackened, checked and handed to the evidence store, which hashes
//! and compresses it on a thread of its own. Up to 64 MiB also stay in memory and are read there while the store is still
//! at work; what is larger is read from the store's file when that is whole. Nothing has a name in the store before the
//! document was understood, so of one that is refused nothing is left.

use std::io::{ErrorKind, Read};

use bytes::Bytes;

use super::redact::Redactor;
use super::upload::{self, About};
use super::{Events, Reason, Refusal, Rejection, intake};
use crate::event::{EvidenceRef, Hex32, Source, Timestamp};
use crate::ledger::{BlobWriter, Evidence, SMALL_BLOB_MAX, SealedBlob, SmallBlob};
use crate::report::{self, Details, Document, Format, Given, HEAD, Kind, Report, Shape, Sketch};

/// Most bytes of a document that is kept in memory to be read there, which is several times as fast as reading a stream.
/// The usual ones are smaller; the rest of what a document takes is small beside it.
pub const MEMORY_BYTES_MAX: usize = 64 << 20;

/// How many bytes are read at once: many to a system call, few beside what is kept anyway.
const PIECE: usize = 256 << 10;

/// What is known of a document before it is read.
#[derive(Debug)]
pub struct Incoming<'a> {
    /// What it is handed in as; anything, where there is none.
    pub kind: Option<Kind>,
    /// What only who hands it in knows.
    pub about: &'a About,
    /// When it came.
    pub received_at: Timestamp,
    /// Most bytes that are taken.
    pub bytes_max: u64,
    /// Most bytes that are kept in memory to be read there: [`MEMORY_BYTES_MAX`].
    pub memory_bytes_max: usize,
}

/// A document that was understood.
pub struct Understood {
    /// Its format.
    pub format: &'static Format,
    /// Its events; all of them name the document.
    pub events: Events,
    /// Who says so.
    pub source: Source,
    /// How many secrets were blackened.
    pub redactions: u32,
    /// The document itself.
    pub body: Body,
}

/// A document as evidence, which is kept when this is: see [`Evidence::keep`].
pub enum Body {
    /// To be committed with its events.
    Small(SmallBlob),
    /// To be given its name before its events are appended.
    Large(SealedBlob),
}

impl Body {
    /// What events name it by.
    #[must_use]
    pub fn reference(&self) -> &EvidenceRef {
        match self {
            Self::Small(blob) => blob.reference(),
            Self::Large(blob) => blob.reference(),
        }
    }
}

/// Reads a document to its end. Waits for the reader and for the disk.
///
/// # Errors
/// [`Refusal`], with the format as far as it was found out. Nothing of the document is left.
pub fn read(
    mut reader: impl Read,
    incoming: &Incoming<'_>,
    evidence: &Evidence,
    details: &mut dyn Details,
) -> Result<Understood, (Option<&'static Format>, Refusal)> {
    let mut head = Vec::with_capacity(HEAD);
    let limit = HEAD as u64;
    let filled = (&mut reader).take(limit).read_to_end(&mut head).map_err(|error| ended(&error));
    let format = filled.and_then(|_| format_of(&head, incoming)).map_err(|rejection| (None, rejection.into()))?;
    understood(head, reader, format, incoming, evidence, details).map_err(|refusal| (Some(format), refusal))
}

/// The format: the one that is named, or the one that the beginning looks like.
fn format_of(head: &[u8], incoming: &Incoming<'_>) -> Result<&'static Format, Rejection> {
    let sketch = Sketch::of(head);
    let Some(name) = &incoming.about.format else {
        if sketch.shape == Shape::Empty && head.len() < HEAD {
            return Err(Rejection::new(Reason::Empty, "the document is empty"));
        }
        return report::detect(incoming.kind, &sketch);
    };
    let format = report::format_of(name)?;
    if let Some(kind) = incoming.kind.filter(|kind| !format.kinds.contains(kind)) {
        let kinds: Vec<_> = format.kinds.iter().map(|kind| kind.as_str()).collect();
        let what = format!("{name} is no {kind}: hand it in as {}", kinds.join(" or "));
        return Err(Rejection::new(Reason::UnknownFormat, what).at("format"));
    }
    if let Shape::Archive(what) = sketch.shape {
        return Err(Rejection::new(Reason::Archive, format!("{what}: unpack it and hand in what is in it")));
    }
    Ok(format)
}

fn understood(
    head: Vec<u8>,
    mut reader: impl Read,
    format: &'static Format,
    incoming: &Incoming<'_>,
    evidence: &Evidence,
    details: &mut dyn Details,
) -> Result<Understood, Refusal> {
    let mut kept = Kept::new(evidence, incoming.memory_bytes_max);
    let mut redactor = Redactor::new((format.secret_members)(&Sketch::of(&head)));
    let mut utf8 = is_json(format).then(Utf8::default);
    let mut piece = head;
    let mut size = 0;
    while !piece.is_empty() {
        size += piece.len() as u64;
        if size > incoming.bytes_max {
            let what =
                format!("the document has more than {} bytes, which is the most that is taken", incoming.bytes_max);
            return Err(Rejection::new(Reason::TooLarge, what).into());
        }
        if let Some(utf8) = &mut utf8 {
            utf8.push(&piece)?;
        }
        let mut plain = Vec::with_capacity(piece.len());
        redactor.push(&piece, &mut plain);
        kept.push(plain)?;
        piece.resize(PIECE, 0);
        let n = fill(&mut reader, &mut piece)?;
        piece.truncate(n);
    }
    if let Some(utf8) = &utf8 {
        utf8.finish()?;
    }
    let mut rest = Vec::new();
    let redactions = redactor.finish(&mut rest);
    kept.push(rest)?;
    let media_type = intake::media_type(format.media_type, redactions)?;
    let (report, body) = kept.read(media_type, &Reading { format, incoming }, details)?;
    let kind = incoming.kind.unwrap_or_else(|| format.kind(incoming.about.environment.is_some()));
    let events = upload::events(kind, incoming.about, report, body.reference(), incoming.received_at)?;
    let source = upload::source(incoming.about)?;
    Ok(Understood { format, events, source, redactions, body })
}

/// Fills a piece as far as the reader goes.
fn fill(reader: &mut impl Read, piece: &mut [u8]) -> Result<usize, Rejection> {
    let mut n = 0;
    while let Some(room) = piece.get_mut(n..).filter(|room| !room.is_empty()) {
        match reader.read(room) {
            Ok(0) => break,
            Ok(more) => n += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(ended(&error)),
        }
    }
    Ok(n)
}

/// What a reader's error says: it may have a rejection in it, of whoever is behind it.
fn ended(error: &std::io::Error) -> Rejection {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Rejection>());
    inner.cloned().unwrap_or_else(|| Rejection::new(Reason::Malformed, format!("the document ended early: {error}")))
}

fn is_json(format: &Format) -> bool {
    let essence = format.media_type.split(';').next().unwrap_or_default().trim();
    essence.ends_with("/json") || essence.ends_with("+json")
}

/// What it takes to read a document that is kept.
struct Reading<'a> {
    format: &'static Format,
    incoming: &'a Incoming<'a>,
}

impl Reading<'_> {
    fn report(&self, document: &Document<'_>, blake3: Hex32, details: &mut dyn Details) -> Result<Report, Rejection> {
        let Incoming { about, received_at, .. } = *self.incoming;
        let given = Given { document: blake3, exit_code: about.exit_code, received_at };
        (self.format.read)(document, &given, details)
    }
}

/// A document on its way: in memory as long as it fits, and in the store as soon as it is not small.
struct Kept<'a> {
    evidence: &'a Evidence,
    memory_bytes_max: usize,
    /// All of it so far; none once it does not fit.
    memory: Option<Vec<u8>>,
    store: Option<BlobWriter>,
}

impl<'a> Kept<'a> {
    fn new(evidence: &'a Evidence, memory_bytes_max: usize) -> Self {
        // What is small is not stored before its event, so it must be kept.
        let memory_bytes_max = memory_bytes_max.max(SMALL_BLOB_MAX);
        Self { evidence, memory_bytes_max, memory: Some(Vec::new()), store: None }
    }

    fn push(&mut self, piece: Vec<u8>) -> Result<(), Refusal> {
        if piece.is_empty() {
            return Ok(());
        }
        if let Some(memory) = &mut self.memory {
            if self.store.is_none() && memory.len() + piece.len() > SMALL_BLOB_MAX {
                let mut store = self.evidence.begin()?;
                if !memory.is_empty() {
                    store.write(Bytes::copy_from_slice(memory))?;
                }
                self.store = Some(store);
            }
            if memory.len() + piece.len() > self.memory_bytes_max {
                self.memory = None;
            } else {
                memory.extend_from_slice(&piece);
            }
        }
        match &mut self.store {
            Some(store) => Ok(store.write(piece)?),
            None => Ok(()),
        }
    }

    fn read(
        self,
        media_type: crate::event::MediaType,
        reading: &Reading<'_>,
        details: &mut dyn Details,
    ) -> Result<(Report, Body), Refusal> {
        match (self.store, self.memory) {
            (None, memory) => {
                let blob = SmallBlob::new(media_type, memory.unwrap_or_default().into())?;
                let blake3 = blob.reference().blake3.clone();
                let report = reading.report(&Document::bytes(blob.bytes()), blake3, details)?;
                Ok((report, Body::Small(blob)))
            }
            // Read while the store's thread is still compressing.
            (Some(store), Some(memory)) => {
                let report = reading.report(&Document::bytes(&memory), store.blake3(), details)?;
                drop(memory);
                Ok((report, Body::Large(store.seal(media_type)?)))
            }
            (Some(store), None) => {
                let blob = store.seal(media_type)?;
                let EvidenceRef { blake3, size, .. } = blob.reference().clone();
                let open = || blob.open().map(|reader| reader as Box<dyn Read>);
                let report = reading.report(&Document::stream(size.0, &open), blake3, details)?;
                Ok((report, Body::Large(blob)))
            }
        }
    }
}

/// Checks that pieces are UTF-8 together, also where one ends within a character.
#[derive(Debug, Default)]
struct Utf8 {
    /// Bytes before the current piece, without those in `open`.
    checked: u64,
    /// The beginning of a character that the last piece ended in: at most 3 bytes.
    open: Vec<u8>,
}

impl Utf8 {
    fn push(&mut self, piece: &[u8]) -> Result<(), Rejection> {
        let mut rest = piece;
        while !self.open.is_empty() {
            let Some((next, more)) = rest.split_first() else { return Ok(()) };
            self.open.push(*next);
            rest = more;
            match std::str::from_utf8(&self.open) {
                Ok(_) => {
                    self.checked += self.open.len() as u64;
                    self.open.clear();
                }
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return Err(self.wrong(0)),
            }
        }
        match std::str::from_utf8(rest) {
            Ok(_) => self.checked += rest.len() as u64,
            Err(error) if error.error_len().is_none() => {
                self.checked += error.valid_up_to() as u64;
                self.open = rest.get(error.valid_up_to()..).unwrap_or_default().to_vec();
            }
            Err(error) => return Err(self.wrong(error.valid_up_to())),
        }
        Ok(())
    }

    fn finish(&self) -> Result<(), Rejection> {
        if self.open.is_empty() { Ok(()) } else { Err(self.wrong(0)) }
    }

    fn wrong(&self, at: usize) -> Rejection {
        Rejection::new(Reason::NotUtf8, format!("byte {} is not UTF-8", self.checked + at as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf8_is_checked_across_pieces_and_the_offset_is_that_of_the_document() {
        let text = "a ä € \u{1f6a2} end".as_bytes();
        for size in 1..6 {
            let mut utf8 = Utf8::default();
            text.chunks(size).for_each(|piece| utf8.push(piece).unwrap());
            utf8.finish().unwrap();
            for (broken, at) in [(&b"ab\xffcd"[..], 2), (b"ab\xe2\x82", 2), (b"ab\xe2\x82x", 2), (b"\xc3\xa4\x80", 2)] {
                let mut utf8 = Utf8::default();
                let told = broken.chunks(size).try_for_each(|piece| utf8.push(piece)).and_then(|()| utf8.finish());
                let told = told.unwrap_err();
                assert_eq!((told.reason, told.what.as_str()), (Reason::NotUtf8, &*format!("byte {at} is not UTF-8")));
            }
        }
    }
}
