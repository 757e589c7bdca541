//! Pictures of cameras: one every so often while a schedule wants them, and those that somebody asks for.

use super::playback::{Playback, PlaybackError};
use super::states::{States, Trouble};
use super::still::Still;
use super::wanted::Wanted;
use crate::hub::{Hub, Stream};
use crate::store::object::{self, Bucket};
use crate::worker::{self, Fit, Workers};
use bytes::Bytes;
use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::{info, warn};
use weir_recording::key::snapshot_key;

/// A stream that runs has a keyframe at hand, or soon.
const KEYFRAME: Duration = Duration::from_secs(10);
/// How long a stream that runs on another pod is waited for.
const ARRIVAL: Duration = Duration::from_secs(5);
/// A snapshot that can't be stored is tried again for so long, with pauses that grow.
const STORING: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A turn that comes sooner after the last one is that one, by a clock that was moved a little.
const LEAST: Duration = Duration::from_millis(100);

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    #[error("the picture can't be decoded")]
    Worker(#[from] worker::Error),
    #[error("what is stored can't be read")]
    Stored(#[from] PlaybackError),
}

/// Why one was not stored.
#[derive(Debug, thiserror::Error)]
enum Missed {
    #[error("{0}")]
    Worker(#[from] worker::Error),
    #[error("no bucket is configured: write spec.storage into the MediaPool")]
    NoBucket,
    #[error("{0}")]
    Store(#[from] object::Error),
    #[error("the object store does not answer")]
    Silent,
}

impl Missed {
    const fn category(&self) -> &'static str {
        match self {
            Self::Worker(error) => error.category(),
            Self::NoBucket => "no_bucket",
            Self::Store(_) | Self::Silent => "store",
        }
    }
}

/// Takes snapshots of the streams in a hub. Cheap to clone.
#[derive(Clone)]
pub struct Snapshots {
    hub: Arc<Hub>,
    workers: Workers,
}

/// Where those that are taken by themselves go.
#[derive(Clone)]
pub(super) struct Album {
    pub(super) snapshots: Snapshots,
    pub(super) states: Arc<States>,
    pub(super) bucket: watch::Receiver<Option<Bucket>>,
}

impl Snapshots {
    pub const fn new(hub: Arc<Hub>, workers: Workers) -> Self {
        Self { hub, workers }
    }

    /// What a stream shows now, as a JPEG: from the stream where it runs here, or can be brought here because it
    /// `runs` elsewhere; otherwise what was stored last. None if there is nothing.
    ///
    /// # Errors
    /// When there is no ffmpeg, or it can't decode the picture, or what is stored can't be read.
    pub async fn now(
        &self,
        of: &Shown<'_>,
        playback: &Playback,
        fit: Option<Fit>,
    ) -> Result<Option<Bytes>, SnapshotError> {
        self.workers.check()?;
        let stream = match self.hub.stream(of.path) {
            None if of.runs => self.hub.find(of.path, ARRIVAL).await,
            found => found,
        };
        let live = match &stream {
            Some(stream) => newest(stream).await,
            None => None,
        };
        let still = match live {
            Some(still) => Some(still),
            None => playback.newest_still(of.camera_uid).await?,
        };
        self.develop(still, fit).await
    }

    /// What a camera showed at a time, as a JPEG; none if nothing is stored of that time.
    ///
    /// # Errors
    /// As above.
    pub async fn at(
        &self,
        of: &Shown<'_>,
        at_ms: i64,
        playback: &Playback,
        fit: Option<Fit>,
    ) -> Result<Option<Bytes>, SnapshotError> {
        self.stored(of.camera_uid, at_ms, playback, fit).await
    }

    /// A JPEG that fits the box, from one that may be larger.
    ///
    /// # Errors
    /// When there is no ffmpeg, or it can't decode the picture.
    pub async fn smaller(&self, jpeg: Bytes, fit: Fit) -> Result<Bytes, SnapshotError> {
        Ok(self.workers.resize(jpeg, fit).await?)
    }

    /// What a camera showed at a time, whatever its stream is called now.
    pub(super) async fn stored(
        &self,
        camera_uid: &str,
        at_ms: i64,
        playback: &Playback,
        fit: Option<Fit>,
    ) -> Result<Option<Bytes>, SnapshotError> {
        self.workers.check()?;
        let still = playback.still(camera_uid, at_ms).await?;
        self.develop(still, fit).await
    }

    /// What a stream that runs somewhere shows now, as a JPEG, and when it was seen, in milliseconds since 1970; none if
    /// nothing comes of it.
    pub(super) async fn live(
        &self,
        path: &weir_proto::media::StreamPath,
    ) -> Result<Option<(Bytes, i64)>, SnapshotError> {
        let Some(stream) = self.hub.find(path, ARRIVAL).await else {
            return Ok(None);
        };
        let Some(still) = newest(&stream).await else {
            return Ok(None);
        };
        let at_ms = still.seen_ms();
        let jpeg = self.develop(Some(still), None).await?;
        Ok(jpeg.map(|jpeg| (jpeg, at_ms)))
    }

    /// Whether pictures can be made at all.
    pub(super) fn check(&self) -> Result<(), worker::Error> {
        self.workers.check()
    }

    async fn develop(&self, still: Option<Still>, fit: Option<Fit>) -> Result<Option<Bytes>, SnapshotError> {
        let Some(still) = still else { return Ok(None) };
        Ok(Some(self.workers.snapshot(still.to_mp4(), fit).await?))
    }
}

/// A camera of which a picture is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    pub path: &'a weir_proto::media::StreamPath,
    pub camera_uid: &'a str,
    /// Its stream runs somewhere in the pool.
    pub runs: bool,
}

async fn newest(stream: &Arc<Stream>) -> Option<Still> {
    timeout(KEYFRAME, Still::newest(stream)).await.ok().flatten()
}

impl Album {
    /// Takes snapshots of a camera as long as it is polled, as often as the labels of what is wanted say.
    pub(super) async fn fill(self, mut wanted: watch::Receiver<Wanted>) -> Infallible {
        loop {
            let now = wanted.borrow_and_update().clone();
            let turn = async {
                if let Some(interval) = now.snapshot_interval() {
                    sleep(until_turn(&now.camera_uid, interval, SystemTime::now())).await;
                } else {
                    self.states
                        .change(&now.camera_uid, |state| state.snapshots = None);
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                changed = wanted.changed() => {
                    if changed.is_err() {
                        std::future::pending::<()>().await;
                    }
                    continue;
                }
                () = turn => {}
            }
            self.add(&now).await;
        }
    }

    async fn add(&self, wanted: &Wanted) {
        // Without media there is nothing to miss; the camera's condition says so.
        let Some(stream) = self.snapshots.hub.stream(&wanted.path) else {
            return;
        };
        let Some(still) = newest(&stream).await else {
            return;
        };
        let at_ms = still.seen_ms();
        let done = self.store(&wanted.camera_uid, &still, at_ms).await;
        let result = done.as_ref().map_or_else(Missed::category, |()| "stored");
        metrics::counter!("weir_snapshots_total", "result" => result).increment(1);
        let trouble = done.err().map(|missed| Trouble {
            message: missed.to_string(),
        });
        let known = self.states.camera(&wanted.camera_uid).and_then(|s| s.snapshots);
        match (&trouble, known) {
            (Some(now), known) if known.as_ref() != Some(now) => {
                warn!(error = now.message, "a snapshot is missing");
            }
            (None, Some(_)) => info!("snapshots are taken again"),
            _ => {}
        }
        self.states
            .change(&wanted.camera_uid, |state| state.snapshots = trouble);
    }

    async fn store(&self, camera_uid: &str, still: &Still, at_ms: i64) -> Result<(), Missed> {
        // Not decoded for nothing.
        if self.bucket.borrow().is_none() {
            return Err(Missed::NoBucket);
        }
        let jpeg = self.snapshots.workers.snapshot(still.to_mp4(), None).await?;
        let key = snapshot_key(camera_uid, at_ms);
        let deadline = Instant::now() + STORING;
        let mut pause = PAUSE;
        loop {
            let bucket = self.bucket.borrow().clone().ok_or(Missed::NoBucket)?;
            let put = timeout_at(deadline, bucket.put(&key, jpeg.clone(), "image/jpeg")).await;
            let missed = match put {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => Missed::Store(error),
                Err(_) => Missed::Silent,
            };
            if Instant::now() + pause >= deadline {
                return Err(missed);
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// How long to wait for a camera's next turn. Turns are fixed points of time, so that a restart takes neither more nor fewer,
/// and are another camera's at other times, so that not all come at once.
fn until_turn(camera_uid: &str, interval: Duration, now: SystemTime) -> Duration {
    let interval_ms = interval.as_millis().max(1);
    let mut hasher = DefaultHasher::new();
    camera_uid.hash(&mut hasher);
    let phase = u128::from(hasher.finish()) % interval_ms;
    let now_ms = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let wait_ms = interval_ms - (now_ms + phase) % interval_ms;
    let wait = Duration::from_millis(u64::try_from(wait_ms).unwrap_or(u64::MAX));
    if wait < LEAST { wait + interval } else { wait }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_an_interval_apart() {
        let interval = Duration::from_secs(30);
        let now = UNIX_EPOCH + Duration::from_hours(491_001);
        let first = until_turn("a", interval, now);
        assert!(first >= LEAST && first <= interval + LEAST, "{first:?}");
        assert_eq!(until_turn("a", interval, now + first), interval);
        // A moment early, by a clock that was moved.
        let early = now + first - Duration::from_millis(3);
        assert_eq!(
            until_turn("a", interval, early),
            interval + Duration::from_millis(3)
        );
        let others: Vec<Duration> = (0..50)
            .map(|n| until_turn(&n.to_string(), interval, now))
            .collect();
        let (least, most) = (others.iter().min(), others.iter().max());
        assert!(
            most.zip(least)
                .is_some_and(|(most, least)| *most > *least + interval / 2)
        );
    }
}
