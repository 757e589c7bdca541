//! The init segment: what a player needs before the first fragment.

use super::boxes::{write_box, write_full_box};
use super::track_id;
use crate::media::codec::{aac, g711};
use crate::media::{CodecParameters, Track, TrackKind, Tracks};
use bytes::{BufMut, Bytes, BytesMut};

/// The unity transformation matrix of `mvhd` and `tkhd`.
pub const MATRIX: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];
/// `und`, in three groups of five bits.
const LANGUAGE_UNDETERMINED: u16 = 0x55c4;
const MOVIE_TIMESCALE: u32 = 1000;

/// `ftyp` and `moov` for these tracks. The same tracks give the same bytes.
pub fn init_segment(tracks: &Tracks) -> Bytes {
    let mut out = BytesMut::with_capacity(1024 + 512 * tracks.len());
    write_box(&mut out, *b"ftyp", |out| {
        out.put_slice(b"iso6");
        out.put_u32(0);
        out.put_slice(b"iso6mp41");
    });
    write_box(&mut out, *b"moov", |out| {
        write_full_box(out, *b"mvhd", 0, 0, |out| {
            put_u32s(out, &[0, 0, MOVIE_TIMESCALE, 0, 0x1_0000]); // times, duration, rate
            out.put_u16(0x100); // volume
            out.put_bytes(0, 10);
            put_u32s(out, &MATRIX);
            out.put_bytes(0, 24);
            out.put_u32(u32::MAX); // next_track_ID: search for one
        });
        for (number, track) in (0_u8..).zip(tracks) {
            write_track(out, track_id(number), track);
        }
        write_box(out, *b"mvex", |out| {
            for (number, _) in (0_u8..).zip(tracks) {
                // track, description, and defaults that every fragment overrides
                write_full_box(out, *b"trex", 0, 0, |out| {
                    put_u32s(out, &[track_id(number), 1, 0, 0, 0]);
                });
            }
        });
    });
    out.freeze()
}

fn write_track(out: &mut BytesMut, id: u32, track: &Track) {
    let is_video = track.kind() == TrackKind::Video;
    let (width, height) = track.codec.size().unwrap_or_default();
    write_box(out, *b"trak", |out| {
        const ENABLED_IN_MOVIE: u32 = 3;
        write_full_box(out, *b"tkhd", 0, ENABLED_IN_MOVIE, |out| {
            put_u32s(out, &[0, 0, id, 0, 0, 0, 0]);
            // layer, alternate_group, volume
            for value in [0, u16::from(!is_video), if is_video { 0 } else { 0x100 }, 0] {
                out.put_u16(value);
            }
            put_u32s(out, &MATRIX);
            put_u32s(out, &[u32::from(width) << 16, u32::from(height) << 16]);
        });
        let mdhd = |out: &mut BytesMut| {
            write_full_box(out, *b"mdhd", 0, 0, |out| {
                put_u32s(out, &[0, 0, track.clock_rate, 0]);
                out.put_u16(LANGUAGE_UNDETERMINED);
                out.put_u16(0);
            });
        };
        write_mdia(out, track.kind(), mdhd, |out| {
            write_full_box(out, *b"stsd", 0, 0, |out| {
                out.put_u32(1);
                write_sample_entry(out, &track.codec);
            });
            // All samples are in fragments.
            write_full_box(out, *b"stts", 0, 0, |out| out.put_u32(0));
            write_full_box(out, *b"stsc", 0, 0, |out| out.put_u32(0));
            write_full_box(out, *b"stsz", 0, 0, |out| out.put_u64(0));
            write_full_box(out, *b"stco", 0, 0, |out| out.put_u32(0));
        });
    });
}

/// The `mdia` box of a track: `mdhd` writes the media header box, `stbl` what is in the sample table.
pub fn write_mdia(
    out: &mut BytesMut,
    kind: TrackKind,
    mdhd: impl FnOnce(&mut BytesMut),
    stbl: impl FnOnce(&mut BytesMut),
) {
    let is_video = kind == TrackKind::Video;
    write_box(out, *b"mdia", |out| {
        mdhd(out);
        write_full_box(out, *b"hdlr", 0, 0, |out| {
            out.put_u32(0);
            out.put_slice(if is_video { b"vide" } else { b"soun" });
            out.put_bytes(0, 12);
            out.put_slice(if is_video { b"video\0" } else { b"sound\0" });
        });
        write_box(out, *b"minf", |out| {
            if is_video {
                write_full_box(out, *b"vmhd", 0, 1, |out| out.put_bytes(0, 8));
            } else {
                write_full_box(out, *b"smhd", 0, 0, |out| out.put_bytes(0, 4));
            }
            write_box(out, *b"dinf", |out| {
                write_full_box(out, *b"dref", 0, 0, |out| {
                    out.put_u32(1);
                    write_full_box(out, *b"url ", 0, 1, |_| {}); // in this file
                });
            });
            write_box(out, *b"stbl", stbl);
        });
    });
}

