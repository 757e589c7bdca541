//! RTP packets: interleaved on an RTSP connection, so in WebSocket messages, or as datagrams.

use crate::hub::{Form, FormKey, Packed};
use bytes::BytesMut;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use weir_proto::media::{AccessUnit, Timestamp, Tracks};
use weir_proto::rtcp::{NtpTime, SenderReport};
use weir_proto::rtp::Packetizer;
use weir_proto::{sdp, websocket};

/// Tracks that a stream may have in this form.
pub const MOST_TRACKS: usize = 4;
/// Between sender reports (RFC 3550 section 6.2 asks for 5 s on average).
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// By track: the channels of RTP and RTCP; `None` where the track was not set up.
pub type Channels = [Option<(u8, u8)>; MOST_TRACKS];

/// How a viewer wants its packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// On the RTSP connection.
    Interleaved(Channels),
    /// The same, and each packet a binary WebSocket message.
    WebSocket(Channels),
    /// Every packet by itself, marked with [`channel`].
    Datagrams,
}

/// The mark of a piece that travels as datagrams.
pub const fn channel(track: u8, rtcp: bool) -> u8 {
    track * 2 + rtcp as u8
}

impl Layout {
    pub fn key(self) -> FormKey {
        let (name, layout) = match self {
            Self::Datagrams => ("rtp-udp", 0),
            Self::Interleaved(channels) => ("rtp-interleaved", bits(channels)),
            Self::WebSocket(channels) => ("rtp-websocket", bits(channels)),
        };
        FormKey { name, layout }
    }

    fn prefix(&self, track: u8, rtcp: bool) -> Prefix {
        match self {
            Self::Datagrams if usize::from(track) < MOST_TRACKS => Prefix::None,
            Self::Datagrams => Prefix::LeftOut,
            Self::Interleaved(channels) | Self::WebSocket(channels) => {
                match channels.get(usize::from(track)) {
                    Some(Some((_, channel))) if rtcp => Prefix::Channel(*channel),
                    Some(Some((channel, _))) => Prefix::Channel(*channel),
                    _ => Prefix::LeftOut,
                }
            }
        }
    }
}

/// 16 bits a track; a channel pair of equal numbers means "none", as no client asks for it.
fn bits(channels: Channels) -> u64 {
    let bits = |c: Option<(u8, u8)>| c.map_or(0, |(rtp, rtcp)| u64::from(rtp) << 8 | u64::from(rtcp));
    channels.into_iter().fold(0, |key, c| key << 16 | bits(c))
}

/// What stands before each packet of a track.
enum Prefix {
    /// `$`, this channel, and the length.
    Channel(u8),
    /// Nothing: packets are datagrams.
    None,
    /// Nobody has set the track up.
    LeftOut,
}

impl Prefix {
    const fn channel(&self) -> Option<u8> {
        match self {
            Self::Channel(channel) => Some(*channel),
            Self::None | Self::LeftOut => None,
        }
    }
}

/// RTP for all viewers with one layout.
pub struct RtpForm {
    layout: Layout,
    senders: Vec<Sender>,
    session: u64,
    /// Wall-clock time of the stream's origin: the earliest that any access unit's arrival allows. It
    /// stays once a report has told it, or receivers would see time jump.
    origin: Option<Duration>,
    origin_is_told: bool,
    reported: Instant,
    /// Interleaved packets on their way into messages, and where each ends.
    bare: (BytesMut, Vec<u32>),
}

struct Sender {
    packetizer: Packetizer,
    packets: u32,
    bytes: u32,
}

impl RtpForm {
    /// `session` makes SSRCs and first sequence numbers differ between ingest sessions.
    pub fn new(tracks: &Tracks, session: u64, layout: Layout) -> Self {
        let mut form = Self {
            layout,
            senders: Vec::new(),
            session,
            origin: None,
            origin_is_told: false,
            reported: Instant::now(),
            bare: (BytesMut::new(), Vec::new()),
        };
        form.set_tracks(tracks);
        form
    }

    fn set_tracks(&mut self, tracks: &Tracks) {
        let kept = self.senders.len();
        for (index, track) in tracks.iter().enumerate().skip(kept) {
            let ssrc = (self.session >> 16) as u32 ^ (index as u32) << 24 | 1;
            let payload_type = sdp::payload_type(index as u8, track);
            let first = self.session as u16;
            let mut packetizer = Packetizer::new(track, payload_type, ssrc).with_sequence_number(first);
            if matches!(self.layout, Layout::WebSocket(_)) {
                // Streamedian's player (npm, 0.3.13) steps one byte too far over each NAL unit of a STAP-A (RFC 6184 section
                // 5.7.1): what is behind the first is lost, and what it reads in its place no browser decodes.
                packetizer = packetizer.without_aggregation();
            }
            self.senders.push(Sender {
                packetizer,
                packets: 0,
                bytes: 0,
            });
        }
    }

