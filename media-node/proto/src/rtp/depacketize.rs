//! RTP packets into access units.
//!
//! Takes the packets of one track in the order of their sequence numbers, as an interleaved
//! connection delivers them, or [`super::JitterBuffer`]. A gap is noticed here: the access unit
//! that it damages is left out and the packets are counted. What a gap means for the pictures
//! behind it, which may refer to what was lost, is the hub's matter.
//!
//! Timestamps come out extended to 64 bits, but still from RTP's random origin; see
//! [`super::Timeline`] for how tracks get a common one.

mod aac;
mod h264;
mod h265;
mod latm;
mod video;

use super::dts::DtsEstimator;
use super::{Header, Packet};
use crate::media::{CodecParameters, Timestamp};
use crate::sdp::{Format, Media};
use bytes::Bytes;
use std::collections::VecDeque;

/// Bytes of an access unit that is put together from fragments.
pub const MAX_ACCESS_UNIT: usize = crate::media::codec::picture::MAX_PICTURE_BYTES;

/// How far back a sequence number may lie to count as a late packet; further back, the sender has
/// started anew (RFC 3550 appendix A.1).
const MAX_MISORDER: u16 = 100;

/// What a packet's payload must not be. The stream goes on behind it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("RTP packet {sequence_number}: {what}")]
    Malformed {
        sequence_number: u16,
        what: &'static str,
    },
    #[error("RTP packet {sequence_number}: {what} is not supported")]
    Unsupported {
        sequence_number: u16,
        what: &'static str,
    },
}

/// The codec is none that we know, or is sent in a way that we can't take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no support for {encoding} as sent")]
pub struct UnsupportedFormat {
    /// The encoding's name in the description.
    pub encoding: String,
}

/// An access unit as it came out of its packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// The extended RTP timestamp.
    pub pts: Timestamp,
    /// Never after `pts`, never before the `dts` of an earlier unit unless the sender's clock
    /// jumped.
    pub dts: Timestamp,
    /// For audio always false: whether it is one depends on the other tracks.
    pub keyframe: bool,
    /// As [`crate::media::AccessUnit::data`].
    pub data: Bytes,
    /// The parameters from this unit on, where they differ from those before.
    pub new_parameters: Option<CodecParameters>,
    /// Packets missing between the unit before this one and the end of this one.
    pub lost_packets: u32,
}

/// Counts since the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    pub packets: u64,
    /// Sequence numbers that never came.
    pub lost: u64,
    /// Packets that came twice or too late, and those of another payload type.
    pub ignored: u64,
    /// Packets that broke their payload format.
    pub malformed: u64,
    /// Access units left out: incomplete, or impossible to put in decoding order.
    pub damaged: u64,
}

/// The packets of one track, and what has been made of them.
#[derive(Debug)]
pub struct Depacketizer {
    payload_type: u8,
    clock_rate: u32,
    source: Option<Source>,
    format: Kind,
    ready: VecDeque<Unit>,
    dts: DtsEstimator,
    /// Reported with the next unit, as is the number below.
    new_parameters: Option<CodecParameters>,
    lost_packets: u32,
    statistics: Statistics,
}

/// Whom the packets come from, and where its numbers stand.
#[derive(Clone, Copy, Debug)]
struct Source {
    ssrc: u32,
    next_sequence_number: u16,
    /// Extended to 64 bits.
    timestamp: i64,
}

#[derive(Debug)]
enum Kind {
    Video(Box<video::Video>),
    Aac(aac::Aac),
    Latm(latm::Latm),
    G711,
}

/// An access unit before it has a decoding time.
struct Assembled {
    timestamp: i64,
    keyframe: bool,
    data: Bytes,
    new_parameters: Option<CodecParameters>,
}

impl Depacketizer {
    /// # Errors
    /// If the description's format is [`Format::Unsupported`].
    pub fn new(media: &Media) -> Result<Self, UnsupportedFormat> {
        let format = match &media.format {
            Format::H264(parameters) => Kind::Video(Box::new(video::Video::h264(parameters.clone()))),
            Format::H265(parameters) => Kind::Video(Box::new(video::Video::h265(parameters.clone()))),
            Format::Aac(parameters, header) => {
                Kind::Aac(aac::Aac::new(parameters, *header, media.clock_rate))
            }
            Format::Latm(parameters) => Kind::Latm(latm::Latm::new(parameters, media.clock_rate)),
            Format::G711(_) => Kind::G711,
            Format::Unsupported => {
                return Err(UnsupportedFormat {
                    encoding: media.encoding.clone(),
                });
            }
        };
        Ok(Self {
            payload_type: media.payload_type,
            clock_rate: media.clock_rate.max(1),
            source: None,
            dts: DtsEstimator::new(media.clock_rate, media.parameters().as_ref()),
            format,
            ready: VecDeque::new(),
            new_parameters: None,
            lost_packets: 0,
            statistics: Statistics::default(),
        })
    }

    pub const fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// The extended form of an RTP timestamp near the newest packet's, as sender reports carry
    /// one. `None` before the first packet.
    pub fn extend(&self, rtp_timestamp: u32) -> Option<Timestamp> {
        let source = self.source?;
        Some(Timestamp::new(
            extend(source.timestamp, rtp_timestamp),
            self.clock_rate,
        ))
    }

