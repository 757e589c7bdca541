use super::*;
use crate::media::SegmentStart;
use crate::testing::{self, Clip};
use bytes::BytesMut;

const TARGET: Duration = Duration::from_millis(200);

/// A clip with a segment from each keyframe, counted from 100.
fn numbered(mut clip: Clip) -> Clip {
    testing::number_segments(&mut clip, 100);
    clip
}

fn cuts(cutter: &mut PartCutter, units: &[AccessUnit]) -> Vec<Cut> {
    units.iter().flat_map(|au| cutter.push(au)).collect()
}

fn parts(cuts: &[Cut]) -> Vec<(u64, u32, Part)> {
    let parts = cuts.iter().filter_map(|cut| match cut {
        Cut::Part { number, index, part } => Some((*number, *index, part.clone())),
        _ => None,
    });
    parts.collect()
}

fn millis(cuts: &[Cut]) -> Vec<u128> {
    parts(cuts).iter().map(|(.., p)| p.duration.as_millis()).collect()
}

/// Video alone: pictures at these times, a segment from each that is named.
fn pictures(times_ms: &[i64], segments: &[(i64, u64)]) -> Clip {
    let clip = testing::h264_aac().only(|t| t.kind() == TrackKind::Video);
    let key = clip.access_units[0].clone();
    let units = times_ms.iter().map(|ms| {
        let segment = segments.iter().find(|(at, _)| at == ms).map(|(_, n)| *n);
        let dts = Timestamp::new(90 * ms, 90_000);
        AccessUnit {
            dts,
            pts: dts,
            keyframe: segment.is_some(),
            segment: segment.map(SegmentStart::from),
            ..key.clone()
        }
    });
    Clip {
        access_units: units.collect(),
        tracks: clip.tracks,
    }
}

#[test]
fn parts_fill_segments() {
    for clip in [testing::h264_aac(), testing::h265_aac()] {
        let clip = numbered(clip);
        let cuts = cuts(&mut PartCutter::new(TARGET, &clip.tracks), &clip.access_units);
        let found: Vec<_> = parts(&cuts)
            .iter()
            .map(|(number, index, p)| (*number, *index, p.duration, p.independent, p.regular))
            .collect();
        // 25 pictures a second; the last segment is not finished.
        let want = (100..=103)
            .flat_map(|n| (0..5).map(move |i| (n, i, TARGET, i == 0, true)))
            .take(19);
        assert_eq!(found, want.collect::<Vec<_>>());
        let marks = cuts.iter().filter_map(|cut| match cut {
            Cut::Opened {
                number,
                discontinuity,
                ..
            } => Some((*number, !discontinuity)),
            Cut::Closed { number } => Some((*number, false)),
            Cut::Part { .. } => None,
        });
        let want = [
            (100, true),
            (100, false),
            (101, true),
            (101, false),
            (102, true),
            (102, false),
            (103, true),
        ];
        assert_eq!(marks.collect::<Vec<_>>(), want);
    }
}

#[test]
fn nothing_is_lost_between_parts() {
    let clip = numbered(testing::h264_aac());
    let mut cutter = PartCutter::new(TARGET, &clip.tracks);
    let (mut taken, mut told, mut found) = (0, 0, 0);
    for au in &clip.access_units {
        for (.., part) in parts(&cutter.push(au)) {
            let moof = u32::from_be_bytes(part.bytes[..4].try_into().unwrap()) as usize;
            assert_eq!(part.bytes[moof + 4..moof + 8], *b"mdat");
            found += part.bytes.len() - moof - 8;
            told = taken;
        }
        taken += au.data.len();
    }
    assert!(told > taken / 2);
    assert_eq!(found, told);
}

#[test]
fn every_edge_cuts_the_same_parts_wherever_it_began() {
    for clip in [testing::h264_aac(), testing::h265_aac()] {
        let mut clip = numbered(clip);
        for segment in clip.access_units.iter_mut().filter_map(|au| au.segment.as_mut()) {
            segment.era = 7 + u64::from(segment.number > 101);
            segment.opens_era = matches!(segment.number, 100 | 102);
        }
        let all = cuts(&mut PartCutter::new(TARGET, &clip.tracks), &clip.access_units);
        for begin in [1, 40, 90] {
            let late = cuts(
                &mut PartCutter::new(TARGET, &clip.tracks),
                &clip.access_units[begin..],
            );
            assert!(
                matches!(late[0], Cut::Opened { .. }),
                "it waits for a segment's start"
            );
            assert!(late.len() > 5);
            assert_eq!(late[..], all[all.len() - late.len()..]);
        }
    }
}

