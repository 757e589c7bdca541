//! Plays a stream for a moment and says what came: for `helm test` and for people in a hurry.

use crate::args;
use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use url::Url;
use weir_proto::flv;
use weir_proto::media::TrackKind;

/// Access units of a kind that count as playing: a second of video.
const ENOUGH: usize = 25;

/// Succeeds when the stream plays within the patience given.
pub async fn run(args: args::Probe) -> anyhow::Result<()> {
    let url: Url = args.url.parse().context("this is no URL")?;
    ensure!(url.scheme() == "http", "only http:// URLs can be probed");
    let deadline = Instant::now() + Duration::from_secs(args.patience);
    let mut last = anyhow::anyhow!("not tried");
    while Instant::now() < deadline {
        match timeout_at(deadline, attempt(&url, args.auth_dir.as_deref())).await {
            Ok(Ok(said)) => {
                println!("{said}");
                return Ok(());
            }
            Ok(Err(error)) => last = error,
            Err(_) => break,
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Err(last.context(format!("{} did not play within {} s", url.path(), args.patience)))
}

async fn attempt(url: &Url, auth_dir: Option<&Path>) -> anyhow::Result<String> {
    let mut url = url.clone();
    if let (Some(folder), None) = (auth_dir, url.query_pairs().find(|(name, _)| name == "token")) {
        let token = login(&url, folder).await?;
        url.query_pairs_mut().append_pair("token", &token);
    }
    let started = Instant::now();
    let target = format!(
        "{}{}",
        url.path(),
        url.query().map(|q| format!("?{q}")).unwrap_or_default()
    );
    let response = send(&url, Request::get(target), Bytes::new()).await?;
    ensure!(
        response.status() == StatusCode::OK,
        "the server answered {}",
        response.status()
    );
    let (mut reader, mut unpacker) = (flv::Reader::default(), flv::Unpacker::new());
    let mut body = response.into_body();
    let (mut tracks, mut pictures) = (None, 0);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        reader.push(&data);
        while let Some(tag) = reader.pull()? {
            unpacker.push(tag.kind, tag.timestamp_ms, &tag.body)?;
            while let Some(event) = unpacker.pull() {
                match event {
                    flv::Event::Tracks(new) => tracks = Some(new),
                    flv::Event::AccessUnit(unit) => {
                        let video = tracks.as_ref().and_then(|t| t.get(unit.track));
                        pictures += usize::from(video.is_some_and(|t| t.kind() == TrackKind::Video));
                    }
                    flv::Event::LeftOut(_) => {}
                }
            }
        }
        if pictures >= ENOUGH {
            let codecs = tracks
                .iter()
                .flat_map(|t| t.iter())
                .map(|t| t.codec.codec().to_string());
            let codecs = codecs.collect::<Vec<_>>().join(" and ");
            return Ok(format!(
                "{} plays: {pictures} pictures of {codecs} in {:?}",
                url.path(),
                started.elapsed()
            ));
        }
    }
    bail!("the stream ended after {pictures} pictures")
}

async fn login(url: &Url, folder: &Path) -> anyhow::Result<String> {
    let read = |name: &str| {
        std::fs::read_to_string(folder.join(name))
            .with_context(|| format!("can't read {name} of the pool's Secret"))
    };
    let username = read("username").unwrap_or_else(|_| "admin".to_owned());
    let body = serde_json::json!({"username": username.trim(), "password": read("password")?.trim_end()});
    let response = send(url, Request::post("/api/v1/login"), body.to_string().into()).await?;
    ensure!(
        response.status() == StatusCode::OK,
        "the login was answered with {}",
        response.status()
    );
    let reply: serde_json::Value = serde_json::from_slice(&response.into_body().collect().await?.to_bytes())?;
    let token = reply["access_token"]
        .as_str()
        .context("the login's answer has no access_token")?;
    Ok(token.to_owned())
}

async fn send(
    url: &Url,
    request: http::request::Builder,
    body: Bytes,
) -> anyhow::Result<http::Response<Incoming>> {
    let host = url.host_str().context("the URL has no host")?;
    let port = url.port_or_known_default().unwrap_or(80);
    let socket = TcpStream::connect((host.trim_matches(['[', ']']), port))
        .await
        .with_context(|| format!("can't connect to {host}:{port}"))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
    tokio::spawn(connection);
    let request = request
        .header(header::HOST, format!("{host}:{port}"))
        .body(Full::new(body))?;
    Ok(sender.send_request(request).await?)
}
