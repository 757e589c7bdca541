//! What is said of a stored segment: in its object's metadata, so that the bucket tells all; and in the index.

use crate::key::SegmentKey;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use weir_proto::fmp4::{Fragment, Scanned, main_track};
use weir_proto::media::{Timestamp, Track, Tracks};

/// What a segment is and where in it things are. As JSON in the index and the spool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SegmentFacts {
    pub camera_uid: String,
    /// Name of the Camera when it was recorded; empty if nobody knows any more.
    pub camera: String,
    /// Its stream's path, likewise.
    pub path: String,
    /// When its first picture is shown, and its last one ends. Milliseconds since 1970.
    pub start_ms: i64,
    pub end_ms: i64,
    pub epoch: u64,
    /// Timestamps of segments of one session compare.
    pub session: u64,
    pub sequence: u32,
    /// Of the object.
    pub bytes: u64,
    /// `ftyp` and `moov`, at its front.
    pub init_bytes: u64,
    /// Where the trailing table begins, which ends the object.
    pub table_offset: u64,
    /// Of the main track.
    pub frames: u32,
    pub keyframes: u32,
    pub tracks: Vec<TrackFacts>,
}

/// One track of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrackFacts {
    /// `H264`, for example.
    pub codec: String,
    /// Hz.
    pub clock_rate: u32,
    /// Pixels; 0 for sound.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub width: u16,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub height: u16,
}

