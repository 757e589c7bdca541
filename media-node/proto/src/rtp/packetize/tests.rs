use super::*;
use crate::media::codec::{aac, g711, h264, h265};
use crate::rtp::Packet;
use bytes::Bytes;

fn h264_track() -> Track {
    let parameters = h264::Parameters {
        sps: Bytes::from_static(&[0x67, 0x42, 0, 0x1f, 1]),
        pps: Bytes::from_static(&[0x68, 0xce, 2]),
        width: 64,
        height: 64,
        frame_rate: None,
    };
    Track {
        codec: CodecParameters::H264(parameters),
        clock_rate: 90_000,
    }
}

fn h265_track() -> Track {
    let parameters = h265::Parameters {
        vps: Bytes::from_static(&[0x40, 1, 1]),
        sps: Bytes::from_static(&[0x42, 1, 2]),
        pps: Bytes::from_static(&[0x44, 1, 3]),
        width: 64,
        height: 64,
        frame_rate: None,
    };
    Track {
        codec: CodecParameters::H265(parameters),
        clock_rate: 90_000,
    }
}

fn unit(track: &Track, ticks: i64, keyframe: bool, data: Vec<u8>) -> AccessUnit {
    let pts = Timestamp::new(ticks, track.clock_rate);
    AccessUnit {
        track: 0,
        pts,
        dts: pts,
        keyframe,
        segment: None,
        data: data.into(),
    }
}

fn framed(nals: &[&[u8]]) -> Vec<u8> {
    nals.iter()
        .flat_map(|n| [&(n.len() as u32).to_be_bytes()[..], n].concat())
        .collect()
}

/// Packs one access unit and takes the packets apart again, checking framing as it goes.
fn packets(packetizer: &mut Packetizer, track: &Track, au: &AccessUnit, channel: Option<u8>) -> Vec<Packet> {
    let (mut out, mut ends) = (BytesMut::new(), Vec::new());
    out.put_slice(b"before");
    packetizer.packetize(track, au, channel, &mut out, &mut ends);
    let out = out.freeze();
    assert_eq!(ends.last().map_or(6, |e| *e as usize), out.len());
    let mut start = 6;
    let packets: Vec<_> = ends
        .iter()
        .map(|&end| {
            let mut packet = out.slice(start..end as usize);
            start = end as usize;
            if let Some(channel) = channel {
                let prefix = packet.split_to(4);
                assert_eq!(prefix[..2], [b'$', channel]);
                assert_eq!(
                    usize::from(u16::from_be_bytes([prefix[2], prefix[3]])),
                    packet.len()
                );
            }
            Packet::parse(packet).unwrap()
        })
        .collect();
    for packet in &packets {
        assert!(packet.payload.len() <= MAX_PAYLOAD);
    }
    packets
}

#[test]
fn golden_bytes_of_an_interleaved_h264_keyframe() {
    let track = h264_track();
    let mut packetizer = Packetizer::new(&track, 96, 0x0102_0304).with_sequence_number(0xffff);
    let au = unit(&track, 0x1_0000_0005, true, framed(&[&[0x65, 0xaa, 0xbb]]));
    let (mut out, mut ends) = (BytesMut::new(), Vec::new());
    packetizer.packetize(&track, &au, Some(2), &mut out, &mut ends);
    #[rustfmt::skip]
    let expected = [
        b'$', 2, 0, 30,
        0x80, 0xe0, 0xff, 0xff, 0, 0, 0, 5, 1, 2, 3, 4, // marker, number, timestamp modulo 2^32
        0x78, // STAP-A with the highest NRI
        0, 5, 0x67, 0x42, 0, 0x1f, 1,
        0, 3, 0x68, 0xce, 2,
        0, 3, 0x65, 0xaa, 0xbb,
    ];
    assert_eq!(out[..], expected);
    assert_eq!(ends, [34]);
    assert_eq!(packetizer.sequence_number(), 0);
}

#[test]
fn a_lone_small_nal_unit_is_a_single_nal_unit_packet() {
    let track = h264_track();
    let mut packetizer = Packetizer::new(&track, 96, 1);
    let packets = packets(
        &mut packetizer,
        &track,
        &unit(&track, 0, false, framed(&[&[0x41, 1, 2, 3]])),
        None,
    );
    assert_eq!(packets.len(), 1);
    assert_eq!(packets[0].payload[..], [0x41, 1, 2, 3]);
    assert!(packets[0].header.marker);
}

