use super::*;
use crate::media::codec::{aac as aac_codec, g711, h264 as h264_codec, h265 as h265_codec, nal};
use crate::media::{AccessUnit, Track, Tracks};
use crate::rtp::Packetizer;
use crate::sdp;
use bytes::{BufMut, BytesMut};

/// Parameter sets of x264 (High, three B frames) and x265 (its defaults), 320 by 240 at 30 Hz.
mod sets {
    pub(super) const H264: [&str; 2] = [
        "6764000dacd94141fb0110000003001000000303c0f1429960",
        "68ebe3cb22c0",
    ];
    /// x264, Baseline.
    pub(super) const H264_BASELINE: [&str; 2] =
        ["6742c00dd90141fb0110000003001000000303c8f142a480", "68cb83cb20"];
    pub(super) const H265: [&str; 3] = [
        "40010c01ffff01600000030090000003000003003c959809",
        "42010101600000030090000003000003003ca00a080f165959a4932bc05a020000030002000003003c10",
        "4401c172b46240",
    ];
}

fn bytes(hex: &str) -> Bytes {
    hex::decode(hex).unwrap().into()
}

fn h264_track() -> Track {
    let [sps, pps] = sets::H264_BASELINE.map(bytes);
    let codec = CodecParameters::H264(h264_codec::Parameters::parse(sps, pps).unwrap());
    Track {
        codec,
        clock_rate: 90_000,
    }
}

fn h265_track() -> Track {
    let [vps, sps, pps] = sets::H265.map(bytes);
    let codec = CodecParameters::H265(h265_codec::Parameters::parse(vps, sps, pps).unwrap());
    Track {
        codec,
        clock_rate: 90_000,
    }
}

fn aac_track() -> Track {
    let parameters = aac_codec::Parameters::low_complexity(48_000, 2).unwrap();
    Track {
        codec: CodecParameters::Aac(parameters),
        clock_rate: 48_000,
    }
}

fn g711_track() -> Track {
    let parameters = g711::Parameters {
        law: g711::Law::A,
        channels: 1,
    };
    Track {
        codec: CodecParameters::G711(parameters),
        clock_rate: 8000,
    }
}

/// What a receiver of our own description would make.
fn depacketizer(track: &Track) -> Depacketizer {
    let text = sdp::write("", &Tracks::new([track.clone()]));
    Depacketizer::new(&sdp::parse(text.as_bytes()).unwrap().media[0]).unwrap()
}

/// The same for a sender that keeps its parameter sets out of the description.
fn in_band(encoding: &str) -> Depacketizer {
    let text = format!("v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 {encoding}/90000\r\n");
    Depacketizer::new(&sdp::parse(text.as_bytes()).unwrap().media[0]).unwrap()
}

/// Packs access units with a payload type that fits the description.
fn pack(track: &Track, units: &[AccessUnit]) -> Vec<Packet> {
    let mut packetizer = Packetizer::new(track, sdp::payload_type(0, track), 7).with_sequence_number(0xfff8);
    let (mut out, mut ends) = (BytesMut::new(), Vec::new());
    for unit in units {
        packetizer.packetize(track, unit, None, &mut out, &mut ends);
    }
    let mut start = 0;
    ends.iter()
        .map(|&end| {
            let packet = Packet::parse(Bytes::copy_from_slice(&out[start..end as usize])).unwrap();
            start = end as usize;
            packet
        })
        .collect()
}

fn push_all(depacketizer: &mut Depacketizer, packets: &[Packet]) -> Vec<Unit> {
    let mut units = Vec::new();
    for packet in packets {
        depacketizer.push(packet).unwrap();
        units.extend(std::iter::from_fn(|| depacketizer.pull()));
    }
    units
}

fn picture(nals: &[Vec<u8>]) -> Bytes {
    let mut data = BytesMut::new();
    for unit in nals {
        nal::write_unit(unit, &mut data);
    }
    data.freeze()
}

/// A slice: header, first slice of the picture or not, and filling.
fn slice(header: &[u8], first: bool, length: usize) -> Vec<u8> {
    let mut unit = header.to_vec();
    unit.push(if first { 0x88 } else { 0x48 });
    unit.extend((0..length).map(|i| (i % 251) as u8 + 2));
    unit
}

