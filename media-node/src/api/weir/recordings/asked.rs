//! What a request asks for, and whether it may have it.

use super::super::super::error::Error;
use super::super::super::{Api, request};
use crate::auth::Action;
use crate::record::Fit;
use axum::http::Uri;
use weir_crds::jiff::Timestamp;
use weir_proto::media::StreamPath;

/// What is asked for when nothing is said.
const HOUR_MS: i64 = 3_600_000;

/// The stream that a path names and its camera, if the caller may watch it.
pub(super) async fn admitted(api: &Api, uri: &Uri, path: &str) -> Result<(StreamPath, String), Error> {
    let path = StreamPath::parse(path).ok_or(Error::NotFound)?;
    authorize(api, uri, &path).await?;
    let uid = (api.archive.camera_of)(&path).ok_or(Error::NotFound)?;
    Ok((path, uid))
}

pub(super) async fn authorize(api: &Api, uri: &Uri, path: &StreamPath) -> Result<(), Error> {
    let token = request::parameter(uri, "token");
    let caller = api.auth.caller_by_token(token.as_deref()).await;
    Ok(api.auth.authorize(&caller, Action::Subscribe(path))?)
}

/// A parameter that is a time, in milliseconds since 1970; none where it is left out.
pub(super) fn time(uri: &Uri, name: &str) -> Result<Option<i64>, Error> {
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

pub(super) fn range(uri: &Uri) -> Result<(i64, i64), Error> {
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

/// The box that a picture is to fit in; without one it is as large as the camera sends it.
pub(super) fn fit(uri: &Uri) -> Result<Option<Fit>, Error> {
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
