//! RTSP playback: seats a viewer as its SETUP requests asked for (ipchub contract, section 6).
//!
//! The conversation itself is `listen::rtsp`'s, because the same connection may publish instead.

use super::form::rtp::{Channels, Layout, MOST_TRACKS, RtpForm, channel};
use super::multicast::Group;
use crate::hub::{Datagrams, Form, Seat, Sink, Stream, TcpSink, Visitor};
use crate::socket::Socket;
use crate::udp::UdpPorts;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use weir_proto::rtsp::server::{Carrier, Delivery, Setup};

/// What a session's SETUP requests came to.
#[derive(Default)]
pub struct Transports {
    udp: Vec<(u8, UdpPorts)>,
    group: Option<Arc<Group>>,
}

impl Transports {
    /// For a track's SETUP over UDP; a repeated one replaces the ports of the one before.
    pub fn keep(&mut self, track: u8, ports: UdpPorts) {
        self.udp.retain(|(t, _)| *t != track);
        self.udp.push((track, ports));
    }

    /// For a track's SETUP by multicast; all tracks of a session have one group.
    pub fn keep_group(&mut self, group: Arc<Group>) {
        self.group = Some(group);
    }

    /// The group, if the packets travel so.
    pub fn group(&self, setups: &[Setup]) -> Option<Arc<Group>> {
        let by_group = |setup: &Setup| matches!(setup.delivery, Delivery::Multicast(_));
        self.group.clone().filter(|_| setups.iter().any(by_group))
    }

    /// Seats the viewer. A session is either interleaved or UDP; the first track's delivery decides. None
    /// when viewers of this stream have chosen too many different channels already.
    pub fn seat(
        &self,
        stream: &Arc<Stream>,
        setups: &[Setup],
        socket: &Arc<Socket>,
        carrier: Carrier,
        peer: IpAddr,
    ) -> Option<Seat> {
        let is_udp = is_udp(setups);
        let (layout, sink): (Layout, Box<dyn Sink>) = if is_udp {
            (Layout::Datagrams, Box::new(self.datagrams(setups, peer)))
        } else {
            let layout = match carrier {
                Carrier::Tcp => Layout::Interleaved(channels(setups)),
                Carrier::WebSocket | Carrier::Wsp => Layout::WebSocket(channels(setups)),
            };
            (layout, Box::new(TcpSink::new(socket.clone())))
        };
        let detail = if is_udp { "udp" } else { "tcp" }.to_owned();
        let visitor = Visitor {
            protocol: "rtsp",
            detail,
        };
        stream
            .has_room_for(layout.key())
            .then(|| watch(stream, layout, sink, visitor))
    }

    fn datagrams(&self, setups: &[Setup], peer: IpAddr) -> Datagrams {
        let mut to = vec![None; MOST_TRACKS * 2];
        for setup in setups {
            let Delivery::Udp {
                client_ports: (rtp, rtcp),
                ..
            } = setup.delivery
            else {
                continue;
            };
            let Some((_, ports)) = self.udp.iter().find(|(track, _)| *track == setup.track) else {
                continue;
            };
            let at = usize::from(channel(setup.track, false));
            if at + 1 < to.len() {
                to[at] = Some((ports.rtp.clone(), SocketAddr::new(peer, rtp)));
                to[at + 1] = Some((ports.rtcp.clone(), SocketAddr::new(peer, rtcp)));
            }
        }
        Datagrams::new(to)
    }
}

/// Whether media goes beside the RTSP connection.
fn is_udp(setups: &[Setup]) -> bool {
    setups.iter().any(|s| matches!(s.delivery, Delivery::Udp { .. }))
}

/// Seats a viewer in the form of a layout.
pub(super) fn watch(stream: &Arc<Stream>, layout: Layout, sink: Box<dyn Sink>, visitor: Visitor) -> Seat {
    let (tracks, session) = (stream.tracks(), stream.provenance().session);
    let form = || Box::new(RtpForm::new(&tracks, session, layout)) as Box<dyn Form>;
    stream.watch(layout.key(), form, sink, visitor)
}

/// The channels that a session's SETUP requests asked for.
pub(super) fn channels(setups: &[Setup]) -> Channels {
    let mut channels = [None; MOST_TRACKS];
    for setup in setups {
        if let (Some(slot), Delivery::Interleaved { rtp, rtcp }) =
            (channels.get_mut(usize::from(setup.track)), setup.delivery)
        {
            *slot = Some((rtp, rtcp));
        }
    }
    channels
}