#[test]
fn a_large_h264_nal_unit_is_fragmented_behind_its_parameter_sets() {
    let track = h264_track();
    let mut packetizer = Packetizer::new(&track, 97, 1);
    let mut idr = vec![0x65];
    idr.extend((0..3000).map(|i| i as u8));
    let packets = packets(
        &mut packetizer,
        &track,
        &unit(&track, 9, true, framed(&[&[0x06, 5], &idr])),
        Some(0),
    );
    assert_eq!(packets.len(), 4);
    assert_eq!(packets[0].payload[0], 0x78, "STAP-A of SPS, PPS, SEI");
    let headers: Vec<_> = packets[1..]
        .iter()
        .map(|p| [p.payload[0], p.payload[1]])
        .collect();
    assert_eq!(headers, [[0x7c, 0x85], [0x7c, 0x05], [0x7c, 0x45]]);
    let rebuilt: Vec<u8> = packets[1..]
        .iter()
        .flat_map(|p| p.payload[2..].to_vec())
        .collect();
    assert_eq!(rebuilt, idr[1..]);
    let markers: Vec<_> = packets.iter().map(|p| p.header.marker).collect();
    assert_eq!(markers, [false, false, false, true]);
    let numbers: Vec<_> = packets.iter().map(|p| p.header.sequence_number).collect();
    assert_eq!(numbers, [0, 1, 2, 3]);
    assert!(
        packets
            .iter()
            .all(|p| p.header.timestamp == 9 && p.header.payload_type == 97)
    );
}

#[test]
fn without_aggregation_each_nal_unit_has_a_packet_of_its_own() {
    let h264: &[&[u8]] = &[&[0x06, 5], &[0x65, 0xaa, 0xbb]];
    let h265: &[&[u8]] = &[&[0x4e, 1, 5], &[0x26, 1, 0xaa]];
    for (track, units, first_bytes) in [
        (h264_track(), h264, &[0x67, 0x68, 0x06, 0x65][..]),
        (h265_track(), h265, &[0x40, 0x42, 0x44, 0x4e, 0x26][..]),
    ] {
        let mut packetizer = Packetizer::new(&track, 96, 1).without_aggregation();
        let au = unit(&track, 0, true, framed(units));
        let packets = packets(&mut packetizer, &track, &au, Some(0));
        let found: Vec<u8> = packets.iter().map(|packet| packet.payload[0]).collect();
        assert_eq!(found, first_bytes);
        for (packet, unit) in packets.iter().rev().zip(units.iter().rev()) {
            assert_eq!(packet.payload[..], **unit);
        }
        let marked = packets.iter().position(|packet| packet.header.marker);
        assert_eq!(marked, Some(packets.len() - 1));
    }
}

#[test]
fn sizes_around_the_limits_keep_every_byte() {
    let track = h264_track();
    for size in
        (MAX_PAYLOAD - 12..MAX_PAYLOAD + 12).chain(2 * (MAX_PAYLOAD - 2) - 3..2 * (MAX_PAYLOAD - 2) + 4)
    {
        let mut large = vec![0x41; size];
        large[size - 1] = 0x99;
        let small = [0x41, 7];
        let mut packetizer = Packetizer::new(&track, 96, 1);
        let au = unit(&track, 0, false, framed(&[&small, &large, &small]));
        let packets = packets(&mut packetizer, &track, &au, None);
        let mut bytes = 0;
        for packet in &packets {
            bytes += match packet.payload[0] & 0x1f {
                24 => {
                    let mut rest = &packet.payload[1..];
                    let mut sum = 0;
                    while let Some((length, tail)) = rest.split_first_chunk::<2>() {
                        let length = usize::from(u16::from_be_bytes(*length));
                        sum += length;
                        rest = &tail[length..];
                    }
                    sum
                }
                28 => packet.payload.len() - 2 + usize::from(packet.payload[1] & 0x80 != 0),
                _ => packet.payload.len(),
            };
        }
        assert_eq!(bytes, size + 4, "size {size}");
        assert_eq!(packets.iter().filter(|p| p.header.marker).count(), 1);
        assert!(packets.last().unwrap().header.marker);
    }
}