fn unit(track: &Track, number: i64, duration: i64, keyframe: bool, data: Bytes) -> AccessUnit {
    // Close to the wrap of the RTP timestamp, so that a few units cross it.
    let pts = Timestamp::new(0xffff_ff00 + number * duration, track.clock_rate);
    AccessUnit {
        track: 0,
        pts,
        dts: pts,
        keyframe,
        segment: None,
        data,
    }
}

/// Ten pictures of the sizes that matter, the first and the sixth a keyframe.
fn pictures(track: &Track) -> Vec<AccessUnit> {
    let h265 = track.codec.codec() == crate::media::Codec::H265;
    (0..10)
        .map(|i| {
            let keyframe = i % 5 == 0;
            let header: &[u8] = match (h265, keyframe) {
                (false, true) => &[0x65],
                (false, false) => &[0x41],
                (true, true) => &[19 << 1, 1],
                (true, false) => &[1 << 1, 1],
            };
            let sizes: &[usize] = match i % 5 {
                0 => &[20_000, 5000],
                1 => &[10],
                2 => &[1395, 1396, 1397, 1398, 1399, 1400],
                3 => &[700, 600, 50],
                _ => &[3000],
            };
            let slices: Vec<_> = sizes
                .iter()
                .enumerate()
                .map(|(n, size)| slice(header, n == 0, *size))
                .collect();
            unit(track, i, 3000, keyframe, picture(&slices))
        })
        .collect()
}

fn check_round_trip(track: &Track, sent: &[AccessUnit], received: &[Unit]) {
    assert_eq!(sent.len(), received.len());
    for (sent, received) in sent.iter().zip(received) {
        assert_eq!(sent.data, received.data);
        assert_eq!(sent.pts, received.pts);
        assert_eq!(
            (received.new_parameters.as_ref(), received.lost_packets),
            (None, 0)
        );
        if track.kind() == crate::media::TrackKind::Video {
            assert_eq!(sent.keyframe, received.keyframe);
        }
    }
}

#[test]
fn every_codec_survives_the_round_trip() {
    for track in [h264_track(), h265_track()] {
        let sent = pictures(&track);
        let mut depacketizer = depacketizer(&track);
        let received = push_all(&mut depacketizer, &pack(&track, &sent));
        check_round_trip(&track, &sent, &received);
        let statistics = depacketizer.statistics();
        assert_eq!(
            (statistics.lost, statistics.damaged, statistics.malformed),
            (0, 0, 0)
        );
    }
    for (track, duration) in [(aac_track(), 1024), (g711_track(), 160)] {
        let sent: Vec<_> = (0..10)
            .map(|i| {
                let size = if duration == 160 {
                    160
                } else {
                    1 + i as usize * 700
                };
                unit(&track, i, duration, false, vec![0x21; size].into())
            })
            .collect();
        let received = push_all(&mut depacketizer(&track), &pack(&track, &sent));
        check_round_trip(&track, &sent, &received);
        assert!(received.iter().all(|unit| unit.dts == unit.pts));
    }
}

#[test]
fn without_reordering_dts_is_pts() {
    let track = h264_track();
    let received = push_all(&mut depacketizer(&track), &pack(&track, &pictures(&track)));
    assert!(received.iter().all(|unit| unit.dts == unit.pts));
}

#[test]
fn reordered_pictures_get_decoding_times_at_once() {
    let [sps, pps] = sets::H264.map(bytes);
    let codec = CodecParameters::H264(h264_codec::Parameters::parse(sps, pps).unwrap());
    let track = Track {
        codec,
        clock_rate: 90_000,
    };
    let sent: Vec<_> = [0, 4, 2, 1, 3, 8, 6, 5, 7]
        .map(|i| {
            let header = [if i == 0 { 0x65 } else { 0x41 }];
            unit(&track, i, 3000, i == 0, picture(&[slice(&header, true, 10)]))
        })
        .to_vec();
    let mut depacketizer = depacketizer(&track);
    let mut dts = Vec::new();
    for (packet, sent) in pack(&track, &sent).iter().zip(&sent) {
        depacketizer.push(packet).unwrap();
        let unit = depacketizer.pull().unwrap();
        assert_eq!(unit.pts, sent.pts);
        dts.push((unit.dts.ticks() - 0xffff_ff00) / 3000);
    }
    assert_eq!(dts, [-2, -1, 0, 1, 2, 3, 4, 5, 6]);
}

