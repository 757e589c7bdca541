//! What a server reads out of RTSP URLs: the stream path and the access token.
//!
//! Nothing here resolves or dials a URL.

use crate::Redacted;

/// Path and query of an RTSP URL, or of anything else that is taken for a bare path.
fn path_and_query(uri: &str) -> (&str, Option<&str>) {
    let rest = match uri.find("://") {
        // Only a scheme: a "://" later on belongs to the path or the query.
        Some(colon) if uri[..colon].bytes().all(|b| b.is_ascii_alphanumeric()) => {
            let authority = &uri[colon + 3..];
            authority.find(['/', '?']).map_or("", |end| &authority[end..])
        }
        _ => uri,
    };
    match rest.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (rest, None),
    }
}

/// The path as sent, without query.
pub fn path(uri: &str) -> &str {
    path_and_query(uri).0
}

/// The canonical stream path of an RTSP URL: percent-escapes resolved, blanks trimmed, in lower
/// case, beginning with `/`, without `.`, `..` and doubled slashes; a slash at the end stays.
pub fn stream_path(uri: &str) -> String {
    canonical_path(&percent_decode(path(uri)))
}

/// The same rule for a path that is no URL.
pub fn canonical_path(path: &str) -> String {
    let path = path.trim().to_lowercase();
    let mut elements: Vec<&str> = Vec::new();
    for element in path.split('/') {
        match element {
            "" | "." => {}
            ".." => {
                elements.pop();
            }
            _ => elements.push(element),
        }
    }
    let slash = if path.ends_with('/') && !elements.is_empty() {
        "/"
    } else {
        ""
    };
    format!("/{}{slash}", elements.join("/"))
}

/// The `token` parameter of a URL's query. A slash ends it, because players append a track's
/// control value to the whole URL (`…?token=abc/streamid=0`).
pub fn token(uri: &str) -> Option<Redacted<String>> {
    let query = path_and_query(uri).1?;
    let value = query
        .split('&')
        .find_map(|parameter| parameter.strip_prefix("token="))?;
    let value = value.split('/').next().unwrap_or_default();
    (!value.is_empty()).then(|| Redacted::new(percent_decode(value)))
}

/// `%41` is `A`; what is no escape, or would not be UTF-8, stays as it is.
pub(crate) fn percent_decode(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digit = |i: usize| tail.get(i).and_then(|b| (*b as char).to_digit(16));
        if let (b'%', Some(high), Some(low)) = (first, digit(0), digit(1)) {
            bytes.push((high * 16 + low) as u8);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_paths_are_canonical() {
        for (uri, path) in [
            ("rtsp://host:1554/Room/Door", "/room/door"),
            ("rtsp://user:pw@host/a//b/./c/../d", "/a/b/d"),
            ("rtsp://host/a/b/", "/a/b/"),
            ("rtsp://host", "/"),
            ("rtsp://host/", "/"),
            ("rtsp://host?token=1", "/"),
            ("rtsp://host/cam?u=rtsp://x/y", "/cam"),
            ("RTSP://HOST/%E9%97%A8", "/门"),
            ("rtsp://host/../../etc", "/etc"),
            ("rtsp://host/a%2Fb%", "/a/b%"),
            ("*", "/*"),
            ("", "/"),
            ("/a", "/a"),
        ] {
            assert_eq!(stream_path(uri), path, "{uri}");
        }
    }

    #[test]
    fn tokens_end_where_a_player_appends_the_control() {
        let token = |uri| token(uri).map(|t| t.reveal().to_owned());
        assert_eq!(token("rtsp://h/a?token=abc"), Some("abc".into()));
        assert_eq!(token("rtsp://h/a?x=1&token=abc/streamid=0"), Some("abc".into()));
        assert_eq!(token("rtsp://h/a/streamid=0?token=abc&y=2"), Some("abc".into()));
        assert_eq!(token("rtsp://h/a?token="), None);
        assert_eq!(token("rtsp://h/a?atoken=5"), None);
        assert_eq!(token("rtsp://h/a"), None);
    }
}
