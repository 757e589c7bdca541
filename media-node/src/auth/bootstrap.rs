//! The first administrator.

use super::Auth;
use super::known_passwords::is_known;
use crate::store::sql;
use crate::store::sql::accounts::User;
use std::path::{Path, PathBuf};
use weir_proto::Redacted;

/// The administrator's name when nobody gives one.
const NAME: &str = "admin";

/// Files that say who administers. A line break at their end does not belong to them.
#[derive(Clone, Copy, Debug)]
pub struct AdminFiles<'a> {
    pub password: &'a Path,
    /// Read if it exists; otherwise the name is `admin`.
    pub username: Option<&'a Path>,
}

/// Who administers after a start.
#[derive(Debug)]
pub struct Bootstrap {
    /// In lower case.
    pub admin: String,
    /// The password that was made up at the very first start, which must be told to the user now:
    /// it can't be had again.
    pub first_password: Option<Redacted<String>>,
}

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BootstrapError {
    #[error("can't read {path}")]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{path} is empty: write the administrator's password into it")]
    Empty { path: PathBuf },
    #[error(
        "the administrator's password in {path} is one that everybody tries first: write another into it, \
         for example the output of `openssl rand -hex 16`"
    )]
    KnownPassword { path: PathBuf },
    #[error("{path} does not hold a user name: it must be 1 to 64 visible characters without `:`")]
    Name { path: PathBuf },
    #[error("can't make the administrator's account")]
    Store(#[from] sql::Error),
    #[error("this process has no account store")]
    NoStore,
    #[error("the machine is too busy to hash the password")]
    Busy,
}

impl Auth {
    /// Makes sure that there is an administrator. With files, the account gets that password at
    /// every start. Without, an administrator with a random password is made if there is none.
    pub async fn bootstrap(&self, files: Option<AdminFiles<'_>>) -> Result<Bootstrap, BootstrapError> {
        let store = self.store.as_ref().ok_or(BootstrapError::NoStore)?;
        if let Some(files) = files {
            let (admin, password) = read(files)?;
            self.save_admin(store, &admin, password.reveal()).await?;
            return Ok(Bootstrap {
                admin,
                first_password: None,
            });
        }
        if store.has_admin().await? {
            return Ok(Bootstrap {
                admin: NAME.to_owned(),
                first_password: None,
            });
        }
        let password = Redacted::new(hex::encode(rand::random::<[u8; 12]>()));
        self.save_admin(store, NAME, password.reveal()).await?;
        Ok(Bootstrap {
            admin: NAME.to_owned(),
            first_password: Some(password),
        })
    }

    async fn save_admin(
        &self,
        store: &sql::Database,
        name: &str,
        password: &str,
    ) -> Result<(), BootstrapError> {
        let hashed = self.hasher.secrets(name, password).await;
        let secrets = hashed.map_err(|super::password::Busy| BootstrapError::Busy)?;
        let everything = || "*".to_owned();
        let admin = User {
            name: name.to_owned(),
            secrets,
            admin: true,
            push: everything(),
            pull: everything(),
        };
        store.save_user(&admin).await?;
        self.users.forget(&admin.name);
        Ok(())
    }
}

fn read(files: AdminFiles<'_>) -> Result<(String, Redacted<String>), BootstrapError> {
    let text = |path: &Path| {
        std::fs::read_to_string(path).map_err(|source| BootstrapError::File {
            path: path.to_owned(),
            source,
        })
    };
    let name = match files.username {
        Some(path) if path.exists() => {
            let name = text(path)?.trim().to_lowercase();
            let usable = |c: char| !c.is_control() && !c.is_whitespace() && c != ':' && c != '"';
            if name.is_empty() || name.chars().count() > 64 || !name.chars().all(usable) {
                return Err(BootstrapError::Name {
                    path: path.to_owned(),
                });
            }
            name
        }
        _ => NAME.to_owned(),
    };
    let path = files.password;
    let password = text(path)?;
    let password = password.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(BootstrapError::Empty {
            path: path.to_owned(),
        });
    }
    if is_known(&name, password) {
        return Err(BootstrapError::KnownPassword {
            path: path.to_owned(),
        });
    }
    Ok((name, Redacted::new(password.to_owned())))
}
