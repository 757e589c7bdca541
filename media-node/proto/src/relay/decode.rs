//! Bytes into messages.

use super::{EndReason, Hello, MAGIC, MAX_MESSAGE, MAX_TRACKS, Message, VERSION};
use crate::media::codec::{aac, g711, h264, h265};
use crate::media::{AccessUnit, CodecParameters, SegmentStart, Timestamp, Track, Tracks};
use bytes::{Buf, Bytes, BytesMut};

/// What the sender wrote is not this protocol. Offsets count bytes since the body began.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("byte {offset}: relay message of {length} bytes, 1 to {MAX_MESSAGE} are taken")]
    Length { offset: u64, length: usize },
    #[error("byte {offset}: relay does not begin with a hello")]
    NoHello { offset: u64 },
    #[error("byte {offset}: relay version {version}, this is {VERSION}")]
    Version { offset: u64, version: u8 },
    #[error("byte {offset}: {what} ends early")]
    Truncated { offset: u64, what: &'static str },
    #[error("byte {offset}: {what} has a value that nobody can mean")]
    Value { offset: u64, what: &'static str },
    #[error("byte {offset}: access unit of track {track}, of which nothing was said")]
    UnknownTrack { offset: u64, track: u8 },
}

/// Cuts what arrives into messages. Payloads share the receive buffer.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    offset: u64,
    hello: bool,
    /// Of the tracks in force.
    tracks: u8,
    /// Of the next segment, and whether it opens it.
    era: (u64, bool),
}

impl Decoder {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one message off the front of `input`; `None` when more bytes are needed. At most
    /// [`MAX_MESSAGE`] bytes wait in the buffer.
    ///
    /// # Errors
    /// The connection is of no use any more.
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Message>, Error> {
        loop {
            let Some(length) = input.first_chunk::<4>() else {
                return Ok(None);
            };
            let length = u32::from_be_bytes(*length) as usize;
            let offset = self.offset;
            if length == 0 || length > MAX_MESSAGE {
                return Err(Error::Length { offset, length });
            }
            // Whatever else answers the port is found out before its "length" has arrived.
            let kind = input.get(4).copied();
            if !self.hello && kind.is_some_and(|kind| kind != 0) {
                return Err(Error::NoHello { offset });
            }
            if input.len() < 4 + length {
                return Ok(None);
            }
            let mut body = input.split_to(4 + length).freeze();
            body.advance(5);
            self.offset += 4 + length as u64;
            let reader = Reader {
                offset: offset + 5,
                body,
            };
            match kind {
                Some(0) => return self.hello(reader).map(Some),
                Some(1) => return self.tracks(reader).map(Some),
                Some(2) => return self.unit(reader).map(Some),
                Some(5) => self.era(reader)?,
                Some(3) => return Ok(Some(Message::Keepalive)),
                Some(4) => return end(reader).map(Some),
                _ => {}
            }
        }
    }

    fn hello(&mut self, mut reader: Reader) -> Result<Message, Error> {
        let what = "hello";
        let offset = reader.offset;
        if reader.take(4, what)? != MAGIC[..] {
            return Err(Error::NoHello { offset });
        }
        let version = reader.u8(what)?;
        if version != VERSION {
            return Err(Error::Version { offset, version });
        }
        let session = reader.u64(what)?;
        let name = String::from_utf8_lossy(&reader.bytes(what)?).into_owned();
        self.hello = true;
        self.tracks = 0;
        Ok(Message::Hello(Hello { session, name }))
    }

    fn tracks(&mut self, mut reader: Reader) -> Result<Message, Error> {
        let what = "tracks";
        let count = reader.u8(what)?;
        if usize::from(count) > MAX_TRACKS {
            return Err(reader.value(what));
        }
        let tracks: Vec<_> = (0..count).map(|_| track(&mut reader)).collect::<Result<_, _>>()?;
        self.tracks = count;
        Ok(Message::Tracks(Tracks::new(tracks)))
    }

    fn era(&mut self, mut reader: Reader) -> Result<(), Error> {
        let what = "era";
        self.era = (reader.u64(what)?, reader.u8(what)? & 1 != 0);
        Ok(())
    }

