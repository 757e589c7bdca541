use super::*;

const SEGMENT: Duration = Duration::from_secs(2);
const PART: Duration = Duration::from_millis(200);

fn opened(number: u64, discontinuity: bool) -> Cut {
    opened_in(0, number, discontinuity)
}

fn opened_in(era: u64, number: u64, discontinuity: bool) -> Cut {
    Cut::Opened {
        number,
        era,
        start: Timestamp::from_millis(2000 * number as i64),
        discontinuity,
        init: Init::new(Bytes::copy_from_slice(&(number / 4).to_be_bytes())),
    }
}

fn part_of(number: u64, index: u32, ms: u64) -> Cut {
    let part = Part {
        duration: Duration::from_millis(ms),
        independent: index == 0,
        regular: true,
        bytes: Bytes::from(format!("{number}.{index} ")),
    };
    Cut::Part { number, index, part }
}

fn window() -> PartedWindow {
    PartedWindow::new(3, 2, SEGMENT, PART)
}

/// Takes a segment of so many parts.
fn take(window: &mut PartedWindow, number: u64, parts: u32, closed: bool) {
    window.take(opened(number, false));
    for index in 0..parts {
        window.take(part_of(number, index, 200));
    }
    if closed {
        window.take(Cut::Closed { number });
    }
}

type Shown = (u64, bool, usize);

/// Number, whether it is whole, and how many parts are listed, of each segment; and the hint.
fn shown(window: &PartedWindow) -> (Vec<Shown>, (u64, u32)) {
    let playlist = window.playlist().expect("a playlist");
    let entries = playlist.segments.iter().filter(|s| !s.gap);
    (
        entries
            .map(|s| (s.number, s.duration.is_some(), s.parts.len()))
            .collect(),
        (playlist.hint.number, playlist.hint.index),
    )
}

fn at(number: u64, index: u32) -> PartPosition {
    PartPosition { number, index }
}

fn here(text: &str) -> Lookup {
    Lookup::Here(Bytes::copy_from_slice(text.as_bytes()))
}

#[test]
fn parts_are_listed_as_they_come() {
    let mut window = window();
    assert_eq!(window.playlist(), None);
    window.take(opened(10, false));
    assert_eq!(window.playlist(), None, "nothing can be fetched yet");
    window.take(part_of(10, 0, 200));
    assert_eq!(shown(&window), (vec![(10, false, 1)], (10, 1)));
    window.take(part_of(10, 1, 200));
    window.take(Cut::Closed { number: 10 });
    assert_eq!(shown(&window), (vec![(10, true, 2)], (11, 0)));
    window.take(opened(11, false));
    assert_eq!(shown(&window), (vec![(10, true, 2)], (11, 0)));
    window.take(part_of(11, 0, 200));
    assert_eq!(shown(&window), (vec![(10, true, 2), (11, false, 1)], (11, 1)));
}

#[test]
fn a_segment_that_is_not_whole_does_not_stand_alone() {
    let mut window = window();
    let gaps = |window: &PartedWindow| -> Vec<(u64, bool, Option<Duration>)> {
        let segments = window.playlist().unwrap().segments;
        segments.iter().map(|s| (s.number, s.gap, s.duration)).collect()
    };
    take(&mut window, 10, 2, false);
    assert_eq!(gaps(&window), [(9, true, Some(SEGMENT)), (10, false, None)]);
    window.take(Cut::Closed { number: 10 });
    let whole = (10, false, Some(2 * PART));
    assert_eq!(gaps(&window), [whole]);
    take(&mut window, 11, 1, false);
    assert_eq!(gaps(&window), [whole, (11, false, None)]);
}

#[test]
fn old_segments_lose_their_parts_then_their_place_and_then_are_gone() {
    let mut window = window();
    for number in 10..20 {
        take(&mut window, number, 10, true);
    }
    take(&mut window, 20, 3, false);
    let (segments, hint) = shown(&window);
    assert_eq!(
        segments,
        [
            (14, true, 10),
            (15, true, 10),
            (16, true, 10),
            (17, true, 10),
            (18, true, 10),
            (19, true, 10),
            (20, false, 3)
        ]
    );
    assert_eq!(hint, (20, 3));
    assert_eq!(window.part(at(12, 9)), here("12.9 "));
    assert_eq!(window.part(at(11, 0)), Lookup::Absent);
    // With shorter target durations, parts don't reach as far back.
    let mut short = PartedWindow::new(8, 0, Duration::from_secs(1), PART);
    for number in 10..20 {
        take(&mut short, number, 5, true);
    }
    let listed: Vec<_> = shown(&short).0.iter().map(|(_, _, parts)| *parts).collect();
    assert_eq!(listed, [0, 0, 5, 5, 5, 5, 5, 5]);
}

