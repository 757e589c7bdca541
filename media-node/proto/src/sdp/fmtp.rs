//! Format parameters: `a=fmtp:96 name=value;name=value`.
//!
//! H.264: RFC 6184 section 8.1. H.265: RFC 7798 section 7.1. AAC: RFC 3640 section 4.1,
//! RFC 6416 section 7.3.

use crate::media::codec::{aac, h264, h265};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;

/// Cameras leave the padding out, or put too much.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Parameters that are looked at; more than any format has.
const MAX_PARAMETERS: usize = 64;

/// The parameters of one format. Names are in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fmtp(Vec<(String, String)>);

impl Fmtp {
    /// Takes what follows the payload type.
    pub fn parse(text: &str) -> Self {
        let pairs = text.split(';').take(MAX_PARAMETERS).filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            Some((
                name.trim().to_ascii_lowercase(),
                value.trim().trim_matches('"').to_owned(),
            ))
        });
        Self(pairs.collect())
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    fn number(&self, name: &str) -> Option<u32> {
        self.get(name)?.parse().ok()
    }

    /// The NAL units of a list of base64 texts.
    fn nal_units(&self, name: &str) -> impl Iterator<Item = Bytes> {
        self.get(name)
            .unwrap_or_default()
            .split(',')
            .take(32)
            .filter_map(|text| {
                let unit = Bytes::from(BASE64.decode(text.trim()).ok()?);
                // Some encoders put the start code of their byte stream in front, some zeros behind.
                let begin = unit.iter().position(|b| *b != 0)?;
                let begin = if begin >= 2 && unit[begin] == 1 {
                    begin + 1
                } else {
                    0
                };
                let end = unit.iter().rposition(|b| *b != 0)? + 1;
                (begin < end).then(|| unit.slice(begin..end))
            })
    }

    /// The parameter sets of H.264, if both are there and make sense.
    pub(super) fn h264(&self) -> Option<h264::Parameters> {
        let of_type = |wanted| {
            self.nal_units("sprop-parameter-sets")
                .find(|unit| unit[0] & 0x1f == wanted)
        };
        h264::Parameters::parse(of_type(7)?, of_type(8)?).ok()
    }

    /// The parameter sets of H.265, if all three are there and make sense.
    pub(super) fn h265(&self) -> Option<h265::Parameters> {
        let of_type = |name, wanted| self.nal_units(name).find(|unit| (unit[0] >> 1) & 0x3f == wanted);
        let (vps, sps) = (of_type("sprop-vps", 32)?, of_type("sprop-sps", 33)?);
        h265::Parameters::parse(vps, sps, of_type("sprop-pps", 34)?).ok()
    }

    /// The configuration of AAC; made up from the `rtpmap` if there is none, as for AAC-LC.
    pub(super) fn aac(&self, clock_rate: u32, channels: u8) -> Option<aac::Parameters> {
        let config = self.get("config").and_then(|text| hex::decode(text.trim()).ok());
        if let Some(parameters) = config.and_then(|config| aac::Parameters::parse(config.into()).ok()) {
            return Some(parameters);
        }
        aac::Parameters::low_complexity(clock_rate, channels).ok()
    }

    /// The configuration of AAC in LATM, out of its `StreamMuxConfig` (ISO/IEC 14496-3 section
    /// 1.7.3.1), if that is outside the packets and says one frame of one layer at a time:
    ///
    /// ```text
    /// | version 0 | same framing 1 | sub-frames (6) 0 | programs (4) 0 | layers (3) 0 | config ...
    /// ```
    pub(super) fn latm(&self) -> Option<aac::Parameters> {
        if self.get("cpresent") != Some("0") {
            return None;
        }
        let mux = hex::decode(self.get("config")?).ok()?;
        let (head, rest) = mux.split_first_chunk::<2>()?;
        if u16::from_be_bytes(*head) >> 1 != 1 << 13 {
            return None;
        }
        // The configuration begins with the last bit of the second byte.
        let mut previous = head[1];
        let shifted: Vec<u8> = rest
            .iter()
            .map(|byte| {
                let out = previous << 7 | byte >> 1;
                previous = *byte;
                out
            })
            .collect();
        let parameters = aac::Parameters::parse(shifted.into()).ok()?;
        // Nothing tells where it ends. For plain AAC-LC it can be made again, without the rest.
        match parameters.codec_string().as_str() {
            "mp4a.40.2" => aac::Parameters::low_complexity(parameters.sample_rate, parameters.channels).ok(),
            _ => Some(parameters),
        }
    }

    /// The layout of AU headers; `None` if it is one that we can't take.
    pub(super) fn au_header(&self) -> Option<AuHeader> {
        let mode = self.get("mode").unwrap_or("AAC-hbr").to_ascii_lowercase();
        let default = match mode.as_str() {
            "aac-hbr" => AuHeader {
                size_bits: 13,
                index_bits: 3,
                index_delta_bits: 3,
            },
            "aac-lbr" => AuHeader {
                size_bits: 6,
                index_bits: 2,
                index_delta_bits: 2,
            },
            "generic" => AuHeader {
                size_bits: 0,
                index_bits: 0,
                index_delta_bits: 0,
            },
            _ => return None,
        };
        let bits = |name, default: u8| self.number(name).map_or(default, |n| n.min(255) as u8);
        let header = AuHeader {
            size_bits: bits("sizelength", default.size_bits),
            index_bits: bits("indexlength", default.index_bits),
            index_delta_bits: bits("indexdeltalength", default.index_delta_bits),
        };
        // Further fields of an AU header would shift all that follows.
        let plain = [
            "ctsdeltalength",
            "dtsdeltalength",
            "randomaccessindication",
            "streamstateindication",
        ]
        .iter()
        .all(|name| self.number(name).unwrap_or(0) == 0)
            && self.number("auxiliarydatasizelength").unwrap_or(0) == 0;
        let sane =
            (1..=16).contains(&header.size_bits) && header.index_bits <= 16 && header.index_delta_bits <= 16;
        (plain && sane).then_some(header)
    }
}