    /// Takes the next packet; then [`Self::pull`] until there is nothing more.
    ///
    /// # Errors
    /// If the payload breaks its format. The damaged access unit is left out, and the next
    /// packets are welcome.
    pub fn push(&mut self, packet: &Packet) -> Result<(), Error> {
        let header = &packet.header;
        if header.payload_type != self.payload_type {
            self.statistics.ignored += 1;
            return Ok(());
        }
        let Some(timestamp) = self.follow(header) else {
            self.statistics.ignored += 1;
            return Ok(());
        };
        self.statistics.packets += 1;
        if packet.payload.is_empty() {
            return Ok(());
        }
        let mut assembled = Vec::new();
        let mut damaged = 0;
        let result = match &mut self.format {
            Kind::Video(video) => {
                let result = video.push(timestamp, header.marker, &packet.payload, &mut assembled);
                damaged += video.take_damaged();
                result
            }
            Kind::Aac(aac) => {
                let result = aac.push(timestamp, &packet.payload, &mut assembled);
                damaged += aac.take_damaged();
                result
            }
            Kind::Latm(latm) => {
                let result = latm.push(timestamp, header.marker, &packet.payload, &mut assembled);
                damaged += latm.take_damaged();
                result
            }
            Kind::G711 => {
                assembled.push(Assembled {
                    timestamp,
                    keyframe: false,
                    // As with AAC.
                    data: Bytes::copy_from_slice(&packet.payload),
                    new_parameters: None,
                });
                Ok(())
            }
        };
        self.statistics.damaged += u64::from(damaged);
        for unit in assembled {
            self.finish(unit);
        }
        result.map_err(|fault| {
            self.statistics.malformed += 1;
            fault.at(header.sequence_number)
        })
    }

    /// The next access unit, in decoding order.
    pub fn pull(&mut self) -> Option<Unit> {
        self.ready.pop_front()
    }

    /// Keeps up with sequence numbers and timestamps. `None` for a packet that is not new.
    fn follow(&mut self, header: &Header) -> Option<i64> {
        let Some(source) = &mut self.source else {
            let timestamp = i64::from(header.timestamp);
            let next_sequence_number = header.sequence_number.wrapping_add(1);
            self.source = Some(Source {
                ssrc: header.ssrc,
                next_sequence_number,
                timestamp,
            });
            return Some(timestamp);
        };
        let gap = header.sequence_number.wrapping_sub(source.next_sequence_number);
        if gap > 0 {
            let back = gap.wrapping_neg();
            let same_source = header.ssrc == source.ssrc;
            if same_source && back <= MAX_MISORDER {
                return None;
            }
            // A number far away, or another source, says nothing about how many are missing.
            let lost = if same_source && gap < 1 << 15 {
                u32::from(gap)
            } else {
                1
            };
            self.statistics.lost += u64::from(lost);
            self.lost_packets = self.lost_packets.saturating_add(lost);
            match &mut self.format {
                Kind::Video(video) => video.lose(),
                Kind::Aac(aac) => aac.lose(),
                Kind::Latm(latm) => latm.lose(),
                Kind::G711 => {}
            }
        }
        source.ssrc = header.ssrc;
        source.next_sequence_number = header.sequence_number.wrapping_add(1);
        source.timestamp = extend(source.timestamp, header.timestamp);
        Some(source.timestamp)
    }

    fn finish(&mut self, unit: Assembled) {
        if let Some(parameters) = unit.new_parameters {
            self.dts.set_parameters(&parameters);
            self.new_parameters = Some(parameters);
        }
        let Some(dts) = self.dts.next(unit.timestamp) else {
            self.statistics.damaged += 1;
            return;
        };
        self.ready.push_back(Unit {
            pts: Timestamp::new(unit.timestamp, self.clock_rate),
            dts: Timestamp::new(dts, self.clock_rate),
            keyframe: unit.keyframe,
            data: unit.data,
            new_parameters: self.new_parameters.take(),
            lost_packets: std::mem::take(&mut self.lost_packets),
        });
    }
}

/// The 64-bit number nearest to `last` whose lower half is `timestamp`.
const fn extend(last: i64, timestamp: u32) -> i64 {
    last.saturating_add(timestamp.wrapping_sub(last as u32) as i32 as i64)
}

/// What is wrong with a payload, before it is known which packet it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Malformed(&'static str),
    Unsupported(&'static str),
}

impl Fault {
    const fn at(self, sequence_number: u16) -> Error {
        match self {
            Self::Malformed(what) => Error::Malformed {
                sequence_number,
                what,
            },
            Self::Unsupported(what) => Error::Unsupported {
                sequence_number,
                what,
            },
        }
    }
}

/// A NAL unit or a piece of one, as a payload of H.264 or H.265 holds it.
#[derive(Clone, Copy)]
enum Piece<'a> {
    Unit(&'a [u8]),
    Fragment {
        start: bool,
        end: bool,
        /// The NAL unit header, put together from payload header and FU header.
        header: [u8; 2],
        /// Bytes of `header` that count.
        header_length: usize,
        body: &'a [u8],
    },
}

/// Walks over the NAL units of an aggregation packet, each behind 16 bits of length.
fn aggregated<'a>(mut rest: &'a [u8], each: &mut dyn FnMut(Piece<'a>)) -> Result<(), Fault> {
    while let Some((length, tail)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length));
        let Some(unit) = tail.get(..length) else {
            return Err(Fault::Malformed("aggregated NAL unit is longer than its packet"));
        };
        if !unit.is_empty() {
            each(Piece::Unit(unit));
        }
        rest = &tail[length..];
    }
    // One byte left over is padding that forgot to call itself so.
    Ok(())
}

#[cfg(test)]
mod tests;