#[test]
fn losing_any_one_packet_costs_the_pictures_it_touches() {
    for track in [h264_track(), h265_track()] {
        let sent = pictures(&track);
        let packets = pack(&track, &sent);
        for lost in 1..packets.len() - 1 {
            let mut depacketizer = depacketizer(&track);
            let mut left = packets.clone();
            let Packet {
                header: Header { timestamp, .. },
                payload,
            } = left.remove(lost);
            // Nothing of the picture itself is lost with the parameter sets in front of it.
            let only_sets = matches!(payload[..4], [0x78, ..] | [0x60, _, _, 24]);
            let received = push_all(&mut depacketizer, &left);
            // Whole and unchanged, or not there at all.
            let intact: Vec<_> = sent
                .iter()
                .filter(|sent| received.iter().any(|got| got.pts == sent.pts))
                .collect();
            assert_eq!(intact.len(), received.len());
            for (sent, received) in intact.iter().zip(&received) {
                assert_eq!(sent.data, received.data, "packet {lost}");
            }
            let touched = received.iter().any(|unit| unit.pts.ticks() as u32 == timestamp);
            assert_eq!(touched, only_sets, "packet {lost}");
            assert!(
                received.len() >= sent.len() - 2,
                "packet {lost}: {} left",
                received.len()
            );
            assert_eq!(depacketizer.statistics().lost, 1);
            let reported: u32 = received.iter().map(|unit| unit.lost_packets).sum();
            assert_eq!(reported, u32::from(timestamp != sent[9].pts.ticks() as u32));
        }
    }
}

#[test]
fn a_picture_lost_as_a_whole_costs_no_other() {
    let track = h264_track();
    let sent = pictures(&track);
    let mut packets = pack(&track, &sent);
    let timestamp = sent[1].pts.ticks() as u32;
    packets.retain(|packet| packet.header.timestamp != timestamp);
    let mut depacketizer = depacketizer(&track);
    let received = push_all(&mut depacketizer, &packets);
    assert_eq!(received.len(), sent.len() - 1);
    assert_eq!(depacketizer.statistics().damaged, 0);
    assert_eq!(received[1].lost_packets, 1);
}

#[test]
fn late_and_doubled_packets_are_ignored() {
    let track = h264_track();
    let sent = pictures(&track);
    let packets = pack(&track, &sent);
    let doubled: Vec<_> = packets
        .iter()
        .flat_map(|packet| [packet.clone(), packet.clone()])
        .collect();
    let mut depacketizer = depacketizer(&track);
    let received = push_all(&mut depacketizer, &doubled);
    check_round_trip(&track, &sent, &received);
    assert_eq!(depacketizer.statistics().ignored, packets.len() as u64);
}

#[test]
fn joining_in_the_middle_of_a_picture_leaves_it_out() {
    for track in [h264_track(), h265_track()] {
        let sent = pictures(&track);
        let packets = pack(&track, &sent);
        // Behind the parameter sets: fragments without a start.
        let received = push_all(&mut depacketizer(&track), &packets[3..]);
        assert_eq!(received[0].data, sent[1].data);
        // At its second slice.
        let received = push_all(&mut depacketizer(&track), &packets[16..]);
        assert_eq!(received[0].data, sent[1].data);
    }
}

#[test]
fn a_source_that_starts_anew_is_followed() {
    let track = h264_track();
    let sent = pictures(&track);
    let mut packets = pack(&track, &sent[..5]);
    let again = pack(&track, &sent[5..]);
    packets.extend(again.into_iter().enumerate().map(|(i, mut packet)| {
        packet.header.ssrc = 99;
        packet.header.sequence_number = 0x7000 + i as u16;
        packet
    }));
    let received = push_all(&mut depacketizer(&track), &packets);
    assert_eq!(received.len(), 10);
    assert_eq!(received[5].lost_packets, 1);
    // The same sender with numbers from elsewhere.
    let mut packets = pack(&track, &sent);
    for (i, packet) in packets.iter_mut().enumerate().skip(30) {
        packet.header.sequence_number = 0x4000 + i as u16;
    }
    let received = push_all(&mut depacketizer(&track), &packets);
    assert!(received.len() >= 8);
}

