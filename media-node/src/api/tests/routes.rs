//! `/api/v1/routes` (check list 6 and 7), on a folder of manifests.

use super::*;
use crate::cluster::resource::{Kind, SecretData, Target, WriteError};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU32, Ordering};
use weir_crds::Route;

const USERINFO: &str = "u:canary-p%40ss";

impl World {
    async fn save_route(&self, route: &Value) -> Reply {
        let token = self.token("admin").await;
        self.post(&format!("/api/v1/routes?token={token}"), route.to_string())
            .await
    }

    async fn route(&self, path: &str) -> Reply {
        let token = self.token("admin").await;
        self.get(&format!("/api/v1/routes{path}?token={token}")).await
    }

    /// Files of the manifests' folder.
    fn files(&self) -> Vec<String> {
        let dir = std::fs::read_dir(self.folder.path().join("manifests")).unwrap();
        let mut names: Vec<_> = dir
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join("manifests").join(name)).unwrap()
    }
}

fn route(pattern: &str, url: &str, keepalive: bool) -> Value {
    json!({"pattern": pattern, "url": url, "keepalive": keepalive})
}

#[tokio::test]
async fn ipchub_routes_save_and_get() {
    let world = world().await;
    let saved = world
        .save_route(&route("Gate/A1", "rtsp://10.0.0.9:554/live2", true))
        .await;
    saved.is(200, "");
    assert_eq!(saved.header("content-type"), "");
    for path in ["/gate/a1", "/Gate/A1", "/gate%2fa1", "//gate/./a1"] {
        let reply = world.route(path).await;
        assert_eq!(
            reply.json(),
            route("/gate/a1", "rtsp://10.0.0.9:554/live2", true),
            "{path}"
        );
    }
    assert!(
        world
            .route("/gate/a1")
            .await
            .body
            .starts_with("{\n\t\"pattern\": \"/gate/a1\",\n\t\"url\""),
        "the documented order"
    );
    // The final slash counts; a path that would match is another matter.
    world
        .save_route(&route("/HR/", "rtsp://10.0.0.7:1554", false))
        .await
        .is(200, "");
    assert_eq!(
        world.route("/hr/").await.json(),
        route("/hr/", "rtsp://10.0.0.7:1554", false)
    );
    for path in ["/hr", "/hr/door", "/gate/a1/", "/none"] {
        world.route(path).await.is(404, NOT_FOUND);
    }
    // The catch-all.
    world.route("/").await.is(404, NOT_FOUND);
    world
        .save_route(&json!({"url": "rtsp://h/all"}))
        .await
        .is(200, "");
    assert_eq!(world.route("/").await.json(), route("/", "rtsp://h/all", false));
    // An update replaces both.
    world
        .save_route(&json!({"pattern": "/gate/a1", "url": "rtsp://other/"}))
        .await
        .is(200, "");
    assert_eq!(
        world.route("/gate/a1").await.json(),
        route("/gate/a1", "rtsp://other/", false)
    );
    // What can't be pulled is saved all the same.
    for url in ["http://h/live.flv", "live2", "rtsp:opaque"] {
        world.save_route(&route("/odd", url, false)).await.is(200, "");
        assert_eq!(world.route("/odd").await.json()["url"], url);
    }
}

#[tokio::test]
async fn routes_that_are_refused() {
    let world = world().await;
    let token = world.token("admin").await;
    let uri = format!("/api/v1/routes?token={token}");
    for (body, text) in [
        ("", "EOF\n"),
        ("{\"pattern\": \"/a\"}", "route url required\n"),
        ("{\"pattern\": \"/a\", \"url\": \"\"}", "route url required\n"),
        (
            "{\"pattern\": \"/a\", \"url\": \"rtsp://a b:%zz/\"}",
            "parse \"rtsp://a b:%zz/\": invalid port \":%zz\" after host\n",
        ),
        (
            "{\"pattern\": 7, \"url\": \"rtsp://h/\"}",
            "json: cannot unmarshal number into field pattern of type string\n",
        ),
        (
            "{\"url\": \"rtsp://h/\", \"keepalive\": 1}",
            "json: cannot unmarshal number into field keepalive of type bool\n",
        ),
    ] {
        world.post(&uri, body).await.is(500, text);
    }
    // What the schema refuses is told with its reason.
    let reply = world
        .save_route(&route("/a", &format!("rtsp://h/{}", "x".repeat(2000)), false))
        .await;
    assert_eq!(reply.status, 500);
    assert!(reply.body.contains("spec.url"), "{}", reply.body);
    assert_eq!(world.files(), Vec::<String>::new());
}

