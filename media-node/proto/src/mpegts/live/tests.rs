use super::*;
use crate::media::{Timestamp, TrackKind};
use crate::mpegts::PACKET_BYTES;
use crate::testing::{self, Clip};
use std::collections::HashMap;

const PMT_PID: u16 = 0x1000;

/// A packet as it is seen from outside.
#[derive(Debug, PartialEq, Eq)]
struct Packet {
    pid: u16,
    unit_start: bool,
    random_access: bool,
    jumps: bool,
    pcr_90k: Option<i64>,
    has_payload: bool,
    counter: u8,
    /// Of the tables.
    version: u8,
}

fn packets(data: &[u8]) -> Vec<Packet> {
    assert_eq!(data.len() % PACKET_BYTES, 0);
    let packet = |p: &[u8]| {
        assert_eq!(p[0], 0x47);
        let pid = u16::from_be_bytes([p[1], p[2]]) & 0x1fff;
        let flags = if p[3] & 0x20 != 0 && p[4] > 0 { p[5] } else { 0 };
        let base = || p[6..11].iter().fold(0_i64, |n, b| n << 8 | i64::from(*b)) >> 7;
        Packet {
            pid,
            unit_start: p[1] & 0x40 != 0,
            random_access: flags & 0x40 != 0,
            jumps: flags & 0x80 != 0,
            pcr_90k: (flags & 0x10 != 0).then(base),
            has_payload: p[3] & 0x10 != 0,
            counter: p[3] & 15,
            version: if pid == 0 || pid == PMT_PID {
                p[10] >> 1 & 31
            } else {
                0
            },
        }
    };
    data.chunks(PACKET_BYTES).map(packet).collect()
}

/// What each access unit adds, and whether a viewer may begin with it.
fn mux(muxer: &mut LiveMuxer, units: &[AccessUnit]) -> Vec<(bool, Vec<Packet>)> {
    let mut pieces = Vec::new();
    for au in units {
        let starts = muxer.starts_at(au);
        let mut out = BytesMut::new();
        if starts {
            muxer.flush(&mut out);
            pieces.push((false, packets(&out.split())));
        }
        muxer.access_unit(au, &mut out);
        pieces.push((starts, packets(&out)));
    }
    pieces
}

/// Counters count payloads, by one (ITU-T H.222.0 section 2.4.3.3).
fn check_counters(pieces: &[(bool, Vec<Packet>)], counters: &mut HashMap<u16, u8>) {
    for packet in pieces.iter().flat_map(|(_, packets)| packets) {
        let step = u8::from(packet.has_payload);
        if let Some(last) = counters.insert(packet.pid, packet.counter) {
            assert_eq!(packet.counter, (last + step) & 15, "{packet:?}");
        }
    }
}

/// Asserts how far clock references and tables are apart.
fn check_clock(pieces: &[(bool, Vec<Packet>)]) {
    let (mut clock, mut tables) = (None, None);
    for packet in pieces.iter().flat_map(|(_, packets)| packets) {
        if let Some(pcr) = packet.pcr_90k {
            if let Some(last) = clock.replace(pcr) {
                assert!((0..=9000).contains(&(pcr - last)), "from {last} to {pcr}");
            }
            tables.get_or_insert(pcr);
        }
        if packet.pid == PMT_PID {
            if let (Some(clock), Some(tables)) = (clock, tables) {
                assert!(clock - tables <= 45_000 + 9000, "from {tables} to {clock}");
            }
            tables = clock;
        }
    }
    assert!(clock.is_some() && tables.is_some());
}

#[test]
fn a_keyframe_is_a_place_to_begin() {
    for clip in [testing::h264_aac(), testing::h265_aac()] {
        let pieces = mux(&mut LiveMuxer::new(&clip.tracks), &clip.access_units);
        let starts: Vec<_> = pieces.iter().filter(|(starts, _)| *starts).collect();
        assert_eq!(starts.len(), 4);
        for (_, packets) in starts {
            let pids: Vec<_> = packets.iter().map(|p| p.pid).take(3).collect();
            assert_eq!(pids, [0, PMT_PID, 0x100]);
            assert!(packets[2].unit_start && packets[2].random_access && packets[2].pcr_90k.is_some());
            assert!(
                packets[2..].iter().all(|p| p.pid == 0x100),
                "no sound from before"
            );
        }
        check_counters(&pieces, &mut HashMap::new());
        check_clock(&pieces);
    }
}

