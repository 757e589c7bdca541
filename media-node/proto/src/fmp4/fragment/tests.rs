use super::*;
use crate::fmp4::init_segment;
use crate::media::codec::g711;
use crate::media::{CodecParameters, Track, Tracks};
use crate::testing;
use bytes::Bytes;

/// Child boxes of a payload, as (type, payload).
fn children(mut data: &[u8]) -> Vec<([u8; 4], &[u8])> {
    let mut found = Vec::new();
    while !data.is_empty() {
        let size = u32::from_be_bytes(data[..4].try_into().unwrap()) as usize;
        found.push((data[4..8].try_into().unwrap(), &data[8..size]));
        data = &data[size..];
    }
    found
}

fn child(data: &[u8], kind: [u8; 4]) -> &[u8] {
    children(data)
        .into_iter()
        .find(|(found, _)| *found == kind)
        .unwrap()
        .1
}

fn u32s(data: &[u8]) -> Vec<u32> {
    data.chunks_exact(4)
        .map(|c| u32::from_be_bytes(c.try_into().unwrap()))
        .collect()
}

#[test]
fn a_fragment_tells_every_sample_and_holds_its_data() {
    let clip = testing::h264_aac();
    let of = |track: u8| -> Vec<AccessUnit> {
        clip.access_units
            .iter()
            .filter(|au| au.track == track)
            .take(30)
            .cloned()
            .collect()
    };
    let (video, audio) = (of(0), of(1));
    let mut out = BytesMut::from(&b"before"[..]);
    let runs = [
        Run {
            track: 0,
            samples: &video,
            end: video[29].dts.offset(3600),
            mark_keyframes: true,
        },
        Run {
            track: 1,
            samples: &audio,
            end: audio[29].dts.offset(1024),
            mark_keyframes: false,
        },
    ];
    write_fragment(7, &runs, &mut out);
    let fragment = &out[6..];

    let moof = child(fragment, *b"moof");
    assert_eq!(u32s(child(moof, *b"mfhd")), [0, 7]);
    let trafs: Vec<_> = children(moof)
        .into_iter()
        .filter(|(kind, _)| kind == b"traf")
        .collect();
    for ((_, traf), (samples, id, tick)) in trafs.iter().zip([(&video, 1, 3600), (&audio, 2, 1024)]) {
        assert_eq!(u32s(child(traf, *b"tfhd")), [0x02_0000, id]);
        let trun = u32s(child(traf, *b"trun"));
        assert_eq!(trun[..2], [0x0100_0f01, 30]);
        let (mut offset, mut time) = (trun[2] as usize, u64::from(u32s(child(traf, *b"tfdt"))[2]));
        for (fields, au) in trun[3..].chunks(4).zip(samples) {
            let size = fields[1] as usize;
            assert_eq!(fragment[offset..offset + size], au.data[..]);
            offset += size;
            assert_eq!(fields[2] == INDEPENDENT, au.keyframe || id == 2);
            assert_eq!(time as i64 + i64::from(fields[3] as i32), au.pts.ticks());
            time += u64::from(fields[0]);
        }
        assert_eq!(time as i64, samples[29].dts.ticks() + tick);
    }
}

#[test]
fn tracks_without_samples_are_left_out() {
    let clip = testing::h264_aac();
    let audio: Vec<_> = clip
        .access_units
        .iter()
        .filter(|au| au.track == 1)
        .take(1)
        .cloned()
        .collect();
    let end = Timestamp::new(1024, 48_000);
    let mut out = BytesMut::new();
    let runs = [
        Run {
            track: 0,
            samples: &[],
            end,
            mark_keyframes: true,
        },
        Run {
            track: 1,
            samples: &audio,
            end,
            mark_keyframes: false,
        },
    ];
    write_fragment(1, &runs, &mut out);
    let moof = child(&out, *b"moof");
    assert_eq!(
        children(moof).iter().filter(|(kind, _)| kind == b"traf").count(),
        1
    );
    assert_eq!(child(&out, *b"mdat"), &audio[0].data[..]);
}

#[test]
fn times_beyond_32_bits() {
    let mut clip = testing::h264_aac();
    clip.access_units.truncate(1);
    let au = &mut clip.access_units[0];
    au.dts = Timestamp::new(1 << 40, 90_000);
    au.pts = au.dts;
    let end = au.dts.offset(3600);
    let mut out = BytesMut::new();
    let runs = [Run {
        track: 0,
        samples: &clip.access_units,
        end,
        mark_keyframes: true,
    }];
    write_fragment(1, &runs, &mut out);
    let traf = child(child(&out, *b"moof"), *b"traf");
    assert_eq!(u32s(child(traf, *b"tfdt")), [0x0100_0000, 1 << 8, 0]);
    assert_eq!(u32s(child(traf, *b"trun"))[3], 3600);
}

/// The init segment is read by the crate's own reader of ordinary files, up to the samples.
#[test]
fn the_init_segment_describes_the_tracks() {
    for clip in [testing::h264_aac(), testing::h265_aac()] {
        let init = init_segment(&clip.tracks);
        assert_eq!(init, init_segment(&clip.tracks));
        let moov = Bytes::copy_from_slice(child(&init, *b"moov"));
        assert_eq!(
            crate::mp4::Index::parse(&moov),
            Err(crate::mp4::Error::Fragmented)
        );
        let traks: Vec<_> = children(&moov)
            .into_iter()
            .filter(|(kind, _)| kind == b"trak")
            .collect();
        for ((_, trak), track) in traks.iter().zip(&clip.tracks) {
            let mdia = child(trak, *b"mdia");
            assert_eq!(u32s(&child(mdia, *b"mdhd")[..20])[3], track.clock_rate);
            let stbl = child(child(mdia, *b"minf"), *b"stbl");
            let stsd = Bytes::copy_from_slice(child(stbl, *b"stsd"));
            let (codec, _) = crate::mp4::sample_entry(stsd).unwrap().unwrap();
            assert_eq!(codec, track.codec);
        }
    }
}

#[test]
fn g711_has_a_sample_entry_of_its_own() {
    let g711 = CodecParameters::G711(g711::Parameters {
        law: g711::Law::A,
        channels: 1,
    });
    let init = init_segment(&Tracks::new([Track {
        codec: g711,
        clock_rate: 8000,
    }]));
    let place = init.windows(4).position(|w| w == b"alaw").unwrap();
    assert_eq!(init[place - 4..place], 36_u32.to_be_bytes());
}