#[test]
fn forgotten_markers_cost_one_picture_of_delay() {
    for track in [h264_track(), h265_track()] {
        let sent = pictures(&track);
        let mut packets = pack(&track, &sent);
        for packet in &mut packets {
            packet.header.marker = false;
        }
        let received = push_all(&mut depacketizer(&track), &packets);
        check_round_trip(&track, &sent[..9], &received);
    }
}

#[test]
fn parameter_sets_in_band_only() {
    let track = h264_track();
    let sent = pictures(&track);
    let received = push_all(&mut in_band("H264"), &pack(&track, &sent));
    assert_eq!(received.len(), 10);
    assert_eq!(received[0].new_parameters.as_ref(), Some(&track.codec));
    assert!(received[1..].iter().all(|unit| unit.new_parameters.is_none()));
    let track = h265_track();
    let received = push_all(&mut in_band("H265"), &pack(&track, &pictures(&track)));
    assert_eq!(received[0].new_parameters.as_ref(), Some(&track.codec));
}

/// A packet with this payload, numbered on from `sequence_number`.
fn packet(sequence_number: u16, timestamp: u32, marker: bool, payload: &[u8]) -> Packet {
    let header = Header {
        marker,
        payload_type: 96,
        sequence_number,
        timestamp,
        ssrc: 1,
    };
    Packet {
        header,
        payload: Bytes::copy_from_slice(payload),
    }
}

#[test]
fn parameter_sets_sent_as_if_they_were_pictures() {
    let [sps, pps] = sets::H264_BASELINE.map(bytes);
    let mut depacketizer = in_band("H264");
    let idr = slice(&[0x65], true, 20);
    let packets = [
        packet(1, 5, true, &sps),
        packet(2, 5, true, &pps),
        packet(3, 8, true, &idr),
    ];
    let received = push_all(&mut depacketizer, &packets);
    assert_eq!(received.len(), 1);
    assert_eq!((received[0].pts.ticks(), received[0].keyframe), (8, true));
    assert!(received[0].new_parameters.is_some());
}

#[test]
fn nal_units_glued_with_start_codes() {
    let [sps, pps] = sets::H264_BASELINE.map(bytes);
    let idr = slice(&[0x65], true, 20);
    let stream = [&[0, 0, 0, 1][..], &sps, &[0, 0, 0, 1], &pps, &[0, 0, 1], &idr].concat();
    // As one packet, with and without the start code in front.
    for payload in [&stream[..], &stream[4..]] {
        let mut depacketizer = in_band("H264");
        let received = push_all(&mut depacketizer, &[packet(1, 5, true, payload)]);
        assert_eq!(received.len(), 1);
        assert_eq!(received[0].data, picture(std::slice::from_ref(&idr)));
        assert!(received[0].new_parameters.is_some());
    }
    // As one fragmented "SPS".
    let glued = &stream[4..];
    let fragments = [
        packet(1, 5, false, &[&[0x7c, 0x87][..], &glued[1..9]].concat()),
        packet(2, 5, true, &[&[0x7c, 0x47][..], &glued[9..]].concat()),
    ];
    let received = push_all(&mut in_band("H264"), &fragments);
    assert_eq!(received[0].data, picture(&[idr]));
    // H.265: a VPS with the rest behind it.
    let [vps, sps, pps] = sets::H265.map(bytes);
    let idr = slice(&[19 << 1, 1], true, 20);
    let glued = [
        &vps[..],
        &[0, 0, 0, 1],
        &sps,
        &[0, 0, 0, 1],
        &pps,
        &[0, 0, 0, 1],
        &idr,
    ]
    .concat();
    let received = push_all(&mut in_band("H265"), &[packet(1, 5, true, &glued)]);
    assert_eq!(received[0].data, picture(&[idr]));
}

