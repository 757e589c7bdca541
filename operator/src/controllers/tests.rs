//! Namespaces reconciled against an API server by script, each a scenario with a name.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use serde_json::json;

use super::*;
use crate::fixtures::{self, ApiServer, Asked, NAMESPACE};
use weir_crds::Camera;

const CAMERA: &str = "/apis/weir.video/v1alpha1/namespaces/studio/cameras/front";
const CAMERA_STATUS: &str = "/apis/weir.video/v1alpha1/namespaces/studio/cameras/front/status";
const POOL: &str = "/apis/weir.video/v1alpha1/namespaces/studio/mediapools/media";

/// A pool with two ready nodes and one camera that has none.
struct Scenario {
    server: ApiServer,
    context: Context,
    objects: Objects,
    world: World,
}

impl Scenario {
    fn new(server: ApiServer) -> Self {
        let deployment: Deployment = serde_json::from_value(json!({
            "metadata": {"name": "media-gateway", "namespace": NAMESPACE, "generation": 1},
            "status": {"observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1},
        }))
        .expect("a deployment");
        let objects = Objects {
            pools: vec![Arc::new(fixtures::pool(
                "media",
                json!({"nodes": {"replicas": 2}}),
            ))],
            cameras: vec![Arc::new(fixtures::camera("front"))],
            pods: [0, 1]
                .map(|n| Arc::new(fixtures::node_pod("media", n, fixtures::ready())))
                .to_vec(),
            stateful_sets: vec![Arc::new(fixtures::stateful_set("media", "rev-1", 2))],
            deployments: vec![Arc::new(deployment)],
            ..Objects::default()
        };
        let server = server
            .knows(objects.pools[0].as_ref())
            .knows(objects.cameras[0].as_ref());
        let events = Events::start(server.client(), "weir-operator", "test".into());
        let settings = Settings {
            image: "i".into(),
            ..Settings::default()
        };
        let context = Context::new(server.client(), events, settings, Limits::default());
        Self {
            server,
            context,
            objects,
            world: World::default(),
        }
    }

    async fn reconcile(&mut self) -> Option<Duration> {
        reconcile(&self.context, NAMESPACE, self.objects.clone(), &mut self.world).await
    }

    /// Requests since the last call that change something, but for events.
    async fn writes(&self) -> Vec<Asked> {
        tokio::task::yield_now().await;
        let mut asked = self.server.asked();
        asked.retain(|a| a.method != "GET" && !a.path.ends_with("/events"));
        asked
    }

    /// Reasons of the events that were sent since the last call.
    async fn events(&self) -> Vec<String> {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        let asked = self
            .server
            .asked()
            .into_iter()
            .filter(|a| a.path.ends_with("/events"));
        asked
            .map(|a| a.body["reason"].as_str().unwrap_or_default().to_owned())
            .collect()
    }
}

fn condition<'a>(status: &'a serde_json::Value, kind: &str) -> &'a serde_json::Value {
    let all = status["conditions"].as_array().expect("conditions");
    all.iter()
        .find(|c| c["type"] == kind)
        .unwrap_or_else(|| panic!("no {kind} in {status}"))
}

#[tokio::test]
async fn a_new_camera_is_placed_and_the_pool_made() {
    let mut scenario = Scenario::new(ApiServer::default());
    scenario.reconcile().await;
    let writes = scenario.writes().await;
    let at = |path: &str| {
        writes
            .iter()
            .position(|w| w.path == path)
            .unwrap_or_else(|| panic!("{path} was not written"))
    };
    let role = at("/apis/rbac.authorization.k8s.io/v1/namespaces/studio/roles/media-node");
    assert!(
        role < at("/apis/apps/v1/namespaces/studio/statefulsets/media-node"),
        "pods need their role"
    );
    assert!(
        role < at(CAMERA_STATUS),
        "a node may read the Secret of a camera that it gets"
    );
    let secret = at("/api/v1/namespaces/studio/secrets");
    assert!(
        secret < at("/apis/apps/v1/namespaces/studio/statefulsets/media-node"),
        "pods need what they mount"
    );
    assert!(
        at(CAMERA_STATUS) < secret,
        "no camera waits for the pool's objects"
    );
    let status = &writes[at(CAMERA_STATUS)].body["status"];
    assert_eq!(
        (&status["node"], &status["epoch"]),
        (&json!("media-node-0"), &json!(1))
    );
    assert_eq!(condition(status, "Placed")["status"], "True");
    let status = &writes[at(&format!("{POOL}/status"))].body["status"];
    assert_eq!(condition(status, "Ready")["status"], "True");
    assert_eq!(
        (
            &status["readyNodes"],
            &status["readyGateways"],
            &status["cameras"]
        ),
        (&json!(2), &json!(1), &json!(1))
    );
}

