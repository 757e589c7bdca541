use super::*;
use crate::cluster::fixtures::{Launcher, MadeUp, Pusher, Vault, pass, path};
use crate::cluster::report::tests::Pad;
use crate::egress::forward::{self, Target};
use crate::ingest::{Reason, Source, State};
use serde_json::{Value, json};
use weir_crds::CameraStatus;
use weir_crds::condition::{self, kind};

struct Fixture {
    world: MadeUp,
    hub: Arc<Hub>,
    launcher: Arc<Launcher>,
    pusher: Arc<Pusher>,
    pad: Arc<Pad>,
    vault: Arc<Vault>,
    recording: Arc<States>,
    supervisor: Supervisor,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Fixture {
    fn new(standalone: bool) -> Self {
        let (world, hub) = (MadeUp::new(), Hub::new());
        let launcher = Launcher::new(hub.clone());
        let pusher = Arc::new(Pusher::default());
        let (pad, vault) = (Arc::new(Pad::default()), Arc::new(Vault::default()));
        let parts = Parts {
            world: world.world.clone(),
            hub: hub.clone(),
            launch: launcher.clone(),
            forward: pusher.clone(),
            writer: pad.clone(),
            secrets: vault.clone(),
            recording: Arc::default(),
        };
        let recording = parts.recording.clone();
        let stop = CancellationToken::new();
        let settings = Settings::new("n-0", standalone, "/media");
        let (supervisor, task) = Supervisor::start(parts, settings, stop.clone());
        hub.set_demand(Arc::new(supervisor.clone()));
        Self {
            world,
            hub,
            launcher,
            pusher,
            pad,
            vault,
            recording,
            supervisor,
            stop,
            task,
        }
    }

    /// The status that was last written of an object.
    fn said(&self, name: &str) -> Value {
        let all = self.pad.statuses.lock();
        let last = all.iter().rev().find(|(t, _, _)| t.name == name);
        last.map(|(_, _, status)| status.clone()).unwrap_or_default()
    }

    /// Whether a condition holds, and its reason.
    fn condition(&self, name: &str, kind: &str) -> (bool, String) {
        let status: CameraStatus = serde_json::from_value(self.said(name)).unwrap_or_default();
        condition::find(&status.conditions, kind)
            .map_or((false, "none".to_owned()), |c| (c.is_true(), c.reason.clone()))
    }

    fn connected(&self, name: &str) -> (bool, String) {
        self.condition(name, kind::CONNECTED)
    }

    fn written(&self, name: &str) -> usize {
        self.pad
            .statuses
            .lock()
            .iter()
            .filter(|(t, _, _)| t.name == name)
            .count()
    }

    fn notices(&self) -> Vec<(&'static str, String)> {
        let all = self.pad.notices.lock();
        all.iter().map(|(t, n)| (n.reason, t.name.clone())).collect()
    }

    /// Somebody asks for a path; how it ends is told within `patience` seconds.
    fn ask(&self, text: &str, patience: u64) -> JoinHandle<bool> {
        let (hub, path) = (self.hub.clone(), path(text));
        tokio::spawn(async move { hub.find(&path, Duration::from_secs(patience)).await.is_some() })
    }
}

fn on_demand(idle: &str) -> Value {
    json!({"spec": {"connect": "OnDemand", "idleTimeout": idle, "source": {"rtsp": {"url": "rtsp://h/"}}}})
}

fn held((found, why): (bool, String), holds: bool, reason: &str) {
    assert_eq!((found, why.as_str()), (holds, reason));
}

fn placed(node: Option<&str>, epoch: i64, status: &Value) -> Value {
    let mut status = status.clone();
    status["node"] = json!(node);
    status["epoch"] = epoch.into();
    json!({"spec": {"source": {"rtsp": {"url": "rtsp://h/"}}}, "status": status})
}

#[tokio::test(start_paused = true)]
async fn a_camera_runs_is_reported_and_ends_with_its_resource() {
    let f = Fixture::new(true);
    f.world.rtsp("a");
    pass(0.5).await;
    assert_eq!(f.launcher.running(), ["a"]);
    let job = f.launcher.last();
    assert!(job.job.redial && matches!(job.job.source, Source::Rtsp { .. }));
    held(f.connected("a"), false, "Connecting");
    job.live();
    pass(2.0).await;
    held(f.connected("a"), true, "Connected");
    held(f.condition("a", kind::READY), true, "Live");
    let said = f.said("a");
    assert_eq!(
        (&said["codec"], &said["size"], &said["node"]),
        (&json!("H264"), &json!("640x360"), &json!("n-0"))
    );
    assert_eq!(f.notices(), [("Connected", "a".to_owned())]);
    f.world.no_camera("a");
    pass(0.5).await;
    assert!(f.launcher.running().is_empty());
    assert!(f.hub.stream(&path("a")).is_none());
    assert_eq!(f.launcher.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_camera_says_why_until_it_is_back() {
    let f = Fixture::new(true);
    f.world.rtsp("a");
    pass(0.5).await;
    let job = f.launcher.last();
    job.live();
    pass(2.0).await;
    job.fail(Reason::Unreachable);
    pass(2.0).await;
    held(f.connected("a"), false, "Unreachable");
    // Redialling is no news.
    let written = f.written("a");
    for _ in 0..5 {
        job.say(State::Connecting);
        pass(5.0).await;
        job.fail(Reason::Unreachable);
        pass(5.0).await;
    }
    assert_eq!(f.written("a"), written);
    // Asking for it costs no wait while the next attempt is far.
    assert!(!f.ask("a", 10).await.expect("answered"));
    job.live();
    pass(2.0).await;
    held(f.connected("a"), true, "Connected");
    let reasons: Vec<_> = f.notices().into_iter().map(|(r, _)| r).collect();
    assert_eq!(reasons, ["Connected", "Disconnected", "Connected"]);
    assert_eq!(f.launcher.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_job_is_restarted_for_what_it_depends_on_alone() {
    let f = Fixture::new(true);
    let camera =
        |url: &str, name: &str| json!({"spec": {"displayName": name, "source": {"rtsp": {"url": url}}}});
    f.world.camera("a", camera("rtsp://one/", "x"));
    pass(0.5).await;
    f.launcher.last().live();
    f.world.camera("a", camera("rtsp://one/", "y"));
    pass(2.0).await;
    assert_eq!(f.launcher.count(), 1);
    assert_eq!(f.said("a")["observedGeneration"], 2);
    f.world.camera("a", camera("rtsp://two/", "y"));
    pass(2.0).await;
    assert_eq!(f.launcher.count(), 2);
    assert_eq!(f.launcher.running(), ["a"]);
    held(f.connected("a"), false, "Connecting");
}

#[tokio::test(start_paused = true)]
async fn disabling_stops_and_says_so() {
    let f = Fixture::new(true);
    f.world.rtsp("a");
    pass(0.5).await;
    f.launcher.last().live();
    f.world.camera(
        "a",
        json!({"spec": {"enabled": false, "source": {"rtsp": {"url": "rtsp://a/"}}}}),
    );
    pass(2.0).await;
    assert!(f.launcher.running().is_empty());
    held(f.connected("a"), false, "Disabled");
    held(f.condition("a", kind::READY), false, "Disabled");
    assert!(!f.ask("a", 10).await.expect("answered"));
}

#[tokio::test(start_paused = true)]
async fn a_camera_on_demand_starts_for_the_first_viewer_and_stops_after_the_last() {
    let f = Fixture::new(true);
    f.world.camera("a", on_demand("30s"));
    pass(2.0).await;
    assert_eq!(f.launcher.count(), 0);
    held(f.connected("a"), false, "Idle");
    held(f.condition("a", kind::READY), true, "Standby");

    // Several at once start one.
    let waiting = [f.ask("a", 10), f.ask("A", 10)];
    pass(0.5).await;
    assert_eq!(f.launcher.count(), 1);
    f.launcher.last().live();
    for viewer in waiting {
        assert!(viewer.await.expect("answered"));
    }
    let viewer = f.hub.stream(&path("a")).expect("it runs").subscribe();
    pass(120.0).await;
    assert_eq!(f.launcher.running(), ["a"]);
    held(f.connected("a"), true, "Connected");
    drop(viewer);
    pass(28.0).await;
    assert_eq!(f.launcher.running(), ["a"]);
    pass(5.0).await;
    assert!(f.launcher.running().is_empty());
    held(f.connected("a"), false, "Idle");

    // And again.
    let waiting = f.ask("a", 10);
    pass(0.5).await;
    f.launcher.last().live();
    assert!(waiting.await.expect("answered"));
    assert_eq!(f.launcher.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_camera_on_demand_that_fails_lets_nobody_wait_and_is_not_redialled_for_nobody() {
    let f = Fixture::new(true);
    f.world.camera("a", on_demand("30s"));
    pass(1.0).await;
    let waiting = f.ask("a", 60);
    pass(0.5).await;
    f.launcher.last().fail(Reason::AuthFailed);
    let asked = tokio::time::Instant::now();
    assert!(!waiting.await.expect("answered"));
    assert!(asked.elapsed() < Duration::from_secs(1));
    pass(1.0).await;
    assert!(f.launcher.running().is_empty());
    held(f.connected("a"), false, "AuthFailed");
    held(f.condition("a", kind::READY), false, "AuthFailed");
    // A crowd that asks again at once is not passed on to the camera.
    let again = f.ask("a", 60);
    assert!(!again.await.expect("answered"));
    assert_eq!(f.launcher.count(), 1);
    pass(3.0).await;
    let again = f.ask("a", 60);
    pass(0.5).await;
    f.launcher.last().live();
    assert!(again.await.expect("answered"));
    assert_eq!(f.launcher.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn of_two_with_one_path_the_older_runs() {
    let f = Fixture::new(true);
    let camera = |created: &str| json!({"metadata": {"creationTimestamp": created}, "spec": {"path": "One/Path", "source": {"rtsp": {"url": "rtsp://h/"}}}});
    f.world.camera("a", camera("2026-01-02T00:00:00Z"));
    pass(2.0).await;
    assert_eq!(f.launcher.running(), ["one/path"]);
    f.world.camera("b", camera("2026-01-01T00:00:00Z"));
    pass(2.0).await;
    assert_eq!(f.launcher.running(), ["one/path"]);
    held(f.condition("a", kind::ACCEPTED), false, "PathTaken");
    held(f.condition("a", kind::STALLED), true, "PathTaken");
    held(f.condition("b", kind::ACCEPTED), true, "Accepted");
    f.world.no_camera("b");
    pass(2.0).await;
    held(f.condition("a", kind::ACCEPTED), true, "Accepted");
    assert_eq!(f.launcher.running(), ["one/path"]);
}

#[tokio::test(start_paused = true)]
async fn a_published_camera_follows_its_publisher() {
    let f = Fixture::new(true);
    f.world.camera("a", json!({"spec": {"source": {"publish": {}}}}));
    pass(2.0).await;
    held(f.connected("a"), false, "WaitingForPublisher");
    assert_eq!(f.launcher.count(), 0);
    let provenance = crate::hub::Provenance {
        protocol: "rtsp-push",
        address: String::new(),
        session: 1,
    };
    let segmentation = crate::hub::Segmentation::Own(Duration::from_secs(2));
    let publisher = f.hub.publish(
        &path("a"),
        crate::cluster::fixtures::tracks(),
        provenance,
        segmentation,
    );
    pass(3.0).await;
    held(f.connected("a"), true, "Connected");
    assert_eq!(f.said("a")["codec"], "H264");
    drop(publisher);
    pass(3.0).await;
    held(f.connected("a"), false, "WaitingForPublisher");
}

#[tokio::test(start_paused = true)]
async fn sources_that_cant_be_run_are_refused_by_condition() {
    let f = Fixture::new(true);
    f.world.camera(
        "a",
        json!({"spec": {"source": {"http": {"url": "http://h/live.flv"}}}}),
    );
    f.world.camera(
        "b",
        json!({"spec": {"source": {"file": {"path": "../../etc/passwd"}}}}),
    );
    pass(2.0).await;
    assert_eq!(f.launcher.count(), 0);
    held(f.connected("a"), false, "UnsupportedSource");
    held(f.connected("b"), false, "InvalidSpec");
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_waited_for_and_its_rotation_breaks_no_live_stream() {
    let f = Fixture::new(true);
    f.world.camera(
        "a",
        json!({"spec": {"source": {"rtsp": {"url": "rtsp://a/"}}, "credentials": {"secretName": "door"}}}),
    );
    pass(2.0).await;
    assert_eq!(f.launcher.count(), 0);
    held(f.connected("a"), false, "SecretNotFound");
    *f.vault.password.lock() = Some("one".to_owned());
    pass(10.0).await;
    assert_eq!(f.launcher.count(), 1);
    let password = || match &f.launcher.last().job.source {
        Source::Rtsp {
            credentials: Some(c), ..
        } => c.password.reveal().clone(),
        _ => String::new(),
    };
    assert_eq!(password(), "one");
    f.launcher.last().live();
    pass(120.0).await;
    // Changed while it runs: nothing happens until the camera refuses the old one.
    *f.vault.password.lock() = Some("two".to_owned());
    pass(120.0).await;
    assert_eq!(f.launcher.count(), 1);
    f.launcher.last().fail(Reason::AuthFailed);
    pass(2.0).await;
    assert_eq!(password(), "two");
    assert_eq!(f.launcher.running(), ["a"]);
    // With the API server away, what is known goes on to count.
    *f.vault.away.lock() = true;
    f.launcher.last().fail(Reason::AuthFailed);
    pass(10.0).await;
    assert_eq!(f.launcher.running(), ["a"]);
    held(f.connected("a"), false, "AuthFailed");
}

#[tokio::test(start_paused = true)]
async fn a_source_is_not_sent_what_is_in_the_secrets_of_a_pool() {
    let f = Fixture::new(true);
    *f.vault.password.lock() = Some("canary-admin".to_owned());
    f.world.pool("media", &json!({"database": {"secretName": "db"}}));
    for (name, secret) in [("a", "media-auth"), ("b", "db"), ("c", "door")] {
        f.world.camera(
            name,
            json!({"spec": {"source": {"rtsp": {"url": "rtsp://a/"}}, "credentials": {"secretName": secret}}}),
        );
    }
    pass(2.0).await;
    assert_eq!(f.launcher.running(), ["c"]);
    for name in ["a", "b"] {
        held(f.condition(name, kind::ACCEPTED), false, "InvalidSpec");
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_ends_by_itself_is_started_again_more_and_more_rarely() {
    let f = Fixture::new(true);
    f.world.rtsp("a");
    pass(0.5).await;
    for _ in 0..60 {
        f.launcher.last().crash();
        pass(1.0).await;
    }
    assert!((4..=8).contains(&f.launcher.count()), "{}", f.launcher.count());
}

#[tokio::test(start_paused = true)]
async fn a_file_that_does_not_repeat_plays_once() {
    let f = Fixture::new(true);
    f.world.camera(
        "a",
        json!({"spec": {"source": {"file": {"path": "x.mp4", "loop": false}}}}),
    );
    pass(0.5).await;
    assert!(!f.launcher.last().job.redial);
    f.launcher.last().live();
    pass(2.0).await;
    f.launcher.last().fail(Reason::Ended);
    pass(60.0).await;
    assert_eq!(f.launcher.count(), 1);
    held(f.connected("a"), false, "ClosedBySource");
    // One that isn't there may come.
    f.world.camera(
        "b",
        json!({"spec": {"source": {"file": {"path": "y.mp4", "loop": false}}}}),
    );
    pass(0.5).await;
    f.launcher.last().fail(Reason::NotFound);
    pass(2.0).await;
    held(f.connected("b"), false, "NotFound");
    assert_eq!(f.launcher.running(), ["b"], "tried again");
}

#[tokio::test(start_paused = true)]
async fn flapping_does_not_storm_the_api_server() {
    let f = Fixture::new(true);
    f.world.rtsp("a");
    pass(0.5).await;
    let job = f.launcher.last();
    for _ in 0..600 {
        job.live();
        pass(0.5).await;
        job.fail(Reason::Ended);
        pass(0.5).await;
    }
    assert!(f.written("a") <= 110, "{}", f.written("a"));
    assert!(f.notices().len() <= 6 + 20, "{}", f.notices().len());
    job.live();
    pass(60.0).await;
    held(f.connected("a"), true, "Connected");
}

#[tokio::test(start_paused = true)]
async fn a_route_pulls_on_demand_and_ends_when_idle() {
    let f = Fixture::new(true);
    f.world.route("r", "/hr/", "rtsp://h:8540/video", false);
    pass(0.5).await;
    assert!(!f.ask("other", 10).await.expect("answered"), "no route: no wait");
    assert_eq!(f.launcher.count(), 0);
    let waiting = [f.ask("hr/Door", 10), f.ask("/HR/door", 10)];
    pass(0.5).await;
    assert_eq!(f.launcher.count(), 1);
    let job = f.launcher.last();
    assert!(!job.job.redial);
    assert_eq!(job.job.source.shown(), "rtsp://h:8540/video/door");
    job.live();
    for viewer in waiting {
        assert!(viewer.await.expect("answered"));
    }
    pass(2.0).await;
    assert_eq!(f.said("r")["streams"], 1);
    // Idle time runs from the last viewer, and a new one resets it.
    pass(200.0).await;
    let viewer = f.hub.stream(&path("hr/door")).expect("it runs").subscribe();
    pass(2.0).await;
    drop(viewer);
    pass(290.0).await;
    assert_eq!(f.launcher.running(), ["hr/door"]);
    pass(15.0).await;
    assert!(f.launcher.running().is_empty());
    assert_eq!(f.said("r")["streams"], 0);
}

#[tokio::test(start_paused = true)]
async fn a_kept_route_stays_until_its_source_ends_and_is_not_redialled() {
    let f = Fixture::new(true);
    f.world.route("r", "/gate", "rtsp://h/g", true);
    pass(0.5).await;
    let waiting = f.ask("gate", 10);
    pass(0.5).await;
    f.launcher.last().live();
    assert!(waiting.await.expect("answered"));
    pass(7200.0).await;
    assert_eq!(f.launcher.running(), ["gate"]);
    // Deleting the route leaves its stream alone.
    f.world.no_route("r");
    pass(60.0).await;
    assert_eq!(f.launcher.running(), ["gate"]);
    f.world.route("r", "/gate", "rtsp://h/g", true);
    f.launcher.last().fail(Reason::Ended);
    pass(60.0).await;
    assert_eq!(f.launcher.count(), 1);
    let waiting = f.ask("gate", 10);
    pass(0.5).await;
    assert_eq!(f.launcher.count(), 2);
    f.launcher.last().fail(Reason::NotFound);
    assert!(!waiting.await.expect("answered"));
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_after_a_route_s_stream_was_closed_has_it_pulled_anew() {
    let f = Fixture::new(true);
    f.world.route("r", "/gate", "rtsp://h/g", false);
    pass(0.5).await;
    let waiting = f.ask("gate", 10);
    pass(0.1).await;
    f.launcher.last().live();
    assert!(waiting.await.expect("answered"));
    // One comes before its job has noticed, one comes soon after.
    assert!(f.hub.close(&path("gate")));
    let early = f.ask("gate", 10);
    pass(0.1).await;
    assert_eq!(f.launcher.count(), 1);
    f.launcher.last().fail(Reason::Closed);
    pass(0.1).await;
    assert_eq!(f.launcher.count(), 2);
    f.launcher.last().live();
    assert!(early.await.expect("answered"));
    f.launcher.last().fail(Reason::Closed);
    pass(0.1).await;
    let late = f.ask("gate", 10);
    pass(0.1).await;
    assert_eq!(f.launcher.count(), 3);
    // A start that fails is not repeated for a while, however many ask.
    f.launcher.last().fail(Reason::Unreachable);
    assert!(!late.await.expect("answered"));
    assert!(!f.ask("gate", 10).await.expect("answered"));
    assert_eq!(f.launcher.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_camera_takes_its_path_from_a_route() {
    let f = Fixture::new(true);
    f.world.route("r", "/", "rtsp://h/", false);
    pass(0.5).await;
    let waiting = f.ask("a", 10);
    pass(0.5).await;
    f.launcher.last().live();
    assert!(waiting.await.expect("answered"));
    f.world.rtsp("a");
    pass(3.0).await;
    assert_eq!(f.launcher.running(), ["a"]);
    assert!(f.launcher.last().job.redial, "the camera's job");
    // A disabled camera's path is not the route's either.
    f.world.camera(
        "b",
        json!({"spec": {"enabled": false, "source": {"rtsp": {"url": "rtsp://b/"}}}}),
    );
    pass(0.5).await;
    assert!(!f.ask("b", 10).await.expect("answered"));
}

#[tokio::test(start_paused = true)]
async fn routes_that_cant_serve_say_why() {
    let f = Fixture::new(true);
    f.world.route("a", "/x/", "rtsp://h/", false);
    f.world.route("b", "X/", "rtsp://h/", false);
    f.world.route("c", "/y", "http://h/", false);
    pass(2.0).await;
    held(f.condition("a", kind::READY), true, "Accepted");
    held(f.condition("b", kind::READY), false, "DuplicatePattern");
    held(f.condition("c", kind::READY), false, "UnsupportedScheme");
    assert!(!f.ask("y", 10).await.expect("answered"));
}

#[tokio::test(start_paused = true)]
async fn a_node_runs_what_is_placed_on_it() {
    let f = Fixture::new(false);
    f.world.camera("a", placed(Some("n-0"), 3, &json!({})));
    f.world.camera("b", placed(Some("n-1"), 1, &json!({})));
    f.world.camera("c", placed(None, 1, &json!({})));
    f.world.route("r", "/", "rtsp://h/", false);
    pass(2.0).await;
    assert_eq!(f.launcher.running(), ["a"]);
    assert_eq!(f.said("a")["observedEpoch"], 3);
    assert!(f.said("a")["node"].is_null(), "that is the operator's to say");
    assert_eq!(f.written("b") + f.written("c") + f.written("r"), 0);
    // A camera of another node is no route's.
    assert!(!f.ask("b", 10).await.expect("answered"));
    // A newer placement on the same node is the same job.
    f.launcher.last().live();
    f.world.camera("a", placed(Some("n-0"), 4, &json!({})));
    pass(2.0).await;
    assert_eq!(f.said("a")["observedEpoch"], 4);
    assert_eq!(f.launcher.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_camera_is_handed_over_when_the_new_node_has_media() {
    let f = Fixture::new(false);
    f.world.camera("a", placed(Some("n-0"), 1, &json!({})));
    pass(0.5).await;
    f.launcher.last().live();
    pass(2.0).await;
    let mine = f.said("a");
    let written = f.written("a");
    // What stands there still is this node's own word.
    f.world.camera("a", placed(Some("n-1"), 2, &mine));
    pass(5.0).await;
    assert_eq!(f.launcher.running(), ["a"], "goes on");
    assert_eq!(f.written("a"), written, "and is silent");
    let drained = tokio::spawn({
        let supervisor = f.supervisor.clone();
        async move { supervisor.drain(Duration::from_secs(25)).await }
    });
    let mut theirs = mine;
    theirs["observedEpoch"] = 2.into();
    f.world.camera("a", placed(Some("n-1"), 2, &theirs));
    pass(0.5).await;
    assert!(f.launcher.running().is_empty());
    assert!(drained.await.expect("it ends"));
}

#[tokio::test(start_paused = true)]
async fn what_the_former_node_said_stands_for_a_moment() {
    let f = Fixture::new(false);
    let live = json!({"observedEpoch": 1, "conditions": [{"type": "Connected", "status": "True", "reason": "Connected",
        "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
    f.world.camera("a", placed(Some("n-0"), 2, &live));
    f.world.camera("b", placed(Some("n-0"), 2, &live));
    pass(1.0).await;
    assert_eq!(f.written("a") + f.written("b"), 0);
    for started in f
        .launcher
        .started
        .lock()
        .iter()
        .filter(|s| s.job.path.as_str() == "a")
    {
        started.live();
    }
    pass(1.0).await;
    held(f.connected("a"), true, "Connected");
    assert_eq!(
        f.said("a")["conditions"][1]["lastTransitionTime"],
        "2026-01-01T00:00:00Z"
    );
    pass(3.0).await;
    held(f.connected("b"), false, "Connecting");
    assert_eq!(f.said("b")["observedEpoch"], 2);
}

#[tokio::test(start_paused = true)]
async fn a_hand_over_takes_ten_seconds_at_most() {
    let f = Fixture::new(false);
    f.world.camera("a", placed(Some("n-0"), 1, &json!({})));
    f.world.camera("b", placed(Some("n-0"), 1, &json!({})));
    pass(0.5).await;
    for started in f
        .launcher
        .started
        .lock()
        .iter()
        .filter(|s| s.job.path.as_str() == "a")
    {
        started.live();
    }
    pass(2.0).await;
    f.world.camera("a", placed(Some("n-1"), 2, &json!({})));
    // One that has no media has nothing to hand over.
    f.world.camera("b", placed(Some("n-1"), 2, &json!({})));
    pass(1.0).await;
    assert_eq!(f.launcher.running(), ["a"]);
    assert!(!f.supervisor.drain(Duration::from_secs(5)).await);
    pass(6.0).await;
    assert!(f.launcher.running().is_empty());
    assert!(f.supervisor.drain(Duration::from_secs(5)).await);
}

#[tokio::test(start_paused = true)]
async fn a_recorded_camera_goes_on_until_the_new_node_records() {
    let f = Fixture::new(false);
    let list = json!([{"url": RTSP}]);
    let camera = |node: &str, epoch: i64, status: &Value| {
        let mut camera = placed(Some(node), epoch, status);
        camera["spec"]["forward"] = list.clone();
        camera
    };
    f.world.camera("a", camera("n-0", 1, &json!({})));
    pass(0.5).await;
    f.launcher.last().live();
    f.recording
        .change("uid-a", |state| state.writing_since_ms = Some(1000));
    pass(2.0).await;
    f.pusher.last().say(forward::State::Live);
    pass(2.0).await;
    let mut theirs = f.said("a");
    f.world.camera("a", camera("n-1", 2, &theirs));
    pass(8.0).await;
    assert_eq!(f.pusher.running(), [RTSP], "the other has no media yet");
    let drained = tokio::spawn({
        let supervisor = f.supervisor.clone();
        async move { supervisor.drain(Duration::from_secs(25)).await }
    });
    theirs["observedEpoch"] = 2.into();
    f.world.camera("a", camera("n-1", 2, &theirs));
    pass(0.5).await;
    assert!(f.pusher.running().is_empty(), "no server has it twice");
    // Longer than a hand-over takes at most: that ends when the other has media.
    pass(4.0).await;
    assert_eq!(f.launcher.running(), ["a"], "its next keyframe is yet to come");
    assert!(!drained.is_finished());
    pass(3.0).await;
    assert!(f.launcher.running().is_empty());
    assert!(drained.await.expect("it ends"));
}

#[tokio::test(start_paused = true)]
async fn a_camera_that_comes_back_goes_on_and_one_without_node_stops_at_once() {
    let f = Fixture::new(false);
    f.world.camera("a", placed(Some("n-0"), 1, &json!({})));
    pass(0.5).await;
    f.launcher.last().live();
    pass(2.0).await;
    f.world.camera("a", placed(Some("n-1"), 2, &json!({})));
    pass(3.0).await;
    f.world.camera("a", placed(Some("n-0"), 3, &json!({})));
    pass(20.0).await;
    assert_eq!((f.launcher.count(), f.launcher.running().len()), (1, 1));
    assert_eq!(f.said("a")["observedEpoch"], 3);
    held(f.connected("a"), true, "Connected");
    f.world.camera("a", placed(None, 3, &json!({})));
    pass(0.5).await;
    assert!(f.launcher.running().is_empty());
}

#[tokio::test(start_paused = true)]
async fn it_ends_with_all_that_it_started() {
    let f = Fixture::new(true);
    f.world.rtsp("a");
    f.world.route("r", "/x/", "rtsp://h/", true);
    pass(0.5).await;
    let _waiting = f.ask("x/y", 10);
    pass(0.5).await;
    assert_eq!(f.launcher.running(), ["a", "x/y"]);
    f.stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), f.task)
        .await
        .expect("in time")
        .expect("without panic");
    assert!(f.launcher.running().is_empty());
}

#[tokio::test(start_paused = true)]
async fn statuses_are_written_for_the_version_they_were_decided_from() {
    let f = Fixture::new(false);
    f.world.camera("a", placed(Some("n-0"), 1, &json!({})));
    pass(0.5).await;
    let version = f.pad.statuses.lock()[0].1.clone();
    let now = f.world.world.cameras.state()[0].metadata.resource_version.clone();
    assert_eq!(version, now);
}

const RTMP: &str = "rtmp://h/live/a";
const RTSP: &str = "rtsp://h/in/a";

fn forwarding(more: Value, forward: &Value) -> Value {
    let mut camera = json!({"spec": {"source": {"rtsp": {"url": "rtsp://a/"}}, "forward": forward}});
    if let Value::Object(more) = more {
        camera["spec"].as_object_mut().expect("a spec").extend(more);
    }
    camera
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_pushed_and_the_condition_names_who_does_not_take_it() {
    let f = Fixture::new(true);
    // A standing wish: it waits for no viewer.
    let list = json!([{"url": RTMP}, {"url": RTSP}]);
    f.world
        .camera("a", forwarding(json!({"connect": "OnDemand"}), &list));
    pass(2.0).await;
    assert_eq!(f.launcher.running(), ["a"]);
    assert_eq!(f.pusher.running(), [RTMP, RTSP]);
    held(f.condition("a", kind::FORWARDING), false, "NoStream");
    f.launcher.last().live();
    let pushed = f.pusher.0.lock().clone();
    for forward in &pushed {
        forward.say(forward::State::Connecting);
    }
    pass(2.0).await;
    held(f.condition("a", kind::FORWARDING), false, "Connecting");
    pushed[0].say(forward::State::Live);
    pushed[1].say(forward::State::Failed {
        reason: forward::Reason::Refused,
        message: format!("{RTSP} refuses ANNOUNCE"),
    });
    pass(2.0).await;
    held(f.condition("a", kind::FORWARDING), false, "Refused");
    let said = f.said("a");
    let message = &said["conditions"].as_array().expect("conditions")[3]["message"];
    assert_eq!(message, "rtsp://h/in/a refuses ANNOUNCE");
    pushed[1].say(forward::State::Live);
    pass(2.0).await;
    held(f.condition("a", kind::FORWARDING), true, "Forwarding");
    held(f.connected("a"), true, "Connected");
    let of_forwards = |(reason, _): &(&str, String)| matches!(*reason, "Forwarding" | "ForwardFailed");
    assert_eq!(f.notices().into_iter().filter(of_forwards).count(), 3);
    // Nobody watches, for longer than the idle time.
    pass(600.0).await;
    assert_eq!(f.launcher.running(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_changed_list_concerns_those_alone_that_changed() {
    let f = Fixture::new(true);
    f.world
        .camera("a", forwarding(json!({}), &json!([{"url": RTMP}, {"url": RTSP}])));
    pass(0.5).await;
    f.launcher.last().live();
    let first = f.pusher.0.lock()[0].clone();
    first.say(forward::State::Live);
    pass(2.0).await;
    f.world.camera(
        "a",
        forwarding(json!({}), &json!([{"url": "rtsp://h/other"}, {"url": RTMP}])),
    );
    pass(2.0).await;
    assert_eq!(f.pusher.running(), [RTMP, "rtsp://h/other"]);
    assert_eq!((f.pusher.count(), first.is_stopped()), (3, false));
    assert_eq!((f.launcher.count(), f.launcher.running().len()), (1, 1));
    // Without a stream there is nothing to push.
    f.world.camera(
        "a",
        forwarding(json!({"enabled": false}), &json!([{"url": RTMP}])),
    );
    pass(2.0).await;
    assert!(f.pusher.running().is_empty());
    held(f.condition("a", kind::FORWARDING), false, "NoStream");
    f.world.camera("a", forwarding(json!({}), &json!([])));
    pass(2.0).await;
    held(f.condition("a", kind::FORWARDING), false, "none");
}

#[tokio::test(start_paused = true)]
async fn a_server_is_shown_what_its_secret_says_and_no_pool_secret() {
    let f = Fixture::new(true);
    f.world.pool("media", &json!({}));
    let list =
        json!([{"url": "rtmp://h/live", "secretName": "key"}, {"url": RTSP, "secretName": "media-auth"}]);
    f.world.camera("a", forwarding(json!({}), &list));
    pass(2.0).await;
    assert_eq!(f.pusher.count(), 0);
    held(f.condition("a", kind::FORWARDING), false, "SecretNotFound");
    *f.vault.password.lock() = Some("one".to_owned());
    pass(10.0).await;
    let key = || match &f.pusher.last().forward.target {
        Target::Rtmp { url, .. } => url.parts().stream_path(),
        Target::Rtsp { .. } => String::new(),
    };
    assert_eq!(
        (f.pusher.running(), key()),
        (vec!["rtmp://h/live".to_owned()], "/live/one".to_owned())
    );
    held(f.condition("a", kind::FORWARDING), false, "NoStream");
    let first = f.pusher.last();
    first.say(forward::State::Live);
    pass(2.0).await;
    held(f.condition("a", kind::FORWARDING), false, "InvalidSpec");
    // A new key breaks no stream that is taken; the next dial has it.
    *f.vault.password.lock() = Some("two".to_owned());
    pass(120.0).await;
    assert_eq!(f.pusher.count(), 1);
    first.say(forward::State::Failed {
        reason: forward::Reason::AuthFailed,
        message: "made up".to_owned(),
    });
    pass(2.0).await;
    assert_eq!(
        (f.pusher.count(), key(), first.is_stopped()),
        (2, "/live/two".to_owned(), true)
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_route_started_is_pushed_as_the_route_says_now() {
    let f = Fixture::new(true);
    let route =
        |forward: &Value| json!({"spec": {"pattern": "/hr/", "url": "rtsp://h/", "forward": forward}});
    f.world.route_of("r", route(&json!([{"url": "rtsp://o/in"}])));
    pass(2.0).await;
    held(f.condition("r", kind::FORWARDING), false, "NoStream");
    let waiting = f.ask("hr/Door", 10);
    pass(0.5).await;
    f.launcher.last().live();
    assert!(waiting.await.expect("answered"));
    assert_eq!(f.pusher.running(), ["rtsp://o/in/door"]);
    f.pusher.last().say(forward::State::Live);
    pass(2.0).await;
    held(f.condition("r", kind::FORWARDING), true, "Forwarding");
    // It is kept, though nobody watches.
    pass(900.0).await;
    assert_eq!(f.launcher.running(), ["hr/door"]);
    f.world.route_of("r", route(&json!([])));
    pass(2.0).await;
    assert!(f.pusher.running().is_empty());
    held(f.condition("r", kind::FORWARDING), false, "none");
    pass(400.0).await;
    assert!(f.launcher.running().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_node_says_of_a_route_no_more_than_where_it_is_pushed_to() {
    let f = Fixture::new(false);
    let route = |pattern: &str| json!({"spec": {"pattern": pattern, "url": "rtsp://h/x", "forward": [{"url": RTSP}]}});
    f.world.route_of("one", route("/one"));
    f.world.route_of("all", route("/all/"));
    pass(2.0).await;
    assert_eq!(f.written("one") + f.written("all"), 0);
    for path in ["one", "all/x"] {
        let waiting = f.ask(path, 10);
        pass(0.5).await;
        f.launcher.last().live();
        assert!(waiting.await.expect("answered"));
        f.pusher.last().say(forward::State::Live);
    }
    pass(2.0).await;
    assert_eq!(f.pusher.count(), 2);
    held(f.condition("one", kind::FORWARDING), true, "Forwarding");
    assert_eq!(f.said("one").as_object().map(serde_json::Map::len), Some(1));
    assert_eq!(
        f.written("all"),
        0,
        "many nodes may push streams of one directory"
    );
    f.launcher.started.lock()[0].fail(Reason::Ended);
    pass(3.0).await;
    assert_eq!(f.said("one"), json!({}), "it is taken back");
}

/// A path and the two nodes in the order in which they own it, me among them or not.
fn owned(by: &str, among: &[&str]) -> String {
    let named = |i: u32| format!("gate-{i}");
    let path = (0..100)
        .map(named)
        .find(|p| crate::cluster::owner::owner(p, among.iter().copied()) == Some(by));
    path.expect("somebody owns each")
}

#[tokio::test(start_paused = true)]
async fn a_forward_ends_where_the_path_is_owned_no_more() {
    let f = Fixture::new(false);
    // Mine alone, and theirs as soon as they are there.
    let gate = owned("n-1", &["n-0", "n-1"]);
    f.world.pod("n-0", "10.0.0.1", true);
    let route = |pattern: &str| json!({"spec": {"pattern": pattern, "url": "rtsp://h/x", "forward": [{"url": RTSP}]}});
    f.world.route_of("one", route(&gate));
    pass(1.0).await;
    let waiting = f.ask(&gate, 10);
    pass(0.5).await;
    f.launcher.last().live();
    assert!(waiting.await.expect("answered"));
    f.pusher.last().say(forward::State::Live);
    pass(2.0).await;
    held(f.condition("one", kind::FORWARDING), true, "Forwarding");
    let viewer = f.hub.stream(&path(&gate)).expect("it runs").subscribe();
    f.world.pod("n-1", "10.0.0.2", true);
    pass(1.0).await;
    assert!(f.pusher.running().is_empty(), "the other node pushes it now");
    let written = f.written("one");
    // Those who watch go on to.
    pass(600.0).await;
    assert_eq!(f.launcher.running(), [gate.as_str()]);
    drop(viewer);
    pass(310.0).await;
    assert!(f.launcher.running().is_empty());
    assert_eq!(
        f.written("one"),
        written,
        "what is said of it is the other node's"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_a_lost_node_pushed_goes_on() {
    let f = Fixture::new(false);
    let nodes = ["n-0", "n-1"];
    let (theirs, gone) = (owned("n-1", &nodes), owned("n-1", &nodes) + "/x/");
    f.world.pod("n-0", "10.0.0.1", true);
    f.world.pod("n-1", "10.0.0.2", true);
    let left = json!({"conditions": [{"type": "Forwarding", "status": "True", "reason": "Forwarding", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
    let route = |pattern: &str, status: &Value| json!({"spec": {"pattern": pattern, "url": "rtsp://h/x", "forward": [{"url": RTSP}]}, "status": status});
    f.world.route_of("one", route(&theirs, &left));
    f.world.route_of("all", route(&gone, &left));
    f.world
        .route_of("idle", route(&format!("{theirs}-idle"), &json!({})));
    pass(2.0).await;
    assert_eq!((f.launcher.count(), f.written("one")), (0, 0));
    f.world.no_pod("n-1");
    pass(1.0).await;
    assert_eq!(f.launcher.running(), [theirs.as_str()]);
    f.launcher.last().live();
    f.pusher.last().say(forward::State::Connecting);
    pass(2.0).await;
    held(f.condition("one", kind::FORWARDING), false, "Connecting");
    // It ends: what a former node said doesn't bring it back.
    f.launcher.last().fail(Reason::Ended);
    pass(5.0).await;
    assert_eq!((f.launcher.count(), f.said("one")), (1, json!({})));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_ends_leaves_no_word_of_forwarding() {
    let f = Fixture::new(false);
    f.world.route_of(
        "one",
        json!({"spec": {"pattern": "/one", "url": "rtsp://h/x", "forward": [{"url": RTSP}]}}),
    );
    pass(0.5).await;
    let waiting = f.ask("one", 10);
    pass(0.5).await;
    f.launcher.last().live();
    assert!(waiting.await.expect("answered"));
    f.pusher.last().say(forward::State::Live);
    pass(2.0).await;
    held(f.condition("one", kind::FORWARDING), true, "Forwarding");
    f.stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), f.task)
        .await
        .expect("in time")
        .expect("without panic");
    held(
        {
            let status = f
                .pad
                .statuses
                .lock()
                .last()
                .map(|(_, _, s)| s.clone())
                .unwrap_or_default();
            let c = &status["conditions"][0];
            (
                c["status"] == "True",
                c["reason"].as_str().unwrap_or_default().to_owned(),
            )
        },
        false,
        "Connecting",
    );
}

#[tokio::test(start_paused = true)]
async fn a_source_that_soon_ends_its_streams_is_dialled_more_and_more_rarely() {
    let f = Fixture::new(true);
    f.world.route("r", "/gate", "rtsp://h/g", false);
    pass(0.5).await;
    // Players that come back again and again, each before the end is noticed.
    let play = async |seconds: f64| {
        let mut dialled = 0;
        for _ in 0..(seconds / 0.1) as usize {
            let before = f.launcher.count();
            let waiting = f.ask("gate", 1);
            pass(0.05).await;
            if f.launcher.count() > before {
                dialled += 1;
                f.launcher.last().live();
                pass(0.02).await;
                f.launcher.last().fail(Reason::Ended);
                let _again = f.ask("gate", 1);
            }
            pass(0.03).await;
            drop(waiting);
        }
        dialled
    };
    let dialled = play(60.0).await;
    assert!((4..=8).contains(&dialled), "{dialled}");
    // One that lasts begins anew at once, and with short waits.
    pass(60.0).await;
    let waiting = f.ask("gate", 1);
    pass(0.1).await;
    f.launcher.last().live();
    assert!(waiting.await.expect("answered"));
    pass(11.0).await;
    f.launcher.last().fail(Reason::Ended);
    pass(0.1).await;
    let dialled = play(6.0).await;
    assert!((2..=4).contains(&dialled), "{dialled}");
}

#[tokio::test(start_paused = true)]
async fn who_asks_while_a_stream_ends_is_not_refused_with_it() {
    let f = Fixture::new(true);
    f.world.route("r", "/gate", "rtsp://h/g", false);
    pass(0.5).await;
    let mut waiting = f.ask("gate", 10);
    // Which of two pieces of news is heard first is left to chance.
    for count in 1..40 {
        pass(0.1).await;
        assert_eq!(f.launcher.count(), count);
        f.launcher.last().live();
        assert!(waiting.await.expect("answered"), "after {count}");
        pass(0.1).await;
        assert!(f.hub.close(&path("gate")));
        f.launcher.last().fail(Reason::Closed);
        // Sooner or later on the way of that news.
        for _ in 0..count % 10 {
            tokio::task::yield_now().await;
        }
        let (hub, path) = (f.hub.clone(), path("gate"));
        let mut asking = Box::pin(async move { hub.find(&path, Duration::from_secs(10)).await.is_some() });
        // At once, and not when its turn comes.
        let _ = futures::poll!(asking.as_mut());
        waiting = tokio::spawn(asking);
    }
}
