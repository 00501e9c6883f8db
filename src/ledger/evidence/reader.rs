//! Reading a blob piece by piece.

use std::io::{self, BufRead, Read};

use super::super::{Error, Result};
use super::BLOB_BYTES_MAX;
use crate::event::Hex32;

/// Reads a blob from its beginning to its end. The last read fails when what was read is not what the address says, so
/// whoever reads to the end knows that it was all as it was.
pub struct BlobReader {
    plain: Box<dyn Read + Send>,
    hasher: blake3::Hasher,
    size: u64,
    blake3: Hex32,
}

impl BlobReader {
    pub(super) fn new(packed: impl BufRead + Send + 'static, blake3: Hex32) -> Result<Self> {
        let plain = zstd::stream::read::Decoder::with_buffer(packed)
            .map_err(|source| Error::Io { what: format!("cannot decompress blob {blake3}"), source })?;
        Ok(Self { plain: Box::new(plain), hasher: blake3::Hasher::new(), size: 0, blake3 })
    }

    fn damaged(&self, what: &str) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, format!("blob {} is damaged: {what}", self.blake3))
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let n = match self.plain.read(buffer) {
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => return Err(self.damaged(&format!("it does not decompress: {error}"))),
        };
        self.size += n as u64;
        if self.size > BLOB_BYTES_MAX as u64 {
            return Err(self.damaged("it is larger than a blob may be"));
        }
        self.hasher.update(buffer.get(..n).unwrap_or_default());
        if n == 0 && self.hasher.finalize().as_bytes() != &self.blake3.to_bytes() {
            return Err(self.damaged("its BLAKE3 is another"));
        }
        Ok(n)
    }
}
