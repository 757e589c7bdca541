//! From the spool to the bucket and the index, the oldest first.

use super::note::{Catalogue, Note};
use super::states::{States, Trouble};
use crate::store::object::{Bucket, Error, PART_BYTES};
use crate::store::spool::{Spool, Spooled};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};
use weir_recording::{SegmentFacts, SegmentKey};

/// Segments that are sent at once.
const MOST_AT_ONCE: usize = 4;
/// How often the spool is looked at without anybody ringing.
const LOOK: Duration = Duration::from_secs(5);
/// After a failure, and at most.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What an uploader works with.
pub struct UploaderParts {
    pub spool: Spool,
    pub states: Arc<States>,
    pub catalogue: Arc<dyn Catalogue>,
    /// Name of this node.
    pub node: String,
    /// The bucket; none while none is configured.
    pub bucket: watch::Receiver<Option<Bucket>>,
    pub bell: Arc<Notify>,
    /// The folder that the bucket's objects lie in, where that is on this machine: they must be on the disk before their
    /// segments go.
    pub folder: Option<PathBuf>,
}

/// Brings what is whole to where it lasts.
pub struct Uploader {
    parts: UploaderParts,
    /// Stored, and not in the index yet.
    unlisted: HashSet<SegmentKey>,
    /// Which may have been sent in part: those of an earlier process, and those whose sending has failed.
    tried: HashSet<SegmentKey>,
    is_first_round: bool,
    /// What can't be read. It keeps no other, and is looked at again at the next start.
    aside: HashSet<SegmentKey>,
    pause: Duration,
}

/// What has been done about a segment in the spool.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SoFar {
    Nothing,
    /// A try has broken off.
    Tried,
    /// It is in the bucket, and not in the index.
    Stored,
}

