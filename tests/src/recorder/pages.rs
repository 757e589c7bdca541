//! Player pages.

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::Value;

use super::{
    Place,
    place::{FORMS, Form, Reply},
};

/// The path and query of the page that a call gives.
fn path_of(told: &Value, entry: &str) -> Result<String> {
    let url = told["play_url"].as_str().with_context(|| told.to_string())?;
    let path = url.strip_prefix(&format!("http://{entry}"));
    Ok(path
        .with_context(|| format!("{url} is not at {entry}"))?
        .to_owned())
}

/// What any page may show in a frame.
fn is_page(reply: &Reply) -> Result<()> {
    ensure!(
        reply.status == 200 && reply.header("content-type") == "text/html; charset=utf-8",
        "{reply:?}"
    );
    ensure!(
        reply.header("x-frame-options").is_empty()
            && !reply
                .header("content-security-policy")
                .contains("frame-ancestors"),
        "{reply:?}"
    );
    Ok(())
}

/// A value of the page's player.
fn value<'a>(page: &'a Reply, name: &str) -> Result<&'a str> {
    let start = format!(" {name}=\"");
    let rest = page.text.split_once(&start).map(|(_, rest)| rest);
    let value = rest.and_then(|rest| rest.split('"').next());
    value.with_context(|| format!("no {name} in {}", page.text))
}

/// Each opening of the page counts; of a channel that is offline it is an error page and counts nothing.
pub async fn recorder_play_camera(place: &Place) -> Result<()> {
    place.needs_token("play_camera").await?;
    place.refuses("play_camera", &[], 1010).await?;
    place
        .refuses("play_camera", &[("camera_id", "999999")], 1010)
        .await?;
    let id = place.channel("播放").await?;
    place.until_status(&id, 1).await?;
    for entry in place.entries() {
        for form in FORMS {
            let told = place
                .ask(entry, "play_camera", &[("camera_id", &id), ("width", "99")], form)
                .await?;
            ensure!(
                path_of(&told, entry)?.ends_with("?width=850&height=550"),
                "{told}"
            );
        }
    }
    let proxied = [
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "media.example.org"),
    ];
    let asked = format!("/api/v1/play_camera?token={}&camera_id={id}", place.token);
    let told = place
        .with_headers(&place.first, Method::GET, &asked, "", &proxied)
        .await?;
    ensure!(
        told.text.contains("https://media.example.org:443/play/live/"),
        "{told:?}"
    );

    let sized = [("camera_id", id.as_str()), ("width", "640"), ("height", "360")];
    let told = place.done("play_camera", &sized, Form::Query).await?;
    let path = path_of(&told, &place.first)?;
    let page = place.http(&place.first, Method::GET, &path, "").await?;
    is_page(&page)?;
    ensure!(
        value(&page, "width")? == "638" && value(&page, "height")? == "357",
        "{page:?}"
    );
    ensure!(value(&page, "data-clicks")? == "1", "{page:?}");
    // What the page opens, it opens with its own ticket, and that opens nothing else.
    let (stream, ticket) = (value(&page, "data-path")?, value(&page, "data-token")?);
    for (stream, status) in [(stream, 200), ("live/other", 403)] {
        let path = format!("/streams/{stream}.m3u8?token={ticket}");
        let reply = place.http(&place.second, Method::HEAD, &path, "").await?;
        ensure!(reply.status == status, "{path}: {reply:?}");
    }
    let player = value(&page, "data-player")?;
    let beat = format!("rtmp_live={id}&player_id={player}&player_type=1&player_active=1&token={ticket}");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    for entry in place.entries() {
        let heard = place
            .with_headers(entry, Method::POST, "/play/heartbeat", &beat, &form)
            .await?;
        let heard: Value = serde_json::from_str(&heard.text)?;
        ensure!(
            heard["err_code"] == 0 && heard["err_msg"] == "ok" && heard["token"].is_string(),
            "{heard}"
        );
        let wrong = place
            .with_headers(entry, Method::POST, "/play/heartbeat", "rtmp_live=1", &form)
            .await?;
        let wrong: Value = serde_json::from_str(&wrong.text)?;
        ensure!(wrong["err_code"] == 1, "{wrong}");
    }
    let again = place.http(&place.second, Method::GET, &path, "").await?;
    ensure!(value(&again, "data-clicks")? == "2", "{again:?}");
    place.http(&place.second, Method::HEAD, &path, "").await?;
    let row = place.row("list_camera", &[], "camera_id", &id).await?;
    ensure!(row["clicks"] == 2, "{row}");

    place
        .done("stop_camera", &[("camera_id", &id)], Form::Path)
        .await?;
    place.until_status(&id, 0).await?;
    for path in [path.as_str(), "/play/live/999999", "/play/live/x"] {
        let page = place.http(&place.first, Method::GET, path, "").await?;
        is_page(&page)?;
        ensure!(
            page.text.contains("无法播放") && !page.text.contains("<video"),
            "{page:?}"
        );
    }
    let row = place.row("list_camera", &[], "camera_id", &id).await?;
    ensure!(row["clicks"] == 2, "{row}");
    place
        .done("del_camera", &[("camera_id", &id)], Form::Query)
        .await?;
    Ok(())
}

/// Of a record that there is not; playing one is checked where it is made.
pub async fn recorder_play_record(place: &Place) -> Result<()> {
    place.needs_token("play_record").await?;
    place.refuses("play_record", &[], 1010).await?;
    place
        .refuses("play_record", &[("record_id", "999999")], 1010)
        .await?;
    for entry in place.entries() {
        for path in ["/play/vod/999999?width=850&height=550", "/play/vod/x"] {
            let page = place.http(entry, Method::GET, path, "").await?;
            is_page(&page)?;
            ensure!(page.text.contains("没有找到指定的录像"), "{page:?}");
        }
    }
    Ok(())
}
