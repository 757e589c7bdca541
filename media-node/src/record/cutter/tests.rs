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
