//! Which addresses we may dial for a camera or route.
//!
//! A source's URL is written by whoever may apply a Camera, who must not get at what the pod can
//! reach and they can't: the cloud's metadata, the API server, the pod itself. The rules are the
//! MediaPool's (`weir_crds`); here names are resolved and what they resolve to is judged, once, so
//! that a name can't change between the check and the dialling.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::lookup_host;
use weir_crds::media_pool::{SourcePolicy as Rules, Verdict};

/// Longest wait for a name to be resolved.
const RESOLVE: Duration = Duration::from_secs(5);
/// Most addresses of a name that are tried.
const ADDRESSES: usize = 16;

/// Networks in which an IPv6 address hides an IPv4 address that only a gateway can tell: local
/// NAT64 (RFC 8215) and Teredo (RFC 4380).
const OPAQUE: [&str; 2] = ["64:ff9b:1::/48", "2001::/32"];

/// What may be dialled. Cheap enough to be made anew when a MediaPool changes.
#[derive(Clone, Debug)]
pub struct SourcePolicy {
    rules: Rules,
}

#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("{host} is at {address}, in {network}, which the pool's source policy denies")]
    AddressDenied {
        host: String,
        address: IpAddr,
        network: String,
    },
    #[error("no address is known for {host}")]
    Unresolvable {
        host: String,
        #[source]
        source: Option<std::io::Error>,
    },
}

impl SourcePolicy {
    /// The rules of a MediaPool, and besides the cluster's own networks, which can't be allowed by
    /// mistake of a default: its range of Service addresses and its API server.
    pub fn pool(rules: &Rules, cluster: impl IntoIterator<Item = String>) -> Self {
        let mut rules = rules.clone();
        rules.deny.extend(OPAQUE.map(str::to_owned));
        rules.deny.extend(cluster);
        Self { rules }
    }

    /// For one process of one user, whose cameras may well be on the same machine: denies
    /// link-local addresses only, where clouds keep the machine's credentials.
    pub fn standalone() -> Self {
        let deny = ["169.254.0.0/16", "fe80::/10", "fd00:ec2::/32"]
            .map(str::to_owned)
            .to_vec();
        Self {
            rules: Rules {
                deny,
                allow: Vec::new(),
            },
        }
    }

    /// Whether this address may be dialled. The IPv6 forms of an IPv4 address are judged as it is.
    pub fn check(&self, address: IpAddr) -> Result<(), Refused> {
        match self.rules.verdict(address) {
            Verdict::Allowed => Ok(()),
            Verdict::Denied(network) => Err(Refused::AddressDenied {
                host: address.to_string(),
                address,
                network,
            }),
        }
    }

