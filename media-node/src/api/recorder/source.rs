//! Where a channel's media comes from: between the documents' three kinds of channel and the kinds of source of a Camera.

use super::parameters::{Parameters, TEXT};
use super::wire::{Code, Fault};
use crate::api::ipchub::route_url;
use crate::api::owned_secret;
use crate::cluster::resource::SecretData;
use crate::store::sql::recorder::CameraFact;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use weir_crds::camera::Source;
use weir_proto::Redacted;

/// Longest address, user and password of a device.
const DEVICE: usize = 32;
/// Longest password in base64.
const ENCODED: usize = 64;
/// A password of a device that came in no base64, as it came.
const RAW: &str = "password-raw";
/// All members that a source may have: a patch takes away those that it does not set.
const MEMBERS: [&str; 9] = [
    "rtsp",
    "rtmp",
    "http",
    "file",
    "onvif",
    "hikvision",
    "dahua",
    "gb28181",
    "publish",
];

/// The documents' `stream_prop`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Device = 0,
    File = 1,
    Relay = 2,
}

impl Mode {
    pub(super) fn of(number: i64) -> Option<Self> {
        match number {
            0 => Some(Self::Device),
            1 => Some(Self::File),
            2 => Some(Self::Relay),
            _ => None,
        }
    }
}

/// The credentials of a source that is to be.
#[derive(Debug)]
pub(super) enum Credentials {
    /// Those that it has.
    Kept,
    None,
    /// Values of a Secret.
    New(Redacted<Value>),
}

/// What changes of a Camera.
#[derive(Debug)]
pub(super) struct Change {
    /// The one member of the source.
    pub(super) source: Value,
    pub(super) credentials: Credentials,
}

impl Change {
    /// The source as a JSON merge patch.
    pub(super) fn patch(&self) -> Value {
        let mut patch = json!({});
        for member in MEMBERS {
            patch[member] = self.source.get(member).cloned().unwrap_or(Value::Null);
        }
        patch
    }
}

/// The address of a relayed stream, and what is kept of it; `fact` takes it.
pub(super) fn relay(url: &str, fact: &mut CameraFact) -> Result<Change, Fault> {
    let scheme = |scheme: &str| {
        url.get(..scheme.len())
            .is_some_and(|s| s.eq_ignore_ascii_case(scheme))
    };
    let member = match () {
        () if scheme("rtsp://") => "rtsp",
        () if scheme("rtmp://") => "rtmp",
        () => return Err(Code::NoName.into()),
    };
    let split = route_url::split(url).map_err(|_| Code::NoName)?;
    fact.stream_url.clone_from(&split.url);
    let credentials = match split.userinfo {
        None => Credentials::None,
        Some(userinfo) => Credentials::New(Redacted::new(json!({owned_secret::USERINFO: userinfo.reveal()}))),
    };
    Ok(Change {
        source: json!({member: {"url": split.url}}),
        credentials,
    })
}

/// A file below the media folder of the node; `fact` takes its path as it was given.
pub(super) fn file(path: &str, fact: &mut CameraFact) -> Result<Change, Fault> {
    let relative = below_media(path).ok_or(Code::NoName)?;
    path.clone_into(&mut fact.stream_mp4);
    Ok(Change {
        source: json!({"file": {"path": relative, "loop": true}}),
        credentials: Credentials::None,
    })
}

/// Relative to the media folder; none for a path that leaves it.
fn below_media(path: &str) -> Option<String> {
    let path = path.replace('\\', "/");
    let path = match path.as_bytes() {
        [drive, b':', ..] if drive.is_ascii_alphabetic() => &path[2..],
        _ => path.as_str(),
    };
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop()?;
            }
            segment => segments.push(segment),
        }
    }
    (!segments.is_empty()).then(|| segments.join("/"))
}

/// What is told of a device, on top of what `fact` has; `known` is the Secret that it has now.
pub(super) fn device(
    parameters: &Parameters,
    current: &Source,
    known: Option<&SecretData>,
    fact: &mut CameraFact,
) -> Change {
    let port = u16::try_from(fact.device_port).ok().filter(|port| *port > 0);
    let host = fact.device_ip.as_str();
    let source = match current {
        _ if host.is_empty() => json!({"publish": {}}),
        Source::Hikvision(device) | Source::Dahua(device) => {
            let member = if matches!(current, Source::Hikvision(_)) {
                "hikvision"
            } else {
                "dahua"
            };
            let mut value = json!({member: device});
            value[member]["host"] = host.into();
            if let Some(port) = port {
                value[member]["sdkPort"] = port.into();
            }
            value
        }
        Source::Onvif(device) => {
            let mut value = json!({"onvif": device});
            value["onvif"]["host"] = host.into();
            if let Some(port) = port {
                value["onvif"]["port"] = port.into();
            }
            value
        }
        _ => json!({"onvif": {"host": host, "port": port.unwrap_or(80)}}),
    };
    let user = parameters.text_or_empty("device_user", DEVICE);
    let password = parameters.text_or_empty("device_pass", ENCODED);
    let is_device = matches!(
        current,
        Source::Onvif(_) | Source::Hikvision(_) | Source::Dahua(_)
    );
    let credentials = if user.is_none() && password.is_none() && (is_device || fact.device_user.is_empty()) {
        if is_device {
            Credentials::Kept
        } else {
            Credentials::None
        }
    } else {
        let known_text = |key: &str| {
            known
                .filter(|_| is_device)
                .and_then(|data| owned_secret::text(data, key))
        };
        let username = user.unwrap_or_else(|| fact.device_user.clone());
        let mut data = json!({"username": username});
        let (password, raw) = match password {
            Some(encoded) => decoded(&encoded).map_or_else(
                || (encoded.clone(), Some(encoded.clone())),
                |password| (password, None),
            ),
            None => (known_text("password").unwrap_or_default(), known_text(RAW)),
        };
        data["password"] = password.into();
        if let Some(raw) = raw {
            data[RAW] = raw.into();
        }
        if username.is_empty() && data["password"] == "" {
            Credentials::None
        } else {
            Credentials::New(Redacted::new(data))
        }
    };
    Change { source, credentials }
}

