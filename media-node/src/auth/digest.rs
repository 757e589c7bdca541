//! HTTP Digest as RTSP uses it here (RFC 2069 form: MD5, no `qop`), the server's side.
//!
//! A listener draws a [`nonce`] per connection, sends it in a [`challenge`], takes the client's
//! answer apart with [`Answer::parse`], compares the nonce in it with the one it sent, and asks
//! `Auth::caller_by_digest`.

use super::password::{REALM, md5_hex};
use crate::store::sql::accounts::Secrets;
use std::borrow::Cow;
use subtle::{Choice, ConstantTimeEq};

/// Longest `Authorization` header that is looked at, in bytes.
const LONGEST: usize = 4096;

/// A fresh nonce: 32 lower-case hexadecimal digits.
pub fn nonce() -> String {
    hex::encode(rand::random::<[u8; 16]>())
}

/// The value of a `WWW-Authenticate` header.
pub fn challenge(nonce: &str) -> String {
    format!("Digest realm=\"{REALM}\",nonce=\"{nonce}\"")
}

/// What a client's `Authorization` header says.
pub struct Answer<'a> {
    pub username: Cow<'a, str>,
    pub nonce: Cow<'a, str>,
    /// 32 hexadecimal digits.
    pub response: Cow<'a, str>,
}

impl<'a> Answer<'a> {
    /// None when it is no Digest answer, or lacks what one must have.
    pub fn parse(authorization: &'a str) -> Option<Self> {
        if authorization.len() > LONGEST {
            return None;
        }
        let (scheme, mut rest) = authorization.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("digest") {
            return None;
        }
        let (mut username, mut nonce, mut response) = (None, None, None);
        while let Some((key, value, after)) = parameter(rest) {
            rest = after;
            let place = match key {
                k if k.eq_ignore_ascii_case("username") => &mut username,
                k if k.eq_ignore_ascii_case("nonce") => &mut nonce,
                k if k.eq_ignore_ascii_case("response") => &mut response,
                _ => continue,
            };
            *place = Some(value);
        }
        Some(Self {
            username: username?,
            nonce: nonce?,
            response: response?,
        })
    }

    /// Whether it was made with one of the user's secrets, for the password as given or for its
    /// MD5; without secrets it never is, and takes as long. `uri` in the header is ignored: `url`
    /// is what is asked for.
    pub(super) fn is_right(&self, secrets: Option<&Secrets>, method: &str, url: &str) -> bool {
        const NOBODY: &str = "00000000000000000000000000000000";
        let request = md5_hex(&[method, url]);
        let response = self.response.to_ascii_lowercase();
        let candidates = match secrets {
            Some(secrets) => [secrets.ha1_given.as_str(), secrets.ha1_md5.as_str()],
            None => [NOBODY, NOBODY],
        };
        let mut right = Choice::from(0);
        for ha1 in candidates {
            let expected = md5_hex(&[ha1, &self.nonce, &request]);
            right |= expected.as_bytes().ct_eq(response.as_bytes());
        }
        secrets.is_some() && bool::from(right)
    }
}

/// The first `key=value` or `key="value"` of a list, and what follows it.
fn parameter(list: &str) -> Option<(&str, Cow<'_, str>, &str)> {
    let list = list.trim_start_matches([' ', '\t', ',']);
    let (key, rest) = list.split_once('=')?;
    let (key, rest) = (key.trim(), rest.trim_start());
    let Some(quoted) = rest.strip_prefix('"') else {
        let end = rest.find(',').unwrap_or(rest.len());
        return Some((key, rest[..end].trim().into(), &rest[end..]));
    };
    let mut escaped = false;
    let mut any = false;
    for (at, byte) in quoted.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => (escaped, any) = (true, true),
            b'"' => {
                let value = &quoted[..at];
                let value = if any { unescape(value).into() } else { value.into() };
                return Some((key, value, &quoted[at + 1..]));
            }
            _ => {}
        }
    }
    None
}