#[tokio::test]
async fn ipchub_routes_delete() {
    let world = world().await;
    let token = world.token("admin").await;
    let delete = async |path: &str| {
        world
            .ask("DELETE", &format!("/api/v1/routes{path}?token={token}"))
            .await
    };
    for pattern in ["/hr/", "/hr", "/"] {
        let url = format!("rtsp://{USERINFO}@h/");
        world.save_route(&route(pattern, &url, false)).await.is(200, "");
    }
    for _ in 0..2 {
        let reply = delete("/HR/").await;
        reply.is(200, "");
        assert_eq!(reply.header("content-type"), "");
    }
    world.route("/hr/").await.is(404, NOT_FOUND);
    assert_eq!(world.route("/hr").await.status, 200);
    delete("/").await.is(200, "");
    delete("/hr").await.is(200, "");
    assert_eq!(world.files(), Vec::<String>::new(), "with their Secrets");
}

#[tokio::test]
async fn ipchub_routes_list() {
    let world = world().await;
    let list = async |query: &str| {
        let token = world.token("admin").await;
        world
            .get(&format!("/api/v1/routes?{query}token={token}"))
            .await
            .json()
    };
    assert_eq!(
        list("").await,
        json!({"total": 0, "next_page_token": "", "routes": []})
    );
    let one = route("/gate/a1", "rtsp://u:p@10.0.0.9:554/live2", true);
    let two = route("/hr/", "rtsp://10.0.0.7:1554", false);
    let three = route("/Z", "rtsp://h/", false);
    for route in [&two, &three, &one] {
        world.save_route(route).await.is(200, "");
    }
    let three = route("/z", "rtsp://h/", false);
    assert_eq!(
        list("").await,
        json!({"total": 3, "next_page_token": "/z", "routes": [one, two, three]})
    );
    assert_eq!(
        list("page_size=1&page_token=/gate/a1&").await,
        json!({"total": 3, "next_page_token": "/hr/", "routes": [two]})
    );
    for query in ["page_token=/zz&", "page_size=0&page_token=/zz&"] {
        assert_eq!(
            list(query).await,
            json!({"total": 3, "next_page_token": "/zz", "routes": []})
        );
    }
}