#[test]
fn what_can_be_fetched() {
    let mut window = window();
    assert_eq!(window.part(at(10, 0)), Lookup::Coming, "nothing is known yet");
    take(&mut window, 10, 3, true);
    take(&mut window, 11, 2, false);
    assert_eq!(window.part(at(10, 2)), here("10.2 "));
    assert_eq!(window.segment(10), here("10.0 10.1 10.2 "));
    assert_eq!(window.part(at(10, 3)), Lookup::Absent);
    assert_eq!(window.part(at(11, 1)), here("11.1 "));
    for (number, index) in [(11, 2), (11, 3), (12, 0), (12, 1)] {
        assert_eq!(window.part(at(number, index)), Lookup::Coming, "{number}.{index}");
    }
    for (number, index) in [(11, 4), (12, 2), (13, 0), (9, 0)] {
        assert_eq!(window.part(at(number, index)), Lookup::Absent, "{number}.{index}");
    }
    assert_eq!(window.segment(11), Lookup::Coming);
    assert_eq!(window.segment(12), Lookup::Coming);
    assert_eq!(window.segment(13), Lookup::Absent);
    assert!(
        window
            .init(Init::new(Bytes::copy_from_slice(&2_u64.to_be_bytes())).version)
            .is_some()
    );
    assert!(window.init(Init::new(Bytes::new()).version).is_none());
}

#[test]
fn what_must_be_waited_for() {
    let mut window = window();
    let ask = |window: &PartedWindow, number, index| window.readiness(Awaited { number, index });
    assert_eq!(ask(&window, 99, Some(7)), Readiness::Wait, "nothing is known yet");
    take(&mut window, 10, 3, true);
    take(&mut window, 11, 2, false);
    for (number, index) in [
        (0, None),
        (9, Some(5)),
        (10, None),
        (10, Some(2)),
        // Behind the last part of a segment lies the next.
        (10, Some(3)),
        (10, Some(50)),
        (11, Some(1)),
    ] {
        assert_eq!(
            ask(&window, number, index),
            Readiness::Ready,
            "{number} {index:?}"
        );
    }
    for (number, index) in [
        (11, None),
        (11, Some(2)),
        (11, Some(15)),
        (12, None),
        (12, Some(0)),
    ] {
        assert_eq!(ask(&window, number, index), Readiness::Wait, "{number} {index:?}");
    }
    for (number, index) in [
        (13, None),
        (13, Some(0)),
        (u64::MAX, None),
        (11, Some(16)),
        (11, Some(u32::MAX)),
    ] {
        assert_eq!(
            ask(&window, number, index),
            Readiness::TooFarAhead,
            "{number} {index:?}"
        );
    }
    window.take(Cut::Closed { number: 11 });
    assert_eq!(ask(&window, 11, None), Readiness::Ready);
    assert_eq!(ask(&window, 11, Some(2)), Readiness::Wait);
    assert_eq!(ask(&window, 13, Some(0)), Readiness::Wait);
}

#[test]
fn a_segment_that_comes_again_goes_on() {
    let mut window = window();
    take(&mut window, 10, 3, true);
    take(&mut window, 11, 2, false);
    // The relay breaks, and begins anew at the segment's start.
    window.take(opened(11, true));
    for index in 0..4 {
        window.take(part_of(11, index, 200));
    }
    window.take(Cut::Closed { number: 11 });
    assert_eq!(shown(&window).0, [(10, true, 3), (11, true, 4)]);
    assert!(
        !window.playlist().unwrap().segments[1].discontinuity,
        "nothing is missing"
    );
    // One that is whole stays as it is.
    take(&mut window, 10, 1, true);
    take(&mut window, 11, 5, true);
    assert_eq!(shown(&window).0, [(10, true, 3), (11, true, 4)]);
}

#[test]
fn a_segment_that_was_cut_off_goes() {
    let mut window = window();
    take(&mut window, 10, 3, true);
    window.take(opened(11, true));
    window.take(part_of(11, 0, 200));
    window.take(opened(12, true));
    window.take(part_of(12, 0, 200));
    assert_eq!(shown(&window).0, [(12, false, 1)]);
    assert_eq!(window.part(at(11, 0)), Lookup::Absent);
    assert_eq!(
        window.readiness(Awaited {
            number: 11,
            index: Some(1)
        }),
        Readiness::Ready
    );
    // Numbers that go back start the window anew.
    window.take(opened(5, true));
    window.take(part_of(5, 0, 200));
    assert_eq!(shown(&window).0, [(5, false, 1)]);
}

#[test]
fn no_part_is_longer_than_the_target_that_is_told_with_it() {
    let mut window = window();
    let within = |window: &PartedWindow| {
        let playlist = window.playlist().unwrap();
        let parts = window.segments.iter().flat_map(|s| &s.parts);
        parts.map(|p| p.duration).max() <= Some(playlist.part_target)
    };
    window.take(opened(10, false));
    window.take(part_of(10, 0, 208));
    assert!(within(&window), "the very first");
    window.take(part_of(10, 1, 208));
    window.take(Cut::Closed { number: 10 });
    // The camera's frame rate changes; the longer parts are still listed.
    for number in 11..13 {
        window.take(opened(number, false));
        for index in 0..10 {
            window.take(part_of(number, index, 160));
            assert!(within(&window), "{number}.{index}");
        }
        window.take(Cut::Closed { number });
        assert!(within(&window), "{number}");
    }
}

