//! Access units into RTP packets: the hot path of every RTSP viewer.
//!
//! An access unit is laid out once, all its packets one after the other, and the result is shared
//! by every viewer of that layout. So this module writes straight into the caller's buffer: one
//! growth of it per access unit at most, nothing allocated per packet. Payload formats:
//!
//! | codec | format | layout |
//! |---|---|---|
//! | H.264 | RFC 6184, mode 1 | small NAL units together in a STAP-A, large ones in FU-As |
//! | H.265 | RFC 7798, no DONL | small NAL units together in an AP, large ones in FUs |
//! | AAC | RFC 3640, AAC-hbr | one access unit a packet, a large one in fragments |
//! | G.711 | RFC 3551 | the samples as they are |

use super::header::{HEADER_LENGTH, Header};
use crate::media::codec::nal;
use crate::media::{AccessUnit, Codec, CodecParameters, Timestamp, Track};
use bytes::{BufMut, BytesMut};

/// Bytes of payload in a packet, at most: with RTP, UDP and IPv6 headers this stays well under
/// 1500, also inside a tunnel.
pub const MAX_PAYLOAD: usize = 1400;

/// The prefix of a packet on an RTSP connection: `$`, channel, length (RFC 2326 section 10.12).
pub const INTERLEAVED_PREFIX: usize = 4;

/// Packs the access units of one track, numbering the packets as it goes.
#[derive(Clone, Debug)]
pub struct Packetizer {
    codec: Codec,
    clock_rate: u32,
    payload_type: u8,
    ssrc: u32,
    sequence_number: u16,
    /// Whether small NAL units share packets.
    aggregates: bool,
}

impl Packetizer {
    /// For a track of this codec and clock rate. The first packet is number 0; see
    /// [`Self::with_sequence_number`].
    pub const fn new(track: &Track, payload_type: u8, ssrc: u32) -> Self {
        Self {
            codec: track.codec.codec(),
            clock_rate: track.clock_rate,
            payload_type,
            ssrc,
            sequence_number: 0,
            aggregates: true,
        }
    }

    /// Starts at another sequence number; a random one is what RFC 3550 asks for.
    #[must_use]
    pub const fn with_sequence_number(mut self, sequence_number: u16) -> Self {
        self.sequence_number = sequence_number;
        self
    }

    /// Gives each NAL unit packets of its own, which every receiver can take apart.
    #[must_use]
    pub const fn without_aggregation(mut self) -> Self {
        self.aggregates = false;
        self
    }

    /// The sequence number of the next packet.
    pub const fn sequence_number(&self) -> u16 {
        self.sequence_number
    }

    pub const fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// The RTP timestamp of a point in media time: ticks of the track's clock, modulo 2^32.
    pub const fn rtp_timestamp(&self, time: Timestamp) -> u32 {
        time.rescale(self.clock_rate) as u32
    }

    /// Appends the packets of `au` to `out`, each behind `$`, channel and length if a channel is
    /// given, and the end offset of each in `out` to `ends`.
    ///
    /// `track` carries the parameter sets, which are sent in front of each keyframe. Of an
    /// access unit that is empty, damaged from its first byte, or of a size the format can't say
    /// (AAC above 8191 bytes) nothing is sent.
    pub fn packetize(
        &mut self,
        track: &Track,
        au: &AccessUnit,
        channel: Option<u8>,
        out: &mut BytesMut,
        ends: &mut Vec<u32>,
    ) {
        let per_packet = INTERLEAVED_PREFIX + HEADER_LENGTH + 4;
        out.reserve(au.data.len() + (au.data.len() / (MAX_PAYLOAD - 8) + 4) * per_packet + 512);
        let timestamp = self.rtp_timestamp(au.pts);
        let mut writer = Writer {
            packetizer: self,
            channel,
            timestamp,
            out,
            ends,
            start: 0,
            first: true,
        };
        match &track.codec {
            CodecParameters::H264(p) => {
                let mut nals = NalWriter::new(&mut writer, &H264);
                if au.keyframe {
                    nals.unit(&p.sps);
                    nals.unit(&p.pps);
                }
                nal::units(&au.data).for_each(|unit| nals.unit(unit));
                nals.flush();
                writer.mark_last();
            }
            CodecParameters::H265(p) => {
                let mut nals = NalWriter::new(&mut writer, &H265);
                if au.keyframe {
                    nals.unit(&p.vps);
                    nals.unit(&p.sps);
                    nals.unit(&p.pps);
                }
                nal::units(&au.data).for_each(|unit| nals.unit(unit));
                nals.flush();
                writer.mark_last();
            }
            CodecParameters::Aac(_) => {
                writer.aac(&au.data);
                writer.mark_last();
            }
            CodecParameters::G711(p) => writer.g711(&au.data, usize::from(p.channels.max(1))),
        }
    }

