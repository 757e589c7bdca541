//! Field types that several kinds share, each with its schema and its rules. What only one kind has stands with the kind.

mod calendar;
mod duration;
mod forward;
mod path;
mod quantity;
mod selector;
mod tls;
pub mod url;

pub use calendar::{Date, Day, TimeOfDay, TimeZone};
pub use duration::Duration;
pub(crate) use forward::list as forwards;
pub use forward::{Forward, MOST_FORWARDS};
pub use path::{RoutePattern, StreamPath, canonical_path};
pub use quantity::Quantity;
pub use selector::{LabelSelector, Operator, Requirement};
pub use tls::Tls;
pub(crate) use tls::only_with;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::fmt;

use crate::rule::rules;

/// A field's text did not have the form that the field's schema asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    text: String,
    want: &'static str,
}

impl ParseError {
    pub(crate) fn new(text: &str, want: &'static str) -> Self {
        // The text goes into logs and conditions, so that it has a bound here.
        Self {
            text: text.chars().take(64).collect(),
            want,
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not {}", self.text, self.want)
    }
}

impl std::error::Error for ParseError {}

/// A Secret of the object's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// Name of the Secret.
    #[schemars(schema_with = "object_name")]
    pub secret_name: String,
}

impl SecretRef {
    /// A reference to the Secret of that name.
    pub fn new(secret_name: impl Into<String>) -> Self {
        Self {
            secret_name: secret_name.into(),
        }
    }
}

/// How long recordings are kept. What passes either bound is deleted, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// Longest time that a recording is kept; without it, age deletes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age: Option<Duration>,
    /// Most bytes that the recordings of one camera take; without it, size deletes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Quantity>,
}

/// A bucket of an S3 object store, and how to reach it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BucketRef {
    /// Name of the bucket.
    #[schemars(schema_with = "bucket_name")]
    pub bucket: String,
    /// URL of the object store; without it, AWS S3 of `region`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "url::endpoint")]
    pub endpoint: Option<String>,
    /// Region that requests are signed for.
    #[serde(default = "BucketRef::default_region")]
    #[schemars(schema_with = "region")]
    pub region: String,
    /// Puts the bucket into the URL's path rather than its host name, as most object stores other than AWS want it.
    #[serde(default = "yes")]
    pub path_style: bool,
    /// Secret with the keys `accessKeyId` and `secretAccessKey`; without it, the pod's own identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "object_name")]
    pub secret_name: Option<String>,
}

impl BucketRef {
    fn default_region() -> String {
        "us-east-1".into()
    }
}

/// For `#[serde(default)]`: on unless switched off.
pub(crate) fn yes() -> bool {
    true
}

/// Name of a Kubernetes object: a DNS subdomain, RFC 1123.
pub(crate) fn object_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": 253,
        "x-kubernetes-validations": rules(&[(
            r"self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",
            "not the name of an object: write lower-case letters, digits, '-' and '.', such as front-door",
        )]),
    })
}

/// Name of a node of the pool, as in `media-node-0`.
pub(crate) fn node_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": 63,
        "x-kubernetes-validations": rules(&[(
            r"self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
            "not the name of a node: write the name of one of the pool's pods, such as media-node-0",
        )]),
    })
}

/// A name for people: one line.
pub(crate) fn display_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 255,
        "x-kubernetes-validations": rules(&[(
            r"!self.matches('[\\x00-\\x1f\\x7f]')",
            "holds a control character or a line break: write one line of text",
        )]),
    })
}

/// A host name, an IPv4 or an IPv6 address; no port.
pub(crate) fn host(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": 253,
        "x-kubernetes-validations": rules(&[(
            r"isIP(self) || self.matches('^[A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9_])?([.][A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9_])?)*[.]?$')",
            "not a host: write a host name or an IP address alone, without scheme, port or path, such as 10.1.2.3",
        )]),
    })
}

/// A port that a spec names.
pub(crate) fn port(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "integer",
        "x-kubernetes-validations": rules(&[("self >= 1 && self <= 65535", "not a port: write a number from 1 to 65535")]),
    })
}

/// A map of labels to match.
pub(crate) fn labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": {"type": "string", "maxLength": 63},
        "x-kubernetes-validations": rules(&[(
            r"self.all(k, k.size() <= 317 && k.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$') && self[k].matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$'))",
            "not labels: keys and values have letters, digits, '-', '_' and '.', such as site: a",
        )]),
    })
}

fn bucket_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 63,
        "x-kubernetes-validations": rules(&[(
            "self.matches('^[a-z0-9][-a-z0-9.]{1,61}[a-z0-9]$')",
            "not the name of a bucket: write 3 to 63 lower-case letters, digits, '-' and '.', such as weir-recordings",
        )]),
    })
}

fn region(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 63,
        "x-kubernetes-validations": rules(&[(
            "self.matches('^[A-Za-z0-9][-A-Za-z0-9_]*$')",
            "not a region: write letters, digits and '-', such as us-east-1",
        )]),
    })
}