#[test]
fn tables_and_clock_come_often_enough() {
    // Keyframes a long time apart, and two pictures a second.
    let mut clip = testing::h264_aac().only(|t| t.kind() == TrackKind::Video);
    for (i, au) in clip.access_units.iter_mut().enumerate() {
        au.keyframe = i == 0;
        au.dts = Timestamp::new(45_000 * i as i64, 90_000);
        au.pts = au.dts;
    }
    let pieces = mux(&mut LiveMuxer::new(&clip.tracks), &clip.access_units);
    check_counters(&pieces, &mut HashMap::new());
    check_clock(&pieces);
    let tables = pieces.iter().flat_map(|(_, p)| p).filter(|p| p.pid == PMT_PID);
    assert_eq!(tables.count(), 100);
}

#[test]
fn sound_alone_carries_the_clock() {
    let clip = testing::h264_aac().only(|t| t.kind() == TrackKind::Audio);
    let pieces = mux(&mut LiveMuxer::new(&clip.tracks), &clip.access_units);
    check_counters(&pieces, &mut HashMap::new());
    check_clock(&pieces);
    let starts: Vec<_> = pieces.iter().filter(|(starts, _)| *starts).collect();
    assert!((8..=9).contains(&starts.len()), "{} in 4 s", starts.len());
    for (_, packets) in starts {
        assert_eq!(packets.iter().map(|p| p.pid).collect::<Vec<_>>(), [0, PMT_PID]);
    }
}

#[test]
fn sound_goes_with_the_next_picture() {
    let clip = testing::h264_aac();
    let mut muxer = LiveMuxer::new(&clip.tracks);
    for au in &clip.access_units {
        let mut out = BytesMut::new();
        muxer.access_unit(au, &mut out);
        let pids: Vec<_> = packets(&out).iter().map(|p| p.pid).collect();
        if Some(au.track) == clip.tracks.video().map(|(n, _)| n) {
            assert_eq!(pids.last(), Some(&0x100));
        } else {
            assert!(
                pids.is_empty(),
                "it waits for less than a picture lasts: {pids:x?}"
            );
        }
    }
}

#[test]
fn a_jump_of_the_clock_is_told() {
    let clip = testing::h264_aac();
    let mut muxer = LiveMuxer::new(&clip.tracks);
    let mut counters = HashMap::new();
    let pieces = mux(&mut muxer, &clip.access_units);
    assert!(pieces.iter().flat_map(|(_, p)| p).all(|p| !p.jumps));
    check_counters(&pieces, &mut counters);
    // The same again: time goes back.
    let pieces = mux(&mut muxer, &clip.access_units);
    check_counters(&pieces, &mut counters);
    let jumps: Vec<_> = pieces.iter().flat_map(|(_, p)| p).filter(|p| p.jumps).collect();
    assert_eq!((jumps.len(), jumps[0].has_payload), (1, false), "{jumps:?}");
}

#[test]
fn new_parameters_are_a_new_version_of_the_table() {
    let (clip, other) = (testing::h264_aac(), testing::h265_aac());
    let mut muxer = LiveMuxer::new(&clip.tracks);
    let mut counters = HashMap::new();
    let before = mux(&mut muxer, &clip.access_units);
    check_counters(&before, &mut counters);
    let mut rest = BytesMut::new();
    muxer.set_tracks(&other.tracks, &mut rest);
    check_counters(&[(false, packets(&rest))], &mut counters);
    let after = mux(&mut muxer, &other.access_units);
    check_counters(&after, &mut counters);
    let versions = |pieces: &[(bool, Vec<Packet>)]| {
        let tables = pieces.iter().flat_map(|(_, p)| p).filter(|p| p.pid == PMT_PID);
        let mut versions: Vec<u8> = tables.map(|p| p.version).collect();
        versions.dedup();
        versions
    };
    assert_eq!((versions(&before), versions(&after)), (vec![0], vec![1]));
}

#[test]
fn what_has_no_place_is_refused() {
    let Clip { tracks, .. } = testing::h264_aac();
    assert!(LiveMuxer::carries_any(&tracks));
    assert!(!LiveMuxer::carries_any(&Tracks::default()));
}
