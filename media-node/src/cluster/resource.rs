//! The world as custom resources: stores to read it from, and traits to write to it.
//!
//! Two feeds fill the same stores: `kubernetes` (the cluster's watches) and `folder` (a folder of
//! YAML files). This is the only place where the two ways to run differ; whoever reads a [`World`]
//! can't tell them apart. What is done about the resources is the supervisor's.

use async_trait::async_trait;
use futures::FutureExt;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::reflector::Store;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use tokio::sync::watch;
use weir_crds::{Camera, MediaPool, RecordSchedule, Route};
use weir_proto::Redacted;

/// All resources that a media node reads. The stores keep their content while the API server is
/// away. Cheap to clone.
#[derive(Clone)]
pub struct World {
    pub cameras: Store<Camera>,
    pub routes: Store<Route>,
    pub schedules: Store<RecordSchedule>,
    pub pools: Store<MediaPool>,
    /// The pool's node pods; always empty without a cluster.
    pub pods: Store<Pod>,
    /// The pool's gateway pods, likewise.
    pub gateways: Store<Pod>,
    news: watch::Receiver<u64>,
}

impl World {
    /// Changes whenever a store may have changed. Marked as seen when taken.
    pub fn news(&self) -> watch::Receiver<u64> {
        let mut news = self.news.clone();
        news.borrow_and_update();
        news
    }

    /// A number that is another one whenever a store may have changed.
    pub fn version(&self) -> u64 {
        *self.news.borrow()
    }

    /// Waits until every store has been filled once. False if a feed ended before that.
    pub async fn ready(&self) -> bool {
        // A store's own wait wakes one of those who wait, so each look here is a look and no more.
        let mut news = self.news.clone();
        loop {
            news.borrow_and_update();
            let looks = [
                self.cameras.wait_until_ready().now_or_never(),
                self.routes.wait_until_ready().now_or_never(),
                self.schedules.wait_until_ready().now_or_never(),
                self.pools.wait_until_ready().now_or_never(),
                self.pods.wait_until_ready().now_or_never(),
                self.gateways.wait_until_ready().now_or_never(),
            ];
            if looks.iter().all(|look| matches!(look, Some(Ok(())))) {
                return true;
            }
            if looks.iter().any(|look| matches!(look, Some(Err(_)))) || news.changed().await.is_err() {
                return false;
            }
        }
    }

    /// The pool that counts: the oldest.
    pub fn pool(&self) -> Option<Arc<MediaPool>> {
        let mut pools = self.pools.state().into_iter();
        let first = pools.next()?;
        Some(pools.fold(first, |best, p| if p.goes_before(&best) { p } else { best }))
    }
}

/// Says that a store has changed.
#[derive(Clone)]
pub(super) struct News(Arc<watch::Sender<u64>>);

impl News {
    pub(super) fn new(sender: watch::Sender<u64>) -> Self {
        Self(Arc::new(sender))
    }

    pub(super) fn tell(&self) {
        self.0.send_modify(|n| *n = n.wrapping_add(1));
    }
}

/// The write ends of a [`World`]'s stores. A feed owns them.
pub(super) struct Writers {
    pub(super) cameras: Writer<Camera>,
    pub(super) routes: Writer<Route>,
    pub(super) schedules: Writer<RecordSchedule>,
    pub(super) pools: Writer<MediaPool>,
    pub(super) pods: Writer<Pod>,
    pub(super) gateways: Writer<Pod>,
    pub(super) news: News,
}

impl Writers {
    pub(super) fn new() -> (World, Self) {
        let (sender, receiver) = watch::channel(0);
        let writers = Self {
            cameras: Writer::default(),
            routes: Writer::default(),
            schedules: Writer::default(),
            pools: Writer::default(),
            pods: Writer::default(),
            gateways: Writer::default(),
            news: News::new(sender),
        };
        let world = World {
            cameras: writers.cameras.as_reader(),
            routes: writers.routes.as_reader(),
            schedules: writers.schedules.as_reader(),
            pools: writers.pools.as_reader(),
            pods: writers.pods.as_reader(),
            gateways: writers.gateways.as_reader(),
            news: receiver,
        };
        (world, writers)
    }

    /// Marks all stores as filled, with what they have.
    pub(super) fn filled(&mut self) {
        fn fill<K>(writer: &mut Writer<K>)
        where
            K: kube::runtime::reflector::Lookup + Clone + 'static,
            K::DynamicType: Default + Eq + std::hash::Hash + Clone,
        {
            let now = writer.as_reader().state();
            writer.apply_watcher_event(&watcher::Event::Init);
            for object in now {
                writer.apply_watcher_event(&watcher::Event::InitApply((*object).clone()));
            }
            writer.apply_watcher_event(&watcher::Event::InitDone);
        }
        fill(&mut self.cameras);
        fill(&mut self.routes);
        fill(&mut self.schedules);
        fill(&mut self.pools);
        fill(&mut self.pods);
        fill(&mut self.gateways);
        self.news.tell();
    }
}