#[test]
fn parts_are_as_near_to_the_target_as_pictures_allow() {
    for (step, want) in [
        (40, 200),
        (42, 210),
        (33, 198),
        (83, 166),
        (125, 250),
        (160, 160),
        (500, 500),
    ] {
        let times: Vec<_> = (0..40).map(|i| i * step).collect();
        let clip = pictures(&times, &[(0, 1)]);
        let found = millis(&cuts(
            &mut PartCutter::new(TARGET, &clip.tracks),
            &clip.access_units,
        ));
        assert!(
            found.len() > 5 && found.iter().all(|ms| *ms == want),
            "{step}: {found:?}"
        );
    }
}

#[test]
fn times_that_jitter_move_no_picture_to_another_part() {
    let jitter = [0, 7, -5, 3, -8, 6, 1, -4, 8, -2];
    let times: Vec<_> = (0..50).map(|i| 40 * i + jitter[i as usize % 10]).collect();
    let clip = pictures(&times, &[(0, 1)]);
    let found = millis(&cuts(
        &mut PartCutter::new(TARGET, &clip.tracks),
        &clip.access_units,
    ));
    assert_eq!(found.len(), 9);
    assert!(found.iter().all(|ms| (185..=215).contains(ms)), "{found:?}");
}

#[test]
fn a_pause_is_no_measure_of_parts() {
    let times: Vec<_> = (0..30)
        .map(|i| if i < 12 { 40 * i } else { 40 * i + 3000 })
        .collect();
    let clip = pictures(&times, &[(0, 1)]);
    let found = parts(&cuts(
        &mut PartCutter::new(TARGET, &clip.tracks),
        &clip.access_units,
    ));
    let shown: Vec<_> = found
        .iter()
        .map(|(.., p)| (p.duration.as_millis(), p.regular))
        .collect();
    let usual = (200, true);
    assert_eq!(shown, [usual, usual, (3080, false), usual, usual, usual]);
}

#[test]
fn a_segment_may_end_within_a_part() {
    let times: Vec<_> = (0..40).map(|i| 40 * i).collect();
    let clip = pictures(&times, &[(0, 1), (520, 2), (1040, 3)]);
    let found = parts(&cuts(
        &mut PartCutter::new(TARGET, &clip.tracks),
        &clip.access_units,
    ));
    let shown: Vec<_> = found
        .iter()
        .map(|(number, index, p)| (*number, *index, p.duration.as_millis()))
        .collect();
    assert_eq!(
        shown[..7],
        [
            (1, 0, 200),
            (1, 1, 200),
            (1, 2, 120),
            (2, 0, 200),
            (2, 1, 200),
            (2, 2, 120),
            (3, 0, 200)
        ]
    );
}

#[test]
fn what_is_missing_shows_by_the_numbers_alone() {
    let clip = numbered(testing::h264_aac());
    let mut cutter = PartCutter::new(TARGET, &clip.tracks);
    let mut found = Vec::new();
    for au in &clip.access_units {
        found.extend(cutter.push(au));
        if au.pts == Timestamp::new(126_000, 90_000) {
            cutter.lose();
        }
    }
    let opened: Vec<_> = found
        .iter()
        .filter_map(|cut| match cut {
            Cut::Opened {
                number,
                discontinuity,
                ..
            } => Some((*number, *discontinuity)),
            _ => None,
        })
        .collect();
    assert_eq!(opened, [(100, false), (101, false), (102, false), (103, false)]);
    assert!(!found.contains(&Cut::Closed { number: 101 }));
}

#[test]
fn new_parameters_end_the_segment() {
    let (clip, other) = (numbered(testing::h264_aac()), numbered(testing::h265_aac()));
    let mut cutter = PartCutter::new(TARGET, &clip.tracks);
    let mut found = cuts(&mut cutter, &clip.access_units[..100]);
    assert_eq!(cutter.set_tracks(&clip.tracks), []);
    let ended = cutter.set_tracks(&other.tracks);
    assert!(
        matches!(ended[..], [Cut::Part { .. }, Cut::Closed { .. }]),
        "{ended:?}"
    );
    found.extend(ended);
    let mut units = other.access_units.clone();
    for au in &mut units {
        au.segment = au.segment.map(|s| SegmentStart::from(s.number + 10));
    }
    let after = cuts(&mut cutter, &units);
    let init = |cut: &Cut| match cut {
        Cut::Opened {
            init, discontinuity, ..
        } => (init.version, *discontinuity),
        _ => panic!("{cut:?}"),
    };
    let (old, new) = (init(&found[0]), init(&after[0]));
    assert!(old.0 != new.0 && !old.1 && new.1);
}

