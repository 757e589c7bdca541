//! Session descriptions out of bytes.
//!
//! What we need is taken, the rest is skipped. Tolerated, because it is met: lines that end in LF
//! or CR alone, blank lines, zeros behind the text, text that is not UTF-8, attributes in any
//! case, attributes that make no sense (skipped, so that the section may turn out unsupported).

use super::fmtp::Fmtp;
use super::{Description, Format, Kind, Media};
use crate::media::codec::g711;

/// Bytes of a description that are taken.
pub const MAX_LENGTH: usize = 64 * 1024;
/// `m=` sections of a description.
pub const MAX_MEDIA: usize = 16;
/// Payload formats of a section, and attributes of each kind, that are looked at.
const MAX_FORMATS: usize = 64;

/// Why a text is no description; line numbers count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("{length} bytes of SDP, {MAX_LENGTH} are taken")]
    TooLong { length: usize },
    #[error("SDP line {line}: a description begins with v=0")]
    NotSdp { line: usize },
    #[error("SDP line {line}: m= without media, port, protocol and format")]
    MediaLine { line: usize },
    #[error("SDP line {line}: more than {MAX_MEDIA} m= sections")]
    TooManyMedia { line: usize },
    #[error("SDP without an m= section")]
    NoMedia,
}

/// # Errors
/// If this is no session description, has no media, or exceeds a bound.
pub fn parse(data: &[u8]) -> Result<Description, Error> {
    if data.len() > MAX_LENGTH {
        return Err(Error::TooLong { length: data.len() });
    }
    let text = String::from_utf8_lossy(data);
    let text = text.trim_end_matches('\0');
    let mut name = String::new();
    let mut session_control = None;
    let mut media: Vec<Section> = Vec::new();
    let mut begun = false;
    // CR LF makes an empty line in between, which is skipped; the number is then found by LF.
    let mut line_number = 1;
    for line in text.split_inclusive(['\n', '\r']) {
        let at = line_number;
        line_number += usize::from(line.ends_with('\n'));
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        let value = value.trim();
        if !begun {
            if key.trim() != "v" || value != "0" {
                return Err(Error::NotSdp { line: at });
            }
            begun = true;
        }
        match key.trim() {
            "s" if media.is_empty() => value.clone_into(&mut name),
            "m" => {
                if media.len() == MAX_MEDIA {
                    return Err(Error::TooManyMedia { line: at });
                }
                media.push(Section::parse(value).ok_or(Error::MediaLine { line: at })?);
            }
            "a" => {
                let (attribute, value) = value.split_once(':').unwrap_or((value, ""));
                let (attribute, value) = (attribute.trim().to_ascii_lowercase(), value.trim());
                match media.last_mut() {
                    Some(section) => section.attribute(&attribute, value),
                    None if attribute == "control" && !value.is_empty() => {
                        session_control = Some(value.to_owned());
                    }
                    None => {}
                }
            }
            _ => {}
        }
    }
    if media.is_empty() {
        return Err(Error::NoMedia);
    }
    let media = media.into_iter().map(Section::finish).collect();
    Ok(Description {
        name,
        control: session_control,
        media,
    })
}

/// An `m=` section while its lines come in.
struct Section<'a> {
    kind: Kind,
    formats: Vec<u8>,
    rtpmaps: Vec<(u8, Rtpmap<'a>)>,
    fmtps: Vec<(u8, &'a str)>,
    control: Option<&'a str>,
}

#[derive(Clone, Copy)]
struct Rtpmap<'a> {
    encoding: &'a str,
    clock_rate: u32,
    channels: u8,
}

