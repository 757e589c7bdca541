//! The client's side: what a server wants to see, and the answer to it.

use super::{STANDARD, md5_hex, parameters};
use crate::Redacted;
use base64::Engine;
use sha2::{Digest as _, Sha256};
use std::fmt;

/// What a server asks for in `WWW-Authenticate` (RFC 2617 sections 2 and 3.2.1, RFC 7616 section 3.3).
#[derive(Clone, PartialEq, Eq)]
pub enum Challenge {
    Basic,
    Digest(Asked),
}

/// What a Digest is computed with.
#[derive(Clone, PartialEq, Eq)]
pub struct Asked {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    /// With a quality of protection, as RFC 2617 has it; else as RFC 2069.
    qop: bool,
    stale: bool,
    algorithm: Algorithm,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Algorithm {
    #[default]
    Md5,
    /// Servers that know it say so, and want it said in the answer.
    Sha256,
}

impl Algorithm {
    fn parse(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("MD5") {
            Some(Self::Md5)
        } else if text.eq_ignore_ascii_case("SHA-256") {
            Some(Self::Sha256)
        } else {
            None
        }
    }

    fn hex(self, parts: &[&str]) -> String {
        match self {
            Self::Md5 => md5_hex(parts),
            Self::Sha256 => {
                let mut sha256 = Sha256::new();
                for part in parts {
                    sha256.update(part.as_bytes());
                }
                hex::encode(sha256.finalize())
            }
        }
    }
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Basic => "Basic",
            Self::Digest(_) => "Digest",
        })
    }
}

impl Challenge {
    /// The best of a response's challenges that can be answered: SHA-256 before MD5, and any Digest before
    /// Basic, which shows the password. Of equals the first.
    pub fn best<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Self> {
        let all = headers.filter_map(Self::parse);
        all.reduce(|best, next| {
            if next.strength() > best.strength() {
                next
            } else {
                best
            }
        })
    }

    const fn strength(&self) -> Option<Algorithm> {
        match self {
            Self::Basic => None,
            Self::Digest(asked) => Some(asked.algorithm),
        }
    }

