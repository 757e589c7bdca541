//! RTSP publishers, who dial us (ANNOUNCE, RECORD). Datagrams are `rtsp_udp`'s.

use super::Publishing;
use super::unreadable::{MOST_IN_A_ROW, Unreadable};
use crate::hub::Publisher;
use bytes::Bytes;
use std::time::Instant;
use weir_proto::media::{AccessUnit, CodecParameters, StreamPath, Track, TrackKind, Tracks};
use weir_proto::rtcp;
use weir_proto::rtp::{Depacketizer, Packet, Timeline};
use weir_proto::sdp::Description;

/// Access units that may come before all video parameters are known; a publisher that never sends
/// any is given up.
const MOST_BEFORE_PARAMETERS: usize = 500;

/// Why a publisher is turned away.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("nothing of what is announced can be carried: {0}; H.264, H.265, AAC and G.711 can")]
    NothingCarried(String),
    #[error("no parameter sets came, neither in the SDP nor in band, so nobody could decode this")]
    NoParameters,
    #[error("{MOST_IN_A_ROW} packets in a row could not be read; the last: {0}")]
    Unreadable(String),
}

/// One publisher's stream.
pub struct Publication {
    publishing: Publishing,
    path: StreamPath,
    address: String,
    /// By index of the description's media; `None` for what isn't carried or was not set up.
    inputs: Vec<Option<Input>>,
    publisher: Option<Publisher>,
    waiting: usize,
    unreadable: Unreadable,
    timeline: Timeline,
    began: Instant,
}

struct Input {
    depacketizer: Depacketizer,
    kind: TrackKind,
    clock_rate: u32,
    parameters: Option<CodecParameters>,
    track: Option<u8>,
    /// Of the newest packet.
    ssrc: Option<u32>,
}

impl Input {
    fn push(&mut self, packet: &Packet) -> Result<(), String> {
        self.ssrc = Some(packet.header.ssrc);
        self.depacketizer.push(packet).map_err(|e| e.to_string())
    }
}

impl Publishing {
    /// Whether an announced stream has anything that is carried.
    pub fn announced(&self, description: &Description) -> Result<(), Error> {
        if description.media.iter().any(|m| m.codec().is_some()) {
            return Ok(());
        }
        let names: Vec<&str> = description.media.iter().map(|m| m.encoding.as_str()).collect();
        Err(Error::NothingCarried(names.join(", ")))
    }

    /// The publisher may send now. `set_up` tells which of the description's media it will send;
    /// of each kind the first is carried. The stream is published with its first picture.
    pub fn record(
        &self,
        path: StreamPath,
        description: &Description,
        set_up: impl Fn(u8) -> bool,
        address: String,
    ) -> Publication {
        let mut inputs: Vec<Option<Input>> = Vec::new();
        for (index, media) in description.media.iter().enumerate() {
            let input = Some(media).filter(|_| set_up(index as u8)).and_then(|media| {
                let kind = media.codec()?.kind();
                if inputs.iter().flatten().any(|i: &Input| i.kind == kind) {
                    return None;
                }
                let depacketizer = Depacketizer::new(media).ok()?;
                let parameters = media.parameters();
                Some(Input {
                    depacketizer,
                    kind,
                    clock_rate: media.clock_rate,
                    parameters,
                    track: None,
                    ssrc: None,
                })
            });
            inputs.push(input);
        }
        let timeline = Timeline::new(inputs.len().min(usize::from(u8::MAX)) as u8);
        let began = Instant::now();
        Publication {
            publishing: self.clone(),
            path,
            address,
            inputs,
            publisher: None,
            waiting: 0,
            unreadable: Unreadable::default(),
            timeline,
            began,
        }
    }
}

impl Publication {
    pub fn path(&self) -> &StreamPath {
        &self.path
    }

    /// One RTP packet of the description's medium `index`.
    ///
    /// # Errors
    /// When this can't become a stream. Damaged packets are counted and skipped.
    pub fn packet(&mut self, index: u8, data: Bytes) -> Result<(), Error> {
        let Some(Some(input)) = self.inputs.get_mut(usize::from(index)) else {
            return Ok(());
        };
        let pushed = Packet::parse(data).map_err(|e| e.to_string());
        let pushed = pushed.and_then(|packet| input.push(&packet));
        self.pushed(index, pushed)
    }

    /// The same for a packet that has been parsed already.
    ///
    /// # Errors
    /// As [`Self::packet`].
    pub fn rtp(&mut self, index: u8, packet: &Packet) -> Result<(), Error> {
        let Some(Some(input)) = self.inputs.get_mut(usize::from(index)) else {
            return Ok(());
        };
        let pushed = input.push(packet);
        self.pushed(index, pushed)
    }

    fn pushed(&mut self, index: u8, pushed: Result<(), String>) -> Result<(), Error> {
        match pushed {
            Ok(()) => self.unreadable.over(),
            Err(error) => {
                if !self.unreadable.bear(&error) {
                    return Err(Error::Unreadable(error));
                }
            }
        }
        while let Some(unit) = self.inputs[usize::from(index)]
            .as_mut()
            .and_then(|i| i.depacketizer.pull())
        {
            self.unit(index, unit)?;
        }
        Ok(())
    }

