use super::*;
use crate::media::{Codec, Timestamp, TrackKind};
use crate::testing::{self, H264_AAC_MP4, H265_AAC_MP4, find_moov};
use bytes::Bytes;
use std::time::Duration;

fn moov(file: &'static [u8]) -> Bytes {
    Bytes::from_static(&file[find_moov(file).unwrap()])
}

#[test]
fn moov_is_found_behind_the_media_and_before_it() {
    let end = find_moov(H264_AAC_MP4).unwrap();
    assert_eq!(end.end, H264_AAC_MP4.len());
    let start = find_moov(H265_AAC_MP4).unwrap();
    assert!(start.start < 64);
}

#[test]
fn files_without_moov() {
    assert_eq!(find_moov(b""), Err(Error::NoMoov));
    assert_eq!(find_moov(b"\0\0\0\x08free"), Err(Error::NoMoov));
    assert_eq!(find_moov(b"\0\0\0\0mdatxx"), Err(Error::NoMoov));
    let kind = FourCc(*b"mdat");
    assert_eq!(
        find_moov(b"\0\0\0\x10mdat"),
        Err(Error::BeyondFile { kind, offset: 0 })
    );
    assert_eq!(
        find_moov(b"\0\0\0\x04mdat"),
        Err(Error::OutOfRange {
            kind,
            field: "size",
            value: 4
        })
    );
    assert!(matches!(
        find_moov(&b"\0\0\0\x08free".repeat(2000)),
        Err(Error::NoMoov)
    ));
    assert!(matches!(
        find_moov(H264_AAC_MP4.get(..2000).unwrap()),
        Err(Error::BeyondFile { .. })
    ));
}

#[test]
fn the_index_knows_tracks_times_and_places() {
    let index = Index::parse(&moov(H264_AAC_MP4)).unwrap();
    let [video, audio] = &index.tracks[..] else {
        panic!("two tracks")
    };
    assert_eq!(
        (video.track.codec.codec(), video.track.clock_rate),
        (Codec::H264, 90_000)
    );
    assert_eq!(video.track.codec.size(), Some((320, 180)));
    assert_eq!(
        (audio.track.codec.codec(), audio.track.clock_rate),
        (Codec::Aac, 48_000)
    );
    assert_eq!((video.samples.len(), video.end), (100, 360_000));
    // Decoding starts two pictures before presentation, for the B-frames.
    let first = video.samples[0];
    assert_eq!((first.dts, first.pts, first.sync), (-7200, 0, true));
    assert_eq!((video.samples[1].dts, video.samples[1].pts), (-3600, 10_800));
    let sync: Vec<usize> = (0..100).filter(|i| video.samples[*i].sync).collect();
    assert_eq!(sync, [0, 25, 50, 75]);
    // The file has 189 audio samples; the first is the encoder's delay.
    assert_eq!((audio.samples.len(), audio.samples[0].pts), (188, 0));
    assert!(index.duration() >= Duration::from_secs(4) && index.duration() < Duration::from_millis(4050));
}

#[test]
fn the_schedule_goes_by_decoding_time() {
    let clip = testing::h264_aac();
    let times: Vec<i64> = clip.access_units.iter().map(|au| au.dts.as_micros()).collect();
    assert!(times.is_sorted());
    assert_eq!(times.len(), 288);
}

#[test]
fn samples_become_access_units() {
    for (clip, codec) in [
        (testing::h264_aac(), Codec::H264),
        (testing::h265_aac(), Codec::H265),
    ] {
        let (number, track) = clip.tracks.video().unwrap();
        assert_eq!(track.codec.codec(), codec);
        let video: Vec<_> = clip.access_units.iter().filter(|au| au.track == number).collect();
        let keyframes: Vec<_> = video.iter().filter(|au| au.keyframe).map(|au| au.pts).collect();
        assert_eq!(
            keyframes,
            [0, 90_000, 180_000, 270_000].map(|ticks| Timestamp::new(ticks, 90_000))
        );
        for au in &video {
            let lengths: usize = crate::media::codec::nal::units(&au.data)
                .map(|nal| 4 + nal.len())
                .sum();
            assert_eq!(lengths, au.data.len());
        }
        let audio = clip.access_units.iter().filter(|au| au.track != number);
        assert!(audio.into_iter().all(|au| !au.keyframe));
    }
    let audio = testing::h264_aac().only(|t| t.kind() == TrackKind::Audio);
    assert!(audio.access_units.iter().all(|au| au.keyframe && au.track == 0));
}

/// Replaces a 32-bit field `at` bytes behind the first `kind` in the index.
fn patched(kind: [u8; 4], at: usize, value: u32) -> Bytes {
    let mut moov = moov(H264_AAC_MP4).to_vec();
    let place = moov.windows(4).position(|w| w == kind).unwrap() + 4 + at;
    moov[place..place + 4].copy_from_slice(&value.to_be_bytes());
    moov.into()
}