impl<'a> Section<'a> {
    fn parse(value: &'a str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        let kind = match words.next()?.to_ascii_lowercase().as_str() {
            "video" => Kind::Video,
            "audio" => Kind::Audio,
            _ => Kind::Other,
        };
        let (_port, _protocol) = (words.next()?, words.next()?);
        // A format that is no number belongs to a protocol other than RTP.
        let formats: Vec<u8> = words
            .by_ref()
            .take(MAX_FORMATS)
            .filter_map(payload_type)
            .collect();
        if formats.is_empty() && kind != Kind::Other {
            return None;
        }
        Some(Self {
            kind,
            formats,
            rtpmaps: Vec::new(),
            fmtps: Vec::new(),
            control: None,
        })
    }

    fn attribute(&mut self, name: &str, value: &'a str) {
        match name {
            "control" if !value.is_empty() => self.control = Some(value),
            "rtpmap" if self.rtpmaps.len() < MAX_FORMATS => self.rtpmaps.extend(Rtpmap::parse(value)),
            "fmtp" if self.fmtps.len() < MAX_FORMATS => {
                let (format, parameters) = value.split_once([' ', '\t']).unwrap_or((value, ""));
                self.fmtps
                    .extend(payload_type(format).map(|format| (format, parameters)));
            }
            _ => {}
        }
    }

    /// The first format that we can take, else the first of all.
    fn finish(self) -> Media {
        let mut all = self.formats.iter().map(|format| self.media(*format));
        let first = all.next();
        match first {
            Some(media) if media.format == Format::Unsupported => all
                .find(|media| media.format != Format::Unsupported)
                .unwrap_or(media),
            Some(media) => media,
            None => self.media(0),
        }
    }

    fn media(&self, payload_type: u8) -> Media {
        let map = self
            .rtpmaps
            .iter()
            .find(|(format, _)| *format == payload_type)
            .map(|(_, map)| *map);
        let map = map.or_else(|| Rtpmap::of_static_type(payload_type).filter(|_| self.kind != Kind::Other));
        let map = map.unwrap_or(Rtpmap {
            encoding: "",
            clock_rate: 90_000,
            channels: 1,
        });
        let fmtp = self.fmtps.iter().find(|(format, _)| *format == payload_type);
        let fmtp = fmtp.map(|(_, text)| Fmtp::parse(text)).unwrap_or_default();
        Media {
            kind: self.kind,
            payload_type,
            encoding: map.encoding.to_owned(),
            clock_rate: map.clock_rate,
            control: self.control.map(str::to_owned),
            format: format(self.kind, map, &fmtp).unwrap_or(Format::Unsupported),
        }
    }
}

impl<'a> Rtpmap<'a> {
    /// `96 H264/90000` or `97 mpeg4-generic/44100/2`.
    fn parse(value: &'a str) -> Option<(u8, Self)> {
        let (format, map) = value.split_once([' ', '\t'])?;
        let mut parts = map.trim().split('/');
        let encoding = parts.next()?.trim();
        let clock_rate = parts.next()?.trim().parse().ok().filter(|rate| *rate > 0)?;
        let channels = parts.next().and_then(|c| c.trim().parse().ok()).unwrap_or(1);
        Some((
            payload_type(format)?,
            Self {
                encoding,
                clock_rate,
                channels,
            },
        ))
    }

    /// RFC 3551 section 6, the formats that are in use without an `rtpmap`.
    const fn of_static_type(payload_type: u8) -> Option<Self> {
        let (encoding, clock_rate) = match payload_type {
            0 => ("PCMU", 8000),
            3 => ("GSM", 8000),
            8 => ("PCMA", 8000),
            9 => ("G722", 8000),
            14 => ("MPA", 90_000),
            18 => ("G729", 8000),
            26 => ("JPEG", 90_000),
            32 => ("MPV", 90_000),
            33 => ("MP2T", 90_000),
            _ => return None,
        };
        Some(Self {
            encoding,
            clock_rate,
            channels: 1,
        })
    }
}

fn payload_type(text: &str) -> Option<u8> {
    text.trim().parse().ok().filter(|format| *format < 128)
}

/// `None` is unsupported.
fn format(kind: Kind, map: Rtpmap<'_>, fmtp: &Fmtp) -> Option<Format> {
    match (kind, map.encoding.to_ascii_uppercase().as_str()) {
        // Interleaved mode sends NAL units out of order (RFC 6184 section 6.4).
        (Kind::Video, "H264") if fmtp.get("packetization-mode") != Some("2") => {
            Some(Format::H264(fmtp.h264()))
        }
        // So does H.265 with decoding order numbers (RFC 7798 section 4.4.1).
        (Kind::Video, "H265" | "HEVC") => {
            let in_order = fmtp.get("sprop-max-don-diff").is_none_or(|diff| diff == "0");
            in_order.then(|| Format::H265(fmtp.h265()))
        }
        (Kind::Audio, "MPEG4-GENERIC") => {
            let header = fmtp.au_header()?;
            Some(Format::Aac(fmtp.aac(map.clock_rate, map.channels)?, header))
        }
        (Kind::Audio, "MP4A-LATM") => fmtp.latm().map(Format::Latm),
        (Kind::Audio, name @ ("PCMA" | "PCMU")) => {
            let law = if name == "PCMA" {
                g711::Law::A
            } else {
                g711::Law::Mu
            };
            Some(Format::G711(g711::Parameters {
                law,
                channels: map.channels.max(1),
            }))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
