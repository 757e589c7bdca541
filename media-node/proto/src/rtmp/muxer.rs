//! A stream in messages, written once for all viewers.

use super::chunk::{self, Header};
use super::message::{chunk_stream, kind};
use super::server::STREAM;
use crate::flv::{Bodies, H265Dialect, TagKind, on_meta_data, timestamp_ms};
use crate::media::{AccessUnit, Timestamp, Tracks};
use bytes::{BufMut, BytesMut};

/// Writes a stream as RTMP messages.
///
/// It keeps no state between messages: chunk streams, message stream and chunk size
/// ([`chunk::BYTES`]) are fixed, and no header refers to the one before. So what it writes serves
/// every viewer whose session said so in the beginning, which [`super::server::Session`] does.
/// Timestamps are those of the stream. A pusher, whose server chooses the message stream, has a
/// muxer of its own.
#[derive(Clone, Debug)]
pub struct Muxer {
    bodies: Bodies,
    message_stream: u32,
    /// What goes before metadata.
    prefix: &'static [u8],
}

/// Tells a server to hand metadata on: the string `@setDataFrame`.
const SET_DATA_FRAME: &[u8] = b"\x02\x00\x0d@setDataFrame";

impl Muxer {
    /// For who plays from us.
    pub fn for_viewers(tracks: &Tracks, dialect: H265Dialect) -> Self {
        Self {
            bodies: Bodies::new(tracks, dialect),
            message_stream: STREAM,
            prefix: &[],
        }
    }

    /// For a server that we publish to, on the message stream that it gave us.
    pub fn for_server(tracks: &Tracks, dialect: H265Dialect, message_stream: u32) -> Self {
        Self {
            bodies: Bodies::new(tracks, dialect),
            message_stream,
            prefix: SET_DATA_FRAME,
        }
    }

    /// Whether any track of the stream has a place; without one, there is nothing to send.
    pub const fn carries_any(&self) -> bool {
        self.bodies.has_video() || self.bodies.has_audio()
    }

    /// What goes first: metadata, sequence headers.
    pub fn header(&self, out: &mut BytesMut) {
        let body = [self.prefix, &on_meta_data(&self.bodies)].concat();
        self.write(TagKind::Script, 0, &body, out);
        self.sequence_headers(Timestamp::from_millis(0), out);
    }

    /// The decoder configurations: after a change of parameters, `at` the time of the first access
    /// unit they hold for.
    pub fn sequence_headers(&self, at: Timestamp, out: &mut BytesMut) {
        for (kind, body) in self.bodies.sequence_headers() {
            self.write(kind, at.as_millis().max(0) as u32, &body, out);
        }
    }

    /// How many bytes [`Self::message`] appends; none for an access unit whose track is left out.
    pub fn message_bytes(&self, au: &AccessUnit) -> Option<usize> {
        let (kind, body_bytes) = self.bodies.measure(au)?;
        let header = self.header_of(kind, timestamp_ms(au));
        Some(chunk::measure(&header, body_bytes, chunk::BYTES))
    }

    /// Appends an access unit's message; nothing for one whose track is left out. Its data is
    /// copied into `out`, and moved once more there if it takes several chunks.
    pub fn message(&self, au: &AccessUnit, out: &mut BytesMut) {
        let Some((kind, body_bytes)) = self.bodies.measure(au) else {
            return;
        };
        let header = self.header_of(kind, timestamp_ms(au));
        chunk::write_with(&header, body_bytes, chunk::BYTES, out, |out| {
            self.bodies.write(au, out);
        });
    }

    fn write(&self, kind: TagKind, timestamp_ms: u32, body: &[u8], out: &mut BytesMut) {
        let header = self.header_of(kind, timestamp_ms);
        chunk::write_with(&header, body.len(), chunk::BYTES, out, |out| out.put_slice(body));
    }

    const fn header_of(&self, tag: TagKind, timestamp_ms: u32) -> Header {
        let (kind, chunk_stream) = match tag {
            TagKind::Audio => (kind::AUDIO, chunk_stream::AUDIO),
            TagKind::Video => (kind::VIDEO, chunk_stream::VIDEO),
            TagKind::Script => (kind::DATA, chunk_stream::DATA),
        };
        Header {
            chunk_stream,
            timestamp_ms,
            kind,
            message_stream: self.message_stream,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flv::{Event, Unpacker};
    use crate::rtmp::chunk::Reader;
    use crate::rtmp::message;
    use crate::testing;

    #[test]
    fn what_is_muxed_comes_back() {
        for (clip, dialect) in [
            (testing::h264_aac(), H265Dialect::Legacy),
            (testing::h265_aac(), H265Dialect::Legacy),
            (testing::h265_aac(), H265Dialect::Enhanced),
        ] {
            let muxer = Muxer::for_viewers(&clip.tracks, dialect);
            let mut bytes = BytesMut::new();
            message::set_chunk_size(chunk::BYTES, &mut bytes);
            muxer.header(&mut bytes);
            for au in &clip.access_units {
                let expected = bytes.len() + muxer.message_bytes(au).unwrap();
                muxer.message(au, &mut bytes);
                assert_eq!(bytes.len(), expected);
            }
            let (mut reader, mut unpacker) = (Reader::new(0), Unpacker::new());
            while let Some(found) = reader.read(&mut bytes).unwrap() {
                assert_eq!(found.header.message_stream, 1);
                let kind = match found.header.kind {
                    kind::AUDIO => TagKind::Audio,
                    kind::VIDEO => TagKind::Video,
                    _ => TagKind::Script,
                };
                unpacker
                    .push(kind, found.header.timestamp_ms, &found.body)
                    .unwrap();
            }
            assert!(bytes.is_empty());
            unpacker.finish();
            assert_eq!(unpacker.pull(), Some(Event::Tracks(clip.tracks)));
            for au in &clip.access_units {
                let Some(Event::AccessUnit(found)) = unpacker.pull() else {
                    panic!("an access unit")
                };
                assert_eq!((found.track, found.data), (au.track, au.data.clone()));
            }
        }
    }

    #[test]
    fn a_message_is_the_same_whatever_was_before() {
        let clip = testing::h264_aac();
        let muxer = Muxer::for_viewers(&clip.tracks, H265Dialect::Enhanced);
        let mut behind_all = BytesMut::new();
        muxer.header(&mut behind_all);
        for au in &clip.access_units[..20] {
            let start = behind_all.len();
            muxer.message(au, &mut behind_all);
            let mut alone = BytesMut::new();
            muxer.message(au, &mut alone);
            assert_eq!(behind_all[start..], alone);
        }
    }

    #[test]
    fn servers_are_told_to_keep_metadata() {
        let clip = testing::h264_aac();
        let mut out = BytesMut::new();
        Muxer::for_server(&clip.tracks, H265Dialect::Legacy, 5).header(&mut out);
        assert_eq!(out[..4], [5, 0, 0, 0]);
        assert_eq!(out[7..12], [18, 5, 0, 0, 0]);
        assert!(out[12..].starts_with(b"\x02\0\x0d@setDataFrame\x02\0\x0aonMetaData\x08"));
    }
}
