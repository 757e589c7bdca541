//! Everything in one process, without Kubernetes.

use super::directory::Directory;
use super::limits;
use super::ordinal::Ordinal;
use super::ports::{Ports, Ready};
use super::recording::{self, KeySource, Recording};
use super::serving::{Offered, Serving};
use super::stored::{self, Stored};
use super::{demo, recorder, shutdown};
use crate::api::{Api, Endpoints, Pool, Readiness, Server};
use crate::args;
use crate::auth::source_policy::SourcePolicy;
use crate::auth::{AdminFiles, Auth, RelaySecret, Settings};
use crate::cluster::folder::Folder;
use crate::cluster::resource::World;
use crate::cluster::supervisor::{self, Supervisor};
use crate::egress::forward::Forwarder;
use crate::egress::hls::{Cutting, Hls};
use crate::egress::http::Streams;
use crate::egress::multicast::Multicast;
use crate::egress::{Viewing, http};
use crate::hub::Hub;
use crate::ingest::{Ingest, Publishing};
use crate::listen::rtmp::RtmpDoor;
use crate::listen::rtsp::RtspDoor;
use crate::listen::web_socket;
use crate::listen::wsp::{Channels, WspDoor};
use crate::record::{Snapshots, SqlCatalogue, States};
use crate::store::sql::{Database, Location};
use crate::telemetry;
use anyhow::Context;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::info;

/// How long a viewer waits for a camera that is being dialled.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long opening the account store may take: a busy disk is slow to write a new file for good.
const STORE_PATIENCE: Duration = Duration::from_secs(30);
/// The name of the only node.
pub(super) const ME: &str = "standalone";
/// How long the links that are printed open the stream.
const LINK_LIFETIME: Duration = Duration::from_hours(24);

/// Runs until SIGINT or SIGTERM.
pub async fn run(args: args::Standalone) -> anyhow::Result<()> {
    limits::raise_open_files();
    let stop = shutdown::on_signal()?;
    let metrics = telemetry::metrics()?;
    let manifests = args
        .manifests
        .clone()
        .unwrap_or_else(|| args.data.join("manifests"));
    let media = args.data.join("media");
    for folder in [&args.data, &manifests, &media] {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("can't make the folder {}", folder.display()))?;
    }
    demo::write(&media, args.demo.then_some(&*manifests))?;
    let ports = Ports::bind(&args.ports).await?;
    let ready = ports.ready()?;
    let ending = CancellationToken::new();
    let tls = args.tls.start(Duration::ZERO, &ending).await?;

    let location = Location::Sqlite(args.data.join("weir.sqlite"));
    let database = Database::open_patiently(&location, STORE_PATIENCE)
        .await
        .context("can't open the account store")?;
    let settings = Settings {
        anonymous_view: args.anonymous_view,
        // Tokens that stand on their own are good after a restart.
        relay: RelaySecret::kept(&args.data.join("relay")).context("can't keep the key of tokens")?,
    };
    let auth = Auth::new(database.clone(), settings);
    let files = args.admin_password_file.as_deref().map(|password| AdminFiles {
        password,
        username: None,
    });
    let admin = auth.bootstrap(files).await?;
    let unionid = args.recorder_unionid.as_deref();
    let first_unionid = auth.set_up_recorder(&admin.admin, unionid).await?;

    let hub = Hub::new();
    let (world, folder) = Folder::open(manifests.clone())
        .await
        .with_context(|| format!("can't read the folder {}", manifests.display()))?;
    let segment = args.media.segment();
    let (policy, policies) = watch::channel(Arc::new(policy_of(&world)));
    let forward = Arc::new(Forwarder {
        hub: hub.clone(),
        policy: policies.clone(),
        doors: vec![ready.rtsp, ready.rtmp],
    });
    let launch = Arc::new(Ingest {
        hub: hub.clone(),
        policy: policies,
        segment,
    });
    let states = Arc::new(States::default());
    let parts = supervisor::Parts {
        world: world.clone(),
        hub: hub.clone(),
        launch,
        forward,
        writer: Arc::new(folder.clone()),
        secrets: Arc::new(folder.clone()),
        recording: states.clone(),
    };
    let settings = supervisor::Settings::new(ME, true, &media);
    let (supervisor, supervising) = Supervisor::start(parts, settings, ending.clone());
    hub.set_demand(Arc::new(supervisor));
    let following = tokio::spawn(folder.clone().run(ending.clone()));
    tokio::spawn(follow_policy(world.clone(), policy, ending.clone()));
    // It outlives what it stores.
    let storing = CancellationToken::new();
    let objects = recording::embedded(&args.data, &storing).await?;
    let keys = KeySource::Secrets(Arc::new(folder.clone()));
    let bucket = recording::follow_bucket(world.clone(), keys, Some(objects.bucket()), storing.clone());
    let snapshots = Snapshots::new(hub.clone(), recording::workers(&args.workers));
    let finishing = Arc::new(tokio::sync::Notify::new());
    let recording = Recording::start(recording::Parts {
        world: world.clone(),
        hub: hub.clone(),
        states,
        catalogue: Arc::new(SqlCatalogue {
            database: database.clone(),
            finishing: finishing.clone(),
        }),
        bucket: bucket.clone(),
        snapshots: snapshots.clone(),
        objects: Some(objects.folder().to_owned()),
        data: &args.data,
        args: &args.recording,
        me: ME.to_owned(),
        writer: Some(Arc::new(folder.clone())),
    })
    .await?;
    let sweeper = auth.clone();
    let sweep_end = ending.clone();
    tokio::spawn(async move { sweeper.sweep(sweep_end).await });

    let viewing = Viewing {
        hub: hub.clone(),
        auth: auth.clone(),
        patience: PATIENCE,
    };
    let readiness = Readiness::new();
    let serving = readiness.check("serving");
    let directory = Arc::new(Directory {
        hub: hub.clone(),
        world: world.clone(),
        ordinal: Ordinal::default(),
    });
    let nodes = Arc::new(recorder::OnlyNode {
        world: world.clone(),
        address: args.ports.bind,
        life: hex::encode(rand::random::<[u8; 8]>()),
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
        auth: auth.clone(),
        streams: Pool::new(directory.clone(), None),
        cameras: directory,
        specs: Arc::new(folder.clone()),
        secrets: Arc::new(folder),
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
        published: None,
    };
    let rtsp = RtspDoor {
        viewing: viewing.clone(),
        publishing: publishing.clone(),
        multicast: Some(Multicast::new()),
        udp_publish: true,
    };
    let rtmp = RtmpDoor {
        viewing: viewing.clone(),
        publishing,
    };
    let wsp = WspDoor {
        viewing: viewing.clone(),
        channels: Channels::new(0),
        elsewhere: None,
    };
    let streams = Streams {
        viewing: viewing.clone(),
        hls: Hls::new(
            hub.clone(),
            Cutting {
                segment,
                part: args.media.part(),
            },
        ),
        conversation: web_socket::conversation(rtsp.clone(), wsp),
    };
    let offered = Offered {
        rtsp: Some(rtsp),
        rtmp: Some(rtmp),
        viewing,
        http: crate::api::router(api).merge(http::router(streams)),
        tls,
    };
    let limits = args.ports.limits(offered.tls.is_offered());
    let listening = Serving::start(ports, offered, &limits);
    serving.pass();
    let link = if args.anonymous_view {
        None
    } else {
        auth.issue_view_token(&admin.admin, LINK_LIFETIME)
            .await
            .ok()
            .flatten()
    };
    if let Some(password) = &admin.first_password {
        // Standard error, like all that is for people; it is not logged.
        eprintln!(
            "\nUser {} has the password {}   (shown this once)\n",
            admin.admin,
            password.reveal()
        );
    }
    if let Some(unionid) = &first_unionid {
        eprintln!(
            "Clients of the cloud recorder's API have the unionid {}   (shown this once)\n",
            unionid.reveal()
        );
    }
    greet(
        &ready,
        link.as_ref().map(|l| l.reveal().as_str()),
        args.demo,
        &manifests,
        args.tls.tls_required,
    );
    announce(&ready)?;

    stop.cancelled().await;
    recording.end().await;
    ending.cancel();
    let _ = supervising.await;
    for stream in hub.streams() {
        hub.close(stream.path());
    }
    listening.drain().await;
    storing.cancel();
    let _ = following.await;
    database.close().await;
    info!("stopped");
    Ok(())
}

