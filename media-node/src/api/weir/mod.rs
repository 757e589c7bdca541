//! Our own API, which the web page uses: `/api/weir/v1/`. JSON in the manner of Kubernetes.

pub(super) mod cameras;
pub(super) mod endpoints;
pub(super) mod recordings;

use super::{Api, cross_origin};
use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use std::sync::Arc;

pub(super) fn router(api: Arc<Api>) -> Router {
    let routes = Router::new()
        .route("/api/weir/v1/cameras", get(cameras::list))
        .route("/api/weir/v1/endpoints", get(endpoints::tell))
        .route("/api/weir/v1/recordings", get(recordings::list))
        .route("/recordings/{*rest}", get(recordings::serve))
        .with_state(api);
    cross_origin(routes)
}

/// What is true now and may not be so in a moment.
fn json(value: &impl Serialize) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], axum::Json(value)).into_response()
}
