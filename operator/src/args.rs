//! The command line. Each flag is also an environment variable.

use std::{net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use clap::{Parser, ValueEnum};
use k8s_openapi::api::networking::v1::NetworkPolicyPeer;

use crate::{plan::Limits, resources::Settings};

/// Places cameras on media nodes and keeps the pods of each MediaPool.
#[derive(Clone, Debug, Parser)]
#[command(name = "operator", version)]
pub struct Args {
    /// Namespace whose resources are reconciled; without it, the operator's own.
    #[arg(long, env = "WEIR_NAMESPACE", conflicts_with = "all_namespaces")]
    pub namespace: Option<String>,

    /// Reconciles the resources of all namespaces.
    #[arg(long, env = "WEIR_ALL_NAMESPACES")]
    pub all_namespaces: bool,

    /// Name of this process among its replicas; without it, the host's name.
    #[arg(long, env = "POD_NAME", hide_env = false)]
    pub identity: Option<String>,

    /// Namespace that the operator runs in; without it, the one of its credentials.
    #[arg(long, env = "POD_NAMESPACE")]
    pub own_namespace: Option<String>,

    /// Address for /healthz, /readyz and /metrics; port 0 takes a free one.
    #[arg(long, env = "WEIR_LISTEN", default_value = "0.0.0.0:8081")]
    pub listen: SocketAddr,

    /// Image of the pods of pools that name none.
    #[arg(long, env = "WEIR_MEDIA_NODE_IMAGE")]
    pub media_node_image: String,

    /// When that image is fetched: `Always`, `IfNotPresent` or `Never`; without it, as its tag says.
    #[arg(long, env = "WEIR_IMAGE_PULL_POLICY", value_parser = ["Always", "IfNotPresent", "Never"])]
    pub image_pull_policy: Option<String>,

    /// Secret with which images are fetched; several are divided by commas.
    #[arg(long, env = "WEIR_IMAGE_PULL_SECRETS", value_delimiter = ',')]
    pub image_pull_secrets: Vec<String>,

    /// Makes `NetworkPolicy`s, which let only the pool's pods reach its nodes.
    #[arg(long, env = "WEIR_NETWORK_POLICIES")]
    pub network_policies: bool,

    /// Who may read the metrics of nodes that have a `NetworkPolicy`: a list of its peers as JSON.
    #[arg(long, env = "WEIR_METRICS_FROM", value_parser = Peers::from_str, default_value = "[]")]
    pub metrics_from: Peers,

    /// Network that no source may be dialled at, besides those of each pool's policy; several are divided by commas. The
    /// networks of Services and the address of the API server always are.
    #[arg(long, env = "WEIR_DENY_SOURCES", value_delimiter = ',')]
    pub deny_sources: Vec<String>,

    /// File with a MediaPool, as the chart's values want it; applied at the start if it has changed since the last time.
    #[arg(long, env = "WEIR_POOL_MANIFEST")]
    pub pool_manifest: Option<PathBuf>,

    /// `ConfigMap` of the operator's namespace with which that MediaPool goes.
    #[arg(long, env = "WEIR_POOL_OWNER", requires = "pool_manifest")]
    pub pool_owner: Option<String>,

    /// Name of the Lease by which one of several operators leads.
    #[arg(long, env = "WEIR_LEASE", default_value = "weir-operator")]
    pub lease: String,

    /// Seconds after which another operator leads when the leader is gone without a word.
    #[arg(long, env = "WEIR_LEASE_SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u16).range(3..=300))]
    pub lease_seconds: u16,

    /// Milliseconds for which a node may be not ready before its cameras move.
    #[arg(long, env = "WEIR_GRACE_MS", default_value_t = 3_000, value_parser = clap::value_parser!(u32).range(500..=600_000))]
    pub grace_ms: u32,

    /// Milliseconds for which a camera's former node goes on while the new one has no media. Pods are told the same.
    #[arg(long, env = "WEIR_HANDOVER_MS", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(500..=60_000))]
    pub handover_ms: u32,

    /// Which log lines are written, as in `info,weir_operator=debug`. By default the client is silent: whoever asked it says
    /// what failed.
    #[arg(
        long,
        env = "WEIR_LOG",
        default_value = "info,kube_client::client::builder=off"
    )]
    pub log: String,

    /// How log lines are written.
    #[arg(long, env = "WEIR_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,
}

/// Peers of a `NetworkPolicy`.
#[derive(Clone, Debug, Default)]
pub struct Peers(Vec<NetworkPolicyPeer>);

impl FromStr for Peers {
    type Err = serde_json::Error;

    fn from_str(json: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(json).map(Self)
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

impl Args {
    /// What pods are made with. `networks` are those of the cluster, which are no source's either.
    pub fn settings(&self, networks: Vec<String>) -> Settings {
        let filled = |list: &[String]| list.iter().filter(|s| !s.is_empty()).cloned().collect::<Vec<_>>();
        let mut deny_sources = filled(&self.deny_sources);
        deny_sources.extend(networks);
        Settings {
            image: self.media_node_image.clone(),
            image_pull_policy: self.image_pull_policy.clone(),
            image_pull_secrets: filled(&self.image_pull_secrets),
            network_policies: self.network_policies,
            metrics_from: self.metrics_from.0.clone(),
            deny_sources,
            handover: self.handover(),
        }
    }

    fn handover(&self) -> Duration {
        Duration::from_millis(u64::from(self.handover_ms))
    }

    /// Delays and bounds of plans.
    pub fn limits(&self) -> Limits {
        Limits {
            grace: Duration::from_millis(u64::from(self.grace_ms)),
            handover: self.handover(),
            ..Limits::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_cluster_is_no_source() {
        let args = Args::parse_from([
            "operator",
            "--media-node-image",
            "i",
            "--deny-sources",
            "10.244.0.0/16,",
        ]);
        assert_eq!(
            args.settings(vec!["10.96.0.0/12".into()]).deny_sources,
            ["10.244.0.0/16", "10.96.0.0/12"]
        );
    }

    #[test]
    fn plans_and_pods_have_one_time_for_a_handover() {
        let args = Args::parse_from(["operator", "--media-node-image", "i", "--handover-ms", "4000"]);
        let time = Duration::from_secs(4);
        assert_eq!(
            (args.limits().handover, args.settings(vec![]).handover),
            (time, time)
        );
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            vec!["--grace-ms", "1"],
            vec!["--image-pull-policy", "Sometimes"],
            vec!["--namespace", "a", "--all-namespaces"],
            vec!["--pool-owner", "a"],
            vec!["--lease-seconds", "0"],
            vec!["--metrics-from", "monitoring"],
            vec!["--metrics-from", "[1]"],
        ] {
            let all = ["operator", "--media-node-image", "i"]
                .into_iter()
                .chain(bad.iter().copied());
            assert!(Args::try_parse_from(all).is_err(), "{bad:?}");
        }
    }
}
