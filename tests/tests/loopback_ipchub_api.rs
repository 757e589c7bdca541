//! The documented HTTP API of ipchub, on the real program: accounts, routes, streams, counters.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::Command;
use weir_tests::{
    Context, Result,
    camera::{self, Auth, Camera, Make, PASSWORD, USER},
    ensure, eventually,
    manifest::publish_camera,
    media_node::MediaNode,
    player,
    process::Process,
    setup,
    wait::secs,
};

/// A node, and the token of its administrator.
struct Api {
    node: MediaNode,
    token: String,
}

impl Api {
    async fn of(node: MediaNode) -> Result<Self> {
        let token = node.login().await?.access;
        Ok(Self { node, token })
    }

    /// Status and body; `path` is what follows `/api/v1/`.
    async fn call(&self, method: Method, path: &str, body: &str) -> Result<(u16, String)> {
        let mark = if path.contains('?') { '&' } else { '?' };
        let path = format!("/api/v1/{path}{mark}token={}", self.token);
        let (status, text) = self.node.call(method, &path, body).await?;
        Ok((status.as_u16(), text))
    }

    async fn get(&self, path: &str) -> Result<Value> {
        let (status, text) = self.call(Method::GET, path, "").await?;
        ensure!(status == 200, "GET {path}: {status} {text}");
        Ok(serde_json::from_str(&text)?)
    }

    async fn done(&self, method: Method, path: &str, body: &Value) -> Result<()> {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let (status, text) = self.call(method.clone(), path, &body).await?;
        ensure!(
            status == 200 && text.is_empty(),
            "{method} {path}: {status} {text}"
        );
        Ok(())
    }

    async fn save(&self, what: &str, body: Value) -> Result<()> {
        self.done(Method::POST, what, &body).await
    }

    async fn delete(&self, path: &str) -> Result<()> {
        self.done(Method::DELETE, path, &Value::Null).await
    }

    /// Waits until the stream has so many consumers, and gives it.
    async fn consumers(&self, path: &str, count: usize) -> Result<Value> {
        eventually(
            secs(20),
            &format!("{path} to have {count} consumers"),
            async || {
                let stream = self.get(&format!("streams/{path}?c=1")).await?;
                ensure!(stream["cc"] == count, "{stream}");
                Ok(stream)
            },
        )
        .await
    }
}

async fn protected() -> Result<Api> {
    let node = MediaNode::standalone()
        .protected()
        .file_camera("door", "h264_aac.mp4", "")
        .start()
        .await?;
    node.until_ready("door").await?;
    Api::of(node).await
}

/// A viewer that reads what it gets, until that ends.
fn viewer(url: &str, options: &[&str]) -> Result<Process> {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error", "-nostdin"]);
    command.args(options).args(["-i", url, "-f", "null", "-"]);
    Process::start("viewer", &mut command)
}

#[tokio::test]
async fn ipchub_users() -> Result<()> {
    let api = protected().await?;
    let guard = json!({"name": "Guard", "password": "canary-guard-2wQ", "pull": "/door"});
    api.save("users", guard).await?;
    let list = api.get("users").await?;
    ensure!(
        list == json!({"total": 2, "next_page_token": "guard", "users": [
            {"name": "admin", "admin": true, "push": "*", "pull": "*"},
            {"name": "guard", "admin": false, "push": "", "pull": "/door"}]}),
        "{list}"
    );
    // What they may do is so at once, and no longer than it is so.
    let token = api.node.login_as("guard", "canary-guard-2wQ").await?.access;
    let playlist = format!("/streams/door.m3u8?token={token}");
    for n in 0..3 {
        for (pull, status) in [("/yard", 403), ("*", 200), ("", 403), ("/door", 200)] {
            api.save("users", json!({"name": "guard", "pull": pull})).await?;
            let (found, text) = api.node.text(&playlist).await?;
            ensure!(found == status, "{n}: {pull:?}: {found} {text}");
        }
    }
    for (method, path) in [
        (Method::GET, "users"),
        (Method::GET, "routes"),
        (Method::DELETE, "streams/door"),
    ] {
        let (status, text) = api
            .node
            .call(method.clone(), &format!("/api/v1/{path}?token={token}"), "")
            .await?;
        ensure!(status == 403, "{method} {path}: {status} {text}");
    }
    // RTSP knows them too, by the password and by its MD5.
    let rtsp = api.node.rtsp("door");
    let url = rtsp.replace("rtsp://", "rtsp://guard:canary-guard-2wQ@");
    player::probe_rtsp(&url, "tcp", 1.0).await?.stream("video")?;

    // A change is kept before it is answered: a power cut takes nothing away.
    api.save(
        "users",
        json!({"name": "late", "password": "canary-late-9Zk", "pull": "*"}),
    )
    .await?;
    let folder = api.node.crash().await?;
    let node = MediaNode::standalone().protected().start_in(folder).await?;
    let api = Api::of(node).await?;
    api.node.login_as("late", "canary-late-9Zk").await?;
    for _ in 0..2 {
        api.delete("users/LATE").await?;
    }
    ensure!(
        api.node.login_as("late", "canary-late-9Zk").await.is_err(),
        "still there"
    );
    let (status, _) = api.call(Method::GET, "users/late", "").await?;
    ensure!(status == 404, "{status}");
    let log = api.node.log();
    ensure!(!log.contains("canary-"), "a password in the log");
    Ok(())
}

