//! The tables of the `stbl` box (ISO/IEC 14496-12 sections 8.6 and 8.7), walked together.

use super::boxes::{Fields, child, required};
use super::{Error, FourCc, Sample};
use crate::media::codec::picture::MAX_PICTURE_BYTES;
use bytes::Bytes;

const STBL: FourCc = FourCc(*b"stbl");

/// Every sample of a track in decoding order, with its duration; times in ticks of the track's
/// timescale, without the edit list.
pub(super) struct Samples {
    count: usize,
    index: usize,
    sizes: Sizes,
    durations: Runs,
    composition_offsets: Option<Runs>,
    sync: Option<Bytes>,
    sync_at: usize,
    chunks: Chunks,
    dts: i64,
    /// How many samples are left in the current chunk, and where the next one is.
    left_in_chunk: u32,
    offset: u64,
}

impl Samples {
    pub(super) fn parse(stbl: &Bytes, max_samples: usize) -> Result<Self, Error> {
        let (sizes, count) = Sizes::parse(stbl)?;
        if count > max_samples {
            return Err(Error::OutOfRange {
                kind: STBL,
                field: "sample count",
                value: count as u64,
            });
        }
        let full_table = |kind: [u8; 4], entry_bytes| -> Result<Option<Bytes>, Error> {
            let Some(payload) = child(STBL, stbl, kind)? else {
                return Ok(None);
            };
            let (mut fields, _) = Fields::full(kind, payload)?;
            fields.table(entry_bytes).map(Some)
        };
        let durations = full_table(*b"stts", 8)?.ok_or(Error::Missing(FourCc(*b"stts")))?;
        Ok(Self {
            count,
            index: 0,
            sizes,
            durations: Runs::new(*b"stts", durations),
            composition_offsets: full_table(*b"ctts", 8)?.map(|table| Runs::new(*b"ctts", table)),
            sync: full_table(*b"stss", 4)?,
            sync_at: 0,
            chunks: Chunks::parse(stbl)?,
            dts: 0,
            left_in_chunk: 0,
            offset: 0,
        })
    }

    fn sample(&mut self) -> Result<(Sample, u32), Error> {
        while self.left_in_chunk == 0 {
            (self.offset, self.left_in_chunk) = self.chunks.next()?;
        }
        let size = self.sizes.get(self.index)?;
        if size as usize > MAX_PICTURE_BYTES {
            return Err(Error::OutOfRange {
                kind: FourCc(*b"stsz"),
                field: "size",
                value: u64::from(size),
            });
        }
        let duration = self.durations.next()?;
        // Version 0 says unsigned, but QuickTime writes negative offsets there too.
        let composition_offset = match &mut self.composition_offsets {
            Some(offsets) => offsets.next()? as i32,
            None => 0,
        };
        let sample = Sample {
            offset: self.offset,
            size,
            sync: self.is_sync(),
            dts: self.dts,
            pts: self.dts + i64::from(composition_offset),
        };
        self.dts += i64::from(duration);
        self.offset = self.offset.saturating_add(u64::from(size));
        self.left_in_chunk -= 1;
        self.index += 1;
        Ok((sample, duration))
    }

    /// Without a table, every sample is one. Numbers in the table start at 1 and increase.
    fn is_sync(&mut self) -> bool {
        let Some(table) = &self.sync else { return true };
        let number = self.index as u32 + 1;
        while let Some(&entry) = table.get(self.sync_at..).and_then(<[u8]>::first_chunk) {
            match u32::from_be_bytes(entry).cmp(&number) {
                std::cmp::Ordering::Less => self.sync_at += 4,
                std::cmp::Ordering::Equal => return true,
                std::cmp::Ordering::Greater => return false,
            }
        }
        false
    }
}

impl Iterator for Samples {
    type Item = Result<(Sample, u32), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.index >= self.count {
            return None;
        }
        let sample = self.sample();
        if sample.is_err() {
            self.count = 0;
        }
        Some(sample)
    }
}

/// `stsz` or `stz2`: the size of each sample.
enum Sizes {
    Same(u32),
    /// Each of this many bits: 4, 8, 16 or 32.
    Each(usize, Bytes),
}

