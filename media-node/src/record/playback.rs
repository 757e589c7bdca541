//! Footage that is stored: found in the index, read from the bucket, shown as MP4 or HLS of any range.

use super::still::Still;
use crate::store::object::{self, Bucket};
use crate::store::sql::{self, Database};
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::watch;
use tracing::warn;
use weir_proto::fmp4::{self, Fragment};
use weir_proto::media::{AccessUnit, Timestamp, Tracks};
use weir_recording::cover::{Covered, cover};
use weir_recording::playlist::{self, Entry, Kind};
use weir_recording::virtual_mp4::{self, Part, Source, VirtualMp4};
use weir_recording::{SegmentFacts, SegmentKey};

/// Segments that one answer is made of: a week of minutes.
const MOST_SEGMENTS: u64 = 10_080;
/// Heads of segments that are read at once.
const AT_ONCE: usize = 32;
/// Heads of segments that are kept: some 20 KiB each.
const KEPT: usize = 512;
/// Of a range that is longer, HLS lists segments whole.
const FINE_MS: i64 = 3 * 3_600_000;
/// What a segment of HLS lasts at least, where it is less than the whole.
const ENTRY_MS: i64 = 6_000;
/// Clocks and ways of two writers differ by less.
const APART_MS: i64 = 500;
/// Footage that is less apart plays on without a break.
const JOINED_MS: i64 = 500;

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlaybackError {
    #[error("no object store is configured: write spec.storage into the MediaPool")]
    NoBucket,
    #[error("the object store failed")]
    Store(#[from] object::Error),
    #[error("the index failed")]
    Index(#[from] sql::Error),
    #[error("segment {key} can't be read: {what}")]
    Damaged { key: String, what: String },
    #[error("the range has more than {MOST_SEGMENTS} segments: ask for less")]
    TooLong,
    #[error(transparent)]
    File(#[from] virtual_mp4::Error),
}

/// Reads what is stored. Cheap to clone.
#[derive(Clone)]
pub struct Playback(Arc<Shared>);

struct Shared {
    index: Database,
    bucket: watch::Receiver<Option<Bucket>>,
    heads: Mutex<HashMap<String, Arc<Head>>>,
}

/// All of a segment but its media.
struct Head {
    tracks: Tracks,
    fragments: Vec<Fragment>,
}

/// A virtual MP4, and where its bytes are.
pub struct Footage {
    file: VirtualMp4,
    playback: Playback,
    bucket: Bucket,
    /// Keys of the objects, by source.
    keys: Vec<String>,
}

/// A span that has footage. Milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Span {
    pub start_ms: i64,
    pub end_ms: i64,
}

impl Playback {
    pub fn new(index: Database, bucket: watch::Receiver<Option<Bucket>>) -> Self {
        Self(Arc::new(Shared {
            index,
            bucket,
            heads: Mutex::default(),
        }))
    }

    /// What there is of a camera in a range: spans without a gap.
    pub async fn spans(
        &self,
        camera_uid: &str,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Vec<Span>, PlaybackError> {
        let segments = self.segments(camera_uid, from_ms, to_ms).await?;
        let mut spans: Vec<Span> = Vec::new();
        for part in cover(&segments, from_ms, to_ms) {
            let (start_ms, end_ms) = (part.from_ms.max(from_ms), part.to_ms.min(to_ms));
            match spans.last_mut() {
                Some(last) if start_ms - last.end_ms <= JOINED_MS => last.end_ms = end_ms.max(last.end_ms),
                _ => spans.push(Span { start_ms, end_ms }),
            }
        }
        Ok(spans)
    }

    /// An MP4 of a range; none if there is no footage in it.
    pub async fn mp4(
        &self,
        camera_uid: &str,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Option<Footage>, PlaybackError> {
        let segments = self.segments(camera_uid, from_ms, to_ms).await?;
        let covered = cover(&segments, from_ms, to_ms);
        if covered.is_empty() {
            return Ok(None);
        }
        let bucket = self.bucket()?;
        let shown = self.heads(&bucket, covered).await?;
        let sources: Vec<Source> = shown
            .iter()
            .map(|(part, head)| Source {
                tracks: head.tracks.clone(),
                session: part.segment.session,
                fragments: head.fragments.clone(),
                start_ms: part.segment.start_ms,
                from_ms: part.from_ms,
                to_ms: part.to_ms,
            })
            .collect();
        let keys = shown
            .iter()
            .map(|(part, _)| part.segment.key().to_string())
            .collect();
        let file = VirtualMp4::new(&sources, from_ms, to_ms)?;
        Ok(file.map(|file| Footage {
            file,
            playback: self.clone(),
            bucket,
            keys,
        }))
    }

    /// The keyframe that is shown at a time, or the last before; none if there is no footage, or no video in it.
    pub(super) async fn still(&self, camera_uid: &str, at_ms: i64) -> Result<Option<Still>, PlaybackError> {
        let segments = self.segments(camera_uid, at_ms, at_ms.saturating_add(1)).await?;
        let Some(part) = cover(&segments, at_ms, at_ms.saturating_add(1)).pop() else {
            return Ok(None);
        };
        self.still_in(part.segment, at_ms).await
    }

    /// The newest keyframe that is stored.
    pub(super) async fn newest_still(&self, camera_uid: &str) -> Result<Option<Still>, PlaybackError> {
        let Some(newest) = self.0.index.newest_segment(camera_uid).await? else {
            return Ok(None);
        };
        self.still_in(&newest, i64::MAX).await
    }

    /// Reads that keyframe's bytes and no other media.
    async fn still_in(&self, segment: &SegmentFacts, at_ms: i64) -> Result<Option<Still>, PlaybackError> {
        let bucket = self.bucket()?;
        let head = self.clone().head(bucket.clone(), segment.clone()).await?;
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
            let shown = self.heads(&bucket, covered.clone()).await?;
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
        let mut before: Option<&SegmentFacts> = None;
        let mut parts = covered.iter().peekable();
        // Where one segment's entries end and the next one's begin, times or parameters may break off.
        let mut last_uri = String::new();
        for entry in &mut entries {
            if entry.uri != last_uri {
                last_uri.clone_from(&entry.uri);
                let segment = loop {
                    match parts.next() {
                        Some(part) if link(&part.segment.key()) == last_uri => break Some(part.segment),
                        Some(_) => {}
                        None => break None,
                    }
                };
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
            self.forget(&key);
            return Ok(None);
        };
        let Some(range) = range(head.bytes) else {
            return Ok(Some((head.bytes, 0..0, stream::empty().boxed())));
        };
        let body = bucket.stream(&key, range.clone()).await?;
        Ok(Some((head.bytes, range, object::chunks(body))))
    }

    async fn segments(
        &self,
        camera_uid: &str,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Vec<SegmentFacts>, PlaybackError> {
        let segments = self
            .0
            .index
            .segments(camera_uid, from_ms, to_ms, MOST_SEGMENTS + 1)
            .await?;
        if segments.len() as u64 > MOST_SEGMENTS {
            return Err(PlaybackError::TooLong);
        }
        Ok(segments)
    }

    fn bucket(&self) -> Result<Bucket, PlaybackError> {
        self.0.bucket.borrow().clone().ok_or(PlaybackError::NoBucket)
    }

    /// What is in the segments. Those that are missing or damaged are left out: the rest is shown, and they are a gap.
    async fn heads<'a>(
        &self,
        bucket: &Bucket,
        parts: Vec<Covered<'a>>,
    ) -> Result<Vec<(Covered<'a>, Arc<Head>)>, PlaybackError> {
        let reading: Vec<_> = parts
            .iter()
            .map(|part| self.clone().head(bucket.clone(), part.segment.clone()))
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

    async fn head(self, bucket: Bucket, segment: SegmentFacts) -> Result<Arc<Head>, PlaybackError> {
        let key = segment.key().to_string();
        if let Some(known) = self.0.heads.lock().get(&key) {
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
        let mut heads = self.0.heads.lock();
        if heads.len() >= KEPT {
            heads.clear();
        }
        heads.insert(key.clone(), head.clone());
        Ok(head)
    }

    /// Reading the object has failed: who asks next looks at it again.
    fn forget(&self, key: &str) {
        self.0.heads.lock().remove(key);
    }
}

impl Footage {
    /// Bytes of the file.
    pub fn len(&self) -> u64 {
        self.file.len()
    }

    pub fn is_empty(&self) -> bool {
        self.file.is_empty()
    }

    /// Milliseconds since 1970 at the file's time 0, and how long it is.
    pub const fn extent(&self) -> (i64, i64) {
        (self.file.start_ms, self.file.duration_ms)
    }

    /// A range of the file's bytes.
    pub fn read(&self, range: Range<u64>) -> BoxStream<'static, Result<Bytes, object::Error>> {
        let header = self.file.header().clone();
        // Pieces of one object lie behind each other, with little between: they are read in one go.
        let mut runs: Vec<Run> = Vec::new();
        for part in self.file.slice(range) {
            match (part, runs.last_mut()) {
                (Part::Header(range), _) => runs.push(Run::Header(header.slice(range))),
                (Part::Object(piece), Some(Run::Object { source, ranges })) if *source == piece.source => {
                    ranges.push(piece.range);
                }
                (Part::Object(piece), _) => runs.push(Run::Object {
                    source: piece.source,
                    ranges: vec![piece.range],
                }),
            }
        }
        let (playback, bucket, keys) = (self.playback.clone(), self.bucket.clone(), self.keys.clone());
        stream::iter(runs)
            .then(move |run| {
                let key = match &run {
                    Run::Object { source, .. } => keys.get(*source).cloned().unwrap_or_default(),
                    Run::Header(_) => String::new(),
                };
                let (playback, bucket) = (playback.clone(), bucket.clone());
                async move {
                    let ranges = match run {
                        Run::Header(bytes) => return Ok(stream::iter([Ok(bytes)]).boxed()),
                        Run::Object { ranges, .. } => ranges,
                    };
                    let read = read_ranges(&bucket, &key, ranges).await;
                    let read = read.inspect_err(|_| playback.forget(&key))?;
                    Ok(read.inspect_err(move |_| playback.forget(&key)).boxed())
                }
            })
            .try_flatten()
            .boxed()
    }
}

enum Run {
    Header(Bytes),
    Object { source: usize, ranges: Vec<Range<u64>> },
}

/// Reads from the first range to the last, and leaves out what is between them.
async fn read_ranges(
    bucket: &Bucket,
    key: &str,
    ranges: Vec<Range<u64>>,
) -> Result<BoxStream<'static, Result<Bytes, object::Error>>, object::Error> {
    let (Some(first), Some(last)) = (ranges.first(), ranges.last()) else {
        return Ok(stream::empty().boxed());
    };
    let whole = first.start..last.end;
    let body = object::chunks(bucket.stream(key, whole.clone()).await?);
    let (mut at, mut next) = (whole.start, 0);
    let kept = body.map_ok(move |chunk: Bytes| {
        let (start, end) = (at, at + chunk.len() as u64);
        at = end;
        let mut kept = Vec::new();
        while let Some(range) = ranges.get(next) {
            let (from, to) = (range.start.max(start), range.end.min(end));
            if from < to {
                kept.push(Ok(chunk.slice((from - start) as usize..(to - start) as usize)));
            }
            if range.end > end {
                break;
            }
            next += 1;
        }
        stream::iter(kept)
    });
    Ok(kept.try_flatten().boxed())
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
    use super::*;
    use weir_proto::fmp4::{Sample, SampleRun};
    use weir_proto::media::codec::h264;
    use weir_proto::media::{CodecParameters, Track};

    #[test]
    fn entries_keep_sound_that_goes_on_alone() {
        let mut head = head();
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

    /// Half a second a picture, every fourth a keyframe of 100 bytes, the others of 10; a fragment of two pictures
    /// each, at 1000, 2000, …
    fn head() -> Head {
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
                .map(|part| (part, Arc::new(head())))
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
            .map(|part| (part, Arc::new(head())))
            .collect();
        let before: Vec<_> = shown.iter().map(|(part, _)| part.to_ms).collect();
        meet_at_keyframes(&mut shown);
        assert_eq!(
            shown.iter().map(|(part, _)| part.to_ms).collect::<Vec<_>>(),
            before
        );
    }

    #[test]
    fn the_keyframe_at_a_time_or_before() {
        let segment = SegmentFacts {
            start_ms: 50_000,
            end_ms: 56_000,
            ..SegmentFacts::default()
        };
        let head = head();
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
