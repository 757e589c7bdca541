//! A pod that ingests the cameras placed on it and serves them to gateways.

use super::catalogue::GatewayCatalogue;
use super::directory::Directory;
use super::limits;
use super::ordinal::Ordinal;
use super::pod::{self, Pod};
use super::ports::Ports;
use super::recording::{self, KeySource, Recording};
use super::serving::{Offered, Serving};
use super::standalone::announce;
use super::{demo, shutdown};
use crate::api::{Readiness, health_router, pool_router};
use crate::auth::Auth;
use crate::cluster::supervisor::{self, Supervisor};
use crate::egress::Viewing;
use crate::egress::forward::Forwarder;
use crate::hub::Hub;
use crate::ingest::{Ingest, relay};
use crate::listen::tls::Tls;
use crate::record::{Snapshots, States};
use crate::{args, telemetry};
use anyhow::Context;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How long a gateway's request waits for a camera that is being dialled.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a pod that is to go waits for the operator to move its cameras.
const DRAIN: Duration = Duration::from_secs(25);

/// Runs until SIGINT or SIGTERM, and then until nothing is placed here any more.
pub async fn run(args: args::Pod) -> anyhow::Result<()> {
    limits::raise_open_files();
    let stop = shutdown::on_signal()?;
    let metrics = telemetry::metrics()?;
    let media = args.data.join("media");
    std::fs::create_dir_all(&media).with_context(|| format!("can't make the folder {}", media.display()))?;
    demo::write(&media, None)?;
    let ports = Ports::bind(&args.ports).await?;
    let ready = ports.ready()?;

    let ending = CancellationToken::new();
    let Pod {
        world,
        cluster,
        settings,
        mut feeds,
    } = Pod::open(&args, &ending).await?;
    let secret = settings.relay.secret().clone();
    let auth = Auth::without_accounts(settings);
    let hub = Hub::new();
    let viewing = Viewing {
        hub: hub.clone(),
        auth,
        patience: PATIENCE,
    };
    let readiness = Readiness::new();
    let resources = readiness.check("resources");
    let directory = Directory {
        hub: hub.clone(),
        world: world.clone(),
        ordinal: Ordinal::default(),
    };
    let http = health_router(readiness, Arc::new(move || metrics.render()))
        .merge(relay::router(hub.clone(), viewing.auth.clone()))
        .merge(pool_router(Arc::new(directory), viewing.auth.clone()));
    let offered = Offered {
        viewing,
        rtsp: None,
        rtmp: None,
        http,
        // Nodes serve gateways alone.
        tls: Tls::default(),
    };
    let limits = args.ports.limits(false);
    let listening = Serving::start(ports, offered, &limits);
    announce(&ready)?;

    let segment = args.media.segment();
    let policy = pod::policy(world.clone(), args.deny_sources.clone(), ending.clone());
    let forward = Arc::new(Forwarder {
        hub: hub.clone(),
        policy: policy.clone(),
        // Publishers go to gateways.
        doors: Vec::new(),
    });
    let launch = Arc::new(Ingest {
        hub: hub.clone(),
        policy,
        segment,
    });
    let cluster = Arc::new(cluster);
    let states = Arc::new(States::default());
    let parts = supervisor::Parts {
        world: world.clone(),
        hub: hub.clone(),
        launch,
        forward,
        writer: cluster.clone(),
        secrets: cluster,
        recording: states.clone(),
    };
    let settings = supervisor::Settings {
        handover: args.handover(),
        ..supervisor::Settings::new(&args.pod_name, false, &media)
    };
    let (supervisor, supervising) = Supervisor::start(parts, settings, ending.clone());
    hub.set_demand(Arc::new(supervisor.clone()));
    let keys = KeySource::Folder(args.storage_dir.clone());
    let recording = Recording::start(recording::Parts {
        world: world.clone(),
        hub: hub.clone(),
        states,
        catalogue: Arc::new(GatewayCatalogue {
            world: world.clone(),
            http_port: args.ports.http_port,
            secret,
        }),
        bucket: recording::follow_bucket(world.clone(), keys, None, ending.clone()),
        snapshots: Snapshots::new(hub.clone(), recording::workers(&args.workers)),
        objects: None,
        data: &args.data,
        args: &args.recording,
        me: args.pod_name.clone(),
        writer: None,
    })
    .await?;
    tokio::spawn(async move {
        if world.ready().await {
            resources.pass();
        }
    });

    stop.cancelled().await;
    if supervisor.drain(DRAIN).await {
        info!("no camera is placed here any more");
    } else {
        warn!("cameras are still placed here; they are interrupted until they have moved");
    }
    recording.end().await;
    ending.cancel();
    let _ = supervising.await;
    for stream in hub.streams() {
        hub.close(stream.path());
    }
    listening.drain().await;
    while feeds.join_next().await.is_some() {}
    info!("stopped");
    Ok(())
}
