//! URLs in a spec: which schemes a field takes, and what no URL may hold. Names are resolved and addresses checked against
//! the pool's source policy by whoever dials.

use schemars::{Schema, SchemaGenerator, json_schema};

use crate::rule::rules;

/// Most characters of a URL in a spec.
pub const MAX_LEN: usize = 1024;

const CLEAN: (&str, &str) = (
    r#"!self.matches('[\\x00-\\x20\\x7f\\\\"<>`]')"#,
    "URL holds a blank, a line break, a control character, a quote or a backslash: write it percent-encoded, such as %20 for a blank",
);
const NO_CREDENTIALS: (&str, &str) = (
    "!self.matches('^[A-Za-z][A-Za-z0-9+.-]*:/*[^/?#]*@')",
    "URL holds credentials: write it without user and password, and name a Secret with the keys username and password in spec.credentials.secretName",
);

fn schema(scheme: (&str, &str)) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_LEN,
        "x-kubernetes-validations": rules(&[scheme, CLEAN, NO_CREDENTIALS]),
    })
}

/// `rtsp` and `rtsps`.
pub(crate) fn rtsp(_: &mut SchemaGenerator) -> Schema {
    schema((
        "self.matches('^(?i:rtsps?)://[^/?#]')",
        "not an RTSP URL: write rtsp:// or rtsps:// and a host, such as rtsp://10.1.2.3:554/main",
    ))
}

/// `rtmp` and `rtmps`.
pub(crate) fn rtmp(_: &mut SchemaGenerator) -> Schema {
    schema((
        "self.matches('^(?i:rtmps?)://[^/?#]')",
        "not an RTMP URL: write rtmp:// or rtmps:// and a host, such as rtmp://10.1.2.3/live/main",
    ))
}

/// `http` and `https`.
pub(crate) fn http(_: &mut SchemaGenerator) -> Schema {
    schema((
        "self.matches('^(?i:https?)://[^/?#]')",
        "not an HTTP URL: write http:// or https:// and a host, such as http://10.1.2.3/live/main.flv",
    ))
}

/// `http` and `https`, for a service of the pool rather than a source.
pub(crate) fn endpoint(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_LEN,
        "x-kubernetes-validations": rules(&[
            (
                "self.matches('^(?i:https?)://[^/?#]')",
                "not the URL of a service: write http:// or https:// and a host, such as https://s3.example",
            ),
            CLEAN,
            (NO_CREDENTIALS.0, "URL holds credentials: write it without, and name a Secret in secretName"),
        ]),
    })
}

/// `rtmp`, `rtmps`, `rtsp` and `rtsps`, of a server that is pushed to.
pub(crate) fn forward(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_LEN,
        "x-kubernetes-validations": rules(&[
            (
                "self.matches('^(?i:rtmps?|rtsps?)://[^/?#]')",
                "not a URL that can be forwarded to: write rtmp:// or rtsp:// and a host, such as rtmp://10.1.2.3/live/door",
            ),
            CLEAN,
            (
                NO_CREDENTIALS.0,
                "URL holds credentials: write it without user and password, and name a Secret in secretName",
            ),
        ]),
    })
}

/// Any scheme: a Route's URL of a scheme that cannot be pulled is accepted here and refused by condition, because the API
/// that makes Routes documents it as a success.
pub(crate) fn route(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": MAX_LEN,
        "x-kubernetes-validations": rules(&[
            ("self.size() > 0", "url is empty: write where the stream is pulled from, such as rtsp://10.0.0.7:1554/"),
            CLEAN,
            NO_CREDENTIALS,
        ]),
    })
}
