//! From a sample's bytes to an access unit.

use super::{Sample, Track};
use crate::media::codec::PictureBuilder;
use crate::media::{AccessUnit, CodecParameters, Timestamp};
use bytes::Bytes;

/// Turns the samples of one track into access units, in decoding order.
#[derive(Debug)]
pub struct Unpacker {
    number: u8,
    clock_rate: u32,
    audio_keyframes: bool,
    video: Option<Video>,
}

#[derive(Debug)]
struct Video {
    builder: PictureBuilder,
    length_size: usize,
    further: Vec<Bytes>,
}

impl Unpacker {
    pub(super) fn new(track: &Track, number: u8, audio_keyframes: bool) -> Self {
        let codec = &track.track.codec;
        let video = (track.description.length_size > 0).then(|| Video {
            builder: PictureBuilder::new(codec.codec(), Some(codec.clone())),
            length_size: usize::from(track.description.length_size),
            further: track.description.further.clone(),
        });
        Self {
            number,
            clock_rate: track.track.clock_rate,
            audio_keyframes,
            video,
        }
    }

    /// The access unit in a sample's bytes, and the parameters where they change with it. None for
    /// a sample without a picture.
    pub fn access_unit(
        &mut self,
        sample: &Sample,
        data: &Bytes,
    ) -> Option<(AccessUnit, Option<CodecParameters>)> {
        let (data, keyframe, new_parameters) = match &mut self.video {
            None => (data.clone(), self.audio_keyframes, None),
            Some(video) => video.picture(sample, data)?,
        };
        let access_unit = AccessUnit {
            track: self.number,
            pts: Timestamp::new(sample.pts, self.clock_rate),
            dts: Timestamp::new(sample.dts, self.clock_rate),
            keyframe,
            segment: None,
            data,
        };
        Some((access_unit, new_parameters))
    }
}

impl Video {
    fn picture(&mut self, sample: &Sample, data: &[u8]) -> Option<(Bytes, bool, Option<CodecParameters>)> {
        if sample.sync {
            for nal in &self.further {
                self.builder.push(nal);
            }
        }
        let mut rest = data;
        while let Some((length, after)) = rest.split_at_checked(self.length_size) {
            let length = length.iter().fold(0_usize, |n, byte| n << 8 | usize::from(*byte));
            let Some((nal, after)) = after.split_at_checked(length) else {
                break;
            };
            self.builder.push(nal);
            rest = after;
        }
        let picture = self.builder.finish()?;
        Some((picture.data, picture.keyframe, picture.new_parameters))
    }
}
