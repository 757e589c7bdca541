//! The ipchub API, `/api/v1/`, as its documents and clients know it: paths, the order of its
//! checks, texts. JSON is in [`wire`].
//!
//! One function answers all of it, because which status an unknown path gets depends on who asks.

mod body;
mod login;
pub(super) mod openapi;
mod paging;
pub(super) mod route_url;
mod routes;
mod runtime;
pub(super) mod server;
mod streams;
mod users;
mod wire;

use super::error::Error;
use super::{Api, cross_origin, recorder, request};
use crate::auth::{Action, Call};
use crate::store::sql;
use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Method, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// Paths that need no token, whatever the method; compared in lower case.
const ANONYMOUS: [&str; 4] = [
    "/api/v1/login",
    "/api/v1/server",
    "/api/v1/runtime",
    "/api/v1/refreshtoken",
];

/// Everything below it may be read with any token; compared in lower case.
const STREAMS: &str = "/api/v1/streams";

/// An addition of ours, for everybody: what can be called, in `OpenAPI`.
const DESCRIPTION: &str = "/api/openapi.json";

pub(super) fn router(api: Arc<Api>) -> Router {
    let routes = Router::new()
        .route("/api/", any(handle))
        .route("/api/{*path}", any(handle))
        .with_state(api);
    cross_origin(routes)
}

async fn handle(State(api): State<Arc<Api>>, request: Request) -> Response {
    answer(&api, request).await.unwrap_or_else(Error::into_response)
}

async fn answer(api: &Api, request: Request) -> Result<Response, Error> {
    let (parts, body) = request.into_parts();
    let (method, uri) = (&parts.method, &parts.uri);
    if (method, uri.path()) == (&Method::GET, DESCRIPTION) {
        return Ok(openapi::tell());
    }
    if recorder::is_its_name(uri.path()) {
        return Ok(recorder::unknown());
    }
    check(api, method, uri).await?;
    // From here on case counts.
    let path = uri.path().strip_prefix("/api/v1/").ok_or(Error::NotFound)?;
    let (resource, rest) = match path.split_once('/') {
        Some((resource, rest)) => (resource, Some(rest)),
        None => (path, None),
    };
    match (method, resource, rest) {
        (&Method::POST, "login", None) => {
            let peer = peer(parts.extensions.get());
            login::login(api, peer, &request::body(body).await?).await
        }
        (&Method::GET, "refreshtoken", None) => {
            login::refresh(api, request::parameter(uri, "token").as_deref()).await
        }
        (&Method::GET, "server", None) => Ok(server::tell(&api.server)),
        (&Method::GET, "runtime", None) => Ok(runtime::tell(api, uri).await),
        (&Method::GET, "users", None) => users::list(api, uri).await,
        (&Method::GET, "users", Some(name)) => users::one(api, name).await,
        (&Method::DELETE, "users", Some(name)) => users::delete(api, name).await,
        (&Method::POST, "users", None) => users::save(api, uri, &request::body(body).await?).await,
        (&Method::GET, "routes", None) => routes::list(api, uri).await,
        (&Method::GET, "routes", Some(pattern)) => routes::one(api, pattern).await,
        (&Method::DELETE, "routes", Some(pattern)) => routes::delete(api, pattern).await,
        (&Method::POST, "routes", None) => routes::save(api, &request::body(body).await?).await,
        (&Method::GET, "streams", None) => streams::list(api, uri).await,
        (&Method::GET, "streams", Some(path)) => streams::one(api, path, uri).await,
        (&Method::DELETE, "streams", Some(path)) => streams::delete(api, path, uri).await,
        _ => Err(Error::NotFound),
    }
}

/// Who may ask at all, before it is known whether there is such a thing.
async fn check(api: &Api, method: &Method, uri: &Uri) -> Result<(), Error> {
    let path = uri.path().to_ascii_lowercase();
    if ANONYMOUS.contains(&&*path) {
        return Ok(());
    }
    let caller = api
        .auth
        .caller_by_token(request::parameter(uri, "token").as_deref())
        .await;
    let call = if method == Method::GET && path.starts_with(STREAMS) {
        Call::Read
    } else {
        Call::Administer
    };
    Ok(api.auth.authorize(&caller, Action::Call(call))?)
}

/// Without the extension all peers count as one, which is safe, if unkind.
fn peer(info: Option<&ConnectInfo<SocketAddr>>) -> IpAddr {
    info.map_or(Ipv6Addr::UNSPECIFIED.into(), |info| info.0.ip())
}

/// The documented API says so when its store fails.
fn store_failed(error: &sql::Error) -> Error {
    tracing::warn!(error = %error.chain(), "the account store failed");
    Error::Failed(error.to_string())
}
