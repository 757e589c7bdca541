//! What stands in RTMP URLs, and in the names that clients make of them: to the server, a URL comes
//! in two pieces.
//!
//! ```text
//! rtmp://host[:1935]/app[/instance]/name[?query]
//! connect: app = "app[/instance]", tcUrl = "rtmp://host/app[/instance]"     publish, play: "name[?query]"
//! ```
//! Where clients cut, and on which side the query goes, differs; a stream path is all of it.

use super::PORT;
use crate::Redacted;
use crate::rtsp::url::{canonical_path, percent_decode};
use std::fmt;

/// The parameters of a stream's URL. They are how who publishes or plays shows a token, so they
/// are not printed.
#[derive(Clone, Debug, Default)]
pub struct Query(Redacted<String>);

impl Query {
    /// The first parameter of this name, without percent escapes; none if it is empty.
    pub fn parameter(&self, name: &str) -> Option<Redacted<String>> {
        let value = self
            .0
            .reveal()
            .split('&')
            .filter_map(|parameter| parameter.split_once('='))
            .find_map(|(known, value)| (known == name).then_some(value))?;
        (!value.is_empty()).then(|| Redacted::new(percent_decode(value)))
    }

    /// The parameter `token`.
    pub fn token(&self) -> Option<Redacted<String>> {
        self.parameter("token")
    }
}

/// Puts the pieces together: the canonical stream path, as [`canonical_path`] makes it, and the
/// parameters, those of the name before the others.
///
/// ffmpeg leaves `name` empty if the URL has one segment, and puts `mp4:` before names that end in
/// `.mp4`. OBS has two fields, and people put the query into either. A slash in a parameter has to be
/// escaped: ffmpeg cuts there.
pub(super) fn stream(app: &str, tc_url: &str, name: &str) -> (String, Query) {
    let split = |text| match str::split_once(text, '?') {
        Some((path, query)) => (path, query),
        None => (text, ""),
    };
    let ((app, app_query), (name, name_query), (_, tc_url_query)) = (split(app), split(name), split(tc_url));
    let name = name
        .strip_prefix("mp4:")
        .or_else(|| name.strip_prefix("flv:"))
        .unwrap_or(name);
    let path = percent_decode(&format!("{app}/{name}"));
    let path = canonical_path(path.trim_end_matches('/'));
    let queries: Vec<_> = [name_query, app_query, tc_url_query]
        .into_iter()
        .filter(|query| !query.is_empty())
        .collect();
    (path, Query(Redacted::new(queries.join("&"))))
}

/// Where to connect, and what to ask for there.
#[derive(Clone)]
pub struct Url {
    /// `rtmps`.
    tls: bool,
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
    app: String,
    name: String,
}

/// Why a URL can't be used; the configuration's fault. The URL is not printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    #[error("the URL does not begin with rtmp:// or rtmps://")]
    Scheme,
    #[error("the URL has user and password, which RTMP has no place for")]
    Credentials,
    #[error("the URL has no host")]
    Host,
    #[error("the URL's port is no number from 1 to 65535")]
    Port,
    #[error("the URL has no path")]
    Path,
    #[error("the URL has a control character or blank")]
    Character,
}

/// Port of `rtmps` if the URL has none.
const TLS_PORT: u16 = 443;

impl Url {
    /// As ffmpeg cuts: of three segments or more, two are the app.
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        if url.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(UrlError::Character);
        }
        let (scheme, rest) = url.split_once("://").ok_or(UrlError::Scheme)?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "rtmp" => false,
            "rtmps" => true,
            _ => return Err(UrlError::Scheme),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(UrlError::Credentials);
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(address) => address.split_once(']').ok_or(UrlError::Host)?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        if host.is_empty() {
            return Err(UrlError::Host);
        }
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => Self::default_port(tls),
            None => return Err(UrlError::Host),
            Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or(UrlError::Port)?,
        };
        let path = path.strip_prefix('/').unwrap_or_default();
        let before_query = path.split('?').next().unwrap_or_default();
        if before_query.trim_matches('/').is_empty() {
            return Err(UrlError::Path);
        }
        let slashes: Vec<_> = before_query.match_indices('/').map(|(at, _)| at).collect();
        let (app, name) = match slashes[..] {
            [] => (path, ""),
            [only] => (&path[..only], &path[only + 1..]),
            [_, second, ..] => (&path[..second], &path[second + 1..]),
        };
        Ok(Self {
            tls,
            host: host.to_owned(),
            port,
            app: app.to_owned(),
            name: name.to_owned(),
        })
    }

    const fn default_port(tls: bool) -> u16 {
        if tls { TLS_PORT } else { PORT }
    }

    /// Whether TLS is to be spoken.
    pub const fn tls(&self) -> bool {
        self.tls
    }

    /// A name or an address, an IPv6 one without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The canonical stream path that a server of ours makes of it, see [`canonical_path`].
    pub fn stream_path(&self) -> String {
        stream(&self.app, "", &self.name).0
    }

    pub(super) fn app(&self) -> &str {
        &self.app
    }

    /// Often a secret: who knows it may publish.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn tc_url(&self) -> String {
        let scheme = if self.tls { "rtmps" } else { "rtmp" };
        let (open, close) = if self.host.contains(':') {
            ("[", "]")
        } else {
            ("", "")
        };
        let port = if self.port == Self::default_port(self.tls) {
            String::new()
        } else {
            format!(":{}", self.port)
        };
        format!("{scheme}://{open}{}{close}{port}/{}", self.host, self.app)
    }

    /// What must not be repeated of what the peer says: the name, and values of parameters.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &str> {
        let queries = [&self.name, &self.app]
            .into_iter()
            .filter_map(|text| Some(text.split_once('?')?.1));
        let values = queries
            .flat_map(|query| query.split('&'))
            .filter_map(|parameter| Some(parameter.split_once('=')?.1));
        let name = if self.name.is_empty() {
            &self.app
        } else {
            &self.name
        };
        let name = name.split('?').next();
        name.into_iter().chain(values).filter(|secret| !secret.is_empty())
    }
}