fn unescape(quoted: &str) -> String {
    let mut plain = String::with_capacity(quoted.len());
    let mut characters = quoted.chars();
    while let Some(c) = characters.next() {
        plain.extend(if c == '\\' { characters.next() } else { Some(c) });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::{Answer, challenge, nonce};
    use crate::auth::password::Hasher;

    #[test]
    fn the_challenge_is_as_documented() {
        assert_eq!(challenge("0a1b"), "Digest realm=\"ipchub\",nonce=\"0a1b\"");
        assert_ne!(nonce(), nonce());
        assert_eq!(nonce().len(), 32);
    }

    #[test]
    fn headers_as_clients_write_them() {
        for header in [
            r#"Digest username="guard", realm="ipchub", nonce="n1", uri="rtsp://h/a,b", response="ab12""#,
            r#"digest  Username=guard,nonce="n1",response=ab12 , opaque="""#,
            r#"Digest username="gu\ard",response="ab12",nonce="n1",algorithm=MD5"#,
        ] {
            let answer = Answer::parse(header).expect(header);
            assert_eq!(
                (&*answer.username, &*answer.nonce, &*answer.response),
                ("guard", "n1", "ab12"),
                "{header}"
            );
        }
        let quote = Answer::parse(r#"Digest username="a\"b\\c", nonce="", response="é""#).unwrap();
        assert_eq!(quote.username, r#"a"b\c"#);
    }

    #[test]
    fn what_is_no_answer_is_none() {
        for header in [
            "",
            "Digest",
            "Basic Z3VhcmQ6eA==",
            r#"Digest username="guard", nonce="n1""#,
            r#"Digest username="guard", nonce="n1", response="ab12"#,
            r#"Digest username="guard\"#,
            "Digest =,=,=",
            &format!(
                "Digest username=\"{}\", nonce=\"n\", response=\"r\"",
                "x".repeat(5000)
            ),
        ] {
            assert!(Answer::parse(header).is_none(), "{header}");
        }
    }

    #[tokio::test]
    async fn an_answer_made_with_the_password_or_its_md5_is_right() {
        // Made with md5sum: user guard, password "secret" (5ebe2294ecd0e0f08eab7690d2a6ee69),
        // DESCRIBE rtsp://h:1554/a, nonce 0123.
        let (by_given, by_md5) = (
            "70f8f3b19d1f94b18105162f2e3c7f8b",
            "8e68935872c2f85f5adb27985a36fe19",
        );
        let secrets = Hasher::new().secrets("guard", "secret").await.unwrap();
        let answer = |response: &str| Answer {
            username: "guard".into(),
            nonce: "0123".into(),
            response: response.to_owned().into(),
        };
        for response in [by_given, by_md5, &by_md5.to_uppercase()] {
            assert!(
                answer(response).is_right(Some(&secrets), "DESCRIBE", "rtsp://h:1554/a"),
                "{response}"
            );
            assert!(!answer(response).is_right(Some(&secrets), "PLAY", "rtsp://h:1554/a"));
            assert!(!answer(response).is_right(Some(&secrets), "DESCRIBE", "rtsp://h:1554/b"));
            assert!(!answer(response).is_right(None, "DESCRIBE", "rtsp://h:1554/a"));
        }
        for response in ["", "b4d8e27dd7bd3a1a8bd8d53d0b4dd1d8", &by_md5[1..]] {
            assert!(
                !answer(response).is_right(Some(&secrets), "DESCRIBE", "rtsp://h:1554/a"),
                "{response}"
            );
        }
        // As if nobody had a password.
        let nobody = crate::auth::password::md5_hex(&[
            &"0".repeat(32),
            "0123",
            &crate::auth::password::md5_hex(&["DESCRIBE", "rtsp://h:1554/a"]),
        ]);
        assert!(!answer(&nobody).is_right(None, "DESCRIBE", "rtsp://h:1554/a"));
    }
}
