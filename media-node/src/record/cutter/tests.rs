use super::*;
use weir_proto::testing::{self, Clip};

fn cut(clip: &Clip, target: Duration) -> Vec<Cut> {
    let mut cutter = Cutter::new(&clip.tracks, target);
    let mut cuts = Vec::new();
    for au in &clip.access_units {
        cutter.push(au, &mut cuts);
    }
    cutter.finish(&mut cuts);
    cuts
}

fn starts(cuts: &[Cut]) -> Vec<i64> {
    let starts = cuts.iter().filter_map(|cut| match cut {
        Cut::Opened { start, .. } => Some(start.as_millis()),
        _ => None,
    });
    starts.collect()
}

fn ends(cuts: &[Cut]) -> Vec<i64> {
    let ends = cuts.iter().filter_map(|cut| match cut {
        Cut::Closed { end } => Some(end.as_millis()),
        _ => None,
    });
    ends.collect()
}

#[test]
fn segments_begin_at_keyframes_and_meet() {
    // GOPs of a second, so that every second one begins a segment.
    let clip = testing::h264_aac();
    let cuts = cut(&clip, Duration::from_secs(2));
    let (starts, ends) = (starts(&cuts), ends(&cuts));
    assert_eq!(starts.len(), 2);
    assert_eq!(ends[0], starts[1]);
    assert_eq!(starts[1] - starts[0], 2000);
    assert_eq!(
        ends[1] - starts[1],
        2000,
        "the last picture lasts as long as the others"
    );
    assert!(matches!(cuts[0], Cut::Opened { .. }));
    assert!(matches!(cuts[1], Cut::Fragment(_)));
}

#[test]
fn fragments_end_before_keyframes_and_after_a_second() {
    let clip = testing::h264_aac();
    let whole = cut(&clip, Duration::from_mins(1));
    let fragments = whole.iter().filter(|cut| matches!(cut, Cut::Fragment(_))).count();
    assert_eq!(fragments, 4, "one for each GOP");
    // Without keyframes but the first, a second makes a fragment.
    let mut long = clip.clone();
    for au in long.access_units.iter_mut().skip(1) {
        au.keyframe = false;
    }
    let fragments = cut(&long, Duration::from_secs(2));
    assert_eq!(starts(&fragments).len(), 1);
    let fragments = fragments
        .iter()
        .filter(|cut| matches!(cut, Cut::Fragment(_)))
        .count();
    assert_eq!(fragments, 4);
}

#[test]
fn sound_alone_is_cut_by_time() {
    let clip = testing::h264_aac().only(|track| track.kind() == TrackKind::Audio);
    let cuts = cut(&clip, Duration::from_secs(2));
    let fragments = cuts.iter().filter(|cut| matches!(cut, Cut::Fragment(_))).count();
    assert_eq!(starts(&cuts).len(), 2);
    assert!((4..=6).contains(&fragments), "{fragments}");
}

#[test]
fn no_access_unit_is_lost_or_doubled() {
    let clip = testing::h264_aac();
    let bytes: usize = clip.access_units.iter().map(|au| au.data.len()).sum();
    for target in [1, 2, 60] {
        let cuts = cut(&clip, Duration::from_secs(target));
        let payload: usize = cuts
            .iter()
            .filter_map(|cut| match cut {
                Cut::Fragment(fragment) => {
                    let moof = u32::from_be_bytes(fragment[..4].try_into().expect("4 bytes")) as usize;
                    Some(fragment.len() - moof - 8)
                }
                _ => None,
            })
            .sum();
        assert_eq!(payload, bytes, "segments of {target} s");
    }
}

#[test]
fn a_cut_that_is_wanted_soon_comes_at_the_next_keyframe() {
    let clip = testing::h264_aac();
    let mut cutter = Cutter::new(&clip.tracks, Duration::from_mins(1));
    let mut cuts = Vec::new();
    for (number, au) in clip.access_units.iter().enumerate() {
        if number == 10 {
            cutter.cut_soon();
        }
        cutter.push(au, &mut cuts);
    }
    assert_eq!(starts(&cuts).len(), 2);
    assert_eq!(ends(&cuts), [starts(&cuts)[1]]);
}

#[test]
fn new_parameters_begin_a_segment_of_their_own() {
    let (first, second) = (testing::h264_aac(), testing::h265_aac());
    let mut cutter = Cutter::new(&first.tracks, Duration::from_mins(1));
    let mut cuts = Vec::new();
    for au in &first.access_units {
        cutter.push(au, &mut cuts);
    }
    cutter.set_tracks(&second.tracks, &mut cuts);
    for au in &second.access_units {
        cutter.push(au, &mut cuts);
    }
    cutter.finish(&mut cuts);
    let opened: Vec<&Tracks> = cuts
        .iter()
        .filter_map(|cut| match cut {
            Cut::Opened { tracks, .. } => Some(tracks),
            _ => None,
        })
        .collect();
    assert_eq!(opened, [&first.tracks, &second.tracks]);
    assert_eq!(ends(&cuts).len(), 2);
}

