//! What is in a segment, and where: read from its object's two ends, and kept.

use super::PlaybackError;
use crate::store::object::{self, Bucket};
use futures::stream::{self, StreamExt};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tracing::warn;
use weir_proto::fmp4::{self, Fragment};
use weir_proto::media::Tracks;
use weir_recording::SegmentFacts;
use weir_recording::cover::Covered;

/// Heads of segments that are read at once.
const AT_ONCE: usize = 32;
/// Heads of segments that are kept: some 20 KiB each.
const KEPT: usize = 512;
/// Clocks and ways of two writers differ by less.
const APART_MS: i64 = 500;

/// All of a segment but its media.
pub(super) struct Head {
    pub(super) tracks: Tracks,
    pub(super) fragments: Vec<Fragment>,
}

/// The heads of segments that were asked for lately. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Heads(Arc<Mutex<HashMap<String, Arc<Head>>>>);

impl Heads {
    /// What is in the segments. Those that are missing or damaged are left out: the rest is shown, and they are a gap.
    pub(super) async fn of<'a>(
        &self,
        bucket: &Bucket,
        parts: Vec<Covered<'a>>,
    ) -> Result<Vec<(Covered<'a>, Arc<Head>)>, PlaybackError> {
        let reading: Vec<_> = parts
            .iter()
            .map(|part| self.clone().one(bucket.clone(), part.segment.clone()))
            .collect();
        let heads: Vec<_> = stream::iter(reading).buffered(AT_ONCE).collect().await;
        let mut shown = Vec::with_capacity(parts.len());
        for (part, head) in parts.into_iter().zip(heads) {
            match head {
                Ok(head) => shown.push((part, head)),
                Err(
                    error @ (PlaybackError::Damaged { .. } | PlaybackError::Store(object::Error::NotFound)),
                ) => {
                    metrics::counter!("weir_playback_missing_segments_total").increment(1);
                    warn!(segment = %part.segment.key(), %error, "a segment that the index lists can't be shown");
                }
                Err(error) => return Err(error),
            }
        }
        meet_at_keyframes(&mut shown);
        Ok(shown)
    }

    /// What is in this segment.
    pub(super) async fn one(self, bucket: Bucket, segment: SegmentFacts) -> Result<Arc<Head>, PlaybackError> {
        let key = segment.key().to_string();
        if let Some(known) = self.0.lock().get(&key) {
            return Ok(known.clone());
        }
        let damaged = |what: String| PlaybackError::Damaged {
            key: key.clone(),
            what,
        };
        let read = tokio::try_join!(
            bucket.read(&key, 0..segment.init_bytes),
            bucket.read(&key, segment.table_offset..segment.bytes),
        );
        let (init, table) = match read {
            Ok(read) => read,
            // The store may have a bad moment, or the object be another than was stored.
            Err(error @ (object::Error::Broken(_) | object::Error::Other(_))) => {
                return Err(match bucket.head(&key).await? {
                    Some(head) if head.bytes == segment.bytes => error.into(),
                    Some(head) => damaged(format!("it has {} of {} bytes", head.bytes, segment.bytes)),
                    None => object::Error::NotFound.into(),
                });
            }
            Err(error) => return Err(error.into()),
        };
        let scanned = fmp4::scan(&init).map_err(|error| damaged(error.to_string()))?;
        let fragments = fmp4::table::parse(&table).map_err(|error| damaged(error.to_string()))?;
        let head = Arc::new(Head {
            tracks: scanned.tracks,
            fragments,
        });
        let mut heads = self.0.lock();
        if heads.len() >= KEPT {
            heads.clear();
        }
        heads.insert(key.clone(), head.clone());
        Ok(head)
    }

    /// Reading the object has failed: who asks next looks at it again.
    pub(super) fn forget(&self, key: &str) {
        self.0.lock().remove(key);
    }
}

