//! The process: its client, its watches, the lease by which one of several leads, when a namespace is due, and an end that
//! leaves nothing half done. What is done in a namespace is in `controllers`.

mod caches;
mod health;
mod lease;
mod pool_manifest;
mod schedule;
mod service_networks;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use kube::Client;
use tokio_util::sync::CancellationToken;

use crate::{
    args::Args,
    controllers::{self, Context, World},
    events::Events,
    metrics,
};
use caches::{Caches, Scope};
use health::Health;
use lease::Lease;
use schedule::Schedule;

/// Namespaces that are worked on at a time.
const NAMESPACES_AT_ONCE: usize = 8;
/// Changes come in bursts: a namespace is looked at when they have been quiet for that long, or the second time has passed.
const QUIET: Duration = Duration::from_millis(20);
const PACE: Duration = Duration::from_millis(100);
/// Longest silence of a connection to the API server, which is longer than a watch lasts.
const SILENCE: Duration = Duration::from_secs(90);
const _: () = assert!(SILENCE.as_secs() > caches::WATCH_SECONDS as u64);
/// How long work that was begun may take to end when the process is to.
const FAREWELL: Duration = Duration::from_secs(5);

/// Why the operator ended without being asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There are no credentials for an API server.
    #[error("find the API server")]
    Client(#[source] Box<kube::Error>),
    /// Its credentials cannot be read.
    #[error("read the API server's credentials")]
    Config(#[source] kube::config::InferConfigError),
    /// The address for health and metrics is taken, or not ours.
    #[error("listen on {address}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// Metrics are collected by something else.
    #[error("collect metrics")]
    Metrics(#[source] metrics_exporter_prometheus::BuildError),
    /// The pool of the chart cannot be read.
    #[error("read the MediaPool of the chart: {0}")]
    PoolManifest(String),
    /// A watch ended, which none does by itself.
    #[error("a watch ended")]
    WatchEnded,
}

/// Bounds how long a connection to the API server may be silent. Each other request has a deadline of its own; the lists and
/// the answers that watches begin with have none.
fn patient(mut config: kube::Config) -> kube::Config {
    config.connect_timeout = Some(Duration::from_secs(5));
    config.read_timeout = Some(SILENCE);
    // Counted from the request, not from when its connection went idle.
    config.reset_reader_on_write = true;
    config
}

/// Runs until `stop`.
///
/// # Errors
/// When it cannot start.
pub async fn run(args: Args, stop: CancellationToken) -> Result<(), Error> {
    let config = kube::Config::infer().await.map_err(Error::Config)?;
    let client = Client::try_from(patient(config)).map_err(|e| Error::Client(Box::new(e)))?;
    let own_namespace = args
        .own_namespace
        .clone()
        .unwrap_or_else(|| client.default_namespace().to_owned());
    let identity = args
        .identity
        .clone()
        .or_else(host_name)
        .unwrap_or_else(|| "operator".into());
    let scope = match (&args.namespace, args.all_namespaces) {
        (_, true) => Scope::All,
        (namespace, false) => Scope::One(namespace.clone().unwrap_or_else(|| own_namespace.clone())),
    };
    let manifest = args
        .pool_manifest
        .as_deref()
        .map(pool_manifest::read)
        .transpose()?;

    let registry = metrics::install().map_err(Error::Metrics)?;
    let health = Arc::new(Health::default());
    let listener = tokio::net::TcpListener::bind(args.listen)
        .await
        .map_err(|source| Error::Listen {
            address: args.listen,
            source,
        })?;
    let address = listener.local_addr().map_err(|source| Error::Listen {
        address: args.listen,
        source,
    })?;
    tracing::info!(%address, namespace = scope.as_str(), identity, "operator starts");
    let served = tokio::spawn(health::serve(listener, registry, health.clone(), stop.clone()));

    let schedule = Arc::new(Schedule::new(QUIET, PACE));
    // An API server that is away is waited for, as long as nobody asks for an end.
    let start = async {
        // By the name that pods have for it.
        let api_server = std::env::var("KUBERNETES_SERVICE_HOST").ok();
        let api_server = api_server.and_then(|host| host.parse().ok());
        let networks = service_networks::find(&client, api_server).await;
        (networks, Caches::start(&client, &scope, &schedule).await)
    };
    let Some((networks, (caches, mut watches))) = stop.run_until_cancelled(start).await else {
        tracing::info!("operator ends");
        return Ok(());
    };
    let events = Events::start(client.clone(), "weir-operator", identity.clone());
    let context = Context::new(client.clone(), events, args.settings(networks), args.limits());
    let mut lease = Lease::new(
        client.clone(),
        &own_namespace,
        &args.lease,
        identity,
        Duration::from_secs(args.lease_seconds.into()),
    );

    let lead = async {
        caches.ready().await;
        health.synced();
        loop {
            lease.acquire().await;
            ::metrics::gauge!(metrics::LEADER).set(1.0);
            tracing::info!(lease = %args.lease, "leads");
            let apply_pool = async {
                if let Some(manifest) = &manifest {
                    let namespace = args.namespace.as_deref().unwrap_or(&own_namespace);
                    pool_manifest::apply(
                        &client,
                        &own_namespace,
                        namespace,
                        manifest,
                        args.pool_owner.as_deref(),
                    )
                    .await;
                }
            };
            let work = async { tokio::join!(apply_pool, work(&context, &caches, &schedule, &health)) };
            tokio::select! {
                () = lease.hold() => tracing::warn!(lease = %args.lease, "has lost the lease"),
                _ = work => {}
            }
            health.rest();
            ::metrics::gauge!(metrics::LEADER).set(0.0);
        }
    };
    let ended = tokio::select! {
        () = stop.cancelled() => Ok(()),
        () = lead => Ok(()),
        _ = watches.join_next() => Err(Error::WatchEnded),
    };
    // Whatever was being written is done or not: each write stands for itself, and the next leader plans anew.
    tracing::info!("operator ends");
    stop.cancel();
    let farewell = async {
        lease.release().await;
        _ = served.await;
    };
    _ = tokio::time::timeout(FAREWELL, farewell).await;
    watches.shutdown().await;
    ended
}

/// Reconciles namespaces as they are due, for ever.
async fn work(context: &Context, caches: &Caches, schedule: &Schedule, health: &Health) {
    let mut worlds: HashMap<String, World> = HashMap::new();
    let mut running = FuturesUnordered::new();
    // What this process was at when it last led was dropped with that leadership.
    schedule.restart();
    for namespace in caches.namespaces() {
        schedule.due(&namespace, Duration::ZERO);
    }
    loop {
        health.beat();
        while running.len() < NAMESPACES_AT_ONCE {
            let Some(namespace) = schedule.take(Instant::now()) else {
                break;
            };
            let objects = caches.objects(&namespace);
            let mut world = worlds.remove(&namespace).unwrap_or_default();
            running.push(
                async move {
                    let next = controllers::reconcile(context, &namespace, objects, &mut world).await;
                    (namespace, world, next)
                }
                .boxed_local(),
            );
        }
        let full = running.len() >= NAMESPACES_AT_ONCE;
        tokio::select! {
            Some((namespace, world, next)) = running.next(), if !running.is_empty() => {
                schedule.done(&namespace, Instant::now());
                if caches.is_empty(&namespace) {
                    context.forget(&namespace);
                } else {
                    worlds.insert(namespace.clone(), world);
                    if let Some(next) = next {
                        schedule.due(&namespace, next);
                    }
                }
            }
            () = schedule.wait(Instant::now()), if !full => {}
            // The heart beats while nothing happens.
            () = tokio::time::sleep(Duration::from_secs(5)) => {}
        }
    }
}

fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|n| !n.is_empty())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use kube::{Api, api::ListParams};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_list_that_nobody_answers_ends() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        let url = format!("http://{address}").parse().expect("a URL");
        let client = Client::try_from(patient(kube::Config::new(url))).expect("a client");
        let silent = async {
            let mut connections = vec![];
            loop {
                connections.push(listener.accept().await);
            }
        };
        let pods: Api<Pod> = Api::all(client);
        let nothing = ListParams::default();
        let list = tokio::time::timeout(2 * SILENCE, pods.list(&nothing));
        tokio::select! {
            () = silent => {}
            result = list => {
                result.expect("it ends by itself").expect_err("nobody answers");
            }
        }
    }
}
