//! Where a request reached us, as its client sees it.

use super::super::request::IsTls;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use url::Url;

/// Scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin(String);

impl Origin {
    /// Of a request. What a proxy in front says of it counts: the answer goes to nobody but who asked.
    pub(super) fn of(request: &Parts) -> Self {
        let headers = &request.headers;
        let by_tls = request.extensions.get::<IsTls>().is_some_and(|is| is.0);
        let scheme = match first(headers, "x-forwarded-proto") {
            Some("https") => "https",
            Some("http") => "http",
            _ if by_tls => "https",
            _ => "http",
        };
        let hosts = [
            first(headers, "x-forwarded-host"),
            first(headers, header::HOST.as_str()),
            request.uri.authority().map(axum::http::uri::Authority::as_str),
        ];
        let found = hosts
            .into_iter()
            .flatten()
            .find_map(|host| Self::parse(&format!("{scheme}://{host}")));
        found.unwrap_or_else(|| Self(format!("{scheme}://localhost:80")))
    }

    /// `scheme://host:port`, the port always written.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let plain = url.username().is_empty() && url.password().is_none() && matches!(url.path(), "" | "/");
        if !plain || url.query().is_some() || url.fragment().is_some() {
            return None;
        }
        let (host, port) = (url.host_str()?, url.port_or_known_default()?);
        matches!(url.scheme(), "http" | "https").then(|| Self(format!("{}://{host}:{port}", url.scheme())))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The first of what proxies have listed.
fn first<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let value = headers.get(name)?.to_str().ok()?;
    let value = value.split(',').next()?.trim();
    (!value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::Origin;
    use axum::http::Request;

    fn of(headers: &[(&str, &str)]) -> String {
        let mut request = Request::get("/api/v1/version");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        Origin::of(&parts).0
    }

    #[test]
    fn the_port_is_always_written() {
        assert_eq!(
            of(&[("host", "media.example.org")]),
            "http://media.example.org:80"
        );
        assert_eq!(of(&[("host", "10.1.2.3:8080")]), "http://10.1.2.3:8080");
        assert_eq!(of(&[("host", "[fd00::7]:8080")]), "http://[fd00::7]:8080");
        let proxied = [
            ("host", "inner:8080"),
            ("x-forwarded-host", "media.example.org, other"),
            ("x-forwarded-proto", "https"),
        ];
        assert_eq!(of(&proxied), "https://media.example.org:443");
    }

    #[test]
    fn what_is_no_host_is_not_repeated() {
        for host in ["a b", "u:p@h", "h/path", "h?x", "\"><script>"] {
            assert_eq!(of(&[("host", host)]), "http://localhost:80", "{host}");
        }
        assert_eq!(of(&[("x-forwarded-host", "a b"), ("host", "h")]), "http://h:80");
        assert_eq!(Origin::parse("ftp://h"), None);
    }
}
