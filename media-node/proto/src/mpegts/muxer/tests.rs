use super::*;
use crate::media::codec::g711;
use crate::media::{Timestamp, Track};
use crate::mpegts::PACKET_BYTES;
use crate::testing::{self, Clip};
use std::collections::HashMap;

/// A PES packet taken out of the stream.
struct Pes {
    pid: u16,
    random_access: bool,
    pcr: Option<u64>,
    pts: u64,
    dts: u64,
    payload: Vec<u8>,
}

/// Takes packets apart with a reader written for these tests; checks sync, continuity and lengths.
fn pes_packets(data: &[u8], continuity: &mut HashMap<u16, u8>) -> Vec<Pes> {
    assert_eq!(data.len() % PACKET_BYTES, 0);
    let mut found: Vec<(u16, bool, Option<u64>, Vec<u8>)> = Vec::new();
    for packet in data.chunks(PACKET_BYTES) {
        assert_eq!(packet[0], 0x47);
        let pid = u16::from_be_bytes([packet[1], packet[2]]) & 0x1fff;
        let counter = packet[3] & 15;
        if let Some(last) = continuity.insert(pid, counter) {
            assert_eq!(counter, (last + 1) & 15, "continuity of PID {pid:#x}");
        }
        let has_field = packet[3] & 0x20 != 0;
        let field = if has_field { 1 + usize::from(packet[4]) } else { 0 };
        let flags = if field > 1 { packet[5] } else { 0 };
        let pcr = (flags & 0x10 != 0).then(|| {
            let base = packet[6..11].iter().fold(0_u64, |n, b| n << 8 | u64::from(*b));
            base >> 7
        });
        let payload = &packet[4 + field..];
        if pid == 0 || pid == 0x1000 {
            continue;
        }
        if packet[1] & 0x40 != 0 {
            found.push((pid, flags & 0x40 != 0, pcr, payload.to_vec()));
        } else {
            let unit = found.iter_mut().rev().find(|(p, ..)| *p == pid).expect("a start");
            unit.3.extend(payload);
        }
    }
    let pes = |(pid, random_access, pcr, data): (u16, bool, Option<u64>, Vec<u8>)| {
        assert_eq!(data[..3], [0, 0, 1]);
        let length = usize::from(u16::from_be_bytes([data[4], data[5]]));
        assert!(length == 0 || length + 6 == data.len());
        let stamp = |at: usize| {
            let b = |i: usize| u64::from(data[at + i]);
            (b(0) >> 1 & 7) << 30 | b(1) << 22 | (b(2) >> 1) << 15 | b(3) << 7 | b(4) >> 1
        };
        let pts = stamp(9);
        let dts = if data[7] == 0xc0 { stamp(14) } else { pts };
        let payload = data[9 + usize::from(data[8])..].to_vec();
        Pes {
            pid,
            random_access,
            pcr,
            pts,
            dts,
            payload,
        }
    };
    found.into_iter().map(pes).collect()
}

fn mux(clip: &Clip) -> (BytesMut, Vec<Pes>) {
    let mut muxer = Muxer::new(&clip.tracks);
    let mut out = BytesMut::new();
    muxer.start_segment(&mut out);
    for au in &clip.access_units {
        muxer.access_unit(au, &mut out);
    }
    muxer.end_segment(&mut out);
    let pes = pes_packets(&out, &mut HashMap::new());
    (out, pes)
}

#[test]
fn pictures_come_back_with_their_times_and_parameter_sets() {
    for (clip, delimiter, sets) in [
        (testing::h264_aac(), &[9, 0xf0][..], &[7, 8][..]),
        (testing::h265_aac(), &[0x46, 1, 0x50], &[0x40, 0x42, 0x44]),
    ] {
        let (number, _) = clip.tracks.video().unwrap();
        let (_, pes) = mux(&clip);
        let pictures: Vec<_> = pes.iter().filter(|p| p.pid == VIDEO_PID).collect();
        let sources: Vec<_> = clip.access_units.iter().filter(|au| au.track == number).collect();
        assert_eq!((pictures.len(), sources.len()), (100, 100));
        for (pes, au) in pictures.iter().zip(sources) {
            assert_eq!(pes.random_access, au.keyframe);
            assert_eq!(pes.pts as i64, au.pts.as_90k() + ORIGIN_90K);
            assert_eq!(pes.dts as i64, au.dts.as_90k() + ORIGIN_90K);
            assert!(pes.pcr.unwrap() < pes.dts);
            let mut nals = nal::annexb(&pes.payload);
            assert_eq!(nals.next().unwrap(), delimiter);
            if au.keyframe {
                for set in sets {
                    let first = nals.next().unwrap()[0];
                    assert_eq!(if sets.len() == 2 { first & 0x1f } else { first }, *set);
                }
            }
            assert!(nals.eq(nal::units(&au.data)));
        }
    }
}

