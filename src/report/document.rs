//! A document to read: in memory, or too large for it.

use std::io::{BufRead, BufReader, Read};

use serde::de::DeserializeSeed;

use super::sketch::{HEAD, Sketch};
use super::{Reason, Rejection};

/// Opens a large document from its beginning.
type Open<'a> = dyn Fn() -> std::io::Result<Box<dyn Read + 'a>> + 'a;

/// A document, with its secrets blackened. It can be read from its beginning any number of times.
pub struct Document<'a> {
    content: Content<'a>,
    size: u64,
}

enum Content<'a> {
    Bytes(&'a [u8]),
    Stream(&'a Open<'a>),
}

impl<'a> Document<'a> {
    /// A document in memory. A byte-order mark before it is passed over.
    #[must_use]
    pub fn bytes(bytes: &'a [u8]) -> Self {
        Self { size: bytes.len() as u64, content: Content::Bytes(bytes.strip_prefix(BOM).unwrap_or(bytes)) }
    }

    /// A document of `size` bytes that is read from where it is kept.
    #[must_use]
    pub fn stream(size: u64, open: &'a Open<'a>) -> Self {
        Self { size, content: Content::Stream(open) }
    }

    /// Its length in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What its beginning shows.
    ///
    /// # Errors
    /// [`Reason::Malformed`] when it cannot be read.
    pub fn sketch(&self) -> Result<Sketch, Rejection> {
        match &self.content {
            Content::Bytes(bytes) => Ok(Sketch::of(bytes.get(..HEAD).unwrap_or(bytes))),
            Content::Stream(_) => {
                let mut head = Vec::new();
                self.reader()?.take(HEAD as u64).read_to_end(&mut head).map_err(unreadable)?;
                Ok(Sketch::of(&head))
            }
        }
    }

    /// Reads it as one value of JSON. What `T` does not name is passed over.
    ///
    /// # Errors
    /// As [`Rejection::json`].
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Rejection> {
        self.json_seed(std::marker::PhantomData)
    }

    /// Reads it as one value of JSON with a seed, which may hand over parts as they come and keep none.
    ///
    /// # Errors
    /// As [`Rejection::json`], with the path of a value that is wrong.
    pub fn json_seed<V, S>(&self, seed: S) -> Result<V, Rejection>
    where
        S: for<'de> DeserializeSeed<'de, Value = V>,
    {
        self.read_json(seed, true)
    }

    /// The same for large documents whose readers follow the path themselves: to have it followed for them takes a text for
    /// each key, and half the speed.
    ///
    /// # Errors
    /// As [`Rejection::json`].
    pub(super) fn json_seed_untraced<V, S>(&self, seed: S) -> Result<V, Rejection>
    where
        S: for<'de> DeserializeSeed<'de, Value = V>,
    {
        self.read_json(seed, false)
    }

    fn read_json<V, S>(&self, seed: S, traced: bool) -> Result<V, Rejection>
    where
        S: for<'de> DeserializeSeed<'de, Value = V>,
    {
        match &self.content {
            Content::Bytes(bytes) => whole(serde_json::Deserializer::from_slice(bytes), seed, traced),
            // Ten times as fast as byte by byte, and nothing that borrows has to be copied.
            Content::Stream(_) if self.size <= TEXT_BYTES_MAX => {
                let mut bytes = Vec::with_capacity(usize::try_from(self.size).unwrap_or_default());
                self.reader()?.read_to_end(&mut bytes).map_err(unreadable)?;
                whole(serde_json::Deserializer::from_slice(&bytes), seed, traced)
            }
            Content::Stream(_) => whole(serde_json::Deserializer::from_reader(self.reader()?), seed, traced),
        }
    }

    /// Its bytes from the beginning, after a byte-order mark.
    ///
    /// # Errors
    /// [`Reason::Malformed`] when it cannot be read.
    pub fn reader(&self) -> Result<Box<dyn BufRead + '_>, Rejection> {
        match &self.content {
            Content::Bytes(bytes) => Ok(Box::new(*bytes)),
            Content::Stream(open) => {
                let mut reader = BufReader::with_capacity(1 << 18, open().map_err(unreadable)?);
                if reader.fill_buf().map_err(unreadable)?.starts_with(BOM) {
                    reader.consume(BOM.len());
                }
                Ok(Box::new(reader))
            }
        }
    }

    /// The whole as text.
    ///
    /// # Errors
    /// [`Reason::NotUtf8`], with the offset of the first byte that is not; [`Reason::TooLarge`] beyond 64 MiB.
    pub fn text(&self) -> Result<String, Rejection> {
        if self.size > TEXT_BYTES_MAX {
            let what = format!("{} bytes, and a document of this form is read up to {TEXT_BYTES_MAX}", self.size);
            return Err(Rejection::new(Reason::TooLarge, what));
        }
        let mut bytes = Vec::new();
        self.reader()?.read_to_end(&mut bytes).map_err(unreadable)?;
        String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Rejection::new(Reason::NotUtf8, format!("byte {at} is not UTF-8"))
        })
    }
}

fn whole<'de, R, V, S>(mut json: serde_json::Deserializer<R>, seed: S, traced: bool) -> Result<V, Rejection>
where
    R: serde_json::de::Read<'de>,
    S: DeserializeSeed<'de, Value = V>,
{
    let value = if traced {
        let mut track = serde_path_to_error::Track::new();
        seed.deserialize(serde_path_to_error::Deserializer::new(&mut json, &mut track))
            .map_err(|error| Rejection::json(&error).within(&track.path().to_string()))?
    } else {
        seed.deserialize(&mut json).map_err(|error| Rejection::json(&error))?
    };
    json.end().map_err(|error| Rejection::json(&error))?;
    Ok(value)
}

/// Most bytes of a document that is taken into memory as a whole.
const TEXT_BYTES_MAX: u64 = 64 << 20;

const BOM: &[u8] = b"\xef\xbb\xbf";

#[expect(clippy::needless_pass_by_value, reason = "used as a function of `map_err`")]
fn unreadable(error: std::io::Error) -> Rejection {
    Rejection::new(Reason::Malformed, format!("cannot be read: {error}"))
}
