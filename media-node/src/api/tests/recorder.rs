//! The cloud recorder's API, on a folder of manifests and made-up nodes and footage. Its lines are also checked over the network,
//! in `tests/src/recorder`; here is what takes made-up parts.

use super::*;
use crate::api::{
    Footage, FootageError, Image, Node, NodeState, Nodes, Recorder, RecorderSettings, Viewers, VirtualFile,
};
use crate::store::sql::recorder::NewRecording;
use bytes::Bytes;
use futures::stream::BoxStream;
use std::io;
use std::ops::Range;
use weir_crds::Camera as CameraResource;
use weir_recording::SegmentFacts;

const UNION_ID: &str = "b3BhcXVlLXVuaW9u";
/// 2026-01-05 09:00:00 in Shanghai.
const BEGIN_MS: i64 = 1_767_574_800_000;

/// Nodes as the test says they are.
#[derive(Default)]
struct MadeUpNodes(Mutex<Vec<Node>>);

impl Nodes for MadeUpNodes {
    fn nodes(&self) -> Vec<Node> {
        self.0.lock().clone()
    }

    fn node_of(&self, camera: &CameraResource) -> Option<String> {
        camera.spec.node.clone()
    }

    fn time_zone(&self) -> Option<String> {
        Some("Asia/Shanghai".into())
    }
}

/// Footage of which each file has a thousand bytes.
#[derive(Default)]
struct MadeUpFootage {
    deleted: Mutex<Vec<String>>,
    away: Mutex<bool>,
}

struct MadeUpFile;

#[async_trait]
impl VirtualFile for MadeUpFile {
    fn len(&self) -> u64 {
        1000
    }

    fn etag(&self) -> String {
        "one".into()
    }

    fn last_modified(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_hours(490_994)
    }

    async fn read(&self, range: Range<u64>) -> Result<BoxStream<'static, io::Result<Bytes>>, FootageError> {
        let bytes: Vec<u8> = (range.start..range.end).map(|n| b'a' + (n % 26) as u8).collect();
        let pieces: Vec<_> = bytes
            .chunks(7)
            .map(|piece| Ok(Bytes::copy_from_slice(piece)))
            .collect();
        Ok(Box::pin(futures::stream::iter(pieces)))
    }
}

#[async_trait]
impl Footage for MadeUpFootage {
    async fn file(
        &self,
        uid: &str,
        from: i64,
        to: i64,
    ) -> Result<Option<Arc<dyn VirtualFile>>, FootageError> {
        if *self.away.lock() {
            return Err(FootageError::Away("the bucket is away".into()));
        }
        assert!(!uid.is_empty() && from < to);
        Ok(Some(Arc::new(MadeUpFile)))
    }

    async fn image(&self, key: &str) -> Result<Option<Image>, FootageError> {
        Ok(Some(Image {
            bytes: Bytes::from(format!("JPEG {key}")),
            last_modified: SystemTime::UNIX_EPOCH,
        }))
    }

    async fn thumbnail(&self, key: &str, width: u16, height: u16) -> Result<Option<Image>, FootageError> {
        self.image(&format!("{key} {width}x{height}")).await
    }

    fn clear_away(&self) {
        self.deleted.lock().push("some".into());
    }

    async fn forget_camera(&self, _: &str) -> Result<(), FootageError> {
        self.deleted.lock().push("all".into());
        Ok(())
    }
}

pub(super) fn parts(database: Database) -> Recorder {
    parts_of(database, Arc::default(), Arc::default())
}

fn parts_of(database: Database, nodes: Arc<MadeUpNodes>, footage: Arc<MadeUpFootage>) -> Recorder {
    Recorder {
        database,
        nodes,
        footage,
        settings: RecorderSettings::default(),
        viewers: Arc::new(Viewers::default()),
    }
}

struct Studio {
    world: World,
    nodes: Arc<MadeUpNodes>,
    footage: Arc<MadeUpFootage>,
    token: String,
}

