//! Tags around bodies: the byte stream of HTTP-FLV.

use super::body::timestamp_ms;
use super::{Bodies, H265Dialect, TagKind, metadata};
use crate::media::{AccessUnit, Timestamp, Tracks};
use bytes::{BufMut, BytesMut};

const TAG_HEADER_BYTES: usize = 11;
const PREVIOUS_TAG_SIZE_BYTES: usize = 4;
/// `TypeFlags` of the file header.
const FLAG_AUDIO: u8 = 4;
const FLAG_VIDEO: u8 = 1;

/// Writes a stream as FLV. It keeps no state between tags, so that the same bytes serve every
/// viewer; timestamps are those of the stream.
#[derive(Clone, Debug)]
pub struct Muxer {
    bodies: Bodies,
}

impl Muxer {
    pub fn new(tracks: &Tracks, dialect: H265Dialect) -> Self {
        Self {
            bodies: Bodies::new(tracks, dialect),
        }
    }

    /// Whether any track of the stream has a place; without one, there is nothing to serve.
    pub const fn carries_any(&self) -> bool {
        self.bodies.has_video() || self.bodies.has_audio()
    }

    /// What a viewer gets first: file header, metadata, sequence headers. The flags tell the tracks
    /// there are, because players wait for a track that is announced.
    pub fn header(&self, out: &mut BytesMut) {
        let audio = if self.bodies.has_audio() { FLAG_AUDIO } else { 0 };
        let video = if self.bodies.has_video() { FLAG_VIDEO } else { 0 };
        out.put_slice(&[b'F', b'L', b'V', 1, audio | video, 0, 0, 0, 9]);
        out.put_u32(0);
        write_tag(TagKind::Script, 0, &metadata::on_meta_data(&self.bodies), out);
        self.sequence_headers(Timestamp::from_millis(0), out);
    }

    /// The decoder configurations, as tags: after a change of parameters, `at` the time of the first
    /// access unit they hold for.
    pub fn sequence_headers(&self, at: Timestamp, out: &mut BytesMut) {
        for (kind, body) in self.bodies.sequence_headers() {
            write_tag(kind, at.as_millis().max(0) as u32, &body, out);
        }
    }

    /// How many bytes [`Self::tag`] appends; none for an access unit whose track is left out.
    pub fn tag_bytes(&self, au: &AccessUnit) -> Option<usize> {
        let (_, body_bytes) = self.bodies.measure(au)?;
        Some(TAG_HEADER_BYTES + body_bytes + PREVIOUS_TAG_SIZE_BYTES)
    }

    /// Appends an access unit's tag; nothing for one whose track is left out. Its data is copied
    /// once, into `out`, and nothing else is allocated.
    pub fn tag(&self, au: &AccessUnit, out: &mut BytesMut) {
        let Some((kind, body_bytes)) = self.bodies.measure(au) else {
            return;
        };
        out.reserve(TAG_HEADER_BYTES + body_bytes + PREVIOUS_TAG_SIZE_BYTES);
        out.put_slice(&tag_header(kind, timestamp_ms(au), body_bytes));
        self.bodies.write(au, out);
        out.put_u32((TAG_HEADER_BYTES + body_bytes) as u32);
    }
}

fn write_tag(kind: TagKind, timestamp_ms: u32, body: &[u8], out: &mut BytesMut) {
    out.reserve(TAG_HEADER_BYTES + body.len() + PREVIOUS_TAG_SIZE_BYTES);
    out.put_slice(&tag_header(kind, timestamp_ms, body.len()));
    out.put_slice(body);
    out.put_u32((TAG_HEADER_BYTES + body.len()) as u32);
}

/// Bodies are access units, which stay below the 2^24 bytes that fit the field.
fn tag_header(kind: TagKind, timestamp_ms: u32, body_bytes: usize) -> [u8; TAG_HEADER_BYTES] {
    let [_, s0, s1, s2] = (body_bytes as u32).to_be_bytes();
    let [t3, t0, t1, t2] = timestamp_ms.to_be_bytes();
    [kind as u8, s0, s1, s2, t0, t1, t2, t3, 0, 0, 0]
}

#[cfg(test)]
mod tests;
