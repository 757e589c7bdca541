//! Which part: its segment's number and its place in it.

/// The names of parts and segments, and what a blocking request asks for, are made of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartPosition {
    pub number: u64,
    /// From 0.
    pub index: u32,
}

/// What a playlist must hold before it is sent (RFC 8216bis section 6.2.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Awaited {
    pub number: u64,
    /// None: the whole segment.
    pub index: Option<u32>,
}

/// The query says something that no playlist can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("_HLS_msn and _HLS_part must be whole numbers, and _HLS_part needs _HLS_msn")]
pub struct BadQuery;

impl PartPosition {
    /// `12-3`
    pub fn parse(text: &str) -> Option<Self> {
        let (number, index) = text.split_once('-')?;
        Some(Self {
            number: whole(number)?,
            index: whole(index)?,
        })
    }
}

impl Awaited {
    /// The values of `_HLS_msn` and `_HLS_part`. None: as it is now.
    ///
    /// # Errors
    /// When they make no sense.
    pub fn parse(msn: Option<&str>, part: Option<&str>) -> Result<Option<Self>, BadQuery> {
        let index = part.map(|part| whole(part).ok_or(BadQuery)).transpose()?;
        match msn {
            None if index.is_some() => Err(BadQuery),
            None => Ok(None),
            Some(msn) => {
                let number = whole(msn).ok_or(BadQuery)?;
                Ok(Some(Self { number, index }))
            }
        }
    }
}

/// Digits alone: `parse` takes a sign too.
fn whole<N: std::str::FromStr>(text: &str) -> Option<N> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        let awaited = |number, index| Ok(Some(Awaited { number, index }));
        assert_eq!(Awaited::parse(None, None), Ok(None));
        assert_eq!(Awaited::parse(Some("12"), None), awaited(12, None));
        assert_eq!(Awaited::parse(Some("12"), Some("3")), awaited(12, Some(3)));
        for (msn, part) in [
            (None, Some("3")),
            (Some(""), None),
            (Some("x"), None),
            (Some("-1"), None),
            (Some("+1"), None),
            (Some("1.5"), None),
            (Some("18446744073709551616"), None),
            (Some("12"), Some("")),
            (Some("12"), Some("-1")),
            (Some("12"), Some("4294967296")),
            (Some("１２"), None),
        ] {
            assert_eq!(Awaited::parse(msn, part), Err(BadQuery), "{msn:?} {part:?}");
        }
    }

    #[test]
    fn names() {
        assert_eq!(
            PartPosition::parse("12-3"),
            Some(PartPosition { number: 12, index: 3 })
        );
        for text in ["12", "12-", "-3", "12-3-4", "a-3", "12-+3"] {
            assert_eq!(PartPosition::parse(text), None, "{text}");
        }
    }
}
