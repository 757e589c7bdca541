//! The byte stream of HTTP-FLV and of files, taken apart into tags.

use super::{Error, TagKind};
use bytes::{Buf, Bytes, BytesMut};

const FILE_HEADER_BYTES: usize = 9;
const TAG_HEADER_BYTES: usize = 11;
const PREVIOUS_TAG_SIZE_BYTES: usize = 4;
/// A file header that claims to be longer is refused; 9 is what there is.
const MAX_FILE_HEADER_BYTES: u32 = 1024;

/// A tag as it stands in the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    pub kind: TagKind,
    /// Modulo 2^32.
    pub timestamp_ms: u32,
    pub body: Bytes,
}

/// Finds the tags in bytes as they come. Holds at most one tag, which has less than 16 MiB, and
/// what was pushed with its end.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: BytesMut,
    header_read: bool,
}

impl Reader {
    pub fn push(&mut self, data: &[u8]) {
        self.buffer.extend_from_slice(data);
    }

    /// The next whole tag; none until more is pushed. Tags of unknown types are skipped.
    ///
    /// # Errors
    /// When the stream does not start as FLV does; there is no going on then.
    pub fn pull(&mut self) -> Result<Option<Tag>, Error> {
        if !self.header_read && !self.pull_header()? {
            return Ok(None);
        }
        loop {
            let Some(head) = self.buffer.first_chunk::<TAG_HEADER_BYTES>() else {
                return Ok(None);
            };
            let [kind, s0, s1, s2, t0, t1, t2, t3, ..] = *head;
            let body_bytes = u32::from_be_bytes([0, s0, s1, s2]) as usize;
            let whole = TAG_HEADER_BYTES + body_bytes + PREVIOUS_TAG_SIZE_BYTES;
            if self.buffer.len() < whole {
                return Ok(None);
            }
            let mut tag = self.buffer.split_to(whole);
            // 0x20 marks encrypted tags, which nobody streams.
            let kind = match kind {
                8 => TagKind::Audio,
                9 => TagKind::Video,
                18 => TagKind::Script,
                _ => continue,
            };
            tag.advance(TAG_HEADER_BYTES);
            tag.truncate(body_bytes);
            let timestamp_ms = u32::from_be_bytes([t3, t0, t1, t2]);
            return Ok(Some(Tag {
                kind,
                timestamp_ms,
                body: tag.freeze(),
            }));
        }
    }

    /// Takes off the file header and the first `PreviousTagSize`, once they are there.
    fn pull_header(&mut self) -> Result<bool, Error> {
        let Some(head) = self.buffer.first_chunk::<FILE_HEADER_BYTES>() else {
            return Ok(false);
        };
        let [f, l, v, _, _, length @ ..] = *head;
        let length = u32::from_be_bytes(length);
        if [f, l, v] != *b"FLV" || !(FILE_HEADER_BYTES as u32..MAX_FILE_HEADER_BYTES).contains(&length) {
            return Err(Error::NotFlv);
        }
        let whole = length as usize + PREVIOUS_TAG_SIZE_BYTES;
        if self.buffer.len() < whole {
            return Ok(false);
        }
        self.buffer.advance(whole);
        self.header_read = true;
        Ok(true)
    }
}
