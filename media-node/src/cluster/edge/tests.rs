use super::*;
use crate::cluster::fixtures::{Launcher, MadeUp, Started, pass, path, tracks};
use crate::hub::{Provenance, Segmentation};
use crate::ingest::{Reason, Source};
use serde_json::json;

struct Fixture {
    world: MadeUp,
    hub: Arc<Hub>,
    launcher: Arc<Launcher>,
    edge: Edge,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Fixture {
    fn new() -> Self {
        let (world, hub) = (MadeUp::new(), Hub::new());
        let launcher = Launcher::new(hub.clone());
        for i in 0..3 {
            world.pod(&format!("n-{i}"), &format!("10.0.0.{i}"), true);
        }
        let stop = CancellationToken::new();
        let settings = EdgeSettings::new(8080, Redacted::new("secret".to_owned()));
        let (edge, task) = Edge::start(
            world.world.clone(),
            hub.clone(),
            launcher.clone(),
            settings,
            stop.clone(),
        );
        hub.set_demand(Arc::new(edge.clone()));
        Self {
            world,
            hub,
            launcher,
            edge,
            stop,
            task,
        }
    }

    fn place(&self, name: &str, node: Option<&str>, epoch: i64, observed: i64, live: bool) {
        let status = if live { "True" } else { "False" };
        self.world.camera(
            name,
            json!({"spec": {"source": {"rtsp": {"url": "rtsp://h/"}}},
                "status": {"node": node, "epoch": epoch, "observedEpoch": observed, "conditions": [
                    {"type": "Connected", "status": status, "reason": "x", "message": "",
                        "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}),
        );
    }

    fn ask(&self, text: &str) -> JoinHandle<bool> {
        let (hub, path) = (self.hub.clone(), path(text));
        tokio::spawn(async move { hub.find(&path, Duration::from_mins(1)).await.is_some() })
    }

    /// Where the job that was started last goes to.
    fn to(&self) -> String {
        address(&self.launcher.last())
    }

    /// Asks for a stream and brings it.
    async fn watch(&self, text: &str) -> crate::hub::Subscriber {
        let waiting = self.ask(text);
        pass(0.3).await;
        self.launcher.last().live();
        assert!(waiting.await.expect("answered"));
        self.hub.stream(&path(text)).expect("it runs").subscribe()
    }
}

fn address(started: &Started) -> String {
    match &started.job.source {
        Source::Relay { address, .. } => address.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn one_relay_for_all_viewers_and_none_after_the_last() {
    let f = Fixture::new();
    f.place("a", Some("n-1"), 1, 1, true);
    pass(0.5).await;
    let waiting = [f.ask("a"), f.ask("/A"), f.ask("a")];
    pass(0.3).await;
    assert_eq!(f.launcher.count(), 1);
    assert_eq!(f.to(), "10.0.0.1:8080");
    assert!(!f.launcher.last().job.redial);
    f.launcher.last().live();
    for viewer in waiting {
        assert!(viewer.await.expect("answered"));
    }
    let viewer = f.hub.stream(&path("a")).expect("it runs").subscribe();
    pass(300.0).await;
    assert_eq!(f.launcher.running(), ["a"]);
    drop(viewer);
    pass(8.0).await;
    assert_eq!(f.launcher.running(), ["a"]);
    pass(4.0).await;
    assert!(f.launcher.running().is_empty());
    assert!(f.hub.stream(&path("a")).is_none());
    assert_eq!(f.launcher.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn unknown_names_cost_two_questions_and_then_nothing() {
    let f = Fixture::new();
    pass(0.5).await;
    let waiting = f.ask("nobody");
    pass(0.3).await;
    let first = f.to();
    f.launcher.last().fail(Reason::NotFound);
    pass(0.3).await;
    assert_eq!(f.launcher.count(), 2);
    assert_ne!(f.to(), first);
    f.launcher.last().fail(Reason::NotFound);
    assert!(!waiting.await.expect("answered"));
    for _ in 0..100 {
        assert!(!f.ask("nobody").await.expect("answered"));
    }
    assert_eq!(f.launcher.count(), 2);
    assert!(f.launcher.running().is_empty());
    // Later it may be there.
    pass(3.0).await;
    drop(f.watch("nobody").await);
    assert_eq!(f.to(), first);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_unknown_names_is_bounded() {
    let f = Fixture::new();
    pass(0.5).await;
    let all: Vec<_> = (0..2000).map(|i| f.ask(&format!("x/{i}"))).collect();
    pass(0.3).await;
    assert!(f.launcher.count() <= MOST_ASKED, "{}", f.launcher.count());
    pass(30.0).await;
    for answer in all {
        assert!(!answer.await.expect("answered"));
    }
}

#[tokio::test(start_paused = true)]
async fn where_streams_are_published() {
    let f = Fixture::new();
    f.place("a", Some("n-2"), 1, 1, true);
    pass(0.5).await;
    let at = |p: &str| f.edge.owner_of(&path(p)).map(|o| (o.node, o.address));
    assert_eq!(at("A"), Some(("n-2".to_owned(), "10.0.0.2:8080".to_owned())));
    let pushed = at("some/push").expect("there are nodes");
    let names = ["n-0", "n-1", "n-2"];
    assert_eq!(Some(pushed.0.as_str()), owner::owner("some/push", names));
    f.world.no_pod(&pushed.0);
    pass(0.5).await;
    let rest = names.into_iter().filter(|n| *n != pushed.0);
    assert_eq!(
        at("some/push").map(|o| o.0).as_deref(),
        owner::owner("some/push", rest)
    );
}

#[tokio::test(start_paused = true)]
async fn a_planned_move_makes_the_new_relay_before_it_ends_the_old_one() {
    let f = Fixture::new();
    f.place("a", Some("n-0"), 1, 1, true);
    pass(0.5).await;
    let _viewer = f.watch("a").await;
    let old = f.launcher.last();
    // Placed elsewhere, not live there yet: what stands in the status is the former node's.
    f.place("a", Some("n-1"), 2, 1, true);
    pass(5.0).await;
    assert_eq!(f.launcher.count(), 1);
    f.place("a", Some("n-1"), 2, 2, false);
    pass(1.0).await;
    assert_eq!(f.launcher.count(), 1);
    f.place("a", Some("n-1"), 2, 2, true);
    pass(0.5).await;
    assert_eq!((f.launcher.count(), f.to().as_str()), (2, "10.0.0.1:8080"));
    assert!(!old.is_stopped(), "not before the new one has media");
    f.launcher.last().live();
    pass(0.5).await;
    assert!(old.is_stopped());
    let stream = f.hub.stream(&path("a")).expect("the new one runs");
    assert!(!stream.has_ended());
    let _viewer = stream.subscribe();
    pass(60.0).await;
    assert_eq!(f.launcher.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_move_waits_ten_seconds_at_most_and_survives_a_failed_start() {
    let f = Fixture::new();
    f.place("a", Some("n-0"), 1, 1, true);
    pass(0.5).await;
    let _viewer = f.watch("a").await;
    let old = f.launcher.last();
    f.place("a", Some("n-1"), 2, 1, true);
    pass(12.0).await;
    assert_eq!(f.launcher.count(), 2);
    f.launcher.last().fail(Reason::NotFound);
    pass(3.0).await;
    assert!(f.launcher.count() > 2, "tried again");
    assert!(!old.is_stopped(), "and the old one goes on");
    // Back where it was: nothing is to be done.
    f.place("a", Some("n-0"), 3, 3, true);
    pass(1.0).await;
    assert!(!old.is_stopped());
    assert_eq!(f.launcher.running(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_pod_is_not_waited_for() {
    let f = Fixture::new();
    f.place("a", Some("n-0"), 1, 1, true);
    pass(0.5).await;
    let _viewer = f.watch("a").await;
    let old = f.launcher.last();
    f.world.no_pod("n-0");
    pass(0.5).await;
    assert!(old.is_stopped());
    // Somebody comes back while the camera has no node, or one that is gone.
    let waiting = f.ask("a");
    pass(2.0).await;
    assert_eq!(f.launcher.count(), 1);
    f.place("a", Some("n-2"), 2, 1, true);
    pass(0.5).await;
    assert_eq!((f.launcher.count(), f.to().as_str()), (2, "10.0.0.2:8080"));
    f.launcher.last().live();
    assert!(waiting.await.expect("answered"));
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_came_back_under_its_name_is_dialled_anew() {
    let f = Fixture::new();
    f.place("a", Some("n-0"), 1, 1, true);
    pass(0.5).await;
    let _viewer = f.watch("a").await;
    let old = f.launcher.last();
    f.world.pod("n-0", "10.0.9.9", true);
    pass(0.5).await;
    assert!(old.is_stopped());
    assert_eq!((f.launcher.count(), f.to().as_str()), (2, "10.0.9.9:8080"));
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_does_not_answer_is_tried_until_patience_ends() {
    let f = Fixture::new();
    f.place("a", Some("n-0"), 1, 1, true);
    pass(0.5).await;
    let waiting = f.ask("a");
    for _ in 0..30 {
        pass(0.5).await;
        if f.launcher.running() == ["a"] {
            f.launcher.last().fail(Reason::Unreachable);
        }
    }
    assert!(!waiting.await.expect("answered"));
    assert!((5..=21).contains(&f.launcher.count()), "{}", f.launcher.count());
}

#[tokio::test(start_paused = true)]
async fn a_new_owner_that_does_not_know_its_camera_yet_is_asked_again() {
    let f = Fixture::new();
    f.place("a", Some("n-0"), 2, 1, false);
    pass(0.5).await;
    let waiting = f.ask("a");
    pass(0.3).await;
    f.launcher.last().fail(Reason::NotFound);
    pass(1.2).await;
    assert_eq!(f.launcher.count(), 2);
    f.launcher.last().live();
    assert!(waiting.await.expect("answered"));
    // One that has said how it stands is believed.
    f.place("b", Some("n-0"), 2, 2, false);
    pass(0.5).await;
    let waiting = f.ask("b");
    pass(0.3).await;
    f.launcher.last().fail(Reason::NotFound);
    assert!(!waiting.await.expect("answered"));
    assert_eq!(f.launcher.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_pushed_stream_stays_where_it_began_when_nodes_come() {
    let f = Fixture::new();
    pass(0.5).await;
    let _viewer = f.watch("push/a").await;
    let began = f.to();
    for i in 3..12 {
        f.world.pod(&format!("n-{i}"), &format!("10.0.0.{i}"), true);
    }
    pass(30.0).await;
    assert_eq!((f.launcher.count(), f.to()), (1, began));
}

#[tokio::test(start_paused = true)]
async fn disabled_cameras_are_not_asked_for_and_the_end_ends_all() {
    let f = Fixture::new();
    f.world.camera(
        "off",
        json!({"spec": {"enabled": false, "source": {"publish": {}}}}),
    );
    f.place("a", Some("n-0"), 1, 1, true);
    pass(0.5).await;
    assert!(!f.ask("off").await.expect("answered"));
    let _viewer = f.watch("a").await;
    f.stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), f.task)
        .await
        .expect("in time")
        .expect("without panic");
    assert!(f.launcher.running().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_relay_makes_way_for_a_publisher_at_the_same_gateway() {
    let f = Fixture::new();
    pass(0.5).await;
    let _viewer = f.watch("gate").await;
    let relay = f.launcher.last();
    let from = Provenance {
        protocol: "rtsp-push",
        address: String::new(),
        session: 2,
    };
    let own = Segmentation::Own(Duration::from_secs(2));
    let publisher = f.hub.publish(&path("gate"), tracks(), from, own);
    // As the ingest does, once it has seen that its stream was replaced.
    relay.fail(Reason::Ended);
    pass(30.0).await;
    assert!(publisher.is_live());
    assert_eq!(f.launcher.count(), 1);
    assert!(f.ask("gate").await.expect("answered"));
    // When it has left, the stream may come from elsewhere again.
    drop(publisher);
    drop(f.watch("gate").await);
    assert_eq!(f.launcher.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_no_camera_has_comes_back_only_for_who_asks() {
    let f = Fixture::new();
    pass(0.5).await;
    let viewer = f.watch("hr/door").await;
    assert!(f.hub.close(&path("hr/door")));
    f.launcher.last().fail(Reason::Ended);
    drop(viewer);
    pass(30.0).await;
    assert_eq!(f.launcher.count(), 1);
    let _viewer = f.watch("hr/door").await;
    assert_eq!(f.launcher.count(), 2);
    // One who asks before the relay has noticed gets the next one; so does one who asks at once after it has.
    assert!(f.hub.close(&path("hr/door")));
    let early = f.ask("hr/door");
    pass(0.1).await;
    assert_eq!(f.launcher.count(), 2);
    f.launcher.last().fail(Reason::Ended);
    pass(0.1).await;
    assert_eq!(f.launcher.count(), 3);
    f.launcher.last().live();
    assert!(early.await.expect("answered"));
    f.launcher.last().fail(Reason::Ended);
    pass(0.1).await;
    let late = f.ask("hr/door");
    pass(0.1).await;
    f.launcher.last().live();
    assert!(late.await.expect("answered"));
    assert_eq!(f.launcher.count(), 4);
    // A connection that broke is made anew without being asked.
    f.launcher.last().fail(Reason::Unreachable);
    pass(1.5).await;
    assert_eq!(f.launcher.count(), 5);
    // Who asked in between has been served by that: a stream that is closed later stays away.
    let between = f.ask("hr/door");
    pass(0.1).await;
    f.launcher.last().live();
    assert!(between.await.expect("answered"));
    pass(1.0).await;
    assert!(f.hub.close(&path("hr/door")));
    f.launcher.last().fail(Reason::Ended);
    pass(30.0).await;
    assert_eq!(f.launcher.count(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_has_not_heard_of_a_route_yet_is_asked_again() {
    let f = Fixture::new();
    pass(0.5).await;
    f.world.route("r", "/hr/", "rtsp://h/", false);
    pass(0.2).await;
    let waiting = f.ask("hr/door");
    pass(0.3).await;
    let owner = f.to();
    f.launcher.last().fail(Reason::NotFound);
    pass(1.2).await;
    assert_eq!((f.launcher.count(), f.to()), (2, owner));
    f.launcher.last().live();
    assert!(waiting.await.expect("answered"));
    // Later, a node that says so has tried.
    pass(6.0).await;
    let waiting = f.ask("hr/absent");
    for _ in 0..4 {
        pass(0.3).await;
        f.launcher.last().fail(Reason::NotFound);
    }
    assert!(!waiting.await.expect("answered"));
    assert_eq!(f.launcher.count(), 4, "two nodes were asked once each");
}
