//! `/api/v1/routes`: where streams that nobody declared are pulled from, kept as `Route` resources.
//!
//! Users and passwords come in URLs and are kept in Secrets, which the Routes own. Such a Secret never
//! changes: another password is another Secret, so that a Route and its credentials change in one step.

use super::super::Api;
use super::super::error::Error;
use super::super::owned_secret::{self, USERINFO};
use super::body::Members;
use super::paging::Wanted;
use super::route_url::{self, Split};
use super::{openapi, wire};
use crate::cluster::resource::{Kind, Target, WriteError};
use axum::http::Uri;
use axum::response::Response;
use futures::{StreamExt, TryStreamExt};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::sleep;
use weir_crds::Route;
use weir_crds::field::canonical_path;
use weir_proto::Redacted;

/// Tries to save while others change the same route.
const ATTEMPTS: u32 = 8;
/// Secrets read at once for a list.
const READS: usize = 8;

/// A route that is to be.
struct Wish {
    /// In canonical form.
    pattern: String,
    url: Split,
    keep_alive: bool,
}

#[utoipa::path(
    get,
    path = "/api/v1/routes",
    operation_id = "ipchub.routes.list",
    tag = "routes",
    summary = "Lists routes by pattern",
    params(
        ("page_size" = Option<i64>, Query, description = "Most items of a page, 20 if missing"),
        ("page_token" = Option<String>, Query, description = "`next_page_token` of the page before"),
    ),
    responses(
        (status = 200, description = "A page", body = wire::RouteList, content_type = "text/plain"),
        (status = 500, description = "Wrong input: no such size of a page. Or a failure of the store", body = String),
    ),
    security(("token" = ["admin"]))
)]
pub(super) async fn list(api: &Api, uri: &Uri) -> Result<Response, Error> {
    let wanted = Wanted::parse(uri)?;
    let serving: Vec<(String, Route)> = all(api)
        .await
        .map_err(failed)?
        .into_iter()
        .filter_map(|(pattern, routes)| Some((pattern, routes.into_iter().next()?)))
        .collect();
    let page = wanted.cut(serving, |(pattern, _)| pattern.clone());
    let routes = futures::stream::iter(page.items)
        .map(|(pattern, route)| shown(api, pattern, route))
        .buffered(READS)
        .try_collect()
        .await
        .map_err(failed)?;
    Ok(wire::json(&wire::RouteList {
        total: page.total,
        next_page_token: page.last.unwrap_or_else(|| wanted.after().to_owned()),
        routes,
    }))
}

/// `path` is the rest of the request's path, percent-encoded, as for the others here.
#[utoipa::path(
    get,
    path = "/api/v1/routes/{pattern}",
    operation_id = "ipchub.routes.get",
    tag = "routes",
    summary = "Tells about the route of a pattern",
    params(("pattern" = String, Path, description = "With its slashes; a final one counts", example = "gate/a1")),
    responses(
        (status = 200, description = "With credentials", body = wire::Route, content_type = "text/plain"),
        (status = 404, description = "No such route", body = String),
    ),
    security(("token" = ["admin"]))
)]
pub(super) async fn one(api: &Api, path: &str) -> Result<Response, Error> {
    let pattern = pattern_of(path)?;
    let route = serving(api, &pattern).await.map_err(failed)?;
    let route = route.ok_or(Error::NotFound)?;
    Ok(wire::json(&shown(api, pattern, route).await.map_err(failed)?))
}

/// Deletes every Route of the pattern, so that none that was hidden shows up.
#[utoipa::path(
    delete,
    path = "/api/v1/routes/{pattern}",
    operation_id = "ipchub.routes.delete",
    tag = "routes",
    summary = "Deletes a route; its streams go on",
    params(("pattern" = String, Path, description = "With its slashes; a final one counts", example = "gate/a1")),
    responses(
        (status = 200, description = "Deleted, or was not there"),
        (status = 404, description = "The pattern is no UTF-8", body = String),
    ),
    security(("token" = ["admin"]))
)]
pub(super) async fn delete(api: &Api, path: &str) -> Result<Response, Error> {
    let pattern = pattern_of(path)?;
    let mut all = all(api).await.map_err(failed)?;
    for route in all.remove(&pattern).unwrap_or_default() {
        let target = Target::of(Kind::Route, &route);
        let deleted = api
            .specs
            .delete(Kind::Route, &target.namespace, &target.name)
            .await;
        deleted.map_err(failed)?;
        tracing::info!(route = %target, pattern, "a route was deleted");
        if let Some(secret) = secret_of(&route) {
            owned_secret::drop(&*api.specs, &target.namespace, secret).await;
        }
    }
    Ok(wire::nothing())
}