#[test]
fn what_comes_before_a_keyframe_is_left_out() {
    let clip = testing::h264_aac();
    let mut cutter = Cutter::new(&clip.tracks, Duration::from_mins(1));
    let mut cuts = Vec::new();
    for au in clip.access_units.iter().skip(5) {
        cutter.push(au, &mut cuts);
    }
    cutter.finish(&mut cuts);
    assert_eq!(starts(&cuts), [starts(&cut(&clip, Duration::from_secs(1)))[1]]);
}

#[test]
fn sound_that_goes_on_alone_does_not_wait_for_pictures() {
    let clip = testing::h264_aac();
    let (mut cutter, mut cuts) = (Cutter::new(&clip.tracks, Duration::from_mins(1)), Vec::new());
    for au in &clip.access_units {
        cutter.push(au, &mut cuts);
    }
    let fragments = |cuts: &[Cut]| cuts.iter().filter(|cut| matches!(cut, Cut::Fragment(_))).count();
    let before = fragments(&cuts);
    // The camera's picture fails for a minute; its sound goes on.
    let sound = clip.access_units.iter().rfind(|au| au.track != 0).expect("sound");
    for n in 1..=60 * 47 {
        let au = AccessUnit {
            dts: sound.dts.offset(n * 1024),
            pts: sound.pts.offset(n * 1024),
            ..sound.clone()
        };
        cutter.push(&au, &mut cuts);
    }
    assert!(
        (5..=7).contains(&(fragments(&cuts) - before)),
        "{}",
        fragments(&cuts) - before
    );
    cutter.finish(&mut cuts);
    let mut file = weir_proto::fmp4::init_segment(&clip.tracks).to_vec();
    for cut in &cuts {
        if let Cut::Fragment(bytes) = cut {
            file.extend_from_slice(bytes);
        }
    }
    let scanned = weir_proto::fmp4::scan(&file).expect("whole");
    assert_eq!(scanned.tail, None);
    let samples: usize = scanned
        .fragments
        .iter()
        .flat_map(|f| &f.runs)
        .map(|r| r.samples.len())
        .sum();
    assert_eq!(samples, clip.access_units.len() + 60 * 47);
}

/// The samples of the pictures of each segment.
fn pictures(tracks: &Tracks, cuts: &[Cut]) -> Vec<Vec<Vec<u8>>> {
    let mut segments: Vec<Vec<u8>> = Vec::new();
    for cut in cuts {
        match cut {
            Cut::Opened { tracks, .. } => segments.push(weir_proto::fmp4::init_segment(tracks).to_vec()),
            Cut::Fragment(bytes) => segments.last_mut().expect("open").extend_from_slice(bytes),
            Cut::Closed { .. } => {}
        }
    }
    let number = main_track(tracks);
    let of_segment = |file: &Vec<u8>| {
        let scanned = weir_proto::fmp4::scan(file).expect("whole");
        assert_eq!(scanned.tail, None);
        let runs = scanned
            .fragments
            .iter()
            .filter_map(|fragment| fragment.run(number));
        let mut samples = Vec::new();
        for run in runs {
            let mut at = run.data.start as usize;
            for sample in &run.samples {
                samples.push(file[at..at + sample.size as usize].to_vec());
                at += sample.size as usize;
            }
        }
        samples
    };
    segments.iter().map(of_segment).collect()
}

/// The clip, with other tracks from the access unit of this number on.
fn changed(clip: &Clip, at: usize, tracks: &Tracks) -> (Vec<Cut>, Vec<Vec<Vec<u8>>>) {
    let mut cutter = Cutter::new(&clip.tracks, Duration::from_mins(1));
    let mut cuts = Vec::new();
    for (number, au) in clip.access_units.iter().enumerate() {
        if number == at {
            cutter.set_tracks(tracks, &mut cuts);
        }
        cutter.push(au, &mut cuts);
    }
    cutter.finish(&mut cuts);
    let pictures = pictures(&clip.tracks, &cuts);
    (cuts, pictures)
}

/// The clip's tracks with other parameters of the pictures.
fn with_video(clip: &Clip, change: impl Fn(&mut CodecParameters)) -> Tracks {
    Tracks::new(clip.tracks.iter().map(|track| {
        let mut track = track.clone();
        if track.kind() == TrackKind::Video {
            change(&mut track.codec);
        }
        track
    }))
}

/// Of the pictures, the first that comes after a tenth of them, which is within a GOP, and the first of the next GOP.
fn within_a_gop(clip: &Clip) -> (usize, usize) {
    let is_picture = |au: &&AccessUnit| au.track == main_track(&clip.tracks);
    let count = clip.access_units.iter().filter(is_picture).count();
    let pictures = clip.access_units.iter().filter(is_picture).enumerate();
    let next = pictures
        .skip(count / 10)
        .find(|(_, au)| au.keyframe)
        .expect("a keyframe")
        .0;
    let all = clip.access_units.iter().enumerate();
    let at = all
        .filter(|(_, au)| is_picture(au))
        .nth(count / 10)
        .expect("a picture")
        .0;
    (at, next)
}

