//! What happens to every request on its way in: its path is cleaned, it gets an id, a span and a
//! deadline, and its body a limit.

use super::error::{self, Error};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, Method, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use std::convert::Infallible;
use std::time::{Duration, Instant};
use tower::ServiceExt;
use tower_http::limit::RequestBodyLimitLayer;
use tracing::Instrument;
use weir_proto::http::clean_path;

/// Longest body of a request, in bytes.
pub(super) const BODY: usize = 64 * 1024;
/// Longest time that a request may take, its body included.
const DEADLINE: Duration = Duration::from_secs(30);

/// The URI as it was sent, in the extensions of requests whose path was cleaned: for who takes values out of paths.
#[derive(Clone, Debug)]
pub(super) struct Sent(pub(super) Uri);

/// Whether the request came by TLS; in the extensions of requests, put there by the role.
#[derive(Clone, Copy, Debug)]
pub struct IsTls(pub bool);

/// Wraps all routes of a process, those of `egress` included, so that they see clean paths:
/// without empty and dot segments, and with `%2F` taken for the slash that it stands for. Done in
/// place and not by a redirect, which would turn a DELETE into a GET.
pub fn clean_paths(router: Router) -> Router {
    let clean = move |mut request: Request| {
        let router = router.clone();
        async move {
            if let Some(uri) = clean_uri(request.uri()) {
                let sent = Sent(std::mem::replace(request.uri_mut(), uri));
                request.extensions_mut().insert(sent);
            }
            Ok::<_, Infallible>(router.oneshot(request).await.into_response())
        }
    };
    Router::new().fallback_service(tower::service_fn(clean))
}

/// Lets pages of other origins use these routes, answers their preflights, and tells Flash's
/// successors the same by `crossdomain.xml`.
pub fn cross_origin(router: Router) -> Router {
    async fn allow(request: Request, next: Next) -> Response {
        let mut response = if request.uri().path().ends_with("/crossdomain.xml") {
            let policy = "<?xml version=\"1.0\"?>\n<cross-domain-policy>\n\
                          \t<allow-access-from domain=\"*\" />\n</cross-domain-policy>\n";
            ([(header::CONTENT_TYPE, "application/xml")], policy).into_response()
        } else if request.method() == Method::OPTIONS {
            error::preflight()
        } else {
            next.run(request).await
        };
        response
            .headers_mut()
            .insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        response
    }
    router.layer(middleware::from_fn(allow))
}

/// The span, limits and counters of one API's routes.
pub(super) fn layers(surface: &'static str, router: Router) -> Router {
    let observe = move |request: Request, next: Next| async move {
        let request_id = hex::encode(rand::random::<[u8; 8]>());
        let span = tracing::info_span!("api", surface, request_id);
        let run = run(surface, request, next);
        let mut response = run.instrument(span).await;
        if let Ok(id) = request_id.parse() {
            response.headers_mut().insert("x-request-id", id);
        }
        response
    };
    router
        .layer(RequestBodyLimitLayer::new(BODY))
        .layer(middleware::from_fn(observe))
}

async fn run(surface: &'static str, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let method = request.method().clone();
    let path = logged(surface, request.uri()).to_owned();
    let response = match tokio::time::timeout(DEADLINE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Error::TimedOut.into_response(),
    };
    let status = response.status();
    let elapsed_ms = start.elapsed().as_millis() as u64;
    // A probe's 503 is an answer, and comes every second.
    if status.is_server_error() && surface != "health" {
        tracing::warn!(%method, path, status = status.as_u16(), elapsed_ms, "request failed");
    } else {
        tracing::debug!(%method, path, status = status.as_u16(), elapsed_ms, "request");
    }
    metrics::counter!("weir_api_requests_total", "surface" => surface, "status" => class(status.as_u16()))
        .increment(1);
    response
}

/// A path without what holds tokens and passwords: the query, and what follows the name of an interface of the cloud
/// recorder.
fn logged<'a>(surface: &str, uri: &'a Uri) -> &'a str {
    let path = uri.path();
    if surface != "recorder" {
        return path;
    }
    let end = path.match_indices('/').nth(3).map_or(path.len(), |(at, _)| at);
    &path[..end]
}

fn class(status: u16) -> &'static str {
    match status {
        ..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        500.. => "5xx",
    }
}

/// Reads a body to its end.
pub(super) async fn body(body: Body) -> Result<bytes::Bytes, Error> {
    // A body that breaks off is no more than one that is too long; the peer won't read the answer.
    axum::body::to_bytes(body, BODY)
        .await
        .map_err(|_| Error::BodyTooLarge)
}

/// The first value of a query parameter; empty when it is there without one.
pub(super) fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let query = uri.query()?.as_bytes();
    let mut pairs = url::form_urlencoded::parse(query);
    pairs
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// The same URI with a clean path; none if it is clean.
fn clean_uri(uri: &Uri) -> Option<Uri> {
    let clean = clean_path(uri.path())?;
    let path = match uri.query() {
        Some(query) => PathAndQuery::try_from(format!("{clean}?{query}")).ok()?,
        None => PathAndQuery::try_from(clean).ok()?,
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::{clean_uri, logged, parameter};

    #[test]
    fn the_query_stays() {
        let uri = clean_uri(&"http://h:8080//a?token=x//y".parse().unwrap()).unwrap();
        assert_eq!(uri.to_string(), "http://h:8080/a?token=x//y");
    }

    #[test]
    fn parameters_are_not_logged() {
        let uri = "/api/v1/add_camera/token/t/stream_url/rtsp:/u:p@h?a=b"
            .parse()
            .unwrap();
        assert_eq!(logged("recorder", &uri), "/api/v1/add_camera");
        assert_eq!(
            logged("recorder", &"/api/v1/version".parse().unwrap()),
            "/api/v1/version"
        );
        assert_eq!(
            logged("ipchub", &"/api/v1/streams/a?b".parse().unwrap()),
            "/api/v1/streams/a"
        );
    }

    #[test]
    fn the_first_value_counts() {
        let uri = "/a?b=1%202&b=3&c".parse().unwrap();
        assert_eq!(parameter(&uri, "b").as_deref(), Some("1 2"));
        assert_eq!(parameter(&uri, "c").as_deref(), Some(""));
        assert_eq!(parameter(&uri, "d"), None);
    }
}
