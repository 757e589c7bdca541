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

use super::super::error::Error;
use super::super::ranges::{Asked, asked};
use super::super::{Api, request};
use super::json;
use crate::auth::Action;
use crate::record::{Fit, Playback, PlaybackError, Shown, SnapshotError, Snapshots, Span};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use weir_crds::jiff::Timestamp;
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

/// What is asked for when nothing is said.
const HOUR_MS: i64 = 3_600_000;

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

/// The box that a picture is to fit in; without one it is as large as the camera sends it.
fn fit(uri: &Uri) -> Result<Option<Fit>, Error> {
    let wrong = || Error::BadRequest("w and h are pixels: write whole numbers from 1 to 1920".to_owned());
    let number = |name| match request::parameter(uri, name).filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => text.parse::<u16>().map(Some).map_err(|_| wrong()),
    };
    match (number("w")?, number("h")?) {
        (None, None) => Ok(None),
        (width, height) => Fit::of(width, height).map(Some).ok_or_else(wrong),
    }
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
    let wanted = headers
        .get(header::RANGE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let found = api
        .archive
        .playback
        .segment(&key, |bytes| match asked(&wanted, bytes) {
            Asked::Whole => Some(0..bytes),
            Asked::Part(range) => Some(range),
            Asked::Nothing => None,
        })
        .await?;
    let (bytes, _, body) = found.ok_or(Error::NotFound)?;
    let mut body = Some(body);
    let etag = hex::encode(&Sha256::digest(key.to_string())[..12]);
    Ok(ranged(method, headers, bytes, &etag, |_| {
        let body = body.take().unwrap_or_else(|| futures::stream::empty().boxed());
        body.map_err(std::io::Error::other).boxed()
    }))
}

/// A file, or the range of it that is asked for.
fn ranged(
    method: &Method,
    headers: &HeaderMap,
    length: u64,
    etag: &str,
    read: impl FnOnce(std::ops::Range<u64>) -> BoxStream<'static, std::io::Result<bytes::Bytes>>,
) -> Response {
    let etag = format!("\"{etag}\"");
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let is_same = text(header::IF_RANGE).is_none_or(|shown| shown == etag);
    let asked = match text(header::RANGE).filter(|_| is_same) {
        Some(range) => asked(range, length),
        None => Asked::Whole,
    };
    let (status, range) = match asked {
        Asked::Whole => (StatusCode::OK, 0..length),
        Asked::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Asked::Nothing => {
            let all = format!("bytes */{length}");
            return (StatusCode::RANGE_NOT_SATISFIABLE, [(header::CONTENT_RANGE, all)]).into_response();
        }
    };
    let mut response = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "video/mp4")
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::ETAG, etag)
        .header(header::CACHE_CONTROL, "private, no-cache")
        .header(header::CONTENT_LENGTH, range.end - range.start);
    if status == StatusCode::PARTIAL_CONTENT {
        let last = range.end.saturating_sub(1);
        let value = format!("bytes {}-{last}/{length}", range.start);
        response = response.header(header::CONTENT_RANGE, value);
    }
    let body = if *method == Method::HEAD {
        Body::empty()
    } else {
        Body::from_stream(read(range))
    };
    response
        .body(body)
        .unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// The stream that a path names and its camera, if the caller may watch it.
async fn admitted(api: &Api, uri: &Uri, path: &str) -> Result<(StreamPath, String), Error> {
    let path = StreamPath::parse(path).ok_or(Error::NotFound)?;
    authorize(api, uri, &path).await?;
    let uid = (api.archive.camera_of)(&path).ok_or(Error::NotFound)?;
    Ok((path, uid))
}

async fn authorize(api: &Api, uri: &Uri, path: &StreamPath) -> Result<(), Error> {
    let token = request::parameter(uri, "token");
    let caller = api.auth.caller_by_token(token.as_deref()).await;
    Ok(api.auth.authorize(&caller, Action::Subscribe(path))?)
}

/// A parameter that is a time, in milliseconds since 1970; none where it is left out.
fn time(uri: &Uri, name: &str) -> Result<Option<i64>, Error> {
    let Some(text) = request::parameter(uri, name).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let ms = text.parse::<i64>().ok();
    let ms = ms.or_else(|| text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond));
    ms.map(Some).ok_or_else(|| {
        Error::BadRequest(format!(
            "{name} is no time: write RFC 3339, such as 2026-11-26T08:00:00Z, or milliseconds since 1970"
        ))
    })
}

fn range(uri: &Uri) -> Result<(i64, i64), Error> {
    let to_ms = time(uri, "to")?.unwrap_or_else(|| Timestamp::now().as_millisecond());
    let from_ms = time(uri, "from")?.unwrap_or(to_ms.saturating_sub(HOUR_MS));
    if from_ms < to_ms {
        Ok((from_ms, to_ms))
    } else {
        Err(Error::BadRequest(
            "the range ends before it begins: from must be before to".to_owned(),
        ))
    }
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