    /// Tells receivers how the tracks' timestamps lie to one wall clock.
    fn reports(&mut self, out: &mut Packed) {
        let Some(origin) = self.origin else { return };
        self.origin_is_told = true;
        let now = wall();
        for index in 0..self.senders.len() {
            let sender = &self.senders[index];
            let index = index as u8;
            let prefix = self.layout.prefix(index, true);
            if matches!(prefix, Prefix::LeftOut) {
                continue;
            }
            let prefix = prefix.channel();
            let since_origin = now.saturating_sub(origin);
            let report = SenderReport {
                ssrc: sender.packetizer.ssrc(),
                ntp: NtpTime::from_unix(now),
                rtp_timestamp: sender
                    .packetizer
                    .rtp_timestamp(Timestamp::new(since_origin.as_micros() as i64, 1_000_000)),
                packets: sender.packets,
                payload_bytes: sender.bytes,
            };
            if let Layout::WebSocket(_) = self.layout {
                let (packet, ends) = &mut self.bare;
                interleave(&report, prefix.unwrap_or_default(), packet);
                ends.push(packet.len() as u32);
                self.messages(out);
            } else if let Some(channel) = prefix {
                interleave(&report, channel, &mut out.buffer);
            } else {
                report.write("weir", &mut out.buffer);
                out.ends.push(out.buffer.len() as u32);
            }
            out.cut(channel(index, true), false);
        }
    }

    /// Makes each packet in `bare` a binary message. Headers differ in length, which is why packets
    /// can't be written between them at once; the copy is one for all viewers.
    fn messages(&mut self, out: &mut Packed) {
        let (packets, ends) = &mut self.bare;
        out.buffer
            .reserve(packets.len() + ends.len() * websocket::MAX_HEADER);
        let mut start = 0;
        for end in ends.drain(..) {
            let packet = &packets[start..end as usize];
            let mut header = [0; websocket::MAX_HEADER];
            let used = websocket::binary_header(packet.len(), &mut header);
            out.buffer.extend_from_slice(&header[..used]);
            out.buffer.extend_from_slice(packet);
            start = end as usize;
        }
        packets.clear();
    }
}

/// A report behind `$`, channel and length.
fn interleave(report: &SenderReport, channel: u8, buffer: &mut BytesMut) {
    let start = buffer.len();
    buffer.extend_from_slice(&[b'$', channel, 0, 0]);
    report.write("weir", buffer);
    let length = (buffer.len() - start - 4) as u16;
    buffer[start + 2..start + 4].copy_from_slice(&length.to_be_bytes());
}

fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl Form for RtpForm {
    fn start(&mut self, _: &Tracks, out: &mut Packed) {
        self.reports(out);
    }

    fn unit(&mut self, tracks: &Tracks, unit: &AccessUnit, out: &mut Packed) {
        let prefix = self.layout.prefix(unit.track, false);
        if matches!(prefix, Prefix::LeftOut) {
            return;
        }
        let prefix = prefix.channel();
        let Some(track) = tracks.get(unit.track) else {
            return;
        };
        let Some(sender) = self.senders.get_mut(usize::from(unit.track)) else {
            return;
        };
        if !self.origin_is_told {
            let since_origin = Duration::from_micros(unit.dts.as_micros().max(0) as u64);
            let origin = wall().saturating_sub(since_origin);
            self.origin = Some(self.origin.map_or(origin, |known| known.min(origin)));
        }
        let (buffer, ends) = match self.layout {
            Layout::WebSocket(_) => (&mut self.bare.0, &mut self.bare.1),
            Layout::Interleaved(_) | Layout::Datagrams => (&mut out.buffer, &mut out.ends),
        };
        let (start, first_end) = (buffer.len(), ends.len());
        sender.packetizer.packetize(track, unit, prefix, buffer, ends);
        sender.packets = sender.packets.wrapping_add((ends.len() - first_end) as u32);
        sender.bytes = sender.bytes.wrapping_add((buffer.len() - start) as u32);
        match self.layout {
            Layout::WebSocket(_) => self.messages(out),
            // Only datagrams need to know where packets end.
            Layout::Interleaved(_) => out.ends.truncate(first_end),
            Layout::Datagrams => {}
        }
        out.cut(channel(unit.track, false), unit.keyframe);
        if self.reported.elapsed() >= REPORT_EVERY {
            self.reported = Instant::now();
            self.reports(out);
        }
    }

    fn tracks_changed(&mut self, tracks: &Tracks, _: &mut Packed) {
        // Parameter sets go in band, before each keyframe.
        self.set_tracks(tracks);
    }

    fn end(&mut self, out: &mut Packed) {
        if let Layout::WebSocket(_) = self.layout {
            out.buffer.extend_from_slice(&websocket::close(1000));
            out.cut(0, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_proto::media::codec::g711::{Law, Parameters};
    use weir_proto::media::{CodecParameters, Track};
    use weir_proto::rtcp::{self, Packet};
    use weir_proto::testing::h264_aac;

    #[test]
    fn reports_of_one_form_never_contradict_each_other() {
        let codec = CodecParameters::G711(Parameters {
            law: Law::A,
            channels: 1,
        });
        let tracks = Tracks::new([Track {
            codec,
            clock_rate: 8000,
        }]);
        let mut form = RtpForm::new(&tracks, 1, Layout::Datagrams);
        let mut out = Packed::default();
        // The second arrives 10 s before its time, as when a source's clock runs fast.
        let mut told = [0, 10_000].map(|ms| {
            let at = Timestamp::from_millis(ms);
            let unit = AccessUnit {
                track: 0,
                pts: at,
                dts: at,
                keyframe: true,
                segment: None,
                data: vec![0; 160].into(),
            };
            form.unit(&tracks, &unit, &mut out);
            out.buffer.clear();
            form.start(&tracks, &mut out);
            match rtcp::parse(&out.buffer).expect("our own report").remove(0) {
                Packet::SenderReport(report, _) => report,
                other => panic!("{other:?}"),
            }
        });
        let [first, second] = &mut told;
        let micros = ((second.ntp.0 - first.ntp.0) as u128 * 1_000_000) >> 32;
        let ticks = i128::from(second.rtp_timestamp.wrapping_sub(first.rtp_timestamp));
        assert!(
            (ticks - micros as i128 * 8000 / 1_000_000).abs() <= 1,
            "{first:?}, {second:?}"
        );
    }

    #[test]
    fn each_packet_is_a_message_of_its_own() {
        let clip = h264_aac();
        // The second track's channels take part; the first is left out in one of the layouts.
        for channels in [
            [Some((0, 1)), Some((2, 3)), None, None],
            [None, Some((4, 5)), None, None],
        ] {
            let mut form = RtpForm::new(&clip.tracks, 7, Layout::WebSocket(channels));
            let mut out = Packed::default();
            for unit in &clip.access_units[..50] {
                form.unit(&clip.tracks, unit, &mut out);
            }
            let mut messages = out.buffer;
            let mut count = 0;
            while !messages.is_empty() {
                let (length, header) = match messages[1] {
                    126 => (u16::from_be_bytes([messages[2], messages[3]]), 4),
                    short => (short.into(), 2),
                };
                assert_eq!(messages[0], 0x82, "a final binary message");
                let packet = messages.split_to(header + usize::from(length)).split_off(header);
                assert_eq!(packet[0], b'$');
                let told = u16::from_be_bytes([packet[2], packet[3]]);
                assert_eq!(usize::from(told) + 4, packet.len());
                let is_video = packet[1] == 0 && channels[0].is_some();
                // RFC 6184 section 5.4: 24 is a STAP-A.
                assert!(!is_video || packet[16] & 0x1f != 24, "NAL units share a packet");
                count += 1;
            }
            assert!(count >= 20, "{count} messages");
        }
    }

    #[test]
    fn reports_and_the_end_are_messages_too() {
        let clip = h264_aac();
        let channels = [Some((0, 1)), None, None, None];
        let mut form = RtpForm::new(&clip.tracks, 7, Layout::WebSocket(channels));
        let mut out = Packed::default();
        form.unit(&clip.tracks, &clip.access_units[0], &mut out);
        out.buffer.clear();
        form.start(&clip.tracks, &mut out);
        // Longer than a header of two bytes could tell, or not; the packet knows itself.
        let report = match out.buffer[1] {
            126 => &out.buffer[4..],
            _ => &out.buffer[2..],
        };
        assert_eq!(report[..2], [b'$', 1]);
        let told = u16::from_be_bytes([report[2], report[3]]);
        assert_eq!(usize::from(told) + 4, report.len());
        assert!(rtcp::parse(&report[4..]).is_ok());
        out.buffer.clear();
        form.end(&mut out);
        assert_eq!(out.buffer, websocket::close(1000));
    }

    #[test]
    fn layouts_have_keys_of_their_own() {
        let channels = [Some((0, 1)), None, Some((2, 3)), None];
        let keys = [
            Layout::Datagrams,
            Layout::Interleaved(channels),
            Layout::WebSocket(channels),
            Layout::WebSocket([Some((0, 1)), Some((2, 3)), None, None]),
        ]
        .map(Layout::key);
        for (i, key) in keys.iter().enumerate() {
            assert!(!keys[..i].contains(key), "{key:?}");
        }
    }
}