/// Kinds of object that a media node reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Camera,
    Route,
    MediaPool,
    Room,
    RecordSchedule,
    Secret,
}

impl Kind {
    pub const ALL: [Self; 6] = [
        Self::Camera,
        Self::Route,
        Self::MediaPool,
        Self::Room,
        Self::RecordSchedule,
        Self::Secret,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Camera => "Camera",
            Self::Route => "Route",
            Self::MediaPool => "MediaPool",
            Self::Room => "Room",
            Self::RecordSchedule => "RecordSchedule",
            Self::Secret => "Secret",
        }
    }

    pub const fn api_version(self) -> &'static str {
        match self {
            Self::Secret => "v1",
            _ => "weir.video/v1alpha1",
        }
    }

    /// The kind of a manifest.
    pub fn of(api_version: &str, kind: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|k| k.as_str() == kind && k.api_version() == api_version)
    }

    pub(super) fn api_resource(self) -> kube::core::ApiResource {
        let (group, version) = match self {
            Self::Secret => ("", "v1"),
            _ => (weir_crds::GROUP, weir_crds::VERSION),
        };
        kube::core::ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk(group, version, self.as_str()))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Names an object; two objects that had one name after each other differ in `uid`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    pub kind: Kind,
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

impl Target {
    pub fn of<K: kube::Resource>(kind: Kind, object: &K) -> Self {
        let meta = object.meta();
        Self {
            kind,
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// What `kubectl describe` shows under Events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub warning: bool,
    /// `CamelCase`, for programs.
    pub reason: &'static str,
    /// For people; no credentials.
    pub note: String,
}

/// Says in resources how things are. Implementations take care of deadlines; callers of retries.
#[async_trait]
pub trait ResourceWriter: Send + Sync {
    /// Makes `status` all that the media nodes say of the object's status. With a resource version
    /// the write fails when the object has changed since. Answers with the new resource version.
    async fn apply_status(
        &self,
        target: &Target,
        resource_version: Option<&str>,
        status: &Value,
    ) -> Result<Option<String>, WriteError>;

    /// Says what happened to an object. Best effort.
    async fn notify(&self, target: &Target, notice: &Notice) -> Result<(), WriteError>;
}

/// Writes what users want, for API calls. It reads past the stores of a [`World`], so that whoever
/// asks after a write finds it, also at another gateway. Implementations take care of deadlines.
#[async_trait]
pub trait Specs: Send + Sync {
    /// All Routes as they are now, in any order; those that are being deleted too.
    async fn routes(&self) -> Result<Vec<Route>, WriteError>;

    /// All Cameras, likewise.
    async fn cameras(&self) -> Result<Vec<Camera>, WriteError>;

    /// All `RecordSchedule`s, likewise.
    async fn schedules(&self) -> Result<Vec<RecordSchedule>, WriteError>;

    /// Makes an object. `manifest` has `apiVersion`, `kind`, `metadata.name`, and for all but the
    /// own namespace `metadata.namespace`. [`WriteError::Conflict`] when there is one of that name.
    async fn create(&self, manifest: &Value) -> Result<Target, WriteError>;

    /// Changes an object: `patch` is a JSON merge patch (RFC 7396), so that null takes a field away.
    /// [`WriteError::Conflict`] when the object has changed since that resource version.
    async fn change(&self, target: &Target, resource_version: &str, patch: &Value) -> Result<(), WriteError>;

    /// Deletes an object. False if there was none.
    async fn delete(&self, kind: Kind, namespace: &str, name: &str) -> Result<bool, WriteError>;
}

/// Why a write did not happen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    #[error("the object does not exist any more")]
    Gone,
    #[error("the object has changed in the meantime")]
    Conflict,
    /// Trying the same again is no use.
    #[error("refused: {0}")]
    Refused(String),
    #[error("the API server or the folder can't be written to now")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl WriteError {
    /// The message with its causes.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }

    /// For the metric label.
    pub const fn category(&self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Conflict => "conflict",
            Self::Refused(_) => "refused",
            Self::Unavailable(_) => "unavailable",
        }
    }
}

/// The values of a Secret by key.
pub type SecretData = BTreeMap<String, Redacted<Vec<u8>>>;

/// Reads Secrets by name.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// `None` when there is no such Secret.
    async fn read(&self, namespace: &str, name: &str) -> Result<Option<SecretData>, WriteError>;

    /// Changes when a Secret may have changed; `None` where nobody tells, and those in use are to
    /// be read again from time to time.
    fn changes(&self) -> Option<watch::Receiver<u64>> {
        None
    }
}
