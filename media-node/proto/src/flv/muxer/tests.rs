use super::*;
use crate::media::codec::g711;
use crate::media::{CodecParameters, Track, TrackKind};
use crate::testing;
use bytes::Bytes;

/// (type, timestamp, body) of every tag; checks the framing on the way.
fn tags(mut data: &[u8]) -> Vec<(u8, u32, Vec<u8>)> {
    let mut tags = Vec::new();
    while !data.is_empty() {
        let body_bytes = u32::from_be_bytes([0, data[1], data[2], data[3]]) as usize;
        let timestamp = u32::from_be_bytes([data[7], data[4], data[5], data[6]]);
        assert_eq!(data[8..11], [0, 0, 0]);
        tags.push((data[0], timestamp, data[11..11 + body_bytes].to_vec()));
        let end = 11 + body_bytes;
        let previous = u32::from_be_bytes(data[end..end + 4].try_into().unwrap());
        assert_eq!(previous as usize, end);
        data = &data[end + 4..];
    }
    tags
}

#[test]
fn the_header_announces_tracks_and_configures_decoders() {
    let clip = testing::h264_aac();
    let mut out = BytesMut::new();
    Muxer::new(&clip.tracks, H265Dialect::Legacy).header(&mut out);
    assert_eq!(out[..13], [b'F', b'L', b'V', 1, 5, 0, 0, 0, 9, 0, 0, 0, 0]);
    let tags = tags(&out[13..]);
    let [script, video, audio] = &tags[..] else {
        panic!("three tags")
    };
    assert_eq!((script.0, video.0, audio.0), (18, 9, 8));
    assert!(
        script
            .2
            .starts_with(b"\x02\x00\x0aonMetaData\x08\x00\x00\x00\x08\x00\x05width\x00\x40\x74\0\0\0\0\0\0")
    );
    assert!(script.2.ends_with(b"\x00\x07creator\x02\x00\x04Weir\x00\x00\x09"));
    assert_eq!(video.2[..6], [0x17, 0, 0, 0, 0, 1]);
    assert!(audio.2.starts_with(&[0xaf, 0, 0x11, 0x88]));
}

#[test]
fn access_units_become_tags_with_composition_times() {
    let clip = testing::h264_aac();
    let muxer = Muxer::new(&clip.tracks, H265Dialect::Legacy);
    let mut out = BytesMut::new();
    let mut expected = 0;
    for au in &clip.access_units {
        muxer.tag(au, &mut out);
        expected += muxer.tag_bytes(au).unwrap();
        assert_eq!(out.len(), expected);
    }
    let tags = tags(&out);
    assert_eq!(tags.len(), clip.access_units.len());
    for ((kind, timestamp, body), au) in tags.iter().zip(&clip.access_units) {
        if *kind == 9 {
            assert_eq!(body[0], if au.keyframe { 0x17 } else { 0x27 });
            let composition = i64::from(i32::from_be_bytes([body[2], body[3], body[4], 0]) >> 8);
            assert_eq!(i64::from(*timestamp) + composition, au.pts.as_millis());
            assert_eq!(body[5..], au.data[..]);
        } else {
            assert_eq!(
                (body[0], body[1], i64::from(*timestamp)),
                (0xaf, 1, au.pts.as_millis())
            );
            assert_eq!(body[2..], au.data[..]);
        }
    }
}

#[test]
fn h265_in_both_dialects() {
    let clip = testing::h265_aac();
    let first = clip.access_units.iter().find(|au| au.keyframe).unwrap();
    let body = |dialect| {
        let muxer = Muxer::new(&clip.tracks, dialect);
        let mut out = BytesMut::new();
        muxer.sequence_headers(Timestamp::from_millis(0x0102_0304), &mut out);
        muxer.tag(first, &mut out);
        let found = tags(&out);
        assert_eq!((found.len(), found[0].1), (3, 0x0102_0304));
        (found[0].2[..6].to_vec(), found[2].2[..8].to_vec())
    };
    let (header, unit) = body(H265Dialect::Legacy);
    assert_eq!(header, [0x1c, 0, 0, 0, 0, 1]);
    // Presented at 0, decoded at 0 at the earliest.
    assert_eq!(unit[..5], [0x1c, 1, 0, 0, 0]);
    let (header, unit) = body(H265Dialect::Enhanced);
    assert_eq!(header, *b"\x90hvc1\x01");
    assert_eq!(unit, *b"\x91hvc1\0\0\0");
}

#[test]
fn tracks_without_a_place_are_left_out() {
    let g711 = CodecParameters::G711(g711::Parameters {
        law: g711::Law::A,
        channels: 1,
    });
    let tracks = Tracks::new([Track {
        codec: g711,
        clock_rate: 8000,
    }]);
    let muxer = Muxer::new(&tracks, H265Dialect::Legacy);
    assert!(!muxer.carries_any());
    let at = Timestamp::new(0, 8000);
    let data = Bytes::from_static(&[0xd5; 160]);
    let au = AccessUnit {
        track: 0,
        pts: at,
        dts: at,
        keyframe: true,
        segment: None,
        data,
    };
    let mut out = BytesMut::new();
    muxer.tag(&au, &mut out);
    assert_eq!((out.len(), muxer.tag_bytes(&au)), (0, None));

    let video = testing::h264_aac().only(|t| t.kind() == TrackKind::Video);
    let mut out = BytesMut::new();
    Muxer::new(&video.tracks, H265Dialect::Legacy).header(&mut out);
    assert_eq!((out[4], tags(&out[13..]).len()), (1, 2));
}

#[test]
fn timestamps_wrap_after_49_days() {
    let clip = testing::h264_aac();
    let muxer = Muxer::new(&clip.tracks, H265Dialect::Legacy);
    let at = Timestamp::from_millis((1 << 32) + 5);
    let au = AccessUnit {
        pts: at.offset(40),
        dts: at,
        ..clip.access_units[0].clone()
    };
    let mut out = BytesMut::new();
    muxer.tag(&au, &mut out);
    let (_, timestamp, body) = &tags(&out)[0];
    assert_eq!((*timestamp, &body[2..5]), (5, &[0, 0, 40][..]));
}
