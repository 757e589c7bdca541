//! What the first bytes of a connection and the path of an HTTP request mean to us. HTTP itself is a
//! library's.

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http,
    Rtsp,
    Unknown,
}

/// Methods that only RTSP has; `OPTIONS` is looked at more closely.
const RTSP: [&[u8]; 10] = [
    b"DESCRIBE ",
    b"ANNOUNCE ",
    b"SETUP ",
    b"PLAY ",
    b"PAUSE ",
    b"TEARDOWN ",
    b"GET_PARAMETER ",
    b"SET_PARAMETER ",
    b"RECORD ",
    b"REDIRECT ",
];
const HTTP: [&[u8]; 9] = [
    b"GET ",
    b"POST ",
    b"PUT ",
    b"HEAD ",
    b"DELETE ",
    b"PATCH ",
    b"CONNECT ",
    b"TRACE ",
    b"QUERY ",
];
const OPTIONS: &[u8] = b"OPTIONS ";
const RTSP_TARGETS: [&[u8]; 3] = [b"* RTSP", b"rtsp://", b"rtsps://"];

/// The protocol that a connection's first bytes speak (ipchub contract, section 1.1); none: more
/// bytes are needed.
pub fn classify(first: &[u8]) -> Option<Protocol> {
    let is = |word: &[u8]| first.starts_with(word);
    let may_become = |word: &[u8]| word.starts_with(first);
    if let Some(target) = first.strip_prefix(OPTIONS) {
        let target = target.to_ascii_lowercase();
        let known = RTSP_TARGETS.map(<[u8]>::to_ascii_lowercase);
        if known.iter().any(|t| target.starts_with(t)) {
            return Some(Protocol::Rtsp);
        }
        return (!known.iter().any(|t| t.starts_with(&target))).then_some(Protocol::Http);
    }
    if RTSP.iter().any(|w| is(w)) {
        Some(Protocol::Rtsp)
    } else if HTTP.iter().any(|w| is(w)) {
        Some(Protocol::Http)
    } else if may_become(OPTIONS) || RTSP.iter().chain(&HTTP).any(|w| may_become(w)) {
        None
    } else {
        Some(Protocol::Unknown)
    }
}

/// The path without empty and dot segments, and with `%2F` taken for the slash that it stands for;
/// none if it is clean already. A final slash stays. Percent-encoding stays too, save that of slashes.
pub fn clean_path(path: &str) -> Option<String> {
    if !path.starts_with('/') {
        // `OPTIONS *`.
        return None;
    }
    let slashes = path.replace("%2F", "/").replace("%2f", "/");
    let mut segments: Vec<&str> = Vec::new();
    let mut rest = slashes.split('/').peekable();
    while let Some(segment) = rest.next() {
        match segment.replace("%2E", ".").replace("%2e", ".").as_str() {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            _ => {
                segments.push(segment);
                continue;
            }
        }
        // `/a/` and `/a/.` are folders.
        if rest.peek().is_none() && !segments.is_empty() {
            segments.push("");
        }
    }
    let clean = format!("/{}", segments.join("/"));
    (clean != path).then_some(clean)
}

/// `room/door.flv` to `room/door` and `flv`.
pub fn split_extension(rest: &str) -> Option<(&str, &str)> {
    let (stem, extension) = rest.rsplit_once('.')?;
    (!stem.is_empty() && !extension.contains('/')).then_some((stem, extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_decide() {
        for (bytes, want) in [
            ("GET / HTTP/1.1", Some(Protocol::Http)),
            ("POST /x", Some(Protocol::Http)),
            ("QUERY /x", Some(Protocol::Http)),
            ("OPTIONS * RTSP/1.0", Some(Protocol::Rtsp)),
            ("OPTIONS RTSP://h/a RTSP/1.0", Some(Protocol::Rtsp)),
            ("OPTIONS /api HTTP/1.1", Some(Protocol::Http)),
            ("OPTIONS * HTTP/1.1", Some(Protocol::Http)),
            ("OPTIONS ", None),
            ("OPTIONS rts", None),
            ("DESC", None),
            ("P", None),
            ("PLAY rtsp://h/a", Some(Protocol::Rtsp)),
            ("ANNOUNCE rtsp://h/a", Some(Protocol::Rtsp)),
            ("\x16\x03\x01", Some(Protocol::Unknown)),
            ("SSH-2.0", Some(Protocol::Unknown)),
            ("get / ", Some(Protocol::Unknown)),
        ] {
            assert_eq!(classify(bytes.as_bytes()), want, "{bytes:?}");
        }
    }

    #[test]
    fn paths_become_clean() {
        for (path, clean) in [
            ("//api///v1/server", "/api/v1/server"),
            ("/api/./v1/../v1/server", "/api/v1/server"),
            ("/api%2Fv1%2fserver", "/api/v1/server"),
            ("/../../etc/passwd", "/etc/passwd"),
            ("/a/%2E%2e/b", "/b"),
            ("/a//", "/a/"),
            ("/a/b/..", "/a/"),
            ("/a/.", "/a/"),
            ("//", "/"),
            ("/..", "/"),
            ("/a%20b//c", "/a%20b/c"),
        ] {
            assert_eq!(clean_path(path).as_deref(), Some(clean), "{path}");
            assert_eq!(clean_path(clean), None, "{clean}");
        }
        for path in ["/", "/a", "/a/", "/a/b.flv", "*", "/a..b/...", "/%20"] {
            assert_eq!(clean_path(path), None, "{path}");
        }
    }

    #[test]
    fn the_last_dot_of_the_last_segment_counts() {
        assert_eq!(split_extension("a/b.flv"), Some(("a/b", "flv")));
        assert_eq!(split_extension("cam.main.flv"), Some(("cam.main", "flv")));
        for none in ["a/b", ".flv", "a.b/c", ""] {
            assert_eq!(split_extension(none), None, "{none}");
        }
    }
}
