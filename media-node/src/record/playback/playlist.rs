//! HLS of a range, and the bytes of the segments that it lists.

use super::head::Head;
use super::{JOINED_MS, Playback, PlaybackError};
use crate::store::object;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use std::ops::Range;
use weir_proto::fmp4;
use weir_proto::media::{Timestamp, Tracks};
use weir_recording::cover::{Covered, cover};
use weir_recording::playlist::{self, Entry, Kind};
use weir_recording::{SegmentFacts, SegmentKey};

/// Of a range that is longer, HLS lists segments whole.
const FINE_MS: i64 = 3 * 3_600_000;
/// What a segment of HLS lasts at least, where it is less than the whole.
const ENTRY_MS: i64 = 6_000;

impl Playback {
    /// A playlist of a range; none if there is no footage in it. `link` gives the URI of a segment's object.
    pub async fn playlist(
        &self,
        camera_uid: &str,
        from_ms: i64,
        to_ms: i64,
        link: impl Fn(&SegmentKey) -> String + Send + Sync,
    ) -> Result<Option<String>, PlaybackError> {
        let segments = self.segments(camera_uid, from_ms, to_ms).await?;
        let covered = cover(&segments, from_ms, to_ms);
        if covered.is_empty() {
            return Ok(None);
        }
        let mut entries: Vec<Entry> = Vec::new();
        if to_ms - from_ms > FINE_MS {
            entries.extend(covered.iter().map(|part| whole_entry(part.segment, &link)));
        } else {
            let bucket = self.bucket()?;
            let shown = self.heads.of(&bucket, covered.clone()).await?;
            // The same parameters make the same init segment, so that the first one's serves for all.
            let mut init: Option<(String, u64, &Tracks)> = None;
            for (part, head) in &shown {
                if init.as_ref().is_none_or(|(_, _, tracks)| **tracks != head.tracks) {
                    let uri = link(&part.segment.key());
                    init = Some((uri, part.segment.init_bytes, &head.tracks));
                }
                let mut some = fine_entries(part, head, (from_ms, to_ms), &link);
                if let Some((uri, bytes, _)) = &init {
                    for entry in &mut some {
                        entry.init_uri.clone_from(uri);
                        entry.init_bytes = *bytes;
                    }
                }
                entries.append(&mut some);
            }
        }
        mark_breaks(&mut entries, &covered, &link);
        Ok((!entries.is_empty()).then(|| playlist::render(Kind::Vod, &entries)))
    }

