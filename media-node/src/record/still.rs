//! One keyframe, and all that it takes to show it.

use crate::hub::{Event, Stream};
use bytes::{Bytes, BytesMut};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use weir_proto::fmp4::{Run, init_segment, write_fragment};
use weir_proto::media::{AccessUnit, Track, Tracks};

/// A picture that is not decoded yet.
#[derive(Clone, Debug)]
pub(super) struct Still {
    track: Track,
    unit: AccessUnit,
    /// How much of the stream there was behind it, in milliseconds.
    age_ms: i64,
}

impl Still {
    /// None if the access unit is no keyframe of a video track.
    pub(super) fn new(tracks: &Tracks, unit: &AccessUnit) -> Option<Self> {
        let (number, track) = tracks.video()?;
        (unit.track == number && unit.keyframe).then(|| Self {
            track: track.clone(),
            unit: unit.clone(),
            age_ms: 0,
        })
    }

    /// The newest keyframe of a stream that runs; waits for it. None if the stream has no video, or ends.
    pub(super) async fn newest(stream: &Arc<Stream>) -> Option<Self> {
        let mut subscriber = stream.read();
        let mut tracks = Tracks::default();
        let mut still = loop {
            match subscriber.next().await {
                Event::Tracks(now) => {
                    now.video()?;
                    tracks = now;
                }
                Event::Unit(unit) => {
                    if let Some(still) = Self::new(&tracks, &unit) {
                        break still;
                    }
                }
                Event::Skipped(_) => {}
                Event::Ended => return None,
            }
        };
        // What else is at hand came after it.
        let mut last = still.unit.dts;
        while let Some(event) = subscriber.try_next() {
            match event {
                Event::Unit(unit) if unit.track == still.unit.track => last = unit.dts,
                Event::Unit(_) | Event::Skipped(_) => {}
                Event::Tracks(_) | Event::Ended => break,
            }
        }
        still.age_ms = i64::try_from(last.since(still.unit.dts).as_millis()).unwrap_or(0);
        Some(still)
    }

    /// When it was seen, as of now; in milliseconds since 1970.
    pub(super) fn seen_ms(&self) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now.as_millis() as i64 - self.age_ms
    }

    /// An MP4 of this one picture.
    pub(super) fn to_mp4(&self) -> Bytes {
        let tracks = Tracks::new([self.track.clone()]);
        let mut unit = self.unit.clone();
        unit.track = 0;
        let run = Run {
            track: 0,
            samples: std::slice::from_ref(&unit),
            end: unit.dts.offset(i64::from(self.track.clock_rate.max(1))),
            mark_keyframes: true,
        };
        let init = init_segment(&tracks);
        let mut mp4 = BytesMut::with_capacity(init.len() + unit.data.len() + 512);
        mp4.extend_from_slice(&init);
        write_fragment(1, &[run], &mut mp4);
        mp4.freeze()
    }
}
