//! Names and passwords: to log in with, or to show at a door that takes no Digest.

use super::password::Busy;
use super::{Account, Auth, Caller, TokenPair};
use crate::store::sql;
use crate::store::sql::accounts::User;
use std::net::IpAddr;
use std::sync::Arc;
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
        let user = self.verify(peer, name, password).await?;
        let store = self.store.as_ref().ok_or(LoginError::Wrong)?;
        Ok(self.issue_session(store, &user.name).await?)
    }

    /// Who shows this name and password, plain or as MD5. Takes the time of a login.
    pub async fn caller_by_password(&self, peer: IpAddr, name: &str, password: &str) -> Caller {
        match self.verify(peer, name, password).await {
            Ok(user) => Caller::Account(Arc::new(Account::from(&user))),
            Err(LoginError::Wrong) => Caller::Unknown,
            Err(LoginError::Throttled { retry_in }) => Caller::Throttled(retry_in),
            Err(LoginError::Busy) => Caller::Unverifiable,
            Err(LoginError::Store(error)) => {
                tracing::warn!(error = %error.chain(), "the account store did not answer");
                Caller::Unverifiable
            }
        }
    }

    async fn verify(&self, peer: IpAddr, name: &str, password: &str) -> Result<User, LoginError> {
        let Some(store) = &self.store else {
            return Err(LoginError::Wrong);
        };
        if name.is_empty() || password.is_empty() || name.len() > LONGEST || password.len() > LONGEST {
            return Err(LoginError::Wrong);
        }
        let throttled = |retry_in| LoginError::Throttled { retry_in };
        self.throttle.check(peer, Instant::now()).map_err(throttled)?;
        let user = store.user(&name.to_lowercase()).await?;
        self.throttle.count(peer, Instant::now()).map_err(throttled)?;
        let verified = self
            .hasher
            .verify(password, user.as_ref().map(|user| &user.secrets))
            .await;
        if !matches!(verified, Ok(false)) {
            self.throttle.give_back(peer);
        }
        let verified = verified.map_err(|Busy| LoginError::Busy)?;
        user.filter(|_| verified).ok_or_else(|| {
            tracing::info!(%peer, "login failed");
            LoginError::Wrong
        })
    }
}
