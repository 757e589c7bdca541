//! Transport stream packets (ITU-T H.222.0 sections 2.4.3.2 and 2.4.3.4).
//!
//! ```text
//! 0x47   error 1, payload_unit_start 1, priority 1, PID 13   scrambling 2, adaptation_field_control 2,
//! continuity_counter 4   adaptation field: length u8, flags u8, PCR 48, stuffing   payload
//! ```

use bytes::{BufMut, BytesMut};

/// Bytes of a packet.
pub const PACKET_BYTES: usize = 188;
const HEADER_BYTES: usize = 4;
const PAYLOAD_BYTES: usize = PACKET_BYTES - HEADER_BYTES;
const SYNC_BYTE: u8 = 0x47;
/// Flags of the adaptation field.
const DISCONTINUITY: u8 = 0x80;
const RANDOM_ACCESS: u8 = 0x40;
const PCR: u8 = 0x10;

/// A packet identifier and its continuity counter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pid {
    number: u16,
    continuity: u8,
}

/// What the first packet of a payload unit tells besides.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Marks {
    pub(super) random_access: bool,
    /// Ticks of 90 kHz; only the lowest 33 bits count.
    pub(super) pcr_90k: Option<u64>,
}

impl Pid {
    pub(super) const fn new(number: u16) -> Self {
        Self {
            number,
            continuity: 0,
        }
    }

    pub(super) const fn number(self) -> u16 {
        self.number
    }

    fn header(&mut self, unit_start: bool, adaptation_field: bool) -> [u8; HEADER_BYTES] {
        let [high, low] = self.number.to_be_bytes();
        let control = if adaptation_field { 0x30 } else { 0x10 };
        let header = [
            SYNC_BYTE,
            u8::from(unit_start) << 6 | high,
            low,
            control | self.continuity,
        ];
        self.continuity = (self.continuity + 1) & 15;
        header
    }
}

/// Spreads one payload unit of known size over packets, as its parts come.
pub(super) struct UnitWriter<'a> {
    pid: &'a mut Pid,
    out: &'a mut BytesMut,
    /// Bytes of the unit still to come.
    left: usize,
    /// Bytes of payload still free in the current packet.
    room: usize,
}

impl<'a> UnitWriter<'a> {
    /// Starts the first packet of a unit of `bytes`, at least 1.
    pub(super) fn new(pid: &'a mut Pid, bytes: usize, marks: Marks, out: &'a mut BytesMut) -> Self {
        out.reserve((bytes / (PAYLOAD_BYTES - 8) + 1) * PACKET_BYTES);
        let mut writer = Self {
            pid,
            out,
            left: bytes,
            room: 0,
        };
        writer.start_packet(true, marks);
        writer
    }

    /// Appends a part of the unit. The parts must add up to the size announced.
    pub(super) fn put(&mut self, mut part: &[u8]) {
        while !part.is_empty() {
            if self.room == 0 {
                self.start_packet(false, Marks::default());
            }
            let (now, later) = part.split_at(part.len().min(self.room));
            self.out.put_slice(now);
            self.room -= now.len();
            self.left -= now.len();
            part = later;
        }
    }

    fn start_packet(&mut self, unit_start: bool, marks: Marks) {
        let mut flags = 0;
        let mut field_bytes = 0;
        if marks.random_access {
            flags |= RANDOM_ACCESS;
            field_bytes = 2;
        }
        if marks.pcr_90k.is_some() {
            flags |= PCR;
            field_bytes = 8;
        }
        // The last packet of a unit is filled up in its adaptation field.
        field_bytes = field_bytes.max(PAYLOAD_BYTES.saturating_sub(self.left));
        self.out.put_slice(&self.pid.header(unit_start, field_bytes > 0));
        if field_bytes > 0 {
            self.out.put_u8(field_bytes as u8 - 1);
        }
        if field_bytes > 1 {
            self.out.put_u8(flags);
            let mut stuffing = field_bytes - 2;
            if let Some(pcr) = marks.pcr_90k {
                self.out.put_slice(&pcr_field(pcr));
                stuffing -= 6;
            }
            self.out.put_bytes(0xff, stuffing);
        }
        self.room = PAYLOAD_BYTES - field_bytes;
    }
}

/// Base 33 bits, reserved 6, extension 9 (ticks of 27 MHz, left 0).
fn pcr_field(pcr_90k: u64) -> [u8; 6] {
    let [_, _, bytes @ ..] = ((pcr_90k & 0x1_ffff_ffff) << 15 | 0x7e00).to_be_bytes();
    bytes
}

/// One packet with a clock reference and no payload, which the counter does not count (section
/// 2.4.3.3). `jumps`: it does not go on from the one before.
pub(super) fn write_clock(pid: Pid, pcr_90k: u64, jumps: bool, out: &mut BytesMut) {
    let [high, low] = pid.number.to_be_bytes();
    let last = pid.continuity.wrapping_sub(1) & 15;
    out.put_slice(&[SYNC_BYTE, high, low, 0x20 | last]);
    let discontinuity = if jumps { DISCONTINUITY } else { 0 };
    out.put_slice(&[PAYLOAD_BYTES as u8 - 1, discontinuity | PCR]);
    out.put_slice(&pcr_field(pcr_90k));
    out.put_bytes(0xff, PAYLOAD_BYTES - 8);
}

/// One packet for a section that fits it, filled up with 0xff.
pub(super) fn write_section(pid: &mut Pid, section: &[u8], out: &mut BytesMut) {
    out.put_slice(&pid.header(true, false));
    out.put_u8(0); // pointer_field
    out.put_slice(section);
    out.put_bytes(0xff, PAYLOAD_BYTES - 1 - section.len());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_fills_whole_packets_and_comes_back() {
        for bytes in 1..600 {
            for marks in [
                Marks::default(),
                Marks {
                    random_access: true,
                    pcr_90k: Some(1),
                },
                Marks {
                    random_access: true,
                    pcr_90k: None,
                },
            ] {
                let unit: Vec<u8> = (0..bytes).map(|i| i as u8).collect();
                let (mut pid, mut out) = (Pid::new(0x100), BytesMut::new());
                let mut writer = UnitWriter::new(&mut pid, bytes, marks, &mut out);
                for part in unit.chunks(7) {
                    writer.put(part);
                }
                assert_eq!(out.len() % PACKET_BYTES, 0, "{bytes} bytes, {marks:?}");
                let mut found: Vec<u8> = Vec::new();
                for (i, packet) in out.chunks(PACKET_BYTES).enumerate() {
                    assert_eq!((packet[0], packet[1] & 0x40 != 0, packet[2]), (0x47, i == 0, 0));
                    assert_eq!(usize::from(packet[3] & 15), i);
                    let field = if packet[3] & 0x20 != 0 {
                        1 + usize::from(packet[4])
                    } else {
                        0
                    };
                    found.extend(&packet[4 + field..]);
                }
                assert_eq!(found, unit);
            }
        }
    }

    #[test]
    fn the_clock_reference_keeps_33_bits() {
        assert_eq!(pcr_field(1), [0, 0, 0, 0, 0xfe, 0]);
        assert_eq!(pcr_field(u64::MAX), [0xff, 0xff, 0xff, 0xff, 0xfe, 0]);
    }
}
