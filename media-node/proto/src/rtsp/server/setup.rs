//! SETUP: which track a URL means, and how its packets will travel.

use super::{Carrier, Delivery, Event, Group, Mode, Pending, Right, Session, Setup, State, Step};
use crate::media::TrackKind;
use crate::rtsp::transport::{Lower, Transport};
use crate::rtsp::{Request, Status};
use crate::sdp;
use bytes::BytesMut;

/// Tracks that a session may set up.
const MAX_SETUPS: usize = sdp::parse::MAX_MEDIA;

/// Routers that multicast packets may pass; told to viewers, so packets are to be sent with it.
pub const MULTICAST_TTL: u32 = 127;

/// To who asks for datagrams over a WebSocket.
const ONLY_TCP: &str = "websocket only support tcp unicast";

/// How a client names a track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Control {
    track: u8,
    /// The `a=control` value, with a port if it is a URL. Empty if the description has none, and
    /// then it is the session's only track.
    value: String,
    audio: bool,
}

impl Control {
    pub(super) fn ours(track: u8, kind: TrackKind) -> Self {
        Self {
            track,
            value: sdp::control(track),
            audio: kind == TrackKind::Audio,
        }
    }

    pub(super) fn theirs(description: &sdp::Description) -> Vec<Self> {
        let controls = (0..=u8::MAX).zip(&description.media).map(|(track, media)| Self {
            track,
            value: media.control.as_deref().map(with_port).unwrap_or_default(),
            audio: media.kind == sdp::Kind::Audio,
        });
        let alone = description.media.len() == 1;
        controls
            .filter(|control| alone || !control.value.is_empty())
            .collect()
    }
}

/// The URL with the port that RTSP has if none is given; anything else as it is.
fn with_port(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    // The colons inside an IPv6 address are none of a port.
    let after_address = host.rsplit_once(']').map_or(host, |(_, after)| after);
    if after_address.contains(':') {
        return url.to_owned();
    }
    format!("{scheme}://{authority}:554{path}")
}

impl Session {
    pub(super) fn setup(&mut self, request: Request, path: String, out: &mut BytesMut) -> Event {
        let header = request.headers.get("Transport").unwrap_or_default().to_owned();
        let echo = [("Transport", header.as_str())];
        if self.config.carrier == Carrier::Wsp && self.controls.iter().all(|control| control.audio) {
            // Nothing was described, or what was has no video, which players of WSP can't do without.
            let status = Status::InternalServerError;
            self.respond(&request, status, Some("Invalid VControl"), &echo, &[], out);
            return Event::Answered;
        }
        let url = with_port(request.uri());
        let Some(track) = self.track_of(&url) else {
            // The spelling is what clients of the documented server see.
            let reason = format!("SETUP Unkown control:{url}");
            self.respond(
                &request,
                Status::InternalServerError,
                Some(&reason),
                &echo,
                &[],
                out,
            );
            return Event::Answered;
        };
        let offered = match Transport::parse_all(&header) {
            Ok(offered) => offered,
            Err(error) => {
                let reason = error.to_string();
                self.respond(
                    &request,
                    Status::ParameterNotUnderstood,
                    Some(&reason),
                    &echo,
                    &[],
                    out,
                );
                return Event::Answered;
            }
        };
        match self.choose(track, &offered) {
            Ok((chosen, Way::Udp { client_ports })) => {
                let step = Step::SetupUdp {
                    track,
                    client_ports,
                    transport: chosen.text.clone(),
                };
                self.pending = Some(Pending {
                    request,
                    path: path.clone(),
                    step,
                });
                let right = match self.mode {
                    Some(Mode::Record) => Right::Push,
                    Some(Mode::Play) | None => Right::Pull,
                };
                Event::SetupUdp {
                    path,
                    track,
                    client_ports,
                    right,
                }
            }
            Ok((chosen, Way::Multicast)) => {
                let step = Step::SetupMulticast {
                    track,
                    transport: chosen.text.clone(),
                };
                self.pending = Some(Pending {
                    request,
                    path: path.clone(),
                    step,
                });
                Event::SetupMulticast { path, track }
            }
            Ok((chosen, Way::Interleaved { rtp, rtcp })) => {
                let text = match chosen.interleaved {
                    Some(_) => chosen.text.clone(),
                    None => format!("{};interleaved={rtp}-{rtcp}", chosen.text),
                };
                self.set_up(track, Delivery::Interleaved { rtp, rtcp });
                self.respond(&request, Status::Ok, None, &[("Transport", &text)], &[], out);
                Event::Answered
            }
            Err((status, reason)) => {
                self.respond(&request, status, reason, &echo, &[], out);
                Event::Answered
            }
        }
    }