fn node(name: &str, state: NodeState) -> Node {
    Node {
        name: name.into(),
        identity: name.into(),
        life: "1".into(),
        address: "10.0.0.7".into(),
        system: "Linux".into(),
        state,
    }
}

impl Studio {
    /// With one node, `node-0`.
    async fn open() -> Self {
        let (nodes, footage) = (Arc::<MadeUpNodes>::default(), Arc::<MadeUpFootage>::default());
        nodes.0.lock().push(node("node-0", NodeState::Ready));
        let mut world = world().await;
        let directory = world.directory.clone();
        let recorder = parts_of(world.store.clone(), nodes.clone(), footage.clone());
        world.router = clean_paths(router(Api {
            auth: world.auth.clone(),
            streams: directory.clone(),
            cameras: directory,
            specs: Arc::new(world.manifests.clone()),
            secrets: Arc::new(world.manifests.clone()),
            readiness: world.readiness.clone(),
            metrics: Arc::new(String::new),
            endpoints: Endpoints {
                rtsp: 1554,
                http: 8080,
                rtmp: 1935,
                tls: false,
            },
            server: Server::new(),
            archive: crate::api::Archive {
                playback: Playback::new(world.store.clone(), tokio::sync::watch::channel(None).1),
                snapshots: Snapshots::new(Hub::new(), Workers::new(None)),
                runs: Arc::new(|_| false),
                camera_of: Arc::new(|_| None),
                path_of: Arc::new(|_| None),
            },
            recorder,
        }));
        let made = world.auth.set_up_recorder("admin", Some(UNION_ID)).await.unwrap();
        assert!(made.is_none());
        let mut studio = Self {
            world,
            nodes,
            footage,
            token: String::new(),
        };
        let told = studio
            .world
            .get(&format!("/api/v1/access_token?unionid={UNION_ID}"))
            .await;
        studio.token = told.json()["token"].as_str().unwrap().to_owned();
        studio
    }

    async fn ask(&self, call: &str) -> Value {
        let and = if call.contains('?') { '&' } else { '?' };
        let reply = self
            .world
            .get(&format!("/api/v1/{call}{and}token={}", self.token))
            .await;
        assert_eq!(reply.status, 200, "{call}: {}", reply.body);
        reply.json()
    }

    #[track_caller]
    fn code(told: &Value) -> i64 {
        told["err_code"].as_i64().unwrap()
    }

    /// A channel that relays `rtsp://192.0.2.1/a`.
    async fn channel(&self) -> i64 {
        let told = self
            .ask("add_camera?gather_id=1&grade_id=1&stream_prop=2&camera_name=C&stream_url=rtsp%3A%2F%2F192.0.2.1%2Fa")
            .await;
        told["camera_id"].as_i64().unwrap_or_else(|| panic!("{told}"))
    }

    async fn uid_of(&self, name: &str) -> String {
        let cameras = self.world.manifests.cameras().await.unwrap();
        let camera = cameras
            .into_iter()
            .find(|c| c.metadata.name.as_deref() == Some(name));
        camera.unwrap().metadata.uid.unwrap()
    }

    async fn record(&self, src: &str, from_ms: i64, to_ms: i64) -> i64 {
        let new = NewRecording {
            file_src: src.into(),
            camera_uid: self.uid_of("camera-1").await,
            node: "node-0".into(),
            schedule_uid: String::new(),
            start_ms: BEGIN_MS + from_ms,
            end_ms: BEGIN_MS + to_ms,
            bytes: 900,
        };
        let store = &self.world.store;
        let id = store.store_recording(&new).await.unwrap().unwrap();
        let mut row = store.recording(id).await.unwrap().unwrap();
        row.bytes = 1000;
        row.image_key = Some(format!("{src}.jpg"));
        assert!(store.measure_recording(&row).await.unwrap());
        id
    }

    fn transmit(told: &Value) -> Value {
        serde_json::from_str(told["transmit"].as_str().unwrap()).unwrap()
    }
}

