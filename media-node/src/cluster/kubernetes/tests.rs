use super::*;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use kube::client::Body;
use parking_lot::Mutex;
use std::collections::VecDeque;

/// One request as the API server would see it.
#[derive(Clone, Debug)]
struct Seen {
    method: Method,
    uri: String,
    content_type: String,
    body: Value,
}

/// An API server that says what it is told to, in order, and remembers what it was asked.
#[derive(Clone, Default)]
struct Scripted {
    replies: Arc<Mutex<VecDeque<(StatusCode, String)>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Scripted {
    fn say(self, status: u16, body: &Value) -> Self {
        self.say_text(status, body.to_string())
    }

    fn say_text(self, status: u16, body: String) -> Self {
        let status = StatusCode::from_u16(status).expect("a status");
        self.replies.lock().push_back((status, body));
        self
    }

    fn refuse(self, code: u16, reason: &str, message: &str) -> Self {
        let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "code": code, "reason": reason, "message": message});
        self.say(code, &body)
    }

    fn client(&self) -> Client {
        let script = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let script = script.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.expect("a body").to_bytes();
                let header = parts.headers.get("content-type");
                script.seen.lock().push(Seen {
                    method: parts.method,
                    uri: parts.uri.to_string(),
                    content_type: header
                        .and_then(|h| h.to_str().ok())
                        .unwrap_or_default()
                        .to_owned(),
                    body: serde_json::from_slice(&body).unwrap_or_default(),
                });
                let reply = script.replies.lock().pop_front();
                let Some((status, text)) = reply else {
                    // Nothing more to say: as if the API server were away.
                    return std::future::pending().await;
                };
                let response = Response::builder()
                    .status(status)
                    .body(Body::from(text.into_bytes()));
                Ok::<_, std::convert::Infallible>(response.expect("a response"))
            }
        });
        Client::new(service, "weir")
    }

    fn cluster(&self) -> Cluster {
        Cluster::new(self.client(), &me())
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }
}

fn me() -> Identity {
    Identity {
        name: "media-node-0".to_owned(),
        namespace: "weir".to_owned(),
        pool: "media".to_owned(),
    }
}

fn target() -> Target {
    Target {
        kind: Kind::Camera,
        namespace: "weir".to_owned(),
        name: "door".to_owned(),
        uid: "u-1".to_owned(),
    }
}

fn camera(name: &str, version: &str) -> Value {
    json!({"apiVersion": "weir.video/v1alpha1", "kind": "Camera",
        "metadata": {"name": name, "namespace": "weir", "uid": "u-1", "resourceVersion": version,
            "managedFields": [{"manager": "kubectl"}]},
        "spec": {"source": {"publish": {}}}})
}

#[tokio::test]
async fn status_is_applied_by_its_own_manager_and_fenced() {
    let server = Scripted::default().say(200, &camera("door", "12"));
    let status = json!({"codec": "H264"});
    let version = server
        .cluster()
        .apply_status(&target(), Some("11"), &status)
        .await;
    assert_eq!(version.expect("written").as_deref(), Some("12"));
    let seen = server.seen();
    assert_eq!(seen[0].method, Method::PATCH);
    let (path, query) = seen[0].uri.split_once('?').expect("a query");
    assert!(
        path.ends_with("/apis/weir.video/v1alpha1/namespaces/weir/cameras/door/status"),
        "{path}"
    );
    assert!(
        query.contains("fieldManager=weir-node") && query.contains("force=true"),
        "{query}"
    );
    assert_eq!(seen[0].content_type, "application/apply-patch+yaml");
    assert_eq!(
        seen[0].body,
        json!({"apiVersion": "weir.video/v1alpha1", "kind": "Camera",
            "metadata": {"name": "door", "namespace": "weir", "uid": "u-1", "resourceVersion": "11"},
            "status": {"codec": "H264"}})
    );
}