    /// Answers [`Event::SetupUdp`] with the ports that the driver has opened for RTP and RTCP.
    pub fn udp(&mut self, server_ports: (u16, u16), out: &mut BytesMut) {
        let Some(pending) = self.pending.take() else {
            return;
        };
        let Step::SetupUdp {
            track,
            client_ports,
            transport,
        } = pending.step
        else {
            self.pending = Some(pending);
            return;
        };
        let delivery = Delivery::Udp {
            client_ports,
            server_ports,
        };
        self.set_up(track, delivery);
        let text = format!("{transport};server_port={}-{}", server_ports.0, server_ports.1);
        let transport = [("Transport", text.as_str())];
        self.respond(&pending.request, Status::Ok, None, &transport, &[], out);
    }

    /// Answers [`Event::SetupMulticast`] with where the track's packets go.
    pub fn multicast(&mut self, group: Group, out: &mut BytesMut) {
        let Some(pending) = self.pending.take() else {
            return;
        };
        let Step::SetupMulticast { track, transport } = pending.step else {
            self.pending = Some(pending);
            return;
        };
        self.set_up(track, Delivery::Multicast(group));
        let Group {
            destination,
            ports: (rtp, rtcp),
            source,
        } = group;
        let text = format!(
            "{transport};destination={destination};port={rtp}-{rtcp};source={source};ttl={MULTICAST_TTL}"
        );
        let transport = [("Transport", text.as_str())];
        self.respond(&pending.request, Status::Ok, None, &transport, &[], out);
    }

    fn set_up(&mut self, track: u8, delivery: Delivery) {
        let setup = Setup { track, delivery };
        match self.setups.iter_mut().find(|known| known.track == setup.track) {
            Some(known) => *known = setup,
            None => self.setups.push(setup),
        }
        self.state = State::Ready;
    }

    /// The track whose control value the URL is or ends with, audio first. The query may stand
    /// behind the control value or in front of it, or be gone; players differ.
    fn track_of(&self, url: &str) -> Option<u8> {
        let without_query = url.split_once('?').map_or(url, |(path, _)| path);
        let is_meant = |control: &&Control| {
            control.value.is_empty()
                || url.ends_with(&control.value)
                || without_query.ends_with(&control.value)
        };
        let audio = self
            .controls
            .iter()
            .filter(|control| control.audio)
            .find(is_meant);
        audio
            .or_else(|| self.controls.iter().find(is_meant))
            .map(|control| control.track)
    }