#[tokio::test]
async fn what_was_done_is_not_done_again_while_the_watch_lags() {
    let mut scenario = Scenario::new(ApiServer::default());
    scenario.reconcile().await;
    scenario.writes().await;
    scenario.objects.pools = vec![Arc::new(scenario.server.object(POOL))];
    scenario.reconcile().await;
    let writes = scenario.writes().await;
    assert!(
        writes.is_empty(),
        "the camera in the cache is still without a node: {writes:?}"
    );
}

#[tokio::test]
async fn a_conflict_is_met_with_another_look() {
    let server = ApiServer::default().fails(
        "PATCH",
        CAMERA_STATUS,
        409,
        "Conflict",
        "the object has been modified",
    );
    let mut scenario = Scenario::new(server);
    let next = scenario.reconcile().await.expect("not done");
    assert!(next < Duration::from_millis(200), "{next:?}");
    let placed = scenario
        .writes()
        .await
        .into_iter()
        .find(|a| a.path == CAMERA_STATUS)
        .expect("tried");
    assert_eq!(
        placed.body["metadata"]["resourceVersion"], "7",
        "only the camera that was seen is placed"
    );
    tokio::time::sleep(next).await;
    scenario.reconcile().await;
    assert_eq!(
        scenario.server.object::<Camera>(CAMERA).node(),
        Some("media-node-0")
    );
    assert_eq!(scenario.events().await, ["Placed"], "told once, when it was true");
}

#[tokio::test]
async fn a_pool_that_cannot_be_applied_holds_up_no_camera() {
    let role = "/apis/rbac.authorization.k8s.io/v1/namespaces/studio/roles/media-node";
    // Once before the cameras, once with all of the pool.
    let server = (0..2).fold(ApiServer::default(), |server, _| {
        server.fails("PATCH", role, 403, "Forbidden", "no such right")
    });
    let mut scenario = Scenario::new(server);
    scenario.reconcile().await;
    assert_eq!(
        scenario.server.object::<Camera>(CAMERA).node(),
        Some("media-node-0")
    );
    let status = scenario
        .writes()
        .await
        .into_iter()
        .find(|a| a.path == format!("{POOL}/status"))
        .expect("said");
    let ready = condition(&status.body["status"], "Ready");
    assert_eq!(
        (&ready["status"], &ready["reason"]),
        (&json!("False"), &json!("ApplyFailed"))
    );
    assert!(
        ready["message"]
            .as_str()
            .is_some_and(|m| m.contains("apply Role media-node: no such right")),
        "{ready}"
    );
    assert_eq!(condition(&status.body["status"], "Stalled")["status"], "True");
}

#[tokio::test]
async fn an_api_server_that_asks_for_patience_is_no_news_at_first() {
    let account = "/api/v1/namespaces/studio/serviceaccounts/media-node";
    let server = (0..3).fold(ApiServer::default(), |server, _| {
        server.fails("PATCH", account, 429, "TooManyRequests", "later")
    });
    let mut scenario = Scenario::new(server);
    // A pod of an older version has its turn meanwhile.
    scenario.objects.stateful_sets = vec![Arc::new(fixtures::stateful_set("media", "rev-2", 2))];
    scenario.objects.cameras.clear();
    let mut reasons = vec![];
    let mut next = Duration::ZERO;
    for _ in 0..3 {
        tokio::time::sleep(next).await;
        next = scenario.reconcile().await.expect("not done");
        let pool: weir_crds::MediaPool = scenario.server.object(POOL);
        let ready = pool.condition("Ready").expect("said").clone();
        reasons.push(ready.reason);
        scenario.objects.pools = vec![Arc::new(scenario.server.object(POOL))];
    }
    assert_eq!(reasons, ["RollingOut", "RollingOut", "ApplyFailed"]);
    let removed = scenario.writes().await.iter().any(|w| w.method == "DELETE");
    assert!(removed, "the roll-out goes on");
}

