//! Passwords that everybody tries first, which no administrator may have.

use super::password::{ha1, md5_form};

/// In lower case.
const KNOWN: &[&str] = &[
    "0000",
    "00000",
    "000000",
    "0000000",
    "00000000",
    "1111",
    "11111",
    "111111",
    "11111111",
    "112233",
    "121212",
    "123",
    "123123",
    "123321",
    "1234",
    "12345",
    "123456",
    "1234567",
    "12345678",
    "123456789",
    "1234567890",
    "123qwe",
    "1q2w3e4r",
    "1qaz2wsx",
    "54321",
    "654321",
    "666666",
    "888888",
    "abc123",
    "abcd1234",
    "admin",
    "admin1",
    "admin12",
    "admin123",
    "admin1234",
    "admin12345",
    "admin123456",
    "administrator",
    "adminadmin",
    "camera",
    "changeme",
    "changeit",
    "default",
    "guest",
    "hik12345",
    "hikvision",
    "ipchub",
    "letmein",
    "master",
    "meinsm",
    "p@ssw0rd",
    "pass",
    "passw0rd",
    "password",
    "password1",
    "password123",
    "qwer1234",
    "qwerty",
    "qwerty123",
    "root",
    "secret",
    "service",
    "smcadmin",
    "supervisor",
    "system",
    "test",
    "test123",
    "toor",
    "ubnt",
    "user",
    "video",
    "weir",
    "welcome",
    "wbox123",
];

/// Whether this is such a password, the user's own name, or the MD5 of one of them.
pub(super) fn is_known(name: &str, password: &str) -> bool {
    let lower = password.to_lowercase();
    let md5 = md5_form(password);
    std::iter::once(name)
        .chain(KNOWN.iter().copied())
        .any(|known| lower == known || md5 == md5_form(known))
}

/// Whether an RTSP Digest secret, for the MD5 form of the password, was made of such a password: all
/// that is left of one that was set before. Unusual mixes of case are not found.
pub(super) fn is_known_by_secret(name: &str, ha1_md5: &str) -> bool {
    let capitalized = |known: &str| {
        let mut rest = known.chars();
        let first = rest.next().map(|c| c.to_uppercase().to_string());
        first.unwrap_or_default() + rest.as_str()
    };
    std::iter::once(name).chain(KNOWN.iter().copied()).any(|known| {
        let spellings = [known.to_owned(), known.to_uppercase(), capitalized(known)];
        spellings
            .iter()
            .any(|spelling| ha1(name, &md5_form(spelling)) == ha1_md5)
    })
}

#[cfg(test)]
mod tests {
    use super::{is_known, is_known_by_secret};
    use crate::auth::password::{ha1, md5_form};

    #[test]
    fn defaults_are_known_by_what_is_stored_of_them() {
        let stored = |password: &str| ha1("operator", &md5_form(password));
        for password in [
            "admin",
            "ADMIN",
            "Admin",
            "123456",
            "Operator",
            "21232f297a57a5a743894a0e4a801fc3",
        ] {
            assert!(is_known_by_secret("operator", &stored(password)), "{password}");
        }
        for password in ["correct horse", ""] {
            assert!(!is_known_by_secret("operator", &stored(password)), "{password}");
        }
        assert!(
            !is_known_by_secret("other", &stored("admin")),
            "the secret is the name's"
        );
    }

    #[test]
    fn defaults_are_known_in_any_form() {
        for password in [
            "admin",
            "ADMIN",
            "123456",
            "password",
            "Hik12345",
            "operator",
            "21232f297a57a5a743894a0e4a801fc3",
        ] {
            assert!(is_known("operator", password), "{password}");
        }
        for password in ["correct horse", "operator2", "5f4dcc3b5aa765d61d8327deb882cf98"] {
            assert!(!is_known("operator", password), "{password}");
        }
    }
}