/// The line that tells programs that everything is up.
pub(super) fn announce(ready: &Ready) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, ready)?;
    writeln!(out)?;
    out.flush()?;
    Ok(())
}

/// What a person types or clicks next.
fn greet(ready: &Ready, token: Option<&str>, demo: bool, manifests: &Path, tls: bool) {
    let path = if demo { "demo" } else { "PATH" };
    let query = token.map(|token| format!("?token={token}")).unwrap_or_default();
    let page_token = token.map(|token| format!("&token={token}")).unwrap_or_default();
    let (http, rtsp, rtmp) = (ready.http, ready.rtsp, ready.rtmp);
    let s = if tls { "s" } else { "" };
    eprintln!("Cameras and routes are read from {}", manifests.display());
    eprintln!("  page      http{s}://127.0.0.1:{http}/?play={path}{page_token}");
    eprintln!("  RTSP      rtsp{s}://127.0.0.1:{rtsp}/{path}{query}");
    eprintln!("  RTMP      rtmp{s}://127.0.0.1:{rtmp}/{path}{query}");
    eprintln!("  HTTP-FLV  http{s}://127.0.0.1:{http}/streams/{path}.flv{query}");
    eprintln!("  HLS       http{s}://127.0.0.1:{http}/streams/{path}.m3u8{query}\n");
}

/// The rules of the folder's MediaPool; without one, those for a single user's machine.
fn policy_of(world: &World) -> SourcePolicy {
    match world.pool() {
        Some(pool) => SourcePolicy::pool(&pool.spec.source_policy, []),
        None => SourcePolicy::standalone(),
    }
}

async fn follow_policy(world: World, policy: watch::Sender<Arc<SourcePolicy>>, stop: CancellationToken) {
    let mut news = world.news();
    while let Some(Ok(())) = stop.run_until_cancelled(news.changed()).await {
        policy.send_replace(Arc::new(policy_of(&world)));
    }
}