#[tokio::test]
async fn commands_fare_as_their_node_does() {
    let studio = Studio::open().await;
    let id = studio.channel().await;
    let start = format!("start_camera?camera_id={id}");
    for (state, code) in [
        (NodeState::Ready, 0),
        (NodeState::Starting, 10001),
        (NodeState::Gone, 10002),
    ] {
        studio.nodes.0.lock()[0].state = state;
        let told = studio.ask(&start).await;
        assert_eq!(Studio::code(&told), 0);
        assert_eq!(Studio::transmit(&told)["err_code"], code, "{told}");
        assert_eq!(Studio::transmit(&told)["err_cmd"], 13);
    }
    // A node that is gone stays listed, and takes channels for later.
    studio.nodes.0.lock().clear();
    let told = studio.ask("list_gather").await;
    assert_eq!(
        (&told["total_num"], &told["data"][0]["status"]),
        (&json!(1), &json!(0))
    );
    let other = studio.channel().await;
    assert_eq!(other, id + 1);
    // Of two gathers, the first that fails is told.
    studio.nodes.0.lock().push(node("node-0", NodeState::Ready));
    studio.nodes.0.lock().push(node("node-1", NodeState::Ready));
    let told = studio.ask("list_gather").await;
    assert_eq!(
        (&told["data"][0]["name_pc"], &told["data"][0]["gather_id"]),
        (&json!("node-1"), &json!(2))
    );
    // A camera that is nowhere yet.
    std::fs::write(
        studio.world.folder.path().join("manifests/a.yaml"),
        "apiVersion: weir.video/v1alpha1\nkind: Camera\nmetadata: {name: a}\nspec: {source: {publish: {}}}\n",
    )
    .unwrap();
    let (_, folder) = Folder::open(studio.world.folder.path().join("manifests"))
        .await
        .unwrap();
    assert_eq!(folder.cameras().await.unwrap().len(), 3);
}

#[tokio::test]
async fn credentials_of_addresses_are_in_secrets_alone() {
    let studio = Studio::open().await;
    let told = studio
        .ask("add_camera?gather_id=1&grade_id=0&stream_prop=2&camera_name=C&stream_url=RTSP://u:canary%2540p@192.0.2.1/a")
        .await;
    assert_eq!(Studio::code(&told), 0, "{told}");
    let read = |name: &str| {
        std::fs::read_to_string(studio.world.folder.path().join("manifests").join(name)).unwrap()
    };
    let camera = read("camera-camera-1.yaml");
    assert!(
        !camera.contains("canary") && camera.contains("secretName"),
        "{camera}"
    );
    let told = studio.ask("list_camera").await;
    assert_eq!(told["data"][0]["stream_url"], "RTSP://u:canary%40p@192.0.2.1/a");
    // The former Secret goes with the address.
    let files = || {
        std::fs::read_dir(studio.world.folder.path().join("manifests"))
            .unwrap()
            .count()
    };
    assert_eq!(files(), 2);
    let change = "mod_camera?camera_id=1&camera_name=C&stream_url=rtsp://v:w@192.0.2.1/a";
    assert_eq!(Studio::code(&studio.ask(change).await), 0);
    assert_eq!(files(), 2);
    assert_eq!(
        Studio::code(
            &studio
                .ask("mod_camera?camera_id=1&camera_name=C&stream_url=rtsp://192.0.2.1/a")
                .await
        ),
        0
    );
    assert_eq!(files(), 1);
}

