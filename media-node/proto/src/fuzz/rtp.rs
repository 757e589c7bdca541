//! RTP and RTCP packets, and packets put together again.

use crate::media::codec::nal;
use crate::rtp::{Depacketizer, Header, JitterBuffer, Packet};
use crate::{rtcp, sdp};
use bytes::{Buf, Bytes};
use std::time::Duration;

/// A header that is parsed is the one that would be written.
pub(super) fn rtp_packet(data: &[u8]) {
    let Ok(packet) = Packet::parse(Bytes::copy_from_slice(data)) else {
        return;
    };
    assert!(packet.payload.len() + 12 <= data.len());
    let mut out = Vec::new();
    packet.header.write(&mut out);
    out.extend_from_slice(&packet.payload);
    assert_eq!(Packet::parse(out.into()), Ok(packet));
}

/// Reports hold no more than their bytes can, and ours survive.
pub(super) fn rtcp(data: &[u8]) {
    let Ok(packets) = rtcp::parse(data) else { return };
    assert!(packets.len() * 4 <= data.len());
    for packet in packets {
        if let rtcp::Packet::SenderReport(report, _) = packet {
            let mut out = bytes::BytesMut::new();
            report.write("name", &mut out);
            let again = rtcp::parse(&out).expect("our own report");
            assert_eq!(again[0], rtcp::Packet::SenderReport(report, vec![]));
        }
    }
}

pub(super) fn rtp_depacketize_h264(data: &[u8]) {
    depacketize("video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000", data, true);
}

pub(super) fn rtp_depacketize_h265(data: &[u8]) {
    depacketize("video 0 RTP/AVP 96\r\na=rtpmap:96 H265/90000", data, true);
}

pub(super) fn rtp_depacketize_aac(data: &[u8]) {
    let aac = "audio 0 RTP/AVP 96\r\na=rtpmap:96 mpeg4-generic/48000/2\r\na=fmtp:96 ";
    depacketize(&format!("{aac}mode=AAC-hbr;config=1190"), data, false);
    depacketize(
        &format!("{aac}mode=AAC-hbr;sizelength=16;indexlength=0;config=1190"),
        data,
        false,
    );
}

pub(super) fn rtp_depacketize_latm(data: &[u8]) {
    let latm =
        "audio 0 RTP/AVP 96\r\na=rtpmap:96 MP4A-LATM/44100\r\na=fmtp:96 cpresent=0;config=40002410adca00";
    depacketize(latm, data, false);
}

/// Packets, and how they follow each other:
///
/// ```text
/// ( control: u8 | length: u16, modulo 2048 | payload )*
/// control   0x80 marker, 0x40 timestamp goes on, 0x20 timestamp jumps, 0x10 another source,
///           0x0f sequence number less 1: how far on, and 15 means back
/// ```
fn packets(mut data: &[u8]) -> Vec<Packet> {
    let mut packets = Vec::new();
    let mut header = Header {
        marker: false,
        payload_type: 96,
        sequence_number: 0xfff0,
        timestamp: 0xffff_0000,
        ssrc: 1,
    };
    while data.remaining() >= 3 && packets.len() < 500 {
        let control = data.get_u8();
        let length = usize::from(data.get_u16() & 0x7ff).min(data.len());
        header.marker = control & 0x80 != 0;
        if control & 0x40 != 0 {
            header.timestamp = header.timestamp.wrapping_add(3000);
        }
        if control & 0x20 != 0 {
            header.timestamp = header
                .timestamp
                .wrapping_mul(0x9e37_79b9)
                .wrapping_add(length as u32);
        }
        if control & 0x10 != 0 {
            header.ssrc = header.ssrc.wrapping_add(1);
        }
        let step = match control & 0x0f {
            15 => u16::MAX,
            step => u16::from(step) + 1,
        };
        header.sequence_number = header.sequence_number.wrapping_add(step);
        packets.push(Packet {
            header,
            payload: Bytes::copy_from_slice(&data[..length]),
        });
        data.advance(length);
    }
    packets
}

/// Whatever comes, decoding times do not go back unless the clock jumps, pictures are whole NAL
/// units, and nothing comes out that did not go in.
fn depacketize(media: &str, data: &[u8], video: bool) {
    let description = sdp::parse(format!("v=0\r\nm={media}\r\n").as_bytes()).expect("our own description");
    let mut depacketizer = Depacketizer::new(&description.media[0]).expect("a known format");
    let packets = packets(data);
    let (mut bytes_in, mut bytes_out) = (0, 0);
    let mut last = None;
    for packet in &packets {
        bytes_in += packet.payload.len();
        let _ = depacketizer.push(packet);
        while let Some(unit) = depacketizer.pull() {
            assert!(unit.dts.ticks() <= unit.pts.ticks());
            let second = i64::from(unit.pts.clock_rate());
            assert!(
                last.is_none_or(|last: i64| { unit.dts.ticks() >= last || unit.pts.ticks() < last - second })
            );
            last = Some(unit.dts.ticks());
            if video {
                let units: Vec<_> = nal::units(&unit.data).collect();
                bytes_out += units.iter().map(|unit| unit.len()).sum::<usize>();
                assert_eq!(
                    units.iter().map(|unit| unit.len() + 4).sum::<usize>(),
                    unit.data.len()
                );
                assert!(!units.is_empty());
            } else {
                bytes_out += unit.data.len();
            }
        }
    }
    assert!(bytes_out <= bytes_in);
    let statistics = depacketizer.statistics();
    assert_eq!(statistics.packets + statistics.ignored, packets.len() as u64);
    jitter(packets);
}

/// A jitter buffer gives out what it took, less what came late, and holds no more than its bound.
fn jitter(packets: Vec<Packet>) {
    const BOUND: usize = 8;
    let mut buffer = JitterBuffer::new(BOUND, Duration::from_millis(20));
    let taken = packets.len() as u64;
    let mut given = 0;
    for (i, packet) in (0_u32..).zip(packets) {
        let now = Duration::from_millis(5) * i;
        buffer.push(now, packet);
        while buffer.pop(now).is_some() {
            given += 1;
        }
        assert!(buffer.deadline().is_none_or(|deadline| deadline > now));
    }
    while buffer.pop(Duration::from_hours(1)).is_some() {
        given += 1;
    }
    assert_eq!(given + buffer.late(), taken);
}
