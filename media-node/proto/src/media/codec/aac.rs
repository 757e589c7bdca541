//! AAC audio (ISO/IEC 14496-3): the `AudioSpecificConfig`, and in [`adts`] the framing of MPEG-TS.

pub mod adts;

use super::Error;
use super::bits::BitReader;
use bytes::Bytes;

const WHAT: &str = "AudioSpecificConfig";
/// Real ones are below 20 bytes; a program config element can add some 300.
const MAX_CONFIG_BYTES: usize = 512;

/// `samplingFrequencyIndex` (table 1.18) to Hz.
const SAMPLE_RATES_HZ: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000, 7350,
];

/// Audio object types (table 1.17).
mod object_type {
    pub(super) const LC: u8 = 2;
    pub(super) const SBR: u8 = 5;
    pub(super) const SCALABLE: u8 = 6;
    pub(super) const ER_BSAC: u8 = 22;
    pub(super) const ER_LD: u8 = 23;
    pub(super) const PS: u8 = 29;
    pub(super) const ER_ELD: u8 = 39;
    pub(super) const XHE: u8 = 42;
}

/// What an `AudioSpecificConfig` says, and the bytes that say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// The `AudioSpecificConfig` itself (ISO/IEC 14496-3 section 1.6.2.1).
    pub config: Bytes,
    /// Hz of the decoder's output; with SBR (HE-AAC) signalled, twice that of the core.
    pub sample_rate: u32,
    /// Of the decoder's output; with parametric stereo (HE-AAC v2) signalled, 2.
    pub channels: u8,
}

impl Parameters {
    /// From an `AudioSpecificConfig`.
    ///
    /// # Errors
    /// When it ends early, names a reserved sampling rate or channel configuration, or is no AAC.
    pub fn parse(config: Bytes) -> Result<Self, Error> {
        let parsed = Config::parse(&config)?;
        Ok(Self {
            config,
            sample_rate: parsed.sample_rate,
            channels: parsed.channels,
        })
    }

    /// AAC-LC, for protocols that carry no `AudioSpecificConfig`.
    ///
    /// # Errors
    /// When `sample_rate` is not one of the thirteen with an index, or `channels` not 1 to 6 or 8.
    pub fn low_complexity(sample_rate: u32, channels: u8) -> Result<Self, Error> {
        Self::with_object_type(object_type::LC, sample_rate, channels)
    }

    fn with_object_type(object_type: u8, sample_rate: u32, channels: u8) -> Result<Self, Error> {
        let out_of_range = |field, value| Error::OutOfRange {
            what: WHAT,
            field,
            value,
        };
        let index = SAMPLE_RATES_HZ.iter().position(|&hz| hz == sample_rate);
        let index = index.ok_or_else(|| out_of_range("sampling frequency", u64::from(sample_rate)))? as u16;
        let configuration = match channels {
            1..=6 => u16::from(channels),
            8 => 7,
            _ => return Err(out_of_range("channels", u64::from(channels))),
        };
        let config = u16::from(object_type) << 11 | index << 7 | configuration << 3;
        Ok(Self {
            config: Bytes::copy_from_slice(&config.to_be_bytes()),
            sample_rate,
            channels,
        })
    }

    /// Samples, at `sample_rate`, that one access unit decodes to: 1024 for AAC-LC.
    pub fn samples_per_access_unit(&self) -> u32 {
        Config::parse(&self.config).map_or(1024, |c| c.samples)
    }

    /// As RFC 6381 names it: `mp4a.40.` and the audio object type.
    pub fn codec_string(&self) -> String {
        let object_type = Config::parse(&self.config).map_or(object_type::LC, |c| c.object_type);
        format!("mp4a.40.{object_type}")
    }
}

/// The fields of an `AudioSpecificConfig`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// 5 or 29 where SBR or parametric stereo is signalled, else that of the core.
    pub(crate) object_type: u8,
    pub(crate) core_object_type: u8,
    pub(crate) core_sample_rate: u32,
    /// `channelConfiguration`; 0 where a program config element says more.
    pub(crate) channel_configuration: u8,
    /// Hz and channels of the decoder's output.
    pub(crate) sample_rate: u32,
    pub(crate) channels: u8,
    /// Samples of an access unit at `sample_rate`.
    pub(crate) samples: u32,
}

