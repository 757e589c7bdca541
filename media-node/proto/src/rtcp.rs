//! RTCP (RFC 3550 section 6): reports for what we send and receive, and what peers report.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! |V=2|P|  count  |  packet type  |  length in words, less one    |
//! |  SSRC of the sender                                           |
//! |  SR (200): NTP time (64), RTP timestamp, packets, bytes       |
//! |  SR and RR (201): count report blocks of 24 bytes             |
//! ```
//!
//! A datagram, or an interleaved packet, holds one or more of these in a row.

use bytes::{BufMut, BytesMut};
use std::time::Duration;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;
/// The SDES item that every report carries.
const CNAME: u8 = 1;
/// Packets in a row that are looked at; a compound has a handful.
const MAX_PACKETS: usize = 64;

/// A moment in NTP's format: seconds since 1900, 32 bits before and 32 behind the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NtpTime(pub u64);

impl NtpTime {
    /// From the time since 1970.
    pub const fn from_unix(since_epoch: Duration) -> Self {
        /// Seconds from 1900 to 1970.
        const OFFSET: u64 = 2_208_988_800;
        let fraction = ((since_epoch.subsec_nanos() as u64) << 32) / 1_000_000_000;
        Self((since_epoch.as_secs().wrapping_add(OFFSET) << 32) | fraction)
    }
}

/// What a sender says about its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderReport {
    pub ssrc: u32,
    pub ntp: NtpTime,
    /// The same moment in the stream's RTP timestamps.
    pub rtp_timestamp: u32,
    /// Packets sent, modulo 2^32.
    pub packets: u32,
    /// Bytes of payload sent, modulo 2^32.
    pub payload_bytes: u32,
}

impl SenderReport {
    /// Appends this report and a source description with the canonical name, which is cut at 255
    /// bytes.
    pub fn write(&self, cname: &str, out: &mut BytesMut) {
        out.put_slice(&[2 << 6, SENDER_REPORT]);
        out.put_u16(6);
        out.put_u32(self.ssrc);
        out.put_u64(self.ntp.0);
        out.put_u32(self.rtp_timestamp);
        out.put_u32(self.packets);
        out.put_u32(self.payload_bytes);
        write_description(self.ssrc, cname, out);
    }
}

/// Appends a source description with the canonical name, which is cut at 255 bytes.
fn write_description(ssrc: u32, cname: &str, out: &mut BytesMut) {
    let cname = &cname.as_bytes()[..cname.floor_char_boundary(255)];
    // SSRC, item header, text, and at least one zero that ends the list.
    let words = (4 + 2 + cname.len()) / 4 + 1;
    let start = out.len();
    out.put_slice(&[(2 << 6) | 1, SOURCE_DESCRIPTION]);
    out.put_u16(words as u16);
    out.put_u32(ssrc);
    out.put_slice(&[CNAME, cname.len() as u8]);
    out.put_slice(cname);
    out.resize(start + 4 + 4 * words, 0);
}

/// Appends a receiver report about one source, by the receiver `ssrc`, and a source description with
/// its canonical name.
pub fn write_receiver_report(ssrc: u32, block: &ReportBlock, cname: &str, out: &mut BytesMut) {
    /// The range of 24 bits with a sign (RFC 3550 section 6.4.1).
    const MOST_LOST: i32 = (1 << 23) - 1;
    let lost = block.lost.clamp(-MOST_LOST - 1, MOST_LOST) as u32 & 0x00ff_ffff;
    out.put_slice(&[(2 << 6) | 1, RECEIVER_REPORT]);
    out.put_u16(7);
    out.put_u32(ssrc);
    out.put_u32(block.ssrc);
    out.put_u32(u32::from(block.fraction_lost) << 24 | lost);
    out.put_u32(block.highest);
    out.put_u32(block.jitter);
    out.put_u32(block.last_sender_report);
    out.put_u32(block.since_last_sender_report);
    write_description(ssrc, cname, out);
}

/// What a receiver says about one source (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportBlock {
    pub ssrc: u32,
    /// Of 256 packets since the report before.
    pub fraction_lost: u8,
    /// In all; negative if packets came twice. 24 bits.
    pub lost: i32,
    /// Extended highest sequence number.
    pub highest: u32,
    /// In ticks of the source's clock.
    pub jitter: u32,
    /// The middle 32 bits of the NTP time of the last sender report, and the time since then in
    /// 1/65536 s.
    pub last_sender_report: u32,
    pub since_last_sender_report: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    SenderReport(SenderReport, Vec<ReportBlock>),
    ReceiverReport {
        ssrc: u32,
        reports: Vec<ReportBlock>,
    },
    /// Of the first source; other items than the canonical name are skipped.
    SourceDescription {
        ssrc: u32,
        cname: Option<String>,
    },
    /// These sources send no more.
    Goodbye {
        ssrcs: Vec<u32>,
    },
    /// One that we have no use for: APP, feedback, extended reports.
    Other {
        packet_type: u8,
    },
}

