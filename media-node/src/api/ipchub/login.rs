//! `POST /api/v1/login` and `GET /api/v1/refreshtoken`.

use super::super::Api;
use super::super::error::Error;
use super::body::Members;
use super::{openapi, store_failed, wire};
use crate::auth::{LoginError, TokenPair};
use axum::response::Response;
use std::net::IpAddr;
use weir_proto::Redacted;

#[utoipa::path(
    post,
    path = "/api/v1/login",
    operation_id = "ipchub.login",
    tag = "system",
    summary = "Exchanges a name and password for tokens",
    description = "The password is plain, or its MD5 as 32 hexadecimal digits.",
    request_body = openapi::Login,
    responses(
        (status = 200, description = "Two hours of access, seven days to refresh", body = wire::TokenPair, content_type = "text/plain"),
        (status = 403, description = "No name and password, or wrong ones", body = String),
        (status = 429, description = "Wrong too often", body = String),
    )
)]
pub(super) async fn login(api: &Api, peer: IpAddr, body: &[u8]) -> Result<Response, Error> {
    let (name, password) = credentials(body).ok_or(Error::NoCredentials)?;
    match api.auth.login(peer, &name, password.reveal()).await {
        Ok(pair) => Ok(reply(&pair)),
        Err(LoginError::Store(error)) => Err(store_failed(&error)),
        Err(error) => Err(error.into()),
    }
}

#[utoipa::path(
    get,
    path = "/api/v1/refreshtoken",
    operation_id = "ipchub.refreshtoken",
    tag = "system",
    summary = "Exchanges a refresh token for new tokens",
    description = "Both old ones are dead then.",
    params(("token" = String, Query, description = "The refresh token")),
    responses(
        (status = 200, description = "As after a login", body = wire::TokenPair, content_type = "text/plain"),
        (status = 401, description = "Not a refresh token, or used before", body = String),
    )
)]
pub(super) async fn refresh(api: &Api, token: Option<&str>) -> Result<Response, Error> {
    let refreshed = api.auth.refresh(token.unwrap_or_default()).await;
    let pair = refreshed
        .map_err(|error| store_failed(&error))?
        .ok_or(Error::InvalidToken)?;
    Ok(reply(&pair))
}

fn reply(pair: &TokenPair) -> Response {
    wire::json(&wire::TokenPair {
        access_token: pair.access.reveal(),
        refresh_token: pair.refresh.reveal(),
    })
}

/// Name and password, each empty if missing. None when this is no JSON object, or one of them no
/// string.
fn credentials(body: &[u8]) -> Option<(String, Redacted<String>)> {
    let members = Members::parse(body).ok()?;
    let (name, password) = (members.text("username"), members.text("password"));
    Some((name.ok()?, password.ok()?.into()))
}

#[cfg(test)]
mod tests {
    use super::credentials;

    #[test]
    fn bodies_as_clients_send_them() {
        for (body, expected) in [
            (r#"{"username":"a","password":"b"}"#, Some(("a", "b"))),
            (
                r#" {"UserName":"a","PASSWORD":"b","more":[1]} trailing"#,
                Some(("a", "b")),
            ),
            (r#"{"username":"a"}"#, Some(("a", ""))),
            (r#"{"username":"a","password":null}"#, Some(("a", ""))),
            ("{}", Some(("", ""))),
            (r#"{"username":"a","password":1}"#, None),
            (r#"["a","b"]"#, None),
            ("username=a&password=b", None),
            (r#"{"username":"a","pass"#, None),
            ("", None),
            ("\u{feff}{}", None),
            ("null", None),
        ] {
            let found = credentials(body.as_bytes());
            let found = found
                .as_ref()
                .map(|(name, password)| (name.as_str(), password.reveal().as_str()));
            assert_eq!(found, expected, "{body}");
        }
    }
}
