//! What a process that was killed left in the spool: completed, so that it is stored as if nothing had happened.

use super::note::Note;
use super::segment_file::{Facts, complete};
use super::states::States;
use crate::store::spool::{Spool, Spooled};
use std::collections::HashMap;
use std::fs::File;
use std::io;
use tracing::{error, info, warn};

/// Completes the segments and recordings that were open. Nobody may write to the spool meanwhile. Blocks on the disk.
///
/// # Errors
/// When the spool can't be read. What is wrong with one file keeps no other.
pub fn recover(spool: &Spool, states: &States) -> io::Result<()> {
    for spooled in spool.whole()? {
        let facts = spool.facts(&spooled.key);
        if facts.is_ok_and(|facts| facts.bytes == spooled.bytes) {
            continue;
        }
        warn!(segment = %spooled.key, "a segment is not as it was when it was finished; it is looked at again");
        if let Err(error) = spool.reopen(&spooled.key) {
            error!(segment = %spooled.key, %error, "it can't be moved");
        }
    }
    if let Err(error) = complete_left(spool) {
        warn!(%error, "segments that were open can't be finished now; they wait in the spool's folder open");
    }
    let mut ends: HashMap<String, i64> = HashMap::new();
    for whole in spool.whole()? {
        let Ok(facts) = spool.facts(&whole.key) else {
            continue;
        };
        let end = ends.entry(facts.camera_uid.clone()).or_insert(facts.end_ms);
        *end = facts.end_ms.max(*end);
    }
    for (uid, end_ms) in &ends {
        states.change(uid, |state| state.last_whole_ms = Some(*end_ms));
    }
    // A recording that was open ends where its media does; what comes is another one.
    for (name, text) in spool.notes()? {
        let Ok(mut note) = serde_json::from_slice::<Note>(&text) else {
            warn!(
                name,
                "a note in the spool can't be read; it is kept there as .torn"
            );
            if let Err(error) = spool.lay_note_aside(&name) {
                warn!(name, %error, "it can't be renamed");
            }
            continue;
        };
        if note.closed {
            continue;
        }
        if let Some(end_ms) = ends.get(&note.camera_uid) {
            note.end_ms = note.end_ms.max(*end_ms);
        }
        note.closed = true;
        if let Err(error) = spool.write_note(&name, &serde_json::to_vec(&note)?) {
            warn!(name, %error, "a recording can't be noted on the disk; it is remembered as long as the process runs");
        }
    }
    Ok(())
}

/// Completes the segments that nobody writes any more: of a process that was killed, and those that their writer could not finish
/// because the disk was full, for example. What is wrong with one keeps no other. Blocks on the disk.
///
/// # Errors
/// The disk's last failure. What it concerns stays where it is, and can be tried again.
pub(super) fn complete_left(spool: &Spool) -> io::Result<()> {
    let mut done = Ok(());
    for spooled in spool.left_open()? {
        match complete_one(spool, &spooled) {
            Ok(Some(bytes)) => {
                metrics::counter!("weir_record_recovered_segments_total").increment(1);
                info!(segment = %spooled.key, bytes, "a segment that was open is whole again");
            }
            Ok(None) => info!(segment = %spooled.key, "a segment was opened, and nothing written"),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                metrics::counter!("weir_record_refused_segments_total").increment(1);
                error!(
                    segment = %spooled.key,
                    %error,
                    "a segment that was open can't be read; it is kept in the spool's folder refused"
                );
                if let Err(error) = spool.refuse(&spooled.key) {
                    error!(segment = %spooled.key, %error, "it can't be moved there");
                    done = Err(error);
                }
            }
            Err(error) => done = Err(error),
        }
    }
    done
}

fn complete_one(spool: &Spool, spooled: &Spooled) -> io::Result<Option<u64>> {
    let file = File::options().read(true).write(true).open(&spooled.path)?;
    let facts = spool.open_note(&spooled.key);
    let facts: Facts = facts
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default();
    complete(spool, &spooled.key, &facts, &file, None)
}

#[cfg(test)]
mod tests {
    use super::super::segment_file::SegmentFile;
    use super::*;
    use std::fs;
    use weir_proto::fmp4::{Fragmenter, init_segment};
    use weir_proto::testing;
    use weir_recording::SegmentKey;

