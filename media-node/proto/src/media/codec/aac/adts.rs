//! ADTS (ISO/IEC 13818-7 section 6.2, ISO/IEC 14496-3 section 1.A.2.2): a header before each AAC
//! frame, as MPEG-TS carries it.
//!
//! ```text
//! syncword 12 = 0xfff | ID 1 | layer 2 = 0 | protection_absent 1 | profile 2 | sampling_frequency_index 4
//! private 1 | channel_configuration 3 | original, home, copyright 4 | frame_length 13
//! buffer_fullness 11 | number_of_raw_data_blocks 2, less one | CRC 16 unless protection_absent
//! ```

use super::super::Error;
use super::{Config, Parameters, SAMPLE_RATES_HZ};

const WHAT: &str = "ADTS header";
/// Without CRC.
pub const HEADER_BYTES: usize = 7;
/// The largest `aac_frame_length`, header included.
pub const MAX_FRAME_BYTES: usize = (1 << 13) - 1;

/// A parsed header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// 1 to 4: Main, LC, SSR, LTP.
    pub object_type: u8,
    pub sample_rate: u32,
    /// 0 where the first frame's program config element tells.
    pub channel_configuration: u8,
    /// 7, or 9 with CRC.
    pub header_bytes: usize,
    /// Header included.
    pub frame_bytes: usize,
}

impl Header {
    /// # Errors
    /// When `data` does not start with a whole header that can be meant.
    pub fn parse(data: &[u8]) -> Result<Self, Error> {
        let Some(head) = data.first_chunk::<HEADER_BYTES>() else {
            return Err(Error::Truncated {
                what: WHAT,
                bit: data.len() * 8,
            });
        };
        let out_of_range = |field, value: usize| Error::OutOfRange {
            what: WHAT,
            field,
            value: value as u64,
        };
        if head[0] != 0xff || head[1] & 0xf6 != 0xf0 {
            return Err(out_of_range(
                "syncword",
                usize::from(head[0]) << 8 | usize::from(head[1]),
            ));
        }
        let index = usize::from(head[2] >> 2 & 15);
        let sample_rate = SAMPLE_RATES_HZ.get(index).copied();
        let sample_rate = sample_rate.ok_or_else(|| out_of_range("sampling_frequency_index", index))?;
        let header_bytes = if head[1] & 1 == 1 {
            HEADER_BYTES
        } else {
            HEADER_BYTES + 2
        };
        let frame_bytes =
            usize::from(head[3] & 3) << 11 | usize::from(head[4]) << 3 | usize::from(head[5] >> 5);
        if frame_bytes < header_bytes {
            return Err(out_of_range("frame_length", frame_bytes));
        }
        if head[6] & 3 != 0 {
            return Err(Error::Unsupported {
                what: WHAT,
                feature: "more than one raw data block a frame",
            });
        }
        Ok(Self {
            object_type: (head[2] >> 6) + 1,
            sample_rate,
            channel_configuration: (head[2] & 1) << 2 | head[3] >> 6,
            header_bytes,
            frame_bytes,
        })
    }

    /// The parameters this header stands for, with an `AudioSpecificConfig` made from it.
    ///
    /// # Errors
    /// When the channels are told by a program config element, which no header has.
    pub fn parameters(&self) -> Result<Parameters, Error> {
        let channels = if self.channel_configuration == 7 {
            8
        } else {
            self.channel_configuration
        };
        Parameters::with_object_type(self.object_type, self.sample_rate, channels)
    }
}

/// The raw frames of `data`, which starts with an ADTS header; each with its header. Ends at the
/// first header that is damaged or whose frame is not whole.
pub fn frames(mut data: &[u8]) -> impl Iterator<Item = (Header, &[u8])> {
    std::iter::from_fn(move || {
        let header = Header::parse(data).ok()?;
        let frame = data.get(header.header_bytes..header.frame_bytes)?;
        data = &data[header.frame_bytes..];
        Some((header, frame))
    })
}

/// Writes headers for the frames of one track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Writer {
    /// A header whose frame length is still 0.
    template: [u8; HEADER_BYTES],
}

impl Writer {
    /// None where ADTS has no words for the configuration: an object type beyond the first four, a
    /// sampling rate without index, more channels than the eight of configuration 7. HE-AAC is
    /// written as its core, which is how ADTS signals it: not at all.
    pub fn new(parameters: &Parameters) -> Option<Self> {
        let config = Config::parse(&parameters.config).ok()?;
        let profile = config.core_object_type.checked_sub(1).filter(|p| *p < 4)?;
        let index = SAMPLE_RATES_HZ
            .iter()
            .position(|&hz| hz == config.core_sample_rate)? as u8;
        let channels = match config.channel_configuration {
            0 => (config.channels <= 2).then_some(config.channels)?,
            n => (n <= 7).then_some(n)?,
        };
        let template = [
            0xff,
            0xf1,
            profile << 6 | index << 2 | channels >> 2,
            channels << 6,
            0,
            0x1f,
            0xfc,
        ];
        Some(Self { template })
    }

    /// The header for a raw frame; none for one larger than ADTS can say.
    pub fn header(&self, frame_bytes: usize) -> Option<[u8; HEADER_BYTES]> {
        let length = frame_bytes + HEADER_BYTES;
        if length > MAX_FRAME_BYTES {
            return None;
        }
        let mut header = self.template;
        header[3] |= (length >> 11) as u8;
        header[4] = (length >> 3) as u8;
        header[5] |= (length << 5) as u8;
        Some(header)
    }
}
