//! A file, or the range of it that a request asks for.

use super::super::super::ranges::{Asked, asked};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::stream::BoxStream;

/// What a request asks of a file. A range of another file, by `If-Range`, asks for all of this one.
pub(super) fn asked_of(headers: &HeaderMap, etag: &str, length: u64) -> Asked {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let is_same = text(header::IF_RANGE).is_none_or(|shown| shown.trim_matches('"') == etag);
    match text(header::RANGE).filter(|_| is_same) {
        Some(range) => asked(range, length),
        None => Asked::Whole,
    }
}

/// A file, or the range of it that is asked for.
pub(super) fn ranged(
    method: &Method,
    headers: &HeaderMap,
    length: u64,
    etag: &str,
    read: impl FnOnce(std::ops::Range<u64>) -> BoxStream<'static, std::io::Result<bytes::Bytes>>,
) -> Response {
    let (status, range) = match asked_of(headers, etag, length) {
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
        .header(header::ETAG, format!("\"{etag}\""))
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
