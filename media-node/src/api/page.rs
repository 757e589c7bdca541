//! The web page, compiled into the binary.

use super::error::{self, Error};
use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{Embed, EmbeddedFile};

/// The files as `web/scripts/build.mjs` makes them. A build without them serves no page.
#[derive(Embed)]
#[folder = "../web/dist"]
#[allow_missing = true]
struct Files;

/// Scripts and styles from here only; media from blobs, which players make; anywhere by WebSocket,
/// because the same host under another scheme is another origin.
const POLICY: &str = "default-src 'self'; media-src 'self' blob:; connect-src 'self' ws: wss:; \
                      worker-src 'self' blob:; img-src 'self' data:";

pub(super) fn router() -> Router {
    Router::new().fallback(async |request: Request| serve(&request).unwrap_or_else(Error::into_response))
}

fn serve(request: &Request) -> Result<Response, Error> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Error::NotFound);
    }
    let path = request.uri().path().trim_start_matches('/');
    let path = if path.is_empty() { "index.html" } else { path };
    let file = Files::get(path).ok_or(Error::NotFound)?;
    let tag = format!("\"{}\"", hex::encode(&file.metadata.sha256_hash()[..16]));
    let mut response = if has(request.headers(), &tag) {
        error::not_modified()
    } else {
        contents(path, file)
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Links to this page may hold a token.
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "SAMEORIGIN"),
        // Names don't change with contents, so ask each time; the tag makes the answer small.
        (header::CACHE_CONTROL, "no-cache"),
    ] {
        headers.insert(name, axum::http::HeaderValue::from_static(value));
    }
    if let Ok(tag) = tag.parse() {
        headers.insert(header::ETAG, tag);
    }
    Ok(response)
}

fn contents(path: &str, file: EmbeddedFile) -> Response {
    ([(header::CONTENT_TYPE, content_type(path))], file.data).into_response()
}

/// Whether the client has this version, RFC 9110 section 13.1.2.
fn has(headers: &HeaderMap, tag: &str) -> bool {
    let Some(known) = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    known
        .split(',')
        .map(str::trim)
        .any(|known| known == "*" || known.trim_start_matches("W/") == tag)
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "txt" => "text/plain; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::{Files, content_type, has};
    use axum::http::{HeaderMap, header};

    #[test]
    fn tags_are_compared_as_the_protocol_says() {
        for (sent, known) in [
            ("\"abc\"", true),
            ("W/\"abc\"", true),
            ("\"x\", \"abc\"", true),
            ("*", true),
            ("\"abcd\"", false),
            ("abc", false),
        ] {
            let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, sent.parse().unwrap())]);
            assert_eq!(has(&headers, "\"abc\""), known, "{sent}");
        }
        assert!(!has(&HeaderMap::new(), "\"abc\""));
    }

    #[test]
    fn every_file_of_the_page_has_a_type() {
        for path in Files::iter() {
            assert_ne!(content_type(&path), "application/octet-stream", "{path}");
        }
    }
}
