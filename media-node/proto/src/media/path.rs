//! A stream's name.

use std::fmt;
use std::sync::Arc;

/// The canonical form of a stream path, such as `building-a/front-door`: lower case, no leading
/// or trailing slash, no empty, `.` or `..` segments. Two paths name the same stream exactly when
/// their canonical forms are equal. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamPath(Arc<str>);

/// Longest path that is taken, in bytes; longer ones name no stream.
pub const MAX_BYTES: usize = 255;

impl StreamPath {
    /// `None` when nothing is left of `raw`, when it is too long, or when it holds control
    /// characters, which no client means and which would forge log lines.
    pub fn parse(raw: &str) -> Option<Self> {
        if raw.len() > 4 * MAX_BYTES || raw.chars().any(char::is_control) {
            return None;
        }
        let mut segments: Vec<&str> = Vec::new();
        for segment in raw.trim().split('/') {
            match segment {
                "" | "." => {}
                ".." => {
                    segments.pop();
                }
                other => segments.push(other),
            }
        }
        let path = segments.join("/").to_lowercase();
        (!path.is_empty() && path.len() <= MAX_BYTES).then(|| Self(path.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StreamPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl AsRef<str> for StreamPath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::StreamPath;

    #[test]
    fn spellings_of_one_path_are_equal() {
        for raw in ["Room/Door", "/room/door", "room//door/", " /./room/x/../door "] {
            assert_eq!(StreamPath::parse(raw).expect(raw).as_str(), "room/door", "{raw}");
        }
    }

    #[test]
    fn what_names_nothing_is_no_path() {
        for raw in [
            "",
            "/",
            "..",
            "a/..",
            "a\nb",
            "a\0",
            &"x".repeat(256),
            &"/".repeat(5000),
        ] {
            assert!(StreamPath::parse(raw).is_none(), "{raw:?}");
        }
    }
}
