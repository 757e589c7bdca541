//! Where the database is: a SQLite file or a PostgreSQL server.

use super::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use url::Url;

/// `Display` and `Debug` leave the password out.
#[derive(Clone)]
pub enum Location {
    Sqlite(PathBuf),
    Postgres(Url),
}

impl Location {
    /// Takes `postgres://user:password@host:5432/database?sslmode=require` (also `postgresql:`)
    /// and `sqlite:/path/to/file` (also `sqlite:///path/to/file`).
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || path.contains('?') {
                return Err(Error::Location(
                    "sqlite: needs the path of a file and takes no options".into(),
                ));
            }
            return Ok(Self::Sqlite(path.into()));
        }
        // The parser's message never quotes the URL, which may hold a password.
        let url = Url::parse(text).map_err(|error| Error::Location(error.to_string()))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(Error::Location("it must start with postgres: or sqlite:".into()));
        }
        if !url.has_host() {
            return Err(Error::Location("the host is missing".into()));
        }
        if url.path().trim_matches('/').is_empty() {
            return Err(Error::Location("the database's name is missing".into()));
        }
        Ok(Self::Postgres(url))
    }

    /// The URL for the driver, without the password, and the password.
    pub(super) fn url(&self) -> Result<(String, Option<String>), Error> {
        let mut url = match self {
            // The real file name is handed over as a path: it may hold what a URL can't.
            Self::Sqlite(_) => return Ok(("sqlite://database".into(), None)),
            Self::Postgres(url) => url.clone(),
        };
        let mut password = match url.password() {
            Some(password) => {
                let decoded = percent_encoding::percent_decode_str(password).decode_utf8();
                let wrong = |_| Error::Location("the password is not percent-encoded UTF-8".into());
                Some(decoded.map_err(wrong)?.into_owned())
            }
            None => None,
        };
        let wrong = |()| Error::Location("the password can't be split off".into());
        url.set_password(None).map_err(wrong)?;
        let options: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        if options.iter().any(|(key, _)| key == "password") {
            url.set_query(None);
            for (key, value) in options {
                if key == "password" {
                    password = Some(value);
                } else {
                    url.query_pairs_mut().append_pair(&key, &value);
                }
            }
        }
        Ok((url.into(), password))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "{}", path.display()),
            Self::Postgres(url) => {
                write!(f, "{}", url.host_str().unwrap_or_default())?;
                if let Some(port) = url.port() {
                    write!(f, ":{port}")?;
                }
                write!(f, "{}", url.path())
            }
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({self})")
    }
}

/// Creates the file for this user alone: it holds password hashes. SQLite gives its side files
/// the same mode.
pub(super) fn make_private(file: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    let opened = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(file)?;
    opened.set_permissions(std::fs::Permissions::from_mode(0o600))
}

#[cfg(test)]
mod tests {
    use super::Location;

    #[test]
    fn a_password_is_split_off_and_never_shown() {
        for text in [
            "postgres://weir:s3%2Bcr%40t@db.example:5433/weir?sslmode=require",
            "postgres://weir@db.example:5433/weir?password=s3%2Bcr%40t&sslmode=require",
        ] {
            let location = Location::parse(text).unwrap();
            assert_eq!(location.to_string(), "db.example:5433/weir");
            assert_eq!(format!("{location:?}"), "Location(db.example:5433/weir)");
            let (url, password) = location.url().unwrap();
            assert_eq!(url, "postgres://weir@db.example:5433/weir?sslmode=require");
            assert_eq!(password.as_deref(), Some("s3+cr@t"));
        }
    }

    #[test]
    fn wrong_locations_say_what_is_wrong() {
        for (text, message) in [
            ("mysql://h/d", "must start with postgres: or sqlite:"),
            ("postgres://", "host"),
            ("postgres://host", "database's name"),
            ("postgres://u:geheim@h:99999/d", "invalid port number"),
            ("sqlite:", "path of a file"),
            ("weir.db", "relative URL without a base"),
        ] {
            let error = Location::parse(text).unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
            assert!(!error.contains("geheim"), "{error}");
        }
    }

    #[test]
    fn both_spellings_of_a_sqlite_path() {
        for text in ["sqlite:/var/lib/weir.db", "sqlite:///var/lib/weir.db"] {
            assert_eq!(Location::parse(text).unwrap().to_string(), "/var/lib/weir.db");
        }
    }
}
