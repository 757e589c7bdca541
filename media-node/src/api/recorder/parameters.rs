//! What a caller asks for: values by name, in the query, in the path, or in both.

use super::wire::{Code, Fault};
use axum::http::Uri;
use percent_encoding::percent_decode_str;
use std::collections::HashMap;

/// Longest text that is kept where nothing else is said, in Unicode scalars.
pub(super) const TEXT: usize = 255;
/// Longest address of a stream or a file; these are not cut.
const ADDRESS: usize = 1024;
/// Most values that are kept; no call that is meant has more.
const MOST: usize = 64;

/// The values of a call.
#[derive(Debug, Default)]
pub(super) struct Parameters(HashMap<String, String>);

impl Parameters {
    /// Of a call to this interface. `uri` is as it was sent: values in its path may have slashes and dots.
    pub(super) fn of(interface: &str, uri: &Uri) -> Self {
        let mut values = HashMap::new();
        let mut keep = |key: &str, value: String| {
            if values.len() < MOST || values.contains_key(key) {
                // No database takes a NUL, and nobody means one.
                values.insert(key.to_owned(), value.replace('\0', ""));
            }
        };
        let mut segments = uri.path().split('/').skip_while(|s| s.is_empty());
        let mut is_next = |wanted: &str| segments.by_ref().find(|s| !s.is_empty()) == Some(wanted);
        if is_next("api") && is_next("v1") && is_next(interface) {
            while let (Some(key), Some(value)) = (segments.next(), segments.next()) {
                let is_key = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
                if is_key && !value.is_empty() {
                    keep(key, percent_decode_str(value).decode_utf8_lossy().into_owned());
                }
            }
        }
        for (key, value) in url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            keep(&key, value.into_owned());
        }
        Self(values)
    }

    /// As it was sent, also if it is empty.
    pub(super) fn given(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A text, cut; an empty one counts as missing.
    pub(super) fn text(&self, name: &str, longest: usize) -> Option<String> {
        self.given(name)
            .filter(|text| !text.is_empty())
            .map(|text| cut(text, longest))
    }

    /// A text, cut, which may be empty.
    pub(super) fn text_or_empty(&self, name: &str, longest: usize) -> Option<String> {
        self.given(name).map(|text| cut(text, longest))
    }

    /// A name, which must be there.
    pub(super) fn name(&self, name: &str) -> Result<String, Fault> {
        self.text(name, TEXT).ok_or_else(|| Code::NoName.into())
    }

    /// An address that may not be too long; an empty one counts as missing.
    pub(super) fn address(&self, name: &str) -> Result<Option<String>, Fault> {
        match self.given(name).filter(|text| !text.is_empty()) {
            Some(text) if text.chars().count() > ADDRESS => Err(Code::NoName.into()),
            text => Ok(text.map(str::to_owned)),
        }
    }

    /// A number; what is none counts as missing.
    pub(super) fn int(&self, name: &str) -> Option<i64> {
        int(self.given(name)?)
    }

    /// The number of something, which must be there.
    pub(super) fn id(&self, name: &str) -> Result<i64, Fault> {
        self.int(name).ok_or_else(|| Code::NoId.into())
    }

    /// A switch: any number but 0 is on.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.int(name).map(|value| value != 0)
    }

    /// Numbers joined by commas, at least one, each once.
    pub(super) fn ids(&self, name: &str) -> Result<Vec<i64>, Fault> {
        let mut ids = Vec::new();
        for id in self.given(name).unwrap_or_default().split(',') {
            if let Some(id) = int(id.trim())
                && !ids.contains(&id)
            {
                ids.push(id);
            }
        }
        if ids.is_empty() {
            Err(Code::NoId.into())
        } else {
            Ok(ids)
        }
    }
}

/// An optional minus and decimal digits.
fn int(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let are_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    are_digits.then(|| text.parse().ok())?
}

fn cut(text: &str, longest: usize) -> String {
    text.chars().take(longest).collect()
}

#[cfg(test)]
mod tests {
    use super::Parameters;

    fn of(uri: &str) -> Parameters {
        Parameters::of("list_school", &uri.parse().unwrap())
    }

    #[test]
    fn query_and_path_say_the_same() {
        for uri in [
            "/api/v1/list_school?token=t&per=2&cur=3",
            "/api/v1/list_school/token/t/per/2/cur/3",
            "/api/v1/list_school/token/t/per/2/cur/3/",
            "//api/v1//list_school/token/t/per/2?cur=3",
            "/api/v1/list_school/per/5/token/t?per=2&cur=1&cur=3",
            "/api/v1/list_school/per/7/per/2/cur/3/token/t/left",
            "/api/v1/list_school/a-b/9/token/t/per/2/cur/3",
        ] {
            let parameters = of(uri);
            assert_eq!(parameters.given("token"), Some("t"), "{uri}");
            assert_eq!(parameters.int("per"), Some(2), "{uri}");
            assert_eq!(parameters.int("cur"), Some(3), "{uri}");
        }
    }

    #[test]
    fn values_of_paths_are_split_first_and_decoded_after() {
        let path = of("/api/v1/list_school/url/rtsp%3A%2F%2Fh%2Fa%2Bb/plus/a+b/dots/../empty//x/y");
        assert_eq!(path.given("url"), Some("rtsp://h/a+b"));
        assert_eq!(path.given("plus"), Some("a+b"));
        assert_eq!(path.given("dots"), Some(".."));
        assert_eq!(path.given("empty"), None);
        assert_eq!(path.given("x"), Some("y"));
        assert_eq!(of("/api/v1/list_school?plus=a+b").given("plus"), Some("a b"));
        // Names are compared exactly.
        assert_eq!(of("/api/v1/list_school?Token=t").given("token"), None);
    }

    #[test]
    fn texts_and_numbers() {
        let parameters = of(
            "/api/v1/list_school?empty=&n=-7&plus=%2B7&x=1x&big=99999999999999999999&f=2&o=0&t=%E8%80%81%E5%B8%88",
        );
        assert_eq!(parameters.text("empty", 9), None);
        assert_eq!(parameters.text_or_empty("empty", 9).as_deref(), Some(""));
        assert_eq!(parameters.text("t", 1).as_deref(), Some("老"));
        assert_eq!(parameters.int("n"), Some(-7));
        for no_number in ["plus", "x", "big", "empty", "none"] {
            assert_eq!(parameters.int(no_number), None, "{no_number}");
        }
        assert_eq!(
            (parameters.flag("f"), parameters.flag("o")),
            (Some(true), Some(false))
        );
        assert_eq!(parameters.flag("x"), None);
        let long = format!("/api/v1/list_school?u={}", "a".repeat(1025));
        assert!(of(&long).address("u").is_err());
    }

    #[test]
    fn lists_of_numbers() {
        let ids = |list: &str| of(&format!("/api/v1/list_school?ids={list}")).ids("ids");
        assert_eq!(ids("1,%202%20,,x,2,3").unwrap(), [1, 2, 3]);
        for none in ["", ",,", "x", "1.5"] {
            assert!(ids(none).is_err(), "{none}");
        }
    }
}
