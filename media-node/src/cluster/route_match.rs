//! Which Route a wanted path matches, and what it makes of it. Pure; starting the pull is the
//! supervisor's.
//!
//! Patterns are exact, or directories when they end with `/`. An exact one wins over all
//! directories, and of those the longest. Everything is compared in the canonical form of
//! [`weir_crds::field::canonical_path`].

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use weir_crds::Route;
use weir_crds::field::canonical_path;

/// The routes that serve, by pattern.
#[derive(Clone, Default)]
pub struct Table {
    exact: HashMap<String, Arc<Route>>,
    /// Longest first.
    directories: Vec<(String, Arc<Route>)>,
}

/// A route that a path matches.
#[derive(Clone)]
pub struct Match {
    pub route: Arc<Route>,
    /// Where the stream is pulled from, without credentials.
    pub upstream: String,
}

impl Table {
    /// Of several routes with one canonical pattern only the first in precedence serves.
    pub fn new(routes: impl IntoIterator<Item = Arc<Route>>) -> Self {
        let mut by_pattern: HashMap<String, Arc<Route>> = HashMap::new();
        for route in routes {
            let pattern = route.canonical_pattern();
            match by_pattern.get(&pattern) {
                Some(other) if !route.goes_before(other) => {}
                _ => {
                    by_pattern.insert(pattern, route);
                }
            }
        }
        let (directories, exact): (Vec<_>, Vec<_>) = by_pattern
            .into_iter()
            .partition(|(pattern, _)| pattern.ends_with('/'));
        let mut directories = directories;
        directories.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        Self {
            exact: exact.into_iter().collect(),
            directories,
        }
    }

    /// The route that serves `pattern`, in whatever spelling.
    pub fn serving(&self, pattern: &str) -> Option<&Arc<Route>> {
        let pattern = canonical_path(pattern);
        self.exact.get(&pattern).or_else(|| {
            let found = self.directories.iter().find(|(p, _)| *p == pattern);
            found.map(|(_, route)| route)
        })
    }

    /// The route for a wanted path, in whatever spelling. A path that ends with `/` matches none.
    pub fn find(&self, wanted: &str) -> Option<Match> {
        let wanted = canonical_path(wanted);
        if wanted.ends_with('/') {
            return None;
        }
        if let Some(route) = self.exact.get(&wanted) {
            return Some(Match {
                route: route.clone(),
                upstream: route.spec.url.clone(),
            });
        }
        self.directories.iter().find_map(|(directory, route)| {
            let rest = wanted.strip_prefix(directory.as_str())?;
            Some(Match {
                route: route.clone(),
                upstream: below(&route.spec.url, rest),
            })
        })
    }
}

