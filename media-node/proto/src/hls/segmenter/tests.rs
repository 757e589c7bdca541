use super::*;
use crate::media::SegmentStart;
use crate::media::codec::nal;
use crate::media::{CodecParameters, TrackKind};
use crate::mpegts::PACKET_BYTES;
use crate::testing::{self, Clip};

/// A clip with a segment from each keyframe, counted from 100.
fn numbered(mut clip: Clip) -> Clip {
    testing::number_segments(&mut clip, 100);
    clip
}

fn segments(form: Form, clip: &Clip) -> Vec<Segment> {
    let mut segmenter = Segmenter::new(form, &clip.tracks);
    let mut found: Vec<Segment> = clip
        .access_units
        .iter()
        .filter_map(|au| segmenter.push(au))
        .collect();
    found.extend(segmenter.finish());
    found
}

#[test]
fn cuts_where_the_numbers_are() {
    for (form, clip) in [(Form::Ts, testing::h264_aac()), (Form::Fmp4, testing::h265_aac())] {
        let clip = numbered(clip);
        let segments = segments(form, &clip);
        assert_eq!(
            segments.iter().map(|s| s.number).collect::<Vec<_>>(),
            [100, 101, 102, 103]
        );
        assert!(segments.iter().all(|s| s.duration == Duration::from_secs(1)));
        assert!(
            segments
                .iter()
                .all(|s| !s.discontinuity && s.init.is_some() == (form == Form::Fmp4))
        );
        assert_eq!(segments[1].start, Timestamp::new(90_000, 90_000));
    }
}

#[test]
fn nothing_is_lost_between_segments() {
    let clip = numbered(testing::h264_aac());
    let bytes: usize = clip.access_units.iter().map(|au| au.data.len()).sum();
    let ts = segments(Form::Ts, &clip);
    assert!(
        ts.iter()
            .all(|s| s.bytes.len() % PACKET_BYTES == 0 && s.bytes[0] == 0x47)
    );
    assert!(ts.iter().map(|s| s.bytes.len()).sum::<usize>() > bytes);
    // Every segment holds its parameter sets: SPS and PPS behind the access unit delimiter.
    let sps = match &clip.tracks.video().unwrap().1.codec {
        CodecParameters::H264(p) => p.sps.clone(),
        _ => unreachable!("the clip is H.264"),
    };
    assert!(
        ts.iter()
            .all(|s| s.bytes[..4 * PACKET_BYTES].windows(sps.len()).any(|w| w == sps))
    );

    let clip = numbered(testing::h265_aac());
    let mdats: usize = segments(Form::Fmp4, &clip)
        .iter()
        .map(|s| {
            let moof = u32::from_be_bytes(s.bytes[..4].try_into().unwrap()) as usize;
            assert_eq!(s.bytes[moof + 4..moof + 8], *b"mdat");
            s.bytes.len() - moof - 8
        })
        .sum();
    assert_eq!(
        mdats,
        clip.access_units.iter().map(|au| au.data.len()).sum::<usize>()
    );
}

#[test]
fn every_edge_makes_the_same_fragments_wherever_it_began() {
    let clip = numbered(testing::h265_aac());
    let all = segments(Form::Fmp4, &clip);
    let late = Clip {
        access_units: clip.access_units[40..].to_vec(),
        ..clip
    };
    let late = segments(Form::Fmp4, &late);
    assert_eq!(late[..], all[1..]);
}

#[test]
fn without_a_number_nothing_starts() {
    assert_eq!(segments(Form::Ts, &testing::h264_aac()), []);
}

#[test]
fn what_is_missing_shows_as_discontinuity() {
    let clip = numbered(testing::h264_aac());
    let mut segmenter = Segmenter::new(Form::Ts, &clip.tracks);
    let mut found = Vec::new();
    for au in &clip.access_units {
        found.extend(segmenter.push(au));
        if au.pts == Timestamp::new(126_000, 90_000) {
            segmenter.lose();
        }
    }
    let shown: Vec<_> = found.iter().map(|s| (s.number, s.discontinuity)).collect();
    assert_eq!(shown, [(100, false), (102, true)]);
}

#[test]
fn times_that_go_back_show_as_discontinuity() {
    let mut clip = numbered(testing::h264_aac());
    let again = clip.access_units.clone();
    clip.access_units.extend(again.into_iter().map(|au| {
        let segment = au.segment.map(|s| SegmentStart::from(s.number + 4));
        AccessUnit { segment, ..au }
    }));
    let segments = segments(Form::Ts, &clip);
    let broken: Vec<_> = segments
        .iter()
        .filter(|s| s.discontinuity)
        .map(|s| s.number)
        .collect();
    assert_eq!((segments.len(), broken), (8, vec![104]));
    // The segment before the break has no next start to go by.
    assert_eq!(segments[3].duration, Duration::from_secs(1));
}

#[test]
fn new_parameters_end_the_segment_and_change_the_init() {
    let clip = numbered(testing::h265_aac());
    let other = testing::h264_aac();
    let mut segmenter = Segmenter::new(Form::Fmp4, &clip.tracks);
    let mut found = Vec::new();
    for (i, au) in clip.access_units.iter().enumerate() {
        if i == 100 {
            assert_eq!(segmenter.set_tracks(&clip.tracks), None);
            found.extend(segmenter.set_tracks(&other.tracks));
        }
        found.extend(segmenter.push(au));
    }
    found.extend(segmenter.finish());
    let shown: Vec<_> = found.iter().map(|s| (s.number, s.discontinuity)).collect();
    assert_eq!(shown, [(100, false), (101, false), (102, true), (103, false)]);
    assert_ne!(found[1].init, found[2].init);
    assert_eq!(found[2].init, found[3].init);
    assert!(found[1].duration < Duration::from_millis(500));
}

#[test]
fn a_segment_without_end_is_given_up() {
    let clip = testing::h264_aac();
    let mut au = clip.access_units[0].clone();
    let mut big = BytesMut::new();
    nal::write_unit(&vec![0x41; 1 << 20], &mut big);
    au.data = big.freeze();
    let mut segmenter = Segmenter::new(Form::Fmp4, &clip.tracks);
    for i in 0..80 {
        au.segment = (i == 0).then_some(1.into());
        assert_eq!(segmenter.push(&au), None);
    }
    assert_eq!(segmenter.finish(), None);
    au.segment = Some(2.into());
    segmenter.push(&au);
    assert!(segmenter.finish().unwrap().discontinuity);
}

#[test]
fn audio_alone_is_cut_too() {
    let mut clip = testing::h264_aac().only(|t| t.kind() == TrackKind::Audio);
    for (i, au) in clip.access_units.iter_mut().enumerate() {
        au.segment = (i % 47 == 0).then(|| (1 + i as u64 / 47).into());
    }
    for form in [Form::Ts, Form::Fmp4] {
        let segments = segments(form, &clip);
        assert_eq!(segments.len(), 4);
        assert!(
            segments.iter().all(|s| s.duration.as_millis() == 1002),
            "{:?}",
            segments[3].duration
        );
    }
}
