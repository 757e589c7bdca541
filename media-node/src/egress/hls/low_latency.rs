//! Low-latency HLS (RFC 8216bis): parts of segments as soon as they are there, and requests that wait
//! for what comes next (section 6.2.5.2).

use super::Cutting;
use super::makers::{Entry, InVain, Makers, Product};
use super::wall_clock::WallClock;
use crate::hub::{Event, Hub};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{StatusCode, header};
use std::sync::Arc;
use std::time::Duration;
use weir_proto::hls::{
    Awaited, InitVersion, Links, Lookup, PartCutter, PartPosition, PartedPlaylist, PartedWindow, Readiness,
};
use weir_proto::media::Tracks;

/// Whole segments that a playlist lists at least.
const LISTED: usize = 4;
/// Older ones that can still be fetched.
const OLDER: usize = 3;
/// A playlist request waits this long for the first part.
const FIRST_PART: Duration = Duration::from_secs(20);
/// Others wait for so many target durations (section 6.2.5.2).
const TARGETS: u32 = 3;
/// And never longer than this, whatever a stream's pauses have made of the target.
const MOST_PATIENCE: Duration = Duration::from_mins(1);

/// One stream's parts.
pub(super) struct LowLatency {
    cutter: PartCutter,
    window: PartedWindow,
}

impl LowLatency {
    pub(super) fn makers(hub: Arc<Hub>, cutting: Cutting) -> Arc<Makers<Self>> {
        Makers::new(hub, move |tracks: &Tracks| Self {
            cutter: PartCutter::new(cutting.part, tracks),
            window: PartedWindow::new(LISTED, OLDER, cutting.segment, cutting.part),
        })
    }
}

impl Product for LowLatency {
    const PROTOCOL: &'static str = "hls-ll";

    fn take(&mut self, event: Event, _: &WallClock) -> bool {
        let cuts = match event {
            Event::Tracks(tracks) => self.cutter.set_tracks(&tracks),
            Event::Unit(unit) => self.cutter.push(&unit),
            Event::Skipped(_) | Event::Ended => {
                self.cutter.lose();
                return false;
            }
        };
        let changed = !cuts.is_empty();
        for cut in cuts {
            self.window.take(cut);
        }
        changed
    }

    fn settle(&mut self, clock: &WallClock) {
        self.window.settle(|at| clock.millis(at));
    }
}

/// The playlist, once it holds what is awaited.
pub(super) async fn playlist(
    entry: &Entry<LowLatency>,
    links: &Links<'_>,
    awaited: Option<Awaited>,
) -> Response {
    let Some(awaited) = awaited else {
        return match entry.until(FIRST_PART, |p| p.window.playlist()).await {
            Ok(playlist) => listed(&playlist, links),
            Err(_) => unavailable(),
        };
    };
    let patience = (TARGETS * entry.product().window.target()).min(MOST_PATIENCE);
    let look = |product: &LowLatency| match product.window.readiness(awaited) {
        Readiness::Ready => product.window.playlist().map(Some),
        Readiness::Wait => None,
        Readiness::TooFarAhead => Some(None),
    };
    match entry.until_ending(patience, look).await {
        Ok(Some(playlist)) => listed(&playlist, links),
        Ok(None) => {
            let text = "_HLS_msn or _HLS_part is further ahead than the stream can be; load the playlist without them\n";
            (StatusCode::BAD_REQUEST, text).into_response()
        }
        Err(InVain::Late | InVain::Ended) => unavailable(),
    }
}

fn listed(playlist: &PartedPlaylist, links: &Links<'_>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/vnd.apple.mpegurl"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, playlist.render(links)).into_response()
}

fn unavailable() -> Response {
    let text = "the stream has paused; try again\n";
    (
        StatusCode::SERVICE_UNAVAILABLE,
        [(header::CACHE_CONTROL, "no-cache")],
        text,
    )
        .into_response()
}

/// What a name of a playlist stands for, without `ll-` and the ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Init(InitVersion),
    Segment(u64),
    Part(PartPosition),
}

impl Name {
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(version) = text.strip_prefix("init-") {
            return InitVersion::parse(version).map(Self::Init);
        }
        if let Some(position) = PartPosition::parse(text) {
            return Some(Self::Part(position));
        }
        Awaited::parse(Some(text), None)
            .ok()
            .flatten()
            .map(|segment| Self::Segment(segment.number))
    }
}

/// A part, a segment or an init segment. A part or segment that is about to come is waited for.
pub(super) async fn resource(entry: &Entry<LowLatency>, name: Name) -> Option<Bytes> {
    let patience = (TARGETS * entry.product().window.target()).min(MOST_PATIENCE);
    let look = |product: &LowLatency| {
        let window = &product.window;
        let found = match name {
            Name::Init(version) => window
                .init(version)
                .map_or(Lookup::Absent, |init| Lookup::Here(init.bytes.clone())),
            Name::Segment(number) => window.segment(number),
            Name::Part(position) => window.part(position),
        };
        match found {
            Lookup::Here(bytes) => Some(Some(bytes)),
            Lookup::Coming => None,
            Lookup::Absent => Some(None),
        }
    };
    entry.until_ending(patience, look).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(Name::parse("1700000000"), Some(Name::Segment(1_700_000_000)));
        let position = PartPosition {
            number: 1_700_000_000,
            index: 3,
        };
        assert_eq!(Name::parse("1700000000-3"), Some(Name::Part(position)));
        assert!(matches!(Name::parse("init-0000000a"), Some(Name::Init(_))));
        for text in ["", "init-", "init-x", "a", "1-", "-1", "1-2-3", "+1"] {
            assert_eq!(Name::parse(text), None, "{text}");
        }
    }
}