    /// A range of a stored segment's bytes, as they come, and the object's size.
    pub async fn segment(
        &self,
        key: &SegmentKey,
        range: impl FnOnce(u64) -> Option<Range<u64>> + Send,
    ) -> Result<Option<(u64, Range<u64>, BoxStream<'static, Result<Bytes, object::Error>>)>, PlaybackError>
    {
        let bucket = self.bucket()?;
        let key = key.to_string();
        let Some(head) = bucket.head(&key).await? else {
            self.heads.forget(&key);
            return Ok(None);
        };
        let Some(range) = range(head.bytes) else {
            return Ok(Some((head.bytes, 0..0, stream::empty().boxed())));
        };
        let body = bucket.stream(&key, range.clone()).await?;
        Ok(Some((head.bytes, range, object::chunks(body))))
    }
}

/// Where one segment's entries end and the next one's begin, times or parameters may break off.
fn mark_breaks(entries: &mut [Entry], covered: &[Covered<'_>], link: &impl Fn(&SegmentKey) -> String) {
    let mut before: Option<&SegmentFacts> = None;
    let mut parts = covered.iter();
    let mut last_uri = String::new();
    for entry in entries {
        if entry.uri == last_uri {
            continue;
        }
        last_uri.clone_from(&entry.uri);
        // Segments of which nothing is listed are passed over.
        let segment = parts
            .find(|part| link(&part.segment.key()) == last_uri)
            .map(|part| part.segment);
        entry.discontinuity = match (before, segment) {
            (Some(before), Some(now)) => {
                before.session != now.session
                    || before.tracks != now.tracks
                    || (now.start_ms - before.end_ms).abs() > JOINED_MS
            }
            _ => true,
        };
        before = segment;
    }
}

fn whole_entry(segment: &SegmentFacts, link: &impl Fn(&SegmentKey) -> String) -> Entry {
    Entry {
        uri: link(&segment.key()),
        init_uri: link(&segment.key()),
        start_ms: segment.start_ms,
        duration_ms: segment.end_ms - segment.start_ms,
        offset: segment.init_bytes,
        bytes: segment.table_offset - segment.init_bytes,
        init_bytes: segment.init_bytes,
        discontinuity: false,
    }
}

/// Runs of GOPs, as far as they are in the range and count.
fn fine_entries(
    part: &Covered<'_>,
    head: &Head,
    (from_ms, to_ms): (i64, i64),
    link: &impl Fn(&SegmentKey) -> String,
) -> Vec<Entry> {
    let segment = part.segment;
    let main = fmp4::main_track(&head.tracks);
    let rate = head.tracks.get(main).map_or(1, |track| track.clock_rate.max(1));
    let Some(zero) = head
        .fragments
        .iter()
        .find_map(|f| f.run(main))
        .map(|run| run.base_decode_time)
    else {
        return Vec::new();
    };
    let uri = link(&segment.key());
    let mut entries: Vec<Entry> = Vec::new();
    for fragment in &head.fragments {
        let Some(run) = fragment.run(main) else {
            // Sound without pictures belongs to what is before it.
            if let Some(last) = entries.last_mut()
                && last.offset + last.bytes == fragment.offset
            {
                last.bytes += fragment.bytes;
            }
            continue;
        };
        let after = Timestamp::new(run.base_decode_time as i64 - zero as i64, rate);
        let start_ms = segment.start_ms + after.as_millis();
        let duration_ms = Timestamp::new(run.duration() as i64, rate).as_millis();
        let middle_ms = start_ms + duration_ms / 2;
        if middle_ms < part.from_ms || middle_ms >= part.to_ms || start_ms >= to_ms {
            continue;
        }
        let keyframe = run.samples.first().is_some_and(|sample| sample.keyframe);
        match entries.last_mut() {
            Some(last)
                if (!keyframe || last.duration_ms < ENTRY_MS)
                    && last.offset + last.bytes == fragment.offset =>
            {
                last.bytes += fragment.bytes;
                last.duration_ms = start_ms + duration_ms - last.start_ms;
            }
            _ => entries.push(Entry {
                uri: uri.clone(),
                init_uri: uri.clone(),
                start_ms,
                duration_ms,
                offset: fragment.offset,
                bytes: fragment.bytes,
                init_bytes: segment.init_bytes,
                discontinuity: false,
            }),
        }
    }
    entries.retain(|entry| entry.start_ms + entry.duration_ms > from_ms);
    entries
}

#[cfg(test)]
mod tests {
    use super::super::head::tests::made_up;
    use super::*;

    #[test]
    fn entries_keep_sound_that_goes_on_alone() {
        let mut head = made_up();
        // The second fragment has no pictures, and the third begins before the first.
        head.fragments[1].runs[0].track = 1;
        head.fragments[1].offset = 1200;
        head.fragments[2].runs[0].base_decode_time = 6_000_000;
        let segment = SegmentFacts {
            start_ms: 50_000,
            end_ms: 56_000,
            ..SegmentFacts::default()
        };
        let part = Covered {
            segment: &segment,
            from_ms: 0,
            to_ms: 100_000,
        };
        let entries = fine_entries(&part, &head, (0, 100_000), &|key: &SegmentKey| key.to_string());
        assert_eq!(
            (entries[0].start_ms, entries[0].offset, entries[0].bytes),
            (50_000, 800, 800)
        );
    }
}
