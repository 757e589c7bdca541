//! `/pool/v1/`: what a pod tells the others of its pool, and does for them. The relay secret opens it.

use super::super::error::Error;
use super::super::request;
use super::super::streams::{ConsumerId, Survey};
use super::LocalStreams;
use crate::auth::{Action, Auth, Call};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri, header};
use axum::routing::{delete, get};
use axum::{Json, Router};
use std::sync::Arc;
use weir_proto::media::StreamPath;

/// Where a survey is asked for; with `?path=`, of that stream alone.
pub(super) const SURVEY: &str = "/pool/v1/survey";
/// What stands before the path of a stream that is to end; with `?consumer=`, one consumer of it.
pub(super) const STREAMS: &str = "/pool/v1/streams/";

#[derive(Clone)]
struct Door {
    local: Arc<dyn LocalStreams>,
    auth: Arc<Auth>,
}

impl Door {
    fn check(&self, headers: &HeaderMap) -> Result<(), Error> {
        let shown = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
        let caller = self.auth.caller_by_relay(shown);
        Ok(self.auth.authorize(&caller, Action::Call(Call::Pool))?)
    }
}

pub(in super::super) fn router(local: Arc<dyn LocalStreams>, auth: Arc<Auth>) -> Router {
    Router::new()
        .route(SURVEY, get(survey))
        .route(&format!("{STREAMS}{{*path}}"), delete(close))
        .with_state(Door { local, auth })
}

async fn survey(State(door): State<Door>, headers: HeaderMap, uri: Uri) -> Result<Json<Survey>, Error> {
    door.check(&headers)?;
    let Some(path) = request::parameter(&uri, "path") else {
        return Ok(Json(door.local.survey()));
    };
    let path = StreamPath::parse(&path).ok_or(Error::NotFound)?;
    Ok(Json(Survey {
        streams: door.local.stream(&path).into_iter().collect(),
        ..Survey::default()
    }))
}

async fn close(
    State(door): State<Door>,
    Path(path): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<(), Error> {
    door.check(&headers)?;
    let path = StreamPath::parse(&path).ok_or(Error::NotFound)?;
    let Some(consumer) = request::parameter(&uri, "consumer") else {
        door.local.close(&path);
        return Ok(());
    };
    let consumer = consumer.parse().ok().and_then(ConsumerId::from_bits);
    door.local.close_consumer(&path, consumer.ok_or(Error::NotFound)?);
    Ok(())
}