    /// The addresses of `host`, a name or an address with or without brackets, that may be
    /// dialled. The caller must dial one of these and not resolve the name again. Denied ones are
    /// left out.
    ///
    /// # Errors
    /// [`Refused::AddressDenied`] when all are denied, [`Refused::Unresolvable`] when there are
    /// none or the answer takes more than five seconds.
    pub async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Refused> {
        let name = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(host);
        let unresolvable = |source| Refused::Unresolvable {
            host: host.to_owned(),
            source,
        };
        let resolved = tokio::time::timeout(RESOLVE, lookup_host((name, port))).await;
        let resolved = match resolved {
            Ok(Ok(resolved)) => resolved,
            Ok(Err(error)) => return Err(unresolvable(Some(error))),
            Err(_) => return Err(unresolvable(Some(std::io::ErrorKind::TimedOut.into()))),
        };
        let mut addresses = Vec::new();
        let mut denied = None;
        for address in resolved.take(ADDRESSES) {
            match self.rules.verdict(address.ip()) {
                Verdict::Allowed => addresses.push(address),
                Verdict::Denied(network) => denied = Some((address.ip(), network)),
            }
        }
        match denied {
            _ if !addresses.is_empty() => Ok(addresses),
            Some((address, network)) => Err(Refused::AddressDenied {
                host: host.to_owned(),
                address,
                network,
            }),
            None => Err(unresolvable(None)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Refused, Rules, SocketAddr, SourcePolicy};

    fn pool(allow: &[&str]) -> SourcePolicy {
        let rules = Rules {
            allow: allow.iter().map(|&n| n.to_owned()).collect(),
            ..Rules::default()
        };
        SourcePolicy::pool(&rules, ["10.96.0.0/12".to_owned()])
    }

    fn allowed(policy: &SourcePolicy, address: &str) -> bool {
        policy.check(address.parse().unwrap()).is_ok()
    }

    #[test]
    fn a_pool_denies_what_a_camera_can_not_be() {
        let policy = pool(&[]);
        for address in [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
            "10.96.0.1",
            // IPv4 in IPv6: mapped, compatible, NAT64, 6to4, local NAT64, Teredo.
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "::ffff:10.96.0.1",
            "64:ff9b:1::7f00:1",
            "2001:0:7f00:1::",
        ] {
            assert!(!allowed(&policy, address), "{address}");
        }
        for address in [
            "10.0.0.9",
            "192.168.1.64",
            "8.8.8.8",
            "2001:db8::1",
            "fd12::1",
            "64:ff9b::808:808",
        ] {
            assert!(allowed(&policy, address), "{address}");
        }
    }

    #[test]
    fn what_is_allowed_by_name_is_allowed_though_denied() {
        let policy = pool(&["127.0.0.2/32"]);
        assert!(allowed(&policy, "127.0.0.2"));
        assert!(!allowed(&policy, "127.0.0.1"));
    }

    #[test]
    fn standalone_denies_link_local_only() {
        let policy = SourcePolicy::standalone();
        for address in ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1"] {
            assert!(!allowed(&policy, address), "{address}");
        }
        for address in ["127.0.0.1", "::1", "10.96.0.1", "192.168.1.64"] {
            assert!(allowed(&policy, address), "{address}");
        }
    }

    #[tokio::test]
    async fn names_are_judged_by_what_they_resolve_to() {
        // The resolver also takes these spellings of 127.0.0.1, as a client library would.
        for host in [
            "localhost",
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "[::1]",
            "::ffff:127.0.0.1",
        ] {
            let refused = pool(&[]).resolve(host, 554).await.unwrap_err();
            assert!(
                matches!(&refused, Refused::AddressDenied { host: h, .. } if h == host),
                "{host}: {refused}"
            );
        }
        let addresses = SourcePolicy::standalone()
            .resolve("127.0.0.1", 554)
            .await
            .unwrap();
        assert_eq!(addresses, ["127.0.0.1:554".parse().unwrap()]);
        let addresses = SourcePolicy::standalone().resolve("[::1]", 554).await.unwrap();
        assert_eq!(addresses, ["[::1]:554".parse().unwrap()]);
    }

    #[tokio::test]
    async fn some_denied_addresses_are_left_out() {
        let found = SourcePolicy::standalone().resolve("localhost", 1).await.unwrap();
        let first = found[0].ip();
        let deny = vec!["::1/128".to_owned()];
        let only_v4 = SourcePolicy {
            rules: Rules { deny, allow: vec![] },
        };
        let left = only_v4.resolve("localhost", 1).await;
        if found.iter().any(SocketAddr::is_ipv4) {
            assert!(left.unwrap().iter().all(SocketAddr::is_ipv4));
        } else {
            assert!(left.is_err(), "{first}");
        }
    }

    #[tokio::test]
    async fn a_name_without_an_address_says_so() {
        for host in ["nothing.invalid", "", "a b"] {
            let refused = pool(&[]).resolve(host, 554).await.unwrap_err();
            assert!(
                matches!(refused, Refused::Unresolvable { .. }),
                "{host}: {refused}"
            );
        }
    }
}