    /// Of one header. None if it is of a kind that can't be answered.
    fn parse(header: &str) -> Option<Self> {
        let header = header.trim();
        if header.len() > super::MAX_LENGTH {
            return None;
        }
        let (scheme, rest) = header.split_once([' ', '\t']).unwrap_or((header, ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("digest") {
            return None;
        }
        let mut asked = Asked {
            realm: String::new(),
            nonce: String::new(),
            opaque: None,
            qop: false,
            stale: false,
            algorithm: Algorithm::default(),
        };
        for (name, value) in parameters(rest) {
            match name.to_ascii_lowercase().as_str() {
                "realm" => asked.realm = value,
                "nonce" => asked.nonce = value,
                "opaque" => asked.opaque = Some(value),
                "stale" => asked.stale = value.eq_ignore_ascii_case("true"),
                "qop" => {
                    asked.qop = value.split(',').any(|q| q.trim().eq_ignore_ascii_case("auth"));
                    if !asked.qop {
                        return None;
                    }
                }
                "algorithm" => asked.algorithm = Algorithm::parse(&value)?,
                _ => {}
            }
        }
        (!asked.nonce.is_empty()).then_some(Self::Digest(asked))
    }

    /// Whether the answer before was right but for its age.
    pub const fn is_stale(&self) -> bool {
        matches!(self, Self::Digest(Asked { stale: true, .. }))
    }

    /// The value of `Authorization` for a request, given by method and URI. `count` counts the answers to
    /// this challenge from 1; `client_nonce` is random.
    pub fn answer(
        &self,
        username: &str,
        password: &Redacted<String>,
        request: (&str, &str),
        count: u32,
        client_nonce: &str,
    ) -> String {
        let password = password.reveal();
        let asked = match self {
            Self::Basic => return format!("Basic {}", STANDARD.encode(format!("{username}:{password}"))),
            Self::Digest(asked) => asked,
        };
        let (method, uri) = request;
        let Asked { realm, nonce, .. } = asked;
        let algorithm = asked.algorithm;
        let (ha1, ha2) = (
            algorithm.hex(&[username, ":", realm, ":", password]),
            algorithm.hex(&[method, ":", uri]),
        );
        let count = format!("{count:08x}");
        let (response, qop) = if asked.qop {
            let parts = [&ha1, ":", nonce, ":", &count, ":", client_nonce, ":auth:", &ha2];
            let qop = format!(", qop=auth, nc={count}, cnonce=\"{client_nonce}\"");
            (algorithm.hex(&parts), qop)
        } else {
            (algorithm.hex(&[&ha1, ":", nonce, ":", &ha2]), String::new())
        };
        let opaque = asked.opaque.as_deref();
        let opaque = opaque.map(|text| format!(", opaque=\"{}\"", quoted(text)));
        let named = match algorithm {
            Algorithm::Md5 => "",
            Algorithm::Sha256 => ", algorithm=SHA-256",
        };
        format!(
            "Digest username=\"{}\", realm=\"{}\", nonce=\"{}\", uri=\"{}\", response=\"{response}\"{qop}{named}{}",
            quoted(username),
            quoted(realm),
            quoted(nonce),
            quoted(uri),
            opaque.unwrap_or_default(),
        )
    }
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtsp::auth::Credentials;

    fn best(headers: &[&str]) -> Option<Challenge> {
        Challenge::best(headers.iter().copied())
    }

    fn answer(header: &str, user: &str, password: &str) -> String {
        let challenge = best(&[header]).expect("a challenge");
        let request = ("GET", "/dir/index.html");
        challenge.answer(user, &Redacted::new(password.to_owned()), request, 1, "0a4f113b")
    }

    #[test]
    fn the_example_of_rfc_2617() {
        let asked = "Digest realm=\"testrealm@host.com\", qop=\"auth,auth-int\", \
                     nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"";
        let answer = answer(asked, "Mufasa", "Circle Of Life");
        for part in [
            "response=\"6629fae49393a05397450978507c4ef1\"",
            "opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"",
            "nc=00000001",
        ] {
            assert!(answer.contains(part), "{answer}");
        }
    }

    #[test]
    fn the_example_of_rfc_7616() {
        let offered = |algorithm: &str| {
            format!(
                "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
                 nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
                 opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            )
        };
        let (md5, sha256) = (offered("MD5"), offered("SHA-256"));
        let answer = |headers: &[&str]| {
            let challenge = best(headers).expect("a challenge");
            let password = Redacted::new("Circle of Life".to_owned());
            let nonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
            challenge.answer("Mufasa", &password, ("GET", "/dir/index.html"), 1, nonce)
        };
        let strong = "response=\"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1\"";
        // The stronger one, wherever it stands.
        for headers in [&[&*sha256][..], &[&md5, &sha256], &[&sha256, &md5, "Basic"]] {
            let answer = answer(headers);
            assert!(
                answer.contains(strong) && answer.contains(", algorithm=SHA-256"),
                "{answer}"
            );
        }
        let weak = answer(&[&md5]);
        assert!(
            weak.contains("response=\"8ca523f5e9506fed4657c9700eebdbec\""),
            "{weak}"
        );
        assert!(!weak.contains("algorithm"), "as ever: {weak}");
    }

    #[test]
    fn what_is_answered_is_what_the_server_expects() {
        for asked in [
            "Digest realm=\"a \\\"b\\\"\",nonce=\"x\"",
            "digest nonce=y, realm=z, algorithm=MD5",
        ] {
            let answer = answer(asked, "us\"er", "pa:ss");
            let Some(Credentials::Digest(digest)) = Credentials::parse(&answer) else {
                panic!("{answer}");
            };
            assert_eq!(digest.username, "us\"er");
            let realm = if asked.contains('z') { "z" } else { "a \"b\"" };
            let expected = digest.expected_response(realm, &digest.nonce, "GET", "/dir/index.html", "pa:ss");
            assert_eq!(digest.response, expected);
        }
        assert_eq!(
            answer("Basic realm=\"x\"", "admin", "pa:ss"),
            "Basic YWRtaW46cGE6c3M="
        );
    }

    #[test]
    fn the_password_is_shown_to_those_alone_who_take_nothing_else() {
        let digest = "Digest realm=\"r\",nonce=\"n\"";
        for order in [[digest, "Basic realm=\"r\""], ["Basic realm=\"r\"", digest]] {
            assert!(matches!(best(&order), Some(Challenge::Digest(_))));
        }
        let unknown = "Digest realm=\"r\",nonce=\"n\",algorithm=SHA-512-256";
        assert_eq!(best(&[unknown, "Basic"]), Some(Challenge::Basic));
        for header in [
            unknown,
            "Digest realm=\"r\"",
            "Digest nonce=n,qop=auth-int",
            "Bearer",
            "",
        ] {
            assert_eq!(best(&[header]), None, "{header}");
        }
        assert!(best(&["Digest nonce=n, stale=TRUE"]).expect("one").is_stale());
    }
}