    /// One RTCP packet of the description's medium `index`; sender reports tell how tracks lie to
    /// each other. Those of a source that sends no media, or no more, say nothing of it.
    pub fn report(&mut self, index: u8, data: &[u8]) {
        let Some(Some(input)) = self.inputs.get(usize::from(index)) else {
            return;
        };
        let packets = rtcp::parse(data).unwrap_or_default();
        for packet in packets {
            if let rtcp::Packet::SenderReport(report, _) = packet
                && input.ssrc == Some(report.ssrc)
                && let Some(at) = input.depacketizer.extend(report.rtp_timestamp)
            {
                self.timeline.report(index, report.ntp, at);
            }
        }
    }

    fn unit(&mut self, index: u8, unit: weir_proto::rtp::Unit) -> Result<(), Error> {
        let Some(Some(input)) = self.inputs.get_mut(usize::from(index)) else {
            return Ok(());
        };
        let changed = unit.new_parameters.is_some();
        if changed {
            input.parameters = unit.new_parameters;
        }
        if (changed || self.publisher.is_none()) && !self.begin() {
            self.waiting += 1;
            return if self.waiting > MOST_BEFORE_PARAMETERS {
                Err(Error::NoParameters)
            } else {
                Ok(())
            };
        }
        let track = self.inputs[usize::from(index)].as_ref().and_then(|i| i.track);
        let (pts, dts) = self
            .timeline
            .place(index, unit.pts, unit.dts, self.began.elapsed());
        if let (Some(track), Some(publisher)) = (track, &mut self.publisher) {
            publisher.push(AccessUnit {
                track,
                pts,
                dts,
                keyframe: unit.keyframe,
                segment: None,
                data: unit.data,
            });
        }
        Ok(())
    }

    /// Publishes, or tells of new parameters. False while video has none.
    fn begin(&mut self) -> bool {
        if self
            .inputs
            .iter()
            .flatten()
            .any(|i| i.kind == TrackKind::Video && i.parameters.is_none())
        {
            return false;
        }
        let mut tracks = Vec::new();
        for kind in [TrackKind::Video, TrackKind::Audio] {
            for input in self.inputs.iter_mut().flatten().filter(|i| i.kind == kind) {
                input.track = None;
                if let Some(codec) = input.parameters.clone() {
                    input.track = Some(tracks.len() as u8);
                    tracks.push(Track {
                        codec,
                        clock_rate: input.clock_rate,
                    });
                }
            }
        }
        if tracks.is_empty() {
            return false;
        }
        let tracks = Tracks::new(tracks);
        if let Some(publisher) = &mut self.publisher {
            publisher.set_tracks(&tracks);
        } else {
            let publisher = self
                .publishing
                .begin(&self.path, tracks, "rtsp-push", &self.address);
            self.publisher = Some(publisher);
        }
        true
    }

    /// Sends what came; to be called when the socket has no more at hand. False once a newcomer has
    /// the path, or somebody has closed the stream.
    pub fn flush(&mut self) -> bool {
        let Some(publisher) = &mut self.publisher else {
            return true;
        };
        publisher.flush();
        publisher.is_live()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{Event, Hub};
    use bytes::BytesMut;
    use std::time::Duration;
    use weir_proto::rtcp::{NtpTime, SenderReport};
    use weir_proto::rtp::Header;
    use weir_proto::sdp;

    const SDP: &[u8] =
        b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=audio 0 RTP/AVP 8\r\na=control:streamid=0\r\n";
    const SSRC: u32 = 7;

    fn sound(number: u16) -> Bytes {
        let header = Header {
            marker: false,
            payload_type: 8,
            sequence_number: number,
            timestamp: u32::from(number) * 160,
            ssrc: SSRC,
        };
        let mut out = BytesMut::new();
        header.write(&mut out);
        out.extend_from_slice(&[0xd5; 160]);
        out.freeze()
    }

    fn report(ssrc: u32) -> BytesMut {
        let mut out = BytesMut::new();
        let report = SenderReport {
            ssrc,
            ntp: NtpTime::from_unix(Duration::from_secs(1000)),
            rtp_timestamp: 0,
            packets: 0,
            payload_bytes: 0,
        };
        report.write("x", &mut out);
        out
    }

    #[test]
    fn reports_of_other_sources_move_nothing() {
        let publishing = Publishing {
            hub: Hub::new(),
            segment: Duration::from_secs(2),
            published: None,
        };
        let description = sdp::parse(SDP).expect("a description");
        let path = StreamPath::parse("door").expect("a path");
        let mut publication = publishing.record(path.clone(), &description, |_| true, String::new());
        publication.packet(0, sound(1)).expect("sound");
        publication.flush();
        let mut events = publishing.hub.stream(&path).expect("it runs").subscribe();
        assert!(std::iter::from_fn(|| events.try_next()).any(|e| matches!(e, Event::Unit(_))));
        let before = format!("{:?}", publication.timeline);
        publication.report(0, &report(SSRC + 1));
        assert_eq!(format!("{:?}", publication.timeline), before);
        publication.report(0, &report(SSRC));
        assert_ne!(format!("{:?}", publication.timeline), before);
    }
}