#[test]
fn the_part_target_is_that_of_the_parts_within() {
    let target = |parts: &[(u64, bool)]| {
        let mut window = window();
        window.take(opened(1, false));
        for (index, (ms, regular)) in (0..).zip(parts) {
            let mut cut = part_of(1, index, *ms);
            if let Cut::Part { part, .. } = &mut cut {
                part.regular = *regular;
            }
            window.take(cut);
        }
        window.playlist().unwrap().part_target.as_millis() as u64
    };
    for (longest, want) in [
        (200, 210),
        (208, 210),
        (195, 210),
        (167, 181),
        (250, 284),
        (500, 520),
        (40, 47),
    ] {
        let told = target(&[(longest, true)]);
        assert_eq!(told, want, "{longest}");
        assert!(longest * 100 >= told * 85, "{longest} is at least 85 % of {told}");
        // Times that jitter, a short last part and a pause change nothing.
        let jitters = [(longest - 1, true), (longest, true), (3000, false), (20, true)];
        assert_eq!(target(&jitters), told);
    }
}

/// What gateways tell of the same segments, one that was there all along and one that began later.
#[test]
fn it_does_not_matter_when_a_window_began() {
    let mut all = PartedWindow::new(4, 3, SEGMENT, PART);
    let mut late = PartedWindow::new(4, 3, SEGMENT, PART);
    for number in 100..160 {
        // Pictures come at another pace for a while, and not quite in step.
        let ms = if number < 110 { 250 } else { 198 + number % 5 };
        let take = |window: &mut PartedWindow| {
            // The parameters change in between.
            window.take(opened_in(50 + u64::from(number >= 157), number, number == 157));
            for index in 0..10 {
                window.take(part_of(number, index, ms));
            }
            window.take(Cut::Closed { number });
        };
        take(&mut all);
        if number >= 140 {
            take(&mut late);
        }
    }
    let (all, late) = (all.playlist().unwrap(), late.playlist().unwrap());
    assert_eq!(all.target_seconds, late.target_seconds);
    assert_eq!(all.part_target, late.part_target);
    assert_eq!(all.segments, late.segments);
    assert_eq!(all.hint, late.hint);
    assert_eq!(
        (all.discontinuity_sequence, late.discontinuity_sequence),
        (50, 50)
    );
    assert_eq!(all, late);
}

#[test]
fn discontinuities_are_counted_by_the_owner() {
    let mut window = window();
    let mut told = Vec::new();
    for (era, number, opens) in [
        (7, 10, true),
        (7, 11, false),
        (8, 12, true),
        (8, 13, false),
        (90, 14, true),
    ] {
        window.take(opened_in(era, number, opens));
        window.take(part_of(number, 0, 200));
        window.take(Cut::Closed { number });
        let playlist = window.playlist().unwrap();
        let listed: Vec<_> = playlist.segments.iter().map(|s| s.number).collect();
        told.push((playlist.discontinuity_sequence, listed[0], listed.len()));
    }
    // With the tag before 10 it is 7. Another session's are not listed behind those before it: no tag could
    // stand for all that may have been in between.
    assert_eq!(
        told,
        [(6, 10, 1), (6, 10, 2), (6, 10, 3), (6, 10, 4), (89, 14, 1)]
    );
    // Who comes later doesn't have the tag, and has the same number.
    let mut late = self::window();
    late.take(opened_in(7, 11, false));
    late.take(part_of(11, 0, 200));
    assert_eq!(late.playlist().unwrap().discontinuity_sequence, 7);
}

#[test]
fn the_target_duration_holds_all_segments_that_are_meant() {
    let mut window = window();
    let listed = |window: &PartedWindow| window.playlist().unwrap().segments.len();
    assert_eq!(window.target(), 2 * SEGMENT);
    // Up to a keyframe that comes as late as it may.
    for number in 1..10 {
        take(&mut window, number, 19, true);
        assert_eq!(window.playlist().unwrap().target_seconds, 4);
    }
    // Three targets at least, and more segments where they are short.
    assert_eq!(listed(&window), 4);
    for number in 10..30 {
        take(&mut window, number, 10, true);
    }
    assert_eq!(listed(&window), 6);
    for number in 30..60 {
        take(&mut window, number, 5, true);
    }
    assert_eq!(listed(&window), 9, "but not without end");
    // Keyframes further apart than that.
    take(&mut window, 60, 30, true);
    assert_eq!(window.target(), Duration::from_secs(6));
}

#[test]
fn times_are_given_once() {
    let mut window = window();
    take(&mut window, 10, 2, true);
    take(&mut window, 11, 2, false);
    window.settle(|_| None);
    window.settle(|at| Some(at.as_millis() + 5));
    take(&mut window, 11, 2, true);
    take(&mut window, 12, 1, false);
    window.settle(|at| Some(at.as_millis() + 7));
    let playlist = window.playlist().unwrap();
    let times: Vec<_> = playlist.segments.iter().map(|s| s.program_date_time_ms).collect();
    assert_eq!(times, [Some(20_005), Some(22_005), Some(24_007)]);
}
