//! The header `Range`, RFC 9110 section 14.

use std::ops::Range;

/// What of a file is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// All of it: no range that we understand, or several, which nobody has to be given.
    Whole,
    Part(Range<u64>),
    /// Nothing that it has.
    Nothing,
}

/// What a value of `Range` asks of a file of this length.
pub(super) fn asked(value: &str, length: u64) -> Asked {
    let Some(range) = value.strip_prefix("bytes=").map(str::trim) else {
        return Asked::Whole;
    };
    let Some((first, last)) = range.split_once('-') else {
        return Asked::Whole;
    };
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // One that is too long for a number is behind any end.
        is_number.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    match (number(first), number(last)) {
        (Some(first), None) if last.is_empty() => part(first, u64::MAX, length),
        (Some(first), Some(last)) if first <= last => part(first, last, length),
        (None, Some(0)) if first.is_empty() => Asked::Nothing,
        (None, Some(most)) if first.is_empty() => part(length.saturating_sub(most), u64::MAX, length),
        _ => Asked::Whole,
    }
}

fn part(first: u64, last: u64, length: u64) -> Asked {
    if first >= length {
        return Asked::Nothing;
    }
    Asked::Part(first..last.saturating_add(1).min(length))
}

#[cfg(test)]
mod tests {
    use super::{Asked, asked};

    #[test]
    fn ranges_as_players_send_them() {
        for (value, part) in [
            ("bytes=0-99", Asked::Part(0..100)),
            ("bytes=0-", Asked::Part(0..1000)),
            ("bytes=900-5000", Asked::Part(900..1000)),
            ("bytes=-100", Asked::Part(900..1000)),
            ("bytes=-5000", Asked::Part(0..1000)),
            ("bytes=999-999", Asked::Part(999..1000)),
            ("bytes=1000-", Asked::Nothing),
            ("bytes=-0", Asked::Nothing),
            ("bytes=99999999999999999999-", Asked::Nothing),
            ("bytes=0-99999999999999999999", Asked::Part(0..1000)),
            ("bytes=5-4", Asked::Whole),
            ("bytes=0-1,5-6", Asked::Whole),
            ("bytes=a-b", Asked::Whole),
            ("bytes=-", Asked::Whole),
            ("bytes=+1-2", Asked::Whole),
            ("seconds=0-1", Asked::Whole),
            ("", Asked::Whole),
        ] {
            assert_eq!(asked(value, 1000), part, "{value}");
        }
        assert_eq!(asked("bytes=0-", 0), Asked::Nothing);
    }
}
