//! Tokens: random, shown once to their user, kept as a hash.

use super::Auth;
use crate::store::sql;
use crate::store::sql::accounts::{Kind, NewRefresh, NewToken};
use sha2::{Digest, Sha256};
use std::time::Duration;
use weir_proto::Redacted;

const ACCESS: Duration = Duration::from_hours(2);
const REFRESH: Duration = Duration::from_hours(7 * 24);
/// Hexadecimal digits of a token: 128 bits.
const DIGITS: usize = 32;

/// What a login gives: each 32 lower-case hexadecimal digits.
#[derive(Clone, Debug)]
pub struct TokenPair {
    /// Good for two hours.
    pub access: Redacted<String>,
    /// Good for seven days, and once.
    pub refresh: Redacted<String>,
}

impl Auth {
    pub(super) async fn issue_session(
        &self,
        store: &sql::Database,
        user: &str,
    ) -> Result<TokenPair, sql::Error> {
        let (pair, token) = session();
        store.add_token(user, token).await?;
        Ok(pair)
    }

    /// Exchanges a refresh token for a new pair; the old pair is dead at once, at all gateways. None: it
    /// is no valid refresh token, or its user is gone.
    pub async fn refresh(&self, refresh: &str) -> Result<Option<TokenPair>, sql::Error> {
        let (Some(hash), Some(store)) = (Hash::of(refresh), &self.store) else {
            return Ok(None);
        };
        let (pair, token) = session();
        let Some(exchanged) = store.exchange_token(hash.as_hex(), token).await? else {
            return Ok(None);
        };
        self.tokens.forget(&Hash(exchanged.former_access_hash));
        Ok(Some(pair))
    }

    /// A token that can do nothing but view what this user may view, for URLs that are printed.
    /// None: there is no account store, or no such user.
    pub async fn issue_view_token(
        &self,
        user: &str,
        lifetime: Duration,
    ) -> Result<Option<Redacted<String>>, sql::Error> {
        let name = user.to_lowercase();
        let Some(store) = &self.store else {
            return Ok(None);
        };
        if store.user(&name).await?.is_none() {
            return Ok(None);
        }
        let (token, access_hash) = draw();
        let row = NewToken {
            access_hash,
            access_lifetime: lifetime,
            refresh: None,
            kind: Kind::View,
        };
        store.add_token(&name, row).await?;
        Ok(Some(token))
    }
}

fn session() -> (TokenPair, NewToken) {
    let (access, access_hash) = draw();
    let (refresh, refresh_hash) = draw();
    let row = NewToken {
        access_hash,
        access_lifetime: ACCESS,
        refresh: Some(NewRefresh {
            hash: refresh_hash,
            lifetime: REFRESH,
        }),
        kind: Kind::Session,
    };
    (TokenPair { access, refresh }, row)
}

/// A new token and its hash.
fn draw() -> (Redacted<String>, String) {
    let token = hex::encode(rand::random::<[u8; DIGITS / 2]>());
    let hash = hex::encode(Sha256::digest(&token));
    (token.into(), hash)
}

/// SHA-256 of a token, in lower-case hexadecimal. Without a salt: tokens are random enough.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Hash(String);

impl Hash {
    /// None when the text can't be a token, so that rubbish costs no query.
    pub(super) fn of(token: &str) -> Option<Self> {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (token.len() == DIGITS && token.bytes().all(digit)).then(|| Self(hex::encode(Sha256::digest(token))))
    }

    pub(super) fn as_hex(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::{Hash, draw};

    #[test]
    fn tokens_look_as_documented_and_differ() {
        let (one, hash) = draw();
        assert_eq!(Hash::of(one.reveal()).unwrap().as_hex(), hash);
        assert_ne!(one.reveal(), draw().0.reveal());
        assert_ne!(one.reveal(), &hash);
    }

    #[test]
    fn what_can_not_be_a_token_is_not_looked_up() {
        let good = "1f0c5e4a9b7d3326c8e1f4a05b9d7e12";
        assert!(Hash::of(good).is_some());
        for bad in [
            "",
            "1f0c",
            &good.to_uppercase(),
            &format!("{good}0"),
            "1f0c5e4a9b7d3326c8e1f4a05b9d7e1'",
        ] {
            assert!(Hash::of(bad).is_none(), "{bad}");
        }
    }
}