    /// The codec this packetizer was made for; a track that changed its codec needs a new one.
    pub const fn codec(&self) -> Codec {
        self.codec
    }
}

/// The packets of one access unit in the making.
struct Writer<'a> {
    packetizer: &'a mut Packetizer,
    channel: Option<u8>,
    timestamp: u32,
    out: &'a mut BytesMut,
    ends: &'a mut Vec<u32>,
    /// Offset in `out` of the packet being written, at its prefix if there is one.
    start: usize,
    first: bool,
}

impl Writer<'_> {
    /// Writes prefix and header; the payload follows, then [`Self::end`].
    fn begin(&mut self) {
        self.first = false;
        self.start = self.out.len();
        if let Some(channel) = self.channel {
            self.out.put_slice(&[b'$', channel, 0, 0]);
        }
        let header = Header {
            marker: false,
            payload_type: self.packetizer.payload_type,
            sequence_number: self.packetizer.sequence_number,
            timestamp: self.timestamp,
            ssrc: self.packetizer.ssrc,
        };
        header.write(self.out);
        self.packetizer.sequence_number = self.packetizer.sequence_number.wrapping_add(1);
    }

    /// Fills in the length that [`Self::begin`] left open.
    fn end(&mut self) {
        if self.channel.is_some() {
            let length = (self.out.len() - self.start - INTERLEAVED_PREFIX) as u16;
            self.out[self.start + 2..self.start + 4].copy_from_slice(&length.to_be_bytes());
        }
        self.ends.push(self.out.len() as u32);
    }

    /// Sets the marker bit of the last packet, if this access unit made any.
    fn mark_last(&mut self) {
        if !self.first {
            let prefix = if self.channel.is_some() {
                INTERLEAVED_PREFIX
            } else {
                0
            };
            self.out[self.start + prefix + 1] |= 0x80;
        }
    }

    /// ```text
    /// +----------------------+---------------+-----------+
    /// | AU headers, in bits  | AU size       | AU index  |  then the access unit
    /// | = 16 (16 bits)       | (13 bits)     | 0 (3)     |  or a fragment of it
    /// +----------------------+---------------+-----------+
    /// ```
    /// RFC 3640 section 3.2; every fragment carries the size of the whole (section 3.2.3.1).
    fn aac(&mut self, data: &[u8]) {
        const MAX_SIZE: usize = (1 << 13) - 1;
        if data.len() > MAX_SIZE {
            return;
        }
        for fragment in data.chunks(MAX_PAYLOAD - 4) {
            self.begin();
            self.out.put_u16(16);
            self.out.put_u16((data.len() as u16) << 3);
            self.out.put_slice(fragment);
            self.end();
        }
    }

    /// RFC 3551 section 4.5.14. No marker: there is no silence suppression here, so no talkspurt
    /// begins (section 4.1).
    fn g711(&mut self, data: &[u8], channels: usize) {
        let whole_samples = MAX_PAYLOAD - MAX_PAYLOAD % channels;
        for samples in data.chunks(whole_samples) {
            self.begin();
            self.out.put_slice(samples);
            self.end();
            self.timestamp = self.timestamp.wrapping_add((samples.len() / channels) as u32);
        }
    }
}

/// What differs between the payload formats of H.264 and H.265.
struct Format {
    /// Bytes of a NAL unit header.
    header: usize,
    /// Writes the header of an aggregation packet whose first NAL unit is given.
    aggregate: fn(&mut BytesMut, &[u8]),
    /// Merges the header of a further NAL unit into the aggregation packet's, at this offset.
    merge: fn(&mut [u8], &[u8]),
    /// Writes payload header and FU header of a fragment; the flags are 0x80 start, 0x40 end.
    fragment: fn(&mut BytesMut, &[u8], u8),
    /// Bytes of both.
    fragment_header: usize,
}

/// NAL unit types that RFC 6184 adds (section 5.2).
const STAP_A: u8 = 24;
const FU_A: u8 = 28;
/// NAL unit types that RFC 7798 adds (section 4.4).
const AP: u8 = 48;
const FU: u8 = 49;

/// RFC 6184 sections 5.7.1 (STAP-A) and 5.8 (FU-A).
const H264: Format = Format {
    header: 1,
    aggregate: |out, unit| out.put_u8((unit[0] & 0x60) | STAP_A),
    // F is the OR, NRI the maximum of all (section 5.3).
    merge: |header, unit| {
        let nri = (header[0] & 0x60).max(unit[0] & 0x60);
        header[0] = (header[0] & 0x9f) | nri;
    },
    fragment: |out, unit, flags| out.put_slice(&[(unit[0] & 0xe0) | FU_A, flags | (unit[0] & 0x1f)]),
    fragment_header: 2,
};

