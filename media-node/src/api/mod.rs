//! The HTTP APIs: documented ones, our own, health, and the web page.
//!
//! Media over HTTP is `egress`'s. What an API tells about streams and cameras it asks of the
//! directories that the role hands in; what it changes it writes as resources, and starts nothing.
//! Paths, checks and spellings of a documented API stay in its folder.

mod error;
mod health;
mod ipchub;
mod owned_secret;
mod page;
mod pool;
mod process;
mod ranges;
mod recorder;
mod request;
mod streams;
mod weir;

pub use health::{Check, Readiness};
pub use ipchub::server::Server;
pub(crate) use pool::INDEX;
pub use pool::{LocalStreams, Pods, Pool};
pub use recorder::{
    Footage, FootageError, Image, Node, NodeState, Nodes, Recorder, Settings as RecorderSettings, Viewers,
    VirtualFile, storage_address, system,
};
pub use request::{IsTls, clean_paths, cross_origin};
pub use streams::{
    Audio, Consumer, ConsumerId, ConsumerKind, FrameRate, SessionCount, SessionCounts, Stream,
    StreamDirectory, Survey, Video,
};
pub use weir::cameras::{Camera, CameraDirectory, CameraForwarding, CameraTrack};
pub use weir::endpoints::Endpoints;
pub use weir::recordings::Archive;

use crate::auth::Auth;
use crate::cluster::resource::{Secrets, Specs};
use crate::record::Catalogue;
use axum::Router;
use std::sync::Arc;

/// Gives the process's metrics in Prometheus' text form.
pub type MetricsText = Arc<dyn Fn() -> String + Send + Sync>;

/// What the APIs work with.
#[derive(Clone)]
pub struct Api {
    pub auth: Arc<Auth>,
    pub streams: Arc<dyn StreamDirectory>,
    pub cameras: Arc<dyn CameraDirectory>,
    /// Where what users want is written.
    pub specs: Arc<dyn Specs>,
    pub secrets: Arc<dyn Secrets>,
    pub readiness: Arc<Readiness>,
    pub metrics: MetricsText,
    pub endpoints: Endpoints,
    pub server: Server,
    /// What was recorded.
    pub archive: Archive,
    pub recorder: Recorder,
}

/// The routes of all APIs, to be merged with those of `egress` and wrapped in [`clean_paths`]. It
/// has the fallback, which is the web page. Requests need an extension
/// `axum::extract::ConnectInfo<SocketAddr>` that says who the peer is.
pub fn router(api: Api) -> Router {
    let health = health::router(api.readiness.clone(), api.metrics.clone());
    let api = Arc::new(api);
    let surfaces = [
        ("health", health),
        ("weir", weir::router(api.clone())),
        ("recorder", recorder::router(api.clone())),
        ("ipchub", ipchub::router(api)),
    ];
    let page = request::layers("page", page::router());
    surfaces
        .into_iter()
        .fold(Router::new(), |all, (surface, routes)| {
            all.merge(request::layers(surface, routes))
        })
        .fallback_service(page)
}

/// What a pod tells and does for the other pods of its pool.
pub fn pool_router(local: Arc<dyn LocalStreams>, auth: Arc<Auth>) -> Router {
    request::layers("pool", pool::router(local, auth))
}

/// What a gateway takes from the nodes of its pool for the index of recordings.
pub fn index_router(catalogue: Arc<dyn Catalogue>, auth: Arc<Auth>) -> Router {
    request::layers("pool", pool::index_router(catalogue, auth))
}

/// The health routes alone, for a node, which nobody but its probes and gateways calls.
pub fn health_router(readiness: Arc<Readiness>, metrics: MetricsText) -> Router {
    request::layers("health", health::router(readiness, metrics))
}

#[cfg(test)]
mod tests;
