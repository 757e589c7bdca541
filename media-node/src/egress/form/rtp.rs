//! RTP packets, interleaved on an RTSP connection or as datagrams.

use crate::hub::{Form, FormKey, Packed};
use bytes::BytesMut;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use weir_proto::media::{AccessUnit, Timestamp, Tracks};
use weir_proto::rtcp::{NtpTime, SenderReport};
use weir_proto::rtp::Packetizer;
use weir_proto::sdp;

/// Tracks that a stream may have in this form.
pub const MOST_TRACKS: usize = 4;
/// Between sender reports (RFC 3550 section 6.2 asks for 5 s on average).
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// How a viewer wants its packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// By track: the channels of RTP and RTCP on the RTSP connection; `None` where the track was not
    /// set up.
    Interleaved([Option<(u8, u8)>; MOST_TRACKS]),
    /// Every packet by itself, marked with [`channel`].
    Datagrams,
}

/// The mark of a piece that travels as datagrams.
pub const fn channel(track: u8, rtcp: bool) -> u8 {
    track * 2 + rtcp as u8
}

impl Layout {
    pub fn key(self) -> FormKey {
        match self {
            Self::Datagrams => FormKey {
                name: "rtp-udp",
                layout: 0,
            },
            // 16 bits a track; a channel pair of equal numbers means "none", as no client asks for it.
            Self::Interleaved(channels) => {
                let bits =
                    |c: Option<(u8, u8)>| c.map_or(0, |(rtp, rtcp)| u64::from(rtp) << 8 | u64::from(rtcp));
                let layout = channels.into_iter().fold(0, |key, c| key << 16 | bits(c));
                FormKey {
                    name: "rtp-interleaved",
                    layout,
                }
            }
        }
    }

    fn prefix(&self, track: u8, rtcp: bool) -> Prefix {
        match self {
            Self::Datagrams if usize::from(track) < MOST_TRACKS => Prefix::None,
            Self::Datagrams => Prefix::LeftOut,
            Self::Interleaved(channels) => match channels.get(usize::from(track)) {
                Some(Some((_, channel))) if rtcp => Prefix::Channel(*channel),
                Some(Some((channel, _))) => Prefix::Channel(*channel),
                _ => Prefix::LeftOut,
            },
        }
    }
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
            let packetizer = Packetizer::new(track, payload_type, ssrc).with_sequence_number(first);
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
        for (index, sender) in self.senders.iter().enumerate() {
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
            let start = out.buffer.len();
            if let Some(channel) = prefix {
                out.buffer.extend_from_slice(&[b'$', channel, 0, 0]);
            }
            report.write("weir", &mut out.buffer);
            if prefix.is_some() {
                fill_length(&mut out.buffer, start);
            } else {
                out.ends.push(out.buffer.len() as u32);
            }
            out.cut(channel(index, true), false);
        }
    }
}

fn fill_length(buffer: &mut BytesMut, start: usize) {
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
        let (start, first_end) = (out.buffer.len(), out.ends.len());
        sender
            .packetizer
            .packetize(track, unit, prefix, &mut out.buffer, &mut out.ends);
        sender.packets = sender.packets.wrapping_add((out.ends.len() - first_end) as u32);
        sender.bytes = sender.bytes.wrapping_add((out.buffer.len() - start) as u32);
        if prefix.is_some() {
            // Only datagrams need to know where packets end.
            out.ends.truncate(first_end);
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_proto::media::codec::g711::{Law, Parameters};
    use weir_proto::media::{CodecParameters, Track};
    use weir_proto::rtcp::{self, Packet};

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
}
