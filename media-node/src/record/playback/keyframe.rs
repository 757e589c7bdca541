//! What was to be seen at a time: the keyframe, for one picture.

use super::super::still::Still;
use super::head::Head;
use super::{Playback, PlaybackError};
use std::ops::Range;
use weir_proto::media::{AccessUnit, Timestamp};
use weir_recording::SegmentFacts;
use weir_recording::cover::cover;

impl Playback {
    /// The keyframe that is shown at a time, or the last before; none if there is no footage, or no video in it.
    pub(in crate::record) async fn still(
        &self,
        camera_uid: &str,
        at_ms: i64,
    ) -> Result<Option<Still>, PlaybackError> {
        let segments = self.segments(camera_uid, at_ms, at_ms.saturating_add(1)).await?;
        let Some(part) = cover(&segments, at_ms, at_ms.saturating_add(1)).pop() else {
            return Ok(None);
        };
        self.still_in(part.segment, at_ms).await
    }

    /// The newest keyframe that is stored.
    pub(in crate::record) async fn newest_still(
        &self,
        camera_uid: &str,
    ) -> Result<Option<Still>, PlaybackError> {
        let Some(newest) = self.index.newest_segment(camera_uid).await? else {
            return Ok(None);
        };
        self.still_in(&newest, i64::MAX).await
    }

    /// Reads that keyframe's bytes and no other media.
    async fn still_in(&self, segment: &SegmentFacts, at_ms: i64) -> Result<Option<Still>, PlaybackError> {
        let bucket = self.bucket()?;
        let head = self.heads.clone().one(bucket.clone(), segment.clone()).await?;
        let Some(place) = keyframe(segment, &head, at_ms) else {
            return Ok(None);
        };
        let key = segment.key().to_string();
        let unit = AccessUnit {
            track: place.track,
            pts: place.pts,
            dts: place.dts,
            keyframe: true,
            segment: None,
            data: bucket.read(&key, place.bytes).await?,
        };
        Ok(Still::new(&head.tracks, &unit))
    }
}

/// Where a keyframe is.
struct Place {
    track: u8,
    pts: Timestamp,
    dts: Timestamp,
    /// In the object.
    bytes: Range<u64>,
}

/// The segment's last keyframe that is shown at `at_ms` or before, or else its first.
fn keyframe(segment: &SegmentFacts, head: &Head, at_ms: i64) -> Option<Place> {
    let (track, description) = head.tracks.video()?;
    let rate = description.clock_rate.max(1);
    let mut found: Option<Place> = None;
    let mut zero = None;
    for fragment in &head.fragments {
        let Some(run) = fragment.run(track) else { continue };
        let mut offset = run.data.start;
        let mut decoded = run.base_decode_time as i64;
        for sample in &run.samples {
            let (dts, bytes) = (decoded, offset..offset + u64::from(sample.size));
            decoded += i64::from(sample.duration);
            offset = bytes.end;
            if !sample.keyframe {
                continue;
            }
            let pts = dts + i64::from(sample.composition_offset);
            let zero = *zero.get_or_insert(pts);
            let shown_ms = segment.start_ms + Timestamp::new(pts - zero, rate).as_millis();
            if found.is_some() && shown_ms > at_ms {
                return found;
            }
            found = Some(Place {
                track,
                pts: Timestamp::new(pts, rate),
                dts: Timestamp::new(dts, rate),
                bytes,
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::head::tests::made_up;
    use super::*;
    use weir_proto::media::Tracks;

    #[test]
    fn the_keyframe_at_a_time_or_before() {
        let segment = SegmentFacts {
            start_ms: 50_000,
            end_ms: 56_000,
            ..SegmentFacts::default()
        };
        let head = made_up();
        for (at_ms, place) in [
            (i64::MIN, 1008),
            (49_000, 1008),
            (50_000, 1008),
            (51_999, 1008),
            (52_000, 3008),
            (53_999, 3008),
            (54_000, 5008),
            (i64::MAX, 5008),
        ] {
            let found = keyframe(&segment, &head, at_ms).expect("a keyframe");
            assert_eq!(found.bytes, place..place + 100, "at {at_ms}");
        }
        let silent = Head {
            tracks: Tracks::default(),
            fragments: Vec::new(),
        };
        assert!(keyframe(&segment, &silent, 0).is_none());
    }
}
