//! Logging in with a name and a password.

use super::password::Busy;
use super::{Auth, TokenPair};
use crate::store::sql;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Longest name and password that are looked at, in bytes.
pub(super) const LONGEST: usize = 1024;

#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// No such user or another password; which of the two is not told.
    #[error("wrong name or password")]
    Wrong,
    #[error("too many wrong passwords")]
    Throttled { retry_in: Duration },
    #[error("too many logins at once")]
    Busy,
    #[error(transparent)]
    Store(#[from] sql::Error),
}

impl Auth {
    /// Checks the password, plain or as MD5, and makes a new token pair. Earlier pairs stay valid.
    pub async fn login(&self, peer: IpAddr, name: &str, password: &str) -> Result<TokenPair, LoginError> {
        let Some(store) = &self.store else {
            return Err(LoginError::Wrong);
        };
        if name.is_empty() || password.is_empty() || name.len() > LONGEST || password.len() > LONGEST {
            return Err(LoginError::Wrong);
        }
        let throttled = |retry_in| LoginError::Throttled { retry_in };
        self.throttle.check(peer, Instant::now()).map_err(throttled)?;
        let name = name.to_lowercase();
        let user = store.user(&name).await?;
        self.throttle.count(peer, Instant::now()).map_err(throttled)?;
        let verified = self
            .hasher
            .verify(password, user.as_ref().map(|user| &user.secrets))
            .await;
        if !matches!(verified, Ok(false)) {
            self.throttle.give_back(peer);
        }
        if !verified.map_err(|Busy| LoginError::Busy)? {
            tracing::info!(%peer, "login failed");
            return Err(LoginError::Wrong);
        }
        Ok(self.issue_session(store, &name).await?)
    }
}