impl Config {
    pub(crate) fn parse(config: &[u8]) -> Result<Self, Error> {
        if config.len() > MAX_CONFIG_BYTES {
            return Err(Error::TooLarge {
                what: WHAT,
                bytes: config.len(),
            });
        }
        let r = &mut BitReader::new(WHAT, config);
        let mut core_object_type = audio_object_type(r)?;
        let core_sample_rate = sampling_frequency(r)?;
        let channel_configuration = r.bits(4)? as u8;
        let mut sbr_sample_rate = None;
        let mut parametric_stereo = false;
        if matches!(core_object_type, object_type::SBR | object_type::PS) {
            parametric_stereo = core_object_type == object_type::PS;
            sbr_sample_rate = Some(sampling_frequency(r)?);
            core_object_type = audio_object_type(r)?;
            if core_object_type == object_type::ER_BSAC {
                r.skip(4)?; // extensionChannelConfiguration
            }
        }
        let mut core_samples = 1024;
        let mut channels = match channel_configuration {
            0 => None,
            n @ 1..=6 => Some(n),
            7 | 12 | 14 => Some(8),
            11 => Some(7),
            n => return Err(r.out_of_range("channelConfiguration", n)),
        };
        match core_object_type {
            1..=4 | object_type::SCALABLE | 7 | 17 | 19..=23 => {
                let short = r.flag()?; // frameLengthFlag
                core_samples = match (core_object_type, short) {
                    (object_type::ER_LD, false) => 512,
                    (object_type::ER_LD, true) => 480,
                    (_, false) => 1024,
                    (_, true) => 960,
                };
                if r.flag()? {
                    r.skip(14)?; // coreCoderDelay
                }
                r.flag()?; // extensionFlag; what it announces exists for error resilient types only
                if channels.is_none() {
                    channels = Some(program_config_channels(r)?);
                }
                if core_object_type <= 4 && sbr_sample_rate.is_none() {
                    (sbr_sample_rate, parametric_stereo) = backward_compatible_sbr(r).unwrap_or_default();
                }
            }
            object_type::ER_ELD => core_samples = if r.flag()? { 480 } else { 512 },
            object_type::XHE => {}
            _ => {
                return Err(Error::Unsupported {
                    what: WHAT,
                    feature: "an object type other than AAC",
                });
            }
        }
        let channels = match channels {
            Some(1) if parametric_stereo => 2,
            Some(n) => n,
            None => return Err(r.out_of_range("channelConfiguration", 0_u8)),
        };
        let sample_rate = sbr_sample_rate.unwrap_or(core_sample_rate);
        // SBR doubles the rate or, downsampled, leaves it.
        let doubled = u32::from(sample_rate == 2 * core_sample_rate);
        Ok(Self {
            object_type: match sbr_sample_rate {
                Some(_) if parametric_stereo => object_type::PS,
                Some(_) => object_type::SBR,
                None => core_object_type,
            },
            core_object_type,
            core_sample_rate,
            channel_configuration,
            sample_rate,
            channels,
            samples: core_samples << doubled,
        })
    }
}

fn audio_object_type(r: &mut BitReader<'_>) -> Result<u8, Error> {
    Ok(match r.bits(5)? {
        31 => 32 + r.bits(6)?,
        n => n,
    } as u8)
}

fn sampling_frequency(r: &mut BitReader<'_>) -> Result<u32, Error> {
    const EXPLICIT: u32 = 15;
    let (index, hz) = match r.bits(4)? {
        EXPLICIT => (EXPLICIT, r.bits(24)?),
        index => (index, SAMPLE_RATES_HZ.get(index as usize).copied().unwrap_or(0)),
    };
    match (index, hz) {
        (EXPLICIT, 1..=192_000) | (0..EXPLICIT, 1..) => Ok(hz),
        (EXPLICIT, hz) => Err(r.out_of_range("samplingFrequency", hz)),
        (index, _) => Err(r.out_of_range("samplingFrequencyIndex", index)),
    }
}

/// Channels of a `program_config_element()` (section 4.4.1.1).
fn program_config_channels(r: &mut BitReader<'_>) -> Result<u8, Error> {
    r.skip(4 + 2 + 4)?; // element_instance_tag, object_type, sampling_frequency_index
    let mut elements = [0; 3];
    for count in &mut elements {
        *count = r.bits(4)?; // front, side, back
    }
    let lfe = r.bits(2)?;
    let associated_data = r.bits(3)? as usize;
    let coupling = r.bits(4)? as usize;
    for width in [4, 4, 3] {
        if r.flag()? {
            r.skip(width)?; // mixdowns
        }
    }
    let mut channels = lfe;
    for _ in 0..elements.iter().sum() {
        channels += 1 + u32::from(r.flag()?); // *_element_is_cpe
        r.skip(4)?;
    }
    r.skip(4 * (lfe as usize + associated_data) + 5 * coupling)?;
    r.skip((8 - r.position() % 8) % 8)?;
    let comment = r.bits(8)? as usize;
    r.skip(8 * comment)?;
    if channels == 0 {
        return Err(r.out_of_range("channels", channels));
    }
    Ok(channels as u8) // at most 3 * 15 * 2 + 3
}

/// SBR and parametric stereo as signalled behind the configuration of a plain AAC core, where older
/// decoders don't look (section 1.6.6.1): the output's sampling rate, and whether stereo.
fn backward_compatible_sbr(r: &mut BitReader<'_>) -> Result<(Option<u32>, bool), Error> {
    const SYNC_SBR: u32 = 0x2b7;
    const SYNC_PS: u32 = 0x548;
    if r.bits(11)? != SYNC_SBR || audio_object_type(r)? != object_type::SBR || !r.flag()? {
        return Ok((None, false));
    }
    let sample_rate = sampling_frequency(r)?;
    let parametric_stereo = r.remaining() >= 12 && r.bits(11)? == SYNC_PS && r.flag()?;
    Ok((Some(sample_rate), parametric_stereo))
}

#[cfg(test)]
mod tests;
