//! Jobs, worlds and Secrets made up for the tests of this module.

use super::resource::{SecretData, Secrets, World, WriteError, Writers};
use crate::egress::forward::{self, Forward, LaunchForward};
use crate::hub::{Hub, Provenance, Publisher, Segmentation};
use crate::ingest::{Job, Launch, Reason, Reporter, State};
use async_trait::async_trait;
use bytes::Bytes;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher::Event;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use weir_crds::{Camera, MediaPool, Route};
use weir_proto::Redacted;
use weir_proto::media::codec::h264;
use weir_proto::media::{CodecParameters, StreamPath, Track, Tracks};

pub(super) fn path(text: &str) -> StreamPath {
    StreamPath::parse(text).expect("a path")
}

pub(super) fn tracks() -> Tracks {
    let video = h264::Parameters {
        sps: Bytes::new(),
        pps: Bytes::new(),
        width: 640,
        height: 360,
        frame_rate: None,
    };
    Tracks::new([Track {
        codec: CodecParameters::H264(video),
        clock_rate: 90000,
    }])
}

/// A job that does what the test tells it.
pub(super) struct Started {
    pub(super) job: Job,
    pub(super) reporter: Reporter,
    publisher: Mutex<Option<Publisher>>,
    crash: tokio::sync::Notify,
    hub: Arc<Hub>,
}

impl Started {
    pub(super) fn live(&self) {
        let provenance = Provenance {
            protocol: self.job.source.protocol(),
            address: String::new(),
            session: 1,
        };
        let segmentation = Segmentation::Own(Duration::from_secs(2));
        let publisher = self
            .hub
            .publish(&self.job.path, tracks(), provenance, segmentation);
        *self.publisher.lock() = Some(publisher);
        self.say(State::Live {
            tracks: tracks(),
            since: SystemTime::now(),
        });
    }

    pub(super) fn fail(&self, reason: Reason) {
        *self.publisher.lock() = None;
        self.say(State::Failed {
            reason,
            message: "made up".to_owned(),
            retry_in: self.job.redial.then_some(Duration::from_secs(10)),
        });
        if !self.job.redial {
            self.crash();
        }
    }

    pub(super) fn say(&self, state: State) {
        let _ = self.reporter.state.send(state);
    }

    /// Ends by itself.
    pub(super) fn crash(&self) {
        self.crash.notify_one();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.reporter.stop.is_cancelled()
    }
}

/// Starts made-up jobs.
pub(super) struct Launcher {
    pub(super) started: Mutex<Vec<Arc<Started>>>,
    hub: Arc<Hub>,
}

impl Launcher {
    pub(super) fn new(hub: Arc<Hub>) -> Arc<Self> {
        Arc::new(Self {
            started: Mutex::default(),
            hub,
        })
    }

    pub(super) fn count(&self) -> usize {
        self.started.lock().len()
    }

    /// The job that was started last.
    pub(super) fn last(&self) -> Arc<Started> {
        self.started.lock().last().expect("a job was started").clone()
    }

    /// Paths of the jobs that run.
    pub(super) fn running(&self) -> Vec<String> {
        let started = self.started.lock();
        let running = started
            .iter()
            .filter(|s| !s.is_stopped() && !s.reporter.state.is_closed());
        let mut paths: Vec<String> = running.map(|s| s.job.path.to_string()).collect();
        paths.sort();
        paths
    }
}

impl Launch for Launcher {
    fn launch(&self, job: Job, reporter: Reporter) -> tokio::task::JoinHandle<()> {
        let started = Arc::new(Started {
            job,
            reporter,
            publisher: Mutex::default(),
            crash: tokio::sync::Notify::new(),
            hub: self.hub.clone(),
        });
        self.started.lock().push(started.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = started.reporter.stop.cancelled() => tokio::time::sleep(Duration::from_millis(20)).await,
                () = started.crash.notified() => {}
            }
            *started.publisher.lock() = None;
            // As the ingest does: why it failed for good stays its last word.
            if !matches!(
                &*started.reporter.state.borrow(),
                State::Failed { retry_in: None, .. }
            ) {
                started.reporter.state.send_replace(State::Stopped);
            }
        })
    }
}

/// A forward that does what the test tells it.
pub(super) struct Pushed {
    pub(super) forward: Forward,
    pub(super) reporter: forward::Reporter,
}

impl Pushed {
    pub(super) fn say(&self, state: forward::State) {
        let _ = self.reporter.state.send(state);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.reporter.stop.is_cancelled()
    }
}

/// Starts made-up forwards.
#[derive(Default)]
pub(super) struct Pusher(pub(super) Mutex<Vec<Arc<Pushed>>>);

impl Pusher {
    pub(super) fn count(&self) -> usize {
        self.0.lock().len()
    }

    /// The one that was started last.
    pub(super) fn last(&self) -> Arc<Pushed> {
        self.0.lock().last().expect("a forward was started").clone()
    }

    /// Servers of those that run.
    pub(super) fn running(&self) -> Vec<String> {
        let all = self.0.lock();
        let running = all.iter().filter(|p| !p.is_stopped());
        let mut servers: Vec<String> = running.map(|p| p.forward.target.shown()).collect();
        servers.sort();
        servers
    }
}

