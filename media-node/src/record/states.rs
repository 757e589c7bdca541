//! What can be said of each camera's recording: for conditions and metrics.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::watch;

/// What is true of a camera that is or was recorded here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CameraState {
    /// A schedule wants it now.
    pub wanted: bool,
    /// When the segment that is being written began; none while there is no media. Milliseconds since 1970.
    pub writing_since_ms: Option<i64>,
    /// Where the newest whole segment ends.
    pub last_whole_ms: Option<i64>,
    /// Where the newest stored segment ends.
    pub last_stored_ms: Option<i64>,
    pub trouble: Option<Trouble>,
    /// Why the last snapshot that was due is missing.
    pub snapshots: Option<Trouble>,
    /// Its segments that were dropped unstored since the process began.
    pub dropped: u64,
}

/// What goes wrong with writing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// For people.
    pub message: String,
}

/// What waits in the spool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    pub segments: u64,
    pub bytes: u64,
    /// Where the oldest begins. Milliseconds since 1970.
    pub oldest_ms: Option<i64>,
    /// Why nothing is stored; none while it works.
    pub trouble: Option<Trouble>,
    /// Segments that were dropped unstored since the process began.
    pub dropped: u64,
}

impl Backlog {
    /// For how long the oldest segment waits.
    pub fn waits(&self, now_ms: i64) -> Duration {
        let ms = self.oldest_ms.map_or(0, |oldest| now_ms.saturating_sub(oldest));
        Duration::from_millis(u64::try_from(ms).unwrap_or(0))
    }
}

/// Written by recorders and the uploader, read by whoever reports.
pub struct States {
    cameras: Mutex<HashMap<String, CameraState>>,
    backlog: Mutex<Backlog>,
    news: watch::Sender<u64>,
}

impl Default for States {
    fn default() -> Self {
        Self {
            cameras: Mutex::default(),
            backlog: Mutex::default(),
            news: watch::Sender::new(0),
        }
    }
}

impl States {
    /// What is true of a camera; none if it was never recorded here.
    pub fn camera(&self, uid: &str) -> Option<CameraState> {
        self.cameras.lock().get(uid).cloned()
    }

    pub fn backlog(&self) -> Backlog {
        self.backlog.lock().clone()
    }

    /// Changes with every difference.
    pub fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Waits until all that is whole is stored. False if that took longer than `at_most`, or doesn't work now.
    pub async fn stored(&self, at_most: Duration) -> bool {
        let mut news = self.news();
        let done = async {
            loop {
                news.borrow_and_update();
                let backlog = self.backlog();
                let behind = |camera: &CameraState| camera.last_whole_ms > camera.last_stored_ms;
                if backlog.trouble.is_some() {
                    return false;
                }
                if backlog.segments == 0 && !self.cameras.lock().values().any(behind) {
                    return true;
                }
                if news.changed().await.is_err() {
                    return false;
                }
            }
        };
        tokio::time::timeout(at_most, done).await.unwrap_or(false)
    }

    pub(crate) fn change(&self, uid: &str, change: impl FnOnce(&mut CameraState)) {
        let mut cameras = self.cameras.lock();
        let state = cameras.entry(uid.to_owned()).or_default();
        let before = state.clone();
        change(state);
        let differs = *state != before;
        if differs {
            count(&cameras);
        }
        drop(cameras);
        if differs {
            self.tell();
        }
    }

    pub(super) fn change_backlog(&self, change: impl FnOnce(&mut Backlog)) {
        let mut backlog = self.backlog.lock();
        let before = backlog.clone();
        change(&mut backlog);
        let differs = *backlog != before;
        drop(backlog);
        if differs {
            self.tell();
        }
    }

    fn tell(&self) {
        self.news.send_modify(|n| *n = n.wrapping_add(1));
    }
}

/// How many cameras it goes well with, of those that schedules want now.
fn count(cameras: &HashMap<String, CameraState>) {
    let (mut recording, mut silent, mut failing) = (0, 0, 0);
    for state in cameras.values().filter(|state| state.wanted) {
        match (&state.trouble, state.writing_since_ms) {
            (Some(_), _) => failing += 1,
            (None, Some(_)) => recording += 1,
            (None, None) => silent += 1,
        }
    }
    for (state, count) in [("recording", recording), ("silent", silent), ("failing", failing)] {
        metrics::gauge!("weir_recorded_cameras", "state" => state).set(f64::from(count));
    }
}
