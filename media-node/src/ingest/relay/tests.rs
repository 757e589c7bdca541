//! Pods in one process: owners, and gateways at which streams are published.

use super::*;
use crate::auth::{RelaySecret, Settings};
use crate::egress::{self, Viewing, relay_push};
use crate::hub::Stream;
use crate::ingest::{Ingest, Launch, Reporter, Source, State};
use crate::listen::{self, Limits, Offer};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use weir_proto::media::codec::g711;
use weir_proto::media::{CodecParameters, Track};

struct Node {
    hub: Arc<Hub>,
    address: String,
}

impl Node {
    async fn start(secret: &RelaySecret) -> Self {
        let hub = Hub::new();
        let auth = Auth::without_accounts(Settings {
            anonymous_view: false,
            relay: secret.clone(),
        });
        let viewing = Viewing {
            hub: hub.clone(),
            auth: auth.clone(),
            patience: Duration::from_secs(1),
        };
        let offer = Offer::of(router(hub.clone(), auth).merge(egress::relay::router(viewing)));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        tokio::spawn(listen::serve(
            listener,
            listen::tls::Entrance::default(),
            offer,
            Limits::new(100, None),
            tasks,
            stop,
        ));
        Self { hub, address }
    }
}

fn path() -> StreamPath {
    StreamPath::parse("gate").expect("a path")
}

fn publish(hub: &Arc<Hub>, session: u64) -> Publisher {
    let parameters = g711::Parameters {
        law: g711::Law::A,
        channels: 1,
    };
    let tracks = Tracks::new([Track {
        codec: CodecParameters::G711(parameters),
        clock_rate: 8000,
    }]);
    let from = Provenance {
        protocol: "rtsp-push",
        address: "192.0.2.1:5000".to_owned(),
        session,
    };
    hub.publish(&path(), tracks, from, Segmentation::Own(Duration::from_secs(2)))
}

/// Session of the stream that runs.
fn session(hub: &Hub) -> Option<u64> {
    let stream = hub.stream(&path()).filter(|s| !s.has_ended());
    stream.map(|s| s.provenance().session)
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn bring(hub: &Arc<Hub>, stream: &Arc<Stream>, to: &Arc<Mutex<String>>, secret: &RelaySecret) {
    let to = to.clone();
    let owner = move |_: &StreamPath| Some(to.lock().clone());
    relay_push::start(hub.clone(), stream.clone(), owner, secret.secret().clone());
}

#[tokio::test]
async fn of_two_gateways_publishers_of_a_path_the_later_stays() {
    let secret = RelaySecret::random();
    let node = Node::start(&secret).await;
    let to = Arc::new(Mutex::new(node.address.clone()));
    let (one, two) = (Hub::new(), Hub::new());
    let first = publish(&one, 1);
    bring(&one, first.stream(), &to, &secret);
    eventually("the first is at its owner", || session(&node.hub) == Some(1)).await;
    let second = publish(&two, 2);
    bring(&two, second.stream(), &to, &secret);
    eventually("the second takes the path", || session(&node.hub) == Some(2)).await;
    eventually("the first ends", || one.stream(&path()).is_none()).await;
    // One that has ended is not brought again.
    assert!(!first.is_live());
    assert!(second.is_live());
}

#[tokio::test]
async fn a_published_stream_follows_its_path_to_another_owner() {
    let secret = RelaySecret::random();
    let (one, two) = (Node::start(&secret).await, Node::start(&secret).await);
    let to = Arc::new(Mutex::new(one.address.clone()));
    let gateway = Hub::new();
    let publisher = publish(&gateway, 1);
    bring(&gateway, publisher.stream(), &to, &secret);
    eventually("it is at its owner", || session(&one.hub) == Some(1)).await;
    to.lock().clone_from(&two.address);
    eventually("it is at its new owner", || session(&two.hub) == Some(1)).await;
    eventually("the former owner has it no more", || session(&one.hub).is_none()).await;
    assert!(publisher.is_live());
    // An owner that ends lets go of it too, and gets it again when it is back.
    two.hub.close(&path());
    eventually("it is brought again", || session(&two.hub) == Some(1)).await;
    assert!(publisher.is_live());
}

#[tokio::test]
async fn a_relay_does_not_take_a_path_from_a_publisher_of_this_pod() {
    let secret = RelaySecret::random();
    let node = Node::start(&secret).await;
    let at_owner = publish(&node.hub, 1);
    let gateway = Hub::new();
    let here = publish(&gateway, 2);
    let ingest = Ingest {
        hub: gateway.clone(),
        policy: watch::channel(Arc::new(crate::auth::source_policy::SourcePolicy::standalone())).1,
        segment: Duration::from_secs(2),
    };
    let job = Job {
        path: path(),
        camera: None,
        source: Source::Relay {
            address: node.address.clone(),
            secret: secret.secret().clone(),
        },
        audio: true,
        redial: false,
    };
    let (state, mut states) = watch::channel(State::Connecting);
    let reporter = Reporter {
        state,
        stop: CancellationToken::new(),
    };
    ingest.launch(job, reporter).await.expect("no panic");
    let state = states.borrow_and_update().clone();
    assert!(
        matches!(
            state,
            State::Failed {
                reason: Reason::Ended,
                ..
            }
        ),
        "{state:?}"
    );
    assert!(here.is_live() && at_owner.is_live());
}