#[test]
fn audio_shares_pes_packets_and_loses_nothing() {
    let clip = testing::h264_aac();
    let (number, _) = clip.tracks.audio().unwrap();
    let (_, pes) = mux(&clip);
    let audio: Vec<_> = pes.iter().filter(|p| p.pid == AUDIO_PID).collect();
    let sources: Vec<_> = clip.access_units.iter().filter(|au| au.track == number).collect();
    assert!(
        audio.len() < sources.len() / 6,
        "{} PES packets for {} frames",
        audio.len(),
        sources.len()
    );
    let mut frames = sources.iter();
    for pes in audio {
        for (i, (header, frame)) in adts::frames(&pes.payload).enumerate() {
            let au = frames.next().unwrap();
            assert_eq!((header.sample_rate, frame), (48_000, &au.data[..]));
            if i == 0 {
                assert_eq!(pes.pts as i64, au.pts.as_90k() + ORIGIN_90K);
            }
        }
    }
    assert_eq!(frames.next(), None);
}

#[test]
fn a_jump_in_time_is_not_hidden_inside_a_pes_packet() {
    let mut clip = testing::h264_aac().only(|t| t.kind() == TrackKind::Audio);
    clip.access_units.truncate(4);
    for au in &mut clip.access_units[2..] {
        au.pts = au.pts.offset(480_000);
    }
    let (_, pes) = mux(&clip);
    assert_eq!(pes.len(), 2);
    assert_eq!(pes[1].pts as i64, clip.access_units[2].pts.as_90k() + ORIGIN_90K);
    // Without video, audio carries the clock.
    assert!(pes.iter().all(|p| p.pcr.is_some()));
}

#[test]
fn counters_go_on_over_segments() {
    let clip = testing::h264_aac();
    let mut muxer = Muxer::new(&clip.tracks);
    let mut continuity = HashMap::new();
    for part in clip.access_units.chunks(50) {
        let mut out = BytesMut::new();
        muxer.start_segment(&mut out);
        for au in part {
            muxer.access_unit(au, &mut out);
        }
        muxer.end_segment(&mut out);
        pes_packets(&out, &mut continuity);
    }
    assert_eq!(continuity.len(), 4);
}

#[test]
fn times_wrap_at_33_bits() {
    let mut clip = testing::h264_aac();
    clip.access_units.truncate(1);
    let au = &mut clip.access_units[0];
    au.dts = Timestamp::new((1 << 33) - ORIGIN_90K, 90_000);
    au.pts = au.dts.offset(3600);
    let (_, pes) = mux(&clip);
    assert_eq!((pes[0].dts, pes[0].pts), (0, 3600));
    assert_eq!(pes[0].pcr, Some((1 << 33) - DELAY_90K as u64));
}

#[test]
fn tracks_without_a_place_are_left_out() {
    let g711 = CodecParameters::G711(g711::Parameters {
        law: g711::Law::Mu,
        channels: 1,
    });
    let tracks = Tracks::new([Track {
        codec: g711,
        clock_rate: 8000,
    }]);
    assert!(!Muxer::new(&tracks).carries_any());
    let mut with_video: Vec<Track> = tracks.iter().cloned().collect();
    with_video.extend(testing::h264_aac().tracks.iter().cloned());
    let muxer = Muxer::new(&Tracks::new(with_video));
    assert_eq!((muxer.video.unwrap().track, muxer.audio.unwrap().track), (1, 2));
}

#[test]
fn counters_go_on_when_a_track_comes_back() {
    let clip = testing::h264_aac();
    let sound = testing::h264_aac().only(|t| t.kind() == TrackKind::Audio);
    let pictures = testing::h264_aac().only(|t| t.kind() == TrackKind::Video);
    let mut muxer = Muxer::new(&clip.tracks);
    let mut out = BytesMut::new();
    for part in [&clip, &sound, &clip, &pictures, &clip] {
        muxer.set_tracks(&part.tracks);
        muxer.start_segment(&mut out);
        // Not a whole round of 16 packets, so that one who starts again at 0 is seen.
        for au in part.access_units.iter().take(41) {
            muxer.access_unit(au, &mut out);
        }
        muxer.end_segment(&mut out);
    }
    let mut counters = HashMap::new();
    pes_packets(&out, &mut counters);
    assert!(
        [0, 0x1000, 0x100, 0x101]
            .iter()
            .all(|pid| counters.contains_key(pid))
    );
}
