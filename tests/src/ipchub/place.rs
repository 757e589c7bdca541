//! Where lines of the contract are checked: two entry points, a camera that can be dialled from there, and what the checks
//! have in common.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use futures::StreamExt;
use reqwest::{Client, Method, header::HeaderMap};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{sync::OnceCell, task::JoinHandle};

use crate::{
    camera::{Auth, Camera, Make, PASSWORD, USER},
    eventually,
    media_node::Tokens,
    tls,
    wait::secs,
    web_socket::Socket,
};

/// The password of all users that are made here.
pub const USERS_PASSWORD: &str = "canary-user-6mLx";

/// `host:port` of each protocol.
#[derive(Clone, Debug)]
pub struct Entry {
    /// HTTP alone.
    pub http: String,
    /// Whether TLS is spoken there, by something that stands in front: then it is where a WebSocket is opened, too.
    pub secure: bool,
    /// RTSP and HTTP.
    pub rtsp: String,
    /// RTMP.
    pub rtmp: String,
}

impl Entry {
    /// A URL over HTTP; `path` begins with a slash.
    pub fn http(&self, path: &str) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.http)
    }

    /// A URL of a WebSocket, at the port that RTSP shares where that is reached; `path` begins with a slash.
    pub fn ws(&self, path: &str) -> String {
        if self.secure {
            return format!("wss://{}{path}", self.http);
        }
        format!("ws://{}{path}", self.rtsp)
    }

    /// A URL over RTSP; `path` begins with a slash.
    pub fn rtsp(&self, path: &str) -> String {
        format!("rtsp://{}{path}", self.rtsp)
    }

    /// The same with somebody's name and password.
    pub fn rtsp_as(&self, user: &str, path: &str) -> String {
        format!("rtsp://{user}:{USERS_PASSWORD}@{}{path}", self.rtsp)
    }

    /// A URL over RTMP; `path` begins with a slash.
    pub fn rtmp(&self, path: &str) -> String {
        format!("rtmp://{}{path}", self.rtmp)
    }
}

/// A place.
pub struct Place {
    /// Where things are done.
    pub first: Entry,
    /// Where they show.
    pub second: Entry,
    /// Whether the entries are gateways in front of nodes.
    pub in_cluster: bool,
    /// The address at which a camera must listen to be dialled from here.
    pub machine: String,
    /// A camera of gortsplib that wants a digest; its credentials are `camera::{USER, PASSWORD}`.
    pub camera: Camera,
    /// The password of `admin`.
    pub admin_password: String,
    /// The access token of `admin`.
    pub token: String,
    /// Files of the tests.
    pub folder: TempDir,
    client: Client,
    guard: OnceCell<Tokens>,
}

/// An answer over HTTP.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub text: String,
    /// What was asked.
    pub asked: String,
}

impl Reply {
    /// A header's value; empty without one.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.and_then(|v| v.to_str().ok()).unwrap_or_default()
    }

    /// Asserts a success without content.
    ///
    /// # Errors
    /// What it is instead.
    pub fn done(&self) -> Result<()> {
        ensure!(
            self.status == 200 && self.text.is_empty() && self.header("content-type").is_empty(),
            "{self:?}"
        );
        ensure!(self.header("access-control-allow-origin") == "*", "{self:?}");
        Ok(())
    }

    /// Asserts a refusal or failure: a line of text, which browsers take for nothing else.
    ///
    /// # Errors
    /// What it is instead.
    pub fn is(&self, status: u16, line: &str) -> Result<()> {
        ensure!(
            self.status == status && self.text == format!("{line}\n"),
            "not {status} {line}: {self:?}"
        );
        self.is_error(status)
    }

    /// Asserts an error with free text.
    ///
    /// # Errors
    /// What it is instead.
    pub fn is_error(&self, status: u16) -> Result<()> {
        ensure!(
            self.status == status && self.text.len() > 1 && self.text.ends_with('\n'),
            "not {status}: {self:?}"
        );
        ensure!(
            self.header("content-type") == "text/plain; charset=utf-8"
                && self.header("x-content-type-options") == "nosniff"
                && self.header("access-control-allow-origin") == "*",
            "{self:?}"
        );
        Ok(())
    }

    /// The JSON of a success, whose keys come in this order.
    ///
    /// # Errors
    /// What it is instead.
    pub fn json(&self, keys: &[&str]) -> Result<Value> {
        ensure!(self.status == 200, "{self:?}");
        ensure!(
            self.header("content-type") == "text/plain; charset=utf-8"
                && self.header("access-control-allow-origin") == "*",
            "{self:?}"
        );
        let mut rest = self.text.as_str();
        for key in keys {
            let quoted = format!("\"{key}\":");
            let (_, after) = rest
                .split_once(&quoted)
                .with_context(|| format!("no {key}, or out of order: {}", self.text))?;
            rest = after;
        }
        Ok(serde_json::from_str(&self.text)?)
    }
}