    /// The first of the offered transports that we can do.
    fn choose<'a>(&self, track: u8, offered: &'a [Transport]) -> Result<(&'a Transport, Way), Refusal> {
        let mode = self.mode.unwrap_or(Mode::Play);
        let wsp = self.config.carrier == Carrier::Wsp;
        if wsp && !offered.iter().any(|transport| transport.lower == Lower::Tcp) {
            return Err((Status::UnsupportedTransport, Some(ONLY_TCP)));
        }
        let same_mode = |transport: &Transport| transport.record == (mode == Mode::Record);
        if !offered.iter().any(same_mode) {
            let reason = match mode {
                Mode::Play if wsp => "can't setup as record",
                Mode::Play => "Current state can't setup as record",
                Mode::Record => "Current state can't setup as play",
            };
            return Err((Status::ParameterNotUnderstood, Some(reason)));
        }
        let known = self.setups.iter().any(|setup| setup.track == track);
        if !known && self.setups.len() >= MAX_SETUPS {
            return Err((Status::NotEnoughBandwidth, None));
        }
        let mut refusal = (Status::UnsupportedTransport, None);
        for transport in offered.iter().filter(|transport| same_mode(transport)) {
            match self.way(track, transport, mode) {
                Ok(way) => return Ok((transport, way)),
                Err(error) => refusal = error,
            }
        }
        Err(refusal)
    }

    fn way(&self, track: u8, transport: &Transport, mode: Mode) -> Result<Way, Refusal> {
        // All tracks of a session travel one way, so that one writer serves them.
        let before = self.setups.iter().find(|setup| setup.track != track);
        let before = before.map(|setup| match setup.delivery {
            Delivery::Interleaved { .. } => Lower::Tcp,
            Delivery::Udp { .. } => Lower::UdpUnicast,
            Delivery::Multicast(_) => Lower::UdpMulticast,
        });
        let fits = before.is_none_or(|before| before == transport.lower);
        match transport.lower {
            Lower::Tcp if fits => {
                let (rtp, rtcp) = transport.interleaved.unwrap_or_else(|| {
                    let rtp = track.wrapping_mul(2);
                    (rtp, rtp.wrapping_add(1))
                });
                let taken = self
                    .setups
                    .iter()
                    .filter(|setup| setup.track != track)
                    .any(|setup| {
                        matches!(setup.delivery, Delivery::Interleaved { rtp: a, rtcp: b }
                        if [a, b].contains(&rtp) || [a, b].contains(&rtcp))
                    });
                if taken || rtp == rtcp {
                    let reason = "interleaved channel is in use";
                    return Err((Status::ParameterNotUnderstood, Some(reason)));
                }
                Ok(Way::Interleaved { rtp, rtcp })
            }
            _ if mode == Mode::Record
                && !(transport.lower == Lower::UdpUnicast
                    && self.config.udp_publish
                    && self.config.carrier == Carrier::Tcp) =>
            {
                let reason = "when mode = record，only support tcp unicast";
                Err((Status::UnsupportedTransport, Some(reason)))
            }
            Lower::UdpUnicast | Lower::UdpMulticast if self.config.carrier != Carrier::Tcp => {
                Err((Status::UnsupportedTransport, Some(ONLY_TCP)))
            }
            Lower::UdpUnicast if fits && (mode == Mode::Record || self.config.udp_play) => {
                match transport.client_port {
                    Some(client_ports) if client_ports.0 > 0 && client_ports.1 > 0 => {
                        Ok(Way::Udp { client_ports })
                    }
                    _ => Err((Status::ParameterNotUnderstood, Some("malformed trannsport"))),
                }
            }
            Lower::UdpMulticast if fits && self.config.multicast => Ok(Way::Multicast),
            Lower::Tcp | Lower::UdpUnicast | Lower::UdpMulticast => Err((Status::UnsupportedTransport, None)),
        }
    }
}

/// How a track's packets will travel, as far as the session can tell.
enum Way {
    Interleaved {
        rtp: u8,
        rtcp: u8,
    },
    /// From ports that the driver has to open.
    Udp {
        client_ports: (u16, u16),
    },
    /// To a group that the driver knows.
    Multicast,
}

type Refusal = (Status, Option<&'static str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_added_to_urls_only() {
        for (url, expected) in [
            ("rtsp://h/a/b", "rtsp://h:554/a/b"),
            ("rtsp://h:1554/a", "rtsp://h:1554/a"),
            ("rtsp://u:p@h/a", "rtsp://u:p@h:554/a"),
            ("rtsp://[::1]/a", "rtsp://[::1]:554/a"),
            ("rtsp://[::1]:8554/a", "rtsp://[::1]:8554/a"),
            ("rtsp://h?x=1", "rtsp://h:554?x=1"),
            ("trackID=1", "trackID=1"),
            ("", ""),
        ] {
            assert_eq!(with_port(url), expected);
        }
    }
}
