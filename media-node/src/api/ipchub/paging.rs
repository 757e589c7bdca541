//! Lists that come in pages: `page_size` and `page_token`.

use super::super::error::Error;
use super::super::request;
use axum::http::Uri;
use std::num::{IntErrorKind, ParseIntError};
use std::str::FromStr;

const DEFAULT: usize = 20;
const LARGEST: i64 = 10_000;

/// Which page a client wants.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    size: usize,
    /// Key of the last item that the client has.
    after: String,
}

/// The items of one page, and the token that asks for the next.
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    /// Of all items.
    pub(super) total: usize,
    /// Key of the last item; none on an empty page.
    pub(super) last: Option<String>,
}

impl Wanted {
    pub(super) fn parse(uri: &Uri) -> Result<Self, Error> {
        let size = request::parameter(uri, "page_size").unwrap_or_default();
        let after = request::parameter(uri, "page_token").unwrap_or_default();
        if size.is_empty() {
            return Ok(Self { size: DEFAULT, after });
        }
        let size: i64 = number("Atoi", &size)?;
        let size = usize::try_from(size.min(LARGEST));
        let size = size.map_err(|_| Error::Failed("invalid page_size".into()))?;
        Ok(Self { size, after })
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Also the token of an empty page, in lists that echo it.
    pub(super) fn after(&self) -> &str {
        &self.after
    }

    /// Cuts the page out of all items, which are sorted by the bytes of their keys.
    pub(super) fn cut<T>(&self, mut items: Vec<T>, key: impl Fn(&T) -> String) -> Page<T> {
        items.sort_by_cached_key(&key);
        let total = items.len();
        let mut items: Vec<T> = items
            .into_iter()
            .skip_while(|item| key(item) <= self.after)
            .collect();
        items.truncate(self.size);
        let last = items.last().map(&key);
        Page { items, total, last }
    }
}

/// A number in a query, with the documented text where it is none; `parser` is the name that it gives.
pub(super) fn number<T: FromStr<Err = ParseIntError>>(parser: &str, text: &str) -> Result<T, Error> {
    text.parse().map_err(|error: ParseIntError| {
        let reason = match error.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        Error::Failed(format!("strconv.{parser}: parsing {text:?}: {reason}"))
    })
}

#[cfg(test)]
mod tests {
    use super::{Error, Wanted};

    fn wanted(query: &str) -> Result<Wanted, Error> {
        Wanted::parse(&format!("/api/v1/streams{query}").parse().unwrap())
    }

    #[test]
    fn sizes() {
        for (query, size) in [
            ("", 20),
            ("?page_size=", 20),
            ("?page_size=1", 1),
            ("?page_size=0", 0),
            ("?page_size=10001", 10_000),
            ("?page_size=9223372036854775807", 10_000),
        ] {
            assert_eq!(wanted(query).unwrap().size, size, "{query}");
        }
        for (query, message) in [
            ("?page_size=abc", r#"strconv.Atoi: parsing "abc": invalid syntax"#),
            ("?page_size=1.5", r#"strconv.Atoi: parsing "1.5": invalid syntax"#),
            (
                "?page_size=9223372036854775808",
                r#"strconv.Atoi: parsing "9223372036854775808": value out of range"#,
            ),
            ("?page_size=-1", "invalid page_size"),
        ] {
            assert_eq!(wanted(query), Err(Error::Failed(message.into())), "{query}");
        }
    }

    #[test]
    fn pages_walk_through_the_items_in_byte_order() {
        let items = || ["b", "a/b", "a", "é", "Z"].map(str::to_owned).to_vec();
        let mut after = String::new();
        let mut seen = Vec::new();
        loop {
            let page = Wanted {
                size: 2,
                after: after.clone(),
            }
            .cut(items(), Clone::clone);
            assert_eq!(page.total, 5);
            let Some(last) = page.last else {
                assert!(page.items.is_empty());
                break;
            };
            seen.extend(page.items);
            after = last;
        }
        assert_eq!(seen, ["Z", "a", "a/b", "b", "é"]);
        // The token's item need not exist any more.
        let page = Wanted {
            size: 1,
            after: "aa".into(),
        }
        .cut(items(), Clone::clone);
        assert_eq!(page.items, ["b"]);
    }
}
