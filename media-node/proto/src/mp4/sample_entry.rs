//! The `stsd` box: what a track's samples are (ISO/IEC 14496-12 section 8.5.2, 14496-14, 14496-15).

use super::boxes::{Fields, child, children};
use super::{Error, FourCc};
use crate::media::CodecParameters;
use crate::media::codec::{aac, g711, h264, h265};
use bytes::Bytes;

/// What is needed to turn samples into access units, beyond the codec parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Description {
    /// Bytes of the length before each NAL unit; 0 for audio.
    pub(super) length_size: u8,
    /// Parameter sets that go before every keyframe, beyond those of the codec parameters.
    pub(super) further: Vec<Bytes>,
}

/// The first sample entry; the inner error is its type, when no codec known here.
pub(crate) fn parse(stsd: Bytes) -> Result<Result<(CodecParameters, Description), FourCc>, Error> {
    const STSD: FourCc = FourCc(*b"stsd");
    let (mut fields, _) = Fields::full(*b"stsd", stsd)?;
    fields.u32()?; // entry_count
    let entries = fields.rest();
    let (kind, entry) = children(STSD, &entries).next().ok_or(Error::Missing(STSD))??;
    let found = match &kind.0 {
        b"avc1" | b"avc3" => video(kind, entry, *b"avcC")?.and_then(|avcc| {
            let record = h264::Record::parse(&avcc).ok()?;
            let description = Description {
                length_size: record.length_size,
                further: record.further,
            };
            Some((CodecParameters::H264(record.parameters), description))
        }),
        b"hvc1" | b"hev1" => video(kind, entry, *b"hvcC")?.and_then(|hvcc| {
            let record = h265::Record::parse(&hvcc).ok()?;
            let description = Description {
                length_size: record.length_size,
                further: record.further,
            };
            Some((CodecParameters::H265(record.parameters), description))
        }),
        b"mp4a" => audio_config(kind, entry)?.and_then(|config| {
            let parameters = aac::Parameters::parse(config).ok()?;
            Some((
                CodecParameters::Aac(parameters),
                Description {
                    length_size: 0,
                    further: Vec::new(),
                },
            ))
        }),
        _ => None,
    };
    Ok(found.ok_or(kind))
}

/// The first sample entry, if it is G.711 as fragments have it: some milliseconds a sample. Files of others have a sample
/// for each byte, which is why [`parse`] knows none.
pub(crate) fn g711(stsd: Bytes) -> Result<Option<CodecParameters>, Error> {
    const STSD: FourCc = FourCc(*b"stsd");
    let (mut fields, _) = Fields::full(*b"stsd", stsd)?;
    fields.u32()?; // entry_count
    let entries = fields.rest();
    let (kind, entry) = children(STSD, &entries).next().ok_or(Error::Missing(STSD))??;
    let law = match &kind.0 {
        b"alaw" => g711::Law::A,
        b"ulaw" => g711::Law::Mu,
        _ => return Ok(None),
    };
    let mut fields = Fields::new(kind.0, entry);
    fields.skip(16)?; // reserved, data_reference_index, reserved
    let channels = fields.u16()?;
    let channels = u8::try_from(channels).map_err(|_| fields.out_of_range("channelcount", channels))?;
    Ok(Some(CodecParameters::G711(g711::Parameters { law, channels })))
}

/// A box inside a `VisualSampleEntry`.
fn video(kind: FourCc, entry: Bytes, wanted: [u8; 4]) -> Result<Option<Bytes>, Error> {
    let mut fields = Fields::new(kind.0, entry);
    fields.skip(78)?;
    child(kind, &fields.rest(), wanted)
}

/// The `AudioSpecificConfig` inside an `AudioSampleEntry`, or in the two longer forms of it that `.mov` files have.
fn audio_config(kind: FourCc, entry: Bytes) -> Result<Option<Bytes>, Error> {
    let mut fields = Fields::new(kind.0, entry);
    fields.skip(8)?; // reserved, data_reference_index
    let version = fields.u16()?;
    fields.skip(18)?;
    match version {
        1 => fields.skip(16)?,
        2 => fields.skip(36)?,
        _ => {}
    }
    let rest = fields.rest();
    let esds = match child(kind, &rest, *b"esds")? {
        Some(esds) => Some(esds),
        None => match child(kind, &rest, *b"wave")? {
            Some(wave) => child(FourCc(*b"wave"), &wave, *b"esds")?,
            None => None,
        },
    };
    esds.map_or(Ok(None), decoder_specific_info)
}

/// `DecoderSpecificInfo` in an `esds` box (ISO/IEC 14496-1 section 7.2.6); none for other codecs
/// that share the sample entry, such as MP3.
fn decoder_specific_info(esds: Bytes) -> Result<Option<Bytes>, Error> {
    const ES: u8 = 3;
    const DECODER_CONFIG: u8 = 4;
    const DECODER_SPECIFIC_INFO: u8 = 5;
    let (mut es, _) = Fields::full(*b"esds", esds)?;
    let (tag, body) = descriptor(&mut es)?;
    if tag != ES {
        return Ok(None);
    }
    let mut es = Fields::new(*b"esds", body);
    es.skip(2)?; // ES_ID
    let flags = es.u8()?;
    if flags & 0x80 != 0 {
        es.skip(2)?; // dependsOn_ES_ID
    }
    if flags & 0x40 != 0 {
        let url = es.u8()?;
        es.skip(usize::from(url))?;
    }
    if flags & 0x20 != 0 {
        es.skip(2)?; // OCR_ES_Id
    }
    let (tag, body) = descriptor(&mut es)?;
    let mut config = Fields::new(*b"esds", body);
    // MPEG-4 audio, or MPEG-2 AAC in its three profiles
    if tag != DECODER_CONFIG || !matches!(config.u8()?, 0x40 | 0x66..=0x68) {
        return Ok(None);
    }
    config.skip(12)?; // stream type, buffer size, bit rates
    let (tag, info) = descriptor(&mut config)?;
    Ok((tag == DECODER_SPECIFIC_INFO).then_some(info))
}

/// A descriptor's tag and body. A length takes up to four bytes of seven bits.
fn descriptor(fields: &mut Fields) -> Result<(u8, Bytes), Error> {
    let tag = fields.u8()?;
    let mut length = 0;
    for _ in 0..4 {
        let byte = fields.u8()?;
        length = length << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    Ok((tag, fields.take(length)?))
}
