//! Finding the `moov` box, at the start of a file or behind the media.

use super::boxes::Header;
use super::{Error, MAX_MOOV_BYTES};
use std::ops::Range;

/// A file with more top-level boxes before its `moov` is fragmented, or hostile.
const MAX_BOXES: u32 = 1000;

/// Walks a file's top-level boxes: read [`Self::wanted`], push it, until [`Self::push`] tells where
/// the payload of `moov` is.
#[derive(Debug)]
pub struct MoovFinder {
    at: u64,
    file_bytes: u64,
    boxes: u32,
}

impl MoovFinder {
    pub const fn new(file_bytes: u64) -> Self {
        Self {
            at: 0,
            file_bytes,
            boxes: 0,
        }
    }

    /// The bytes of the file to read next: at most 16.
    pub fn wanted(&self) -> Range<u64> {
        self.at
            ..self
                .file_bytes
                .min(self.at.saturating_add(Header::MAX_BYTES as u64))
    }

    /// Takes the bytes wanted. Some: the byte range of the `moov` box's payload.
    ///
    /// # Errors
    /// When there is no `moov`, or a box has a size that can't be.
    pub fn push(&mut self, data: &[u8]) -> Result<Option<Range<u64>>, Error> {
        let header = Header::parse(data)?.ok_or(Error::NoMoov)?;
        let size = header.size.unwrap_or(self.file_bytes.saturating_sub(self.at));
        let end = self.at.saturating_add(size);
        if end > self.file_bytes {
            return Err(Error::BeyondFile {
                kind: header.kind,
                offset: self.at,
            });
        }
        if header.kind.0 == *b"moov" {
            if size > MAX_MOOV_BYTES {
                return Err(Error::OutOfRange {
                    kind: header.kind,
                    field: "size",
                    value: size,
                });
            }
            return Ok(Some(self.at + header.bytes..end));
        }
        self.at = end;
        self.boxes += 1;
        if header.size.is_none() || end == self.file_bytes || self.boxes > MAX_BOXES {
            return Err(Error::NoMoov);
        }
        Ok(None)
    }
}
