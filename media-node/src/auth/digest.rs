//! Answers to HTTP Digest challenges, as RTSP uses them (RFC 2617 section 3.2).
//!
//! What a response has to be is computed by the protocol; here it is computed for each of the
//! user's secrets and compared.

use crate::store::sql::accounts::Secrets;
use std::fmt;
use subtle::{Choice, ConstantTimeEq};
use weir_proto::Redacted;

/// The realm to put into challenges. It is part of stored secrets, so it can't be changed.
pub const REALM: &str = "ipchub";

/// A fresh nonce: 32 lower-case hexadecimal digits.
pub fn nonce() -> String {
    hex::encode(rand::random::<[u8; 16]>())
}

/// What a client answered.
#[derive(Clone, Copy)]
pub struct Answer<'a> {
    pub username: &'a str,
    /// 32 hexadecimal digits.
    pub response: &'a str,
    /// What the response has to be, in lower case, for this H(A1): the MD5 of name, realm and
    /// secret. For the challenge that is in force and the request that was made, whatever nonce
    /// and URI the client claims. None is never right.
    pub expected: &'a (dyn Fn(&str) -> Option<Redacted<String>> + Sync),
}

impl fmt::Debug for Answer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

impl Answer<'_> {
    /// Whether it was made with one of the user's secrets, for the password as given or for its
    /// MD5; without secrets it never is, and takes as long.
    pub(super) fn is_right(&self, secrets: Option<&Secrets>) -> bool {
        const NOBODY: &str = "00000000000000000000000000000000";
        let response = self.response.to_ascii_lowercase();
        let candidates = match secrets {
            Some(secrets) => [secrets.ha1_given.as_str(), secrets.ha1_md5.as_str()],
            None => [NOBODY, NOBODY],
        };
        let mut right = Choice::from(0);
        for ha1 in candidates {
            if let Some(expected) = (self.expected)(ha1) {
                right |= expected.reveal().as_bytes().ct_eq(response.as_bytes());
            }
        }
        secrets.is_some() && bool::from(right)
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, nonce};
    use crate::auth::password::{Hasher, md5_hex};
    use weir_proto::Redacted;
    use weir_proto::rtsp::auth::Digest;

    #[test]
    fn nonces_differ() {
        assert_ne!(nonce(), nonce());
        assert_eq!(nonce().len(), 32);
    }

    #[tokio::test]
    async fn an_answer_made_with_the_password_or_its_md5_is_right() {
        // Made with md5sum: user guard, password "secret", DESCRIBE rtsp://h:1554/a, nonce 0123.
        let (by_given, by_md5) = (
            "70f8f3b19d1f94b18105162f2e3c7f8b",
            "8e68935872c2f85f5adb27985a36fe19",
        );
        let secrets = Hasher::new().secrets("guard", "secret").await.unwrap();
        let digest = Digest {
            username: "guard".into(),
            response: String::new(),
            nonce: "claimed".into(),
            qop: None,
        };
        let is_right = |response: &str, method: &str, known: bool| {
            let expected = |ha1: &str| {
                Some(Redacted::new(digest.expected_response_of(
                    ha1,
                    "0123",
                    method,
                    "rtsp://h:1554/a",
                )))
            };
            let answer = Answer {
                username: "guard",
                response,
                expected: &expected,
            };
            answer.is_right(known.then_some(&secrets))
        };
        for response in [by_given, by_md5, &by_md5.to_uppercase()] {
            assert!(is_right(response, "DESCRIBE", true), "{response}");
            assert!(!is_right(response, "PLAY", true));
            assert!(!is_right(response, "DESCRIBE", false));
        }
        // As if nobody had a password.
        let nobody = md5_hex(&[
            &"0".repeat(32),
            "0123",
            &md5_hex(&["DESCRIBE", "rtsp://h:1554/a"]),
        ]);
        for response in ["", &by_md5[1..], &nobody] {
            assert!(!is_right(response, "DESCRIBE", true), "{response}");
            assert!(!is_right(response, "DESCRIBE", false), "{response}");
        }
        let nothing = Answer {
            username: "guard",
            response: "",
            expected: &|_| None,
        };
        assert!(!nothing.is_right(Some(&secrets)));
    }
}