/// RFC 7798 sections 4.4.2 (AP) and 4.4.3 (FU), without DONL fields.
///
/// ```text
/// | F | type (6 bits) | layer id (6 bits) | temporal id + 1 (3 bits) |
/// ```
const H265: Format = Format {
    header: 2,
    aggregate: |out, unit| out.put_slice(&[(unit[0] & 0x81) | (AP << 1), unit[1]]),
    // Layer id and temporal id are the lowest of all (section 4.4.2).
    merge: |header, unit| {
        let layer = |h: &[u8]| (u16::from(h[0] & 1) << 5) | u16::from(h[1] >> 3);
        let layer_id = layer(header).min(layer(unit));
        let temporal_id = (header[1] & 7).min(unit[1] & 7);
        header[0] = (header[0] & 0xfe) | (layer_id >> 5) as u8;
        header[1] = ((layer_id as u8) << 3) | temporal_id;
    },
    fragment: |out, unit, flags| {
        out.put_slice(&[
            (unit[0] & 0x81) | (FU << 1),
            unit[1],
            flags | ((unit[0] >> 1) & 0x3f),
        ]);
    },
    fragment_header: 3,
};

/// Bytes of the length in front of each NAL unit of an aggregation packet.
const AGGREGATE_LENGTH: usize = 2;

/// Spreads NAL units over packets. A small one is held back until the next shows whether the two
/// can share a packet.
struct NalWriter<'w, 'a, 'n> {
    writer: &'w mut Writer<'a>,
    format: &'static Format,
    open: Open<'n>,
}

enum Open<'n> {
    Nothing,
    /// One NAL unit, not written yet.
    Single(&'n [u8]),
    /// An aggregation packet, begun in the buffer.
    Aggregate,
}

impl<'w, 'a, 'n> NalWriter<'w, 'a, 'n> {
    const fn new(writer: &'w mut Writer<'a>, format: &'static Format) -> Self {
        Self {
            writer,
            format,
            open: Open::Nothing,
        }
    }

    fn unit(&mut self, unit: &'n [u8]) {
        // A NAL unit without anything behind its header says nothing, and can't be fragmented.
        if unit.len() <= self.format.header {
            return;
        }
        let added = AGGREGATE_LENGTH + unit.len();
        match self.open {
            Open::Single(held)
                if self.writer.packetizer.aggregates
                    && self.format.header + AGGREGATE_LENGTH + held.len() + added <= MAX_PAYLOAD =>
            {
                self.writer.begin();
                (self.format.aggregate)(self.writer.out, held);
                self.append(held);
                self.append(unit);
                self.open = Open::Aggregate;
            }
            Open::Aggregate if self.payload_length() + added <= MAX_PAYLOAD => self.append(unit),
            _ => {
                self.flush();
                if unit.len() <= MAX_PAYLOAD {
                    self.open = Open::Single(unit);
                } else {
                    self.fragments(unit);
                }
            }
        }
    }

    /// Ends the packet in the making, if there is one.
    fn flush(&mut self) {
        match std::mem::replace(&mut self.open, Open::Nothing) {
            Open::Nothing => {}
            Open::Single(unit) => {
                self.writer.begin();
                self.writer.out.put_slice(unit);
                self.writer.end();
            }
            Open::Aggregate => self.writer.end(),
        }
    }

    fn append(&mut self, unit: &[u8]) {
        self.writer.out.put_u16(unit.len() as u16);
        self.writer.out.put_slice(unit);
        let payload = self.payload_start();
        (self.format.merge)(&mut self.writer.out[payload..payload + self.format.header], unit);
    }

    fn fragments(&mut self, unit: &[u8]) {
        let body = &unit[self.format.header..];
        let pieces = body.chunks(MAX_PAYLOAD - self.format.fragment_header);
        let last = pieces.len() - 1;
        for (i, piece) in pieces.enumerate() {
            let flags = if i == 0 { 0x80 } else { 0 } | if i == last { 0x40 } else { 0 };
            self.writer.begin();
            (self.format.fragment)(self.writer.out, unit, flags);
            self.writer.out.put_slice(piece);
            self.writer.end();
        }
    }

    fn payload_start(&self) -> usize {
        let prefix = if self.writer.channel.is_some() {
            INTERLEAVED_PREFIX
        } else {
            0
        };
        self.writer.start + prefix + HEADER_LENGTH
    }

    fn payload_length(&self) -> usize {
        self.writer.out.len() - self.payload_start()
    }
}

#[cfg(test)]
mod tests;
