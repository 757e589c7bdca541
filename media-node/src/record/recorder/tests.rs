//! Recordings over segments: when they begin, are cut and end. What is on the disk is the loopback tests'.

use super::*;

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