#[tokio::test]
async fn an_api_server_that_is_away_is_not_asked_for_all_of_a_pool() {
    let secrets = "/api/v1/namespaces/studio/secrets";
    let server = ApiServer::default().fails("POST", secrets, 503, "ServiceUnavailable", "not now");
    let mut scenario = Scenario::new(server);
    scenario.reconcile().await;
    let writes = scenario.writes().await;
    let after = writes.iter().skip_while(|w| w.path != secrets).skip(1);
    let paths: Vec<&str> = after.map(|w| w.path.as_str()).collect();
    assert_eq!(paths, [format!("{POOL}/status")]);
}

#[tokio::test]
async fn a_node_is_lost_and_its_camera_moves() {
    let mut scenario = Scenario::new(ApiServer::default());
    scenario.reconcile().await;
    assert_eq!(scenario.events().await, ["Placed", "Ready"]);
    scenario.context.limits.grace = Duration::from_millis(50);
    scenario.objects.pods.remove(0);
    let next = scenario.reconcile().await.expect("waits");
    assert!(next <= Duration::from_millis(50), "{next:?}");
    assert_eq!(
        scenario.server.object::<Camera>(CAMERA).node(),
        Some("media-node-0"),
        "within the grace"
    );
    tokio::time::sleep(Duration::from_millis(60)).await;
    scenario.reconcile().await;
    let camera: Camera = scenario.server.object(CAMERA);
    assert_eq!(
        (camera.node(), camera.status.as_ref().and_then(|s| s.epoch)),
        (Some("media-node-1"), Some(2))
    );
    assert!(scenario.events().await.contains(&"Moved".to_owned()));
}

#[tokio::test]
async fn pods_of_an_older_version_are_deleted_by_uid() {
    let mut scenario = Scenario::new(ApiServer::default());
    scenario.objects.stateful_sets = vec![Arc::new(fixtures::stateful_set("media", "rev-2", 2))];
    scenario.objects.cameras.clear();
    scenario.reconcile().await;
    let deleted: Vec<Asked> = scenario
        .writes()
        .await
        .into_iter()
        .filter(|a| a.method == "DELETE")
        .collect();
    assert_eq!(deleted.len(), 1, "one at a time");
    assert_eq!(deleted[0].path, "/api/v1/namespaces/studio/pods/media-node-1");
    assert_eq!(deleted[0].body["preconditions"]["uid"], "uid-media-node-1");
}

#[tokio::test]
async fn routes_are_accepted_or_refused_once() {
    let mut scenario = Scenario::new(ApiServer::default());
    let routes = [
        fixtures::route("a", "/cams/", "rtsp://10.0.0.7/"),
        fixtures::route("b", "cams/", "rtsp://10.0.0.8/"),
        fixtures::route("c", "/live/", "http://10.0.0.9/"),
    ];
    for route in &routes {
        scenario.server = scenario.server.clone().knows(route);
    }
    scenario.objects.routes = routes.into_iter().map(Arc::new).collect();
    scenario.reconcile().await;
    let writes = scenario.writes().await;
    let accepted = |name: &str| {
        let path = format!("/apis/weir.video/v1alpha1/namespaces/studio/routes/{name}/status");
        let write = writes.iter().find(|w| w.path == path).expect("said");
        condition(&write.body["status"], "Accepted")["reason"].clone()
    };
    assert_eq!(
        (accepted("a"), accepted("b"), accepted("c")),
        (
            "Accepted".into(),
            "DuplicatePattern".into(),
            "UnsupportedScheme".into()
        )
    );
    let path = |name| format!("/apis/weir.video/v1alpha1/namespaces/studio/routes/{name}");
    scenario.objects.routes = ["a", "b", "c"]
        .map(|name| Arc::new(scenario.server.object(&path(name))))
        .to_vec();
    scenario.reconcile().await;
    assert!(
        !scenario
            .writes()
            .await
            .iter()
            .any(|w| w.path.contains("/routes/"))
    );
}

