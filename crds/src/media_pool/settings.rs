//! What the pods of a pool share: ports, addresses, access, and which sources may be dialled.

use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

use crate::{field, rule::rules};

/// Ports that the pods listen on and the gateways' Service offers. RTSP also takes HTTP on its port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules(&[(
    "!has(self.rtsp) || !has(self.rtmp) || !has(self.http) || !has(self.webrtcTcp) || !has(self.sip) || [self.rtsp, self.rtmp, self.http, self.webrtcTcp, self.sip].all(p, [self.rtsp, self.rtmp, self.http, self.webrtcTcp, self.sip].filter(q, q == p).size() == 1)",
    "two of rtsp, rtmp, http, webrtcTcp and sip have one port: write a port of its own for each",
)])))]
pub struct Ports {
    /// TCP port of RTSP and HTTP.
    #[serde(default = "port::<1554>")]
    #[schemars(schema_with = "listen", default = "port::<1554>")]
    pub rtsp: u16,
    /// TCP port of RTMP.
    #[serde(default = "port::<1935>")]
    #[schemars(schema_with = "listen", default = "port::<1935>")]
    pub rtmp: u16,
    /// TCP port of HTTP.
    #[serde(default = "port::<8080>")]
    #[schemars(schema_with = "listen", default = "port::<8080>")]
    pub http: u16,
    /// UDP port of all WebRTC media of a pod.
    #[serde(default = "port::<8189>")]
    #[schemars(schema_with = "listen", default = "port::<8189>")]
    pub webrtc_udp: u16,
    /// TCP port of WebRTC media, for clients that UDP does not reach.
    #[serde(default = "port::<8189>")]
    #[schemars(schema_with = "listen", default = "port::<8189>")]
    pub webrtc_tcp: u16,
    /// TCP and UDP port of SIP, for GB/T 28181.
    #[serde(default = "port::<5060>")]
    #[schemars(schema_with = "listen", default = "port::<5060>")]
    pub sip: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self {
            rtsp: 1554,
            rtmp: 1935,
            http: 8080,
            webrtc_udp: 8189,
            webrtc_tcp: 8189,
            sip: 5060,
        }
    }
}

/// Addresses that clients are told, where they differ from those that the pods listen on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Advertise {
    /// Host in the URLs that APIs answer with; without it, the host that the client asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "field::host")]
    pub host: Option<String>,
    /// Hosts that WebRTC clients are told for media; without them, the pod's addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "hosts")]
    pub webrtc: Vec<String>,
    /// TURN servers that WebRTC clients are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<Turn>,
}

/// TURN servers and their shared secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Turn {
    /// URLs, `turn:` or `turns:`.
    #[schemars(schema_with = "turn_urls")]
    pub urls: Vec<String>,
    /// Secret whose key `secret` is the secret shared with the servers, of which clients get short-lived credentials.
    #[schemars(schema_with = "field::object_name")]
    pub secret_name: String,
}

/// TLS of the gateways. Each of their ports takes it besides plain text: RTSPS and https where RTSP is, https and wss where
/// HTTP is, RTMPS where RTMP is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// Secret of type `kubernetes.io/tls` with the keys `tls.crt` and `tls.key`, as cert-manager makes them. A new certificate in
    /// it is served within two minutes, without a roll-out.
    #[schemars(schema_with = "field::object_name")]
    pub secret_name: String,
    /// Refuses viewers, publishers and API clients without TLS. Probes, metrics and the pods of the pool still come without.
    #[serde(default)]
    pub required: bool,
}

/// Who may view.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Access {
    /// Lets everybody who reaches a gateway view every stream. Publishing and the APIs still need an account.
    #[serde(default)]
    pub anonymous_view: bool,
}

/// Which addresses sources are dialled at. It is asked after a name is resolved and after each redirect. What neither list
/// has is allowed; what both have is allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourcePolicy {
    /// Networks that are denied. The default are loopback, link-local (where clouds keep their metadata), unspecified and
    /// multicast addresses; the operator adds the cluster's own API server.
    #[serde(default = "SourcePolicy::default_deny")]
    #[schemars(schema_with = "networks", default = "SourcePolicy::default_deny")]
    pub deny: Vec<String>,
    /// Networks that are allowed although `deny` has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "networks")]
    pub allow: Vec<String>,
}

/// What a [`SourcePolicy`] says of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be dialled.
    Allowed,
    /// It may not; the network is the entry of `deny` that has it.
    Denied(String),
}

