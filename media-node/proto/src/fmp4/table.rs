//! The trailing table of a stored file: the sample tables of all its fragments, so that one read at the end
//! of the file tells what is where, without a look at every fragment.
//!
//! ```text
//! size 4 | "uuid" | our uuid 16 | version 1 | reserved 3 | CRC-32 of what follows 4 |
//!   fragments: varint
//!   for each: offset of moof: varint, from the end of the fragment before
//!             size: varint | offset of the payload, from moof: varint | its size: varint | runs: varint
//!     for each run: track 1 | base decoding time: varint, from the end of the track's run before (zigzag)
//!                   offset of its data in the payload: varint | samples: varint
//!       for each sample: size: varint | duration: varint, from the one before (zigzag)
//!                        composition offset: varint, from the one before (zigzag) | keyframe: bit 0 of the size
//! ```
//! A varint has 7 bits a byte, the lowest first (LEB128); zigzag puts the sign into bit 0. All other numbers are big-endian.
//! Some 3 bytes a sample.

use super::reader::{Fragment, MOST_DECODE_TIME, Sample, SampleRun};
use bytes::{BufMut, Bytes, BytesMut};
use std::collections::HashMap;

/// Tells the box from other `uuid` boxes.
const UUID: [u8; 16] = [
    0x5d, 0x1f, 0x0c, 0x62, 0x8e, 0x0b, 0x4b, 0x0e, 0x9a, 0x43, 0x57, 0x65, 0x69, 0x72, 0x54, 0x62,
];
const VERSION: u8 = 1;
/// Of what tells the box: size, type, uuid.
pub(super) const HEAD_BYTES: u64 = 24;
/// Before what the checksum covers.
const FRONT_BYTES: usize = 32;
/// More than any segment has.
const MOST_SAMPLES: usize = 10_000_000;

/// Why a table can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("it is no table, or cut short")]
    NoTable,
    #[error("version {0} of the table is unknown")]
    Version(u8),
    #[error("the table is damaged: its checksum is another")]
    Checksum,
    #[error("the table ends in the middle")]
    Short,
    #[error("a number in the table is out of range")]
    Range,
}

/// Whether a box whose first bytes these are is a table.
pub(super) fn is_table(head: &[u8]) -> bool {
    head.get(4..8) == Some(b"uuid") && head.get(8..24) == Some(&UUID)
}

/// The box.
pub fn write(fragments: &[Fragment]) -> Bytes {
    let mut body = BytesMut::new();
    put(&mut body, fragments.len() as u64);
    let (mut end, mut ends) = (0, HashMap::<u8, u64>::new());
    for fragment in fragments {
        put(&mut body, fragment.offset.wrapping_sub(end));
        put(&mut body, fragment.bytes);
        put(&mut body, fragment.payload.start.wrapping_sub(fragment.offset));
        put(&mut body, fragment.payload.end - fragment.payload.start);
        put(&mut body, fragment.runs.len() as u64);
        end = fragment.end();
        for run in &fragment.runs {
            body.put_u8(run.track);
            let before = ends.get(&run.track).copied().unwrap_or(0);
            put(
                &mut body,
                zigzag(run.base_decode_time.wrapping_sub(before) as i64),
            );
            put(&mut body, run.data.start.wrapping_sub(fragment.payload.start));
            put(&mut body, run.samples.len() as u64);
            let (mut duration, mut offset) = (0, 0);
            for sample in &run.samples {
                put(
                    &mut body,
                    u64::from(sample.size) << 1 | u64::from(sample.keyframe),
                );
                put(&mut body, zigzag(i64::from(sample.duration) - duration));
                put(&mut body, zigzag(i64::from(sample.composition_offset) - offset));
                duration = i64::from(sample.duration);
                offset = i64::from(sample.composition_offset);
            }
            ends.insert(run.track, run.end_decode_time());
        }
    }
    let mut out = BytesMut::with_capacity(FRONT_BYTES + body.len());
    out.put_u32((FRONT_BYTES + body.len()) as u32);
    out.put_slice(b"uuid");
    out.put_slice(&UUID);
    out.put_u32(u32::from(VERSION) << 24);
    out.put_u32(crc32fast::hash(&body));
    out.put_slice(&body);
    out.freeze()
}