#[test]
fn fragments_without_start_or_end_bit() {
    let idr = slice(&[0x65], true, 30);
    let next = slice(&[0x41], true, 30);
    let packets = [
        packet(1, 1, true, &next),
        // No start bit on the first fragment, no end bit on the last.
        packet(2, 5, false, &[&[0x7c, 0x05][..], &idr[1..10]].concat()),
        packet(3, 5, true, &[&[0x7c, 0x05][..], &idr[10..]].concat()),
        // Both on one.
        packet(4, 6, true, &[&[0x5c, 0xc1][..], &next[1..]].concat()),
    ];
    let mut depacketizer = in_band("H264");
    let received = push_all(&mut depacketizer, &packets);
    assert_eq!(received.len(), 3);
    assert_eq!(received[1].data, picture(&[idr]));
    assert_eq!(received[2].data, picture(&[next]));
    assert_eq!(depacketizer.statistics().damaged, 0);
}

#[test]
fn a_missing_end_bit_behind_a_gap_is_damage() {
    let slice = slice(&[0x41], true, 30);
    let packets = [
        packet(1, 1, true, &slice),
        packet(2, 2, false, &[&[0x5c, 0x81][..], &slice[1..10]].concat()),
        // Packet 3, the rest, is missing.
        packet(4, 3, true, &slice),
    ];
    let mut depacketizer = in_band("H264");
    let received = push_all(&mut depacketizer, &packets);
    assert_eq!(
        received.iter().map(|unit| unit.pts.ticks()).collect::<Vec<_>>(),
        [1, 3]
    );
    assert_eq!(depacketizer.statistics().damaged, 1);
}

#[test]
fn bad_video_payloads_are_refused_and_cost_their_picture() {
    let h264: &[(&[u8], Fault)] = &[
        (&[0x00, 1], Fault::Malformed("NAL unit type 0")),
        (&[0x1f, 1], Fault::Malformed("NAL unit type 30 or 31")),
        (&[0x19, 1], Fault::Unsupported("interleaved mode")),
        (&[0x1d, 1], Fault::Unsupported("interleaved mode")),
        (&[0x1c], Fault::Malformed("FU-A without a header")),
        (
            &[0x18, 0, 9, 1],
            Fault::Malformed("aggregated NAL unit is longer than its packet"),
        ),
    ];
    let h265: &[(&[u8], Fault)] = &[
        (
            &[0x02],
            Fault::Malformed("payload shorter than a NAL unit header"),
        ),
        (&[49 << 1, 1], Fault::Malformed("FU without a header")),
        (
            &[48 << 1, 1, 0xff, 0xff, 1],
            Fault::Malformed("aggregated NAL unit is longer than its packet"),
        ),
        (&[50 << 1, 1, 1], Fault::Unsupported("PACI packet")),
        (&[51 << 1, 1, 1], Fault::Malformed("NAL unit type above 50")),
    ];
    for (encoding, header, cases) in [("H264", &[0x41][..], h264), ("H265", &[2, 1], h265)] {
        for (payload, fault) in cases {
            let mut depacketizer = in_band(encoding);
            let good = slice(header, true, 9);
            depacketizer.push(&packet(1, 1, false, &good)).unwrap();
            assert_eq!(depacketizer.push(&packet(2, 1, true, payload)), Err(fault.at(2)));
            assert_eq!(depacketizer.pull(), None);
            depacketizer.push(&packet(3, 2, true, &good)).unwrap();
            assert_eq!(depacketizer.pull().unwrap().data, picture(&[good]));
            let statistics = depacketizer.statistics();
            assert_eq!((statistics.malformed, statistics.damaged), (1, 1));
        }
    }
}

#[test]
fn endless_fragments_are_bounded() {
    let mut depacketizer = in_band("H264");
    let body = vec![3; 1 << 16];
    for i in 0..300 {
        let flags = if i == 0 { 0x81 } else { 0x01 };
        depacketizer
            .push(&packet(i, 1, false, &[&[0x5c, flags][..], &body].concat()))
            .unwrap();
    }
    let Kind::Video(video) = &depacketizer.format else {
        panic!()
    };
    let held = format!("{video:?}").len();
    assert!(held < 5 * MAX_ACCESS_UNIT, "{held}");
    depacketizer
        .push(&packet(300, 1, true, &[0x5c, 0x41, 1]))
        .unwrap();
    assert_eq!(depacketizer.pull(), None);
    assert_eq!(depacketizer.statistics().damaged, 1);
}