#[test]
fn counts_that_lie_find_no_memory() {
    for kind in [*b"stts", *b"ctts", *b"stss", *b"stsc", *b"stco"] {
        let lie = Index::parse(&patched(kind, 4, u32::MAX));
        assert_eq!(lie, Err(Error::Truncated(FourCc(kind))));
    }
    // stsz: every sample of 1 byte, 4 billion of them
    let mut moov = patched(*b"stsz", 8, u32::MAX).to_vec();
    let place = moov.windows(4).position(|w| w == *b"stsz").unwrap() + 8;
    moov[place..place + 4].copy_from_slice(&1_u32.to_be_bytes());
    assert!(matches!(
        Index::parse(&moov.into()),
        Err(Error::OutOfRange {
            field: "sample count",
            ..
        })
    ));
    // a table that names fewer samples than there are
    assert_eq!(
        Index::parse(&patched(*b"stts", 8, 10)),
        Err(Error::Truncated(FourCc(*b"stts")))
    );
    assert_eq!(
        Index::parse(&patched(*b"stsz", 12, u32::MAX))
            .map_err(|e| e.to_string())
            .unwrap_err(),
        "the stsz box has size 4294967295, which is out of range"
    );
}

#[test]
fn no_picture_is_decoded_after_it_is_shown() {
    let plain = Index::parse(&moov(H264_AAC_MP4)).unwrap();
    // The first picture's composition offset, in ticks of 12800: shown 0.1 s before its time.
    let index = Index::parse(&patched(*b"ctts", 12, -1280_i32 as u32)).unwrap();
    let (plain, moved) = (&plain.tracks[0].samples, &index.tracks[0].samples);
    assert!(moved.iter().all(|s| s.dts <= s.pts));
    assert_eq!(
        (plain[0].pts - moved[0].pts, plain[1].pts),
        (16_200, moved[1].pts)
    );
    assert_eq!(plain[1].dts - moved[1].dts, 9000);
}

#[test]
fn damaged_fields_are_refused() {
    let timescale = Index::parse(&patched(*b"mdhd", 12, 0));
    assert!(matches!(
        timescale,
        Err(Error::OutOfRange {
            field: "timescale",
            ..
        })
    ));
    let unknown = Index::parse(&patched(*b"avc1", 0, 0).to_vec().into());
    assert!(unknown.is_ok(), "reserved fields don't count");
    // Sample entries of another type: the track is left out, and told.
    let mut moov = moov(H264_AAC_MP4).to_vec();
    let place = moov.windows(4).position(|w| w == *b"avc1").unwrap();
    moov[place..place + 4].copy_from_slice(b"mp4v");
    let index = Index::parse(&moov.into()).unwrap();
    assert_eq!((index.tracks.len(), index.skipped), (1, vec![FourCc(*b"mp4v")]));
}

#[test]
fn every_cut_and_every_flipped_byte_is_survived() {
    let whole = moov(H264_AAC_MP4);
    for end in 0..whole.len() {
        let _ = Index::parse(&whole.slice(..end));
    }
    for at in 0..whole.len() {
        let mut damaged = whole.to_vec();
        damaged[at] ^= 0xff;
        let _ = Index::parse(&damaged.into());
    }
}

#[test]
fn small_sample_sizes() {
    // stz2 with fields of 4 bits: the third of three samples has 7 bytes.
    let stts = full_box(*b"stts", &[1, 3, 100]);
    let stsc = full_box(*b"stsc", &[1, 1, 3, 1]);
    let stco = full_box(*b"stco", &[1, 1000]);
    let stz2 = full_box(*b"stz2", &[4, 3, 0x5670_0000])[..22].to_vec();
    let mut stz2 = stz2;
    stz2[3] = 22;
    let stbl: Bytes = [stts, stsc, stco, stz2].concat().into();
    let samples: Result<Vec<_>, _> = sample_table::Samples::parse(&stbl, 10).unwrap().collect();
    let samples: Vec<_> = samples
        .unwrap()
        .into_iter()
        .map(|(s, _)| (s.offset, s.size, s.dts))
        .collect();
    assert_eq!(samples, [(1000, 5, 0), (1005, 6, 100), (1011, 7, 200)]);
    assert!(sample_table::Samples::parse(&stbl, 2).is_err());
}

fn full_box(kind: [u8; 4], words: &[u32]) -> Vec<u8> {
    let mut out = (12 + 4 * words.len() as u32).to_be_bytes().to_vec();
    out.extend(kind);
    out.extend([0; 4]);
    out.extend(words.iter().flat_map(|w| w.to_be_bytes()));
    out
}

#[test]
fn the_demo_clip_loops_without_a_seam() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../assets/demo.mp4");
    let file: Bytes = std::fs::read(file).unwrap().into();
    let index = Index::parse(&file.slice(find_moov(&file).unwrap())).unwrap();
    let [video, audio] = &index.tracks[..] else {
        panic!("two tracks")
    };
    assert_eq!(index.duration(), Duration::from_secs(16));
    assert_eq!((video.samples.len(), video.end), (400, 16 * 90_000));
    assert_eq!((audio.samples.len(), audio.end), (750, 16 * 48_000));
    for (track, step) in [(video, 3600), (audio, 1024)] {
        for (sample, ticks) in track.samples.iter().zip((0..).step_by(step)) {
            assert_eq!((sample.dts, sample.pts), (ticks, ticks));
        }
    }
    assert!(video.samples.iter().step_by(50).all(|s| s.sync));
}
