//! Puts what a recorder cuts on the disk, in its order, so that the recorder never waits for a disk that is slow for a
//! moment.

use super::note::Note;
use super::segment_file::{Facts, SegmentFile};
use super::states::{States, Trouble};
use crate::store::spool::Spool;
use bytes::Bytes;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{Notify, mpsc};
use tracing::{error, info, warn};
use weir_proto::media::Tracks;
use weir_recording::SegmentKey;

/// Fragments that wait for the disk: half a minute's.
const QUEUE: usize = 64;
/// The disk's last bytes are for finishing what is open; of a small disk, no more than its share.
const RESERVE_BYTES: u64 = 256 << 20;
const RESERVE_SHARE: u64 = 10;

/// What is to be done, in order.
#[derive(Debug)]
pub(super) enum Step {
    Open {
        key: SegmentKey,
        facts: Facts,
        tracks: Tracks,
    },
    Append(Bytes),
    /// The segment's last picture ends then. Milliseconds since 1970.
    Close {
        end_ms: i64,
    },
    /// A recording has begun, come further or ended: what is to stand in its note.
    Note(Note),
}

/// What writers share.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) spool: Spool,
    pub(super) states: Arc<States>,
    /// Rings when there is more to be stored.
    pub(super) bell: Arc<Notify>,
}

/// The recorder's end of the queue. When it is dropped, what is open is finished.
pub(super) type Steps = mpsc::Sender<Step>;

/// What a recorder has of its writer.
pub(super) struct Writing {
    pub(super) steps: Steps,
    /// Ends when the queue is dropped and all is done.
    pub(super) task: tokio::task::JoinHandle<()>,
    /// There is no file for the segment in hand: what comes of it is lost, until another begins.
    pub(super) is_lost: Arc<AtomicBool>,
}

/// Starts writing for one camera.
pub(super) fn start(desk: Desk, camera_uid: String) -> Writing {
    let (steps, mut queue) = mpsc::channel(QUEUE);
    let is_lost = Arc::new(AtomicBool::new(false));
    let lost = is_lost.clone();
    let task = tokio::spawn(async move {
        let new = || Writer {
            desk: desk.clone(),
            camera_uid: camera_uid.clone(),
            open: None,
            is_lost: lost.clone(),
        };
        let mut writer = new();
        let mut batch = Vec::new();
        while queue.recv_many(&mut batch, QUEUE).await > 0 {
            let steps = std::mem::take(&mut batch);
            let done = tokio::task::spawn_blocking(move || {
                for step in steps {
                    writer.take(step);
                }
                writer
            });
            writer = match done.await {
                Ok(back) => back,
                Err(error) => {
                    error!(%error, "writing a recording failed; it goes on with the next segment");
                    lost.store(true, Ordering::Relaxed);
                    new()
                }
            };
        }
        // It may have something to finish.
        let _ = tokio::task::spawn_blocking(move || drop(writer)).await;
    });
    Writing { steps, task, is_lost }
}

struct Writer {
    desk: Desk,
    camera_uid: String,
    open: Option<SegmentFile>,
    is_lost: Arc<AtomicBool>,
}

impl Writer {
    fn take(&mut self, step: Step) {
        match step {
            Step::Open { key, facts, tracks } => self.begin(&key, facts, &tracks),
            Step::Append(fragment) => self.append(&fragment),
            Step::Close { end_ms } => self.close(end_ms),
            Step::Note(note) => self.note(&note),
        }
    }

    fn begin(&mut self, key: &SegmentKey, facts: Facts, tracks: &Tracks) {
        self.open = None;
        self.make_room();
        match SegmentFile::create(&self.desk.spool, key, facts, tracks) {
            Ok(file) => {
                self.open = Some(file);
                self.desk.states.change(&self.camera_uid, |state| {
                    state.writing_since_ms = Some(key.start_ms);
                    state.trouble = None;
                });
            }
            Err(error) => {
                self.is_lost.store(true, Ordering::Relaxed);
                self.fail(&error, "a segment can't be begun");
            }
        }
    }

    fn append(&mut self, fragment: &Bytes) {
        let Some(file) = &mut self.open else {
            metrics::counter!("weir_record_lost_fragments_total").increment(1);
            return;
        };
        let Err(error) = file.append(fragment) else { return };
        // Full, most likely: older footage goes for newer.
        self.make_room();
        let Some(file) = &mut self.open else { return };
        if file.append(fragment).is_ok() {
            return;
        }
        metrics::counter!("weir_record_lost_fragments_total").increment(1);
        self.fail(&error, "a fragment can't be written");
    }