/// What a POST becomes, and what of it is secret.
#[tokio::test]
async fn credentials_of_a_route_are_kept_in_a_secret() {
    let world = world().await;
    let url = format!("rtsp://{USERINFO}@10.0.0.9:554/live2?x=1");
    world.save_route(&route("/gate/a1", &url, true)).await.is(200, "");
    assert_eq!(world.route("/gate/a1").await.json()["url"], url);

    // `printf /gate/a1 | sha256sum`, the first 20 digits.
    let name = "route-cf3e37d3e86502629dce";
    let routes = world.manifests.routes().await.unwrap();
    let saved = &routes[0];
    assert_eq!(saved.metadata.name.as_deref(), Some(name));
    assert_eq!(
        (
            saved.spec.pattern.as_str(),
            saved.spec.url.as_str(),
            saved.spec.keep_alive
        ),
        ("/gate/a1", "rtsp://10.0.0.9:554/live2?x=1", true)
    );
    let secret = saved.spec.credentials.clone().unwrap().secret_name;
    assert!(
        weir_crds::route::is_made_secret(&secret) && secret.starts_with(name),
        "{secret}"
    );
    let data = world.manifests.read("default", &secret).await.unwrap().unwrap();
    assert_eq!(data["userinfo"].reveal(), USERINFO.as_bytes());

    let (of_route, of_secret) = (format!("route-{name}.yaml"), format!("secret-{secret}.yaml"));
    assert_eq!(world.files(), [of_route.clone(), of_secret.clone()]);
    assert!(!world.file(&of_route).contains("canary"));
    assert!(
        world
            .file(&of_secret)
            .contains(&format!("uid: {}", saved.metadata.uid.clone().unwrap()))
    );
    let path = world.folder.path().join("manifests").join(&of_secret);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    // The same again changes nothing; another password is another Secret.
    world.save_route(&route("/gate/a1", &url, true)).await.is(200, "");
    assert_eq!(world.files(), [of_route.clone(), of_secret.clone()]);
    let url = "rtsp://u:canary-other@10.0.0.9:554/live2";
    world.save_route(&route("/gate/a1", url, true)).await.is(200, "");
    assert_eq!(world.route("/gate/a1").await.json()["url"], url);
    let files = world.files();
    assert!(files.len() == 2 && !files.contains(&of_secret), "{files:?}");
    // And none is none.
    let url = "rtsp://10.0.0.9:554/live2";
    world.save_route(&route("/gate/a1", url, true)).await.is(200, "");
    assert_eq!(world.route("/gate/a1").await.json()["url"], url);
    assert_eq!(world.files(), [of_route]);
}

/// Routes that were written by hand, with names, patterns and Secrets of their own.
#[tokio::test]
async fn routes_of_manifests() {
    let world = world().await;
    let manifest = |kind: &str, name: &str, more: Value| {
        let version = if kind == "Secret" {
            "v1"
        } else {
            "weir.video/v1alpha1"
        };
        let mut manifest = json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}});
        manifest
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        manifest
    };
    let create = async |kind: &str, name: &str, more: Value| {
        world.manifests.create(&manifest(kind, name, more)).await.unwrap();
    };
    create(
        "Secret",
        "mine",
        json!({"stringData": {"username": "u", "password": "p@ss\n"}}),
    )
    .await;
    let spec =
        json!({"spec": {"pattern": "HR//", "url": "rtsp://one/", "credentials": {"secretName": "mine"}}});
    create("Route", "a", spec).await;
    // The same pattern once more: the first serves and is listed.
    create(
        "Route",
        "b",
        json!({"spec": {"pattern": "/hr/", "url": "rtsp://two/"}}),
    )
    .await;
    let spec = json!({"spec": {"pattern": "/x", "url": "rtsp://x/", "credentials": {"secretName": "none"}}});
    create("Route", "x", spec).await;

    assert_eq!(
        world.route("/hr/").await.json(),
        route("/hr/", "rtsp://u:p%40ss@one/", false)
    );
    let token = world.token("admin").await;
    let list = world.get(&format!("/api/v1/routes?token={token}")).await.json();
    let x = route("/x", "rtsp://x/", false);
    assert_eq!(list["total"], 2);
    assert_eq!(list["routes"][1], x, "a Secret that is not there hides nothing");

    // Saving changes the one that serves. Its Secret was not made here, and stays.
    let url = "rtsp://v:w@three/";
    world.save_route(&route("/hr/", url, true)).await.is(200, "");
    assert_eq!(world.route("/hr/").await.json(), route("/hr/", url, true));
    let a = world
        .resources
        .routes
        .find(|r| r.metadata.name.as_deref() == Some("a"))
        .unwrap();
    assert_eq!(
        (a.spec.url.as_str(), a.spec.pattern.as_str()),
        ("rtsp://three/", "HR//")
    );
    assert!(world.manifests.read("default", "mine").await.unwrap().is_some());

    // Deleting takes all of them, or the next would show up.
    world
        .ask("DELETE", &format!("/api/v1/routes/hr/?token={token}"))
        .await
        .is(200, "");
    world.route("/hr/").await.is(404, NOT_FOUND);
    assert_eq!(world.files(), ["route-x.yaml", "secret-mine.yaml"]);
    assert!(!world.manifests.delete(Kind::Route, "default", "b").await.unwrap());
}