/// What is no RTCP. The peer's fault; offsets are within the datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("byte {offset}: RTCP packet ends early")]
    Truncated { offset: usize },
    #[error("byte {offset}: RTCP version {version}, not 2")]
    Version { offset: usize, version: u8 },
    #[error("byte {offset}: RTCP padding of {padding} bytes")]
    Padding { offset: usize, padding: u8 },
    #[error("byte {offset}: more than {MAX_PACKETS} RTCP packets in one")]
    TooMany { offset: usize },
}

/// Takes a datagram apart.
///
/// # Errors
/// If a length inside contradicts its size, or if it is not RTCP.
pub fn parse(data: &[u8]) -> Result<Vec<Packet>, Error> {
    let mut packets = Vec::new();
    let mut offset = 0;
    while offset < data.len() {
        if packets.len() == MAX_PACKETS {
            return Err(Error::TooMany { offset });
        }
        let truncated = Error::Truncated { offset };
        let header = data[offset..].first_chunk::<4>().ok_or(truncated)?;
        let version = header[0] >> 6;
        if version != 2 {
            return Err(Error::Version { offset, version });
        }
        let length = 4 * usize::from(u16::from_be_bytes([header[2], header[3]]));
        let mut body = data.get(offset + 4..offset + 4 + length).ok_or(truncated)?;
        if header[0] & 0x20 != 0 {
            let padding = body.last().copied().unwrap_or(0);
            let left = body
                .len()
                .checked_sub(usize::from(padding))
                .filter(|_| padding > 0);
            body = &body[..left.ok_or(Error::Padding { offset, padding })?];
        }
        packets.push(packet(header[1], header[0] & 0x1f, body).ok_or(truncated)?);
        offset += 4 + length;
    }
    Ok(packets)
}

/// `None` if the body is too short for its type and count.
fn packet(packet_type: u8, count: u8, mut body: &[u8]) -> Option<Packet> {
    Some(match packet_type {
        SENDER_REPORT => {
            let ssrc = u32(&mut body)?;
            let ntp = NtpTime((u64::from(u32(&mut body)?) << 32) | u64::from(u32(&mut body)?));
            let rtp_timestamp = u32(&mut body)?;
            let (packets, payload_bytes) = (u32(&mut body)?, u32(&mut body)?);
            let report = SenderReport {
                ssrc,
                ntp,
                rtp_timestamp,
                packets,
                payload_bytes,
            };
            Packet::SenderReport(report, blocks(count, body)?)
        }
        RECEIVER_REPORT => Packet::ReceiverReport {
            ssrc: u32(&mut body)?,
            reports: blocks(count, body)?,
        },
        SOURCE_DESCRIPTION if count > 0 => {
            let ssrc = u32(&mut body)?;
            Packet::SourceDescription {
                ssrc,
                cname: cname(body)?,
            }
        }
        GOODBYE => {
            let ssrcs = (0..count).map(|_| u32(&mut body)).collect::<Option<_>>()?;
            Packet::Goodbye { ssrcs }
        }
        packet_type => Packet::Other { packet_type },
    })
}

fn blocks(count: u8, mut body: &[u8]) -> Option<Vec<ReportBlock>> {
    let block = |_| {
        let ssrc = u32(&mut body)?;
        let loss = u32(&mut body)?;
        Some(ReportBlock {
            ssrc,
            fraction_lost: (loss >> 24) as u8,
            // The sign is that of 24 bits.
            lost: ((loss << 8) as i32) >> 8,
            highest: u32(&mut body)?,
            jitter: u32(&mut body)?,
            last_sender_report: u32(&mut body)?,
            since_last_sender_report: u32(&mut body)?,
        })
    };
    (0..count).map(block).collect()
}

/// The canonical name among the items of a chunk. The outer `None` is a chunk that ends early.
#[expect(clippy::option_option, reason = "a chunk may be fine and have no name")]
fn cname(mut items: &[u8]) -> Option<Option<String>> {
    loop {
        let (&kind, rest) = items.split_first()?;
        if kind == 0 {
            return Some(None);
        }
        let (&length, rest) = rest.split_first()?;
        let text = rest.get(..usize::from(length))?;
        if kind == CNAME {
            return Some(Some(String::from_utf8_lossy(text).into_owned()));
        }
        items = &rest[usize::from(length)..];
    }
}