impl SourcePolicy {
    fn default_deny() -> Vec<String> {
        [
            "0.0.0.0/8",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "224.0.0.0/4",
            "255.255.255.255/32",
            "::/128",
            "::1/128",
            "fe80::/10",
            "ff00::/8",
            "fd00:ec2::/32",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    /// Whether a source may be dialled at `address`. IPv4 addresses in any of their IPv6 forms (mapped, compatible,
    /// translated, 6to4) count as IPv4 too. An entry that is no network denies everything, as nobody can tell what it
    /// meant to deny; one of `allow` allows nothing.
    pub fn verdict(&self, address: IpAddr) -> Verdict {
        let forms = forms(address);
        let allowed = |address: &IpAddr| {
            self.allow
                .iter()
                .filter_map(|n| n.parse::<IpNet>().ok())
                .any(|network| network.contains(address))
        };
        for entry in &self.deny {
            let Ok(network) = entry.parse::<IpNet>() else {
                return Verdict::Denied(entry.clone());
            };
            if forms
                .iter()
                .any(|address| network.contains(address) && !allowed(address))
            {
                return Verdict::Denied(entry.clone());
            }
        }
        Verdict::Allowed
    }
}

/// The address, and the IPv4 address inside it.
fn forms(address: IpAddr) -> Vec<IpAddr> {
    let IpAddr::V6(v6) = address else {
        return vec![address];
    };
    let octets = v6.octets();
    let v4 = |at: usize| IpAddr::from([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]]);
    let inside = match v6.segments() {
        // ::ffff:a.b.c.d, RFC 4291 section 2.5.5.2: what a socket dials is the IPv4 address alone.
        [0, 0, 0, 0, 0, 0xffff, ..] => return vec![v4(12)],
        // ::a.b.c.d, RFC 4291 section 2.5.5.1, save :: and ::1
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 || low > 1 => v4(12),
        // 64:ff9b::/96, RFC 6052
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => v4(12),
        // 2002::/16, RFC 3056
        [0x2002, ..] => v4(2),
        _ => return vec![address],
    };
    vec![address, inside]
}

impl Default for SourcePolicy {
    fn default() -> Self {
        Self {
            deny: Self::default_deny(),
            allow: vec![],
        }
    }
}

fn port<const PORT: u16>() -> u16 {
    PORT
}

/// A port that a pod listens on. Pods have no capabilities, so that low ports are out of reach.
fn listen(_: &mut SchemaGenerator) -> Schema {
    super::integer(
        1024,
        65_535,
        "not a port that a pod can listen on: write a number from 1024 to 65535",
    )
}

fn hosts(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "maxItems": 16, "items": field::host(generator)})
}

fn turn_urls(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": 8,
        "items": {
            "type": "string",
            "maxLength": 320,
            "x-kubernetes-validations": rules(&[(
                "self.matches('^turns?:[A-Za-z0-9._:\\\\[\\\\]-]+([?]transport=(udp|tcp))?$')",
                "not the URL of a TURN server: write turn: or turns:, a host and a port, such as turn:turn.example:3478?transport=udp",
            )]),
        },
    })
}

fn networks(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 64,
        "items": {
            "type": "string",
            "maxLength": 43,
            "x-kubernetes-validations": rules(&[(
                "isCIDR(self)",
                "not a network: write an address and the length of its prefix, such as 10.0.0.0/8 or fd00::/8",
            )]),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(policy: &SourcePolicy, address: &str) -> Verdict {
        policy.verdict(address.parse().expect("an address"))
    }

    #[test]
    fn by_default_what_is_ours_is_denied_in_every_form() {
        let policy = SourcePolicy::default();
        for (address, network) in [
            ("127.0.0.1", "127.0.0.0/8"),
            ("169.254.169.254", "169.254.0.0/16"),
            ("0.0.0.0", "0.0.0.0/8"),
            ("239.1.2.3", "224.0.0.0/4"),
            ("::1", "::1/128"),
            ("::", "::/128"),
            ("fe80::1", "fe80::/10"),
            ("::ffff:127.0.0.1", "127.0.0.0/8"),
            ("::127.0.0.1", "127.0.0.0/8"),
            ("64:ff9b::a9fe:a9fe", "169.254.0.0/16"),
            ("2002:7f00:1::", "127.0.0.0/8"),
        ] {
            assert_eq!(
                verdict(&policy, address),
                Verdict::Denied(network.into()),
                "{address}"
            );
        }
        for address in [
            "10.1.2.3",
            "192.168.1.1",
            "203.0.113.5",
            "2001:db8::1",
            "::ffff:10.1.2.3",
        ] {
            assert_eq!(verdict(&policy, address), Verdict::Allowed, "{address}");
        }
    }

    #[test]
    fn allow_is_an_exception_to_deny() {
        let policy = SourcePolicy {
            deny: vec!["10.0.0.0/8".into()],
            allow: vec!["10.1.0.0/16".into()],
        };
        assert_eq!(verdict(&policy, "10.1.2.3"), Verdict::Allowed);
        assert_eq!(verdict(&policy, "::ffff:10.1.2.3"), Verdict::Allowed);
        assert_eq!(verdict(&policy, "10.2.2.3"), Verdict::Denied("10.0.0.0/8".into()));
    }

    #[test]
    fn an_entry_that_nobody_understands_denies() {
        let policy = SourcePolicy {
            deny: vec!["10.0.0.0".into()],
            allow: vec!["everything".into()],
        };
        assert_eq!(verdict(&policy, "192.0.2.1"), Verdict::Denied("10.0.0.0".into()));
    }
}
