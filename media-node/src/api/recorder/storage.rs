//! `/storage/…`: videos and snapshots as files, for everybody who knows their names. Names are made of numbers and of
//! something that nobody can guess; what they stand for is looked up.

use super::super::error;
use super::super::ranges::{Asked, asked};
use super::super::{Api, cross_origin};
use super::calendar::Calendar;
use super::footage::{FootageError, Image, VirtualFile};
use super::origin::Origin;
use super::wire::Fault;
use crate::store::sql::recorder::{API, CameraFact, Recording};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use std::sync::Arc;
use std::time::SystemTime;
use weir_crds::jiff::Timestamp;
use weir_crds::jiff::fmt::rfc2822;

/// Largest box of a thumbnail, in pixels each way.
const BOX: std::ops::RangeInclusive<u16> = 1..=1920;
/// For how long the last snapshot is still served once there is a newer one, in seconds.
const FORMER: i64 = 60;

pub(super) fn router(api: Arc<Api>) -> Router {
    let wrong_method = async || error::recorder_wrong_method(().into_response());
    let routes = Router::new()
        .route("/storage/{*path}", get(serve).fallback(wrong_method))
        .with_state(api);
    cross_origin(routes)
}

/// What goes before the paths of files: as it was configured, or as the request came.
pub(super) fn address(api: &Api, origin: &Origin) -> String {
    let configured = api.recorder.settings.storage_address.clone();
    configured.unwrap_or_else(|| origin.as_str().to_owned())
}

/// Whole seconds of media.
pub(super) fn seconds(row: &Recording) -> i64 {
    (row.end_ms - row.start_ms).max(0) / 1000
}

pub(super) fn video_path(row: &Recording, calendar: &Calendar) -> String {
    format!("{}/{}", folder(row, calendar), video_name(row))
}

/// None without a snapshot.
pub(super) fn image_path(row: &Recording, calendar: &Calendar) -> Option<String> {
    row.image_key.as_ref()?;
    Some(format!("{}/{}", folder(row, calendar), image_name(row)))
}

/// Of a channel's newest snapshot.
pub(super) fn live_path(camera_id: i64, fact: &CameraFact) -> Option<String> {
    fact.image_key.as_ref()?;
    Some(format!("/storage/live/{camera_id}/{}.jpg", fact.image_taken))
}

fn folder(row: &Recording, calendar: &Calendar) -> String {
    let day = calendar.day(row.start_ms.div_euclid(1000));
    format!("/storage/rec/{}/{day}", row.camera_id)
}

fn video_name(row: &Recording) -> String {
    let (uniq, camera, course) = (&row.uniq, row.camera_id, row.course_id);
    let begin = row.start_ms.div_euclid(1000);
    format!("{uniq}_{camera}_{begin}_{course}_{}.mp4", seconds(row))
}

fn image_name(row: &Recording) -> String {
    format!("{}_{}.jpg", row.uniq, row.camera_id)
}

/// Something that a path names.
enum Thing {
    Video(Arc<dyn VirtualFile>),
    Image(Image),
}

async fn serve(State(api): State<Arc<Api>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let path = path.strip_prefix("/storage/").unwrap_or_default();
    match find(&api, path).await {
        Ok(Some(thing)) => answer(thing, request.method(), request.headers()).await,
        Ok(None) => error::Error::NotFound.into_response(),
        Err(error) => error.into_response(),
    }
}

/// Whatever it was, it is told where it happened.
fn away(fault: impl Into<Fault>) -> error::Error {
    let _: Fault = fault.into();
    error::Error::Unavailable("the footage is away")
}

async fn find(api: &Api, path: &str) -> Result<Option<Thing>, error::Error> {
    let segments: Vec<&str> = path.split('/').collect();
    match segments.as_slice() {
        ["rec", camera, _day, name] => {
            let uniq = name.split('_').next().unwrap_or_default();
            let row = api.recorder.database.recording_by_uniq(uniq).await;
            let row = row.map_err(away)?;
            let Some(row) = row.filter(|row| row.camera_id.to_string() == *camera) else {
                return Ok(None);
            };
            if *name == video_name(&row) {
                let file = api
                    .recorder
                    .footage
                    .file(&row.camera_uid, row.start_ms, row.end_ms)
                    .await
                    .map_err(away)?;
                return Ok(file.map(Thing::Video));
            }
            match name.strip_prefix(&image_name(&row)) {
                Some(size) => image(api, row.image_key, size).await,
                None => Ok(None),
            }
        }
        ["live", camera, name] => {
            let Some((taken, size)) = name.split_once(".jpg") else {
                return Ok(None);
            };
            let (Ok(camera), Ok(taken)) = (camera.parse(), taken.parse::<i64>()) else {
                return Ok(None);
            };
            let database = &api.recorder.database;
            let uid = database.resource_of(API, "camera", camera).await;
            let Some(uid) = uid.map_err(away)? else {
                return Ok(None);
            };
            let key = database
                .camera_fact(&uid)
                .await
                .map_err(away)?
                .and_then(|fact| snapshot(&fact, taken, now()));
            image(api, key, size).await
        }
        _ => Ok(None),
    }
}

/// The key of a channel's snapshot of that time.
fn snapshot(fact: &CameraFact, taken: i64, now: i64) -> Option<String> {
    if taken == fact.image_taken {
        return fact.image_key.clone();
    }
    let is_former = taken == fact.former_image_taken && now - fact.image_taken <= FORMER;
    fact.former_image_key.clone().filter(|_| is_former)
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs() as i64)
}

