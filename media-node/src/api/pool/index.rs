//! `POST /pool/v1/index`: a node says what it has stored. Gateways alone write to the database.

use super::super::error::Error;
use crate::auth::{Action, Auth, Call};
use crate::record::{Catalogue, Report};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, header};
use axum::routing::post;
use axum::{Json, Router};
use std::sync::Arc;
use tracing::warn;

/// Where it is told.
pub(crate) const INDEX: &str = "/pool/v1/index";
/// Most bytes of a report.
const MOST_BYTES: usize = 64 << 10;

#[derive(Clone)]
struct Door {
    catalogue: Arc<dyn Catalogue>,
    auth: Arc<Auth>,
}

pub(in super::super) fn router(catalogue: Arc<dyn Catalogue>, auth: Arc<Auth>) -> Router {
    Router::new()
        .route(INDEX, post(take))
        .layer(DefaultBodyLimit::max(MOST_BYTES))
        .with_state(Door { catalogue, auth })
}

async fn take(State(door): State<Door>, headers: HeaderMap, Json(report): Json<Report>) -> Result<(), Error> {
    let shown = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    let caller = door.auth.caller_by_relay(shown);
    door.auth.authorize(&caller, Action::Call(Call::Pool))?;
    report.tell(&*door.catalogue).await.map_err(|error| {
        warn!(%error, "a report of what was stored is not taken");
        Error::Unavailable("the index is away")
    })
}
