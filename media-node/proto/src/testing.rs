//! Real media for tests, of this crate and of those that use it: the clips of `testdata/`.

use crate::media::{AccessUnit, CodecParameters, Track, Tracks};
use crate::mp4;
use bytes::Bytes;
use std::ops::Range;

/// `clip_h264_aac.mp4`: 4 s, GOPs of 25 pictures with B-frames, moov at the end.
pub const H264_AAC_MP4: &[u8] = include_bytes!("../testdata/clip_h264_aac.mp4");
/// `clip_h265_aac.mp4`: the same in H.265, moov at the start.
pub const H265_AAC_MP4: &[u8] = include_bytes!("../testdata/clip_h265_aac.mp4");

/// A stream in memory.
#[derive(Clone, Debug)]
pub struct Clip {
    pub tracks: Tracks,
    /// In the order of decoding times, as an ingest would publish them; no segment numbers.
    pub access_units: Vec<AccessUnit>,
}

/// H.264 and AAC, 100 pictures from 4 GOPs.
pub fn h264_aac() -> Clip {
    clip(H264_AAC_MP4)
}

/// H.265 and AAC, 100 pictures from 4 GOPs.
pub fn h265_aac() -> Clip {
    clip(H265_AAC_MP4)
}

/// Lets a segment start at every keyframe, counted from `first`.
pub fn number_segments(clip: &mut Clip, first: u64) {
    let keyframes = clip.access_units.iter_mut().filter(|au| au.keyframe);
    for (number, au) in (first..).zip(keyframes) {
        au.segment = Some(number.into());
    }
}

impl Clip {
    /// Only the tracks that `keep` wants, renumbered.
    #[must_use]
    pub fn only(self, keep: impl Fn(&Track) -> bool) -> Self {
        let kept: Vec<u8> = (0_u8..)
            .zip(&self.tracks)
            .filter(|(_, track)| keep(track))
            .map(|(number, _)| number)
            .collect();
        let has_video = kept
            .iter()
            .any(|number| Some(*number) == self.tracks.video().map(|(n, _)| n));
        let tracks = Tracks::new(kept.iter().filter_map(|number| self.tracks.get(*number).cloned()));
        let access_units = self.access_units.into_iter().filter_map(|au| {
            let track = kept.iter().position(|number| *number == au.track)? as u8;
            let keyframe = au.keyframe || !has_video;
            Some(AccessUnit {
                track,
                keyframe,
                ..au
            })
        });
        let access_units = access_units.collect();
        Self { tracks, access_units }
    }
}

/// Where the payload of `moov` is.
pub(crate) fn find_moov(file: &[u8]) -> Result<Range<usize>, mp4::Error> {
    let mut finder = mp4::MoovFinder::new(file.len() as u64);
    loop {
        let wanted = finder.wanted();
        let wanted = wanted.start as usize..wanted.end as usize;
        if let Some(found) = finder.push(file.get(wanted).unwrap_or_default())? {
            return Ok(found.start as usize..found.end as usize);
        }
    }
}

fn clip(file: &'static [u8]) -> Clip {
    let file = Bytes::from_static(file);
    let moov = find_moov(&file).expect("the clips are MP4 files");
    let index = mp4::Index::parse(&file.slice(moov)).expect("the clips are MP4 files");
    let mut unpackers = index.unpackers();
    let access_units = index.schedule().into_iter().map(|(track, number)| {
        let sample = index.tracks[usize::from(track)].samples[number as usize];
        let start = sample.offset as usize;
        let data = file.slice(start..start + sample.size as usize);
        let unpacked = unpackers[usize::from(track)].access_unit(&sample, &data);
        let (access_unit, new_parameters): (_, Option<CodecParameters>) = unpacked.expect("a whole sample");
        assert_eq!(new_parameters, None, "a clip has one set of parameters");
        access_unit
    });
    let access_units = access_units.collect();
    Clip {
        tracks: index.media_tracks(),
        access_units,
    }
}