/// Nothing is dialled: an address is yet to be told.
pub(super) fn nowhere() -> Change {
    Change {
        source: json!({"publish": {}}),
        credentials: Credentials::None,
    }
}

/// Takes what is told of a device into the facts, whatever the channel is now. True if anything was told that concerns
/// its source.
pub(super) fn device_facts(parameters: &Parameters, fact: &mut CameraFact) -> bool {
    let mut told = parameters.given("device_pass").is_some();
    if let Some(host) = parameters.text_or_empty("device_ip", DEVICE) {
        fact.device_ip = host;
        told = true;
    }
    if let Some(user) = parameters.text_or_empty("device_user", DEVICE) {
        fact.device_user = user;
        told = true;
    }
    if let Some(port) = parameters
        .int("device_cmd_port")
        .filter(|port| (0..=65535).contains(port))
    {
        fact.device_port = port;
        told = true;
    }
    let flags = [
        ("device_mirror", &mut fact.device_mirror),
        ("device_osd", &mut fact.device_osd),
        ("device_twice", &mut fact.device_twice),
        ("device_show", &mut fact.device_show),
    ];
    for (name, flag) in flags {
        if let Some(value) = parameters.flag(name) {
            *flag = value;
        }
    }
    told
}

fn decoded(text: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(text).ok()?).ok()
}

/// A channel's source as the API shows it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) mode: Mode,
    pub(super) url: String,
    pub(super) mp4: String,
    pub(super) host: String,
    pub(super) user: String,
    /// In base64.
    pub(super) password: String,
    pub(super) port: i64,
}

/// `secret` is that of its credentials, where it can be read.
pub(super) fn shown(source: &Source, fact: &CameraFact, secret: Option<&SecretData>) -> Shown {
    let mut shown = Shown {
        mode: Mode::Relay,
        url: fact.stream_url.clone(),
        mp4: fact.stream_mp4.clone(),
        host: fact.device_ip.clone(),
        user: fact.device_user.clone(),
        password: String::new(),
        port: fact.device_port,
    };
    let joined = |url: &str| match secret.and_then(owned_secret::userinfo) {
        Some(userinfo) => route_url::join(url, userinfo.reveal()),
        None => url.to_owned(),
    };
    let mut device = |host: &str, port: Option<u16>| {
        shown.mode = Mode::Device;
        host.clone_into(&mut shown.host);
        if let Some(port) = port {
            shown.port = port.into();
        }
        if let Some(data) = secret {
            let text = |key: &str| owned_secret::text(data, key);
            shown.user = text("username").unwrap_or_default();
            let encoded = || text("password").map(|password| STANDARD.encode(password));
            shown.password = text(RAW).or_else(encoded).unwrap_or_default();
        }
    };
    match source {
        Source::Rtsp(source) => shown.url = joined(&source.url),
        Source::Rtmp(source) => shown.url = joined(&source.url),
        Source::Http(source) => shown.url = joined(&source.url),
        Source::File(source) => {
            shown.mode = Mode::File;
            let path = source
                .path
                .as_deref()
                .or(source.object.as_deref())
                .unwrap_or_default();
            // As it was given, as long as it means the same.
            if below_media(&shown.mp4).as_deref() != Some(path) {
                path.clone_into(&mut shown.mp4);
            }
        }
        Source::Onvif(source) => device(&source.host, Some(source.port)),
        Source::Hikvision(source) | Source::Dahua(source) => device(&source.host, source.sdk_port),
        Source::Gb28181(_) => device("", None),
        // What was asked for has no address yet.
        Source::Publish(_) => {
            let asked = fact.stream_prop.and_then(Mode::of);
            shown.mode = asked.unwrap_or(Mode::Relay);
            if asked.is_none() {
                shown.url = String::new();
            }
        }
    }
    shown
}

/// The channel's mode, for who changes it.
pub(super) fn mode(source: &Source, fact: &CameraFact) -> Mode {
    shown(source, fact, None).mode
}

/// A name for people as resources take it: one line.
pub(super) fn display_name(parameters: &Parameters) -> Result<String, Fault> {
    let name = parameters.text("camera_name", TEXT).ok_or(Code::NoName)?;
    Ok(name
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::below_media;

    #[test]
    fn files_are_below_the_media_folder() {
        for (path, relative) in [
            ("a.mp4", Some("a.mp4")),
            ("/movies/a.mp4", Some("movies/a.mp4")),
            ("D:\\movies\\a.mp4", Some("movies/a.mp4")),
            ("c:a.mp4", Some("a.mp4")),
            ("a/../b.mp4", Some("b.mp4")),
            ("a//./b.mp4", Some("a/b.mp4")),
            ("../a.mp4", None),
            ("a/../../b.mp4", None),
            ("..\\a.mp4", None),
            ("D:\\..\\a.mp4", None),
            ("/", None),
        ] {
            assert_eq!(below_media(path).as_deref(), relative, "{path}");
        }
    }
}
