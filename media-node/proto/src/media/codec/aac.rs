//! AAC audio (ISO/IEC 14496-3).

use bytes::Bytes;

/// What an `AudioSpecificConfig` says, and the bytes that say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// The `AudioSpecificConfig` itself (ISO/IEC 14496-3 section 1.6.2.1).
    pub config: Bytes,
    /// Hz.
    pub sample_rate: u32,
    pub channels: u8,
}