#[tokio::test]
async fn records_are_files_with_ranges() {
    let studio = Studio::open().await;
    studio.channel().await;
    let id = studio.record("one", 0, 2_700_400).await;
    assert_eq!(
        studio.record("one", 0, 2_700_400).await,
        id,
        "told again, it is no second one"
    );
    let told = studio.ask("list_record").await;
    let row = &told["data"][0];
    for (name, value) in [
        ("record_id", json!(id)),
        ("gather_id", json!(1)),
        ("camera_id", json!(1)),
        ("camera_name", json!("C")),
        ("subject_name", json!("语文")),
        ("teacher_id", json!(1)),
        ("file_size", json!("1000")),
        ("duration", json!("2700")),
        ("disptime", json!("45:00")),
        ("clicks", json!(0)),
        ("created", json!("2026-01-05 09:00:00")),
    ] {
        assert_eq!(row[name], value, "{name}: {row}");
    }
    let path = row["file_fdfs"].as_str().unwrap().to_owned();
    assert!(
        path.starts_with("/storage/rec/1/20260105/") && path.ends_with("_1_1767574800_0_2700.mp4"),
        "{path}"
    );
    let whole = studio.world.get(&path.replace("/rec", "//rec")).await;
    assert_eq!((whole.status, whole.body.len()), (200, 1000));
    assert_eq!(
        (whole.header("content-type"), whole.header("accept-ranges")),
        ("video/mp4", "bytes")
    );
    assert_eq!(
        (
            whole.header("content-length"),
            whole.header("access-control-allow-origin")
        ),
        ("1000", "*")
    );
    let with = async |name: &str, value: &str, range: &str| {
        let request = Request::get(&path).header(name, value).header("range", range);
        studio.world.send(request.body(Body::empty()).unwrap()).await
    };
    let part = with("x", "y", "bytes=10-19").await;
    assert_eq!((part.status, part.body.as_str()), (206, "klmnopqrst"));
    assert_eq!(
        (part.header("content-range"), part.header("content-length")),
        ("bytes 10-19/1000", "10")
    );
    let none = with("x", "y", "bytes=1000-").await;
    assert_eq!((none.status, none.header("content-range")), (416, "bytes */1000"));
    for (condition, status) in [
        ("\"one\"", 206),
        ("\"two\"", 200),
        ("Mon, 05 Jan 2026 02:00:00 GMT", 206),
        ("Mon, 05 Jan 2026 01:00:00 GMT", 200),
    ] {
        assert_eq!(
            with("if-range", condition, "bytes=0-9").await.status,
            status,
            "{condition}"
        );
    }
    assert_eq!(with("if-none-match", "\"one\"", "bytes=0-9").await.status, 304);
    let head = studio.world.ask("HEAD", &path).await;
    assert_eq!(
        (head.status, head.body.as_str(), head.header("content-length")),
        (200, "", "1000")
    );
    assert_eq!(studio.world.ask("POST", &path).await.status, 405);
    for wrong in [
        path.replace("_2700", "_2701"),
        path.replace("/rec/1/", "/rec/2/"),
        format!("{path}/x"),
        "/storage/".into(),
        "/storage/rec/1/20260105/..%2f..%2fx".into(),
    ] {
        assert_eq!(studio.world.get(&wrong).await.status, 404, "{wrong}");
    }
    let image = row["image_fdfs"].as_str().unwrap();
    studio.world.get(image).await.is(200, "JPEG one.jpg");
    studio
        .world
        .get(&format!("{image}_90x50"))
        .await
        .is(200, "JPEG one.jpg 90x50");
    assert_eq!(studio.world.get(&format!("{image}_0x50")).await.status, 404);
    *studio.footage.away.lock() = true;
    assert_eq!(studio.world.get(&path).await.status, 503);
}

