//! Where an RTMP server is.

use std::fmt;
use weir_proto::Redacted;
use weir_proto::rtmp::url::Url;

pub use weir_proto::rtmp::url::UrlError as RtmpUrlError;

/// An RTMP URL, as it was written and taken apart. Its parameters, which may be keys, are not printed.
#[derive(Clone)]
pub struct RtmpUrl {
    text: Redacted<String>,
    url: Url,
}

impl RtmpUrl {
    /// # Errors
    /// What is wrong with it, without repeating it.
    pub fn parse(text: &str) -> Result<Self, RtmpUrlError> {
        let url = Url::parse(text)?;
        let text = Redacted::new(text.to_owned());
        Ok(Self { text, url })
    }

    /// The URL as people may see it.
    pub fn shown(&self) -> &str {
        let text = self.text.reveal();
        text.find('?').map_or(text, |at| &text[..at])
    }

    /// `host:port`.
    pub fn authority(&self) -> String {
        let (host, port) = (self.url.host(), self.url.port());
        if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    }

    /// Whether TLS is to be spoken.
    pub const fn tls(&self) -> bool {
        self.url.tls()
    }

    pub const fn parts(&self) -> &Url {
        &self.url
    }
}

/// As written: a case or an escape may make a difference to the server.
impl PartialEq for RtmpUrl {
    fn eq(&self, other: &Self) -> bool {
        self.text.reveal() == other.text.reveal()
    }
}

impl Eq for RtmpUrl {}

impl fmt::Debug for RtmpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.shown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_not_shown() {
        let url = RtmpUrl::parse("rtmp://[fd00::1]/live/door?key=canary-key").expect("a URL");
        assert_eq!(url.shown(), "rtmp://[fd00::1]/live/door");
        assert_eq!(url.authority(), "[fd00::1]:1935");
        assert!(!format!("{url:?}").contains("canary"));
        let other = RtmpUrl::parse("rtmp://[fd00::1]/live/door?key=other").expect("a URL");
        assert_ne!(url, other);
        assert_eq!(url, url.clone());
    }
}