#[test]
fn pictures_up_to_the_next_keyframe_stay_when_sound_changes() {
    for clip in [testing::h264_aac(), testing::h265_aac()] {
        let silent = Tracks::new(
            clip.tracks
                .iter()
                .filter(|t| t.kind() == TrackKind::Video)
                .cloned(),
        );
        let (at, next) = within_a_gop(&clip);
        let (cuts, pictures) = changed(&clip, at, &silent);
        let all: Vec<&[u8]> = clip
            .access_units
            .iter()
            .filter(|au| au.track == main_track(&clip.tracks))
            .map(|au| &*au.data)
            .collect();
        assert_eq!(pictures.concat(), all, "none is lost, none comes twice");
        assert_eq!(pictures[0].len(), next);
        let opened: Vec<&Tracks> = cuts
            .iter()
            .filter_map(|cut| match cut {
                Cut::Opened { tracks, .. } => Some(tracks),
                _ => None,
            })
            .collect();
        assert_eq!(opened, [&clip.tracks, &silent]);
        assert_eq!(ends(&cuts)[0], starts(&cuts)[1]);
    }
}

#[test]
fn a_picture_parameter_set_that_changes_comes_in_the_stream() {
    for clip in [testing::h264_aac(), testing::h265_aac()] {
        let mut added = vec![];
        let tracks = with_video(&clip, |codec| match codec {
            CodecParameters::H264(p) => p.pps = [&p.pps[..], &[0x80]].concat().into(),
            CodecParameters::H265(p) => p.pps = [&p.pps[..], &[0x80]].concat().into(),
            _ => {}
        });
        match &tracks.get(main_track(&tracks)).expect("pictures").codec {
            CodecParameters::H264(p) => nal::write_unit(&p.pps, &mut added),
            CodecParameters::H265(p) => nal::write_unit(&p.pps, &mut added),
            _ => {}
        }
        let (at, next) = within_a_gop(&clip);
        let (_, pictures) = changed(&clip, at, &tracks);
        assert_eq!(pictures[0].len(), next, "the GOP is whole");
        assert_eq!(pictures.len(), 2);
        let with: Vec<usize> = (0..next)
            .filter(|&n| pictures[0][n].starts_with(&added))
            .collect();
        let before = clip.access_units[..at].iter();
        let before = before.filter(|au| au.track == main_track(&clip.tracks)).count();
        assert_eq!(with, [before], "before the first picture that needs it, once");
        assert_eq!(pictures[0][before][added.len()..], clip.access_units[at].data);
    }
}

#[test]
fn pictures_of_a_sequence_whose_keyframe_is_missing_are_left_out() {
    let clip = testing::h264_aac();
    let tracks = with_video(&clip, |codec| {
        if let CodecParameters::H264(p) = codec {
            p.sps = [&p.sps[..], &[0x80]].concat().into();
        }
    });
    let (at, next) = within_a_gop(&clip);
    let (_, pictures) = changed(&clip, at, &tracks);
    assert!(pictures[0].len() < next, "{} of {next}", pictures[0].len());
    assert_eq!(pictures.len(), 2);
}

#[test]
fn sound_that_was_changed_waits_for_the_next_segment() {
    let clip = testing::h264_aac();
    let other = Tracks::new(clip.tracks.iter().map(|track| {
        let mut track = track.clone();
        if track.kind() == TrackKind::Audio {
            track.clock_rate *= 2;
        }
        track
    }));
    let (at, _) = within_a_gop(&clip);
    let (cuts, _) = changed(&clip, at, &other);
    let opened = cuts
        .iter()
        .filter(|cut| matches!(cut, Cut::Opened { .. }))
        .count();
    assert_eq!(opened, 2);
    let end_of_first = cuts
        .iter()
        .position(|cut| matches!(cut, Cut::Closed { .. }))
        .expect("closed");
    let mut file = weir_proto::fmp4::init_segment(&clip.tracks).to_vec();
    for cut in &cuts[..end_of_first] {
        if let Cut::Fragment(bytes) = cut {
            file.extend_from_slice(bytes);
        }
    }
    let scanned = weir_proto::fmp4::scan(&file).expect("whole");
    let sound = 1 - main_track(&clip.tracks);
    let samples: usize = scanned
        .fragments
        .iter()
        .filter_map(|fragment| fragment.run(sound))
        .map(|run| run.samples.len())
        .sum();
    let before = clip.access_units[..at]
        .iter()
        .filter(|au| au.track == sound)
        .count();
    assert_eq!(samples, before);
}
