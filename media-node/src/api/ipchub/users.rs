//! `/api/v1/users`: accounts. Passwords come in and never go out.

use super::super::error::Error;
use super::super::{Api, request};
use super::body::Members;
use super::paging::Wanted;
use super::{openapi, store_failed, wire};
use crate::auth::{SaveError, UserEntry};
use axum::http::Uri;
use axum::response::Response;
use weir_proto::Redacted;

#[utoipa::path(
    get,
    path = "/api/v1/users",
    operation_id = "ipchub.users.list",
    tag = "users",
    summary = "Lists users by name",
    params(
        ("page_size" = Option<i64>, Query, description = "Most items of a page, 20 if missing"),
        ("page_token" = Option<String>, Query, description = "`next_page_token` of the page before"),
    ),
    responses(
        (status = 200, description = "A page", body = wire::UserList, content_type = "text/plain"),
        (status = 500, description = "Wrong input: no such size of a page. Or a failure of the store", body = String),
    ),
    security(("token" = ["admin"]))
)]
pub(super) async fn list(api: &Api, uri: &Uri) -> Result<Response, Error> {
    let wanted = Wanted::parse(uri)?;
    let page = api.auth.users(wanted.after(), wanted.size() as u64).await;
    let page = page.map_err(|error| store_failed(&error))?;
    let last = page.users.last().map_or(wanted.after(), |user| &user.name);
    Ok(wire::json(&wire::UserList {
        total: page.total,
        next_page_token: last.to_owned(),
        users: page.users.into_iter().map(wire::User::from).collect(),
    }))
}

/// `name` is the rest of the request's path, percent-encoded, as for the others here.
#[utoipa::path(
    get,
    path = "/api/v1/users/{username}",
    operation_id = "ipchub.users.get",
    tag = "users",
    summary = "Tells about a user",
    params(("username" = String, Path, description = "In any case", example = "guard")),
    responses(
        (status = 200, description = "Without the password", body = wire::User, content_type = "text/plain"),
        (status = 404, description = "No such user", body = String),
    ),
    security(("token" = ["admin"]))
)]
pub(super) async fn one(api: &Api, name: &str) -> Result<Response, Error> {
    let name = segment(name).ok_or(Error::NotFound)?;
    let user = api.auth.user(&name).await.map_err(|error| store_failed(&error))?;
    let user = user.ok_or(Error::NotFound)?;
    Ok(wire::json(&wire::User::from(user)))
}

#[utoipa::path(
    delete,
    path = "/api/v1/users/{username}",
    operation_id = "ipchub.users.delete",
    tag = "users",
    summary = "Deletes a user",
    params(("username" = String, Path, description = "In any case", example = "guard")),
    responses(
        (status = 200, description = "Deleted, or was not there"),
        (status = 404, description = "Not one segment", body = String),
    ),
    security(("token" = ["admin"]))
)]
pub(super) async fn delete(api: &Api, name: &str) -> Result<Response, Error> {
    let name = segment(name).ok_or(Error::NotFound)?;
    api.auth
        .delete_user(&name)
        .await
        .map_err(|error| store_failed(&error))?;
    Ok(wire::nothing())
}

#[utoipa::path(
    post,
    path = "/api/v1/users",
    operation_id = "ipchub.users.save",
    tag = "users",
    summary = "Creates a user, or replaces the rights of one",
    params(("update_password" = Option<String>, Query, description = "1 replaces the password of one that exists")),
    request_body = openapi::SavedUser,
    responses(
        (status = 200, description = "Saved"),
        (status = 500, description = "Wrong input: no such JSON, or no name. Or a failure of the store", body = String),
    ),
    security(("token" = ["admin"]))
)]
pub(super) async fn save(api: &Api, uri: &Uri, body: &[u8]) -> Result<Response, Error> {
    let (user, password) = wanted(body).map_err(Error::Failed)?;
    let update_password = request::parameter(uri, "update_password").as_deref() == Some("1");
    let saved = api.auth.save_user(user, password.reveal(), update_password).await;
    saved.map_err(|error| match error {
        SaveError::Store(error) => store_failed(&error),
        SaveError::Busy => Error::Unavailable("too many passwords are being hashed"),
        other => Error::Failed(other.to_string()),
    })?;
    Ok(wire::nothing())
}

fn wanted(body: &[u8]) -> Result<(UserEntry, Redacted<String>), String> {
    let members = Members::parse(body)?;
    let user = UserEntry {
        name: members.text("name")?,
        admin: members.flag("admin")?,
        push: members.text("push")?,
        pull: members.text("pull")?,
    };
    Ok((user, members.text("password")?.into()))
}

/// The one segment that `path` is, decoded.
fn segment(path: &str) -> Option<String> {
    let name = percent_encoding::percent_decode_str(path).decode_utf8().ok()?;
    (!name.is_empty() && !name.contains('/')).then(|| name.into_owned())
}

impl From<UserEntry> for wire::User {
    fn from(user: UserEntry) -> Self {
        Self {
            name: user.name,
            admin: user.admin,
            push: user.push,
            pull: user.pull,
        }
    }
}