impl LaunchForward for Pusher {
    fn launch(&self, forward: Forward, reporter: forward::Reporter) -> tokio::task::JoinHandle<()> {
        let pushed = Arc::new(Pushed { forward, reporter });
        self.0.lock().push(pushed.clone());
        tokio::spawn(async move {
            pushed.reporter.stop.cancelled().await;
            pushed.reporter.state.send_replace(forward::State::Stopped);
        })
    }
}

/// A world that the test changes.
pub(super) struct MadeUp {
    pub(super) world: World,
    writers: Mutex<Writers>,
    version: Mutex<u64>,
}

impl MadeUp {
    pub(super) fn new() -> Self {
        let (world, mut writers) = Writers::new();
        writers.filled();
        Self {
            world,
            writers: Mutex::new(writers),
            version: Mutex::new(0),
        }
    }

    /// `metadata` and `status` are added to.
    fn object(&self, kind: &str, name: &str, mut object: Value) -> Value {
        let mut version = self.version.lock();
        *version += 1;
        object["apiVersion"] = "weir.video/v1alpha1".into();
        object["kind"] = kind.into();
        let metadata = &mut object["metadata"];
        metadata["name"] = name.into();
        metadata["namespace"] = "default".into();
        metadata["resourceVersion"] = version.to_string().into();
        metadata["generation"] = (*version).into();
        if metadata["uid"].is_null() {
            metadata["uid"] = format!("uid-{name}").into();
        }
        if metadata["creationTimestamp"].is_null() {
            metadata["creationTimestamp"] = "2026-01-01T00:00:00Z".into();
        }
        object
    }

    pub(super) fn camera(&self, name: &str, object: Value) {
        let camera: Camera = serde_json::from_value(self.object("Camera", name, object)).expect("a camera");
        let mut writers = self.writers.lock();
        writers.cameras.apply_watcher_event(&Event::Apply(camera));
        writers.news.tell();
    }

    /// An RTSP camera that is dialled always, on no node.
    pub(super) fn rtsp(&self, name: &str) {
        self.camera(
            name,
            json!({"spec": {"source": {"rtsp": {"url": format!("rtsp://{name}/")}}}}),
        );
    }

    pub(super) fn no_camera(&self, name: &str) {
        let gone = self
            .world
            .cameras
            .find(|c| c.metadata.name.as_deref() == Some(name))
            .expect("a camera");
        let mut writers = self.writers.lock();
        writers
            .cameras
            .apply_watcher_event(&Event::Delete((*gone).clone()));
        writers.news.tell();
    }

    pub(super) fn route(&self, name: &str, pattern: &str, url: &str, keep_alive: bool) {
        self.route_of(
            name,
            json!({"spec": {"pattern": pattern, "url": url, "keepAlive": keep_alive}}),
        );
    }

    pub(super) fn route_of(&self, name: &str, spec: Value) {
        let route: Route = serde_json::from_value(self.object("Route", name, spec)).expect("a route");
        let mut writers = self.writers.lock();
        writers.routes.apply_watcher_event(&Event::Apply(route));
        writers.news.tell();
    }

    pub(super) fn pool(&self, name: &str, spec: &Value) {
        let pool = self.object("MediaPool", name, json!({"spec": spec}));
        let pool: MediaPool = serde_json::from_value(pool).expect("a pool");
        let mut writers = self.writers.lock();
        writers.pools.apply_watcher_event(&Event::Apply(pool));
        writers.news.tell();
    }

    pub(super) fn no_route(&self, name: &str) {
        let gone = self
            .world
            .routes
            .find(|r| r.metadata.name.as_deref() == Some(name))
            .expect("a route");
        let mut writers = self.writers.lock();
        writers
            .routes
            .apply_watcher_event(&Event::Delete((*gone).clone()));
        writers.news.tell();
    }

    pub(super) fn pod(&self, name: &str, ip: &str, ready: bool) {
        let status = if ready { "True" } else { "False" };
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "default", "uid": format!("{name}-{ip}")},
            "status": {"podIP": ip, "phase": "Running", "conditions": [{"type": "Ready", "status": status}]}}))
        .expect("a pod");
        let mut writers = self.writers.lock();
        writers.pods.apply_watcher_event(&Event::Apply(pod));
        writers.news.tell();
    }

    pub(super) fn no_pod(&self, name: &str) {
        let gone = self
            .world
            .pods
            .find(|p| p.metadata.name.as_deref() == Some(name))
            .expect("a pod");
        let mut writers = self.writers.lock();
        writers.pods.apply_watcher_event(&Event::Delete((*gone).clone()));
        writers.news.tell();
    }
}

/// One Secret for all names, or none.
#[derive(Default)]
pub(super) struct Vault {
    pub(super) password: Mutex<Option<String>>,
    pub(super) away: Mutex<bool>,
}

#[async_trait]
impl Secrets for Vault {
    async fn read(&self, _: &str, _: &str) -> Result<Option<SecretData>, WriteError> {
        if *self.away.lock() {
            return Err(WriteError::Unavailable("away".into()));
        }
        let password = self.password.lock().clone();
        Ok(password.map(|password| {
            let secret = |text: &str| Redacted::new(text.as_bytes().to_vec());
            [
                ("username".to_owned(), secret("u")),
                ("password".to_owned(), secret(&password)),
                ("streamKey".to_owned(), secret(&password)),
            ]
            .into()
        }))
    }
}

pub(super) async fn pass(seconds: f64) {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}
