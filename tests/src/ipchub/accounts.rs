//! Section 2: logging in, and what the system tells of itself.

use anyhow::{Result, ensure};
use md5::{Digest, Md5};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    Place,
    place::{Entry, Reply, USERS_PASSWORD},
};
use crate::{eventually, media_node::Tokens, rtsp, wait::secs};

const PAIR: [&str; 2] = ["access_token", "refresh_token"];

/// 200 and all keys; wrong names and bodies are 403; tokens hold everywhere.
pub async fn ipchub_login(place: &Place) -> Result<()> {
    let login = async |entry: &Entry, body: &str| -> Result<Reply> {
        place.call(entry, Method::POST, "/api/v1/login", body).await
    };
    let of = |name: &str, password: &str| json!({"username": name, "password": password}).to_string();
    let password = &place.admin_password;
    let md5 = format!("{:X}", Md5::digest(password));
    let mut pairs = Vec::new();
    for (entry, body) in [
        (&place.first, of("admin", password)),
        (&place.second, of("ADMIN", password)),
        (&place.first, of("admin", &md5)),
        (&place.second, of("admin", &md5.to_lowercase())),
    ] {
        let pair = Tokens::of(&login(entry, &body).await?.json(&PAIR)?)?;
        ensure!(
            Place::is_token(&pair.access) && Place::is_token(&pair.refresh) && pair.access != pair.refresh,
            "{pair:?}"
        );
        pairs.push(pair);
    }
    // Each is a pair of its own, and all of them hold, at either entry.
    for pair in &pairs {
        for entry in place.entries() {
            let users = place
                .get(entry, &format!("/api/v1/users?token={}", pair.access))
                .await?;
            users.json(&["total", "next_page_token", "users"])?;
        }
        let same = pairs.iter().filter(|other| other.access == pair.access).count();
        ensure!(same == 1, "a token was given out twice");
    }
    for entry in place.entries() {
        for no_login in ["", "name=admin", "[]", r#"{"username":"admin","password":7}"#] {
            login(entry, no_login).await?.is(403, "未提供用户名或密码")?;
        }
        for wrong in [
            "{}".to_owned(),
            of("admin", ""),
            of("", password),
            of("admin", "wrong"),
            of("nobody", password),
        ] {
            login(entry, &wrong).await?.is(403, "用户名或密码错误")?;
        }
        place
            .get(entry, "/api/v1/login")
            .await?
            .is(404, "404 page not found")?;
    }
    Ok(())
}

/// A new pair; the old one is dead everywhere at once.
pub async fn ipchub_refreshtoken(place: &Place) -> Result<()> {
    let refresh = async |entry: &Entry, token: &str| -> Result<Reply> {
        place
            .get(entry, &format!("/api/v1/refreshtoken?token={token}"))
            .await
    };
    let old = place.user("refresher", "", "").await?;
    let new = Tokens::of(&refresh(&place.first, &old.refresh).await?.json(&PAIR)?)?;
    ensure!(
        Place::is_token(&new.access) && Place::is_token(&new.refresh),
        "{new:?}"
    );
    for entry in place.entries() {
        for dead in [
            &old.refresh,
            &old.access,
            &new.access,
            "",
            "0123456789abcdef0123456789abcdef",
        ] {
            refresh(entry, dead).await?.is(401, "Token is not valid")?;
        }
        place
            .get(entry, "/api/v1/refreshtoken")
            .await?
            .is(401, "Token is not valid")?;
        let streams = async |token: &str| place.get(entry, &format!("/api/v1/streams?token={token}")).await;
        streams(&old.access).await?.is(401, "Token is not valid")?;
        streams(&new.access).await?.json(&["total"])?;
    }
    place.delete("users/refresher").await?;
    for entry in place.entries() {
        refresh(entry, &new.refresh)
            .await?
            .is(401, "Token is not valid")?;
    }
    Ok(())
}

