//! What nodes and gateways share: who they are, the cluster they read, the pool's rules.

use crate::args;
use crate::auth::source_policy::SourcePolicy;
use crate::auth::{RelaySecret, Settings};
use crate::cluster::Identity;
use crate::cluster::kubernetes::{self, Cluster};
use crate::cluster::resource::World;
use anyhow::Context;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A pod's view of its cluster.
pub(super) struct Pod {
    pub(super) world: World,
    pub(super) cluster: Cluster,
    pub(super) settings: Settings,
    /// The watches; they end with the token that [`Pod::open`] was given.
    pub(super) feeds: JoinSet<()>,
}

impl Pod {
    pub(super) async fn open(args: &args::Pod, stop: &CancellationToken) -> anyhow::Result<Self> {
        let path = args.auth_dir.join("relay");
        let relay = RelaySecret::read(&path).context("can't read what pods show one another")?;
        let client = kubernetes::connect()
            .await
            .context("no way to reach the cluster's API server is configured")?;
        let me = Identity {
            name: args.pod_name.clone(),
            namespace: args.pod_namespace.clone(),
            pool: args.pool.clone(),
        };
        let (world, feeds) = kubernetes::feed(&client, &me, stop);
        let settings = Settings {
            anonymous_view: args.anonymous_view,
            relay,
        };
        Ok(Self {
            world,
            cluster: Cluster::new(client, &me),
            settings,
            feeds,
        })
    }
}

/// The pool's source policy, kept up to date until `stop`.
pub(super) fn policy(
    world: World,
    denied: Vec<String>,
    stop: CancellationToken,
) -> watch::Receiver<Arc<SourcePolicy>> {
    let (sender, receiver) = watch::channel(Arc::new(policy_of(&world, &denied)));
    tokio::spawn(async move {
        let mut news = world.news();
        while let Some(Ok(())) = stop.run_until_cancelled(news.changed()).await {
            sender.send_replace(Arc::new(policy_of(&world, &denied)));
        }
    });
    receiver
}

fn policy_of(world: &World, denied: &[String]) -> SourcePolicy {
    let rules = world
        .pool()
        .map(|pool| pool.spec.source_policy.clone())
        .unwrap_or_default();
    SourcePolicy::pool(&rules, denied.iter().cloned())
}

/// Tells a gateway from the others of its pool in the ids that it hands out. Their names end in
/// letters by chance, so this is a hash; two that are equal only mean that one of them may be asked for an
/// id in vain before the other.
pub(super) fn number(name: &str) -> u16 {
    let hash = Sha256::digest(name.as_bytes());
    u16::from_be_bytes([hash[0], hash[1]])
}