/// The sample entry of a codec, as it stands in `stsd`.
pub fn write_sample_entry(out: &mut BytesMut, codec: &CodecParameters) {
    match codec {
        CodecParameters::H264(p) => write_box(out, *b"avc1", |out| {
            put_visual(out, p.width, p.height);
            write_box(out, *b"avcC", |out| out.put_slice(&p.decoder_configuration()));
        }),
        CodecParameters::H265(p) => write_box(out, *b"hvc1", |out| {
            put_visual(out, p.width, p.height);
            write_box(out, *b"hvcC", |out| out.put_slice(&p.decoder_configuration()));
        }),
        CodecParameters::Aac(p) => write_box(out, *b"mp4a", |out| {
            put_audio(out, p.channels, p.sample_rate);
            write_full_box(out, *b"esds", 0, 0, |out| {
                put_elementary_stream_descriptor(out, p);
            });
        }),
        CodecParameters::G711(p) => {
            let kind = match p.law {
                g711::Law::A => *b"alaw",
                g711::Law::Mu => *b"ulaw",
            };
            write_box(out, kind, |out| put_audio(out, p.channels, 8000));
        }
    }
}

/// The fields of a `VisualSampleEntry`.
fn put_visual(out: &mut BytesMut, width: u16, height: u16) {
    const DPI_72: u32 = 0x48_0000;
    out.put_bytes(0, 6);
    out.put_u16(1); // data_reference_index
    out.put_bytes(0, 16);
    out.put_u16(width);
    out.put_u16(height);
    put_u32s(out, &[DPI_72, DPI_72, 0]);
    out.put_u16(1); // frame_count
    out.put_bytes(0, 32); // compressorname
    out.put_u16(24); // depth
    out.put_i16(-1);
}

/// The fields of an `AudioSampleEntry`.
fn put_audio(out: &mut BytesMut, channels: u8, sample_rate: u32) {
    out.put_bytes(0, 6);
    out.put_u16(1); // data_reference_index
    out.put_u64(0);
    out.put_u16(u16::from(channels));
    out.put_u16(16); // samplesize
    out.put_u32(0);
    // 16.16; rates that do not fit are told by the AudioSpecificConfig alone.
    out.put_u16(u16::try_from(sample_rate).unwrap_or(0));
    out.put_u16(0);
}

/// ISO/IEC 14496-1 section 7.2.6.5: `ES_Descriptor` > `DecoderConfigDescriptor` >
/// `DecoderSpecificInfo`, then `SLConfigDescriptor`.
fn put_elementary_stream_descriptor(out: &mut BytesMut, parameters: &aac::Parameters) {
    /// Tag and length.
    const HEAD_BYTES: usize = 5;
    let config = &parameters.config;
    let descriptor = |out: &mut BytesMut, tag: u8, bytes: usize| {
        out.put_u8(tag);
        // Four groups of seven bits.
        for shift in [21, 14, 7] {
            out.put_u8(0x80 | (bytes >> shift) as u8 & 0x7f);
        }
        out.put_u8(bytes as u8 & 0x7f);
    };
    let decoder_config_bytes = 13 + HEAD_BYTES + config.len();
    descriptor(out, 3, 3 + HEAD_BYTES + decoder_config_bytes + HEAD_BYTES + 1);
    out.put_u16(0); // ES_ID
    out.put_u8(0);
    descriptor(out, 4, decoder_config_bytes);
    out.put_u8(0x40); // objectTypeIndication: ISO/IEC 14496-3
    out.put_u8(5 << 2 | 1); // streamType: audio
    out.put_bytes(0, 11); // buffer size and bit rates: unknown
    descriptor(out, 5, config.len());
    out.put_slice(config);
    descriptor(out, 6, 1);
    out.put_u8(2); // MP4
}

fn put_u32s(out: &mut BytesMut, values: &[u32]) {
    for value in values {
        out.put_u32(*value);
    }
}
