//! Player pages for other sites: `play_camera` and `play_record` give their addresses, `/play/…` is the pages, which say by
//! `/play/heartbeat` that they are open still.

use super::super::{Api, request};
use super::calendar::Calendar;
use super::cameras::name_of;
use super::origin::Origin;
use super::parameters::Parameters;
use super::scene::Scene;
use super::storage;
use super::wire::{self, Code, Fault, reply};
use crate::store::sql::recorder::API;
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, Method, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};
use weir_proto::media::StreamPath;

/// Size of a player where the caller of the API doesn't say, in pixels.
const ASKED: (i64, i64) = (850, 550);
/// Size of a page that is opened without one.
const BARE: (i64, i64) = (840, 545);
/// Pixels each way that make sense.
const SIZES: std::ops::RangeInclusive<i64> = 100..=4096;
/// How long a page may open its stream; while it reports it is given more.
const TICKET: Duration = Duration::from_mins(10);
/// No frame is forbidden to show these pages. Videos may be at the configured storage address.
const POLICY: &str = "default-src 'self'; media-src * blob:; connect-src 'self' ws: wss:; worker-src 'self' blob:; \
                      img-src 'self' data:";

pub(super) fn router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/play/live/{id}", get(live_page))
        .route("/play/vod/{id}", get(record_page))
        .route("/play/heartbeat", post(heartbeat))
        .with_state(api)
}

#[derive(Serialize)]
struct Address {
    play_url: String,
}

pub(super) async fn camera(api: &Api, parameters: &Parameters, origin: &Origin) -> Result<Response, Fault> {
    let id = parameters.id("camera_id")?;
    Scene::load(api).await?.named(id)?;
    Ok(address("live", id, parameters, origin))
}

pub(super) async fn record(api: &Api, parameters: &Parameters, origin: &Origin) -> Result<Response, Fault> {
    let id = parameters.id("record_id")?;
    api.recorder.database.recording(id).await?.ok_or(Code::NoId)?;
    Ok(address("vod", id, parameters, origin))
}

fn address(kind: &str, id: i64, parameters: &Parameters, origin: &Origin) -> Response {
    let pixels = |name: &str, default: i64| {
        let number = parameters.int(name).filter(|pixels| SIZES.contains(pixels));
        number.unwrap_or(default)
    };
    let (width, height) = (pixels("width", ASKED.0), pixels("height", ASKED.1));
    let origin = origin.as_str();
    wire::ok(Address {
        play_url: format!("{origin}/play/{kind}/{id}?width={width}&height={height}"),
    })
}

async fn live_page(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    method: Method,
    uri: Uri,
) -> Response {
    page(live(&api, &id, method == Method::HEAD, &uri).await)
}

async fn record_page(State(api): State<Arc<Api>>, Path(id): Path<String>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let origin = Origin::of(&parts);
    let is_look = parts.method == Method::HEAD;
    page(vod(&api, &id, is_look, &parts.uri, &origin).await)
}

/// What a page tells instead of playing.
enum Trouble {
    Offline,
    Unknown(&'static str),
    Away,
}

impl From<Fault> for Trouble {
    fn from(_: Fault) -> Self {
        Self::Away
    }
}

/// Each opening of the page counts, a mere look at its head does not.
async fn live(api: &Api, id: &str, is_look: bool, uri: &Uri) -> Result<String, Trouble> {
    let unknown = Trouble::Unknown("没有找到指定的通道，无法播放！");
    let Ok(id) = id.parse::<i64>() else {
        return Err(unknown);
    };
    let scene = Scene::load(api).await?;
    let Some(channel) = scene.channel(id) else {
        return Err(unknown);
    };
    if channel.status() != 1 {
        return Err(Trouble::Offline);
    }
    let Some(path) = StreamPath::parse(&channel.camera.path()) else {
        return Err(Trouble::Offline);
    };
    let database = &api.recorder.database;
    let (clicks, player) = if is_look {
        (channel.fact.clicks, 0)
    } else {
        let clicks = database.click_camera(channel.uid()).await.map_err(Fault::from)?;
        (clicks, api.recorder.viewers.register(id, Instant::now()))
    };
    let token = if api.auth.anonymous_view() {
        String::new()
    } else {
        api.auth.ticket(&path, TICKET).reveal().clone()
    };
    let (width, height) = box_of(uri);
    let video = format!(
        "<video id=\"video\" width=\"{width}\" height=\"{height}\" controls playsinline data-kind=\"live\" data-id=\"{id}\" \
         data-path=\"{}\" data-token=\"{}\" data-player=\"{player}\" data-clicks=\"{clicks}\"></video>",
        escaped(path.as_str()),
        escaped(&token),
    );
    Ok(document(&name_of(&channel.camera), &video))
}

async fn vod(api: &Api, id: &str, is_look: bool, uri: &Uri, origin: &Origin) -> Result<String, Trouble> {
    let unknown = Trouble::Unknown("没有找到指定的录像，无法播放！");
    let Ok(id) = id.parse::<i64>() else {
        return Err(unknown);
    };
    let database = &api.recorder.database;
    let Some(row) = database.recording(id).await.map_err(Fault::from)? else {
        return Err(unknown);
    };
    let clicks = if is_look {
        Some(row.clicks)
    } else {
        database.click_recording(id).await.map_err(Fault::from)?
    };
    let Some(clicks) = clicks else {
        return Err(unknown);
    };
    let source = format!(
        "{}{}",
        storage::address(api, origin),
        storage::video_path(&row, &Calendar::of(api))
    );
    let (width, height) = box_of(uri);
    let video = format!(
        "<video id=\"video\" width=\"{width}\" height=\"{height}\" controls playsinline autoplay data-kind=\"vod\" \
         data-id=\"{id}\" data-clicks=\"{clicks}\"><source src=\"{}\" type=\"video/mp4\"></video>",
        escaped(&source),
    );
    Ok(document("", &video))
}

/// The video's box, in pixels.
fn box_of(uri: &Uri) -> (i64, i64) {
    let pixels = |name: &str| {
        let number = request::parameter(uri, name).and_then(|text| text.parse().ok());
        number.filter(|pixels| SIZES.contains(pixels))
    };
    match (pixels("width"), pixels("height")) {
        (None, None) => BARE,
        (width, height) => (width.unwrap_or(ASKED.0) - 2, height.unwrap_or(ASKED.1) - 3),
    }
}

fn page(made: Result<String, Trouble>) -> Response {
    let text = match made {
        Ok(text) => text,
        Err(trouble) => {
            let (title, hint) = match trouble {
                Trouble::Offline => (
                    "当前通道处于离线状态，无法播放！",
                    "请联系管理员，确认采集端在线并启动该通道。",
                ),
                Trouble::Unknown(title) => (title, "请联系管理员，确认地址是否正确。"),
                Trouble::Away => ("服务暂时不可用，无法播放！", "请稍后刷新页面。"),
            };
            format!(
                "<!DOCTYPE html>\n<html lang=\"zh\" data-state=\"error\">\n<head><meta charset=\"utf-8\"><title>{title}</title>\
                 <link rel=\"stylesheet\" href=\"../../play.css\"></head>\n<body><h1>{title}</h1><p>{hint}</p></body>\n</html>\n"
            )
        }
    };
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        ),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
        // It may hold a token.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (headers, text).into_response()
}