    fn key(sequence: u32) -> SegmentKey {
        SegmentKey {
            camera_uid: "0a1b".to_owned(),
            start_ms: 1_767_603_600_000,
            epoch: 1,
            session: 7,
            sequence,
        }
    }

    fn fragment() -> Vec<u8> {
        let clip = testing::h264_aac();
        let mut fragmenter = Fragmenter::new(&clip.tracks);
        for au in &clip.access_units {
            fragmenter.push(au);
        }
        let end = clip.access_units.last().expect("some").dts;
        fragmenter.finish(1, end).to_vec()
    }

    fn begun(spool: &Spool, sequence: u32) -> SegmentFile {
        let tracks = testing::h264_aac().tracks;
        let file = SegmentFile::create(spool, &key(sequence), Facts::default(), &tracks);
        let mut file = file.expect("created");
        file.append(&fragment()).expect("written");
        file
    }

    fn spool() -> (Spool, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        let spool = Spool::open(folder.path(), 1 << 30).expect("a spool");
        (spool, folder)
    }

    /// The disk takes no new names for whole segments, as a full one: somebody's file is where the folder should be.
    fn full(folder: &tempfile::TempDir) -> std::path::PathBuf {
        let whole = folder.path().join("whole/0a1b");
        fs::write(&whole, "in the way").expect("written");
        whole
    }

    #[test]
    fn what_can_not_be_finished_is_finished_when_the_disk_takes_it() {
        let (spool, folder) = spool();
        let file = begun(&spool, 1);
        let obstacle = full(&folder);
        assert!(file.finish(&spool, None).is_err());
        assert_eq!(spool.left_open().expect("a list").len(), 1, "nobody writes it");
        assert!(complete_left(&spool).is_err());
        assert_eq!(spool.left_open().expect("a list").len(), 1, "and it stays");
        let writing = begun(&spool, 2);
        fs::remove_file(obstacle).expect("removed");
        complete_left(&spool).expect("finished");
        let whole = spool.whole().expect("a list");
        assert_eq!(whole.iter().map(|s| s.key.sequence).collect::<Vec<_>>(), [1]);
        assert_eq!(
            spool.facts(&key(1)).expect("facts").frames as usize,
            testing::h264_aac()
                .only(|t| t.codec.size().is_some())
                .access_units
                .len()
        );
        writing
            .finish(&spool, None)
            .expect("what is being written was left alone");
    }

    #[test]
    fn a_disk_that_is_full_at_the_start_makes_nothing_unreadable() {
        let (spool, folder) = spool();
        drop(begun(&spool, 1));
        let obstacle = full(&folder);
        recover(&spool, &States::default()).expect("the node starts");
        let refused = fs::read_dir(folder.path().join("refused")).expect("a folder");
        assert_eq!(refused.count(), 0);
        fs::remove_file(obstacle).expect("removed");
        complete_left(&spool).expect("finished");
        assert_eq!(spool.whole().expect("a list").len(), 1);
    }

    #[test]
    fn what_is_damaged_is_kept_for_people() {
        let (spool, folder) = spool();
        drop(begun(&spool, 1));
        // The first block after the parameters is the disk's, not ours.
        let init = init_segment(&testing::h264_aac().tracks).len();
        let path = spool.open_path(&key(1));
        let mut bytes = fs::read(&path).expect("read");
        bytes[init..init + 64].fill(0);
        fs::write(&path, bytes).expect("written");
        // That of a process that was killed holds nothing.
        let cut = begun(&spool, 2);
        drop(cut);
        let path = spool.open_path(&key(2));
        File::options()
            .write(true)
            .open(path)
            .and_then(|file| file.set_len(init as u64 + 100))
            .expect("cut");
        complete_left(&spool).expect("looked at");
        let refused = fs::read_dir(folder.path().join("refused/0a1b")).expect("a folder");
        assert_eq!(refused.count(), 1);
        assert_eq!(spool.left_open().expect("a list"), []);
        assert_eq!(spool.whole().expect("a list"), []);
    }
}
