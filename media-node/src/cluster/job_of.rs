//! What a Camera or a Route asks for, as a [`Job`], and as a [`Forward`]. Pure but for looking at the media folder;
//! whether and when it runs is the supervisor's.

use super::resource::SecretData;
use super::route_match::{Match, below};
use crate::egress::forward::{Forward, Target};
use crate::ingest::{Authorities, Credentials, Job, RtmpUrl, Source, Transport, Trust};
use std::path::{Component, Path, PathBuf};
use subtle::ConstantTimeEq as _;
use url::Url;
use weir_crds::condition::reason;
use weir_crds::{Camera, Route, camera, field};
use weir_proto::Redacted;
use weir_proto::media::StreamPath;

/// What a Camera wants done.
#[derive(Clone, Debug)]
pub(super) enum Plan {
    Dial(Box<Job>),
    /// The device sends to us.
    AwaitPublisher,
}

/// Why it can't be done, until the user changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Of [`reason`].
    pub(super) reason: &'static str,
    /// What is wrong and what to do.
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(reason: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { reason, message }
    }
}

/// What the Secrets say that a source needs.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) credentials: Option<Credentials>,
    pub(super) authorities: Option<Authorities>,
}

impl Known {
    /// By what the server is known. Without the authorities that the spec wants it is known by nothing.
    fn trust(&self, tls: Option<&field::Tls>) -> Result<Trust, Refusal> {
        match tls {
            None => Ok(Trust::Public),
            Some(tls) if tls.ca_secret_name.is_some() => {
                Ok(Trust::Authorities(self.authorities.clone().unwrap_or_default()))
            }
            Some(tls) => tls.fingerprint_bytes().map(Trust::Fingerprint).ok_or_else(|| {
                let message = "tls.fingerprint is no SHA-256 fingerprint: write its 64 hexadecimal digits";
                Refusal::new(reason::INVALID_SPEC, message)
            }),
        }
    }
}

/// Name of the Secret with the credentials without which the Camera can't be dialled.
pub(super) fn secret_of(camera: &Camera) -> Option<&str> {
    match camera.spec.source {
        camera::Source::Rtsp(_) => camera.spec.credentials.as_ref().map(|c| c.secret_name.as_str()),
        _ => None,
    }
}

/// The name of a Camera's stream.
pub(super) fn path_of(camera: &Camera) -> Result<StreamPath, Refusal> {
    let path = camera.path();
    StreamPath::parse(&path).ok_or_else(|| {
        let message =
            format!("{path:?} names no stream: write spec.path as plain segments, such as a/front-door");
        Refusal::new(reason::INVALID_SPEC, message)
    })
}

/// Name of the Secret with the authorities that vouch for a server.
pub(super) fn authorities_of(tls: Option<&field::Tls>) -> Option<&str> {
    tls?.ca_secret_name.as_deref()
}

/// `media` is the folder that paths of file sources are below.
pub(super) fn camera(camera: &Camera, known: &Known, media: &Path) -> Result<Plan, Refusal> {
    let trust = known.trust(camera.spec.source.tls())?;
    let source = match &camera.spec.source {
        camera::Source::Publish(_) => return Ok(Plan::AwaitPublisher),
        camera::Source::Rtsp(rtsp) => Source::Rtsp {
            url: rtsp_url(&rtsp.url, reason::INVALID_SPEC)?,
            transport: match rtsp.transport {
                camera::Transport::Auto => Transport::Auto,
                camera::Transport::Tcp => Transport::Tcp,
                camera::Transport::Udp => Transport::Udp,
            },
            credentials: known.credentials.clone(),
            trust,
        },
        camera::Source::Rtmp(rtmp) => {
            let has_credentials = camera.spec.credentials.is_some();
            Source::Rtmp {
                url: rtmp_url(&rtmp.url, has_credentials)?,
                trust,
            }
        }
        camera::Source::File(file) => {
            let Some(path) = &file.path else {
                let message = "files of the object store can't be played by this version: put the file into the \
                               media folder and name it in spec.source.file.path";
                return Err(Refusal::new(reason::UNSUPPORTED_SOURCE, message));
            };
            Source::File {
                file: file_below(media, path)?,
                repeat: file.loop_,
            }
        }
        other => {
            let message = format!(
                "sources of kind {} can't be run by this version: it runs rtsp, rtmp, file and publish; many \
                 devices also serve RTSP, so try spec.source.rtsp",
                other.kind()
            );
            return Err(Refusal::new(reason::UNSUPPORTED_SOURCE, message));
        }
    };
    // A file that is played once has come to its end when it ends.
    let redial = !matches!(source, Source::File { repeat: false, .. });
    Ok(Plan::Dial(Box::new(Job {
        path: path_of(camera)?,
        camera: camera.metadata.name.clone(),
        source,
        audio: camera.spec.audio,
        redial,
    })))
}