/// From the whole box, as [`write()`] made it.
///
/// # Errors
/// When it is another box, another version's, or damaged. Whatever it says, memory is bounded by its size.
pub fn parse(data: &[u8]) -> Result<Vec<Fragment>, Error> {
    let (front, body) = data.split_at_checked(FRONT_BYTES).ok_or(Error::NoTable)?;
    let size = u32::from_be_bytes([front[0], front[1], front[2], front[3]]) as usize;
    if !is_table(front) || size != data.len() {
        return Err(Error::NoTable);
    }
    if front[24] != VERSION {
        return Err(Error::Version(front[24]));
    }
    if crc32fast::hash(body).to_be_bytes() != front[28..32] {
        return Err(Error::Checksum);
    }
    let mut fields = Fields(body);
    let mut fragments = Vec::new();
    let (mut end, mut ends, mut samples_left) = (0_u64, HashMap::<u8, u64>::new(), MOST_SAMPLES);
    for _ in 0..fields.count()? {
        let offset = end.checked_add(fields.number()?).ok_or(Error::Range)?;
        let bytes = fields.number()?;
        end = offset.checked_add(bytes).ok_or(Error::Range)?;
        let payload_start = offset.checked_add(fields.number()?).ok_or(Error::Range)?;
        let payload_end = payload_start.checked_add(fields.number()?).ok_or(Error::Range)?;
        if payload_end > end {
            return Err(Error::Range);
        }
        let mut runs = Vec::new();
        for _ in 0..fields.count()? {
            let track = fields.byte()?;
            let before = ends.get(&track).copied().unwrap_or(0);
            let base_decode_time = before.wrapping_add(fields.signed()? as u64);
            if base_decode_time > MOST_DECODE_TIME {
                return Err(Error::Range);
            }
            let start = payload_start.checked_add(fields.number()?).ok_or(Error::Range)?;
            let count = fields.count()?;
            samples_left = samples_left.checked_sub(count).ok_or(Error::Range)?;
            let mut samples = Vec::with_capacity(count);
            let (mut duration, mut offset, mut data_end) = (0_i64, 0_i64, start);
            for _ in 0..count {
                let size = fields.number()?;
                duration = duration.checked_add(fields.signed()?).ok_or(Error::Range)?;
                offset = offset.checked_add(fields.signed()?).ok_or(Error::Range)?;
                let sample = Sample {
                    size: u32::try_from(size >> 1).map_err(|_| Error::Range)?,
                    duration: u32::try_from(duration).map_err(|_| Error::Range)?,
                    composition_offset: i32::try_from(offset).map_err(|_| Error::Range)?,
                    keyframe: size & 1 == 1,
                };
                data_end = data_end.checked_add(u64::from(sample.size)).ok_or(Error::Range)?;
                samples.push(sample);
            }
            if data_end > payload_end {
                return Err(Error::Range);
            }
            let run = SampleRun {
                track,
                base_decode_time,
                samples,
                data: start..data_end,
            };
            ends.insert(track, run.end_decode_time());
            runs.push(run);
        }
        fragments.push(Fragment {
            offset,
            bytes,
            payload: payload_start..payload_end,
            runs,
        });
    }
    if fields.0.is_empty() {
        Ok(fragments)
    } else {
        Err(Error::Range)
    }
}

fn put(out: &mut BytesMut, mut number: u64) {
    while number >= 0x80 {
        out.put_u8(number as u8 | 0x80);
        number >>= 7;
    }
    out.put_u8(number as u8);
}

const fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63) as u64
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn byte(&mut self) -> Result<u8, Error> {
        let (first, rest) = self.0.split_first().ok_or(Error::Short)?;
        self.0 = rest;
        Ok(*first)
    }

    fn number(&mut self) -> Result<u64, Error> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Error::Range);
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Error::Range)
    }

    fn signed(&mut self) -> Result<i64, Error> {
        let number = self.number()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    /// A number of things that take a byte each at least.
    fn count(&mut self) -> Result<usize, Error> {
        let count = self.number()?;
        if count > self.0.len() as u64 {
            Err(Error::Short)
        } else {
            Ok(count as usize)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fmp4::{Fragmenter, init_segment, main_track, scan};
    use crate::testing;

    /// A file of a fragment for each GOP, with its table.
    pub(crate) fn file(clip: &testing::Clip) -> (Vec<u8>, Vec<Fragment>) {
        let mut file = init_segment(&clip.tracks).to_vec();
        let mut fragmenter = Fragmenter::new(&clip.tracks);
        let mut number = 0;
        for au in &clip.access_units {
            if au.keyframe && au.track == main_track(&clip.tracks) && !fragmenter.is_empty() {
                number += 1;
                file.extend_from_slice(&fragmenter.finish(number, au.dts));
            }
            fragmenter.push(au);
        }
        let end = clip.access_units.last().expect("some").dts;
        file.extend_from_slice(&fragmenter.finish(number + 1, end));
        let fragments = scan(&file).expect("whole").fragments;
        file.extend_from_slice(&write(&fragments));
        (file, fragments)
    }

    #[test]
    fn there_and_back() {
        for clip in [testing::h264_aac(), testing::h265_aac()] {
            let (file, fragments) = file(&clip);
            assert_eq!(fragments.len(), 4);
            let scanned = scan(&file).expect("whole");
            assert_eq!(scanned.tail, None);
            assert_eq!(scanned.fragments, fragments);
            let table = scanned.table.expect("a table");
            assert_eq!(table.end, file.len() as u64);
            let table = &file[table.start as usize..];
            assert_eq!(parse(table), Ok(fragments));
            let samples = clip.access_units.len();
            assert!(
                table.len() < 6 * samples,
                "{} bytes for {samples} samples",
                table.len()
            );
        }
        assert_eq!(parse(&write(&[])), Ok(Vec::new()));
    }

    #[test]
    fn damage_is_seen() {
        let (file, _) = file(&testing::h264_aac());
        let at = scan(&file).expect("whole").table.expect("a table").start as usize;
        let table = &file[at..];
        for cut in [0, 1, 24, 31, 32, table.len() - 1] {
            assert!(parse(&table[..cut]).is_err(), "{cut}");
        }
        for at in (0..table.len()).step_by(7) {
            let mut bad = table.to_vec();
            bad[at] ^= 0x10;
            // The reserved bytes say nothing.
            assert_eq!(parse(&bad).is_ok(), (25..28).contains(&at), "{at}");
        }
        let mut newer = table.to_vec();
        newer[24] = 9;
        assert_eq!(parse(&newer), Err(Error::Version(9)));
    }

    #[test]
    fn numbers_of_all_sizes() {
        for number in [0, 1, -1, 63, -64, 64, i64::from(i32::MAX), i64::MIN, i64::MAX] {
            let mut out = BytesMut::new();
            put(&mut out, zigzag(number));
            assert_eq!(Fields(&out).signed(), Ok(number));
        }
        // Times are signed elsewhere.
        let run = |base_decode_time| SampleRun {
            track: 0,
            base_decode_time,
            samples: Vec::new(),
            data: 0..0,
        };
        let table = |base_decode_time| {
            write(&[Fragment {
                offset: 0,
                bytes: 0,
                payload: 0..0,
                runs: vec![run(base_decode_time)],
            }])
        };
        assert!(parse(&table(MOST_DECODE_TIME)).is_ok());
        assert_eq!(parse(&table(MOST_DECODE_TIME + 1)), Err(Error::Range));
        assert_eq!(parse(&table(u64::MAX)), Err(Error::Range));
        assert_eq!(Fields(&[0xff; 10]).number(), Err(Error::Range));
        assert_eq!(Fields(&[0x80]).number(), Err(Error::Short));
    }
}
