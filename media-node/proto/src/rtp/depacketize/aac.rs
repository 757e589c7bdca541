//! The payload format of AAC (RFC 3640).
//!
//! ```text
//! | AU headers, in bits: 16 | AU header ... | padding to a byte | AU ...        |
//!                           | size | index  |                   | or a fragment |
//! ```

use super::{Assembled, Fault};
use crate::media::codec::aac::{Parameters, adts};
use crate::sdp::fmtp::AuHeader;
use bytes::{Buf, Bytes, BytesMut};

/// Access units in one packet; encoders put a handful.
const MAX_UNITS: usize = 64;

#[derive(Debug)]
pub(super) struct Aac {
    header: AuHeader,
    /// Ticks of the track's clock that one access unit lasts.
    duration: i64,
    fragment: Option<Fragment>,
    /// The timestamp of an access unit that misses a fragment.
    skip: Option<i64>,
    damaged_count: u32,
}

#[derive(Debug)]
struct Fragment {
    timestamp: i64,
    size: usize,
    data: BytesMut,
}

impl Aac {
    pub(super) fn new(parameters: &Parameters, header: AuHeader, clock_rate: u32) -> Self {
        Self {
            header,
            duration: duration(parameters, clock_rate),
            fragment: None,
            skip: None,
            damaged_count: 0,
        }
    }

    /// Access units left out since the last call.
    pub(super) const fn take_damaged(&mut self) -> u32 {
        std::mem::replace(&mut self.damaged_count, 0)
    }

    /// Packets are missing in front of the next one.
    pub(super) fn lose(&mut self) {
        if let Some(fragment) = self.fragment.take() {
            self.skip = Some(fragment.timestamp);
            self.damaged_count += 1;
        }
    }

    pub(super) fn push(
        &mut self,
        timestamp: i64,
        payload: &Bytes,
        out: &mut Vec<Assembled>,
    ) -> Result<(), Fault> {
        let Some((length, rest)) = payload.split_first_chunk::<2>() else {
            return Err(Fault::Malformed("payload shorter than its AU header length"));
        };
        let bits = usize::from(u16::from_be_bytes(*length));
        let header_bytes = bits.div_ceil(8);
        let Some(headers) = rest.get(..header_bytes) else {
            return Err(Fault::Malformed("AU headers are longer than their packet"));
        };
        let mut data = payload.slice(2 + header_bytes..);
        let mut reader = Bits {
            data: headers,
            position: 0,
            end: bits,
        };
        let mut at = timestamp;
        let mut any = false;
        for count in 0.. {
            let index_bits = if count == 0 {
                self.header.index_bits
            } else {
                self.header.index_delta_bits
            };
            if reader.left() < usize::from(self.header.size_bits + index_bits) {
                break;
            }
            let size = reader.take(self.header.size_bits);
            let index = reader.take(index_bits);
            // The first index counts from anything; a further one that is not 0 leaves room for
            // access units of other packets.
            if count > 0 && index != 0 {
                return Err(Fault::Unsupported("interleaving"));
            }
            if size == 0 || count == MAX_UNITS {
                return Err(Fault::Malformed("AU header of an empty access unit, or too many"));
            }
            if size > data.len() {
                // Only a lone access unit may be in pieces (section 3.2.3).
                if count > 0 {
                    return Err(Fault::Malformed("access unit is longer than its packet"));
                }
                return self.fragment(at, size, &data, out);
            }
            // A fragment that never got its rest.
            self.lose();
            out.push(assembled(at, data.split_to(size)));
            at = at.saturating_add(self.duration);
            any = true;
        }
        if !any {
            return Err(Fault::Malformed("no AU header"));
        }
        Ok(())
    }

    fn fragment(
        &mut self,
        timestamp: i64,
        size: usize,
        data: &[u8],
        out: &mut Vec<Assembled>,
    ) -> Result<(), Fault> {
        if self
            .fragment
            .as_ref()
            .is_some_and(|f| f.timestamp != timestamp || f.size != size)
        {
            self.lose();
        }
        if self.skip == Some(timestamp) {
            return Ok(());
        }
        let fragment = self.fragment.get_or_insert_with(|| Fragment {
            timestamp,
            size,
            data: BytesMut::new(),
        });
        if fragment.data.len() + data.len() > size {
            self.lose();
            return Err(Fault::Malformed("fragments are longer than their access unit"));
        }
        fragment.data.extend_from_slice(data);
        if fragment.data.len() == size
            && let Some(fragment) = self.fragment.take()
        {
            out.push(assembled(fragment.timestamp, fragment.data.freeze()));
        }
        Ok(())
    }
}

/// Ticks of the track's clock that one access unit lasts.
pub(super) fn duration(parameters: &Parameters, clock_rate: u32) -> i64 {
    let samples = i64::from(parameters.samples_per_access_unit());
    samples * i64::from(clock_rate) / i64::from(parameters.sample_rate.max(1))
}

/// Some cameras leave the ADTS header on. No raw frame looks like one: its first element would be
/// the end (ISO/IEC 14496-3 section 4.4.2.1).
/// Copies: the hub keeps sounds for seconds, and a slice would keep the whole read buffer that it lies in.
pub(super) fn assembled(timestamp: i64, mut data: Bytes) -> Assembled {
    if let Ok(header) = adts::Header::parse(&data)
        && header.frame_bytes == data.len()
    {
        data.advance(header.header_bytes.min(data.len()));
    }
    Assembled {
        timestamp,
        keyframe: false,
        data: Bytes::copy_from_slice(&data),
        new_parameters: None,
    }
}

/// Reads numbers of up to 16 bits.
struct Bits<'a> {
    data: &'a [u8],
    position: usize,
    end: usize,
}

impl Bits<'_> {
    const fn left(&self) -> usize {
        self.end - self.position
    }

    /// The caller has looked at [`Self::left`].
    fn take(&mut self, bits: u8) -> usize {
        let mut value = 0;
        for _ in 0..bits {
            let byte = self.data.get(self.position / 8).copied().unwrap_or(0);
            value = value << 1 | usize::from(byte >> (7 - self.position % 8) & 1);
            self.position += 1;
        }
        value
    }
}