#[utoipa::path(
    post,
    path = "/api/v1/routes",
    operation_id = "ipchub.routes.save",
    tag = "routes",
    summary = "Creates or updates the route of a pattern",
    request_body = openapi::SavedRoute,
    responses(
        (status = 200, description = "Saved"),
        (status = 500, description = "Wrong input: no such JSON, or no URL. Or a failure of the store", body = String),
    ),
    security(("token" = ["admin"]))
)]
pub(super) async fn save(api: &Api, body: &[u8]) -> Result<Response, Error> {
    let wish = wish(body).map_err(Error::Failed)?;
    let mut made = None;
    let mut attempts = 0;
    loop {
        attempts += 1;
        match store(api, &wish, &mut made).await {
            Ok(()) => return Ok(wire::nothing()),
            // Its status has been written meanwhile, or somebody else has saved it.
            Err(WriteError::Conflict | WriteError::Gone) if attempts < ATTEMPTS => {
                sleep(Duration::from_millis(10 << attempts.min(5))).await;
            }
            Err(error) => return Err(failed(error)),
        }
    }
}

fn wish(body: &[u8]) -> Result<Wish, String> {
    let members = Members::parse(body)?;
    let url = members.text("url")?;
    let wish = Wish {
        pattern: canonical_path(&members.text("pattern")?),
        keep_alive: members.flag("keepalive")?,
        url: route_url::split(&url)?,
    };
    if url.is_empty() {
        return Err("route url required".into());
    }
    Ok(wish)
}

/// Makes the wish true. `made` is the Secret that an earlier attempt has made, and whose it is.
async fn store(api: &Api, wish: &Wish, made: &mut Option<(Target, String)>) -> Result<(), WriteError> {
    let Some(route) = serving(api, &wish.pattern).await? else {
        return create(api, wish).await;
    };
    let target = Target::of(Kind::Route, &route);
    let former = secret_of(&route);
    let secret = match &wish.url.userinfo {
        None => None,
        Some(userinfo) => match former {
            Some(former) if is_in(api, &target.namespace, former, userinfo).await? => Some(former.to_owned()),
            _ => {
                let secret = match made {
                    Some((owner, secret)) if *owner == target => secret.clone(),
                    _ => {
                        let secret = new_secret(&wish.pattern);
                        let data = json!({USERINFO: userinfo.reveal()});
                        owned_secret::make(&*api.specs, &target, &secret, &data).await?;
                        *made = Some((target.clone(), secret.clone()));
                        secret
                    }
                };
                Some(secret)
            }
        },
    };
    let mut patch = json!({"spec": {
        "url": wish.url.url,
        "keepAlive": wish.keep_alive,
        "credentials": secret.as_ref().map(|secret| json!({"secretName": secret})),
    }});
    let scheme = wish.url.url.split_once(':').map_or("", |(scheme, _)| scheme);
    if !["rtsps", "rtmps"]
        .iter()
        .any(|tls| scheme.eq_ignore_ascii_case(tls))
    {
        // Without TLS there is nothing that a server could be known by.
        patch["spec"]["tls"] = Value::Null;
    }
    let version = route.metadata.resource_version.as_deref().unwrap_or_default();
    api.specs.change(&target, version, &patch).await?;
    tracing::info!(route = %target, pattern = wish.pattern, "a route was changed");
    if let Some(secret) = &secret {
        owned_secret::until_readable(&*api.secrets, &target.namespace, secret).await?;
    }
    if let Some(former) = former.filter(|former| secret.as_deref() != Some(former)) {
        owned_secret::drop(&*api.specs, &target.namespace, former).await;
    }
    Ok(())
}

