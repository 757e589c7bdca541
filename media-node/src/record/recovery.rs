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
    for spooled in spool.left_open()? {
        match complete_one(spool, &spooled) {
            Ok(Some(bytes)) => {
                metrics::counter!("weir_record_recovered_segments_total").increment(1);
                info!(segment = %spooled.key, bytes, "a segment that was open is whole again");
            }
            Ok(None) => info!(segment = %spooled.key, "a segment was opened, and nothing written"),
            Err(error) => {
                metrics::counter!("weir_record_refused_segments_total").increment(1);
                error!(
                    segment = %spooled.key,
                    %error,
                    "a segment that was open can't be read; it is kept in the spool's folder refused"
                );
                if let Err(error) = spool.refuse(&spooled.key) {
                    error!(segment = %spooled.key, %error, "it can't be moved there");
                }
            }
        }
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
            warn!(name, "a note in the spool can't be read; it is left there");
            continue;
        };
        if note.closed {
            continue;
        }
        if let Some(end_ms) = ends.get(&note.camera_uid) {
            note.end_ms = note.end_ms.max(*end_ms);
        }
        note.closed = true;
        spool.write_note(&name, &serde_json::to_vec(&note)?)?;
    }
    Ok(())
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