#[tokio::test]
async fn failures_say_what_to_do_next() {
    for (code, reason, want) in [
        (404, "NotFound", "gone"),
        (409, "Conflict", "conflict"),
        (422, "Invalid", "refused"),
        (403, "Forbidden", "refused"),
        (500, "InternalError", "unavailable"),
        (429, "TooManyRequests", "unavailable"),
    ] {
        let server = Scripted::default().refuse(code, reason, "no");
        let outcome = server.cluster().apply_status(&target(), None, &json!({})).await;
        assert_eq!(outcome.expect_err("refused").category(), want, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_does_not_answer_is_not_waited_for() {
    let started = tokio::time::Instant::now();
    let outcome = Scripted::default()
        .cluster()
        .apply_status(&target(), None, &json!({}))
        .await;
    assert_eq!(outcome.expect_err("late").category(), "unavailable");
    assert!(started.elapsed() <= WRITE_DEADLINE + Duration::from_secs(1));
}

#[tokio::test]
async fn events_are_about_the_object_and_repeated_ones_are_counted() {
    let server = Scripted::default()
        .say(201, &json!({"metadata": {}}))
        .say(200, &json!({"metadata": {}}));
    let cluster = server.cluster();
    let notice = Notice {
        warning: true,
        reason: "Disconnected",
        note: "no answer".to_owned(),
    };
    for _ in 0..2 {
        cluster.notify(&target(), &notice).await.expect("told");
    }
    let seen = server.seen();
    assert_eq!(seen[0].method, Method::POST);
    assert!(
        seen[0]
            .uri
            .contains("/apis/events.k8s.io/v1/namespaces/weir/events"),
        "{}",
        seen[0].uri
    );
    assert_eq!(seen[0].body["type"], "Warning");
    assert_eq!(seen[0].body["reason"], "Disconnected");
    assert_eq!(seen[0].body["note"], "no answer");
    assert_eq!(seen[0].body["regarding"]["kind"], "Camera");
    assert_eq!(seen[0].body["regarding"]["uid"], "u-1");
    assert_eq!(seen[0].body["reportingInstance"], "media-node-0");
    assert_eq!(seen[1].method, Method::PATCH);
    assert_eq!(seen[1].body["series"]["count"], 2);
}

fn route(name: &str, version: &str) -> Value {
    json!({"apiVersion": "weir.video/v1alpha1", "kind": "Route",
        "metadata": {"name": name, "namespace": "weir", "uid": "u-2", "resourceVersion": version},
        "spec": {"pattern": "/hr/", "url": "rtsp://h/"}})
}

#[tokio::test]
async fn specs_are_written_by_the_gateways_manager() {
    let server = Scripted::default()
        .say(201, &route("r", "3"))
        .refuse(409, "AlreadyExists", "there is one")
        .say(200, &route("r", "4"))
        .refuse(409, "Conflict", "changed")
        .say(200, &route("r", "4"))
        .refuse(404, "NotFound", "none");
    let cluster = server.cluster();
    let target = cluster.create(&route("r", "")).await.expect("created");
    assert_eq!(
        (
            target.kind,
            target.namespace.as_str(),
            target.name.as_str(),
            target.uid.as_str()
        ),
        (Kind::Route, "weir", "r", "u-2")
    );
    let again = cluster.create(&route("r", "")).await;
    assert!(matches!(again, Err(WriteError::Conflict)), "{again:?}");
    let patch = json!({"spec": {"credentials": null}});
    cluster.change(&target, "3", &patch).await.expect("changed");
    let late = cluster.change(&target, "3", &patch).await;
    assert!(matches!(late, Err(WriteError::Conflict)), "{late:?}");
    assert!(cluster.delete(Kind::Route, "weir", "r").await.expect("deleted"));
    assert!(
        !cluster
            .delete(Kind::Route, "weir", "r")
            .await
            .expect("nothing there")
    );
    let seen = server.seen();
    let (path, query) = seen[0].uri.split_once('?').expect("a query");
    assert_eq!(seen[0].method, Method::POST);
    assert!(path.ends_with("/namespaces/weir/routes"), "{path}");
    assert!(query.contains("fieldManager=weir-gateway"), "{query}");
    let (path, query) = seen[2].uri.split_once('?').expect("a query");
    assert_eq!(seen[2].method, Method::PATCH);
    assert_eq!(seen[2].content_type, "application/merge-patch+json");
    assert!(path.ends_with("/namespaces/weir/routes/r"), "{path}");
    assert!(query.contains("fieldManager=weir-gateway"), "{query}");
    assert_eq!(
        seen[2].body,
        json!({"metadata": {"uid": "u-2", "resourceVersion": "3"}, "spec": {"credentials": null}})
    );
    assert_eq!(seen[4].method, Method::DELETE);
}

#[tokio::test]
async fn routes_are_read_past_the_stores() {
    let mut strange = route("strange", "1");
    strange["spec"] = json!({"pattern": 7});
    let list = json!({"apiVersion": "weir.video/v1alpha1", "kind": "RouteList", "metadata": {"resourceVersion": "9"},
        "items": [route("r", "8"), strange]});
    let server = Scripted::default()
        .say(200, &list)
        .refuse(503, "ServiceUnavailable", "starting");
    let cluster = server.cluster();
    let routes = cluster.routes().await.expect("read");
    assert_eq!(routes.len(), 1, "one that can't be read hides no other");
    assert_eq!(routes[0].metadata.resource_version.as_deref(), Some("8"));
    let failure = cluster.routes().await.expect_err("away").chain();
    assert!(failure.contains("starting"), "{failure}");
}

#[tokio::test]
async fn secrets_are_read_by_name_alone() {
    let server = Scripted::default()
        .say(200, &json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "s"}, "data": {"username": "YWRtaW4="}}))
        .refuse(404, "NotFound", "none");
    let cluster = server.cluster();
    let data = cluster.read("weir", "s").await.expect("read").expect("there");
    assert_eq!(data["username"].reveal(), b"admin");
    assert!(cluster.read("weir", "t").await.expect("read").is_none());
    assert!(server.seen()[0].uri.contains("/api/v1/namespaces/weir/secrets/s"));
}