    fn unit(&mut self, mut reader: Reader) -> Result<Message, Error> {
        let what = "access unit";
        let offset = reader.offset;
        let track = reader.u8(what)?;
        if track >= self.tracks {
            return Err(Error::UnknownTrack { offset, track });
        }
        let flags = reader.u8(what)?;
        let clock_rate = reader.u32(what)?;
        if clock_rate == 0 {
            return Err(reader.value("clock rate"));
        }
        let (pts, dts) = (reader.i64(what)?, reader.i64(what)?);
        let segment = if flags & 2 == 0 {
            None
        } else {
            let number = reader.u64(what)?;
            let (era, opens_era) = std::mem::take(&mut self.era);
            Some(SegmentStart {
                number,
                era,
                opens_era,
            })
        };
        Ok(Message::Unit(AccessUnit {
            track,
            pts: Timestamp::new(pts, clock_rate),
            dts: Timestamp::new(dts, clock_rate),
            keyframe: flags & 1 != 0,
            segment,
            data: reader.body,
        }))
    }
}

fn end(mut reader: Reader) -> Result<Message, Error> {
    Ok(Message::End(match reader.u8("end")? {
        0 => EndReason::Ended,
        1 => EndReason::Moved,
        2 => EndReason::TooSlow,
        3 => EndReason::Replaced,
        code => EndReason::Other(code),
    }))
}

fn track(reader: &mut Reader) -> Result<Track, Error> {
    let what = "track";
    let codec = reader.u8(what)?;
    let clock_rate = reader.u32(what)?;
    if clock_rate == 0 {
        return Err(reader.value("clock rate"));
    }
    let codec = match codec {
        1 => {
            let (sps, pps) = (reader.bytes(what)?, reader.bytes(what)?);
            let Picture {
                width,
                height,
                frame_rate,
            } = picture(reader)?;
            CodecParameters::H264(h264::Parameters {
                sps,
                pps,
                width,
                height,
                frame_rate,
            })
        }
        2 => {
            let (vps, sps, pps) = (reader.bytes(what)?, reader.bytes(what)?, reader.bytes(what)?);
            let Picture {
                width,
                height,
                frame_rate,
            } = picture(reader)?;
            CodecParameters::H265(h265::Parameters {
                vps,
                sps,
                pps,
                width,
                height,
                frame_rate,
            })
        }
        3 => CodecParameters::Aac(aac::Parameters {
            config: reader.bytes(what)?,
            sample_rate: reader.u32(what)?,
            channels: reader.u8(what)?,
        }),
        4 => {
            let law = match reader.u8(what)? {
                0 => g711::Law::A,
                1 => g711::Law::Mu,
                _ => return Err(reader.value("law")),
            };
            CodecParameters::G711(g711::Parameters {
                law,
                channels: reader.u8(what)?,
            })
        }
        _ => return Err(reader.value("codec")),
    };
    Ok(Track { codec, clock_rate })
}

/// What is sent of a picture besides its parameter sets.
struct Picture {
    width: u16,
    height: u16,
    frame_rate: Option<(u32, u32)>,
}

fn picture(reader: &mut Reader) -> Result<Picture, Error> {
    let what = "picture size";
    let (width, height) = (reader.u16(what)?, reader.u16(what)?);
    let rate = (reader.u32(what)?, reader.u32(what)?);
    let frame_rate = (rate.0 > 0 && rate.1 > 0).then_some(rate);
    Ok(Picture {
        width,
        height,
        frame_rate,
    })
}

/// What is left of a body.
struct Reader {
    offset: u64,
    body: Bytes,
}

impl Reader {
    fn take(&mut self, length: usize, what: &'static str) -> Result<Bytes, Error> {
        if self.body.len() < length {
            return Err(Error::Truncated {
                offset: self.offset,
                what,
            });
        }
        self.offset += length as u64;
        Ok(self.body.split_to(length))
    }

    const fn value(&self, what: &'static str) -> Error {
        Error::Value {
            offset: self.offset,
            what,
        }
    }

    fn u8(&mut self, what: &'static str) -> Result<u8, Error> {
        Ok(self.take(1, what)?.get_u8())
    }

    fn u16(&mut self, what: &'static str) -> Result<u16, Error> {
        Ok(self.take(2, what)?.get_u16())
    }

    fn u32(&mut self, what: &'static str) -> Result<u32, Error> {
        Ok(self.take(4, what)?.get_u32())
    }

    fn u64(&mut self, what: &'static str) -> Result<u64, Error> {
        Ok(self.take(8, what)?.get_u64())
    }

    fn i64(&mut self, what: &'static str) -> Result<i64, Error> {
        Ok(self.take(8, what)?.get_i64())
    }

    fn bytes(&mut self, what: &'static str) -> Result<Bytes, Error> {
        let length = self.u16(what)?;
        self.take(usize::from(length), what)
    }
}