fn aac_packet(sequence_number: u16, timestamp: u32, headers: &[(u16, u16)], data: &[u8]) -> Packet {
    let mut payload = BytesMut::new();
    payload.put_u16(16 * headers.len() as u16);
    for (size, index) in headers {
        payload.put_u16(size << 3 | index);
    }
    payload.put_slice(data);
    packet(sequence_number, timestamp, true, &payload)
}

#[test]
fn several_aac_access_units_in_a_packet() {
    let mut depacketizer = depacketizer(&aac_track());
    let packets = [aac_packet(
        1,
        1000,
        &[(2, 0), (1, 0), (3, 0)],
        &[1, 1, 2, 3, 3, 3],
    )];
    let received = push_all(&mut depacketizer, &packets);
    let units: Vec<_> = received
        .iter()
        .map(|unit| (unit.pts.ticks(), &unit.data[..]))
        .collect();
    assert_eq!(units, [(1000, &[1, 1][..]), (2024, &[2]), (3048, &[3, 3, 3])]);
}

#[test]
fn aac_with_its_adts_header_left_on() {
    let adts = [0xff, 0xf1, 0x4c, 0x80, 0x01, 0x3f, 0xfc, 0x21, 0x22];
    let mut depacketizer = depacketizer(&aac_track());
    let received = push_all(&mut depacketizer, &[aac_packet(1, 0, &[(9, 0)], &adts)]);
    assert_eq!(received[0].data[..], [0x21, 0x22]);
}

#[test]
fn lost_aac_fragments_cost_their_access_unit_only() {
    let track = aac_track();
    let sent: Vec<_> = [3000, 3000, 10]
        .iter()
        .zip(0..)
        .map(|(size, i)| unit(&track, i, 1024, false, vec![0x21; *size].into()))
        .collect();
    for lost in 0..3 {
        let mut packets = pack(&track, &sent);
        packets.remove(lost);
        let mut depacketizer = depacketizer(&track);
        let received = push_all(&mut depacketizer, &packets);
        assert_eq!(
            received.iter().map(|u| u.data.len()).collect::<Vec<_>>(),
            [3000, 10]
        );
        assert_eq!(depacketizer.statistics().damaged, 1, "packet {lost}");
    }
}

#[test]
fn bad_aac_payloads_are_refused() {
    let cases: [(&[u8], Fault); 8] = [
        (
            &[0],
            Fault::Malformed("payload shorter than its AU header length"),
        ),
        (
            &[0xff, 0xff, 1],
            Fault::Malformed("AU headers are longer than their packet"),
        ),
        (&[0, 0, 1], Fault::Malformed("no AU header")),
        (&[0, 8, 1, 1], Fault::Malformed("no AU header")),
        (
            &[0, 16, 0, 0, 1],
            Fault::Malformed("AU header of an empty access unit, or too many"),
        ),
        (&[0, 32, 0, 8, 0, 8 + 1, 1, 2], Fault::Unsupported("interleaving")),
        (
            &[0, 32, 0, 8, 0, 24, 1, 2],
            Fault::Malformed("access unit is longer than its packet"),
        ),
        (
            // Two fragments of three bytes of an access unit of four.
            &[0, 16, 0, 32, 1, 2, 3],
            Fault::Malformed("fragments are longer than their access unit"),
        ),
    ];
    for (payload, fault) in cases {
        let mut depacketizer = depacketizer(&aac_track());
        let _ = depacketizer.push(&packet(1, 0, false, payload));
        assert_eq!(depacketizer.push(&packet(2, 0, true, payload)), Err(fault.at(2)));
        depacketizer.push(&aac_packet(3, 9, &[(1, 0)], &[7])).unwrap();
        assert_eq!(
            std::iter::from_fn(|| depacketizer.pull()).last().unwrap().data[..],
            [7]
        );
    }
}

