//! Plays a stream for a moment and says what came: for `helm test` and for people in a hurry.

mod pinned;

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
use tokio_util::either::Either;
use url::Url;
use weir_proto::flv;
use weir_proto::media::TrackKind;

/// Access units of a kind that count as playing: a second of video.
const ENOUGH: usize = 25;

/// Succeeds when the stream plays within the patience given.
pub async fn run(args: args::Probe) -> anyhow::Result<()> {
    let url: Url = args.url.parse().context("this is no URL")?;
    let is_known = match url.scheme() {
        "http" => true,
        "https" => args.tls_cert.is_some(),
        _ => false,
    };
    ensure!(
        is_known,
        "only http:// URLs can be probed, and https:// ones with --tls-cert"
    );
    let deadline = Instant::now() + Duration::from_secs(args.patience);
    let mut last = anyhow::anyhow!("not tried");
    while Instant::now() < deadline {
        match timeout_at(deadline, attempt(&args, &url)).await {
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

async fn attempt(args: &args::Probe, url: &Url) -> anyhow::Result<String> {
    let server = Server {
        url,
        certificate: args.tls_cert.as_deref(),
    };
    let mut url = url.clone();
    if let (Some(folder), None) = (
        &args.auth_dir,
        url.query_pairs().find(|(name, _)| name == "token"),
    ) {
        let token = server.login(folder).await?;
        url.query_pairs_mut().append_pair("token", &token);
    }
    let started = Instant::now();
    let target = format!(
        "{}{}",
        url.path(),
        url.query().map(|q| format!("?{q}")).unwrap_or_default()
    );
    let response = server.send(Request::get(target), Bytes::new()).await?;
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

/// Whom we ask.
struct Server<'a> {
    url: &'a Url,
    /// File with the certificate that it has to show.
    certificate: Option<&'a Path>,
}

impl Server<'_> {
    async fn login(&self, folder: &Path) -> anyhow::Result<String> {
        let read = |name: &str| {
            std::fs::read_to_string(folder.join(name))
                .with_context(|| format!("can't read {name} of the pool's Secret"))
        };
        let username = read("username").unwrap_or_else(|_| "admin".to_owned());
        let body = serde_json::json!({"username": username.trim(), "password": read("password")?.trim_end()});
        let request = Request::post("/api/v1/login");
        let response = self.send(request, body.to_string().into()).await?;
        ensure!(
            response.status() == StatusCode::OK,
            "the login was answered with {}",
            response.status()
        );
        let reply: serde_json::Value =
            serde_json::from_slice(&response.into_body().collect().await?.to_bytes())?;
        let token = reply["access_token"]
            .as_str()
            .context("the login's answer has no access_token")?;
        Ok(token.to_owned())
    }

    async fn send(
        &self,
        request: http::request::Builder,
        body: Bytes,
    ) -> anyhow::Result<http::Response<Incoming>> {
        let host = self.url.host_str().context("the URL has no host")?;
        let port = self.url.port_or_known_default().unwrap_or(80);
        let name = host.trim_matches(['[', ']']);
        let socket = TcpStream::connect((name, port))
            .await
            .with_context(|| format!("can't connect to {host}:{port}"))?;
        let socket = match self.certificate.filter(|_| self.url.scheme() == "https") {
            Some(certificate) => Either::Right(pinned::connect(socket, name, certificate).await?),
            None => Either::Left(socket),
        };
        let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
        tokio::spawn(connection);
        let request = request
            .header(header::HOST, format!("{host}:{port}"))
            .body(Full::new(body))?;
        Ok(sender.send_request(request).await?)
    }
}
