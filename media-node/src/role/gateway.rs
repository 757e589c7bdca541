//! A pod that viewers and API clients talk to.

use super::directory::Directory;
use super::pod::{self, Pod};
use super::pods::PoolPods;
use super::ports::Ports;
use super::recording::{self, KeySource};
use super::serving::{Offered, Serving};
use super::shutdown;
use super::standalone::announce;
use super::stored::{self, Stored};
use super::tls::KUBELET_PATIENCE;
use super::{limits, ordinal, recorder};
use crate::api::{Api, Endpoints, Pool, Readiness, Server, index_router, pool_router};
use crate::auth::{AdminFiles, Auth};
use crate::cluster::edge::{Edge, EdgeSettings};
use crate::egress::hls::{Cutting, Hls};
use crate::egress::http::{self, Streams};
use crate::egress::{Viewing, relay_push};
use crate::hub::Hub;
use crate::ingest::{Ingest, Published, Publishing};
use crate::listen::rtmp::RtmpDoor;
use crate::listen::rtsp::RtspDoor;
use crate::listen::web_socket;
use crate::listen::wsp::{self, Channels, WspDoor};
use crate::record::{Snapshots, SqlCatalogue};
use crate::store::sql::{Database, Location};
use crate::{args, telemetry};
use anyhow::Context;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};
use weir_proto::media::StreamPath;

/// How long a viewer waits for a stream: the node may have to dial the camera first.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long the account store may take to answer at the start; then the pod starts over.
const STORE: Duration = Duration::from_mins(1);
/// After SIGTERM, requests still come for a moment, until every proxy knows that this pod goes.
const LINGER: Duration = Duration::from_secs(3);

