//! The forms that are sent without end, as one HTTP response or over a WebSocket.

use super::form::Framing;
use super::form::flv::FlvForm;
use super::form::ts::TsForm;
use crate::hub::{Form, FormKey};
use weir_proto::media::Tracks;

/// A form that a URL's ending names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Live {
    /// `.flv` (ipchub contract, section 8).
    Flv,
    /// `.ts`, which is Weir's own.
    Ts,
}

impl Live {
    /// Of a viewer over HTTP.
    pub(super) const fn http_protocol(self) -> &'static str {
        match self {
            Self::Flv => "http-flv",
            Self::Ts => "http-ts",
        }
    }

    /// Of a viewer over a WebSocket.
    pub(super) const fn ws_protocol(self) -> &'static str {
        match self {
            Self::Flv => "ws-flv",
            Self::Ts => "ws-ts",
        }
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Flv => "video/x-flv",
            Self::Ts => "video/mp2t",
        }
    }

    /// Whether there is a place for any of the tracks.
    pub(super) fn carries_any(self, tracks: &Tracks) -> bool {
        match self {
            Self::Flv => FlvForm::carries_any(tracks),
            Self::Ts => TsForm::carries_any(tracks),
        }
    }

    pub(super) fn key(self, framing: Framing) -> FormKey {
        match self {
            Self::Flv => FlvForm::key(framing),
            Self::Ts => TsForm::key(framing),
        }
    }

    pub(super) fn form(self, tracks: &Tracks, framing: Framing) -> Box<dyn Form> {
        match self {
            Self::Flv => Box::new(FlvForm::new(tracks, framing)),
            Self::Ts => Box::new(TsForm::new(tracks, framing)),
        }
    }
}

/// Whether `<stem>.ts` is a segment of HLS (ipchub contract, section 9) and no endless stream: its last
/// part is ten digits, as all segments' numbers are, which count from the seconds since 1970 (until the
/// year 2286), and something stands before it. It depends on the URL alone, so that every gateway
/// understands it the same way, whatever runs there.
pub(super) fn is_segment(stem: &str) -> bool {
    stem.rsplit_once('/').is_some_and(|(path, number)| {
        !path.is_empty() && number.len() == 10 && number.bytes().all(|b| b.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_digits_are_a_segment() {
        for segment in ["door/1700000000", "a/b/0000000000"] {
            assert!(is_segment(segment), "{segment}");
        }
        for stream in [
            "door",
            "gate/1",
            "1700000000",
            "/1700000000",
            "door/170000000",
            "door/17000000001",
            "door/170000000a",
            "door/34020000001320000001",
            "door/１７０００００００００",
        ] {
            assert!(!is_segment(stream), "{stream}");
        }
    }
}