    fn close(&mut self, end_ms: i64) {
        let Some(file) = self.open.take() else { return };
        match file.finish(&self.desk.spool, Some(end_ms)) {
            Ok(Some(bytes)) => {
                metrics::counter!("weir_record_segments_total").increment(1);
                metrics::counter!("weir_record_bytes_total").increment(bytes);
                self.desk.states.change(&self.camera_uid, |state| {
                    state.writing_since_ms = None;
                    state.last_whole_ms = Some(end_ms.max(state.last_whole_ms.unwrap_or(end_ms)));
                });
                self.desk.bell.notify_one();
            }
            Ok(None) => self
                .desk
                .states
                .change(&self.camera_uid, |state| state.writing_since_ms = None),
            Err(error) => self.fail(&error, "a segment can't be finished; it is tried again"),
        }
    }

    fn note(&self, note: &Note) {
        let written = serde_json::to_vec(note)
            .map_err(io::Error::other)
            .and_then(|text| self.desk.spool.write_note(&note.name(), &text));
        match written {
            Ok(()) if note.closed => self.desk.bell.notify_one(),
            Ok(()) => {}
            Err(error) => self.fail(&error, "a recording can't be noted"),
        }
    }

    /// Drops the oldest that is not stored when the spool or its disk is full.
    fn make_room(&self) {
        let spool = &self.desk.spool;
        let disk = spool.disk_bytes().unwrap_or(u64::MAX);
        match spool.make_room(RESERVE_BYTES.min(disk / RESERVE_SHARE)) {
            Ok(dropped) => {
                for segment in &dropped {
                    metrics::counter!("weir_record_dropped_segments_total").increment(1);
                    warn!(
                        segment = %segment.key,
                        bytes = segment.bytes,
                        "the spool is full: its oldest segment is dropped before it was stored"
                    );
                    self.desk
                        .states
                        .change(&segment.key.camera_uid, |state| state.dropped += 1);
                }
                let count = dropped.len() as u64;
                self.desk
                    .states
                    .change_backlog(|backlog| backlog.dropped += count);
            }
            Err(error) => self.fail(&error, "the spool can't be looked at"),
        }
    }

    fn fail(&self, error: &io::Error, what: &'static str) {
        metrics::counter!("weir_record_errors_total").increment(1);
        let message = format!("{what}: {error}");
        let news = self.desk.states.camera(&self.camera_uid).and_then(|s| s.trouble);
        if news.is_none_or(|known| known.message != message) {
            warn!(camera = self.camera_uid, %error, "{what}");
        }
        self.desk.states.change(&self.camera_uid, |state| {
            state.trouble = Some(Trouble { message });
        });
    }
}

impl Drop for Writer {
    /// What is open when nobody cuts any more is finished: on a shutdown that comes in the middle of a segment.
    fn drop(&mut self) {
        if !std::thread::panicking()
            && let Some(file) = self.open.take()
            && let Err(error) = file.finish(&self.desk.spool, None)
        {
            info!(%error, "a segment is left open; it is looked at again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_segment_that_can_not_be_begun_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let spool = Spool::open(folder.path(), 1 << 30).expect("a spool");
        let desk = Desk {
            spool: spool.clone(),
            states: Arc::default(),
            bell: Arc::default(),
        };
        let writing = start(desk, "0a1b".to_owned());
        let obstacle = folder.path().join("open/0a1b");
        std::fs::write(&obstacle, "in the way").expect("written");
        let open = |start_ms| Step::Open {
            key: SegmentKey {
                camera_uid: "0a1b".to_owned(),
                start_ms,
                epoch: 0,
                session: 0,
                sequence: 0,
            },
            facts: Facts::default(),
            tracks: weir_proto::testing::h264_aac().tracks,
        };
        writing.steps.send(open(1000)).await.expect("taken");
        let told = async {
            while !writing.is_lost.swap(false, Ordering::Relaxed) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), told)
            .await
            .expect("told");
        std::fs::remove_file(obstacle).expect("removed");
        writing.steps.send(open(2000)).await.expect("taken");
        drop(writing.steps);
        writing.task.await.expect("done");
        assert!(!writing.is_lost.load(Ordering::Relaxed));
    }
}