/// Runs until SIGINT or SIGTERM.
pub async fn run(args: args::Gateway) -> anyhow::Result<()> {
    limits::raise_open_files();
    let stop = shutdown::on_signal()?;
    let metrics = telemetry::metrics()?;
    let pod = &args.pod;
    std::fs::create_dir_all(&pod.data)
        .with_context(|| format!("can't make the folder {}", pod.data.display()))?;
    let ports = Ports::bind(&pod.ports).await?;
    let ready = ports.ready()?;
    let ending = CancellationToken::new();
    let tls = args.tls.start(KUBELET_PATIENCE, &ending).await?;

    let location = match &args.database_url {
        Some(url) => Location::parse(url)?,
        None => Location::Sqlite(pod.data.join("weir.sqlite")),
    };
    let database = Database::open_patiently(&location, STORE)
        .await
        .context("can't open the account store")?;
    let Pod {
        world,
        cluster,
        settings,
        mut feeds,
    } = Pod::open(pod, &ending).await?;
    let secret = settings.relay.secret().clone();
    let pushing = secret.clone();
    let auth = Auth::new(database.clone(), settings);
    let (password, username) = (pod.auth_dir.join("password"), pod.auth_dir.join("username"));
    let admin = auth
        .bootstrap(Some(AdminFiles {
            password: &password,
            username: Some(&username),
        }))
        .await?;
    recorder::take_credential(&auth, &admin.admin, &pod.auth_dir.join("unionid")).await?;
    let (sweeper, sweep_end) = (auth.clone(), ending.clone());
    tokio::spawn(async move { sweeper.sweep(sweep_end).await });

    let hub = Hub::new();
    let segment = pod.media.segment();
    let policy = pod::policy(world.clone(), pod.deny_sources.clone(), ending.clone());
    let launch = Arc::new(Ingest {
        hub: hub.clone(),
        policy,
        segment,
    });
    let settings = EdgeSettings {
        handover: pod.handover(),
        ..EdgeSettings::new(pod.ports.http_port, secret)
    };
    let (edge, relaying) = Edge::start(world.clone(), hub.clone(), launch, settings, ending.clone());
    hub.set_demand(Arc::new(edge.clone()));
    let published_here = hub.clone();
    let published: Published = Arc::new(move |stream| {
        let edge = edge.clone();
        let owner = move |path: &StreamPath| edge.owner_of(path).map(|owner| owner.address);
        relay_push::start(published_here.clone(), stream.clone(), owner, pushing.clone());
    });

    let viewing = Viewing {
        hub: hub.clone(),
        auth: auth.clone(),
        patience: PATIENCE,
    };
    let readiness = Readiness::new();
    let (resources, going) = (readiness.check("resources"), readiness.check("going"));
    going.pass();
    let directory = Arc::new(Directory {
        hub: hub.clone(),
        world: world.clone(),
        ordinal: ordinal::hold(database.clone(), pod.pod_name.clone(), ending.clone()).await,
    });
    let others = Arc::new(PoolPods {
        world: world.clone(),
        me: pod.pod_name.clone(),
        http_port: pod.ports.http_port,
        secret: auth.relay_secret().secret().clone(),
    });
    let elsewhere = others.elsewhere();
    let finishing = Arc::new(tokio::sync::Notify::new());
    let catalogue = Arc::new(SqlCatalogue {
        database: database.clone(),
        finishing: finishing.clone(),
    });
    let pool = pool_router(directory.clone(), auth.clone()).merge(index_router(catalogue, auth.clone()));
    let keys = KeySource::Folder(pod.storage_dir.clone());
    let bucket = recording::follow_bucket(world.clone(), keys, None, ending.clone());
    let snapshots = Snapshots::new(hub.clone(), recording::workers(&pod.workers));
    let nodes = Arc::new(recorder::PoolNodes {
        world: world.clone(),
        namespace: pod.pod_namespace.clone(),
    });
    let stored = stored::Parts {
        world: world.clone(),
        database: database.clone(),
        bucket,
        snapshots,
        nodes: nodes.clone(),
        finishing,
    };
    let Stored { archive, footage } = Stored::start(stored, &ending);
    let recorder = recorder::build(database.clone(), nodes, footage, &args.recorder)?;
    let api = Api {
        auth,
        streams: Pool::new(directory.clone(), Some(others)),
        cameras: directory,
        specs: Arc::new(cluster.clone()),
        secrets: Arc::new(cluster),
        readiness,
        metrics: Arc::new(move || metrics.render()),
        endpoints: Endpoints {
            rtsp: ready.rtsp,
            http: ready.http,
            rtmp: ready.rtmp,
            tls: tls.is_offered(),
        },
        server: Server::new(),
        archive,
        recorder,
    };
    let publishing = Publishing {
        hub: hub.clone(),
        segment,
        published: Some(published),
    };
    let rtsp = RtspDoor {
        viewing: viewing.clone(),
        publishing: publishing.clone(),
        // Networks of clusters have none that would reach viewers.
        multicast: None,
        // A Service has no ports that are chosen for each session.
        udp_publish: false,
    };
    let rtmp = RtmpDoor {
        viewing: viewing.clone(),
        publishing,
    };
    let wsp_door = WspDoor {
        viewing: viewing.clone(),
        channels: Channels::new(pod::number(&pod.pod_name)),
        elsewhere: Some(Arc::new(elsewhere)),
    };
    let channels = wsp::router(wsp_door.clone());
    let streams = Streams {
        viewing: viewing.clone(),
        hls: Hls::new(
            hub.clone(),
            Cutting {
                segment,
                part: pod.media.part(),
            },
        ),
        conversation: web_socket::conversation(rtsp.clone(), wsp_door),
    };
    let offered = Offered {
        rtsp: Some(rtsp),
        rtmp: Some(rtmp),
        viewing,
        http: crate::api::router(api)
            .merge(http::router(streams))
            .merge(pool)
            .merge(channels),
        tls,
    };
    let limits = pod.ports.limits(offered.tls.is_offered());
    let listening = Serving::start(ports, offered, &limits);
    announce(&ready)?;
    tokio::spawn(async move {
        if world.ready().await {
            resources.pass();
        }
    });

    stop.cancelled().await;
    going.fail("the pod is about to go");
    tokio::time::sleep(LINGER).await;
    ending.cancel();
    let _ = relaying.await;
    for stream in hub.streams() {
        hub.close(stream.path());
    }
    listening.drain().await;
    while feeds.join_next().await.is_some() {}
    if let Err(error) = database.release_ordinal(&pod.pod_name).await {
        debug!(error = %error.chain(), "the ordinal is left to expire");
    }
    database.close().await;
    info!("stopped");
    Ok(())
}