async fn create(api: &Api, wish: &Wish) -> Result<(), WriteError> {
    let secret = wish.url.userinfo.as_ref().map(|_| new_secret(&wish.pattern));
    let mut spec = json!({
        "pattern": wish.pattern,
        "url": wish.url.url,
        "keepAlive": wish.keep_alive,
    });
    if let Some(secret) = &secret {
        spec["credentials"] = json!({"secretName": secret});
    }
    let manifest = json!({
        "apiVersion": Kind::Route.api_version(),
        "kind": Kind::Route.as_str(),
        "metadata": {"name": object_name(&wish.pattern), "labels": owned_secret::labels()},
        "spec": spec,
    });
    // The Secret needs its owner's uid, so it comes second.
    let target = api.specs.create(&manifest).await?;
    tracing::info!(route = %target, pattern = wish.pattern, "a route was made");
    if let (Some(secret), Some(userinfo)) = (&secret, &wish.url.userinfo) {
        let data = json!({USERINFO: userinfo.reveal()});
        owned_secret::make(&*api.specs, &target, secret, &data).await?;
        owned_secret::until_readable(&*api.secrets, &target.namespace, secret).await?;
    }
    Ok(())
}

/// Whether the Secret holds this userinfo.
async fn is_in(
    api: &Api,
    namespace: &str,
    name: &str,
    userinfo: &Redacted<String>,
) -> Result<bool, WriteError> {
    match api.secrets.read(namespace, name).await {
        Ok(data) => {
            let known = data.as_ref().and_then(owned_secret::userinfo);
            Ok(known.is_some_and(|known| known.reveal() == userinfo.reveal()))
        }
        Err(WriteError::Refused(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// A route as the API shows it, with its credentials.
async fn shown(api: &Api, pattern: String, route: Route) -> Result<wire::Route, WriteError> {
    let mut url = route.spec.url.clone();
    if let Some(secret) = secret_of(&route) {
        let namespace = route.metadata.namespace.as_deref().unwrap_or_default();
        match api.secrets.read(namespace, secret).await {
            Ok(data) => {
                if let Some(userinfo) = data.as_ref().and_then(owned_secret::userinfo) {
                    url = route_url::join(&url, userinfo.reveal());
                }
            }
            // One Secret that we may not read hides no other route.
            Err(WriteError::Refused(why)) => {
                tracing::warn!(
                    namespace,
                    secret,
                    error = why,
                    "the Secret of a route can't be read"
                );
            }
            Err(error) => return Err(error),
        }
    }
    Ok(wire::Route {
        pattern,
        url,
        keepalive: route.spec.keep_alive,
    })
}

fn secret_of(route: &Route) -> Option<&str> {
    route.spec.credentials.as_ref().map(|c| c.secret_name.as_str())
}

/// All Routes by canonical pattern; of several with one pattern the first serves.
async fn all(api: &Api) -> Result<BTreeMap<String, Vec<Route>>, WriteError> {
    let mut all: BTreeMap<String, Vec<Route>> = BTreeMap::new();
    for route in api.specs.routes().await? {
        if route.metadata.deletion_timestamp.is_none() {
            all.entry(route.canonical_pattern()).or_default().push(route);
        }
    }
    for routes in all.values_mut() {
        routes.sort_by(|a, b| b.goes_before(a).cmp(&a.goes_before(b)));
    }
    Ok(all)
}

async fn serving(api: &Api, pattern: &str) -> Result<Option<Route>, WriteError> {
    let routes = all(api).await?.remove(pattern).unwrap_or_default();
    Ok(routes.into_iter().next())
}

fn pattern_of(path: &str) -> Result<String, Error> {
    let decoded = percent_decode_str(path).decode_utf8();
    Ok(canonical_path(&decoded.map_err(|_| Error::NotFound)?))
}

/// The name of the Route that is made for a pattern.
fn object_name(pattern: &str) -> String {
    let hash = hex::encode(Sha256::digest(pattern));
    format!("route-{}", &hash[..20])
}

/// A name for a Secret that no other has: [`is_made_secret`].
fn new_secret(pattern: &str) -> String {
    format!(
        "{}-{}",
        object_name(pattern),
        hex::encode(rand::random::<[u8; 4]>())
    )
}

#[expect(clippy::needless_pass_by_value, reason = "map_err calls it so")]
fn failed(error: WriteError) -> Error {
    tracing::warn!(error = %error.chain(), "a route could not be read or written");
    Error::Failed(error.chain())
}
