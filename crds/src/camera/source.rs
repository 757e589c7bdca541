//! The kinds of source of a Camera. How each is dialled is the node's.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

use crate::{
    field::{self, Tls, only_with, url},
    rule::rules,
};

/// Where a camera's media comes from: one of the kinds. On the wire it is an object with exactly one member.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Members", into = "Members")]
#[allow(missing_docs)] // each variant's type says it
pub enum Source {
    Rtsp(RtspSource),
    Rtmp(RtmpSource),
    Http(HttpSource),
    File(FileSource),
    Onvif(OnvifSource),
    Hikvision(DeviceSource),
    Dahua(DeviceSource),
    Gb28181(Gb28181Source),
    Publish(PublishSource),
}

/// The source on the wire. An enum alone would not do: YAML readers want tags for those, and the API server could only
/// say that no schema fits.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
// One writer's change from one kind to another must not leave the other writer's member behind: hence atomic.
#[schemars(extend("x-kubernetes-map-type" = "atomic", "x-kubernetes-validations" = rules(&[(
    "[has(self.rtsp), has(self.rtmp), has(self.http), has(self.file), has(self.onvif), has(self.hikvision), has(self.dahua), has(self.gb28181), has(self.publish)].filter(x, x).size() == 1",
    "source has none or several members: write exactly one of rtsp, rtmp, http, file, onvif, hikvision, dahua, gb28181 and publish",
)])))]
struct Members {
    /// A camera or server that is pulled by RTSP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rtsp: Option<RtspSource>,
    /// A server that is pulled by RTMP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rtmp: Option<RtmpSource>,
    /// A server that is pulled by HTTP: FLV, HLS or MPEG-TS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    http: Option<HttpSource>,
    /// A media file, played as if it were a camera.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<FileSource>,
    /// A device that is asked by ONVIF for its stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    onvif: Option<OnvifSource>,
    /// A Hikvision camera or recorder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hikvision: Option<DeviceSource>,
    /// A Dahua camera or recorder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dahua: Option<DeviceSource>,
    /// A device that registers by GB/T 28181.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gb28181: Option<Gb28181Source>,
    /// Nothing is dialled: the device sends to us, by RTSP, RTMP or WHIP, to the camera's path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    publish: Option<PublishSource>,
}

impl TryFrom<Members> for Source {
    type Error = &'static str;

    fn try_from(members: Members) -> Result<Self, Self::Error> {
        let all = [
            members.rtsp.map(Self::Rtsp),
            members.rtmp.map(Self::Rtmp),
            members.http.map(Self::Http),
            members.file.map(Self::File),
            members.onvif.map(Self::Onvif),
            members.hikvision.map(Self::Hikvision),
            members.dahua.map(Self::Dahua),
            members.gb28181.map(Self::Gb28181),
            members.publish.map(Self::Publish),
        ];
        let mut set = all.into_iter().flatten();
        match (set.next(), set.next()) {
            (Some(source), None) => Ok(source),
            _ => Err(
                "source has none or several members: write exactly one of rtsp, rtmp, http, file, onvif, \
                      hikvision, dahua, gb28181 and publish",
            ),
        }
    }
}

impl From<Source> for Members {
    fn from(source: Source) -> Self {
        let mut members = Self::default();
        match source {
            Source::Rtsp(s) => members.rtsp = Some(s),
            Source::Rtmp(s) => members.rtmp = Some(s),
            Source::Http(s) => members.http = Some(s),
            Source::File(s) => members.file = Some(s),
            Source::Onvif(s) => members.onvif = Some(s),
            Source::Hikvision(s) => members.hikvision = Some(s),
            Source::Dahua(s) => members.dahua = Some(s),
            Source::Gb28181(s) => members.gb28181 = Some(s),
            Source::Publish(s) => members.publish = Some(s),
        }
        members
    }
}

impl JsonSchema for Source {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Source".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Members::json_schema(generator)
    }
}