/// Where, not what.
impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Url")
            .field("tls", &self.tls)
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_app_and_name_together() {
        for (app, tc_url, name, path, token) in [
            ("room", "rtmp://h/room", "door?token=x", "/room/door", Some("x")),
            ("live", "rtmp://h/live", "cam", "/live/cam", None),
            // ffmpeg, one segment
            (
                "live?token=x",
                "rtmp://h:1936/live?token=x",
                "",
                "/live",
                Some("x"),
            ),
            ("cam", "rtmp://h/cam", "", "/cam", None),
            // OBS, the query in the server's field, a slash at its end
            (
                "live?a=1&token=x",
                "rtmp://h/live?a=1&token=x",
                "cam",
                "/live/cam",
                Some("x"),
            ),
            ("Live/", "rtmp://h/Live/", "Cam", "/live/cam", None),
            ("a/b", "rtmp://h/a/b", "c/d?token=y", "/a/b/c/d", Some("y")),
            ("live?token=x", "", "cam?token=y&x", "/live/cam", Some("y")),
            ("live", "rtmp://h/live?token=z", "cam?x=1", "/live/cam", Some("z")),
            ("", "rtmp://h/", "cam", "/cam", None),
            ("", "", "", "/", None),
            ("live", "", "mp4:cam.mp4", "/live/cam.mp4", None),
            ("live", "", "%E9%97%A8?token=a%2Fb", "/live/门", Some("a/b")),
            ("live", "", "../../etc", "/etc", None),
            ("live", "", "cam?token=", "/live/cam", None),
        ] {
            let (found, query) = stream(app, tc_url, name);
            assert_eq!(found, path, "{app} {name}");
            assert_eq!(
                query.token().map(|t| t.reveal().clone()).as_deref(),
                token,
                "{app} {name}"
            );
            assert!(!format!("{query:?}").contains("token"));
        }
    }

    #[test]
    fn urls_are_cut_as_ffmpeg_does() {
        for (text, app, name, tc_url) in [
            ("rtmp://h/live/cam", "live", "cam", "rtmp://h/live"),
            (
                "RTMP://h:1935/live/cam?a=b/c",
                "live",
                "cam?a=b/c",
                "rtmp://h/live",
            ),
            ("rtmp://h:1936/a/b/c/d", "a/b", "c/d", "rtmp://h:1936/a/b"),
            ("rtmps://h/live?key=1", "live?key=1", "", "rtmps://h/live?key=1"),
            ("rtmp://[::1]:99/live/", "live", "", "rtmp://[::1]:99/live"),
            ("rtmps://[::1]/live/x", "live", "x", "rtmps://[::1]/live"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!(
                (url.app(), url.name(), url.tc_url().as_str()),
                (app, name, tc_url),
                "{text}"
            );
        }
        let url = Url::parse("rtmp://h/Live/%43am/?token=x").unwrap();
        assert_eq!(url.stream_path(), "/live/cam");
        let url = Url::parse("rtmps://[fe80::1]/live/canary-key").unwrap();
        assert_eq!((url.tls(), url.host(), url.port()), (true, "fe80::1", 443));
        assert!(!format!("{url:?}").contains("canary"));
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for (text, want) in [
            ("http://h/live/cam", UrlError::Scheme),
            ("h/live/cam", UrlError::Scheme),
            ("rtmp://user:canary-pw@h/live/cam", UrlError::Credentials),
            ("rtmp:///live/cam", UrlError::Host),
            ("rtmp://[::1/live/cam", UrlError::Host),
            ("rtmp://[::1]x/live/cam", UrlError::Host),
            ("rtmp://h:0/live/cam", UrlError::Port),
            ("rtmp://h:65536/live/cam", UrlError::Port),
            ("rtmp://h:/live/cam", UrlError::Port),
            ("rtmp://h", UrlError::Path),
            ("rtmp://h/?a=b", UrlError::Path),
            ("rtmp://h?a=b", UrlError::Path),
            ("rtmp://h/li ve/cam", UrlError::Character),
            ("rtmp://h/live/cam\n", UrlError::Character),
        ] {
            assert_eq!(Url::parse(text).err(), Some(want), "{text}");
        }
    }
}
