//! Aggregate messages (section 7.1.6), with which Adobe's and Wowza's servers send several at once.
//!
//! ```text
//! sub-message    type u8, length u24, timestamp u24 then its top u8, stream id u24, body,
//!                back pointer u32
//! ```

use crate::flv::{Tag, TagKind};
use bytes::{Buf, Bytes};

const HEADER_BYTES: usize = 11;
const BACK_POINTER_BYTES: usize = 4;

/// What is left of an aggregate message.
#[derive(Debug)]
pub(super) struct Aggregate {
    rest: Bytes,
    /// The message's timestamp, which is that of its first sub-message.
    timestamp_ms: u32,
    /// And what the first sub-message says.
    first_ms: Option<u32>,
}

impl Aggregate {
    pub(super) const fn new(timestamp_ms: u32, body: Bytes) -> Self {
        Self {
            rest: body,
            timestamp_ms,
            first_ms: None,
        }
    }
}

/// A sub-message that is cut short ends it, like the end does; those of other types are skipped.
impl Iterator for Aggregate {
    type Item = Tag;

    fn next(&mut self) -> Option<Tag> {
        loop {
            let [kind, s0, s1, s2, t0, t1, t2, t3, ..] = *self.rest.first_chunk::<HEADER_BYTES>()?;
            let length = u32::from_be_bytes([0, s0, s1, s2]) as usize;
            self.rest.advance(HEADER_BYTES);
            if self.rest.len() < length {
                return None;
            }
            let body = self.rest.split_to(length);
            self.rest.advance(BACK_POINTER_BYTES.min(self.rest.len()));
            let sub_ms = u32::from_be_bytes([t3, t0, t1, t2]);
            let first_ms = *self.first_ms.get_or_insert(sub_ms);
            let kind = match kind {
                8 => TagKind::Audio,
                9 => TagKind::Video,
                18 => TagKind::Script,
                _ => continue,
            };
            return Some(Tag {
                kind,
                timestamp_ms: self.timestamp_ms.wrapping_add(sub_ms.wrapping_sub(first_ms)),
                body,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sub_message(kind: u8, ms: u32, body: &[u8]) -> Vec<u8> {
        let [_, s @ ..] = (body.len() as u32).to_be_bytes();
        let [t3, t0, t1, t2] = ms.to_be_bytes();
        let mut out = vec![kind, s[0], s[1], s[2], t0, t1, t2, t3, 0, 0, 0];
        out.extend(body);
        out.extend((11 + body.len() as u32).to_be_bytes());
        out
    }

    #[test]
    fn sub_messages_keep_their_distances() {
        let body = [
            sub_message(8, 0xffff_fff0, b"a"),
            sub_message(20, 0xffff_fff8, b"skipped"),
            sub_message(9, 8, b""),
        ]
        .concat();
        let found: Vec<_> = Aggregate::new(1000, body.into()).collect();
        let tag = |kind, timestamp_ms, body: &'static [u8]| Tag {
            kind,
            timestamp_ms,
            body: Bytes::from_static(body),
        };
        assert_eq!(
            found,
            [tag(TagKind::Audio, 1000, b"a"), tag(TagKind::Video, 1024, b"")]
        );
    }

    #[test]
    fn a_cut_anywhere_ends_it() {
        let whole = Bytes::from([sub_message(8, 5, b"abc"), sub_message(9, 6, b"defg")].concat());
        for end in 0..whole.len() {
            let count = Aggregate::new(0, whole.slice(..end)).count();
            assert_eq!(
                count,
                usize::from(end >= 14) + usize::from(end >= 33),
                "{end} bytes"
            );
        }
    }
}