impl Source {
    /// The kind's name for people, as `status.source` shows it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Rtsp(_) => "RTSP",
            Self::Rtmp(_) => "RTMP",
            Self::Http(_) => "HTTP",
            Self::File(_) => "File",
            Self::Onvif(_) => "ONVIF",
            Self::Hikvision(_) => "Hikvision",
            Self::Dahua(_) => "Dahua",
            Self::Gb28181(_) => "GB28181",
            Self::Publish(_) => "Publish",
        }
    }

    /// By what the server is known that is dialled with TLS, where the spec says so.
    pub fn tls(&self) -> Option<&Tls> {
        match self {
            Self::Rtsp(rtsp) => rtsp.tls.as_ref(),
            Self::Rtmp(rtmp) => rtmp.tls.as_ref(),
            _ => None,
        }
    }

    /// Whether the device sends to us, and nothing is dialled.
    pub fn is_publish(&self) -> bool {
        matches!(self, Self::Publish(_))
    }
}

/// A camera or server that is pulled by RTSP (RFC 2326).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules(&[
    only_with!("rtsps", "write rtsps://"),
    (
        "!(has(self.transport) && self.transport == 'Udp' && self.url.matches('^(?i:rtsps)://'))",
        "transport: over UDP the media would not be encrypted: write Tcp, or take transport away",
    ),
])))]
pub struct RtspSource {
    /// URL of the main stream, `rtsp://` or `rtsps://`, without credentials.
    #[schemars(schema_with = "url::rtsp")]
    pub url: String,
    /// URL of a smaller stream of the same picture, for viewers that ask for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "url::rtsp")]
    pub sub_url: Option<String>,
    /// How media is carried: `Tcp`, `Udp`, or `Auto` for TCP first and UDP if the camera refuses it. With `rtsps://` it is always TCP.
    #[serde(default)]
    pub transport: Transport,
    /// For `rtsps://`, by what the camera is known; without it, by a certificate for the host in the URL that a public authority has
    /// signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

impl RtspSource {
    /// A source of that URL and the defaults.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            sub_url: None,
            transport: Transport::Auto,
            tls: None,
        }
    }
}

/// How RTSP carries media.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Transport {
    /// TCP first, UDP if the camera refuses it.
    #[default]
    Auto,
    /// Interleaved in the RTSP connection.
    Tcp,
    /// RTP over UDP.
    Udp,
}

/// A server that is pulled by RTMP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = rules(&[only_with!("rtmps", "write rtmps://")])))]
pub struct RtmpSource {
    /// URL of the stream, `rtmp://` or `rtmps://`, without credentials.
    #[schemars(schema_with = "url::rtmp")]
    pub url: String,
    /// For `rtmps://`, by what the server is known; without it, by a certificate for the host in the URL that a public authority has
    /// signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

/// A server that is pulled by HTTP; what it sends tells whether it is FLV, HLS or MPEG-TS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HttpSource {
    /// URL of the stream, `http://` or `https://`, without credentials.
    #[schemars(schema_with = "url::http")]
    pub url: String,
}

/// A media file, played as if it were a camera.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = rules(&[(
    "has(self.path) != has(self.object)",
    "file has none or both of path and object: write path for a file of the node's media folder, or object for one in the pool's bucket",
)])))]
pub struct FileSource {
    /// Path below the node's media folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "file_path")]
    pub path: Option<String>,
    /// Key of an object in the pool's bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "object_key")]
    pub object: Option<String>,
    /// Whether it begins again at its end.
    #[serde(default = "field::yes", rename = "loop")]
    pub loop_: bool,
}

