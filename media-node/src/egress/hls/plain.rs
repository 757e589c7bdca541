//! The segments and the playlist of the documented server (ipchub contract, section 9).

use super::makers::{Entry, Makers, Product};
use super::wall_clock::WallClock;
use crate::hub::{Event, Hub};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{StatusCode, header};
use std::sync::Arc;
use std::time::Duration;
use weir_proto::hls::{Form, InitVersion, Links, Segment, Segmenter, Window};
use weir_proto::media::Tracks;

/// Segments that a playlist lists.
const LISTED: usize = 3;
/// Older ones that can still be fetched.
const OLDER: usize = 4;
/// A playlist request waits this long for the first segment.
const FIRST_SEGMENT: Duration = Duration::from_secs(20);
/// A segment request waits this long for a segment that may come soon.
const NEXT_SEGMENT: Duration = Duration::from_secs(8);

/// One stream's segments.
pub(super) struct Plain {
    segmenter: Option<Segmenter>,
    window: Window,
}

impl Plain {
    pub(super) fn makers(hub: Arc<Hub>) -> Arc<Makers<Self>> {
        Makers::new(hub, |tracks| Self {
            segmenter: None,
            window: Window::new(Form::of(tracks), LISTED, OLDER),
        })
    }

    fn set_tracks(&mut self, tracks: &Tracks) -> Option<Segment> {
        let form = Form::of(tracks);
        if self.window.form() != form {
            self.window = Window::new(form, LISTED, OLDER);
            self.segmenter = None;
        }
        if let Some(segmenter) = &mut self.segmenter {
            return segmenter.set_tracks(tracks);
        }
        self.segmenter = Some(Segmenter::new(form, tracks));
        None
    }
}

impl Product for Plain {
    const PROTOCOL: &'static str = "hls";

    fn take(&mut self, event: Event, clock: &WallClock) -> bool {
        let segment = match event {
            Event::Tracks(tracks) => self.set_tracks(&tracks),
            Event::Unit(unit) => self.segmenter.as_mut().and_then(|s| s.push(&unit)),
            Event::Skipped(_) => {
                if let Some(segmenter) = &mut self.segmenter {
                    segmenter.lose();
                }
                None
            }
            Event::Ended => self.segmenter.as_mut().and_then(|segmenter| {
                let last = segmenter.finish();
                segmenter.lose();
                last
            }),
        };
        let Some(segment) = segment else { return false };
        let at = clock.millis(segment.start);
        self.window.push(segment, at);
        true
    }
}

/// What can be listed now; waits for the first segment.
pub(super) async fn playlist(entry: &Entry<Plain>, links: &Links<'_>) -> Response {
    let listed = |plain: &Plain| Some(plain.window.playlist()).filter(|p| !p.entries.is_empty());
    let Ok(playlist) = entry.until(FIRST_SEGMENT, listed).await else {
        let text = "playlist is not enough,maybe the HLS stream just started\n";
        return (StatusCode::BAD_REQUEST, text).into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, "application/x-mpegURL"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, playlist.render(links)).into_response()
}

pub(super) fn init(entry: &Entry<Plain>, version: InitVersion) -> Option<Bytes> {
    let plain = entry.product();
    plain.window.init(version).map(|init| init.bytes.clone())
}

/// The segment with this number. Waits a little for one that is yet to come: a player that
/// another gateway has served until now asks for what it read in that gateway's playlist.
pub(super) async fn segment(entry: &Entry<Plain>, number: u64, form: Form) -> Option<Bytes> {
    let look = |plain: &Plain| {
        let window = &plain.window;
        if window.form() != form {
            return Some(None);
        }
        if let Some(segment) = window.segment(number) {
            return Some(Some(segment.bytes.clone()));
        }
        let newest = window.playlist().entries.last().map(|e| e.number);
        let may_come = newest.is_none_or(|newest| number > newest && number - newest <= LISTED as u64);
        (!may_come).then_some(None)
    };
    entry.until(NEXT_SEGMENT, look).await.ok().flatten()
}
