//! What the pods of a pool show one another when they relay streams.

use sha2::{Digest, Sha256};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use subtle::ConstantTimeEq;
use weir_proto::Redacted;

/// Fewest bytes of a secret that is given in a file.
const SHORTEST: usize = 16;

/// Never printed; compared in constant time.
#[derive(Clone, Debug)]
pub struct RelaySecret(Redacted<String>);

#[derive(Debug, thiserror::Error)]
pub enum RelaySecretError {
    #[error("can't read the relay secret from {path}")]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the relay secret in {path} must be {SHORTEST} or more visible ASCII characters on one line")]
    Unusable { path: PathBuf },
}

impl RelaySecret {
    /// Reads it from a file; blanks around it don't belong to it.
    pub fn read(path: &Path) -> Result<Self, RelaySecretError> {
        let text = std::fs::read_to_string(path).map_err(|source| RelaySecretError::File {
            path: path.to_owned(),
            source,
        })?;
        let secret = text.trim();
        if secret.len() < SHORTEST || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(RelaySecretError::Unusable {
                path: path.to_owned(),
            });
        }
        Ok(Self(Redacted::new(secret.to_owned())))
    }

    /// The one in this file, which is made at the first start: for a process that has nobody to share it with, and whose
    /// tokens shall outlive it.
    pub fn kept(path: &Path) -> Result<Self, RelaySecretError> {
        let failed = |source| RelaySecretError::File {
            path: path.to_owned(),
            source,
        };
        if !path.try_exists().map_err(failed)? {
            let made = Self::random();
            let part = path.with_extension("part");
            let mut options = OpenOptions::new();
            let file = options
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&part);
            file.and_then(|mut file| {
                file.write_all(made.secret().reveal().as_bytes())?;
                file.sync_all()
            })
            .and_then(|()| std::fs::rename(&part, path))
            .map_err(failed)?;
        }
        Self::read(path)
    }

    /// A new one, for a process that has nobody to share it with.
    pub fn random() -> Self {
        Self(Redacted::new(hex::encode(rand::random::<[u8; 32]>())))
    }

    /// The secret itself, to be sent as `Authorization: Bearer <secret>`.
    pub fn secret(&self) -> &Redacted<String> {
        &self.0
    }

    /// Whether this value of an `Authorization` header shows it.
    pub(super) fn is_shown_by(&self, authorization: &str) -> bool {
        let shown = match authorization.split_once(' ') {
            Some((scheme, secret)) if scheme.eq_ignore_ascii_case("bearer") => secret.trim(),
            _ => return false,
        };
        // Hashes have one length, so that the time taken tells nothing of the secret's either.
        Sha256::digest(shown)
            .ct_eq(&Sha256::digest(self.0.reveal()))
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::RelaySecret;

    #[test]
    fn it_is_read_from_a_file_and_never_printed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("relay");
        std::fs::write(&file, "0123456789abcdef\n").unwrap();
        let secret = RelaySecret::read(&file).unwrap();
        assert_eq!(secret.secret().reveal(), "0123456789abcdef");
        assert!(!format!("{secret:?}").contains("0123"));
        for (value, right) in [
            ("Bearer 0123456789abcdef", true),
            ("bearer  0123456789abcdef", true),
            ("Bearer 0123456789abcdeF", false),
            ("Bearer 0123456789abcde", false),
            ("Bearer ", false),
            ("Basic 0123456789abcdef", false),
            ("0123456789abcdef", false),
        ] {
            assert_eq!(secret.is_shown_by(value), right, "{value}");
        }
    }

    #[test]
    fn what_is_kept_is_the_same_at_the_next_start() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("relay");
        let first = RelaySecret::kept(&file).unwrap();
        let again = RelaySecret::kept(&file).unwrap();
        assert_eq!(first.secret().reveal(), again.secret().reveal());
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_is_no_secret_is_refused_without_quoting_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("relay");
        for text in [
            "",
            "short",
            "has a blank in it, sixteen",
            "two\nlines that are long enough",
        ] {
            std::fs::write(&file, text).unwrap();
            let error = RelaySecret::read(&file).unwrap_err().to_string();
            assert!(
                error.contains("relay secret") && (text.is_empty() || !error.contains(text)),
                "{error}"
            );
        }
        assert!(RelaySecret::read(&folder.path().join("none")).is_err());
        assert_ne!(
            RelaySecret::random().secret().reveal(),
            RelaySecret::random().secret().reveal()
        );
    }
}
