//! Fragments: `moof` and `mdat`.

use super::boxes::{write_box, write_full_box};
use super::track_id;
use crate::media::{AccessUnit, Timestamp};
use bytes::{BufMut, BytesMut};

/// What a fragment holds of one track.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    /// The track's number in the stream.
    pub track: u8,
    /// In decoding order.
    pub samples: &'a [AccessUnit],
    /// When the access unit after the last is decoded: what gives the last its duration.
    pub end: Timestamp,
    /// Whether samples that are no keyframes are marked so: true for video.
    pub mark_keyframes: bool,
}

const BOX_HEADER_BYTES: usize = 8;
/// `default-base-is-moof`: offsets count from the start of `moof`.
const TFHD_FLAGS: u32 = 0x02_0000;
/// Present: data offset; duration, size, flags and composition offset of each sample.
pub(super) const TRUN_FLAGS: u32 = 0x1 | 0x100 | 0x200 | 0x400 | 0x800;
/// `sample_depends_on`: on others, with `sample_is_non_sync_sample`; or on none.
const DEPENDS: u32 = 0x0101_0000;
const INDEPENDENT: u32 = 0x0200_0000;

/// Appends a fragment; runs without samples are left out. `sequence_number` counts fragments from 1.
///
/// Decoding times before the stream's origin count as 0, since the box has no sign; presentation
/// times stay right.
pub fn write_fragment(sequence_number: u32, runs: &[Run<'_>], out: &mut BytesMut) {
    let runs = || runs.iter().filter(|run| !run.samples.is_empty());
    let payload_bytes: usize = runs().map(Run::payload_bytes).sum();
    let samples: usize = runs().map(|run| run.samples.len()).sum();
    out.reserve(payload_bytes + 16 * samples + 128 * (1 + runs().count()));

    let start = out.len();
    // Where each run's data offset stands, to be filled in once the size of moof is known.
    let mut data_offsets = Vec::new();
    write_box(out, *b"moof", |out| {
        write_full_box(out, *b"mfhd", 0, 0, |out| out.put_u32(sequence_number));
        for run in runs() {
            write_box(out, *b"traf", |out| {
                write_full_box(out, *b"tfhd", 0, TFHD_FLAGS, |out| {
                    out.put_u32(track_id(run.track));
                });
                write_full_box(out, *b"tfdt", 1, 0, |out| out.put_u64(run.start()));
                write_full_box(out, *b"trun", 1, TRUN_FLAGS, |out| {
                    out.put_u32(run.samples.len() as u32);
                    data_offsets.push(out.len());
                    out.put_u32(0);
                    run.write_samples(out);
                });
            });
        }
    });

    let mut data_offset = out.len() - start + BOX_HEADER_BYTES;
    for (run, at) in runs().zip(data_offsets) {
        out[at..at + 4].copy_from_slice(&(data_offset as u32).to_be_bytes());
        data_offset += run.payload_bytes();
    }
    write_box(out, *b"mdat", |out| {
        for au in runs().flat_map(|run| run.samples) {
            out.put_slice(&au.data);
        }
    });
}

impl Run<'_> {
    fn payload_bytes(&self) -> usize {
        self.samples.iter().map(|au| au.data.len()).sum()
    }

    /// `baseMediaDecodeTime`.
    fn start(&self) -> u64 {
        self.samples.first().map_or(0, |au| decoding_time(au.dts))
    }

    fn write_samples(&self, out: &mut BytesMut) {
        let next = self.samples[1..].iter().map(|au| au.dts).chain([self.end]);
        for (au, next) in self.samples.iter().zip(next) {
            let time = decoding_time(au.dts);
            // Rescaled to the track's clock, should the end be known in another.
            let next = decoding_time(Timestamp::new(
                next.rescale(au.dts.clock_rate()),
                au.dts.clock_rate(),
            ));
            out.put_u32(u32::try_from(next.saturating_sub(time)).unwrap_or(0));
            out.put_u32(au.data.len() as u32);
            out.put_u32(if self.mark_keyframes && !au.keyframe {
                DEPENDS
            } else {
                INDEPENDENT
            });
            out.put_i32((au.pts.ticks() - time as i64) as i32);
        }
    }
}

fn decoding_time(dts: Timestamp) -> u64 {
    dts.ticks().max(0) as u64
}

#[cfg(test)]
mod tests;
