//! One segment on the disk: written fragment by fragment, then completed with its table and synced.

use crate::store::spool::{Claim, Spool};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use weir_proto::fmp4::{self, Scanned, Scanner};
use weir_proto::media::Tracks;
use weir_proto::mp4::Error;
use weir_recording::{SegmentFacts, SegmentKey, facts};

/// What people call the camera of a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Facts {
    pub(super) camera: String,
    pub(super) path: String,
}

/// A segment that is being written. Blocks on the disk.
pub(super) struct SegmentFile {
    key: SegmentKey,
    facts: Facts,
    file: File,
    claim: Claim,
    /// All before it is whole.
    good_bytes: u64,
}

impl SegmentFile {
    pub(super) fn create(spool: &Spool, key: &SegmentKey, facts: Facts, tracks: &Tracks) -> io::Result<Self> {
        let note = serde_json::to_vec(&facts)?;
        let (mut file, claim) = spool.create(key, &note)?;
        let init = fmp4::init_segment(tracks);
        file.write_all(&init)?;
        Ok(Self {
            key: key.clone(),
            facts,
            file,
            claim,
            good_bytes: init.len() as u64,
        })
    }

    /// Adds a fragment; after a failure, as if it had not been tried.
    pub(super) fn append(&mut self, fragment: &[u8]) -> io::Result<()> {
        match self.file.write_all_at(fragment, self.good_bytes) {
            Ok(()) => {
                self.good_bytes += fragment.len() as u64;
                Ok(())
            }
            Err(error) => {
                let _ = self.file.set_len(self.good_bytes);
                Err(error)
            }
        }
    }

    /// Completes the segment: from here on it counts. Answers with its size; none if nothing is in it. After a failure it is left,
    /// and whoever looks after those can try again.
    pub(super) fn finish(self, spool: &Spool, end_ms: Option<i64>) -> io::Result<Option<u64>> {
        let Self {
            key,
            facts,
            file,
            claim,
            ..
        } = self;
        let completed = complete(spool, &key, &facts, &file, end_ms);
        drop(claim);
        completed
    }
}

/// Ends a file behind its last whole fragment, appends the table, syncs and seals it. Without `end_ms` the segment ends where
/// its media does. Answers with its size; none if nothing is in it, and then it is gone.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] where what is in it can't be read, and never will be; any other is the disk's, of which more may
/// come in a while.
pub(super) fn complete(
    spool: &Spool,
    key: &SegmentKey,
    called: &Facts,
    mut file: &File,
    end_ms: Option<i64>,
) -> io::Result<Option<u64>> {
    let scanned = match scan(file) {
        Ok(scanned) if !scanned.fragments.is_empty() => scanned,
        // It was killed before its first fragment was whole.
        Ok(Scanned {
            tail: None | Some(Error::BeyondFile { .. } | Error::Missing(_)),
            ..
        }) => return spool.discard(key).map(|()| None),
        // There is more behind it, which may be worth something to somebody.
        Ok(Scanned {
            tail: Some(damage), ..
        }) => return Err(io::Error::new(io::ErrorKind::InvalidData, damage)),
        Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
    };
    let table = fmp4::table::write(&scanned.fragments);
    file.set_len(scanned.whole_bytes)?;
    file.write_all_at(&table, scanned.whole_bytes)?;
    file.flush()?;
    file.sync_all()?;
    let media = facts::extent(&scanned.tracks, &scanned.fragments);
    let end_ms = end_ms.unwrap_or(key.start_ms + media.as_millis() as i64);
    let bytes = scanned.whole_bytes + table.len() as u64;
    let all = SegmentFacts::of(
        key,
        &scanned,
        &called.camera,
        &called.path,
        end_ms.max(key.start_ms + 1),
        bytes,
    );
    spool.seal(key, &serde_json::to_vec(&all)?)?;
    Ok(Some(bytes))
}

fn scan(file: &File) -> Result<Scanned, Box<dyn std::error::Error + Send + Sync>> {
    let mut scanner = Scanner::new(file.metadata()?.len());
    let mut buffer = Vec::new();
    while let Some(wanted) = scanner.wanted() {
        buffer.resize((wanted.end - wanted.start) as usize, 0);
        file.read_exact_at(&mut buffer, wanted.start)?;
        scanner.push(&buffer);
    }
    Ok(scanner.finish()?)
}
