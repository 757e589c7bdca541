//! The paths that an account may publish to or view: masks joined by `;`, as the ipchub
//! documents define them.

use weir_proto::media::StreamPath;

/// Allows a path when any of its masks does; without masks, nothing.
///
/// Compared segment by segment, ignoring case and outer slashes. `+` is any one segment; `*` as
/// the last segment is any number of them, also none; anything else is itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathMasks(Vec<Mask>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Mask {
    segments: Vec<Segment>,
    /// Whether more segments may follow.
    open: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Any,
    Exactly(String),
}

impl PathMasks {
    /// Takes any text; blanks around a mask and empty masks count for nothing.
    pub fn parse(list: &str) -> Self {
        Self(
            list.split(';')
                .map(str::trim)
                .filter(|mask| !mask.is_empty())
                .map(Mask::parse)
                .collect(),
        )
    }

    pub fn allow(&self, path: &StreamPath) -> bool {
        self.0.iter().any(|mask| mask.allows(path.as_str()))
    }
}

impl Mask {
    fn parse(text: &str) -> Self {
        let text = text.trim_matches('/').to_lowercase();
        let mut segments: Vec<&str> = text.split('/').collect();
        let open = segments.pop_if(|last| *last == "*").is_some();
        let segments = segments
            .into_iter()
            .map(|segment| {
                if segment == "+" {
                    Segment::Any
                } else {
                    Segment::Exactly(segment.to_owned())
                }
            })
            .collect();
        Self { segments, open }
    }

    /// `path` is canonical: lower case, without outer slashes.
    fn allows(&self, path: &str) -> bool {
        let mut rest = path.split('/');
        for segment in &self.segments {
            let Some(found) = rest.next() else {
                return false;
            };
            if let Segment::Exactly(wanted) = segment
                && wanted != found
            {
                return false;
            }
        }
        self.open || rest.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::PathMasks;
    use weir_proto::media::StreamPath;

    fn allows(masks: &str, path: &str) -> bool {
        PathMasks::parse(masks).allow(&StreamPath::parse(path).unwrap())
    }

    #[test]
    fn the_documented_table_holds() {
        for (masks, allowed, denied) in [
            ("/a", &["/a", "/A/"][..], &["/a/b"][..]),
            ("/a/*", &["/a", "/a/b", "/a/b/c"], &["/b", "/ab"]),
            (
                "/a/+/c/*",
                &["/a/b/c", "/a/d/c", "/a/b/c/d/e"],
                &["/a/c", "/a/c/d/e"],
            ),
            ("/rooms/+/entrance", &["/rooms/7/entrance"], &["/rooms/entrance"]),
            ("/test/*;/rooms/*", &["/test", "/rooms/x/y"], &["/other"]),
        ] {
            for path in allowed {
                assert!(allows(masks, path), "{masks} must allow {path}");
            }
            for path in denied {
                assert!(!allows(masks, path), "{masks} must deny {path}");
            }
        }
    }

    #[test]
    fn a_star_alone_is_everything_and_nothing_is_nothing() {
        for masks in ["*", "/*", " ; * ;", "*/"] {
            assert!(allows(masks, "/a/b"), "{masks:?}");
        }
        for masks in ["", " ", ";", " ; ;", "/"] {
            assert!(!allows(masks, "/a"), "{masks:?}");
        }
    }

    #[test]
    fn blanks_case_and_outer_slashes_count_for_nothing() {
        for masks in ["A/B", " /a/b/ ", "//a/b//", "x; /A/b ;y"] {
            assert!(allows(masks, "/a/B"), "{masks:?}");
        }
    }

    #[test]
    fn a_star_that_is_not_last_is_itself() {
        assert!(!allows("/a/*/c", "/a/b/c"));
        assert!(allows("/a/*/c", "/a/*/c"));
        assert!(!allows("/a*", "/ab"));
        assert!(!allows("/a/+", "/a"));
        assert!(!allows("/a/+", "/a/b/c"));
    }
}