#[tokio::test(start_paused = true)]
async fn a_watch_fills_its_store_skips_what_it_cant_read_and_survives() {
    let list = |items: Value| json!({"apiVersion": "weir.video/v1alpha1", "kind": "CameraList", "metadata": {"resourceVersion": "10"}, "items": items});
    let mut strange = camera("strange", "4");
    strange["spec"] = json!({"source": {"telepathy": {}}});
    let event = |kind: &str, object: &Value| format!("{}\n", json!({"type": kind, "object": object}));
    let server = Scripted::default()
        .refuse(503, "ServiceUnavailable", "starting")
        .say(200, &list(json!([camera("a", "1"), strange, camera("b", "2")])))
        .say_text(200, event("ADDED", &camera("c", "11")) + &event("DELETED", &camera("a", "12")))
        // The watch ends, and with it the API server's answers.
        ;
    let (sender, news) = tokio::sync::watch::channel(0);
    let writer = Writer::<weir_crds::Camera>::default();
    let store = writer.as_reader();
    let stop = CancellationToken::new();
    let api = Api::namespaced(server.client(), "weir");
    let task = tokio::spawn(follow(
        api,
        Config::default(),
        writer,
        News::new(sender),
        stop.clone(),
    ));
    store.wait_until_ready().await.expect("filled");
    let names = || {
        let mut names: Vec<_> = store.state().iter().map(|c| c.name_any()).collect();
        names.sort();
        names
    };
    let mut changed = news.clone();
    while names() != ["b", "c"] {
        tokio::time::timeout(Duration::from_mins(1), changed.changed())
            .await
            .expect("in time")
            .expect("it runs");
    }
    assert!(store.state().iter().all(|c| c.managed_fields().is_empty()));
    // An hour without an API server later everything is still known.
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert_eq!(names(), ["b", "c"]);
    stop.cancel();
    task.await.expect("it ends");
}