/// Why a segment is still in the spool.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Store(#[from] Error),
    #[error("{0}")]
    Index(#[from] super::note::CatalogueError),
    #[error("the spool can't be read or written: {0}")]
    Spool(#[from] io::Error),
    #[error("it can't be read: {0}")]
    Unreadable(#[source] io::Error),
    #[error("no bucket is configured: write spec.storage into the MediaPool")]
    NoBucket,
}

impl Failure {
    const fn category(&self) -> &'static str {
        match self {
            Self::Store(error) => error.category(),
            Self::Index(_) => "index",
            Self::Spool(_) => "spool",
            Self::Unreadable(_) => "unreadable",
            Self::NoBucket => "no_bucket",
        }
    }
}

impl Uploader {
    pub fn new(parts: UploaderParts) -> Self {
        Self {
            parts,
            unlisted: HashSet::new(),
            tried: HashSet::new(),
            is_first_round: true,
            aside: HashSet::new(),
            pause: PAUSE,
        }
    }

    /// Goes on until `stop`; what is being sent then is sent again at the next start.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let Some(worked) = stop.run_until_cancelled(self.round()).await else {
                return;
            };
            let wait = match worked {
                Ok(()) => {
                    self.pause = PAUSE;
                    LOOK
                }
                Err(failure) => {
                    self.failed(&failure);
                    let pause = self.pause;
                    self.pause = (pause * 2).min(LONGEST_PAUSE);
                    pause
                }
            };
            let rung = self.parts.bell.notified();
            let waits = async {
                if self.pause == PAUSE {
                    let _ = tokio::time::timeout(wait, rung).await;
                } else {
                    tokio::time::sleep(wait).await;
                }
            };
            if stop.run_until_cancelled(waits).await.is_none() {
                return;
            }
        }
    }

    fn failed(&self, failure: &Failure) {
        metrics::counter!("weir_upload_failures_total", "reason" => failure.category()).increment(1);
        let message = failure.to_string();
        let known = self.parts.states.backlog().trouble;
        if known.is_none_or(|known| known.message != message) {
            warn!(
                error = message,
                "recordings can't be stored; they wait in the spool"
            );
        }
        self.parts
            .states
            .change_backlog(|backlog| backlog.trouble = Some(Trouble { message }));
    }

    /// Sends all that is there.
    async fn round(&mut self) -> Result<(), Failure> {
        let spool = self.parts.spool.clone();
        let mut waiting = blocking(move || spool.whole()).await?;
        waiting.retain(|spooled| !self.aside.contains(&spooled.key));
        self.tell(&waiting);
        if std::mem::take(&mut self.is_first_round) {
            self.tried
                .extend(waiting.iter().map(|spooled| spooled.key.clone()));
        }
        if !waiting.is_empty() {
            let bucket = self.parts.bucket.borrow().clone().ok_or(Failure::NoBucket)?;
            self.send_all(&bucket, waiting).await?;
        }
        self.list_recordings().await?;
        if self.parts.states.backlog().trouble.is_some() {
            info!("recordings are stored again");
        }
        self.parts.states.change_backlog(|backlog| backlog.trouble = None);
        Ok(())
    }

    async fn send_all(&mut self, bucket: &Bucket, waiting: Vec<Spooled>) -> Result<(), Failure> {
        let mut waiting = waiting.into_iter();
        let mut sending = FuturesUnordered::new();
        let mut failure = None;
        let (parts, unlisted, aside) = (&self.parts, &mut self.unlisted, &mut self.aside);
        let tried = &mut self.tried;
        loop {
            while sending.len() < MOST_AT_ONCE && failure.is_none() {
                let Some(spooled) = waiting.next() else { break };
                let so_far = match (unlisted.contains(&spooled.key), tried.contains(&spooled.key)) {
                    (true, _) => SoFar::Stored,
                    (false, true) => SoFar::Tried,
                    (false, false) => SoFar::Nothing,
                };
                sending.push(send(parts, bucket, spooled, so_far));
            }
            let Some((spooled, sent)) = sending.next().await else {
                break;
            };
            match sent {
                Ok(()) => {
                    unlisted.remove(&spooled.key);
                    tried.remove(&spooled.key);
                    parts.states.change_backlog(|backlog| {
                        backlog.segments = backlog.segments.saturating_sub(1);
                        backlog.bytes = backlog.bytes.saturating_sub(spooled.bytes);
                    });
                }
                // The spool was full, and it was dropped meanwhile.
                Err(Failure::Unreadable(error)) if error.kind() == io::ErrorKind::NotFound => {
                    tried.remove(&spooled.key);
                }
                Err(unreadable @ Failure::Unreadable(_)) => {
                    metrics::counter!("weir_upload_failures_total", "reason" => unreadable.category())
                        .increment(1);
                    error!(
                        segment = %spooled.key,
                        error = %unreadable,
                        "a segment in the spool can't be stored; it is looked at again at the next start"
                    );
                    aside.insert(spooled.key);
                }
                Err(error) => {
                    if matches!(error, Failure::Index(_)) {
                        unlisted.insert(spooled.key);
                    } else {
                        tried.insert(spooled.key);
                    }
                    failure.get_or_insert(error);
                }
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Tells the index of recordings all of whose segments are stored.
    async fn list_recordings(&self) -> Result<(), Failure> {
        let spool = self.parts.spool.clone();
        let (notes, missing) = blocking(move || {
            let notes = spool.notes()?;
            let mut missing = spool.whole()?;
            missing.extend(spool.left_open()?);
            Ok((notes, missing))
        })
        .await?;
        for (name, text) in notes {
            let Ok(note) = serde_json::from_slice::<Note>(&text) else {
                warn!(name, "a note in the spool can't be read; it is left there");
                continue;
            };
            let is_behind = missing
                .iter()
                .any(|s| s.key.camera_uid == note.camera_uid && s.key.start_ms < note.end_ms);
            if !note.closed || is_behind {
                continue;
            }
            if note.end_ms > note.start_ms {
                self.parts
                    .catalogue
                    .finished(&self.parts.node, &note.finished())
                    .await?;
                debug!(name, "a recording is stored");
            }
            let spool = self.parts.spool.clone();
            blocking(move || spool.remove_note(&name)).await?;
        }
        Ok(())
    }

    fn tell(&self, waiting: &[Spooled]) {
        let bytes = waiting.iter().map(|s| s.bytes).sum();
        let oldest_ms = waiting.first().map(|s| s.key.start_ms);
        self.parts.states.change_backlog(|backlog| {
            backlog.segments = waiting.len() as u64;
            backlog.bytes = bytes;
            backlog.oldest_ms = oldest_ms;
        });
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let age_ms = oldest_ms.map_or(0, |at| (now.as_millis() as i64 - at).max(0));
        metrics::gauge!("weir_spool_segments").set(waiting.len() as f64);
        metrics::gauge!("weir_spool_bytes").set(bytes as f64);
        metrics::gauge!("weir_spool_limit_bytes").set(self.parts.spool.most_bytes() as f64);
        metrics::gauge!("weir_spool_oldest_seconds").set(age_ms as f64 / 1000.0);
    }
}

async fn send(
    parts: &UploaderParts,
    bucket: &Bucket,
    spooled: Spooled,
    so_far: SoFar,
) -> (Spooled, Result<(), Failure>) {
    let sent = async {
        let (spool, key) = (parts.spool.clone(), spooled.key.clone());
        let facts: SegmentFacts = blocking(move || spool.facts(&key))
            .await
            .map_err(Failure::Unreadable)?;
        let name = spooled.key.to_string();
        if so_far != SoFar::Stored {
            let begun = Instant::now();
            bucket
                .put_file(&name, &spooled.path, "video/mp4", &facts.to_metadata())
                .await
                .map_err(|error| match error {
                    Error::File(error) => Failure::Unreadable(error),
                    error => error.into(),
                })?;
            if so_far == SoFar::Tried && spooled.bytes > PART_BYTES {
                bucket.give_up_uploads(&name).await;
            }
            if let Some(folder) = parts.folder.clone() {
                blocking(move || sync_disk(&folder)).await?;
            }
            metrics::histogram!("weir_upload_seconds").record(begun.elapsed().as_secs_f64());
            metrics::counter!("weir_uploaded_bytes_total").increment(spooled.bytes);
        }
        parts.catalogue.stored(&facts, &name).await?;
        let (spool, key) = (parts.spool.clone(), spooled.key.clone());
        blocking(move || spool.remove(&key)).await?;
        parts.states.change(&spooled.key.camera_uid, |state| {
            state.last_stored_ms = Some(facts.end_ms.max(state.last_stored_ms.unwrap_or(facts.end_ms)));
        });
        Ok(())
    };
    let sent = sent.await;
    (spooled, sent)
}

/// What a server on this machine has written reaches its disk.
fn sync_disk(folder: &std::path::Path) -> io::Result<()> {
    let folder = std::fs::File::open(folder)?;
    rustix::fs::syncfs(&folder)?;
    Ok(())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}