/// The pull that a path starts by matching a Route. It isn't redialled: the next viewer starts it
/// again.
pub(super) fn route(matched: &Match, path: StreamPath, known: &Known) -> Result<Job, Refusal> {
    Ok(Job {
        path,
        camera: None,
        source: pulled(&matched.upstream, &matched.route, known)?,
        audio: true,
        redial: false,
    })
}

/// Whether a Route can start anything.
pub(super) fn check_route(route: &Route) -> Result<(), Refusal> {
    let nothing = Known::default();
    if route.canonical_pattern().ends_with('/') {
        // Its URL may be complete only with what somebody asks for below the pattern.
        return pulled(&below(&route.spec.url, "x"), route, &nothing).map(drop);
    }
    pulled(&route.spec.url, route, &nothing).map(drop)
}

/// What a Route's URL asks for.
fn pulled(url: &str, route: &Route, known: &Known) -> Result<Source, Refusal> {
    let trust = known.trust(route.spec.tls.as_ref())?;
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    if ["rtmp", "rtmps"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
    {
        let url = rtmp_url(url, route.spec.credentials.is_some())?;
        return Ok(Source::Rtmp { url, trust });
    }
    Ok(Source::Rtsp {
        url: rtsp_url(url, reason::UNSUPPORTED_SCHEME)?,
        transport: Transport::Auto,
        credentials: known.credentials.clone(),
        trust,
    })
}

fn rtmp_url(text: &str, has_credentials: bool) -> Result<RtmpUrl, Refusal> {
    let example = "write it as rtmp://10.1.2.3:1935/live/main";
    let url = RtmpUrl::parse(text)
        .map_err(|error| Refusal::new(reason::INVALID_SPEC, format!("{error}: {example}")))?;
    if has_credentials {
        let message = "RTMP has no place for a user and a password: leave spec.credentials out, and write the token \
                       or key that the server wants into the URL";
        return Err(Refusal::new(reason::INVALID_SPEC, message));
    }
    Ok(url)
}

fn rtsp_url(text: &str, otherwise: &'static str) -> Result<Url, Refusal> {
    let example = "write it as rtsp://10.1.2.3:554/main";
    let url = Url::parse(text).map_err(|e| {
        Refusal::new(
            reason::INVALID_SPEC,
            format!("the URL can't be read ({e}): {example}"),
        )
    })?;
    if !matches!(url.scheme(), "rtsp" | "rtsps") {
        let message = format!("URLs of scheme {} can't be pulled: {example}", url.scheme());
        return Err(Refusal::new(otherwise, message));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(Refusal::new(
            reason::INVALID_SPEC,
            format!("the URL has no host: {example}"),
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let message = "the URL has credentials in it: put them into a Secret with the keys username and password \
                       and name that in spec.credentials.secretName";
        return Err(Refusal::new(reason::INVALID_SPEC, message));
    }
    Ok(url)
}

/// The keys that a Secret of a source should have, for people.
pub(super) const SOURCE_KEYS: &str = "the keys username and password";

/// The key that a Secret with authorities should have, for people.
pub(super) const AUTHORITY_KEYS: &str = "the key ca.crt";

/// The keys that the Secret of a forward should have, for people.
pub(super) fn forward_keys(asked: &field::Forward) -> &'static str {
    if is_rtmp(&asked.url) {
        "the key streamKey"
    } else {
        SOURCE_KEYS
    }
}

fn is_rtmp(url: &str) -> bool {
    let begins = |scheme: &str| {
        url.get(..scheme.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
    };
    begins("rtmp://") || begins("rtmps://")
}

/// An entry of `spec.forward`, for the stream of that path. Of a Route's directory, `rest` is what follows
/// it in the path. `secret` has the data of the Secret that the entry names for the server, and its name; `authorities` are those
/// of the other one.
pub(super) fn forward(
    asked: &field::Forward,
    secret: Option<(&SecretData, &str)>,
    authorities: Option<&Authorities>,
    path: StreamPath,
    rest: Option<&str>,
) -> Result<Forward, Refusal> {
    let url = match rest {
        Some(rest) => below(&asked.url, rest),
        None => asked.url.clone(),
    };
    let known = Known {
        credentials: None,
        authorities: authorities.cloned(),
    };
    let trust = known.trust(asked.tls.as_ref())?;
    let target = if is_rtmp(&url) {
        let without_query = url.find('?').map_or(url.as_str(), |at| &url[..at]).to_owned();
        let key = secret.map(|(data, name)| stream_key(data, name)).transpose()?;
        let whole = match &key {
            None => url,
            Some(key) if rest.is_some() && !key.starts_with('?') => {
                let message = "one streamKey can't be that of all streams below a directory: write a pattern for each \
                               stream, or parameters that begin with ? as the streamKey";
                return Err(Refusal::new(reason::INVALID_SPEC, message));
            }
            Some(key) => with_key(&url, key),
        };
        let url = RtmpUrl::parse(&whole).map_err(|error| {
            let message = format!(
                "{error}: write spec.forward as rtmp://10.1.2.3/live/door, and the streamKey in one line"
            );
            Refusal::new(reason::INVALID_SPEC, message)
        })?;
        Target::Rtmp {
            url,
            shown: without_query,
            trust,
        }
    } else {
        Target::Rtsp {
            url: rtsp_url(&url, reason::UNSUPPORTED_SCHEME)?,
            credentials: secret.map(|(data, name)| credentials(data, name)).transpose()?,
            trust,
        }
    };
    Ok(Forward { path, target })
}

fn stream_key(data: &SecretData, secret: &str) -> Result<String, Refusal> {
    let bytes = data.get("streamKey").map(Redacted::reveal);
    let key = bytes.and_then(|bytes| std::str::from_utf8(bytes).ok());
    // A line break at the end comes from `echo`.
    let key = key
        .map(|key| key.trim_end_matches(['\r', '\n']))
        .unwrap_or_default();
    if key.is_empty() {
        let message = format!("the Secret {secret} has no key streamKey: add it");
        return Err(Refusal::new(reason::SECRET_NOT_FOUND, message));
    }
    Ok(key.to_owned())
}

/// The URL with the key behind its path, or among its parameters.
fn with_key(url: &str, key: &str) -> String {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let (name, more) = key.split_once('?').unwrap_or((key, ""));
    let slash = if name.is_empty() || path.ends_with('/') {
        ""
    } else {
        "/"
    };
    let parameters: Vec<&str> = [query, more]
        .into_iter()
        .filter(|text| !text.is_empty())
        .collect();
    let mark = if parameters.is_empty() { "" } else { "?" };
    format!("{path}{slash}{name}{mark}{}", parameters.join("&"))
}

/// The file, which need not be there. Neither the path nor a symbolic link leads out of the folder.
fn file_below(media: &Path, path: &str) -> Result<PathBuf, Refusal> {
    let outside = || {
        let message =
            format!("the file {path:?} is not in the media folder: write a path below it, such as demo.mp4");
        Refusal::new(reason::INVALID_SPEC, message)
    };
    let below = Path::new(path);
    let plain = |c: Component<'_>| matches!(c, Component::Normal(_) | Component::CurDir);
    if path.contains(['\\', '\0']) || !below.components().all(plain) || below.file_name().is_none() {
        return Err(outside());
    }
    let file = media.join(below);
    match (std::fs::canonicalize(&file), std::fs::canonicalize(media)) {
        (Ok(real), Ok(root)) if real.starts_with(&root) => Ok(real),
        (Ok(_), _) => Err(outside()),
        // The ingest says that it isn't there.
        (Err(_), _) => Ok(file),
    }
}

/// What a Secret says: the keys `username` and `password`, or `userinfo` as in a URL.
pub(super) fn credentials(data: &SecretData, secret: &str) -> Result<Credentials, Refusal> {
    let text = |key: &str| {
        let bytes = data.get(key)?.reveal();
        // A line break at the end comes from `echo`; no camera means it.
        Some(
            std::str::from_utf8(bytes)
                .ok()?
                .trim_end_matches(['\r', '\n'])
                .to_owned(),
        )
    };
    if let (Some(username), Some(password)) = (text("username"), text("password")) {
        return Ok(Credentials {
            username,
            password: Redacted::new(password),
        });
    }
    if let Some(userinfo) = text("userinfo") {
        let (username, password) = userinfo.split_once(':').unwrap_or((&userinfo, ""));
        let decode = |s: &str| {
            percent_encoding::percent_decode_str(s)
                .decode_utf8_lossy()
                .into_owned()
        };
        return Ok(Credentials {
            username: decode(username),
            password: Redacted::new(decode(password)),
        });
    }
    let message = format!("the Secret {secret} has no keys username and password: add them");
    Err(Refusal::new(reason::SECRET_NOT_FOUND, message))
}

/// The authorities in a Secret: the key `ca.crt`.
pub(super) fn authorities(data: &SecretData, secret: &str) -> Result<Authorities, Refusal> {
    let Some(pem) = data.get("ca.crt") else {
        let message =
            format!("the Secret {secret} has no key ca.crt: add it, with the authority's certificate");
        return Err(Refusal::new(reason::SECRET_NOT_FOUND, message));
    };
    Authorities::parse(pem.reveal()).map_err(|error| {
        let message = format!(
            "the key ca.crt of the Secret {secret} is of no use: {error}; put certificates of authorities in PEM there"
        );
        Refusal::new(reason::INVALID_SPEC, message)
    })
}

/// Whether two jobs are the same, and where not, whether only what is in their Secrets differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Difference {
    None,
    Secrets,
    Other,
}

pub(super) fn difference(a: &Job, b: &Job) -> Difference {
    if (&a.path, a.audio, a.redial) != (&b.path, b.audio, b.redial) {
        return Difference::Other;
    }
    let same = match (&a.source, &b.source) {
        (
            Source::Rtsp {
                url,
                transport,
                credentials,
                trust,
            },
            Source::Rtsp {
                url: other_url,
                transport: other_transport,
                credentials: other_credentials,
                trust: other_trust,
            },
        ) => {
            let same = (url, transport) == (other_url, other_transport) && same_kind(trust, other_trust);
            let secrets = same_credentials(credentials.as_ref(), other_credentials.as_ref());
            if same && !(secrets && trust == other_trust) {
                return Difference::Secrets;
            }
            same
        }
        (
            Source::Rtmp { url, trust },
            Source::Rtmp {
                url: other_url,
                trust: other_trust,
            },
        ) => {
            let same = url == other_url && same_kind(trust, other_trust);
            if same && trust != other_trust {
                return Difference::Secrets;
            }
            same
        }
        (Source::File { file, repeat }, Source::File { file: f, repeat: r }) => (file, repeat) == (f, r),
        (
            Source::Relay { address, secret },
            Source::Relay {
                address: a,
                secret: s,
            },
        ) => address == a && bool::from(secret.reveal().as_bytes().ct_eq(s.reveal().as_bytes())),
        _ => false,
    };
    if same { Difference::None } else { Difference::Other }
}

/// Whether the spec trusts by the same thing; which authorities there are is in a Secret.
fn same_kind(a: &Trust, b: &Trust) -> bool {
    a == b || matches!((a, b), (Trust::Authorities(_), Trust::Authorities(_)))
}

fn same_credentials(a: Option<&Credentials>, b: Option<&Credentials>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => {
            let password = a
                .password
                .reveal()
                .as_bytes()
                .ct_eq(b.password.reveal().as_bytes());
            a.username == b.username && bool::from(password)
        }
        _ => false,
    }
}

/// The URL of a Camera or Route for people, whether it can be read or not.
pub(super) fn shown_of(camera: &Camera) -> String {
    match &camera.spec.source {
        camera::Source::Rtsp(rtsp) => match Url::parse(&rtsp.url) {
            Ok(url) => Source::Rtsp {
                url,
                transport: Transport::Auto,
                credentials: None,
                trust: Trust::Public,
            }
            .shown(),
            Err(_) => "its URL".to_owned(),
        },
        camera::Source::Rtmp(rtmp) => match RtmpUrl::parse(&rtmp.url) {
            Ok(url) => url.shown().to_owned(),
            Err(_) => "its URL".to_owned(),
        },
        camera::Source::File(file) => format!("the file {}", file.path.as_deref().unwrap_or_default()),
        other => format!("the {} source", other.kind()),
    }
}

/// The path as a Route's pattern is compared with.
pub(super) fn canonical(path: &StreamPath) -> String {
    field::canonical_path(path.as_str())
}

#[cfg(test)]
mod tests;
