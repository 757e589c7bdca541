//! Recordings over segments: when they begin, are cut and end. What is on the disk is the loopback tests'.

use super::*;
use weir_proto::fmp4;
use weir_proto::testing;

const DOOR: &str = "0a1b";

fn label(schedule: &str, minutes: u64, overlap: u32) -> Label {
    Label {
        schedule_uid: schedule.to_owned(),
        schedule: schedule.to_owned(),
        length: (minutes > 0).then(|| Duration::from_mins(minutes)),
        overlap,
        snapshots: None,
    }
}

fn spans(notes: &[Note]) -> Vec<(&str, i64, i64, bool)> {
    notes
        .iter()
        .map(|n| (n.schedule_uid.as_str(), n.start_ms, n.end_ms, n.closed))
        .collect()
}

#[test]
fn a_recording_takes_all_segments_of_its_window() {
    let mut recordings = Recordings::default();
    let labels = [label("a", 0, 0)];
    assert_eq!(
        spans(&recordings.segment_begins(DOOR, &labels, 1000, &[])),
        [("a", 1000, 1000, false)]
    );
    assert_eq!(
        spans(&recordings.segment_ended(61_000)),
        [("a", 1000, 61_000, false)]
    );
    assert_eq!(spans(&recordings.segment_begins(DOOR, &labels, 61_000, &[])), []);
    // Its window closes in the middle of a segment, which is to end soon.
    assert_eq!(recordings.keep(&[], Some(80_000)), (Vec::new(), true));
    assert_eq!(
        spans(&recordings.segment_ended(82_000)),
        [("a", 1000, 80_000, true)]
    );
    assert_eq!(spans(&recordings.close_all()), []);
}

#[test]
fn a_long_one_is_cut_at_a_keyframe_and_the_next_repeats_some() {
    let mut recordings = Recordings::default();
    let labels = [label("a", 1, 2), label("b", 0, 0)];
    recordings.segment_begins(DOOR, &labels, 0, &[0]);
    assert!(!recordings.is_one_due(59_999));
    assert!(recordings.is_one_due(60_000));
    recordings.segment_ended(60_000);
    let keyframes = [54_000, 56_000, 58_000, 60_000];
    assert_eq!(
        spans(&recordings.segment_begins(DOOR, &labels, 60_000, &keyframes)),
        [("a", 0, 60_000, true), ("a", 56_000, 60_000, false)]
    );
    // Fewer keyframes than are asked for: all there are, but not all of the one before.
    assert!(recordings.is_one_due(116_000));
    let notes = recordings.segment_begins(DOOR, &labels, 116_000, &[114_000, 116_000]);
    assert_eq!(
        spans(&notes),
        [("a", 56_000, 116_000, true), ("a", 114_000, 116_000, false)]
    );
}

#[test]
fn all_end_where_their_media_does() {
    let mut recordings = Recordings::default();
    recordings.segment_begins(DOOR, &[label("a", 0, 0)], 0, &[]);
    recordings.segment_ended(5000);
    // No session runs: nothing is waited for.
    let (notes, _) = recordings.keep(&[], None);
    assert_eq!(spans(&notes), [("a", 0, 5000, true)]);
    recordings.segment_begins(DOOR, &[label("b", 0, 0)], 9000, &[]);
    recordings.segment_ended(10_000);
    assert_eq!(spans(&recordings.close_all()), [("b", 9000, 10_000, true)]);
}

#[test]
fn the_same_recording_has_the_same_name() {
    let note = |start_ms, end_ms| Note {
        camera_uid: DOOR.to_owned(),
        schedule_uid: "a".to_owned(),
        start_ms,
        end_ms,
        closed: false,
    };
    assert_eq!(note(1, 2).name(), note(1, 3).name());
    assert_ne!(note(1, 2).name(), note(2, 3).name());
}

