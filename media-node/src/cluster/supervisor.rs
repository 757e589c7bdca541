//! Runs what is ours: the Cameras that are placed on this node (or all, standalone), and what
//! Routes start for those who ask. Where the world comes from is `resource`'s, how a source is
//! dialled the ingest's.
//!
//! | file | holds |
//! |---|---|
//! | `camera` | one Camera: whether its job runs, and what is said of it |
//! | `pull` | streams that Routes have started |
//! | `forwards` | the servers that one stream is pushed to |
//! | `owners` | whose the streams are that nobody has placed |
//! | `credentials` | the Secrets that sources and forwards need |
//! | `task` | what that one task does about each piece of news |
//! | `index` | what can be brought when somebody asks, for [`Demand`] |
//!
//! One task owns all of it. It hears of changes of the world, of demand, of jobs, of Secrets and
//! of time, and each time brings what runs to what shall run; nothing depends on having heard
//! every single change.

mod camera;
mod credentials;
mod forwards;
mod index;
mod owners;
mod pull;
mod task;

use super::report::Reports;
use super::resource::{ResourceWriter, Secrets, World};
use super::work::{News, Work, WorkId};
use crate::egress::forward::LaunchForward;
use crate::hub::{Demand, Hub, Verdict};
use crate::ingest::{Job, Launch};
use crate::record::States;
use credentials::{Answer, SecretCache};
use index::Index;
use owners::Owners;
use parking_lot::Mutex;
use pull::Pulls;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use task::Task;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use weir_proto::media::StreamPath;

/// Changes of the world are gathered for this long.
const GATHER: Duration = Duration::from_millis(50);
/// How often viewers and publishers are looked for.
const TICK: Duration = Duration::from_secs(1);
/// How long jobs and statuses get at the end.
const FAREWELL: Duration = Duration::from_secs(6);

/// How a supervisor works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// This node's name, as `status.node` has it.
    pub me: String,
    /// All enabled Cameras are ours; otherwise those whose `status.node` is `me`.
    pub standalone: bool,
    /// The folder that paths of file sources are below.
    pub media: PathBuf,
    /// How long a stream that a Route started goes on without viewers.
    pub route_idle: Duration,
    /// How long a camera that has been placed elsewhere goes on while it isn't live there.
    pub handover: Duration,
}

impl Settings {
    /// With the usual times.
    pub fn new(me: impl Into<String>, standalone: bool, media: impl Into<PathBuf>) -> Self {
        Self {
            me: me.into(),
            standalone,
            media: media.into(),
            route_idle: Duration::from_mins(5),
            handover: Duration::from_secs(10),
        }
    }
}

/// What a supervisor works with.
#[derive(Clone)]
pub struct Parts {
    pub world: World,
    pub hub: Arc<Hub>,
    pub launch: Arc<dyn Launch>,
    pub forward: Arc<dyn LaunchForward>,
    pub writer: Arc<dyn ResourceWriter>,
    pub secrets: Arc<dyn Secrets>,
    /// How it stands with the recording of cameras.
    pub recording: Arc<States>,
}

/// A handle on the supervisor's task; its [`Demand`] is for the hub. Cheap to clone.
#[derive(Clone)]
pub struct Supervisor(Arc<Shared>);

struct Shared {
    index: Mutex<Index>,
    /// What the index is made from, and the version of it that it was made from.
    world: World,
    indexed: AtomicU64,
    bell: Notify,
    /// Cameras that are ours or are being handed over.
    placed: watch::Sender<usize>,
}

impl Supervisor {
    /// Starts supervising; ends, with everything that it started, soon after `stop`.
    pub fn start(parts: Parts, settings: Settings, stop: CancellationToken) -> (Self, JoinHandle<()>) {
        let handle = Self(Arc::new(Shared {
            index: Mutex::default(),
            world: parts.world.clone(),
            indexed: AtomicU64::new(parts.world.version().wrapping_sub(1)),
            bell: Notify::new(),
            placed: watch::Sender::new(0),
        }));
        let task = tokio::spawn(run(parts, settings, handle.0.clone(), stop));
        (handle, task)
    }

    /// Waits until no Camera is placed here any more and none is being handed over, for a node
    /// that is about to go: the operator moves them. False if that took longer than `at_most`.
    pub async fn drain(&self, at_most: Duration) -> bool {
        let mut placed = self.0.placed.subscribe();
        let empty = placed.wait_for(|n| *n == 0);
        matches!(tokio::time::timeout(at_most, empty).await, Ok(Ok(_)))
    }
}