/// Who answers; whoever asks.
pub async fn ipchub_server(place: &Place) -> Result<()> {
    const KEYS: [&str; 7] = ["vendor", "name", "version", "os", "arch", "start_on", "duration"];
    for entry in place.entries() {
        let mut before = Value::Null;
        // Nobody is asked for a token in any spelling; but paths are told apart by case.
        place
            .get(entry, "/api/V1/server")
            .await?
            .is(404, "404 page not found")?;
        for path in ["/api/v1/server", "/api/v1/server?token=x"] {
            let reply = place.get(entry, path).await?;
            let server = reply.json(&KEYS)?;
            for key in KEYS {
                ensure!(
                    server[key].as_str().is_some_and(|t| !t.is_empty()),
                    "{key}: {server}"
                );
            }
            let text = |key: &str| server[key].as_str().unwrap_or_default().to_owned();
            ensure!(
                text("version").starts_with('V') && text("os") == "Linux",
                "{server}"
            );
            ensure!(["AMD64", "ARM64"].contains(&&*text("arch")), "{server}");
            ensure!(
                is_time(&text("start_on")) && text("duration").ends_with('s'),
                "{server}"
            );
            ensure!(
                before.is_null() || before["start_on"] == server["start_on"],
                "{server}"
            );
            ensure!(
                before["duration"] != server["duration"],
                "the time stands still: {server}"
            );
            before = server;
        }
    }
    Ok(())
}

/// `2026-03-02T09:15:04.120933Z`, or with an offset.
fn is_time(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    text.len() > 19
        && text.as_bytes()[10] == b'T'
        && digits >= 14
        && (text.ends_with('Z') || text.contains('+'))
}

/// Counters of the whole place; they rise with viewers at one entry as told at the other, and fall.
pub async fn ipchub_runtime(place: &Place) -> Result<()> {
    const KEYS: [&str; 12] = [
        "on",
        "proc",
        "cpu",
        "priv",
        "virt",
        "uptime",
        "streams",
        "sources",
        "consumers",
        "rtsp",
        "total",
        "active",
    ];
    const EXTRA: [&str; 7] = ["extra", "heap", "mcache", "mspan", "stack", "gc", "go"];
    let (path, tokens) = place.stream("runtime").await?;
    for entry in place.entries() {
        for (query, with_extra) in [
            ("", false),
            ("?extra=0", false),
            ("?extra=1", true),
            ("?extra=%201", true),
            ("?extra=x", false),
        ] {
            let reply = place.get(entry, &format!("/api/v1/runtime{query}")).await?;
            let runtime = reply.json(&KEYS)?;
            ensure!(is_time(runtime["on"].as_str().unwrap_or_default()), "{runtime}");
            for family in ["rtsp", "flv", "wsp", "rtmp"] {
                ensure!(
                    runtime[family]["total"].is_u64() && runtime[family]["active"].is_u64(),
                    "{runtime}"
                );
            }
            let streams = &runtime["streams"];
            ensure!(
                streams["sources"] == streams["sc"]
                    && streams["consumers"] == streams["cc"]
                    && streams["sc"].is_u64(),
                "{runtime}"
            );
            ensure!(
                runtime["proc"]["priv"].as_u64() > Some(1000) && runtime["proc"]["virt"].is_u64(),
                "{runtime}"
            );
            ensure!(runtime["extra"].is_object() == with_extra, "{query}: {runtime}");
            if with_extra {
                reply.json(&EXTRA)?;
                ensure!(runtime["extra"]["go"]["procs"].as_u64() > Some(0), "{runtime}");
            }
        }
    }
    let counts = async || -> Result<[u64; 6]> {
        let now = place.told(&place.second, "runtime").await?;
        let of = |family: &str, count: &str| now[family][count].as_u64().unwrap_or_default();
        Ok([
            of("streams", "consumers"),
            of("flv", "active"),
            of("flv", "total"),
            of("rtsp", "active"),
            of("rtsp", "total"),
            of("streams", "sources"),
        ])
    };
    let before = counts().await?;
    ensure!(before[5] >= 1, "the stream is a source: {before:?}");
    let viewers = [
        place.watch(&place.first, &path, &tokens.access).await?,
        place.watch(&place.second, &path, &tokens.access).await?,
    ];
    let mut player = rtsp::Connection::open_as(&place.first.rtsp, "runtime", USERS_PASSWORD).await?;
    player.play(&place.first.rtsp(&path), &[0]).await?;
    eventually(secs(15), "the counters to rise", async || {
        let now = counts().await?;
        let risen: Vec<_> = now
            .iter()
            .zip(before)
            .map(|(now, before)| now.wrapping_sub(before))
            .collect();
        ensure!(risen == [3, 2, 2, 1, 1, 0], "{risen:?}");
        Ok(())
    })
    .await?;
    drop((viewers, player));
    eventually(secs(15), "the counters to fall", async || {
        let now = counts().await?;
        let risen: Vec<_> = now
            .iter()
            .zip(before)
            .map(|(now, before)| now.wrapping_sub(before))
            .collect();
        ensure!(risen == [0, 0, 2, 0, 1, 0], "{risen:?}");
        Ok(())
    })
    .await?;
    place.close("runtime").await
}
