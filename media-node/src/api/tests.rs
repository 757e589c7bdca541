//! The APIs as a client sees them, with accounts in a SQLite file and made-up streams and cameras.

mod pool;
mod recorder;
mod routes;
mod users;

use super::{
    Api, Audio, Camera, CameraDirectory, CameraForwarding, CameraTrack, Consumer, ConsumerId, ConsumerKind,
    Endpoints, FrameRate, Readiness, Server, SessionCount, SessionCounts, Stream, StreamDirectory, Survey,
    Video, clean_paths, router,
};
use crate::auth::{AdminFiles, Auth, RelaySecret, Settings};
use crate::cluster::folder::Folder;
use crate::cluster::resource::{Secrets, Specs};
use crate::hub::Hub;
use crate::record::{Playback, Snapshots};
use crate::store::sql::accounts::User;
use crate::store::sql::{Database, Location};
use crate::worker::Workers;
use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use tower::ServiceExt;
use weir_proto::media::StreamPath;

const PASSWORD: &str = "lang und breit";
const LOGIN_FIELDS: &str = "未提供用户名或密码\n";
const LOGIN_WRONG: &str = "用户名或密码错误\n";
const ADMIN_ONLY: &str = "访问被拒绝，请用管理员登录\n";
const BAD_TOKEN: &str = "Token is not valid\n";
const NOT_FOUND: &str = "404 page not found\n";

struct MadeUp {
    streams: Vec<Stream>,
    cameras: Vec<Camera>,
    /// What was closed: a path, or a path and a consumer.
    closed: Mutex<Vec<(String, Option<ConsumerId>)>>,
}

const SESSIONS: SessionCounts = SessionCounts {
    rtsp: SessionCount { total: 9, active: 4 },
    flv: SessionCount { total: 3, active: 1 },
    wsp: SessionCount { total: 1, active: 0 },
    rtmp: SessionCount { total: 0, active: 0 },
};

#[async_trait]
impl StreamDirectory for MadeUp {
    async fn survey(&self) -> Survey {
        Survey {
            streams: self.streams.clone(),
            sessions: SESSIONS,
        }
    }

    async fn stream(&self, path: &StreamPath) -> Option<Stream> {
        self.streams.iter().find(|stream| stream.path == *path).cloned()
    }

    async fn close(&self, path: &StreamPath) {
        self.closed.lock().push((path.to_string(), None));
    }

    async fn close_consumer(&self, path: &StreamPath, consumer: ConsumerId) {
        self.closed.lock().push((path.to_string(), Some(consumer)));
    }
}

#[async_trait]
impl CameraDirectory for MadeUp {
    async fn cameras(&self) -> Vec<Camera> {
        self.cameras.clone()
    }
}

struct World {
    folder: TempDir,
    store: Database,
    auth: Arc<Auth>,
    directory: Arc<MadeUp>,
    manifests: Folder,
    resources: crate::cluster::resource::World,
    readiness: Arc<Readiness>,
    router: Router,
}

