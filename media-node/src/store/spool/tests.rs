use super::*;
use std::io::Write;
use std::time::Duration;

fn key(start_ms: i64) -> SegmentKey {
    SegmentKey {
        camera_uid: "0a1b2c3d-0000-0000-0000-000000000001".to_owned(),
        start_ms,
        epoch: 1,
        session: 7,
        sequence: 1,
    }
}

fn spool(most_bytes: u64) -> (Spool, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let spool = Spool::open(folder.path(), most_bytes).expect("a spool");
    (spool, folder)
}

fn put(spool: &Spool, start_ms: i64, bytes: usize) {
    let (mut file, _claim) = spool.create(&key(start_ms), b"{}").expect("created");
    file.write_all(&vec![0; bytes]).expect("written");
    spool.seal(&key(start_ms), b"{}").expect("sealed");
}

#[test]
fn a_segment_goes_from_open_to_whole_to_nowhere() {
    let (spool, folder) = spool(1000);
    spool.create(&key(5), b"note").expect("created");
    assert!(spool.create(&key(5), b"note").is_err(), "one writer");
    assert_eq!(spool.open_note(&key(5)).expect("read"), b"note");
    let open = spool.left_open().expect("a list");
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].key, key(5));
    assert_eq!(spool.whole().expect("a list"), []);
    spool.seal(&key(5), b"{}").expect("sealed");
    assert_eq!(spool.left_open().expect("a list"), []);
    assert_eq!(spool.whole().expect("a list").len(), 1);
    spool.remove(&key(5)).expect("removed");
    spool.remove(&key(5)).expect("once more is no fault");
    for part in ["open", "whole"] {
        let files: Vec<_> = fs::read_dir(folder.path().join(part).join(&key(5).camera_uid))
            .expect("a folder")
            .collect();
        assert!(files.is_empty(), "{files:?}");
    }
}

#[test]
fn what_somebody_writes_was_not_left() {
    let (spool, _folder) = spool(1000);
    let (_file, claim) = spool.create(&key(5), b"note").expect("created");
    let other = spool.clone();
    assert_eq!(other.left_open().expect("a list"), []);
    assert!(other.create(&key(5), b"note").is_err(), "one writer");
    assert_eq!(
        other.left_open().expect("a list"),
        [],
        "it is still the first one's"
    );
    drop(claim);
    assert_eq!(spool.left_open().expect("a list").len(), 1);
}

#[test]
fn a_full_spool_drops_its_oldest() {
    let (spool, _folder) = spool(250);
    for start_ms in [30, 10, 20] {
        put(&spool, start_ms, 100);
    }
    let dropped = spool.make_room(0).expect("room");
    assert_eq!(dropped.iter().map(|s| s.key.start_ms).collect::<Vec<_>>(), [10]);
    assert_eq!(spool.whole().expect("a list").len(), 2);
    assert_eq!(spool.make_room(0).expect("room"), []);
    // What no dropping can make room for drops nothing.
    assert_eq!(spool.make_room(u64::MAX).expect("room"), []);
}

#[test]
fn what_others_take_of_the_disk_is_not_taken_from_what_waits() {
    // A disk with room: the reserve is had by dropping.
    assert_eq!(attainable(100, 50, 1000), 100);
    // One that others have filled: what waits shares what is left with what is being written.
    assert_eq!(attainable(1000, 100, 300), 200);
    assert_eq!(attainable(1000, 0, 300), 150);
    assert_eq!(attainable(1000, 0, 0), 0);
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let (spool, folder) = spool(0);
    let camera = folder.path().join("whole/somebody");
    fs::create_dir_all(&camera).expect("a folder");
    fs::write(camera.join("holiday.mp4"), "x").expect("written");
    fs::write(folder.path().join("whole/file"), "x").expect("written");
    assert_eq!(spool.whole().expect("a list"), []);
    assert_eq!(spool.make_room(u64::MAX).expect("room"), []);
    assert!(camera.join("holiday.mp4").exists());
}

#[test]
fn notes_last() {
    let (spool, _folder) = spool(0);
    spool.write_note("a", b"1").expect("written");
    spool.write_note("a", b"2").expect("written");
    spool.write_note("b", b"3").expect("written");
    let notes = spool.notes().expect("notes");
    assert_eq!(
        notes,
        [("a".to_owned(), b"2".to_vec()), ("b".to_owned(), b"3".to_vec())]
    );
    spool.remove_note("a").expect("removed");
    spool.remove_note("a").expect("once more is no fault");
    assert_eq!(spool.notes().expect("notes").len(), 1);
}

