//! The cloud recorder's API, `/api/v1/<interface>`, as its documents and clients know it: parameters in the query or in the
//! path, the order of its checks, codes. JSON is in [`wire`].
//!
//! | documents | here |
//! |---|---|
//! | gather | a node of the pool; its settings are in SQL |
//! | camera, channel | a Camera; facts that no node acts on are in SQL, by the object's uid |
//! | course | a RecordSchedule with one camera and one window |
//! | record | a row about a range of footage, which [`footage`] has |
//! | school, subject, grade, teacher | rows |

mod calendar;
mod cameras;
mod courses;
mod footage;
mod gathers;
mod nodes;
mod openapi;
mod origin;
mod paging;
mod parameters;
mod play;
mod records;
mod scene;
mod schools;
mod source;
mod storage;
mod subjects;
mod teachers;
mod viewers;
mod wire;

pub use footage::{Footage, FootageError, Image, VirtualFile};
pub use nodes::{Node, NodeState, Nodes, system};
pub use viewers::Viewers;

use super::{Api, error, request};
use crate::auth::{RECORDER_TOKEN, RecorderTokenError, UnionIdError};
use crate::store::sql::Database;
use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use origin::Origin;
use parameters::Parameters;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use wire::{Code, Fault};

/// What this API works with besides what all do.
#[derive(Clone)]
pub struct Recorder {
    pub database: Database,
    pub nodes: Arc<dyn Nodes>,
    pub footage: Arc<dyn Footage>,
    pub settings: Settings,
    pub viewers: Arc<Viewers>,
}

/// What is decided when a process starts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Of the site.
    pub title: String,
    /// In the IANA database; without it, the pool's.
    pub time_zone: Option<String>,
    /// `scheme://host:port` of the files as clients see it; without it, as their request came.
    pub storage_address: Option<String>,
    pub token_lifetime: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            title: "云录播".to_owned(),
            time_zone: None,
            storage_address: None,
            token_lifetime: RECORDER_TOKEN,
        }
    }
}

/// `scheme://host:port` of an address that somebody has configured; none if it is no such address.
pub fn storage_address(text: &str) -> Option<String> {
    Origin::parse(text.trim()).map(|origin| origin.as_str().to_owned())
}

pub(super) fn router(api: Arc<Api>) -> Router {
    let mut interfaces = Router::new();
    for interface in &openapi::INTERFACES {
        let name = interface.name;
        let call =
            async move |State(api): State<Arc<Api>>, request: Request| handle(&api, name, request).await;
        for path in ["", "/", "/{*values}"] {
            interfaces = interfaces.route(&format!("/api/v1/{name}{path}"), get(call).fallback(wrong_method));
        }
    }
    interfaces
        .with_state(api.clone())
        .merge(play::router(api.clone()))
        .merge(storage::router(api))
}

/// Whether a path that nothing is at looks like one of this API's: no name of its neighbours has a `_` in it.
pub(super) fn is_its_name(path: &str) -> bool {
    let name = path
        .strip_prefix("/api/v1/")
        .and_then(|rest| rest.split('/').next());
    name.is_some_and(|name| name.contains('_'))
}

/// The answer to an interface that there is not.
pub(super) fn unknown() -> Response {
    error::recorder_unknown(wire::reply(&wire::refusal(404, "no such interface")))
}

/// This API's part of the description in `OpenAPI`.
pub(super) fn description() -> utoipa::openapi::OpenApi {
    openapi::document()
}

async fn wrong_method() -> Response {
    error::recorder_wrong_method(wire::reply(&wire::refusal(405, "only GET and HEAD are taken")))
}

async fn handle(api: &Api, interface: &'static str, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let sent = parts
        .extensions
        .get::<request::Sent>()
        .map_or(&parts.uri, |sent| &sent.0);
    let parameters = Parameters::of(interface, sent);
    let origin = Origin::of(&parts);
    answer(api, interface, &parameters, &origin)
        .await
        .unwrap_or_else(Fault::into_response)
}

async fn answer(
    api: &Api,
    interface: &'static str,
    parameters: &Parameters,
    origin: &Origin,
) -> Result<Response, Fault> {
    match interface {
        "version" => return Ok(version(api)),
        "access_token" => return access_token(api, parameters).await,
        _ => check(api, parameters)?,
    }
    match interface {
        "list_school" => schools::list(api, parameters).await,
        "add_school" => schools::add(api, parameters).await,
        "mod_school" => schools::change(api, parameters).await,
        "del_school" => schools::delete(api, parameters).await,
        "list_subject" => subjects::list(api, parameters).await,
        "add_subject" => subjects::add(api, parameters).await,
        "mod_subject" => subjects::change(api, parameters).await,
        "del_subject" => subjects::delete(api, parameters).await,
        "list_grade" => subjects::list_grades(api, parameters).await,
        "list_teacher" => teachers::list(api, parameters).await,
        "add_teacher" => teachers::add(api, parameters).await,
        "mod_teacher" => teachers::change(api, parameters).await,
        "del_teacher" => teachers::delete(api, parameters).await,
        "list_gather" => gathers::list(api, parameters).await,
        "mod_gather" => gathers::change(api, parameters).await,
        "list_camera" => cameras::list(api, parameters, origin).await,
        "add_camera" => cameras::add(api, parameters).await,
        "mod_camera" => cameras::change(api, parameters).await,
        "del_camera" => cameras::delete(api, parameters).await,
        "get_camera_status" => cameras::status(api, parameters).await,
        "start_camera" => cameras::switch(api, parameters, true).await,
        "stop_camera" => cameras::switch(api, parameters, false).await,
        "list_record" => records::list(api, parameters, origin).await,
        "del_record" => records::delete(api, parameters).await,
        "list_course" => courses::list(api, parameters).await,
        "add_course" => courses::add(api, parameters).await,
        "mod_course" => courses::change(api, parameters).await,
        "del_course" => courses::delete(api, parameters).await,
        "play_camera" => play::camera(api, parameters, origin).await,
        "play_record" => play::record(api, parameters, origin).await,
        _ => Ok(unknown()),
    }
}

/// Comes before all other checks.
fn check(api: &Api, parameters: &Parameters) -> Result<(), Fault> {
    let token = parameters.given("token").ok_or(Code::NoToken)?;
    api.auth.check_recorder_token(token).map_err(|wrong| match wrong {
        RecorderTokenError::Malformed => Code::BadToken.into(),
        RecorderTokenError::Expired => Code::ExpiredToken.into(),
    })
}

fn version(api: &Api) -> Response {
    wire::reply(&wire::Version {
        api: "v1",
        name: api.recorder.settings.title.clone(),
        version: env!("CARGO_PKG_VERSION"),
        server: system(),
    })
}

async fn access_token(api: &Api, parameters: &Parameters) -> Result<Response, Fault> {
    #[derive(Serialize)]
    struct Token<'a> {
        token: &'a str,
        expires: u64,
    }
    let unionid = parameters.given("unionid").filter(|unionid| !unionid.is_empty());
    let unionid = unionid.ok_or(Code::NoUnionId)?;
    let lifetime = api.recorder.settings.token_lifetime;
    let token = api.auth.recorder_token(unionid, lifetime).await;
    let token = token.map_err(|error| match error {
        UnionIdError::Unknown => Code::UnknownUnionId.into(),
        UnionIdError::NoAdministrator => Code::NoAdministrator.into(),
        UnionIdError::Store(error) => Fault::from(error),
    })?;
    Ok(wire::ok(Token {
        token: token.reveal(),
        expires: lifetime.as_secs(),
    }))
}
