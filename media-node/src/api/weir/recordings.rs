//! Recorded footage of any range: what there is, as MP4, and as HLS. Whoever may watch a stream may watch what was recorded of
//! it.
//!
//! | request | answer |
//! |---|---|
//! | `GET /api/weir/v1/recordings?path=&from=&to=` | the spans that have footage |
//! | `GET /recordings/<path>.mp4?from=&to=` | one file, with byte ranges |
//! | `GET /recordings/<path>.m3u8?from=&to=` | a playlist |
//! | `GET /recordings/<path>.jpg?at=&w=&h=` | what it showed at a time; without `at`, what it shows now or showed last |
//! | `GET /recordings/segments/<camera uid>/<name>.mp4` | an object of that playlist |
//!
//! Times are RFC 3339, or milliseconds since 1970. Without `to` it is now, without `from` an hour before that.

mod asked;
mod ranged;

use super::super::error::Error;
use super::super::ranges::Asked;
use super::super::{Api, request};
use super::json;
use crate::record::{Playback, PlaybackError, Shown, SnapshotError, Snapshots, Span};
use asked::{admitted, authorize, fit, range, time};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, TryStreamExt};
use ranged::{asked_of, ranged};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use weir_proto::http::split_extension;
use weir_proto::media::StreamPath;
use weir_recording::SegmentKey;

/// From a stream's path to the uid of its Camera.
pub(crate) type CameraOf = Arc<dyn Fn(&StreamPath) -> Option<String> + Send + Sync>;
/// From a Camera's uid to the path of its stream.
pub(crate) type PathOf = Arc<dyn Fn(&str) -> Option<StreamPath> + Send + Sync>;

/// Knows which camera a path names, and reads what was recorded of it. Made by the role.
#[derive(Clone)]
pub struct Archive {
    pub playback: Playback,
    pub snapshots: Snapshots,
    /// Whether the stream of the Camera with that uid runs somewhere in the pool.
    pub runs: Arc<dyn Fn(&str) -> bool + Send + Sync>,
    pub camera_of: CameraOf,
    pub path_of: PathOf,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    path: String,
    from_ms: i64,
    to_ms: i64,
    spans: Vec<Span>,
}

pub(super) async fn list(State(api): State<Arc<Api>>, uri: Uri) -> Result<Response, Error> {
    let path = request::parameter(&uri, "path").unwrap_or_default();
    let (path, uid) = admitted(&api, &uri, &path).await?;
    let (from_ms, to_ms) = range(&uri)?;
    let spans = api.archive.playback.spans(&uid, from_ms, to_ms).await?;
    Ok(json(&Listed {
        path: path.to_string(),
        from_ms,
        to_ms,
        spans,
    }))
}