/// A reply, read to its end.
struct Reply {
    status: u16,
    head: Response<()>,
    body: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    fn header(&self, name: &str) -> &str {
        self.head
            .headers()
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Status and body.
    #[track_caller]
    fn is(&self, status: u16, body: &str) -> &Self {
        assert_eq!((self.status, self.body.as_str()), (status, body));
        self
    }
}

async fn world_with(streams: Vec<Stream>, cameras: Vec<Camera>, anonymous_view: bool) -> World {
    let on_folder = |folder: Folder| -> (Arc<dyn Specs>, Arc<dyn Secrets>) {
        (Arc::new(folder.clone()), Arc::new(folder))
    };
    world_on(streams, cameras, anonymous_view, on_folder).await
}

/// `resources_on` makes the ways to write and read resources of a folder of manifests.
async fn world_on(
    streams: Vec<Stream>,
    cameras: Vec<Camera>,
    anonymous_view: bool,
    resources_on: impl FnOnce(Folder) -> (Arc<dyn Specs>, Arc<dyn Secrets>),
) -> World {
    let folder = tempfile::tempdir().unwrap();
    let store = Database::open(&Location::Sqlite(folder.path().join("weir.db")))
        .await
        .unwrap();
    let auth = Auth::new(
        store.clone(),
        Settings {
            anonymous_view,
            relay: RelaySecret::random(),
        },
    );
    let file = folder.path().join("password");
    std::fs::write(&file, PASSWORD).unwrap();
    auth.bootstrap(Some(AdminFiles {
        password: &file,
        username: None,
    }))
    .await
    .unwrap();
    // The guard's password is the administrator's.
    let admin = store.user("admin").await.unwrap().unwrap();
    let guard = User {
        name: "guard".into(),
        admin: false,
        push: String::new(),
        pull: "/gate/*".into(),
        ..admin
    };
    store.save_user(&guard).await.unwrap();
    let readiness = Readiness::new();
    let directory = Arc::new(MadeUp {
        streams,
        cameras,
        closed: Mutex::default(),
    });
    let dir = folder.path().join("manifests");
    std::fs::create_dir(&dir).unwrap();
    let (resources, manifests) = Folder::open(dir).await.unwrap();
    let (specs, secrets) = resources_on(manifests.clone());
    let router = router(Api {
        auth: auth.clone(),
        streams: directory.clone(),
        cameras: directory.clone(),
        specs,
        secrets,
        readiness: readiness.clone(),
        metrics: Arc::new(|| "weir_up 1\n".into()),
        endpoints: Endpoints {
            rtsp: 1554,
            http: 8080,
            rtmp: 1935,
            tls: true,
        },
        server: Server::new(),
        archive: crate::api::Archive {
            playback: Playback::new(store.clone(), tokio::sync::watch::channel(None).1),
            snapshots: Snapshots::new(Hub::new(), Workers::new(None)),
            runs: Arc::new(|_| false),
            camera_of: Arc::new(|_| None),
            path_of: Arc::new(|_| None),
        },
        recorder: recorder::parts(store.clone()),
    });
    World {
        folder,
        store,
        auth,
        directory,
        manifests,
        resources,
        readiness,
        router: clean_paths(router),
    }
}

async fn world() -> World {
    world_with(Vec::new(), Vec::new(), false).await
}

impl World {
    async fn send(&self, request: Request<Body>) -> Reply {
        let (mut parts, body) = request.into_parts();
        let peer: SocketAddr = ([192, 0, 2, 7], 40_000).into();
        parts.extensions.insert(ConnectInfo(peer));
        let response = self
            .router
            .clone()
            .oneshot(Request::from_parts(parts, body))
            .await
            .unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        Reply {
            status: parts.status.as_u16(),
            head: Response::from_parts(parts, ()),
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    async fn ask(&self, method: &str, uri: &str) -> Reply {
        self.send(
            Request::builder()
                .method(method)
                .uri(uri)
                .body(Body::empty())
                .unwrap(),
        )
        .await
    }

    async fn get(&self, uri: &str) -> Reply {
        self.ask("GET", uri).await
    }

    async fn post(&self, uri: &str, body: impl Into<Body>) -> Reply {
        self.send(Request::post(uri).body(body.into()).unwrap()).await
    }

    async fn login(&self, body: impl Into<Body>) -> Reply {
        self.send(Request::post("/api/v1/login").body(body.into()).unwrap())
            .await
    }

    /// Access and refresh token.
    async fn tokens(&self, name: &str) -> (String, String) {
        let reply = self
            .login(json!({"username": name, "password": PASSWORD}).to_string())
            .await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        pair(&reply)
    }

    async fn token(&self, name: &str) -> String {
        self.tokens(name).await.0
    }
}

fn pair(reply: &Reply) -> (String, String) {
    let json = reply.json();
    let text = |key: &str| json[key].as_str().unwrap().to_owned();
    (text("access_token"), text("refresh_token"))
}

fn stream(path: &str) -> Stream {
    Stream {
        path: StreamPath::parse(path).unwrap(),
        hops: 0,
        started: SystemTime::UNIX_EPOCH + Duration::new(1_772_449_372, 922_257_717),
        provider: "rtsp://10.0.0.9:554/live2".into(),
        received_bytes: 616 * 1024 + 1023,
        video: Some(Video {
            codec: "H264".into(),
            width: Some(640),
            height: Some(360),
            frame_rate: Some(FrameRate {
                per_second: 25.0,
                fixed: true,
            }),
            data_rate_kbps: Some(600),
            clock_rate_hz: Some(90_000),
        }),
        audio: Some(Audio {
            codec: "AAC".into(),
            sample_rate_hz: Some(44_100),
            channels: Some(2),
            data_rate_kbps: Some(128),
        }),
        consumers: Vec::new(),
    }
}

/// Check list 1.
#[tokio::test]
async fn ipchub_login() {
    let world = world().await;
    let md5 = hex::encode_upper(<md5::Md5 as md5::Digest>::digest(PASSWORD));
    for (name, password) in [("admin", PASSWORD), ("ADMIN", PASSWORD), ("Guard", &md5)] {
        let reply = world
            .login(json!({"username": name, "password": password}).to_string())
            .await;
        let (access, refresh) = pair(&reply);
        assert_eq!(reply.status, 200);
        assert_eq!(
            reply.json(),
            json!({"access_token": access, "refresh_token": refresh})
        );
        for token in [&access, &refresh] {
            assert!(
                token.len() == 32 && token.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')),
                "{token}"
            );
        }
        assert!(
            reply.body.starts_with("{\n\t\"access_token\": \""),
            "{}",
            reply.body
        );
        assert_eq!(reply.header("content-type"), "text/plain; charset=utf-8");
        assert_eq!(
            world
                .get(&format!("/api/v1/streams/none?token={access}"))
                .await
                .status,
            404
        );
    }
    for body in [
        "",
        "rubbish",
        "[]",
        r#"{"username":"admin","password":7}"#,
        "{\"username\":\"admin\"",
    ] {
        let reply = world.login(body).await;
        reply.is(403, LOGIN_FIELDS);
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
    }
    for body in [
        json!({}),
        json!({"username": "admin"}),
        json!({"username": "admin", "password": ""}),
        json!({"username": "", "password": PASSWORD}),
        json!({"username": "nobody", "password": PASSWORD}),
        json!({"username": "admin", "password": "admin"}),
        json!({"username": "admin", "password": PASSWORD.to_uppercase()}),
    ] {
        world.login(body.to_string()).await.is(403, LOGIN_WRONG);
    }
    assert_eq!(world.login("x".repeat(100_000)).await.status, 413);
    world.get("/api/v1/login").await.is(404, NOT_FOUND);
}

#[tokio::test]
async fn guessing_is_refused_after_a_while() {
    let world = world().await;
    let wrong = json!({"username": "admin", "password": "wrong"}).to_string();
    let mut replies = 0;
    let refused = loop {
        let reply = world.login(wrong.clone()).await;
        if reply.status != 403 {
            break reply;
        }
        replies += 1;
        assert!(replies < 100);
    };
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").parse::<u32>().unwrap() > 0);
}

/// Check list 2 and 4, and the order of checks.
#[tokio::test]
async fn who_may_call_what() {
    let world = world_with(vec![stream("gate/a1")], Vec::new(), true).await;
    let (admin, refresh) = world.tokens("admin").await;
    let guard = world.token("guard").await;
    let gone = world.token("guard").await;
    let nobody = "0123456789abcdef0123456789abcdef";
    // Even with anonymous view: the API always needs a token.
    for (method, path) in [
        ("GET", "/api/v1/streams"),
        ("GET", "/api/v1/streams/gate/a1"),
        ("DELETE", "/api/v1/streams/gate/a1"),
        ("GET", "/api/v1/users"),
        ("GET", "/api/v1/nothing"),
        ("POST", "/api/nothing"),
        ("GET", "/api/"),
        ("HEAD", "/api/v1/streams"),
    ] {
        for token in [
            "",
            "?token=",
            "?token=rubbish",
            &format!("?token={nobody}"),
            &format!("?token={refresh}"),
        ] {
            let reply = world.ask(method, &format!("{path}{token}")).await;
            assert_eq!(reply.status, 401, "{method} {path}{token}");
            assert!(
                method == "HEAD" || reply.body == BAD_TOKEN,
                "{method} {path}{token}: {}",
                reply.body
            );
        }
    }
    for (method, path, as_admin, as_guard) in [
        ("GET", "/api/v1/streams", 200, 200),
        ("GET", "/api/v1/streams/Gate/A1", 200, 200),
        ("GET", "/api/v1/streams/none", 404, 404),
        ("DELETE", "/api/v1/streams/none", 200, 403),
        ("DELETE", "/api/v1/streams", 404, 403),
        ("GET", "/api/v1/users", 200, 403),
        ("GET", "/api/v1/routes", 200, 403),
        ("PUT", "/api/v1/users", 404, 403),
        ("DELETE", "/api/v1/routes", 404, 403),
        ("POST", "/api/v1/routes/x", 404, 403),
        ("POST", "/api/v1/streams", 404, 403),
        ("HEAD", "/api/v1/streams", 404, 403),
        ("GET", "/api/v1/nothing", 404, 403),
        ("PUT", "/api/v1/login", 404, 404),
        ("GET", "/api/V1/streams", 404, 404),
        ("GET", "/api/", 404, 403),
    ] {
        for (token, status) in [(&admin, as_admin), (&guard, as_guard)] {
            let reply = world.ask(method, &format!("{path}?token={token}")).await;
            assert_eq!(reply.status, status, "{method} {path}");
            match status {
                403 if method != "HEAD" => assert_eq!(reply.body, ADMIN_ONLY),
                404 if method != "HEAD" => assert_eq!(reply.body, NOT_FOUND),
                _ => {}
            }
        }
    }
    // No token, whatever the case; but only the right case is found.
    assert_eq!(world.get("/api/v1/server").await.status, 200);
    for path in ["/api/V1/server", "/API/v1/Server"] {
        world.get(path).await.is(404, NOT_FOUND);
    }
    // The token of a user who is no more.
    world.store.delete_user("guard").await.unwrap();
    assert_eq!(
        world.get(&format!("/api/v1/streams?token={gone}")).await.status,
        200
    );
    world
        .ask("DELETE", &format!("/api/v1/streams/x?token={gone}"))
        .await
        .is(403, ADMIN_ONLY);
}

/// Check list 3.
#[tokio::test]
async fn ipchub_refreshtoken() {
    let world = world().await;
    let (access, refresh) = world.tokens("guard").await;
    let other = world.token("guard").await;
    let using = |token: &str| format!("/api/v1/streams/none?token={token}");
    let refreshing = |token: &str| format!("/api/v1/refreshtoken?token={token}");
    world.get(&using(&access)).await.is(404, NOT_FOUND);
    world.get(&refreshing(&access)).await.is(401, BAD_TOKEN);
    let reply = world.get(&refreshing(&refresh)).await;
    assert_eq!(reply.status, 200);
    let (new_access, new_refresh) = pair(&reply);
    world.get(&using(&access)).await.is(401, BAD_TOKEN);
    world.get(&refreshing(&refresh)).await.is(401, BAD_TOKEN);
    world.get(&using(&new_access)).await.is(404, NOT_FOUND);
    world.get(&using(&other)).await.is(404, NOT_FOUND);
    world.get("/api/v1/refreshtoken").await.is(401, BAD_TOKEN);
    // Of a user who is no more.
    world.store.delete_user("guard").await.unwrap();
    world.get(&refreshing(&new_refresh)).await.is(401, BAD_TOKEN);
}

#[tokio::test]
async fn ipchub_server() {
    let reply = world().await.get("/api/v1/server").await;
    let server = reply.json();
    assert_eq!(server["vendor"], "CAOHONGJU");
    assert_eq!(server["name"], "ipchub");
    assert_eq!(server["version"], concat!("V", env!("CARGO_PKG_VERSION")));
    let keys: Vec<_> = reply
        .body
        .lines()
        .filter_map(|line| line.split('"').nth(1))
        .collect();
    assert_eq!(
        keys,
        ["vendor", "name", "version", "os", "arch", "start_on", "duration"]
    );
    assert!(
        server.as_object().unwrap().values().all(Value::is_string),
        "{server}"
    );
}

/// The documented example of a list, and one without consumers, audio or known sizes.
#[tokio::test]
async fn ipchub_streams_list_and_get() {
    let consumer = |kind, number, extra: &str, bytes: u64| Consumer {
        id: ConsumerId { kind, pod: 0, number },
        started: SystemTime::UNIX_EPOCH + Duration::new(1_772_449_376, 559_904_812),
        extra: extra.into(),
        queued_bytes: bytes * 1024,
        sent_bytes: bytes * 1024 + 1,
    };
    let consumers = vec![
        consumer(ConsumerKind::Flv, 1, "net=http-flv,10.0.0.20:46060", 417),
        consumer(ConsumerKind::Rtp, 2, "net=rtsp-tcp", 391),
    ];
    let bare = Stream {
        video: Some(Video {
            codec: "VP8".into(),
            ..Video::default()
        }),
        audio: None,
        ..stream("Yard")
    };
    let other_node = Stream {
        consumers: vec![Consumer {
            id: ConsumerId {
                pod: 3,
                ..consumers[0].id
            },
            ..consumers[0].clone()
        }],
        ..stream("hr/door")
    };
    let streams = vec![
        bare,
        other_node,
        Stream {
            consumers,
            ..stream("gate/a1")
        },
    ];
    let world = world_with(streams, Vec::new(), false).await;
    let token = world.token("guard").await;

    let first = json!({
        "start_on": "2026-03-02T11:02:52.922257717Z", "path": "/gate/a1", "addr": "rtsp://10.0.0.9:554/live2", "size": 616,
        "video": {"codec": "H264", "width": 640, "height": 360, "fixedframerate": true, "framerate": 25, "datarate": 600, "clockrate": 90000},
        "audio": {"codec": "AAC", "samplerate": 44100, "samplesize": 16, "channels": 2, "datarate": 128},
        "cc": 2, "cs": [
            {"id": 2, "start_on": "2026-03-02T11:02:56.559904812Z", "packet_type": "RTP", "extra": "net=rtsp-tcp", "flow": {"inbytes": 391, "outbytes": 391}},
            {"id": 1_073_741_825, "start_on": "2026-03-02T11:02:56.559904812Z", "packet_type": "FLV", "extra": "net=http-flv,10.0.0.20:46060", "flow": {"inbytes": 417, "outbytes": 417}} ] });
    let page = world
        .get(&format!("/api/v1/streams?c=1&page_size=1&token={token}"))
        .await
        .json();
    assert_eq!(
        page,
        json!({"total": 3, "next_page_token": "/gate/a1", "streams": [first]})
    );

    let one = world
        .get(&format!("/api/v1/streams/GATE%2Fa1?c=1&token={token}"))
        .await;
    assert_eq!((one.status, one.json()), (200, first));
    assert!(one.body.contains("\"framerate\": 25,"), "{}", one.body);
    let yard = world
        .get(&format!("/api/v1/streams//yard/?c=1&token={token}"))
        .await
        .json();
    assert_eq!(
        (&yard["video"], &yard["cc"], &yard["cs"]),
        (&json!({"codec": "VP8"}), &json!(0), &json!([]))
    );
    assert_eq!(yard.get("audio"), None);
    let door = world
        .get(&format!("/api/v1/streams/hr/door?c=2&token={token}"))
        .await
        .json();
    assert_eq!((&door["cc"], door.get("cs")), (&json!(1), None));
    let door = world
        .get(&format!("/api/v1/streams/hr/door?c=1&token={token}"))
        .await
        .json();
    assert_eq!(door["cs"][0]["id"], (1 << 30) + (3 << 22) + 1);

    // Check list 6, as far as streams page.
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let page = world
            .get(&format!(
                "/api/v1/streams?page_size=1&page_token={after}&token={token}"
            ))
            .await
            .json();
        assert_eq!(page["total"], 3);
        let Some(stream) = page["streams"].get(0) else {
            assert_eq!(page["next_page_token"], "");
            break;
        };
        assert_eq!(stream.get("cs"), None);
        assert_eq!(stream["path"], page["next_page_token"]);
        after = page["next_page_token"].as_str().unwrap().replace('/', "%2F");
        seen.push(stream["path"].as_str().unwrap().to_owned());
    }
    assert_eq!(seen, ["/gate/a1", "/hr/door", "/yard"]);
    let page = world
        .get(&format!("/api/v1/streams?page_size=0&token={token}"))
        .await
        .json();
    assert_eq!(page, json!({"total": 3, "next_page_token": "", "streams": []}));
    for (size, text) in [
        ("abc", "strconv.Atoi: parsing \"abc\": invalid syntax\n"),
        ("-1", "invalid page_size\n"),
    ] {
        world
            .get(&format!("/api/v1/streams?page_size={size}&token={token}"))
            .await
            .is(500, text);
    }
}

/// Check list 11, as far as it is the API's.
#[tokio::test]
async fn ipchub_streams_delete_and_stop_consumer() {
    let world = world_with(vec![stream("gate/a1")], Vec::new(), false).await;
    let token = world.token("admin").await;
    let guard = world.token("guard").await;
    let delete = async |path: &str, query: &str, token: &str| {
        let uri = format!("/api/v1/streams/{path}?{query}token={token}");
        world.ask("DELETE", &uri).await
    };
    for path in [
        "gate/a1",
        "Gate/A1",
        "gate%2Fa1/",
        "none",
        "a:b",
        "a:consumers",
        "",
        "x:y/z",
    ] {
        let reply = delete(path, "", &token).await;
        assert_eq!((reply.status, reply.body.as_str()), (200, ""), "{path}");
        assert_eq!(reply.header("content-type"), "");
    }
    delete("gate/a1", "", &guard).await.is(403, ADMIN_ONLY);
    delete("gate/a1:consumer", "cid=1&", &guard)
        .await
        .is(403, ADMIN_ONLY);
    for (cid, text) in [
        ("", "strconv.ParseInt: parsing \"\": invalid syntax\n"),
        ("cid=&", "strconv.ParseInt: parsing \"\": invalid syntax\n"),
        ("cid=abc&", "strconv.ParseInt: parsing \"abc\": invalid syntax\n"),
        (
            "cid=9223372036854775808&",
            "strconv.ParseInt: parsing \"9223372036854775808\": value out of range\n",
        ),
    ] {
        delete("gate/a1:consumer", cid, &token).await.is(500, text);
    }
    for (path, cid) in [
        ("Gate/A1:consumer", "1073741826"),
        ("gate/b:c:consumer", "1"),
        ("gate/a1%3Aconsumer", "4194305"),
        ("none:consumer", "7"),
        ("gate/a1:consumer", "-1"),
        ("gate/a1:consumer", "4294967296"),
        (":consumer", "1"),
    ] {
        delete(path, &format!("cid={cid}&"), &token).await.is(200, "");
    }
    let id = |kind, pod, number| Some(ConsumerId { kind, pod, number });
    let closed = [
        ("gate/a1", None),
        ("gate/a1", None),
        ("gate/a1", None),
        ("none", None),
        ("a:b", None),
        ("a:consumers", None),
        ("x:y/z", None),
        ("gate/a1", id(ConsumerKind::Flv, 0, 2)),
        ("gate/b:c", id(ConsumerKind::Rtp, 0, 1)),
        ("gate/a1", id(ConsumerKind::Rtp, 1, 1)),
        ("none", id(ConsumerKind::Rtp, 0, 7)),
    ];
    let closed = closed.map(|(path, id)| (path.to_owned(), id));
    assert_eq!(*world.directory.closed.lock(), closed);
}

#[tokio::test]
async fn ipchub_runtime() {
    let consumer = |number| Consumer {
        id: ConsumerId {
            kind: ConsumerKind::Rtp,
            pod: 0,
            number,
        },
        started: SystemTime::UNIX_EPOCH,
        extra: String::new(),
        queued_bytes: 0,
        sent_bytes: 0,
    };
    let watched = Stream {
        consumers: vec![consumer(1), consumer(2)],
        ..stream("gate/a1")
    };
    let world = world_with(vec![watched, stream("yard")], Vec::new(), false).await;
    for query in ["", "?extra=0", "?extra=", "?extra=yes", "?extra=2"] {
        let reply = world.get(&format!("/api/v1/runtime{query}")).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.json().get("extra"), None, "{query}");
    }
    let runtime = world.get("/api/v1/runtime?extra=%201").await.json();
    assert_eq!(
        runtime["streams"],
        json!({"sources": 2, "consumers": 2, "sc": 2, "cc": 2})
    );
    for (family, total, active) in [("rtsp", 9, 4), ("flv", 3, 1), ("wsp", 1, 0), ("rtmp", 0, 0)] {
        assert_eq!(
            runtime[family],
            json!({"total": total, "active": active}),
            "{family}"
        );
    }
    let proc = &runtime["proc"];
    assert!(proc["cpu"].is_f64() && proc["uptime"].is_u64(), "{proc}");
    assert!(
        proc["priv"].as_u64() > Some(1000) && proc["virt"].as_u64() > proc["priv"].as_u64(),
        "{proc}"
    );
    // All that the documented example has.
    let documented = json!({
        "heap": ["inuse", "sys", "alloc", "idle", "released", "objects"], "mcache": ["inuse", "sys"],
        "mspan": ["inuse", "sys"], "stack": ["inuse", "sys"], "gc": ["cpu", "sys"],
        "go": ["count", "procs", "sys", "alloc"]});
    for (group, keys) in documented.as_object().unwrap() {
        for key in keys.as_array().unwrap() {
            let value = &runtime["extra"][group][key.as_str().unwrap()];
            assert!(value.is_number(), "{group}.{key}: {value}");
        }
    }
    assert!(runtime["extra"]["go"]["procs"].as_u64() > Some(0));
    assert!(runtime["on"].as_str().unwrap().ends_with('Z'));
}

#[tokio::test]
async fn a_failure_is_told_with_its_reason() {
    let world = world().await;
    let token = world.token("admin").await;
    let body = json!({"username": "guard", "password": PASSWORD}).to_string();
    // Known from now on, and so let in for a while.
    assert_eq!(
        world.get(&format!("/api/v1/streams?token={token}")).await.status,
        200
    );
    world.store.close().await;
    let reply = world.login(body).await;
    assert_eq!(reply.status, 500);
    assert!(reply.body.contains("is away"), "{}", reply.body);
    for (method, path) in [
        ("GET", "/api/v1/users"),
        ("GET", "/api/v1/users/guard"),
        ("DELETE", "/api/v1/users/guard"),
    ] {
        let reply = world.ask(method, &format!("{path}?token={token}")).await;
        assert_eq!(reply.status, 500, "{method} {path}");
        assert!(reply.body.contains("is away"), "{}", reply.body);
    }
    // Who was not known already can't be told apart now.
    let unknown = "0123456789abcdef0123456789abcdef";
    assert_eq!(
        world
            .get(&format!("/api/v1/streams?token={unknown}"))
            .await
            .status,
        503
    );
}

/// Check list 14, for the API's prefix.
#[tokio::test]
async fn ipchub_preflight_and_crossdomain_api() {
    let world = world_with(vec![stream("gate/a1")], Vec::new(), false).await;
    let token = world.token("admin").await;
    for (path, status) in [
        ("/api/v1/server", 200),
        (&format!("/api/v1/streams?token={token}"), 200),
        ("/api/v1/streams", 401),
        (&format!("/api/v1/streams/none?token={token}"), 404),
        ("/api/weir/v1/cameras", 401),
        ("/api/weir/v1/endpoints", 200),
    ] {
        let reply = world.get(path).await;
        assert_eq!(
            (reply.status, reply.header("access-control-allow-origin")),
            (status, "*"),
            "{path}"
        );
        assert_eq!(reply.header("x-request-id").len(), 16, "{path}");
    }
    for path in ["/api/v1/users", "/api/v1/login", "/api/weir/v1/cameras"] {
        let reply = world.ask("OPTIONS", path).await;
        reply.is(204, "");
        assert_eq!(reply.header("access-control-allow-origin"), "*");
        assert_eq!(
            reply.header("access-control-allow-methods"),
            "GET, POST, DELETE, OPTIONS"
        );
        assert_eq!(reply.header("access-control-allow-headers"), "*, Content-Type");
    }
    for path in ["/api/crossdomain.xml", "/api/v1/users/crossdomain.xml"] {
        let reply = world.get(path).await;
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (200, "application/xml")
        );
        assert!(
            reply.body.contains("allow-access-from domain=\"*\""),
            "{}",
            reply.body
        );
    }
}

