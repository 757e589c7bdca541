//! Credentials and challenges: HTTP's Digest and Basic (RFC 2617, RFC 2069) as RTSP uses them.
//!
//! This module computes; it knows no accounts. Whoever compares an expected with a given response
//! does so in constant time.

mod challenge;

pub use challenge::{Asked, Challenge};

use crate::Redacted;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use std::fmt;

/// Bytes of an `Authorization` value that is looked at; longer ones are taken for none.
const MAX_LENGTH: usize = 4096;

/// What an `Authorization` header says.
#[derive(Clone, Debug)]
pub enum Credentials {
    Digest(Digest),
    Basic(Basic),
}

impl Credentials {
    /// `None` if the scheme is another, or a part that is needed is missing.
    pub fn parse(header: &str) -> Option<Self> {
        let header = header.trim();
        if header.len() > MAX_LENGTH {
            return None;
        }
        let (scheme, rest) = header.split_once([' ', '\t'])?;
        if scheme.eq_ignore_ascii_case("digest") {
            Digest::parse(rest).map(Self::Digest)
        } else if scheme.eq_ignore_ascii_case("basic") {
            Basic::parse(rest).map(Self::Basic)
        } else {
            None
        }
    }

    pub fn username(&self) -> &str {
        match self {
            Self::Digest(digest) => &digest.username,
            Self::Basic(basic) => &basic.username,
        }
    }
}

/// User name and password in the clear.
#[derive(Clone, Debug)]
pub struct Basic {
    pub username: String,
    pub password: Redacted<String>,
}

impl Basic {
    fn parse(text: &str) -> Option<Self> {
        let text = String::from_utf8(STANDARD.decode(text.trim()).ok()?).ok()?;
        let (username, password) = text.split_once(':')?;
        Some(Self {
            username: username.to_owned(),
            password: password.to_owned().into(),
        })
    }
}

/// The answer to a Digest challenge.
#[derive(Clone, PartialEq, Eq)]
pub struct Digest {
    pub username: String,
    /// 32 hex digits, in the case sent.
    pub response: String,
    /// The challenge that the client thinks it answers.
    pub nonce: String,
    /// Set if the client answers in the manner of RFC 2617 with a quality of protection.
    pub qop: Option<Qop>,
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digest")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// What `qop=auth` mixes into the response.
#[derive(Clone, PartialEq, Eq)]
pub struct Qop {
    pub nonce_count: String,
    pub client_nonce: String,
}

impl Digest {
    fn parse(text: &str) -> Option<Self> {
        let mut digest = Self {
            username: String::new(),
            response: String::new(),
            nonce: String::new(),
            qop: None,
        };
        let (mut qop, mut nonce_count, mut client_nonce) = (None, None, None);
        for (name, value) in parameters(text) {
            match name.to_ascii_lowercase().as_str() {
                "username" => digest.username = value,
                "response" => digest.response = value,
                "nonce" => digest.nonce = value,
                "qop" => qop = Some(value),
                "nc" => nonce_count = Some(value),
                "cnonce" => client_nonce = Some(value),
                "algorithm" if !value.eq_ignore_ascii_case("MD5") => return None,
                _ => {}
            }
        }
        if let Some(qop) = qop {
            if !qop.eq_ignore_ascii_case("auth") {
                return None;
            }
            digest.qop = Some(Qop {
                nonce_count: nonce_count?,
                client_nonce: client_nonce?,
            });
        }
        let hex = digest.response.len() == 32 && digest.response.bytes().all(|b| b.is_ascii_hexdigit());
        (hex && !digest.username.is_empty()).then_some(digest)
    }

    /// What the response has to be, in lower case, for this secret and the challenge that is in
    /// force. `method` and `uri` are those of the request line.
    pub fn expected_response(
        &self,
        realm: &str,
        nonce: &str,
        method: &str,
        uri: &str,
        secret: &str,
    ) -> String {
        let ha1 = md5_hex(&[&self.username, ":", realm, ":", secret]);
        self.expected_response_of(&ha1, nonce, method, uri)
    }