#[tokio::test]
async fn a_record_that_goes_takes_what_no_other_has() {
    let studio = Studio::open().await;
    studio.channel().await;
    let uid = studio.uid_of("camera-1").await;
    let one = studio.record("one", 0, 60_000).await;
    let two = studio.record("two", 55_000, 120_000).await;
    let segment = |number: i64| SegmentFacts {
        camera_uid: uid.clone(),
        start_ms: BEGIN_MS + number * 20_000,
        end_ms: BEGIN_MS + number * 20_000 + 20_000,
        bytes: 1,
        ..SegmentFacts::default()
    };
    let segments: Vec<SegmentFacts> = (0..6).map(segment).collect();
    studio.world.store.put_segments(&segments).await.unwrap();
    // A schedule records round the clock since a while ago.
    let always = crate::store::sql::recorder::Running {
        name: "always".into(),
        start_ms: BEGIN_MS + 30_000,
    };
    let store = &studio.world.store;
    store.set_running("node-0", &uid, &[always]).await.unwrap();
    let told = studio.ask(&format!("del_record?record_id={one},{one},999")).await;
    assert_eq!(Studio::code(&told), 0);
    assert_eq!(*studio.footage.deleted.lock(), ["some"]);
    let mut trash = store.trash(10).await.unwrap();
    trash.sort();
    assert_eq!(trash, ["one.jpg".to_owned(), segments[0].key().to_string()]);
    let told = studio.ask("list_record").await;
    assert_eq!(
        (&told["total_num"], &told["data"][0]["record_id"]),
        (&json!(1), &json!(two))
    );
    // A channel takes the rest; the number does not come again.
    studio.ask("del_camera?camera_id=1").await;
    assert_eq!(studio.footage.deleted.lock().last().unwrap(), "all");
    assert_eq!(studio.ask("list_record").await["data"], json!([]));
    // What is told of it late is thrown away.
    let late = NewRecording {
        file_src: "late".into(),
        camera_uid: uid,
        node: "node-0".into(),
        schedule_uid: String::new(),
        start_ms: BEGIN_MS,
        end_ms: BEGIN_MS + 1000,
        bytes: 7,
    };
    assert_eq!(studio.world.store.store_recording(&late).await.unwrap(), None);
    assert_eq!(studio.ask("list_record").await["data"], json!([]));
    studio.channel().await;
    let told = studio.ask("list_camera").await;
    assert_eq!(told["data"][0]["camera_id"], 2);
}

#[tokio::test]
async fn a_record_has_the_subject_of_its_course() {
    let studio = Studio::open().await;
    studio.channel().await;
    let course = "camera_id=1&teacher_id=1&week_id=1&elapse_sec=60&start_time=09:00:00";
    let added = studio.ask(&format!("add_course?{course}&subject_id=3")).await;
    assert_eq!(Studio::code(&added), 0, "{added}");
    let schedules = studio.world.manifests.schedules().await.unwrap();
    let schedule_uid = schedules[0].metadata.uid.clone().unwrap();
    let new = NewRecording {
        file_src: "a".into(),
        camera_uid: studio.uid_of("camera-1").await,
        node: "node-0".into(),
        schedule_uid,
        start_ms: BEGIN_MS,
        end_ms: BEGIN_MS + 60_000,
        bytes: 7,
    };
    // Also when the course is gone by then.
    studio.ask("del_course?course_id=1").await;
    studio.world.store.store_recording(&new).await.unwrap();
    let longer = NewRecording {
        end_ms: BEGIN_MS + 61_000,
        ..new
    };
    studio.world.store.store_recording(&longer).await.unwrap();
    let told = studio.ask("list_record").await;
    let row = &told["data"][0];
    assert_eq!(
        (&row["subject_id"], &row["subject_name"]),
        (&json!(3), &json!("英语"))
    );
    assert_eq!((&row["duration"], &told["total_num"]), (&json!("61"), &json!(1)));
    assert!(
        row["file_fdfs"]
            .as_str()
            .unwrap()
            .ends_with("_1_1767574800_1_61.mp4"),
        "{row}"
    );
}

