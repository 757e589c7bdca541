//! Passwords as they are kept: one slow hash for logins, two Digest secrets for RTSP.

use super::digest::REALM;
use crate::store::sql::accounts::Secrets;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use md5::{Digest, Md5};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Hashes made at the same time, each of which takes 19 MiB and a core for some tens of milliseconds.
const AT_ONCE: usize = 2;
/// Longest wait for one's turn.
const TURN: Duration = Duration::from_secs(5);

/// What is hashed in vain when there is no such user, so that the time taken does not tell.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$VGhlcmVJc05vU3VjaFVzZXI$\
                      L7rT1mMX2yBkH4J7XxZkUe1yN0b3mE0v8yq3v3j0c1A";

/// Does the slow hashing, bounded. Cheap to clone.
#[derive(Clone)]
pub(super) struct Hasher {
    turns: Arc<Semaphore>,
}

/// Too many others are being hashed.
#[derive(Debug)]
pub(super) struct Busy;

impl Hasher {
    pub(super) fn new() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// What is stored for this user and password.
    pub(super) async fn secrets(&self, name: &str, password: &str) -> Result<Secrets, Busy> {
        let md5 = md5_form(password);
        let (ha1_given, ha1_md5) = (ha1(name, password), ha1(name, &md5));
        let hash = move || {
            Argon2::default()
                .hash_password(md5.as_bytes())
                .map(|hash| hash.to_string())
        };
        let login_hash = self
            .run(hash)
            .await?
            .expect("the parameters are the library's own");
        Ok(Secrets {
            login_hash,
            ha1_given,
            ha1_md5,
        })
    }

    /// Whether this is the password; without secrets it never is, and takes as long.
    pub(super) async fn verify(&self, password: &str, secrets: Option<&Secrets>) -> Result<bool, Busy> {
        let md5 = md5_form(password);
        let known = secrets.is_some();
        let hash = secrets.map_or_else(|| NOBODY.to_owned(), |secrets| secrets.login_hash.clone());
        let verified = self
            .run(move || Argon2::default().verify_password(md5.as_bytes(), &*hash).is_ok())
            .await?;
        Ok(known && verified)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let turn = tokio::time::timeout(TURN, self.turns.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(Busy);
        };
        let worked = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(turn);
            result
        });
        worked.await.map_err(|_| Busy)
    }
}

/// The MD5 form of a password: itself if it is 32 hexadecimal digits, else its MD5; in lower case.
pub(super) fn md5_form(password: &str) -> String {
    if password.len() == 32 && password.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        password.to_lowercase()
    } else {
        md5_hex(&[password])
    }
}

/// RFC 2617 section 3.2.2.2, for our realm.
pub(super) fn ha1(name: &str, password: &str) -> String {
    md5_hex(&[name, REALM, password])
}

/// MD5 of the parts joined by `:`.
pub(super) fn md5_hex(parts: &[&str]) -> String {
    let mut md5 = Md5::new();
    for (n, part) in parts.iter().enumerate() {
        if n > 0 {
            md5.update(":");
        }
        md5.update(part);
    }
    hex::encode(md5.finalize())
}

#[cfg(test)]
mod tests {
    use super::{Hasher, md5_form};

    #[test]
    fn an_md5_stays_and_the_rest_becomes_one() {
        let md5 = "5f4dcc3b5aa765d61d8327deb882cf99";
        assert_eq!(md5_form("password"), md5);
        assert_eq!(md5_form(&md5.to_uppercase()), md5);
        assert_ne!(md5_form(&md5[1..]), md5[1..]);
    }

    #[tokio::test]
    async fn client_and_store_may_each_hold_either_form() {
        let hasher = Hasher::new();
        for stored in ["password", "5F4DCC3B5AA765D61D8327DEB882CF99"] {
            let secrets = hasher.secrets("guard", stored).await.unwrap();
            assert!(secrets.login_hash.starts_with("$argon2id$"));
            for sent in [
                "password",
                "5f4dcc3b5aa765d61d8327deb882cf99",
                "5F4DCC3B5AA765D61D8327DEB882CF99",
            ] {
                assert!(
                    hasher.verify(sent, Some(&secrets)).await.unwrap(),
                    "{stored} {sent}"
                );
            }
            assert!(!hasher.verify("Password", Some(&secrets)).await.unwrap());
        }
        let again = hasher.secrets("guard", "password").await.unwrap();
        assert_ne!(
            again.login_hash,
            hasher.secrets("guard", "password").await.unwrap().login_hash,
            "salted"
        );
    }

    #[tokio::test]
    async fn nobody_is_hashed_as_thoroughly() {
        let nobody = argon2::PasswordHash::new(super::NOBODY).unwrap();
        let somebody = Hasher::new()
            .secrets("guard", "password")
            .await
            .unwrap()
            .login_hash;
        let somebody = argon2::PasswordHash::new(&somebody).unwrap();
        assert_eq!(nobody.params, somebody.params);
        assert_eq!(nobody.hash.unwrap().len(), somebody.hash.unwrap().len());
        assert!(!Hasher::new().verify("password", None).await.unwrap());
    }
}
