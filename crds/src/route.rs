//! `Route`: where streams that nobody declared are pulled from. Which Route a path matches is the router's.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    condition::{self, Condition},
    field::{self, Forward, RoutePattern, SecretRef, Tls, only_with, url},
    rule::rules,
};

/// What the user wants of a route.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "weir.video",
    version = "v1alpha1",
    kind = "Route",
    namespaced,
    status = "RouteStatus",
    derive = "PartialEq",
    shortname = "rt",
    category = "weir",
    doc = "Where streams that nobody declared are pulled from, by path or by directory.",
    printcolumn(name = "Pattern", type_ = "string", json_path = ".spec.pattern"),
    printcolumn(name = "URL", type_ = "string", json_path = ".spec.url"),
    printcolumn(name = "KeepAlive", type_ = "boolean", json_path = ".spec.keepAlive"),
    printcolumn(name = "Streams", type_ = "integer", json_path = ".status.streams"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules(&[only_with!("rtsps|rtmps", "write rtsps:// or rtmps://")])))]
pub struct RouteSpec {
    /// A stream path, or a directory that ends with `/`. `/` is all paths. The longest that matches wins, an exact one
    /// before all; of two Routes with one pattern the older serves.
    pub pattern: RoutePattern,
    /// Where the stream is pulled from, without credentials. For a directory the rest of the path is put behind it.
    #[schemars(schema_with = "url::route")]
    pub url: String,
    /// Keeps a stream that was started until its source ends it; otherwise it ends after five minutes without viewers.
    #[serde(default)]
    pub keep_alive: bool,
    /// Secret with the keys `username` and `password`, or `userinfo` as it would stand in the URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<SecretRef>,
    /// For `rtsps://` and `rtmps://`, by what the server is known that `url` names; without it, by a certificate for the host in the URL
    /// that a public authority has signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Servers that the route's streams are pushed to while they run; of a directory, with the rest of the path put behind
    /// the URL. A stream that is pushed is kept as with `keepAlive`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "field::forwards")]
    pub forward: Vec<Forward>,
}

/// What is true of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteStatus {
    /// Number of streams that the route has started and that run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub streams: Option<i64>,
    /// The `metadata.generation` that was last acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Reconciling`, `Stalled`, `Accepted`, `Forwarding`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// Whether a Secret's name is one of those that API calls give to the Secrets which they make for Routes and Cameras: `route-`
/// or `camera-`, 20 hexadecimal digits, `-`, 8 more. Gateways may delete these, and no others.
pub fn is_made_secret(name: &str) -> bool {
    let is_hex = |text: &str, digits: usize| {
        text.len() == digits
            && text
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    name.strip_prefix("route-")
        .or_else(|| name.strip_prefix("camera-"))
        .and_then(|rest| rest.split_once('-'))
        .is_some_and(|(pattern, one)| is_hex(pattern, 20) && is_hex(one, 8))
}

impl Route {
    /// The canonical form of the pattern, which is the key of the route.
    pub fn canonical_pattern(&self) -> String {
        self.spec.pattern.canonical()
    }

    /// Whether this route goes before `other` where both have one pattern: the older, then the smaller name.
    pub fn goes_before(&self, other: &Self) -> bool {
        crate::precedence(&self.metadata) < crate::precedence(&other.metadata)
    }

    /// The condition of that type.
    pub fn condition(&self, type_: &str) -> Option<&Condition> {
        condition::find(&self.status.as_ref()?.conditions, type_)
    }
}

#[cfg(test)]
mod tests {
    use super::is_made_secret;

    #[test]
    fn secrets_of_api_calls_are_told_by_their_names() {
        assert!(is_made_secret("route-0123456789abcdef0123-89abcdef"));
        assert!(is_made_secret("camera-0123456789abcdef0123-89abcdef"));
        for other in [
            "front-door",
            "camera-7",
            "route-0123456789abcdef0123",
            "route-0123456789abcdef0123-89abcdeF",
            "route-0123456789abcdef0123-89abcdef0",
            "route-0123456789abcdef012-89abcdef",
            "my-route-0123456789abcdef0123-89abcdef",
        ] {
            assert!(!is_made_secret(other), "{other}");
        }
    }
}
