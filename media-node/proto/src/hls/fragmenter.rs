//! From access units to one fragment of fragmented MP4.

use super::Init;
use crate::fmp4;
use crate::media::{AccessUnit, Timestamp, Tracks};
use bytes::Bytes;

pub(super) use crate::fmp4::main_track;

/// Gathers the access units of a segment, or of a part of one.
#[derive(Debug)]
pub(super) struct Fragmenter {
    init: Init,
    fragmenter: fmp4::Fragmenter,
}

impl Fragmenter {
    pub(super) fn new(tracks: &Tracks) -> Self {
        Self {
            init: Init::new(fmp4::init_segment(tracks)),
            fragmenter: fmp4::Fragmenter::new(tracks),
        }
    }

    pub(super) const fn init(&self) -> &Init {
        &self.init
    }

    pub(super) fn push(&mut self, au: &AccessUnit) {
        self.fragmenter.push(au);
    }

    pub(super) fn clear(&mut self) {
        self.fragmenter.clear();
    }

    /// The fragment; `end` is when the main track's next access unit is decoded.
    pub(super) fn finish(&mut self, sequence_number: u32, end: Timestamp) -> Bytes {
        self.fragmenter.finish(sequence_number, end)
    }
}