#[tokio::test]
async fn ipchub_routes() -> Result<()> {
    let source = Camera::start(Make::Go, Auth::Digest).await?;
    let api = Api::of(MediaNode::standalone().start().await?).await?;
    let with_credentials = |path: &str| {
        source
            .url(path)
            .replace("rtsp://", &format!("rtsp://{USER}:{PASSWORD}@"))
    };
    let exact = with_credentials("other");
    let folder = with_credentials("").trim_end_matches('/').to_owned();
    api.save("routes", json!({"pattern": "HR/", "url": folder}))
        .await?;
    // The first viewer comes at once.
    player::probe_rtsp(&api.node.rtsp("hr/h264"), "tcp", 1.0)
        .await?
        .stream("video")?;
    api.save(
        "routes",
        json!({"pattern": "/hr/Gate", "url": exact, "keepalive": true}),
    )
    .await?;
    ensure!(
        api.get("routes").await?
            == json!({"total": 2, "next_page_token": "/hr/gate", "routes": [
                {"pattern": "/hr/", "url": folder, "keepalive": false},
                {"pattern": "/hr/gate", "url": exact, "keepalive": true}]}),
        "{}",
        api.get("routes").await?
    );
    player::probe(&api.node.http("/streams/hr/gate.flv"), &[], 1.0)
        .await?
        .stream("video")?;
    let stream = api.get("streams/hr/gate").await?;
    ensure!(stream["addr"] == source.url("other"), "{stream}");
    ensure!(
        (&stream["video"]["width"], &stream["video"]["height"]) == (&json!(640), &json!(480)),
        "the exact pattern wins: {stream}"
    );
    for (path, why) in [
        ("hr", "the folder itself"),
        ("hr/none", "unknown upstream"),
        ("yard", "no pattern"),
    ] {
        let (status, _) = api.node.text(&format!("/streams/{path}.flv")).await?;
        ensure!(status == 404, "{why}: {status}");
    }

    // A running stream outlives its route; a closed one comes back by its route alone.
    let watching = viewer(&api.node.http("/streams/hr/gate.flv"), &[])?;
    api.consumers("hr/gate", 1).await?;
    api.delete("routes/hr/gate").await?;
    api.consumers("hr/gate", 1).await?;
    api.delete("streams/hr/gate").await?;
    let mut watching = watching;
    watching.ended(secs(10)).await?;
    let (status, _) = api.call(Method::GET, "streams/hr/gate", "").await?;
    ensure!(status == 404, "it runs on: {status}");
    // The longer pattern is gone, so the folder's counts: there is no `gate` at that source.
    let (status, _) = api.node.text("/streams/hr/gate.flv").await?;
    ensure!(status == 404, "{status}");

    // Both kinds of file are there after a power cut, and the Secret is nobody else's.
    let manifests = api.node.folder().join("manifests");
    let secrets: Vec<_> = std::fs::read_dir(&manifests)?
        .flatten()
        .filter(|f| f.file_name().to_string_lossy().starts_with("secret-"))
        .collect();
    ensure!(secrets.len() == 1, "{secrets:?}");
    let mode = std::os::unix::fs::MetadataExt::mode(&secrets[0].metadata()?);
    ensure!(mode & 0o777 == 0o600, "{mode:o}");
    let log = api.node.log();
    ensure!(!log.contains(PASSWORD), "the password is in the log");
    let node = MediaNode::standalone().start_in(api.node.crash().await?).await?;
    let api = Api::of(node).await?;
    ensure!(api.get("routes/hr/").await?["url"] == folder, "the route is lost");
    player::probe_rtsp(&api.node.rtsp("hr/h264"), "tcp", 1.0)
        .await?
        .stream("video")?;
    api.delete("routes/hr/").await?;
    let left: Vec<_> = std::fs::read_dir(&manifests)?
        .flatten()
        .map(|f| f.file_name())
        .filter(|name| name.to_string_lossy().contains("route-"))
        .collect();
    ensure!(left.is_empty(), "{left:?}");
    Ok(())
}

