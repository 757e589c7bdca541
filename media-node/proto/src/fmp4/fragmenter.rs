//! From access units to fragments.

use super::{Run, write_fragment};
use crate::media::{AccessUnit, CodecParameters, Timestamp, TrackKind, Tracks};
use bytes::{Bytes, BytesMut};
use std::time::Duration;

/// Gathers the access units of one fragment after the other. When a fragment ends is the caller's to say.
#[derive(Debug)]
pub struct Fragmenter {
    tracks: Tracks,
    main_track: u8,
    /// By track.
    samples: Vec<Vec<AccessUnit>>,
}

impl Fragmenter {
    pub fn new(tracks: &Tracks) -> Self {
        Self {
            tracks: tracks.clone(),
            main_track: main_track(tracks),
            samples: vec![Vec::new(); tracks.len()],
        }
    }

    /// Access units of tracks that don't exist are left out.
    pub fn push(&mut self, au: &AccessUnit) {
        if let Some(samples) = self.samples.get_mut(usize::from(au.track)) {
            samples.push(au.clone());
        }
    }

    pub fn clear(&mut self) {
        self.samples.iter_mut().for_each(Vec::clear);
    }

    pub fn is_empty(&self) -> bool {
        self.samples.iter().all(Vec::is_empty)
    }

    /// From the first access unit of a track to its last.
    pub fn span(&self, track: u8) -> Duration {
        let samples = self.samples.get(usize::from(track));
        let ends = samples.and_then(|samples| Some((samples.first()?, samples.last()?)));
        ends.map_or(Duration::ZERO, |(first, last)| last.dts.since(first.dts))
    }

    /// The fragment; `end` is when the main track's next access unit is decoded.
    pub fn finish(&mut self, sequence_number: u32, end: Timestamp) -> Bytes {
        let runs: Vec<Run<'_>> = (0_u8..)
            .zip(self.samples.iter().zip(&self.tracks))
            .filter_map(|(track, (samples, description))| {
                let last = samples.last()?;
                let end = match &description.codec {
                    _ if track == self.main_track => end,
                    CodecParameters::Aac(p) => last.dts.offset(i64::from(p.samples_per_access_unit())),
                    // One byte a sample and channel.
                    CodecParameters::G711(p) => last
                        .dts
                        .offset((last.data.len() / usize::from(p.channels.max(1))) as i64),
                    CodecParameters::H264(_) | CodecParameters::H265(_) => end,
                };
                let mark_keyframes = description.kind() == TrackKind::Video;
                Some(Run {
                    track,
                    samples,
                    end,
                    mark_keyframes,
                })
            })
            .collect();
        let mut out = BytesMut::new();
        write_fragment(sequence_number, &runs, &mut out);
        self.clear();
        out.freeze()
    }
}

/// The track whose times count: the first video track, or else the first.
pub fn main_track(tracks: &Tracks) -> u8 {
    tracks.video().map_or(0, |(number, _)| number)
}
