//! Messages into bytes.

use super::{EndReason, Hello, MAGIC, MAX_MESSAGE, MAX_TRACKS, Message, VERSION};
use crate::media::codec::g711;
use crate::media::{AccessUnit, CodecParameters, Track, Tracks};
use bytes::{BufMut, BytesMut};

/// Bytes of a unit message in front of the data, at most: length, kind and fields.
const UNIT_HEADER: usize = 4 + 1 + 2 + 4 + 8 + 8 + 8;

/// Bytes of an era message.
const ERA_BYTES: usize = 4 + 1 + 8 + 1;

impl Message {
    /// Appends this message. An access unit that does not fit a message is left out.
    pub fn write(&self, out: &mut BytesMut) {
        match self {
            Self::Hello(hello) => message(out, 0, |out| write_hello(hello, out)),
            Self::Tracks(tracks) => message(out, 1, |out| write_tracks(tracks, out)),
            Self::Unit(unit) => Self::write_unit(unit, out),
            Self::Keepalive => message(out, 3, |_| {}),
            Self::End(reason) => message(out, 4, |out| {
                out.put_u8(match reason {
                    EndReason::Ended => 0,
                    EndReason::Moved => 1,
                    EndReason::TooSlow => 2,
                    EndReason::Replaced => 3,
                    EndReason::Other(code) => *code,
                });
            }),
        }
    }

    /// As [`Message::write`] of a [`Message::Unit`].
    pub fn write_unit(unit: &AccessUnit, out: &mut BytesMut) {
        if unit.data.len() + UNIT_HEADER > MAX_MESSAGE {
            tracing::debug!(bytes = unit.data.len(), "access unit too large for a relay");
            return;
        }
        out.reserve(ERA_BYTES + UNIT_HEADER + unit.data.len());
        if let Some(segment) = unit.segment.filter(|segment| segment.era > 0) {
            message(out, 5, |out| {
                out.put_u64(segment.era);
                out.put_u8(u8::from(segment.opens_era));
            });
        }
        message(out, 2, |out| {
            let clock_rate = unit.pts.clock_rate();
            out.put_u8(unit.track);
            out.put_u8(u8::from(unit.keyframe) | (u8::from(unit.segment.is_some()) << 1));
            out.put_u32(clock_rate);
            out.put_i64(unit.pts.ticks());
            out.put_i64(unit.dts.rescale(clock_rate));
            if let Some(segment) = unit.segment {
                out.put_u64(segment.number);
            }
            out.put_slice(&unit.data);
        });
    }
}

/// Writes the length when the body is known.
fn message(out: &mut BytesMut, kind: u8, body: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u32(0);
    out.put_u8(kind);
    body(out);
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

fn write_hello(hello: &Hello, out: &mut BytesMut) {
    out.put_slice(&MAGIC);
    out.put_u8(VERSION);
    out.put_u64(hello.session);
    // A name is for people: cut, at a character.
    let name = &hello.name[..hello.name.floor_char_boundary(255)];
    write_bytes(name.as_bytes(), out);
}

fn write_tracks(tracks: &Tracks, out: &mut BytesMut) {
    let count = tracks.len().min(MAX_TRACKS);
    out.put_u8(count as u8);
    for track in tracks.iter().take(count) {
        write_track(track, out);
    }
}

fn write_track(track: &Track, out: &mut BytesMut) {
    let mut head = |codec| {
        out.put_u8(codec);
        out.put_u32(track.clock_rate);
    };
    match &track.codec {
        CodecParameters::H264(p) => {
            head(1);
            write_bytes(&p.sps, out);
            write_bytes(&p.pps, out);
            write_picture(p.width, p.height, p.frame_rate, out);
        }
        CodecParameters::H265(p) => {
            head(2);
            write_bytes(&p.vps, out);
            write_bytes(&p.sps, out);
            write_bytes(&p.pps, out);
            write_picture(p.width, p.height, p.frame_rate, out);
        }
        CodecParameters::Aac(p) => {
            head(3);
            write_bytes(&p.config, out);
            out.put_u32(p.sample_rate);
            out.put_u8(p.channels);
        }
        CodecParameters::G711(p) => {
            head(4);
            out.put_u8(match p.law {
                g711::Law::A => 0,
                g711::Law::Mu => 1,
            });
            out.put_u8(p.channels);
        }
    }
}

fn write_picture(width: u16, height: u16, frame_rate: Option<(u32, u32)>, out: &mut BytesMut) {
    let (numerator, denominator) = frame_rate.unwrap_or((0, 0));
    out.put_u16(width);
    out.put_u16(height);
    out.put_u32(numerator);
    out.put_u32(denominator);
}

/// Parameter sets are bounded well below 64 KiB where they are parsed.
fn write_bytes(bytes: &[u8], out: &mut BytesMut) {
    let bytes = &bytes[..bytes.len().min(usize::from(u16::MAX))];
    out.put_u16(bytes.len() as u16);
    out.put_slice(bytes);
}