/// A device that is asked by ONVIF for its stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OnvifSource {
    /// Host name or address.
    #[schemars(schema_with = "field::host")]
    pub host: String,
    /// Port of its device service.
    #[serde(default = "port::<80>")]
    #[schemars(schema_with = "field::port", default = "port::<80>")]
    pub port: u16,
    /// HTTP path of its device service.
    #[serde(default = "OnvifSource::default_path")]
    #[schemars(schema_with = "http_path")]
    pub path: String,
    /// Token of the media profile that is the main stream; without it, the device's first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "profile")]
    pub main_profile: Option<String>,
    /// Token of the media profile that is the sub stream; without it, none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "profile")]
    pub sub_profile: Option<String>,
}

impl OnvifSource {
    fn default_path() -> String {
        "/onvif/device_service".into()
    }
}

/// A camera or recorder that is spoken to in its vendor's way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceSource {
    /// Host name or address.
    #[schemars(schema_with = "field::host")]
    pub host: String,
    /// Port of its HTTP service.
    #[serde(default = "port::<80>")]
    #[schemars(schema_with = "field::port", default = "port::<80>")]
    pub http_port: u16,
    /// Port of its RTSP service.
    #[serde(default = "port::<554>")]
    #[schemars(schema_with = "field::port", default = "port::<554>")]
    pub rtsp_port: u16,
    /// Port of its own protocol, kept for APIs that show it; nothing here speaks that protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "field::port")]
    pub sdk_port: Option<u16>,
    /// Numbers of the channels that are taken, from 1; without them, all that the device has. Channel n has the path
    /// `<path>--<n>`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "channels")]
    pub channels: Vec<u32>,
}

/// A device that registers by GB/T 28181.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gb28181Source {
    /// The device's 20 digits.
    #[schemars(schema_with = "gb_id")]
    pub id: String,
}

/// The device sends to us. It has no settings: the path and the account decide.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PublishSource {}

fn port<const PORT: u16>() -> u16 {
    PORT
}

fn file_path(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": 1024,
        "x-kubernetes-validations": rules(&[
            (
                "!self.startsWith('/') && !self.contains(':')",
                "file path is absolute or a URL: write it relative to the node's media folder, such as demo/yard.mp4",
            ),
            (
                "!self.matches('(^|/)[.][.](/|$)')",
                "file path leaves its folder with '..': write it without, such as demo/yard.mp4",
            ),
            (
                r"!self.matches('[\\x00-\\x1f\\x7f\\\\]')",
                "file path holds a control character or a backslash: write it with plain characters and '/', such as demo/yard.mp4",
            ),
        ]),
    })
}

fn object_key(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": 512,
        "x-kubernetes-validations": rules(&[(
            r"!self.startsWith('/') && !self.matches('(^|/)[.][.](/|$)') && !self.matches('[\\x00-\\x1f\\x7f\\\\]')",
            "not the key of an object: write it without '/' in front, '..' and control characters, such as demo/yard.mp4",
        )]),
    })
}

fn http_path(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({
        "type": "string",
        "maxLength": 255,
        "x-kubernetes-validations": rules(&[(
            r#"self.matches('^/[^\\x00-\\x20\\x7f\\\\"<>#]*$')"#,
            "not a path: write it with '/' in front and without blanks, such as /onvif/device_service",
        )]),
    })
}

fn profile(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": 64,
        "x-kubernetes-validations": rules(&[(
            r#"!self.matches('[\\x00-\\x1f\\x7f<>&"]')"#,
            "not a profile token: write the token that the device lists, such as Profile_1",
        )]),
    })
}

fn channels(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({
        "type": "array",
        "maxItems": 256,
        "x-kubernetes-list-type": "set",
        "items": {
            "type": "integer",
            "x-kubernetes-validations": rules(&[(
                "self >= 1 && self <= 512",
                "not a channel: write a number from 1 to 512",
            )]),
        },
    })
}

fn gb_id(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({
        "type": "string",
        "maxLength": 64,
        "x-kubernetes-validations": rules(&[(
            "self.matches('^[0-9]{20}$')",
            "not a GB/T 28181 id: write the device's 20 digits, such as 34020000001320000001",
        )]),
    })
}
