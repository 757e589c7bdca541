//! Accounts as administrators see and change them.

use super::Auth;
use super::known_passwords::{is_known, is_known_by_secret};
use super::password::Busy;
use crate::store::sql;
use crate::store::sql::accounts::{Rights, Secrets, User};

/// A user without what is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserEntry {
    /// In lower case.
    pub name: String,
    pub admin: bool,
    /// Path masks, joined by `;`, as they were given.
    pub push: String,
    pub pull: String,
}

/// Some users in the order of their names, and how many there are in all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserPage {
    pub users: Vec<UserEntry>,
    pub total: u64,
}

/// Why a user was not saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    #[error("user name required")]
    NoName,
    #[error("an administrator needs a password, and not one that everybody tries first")]
    KnownPassword,
    #[error("too many passwords are being hashed")]
    Busy,
    #[error("this process has no account store")]
    NoStore,
    #[error(transparent)]
    Store(#[from] sql::Error),
}

impl From<Busy> for SaveError {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

impl From<User> for UserEntry {
    fn from(user: User) -> Self {
        Self {
            name: user.name,
            admin: user.admin,
            push: user.push,
            pull: user.pull,
        }
    }
}

impl Auth {
    /// The first `limit` users whose names come after `after`, by the bytes of their names.
    pub async fn users(&self, after: &str, limit: u64) -> Result<UserPage, sql::Error> {
        let Some(store) = &self.store else {
            return Ok(UserPage::default());
        };
        let page = store.users(after, limit).await?;
        Ok(UserPage {
            users: page.users.into_iter().map(UserEntry::from).collect(),
            total: page.total,
        })
    }

    /// The user of that name, in whatever case.
    pub async fn user(&self, name: &str) -> Result<Option<UserEntry>, sql::Error> {
        match &self.store {
            Some(store) => Ok(store.user(&name.to_lowercase()).await?.map(UserEntry::from)),
            None => Ok(None),
        }
    }

    /// Deletes the user, if there is one. Its tokens open nearly nothing from now on.
    pub async fn delete_user(&self, name: &str) -> Result<(), sql::Error> {
        let Some(store) = &self.store else {
            return Ok(());
        };
        let name = name.to_lowercase();
        if store.delete_user(&name).await? {
            tracing::info!(user = name, "a user was deleted");
        }
        self.forget(&name);
        Ok(())
    }

    /// Creates the user with this password, or replaces all rights of the one that has the name;
    /// its password only when `update_password` says so. In force from the next request on, at all
    /// gateways.
    pub async fn save_user(
        &self,
        user: UserEntry,
        password: &str,
        update_password: bool,
    ) -> Result<(), SaveError> {
        let store = self.store.as_ref().ok_or(SaveError::NoStore)?;
        let name = user.name.to_lowercase();
        if name.is_empty() {
            return Err(SaveError::NoName);
        }
        let or_all = |masks: String| {
            if user.admin && masks.is_empty() {
                "*".to_owned()
            } else {
                masks
            }
        };
        let rights = Rights {
            admin: user.admin,
            push: or_all(user.push),
            pull: or_all(user.pull),
        };
        let mut secrets = None;
        if update_password {
            secrets = Some(self.secrets_of(&name, password, rights.admin).await?);
        } else if rights.admin
            && let Some(known) = store.user(&name).await?
            && is_known_by_secret(&name, &known.secrets.ha1_md5)
        {
            return Err(SaveError::KnownPassword);
        }
        // Somebody else may create or delete the user between two of these steps.
        while !store.update_user(&name, &rights, secrets.as_ref()).await? {
            let new = match &secrets {
                Some(secrets) => secrets.clone(),
                None => self.secrets_of(&name, password, rights.admin).await?,
            };
            let user = User {
                name: name.clone(),
                secrets: new,
                admin: rights.admin,
                push: rights.push.clone(),
                pull: rights.pull.clone(),
            };
            if store.create_user(&user).await? {
                break;
            }
        }
        self.forget(&name);
        tracing::info!(user = name, admin = rights.admin, "a user was saved");
        Ok(())
    }

    async fn secrets_of(&self, name: &str, password: &str, admin: bool) -> Result<Secrets, SaveError> {
        if admin && (password.is_empty() || is_known(name, password)) {
            return Err(SaveError::KnownPassword);
        }
        if password.is_empty() {
            // No login takes an empty password, so nothing else shall.
            let nobodys = hex::encode(rand::random::<[u8; 32]>());
            return Ok(self.hasher.secrets(name, &nobodys).await?);
        }
        Ok(self.hasher.secrets(name, password).await?)
    }

    /// While the store is away, what it said before of this user is not used either.
    fn forget(&self, name: &String) {
        self.users.forget(name);
        self.tokens.forget_all();
    }
}
