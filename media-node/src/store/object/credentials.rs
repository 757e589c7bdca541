//! Keys of the object store.

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use weir_proto::Redacted;

/// Files of a Secret, named after its keys.
const ACCESS_KEY_ID: &str = "accessKeyId";
const SECRET_ACCESS_KEY: &str = "secretAccessKey";
/// Keys of files are read again after this long, so that new ones need no restart.
const READ_AGAIN: Duration = Duration::from_secs(30);

/// Where the keys come from.
#[derive(Clone)]
pub enum Keys {
    Given {
        id: String,
        secret: Redacted<String>,
    },
    /// A folder with the files `accessKeyId` and `secretAccessKey`.
    Folder(PathBuf),
}

impl PartialEq for Keys {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Given { id, secret },
                Self::Given {
                    id: other,
                    secret: others,
                },
            ) => id == other && secret.reveal() == others.reveal(),
            (Self::Folder(folder), Self::Folder(other)) => folder == other,
            _ => false,
        }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given { .. } => f.write_str("Keys::Given"),
            Self::Folder(folder) => f.debug_tuple("Keys::Folder").field(folder).finish(),
        }
    }
}

impl Keys {
    async fn now(&self) -> Result<Credentials, String> {
        match self {
            Self::Given { id, secret } => Ok(Credentials::new(
                id.clone(),
                secret.reveal().clone(),
                None,
                None,
                "weir",
            )),
            Self::Folder(folder) => {
                let id = line(&folder.join(ACCESS_KEY_ID)).await?;
                let secret = line(&folder.join(SECRET_ACCESS_KEY)).await?;
                let until = SystemTime::now() + READ_AGAIN;
                Ok(Credentials::new(id, secret, None, Some(until), "weir"))
            }
        }
    }
}

async fn line(file: &Path) -> Result<String, String> {
    let text = tokio::fs::read_to_string(file)
        .await
        .map_err(|error| format!("{} can't be read: {error}", file.display()))?;
    Ok(text.trim().to_owned())
}

impl ProvideCredentials for Keys {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async { self.now().await.map_err(CredentialsError::provider_error) })
    }
}