pub(super) async fn serve(
    State(api): State<Arc<Api>>,
    Path(rest): Path<String>,
    method: Method,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Error> {
    if let Some(segment) = rest.strip_prefix("segments/")
        && let Some((uid, name)) = segment.split_once('/')
    {
        return self::segment(&api, uid, name, &method, &headers, &uri).await;
    }
    let (path, extension) = split_extension(&rest).ok_or(Error::NotFound)?;
    match extension {
        "mp4" => mp4(&api, path, &method, &headers, &uri).await,
        "m3u8" => playlist(&api, path, &uri).await,
        "jpg" => picture(&api, path, &uri).await,
        _ => Err(Error::NotFound),
    }
}

async fn mp4(
    api: &Api,
    path: &str,
    method: &Method,
    headers: &HeaderMap,
    uri: &Uri,
) -> Result<Response, Error> {
    let (path, uid) = admitted(api, uri, path).await?;
    let (from_ms, to_ms) = range(uri)?;
    let footage = api
        .archive
        .playback
        .mp4(&uid, from_ms, to_ms)
        .await?
        .ok_or(Error::NotFound)?;
    let (start_ms, duration_ms) = footage.extent();
    let etag =
        hex::encode(&Sha256::digest(format!("{uid} {start_ms} {duration_ms} {}", footage.len()))[..12]);
    let name = path.to_string().replace('/', "-");
    let disposition = format!("inline; filename=\"{name}-{start_ms}.mp4\"");
    let mut response = ranged(method, headers, footage.len(), &etag, |range| {
        footage.read(range).map_err(std::io::Error::other).boxed()
    });
    if let Ok(value) = HeaderValue::try_from(disposition) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

async fn playlist(api: &Api, path: &str, uri: &Uri) -> Result<Response, Error> {
    let (_, uid) = admitted(api, uri, path).await?;
    let (from_ms, to_ms) = range(uri)?;
    let token = request::parameter(uri, "token");
    let query = token.map_or(String::new(), |token| {
        let token: String = url::form_urlencoded::byte_serialize(token.as_bytes()).collect();
        format!("?token={token}")
    });
    let link = |key: &SegmentKey| {
        format!(
            "/recordings/segments/{}/{}{query}",
            key.camera_uid,
            key.file_name()
        )
    };
    let playlist = api.archive.playback.playlist(&uid, from_ms, to_ms, link).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/vnd.apple.mpegurl"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    Ok((headers, playlist.ok_or(Error::NotFound)?).into_response())
}

async fn picture(api: &Api, path: &str, uri: &Uri) -> Result<Response, Error> {
    let (path, uid) = admitted(api, uri, path).await?;
    let (fit, at_ms) = (fit(uri)?, time(uri, "at")?);
    let archive = &api.archive;
    let shown = Shown {
        path: &path,
        camera_uid: &uid,
        runs: (archive.runs)(&uid),
    };
    let (picture, kept) = if let Some(at_ms) = at_ms {
        let picture = archive
            .snapshots
            .at(&shown, at_ms, &archive.playback, fit)
            .await?;
        (picture, "private, max-age=3600")
    } else {
        let picture = archive.snapshots.now(&shown, &archive.playback, fit).await?;
        (picture, "no-store")
    };
    let headers = [
        (header::CONTENT_TYPE, "image/jpeg"),
        (header::CACHE_CONTROL, kept),
    ];
    Ok((headers, picture.ok_or(Error::NotFound)?).into_response())
}

async fn segment(
    api: &Api,
    uid: &str,
    name: &str,
    method: &Method,
    headers: &HeaderMap,
    uri: &Uri,
) -> Result<Response, Error> {
    let key = SegmentKey::of_file(uid, name).map_err(|_| Error::NotFound)?;
    let path = (api.archive.path_of)(uid).ok_or(Error::NotFound)?;
    authorize(api, uri, &path).await?;
    let etag = hex::encode(&Sha256::digest(key.to_string())[..12]);
    let found = api
        .archive
        .playback
        .segment(&key, |bytes| match asked_of(headers, &etag, bytes) {
            Asked::Whole => Some(0..bytes),
            Asked::Part(range) => Some(range),
            Asked::Nothing => None,
        })
        .await?;
    let (bytes, _, body) = found.ok_or(Error::NotFound)?;
    let mut body = Some(body);
    Ok(ranged(method, headers, bytes, &etag, |_| {
        let body = body.take().unwrap_or_else(|| futures::stream::empty().boxed());
        body.map_err(std::io::Error::other).boxed()
    }))
}

impl From<SnapshotError> for Error {
    fn from(error: SnapshotError) -> Self {
        match error {
            SnapshotError::Stored(error) => error.into(),
            SnapshotError::Worker(error) => {
                tracing::warn!(%error, "a picture can't be made");
                Self::Unavailable(match error.category() {
                    "missing" => "no ffmpeg is installed here, which makes pictures",
                    "busy" => "too many pictures are wanted at once",
                    _ => "the picture can't be made now",
                })
            }
        }
    }
}

impl From<PlaybackError> for Error {
    fn from(error: PlaybackError) -> Self {
        match error {
            PlaybackError::TooLong | PlaybackError::File(_) => Self::BadRequest(error.to_string()),
            error => {
                let mut text = error.to_string();
                let mut cause = std::error::Error::source(&error);
                while let Some(error) = cause {
                    text = format!("{text}: {error}");
                    cause = error.source();
                }
                tracing::warn!(error = text, "footage can't be read");
                Self::Unavailable("the footage can't be read now")
            }
        }
    }
}