#[tokio::test]
async fn unclean_paths_are_cleaned_in_place() {
    let world = world().await;
    let token = world.token("admin").await;
    for path in ["//api//v1/server", "/api/./v1/x/../server", "/api%2fv1%2Fserver"] {
        assert_eq!(world.get(path).await.status, 200, "{path}");
    }
    // What is not found anonymously is not found by a detour.
    for path in [
        "/api/v1/server/../users",
        "/api/v1/login/..%2fusers",
        "/api/v1/login/%2e%2e/users",
    ] {
        world.get(path).await.is(401, BAD_TOKEN);
        let found = world.get(&format!("{path}?token={token}")).await;
        assert_eq!(found.status, 200, "{path}: {}", found.body);
    }
}

#[tokio::test]
async fn cameras_are_listed_for_who_may_view_them() {
    let camera = |namespace: &str, name: &str, path: &str| Camera {
        name: name.into(),
        namespace: namespace.into(),
        path: path.into(),
        display_name: "Gate".into(),
        source: "RTSP".into(),
        node: "media-node-0".into(),
        ready: true,
        reason: "Live".into(),
        message: "pictures arrive".into(),
        codec: "H264".into(),
        size: "1280x720".into(),
        tracks: vec![
            CameraTrack {
                kind: "video",
                codec: "H264".into(),
                width: Some(1280),
                height: Some(720),
            },
            CameraTrack {
                kind: "audio",
                codec: "AAC".into(),
                ..CameraTrack::default()
            },
        ],
        viewers: 3,
        forwarding: Some(CameraForwarding {
            ready: true,
            reason: "Forwarding".into(),
            message: "the stream arrives".into(),
        }),
    };
    let cameras = || {
        vec![
            camera("b", "yard", "Yard"),
            camera("b", "a1", "Gate/A1"),
            camera("a", "z", "gate/z"),
        ]
    };
    let world = world_with(Vec::new(), cameras(), false).await;
    let list = async |world: &World, token: &str| {
        let reply = world.get(&format!("/api/weir/v1/cameras?token={token}")).await;
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (200, "application/json"),
            "{}",
            reply.body
        );
        reply.json()["cameras"].as_array().unwrap().clone()
    };
    let names = |list: &[Value]| {
        list.iter()
            .map(|c| c["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let all = list(&world, &world.token("admin").await).await;
    assert_eq!(names(&all), ["z", "a1", "yard"]);
    let expected = json!({
        "name": "a1", "namespace": "b", "path": "Gate/A1", "displayName": "Gate", "source": "RTSP",
        "node": "media-node-0", "ready": true, "reason": "Live", "message": "pictures arrive", "codec": "H264",
        "size": "1280x720", "viewers": 3, "tracks": [
            {"kind": "video", "codec": "H264", "width": 1280, "height": 720},
            {"kind": "audio", "codec": "AAC"}],
        "forwarding": {"ready": true, "reason": "Forwarding", "message": "the stream arrives"}});
    assert_eq!(all[1], expected);
    let seen = list(&world, &world.token("guard").await).await;
    assert_eq!(names(&seen), ["z", "a1"]);
    assert!(seen.iter().all(|camera| camera["forwarding"].is_null()));
    for token in ["", "?token=", "?token=0123456789abcdef0123456789abcdef"] {
        world
            .get(&format!("/api/weir/v1/cameras{token}"))
            .await
            .is(401, BAD_TOKEN);
    }
    let endpoints = world.get("/api/weir/v1/endpoints").await.json();
    assert_eq!(
        endpoints,
        json!({"rtsp": 1554, "http": 8080, "rtmp": 1935, "tls": true, "anonymousView": false})
    );

    let open = world_with(Vec::new(), cameras(), true).await;
    assert_eq!(names(&list(&open, "").await), ["z", "a1", "yard"]);
    assert_eq!(
        open.get("/api/weir/v1/endpoints").await.json()["anonymousView"],
        true
    );
}

#[tokio::test]
async fn probes_and_metrics() {
    let world = world().await;
    world.get("/healthz").await.is(200, "ok\n");
    world.get("/readyz").await.is(503, "");
    let (store, cluster) = (world.readiness.check("store"), world.readiness.check("cluster"));
    store.pass();
    world
        .get("/readyz")
        .await
        .is(503, "cluster: has not started yet\nstore: ok\n");
    cluster.pass();
    world.get("/readyz").await.is(200, "cluster: ok\nstore: ok\n");
    cluster.fail("the API server does not answer");
    world
        .get("/readyz")
        .await
        .is(503, "cluster: the API server does not answer\nstore: ok\n");
    let metrics = world.get("/metrics").await;
    metrics.is(200, "weir_up 1\n");
    assert!(
        metrics
            .header("content-type")
            .starts_with("text/plain; version=0.0.4")
    );
}

#[tokio::test]
async fn the_page() {
    let world = world().await;
    let page = world.get("/").await;
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, "text/html; charset=utf-8")
    );
    assert!(page.body.starts_with("<!doctype html>"));
    assert!(
        page.header("content-security-policy")
            .starts_with("default-src 'self'; media-src 'self' blob:;")
    );
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    let tag = page.header("etag").to_owned();
    let again = Request::get("/index.html")
        .header("if-none-match", &tag)
        .body(Body::empty())
        .unwrap();
    let again = world.send(again).await;
    again.is(304, "");
    assert_eq!(again.header("etag"), tag);
    let script = world.get("/app.js?x=1").await;
    assert_eq!(
        (script.status, script.header("content-type")),
        (200, "text/javascript; charset=utf-8")
    );
    assert_ne!(script.header("etag"), tag);
    assert_eq!(world.ask("HEAD", "/app.js").await.status, 200);
    for (method, path) in [
        ("GET", "/nothing.js"),
        ("POST", "/"),
        ("GET", "/../Cargo.toml"),
        ("GET", "/vendor"),
    ] {
        world.ask(method, path).await.is(404, NOT_FOUND);
    }
}