#[test]
fn h265_aggregates_and_fragments() {
    let track = h265_track();
    let mut packetizer = Packetizer::new(&track, 96, 1);
    let mut idr = vec![19 << 1, 1];
    idr.extend([7; 2000]);
    let packets = packets(
        &mut packetizer,
        &track,
        &unit(&track, 0, true, framed(&[&idr])),
        Some(4),
    );
    assert_eq!(packets.len(), 3);
    assert_eq!(
        packets[0].payload[..],
        [48 << 1, 1, 0, 3, 0x40, 1, 1, 0, 3, 0x42, 1, 2, 0, 3, 0x44, 1, 3]
    );
    assert_eq!(packets[1].payload[..3], [49 << 1, 1, 0x93]);
    assert_eq!(packets[2].payload[..3], [49 << 1, 1, 0x53]);
    assert_eq!(packets[1].payload.len() + packets[2].payload.len(), 2000 + 6);
    assert!(packets[2].header.marker && !packets[1].header.marker);
}

#[test]
fn an_h265_aggregate_has_the_lowest_layer_and_temporal_id() {
    let track = h265_track();
    let mut packetizer = Packetizer::new(&track, 96, 1);
    let au = unit(
        &track,
        0,
        false,
        framed(&[&[1 << 1, 0x0b, 1], &[1 << 1, 0x02, 2]]),
    );
    let packets = packets(&mut packetizer, &track, &au, None);
    assert_eq!(packets[0].payload[..2], [48 << 1, 0x02]);
}

#[test]
fn aac_has_au_headers_and_fragments_when_large() {
    let parameters = aac::Parameters {
        config: Bytes::from_static(&[0x12, 0x10]),
        sample_rate: 44_100,
        channels: 2,
    };
    let track = Track {
        codec: CodecParameters::Aac(parameters),
        clock_rate: 44_100,
    };
    let mut packetizer = Packetizer::new(&track, 97, 1);
    let one = packets(
        &mut packetizer,
        &track,
        &unit(&track, 1024, true, vec![0x21, 1, 2]),
        None,
    );
    assert_eq!(one.len(), 1);
    assert_eq!(one[0].payload[..], [0, 16, 0, 3 << 3, 0x21, 1, 2]);
    assert!(one[0].header.marker);
    let big = packets(
        &mut packetizer,
        &track,
        &unit(&track, 2048, true, vec![5; 3000]),
        Some(2),
    );
    assert_eq!(big.len(), 3);
    for packet in &big {
        assert_eq!(
            packet.payload[..4],
            [0, 16, (3000_u16 << 3).to_be_bytes()[0], (3000_u16 << 3) as u8]
        );
        assert_eq!(packet.header.timestamp, 2048);
    }
    assert_eq!(
        big.iter().map(|p| p.header.marker).collect::<Vec<_>>(),
        [false, false, true]
    );
    let huge = packets(
        &mut packetizer,
        &track,
        &unit(&track, 0, true, vec![5; 8192]),
        None,
    );
    assert!(huge.is_empty());
}

#[test]
fn g711_goes_on_in_samples_and_never_marks() {
    let parameters = g711::Parameters {
        law: g711::Law::A,
        channels: 2,
    };
    let track = Track {
        codec: CodecParameters::G711(parameters),
        clock_rate: 8000,
    };
    let mut packetizer = Packetizer::new(&track, 8, 1);
    let packets = packets(
        &mut packetizer,
        &track,
        &unit(&track, 160, true, vec![0xd5; 3000]),
        None,
    );
    let timestamps: Vec<_> = packets.iter().map(|p| p.header.timestamp).collect();
    assert_eq!(timestamps, [160, 860, 1560]);
    assert!(packets.iter().all(|p| !p.header.marker));
}

#[test]
fn nothing_comes_of_empty_or_damaged_access_units() {
    let track = h264_track();
    let mut packetizer = Packetizer::new(&track, 96, 1);
    for data in [vec![], vec![0, 0, 0, 9, 0x41], framed(&[&[]]), framed(&[&[0x41]])] {
        assert!(packets(&mut packetizer, &track, &unit(&track, 0, false, data), Some(0)).is_empty());
    }
    assert_eq!(packetizer.sequence_number(), 0);
}

#[test]
fn media_time_of_another_clock_is_rescaled() {
    let track = h264_track();
    let packetizer = Packetizer::new(&track, 96, 1);
    assert_eq!(packetizer.rtp_timestamp(Timestamp::from_millis(1000)), 90_000);
    assert_eq!(packetizer.rtp_timestamp(Timestamp::new(-1, 90_000)), u32::MAX);
}
