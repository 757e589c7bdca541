//! The tables that tell what is in the stream (ITU-T H.222.0 sections 2.4.4.3 and 2.4.4.8).

use super::packet::Pid;
use crate::media::Codec;
use bytes::{BufMut, BytesMut};

/// The only program's number.
const PROGRAM: u16 = 1;

/// The program association section, which names the PMT's PID.
pub(super) fn pat(pmt: Pid) -> Vec<u8> {
    let mut body = BytesMut::new();
    body.put_u16(PROGRAM);
    body.put_u16(0xe000 | pmt.number());
    section(0, 1, 0, &body) // table_id, transport_stream_id
}

/// The program map section; `version` has 5 bits.
pub(super) fn pmt(version: u8, pcr: Pid, streams: &[(Codec, Pid)]) -> Vec<u8> {
    let mut body = BytesMut::new();
    body.put_u16(0xe000 | pcr.number());
    body.put_u16(0xf000); // program_info_length
    for (codec, pid) in streams {
        let (stream_type, descriptors): (u8, &[u8]) = match codec {
            Codec::H264 => (0x1b, &[]),
            Codec::H265 => (0x24, b"\x05\x04HEVC"), // registration_descriptor
            // ADTS; nothing else comes here.
            Codec::Aac | Codec::G711 => (0x0f, &[]),
        };
        body.put_u8(stream_type);
        body.put_u16(0xe000 | pid.number());
        body.put_u16(0xf000 | descriptors.len() as u16);
        body.put_slice(descriptors);
    }
    section(2, PROGRAM, version, &body)
}

/// A whole section: table header, body, CRC.
fn section(table_id: u8, extension: u16, version: u8, body: &[u8]) -> Vec<u8> {
    const HEAD_AND_CRC_BYTES: u16 = 5 + 4;
    let mut out = Vec::with_capacity(body.len() + 12);
    out.put_u8(table_id);
    out.put_u16(0xb000 | (body.len() as u16 + HEAD_AND_CRC_BYTES));
    out.put_u16(extension);
    out.put_slice(&[0xc1 | (version & 31) << 1, 0, 0]); // version, current; section 0 of 0
    out.put_slice(body);
    out.put_u32(crc32(&out));
    out
}

/// The CRC of annex A: polynomial 0x04c11db7, all ones at first, neither reflected nor inverted.
fn crc32(data: &[u8]) -> u32 {
    data.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| {
            if crc >> 31 == 1 {
                crc << 1 ^ 0x04c1_1db7
            } else {
                crc << 1
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_is_that_of_the_catalogue() {
        // CRC-32/MPEG-2, check value of "123456789"
        assert_eq!(crc32(b"123456789"), 0x0376_e6e7);
    }

    #[test]
    fn a_section_with_its_crc_sums_to_zero() {
        let streams = [(Codec::H265, Pid::new(0x100)), (Codec::Aac, Pid::new(0x101))];
        for section in [pat(Pid::new(0x1000)), pmt(31, Pid::new(0x100), &streams)] {
            assert_eq!(crc32(&section), 0);
            let length = u16::from_be_bytes([section[1], section[2]]) & 0xfff;
            assert_eq!(usize::from(length) + 3, section.len());
        }
    }
}