/// `url` with `rest` put behind its path, before its query.
pub(super) fn below(url: &str, rest: &str) -> String {
    let (path, query) = url.split_at(url.find('?').unwrap_or(url.len()));
    let slash = if path.ends_with('/') { "" } else { "/" };
    let mut joined = format!("{path}{slash}");
    for c in rest.chars() {
        // The viewer's text must stay within the path of the URL.
        if c.is_control() || matches!(c, ' ' | '?' | '#' | '%' | '"' | '<' | '>' | '\\' | '`') {
            let mut utf8 = [0; 4];
            for byte in c.encode_utf8(&mut utf8).bytes() {
                let _ = write!(joined, "%{byte:02X}");
            }
        } else {
            joined.push(c);
        }
    }
    joined + query
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn route(name: &str, created: &str, pattern: &str, url: &str) -> Arc<Route> {
        Arc::new(
            serde_json::from_value(json!({
                "apiVersion": "weir.video/v1alpha1", "kind": "Route",
                "metadata": {"name": name, "namespace": "default", "creationTimestamp": created},
                "spec": {"pattern": pattern, "url": url},
            }))
            .expect("a route"),
        )
    }

    fn table(routes: &[(&str, &str)]) -> Table {
        let day = "2026-01-01T00:00:00Z";
        Table::new(
            routes
                .iter()
                .enumerate()
                .map(|(i, (p, u))| route(&format!("r{i}"), day, p, u)),
        )
    }

    fn upstream(routes: &[(&str, &str)], wanted: &str) -> Option<String> {
        table(routes).find(wanted).map(|m| m.upstream)
    }

    #[test]
    fn the_contracts_table() {
        for (pattern, url, wanted, want) in [
            (
                "/gate/a1",
                "rtsp://h:5540/live2",
                "/Gate/A1",
                "rtsp://h:5540/live2",
            ),
            (
                "/hr/",
                "rtsp://h:8540/video",
                "/hr/door",
                "rtsp://h:8540/video/door",
            ),
            ("/hr/", "rtsp://h:8540/", "/hr/Door/V1", "rtsp://h:8540/door/v1"),
            // The rest goes before the query.
            (
                "/hr/",
                "rtsp://h:8540/video?ch=1&q=/",
                "/hr/door",
                "rtsp://h:8540/video/door?ch=1&q=/",
            ),
            (
                "/hr/",
                "rtsp://h:8540/?ch=1",
                "/hr/door",
                "rtsp://h:8540/door?ch=1",
            ),
            (
                "/hr/",
                "rtsp://h:8540?ch=1",
                "/hr/door",
                "rtsp://h:8540/door?ch=1",
            ),
            // An exact url is taken as it is.
            ("/gate/a1", "rtsp://h/L?X=Y/", "gate//a1", "rtsp://h/L?X=Y/"),
            ("/", "rtsp://h/all", "any/thing", "rtsp://h/all/any/thing"),
        ] {
            assert_eq!(
                upstream(&[(pattern, url)], wanted).as_deref(),
                Some(want),
                "{pattern} {wanted}"
            );
        }
    }

    #[test]
    fn what_matches_nothing() {
        for (pattern, wanted) in [
            ("/hr/", "/hr"),
            ("/hr/", "/hrx/door"),
            ("/hr/", "/hr/door/"),
            ("/", "/"),
            ("/", ""),
            ("/gate/a1", "/gate/a1/"),
            ("/gate/a1", "/gate/a1/b"),
            ("/gate/*", "/gate/a1"),
        ] {
            assert_eq!(
                upstream(&[(pattern, "rtsp://h/v")], wanted),
                None,
                "{pattern} {wanted}"
            );
        }
    }

    #[test]
    fn exact_wins_then_the_longest_directory() {
        let routes = [
            ("/", "rtsp://root"),
            ("/hr/", "rtsp://hr"),
            ("/hr/in/", "rtsp://in"),
            ("/hr/in/door", "rtsp://door"),
        ];
        for (wanted, want) in [
            ("/hr/in/door", "rtsp://door"),
            ("/hr/in/gate", "rtsp://in/gate"),
            ("/hr/in", "rtsp://hr/in"),
            ("/hr/x/y", "rtsp://hr/x/y"),
            ("/hrx", "rtsp://root/hrx"),
        ] {
            assert_eq!(upstream(&routes, wanted).as_deref(), Some(want), "{wanted}");
        }
    }

    #[test]
    fn a_viewers_path_stays_within_the_urls_path() {
        let routes = [("/hr/", "rtsp://h/v")];
        for (wanted, want) in [
            ("/hr/a?b=c", "rtsp://h/v/a%3Fb=c"),
            ("/hr/a#b", "rtsp://h/v/a%23b"),
            ("/hr/a b%2f", "rtsp://h/v/a%20b%252f"),
            ("/hr/../../etc", ""),
            ("/hr/x/../y", "rtsp://h/v/y"),
            ("/hr/a@b:c", "rtsp://h/v/a@b:c"),
        ] {
            assert_eq!(upstream(&routes, wanted).unwrap_or_default(), want, "{wanted}");
        }
    }

    #[test]
    fn of_two_with_one_pattern_the_older_serves() {
        let old = route("z", "2026-01-01T00:00:00Z", "/HR/", "rtsp://old");
        let new = route("a", "2026-01-02T00:00:00Z", "hr//", "rtsp://new");
        for routes in [[old.clone(), new.clone()], [new, old]] {
            let table = Table::new(routes);
            assert_eq!(
                table.find("hr/x").map(|m| m.upstream).as_deref(),
                Some("rtsp://old/x")
            );
            assert_eq!(
                table
                    .serving("/hr/")
                    .and_then(|r| r.metadata.name.clone())
                    .as_deref(),
                Some("z")
            );
        }
    }
}
