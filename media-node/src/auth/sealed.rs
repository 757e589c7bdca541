//! Texts that say something and can't be made or changed by anybody else: for tokens that stand on their own. All
//! gateways of a pool can read them, because they share what the key is made of.

use super::RelaySecret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Longest text that is looked at.
const LONGEST: usize = 2048;

/// Why a text says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// It is none of ours, or somebody has changed it.
    Forged,
    Expired,
}

/// What such texts are for; those for one purpose are nothing for another.
pub(super) struct Seal {
    key: Hmac<Sha256>,
}

impl Seal {
    pub(super) fn new(secret: &RelaySecret, purpose: &str) -> Self {
        // HMAC takes keys of any length.
        let mut key = <Hmac<Sha256> as Mac>::new_from_slice(secret.secret().reveal().as_bytes())
            .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
        key.update(purpose.as_bytes());
        key.update(b"\0");
        Self { key }
    }

    /// `<text>.<expiry>.<code>`, of letters, digits, `-`, `_` and `.`; the expiry is in Unix seconds.
    pub(super) fn close(&self, text: &str, expires: u64) -> String {
        let body = format!("{}.{expires}", URL_SAFE_NO_PAD.encode(text));
        let code = URL_SAFE_NO_PAD.encode(self.code(&body).finalize().into_bytes());
        format!("{body}.{code}")
    }

    /// What a sealed text says at this time, in Unix seconds.
    pub(super) fn open(&self, sealed: &str, now: u64) -> Result<String, Broken> {
        if sealed.len() > LONGEST {
            return Err(Broken::Forged);
        }
        let (body, code) = sealed.rsplit_once('.').ok_or(Broken::Forged)?;
        let code = URL_SAFE_NO_PAD.decode(code).map_err(|_| Broken::Forged)?;
        // In constant time.
        self.code(body).verify_slice(&code).map_err(|_| Broken::Forged)?;
        let (text, expires) = body.split_once('.').ok_or(Broken::Forged)?;
        let expires: u64 = expires.parse().map_err(|_| Broken::Forged)?;
        let text = URL_SAFE_NO_PAD.decode(text).map_err(|_| Broken::Forged)?;
        let text = String::from_utf8(text).map_err(|_| Broken::Forged)?;
        if now >= expires {
            return Err(Broken::Expired);
        }
        Ok(text)
    }

    fn code(&self, body: &str) -> Hmac<Sha256> {
        let mut code = self.key.clone();
        code.update(body.as_bytes());
        code
    }
}

#[cfg(test)]
mod tests {
    use super::{Broken, Seal};
    use crate::auth::RelaySecret;

    #[test]
    fn what_was_sealed_opens_until_it_expires() {
        let secret = RelaySecret::random();
        let seal = Seal::new(&secret, "a");
        let sealed = seal.close("老师 a.b", 100);
        assert!(
            sealed
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)),
            "{sealed}"
        );
        assert_eq!(seal.open(&sealed, 99).as_deref(), Ok("老师 a.b"));
        assert_eq!(seal.open(&sealed, 100), Err(Broken::Expired));
        assert_eq!(Seal::new(&secret, "b").open(&sealed, 99), Err(Broken::Forged));
        assert_eq!(
            Seal::new(&RelaySecret::random(), "a").open(&sealed, 99),
            Err(Broken::Forged)
        );
    }

    #[test]
    fn no_letter_may_change() {
        let seal = Seal::new(&RelaySecret::random(), "a");
        let sealed = seal.close("admin", 100);
        for at in 0..sealed.len() {
            for other in ["A", "b", ".", "9"] {
                if &sealed[at..=at] != other {
                    let changed = format!("{}{other}{}", &sealed[..at], &sealed[at + 1..]);
                    assert_eq!(seal.open(&changed, 1), Err(Broken::Forged), "{changed}");
                }
            }
        }
        for odd in ["", ".", "..", "a.b", "a.b.c", &"a".repeat(5000), "é.1.é"] {
            assert_eq!(seal.open(odd, 1), Err(Broken::Forged), "{odd}");
        }
    }
}