/// A folder that behaves like a cluster at its worst: the next so many of these calls fail so.
struct Cluster {
    folder: Folder,
    away: AtomicU32,
    conflicts: AtomicU32,
    /// Reading Secrets is not allowed yet.
    forbidden: AtomicU32,
}

impl Cluster {
    fn fails(counter: &AtomicU32) -> bool {
        counter
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
            .is_ok()
    }
}

#[async_trait]
impl Specs for Cluster {
    async fn routes(&self) -> Result<Vec<Route>, WriteError> {
        if Self::fails(&self.away) {
            return Err(WriteError::Unavailable("connection refused".into()));
        }
        self.folder.routes().await
    }

    async fn cameras(&self) -> Result<Vec<weir_crds::Camera>, WriteError> {
        self.folder.cameras().await
    }

    async fn schedules(&self) -> Result<Vec<weir_crds::RecordSchedule>, WriteError> {
        self.folder.schedules().await
    }

    async fn create(&self, manifest: &Value) -> Result<Target, WriteError> {
        self.folder.create(manifest).await
    }

    async fn change(&self, target: &Target, version: &str, patch: &Value) -> Result<(), WriteError> {
        if Self::fails(&self.conflicts) {
            return Err(WriteError::Conflict);
        }
        self.folder.change(target, version, patch).await
    }

    async fn delete(&self, kind: Kind, namespace: &str, name: &str) -> Result<bool, WriteError> {
        self.folder.delete(kind, namespace, name).await
    }
}

#[async_trait]
impl Secrets for Cluster {
    async fn read(&self, namespace: &str, name: &str) -> Result<Option<SecretData>, WriteError> {
        if Self::fails(&self.forbidden) {
            return Err(WriteError::Refused("secrets is forbidden".into()));
        }
        self.folder.read(namespace, name).await
    }
}

#[tokio::test]
async fn saving_a_route_waits_until_everybody_can_read_it() {
    let mut cluster = None;
    let world = world_on(Vec::new(), Vec::new(), false, |folder| {
        let made = Arc::new(Cluster {
            folder,
            away: AtomicU32::new(0),
            conflicts: AtomicU32::new(0),
            forbidden: AtomicU32::new(0),
        });
        cluster = Some(made.clone());
        (made.clone(), made)
    })
    .await;
    let cluster = cluster.unwrap();
    let url = |password: &str| format!("rtsp://u:{password}@h/");
    cluster.forbidden.store(3, Ordering::Relaxed);
    world
        .save_route(&route("/a", &url("one"), false))
        .await
        .is(200, "");
    assert_eq!(cluster.forbidden.load(Ordering::Relaxed), 0, "it did not wait");
    assert_eq!(world.route("/a").await.json()["url"], url("one"));
    // Others write at the same time: of all tries one Secret is left.
    cluster.conflicts.store(3, Ordering::Relaxed);
    world
        .save_route(&route("/a", &url("two"), false))
        .await
        .is(200, "");
    assert_eq!(world.route("/a").await.json()["url"], url("two"));
    assert_eq!(world.files().len(), 2, "{:?}", world.files());

    for (method, path) in [
        ("GET", "/api/v1/routes"),
        ("GET", "/api/v1/routes/a"),
        ("DELETE", "/api/v1/routes/a"),
    ] {
        cluster.away.store(1, Ordering::Relaxed);
        let token = world.token("admin").await;
        let reply = world.ask(method, &format!("{path}?token={token}")).await;
        assert_eq!(reply.status, 500, "{method} {path}");
        assert!(reply.body.contains("connection refused"), "{}", reply.body);
    }
    cluster.away.store(1, Ordering::Relaxed);
    let reply = world.save_route(&route("/a", &url("three"), false)).await;
    assert_eq!(reply.status, 500);
    assert_eq!(world.route("/a").await.json()["url"], url("two"));
}