/// A viewer by HTTP-FLV, who reads all that comes. Gone with this value.
pub struct Viewer {
    reading: JoinHandle<u64>,
}

impl Viewer {
    /// Waits until the server has ended it.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ended(&mut self, limit: Duration) -> Result<()> {
        let ended = tokio::time::timeout(limit, &mut self.reading).await;
        ended.with_context(|| format!("a viewer still watches after {limit:?}"))??;
        Ok(())
    }

    /// Whether it still watches.
    pub fn watches(&self) -> bool {
        !self.reading.is_finished()
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

/// A query's beginning, or its continuation.
pub fn with(path: &str, parameter: &str) -> String {
    match parameter {
        "" => path.to_owned(),
        _ if path.contains('?') => format!("{path}&{parameter}"),
        _ => format!("{path}?{parameter}"),
    }
}

impl Place {
    /// A place with these entries. `machine` is this machine's address as seen from there.
    ///
    /// # Errors
    /// When the camera does not start, or `admin` can't log in.
    pub async fn new(
        first: Entry,
        second: Entry,
        in_cluster: bool,
        machine: &str,
        admin_password: &str,
    ) -> Result<Self> {
        let mut place = Self {
            first,
            second,
            in_cluster,
            machine: machine.to_owned(),
            camera: Camera::start_at(Make::Go, Auth::Digest, machine, 0).await?,
            admin_password: admin_password.to_owned(),
            token: String::new(),
            folder: TempDir::with_prefix("weir-ipchub-")?,
            client: tls::client()?.timeout(secs(40)).build()?,
            guard: OnceCell::new(),
        };
        place.token = place.login("admin", admin_password).await?.access;
        Ok(place)
    }

    /// Both entries.
    pub fn entries(&self) -> [&Entry; 2] {
        [&self.first, &self.second]
    }

    /// Asks for a path as it is given.
    ///
    /// # Errors
    /// When there is no whole answer.
    pub async fn call(&self, entry: &Entry, method: Method, path: &str, body: &str) -> Result<Reply> {
        let asked = format!("{method} {}", entry.http(path));
        let request = self
            .client
            .request(method, entry.http(path))
            .body(body.to_owned());
        let reply = request.send().await.with_context(|| asked.clone())?;
        Ok(Reply {
            status: reply.status().as_u16(),
            headers: reply.headers().clone(),
            text: reply.text().await.with_context(|| asked.clone())?,
            asked,
        })
    }

    /// `GET` of a path as it is given.
    ///
    /// # Errors
    /// As `call`.
    pub async fn get(&self, entry: &Entry, path: &str) -> Result<Reply> {
        self.call(entry, Method::GET, path, "").await
    }

    /// As the administrator: `path` is what follows `/api/v1/`.
    ///
    /// # Errors
    /// As `call`.
    pub async fn admin(&self, entry: &Entry, method: Method, path: &str, body: &str) -> Result<Reply> {
        let path = with(&format!("/api/v1/{path}"), &format!("token={}", self.token));
        self.call(entry, method, &path, body).await
    }

    /// What the administrator is told of `path`.
    ///
    /// # Errors
    /// When that is no JSON.
    pub async fn told(&self, entry: &Entry, path: &str) -> Result<Value> {
        self.admin(entry, Method::GET, path, "").await?.json(&[])
    }

    /// Saves a user or route at the first entry.
    ///
    /// # Errors
    /// When that is refused.
    pub async fn save(&self, what: &str, body: Value) -> Result<()> {
        let body = body.to_string();
        self.admin(&self.first, Method::POST, what, &body).await?.done()
    }

    /// Deletes at the first entry.
    ///
    /// # Errors
    /// When that is refused.
    pub async fn delete(&self, path: &str) -> Result<()> {
        self.admin(&self.first, Method::DELETE, path, "").await?.done()
    }

    /// Logs in at the second entry, which is not where users are made.
    ///
    /// # Errors
    /// When that is refused.
    pub async fn login(&self, user: &str, password: &str) -> Result<Tokens> {
        let body = json!({"username": user, "password": password}).to_string();
        let reply = self
            .call(&self.second, Method::POST, "/api/v1/login", &body)
            .await?;
        Tokens::of(&reply.json(&["access_token", "refresh_token"])?)
    }

    /// Makes a user who is no administrator, with `USERS_PASSWORD`, and logs in.
    ///
    /// # Errors
    /// When either is refused.
    pub async fn user(&self, name: &str, push: &str, pull: &str) -> Result<Tokens> {
        let user = json!({"name": name, "password": USERS_PASSWORD, "push": push, "pull": pull});
        self.save("users", user).await?;
        self.login(name, USERS_PASSWORD).await
    }

    /// Somebody who may watch and publish one path that nothing is at.
    ///
    /// # Errors
    /// As `user`.
    pub async fn guard(&self) -> Result<&Tokens> {
        let made = self
            .guard
            .get_or_try_init(|| self.user("nobodys-guard", "/nothing", "/nothing"));
        made.await
    }

    /// The camera's URL of a path, with credentials.
    pub fn upstream(&self, path: &str) -> String {
        self.camera
            .url(path)
            .replace("rtsp://", &format!("rtsp://{USER}:{PASSWORD}@"))
    }

    /// Makes a route at the first entry, from a path that ends with `name` to the camera's `h264`, and a user of that name
    /// who may watch it. Has it pulled from both entries. Gives the stream's path and the user's tokens.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn stream(&self, name: &str) -> Result<(String, Tokens)> {
        let path = format!("/ids/{name}");
        self.save("routes", json!({"pattern": path, "url": self.upstream("h264")}))
            .await?;
        let tokens = self.user(name, "", &path).await?;
        self.runs(&path).await?;
        Ok((path, tokens))
    }

    /// Has a stream pulled, and waits until both entries have it.
    ///
    /// # Errors
    /// When one does not.
    pub async fn runs(&self, path: &str) -> Result<()> {
        for entry in self.entries() {
            let file = format!("/streams{path}.flv?token={}", self.token);
            // A node may hear of a route a little later than the API.
            eventually(secs(20), &format!("{path} to run"), async || {
                let reply = self.call(entry, Method::HEAD, &file, "").await?;
                ensure!(reply.status == 200, "{reply:?}");
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// Closes a stream of `stream`, and takes its route and user away.
    ///
    /// # Errors
    /// When that is refused.
    pub async fn close(&self, name: &str) -> Result<()> {
        self.delete(&format!("routes/ids/{name}")).await?;
        self.delete(&format!("streams/ids/{name}")).await?;
        self.delete(&format!("users/{name}")).await
    }

    /// Watches by HTTP-FLV; it has begun when this returns.
    ///
    /// # Errors
    /// When nothing comes.
    pub async fn watch(&self, entry: &Entry, path: &str, token: &str) -> Result<Viewer> {
        let url = entry.http(&format!("/streams{path}.flv?token={token}"));
        let client = tls::client()?.build()?;
        let reply = client.get(&url).send().await?;
        ensure!(reply.status() == 200, "{url}: {}", reply.status());
        let mut body = reply.bytes_stream();
        let first: Bytes = tokio::time::timeout(secs(20), body.next())
            .await
            .context("nothing comes")?
            .context("it ends at once")??;
        ensure!(
            first.starts_with(b"FLV\x01"),
            "{:x?}",
            &first[..first.len().min(16)]
        );
        let reading = tokio::spawn(async move {
            let mut bytes = 0;
            while let Some(Ok(more)) = body.next().await {
                bytes += more.len() as u64;
            }
            bytes
        });
        Ok(Viewer { reading })
    }

    /// Waits until a stream has so many consumers as the entry tells, and gives it.
    ///
    /// # Errors
    /// When it has not.
    pub async fn consumers(&self, entry: &Entry, path: &str, count: usize) -> Result<Value> {
        let what = format!("{path} to have {count} consumers");
        eventually(secs(15), &what, async || {
            let stream = self.told(entry, &format!("streams{path}?c=1")).await?;
            ensure!(stream["cc"] == count, "{stream}");
            Ok(stream)
        })
        .await
    }

    /// Asserts that the one consumer of a stream is of that kind, as told at both entries.
    ///
    /// # Errors
    /// What it is instead.
    pub async fn only_consumer(&self, path: &str, kind: &str, extra: &str) -> Result<()> {
        for entry in self.entries() {
            let stream = self.consumers(entry, path, 1).await?;
            let consumer = &stream["cs"][0];
            let text = consumer["extra"].as_str().unwrap_or_default();
            ensure!(
                consumer["packet_type"] == kind && text.starts_with(extra),
                "not {kind} {extra}: {stream}"
            );
            let flv = consumer["id"].as_u64().unwrap_or_default() >> 30;
            ensure!(flv == u64::from(kind == "FLV"), "{stream}");
        }
        Ok(())
    }

    /// Tokens that open nothing, as parameters of a query.
    ///
    /// # Errors
    /// When the guard can't log in.
    pub async fn wrong_tokens(&self) -> Result<Vec<String>> {
        Ok(vec![
            String::new(),
            "token=".to_owned(),
            "token=0123456789abcdef0123456789abcdef".to_owned(),
            format!("token={}", self.guard().await?.refresh),
        ])
    }

    /// Asserts that a call is for those who are logged in.
    ///
    /// # Errors
    /// Who is let in.
    pub async fn needs_token(&self, method: Method, path: &str, body: &str) -> Result<()> {
        for entry in self.entries() {
            for wrong in self.wrong_tokens().await? {
                let path = with(&format!("/api/v1/{path}"), &wrong);
                let reply = self.call(entry, method.clone(), &path, body).await?;
                reply.is(401, "Token is not valid")?;
            }
        }
        Ok(())
    }

    /// Asserts that a call is for administrators.
    ///
    /// # Errors
    /// Who is let in.
    pub async fn needs_admin(&self, method: Method, path: &str, body: &str) -> Result<()> {
        self.needs_token(method.clone(), path, body).await?;
        let guard = &self.guard().await?.access;
        for entry in self.entries() {
            let path = with(&format!("/api/v1/{path}"), &format!("token={guard}"));
            let reply = self.call(entry, method.clone(), &path, body).await?;
            reply.is(403, "访问被拒绝，请用管理员登录")?;
        }
        Ok(())
    }

    /// Asserts that media is for those with the right to pull it; `path` is that of the URL. Who has none is not told
    /// whether there is such a stream.
    ///
    /// # Errors
    /// Who is let in.
    pub async fn needs_pull(&self, path: &str) -> Result<()> {
        let guard = &self.guard().await?.access;
        for entry in self.entries() {
            for wrong in self.wrong_tokens().await? {
                self.get(entry, &with(path, &wrong))
                    .await?
                    .is(401, "Token is not valid")?;
            }
            let path = with(path, &format!("token={guard}"));
            self.get(entry, &path).await?.is(403, "Forbidden")?;
        }
        Ok(())
    }

    /// Asserts the same of a WebSocket: it is refused before it opens.
    ///
    /// # Errors
    /// Who is let in.
    pub async fn socket_needs_pull(&self, path: &str, sub_protocol: Option<&str>) -> Result<()> {
        let guard = format!("token={}", self.guard().await?.access);
        let mut wrong: Vec<_> = self
            .wrong_tokens()
            .await?
            .into_iter()
            .map(|w| (w, "401"))
            .collect();
        wrong.push((guard, "403"));
        for entry in self.entries() {
            for (parameter, status) in &wrong {
                let url = entry.ws(&with(path, parameter));
                match Socket::open(&url, sub_protocol).await {
                    Ok(_) => bail!("{url} opens, not {status}"),
                    Err(refused) => ensure!(format!("{refused:#}").contains(status), "{url}: {refused:#}"),
                }
            }
        }
        Ok(())
    }

    /// Whether `text` is a token's.
    pub fn is_token(text: &str) -> bool {
        text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    }

    /// How often the camera was dialled for a path of its own.
    pub fn dialled(&self, path: &str) -> usize {
        self.camera.log().matches(&format!(" plays {path} ")).count()
    }
}
