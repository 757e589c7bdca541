//! Who may call the cloud recorder's API: a user's credential (`unionid`) is exchanged for a token that stands on its own.

use super::Auth;
use super::sealed::{Broken, Seal};
use crate::store::sql;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use weir_proto::Redacted;

/// How long a token is good for.
pub const RECORDER_TOKEN: Duration = Duration::from_hours(2);
/// The kind of credential.
const KIND: &str = "recorder";
/// Fewest characters of a credential.
const SHORTEST: usize = 8;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnionIdError {
    #[error("no account has this credential")]
    Unknown,
    #[error("the account of this credential is no administrator's")]
    NoAdministrator,
    #[error("the account store failed")]
    Store(#[from] sql::Error),
}

/// Why a token opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecorderTokenError {
    Malformed,
    Expired,
}

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnionIdSetupError {
    #[error(
        "the cloud recorder's unionid must have {SHORTEST} or more letters, digits, `+`, `/`, `-` or `_`"
    )]
    Unusable,
    #[error("the account store failed")]
    Store(#[from] sql::Error),
    #[error("this process has no account store")]
    NoStore,
}

impl Auth {
    /// Sees to it that somebody may call the API: with a value, it becomes the only credential of this user. Without, one is
    /// made if nobody has any, and given back, to be told now: it can't be had again.
    pub async fn set_up_recorder(
        &self,
        user: &str,
        unionid: Option<&str>,
    ) -> Result<Option<Redacted<String>>, UnionIdSetupError> {
        let store = self.store.as_ref().ok_or(UnionIdSetupError::NoStore)?;
        if let Some(given) = unionid {
            let given = given.trim();
            if plain(given).len() < SHORTEST {
                return Err(UnionIdSetupError::Unusable);
            }
            // Clients of the documented system know the base64 of what this is called there.
            let hashes = [hash(given), hash(&STANDARD.encode(given))];
            store.replace_credentials(KIND, user, &hashes).await?;
            return Ok(None);
        }
        if store.has_credential(KIND).await? {
            return Ok(None);
        }
        let made = STANDARD.encode(rand::random::<[u8; 18]>());
        store.replace_credentials(KIND, user, &[hash(&made)]).await?;
        Ok(Some(Redacted::new(made)))
    }

    /// A token for whoever has this credential, good for `lifetime`.
    pub async fn recorder_token(
        &self,
        unionid: &str,
        lifetime: Duration,
    ) -> Result<Redacted<String>, UnionIdError> {
        let store = self.store.as_ref().ok_or(UnionIdError::Unknown)?;
        let holder = store.credential_holder(KIND, &hash(unionid)).await?;
        let holder = holder.ok_or(UnionIdError::Unknown)?;
        let user = store.user(&holder).await?.ok_or(UnionIdError::Unknown)?;
        if !user.admin {
            return Err(UnionIdError::NoAdministrator);
        }
        let expires = now() + lifetime.as_secs();
        Ok(Redacted::new(self.recorder_seal().close(&user.name, expires)))
    }

    /// Whether this is a token that is good still. It is not asked again whose it was.
    pub fn check_recorder_token(&self, token: &str) -> Result<(), RecorderTokenError> {
        match self.recorder_seal().open(token, now()) {
            Ok(_) => Ok(()),
            Err(Broken::Forged) => Err(RecorderTokenError::Malformed),
            Err(Broken::Expired) => Err(RecorderTokenError::Expired),
        }
    }

    fn recorder_seal(&self) -> Seal {
        Seal::new(&self.settings.relay, "recorder token")
    }
}

/// Base64 is read leniently: whether it is padded, which of its two alphabets it is in, and that a `+` came as a blank.
fn plain(unionid: &str) -> String {
    let letters = unionid.trim_end_matches('=').chars();
    letters
        .map(|c| match c {
            ' ' | '-' => '+',
            '_' => '/',
            other => other,
        })
        .collect()
}

fn hash(unionid: &str) -> String {
    hex::encode(Sha256::digest(plain(unionid)))
}

/// Unix seconds.
pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::{hash, plain};

    #[test]
    fn base64_is_read_leniently() {
        for same in ["a+b/c==", "a b/c", "a-b_c=", "a+b/c"] {
            assert_eq!(plain(same), "a+b/c");
            assert_eq!(hash(same), hash("a+b/c"));
        }
        assert_ne!(hash("A+b/c"), hash("a+b/c"));
    }
}