#[test]
fn other_payload_types_and_empty_packets_are_passed_over() {
    let mut depacketizer = depacketizer(&g711_track());
    let mut comfort_noise = packet(1, 0, false, &[1]);
    comfort_noise.header.payload_type = 13;
    depacketizer.push(&comfort_noise).unwrap();
    let mut empty = packet(2, 0, false, &[]);
    empty.header.payload_type = 8;
    depacketizer.push(&empty).unwrap();
    assert_eq!(depacketizer.pull(), None);
    assert_eq!(depacketizer.statistics().ignored, 1);
}

#[test]
fn unsupported_formats_name_their_encoding() {
    let text = "v=0\r\nm=audio 0 RTP/AVP 111\r\na=rtpmap:111 opus/48000/2\r\n";
    let error = Depacketizer::new(&sdp::parse(text.as_bytes()).unwrap().media[0]).unwrap_err();
    assert_eq!(error.to_string(), "no support for opus as sent");
}

#[test]
fn timestamps_extend_in_both_directions() {
    assert_eq!(extend(0xffff_fff0, 5), 0x1_0000_0005);
    assert_eq!(extend(0x1_0000_0005, 0xffff_fff0), 0xffff_fff0);
    assert_eq!(extend(i64::MAX, (i64::MAX as u32).wrapping_add(5)), i64::MAX);
}

fn latm() -> Depacketizer {
    let text = "v=0\r\nm=audio 0 RTP/AVP 96\r\na=rtpmap:96 MP4A-LATM/44100\r\n\
        a=fmtp:96 cpresent=0;config=40002410adca00\r\n";
    Depacketizer::new(&sdp::parse(text.as_bytes()).unwrap().media[0]).unwrap()
}

#[test]
fn latm_elements_whole_and_in_fragments() {
    let long = [&[0xff, 45][..], &[9; 300]].concat();
    let packets = [
        packet(1, 0, true, &[3, 1, 2, 3]),
        packet(2, 1024, true, &[1, 7, 2, 8, 8]),
        packet(3, 3072, false, &long[..100]),
        packet(4, 3072, false, &long[100..200]),
        packet(5, 3072, true, &long[200..]),
    ];
    let mut depacketizer = latm();
    let received = push_all(&mut depacketizer, &packets);
    let units: Vec<_> = received
        .iter()
        .map(|u| (u.pts.ticks(), u.data.to_vec()))
        .collect();
    let expected = [
        (0, vec![1, 2, 3]),
        (1024, vec![7]),
        (2048, vec![8, 8]),
        (3072, vec![9; 300]),
    ];
    assert_eq!(units, expected);
    // Any fragment lost costs this access unit and no other.
    for lost in 2..5 {
        let mut left = packets.to_vec();
        left.remove(lost);
        left.push(packet(6, 4096, true, &[1, 5]));
        let mut depacketizer = latm();
        let mut received = Vec::new();
        for packet in &left {
            // What a first fragment leaves behind can't be told from an element.
            let _ = depacketizer.push(packet);
            received.extend(std::iter::from_fn(|| depacketizer.pull()));
        }
        let times: Vec<_> = received
            .iter()
            .map(|u| u.pts.ticks())
            .filter(|t| *t != 3072)
            .collect();
        assert_eq!(times[..3], [0, 1024, 2048], "packet {lost}");
        assert!(
            received.iter().all(|unit| unit.data.len() != 300),
            "packet {lost}"
        );
    }
}

#[test]
fn bad_latm_payloads_are_refused() {
    let mut depacketizer = latm();
    let malformed = |sequence_number, what| {
        Err(Error::Malformed {
            sequence_number,
            what,
        })
    };
    let early = depacketizer.push(&packet(1, 0, true, &[0xff, 0xff]));
    assert_eq!(early, malformed(1, "element ends in its length"));
    let long = depacketizer.push(&packet(2, 0, true, &[5, 1]));
    assert_eq!(long, malformed(2, "element is longer than its packets"));
    let endless = (3..100).find_map(|i| depacketizer.push(&packet(i, 0, false, &[0xff; 1400])).err());
    assert!(matches!(
        endless,
        Some(Error::Malformed {
            what: "fragments without an end",
            ..
        })
    ));
    depacketizer.push(&packet(101, 0, true, &[1])).unwrap();
    depacketizer.push(&packet(102, 0, true, &[1, 4])).unwrap();
    assert_eq!(depacketizer.pull().unwrap().data[..], [4]);
}