/// Widths of the fields of an AU header (RFC 3640 section 3.2.1.1), in bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuHeader {
    /// 1 to 16.
    pub size_bits: u8,
    /// In the first header of a packet; 0 to 16.
    pub index_bits: u8,
    /// In the others; 0 to 16.
    pub index_delta_bits: u8,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_padding_and_names_lose_their_case() {
        let fmtp = Fmtp::parse(" packetization-mode=1; Sprop-Parameter-Sets=Z00=,aO4= ;SizeLength=13;x");
        assert_eq!(fmtp.get("sprop-parameter-sets"), Some("Z00=,aO4="));
        assert_eq!(fmtp.number("sizelength"), Some(13));
        assert_eq!(fmtp.get("x"), None);
    }

    #[test]
    fn nal_units_lose_start_codes_and_bad_ones_are_left_out() {
        let fmtp = Fmtp::parse("s=AAAAAWdCAB8=,Z0IAHw,!!!!,,aM4AAA==");
        let units: Vec<_> = fmtp.nal_units("s").collect();
        assert_eq!(
            units,
            [&[0x67, 0x42, 0, 0x1f][..], &[0x67, 0x42, 0, 0x1f], &[0x68, 0xce]]
        );
    }

    #[test]
    fn latm_configurations() {
        // As GStreamer and as ffmpeg write it, both 44.1 kHz mono.
        for config in ["40002410adca00", "400024103fc0"] {
            let parameters = Fmtp::parse(&format!("cpresent=0;config={config}"))
                .latm()
                .unwrap();
            assert_eq!((parameters.sample_rate, parameters.channels), (44_100, 1));
            assert_eq!(parameters.config[..], [0x12, 0x08]);
        }
        for refused in [
            "config=400024103fc0",
            "cpresent=1;config=400024103fc0",
            "cpresent=0",
        ] {
            assert_eq!(Fmtp::parse(refused).latm(), None, "{refused}");
        }
        // Version 1, several sub-frames, several layers, cut.
        for config in ["c00024103fc0", "410024103fc0", "400224103fc0", "4000", "40", "zz"] {
            assert_eq!(
                Fmtp::parse(&format!("cpresent=0;config={config}")).latm(),
                None,
                "{config}"
            );
        }
    }

    #[test]
    fn au_headers() {
        let hbr = AuHeader {
            size_bits: 13,
            index_bits: 3,
            index_delta_bits: 3,
        };
        assert_eq!(Fmtp::parse("").au_header(), Some(hbr));
        let explicit = "mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3";
        assert_eq!(Fmtp::parse(explicit).au_header(), Some(hbr));
        let lbr = AuHeader {
            size_bits: 6,
            index_bits: 2,
            index_delta_bits: 2,
        };
        assert_eq!(Fmtp::parse("mode=AAC-lbr").au_header(), Some(lbr));
        for refused in [
            "mode=CELP-cbr",
            "mode=generic",
            "sizelength=17",
            "ctsdeltalength=8",
            "sizelength=0",
        ] {
            assert_eq!(Fmtp::parse(refused).au_header(), None, "{refused}");
        }
    }

    #[test]
    fn a_missing_aac_config_is_made_up() {
        let made_up = Fmtp::parse("mode=AAC-hbr").aac(44_100, 2).unwrap();
        assert_eq!(made_up.config[..], [0x12, 0x10]);
        assert_eq!(
            Fmtp::parse("config=1408").aac(44_100, 2).unwrap().sample_rate,
            16_000
        );
        assert_eq!(
            Fmtp::parse("config=zz").aac(16_000, 1).unwrap().config[..],
            [0x14, 0x08]
        );
    }
}