/// Metadata that can't be what this module wrote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the object's metadata {0:?} is missing or wrong")]
pub struct MetadataError(pub &'static str);

impl MetadataError {
    /// It is another segment's: the object was copied to where that one is not.
    pub fn is_of_another(&self) -> bool {
        self.0 == KEY
    }
}

const KEY: &str = "weir-key";
const CAMERA: &str = "weir-camera";
const PATH: &str = "weir-path";
const END: &str = "weir-end-ms";
const BYTES: &str = "weir-bytes";
const INIT: &str = "weir-init-bytes";
const TABLE: &str = "weir-table-offset";
const FRAMES: &str = "weir-frames";
const KEYFRAMES: &str = "weir-keyframes";
const TRACKS: &str = "weir-tracks";
/// Longer names are cut: a store takes 2 KiB of metadata in all.
const MOST_NAME: usize = 512;
/// No segment is longer: a day. One that were would be shown in place of all that others have of that time.
const LONGEST_MS: i64 = 86_400_000;
/// What a header may hold, and stores give back as it was.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'%')
    .add(b'"')
    .add(b'\\')
    .add(b',')
    .add(b';');

impl SegmentFacts {
    /// Of a file of `bytes` that was scanned; its table begins where the scan ended.
    pub fn of(
        key: &SegmentKey,
        scanned: &Scanned,
        camera: &str,
        path: &str,
        end_ms: i64,
        bytes: u64,
    ) -> Self {
        let main = main_track(&scanned.tracks);
        let samples = scanned
            .fragments
            .iter()
            .filter_map(|fragment| fragment.run(main))
            .flat_map(|run| &run.samples);
        Self {
            camera_uid: key.camera_uid.clone(),
            camera: camera.to_owned(),
            path: path.to_owned(),
            start_ms: key.start_ms,
            end_ms,
            epoch: key.epoch,
            session: key.session,
            sequence: key.sequence,
            bytes,
            init_bytes: scanned.init.end,
            table_offset: scanned.whole_bytes,
            frames: samples.clone().count() as u32,
            keyframes: samples.filter(|sample| sample.keyframe).count() as u32,
            tracks: scanned.tracks.iter().map(TrackFacts::of).collect(),
        }
    }

    pub fn key(&self) -> SegmentKey {
        SegmentKey {
            camera_uid: self.camera_uid.clone(),
            start_ms: self.start_ms,
            epoch: self.epoch,
            session: self.session,
            sequence: self.sequence,
        }
    }

    /// What the key doesn't say, and the key itself, which tells a copy: names in lower case, values in ASCII.
    pub fn to_metadata(&self) -> BTreeMap<String, String> {
        let name = |text: &str| {
            let mut encoded = utf8_percent_encode(text, ENCODED).to_string();
            if encoded.len() > MOST_NAME {
                let cut = (MOST_NAME - 2..=MOST_NAME).find(|end| !encoded[..*end].ends_with('%'));
                encoded.truncate(cut.unwrap_or(MOST_NAME));
            }
            encoded
        };
        let tracks: Vec<String> = self.tracks.iter().map(TrackFacts::to_text).collect();
        [
            (KEY, self.key().to_string()),
            (CAMERA, name(&self.camera)),
            (PATH, name(&self.path)),
            (END, self.end_ms.to_string()),
            (BYTES, self.bytes.to_string()),
            (INIT, self.init_bytes.to_string()),
            (TABLE, self.table_offset.to_string()),
            (FRAMES, self.frames.to_string()),
            (KEYFRAMES, self.keyframes.to_string()),
            (TRACKS, tracks.join(";")),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
    }

    /// From an object's key, size and metadata.
    ///
    /// # Errors
    /// Something is missing, or doesn't fit the rest: the object is another's, cut short, or was copied without its metadata.
    pub fn from_metadata(
        key: &SegmentKey,
        bytes: u64,
        metadata: &BTreeMap<String, String>,
    ) -> Result<Self, MetadataError> {
        let text = |name: &'static str| metadata.get(name).ok_or(MetadataError(name));
        let name = |name: &'static str| {
            let text = percent_decode_str(text(name)?).decode_utf8_lossy();
            Ok::<_, MetadataError>(text.into_owned())
        };
        fn number<T: std::str::FromStr>(text: &str, name: &'static str) -> Result<T, MetadataError> {
            text.parse().map_err(|_| MetadataError(name))
        }
        let facts = Self {
            camera_uid: key.camera_uid.clone(),
            camera: name(CAMERA)?,
            path: name(PATH)?,
            start_ms: key.start_ms,
            end_ms: number(text(END)?, END)?,
            epoch: key.epoch,
            session: key.session,
            sequence: key.sequence,
            bytes,
            init_bytes: number(text(INIT)?, INIT)?,
            table_offset: number(text(TABLE)?, TABLE)?,
            frames: number(text(FRAMES)?, FRAMES)?,
            keyframes: number(text(KEYFRAMES)?, KEYFRAMES)?,
            tracks: text(TRACKS)?
                .split(';')
                .filter(|text| !text.is_empty())
                .map(|text| TrackFacts::parse(text).ok_or(MetadataError(TRACKS)))
                .collect::<Result<_, _>>()?,
        };
        // Objects that were stored before it was written lack it.
        if metadata.get(KEY).is_some_and(|told| *told != key.to_string()) {
            return Err(MetadataError(KEY));
        }
        if number::<u64>(text(BYTES)?, BYTES)? != bytes {
            return Err(MetadataError(BYTES));
        }
        let length_ms = facts.end_ms.saturating_sub(facts.start_ms);
        if !(1..=LONGEST_MS).contains(&length_ms) {
            return Err(MetadataError(END));
        }
        if facts.init_bytes == 0 || facts.init_bytes > facts.table_offset || facts.table_offset >= bytes {
            return Err(MetadataError(TABLE));
        }
        Ok(facts)
    }
}

impl TrackFacts {
    fn of(track: &Track) -> Self {
        let (width, height) = track.codec.size().unwrap_or_default();
        Self {
            codec: track.codec.codec().to_string(),
            clock_rate: track.clock_rate,
            width,
            height,
        }
    }

    fn to_text(&self) -> String {
        format!(
            "{},{},{},{}",
            self.codec, self.clock_rate, self.width, self.height
        )
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(',');
        let codec = parts.next().filter(|codec| !codec.is_empty())?.to_owned();
        let track = Self {
            codec,
            clock_rate: parts.next()?.parse().ok()?,
            width: parts.next()?.parse().ok()?,
            height: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(track)
    }
}

/// How long the main track is.
pub fn extent(tracks: &Tracks, fragments: &[Fragment]) -> Duration {
    let number = main_track(tracks);
    let Some(track) = tracks.get(number) else {
        return Duration::ZERO;
    };
    let mut runs = fragments.iter().filter_map(|fragment| fragment.run(number));
    let Some(first) = runs.next() else {
        return Duration::ZERO;
    };
    let end = runs.next_back().unwrap_or(first).end_decode_time();
    let at = |ticks: u64| Timestamp::new(ticks as i64, track.clock_rate);
    at(end).since(at(first.base_decode_time))
}

fn is_zero(number: &u16) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> SegmentFacts {
        SegmentFacts {
            camera_uid: "0a-1b".to_owned(),
            camera: "前门; 100%, \"a\"".to_owned(),
            path: "a/front door".to_owned(),
            start_ms: 1_767_603_600_123,
            end_ms: 1_767_603_660_123,
            epoch: 7,
            session: u64::MAX,
            sequence: 3,
            bytes: 10_000,
            init_bytes: 900,
            table_offset: 9_000,
            frames: 1500,
            keyframes: 30,
            tracks: vec![
                TrackFacts {
                    codec: "H264".to_owned(),
                    clock_rate: 90_000,
                    width: 1920,
                    height: 1080,
                },
                TrackFacts {
                    codec: "AAC".to_owned(),
                    clock_rate: 48_000,
                    width: 0,
                    height: 0,
                },
            ],
        }
    }

    #[test]
    fn there_and_back() {
        let metadata = facts().to_metadata();
        assert!(
            metadata
                .values()
                .all(|value| value.bytes().all(|b| b.is_ascii_graphic())),
            "{metadata:?}"
        );
        let back = SegmentFacts::from_metadata(&facts().key(), 10_000, &metadata);
        assert_eq!(back, Ok(facts()));
        let json = serde_json::to_string(&facts()).expect("JSON");
        assert_eq!(
            serde_json::from_str::<SegmentFacts>(&json).expect("facts"),
            facts()
        );
    }

    #[test]
    fn long_names_are_cut_and_stay_readable() {
        let mut long = facts();
        long.camera = "门".repeat(500);
        let metadata = long.to_metadata();
        let bytes: usize = metadata.iter().map(|(k, v)| k.len() + v.len()).sum();
        assert!(bytes < 2048, "{bytes}");
        let back = SegmentFacts::from_metadata(&long.key(), 10_000, &metadata).expect("facts");
        assert!(back.camera.starts_with("门门门"));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let good = facts().to_metadata();
        for name in good.keys().filter(|name| *name != KEY) {
            let mut without = good.clone();
            without.remove(name);
            let error = SegmentFacts::from_metadata(&facts().key(), 10_000, &without).expect_err(name);
            assert_eq!(error.0, name);
        }
        for (name, value) in [
            (END, "0"),
            (END, "x"),
            (END, "1767690000124"),
            (END, "9223372036854775807"),
            (TABLE, "10000"),
            (TABLE, "800"),
            (INIT, "0"),
            (TRACKS, "H264"),
            (TRACKS, "H264,90000,1,2,3"),
        ] {
            let mut bad = good.clone();
            bad.insert(name.to_owned(), value.to_owned());
            assert!(
                SegmentFacts::from_metadata(&facts().key(), 10_000, &bad).is_err(),
                "{name} {value}"
            );
        }
        // A copy of another segment, which would last until that one's end.
        let mut earlier = facts();
        earlier.start_ms -= 3_600_000;
        let error = SegmentFacts::from_metadata(&earlier.key(), 10_000, &good).expect_err("a copy");
        assert!(error.is_of_another());
        // One that was stored before keys were written.
        let mut older = good.clone();
        older.remove(KEY);
        assert_eq!(
            SegmentFacts::from_metadata(&facts().key(), 10_000, &older),
            Ok(facts())
        );
        // Cut short.
        assert!(SegmentFacts::from_metadata(&facts().key(), 9_000, &good).is_err());
    }
}
