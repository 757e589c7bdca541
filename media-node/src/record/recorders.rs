//! A recorder for each camera that is wanted.

use super::recorder::Recorder;
use super::snapshots::{Album, Snapshots};
use super::states::States;
use super::wanted::Wanted;
use super::writer::Desk;
use crate::hub::Hub;
use crate::store::object::Bucket;
use crate::store::spool::Spool;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span, warn};

/// How recorders work.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A segment ends at the first keyframe this long after its first.
    pub segment: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            segment: Duration::from_mins(1),
        }
    }
}

/// All recorders of this process. Cheap to clone.
#[derive(Clone)]
pub struct Recorders(Arc<Shared>);

struct Shared {
    hub: Arc<Hub>,
    desk: Desk,
    album: Album,
    settings: Settings,
    running: Mutex<Cameras>,
}

#[derive(Default)]
struct Cameras {
    by_uid: HashMap<String, Running>,
    /// Nothing new begins.
    ended: bool,
}

struct Running {
    wanted: watch::Sender<Wanted>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Recorders {
    /// Nothing is recorded yet. `bell` rings when there is more to be stored; snapshots go into `bucket`.
    pub fn new(
        hub: Arc<Hub>,
        spool: Spool,
        states: Arc<States>,
        bell: Arc<Notify>,
        snapshots: Snapshots,
        bucket: watch::Receiver<Option<Bucket>>,
        settings: Settings,
    ) -> Self {
        // What has not happened yet is a number too: the first segment that is lost is a difference.
        metrics::counter!("weir_record_dropped_segments_total").increment(0);
        metrics::counter!("weir_record_lost_fragments_total").increment(0);
        let album = Album {
            snapshots,
            states: states.clone(),
            bucket,
        };
        Self(Arc::new(Shared {
            hub,
            desk: Desk { spool, states, bell },
            album,
            settings,
            running: Mutex::default(),
        }))
    }

    pub fn states(&self) -> Arc<States> {
        self.0.desk.states.clone()
    }

    /// Brings what is recorded to what shall be.
    pub fn set(&self, wanted: Vec<Wanted>) {
        let mut wanted: HashMap<String, Wanted> =
            wanted.into_iter().map(|w| (w.camera_uid.clone(), w)).collect();
        let mut cameras = self.0.running.lock();
        if cameras.ended {
            return;
        }
        let running = &mut cameras.by_uid;
        running.retain(|uid, recorder| {
            if recorder.task.is_finished() {
                return false;
            }
            match wanted.remove(uid) {
                // It ends by itself, and may be wanted again after that.
                _ if recorder.stop.is_cancelled() => {}
                Some(now) => {
                    recorder.wanted.send_if_modified(|before| before.become_now(now));
                }
                None => recorder.stop.cancel(),
            }
            true
        });
        // A camera that leaves was recorded here, or is not now.
        for (uid, wanted) in wanted.into_iter().filter(|(_, w)| !w.leaving) {
            running.entry(uid).or_insert_with(|| self.start(wanted));
        }
        metrics::gauge!("weir_recorders").set(running.len() as f64);
    }

    fn start(&self, wanted: Wanted) -> Running {
        let shared = &self.0;
        let span = info_span!("record", camera = wanted.camera, stream = %wanted.path);
        let (sender, receiver) = watch::channel(wanted);
        let stop = CancellationToken::new();
        let recording = Recorder::run(
            shared.hub.clone(),
            shared.desk.clone(),
            shared.settings.segment,
            receiver.clone(),
            stop.clone(),
        );
        let filling = shared.album.clone().fill(receiver);
        let both = async {
            tokio::select! {
                () = recording => {}
                never = filling => match never {},
            }
        };
        Running {
            wanted: sender,
            stop,
            task: tokio::spawn(both.instrument(span)),
        }
    }

    /// Whether a camera is being recorded, or what was recorded of it is still being written.
    pub fn is_recording(&self, uid: &str) -> bool {
        self.0
            .running
            .lock()
            .by_uid
            .get(uid)
            .is_some_and(|r| !r.task.is_finished())
    }

    /// Ends all recordings, and waits until what there is of them is on the disk.
    pub async fn end(&self, patience: Duration) {
        let all: Vec<Running> = {
            let mut cameras = self.0.running.lock();
            cameras.ended = true;
            cameras.by_uid.drain().map(|(_, r)| r).collect()
        };
        for recorder in &all {
            recorder.stop.cancel();
        }
        let deadline = Instant::now() + patience;
        for recorder in all {
            if timeout_at(deadline, recorder.task).await.is_err() {
                warn!("a recording was not finished in time; it is finished at the next start");
                return;
            }
        }
    }
}