#[test]
fn notes_that_the_disk_refuses_are_remembered() {
    let (spool, folder) = spool(0);
    spool.write_note("a", b"begun").expect("written");
    let recordings = folder.path().join(RECORDINGS);
    // As if the disk took nothing new.
    fs::create_dir(recordings.join("a.part")).expect("in the way");
    fs::create_dir(recordings.join("b.part")).expect("in the way");
    assert!(spool.write_note("a", b"ended").is_err());
    assert!(spool.write_note("b", b"ended").is_err());
    let notes = |spool: &Spool| -> Vec<(String, Vec<u8>)> { spool.clone().notes().expect("notes") };
    let ended = |name: &str| (name.to_owned(), b"ended".to_vec());
    assert_eq!(notes(&spool), [ended("a"), ended("b")]);
    fs::remove_dir(recordings.join("a.part")).expect("out of the way");
    assert_eq!(notes(&spool), [ended("a"), ended("b")]);
    let again = Spool::open(folder.path(), 0).expect("another process's");
    assert_eq!(notes(&again), [ended("a")], "it is on the disk");
    spool.remove_note("b").expect("removed");
    assert_eq!(notes(&spool), [ended("a")]);
}

#[test]
fn a_folder_among_the_notes_is_nobodys_note() {
    let (spool, folder) = spool(0);
    spool.write_note("a", b"1").expect("written");
    fs::create_dir(folder.path().join(RECORDINGS).join("b.json")).expect("a folder");
    assert_eq!(spool.notes().expect("notes").len(), 1);
}

#[test]
fn what_is_not_whole_after_all_is_opened_again() {
    let (spool, folder) = spool(1000);
    put(&spool, 5, 100);
    spool.reopen(&key(5)).expect("opened");
    assert_eq!(spool.whole().expect("a list"), []);
    assert_eq!(spool.left_open().expect("a list").len(), 1);
    assert!(spool.facts(&key(5)).is_err(), "its facts are gone");
    spool.refuse(&key(5)).expect("refused");
    let refused = folder.path().join("refused").join(&key(5).camera_uid);
    assert!(refused.join(key(5).file_name()).exists());
}

#[test]
fn what_is_refused_is_kept_for_a_while() {
    let (spool, folder) = spool(1000);
    let refuse = |start_ms: i64, days_ago: u64| {
        let key = key(start_ms);
        let (mut file, claim) = spool.create(&key, b"{}").expect("created");
        file.write_all(&[0; 100]).expect("written");
        let at = SystemTime::now() - Duration::from_hours(24 * days_ago);
        file.set_modified(at).expect("dated");
        drop(claim);
        spool.refuse(&key).expect("refused");
    };
    // The clock was set back once: what is older by its name is the younger file.
    for (start_ms, days_ago) in [(1000, 2), (2000, 40), (3000, 1), (4000, 0)] {
        refuse(start_ms, days_ago);
    }
    let foreign = folder
        .path()
        .join("refused")
        .join(key(1).camera_uid)
        .join("readme.txt");
    fs::write(&foreign, "mine").expect("written");
    spool.write_note("note", b"{").expect("noted");
    spool.lay_note_aside("note").expect("aside");
    let before = SystemTime::now() - Duration::from_hours(24 * 30);
    let (removed, bytes) = spool.trim_refused(before, 1000).expect("trimmed");
    let starts = |removed: Vec<Spooled>| removed.iter().map(|s| s.key.start_ms).collect::<Vec<_>>();
    assert_eq!((starts(removed), bytes), (vec![2000], 300));
    let (removed, bytes) = spool.trim_refused(before, 250).expect("trimmed");
    assert_eq!((starts(removed), bytes), (vec![1000], 200), "the oldest first");
    let torn = folder.path().join("recordings/note.torn");
    assert!(torn.exists() && foreign.exists());
    let (removed, bytes) = spool.trim_refused(SystemTime::now(), 250).expect("trimmed");
    assert_eq!((starts(removed), bytes), (vec![3000, 4000], 0));
    assert!(!torn.exists() && foreign.exists());
}
