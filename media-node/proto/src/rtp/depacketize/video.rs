//! H.264 and H.265 packets into pictures.
//!
//! A picture ends with the marker bit, or, where a camera forgets it, with the next timestamp.
//! Further tolerances: parameter sets in-band only, or sent like a picture of their own; NAL units
//! glued together with start codes (seen of several OEM cameras); fragments without a start or
//! an end bit, as long as no packet is missing.

use super::{Assembled, Fault, MAX_ACCESS_UNIT, Piece, h264, h265};
use crate::media::codec::{self, PictureBuilder, nal};
use crate::media::{Codec, CodecParameters};
use bytes::BytesMut;

/// Room for fragments that is kept from one NAL unit to the next.
const KEPT_BYTES: usize = 32 << 10;

#[derive(Debug)]
pub(super) struct Video {
    codec: Codec,
    builder: PictureBuilder,
    /// Of the picture in the making.
    timestamp: i64,
    /// A NAL unit has been taken since the last picture ended.
    begun: bool,
    /// Something of the picture in the making is missing.
    damaged: bool,
    /// Packets are missing, and whether the next picture misses some of them is not known yet.
    gap: bool,
    fragment: BytesMut,
    fragments: Fragments,
    damaged_count: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fragments {
    /// Whole NAL units come.
    None,
    /// A fragmented NAL unit is being put together.
    Open,
    /// The start of it is missing, so its rest is of no use.
    Skip,
}

impl Video {
    pub(super) fn h264(parameters: Option<codec::h264::Parameters>) -> Self {
        Self::new(Codec::H264, parameters.map(CodecParameters::H264))
    }

    pub(super) fn h265(parameters: Option<codec::h265::Parameters>) -> Self {
        Self::new(Codec::H265, parameters.map(CodecParameters::H265))
    }

    fn new(codec: Codec, parameters: Option<CodecParameters>) -> Self {
        Self {
            codec,
            builder: PictureBuilder::new(codec, parameters),
            timestamp: 0,
            begun: false,
            damaged: false,
            // Whoever joins in the middle has missed packets as well.
            gap: true,
            fragment: BytesMut::new(),
            fragments: Fragments::None,
            damaged_count: 0,
        }
    }

    /// Pictures left out since the last call.
    pub(super) const fn take_damaged(&mut self) -> u32 {
        std::mem::replace(&mut self.damaged_count, 0)
    }

    /// Packets are missing in front of the next one.
    pub(super) fn lose(&mut self) {
        self.damaged |= self.begun || self.fragments != Fragments::None;
        self.gap = true;
        if self.fragments == Fragments::Open {
            self.fragments = Fragments::Skip;
        }
    }

    pub(super) fn push(
        &mut self,
        timestamp: i64,
        marker: bool,
        payload: &[u8],
        out: &mut Vec<Assembled>,
    ) -> Result<(), Fault> {
        if timestamp != self.timestamp {
            if self.begun || self.fragments != Fragments::None {
                self.finish(out);
            }
            self.timestamp = timestamp;
        }
        let split = match self.codec {
            Codec::H265 => h265::pieces,
            _ => h264::pieces,
        };
        let result = split(payload, &mut |piece| self.piece(piece));
        if result.is_err() {
            self.damaged = true;
        }
        if marker {
            self.finish(out);
        }
        result
    }

    fn piece(&mut self, piece: Piece<'_>) {
        match piece {
            Piece::Unit(unit) => {
                self.end_fragment();
                self.unit(unit);
            }
            Piece::Fragment {
                start,
                end,
                header,
                header_length,
                body,
            } => {
                // Without a gap, a fragment that follows nothing is one whose start bit is missing.
                let orphan = self.fragments == Fragments::None && !self.gap && !self.damaged;
                if start || orphan {
                    self.end_fragment();
                    self.fragment.clear();
                    self.fragment.extend_from_slice(&header[..header_length]);
                    self.fragments = Fragments::Open;
                } else if self.fragments == Fragments::None {
                    self.damaged = true;
                    self.fragments = Fragments::Skip;
                }
                if self.fragments == Fragments::Open {
                    if self.fragment.len() + body.len() > MAX_ACCESS_UNIT {
                        self.damaged = true;
                        self.fragments = Fragments::Skip;
                    } else {
                        self.fragment.extend_from_slice(body);
                    }
                }
                if end {
                    self.end_fragment();
                }
            }
        }
    }

    /// Takes the fragmented NAL unit for complete: what was lost would have shown as a gap.
    fn end_fragment(&mut self) {
        let fragments = std::mem::replace(&mut self.fragments, Fragments::None);
        if fragments == Fragments::Open {
            let unit = std::mem::take(&mut self.fragment);
            self.unit(&unit);
            // The allocation is used again; that of a keyframe, which is rare, is given back.
            if unit.capacity() <= KEPT_BYTES {
                self.fragment = unit;
            }
        }
    }

    fn unit(&mut self, unit: &[u8]) {
        let may_hold_others = match self.codec {
            Codec::H265 => h265::may_hold_others(unit),
            _ => h264::may_hold_others(unit),
        };
        if !may_hold_others {
            self.single(unit);
        } else if unit.starts_with(&[0, 0]) {
            nal::annexb(unit).for_each(|unit| self.single(unit));
        } else {
            // No start code can be inside a NAL unit (H.264 section 7.4.1), so what follows one
            // is another unit.
            let first = unit.windows(3).position(|w| w == [0, 0, 1]).unwrap_or(unit.len());
            let end = unit[..first]
                .iter()
                .rposition(|b| *b != 0)
                .map_or(0, |last| last + 1);
            self.single(&unit[..end]);
            nal::annexb(&unit[first..]).for_each(|unit| self.single(unit));
        }
    }

    fn single(&mut self, unit: &[u8]) {
        if unit.is_empty() {
            return;
        }
        if !self.begun && self.gap {
            self.gap = false;
            self.damaged |= match self.codec {
                Codec::H265 => !h265::begins_picture(unit),
                _ => !h264::begins_picture(unit),
            };
        }
        self.begun = true;
        self.builder.push(unit);
    }

    fn finish(&mut self, out: &mut Vec<Assembled>) {
        if self.fragments == Fragments::Skip {
            self.fragments = Fragments::None;
            self.damaged = true;
        }
        self.end_fragment();
        self.begun = false;
        if std::mem::replace(&mut self.damaged, false) {
            self.builder.discard();
            self.damaged_count += 1;
        } else if let Some(picture) = self.builder.finish() {
            out.push(Assembled {
                timestamp: self.timestamp,
                keyframe: picture.keyframe,
                data: picture.data,
                new_parameters: picture.new_parameters,
            });
        }
    }
}