impl Demand for Supervisor {
    fn wanted(&self, path: &StreamPath) -> Verdict {
        self.0.ask(path)
    }
}

impl Shared {
    /// Somebody asks for a path; the task hears of it if it can be brought.
    fn ask(&self, path: &StreamPath) -> Verdict {
        // What was just made known to the world may be what is asked for.
        let is_behind = self.is_behind();
        let verdict = self.index.lock().ask(path, is_behind, Instant::now());
        if verdict == Verdict::Coming {
            self.bell.notify_one();
        }
        verdict
    }

    /// Whether the world has changed since the index was made.
    fn is_behind(&self) -> bool {
        self.world.version() != self.indexed.load(Ordering::Acquire)
    }
}

/// What the parts of the task share.
struct Context<'a> {
    settings: &'a Settings,
    hub: &'a Hub,
    launch: &'a dyn Launch,
    forward: &'a dyn LaunchForward,
    news: &'a mpsc::Sender<News>,
    reports: &'a Reports,
    shared: &'a Shared,
    recording: &'a States,
    owners: &'a Owners,
    secrets: &'a mut SecretCache,
}

impl Context<'_> {
    fn start(&self, job: Job) -> Work {
        metrics::counter!("weir_jobs_started_total").increment(1);
        Work::start(self.launch, job, self.news.clone())
    }

    /// An attempt to bring `path` has failed: those who wait need not.
    fn failed(&self, path: &StreamPath, now: Instant) {
        self.shared.index.lock().failed(path, now);
        self.hub.refuse(path);
    }
}

async fn run(parts: Parts, settings: Settings, shared: Arc<Shared>, stop: CancellationToken) {
    let (news, mut jobs) = mpsc::channel(1024);
    let (answers, mut secrets) = mpsc::channel::<Answer>(64);
    let reporting = CancellationToken::new();
    let (reports, mut reporters) = Reports::start(parts.writer.clone(), reporting.clone());
    let mut secret_changes = parts.secrets.changes();
    let mut world = parts.world.news();
    let mut recording = parts.recording.news();
    let mut task = Task {
        secrets: SecretCache::new(parts.secrets.clone(), parts.world.pools.clone(), answers),
        parts,
        settings,
        shared: shared.clone(),
        reports,
        news,
        entries: HashMap::new(),
        pulls: Pulls::default(),
        owners: Owners::default(),
        owned: HashMap::new(),
        ending: HashMap::new(),
        routes_said: HashMap::new(),
        recording_changed: false,
    };
    if stop.run_until_cancelled(task.parts.world.ready()).await == Some(true) {
        task.refresh();
    }
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut refresh_at: Option<Instant> = None;
    loop {
        let refresh = async {
            match refresh_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let secrets_changed = async {
            let told = match &mut secret_changes {
                Some(changes) => changes.changed().await.is_ok(),
                None => false,
            };
            if !told {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => break,
            changed = world.changed(), if refresh_at.is_none() => {
                // A feed that has ended leaves the world as it is.
                let wait = if changed.is_ok() { GATHER } else { Duration::from_hours(24) };
                refresh_at = Some(Instant::now() + wait);
            }
            () = refresh => {
                refresh_at = None;
                task.refresh();
            }
            () = shared.bell.notified() => task.demands(),
            Some(first) = jobs.recv() => task.job_news(first),
            Some(answer) = secrets.recv() => task.secret(answer),
            () = secrets_changed => task.secrets.refresh_all(),
            // Gathered until the next tick.
            Ok(()) = recording.changed(), if !task.recording_changed => task.recording_changed = true,
            _ = tick.tick() => task.tick(),
        }
    }
    let mut left: HashSet<WorkId> = task.end_all();
    let deadline = Instant::now() + FAREWELL;
    while !left.is_empty() {
        match tokio::time::timeout_at(deadline, jobs.recv()).await {
            Ok(Some(News::Ended(id))) => {
                left.remove(&id);
            }
            Ok(Some(News::State(_))) => {}
            Ok(None) | Err(_) => break,
        }
    }
    task.reports.settled(Duration::from_secs(2)).await;
    reporting.cancel();
    while reporters.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests;
