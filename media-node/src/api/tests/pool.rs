//! Streams of several pods, as one of them tells them.

use super::super::{LocalStreams, Pods, Pool, pool_router};
use super::*;
use axum::http::Method;
use bytes::Bytes;
use std::collections::BTreeMap;

/// What one pod has.
#[derive(Default)]
struct Local {
    survey: Survey,
    closed: Mutex<Vec<(String, Option<ConsumerId>)>>,
}

impl LocalStreams for Local {
    fn survey(&self) -> Survey {
        self.survey.clone()
    }

    fn stream(&self, path: &StreamPath) -> Option<Stream> {
        self.survey.streams.iter().find(|s| s.path == *path).cloned()
    }

    fn close(&self, path: &StreamPath) {
        self.closed.lock().push((path.to_string(), None));
    }

    fn close_consumer(&self, path: &StreamPath, consumer: ConsumerId) {
        self.closed.lock().push((path.to_string(), Some(consumer)));
    }
}

/// Other pods, by address; those without a door never answer.
struct Others {
    secret: String,
    doors: BTreeMap<String, Option<Router>>,
}

impl Others {
    async fn request(&self, address: &str, method: Method, target: &str) -> (u16, Bytes) {
        let Some(door) = &self.doors[address] else {
            return std::future::pending().await;
        };
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header("authorization", &self.secret)
            .body(Body::empty())
            .unwrap();
        let response = clean_paths(door.clone()).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        (
            status,
            axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap(),
        )
    }
}

#[async_trait]
impl Pods for Others {
    fn others(&self) -> Vec<String> {
        self.doors.keys().cloned().collect()
    }

    async fn ask(&self, address: &str, method: Method, target: &str) -> Result<Bytes, String> {
        match self.request(address, method, target).await {
            (200, body) => Ok(body),
            (status, _) => Err(format!("it answered {status}")),
        }
    }
}

fn consumer(kind: ConsumerKind, pod: u8, number: u32) -> Consumer {
    Consumer {
        id: ConsumerId { kind, pod, number },
        started: SystemTime::UNIX_EPOCH + Duration::new(1_772_449_376, 5),
        extra: "net=rtsp-tcp".into(),
        queued_bytes: 1024,
        sent_bytes: 1024,
    }
}

fn pod(streams: Vec<Stream>) -> Arc<Local> {
    Arc::new(Local {
        survey: Survey {
            streams,
            sessions: SESSIONS,
        },
        closed: Mutex::default(),
    })
}

struct Three {
    pool: Arc<Pool>,
    gateway: Arc<Local>,
    other: Arc<Local>,
    node: Arc<Local>,
    others: Arc<Others>,
}

/// This gateway, another, a node, and a pod that does not answer.
fn three() -> Three {
    let relayed = |path: &str, seconds: u64, consumers| Stream {
        hops: 2,
        started: stream(path).started + Duration::from_secs(seconds),
        provider: "10.0.0.1:8080".into(),
        consumers,
        ..stream(path)
    };
    let gateway = pod(vec![relayed(
        "gate/a1",
        5,
        vec![consumer(ConsumerKind::Rtp, 0, 1)],
    )]);
    let other = pod(vec![
        relayed(
            "gate/a1",
            3,
            vec![
                consumer(ConsumerKind::Flv, 1, 1),
                consumer(ConsumerKind::Rtp, 1, 2),
            ],
        ),
        Stream {
            provider: "192.0.2.9:5000".into(),
            ..stream("pushed")
        },
    ]);
    let node = pod(vec![
        stream("gate/a1"),
        Stream {
            hops: 1,
            provider: "10.0.0.2:8080".into(),
            ..stream("pushed")
        },
        stream("unwatched"),
    ]);
    let relay = RelaySecret::random();
    let secret = format!("Bearer {}", relay.secret().reveal());
    let auth = Auth::without_accounts(Settings {
        anonymous_view: true,
        relay,
    });
    let door = |local: &Arc<Local>| Some(pool_router(local.clone(), auth.clone()));
    let doors = [
        ("node".to_owned(), door(&node)),
        ("other".to_owned(), door(&other)),
        ("silent".to_owned(), None),
    ];
    let others = Arc::new(Others {
        secret,
        doors: doors.into(),
    });
    Three {
        pool: Pool::new(gateway.clone(), Some(others.clone())),
        gateway,
        other,
        node,
        others,
    }
}

#[tokio::test(start_paused = true)]
async fn streams_are_those_of_all_pods_that_answer() {
    let three = three();
    let mut survey = three.pool.survey().await;
    survey.streams.sort_by_key(|stream| stream.path.to_string());
    let paths: Vec<_> = survey.streams.iter().map(|s| s.path.to_string()).collect();
    assert_eq!(paths, ["gate/a1", "pushed", "unwatched"]);
    // As its owner knows it, with the consumers of all.
    let gate = &survey.streams[0];
    assert_eq!(
        (gate.hops, gate.started, gate.provider.as_str()),
        (0, stream("gate/a1").started, "rtsp://10.0.0.9:554/live2")
    );
    let mut ids: Vec<_> = gate.consumers.iter().map(|c| c.id.bits()).collect();
    ids.sort_unstable();
    assert_eq!(ids, [1, (1 << 22) + 2, (1 << 30) + (1 << 22) + 1]);
    assert_eq!(
        survey.streams[1].provider, "192.0.2.9:5000",
        "who published is known where"
    );
    assert_eq!(
        survey.sessions.rtsp,
        SessionCount {
            total: 27,
            active: 12
        }
    );

    let one = three
        .pool
        .stream(&StreamPath::parse("gate/a1").unwrap())
        .await
        .unwrap();
    assert_eq!((one.hops, one.consumers.len()), (0, 3));
    assert!(
        three
            .pool
            .stream(&StreamPath::parse("none").unwrap())
            .await
            .is_none()
    );
}

#[tokio::test(start_paused = true)]
async fn streams_are_closed_at_all_pods() {
    let three = three();
    let path = StreamPath::parse("gate/ä b:c").unwrap();
    let id = ConsumerId {
        kind: ConsumerKind::Flv,
        pod: 1,
        number: 1,
    };
    three.pool.close(&path).await;
    three.pool.close_consumer(&path, id).await;
    for pod in [&three.gateway, &three.other, &three.node] {
        let expected = [(path.to_string(), None), (path.to_string(), Some(id))];
        assert_eq!(*pod.closed.lock(), expected);
    }
}

#[tokio::test]
async fn only_pods_of_the_pool_are_answered() {
    let three = three();
    let door = &three.others;
    for secret in ["", "Bearer rubbish", "Bearer 0123456789abcdef0123456789abcdef"] {
        let stranger = Others {
            secret: secret.into(),
            doors: door.doors.clone(),
        };
        for (method, target) in [
            (Method::GET, "/pool/v1/survey"),
            (Method::DELETE, "/pool/v1/streams/gate/a1"),
        ] {
            let (status, body) = stranger.request("node", method, target).await;
            assert_eq!((status, &body[..]), (401, BAD_TOKEN.as_bytes()), "{target}");
        }
    }
    assert!(three.node.closed.lock().is_empty());
    let request = async |method, target: &str| door.request("node", method, target).await.0;
    assert_eq!(request(Method::GET, "/pool/v1/survey").await, 200);
    assert_eq!(
        request(Method::DELETE, "/pool/v1/streams/a?consumer=x").await,
        404
    );
}