fn document(title: &str, video: &str) -> String {
    let title = escaped(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"zh\" data-state=\"starting\">\n<head><meta charset=\"utf-8\"><title>{title}</title>\
         <link rel=\"stylesheet\" href=\"../../play.css\"><script type=\"module\" src=\"../../play.js\"></script></head>\n\
         <body>{video}</body>\n</html>\n"
    )
}

/// As text or in quotes in HTML.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' | '<' | '>' | '"' | '\'' => {
                let _ = write!(safe, "&#{};", u32::from(c));
            }
            c => safe.push(c),
        }
    }
    safe
}

#[derive(Serialize)]
struct Heard {
    err_code: u16,
    err_msg: &'static str,
    /// For the stream, in place of the one that the page has.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

/// A page says that it is open, or that it closes.
async fn heartbeat(State(api): State<Arc<Api>>, request: Request) -> Response {
    let Ok(body) = request::body(request.into_body()).await else {
        return reply(&trouble("too long"));
    };
    let form: Vec<_> = url::form_urlencoded::parse(&body).collect();
    let value = |name: &str| {
        let found = form.iter().rev().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_ref())
    };
    let number = |name: &str| value(name).and_then(|text| text.parse::<i64>().ok());
    let (Some(camera_id), Some(player_id), Some(_), Some(active)) = (
        number("rtmp_live"),
        number("player_id").filter(|id| *id > 0),
        number("player_type"),
        number("player_active"),
    ) else {
        return reply(&trouble(
            "rtmp_live, player_id, player_type and player_active are numbers",
        ));
    };
    if active == 0 {
        api.recorder.viewers.leave(camera_id, player_id);
        return reply(&heard(None));
    }
    match api.recorder.database.resource_of(API, "camera", camera_id).await {
        Ok(Some(_)) => {
            api.recorder.viewers.see(camera_id, player_id, Instant::now());
            let token = value("token").and_then(|token| api.auth.renew_ticket(token, TICKET));
            reply(&heard(token.map(|token| token.reveal().clone())))
        }
        Ok(None) => reply(&trouble("no such channel")),
        Err(error) => Fault::from(error).into_response(),
    }
}

fn heard(token: Option<String>) -> Heard {
    Heard {
        err_code: 0,
        err_msg: "ok",
        token,
    }
}

fn trouble(err_msg: &'static str) -> Heard {
    Heard {
        err_code: 1,
        err_msg,
        token: None,
    }
}

#[cfg(test)]
mod tests {
    use super::{box_of, escaped};

    #[test]
    fn nothing_in_a_name_is_html() {
        assert_eq!(
            escaped("<b a=\"'&'\">"),
            "&#60;b a=&#34;&#39;&#38;&#39;&#34;&#62;"
        );
    }

    #[test]
    fn the_box_fits_the_page() {
        for (uri, size) in [
            ("/play/live/1", (840, 545)),
            ("/play/live/1?width=850&height=550", (848, 547)),
            ("/play/live/1?width=99&height=9999", (840, 545)),
            ("/play/live/1?width=100", (98, 547)),
        ] {
            assert_eq!(box_of(&uri.parse().unwrap()), size, "{uri}");
        }
    }
}
