//! `/api/v1/users`: accounts. Passwords come in and never go out.

use super::super::error::Error;
use super::super::{Api, request};
use super::body::Members;
use super::paging::Wanted;
use super::{store_failed, wire};
use crate::auth::{SaveError, UserEntry};
use axum::http::Uri;
use axum::response::Response;
use weir_proto::Redacted;

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
pub(super) async fn one(api: &Api, name: &str) -> Result<Response, Error> {
    let name = segment(name).ok_or(Error::NotFound)?;
    let user = api.auth.user(&name).await.map_err(|error| store_failed(&error))?;
    let user = user.ok_or(Error::NotFound)?;
    Ok(wire::json(&wire::User::from(user)))
}

pub(super) async fn delete(api: &Api, name: &str) -> Result<Response, Error> {
    let name = segment(name).ok_or(Error::NotFound)?;
    api.auth
        .delete_user(&name)
        .await
        .map_err(|error| store_failed(&error))?;
    Ok(wire::nothing())
}

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