/// Where another writer's segment takes over, it does so with a keyframe, which the former has too: the former counts up to
/// just that one, by its own clock. Else what the clocks differ by would be missing, or come twice.
fn meet_at_keyframes(shown: &mut [(Covered<'_>, Arc<Head>)]) {
    for number in 1..shown.len() {
        let (before, after) = shown.split_at_mut(number);
        let (Some((part, head)), Some((next, _))) = (before.last_mut(), after.first()) else {
            return;
        };
        let takes_over = next.segment.session != part.segment.session
            && part.to_ms == next.from_ms
            && next.from_ms == next.segment.start_ms;
        if takes_over && let Some(at) = nearest_keyframe(part.segment, head, part.to_ms) {
            part.to_ms = at;
        }
    }
}

/// When the segment's fragment begins that begins with a keyframe and is nearest to `at_ms`; none where that is far.
fn nearest_keyframe(segment: &SegmentFacts, head: &Head, at_ms: i64) -> Option<i64> {
    let main = fmp4::main_track(&head.tracks);
    let rate = i64::from(head.tracks.get(main)?.clock_rate.max(1));
    let mut runs = head.fragments.iter().filter_map(|f| f.run(main)).peekable();
    let zero = runs.peek()?.base_decode_time;
    runs.filter(|run| run.samples.first().is_some_and(|sample| sample.keyframe))
        .map(|run| segment.start_ms + (run.base_decode_time - zero) as i64 * 1000 / rate)
        .min_by_key(|start| (start - at_ms).abs())
        .filter(|start| (start - at_ms).abs() < APART_MS)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use bytes::Bytes;
    use weir_proto::fmp4::{Sample, SampleRun};
    use weir_proto::media::codec::h264;
    use weir_proto::media::{CodecParameters, Track};
    use weir_recording::cover::cover;

    /// Half a second a picture, every fourth a keyframe of 100 bytes, the others of 10; a fragment of two pictures
    /// each, at 1000, 2000, …
    pub(in super::super) fn made_up() -> Head {
        let video = h264::Parameters {
            sps: Bytes::new(),
            pps: Bytes::new(),
            width: 1280,
            height: 720,
            frame_rate: None,
        };
        let sample = |number: u32| Sample {
            duration: 45_000,
            size: if number.is_multiple_of(4) { 100 } else { 10 },
            // Shown later than it is decoded, as with pictures that are reordered.
            composition_offset: 3000,
            keyframe: number.is_multiple_of(4),
        };
        let fragment = |number: u32| {
            let start = u64::from(number + 1) * 1000;
            Fragment {
                offset: start - 200,
                bytes: 400,
                payload: start..start + 200,
                runs: vec![SampleRun {
                    track: 0,
                    base_decode_time: 7_000_000 + u64::from(number) * 90_000,
                    samples: vec![sample(2 * number), sample(2 * number + 1)],
                    data: start + 8..start + 200,
                }],
            }
        };
        Head {
            tracks: Tracks::new([Track {
                codec: CodecParameters::H264(video),
                clock_rate: 90_000,
            }]),
            fragments: (0..6).map(fragment).collect(),
        }
    }

    #[test]
    fn writers_meet_at_the_keyframe_that_both_have() {
        let one = SegmentFacts {
            session: 1,
            epoch: 1,
            start_ms: 50_000,
            end_ms: 56_000,
            ..SegmentFacts::default()
        };
        for (start_ms, meets_ms) in [
            (52_000, 52_000),
            (52_400, 52_000),
            (51_600, 52_000),
            (53_990, 54_000),
            // The former was without it.
            (53_000, 53_000),
        ] {
            let other = SegmentFacts {
                session: 2,
                epoch: 2,
                start_ms,
                end_ms: 60_000,
                ..SegmentFacts::default()
            };
            let both = [one.clone(), other];
            let mut shown: Vec<_> = cover(&both, 0, 100_000)
                .into_iter()
                .map(|part| (part, Arc::new(made_up())))
                .collect();
            meet_at_keyframes(&mut shown);
            let parts: Vec<_> = shown.iter().map(|(part, _)| (part.from_ms, part.to_ms)).collect();
            assert_eq!(parts, [(50_000, meets_ms), (start_ms, 60_000)]);
        }
        // Of one session, it is the next segment that begins.
        let next = SegmentFacts {
            start_ms: 55_900,
            end_ms: 60_000,
            ..one.clone()
        };
        let both = [one, next];
        let mut shown: Vec<_> = cover(&both, 0, 100_000)
            .into_iter()
            .map(|part| (part, Arc::new(made_up())))
            .collect();
        let before: Vec<_> = shown.iter().map(|(part, _)| part.to_ms).collect();
        meet_at_keyframes(&mut shown);
        assert_eq!(
            shown.iter().map(|(part, _)| part.to_ms).collect::<Vec<_>>(),
            before
        );
    }
}