#[tokio::test]
async fn ipchub_streams_and_runtime() -> Result<()> {
    let clip = setup::clip("h264_aac.mp4").await?;
    let node = MediaNode::standalone()
        .protected()
        .manifest("gate.yaml", publish_camera("gate", ""))
        .start()
        .await?;
    let api = Api::of(node).await?;
    let token = &api.token;
    let before = api.get("runtime").await?;
    let push = format!("{}?token={token}", api.node.rtsp("gate"));
    let mut publisher = camera::publish(&clip, &push, "tcp")?;
    eventually(secs(20), "the stream to be pushed", async || {
        api.get("streams/gate").await.map(drop)
    })
    .await?;
    let list = api.get("streams").await?;
    let stream = &list["streams"][0];
    ensure!(
        list["total"] == 1 && stream["cs"].is_null() && stream["cc"] == 0,
        "{list}"
    );
    let address = stream["addr"].as_str().unwrap_or_default();
    ensure!(
        address.starts_with("127.0.0.1:"),
        "the publisher's address: {stream}"
    );

    let query = format!("?token={token}");
    let tcp = ["-rtsp_transport", "tcp"];
    let udp = ["-rtsp_transport", "udp"];
    let mut viewers = vec![
        viewer(&format!("{}{query}", api.node.rtsp("gate")), &tcp)?,
        viewer(&format!("{}{query}", api.node.rtsp("gate")), &udp)?,
        viewer(&api.node.http(&format!("/streams/gate.flv{query}")), &[])?,
    ];
    let url = api.node.ws(&format!("/streams/gate.flv{query}"));
    let socket = tokio::spawn(async move { player::web_socket(&url, secs(60)).await });
    // Readers of HLS are nowhere counted.
    api.node.text(&format!("/streams/gate.m3u8{query}")).await?;
    let stream = api.consumers("gate", 4).await?;
    let consumers = stream["cs"].as_array().context("consumers")?;
    let kinds: Vec<_> = consumers.iter().map(|c| c["packet_type"].clone()).collect();
    ensure!(kinds == ["RTP", "RTP", "FLV", "FLV"], "{stream}");
    let find = |extra: &str| {
        let of = |c: &&Value| c["extra"].as_str().is_some_and(|e| e.starts_with(extra));
        let found = consumers
            .iter()
            .find(of)
            .with_context(|| format!("{extra} in {stream}"));
        found.map(|c| c["id"].as_u64().unwrap_or_default())
    };
    for extra in [
        "net=rtsp-tcp",
        "net=rtsp-udp",
        "net=http-flv,127.0.0.1:",
        "net=websocket-flv,127.0.0.1:",
    ] {
        find(extra)?;
    }
    let runtime = api.get("runtime").await?;
    ensure!(
        runtime["streams"] == json!({"sources": 1, "consumers": 4, "sc": 1, "cc": 4}),
        "{runtime}"
    );
    let rise = |now: &Value, family: &str, count: &str| {
        now[family][count].as_u64().unwrap_or(0) - before[family][count].as_u64().unwrap_or(0)
    };
    ensure!(
        rise(&runtime, "rtsp", "active") == 3 && rise(&runtime, "flv", "active") == 2,
        "two players and a publisher, two of FLV: {runtime}"
    );
    ensure!(runtime["proc"]["priv"].as_u64() > Some(1000), "{runtime}");

    // One goes, and the others stay.
    for extra in ["net=rtsp-tcp", "net=websocket-flv"] {
        let cid = find(extra)?;
        api.delete(&format!("streams/Gate:consumer?cid={cid}")).await?;
        api.delete(&format!("streams/gate:consumer?cid={cid}")).await?;
    }
    viewers.remove(0).ended(secs(10)).await?;
    tokio::time::timeout(secs(10), socket).await???;
    let stream = api.consumers("gate", 2).await?;
    ensure!(
        stream["cs"][0]["extra"] == "net=rtsp-udp" && stream["cs"][1]["packet_type"] == "FLV",
        "{stream}"
    );
    let (status, text) = api
        .call(Method::DELETE, "streams/gate:consumer?cid=x", "")
        .await?;
    ensure!(
        status == 500 && text == "strconv.ParseInt: parsing \"x\": invalid syntax\n",
        "{status} {text}"
    );

    // All of it ends, its publisher too.
    api.delete("streams/Gate").await?;
    eventually(secs(1), "the stream to be gone", async || {
        let list = api.get("streams").await?;
        ensure!(list["total"] == 0, "{list}");
        Ok(())
    })
    .await?;
    publisher.ended(secs(20)).await?;
    for mut viewer in viewers {
        viewer.ended(secs(30)).await?;
    }
    api.delete("streams/gate").await?;
    eventually(secs(20), "the counters to fall", async || {
        let now = api.get("runtime").await?;
        for family in ["rtsp", "flv"] {
            ensure!(rise(&now, family, "active") == 0, "{now}");
        }
        ensure!(
            rise(&now, "rtsp", "total") >= 3 && rise(&now, "flv", "total") == 2,
            "{now}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn pages_of_other_origins() -> Result<()> {
    let api = protected().await?;
    for prefix in ["api", "streams"] {
        for path in ["crossdomain.xml", "v1/x/crossdomain.xml"] {
            let reply = api.node.get(&format!("/{prefix}/{path}")).await?;
            ensure!(reply.status() == 200, "{prefix}/{path}: {}", reply.status());
            ensure!(
                reply.headers()["content-type"] == "application/xml",
                "{prefix}/{path}"
            );
            let text = reply.text().await?;
            ensure!(text.contains("allow-access-from domain=\"*\""), "{text}");
        }
        let client = reqwest::Client::builder().no_proxy().build()?;
        let url = api.node.http(&format!("/{prefix}/v1/users"));
        let reply = client.request(Method::OPTIONS, url).send().await?;
        ensure!(reply.status() == 204, "OPTIONS: {}", reply.status());
        for (name, value) in [
            ("access-control-allow-origin", "*"),
            ("access-control-allow-methods", "GET, POST, DELETE, OPTIONS"),
            ("access-control-allow-headers", "*, Content-Type"),
        ] {
            ensure!(reply.headers()[name] == value, "{name}: {:?}", reply.headers());
        }
    }
    let token = &api.token;
    for (path, status) in [
        ("/api/v1/users", 401),
        ("/api/v1/nothing", 401),
        (&format!("/api/v1/nothing?token={token}"), 404),
        ("/streams/door.flv", 401),
        (&format!("/streams/none.flv?token={token}"), 404),
        ("/api/v1/server", 200),
        ("/api/openapi.json", 200),
    ] {
        let reply = api.node.get(path).await?;
        ensure!(reply.status() == status, "{path}: {}", reply.status());
        ensure!(reply.headers()["access-control-allow-origin"] == "*", "{path}");
    }
    let described: Value = serde_json::from_str(&api.node.text("/api/openapi.json").await?.1)?;
    ensure!(
        described["paths"]["/api/v1/users"]["post"]["operationId"] == "ipchub.users.save",
        "{described}"
    );
    Ok(())
}
