//! `GET /api/weir/v1/cameras?token=`: the cameras that the caller may view.

use super::super::error::Error;
use super::super::{Api, request};
use crate::auth::{Action, Call};
use async_trait::async_trait;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde::Serialize;
use std::sync::Arc;
use weir_proto::media::StreamPath;

/// Knows the cameras of the pool: their resources, and who watches them. Made by the role.
#[async_trait]
pub trait CameraDirectory: Send + Sync + 'static {
    /// All of them, in any order.
    async fn cameras(&self) -> Vec<Camera>;
}

/// A camera as this API tells it. Unknown texts are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Camera {
    pub name: String,
    pub namespace: String,
    /// Stream path as it was written, without a leading slash.
    pub path: String,
    pub display_name: String,
    /// Kind of source, `RTSP` or `File` for example.
    pub source: String,
    /// Pod that runs it.
    pub node: String,
    pub ready: bool,
    /// Of the condition that says why it is or isn't ready.
    pub reason: String,
    pub message: String,
    /// Of the picture, `H264` for example.
    pub codec: String,
    /// Of the picture, in pixels: `1280x720`.
    pub size: String,
    pub tracks: Vec<CameraTrack>,
    pub viewers: u64,
    /// Of the servers that the stream is pushed to; absent where it is pushed to none, and to all but
    /// administrators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwarding: Option<CameraForwarding>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CameraForwarding {
    /// All of them take the stream.
    pub ready: bool,
    /// Of the condition that says so, or why not.
    pub reason: String,
    pub message: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CameraTrack {
    /// `video` or `audio`.
    pub kind: &'static str,
    pub codec: String,
    /// Pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
}

#[derive(Serialize)]
struct List {
    cameras: Vec<Camera>,
}

pub(super) async fn list(State(api): State<Arc<Api>>, uri: Uri) -> Result<Response, Error> {
    let token = request::parameter(&uri, "token");
    let caller = api.auth.caller_by_token(token.as_deref()).await;
    api.auth.authorize(&caller, Action::Call(Call::Browse))?;
    let mut cameras = api.cameras.cameras().await;
    cameras.retain(|camera| {
        StreamPath::parse(&camera.path)
            .is_some_and(|path| api.auth.authorize(&caller, Action::Subscribe(&path)).is_ok())
    });
    // The path at another server is often what lets in there.
    if api
        .auth
        .authorize(&caller, Action::Call(Call::Administer))
        .is_err()
    {
        for camera in &mut cameras {
            camera.forwarding = None;
        }
    }
    cameras.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    Ok(super::json(&List { cameras }))
}