#[test]
fn only_what_players_take_is_carried() {
    use crate::media::codec::g711;
    use crate::media::{CodecParameters, Track};
    let clip = numbered(testing::h264_aac().only(|t| t.kind() == TrackKind::Video));
    let g711 = Track {
        codec: CodecParameters::G711(g711::Parameters {
            law: g711::Law::Mu,
            channels: 1,
        }),
        clock_rate: 8000,
    };
    let tracks = Tracks::new(std::iter::once(g711).chain(clip.tracks.iter().cloned()));
    let sound = AccessUnit {
        keyframe: false,
        segment: None,
        ..clip.access_units[0].clone()
    };
    let units: Vec<_> = clip
        .access_units
        .iter()
        .flat_map(|au| {
            [
                AccessUnit {
                    track: 1,
                    ..au.clone()
                },
                sound.clone(),
            ]
        })
        .collect();
    let with = cuts(&mut PartCutter::new(TARGET, &tracks), &units);
    let without = cuts(&mut PartCutter::new(TARGET, &clip.tracks), &clip.access_units);
    assert!(with.len() > 20);
    assert_eq!(with, without);
}

#[test]
fn a_segment_without_end_is_given_up() {
    let clip = pictures(&[0, 40], &[(0, 1)]);
    let mut au = clip.access_units[1].clone();
    let mut big = BytesMut::new();
    crate::media::codec::nal::write_unit(&vec![0x41; 1 << 20], &mut big);
    au.data = big.freeze();
    let mut cutter = PartCutter::new(TARGET, &clip.tracks);
    cutter.push(&clip.access_units[0]);
    for i in 1..200 {
        au.dts = Timestamp::from_millis(40 * i);
        let cuts = cutter.push(&au);
        assert!(i < 70 || cuts.is_empty(), "{i}");
    }
    au.segment = Some(2.into());
    assert!(matches!(cutter.push(&au)[..], [Cut::Opened { number: 2, .. }]));
}

/// A stream of G.711 and AAC, where each access unit counts as a keyframe and the number of a segment may be
/// on either.
#[test]
fn a_segment_may_begin_with_what_is_not_carried() {
    use crate::media::codec::g711;
    use crate::media::{CodecParameters, Track};
    let mut clip = testing::h264_aac().only(|t| t.kind() == TrackKind::Audio);
    let g711 = Track {
        codec: CodecParameters::G711(g711::Parameters {
            law: g711::Law::Mu,
            channels: 1,
        }),
        clock_rate: 8000,
    };
    let tracks = Tracks::new(std::iter::once(g711).chain(clip.tracks.iter().cloned()));
    let (mut units, mut number) = (Vec::new(), 0);
    for (i, au) in clip.access_units.iter_mut().enumerate() {
        number += u64::from(i % 94 == 0);
        let first = (i % 94 == 0).then(|| SegmentStart::from(number));
        au.segment = first;
        units.push(AccessUnit {
            track: 0,
            segment: first,
            ..au.clone()
        });
        units.push(AccessUnit {
            track: 1,
            segment: None,
            ..au.clone()
        });
    }
    let with = cuts(&mut PartCutter::new(TARGET, &tracks), &units);
    let without = cuts(&mut PartCutter::new(TARGET, &clip.tracks), &clip.access_units);
    assert!(with.len() > 18);
    assert_eq!(with, without);
}

#[test]
fn sound_alone_is_cut_too() {
    let mut clip = testing::h264_aac().only(|t| t.kind() == TrackKind::Audio);
    for (i, au) in clip.access_units.iter_mut().enumerate() {
        au.segment = (i % 94 == 0).then(|| (1 + i as u64 / 94).into());
    }
    let found = parts(&cuts(
        &mut PartCutter::new(TARGET, &clip.tracks),
        &clip.access_units,
    ));
    assert!(found.len() >= 18);
    assert!(found.iter().all(|(.., p)| p.independent));
    assert!(
        found[..10].iter().all(|(.., p)| p.duration.as_millis() == 192),
        "{:?}",
        found[3].2.duration
    );
}