    /// Like [`Self::expected_response`], for who keeps only the user's H(A1), RFC 2617 section
    /// 3.2.2.2: the MD5 of name, realm and secret, in lower-case hexadecimal.
    pub fn expected_response_of(&self, ha1: &str, nonce: &str, method: &str, uri: &str) -> String {
        let ha2 = md5_hex(&[method, ":", uri]);
        match &self.qop {
            None => md5_hex(&[ha1, ":", nonce, ":", &ha2]),
            Some(qop) => md5_hex(&[
                ha1,
                ":",
                nonce,
                ":",
                &qop.nonce_count,
                ":",
                &qop.client_nonce,
                ":auth:",
                &ha2,
            ]),
        }
    }
}

fn md5_hex(parts: &[&str]) -> String {
    let mut md5 = Md5::new();
    for part in parts {
        md5.update(part.as_bytes());
    }
    hex::encode(md5.finalize())
}

/// `name=value` pairs separated by commas, each value a token or quoted.
fn parameters(mut text: &str) -> impl Iterator<Item = (&str, String)> {
    std::iter::from_fn(move || {
        text = text.trim_start_matches([' ', '\t', ',']);
        let (name, rest) = text.split_once('=')?;
        let rest = rest.trim_start();
        let value = if let Some(quoted) = rest.strip_prefix('"') {
            let mut value = String::new();
            let mut end = quoted.len();
            let mut escaped = false;
            for (i, c) in quoted.char_indices() {
                match c {
                    '\\' if !escaped => escaped = true,
                    '"' if !escaped => {
                        end = i + 1;
                        break;
                    }
                    _ => {
                        value.push(c);
                        escaped = false;
                    }
                }
            }
            text = &quoted[end..];
            value
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            text = &rest[end..];
            rest[..end].trim().to_owned()
        };
        Some((name.trim(), value))
    })
}

/// The value of `WWW-Authenticate` for Digest, without a blank after the comma and without qop,
/// as clients of the documented server know it.
pub fn digest_challenge(realm: &str, nonce: &str) -> String {
    format!("Digest realm=\"{realm}\",nonce=\"{nonce}\"")
}

/// The value of `WWW-Authenticate` for Basic.
pub fn basic_challenge(realm: &str) -> String {
    format!("Basic realm=\"{realm}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(header: &str) -> Digest {
        match Credentials::parse(header) {
            Some(Credentials::Digest(digest)) => digest,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_example_of_rfc_2617() {
        let digest = digest(
            "Digest username=\"Mufasa\", realm=\"testrealm@host.com\", \
             nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", uri=\"/dir/index.html\", qop=auth, \
             nc=00000001, cnonce=\"0a4f113b\", response=\"6629fae49393a05397450978507c4ef1\", \
             opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"",
        );
        assert_eq!(digest.username, "Mufasa");
        let expected = digest.expected_response(
            "testrealm@host.com",
            "dcd98b7102dd2f0e8b11d0f600bfb0c093",
            "GET",
            "/dir/index.html",
            "Circle Of Life",
        );
        assert_eq!(expected, digest.response);
    }

    #[test]
    fn without_qop_as_in_rfc_2069() {
        // The example of RFC 2069 with the response corrected by its errata.
        let digest = digest(
            "DIGEST username=\"Mufasa\",realm=\"testrealm@host.com\",\
             nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\",uri=\"/dir/index.html\",\
             response=\"1949323746fe6a43ef61f9606e7febea\"",
        );
        let expected = digest.expected_response(
            "testrealm@host.com",
            "dcd98b7102dd2f0e8b11d0f600bfb0c093",
            "GET",
            "/dir/index.html",
            "CircleOfLife",
        );
        assert_eq!(expected, digest.response);
    }

    #[test]
    fn quoted_values_may_hold_commas_and_quotes() {
        let response = "0".repeat(32);
        let header = format!("Digest username=\"a,\\\"b\\\"\" , response={response},nonce=\"x\"");
        assert_eq!(digest(&header).username, "a,\"b\"");
    }

    #[test]
    fn basic_splits_at_the_first_colon() {
        let Some(Credentials::Basic(basic)) = Credentials::parse("Basic YWRtaW46cGE6c3M=") else {
            panic!("not taken for Basic");
        };
        assert_eq!(
            (basic.username.as_str(), basic.password.reveal().as_str()),
            ("admin", "pa:ss")
        );
    }

    #[test]
    fn what_lacks_a_part_is_none() {
        let response = "0".repeat(32);
        for header in [
            "",
            "Basic",
            "Basic %%%",
            "Basic YWRtaW4=",
            "Bearer abc",
            "Digest",
            "Digest username=\"a\"",
            "Digest username=\"a\",response=\"zz\"",
            &format!("Digest response=\"{response}\""),
            &format!("Digest username=\"a\",response=\"{response}\",qop=auth-int,nc=1,cnonce=2"),
            &format!("Digest username=\"a\",response=\"{response}\",qop=auth"),
            &format!("Digest username=\"a\",response=\"{response}\",algorithm=SHA-256"),
            &format!(
                "Digest username=\"{}\",response=\"{response}\"",
                "a".repeat(MAX_LENGTH)
            ),
        ] {
            assert!(Credentials::parse(header).is_none(), "{header}");
        }
    }

    #[test]
    fn secrets_do_not_print() {
        let basic = format!("{:?}", Credentials::parse("Basic YWRtaW46cGE6c3M="));
        assert!(basic.contains("admin") && !basic.contains("pa:ss"), "{basic}");
    }

    #[test]
    fn challenges_as_clients_know_them() {
        assert_eq!(
            digest_challenge("ipchub", "0f"),
            "Digest realm=\"ipchub\",nonce=\"0f\""
        );
        assert_eq!(basic_challenge("ipchub"), "Basic realm=\"ipchub\"");
    }
}
