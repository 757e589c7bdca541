//! The RTP header (RFC 3550 section 5.1), its CSRC list, extension and padding.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |V=2|P|X|  CC   |M|     PT      |       sequence number         |
//! |                           timestamp                           |
//! |           synchronization source (SSRC) identifier            |
//! |            contributing sources, CC of them (CSRC)            |
//! |      if X: profile (16 bits)  |  length in words (16 bits)    |
//! |      if X: that many words                                    |
//! |  payload ...          if P: padding, its last byte the length |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```
//!
//! What is inside the payload is the business of the modules beside this one.

use bytes::{Buf, BufMut, Bytes};

/// Bytes of a header without CSRC list and extension; the only kind we write.
pub const HEADER_LENGTH: usize = 12;

/// A packet that no tolerance makes sense of. The peer's fault, each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("RTP packet of {length} bytes is shorter than its header")]
    Truncated { length: usize },
    #[error("RTP version {version}, not 2")]
    Version { version: u8 },
    #[error("RTP packet {sequence_number}: CSRC list or header extension goes {excess} bytes past the end")]
    Overrun { sequence_number: u16, excess: usize },
    #[error("RTP packet {sequence_number}: {padding} bytes of padding in {available} bytes of payload")]
    Padding {
        sequence_number: u16,
        padding: u8,
        available: usize,
    },
}

/// The fields of the fixed header that mean something to a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The last packet of an access unit for video and AAC; the start of a talkspurt for G.711.
    pub marker: bool,
    /// 0 to 127.
    pub payload_type: u8,
    pub sequence_number: u16,
    /// In ticks of the track's clock rate, from a random origin, modulo 2^32.
    pub timestamp: u32,
    pub ssrc: u32,
}

impl Header {
    /// Appends the 12 bytes of a header without CSRC list, extension and padding.
    pub fn write(&self, out: &mut impl BufMut) {
        let mut bytes = [0; HEADER_LENGTH];
        bytes[0] = 2 << 6;
        bytes[1] = (u8::from(self.marker) << 7) | (self.payload_type & 0x7f);
        bytes[2..4].copy_from_slice(&self.sequence_number.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        out.put_slice(&bytes);
    }
}

/// A received packet: its header and its payload, which shares the buffer it was parsed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub header: Header,
    /// Without CSRC list, extension and padding. May be empty: some cameras keep the path through
    /// a firewall open that way.
    pub payload: Bytes,
}

impl Packet {
    /// Parses one whole packet, as a datagram or an interleaved frame carries it.
    ///
    /// # Errors
    /// If a length inside the packet contradicts its size, or if it is not RTP version 2.
    pub fn parse(mut data: Bytes) -> Result<Self, Error> {
        let Some(fixed) = data.first_chunk::<HEADER_LENGTH>() else {
            return Err(Error::Truncated { length: data.len() });
        };
        let version = fixed[0] >> 6;
        if version != 2 {
            return Err(Error::Version { version });
        }
        let header = Header {
            marker: fixed[1] & 0x80 != 0,
            payload_type: fixed[1] & 0x7f,
            sequence_number: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
        };
        let length = data.len();
        let overrun = |start: usize| Error::Overrun {
            sequence_number: header.sequence_number,
            excess: start.saturating_sub(length),
        };
        let mut start = HEADER_LENGTH + 4 * usize::from(fixed[0] & 0x0f);
        if fixed[0] & 0x10 != 0 {
            let Some(extension) = data.get(start..start + 4) else {
                return Err(overrun(start + 4));
            };
            start += 4 + 4 * usize::from(u16::from_be_bytes([extension[2], extension[3]]));
        }
        if start > data.len() {
            return Err(overrun(start));
        }
        let mut end = data.len();
        if fixed[0] & 0x20 != 0 {
            let available = end - start;
            // Padding of 0 is against the letter (the count includes itself), and harmless.
            let padding = if available == 0 { 0 } else { data[end - 1] };
            if usize::from(padding) > available {
                let sequence_number = header.sequence_number;
                return Err(Error::Padding {
                    sequence_number,
                    padding,
                    available,
                });
            }
            end -= usize::from(padding);
        }
        data.truncate(end);
        data.advance(start);
        Ok(Self {
            header,
            payload: data,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header {
        marker: true,
        payload_type: 96,
        sequence_number: 0xfffe,
        timestamp: 0x0102_0304,
        ssrc: 0xdead_beef,
    };

    #[test]
    fn what_is_written_is_parsed() {
        let mut out = Vec::new();
        HEADER.write(&mut out);
        assert_eq!(out, [0x80, 0xe0, 0xff, 0xfe, 1, 2, 3, 4, 0xde, 0xad, 0xbe, 0xef]);
        out.extend_from_slice(b"payload");
        let packet = Packet::parse(out.into()).unwrap();
        assert_eq!(packet.header, HEADER);
        assert_eq!(&packet.payload[..], b"payload");
    }

    #[test]
    fn csrc_extension_and_padding_are_taken_off() {
        let mut data = vec![0x80 | 0x20 | 0x10 | 2, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        data.extend_from_slice(&[9; 8]); // two CSRCs
        data.extend_from_slice(&[0xbe, 0xde, 0, 1, 1, 2, 3, 4]); // one word of extension
        data.extend_from_slice(&[0x65, 0x66, 0, 0, 3]); // payload, then 3 bytes of padding
        let packet = Packet::parse(data.into()).unwrap();
        assert_eq!(&packet.payload[..], [0x65, 0x66]);
    }

    #[test]
    fn contradicting_lengths_are_refused() {
        let fixed = |first: u8| vec![first, 96, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(
            Packet::parse(vec![0x80; 11].into()),
            Err(Error::Truncated { length: 11 })
        );
        assert_eq!(
            Packet::parse(fixed(0x40).into()),
            Err(Error::Version { version: 1 })
        );
        let csrc = Packet::parse(fixed(0x8f).into());
        assert_eq!(
            csrc,
            Err(Error::Overrun {
                sequence_number: 7,
                excess: 60
            })
        );
        let no_extension = Packet::parse(fixed(0x90).into());
        assert_eq!(
            no_extension,
            Err(Error::Overrun {
                sequence_number: 7,
                excess: 4
            })
        );
        let mut long_extension = fixed(0x90);
        long_extension.extend_from_slice(&[0, 0, 0xff, 0xff]);
        let excess = 4 * 0xffff;
        assert_eq!(
            Packet::parse(long_extension.into()),
            Err(Error::Overrun {
                sequence_number: 7,
                excess
            })
        );
        let mut padding = fixed(0xa0);
        padding.extend_from_slice(&[1, 2, 4]);
        let refused = Error::Padding {
            sequence_number: 7,
            padding: 4,
            available: 3,
        };
        assert_eq!(Packet::parse(padding.into()), Err(refused));
    }

    #[test]
    fn an_empty_payload_is_a_packet() {
        let packet = Packet::parse(vec![0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0].into()).unwrap();
        assert!(packet.payload.is_empty());
    }
}