#[test]
fn a_clock_set_back_between_sessions_begins_another_recording() {
    let mut recordings = Recordings::default();
    let labels = [label("a", 60, 0)];
    recordings.segment_begins(DOOR, &labels, 7_200_000, &[]);
    recordings.segment_ended(7_260_000);
    // A burst at the beginning of a session is timed roughly.
    assert_eq!(
        spans(&recordings.segment_begins(DOOR, &labels, 7_258_000, &[])),
        []
    );
    recordings.segment_ended(7_300_000);
    assert_eq!(
        spans(&recordings.segment_begins(DOOR, &labels, 3_700_000, &[])),
        [
            ("a", 7_200_000, 7_300_000, true),
            ("a", 3_700_000, 3_700_000, false)
        ]
    );
    assert_eq!(
        spans(&recordings.segment_ended(3_760_000)),
        [("a", 3_700_000, 3_760_000, false)]
    );
}

#[test]
fn segments_begin_after_1970_and_not_before_each_other() {
    let mut session = Session::of(7, &testing::h264_aac().tracks, Duration::from_mins(1));
    assert_eq!(session.begins(-1500), 0);
    assert_eq!(session.ends(700), 700);
    assert_eq!(session.begins(650), 700);
}

const HOUR_MS: i64 = 3_600_000;

/// What is written of a clip of four seconds, with a keyframe at each, when our clock is set back by an hour in the middle of
/// the second. Cuts are handed on after every so many access units.
async fn set_back(every: usize) -> Vec<Step> {
    let clip = testing::h264_aac();
    let wanted = Wanted {
        camera_uid: DOOR.to_owned(),
        camera: "door".to_owned(),
        path: weir_proto::media::StreamPath::parse("door").expect("a path"),
        epoch: 1,
        on_demand: false,
        leaving: false,
        labels: vec![label("a", 0, 0)],
    };
    let (_sender, wanted) = watch::channel(wanted);
    let (steps, mut written) = tokio::sync::mpsc::channel(1000);
    let mut recorder = Recorder {
        hub: Hub::new(),
        states: Arc::default(),
        segment: Duration::from_mins(1),
        wanted,
        steps,
        is_lost: Arc::default(),
        recordings: Recordings::default(),
        sequence: 0,
    };
    let mut session = Session::of(7, &clip.tracks, recorder.segment);
    for (number, au) in clip.access_units.iter().enumerate() {
        let media = au.dts.as_micros();
        let back = if media >= 1_500_000 { HOUR_MS * 1000 } else { 0 };
        session.unit(au, 10 * HOUR_MS * 1000 + media - back, &mut recorder.recordings);
        if number % every == 0 {
            recorder.write(&mut session).await;
        }
    }
    session.finish();
    recorder.write(&mut session).await;
    let closing = recorder.recordings.close_all();
    recorder.note(closing).await;
    drop(recorder);
    let mut all = Vec::new();
    while let Some(step) = written.recv().await {
        all.push(step);
    }
    all
}

#[tokio::test]
async fn a_clock_that_is_set_costs_no_picture_and_parts_recordings() {
    let clip = testing::h264_aac();
    for every in [1, 7, 1000] {
        let (mut starts, mut ends, mut notes) = (Vec::new(), Vec::new(), Vec::new());
        let mut file = fmp4::init_segment(&clip.tracks).to_vec();
        for step in set_back(every).await {
            match step {
                Step::Open { key, .. } => starts.push(key.start_ms),
                Step::Append(bytes) => file.extend_from_slice(&bytes),
                Step::Close { end_ms } => ends.push(end_ms),
                Step::Note(note) => notes.push(note),
            }
        }
        let fragments = fmp4::scan(&file).expect("whole").fragments;
        let samples: usize = fragments
            .iter()
            .flat_map(|f| &f.runs)
            .map(|r| r.samples.len())
            .sum();
        assert_eq!(samples, clip.access_units.len(), "every {every}");
        let about = |a: i64, b: i64| (a - b).abs() < 150;
        let (first, second) = (10 * HOUR_MS, 9 * HOUR_MS + 2000);
        assert!(starts.len() == 2 && ends.len() == 2, "{starts:?} {ends:?}");
        assert!(about(starts[0], first) && about(starts[1], second), "{starts:?}");
        assert!(
            about(ends[0], first + 2000) && about(ends[1], second + 2000),
            "{ends:?}"
        );
        notes.retain(|note| note.closed);
        let closed = spans(&notes);
        assert_eq!(
            closed,
            [("a", starts[0], ends[0], true), ("a", starts[1], ends[1], true)],
            "every {every}"
        );
    }
}
