//! From the spool to the bucket and the index, the oldest first.

use super::note::{Begun, Catalogue, CatalogueError, Note};
use super::recovery::complete_left;
use super::states::{States, Trouble};
use crate::store::object::{Bucket, Error, PART_BYTES};
use crate::store::spool::{Spool, Spooled};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::collections::{BTreeSet, HashMap, HashSet};
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
/// Segments that are remembered until the index can be told of them, when the spool has dropped them.
const MOST_UNLISTED: usize = 100_000;
/// How long is kept what can't be read, and how much of the spool it may take: a tenth. It is looked for so often.
const REFUSED: Duration = Duration::from_hours(30 * 24);
const REFUSED_SHARE: u64 = 10;
const TRIM: Duration = Duration::from_hours(1);
/// How often the spool is looked at without anybody ringing.
const LOOK: Duration = Duration::from_secs(5);
/// How often the index is told of a recording that goes on: it forgets those that nobody speaks of.
const REMIND: Duration = Duration::from_hours(1);
/// Recordings of a camera that the index is told of, the earliest: what is stored since is no other's alone anyway.
const MOST_BEGUN: usize = 400;
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
    /// Stored, and not in the index yet, with what that is to be told: the spool may have to drop them before.
    unlisted: HashMap<SegmentKey, SegmentFacts>,
    /// What the index was told of the recordings that each camera has begun, and when.
    running: HashMap<String, (BTreeSet<Begun>, Instant)>,
    /// Which may have been sent in part: those of an earlier process, and those whose sending has failed.
    tried: HashSet<SegmentKey>,
    is_first_round: bool,
    trimmed: Option<Instant>,
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
    Index(#[from] CatalogueError),
    /// It is in the bucket.
    #[error("{error}")]
    Unlisted {
        facts: Box<SegmentFacts>,
        error: CatalogueError,
    },
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
            Self::Index(_) | Self::Unlisted { .. } => "index",
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
            unlisted: HashMap::new(),
            running: HashMap::new(),
            tried: HashSet::new(),
            is_first_round: true,
            trimmed: None,
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
        // What is wrong with them keeps no other.
        let completed = blocking(move || complete_left(&spool)).await;
        if self.trimmed.is_none_or(|at| at.elapsed() >= TRIM) {
            let spool = self.parts.spool.clone();
            if let Err(error) = blocking(move || trim_refused(&spool)).await {
                warn!(%error, "the spool's folder refused can't be looked through");
            }
            self.trimmed = Some(Instant::now());
        }
        let spool = self.parts.spool.clone();
        let mut waiting = blocking(move || spool.whole()).await?;
        // What was dropped meanwhile needs no remembering.
        let there: HashSet<&SegmentKey> = waiting.iter().map(|spooled| &spooled.key).collect();
        for known in [&mut self.tried, &mut self.aside] {
            known.retain(|key| there.contains(key));
        }
        // What is in the bucket is told of all the same.
        if self.unlisted.len() > MOST_UNLISTED.max(2 * there.len()) {
            error!(
                "the index is away for too long: some of what is stored is listed only by media-node index rebuild"
            );
            self.unlisted.retain(|key, _| there.contains(key));
        }
        let dropped: Vec<SegmentFacts> = self
            .unlisted
            .iter()
            .filter(|(key, _)| !there.contains(key))
            .map(|(_, facts)| facts.clone())
            .collect();
        waiting.retain(|spooled| !self.aside.contains(&spooled.key));
        self.tell(&waiting);
        if std::mem::take(&mut self.is_first_round) {
            self.tried
                .extend(waiting.iter().map(|spooled| spooled.key.clone()));
        }
        // Before the segments, which are listed only when it is known whose they are.
        let told = self.tell_running().await;
        if waiting.is_empty() {
            told?;
        } else {
            let bucket = self.parts.bucket.borrow().clone().ok_or(Failure::NoBucket)?;
            self.send_all(&bucket, waiting, told.err()).await?;
        }
        for facts in dropped {
            let key = facts.key();
            self.parts.catalogue.stored(&facts, &key.to_string()).await?;
            self.unlisted.remove(&key);
        }
        self.list_recordings().await?;
        completed?;
        if self.parts.states.backlog().trouble.is_some() {
            info!("recordings are stored again");
        }
        self.parts.states.change_backlog(|backlog| backlog.trouble = None);
        Ok(())
    }

    /// Tells the index what has begun, of cameras where that is news. A recording's note is on the disk before its first segment is,
    /// so that all are told that the segments known by now are part of.
    async fn tell_running(&mut self) -> Result<(), Failure> {
        let spool = self.parts.spool.clone();
        let notes = blocking(move || spool.notes()).await?;
        let mut now: HashMap<String, BTreeSet<Begun>> = HashMap::new();
        for (_, text) in notes {
            let Ok(note) = serde_json::from_slice::<Note>(&text) else {
                continue;
            };
            let begun = note.begun();
            now.entry(note.camera_uid).or_default().insert(begun);
        }
        for uid in self.running.keys() {
            now.entry(uid.clone()).or_default();
        }
        for (uid, begun) in now {
            let begun: BTreeSet<Begun> = begun.into_iter().take(MOST_BEGUN).collect();
            let known = self.running.get(&uid);
            if known.is_some_and(|(known, at)| *known == begun && at.elapsed() < REMIND) {
                continue;
            }
            let all: Vec<Begun> = begun.iter().cloned().collect();
            self.parts.catalogue.running(&self.parts.node, &uid, &all).await?;
            if begun.is_empty() {
                self.running.remove(&uid);
            } else {
                self.running.insert(uid, (begun, Instant::now()));
            }
        }
        Ok(())
    }

    /// `failure` is what has kept the index from being told of anything: it is stored all the same.
    async fn send_all(
        &mut self,
        bucket: &Bucket,
        waiting: Vec<Spooled>,
        mut failure: Option<Failure>,
    ) -> Result<(), Failure> {
        let mut waiting = waiting.into_iter();
        let mut sending = FuturesUnordered::new();
        let mut stops = false;
        let (parts, unlisted, aside) = (&self.parts, &mut self.unlisted, &mut self.aside);
        let tried = &mut self.tried;
        loop {
            while sending.len() < MOST_AT_ONCE && !stops {
                let Some(spooled) = waiting.next() else { break };
                let so_far = match (unlisted.contains_key(&spooled.key), tried.contains(&spooled.key)) {
                    (true, _) => SoFar::Stored,
                    (false, true) => SoFar::Tried,
                    (false, false) => SoFar::Nothing,
                };
                // Without the index it is stored all the same: from then on the spool may drop it.
                sending.push(send(parts, bucket, spooled, so_far, failure.is_none()));
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
                    if let Failure::Unlisted { facts, .. } = &error {
                        unlisted.insert(spooled.key, (**facts).clone());
                    } else {
                        stops = true;
                        tried.insert(spooled.key);
                    }
                    failure.get_or_insert(error);
                }
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Tells the index of recordings all of whose segments are stored, but for those that can't be read.
    async fn list_recordings(&self) -> Result<(), Failure> {
        let spool = self.parts.spool.clone();
        let (notes, mut missing) = blocking(move || {
            let notes = spool.notes()?;
            // In this order, as they go from the one to the other.
            let mut missing = spool.left_open()?;
            missing.extend(spool.whole()?);
            Ok((notes, missing))
        })
        .await?;
        missing.retain(|spooled| !self.aside.contains(&spooled.key));
        for (name, text) in notes {
            // Said at the start.
            let Ok(note) = serde_json::from_slice::<Note>(&text) else {
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
    tell: bool,
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
        let told = if tell {
            parts.catalogue.stored(&facts, &name).await
        } else {
            Err(CatalogueError("it is away".to_owned()))
        };
        if let Err(error) = told {
            let facts = Box::new(facts);
            return Err(Failure::Unlisted { facts, error });
        }
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

/// Removes what could not be read, and nobody has come for.
fn trim_refused(spool: &Spool) -> io::Result<()> {
    let before = SystemTime::now().checked_sub(REFUSED).unwrap_or(UNIX_EPOCH);
    let (removed, bytes) = spool.trim_refused(before, spool.most_bytes() / REFUSED_SHARE)?;
    for segment in &removed {
        metrics::counter!("weir_spool_refused_removed_total").increment(1);
        warn!(
            segment = %segment.key,
            bytes = segment.bytes,
            "a segment that can't be read is removed from the spool's folder refused: it is old, or they are too many"
        );
    }
    metrics::gauge!("weir_spool_refused_bytes").set(bytes as f64);
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::super::note::Finished;
    use super::*;
    use crate::store::object::Embedded;
    use async_trait::async_trait;
    use parking_lot::Mutex;
    use std::io::Write;

    const DOOR: &str = "0a1b";

    /// An index that can be away.
    #[derive(Default)]
    struct Index {
        is_away: Mutex<bool>,
        segments: Mutex<Vec<String>>,
        recordings: Mutex<Vec<Finished>>,
        /// When the recordings that have begun begin, as they were told last.
        running: Mutex<Vec<i64>>,
        /// What was running when each segment was told.
        whose: Mutex<Vec<Vec<i64>>>,
    }

    impl Index {
        fn ask(&self) -> Result<(), CatalogueError> {
            if *self.is_away.lock() {
                return Err(CatalogueError("away".to_owned()));
            }
            Ok(())
        }
    }

    #[async_trait]
    impl Catalogue for Index {
        async fn stored(&self, _: &SegmentFacts, key: &str) -> Result<(), CatalogueError> {
            self.ask()?;
            self.segments.lock().push(key.to_owned());
            self.whose.lock().push(self.running.lock().clone());
            Ok(())
        }

        async fn running(&self, _: &str, camera_uid: &str, begun: &[Begun]) -> Result<(), CatalogueError> {
            self.ask()?;
            assert_eq!(camera_uid, DOOR);
            *self.running.lock() = begun.iter().map(|begun| begun.start_ms).collect();
            Ok(())
        }

        async fn finished(&self, _: &str, recording: &Finished) -> Result<(), CatalogueError> {
            self.ask()?;
            self.recordings.lock().push(recording.clone());
            Ok(())
        }
    }

    struct Rig {
        uploader: Uploader,
        spool: Spool,
        index: Arc<Index>,
        bucket: Bucket,
        folder: tempfile::TempDir,
        _stop: tokio_util::sync::DropGuard,
    }

    async fn rig() -> Rig {
        let folder = tempfile::tempdir().expect("a folder");
        let spool = Spool::open(&folder.path().join("spool"), 1 << 30).expect("a spool");
        let stop = CancellationToken::new();
        let embedded = Embedded::start(&folder.path().join("objects"), stop.clone())
            .await
            .expect("a store");
        let bucket = embedded.bucket();
        let index = Arc::new(Index::default());
        let parts = UploaderParts {
            spool: spool.clone(),
            states: Arc::default(),
            catalogue: index.clone(),
            node: "node".to_owned(),
            bucket: watch::channel(Some(bucket.clone())).1,
            bell: Arc::default(),
            folder: None,
        };
        Rig {
            uploader: Uploader::new(parts),
            spool,
            index,
            bucket,
            folder,
            _stop: stop.drop_guard(),
        }
    }

    fn key(start_ms: i64) -> SegmentKey {
        SegmentKey {
            camera_uid: DOOR.to_owned(),
            start_ms,
            epoch: 1,
            session: 7,
            sequence: 1,
        }
    }

    fn put(spool: &Spool, start_ms: i64) {
        let facts = SegmentFacts {
            camera_uid: DOOR.to_owned(),
            start_ms,
            end_ms: start_ms + 1000,
            epoch: 1,
            session: 7,
            sequence: 1,
            bytes: 5,
            ..SegmentFacts::default()
        };
        let (mut file, _claim) = spool.create(&key(start_ms), b"{}").expect("created");
        file.write_all(b"media").expect("written");
        spool
            .seal(&key(start_ms), &serde_json::to_vec(&facts).expect("JSON"))
            .expect("sealed");
    }

    fn note(spool: &Spool, start_ms: i64, end_ms: i64) {
        note_of(spool, start_ms, end_ms, true);
    }

    fn note_of(spool: &Spool, start_ms: i64, end_ms: i64, closed: bool) {
        let note = Note {
            camera_uid: DOOR.to_owned(),
            schedule_uid: "a".to_owned(),
            start_ms,
            end_ms,
            closed,
        };
        spool
            .write_note(&note.name(), &serde_json::to_vec(&note).expect("JSON"))
            .expect("noted");
    }

    #[tokio::test]
    async fn what_is_stored_is_listed_even_when_the_spool_dropped_it_meanwhile() {
        let mut rig = rig().await;
        put(&rig.spool, 1000);
        *rig.index.is_away.lock() = true;
        assert!(rig.uploader.round().await.is_err());
        let object = key(1000).to_string();
        assert!(rig.bucket.head(&object).await.expect("asked").is_some());
        rig.spool.remove(&key(1000)).expect("as if the spool were full");
        assert!(rig.uploader.round().await.is_err(), "it is not forgotten");
        *rig.index.is_away.lock() = false;
        rig.uploader.round().await.expect("told");
        rig.uploader.round().await.expect("once");
        assert_eq!(*rig.index.segments.lock(), [object]);
    }

    #[tokio::test]
    async fn without_the_index_all_is_stored_and_listed_later() {
        let mut rig = rig().await;
        for n in 0..10 {
            put(&rig.spool, n * 1000);
        }
        *rig.index.is_away.lock() = true;
        assert!(rig.uploader.round().await.is_err());
        let stored = rig.bucket.list("segments/", None).await.expect("a list");
        assert_eq!(stored.objects.len(), 10);
        assert_eq!(
            rig.spool.whole().expect("a list").len(),
            10,
            "not listed, and so kept"
        );
        *rig.index.is_away.lock() = false;
        rig.uploader.round().await.expect("told");
        assert_eq!(rig.spool.whole().expect("a list"), []);
        assert_eq!(rig.index.segments.lock().len(), 10);
    }

    #[tokio::test]
    async fn what_is_being_written_holds_no_recording_back() {
        let mut rig = rig().await;
        note(&rig.spool, 50_000, 60_000);
        // The clock was set back: what is written now is before all that.
        let writing = rig.spool.create(&key(1000), b"{}").expect("created");
        rig.uploader.round().await.expect("told");
        assert_eq!(rig.index.recordings.lock().len(), 1);
        // And what nobody writes, and can't be finished now, holds back those that it is in.
        drop(writing);
        let open = rig.spool.open_path(&key(70_000));
        std::fs::copy(rig.spool.open_path(&key(1000)), &open).expect("copied");
        let refused = rig.folder.path().join("spool/refused").join(DOOR);
        std::fs::write(&refused, "in the way").expect("written");
        note(&rig.spool, 70_000, 80_000);
        put(&rig.spool, 90_000);
        assert!(rig.uploader.round().await.is_err());
        assert_eq!(rig.index.recordings.lock().len(), 1);
        assert_eq!(rig.index.segments.lock().len(), 1, "but no other segment");
        std::fs::remove_file(refused).expect("removed");
        rig.uploader.round().await.expect("told");
        assert_eq!(rig.index.recordings.lock().len(), 2);
    }

    #[tokio::test]
    async fn what_can_not_be_read_holds_no_recording_back() {
        let mut rig = rig().await;
        put(&rig.spool, 1000);
        std::fs::write(rig.spool.whole_path(&key(1000)).with_extension("json"), "{").expect("torn");
        note(&rig.spool, 1000, 2000);
        rig.uploader.round().await.expect("told");
        assert_eq!(rig.index.recordings.lock().len(), 1);
    }

    #[tokio::test]
    async fn whose_a_segment_is_is_told_before_it() {
        let mut rig = rig().await;
        note_of(&rig.spool, 1000, 1000, false);
        put(&rig.spool, 1000);
        rig.uploader.round().await.expect("told");
        assert_eq!(*rig.index.whose.lock(), [vec![1000]]);
        // It goes on, and nothing new is to be said.
        rig.index.running.lock().clear();
        note_of(&rig.spool, 1000, 2000, false);
        rig.uploader.round().await.expect("told");
        assert_eq!(*rig.index.running.lock(), [0; 0]);
        // While that can't be told, what is theirs is stored and not listed.
        note_of(&rig.spool, 5000, 5000, false);
        put(&rig.spool, 5000);
        *rig.index.is_away.lock() = true;
        assert!(rig.uploader.round().await.is_err());
        let stored = rig.bucket.head(&key(5000).to_string()).await.expect("asked");
        assert!(stored.is_some());
        *rig.index.is_away.lock() = false;
        rig.uploader.round().await.expect("told");
        let mut whose = rig.index.whose.lock()[1].clone();
        whose.sort_unstable();
        assert_eq!(whose, [1000, 5000]);
        // What is whole runs no more, and neither does what has come to nothing.
        note(&rig.spool, 1000, 2000);
        note(&rig.spool, 5000, 5000);
        rig.uploader.round().await.expect("told");
        rig.uploader.round().await.expect("told");
        assert_eq!(rig.index.recordings.lock().len(), 1);
        assert_eq!(*rig.index.running.lock(), [0; 0]);
    }

    #[tokio::test]
    async fn what_is_refused_takes_a_tenth_of_the_spool() {
        let mut rig = rig().await;
        let spool = Spool::open(rig.spool.folder(), 50).expect("a spool");
        for start_ms in [1000, 2000] {
            let (mut file, _claim) = spool.create(&key(start_ms), b"{}").expect("created");
            file.write_all(b"media").expect("written");
            spool.refuse(&key(start_ms)).expect("refused");
        }
        rig.uploader.parts.spool = spool;
        rig.uploader.round().await.expect("a round");
        let left = std::fs::read_dir(rig.folder.path().join("spool/refused").join(DOOR)).expect("a folder");
        let left: Vec<_> = left.map(|entry| entry.expect("a file").file_name()).collect();
        assert_eq!(left, [key(2000).file_name().as_str()]);
    }
}