fn u32(body: &mut &[u8]) -> Option<u32> {
    let (number, rest) = body.split_first_chunk::<4>()?;
    *body = rest;
    Some(u32::from_be_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: SenderReport = SenderReport {
        ssrc: 0x0102_0304,
        ntp: NtpTime(0xe000_0000_8000_0000),
        rtp_timestamp: 90_000,
        packets: 10,
        payload_bytes: 14_000,
    };

    #[test]
    fn golden_bytes_of_a_sender_report() {
        let mut out = BytesMut::new();
        REPORT.write("weir", &mut out);
        #[rustfmt::skip]
        assert_eq!(out[..], [
            0x80, 200, 0, 6, 1, 2, 3, 4, 0xe0, 0, 0, 0, 0x80, 0, 0, 0, 0, 1, 0x5f, 0x90,
            0, 0, 0, 10, 0, 0, 0x36, 0xb0,
            0x81, 202, 0, 3, 1, 2, 3, 4, 1, 4, b'w', b'e', b'i', b'r', 0, 0,
        ]);
    }

    #[test]
    fn what_is_written_is_parsed_for_names_of_all_lengths() {
        for length in 0..260 {
            let mut out = BytesMut::new();
            let name = "x".repeat(length);
            REPORT.write(&name, &mut out);
            assert_eq!(out.len() % 4, 0);
            let cname = Some("x".repeat(length.min(255)));
            let expected = [
                Packet::SenderReport(REPORT, vec![]),
                Packet::SourceDescription {
                    ssrc: REPORT.ssrc,
                    cname,
                },
            ];
            assert_eq!(parse(&out).unwrap(), expected);
        }
    }

    #[test]
    fn receiver_reports_come_back_as_they_were_written() {
        for (lost, read) in [(-2, -2), (7, 7), (i32::MAX, 0x7f_ffff), (i32::MIN, -0x80_0000)] {
            let block = ReportBlock {
                ssrc: 0x0102_0304,
                fraction_lost: 0x40,
                lost,
                highest: 0x0001_0005,
                jitter: 7,
                last_sender_report: 0x8000,
                since_last_sender_report: 0x1_0000,
            };
            let mut out = BytesMut::new();
            write_receiver_report(9, &block, "weir", &mut out);
            let expected = [
                Packet::ReceiverReport {
                    ssrc: 9,
                    reports: vec![ReportBlock { lost: read, ..block }],
                },
                Packet::SourceDescription {
                    ssrc: 9,
                    cname: Some("weir".into()),
                },
            ];
            assert_eq!(parse(&out).unwrap(), expected);
        }
    }

    #[test]
    fn a_compound_of_a_receiver() {
        #[rustfmt::skip]
        let data = [
            0x81, 201, 0, 7, 0, 0, 0, 9,
            1, 2, 3, 4, 0x40, 0xff, 0xff, 0xfe, 0, 1, 0, 5, 0, 0, 0, 7, 0, 0, 0x80, 0, 0, 1, 0, 0,
            0x81, 202, 0, 3, 0, 0, 0, 9, 2, 1, b'n', 1, 2, b'm', b'e', 0,
            0xa1, 206, 0, 2, 0, 0, 0, 9, 0, 0, 0, 4,
            0x81, 203, 0, 1, 0, 0, 0, 9,
        ];
        let block = ReportBlock {
            ssrc: 0x0102_0304,
            fraction_lost: 0x40,
            lost: -2,
            highest: 0x0001_0005,
            jitter: 7,
            last_sender_report: 0x8000,
            since_last_sender_report: 0x1_0000,
        };
        let expected = [
            Packet::ReceiverReport {
                ssrc: 9,
                reports: vec![block],
            },
            Packet::SourceDescription {
                ssrc: 9,
                cname: Some("me".into()),
            },
            Packet::Other { packet_type: 206 },
            Packet::Goodbye { ssrcs: vec![9] },
        ];
        assert_eq!(parse(&data).unwrap(), expected);
        assert_eq!(parse(&[]).unwrap(), []);
    }

    #[test]
    fn contradicting_lengths_are_refused() {
        let cases: [(&[u8], Error); 9] = [
            (&[0x80, 200, 0], Error::Truncated { offset: 0 }),
            (&[0x80, 200, 0, 6, 1], Error::Truncated { offset: 0 }),
            (&[0x80, 200, 0, 1, 0, 0, 0, 1], Error::Truncated { offset: 0 }),
            (&[0x9f, 201, 0, 1, 0, 0, 0, 1], Error::Truncated { offset: 0 }),
            (&[0x82, 203, 0, 1, 0, 0, 0, 1], Error::Truncated { offset: 0 }),
            (
                &[0x81, 202, 0, 2, 0, 0, 0, 1, 1, 9, 0, 0],
                Error::Truncated { offset: 0 },
            ),
            (
                &[0x80, 204, 0, 0, 0x00, 204, 0, 0],
                Error::Version {
                    offset: 4,
                    version: 0,
                },
            ),
            (
                &[0xa0, 204, 0, 1, 0, 0, 0, 5],
                Error::Padding {
                    offset: 0,
                    padding: 5,
                },
            ),
            (
                &[0xa0, 204, 0, 0],
                Error::Padding {
                    offset: 0,
                    padding: 0,
                },
            ),
        ];
        for (data, error) in cases {
            assert_eq!(parse(data), Err(error), "{data:?}");
        }
        let many = [0x80, 204, 0, 0].repeat(MAX_PACKETS + 1);
        assert_eq!(
            parse(&many),
            Err(Error::TooMany {
                offset: 4 * MAX_PACKETS
            })
        );
    }

    #[test]
    fn ntp_counts_from_1900() {
        assert_eq!(NtpTime::from_unix(Duration::ZERO).0 >> 32, 2_208_988_800);
        let half = NtpTime::from_unix(Duration::from_millis(500));
        assert_eq!(half.0 & 0xffff_ffff, 1 << 31);
    }
}