impl Sizes {
    /// The sizes and how many there are.
    fn parse(stbl: &Bytes) -> Result<(Self, usize), Error> {
        if let Some(stsz) = child(STBL, stbl, *b"stsz")? {
            let (mut fields, _) = Fields::full(*b"stsz", stsz)?;
            let same = fields.u32()?;
            if same != 0 {
                return Ok((Self::Same(same), fields.u32()? as usize));
            }
            let table = fields.table(4)?;
            let count = table.len() / 4;
            return Ok((Self::Each(32, table), count));
        }
        let (mut fields, _) = Fields::full(*b"stz2", required(STBL, stbl, *b"stz2")?)?;
        let bits = fields.u32()? as usize & 0xff;
        let count = fields.u32()? as usize;
        if ![4, 8, 16].contains(&bits) {
            return Err(fields.out_of_range("field_size", bits as u64));
        }
        let table = fields.take((count * bits).div_ceil(8))?;
        Ok((Self::Each(bits, table), count))
    }

    fn get(&self, index: usize) -> Result<u32, Error> {
        let (bits, table) = match self {
            Self::Same(size) => return Ok(*size),
            Self::Each(bits, table) => (*bits, table),
        };
        let start = index * bits / 8;
        let bytes = table
            .get(start..start + bits.div_ceil(8))
            .ok_or(Error::Truncated(FourCc(*b"stsz")))?;
        let value = bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte));
        Ok(match (bits, index % 2) {
            (4, 0) => value >> 4,
            (4, _) => value & 15,
            _ => value,
        })
    }
}

/// A run-length table, `stts` or `ctts`: (count, value) in 32 bits each.
struct Runs {
    kind: FourCc,
    table: Bytes,
    at: usize,
    left: u32,
    value: u32,
}

impl Runs {
    const fn new(kind: [u8; 4], table: Bytes) -> Self {
        Self {
            kind: FourCc(kind),
            table,
            at: 0,
            left: 0,
            value: 0,
        }
    }

    fn next(&mut self) -> Result<u32, Error> {
        while self.left == 0 {
            let entry = self.table.get(self.at..).and_then(<[u8]>::first_chunk::<8>);
            let [c0, c1, c2, c3, value @ ..] = *entry.ok_or(Error::Truncated(self.kind))?;
            self.left = u32::from_be_bytes([c0, c1, c2, c3]);
            self.value = u32::from_be_bytes(value);
            self.at += 8;
        }
        self.left -= 1;
        Ok(self.value)
    }
}

/// `stsc` with `stco` or `co64`: where each chunk is, and how many samples it has.
struct Chunks {
    /// (`first_chunk`, `samples_per_chunk`, `sample_description_index`)
    to_chunk: Bytes,
    to_chunk_at: usize,
    samples_per_chunk: u32,
    offsets: Bytes,
    offset_bytes: usize,
    index: usize,
}

impl Chunks {
    fn parse(stbl: &Bytes) -> Result<Self, Error> {
        let (mut stsc, _) = Fields::full(*b"stsc", required(STBL, stbl, *b"stsc")?)?;
        let (mut offsets, offset_bytes) = match child(STBL, stbl, *b"co64")? {
            Some(co64) => (Fields::full(*b"co64", co64)?.0, 8),
            None => (Fields::full(*b"stco", required(STBL, stbl, *b"stco")?)?.0, 4),
        };
        Ok(Self {
            to_chunk: stsc.table(12)?,
            to_chunk_at: 0,
            samples_per_chunk: 0,
            offsets: offsets.table(offset_bytes)?,
            offset_bytes,
            index: 0,
        })
    }

    /// The next chunk's offset and count of samples.
    fn next(&mut self) -> Result<(u64, u32), Error> {
        let start = self.index * self.offset_bytes;
        let offset = self.offsets.get(start..start + self.offset_bytes);
        let offset = offset.ok_or(Error::Truncated(FourCc(*b"stco")))?;
        let offset = offset.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        self.index += 1;
        while let Some(&entry) = self
            .to_chunk
            .get(self.to_chunk_at..)
            .and_then(<[u8]>::first_chunk::<8>)
        {
            let [f0, f1, f2, f3, count @ ..] = entry;
            if u32::from_be_bytes([f0, f1, f2, f3]) as usize > self.index {
                break;
            }
            self.samples_per_chunk = u32::from_be_bytes(count);
            self.to_chunk_at += 12;
        }
        Ok((offset, self.samples_per_chunk))
    }
}
