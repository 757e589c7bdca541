//! Servers that a stream is pushed to, the same for Cameras and Routes.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{object_name, url};
use crate::rule::rules;

/// Most servers that one stream is pushed to.
pub const MOST_FORWARDS: usize = 8;

/// A server that a stream is pushed to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Forward {
    /// Where the stream is published, `rtmp://` or `rtsp://`, without credentials.
    #[schemars(schema_with = "url::forward")]
    pub url: String,
    /// Secret with the keys `username` and `password` (or `userinfo`) for RTSP; for RTMP with the key `streamKey`, which is
    /// put behind the URL: after a slash, or as parameters if it begins with `?`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "object_name")]
    pub secret_name: Option<String>,
}

impl Forward {
    /// A server that wants no credentials.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            secret_name: None,
        }
    }
}

/// The list in a spec.
pub(crate) fn list(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": MOST_FORWARDS,
        "items": Forward::json_schema(generator),
        "x-kubernetes-list-type": "atomic",
        "x-kubernetes-validations": rules(&[(
            "self.all(a, self.filter(b, a.url == b.url && (has(a.secretName) ? a.secretName : '') == (has(b.secretName) ? b.secretName : '')).size() == 1)",
            "forward names one server twice: take one of the two away, or name another Secret in secretName",
        )]),
    })
}
