//! Servers that a stream is pushed to, the same for Cameras and Routes.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{Tls, object_name, only_with, url};
use crate::rule::rules;

/// Most servers that one stream is pushed to.
pub const MOST_FORWARDS: usize = 8;

/// A server that a stream is pushed to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules(&[only_with!("rtsps|rtmps", "write rtsps:// or rtmps://")])))]
pub struct Forward {
    /// Where the stream is published, `rtmp://`, `rtmps://`, `rtsp://` or `rtsps://`, without credentials.
    #[schemars(schema_with = "url::forward")]
    pub url: String,
    /// Secret with the keys `username` and `password` (or `userinfo`) for RTSP; for RTMP with the key `streamKey`, which is
    /// put behind the URL: after a slash, or as parameters if it begins with `?`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "object_name")]
    pub secret_name: Option<String>,
    /// For `rtmps://` and `rtsps://`, by what the server is known; without it, by a certificate for the host in the URL that a public
    /// authority has signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

impl Forward {
    /// A server that wants no credentials.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            secret_name: None,
            tls: None,
        }
    }

    /// The Secrets that it names: what the server wants to see, and the authorities that vouch for it.
    pub fn secret_names(&self) -> impl Iterator<Item = &String> {
        let authorities = self.tls.as_ref().and_then(|tls| tls.ca_secret_name.as_ref());
        self.secret_name.iter().chain(authorities)
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