#[tokio::test]
async fn no_source_is_sent_what_is_in_the_secrets_of_a_pool() {
    let mut scenario = Scenario::new(ApiServer::default());
    let mut camera = fixtures::camera("front");
    camera.spec.credentials = serde_json::from_value(json!({"secretName": "media-auth"})).expect("a name");
    let mut route = fixtures::route("a", "/cams/", "rtsp://10.0.0.7/");
    route.spec.credentials.clone_from(&camera.spec.credentials);
    let mut other = fixtures::camera("back");
    other.spec.credentials = serde_json::from_value(json!({"secretName": "back-door"})).expect("a name");
    other.spec.forward = serde_json::from_value(json!([
        {"url": "rtsp://h/a", "secretName": "media-auth"},
        {"url": "rtsp://h/b", "secretName": "other-server"},
        {"url": "rtsps://h/c", "tls": {"caSecretName": "other-authority"}},
    ]))
    .expect("forwards");
    let mut trusting = fixtures::camera("side");
    trusting.spec.source = serde_json::from_value(json!({"rtsp": {"url": "rtsps://h/d",
        "tls": {"caSecretName": "camera-authority"}}}))
    .expect("a source");
    let mut trusting_route = fixtures::route("b", "/more/", "rtsps://10.0.0.7/");
    trusting_route.spec.tls =
        serde_json::from_value(json!({"caSecretName": "route-authority"})).expect("trust");
    scenario.server = scenario.server.clone().knows(&route).knows(&other);
    scenario.server = scenario.server.clone().knows(&trusting).knows(&trusting_route);
    scenario.objects.cameras = vec![Arc::new(camera), Arc::new(other), Arc::new(trusting)];
    scenario.objects.routes = vec![Arc::new(route), Arc::new(trusting_route)];
    scenario.reconcile().await;
    let writes = scenario.writes().await;
    let write = |end: &str| {
        &writes
            .iter()
            .find(|w| w.path.ends_with(end))
            .expect("written")
            .body
    };
    let rules = write("/roles/media-node")["rules"].as_array().expect("rules");
    let secrets = rules.iter().find(|r| r["resources"] == json!(["secrets"]));
    assert_eq!(
        secrets.expect("a rule")["resourceNames"],
        json!([
            "back-door",
            "camera-authority",
            "other-authority",
            "other-server",
            "route-authority"
        ])
    );
    let accepted = condition(&write("/routes/a/status")["status"], "Accepted");
    assert_eq!(accepted["reason"], "InvalidSpec");
}

#[tokio::test]
async fn rooms_and_schedules_say_how_they_stand() {
    let mut scenario = Scenario::new(ApiServer::default());
    let room: weir_crds::Room = serde_json::from_value(json!({
        "apiVersion": "weir.video/v1alpha1", "kind": "Room",
        "metadata": {"name": "r", "namespace": NAMESPACE, "generation": 1},
        "spec": {"type": "Conversation", "masterId": "ann"},
    }))
    .expect("a room");
    let schedule: weir_crds::RecordSchedule = serde_json::from_value(json!({
        "apiVersion": "weir.video/v1alpha1", "kind": "RecordSchedule",
        "metadata": {"name": "s", "namespace": NAMESPACE, "generation": 1},
        "spec": {"cameras": {"names": ["front"]}, "always": true},
    }))
    .expect("a schedule");
    scenario.server = scenario.server.clone().knows(&room).knows(&schedule);
    scenario.objects.rooms = vec![Arc::new(room)];
    scenario.objects.schedules = vec![Arc::new(schedule)];
    scenario.reconcile().await;
    let writes = scenario.writes().await;
    let said = |kind: &str| {
        let write = writes
            .iter()
            .find(|w| w.path.ends_with(&format!("{kind}/status")))
            .expect("said");
        assert_eq!(condition(&write.body["status"], "Accepted")["status"], "True");
        &write.body["status"]
    };
    let ready = condition(said("rooms/r"), "Ready");
    assert_eq!(
        (&ready["status"], &ready["reason"]),
        (&json!("False"), &json!("NotImplemented"))
    );
    let schedule = said("recordschedules/s");
    assert_eq!(condition(schedule, "Ready")["status"], "True");
    assert_eq!(
        (&schedule["active"], &schedule["cameras"]),
        (&json!(true), &json!(1))
    );
}
