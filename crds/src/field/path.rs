//! Stream paths and route patterns, and the one canonical form in which both are compared. Matching a path against routes
//! is the router's.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

use crate::rule::rules;

/// The canonical form of a stream path, a route pattern or a path in a request: blanks around it trimmed, lower-case, one
/// `/` in front, no `.`, `..` or empty segments, a final slash kept. The empty path is `/`.
pub fn canonical_path(path: &str) -> String {
    let path = path.trim().to_lowercase();
    let mut segments: Vec<&str> = vec![];
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    let mut canonical = String::with_capacity(path.len() + 1);
    for segment in &segments {
        canonical.push('/');
        canonical.push_str(segment);
    }
    if canonical.is_empty() || path.ends_with('/') {
        canonical.push('/');
    }
    canonical
}

/// The name of a stream: what stands behind the host in every URL that plays it, without the slash in front. Case is kept,
/// and means nothing when two paths are compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(
    extend("minLength" = 1, "maxLength" = 255),
    extend("x-kubernetes-validations" = rules(&[
        (
            "!self.startsWith('/') && !self.endsWith('/')",
            "path begins or ends with '/': write it without, such as a/front-door",
        ),
        (
            "!self.contains('//') && !self.contains('..') && !self.matches('(^|/)[.](/|$)')",
            "path has an empty, '.' or '..' segment: write plain segments joined by one '/', such as a/front-door",
        ),
        (
            r"self.matches('^[\\p{L}\\p{N}/._~@+=,:-]*$')",
            "path has a character that URLs need otherwise: write letters, digits and any of - _ . ~ @ + = , : joined by '/', such as a/front-door",
        ),
    ])),
)]
pub struct StreamPath(String);

impl StreamPath {
    /// The path as it was written, at most 255 characters.
    pub fn new(path: impl Into<String>) -> Self {
        Self(path.into())
    }

    /// The path as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key of the stream: lower-case, with a slash in front, as [`canonical_path`].
    pub fn canonical(&self) -> String {
        canonical_path(&self.0)
    }

    /// Whether both name the same stream.
    pub fn same_stream(&self, other: &str) -> bool {
        self.canonical() == canonical_path(other)
    }

    /// The path of channel `number` of the device that this path names.
    #[must_use]
    pub fn channel(&self, number: u32) -> Self {
        Self(format!("{}--{number}", self.0))
    }
}

impl fmt::Display for StreamPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A stream path exactly, or all paths below a directory when it ends with `/`. There are no wildcards. The canonical form
/// is what counts: case, a missing slash in front and doubled slashes mean nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(
    extend("maxLength" = 255),
    extend("x-kubernetes-validations" = rules(&[
        ("self.size() > 0", "pattern is empty: write a path such as /gate/a1, a directory such as /hr/, or / for all paths"),
        (
            r"!self.matches('[\\x00-\\x1f\\x7f]')",
            "pattern holds a control character or a line break: write a path such as /gate/a1 or a directory such as /hr/",
        ),
    ])),
)]
pub struct RoutePattern(String);

impl RoutePattern {
    /// The pattern as it was written.
    pub fn new(pattern: impl Into<String>) -> Self {
        Self(pattern.into())
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The canonical form, which is the key of the route.
    pub fn canonical(&self) -> String {
        canonical_path(&self.0)
    }
}

impl fmt::Display for RoutePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_forms() {
        for (path, canonical) in [
            ("", "/"),
            ("/", "/"),
            (" /HR/ ", "/hr/"),
            ("Gate//A1", "/gate/a1"),
            ("/a/./b/../c", "/a/c"),
            ("../../x", "/x"),
            ("/hr/..", "/"),
            ("a/b/", "/a/b/"),
            ("ÄÖ/Ü", "/äö/ü"),
        ] {
            assert_eq!(canonical_path(path), canonical, "{path:?}");
        }
    }

    #[test]
    fn case_and_slashes_mean_nothing() {
        let path = StreamPath::new("a/Front-Door");
        assert!(path.same_stream("/A/front-door"));
        assert!(!path.same_stream("/a/front-door/"));
        assert_eq!(path.channel(3).as_str(), "a/Front-Door--3");
    }
}