#[tokio::test]
async fn pages_of_records_count_who_opens_them() {
    let studio = Studio::open().await;
    studio.channel().await;
    let id = studio.record("one", 0, 60_000).await;
    let told = studio.ask(&format!("play_record?record_id={id}&width=640")).await;
    let url = told["play_url"].as_str().unwrap().to_owned();
    assert_eq!(
        url,
        format!("http://localhost:80/play/vod/{id}?width=640&height=550")
    );
    let path = url.strip_prefix("http://localhost:80").unwrap();
    for clicks in 1..=2 {
        let page = studio.world.get(path).await;
        assert_eq!(page.status, 200);
        assert!(
            page.body.contains(&format!("data-clicks=\"{clicks}\"")),
            "{}",
            page.body
        );
        assert!(
            page.body
                .contains("src=\"http://localhost:80/storage/rec/1/20260105/"),
            "{}",
            page.body
        );
        assert!(
            page.body.contains("width=\"638\" height=\"547\""),
            "{}",
            page.body
        );
        assert_eq!(page.header("x-frame-options"), "");
    }
    studio.world.ask("HEAD", path).await;
    let told = studio.ask("list_record").await;
    assert_eq!(told["data"][0]["clicks"], 2);
    let unknown = studio.world.get("/play/vod/999").await;
    assert!(
        unknown.status == 200 && unknown.body.contains("没有找到"),
        "{}",
        unknown.body
    );
}

#[tokio::test]
async fn a_channels_snapshot_is_served_with_the_one_before() {
    let studio = Studio::open().await;
    studio.channel().await;
    let uid = studio.uid_of("camera-1").await;
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs() as i64;
    let store = &studio.world.store;
    assert_eq!(store.set_camera_image(&uid, "a", now - 120).await.unwrap(), None);
    assert_eq!(store.set_camera_image(&uid, "b", now - 1).await.unwrap(), None);
    let told = studio.ask("list_camera").await;
    let row = &told["data"][0];
    assert_eq!(
        (&row["image_id"], &row["image_fdfs"]),
        (&json!(1), &json!(format!("/storage/live/1/{}.jpg", now - 1)))
    );
    studio
        .world
        .get(&format!("/storage/live/1/{}.jpg", now - 1))
        .await
        .is(200, "JPEG b");
    studio
        .world
        .get(&format!("/storage/live/1/{}.jpg_90x50", now - 1))
        .await
        .is(200, "JPEG b 90x50");
    studio
        .world
        .get(&format!("/storage/live/1/{}.jpg", now - 120))
        .await
        .is(200, "JPEG a");
    assert_eq!(studio.world.get("/storage/live/1/5.jpg").await.status, 404);
    // The third takes the first away.
    assert_eq!(
        store.set_camera_image(&uid, "c", now).await.unwrap().as_deref(),
        Some("a")
    );
    assert_eq!(
        studio
            .world
            .get(&format!("/storage/live/1/{}.jpg", now - 120))
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn what_is_away_is_no_code_of_the_documents() {
    let studio = Studio::open().await;
    studio.world.store.close().await;
    let reply = studio
        .world
        .get(&format!("/api/v1/list_school?token={}", studio.token))
        .await;
    assert_eq!((reply.status, &reply.json()["err_code"]), (503, &json!(503)));
    assert_eq!(reply.header("content-type"), "application/json; charset=utf-8");
    // Tokens are looked at without the store.
    let told = studio.world.get("/api/v1/list_school").await;
    assert_eq!(told.json()["err_code"], 1004);
    assert_eq!(studio.world.get("/api/v1/version").await.status, 200);
}

#[tokio::test]
async fn who_is_no_administrator_gets_no_token() {
    let studio = Studio::open().await;
    let auth = &studio.world.auth;
    auth.set_up_recorder("guard", Some("guards-unionid"))
        .await
        .unwrap();
    let code = async |unionid: &str| {
        let told = studio
            .world
            .get(&format!("/api/v1/access_token?unionid={unionid}"))
            .await;
        told.json()["err_code"].as_i64().unwrap()
    };
    assert_eq!(code("guards-unionid").await, 1003);
    assert_eq!(code("Z3VhcmRzLXVuaW9uaWQ").await, 1003, "its base64 is the same");
    studio.world.store.delete_user("guard").await.unwrap();
    assert_eq!(code("guards-unionid").await, 1002);
    assert_eq!(code(UNION_ID).await, 0);
    assert!(auth.set_up_recorder("admin", Some("short")).await.is_err());
}