/// `size` is what follows the image's name: nothing, or `_<width>x<height>`.
async fn image(api: &Api, key: Option<String>, size: &str) -> Result<Option<Thing>, error::Error> {
    let Some(key) = key else {
        return Ok(None);
    };
    let footage = &api.recorder.footage;
    if size.is_empty() {
        return Ok(footage.image(&key).await.map_err(away)?.map(Thing::Image));
    }
    let Some((width, height)) = box_of(size) else {
        return Ok(None);
    };
    match footage.thumbnail(&key, width, height).await {
        Ok(image) => Ok(image.map(Thing::Image)),
        Err(FootageError::Picture(error)) => Err(error.into()),
        Err(error) => Err(away(error)),
    }
}

fn box_of(size: &str) -> Option<(u16, u16)> {
    let (width, height) = size.strip_prefix('_')?.split_once('x')?;
    let pixels = |text: &str| {
        let is_number = text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
        let number = is_number.then(|| text.parse().ok())?;
        number.filter(|number| BOX.contains(number))
    };
    Some((pixels(width)?, pixels(height)?))
}

impl From<FootageError> for Fault {
    fn from(error: FootageError) -> Self {
        tracing::warn!(%error, cause = error.cause(), "the footage failed a call of the cloud recorder's API");
        Self::Unavailable
    }
}

/// A thing, or the part of it that is asked for, RFC 9110 sections 13 and 14.
async fn answer(thing: Thing, method: &Method, headers: &HeaderMap) -> Response {
    let (kind, length, tag, modified) = match &thing {
        Thing::Video(file) => ("video/mp4", file.len(), file.etag(), file.last_modified()),
        Thing::Image(image) => {
            let hash = <sha2::Sha256 as sha2::Digest>::digest(&image.bytes);
            let tag = hex::encode(&hash[..16]);
            ("image/jpeg", image.bytes.len() as u64, tag, image.last_modified)
        }
    };
    let tag = format!("\"{tag}\"");
    let modified = Timestamp::try_from(modified).unwrap_or_default();
    let has_it = headers.get(header::IF_NONE_MATCH).map_or_else(
        || since(headers, header::IF_MODIFIED_SINCE).is_some_and(|since| modified.as_second() <= since),
        |known| {
            known
                .to_str()
                .is_ok_and(|known| known == "*" || known.split(',').any(|one| one.trim() == tag))
        },
    );
    if has_it {
        return described(error::not_modified(), &tag, modified);
    }
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let is_same = headers.get(header::IF_RANGE).is_none_or(|condition| {
        condition.to_str().is_ok_and(|known| known == tag)
            || since(headers, header::IF_RANGE) == Some(modified.as_second())
    });
    let part = match range
        .filter(|_| is_same)
        .map_or(Asked::Whole, |range| asked(range, length))
    {
        Asked::Whole => None,
        Asked::Part(part) => Some(part),
        Asked::Nothing => {
            let mut refused = described(error::no_such_range(), &tag, modified);
            set(&mut refused, header::CONTENT_RANGE, format!("bytes */{length}"));
            return refused;
        }
    };
    let span = part.clone().unwrap_or(0..length);
    let body = if *method == Method::HEAD {
        Body::empty()
    } else {
        match thing {
            Thing::Video(file) => match file.read(span.clone()).await {
                Ok(bytes) => Body::from_stream(bytes),
                Err(error) => {
                    tracing::warn!(%error, cause = error.cause(), "a video can't be read");
                    return error::Error::Unavailable("the footage is away").into_response();
                }
            },
            Thing::Image(image) => Body::from(slice(&image.bytes, &span)),
        }
    };
    let mut response = Response::new(body);
    if let Some(part) = part {
        response = error::partial(response);
        set(
            &mut response,
            header::CONTENT_RANGE,
            format!("bytes {}-{}/{length}", part.start, part.end.saturating_sub(1)),
        );
    }
    set(
        &mut response,
        header::CONTENT_LENGTH,
        (span.end - span.start).to_string(),
    );
    set(&mut response, header::CONTENT_TYPE, kind.to_owned());
    described(response, &tag, modified)
}

fn slice(bytes: &Bytes, span: &std::ops::Range<u64>) -> Bytes {
    bytes.slice(span.start as usize..span.end as usize)
}

fn described(mut response: Response, tag: &str, modified: Timestamp) -> Response {
    set(&mut response, header::ETAG, tag.to_owned());
    if let Ok(date) = rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&modified) {
        set(&mut response, header::LAST_MODIFIED, date);
    }
    set(&mut response, header::ACCEPT_RANGES, "bytes".to_owned());
    set(
        &mut response,
        header::X_CONTENT_TYPE_OPTIONS,
        "nosniff".to_owned(),
    );
    let exposed = "Content-Length, Content-Range, Accept-Ranges, ETag";
    set(
        &mut response,
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        exposed.to_owned(),
    );
    response
}

fn set(response: &mut Response, name: header::HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(name, value);
    }
}

/// A header's date in Unix seconds.
fn since(headers: &HeaderMap, name: header::HeaderName) -> Option<i64> {
    let text = headers.get(name)?.to_str().ok()?;
    let date = rfc2822::DateTimeParser::new()
        .relaxed_weekday(true)
        .parse_timestamp(text)
        .ok()?;
    Some(date.as_second())
}

#[cfg(test)]
mod tests {
    use super::box_of;

    #[test]
    fn boxes_of_thumbnails() {
        for (size, pixels) in [
            ("_90x50", Some((90, 50))),
            ("_1x1920", Some((1, 1920))),
            ("_0x50", None),
            ("_1921x1", None),
            ("_90x", None),
            ("_x", None),
            ("90x50", None),
            ("_+9x50", None),
            ("_90x50x", None),
            ("_99999999999x1", None),
        ] {
            assert_eq!(box_of(size), pixels, "{size}");
        }
    }
}
