//! The URL of a route: which texts are taken for one, and taking the user and password out of it and
//! putting them back. What can be pulled is decided elsewhere: most texts are taken.

use std::ops::Range;
use weir_proto::Redacted;

/// A URL without its userinfo, and that byte for byte.
#[derive(Debug)]
pub(in super::super) struct Split {
    pub(in super::super) url: String,
    pub(in super::super) userinfo: Option<Redacted<String>>,
}

/// Takes the userinfo out.
///
/// # Errors
/// Why the text is no URL, as the documented server says it.
pub(in super::super) fn split(url: &str) -> Result<Split, String> {
    let wrong = |why: String| format!("parse {url:?}: {why}");
    check(url).map_err(wrong)?;
    let Some(authority) = authority(url) else {
        return Ok(Split {
            url: url.to_owned(),
            userinfo: None,
        });
    };
    let (before, after) = (&url[..authority.start], &url[authority.end..]);
    Ok(match url[authority].rsplit_once('@') {
        Some((userinfo, host)) => Split {
            url: format!("{before}{host}{after}"),
            userinfo: Some(Redacted::new(userinfo.to_owned())),
        },
        None => Split {
            url: url.to_owned(),
            userinfo: None,
        },
    })
}

/// Puts the userinfo where it was.
pub(in super::super) fn join(url: &str, userinfo: &str) -> String {
    match authority(url) {
        Some(authority) => {
            let (before, after) = url.split_at(authority.start);
            format!("{before}{userinfo}@{after}")
        }
        // No userinfo was taken out of such a URL.
        None => url.to_owned(),
    }
}

/// Where the authority stands, if there is one: behind `//`, RFC 3986 section 3.2.
fn authority(url: &str) -> Option<Range<usize>> {
    let scheme = scheme(url).ok().flatten().map_or(0, |scheme| scheme.len() + 1);
    let rest = url[scheme..].strip_prefix("//")?;
    let start = scheme + 2;
    let length = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    Some(start..start + length)
}

fn scheme(url: &str) -> Result<Option<&str>, String> {
    for (at, c) in url.char_indices() {
        match c {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if at > 0 => {}
            ':' if at == 0 => return Err("missing protocol scheme".into()),
            ':' => return Ok(Some(&url[..at])),
            _ => break,
        }
    }
    Ok(None)
}

fn check(url: &str) -> Result<(), String> {
    if url.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return Err("net/url: invalid control character in URL".into());
    }
    let (url, fragment) = url.split_once('#').unwrap_or((url, ""));
    escapes(fragment)?;
    let rest = match scheme(url)? {
        Some(scheme) => &url[scheme.len() + 1..],
        None => url,
    };
    let has_scheme = rest.len() < url.len();
    let path = rest.split_once('?').map_or(rest, |(path, _)| path);
    let Some(after) = path.strip_prefix("//") else {
        if path.starts_with('/') {
            return escapes(path);
        }
        let first = path.split('/').next().unwrap_or_default();
        if !has_scheme && first.contains(':') {
            return Err("first path segment in URL cannot contain colon".into());
        }
        // What follows a scheme without a slash has no form of its own.
        return if has_scheme { Ok(()) } else { escapes(path) };
    };
    let (authority, path) = after.split_at(after.find('/').unwrap_or(after.len()));
    let host = match authority.rsplit_once('@') {
        Some((userinfo, host)) => {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&b);
            if !userinfo.bytes().all(allowed) {
                return Err("net/url: invalid userinfo".into());
            }
            escapes(userinfo)?;
            host
        }
        None => authority,
    };
    check_host(host)?;
    escapes(path)
}

/// A name or an address, and a port if there is one.
fn check_host(host: &str) -> Result<(), String> {
    let port = if host.starts_with('[') {
        let end = host.rfind(']').ok_or("missing ']' in host")?;
        &host[end + 1..]
    } else {
        host.rfind(':').map_or("", |colon| &host[colon..])
    };
    let digits = port.strip_prefix(':');
    if !port.is_empty() && digits.is_none_or(|digits| !digits.bytes().all(|b| b.is_ascii_digit())) {
        return Err(format!("invalid port {port:?} after host"));
    }
    escapes(host)?;
    let allowed =
        |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "-_.~!$&'()*+,;=:[]<>\"%".contains(c);
    match host.chars().find(|c| !allowed(*c)) {
        Some(c) => Err(format!("invalid character {:?} in host name", c.to_string())),
        None => Ok(()),
    }
}

/// Each `%` has two hexadecimal digits behind it.
fn escapes(text: &str) -> Result<(), String> {
    for (at, _) in text.match_indices('%') {
        let escape: String = text[at..].chars().take(3).collect();
        if escape.len() != 3 || !escape[1..].bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(format!("invalid URL escape {escape:?}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{join, split};

    #[test]
    fn userinfo_is_taken_out_and_put_back_byte_for_byte() {
        for (url, without, userinfo) in [
            (
                "rtsp://u:p@10.0.0.9:554/live2",
                "rtsp://10.0.0.9:554/live2",
                Some("u:p"),
            ),
            ("rtsp://10.0.0.9:554/live2", "rtsp://10.0.0.9:554/live2", None),
            (
                "rtsp://u:p%40ss@h/a?b=c@d#e@f",
                "rtsp://h/a?b=c@d#e@f",
                Some("u:p%40ss"),
            ),
            ("rtsp://u:a@b@h", "rtsp://h", Some("u:a@b")),
            ("rtsp://u@[fd00::7]:554/", "rtsp://[fd00::7]:554/", Some("u")),
            ("rtsp://@h/", "rtsp://h/", Some("")),
            ("rtsp://u:p@h?x=/@", "rtsp://h?x=/@", Some("u:p")),
            ("RTSP://H/A@b", "RTSP://H/A@b", None),
            ("//u:p@h/a", "//h/a", Some("u:p")),
            ("live2", "live2", None),
            ("mailto:a@b", "mailto:a@b", None),
            ("rtsp://h:/", "rtsp://h:/", None),
        ] {
            let split = split(url).unwrap();
            assert_eq!(
                (
                    split.url.as_str(),
                    split.userinfo.as_ref().map(|u| u.reveal().as_str())
                ),
                (without, userinfo),
                "{url}"
            );
            if let Some(userinfo) = split.userinfo {
                assert_eq!(join(&split.url, userinfo.reveal()), url);
            }
        }
    }

    #[test]
    fn what_is_no_url_is_told_as_documented() {
        for (url, why) in [
            (
                "rtsp://a b:%zz/",
                "parse \"rtsp://a b:%zz/\": invalid port \":%zz\" after host",
            ),
            ("rtsp://a b/", "invalid character \" \" in host name"),
            ("rtsp://h:port/", "invalid port \":port\" after host"),
            ("rtsp://h/%zz", "invalid URL escape \"%zz\""),
            ("rtsp://h/%4", "invalid URL escape \"%4\""),
            ("rtsp://u^:p@h/", "invalid userinfo"),
            ("rtsp://[fd00::7/", "missing ']' in host"),
            ("rtsp://h/\n", "invalid control character in URL"),
            (":554/live", "missing protocol scheme"),
            (
                "10.0.0.9:554/live",
                "first path segment in URL cannot contain colon",
            ),
        ] {
            let told = split(url).unwrap_err();
            assert!(told.contains(why), "{url}: {told}");
        }
    }
}
