//! From access units to one fragment of fragmented MP4.

use super::Init;
use crate::fmp4::{self, Run};
use crate::media::{AccessUnit, CodecParameters, Timestamp, TrackKind, Tracks};
use bytes::{Bytes, BytesMut};

/// Gathers the access units of a segment, or of a part of one.
#[derive(Debug)]
pub(super) struct Fragmenter {
    init: Init,
    tracks: Tracks,
    /// The track whose times count.
    main_track: u8,
    /// By track.
    samples: Vec<Vec<AccessUnit>>,
}

impl Fragmenter {
    pub(super) fn new(tracks: &Tracks) -> Self {
        Self {
            init: Init::new(fmp4::init_segment(tracks)),
            tracks: tracks.clone(),
            main_track: main_track(tracks),
            samples: vec![Vec::new(); tracks.len()],
        }
    }

    pub(super) const fn init(&self) -> &Init {
        &self.init
    }

    pub(super) fn push(&mut self, au: &AccessUnit) {
        if let Some(samples) = self.samples.get_mut(usize::from(au.track)) {
            samples.push(au.clone());
        }
    }

    pub(super) fn clear(&mut self) {
        self.samples.iter_mut().for_each(Vec::clear);
    }

    /// The fragment; `end` is when the main track's next access unit is decoded.
    pub(super) fn finish(&mut self, sequence_number: u32, end: Timestamp) -> Bytes {
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
        fmp4::write_fragment(sequence_number, &runs, &mut out);
        self.clear();
        out.freeze()
    }
}

/// The first video track, or else the first.
pub(super) fn main_track(tracks: &Tracks) -> u8 {
    tracks.video().map_or(0, |(number, _)| number)
}
