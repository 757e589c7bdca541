//! The networks of the cluster's Services, and the API server's address, which no source may be dialled at. Kubernetes says
//! which they are since 1.33; before, and where the operator may not ask, they are guessed.

use std::net::IpAddr;

use ipnet::IpNet;
use k8s_openapi::api::networking::v1::ServiceCIDR;
use kube::{Api, Client, api::ListParams};

use super::caches::list_patiently;

/// Asks the API server, whose own address as pods know it is `api_server`.
pub(super) async fn find(client: &Client, api_server: Option<IpAddr>) -> Vec<String> {
    let all = list_patiently::<ServiceCIDR>(&Api::all(client.clone()), &ListParams::default()).await;
    of(&all.unwrap_or_default(), api_server)
}

fn of(ranges: &[ServiceCIDR], api_server: Option<IpAddr>) -> Vec<String> {
    let said = ranges.iter().filter_map(|r| r.spec.as_ref()?.cidrs.as_ref());
    let mut networks: Vec<String> = said.flatten().cloned().collect();
    // Pods are made of it: the same networks are the same text.
    networks.sort();
    if networks.is_empty() {
        networks.extend(api_server.and_then(guess).map(|n| n.to_string()));
    }
    networks.extend(api_server.map(|a| IpNet::from(a).to_string()));
    networks
}

/// The API server has the first address behind that of the network, so that a network that begins there is as large as the
/// zeros at its end allow, and no larger than Kubernetes takes: a /12 or, of IPv6, a /108.
fn guess(api_server: IpAddr) -> Option<IpNet> {
    let (zeros, bits, largest) = match api_server {
        IpAddr::V4(v4) => (u32::from(v4).checked_sub(1)?.trailing_zeros(), 32, 12),
        IpAddr::V6(v6) => (u128::from(v6).checked_sub(1)?.trailing_zeros(), 128, 108),
    };
    let prefix = bits - (zeros as u8).min(bits - largest);
    Some(IpNet::new(api_server, prefix).ok()?.trunc())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixtures::ApiServer;

    const PATH: &str = "/apis/networking.k8s.io/v1/servicecidrs";

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[tokio::test]
    async fn what_the_cluster_says_counts() {
        let ranges = json!({"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDRList", "metadata": {}, "items": [
            {"metadata": {"name": "more"}, "spec": {"cidrs": ["10.99.0.0/24"]}},
            {"metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["10.96.0.0/16", "fd00:10:96::/112"]}},
        ]});
        let server = ApiServer::default().on("GET", PATH, 200, ranges);
        assert_eq!(
            find(&server.client(), Some(address("10.96.0.1"))).await,
            ["10.96.0.0/16", "10.99.0.0/24", "fd00:10:96::/112", "10.96.0.1/32"]
        );
    }

    #[tokio::test]
    async fn where_it_may_not_be_asked_the_network_is_guessed() {
        for (code, reason) in [(403, "Forbidden"), (404, "NotFound")] {
            let server = ApiServer::default().fails("GET", PATH, code, reason, "no");
            assert_eq!(
                find(&server.client(), Some(address("10.96.0.1"))).await,
                ["10.96.0.0/12", "10.96.0.1/32"]
            );
        }
        assert!(of(&[], None).is_empty());
    }

    #[test]
    fn a_guess_is_as_large_as_it_can_be() {
        for (api_server, network) in [
            ("10.96.0.1", "10.96.0.0/12"),       // kubeadm
            ("10.43.0.1", "10.43.0.0/16"),       // k3s
            ("172.20.0.1", "172.20.0.0/14"),     // a /16 that could be larger
            ("10.0.0.1", "10.0.0.0/12"),         // the largest that there is
            ("192.168.7.20", "192.168.7.20/32"), // no address of a Service
            ("fd00:10:96::1", "fd00:10:96::/108"),
        ] {
            let found = guess(address(api_server)).expect("a network");
            assert_eq!(found.to_string(), network);
        }
    }
}
