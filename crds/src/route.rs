//! `Route`: where streams that nobody declared are pulled from. Which Route a path matches is the router's.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    condition::{self, Condition},
    field::{RoutePattern, SecretRef, url},
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
    /// `Ready`, `Reconciling`, `Stalled`, `Accepted`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
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
